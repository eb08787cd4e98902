/* SPDX-License-Identifier: MIT */
/*
 * PUSH, POP, PUSHA, POPA, ENTER, LEAVE: SDM Vol 2, by mnemonic, and Vol 1 6.2. Pushes and pops of
 * segment registers and of the flags are with the system instructions (far.c, system.c).
 *
 * What writes several slots checks them all first, so a fault leaves memory and registers
 * unchanged.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

/* Stack size in bytes: SS.B, or 64-bit mode. SDM Vol 1 6.2.3. */
static u64 stack_mask(const struct vcpu *v)
{
    return width_mask(mode64(v) ? 8 : (v->mode & MODE_STACK32) != 0 ? 4 : 2);
}

/* Write rSP or another register in the stack size. */
static void stack_write(struct vcpu *v, u8 reg, u64 value)
{
    const u64 mask = stack_mask(v);

    v->state.reg[reg] = (v->state.reg[reg] & ~mask) | (value & mask);
}

/* Linear address of the slot at offset `at`, probed for writing. */
static bool slot_probe(struct vcpu *v, u64 at, u32 width, u64 *la)
{
    return seg_linear(v, SEG_SS, at & stack_mask(v), width, ACCESS_WRITE, la) &&
           mem_probe_write(v, *la, width, ACCESS_STACK);
}

static bool slot_load(struct vcpu *v, u64 at, u32 width, u64 *value)
{
    u64 la;

    return seg_linear(v, SEG_SS, at & stack_mask(v), width, ACCESS_READ, &la) &&
           mem_load(v, la, width, ACCESS_STACK, value);
}

static bool exec_push(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return stack_push(v, x->val[0] & width_mask(in->width), in->width);
}

static bool exec_pop(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return stack_pop(v, &x->val[0], in->width);
}

/* The destination's address is computed with the RSP after the pop: SDM Vol 2B, POP. */
static bool exec_pop_mem(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 rsp = v->state.reg[REG_RSP];
    u64 value, offset, la;

    (void)x;
    if (!stack_peek(v, 0, in->width, &value))
        return false;
    stack_adjust(v, in->width);
    offset = insn_offset(v, in);
    if (seg_linear(v, (enum seg)in->seg, offset, in->width, ACCESS_WRITE, &la) &&
        mem_store(v, la, in->width, segment_flag(in), value))
        return true;
    v->state.reg[REG_RSP] = rsp;
    return false;
}

static bool exec_pusha(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 top = stack_pointer(v);
    const u32 w = in->width;
    u64 la[8];

    (void)x;
    for (u32 i = 0; i < 8; i++) {
        if (!slot_probe(v, top - (u64)(i + 1) * w, w, &la[i]))
            return false;
    }
    for (u32 i = 0; i < 8; i++) { /* rSP is pushed as it was before */
        if (!mem_store(v, la[i], w, ACCESS_STACK, reg_read(v, (u8)i, w)))
            return false;
    }
    stack_adjust(v, -(i64)(8 * w));
    return true;
}

static bool exec_popa(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 value[8];

    (void)x;
    for (u32 i = 0; i < 8; i++) {
        if (!stack_peek(v, i, in->width, &value[i]))
            return false;
    }
    stack_adjust(v, 8 * in->width);
    for (u32 i = 0; i < 8; i++) {
        if (7 - i != REG_RSP)
            reg_write(v, (u8)(7 - i), in->width, value[i]);
    }
    return true;
}

/*
 * ENTER: push rBP, copy level - 1 frame pointers from the caller's frame, push the new frame
 * pointer, make room. The final rSP must be writable too. SDM Vol 2A, ENTER.
 */
static bool exec_enter(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 w = in->width;
    const u32 level = in->imm2 & 31;
    const u64 frame = stack_pointer(v) - w;
    const u64 old = v->state.reg[REG_RBP];
    const u64 size = in->imm & 0xffff;
    const u64 bottom = frame - (u64)level * w - size;
    /* the part of rSP above the stack size goes along */
    const u64 pointer = (v->state.reg[REG_RSP] & ~stack_mask(v)) | (frame & stack_mask(v));
    u64 la[32], value;

    (void)x;
    for (u32 i = 0; i <= level; i++) {
        if (!slot_probe(v, frame - (u64)i * w, w, &la[i]))
            return false;
    }
    for (u32 i = 1; i < level; i++) {
        if (!slot_load(v, old - (u64)i * w, w, &value))
            return false;
    }
    if (!slot_probe(v, bottom, w, &value) || !mem_store(v, la[0], w, ACCESS_STACK, old))
        return false;
    for (u32 i = 1; i < level; i++) {
        if (!slot_load(v, old - (u64)i * w, w, &value) ||
            !mem_store(v, la[i], w, ACCESS_STACK, value))
            return false;
    }
    if (level > 0 && !mem_store(v, la[level], w, ACCESS_STACK, pointer))
        return false;
    reg_write(v, REG_RBP, w, pointer);
    stack_write(v, REG_RSP, bottom);
    return true;
}

static bool exec_leave(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 frame = v->state.reg[REG_RBP];
    u64 value;

    (void)x;
    if (!slot_load(v, frame, in->width, &value))
        return false;
    stack_write(v, REG_RSP, frame + in->width);
    reg_write(v, REG_RBP, in->width, value);
    return true;
}

/* ---- stamped: 8-byte slots in 64-bit mode, 4-byte slots on an open 32-bit stack ---- */

#define PUSH_(fn, w, value)                                                                        \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 top = STACK_MOVED(v, w, -(w));                                                   \
        const u64 la = STACK_LA(v, w, top);                                                        \
        STAMP_PTR(p, wtag, la, w, ACCESS_WRITE);                                                   \
        store_le(p, value, w);                                                                     \
        v->state.reg[REG_RSP] = top;                                                               \
        NEXT(v, in);                                                                               \
    }
PUSH_(run_push_r8, 8, v->state.reg[in->rm])
PUSH_(run_push_r4, 4, v->state.reg[in->rm])
PUSH_(run_push_i8, 8, in->imm)
PUSH_(run_push_i4, 4, in->imm)

/* POP rSP ends with the value popped. */
#define POP_(w)                                                                                    \
    STAMP_FN(run_pop_r##w)                                                                         \
    {                                                                                              \
        const u64 top = v->state.reg[REG_RSP];                                                     \
        const u64 la = STACK_LA(v, w, top);                                                        \
        STAMP_PTR(p, rtag, la, w, ACCESS_READ);                                                    \
        const u64 value = load_le(p, w);                                                           \
        v->state.reg[REG_RSP] = STACK_MOVED(v, w, w);                                              \
        v->state.reg[in->rm] = value;                                                              \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_leave##w)                                                                         \
    {                                                                                              \
        const u64 frame = v->state.reg[REG_RBP];                                                   \
        const u64 la = STACK_LA(v, w, frame);                                                      \
        STAMP_PTR(p, rtag, la, w, ACCESS_READ);                                                    \
        v->state.reg[REG_RBP] = load_le(p, w);                                                     \
        v->state.reg[REG_RSP] = (frame + (w)) & width_mask(w);                                     \
        NEXT(v, in);                                                                               \
    }
POP_(8)
POP_(4)

static insn_run stamp_push_r(const struct insn *in, u32 mode)
{
    const unsigned w = stamp_stack_width(in, mode);

    if (w == 0 || (in->prefix & PREFIX_MEM) != 0)
        return NULL;
    return w == 8 ? run_push_r8 : run_push_r4;
}

static insn_run stamp_push_i(const struct insn *in, u32 mode)
{
    const unsigned w = stamp_stack_width(in, mode);

    return w == 8 ? run_push_i8 : w == 4 ? run_push_i4 : NULL;
}

static insn_run stamp_pop_r(const struct insn *in, u32 mode)
{
    const unsigned w = stamp_stack_width(in, mode);

    return w == 8 ? run_pop_r8 : w == 4 ? run_pop_r4 : NULL;
}

static insn_run stamp_leave(const struct insn *in, u32 mode)
{
    const unsigned w = stamp_stack_width(in, mode);

    return w == 8 ? run_leave8 : w == 4 ? run_leave4 : NULL;
}

/*
 * PUSH of a memory operand. The second access must not start the handler over: it might have
 * evicted the first one's soft-TLB entry, and so on forever.
 */
#define PUSH_M_(w, kind)                                                                           \
    STAMP_FN(run_push_m##w)                                                                        \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(from, rtag, la, w, ACCESS_READ);                                                 \
        const u64 top = STACK_MOVED(v, w, -(w));                                                   \
        const u64 to_la = STACK_LA(v, w, top);                                                     \
        u8 *to = mem_write_ptr(v, to_la, w);                                                       \
        if (unlikely(to == NULL))                                                                  \
            GENERIC(v, in);                                                                        \
        store_le(to, load_le(from, w), w);                                                         \
        v->state.reg[REG_RSP] = top;                                                               \
        NEXT(v, in);                                                                               \
    }
PUSH_M_(8, EA_FLAT)
PUSH_M_(4, EA_OPEN)

static insn_run stamp_push_e(const struct insn *in, u32 mode)
{
    const unsigned w = stamp_stack_width(in, mode);
    const enum ea_kind kind = ea_kind(in, mode);

    if ((in->prefix & PREFIX_MEM) == 0)
        return stamp_push_r(in, mode);
    if (w == 8 && kind == EA_FLAT)
        return run_push_m8;
    return w == 4 && kind == EA_OPEN ? run_push_m4 : NULL;
}

/* clang-format off */
#define STACK (STACKOP | DEF64)

const struct insn_def isa_stack[] = {
    {"push", "50+r", "Zv", exec_push, STACK, .stamp = stamp_push_r},
    {"push", "68", "Iz", exec_push, STACK, .stamp = stamp_push_i},
    {"push", "6a", "Is", exec_push, STACK, .stamp = stamp_push_i},
    {"push", "ff /6", "Ev", exec_push, STACK, .stamp = stamp_push_e},
    {"pop", "58+r", "=Zv", exec_pop, STACK, .stamp = stamp_pop_r},
    {"pop", "8f /0", "=Rv", exec_pop, STACK, .stamp = stamp_pop_r},
    {"pop", "8f /0", "M", exec_pop_mem, STACK | MEM_DST_NOPROBE},
    {"pusha", "60", "", exec_pusha, STACKOP | NO64},
    {"popa", "61", "", exec_popa, STACKOP | NO64},
    {"enter", "c8", "Iw,Ib", exec_enter, STACK},
    {"leave", "c9", "", exec_leave, STACK, .stamp = stamp_leave},
    {0},
};
/* clang-format on */
