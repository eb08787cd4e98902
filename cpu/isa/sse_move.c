/* SPDX-License-Identifier: MIT */
/*
 * Moves, logic, shuffles and blends on XMM registers, those with floating-point names too: they
 * look at no value. SDM Vol 2, by mnemonic. Non-temporal hints change nothing here: memory is
 * coherent.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"
#include "cpu/isa/lane_move.h"
#include "cpu/isa/masked.h"
#include "cpu/isa/parts.h"

/* ---- whole registers ---- */

EXEC_LANE(copy, sem_copy)
STAMP_V_W(aligned, sem_copy, 16, 1)
STAMP_V_W(unaligned, sem_copy, 16, 0)
STAMP_W_V(aligned, 16, 1)
STAMP_W_V(unaligned, 16, 0)

/* ---- parts of a register ---- */

static bool exec_movss_load(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    if (in->prefix & PREFIX_MEM)
        x->vec[0] = x->vec[1];
    else
        x->vec[0].d[0] = x->vec[1].d[0];
    return true;
}

static bool exec_movsd_load(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    if (in->prefix & PREFIX_MEM)
        x->vec[0] = x->vec[1];
    else
        x->vec[0].q[0] = x->vec[1].q[0];
    return true;
}

/* Stores are "=W": the old destination is read here, and only if it is a register. */
static bool exec_movss_store(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if ((in->prefix & PREFIX_MEM) == 0)
        x->vec[0] = v->state.ymm[in->rm];
    x->vec[0].d[0] = x->vec[1].d[0];
    return true;
}

static bool exec_movsd_store(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if ((in->prefix & PREFIX_MEM) == 0)
        x->vec[0] = v->state.ymm[in->rm];
    x->vec[0].q[0] = x->vec[1].q[0];
    return true;
}

STAMP_V_W_2(movss, sem_low_dword, sem_copy, 4, 0)
STAMP_V_W_2(movsd, sem_low_qword, sem_copy, 8, 0)
STAMP_W_V(movss, 4, 0)
STAMP_W_V(movsd, 8, 0)

EXEC_LANE(movq, sem_low_qword_only)
STAMP_V_W(movq, sem_low_qword_only, 8, 0)

EXEC_LANE(movlhps, sem_high_from_low)
EXEC_LANE(movhlps, sem_low_from_high)
STAMP_V_W_2(movlps, sem_low_from_high, sem_low_qword, 8, 0)
STAMP_V_W(movhps, sem_high_from_low, 8, 0)

static bool exec_movlps_load(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0].q[0] = x->val[1];
    return true;
}

static bool exec_movhps_load(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0].q[1] = x->val[1];
    return true;
}

/* ---- to and from general registers ---- */

#define STAMP_MOVD(op, size)                                                                       \
    STAMP_FN(run_##op##_v_e_r)                                                                     \
    {                                                                                              \
        const union lane lane = {.v = {reg_read(v, in->rm, size), 0}};                             \
        lane_put(&v->state.ymm[in->reg], 0, &lane);                                                \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_##op##_e_v_r)                                                                     \
    {                                                                                              \
        reg_write(v, in->rm, size, v->state.ymm[in->reg].q[0]);                                    \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_LANE_M_(run_##op##_v_e_f, size, 0, EA_FLAT, sem_copy(v, &d_, &s_))                       \
    STAMP_LANE_M_(run_##op##_v_e_o, size, 0, EA_OPEN, sem_copy(v, &d_, &s_))                       \
    STAMP_LANE_STORE_(run_##op##_e_v_f, size, 0, EA_FLAT)                                          \
    STAMP_LANE_STORE_(run_##op##_e_v_o, size, 0, EA_OPEN)                                          \
    STAMP_LANE_PICK_(stamp_##op##_V_E, run_##op##_v_e_r, run_##op##_v_e_f, run_##op##_v_e_o)       \
    STAMP_LANE_PICK_(stamp_##op##_E_V, run_##op##_e_v_r, run_##op##_e_v_f, run_##op##_e_v_o)
STAMP_MOVD(movd, 4)
STAMP_MOVD(movq_gpr, 8)

static bool exec_movmskps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = mask_dwords(&x->vec[1], 16);
    return true;
}

static bool exec_movmskpd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = mask_qwords(&x->vec[1], 16);
    return true;
}

static bool exec_extractps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->vec[1].d[in->imm & 3];
    return true;
}

static bool exec_movnti(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = x->val[1];
    return true;
}

/* ---- logic, shuffles, blends ---- */

#define DEFINE(op, sem)                                                                            \
    EXEC_LANE(op, sem)                                                                             \
    STAMP_V_W(op, sem, 16, 1)
#define DEFINE_I(op)                                                                               \
    EXEC_LANE_I(op, sem_##op)                                                                      \
    STAMP_V_W_I(op, sem_##op, 16, 1)

DEFINE(and, sem_pand)
DEFINE(andn, sem_pandn)
DEFINE(or, sem_por)
DEFINE(xor, sem_pxor)
DEFINE(unpcklps, sem_punpckldq)
DEFINE(unpckhps, sem_punpckhdq)
DEFINE(unpcklpd, sem_punpcklqdq)
DEFINE(unpckhpd, sem_punpckhqdq)
DEFINE(movsldup, sem_movsldup)
DEFINE(movshdup, sem_movshdup)
DEFINE(blendvps, sem_blendvps)
DEFINE(blendvpd, sem_blendvpd)
DEFINE_I(shufps)
DEFINE_I(shufpd)
DEFINE_I(blendps)
DEFINE_I(blendpd)
EXEC_LANE(movddup, sem_movddup)
STAMP_V_W(movddup, sem_movddup, 8, 0)

static bool exec_insertps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned from = (in->prefix & PREFIX_MEM) ? 0 : in->imm >> 6 & 3;
    union lane d = lane_get(&x->vec[0], 0);

    (void)v;
    lane_insertps(&d, x->vec[1].d[from], in->imm);
    lane_put(&x->vec[0], 0, &d);
    return true;
}

static bool exec_maskmovdqu(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return masked_store(v, in, v->state.reg[REG_RDI], x->vec[0].b, 16, 1,
                        mask_bytes(&x->vec[1], 16));
}

/* clang-format off */
#define LOAD(name, encoding, needs) \
    {name, encoding " /r", "=Vdq,Wdq", exec_copy, SSE, .feature = needs, .stamp = stamp_unaligned_V_W}
#define STORE(name, encoding, needs) \
    {name, encoding " /r", "=Wdq,Vdq", exec_copy, SSE, .feature = needs, .stamp = stamp_unaligned_W_V}
#define LOAD_A(name, encoding, needs) \
    {name, encoding " /r", "=Vdq,Wdq", exec_copy, SSE | ALIGN16, .feature = needs, .stamp = stamp_aligned_V_W}
#define STORE_A(name, encoding, needs) \
    {name, encoding " /r", "=Wdq,Vdq", exec_copy, SSE | ALIGN16, .feature = needs, .stamp = stamp_aligned_W_V}
#define STORE_NT(name, encoding, needs) \
    {name, encoding " /r", "=Mdq,Vdq", exec_copy, SSE | ALIGN16, .feature = needs, .stamp = stamp_aligned_W_V}
#define BINARY(name, encoding, op, needs) \
    {name, encoding " /r", "+Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = needs, .stamp = stamp_##op##_V_W}
#define BINARY_I(name, encoding, op, needs) \
    {name, encoding " /r", "+Vdq,Wdq,Ib", exec_##op, SSE | ALIGN16, .feature = needs, .stamp = stamp_##op##_V_W_I}

const struct insn_def isa_sse_move[] = {
    LOAD("movups", "np 0f 10", F_SSE),
    LOAD("movupd", "66 0f 10", F_SSE2),
    STORE("movups", "np 0f 11", F_SSE),
    STORE("movupd", "66 0f 11", F_SSE2),
    LOAD_A("movaps", "np 0f 28", F_SSE),
    LOAD_A("movapd", "66 0f 28", F_SSE2),
    STORE_A("movaps", "np 0f 29", F_SSE),
    STORE_A("movapd", "66 0f 29", F_SSE2),
    LOAD_A("movdqa", "66 0f 6f", F_SSE2),
    LOAD("movdqu", "f3 0f 6f", F_SSE2),
    STORE_A("movdqa", "66 0f 7f", F_SSE2),
    STORE("movdqu", "f3 0f 7f", F_SSE2),
    STORE_NT("movntps", "np 0f 2b", F_SSE),
    STORE_NT("movntpd", "66 0f 2b", F_SSE2),
    STORE_NT("movntdq", "66 0f e7", F_SSE2),
    {"movntdqa", "66 0f 38 2a /r", "=Vdq,Mdq", exec_copy, SSE | ALIGN16, .feature = F_SSE41, .stamp = stamp_aligned_V_W},
    {"lddqu", "f2 0f f0 /r", "=Vdq,Mdq", exec_copy, SSE, .feature = F_SSE3, .stamp = stamp_unaligned_V_W},
    {"maskmovdqu", "66 0f f7 /r", "Vdq,Udq", exec_maskmovdqu, SSE, .feature = F_SSE2},
    {"movnti", "np 0f c3 /r", "=My,Gy", exec_movnti, 0, .feature = F_SSE2},

    {"movss", "f3 0f 10 /r", "+Vdq,Wd", exec_movss_load, SSE, .feature = F_SSE, .stamp = stamp_movss_V_W},
    {"movss", "f3 0f 11 /r", "=Wd,Vdq", exec_movss_store, SSE, .feature = F_SSE, .stamp = stamp_movss_W_V},
    {"movsd", "f2 0f 10 /r", "+Vdq,Wq", exec_movsd_load, SSE, .feature = F_SSE2, .stamp = stamp_movsd_V_W},
    {"movsd", "f2 0f 11 /r", "=Wq,Vdq", exec_movsd_store, SSE, .feature = F_SSE2, .stamp = stamp_movsd_W_V},
    {"movq", "f3 0f 7e /r", "=Vdq,Wq", exec_movq, SSE, .feature = F_SSE2, .stamp = stamp_movq_V_W},
    {"movq", "66 0f d6 /r", "=Wq,Vdq", exec_movq, SSE, .feature = F_SSE2, .stamp = stamp_movsd_W_V},
    {"movlps", "np 0f 12 /r", "+Vdq,Mq", exec_movlps_load, SSE, .feature = F_SSE, .stamp = stamp_movlps_V_W},
    {"movhlps", "np 0f 12 /r", "+Vdq,Udq", exec_movhlps, SSE, .feature = F_SSE, .stamp = stamp_movlps_V_W},
    {"movlpd", "66 0f 12 /r", "+Vdq,Mq", exec_movlps_load, SSE, .feature = F_SSE2, .stamp = stamp_movlps_V_W},
    {"movlps", "np 0f 13 /r", "=Mq,Vdq", exec_store_low, SSE, .feature = F_SSE, .stamp = stamp_movsd_W_V},
    {"movlpd", "66 0f 13 /r", "=Mq,Vdq", exec_store_low, SSE, .feature = F_SSE2, .stamp = stamp_movsd_W_V},
    {"movhps", "np 0f 16 /r", "+Vdq,Mq", exec_movhps_load, SSE, .feature = F_SSE, .stamp = stamp_movhps_V_W},
    {"movlhps", "np 0f 16 /r", "+Vdq,Udq", exec_movlhps, SSE, .feature = F_SSE, .stamp = stamp_movhps_V_W},
    {"movhpd", "66 0f 16 /r", "+Vdq,Mq", exec_movhps_load, SSE, .feature = F_SSE2, .stamp = stamp_movhps_V_W},
    {"movhps", "np 0f 17 /r", "=Mq,Vdq", exec_store_high, SSE, .feature = F_SSE},
    {"movhpd", "66 0f 17 /r", "=Mq,Vdq", exec_store_high, SSE, .feature = F_SSE2},
    {"movd", "66 w0 0f 6e /r", "=Vdq,Ed", exec_load_scalar, SSE, .feature = F_SSE2, .stamp = stamp_movd_V_E},
    {"movq", "66 rexw 0f 6e /r", "=Vdq,Eq", exec_load_scalar, SSE, .feature = F_SSE2, .stamp = stamp_movq_gpr_V_E},
    {"movd", "66 w0 0f 7e /r", "=Ed,Vdq", exec_store_low, SSE, .feature = F_SSE2, .stamp = stamp_movd_E_V},
    {"movq", "66 rexw 0f 7e /r", "=Eq,Vdq", exec_store_low, SSE, .feature = F_SSE2, .stamp = stamp_movq_gpr_E_V},
    {"movmskps", "np 0f 50 /r", "=Gd,Udq", exec_movmskps, SSE, .feature = F_SSE},
    {"movmskpd", "66 0f 50 /r", "=Gd,Udq", exec_movmskpd, SSE, .feature = F_SSE2},
    {"extractps", "66 0f 3a 17 /r", "=Ed,Vdq,Ib", exec_extractps, SSE, .feature = F_SSE41},
    {"insertps", "66 0f 3a 21 /r", "+Vdq,Wd,Ib", exec_insertps, SSE, .feature = F_SSE41},

    BINARY("andps", "np 0f 54", and, F_SSE),
    BINARY("andpd", "66 0f 54", and, F_SSE2),
    BINARY("andnps", "np 0f 55", andn, F_SSE),
    BINARY("andnpd", "66 0f 55", andn, F_SSE2),
    BINARY("orps", "np 0f 56", or, F_SSE),
    BINARY("orpd", "66 0f 56", or, F_SSE2),
    BINARY("xorps", "np 0f 57", xor, F_SSE),
    BINARY("xorpd", "66 0f 57", xor, F_SSE2),
    BINARY("unpcklps", "np 0f 14", unpcklps, F_SSE),
    BINARY("unpcklpd", "66 0f 14", unpcklpd, F_SSE2),
    BINARY("unpckhps", "np 0f 15", unpckhps, F_SSE),
    BINARY("unpckhpd", "66 0f 15", unpckhpd, F_SSE2),
    BINARY("movsldup", "f3 0f 12", movsldup, F_SSE3),
    BINARY("movshdup", "f3 0f 16", movshdup, F_SSE3),
    {"movddup", "f2 0f 12 /r", "=Vdq,Wq", exec_movddup, SSE, .feature = F_SSE3, .stamp = stamp_movddup_V_W},
    BINARY_I("shufps", "np 0f c6", shufps, F_SSE),
    BINARY_I("shufpd", "66 0f c6", shufpd, F_SSE2),
    BINARY_I("blendps", "66 0f 3a 0c", blendps, F_SSE41),
    BINARY_I("blendpd", "66 0f 3a 0d", blendpd, F_SSE41),
    BINARY("blendvps", "66 0f 38 14", blendvps, F_SSE41),
    BINARY("blendvpd", "66 0f 38 15", blendvpd, F_SSE41),
    {0},
};
/* clang-format on */
