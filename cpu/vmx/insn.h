/* SPDX-License-Identifier: MIT */
/* How VMX instructions end: SDM Vol 3C 31.2, "Conventions". */
#ifndef CPU_VMX_INSN_H
#define CPU_VMX_INSN_H

#include "cpu/vmx/vmx.h"

void vmx_succeed(struct vcpu *v);
/* VMfailValid with a number if there is a current VMCS, else VMfailInvalid. */
void vmx_fail(struct vcpu *v, enum vm_instruction_error error);

#endif
