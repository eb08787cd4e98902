/* SPDX-License-Identifier: MIT */
/*
 * VEX forms of moves, logic, shuffles and blends, and VZEROUPPER, VZEROALL: SDM Vol 2, by mnemonic.
 * Vector memory operands may be unaligned except in VMOVAPS, VMOVAPD, VMOVDQA and VMOVNT*.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"
#include "cpu/isa/lane_move.h"
#include "cpu/isa/masked.h"
#include "cpu/isa/parts.h"

/* ---- whole registers ---- */

static bool exec_copy(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0] = x->vec[1];
    return true;
}

STAMP_VEX_V_W(aligned, sem_copy, 1)
STAMP_VEX_V_W(unaligned, sem_copy, 0)
STAMP_VEX_W_V(aligned, 1)
STAMP_VEX_W_V(unaligned, 0)

/* In 32-bit modes there are eight registers: the others keep their value. */
static unsigned vector_registers(const struct vcpu *v)
{
    return mode64(v) ? 16 : 8;
}

static bool exec_vzeroupper(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    for (unsigned i = 0; i < vector_registers(v); i++)
        v->state.ymm[i].q[2] = v->state.ymm[i].q[3] = 0;
    return true;
}

static bool exec_vzeroall(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    for (unsigned i = 0; i < vector_registers(v); i++)
        v->state.ymm[i] = (union vec){.q = {0}};
    return true;
}

STAMP_FN(run_vzeroupper)
{
    for (unsigned i = 0; i < vector_registers(v); i++)
        v->state.ymm[i].q[2] = v->state.ymm[i].q[3] = 0;
    NEXT(v, in);
}

static insn_run stamp_vzeroupper(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_vzeroupper;
}

/* ---- parts of a register ---- */

EXEC_V_H_W(vmovss, sem_low_dword)
EXEC_V_H_W(vmovsd, sem_low_qword)
EXEC_V_H_W(vmovhlps, sem_low_from_high)
EXEC_V_H_W(vmovlhps, sem_high_from_low)
EXEC_VEX_V_W(vmovq, sem_low_qword_only)

static bool exec_vmovlps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0].q[0] = x->val[2];
    x->vec[0].q[1] = x->vec[1].q[1];
    return true;
}

static bool exec_vmovhps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0].q[0] = x->vec[1].q[0];
    x->vec[0].q[1] = x->val[2];
    return true;
}

/* Loads clear the rest; between registers the rest comes from VEX.vvvv. */
#define STAMP_SCALAR_LOAD(op, size, sem_r)                                                         \
    STAMP_VEX_R_(run_##op##_r, 1, STAMP_FIRST_H_, sem_r(v, &d_, &s_))                              \
    STAMP_VEX_M_(run_##op##_f, 1, size, 0, EA_FLAT, STAMP_FIRST_ZERO_, sem_copy(v, &d_, &s_))      \
    STAMP_VEX_M_(run_##op##_o, 1, size, 0, EA_OPEN, STAMP_FIRST_ZERO_, sem_copy(v, &d_, &s_))      \
    STAMP_LANE_PICK_(stamp_##op##_load, run_##op##_r, run_##op##_f, run_##op##_o)
STAMP_SCALAR_LOAD(vmovss, 4, sem_low_dword)
STAMP_SCALAR_LOAD(vmovsd, 8, sem_low_qword)
STAMP_SCALAR_LOAD(vmovq, 8, sem_low_qword_only)
STAMP_W_V(vmovss, 4, 0)
STAMP_W_V(vmovsd, 8, 0)

/* ---- to and from general registers ---- */

#define STAMP_VMOVD(op, size, memory)                                                              \
    STAMP_FN(run_##op##_v_e_r)                                                                     \
    {                                                                                              \
        v->state.ymm[in->reg] = (union vec){.q = {reg_read(v, in->rm, size)}};                     \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_##op##_e_v_r)                                                                     \
    {                                                                                              \
        reg_write(v, in->rm, size, v->state.ymm[in->reg].q[0]);                                    \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_LANE_PICK_(stamp_##op##_V_E, run_##op##_v_e_r, run_##memory##_f, run_##memory##_o)       \
    STAMP_LANE_PICK_(stamp_##op##_E_V, run_##op##_e_v_r, run_##memory##_w_v_f, run_##memory##_w_v_o)
STAMP_VMOVD(vmovd, 4, vmovss)
STAMP_VMOVD(vmovq_gpr, 8, vmovsd)

static bool exec_vmovmskps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = mask_dwords(&x->vec[1], vec_bytes(in));
    return true;
}

static bool exec_vmovmskpd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = mask_qwords(&x->vec[1], vec_bytes(in));
    return true;
}

static bool exec_vextractps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->vec[1].d[in->imm & 3];
    return true;
}

/* ---- logic, shuffles, blends ---- */

#define DEFINE(op, sem)                                                                            \
    EXEC_V_H_W(op, sem)                                                                            \
    STAMP_V_H_W(op, sem)
#define DEFINE_UNARY(op, sem)                                                                      \
    EXEC_VEX_V_W(op, sem)                                                                          \
    STAMP_VEX_V_W(op, sem, 0)
#define DEFINE_IL(op, bits)                                                                        \
    EXEC_V_H_W_IL(op, sem_##op, bits)                                                              \
    STAMP_V_H_W_IL(op, sem_##op, bits)

DEFINE(and, sem_pand)
DEFINE(andn, sem_pandn)
DEFINE(or, sem_por)
DEFINE(xor, sem_pxor)
DEFINE(unpcklps, sem_punpckldq)
DEFINE(unpckhps, sem_punpckhdq)
DEFINE(unpcklpd, sem_punpcklqdq)
DEFINE(unpckhpd, sem_punpckhqdq)
DEFINE_UNARY(movsldup, sem_movsldup)
DEFINE_UNARY(movshdup, sem_movshdup)
EXEC_VEX_V_W(movddup, sem_movddup)
DEFINE_IL(shufps, 0)
DEFINE_IL(shufpd, 2)
DEFINE_IL(blendps, 4)
DEFINE_IL(blendpd, 2)

static bool exec_blendvps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    for (unsigned i = 0; i < vec_bytes(in) / 4; i++)
        x->vec[0].d[i] = (x->vec[3].d[i] >> 31) != 0 ? x->vec[2].d[i] : x->vec[1].d[i];
    return true;
}

static bool exec_blendvpd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    for (unsigned i = 0; i < vec_bytes(in) / 8; i++)
        x->vec[0].q[i] = (x->vec[3].q[i] >> 63) != 0 ? x->vec[2].q[i] : x->vec[1].q[i];
    return true;
}

static bool exec_vinsertps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned from = (in->prefix & PREFIX_MEM) ? 0 : in->imm >> 6 & 3;
    union lane d = lane_get(&x->vec[1], 0);

    (void)v;
    lane_insertps(&d, x->vec[2].d[from], in->imm);
    lane_put(&x->vec[0], 0, &d);
    return true;
}

static bool exec_vmaskmovdqu(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return masked_store(v, in, v->state.reg[REG_RDI], x->vec[0].b, 16, 1,
                        mask_bytes(&x->vec[1], 16));
}

/* clang-format off */
#define BOTH(name, pp_map_w_opcode, operands, op, attr, shape) \
    {name, "vex.128." pp_map_w_opcode " /r", operands, exec_##op, AVX | (attr), .feature = F_AVX, .stamp = shape}, \
    {name, "vex.256." pp_map_w_opcode " /r", operands, exec_##op, AVX | (attr), .feature = F_AVX, .stamp = shape}
#define LOAD(name, encoding) BOTH(name, encoding, "=Vx,Wx", copy, 0, stamp_unaligned_VEX_V_W)
#define STORE(name, encoding) BOTH(name, encoding, "=Wx,Vx", copy, 0, stamp_unaligned_VEX_W_V)
#define LOAD_A(name, encoding) BOTH(name, encoding, "=Vx,Wx", copy, ALIGN16, stamp_aligned_VEX_V_W)
#define STORE_A(name, encoding) BOTH(name, encoding, "=Wx,Vx", copy, ALIGN16, stamp_aligned_VEX_W_V)
#define STORE_NT(name, encoding) BOTH(name, encoding, "=Mx,Vx", copy, ALIGN16, stamp_aligned_VEX_W_V)
#define BINARY(name, encoding, op) BOTH(name, encoding, "=Vx,Hx,Wx", op, 0, stamp_##op##_V_H_W)
#define BINARY_I(name, encoding, op) BOTH(name, encoding, "=Vx,Hx,Wx,Ib", op, 0, stamp_##op##_V_H_W_I)
#define XMM(name, pp_map_w_opcode, operands, op) \
    {name, "vex.128." pp_map_w_opcode " /r", operands, exec_##op, AVX, .feature = F_AVX}
#define SCALAR(name, pp_opcode, operands, op, shape) \
    {name, "vex.lig." pp_opcode " /r", operands, exec_##op, AVX, .feature = F_AVX, .stamp = shape}

const struct insn_def isa_avx_move[] = {
    LOAD("vmovups", "np.0f.wig 10"),
    LOAD("vmovupd", "66.0f.wig 10"),
    STORE("vmovups", "np.0f.wig 11"),
    STORE("vmovupd", "66.0f.wig 11"),
    LOAD_A("vmovaps", "np.0f.wig 28"),
    LOAD_A("vmovapd", "66.0f.wig 28"),
    STORE_A("vmovaps", "np.0f.wig 29"),
    STORE_A("vmovapd", "66.0f.wig 29"),
    LOAD_A("vmovdqa", "66.0f.wig 6f"),
    LOAD("vmovdqu", "f3.0f.wig 6f"),
    STORE_A("vmovdqa", "66.0f.wig 7f"),
    STORE("vmovdqu", "f3.0f.wig 7f"),
    STORE_NT("vmovntps", "np.0f.wig 2b"),
    STORE_NT("vmovntpd", "66.0f.wig 2b"),
    STORE_NT("vmovntdq", "66.0f.wig e7"),
    {"vmovntdqa", "vex.128.66.0f38.wig 2a /r", "=Vx,Mx", exec_copy, AVX | ALIGN16, .feature = F_AVX, .stamp = stamp_aligned_VEX_V_W},
    {"vmovntdqa", "vex.256.66.0f38.wig 2a /r", "=Vx,Mx", exec_copy, AVX | ALIGN16, .feature = F_AVX2, .stamp = stamp_aligned_VEX_V_W},
    BOTH("vlddqu", "f2.0f.wig f0", "=Vx,Mx", copy, 0, stamp_unaligned_VEX_V_W),
    XMM("vmaskmovdqu", "66.0f.wig f7", "Vdq,Udq", vmaskmovdqu),

    SCALAR("vmovss", "f3.0f.wig 10", "=Vdq,Md", load_scalar, stamp_vmovss_load),
    SCALAR("vmovss", "f3.0f.wig 10", "=Vdq,Hdq,Udq", vmovss, stamp_vmovss_load),
    SCALAR("vmovss", "f3.0f.wig 11", "=Md,Vdq", store_low, stamp_vmovss_W_V),
    SCALAR("vmovss", "f3.0f.wig 11", "=Udq,Hdq,Vdq", vmovss, NULL),
    SCALAR("vmovsd", "f2.0f.wig 10", "=Vdq,Mq", load_scalar, stamp_vmovsd_load),
    SCALAR("vmovsd", "f2.0f.wig 10", "=Vdq,Hdq,Udq", vmovsd, stamp_vmovsd_load),
    SCALAR("vmovsd", "f2.0f.wig 11", "=Mq,Vdq", store_low, stamp_vmovsd_W_V),
    SCALAR("vmovsd", "f2.0f.wig 11", "=Udq,Hdq,Vdq", vmovsd, NULL),
    {"vmovq", "vex.128.f3.0f.wig 7e /r", "=Vdq,Wq", exec_vmovq, AVX, .feature = F_AVX, .stamp = stamp_vmovq_load},
    {"vmovq", "vex.128.66.0f.wig d6 /r", "=Wq,Vdq", exec_vmovq, AVX, .feature = F_AVX, .stamp = stamp_vmovsd_W_V},
    XMM("vmovlps", "np.0f.wig 12", "=Vdq,Hdq,Mq", vmovlps),
    XMM("vmovhlps", "np.0f.wig 12", "=Vdq,Hdq,Udq", vmovhlps),
    XMM("vmovlpd", "66.0f.wig 12", "=Vdq,Hdq,Mq", vmovlps),
    XMM("vmovlps", "np.0f.wig 13", "=Mq,Vdq", store_low),
    XMM("vmovlpd", "66.0f.wig 13", "=Mq,Vdq", store_low),
    XMM("vmovhps", "np.0f.wig 16", "=Vdq,Hdq,Mq", vmovhps),
    XMM("vmovlhps", "np.0f.wig 16", "=Vdq,Hdq,Udq", vmovlhps),
    XMM("vmovhpd", "66.0f.wig 16", "=Vdq,Hdq,Mq", vmovhps),
    XMM("vmovhps", "np.0f.wig 17", "=Mq,Vdq", store_high),
    XMM("vmovhpd", "66.0f.wig 17", "=Mq,Vdq", store_high),
    {"vmovd", "vex.128.66.0f.w0 6e /r", "=Vdq,Ed", exec_load_scalar, AVX, .feature = F_AVX, .stamp = stamp_vmovd_V_E},
    {"vmovq", "vex.128.66.0f.w1 6e /r", "=Vdq,Eq", exec_load_scalar, AVX, .feature = F_AVX, .stamp = stamp_vmovq_gpr_V_E},
    {"vmovd", "vex.128.66.0f.w0 7e /r", "=Ed,Vdq", exec_store_low, AVX, .feature = F_AVX, .stamp = stamp_vmovd_E_V},
    {"vmovq", "vex.128.66.0f.w1 7e /r", "=Eq,Vdq", exec_store_low, AVX, .feature = F_AVX, .stamp = stamp_vmovq_gpr_E_V},
    BOTH("vmovmskps", "np.0f.wig 50", "=Gd,Ux", vmovmskps, 0, NULL),
    BOTH("vmovmskpd", "66.0f.wig 50", "=Gd,Ux", vmovmskpd, 0, NULL),
    XMM("vextractps", "66.0f3a.wig 17", "=Ed,Vdq,Ib", vextractps),
    XMM("vinsertps", "66.0f3a.wig 21", "=Vdq,Hdq,Wd,Ib", vinsertps),

    BINARY("vandps", "np.0f.wig 54", and),
    BINARY("vandpd", "66.0f.wig 54", and),
    BINARY("vandnps", "np.0f.wig 55", andn),
    BINARY("vandnpd", "66.0f.wig 55", andn),
    BINARY("vorps", "np.0f.wig 56", or),
    BINARY("vorpd", "66.0f.wig 56", or),
    BINARY("vxorps", "np.0f.wig 57", xor),
    BINARY("vxorpd", "66.0f.wig 57", xor),
    BINARY("vunpcklps", "np.0f.wig 14", unpcklps),
    BINARY("vunpcklpd", "66.0f.wig 14", unpcklpd),
    BINARY("vunpckhps", "np.0f.wig 15", unpckhps),
    BINARY("vunpckhpd", "66.0f.wig 15", unpckhpd),
    BOTH("vmovsldup", "f3.0f.wig 12", "=Vx,Wx", movsldup, 0, stamp_movsldup_VEX_V_W),
    BOTH("vmovshdup", "f3.0f.wig 16", "=Vx,Wx", movshdup, 0, stamp_movshdup_VEX_V_W),
    {"vmovddup", "vex.128.f2.0f.wig 12 /r", "=Vdq,Wq", exec_movddup, AVX, .feature = F_AVX},
    {"vmovddup", "vex.256.f2.0f.wig 12 /r", "=Vqq,Wqq", exec_movddup, AVX, .feature = F_AVX},
    BINARY_I("vshufps", "np.0f.wig c6", shufps),
    BINARY_I("vshufpd", "66.0f.wig c6", shufpd),
    BINARY_I("vblendps", "66.0f3a.wig 0c", blendps),
    BINARY_I("vblendpd", "66.0f3a.wig 0d", blendpd),
    {"vpblendd", "vex.128.66.0f3a.w0 02 /r", "=Vx,Hx,Wx,Ib", exec_blendps, AVX, .feature = F_AVX2, .stamp = stamp_blendps_V_H_W_I},
    {"vpblendd", "vex.256.66.0f3a.w0 02 /r", "=Vx,Hx,Wx,Ib", exec_blendps, AVX, .feature = F_AVX2, .stamp = stamp_blendps_V_H_W_I},
    BOTH("vblendvps", "66.0f3a.w0 4a", "=Vx,Hx,Wx,Lx", blendvps, 0, NULL),
    BOTH("vblendvpd", "66.0f3a.w0 4b", "=Vx,Hx,Wx,Lx", blendvpd, 0, NULL),
    {"vzeroupper", "vex.128.np.0f.wig 77", "", exec_vzeroupper, AVX, .feature = F_AVX, .stamp = stamp_vzeroupper},
    {"vzeroall", "vex.256.np.0f.wig 77", "", exec_vzeroall, AVX, .feature = F_AVX},
    {0},
};
/* clang-format on */
