/* SPDX-License-Identifier: MIT */
/*
 * The virtual-machine control structure, decoded: one member per field, named as in SDM Vol 3D
 * appendix B. The current VMCS lives in struct cpu_state; the 4 KiB region in guest memory holds it
 * while it is not current (struct vmcs_region). The table of encodings is fields.c.
 */
#ifndef CPU_VMX_VMCS_H
#define CPU_VMX_VMCS_H

#include "base/types.h"

/* Segment arrays are in the order of enum seg, which is that of the encodings. */
enum { VMCS_SEGMENTS = 8, VMCS_CR3_TARGETS = 4 };

/* Widest members first: no padding. Natural-width fields are 64 bits. */
struct vmcs {
    /* 64-bit control fields, SDM Vol 3D table B-4 */
    u64 io_bitmap[2], msr_bitmap;
    u64 exit_msr_store_address, exit_msr_load_address, entry_msr_load_address;
    u64 executive_vmcs_pointer, pml_address, tsc_offset, virtual_apic_address, apic_access_address;
    u64 posted_interrupt_descriptor, vm_function_controls, eptp, eoi_exit_bitmap[4];
    u64 eptp_list_address, vmread_bitmap, vmwrite_bitmap, ve_information_address;
    u64 xss_exiting_bitmap, tsc_multiplier;
    /* natural-width control fields, table B-12 */
    u64 cr0_mask, cr4_mask, cr0_read_shadow, cr4_read_shadow, cr3_target[VMCS_CR3_TARGETS];
    /* read-only data, tables B-5 and B-13 */
    u64 guest_physical_address, exit_qualification, io_rcx, io_rsi, io_rdi, io_rip;
    u64 guest_linear_address;
    /* guest state, tables B-6 and B-14 */
    u64 link_pointer, guest_debugctl, guest_pat, guest_efer, guest_pdpte[4];
    u64 guest_cr0, guest_cr3, guest_cr4, guest_base[VMCS_SEGMENTS], guest_gdtr_base;
    u64 guest_idtr_base, guest_dr7, guest_rsp, guest_rip, guest_rflags, guest_pending_debug;
    u64 guest_sysenter_esp, guest_sysenter_eip;
    /* host state, tables B-7 and B-15 */
    u64 host_pat, host_efer, host_cr0, host_cr3, host_cr4, host_fs_base, host_gs_base, host_tr_base;
    u64 host_gdtr_base, host_idtr_base, host_sysenter_esp, host_sysenter_eip, host_rsp, host_rip;

    /* 32-bit control fields, table B-8 */
    u32 pin_controls, primary_controls, secondary_controls, exit_controls, entry_controls;
    u32 exception_bitmap, page_fault_mask, page_fault_match, cr3_target_count;
    u32 exit_msr_store_count, exit_msr_load_count, entry_msr_load_count;
    u32 entry_interruption_info, entry_exception_error_code, entry_instruction_length;
    u32 tpr_threshold, ple_gap, ple_window;
    /* read-only data, table B-9 */
    u32 instruction_error, exit_reason, exit_interruption_info, exit_interruption_error_code;
    u32 idt_vectoring_info, idt_vectoring_error_code, exit_instruction_length;
    u32 exit_instruction_info;
    /* guest state, table B-10 */
    u32 guest_limit[VMCS_SEGMENTS], guest_gdtr_limit, guest_idtr_limit, guest_ar[VMCS_SEGMENTS];
    u32 guest_interruptibility, guest_activity, guest_smbase, guest_sysenter_cs;
    u32 preemption_timer;
    /* host state, table B-11 */
    u32 host_sysenter_cs;

    /* 16-bit fields, tables B-1 to B-3 */
    u16 vpid, posted_interrupt_vector, eptp_index;
    u16 guest_selector[VMCS_SEGMENTS], guest_interrupt_status, pml_index;
    u16 host_selector[VMCS_SEGMENTS]; /* there is none for LDTR */

    u16 launched; /* launch state: 0 clear, 1 launched */
    u16 reserved[2];
};

_Static_assert(sizeof(struct vmcs) % 8 == 0, "struct vmcs has no tail padding: adjust reserved");

/*
 * The VMCS region: SDM Vol 3C "Format of the VMCS Region". What follows the abort indicator is
 * ours.
 */
struct vmcs_region {
    u32 revision; /* bit 31: a shadow VMCS */
    u32 abort_indicator;
    struct vmcs vmcs;
};

enum { VMCS_REGION_DATA = 8, VMCS_REVISION = 0x4e425831, VMCS_SHADOW = (int)0x80000000 };

_Static_assert(sizeof(struct vmcs_region) <= 4096, "a region is one page");
_Static_assert(offsetof(struct vmcs_region, vmcs) == VMCS_REGION_DATA, "data follow the header");

#define VMX_NO_POINTER (~(u64)0)

enum vmx_mode { VMX_OFF, VMX_ROOT, VMX_GUEST };

/* What is to be looked at at instruction boundaries of VMX non-root operation. */
enum vmx_pending {
    VMX_PENDING_INJECTION = 1 << 0, /* the event of the VM-entry interruption information */
    VMX_PENDING_MTF = 1 << 1, /* an MTF VM exit is pending */
    VMX_PENDING_TPR = 1 << 2, /* VTPR fell below the threshold */
    VMX_PENDING_APIC_WRITE = 1 << 3, /* APIC-write VM exit: apic_offset */
    VMX_PENDING_EOI = 1 << 4, /* EOI-induced VM exit: eoi_vector */
    VMX_PENDING_INTR_WINDOW = 1 << 5, /* the control is set */
    VMX_PENDING_NMI_WINDOW = 1 << 6, /* the control is set */
    VMX_PENDING_VIRTUAL_INTR = 1 << 7, /* virtual-interrupt delivery recognised one */
    VMX_PENDING_PML = 1 << 8,
    VMX_PENDING_TIMER = 1 << 9, /* the preemption timer is active: deadline */
};

/* VMX in one logical processor; in struct cpu_state. */
struct vmx_state {
    u64 vmxon_pointer; /* VMX_NO_POINTER: none */
    u64 current; /* current-VMCS pointer, or VMX_NO_POINTER */
    u64 deadline; /* virtual time at which the preemption timer reaches 0 */
    u64 pause_first, pause_last; /* PAUSE-loop exiting: TSC of the loop's first and last PAUSE */
    u64 abort; /* VMX-abort code; the processor is shut down */
    u32 pending; /* enum vmx_pending */
    u16 apic_offset;
    u8 mode; /* enum vmx_mode */
    u8 smm_mode; /* mode before the SMI */
    u8 virtual_nmi_blocked;
    u8 eoi_vector;
    u8 smm_vmxe; /* CR4.VMXE before the SMI */
    u8 is_shadow; /* the current VMCS is a shadow VMCS */
    u8 smm_pdptes; /* the guest's PDPTE registers before the SMI are in their fields */
    u8 reserved[3];
    struct vmcs vmcs; /* the current one */
};

_Static_assert(sizeof(struct vmx_state) == 64 + sizeof(struct vmcs), "no padding");

#endif
