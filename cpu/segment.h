/* SPDX-License-Identifier: MIT */
/* Segment registers: descriptor loads with all checks, and far transfers. SDM Vol 3A chapters 3,
 * 5, 6. */
#ifndef CPU_SEGMENT_H
#define CPU_SEGMENT_H

#include "cpu/vcpu.h"

/* A descriptor as read from GDT or LDT; high holds bytes 8..15 of 16-byte system descriptors. */
struct descriptor {
    u64 low, high;
};

/* Limit in bytes, base and attr (struct segment's format) of an 8-byte descriptor. */
void descriptor_unpack(const struct descriptor *d, u16 selector, struct segment *out);

/* Read the descriptor a selector names (system: 16 bytes in long mode). Raises vec(selector) if it
 * is beyond its table. */
MUST_CHECK bool descriptor_read(struct vcpu *v, u16 selector, bool wide, enum vector vector,
                                struct descriptor *out);

/* MOV/POP/LxS to ES, SS, DS, FS, GS, in every mode; SS also as part of returns is far.c's business.
 */
MUST_CHECK bool segment_load(struct vcpu *v, enum seg seg, u16 selector);
/* Real and virtual-8086 mode: base = selector << 4; limit and attributes as the mode wants. */
void segment_load_real(struct vcpu *v, enum seg seg, u16 selector);

MUST_CHECK bool lldt(struct vcpu *v, u16 selector);
MUST_CHECK bool ltr(struct vcpu *v, u16 selector);

/* LAR, LSL, VERR and VERW: *ok is ZF; *value is written only then. false: a page fault on the
 * table. */
MUST_CHECK bool descriptor_rights(struct vcpu *v, u16 selector, u32 *value, bool *ok);
MUST_CHECK bool descriptor_limit(struct vcpu *v, u16 selector, u32 *value, bool *ok);
MUST_CHECK bool descriptor_verify(struct vcpu *v, u16 selector, bool write, bool *ok);

/* Far JMP, CALL, RET, IRET in all modes, gates and task gates included. width: operand size in
 * bytes. They set v->next_rip. */
MUST_CHECK bool far_jump(struct vcpu *v, u16 selector, u64 offset, u32 width);
MUST_CHECK bool far_call(struct vcpu *v, u16 selector, u64 offset, u32 width);
MUST_CHECK bool far_return(struct vcpu *v, u32 width, u16 release);
MUST_CHECK bool interrupt_return(struct vcpu *v, u32 width);

/* The 12-bit attributes of save areas: the descriptor's bits 47:40 and 55:52. */
static inline u16 segment_attr_pack(u32 attr)
{
    return (attr & ATTR_UNUSABLE) != 0 ? (u16)(attr & ATTR_DPL)
                                       : (u16)((attr & 0xff) | (attr >> 4 & 0xf00));
}

static inline u32 segment_attr_unpack(u64 packed)
{
    const u32 attr = (u32)((packed & 0xff) | (packed & 0xf00) << 4);

    return (attr & ATTR_P) != 0 ? attr : (attr & ATTR_DPL) | ATTR_UNUSABLE;
}

enum task_switch { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/* SDM Vol 3A 7.3. error: pushed on the new stack if has_error (exceptions through a task gate). The
 * EIP saved is v->next_rip. A fault found when the new task is already in force is delivered there,
 * and the switch counts as done. */
MUST_CHECK bool task_switch(struct vcpu *v, u16 selector, enum task_switch how, bool has_error,
                            u32 error);

#endif
