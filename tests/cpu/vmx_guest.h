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
#include "tests/cpu/vmx_mirror.h"

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

UNUSED static void valid_vmcs(void)
{
    vmcs_mirror(vmcs, &v->state);
    vmcs->secondary_controls = SECONDARY_EPT | SECONDARY_UNRESTRICTED;
    vmcs->eptp = EPTP;
    vmcs->guest_rip = L2_CODE;
    vmcs->guest_rsp = L2_STACK;
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
    valid_vmcs();
}

UNUSED static void vmx_create(void)
{
    guest_create("max");
    guest_long();
    vmx_begin();
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
