/* SPDX-License-Identifier: MIT */
/*
 * What joins the local APICs, the IOAPICs and the 8259 pair: destinations (SDM Vol 3A 11.6.2,
 * 11.12.10), lowest priority, EOI messages. Messages arrive at once and in order. Left out: focus
 * processors, which no processor since the Pentium 4 has (11.6.2.4).
 */
#include "base/check.h"
#include "devices/lapic_internal.h"
#include "devices/pic.h"

#include <stdlib.h>

enum { EOI_LISTENERS = 2 };

struct eoi_listener {
    void (*eoi)(void *ctx, u8 vector);
    void *ctx;
};

struct lapic_bus {
    struct lapic *apic[LAPIC_MAX];
    u32 count;
    struct pic *pic;
    struct eoi_listener listener[EOI_LISTENERS];
    u32 listeners;
};

struct lapic_bus *lapic_bus_create(void)
{
    struct lapic_bus *bus = calloc(1, sizeof(*bus));

    CHECK(bus != NULL);
    return bus;
}

void lapic_bus_destroy(struct lapic_bus *bus)
{
    free(bus);
}

void lapic_bus_set_pic(struct lapic_bus *bus, struct pic *pic)
{
    bus->pic = pic;
}

void lapic_bus_add_eoi(struct lapic_bus *bus, void (*eoi)(void *ctx, u8 vector), void *ctx)
{
    CHECK(bus->listeners < EOI_LISTENERS);
    bus->listener[bus->listeners++] = (struct eoi_listener){eoi, ctx};
}

bool lapic_bus_join(struct lapic_bus *bus, struct lapic *lapic, struct error *error)
{
    if (bus->count == LAPIC_MAX)
        return error_set(error, "more than %d local APICs", LAPIC_MAX);
    if (lapic->config.id >= 0xff)
        return error_set(error, "APIC ID %u: above 254", lapic->config.id);
    for (u32 i = 0; i < bus->count; i++)
        if (bus->apic[i]->config.id == lapic->config.id)
            return error_set(error, "APIC ID %u is taken", lapic->config.id);
    bus->apic[bus->count++] = lapic;
    return true;
}

void lapic_bus_leave(struct lapic_bus *bus, const struct lapic *lapic)
{
    for (u32 i = 0; i < bus->count; i++)
        if (bus->apic[i] == lapic)
            bus->apic[i] = bus->apic[--bus->count];
}

u8 lapic_bus_pic_ack(struct lapic_bus *bus)
{
    return bus->pic != NULL ? pic_ack(bus->pic) : 0xff;
}

void lapic_bus_eoi(struct lapic_bus *bus, u8 vector)
{
    for (u32 i = 0; i < bus->listeners; i++)
        bus->listener[i].eoi(bus->listener[i].ctx, vector);
}

/* ---- destinations ---- */

static bool is_x2apic(const struct lapic *l)
{
    return (l->state.base & 0xc00) == 0xc00;
}

static bool is_broadcast(const struct ipi *ipi)
{
    return ipi->dest == (ipi->wide ? ~(u32)0 : 0xff);
}

static bool logical_match(const struct lapic *l, u32 dest)
{
    const u32 ldr = l->state.ldr;

    /* x2APIC: 16 bits of cluster, 16 of members (11.12.10.2). */
    if (is_x2apic(l))
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff) != 0;
    if (dest > 0xff)
        return false;
    if (l->state.dfr >> 28 == 0xf) /* flat model */
        return ((ldr >> 24) & dest) != 0;
    return dest >> 4 == ldr >> 28 && ((ldr >> 24) & dest & 0xf) != 0;
}

static bool is_destination(const struct lapic *l, const struct ipi *ipi)
{
    if (is_broadcast(ipi))
        return true;
    return ipi->logical ? logical_match(l, ipi->dest) : l->state.id == ipi->dest;
}

/* Of the candidates that can take it, the one with the lowest priority; on a tie the first. */
static struct lapic *lowest(struct lapic_bus *bus, const struct ipi *ipi)
{
    struct lapic *best = NULL;

    for (u32 i = 0; i < bus->count; i++) {
        struct lapic *l = bus->apic[i];

        if (!is_destination(l, ipi) || !lapic_enabled(l) || !(l->state.svr & 0x100))
            continue;
        if (best == NULL || lapic_arbitration(l) < lapic_arbitration(best))
            best = l;
    }
    return best;
}

static bool deliver(struct lapic_bus *bus, const struct ipi *ipi)
{
    bool taken = false;

    if (ipi->mode == APIC_LOWEST) {
        struct lapic *l = lowest(bus, ipi);

        return l != NULL && lapic_accept(l, APIC_FIXED, ipi->vector, ipi->level);
    }
    for (u32 i = 0; i < bus->count; i++)
        if (is_destination(bus->apic[i], ipi))
            taken |= lapic_accept(bus->apic[i], ipi->mode, ipi->vector, ipi->level);
    return taken;
}

void lapic_bus_send(struct lapic_bus *bus, const struct lapic *from, enum ipi_shorthand shorthand,
                    const struct ipi *ipi)
{
    if (shorthand == IPI_TO_DEST) {
        (void)deliver(bus, ipi);
        return;
    }
    for (u32 i = 0; i < bus->count; i++) {
        const bool self = bus->apic[i] == from;

        if ((self && shorthand != IPI_TO_OTHERS) || (!self && shorthand != IPI_TO_SELF))
            (void)lapic_accept(bus->apic[i], ipi->mode == APIC_LOWEST ? APIC_FIXED : ipi->mode,
                               ipi->vector, ipi->level);
    }
}

bool lapic_bus_message(struct lapic_bus *bus, u8 dest, bool logical, enum apic_delivery mode,
                       u8 vector, bool level)
{
    const struct ipi ipi = {dest, false, logical, mode, vector, level};

    return deliver(bus, &ipi);
}

void lapic_bus_msi(struct lapic_bus *bus, u64 address, u32 data)
{
    const bool logical = address >> 2 & 1;
    const bool hint = address >> 3 & 1;
    enum apic_delivery mode = (enum apic_delivery)(data >> 8 & 7);

    if (address >> 20 != 0xfee)
        return;
    if (hint && mode == APIC_FIXED)
        mode = APIC_LOWEST;
    (void)lapic_bus_message(bus, (u8)(address >> 12), logical, mode, (u8)data, data >> 15 & 1);
}

/* ---- wires ---- */

static void lint_set(void *ctx, u32 pin, bool level)
{
    struct lapic_bus *bus = ctx;

    for (u32 i = 0; i < bus->count; i++)
        lapic_set_lint(bus->apic[i], (enum lapic_lvt)pin, level);
}

struct irq_line lapic_bus_pic_line(struct lapic_bus *bus)
{
    return (struct irq_line){lint_set, bus, LVT_LINT0};
}

struct irq_line lapic_bus_nmi_line(struct lapic_bus *bus)
{
    return (struct irq_line){lint_set, bus, LVT_LINT1};
}
