/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor in a few lines for the tests of VMX: a 64-bit L1 (guest.h) in VMX root operation
 * with a current VMCS that describes an L2 in the same mode, with EPT that maps 1 GiB to itself.
 */
#ifndef TESTS_CPU_VMX_GUEST_H
#define TESTS_CPU_VMX_GUEST_H

#include "cpu/flags.h"
#include "cpu/vmx/caps.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/fields.h"
#include "cpu/vmx/internal.h"
#include "tests/cpu/guest.h"

enum {
    VMXON_REGION = 0x50000,
    VMCS_REGION = 0x51000,
    OTHER_VMCS = 0x52000,
    EPT_PML4 = 0x54000,
    EPT_PDPT = 0x55000,
    L2_CODE = 0x60000,
    L2_STACK = 0x68000,
    HOST_CODE = 0x70000,
    HOST_STACK = 0x78000,
    BITMAP = 0x80000, /* four pages of zeros */
};

#define EPTP ((u64)EPT_PML4 | 6 | 3 << 3)

static struct vmcs *vmcs; /* the current one */

UNUSED static void l2_state(void)
{
    enum { CODE64 = 0xa09b, DATA64 = 0xc093 };

    for (u32 i = 0; i < VMCS_SEGMENTS; i++) {
        vmcs->guest_selector[i] = SEL_DATA0;
        vmcs->guest_limit[i] = ~0u;
        vmcs->guest_ar[i] = DATA64;
        vmcs->host_selector[i] = SEL_DATA0;
    }
    vmcs->guest_selector[SEG_CS] = SEL_CODE64;
    vmcs->guest_ar[SEG_CS] = CODE64;
    vmcs->guest_selector[SEG_TR] = SEL_TSS;
    vmcs->guest_base[SEG_TR] = TSS;
    vmcs->guest_limit[SEG_TR] = 0x2067;
    vmcs->guest_ar[SEG_TR] = 0x8b;
    vmcs->guest_selector[SEG_LDTR] = 0;
    vmcs->guest_ar[SEG_LDTR] = ATTR_UNUSABLE;
    vmcs->guest_gdtr_base = GDT;
    vmcs->guest_gdtr_limit = GDT_LIMIT;
    vmcs->guest_idtr_base = IDT;
    vmcs->guest_idtr_limit = 0xfff;
    vmcs->guest_cr0 = v->state.cr0;
    vmcs->guest_cr3 = v->state.cr3;
    vmcs->guest_cr4 = v->state.cr4;
    vmcs->guest_dr7 = 0x400;
    vmcs->guest_rip = L2_CODE;
    vmcs->guest_rsp = L2_STACK;
    vmcs->guest_rflags = FLAG_1;
    vmcs->link_pointer = VMX_NO_POINTER;
}

UNUSED static void valid_vmcs(void)
{
    memset(vmcs, 0, sizeof(*vmcs));
    vmcs->pin_controls = vmx_required(CONTROLS_PIN);
    vmcs->primary_controls = vmx_required(CONTROLS_PRIMARY) | PRIMARY_SECONDARY;
    vmcs->secondary_controls = SECONDARY_EPT | SECONDARY_UNRESTRICTED;
    vmcs->exit_controls = vmx_required(CONTROLS_EXIT) | EXIT_HOST_64;
    vmcs->entry_controls = vmx_required(CONTROLS_ENTRY) | ENTRY_GUEST_64;
    vmcs->eptp = EPTP;
    l2_state();
    vmcs->host_selector[SEG_CS] = SEL_CODE64;
    vmcs->host_selector[SEG_TR] = SEL_TSS;
    vmcs->host_cr0 = v->state.cr0;
    vmcs->host_cr3 = v->state.cr3;
    vmcs->host_cr4 = v->state.cr4;
    vmcs->host_tr_base = TSS;
    vmcs->host_gdtr_base = GDT;
    vmcs->host_idtr_base = IDT;
    vmcs->host_rip = HOST_CODE;
    vmcs->host_rsp = HOST_STACK;
}

/* From an L1 in any mode as far as VMXON and VMPTRLD, by instructions. */
UNUSED static void vmx_begin(void)
{
    v->state.cr0 |= CR0_NE;
    v->state.cr4 |= CR4_VMXE | CR4_OSFXSR;
    v->state.feature_control = 5;
    mode_update(v);
    put_value(VMXON_REGION, VMCS_REVISION, 4);
    put_value(VMCS_REGION, VMCS_REVISION, 4);
    put_value(OTHER_VMCS, VMCS_REVISION, 4);
    put_value(EPT_PML4, EPT_PDPT | 7, 8);
    put_value(EPT_PDPT, 0xb7, 8); /* 1 GiB, write-back */
    put_value(0x8000, VMXON_REGION, 8);
    put_value(0x8008, VMCS_REGION, 8);
    put_value(0x8010, OTHER_VMCS, 8);
    v->state.reg[REG_RAX] = 0x8000;
    v->state.reg[REG_RCX] = 0x8008;
    RUN("\xf3\x0f\xc7\x30", 1); /* vmxon [rax] */
    ck_assert_uint_eq(v->state.vmx.mode, VMX_ROOT);
    RUN("\x0f\xc7\x31", 1); /* vmptrld [rcx] */
    vmcs = &v->state.vmx.vmcs;
}

UNUSED static void vmx_create(void)
{
    guest_create("max");
    guest_long();
    vmx_begin();
    valid_vmcs();
}

/* VMLAUNCH at the present RIP. */
UNUSED static void launch(void)
{
    RUN("\x0f\x01\xc2", 1);
}

UNUSED static void launch_into(const char *bytes, u64 size, u64 count)
{
    put(vmcs->guest_rip, bytes, size);
    launch();
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
    v->alone = false;
    (void)vcpu_run(v, count);
    v->alone = true;
}

#define LAUNCH_INTO(bytes, count) launch_into(bytes, sizeof(bytes) - 1, count)

UNUSED static void expect_exit(enum exit_reason reason)
{
    ck_assert_uint_eq(v->state.vmx.mode, VMX_ROOT);
    ck_assert_uint_eq(vmcs->exit_reason, reason);
    ck_assert_uint_eq(v->state.reg[REG_RIP], HOST_CODE);
    ck_assert_uint_eq(v->state.reg[REG_RSP], HOST_STACK);
}

/* By the flags: VMsucceed, VMfailInvalid, VMfailValid. */
UNUSED static void expect_success(void)
{
    ck_assert_uint_eq(rflags_get(v) & FLAGS_ARITH, 0);
}

UNUSED static void expect_fail(u32 error)
{
    ck_assert_uint_eq(rflags_get(v) & FLAGS_ARITH, error == 0 ? FLAG_CF : FLAG_ZF);
    if (error != 0)
        ck_assert_uint_eq(vmcs->instruction_error, error);
}

#endif
