/* SPDX-License-Identifier: MIT */
/* Taking 80-bit extended values apart and rounding them together: SDM Vol 1 4.2.2, 8.2, 8.5. */
#ifndef CPU_FP_EXT_H
#define CPU_FP_EXT_H

#include "cpu/fp/round.h"

enum {
    F80_BIAS = 0x3fff,
    F80_EMAX = 0x7fff, /* exponent of infinities and NaNs */
    F80_WRAP = 24576, /* unmasked overflow and underflow: SDM Vol 1 8.5.4 */
};

#define F80_INTEGER_BIT 0x8000000000000000ull
#define F80_QUIET_BIT 0x4000000000000000ull

/* FINITE: sig has bit 63 set and exp is biased, below 1 for denormals. */
struct ext_parts {
    u64 sig;
    i32 exp;
    enum fp_class class;
    bool sign;
    bool denormal; /* or pseudo-denormal */
};

static ALWAYS_INLINE struct f80 ext_make(bool sign, i32 exp, u64 mant)
{
    return (struct f80){.mant = mant, .se = (u16)((sign ? 0x8000u : 0) | (u32)exp)};
}

/* Normal numbers are by far the most common. */
static ALWAYS_INLINE bool ext_is_normal(struct f80 a)
{
    return (u32)(a.se & F80_EMAX) - 1 < F80_EMAX - 1 && a.mant >> 63;
}

static ALWAYS_INLINE struct ext_parts ext_unpack(struct f80 a)
{
    struct ext_parts p = {.sig = a.mant,
                          .exp = a.se & F80_EMAX,
                          .class = FP_CLASS_FINITE,
                          .sign = a.se >> 15};

    if (likely(ext_is_normal(a)))
        return p;
    if (p.exp == 0) {
        if (!p.sig) {
            p.class = FP_CLASS_ZERO;
        } else {
            const u32 shift = leading_zeros(p.sig);

            p.denormal = true;
            p.sig <<= shift;
            p.exp = 1 - (i32)shift;
        }
    } else if (!(p.sig >> 63)) {
        p.class = FP_CLASS_INVALID;
    } else {
        p.class = p.sig << 1 ? FP_CLASS_NAN : FP_CLASS_INF;
    }
    return p;
}

static ALWAYS_INLINE struct f80 ext_inf(bool sign)
{
    return ext_make(sign, F80_EMAX, F80_INTEGER_BIT);
}

static ALWAYS_INLINE struct f80 ext_zero(bool sign)
{
    return ext_make(sign, 0, 0);
}

static ALWAYS_INLINE struct f80 ext_invalid(struct fp_env *env)
{
    env->flags |= FP_IE;
    return F80_INDEFINITE;
}

static ALWAYS_INLINE bool ext_is_nan(const struct ext_parts *p)
{
    return p->class >= FP_CLASS_NAN; /* or invalid */
}

/* Round sig * 2^(exp - bias - 127), bit 127 of sig set, to env->precision; anything can happen. */
struct f80 ext_round_slow(bool sign, i32 exp, u128 sig, u8 precision, struct fp_env *env);

/* Bits 127..64 of sig are the significand, the rest is below it and may end in a sticky bit. */
static ALWAYS_INLINE struct f80 ext_round(bool sign, i32 exp, u128 sig, u8 precision,
                                          struct fp_env *env)
{
    u64 mant = (u64)(sig >> 64);
    const u64 below = (u64)sig;
    bool up;

    if (unlikely((u32)exp - 1 >= F80_EMAX - 2 || !(precision & 1)))
        return ext_round_slow(sign, exp, sig, precision, env);
    up = round_increments(env->rounding, sign, mant, below >> 63, (below << 1) != 0);
    env->flags |= below ? FP_PE : 0;
    env->rounded_up = up;
    mant += up;
    if (unlikely(!mant)) {
        mant = F80_INTEGER_BIT;
        exp++;
    }
    return ext_make(sign, exp, mant);
}

#endif
