/* SPDX-License-Identifier: MIT */
/*
 * Conversions of binary16/32/64 among each other and with integers: SDM Vol 1 4.8, 11.5.2 and the
 * pages of the CVT* and ROUND* instructions, 14.4.1 (F16C).
 */
#include "cpu/fp/ieee.h"

static ALWAYS_INLINE u64 ieee_round_integral(struct ieee_format f, u64 a, bool quiet_inexact,
                                             struct fp_env *env)
{
    const struct ieee_parts p = ieee_unpack(f, a, env->daz);
    const u64 sign = p.sign ? ieee_sign_bit(f) : 0;
    const i32 exponent = p.exp - ieee_bias(f);
    u64 whole;
    u32 rest, shift;

    if (p.class == FP_CLASS_NAN)
        return ieee_propagate(f, a, a, env);
    if (p.class == FP_CLASS_ZERO)
        return sign;
    if (p.class == FP_CLASS_INF || exponent >= (i32)f.frac)
        return a;
    whole = integer_part(p.sig, exponent, &rest);
    if (rest && !quiet_inexact)
        env->flags |= FP_PE;
    whole += round_increments(env->rounding, p.sign, whole, rest >> 1, rest & 1);
    if (!whole)
        return sign;
    shift = leading_zeros(whole);
    return sign + ((u64)(ieee_bias(f) + 62 - (i32)shift) << f.frac) +
           (whole << shift >> (63 - f.frac));
}

static ALWAYS_INLINE u64 ieee_to_int(struct ieee_format f, u64 a, u32 bits, struct fp_env *env)
{
    const struct ieee_parts p = ieee_unpack(f, a, env->daz);
    const i32 exponent = p.exp - ieee_bias(f);
    const u64 smallest = 1ull << (bits - 1);
    u64 whole;
    u32 rest;

    if (p.class == FP_CLASS_ZERO)
        return 0;
    if (p.class != FP_CLASS_FINITE || exponent > 63)
        goto invalid;
    whole = integer_part(p.sig, exponent, &rest);
    whole += round_increments(env->rounding, p.sign, whole, rest >> 1, rest & 1);
    if (whole > smallest - !p.sign)
        goto invalid;
    if (rest)
        env->flags |= FP_PE;
    return p.sign ? -whole : whole;

invalid:
    env->flags |= FP_IE;
    return smallest;
}

static ALWAYS_INLINE u64 ieee_from_i64(struct ieee_format f, i64 value, struct fp_env *env)
{
    const bool sign = value < 0;
    const u64 magnitude = sign ? -(u64)value : (u64)value;
    u32 shift;

    if (!value)
        return 0;
    shift = leading_zeros(magnitude);
    return ieee_round(f, sign, ieee_bias(f) + 63 - (i32)shift, magnitude << shift, env);
}

/* A NaN keeps the upper bits of its payload. */
static ALWAYS_INLINE u64 ieee_resize_nan(struct ieee_format from, struct ieee_format to, u64 a,
                                         struct fp_env *env)
{
    const u64 frac = a << (64 - from.frac);

    if (ieee_is_snan(from, a))
        env->flags |= FP_IE;
    return ((a & ieee_sign_bit(from)) != 0 ? ieee_sign_bit(to) : 0) | ieee_inf(to) |
           ieee_quiet_bit(to) | frac >> (64 - to.frac);
}

static ALWAYS_INLINE u64 ieee_resize(struct ieee_format from, struct ieee_format to, u64 a,
                                     struct fp_env *env)
{
    const struct ieee_parts p = ieee_unpack(from, a, env->daz);
    const u64 sign = p.sign ? ieee_sign_bit(to) : 0;

    switch (p.class) {
    case FP_CLASS_NAN: return ieee_resize_nan(from, to, a, env);
    case FP_CLASS_INF: return sign | ieee_inf(to);
    case FP_CLASS_ZERO: return sign;
    default: break;
    }
    if (p.denormal)
        env->flags |= FP_DE;
    return ieee_round(to, p.sign, p.exp - ieee_bias(from) + ieee_bias(to), p.sig, env);
}

u32 fp32_round_integral(u32 a, bool quiet_inexact, struct fp_env *env)
{
    return (u32)ieee_round_integral(FORMAT32, a, quiet_inexact, env);
}

u64 fp64_round_integral(u64 a, bool quiet_inexact, struct fp_env *env)
{
    return ieee_round_integral(FORMAT64, a, quiet_inexact, env);
}

u32 fp32_to_i32(u32 a, struct fp_env *env)
{
    return (u32)ieee_to_int(FORMAT32, a, 32, env);
}

u64 fp32_to_i64(u32 a, struct fp_env *env)
{
    return ieee_to_int(FORMAT32, a, 64, env);
}

u32 fp64_to_i32(u64 a, struct fp_env *env)
{
    return (u32)ieee_to_int(FORMAT64, a, 32, env);
}

u64 fp64_to_i64(u64 a, struct fp_env *env)
{
    return ieee_to_int(FORMAT64, a, 64, env);
}

u32 fp32_from_i64(i64 value, struct fp_env *env)
{
    return (u32)ieee_from_i64(FORMAT32, value, env);
}

u64 fp64_from_i64(i64 value, struct fp_env *env)
{
    return ieee_from_i64(FORMAT64, value, env);
}

u64 fp32_to_f64(u32 a, struct fp_env *env)
{
    return ieee_resize(FORMAT32, FORMAT64, a, env);
}

u32 fp64_to_f32(u64 a, struct fp_env *env)
{
    return (u32)ieee_resize(FORMAT64, FORMAT32, a, env);
}

u32 fp16_to_f32(u16 a, struct fp_env *env)
{
    struct fp_env quiet = *env;
    u32 result;

    quiet.daz = false;
    quiet.flags = 0;
    result = (u32)ieee_resize(FORMAT16, FORMAT32, a, &quiet);
    env->flags |= quiet.flags & FP_IE;
    return result;
}

u16 fp32_to_f16(u32 a, struct fp_env *env)
{
    struct fp_env no_flush = *env;
    u16 result;

    no_flush.ftz = false;
    result = (u16)ieee_resize(FORMAT32, FORMAT16, a, &no_flush);
    env->flags = no_flush.flags;
    return result;
}

static const struct fp_env estimate_env = {.rounding = FP_NEAREST,
                                           .masks = FP_ALL,
                                           .daz = true,
                                           .ftz = true};

/* Round to the nearest 12-bit significand: 12 of the 24 bits go. */
static u32 estimate_round(u32 value)
{
    return (value + 0x7ff + (value >> 12 & 1)) & ~0xfffu;
}

u32 fp32_rcp_estimate(u32 a)
{
    struct fp_env env = estimate_env;
    const u32 result = fp32_div(0x3f800000, a, &env);

    return ieee_is_nan(FORMAT32, result) ? result : estimate_round(result);
}

/* The reciprocal of the root in binary64 is far more exact than the 12 bits that stay. */
u32 fp32_rsqrt_estimate(u32 a)
{
    struct fp_env env = estimate_env;
    const u64 wide = fp64_sqrt(fp32_to_f64(a, &env), &env);
    const u64 result = fp64_div(0x3ff0000000000000, wide, &env);

    if (ieee_is_nan(FORMAT32, a))
        return a | (u32)ieee_quiet_bit(FORMAT32);
    if (ieee_is_nan(FORMAT64, result))
        return (u32)ieee_indefinite(FORMAT32);
    return estimate_round(fp64_to_f32(result, &env));
}
