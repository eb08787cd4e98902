/* SPDX-License-Identifier: MIT */
/*
 * 8254 interval timer: Intel data sheet 231164, "Mode Definitions". Nothing counts: each value is
 * computed from the tick (of 1193182 Hz, since power-on) at which the counting element was loaded.
 */
#include "devices/pit.h"

#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct pit_channel_state) == 48, "padding in pit_channel_state");
_Static_assert(sizeof(struct pit_state) == 3 * 48 + 16, "padding in pit_state");

#define TICK_NEVER CLOCK_NEVER

enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };
enum { PORT61_GATE2 = 0x01, PORT61_KEPT = 0x0f, PORT61_REFRESH = 0x10, PORT61_OUT2 = 0x20 };
enum { REFRESH_NS = 15085 }; /* half a period of the refresh request */

struct pit {
    struct pit_state state;
    struct clock *clock;
    struct timer timer;
    struct irq_line irq0;
};

static u64 tick_now(const struct pit *pit)
{
    return clock_ticks(pit->clock->now, 0, PIT_HZ);
}

/* Ticks since the counting element was loaded; 0 if that comes only with the next tick. */
static u64 elapsed(const struct pit_channel_state *c, u64 t)
{
    if (!c->running)
        return c->stopped;
    return (i64)(t - c->start) < 0 ? 0 : t - c->start;
}

static bool not_yet_loaded(const struct pit_channel_state *c, u64 t)
{
    return c->running && (i64)(t - c->start) < 0;
}

static u64 high_half(u32 count)
{
    return ((u64)count + 1) / 2;
}

static bool out_level(const struct pit_channel_state *c, u64 t)
{
    const u64 e = elapsed(c, t);

    switch (c->mode) {
    case 0: return c->loaded && e >= c->count;
    case 1: return !c->triggered || not_yet_loaded(c, t) || e >= c->count;
    case 2: return !c->running || not_yet_loaded(c, t) || e % c->count != c->count - 1;
    case 3: return !c->running || e % c->count < high_half(c->count);
    case 4: return !c->loaded || e != c->count;
    default: return !c->triggered || e != c->count;
    }
}

/* The tick at which OUT changes by itself when the count in use is not loaded yet. */
static u64 first_change(const struct pit_channel_state *c)
{
    switch (c->mode) {
    case 1: return c->start;
    case 2: return c->start + c->count - 1;
    case 3: return c->count > 1 ? c->start + high_half(c->count) : TICK_NEVER;
    default: return c->start + c->count;
    }
}

/* First tick after t at which OUT changes by itself, with the count in use. */
static u64 next_change(const struct pit_channel_state *c, u64 t)
{
    const u64 e = elapsed(c, t);
    const u64 n = c->count;
    u64 p;

    if (!c->running)
        return TICK_NEVER;
    if (not_yet_loaded(c, t))
        return first_change(c);
    p = e % n;
    switch (c->mode) {
    case 0:
    case 1: return e < n ? c->start + n : TICK_NEVER;
    case 2:
        if (n == 1)
            return TICK_NEVER;
        return p < n - 1 ? t + n - 1 - p : t + 1;
    case 3:
        if (n == 1)
            return TICK_NEVER;
        return p < high_half(c->count) ? t + high_half(c->count) - p : t + n - p;
    default:
        if (e < n)
            return c->start + n;
        return e == n ? t + 1 : TICK_NEVER;
    }
}

/* Take a count that waited for the end of a period (modes 2, 3) if t is past that. */
static void take_pending(struct pit_channel_state *c, u64 t)
{
    bool half;

    if (c->pending == 0 || !c->running || t < c->switch_at)
        return;
    half = (c->switch_at - c->start) % c->count != 0;
    c->count = c->pending;
    c->pending = 0;
    c->start = half ? c->switch_at - high_half(c->count) : c->switch_at;
    c->switch_at = TICK_NEVER;
}

static u32 modulus(const struct pit_channel_state *c)
{
    return c->bcd ? 10000 : 0x10000;
}

static u16 to_bcd(u32 value)
{
    return (u16)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
                 value / 1000 % 10 << 12);
}

static u32 from_bcd(u32 value)
{
    return (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 + (value >> 12) * 1000;
}

/* The counting element as the guest reads it. */
static u16 count_value(const struct pit_channel_state *c, u64 t)
{
    const u64 e = elapsed(c, t);
    const u32 m = modulus(c);
    u64 value;

    if (c->mode == 2) {
        value = c->count - e % c->count;
    } else if (c->mode == 3) {
        /* Steps of two; an odd count shows one step more in its high half. */
        const u64 p = e % c->count;
        const u64 high = high_half(c->count);

        value = (c->count & ~1u) - 2 * (p < high ? p : p - high);
    } else {
        value = c->count + m - e % m;
    }
    value %= m;
    return c->bcd ? to_bcd((u32)value) : (u16)value;
}

static void load(struct pit_channel_state *c, u32 count, u64 t)
{
    c->count = count;
    c->pending = 0;
    c->switch_at = TICK_NEVER;
    c->loaded = 1;
    c->running = c->gate;
    c->stopped = 0;
    c->start = t + 1;
}

static void write_count(struct pit_channel_state *c, u16 raw, u64 t)
{
    u32 count = c->bcd ? from_bcd(raw) : raw;

    if (count == 0)
        count = modulus(c);
    switch (c->mode) {
    case 1:
    case 5: /* taken at the next trigger */
        c->pending = count;
        c->switch_at = TICK_NEVER;
        c->loaded = 1;
        break;
    case 2:
    case 3:
        if (!c->loaded || not_yet_loaded(c, t)) {
            load(c, count, t);
            break;
        }
        c->pending = count;
        if (c->running) {
            const u64 p = (t - c->start) % c->count;
            const u64 high = high_half(c->count);

            c->switch_at = t - p + (c->mode == 3 && p < high ? high : c->count);
        }
        break;
    default: load(c, count, t); break;
    }
}

static void set_gate(struct pit_channel_state *c, bool gate, u64 t)
{
    if (gate == c->gate)
        return;
    c->gate = gate;
    switch (c->mode) {
    case 1:
    case 5:
        if (!gate || !c->loaded)
            return;
        load(c, c->pending != 0 ? c->pending : c->count, t);
        c->triggered = 1;
        break;
    case 2:
    case 3:
        if (!c->loaded)
            return;
        if (gate) {
            load(c, c->pending != 0 ? c->pending : c->count, t);
        } else {
            c->stopped = elapsed(c, t);
            c->running = 0;
        }
        break;
    default:
        if (!c->loaded)
            return;
        if (gate)
            c->start = t - c->stopped;
        else
            c->stopped = elapsed(c, t);
        c->running = gate;
        break;
    }
}

static void write_counter(struct pit_channel_state *c, u8 value, u64 t)
{
    if (c->access == ACCESS_LOW) {
        write_count(c, value, t);
    } else if (c->access == ACCESS_HIGH) {
        write_count(c, (u16)(value << 8), t);
    } else if (!c->write_high_next) {
        c->write_low = value;
        c->write_high_next = 1;
        /* In mode 0 the first byte stops the counter and OUT goes low (data sheet, mode 0). */
        if (c->mode == 0) {
            c->stopped = 0;
            c->running = 0;
            c->loaded = 0;
        }
    } else {
        c->write_high_next = 0;
        write_count(c, (u16)(value << 8 | c->write_low), t);
    }
}

static u8 read_counter(struct pit_channel_state *c, u64 t)
{
    u16 value;

    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->count_latched != 0) {
        const bool low = c->count_latched & ACCESS_LOW;

        c->count_latched &= low ? (u8)~ACCESS_LOW : 0;
        return (u8)(low ? c->latched : c->latched >> 8);
    }
    value = count_value(c, t);
    if (c->access == ACCESS_BOTH) {
        c->read_high_next ^= 1;
        return (u8)(c->read_high_next ? value : value >> 8);
    }
    return (u8)(c->access == ACCESS_LOW ? value : value >> 8);
}

static void latch_count(struct pit_channel_state *c, u64 t)
{
    if (c->count_latched != 0)
        return;
    c->latched = count_value(c, t);
    c->count_latched = c->access;
}

static void latch_status(struct pit_channel_state *c, u64 t)
{
    if (c->status_latched)
        return;
    c->status =
        (u8)(out_level(c, t) << 7 | (c->pending != 0 || !c->loaded || not_yet_loaded(c, t)) << 6 |
             c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = 1;
}

static void read_back(struct pit *pit, u8 command, u64 t)
{
    for (u32 i = 0; i < 3; i++) {
        if (!(command >> (i + 1) & 1))
            continue;
        if (!(command & 0x20))
            latch_count(&pit->state.channel[i], t);
        if (!(command & 0x10))
            latch_status(&pit->state.channel[i], t);
    }
}

static void write_control(struct pit *pit, u8 value, u64 t)
{
    struct pit_channel_state *c;

    if (value >> 6 == 3) {
        read_back(pit, value, t);
        return;
    }
    c = &pit->state.channel[value >> 6];
    if ((value >> 4 & 3) == 0) {
        latch_count(c, t);
        return;
    }
    *c = (struct pit_channel_state){.stopped = elapsed(c, t),
                                    .switch_at = TICK_NEVER,
                                    .count = c->count,
                                    .gate = c->gate,
                                    .access = value >> 4 & 3,
                                    .bcd = value & 1,
                                    /* modes 6 and 7 are 2 and 3 */
                                    .mode = (value >> 1 & 7) > 5 ? value >> 1 & 3 : value >> 1 & 7};
}

/* Is there a rising edge of OUT in (from, to]? The count in use does not change in between. */
static bool rises_between(const struct pit_channel_state *c, u64 from, u64 to)
{
    const u64 first = next_change(c, from);
    u64 second;

    if (first > to)
        return false;
    if (out_level(c, first))
        return true;
    second = next_change(c, first);
    return second <= to;
}

/* Bring all channels up to tick t; ticks that were missed on IRQ0 become one edge. */
static void advance(struct pit *pit, u64 t)
{
    struct pit_channel_state *c = &pit->state.channel[0];
    u64 seen = pit->state.seen;
    bool rose = false;

    if (c->pending != 0 && c->running && t >= c->switch_at) {
        rose = rises_between(c, seen, c->switch_at - 1);
        seen = c->switch_at;
        if (out_level(c, seen) && !out_level(c, seen - 1))
            rose = true;
        take_pending(c, t);
    }
    rose |= rises_between(c, seen, t);
    pit->state.seen = t;
    take_pending(&pit->state.channel[1], t);
    take_pending(&pit->state.channel[2], t);
    if (rose) {
        irq_set(&pit->irq0, false);
        irq_set(&pit->irq0, true);
    }
}

static void drive(struct pit *pit, u64 t)
{
    const struct pit_channel_state *c = &pit->state.channel[0];
    u64 next = next_change(c, t);

    irq_set(&pit->irq0, out_level(c, t));
    if (c->pending != 0 && c->running && c->switch_at < next)
        next = c->switch_at;
    timer_arm(pit->clock, &pit->timer,
              next == TICK_NEVER ? CLOCK_NEVER : clock_tick_time(0, next, PIT_HZ));
}

static void timer_fired(void *ctx)
{
    struct pit *pit = ctx;
    const u64 t = tick_now(pit);

    advance(pit, t);
    drive(pit, t);
}

static void pit_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct pit *pit = ctx;
    const u64 t = tick_now(pit);

    (void)size;
    advance(pit, t);
    if (offset == 3)
        write_control(pit, (u8)value, t);
    else
        write_counter(&pit->state.channel[offset], (u8)value, t);
    drive(pit, t);
}

static u32 pit_read(void *ctx, u32 offset, u32 size)
{
    struct pit *pit = ctx;
    const u64 t = tick_now(pit);

    (void)size;
    if (offset == 3)
        return 0xff; /* the control word register cannot be read */
    if (pit->state.channel[offset].pending != 0)
        advance(pit, t);
    return read_counter(&pit->state.channel[offset], t);
}

static void port61_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct pit *pit = ctx;
    const u64 t = tick_now(pit);

    (void)offset, (void)size;
    take_pending(&pit->state.channel[2], t);
    pit->state.port61 = value & PORT61_KEPT;
    set_gate(&pit->state.channel[2], value & PORT61_GATE2, t);
}

static u32 port61_read(void *ctx, u32 offset, u32 size)
{
    struct pit *pit = ctx;
    const u64 t = tick_now(pit);

    (void)offset, (void)size;
    take_pending(&pit->state.channel[2], t);
    return pit->state.port61 | (pit->clock->now / REFRESH_NS & 1 ? PORT61_REFRESH : 0) |
           (out_level(&pit->state.channel[2], t) ? PORT61_OUT2 : 0);
}

/* As PC firmware leaves it: channel 0 in mode 3 at 18.2 Hz. The chip has no reset of its own. */
static void pit_reset(void *device)
{
    struct pit *pit = device;
    const u64 t = tick_now(pit);

    pit->state = (struct pit_state){.seen = t};
    for (u32 i = 0; i < 3; i++) {
        struct pit_channel_state *c = &pit->state.channel[i];

        c->gate = i != 2;
        c->mode = i == 0 ? 3 : 2;
        c->access = ACCESS_BOTH;
        load(c, 0x10000, t);
    }
    drive(pit, t);
}

static void pit_post_load(void *device)
{
    struct pit *pit = device;

    drive(pit, pit->state.seen);
}

static const struct port_ops pit_ports = {pit_read, pit_write, 1};
static const struct port_ops port61_ports = {port61_read, port61_write, 1};
static const struct device_ops pit_ops = {"pit", pit_reset, pit_post_load, free};

struct pit *pit_create(struct clock *clock, struct bus *bus, struct irq_line irq0,
                       struct error *error)
{
    struct pit *pit = calloc(1, sizeof(*pit));

    CHECK(pit != NULL);
    pit->clock = clock;
    pit->irq0 = irq0;
    if (!bus_add_ports(bus, "pit", 0x40, 4, &pit_ports, pit, error) ||
        !bus_add_ports(bus, "port 61", 0x61, 1, &port61_ports, pit, error)) {
        free(pit);
        return NULL;
    }
    timer_init(clock, &pit->timer, timer_fired, pit);
    pit_reset(pit);
    return pit;
}

struct device pit_device(struct pit *pit)
{
    return (struct device){&pit_ops, pit, &pit->state, sizeof(pit->state)};
}
