/* SPDX-License-Identifier: MIT */
/*
 * Checks on VMX controls and host state: SDM Vol 3C 27.2, one row per rule, in the manual's order.
 * A rule says what must hold. Rules on guest state are in checks_guest.c.
 */
#include "cpu/control.h"
#include "cpu/vmx/fields.h"
#include "cpu/vmx/internal.h"

#define RULE(name) static bool name(const struct vcpu *v, const struct vmcs *c)
#define UNUSED_CPU (void)v

static bool primary(const struct vmcs *c, u32 bits)
{
    return (c->primary_controls & bits) != 0;
}

static bool secondary(const struct vmcs *c, u32 bits)
{
    return (vmx_secondary(c) & bits) != 0;
}

static bool pin(const struct vmcs *c, u32 bits)
{
    return (c->pin_controls & bits) != 0;
}

/* ---- VM-execution controls: SDM Vol 3C 27.2.1.1 ---- */

RULE(pin_reserved)
{
    return vmx_controls_allowed(v, CONTROLS_PIN, c->pin_controls);
}

RULE(primary_reserved)
{
    return vmx_controls_allowed(v, CONTROLS_PRIMARY, c->primary_controls);
}

RULE(secondary_reserved)
{
    return vmx_controls_allowed(v, CONTROLS_SECONDARY, vmx_secondary(c));
}

RULE(cr3_target_count)
{
    UNUSED_CPU;
    return c->cr3_target_count <= VMCS_CR3_TARGETS;
}

RULE(io_bitmap_a)
{
    return !primary(c, PRIMARY_IO_BITMAPS) || vmx_address_valid(v, c->io_bitmap[0], PAGE_SIZE);
}

RULE(io_bitmap_b)
{
    return !primary(c, PRIMARY_IO_BITMAPS) || vmx_address_valid(v, c->io_bitmap[1], PAGE_SIZE);
}

RULE(msr_bitmap)
{
    return !primary(c, PRIMARY_MSR_BITMAPS) || vmx_address_valid(v, c->msr_bitmap, PAGE_SIZE);
}

RULE(virtual_apic_address)
{
    return !primary(c, PRIMARY_TPR_SHADOW) ||
           vmx_address_valid(v, c->virtual_apic_address, PAGE_SIZE);
}

RULE(tpr_threshold_reserved)
{
    UNUSED_CPU;
    return !primary(c, PRIMARY_TPR_SHADOW) || secondary(c, SECONDARY_VIRTUAL_INTERRUPT) ||
           c->tpr_threshold >> 4 == 0;
}

RULE(tpr_threshold_vtpr)
{
    u8 vtpr;

    if (!primary(c, PRIMARY_TPR_SHADOW) ||
        secondary(c, SECONDARY_VIRTUAL_INTERRUPT | SECONDARY_APIC_ACCESSES))
        return true;
    memory_read(v->memory, (hpa_t){c->virtual_apic_address + 0x80}, &vtpr, 1);
    return (c->tpr_threshold & 15) <= vtpr >> 4;
}

RULE(virtual_nmis_need_nmi_exiting)
{
    UNUSED_CPU;
    return pin(c, PIN_NMI) || !pin(c, PIN_VIRTUAL_NMIS);
}

RULE(nmi_window_needs_virtual_nmis)
{
    UNUSED_CPU;
    return pin(c, PIN_VIRTUAL_NMIS) || !primary(c, PRIMARY_NMI_WINDOW);
}

RULE(apic_access_address)
{
    return !secondary(c, SECONDARY_APIC_ACCESSES) ||
           vmx_address_valid(v, c->apic_access_address, PAGE_SIZE);
}

RULE(x2apic_excludes_apic_accesses)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_X2APIC) || !secondary(c, SECONDARY_APIC_ACCESSES);
}

RULE(apic_virtualization_needs_tpr_shadow)
{
    UNUSED_CPU;
    return primary(c, PRIMARY_TPR_SHADOW) ||
           !secondary(c, SECONDARY_X2APIC | SECONDARY_APIC_REGISTER | SECONDARY_VIRTUAL_INTERRUPT);
}

RULE(virtual_interrupts_need_external_interrupt_exiting)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_VIRTUAL_INTERRUPT) || pin(c, PIN_EXTERNAL_INTERRUPT);
}

RULE(posted_interrupts_need_virtual_interrupts)
{
    UNUSED_CPU;
    return !pin(c, PIN_POSTED_INTERRUPTS) || secondary(c, SECONDARY_VIRTUAL_INTERRUPT);
}

RULE(posted_interrupts_need_acknowledge)
{
    UNUSED_CPU;
    return !pin(c, PIN_POSTED_INTERRUPTS) || (c->exit_controls & EXIT_ACK_INTERRUPT) != 0;
}

RULE(posted_interrupt_vector)
{
    UNUSED_CPU;
    return !pin(c, PIN_POSTED_INTERRUPTS) || c->posted_interrupt_vector <= 255;
}

RULE(posted_interrupt_descriptor)
{
    return !pin(c, PIN_POSTED_INTERRUPTS) ||
           vmx_address_valid(v, c->posted_interrupt_descriptor, 64);
}

RULE(vpid_not_zero)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_VPID) || c->vpid != 0;
}

bool vmx_eptp_valid(const struct vcpu *v, u64 eptp)
{
    const u64 type = eptp & 7;
    const u64 length = eptp >> 3 & 7;
    const u64 cap = vmx_ept_vpid_cap(v);

    return ((type == 0 && (cap & EPT_CAP_UC) != 0) || (type == 6 && (cap & EPT_CAP_WB) != 0)) &&
           (length == 3 || (length == 4 && (cap & EPT_CAP_5_LEVEL) != 0)) &&
           ((eptp & EPTP_AD) == 0 || (cap & EPT_CAP_AD) != 0) && (eptp & BITS(11, 7)) == 0 &&
           eptp >> v->phys_bits == 0;
}

RULE(eptp)
{
    return !secondary(c, SECONDARY_EPT) || vmx_eptp_valid(v, c->eptp);
}

RULE(pml_needs_ept)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_PML) || secondary(c, SECONDARY_EPT);
}

RULE(pml_address)
{
    return !secondary(c, SECONDARY_PML) || vmx_address_valid(v, c->pml_address, PAGE_SIZE);
}

RULE(unrestricted_guest_needs_ept)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_UNRESTRICTED) || secondary(c, SECONDARY_EPT);
}

RULE(mode_based_execute_needs_ept)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_MBEC) || secondary(c, SECONDARY_EPT);
}

RULE(ve_information_address)
{
    return !secondary(c, SECONDARY_EPT_VIOLATION_VE) ||
           vmx_address_valid(v, c->ve_information_address, PAGE_SIZE);
}

RULE(vmread_bitmap)
{
    return !secondary(c, SECONDARY_VMCS_SHADOWING) ||
           vmx_address_valid(v, c->vmread_bitmap, PAGE_SIZE);
}

RULE(vmwrite_bitmap)
{
    return !secondary(c, SECONDARY_VMCS_SHADOWING) ||
           vmx_address_valid(v, c->vmwrite_bitmap, PAGE_SIZE);
}

RULE(vm_function_controls)
{
    return !secondary(c, SECONDARY_VM_FUNCTIONS) ||
           (c->vm_function_controls & ~vmx_capability(v, 0x491)) == 0;
}

static bool eptp_switching(const struct vmcs *c)
{
    return secondary(c, SECONDARY_VM_FUNCTIONS) &&
           (c->vm_function_controls & VM_FUNCTION_EPTP_SWITCHING) != 0;
}

RULE(eptp_switching_needs_ept)
{
    UNUSED_CPU;
    return !eptp_switching(c) || secondary(c, SECONDARY_EPT);
}

RULE(eptp_list_address)
{
    return !eptp_switching(c) || vmx_address_valid(v, c->eptp_list_address, PAGE_SIZE);
}

RULE(tsc_multiplier)
{
    UNUSED_CPU;
    return !secondary(c, SECONDARY_TSC_SCALING) || c->tsc_multiplier != 0;
}

/* ---- VM-exit controls: SDM Vol 3C 27.2.1.2 ---- */

RULE(exit_reserved)
{
    return vmx_controls_allowed(v, CONTROLS_EXIT, c->exit_controls);
}

RULE(save_timer_needs_timer)
{
    UNUSED_CPU;
    return pin(c, PIN_PREEMPTION_TIMER) || (c->exit_controls & EXIT_SAVE_TIMER) == 0;
}

/* Aligned, and its last byte within the physical-address width. */
static bool msr_area(const struct vcpu *v, u64 address, u32 count)
{
    if (count == 0)
        return true;
    return vmx_address_valid(v, address, 16) &&
           (address + (u64)count * 16 - 1) >> v->phys_bits == 0;
}

RULE(exit_msr_store)
{
    return msr_area(v, c->exit_msr_store_address, c->exit_msr_store_count);
}

RULE(exit_msr_load)
{
    return msr_area(v, c->exit_msr_load_address, c->exit_msr_load_count);
}

/* ---- VM-entry controls: SDM Vol 3C 27.2.1.3 ---- */

RULE(entry_reserved)
{
    return vmx_controls_allowed(v, CONTROLS_ENTRY, c->entry_controls);
}

/* The injected event: each rule holds if there is none. */
static bool injects(const struct vmcs *c)
{
    return (c->entry_interruption_info & INFO_VALID) != 0;
}

static u32 injected_type(const struct vmcs *c)
{
    return (c->entry_interruption_info & INFO_TYPE) >> 8;
}

static u32 injected_vector(const struct vmcs *c)
{
    return c->entry_interruption_info & INFO_VECTOR;
}

RULE(injection_type)
{
    UNUSED_CPU;
    return !injects(c) || injected_type(c) != TYPE_RESERVED;
}

RULE(injection_vector)
{
    const u32 vector = injected_vector(c);

    UNUSED_CPU;
    if (!injects(c))
        return true;
    switch (injected_type(c)) {
    case TYPE_NMI: return vector == 2;
    case TYPE_HARDWARE_EXCEPTION: return vector <= 31;
    case TYPE_OTHER: return vector == 0;
    default: return true;
    }
}

static bool has_error_code(u32 vector)
{
    const u32 with = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP |
                     1u << VEC_PF | 1u << VEC_AC;

    return vector < 32 && (with >> vector & 1) != 0;
}

RULE(injection_error_code_valid)
{
    const bool real = secondary(c, SECONDARY_UNRESTRICTED) && (c->guest_cr0 & CR0_PE) == 0;
    const bool wanted =
        injected_type(c) == TYPE_HARDWARE_EXCEPTION && has_error_code(injected_vector(c)) && !real;

    UNUSED_CPU;
    return !injects(c) || wanted == ((c->entry_interruption_info & INFO_ERROR_VALID) != 0);
}

RULE(injection_reserved)
{
    UNUSED_CPU;
    return !injects(c) || (c->entry_interruption_info & BITS(30, 12)) == 0;
}

RULE(injection_error_code)
{
    UNUSED_CPU;
    return !injects(c) || (c->entry_interruption_info & INFO_ERROR_VALID) == 0 ||
           c->entry_exception_error_code >> 16 == 0;
}

/* Zero is allowed: IA32_VMX_MISC bit 30. */
RULE(injection_length)
{
    const u32 type = injected_type(c);

    UNUSED_CPU;
    return !injects(c) || type < TYPE_SOFTWARE_INTERRUPT || type > TYPE_SOFTWARE_EXCEPTION ||
           c->entry_instruction_length <= 15;
}

RULE(entry_msr_load)
{
    return msr_area(v, c->entry_msr_load_address, c->entry_msr_load_count);
}

/* ---- host state: SDM Vol 3C 27.2.2 to 27.2.4 ---- */

static bool host_64(const struct vmcs *c)
{
    return (c->exit_controls & EXIT_HOST_64) != 0;
}

RULE(host_cr0)
{
    UNUSED_CPU;
    return (~c->host_cr0 & VMX_CR0_FIXED0) == 0 && (c->host_cr0 & ~VMX_CR0_FIXED1) == 0;
}

RULE(host_cr4)
{
    return (~c->host_cr4 & VMX_CR4_FIXED0) == 0 && (c->host_cr4 & ~vmx_cr4_fixed1(v)) == 0;
}

RULE(host_cr3)
{
    return (c->host_cr3 & physical_reserved(v)) == 0;
}

RULE(host_sysenter_esp)
{
    return canonical_storable(v, c->host_sysenter_esp);
}

RULE(host_sysenter_eip)
{
    return canonical_storable(v, c->host_sysenter_eip);
}

bool vmx_pat_valid(u64 pat)
{
    for (u32 i = 0; i < 8; i++, pat >>= 8) {
        const u64 type = pat & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

RULE(host_pat)
{
    UNUSED_CPU;
    return (c->exit_controls & EXIT_LOAD_PAT) == 0 || vmx_pat_valid(c->host_pat);
}

u64 vmx_efer_known(const struct vcpu *v)
{
    return EFER_LMA | EFER_LME | (has_feature(v, F_SYSCALL) ? EFER_SCE : 0) |
           (has_feature(v, F_NX) ? EFER_NXE : 0);
}

RULE(host_efer_reserved)
{
    return (c->exit_controls & EXIT_LOAD_EFER) == 0 || (c->host_efer & ~vmx_efer_known(v)) == 0;
}

RULE(host_efer_mode)
{
    const u64 wanted = host_64(c) ? EFER_LMA | EFER_LME : 0;

    UNUSED_CPU;
    return (c->exit_controls & EXIT_LOAD_EFER) == 0 ||
           (c->host_efer & (EFER_LMA | EFER_LME)) == wanted;
}

RULE(host_selectors_rpl_ti)
{
    u32 all = 0;

    UNUSED_CPU;
    for (u32 i = 0; i < VMCS_SEGMENTS; i++)
        all |= i == SEG_LDTR ? 0u : c->host_selector[i];
    return (all & 7) == 0;
}

RULE(host_cs_not_null)
{
    UNUSED_CPU;
    return c->host_selector[SEG_CS] != 0;
}

RULE(host_tr_not_null)
{
    UNUSED_CPU;
    return c->host_selector[SEG_TR] != 0;
}

RULE(host_ss_not_null)
{
    UNUSED_CPU;
    return host_64(c) || c->host_selector[SEG_SS] != 0;
}

RULE(host_fs_base)
{
    return canonical_storable(v, c->host_fs_base);
}

RULE(host_gs_base)
{
    return canonical_storable(v, c->host_gs_base);
}

RULE(host_gdtr_base)
{
    return canonical_storable(v, c->host_gdtr_base);
}

RULE(host_idtr_base)
{
    return canonical_storable(v, c->host_idtr_base);
}

RULE(host_tr_base)
{
    return canonical_storable(v, c->host_tr_base);
}

static bool guest_64(const struct vmcs *c)
{
    return (c->entry_controls & ENTRY_GUEST_64) != 0;
}

RULE(legacy_mode_has_legacy_host)
{
    return long_mode(v) || !host_64(c);
}

RULE(legacy_mode_has_legacy_guest)
{
    return long_mode(v) || !guest_64(c);
}

RULE(long_mode_has_64_bit_host)
{
    return !long_mode(v) || host_64(c);
}

RULE(legacy_host_has_legacy_guest)
{
    UNUSED_CPU;
    return host_64(c) || !guest_64(c);
}

RULE(legacy_host_has_no_pcid)
{
    UNUSED_CPU;
    return host_64(c) || (c->host_cr4 & CR4_PCIDE) == 0;
}

RULE(legacy_host_rip)
{
    UNUSED_CPU;
    return host_64(c) || c->host_rip >> 32 == 0;
}

RULE(long_host_has_pae)
{
    UNUSED_CPU;
    return !host_64(c) || (c->host_cr4 & CR4_PAE) != 0;
}

RULE(long_host_rip)
{
    UNUSED_CPU;
    return !host_64(c) || canonical_for(c->host_rip, (c->host_cr4 & CR4_LA57) != 0 ? 57 : 48);
}

/* ---- the tables ---- */

/* clang-format off */
#define ROW(rule, field, ref) {#rule, rule, field, 0, false, "SDM Vol 3C " ref}
#define ALWAYS(rule, field, ref) {#rule, rule, field, 0, true, "SDM Vol 3C " ref}
#define EXECUTION "27.2.1.1, VM-Execution Control Fields"
#define EXIT "27.2.1.2, VM-Exit Control Fields"
#define ENTRY "27.2.1.3, VM-Entry Control Fields"
#define HOST_CR "27.2.2, Checks on Host Control Registers, MSRs, and SSP"
#define HOST_SEG "27.2.3, Checks on Host Segment and Descriptor-Table Registers"
#define HOST_SIZE "27.2.4, Checks Related to Address-Space Size"

const struct vmx_rule vmx_control_rules[] = {
    ROW(pin_reserved, 0x4000, EXECUTION),
    ROW(primary_reserved, 0x4002, EXECUTION),
    ROW(secondary_reserved, 0x401e, EXECUTION),
    ROW(cr3_target_count, 0x400a, EXECUTION),
    ROW(io_bitmap_a, 0x2000, EXECUTION),
    ROW(io_bitmap_b, 0x2002, EXECUTION),
    ROW(msr_bitmap, 0x2004, EXECUTION),
    ROW(virtual_apic_address, 0x2012, EXECUTION),
    ALWAYS(tpr_threshold_reserved, 0x401c, EXECUTION),
    ALWAYS(tpr_threshold_vtpr, 0x401c, EXECUTION),
    ROW(virtual_nmis_need_nmi_exiting, 0x4000, EXECUTION),
    ROW(nmi_window_needs_virtual_nmis, 0x4002, EXECUTION),
    ROW(apic_access_address, 0x2014, EXECUTION),
    ROW(apic_virtualization_needs_tpr_shadow, 0x401e, EXECUTION),
    ROW(x2apic_excludes_apic_accesses, 0x401e, EXECUTION),
    ROW(virtual_interrupts_need_external_interrupt_exiting, 0x4000, EXECUTION),
    ROW(posted_interrupts_need_virtual_interrupts, 0x4000, EXECUTION),
    ROW(posted_interrupts_need_acknowledge, 0x400c, EXECUTION),
    ROW(posted_interrupt_vector, 0x0002, EXECUTION),
    ROW(posted_interrupt_descriptor, 0x2016, EXECUTION),
    ROW(vpid_not_zero, 0x0000, EXECUTION),
    ROW(eptp, 0x201a, EXECUTION),
    ROW(pml_needs_ept, 0x401e, EXECUTION),
    ROW(pml_address, 0x200e, EXECUTION),
    ROW(unrestricted_guest_needs_ept, 0x401e, EXECUTION),
    ROW(mode_based_execute_needs_ept, 0x401e, EXECUTION),
    ROW(vm_function_controls, 0x2018, EXECUTION),
    ROW(eptp_switching_needs_ept, 0x2018, EXECUTION),
    ROW(eptp_list_address, 0x2024, EXECUTION),
    ROW(vmread_bitmap, 0x2026, EXECUTION),
    ROW(vmwrite_bitmap, 0x2028, EXECUTION),
    ROW(ve_information_address, 0x202a, EXECUTION),
    ROW(tsc_multiplier, 0x2032, EXECUTION),
    ROW(exit_reserved, 0x400c, EXIT),
    ROW(save_timer_needs_timer, 0x400c, EXIT),
    ROW(exit_msr_store, 0x2006, EXIT),
    ROW(exit_msr_load, 0x2008, EXIT),
    ROW(entry_reserved, 0x4012, ENTRY),
    ALWAYS(injection_type, 0x4016, ENTRY),
    ALWAYS(injection_vector, 0x4016, ENTRY),
    ALWAYS(injection_error_code_valid, 0x4016, ENTRY),
    ALWAYS(injection_reserved, 0x4016, ENTRY),
    ALWAYS(injection_error_code, 0x4018, ENTRY),
    ALWAYS(injection_length, 0x401a, ENTRY),
    ROW(entry_msr_load, 0x200a, ENTRY),
};
const u32 vmx_control_rules_count = ARRAY_SIZE(vmx_control_rules);

const struct vmx_rule vmx_host_rules[] = {
    ROW(host_cr0, 0x6c00, HOST_CR),
    ROW(host_cr4, 0x6c04, HOST_CR),
    ROW(host_cr3, 0x6c02, HOST_CR),
    ROW(host_sysenter_esp, 0x6c10, HOST_CR),
    ROW(host_sysenter_eip, 0x6c12, HOST_CR),
    ROW(host_pat, 0x2c00, HOST_CR),
    ROW(host_efer_reserved, 0x2c02, HOST_CR),
    ROW(host_efer_mode, 0x2c02, HOST_CR),
    ROW(host_selectors_rpl_ti, 0x0c02, HOST_SEG),
    ROW(host_cs_not_null, 0x0c02, HOST_SEG),
    ROW(host_tr_not_null, 0x0c0c, HOST_SEG),
    ROW(host_ss_not_null, 0x0c04, HOST_SEG),
    ROW(host_fs_base, 0x6c06, HOST_SEG),
    ROW(host_gs_base, 0x6c08, HOST_SEG),
    ROW(host_gdtr_base, 0x6c0c, HOST_SEG),
    ROW(host_idtr_base, 0x6c0e, HOST_SEG),
    ROW(host_tr_base, 0x6c0a, HOST_SEG),
    ROW(legacy_mode_has_legacy_host, 0x400c, HOST_SIZE),
    ROW(legacy_mode_has_legacy_guest, 0x4012, HOST_SIZE),
    ROW(long_mode_has_64_bit_host, 0x400c, HOST_SIZE),
    ROW(legacy_host_has_legacy_guest, 0x4012, HOST_SIZE),
    ROW(legacy_host_has_no_pcid, 0x6c04, HOST_SIZE),
    ROW(legacy_host_rip, 0x6c16, HOST_SIZE),
    ROW(long_host_has_pae, 0x6c04, HOST_SIZE),
    ROW(long_host_rip, 0x6c16, HOST_SIZE),
};
const u32 vmx_host_rules_count = ARRAY_SIZE(vmx_host_rules);
/* clang-format on */

/* The first broken one of rules[from..end-1]; only those that are always checked, if so asked. */
static const struct vmx_rule *first_broken(const struct vcpu *v, const struct vmx_rule *rules,
                                           u32 from, u32 end)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    for (u32 i = from; i < end; i++) {
        if (!rules[i].holds(v, c))
            return &rules[i];
    }
    return NULL;
}

static const struct vmx_rule *first_broken_always(const struct vcpu *v)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (!injects(c) && !primary(c, PRIMARY_TPR_SHADOW))
        return NULL;
    for (u32 i = 0; i < vmx_control_rules_count; i++) {
        if (vmx_control_rules[i].always && !vmx_control_rules[i].holds(v, c))
            return &vmx_control_rules[i];
    }
    return NULL;
}

const struct vmx_rule *vmx_check_controls(struct vcpu *v)
{
    const struct vmx_rule *broken;

    if ((v->vmx_valid & GROUP_CONTROLS) != 0)
        return first_broken_always(v);
    broken = first_broken(v, vmx_control_rules, 0, vmx_control_rules_count);
    if (broken == NULL)
        v->vmx_valid |= GROUP_CONTROLS;
    return broken;
}

const struct vmx_rule *vmx_check_host(struct vcpu *v)
{
    const struct vmx_rule *broken;

    if ((v->vmx_valid & GROUP_HOST) != 0 && v->vmx_valid_long == long_mode(v))
        return NULL;
    broken = first_broken(v, vmx_host_rules, 0, vmx_host_rules_count);
    if (broken == NULL)
        v->vmx_valid |= GROUP_HOST;
    v->vmx_valid_long = long_mode(v);
    return broken;
}

const struct vmx_rule *vmx_check_guest(struct vcpu *v)
{
    const struct vmx_rule *broken = first_broken(v, vmx_guest_rules, 0, vmx_segment_rules_first);

    if (broken == NULL && (v->vmx_valid & GROUP_SEGMENTS) == 0) {
        broken = first_broken(v, vmx_guest_rules, vmx_segment_rules_first, vmx_segment_rules_end);
        if (broken == NULL)
            v->vmx_valid |= GROUP_SEGMENTS;
    }
    if (broken != NULL)
        return broken;
    return first_broken(v, vmx_guest_rules, vmx_segment_rules_end, vmx_guest_rules_count);
}

void vmx_field_written(struct vcpu *v, u32 encoding, u64 value)
{
    enum { GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820 };
    enum { INJECTION_FIRST = 0x4016, TPR_THRESHOLD = 0x401c };

    switch (vmx_field_type(encoding)) {
    case FIELD_CONTROL:
        if (encoding < INJECTION_FIRST || encoding > TPR_THRESHOLD)
            v->vmx_valid = 0;
        break;
    case FIELD_HOST: v->vmx_valid &= (u8)~GROUP_HOST; break;
    case FIELD_GUEST:
        if (encoding != GUEST_RSP && encoding != GUEST_RIP &&
            (encoding != GUEST_RFLAGS || ((value ^ v->state.vmx.vmcs.guest_rflags) & FLAG_VM) != 0))
            v->vmx_valid &= (u8)~GROUP_SEGMENTS;
        break;
    default: break;
    }
}
