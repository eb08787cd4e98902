/* SPDX-License-Identifier: MIT */
/*
 * VMX: instructions, fields and bits that are used here. SDM Vol 3C chapters 25-31, Vol 3D
 * appendices A-C.
 */
#ifndef MINI_VMX_H
#define MINI_VMX_H

#include "guest.h"

enum {
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_VMX_BASIC = 0x480,
    MSR_VMX_MISC = 0x485,
    MSR_VMX_SECONDARY = 0x48b,
    MSR_VMX_EPT_VPID = 0x48c,
    MSR_VMX_TRUE_PIN = 0x48d,
    MSR_VMX_TRUE_PRIMARY = 0x48e,
    MSR_VMX_TRUE_EXIT = 0x48f,
    MSR_VMX_TRUE_ENTRY = 0x490,
};

/* Fields. A segment's fields are 2 apart, in the order of enum ES. */
enum {
    VPID = 0x0000,
    POSTED_VECTOR = 0x0002,
    GUEST_SELECTOR = 0x0800,
    INTERRUPT_STATUS = 0x0810,
    PML_INDEX = 0x0812,
    HOST_SELECTOR = 0x0c00,
    HOST_TR_SELECTOR = 0x0c0c,
    IO_BITMAP_A = 0x2000,
    IO_BITMAP_B = 0x2002,
    MSR_BITMAP = 0x2004,
    EXIT_STORE_ADDRESS = 0x2006,
    EXIT_LOAD_ADDRESS = 0x2008,
    ENTRY_LOAD_ADDRESS = 0x200a,
    PML_ADDRESS = 0x200e,
    TSC_OFFSET = 0x2010,
    VIRTUAL_APIC = 0x2012,
    APIC_ACCESS = 0x2014,
    POSTED_DESCRIPTOR = 0x2016,
    VM_FUNCTIONS = 0x2018,
    EPTP = 0x201a,
    EOI_EXIT_BITMAP = 0x201c,
    EPTP_LIST = 0x2024,
    VMREAD_BITMAP = 0x2026,
    VMWRITE_BITMAP = 0x2028,
    VE_INFORMATION = 0x202a,
    TSC_MULTIPLIER = 0x2032,
    GUEST_PHYSICAL = 0x2400,
    LINK_POINTER = 0x2800,
    GUEST_DEBUGCTL = 0x2802,
    GUEST_PAT = 0x2804,
    GUEST_EFER = 0x2806,
    GUEST_PDPTE = 0x280a,
    HOST_PAT = 0x2c00,
    HOST_EFER = 0x2c02,
    PIN = 0x4000,
    PRIMARY = 0x4002,
    EXCEPTIONS = 0x4004,
    CR3_TARGETS = 0x400a,
    EXIT = 0x400c,
    EXIT_STORE_COUNT = 0x400e,
    EXIT_LOAD_COUNT = 0x4010,
    ENTRY = 0x4012,
    ENTRY_LOAD_COUNT = 0x4014,
    ENTRY_INFO = 0x4016,
    ENTRY_ERROR_CODE = 0x4018,
    ENTRY_LENGTH = 0x401a,
    TPR_THRESHOLD = 0x401c,
    SECONDARY = 0x401e,
    INSTRUCTION_ERROR = 0x4400,
    REASON = 0x4402,
    EXIT_INTERRUPTION = 0x4404,
    EXIT_ERROR_CODE = 0x4406,
    VECTORING = 0x4408,
    VECTORING_ERROR_CODE = 0x440a,
    EXIT_LENGTH = 0x440c,
    EXIT_INFO = 0x440e,
    GUEST_LIMIT = 0x4800,
    GUEST_GDTR_LIMIT = 0x4810,
    GUEST_IDTR_LIMIT = 0x4812,
    GUEST_AR = 0x4814,
    INTERRUPTIBILITY = 0x4824,
    ACTIVITY = 0x4826,
    TIMER = 0x482e,
    CR0_MASK = 0x6000,
    CR4_MASK = 0x6002,
    CR0_SHADOW = 0x6004,
    CR4_SHADOW = 0x6006,
    QUALIFICATION = 0x6400,
    LINEAR = 0x640a,
    GUEST_CR0 = 0x6800,
    GUEST_CR3 = 0x6802,
    GUEST_CR4 = 0x6804,
    GUEST_BASE = 0x6806,
    GUEST_GDTR_BASE = 0x6816,
    GUEST_IDTR_BASE = 0x6818,
    GUEST_DR7 = 0x681a,
    GUEST_RSP = 0x681c,
    GUEST_RIP = 0x681e,
    GUEST_RFLAGS = 0x6820,
    PENDING_DEBUG = 0x6822,
    GUEST_SYSENTER_ESP = 0x6824,
    GUEST_SYSENTER_EIP = 0x6826,
    HOST_CR0 = 0x6c00,
    HOST_CR3 = 0x6c02,
    HOST_CR4 = 0x6c04,
    HOST_FS_BASE = 0x6c06,
    HOST_GS_BASE = 0x6c08,
    HOST_TR_BASE = 0x6c0a,
    HOST_GDTR_BASE = 0x6c0c,
    HOST_IDTR_BASE = 0x6c0e,
    HOST_SYSENTER_ESP = 0x6c10,
    HOST_SYSENTER_EIP = 0x6c12,
    HOST_RSP = 0x6c14,
    HOST_RIP = 0x6c16,
};

/* Controls, by bit. */
#define PIN_INTERRUPT BIT(0)
#define PIN_NMI BIT(3)
#define PIN_VIRTUAL_NMI BIT(5)
#define PIN_TIMER BIT(6)
#define PIN_POSTED BIT(7)
#define PRI_INTERRUPT_WINDOW BIT(2)
#define PRI_TSC_OFFSET BIT(3)
#define PRI_HLT BIT(7)
#define PRI_INVLPG BIT(9)
#define PRI_MWAIT BIT(10)
#define PRI_RDPMC BIT(11)
#define PRI_RDTSC BIT(12)
#define PRI_CR3_LOAD BIT(15)
#define PRI_CR3_STORE BIT(16)
#define PRI_CR8_LOAD BIT(19)
#define PRI_CR8_STORE BIT(20)
#define PRI_TPR_SHADOW BIT(21)
#define PRI_NMI_WINDOW BIT(22)
#define PRI_MOV_DR BIT(23)
#define PRI_IO BIT(24)
#define PRI_IO_BITMAPS BIT(25)
#define PRI_MTF BIT(27)
#define PRI_MSR_BITMAPS BIT(28)
#define PRI_MONITOR BIT(29)
#define PRI_PAUSE BIT(30)
#define PRI_SECONDARY BIT(31)
#define SEC_APIC_ACCESSES BIT(0)
#define SEC_EPT BIT(1)
#define SEC_TABLES BIT(2)
#define SEC_RDTSCP BIT(3)
#define SEC_X2APIC BIT(4)
#define SEC_VPID BIT(5)
#define SEC_WBINVD BIT(6)
#define SEC_UNRESTRICTED BIT(7)
#define SEC_APIC_REGISTERS BIT(8)
#define SEC_INTERRUPT_DELIVERY BIT(9)
#define SEC_RDRAND BIT(11)
#define SEC_INVPCID BIT(12)
#define SEC_FUNCTIONS BIT(13)
#define SEC_SHADOWING BIT(14)
#define SEC_RDSEED BIT(16)
#define SEC_PML BIT(17)
#define SEC_VE BIT(18)
#define SEC_MBEC BIT(22)
#define SEC_TSC_SCALING BIT(25)
#define EXIT_64 BIT(9)
#define EXIT_ACKNOWLEDGE BIT(15)
#define EXIT_LOAD_PAT BIT(19)
#define EXIT_SAVE_EFER BIT(20)
#define EXIT_LOAD_EFER BIT(21)
#define EXIT_SAVE_TIMER BIT(22)
#define ENTRY_DEBUG BIT(2)
#define ENTRY_64 BIT(9)
#define ENTRY_SMM BIT(10)
#define ENTRY_LOAD_PAT BIT(14)
#define ENTRY_LOAD_EFER BIT(15)

#define EPTP_WB_4 (6 | 3 << 3) /* write-back, 4 levels */
#define EPTP_AD BIT(6)
#define EPT_R 1u
#define EPT_W 2u
#define EPT_X 4u
#define EPT_WB (6u << 3)
#define EPT_A BIT(8)
#define EPT_D BIT(9)
#define EPT_USER_X BIT(10)
#define EPT_RWX (EPT_R | EPT_W | EPT_X | EPT_WB)

#define INFO_VALID BIT(31)
#define INFO_ERROR_CODE BIT(11)
#define REASON_ENTRY_FAILED BIT(31)

enum activity { ACTIVE, HALTED, SHUT_DOWN, WAIT_FOR_SIPI };

/* Basic exit reasons. */
enum {
    R_EXCEPTION = 0,
    R_INTERRUPT = 1,
    R_TRIPLE_FAULT = 2,
    R_INIT = 3,
    R_SIPI = 4,
    R_INTERRUPT_WINDOW = 7,
    R_NMI_WINDOW = 8,
    R_CPUID = 10,
    R_HLT = 12,
    R_VMCALL = 18,
    R_ENTRY_STATE = 33,
    R_MTF = 37,
    R_APIC_ACCESS = 44,
    R_EPT_VIOLATION = 48,
    R_EPT_MISCONFIGURATION = 49,
    R_TIMER = 52,
    R_VMFUNC = 59,
    R_PML_FULL = 62,
};

/* Each returns false if the instruction failed. */
bool vmxon(u64 region);
bool vmclear(u64 region);
bool vmptrld(u64 region);
bool vmread_try(u32 field, word *value);
bool vmwrite_try(u32 field, word value);
bool invept(u32 type, u64 eptp);
bool invvpid(u32 type, u16 vpid, u64 linear);
/* Did it fail, with this VM-instruction error? */
bool failed_with(bool ok, u32 error);
/* Fields of any width; 64-bit ones by their two halves if L1 is in 32-bit mode. */
u64 vmread(u32 field);
void vmwrite(u32 field, u64 value);

/* The value of controls closest to `wanted` that the capability MSR allows. */
u32 vmx_controls(u32 msr, u64 wanted);
void *vmx_region(void);
u64 vmx_vmxon_region(void);
void vmx_on(void);
void vmx_off(void);

struct vmx {
    void *vmcs;
    bool launched;
    u64 eptp;
    u16 vpid;
};
#define VMX(l2) ((struct vmx *)(l2)->vendor)
/* Makes this guest's VMCS the current one; vmread() and vmwrite() are on it then. */
void vmx_current(struct l2 *l2);
/* Sets or clears bits of a field. */
void vmx_change(u32 field, u64 set, u64 clear);
/* Changes of fields that a row of a table makes, and taking them back. */
enum { EDITS = 7 };
struct edit {
    enum { NONE, ON, OFF, IS } how;
    u32 field;
    u64 value;
};
void vmx_edit(const struct edit *edits, u64 *saved);
void vmx_undo(const struct edit *edits, const u64 *saved);
/* Host state of the current VMCS, as L1 is now. */
void vmx_write_host(void);
/* l2's state into the current VMCS. */
void vmx_write_guest(struct l2 *l2);

/*
 * Enters with these general registers; comes back at an exit, with L2's registers. Returns 0 for an
 * exit, 1 for VMfailInvalid, 2 for VMfailValid.
 */
u32 vmx_enter(word *registers, bool resume);
extern const char vmx_exited[];
/* VMLAUNCH as the instruction behind MOV SS. Returns as vmx_enter(). */
u32 vmx_launch_behind_mov_ss(void);

#endif
