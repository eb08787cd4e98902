/* SPDX-License-Identifier: MIT */
/* 80-bit extended to and from binary32/64, integers and packed BCD; FRNDINT. SDM Vol 1 4.7, 4.8. */
#include "cpu/fp/ext.h"
#include "cpu/fp/ieee.h"

static ALWAYS_INLINE struct f80 widen(struct ieee_format f, u64 a, bool *denormal)
{
    const struct ieee_parts p = ieee_unpack(f, a, false);

    *denormal = p.denormal;
    switch (p.class) {
    case FP_CLASS_ZERO: return ext_zero(p.sign);
    case FP_CLASS_FINITE: return ext_make(p.sign, p.exp - ieee_bias(f) + F80_BIAS, p.sig);
    default: return ext_make(p.sign, F80_EMAX, p.sig);
    }
}

struct f80 fp80_widen_f32(u32 a, bool *denormal)
{
    return widen(FORMAT32, a, denormal);
}

struct f80 fp80_widen_f64(u64 a, bool *denormal)
{
    return widen(FORMAT64, a, denormal);
}

static struct f80 load(struct f80 wide, bool denormal, struct fp_env *env)
{
    if (denormal)
        env->flags |= FP_DE;
    return fp80_classify(wide) == FP_CLASS_NAN ? fp80_propagate(wide, env) : wide;
}

struct f80 fp80_from_f32(u32 a, struct fp_env *env)
{
    bool denormal;
    const struct f80 wide = widen(FORMAT32, a, &denormal);

    return load(wide, denormal, env);
}

struct f80 fp80_from_f64(u64 a, struct fp_env *env)
{
    bool denormal;
    const struct f80 wide = widen(FORMAT64, a, &denormal);

    return load(wide, denormal, env);
}

struct f80 fp80_from_i64(i64 value)
{
    const u64 magnitude = value < 0 ? -(u64)value : (u64)value;
    u32 shift;

    if (!value)
        return ext_zero(false);
    shift = leading_zeros(magnitude);
    return ext_make(value < 0, F80_BIAS + 63 - (i32)shift, magnitude << shift);
}

static ALWAYS_INLINE u64 narrow(struct ieee_format f, struct f80 a, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    const u64 sign = p.sign ? ieee_sign_bit(f) : 0;
    struct f80 quiet;

    switch (p.class) {
    case FP_CLASS_ZERO: return sign;
    case FP_CLASS_INF: return sign | ieee_inf(f);
    case FP_CLASS_INVALID: return ieee_invalid(f, env);
    case FP_CLASS_NAN:
        quiet = fp80_propagate(a, env);
        return sign | ieee_inf(f) | quiet.mant << 1 >> (64 - f.frac);
    default: break;
    }
    /* A denormal source underflows here and is no exception of its own (SDM Vol 2A, FST). */
    return ieee_round(f, p.sign, p.exp - F80_BIAS + ieee_bias(f), p.sig, env);
}

u32 fp80_to_f32(struct f80 a, struct fp_env *env)
{
    return (u32)narrow(FORMAT32, a, env);
}

u64 fp80_to_f64(struct f80 a, struct fp_env *env)
{
    return narrow(FORMAT64, a, env);
}

/* The magnitude as an integer in env->rounding, at most limit (one less if positive and
 * asymmetric); false: invalid. PE is raised. Zero is handled. */
static bool to_magnitude(const struct ext_parts *p, u64 limit, u64 *whole, struct fp_env *env)
{
    u32 rest;
    bool up;

    *whole = 0;
    if (p->class == FP_CLASS_ZERO)
        return true;
    if (p->class != FP_CLASS_FINITE || p->exp - F80_BIAS > 63)
        return false;
    *whole = integer_part(p->sig, p->exp - F80_BIAS, &rest);
    up = round_increments(env->rounding, p->sign, *whole, rest >> 1, rest & 1);
    if (*whole > limit || *whole + up > limit)
        return false;
    *whole += up;
    env->flags |= rest ? FP_PE : 0;
    env->rounded_up = up;
    return true;
}

u64 fp80_to_int(struct f80 a, u32 bytes, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    const u64 smallest = 1ull << (8 * bytes - 1);
    u64 whole;

    if (!to_magnitude(&p, smallest - !p.sign, &whole, env)) {
        env->flags |= FP_IE;
        return smallest;
    }
    return p.sign ? -whole : whole;
}

struct f80 fp80_round_integral(struct f80 a, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    u64 whole;
    u32 shift;

    if (ext_is_nan(&p))
        return fp80_propagate(a, env);
    if (p.denormal)
        env->flags |= FP_DE;
    if (p.class != FP_CLASS_FINITE || p.exp - F80_BIAS >= 63)
        return a;
    (void)to_magnitude(&p, ~0ull, &whole, env);
    if (!whole)
        return ext_zero(p.sign);
    shift = leading_zeros(whole);
    return ext_make(p.sign, F80_BIAS + 63 - (i32)shift, whole << shift);
}

/* Digits above 9 are undefined in the manual; they count with their value here, as in hardware. */
struct f80 fp80_from_bcd(u64 digits, u16 top)
{
    u64 value = 0;
    struct f80 result;

    value = (u64)(top >> 4 & 15) * 10 + (top & 15);
    for (i32 shift = 60; shift >= 0; shift -= 4)
        value = value * 10 + (digits >> shift & 15);
    result = fp80_from_i64((i64)value);
    result.se |= top & 0x8000;
    return result;
}

void fp80_to_bcd(struct f80 a, u64 *digits, u16 *top, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    u64 whole;

    if (!to_magnitude(&p, 999999999999999999, &whole, env)) {
        env->flags |= FP_IE;
        *digits = 0xc000000000000000; /* packed BCD indefinite, SDM Vol 1 4.7 */
        *top = 0xffff;
        return;
    }
    *digits = 0;
    for (u32 shift = 0; shift < 64; shift += 4) {
        *digits |= whole % 10 << shift;
        whole /= 10;
    }
    *top = (u16)(whole % 10 | whole / 10 << 4 | (u64)p.sign << 15);
}
