/* SPDX-License-Identifier: MIT */
/*
 * SSE, SSE2 and SSE3 floating-point arithmetic and comparison, legacy and VEX forms, and MXCSR:
 * SDM Vol 2, by mnemonic; Vol 1 10.4, 11.4, 14.4. Conversions are in sse_fp_convert.c, SSE4.1 in
 * sse_fp_more.c.
 */
#include "cpu/isa/sse_fp.h"

#include "cpu/control.h"
#include "cpu/isa/isa.h"

/* ---- shared with the other floating-point families ---- */

bool sse_finish(struct vcpu *v, const struct fp_env *env)
{
    u32 flags = env->flags;
    const u32 unmasked = flags & ~(u32)env->masks & FP_ALL;

    if (unlikely(unmasked & (FP_IE | FP_DE | FP_ZE)))
        flags &= FP_IE | FP_DE | FP_ZE;
    v->state.mxcsr |= flags;
    if (likely(!unmasked))
        return true;
    return (v->state.cr4 & CR4_OSXMMEXCPT) != 0 ? raise_fault(v, VEC_XM) : RAISE_UD(v);
}

bool sse_map32(struct vcpu *v, union vec *out, const union vec *base, const union vec *source,
               u32 n, sse_unary32 f)
{
    struct fp_env env = sse_env(v);
    union vec r = *base;

    for (u32 i = 0; i < n; i++)
        r.d[i] = f(source->d[i], &env);
    *out = r;
    return sse_finish(v, &env);
}

bool sse_map64(struct vcpu *v, union vec *out, const union vec *base, const union vec *source,
               u32 n, sse_unary64 f)
{
    struct fp_env env = sse_env(v);
    union vec r = *base;

    for (u32 i = 0; i < n; i++)
        r.q[i] = f(source->q[i], &env);
    *out = r;
    return sse_finish(v, &env);
}

bool sse_zip32(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n,
               sse_binary32 f)
{
    struct fp_env env = sse_env(v);
    union vec r = *a;

    for (u32 i = 0; i < n; i++)
        r.d[i] = f(a->d[i], b->d[i], &env);
    *out = r;
    return sse_finish(v, &env);
}

bool sse_zip64(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n,
               sse_binary64 f)
{
    struct fp_env env = sse_env(v);
    union vec r = *a;

    for (u32 i = 0; i < n; i++)
        r.q[i] = f(a->q[i], b->q[i], &env);
    *out = r;
    return sse_finish(v, &env);
}

/* ---- arithmetic: a = legacy first operand, or VEX.vvvv ---- */

/* Legacy vec[0] op vec[1]; VEX vec[1] op vec[2]. */
#define EXEC_ZIP(op)                                                                               \
    EXEC_FP(op##ps, sse_zip32(v, &x->vec[0], &x->vec[0], &x->vec[1], 4, fp32_##op))                \
    EXEC_FP(op##ss, sse_zip32(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, fp32_##op))                \
    EXEC_FP(op##pd, sse_zip64(v, &x->vec[0], &x->vec[0], &x->vec[1], 2, fp64_##op))                \
    EXEC_FP(op##sd, sse_zip64(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, fp64_##op))                \
    EXEC_FP(v##op##ps,                                                                             \
            sse_zip32(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 4, fp32_##op))        \
    EXEC_FP(v##op##ss, sse_zip32(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, fp32_##op))             \
    EXEC_FP(v##op##pd,                                                                             \
            sse_zip64(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 8, fp64_##op))        \
    EXEC_FP(v##op##sd, sse_zip64(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, fp64_##op))
#define STAMP_ZIP(op)                                                                              \
    HOST_LANE(op##ps, #op "ps")                                                                    \
    HOST_LANE(op##ss, #op "ss")                                                                    \
    HOST_LANE(op##pd, #op "pd")                                                                    \
    HOST_LANE(op##sd, #op "sd")                                                                    \
    STAMP_V_W(op##ps, sem_##op##ps, 16, 1)                                                         \
    STAMP_V_W(op##ss, sem_##op##ss, 4, 0)                                                          \
    STAMP_V_W(op##pd, sem_##op##pd, 16, 1)                                                         \
    STAMP_V_W(op##sd, sem_##op##sd, 8, 0)                                                          \
    STAMP_V_H_W(op##ps, sem_##op##ps)                                                              \
    STAMP_V_H_WS(op##ss, sem_##op##ss, 4)                                                          \
    STAMP_V_H_W(op##pd, sem_##op##pd)                                                              \
    STAMP_V_H_WS(op##sd, sem_##op##sd, 8)

EXEC_ZIP(add)
EXEC_ZIP(sub)
EXEC_ZIP(mul)
EXEC_ZIP(div)
EXEC_ZIP(min)
EXEC_ZIP(max)
STAMP_ZIP(add)
STAMP_ZIP(sub)
STAMP_ZIP(mul)
STAMP_ZIP(div)
STAMP_ZIP(min)
STAMP_ZIP(max)

/* One source; the scalar VEX forms take the upper part from vvvv. */
#define EXEC_MAP(op, bits, ps, ss)                                                                 \
    EXEC_FP(ps, sse_map##bits(v, &x->vec[0], &x->vec[0], &x->vec[1], 128 / bits, fp##bits##_##op)) \
    EXEC_FP(ss, sse_map##bits(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, fp##bits##_##op))          \
    EXEC_FP(v##ps, sse_map##bits(v, &x->vec[0], &x->vec[0], &x->vec[1], 8 * vec_bytes(in) / bits,  \
                                 fp##bits##_##op))                                                 \
    EXEC_FP(v##ss, sse_map##bits(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, fp##bits##_##op))

static u32 fp32_rcp(u32 a, struct fp_env *env)
{
    (void)env;
    return fp32_rcp_estimate(a);
}

static u32 fp32_rsqrt(u32 a, struct fp_env *env)
{
    (void)env;
    return fp32_rsqrt_estimate(a);
}

EXEC_MAP(sqrt, 32, sqrtps, sqrtss)
EXEC_MAP(sqrt, 64, sqrtpd, sqrtsd)
EXEC_MAP(rcp, 32, rcpps, rcpss)
EXEC_MAP(rsqrt, 32, rsqrtps, rsqrtss)

HOST_LANE(sqrtps, "sqrtps")
HOST_LANE(sqrtss, "sqrtss")
HOST_LANE(sqrtpd, "sqrtpd")
HOST_LANE(sqrtsd, "sqrtsd")
STAMP_V_W(sqrtps, sem_sqrtps, 16, 1)
STAMP_V_W(sqrtss, sem_sqrtss, 4, 0)
STAMP_V_W(sqrtpd, sem_sqrtpd, 16, 1)
STAMP_V_W(sqrtsd, sem_sqrtsd, 8, 0)
STAMP_VEX_V_W(sqrtps, sem_sqrtps, 0)
STAMP_V_H_WS(sqrtss, sem_sqrtss, 4)
STAMP_VEX_V_W(sqrtpd, sem_sqrtpd, 0)
STAMP_V_H_WS(sqrtsd, sem_sqrtsd, 8)

/* ---- horizontal and alternating (SSE3): per 128-bit lane ---- */

static bool horizontal32(struct vcpu *v, union vec *out, const union vec *a, const union vec *b,
                         u32 n, sse_binary32 f)
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 lane = 0; lane < n; lane += 4) {
        for (u32 i = 0; i < 2; i++) {
            r.d[lane + i] = f(a->d[lane + 2 * i], a->d[lane + 2 * i + 1], &env);
            r.d[lane + 2 + i] = f(b->d[lane + 2 * i], b->d[lane + 2 * i + 1], &env);
        }
    }
    *out = r;
    return sse_finish(v, &env);
}

static bool horizontal64(struct vcpu *v, union vec *out, const union vec *a, const union vec *b,
                         u32 n, sse_binary64 f)
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 lane = 0; lane < n; lane += 2) {
        r.q[lane] = f(a->q[lane], a->q[lane + 1], &env);
        r.q[lane + 1] = f(b->q[lane], b->q[lane + 1], &env);
    }
    *out = r;
    return sse_finish(v, &env);
}

static bool addsub32(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n)
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 i = 0; i < n; i += 2) {
        r.d[i] = fp32_sub(a->d[i], b->d[i], &env);
        r.d[i + 1] = fp32_add(a->d[i + 1], b->d[i + 1], &env);
    }
    *out = r;
    return sse_finish(v, &env);
}

static bool addsub64(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n)
{
    struct fp_env env = sse_env(v);
    union vec r = {.q = {0}};

    for (u32 i = 0; i < n; i += 2) {
        r.q[i] = fp64_sub(a->q[i], b->q[i], &env);
        r.q[i + 1] = fp64_add(a->q[i + 1], b->q[i + 1], &env);
    }
    *out = r;
    return sse_finish(v, &env);
}

EXEC_FP(haddps, horizontal32(v, &x->vec[0], &x->vec[0], &x->vec[1], 4, fp32_add))
EXEC_FP(hsubps, horizontal32(v, &x->vec[0], &x->vec[0], &x->vec[1], 4, fp32_sub))
EXEC_FP(haddpd, horizontal64(v, &x->vec[0], &x->vec[0], &x->vec[1], 2, fp64_add))
EXEC_FP(hsubpd, horizontal64(v, &x->vec[0], &x->vec[0], &x->vec[1], 2, fp64_sub))
EXEC_FP(addsubps, addsub32(v, &x->vec[0], &x->vec[0], &x->vec[1], 4))
EXEC_FP(addsubpd, addsub64(v, &x->vec[0], &x->vec[0], &x->vec[1], 2))
EXEC_FP(vhaddps, horizontal32(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 4, fp32_add))
EXEC_FP(vhsubps, horizontal32(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 4, fp32_sub))
EXEC_FP(vhaddpd, horizontal64(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 8, fp64_add))
EXEC_FP(vhsubpd, horizontal64(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 8, fp64_sub))
EXEC_FP(vaddsubps, addsub32(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 4))
EXEC_FP(vaddsubpd, addsub64(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 8))

/* ---- CMPPS and its kin ---- */

/* For which relations the comparison holds, bit enum fp_relation; from 16 on the predicates repeat
 * with the other kind of NaN signalling. SDM Vol 2A table 3-1. */
static const struct {
    u8 holds;
    bool quiet;
} predicates[16] = {
    {2, true},   {1, false}, {3, false}, {8, true},  {13, true},  {14, false},
    {12, false}, {7, true},  {10, true}, {9, false}, {11, false}, {0, true},
    {5, true},   {6, false}, {4, false}, {15, true},
};

static bool compare32(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n,
                      u32 predicate)
{
    const bool quiet = predicates[predicate & 15].quiet != (predicate >> 4 & 1);
    struct fp_env env = sse_env(v);
    union vec r = *a;

    for (u32 i = 0; i < n; i++) {
        const enum fp_relation relation = fp32_compare(a->d[i], b->d[i], quiet, &env);

        r.d[i] = predicates[predicate & 15].holds >> relation & 1 ? ~0u : 0;
    }
    *out = r;
    return sse_finish(v, &env);
}

static bool compare64(struct vcpu *v, union vec *out, const union vec *a, const union vec *b, u32 n,
                      u32 predicate)
{
    const bool quiet = predicates[predicate & 15].quiet != (predicate >> 4 & 1);
    struct fp_env env = sse_env(v);
    union vec r = *a;

    for (u32 i = 0; i < n; i++) {
        const enum fp_relation relation = fp64_compare(a->q[i], b->q[i], quiet, &env);

        r.q[i] = predicates[predicate & 15].holds >> relation & 1 ? ~0ull : 0;
    }
    *out = r;
    return sse_finish(v, &env);
}

EXEC_FP(cmpps, compare32(v, &x->vec[0], &x->vec[0], &x->vec[1], 4, in->imm & 7))
EXEC_FP(cmpss, compare32(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, in->imm & 7))
EXEC_FP(cmppd, compare64(v, &x->vec[0], &x->vec[0], &x->vec[1], 2, in->imm & 7))
EXEC_FP(cmpsd, compare64(v, &x->vec[0], &x->vec[0], &x->vec[1], 1, in->imm & 7))
EXEC_FP(vcmpps, compare32(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 4, in->imm & 31))
EXEC_FP(vcmpss, compare32(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, in->imm & 31))
EXEC_FP(vcmppd, compare64(v, &x->vec[0], &x->vec[1], &x->vec[2], vec_bytes(in) / 8, in->imm & 31))
EXEC_FP(vcmpsd, compare64(v, &x->vec[0], &x->vec[1], &x->vec[2], 1, in->imm & 31))

/* The eight predicates that every SSE host has; the others of VEX take the generic path. */
#define HOST_COMPARE(op)                                                                           \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s,         \
                                       u64 predicate)                                              \
    {                                                                                              \
        v2u64 r_ = d->v;                                                                           \
                                                                                                   \
        if (unlikely(!sse_quick(v)))                                                               \
            return false;                                                                          \
        switch (predicate) {                                                                       \
        case 0: HOST_ASM(#op " $0,", r_, s->v); break;                                             \
        case 1: HOST_ASM(#op " $1,", r_, s->v); break;                                             \
        case 2: HOST_ASM(#op " $2,", r_, s->v); break;                                             \
        case 3: HOST_ASM(#op " $3,", r_, s->v); break;                                             \
        case 4: HOST_ASM(#op " $4,", r_, s->v); break;                                             \
        case 5: HOST_ASM(#op " $5,", r_, s->v); break;                                             \
        case 6: HOST_ASM(#op " $6,", r_, s->v); break;                                             \
        case 7: HOST_ASM(#op " $7,", r_, s->v); break;                                             \
        default: return false;                                                                     \
        }                                                                                          \
        d->v = r_;                                                                                 \
        return HOST_SSE;                                                                           \
    }

HOST_COMPARE(cmpps)
HOST_COMPARE(cmpss)
HOST_COMPARE(cmppd)
HOST_COMPARE(cmpsd)
STAMP_V_W_I(cmpps, sem_cmpps, 16, 1)
STAMP_V_W_I(cmpss, sem_cmpss, 4, 0)
STAMP_V_W_I(cmppd, sem_cmppd, 16, 1)
STAMP_V_W_I(cmpsd, sem_cmpsd, 8, 0)
STAMP_V_H_W_I(cmpps, sem_cmpps)
STAMP_V_H_W_I(cmppd, sem_cmppd)
#define SEM_CMPSS_IMM(v, d, s) sem_cmpss(v, d, s, in->imm)
#define SEM_CMPSD_IMM(v, d, s) sem_cmpsd(v, d, s, in->imm)
STAMP_V_H_WS(cmpss, SEM_CMPSS_IMM, 4)
STAMP_V_H_WS(cmpsd, SEM_CMPSD_IMM, 8)

/* ---- COMISS and its kin: EFLAGS ---- */

static void relation_to_flags(struct vcpu *v, enum fp_relation relation)
{
    static const u8 flags[] = {FLAG_CF, FLAG_ZF, 0, FLAG_CF | FLAG_PF | FLAG_ZF};

    flags_load(v, flags[relation]);
}

static bool comis(struct vcpu *v, const struct operands *x, bool wide, bool quiet)
{
    struct fp_env env = sse_env(v);
    const enum fp_relation relation =
        wide ? fp64_compare(x->vec[0].q[0], x->vec[1].q[0], quiet, &env)
             : fp32_compare(x->vec[0].d[0], x->vec[1].d[0], quiet, &env);

    if (!sse_finish(v, &env))
        return false;
    relation_to_flags(v, relation);
    return true;
}

EXEC_FP(comiss, comis(v, x, false, false))
EXEC_FP(ucomiss, comis(v, x, false, true))
EXEC_FP(comisd, comis(v, x, true, false))
EXEC_FP(ucomisd, comis(v, x, true, true))

/* d is only read. The host's answer in ZF PF CF becomes the guest's. (Not by flag outputs, of which
 * clang 14 loses some.) */
#if defined(__x86_64__)
#define HOST_COMIS(op)                                                                             \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        bool below_, equal_, unordered_;                                                           \
                                                                                                   \
        if (unlikely(!sse_quick(v)))                                                               \
            return false;                                                                          \
        __asm__ volatile(#op " %4, %3\n\tsetb %0\n\tsete %1\n\tsetp %2"                            \
                         : "=q"(below_), "=q"(equal_), "=q"(unordered_)                            \
                         : "x"(d->v), "x"(s->v)                                                    \
                         : "cc");                                                                  \
        v->lazy.result = !equal_ ? 0x100 : 0;                                                      \
        v->lazy.cc = (u64)below_ << 63 | (u64)below_ << 62 | (u64)!unordered_ << 8;                \
        return true;                                                                               \
    }
#else
#define HOST_COMIS(op) HOST_LANE(op, #op)
#endif

HOST_COMIS(comiss)
HOST_COMIS(ucomiss)
HOST_COMIS(comisd)
HOST_COMIS(ucomisd)
STAMP_V_W(comiss, sem_comiss, 4, 0)
STAMP_V_W(ucomiss, sem_ucomiss, 4, 0)
STAMP_V_W(comisd, sem_comisd, 8, 0)
STAMP_V_W(ucomisd, sem_ucomisd, 8, 0)

/* ---- MXCSR ---- */

static bool exec_ldmxcsr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    if (x->val[0] & ~(u64)MXCSR_VALID)
        return RAISE_GP0(v);
    mxcsr_write(v, (u32)x->val[0]);
    return true;
}

static bool exec_stmxcsr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = mxcsr_read(v);
    return true;
}

/* clang-format off */
#define PS(op, opcode, operands, f) \
    {#op, "np 0f " opcode " /r", operands, exec_##op, SSE | ALIGN16, .feature = f, .stamp = stamp_##op##_V_W}
#define SS(op, opcode) \
    {#op, "f3 0f " opcode " /r", "+Vdq,Wd", exec_##op, SSE, .feature = F_SSE, .stamp = stamp_##op##_V_W}
#define PD(op, opcode, operands, f) \
    {#op, "66 0f " opcode " /r", operands, exec_##op, SSE | ALIGN16, .feature = f, .stamp = stamp_##op##_V_W}
#define SD(op, opcode) \
    {#op, "f2 0f " opcode " /r", "+Vdq,Wq", exec_##op, SSE, .feature = F_SSE2, .stamp = stamp_##op##_V_W}
#define VP(op, pp, opcode) \
    {"v" #op, "vex.128." pp ".0f.wig " opcode " /r", "=Vx,Hx,Wx", exec_v##op, AVX, .feature = F_AVX, \
     .stamp = stamp_##op##_V_H_W}, \
    {"v" #op, "vex.256." pp ".0f.wig " opcode " /r", "=Vx,Hx,Wx", exec_v##op, AVX, .feature = F_AVX, \
     .stamp = stamp_##op##_V_H_W}
#define VS(op, pp, opcode, size) \
    {"v" #op, "vex.lig." pp ".0f.wig " opcode " /r", "=Vdq,Hdq,W" size, exec_v##op, AVX, .feature = F_AVX, \
     .stamp = stamp_##op##_V_H_WS}
#define ZIP_ROWS(op, opcode) \
    PS(op##ps, opcode, "+Vdq,Wdq", F_SSE), SS(op##ss, opcode), PD(op##pd, opcode, "+Vdq,Wdq", F_SSE2), \
    SD(op##sd, opcode), VP(op##ps, "np", opcode), VP(op##pd, "66", opcode), VS(op##ss, "f3", opcode, "d"), \
    VS(op##sd, "f2", opcode, "q")
/* No host instruction gives the value we chose, or SSE2 has none: generic only. */
#define PLAIN(op, prefix, opcode, operands, attr, f) \
    {#op, prefix " 0f " opcode " /r", operands, exec_##op, attr, .feature = f}
#define VPLAIN(op, pp, opcode, operands) \
    {"v" #op, "vex.128." pp ".0f.wig " opcode " /r", operands, exec_v##op, AVX, .feature = F_AVX}, \
    {"v" #op, "vex.256." pp ".0f.wig " opcode " /r", operands, exec_v##op, AVX, .feature = F_AVX}
#define VSPLAIN(op, pp, opcode, operands) \
    {"v" #op, "vex.lig." pp ".0f.wig " opcode " /r", operands, exec_v##op, AVX, .feature = F_AVX}
#define VSQRT(op, pp) \
    {"v" #op, "vex.128." pp ".0f.wig 51 /r", "=Vx,Wx", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W}, \
    {"v" #op, "vex.256." pp ".0f.wig 51 /r", "=Vx,Wx", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_VEX_V_W}
#define CMP(op, prefix, size, attr, f) \
    {#op, prefix " 0f c2 /r", "+Vdq,W" size ",Ib", exec_##op, attr, .feature = f, .stamp = stamp_##op##_V_W_I}
#define VCMP(op, pp) \
    {"v" #op, "vex.128." pp ".0f.wig c2 /r", "=Vx,Hx,Wx,Ib", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_V_H_W_I}, \
    {"v" #op, "vex.256." pp ".0f.wig c2 /r", "=Vx,Hx,Wx,Ib", exec_v##op, AVX, .feature = F_AVX, .stamp = stamp_##op##_V_H_W_I}
#define VCMPS(op, pp, size) \
    {"v" #op, "vex.lig." pp ".0f.wig c2 /r", "=Vdq,Hdq,W" size ",Ib", exec_v##op, AVX, .feature = F_AVX, \
     .stamp = stamp_##op##_V_H_WS}
#define COMIS(op, prefix, pp, opcode, size, f) \
    {#op, prefix " 0f " opcode " /r", "Vdq,W" size, exec_##op, SSE, .flags_written = FLAGS_ARITH, .feature = f, \
     .stamp = stamp_##op##_V_W}, \
    {"v" #op, "vex.lig." pp ".0f.wig " opcode " /r", "Vdq,W" size, exec_##op, AVX, .flags_written = FLAGS_ARITH, \
     .feature = F_AVX, .stamp = stamp_##op##_V_W}

const struct insn_def isa_sse_fp[] = {
    ZIP_ROWS(add, "58"),
    ZIP_ROWS(mul, "59"),
    ZIP_ROWS(sub, "5c"),
    ZIP_ROWS(min, "5d"),
    ZIP_ROWS(div, "5e"),
    ZIP_ROWS(max, "5f"),

    PS(sqrtps, "51", "=Vdq,Wdq", F_SSE),
    SS(sqrtss, "51"),
    PD(sqrtpd, "51", "=Vdq,Wdq", F_SSE2),
    SD(sqrtsd, "51"),
    VSQRT(sqrtps, "np"),
    VSQRT(sqrtpd, "66"),
    VS(sqrtss, "f3", "51", "d"),
    VS(sqrtsd, "f2", "51", "q"),
    PLAIN(rcpps, "np", "53", "=Vdq,Wdq", SSE | ALIGN16, F_SSE),
    PLAIN(rcpss, "f3", "53", "+Vdq,Wd", SSE, F_SSE),
    PLAIN(rsqrtps, "np", "52", "=Vdq,Wdq", SSE | ALIGN16, F_SSE),
    PLAIN(rsqrtss, "f3", "52", "+Vdq,Wd", SSE, F_SSE),
    VPLAIN(rcpps, "np", "53", "=Vx,Wx"),
    VSPLAIN(rcpss, "f3", "53", "=Vdq,Hdq,Wd"),
    VPLAIN(rsqrtps, "np", "52", "=Vx,Wx"),
    VSPLAIN(rsqrtss, "f3", "52", "=Vdq,Hdq,Wd"),

    PLAIN(haddps, "f2", "7c", "+Vdq,Wdq", SSE | ALIGN16, F_SSE3),
    PLAIN(haddpd, "66", "7c", "+Vdq,Wdq", SSE | ALIGN16, F_SSE3),
    PLAIN(hsubps, "f2", "7d", "+Vdq,Wdq", SSE | ALIGN16, F_SSE3),
    PLAIN(hsubpd, "66", "7d", "+Vdq,Wdq", SSE | ALIGN16, F_SSE3),
    PLAIN(addsubps, "f2", "d0", "+Vdq,Wdq", SSE | ALIGN16, F_SSE3),
    PLAIN(addsubpd, "66", "d0", "+Vdq,Wdq", SSE | ALIGN16, F_SSE3),
    VPLAIN(haddps, "f2", "7c", "=Vx,Hx,Wx"),
    VPLAIN(haddpd, "66", "7c", "=Vx,Hx,Wx"),
    VPLAIN(hsubps, "f2", "7d", "=Vx,Hx,Wx"),
    VPLAIN(hsubpd, "66", "7d", "=Vx,Hx,Wx"),
    VPLAIN(addsubps, "f2", "d0", "=Vx,Hx,Wx"),
    VPLAIN(addsubpd, "66", "d0", "=Vx,Hx,Wx"),

    CMP(cmpps, "np", "dq", SSE | ALIGN16, F_SSE),
    CMP(cmpss, "f3", "d", SSE, F_SSE),
    CMP(cmppd, "66", "dq", SSE | ALIGN16, F_SSE2),
    CMP(cmpsd, "f2", "q", SSE, F_SSE2),
    VCMP(cmpps, "np"),
    VCMP(cmppd, "66"),
    VCMPS(cmpss, "f3", "d"),
    VCMPS(cmpsd, "f2", "q"),
    COMIS(ucomiss, "np", "np", "2e", "d", F_SSE),
    COMIS(comiss, "np", "np", "2f", "d", F_SSE),
    COMIS(ucomisd, "66", "66", "2e", "q", F_SSE2),
    COMIS(comisd, "66", "66", "2f", "q", F_SSE2),

    {"ldmxcsr", "np 0f ae /2", "Md", exec_ldmxcsr, SSE, .feature = F_SSE},
    {"stmxcsr", "np 0f ae /3", "=Md", exec_stmxcsr, SSE, .feature = F_SSE},
    {"vldmxcsr", "vex.lz.np.0f.wig ae /2", "Md", exec_ldmxcsr, AVX, .feature = F_AVX},
    {"vstmxcsr", "vex.lz.np.0f.wig ae /3", "=Md", exec_stmxcsr, AVX, .feature = F_AVX},
    {0},
};
/* clang-format on */
