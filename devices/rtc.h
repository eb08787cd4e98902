/* SPDX-License-Identifier: MIT */
/*
 * MC146818A real-time clock with 256 bytes of CMOS memory (ports 70-73), running on virtual time
 * from a fixed date. Left out: square wave, daylight saving.
 */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

struct rtc_state {
    /* Times are ns on the RTC's own scale: virtual time plus RTC_PHASE_NS. */
    i64 base_seconds; /* since 1970-01-01 00:00:00, at base_ns (while the clock runs) */
    u64 base_ns; /* a start of a second; the divider chain counts from here */
    u64 seen_ns; /* the flags in register C are complete up to this time */
    u8 cmos[256]; /* the clock's registers are valid only while it stands still */
    u8 index[2]; /* ports 70 and 72 */
    u8 nmi_masked; /* port 70 bit 7 */
    u8 weekday; /* 0..6: by how much the weekday register is ahead of the date's weekday */
    u8 reserved[4];
};

/* Power-on falls late in a second, so that code that waits for an update need not wait long. */
#define RTC_PHASE_NS ((u64)900000000)

struct rtc;

/* date: seconds since 1970 (as the clock's local time) that the RTC shows at power-on;
 * a year in 1970..9999. */
struct rtc *rtc_create(struct clock *clock, struct bus *bus, struct irq_line irq8, i64 date,
                       struct error *error);
struct device rtc_device(struct rtc *rtc);
/* Set a CMOS byte other than the clock's (index 0x0e..0xff but not 0x32): memory sizes and so on.
 */
void rtc_set_cmos(struct rtc *rtc, u8 index, u8 value);
u8 rtc_get_cmos(const struct rtc *rtc, u8 index);
/* An output that rises with IRQ8: wire to acpi_pm_rtc_line() so that the alarm can wake from S3. */
void rtc_set_wake(struct rtc *rtc, struct irq_line wake);

#endif
