/* SPDX-License-Identifier: MIT */
/*
 * What a hostile hypervisor runs on: one processor in 64-bit mode, with PAE paging or with 32-bit
 * paging, memory with a device and a ROM, and its tables.
 */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include "base/bits.h"
#include "base/check.h"
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/system.h"
#include "cpu/transfer.h"
#include "mmu/shadow/shadow.h"

#include <stdio.h>
#include <string.h>

enum {
    RAM = 1 << 20,
    GDT = 0x1000,
    IDT = 0x2000,
    IDT32 = 0x3000,
    TSS = 0x4000,
    HANDLER = 0x8000,
    PML4 = 0x10000, /* then PDPT, PD of the lowest GiB, PD of the highest below 4 GiB */
    PDPT32 = 0x14000, /* of PAE paging */
    PD32 = 0x15000, /* of 32-bit paging: 4 MiB pages */
    PML5 = 0x16000,
    L1_CODE = 0x20000,
    L1_STACK = 0x28000,
    L2_CODE = 0x30000,
    L2_STACK = 0x38000,
    OPERAND = 0x70000,
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_TSS = 0x18,
    SEL_CODE32 = 0x28,
};

#define MMIO ((u64)0xd0000000)
#define ROM ((u64)0xd0010000)
#define MMIO_SIZE ((u64)0x8000)

struct world {
    struct memory *memory;
    struct code_cache *code;
    struct vcpu *v;
    u64 now, deadline;
    u8 device[MMIO_SIZE];
    u8 vector;
    bool drop; /* caches, between operations */
    struct cpu_state base; /* L1 at first */
};

/* ---- wires ---- */

static u32 port_read(void *ctx, u16 port, u32 size)
{
    (void)ctx;
    return 0x01234567u * port + size;
}

static void port_write(void *ctx, u16 port, u32 size, u32 value)
{
    struct world *w = ctx;

    w->device[port % MMIO_SIZE] ^= (u8)(value + size);
}

static u8 int_ack(void *ctx)
{
    struct world *w = ctx;

    event_signal_intr(w->v, false);
    return w->vector;
}

static bool apic_msr_read(void *ctx, u32 index, u64 *value)
{
    (void)ctx;
    *value = index == 0x1b ? 0xfee00d00 : index;
    return true;
}

static bool apic_msr_write(void *ctx, u32 index, u64 value)
{
    (void)ctx;
    (void)index;
    return value >> 32 == 0;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static u64 device_read(void *ctx, u64 offset, u32 size)
{
    u64 value = 0;

    memcpy(&value, ((const struct world *)ctx)->device + offset, size);
    return value;
}

static void device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    memcpy(((struct world *)ctx)->device + offset, &value, size);
}

/* ---- the world ---- */

static void put(struct world *w, u64 at, const void *bytes, u64 size)
{
    memory_write(w->memory, (hpa_t){at}, bytes, size);
}

static void put_value(struct world *w, u64 at, u64 value, u32 size)
{
    u8 bytes[8];

    store_le(bytes, value, 8);
    put(w, at, bytes, size);
}

enum paging { PAGES_64, PAGES_PAE, PAGES_32, PAGES_57 };

static void write_tables(struct world *w)
{
    static const u64 gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0040002067,
                              0, 0x00cf9b000000ffff};
    static const u8 handlers[] = {
        0x48, 0xff, 0x04, 0x24, 0x48, 0xcf, 0,    0,
        0,    0,    0,    0,    0,    0,    0,    0, /* inc [rsp]; iretq */
        0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24,
        0x48, 0xcf, 0,    0,    0,    0,    0,    0, /* with an error code */
        0xff, 0x04, 0x24, 0xcf, 0,    0,    0,    0,
        0,    0,    0,    0,    0,    0,    0,    0, /* the same for 32 bits */
        0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf,
    };

    put(w, GDT, gdt, sizeof(gdt));
    put(w, HANDLER, handlers, sizeof(handlers));
    put_value(w, TSS + 4, L1_STACK - 0x1000, 8);
    put_value(w, TSS + 102, 104, 2);
    for (u64 vector = 0; vector < 256; vector++) {
        const bool error = vector < 32 && (0x27d00 >> vector & 1) != 0;
        const u64 at = HANDLER + (error ? 16 : 0);

        put_value(w, IDT32 + 8 * vector, (at + 0x20) | 0x00008e0000000000 | (u64)SEL_CODE32 << 16,
                  8);
        put_value(w, IDT + 16 * vector, at | 0x00008e0000000000 | (u64)SEL_CODE << 16, 8);
    }
    put_value(w, PML5, PML4 | 7, 8);
    put_value(w, PML4, (PML4 + 0x1000) | 7, 8);
    put_value(w, PML4 + 0x1000, (PML4 + 0x2000) | 7, 8);
    put_value(w, PML4 + 0x1018, (PML4 + 0x3000) | 7, 8);
    for (u64 i = 0; i < 512; i++) {
        put_value(w, PML4 + 0x2000 + 8 * i, i << 21 | 0x87, 8);
        put_value(w, PML4 + 0x3000 + 8 * i, (i << 21) | 0xc0000087, 8);
    }
    for (u64 i = 0; i < 4; i++)
        put_value(w, PDPT32 + 8 * i, (i == 3 ? PML4 + 0x3000 : PML4 + 0x2000) | 1, 8);
    for (u64 i = 0; i < 1024; i++)
        put_value(w, PD32 + 4 * i, (i < 768 ? i & 255 : i) << 22 | 0x87, 4);
}

/* Protected mode instead of 64-bit mode. */
static void start_32(struct world *w, enum paging paging)
{
    struct cpu_state *s = &w->v->state;

    s->efer = EFER_NXE;
    s->cr3 = PDPT32;
    memory_read(w->memory, (hpa_t){PDPT32}, s->pdpte, sizeof(s->pdpte));
    if (paging == PAGES_32) {
        s->cr3 = PD32;
        s->cr4 = (s->cr4 & ~CR4_PAE) | CR4_PSE;
    }
    s->idtr = (struct table_register){.base = IDT32, .limit = 0x7ff};
    s->seg[SEG_CS] = segment_flat_code(SEL_CODE32, 0, false);
}

static void start(struct world *w, enum paging paging)
{
    struct cpu_state *s = &w->v->state;

    s->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_WP | CR0_NE;
    s->cr3 = PML4;
    s->cr4 = CR4_PAE | CR4_OSFXSR;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    s->gdtr = (struct table_register){.base = GDT, .limit = 0xff};
    s->idtr = (struct table_register){.base = IDT, .limit = 0xfff};
    s->seg[SEG_CS] = segment_flat_code(SEL_CODE, 0, true);
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++) {
        if (seg != SEG_CS)
            s->seg[seg] = segment_flat_data(SEL_DATA, 0);
    }
    s->seg[SEG_TR] =
        (struct segment){.selector = SEL_TSS, .base = TSS, .limit = 0x2067, .attr = ATTR_P | 0xb};
    s->seg[SEG_LDTR] = (struct segment){.attr = ATTR_UNUSABLE};
    s->reg[REG_RIP] = L1_CODE;
    s->reg[REG_RSP] = L1_STACK;
    if (paging == PAGES_57) {
        s->cr3 = PML5;
        s->cr4 |= CR4_LA57;
    } else if (paging != PAGES_64) {
        start_32(w, paging);
    }
}

static void create_world(struct world *w, const char *cpu, enum paging paging,
                         const struct shadow_options *engine)
{
    static const struct mmio_ops device = {.read = device_read, .write = device_write};
    const struct cpu_wires wires = {.ctx = w,
                                    .port_read = port_read,
                                    .port_write = port_write,
                                    .int_ack = int_ack,
                                    .apic_msr_read = apic_msr_read,
                                    .apic_msr_write = apic_msr_write,
                                    .shutdown = nothing,
                                    .apic_eoi = nothing};
    struct cpu_config config;
    struct error error;
    bool ok;

    memset(w, 0, sizeof(*w));
    w->deadline = ~(u64)0;
    w->memory = memory_create(46);
    ok = memory_add_ram(w->memory, "ram", (hpa_t){0}, RAM, &error) &&
         memory_add_mmio(w->memory, "device", (hpa_t){MMIO}, MMIO_SIZE, &device, w, &error) &&
         memory_add_rom(w->memory, "rom", (hpa_t){ROM}, PAGE_SIZE, &error);
    CHECK(ok);
    if (engine != NULL)
        (void)shadow_create(w->memory, engine);
    w->code = code_cache_create(w->memory, 1 << 20);
    w->v = vcpu_create(w->memory, w->code, &wires);
    w->v->now = &w->now;
    w->v->next_deadline = &w->deadline;
    w->v->slice_end = ~(u64)0;
    ok = cpu_config_parse(&config, cpu, NULL, &error);
    CHECK(ok);
    vcpu_configure(w->v, &config, 0, 1, 1);
    vcpu_reset(w->v, false);
    write_tables(w);
    start(w, paging);
}

/* The processor is as L1 begins. */
static void begin(struct world *w)
{
    mode_update(w->v);
    w->base = w->v->state;
}

static void destroy(struct world *w)
{
    vcpu_destroy(w->v);
    code_cache_destroy(w->code);
    memory_destroy(w->memory);
}

/* ---- what must hold at the end ---- */

static void audit(struct world *w)
{
    struct shadow *shadow = memory_shadow(w->memory);
    char report[256];

    if (shadow != NULL && !shadow_audit(shadow, report, sizeof(report))) {
        (void)fprintf(stderr, "audit: %s\n", report);
        CHECK(false);
    }
}

static void compare(const struct world *a, const struct world *b)
{
    CHECK(a->now == b->now);
    CHECK(memcmp(&a->v->state, &b->v->state, sizeof(a->v->state)) == 0);
    CHECK(memcmp(a->device, b->device, sizeof(a->device)) == 0);
    CHECK(memcmp(memory_peek(a->memory, (hpa_t){0}, RAM), memory_peek(b->memory, (hpa_t){0}, RAM),
                 RAM) == 0);
}

#endif
