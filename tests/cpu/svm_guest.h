/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor in a few lines for the tests of SVM: a 64-bit L1 (guest.h) with EFER.SVME and a VMCB
 * that describes an L2 in the same mode, with nested page tables that map 1 GiB to itself.
 */
#ifndef TESTS_CPU_SVM_GUEST_H
#define TESTS_CPU_SVM_GUEST_H

#include "cpu/flags.h"
#include "cpu/svm/internal.h"
#include "tests/cpu/guest.h"

enum {
    VMCB = 0x50000,
    HSAVE = 0x51000,
    NPT_PML4 = 0x54000,
    NPT_PDPT = 0x55000,
    NPT_PD = 0x56000,
    L2_CODE = 0x60000,
    L2_STACK = 0x68000,
    IOPM = 0x80000, /* three pages of zeros */
    MSRPM = 0x84000, /* two */
    VMRUN_LENGTH = 3,
};

/* The VMCB: edited here, written by vmrun(), read back by what looks at an exit. */
static struct vmcb_control control;
static struct vmcb_save save;

UNUSED static void vmcb_put(void)
{
    put(VMCB, &control, sizeof(control));
    put(VMCB + VMCB_SAVE, &save, sizeof(save));
}

UNUSED static void vmcb_get(void)
{
    memory_read(memory, (hpa_t){VMCB}, &control, sizeof(control));
    memory_read(memory, (hpa_t){VMCB + VMCB_SAVE}, &save, sizeof(save));
}

UNUSED static void intercept(u32 code)
{
    control.intercept[code / 32] |= 1u << (code % 32);
}

UNUSED static void valid_vmcb(void)
{
    enum { CODE64 = 0xa9b, DATA = 0xc93 };
    const struct vmcb_segment data = {SEL_DATA0, DATA, ~0u, 0};

    memset(&control, 0, sizeof(control));
    memset(&save, 0, sizeof(save));
    intercept(SVM_EXIT_VMRUN);
    intercept(SVM_EXIT_VMMCALL);
    intercept(SVM_EXIT_SHUTDOWN);
    control.iopm_base = IOPM;
    control.msrpm_base = MSRPM;
    control.asid = 1;
    control.np_control = NP_ENABLE;
    control.ncr3 = NPT_PML4;
    save.es = save.ss = save.ds = data;
    save.cs = (struct vmcb_segment){SEL_CODE64, CODE64, ~0u, 0};
    save.gdtr = (struct vmcb_segment){0, 0, GDT_LIMIT, GDT};
    save.idtr = (struct vmcb_segment){0, 0, 0xfff, IDT};
    save.efer = v->state.efer;
    save.cr0 = v->state.cr0;
    save.cr3 = v->state.cr3;
    save.cr4 = v->state.cr4;
    save.dr6 = DR6_FIXED_1;
    save.dr7 = DR7_FIXED_1;
    save.rflags = FLAG_1;
    save.rip = L2_CODE;
    save.rsp = L2_STACK;
    save.g_pat = 0x0007040600070406;
}

UNUSED static void svm_create(void)
{
    guest_create("amd-max");
    guest_long();
    v->state.efer |= EFER_SVME;
    v->state.cr4 |= CR4_OSFXSR;
    v->state.svm.hsave_pa = HSAVE;
    mode_update(v);
    put_value(NPT_PML4, NPT_PDPT | 7, 8);
    put_value(NPT_PDPT, 0x87, 8); /* 1 GiB, user */
    valid_vmcb();
}

/* 2 MiB nested pages: the first two to themselves, then to be changed by the test. */
UNUSED static void nested_2m(u64 second)
{
    put_value(NPT_PDPT, NPT_PD | 7, 8);
    put_value(NPT_PD, 0x87, 8);
    put_value(NPT_PD + 8, second, 8);
}

/* VMRUN at the present RIP. */
UNUSED static void vmrun(void)
{
    vmcb_put();
    v->state.reg[REG_RAX] = VMCB;
    RUN("\x0f\x01\xd8", 1);
}

UNUSED static void run_more(u64 count)
{
    v->alone = false;
    (void)vcpu_run(v, count);
    v->alone = true;
}

UNUSED static void run_into(const char *bytes, u64 size, u64 count)
{
    put(save.rip, bytes, size);
    vmrun();
    ck_assert(in_svm_guest(v));
    run_more(count);
}

#define RUN_INTO(bytes, count) run_into(bytes, sizeof(bytes) - 1, count)

/* The hypervisor runs again, behind its VMRUN, with GIF 0. */
UNUSED static void expect_exit(u64 code)
{
    ck_assert(!in_svm_guest(v));
    vmcb_get();
    ck_assert_uint_eq(control.exit_code, code);
    ck_assert_uint_eq(v->state.reg[REG_RAX], VMCB);
    ck_assert(!svm_gif(v));
}

#endif
