/* SPDX-License-Identifier: MIT */
/* VM-exit instruction information: SDM Vol 3C 28.2.5, tables 28-8 to 28-15. */
#ifndef CPU_VMX_INSN_INFO_H
#define CPU_VMX_INSN_INFO_H

#include "cpu/vmx/vmx.h"

/* The memory operand (or register) and the second register; the qualification is the displacement.
 * The superset of the formats of VMX instructions, INVEPT, INVPCID, INVVPID, XSAVES and XRSTORS. */
void vmx_insn_info(const struct vcpu *v, const struct insn *in, struct guest_exit *x);
/* Address size and segment of a string instruction. */
u32 vmx_string_info(const struct insn *in);

#endif
