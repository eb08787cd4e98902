/* SPDX-License-Identifier: MIT */
/*
 * What the SSE and AVX floating-point families share: MXCSR to kernel environment and back, SIMD
 * exceptions, element loops, and the macros that make fast lane semantics of host instructions.
 * SDM Vol 1 11.5, Vol 3A 13.1.
 *
 * The generic exec of every row uses the kernel in cpu/fp and is the reference. Stamped handlers
 * use host instructions on x86-64 hosts while everything is masked (cpu/isa/fpu.h), else the
 * generic path.
 */
#ifndef CPU_ISA_SSE_FP_H
#define CPU_ISA_SSE_FP_H

#include "cpu/isa/fpu.h"
#include "cpu/stamp_vec.h"

static ALWAYS_INLINE struct fp_env sse_env(const struct vcpu *v)
{
    const u32 mxcsr = v->state.mxcsr;

    return (struct fp_env){
        .rounding = mxcsr >> MXCSR_RC_SHIFT & 3,
        .precision = FP_PREC_64,
        .masks = mxcsr >> MXCSR_MASKS_SHIFT & FP_ALL,
        .daz = (mxcsr & MXCSR_DAZ) != 0,
        .ftz = (mxcsr & MXCSR_FTZ) != 0,
    };
}

/*
 * All elements are done and env holds their flags together: make them sticky. With an unmasked IE,
 * DE or ZE in any element nothing was computed, so OE, UE and PE are not raised (SDM Vol
 * 1 11.5.2.4). false: #XM, or #UD if the system does not want it; the result is not stored.
 */
MUST_CHECK bool sse_finish(struct vcpu *v, const struct fp_env *env);

/* Kernel functions over the first n elements; the rest of *out comes from *base. */
typedef u32 (*sse_unary32)(u32 a, struct fp_env *env);
typedef u64 (*sse_unary64)(u64 a, struct fp_env *env);
typedef u32 (*sse_binary32)(u32 a, u32 b, struct fp_env *env);
typedef u64 (*sse_binary64)(u64 a, u64 b, struct fp_env *env);

MUST_CHECK bool sse_map32(struct vcpu *v, union vec *out, const union vec *base,
                          const union vec *source, u32 n, sse_unary32 f);
MUST_CHECK bool sse_map64(struct vcpu *v, union vec *out, const union vec *base,
                          const union vec *source, u32 n, sse_unary64 f);
MUST_CHECK bool sse_zip32(struct vcpu *v, union vec *out, const union vec *a, const union vec *b,
                          u32 n, sse_binary32 f);
MUST_CHECK bool sse_zip64(struct vcpu *v, union vec *out, const union vec *a, const union vec *b,
                          u32 n, sse_binary64 f);

/* A generic exec; call may use v, in and x. */
#define EXEC_FP(name, call)                                                                        \
    static bool exec_##name(struct vcpu *v, const struct insn *in, struct operands *x)             \
    {                                                                                              \
        (void)in;                                                                                  \
        return call;                                                                               \
    }

/* May host instructions do it? The host must have the control bits that the guest has now. */
static ALWAYS_INLINE bool sse_quick(const struct vcpu *v)
{
    return (v->state.mxcsr | MXCSR_FLAGS) == v->mxcsr_quick;
}

/*
 * Lane semantics from one host instruction, d = d op s. They are instructions and not C arithmetic
 * because the compiler may swap operands, and then the wrong NaN wins.
 */
#if defined(__x86_64__)
#define HOST_SSE true
#define HOST_ASM(insn, d, s) __asm__ volatile(insn " %1, %0" : "+x"(d) : "x"(s))
#define HOST_LANE(name, insn)                                                                      \
    static ALWAYS_INLINE bool sem_##name(struct vcpu *v, union lane *d, const union lane *s)       \
    {                                                                                              \
        v2u64 r_ = d->v;                                                                           \
                                                                                                   \
        if (unlikely(!sse_quick(v)))                                                               \
            return false;                                                                          \
        HOST_ASM(insn, r_, s->v);                                                                  \
        d->v = r_;                                                                                 \
        return true;                                                                               \
    }
#else
#define HOST_SSE false
#define HOST_ASM(insn, d, s) ((void)(s))
#define HOST_LANE(name, insn)                                                                      \
    static ALWAYS_INLINE bool sem_##name(struct vcpu *v, union lane *d, const union lane *s)       \
    {                                                                                              \
        (void)v;                                                                                   \
        (void)d;                                                                                   \
        (void)s;                                                                                   \
        return false;                                                                              \
    }
#endif

/* VEX V,W where memory and result are `size` and 16 bytes, for VEX.128 only: conversions that
 * change the element size. */
#define STAMP_VEX_V_WS(op, sem, size)                                                              \
    STAMP_VEX_R_(run_##op##_vex_v_ws_r, 1, STAMP_FIRST_ZERO_, sem(v, &d_, &s_))                    \
    STAMP_VEX_M_(run_##op##_vex_v_ws_f, 1, size, 0, EA_FLAT, STAMP_FIRST_ZERO_, sem(v, &d_, &s_))  \
    STAMP_VEX_M_(run_##op##_vex_v_ws_o, 1, size, 0, EA_OPEN, STAMP_FIRST_ZERO_, sem(v, &d_, &s_))  \
    STAMP_LANE_PICK_(stamp_##op##_VEX_V_WS, run_##op##_vex_v_ws_r, run_##op##_vex_v_ws_f,          \
                     run_##op##_vex_v_ws_o)

#endif
