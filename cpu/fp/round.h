/* SPDX-License-Identifier: MIT */
/* Pieces that all formats share: the rounding decision, sticky shifts, 128-bit helpers, roots. */
#ifndef CPU_FP_ROUND_H
#define CPU_FP_ROUND_H

#include "cpu/fp/fp.h"

__extension__ typedef unsigned __int128 u128;

#define U128(high, low) ((u128)(high) << 64 | (u64)(low))

/*
 * Does the magnitude go up? half and sticky are 0 or 1: the first bit below the last kept one, and
 * whether anything is set below that. One bit of the constant for each combination of
 * rounding:2 negative:1 last:1 half:1 sticky:1.
 */
static ALWAYS_INLINE bool round_increments(u32 rounding, bool negative, u64 last, u64 half,
                                           u64 sticky)
{
    const u64 decisions = 0x000000eeee00c8c8;

    return decisions >>
               (rounding << 4 | (negative ? 8u : 0) | (last & 1) << 2 | half << 1 | sticky) &
           1;
}

/* Shift right; bits that fall off are ORed into bit 0. Any shift count >= 0. */
static ALWAYS_INLINE u64 shift_right_sticky(u64 value, u32 count)
{
    if (count > 63)
        return value != 0;
    return value >> count | ((value & ((1ull << count) - 1)) != 0);
}

static ALWAYS_INLINE u128 shift_right_sticky128(u128 value, u32 count)
{
    if (count > 127)
        return value != 0;
    return value >> count | ((value & (((u128)1 << count) - 1)) != 0);
}

/* value must not be 0. */
static ALWAYS_INLINE u32 leading_zeros(u64 value)
{
    return (u32)__builtin_clzll(value);
}

static ALWAYS_INLINE u32 leading_zeros128(u128 value)
{
    const u64 high = (u64)(value >> 64);

    return high ? leading_zeros(high) : 64 + leading_zeros((u64)value);
}

/*
 * A magnitude sig * 2^(exponent - 63), with bit 63 of sig set, cut at the binary point. *rest: 0
 * none, 1 below half, 2 half, 3 above half. exponent <= 63.
 */
static ALWAYS_INLINE u64 integer_part(u64 sig, i32 exponent, u32 *rest)
{
    u64 below;

    if (exponent < 0) {
        *rest = exponent < -1 ? 1 : sig << 1 ? 3 : 2;
        return 0;
    }
    below = exponent == 63 ? 0 : sig << (exponent + 1);
    *rest = (u32)(below >> 63) << 1 | ((below << 1) != 0);
    return sig >> (63 - exponent);
}

/* high:low / divisor and the remainder; high < divisor, or there is no quotient of 64 bits. */
static ALWAYS_INLINE u64 divide_portable(u64 high, u64 low, u64 divisor, u64 *rest)
{
    const u128 dividend = U128(high, low);
    const u64 quotient = (u64)(dividend / divisor);

    *rest = low - quotient * divisor;
    return quotient;
}

/* The same by the one instruction that C has no operator for. */
static ALWAYS_INLINE u64 divide(u64 high, u64 low, u64 divisor, u64 *rest)
{
#if defined(__x86_64__)
    u64 quotient;

    __asm__("divq %[divisor]"
            : "=a"(quotient), "=d"(*rest)
            : "a"(low), "d"(high), [divisor] "rm"(divisor)
            : "cc");
    return quotient;
#else
    return divide_portable(high, low, divisor, rest);
#endif
}

/* The integer square root of a value with bit 63 or 62 set, *rest = value - root^2. */
u64 root64(u64 value, u64 *rest);
/* The same for 128 bits with bit 127 or 126 set. The remainder may need 65 bits. */
u64 root128(u128 value, u128 *rest);

#endif
