/* SPDX-License-Identifier: MIT */
/* Integer square roots with remainder, by halves: the root of the upper half gives the upper half
 * of the root, one division the lower half. */
#include "cpu/fp/round.h"

/* value has bit 31 or 30 set. Digit by digit: only 16 steps. */
static u32 root32(u32 value, u32 *rest)
{
    u32 root = 0;
    u32 left = value;

    for (u32 bit = 1u << 30; bit; bit >>= 2) {
        if (left >= root + bit) {
            left -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    *rest = left;
    return root;
}

u64 root64(u64 value, u64 *rest)
{
    u32 high_rest;
    const u64 high = root32((u32)(value >> 32), &high_rest);
    const u64 dividend = (u64)high_rest << 16 | (value >> 16 & 0xffff);
    const u64 low = dividend / (2 * high);
    const u64 remainder = dividend % (2 * high) << 16 | (value & 0xffff);
    u64 root = (high << 16) + low;
    i64 left = (i64)(remainder - low * low);

    /* The quotient is too large by one at most. */
    if (left < 0) {
        root--;
        left += (i64)(2 * root + 1);
    }
    *rest = (u64)left;
    return root;
}

u64 root128(u128 value, u128 *rest)
{
    u64 high_rest;
    const u64 high = root64((u64)(value >> 64), &high_rest);
    const u128 dividend = (u128)high_rest << 32 | ((u64)value >> 32);
    u128 low = dividend / (2 * high);
    u128 remainder = (dividend - low * (2 * high)) << 32 | (u32)value;
    u128 root = ((u128)high << 32) + low;
    u128 square;

    /* As above; here the root itself may reach 2^64 before it is corrected. */
    square = low * low;
    if (remainder < square) {
        root--;
        remainder += 2 * root + 1;
    }
    *rest = remainder - square;
    return (u64)root;
}
