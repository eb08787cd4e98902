/* SPDX-License-Identifier: MIT */
/*
 * VMRUN: APM Vol 2 15.5. For each rule on illegal guest state an example that breaks it and no rule
 * before it, and what VMRUN loads. The VMCB of svm_guest.h breaks no rule.
 */
#include "cpu/msr.h"
#include "tests/cpu/svm_guest.h"

enum how { SET, ADD, CLEAR };

struct setting {
    u16 field; /* offset in the VMCB */
    u8 how, size;
    u64 value;
};

struct example {
    const char *rule;
    struct setting set[3];
};

enum {
    WORD4 = 0x10,
    IOPM_BASE = 0x40,
    MSRPM_BASE = 0x48,
    ASID = 0x58,
    VINTR = 0x60,
    NP = 0x90,
    EVENTINJ = 0xa8,
    NCR3 = 0xb0,
    CS_ATTR = 0x412,
    EFER = 0x4d0,
    CR4 = 0x548,
    CR3 = 0x550,
    CR0 = 0x558,
    DR7 = 0x560,
    DR6 = 0x568,
    G_PAT = 0x668,
};

#define BEYOND ((u64)1 << 40)

/* clang-format off */
static const struct example examples[] = {
    {"efer_svme", {{EFER, CLEAR, 8, EFER_SVME}}},
    {"cr0_cache_disable", {{CR0, ADD, 8, CR0_NW}}},
    {"cr0_upper", {{CR0, ADD, 8, (u64)1 << 32}}},
    {"cr3_reserved", {{CR3, ADD, 8, BEYOND}}},
    {"cr3_reserved", {{CR3, ADD, 8, (u64)1 << 63}}},
    {"cr4_reserved", {{CR4, ADD, 8, CR4_VMXE}}},
    {"cr4_reserved", {{CR4, ADD, 8, (u64)1 << 32}}},
    {"dr6_upper", {{DR6, ADD, 8, (u64)1 << 32}}},
    {"dr7_upper", {{DR7, ADD, 8, (u64)1 << 63}}},
    {"efer_reserved", {{EFER, ADD, 8, 1 << 9}}},
    {"efer_reserved", {{EFER, ADD, 8, (u64)1 << 40}}},
    {"long_mode_has_pae", {{CR4, CLEAR, 8, CR4_PAE}}},
    {"long_mode_is_protected", {{CR0, CLEAR, 8, CR0_PE}}},
    {"cs_size", {{CS_ATTR, ADD, 2, 1 << 10}}},
    {"vmrun_intercept", {{WORD4, CLEAR, 4, 1}}},
    {"msrpm_end", {{MSRPM_BASE, SET, 8, BEYOND - 0x2000}}},
    {"iopm_end", {{IOPM_BASE, SET, 8, BEYOND - 0x2000}}},
    {"injection", {{EVENTINJ, SET, 4, 0x80000100}}},
    {"injection", {{EVENTINJ, SET, 4, 0x80000302}}},
    {"injection", {{EVENTINJ, SET, 4, 0x80000320}}},
    {"injection", {{EVENTINJ, SET, 4, 0x80000520}}},
    {"injection", {{EVENTINJ, SET, 4, 0x80000309}}}, /* vectors that are no exception's */
    {"injection", {{EVENTINJ, SET, 4, 0x8000030f}}},
    {"injection", {{EVENTINJ, SET, 4, 0x8000031f}}},
    {"injection", {{EVENTINJ, SET, 4, 0x80000304}}}, /* INTO and BOUND in 64-bit mode */
    {"injection", {{EVENTINJ, SET, 4, 0x80000305}}},
    {"asid", {{ASID, SET, 4, 0}}},
    {"virtual_nmi_needs_intercept", {{VINTR, ADD, 4, VINTR_NMI_ENABLE}}},
    {"ncr3_reserved", {{NCR3, ADD, 8, BEYOND}}},
    {"g_pat", {{G_PAT, SET, 8, 2}}},
    {"g_pat", {{G_PAT, SET, 8, 0x800}}},
    /* legacy PAE without nested paging: a PDPTE with bit 1, at 7000h */
    {"pdptes", {{NP, SET, 8, 0}, {EFER, CLEAR, 8, EFER_LME | EFER_LMA}, {CR3, SET, 8, 0x7000}}},
};
/* clang-format on */

/* Rules whose example is a test of its own. */
static const char *const elsewhere[] = {"nested_paging_needs_paging"};

static void setup(void)
{
    svm_create();
    put_value(0x7000, 3, 8);
    vmcb_put();
}

static void apply(const struct setting *set)
{
    u64 value = get(VMCB + set->field, set->size);

    value = set->how == SET   ? set->value
            : set->how == ADD ? value | set->value
                              : value & ~set->value;
    put_value(VMCB + set->field, value, set->size);
}

static void apply_all(const struct example *example)
{
    for (u32 i = 0; i < ARRAY_SIZE(example->set) && example->set[i].size != 0; i++)
        apply(&example->set[i]);
    vmcb_get();
}

START_TEST(vmcb_of_the_rig_breaks_no_rule)
{
    vmrun();
    ck_assert(in_svm_guest(v));
    ck_assert_ptr_null(v->vmrun_rule);
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE);
    ck_assert_uint_eq(v->state.reg[REG_RSP], L2_STACK);
}
END_TEST

START_TEST(example_breaks_its_rule_and_exits_invalid)
{
    const struct example *example = &examples[_i];
    const u64 rip = v->state.reg[REG_RIP];

    apply_all(example);
    v->state.dr[7] |= 1;
    vmrun();
    expect_exit(~(u64)0);
    ck_assert_uint_eq(v->state.dr[7], DR7_FIXED_1);
    ck_assert_str_eq(v->vmrun_rule->name, example->rule);
    ck_assert_uint_eq(v->state.reg[REG_RIP], rip + VMRUN_LENGTH);
}
END_TEST

START_TEST(every_rule_has_an_example_and_names_a_field)
{
    for (u32 i = 0; i < svm_rules_count; i++) {
        bool found = false;

        for (u32 j = 0; j < ARRAY_SIZE(examples); j++)
            found = found || strcmp(examples[j].rule, svm_rules[i].name) == 0;
        for (u32 j = 0; j < ARRAY_SIZE(elsewhere); j++)
            found = found || strcmp(elsewhere[j], svm_rules[i].name) == 0;
        ck_assert_msg(found, "%s has no example", svm_rules[i].name);
        ck_assert_ptr_nonnull(vmcb_field_find(svm_rules[i].field));
    }
}
END_TEST

START_TEST(fields_are_where_the_manual_has_them)
{
    for (u32 i = 0; i < vmcb_fields_count; i++) {
        ck_assert_msg(vmcb_fields[i].offset == vmcb_fields[i].member, "%s", vmcb_fields[i].name);
        ck_assert(i == 0 ||
                  vmcb_fields[i].offset >= vmcb_fields[i - 1].offset + vmcb_fields[i - 1].size);
    }
}
END_TEST

START_TEST(maps_may_end_at_the_last_physical_page)
{
    control.iopm_base = BEYOND - 0x3000;
    control.msrpm_base = BEYOND - 0x3000;
    vmrun();
    ck_assert(in_svm_guest(v));
}
END_TEST

START_TEST(nested_paging_needs_a_host_that_pages)
{
    v->state.cr0 &= ~CR0_PG;
    v->state.efer &= ~(EFER_LMA | EFER_LME);
    v->state.seg[SEG_CS].attr = (v->state.seg[SEG_CS].attr & ~(u32)ATTR_L) | ATTR_DB;
    mode_update(v);
    vmrun();
    expect_exit(~(u64)0);
    ck_assert_str_eq(v->vmrun_rule->name, "nested_paging_needs_paging");
    control.np_control = 0;
    vmrun();
    ck_assert(in_svm_guest(v));
}
END_TEST

/* rAX that is no page of physical memory: #GP before anything else. */
START_TEST(vmrun_of_a_bad_address_is_gp)
{
    static const u64 bad[] = {VMCB + 8, BEYOND, (u64)1 << 63};

    vmcb_put();
    v->state.reg[REG_RAX] = bad[_i];
    RUN("\x0f\x01\xd8", 1);
    at_handler(VEC_GP);
    ck_assert(svm_gif(v));
}
END_TEST

START_TEST(instructions_are_undefined_without_svme)
{
    static const char *const code[] = {"\x0f\x01\xd8", "\x0f\x01\xda", "\x0f\x01\xdb",
                                       "\x0f\x01\xdd", "\x0f\x01\xdf"};

    v->state.efer &= ~EFER_SVME;
    mode_update(v);
    run(code[_i], 3, 1);
    at_handler(VEC_UD);
}
END_TEST

/* But for STGI, if there is the SVM lock: APM Vol 2 15.31. */
START_TEST(stgi_without_svme_needs_the_svm_lock)
{
    v->state.efer &= ~EFER_SVME;
    v->state.svm.gif_clear = 1;
    if (_i == 0)
        v->features[F_SVM_LOCK / 64] &= ~BIT(F_SVM_LOCK % 64);
    mode_update(v);
    RUN("\x0f\x01\xdc", 1);
    if (_i == 0)
        at_handler(VEC_UD);
    ck_assert_uint_eq(svm_gif(v), _i == 1);
}
END_TEST

START_TEST(instructions_need_ring_0)
{
    static const char *const code[] = {"\x0f\x01\xd8", "\x0f\x01\xda", "\x0f\x01\xdb",
                                       "\x0f\x01\xdc", "\x0f\x01\xdd", "\x0f\x01\xdf"};

    set_privilege(3);
    run(code[_i], 3, 1);
    at_handler(VEC_GP);
}
END_TEST

START_TEST(vmmcall_and_skinit_are_undefined_in_the_host)
{
    run(_i == 0 ? "\x0f\x01\xd9" : "\x0f\x01\xde", 3, 1);
    at_handler(VEC_UD);
}
END_TEST

/* What VMRUN loads, and what only VMLOAD does. */
START_TEST(vmrun_loads_cr2_and_leaves_fs_to_vmload)
{
    save.cr2 = 0x1234;
    save.fs.base = 0x9000;
    save.star = 7;
    save.cpl = 3;
    save.dr7 = 0x455;
    vmrun();
    ck_assert_uint_eq(v->state.cr2, 0x1234);
    ck_assert_uint_eq(v->state.seg[SEG_FS].base, 0);
    ck_assert_uint_eq(v->state.star, 0);
    ck_assert_uint_eq(v->cpl, 3);
    ck_assert_uint_eq(v->state.dr[7], 0x455);
}
END_TEST

/* Attributes that are not observed: S and A of data segments. APM Vol 2 15.5.1. */
START_TEST(data_segment_is_by_its_observed_attributes)
{
    save.efer &= ~(EFER_LME | EFER_LMA);
    save.cr0 &= ~CR0_PG;
    save.cr4 &= ~CR4_PAE;
    save.cs = (struct vmcb_segment){SEL_CODE0, 0xc9b, ~0u, 0};
    save.ds.attr = 0xc82;
    save.ss.attr = 0xc82;
    save.rax = 0x8000;
    RUN_INTO("\x88\x18\x50\x8a\x18", 3); /* mov [eax],bl; push eax; mov bl,[eax] */
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE + 5);
}
END_TEST

START_TEST(bases_become_canonical)
{
    save.gdtr.base = (u64)1 << 60 | GDT;
    save.es.base = (u64)1 << 60 | 0x5000;
    save.ds.base = 0x01ffffffffffffff; /* bits 47 and 56 */
    vmrun();
    ck_assert(in_svm_guest(v));
    ck_assert_uint_eq(v->state.gdtr.base, GDT);
    ck_assert_uint_eq(v->state.seg[SEG_ES].base, 0x5000);
    ck_assert_uint_eq(v->state.seg[SEG_DS].base, ~(u64)0);
}
END_TEST

START_TEST(vmload_and_vmsave_move_the_rest_and_make_bases_canonical)
{
    save.fs = (struct vmcb_segment){SEL_DATA0, 0xc93, ~0u, 0x123000};
    save.gs.base = (u64)1 << 60;
    save.tr = (struct vmcb_segment){SEL_TSS, 0x8b, 0x67, TSS};
    save.kernel_gs_base = 0xffff800000000000;
    save.star = 1;
    save.lstar = 2;
    save.cstar = 3;
    save.sfmask = 4;
    save.sysenter_cs = 5;
    save.sysenter_esp = 6;
    save.sysenter_eip = 7;
    vmcb_put();
    v->state.reg[REG_RAX] = VMCB;
    RUN("\x0f\x01\xda", 1); /* vmload */
    ck_assert_uint_eq(v->state.seg[SEG_FS].base, 0x123000);
    ck_assert_uint_eq(v->state.seg[SEG_GS].base, 0);
    ck_assert_uint_eq(v->state.kernel_gs_base, 0xffff800000000000);
    ck_assert_uint_eq(v->state.star, 1);
    memset(&save, 0, sizeof(save));
    vmcb_put();
    RUN("\x0f\x01\xdb", 1); /* vmsave */
    vmcb_get();
    ck_assert_uint_eq(save.fs.base, 0x123000);
    ck_assert_uint_eq(save.fs.attr, 0xc93);
    ck_assert_uint_eq(save.tr.limit, 0x67);
    ck_assert_uint_eq(save.lstar, 2);
    ck_assert_uint_eq(save.sfmask, 4);
    ck_assert_uint_eq(save.sysenter_eip, 7);
    ck_assert_uint_eq(save.rip, 0);
}
END_TEST

/* ---- MSRs: APM Vol 2 15.30 ---- */

static bool write_msr(u32 index, u64 value)
{
    return msr_write(v, index, value);
}

START_TEST(vm_cr_locks_svm_off)
{
    ck_assert(!write_msr(0xc0010114, VM_CR_SVMDIS)); /* SVM is in use */
    ck_assert(efer_write(v, v->state.efer & ~EFER_SVME));
    ck_assert(write_msr(0xc0010114, VM_CR_SVMDIS | VM_CR_LOCK));
    ck_assert(!efer_write(v, v->state.efer | EFER_SVME));
    ck_assert(write_msr(0xc0010114, 0)); /* ignored */
    ck_assert_uint_eq(v->state.svm.vm_cr, VM_CR_SVMDIS | VM_CR_LOCK);
    ck_assert(!write_msr(0xc0010114, 1 << 5));
}
END_TEST

START_TEST(disabling_svm_in_use_is_gp_even_if_it_is_locked)
{
    ck_assert(write_msr(0xc0010114, VM_CR_LOCK));
    ck_assert(!write_msr(0xc0010114, VM_CR_SVMDIS));
}
END_TEST

/* APM Vol 2 15.31.1. */
START_TEST(svm_key_unlocks_vm_cr)
{
    u64 value = 1;

    ck_assert(write_msr(0xc0010118, 0x1122334455667788));
    ck_assert(write_msr(0xc0010114, VM_CR_LOCK));
    ck_assert(write_msr(0xc0010118, 0x1122334455667789));
    ck_assert_uint_eq(v->state.svm.vm_cr, VM_CR_LOCK);
    ck_assert(write_msr(0xc0010118, 0x1122334455667788));
    ck_assert_uint_eq(v->state.svm.vm_cr, 0);
    ck_assert(msr_read(v, 0xc0010118, &value));
    ck_assert_uint_eq(value, 0);
    ck_assert(write_msr(0xc0010118, 0)); /* which is no key */
    ck_assert(write_msr(0xc0010114, VM_CR_LOCK));
    ck_assert(write_msr(0xc0010118, 0));
    ck_assert_uint_eq(v->state.svm.vm_cr, VM_CR_LOCK);
}
END_TEST

/* APM Vol 2 15.30.1, 15.32.1. */
START_TEST(init_clears_svmdis_unless_it_is_locked)
{
    const u64 lock = _i == 0 ? 0 : VM_CR_LOCK;

    v->state.svm.vm_cr = VM_CR_SVMDIS | VM_CR_R_INIT | lock;
    ck_assert(write_msr(0xc0010015, 1));
    vcpu_reset(v, true);
    ck_assert_uint_eq(v->state.svm.vm_cr, VM_CR_R_INIT | (lock != 0 ? lock | VM_CR_SVMDIS : 0));
    ck_assert_uint_eq(v->state.amd[AMD_HWCR] & HWCR_SMMLOCK, HWCR_SMMLOCK);
}
END_TEST

START_TEST(ignne_is_a_bit_that_stays)
{
    u64 value;

    ck_assert(write_msr(0xc0010115, 1));
    ck_assert(msr_read(v, 0xc0010115, &value));
    ck_assert_uint_eq(value, 1);
    ck_assert(!write_msr(0xc0010115, 2));
}
END_TEST

/* APM Vol 2 15.30.3. */
START_TEST(smm_ctl_dismisses_an_smi_unless_smm_is_locked)
{
    u64 value;

    ck_assert(!msr_read(v, 0xc0010116, &value));
    event_signal_smi(v);
    ck_assert(write_msr(0xc0010116, 1));
    ck_assert_uint_eq(v->state.smi_pending, 0);
    ck_assert(write_msr(0xc0010015, 1));
    ck_assert(!write_msr(0xc0010116, 1));
}
END_TEST

START_TEST(hsave_is_a_page_of_physical_memory)
{
    ck_assert(!write_msr(0xc0010117, 0x1008));
    ck_assert(!write_msr(0xc0010117, BEYOND));
    ck_assert(write_msr(0xc0010117, 0x1000));
}
END_TEST

START_TEST(tsc_ratio_starts_at_one)
{
    u64 value;

    ck_assert(msr_read(v, 0xc0000104, &value));
    ck_assert_uint_eq(value, SVM_TSC_RATIO_ONE);
    ck_assert(!write_msr(0xc0000104, (u64)1 << 40));
}
END_TEST

START_TEST(guest_sees_the_tsc_scaled_and_then_offset)
{
    control.tsc_offset = 1000;
    vmrun();
    ck_assert_uint_eq(svm_guest_tsc(v, 50), 1050);
    v->state.svm.tsc_ratio = SVM_TSC_RATIO_ONE * 5 / 2;
    ck_assert_uint_eq(svm_guest_tsc(v, 50), 1125);
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("entry");

    tcase_add_checked_fixture(tc, setup, guest_destroy);
    tcase_add_test(tc, vmcb_of_the_rig_breaks_no_rule);
    tcase_add_loop_test(tc, example_breaks_its_rule_and_exits_invalid, 0, ARRAY_SIZE(examples));
    tcase_add_test(tc, every_rule_has_an_example_and_names_a_field);
    tcase_add_test(tc, fields_are_where_the_manual_has_them);
    tcase_add_test(tc, maps_may_end_at_the_last_physical_page);
    tcase_add_test(tc, nested_paging_needs_a_host_that_pages);
    tcase_add_loop_test(tc, vmrun_of_a_bad_address_is_gp, 0, 3);
    tcase_add_loop_test(tc, instructions_are_undefined_without_svme, 0, 5);
    tcase_add_loop_test(tc, stgi_without_svme_needs_the_svm_lock, 0, 2);
    tcase_add_loop_test(tc, instructions_need_ring_0, 0, 6);
    tcase_add_loop_test(tc, vmmcall_and_skinit_are_undefined_in_the_host, 0, 2);
    tcase_add_test(tc, vmrun_loads_cr2_and_leaves_fs_to_vmload);
    tcase_add_test(tc, data_segment_is_by_its_observed_attributes);
    tcase_add_test(tc, bases_become_canonical);
    tcase_add_test(tc, vmload_and_vmsave_move_the_rest_and_make_bases_canonical);
    tcase_add_test(tc, vm_cr_locks_svm_off);
    tcase_add_test(tc, disabling_svm_in_use_is_gp_even_if_it_is_locked);
    tcase_add_test(tc, svm_key_unlocks_vm_cr);
    tcase_add_loop_test(tc, init_clears_svmdis_unless_it_is_locked, 0, 2);
    tcase_add_test(tc, ignne_is_a_bit_that_stays);
    tcase_add_test(tc, smm_ctl_dismisses_an_smi_unless_smm_is_locked);
    tcase_add_test(tc, hsave_is_a_page_of_physical_memory);
    tcase_add_test(tc, tsc_ratio_starts_at_one);
    tcase_add_test(tc, guest_sees_the_tsc_scaled_and_then_offset);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("svm_entry", add)
