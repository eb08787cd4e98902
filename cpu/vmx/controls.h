/* SPDX-License-Identifier: MIT */
/* VM-execution, VM-exit and VM-entry controls, by the bit positions of SDM Vol 3C chapter 25. */
#ifndef CPU_VMX_CONTROLS_H
#define CPU_VMX_CONTROLS_H

/* "Pin-Based VM-Execution Controls" */
enum vmx_pin {
    PIN_EXTERNAL_INTERRUPT = 1 << 0,
    PIN_NMI = 1 << 3,
    PIN_VIRTUAL_NMIS = 1 << 5,
    PIN_PREEMPTION_TIMER = 1 << 6,
    PIN_POSTED_INTERRUPTS = 1 << 7,
};

/* "Processor-Based VM-Execution Controls", primary */
#define PRIMARY_INTERRUPT_WINDOW (1u << 2)
#define PRIMARY_TSC_OFFSETTING (1u << 3)
#define PRIMARY_HLT (1u << 7)
#define PRIMARY_INVLPG (1u << 9)
#define PRIMARY_MWAIT (1u << 10)
#define PRIMARY_RDPMC (1u << 11)
#define PRIMARY_RDTSC (1u << 12)
#define PRIMARY_CR3_LOAD (1u << 15)
#define PRIMARY_CR3_STORE (1u << 16)
#define PRIMARY_CR8_LOAD (1u << 19)
#define PRIMARY_CR8_STORE (1u << 20)
#define PRIMARY_TPR_SHADOW (1u << 21)
#define PRIMARY_NMI_WINDOW (1u << 22)
#define PRIMARY_MOV_DR (1u << 23)
#define PRIMARY_UNCONDITIONAL_IO (1u << 24)
#define PRIMARY_IO_BITMAPS (1u << 25)
#define PRIMARY_MTF (1u << 27)
#define PRIMARY_MSR_BITMAPS (1u << 28)
#define PRIMARY_MONITOR (1u << 29)
#define PRIMARY_PAUSE (1u << 30)
#define PRIMARY_SECONDARY (1u << 31)

/* secondary */
#define SECONDARY_APIC_ACCESSES (1u << 0)
#define SECONDARY_EPT (1u << 1)
#define SECONDARY_DESCRIPTOR_TABLE (1u << 2)
#define SECONDARY_RDTSCP (1u << 3)
#define SECONDARY_X2APIC (1u << 4)
#define SECONDARY_VPID (1u << 5)
#define SECONDARY_WBINVD (1u << 6)
#define SECONDARY_UNRESTRICTED (1u << 7)
#define SECONDARY_APIC_REGISTER (1u << 8)
#define SECONDARY_VIRTUAL_INTERRUPT (1u << 9)
#define SECONDARY_PAUSE_LOOP (1u << 10)
#define SECONDARY_RDRAND (1u << 11)
#define SECONDARY_INVPCID (1u << 12)
#define SECONDARY_VM_FUNCTIONS (1u << 13)
#define SECONDARY_VMCS_SHADOWING (1u << 14)
#define SECONDARY_RDSEED (1u << 16)
#define SECONDARY_PML (1u << 17)
#define SECONDARY_EPT_VIOLATION_VE (1u << 18)
#define SECONDARY_XSAVES (1u << 20)
#define SECONDARY_MBEC (1u << 22)
#define SECONDARY_TSC_SCALING (1u << 25)

/* "VM-Exit Controls" */
#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_ACK_INTERRUPT (1u << 15)
#define EXIT_SAVE_PAT (1u << 18)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_SAVE_EFER (1u << 20)
#define EXIT_LOAD_EFER (1u << 21)
#define EXIT_SAVE_TIMER (1u << 22)

/* "VM-Entry Controls" */
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_GUEST_64 (1u << 9)
#define ENTRY_TO_SMM (1u << 10)
#define ENTRY_DEACTIVATE_DUAL (1u << 11)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

/* "VM-Function Controls" */
#define VM_FUNCTION_EPTP_SWITCHING BIT(0)

/* EPTP, SDM Vol 3C "Extended-Page-Table Pointer (EPTP)" */
#define EPTP_AD BIT(6)

/* Guest interruptibility state */
enum {
    BLOCKING_STI = 1 << 0,
    BLOCKING_MOV_SS = 1 << 1,
    BLOCKING_SMI = 1 << 2,
    BLOCKING_NMI = 1 << 3,
    BLOCKING_ENCLAVE = 1 << 4,
};

/* Interruption information: of VM entry, VM exit and IDT vectoring. */
#define INFO_VECTOR 0xffu
#define INFO_TYPE (7u << 8)
#define INFO_ERROR_VALID (1u << 11)
#define INFO_NMI_UNBLOCKING (1u << 12)
#define INFO_VALID (1u << 31)

enum interruption_type {
    TYPE_EXTERNAL = 0,
    TYPE_RESERVED = 1,
    TYPE_NMI = 2,
    TYPE_HARDWARE_EXCEPTION = 3,
    TYPE_SOFTWARE_INTERRUPT = 4,
    TYPE_PRIVILEGED_EXCEPTION = 5, /* INT1 */
    TYPE_SOFTWARE_EXCEPTION = 6, /* INT3, INTO */
    TYPE_OTHER = 7, /* MTF */
};

/* Pending debug exceptions: B0-B3 and BS as in DR6, and this. */
#define PENDING_ENABLED_BREAKPOINT BIT(12)
#define PENDING_BS BIT(14)

/* Basic exit reasons, SDM Vol 3D appendix C. */
enum exit_reason {
    EXIT_EXCEPTION_NMI = 0,
    EXIT_EXTERNAL_INTERRUPT = 1,
    EXIT_TRIPLE_FAULT = 2,
    EXIT_INIT = 3,
    EXIT_SIPI = 4,
    EXIT_INTERRUPT_WINDOW = 7,
    EXIT_NMI_WINDOW = 8,
    EXIT_TASK_SWITCH = 9,
    EXIT_CPUID = 10,
    EXIT_GETSEC = 11,
    EXIT_HLT = 12,
    EXIT_INVD = 13,
    EXIT_INVLPG = 14,
    EXIT_RDPMC = 15,
    EXIT_RDTSC = 16,
    EXIT_RSM = 17,
    EXIT_VMCALL = 18,
    EXIT_VMCLEAR = 19,
    EXIT_VMLAUNCH = 20,
    EXIT_VMPTRLD = 21,
    EXIT_VMPTRST = 22,
    EXIT_VMREAD = 23,
    EXIT_VMRESUME = 24,
    EXIT_VMWRITE = 25,
    EXIT_VMXOFF = 26,
    EXIT_VMXON = 27,
    EXIT_CR_ACCESS = 28,
    EXIT_MOV_DR = 29,
    EXIT_IO = 30,
    EXIT_RDMSR = 31,
    EXIT_WRMSR = 32,
    EXIT_ENTRY_GUEST_STATE = 33,
    EXIT_ENTRY_MSR_LOADING = 34,
    EXIT_MWAIT = 36,
    EXIT_MTF = 37,
    EXIT_MONITOR = 39,
    EXIT_PAUSE = 40,
    EXIT_TPR_BELOW_THRESHOLD = 43,
    EXIT_APIC_ACCESS = 44,
    EXIT_VIRTUALIZED_EOI = 45,
    EXIT_GDTR_IDTR = 46,
    EXIT_LDTR_TR = 47,
    EXIT_EPT_VIOLATION = 48,
    EXIT_EPT_MISCONFIGURATION = 49,
    EXIT_INVEPT = 50,
    EXIT_RDTSCP = 51,
    EXIT_PREEMPTION_TIMER = 52,
    EXIT_INVVPID = 53,
    EXIT_WBINVD = 54,
    EXIT_XSETBV = 55,
    EXIT_APIC_WRITE = 56,
    EXIT_RDRAND = 57,
    EXIT_INVPCID = 58,
    EXIT_VMFUNC = 59,
    EXIT_RDSEED = 61,
    EXIT_PML_FULL = 62,
    EXIT_XSAVES = 63,
    EXIT_XRSTORS = 64,
};

#define EXIT_REASON_ENTRY_FAILURE (1u << 31)

/* VM-instruction error numbers, SDM Vol 3C "VM-Instruction Error Numbers". */
enum vm_instruction_error {
    ERROR_VMCALL_IN_ROOT = 1,
    ERROR_VMCLEAR_ADDRESS = 2,
    ERROR_VMCLEAR_VMXON_POINTER = 3,
    ERROR_VMLAUNCH_NOT_CLEAR = 4,
    ERROR_VMRESUME_NOT_LAUNCHED = 5,
    ERROR_ENTRY_CONTROLS = 7,
    ERROR_ENTRY_HOST_STATE = 8,
    ERROR_VMPTRLD_ADDRESS = 9,
    ERROR_VMPTRLD_VMXON_POINTER = 10,
    ERROR_VMPTRLD_REVISION = 11,
    ERROR_FIELD_UNSUPPORTED = 12,
    ERROR_FIELD_READ_ONLY = 13,
    ERROR_VMXON_IN_ROOT = 15,
    ERROR_ENTRY_MOV_SS = 26,
    ERROR_INVALIDATION_OPERAND = 28,
};

/* VMX-abort indicators, SDM Vol 3C "VMX Aborts". */
enum vmx_abort {
    ABORT_SAVING_MSRS = 1,
    ABORT_HOST_PDPTE = 2,
    ABORT_LOADING_MSRS = 4,
    ABORT_HOST_ADDRESS_SIZE = 6,
};

#endif
