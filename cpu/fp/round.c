/* SPDX-License-Identifier: MIT */
/* Integer square roots with remainder, by Newton's iteration for the reciprocal of the root, which
 * needs no division. The host's own square root is not asked: it would leave flags in MXCSR. */
#include "cpu/fp/round.h"

/*
 * 1/sqrt(x) for x in [i/32, (i+1)/32), i = 8..31, in units of 2^-15: its value at the beginning,
 * less half the largest error, and how much it falls on the way. Right to 10.5 bits.
 */
/* clang-format off */
static const struct { u16 start, fall; } reciprocal_roots[24] = {
    {65495, 3748}, {61757, 3171}, {58593, 2728}, {55870, 2379}, {53494, 2099}, {51398, 1870},
    {49530, 1680}, {47852, 1520}, {46333, 1384}, {44951, 1267}, {43685, 1165}, {42520, 1077},
    {41444, 999}, {40446, 930}, {39516, 869}, {38648, 814}, {37834, 764}, {37070, 720},
    {36350, 680}, {35671, 643}, {35028, 609}, {34419, 579}, {33841, 550}, {33291, 524},
};
/* clang-format on */

static ALWAYS_INLINE u64 multiply_high(u64 a, u64 b)
{
    return (u64)((u128)a * b >> 64);
}

/*
 * 2^62 / sqrt(x / 2^64) for x >= 2^62, too small by less than 2^-38 of it. A step takes y to
 * y + y * (1 - x * y^2) / 2, which squares the error and leaves the result too small.
 */
static ALWAYS_INLINE u64 reciprocal_root(u64 x)
{
    const u32 i = (u32)(x >> 59) - 8;
    const u64 y0 =
        reciprocal_roots[i].start - (reciprocal_roots[i].fall * (x >> 43 & 0xffff) >> 16);
    const i64 error0 = (i64)((1ull << 62) - (x >> 32) * (y0 * y0)); /* in 2^-62 */
    const u64 y1 = (y0 << 15) + (u64)((i64)y0 * (error0 >> 22) >> 26); /* in 2^-30 */
    /* In 2^-60, and never too large, lest the result be. */
    const i64 error1 = (i64)((1ull << 60) - 1 - multiply_high(x, y1 * y1));

    return (y1 << 32) + (u64)((i64)y1 * (error1 >> 12) >> 17);
}

u64 root64(u64 value, u64 *rest)
{
    u64 root = multiply_high(value, reciprocal_root(value)) >> 30;
    u64 left = value - root * root;

    /* Too small by one at most. */
    if (left > 2 * root) {
        left -= 2 * root + 1;
        root++;
    }
    *rest = left;
    return root;
}

u64 root128(u128 value, u128 *rest)
{
    const u64 high = (u64)(value >> 64);
    const u64 reciprocal = reciprocal_root(high);
    /* 38 bits of the root; what is left, over twice the root, gives the rest of it. */
    const u64 start = multiply_high(high, reciprocal) << 2;
    u128 left = value - (u128)start * start;
    const u64 more = multiply_high((u64)(left >> 32), reciprocal) >> 31;
    u64 root = start + more;

    left -= (u128)more * start * 2 + (u128)more * more;
    /* Too small by two at most. */
    while (left > (u128)root << 1) {
        left -= ((u128)root << 1) + 1;
        root++;
    }
    *rest = left;
    return root;
}
