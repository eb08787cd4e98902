/* SPDX-License-Identifier: MIT */
/*
 * 8254 interval timer (Intel data sheet 231164) and port 61 (PIIX3 data sheet 2.5.6: gate 2,
 * speaker, refresh toggle, OUT2). Counts are exact functions of virtual time; channel 0 drives
 * IRQ0. Left out: sound, channel 1's refresh other than as the toggle bit.
 */
#ifndef DEVICES_PIT_H
#define DEVICES_PIT_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

#define PIT_HZ ((u64)1193182)

struct pit_channel_state {
    u64 start; /* PIT tick (since power-on) at which the counting element held `count` */
    u64 stopped; /* ticks already counted when the gate stopped it */
    u64 switch_at; /* tick at which `pending` is taken */
    u32 count; /* in use: 1..65536 (BCD: 1..10000) */
    u32 pending; /* written, taken at the end of the period (modes 2, 3); 0: none */
    u16 latched;
    u8 mode; /* 0..5 */
    u8 bcd;
    u8 access; /* 1 low byte, 2 high byte, 3 low then high */
    u8 gate;
    u8 loaded; /* a count was written since the control word */
    u8 running; /* the counting element counts */
    u8 triggered; /* modes 1 and 5: the gate rose since the control word */
    u8 write_low; /* low byte that waits for its high byte */
    u8 write_high_next, read_high_next;
    u8 count_latched; /* bit 0: low, bit 1: high byte still to be read */
    u8 status_latched;
    u8 status;
    u8 reserved[1];
};

struct pit_state {
    struct pit_channel_state channel[3];
    u64 seen; /* tick up to which IRQ0 has been driven */
    u8 port61; /* bits 0..3 as written */
    u8 reserved[7];
};

struct pit;

struct pit *pit_create(struct clock *clock, struct bus *bus, struct irq_line irq0,
                       struct error *error);
struct device pit_device(struct pit *pit);

#endif
