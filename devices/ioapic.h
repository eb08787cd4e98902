/* SPDX-License-Identifier: MIT */
/* 82093AA I/O APIC with 24 pins, version 20h (it has the EOI register). */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "devices/device.h"
#include "devices/irq.h"
#include "devices/lapic.h"

enum { IOAPIC_PINS = 24 };

struct ioapic_state {
    u64 entry[IOAPIC_PINS]; /* redirection table; bit 14 is remote IRR */
    u32 lines; /* input levels, before polarity (1: asserted) */
    u32 pending; /* edges that no local APIC has taken yet, and asserted levels */
    u32 id; /* register 0, bits 27:24 */
    u8 index; /* IOREGSEL */
    u8 reserved[3];
};

struct ioapic;

/* id: initial APIC ID, 0..15. MMIO at FEC00000 (the board maps it, 4 KiB). */
struct ioapic *ioapic_create(struct lapic_bus *bus, u32 id, struct error *error);
struct device ioapic_device(struct ioapic *ioapic);
/* Input pin 0..23 (the GSI). true: asserted. */
struct irq_line ioapic_line(struct ioapic *ioapic, u32 pin);
u64 ioapic_mmio_read(void *ctx, u64 offset, u32 size);
void ioapic_mmio_write(void *ctx, u64 offset, u32 size, u64 value);

#endif
