/* SPDX-License-Identifier: MIT */
/*
 * FMA3 and F16C: SDM Vol 1 14.4, 14.5, Vol 2 by mnemonic. The host's FMA does the work where it has
 * one; it rounds once like the kernel, so nothing shows.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/sse_fp.h"

/* ---- FMA: 132 is op1 * op3 + op2, 213 op2 * op1 + op3, 231 op2 * op3 + op1. NaNs in that order.
 * ---- */

/* Which of the three operands (0, 1, 2) is the first factor, the second, and the addend. */
struct fma_form {
    u8 a, b, c;
};

static const struct fma_form form_132 = {0, 2, 1};
static const struct fma_form form_213 = {1, 0, 2};
static const struct fma_form form_231 = {1, 2, 0};

/* even, odd: FMA_NEGATE_* of even and odd elements, which differ in VFMADDSUB. */
static bool fma32(struct vcpu *v, struct operands *x, const struct fma_form *form, u32 n, u32 even,
                  u32 odd)
{
    const union vec *a = &x->vec[form->a], *b = &x->vec[form->b], *c = &x->vec[form->c];
    struct fp_env env = sse_env(v);
    union vec r = x->vec[0];

    for (u32 i = 0; i < n; i++)
        r.d[i] = fp32_fma(a->d[i], b->d[i], c->d[i], i & 1 ? odd : even, &env);
    x->vec[0] = r;
    return sse_finish(v, &env);
}

static bool fma64(struct vcpu *v, struct operands *x, const struct fma_form *form, u32 n, u32 even,
                  u32 odd)
{
    const union vec *a = &x->vec[form->a], *b = &x->vec[form->b], *c = &x->vec[form->c];
    struct fp_env env = sse_env(v);
    union vec r = x->vec[0];

    for (u32 i = 0; i < n; i++)
        r.q[i] = fp64_fma(a->q[i], b->q[i], c->q[i], i & 1 ? odd : even, &env);
    x->vec[0] = r;
    return sse_finish(v, &env);
}

/* d: the second operand (vvvv); old: the first, which is the destination; s: the third. */
#if defined(__x86_64__)
#define HOST_FMA(name)                                                                             \
    static ALWAYS_INLINE bool sem_##name(struct vcpu *v, union lane *d, const union lane *s,       \
                                         union lane old)                                           \
    {                                                                                              \
        v2u64 r_ = old.v;                                                                          \
                                                                                                   \
        if (unlikely(!sse_quick(v)))                                                               \
            return false;                                                                          \
        __asm__ volatile(#name " %2, %1, %0" : "+x"(r_) : "x"(d->v), "x"(s->v));                   \
        d->v = r_;                                                                                 \
        return true;                                                                               \
    }
static bool host_has_fma(void)
{
    return __builtin_cpu_supports("fma");
}
#else
#define HOST_FMA(name)                                                                             \
    static ALWAYS_INLINE bool sem_##name(struct vcpu *v, union lane *d, const union lane *s,       \
                                         union lane old)                                           \
    {                                                                                              \
        (void)v;                                                                                   \
        (void)d;                                                                                   \
        (void)s;                                                                                   \
        (void)old;                                                                                 \
        return false;                                                                              \
    }
static bool host_has_fma(void)
{
    return false;
}
#endif

#define OLD_LANE lane_get(&v->state.ymm[in->reg], i_)
#define FMA_STAMP_PACKED(name)                                                                     \
    STAMP_VEX_SHAPE_(pick_##name, run_##name##_, 0, STAMP_FIRST_H_,                                \
                     sem_##name(v, &d_, &s_, OLD_LANE))                                            \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        return host_has_fma() ? pick_##name(in, mode) : NULL;                                      \
    }
#define FMA_STAMP_SCALAR(name, size)                                                               \
    STAMP_VEX_R_(run_##name##_r, 1, STAMP_FIRST_H_, sem_##name(v, &d_, &s_, OLD_LANE))             \
    STAMP_VEX_M_(run_##name##_f, 1, size, 0, EA_FLAT, STAMP_FIRST_H_,                              \
                 sem_##name(v, &d_, &s_, OLD_LANE))                                                \
    STAMP_VEX_M_(run_##name##_o, 1, size, 0, EA_OPEN, STAMP_FIRST_H_,                              \
                 sem_##name(v, &d_, &s_, OLD_LANE))                                                \
    STAMP_LANE_PICK_(pick_##name, run_##name##_r, run_##name##_f, run_##name##_o)                  \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        return host_has_fma() ? pick_##name(in, mode) : NULL;                                      \
    }

#define FMA_EXEC(name, bits, form, elements, even, odd)                                            \
    static bool exec_##name(struct vcpu *v, const struct insn *in, struct operands *x)             \
    {                                                                                              \
        (void)in;                                                                                  \
        return fma##bits(v, x, &form_##form, elements, even, odd);                                 \
    }
#define FMA_PACKED(op, form, even, odd)                                                            \
    FMA_EXEC(op##form##ps, 32, form, vec_bytes(in) / 4, even, odd)                                 \
    FMA_EXEC(op##form##pd, 64, form, vec_bytes(in) / 8, even, odd)                                 \
    HOST_FMA(op##form##ps)                                                                         \
    HOST_FMA(op##form##pd)                                                                         \
    FMA_STAMP_PACKED(op##form##ps)                                                                 \
    FMA_STAMP_PACKED(op##form##pd)
#define FMA_SCALAR(op, form, variant)                                                              \
    FMA_EXEC(op##form##ss, 32, form, 1, variant, variant)                                          \
    FMA_EXEC(op##form##sd, 64, form, 1, variant, variant)                                          \
    HOST_FMA(op##form##ss)                                                                         \
    HOST_FMA(op##form##sd)                                                                         \
    FMA_STAMP_SCALAR(op##form##ss, 4)                                                              \
    FMA_STAMP_SCALAR(op##form##sd, 8)
#define FMA(op, variant)                                                                           \
    FMA_PACKED(op, 132, variant, variant)                                                          \
    FMA_PACKED(op, 213, variant, variant)                                                          \
    FMA_PACKED(op, 231, variant, variant)                                                          \
    FMA_SCALAR(op, 132, variant)                                                                   \
    FMA_SCALAR(op, 213, variant)                                                                   \
    FMA_SCALAR(op, 231, variant)
#define FMA_ALTERNATING(op, even, odd)                                                             \
    FMA_PACKED(op, 132, even, odd)                                                                 \
    FMA_PACKED(op, 213, even, odd)                                                                 \
    FMA_PACKED(op, 231, even, odd)

FMA(vfmadd, 0)
FMA(vfmsub, FMA_NEGATE_ADDEND)
FMA(vfnmadd, FMA_NEGATE_PRODUCT)
FMA(vfnmsub, FMA_NEGATE_PRODUCT | FMA_NEGATE_ADDEND)
FMA_ALTERNATING(vfmaddsub, FMA_NEGATE_ADDEND, 0)
FMA_ALTERNATING(vfmsubadd, 0, FMA_NEGATE_ADDEND)

/* ---- F16C ---- */

static bool exec_vcvtph2ps(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 i = 0; i < vec_bytes(in) / 4; i++)
        r.d[i] = fp16_to_f32(x->vec[1].w[i], &env);
    x->vec[0] = r;
    return sse_finish(v, &env);
}

/* imm8: 2 takes MXCSR.RC, 1:0 is the rounding mode otherwise. */
static bool exec_vcvtps2ph(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    if (!(in->imm & 4))
        env.rounding = in->imm & 3;
    for (u32 i = 0; i < vec_bytes(in) / 4; i++)
        r.w[i] = fp32_to_f16(x->vec[1].d[i], &env);
    x->vec[0] = r;
    return sse_finish(v, &env);
}

/* clang-format off */
#define FMA_ROW(name, l, w, opcode, operands) \
    {#name, "vex." l ".66.0f38." w " " opcode " /r", operands, exec_##name, AVX, .feature = F_FMA, .stamp = stamp_##name}
#define PACKED_ROWS(op, form, opcode) \
    FMA_ROW(op##form##ps, "128", "w0", opcode, "+Vx,Hx,Wx"), FMA_ROW(op##form##ps, "256", "w0", opcode, "+Vx,Hx,Wx"), \
    FMA_ROW(op##form##pd, "128", "w1", opcode, "+Vx,Hx,Wx"), FMA_ROW(op##form##pd, "256", "w1", opcode, "+Vx,Hx,Wx")
#define SCALAR_ROWS(op, form, opcode) \
    FMA_ROW(op##form##ss, "lig", "w0", opcode, "+Vdq,Hdq,Wd"), FMA_ROW(op##form##sd, "lig", "w1", opcode, "+Vdq,Hdq,Wq")

const struct insn_def isa_avx_fp[] = {
    PACKED_ROWS(vfmaddsub, 132, "96"), PACKED_ROWS(vfmaddsub, 213, "a6"), PACKED_ROWS(vfmaddsub, 231, "b6"),
    PACKED_ROWS(vfmsubadd, 132, "97"), PACKED_ROWS(vfmsubadd, 213, "a7"), PACKED_ROWS(vfmsubadd, 231, "b7"),
    PACKED_ROWS(vfmadd, 132, "98"),    PACKED_ROWS(vfmadd, 213, "a8"),    PACKED_ROWS(vfmadd, 231, "b8"),
    SCALAR_ROWS(vfmadd, 132, "99"),    SCALAR_ROWS(vfmadd, 213, "a9"),    SCALAR_ROWS(vfmadd, 231, "b9"),
    PACKED_ROWS(vfmsub, 132, "9a"),    PACKED_ROWS(vfmsub, 213, "aa"),    PACKED_ROWS(vfmsub, 231, "ba"),
    SCALAR_ROWS(vfmsub, 132, "9b"),    SCALAR_ROWS(vfmsub, 213, "ab"),    SCALAR_ROWS(vfmsub, 231, "bb"),
    PACKED_ROWS(vfnmadd, 132, "9c"),   PACKED_ROWS(vfnmadd, 213, "ac"),   PACKED_ROWS(vfnmadd, 231, "bc"),
    SCALAR_ROWS(vfnmadd, 132, "9d"),   SCALAR_ROWS(vfnmadd, 213, "ad"),   SCALAR_ROWS(vfnmadd, 231, "bd"),
    PACKED_ROWS(vfnmsub, 132, "9e"),   PACKED_ROWS(vfnmsub, 213, "ae"),   PACKED_ROWS(vfnmsub, 231, "be"),
    SCALAR_ROWS(vfnmsub, 132, "9f"),   SCALAR_ROWS(vfnmsub, 213, "af"),   SCALAR_ROWS(vfnmsub, 231, "bf"),
    {"vcvtph2ps", "vex.128.66.0f38.w0 13 /r", "=Vdq,Wq", exec_vcvtph2ps, AVX, .feature = F_F16C},
    {"vcvtph2ps", "vex.256.66.0f38.w0 13 /r", "=Vqq,Wdq", exec_vcvtph2ps, AVX, .feature = F_F16C},
    {"vcvtps2ph", "vex.128.66.0f3a.w0 1d /r", "=Wq,Vdq,Ib", exec_vcvtps2ph, AVX, .feature = F_F16C},
    {"vcvtps2ph", "vex.256.66.0f3a.w0 1d /r", "=Wdq,Vqq,Ib", exec_vcvtps2ph, AVX, .feature = F_F16C},
    {0},
};
/* clang-format on */
