/* SPDX-License-Identifier: MIT */
/* SSE4.1 floating point: ROUNDPS and its kin, DPPS, DPPD, legacy and VEX. SDM Vol 2, by mnemonic.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/sse_fp.h"

/* imm8: 3 suppresses PE, 2 takes MXCSR.RC, 1:0 is the rounding mode otherwise. SDM Vol 2B fig.
 * 4-24. */
static void apply_rounding(struct fp_env *env, u64 imm)
{
    if (!(imm & 4))
        env->rounding = imm & 3;
}

static bool round32(struct vcpu *v, union vec *out, const union vec *base, const union vec *source,
                    u32 n, u64 imm)
{
    struct fp_env env = sse_env(v);
    union vec r = *base;

    apply_rounding(&env, imm);
    for (u32 i = 0; i < n; i++)
        r.d[i] = fp32_round_integral(source->d[i], (imm & 8) != 0, &env);
    *out = r;
    return sse_finish(v, &env);
}

static bool round64(struct vcpu *v, union vec *out, const union vec *base, const union vec *source,
                    u32 n, u64 imm)
{
    struct fp_env env = sse_env(v);
    union vec r = *base;

    apply_rounding(&env, imm);
    for (u32 i = 0; i < n; i++)
        r.q[i] = fp64_round_integral(source->q[i], (imm & 8) != 0, &env);
    *out = r;
    return sse_finish(v, &env);
}

/*
 * Products of the elements that imm8[7:4] selects, summed in pairs; imm8[3:0] says where the sum
 * goes. An unmasked exception stops after its step: multiplication, first addition, second.
 */
static bool dot32(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n,
                  u64 imm)
{
    struct fp_env env = sse_env(v);
    union vec product = {.q = {0}}, pair = {.q = {0}}, r = {.q = {0}};

    for (u32 i = 0; i < n; i++)
        if (imm >> (4 + i % 4) & 1)
            product.d[i] = fp32_mul(a->d[i], b->d[i], &env);
    if (!sse_finish(v, &env))
        return false;
    for (u32 i = 0; i < n; i += 2)
        pair.d[i] = fp32_add(product.d[i], product.d[i + 1], &env);
    if (!sse_finish(v, &env))
        return false;
    for (u32 lane = 0; lane < n; lane += 4) {
        const u32 sum = fp32_add(pair.d[lane], pair.d[lane + 2], &env);

        for (u32 i = 0; i < 4; i++)
            r.d[lane + i] = imm >> i & 1 ? sum : 0;
    }
    *out = r;
    return sse_finish(v, &env);
}

static bool dot64(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u64 imm)
{
    struct fp_env env = sse_env(v);
    u64 product[2] = {0};
    u64 sum;

    for (u32 i = 0; i < 2; i++)
        if (imm >> (4 + i) & 1)
            product[i] = fp64_mul(a->q[i], b->q[i], &env);
    if (!sse_finish(v, &env))
        return false;
    sum = fp64_add(product[0], product[1], &env);
    *out = (union vec){.q = {imm & 1 ? sum : 0, imm & 2 ? sum : 0}};
    return sse_finish(v, &env);
}

EXEC_FP(roundps, round32(v, &x->vec[0], &x->vec[0], &x->vec[1], vec_bytes(in) / 4, in->imm))
EXEC_FP(roundpd, round64(v, &x->vec[0], &x->vec[0], &x->vec[1], vec_bytes(in) / 8, in->imm))
EXEC_FP(roundss, round32(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, in->imm))
EXEC_FP(roundsd, round64(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, in->imm))
EXEC_FP(vroundss, round32(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, in->imm))
EXEC_FP(vroundsd, round64(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, in->imm))
EXEC_FP(dpps, dot32(v, &x->vec[0], &x->vec[0], &x->vec[1], 4, in->imm))
EXEC_FP(dppd, dot64(v, &x->vec[0], &x->vec[0], &x->vec[1], in->imm))
EXEC_FP(vdpps, dot32(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 4, in->imm))
EXEC_FP(vdppd, dot64(v, &x->vec[0], &x->vec[1], &x->vec[2], in->imm))

/*
 * Stamped forms use the kernel too, because SSE2 has no such instruction; they save the generic
 * path's operand copies.
 */
static ALWAYS_INLINE bool round_lane(struct vcpu *v, union lane *d, const union lane *s, u64 imm,
                                     bool wide, u32 n)
{
    struct fp_env env = sse_env(v);

    if (unlikely(!sse_quick(v)))
        return false;
    apply_rounding(&env, imm);
    for (u32 i = 0; i < n; i++) {
        if (wide)
            d->q[i] = fp64_round_integral(s->q[i], (imm & 8) != 0, &env);
        else
            d->d[i] = fp32_round_integral(s->d[i], (imm & 8) != 0, &env);
    }
    v->state.mxcsr |= env.flags;
    return true;
}

#define SEM_ROUNDPS(v, d, s, imm) round_lane(v, d, s, imm, false, 4)
#define SEM_ROUNDPD(v, d, s, imm) round_lane(v, d, s, imm, true, 2)
#define SEM_ROUNDSS(v, d, s, imm) round_lane(v, d, s, imm, false, 1)
#define SEM_ROUNDSD(v, d, s, imm) round_lane(v, d, s, imm, true, 1)
#define SEM_VROUNDSS(v, d, s) round_lane(v, d, s, in->imm, false, 1)
#define SEM_VROUNDSD(v, d, s) round_lane(v, d, s, in->imm, true, 1)
STAMP_V_W_I(roundps, SEM_ROUNDPS, 16, 1)
STAMP_V_W_I(roundpd, SEM_ROUNDPD, 16, 1)
STAMP_V_W_I(roundss, SEM_ROUNDSS, 4, 0)
STAMP_V_W_I(roundsd, SEM_ROUNDSD, 8, 0)
STAMP_VEX_V_W_I(roundps, SEM_ROUNDPS, 0)
STAMP_VEX_V_W_I(roundpd, SEM_ROUNDPD, 0)
STAMP_V_H_WS(roundss, SEM_VROUNDSS, 4)
STAMP_V_H_WS(roundsd, SEM_VROUNDSD, 8)

/* clang-format off */
#define ROUND(op, opcode) \
    {#op, "66 0f 3a " opcode " /r", "=Vdq,Wdq,Ib", exec_##op, SSE | ALIGN16, .feature = F_SSE41, .stamp = stamp_##op##_V_W_I}, \
    {"v" #op, "vex.128.66.0f3a.wig " opcode " /r", "=Vx,Wx,Ib", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W_I}, \
    {"v" #op, "vex.256.66.0f3a.wig " opcode " /r", "=Vx,Wx,Ib", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W_I}
#define ROUND_SCALAR(op, opcode, size) \
    {#op, "66 0f 3a " opcode " /r", "+Vdq,W" size ",Ib", exec_##op, SSE, .feature = F_SSE41, .stamp = stamp_##op##_V_W_I}, \
    {"v" #op, "vex.lig.66.0f3a.wig " opcode " /r", "=Vdq,Hdq,W" size ",Ib", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_V_H_WS}

const struct insn_def isa_sse_fp_more[] = {
    ROUND(roundps, "08"),
    ROUND(roundpd, "09"),
    ROUND_SCALAR(roundss, "0a", "d"),
    ROUND_SCALAR(roundsd, "0b", "q"),
    {"dpps", "66 0f 3a 40 /r", "+Vdq,Wdq,Ib", exec_dpps, SSE | ALIGN16, .feature = F_SSE41},
    {"dppd", "66 0f 3a 41 /r", "+Vdq,Wdq,Ib", exec_dppd, SSE | ALIGN16, .feature = F_SSE41},
    {"vdpps", "vex.128.66.0f3a.wig 40 /r", "=Vx,Hx,Wx,Ib", exec_vdpps, AVX, .feature = F_AVX},
    {"vdpps", "vex.256.66.0f3a.wig 40 /r", "=Vx,Hx,Wx,Ib", exec_vdpps, AVX, .feature = F_AVX},
    {"vdppd", "vex.128.66.0f3a.wig 41 /r", "=Vdq,Hdq,Wdq,Ib", exec_vdppd, AVX, .feature = F_AVX},
    {0},
};
/* clang-format on */
