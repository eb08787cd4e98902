/* SPDX-License-Identifier: MIT */
/* Checks on VMX controls: SDM Vol 3C 27.2.1, one row per rule, in the manual's order. */
#include "cpu/vmx/rules.h"

/* ---- what rules ask ---- */

static u32 vtpr(const struct vcpu *v, const struct vmcs *c)
{
    u8 value;

    memory_read(v->memory, (hpa_t){c->virtual_apic_address + 0x80}, &value, 1);
    return value;
}

static bool eptp_switching(const struct vmcs *c)
{
    return secondary(c, SECONDARY_VM_FUNCTIONS) &&
           (c->vm_function_controls & VM_FUNCTION_EPTP_SWITCHING) != 0;
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

/* The last byte of an area of `count` MSRs is within the physical-address width. */
static bool area_ends(const struct vcpu *v, u64 address, u32 count)
{
    return (address + (u64)count * 16 - 1) >> v->phys_bits == 0;
}

static bool vector_fits(u32 type, u32 vector)
{
    switch (type) {
    case TYPE_NMI: return vector == 2;
    case TYPE_HARDWARE_EXCEPTION: return vector <= 31;
    case TYPE_OTHER: return vector == 0;
    default: return true;
    }
}

/* The injected event is one that has an error code. */
static bool wants_error_code(const struct vmcs *c)
{
    const u32 with = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP |
                     1u << VEC_PF | 1u << VEC_AC;
    const u32 vector = injected_vector(c);
    const bool real = unrestricted(c) && (c->guest_cr0 & CR0_PE) == 0;

    return injected_type(c) == TYPE_HARDWARE_EXCEPTION && vector < 32 &&
           (with >> vector & 1) != 0 && !real;
}

static bool has_error_code(const struct vmcs *c)
{
    return (c->entry_interruption_info & INFO_ERROR_VALID) != 0;
}

/* clang-format off */

/* ---- VM-execution controls: SDM Vol 3C 27.2.1.1 ---- */

ALLOWED(pin_bits, vmx_required(CONTROLS_PIN), vmx_allowed1(v, CONTROLS_PIN))
ALLOWED(primary_bits, vmx_required(CONTROLS_PRIMARY), vmx_allowed1(v, CONTROLS_PRIMARY))
ALLOWED(secondary_bits, vmx_required(CONTROLS_SECONDARY), vmx_allowed1(v, CONTROLS_SECONDARY))
ALLOWED(descriptor_address, 0, ~physical_reserved(v) & ~(u64)63)
ALLOWED(msr_area, 0, ~physical_reserved(v) & ~(u64)15)
ALLOWED(vm_functions, 0, vmx_capability(v, 0x491))
ALLOWED(low_4_bits, 0, BITS(3, 0))
ALLOWED(low_8_bits, 0, BITS(7, 0))

RULE(pin_reserved, obeys(c->pin_controls, pin_bits(v, c)))
RULE(primary_reserved, obeys(c->primary_controls, primary_bits(v, c)))
RULE_IF(secondary_reserved, primary(c, PRIMARY_SECONDARY),
        obeys(c->secondary_controls, secondary_bits(v, c)))
RULE(cr3_target_count, c->cr3_target_count <= VMCS_CR3_TARGETS)
RULE_IF(io_bitmap_a, primary(c, PRIMARY_IO_BITMAPS), obeys(c->io_bitmap[0], page(v, c)))
RULE_IF(io_bitmap_b, primary(c, PRIMARY_IO_BITMAPS), obeys(c->io_bitmap[1], page(v, c)))
RULE_IF(msr_bitmap, primary(c, PRIMARY_MSR_BITMAPS), obeys(c->msr_bitmap, page(v, c)))
RULE_IF(virtual_apic_address, primary(c, PRIMARY_TPR_SHADOW),
        obeys(c->virtual_apic_address, page(v, c)))
RULE_IF(tpr_threshold_reserved,
        primary(c, PRIMARY_TPR_SHADOW) && !secondary(c, SECONDARY_VIRTUAL_INTERRUPT),
        obeys(c->tpr_threshold, low_4_bits(v, c)))
RULE_IF(tpr_threshold_vtpr,
        primary(c, PRIMARY_TPR_SHADOW) &&
            !secondary(c, SECONDARY_VIRTUAL_INTERRUPT | SECONDARY_APIC_ACCESSES),
        (c->tpr_threshold & 15) <= vtpr(v, c) >> 4)
RULE_IF(virtual_nmis_need_nmi_exiting, pin(c, PIN_VIRTUAL_NMIS), pin(c, PIN_NMI))
RULE_IF(nmi_window_needs_virtual_nmis, primary(c, PRIMARY_NMI_WINDOW), pin(c, PIN_VIRTUAL_NMIS))
RULE_IF(apic_access_address, secondary(c, SECONDARY_APIC_ACCESSES),
        obeys(c->apic_access_address, page(v, c)))
RULE_IF(apic_virtualization_needs_tpr_shadow,
        secondary(c, SECONDARY_X2APIC | SECONDARY_APIC_REGISTER | SECONDARY_VIRTUAL_INTERRUPT),
        primary(c, PRIMARY_TPR_SHADOW))
RULE_IF(x2apic_excludes_apic_accesses, secondary(c, SECONDARY_X2APIC),
        !secondary(c, SECONDARY_APIC_ACCESSES))
RULE_IF(virtual_interrupts_need_external_interrupt_exiting,
        secondary(c, SECONDARY_VIRTUAL_INTERRUPT), pin(c, PIN_EXTERNAL_INTERRUPT))
RULE_IF(posted_interrupts_need_virtual_interrupts, pin(c, PIN_POSTED_INTERRUPTS),
        secondary(c, SECONDARY_VIRTUAL_INTERRUPT))
RULE_IF(posted_interrupts_need_acknowledge, pin(c, PIN_POSTED_INTERRUPTS),
        at_exit(c, EXIT_ACK_INTERRUPT))
RULE_IF(posted_interrupt_vector, pin(c, PIN_POSTED_INTERRUPTS),
        obeys(c->posted_interrupt_vector, low_8_bits(v, c)))
RULE_IF(posted_interrupt_descriptor, pin(c, PIN_POSTED_INTERRUPTS),
        obeys(c->posted_interrupt_descriptor, descriptor_address(v, c)))
RULE_IF(vpid_not_zero, secondary(c, SECONDARY_VPID), c->vpid != 0)
RULE_IF(eptp, secondary(c, SECONDARY_EPT), vmx_eptp_valid(v, c->eptp))
RULE_IF(pml_needs_ept, secondary(c, SECONDARY_PML), secondary(c, SECONDARY_EPT))
RULE_IF(pml_address, secondary(c, SECONDARY_PML), obeys(c->pml_address, page(v, c)))
RULE_IF(unrestricted_guest_needs_ept, unrestricted(c), secondary(c, SECONDARY_EPT))
RULE_IF(mode_based_execute_needs_ept, secondary(c, SECONDARY_MBEC), secondary(c, SECONDARY_EPT))
RULE_IF(vm_function_controls, secondary(c, SECONDARY_VM_FUNCTIONS),
        obeys(c->vm_function_controls, vm_functions(v, c)))
RULE_IF(eptp_switching_needs_ept, eptp_switching(c), secondary(c, SECONDARY_EPT))
RULE_IF(eptp_list_address, eptp_switching(c), obeys(c->eptp_list_address, page(v, c)))
RULE_IF(vmread_bitmap, secondary(c, SECONDARY_VMCS_SHADOWING), obeys(c->vmread_bitmap, page(v, c)))
RULE_IF(vmwrite_bitmap, secondary(c, SECONDARY_VMCS_SHADOWING),
        obeys(c->vmwrite_bitmap, page(v, c)))
RULE_IF(ve_information_address, secondary(c, SECONDARY_EPT_VIOLATION_VE),
        obeys(c->ve_information_address, page(v, c)))
RULE_IF(tsc_multiplier, secondary(c, SECONDARY_TSC_SCALING), c->tsc_multiplier != 0)

/* ---- VM-exit controls: SDM Vol 3C 27.2.1.2 ---- */

ALLOWED(exit_bits, vmx_required(CONTROLS_EXIT), vmx_allowed1(v, CONTROLS_EXIT))

RULE(exit_reserved, obeys(c->exit_controls, exit_bits(v, c)))
RULE_IF(save_timer_needs_timer, at_exit(c, EXIT_SAVE_TIMER), pin(c, PIN_PREEMPTION_TIMER))
RULE_IF(exit_msr_store, c->exit_msr_store_count != 0,
        obeys(c->exit_msr_store_address, msr_area(v, c)))
RULE_IF(exit_msr_store_end, c->exit_msr_store_count != 0,
        area_ends(v, c->exit_msr_store_address, c->exit_msr_store_count))
RULE_IF(exit_msr_load, c->exit_msr_load_count != 0,
        obeys(c->exit_msr_load_address, msr_area(v, c)))
RULE_IF(exit_msr_load_end, c->exit_msr_load_count != 0,
        area_ends(v, c->exit_msr_load_address, c->exit_msr_load_count))

/* ---- VM-entry controls: SDM Vol 3C 27.2.1.3 ---- */

ALLOWED(entry_bits, vmx_required(CONTROLS_ENTRY), vmx_allowed1(v, CONTROLS_ENTRY))
ALLOWED(injection_bits, 0, BIT(31) | BITS(11, 0))

RULE(entry_reserved, obeys(c->entry_controls, entry_bits(v, c)))
RULE_IF(injection_type, injects(c), injected_type(c) != TYPE_RESERVED)
RULE_IF(injection_vector, injects(c), vector_fits(injected_type(c), injected_vector(c)))
RULE_IF(injection_error_code_valid, injects(c), wants_error_code(c) == has_error_code(c))
RULE_IF(injection_reserved, injects(c), obeys(c->entry_interruption_info, injection_bits(v, c)))
RULE_IF(injection_error_code, injects(c) && has_error_code(c),
        obeys(c->entry_exception_error_code, low_16_bits(v, c)))
/* Zero is allowed: IA32_VMX_MISC bit 30. */
RULE_IF(injection_length,
        injects(c) && injected_type(c) >= TYPE_SOFTWARE_INTERRUPT &&
            injected_type(c) <= TYPE_SOFTWARE_EXCEPTION,
        c->entry_instruction_length <= 15)
RULE_IF(entry_msr_load, c->entry_msr_load_count != 0,
        obeys(c->entry_msr_load_address, msr_area(v, c)))
RULE_IF(entry_msr_load_end, c->entry_msr_load_count != 0,
        area_ends(v, c->entry_msr_load_address, c->entry_msr_load_count))

/* ---- the table ---- */

#define ROW(rule, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, 0, 0, false}
#define ALWAYS(rule, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, 0, 0, true}
#define EXECUTION "27.2.1.1, VM-Execution Control Fields"
#define EXIT "27.2.1.2, VM-Exit Control Fields"
#define ENTRY "27.2.1.3, VM-Entry Control Fields"
#define PIN 0x4000
#define PRIMARY 0x4002
#define SECONDARY 0x401e
#define AND ,

const struct vmx_rule vmx_control_rules[] = {
    ROW(pin_reserved, PIN, 0, pin_bits, EXECUTION,
        "Reserved bits have the values that IA32_VMX_TRUE_PINBASED_CTLS (48D) gives."),
    ROW(primary_reserved, PRIMARY, 0, primary_bits, EXECUTION,
        "Reserved bits have the values that IA32_VMX_TRUE_PROCBASED_CTLS (48E) gives."),
    ROW(secondary_reserved, SECONDARY, PRIMARY, secondary_bits, EXECUTION,
        "With \"activate secondary controls\", reserved bits have the values that IA32_VMX_PROCBASED_CTLS2 (48B) gives."),
    ROW(cr3_target_count, 0x400a, 0, NULL, EXECUTION,
        "The count is 0 to 4 (IA32_VMX_MISC, 485, bits 24:16)."),
    ROW(io_bitmap_a, 0x2000, PRIMARY, page, EXECUTION,
        "With \"use I/O bitmaps\", the address is that of a page within the physical-address width."),
    ROW(io_bitmap_b, 0x2002, PRIMARY, page, EXECUTION,
        "With \"use I/O bitmaps\", the address is that of a page within the physical-address width."),
    ROW(msr_bitmap, 0x2004, PRIMARY, page, EXECUTION,
        "With \"use MSR bitmaps\", the address is that of a page within the physical-address width."),
    ROW(virtual_apic_address, 0x2012, PRIMARY, page, EXECUTION,
        "With \"use TPR shadow\", the address is that of a page within the physical-address width."),
    ALWAYS(tpr_threshold_reserved, 0x401c, PRIMARY AND SECONDARY, low_4_bits, EXECUTION,
        "With \"use TPR shadow\" and without \"virtual-interrupt delivery\", bits 31:4 are 0."),
    ALWAYS(tpr_threshold_vtpr, 0x401c, PRIMARY AND 0x2012, NULL, EXECUTION,
        "With \"use TPR shadow\", and neither APIC accesses virtualized nor \"virtual-interrupt delivery\", bits 3:0 are not above bits 7:4 of VTPR (byte 80H of the virtual-APIC page)."),
    ROW(virtual_nmis_need_nmi_exiting, PIN, 0, NULL, EXECUTION,
        "\"Virtual NMIs\" (bit 5) needs \"NMI exiting\" (bit 3)."),
    ROW(nmi_window_needs_virtual_nmis, PRIMARY, PIN, NULL, EXECUTION,
        "\"NMI-window exiting\" (bit 22) needs the pin-based control \"virtual NMIs\" (bit 5)."),
    ROW(apic_access_address, 0x2014, SECONDARY, page, EXECUTION,
        "With \"virtualize APIC accesses\", the address is that of a page within the physical-address width."),
    ROW(apic_virtualization_needs_tpr_shadow, SECONDARY, PRIMARY, NULL, EXECUTION,
        "\"Virtualize x2APIC mode\" (bit 4), \"APIC-register virtualization\" (bit 8) and \"virtual-interrupt delivery\" (bit 9) need the primary control \"use TPR shadow\" (bit 21)."),
    ROW(x2apic_excludes_apic_accesses, SECONDARY, 0, NULL, EXECUTION,
        "\"Virtualize x2APIC mode\" (bit 4) and \"virtualize APIC accesses\" (bit 0) are not both 1."),
    ROW(virtual_interrupts_need_external_interrupt_exiting, PIN, SECONDARY, NULL, EXECUTION,
        "The secondary control \"virtual-interrupt delivery\" (bit 9) needs \"external-interrupt exiting\" (bit 0)."),
    ROW(posted_interrupts_need_virtual_interrupts, PIN, SECONDARY, NULL, EXECUTION,
        "\"Process posted interrupts\" (bit 7) needs the secondary control \"virtual-interrupt delivery\" (bit 9)."),
    ROW(posted_interrupts_need_acknowledge, 0x400c, PIN, NULL, EXECUTION,
        "The pin-based control \"process posted interrupts\" (bit 7) needs \"acknowledge interrupt on exit\" (bit 15)."),
    ROW(posted_interrupt_vector, 0x0002, PIN, low_8_bits, EXECUTION,
        "With \"process posted interrupts\", the vector is 0 to 255."),
    ROW(posted_interrupt_descriptor, 0x2016, PIN, descriptor_address, EXECUTION,
        "With \"process posted interrupts\", the address is a multiple of 64 within the physical-address width."),
    ROW(vpid_not_zero, 0x0000, SECONDARY, NULL, EXECUTION,
        "With \"enable VPID\", the VPID is not 0."),
    ROW(eptp, 0x201a, SECONDARY, NULL, EXECUTION,
        "With \"enable EPT\", bits 2:0 (memory type) are 0 or 6, bits 5:3 (levels less 1) are 3, or 4 if IA32_VMX_EPT_VPID_CAP (48C) has bit 7, and bits 11:7 and those above the physical-address width are 0."),
    ROW(pml_needs_ept, SECONDARY, 0, NULL, EXECUTION,
        "\"Enable PML\" (bit 17) needs \"enable EPT\" (bit 1)."),
    ROW(pml_address, 0x200e, SECONDARY, page, EXECUTION,
        "With \"enable PML\", the address is that of a page within the physical-address width."),
    ROW(unrestricted_guest_needs_ept, SECONDARY, 0, NULL, EXECUTION,
        "\"Unrestricted guest\" (bit 7) needs \"enable EPT\" (bit 1)."),
    ROW(mode_based_execute_needs_ept, SECONDARY, 0, NULL, EXECUTION,
        "\"Mode-based execute control for EPT\" (bit 22) needs \"enable EPT\" (bit 1)."),
    ROW(vm_function_controls, 0x2018, SECONDARY, vm_functions, EXECUTION,
        "With \"enable VM functions\", reserved bits have the values that IA32_VMX_VMFUNC (491) gives."),
    ROW(eptp_switching_needs_ept, 0x2018, SECONDARY, NULL, EXECUTION,
        "\"EPTP switching\" (bit 0) needs the secondary control \"enable EPT\" (bit 1)."),
    ROW(eptp_list_address, 0x2024, 0x2018, page, EXECUTION,
        "With \"EPTP switching\", the address is that of a page within the physical-address width."),
    ROW(vmread_bitmap, 0x2026, SECONDARY, page, EXECUTION,
        "With \"VMCS shadowing\", the address is that of a page within the physical-address width."),
    ROW(vmwrite_bitmap, 0x2028, SECONDARY, page, EXECUTION,
        "With \"VMCS shadowing\", the address is that of a page within the physical-address width."),
    ROW(ve_information_address, 0x202a, SECONDARY, page, EXECUTION,
        "With \"EPT-violation #VE\", the address is that of a page within the physical-address width."),
    ROW(tsc_multiplier, 0x2032, SECONDARY, NULL, EXECUTION,
        "With \"use TSC scaling\", the multiplier is not 0."),
    ROW(exit_reserved, 0x400c, 0, exit_bits, EXIT,
        "Reserved bits have the values that IA32_VMX_TRUE_EXIT_CTLS (48F) gives."),
    ROW(save_timer_needs_timer, 0x400c, PIN, NULL, EXIT,
        "\"Save VMX-preemption timer value\" (bit 22) needs the pin-based control \"activate VMX-preemption timer\" (bit 6)."),
    ROW(exit_msr_store, 0x2006, 0x400e, msr_area, EXIT,
        "If the count is not 0, the address is a multiple of 16 within the physical-address width."),
    ROW(exit_msr_store_end, 0x2006, 0x400e, NULL, EXIT,
        "The last byte, address + 16 * count - 1, is within the physical-address width."),
    ROW(exit_msr_load, 0x2008, 0x4010, msr_area, EXIT,
        "If the count is not 0, the address is a multiple of 16 within the physical-address width."),
    ROW(exit_msr_load_end, 0x2008, 0x4010, NULL, EXIT,
        "The last byte, address + 16 * count - 1, is within the physical-address width."),
    ROW(entry_reserved, 0x4012, 0, entry_bits, ENTRY,
        "Reserved bits have the values that IA32_VMX_TRUE_ENTRY_CTLS (490) gives; entry to SMM and deactivation of the dual monitor are not for software outside SMM."),
    ALWAYS(injection_type, 0x4016, 0, NULL, ENTRY,
        "The type of the injected event, bits 10:8, is not 1."),
    ALWAYS(injection_vector, 0x4016, 0, NULL, ENTRY,
        "The vector of the injected event, bits 7:0, is 2 for an NMI (type 2), 0 to 31 for a hardware exception (type 3), 0 for other events (type 7)."),
    ALWAYS(injection_error_code_valid, 0x4016, 0x6800, NULL, ENTRY,
        "Bit 11 (an error code is delivered) is 1 exactly for the hardware exceptions 8, 10, 11, 12, 13, 14 and 17, and 0 in a guest in real mode."),
    ALWAYS(injection_reserved, 0x4016, 0, injection_bits, ENTRY,
        "Bits 30:12 are 0 if an event is injected."),
    ALWAYS(injection_error_code, 0x4018, 0x4016, low_16_bits, ENTRY,
        "Bits 31:16 are 0 if an error code is delivered."),
    ALWAYS(injection_length, 0x401a, 0x4016, NULL, ENTRY,
        "The length is 0 to 15 if a software interrupt or exception (types 4, 5, 6) is injected."),
    ROW(entry_msr_load, 0x200a, 0x4014, msr_area, ENTRY,
        "If the count is not 0, the address is a multiple of 16 within the physical-address width."),
    ROW(entry_msr_load_end, 0x200a, 0x4014, NULL, ENTRY,
        "The last byte, address + 16 * count - 1, is within the physical-address width."),
};
const u32 vmx_control_rules_count = ARRAY_SIZE(vmx_control_rules);
/* clang-format on */
