/* SPDX-License-Identifier: MIT */
/*
 * MMX registers: the MMX instructions and what SSE, SSE2 and SSSE3 added to them, but for
 * conversions to floating point. SDM Vol 1 chapter 9, Vol 2 by mnemonic. An MMX operand is the low
 * half of a 128-bit lane (lane_int.h) with zeros above, unless noted.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"
#include "cpu/isa/lane_rows.h"
#include "cpu/isa/masked.h"

enum { FSW_TOP = 7 << 11 };

static ALWAYS_INLINE union lane lane_of(u64 low, u64 high)
{
    return (union lane){.v = {low, high}};
}

#define EXEC_MMX_(op, first, second, half, call)                                                   \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        union lane d_ = first;                                                                     \
        const union lane s_ = second;                                                              \
        (void)in;                                                                                  \
        (void)call; /* none of these fails */                                                      \
        x->val[0] = d_.q[half];                                                                    \
        return true;                                                                               \
    }

#define DEFINE(op, ...)                                                                            \
    EXEC_MMX_(op, lane_of(x->val[0], 0), lane_of(x->val[1], 0), 0, sem_##op(v, &d_, &s_))
#define DEFINE_HIGH(op, ...)                                                                       \
    EXEC_MMX_(op, lane_of(0, x->val[0]), lane_of(0, x->val[1]), 1, sem_##op(v, &d_, &s_))
#define DEFINE_PAIR(op, ...)                                                                       \
    EXEC_MMX_(op, lane_of(x->val[0], x->val[1]), lane_zero(), 0, sem_##op(v, &d_, &s_))
#define DEFINE_SHIFT_I(op, ...)                                                                    \
    EXEC_MMX_(op##_i, lane_of(x->val[0], 0), lane_zero(), 0, sem_##op##_i(v, &d_, &s_, in->imm))

ROWS_0F(DEFINE)
ROWS_0F_LOW(DEFINE)
ROWS_0F_SHIFT(DEFINE)
ROWS_0F38(DEFINE)
ROWS_0F38_UNARY(DEFINE)
ROWS_0F_HIGH(DEFINE_HIGH)
ROWS_0F_PAIR(DEFINE_PAIR)
ROWS_0F38_PAIR(DEFINE_PAIR)
ROWS_0F_SHIFT_I(DEFINE_SHIFT_I)

/* Selectors have three bits here. */
EXEC_MMX_(pshufb, lane_of(x->val[0], 0), lane_of(x->val[1] & 0x8787878787878787, 0), 0,
          sem_pshufb(v, &d_, &s_))
EXEC_MMX_(pshufw, lane_zero(), lane_of(x->val[1], 0), 0, sem_pshuflw(v, &d_, &s_, in->imm))
/* Eight bytes out of destination:source. */
EXEC_MMX_(palignr, lane_of(x->val[1], x->val[0]), lane_zero(), 0, sem_psrldq(v, &d_, &s_, in->imm))

/* MOVD, MOVQ, MOVNTQ: values are already zero-extended. */
static bool exec_move(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = x->val[1];
    return true;
}

static bool exec_movq2dq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0] = (union vec){.q = {x->val[1]}};
    return true;
}

static bool exec_movdq2q(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = x->vec[1].q[0];
    return true;
}

static u32 sign_mask(u64 value)
{
    return mask_bytes(&(union vec){.q = {value}}, 8);
}

static bool exec_pmovmskb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = sign_mask(x->val[1]);
    return true;
}

static bool exec_pinsrw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned low = 16 * (unsigned)(in->imm & 3);

    (void)v;
    x->val[0] = bits_set(x->val[0], low + 15, low, x->val[1]);
    return true;
}

static bool exec_pextrw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->val[1] >> 16 * (in->imm & 3) & 0xffff;
    return true;
}

static bool exec_maskmovq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return masked_store(v, in, v->state.reg[REG_RDI], (const u8 *)&x->val[0], 8, 1,
                        sign_mask(x->val[1]));
}

/* All x87 registers empty, TOP 0: SDM Vol 3A table 12-1. */
static bool exec_emms(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    v->state.fpu.ftw = 0;
    v->state.fpu.fsw &= (u16)~FSW_TOP;
    return true;
}

/* clang-format off */
#define ROW_0F(op, opcode, needs) \
    {#op, "np 0f " opcode " /r", "+Pq,Qq", exec_##op, MMX, .feature = needs},
#define ROW_0F_LOW(op, opcode, needs) \
    {#op, "np 0f " opcode " /r", "+Pq,Qd", exec_##op, MMX, .feature = needs},
#define ROW_0F_SHIFT_I(op, opcode) \
    {#op, "np 0f " opcode, "+Nq,Ib", exec_##op##_i, MMX, .feature = F_MMX},
#define ROW_0F38(op, opcode) \
    {#op, "np 0f 38 " opcode " /r", "+Pq,Qq", exec_##op, MMX, .feature = F_SSSE3},
#define ROW_0F38_UNARY(op, opcode) \
    {#op, "np 0f 38 " opcode " /r", "=Pq,Qq", exec_##op, MMX, .feature = F_SSSE3},

const struct insn_def isa_mmx[] = {
    ROWS_0F(ROW_0F)
    ROWS_0F_HIGH(ROW_0F)
    ROWS_0F_PAIR(ROW_0F)
    ROWS_0F_SHIFT(ROW_0F)
    ROWS_0F_LOW(ROW_0F_LOW)
    ROWS_0F_SHIFT_I(ROW_0F_SHIFT_I)
    ROWS_0F38(ROW_0F38)
    ROWS_0F38_PAIR(ROW_0F38)
    ROWS_0F38_UNARY(ROW_0F38_UNARY)
    {"pshufb",   "np 0f 38 00 /r", "+Pq,Qq", exec_pshufb, MMX, .feature = F_SSSE3},
    {"palignr",  "np 0f 3a 0f /r", "+Pq,Qq,Ib", exec_palignr, MMX, .feature = F_SSSE3},
    {"pshufw",   "np 0f 70 /r", "=Pq,Qq,Ib", exec_pshufw, MMX, .feature = F_SSE},
    {"pinsrw",   "np 0f c4 /r", "+Pq,Mw,Ib", exec_pinsrw, MMX, .feature = F_SSE},
    {"pinsrw",   "np 0f c4 /r", "+Pq,Rd,Ib", exec_pinsrw, MMX, .feature = F_SSE},
    {"pextrw",   "np 0f c5 /r", "=Gd,Nq,Ib", exec_pextrw, MMX, .feature = F_SSE},
    {"pmovmskb", "np 0f d7 /r", "=Gd,Nq", exec_pmovmskb, MMX, .feature = F_SSE},
    {"movd", "np w0 0f 6e /r", "=Pq,Ed", exec_move, MMX, .feature = F_MMX},
    {"movq", "np rexw 0f 6e /r", "=Pq,Eq", exec_move, MMX, .feature = F_MMX},
    {"movd", "np w0 0f 7e /r", "=Ed,Pq", exec_move, MMX, .feature = F_MMX},
    {"movq", "np rexw 0f 7e /r", "=Eq,Pq", exec_move, MMX, .feature = F_MMX},
    {"movq", "np 0f 6f /r", "=Pq,Qq", exec_move, MMX, .feature = F_MMX},
    {"movq", "np 0f 7f /r", "=Qq,Pq", exec_move, MMX, .feature = F_MMX},
    {"movntq", "np 0f e7 /r", "=Mq,Pq", exec_move, MMX, .feature = F_SSE},
    {"maskmovq", "np 0f f7 /r", "Pq,Nq", exec_maskmovq, MMX, .feature = F_SSE},
    {"movq2dq", "f3 0f d6 /r", "=Vdq,Nq", exec_movq2dq, MMX | SSE, .feature = F_SSE2},
    {"movdq2q", "f2 0f d6 /r", "=Pq,Udq", exec_movdq2q, MMX | SSE, .feature = F_SSE2},
    {"emms", "np 0f 77", "", exec_emms, MMX, .feature = F_MMX},
    {0},
};
/* clang-format on */
