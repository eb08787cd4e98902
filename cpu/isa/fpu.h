/* SPDX-License-Identifier: MIT */
/*
 * What other families and the run loop need of the floating-point units: a pending x87 error, and
 * MXCSR, whose sticky flags may be spread over the guest's register and the host's while code runs.
 *
 * On x86-64 hosts, SSE arithmetic with all exceptions masked is done by host instructions. While a
 * CPU runs, the host's MXCSR has the guest's control bits (rounding, DAZ, FTZ), and the flags that
 * instructions raise stay there until somebody looks. All SSE units agree bit for bit, NaNs
 * included, so nothing of the host shows.
 */
#ifndef CPU_ISA_FPU_H
#define CPU_ISA_FPU_H

#include "cpu/fp/fp.h"
#include "cpu/vcpu.h"

enum {
    MXCSR_FLAGS = 0x3f,
    MXCSR_DAZ = 1 << 6,
    MXCSR_MASKS_SHIFT = 7,
    MXCSR_MASKS = 0x3f << 7,
    MXCSR_RC_SHIFT = 13,
    MXCSR_FTZ = 1 << 15,
    MXCSR_DEFAULT = 0x1f80,
    MXCSR_VALID = 0xffff, /* also MXCSR_MASK of FXSAVE */
};

/* Bring the guest's MXCSR up to date with what the host's has collected. */
static ALWAYS_INLINE void mxcsr_fold(struct vcpu *v)
{
#if defined(__x86_64__)
    const u32 host = __builtin_ia32_stmxcsr();

    if (host & MXCSR_FLAGS) {
        v->state.mxcsr |= host & MXCSR_FLAGS;
        __builtin_ia32_ldmxcsr(host & ~(u32)MXCSR_FLAGS);
    }
#else
    (void)v;
#endif
}

/* Give the host the guest's control bits, or its default if something is unmasked: then the kernel
 * does the work. The host's flags must have been folded. */
static ALWAYS_INLINE void mxcsr_to_host(struct vcpu *v)
{
#if defined(__x86_64__)
    const u32 control = v->state.mxcsr & ~(u32)MXCSR_FLAGS;
    const bool masked = (control & MXCSR_MASKS) == MXCSR_MASKS;

    v->mxcsr_quick = masked ? control | MXCSR_FLAGS : 0;
    __builtin_ia32_ldmxcsr(masked ? control : MXCSR_DEFAULT);
#else
    (void)v;
#endif
}

/* Every read and write of the guest's MXCSR by instructions (STMXCSR, FXSAVE, XSAVE ...). value
 * must have no bits outside MXCSR_VALID: checking that is #GP(0) is the caller's part. */
static ALWAYS_INLINE u32 mxcsr_read(struct vcpu *v)
{
    mxcsr_fold(v);
    return v->state.mxcsr;
}

static ALWAYS_INLINE void mxcsr_write(struct vcpu *v, u32 value)
{
    mxcsr_fold(v);
    v->state.mxcsr = value;
    mxcsr_to_host(v);
}

/* Around vcpu_run(): give the host's MXCSR to the guest, and put back what there was. */
static ALWAYS_INLINE u32 mxcsr_enter(struct vcpu *v)
{
#if defined(__x86_64__)
    const u32 saved = __builtin_ia32_stmxcsr();

    mxcsr_to_host(v);
    return saved;
#else
    (void)v;
    return 0;
#endif
}

static ALWAYS_INLINE void mxcsr_leave(struct vcpu *v, u32 saved)
{
#if defined(__x86_64__)
    mxcsr_fold(v);
    v->mxcsr_quick = 0;
    __builtin_ia32_ldmxcsr(saved);
#else
    (void)v;
    (void)saved;
#endif
}

/* x87 status word. */
enum {
    FSW_SF = 1 << 6, /* stack fault */
    FSW_ES = 1 << 7, /* an unmasked exception is pending */
    FSW_C0 = 1 << 8,
    FSW_C1 = 1 << 9,
    FSW_C2 = 1 << 10,
    FSW_C3 = 1 << 14,
    FSW_B = 1 << 15, /* always as ES */
    FSW_TOP_SHIFT = 11,
    FSW_CC = FSW_C0 | FSW_C2 | FSW_C3,
};

NOINLINE bool x87_report_pending(struct vcpu *v);

/* An unmasked error of an earlier x87 instruction is reported now, as #MF, or by FERR# if CR0.NE is
 * 0. false: v->event is filled. Rows with X87_WAIT or MMX have it done for them. SDM Vol 1 8.7. */
static ALWAYS_INLINE bool x87_wait(struct vcpu *v)
{
    return likely(!(v->state.fpu.fsw & FSW_ES)) || x87_report_pending(v);
}

/* Set ES and B from flags and masks, after either was loaded. */
void x87_update_summary(struct vcpu *v);
/* FERR# may have to fall with that: false is EVENT_REDO. Ask before changing any state. */
MUST_CHECK bool x87_may_clear(struct vcpu *v);

/* The full tag word (2 bits for each physical register) from the abridged one and the contents, and
 * back. SDM Vol 1 8.1.7. */
u16 x87_tag_word(const struct fpu_state *fpu);
u8 x87_abridge(u16 tag_word);

/* FNINIT's state: SDM Vol 2A. */
void x87_init(struct fpu_state *fpu);

#endif
