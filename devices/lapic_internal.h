/* SPDX-License-Identifier: MIT */
/* Between lapic.c (one APIC) and lapic_bus.c (who gets which message). Nobody else includes this.
 */
#ifndef DEVICES_LAPIC_INTERNAL_H
#define DEVICES_LAPIC_INTERNAL_H

#include "devices/lapic.h"

struct lapic {
    struct lapic_state state;
    struct lapic_config config;
    struct clock *clock;
    struct timer timer;
    struct lapic_bus *bus;
    bool intr; /* level last signalled to the CPU */
};

struct ipi {
    u32 dest;
    bool wide; /* dest has 32 bits (from an x2APIC), else 8 */
    bool logical;
    enum apic_delivery mode;
    u8 vector;
    bool level; /* level triggered: sets TMR */
};

enum ipi_shorthand { IPI_TO_DEST, IPI_TO_SELF, IPI_TO_ALL, IPI_TO_OTHERS };

/* ---- lapic.c ---- */
/* A message arrives. false: not taken (disabled, or an illegal vector). */
bool lapic_accept(struct lapic *lapic, enum apic_delivery mode, u8 vector, bool level);
/* Arbitration priority (SDM Vol 3A 11.6.2.4): who is lowest. */
u32 lapic_arbitration(const struct lapic *lapic);
void lapic_set_lint(struct lapic *lapic, enum lapic_lvt lint, bool level);

/* ---- lapic_bus.c ---- */
MUST_CHECK bool lapic_bus_join(struct lapic_bus *bus, struct lapic *lapic, struct error *error);
void lapic_bus_leave(struct lapic_bus *bus, const struct lapic *lapic);
void lapic_bus_send(struct lapic_bus *bus, const struct lapic *from, enum ipi_shorthand shorthand,
                    const struct ipi *ipi);
void lapic_bus_eoi(struct lapic_bus *bus, u8 vector);
u8 lapic_bus_pic_ack(struct lapic_bus *bus);

#endif
