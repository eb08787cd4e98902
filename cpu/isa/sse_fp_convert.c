/* SPDX-License-Identifier: MIT */
/*
 * SSE and SSE2 conversions between floating-point formats and integers, legacy, MMX and VEX forms:
 * SDM Vol 2A, CVT*. Integer results out of range are the smallest integer, with IE.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/sse_fp.h"

/* ---- elements ---- */

static u32 i32_to_f32(u32 a, struct fp_env *env)
{
    return fp32_from_i64((i32)a, env);
}

static u64 i32_to_f64(u32 a, struct fp_env *env)
{
    return fp64_from_i64((i32)a, env);
}

static u32 f32_to_i32_truncated(u32 a, struct fp_env *env)
{
    const u8 rounding = env->rounding;
    u32 result;

    env->rounding = FP_TRUNCATE;
    result = fp32_to_i32(a, env);
    env->rounding = rounding;
    return result;
}

static u32 f64_to_i32_truncated(u64 a, struct fp_env *env)
{
    const u8 rounding = env->rounding;
    u32 result;

    env->rounding = FP_TRUNCATE;
    result = fp64_to_i32(a, env);
    env->rounding = rounding;
    return result;
}

/* ---- element loops that change the size ---- */

static bool widen(struct vcpu *v, union vec *out, const union vec *source, u32 n,
                  u64 (*f)(u32 a, struct fp_env *env))
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 i = 0; i < n; i++)
        r.q[i] = f(source->d[i], &env);
    *out = r;
    return sse_finish(v, &env);
}

static bool narrow(struct vcpu *v, union vec *out, const union vec *source, u32 n,
                   u32 (*f)(u64 a, struct fp_env *env))
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 i = 0; i < n; i++)
        r.d[i] = f(source->q[i], &env);
    *out = r;
    return sse_finish(v, &env);
}

#define EXEC_SAME(op, f)                                                                           \
    EXEC_FP(op, sse_map32(v, &x->vec[0], &x->vec[0], &x->vec[1], vec_bytes(in) / 4, f))
#define EXEC_WIDEN(op, f) EXEC_FP(op, widen(v, &x->vec[0], &x->vec[1], vec_bytes(in) / 8, f))
#define EXEC_NARROW(op, f) EXEC_FP(op, narrow(v, &x->vec[0], &x->vec[1], vec_bytes(in) / 8, f))

EXEC_SAME(cvtdq2ps, i32_to_f32)
EXEC_SAME(cvtps2dq, fp32_to_i32)
EXEC_SAME(cvttps2dq, f32_to_i32_truncated)
EXEC_WIDEN(cvtps2pd, fp32_to_f64)
EXEC_WIDEN(cvtdq2pd, i32_to_f64)
EXEC_NARROW(cvtpd2ps, fp64_to_f32)
EXEC_NARROW(cvtpd2dq, fp64_to_i32)
EXEC_NARROW(cvttpd2dq, f64_to_i32_truncated)

HOST_LANE(cvtdq2ps, "cvtdq2ps")
HOST_LANE(cvtps2dq, "cvtps2dq")
HOST_LANE(cvttps2dq, "cvttps2dq")
HOST_LANE(cvtps2pd, "cvtps2pd")
HOST_LANE(cvtdq2pd, "cvtdq2pd")
HOST_LANE(cvtpd2ps, "cvtpd2ps")
HOST_LANE(cvtpd2dq, "cvtpd2dq")
HOST_LANE(cvttpd2dq, "cvttpd2dq")
#define STAMP_CONVERT(op, size, align)                                                             \
    STAMP_V_W(op, sem_##op, size, align)                                                           \
    STAMP_VEX_V_WS(op, sem_##op, size)
STAMP_V_W(cvtdq2ps, sem_cvtdq2ps, 16, 1)
STAMP_V_W(cvtps2dq, sem_cvtps2dq, 16, 1)
STAMP_V_W(cvttps2dq, sem_cvttps2dq, 16, 1)
STAMP_VEX_V_W(cvtdq2ps, sem_cvtdq2ps, 0)
STAMP_VEX_V_W(cvtps2dq, sem_cvtps2dq, 0)
STAMP_VEX_V_W(cvttps2dq, sem_cvttps2dq, 0)
STAMP_CONVERT(cvtps2pd, 8, 0)
STAMP_CONVERT(cvtdq2pd, 8, 0)
STAMP_CONVERT(cvtpd2ps, 16, 1)
STAMP_CONVERT(cvtpd2dq, 16, 1)
STAMP_CONVERT(cvttpd2dq, 16, 1)

/* ---- scalars between the float formats: the rest of the first operand stays ---- */

static bool scalar_widen(struct vcpu *v, union vec *out, const union vec *base, u32 a)
{
    struct fp_env env = sse_env(v);
    union vec r = *base;

    r.q[0] = fp32_to_f64(a, &env);
    *out = r;
    return sse_finish(v, &env);
}

static bool scalar_narrow(struct vcpu *v, union vec *out, const union vec *base, u64 a)
{
    struct fp_env env = sse_env(v);
    union vec r = *base;

    r.d[0] = fp64_to_f32(a, &env);
    *out = r;
    return sse_finish(v, &env);
}

EXEC_FP(cvtss2sd, scalar_widen(v, &x->vec[0], &x->vec[0], x->vec[1].d[0]))
EXEC_FP(cvtsd2ss, scalar_narrow(v, &x->vec[0], &x->vec[0], x->vec[1].q[0]))
EXEC_FP(vcvtss2sd, scalar_widen(v, &x->vec[0], &x->vec[1], x->vec[2].d[0]))
EXEC_FP(vcvtsd2ss, scalar_narrow(v, &x->vec[0], &x->vec[1], x->vec[2].q[0]))

HOST_LANE(cvtss2sd, "cvtss2sd")
HOST_LANE(cvtsd2ss, "cvtsd2ss")
STAMP_V_W(cvtss2sd, sem_cvtss2sd, 4, 0)
STAMP_V_W(cvtsd2ss, sem_cvtsd2ss, 8, 0)
STAMP_V_H_WS(cvtss2sd, sem_cvtss2sd, 4)
STAMP_V_H_WS(cvtsd2ss, sem_cvtsd2ss, 8)

/* ---- general registers: in->width is 4 or 8 ---- */

static bool from_gpr(struct vcpu *v, const struct insn *in, union vec *out, const union vec *base,
                     u64 value, bool wide)
{
    const i64 integer = (i64)sign_extend(value, in->width);
    struct fp_env env = sse_env(v);
    union vec r = *base;

    if (wide)
        r.q[0] = fp64_from_i64(integer, &env);
    else
        r.d[0] = fp32_from_i64(integer, &env);
    *out = r;
    return sse_finish(v, &env);
}

EXEC_FP(cvtsi2ss, from_gpr(v, in, &x->vec[0], &x->vec[0], x->val[1], false))
EXEC_FP(cvtsi2sd, from_gpr(v, in, &x->vec[0], &x->vec[0], x->val[1], true))
EXEC_FP(vcvtsi2ss, from_gpr(v, in, &x->vec[0], &x->vec[1], x->val[2], false))
EXEC_FP(vcvtsi2sd, from_gpr(v, in, &x->vec[0], &x->vec[1], x->val[2], true))

static bool to_gpr(struct vcpu *v, const struct insn *in, struct operands *x, bool wide,
                   bool truncate)
{
    struct fp_env env = sse_env(v);

    if (truncate)
        env.rounding = FP_TRUNCATE;
    if (wide)
        x->val[0] =
            in->width == 8 ? fp64_to_i64(x->vec[1].q[0], &env) : fp64_to_i32(x->vec[1].q[0], &env);
    else
        x->val[0] =
            in->width == 8 ? fp32_to_i64(x->vec[1].d[0], &env) : fp32_to_i32(x->vec[1].d[0], &env);
    return sse_finish(v, &env);
}

/* Stamped register forms, and memory sources of the conversions to integers. */
#if defined(__x86_64__)
static ALWAYS_INLINE void lane_alone(union vec *reg, const union lane *lane)
{
    *reg = (union vec){.q = {lane->q[0], lane->q[1]}};
}

#define FROM_GPR_FN(fn, insn, w, suffix, cast, first, finish)                                      \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        union lane d_ = lane_get(&v->state.ymm[first], 0);                                         \
        v2u64 r_ = d_.v;                                                                           \
        if (unlikely(!sse_quick(v)))                                                               \
            GENERIC(v, in);                                                                        \
        __asm__ volatile(insn suffix " %1, %0" : "+x"(r_) : "r"((cast)reg_read(v, in->rm, w)));    \
        d_.v = r_;                                                                                 \
        finish;                                                                                    \
        NEXT(v, in);                                                                               \
    }
#define FINISH_LEGACY lane_put(&v->state.ymm[in->reg], 0, &d_)
#define FINISH_VEX lane_alone(&v->state.ymm[in->reg], &d_)
#define FROM_GPR(op)                                                                               \
    FROM_GPR_FN(run_##op##4, #op, 4, "l", u32, in->reg, FINISH_LEGACY)                             \
    FROM_GPR_FN(run_##op##8, #op, 8, "q", u64, in->reg, FINISH_LEGACY)                             \
    FROM_GPR_FN(run_v##op##4, #op, 4, "l", u32, in->vvvv, FINISH_VEX)                              \
    FROM_GPR_FN(run_v##op##8, #op, 8, "q", u64, in->vvvv, FINISH_VEX)                              \
    static insn_run stamp_##op(const struct insn *in, u32 mode)                                    \
    {                                                                                              \
        (void)mode;                                                                                \
        return in->prefix & PREFIX_MEM ? NULL : in->width == 8 ? run_##op##8 : run_##op##4;        \
    }                                                                                              \
    static insn_run stamp_v##op(const struct insn *in, u32 mode)                                   \
    {                                                                                              \
        (void)mode;                                                                                \
        return in->prefix & PREFIX_MEM ? NULL : in->width == 8 ? run_v##op##8 : run_v##op##4;      \
    }

#define TO_GPR_BODY(insn, w, type, source)                                                         \
    const union lane s_ = source;                                                                  \
    type r_;                                                                                       \
    if (unlikely(!sse_quick(v)))                                                                   \
        GENERIC(v, in);                                                                            \
    __asm__ volatile(insn " %1, %0" : "=r"(r_) : "x"(s_.v));                                       \
    reg_write(v, in->reg, w, r_);                                                                  \
    NEXT(v, in)
#define TO_GPR_FN(fn, insn, w, type, size)                                                         \
    STAMP_FN(fn##r)                                                                                \
    {                                                                                              \
        TO_GPR_BODY(insn, w, type, lane_get(&v->state.ymm[in->rm], 0));                            \
    }                                                                                              \
    STAMP_FN(fn##f)                                                                                \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, EA_FLAT);                                                  \
        STAMP_PTR(p_, rtag, la_, size, ACCESS_READ);                                               \
        TO_GPR_BODY(insn, w, type, lane_load(p_, size));                                           \
    }                                                                                              \
    STAMP_FN(fn##o)                                                                                \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, EA_OPEN);                                                  \
        STAMP_PTR(p_, rtag, la_, size, ACCESS_READ);                                               \
        TO_GPR_BODY(insn, w, type, lane_load(p_, size));                                           \
    }
#define TO_GPR(op, size)                                                                           \
    TO_GPR_FN(run_##op##4, #op, 4, u32, size)                                                      \
    TO_GPR_FN(run_##op##8, #op, 8, u64, size)                                                      \
    static insn_run stamp_##op(const struct insn *in, u32 mode)                                    \
    {                                                                                              \
        static const insn_run m_[2][3] = {{run_##op##4f, run_##op##4o, NULL},                      \
                                          {run_##op##8f, run_##op##8o, NULL}};                     \
        if (in->prefix & PREFIX_MEM)                                                               \
            return m_[in->width == 8][ea_kind(in, mode)];                                          \
        return in->width == 8 ? run_##op##8r : run_##op##4r;                                       \
    }

FROM_GPR(cvtsi2ss)
FROM_GPR(cvtsi2sd)
TO_GPR(cvtss2si, 4)
TO_GPR(cvttss2si, 4)
TO_GPR(cvtsd2si, 8)
TO_GPR(cvttsd2si, 8)
#else
#define stamp_cvtsi2ss NULL
#define stamp_cvtsi2sd NULL
#define stamp_vcvtsi2ss NULL
#define stamp_vcvtsi2sd NULL
#define stamp_cvtss2si NULL
#define stamp_cvttss2si NULL
#define stamp_cvtsd2si NULL
#define stamp_cvttsd2si NULL
#endif

EXEC_FP(cvtss2si, to_gpr(v, in, x, false, false))
EXEC_FP(cvttss2si, to_gpr(v, in, x, false, true))
EXEC_FP(cvtsd2si, to_gpr(v, in, x, true, false))
EXEC_FP(cvttsd2si, to_gpr(v, in, x, true, true))

/* ---- MMX registers ---- */

static bool exec_cvtpi2ps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct fp_env env = sse_env(v);

    (void)in;
    x->vec[0].d[0] = i32_to_f32((u32)x->val[1], &env);
    x->vec[0].d[1] = i32_to_f32((u32)(x->val[1] >> 32), &env);
    return sse_finish(v, &env);
}

static bool exec_cvtpi2pd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct fp_env env = sse_env(v);

    (void)in;
    x->vec[0].q[0] = i32_to_f64((u32)x->val[1], &env);
    x->vec[0].q[1] = i32_to_f64((u32)(x->val[1] >> 32), &env);
    return sse_finish(v, &env);
}

static bool to_mmx(struct vcpu *v, struct operands *x, bool wide, bool truncate)
{
    const union vec *a = &x->vec[1];
    struct fp_env env = sse_env(v);
    u32 low, high;

    if (truncate)
        env.rounding = FP_TRUNCATE;
    low = wide ? fp64_to_i32(a->q[0], &env) : fp32_to_i32(a->d[0], &env);
    high = wide ? fp64_to_i32(a->q[1], &env) : fp32_to_i32(a->d[1], &env);
    x->val[0] = (u64)high << 32 | low;
    return sse_finish(v, &env);
}

EXEC_FP(cvtps2pi, to_mmx(v, x, false, false))
EXEC_FP(cvttps2pi, to_mmx(v, x, false, true))
EXEC_FP(cvtpd2pi, to_mmx(v, x, true, false))
EXEC_FP(cvttpd2pi, to_mmx(v, x, true, true))

/* clang-format off */
#define SAME(op, prefix, pp) \
    {#op, prefix " 0f 5b /r", "=Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = F_SSE2, .stamp = stamp_##op##_V_W}, \
    {"v" #op, "vex.128." pp ".0f.wig 5b /r", "=Vx,Wx", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W}, \
    {"v" #op, "vex.256." pp ".0f.wig 5b /r", "=Vx,Wx", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W}
#define WIDEN(op, prefix, pp, opcode) \
    {#op, prefix " 0f " opcode " /r", "=Vdq,Wq", exec_##op, SSE, .feature = F_SSE2, .stamp = stamp_##op##_V_W}, \
    {"v" #op, "vex.128." pp ".0f.wig " opcode " /r", "=Vdq,Wq", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_WS}, \
    {"v" #op, "vex.256." pp ".0f.wig " opcode " /r", "=Vqq,Wdq", exec_##op, AVX, .feature = F_AVX}
#define NARROW(op, prefix, pp, opcode) \
    {#op, prefix " 0f " opcode " /r", "=Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = F_SSE2, .stamp = stamp_##op##_V_W}, \
    {"v" #op, "vex.128." pp ".0f.wig " opcode " /r", "=Vdq,Wdq", exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_WS}, \
    {"v" #op, "vex.256." pp ".0f.wig " opcode " /r", "=Vdq,Wqq", exec_##op, AVX, .feature = F_AVX}
#define SCALAR(op, prefix, pp, size) \
    {#op, prefix " 0f 5a /r", "+Vdq,W" size, exec_##op, SSE, .feature = F_SSE2, .stamp = stamp_##op##_V_W}, \
    {"v" #op, "vex.lig." pp ".0f.wig 5a /r", "=Vdq,Hdq,W" size, exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_V_H_WS}
#define FROM_GPR_ROWS(op, prefix, f) \
    {#op, prefix " 0f 2a /r", "+Vdq,Ey", exec_##op, SSE, .feature = f, .stamp = stamp_##op}, \
    {"v" #op, "vex.lig." prefix ".0f.w0 2a /r", "=Vdq,Hdq,Ey", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_v##op}, \
    {"v" #op, "vex.lig." prefix ".0f.w1 2a /r", "=Vdq,Hdq,Ey", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_v##op}
#define TO_GPR_ROWS(op, prefix, opcode, size, f) \
    {#op, prefix " 0f " opcode " /r", "=Gy,W" size, exec_##op, SSE, .feature = f, .stamp = stamp_##op}, \
    {"v" #op, "vex.lig." prefix ".0f.w0 " opcode " /r", "=Gy,W" size, exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op}, \
    {"v" #op, "vex.lig." prefix ".0f.w1 " opcode " /r", "=Gy,W" size, exec_##op, AVX, .feature = F_AVX, .stamp = stamp_##op}

const struct insn_def isa_sse_fp_convert[] = {
    SAME(cvtdq2ps, "np", "np"),
    SAME(cvtps2dq, "66", "66"),
    SAME(cvttps2dq, "f3", "f3"),
    WIDEN(cvtps2pd, "np", "np", "5a"),
    WIDEN(cvtdq2pd, "f3", "f3", "e6"),
    NARROW(cvtpd2ps, "66", "66", "5a"),
    NARROW(cvtpd2dq, "f2", "f2", "e6"),
    NARROW(cvttpd2dq, "66", "66", "e6"),
    SCALAR(cvtss2sd, "f3", "f3", "d"),
    SCALAR(cvtsd2ss, "f2", "f2", "q"),
    FROM_GPR_ROWS(cvtsi2ss, "f3", F_SSE),
    FROM_GPR_ROWS(cvtsi2sd, "f2", F_SSE2),
    TO_GPR_ROWS(cvttss2si, "f3", "2c", "d", F_SSE),
    TO_GPR_ROWS(cvtss2si, "f3", "2d", "d", F_SSE),
    TO_GPR_ROWS(cvttsd2si, "f2", "2c", "q", F_SSE2),
    TO_GPR_ROWS(cvtsd2si, "f2", "2d", "q", F_SSE2),
    {"cvtpi2ps", "np 0f 2a /r", "+Vdq,Qq", exec_cvtpi2ps, SSE | MMX, .feature = F_SSE},
    {"cvttps2pi", "np 0f 2c /r", "=Pq,Wq", exec_cvttps2pi, SSE | MMX, .feature = F_SSE},
    {"cvtps2pi", "np 0f 2d /r", "=Pq,Wq", exec_cvtps2pi, SSE | MMX, .feature = F_SSE},
    {"cvtpi2pd", "66 0f 2a /r", "+Vdq,Qq", exec_cvtpi2pd, SSE | MMX, .feature = F_SSE2},
    {"cvttpd2pi", "66 0f 2c /r", "=Pq,Wdq", exec_cvttpd2pi, SSE | MMX | ALIGN16, .feature = F_SSE2},
    {"cvtpd2pi", "66 0f 2d /r", "=Pq,Wdq", exec_cvtpd2pi, SSE | MMX | ALIGN16, .feature = F_SSE2},
    {0},
};
/* clang-format on */
