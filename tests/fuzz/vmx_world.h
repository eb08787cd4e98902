/* SPDX-License-Identifier: MIT */
/*
 * What a hostile hypervisor runs on (fuzz_vmx.c): one processor in 64-bit mode, memory with a
 * device and a ROM, its tables, and a VMCS region that describes a guest which runs.
 */
#ifndef TESTS_FUZZ_VMX_WORLD_H
#define TESTS_FUZZ_VMX_WORLD_H

#include "base/bits.h"
#include "base/check.h"
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/system.h"
#include "cpu/transfer.h"
#include "cpu/vmx/internal.h"
#include "mmu/shadow/shadow.h"
#include "tests/cpu/vmx_mirror.h"

#include <string.h>

enum {
    RAM = 1 << 20,
    GDT = 0x1000,
    IDT = 0x2000,
    IDT32 = 0x3000,
    TSS = 0x4000,
    TSS_OTHER = 0x4800, /* where tasks may be switched to */
    HANDLER = 0x8000,
    PML4 = 0x10000, /* then PDPT, PD of the lowest GiB, PD of the highest below 4 GiB */
    PDPT32 = 0x14000, /* of PAE paging */
    L1_CODE = 0x20000,
    L1_STACK = 0x28000,
    L2_CODE = 0x30000,
    L2_STACK = 0x38000,
    VMXON_REGION = 0x40000,
    VMCS_REGION = 0x41000, /* three of them, then one that may be a shadow VMCS */
    SHADOW_VMCS = 0x44000,
    EPT = 0x50000, /* PML4, PDPT, PD, PT of the lowest 2 MiB */
    EPTP_LIST = 0x55000,
    BITMAPS = 0x60000, /* I/O A, I/O B, MSR, VMREAD, VMWRITE */
    MSR_AREAS = 0x65000, /* entry load, exit store, exit load */
    VAPIC = 0x68000,
    APIC_ACCESS = 0x69000,
    PML_LOG = 0x6a000,
    VE_INFO = 0x6b000,
    POSTED = 0x6c000,
    OPERAND = 0x70000,
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_TSS = 0x18,
    SEL_CODE32 = 0x28,
    TASK_VECTOR = 0x81, /* a task gate in the 32-bit IDT */
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
    struct cpu_state base; /* L1 before VMXON */
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

static void write_tables(struct world *w)
{
    const u64 task_gate = 0x0000e50000300000;
    /* null, code, data, TSS (two), 32-bit code, another TSS (30H), a task gate to it (38H) */
    const u64 gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0040002067,
                       0, 0x00cf9b000000ffff, 0x0000e90048000067, task_gate};
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
    put_value(w, IDT32 + 8 * TASK_VECTOR, task_gate, 8);
    put_value(w, PML4, (PML4 + 0x1000) | 7, 8);
    put_value(w, PML4 + 0x1000, (PML4 + 0x2000) | 7, 8);
    put_value(w, PML4 + 0x1018, (PML4 + 0x3000) | 7, 8);
    put_value(w, EPT, (EPT + 0x1000) | 7, 8);
    put_value(w, EPT + 0x1000, (EPT + 0x2000) | 7, 8);
    put_value(w, EPT + 0x1018, 0xc00000b7, 8);
    for (u64 i = 0; i < 512; i++) {
        put_value(w, PML4 + 0x2000 + 8 * i, i << 21 | 0x87, 8);
        put_value(w, PML4 + 0x3000 + 8 * i, (i << 21) | 0xc0000087, 8);
        put_value(w, EPT + 0x2000 + 8 * i, i == 0 ? (EPT + 0x3000) | 7 : i << 21 | 0xb7, 8);
        put_value(w, EPT + 0x3000 + 8 * i, i << 12 | 0x37, 8);
        put_value(w, EPTP_LIST + 8 * i, (u64)EPT | 0x1e | (i & 1) << 6, 8);
    }
    for (u64 i = 0; i < 4; i++) {
        put_value(w, VMXON_REGION + 0x1000 * i, VMCS_REVISION, 4);
        put_value(w, MMIO + 0x1000 * i, VMCS_REVISION, 4);
        put_value(w, PDPT32 + 8 * i, (i == 3 ? PML4 + 0x3000 : PML4 + 0x2000) | 1, 8);
    }
    put_value(w, SHADOW_VMCS, VMCS_REVISION | 0x80000000, 4);
}

/* Protected mode with PAE paging instead of 64-bit mode. */
static void start_32(struct world *w)
{
    struct cpu_state *s = &w->v->state;

    s->efer = EFER_NXE;
    s->cr3 = PDPT32;
    memory_read(w->memory, (hpa_t){PDPT32}, s->pdpte, sizeof(s->pdpte));
    s->idtr = (struct table_register){.base = IDT32, .limit = 0x7ff};
    s->seg[SEG_CS] = segment_flat_code(SEL_CODE32, 0, false);
}

static void start(struct world *w, bool legacy)
{
    struct cpu_state *s = &w->v->state;

    s->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_WP | CR0_NE;
    s->cr3 = PML4;
    s->cr4 = CR4_PAE | CR4_VMXE | CR4_OSFXSR;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    s->feature_control = 5;
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
    if (legacy)
        start_32(w);
    mode_update(w->v);
    w->base = *s;
}

static void create(struct world *w, const char *cpu, bool legacy,
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
    start(w, legacy);
}

static void destroy(struct world *w)
{
    vcpu_destroy(w->v);
    code_cache_destroy(w->code);
    memory_destroy(w->memory);
}

/* ---- a VMCS that describes a guest which runs ---- */

/* Every address names its page, so that controls can be set one by one. */
static void valid_addresses(struct vmcs *c)
{
    c->io_bitmap[0] = BITMAPS;
    c->io_bitmap[1] = BITMAPS + 0x1000;
    c->msr_bitmap = BITMAPS + 0x2000;
    c->vmread_bitmap = BITMAPS + 0x3000;
    c->vmwrite_bitmap = BITMAPS + 0x4000;
    c->entry_msr_load_address = MSR_AREAS;
    c->exit_msr_store_address = MSR_AREAS + 0x1000;
    c->exit_msr_load_address = MSR_AREAS + 0x2000;
    c->virtual_apic_address = VAPIC;
    c->apic_access_address = APIC_ACCESS;
    c->pml_address = PML_LOG;
    c->pml_index = 511;
    c->ve_information_address = VE_INFO;
    c->posted_interrupt_descriptor = POSTED;
    c->posted_interrupt_vector = 0x41;
    c->eptp_list_address = EPTP_LIST;
    c->vm_function_controls = VM_FUNCTION_EPTP_SWITCHING;
    c->tsc_multiplier = (u64)1 << 48;
    c->vpid = 1;
    c->eptp = (u64)EPT | 0x1e;
}

/* Controls and what they need, by bits of the input. */
static void valid_controls(const struct vcpu *v, struct vmcs *c, u32 bits)
{
    if ((bits & 1) != 0) {
        c->pin_controls |= PIN_PREEMPTION_TIMER;
        c->exit_controls |= EXIT_SAVE_TIMER;
        c->preemption_timer = bits >> 4 & 7;
    }
    if ((bits & 2) != 0)
        c->primary_controls |= PRIMARY_MTF;
    if ((bits & 4) != 0)
        c->primary_controls |= PRIMARY_MSR_BITMAPS | PRIMARY_IO_BITMAPS;
    if ((bits & 8) != 0) {
        c->entry_msr_load_count = bits >> 8 & 1;
        c->exit_msr_store_count = bits >> 9 & 3;
        c->exit_msr_load_count = bits >> 11 & 1;
    }
    if ((bits & 0x10) != 0)
        c->exception_bitmap = ~(u32)0;
    if ((bits & 0x20) != 0)
        c->pin_controls |= PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS;
    if ((bits & 0x40) != 0) {
        c->entry_controls |= ENTRY_LOAD_EFER | ENTRY_LOAD_PAT;
        c->exit_controls |= EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT;
    }
    if ((bits & 0x80) != 0)
        c->primary_controls |= vmx_allowed1(v, CONTROLS_PRIMARY) &
                               (PRIMARY_HLT | PRIMARY_RDTSC | PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE |
                                PRIMARY_MOV_DR | PRIMARY_UNCONDITIONAL_IO | PRIMARY_PAUSE);
    if ((bits & 0x8000) != 0)
        c->primary_controls |= PRIMARY_INTERRUPT_WINDOW | PRIMARY_TSC_OFFSETTING;
}

/* The guest's mode, an event to inject, flags. */
static void valid_guest(struct vmcs *c, u32 bits)
{
    enum { CODE32 = 0xc09b, DPL3 = 0x60 };

    switch (bits & 3) {
    case 0: break;
    case 1: /* no paging; needs "unrestricted guest" */
    case 2: /* PAE paging with empty PDPTEs or those at CR3 */
        c->guest_cr0 = c->guest_cr0 & ~((bits & 3) == 1 ? CR0_PG : 0);
        c->entry_controls &= ~ENTRY_GUEST_64;
        c->guest_efer = 0;
        c->guest_ar[SEG_CS] = CODE32;
        break;
    default: /* ring 3 */
        for (u32 i = SEG_ES; i <= SEG_GS; i++) {
            c->guest_ar[i] |= DPL3;
            c->guest_selector[i] |= 3;
        }
        break;
    }
    if ((bits & 4) != 0)
        c->guest_rflags |= FLAG_IF;
    if ((bits & 8) != 0)
        c->guest_rflags |= FLAG_TF;
    if ((bits & 0x30) == 0x10)
        c->entry_interruption_info = INFO_VALID | TYPE_HARDWARE_EXCEPTION << 8 | (bits >> 8 & 7);
    if ((bits & 0x30) == 0x20) {
        c->entry_interruption_info = INFO_VALID | TYPE_SOFTWARE_INTERRUPT << 8 | (bits >> 8);
        c->entry_instruction_length = 2;
    }
    if ((bits & 0x30) == 0x30)
        c->entry_interruption_info = INFO_VALID | TYPE_NMI << 8 | 2;
    if ((bits & 0xc0) == 0xc0)
        c->guest_activity = ACTIVITY_HLT;
}

/* variant: which secondary controls are set. */
static void write_valid(struct world *w, u64 region, u32 variant, u32 controls, u32 guest)
{
    static const u32 secondary[] = {
        SECONDARY_EPT | SECONDARY_UNRESTRICTED,
        0,
        SECONDARY_EPT | SECONDARY_VPID | SECONDARY_PML | SECONDARY_VM_FUNCTIONS,
        SECONDARY_EPT | SECONDARY_EPT_VIOLATION_VE | SECONDARY_MBEC | SECONDARY_RDTSCP,
        SECONDARY_EPT | SECONDARY_APIC_ACCESSES | SECONDARY_APIC_REGISTER | SECONDARY_UNRESTRICTED,
        SECONDARY_X2APIC | SECONDARY_VIRTUAL_INTERRUPT | SECONDARY_VMCS_SHADOWING,
        SECONDARY_VMCS_SHADOWING | SECONDARY_TSC_SCALING | SECONDARY_PAUSE_LOOP,
    };
    const u32 bits = secondary[variant % ARRAY_SIZE(secondary)];
    static struct vmcs c;

    vmcs_mirror(&c, &w->base);
    c.guest_rip = L2_CODE;
    c.guest_rsp = L2_STACK;
    c.host_rip = L1_CODE;
    c.host_rsp = L1_STACK;
    valid_addresses(&c);
    c.secondary_controls = bits & vmx_allowed1(w->v, CONTROLS_SECONDARY);
    if ((bits & (SECONDARY_APIC_REGISTER | SECONDARY_X2APIC | SECONDARY_APIC_ACCESSES)) != 0)
        c.primary_controls |= PRIMARY_TPR_SHADOW;
    if ((bits & SECONDARY_VIRTUAL_INTERRUPT) != 0)
        c.pin_controls |= PIN_EXTERNAL_INTERRUPT;
    if ((bits & SECONDARY_VMCS_SHADOWING) != 0)
        c.link_pointer = SHADOW_VMCS;
    if ((bits & SECONDARY_PML) != 0) {
        c.eptp |= EPTP_AD;
        c.pml_index = (u16)(variant >> 4 & 3); /* full soon */
    }
    valid_controls(w->v, &c, controls);
    valid_guest(&c, guest);
    put(w, region + VMCS_REGION_DATA, &c, sizeof(c));
}

#endif
