/* SPDX-License-Identifier: MIT */
/*
 * VEX forms of the integer instructions on XMM and YMM registers, and the AVX2 shifts by variable
 * counts: SDM Vol 2, by mnemonic. 128 bits are AVX, 256 bits AVX2; both work lane by lane. Moves
 * and permutations are in avx_move.c and avx_perm.c.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"
#include "cpu/isa/lane_rows.h"
#include "cpu/isa/parts.h"

/* ---- two sources, all rows of lane_rows.h ---- */

#define DEFINE(op, ...)                                                                            \
    EXEC_V_H_W(op, sem_##op)                                                                       \
    STAMP_V_H_W(op, sem_##op)
ROWS_0F(DEFINE)
ROWS_0F_HIGH(DEFINE)
ROWS_0F_LOW(DEFINE)
ROWS_0F_PAIR(DEFINE)
ROWS_0F_XMM(DEFINE)
ROWS_0F38(DEFINE)
ROWS_0F38_PAIR(DEFINE)
ROWS_0F38_XMM(DEFINE)
DEFINE(vpsllvd, )
DEFINE(vpsllvq, )
DEFINE(vpsrlvd, )
DEFINE(vpsrlvq, )
DEFINE(vpsravd, )

#define DEFINE_UNARY(op, ...)                                                                      \
    EXEC_VEX_V_W(op, sem_##op)                                                                     \
    STAMP_VEX_V_W(op, sem_##op, 0)
ROWS_0F38_UNARY(DEFINE_UNARY)
EXEC_VEX_V_W(phminposuw, sem_phminposuw)

/* Each lane of the result comes from so many bytes of the source, one after the other. */
#define DEFINE_EXTEND(op, opcode, letter, bytes, letter256)                                        \
    EXEC_VEX_(exec_##op, lane_zero(), lane_load(x->vec[1].b + (bytes)*i_, bytes),                  \
              sem_##op(v, &d_, &s_))
ROWS_EXTEND(DEFINE_EXTEND)

/* ---- shifts: the count is for all lanes ---- */

#define DEFINE_SHIFT(op, ...)                                                                      \
    EXEC_VEX_(exec_##op, lane_get(&x->vec[1], i_), lane_get(&x->vec[2], 0), sem_##op(v, &d_, &s_))
ROWS_0F_SHIFT(DEFINE_SHIFT)

/* Hx,Ux,Ib: the destination is VEX.vvvv. */
#define STAMP_H_U_I_(fn, n, sem)                                                                   \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        union vec out_ = {.q = {0}};                                                               \
        const union lane s_ = lane_zero();                                                         \
        for (unsigned i_ = 0; i_ < (n); i_++) {                                                    \
            union lane d_ = lane_get(&v->state.ymm[in->rm], i_);                                   \
            (void)sem(v, &d_, &s_, in->imm);                                                       \
            lane_put(&out_, i_, &d_);                                                              \
        }                                                                                          \
        v->state.ymm[in->vvvv] = out_;                                                             \
        NEXT(v, in);                                                                               \
    }
#define DEFINE_SHIFT_BY_I(op, sem)                                                                 \
    EXEC_VEX_(exec_##op##_i, lane_get(&x->vec[1], i_), lane_zero(), sem(v, &d_, &s_, in->imm))     \
    STAMP_H_U_I_(run_##op##_h_u_i_1, 1, sem)                                                       \
    STAMP_H_U_I_(run_##op##_h_u_i_2, 2, sem)                                                       \
    static insn_run stamp_##op##_H_U_I(const struct insn *in, u32 mode)                            \
    {                                                                                              \
        (void)mode;                                                                                \
        return in->vex_l ? run_##op##_h_u_i_2 : run_##op##_h_u_i_1;                                \
    }
#define DEFINE_SHIFT_I(op, ...) DEFINE_SHIFT_BY_I(op, sem_##op##_i)
ROWS_0F_SHIFT_I(DEFINE_SHIFT_I)
DEFINE_SHIFT_BY_I(psrldq, sem_psrldq)
DEFINE_SHIFT_BY_I(pslldq, sem_pslldq)

/* ---- with an immediate ---- */

EXEC_VEX_V_W_I(pshufd, sem_pshufd)
EXEC_VEX_V_W_I(pshufhw, sem_pshufhw)
EXEC_VEX_V_W_I(pshuflw, sem_pshuflw)
STAMP_VEX_V_W_I(pshufd, sem_pshufd, 0)
STAMP_VEX_V_W_I(pshufhw, sem_pshufhw, 0)
STAMP_VEX_V_W_I(pshuflw, sem_pshuflw, 0)
EXEC_V_H_W_I(palignr, sem_palignr)
STAMP_V_H_W_I(palignr, sem_palignr)
EXEC_V_H_W_I(pblendw, sem_pblendw)
STAMP_V_H_W_I(pblendw, sem_pblendw)
EXEC_V_H_W_IL(mpsadbw, sem_mpsadbw, 3)

/* Vx,Hx,Wx,Lx */
static bool exec_pblendvb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    for (unsigned i = 0; i < vec_bytes(in); i++)
        x->vec[0].b[i] = (x->vec[3].b[i] & 0x80) != 0 ? x->vec[2].b[i] : x->vec[1].b[i];
    return true;
}

/* ---- between vector and general registers ---- */

static bool exec_pmovmskb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = mask_bytes(&x->vec[1], vec_bytes(in));
    return true;
}

STAMP_FN(run_pmovmskb_1)
{
    v->state.reg[in->reg] = mask_bytes(&v->state.ymm[in->rm], 16);
    NEXT(v, in);
}

STAMP_FN(run_pmovmskb_2)
{
    v->state.reg[in->reg] = mask_bytes(&v->state.ymm[in->rm], 32);
    NEXT(v, in);
}

static insn_run stamp_pmovmskb(const struct insn *in, u32 mode)
{
    (void)mode;
    return in->vex_l ? run_pmovmskb_2 : run_pmovmskb_1;
}

/* Vdq,Hdq,E,Ib: a copy of the second operand with one element replaced. */
static bool exec_pinsrb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0] = x->vec[1];
    x->vec[0].b[in->imm & 15] = (u8)x->val[2];
    return true;
}

static bool exec_pinsrw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0] = x->vec[1];
    x->vec[0].w[in->imm & 7] = (u16)x->val[2];
    return true;
}

static bool exec_pinsrd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0] = x->vec[1];
    x->vec[0].d[in->imm & 3] = (u32)x->val[2];
    return true;
}

static bool exec_pinsrq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->vec[0] = x->vec[1];
    x->vec[0].q[in->imm & 1] = x->val[2];
    return true;
}

static bool exec_ptest(struct vcpu *v, const struct insn *in, struct operands *x)
{
    flags_test(v, &x->vec[0], &x->vec[1], vec_bytes(in), ~(u64)0);
    return true;
}

/* The signs only. */
static bool exec_vtestps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    flags_test(v, &x->vec[0], &x->vec[1], vec_bytes(in), BIT(63) | BIT(31));
    return true;
}

static bool exec_vtestpd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    flags_test(v, &x->vec[0], &x->vec[1], vec_bytes(in), BIT(63));
    return true;
}

/* clang-format off */
#define ROW_V_H_W(name, map_w_opcode, op, needs128, needs256) \
    {name, "vex.128.66." map_w_opcode " /r", "=Vx,Hx,Wx", exec_##op, AVX, .feature = needs128, .stamp = stamp_##op##_V_H_W}, \
    {name, "vex.256.66." map_w_opcode " /r", "=Vx,Hx,Wx", exec_##op, AVX, .feature = needs256, .stamp = stamp_##op##_V_H_W},
#define ROW_0F(op, opcode, ...) ROW_V_H_W("v" #op, "0f.wig " opcode, op, F_AVX, F_AVX2)
#define ROW_0F38(op, opcode) ROW_V_H_W("v" #op, "0f38.wig " opcode, op, F_AVX, F_AVX2)
#define ROW_0F38_XMM(op, opcode, ...) ROW_V_H_W("v" #op, "0f38.wig " opcode, op, F_AVX, F_AVX2)
#define ROW_0F38_UNARY(op, opcode) \
    {"v" #op, "vex.128.66.0f38.wig " opcode " /r", "=Vx,Wx", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W}, \
    {"v" #op, "vex.256.66.0f38.wig " opcode " /r", "=Vx,Wx", exec_##op, AVX, .feature = F_AVX2, .stamp = stamp_##op##_VEX_V_W},
#define ROW_0F_SHIFT(op, opcode, ...) \
    {"v" #op, "vex.128.66.0f.wig " opcode " /r", "=Vx,Hx,Wdq", exec_##op, AVX, .feature = F_AVX}, \
    {"v" #op, "vex.256.66.0f.wig " opcode " /r", "=Vx,Hx,Wdq", exec_##op, AVX, .feature = F_AVX2},
#define ROW_0F_SHIFT_I(op, opcode) \
    {"v" #op, "vex.128.66.0f.wig " opcode, "=Hx,Ux,Ib", exec_##op##_i, AVX, .feature = F_AVX, .stamp = stamp_##op##_H_U_I}, \
    {"v" #op, "vex.256.66.0f.wig " opcode, "=Hx,Ux,Ib", exec_##op##_i, AVX, .feature = F_AVX2, .stamp = stamp_##op##_H_U_I},
#define ROW_EXTEND(op, opcode, letter, bytes, letter256) \
    {"v" #op, "vex.128.66.0f38.wig " opcode " /r", "=Vx,W" letter, exec_##op, AVX, .feature = F_AVX}, \
    {"v" #op, "vex.256.66.0f38.wig " opcode " /r", "=Vx,W" letter256, exec_##op, AVX, .feature = F_AVX2},
#define ROW_V_W_I(op, pp_map_w_opcode) \
    {"v" #op, "vex.128." pp_map_w_opcode " /r", "=Vx,Wx,Ib", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W_I}, \
    {"v" #op, "vex.256." pp_map_w_opcode " /r", "=Vx,Wx,Ib", exec_##op, AVX, .feature = F_AVX2, .stamp = stamp_##op##_VEX_V_W_I}
#define ROW_V_H_W_I(op, opcode) \
    {"v" #op, "vex.128.66.0f3a.wig " opcode " /r", "=Vx,Hx,Wx,Ib", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_V_H_W_I}, \
    {"v" #op, "vex.256.66.0f3a.wig " opcode " /r", "=Vx,Hx,Wx,Ib", exec_##op, AVX, .feature = F_AVX2, .stamp = stamp_##op##_V_H_W_I}
#define TEST_FLAGS .flags_written = FLAGS_ARITH

const struct insn_def isa_avx_int[] = {
    ROWS_0F(ROW_0F)
    ROWS_0F_HIGH(ROW_0F)
    ROWS_0F_LOW(ROW_0F)
    ROWS_0F_PAIR(ROW_0F)
    ROWS_0F_XMM(ROW_0F)
    ROWS_0F_SHIFT(ROW_0F_SHIFT)
    ROWS_0F_SHIFT_I(ROW_0F_SHIFT_I)
    ROW_0F_SHIFT_I(psrldq, "73 /3")
    ROW_0F_SHIFT_I(pslldq, "73 /7")
    ROWS_0F38(ROW_0F38)
    ROWS_0F38_PAIR(ROW_0F38)
    ROWS_0F38_XMM(ROW_0F38_XMM)
    ROWS_0F38_UNARY(ROW_0F38_UNARY)
    ROWS_EXTEND(ROW_EXTEND)
    ROW_V_H_W("vpsrlvd", "0f38.w0 45", vpsrlvd, F_AVX2, F_AVX2)
    ROW_V_H_W("vpsrlvq", "0f38.w1 45", vpsrlvq, F_AVX2, F_AVX2)
    ROW_V_H_W("vpsravd", "0f38.w0 46", vpsravd, F_AVX2, F_AVX2)
    ROW_V_H_W("vpsllvd", "0f38.w0 47", vpsllvd, F_AVX2, F_AVX2)
    ROW_V_H_W("vpsllvq", "0f38.w1 47", vpsllvq, F_AVX2, F_AVX2)
    ROW_V_W_I(pshufd, "66.0f.wig 70"),
    ROW_V_W_I(pshufhw, "f3.0f.wig 70"),
    ROW_V_W_I(pshuflw, "f2.0f.wig 70"),
    ROW_V_H_W_I(palignr, "0f"),
    ROW_V_H_W_I(pblendw, "0e"),
    {"vmpsadbw", "vex.128.66.0f3a.wig 42 /r", "=Vx,Hx,Wx,Ib", exec_mpsadbw, AVX, .feature = F_AVX},
    {"vmpsadbw", "vex.256.66.0f3a.wig 42 /r", "=Vx,Hx,Wx,Ib", exec_mpsadbw, AVX, .feature = F_AVX2},
    {"vpblendvb", "vex.128.66.0f3a.w0 4c /r", "=Vx,Hx,Wx,Lx", exec_pblendvb, AVX, .feature = F_AVX},
    {"vpblendvb", "vex.256.66.0f3a.w0 4c /r", "=Vx,Hx,Wx,Lx", exec_pblendvb, AVX, .feature = F_AVX2},
    {"vphminposuw", "vex.128.66.0f38.wig 41 /r", "=Vdq,Wdq", exec_phminposuw, AVX, .feature = F_AVX},
    {"vpmovmskb", "vex.128.66.0f.wig d7 /r", "=Gd,Ux", exec_pmovmskb, AVX, .feature = F_AVX, .stamp = stamp_pmovmskb},
    {"vpmovmskb", "vex.256.66.0f.wig d7 /r", "=Gd,Ux", exec_pmovmskb, AVX, .feature = F_AVX2, .stamp = stamp_pmovmskb},
    {"vptest", "vex.128.66.0f38.wig 17 /r", "Vx,Wx", exec_ptest, AVX, TEST_FLAGS, .feature = F_AVX},
    {"vptest", "vex.256.66.0f38.wig 17 /r", "Vx,Wx", exec_ptest, AVX, TEST_FLAGS, .feature = F_AVX},
    {"vtestps", "vex.128.66.0f38.w0 0e /r", "Vx,Wx", exec_vtestps, AVX, TEST_FLAGS, .feature = F_AVX},
    {"vtestps", "vex.256.66.0f38.w0 0e /r", "Vx,Wx", exec_vtestps, AVX, TEST_FLAGS, .feature = F_AVX},
    {"vtestpd", "vex.128.66.0f38.w0 0f /r", "Vx,Wx", exec_vtestpd, AVX, TEST_FLAGS, .feature = F_AVX},
    {"vtestpd", "vex.256.66.0f38.w0 0f /r", "Vx,Wx", exec_vtestpd, AVX, TEST_FLAGS, .feature = F_AVX},
    {"vpinsrw", "vex.128.66.0f.wig c4 /r", "=Vdq,Hdq,Mw,Ib", exec_pinsrw, AVX, .feature = F_AVX},
    {"vpinsrw", "vex.128.66.0f.wig c4 /r", "=Vdq,Hdq,Rd,Ib", exec_pinsrw, AVX, .feature = F_AVX},
    {"vpinsrb", "vex.128.66.0f3a.wig 20 /r", "=Vdq,Hdq,Mb,Ib", exec_pinsrb, AVX, .feature = F_AVX},
    {"vpinsrb", "vex.128.66.0f3a.wig 20 /r", "=Vdq,Hdq,Rd,Ib", exec_pinsrb, AVX, .feature = F_AVX},
    {"vpinsrd", "vex.128.66.0f3a.w0 22 /r", "=Vdq,Hdq,Ed,Ib", exec_pinsrd, AVX, .feature = F_AVX},
    {"vpinsrq", "vex.128.66.0f3a.w1 22 /r", "=Vdq,Hdq,Eq,Ib", exec_pinsrq, AVX, .feature = F_AVX},
    {"vpextrw", "vex.128.66.0f.wig c5 /r", "=Gd,Udq,Ib", exec_pextrw, AVX, .feature = F_AVX},
    {"vpextrb", "vex.128.66.0f3a.wig 14 /r", "=Mb,Vdq,Ib", exec_pextrb, AVX, .feature = F_AVX},
    {"vpextrb", "vex.128.66.0f3a.wig 14 /r", "=Rd,Vdq,Ib", exec_pextrb, AVX, .feature = F_AVX},
    {"vpextrw", "vex.128.66.0f3a.wig 15 /r", "=Mw,Vdq,Ib", exec_pextrw, AVX, .feature = F_AVX},
    {"vpextrw", "vex.128.66.0f3a.wig 15 /r", "=Rd,Vdq,Ib", exec_pextrw, AVX, .feature = F_AVX},
    {"vpextrd", "vex.128.66.0f3a.w0 16 /r", "=Ed,Vdq,Ib", exec_pextrd, AVX, .feature = F_AVX},
    {"vpextrq", "vex.128.66.0f3a.w1 16 /r", "=Eq,Vdq,Ib", exec_pextrq, AVX, .feature = F_AVX},
    {0},
};
/* clang-format on */
