/* SPDX-License-Identifier: MIT */
/* VMX capabilities: which controls there are, and the capability MSRs computed from that. SDM Vol
 * 3D appendix A. */
#ifndef CPU_VMX_CAPS_H
#define CPU_VMX_CAPS_H

#include "cpu/vcpu.h"

enum vmx_controls {
    CONTROLS_PIN,
    CONTROLS_PRIMARY,
    CONTROLS_SECONDARY,
    CONTROLS_EXIT,
    CONTROLS_ENTRY,
    CONTROLS_COUNT,
};

/* One control that is offered. */
struct vmx_control {
    u8 word; /* enum vmx_controls */
    u8 bit;
    enum cpu_feature feature; /* offered only with it */
    const char *name;
    const char *ref;
};

extern const struct vmx_control vmx_control_table[];
extern const u32 vmx_control_rows;

/* Bits that may be 1, and bits that must be 1 by the TRUE capability MSRs (which decide whatever
 * MSR the hypervisor reads). */
u32 vmx_allowed1(const struct vcpu *v, enum vmx_controls word);
u32 vmx_required(enum vmx_controls word);

static inline bool vmx_controls_allowed(const struct vcpu *v, enum vmx_controls word, u32 value)
{
    return (value & ~vmx_allowed1(v, word)) == 0 && (~value & vmx_required(word)) == 0;
}

/* EPT and VPID capabilities: SDM Vol 3D A.10. */
#define EPT_CAP_EXECUTE_ONLY BIT(0)
#define EPT_CAP_4_LEVEL BIT(6)
#define EPT_CAP_5_LEVEL BIT(7)
#define EPT_CAP_UC BIT(8)
#define EPT_CAP_WB BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_AD BIT(21)
#define EPT_CAP_ADVANCED BIT(22)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_ALL BIT(26)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_ADDRESS BIT(40)
#define VPID_CAP_SINGLE BIT(41)
#define VPID_CAP_ALL BIT(42)
#define VPID_CAP_KEEP_GLOBALS BIT(43)

u64 vmx_ept_vpid_cap(const struct vcpu *v);

/* Value of IA32_VMX_BASIC .. IA32_VMX_VMFUNC (480H..491H). */
u64 vmx_capability(const struct vcpu *v, u32 msr);

/* CR0 and CR4 bits that are 1 (fixed0) and may be 1 (fixed1) in VMX operation: A.7, A.8. */
#define VMX_CR0_FIXED0 ((u64)0x80000021)
#define VMX_CR0_FIXED1 ((u64)0xffffffff)
#define VMX_CR4_FIXED0 ((u64)0x2000)
u64 vmx_cr4_fixed1(const struct vcpu *v);

enum {
    VMX_TIMER_SHIFT = 5, /* the preemption timer counts when this TSC bit changes */
    VMX_MSR_LIST_MAX = 512,
};

/* Called when the model and features are set: computes what vmx_allowed1() answers. */
void vmx_configure(struct vcpu *v);

#endif
