/* SPDX-License-Identifier: MIT */
/* 128-bit significand arithmetic; division is Knuth's algorithm D with two digits of 64 bits. */
#include "cpu/fp/wide.h"

static struct wide normalise(bool sign, i32 exp, u128 sig)
{
    struct wide r = {.sig = sig, .exp = exp, .sign = sign};

    if (sig) {
        const u32 shift = leading_zeros128(sig);

        r.sig <<= shift;
        r.exp -= (i32)shift;
    }
    return r;
}

struct wide wide_from_ext(const struct ext_parts *p)
{
    return (struct wide){
        .sig = p->class == FP_CLASS_ZERO ? 0 : U128(p->sig, 0),
        .exp = p->exp - F80_BIAS,
        .sign = p->sign,
    };
}

struct wide wide_mul(struct wide a, struct wide b)
{
    return normalise(a.sign ^ b.sign, a.exp + b.exp + 1, mul_high(a.sig, b.sig));
}

struct wide wide_add(struct wide a, struct wide b)
{
    u128 small;

    if (!a.sig)
        return b;
    if (!b.sig)
        return a;
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        const struct wide swap = a;

        a = b;
        b = swap;
    }
    small = shift_right_sticky128(b.sig, (u32)(a.exp - b.exp));
    if (a.sign != b.sign)
        return normalise(a.sign, a.exp, a.sig - small);
    if (a.sig + small < small)
        return (struct wide){.sig = (a.sig + small) >> 1 | (u128)1 << 127,
                             .exp = a.exp + 1,
                             .sign = a.sign};
    a.sig += small;
    return a;
}

/* One 64-bit digit of *rest * 2^64 / divisor, where *rest < divisor and bit 127 of it is set. */
static u64 divide_digit(u128 *rest, u128 divisor)
{
    const u64 high = (u64)(divisor >> 64);
    const u64 low = (u64)divisor;
    u64 ignored;
    u64 digit =
        (u64)(*rest >> 64) >= high ? ~0ull : divide((u64)(*rest >> 64), (u64)*rest, high, &ignored);
    u128 product_low = (u128)digit * low;
    u128 product_high = (u128)digit * high + (u64)(product_low >> 64);

    /* The digit is too large by two at most. */
    product_low = (u64)product_low;
    while (product_high > *rest || (product_high == *rest && product_low)) {
        const u128 difference = product_low - low;

        digit--;
        product_low = (u64)difference;
        product_high -= high + (difference >> 127);
    }
    *rest = ((*rest - product_high) << 64) - product_low;
    return digit;
}

struct wide wide_div(struct wide a, struct wide b)
{
    u128 rest = a.sig;
    i32 exp = a.exp - b.exp - 1;
    u64 high, low;

    if (rest >= b.sig) {
        rest >>= 1;
        exp++;
    }
    high = divide_digit(&rest, b.sig);
    low = divide_digit(&rest, b.sig);
    return normalise(a.sign ^ b.sign, exp, U128(high, low));
}

u128 wide_fraction(struct wide a)
{
    const u32 shift = (u32)(-1 - a.exp);

    return shift > 127 ? 0 : a.sig >> shift;
}

u128 wide_square(struct wide a)
{
    const u128 square = mul_high(a.sig, a.sig);
    const u32 shift = 2 * (u32)(-1 - a.exp);

    return shift > 127 ? 0 : square >> shift;
}

u128 wide_series(const u128 *table, u32 count, u128 x)
{
    u128 sum = table[count - 1];

    for (u32 i = count - 1; i-- > 0;)
        sum = table[i] + mul_high(x, sum);
    return sum;
}

u128 wide_series_alternating(const u128 *table, u32 count, u128 x)
{
    u128 sum = table[count - 1];

    for (u32 i = count - 1; i-- > 0;)
        sum = table[i] - mul_high(x, sum);
    return sum;
}

struct wide wide_odd_function(struct wide a, const u128 *table, u32 count)
{
    const u128 z = wide_square(a);
    const u128 less = mul_high(z, wide_series_alternating(table, count, z));

    /* 1 - less as a fraction of 2^128, kept below 1. */
    return normalise(a.sign, a.exp, mul_high(a.sig, less ? -less : ~(u128)0));
}

struct f80 wide_round(struct wide a, struct fp_env *env)
{
    return ext_round(a.sign, a.exp + F80_BIAS, a.sig | 1, FP_PREC_64, env);
}
