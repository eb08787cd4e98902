/* SPDX-License-Identifier: MIT */
/*
 * The small ports of the board: POST and DMA page registers 80-8F (plain bytes), FPU error clear
 * F0/F1 (IRQ13), the debug console E9, and the power-off port 8900 that takes the word "Shutdown".
 */
#ifndef DEVICES_PORTS_H
#define DEVICES_PORTS_H

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irq.h"

struct ports_state {
    u8 page[16]; /* ports 80..8F */
    u8 shutdown; /* letters of "Shutdown" seen */
    u8 ferr; /* level of the CPU's FERR# */
    u8 irq13;
    u8 reserved[5];
};

struct ports;

/* console: where E9 bytes go; put == NULL leaves port E9 unowned (reads as FF: not there). */
struct ports *ports_create(struct bus *bus, struct irq_line irq13, struct byte_port console,
                           struct machine_port machine, struct error *error);
struct device ports_device(struct ports *ports);
/* FERR# from a CPU: raises IRQ13 until a write to F0. */
void ports_ferr(struct ports *ports, bool level);

#endif
