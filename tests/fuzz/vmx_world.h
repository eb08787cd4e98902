/* SPDX-License-Identifier: MIT */
/*
 * What a hostile hypervisor under VMX runs on (fuzz_vmx.c): world.h, VMX regions and EPT, and a
 * VMCS region that describes a guest which runs.
 */
#ifndef TESTS_FUZZ_VMX_WORLD_H
#define TESTS_FUZZ_VMX_WORLD_H

#include "cpu/vmx/internal.h"
#include "tests/cpu/vmx_mirror.h"
#include "tests/fuzz/world.h"

enum {
    TSS_OTHER = 0x4800, /* where tasks may be switched to */
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
    TASK_VECTOR = 0x81, /* a task gate in the 32-bit IDT */
};

static void write_vmx_tables(struct world *w)
{
    const u64 task_gate = 0x0000e50000300000;

    put_value(w, GDT + 0x30, 0x0000e90000000067 | (u64)TSS_OTHER << 16, 8);
    put_value(w, GDT + 0x38, task_gate, 8);
    put_value(w, IDT32 + 8 * TASK_VECTOR, task_gate, 8);
    put_value(w, EPT, (EPT + 0x1000) | 7, 8);
    put_value(w, EPT + 0x1000, (EPT + 0x2000) | 7, 8);
    put_value(w, EPT + 0x1018, 0xc00000b7, 8);
    for (u64 i = 0; i < 512; i++) {
        put_value(w, EPT + 0x2000 + 8 * i, i == 0 ? (EPT + 0x3000) | 7 : i << 21 | 0xb7, 8);
        put_value(w, EPT + 0x3000 + 8 * i, i << 12 | 0x37, 8);
        put_value(w, EPTP_LIST + 8 * i, (u64)EPT | 0x1e | (i & 1) << 6, 8);
    }
    for (u64 i = 0; i < 4; i++) {
        put_value(w, VMXON_REGION + 0x1000 * i, VMCS_REVISION, 4);
        put_value(w, MMIO + 0x1000 * i, VMCS_REVISION, 4);
    }
    put_value(w, SHADOW_VMCS, VMCS_REVISION | 0x80000000, 4);
}

/* L1 in 64-bit mode, or in protected mode with PAE paging, before VMXON. */
static void create(struct world *w, const char *cpu, bool legacy,
                   const struct shadow_options *engine)
{
    create_world(w, cpu, legacy ? PAGES_PAE : PAGES_64, engine);
    w->v->state.cr4 |= CR4_VMXE;
    w->v->state.feature_control = 5;
    write_vmx_tables(w);
    begin(w);
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
