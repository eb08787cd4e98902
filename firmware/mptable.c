/* SPDX-License-Identifier: MIT */
/* The MP tables. Section numbers are those of the MultiProcessor Specification 1.4. */
#include "firmware/mptable.h"

#include "base/bits.h"
#include "base/check.h"

#include <string.h>

enum {
    POINTER_AT = 0xf0040,
    TABLE_AT = 0xf0060,
    TABLE_MAX = 1024,
    HEADER_SIZE = 44,
    BUS_PCI = 0,
    BUS_ISA = 1,
    SLOTS = 6, /* PCI slots that have routing entries */
    /* 4.3: entry types */
    ENTRY_CPU = 0,
    ENTRY_BUS = 1,
    ENTRY_IOAPIC = 2,
    ENTRY_INTERRUPT = 3,
    ENTRY_LOCAL = 4,
    /* table 4-11: interrupt types and flags */
    TYPE_INT = 0,
    TYPE_NMI = 1,
    TYPE_EXTINT = 3,
    AS_BUS = 0,
    LEVEL_HIGH = 0x0d,
    ALL_APICS = 0xff,
};

struct table {
    u8 bytes[TABLE_MAX];
    u32 size;
    u32 entries;
};

static u8 *append(struct table *t, u8 type, u32 size)
{
    u8 *at = t->bytes + t->size;

    CHECK(size <= TABLE_MAX - t->size);
    at[0] = type;
    t->size += size;
    t->entries++;
    return at;
}

/* 4.3.1 */
static void add_cpu(struct table *t, const struct mptable_config *config, u32 id)
{
    u8 *at = append(t, ENTRY_CPU, 20);

    at[1] = (u8)id;
    at[2] = 0x14; /* local APIC version */
    at[3] = id == 0 ? 3 : 1; /* enabled; the first one is the bootstrap processor */
    store_le(at + 4, config->cpu_signature, 4);
    store_le(at + 8, config->cpu_features, 4);
}

static void add_bus(struct table *t, u8 id, const char *name)
{
    u8 *at = append(t, ENTRY_BUS, 8);

    at[1] = id;
    memcpy(at + 2, name, 6);
}

/* 4.3.4 and 4.3.5, which have one form. */
static void add_interrupt(struct table *t, u8 entry, u8 type, u16 flags, const u8 place[4])
{
    u8 *at = append(t, entry, 8);

    at[1] = type;
    store_le(at + 2, flags, 2);
    memcpy(at + 4, place, 4); /* source bus, source line, APIC, its input */
}

static void add_interrupts(struct table *t, const struct mptable_config *config)
{
    const u8 ioapic = (u8)config->ioapic_id;

    for (u8 irq = 0; irq < 16; irq++)
        if (irq != 2)
            add_interrupt(t, ENTRY_INTERRUPT, TYPE_INT, AS_BUS,
                          (u8[4]){BUS_ISA, irq, ioapic, irq == 0 ? 2 : irq});
    for (u32 slot = 1; slot <= SLOTS; slot++)
        for (u32 pin = 0; pin < 4; pin++)
            add_interrupt(t, ENTRY_INTERRUPT, TYPE_INT, LEVEL_HIGH,
                          (u8[4]){BUS_PCI, (u8)(slot << 2 | pin), ioapic,
                                  config->pci_irq[(slot - 1 + pin) & 3]});
    add_interrupt(t, ENTRY_LOCAL, TYPE_EXTINT, AS_BUS, (u8[4]){BUS_ISA, 0, ALL_APICS, 0});
    add_interrupt(t, ENTRY_LOCAL, TYPE_NMI, AS_BUS, (u8[4]){BUS_ISA, 0, ALL_APICS, 1});
}

static u8 checksum(const u8 *bytes, u32 size)
{
    u8 sum = 0;

    for (u32 i = 0; i < size; i++)
        sum = (u8)(sum + bytes[i]);
    return (u8)-sum;
}

static void finish_header(struct table *t, const struct mptable_config *config)
{
    memcpy(t->bytes, "PCMP", 4);
    store_le(t->bytes + 4, t->size, 2);
    t->bytes[6] = 4; /* specification 1.4 */
    memcpy(t->bytes + 8, "NESTBOX PC          ", 20);
    store_le(t->bytes + 34, t->entries, 2);
    store_le(t->bytes + 36, config->lapic_base, 4);
    t->bytes[7] = checksum(t->bytes, t->size);
}

void mptable_install(struct memory *memory, const struct mptable_config *config)
{
    struct table t = {.size = HEADER_SIZE};
    u8 pointer[16] = "_MP_";
    bool done;
    u8 *at;

    for (u32 i = 0; i < config->cpus; i++)
        add_cpu(&t, config, i);
    add_bus(&t, BUS_PCI, "PCI   ");
    add_bus(&t, BUS_ISA, "ISA   ");
    at = append(&t, ENTRY_IOAPIC, 8);
    at[1] = (u8)config->ioapic_id;
    at[2] = 0x20; /* version */
    at[3] = 1; /* usable */
    store_le(at + 4, config->ioapic_base, 4);
    add_interrupts(&t, config);
    finish_header(&t, config);
    /* 4.1: the pointer */
    store_le(pointer + 4, TABLE_AT, 4);
    pointer[8] = 1; /* paragraphs */
    pointer[9] = 4;
    pointer[10] = checksum(pointer, sizeof(pointer));
    done = memory_load(memory, (hpa_t){POINTER_AT}, pointer, sizeof(pointer)) &&
           memory_load(memory, (hpa_t){TABLE_AT}, t.bytes, t.size);
    CHECK(done); /* the ROM is always there */
}
