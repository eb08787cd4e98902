/* SPDX-License-Identifier: MIT */
/*
 * MC146818A real-time clock: Motorola data sheet, "Address map", "Registers", "Interrupts". The
 * time and the flags are computed when somebody looks; a timer runs only for enabled interrupts.
 */
#include "devices/rtc.h"

#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct rtc_state) == 24 + 256 + 8, "padding in rtc_state");

enum rtc_register {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_WEEKDAY = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    RTC_CENTURY = 0x32,
};

enum {
    A_UIP = 0x80,
    A_DIVIDER = 0x70,
    A_RATE = 0x0f,
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 0x08,
    B_BINARY = 0x04,
    B_24H = 0x02,
    C_IRQF = 0x80,
    C_PF = 0x40,
    C_AF = 0x20,
    C_UF = 0x10,
    D_VRT = 0x80, /* the battery is good */
    HOUR_PM = 0x80,
    ALARM_ANY = 0xc0,
};

enum { BASE_HZ = 32768, DAY = 86400 };
#define LAST_DATE ((i64)253402300799) /* 9999-12-31 23:59:59 */
/* Update cycle of 1984 us, announced 244 us before (data sheet, "Update cycle", 32768 Hz). */
#define UPDATE_NS ((u64)(244 + 1984) * 1000)

struct rtc {
    struct rtc_state state;
    struct clock *clock;
    struct timer timer;
    struct irq_line irq8, wake;
};

static u64 rtc_now(const struct rtc *rtc)
{
    return rtc->clock->now + RTC_PHASE_NS;
}

/* Divider settings 3 to 7 are test modes and reset: the chain stands still. */
static bool ticking(const struct rtc_state *s)
{
    return (s->cmos[RTC_A] & A_DIVIDER) <= 0x20;
}

static bool running(const struct rtc_state *s)
{
    return ticking(s) && !(s->cmos[RTC_B] & B_SET);
}

static i64 seconds_at(const struct rtc_state *s, u64 at)
{
    return s->base_seconds + (i64)((at - s->base_ns) / NS_PER_SECOND);
}

static u64 time_of_second(const struct rtc_state *s, i64 seconds)
{
    return s->base_ns + (u64)(seconds - s->base_seconds) * NS_PER_SECOND;
}

/* ---- calendar ---- */

/* Days from 1970-01-01 to the first of March of year y; months are then counted from March. */
static i64 days_to_march(i64 y)
{
    return 365 * y + y / 4 - y / 100 + y / 400 - 719468;
}

static i64 days_of_date(i64 year, u32 month, u32 day)
{
    const i64 y = month <= 2 ? year - 1 : year;
    const u32 m = month <= 2 ? month + 9 : month - 3;

    return days_to_march(y) + (153 * m + 2) / 5 + day - 1;
}

static void date_of_days(i64 days, i64 *year, u32 *month, u32 *day)
{
    i64 y = (days + 719468) * 400 / 146097;
    u32 in_year, m;

    while (days_to_march(y) > days)
        y--;
    while (days_to_march(y + 1) <= days)
        y++;
    in_year = (u32)(days - days_to_march(y));
    m = (5 * in_year + 2) / 153;
    *day = in_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = *month <= 2 ? y + 1 : y;
}

static u8 encode(const struct rtc_state *s, u32 value)
{
    return (u8)(s->cmos[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static u32 decode(const struct rtc_state *s, u8 value)
{
    return s->cmos[RTC_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15u);
}

static u8 encode_hour(const struct rtc_state *s, u32 hour)
{
    if (s->cmos[RTC_B] & B_24H)
        return encode(s, hour);
    return (u8)(encode(s, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? HOUR_PM : 0));
}

static u32 decode_hour(const struct rtc_state *s, u8 value)
{
    if (s->cmos[RTC_B] & B_24H)
        return decode(s, value);
    return decode(s, value & 0x7f) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Put the time into the registers. */
static void store_time(struct rtc_state *s, i64 seconds)
{
    i64 days = seconds / DAY;
    i64 in_day = seconds % DAY;
    i64 year;
    u32 month, day;

    if (in_day < 0) {
        in_day += DAY;
        days--;
    }
    date_of_days(days, &year, &month, &day);
    s->cmos[RTC_SECONDS] = encode(s, (u32)in_day % 60);
    s->cmos[RTC_MINUTES] = encode(s, (u32)in_day / 60 % 60);
    s->cmos[RTC_HOURS] = encode_hour(s, (u32)in_day / 3600);
    /* 1970-01-01 was a Thursday; Sunday is 1. */
    s->cmos[RTC_WEEKDAY] = (u8)(((days + 4 + s->weekday) % 7 + 7) % 7 + 1);
    s->cmos[RTC_DAY] = encode(s, day);
    s->cmos[RTC_MONTH] = encode(s, month);
    s->cmos[RTC_YEAR] = encode(s, (u32)(year % 100));
    s->cmos[RTC_CENTURY] = encode(s, (u32)(year / 100 % 100));
}

/* The time that the registers hold. Values out of range count on, whatever they are. */
static i64 load_time(struct rtc_state *s)
{
    const u32 month = decode(s, s->cmos[RTC_MONTH]);
    const u32 year = decode(s, s->cmos[RTC_CENTURY]) * 100 + decode(s, s->cmos[RTC_YEAR]);
    const i64 days =
        days_of_date(year, month == 0 ? 1 : (month - 1) % 12 + 1, decode(s, s->cmos[RTC_DAY]));
    const i64 weekday = (days + 4) % 7;

    s->weekday = (u8)((s->cmos[RTC_WEEKDAY] + 13 - weekday) % 7);
    return days * DAY + decode_hour(s, s->cmos[RTC_HOURS]) * 3600 +
           decode(s, s->cmos[RTC_MINUTES]) * 60 + decode(s, s->cmos[RTC_SECONDS]);
}

/* ---- alarm, periodic rate ---- */

static bool alarm_field(const struct rtc_state *s, enum rtc_register alarm, u32 value)
{
    const u8 field = s->cmos[alarm];

    if ((field & ALARM_ANY) == ALARM_ANY)
        return true;
    return (alarm == RTC_HOURS_ALARM ? decode_hour(s, field) : decode(s, field)) == value;
}

/* Start of the first second after `after` that the alarm matches; CLOCK_NEVER if none does. */
static u64 next_alarm(const struct rtc_state *s, u64 after)
{
    const i64 first = seconds_at(s, after) + 1;
    const u32 start = (u32)((first % DAY + DAY) % DAY);
    u32 ahead = 0;

    /* Step by what does not match: at most 24 hours, 60 minutes and 60 seconds, and once more for
     * the part of today's hour that is over. */
    while (ahead <= DAY) {
        const u32 at = (start + ahead) % DAY;

        if (!alarm_field(s, RTC_HOURS_ALARM, at / 3600))
            ahead += 3600 - at % 3600;
        else if (!alarm_field(s, RTC_MINUTES_ALARM, at / 60 % 60))
            ahead += 60 - at % 60;
        else if (!alarm_field(s, RTC_SECONDS_ALARM, at % 60))
            ahead++;
        else
            return time_of_second(s, first + ahead);
    }
    return CLOCK_NEVER;
}

/* Period of the periodic interrupt in ticks of the 32768 Hz base, 0: off (data sheet, table 5). */
static u64 periodic_ticks(const struct rtc_state *s)
{
    const u32 rate = s->cmos[RTC_A] & A_RATE;

    if (rate == 0)
        return 0;
    return (u64)1 << (rate <= 2 ? rate + 6 : rate - 1);
}

/* ---- flags and interrupt ---- */

/* Set the flags for what happened since the last look. */
static void sync(struct rtc *rtc)
{
    struct rtc_state *s = &rtc->state;
    const u64 now = rtc_now(rtc);
    const u64 period = periodic_ticks(s);
    u8 flags = 0;

    if (ticking(s) && period != 0 &&
        clock_ticks(s->seen_ns, s->base_ns, BASE_HZ) / period !=
            clock_ticks(now, s->base_ns, BASE_HZ) / period)
        flags |= C_PF;
    if (running(s) && seconds_at(s, s->seen_ns) != seconds_at(s, now)) {
        flags |= C_UF;
        if (!(s->cmos[RTC_C] & C_AF) && next_alarm(s, s->seen_ns) <= now)
            flags |= C_AF;
    }
    s->seen_ns = now;
    s->cmos[RTC_C] |= flags;
}

static void drive(struct rtc *rtc)
{
    struct rtc_state *s = &rtc->state;
    /* The enable bits of B and the flags of C lie at the same places. */
    const u8 active = s->cmos[RTC_B] & s->cmos[RTC_C] & (C_PF | C_AF | C_UF);

    s->cmos[RTC_C] &= (u8)~C_IRQF;
    s->cmos[RTC_C] |= active != 0 ? C_IRQF : 0;
    irq_set(&rtc->irq8, active != 0);
    irq_set(&rtc->wake, active & C_AF);
}

/* Wait for the next enabled flag that is not set yet: while one is set, its ticks change nothing.
 */
static void arm(struct rtc *rtc)
{
    const struct rtc_state *s = &rtc->state;
    const u8 wanted = s->cmos[RTC_B] & ~s->cmos[RTC_C];
    const u64 period = periodic_ticks(s);
    u64 next = CLOCK_NEVER;
    u64 at;

    if ((wanted & B_PIE) && ticking(s) && period != 0) {
        at = clock_ticks(s->seen_ns, s->base_ns, BASE_HZ) / period + 1;
        next = clock_tick_time(s->base_ns, at * period, BASE_HZ);
    }
    if ((wanted & B_UIE) && running(s)) {
        at = time_of_second(s, seconds_at(s, s->seen_ns) + 1);
        next = at < next ? at : next;
    }
    if ((wanted & B_AIE) && running(s)) {
        at = next_alarm(s, s->seen_ns);
        next = at < next ? at : next;
    }
    timer_arm(rtc->clock, &rtc->timer, next == CLOCK_NEVER ? CLOCK_NEVER : next - RTC_PHASE_NS);
}

static void timer_fired(void *ctx)
{
    struct rtc *rtc = ctx;

    sync(rtc);
    drive(rtc);
    arm(rtc);
}

/* ---- registers ---- */

/* Write A or B: the clock may stop or start. */
static void write_control(struct rtc *rtc, enum rtc_register index, u8 value)
{
    struct rtc_state *s = &rtc->state;
    const bool was_ticking = ticking(s);
    const bool was_running = running(s);
    const u64 now = rtc_now(rtc);

    if (was_running)
        store_time(s, seconds_at(s, now));
    s->cmos[index] = value;
    /* The first update comes half a second after the divider is let go ("Divider control"). */
    if (!was_ticking && ticking(s))
        s->base_ns = now - NS_PER_SECOND / 2;
    if (!was_running && running(s)) {
        s->base_ns += (now - s->base_ns) / NS_PER_SECOND * NS_PER_SECOND;
        s->base_seconds = load_time(s);
    }
}

static bool is_time(u8 index)
{
    return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
           (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static void write_register(struct rtc *rtc, u8 index, u8 value)
{
    struct rtc_state *s = &rtc->state;

    sync(rtc);
    switch (index) {
    case RTC_A: write_control(rtc, RTC_A, value & (u8)~A_UIP); break;
    case RTC_B:
        /* Setting SET takes the update interrupt's enable away ("Register B"). */
        write_control(rtc, RTC_B, value & B_SET ? value & (u8)~B_UIE : value);
        break;
    case RTC_C:
    case RTC_D: break; /* read-only */
    default:
        if (is_time(index) && running(s)) {
            const u64 now = rtc_now(rtc);

            store_time(s, seconds_at(s, now));
            s->cmos[index] = value;
            s->base_ns += (now - s->base_ns) / NS_PER_SECOND * NS_PER_SECOND;
            s->base_seconds = load_time(s);
        } else {
            s->cmos[index] = value;
        }
        break;
    }
    drive(rtc);
    arm(rtc);
}

static u8 read_register(struct rtc *rtc, u8 index)
{
    struct rtc_state *s = &rtc->state;
    u8 value;

    switch (index) {
    case RTC_A:
        value = s->cmos[RTC_A];
        if (running(s) && (rtc_now(rtc) - s->base_ns) % NS_PER_SECOND >= NS_PER_SECOND - UPDATE_NS)
            value |= A_UIP;
        return value;
    case RTC_C:
        sync(rtc);
        drive(rtc);
        value = s->cmos[RTC_C];
        s->cmos[RTC_C] = 0;
        drive(rtc);
        arm(rtc);
        return value;
    case RTC_D: return D_VRT;
    default:
        if (is_time(index) && running(s))
            store_time(s, seconds_at(s, rtc_now(rtc)));
        return s->cmos[index];
    }
}

/* Ports 70/71 reach the lower 128 bytes, 72/73 the upper ones. */
static void rtc_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct rtc *rtc = ctx;
    struct rtc_state *s = &rtc->state;

    (void)size;
    if (offset == 0)
        s->nmi_masked = value >> 7 & 1;
    if (offset & 1)
        write_register(rtc, s->index[offset / 2], (u8)value);
    else
        s->index[offset / 2] = (u8)((value & 0x7f) | (offset == 2 ? 0x80 : 0));
}

static u32 rtc_read(void *ctx, u32 offset, u32 size)
{
    struct rtc *rtc = ctx;

    (void)size;
    /* The index registers are write-only. */
    return offset & 1 ? read_register(rtc, rtc->state.index[offset / 2]) : 0xff;
}

/* RESET#: the battery keeps the time and the memory; interrupts go off ("RESET"). */
static void rtc_reset(void *device)
{
    struct rtc *rtc = device;
    struct rtc_state *s = &rtc->state;

    sync(rtc);
    s->cmos[RTC_B] &= (u8) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    s->cmos[RTC_C] = 0;
    s->index[0] = 0;
    s->index[1] = 0x80;
    s->nmi_masked = 0;
    drive(rtc);
    arm(rtc);
}

static void rtc_post_load(void *device)
{
    struct rtc *rtc = device;

    drive(rtc);
    arm(rtc);
}

static const struct port_ops rtc_ports = {rtc_read, rtc_write, 1};
static const struct device_ops rtc_ops = {"rtc", rtc_reset, rtc_post_load, free};

struct rtc *rtc_create(struct clock *clock, struct bus *bus, struct irq_line irq8, i64 date,
                       struct error *error)
{
    struct rtc *rtc;

    if (date < 0 || date > LAST_DATE) {
        (void)error_set(error, "RTC date %lld: outside the years 1970 to 9999", (long long)date);
        return NULL;
    }
    rtc = calloc(1, sizeof(*rtc));
    CHECK(rtc != NULL);
    rtc->clock = clock;
    rtc->irq8 = irq8;
    if (!bus_add_ports(bus, "rtc", 0x70, 4, &rtc_ports, rtc, error)) {
        free(rtc);
        return NULL;
    }
    timer_init(clock, &rtc->timer, timer_fired, rtc);
    rtc->state.base_seconds = date;
    rtc->state.seen_ns = rtc_now(rtc);
    rtc->state.cmos[RTC_A] = 0x26; /* 32768 Hz, 1024 Hz periodic rate */
    rtc->state.cmos[RTC_B] = B_24H;
    rtc_reset(rtc);
    return rtc;
}

struct device rtc_device(struct rtc *rtc)
{
    return (struct device){&rtc_ops, rtc, &rtc->state, sizeof(rtc->state)};
}

void rtc_set_cmos(struct rtc *rtc, u8 index, u8 value)
{
    rtc->state.cmos[index] = value;
}

u8 rtc_get_cmos(const struct rtc *rtc, u8 index)
{
    return rtc->state.cmos[index];
}

void rtc_set_wake(struct rtc *rtc, struct irq_line wake)
{
    rtc->wake = wake;
}
