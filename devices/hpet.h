/* SPDX-License-Identifier: MIT */
/*
 * High precision event timer (IA-PC HPET specification 1.0a): 64-bit counter of 10 ns, three
 * comparators, all periodic-capable, legacy replacement. Left out: FSB (MSI) delivery, which the
 * capability bits do not offer.
 *
 * In legacy replacement mode timers 0 and 1 take IRQ0 and IRQ8 away from PIT and RTC; so wire
 * pit -> hpet_pit_line() -> irq0 and rtc -> hpet_rtc_line() -> irq8.
 */
#ifndef DEVICES_HPET_H
#define DEVICES_HPET_H

#include "base/error.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

enum { HPET_TIMERS = 3, HPET_PERIOD_FS = 10000000 };

struct hpet_timer_state {
    u64 config;
    u64 comparator; /* next match */
    u64 period; /* last value written while periodic */
};

struct hpet_state {
    u64 config;
    u64 status;
    u64 counter; /* while stopped; else the value at started_ns */
    u64 started_ns;
    struct hpet_timer_state timer[HPET_TIMERS];
    u8 pit_level, rtc_level;
    u8 reserved[6];
};

struct hpet;

/* irq0, irq8: the ISA lines (irq0 reaches PIC 0 and GSI 2). gsi: array of 24 lines, copied. */
struct hpet *hpet_create(struct clock *clock, struct irq_line irq0, struct irq_line irq8,
                         const struct irq_line *gsi, struct error *error);
struct device hpet_device(struct hpet *hpet);
struct irq_line hpet_pit_line(struct hpet *hpet);
struct irq_line hpet_rtc_line(struct hpet *hpet);
/* 1 KiB at FED00000 (the board maps a page; offsets past 3FFh read as 0). */
u64 hpet_mmio_read(void *ctx, u64 offset, u32 size);
void hpet_mmio_write(void *ctx, u64 offset, u32 size, u64 value);

#endif
