/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic flags, lazily: writers leave a result and a carry vector (struct lazy_flags),
 * readers compute the one flag they need. Only these accessors touch v->lazy. SDM Vol 1 3.4.3.1.
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/vcpu.h"

#define LAZY_CF BIT(63)
#define LAZY_CARRY_IN BIT(62) /* carry into the sign position */
#define LAZY_AF BIT(3)
#define LAZY_SIGN_FLIP BIT(0)

static ALWAYS_INLINE bool flag_cf(const struct vcpu *v)
{
    return (v->lazy.cc >> 63) != 0;
}

static ALWAYS_INLINE bool flag_zf(const struct vcpu *v)
{
    return v->lazy.result == 0;
}

static ALWAYS_INLINE bool flag_sf(const struct vcpu *v)
{
    return ((v->lazy.result >> 63) ^ (v->lazy.cc & 1)) != 0;
}

static ALWAYS_INLINE bool flag_of(const struct vcpu *v)
{
    return ((v->lazy.cc ^ (v->lazy.cc << 1)) >> 63) != 0;
}

static ALWAYS_INLINE bool flag_af(const struct vcpu *v)
{
    return (v->lazy.cc & LAZY_AF) != 0;
}

static ALWAYS_INLINE bool flag_pf(const struct vcpu *v)
{
    return !__builtin_parity((u32)((v->lazy.result ^ (v->lazy.cc >> 8)) & 0xff));
}

/* Carry vector of an addition or subtraction of `w` bytes, in the layout of lazy.cc. */
static ALWAYS_INLINE u64 lazy_carries(u64 carries, unsigned w)
{
    return ((carries << (64 - 8 * w)) & (LAZY_CF | LAZY_CARRY_IN)) | (carries & LAZY_AF);
}

/* r = a + b (+ carry in), all of w bytes; upper bits of the arguments do not matter. */
static ALWAYS_INLINE void flags_add(struct vcpu *v, u64 a, u64 b, u64 r, unsigned w)
{
    v->lazy.result = sign_extend(r, w);
    v->lazy.cc = lazy_carries((a & b) | ((a | b) & ~r), w);
}

/* r = a - b (- borrow in). */
static ALWAYS_INLINE void flags_sub(struct vcpu *v, u64 a, u64 b, u64 r, unsigned w)
{
    v->lazy.result = sign_extend(r, w);
    v->lazy.cc = lazy_carries((~a & b) | ((~a | b) & r), w);
}

/* AND, OR, XOR, TEST and all that clear CF, OF and AF. */
static ALWAYS_INLINE void flags_logic(struct vcpu *v, u64 r, unsigned w)
{
    v->lazy.result = sign_extend(r, w);
    v->lazy.cc = 0;
}

/* INC, DEC: like add/sub of 1 with CF kept. */
static ALWAYS_INLINE void flags_keep_cf(struct vcpu *v, bool cf)
{
    const u64 of = (v->lazy.cc ^ (v->lazy.cc << 1)) & LAZY_CF; /* OF in bit 63 */
    const u64 carry = cf ? LAZY_CF : 0;

    v->lazy.cc = (v->lazy.cc & LAZY_AF) | carry | ((carry ^ of) >> 1);
}

/* SF, ZF, PF from r; CF and OF as given; AF cleared (where the manual leaves it undefined). */
static ALWAYS_INLINE void flags_result_cf_of(struct vcpu *v, u64 r, unsigned w, bool cf, bool of)
{
    v->lazy.result = sign_extend(r, w);
    v->lazy.cc = ((u64)cf << 63) | ((u64)(cf ^ of) << 62);
}

/* CF and OF as given, the other four kept: rotates, ADCX, ADOX. */
static ALWAYS_INLINE void flags_set_cf_of(struct vcpu *v, bool cf, bool of)
{
    v->lazy.cc =
        (v->lazy.cc & ~(LAZY_CF | LAZY_CARRY_IN)) | ((u64)cf << 63) | ((u64)(cf ^ of) << 62);
}

/* CF as given, the other five kept: BT, CLC, STC, CMC. */
static ALWAYS_INLINE void flags_set_cf(struct vcpu *v, bool cf)
{
    flags_set_cf_of(v, cf, flag_of(v));
}

/* All six from packed RFLAGS bits. */
static ALWAYS_INLINE void flags_load(struct vcpu *v, u64 rflags)
{
    const u64 cf = rflags & FLAG_CF;
    const u64 of = (rflags & FLAG_OF) != 0;
    const bool zf = (rflags & FLAG_ZF) != 0;
    const bool sf = (rflags & FLAG_SF) != 0;
    const bool pf = (rflags & FLAG_PF) != 0;
    const u64 af = (rflags & FLAG_AF) != 0 ? LAZY_AF : 0;

    /* result 0 has PF = 1, SF = 0; result 0x100 has PF = 1, ZF = 0, SF = 0 */
    v->lazy.result = zf ? 0 : 0x100;
    v->lazy.cc = cf << 63 | (cf ^ of) << 62 | af | (u64)sf | (pf ? 0 : (u64)1 << 8);
}

static ALWAYS_INLINE u64 flags_arith(const struct vcpu *v)
{
    return (flag_cf(v) ? FLAG_CF : 0u) | (flag_pf(v) ? FLAG_PF : 0u) | (flag_af(v) ? FLAG_AF : 0u) |
           (flag_zf(v) ? FLAG_ZF : 0u) | (flag_sf(v) ? FLAG_SF : 0u) | (flag_of(v) ? FLAG_OF : 0u);
}

/* Replace the bits in mask (arithmetic flags only); the others keep their value. */
static ALWAYS_INLINE void flags_write(struct vcpu *v, u64 mask, u64 bits)
{
    flags_load(v, (flags_arith(v) & ~mask) | (bits & mask));
}

/* The whole RFLAGS, exact. state.rflags itself is exact only after flags_commit(). */
static ALWAYS_INLINE u64 rflags_get(const struct vcpu *v)
{
    return (v->state.rflags & ~(u64)FLAGS_ARITH) | flags_arith(v);
}

static ALWAYS_INLINE void flags_commit(struct vcpu *v)
{
    v->state.rflags = rflags_get(v);
}

/* Set all of RFLAGS as given (no checks); follow with mode_update_privilege() if AC or VM changed.
 */
static ALWAYS_INLINE void rflags_set(struct vcpu *v, u64 rflags)
{
    v->state.rflags = (rflags & ~(u64)0) | FLAG_1;
    flags_load(v, rflags);
}

/* Condition codes 0..15 of Jcc, SETcc, CMOVcc: SDM Vol 1 appendix B. */
static ALWAYS_INLINE bool condition(const struct vcpu *v, unsigned cc)
{
    bool value;

    switch (cc >> 1) {
    case 0: value = flag_of(v); break;
    case 1: value = flag_cf(v); break;
    case 2: value = flag_zf(v); break;
    case 3: value = flag_cf(v) || flag_zf(v); break;
    case 4: value = flag_sf(v); break;
    case 5: value = flag_pf(v); break;
    case 6: value = flag_sf(v) != flag_of(v); break;
    default: value = flag_zf(v) || flag_sf(v) != flag_of(v); break;
    }
    return value != (cc & 1);
}

#endif
