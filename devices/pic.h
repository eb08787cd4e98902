/* SPDX-License-Identifier: MIT */
/*
 * The pair of 8259A interrupt controllers of a PC (Intel 8259A data sheet) with the edge/level
 * registers 4D0/4D1 of the PIIX3 (data sheet 2.5.4). Left out: MCS-80 mode, buffered mode's pins.
 */
#ifndef DEVICES_PIC_H
#define DEVICES_PIC_H

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irq.h"

struct pic_chip_state {
    u8 lines; /* input levels */
    u8 irr, isr, imr;
    u8 elcr; /* 1: level triggered */
    u8 vector_base;
    u8 priority; /* number of the input with the highest priority */
    u8 init_step; /* 0: ready; 2, 3, 4: waits for that ICW */
    u8 icw1, icw4;
    u8 read_isr; /* OCW3: reads of port 0 give ISR */
    u8 poll; /* OCW3: the next read is a poll */
    u8 special_mask, rotate_on_aeoi;
    u8 reserved[2];
};

struct pic_state {
    struct pic_chip_state chip[2]; /* master, slave */
};

struct pic;

/* Reset leaves it as PC firmware does: vectors 08h and 70h, all but the cascade masked. */

/* output: INTR, a level; to lapic_bus_pic_line() or straight to the CPU. */
struct pic *pic_create(struct bus *bus, struct irq_line output, struct error *error);
struct device pic_device(struct pic *pic);
/* Input 0..15 (not 2). */
struct irq_line pic_line(struct pic *pic, u32 irq);
/* Interrupt acknowledge cycle: the vector; IRQ7 or IRQ15 of the asked chip if nothing is pending
 * any more. */
u8 pic_ack(struct pic *pic);
/* Level of INTR. */
bool pic_output(const struct pic *pic);

#endif
