/* SPDX-License-Identifier: MIT */
/* Operands for the floating-point tests: special values, values near the edges, and random bits. */
#ifndef TESTS_FP_VALUES_H
#define TESTS_FP_VALUES_H

#include "base/bits.h"
#include "cpu/fp/fp.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* CPUID.01H:ECX bit 29; clang 14's __builtin_cpu_supports() does not know it. */
static inline bool host_has_f16c(void)
{
    u32 a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & BIT(29)) != 0;
}
#endif

static u64 random_state = 0x9e3779b97f4a7c15;

static inline u64 random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

static inline u64 random_below(u64 limit)
{
    return (random64() >> 8) % limit;
}

/* A significand with long runs of equal bits, where rounding has its corners. */
static inline u64 random_significand(void)
{
    u64 value = random64();

    switch (random_below(6)) {
    case 0: return value & ~0ull << random_below(64);
    case 1: return value | ~0ull >> random_below(64);
    case 2: return 1ull << random_below(64) | 1ull << random_below(64);
    case 3: return (~0ull << random_below(64)) ^ (value & 1);
    default: return value;
    }
}

static inline u64 random_ieee(u32 frac, u32 emax)
{
    const u64 sign = (random64() & 1) * (((u64)emax + 1) << frac);
    u64 fraction = random_significand() >> (64 - frac);
    u64 exponent;

    switch (random_below(16)) {
    case 0: exponent = 0; break;
    case 1: exponent = emax; break;
    case 2: exponent = random_below(3); break;
    case 3: exponent = emax - random_below(3); break;
    case 4: exponent = random_below(emax + 1); break;
    case 5: exponent = random_below(2) ? emax : 0, fraction = 0; break;
    case 6: exponent = frac + random_below(8); break;
    default: exponent = emax / 2 + random_below(2 * frac) - frac; break;
    }
    return sign | exponent << frac | fraction;
}

static inline u32 random_f32(void)
{
    return (u32)random_ieee(23, 0xff);
}

static inline u64 random_f64(void)
{
    return random_ieee(52, 0x7ff);
}

/* encodings: also unnormals, pseudo-denormals and the like. */
static inline struct f80 random_f80(bool encodings)
{
    struct f80 r = {.mant = random_significand() | BIT(63), .se = (u16)(random64() & 0x8000)};
    u64 exponent = 0x3fff;

    switch (random_below(16)) {
    case 0: exponent = 0; break;
    case 1: exponent = 0x7fff; break;
    case 2: exponent = random_below(3); break;
    case 3: exponent = 0x7ffe - random_below(3); break;
    case 4: exponent = random_below(0x7fff); break;
    case 5: exponent = random_below(2) ? 0x7fff : 0, r.mant = BIT(63); break;
    case 6: exponent = random_below(70); break;
    default: exponent = 0x3fff + random_below(140) - 70; break;
    }
    if (exponent == 0)
        r.mant &= ~BIT(63);
    if (encodings && random_below(32) == 0)
        r.mant ^= BIT(63);
    r.se |= (u16)exponent;
    return r;
}

#endif
