/* SPDX-License-Identifier: MIT */
/* Where processors differ and are right: what the tests that run on a host allow it to do. */
#ifndef TESTS_FP_VENDOR_H
#define TESTS_FP_VENDOR_H

#include "base/bits.h"
#include "cpu/fp/fp.h"

/*
 * FSCALE by a zero and FPREM by an infinity of a denormal ST(0). By the tables in SDM Vol 2A the
 * result is ST(0), and Intel processors just keep it. AMD processors compute: if UE is unmasked,
 * they raise it and deliver ST(0) with the exponent of an underflow.
 */
static inline bool keeping_may_underflow(bool fscale, struct f80 st0, struct f80 st1, u32 masks)
{
    return !(masks & FP_UE) && !(st0.se & 0x7fff) && st0.mant != 0 &&
           fp80_classify(st1) == (fscale ? FP_CLASS_ZERO : FP_CLASS_INF);
}

/*
 * VCVTPS2PH of a denormal with UE unmasked. With the exponent of an underflow the result may be
 * exact, and then we do not raise PE. Intel processors do for each denormal (and not for a small
 * normal number). source: n floats; mxcsr: the host's after the instruction.
 */
static inline bool half_may_be_inexact(const u8 *source, u32 n, u32 mxcsr)
{
    bool denormal = false;

    for (u32 i = 0; i < n; i++) {
        const u32 a = (u32)load_le(source + 4 * i, 4) & 0x7fffffff;

        denormal |= a != 0 && a < 0x00800000;
    }
    return denormal && (mxcsr & FP_UE) && !(mxcsr >> 7 & FP_UE);
}

static inline bool is_nan_element(u64 value, u32 size)
{
    const u64 infinity = size == 4 ? 0x7f800000 : 0x7ff0000000000000;

    return (value & (BIT(8 * size - 1) - 1)) > infinity;
}

/*
 * DPPS and DPPD of several NaNs: which of them is the result depends on the order of the additions,
 * of which SDM Vol 2A says only how they are grouped. Intel processors add in another order for
 * each element, AMD ones and we in the same for all. Is this NaN from one of the elements that imm
 * selects, or the indefinite? a, b: 16 bytes.
 */
static inline bool is_nan_of_dot(u64 value, const u8 *a, const u8 *b, u32 imm, u32 size)
{
    const u64 quiet = size == 4 ? BIT(22) : BIT(51);

    if (value == (size == 4 ? 0xffc00000 : 0xfff8000000000000))
        return true;
    for (u32 i = 0; i < 16 / size; i++) {
        const u64 x = load_le(a + i * size, size), y = load_le(b + i * size, size);

        if ((imm >> (4 + i) & 1) && ((is_nan_element(x, size) && (x | quiet) == value) ||
                                     (is_nan_element(y, size) && (y | quiet) == value)))
            return true;
    }
    return false;
}

/* Give `ours` the host's NaNs where both have one that they may have; registers of 32 bytes. */
static inline void level_dot(const u8 *host, u8 *ours, const u8 *a, const u8 *b, u32 imm, u32 size)
{
    for (u32 at = 0; at < 32; at += size) {
        const u64 theirs = load_le(host + at, size), us = load_le(ours + at, size);
        const u32 half = at & 16;

        if (is_nan_element(theirs, size) && is_nan_element(us, size) &&
            is_nan_of_dot(theirs, a + half, b + half, imm, size) &&
            is_nan_of_dot(us, a + half, b + half, imm, size))
            store_le(ours + at, theirs, size);
    }
}

#endif
