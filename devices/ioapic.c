/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC: Intel 82093AA data sheet, chapter 3, with the EOI register of version 20h. Polarity
 * bits are kept but change nothing: the board's lines are asserted or not.
 */
#include "devices/ioapic.h"

#include "base/bits.h"
#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct ioapic_state) == 8 * IOAPIC_PINS + 16, "padding in ioapic_state");

enum { MMIO_INDEX = 0x00, MMIO_WINDOW = 0x10, MMIO_EOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };
enum { VERSION = 0x20 };

enum {
    ENTRY_LOGICAL = 1 << 11,
    ENTRY_STATUS = 1 << 12,
    ENTRY_REMOTE_IRR = 1 << 14,
    ENTRY_LEVEL = 1 << 15,
    ENTRY_MASKED = 1 << 16,
    ENTRY_READ_ONLY = ENTRY_STATUS | ENTRY_REMOTE_IRR,
    ENTRY_LOW_BITS = 0x1ffff,
};

struct ioapic {
    struct ioapic_state state;
    struct lapic_bus *bus;
};

/* NMI, SMI, INIT and ExtINT are edges whatever the entry says (3.2.4, delivery mode). */
static bool is_level(u64 entry)
{
    return (entry & ENTRY_LEVEL) && bits_get(entry, 10, 8) <= APIC_LOWEST;
}

/* Send what waits at the pin if the entry lets it. An edge is gone afterwards in any case; a level
 * waits for its EOI if somebody took it. */
static void service(struct ioapic *ioapic, u32 pin)
{
    struct ioapic_state *s = &ioapic->state;
    const u64 entry = s->entry[pin];
    const bool level = is_level(entry);
    bool taken;

    if (!(s->pending >> pin & 1) || (entry & ENTRY_MASKED) || (level && (entry & ENTRY_REMOTE_IRR)))
        return;
    /* Before the message, because an EOI may come back while it is on its way. */
    if (level)
        s->entry[pin] |= ENTRY_REMOTE_IRR;
    else
        s->pending &= ~(1u << pin);
    taken = lapic_bus_message(ioapic->bus, (u8)(entry >> 56), entry & ENTRY_LOGICAL,
                              (enum apic_delivery)bits_get(entry, 10, 8), (u8)entry, level);
    if (!taken)
        s->entry[pin] &= ~(u64)ENTRY_REMOTE_IRR;
}

static void line_set(void *ctx, u32 pin, bool level)
{
    struct ioapic *ioapic = ctx;
    struct ioapic_state *s = &ioapic->state;
    const u32 bit = 1u << pin;

    if (level == ((s->lines & bit) != 0))
        return;
    s->lines ^= bit;
    if (is_level(s->entry[pin]))
        s->pending = (s->pending & ~bit) | (s->lines & bit);
    else if (level && !(s->entry[pin] & ENTRY_MASKED))
        s->pending |= bit; /* edges at a masked pin are lost (3.2.4, interrupt mask) */
    service(ioapic, pin);
}

struct irq_line ioapic_line(struct ioapic *ioapic, u32 pin)
{
    CHECK(pin < IOAPIC_PINS);
    return (struct irq_line){line_set, ioapic, pin};
}

/* End of interrupt for a vector: a line that is still asserted sends again. */
static void eoi(void *ctx, u8 vector)
{
    struct ioapic *ioapic = ctx;
    struct ioapic_state *s = &ioapic->state;

    for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((u8)s->entry[pin] != vector || !(s->entry[pin] & ENTRY_REMOTE_IRR))
            continue;
        s->entry[pin] &= ~(u64)ENTRY_REMOTE_IRR;
        service(ioapic, pin);
    }
}

static void write_entry(struct ioapic *ioapic, u32 pin, bool high, u32 value)
{
    struct ioapic_state *s = &ioapic->state;
    const u32 bit = 1u << pin;
    u64 entry = s->entry[pin];

    if (high) {
        entry = (entry & BITS(31, 0)) | (u64)(value & 0xff000000) << 32;
    } else {
        entry = (entry & (BITS(63, 32) | ENTRY_READ_ONLY)) |
                (value & (ENTRY_LOW_BITS & ~(u32)ENTRY_READ_ONLY));
    }
    /* Remote IRR means nothing for edges; switching to edge and back is how kernels clear it. */
    if (is_level(entry)) {
        s->pending = (s->pending & ~bit) | (s->lines & bit);
    } else {
        entry &= ~(u64)ENTRY_REMOTE_IRR;
        s->pending &= ~bit;
    }
    s->entry[pin] = entry;
    service(ioapic, pin);
}

static u32 register_read(const struct ioapic *ioapic)
{
    const struct ioapic_state *s = &ioapic->state;
    const u32 index = s->index;

    if (index >= REG_TABLE && index < REG_TABLE + 2 * IOAPIC_PINS) {
        const u64 entry = s->entry[(index - REG_TABLE) / 2];

        return (u32)(index & 1 ? entry >> 32 : entry);
    }
    switch (index) {
    case REG_ID:
    case REG_ARBITRATION: return s->id; /* writing the ID loads both (3.2.3) */
    case REG_VERSION: return VERSION | (IOAPIC_PINS - 1) << 16;
    default: return 0;
    }
}

static void register_write(struct ioapic *ioapic, u32 value)
{
    struct ioapic_state *s = &ioapic->state;
    const u32 index = s->index;

    if (index >= REG_TABLE && index < REG_TABLE + 2 * IOAPIC_PINS)
        write_entry(ioapic, (index - REG_TABLE) / 2, index & 1, value);
    else if (index == REG_ID)
        s->id = value & 0x0f000000;
}

u64 ioapic_mmio_read(void *ctx, u64 offset, u32 size)
{
    const struct ioapic *ioapic = ctx;
    const u32 byte = offset & 3;
    u64 value = 0;

    switch (offset & 0xfc) {
    case MMIO_INDEX: value = ioapic->state.index; break;
    case MMIO_WINDOW: value = register_read(ioapic); break;
    default: break;
    }
    return value >> (8 * byte) & width_mask(size);
}

void ioapic_mmio_write(void *ctx, u64 offset, u32 size, u64 value)
{
    struct ioapic *ioapic = ctx;

    switch (offset & 0xff) {
    case MMIO_INDEX: ioapic->state.index = (u8)value; break;
    case MMIO_WINDOW:
        if (size >= 4)
            register_write(ioapic, (u32)value);
        break;
    case MMIO_EOI: eoi(ioapic, (u8)value); break;
    default: break;
    }
}

static void ioapic_reset(void *device)
{
    struct ioapic *ioapic = device;
    struct ioapic_state *s = &ioapic->state;

    *s = (struct ioapic_state){.lines = s->lines, .id = s->id};
    for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
        s->entry[pin] = ENTRY_MASKED;
}

/* Its inputs are driven again by their owners; nothing is derived. */
static void ioapic_post_load(void *device)
{
    (void)device;
}

static const struct device_ops ioapic_ops = {"ioapic", ioapic_reset, ioapic_post_load, free};

struct ioapic *ioapic_create(struct lapic_bus *bus, u32 id, struct error *error)
{
    struct ioapic *ioapic;

    if (id > 15) {
        (void)error_set(error, "I/O APIC ID %u: above 15", id);
        return NULL;
    }
    ioapic = calloc(1, sizeof(*ioapic));
    CHECK(ioapic != NULL);
    ioapic->bus = bus;
    ioapic->state.id = id << 24;
    ioapic_reset(ioapic);
    lapic_bus_add_eoi(bus, eoi, ioapic);
    return ioapic;
}

struct device ioapic_device(struct ioapic *ioapic)
{
    return (struct device){&ioapic_ops, ioapic, &ioapic->state, sizeof(ioapic->state)};
}
