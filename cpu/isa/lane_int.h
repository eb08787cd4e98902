/* SPDX-License-Identifier: MIT */
/*
 * Meaning of the integer vector instructions on one 128-bit lane, in the form that cpu/stamp_vec.h
 * wants: *d op= *s. The MMX, SSE and AVX rows all use these. SDM Vol 2, by mnemonic.
 */
#ifndef CPU_ISA_LANE_INT_H
#define CPU_ISA_LANE_INT_H

#include "cpu/stamp_vec.h"

/* ---- saturation ---- */

static ALWAYS_INLINE i32 saturate(i32 x, i32 low, i32 high)
{
    return x < low ? low : x > high ? high : x;
}

static ALWAYS_INLINE i32 sat_i8(i32 x)
{
    return saturate(x, INT8_MIN, INT8_MAX);
}

static ALWAYS_INLINE i32 sat_u8(i32 x)
{
    return saturate(x, 0, UINT8_MAX);
}

static ALWAYS_INLINE i32 sat_i16(i32 x)
{
    return saturate(x, INT16_MIN, INT16_MAX);
}

static ALWAYS_INLINE i32 sat_u16(i32 x)
{
    return saturate(x, 0, UINT16_MAX);
}

/* Sum of two dwords, wrapping; signed overflow is not ours to have. */
static ALWAYS_INLINE i32 wrap_add(i32 a, i32 b)
{
    return (i32)((u32)a + (u32)b);
}

static ALWAYS_INLINE i32 wrap_sub(i32 a, i32 b)
{
    return (i32)((u32)a - (u32)b);
}

/* ---- element by element: a of *d, b of *s, both elements of kind f ---- */

#define LANE_EACH(op, f, expr)                                                                     \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        (void)v;                                                                                   \
        for (unsigned i = 0; i < ARRAY_SIZE(d->f); i++) {                                          \
            const __typeof__(d->f[0]) a = d->f[i], b = s->f[i];                                    \
            (void)a;                                                                               \
            d->f[i] = (__typeof__(d->f[0]))(expr);                                                 \
        }                                                                                          \
        return true;                                                                               \
    }
/* The same, for what the compilers' vector types say directly. */
#define LANE_WHOLE(op, type, expr)                                                                 \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        const type a = (type)d->v, b = (type)s->v;                                                 \
        (void)v;                                                                                   \
        d->v = (v2u64)(expr);                                                                      \
        return true;                                                                               \
    }

LANE_WHOLE(pand, v2u64, a &b)
LANE_WHOLE(pandn, v2u64, ~a &b)
LANE_WHOLE(por, v2u64, a | b)
LANE_WHOLE(pxor, v2u64, a ^ b)

LANE_WHOLE(paddb, v16u8, a + b)
LANE_WHOLE(paddw, v8u16, a + b)
LANE_WHOLE(paddd, v4u32, a + b)
LANE_WHOLE(paddq, v2u64, a + b)
LANE_WHOLE(psubb, v16u8, a - b)
LANE_WHOLE(psubw, v8u16, a - b)
LANE_WHOLE(psubd, v4u32, a - b)
LANE_WHOLE(psubq, v2u64, a - b)

LANE_EACH(paddsb, sb, sat_i8(a + b))
LANE_EACH(paddsw, sw, sat_i16(a + b))
LANE_EACH(paddusb, b, sat_u8(a + b))
LANE_EACH(paddusw, w, sat_u16(a + b))
LANE_EACH(psubsb, sb, sat_i8(a - b))
LANE_EACH(psubsw, sw, sat_i16(a - b))
LANE_EACH(psubusb, b, sat_u8(a - b))
LANE_EACH(psubusw, w, sat_u16(a - b))

LANE_WHOLE(pcmpeqb, v16u8, a == b)
LANE_WHOLE(pcmpeqw, v8u16, a == b)
LANE_WHOLE(pcmpeqd, v4u32, a == b)
LANE_EACH(pcmpeqq, q, a == b ? ~(u64)0 : 0)
LANE_WHOLE(pcmpgtb, v16i8, a > b)
LANE_WHOLE(pcmpgtw, v8i16, a > b)
LANE_WHOLE(pcmpgtd, v4i32, a > b)
LANE_EACH(pcmpgtq, sq, a > b ? ~(u64)0 : 0)

LANE_EACH(pminub, b, a < b ? a : b)
LANE_EACH(pminuw, w, a < b ? a : b)
LANE_EACH(pminud, d, a < b ? a : b)
LANE_EACH(pminsb, sb, a < b ? a : b)
LANE_EACH(pminsw, sw, a < b ? a : b)
LANE_EACH(pminsd, sd, a < b ? a : b)
LANE_EACH(pmaxub, b, a > b ? a : b)
LANE_EACH(pmaxuw, w, a > b ? a : b)
LANE_EACH(pmaxud, d, a > b ? a : b)
LANE_EACH(pmaxsb, sb, a > b ? a : b)
LANE_EACH(pmaxsw, sw, a > b ? a : b)
LANE_EACH(pmaxsd, sd, a > b ? a : b)

LANE_EACH(pavgb, b, (a + b + 1) >> 1)
LANE_EACH(pavgw, w, (a + b + 1) >> 1)

LANE_EACH(pmullw, w, (u32)a *b)
LANE_EACH(pmulhw, sw, ((i32)a * b) >> 16)
LANE_EACH(pmulhuw, w, ((u32)a * b) >> 16)
LANE_EACH(pmulhrsw, sw, ((((i32)a * b) >> 14) + 1) >> 1)
LANE_EACH(pmulld, d, a *b)
LANE_EACH(pmuludq, q, (u64)(u32)a *(u32)b)
LANE_EACH(pmuldq, q, (u64)((i64)(i32)(u32)a *(i32)(u32)b))

LANE_EACH(pabsb, sb, b < 0 ? -b : b)
LANE_EACH(pabsw, sw, b < 0 ? -b : b)
LANE_EACH(pabsd, sd, b < 0 ? 0u - (u32)b : (u32)b)
LANE_EACH(psignb, sb, b < 0 ? -a : b == 0 ? 0 : a)
LANE_EACH(psignw, sw, b < 0 ? -a : b == 0 ? 0 : a)
LANE_EACH(psignd, sd, b < 0 ? 0u - (u32)a : b == 0 ? 0u : (u32)a)

/* ---- shifts: by the low 64 bits of *s, or by an immediate; counts past the element are legal ----
 */

#define LANE_SHIFT(op, f, expr, beyond)                                                            \
    static ALWAYS_INLINE bool shift_##op(union lane *d, u64 count)                                 \
    {                                                                                              \
        const unsigned bits = 8 * sizeof(d->f[0]);                                                 \
        const bool past = count >= bits;                                                           \
        const unsigned n = past ? bits - 1 : (unsigned)count;                                      \
        for (unsigned i = 0; i < ARRAY_SIZE(d->f); i++) {                                          \
            const __typeof__(d->f[0]) a = d->f[i];                                                 \
            d->f[i] = (__typeof__(d->f[0]))(past ? (beyond) : (expr));                             \
        }                                                                                          \
        return true;                                                                               \
    }                                                                                              \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        (void)v;                                                                                   \
        return shift_##op(d, s->q[0]);                                                             \
    }                                                                                              \
    static ALWAYS_INLINE bool sem_##op##_i(struct vcpu *v, union lane *d, const union lane *s,     \
                                           u64 imm)                                                \
    {                                                                                              \
        (void)v;                                                                                   \
        (void)s;                                                                                   \
        return shift_##op(d, imm & 0xff);                                                          \
    }

LANE_SHIFT(psllw, w, (u32)a << n, 0)
LANE_SHIFT(pslld, d, a << n, 0)
LANE_SHIFT(psllq, q, a << n, 0)
LANE_SHIFT(psrlw, w, a >> n, 0)
LANE_SHIFT(psrld, d, a >> n, 0)
LANE_SHIFT(psrlq, q, a >> n, 0)
/* NOLINTNEXTLINE(bugprone-branch-clone): n is limited to the width already */
LANE_SHIFT(psraw, sw, a >> n, a >> n)
LANE_SHIFT(psrad, sd, a >> n, a >> n) /* NOLINT(bugprone-branch-clone): likewise */

/* Each element by its own count. */
LANE_EACH(vpsllvd, d, b < 32 ? a << b : 0)
LANE_EACH(vpsllvq, q, b < 64 ? a << b : 0)
LANE_EACH(vpsrlvd, d, b < 32 ? a >> b : 0)
LANE_EACH(vpsrlvq, q, b < 64 ? a >> b : 0)
LANE_EACH(vpsravd, sd, a >> ((u32)b < 32 ? b : 31))

static ALWAYS_INLINE bool sem_psrldq(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    const unsigned n = (unsigned)(imm & 0xff);
    u8 wide[32] = {0};

    (void)v;
    (void)s;
    memcpy(wide, d, 16);
    memcpy(d, wide + (n < 16 ? n : 16), 16);
    return true;
}

static ALWAYS_INLINE bool sem_pslldq(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    const unsigned n = (unsigned)(imm & 0xff);
    u8 wide[32] = {0};

    (void)v;
    (void)s;
    memcpy(wide + 16, d, 16);
    memcpy(d, wide + 16 - (n < 16 ? n : 16), 16);
    return true;
}

/* ---- neighbours combined ---- */

#define LANE_HORIZONTAL(op, f, expr)                                                               \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        const unsigned half = ARRAY_SIZE(d->f) / 2;                                                \
        const union lane first = *d;                                                               \
        (void)v;                                                                                   \
        for (unsigned i = 0; i < 2 * half; i++) {                                                  \
            const union lane *const from = i < half ? &first : s;                                  \
            const __typeof__(d->f[0]) a = from->f[2 * i % (2 * half)];                             \
            const __typeof__(d->f[0]) b = from->f[2 * i % (2 * half) + 1];                         \
            d->f[i] = (__typeof__(d->f[0]))(expr);                                                 \
        }                                                                                          \
        return true;                                                                               \
    }

LANE_HORIZONTAL(phaddw, w, a + b)
LANE_HORIZONTAL(phaddd, d, a + b)
LANE_HORIZONTAL(phaddsw, sw, sat_i16(a + b))
LANE_HORIZONTAL(phsubw, w, a - b)
LANE_HORIZONTAL(phsubd, d, a - b)
LANE_HORIZONTAL(phsubsw, sw, sat_i16(a - b))

static ALWAYS_INLINE bool sem_pmaddwd(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++) {
        d->sd[i] = wrap_add(d->sw[2 * i] * s->sw[2 * i], d->sw[2 * i + 1] * s->sw[2 * i + 1]);
    }
    return true;
}

/* The first source is unsigned, the second signed. */
static ALWAYS_INLINE bool sem_pmaddubsw(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned i = 0; i < 8; i++) {
        const i32 low = d->b[2 * i] * s->sb[2 * i];
        const i32 high = d->b[2 * i + 1] * s->sb[2 * i + 1];

        d->sw[i] = (i16)sat_i16(low + high);
    }
    return true;
}

static ALWAYS_INLINE u32 byte_distance(u8 a, u8 b)
{
    return a > b ? (u32)(a - b) : (u32)(b - a);
}

static ALWAYS_INLINE bool sem_psadbw(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned half = 0; half < 2; half++) {
        u32 sum = 0;

        for (unsigned i = 8 * half; i < 8 * half + 8; i++)
            sum += byte_distance(d->b[i], s->b[i]);
        d->q[half] = sum;
    }
    return true;
}

/* imm[1:0]: which dword of *s; imm[2]: at which dword of *d the eight sums begin. */
static ALWAYS_INLINE bool sem_mpsadbw(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    const u8 *const block = s->b + 4 * (imm & 3);
    const union lane first = *d;
    const u8 *const row = first.b + (imm & 4);

    (void)v;
    for (unsigned i = 0; i < 8; i++) {
        u32 sum = 0;

        for (unsigned k = 0; k < 4; k++)
            sum += byte_distance(row[i + k], block[k]);
        d->w[i] = (u16)sum;
    }
    return true;
}

static ALWAYS_INLINE bool sem_phminposuw(struct vcpu *v, union lane *d, const union lane *s)
{
    unsigned least = 0;

    (void)v;
    for (unsigned i = 1; i < 8; i++) {
        if (s->w[i] < s->w[least])
            least = i;
    }
    d->v = (v2u64){s->w[least] | (u64)least << 16, 0};
    return true;
}

/* ---- packing and interleaving ---- */

#define LANE_PACK(op, to, from, sat)                                                               \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        const unsigned half = ARRAY_SIZE(d->from);                                                 \
        union lane r;                                                                              \
        (void)v;                                                                                   \
        for (unsigned i = 0; i < half; i++) {                                                      \
            r.to[i] = (__typeof__(r.to[0]))sat(d->from[i]);                                        \
            r.to[half + i] = (__typeof__(r.to[0]))sat(s->from[i]);                                 \
        }                                                                                          \
        *d = r;                                                                                    \
        return true;                                                                               \
    }

LANE_PACK(packsswb, sb, sw, sat_i8)
LANE_PACK(packuswb, b, sw, sat_u8)
LANE_PACK(packssdw, sw, sd, sat_i16)
LANE_PACK(packusdw, w, sd, sat_u16)

#define LANE_UNPACK(op, f, start)                                                                  \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        union lane r;                                                                              \
        (void)v;                                                                                   \
        for (unsigned i = 0; i < ARRAY_SIZE(d->f) / 2; i++) {                                      \
            r.f[2 * i] = d->f[(start) + i];                                                        \
            r.f[2 * i + 1] = s->f[(start) + i];                                                    \
        }                                                                                          \
        *d = r;                                                                                    \
        return true;                                                                               \
    }

LANE_UNPACK(punpcklbw, b, 0)
LANE_UNPACK(punpcklwd, w, 0)
LANE_UNPACK(punpckldq, d, 0)
LANE_UNPACK(punpcklqdq, q, 0)
LANE_UNPACK(punpckhbw, b, 8)
LANE_UNPACK(punpckhwd, w, 4)
LANE_UNPACK(punpckhdq, d, 2)
LANE_UNPACK(punpckhqdq, q, 1)

/* From the low elements of *s, widened. */
#define LANE_EXTEND(op, to, from)                                                                  \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        (void)v;                                                                                   \
        for (unsigned i = 0; i < ARRAY_SIZE(d->to); i++)                                           \
            d->to[i] = s->from[i];                                                                 \
        return true;                                                                               \
    }

LANE_EXTEND(pmovsxbw, sw, sb)
LANE_EXTEND(pmovsxbd, sd, sb)
LANE_EXTEND(pmovsxbq, sq, sb)
LANE_EXTEND(pmovsxwd, sd, sw)
LANE_EXTEND(pmovsxwq, sq, sw)
LANE_EXTEND(pmovsxdq, sq, sd)
LANE_EXTEND(pmovzxbw, w, b)
LANE_EXTEND(pmovzxbd, d, b)
LANE_EXTEND(pmovzxbq, q, b)
LANE_EXTEND(pmovzxwd, d, w)
LANE_EXTEND(pmovzxwq, q, w)
LANE_EXTEND(pmovzxdq, q, d)

/* ---- shuffles ---- */

static ALWAYS_INLINE bool sem_pshufb(struct vcpu *v, union lane *d, const union lane *s)
{
    const union lane first = *d;

    (void)v;
    for (unsigned i = 0; i < 16; i++)
        d->b[i] = (s->b[i] & 0x80) != 0 ? 0 : first.b[s->b[i] & 15];
    return true;
}

static ALWAYS_INLINE bool sem_pshufd(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = s->d[imm >> 2 * i & 3];
    return true;
}

static ALWAYS_INLINE bool sem_pshuflw(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->w[i] = s->w[imm >> 2 * i & 3];
    d->q[1] = s->q[1];
    return true;
}

static ALWAYS_INLINE bool sem_pshufhw(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    (void)v;
    d->q[0] = s->q[0];
    for (unsigned i = 0; i < 4; i++)
        d->w[4 + i] = s->w[4 + (imm >> 2 * i & 3)];
    return true;
}

/* 16 bytes out of *d:*s, imm bytes up; zeros from above. */
static ALWAYS_INLINE bool sem_palignr(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    const unsigned n = (unsigned)(imm & 0xff);
    u8 wide[48] = {0};

    (void)v;
    memcpy(wide, s, 16);
    memcpy(wide + 16, d, 16);
    memcpy(d, wide + (n < 32 ? n : 32), 16);
    return true;
}

static ALWAYS_INLINE bool sem_pblendw(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 8; i++)
        d->w[i] = (imm >> i & 1) != 0 ? s->w[i] : d->w[i];
    return true;
}

/* Element from *s where the top bit of the mask's element is set. */
#define LANE_BLEND(op, f, sf)                                                                      \
    static ALWAYS_INLINE bool blend_##op(union lane *d, const union lane *s,                       \
                                         const union lane *mask)                                   \
    {                                                                                              \
        for (unsigned i = 0; i < ARRAY_SIZE(d->f); i++)                                            \
            d->f[i] = mask->sf[i] < 0 ? s->f[i] : d->f[i];                                         \
        return true;                                                                               \
    }                                                                                              \
    /* legacy forms: the mask is XMM0 */                                                           \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        const union lane mask = lane_get(&v->state.ymm[0], 0);                                     \
        return blend_##op(d, s, &mask);                                                            \
    }

LANE_BLEND(pblendvb, b, sb)
LANE_BLEND(blendvps, d, sd)
LANE_BLEND(blendvpd, q, sq)

/* ---- to general registers and flags ---- */

/* The top bits of the bytes, dwords, qwords of n bytes. */
static inline u32 mask_bytes(const union vec *a, unsigned n)
{
    u32 mask = 0;

    for (unsigned i = 0; i < n; i++)
        mask |= (u32)(a->b[i] >> 7) << i;
    return mask;
}

static inline u32 mask_dwords(const union vec *a, unsigned n)
{
    u32 mask = 0;

    for (unsigned i = 0; i < n / 4; i++)
        mask |= (a->d[i] >> 31) << i;
    return mask;
}

static inline u32 mask_qwords(const union vec *a, unsigned n)
{
    u32 mask = 0;

    for (unsigned i = 0; i < n / 8; i++)
        mask |= (u32)(a->q[i] >> 63) << i;
    return mask;
}

/* ZF: a & b == 0; CF: ~a & b == 0, both under `care`; the others clear (PTEST, VTESTPS, VTESTPD).
 */
static inline void flags_test(struct vcpu *v, const union vec *a, const union vec *b, unsigned n,
                              u64 care)
{
    u64 both = 0, only_b = 0;

    for (unsigned i = 0; i < n / 8; i++) {
        both |= a->q[i] & b->q[i] & care;
        only_b |= ~a->q[i] & b->q[i] & care;
    }
    flags_load(v, (both == 0 ? FLAG_ZF : 0u) | (only_b == 0 ? FLAG_CF : 0u));
}

#endif
