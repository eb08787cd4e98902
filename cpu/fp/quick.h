/* SPDX-License-Identifier: MIT */
/*
 * The frequent cases of 80-bit arithmetic, inline for the x87's stamped handlers: normal operands
 * (zeros where that is easy), a normal result, round to nearest. No exception but inexact can
 * occur. Each function returns false, with nothing stored, in any other case; the functions of fp.h
 * are the reference and give the same wherever it is true.
 *
 * drop is how many of the 64 bits precision control takes away: 0, 11 or 40. Where it is a constant
 * 0, nothing of it remains.
 */
#ifndef CPU_FP_QUICK_H
#define CPU_FP_QUICK_H

#include "cpu/fp/ext.h"

/* What an operation did, where it goes in the x87 status word. */
enum { QUICK_PE_SHIFT = 5, QUICK_C1_SHIFT = 9 };

static ALWAYS_INLINE u32 quick_status(bool inexact, bool up)
{
    return (u32)inexact << QUICK_PE_SHIFT | (u32)up << QUICK_C1_SHIFT;
}

static ALWAYS_INLINE bool quick_is_zero(struct f80 a)
{
    return !(a.mant | (a.se & F80_EMAX));
}

/* What comes of the magnitude mant, whose lowest bits are clear, once it is known if it goes up.
 * sign is bit 15 of the result; exp may be anything. */
static ALWAYS_INLINE bool quick_make(u32 sign, u32 exp, u64 mant, u32 drop, u32 status,
                                     struct f80 *result)
{
    if (unlikely(exp - 1 >= F80_EMAX - 2))
        return false;
    mant += (u64)(status >> QUICK_C1_SHIFT) << drop;
    if (unlikely(!mant)) {
        mant = F80_INTEGER_BIT;
        exp++;
    }
    result->mant = mant;
    result->se = (u16)(sign | exp);
    return true;
}

/* mant + below / 2^64: up if the lost bits are more than a half, or a half and the last is odd. */
static ALWAYS_INLINE bool quick_round(u32 sign, u32 exp, u64 mant, u64 below, u32 drop,
                                      struct f80 *result, u32 *status)
{
    u64 ignored;
    bool up;

    if (drop) {
        below = mant << (64 - drop) | (below != 0);
        mant &= ~0ull << drop;
    }
    up = __builtin_add_overflow(below, (F80_INTEGER_BIT - 1) + (mant >> drop & 1), &ignored);
    *status = quick_status(below != 0, up);
    return quick_make(sign, exp, mant, drop, *status, result);
}

/* b is taken with the opposite sign if flip is 0x8000. */
static ALWAYS_INLINE bool quick_add(struct f80 a, struct f80 b, u32 flip, u32 drop,
                                    struct f80 *result, u32 *status)
{
    const u32 se_a = a.se;
    const u32 se_b = b.se ^ flip;
    /* By masks, because which is larger is as good as random. */
    const u64 swap = -(u64)(U128(se_a & F80_EMAX, a.mant) < U128(se_b & F80_EMAX, b.mant));
    const u32 big_se = se_a ^ ((se_a ^ se_b) & (u32)swap);
    const u64 swap_mant = (a.mant ^ b.mant) & swap;
    const u64 big = a.mant ^ swap_mant;
    const u64 small = b.mant ^ swap_mant;
    u32 exp = big_se & F80_EMAX;
    const u32 distance = 2 * exp - (se_a & F80_EMAX) - (se_b & F80_EMAX);
    u64 high, low;

    if (unlikely(!ext_is_normal(a) || !ext_is_normal(b) || distance > 63))
        return false;
    high = small >> distance;
    low = small << 1 << (63 - distance);
    if (!((se_a ^ se_b) & 0x8000)) {
        const bool carry = __builtin_add_overflow(big, high, &high);

        low = low >> carry | (low & carry) | (high & carry) << 63;
        high = high >> carry | (u64)carry << 63;
        exp += carry;
    } else {
        u32 shift;

        high = big - high - (low != 0);
        low = -low;
        if (unlikely(!high))
            return false;
        shift = leading_zeros(high);
        high = high << shift | low >> 1 >> (63 - shift);
        low <<= shift;
        exp -= shift;
    }
    return quick_round(big_se & 0x8000, exp, high, low, drop, result, status);
}

static ALWAYS_INLINE bool quick_mul(struct f80 a, struct f80 b, u32 drop, struct f80 *result,
                                    u32 *status)
{
    const u128 product = (u128)a.mant * b.mant;
    const u64 high = (u64)(product >> 64);
    const u64 low = (u64)product;
    const u32 shift = high >> 63 ? 0 : 1;
    const u32 exp = (a.se & F80_EMAX) + (b.se & F80_EMAX) + 1u - F80_BIAS - shift;

    if (unlikely(!ext_is_normal(a) || !ext_is_normal(b)))
        return false;
    return quick_round((a.se ^ b.se) & 0x8000, exp, high << shift | (low >> 63 & shift),
                       low << shift, drop, result, status);
}

static ALWAYS_INLINE bool quick_div(struct f80 a, struct f80 b, u32 drop, struct f80 *result,
                                    u32 *status)
{
    const bool less = a.mant < b.mant;
    const u32 exp = (u32)(a.se & F80_EMAX) - (b.se & F80_EMAX) + F80_BIAS - less;
    const u32 sign = (a.se ^ b.se) & 0x8000;
    u64 quotient, rest;

    if (unlikely(!ext_is_normal(a) || !ext_is_normal(b)))
        return false;
    quotient = divide(less ? a.mant : a.mant >> 1, less ? 0 : a.mant << 63, b.mant, &rest);
    if (drop)
        return quick_round(sign, exp, quotient, rest != 0, drop, result, status);
    /* rest < b: no borrow */
    *status = quick_status(rest != 0, rest > b.mant - rest - (quotient & 1));
    return quick_make(sign, exp, quotient, 0, *status, result);
}

static ALWAYS_INLINE bool quick_sqrt(struct f80 a, u32 drop, struct f80 *result, u32 *status)
{
    const u32 odd = ~(u32)a.se & 1; /* the bias is odd */
    const u32 exp = (a.se + F80_BIAS - odd) >> 1;
    u128 rest;
    u64 root;

    if (unlikely(!ext_is_normal(a) || a.se >> 15))
        return false;
    root = root128((u128)a.mant << (63 + odd), &rest);
    if (drop)
        return quick_round(0, exp, root, rest != 0, drop, result, status);
    *status = quick_status(rest != 0, rest > root);
    return quick_make(0, exp, root, 0, *status, result);
}

static ALWAYS_INLINE bool quick_compare(struct f80 a, struct f80 b, enum fp_relation *relation)
{
    const u128 magnitude_a = U128(a.se & F80_EMAX, a.mant);
    const u128 magnitude_b = U128(b.se & F80_EMAX, b.mant);
    const u32 less = magnitude_a < magnitude_b;
    const u32 greater = magnitude_b < magnitude_a;
    const bool negative = a.se >> 15;

    if (unlikely(!(ext_is_normal(a) || quick_is_zero(a)) ||
                 !(ext_is_normal(b) || quick_is_zero(b))))
        return false;
    if ((a.se ^ b.se) & 0x8000)
        *relation = !(magnitude_a | magnitude_b) ? FP_EQUAL : negative ? FP_LESS : FP_GREATER;
    else
        *relation = (enum fp_relation)(FP_EQUAL + (negative ? less - greater : greater - less));
    return true;
}

/* FLD m32 and m64; also zeros. Exact. */
static ALWAYS_INLINE bool quick_widen(u64 a, u32 frac, u32 emax, struct f80 *result)
{
    const u32 exp = (u32)(a >> frac) & emax;
    const u32 sign = a >> frac > emax ? 0x8000 : 0;

    if (likely(exp - 1 < emax - 1)) {
        result->mant = F80_INTEGER_BIT | a << (63 - frac);
        result->se = (u16)(sign | (exp + F80_BIAS - emax / 2));
        return true;
    }
    result->mant = 0;
    result->se = (u16)sign;
    return !exp && !(a & ((1ull << frac) - 1));
}

/* FST m32 and m64; also zeros. */
static ALWAYS_INLINE bool quick_narrow(struct f80 a, u32 frac, u32 emax, u64 *result, u32 *status)
{
    const u32 drop = 63 - frac;
    const u64 kept = a.mant >> drop;
    const u64 below = a.mant & ((1ull << drop) - 1);
    const bool up = below + (kept & 1) > 1ull << (drop - 1);
    const u64 sign = (u64)(a.se >> 15) * (emax + 1);
    const u32 exp = (a.se & F80_EMAX) - F80_BIAS + emax / 2;

    if (unlikely(exp - 1 >= emax - 2 || !(a.mant >> 63))) {
        *result = sign << frac;
        *status = 0;
        return quick_is_zero(a);
    }
    /* kept has the integer bit, which counts as 1 in the exponent. */
    *result = ((sign + exp - 1) << frac) + kept + up;
    *status = quick_status(below != 0, up);
    return true;
}

static ALWAYS_INLINE struct f80 quick_from_i64(i64 value)
{
    const u64 sign = (u64)(value >> 63);
    const u64 magnitude = ((u64)value ^ sign) - sign;
    u32 shift;

    if (!value)
        return (struct f80){0};
    shift = leading_zeros(magnitude);
    return (struct f80){.mant = magnitude << shift,
                        .se = (u16)((sign & 0x8000) | (F80_BIAS + 63 - shift))};
}

/* FIST and its kin in any rounding mode: magnitudes from a half to 2^(8 * bytes - 2), and zeros. */
static ALWAYS_INLINE bool quick_to_int(struct f80 a, u32 bytes, u32 rounding, u64 *result,
                                       u32 *status)
{
    const u32 exponent = (a.se & F80_EMAX) - F80_BIAS;
    const u64 sign = -(u64)(a.se >> 15);
    u64 whole, below;
    bool up;

    if (unlikely(exponent + 1 >= 8 * bytes - 1 || !(a.mant >> 63))) {
        *result = 0;
        *status = 0;
        return quick_is_zero(a);
    }
    whole = a.mant >> 1 >> (62 - exponent);
    below = a.mant << (exponent + 1);
    up = round_increments(rounding, sign != 0, whole, below >> 63, (below << 1) != 0);
    *result = (whole + up) ^ sign;
    *result -= sign;
    *status = quick_status(below != 0, up);
    return true;
}

#endif
