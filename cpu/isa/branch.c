/* SPDX-License-Identifier: MIT */
/*
 * Near JMP, CALL, RET, Jcc, JrCXZ and LOOPcc: SDM Vol 2, by mnemonic; far transfers are in far.c.
 * In 64-bit mode the operand size is 64 bits; 66 makes it 16 on AMD's and is ignored on Intel's.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

/* ---- generic ---- */

/* Where a near branch may go: CS limit, or canonical addresses. Sets next_rip, or raises #GP(0). */
static bool branch_to(struct vcpu *v, const struct insn *in, u64 target)
{
    if (mode64(v)) {
        const unsigned unused = (v->state.cr4 & BIT(12)) != 0 ? 7 : 16; /* CR4.LA57 */

        if (in->width == 2)
            target &= 0xffff;
        if ((u64)((i64)(target << unused) >> unused) != target)
            return RAISE_GP0(v);
    } else {
        target &= width_mask(in->width == 2 ? 2 : 4);
        if (target > v->state.seg[SEG_CS].limit)
            return RAISE_GP0(v);
    }
    v->next_rip = target;
    return true;
}

static bool exec_jmp_rel(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return branch_to(v, in, v->next_rip + in->imm);
}

static bool exec_jmp(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return branch_to(v, in, x->val[0]);
}

static bool call_to(struct vcpu *v, const struct insn *in, u64 target)
{
    const u64 back = v->next_rip;

    return branch_to(v, in, target) && stack_push(v, back, in->width);
}

static bool exec_call_rel(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return call_to(v, in, v->next_rip + in->imm);
}

static bool exec_call(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return call_to(v, in, x->val[0]);
}

static bool return_releasing(struct vcpu *v, const struct insn *in, u64 bytes)
{
    u64 target;

    if (!stack_peek(v, 0, in->width, &target) || !branch_to(v, in, target))
        return false;
    stack_adjust(v, (i64)(in->width + bytes));
    return true;
}

static bool exec_ret(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return return_releasing(v, in, 0);
}

static bool exec_ret_imm(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return return_releasing(v, in, in->imm & 0xffff);
}

/* The counter is CX, ECX or RCX by the address size. */
static bool exec_jcxz(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return reg_read(v, REG_RCX, in->addr) != 0 || branch_to(v, in, v->next_rip + in->imm);
}

static bool loop_if(struct vcpu *v, const struct insn *in, bool condition)
{
    const u64 count = (reg_read(v, REG_RCX, in->addr) - 1) & width_mask(in->addr);

    if (count != 0 && condition && !branch_to(v, in, v->next_rip + in->imm))
        return false;
    reg_write(v, REG_RCX, in->addr, count);
    return true;
}

static bool exec_loop(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return loop_if(v, in, true);
}

static bool exec_loope(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return loop_if(v, in, flag_zf(v));
}

static bool exec_loopne(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return loop_if(v, in, !flag_zf(v));
}

/* ---- stamped: flat code segment, w is 8 in 64-bit mode and 4 in 32-bit mode ---- */

/* Certainly canonical; what is not is judged by the generic path. */
#define TARGET_OK(w, target) ((w) == 4 || (u64)((i64)((target) << 16) >> 16) == (target))

/* A direct branch whose link is not made yet, or one that runs alone. */
static NOINLINE const struct insn *branch_unlinked(struct vcpu *v, const struct insn *in,
                                                   u64 target, u32 which)
{
    if (mode64(v) && which == 1 && !TARGET_OK(8, target))
        GENERIC(v, in);
    v->state.reg[REG_RIP] = target;
    if (v->block == NULL)
        return leave_boundary(v);
    return enter_and_link(v, which);
}

/* A link lies in one page, so its target is as canonical as the branch itself. */
#define BRANCH_DIRECT(v, in, target, which)                                                        \
    do {                                                                                           \
        const struct block *own_ = (v)->block;                                                     \
        struct block *next_ = likely(own_ != NULL) ? own_->link[which] : NULL;                     \
        if (unlikely(next_ == NULL))                                                               \
            return branch_unlinked(v, in, target, which);                                          \
        (v)->state.reg[REG_RIP] = (target);                                                        \
        ENTER_BLOCK(v, next_);                                                                     \
    } while (0)

/* The target must have been found right. */
#define BRANCH_INDIRECT(v, target)                                                                 \
    do {                                                                                           \
        (v)->state.reg[REG_RIP] = (target);                                                        \
        if (unlikely((v)->block == NULL))                                                          \
            return leave_boundary(v);                                                              \
        ENTER_AT_RIP(v);                                                                           \
    } while (0)

#define NEXT_RIP(v, in, w) (insn_next_rip(v, in) & width_mask(w))
#define TARGET_RIP(v, in, w) ((insn_next_rip(v, in) + (in)->imm) & width_mask(w))

#define BRANCH_IF(v, in, w, condition)                                                             \
    do {                                                                                           \
        if (condition)                                                                             \
            BRANCH_DIRECT(v, in, TARGET_RIP(v, in, w), 1);                                         \
        BRANCH_DIRECT(v, in, NEXT_RIP(v, in, w), 0);                                               \
    } while (0)

/* 8 or 4 where the stamped forms apply; 0: generic. */
static inline unsigned branch_width(const struct insn *in, u32 mode)
{
    if ((mode & MODE_FLAT_CS) == 0)
        return 0;
    if ((mode & MODE_CODE64) != 0)
        return in->width == 8 ? 8 : 0;
    return in->width == 4 ? 4 : 0;
}

#define BRANCH_PICK(name)                                                                          \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        const unsigned w = branch_width(in, mode);                                                 \
        return w == 8 ? run_##name##8 : w == 4 ? run_##name##4 : NULL;                             \
    }

#define BRANCH_JMP_(w)                                                                             \
    STAMP_FN(run_jmp_rel##w)                                                                       \
    {                                                                                              \
        BRANCH_DIRECT(v, in, TARGET_RIP(v, in, w), 1);                                             \
    }
BRANCH_JMP_(8)
BRANCH_JMP_(4)
BRANCH_PICK(jmp_rel)

/* cc is one hexadecimal digit. */
#define BRANCH_JCC_(cc, w)                                                                         \
    STAMP_FN(run_j##cc##_##w)                                                                      \
    {                                                                                              \
        BRANCH_IF(v, in, w, condition(v, 0x##cc));                                                 \
    }
#define BRANCH_JCC(cc)                                                                             \
    static bool exec_j##cc(struct vcpu *v, const struct insn *in, struct operands *x)              \
    {                                                                                              \
        (void)x;                                                                                   \
        return !condition(v, 0x##cc) || branch_to(v, in, v->next_rip + in->imm);                   \
    }                                                                                              \
    BRANCH_JCC_(cc, 8)                                                                             \
    BRANCH_JCC_(cc, 4)                                                                             \
    BRANCH_PICK(j##cc##_)
BRANCH_JCC(0)
BRANCH_JCC(1)
BRANCH_JCC(2)
BRANCH_JCC(3)
BRANCH_JCC(4)
BRANCH_JCC(5)
BRANCH_JCC(6)
BRANCH_JCC(7)
BRANCH_JCC(8)
BRANCH_JCC(9)
BRANCH_JCC(a)
BRANCH_JCC(b)
BRANCH_JCC(c)
BRANCH_JCC(d)
BRANCH_JCC(e)
BRANCH_JCC(f)

/* LOOP with the counter of the mode's own address size. */
#define BRANCH_LOOP_(w)                                                                            \
    STAMP_FN(run_loop##w)                                                                          \
    {                                                                                              \
        const u64 count = (v->state.reg[REG_RCX] - 1) & width_mask(w);                             \
        const u64 target = TARGET_RIP(v, in, w);                                                   \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        v->state.reg[REG_RCX] = count;                                                             \
        BRANCH_IF(v, in, w, count != 0);                                                           \
    }
BRANCH_LOOP_(8)
BRANCH_LOOP_(4)

static insn_run stamp_loop(const struct insn *in, u32 mode)
{
    if (branch_width(in, mode) != in->addr)
        return NULL;
    return in->addr == 8 ? run_loop8 : run_loop4;
}

/* ---- stamped CALL and RET ---- */

/* The return address goes to the stack; a miss starts over, so this must be the only STAMP_PTR. */
#define BRANCH_PUSH(v, in, w)                                                                      \
    const u64 top_ = STACK_MOVED(v, w, -(w));                                                      \
    const u64 la_ = STACK_LA(v, w, top_);                                                          \
    STAMP_PTR(slot_, wtag, la_, w, ACCESS_WRITE);                                                  \
    store_le(slot_, NEXT_RIP(v, in, w), w);                                                        \
    (v)->state.reg[REG_RSP] = top_

#define BRANCH_CALL_(w)                                                                            \
    STAMP_FN(run_call_rel##w)                                                                      \
    {                                                                                              \
        const u64 target = TARGET_RIP(v, in, w);                                                   \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        BRANCH_PUSH(v, in, w);                                                                     \
        BRANCH_DIRECT(v, in, target, 1);                                                           \
    }                                                                                              \
    STAMP_FN(run_call_r##w)                                                                        \
    {                                                                                              \
        const u64 target = v->state.reg[in->rm];                                                   \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        BRANCH_PUSH(v, in, w);                                                                     \
        BRANCH_INDIRECT(v, target);                                                                \
    }                                                                                              \
    STAMP_FN(run_jmp_r##w)                                                                         \
    {                                                                                              \
        const u64 target = v->state.reg[in->rm];                                                   \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        BRANCH_INDIRECT(v, target);                                                                \
    }                                                                                              \
    STAMP_FN(run_ret##w)                                                                           \
    {                                                                                              \
        const u64 top = v->state.reg[REG_RSP];                                                     \
        const u64 la = STACK_LA(v, w, top);                                                        \
        STAMP_PTR(slot, rtag, la, w, ACCESS_READ);                                                 \
        const u64 target = load_le(slot, w);                                                       \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        v->state.reg[REG_RSP] = STACK_MOVED(v, w, w);                                              \
        BRANCH_INDIRECT(v, target);                                                                \
    }                                                                                              \
    STAMP_FN(run_ret_imm##w)                                                                       \
    {                                                                                              \
        const u64 top = v->state.reg[REG_RSP];                                                     \
        const u64 la = STACK_LA(v, w, top);                                                        \
        STAMP_PTR(slot, rtag, la, w, ACCESS_READ);                                                 \
        const u64 target = load_le(slot, w);                                                       \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        v->state.reg[REG_RSP] = STACK_MOVED(v, w, (w) + (in->imm & 0xffff));                       \
        BRANCH_INDIRECT(v, target);                                                                \
    }
BRANCH_CALL_(8)
BRANCH_CALL_(4)

/* Through memory: tables of function pointers. */
#define BRANCH_MEM_(w, kind)                                                                       \
    STAMP_FN(run_jmp_m##w)                                                                         \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(from, rtag, la, w, ACCESS_READ);                                                 \
        const u64 target = load_le(from, w);                                                       \
        if (unlikely(!TARGET_OK(w, target)))                                                       \
            GENERIC(v, in);                                                                        \
        BRANCH_INDIRECT(v, target);                                                                \
    }                                                                                              \
    STAMP_FN(run_call_m##w)                                                                        \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(from, rtag, la, w, ACCESS_READ);                                                 \
        const u64 target = load_le(from, w);                                                       \
        const u64 top = STACK_MOVED(v, w, -(w));                                                   \
        u8 *slot = mem_write_ptr(v, STACK_LA(v, w, top), w);                                       \
        if (unlikely(slot == NULL || !TARGET_OK(w, target)))                                       \
            GENERIC(v, in);                                                                        \
        store_le(slot, NEXT_RIP(v, in, w), w);                                                     \
        v->state.reg[REG_RSP] = top;                                                               \
        BRANCH_INDIRECT(v, target);                                                                \
    }
BRANCH_MEM_(8, EA_FLAT)
BRANCH_MEM_(4, EA_OPEN)

static insn_run stamp_jmp(const struct insn *in, u32 mode)
{
    const unsigned w = branch_width(in, mode);
    const enum ea_kind kind = ea_kind(in, mode);

    if ((in->prefix & PREFIX_MEM) == 0)
        return w == 8 ? run_jmp_r8 : w == 4 ? run_jmp_r4 : NULL;
    if (w == 8 && kind == EA_FLAT)
        return run_jmp_m8;
    return w == 4 && kind == EA_OPEN ? run_jmp_m4 : NULL;
}

/* The width if both the branch and its push or pop have a stamped form. */
static inline unsigned call_width(const struct insn *in, u32 mode)
{
    return stamp_stack_width(in, mode) != 0 ? branch_width(in, mode) : 0;
}

static insn_run stamp_call(const struct insn *in, u32 mode)
{
    const unsigned w = call_width(in, mode);
    const enum ea_kind kind = ea_kind(in, mode);

    if ((in->prefix & PREFIX_MEM) == 0)
        return w == 8 ? run_call_r8 : w == 4 ? run_call_r4 : NULL;
    if (w == 8 && kind == EA_FLAT)
        return run_call_m8;
    return w == 4 && kind == EA_OPEN ? run_call_m4 : NULL;
}

static insn_run stamp_call_rel(const struct insn *in, u32 mode)
{
    const unsigned w = call_width(in, mode);

    return w == 8 ? run_call_rel8 : w == 4 ? run_call_rel4 : NULL;
}

static insn_run stamp_ret(const struct insn *in, u32 mode)
{
    const unsigned w = call_width(in, mode);

    return w == 8 ? run_ret8 : w == 4 ? run_ret4 : NULL;
}

static insn_run stamp_ret_imm(const struct insn *in, u32 mode)
{
    const unsigned w = call_width(in, mode);

    return w == 8 ? run_ret_imm8 : w == 4 ? run_ret_imm4 : NULL;
}

/* clang-format off */
#define NEAR (BRANCH | FORCE64)
#define CC_ROWS(cc, name, flags) \
    {"j" name, "7" #cc, "Jb", exec_j##cc, NEAR, .flags_read = flags, .stamp = stamp_j##cc##_}, \
    {"j" name, "0f 8" #cc, "Jz", exec_j##cc, NEAR, .flags_read = flags, .stamp = stamp_j##cc##_}

const struct insn_def isa_branch[] = {
    CC_ROWS(0, "o", FLAG_OF),
    CC_ROWS(1, "no", FLAG_OF),
    CC_ROWS(2, "b", FLAG_CF),
    CC_ROWS(3, "ae", FLAG_CF),
    CC_ROWS(4, "e", FLAG_ZF),
    CC_ROWS(5, "ne", FLAG_ZF),
    CC_ROWS(6, "be", FLAG_CF | FLAG_ZF),
    CC_ROWS(7, "a", FLAG_CF | FLAG_ZF),
    CC_ROWS(8, "s", FLAG_SF),
    CC_ROWS(9, "ns", FLAG_SF),
    CC_ROWS(a, "p", FLAG_PF),
    CC_ROWS(b, "np", FLAG_PF),
    CC_ROWS(c, "l", FLAG_SF | FLAG_OF),
    CC_ROWS(d, "ge", FLAG_SF | FLAG_OF),
    CC_ROWS(e, "le", FLAG_SF | FLAG_OF | FLAG_ZF),
    CC_ROWS(f, "g", FLAG_SF | FLAG_OF | FLAG_ZF),
    {"loopne", "e0", "Jb", exec_loopne, NEAR, .flags_read = FLAG_ZF},
    {"loope", "e1", "Jb", exec_loope, NEAR, .flags_read = FLAG_ZF},
    {"loop", "e2", "Jb", exec_loop, NEAR, .stamp = stamp_loop},
    {"jrcxz", "e3", "Jb", exec_jcxz, NEAR},
    {"call", "e8", "Jz", exec_call_rel, NEAR | STACKOP, .stamp = stamp_call_rel},
    {"jmp", "e9", "Jz", exec_jmp_rel, NEAR, .stamp = stamp_jmp_rel},
    {"jmp", "eb", "Jb", exec_jmp_rel, NEAR, .stamp = stamp_jmp_rel},
    {"call", "ff /2", "Ev", exec_call, NEAR | STACKOP, .stamp = stamp_call},
    {"jmp", "ff /4", "Ev", exec_jmp, NEAR, .stamp = stamp_jmp},
    {"ret", "c2", "Iw", exec_ret_imm, NEAR | STACKOP, .stamp = stamp_ret_imm},
    {"ret", "c3", "", exec_ret, NEAR | STACKOP, .stamp = stamp_ret},
    {0},
};
/* clang-format on */
