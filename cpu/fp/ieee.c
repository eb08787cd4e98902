/* SPDX-License-Identifier: MIT */
/*
 * binary32 and binary64 arithmetic with SSE rules: SDM Vol 1 4.8 (special cases, NaNs), 4.9
 * (exceptions and their priority), 11.5 (SIMD exceptions), 14.5.2 (FMA).
 */
#include "cpu/fp/ieee.h"

static ALWAYS_INLINE void raise_denormal(const struct ieee_parts *a, const struct ieee_parts *b,
                                         struct fp_env *env)
{
    if (a->denormal | b->denormal)
        env->flags |= FP_DE;
}

/* A zero that comes of x - x: +0, but -0 when rounding down. */
static ALWAYS_INLINE u64 exact_zero(struct ieee_format f, const struct fp_env *env)
{
    return env->rounding == FP_DOWN ? ieee_sign_bit(f) : 0;
}

static ALWAYS_INLINE u64 with_sign(struct ieee_format f, bool sign, u64 magnitude)
{
    return sign ? magnitude | ieee_sign_bit(f) : magnitude;
}

/* a + b where one of them is no finite number but zero, infinite or a NaN. b's sign is in pb. */
static inline u64 add_special(struct ieee_format f, u64 a, u64 b, const struct ieee_parts *pa,
                              const struct ieee_parts *pb, struct fp_env *env)
{
    if (pa->class == FP_CLASS_NAN || pb->class == FP_CLASS_NAN)
        return ieee_propagate(f, a, b, env);
    if (pa->class == FP_CLASS_INF && pb->class == FP_CLASS_INF && pa->sign != pb->sign)
        return ieee_invalid(f, env);
    raise_denormal(pa, pb, env);
    if (pa->class == FP_CLASS_INF)
        return with_sign(f, pa->sign, ieee_inf(f));
    if (pb->class == FP_CLASS_INF)
        return with_sign(f, pb->sign, ieee_inf(f));
    if (pa->class == FP_CLASS_FINITE)
        return ieee_round(f, pa->sign, pa->exp, pa->sig, env);
    if (pb->class == FP_CLASS_FINITE)
        return ieee_round(f, pb->sign, pb->exp, pb->sig, env);
    return pa->sign == pb->sign ? with_sign(f, pa->sign, 0) : exact_zero(f, env);
}

static ALWAYS_INLINE u64 ieee_add(struct ieee_format f, u64 a, u64 b, bool negate,
                                  struct fp_env *env)
{
    struct ieee_parts pa = ieee_unpack(f, a, env->daz);
    struct ieee_parts pb = ieee_unpack(f, b, env->daz);
    u64 big, small, sum;
    u32 shift;

    pb.sign ^= negate;
    if (unlikely(pa.class != FP_CLASS_FINITE || pb.class != FP_CLASS_FINITE))
        return add_special(f, a, b, &pa, &pb, env);
    raise_denormal(&pa, &pb, env);
    if (pa.exp < pb.exp || (pa.exp == pb.exp && pa.sig < pb.sig)) {
        const struct ieee_parts swap = pa;

        pa = pb;
        pb = swap;
    }
    big = pa.sig >> 1;
    small = shift_right_sticky(pb.sig >> 1, (u32)(pa.exp - pb.exp));
    sum = pa.sign == pb.sign ? big + small : big - small;
    if (unlikely(!sum))
        return exact_zero(f, env);
    shift = leading_zeros(sum);
    return ieee_round(f, pa.sign, pa.exp + 1 - (i32)shift, sum << shift, env);
}

static ALWAYS_INLINE u64 ieee_mul(struct ieee_format f, u64 a, u64 b, struct fp_env *env)
{
    const struct ieee_parts pa = ieee_unpack(f, a, env->daz);
    const struct ieee_parts pb = ieee_unpack(f, b, env->daz);
    const bool sign = pa.sign ^ pb.sign;
    i32 exp = pa.exp + pb.exp - ieee_bias(f) + 1;
    u128 product;
    u64 sig;

    if (unlikely(pa.class != FP_CLASS_FINITE || pb.class != FP_CLASS_FINITE)) {
        if (pa.class == FP_CLASS_NAN || pb.class == FP_CLASS_NAN)
            return ieee_propagate(f, a, b, env);
        if (pa.class != FP_CLASS_INF && pb.class != FP_CLASS_INF) {
            raise_denormal(&pa, &pb, env);
            return with_sign(f, sign, 0);
        }
        if (pa.class == FP_CLASS_ZERO || pb.class == FP_CLASS_ZERO)
            return ieee_invalid(f, env);
        raise_denormal(&pa, &pb, env);
        return with_sign(f, sign, ieee_inf(f));
    }
    raise_denormal(&pa, &pb, env);
    product = (u128)pa.sig * pb.sig;
    sig = (u64)(product >> 64) | ((u64)product != 0);
    if (!(sig >> 63)) {
        sig <<= 1;
        exp--;
    }
    return ieee_round(f, sign, exp, sig, env);
}

static inline u64 div_special(struct ieee_format f, u64 a, u64 b, const struct ieee_parts *pa,
                              const struct ieee_parts *pb, struct fp_env *env)
{
    const bool sign = pa->sign ^ pb->sign;

    if (pa->class == FP_CLASS_NAN || pb->class == FP_CLASS_NAN)
        return ieee_propagate(f, a, b, env);
    if (pa->class == pb->class)
        return ieee_invalid(f, env);
    if (pb->class == FP_CLASS_ZERO) {
        if (pa->class == FP_CLASS_FINITE)
            env->flags |= FP_ZE;
        return with_sign(f, sign, ieee_inf(f));
    }
    raise_denormal(pa, pb, env);
    return with_sign(f, sign, pa->class == FP_CLASS_INF ? ieee_inf(f) : 0);
}

static ALWAYS_INLINE u64 ieee_div(struct ieee_format f, u64 a, u64 b, struct fp_env *env)
{
    const struct ieee_parts pa = ieee_unpack(f, a, env->daz);
    const struct ieee_parts pb = ieee_unpack(f, b, env->daz);
    i32 exp = pa.exp - pb.exp + ieee_bias(f) - 1;
    u64 sig;

    if (unlikely(pa.class != FP_CLASS_FINITE || pb.class != FP_CLASS_FINITE))
        return div_special(f, a, b, &pa, &pb, env);
    raise_denormal(&pa, &pb, env);
    if (f.frac <= 23) {
        /* 24 significant bits: a 64-bit division has enough of them below. */
        const u64 divisor = pb.sig >> 39;

        sig = (pa.sig >> 1) / divisor;
        sig = sig << 25 | ((pa.sig >> 1) % divisor != 0);
    } else {
        u64 rest;

        sig = divide(pa.sig >> 2, pa.sig << 62, pb.sig, &rest);
        sig = sig << 1 | (rest != 0);
    }
    if (sig >> 63) {
        exp++;
    } else {
        const u32 shift = leading_zeros(sig);

        sig = (sig & ~1ull) << shift | (sig & 1);
        exp -= (i32)shift - 1;
    }
    return ieee_round(f, pa.sign ^ pb.sign, exp, sig, env);
}

static ALWAYS_INLINE u64 ieee_sqrt(struct ieee_format f, u64 a, struct fp_env *env)
{
    const struct ieee_parts p = ieee_unpack(f, a, env->daz);
    const i32 unbiased = p.exp - ieee_bias(f);
    u64 root;

    if (unlikely(p.class == FP_CLASS_NAN))
        return ieee_propagate(f, a, a, env);
    if (p.class == FP_CLASS_ZERO)
        return with_sign(f, p.sign, 0);
    if (p.sign)
        return ieee_invalid(f, env);
    if (p.class == FP_CLASS_INF)
        return a;
    raise_denormal(&p, &p, env);
    if (f.frac <= 23) {
        u64 rest;

        root = root64(p.sig >> (~unbiased & 1), &rest);
        root = root << 32 | (rest != 0);
    } else {
        u128 rest;

        root = root128((u128)p.sig << (63 + (unbiased & 1)), &rest);
        root |= rest != 0;
    }
    return ieee_round(f, false, (unbiased >> 1) + ieee_bias(f), root, env);
}

/* -1, 0 or 1 as a is below, equal to or above b; neither is a NaN. */
static ALWAYS_INLINE i32 ieee_order(struct ieee_format f, u64 a, u64 b)
{
    const u64 sign = ieee_sign_bit(f);
    const i64 ka = (a & sign) != 0 ? -(i64)(a & ~sign) : (i64)a;
    const i64 kb = (b & sign) != 0 ? -(i64)(b & ~sign) : (i64)b;

    return (ka > kb) - (ka < kb);
}

static ALWAYS_INLINE u64 denormal_to_zero(struct ieee_format f, u64 a, bool daz)
{
    return daz && !(a & ieee_inf(f)) ? a & ieee_sign_bit(f) : a;
}

static ALWAYS_INLINE bool is_denormal(struct ieee_format f, u64 a)
{
    return (a & ~ieee_sign_bit(f)) - 1 < (1ull << f.frac) - 1;
}

static ALWAYS_INLINE enum fp_relation ieee_compare(struct ieee_format f, u64 a, u64 b, bool quiet,
                                                   struct fp_env *env)
{
    a = denormal_to_zero(f, a, env->daz);
    b = denormal_to_zero(f, b, env->daz);
    if (unlikely(ieee_is_nan(f, a) || ieee_is_nan(f, b))) {
        if (!quiet || ieee_is_snan(f, a) || ieee_is_snan(f, b))
            env->flags |= FP_IE;
        return FP_UNORDERED;
    }
    if (unlikely(is_denormal(f, a) || is_denormal(f, b)))
        env->flags |= FP_DE;
    return (enum fp_relation)(ieee_order(f, a, b) + FP_EQUAL);
}

static ALWAYS_INLINE u64 ieee_minmax(struct ieee_format f, u64 a, u64 b, enum fp_relation wanted,
                                     struct fp_env *env)
{
    const enum fp_relation relation = ieee_compare(f, a, b, false, env);
    const u64 result = relation == wanted ? a : b;

    return ieee_is_nan(f, result) ? result : denormal_to_zero(f, result, env->daz);
}

static inline u64 fma_special(struct ieee_format f, const u64 v[3], const struct ieee_parts p[3],
                              bool sign, struct fp_env *env)
{
    const bool has_inf = p[0].class == FP_CLASS_INF || p[1].class == FP_CLASS_INF;
    const bool has_zero = p[0].class == FP_CLASS_ZERO || p[1].class == FP_CLASS_ZERO;

    for (u32 i = 0; i < 3; i++)
        if (ieee_is_snan(f, v[i]))
            env->flags |= FP_IE;
    for (u32 i = 0; i < 3; i++)
        if (p[i].class == FP_CLASS_NAN)
            return v[i] | ieee_quiet_bit(f);
    if (has_inf && has_zero)
        return ieee_invalid(f, env);
    if (has_inf && p[2].class == FP_CLASS_INF && p[2].sign != sign)
        return ieee_invalid(f, env);
    if (p[0].denormal | p[1].denormal | p[2].denormal)
        env->flags |= FP_DE;
    if (has_inf)
        return with_sign(f, sign, ieee_inf(f));
    if (p[2].class == FP_CLASS_INF)
        return with_sign(f, p[2].sign, ieee_inf(f));
    if (p[2].class == FP_CLASS_FINITE)
        return ieee_round(f, p[2].sign, p[2].exp, p[2].sig, env);
    return sign == p[2].sign ? with_sign(f, sign, 0) : exact_zero(f, env);
}

/* The product is exact in 128 bits and lies at bit 126, so that an addition cannot carry out. */
static inline u64 ieee_fma(struct ieee_format f, u64 a, u64 b, u64 c, u32 variant,
                           struct fp_env *env)
{
    struct ieee_parts p[3] = {ieee_unpack(f, a, env->daz), ieee_unpack(f, b, env->daz),
                              ieee_unpack(f, c, env->daz)};
    const bool sign = p[0].sign ^ p[1].sign ^ (variant & FMA_NEGATE_PRODUCT);
    i32 exp = p[0].exp + p[1].exp - ieee_bias(f) + 2;
    u128 product, sum;
    bool negative = sign;
    u32 shift;

    p[2].sign ^= (variant & FMA_NEGATE_ADDEND) != 0;
    if (p[0].class != FP_CLASS_FINITE || p[1].class != FP_CLASS_FINITE ||
        p[2].class == FP_CLASS_INF || p[2].class == FP_CLASS_NAN)
        return fma_special(f, (const u64[]){a, b, c}, p, sign, env);
    if (p[0].denormal | p[1].denormal | p[2].denormal)
        env->flags |= FP_DE;
    product = (u128)p[0].sig * p[1].sig >> 1;
    if (!(product >> 126)) {
        product <<= 1;
        exp--;
    }
    sum = product;
    if (p[2].class == FP_CLASS_FINITE) {
        const i32 addend_exp = p[2].exp + 1;
        u128 addend = (u128)p[2].sig << 63;

        if (addend_exp > exp) {
            product = shift_right_sticky128(product, (u32)(addend_exp - exp));
            exp = addend_exp;
        } else {
            addend = shift_right_sticky128(addend, (u32)(exp - addend_exp));
        }
        if (p[2].sign == sign) {
            sum = product + addend;
        } else if (product >= addend) {
            sum = product - addend;
        } else {
            sum = addend - product;
            negative = !sign;
        }
        if (!sum)
            return exact_zero(f, env);
    }
    shift = leading_zeros128(sum);
    sum <<= shift;
    return ieee_round(f, negative, exp - (i32)shift, (u64)(sum >> 64) | ((u64)sum != 0), env);
}

/* One function for each operation and format. */
#define IEEE_FUNCTIONS(type, prefix, format)                                                       \
    type prefix##_add(type a, type b, struct fp_env *env)                                          \
    {                                                                                              \
        return (type)ieee_add(format, a, b, false, env);                                           \
    }                                                                                              \
    type prefix##_sub(type a, type b, struct fp_env *env)                                          \
    {                                                                                              \
        return (type)ieee_add(format, a, b, true, env);                                            \
    }                                                                                              \
    type prefix##_mul(type a, type b, struct fp_env *env)                                          \
    {                                                                                              \
        return (type)ieee_mul(format, a, b, env);                                                  \
    }                                                                                              \
    type prefix##_div(type a, type b, struct fp_env *env)                                          \
    {                                                                                              \
        return (type)ieee_div(format, a, b, env);                                                  \
    }                                                                                              \
    type prefix##_sqrt(type a, struct fp_env *env)                                                 \
    {                                                                                              \
        return (type)ieee_sqrt(format, a, env);                                                    \
    }                                                                                              \
    type prefix##_min(type a, type b, struct fp_env *env)                                          \
    {                                                                                              \
        return (type)ieee_minmax(format, a, b, FP_LESS, env);                                      \
    }                                                                                              \
    type prefix##_max(type a, type b, struct fp_env *env)                                          \
    {                                                                                              \
        return (type)ieee_minmax(format, a, b, FP_GREATER, env);                                   \
    }                                                                                              \
    enum fp_relation prefix##_compare(type a, type b, bool quiet, struct fp_env *env)              \
    {                                                                                              \
        return ieee_compare(format, a, b, quiet, env);                                             \
    }                                                                                              \
    type prefix##_fma(type a, type b, type c, u32 variant, struct fp_env *env)                     \
    {                                                                                              \
        return (type)ieee_fma(format, a, b, c, variant, env);                                      \
    }

IEEE_FUNCTIONS(u32, fp32, FORMAT32)
IEEE_FUNCTIONS(u64, fp64, FORMAT64)
