/* SPDX-License-Identifier: MIT */
/*
 * Far JMP and CALL, direct and through gates, and the checks and frames that all far transfers
 * share. Everything is checked and the stack written before the first register changes. SDM Vol
 * 3A 5.8.
 */
#include "cpu/transfer.h"

#include "cpu/control.h"
#include "cpu/mem.h"

bool code_segment_check(struct vcpu *v, u16 selector, unsigned cpl, enum vector vector,
                        struct segment *out)
{
    struct descriptor d;
    unsigned dpl;

    if (selector_is_null(selector))
        return raise_error(v, vector, 0);
    if (!descriptor_read(v, selector, false, vector, &d))
        return false;
    descriptor_unpack(&d, selector, out);
    dpl = attr_dpl(out->attr);
    if (!attr_is_code(out->attr))
        return raise_selector(v, vector, selector);
    if (attr_is_conforming_code(out->attr) ? dpl > cpl
                                           : dpl != cpl || (selector & SELECTOR_RPL) > cpl)
        return raise_selector(v, vector, selector);
    if ((out->attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    if (long_mode(v) && (out->attr & (ATTR_L | ATTR_DB)) == (ATTR_L | ATTR_DB))
        return raise_selector(v, vector, selector);
    if (!descriptor_touch(v, selector, &d))
        return false;
    out->attr |= ATTR_ACCESSED;
    out->selector = (u16)((selector & 0xfffcu) | cpl);
    return true;
}

bool stack_segment_check(struct vcpu *v, u16 selector, unsigned cpl, enum vector vector,
                         struct segment *out)
{
    struct descriptor d;

    if (selector_is_null(selector))
        return raise_error(v, vector, 0);
    if (!descriptor_read(v, selector, false, vector, &d))
        return false;
    descriptor_unpack(&d, selector, out);
    if ((selector & SELECTOR_RPL) != cpl || attr_dpl(out->attr) != cpl ||
        !attr_is_writable_data(out->attr))
        return raise_selector(v, vector, selector);
    if ((out->attr & ATTR_P) == 0)
        return raise_selector(v, VEC_SS, selector);
    if (!descriptor_touch(v, selector, &d))
        return false;
    out->attr |= ATTR_ACCESSED;
    return true;
}

bool code_offset_check(struct vcpu *v, const struct segment *cs, u64 ip)
{
    if (long_mode(v) && (cs->attr & ATTR_L) != 0)
        return canonical(v, ip) || RAISE_GP0(v);
    return ip <= cs->limit || RAISE_GP0(v);
}

/* ---- stacks ---- */

static u64 stack_mask(const struct segment *ss)
{
    return (ss->attr & ATTR_DB) != 0 ? 0xffffffff : 0xffff;
}

struct stack stack_current(const struct vcpu *v)
{
    struct stack stack = {
        .ss = v->state.seg[SEG_SS],
        .flags = ACCESS_STACK,
        .is_64 = mode64(v),
    };

    stack.mask = stack.is_64 ? ~(u64)0 : stack_mask(&stack.ss);
    stack.sp = v->state.reg[REG_RSP] & stack.mask;
    return stack;
}

/* Do size bytes at this offset lie within the segment's limit? SDM Vol 3A 5.3. */
static bool within_limit(const struct stack *stack, u64 offset, u64 size)
{
    const u64 last = offset + size - 1;

    if (stack->is_64)
        return true;
    if ((stack->ss.attr & ATTR_EXPAND_DOWN) != 0)
        return offset > stack->ss.limit && last <= stack_mask(&stack->ss);
    return last <= stack->ss.limit;
}

static u64 stack_linear(const struct stack *stack, u64 offset)
{
    return stack->is_64 ? offset : (stack->ss.base + offset) & 0xffffffff;
}

/* Where a frame of the 64-bit stack lies, if the soft TLB knows its page and no breakpoint watches.
 */
static u8 *frame_pointer(const struct vcpu *v, const struct stack *stack, u64 low, u64 size,
                         bool write)
{
    const struct tlb_entry *bank =
        (stack->flags & ACCESS_IMPLICIT) != 0 ? v->mmu->system_bank : v->tlb;
    const struct tlb_entry *e = &bank[tlb_index(low)];

    if (!stack->is_64 || (v->mode & MODE_ALIGN) != 0 ||
        low - (write ? e->wtag : e->rtag) > PAGE_SIZE - size)
        return NULL;
    return (u8 *)(uintptr_t)(e->host + low);
}

/* The frame as one piece of memory: nearly always. */
static bool build_whole(struct vcpu *v, const struct stack *stack, u64 low, const u64 *values,
                        u32 count, u32 width)
{
    u8 *host = width == 8 ? frame_pointer(v, stack, low, (u64)count * 8, true) : NULL;
    u8 bytes[64];

    if (host != NULL) {
        for (u32 i = 0; i < count; i++)
            store_le(host + (count - 1 - i) * 8, values[i], 8);
        return true;
    }
    for (u32 i = 0; i < count; i++)
        store_le(bytes + (count - 1 - i) * width, values[i], width);
    return mem_store_bytes(v, stack_linear(stack, low), bytes, count * width, stack->flags);
}

/* Frames that wrap around a 16-bit stack, and call gates with many parameters. */
static bool build_pieces(struct vcpu *v, const struct stack *stack, const u64 *values, u32 count,
                         u32 width)
{
    u64 at = stack->sp;

    for (u32 i = 0; i < count; i++) {
        at = (at - width) & stack->mask;
        if (!within_limit(stack, at, width))
            return raise_error(v, VEC_SS, stack->error);
        if (!mem_probe_write(v, stack_linear(stack, at), width, stack->flags))
            return false;
    }
    at = stack->sp;
    for (u32 i = 0; i < count; i++) {
        at = (at - width) & stack->mask;
        if (!mem_store(v, stack_linear(stack, at), width, stack->flags, values[i]))
            return false;
    }
    return true;
}

bool stack_build(struct vcpu *v, struct stack *stack, const u64 *values, u32 count, u32 width)
{
    const u64 size = (u64)count * width;
    const u64 low = (stack->sp - size) & stack->mask;

    if (size <= 64 && low + size - 1 <= stack->mask && low + size - 1 >= low) {
        if (!within_limit(stack, low, size))
            return raise_error(v, VEC_SS, stack->error);
        if (!build_whole(v, stack, low, values, count, width))
            return false;
    } else if (!build_pieces(v, stack, values, count, width)) {
        return false;
    }
    stack->sp = low;
    return true;
}

bool stack_read(struct vcpu *v, const struct stack *stack, u64 *values, u32 count, u32 width)
{
    const u64 size = (u64)count * width;
    const u64 low = stack->sp & stack->mask;

    if (width == 8) {
        const u8 *host = frame_pointer(v, stack, low, size, false);

        if (host != NULL) {
            memcpy(values, host, size);
            return true;
        }
    }
    if (size <= 64 && low + size - 1 <= stack->mask && low + size - 1 >= low) {
        u8 bytes[64];

        if (!within_limit(stack, low, size))
            return raise_error(v, VEC_SS, stack->error);
        if (!mem_load_bytes(v, stack_linear(stack, low), bytes, (u32)size, stack->flags))
            return false;
        for (u32 i = 0; i < count; i++)
            values[i] = load_le(bytes + i * width, width);
        return true;
    }
    for (u32 i = 0; i < count; i++) {
        const u64 at = (low + (u64)i * width) & stack->mask;

        if (!within_limit(stack, at, width))
            return raise_error(v, VEC_SS, stack->error);
        if (!mem_load(v, stack_linear(stack, at), width, stack->flags, &values[i]))
            return false;
    }
    return true;
}

static bool long_stack_from_tss(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *out)
{
    const struct segment *tr = &v->state.seg[SEG_TR];
    const u32 offset = ist != 0 ? 0x24 + 8 * (ist - 1) : 4 + 8 * cpl;

    if (offset + 7 > tr->limit)
        return raise_selector(v, VEC_TS, tr->selector);
    *out = (struct stack){.ss = segment_null((u16)cpl, cpl),
                          .mask = ~(u64)0,
                          .flags = ACCESS_STACK | ACCESS_IMPLICIT,
                          .is_64 = true};
    return system_load(v, tr->base + offset, &out->sp, 8);
}

bool stack_from_tss(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *out)
{
    const struct segment *tr = &v->state.seg[SEG_TR];
    const bool is_32 = (tr->attr & 8) != 0;
    const u32 width = is_32 ? 4 : 2;
    const u32 offset = is_32 ? 4 + 8 * cpl : 2 + 4 * cpl;
    u64 selector;

    if (long_mode(v))
        return long_stack_from_tss(v, cpl, ist, out);
    if (offset + width + 1 > tr->limit)
        return raise_selector(v, VEC_TS, tr->selector);
    *out = (struct stack){.flags = ACCESS_STACK | ACCESS_IMPLICIT};
    if (!mem_load(v, tr->base + offset, width, ACCESS_IMPLICIT, &out->sp) ||
        !mem_load(v, tr->base + offset + width, 2, ACCESS_IMPLICIT, &selector))
        return false;
    if (!stack_segment_check(v, (u16)selector, cpl, VEC_TS, &out->ss))
        return false;
    out->mask = stack_mask(&out->ss);
    out->error = (u32)selector & 0xfffc;
    return true;
}

void stack_commit_pointer(struct vcpu *v, const struct stack *stack)
{
    u64 *rsp = &v->state.reg[REG_RSP];

    *rsp = stack->mask == 0xffff ? (*rsp & ~(u64)0xffff) | (stack->sp & 0xffff)
                                 : stack->sp & stack->mask;
}

void transfer_commit(struct vcpu *v, const struct segment *cs, u64 rip, const struct stack *stack)
{
    v->state.seg[SEG_CS] = *cs;
    if (stack != NULL) {
        v->state.seg[SEG_SS] = stack->ss;
        stack_commit_pointer(v, stack);
    }
    mode_update_code(v);
    v->next_rip = rip & v->la_mask;
}

/* ---- far JMP and CALL ---- */

static bool transfer_real(struct vcpu *v, u16 selector, u64 offset)
{
    if (offset > v->state.seg[SEG_CS].limit)
        return RAISE_GP0(v);
    segment_load_real(v, SEG_CS, selector);
    mode_update_segments(v);
    v->next_rip = offset;
    return true;
}

/* TSS or task gate: the TSS selector, after the checks that precede a switch. */
static bool task_target(struct vcpu *v, u16 selector, const struct segment *s, u64 low, u16 *tss)
{
    if (attr_dpl(s->attr) < v->cpl || attr_dpl(s->attr) < (selector & SELECTOR_RPL))
        return raise_selector(v, VEC_GP, selector);
    if ((s->attr & ATTR_TYPE) == TYPE_TASK_GATE) {
        if ((s->attr & ATTR_P) == 0)
            return raise_selector(v, VEC_NP, selector);
        *tss = (u16)(low >> 16);
    } else {
        *tss = selector;
    }
    return true;
}

/* A call gate as read, with its target's code segment. */
struct gate {
    u64 offset;
    u16 selector;
    u32 width; /* of the pushes */
    u32 parameters;
    struct segment cs;
    unsigned dpl; /* of the code segment */
};

static bool gate_read(struct vcpu *v, u16 selector, const struct segment *s, struct gate *gate)
{
    struct descriptor d;

    if (attr_dpl(s->attr) < v->cpl || attr_dpl(s->attr) < (selector & SELECTOR_RPL))
        return raise_selector(v, VEC_GP, selector);
    if (!descriptor_read(v, selector, long_mode(v), VEC_GP, &d))
        return false;
    if (long_mode(v) && (d.high >> 40 & 0x1f) != 0)
        return raise_selector(v, VEC_GP, selector);
    if ((s->attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    gate->selector = (u16)(d.low >> 16);
    gate->width = long_mode(v) ? 8 : (s->attr & ATTR_TYPE) == TYPE_CALL ? 4 : 2;
    gate->parameters = long_mode(v) ? 0 : (u32)(d.low >> 32 & 0x1f);
    gate->offset = (d.low & 0xffff) | (d.low >> 32 & 0xffff0000) | d.high << 32;
    if (gate->width == 2)
        gate->offset &= 0xffff;
    return true;
}

/* The code segment behind a gate. may_rise: a CALL may go to an inner privilege level. */
static bool gate_target(struct vcpu *v, struct gate *gate, bool may_rise)
{
    struct descriptor d;
    struct segment *cs = &gate->cs;

    if (selector_is_null(gate->selector))
        return RAISE_GP0(v);
    if (!descriptor_read(v, gate->selector, false, VEC_GP, &d))
        return false;
    descriptor_unpack(&d, gate->selector, cs);
    gate->dpl = attr_dpl(cs->attr);
    if (!attr_is_code(cs->attr) || gate->dpl > v->cpl ||
        (!may_rise && !attr_is_conforming_code(cs->attr) && gate->dpl != v->cpl))
        return raise_selector(v, VEC_GP, gate->selector);
    if (long_mode(v) && (cs->attr & (ATTR_L | ATTR_DB)) != ATTR_L)
        return raise_selector(v, VEC_GP, gate->selector);
    if ((cs->attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, gate->selector);
    if (!descriptor_touch(v, gate->selector, &d))
        return false;
    cs->attr |= ATTR_ACCESSED;
    if (attr_is_conforming_code(cs->attr))
        gate->dpl = v->cpl;
    cs->selector = (u16)((gate->selector & 0xfffcu) | gate->dpl);
    return code_offset_check(v, cs, gate->offset);
}

static bool call_same_level(struct vcpu *v, const struct segment *cs, u64 offset, u32 width)
{
    const u64 values[2] = {v->state.seg[SEG_CS].selector, v->next_rip};
    struct stack stack = stack_current(v);

    /* a 64-bit gate entered from compatibility mode pushes on the 64-bit stack */
    if (long_mode(v) && (cs->attr & ATTR_L) != 0 && width == 8) {
        stack.is_64 = true;
        stack.mask = ~(u64)0;
        stack.sp = v->state.reg[REG_RSP];
    }
    if (!stack_build(v, &stack, values, 2, width))
        return false;
    transfer_commit(v, cs, offset, &stack);
    return true;
}

static bool call_inner_level(struct vcpu *v, const struct gate *gate)
{
    const struct stack old = stack_current(v);
    u64 values[4 + 31] = {old.ss.selector, v->state.reg[REG_RSP]};
    u64 parameters[31];
    u32 count = 2;
    struct stack stack;

    if (!stack_from_tss(v, gate->dpl, 0, &stack))
        return false;
    if (gate->parameters != 0 && !stack_read(v, &old, parameters, gate->parameters, gate->width))
        return false;
    for (u32 i = gate->parameters; i-- > 0;)
        values[count++] = parameters[i];
    values[count++] = v->state.seg[SEG_CS].selector;
    values[count++] = v->next_rip;
    if (!stack_build(v, &stack, values, count, gate->width))
        return false;
    transfer_commit(v, &gate->cs, gate->offset, &stack);
    return true;
}

static bool through_gate(struct vcpu *v, u16 selector, const struct segment *s, bool call)
{
    struct gate gate;

    if (!gate_read(v, selector, s, &gate) || !gate_target(v, &gate, call))
        return false;
    if (!call) {
        transfer_commit(v, &gate.cs, gate.offset, NULL);
        return true;
    }
    if (gate.dpl < v->cpl)
        return call_inner_level(v, &gate);
    return call_same_level(v, &gate.cs, gate.offset, gate.width);
}

/* A selector that names a system descriptor: gates and tasks. */
static bool through_system(struct vcpu *v, u16 selector, const struct descriptor *d, bool call)
{
    const enum task_switch how = call ? TASK_CALL : TASK_JMP;
    struct segment s;
    u16 tss = 0;

    descriptor_unpack(d, selector, &s);
    switch (s.attr & ATTR_TYPE) {
    case TYPE_CALL: return through_gate(v, selector, &s, call);
    case TYPE_CALL16:
        if (long_mode(v))
            break;
        return through_gate(v, selector, &s, call);
    case TYPE_TASK_GATE:
    case TYPE_TSS16:
    case TYPE_TSS:
        if (long_mode(v))
            break;
        return task_target(v, selector, &s, d->low, &tss) && task_switch(v, tss, how, false, 0);
    default: break;
    }
    return raise_selector(v, VEC_GP, selector);
}

static bool far_transfer(struct vcpu *v, u16 selector, u64 offset, u32 width, bool call)
{
    struct descriptor d;
    struct segment cs;

    if (selector_is_null(selector))
        return RAISE_GP0(v);
    if (!descriptor_read(v, selector, false, VEC_GP, &d))
        return false;
    if ((d.low & BIT(44)) == 0)
        return through_system(v, selector, &d, call);
    if (!code_segment_check(v, selector, v->cpl, VEC_GP, &cs) || !code_offset_check(v, &cs, offset))
        return false;
    if (call)
        return call_same_level(v, &cs, offset, width);
    transfer_commit(v, &cs, offset, NULL);
    return true;
}

bool far_jump(struct vcpu *v, u16 selector, u64 offset, u32 width)
{
    offset &= width_mask(width);
    if (!protected_mode(v))
        return transfer_real(v, selector, offset);
    return far_transfer(v, selector, offset, width, false);
}

bool far_call(struct vcpu *v, u16 selector, u64 offset, u32 width)
{
    const u64 values[2] = {v->state.seg[SEG_CS].selector, v->next_rip};
    struct stack stack;

    offset &= width_mask(width);
    if (protected_mode(v))
        return far_transfer(v, selector, offset, width, true);
    stack = stack_current(v);
    if (offset > v->state.seg[SEG_CS].limit)
        return RAISE_GP0(v);
    if (!stack_build(v, &stack, values, 2, width))
        return false;
    stack_commit_pointer(v, &stack);
    return transfer_real(v, selector, offset);
}
