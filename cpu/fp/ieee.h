/* SPDX-License-Identifier: MIT */
/*
 * Taking binary16/32/64 values apart and rounding them together. The format is always a constant at
 * the call, so these fold into code for one format each.
 */
#ifndef CPU_FP_IEEE_H
#define CPU_FP_IEEE_H

#include "cpu/fp/round.h"

struct ieee_format {
    u32 frac; /* fraction bits */
    u32 emax; /* the exponent of infinities and NaNs */
};

#define FORMAT16 ((struct ieee_format){10, 0x1f})
#define FORMAT32 ((struct ieee_format){23, 0xff})
#define FORMAT64 ((struct ieee_format){52, 0x7ff})

/* A source operand. FINITE: sig has bit 63 set and exp is biased, below 1 for denormals. */
struct ieee_parts {
    u64 sig;
    i32 exp;
    enum fp_class class;
    bool sign;
    bool denormal;
};

static ALWAYS_INLINE i32 ieee_bias(struct ieee_format f)
{
    return (i32)(f.emax >> 1);
}

static ALWAYS_INLINE u64 ieee_sign_bit(struct ieee_format f)
{
    return (u64)(f.emax + 1) << f.frac;
}

static ALWAYS_INLINE u64 ieee_inf(struct ieee_format f)
{
    return (u64)f.emax << f.frac;
}

static ALWAYS_INLINE u64 ieee_quiet_bit(struct ieee_format f)
{
    return 1ull << (f.frac - 1);
}

/* The QNaN floating-point indefinite, SDM Vol 1 table 4-3. */
static ALWAYS_INLINE u64 ieee_indefinite(struct ieee_format f)
{
    return ieee_sign_bit(f) | ieee_inf(f) | ieee_quiet_bit(f);
}

static ALWAYS_INLINE bool ieee_is_nan(struct ieee_format f, u64 a)
{
    return (a & ~ieee_sign_bit(f)) > ieee_inf(f);
}

static ALWAYS_INLINE bool ieee_is_snan(struct ieee_format f, u64 a)
{
    return ieee_is_nan(f, a) && !(a & ieee_quiet_bit(f));
}

static ALWAYS_INLINE struct ieee_parts ieee_unpack(struct ieee_format f, u64 a, bool daz)
{
    struct ieee_parts p = {.sign = (a & ieee_sign_bit(f)) != 0, .class = FP_CLASS_FINITE};
    const u64 frac = a & ((1ull << f.frac) - 1);

    p.exp = (i32)(a >> f.frac & f.emax);
    p.sig = 1ull << 63 | frac << (63 - f.frac);
    if (likely((u32)p.exp - 1 < f.emax - 1))
        return p;
    if (p.exp) {
        p.class = frac ? FP_CLASS_NAN : FP_CLASS_INF;
    } else if (!frac || daz) {
        p.class = FP_CLASS_ZERO;
    } else {
        const u32 shift = leading_zeros(frac);

        p.sig = frac << shift;
        p.exp = (i32)(64 - f.frac) - (i32)shift;
        p.denormal = true;
    }
    return p;
}

/* The response to a NaN among two operands: SDM Vol 1 table 4-7. One of them must be a NaN. */
static ALWAYS_INLINE u64 ieee_propagate(struct ieee_format f, u64 a, u64 b, struct fp_env *env)
{
    if (ieee_is_snan(f, a) || ieee_is_snan(f, b))
        env->flags |= FP_IE;
    return (ieee_is_nan(f, a) ? a : b) | ieee_quiet_bit(f);
}

static ALWAYS_INLINE u64 ieee_invalid(struct ieee_format f, struct fp_env *env)
{
    env->flags |= FP_IE;
    return ieee_indefinite(f);
}

/* An overflowed result: infinity, or the largest finite value where rounding is toward zero. */
static ALWAYS_INLINE u64 ieee_overflow(struct ieee_format f, bool sign, bool inexact,
                                       struct fp_env *env)
{
    const bool to_inf = round_increments(env->rounding, sign, 1, 1, 1);

    if (env->masks & FP_OE)
        inexact = true;
    env->flags |= (u8)(FP_OE | (inexact ? FP_PE : 0));
    env->rounded_up = to_inf;
    return (sign ? ieee_sign_bit(f) : 0) | (ieee_inf(f) - !to_inf);
}

/* ieee_round() near the ends of the exponent range. Tininess is detected after rounding. */
static inline u64 ieee_round_edge(struct ieee_format f, bool sign, i32 exp, u64 sig,
                                  struct fp_env *env)
{
    const u32 shift = 63 - f.frac;
    const u64 signed_zero = sign ? ieee_sign_bit(f) : 0;
    u64 below = sig & ((1ull << shift) - 1);
    u64 kept = sig >> shift;
    bool up = round_increments(env->rounding, sign, kept, below >> (shift - 1),
                               (below << (65 - shift)) != 0);
    const bool carries = (kept + up) >> (f.frac + 1);
    const bool tiny = exp + carries < 1;

    if (exp + carries >= (i32)f.emax)
        return ieee_overflow(f, sign, below != 0, env);
    if (tiny && !(env->masks & FP_UE)) {
        /* Inexact is then judged with unbounded exponents; the result is of no use to anybody. */
        env->flags |= (u8)(FP_UE | (below ? FP_PE : 0));
        return signed_zero;
    }
    if (tiny && env->ftz) {
        env->flags |= FP_UE | FP_PE;
        env->rounded_up = false;
        return signed_zero;
    }
    if (exp < 1) {
        sig = shift_right_sticky(sig, (u32)(1 - exp));
        exp = 1;
        below = sig & ((1ull << shift) - 1);
        kept = sig >> shift;
        up = round_increments(env->rounding, sign, kept, below >> (shift - 1),
                              (below << (65 - shift)) != 0);
    }
    if (below)
        env->flags |= (u8)(FP_PE | (tiny ? FP_UE : 0));
    env->rounded_up = up;
    /* kept includes the integer bit, which adds 1 to the exponent field. */
    return signed_zero + ((u64)(exp - 1) << f.frac) + kept + up;
}

/*
 * Round sig * 2^(exp - bias - 63) to the format. sig has bit 63 set; its bit 0 may be sticky. exp
 * is any value.
 */
static ALWAYS_INLINE u64 ieee_round(struct ieee_format f, bool sign, i32 exp, u64 sig,
                                    struct fp_env *env)
{
    const u32 shift = 63 - f.frac;
    const u64 below = sig & ((1ull << shift) - 1);
    const u64 kept = sig >> shift;
    bool up;

    if (unlikely((u32)exp - 1 >= f.emax - 2))
        return ieee_round_edge(f, sign, exp, sig, env);
    up = round_increments(env->rounding, sign, kept, below >> (shift - 1),
                          (below << (65 - shift)) != 0);
    env->flags |= below ? FP_PE : 0;
    env->rounded_up = up;
    return (sign ? ieee_sign_bit(f) : 0) + ((u64)(exp - 1) << f.frac) + kept + up;
}

#endif
