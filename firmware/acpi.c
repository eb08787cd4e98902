/* SPDX-License-Identifier: MIT */
/* The fixed ACPI tables. Section numbers are those of ACPI 6.4. */
#include "firmware/acpi.h"

#include "base/bits.h"
#include "base/check.h"
#include "firmware/aml.h"
#include "firmware/dsdt.h"

#include <string.h>

enum {
    HEADER_SIZE = 36,
    FADT_SIZE = 244,
    FACS_SIZE = 64,
    HPET_SIZE = 56,
    RSDP_AT = 0xf0000,
    TABLE_ALIGN = 64,
    /* 5.2.12.5 Interrupt Source Override flags */
    LEVEL_HIGH = 0x0d,
};

/* Tables are written one behind the other into the ROM. */
struct writer {
    struct memory *memory;
    const struct acpi_config *config;
    u64 next;
    u64 table[4]; /* for RSDT and XSDT */
    u32 tables;
};

static void write_rom(struct memory *memory, u64 at, const void *bytes, u64 size)
{
    const bool done = memory_load(memory, (hpa_t){at}, bytes, size);

    CHECK(done); /* the ROM and NVS memory are always there */
}

static u8 checksum(const u8 *bytes, u64 size)
{
    u8 sum = 0;

    for (u64 i = 0; i < size; i++)
        sum = (u8)(sum + bytes[i]);
    return (u8)-sum;
}

/* 5.2.6 System Description Table Header. */
static u64 write_table(struct writer *w, const char *signature, u8 revision, u8 *table, u32 size)
{
    const u64 at = w->next;

    memcpy(table, signature, 4);
    store_le(table + 4, size, 4);
    table[8] = revision;
    table[9] = 0;
    memcpy(table + 10, "NESTBX", 6);
    memcpy(table + 16, "NESTBOX ", 8);
    store_le(table + 24, 1, 4);
    memcpy(table + 28, "NSTB", 4);
    store_le(table + 32, 1, 4);
    table[9] = checksum(table, size);
    w->next = align_up(at + size, TABLE_ALIGN);
    CHECK(w->next <= RSDP_AT);
    write_rom(w->memory, at, table, size);
    return at;
}

/* 5.2.3.2 Generic Address Structure for ports. */
static void put_port(u8 *to, u16 port, u8 bits)
{
    to[0] = port != 0; /* system I/O space */
    to[1] = bits;
    store_le(to + 4, port, 8);
}

/* 5.2.9. */
static void write_fadt(struct writer *w, u64 dsdt)
{
    const struct acpi_config *c = w->config;
    const u32 wbinvd = 1 << 0;
    const u32 proc_c1 = 1 << 2;
    const u32 no_sleep_button = 1 << 5;
    const u32 tmr_val_ext = 1 << 8;
    const u32 reset_reg_sup = 1 << 10;
    u8 t[FADT_SIZE] = {0};

    store_le(t + 36, c->facs, 4);
    store_le(t + 40, dsdt, 4);
    t[45] = 1; /* preferred profile: desktop */
    store_le(t + 46, c->sci_irq, 2);
    store_le(t + 48, c->smi_port, 4);
    t[52] = c->acpi_enable;
    t[53] = c->acpi_disable;
    store_le(t + 56, c->pm_base, 4);
    store_le(t + 64, c->pm_base + 4u, 4);
    store_le(t + 76, c->pm_base + 8u, 4);
    store_le(t + 80, c->gpe_base, 4);
    t[88] = 4; /* lengths of PM1 event, control, timer, GPE0 */
    t[89] = 2;
    t[91] = 4;
    t[92] = 4;
    store_le(t + 96, 0xfff, 2); /* no C2, no C3 */
    store_le(t + 98, 0xfff, 2);
    t[108] = 0x32; /* century in CMOS */
    store_le(t + 109, 7, 2); /* legacy devices, 8042, no VGA */
    store_le(t + 112,
             wbinvd | proc_c1 | no_sleep_button | reset_reg_sup | (c->timer32 ? tmr_val_ext : 0),
             4);
    put_port(t + 116, 0xcf9, 8); /* reset register of the PIIX3 */
    t[128] = 6;
    store_le(t + 140, dsdt, 8);
    put_port(t + 148, c->pm_base, 32);
    put_port(t + 172, (u16)(c->pm_base + 4), 16);
    put_port(t + 208, (u16)(c->pm_base + 8), 32);
    put_port(t + 220, c->gpe_base, 32);
    w->table[w->tables++] = write_table(w, "FACP", 3, t, sizeof(t));
}

/* 5.2.12. */
static void write_madt(struct writer *w)
{
    static const u8 level_irqs[] = {5, 9, 10, 11};
    const struct acpi_config *c = w->config;
    u8 t[512] = {0};
    u8 *at = t + 44;

    store_le(t + 36, c->lapic_base, 4);
    store_le(t + 40, 1, 4); /* there is an 8259 pair too */
    for (u32 i = 0; i < c->cpus; i++, at += 8) {
        at[0] = 0; /* processor local APIC */
        at[1] = 8;
        at[2] = at[3] = (u8)i;
        at[4] = 1; /* enabled */
    }
    at[0] = 1; /* I/O APIC */
    at[1] = 12;
    at[2] = (u8)c->ioapic_id;
    store_le(at + 4, c->ioapic_base, 4);
    at += 12;
    at[0] = 2; /* override: IRQ0 arrives at pin 2 */
    at[1] = 10;
    store_le(at + 4, 2, 4);
    at += 10;
    for (u32 i = 0; i < sizeof(level_irqs); i++, at += 10) {
        at[0] = 2;
        at[1] = 10;
        at[3] = level_irqs[i];
        store_le(at + 4, level_irqs[i], 4);
        store_le(at + 8, LEVEL_HIGH, 2);
    }
    at[0] = 4; /* local APIC NMI: LINT1 of all processors */
    at[1] = 6;
    at[2] = 0xff;
    at[5] = 1;
    at += 6;
    w->table[w->tables++] = write_table(w, "APIC", 3, t, (u32)(at - t));
}

/* IA-PC HPET specification 1.0a, 3.2.4. */
static void write_hpet(struct writer *w)
{
    u8 t[HPET_SIZE] = {0};

    store_le(t + 36, 0x8086a201, 4); /* Intel, legacy capable, 64 bits, 3 timers, revision 1 */
    t[41] = 64;
    store_le(t + 44, w->config->hpet_base, 8);
    store_le(t + 53, 100, 2); /* minimum tick in periodic mode */
    w->table[w->tables++] = write_table(w, "HPET", 1, t, sizeof(t));
}

static u64 write_dsdt(struct writer *w)
{
    struct aml aml = {.size = HEADER_SIZE};

    dsdt_build(&aml, w->config);
    return write_table(w, "DSDT", 2, aml.bytes, aml.size);
}

/* 5.2.10. */
static void write_facs(struct memory *memory, u64 at)
{
    u8 t[FACS_SIZE] = {'F', 'A', 'C', 'S', FACS_SIZE};

    t[32] = 1; /* version */
    write_rom(memory, at, t, sizeof(t));
}

/* 5.2.7 and 5.2.8: the same list in 4-byte and 8-byte pointers. */
static u64 write_list(struct writer *w, const char *signature, u32 width)
{
    u8 t[HEADER_SIZE + 8 * ARRAY_SIZE(w->table)] = {0};

    for (u32 i = 0; i < w->tables; i++)
        store_le(t + HEADER_SIZE + (u64)width * i, w->table[i], width);
    return write_table(w, signature, 1, t, HEADER_SIZE + width * w->tables);
}

u64 acpi_install(struct memory *memory, const struct acpi_config *config)
{
    struct writer w = {.memory = memory, .config = config, .next = PC_ROM};
    u8 rsdp[36] = "RSD PTR ";

    write_facs(memory, config->facs);
    write_fadt(&w, write_dsdt(&w));
    write_madt(&w);
    if (config->hpet_base != 0)
        write_hpet(&w);
    memcpy(rsdp + 9, "NESTBX", 6);
    rsdp[15] = 2;
    store_le(rsdp + 16, write_list(&w, "RSDT", 4), 4);
    store_le(rsdp + 20, sizeof(rsdp), 4);
    store_le(rsdp + 24, write_list(&w, "XSDT", 8), 8);
    rsdp[8] = checksum(rsdp, 20);
    rsdp[32] = checksum(rsdp, 36);
    write_rom(memory, RSDP_AT, rsdp, sizeof(rsdp));
    return RSDP_AT;
}

bool acpi_resume(struct memory *memory, u64 facs, struct boot_state *state)
{
    u8 vector[4];
    u64 at;

    memory_read(memory, (hpa_t){facs + 12}, vector, 4);
    at = load_le(vector, 4);
    if (at == 0 || at >= PC_HIGH)
        return false;
    /* 5.2.10: CS:IP = vector / 16 : vector % 16, interrupts off. */
    *state = (struct boot_state){.bits = 16, .cs = (u16)(at >> 4), .rip = at & 15, .rflags = 2};
    return true;
}
