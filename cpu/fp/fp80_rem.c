/* SPDX-License-Identifier: MIT */
/* FSCALE, FXTRACT, FPREM and FPREM1: SDM Vol 2A, by mnemonic. */
#include "cpu/fp/ext.h"

static void raise_denormal(const struct ext_parts *a, const struct ext_parts *b, struct fp_env *env)
{
    if (a->denormal | b->denormal)
        env->flags |= FP_DE;
}

/* The number ST(0), where the tables of the SDM give it as the result: nothing is computed, so also
 * a denormal that finds UE unmasked does not underflow. A pseudo-denormal becomes a normal number.
 */
static struct f80 unchanged(struct f80 a)
{
    if (!(a.se & 0x7fff) && a.mant >> 63)
        a.se |= 1;
    return a;
}

/* FSCALE with a zero or an infinity: SDM Vol 2A table 3-31. */
static struct f80 scale_special(const struct ext_parts *a, const struct ext_parts *b,
                                struct fp_env *env)
{
    if (b->class == FP_CLASS_INF) {
        if (a->class == (b->sign ? FP_CLASS_INF : FP_CLASS_ZERO))
            return ext_invalid(env);
        raise_denormal(a, b, env);
        return b->sign ? ext_zero(a->sign) : ext_inf(a->sign);
    }
    raise_denormal(a, b, env);
    return a->class == FP_CLASS_INF ? ext_inf(a->sign) : ext_zero(a->sign);
}

struct f80 fp80_scale(struct f80 a, struct f80 b, struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);
    i32 by = 0;

    if (ext_is_nan(&pa) || ext_is_nan(&pb))
        return fp80_propagate2(a, b, env);
    if (pb.class == FP_CLASS_INF || pa.class != FP_CLASS_FINITE)
        return scale_special(&pa, &pb, env);
    raise_denormal(&pa, &pb, env);
    if (pb.class == FP_CLASS_ZERO)
        return unchanged(a);
    if (pb.exp >= F80_BIAS) {
        /* 2^17 is beyond what any exponent can bear. */
        const i32 exponent = pb.exp - F80_BIAS;

        by = exponent > 16 ? 1 << 17 : (i32)(pb.sig >> (63 - exponent));
        by = pb.sign ? -by : by;
    }
    return ext_round(pa.sign, pa.exp + by, (u128)pa.sig << 64, FP_PREC_64, env);
}

struct f80 fp80_extract(struct f80 a, struct f80 *exponent, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);

    if (ext_is_nan(&p)) {
        *exponent = fp80_propagate(a, env);
        return *exponent;
    }
    if (p.class == FP_CLASS_ZERO) {
        env->flags |= FP_ZE;
        *exponent = ext_inf(true);
        return a;
    }
    if (p.class == FP_CLASS_INF) {
        *exponent = ext_inf(false);
        return a;
    }
    raise_denormal(&p, &p, env);
    *exponent = fp80_from_i64(p.exp - F80_BIAS);
    return ext_make(p.sign, F80_BIAS, p.sig);
}

/* sig * 2^difference modulo divisor, for difference in 0..63. Bits of the quotient in *quotient. */
static u64 reduce(u64 sig, u64 divisor, u32 difference, u64 *quotient)
{
    u64 rest = sig;
    u64 q = 0;

    if (rest >= divisor) {
        rest -= divisor;
        q = 1;
    }
    if (difference) {
        const u128 dividend = (u128)rest << difference;
        const u64 low = (u64)(dividend / divisor);

        q = q << difference | low;
        rest = (u64)(dividend - (u128)low * divisor);
    }
    *quotient = q;
    return rest;
}

/* Is rest * 2 above the divisor, or equal to it with an odd quotient? FPREM1 rounds up then. */
static bool beyond_half(u64 rest, u64 divisor, u64 quotient)
{
    const u64 other = divisor - rest;

    return rest > other || (rest == other && (quotient & 1));
}

static struct f80 remainder_finite(const struct ext_parts *a, const struct ext_parts *b,
                                   bool nearest, u64 *quotient, bool *partial, struct fp_env *env)
{
    const i32 difference = a->exp - b->exp;
    bool sign = a->sign;
    i32 exp = b->exp;
    u64 rest;
    u32 shift;

    if (difference > 63) {
        /* Any reduction by 32 to 63 binary places is allowed; a multiple of 32 remains at most. */
        const u32 step = ((u32)difference & 31) | 32;

        rest = reduce(a->sig, b->sig, step, quotient);
        exp = a->exp - (i32)step;
        *quotient = 0;
        *partial = true;
    } else if (difference < -1 || (difference < 0 && !nearest)) {
        return ext_round(sign, a->exp, (u128)a->sig << 64, FP_PREC_64, env);
    } else if (difference < 0) {
        /* |a| < |b|: the nearest quotient is 1 if |a| > |b| / 2; then the result is a - b. */
        if (a->sig <= b->sig)
            return ext_round(sign, a->exp, (u128)a->sig << 64, FP_PREC_64, env);
        *quotient = 1;
        exp = a->exp;
        rest = b->sig - (a->sig - b->sig);
        sign = !sign;
    } else {
        rest = reduce(a->sig, b->sig, (u32)difference, quotient);
        if (nearest && rest && beyond_half(rest, b->sig, *quotient)) {
            ++*quotient;
            rest = b->sig - rest;
            sign = !sign;
        }
    }
    if (!rest)
        return ext_zero(a->sign);
    shift = leading_zeros(rest);
    return ext_round(sign, exp - (i32)shift, (u128)(rest << shift) << 64, FP_PREC_64, env);
}

struct f80 fp80_remainder(struct f80 a, struct f80 b, bool nearest, u64 *quotient, bool *partial,
                          struct fp_env *env)
{
    const struct ext_parts pa = ext_unpack(a);
    const struct ext_parts pb = ext_unpack(b);

    *quotient = 0;
    *partial = false;
    if (ext_is_nan(&pa) || ext_is_nan(&pb))
        return fp80_propagate2(a, b, env);
    if (pa.class == FP_CLASS_INF || pb.class == FP_CLASS_ZERO)
        return ext_invalid(env);
    raise_denormal(&pa, &pb, env);
    if (pa.class == FP_CLASS_ZERO)
        return a;
    if (pb.class == FP_CLASS_INF)
        return unchanged(a);
    return remainder_finite(&pa, &pb, nearest, quotient, partial, env);
}
