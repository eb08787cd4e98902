/* SPDX-License-Identifier: MIT */
/*
 * Numbers with 128 significant bits for the transcendental functions: truncating arithmetic, wrong
 * by a few units in the last place, which leaves some 60 bits below an extended result.
 */
#ifndef CPU_FP_WIDE_H
#define CPU_FP_WIDE_H

#include "cpu/fp/ext.h"

/* sig * 2^(exp - 127), bit 127 of sig set; zero has sig 0. */
struct wide {
    u128 sig;
    i32 exp;
    bool sign;
};

#define WIDE(high, low, exponent) ((struct wide){.sig = U128(high, low), .exp = (exponent)})
#define WIDE_ONE WIDE(0x8000000000000000, 0, 0)
/* Generated from the first 128 bits of the constants. */
#define WIDE_PI_HALF WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1, 0)
#define WIDE_PI WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1, 1)

/* a * b / 2^128, at most 3 too small. */
static ALWAYS_INLINE u128 mul_high(u128 a, u128 b)
{
    const u64 a1 = (u64)(a >> 64);
    const u64 a0 = (u64)a;
    const u64 b1 = (u64)(b >> 64);
    const u64 b0 = (u64)b;

    return (u128)a1 * b1 + ((u128)a1 * b0 >> 64) + ((u128)a0 * b1 >> 64);
}

struct wide wide_from_ext(const struct ext_parts *p);
struct wide wide_mul(struct wide a, struct wide b);
struct wide wide_add(struct wide a, struct wide b);
struct wide wide_div(struct wide a, struct wide b); /* neither is zero */

static inline struct wide wide_negate(struct wide a)
{
    a.sign = !a.sign;
    return a;
}

/* The square of a number below 1, as a fraction of 2^128. */
u128 wide_square(struct wide a);
/* The magnitude of a number below 1 as a fraction of 2^128. */
u128 wide_fraction(struct wide a);

/* table[0] + x * table[1] + x^2 * table[2] ..., or with alternating signs; x is a fraction of 2^128
 * and the table has any scale in which no sum overflows. */
u128 wide_series(const u128 *table, u32 count, u128 x);
u128 wide_series_alternating(const u128 *table, u32 count, u128 x);

/* a * (1 - z * (t0 - z * t1 + z^2 * t2 ...)), z = a^2, as in sine and arc tangent. |a| < 1. */
struct wide wide_odd_function(struct wide a, const u128 *table, u32 count);

/* To an extended value, always inexact. */
struct f80 wide_round(struct wide a, struct fp_env *env);

#endif
