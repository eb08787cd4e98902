/* SPDX-License-Identifier: MIT */
/* Bit and field arithmetic on unsigned integers, and unaligned little-endian access. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/types.h"

#include <string.h>

#define BIT(n) ((u64)1 << (n))
/* Bits high..low, both included, 0 <= low <= high <= 63. */
#define BITS(high, low) ((~(u64)0 >> (63 - (high))) & (~(u64)0 << (low)))

/* Bits high..low of value, moved to bit 0. */
static ALWAYS_INLINE u64 bits_get(u64 value, unsigned high, unsigned low)
{
    return (value & BITS(high, low)) >> low;
}

/* value with bits high..low replaced by the low bits of field. */
static ALWAYS_INLINE u64 bits_set(u64 value, unsigned high, unsigned low, u64 field)
{
    return (value & ~BITS(high, low)) | ((field << low) & BITS(high, low));
}

/* Mask of the low `bytes` bytes, bytes in 1..8. */
static ALWAYS_INLINE u64 width_mask(unsigned bytes)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the rows see to it */
    return ~(u64)0 >> (64 - 8 * bytes);
}

/* Sign-extend the low `bytes` bytes of value to 64 bits, bytes in 1..8. */
static ALWAYS_INLINE u64 sign_extend(u64 value, unsigned bytes)
{
    const unsigned shift = 64 - 8 * bytes;

    return (u64)((i64)(value << shift) >> shift);
}

static ALWAYS_INLINE u64 align_down(u64 value, u64 to)
{
    return value & ~(to - 1);
}

static ALWAYS_INLINE u64 align_up(u64 value, u64 to)
{
    return (value + to - 1) & ~(to - 1);
}

/* Little-endian loads and stores of `bytes` (1, 2, 4, 8; also 3, 5, 6, 7) at any alignment. */
static ALWAYS_INLINE u64 load_le(const void *from, unsigned bytes)
{
    u64 value = 0;

    memcpy(&value, from, bytes);
    return value;
}

static ALWAYS_INLINE void store_le(void *to, u64 value, unsigned bytes)
{
    memcpy(to, &value, bytes);
}

#endif
