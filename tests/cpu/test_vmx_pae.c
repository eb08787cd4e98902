/* SPDX-License-Identifier: MIT */
/*
 * A 32-bit hypervisor with PAE paging and its guest in the same mode: PDPTEs in VM entries, VM
 * exits and RSM (SDM Vol 3C 27.3.1.6, 28.5.4, 32.14.2), and rules of VM entry that a 64-bit
 * hypervisor cannot break.
 */
#include "tests/cpu/vmx_guest.h"

enum {
    L2_PDPT = 0x57000, /* where no PDPTEs are as L1 sees it: EPT maps it elsewhere */
    RESERVED_PDPTE = 3,
    SMBASE = 0x30000,
    SMI_CODE = SMBASE + 0x8000,
};

static void setup(void)
{
    guest_create("max");
    guest_protected();
    for (u64 i = 0; i < 4; i++)
        put_value(PDPT + 8 * i, PD | 1, 8);
    for (u64 i = 0; i < 512; i++)
        put_value(PD + 8 * i, i << 21 | 0x87, 8);
    v->state.cr3 = PDPT;
    v->state.cr4 = CR4_PAE;
    v->state.cr0 |= CR0_PG | CR0_WP;
    ck_assert(pdptes_read(v, PDPT, v->state.pdpte));
    mode_update(v);
    vmx_begin();
}

START_TEST(guest_runs_and_exits)
{
    LAUNCH_INTO("\x0f\x01\xc1", 1); /* vmcall */
    expect_exit(EXIT_VMCALL);
    ck_assert_uint_eq(v->state.pdpte[1], PD | 1);
}
END_TEST

START_TEST(corrupt_host_pdpte_aborts_the_exit)
{
    LAUNCH_INTO("\x0f\x01\xc1", 0);
    put_value(PDPT + 24, PD | RESERVED_PDPTE, 8);
    v->alone = false;
    (void)vcpu_run(v, 1);
    ck_assert_uint_eq(v->state.vmx.abort, ABORT_HOST_PDPTE);
    ck_assert_uint_eq(get(VMCS_REGION + 4, 4), ABORT_HOST_PDPTE);
    ck_assert(was_shut_down);
    ck_assert_uint_eq(v->state.activity, ACTIVITY_SHUTDOWN);
}
END_TEST

START_TEST(host_pdpte_that_is_not_present_is_not_checked)
{
    LAUNCH_INTO("\x0f\x01\xc1", 0);
    put_value(PDPT + 24, 2, 8);
    v->alone = false;
    (void)vcpu_run(v, 1);
    expect_exit(EXIT_VMCALL);
}
END_TEST

static void expect_bad_pdpte(void)
{
    enum { QUALIFICATION = 2 };

    launch();
    ck_assert_uint_eq(vmcs->exit_reason, EXIT_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE);
    ck_assert_uint_eq(vmcs->exit_qualification, QUALIFICATION);
}

START_TEST(pdptes_of_a_guest_under_ept_are_fields)
{
    put_value(PDPT + 8, PD | RESERVED_PDPTE, 8); /* nobody looks there */
    vmcs->host_cr3 = L2_PDPT; /* all zeros */
    LAUNCH_INTO("\x90", 1);
    vmx_exit_begin(v, EXIT_HLT);
    vmx_exit(v);
    vmcs->guest_pdpte[2] = PD | RESERVED_PDPTE;
    ck_assert_str_eq(vmx_check_guest(v)->name, "guest_pdptes");
    ck_assert_uint_eq(vmx_breach(v, vmx_check_guest(v)), 0x280e);
}
END_TEST

START_TEST(bad_pdpte_field_fails_the_entry)
{
    vmcs->guest_pdpte[3] = PD | RESERVED_PDPTE;
    expect_bad_pdpte();
}
END_TEST

START_TEST(bad_pdpte_in_memory_fails_the_entry_without_ept)
{
    vmcs->secondary_controls = 0;
    vmcs->guest_cr3 = L2_PDPT;
    put_value(L2_PDPT, PD | 1, 8);
    put_value(L2_PDPT + 24, PD | RESERVED_PDPTE, 8);
    ck_assert_str_eq(vmx_check_guest(v)->name, "guest_pdptes_in_memory");
    expect_bad_pdpte();
}
END_TEST

START_TEST(rsm_to_a_guest_under_ept_restores_its_pdptes)
{
    vmcs->guest_cr3 = L2_PDPT;
    put_value(L2_PDPT, PD | RESERVED_PDPTE, 8); /* of L1: no PDPTE of the guest's */
    put(SMI_CODE, "\x0f\xaa", 2); /* rsm */
    LAUNCH_INTO("\x40\x40", 1); /* inc eax */
    event_signal_smi(v);
    v->alone = false;
    (void)vcpu_run(v, 2); /* delivery counts as one */
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
    ck_assert_uint_eq(v->state.in_smm, 0);
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE + 1);
    ck_assert_uint_eq(v->state.cr4 & CR4_VMXE, CR4_VMXE);
    for (u32 i = 0; i < 4; i++)
        ck_assert_uint_eq(v->state.pdpte[i], PD | 1);
    (void)vcpu_run(v, 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE + 2);
}
END_TEST

/* SDM Vol 3C 32.14.1: CR4.VMXE is cleared before state is saved; 32.14.2: RSM refuses it. */
START_TEST(smi_saves_cr4_without_vmxe_and_rsm_refuses_it)
{
    enum { SAVED_CR4 = SMBASE + 0xff48 };

    put(SMI_CODE, "\x90\x0f\xaa", 3); /* nop; rsm */
    event_signal_smi(v);
    v->alone = false;
    (void)vcpu_run(v, 2);
    ck_assert_uint_eq(v->state.in_smm, 1);
    ck_assert_uint_eq(get(SAVED_CR4, 4) & CR4_VMXE, 0);
    put_value(SAVED_CR4, get(SAVED_CR4, 4) | CR4_VMXE, 4);
    (void)vcpu_run(v, 1);
    ck_assert(was_shut_down);
}
END_TEST

/* ---- rules ---- */

static void expect_rule(const struct vmx_rule *rule, const char *name)
{
    ck_assert_ptr_nonnull(rule);
    ck_assert_str_eq(rule->name, name);
}

START_TEST(vmcs_of_the_rig_breaks_no_rule)
{
    ck_assert_ptr_null(vmx_check_controls(v));
    ck_assert_ptr_null(vmx_check_host(v));
    ck_assert_ptr_null(vmx_check_guest(v));
}
END_TEST

START_TEST(hypervisor_outside_ia_32e_mode_has_no_64_bit_host_or_guest)
{
    vmcs->entry_controls |= ENTRY_GUEST_64;
    expect_rule(vmx_check_host(v), "legacy_mode_has_legacy_guest");
    vmcs->exit_controls |= EXIT_HOST_64;
    expect_rule(vmx_check_host(v), "legacy_mode_has_legacy_host");
}
END_TEST

START_TEST(host_outside_ia_32e_mode_has_ss_no_pcid_and_32_bits_of_rip)
{
    vmcs->host_rip = (u64)1 << 32;
    expect_rule(vmx_check_host(v), "legacy_host_rip");
    vmcs->host_cr4 |= CR4_PCIDE;
    expect_rule(vmx_check_host(v), "legacy_host_has_no_pcid");
    vmcs->host_selector[SEG_SS] = 0;
    expect_rule(vmx_check_host(v), "host_ss_not_null");
}
END_TEST

START_TEST(guest_outside_ia_32e_mode_has_no_pcid)
{
    vmcs->guest_cr4 |= CR4_PCIDE;
    expect_rule(vmx_check_guest(v), "legacy_guest_has_no_pcid");
}
END_TEST

/* All of the segments are checked, each with its own field. */
START_TEST(virtual_8086_segments_are_checked_one_by_one)
{
    const u32 seg = (u32)_i;

    vmcs->guest_rflags |= FLAG_VM;
    for (u32 i = SEG_ES; i <= SEG_GS; i++) {
        vmcs->guest_base[i] = (u64)vmcs->guest_selector[i] << 4;
        vmcs->guest_limit[i] = 0xffff;
        vmcs->guest_ar[i] = 0xf3;
    }
    ck_assert_ptr_null(vmx_check_guest(v));
    v->vmx_valid = 0;
    vmcs->guest_ar[seg] = 0x93;
    expect_rule(vmx_check_guest(v), "v86_access_rights");
    ck_assert_uint_eq(vmx_breach(v, vmx_check_guest(v)), 0x4814 + 2 * seg);
    vmcs->guest_limit[seg] = 0xfffff;
    expect_rule(vmx_check_guest(v), "v86_limits");
    ck_assert_uint_eq(vmx_breach(v, vmx_check_guest(v)), 0x4800 + 2 * seg);
    vmcs->guest_base[seg]++;
    expect_rule(vmx_check_guest(v), "v86_bases");
    ck_assert_uint_eq(vmx_breach(v, vmx_check_guest(v)), 0x6806 + 2 * seg);
}
END_TEST

START_TEST(virtual_8086_mode_needs_protected_mode)
{
    vmcs->guest_cr0 &= ~(CR0_PE | CR0_PG);
    vmcs->guest_rflags |= FLAG_VM;
    for (u32 i = SEG_ES; i <= SEG_GS; i++) {
        vmcs->guest_base[i] = (u64)vmcs->guest_selector[i] << 4;
        vmcs->guest_limit[i] = 0xffff;
        vmcs->guest_ar[i] = 0xf3;
    }
    expect_rule(vmx_check_guest(v), "guest_rflags_vm");
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("pae");

    tcase_add_checked_fixture(tc, setup, guest_destroy);
    tcase_add_test(tc, guest_runs_and_exits);
    tcase_add_test(tc, corrupt_host_pdpte_aborts_the_exit);
    tcase_add_test(tc, host_pdpte_that_is_not_present_is_not_checked);
    tcase_add_test(tc, pdptes_of_a_guest_under_ept_are_fields);
    tcase_add_test(tc, bad_pdpte_field_fails_the_entry);
    tcase_add_test(tc, bad_pdpte_in_memory_fails_the_entry_without_ept);
    tcase_add_test(tc, rsm_to_a_guest_under_ept_restores_its_pdptes);
    tcase_add_test(tc, smi_saves_cr4_without_vmxe_and_rsm_refuses_it);
    tcase_add_test(tc, vmcs_of_the_rig_breaks_no_rule);
    tcase_add_test(tc, hypervisor_outside_ia_32e_mode_has_no_64_bit_host_or_guest);
    tcase_add_test(tc, host_outside_ia_32e_mode_has_ss_no_pcid_and_32_bits_of_rip);
    tcase_add_test(tc, guest_outside_ia_32e_mode_has_no_pcid);
    tcase_add_loop_test(tc, virtual_8086_segments_are_checked_one_by_one, SEG_ES, SEG_GS + 1);
    tcase_add_test(tc, virtual_8086_mode_needs_protected_mode);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("vmx_pae", add)
