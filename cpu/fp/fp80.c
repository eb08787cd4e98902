/* SPDX-License-Identifier: MIT */
/* 80-bit extended arithmetic with x87 rules: SDM Vol 1 4.8, 8.1.5 (precision control), 8.5. */
#include "cpu/fp/ext.h"

static ALWAYS_INLINE void raise_denormal(const struct ext_parts *a, const struct ext_parts *b,
                                         struct fp_env *env)
{
    if (a->denormal | b->denormal)
        env->flags |= FP_DE;
}

/* The lowest kept bit at each precision; 64 is bit 64 of the 128. */
static u32 precision_shift(u8 precision)
{
    return precision & 1 ? 64 : precision ? 75 : 104;
}

struct rounded {
    u128 sig;
    bool inexact, up, carry;
};

/* Round at bit `shift`; on a carry sig is 2^127 and the exponent owes 1. */
static struct rounded round_at(u128 sig, u32 shift, bool sign, const struct fp_env *env)
{
    const u128 below = sig & (((u128)1 << shift) - 1);
    const u128 half = (u128)1 << (shift - 1);
    struct rounded r = {.sig = sig - below, .inexact = below != 0};

    r.up = round_increments(env->rounding, sign, (u64)(sig >> shift), (below & half) != 0,
                            (below & ~half) != 0);
    if (r.up) {
        r.sig += (u128)1 << shift;
        if (!r.sig) {
            r.sig = (u128)1 << 127;
            r.carry = true;
        }
    }
    return r;
}

static struct f80 round_overflow(bool sign, i32 exp, const struct rounded *r, u32 shift,
                                 struct fp_env *env)
{
    bool to_inf;

    env->flags |= FP_OE;
    if (!(env->masks & FP_OE) && exp - F80_WRAP < F80_EMAX) {
        env->flags |= r->inexact ? FP_PE : 0;
        env->rounded_up = r->up;
        return ext_make(sign, exp - F80_WRAP, (u64)(r->sig >> 64));
    }
    env->flags |= FP_PE;
    /* Too large even to wrap, as only FSCALE can do: infinity (SDM Vol 1 8.5.4). */
    to_inf = !(env->masks & FP_OE) || round_increments(env->rounding, sign, 1, 1, 1);
    env->rounded_up = to_inf;
    return to_inf ? ext_inf(sign) : ext_make(sign, F80_EMAX - 1, ~0ull << (shift - 64));
}

/* 24 or 53 bits, far from the ends of the exponent range. */
static struct f80 round_short(bool sign, i32 exp, u128 sig, u32 drop, struct fp_env *env)
{
    u64 mant = (u64)(sig >> 64);
    const u64 lost = mant & ((1ull << drop) - 1);
    const bool sticky = (lost << (65 - drop) | (u64)sig) != 0;
    const bool up = round_increments(env->rounding, sign, mant >> drop, lost >> (drop - 1), sticky);

    env->flags |= (lost | (u64)sig) != 0 ? FP_PE : 0;
    env->rounded_up = up;
    mant = mant - lost + ((u64)up << drop);
    return mant ? ext_make(sign, exp, mant) : ext_make(sign, exp + 1, F80_INTEGER_BIT);
}

struct f80 ext_round_slow(bool sign, i32 exp, u128 sig, u8 precision, struct fp_env *env)
{
    const u32 shift = precision_shift(precision);
    struct rounded r;
    i32 rounded_exp;

    if ((u32)exp - 1 < F80_EMAX - 2 && shift > 64)
        return round_short(sign, exp, sig, shift - 64, env);
    r = round_at(sig, shift, sign, env);
    rounded_exp = exp + r.carry;
    if (rounded_exp >= F80_EMAX)
        return round_overflow(sign, rounded_exp, &r, shift, env);
    if (rounded_exp < 1) {
        if (!(env->masks & FP_UE)) {
            /* FSCALE again: too small even to wrap is a zero. */
            const bool wraps = rounded_exp + F80_WRAP > 0;

            env->flags |= (u8)(FP_UE | (r.inexact || !wraps ? FP_PE : 0));
            env->rounded_up = wraps && r.up;
            return wraps ? ext_make(sign, rounded_exp + F80_WRAP, (u64)(r.sig >> 64))
                         : ext_zero(sign);
        }
        /* A denormal is rounded at the same bit of the significand as it is stored. */
        r = round_at(shift_right_sticky128(sig, (u32)(1 - exp)), shift, sign, env);
        env->flags |= r.inexact ? FP_UE : 0;
        exp = (i32)(r.sig >> 127);
    } else if (exp < 1) {
        /* The carry made it normal: not tiny. */
        r = round_at(shift_right_sticky128(sig, (u32)(1 - exp)), shift, sign, env);
        exp = 1;
    } else {
        exp = rounded_exp;
    }
    env->flags |= r.inexact ? FP_PE : 0;
    env->rounded_up = r.up;
    return ext_make(sign, exp, (u64)(r.sig >> 64));
}

enum fp_class fp80_classify(struct f80 a)
{
    return ext_unpack(a).class;
}

static bool is_snan(struct f80 a)
{
    return (a.se & F80_EMAX) == F80_EMAX && a.mant >> 63 && a.mant << 1 &&
           !(a.mant & F80_QUIET_BIT);
}

static bool is_nan(struct f80 a)
{
    return (a.se & F80_EMAX) == F80_EMAX && a.mant >> 63 && a.mant << 1;
}

/* SDM Vol 1 table 4-7: the larger significand; a QNaN before an SNaN; of equals the positive one.
 */
struct f80 fp80_propagate2(struct f80 a, struct f80 b, struct fp_env *env)
{
    struct f80 winner;

    if (fp80_classify(a) == FP_CLASS_INVALID || fp80_classify(b) == FP_CLASS_INVALID)
        return ext_invalid(env);
    if (is_snan(a) || is_snan(b))
        env->flags |= FP_IE;
    if (!is_nan(b)) {
        winner = a;
    } else if (!is_nan(a)) {
        winner = b;
    } else if (is_snan(a) != is_snan(b)) {
        winner = is_snan(a) ? b : a;
    } else if (a.mant != b.mant) {
        winner = a.mant > b.mant ? a : b;
    } else {
        winner = a.se < b.se ? a : b;
    }
    winner.mant |= F80_QUIET_BIT;
    return winner;
}

struct f80 fp80_propagate(struct f80 a, struct fp_env *env)
{
    return fp80_propagate2(a, a, env);
}

/* One of the operands is no finite number but zero, infinite, a NaN or not supported. */
static NOINLINE struct f80 add_special(struct f80 a, struct f80 b, bool negate, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    struct ext_parts pb = ext_unpack(b);

    if (ext_is_nan(&pa) || ext_is_nan(&pb))
        return fp80_propagate2(a, b, env);
    pb.sign ^= negate;
    if (pa.class == FP_CLASS_INF && pb.class == FP_CLASS_INF && pa.sign != pb.sign)
        return ext_invalid(env);
    raise_denormal(&pa, &pb, env);
    if (pa.class == FP_CLASS_INF)
        return ext_inf(pa.sign);
    if (pb.class == FP_CLASS_INF)
        return ext_inf(pb.sign);
    if (pa.class == FP_CLASS_FINITE)
        return ext_round(pa.sign, pa.exp, (u128)pa.sig << 64, env->precision, env);
    if (pb.class == FP_CLASS_FINITE)
        return ext_round(pb.sign, pb.exp, (u128)pb.sig << 64, env->precision, env);
    return ext_zero(pa.sign == pb.sign ? pa.sign : env->rounding == FP_DOWN);
}

/* Both are finite and not zero. */
static ALWAYS_INLINE struct f80 add_finite(bool sign_a, i32 exp_a, u64 sig_a, bool sign_b,
                                           i32 exp_b, u64 sig_b, struct fp_env *env)
{
    const bool swap = exp_a < exp_b || (exp_a == exp_b && sig_a < sig_b);
    const bool sign = swap ? sign_b : sign_a;
    const i32 exp = swap ? exp_b : exp_a;
    const u32 distance = (u32)(swap ? exp_b - exp_a : exp_a - exp_b);
    const u128 big = (u128)(swap ? sig_b : sig_a) << 63;
    u128 small = (u128)(swap ? sig_a : sig_b) << 63;
    u128 sum;
    u32 shift;

    /* Up to 63 nothing falls off. */
    small = distance < 64 ? small >> distance : shift_right_sticky128(small, distance);
    sum = sign_a == sign_b ? big + small : big - small;
    if (unlikely(!sum))
        return ext_zero(env->rounding == FP_DOWN);
    shift = leading_zeros128(sum);
    return ext_round(sign, exp + 1 - (i32)shift, sum << shift, env->precision, env);
}

static NOINLINE struct f80 add_slow(struct f80 a, struct f80 b, bool negate, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);

    if (pb.class == FP_CLASS_ZERO && ext_is_normal(a) && (env->precision & 1)) {
        env->rounded_up = false;
        return a;
    }
    if (pa.class != FP_CLASS_FINITE || pb.class != FP_CLASS_FINITE)
        return add_special(a, b, negate, env);
    raise_denormal(&pa, &pb, env);
    return add_finite(pa.sign, pa.exp, pa.sig, pb.sign ^ negate, pb.exp, pb.sig, env);
}

static ALWAYS_INLINE struct f80 add(struct f80 a, struct f80 b, bool negate, struct fp_env *env)
{
    if (unlikely(!ext_is_normal(a) || !ext_is_normal(b)))
        return add_slow(a, b, negate, env);
    return add_finite(a.se >> 15, a.se & F80_EMAX, a.mant, (b.se >> 15) ^ negate, b.se & F80_EMAX,
                      b.mant, env);
}

struct f80 fp80_add(struct f80 a, struct f80 b, struct fp_env *env)
{
    return add(a, b, false, env);
}

struct f80 fp80_sub(struct f80 a, struct f80 b, struct fp_env *env)
{
    return add(a, b, true, env);
}

static ALWAYS_INLINE struct f80 mul_finite(bool sign, i32 exp, u64 sig_a, u64 sig_b,
                                           struct fp_env *env)
{
    u128 product = (u128)sig_a * sig_b;

    exp -= F80_BIAS - 1;
    if (!(product >> 127)) {
        product <<= 1;
        exp--;
    }
    return ext_round(sign, exp, product, env->precision, env);
}

static NOINLINE struct f80 mul_slow(struct f80 a, struct f80 b, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);
    const bool sign = pa.sign ^ pb.sign;

    if (ext_is_nan(&pa) || ext_is_nan(&pb))
        return fp80_propagate2(a, b, env);
    if ((pa.class == FP_CLASS_INF && pb.class == FP_CLASS_ZERO) ||
        (pb.class == FP_CLASS_INF && pa.class == FP_CLASS_ZERO))
        return ext_invalid(env);
    raise_denormal(&pa, &pb, env);
    if (pa.class == FP_CLASS_INF || pb.class == FP_CLASS_INF)
        return ext_inf(sign);
    if (pa.class == FP_CLASS_ZERO || pb.class == FP_CLASS_ZERO)
        return ext_zero(sign);
    return mul_finite(sign, pa.exp + pb.exp, pa.sig, pb.sig, env);
}

struct f80 fp80_mul(struct f80 a, struct f80 b, struct fp_env *env)
{
    if (unlikely(!ext_is_normal(a) || !ext_is_normal(b)))
        return mul_slow(a, b, env);
    return mul_finite((a.se ^ b.se) >> 15, (a.se & F80_EMAX) + (b.se & F80_EMAX), a.mant, b.mant,
                      env);
}

static NOINLINE struct f80 div_special(struct f80 a, struct f80 b, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);
    const bool sign = pa.sign ^ pb.sign;

    if (ext_is_nan(&pa) || ext_is_nan(&pb))
        return fp80_propagate2(a, b, env);
    if (pa.class == pb.class)
        return ext_invalid(env);
    if (pb.class == FP_CLASS_ZERO) {
        if (pa.class == FP_CLASS_FINITE)
            env->flags |= FP_ZE;
        return ext_inf(sign);
    }
    raise_denormal(&pa, &pb, env);
    return pa.class == FP_CLASS_INF ? ext_inf(sign) : ext_zero(sign);
}

struct f80 fp80_div(struct f80 a, struct f80 b, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);
    i32 exp = pa.exp - pb.exp + F80_BIAS;
    bool less;
    u64 quotient, rest, below;

    if (unlikely(pa.class != FP_CLASS_FINITE || pb.class != FP_CLASS_FINITE))
        return div_special(a, b, env);
    raise_denormal(&pa, &pb, env);
    less = pa.sig < pb.sig;
    exp -= less;
    /* The 64-bit quotient has bit 63 set; twice the remainder against the divisor gives the half.
     */
    quotient = divide(less ? pa.sig : pa.sig >> 1, less ? 0 : pa.sig << 63, pb.sig, &rest);
    below = 0;
    if (rest)
        below = rest > pb.sig - rest ? 3ull << 62 : rest == pb.sig - rest ? 1ull << 63 : 1;
    return ext_round(pa.sign ^ pb.sign, exp, U128(quotient, below), env->precision, env);
}

struct f80 fp80_sqrt(struct f80 a, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    const i32 unbiased = p.exp - F80_BIAS;
    u128 rest;
    u64 root, below;

    if (ext_is_nan(&p))
        return fp80_propagate(a, env);
    if (p.class == FP_CLASS_ZERO)
        return a;
    if (p.sign)
        return ext_invalid(env);
    if (p.class == FP_CLASS_INF)
        return a;
    raise_denormal(&p, &p, env);
    root = root128((u128)p.sig << (63 + (unbiased & 1)), &rest);
    /* (root + 1/2)^2 = root^2 + root + 1/4: a remainder above root is above half; never equal. */
    below = rest > root ? 3ull << 62 : (u64)(rest != 0);
    return ext_round(false, (unbiased >> 1) + F80_BIAS, U128(root, below), env->precision, env);
}

enum fp_relation fp80_compare(struct f80 a, struct f80 b, bool quiet, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);
    enum fp_relation relation;

    if (unlikely(ext_is_nan(&pa) || ext_is_nan(&pb))) {
        if (!quiet || is_snan(a) || is_snan(b) || pa.class == FP_CLASS_INVALID ||
            pb.class == FP_CLASS_INVALID)
            env->flags |= FP_IE;
        return FP_UNORDERED;
    }
    raise_denormal(&pa, &pb, env);
    if (pa.class == FP_CLASS_ZERO && pb.class == FP_CLASS_ZERO)
        return FP_EQUAL;
    if (pa.class == FP_CLASS_ZERO)
        return pb.sign ? FP_GREATER : FP_LESS;
    if (pb.class == FP_CLASS_ZERO)
        return pa.sign ? FP_LESS : FP_GREATER;
    if (pa.sign != pb.sign)
        return pa.sign ? FP_LESS : FP_GREATER;
    if (pa.exp != pb.exp)
        relation = pa.exp < pb.exp ? FP_LESS : FP_GREATER;
    else if (pa.sig != pb.sig)
        relation = pa.sig < pb.sig ? FP_LESS : FP_GREATER;
    else
        return FP_EQUAL;
    return pa.sign ? (enum fp_relation)(FP_GREATER - relation) : relation;
}
