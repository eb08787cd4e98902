/* SPDX-License-Identifier: MIT */
/* Far RET and IRET in all modes. SDM Vol 3A 5.8.6, 6.12.1, 21.2.3; SDM Vol 2 "RET", "IRET". */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/transfer.h"
#include "cpu/virt.h"

/* Data segments that the new privilege may not keep become null; bases of FS and GS stay. */
static void drop_inner_segments(struct vcpu *v, unsigned cpl)
{
    static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        struct segment *s = &v->state.seg[data[i]];

        if ((s->attr & ATTR_UNUSABLE) != 0)
            s->selector = 0;
        else if (!attr_is_conforming_code(s->attr) && attr_dpl(s->attr) < cpl)
            *s = (struct segment){.base = s->base, .attr = ATTR_UNUSABLE};
    }
}

/* SS for a return to privilege `cpl`: null is allowed on the way to 64-bit code outside ring 3. */
static bool return_stack_segment(struct vcpu *v, u16 selector, const struct segment *cs,
                                 unsigned cpl, struct segment *ss)
{
    if (selector_is_null(selector) && long_mode(v) && (cs->attr & ATTR_L) != 0 && cpl != 3) {
        if ((selector & SELECTOR_RPL) != cpl)
            return RAISE_GP0(v);
        *ss = segment_null(selector, cpl);
        return true;
    }
    return stack_segment_check(v, selector, cpl, VEC_GP, ss);
}

static struct stack return_stack(const struct vcpu *v, const struct segment *cs,
                                 const struct segment *ss, u64 sp)
{
    const bool is_64 = long_mode(v) && (cs->attr & ATTR_L) != 0;

    return (struct stack){
        .ss = *ss,
        .sp = sp,
        .mask = is_64                       ? ~(u64)0
                : (ss->attr & ATTR_DB) != 0 ? 0xffffffff
                                            : 0xffff,
        .is_64 = is_64,
    };
}

static bool far_return_real(struct vcpu *v, u32 width, u16 release)
{
    struct stack stack = stack_current(v);
    u64 values[2];

    if (!stack_read(v, &stack, values, 2, width))
        return false;
    if (values[0] > v->state.seg[SEG_CS].limit)
        return RAISE_GP0(v);
    stack.sp += 2 * width + release;
    stack_commit_pointer(v, &stack);
    segment_load_real(v, SEG_CS, (u16)values[1]);
    mode_update_segments(v);
    v->next_rip = values[0];
    return true;
}

bool far_return(struct vcpu *v, u32 width, u16 release)
{
    struct stack stack = stack_current(v);
    struct segment cs;
    struct segment ss;
    u64 values[2];
    u64 outer[2];
    unsigned cpl;

    if (!protected_mode(v))
        return far_return_real(v, width, release);
    if (!stack_read(v, &stack, values, 2, width))
        return false;
    cpl = values[1] & SELECTOR_RPL;
    if (cpl < v->cpl)
        return raise_selector(v, VEC_GP, (u16)values[1]);
    if (!code_segment_check(v, (u16)values[1], cpl, VEC_GP, &cs))
        return false;
    stack.sp += 2 * width + release;
    if (cpl == v->cpl) {
        if (!code_offset_check(v, &cs, values[0]))
            return false;
        transfer_commit(v, &cs, values[0], &stack);
        return true;
    }
    if (!stack_read(v, &stack, outer, 2, width) ||
        !return_stack_segment(v, (u16)outer[1], &cs, cpl, &ss) ||
        !code_offset_check(v, &cs, values[0]))
        return false;
    stack = return_stack(v, &cs, &ss, outer[0] + release);
    drop_inner_segments(v, cpl);
    transfer_commit(v, &cs, values[0], &stack);
    return true;
}

/* ---- IRET ---- */

/* RF matters only while code breakpoints are armed; else nobody needs the next instruction alone.
 */
static u64 resume_flag(const struct vcpu *v)
{
    return (v->state.dr[7] & DR7_ENABLES) != 0 ? FLAG_RF : 0;
}

/* RFLAGS as IRET at the present CPL takes them from an image; VM is not among them. */
static u64 returned_flags(const struct vcpu *v, u64 image, u32 width)
{
    const u64 old = rflags_get(v);
    const unsigned iopl = (old & FLAG_IOPL) >> 12;
    u64 mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

    if (width >= 4)
        mask |= FLAG_AC | FLAG_ID | FLAG_RF;
    if (v->cpl <= iopl)
        mask |= FLAG_IF;
    if (v->cpl == 0) {
        mask |= FLAG_IOPL;
        if (width >= 4 && protected_mode(v))
            mask |= FLAG_VIF | FLAG_VIP;
    }
    return (old & ~mask) | (image & mask & ~(u64)FLAG_RF) | (image & mask & resume_flag(v));
}

static bool interrupt_return_real(struct vcpu *v, u32 width)
{
    struct stack stack = stack_current(v);
    u64 values[3];

    if (!stack_read(v, &stack, values, 3, width))
        return false;
    if (values[0] > v->state.seg[SEG_CS].limit)
        return RAISE_GP0(v);
    stack.sp += 3 * width;
    stack_commit_pointer(v, &stack);
    rflags_set(v, returned_flags(v, values[2], width));
    segment_load_real(v, SEG_CS, (u16)values[1]);
    mode_update_segments(v);
    v->next_rip = values[0];
    return true;
}

/* VME: IRET with 16-bit operands at IOPL < 3 works on VIF. SDM Vol 3A 21.3.3. */
static bool interrupt_return_vme(struct vcpu *v)
{
    struct stack stack = stack_current(v);
    const u64 old = rflags_get(v);
    const u64 mask = FLAGS_ARITH | FLAG_DF | FLAG_NT | FLAG_VIF;
    u64 values[3];
    u64 image;

    if (!stack_read(v, &stack, values, 3, 2))
        return false;
    if (values[0] > v->state.seg[SEG_CS].limit || (values[2] & FLAG_TF) != 0 ||
        ((values[2] & FLAG_IF) != 0 && (old & FLAG_VIP) != 0))
        return RAISE_GP0(v);
    image = values[2] | ((values[2] & FLAG_IF) != 0 ? FLAG_VIF : 0u);
    stack.sp += 6;
    stack_commit_pointer(v, &stack);
    rflags_set(v, (old & ~mask) | (image & mask));
    segment_load_real(v, SEG_CS, (u16)values[1]);
    mode_update_segments(v);
    v->next_rip = values[0];
    return true;
}

static bool interrupt_return_v86(struct vcpu *v, u32 width)
{
    if ((v->state.rflags & FLAG_IOPL) == FLAG_IOPL)
        return interrupt_return_real(v, width);
    if ((v->state.cr4 & CR4_VME) != 0 && width == 2)
        return interrupt_return_vme(v);
    return RAISE_GP0(v);
}

/* To virtual-8086 mode: the frame holds EIP CS EFLAGS ESP SS ES DS FS GS. SDM Vol 3A 21.2.3. */
static bool return_to_v86(struct vcpu *v, struct stack *stack)
{
    static const u8 order[] = {SEG_CS, SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    static const u8 slot[] = {1, 4, 5, 6, 7, 8};
    u64 values[9];

    if (!stack_read(v, stack, values, 9, 4))
        return false;
    if ((values[0] & 0xffffffff) > 0xffff)
        return RAISE_GP0(v);
    rflags_set(v, (returned_flags(v, values[2], 4) & ~(u64)FLAG_IOPL) | FLAG_VM |
                      (values[2] & FLAG_IOPL));
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        segment_load_real(v, order[i], (u16)values[slot[i]]);
    v->state.reg[REG_RSP] = values[3] & 0xffffffff;
    mode_update_segments(v);
    v->next_rip = values[0] & 0xffff;
    return true;
}

static bool return_from_task(struct vcpu *v)
{
    u64 link;

    if (long_mode(v))
        return RAISE_GP0(v);
    return mem_load(v, v->state.seg[SEG_TR].base, 2, ACCESS_IMPLICIT, &link) &&
           task_switch(v, (u16)link, TASK_IRET, false, 0);
}

static bool interrupt_return_protected(struct vcpu *v, u32 width)
{
    struct stack stack = stack_current(v);
    const bool from_64 = mode64(v);
    struct segment cs;
    struct segment ss = stack.ss;
    u64 flags;
    u64 values[5];
    unsigned cpl;

    if (!stack_read(v, &stack, values, from_64 ? 5 : 3, width))
        return false;
    if (width == 4 && (values[2] & FLAG_VM) != 0 && v->cpl == 0 && !long_mode(v))
        return return_to_v86(v, &stack);
    cpl = values[1] & SELECTOR_RPL;
    if (cpl < v->cpl)
        return raise_selector(v, VEC_GP, (u16)values[1]);
    if (!code_segment_check(v, (u16)values[1], cpl, VEC_GP, &cs))
        return false;
    stack.sp += 3 * width;
    if (!from_64 && cpl != v->cpl && !stack_read(v, &stack, values + 3, 2, width))
        return false;
    if ((from_64 || cpl != v->cpl) && !return_stack_segment(v, (u16)values[4], &cs, cpl, &ss))
        return false;
    if (!code_offset_check(v, &cs, values[0]))
        return false;
    if (from_64 || cpl != v->cpl)
        stack = return_stack(v, &cs, &ss, values[3]);
    flags = returned_flags(v, values[2], width);
    if (cpl != v->cpl)
        drop_inner_segments(v, cpl);
    rflags_set(v, flags);
    transfer_commit(v, &cs, values[0], &stack);
    return true;
}

bool interrupt_return(struct vcpu *v, u32 width)
{
    bool done;

    if ((v->mode & MODE_V86) != 0)
        done = interrupt_return_v86(v, width);
    else if (!protected_mode(v))
        done = interrupt_return_real(v, width);
    else if ((v->state.rflags & FLAG_NT) != 0)
        done = return_from_task(v);
    else
        done = interrupt_return_protected(v, width);
    /* the blocking ends even if IRET faults: SDM Vol 3C 26.3, "Event Blocking" */
    if (done || v->event.kind != EVENT_REDO)
        virt_iret(v);
    return done;
}
