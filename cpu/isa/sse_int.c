/* SPDX-License-Identifier: MIT */
/*
 * Integer instructions on XMM registers, SSE2 to SSE4.1, and PCMPGTQ: SDM Vol 2B, by mnemonic.
 * Moves are in sse_move.c, string compares in sse_str.c. The lines that MMX and AVX share are in
 * lane_rows.h.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"
#include "cpu/isa/lane_rows.h"
#include "cpu/isa/parts.h"

/* ---- two operands, all rows of lane_rows.h ---- */

#define DEFINE(op, ...)                                                                            \
    EXEC_LANE(op, sem_##op)                                                                        \
    STAMP_V_W(op, sem_##op, 16, 1)
ROWS_0F(DEFINE)
ROWS_0F_HIGH(DEFINE)
ROWS_0F_LOW(DEFINE)
ROWS_0F_PAIR(DEFINE)
ROWS_0F_SHIFT(DEFINE)
ROWS_0F_XMM(DEFINE)
ROWS_0F38(DEFINE)
ROWS_0F38_PAIR(DEFINE)
ROWS_0F38_UNARY(DEFINE)
ROWS_0F38_XMM(DEFINE)
DEFINE(phminposuw, )
DEFINE(pblendvb, )

#define DEFINE_EXTEND(op, opcode, letter, bytes, letter256)                                        \
    EXEC_LANE(op, sem_##op)                                                                        \
    STAMP_V_W(op, sem_##op, bytes, 0)
ROWS_EXTEND(DEFINE_EXTEND)

/* ---- with an immediate ---- */

#define DEFINE_SHIFT_I(op, ...)                                                                    \
    EXEC_LANE_I(op##_i, sem_##op##_i)                                                              \
    STAMP_U_I(op, sem_##op##_i)
ROWS_0F_SHIFT_I(DEFINE_SHIFT_I)
EXEC_LANE_I(psrldq, sem_psrldq)
STAMP_U_I(psrldq, sem_psrldq)
EXEC_LANE_I(pslldq, sem_pslldq)
STAMP_U_I(pslldq, sem_pslldq)

#define DEFINE_I(op)                                                                               \
    EXEC_LANE_I(op, sem_##op)                                                                      \
    STAMP_V_W_I(op, sem_##op, 16, 1)
DEFINE_I(pshufd)
DEFINE_I(pshufhw)
DEFINE_I(pshuflw)
DEFINE_I(palignr)
DEFINE_I(pblendw)
DEFINE_I(mpsadbw)

/* ---- between XMM and general registers ---- */

static bool exec_pmovmskb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = mask_bytes(&x->vec[1], 16);
    return true;
}

STAMP_FN(run_pmovmskb_r)
{
    v->state.reg[in->reg] = mask_bytes(&v->state.ymm[in->rm], 16);
    NEXT(v, in);
}

static insn_run stamp_pmovmskb(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_pmovmskb_r;
}

static bool exec_pinsrb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0].b[in->imm & 15] = (u8)x->val[1];
    return true;
}

static bool exec_pinsrw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0].w[in->imm & 7] = (u16)x->val[1];
    return true;
}

static bool exec_pinsrd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0].d[in->imm & 3] = (u32)x->val[1];
    return true;
}

static bool exec_pinsrq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0].q[in->imm & 1] = x->val[1];
    return true;
}

static bool exec_ptest(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    flags_test(v, &x->vec[0], &x->vec[1], 16, ~(u64)0);
    return true;
}

/* clang-format off */
#define ROW_0F(op, opcode, ...) \
    {#op, "66 0f " opcode " /r", "+Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = F_SSE2, \
     .stamp = stamp_##op##_V_W},
#define ROW_0F_SHIFT_I(op, opcode) \
    {#op, "66 0f " opcode, "+Udq,Ib", exec_##op##_i, SSE, .feature = F_SSE2, \
     .stamp = stamp_##op##_U_I},
#define ROW_0F38(op, opcode) \
    {#op, "66 0f 38 " opcode " /r", "+Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = F_SSSE3, \
     .stamp = stamp_##op##_V_W},
#define ROW_0F38_UNARY(op, opcode) \
    {#op, "66 0f 38 " opcode " /r", "=Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = F_SSSE3, \
     .stamp = stamp_##op##_V_W},
#define ROW_0F38_XMM(op, opcode, needs) \
    {#op, "66 0f 38 " opcode " /r", "+Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = needs, \
     .stamp = stamp_##op##_V_W},
#define ROW_EXTEND(op, opcode, letter, ...) \
    {#op, "66 0f 38 " opcode " /r", "=Vdq,W" letter, exec_##op, SSE, .feature = F_SSE41, \
     .stamp = stamp_##op##_V_W},
#define TEST_FLAGS .flags_written = FLAGS_ARITH

const struct insn_def isa_sse_int[] = {
    ROWS_0F(ROW_0F)
    ROWS_0F_HIGH(ROW_0F)
    ROWS_0F_LOW(ROW_0F)
    ROWS_0F_PAIR(ROW_0F)
    ROWS_0F_SHIFT(ROW_0F)
    ROWS_0F_XMM(ROW_0F)
    ROWS_0F_SHIFT_I(ROW_0F_SHIFT_I)
    {"psrldq", "66 0f 73 /3", "+Udq,Ib", exec_psrldq, SSE, .feature = F_SSE2, .stamp = stamp_psrldq_U_I},
    {"pslldq", "66 0f 73 /7", "+Udq,Ib", exec_pslldq, SSE, .feature = F_SSE2, .stamp = stamp_pslldq_U_I},
    {"pshufd",  "66 0f 70 /r", "=Vdq,Wdq,Ib", exec_pshufd,  SSE | ALIGN16, .feature = F_SSE2, .stamp = stamp_pshufd_V_W_I},
    {"pshufhw", "f3 0f 70 /r", "=Vdq,Wdq,Ib", exec_pshufhw, SSE | ALIGN16, .feature = F_SSE2, .stamp = stamp_pshufhw_V_W_I},
    {"pshuflw", "f2 0f 70 /r", "=Vdq,Wdq,Ib", exec_pshuflw, SSE | ALIGN16, .feature = F_SSE2, .stamp = stamp_pshuflw_V_W_I},
    {"pmovmskb", "66 0f d7 /r", "=Gd,Udq", exec_pmovmskb, SSE, .feature = F_SSE2, .stamp = stamp_pmovmskb},
    {"pinsrw", "66 0f c4 /r", "+Vdq,Mw,Ib", exec_pinsrw, SSE, .feature = F_SSE2},
    {"pinsrw", "66 0f c4 /r", "+Vdq,Rd,Ib", exec_pinsrw, SSE, .feature = F_SSE2},
    {"pextrw", "66 0f c5 /r", "=Gd,Udq,Ib", exec_pextrw, SSE, .feature = F_SSE2},

    ROWS_0F38(ROW_0F38)
    ROWS_0F38_PAIR(ROW_0F38)
    ROWS_0F38_UNARY(ROW_0F38_UNARY)
    ROWS_0F38_XMM(ROW_0F38_XMM)
    ROWS_EXTEND(ROW_EXTEND)
    {"palignr", "66 0f 3a 0f /r", "+Vdq,Wdq,Ib", exec_palignr, SSE | ALIGN16, .feature = F_SSSE3, .stamp = stamp_palignr_V_W_I},

    {"pblendvb",   "66 0f 38 10 /r", "+Vdq,Wdq",    exec_pblendvb,   SSE | ALIGN16, .feature = F_SSE41, .stamp = stamp_pblendvb_V_W},
    {"ptest",      "66 0f 38 17 /r", "Vdq,Wdq",     exec_ptest,      SSE | ALIGN16, TEST_FLAGS, .feature = F_SSE41},
    {"phminposuw", "66 0f 38 41 /r", "=Vdq,Wdq",    exec_phminposuw, SSE | ALIGN16, .feature = F_SSE41, .stamp = stamp_phminposuw_V_W},
    {"pblendw",    "66 0f 3a 0e /r", "+Vdq,Wdq,Ib", exec_pblendw,    SSE | ALIGN16, .feature = F_SSE41, .stamp = stamp_pblendw_V_W_I},
    {"mpsadbw",    "66 0f 3a 42 /r", "+Vdq,Wdq,Ib", exec_mpsadbw,    SSE | ALIGN16, .feature = F_SSE41, .stamp = stamp_mpsadbw_V_W_I},
    {"pextrb", "66 0f 3a 14 /r", "=Mb,Vdq,Ib", exec_pextrb, SSE, .feature = F_SSE41},
    {"pextrb", "66 0f 3a 14 /r", "=Rd,Vdq,Ib", exec_pextrb, SSE, .feature = F_SSE41},
    {"pextrw", "66 0f 3a 15 /r", "=Mw,Vdq,Ib", exec_pextrw, SSE, .feature = F_SSE41},
    {"pextrw", "66 0f 3a 15 /r", "=Rd,Vdq,Ib", exec_pextrw, SSE, .feature = F_SSE41},
    {"pextrd", "66 w0 0f 3a 16 /r", "=Ed,Vdq,Ib", exec_pextrd, SSE, .feature = F_SSE41},
    {"pextrq", "66 rexw 0f 3a 16 /r", "=Eq,Vdq,Ib", exec_pextrq, SSE, .feature = F_SSE41},
    {"pinsrb", "66 0f 3a 20 /r", "+Vdq,Mb,Ib", exec_pinsrb, SSE, .feature = F_SSE41},
    {"pinsrb", "66 0f 3a 20 /r", "+Vdq,Rd,Ib", exec_pinsrb, SSE, .feature = F_SSE41},
    {"pinsrd", "66 w0 0f 3a 22 /r", "+Vdq,Ed,Ib", exec_pinsrd, SSE, .feature = F_SSE41},
    {"pinsrq", "66 rexw 0f 3a 22 /r", "+Vdq,Eq,Ib", exec_pinsrq, SSE, .feature = F_SSE41},
    {0},
};
/* clang-format on */
