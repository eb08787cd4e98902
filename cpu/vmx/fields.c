/* SPDX-License-Identifier: MIT */
/*
 * VMCS fields. SDM Vol 3D appendix B, one row per field, in the order of its tables. Fields that
 * exist only with a control that is not offered (BNDCFGS, PKRS, CET, PT, ENCLS, SPP, HLAT, tertiary
 * controls, performance counters) have no row.
 */
#include "cpu/vmx/fields.h"

#include "cpu/vmx/caps.h"
#include "cpu/vmx/controls.h"

#define AT(member) offsetof(struct vmcs, member)

/* clang-format off */
const struct vmx_field vmx_fields[] = {
    /* 16-bit control: SDM Vol 3D table B-1 */
    {0x0000, AT(vpid), "Virtual-processor identifier (VPID)", SECONDARY_VPID},
    {0x0002, AT(posted_interrupt_vector), "Posted-interrupt notification vector", 0, PIN_POSTED_INTERRUPTS},
    {0x0004, AT(eptp_index), "EPTP index", SECONDARY_EPT_VIOLATION_VE},
    /* 16-bit guest state: table B-2 */
    {0x0800, AT(guest_selector[SEG_ES]), "Guest ES selector"},
    {0x0802, AT(guest_selector[SEG_CS]), "Guest CS selector"},
    {0x0804, AT(guest_selector[SEG_SS]), "Guest SS selector"},
    {0x0806, AT(guest_selector[SEG_DS]), "Guest DS selector"},
    {0x0808, AT(guest_selector[SEG_FS]), "Guest FS selector"},
    {0x080a, AT(guest_selector[SEG_GS]), "Guest GS selector"},
    {0x080c, AT(guest_selector[SEG_LDTR]), "Guest LDTR selector"},
    {0x080e, AT(guest_selector[SEG_TR]), "Guest TR selector"},
    {0x0810, AT(guest_interrupt_status), "Guest interrupt status", SECONDARY_VIRTUAL_INTERRUPT},
    {0x0812, AT(pml_index), "PML index", SECONDARY_PML},
    /* 16-bit host state: table B-3 */
    {0x0c00, AT(host_selector[SEG_ES]), "Host ES selector"},
    {0x0c02, AT(host_selector[SEG_CS]), "Host CS selector"},
    {0x0c04, AT(host_selector[SEG_SS]), "Host SS selector"},
    {0x0c06, AT(host_selector[SEG_DS]), "Host DS selector"},
    {0x0c08, AT(host_selector[SEG_FS]), "Host FS selector"},
    {0x0c0a, AT(host_selector[SEG_GS]), "Host GS selector"},
    {0x0c0c, AT(host_selector[SEG_TR]), "Host TR selector"},
    /* 64-bit control: table B-4 */
    {0x2000, AT(io_bitmap[0]), "Address of I/O bitmap A"},
    {0x2002, AT(io_bitmap[1]), "Address of I/O bitmap B"},
    {0x2004, AT(msr_bitmap), "Address of MSR bitmaps"},
    {0x2006, AT(exit_msr_store_address), "VM-exit MSR-store address"},
    {0x2008, AT(exit_msr_load_address), "VM-exit MSR-load address"},
    {0x200a, AT(entry_msr_load_address), "VM-entry MSR-load address"},
    {0x200c, AT(executive_vmcs_pointer), "Executive-VMCS pointer"},
    {0x200e, AT(pml_address), "PML address", SECONDARY_PML},
    {0x2010, AT(tsc_offset), "TSC offset"},
    {0x2012, AT(virtual_apic_address), "Virtual-APIC address"},
    {0x2014, AT(apic_access_address), "APIC-access address", SECONDARY_APIC_ACCESSES},
    {0x2016, AT(posted_interrupt_descriptor), "Posted-interrupt descriptor address", 0, PIN_POSTED_INTERRUPTS},
    {0x2018, AT(vm_function_controls), "VM-function controls", SECONDARY_VM_FUNCTIONS},
    {0x201a, AT(eptp), "EPT pointer (EPTP)", SECONDARY_EPT},
    {0x201c, AT(eoi_exit_bitmap[0]), "EOI-exit bitmap 0", SECONDARY_VIRTUAL_INTERRUPT},
    {0x201e, AT(eoi_exit_bitmap[1]), "EOI-exit bitmap 1", SECONDARY_VIRTUAL_INTERRUPT},
    {0x2020, AT(eoi_exit_bitmap[2]), "EOI-exit bitmap 2", SECONDARY_VIRTUAL_INTERRUPT},
    {0x2022, AT(eoi_exit_bitmap[3]), "EOI-exit bitmap 3", SECONDARY_VIRTUAL_INTERRUPT},
    {0x2024, AT(eptp_list_address), "EPTP-list address", SECONDARY_VM_FUNCTIONS},
    {0x2026, AT(vmread_bitmap), "VMREAD-bitmap address", SECONDARY_VMCS_SHADOWING},
    {0x2028, AT(vmwrite_bitmap), "VMWRITE-bitmap address", SECONDARY_VMCS_SHADOWING},
    {0x202a, AT(ve_information_address), "Virtualization-exception information address", SECONDARY_EPT_VIOLATION_VE},
    {0x202c, AT(xss_exiting_bitmap), "XSS-exiting bitmap", SECONDARY_XSAVES},
    {0x2032, AT(tsc_multiplier), "TSC multiplier", SECONDARY_TSC_SCALING},
    /* 64-bit read-only data: table B-5 */
    {0x2400, AT(guest_physical_address), "Guest-physical address", SECONDARY_EPT},
    /* 64-bit guest state: table B-6 */
    {0x2800, AT(link_pointer), "VMCS link pointer"},
    {0x2802, AT(guest_debugctl), "Guest IA32_DEBUGCTL"},
    {0x2804, AT(guest_pat), "Guest IA32_PAT"},
    {0x2806, AT(guest_efer), "Guest IA32_EFER"},
    {0x280a, AT(guest_pdpte[0]), "Guest PDPTE0", SECONDARY_EPT},
    {0x280c, AT(guest_pdpte[1]), "Guest PDPTE1", SECONDARY_EPT},
    {0x280e, AT(guest_pdpte[2]), "Guest PDPTE2", SECONDARY_EPT},
    {0x2810, AT(guest_pdpte[3]), "Guest PDPTE3", SECONDARY_EPT},
    /* 64-bit host state: table B-7 */
    {0x2c00, AT(host_pat), "Host IA32_PAT"},
    {0x2c02, AT(host_efer), "Host IA32_EFER"},
    /* 32-bit control: table B-8 */
    {0x4000, AT(pin_controls), "Pin-based VM-execution controls"},
    {0x4002, AT(primary_controls), "Primary processor-based VM-execution controls"},
    {0x4004, AT(exception_bitmap), "Exception bitmap"},
    {0x4006, AT(page_fault_mask), "Page-fault error-code mask"},
    {0x4008, AT(page_fault_match), "Page-fault error-code match"},
    {0x400a, AT(cr3_target_count), "CR3-target count"},
    {0x400c, AT(exit_controls), "VM-exit controls"},
    {0x400e, AT(exit_msr_store_count), "VM-exit MSR-store count"},
    {0x4010, AT(exit_msr_load_count), "VM-exit MSR-load count"},
    {0x4012, AT(entry_controls), "VM-entry controls"},
    {0x4014, AT(entry_msr_load_count), "VM-entry MSR-load count"},
    {0x4016, AT(entry_interruption_info), "VM-entry interruption-information field"},
    {0x4018, AT(entry_exception_error_code), "VM-entry exception error code"},
    {0x401a, AT(entry_instruction_length), "VM-entry instruction length"},
    {0x401c, AT(tpr_threshold), "TPR threshold"},
    {0x401e, AT(secondary_controls), "Secondary processor-based VM-execution controls"},
    {0x4020, AT(ple_gap), "PLE_Gap", SECONDARY_PAUSE_LOOP},
    {0x4022, AT(ple_window), "PLE_Window", SECONDARY_PAUSE_LOOP},
    /* 32-bit read-only data: table B-9 */
    {0x4400, AT(instruction_error), "VM-instruction error"},
    {0x4402, AT(exit_reason), "Exit reason"},
    {0x4404, AT(exit_interruption_info), "VM-exit interruption information"},
    {0x4406, AT(exit_interruption_error_code), "VM-exit interruption error code"},
    {0x4408, AT(idt_vectoring_info), "IDT-vectoring information field"},
    {0x440a, AT(idt_vectoring_error_code), "IDT-vectoring error code"},
    {0x440c, AT(exit_instruction_length), "VM-exit instruction length"},
    {0x440e, AT(exit_instruction_info), "VM-exit instruction information"},
    /* 32-bit guest state: table B-10 */
    {0x4800, AT(guest_limit[SEG_ES]), "Guest ES limit"},
    {0x4802, AT(guest_limit[SEG_CS]), "Guest CS limit"},
    {0x4804, AT(guest_limit[SEG_SS]), "Guest SS limit"},
    {0x4806, AT(guest_limit[SEG_DS]), "Guest DS limit"},
    {0x4808, AT(guest_limit[SEG_FS]), "Guest FS limit"},
    {0x480a, AT(guest_limit[SEG_GS]), "Guest GS limit"},
    {0x480c, AT(guest_limit[SEG_LDTR]), "Guest LDTR limit"},
    {0x480e, AT(guest_limit[SEG_TR]), "Guest TR limit"},
    {0x4810, AT(guest_gdtr_limit), "Guest GDTR limit"},
    {0x4812, AT(guest_idtr_limit), "Guest IDTR limit"},
    {0x4814, AT(guest_ar[SEG_ES]), "Guest ES access rights"},
    {0x4816, AT(guest_ar[SEG_CS]), "Guest CS access rights"},
    {0x4818, AT(guest_ar[SEG_SS]), "Guest SS access rights"},
    {0x481a, AT(guest_ar[SEG_DS]), "Guest DS access rights"},
    {0x481c, AT(guest_ar[SEG_FS]), "Guest FS access rights"},
    {0x481e, AT(guest_ar[SEG_GS]), "Guest GS access rights"},
    {0x4820, AT(guest_ar[SEG_LDTR]), "Guest LDTR access rights"},
    {0x4822, AT(guest_ar[SEG_TR]), "Guest TR access rights"},
    {0x4824, AT(guest_interruptibility), "Guest interruptibility state"},
    {0x4826, AT(guest_activity), "Guest activity state"},
    {0x4828, AT(guest_smbase), "Guest SMBASE"},
    {0x482a, AT(guest_sysenter_cs), "Guest IA32_SYSENTER_CS"},
    {0x482e, AT(preemption_timer), "VMX-preemption timer value", 0, PIN_PREEMPTION_TIMER},
    /* 32-bit host state: table B-11 */
    {0x4c00, AT(host_sysenter_cs), "Host IA32_SYSENTER_CS"},
    /* natural-width control: table B-12 */
    {0x6000, AT(cr0_mask), "CR0 guest/host mask"},
    {0x6002, AT(cr4_mask), "CR4 guest/host mask"},
    {0x6004, AT(cr0_read_shadow), "CR0 read shadow"},
    {0x6006, AT(cr4_read_shadow), "CR4 read shadow"},
    {0x6008, AT(cr3_target[0]), "CR3-target value 0"},
    {0x600a, AT(cr3_target[1]), "CR3-target value 1"},
    {0x600c, AT(cr3_target[2]), "CR3-target value 2"},
    {0x600e, AT(cr3_target[3]), "CR3-target value 3"},
    /* natural-width read-only data: table B-13 */
    {0x6400, AT(exit_qualification), "Exit qualification"},
    {0x6402, AT(io_rcx), "I/O RCX"},
    {0x6404, AT(io_rsi), "I/O RSI"},
    {0x6406, AT(io_rdi), "I/O RDI"},
    {0x6408, AT(io_rip), "I/O RIP"},
    {0x640a, AT(guest_linear_address), "Guest-linear address"},
    /* natural-width guest state: table B-14 */
    {0x6800, AT(guest_cr0), "Guest CR0"},
    {0x6802, AT(guest_cr3), "Guest CR3"},
    {0x6804, AT(guest_cr4), "Guest CR4"},
    {0x6806, AT(guest_base[SEG_ES]), "Guest ES base"},
    {0x6808, AT(guest_base[SEG_CS]), "Guest CS base"},
    {0x680a, AT(guest_base[SEG_SS]), "Guest SS base"},
    {0x680c, AT(guest_base[SEG_DS]), "Guest DS base"},
    {0x680e, AT(guest_base[SEG_FS]), "Guest FS base"},
    {0x6810, AT(guest_base[SEG_GS]), "Guest GS base"},
    {0x6812, AT(guest_base[SEG_LDTR]), "Guest LDTR base"},
    {0x6814, AT(guest_base[SEG_TR]), "Guest TR base"},
    {0x6816, AT(guest_gdtr_base), "Guest GDTR base"},
    {0x6818, AT(guest_idtr_base), "Guest IDTR base"},
    {0x681a, AT(guest_dr7), "Guest DR7"},
    {0x681c, AT(guest_rsp), "Guest RSP"},
    {0x681e, AT(guest_rip), "Guest RIP"},
    {0x6820, AT(guest_rflags), "Guest RFLAGS"},
    {0x6822, AT(guest_pending_debug), "Guest pending debug exceptions"},
    {0x6824, AT(guest_sysenter_esp), "Guest IA32_SYSENTER_ESP"},
    {0x6826, AT(guest_sysenter_eip), "Guest IA32_SYSENTER_EIP"},
    /* natural-width host state: table B-15 */
    {0x6c00, AT(host_cr0), "Host CR0"},
    {0x6c02, AT(host_cr3), "Host CR3"},
    {0x6c04, AT(host_cr4), "Host CR4"},
    {0x6c06, AT(host_fs_base), "Host FS base"},
    {0x6c08, AT(host_gs_base), "Host GS base"},
    {0x6c0a, AT(host_tr_base), "Host TR base"},
    {0x6c0c, AT(host_gdtr_base), "Host GDTR base"},
    {0x6c0e, AT(host_idtr_base), "Host IDTR base"},
    {0x6c10, AT(host_sysenter_esp), "Host IA32_SYSENTER_ESP"},
    {0x6c12, AT(host_sysenter_eip), "Host IA32_SYSENTER_EIP"},
    {0x6c14, AT(host_rsp), "Host RSP"},
    {0x6c16, AT(host_rip), "Host RIP"},
};
/* clang-format on */
const u32 vmx_fields_count = ARRAY_SIZE(vmx_fields);

static bool is_offered(const struct vcpu *v, const struct vmx_field *field)
{
    return (field->needs & ~vmx_allowed1(v, CONTROLS_SECONDARY)) == 0 &&
           (field->needs_pin & ~vmx_allowed1(v, CONTROLS_PIN)) == 0;
}

/* Width, type and index of an encoding, packed; every index in use is below 32. */
static u32 pack(u32 encoding)
{
    return (encoding >> 13 & 3) << 7 | (encoding >> 10 & 3) << 5 | (encoding >> 1 & 31);
}

void vmx_fields_configure(struct vcpu *v)
{
    memset(v->vmx_field_row, 0, sizeof(v->vmx_field_row));
    for (u32 i = 0; i < vmx_fields_count; i++) {
        if (is_offered(v, &vmx_fields[i]))
            v->vmx_field_row[pack(vmx_fields[i].encoding)] = (u8)(i + 1);
    }
}

const struct vmx_field *vmx_field_find(const struct vcpu *v, u64 encoding)
{
    u32 row;

    if (encoding >> 15 != 0 || (encoding & 0x13c0) != 0 ||
        ((encoding & 1) != 0 && vmx_field_width((u32)encoding) != FIELD_64))
        return NULL;
    row = v->vmx_field_row[pack((u32)encoding)];
    return row != 0 ? &vmx_fields[row - 1] : NULL;
}

u32 vmx_field_bytes(const struct vmx_field *field)
{
    static const u8 bytes[] = {[FIELD_16] = 2, [FIELD_64] = 8, [FIELD_32] = 4, [FIELD_NATURAL] = 8};

    return bytes[vmx_field_width(field->encoding)];
}

u64 vmx_field_read(const u8 *base, const struct vmx_field *field, u64 encoding)
{
    const u64 value = load_le(base + field->offset, vmx_field_bytes(field));

    return (encoding & 1) != 0 ? value >> 32 : value;
}

void vmx_field_write(u8 *base, const struct vmx_field *field, u64 encoding, u64 value)
{
    if ((encoding & 1) != 0)
        store_le(base + field->offset + 4, value, 4);
    else
        store_le(base + field->offset, value, vmx_field_bytes(field));
}

u64 vmx_field_enum(const struct vcpu *v)
{
    u64 highest = 0;

    for (u32 i = 0; i < vmx_fields_count; i++) {
        const u64 index = vmx_fields[i].encoding >> 1 & 0x1ff;

        if (index > highest && is_offered(v, &vmx_fields[i]))
            highest = index;
    }
    return highest << 1;
}
