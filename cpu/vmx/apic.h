/* SPDX-License-Identifier: MIT */
/* APIC virtualization: SDM Vol 3C chapter 30. */
#ifndef CPU_VMX_APIC_H
#define CPU_VMX_APIC_H

#include "cpu/vmx/vmx.h"

/* CR8 is in the virtual-APIC page. */
bool vmx_tpr_shadowed(const struct vcpu *v);
u64 vmx_cr8_read(const struct vcpu *v);
void vmx_cr8_write(struct vcpu *v, u64 value);

/* The APIC-access page: behind these are the virtual-APIC page and its side effects. An access must
 * first be allowed; false: it exits. */
extern const struct mmio_ops vmx_apic_page;
MUST_CHECK bool vmx_apic_access(struct vcpu *v, u32 offset, u32 size, u32 access);

/* RDMSR and WRMSR of 800H..8FFH. */
enum vmx_msr { VMX_MSR_NOT_MINE, VMX_MSR_DONE, VMX_MSR_FAULT };
enum vmx_msr vmx_x2apic_read(struct vcpu *v, u32 index, u64 *value);
enum vmx_msr vmx_x2apic_write(struct vcpu *v, u32 index, u64 value);

void vmx_virtual_interrupt(struct vcpu *v);
bool vmx_posted_interrupt(struct vcpu *v, u8 vector);
void vmx_apic_enter(struct vcpu *v);

#endif
