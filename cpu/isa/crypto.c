/* SPDX-License-Identifier: MIT */
/*
 * AES, PCLMULQDQ, SHA and GFNI: SDM Vol 2, by mnemonic; FIPS 197 and FIPS 180-4 for what they
 * compute. Legacy and VEX forms, the 256-bit ones (VAES, VPCLMULQDQ) too.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp_vec.h"

/* FIPS 197 figures 7 and 14. */
/* clang-format off */
static const u8 aes_sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};
static const u8 aes_inverse_sbox[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};
/* clang-format on */

static ALWAYS_INLINE u32 ror32(u32 x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static ALWAYS_INLINE u32 rol32(u32 x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* ---- AES: bytes of a lane are the state, column by column ---- */

/* Four bytes times x in GF(2^8). */
static ALWAYS_INLINE u32 aes_double(u32 w)
{
    return ((w << 1) & 0xfefefefe) ^ ((w >> 7 & 0x01010101) * 0x1b);
}

static ALWAYS_INLINE u32 aes_mix(u32 w)
{
    const u32 w2 = aes_double(w);

    return w2 ^ ror32(w2 ^ w, 8) ^ ror32(w, 16) ^ ror32(w, 24);
}

static ALWAYS_INLINE u32 aes_inverse_mix(u32 w)
{
    const u32 w2 = aes_double(w), w4 = aes_double(w2), w8 = aes_double(w4);

    return (w8 ^ w4 ^ w2) ^ ror32(w8 ^ w2 ^ w, 8) ^ ror32(w8 ^ w4 ^ w, 16) ^ ror32(w8 ^ w, 24);
}

/* ShiftRows and SubBytes in one; step is 1, or 3 for the inverse (a row moves the other way). */
static ALWAYS_INLINE union lane aes_substitute(const union lane *from, const u8 *box, unsigned step)
{
    union lane to;

    for (unsigned i = 0; i < 16; i++)
        to.b[i] = box[from->b[(i + 4 * step * (i & 3)) & 15]];
    return to;
}

static ALWAYS_INLINE bool sem_aesenclast(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    d->v = aes_substitute(d, aes_sbox, 1).v ^ s->v;
    return true;
}

static ALWAYS_INLINE bool sem_aesenc(struct vcpu *v, union lane *d, const union lane *s)
{
    const union lane t = aes_substitute(d, aes_sbox, 1);

    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = aes_mix(t.d[i]) ^ s->d[i];
    return true;
}

static ALWAYS_INLINE bool sem_aesdeclast(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    d->v = aes_substitute(d, aes_inverse_sbox, 3).v ^ s->v;
    return true;
}

static ALWAYS_INLINE bool sem_aesdec(struct vcpu *v, union lane *d, const union lane *s)
{
    const union lane t = aes_substitute(d, aes_inverse_sbox, 3);

    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = aes_inverse_mix(t.d[i]) ^ s->d[i];
    return true;
}

static ALWAYS_INLINE bool sem_aesimc(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = aes_inverse_mix(s->d[i]);
    return true;
}

static ALWAYS_INLINE bool sem_aeskeygenassist(struct vcpu *v, union lane *d, const union lane *s,
                                              u64 imm)
{
    union lane t;

    (void)v;
    for (unsigned i = 0; i < 16; i++)
        t.b[i] = aes_sbox[s->b[i]];
    d->d[0] = t.d[1];
    d->d[1] = ror32(t.d[1], 8) ^ (u32)(imm & 0xff);
    d->d[2] = t.d[3];
    d->d[3] = ror32(t.d[3], 8) ^ (u32)(imm & 0xff);
    return true;
}

/* ---- carry-less multiplication; imm[0] and imm[4] choose the halves ---- */

static ALWAYS_INLINE bool sem_pclmulqdq(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    const u64 a = d->q[imm & 1], b = s->q[imm >> 4 & 1];
    u64 low = (b & 1) != 0 ? a : 0, high = 0;

    (void)v;
    for (unsigned i = 1; i < 64; i++) {
        const u64 take = 0 - (b >> i & 1);

        low ^= a << i & take;
        high ^= a >> (64 - i) & take;
    }
    d->q[0] = low;
    d->q[1] = high;
    return true;
}

/* ---- SHA-1: FIPS 180-4 6.1.2; A is the top dword ---- */

static ALWAYS_INLINE u32 sha1_f(u32 x, u32 y, u32 z, u64 imm)
{
    switch (imm & 3) {
    case 0: return (x & y) ^ (~x & z);
    case 2: return (x & y) ^ (x & z) ^ (y & z);
    default: return x ^ y ^ z;
    }
}

static ALWAYS_INLINE bool sem_sha1rnds4(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    static const u32 k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    u32 a = d->d[3], b = d->d[2], c = d->d[1], e = d->d[0], sum = 0;

    (void)v;
    for (unsigned i = 0; i < 4; i++) {
        const u32 next = sha1_f(b, c, e, imm) + rol32(a, 5) + s->d[3 - i] + sum + k[imm & 3];

        sum = e; /* E of the next round; the first round has it added to its word */
        e = c;
        c = rol32(b, 30);
        b = a;
        a = next;
    }
    *d = (union lane){.d = {e, c, b, a}};
    return true;
}

static ALWAYS_INLINE bool sem_sha1nexte(struct vcpu *v, union lane *d, const union lane *s)
{
    const u32 e = rol32(d->d[3], 30);

    (void)v;
    *d = *s;
    d->d[3] += e;
    return true;
}

static ALWAYS_INLINE bool sem_sha1msg1(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    d->v ^= (v2u64){s->q[1], d->q[0]};
    return true;
}

static ALWAYS_INLINE bool sem_sha1msg2(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    d->d[3] = rol32(d->d[3] ^ s->d[2], 1);
    d->d[2] = rol32(d->d[2] ^ s->d[1], 1);
    d->d[1] = rol32(d->d[1] ^ s->d[0], 1);
    d->d[0] = rol32(d->d[0] ^ d->d[3], 1);
    return true;
}

/* ---- SHA-256: FIPS 180-4 4.1.2, 6.2.2 ---- */

static ALWAYS_INLINE u32 sha256_sigma0(u32 x)
{
    return ror32(x, 7) ^ ror32(x, 18) ^ x >> 3;
}

static ALWAYS_INLINE u32 sha256_sigma1(u32 x)
{
    return ror32(x, 17) ^ ror32(x, 19) ^ x >> 10;
}

/* *d holds C D G H, *s A B E F, from the top; the words come in XMM0. */
static ALWAYS_INLINE bool sem_sha256rnds2(struct vcpu *v, union lane *d, const union lane *s)
{
    u32 a = s->d[3], b = s->d[2], c = d->d[3], e = s->d[1], f = s->d[0], g = d->d[1];
    u32 dd = d->d[2], h = d->d[0];

    for (unsigned i = 0; i < 2; i++) {
        const u32 t1 = h + (ror32(e, 6) ^ ror32(e, 11) ^ ror32(e, 25)) + ((e & f) ^ (~e & g)) +
                       v->state.ymm[0].d[i];
        const u32 t2 = (ror32(a, 2) ^ ror32(a, 13) ^ ror32(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));

        h = g;
        g = f;
        f = e;
        e = dd + t1;
        dd = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    *d = (union lane){.d = {f, e, b, a}};
    return true;
}

static ALWAYS_INLINE bool sem_sha256msg1(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] += sha256_sigma0(i < 3 ? d->d[i + 1] : s->d[0]);
    return true;
}

static ALWAYS_INLINE bool sem_sha256msg2(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] += sha256_sigma1(i < 2 ? s->d[i + 2] : d->d[i - 2]);
    return true;
}

/* ---- GFNI: GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 ---- */

static u8 gf_multiply(u8 a, u8 b)
{
    u32 product = 0;

    for (unsigned i = 0; i < 8; i++)
        product ^= (b >> i & 1) != 0 ? (u32)a << i : 0;
    for (unsigned i = 14; i >= 8; i--)
        product ^= (product >> i & 1) != 0 ? (u32)0x11b << (i - 8) : 0;
    return (u8)product;
}

/* a to the 254th power; 0 for 0. */
static u8 gf_inverse(u8 a)
{
    u8 power = a, result = 1;

    for (unsigned i = 1; i < 8; i++) {
        power = gf_multiply(power, power);
        result = gf_multiply(result, power);
    }
    return result;
}

static u8 gf_affine(u64 matrix, u8 x, u64 imm)
{
    u8 result = (u8)imm;

    for (unsigned i = 0; i < 8; i++)
        result ^= (u8)(__builtin_parity((u32)(matrix >> (56 - 8 * i)) & x) << i);
    return result;
}

static ALWAYS_INLINE bool sem_gf2p8mulb(struct vcpu *v, union lane *d, const union lane *s)
{
    (void)v;
    for (unsigned i = 0; i < 16; i++)
        d->b[i] = gf_multiply(d->b[i], s->b[i]);
    return true;
}

static ALWAYS_INLINE bool sem_gf2p8affineqb(struct vcpu *v, union lane *d, const union lane *s,
                                            u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 16; i++)
        d->b[i] = gf_affine(s->q[i / 8], d->b[i], imm);
    return true;
}

static ALWAYS_INLINE bool sem_gf2p8affineinvqb(struct vcpu *v, union lane *d, const union lane *s,
                                               u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 16; i++)
        d->b[i] = gf_affine(s->q[i / 8], gf_inverse(d->b[i]), imm);
    return true;
}

/* ---- handlers ---- */

#define DEFINE(op)                                                                                 \
    EXEC_LANE(op, sem_##op)                                                                        \
    STAMP_V_W(op, sem_##op, 16, 1)
#define DEFINE_I(op)                                                                               \
    EXEC_LANE_I(op, sem_##op)                                                                      \
    STAMP_V_W_I(op, sem_##op, 16, 1)
#define DEFINE_VEX(op)                                                                             \
    DEFINE(op)                                                                                     \
    EXEC_V_H_W(v##op, sem_##op)                                                                    \
    STAMP_V_H_W(v##op, sem_##op)
#define DEFINE_VEX_I(op)                                                                           \
    DEFINE_I(op)                                                                                   \
    EXEC_V_H_W_I(v##op, sem_##op)                                                                  \
    STAMP_V_H_W_I(v##op, sem_##op)

DEFINE_VEX(aesenc)
DEFINE_VEX(aesenclast)
DEFINE_VEX(aesdec)
DEFINE_VEX(aesdeclast)
DEFINE_VEX_I(pclmulqdq)
DEFINE_VEX(gf2p8mulb)
DEFINE_VEX_I(gf2p8affineqb)
DEFINE_VEX_I(gf2p8affineinvqb)
DEFINE(aesimc)
EXEC_VEX_V_W(vaesimc, sem_aesimc)
DEFINE_I(aeskeygenassist)
EXEC_VEX_V_W_I(vaeskeygenassist, sem_aeskeygenassist)
DEFINE_I(sha1rnds4)
DEFINE(sha1nexte)
DEFINE(sha1msg1)
DEFINE(sha1msg2)
DEFINE(sha256rnds2)
DEFINE(sha256msg1)
DEFINE(sha256msg2)

/* clang-format off */
#define ROW(op, encoding, direction, needs) \
    {#op, encoding " /r", direction "Vdq,Wdq", exec_##op, SSE | ALIGN16, .feature = needs, .stamp = stamp_##op##_V_W}
#define ROW_I(op, encoding, direction, needs) \
    {#op, encoding " /r", direction "Vdq,Wdq,Ib", exec_##op, SSE | ALIGN16, .feature = needs, .stamp = stamp_##op##_V_W_I}
#define VEX_ROWS(op, map_w_opcode, needs, needs256) \
    {"v" #op, "vex.128.66." map_w_opcode " /r", "=Vx,Hx,Wx", exec_v##op, AVX, .feature = needs, .stamp = stamp_v##op##_V_H_W}, \
    {"v" #op, "vex.256.66." map_w_opcode " /r", "=Vx,Hx,Wx", exec_v##op, AVX, .feature = needs256, .stamp = stamp_v##op##_V_H_W}
#define VEX_ROWS_I(op, map_w_opcode, needs, needs256) \
    {"v" #op, "vex.128.66." map_w_opcode " /r", "=Vx,Hx,Wx,Ib", exec_v##op, AVX, .feature = needs, .stamp = stamp_v##op##_V_H_W_I}, \
    {"v" #op, "vex.256.66." map_w_opcode " /r", "=Vx,Hx,Wx,Ib", exec_v##op, AVX, .feature = needs256, .stamp = stamp_v##op##_V_H_W_I}

const struct insn_def isa_crypto[] = {
    ROW(aesimc,     "66 0f 38 db", "=", F_AES),
    ROW(aesenc,     "66 0f 38 dc", "+", F_AES),
    ROW(aesenclast, "66 0f 38 dd", "+", F_AES),
    ROW(aesdec,     "66 0f 38 de", "+", F_AES),
    ROW(aesdeclast, "66 0f 38 df", "+", F_AES),
    ROW_I(aeskeygenassist, "66 0f 3a df", "=", F_AES),
    ROW_I(pclmulqdq, "66 0f 3a 44", "+", F_PCLMUL),
    {"vaesimc", "vex.128.66.0f38.wig db /r", "=Vdq,Wdq", exec_vaesimc, AVX, .feature = F_AES},
    {"vaeskeygenassist", "vex.128.66.0f3a.wig df /r", "=Vdq,Wdq,Ib", exec_vaeskeygenassist, AVX, .feature = F_AES},
    VEX_ROWS(aesenc,     "0f38.wig dc", F_AES, F_VAES),
    VEX_ROWS(aesenclast, "0f38.wig dd", F_AES, F_VAES),
    VEX_ROWS(aesdec,     "0f38.wig de", F_AES, F_VAES),
    VEX_ROWS(aesdeclast, "0f38.wig df", F_AES, F_VAES),
    VEX_ROWS_I(pclmulqdq, "0f3a.wig 44", F_PCLMUL, F_VPCLMUL),

    ROW(sha1nexte,   "np 0f 38 c8", "+", F_SHA),
    ROW(sha1msg1,    "np 0f 38 c9", "+", F_SHA),
    ROW(sha1msg2,    "np 0f 38 ca", "+", F_SHA),
    ROW(sha256rnds2, "np 0f 38 cb", "+", F_SHA),
    ROW(sha256msg1,  "np 0f 38 cc", "+", F_SHA),
    ROW(sha256msg2,  "np 0f 38 cd", "+", F_SHA),
    ROW_I(sha1rnds4, "np 0f 3a cc", "+", F_SHA),

    ROW(gf2p8mulb, "66 0f 38 cf", "+", F_GFNI),
    ROW_I(gf2p8affineqb, "66 0f 3a ce", "+", F_GFNI),
    ROW_I(gf2p8affineinvqb, "66 0f 3a cf", "+", F_GFNI),
    VEX_ROWS(gf2p8mulb, "0f38.w0 cf", F_GFNI, F_GFNI),
    VEX_ROWS_I(gf2p8affineqb, "0f3a.w1 ce", F_GFNI, F_GFNI),
    VEX_ROWS_I(gf2p8affineinvqb, "0f3a.w1 cf", F_GFNI, F_GFNI),
    {0},
};
/* clang-format on */
