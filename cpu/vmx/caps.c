/* SPDX-License-Identifier: MIT */
/* VMX capability reporting: SDM Vol 3D appendix A, "VMX Capability Reporting Facility". */
#include "cpu/vmx/caps.h"

#include "cpu/control.h"
#include "cpu/system.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/fields.h"

#define PIN_REF "SDM Vol 3C 25.6.1, Pin-Based VM-Execution Controls"
#define CPU_REF "SDM Vol 3C 25.6.2, Processor-Based VM-Execution Controls"
#define EXIT_REF "SDM Vol 3C 25.7.1, VM-Exit Controls"
#define ENTRY_REF "SDM Vol 3C 25.8.1, VM-Entry Controls"

/* clang-format off */
const struct vmx_control vmx_control_table[] = {
    {CONTROLS_PIN, 0, F_VMX, "External-interrupt exiting", PIN_REF},
    {CONTROLS_PIN, 3, F_VMX, "NMI exiting", PIN_REF},
    {CONTROLS_PIN, 5, F_VMX, "Virtual NMIs", PIN_REF},
    {CONTROLS_PIN, 6, F_VMX, "Activate VMX-preemption timer", PIN_REF},
    {CONTROLS_PIN, 7, F_X2APIC, "Process posted interrupts", PIN_REF},
    {CONTROLS_PRIMARY, 2, F_VMX, "Interrupt-window exiting", CPU_REF},
    {CONTROLS_PRIMARY, 3, F_VMX, "Use TSC offsetting", CPU_REF},
    {CONTROLS_PRIMARY, 7, F_VMX, "HLT exiting", CPU_REF},
    {CONTROLS_PRIMARY, 9, F_VMX, "INVLPG exiting", CPU_REF},
    {CONTROLS_PRIMARY, 10, F_VMX, "MWAIT exiting", CPU_REF},
    {CONTROLS_PRIMARY, 11, F_VMX, "RDPMC exiting", CPU_REF},
    {CONTROLS_PRIMARY, 12, F_VMX, "RDTSC exiting", CPU_REF},
    {CONTROLS_PRIMARY, 15, F_VMX, "CR3-load exiting", CPU_REF},
    {CONTROLS_PRIMARY, 16, F_VMX, "CR3-store exiting", CPU_REF},
    {CONTROLS_PRIMARY, 19, F_VMX, "CR8-load exiting", CPU_REF},
    {CONTROLS_PRIMARY, 20, F_VMX, "CR8-store exiting", CPU_REF},
    {CONTROLS_PRIMARY, 21, F_VMX, "Use TPR shadow", CPU_REF},
    {CONTROLS_PRIMARY, 22, F_VMX, "NMI-window exiting", CPU_REF},
    {CONTROLS_PRIMARY, 23, F_VMX, "MOV-DR exiting", CPU_REF},
    {CONTROLS_PRIMARY, 24, F_VMX, "Unconditional I/O exiting", CPU_REF},
    {CONTROLS_PRIMARY, 25, F_VMX, "Use I/O bitmaps", CPU_REF},
    {CONTROLS_PRIMARY, 27, F_VMX, "Monitor trap flag", CPU_REF},
    {CONTROLS_PRIMARY, 28, F_VMX, "Use MSR bitmaps", CPU_REF},
    {CONTROLS_PRIMARY, 29, F_VMX, "MONITOR exiting", CPU_REF},
    {CONTROLS_PRIMARY, 30, F_VMX, "PAUSE exiting", CPU_REF},
    {CONTROLS_PRIMARY, 31, F_VMX, "Activate secondary controls", CPU_REF},
    {CONTROLS_SECONDARY, 0, F_VMX, "Virtualize APIC accesses", CPU_REF},
    {CONTROLS_SECONDARY, 1, F_VMX, "Enable EPT", CPU_REF},
    {CONTROLS_SECONDARY, 2, F_VMX, "Descriptor-table exiting", CPU_REF},
    {CONTROLS_SECONDARY, 3, F_RDTSCP, "Enable RDTSCP", CPU_REF},
    {CONTROLS_SECONDARY, 4, F_X2APIC, "Virtualize x2APIC mode", CPU_REF},
    {CONTROLS_SECONDARY, 5, F_VMX, "Enable VPID", CPU_REF},
    {CONTROLS_SECONDARY, 6, F_VMX, "WBINVD exiting", CPU_REF},
    {CONTROLS_SECONDARY, 7, F_VMX, "Unrestricted guest", CPU_REF},
    {CONTROLS_SECONDARY, 8, F_X2APIC, "APIC-register virtualization", CPU_REF},
    {CONTROLS_SECONDARY, 9, F_X2APIC, "Virtual-interrupt delivery", CPU_REF},
    {CONTROLS_SECONDARY, 10, F_VMX, "PAUSE-loop exiting", CPU_REF},
    {CONTROLS_SECONDARY, 11, F_RDRAND, "RDRAND exiting", CPU_REF},
    {CONTROLS_SECONDARY, 12, F_INVPCID, "Enable INVPCID", CPU_REF},
    {CONTROLS_SECONDARY, 13, F_VMX, "Enable VM functions", CPU_REF},
    {CONTROLS_SECONDARY, 14, F_VMX, "VMCS shadowing", CPU_REF},
    {CONTROLS_SECONDARY, 16, F_RDSEED, "RDSEED exiting", CPU_REF},
    {CONTROLS_SECONDARY, 17, F_VMX, "Enable PML", CPU_REF},
    {CONTROLS_SECONDARY, 18, F_VMX, "EPT-violation #VE", CPU_REF},
    {CONTROLS_SECONDARY, 20, F_XSAVES, "Enable XSAVES/XRSTORS", CPU_REF},
    {CONTROLS_SECONDARY, 22, F_VMX, "Mode-based execute control for EPT", CPU_REF},
    {CONTROLS_SECONDARY, 25, F_VMX, "Use TSC scaling", CPU_REF},
    {CONTROLS_EXIT, 2, F_VMX, "Save debug controls", EXIT_REF},
    {CONTROLS_EXIT, 9, F_LM, "Host address-space size", EXIT_REF},
    {CONTROLS_EXIT, 15, F_VMX, "Acknowledge interrupt on exit", EXIT_REF},
    {CONTROLS_EXIT, 18, F_PAT, "Save IA32_PAT", EXIT_REF},
    {CONTROLS_EXIT, 19, F_PAT, "Load IA32_PAT", EXIT_REF},
    {CONTROLS_EXIT, 20, F_VMX, "Save IA32_EFER", EXIT_REF},
    {CONTROLS_EXIT, 21, F_VMX, "Load IA32_EFER", EXIT_REF},
    {CONTROLS_EXIT, 22, F_VMX, "Save VMX-preemption timer value", EXIT_REF},
    {CONTROLS_ENTRY, 2, F_VMX, "Load debug controls", ENTRY_REF},
    {CONTROLS_ENTRY, 9, F_LM, "IA-32e mode guest", ENTRY_REF},
    {CONTROLS_ENTRY, 14, F_PAT, "Load IA32_PAT", ENTRY_REF},
    {CONTROLS_ENTRY, 15, F_VMX, "Load IA32_EFER", ENTRY_REF},
};
/* clang-format on */
const u32 vmx_control_rows = ARRAY_SIZE(vmx_control_table);

/* Controls of the default1 class: SDM Vol 3D A.2. Secondary controls have none. */
static const u32 default1[CONTROLS_COUNT] = {
    [CONTROLS_PIN] = 0x16,     [CONTROLS_PRIMARY] = 0x0401e172, [CONTROLS_SECONDARY] = 0,
    [CONTROLS_EXIT] = 0x36dff, [CONTROLS_ENTRY] = 0x11ff,
};

void vmx_configure(struct vcpu *v)
{
    for (u32 word = 0; word < CONTROLS_COUNT; word++)
        v->vmx_allowed1[word] = default1[word];
    for (u32 i = 0; i < vmx_control_rows; i++) {
        const struct vmx_control *row = &vmx_control_table[i];

        if (has_feature(v, row->feature))
            v->vmx_allowed1[row->word] |= (u32)1 << row->bit;
    }
    v->vmx_cr4_fixed1 = cr4_known(v);
    vmx_fields_configure(v);
}

u32 vmx_allowed1(const struct vcpu *v, enum vmx_controls word)
{
    return v->vmx_allowed1[word];
}

/* What is known under a name may be 0: SDM Vol 3D A.3.1. */
u32 vmx_required(enum vmx_controls word)
{
    static const u32 named[CONTROLS_COUNT] = {
        [CONTROLS_PRIMARY] = PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE,
        [CONTROLS_EXIT] = EXIT_SAVE_DEBUG,
        [CONTROLS_ENTRY] = ENTRY_LOAD_DEBUG,
    };

    return default1[word] & ~named[word];
}

static u64 controls_msr(const struct vcpu *v, enum vmx_controls word, bool true_msr)
{
    return (u64)vmx_allowed1(v, word) << 32 | (true_msr ? vmx_required(word) : default1[word]);
}

u64 vmx_ept_vpid_cap(const struct vcpu *v)
{
    return EPT_CAP_EXECUTE_ONLY | EPT_CAP_4_LEVEL | (has_feature(v, F_LA57) ? EPT_CAP_5_LEVEL : 0) |
           EPT_CAP_UC | EPT_CAP_WB | EPT_CAP_2M | (has_feature(v, F_GBPAGES) ? EPT_CAP_1G : 0) |
           EPT_CAP_INVEPT | EPT_CAP_AD | EPT_CAP_ADVANCED | EPT_CAP_INVEPT_SINGLE |
           EPT_CAP_INVEPT_ALL | VPID_CAP_INVVPID | VPID_CAP_ADDRESS | VPID_CAP_SINGLE |
           VPID_CAP_ALL | VPID_CAP_KEEP_GLOBALS;
}

/* SDM Vol 3D A.1: revision, one page, write-back, INS and OUTS information, TRUE controls. */
static u64 basic(void)
{
    const u64 size = PAGE_SIZE;
    const u64 write_back = 6;

    return VMCS_REVISION | size << 32 | write_back << 50 | BIT(54) | BIT(55);
}

/* SDM Vol 3D A.6: timer rate, EFER.LMA stored, activity states, CR3 targets, VMWRITE to any field,
 * injection of zero-length software events. */
static u64 misc(void)
{
    return VMX_TIMER_SHIFT | BITS(8, 5) | VMCS_CR3_TARGETS << 16 | BITS(30, 29);
}

u64 vmx_cr4_fixed1(const struct vcpu *v)
{
    return v->vmx_cr4_fixed1;
}

u64 vmx_capability(const struct vcpu *v, u32 msr)
{
    switch (msr) {
    case 0x480: return basic();
    case 0x481: return controls_msr(v, CONTROLS_PIN, false);
    case 0x482: return controls_msr(v, CONTROLS_PRIMARY, false);
    case 0x483: return controls_msr(v, CONTROLS_EXIT, false);
    case 0x484: return controls_msr(v, CONTROLS_ENTRY, false);
    case 0x485: return misc();
    case 0x486: return VMX_CR0_FIXED0;
    case 0x487: return VMX_CR0_FIXED1;
    case 0x488: return VMX_CR4_FIXED0;
    case 0x489: return vmx_cr4_fixed1(v);
    case 0x48a: return vmx_field_enum(v);
    case 0x48b: return controls_msr(v, CONTROLS_SECONDARY, false);
    case 0x48c: return vmx_ept_vpid_cap(v);
    case 0x48d: return controls_msr(v, CONTROLS_PIN, true);
    case 0x48e: return controls_msr(v, CONTROLS_PRIMARY, true);
    case 0x48f: return controls_msr(v, CONTROLS_EXIT, true);
    case 0x490: return controls_msr(v, CONTROLS_ENTRY, true);
    default: return VM_FUNCTION_EPTP_SWITCHING; /* IA32_VMX_VMFUNC */
    }
}
