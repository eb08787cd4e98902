/* SPDX-License-Identifier: MIT */
/*
 * The rules of VM entry, SDM Vol 3C 27.2 and 27.3: for each rule an example that breaks it and no
 * rule before it. The VMCS of vmx_guest.h breaks none.
 */
#include "tests/cpu/explained.h"
#include "tests/cpu/vmx_guest.h"

struct setting {
    u16 field; /* encoding; bit 0: the bits are added to the field's */
    u64 value;
};

struct example {
    const char *rule;
    struct setting set[4];
};

#define BAD_ADDRESS ((u64)1)
#define NOT_CANONICAL ((u64)1 << 62)
#define ADD(field, bits)                                                                           \
    {                                                                                              \
        (field) | 1, bits                                                                          \
    }
#define PIN 0x4000
#define PRIMARY 0x4002
#define SECONDARY 0x401e
#define EXIT 0x400c
#define ENTRY 0x4012
#define INJECT 0x4016
#define TPR_SHADOW                                                                                 \
    ADD(PRIMARY, PRIMARY_TPR_SHADOW),                                                              \
    {                                                                                              \
        0x2012, BITMAP                                                                             \
    }

/* clang-format off */
static const struct example examples[] = {
    {"pin_reserved", {{PIN, 0}}},
    {"primary_reserved", {{PRIMARY, 0}}},
    {"secondary_reserved", {ADD(SECONDARY, 1u << 15)}},
    {"cr3_target_count", {{0x400a, 5}}},
    {"io_bitmap_a", {ADD(PRIMARY, PRIMARY_IO_BITMAPS), {0x2000, BAD_ADDRESS}}},
    {"io_bitmap_b", {ADD(PRIMARY, PRIMARY_IO_BITMAPS), {0x2002, (u64)1 << 40}}},
    {"msr_bitmap", {ADD(PRIMARY, PRIMARY_MSR_BITMAPS), {0x2004, BAD_ADDRESS}}},
    {"virtual_apic_address", {ADD(PRIMARY, PRIMARY_TPR_SHADOW), {0x2012, BAD_ADDRESS}}},
    {"tpr_threshold_reserved", {TPR_SHADOW, {0x401c, 0x10}}},
    {"tpr_threshold_vtpr", {TPR_SHADOW, {0x401c, 1}}},
    {"virtual_nmis_need_nmi_exiting", {ADD(PIN, PIN_VIRTUAL_NMIS)}},
    {"nmi_window_needs_virtual_nmis", {ADD(PRIMARY, PRIMARY_NMI_WINDOW)}},
    {"apic_access_address", {ADD(SECONDARY, SECONDARY_APIC_ACCESSES), {0x2014, BAD_ADDRESS}}},
    {"apic_virtualization_needs_tpr_shadow", {ADD(SECONDARY, SECONDARY_X2APIC)}},
    {"x2apic_excludes_apic_accesses", {TPR_SHADOW, ADD(SECONDARY, SECONDARY_X2APIC | SECONDARY_APIC_ACCESSES)}},
    {"virtual_interrupts_need_external_interrupt_exiting", {TPR_SHADOW, ADD(SECONDARY, SECONDARY_VIRTUAL_INTERRUPT)}},
    {"posted_interrupts_need_virtual_interrupts", {ADD(PIN, PIN_POSTED_INTERRUPTS)}},
    {"posted_interrupts_need_acknowledge", {TPR_SHADOW, ADD(SECONDARY, SECONDARY_VIRTUAL_INTERRUPT), ADD(PIN, PIN_POSTED_INTERRUPTS | PIN_EXTERNAL_INTERRUPT)}},
    {"vpid_not_zero", {ADD(SECONDARY, SECONDARY_VPID)}},
    {"eptp", {{0x201a, EPTP | 1}}},
    {"eptp", {{0x201a, EPT_PML4 | 6 | 2 << 3}}},
    {"eptp", {{0x201a, EPTP | 1 << 7}}},
    {"pml_needs_ept", {{SECONDARY, SECONDARY_PML}}},
    {"pml_address", {ADD(SECONDARY, SECONDARY_PML), {0x200e, BAD_ADDRESS}}},
    {"unrestricted_guest_needs_ept", {{SECONDARY, SECONDARY_UNRESTRICTED}}},
    {"mode_based_execute_needs_ept", {{SECONDARY, SECONDARY_MBEC}}},
    {"vm_function_controls", {ADD(SECONDARY, SECONDARY_VM_FUNCTIONS), {0x2018, 2}}},
    {"eptp_switching_needs_ept", {{SECONDARY, SECONDARY_VM_FUNCTIONS}, {0x2018, 1}}},
    {"eptp_list_address", {ADD(SECONDARY, SECONDARY_VM_FUNCTIONS), {0x2018, 1}, {0x2024, BAD_ADDRESS}}},
    {"vmread_bitmap", {ADD(SECONDARY, SECONDARY_VMCS_SHADOWING), {0x2026, BAD_ADDRESS}}},
    {"vmwrite_bitmap", {ADD(SECONDARY, SECONDARY_VMCS_SHADOWING), {0x2028, BAD_ADDRESS}}},
    {"ve_information_address", {ADD(SECONDARY, SECONDARY_EPT_VIOLATION_VE), {0x202a, BAD_ADDRESS}}},
    {"tsc_multiplier", {ADD(SECONDARY, SECONDARY_TSC_SCALING)}},
    {"exit_reserved", {{EXIT, 0}}},
    {"save_timer_needs_timer", {ADD(EXIT, EXIT_SAVE_TIMER)}},
    {"exit_msr_store", {{0x2006, BAD_ADDRESS}, {0x400e, 1}}},
    {"exit_msr_store_end", {{0x2006, ((u64)1 << 40) - 16}, {0x400e, 2}}},
    {"exit_msr_load", {{0x2008, BAD_ADDRESS}, {0x4010, 1}}},
    {"exit_msr_load_end", {{0x2008, ((u64)1 << 40) - 16}, {0x4010, 2}}},
    {"entry_reserved", {{ENTRY, 0}}},
    {"injection_type", {{INJECT, 0x80000100}}},
    {"injection_vector", {{INJECT, 0x80000203}}},
    {"injection_vector", {{INJECT, 0x80000320}}},
    {"injection_error_code_valid", {{INJECT, 0x8000030d}}},
    {"injection_error_code_valid", {{INJECT, 0x80000b06}}},
    {"injection_reserved", {{INJECT, 0x80001020}}},
    {"injection_error_code", {{INJECT, 0x80000b0d}, {0x4018, 0x10000}}},
    {"injection_length", {{INJECT, 0x80000420}, {0x401a, 16}}},
    {"entry_msr_load", {{0x200a, BAD_ADDRESS}, {0x4014, 1}}},
    {"entry_msr_load_end", {{0x200a, ((u64)1 << 40) - 32}, {0x4014, 3}}},

    {"host_cr0", {{0x6c00, 0x80000001}}},
    {"host_cr4", {{0x6c04, 0x20}}},
    {"host_cr3", {{0x6c02, (u64)1 << 40}}},
    {"host_sysenter_esp", {{0x6c10, NOT_CANONICAL}}},
    {"host_sysenter_eip", {{0x6c12, NOT_CANONICAL}}},
    {"host_pat", {ADD(EXIT, EXIT_LOAD_PAT), {0x2c00, 2}}},
    {"host_efer_reserved", {ADD(EXIT, EXIT_LOAD_EFER), {0x2c02, 0x502}}},
    {"host_efer_mode", {ADD(EXIT, EXIT_LOAD_EFER), {0x2c02, 0x100}}},
    {"host_selectors_rpl_ti", {{0x0c06, 0x13}}},
    {"host_cs_not_null", {{0x0c02, 0}}},
    {"host_tr_not_null", {{0x0c0c, 0}}},
    {"host_fs_base", {{0x6c06, NOT_CANONICAL}}},
    {"host_gs_base", {{0x6c08, NOT_CANONICAL}}},
    {"host_gdtr_base", {{0x6c0c, NOT_CANONICAL}}},
    {"host_idtr_base", {{0x6c0e, NOT_CANONICAL}}},
    {"host_tr_base", {{0x6c0a, NOT_CANONICAL}}},
    {"long_mode_has_64_bit_host", {{EXIT, 0x36dfb}}},
    {"long_host_has_pae", {{0x6c04, 0x2000}}},
    {"long_host_rip", {{0x6c16, NOT_CANONICAL}}},

    {"guest_cr0_fixed", {{0x6800, 1}}},
    {"guest_cr0_pg_needs_pe", {{0x6800, 0x80000020}}},
    {"guest_cr4_fixed", {{0x6804, 0x20}}},
    {"guest_debugctl", {ADD(ENTRY, ENTRY_LOAD_DEBUG), {0x2802, 4}}},
    {"long_guest_has_paging", {{0x6800, 0x21}}},
    {"long_guest_has_pae", {{0x6804, 0x2000}}},
    {"guest_cr3", {{0x6802, (u64)1 << 40}}},
    {"guest_dr7", {ADD(ENTRY, ENTRY_LOAD_DEBUG), {0x681a, (u64)1 << 32}}},
    {"guest_sysenter_esp", {{0x6824, NOT_CANONICAL}}},
    {"guest_sysenter_eip", {{0x6826, NOT_CANONICAL}}},
    {"guest_pat", {ADD(ENTRY, ENTRY_LOAD_PAT), {0x2804, 3}}},
    {"guest_efer_reserved", {ADD(ENTRY, ENTRY_LOAD_EFER), {0x2806, 0x502}}},
    {"guest_efer_lma", {ADD(ENTRY, ENTRY_LOAD_EFER), {0x2806, 0x100}}},
    {"guest_efer_lme", {ADD(ENTRY, ENTRY_LOAD_EFER), {0x2806, 0x400}}},
    {"tr_selector", {{0x080e, 0x3c}}},
    {"ldtr_selector", {{0x080c, 4}, {0x4820, 0x82}}},
    {"ss_selector", {{SECONDARY, SECONDARY_EPT}, {0x0804, 3}}},
    {"v86_bases", {{0x6820, 0x20002}}},
    {"tr_fs_gs_bases", {{0x680e, NOT_CANONICAL}}},
    {"ldtr_base", {{0x6812, NOT_CANONICAL}, {0x4820, 0x82}}},
    {"cs_base", {{0x6808, (u64)1 << 32}}},
    {"ss_ds_es_bases", {{0x680c, (u64)1 << 32}}},
    {"cs_type", {{0x4816, 0xa092}}},
    {"ss_type", {{0x4818, 0xc091}}},
    {"data_types", {{0x481a, 0xc092}}},
    {"code_data_s", {{0x481a, 0xc083}}},
    {"cs_dpl", {{0x4816, 0xa0fb}}},
    {"ss_dpl_rpl", {{SECONDARY, SECONDARY_EPT}, {0x4818, 0xc0f3}, {0x4816, 0xa0fb}}},
    {"ss_dpl", {{0x4818, 0xc0f3}, {0x4816, 0xa093}}},
    {"data_dpl", {{SECONDARY, SECONDARY_EPT}, {0x0806, 0x13}}},
    {"code_data_present", {{0x481a, 0xc013}}},
    {"code_data_reserved", {{0x481a, 0xc193}}},
    {"cs_db", {{0x4816, 0xe09b}}},
    {"code_data_granularity", {{0x481a, 0x4093}}},
    {"code_data_granularity", {{0x4806, 0xfffff000}}},
    {"tr_type", {{0x4822, 0x83}}},
    {"tr_access_rights", {{0x4822, 0x1008b}}},
    {"ldtr_access_rights", {{0x4820, 0x83}}},
    {"guest_gdtr_base", {{0x6816, NOT_CANONICAL}}},
    {"guest_idtr_base", {{0x6818, NOT_CANONICAL}}},
    {"guest_gdtr_limit", {{0x4810, 0x10000}}},
    {"guest_idtr_limit", {{0x4812, 0x10000}}},
    {"guest_rip", {{0x681e, (u64)1 << 32}, {0x4816, 0xc09b}}},
    {"guest_rip_64", {{0x681e, NOT_CANONICAL}}},
    {"guest_rflags_reserved", {{0x6820, 0}}},
    {"guest_rflags_reserved", {{0x6820, 0xa}}},
    {"guest_rflags_if", {{INJECT, 0x80000020}}},
    {"activity_known", {{0x4826, 4}}},
    {"activity_hlt_dpl", {{0x4826, 1}, {0x4818, 0xc0f3}, {0x4816, 0xa0fb}}},
    {"activity_blocking", {{0x4826, 1}, {0x4824, 2}}},
    {"activity_injection", {{0x4826, 3}, {INJECT, 0x80000202}}},
    {"interruptibility_reserved", {{0x4824, 0x20}}},
    {"blocking_by_sti_or_mov_ss", {{0x4824, 3}}},
    {"blocking_by_sti_needs_if", {{0x4824, 1}}},
    {"external_interrupt_not_blocked", {{0x4824, 1}, {0x6820, 0x202}, {INJECT, 0x80000020}}},
    {"nmi_not_blocked_by_mov_ss", {{0x4824, 2}, {INJECT, 0x80000202}}},
    {"blocking_by_smi", {{0x4824, 4}}},
    {"nmi_not_blocked_by_sti", {{0x4824, 1}, {0x6820, 0x202}, {INJECT, 0x80000202}}},
    {"virtual_nmi_not_blocked", {ADD(PIN, PIN_NMI | PIN_VIRTUAL_NMIS), {0x4824, 8}, {INJECT, 0x80000202}}},
    {"no_enclave", {{0x4824, 0x10}}},
    {"pending_debug_reserved", {{0x6822, 0x10}}},
    {"pending_debug_single_step", {{0x6820, 0x102}, {0x4824, 2}}},
    {"link_pointer", {{0x2800, BAD_ADDRESS}}},
    {"link_revision", {{0x2800, BITMAP}}},
    {"link_is_not_current", {{0x2800, VMCS_REGION}}},
};
/* clang-format on */

/* What cannot be broken in this L1, or has tests of its own. */
static const char *const elsewhere[] = {
    "posted_interrupt_vector",
    "posted_interrupt_descriptor",
    "host_ss_not_null",
    "legacy_mode_has_legacy_host",
    "legacy_mode_has_legacy_guest",
    "legacy_host_has_legacy_guest",
    "legacy_host_has_no_pcid",
    "legacy_host_rip",
    "legacy_guest_has_no_pcid",
    "v86_limits",
    "v86_access_rights",
    "guest_rflags_vm",
    "guest_pdptes",
    "guest_pdptes_in_memory",
};

static const struct vmx_rule *broken_rule(void)
{
    const struct vmx_rule *rule = vmx_check_controls(v);

    if (rule == NULL)
        rule = vmx_check_host(v);
    return rule != NULL ? rule : vmx_check_guest(v);
}

static void apply(const struct setting *set)
{
    const u16 encoding = set->field & 0xfffe;
    const struct vmx_field *field = vmx_field_find(v, encoding);
    u64 value = set->value;

    ck_assert_ptr_nonnull(field);
    if ((set->field & 1) != 0)
        value |= vmx_field_read((u8 *)vmcs, field, encoding);
    vmx_field_written(v, encoding, value);
    vmx_field_write((u8 *)vmcs, field, encoding, value);
}

static bool is_set(const struct setting *set)
{
    return set->field != 0 || set->value != 0;
}

START_TEST(vmcs_of_the_rig_breaks_no_rule)
{
    ck_assert_ptr_null(broken_rule());
    launch();
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
}
END_TEST

START_TEST(example_breaks_its_rule)
{
    const struct example *example = &examples[_i];
    const struct vmx_rule *rule;

    for (u32 i = 0; i < ARRAY_SIZE(example->set) && is_set(&example->set[i]); i++)
        apply(&example->set[i]);
    rule = broken_rule();
    ck_assert_msg(rule != NULL, "%s: nothing is broken", example->rule);
    ck_assert_str_eq(rule->name, example->rule);
}
END_TEST

/* The three groups of rules end in three ways. */
START_TEST(failed_entry_is_reported_by_its_group)
{
    const struct example *example = &examples[_i];
    const u64 rip = v->state.reg[REG_RIP];

    for (u32 i = 0; i < ARRAY_SIZE(example->set) && is_set(&example->set[i]); i++)
        apply(&example->set[i]);
    if (vmx_check_controls(v) != NULL || vmx_check_host(v) != NULL) {
        const u32 error =
            vmx_check_controls(v) != NULL ? ERROR_ENTRY_CONTROLS : ERROR_ENTRY_HOST_STATE;

        launch();
        expect_fail(error);
        ck_assert_uint_eq(v->state.reg[REG_RIP], rip + 3);
    } else {
        const u64 qualification = vmx_check_guest(v)->qualification;

        launch();
        ck_assert_uint_eq(vmcs->exit_reason, 0x80000021);
        ck_assert_uint_eq(vmcs->exit_qualification, qualification);
        ck_assert_uint_eq(v->state.reg[REG_RIP], HOST_CODE);
    }
    ck_assert_uint_eq(v->state.vmx.mode, VMX_ROOT);
    ck_assert_uint_eq(vmcs->launched, 0);
}
END_TEST

START_TEST(failed_entry_is_explained_by_rule_field_value_and_section)
{
    const struct example *example = &examples[_i];
    const struct vmx_rule *rule;
    u32 encoding;
    char field[128];

    for (u32 i = 0; i < ARRAY_SIZE(example->set) && is_set(&example->set[i]); i++)
        apply(&example->set[i]);
    rule = broken_rule();
    encoding = vmx_breach(v, rule);
    (void)snprintf(field, sizeof(field), " field     %04x %s = %llx\n", encoding,
                   vmx_field_find(v, encoding)->name,
                   (unsigned long long)vmx_field_read((u8 *)vmcs, vmx_field_find(v, encoding),
                                                      encoding));
    explain_to_file();
    launch();
    says(explained(), field);
    says(explained_text, "CPU 0 at ");
    says(explained_text, "VMLAUNCH ");
    says(explained_text, rule->name);
    says(explained_text, rule->text);
    says(explained_text, rule->ref);
}
END_TEST

/* The masks of a rule that has them say that something is wrong exactly if the rule is broken. */
START_TEST(allowed_bits_are_what_the_rule_checks)
{
    const struct example *example = &examples[_i];
    const struct vmx_rule *rule;
    struct vmx_bits bits;
    u32 encoding;
    u64 value;

    for (u32 i = 0; i < ARRAY_SIZE(example->set) && is_set(&example->set[i]); i++)
        apply(&example->set[i]);
    rule = broken_rule();
    if (rule->bits == NULL)
        return;
    encoding = vmx_breach(v, rule);
    bits = rule->bits(v, vmcs);
    value = vmx_field_read((u8 *)vmcs, vmx_field_find(v, encoding), encoding);
    ck_assert_uint_ne((~value & bits.must_be_1) | (value & ~bits.may_be_1), 0);
    vmx_field_write((u8 *)vmcs, vmx_field_find(v, encoding), encoding,
                    (value & bits.may_be_1) | bits.must_be_1);
    ck_assert_uint_eq(vmx_breach(v, rule), VMX_RULE_HOLDS);
}
END_TEST

START_TEST(explanation_names_the_segment_that_is_wrong)
{
    vmcs->guest_ar[SEG_DS] = 0xc013;
    explain_to_file();
    launch();
    says(explained(), "field     481a Guest DS access rights = c013\n");
    says(explained_text, "segment   DS 0010, base 0, limit ffffffff, type 3, S 1, DPL 0, P 0,");
}
END_TEST

START_TEST(explanation_lists_wrong_bits_and_the_fields_that_a_rule_depends_on)
{
    vmcs->entry_interruption_info = 0x80000b0d;
    vmcs->entry_exception_error_code = 0x30000;
    explain_to_file();
    launch();
    says(explained(), "allowed   1 in 0, 0 or 1 in ffff, 0 elsewhere\n");
    says(explained_text, "wrong     bit 16 is 1, bit 17 is 1\n");
    says(explained_text, "with      4016 VM-entry interruption-information field = 80000b0d\n");
}
END_TEST

START_TEST(nothing_is_explained_unless_it_is_asked_for)
{
    explain_to_file();
    log_mask = 0;
    vmcs->pin_controls = 0;
    launch();
    ck_assert_str_eq(explained(), "");
}
END_TEST

static bool is_covered(const char *name)
{
    for (u32 i = 0; i < ARRAY_SIZE(examples); i++) {
        if (strcmp(examples[i].rule, name) == 0)
            return true;
    }
    for (u32 i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        if (strcmp(elsewhere[i], name) == 0)
            return true;
    }
    return false;
}

static void check_coverage(const struct vmx_rule *rules, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        ck_assert_msg(is_covered(rules[i].name), "%s has no example", rules[i].name);
        ck_assert_ptr_nonnull(vmx_field_find(v, rules[i].field));
    }
}

START_TEST(every_rule_has_an_example_and_names_a_field)
{
    check_coverage(vmx_control_rules, vmx_control_rules_count);
    check_coverage(vmx_host_rules, vmx_host_rules_count);
    check_coverage(vmx_guest_rules, vmx_guest_rules_count);
}
END_TEST

START_TEST(groups_of_rules_stand_together_in_the_table)
{
    const u32 first = vmx_activity_rules_first;
    const u32 end = vmx_activity_rules_end;

    ck_assert_str_eq(vmx_guest_rules[vmx_register_rules_count - 1].name, "guest_idtr_limit");
    ck_assert_str_eq(vmx_guest_rules[vmx_register_rules_count].name, "guest_rip");
    ck_assert_str_eq(vmx_guest_rules[first].name, "activity_known");
    ck_assert_str_eq(vmx_guest_rules[end - 1].name, "pending_debug_single_step");
}
END_TEST

/* So they need not be asked of it. */
START_TEST(rules_on_activity_hold_for_a_plain_guest_in_any_other_state)
{
    u64 random = 0x9e3779b97f4a7c15;

    for (u32 n = 0; n < 1000; n++) {
        u8 *bytes = (u8 *)vmcs;

        for (u32 i = 0; i < sizeof(*vmcs); i++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            bytes[i] = (u8)(random >> 56);
        }
        vmcs->guest_activity = vmcs->guest_interruptibility = 0;
        vmcs->guest_pending_debug = 0;
        for (u32 i = vmx_activity_rules_first; i < vmx_activity_rules_end; i++) {
            ck_assert_msg(vmx_breach(v, &vmx_guest_rules[i]) == VMX_RULE_HOLDS, "%s",
                          vmx_guest_rules[i].name);
        }
    }
}
END_TEST

/* As example_breaks_its_rule, after an entry that has found everything valid. */
START_TEST(rule_is_checked_again_after_vmwrite)
{
    const struct example *example = &examples[_i];

    ck_assert_ptr_null(broken_rule());
    ck_assert_uint_eq(v->vmx_valid, GROUP_CONTROLS | GROUP_HOST | GROUP_REGISTERS);
    for (u32 i = 0; i < ARRAY_SIZE(example->set) && is_set(&example->set[i]); i++)
        apply(&example->set[i]);
    ck_assert_str_eq(broken_rule()->name, example->rule);
}
END_TEST

START_TEST(injected_exception_is_delivered_before_the_first_instruction)
{
    vmcs->entry_interruption_info = 0x80000b0d;
    vmcs->entry_exception_error_code = 0x1238;
    launch();
    at_handler(VEC_GP);
    ck_assert_uint_eq(pushed(0), 0x1238);
    ck_assert_uint_eq(pushed(1), L2_CODE);
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
}
END_TEST

/* SDM Vol 3C 27.6.1.2: as if the guest had raised it. */
START_TEST(fault_in_the_delivery_of_an_injected_exception_is_a_double_fault)
{
    put_value(IDT + VEC_GP * 16u + 5, 0x0e, 1); /* not present */
    vmcs->entry_interruption_info = 0x80000b0d;
    launch();
    at_handler(VEC_DF);
}
END_TEST

START_TEST(injected_software_interrupt_returns_behind_its_instruction)
{
    vmcs->entry_interruption_info = 0x80000440;
    vmcs->entry_instruction_length = 2;
    launch();
    at_handler(0x40);
    ck_assert_uint_eq(pushed(0), L2_CODE + 2);
}
END_TEST

START_TEST(msr_list_that_cannot_be_loaded_fails_the_entry)
{
    put_value(BITMAP, 0x174, 8); /* IA32_SYSENTER_CS */
    put_value(BITMAP + 8, 0x33, 8);
    put_value(BITMAP + 16, 0xc0000100, 8); /* IA32_FS_BASE may not be there */
    vmcs->entry_msr_load_address = BITMAP;
    vmcs->entry_msr_load_count = 2;
    launch();
    ck_assert_uint_eq(vmcs->exit_reason, 0x80000022);
    ck_assert_uint_eq(vmcs->exit_qualification, 2);
}
END_TEST

START_TEST(refused_msr_of_an_area_is_explained)
{
    put_value(BITMAP, 0x1d9, 8); /* IA32_DEBUGCTL */
    put_value(BITMAP + 8, (u64)1 << 40, 8);
    vmcs->entry_msr_load_address = BITMAP;
    vmcs->entry_msr_load_count = 1;
    explain_to_file();
    launch();
    says(explained(),
         "an entry of the VM-entry MSR-load area is refused: VM exit 34 (MSR loading), "
         "qualification 1\n");
    says(explained_text, "rule      WRMSR of this value to this MSR at CPL 0 does not fault.\n");
    says(explained_text, "MSR       1d9 = 10000000000\n");
}
END_TEST

START_TEST(wrong_host_address_size_aborts)
{
    explain_to_file();
    LAUNCH_INTO("\x0f\x01\xc1", 0);
    vmcs->exit_controls &= ~EXIT_HOST_64;
    v->alone = false;
    (void)vcpu_run(v, 1);
    ck_assert_uint_eq(v->state.vmx.abort, ABORT_HOST_ADDRESS_SIZE);
    ck_assert(was_shut_down);
    ck_assert_uint_eq(get(VMCS_REGION + 4, 4), ABORT_HOST_ADDRESS_SIZE);
    says(explained(), "VMX abort 6: the guest is in IA-32e mode and");
}
END_TEST

/* ---- explanations of other instructions ---- */

START_TEST(failed_vmread_is_explained_by_its_encoding)
{
    explain_to_file();
    v->state.reg[REG_RAX] = 0x6826;
    v->state.reg[REG_RCX] = 0x7000;
    RUN("\x0f\x78\xc2\x0f\x78\xca", 2); /* vmread rdx, rax; vmread rdx, rcx */
    says(explained(), "VMREAD fails with VM-instruction error 12 (");
    says(explained_text, "encoding  7000\n");
    ck_assert_ptr_null(strstr(explained_text, "6826"));
}
END_TEST

START_TEST(vmfail_invalid_is_explained)
{
    v->state.vmx.current = VMX_NO_POINTER;
    explain_to_file();
    launch();
    says(explained(), "VMLAUNCH fails with VMfailInvalid\n");
    says(explained_text, "There is a current VMCS");
}
END_TEST

START_TEST(refused_vmxon_is_explained_by_what_it_needs)
{
    RUN("\x0f\x01\xc4", 1); /* vmxoff */
    v->state.feature_control = 1;
    explain_to_file();
    v->state.reg[REG_RAX] = 0x8000;
    RUN("\xf3\x0f\xc7\x30", 1); /* vmxon [rax] */
    at_handler(VEC_GP);
    says(explained(), "VMXON fails with #GP(0)\n");
    says(explained_text, "IA32_FEATURE_CONTROL (3A) is locked (bit 0) and enables VMXON");
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("entry");

    tcase_add_checked_fixture(tc, vmx_create, guest_destroy);
    tcase_add_test(tc, vmcs_of_the_rig_breaks_no_rule);
    tcase_add_loop_test(tc, example_breaks_its_rule, 0, (int)ARRAY_SIZE(examples));
    tcase_add_loop_test(tc, failed_entry_is_reported_by_its_group, 0, (int)ARRAY_SIZE(examples));
    tcase_add_test(tc, groups_of_rules_stand_together_in_the_table);
    tcase_add_test(tc, rules_on_activity_hold_for_a_plain_guest_in_any_other_state);
    tcase_add_loop_test(tc, rule_is_checked_again_after_vmwrite, 0, (int)ARRAY_SIZE(examples));
    tcase_add_test(tc, every_rule_has_an_example_and_names_a_field);
    tcase_add_test(tc, injected_exception_is_delivered_before_the_first_instruction);
    tcase_add_test(tc, fault_in_the_delivery_of_an_injected_exception_is_a_double_fault);
    tcase_add_test(tc, injected_software_interrupt_returns_behind_its_instruction);
    tcase_add_test(tc, msr_list_that_cannot_be_loaded_fails_the_entry);
    tcase_add_test(tc, wrong_host_address_size_aborts);
    tcase_add_test(tc, refused_msr_of_an_area_is_explained);
    tcase_add_loop_test(tc, failed_entry_is_explained_by_rule_field_value_and_section, 0,
                        (int)ARRAY_SIZE(examples));
    tcase_add_loop_test(tc, allowed_bits_are_what_the_rule_checks, 0, (int)ARRAY_SIZE(examples));
    tcase_add_test(tc, explanation_names_the_segment_that_is_wrong);
    tcase_add_test(tc, explanation_lists_wrong_bits_and_the_fields_that_a_rule_depends_on);
    tcase_add_test(tc, nothing_is_explained_unless_it_is_asked_for);
    tcase_add_test(tc, failed_vmread_is_explained_by_its_encoding);
    tcase_add_test(tc, vmfail_invalid_is_explained);
    tcase_add_test(tc, refused_vmxon_is_explained_by_what_it_needs);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("vmx_entry", add)
