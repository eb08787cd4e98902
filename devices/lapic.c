/* SPDX-License-Identifier: MIT */
/*
 * One local APIC: registers, priorities, local interrupts, timer. SDM Vol 3A chapter 11 (section
 * numbers below are of that chapter). Level-triggered LINT pins deliver on their rising edge.
 */
#include "base/bits.h"
#include "base/check.h"
#include "base/log.h"
#include "devices/lapic_internal.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct lapic_state) == 5 * 8 + (24 + LVT_COUNT + 9) * 4 + 12,
               "padding in lapic_state");

/* Register numbers: MMIO offset / 16, x2APIC MSR - 800h (table 11-6). */
enum lapic_register {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_TMICT = 0x38,
    REG_TMCCT = 0x39,
    REG_TDCR = 0x3e,
    REG_SELF_IPI = 0x3f,
    REG_COUNT = 0x40,
};

enum {
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    MSR_X2APIC_LAST = 0x8ff,

    BASE_BSP = 0x100,
    BASE_X2APIC = 0x400,
    BASE_ENABLE = 0x800,
    BASE_MODE = BASE_X2APIC | BASE_ENABLE,

    SVR_ENABLE = 0x100,
    SVR_NO_EOI_BROADCAST = 0x1000,
    SVR_BITS = 0x13ff,

    LVT_STATUS = 0x1000, /* delivery status: always idle */
    LVT_REMOTE_IRR = 0x4000,
    LVT_MASKED = 0x10000,

    TIMER_ONE_SHOT = 0,
    TIMER_PERIODIC = 1,
    TIMER_DEADLINE = 2,

    ESR_SEND_ILLEGAL = 0x20,
    ESR_RECEIVE_ILLEGAL = 0x40,
    ESR_REGISTER = 0x80,

    ICR_LOGICAL = 0x800,
    ICR_ASSERT = 0x4000,
    ICR_LEVEL = 0x8000,
    ICR_BITS = 0x000cdfff,
    ICR_STATUS = 0x1000,
};

static const u32 lvt_bits[LVT_COUNT] = {
    [LVT_TIMER] = 0x710ff, [LVT_THERMAL] = 0x117ff, [LVT_PERF] = 0x117ff,
    [LVT_LINT0] = 0x1f7ff, [LVT_LINT1] = 0x1f7ff,   [LVT_ERROR] = 0x110ff,
};

static void timer_rearm(struct lapic *l);

/* ---- modes ---- */

bool lapic_enabled(const struct lapic *l)
{
    return l->state.base & BASE_ENABLE;
}

static bool is_x2apic(const struct lapic *l)
{
    return (l->state.base & BASE_MODE) == BASE_MODE;
}

static bool is_software_enabled(const struct lapic *l)
{
    return l->state.svr & SVR_ENABLE;
}

static u64 base_page(const struct lapic *l)
{
    return l->state.base & BITS(63, 12);
}

static void notify_page(const struct lapic *l)
{
    if (l->config.page != NULL)
        l->config.page(l->config.page_ctx, lapic_enabled(l) && !is_x2apic(l), base_page(l));
}

/* ---- vectors and priorities (8.3, 8.4) ---- */

static void vector_set(u32 *bits, u32 vector)
{
    bits[vector / 32] |= 1u << vector % 32;
}

static void vector_clear(u32 *bits, u32 vector)
{
    bits[vector / 32] &= ~(1u << vector % 32);
}

static bool vector_is_set(const u32 *bits, u32 vector)
{
    return bits[vector / 32] >> vector % 32 & 1;
}

/* The highest vector set, 0 if none: vectors below 16 never get in. */
static u32 vector_highest(const u32 *bits)
{
    for (u32 i = 8; i-- > 0;)
        if (bits[i] != 0)
            return i * 32 + 31 - (u32)__builtin_clz(bits[i]);
    return 0;
}

static u32 processor_priority(const struct lapic *l)
{
    const u32 in_service = vector_highest(l->state.isr);

    return l->state.tpr >> 4 >= in_service >> 4 ? l->state.tpr : in_service & 0xf0;
}

u32 lapic_arbitration(const struct lapic *l)
{
    const u32 tpr = l->state.tpr;
    const u32 irr = vector_highest(l->state.irr);
    const u32 isr = vector_highest(l->state.isr);
    u32 highest = tpr & 0xf0;

    if (tpr >> 4 >= irr >> 4 && tpr >> 4 > isr >> 4)
        return tpr;
    highest = (irr & 0xf0) > highest ? irr & 0xf0 : highest;
    return (isr & 0xf0) > highest ? isr & 0xf0 : highest;
}

/* The fixed interrupt to deliver now, 0 if none. */
static u32 deliverable(const struct lapic *l)
{
    const u32 vector = vector_highest(l->state.irr);

    if (vector == 0 || !lapic_enabled(l) || vector >> 4 <= processor_priority(l) >> 4)
        return 0;
    return vector;
}

/* INTR of the 8259 reaches the CPU through LINT0 as ExtINT, past all priorities, and directly while
 * the APIC is off (4.3). */
static bool extint_waits(const struct lapic *l)
{
    const u32 lint0 = l->state.lvt[LVT_LINT0];

    if (l->state.extint)
        return true;
    if (!l->state.lint0)
        return false;
    return !lapic_enabled(l) || (!(lint0 & LVT_MASKED) && bits_get(lint0, 10, 8) == APIC_EXTINT);
}

bool lapic_has_interrupt(const struct lapic *l)
{
    return extint_waits(l) || deliverable(l) != 0;
}

static void tell_cpu(const struct lapic *l, enum cpu_signal signal, u32 value)
{
    if (l->config.cpu.signal != NULL)
        l->config.cpu.signal(l->config.cpu.ctx, signal, value);
}

static void update(struct lapic *l)
{
    const bool intr = lapic_has_interrupt(l);

    if (intr == l->intr)
        return;
    l->intr = intr;
    tell_cpu(l, CPU_INTR, intr);
}

u8 lapic_ack(struct lapic *l)
{
    struct lapic_state *s = &l->state;
    u8 vector;

    if (extint_waits(l)) {
        s->extint = 0;
        vector = lapic_bus_pic_ack(l->bus);
        update(l);
        return vector;
    }
    vector = (u8)deliverable(l);
    if (vector == 0)
        return (u8)s->svr; /* spurious (9) */
    vector_clear(s->irr, vector);
    vector_set(s->isr, vector);
    update(l);
    return vector;
}

void lapic_eoi(struct lapic *l)
{
    struct lapic_state *s = &l->state;
    const u32 vector = vector_highest(s->isr);

    if (vector == 0)
        return;
    vector_clear(s->isr, vector);
    if (vector_is_set(s->tmr, vector) && !(s->svr & SVR_NO_EOI_BROADCAST))
        lapic_bus_eoi(l->bus, (u8)vector);
    update(l);
}

u64 lapic_tpr_read(const struct lapic *l)
{
    return l->state.tpr >> 4;
}

void lapic_tpr_write(struct lapic *l, u64 cr8)
{
    l->state.tpr = (u32)(cr8 & 15) << 4;
    update(l);
}

/* ---- arrival of interrupts ---- */

static void local_interrupt(struct lapic *l, enum lapic_lvt entry);

static void note_error(struct lapic *l, u32 bit)
{
    const bool news = !(l->state.esr_pending & bit);

    l->state.esr_pending |= bit;
    if (news)
        local_interrupt(l, LVT_ERROR);
}

static bool accept_fixed(struct lapic *l, u8 vector, bool level)
{
    struct lapic_state *s = &l->state;

    if (!is_software_enabled(l))
        return false;
    if (vector < 16) {
        note_error(l, ESR_RECEIVE_ILLEGAL);
        return false;
    }
    vector_set(s->irr, vector);
    if (level)
        vector_set(s->tmr, vector);
    else
        vector_clear(s->tmr, vector);
    update(l);
    return true;
}

bool lapic_accept(struct lapic *l, enum apic_delivery mode, u8 vector, bool level)
{
    if (!lapic_enabled(l))
        return false;
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST: return accept_fixed(l, vector, level);
    case APIC_SMI: tell_cpu(l, CPU_SMI, 0); return true;
    case APIC_NMI: tell_cpu(l, CPU_NMI, 0); return true;
    case APIC_INIT: tell_cpu(l, CPU_INIT, 0); return true;
    case APIC_SIPI: tell_cpu(l, CPU_SIPI, vector); return true;
    case APIC_EXTINT:
        l->state.extint = 1;
        update(l);
        return true;
    case APIC_REMOTE_READ: break;
    }
    return false;
}

/* An event of the APIC's own, by its LVT entry (5.1). */
static void local_interrupt(struct lapic *l, enum lapic_lvt entry)
{
    const u32 lvt = l->state.lvt[entry];
    enum apic_delivery mode = (enum apic_delivery)bits_get(lvt, 10, 8);

    if (lvt & LVT_MASKED)
        return;
    if (entry == LVT_TIMER || entry == LVT_ERROR)
        mode = APIC_FIXED;
    /* ExtINT is a level that extint_waits() sees; SIPI and the rest do not exist here. */
    if (mode == APIC_FIXED || mode == APIC_SMI || mode == APIC_NMI || mode == APIC_INIT)
        (void)lapic_accept(l, mode, (u8)lvt, false);
    /* A performance interrupt masks itself (SDM Vol 3B 20.6.3.5). */
    if (entry == LVT_PERF)
        l->state.lvt[LVT_PERF] |= LVT_MASKED;
}

void lapic_local_event(struct lapic *lapic, enum lapic_lvt entry)
{
    local_interrupt(lapic, entry);
}

void lapic_set_lint(struct lapic *l, enum lapic_lvt lint, bool level)
{
    u8 *pin = lint == LVT_LINT0 ? &l->state.lint0 : &l->state.lint1;
    const bool rises = level && !*pin;

    *pin = level;
    if (rises && lapic_enabled(l))
        local_interrupt(l, lint);
    else if (rises && lint == LVT_LINT1)
        tell_cpu(l, CPU_NMI, 0); /* with the APIC off the pin is NMI */
    update(l);
}

/* ---- interprocessor interrupts (6) ---- */

static void send(struct lapic *l, u64 icr)
{
    const struct ipi ipi = {
        .dest = (u32)(is_x2apic(l) ? icr >> 32 : icr >> 56),
        .wide = is_x2apic(l),
        .logical = icr & ICR_LOGICAL,
        .mode = (enum apic_delivery)bits_get(icr, 10, 8),
        .vector = (u8)icr,
        .level = false, /* IPIs count as edges whatever ICR says (6.1) */
    };

    switch (ipi.mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (ipi.vector < 16) {
            note_error(l, ESR_SEND_ILLEGAL);
            return;
        }
        break;
    case APIC_INIT:
        /* INIT level de-assert only loads arbitration IDs, which are no more. */
        if ((icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
            return;
        break;
    case APIC_SMI:
    case APIC_NMI:
    case APIC_SIPI: break;
    case APIC_REMOTE_READ:
    case APIC_EXTINT: return;
    }
    lapic_bus_send(l->bus, l, (enum ipi_shorthand)bits_get(icr, 19, 18), &ipi);
}

static void write_icr(struct lapic *l, u64 value)
{
    l->state.icr = value & ((ICR_BITS & ~ICR_STATUS) | BITS(63, 32));
    send(l, l->state.icr);
}

/* ---- timer (5.4) ---- */

static u32 timer_mode(const struct lapic *l)
{
    return (u32)bits_get(l->state.lvt[LVT_TIMER], 18, 17);
}

/* Nanoseconds per count: 2, 4 .. 128, 1 for the values 0 .. 7 of bits 3, 1, 0. */
static u64 timer_divisor(const struct lapic *l)
{
    const u32 field = (l->state.timer_divide & 3) | (l->state.timer_divide >> 1 & 4);

    return (u64)1 << ((field + 1) & 7);
}

static u64 tsc_now(const struct lapic *l)
{
    return l->clock->now + l->state.tsc_offset;
}

/* Counts since timer_start. */
static u64 timer_elapsed(const struct lapic *l)
{
    return (l->clock->now - l->state.timer_start) / timer_divisor(l);
}

/* Take note of expiries up to now: a one-shot stops, a period begins where it began. */
static void timer_settle(struct lapic *l)
{
    struct lapic_state *s = &l->state;
    const u64 counts = s->timer_running ? timer_elapsed(l) : 0;

    if (!s->timer_running || counts < s->timer_initial)
        return;
    if (timer_mode(l) == TIMER_PERIODIC)
        s->timer_start += counts / s->timer_initial * s->timer_initial * timer_divisor(l);
    else
        s->timer_running = 0;
}

static u32 timer_current(struct lapic *l)
{
    timer_settle(l);
    return l->state.timer_running ? l->state.timer_initial - (u32)timer_elapsed(l) : 0;
}

static void timer_fired(void *ctx)
{
    struct lapic *l = ctx;

    if (timer_mode(l) == TIMER_DEADLINE)
        l->state.tsc_deadline = 0;
    else
        timer_settle(l);
    local_interrupt(l, LVT_TIMER);
    timer_rearm(l);
}

/* Wait for the next expiry that somebody will notice. Requires a settled timer. */
static void timer_rearm(struct lapic *l)
{
    struct lapic_state *s = &l->state;
    u64 at = CLOCK_NEVER;

    if (timer_mode(l) == TIMER_DEADLINE) {
        const u64 left = s->tsc_deadline - tsc_now(l);

        if (s->tsc_deadline != 0 && s->tsc_deadline <= tsc_now(l)) {
            timer_fired(l); /* in the past: at once; clears the deadline, so no recursion */
            return;
        }
        if (s->tsc_deadline != 0 && left < CLOCK_NEVER - l->clock->now)
            at = l->clock->now + left;
    } else if (s->timer_running && !(s->lvt[LVT_TIMER] & LVT_MASKED)) {
        at = s->timer_start + s->timer_initial * timer_divisor(l);
    }
    timer_arm(l->clock, &l->timer, at);
}

static void write_initial_count(struct lapic *l, u32 value)
{
    struct lapic_state *s = &l->state;

    if (timer_mode(l) == TIMER_DEADLINE)
        return;
    s->timer_initial = value;
    s->timer_start = l->clock->now;
    s->timer_running = value != 0;
    timer_rearm(l);
}

static void write_divide(struct lapic *l, u32 value)
{
    struct lapic_state *s = &l->state;
    const u32 left = timer_current(l);

    s->timer_divide = value & 0xb;
    /* The count goes on from where it was; before power-on is fine, as only differences count. */
    s->timer_start = l->clock->now - (s->timer_initial - left) * timer_divisor(l);
    timer_rearm(l);
}

static void write_lvt(struct lapic *l, enum lapic_lvt entry, u32 value)
{
    struct lapic_state *s = &l->state;
    const u32 old_mode = timer_mode(l);

    if (entry == LVT_TIMER)
        timer_settle(l);
    value &= lvt_bits[entry] & ~(u32)(LVT_STATUS | LVT_REMOTE_IRR);
    if (entry == LVT_TIMER && !l->config.deadline)
        value &= ~(1u << 18);
    if (!is_software_enabled(l))
        value |= LVT_MASKED;
    s->lvt[entry] = value;
    if (entry == LVT_TIMER) {
        /* To or from deadline mode disarms the timer (5.4.1). */
        if ((old_mode == TIMER_DEADLINE) != (timer_mode(l) == TIMER_DEADLINE)) {
            s->timer_initial = 0;
            s->timer_running = 0;
            s->tsc_deadline = 0;
        }
        timer_rearm(l);
    }
    update(l); /* LINT0 may let ExtINT in */
}

void lapic_set_tsc_offset(struct lapic *l, u64 offset)
{
    l->state.tsc_offset = offset;
    if (timer_mode(l) == TIMER_DEADLINE)
        timer_rearm(l);
}

/* ---- registers ---- */

static void write_svr(struct lapic *l, u32 value)
{
    struct lapic_state *s = &l->state;

    s->svr = value & SVR_BITS;
    if (is_software_enabled(l))
        return;
    /* Disabled by software: all local interrupts are masked (4.7.2). */
    timer_settle(l);
    for (u32 i = 0; i < LVT_COUNT; i++)
        s->lvt[i] |= LVT_MASKED;
    timer_rearm(l);
    update(l);
}

static bool is_reserved(u32 reg)
{
    return reg < REG_ID || (reg > REG_VERSION && reg < REG_TPR) ||
           (reg > REG_ESR && reg < REG_ICR) || (reg > REG_TMCCT && reg < REG_TDCR) ||
           reg >= REG_SELF_IPI;
}

static u32 register_read(struct lapic *l, u32 reg)
{
    const struct lapic_state *s = &l->state;

    if (reg >= REG_ISR && reg < REG_TMR)
        return s->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_IRR)
        return s->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_ESR)
        return s->irr[reg - REG_IRR];
    if (reg >= REG_LVT && reg < REG_TMICT)
        return s->lvt[reg - REG_LVT];
    switch (reg) {
    case REG_ID: return is_x2apic(l) ? s->id : s->id << 24;
    /* bit 24: EOI broadcast suppression is there */
    case REG_VERSION: return LAPIC_VERSION | (LVT_COUNT - 1) << 16 | 1u << 24;
    case REG_TPR: return s->tpr;
    case REG_APR: return lapic_arbitration(l);
    case REG_PPR: return processor_priority(l);
    case REG_LDR: return s->ldr;
    case REG_DFR: return s->dfr;
    case REG_SVR: return s->svr;
    case REG_ESR: return s->esr;
    case REG_ICR: return (u32)s->icr;
    case REG_ICR_HIGH: return (u32)(s->icr >> 32);
    case REG_TMICT: return s->timer_initial;
    case REG_TMCCT: return timer_current(l);
    case REG_TDCR: return s->timer_divide;
    default: return 0; /* write-only, or not there */
    }
}

static void register_write(struct lapic *l, u32 reg, u32 value)
{
    struct lapic_state *s = &l->state;

    if (reg >= REG_LVT && reg < REG_TMICT) {
        write_lvt(l, (enum lapic_lvt)(reg - REG_LVT), value);
        return;
    }
    switch (reg) {
    case REG_ID: s->id = value >> 24; break;
    case REG_TPR:
        s->tpr = value & 0xff;
        update(l);
        break;
    case REG_EOI: lapic_eoi(l); break;
    case REG_LDR: s->ldr = value & 0xff000000; break;
    case REG_DFR: s->dfr = value | 0x0fffffff; break;
    case REG_SVR: write_svr(l, value); break;
    case REG_ESR:
        /* A write shows what came up since the last one (5.3). */
        s->esr = s->esr_pending;
        s->esr_pending = 0;
        break;
    case REG_ICR: write_icr(l, (s->icr & BITS(63, 32)) | value); break;
    case REG_ICR_HIGH: s->icr = (u64)(value & 0xff000000) << 32 | (u32)s->icr; break;
    case REG_TMICT: write_initial_count(l, value); break;
    case REG_TDCR: write_divide(l, value); break;
    case REG_SELF_IPI: send(l, (u64)IPI_TO_SELF << 18 | (value & 0xff)); break;
    default: break; /* read-only */
    }
}

/* ---- x2APIC (12) ---- */

enum { READ = 1, WRITE = 2 };

struct x2apic_access {
    u8 access;
    u64 writable; /* other bits must be written as 0 */
};

static struct x2apic_access x2apic_access(const struct lapic *l, u32 reg)
{
    if (reg >= REG_ISR && reg < REG_ESR)
        return (struct x2apic_access){READ, 0};
    if (reg >= REG_LVT && reg < REG_TMICT) {
        const u32 no_deadline = reg == REG_LVT && !l->config.deadline ? 1u << 18 : 0;

        return (struct x2apic_access){READ | WRITE, lvt_bits[reg - REG_LVT] & ~no_deadline};
    }
    switch (reg) {
    case REG_ID:
    case REG_VERSION:
    case REG_PPR:
    case REG_LDR:
    case REG_TMCCT: return (struct x2apic_access){READ, 0};
    case REG_TPR: return (struct x2apic_access){READ | WRITE, 0xff};
    case REG_EOI: return (struct x2apic_access){WRITE, 0};
    case REG_SVR: return (struct x2apic_access){READ | WRITE, SVR_BITS};
    case REG_ESR: return (struct x2apic_access){READ | WRITE, 0};
    /* The delivery status bit is gone, yet writing it as 1 is let pass, as processors do. */
    case REG_ICR: return (struct x2apic_access){READ | WRITE, ICR_BITS | BITS(63, 32)};
    case REG_TMICT: return (struct x2apic_access){READ | WRITE, BITS(31, 0)};
    case REG_TDCR: return (struct x2apic_access){READ | WRITE, 0xb};
    case REG_SELF_IPI: return (struct x2apic_access){WRITE, 0xff};
    default: return (struct x2apic_access){0, 0};
    }
}

static bool x2apic_read(struct lapic *l, u32 reg, u64 *value)
{
    if (!is_x2apic(l) || reg >= REG_COUNT || !(x2apic_access(l, reg).access & READ))
        return false;
    *value = reg == REG_ICR ? l->state.icr : register_read(l, reg);
    return true;
}

static bool x2apic_write(struct lapic *l, u32 reg, u64 value)
{
    struct x2apic_access may;

    if (!is_x2apic(l) || reg >= REG_COUNT)
        return false;
    may = x2apic_access(l, reg);
    if (!(may.access & WRITE) || (value & ~may.writable) != 0)
        return false;
    if (reg == REG_ICR)
        write_icr(l, value);
    else
        register_write(l, reg, (u32)value);
    return true;
}

/* ---- IA32_APIC_BASE (4.3, 12.5) and the other MSRs ---- */

static void registers_reset(struct lapic *l)
{
    struct lapic_state *s = &l->state;
    const struct lapic_state old = *s;

    *s = (struct lapic_state){.base = old.base,
                              .id = old.id,
                              .ldr = is_x2apic(l) ? old.ldr : 0,
                              .tsc_offset = old.tsc_offset,
                              .lint0 = old.lint0,
                              .lint1 = old.lint1,
                              .dfr = ~(u32)0,
                              .svr = 0xff};
    for (u32 i = 0; i < LVT_COUNT; i++)
        s->lvt[i] = LVT_MASKED;
    timer_cancel(l->clock, &l->timer);
}

static bool write_base(struct lapic *l, u64 value)
{
    struct lapic_state *s = &l->state;
    const u32 old = (u32)s->base & BASE_MODE;
    const u32 mode = (u32)value & BASE_MODE;
    u64 reserved = BITS(63, l->config.phys_bits) | BITS(7, 0) | BIT(9);

    if (!l->config.x2apic)
        reserved |= BASE_X2APIC;
    if (value & reserved)
        return false;
    /* Figure 11-27: x2APIC is entered from xAPIC only, and left only to "disabled". */
    if (mode == BASE_X2APIC || (old == BASE_MODE && mode == BASE_ENABLE) ||
        (old == 0 && mode == BASE_MODE))
        return false;
    s->base = value;
    if (old != 0 && mode == 0) {
        /* CR8 stays usable while the APIC is off. */
        const u32 tpr = s->tpr;

        registers_reset(l);
        s->tpr = tpr;
    } else if (old == 0 && mode != 0) {
        s->id = l->config.id;
        registers_reset(l);
    } else if (old != BASE_MODE && mode == BASE_MODE) {
        s->id = l->config.id;
        s->ldr = s->id >> 4 << 16 | 1u << (s->id & 15);
        s->icr = (u32)s->icr;
    }
    notify_page(l);
    update(l);
    return true;
}

static bool write_deadline(struct lapic *l, u64 value)
{
    if (!l->config.deadline)
        return false;
    if (timer_mode(l) == TIMER_DEADLINE) {
        l->state.tsc_deadline = value;
        timer_rearm(l);
    }
    return true;
}

bool lapic_msr_read(struct lapic *l, u32 index, u64 *value)
{
    if (index >= MSR_X2APIC && index <= MSR_X2APIC_LAST)
        return x2apic_read(l, index - MSR_X2APIC, value);
    if (index == MSR_APIC_BASE) {
        *value = l->state.base;
        return true;
    }
    if (index == MSR_TSC_DEADLINE && l->config.deadline) {
        *value = l->state.tsc_deadline;
        return true;
    }
    return false;
}

bool lapic_msr_write(struct lapic *l, u32 index, u64 value)
{
    if (index >= MSR_X2APIC && index <= MSR_X2APIC_LAST)
        return x2apic_write(l, index - MSR_X2APIC, value);
    if (index == MSR_APIC_BASE)
        return write_base(l, value);
    return index == MSR_TSC_DEADLINE && write_deadline(l, value);
}

/* ---- MMIO (4.1) ---- */

static bool is_mmio_mode(const struct lapic *l)
{
    return lapic_enabled(l) && !is_x2apic(l);
}

u64 lapic_mmio_read(void *ctx, u64 offset, u32 size)
{
    struct lapic *l = ctx;
    const u32 reg = (u32)(offset & 0xfff) >> 4;
    const u32 byte = offset & 15;
    u64 value;

    if (!is_mmio_mode(l))
        return width_mask(size);
    if (is_reserved(reg)) {
        note_error(l, ESR_REGISTER);
        return 0;
    }
    value = register_read(l, reg);
    /* Only the first four of each 16 bytes are there; parts of them can be read. */
    return byte < 4 ? value >> (8 * byte) & width_mask(size) : 0;
}

void lapic_mmio_write(void *ctx, u64 offset, u32 size, u64 value)
{
    struct lapic *l = ctx;
    const u32 reg = (u32)(offset & 0xfff) >> 4;

    if (!is_mmio_mode(l))
        return;
    if ((offset & 15) != 0 || size < 4) {
        LOG(LOG_GUEST_ERROR, "local APIC: write of %u bytes at %#x", size, (u32)offset & 0xfff);
        return;
    }
    if (is_reserved(reg))
        note_error(l, ESR_REGISTER);
    else
        register_write(l, reg, (u32)value);
}

/* ---- life ---- */

void lapic_init(struct lapic *l)
{
    registers_reset(l);
    update(l);
}

static void lapic_reset(void *device)
{
    struct lapic *l = device;
    struct lapic_state *s = &l->state;

    s->base = 0xfee00000 | BASE_ENABLE | (l->config.bsp ? BASE_BSP : 0);
    s->id = l->config.id;
    registers_reset(l);
    /* Firmware leaves the BSP in virtual wire mode (MP Specification 3.6.2.2). */
    if (l->config.bsp)
        s->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    notify_page(l);
    update(l);
}

static void lapic_post_load(void *device)
{
    struct lapic *l = device;

    l->intr = lapic_has_interrupt(l);
    tell_cpu(l, CPU_INTR, l->intr);
    notify_page(l);
    timer_rearm(l);
}

static void lapic_destroy(void *device)
{
    struct lapic *l = device;

    lapic_bus_leave(l->bus, l);
    free(l);
}

static const struct device_ops lapic_ops = {"lapic", lapic_reset, lapic_post_load, lapic_destroy};

struct lapic *lapic_create(struct clock *clock, struct lapic_bus *bus,
                           const struct lapic_config *config, struct error *error)
{
    struct lapic *l = calloc(1, sizeof(*l));

    CHECK(l != NULL);
    l->config = *config;
    l->clock = clock;
    l->bus = bus;
    if (!lapic_bus_join(bus, l, error)) {
        free(l);
        return NULL;
    }
    timer_init(clock, &l->timer, timer_fired, l);
    lapic_reset(l);
    return l;
}

struct device lapic_device(struct lapic *l)
{
    return (struct device){&lapic_ops, l, &l->state, sizeof(l->state)};
}

u32 lapic_initial_id(const struct lapic *l)
{
    return l->config.id;
}
