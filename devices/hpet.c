/* SPDX-License-Identifier: MIT */
/*
 * High precision event timer: IA-PC HPET specification 1.0a, chapter 2. A comparator matches when
 * the counter passes it; while the counter runs, each timer waits in the queue for its next match.
 */
#include "devices/hpet.h"

#include "base/bits.h"
#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct hpet_state) == 32 + HPET_TIMERS * 24 + 8, "padding in hpet_state");

enum { PERIOD_NS = HPET_PERIOD_FS / 1000000, GSIS = 24, WINDOW = 0x400 };

/* Register offsets, 2.3.1; a timer has 20h bytes from 100h on. */
enum {
    REG_CAPABILITIES = 0x00,
    REG_CONFIG = 0x10,
    REG_STATUS = 0x20,
    REG_COUNTER = 0xf0,
    REG_TIMERS = 0x100,
    TIMER_CONFIG = 0x00,
    TIMER_COMPARATOR = 0x08,
    TIMER_STRIDE = 0x20,
};

enum {
    CONFIG_ENABLE = 1,
    CONFIG_LEGACY = 2,

    TN_LEVEL = 1 << 1,
    TN_INTERRUPT = 1 << 2,
    TN_PERIODIC = 1 << 3,
    TN_CAN_PERIODIC = 1 << 4,
    TN_IS_64 = 1 << 5,
    TN_SET_VALUE = 1 << 6,
    TN_32BIT = 1 << 8,
    TN_ROUTE_LOW = 9,
    TN_WRITABLE = 0x3f4e, /* level, enable, periodic, value set, 32 bit, route */
};

/* Vendor 8086, legacy capable, 64-bit, three timers, revision 1. */
#define CAPABILITIES ((u64)HPET_PERIOD_FS << 32 | 0x80860000 | 0xa000 | (HPET_TIMERS - 1) << 8 | 1)
/* GSIs 20..23 for all, as in the ICH chip sets. */
#define ROUTES ((u64)0x00f00000 << 32)

struct hpet_channel {
    struct hpet *hpet;
    struct timer timer;
    u32 index;
};

struct hpet {
    struct hpet_state state;
    struct clock *clock;
    struct hpet_channel channel[HPET_TIMERS];
    struct irq_line isa[2]; /* IRQ0, IRQ8 */
    struct irq_line gsi[GSIS];
};

static bool is_enabled(const struct hpet *h)
{
    return h->state.config & CONFIG_ENABLE;
}

static bool is_legacy(const struct hpet *h, u32 index)
{
    return (h->state.config & CONFIG_LEGACY) && index < 2;
}

static u64 counter_now(const struct hpet *h)
{
    const struct hpet_state *s = &h->state;

    if (!is_enabled(h))
        return s->counter;
    return s->counter + (h->clock->now - s->started_ns) / PERIOD_NS;
}

static u64 counter_mask(const struct hpet_timer_state *t)
{
    return t->config & TN_32BIT ? BITS(31, 0) : ~(u64)0;
}

static const struct irq_line *output(const struct hpet *h, u32 index)
{
    const u64 route = bits_get(h->state.timer[index].config, TN_ROUTE_LOW + 4, TN_ROUTE_LOW);

    if (is_legacy(h, index))
        return &h->isa[index];
    return ROUTES >> (32 + route) & 1 ? &h->gsi[route] : NULL;
}

/* Only level-triggered interrupts last. */
static bool holds_line(const struct hpet *h, u32 index)
{
    const struct hpet_timer_state *t = &h->state.timer[index];

    return (t->config & TN_LEVEL) && (t->config & TN_INTERRUPT) && (h->state.status >> index & 1);
}

/* Timers with the same route share the line. */
static void drive(const struct hpet *h, const struct irq_line *line)
{
    bool level = false;

    if (line == NULL)
        return;
    for (u32 i = 0; i < HPET_TIMERS; i++)
        level |= output(h, i) == line && holds_line(h, i);
    irq_set(line, level);
}

/* PIT and RTC have IRQ0 and IRQ8 unless legacy replacement takes them (2.3.5, LEG_RT_CNF). */
static void drive_isa(struct hpet *h)
{
    if (h->state.config & CONFIG_LEGACY) {
        drive(h, &h->isa[0]);
        drive(h, &h->isa[1]);
    } else {
        irq_set(&h->isa[0], h->state.pit_level);
        irq_set(&h->isa[1], h->state.rtc_level);
    }
}

static void match(struct hpet *h, u32 index)
{
    const struct hpet_timer_state *t = &h->state.timer[index];
    const struct irq_line *line = output(h, index);

    if (t->config & TN_LEVEL) {
        h->state.status |= 1u << index;
    } else if ((t->config & TN_INTERRUPT) && line != NULL) {
        irq_set(line, true);
    }
    drive(h, line);
}

/* Counts from `now` to the comparator, 1 at least: a match needs the counter to get there. */
static u64 counts_to_match(const struct hpet_timer_state *t, u64 now)
{
    const u64 distance = (t->comparator - now) & counter_mask(t);

    if (distance != 0)
        return distance;
    return t->config & TN_32BIT ? BIT(32) : ~(u64)0;
}

/* Matches are waited for while they can interrupt, or set a status bit. */
static void arm(struct hpet *h, u32 index)
{
    const struct hpet_state *s = &h->state;
    const struct hpet_timer_state *t = &s->timer[index];
    u64 at = CLOCK_NEVER;

    if (is_enabled(h) && (t->config & (TN_INTERRUPT | TN_LEVEL | TN_PERIODIC))) {
        const u64 now = counter_now(h);
        const u64 counts = counts_to_match(t, now);
        /* The counter's own steps are at multiples of the period from started_ns. */
        const u64 step = s->started_ns + (now - s->counter) * PERIOD_NS;

        if (counts <= (CLOCK_NEVER - 1 - step) / PERIOD_NS)
            at = step + counts * PERIOD_NS;
    }
    timer_arm(h->clock, &h->channel[index].timer, at);
}

/* Move a periodic comparator past `now`; what was missed is one interrupt (2.3.9.2.2). */
static void advance(struct hpet_timer_state *t, u64 now)
{
    const u64 mask = counter_mask(t);
    const u64 period = t->period & mask;

    if (!(t->config & TN_PERIODIC) || period == 0)
        return;
    t->comparator = (t->comparator + (((now - t->comparator) & mask) / period + 1) * period) & mask;
}

static void timer_fired(void *ctx)
{
    const struct hpet_channel *c = ctx;
    struct hpet *h = c->hpet;

    advance(&h->state.timer[c->index], counter_now(h));
    match(h, c->index);
    arm(h, c->index);
}

static void write_config(struct hpet *h, u64 value)
{
    struct hpet_state *s = &h->state;
    const u64 now = counter_now(h);
    const u64 old = s->config;
    const struct irq_line *const old_line[2] = {output(h, 0), output(h, 1)};

    s->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    if ((old ^ s->config) & CONFIG_ENABLE) {
        s->counter = now;
        s->started_ns = h->clock->now;
        for (u32 i = 0; i < HPET_TIMERS; i++)
            arm(h, i);
    }
    if ((old ^ s->config) & CONFIG_LEGACY) {
        for (u32 i = 0; i < 2; i++) {
            drive(h, old_line[i]);
            drive(h, output(h, i));
        }
        drive_isa(h);
    }
}

static void write_counter(struct hpet *h, u64 value)
{
    h->state.counter = value;
    h->state.started_ns = h->clock->now;
    for (u32 i = 0; i < HPET_TIMERS; i++)
        arm(h, i);
}

static void write_timer_config(struct hpet *h, u32 index, u64 value)
{
    struct hpet_timer_state *t = &h->state.timer[index];
    const struct irq_line *old_line = output(h, index);

    t->config = (t->config & ~(u64)TN_WRITABLE) | (value & TN_WRITABLE);
    if (t->config & TN_32BIT) {
        t->comparator &= BITS(31, 0);
        t->period &= BITS(31, 0);
    }
    /* A status bit is there for level-triggered timers only. */
    if (!(t->config & TN_LEVEL))
        h->state.status &= ~(u64)(1u << index);
    drive(h, old_line);
    drive(h, output(h, index));
    arm(h, index);
}

/* In periodic mode a write sets the period, and with VAL_SET also the comparator (2.3.9.2.2). */
static void write_comparator(struct hpet *h, u32 index, u64 value, u64 written)
{
    struct hpet_timer_state *t = &h->state.timer[index];

    if (!(t->config & TN_PERIODIC) || (t->config & TN_SET_VALUE))
        t->comparator = ((t->comparator & ~written) | value) & counter_mask(t);
    if (t->config & TN_PERIODIC)
        t->period = ((t->period & ~written) | value) & counter_mask(t);
    t->config &= ~(u64)TN_SET_VALUE;
    arm(h, index);
}

static u64 register_read(const struct hpet *h, u32 reg)
{
    const struct hpet_state *s = &h->state;
    const u32 index = (reg - REG_TIMERS) / TIMER_STRIDE;

    if (reg >= REG_TIMERS && index < HPET_TIMERS) {
        switch (reg % TIMER_STRIDE) {
        case TIMER_CONFIG: return s->timer[index].config;
        case TIMER_COMPARATOR: return s->timer[index].comparator;
        default: return 0; /* FSB route */
        }
    }
    switch (reg) {
    case REG_CAPABILITIES: return CAPABILITIES;
    case REG_CONFIG: return s->config;
    case REG_STATUS: return s->status;
    case REG_COUNTER: return counter_now(h);
    default: return 0;
    }
}

/* value: the bits of `written` in place, others 0. */
static void register_write(struct hpet *h, u32 reg, u64 value, u64 written)
{
    struct hpet_state *s = &h->state;
    const u32 index = (reg - REG_TIMERS) / TIMER_STRIDE;

    if (reg >= REG_TIMERS && index < HPET_TIMERS) {
        if (reg % TIMER_STRIDE == TIMER_CONFIG)
            write_timer_config(h, index, (s->timer[index].config & ~written) | value);
        else if (reg % TIMER_STRIDE == TIMER_COMPARATOR)
            write_comparator(h, index, value, written);
        return;
    }
    switch (reg) {
    case REG_CONFIG: write_config(h, (s->config & ~written) | value); break;
    case REG_STATUS:
        s->status &= ~value;
        for (u32 i = 0; i < HPET_TIMERS; i++)
            if (value >> i & 1)
                drive(h, output(h, i));
        break;
    case REG_COUNTER: write_counter(h, (counter_now(h) & ~written) | value); break;
    default: break;
    }
}

u64 hpet_mmio_read(void *ctx, u64 offset, u32 size)
{
    const u32 at = (u32)(offset & 0xfff);

    if (at >= WINDOW)
        return 0;
    return register_read(ctx, at & ~7u) >> (8 * (at & 7)) & width_mask(size);
}

void hpet_mmio_write(void *ctx, u64 offset, u32 size, u64 value)
{
    const u32 at = (u32)(offset & 0xfff);
    const u32 shift = 8 * (at & 7);

    if (at < WINDOW)
        register_write(ctx, at & ~7u, (value & width_mask(size)) << shift,
                       width_mask(size) << shift);
}

/* ---- wires and life ---- */

static void isa_input(void *ctx, u32 pin, bool level)
{
    struct hpet *h = ctx;

    if (pin == 0)
        h->state.pit_level = level;
    else
        h->state.rtc_level = level;
    if (!(h->state.config & CONFIG_LEGACY))
        irq_set(&h->isa[pin], level);
}

struct irq_line hpet_pit_line(struct hpet *h)
{
    return (struct irq_line){isa_input, h, 0};
}

struct irq_line hpet_rtc_line(struct hpet *h)
{
    return (struct irq_line){isa_input, h, 1};
}

static void hpet_reset(void *device)
{
    struct hpet *h = device;
    struct hpet_state *s = &h->state;
    const struct irq_line *old_line[HPET_TIMERS];

    for (u32 i = 0; i < HPET_TIMERS; i++)
        old_line[i] = output(h, i);
    *s = (struct hpet_state){.pit_level = s->pit_level, .rtc_level = s->rtc_level};
    for (u32 i = 0; i < HPET_TIMERS; i++) {
        s->timer[i].config = ROUTES | TN_CAN_PERIODIC | TN_IS_64;
        s->timer[i].comparator = ~(u64)0;
        timer_cancel(h->clock, &h->channel[i].timer);
    }
    for (u32 i = 0; i < HPET_TIMERS; i++)
        drive(h, old_line[i]);
    drive_isa(h);
}

static void hpet_post_load(void *device)
{
    struct hpet *h = device;

    drive_isa(h);
    for (u32 i = 0; i < HPET_TIMERS; i++) {
        drive(h, output(h, i));
        arm(h, i);
    }
}

static const struct device_ops hpet_ops = {"hpet", hpet_reset, hpet_post_load, free};

struct hpet *hpet_create(struct clock *clock, struct irq_line irq0, struct irq_line irq8,
                         const struct irq_line *gsi, struct error *error)
{
    struct hpet *h = calloc(1, sizeof(*h));

    (void)error; /* it has no ports that could be taken */
    CHECK(h != NULL);
    h->clock = clock;
    h->isa[0] = irq0;
    h->isa[1] = irq8;
    for (u32 i = 0; i < GSIS; i++)
        h->gsi[i] = gsi[i];
    for (u32 i = 0; i < HPET_TIMERS; i++) {
        h->channel[i].hpet = h;
        h->channel[i].index = i;
        timer_init(clock, &h->channel[i].timer, timer_fired, &h->channel[i]);
    }
    hpet_reset(h);
    return h;
}

struct device hpet_device(struct hpet *h)
{
    return (struct device){&hpet_ops, h, &h->state, sizeof(h->state)};
}
