/* SPDX-License-Identifier: MIT */
/*
 * What the x87 families share: the register stack, operands, and how an instruction's exceptions
 * become status. SDM Vol 1 8.1, 8.4, 8.5.
 *
 * Each exec works in the same order: memory source, computation on values, memory destination, then
 * status and stack. Nothing before the last two changes state. A pending error was reported before,
 * in the generic path (X87_WAIT).
 */
#ifndef CPU_ISA_X87_H
#define CPU_ISA_X87_H

#include "cpu/isa/fpu.h"
#include "cpu/stamp.h"

/* Stack faults come as flags beyond the six of enum fp_flag. */
enum { X87_UNDERFLOW = FP_IE | FSW_SF, X87_OVERFLOW = FP_IE | FSW_SF | FSW_C1 };

static ALWAYS_INLINE u32 x87_physical(const struct vcpu *v, u32 i)
{
    return ((v->state.fpu.fsw >> FSW_TOP_SHIFT) + i) & 7;
}

static ALWAYS_INLINE struct f80 x87_get(const struct vcpu *v, u32 i)
{
    return v->state.fpu.st[x87_physical(v, i)];
}

static ALWAYS_INLINE bool x87_empty(const struct vcpu *v, u32 i)
{
    return !(v->state.fpu.ftw >> x87_physical(v, i) & 1);
}

static ALWAYS_INLINE void x87_set(struct vcpu *v, u32 i, struct f80 value)
{
    const u32 r = x87_physical(v, i);

    v->state.fpu.st[r] = value;
    v->state.fpu.ftw |= (u8)(1u << r);
}

static ALWAYS_INLINE void x87_free(struct vcpu *v, u32 i)
{
    v->state.fpu.ftw &= (u8) ~(1u << x87_physical(v, i));
}

/* Move TOP; tags stay. */
static ALWAYS_INLINE void x87_rotate(struct vcpu *v, u32 by)
{
    const u32 top = (v->state.fpu.fsw >> FSW_TOP_SHIFT) + by;

    v->state.fpu.fsw =
        (u16)((v->state.fpu.fsw & ~(7u << FSW_TOP_SHIFT)) | (top & 7) << FSW_TOP_SHIFT);
}

static ALWAYS_INLINE void x87_pop(struct vcpu *v)
{
    x87_free(v, 0);
    x87_rotate(v, 1);
}

static ALWAYS_INLINE void x87_push(struct vcpu *v, struct f80 value)
{
    x87_rotate(v, 7);
    x87_set(v, 0, value);
}

static ALWAYS_INLINE struct fp_env x87_env(const struct vcpu *v)
{
    const u16 fcw = v->state.fpu.fcw;

    return (
        struct fp_env){.rounding = fcw >> 10 & 3, .precision = fcw >> 8 & 3, .masks = fcw & FP_ALL};
}

/* What one instruction did to the status word, and whether its result is delivered. */
struct x87_outcome {
    u16 flags; /* FSW bits to set; C1 as it shall be */
    bool deliver;
};

/* IE, DE and ZE are found before the computation: unmasked, there is no result and nothing else is
 * raised. SDM Vol 1 8.5. */
static ALWAYS_INLINE struct x87_outcome x87_outcome(const struct vcpu *v, const struct fp_env *env)
{
    const u32 flags = env->flags;

    if (unlikely((flags & ~(u32)v->state.fpu.fcw & (FP_IE | FP_DE | FP_ZE)) != 0))
        return (struct x87_outcome){(u16)(flags & (FP_IE | FP_DE | FP_ZE)), false};
    return (struct x87_outcome){(u16)(flags | ((flags & FP_PE) && env->rounded_up ? FSW_C1 : 0u)),
                                true};
}

/* A stack fault: the masked response is to deliver the indefinite. */
static ALWAYS_INLINE struct x87_outcome x87_stack_fault(const struct vcpu *v, u16 fault)
{
    return (struct x87_outcome){fault, (v->state.fpu.fcw & FP_IE) != 0};
}

/* Commit status and instruction pointers. false: EVENT_REDO, nothing changed (an error that goes
 * out through FERR# needs exact time). */
MUST_CHECK bool x87_commit(struct vcpu *v, const struct insn *in, const struct operands *x,
                           struct x87_outcome outcome);
/* The same question without the answer's effect, for those that store to memory first. */
MUST_CHECK bool x87_can_commit(struct vcpu *v, struct x87_outcome outcome);

/* Memory operand of the instruction, at its address: rows give it as "M". bytes is 2, 4, 8 or 10.
 */
MUST_CHECK bool x87_load(struct vcpu *v, const struct insn *in, const struct operands *x, u32 bytes,
                         struct f80 *raw);
MUST_CHECK bool x87_store(struct vcpu *v, const struct insn *in, const struct operands *x,
                          u32 bytes, struct f80 raw);

/*
 * Stamped forms: the frequent case, in which nothing is pending, no register is wrongly empty or
 * full and nothing unmasked is raised. Each quick function returns false before it has changed
 * anything, and the generic path does it all again. Memory operands are at p.
 */

static ALWAYS_INLINE bool x87_quick(const struct vcpu *v, const struct fp_env *env)
{
    return likely(!(v->state.fpu.fsw & FSW_ES) && !(env->flags & ~env->masks));
}

static ALWAYS_INLINE void x87_quick_commit(struct vcpu *v, const struct insn *in,
                                           const struct fp_env *env, bool memory)
{
    struct fpu_state *fpu = &v->state.fpu;

    fpu->fip = insn_rip(v, in) & v->la_mask;
    fpu->fcs = v->state.seg[SEG_CS].selector;
    fpu->fop = in->imm2;
    if (memory) {
        fpu->fdp = insn_offset(v, in);
        fpu->fds = v->state.seg[in->seg].selector;
    }
    fpu->fsw = (u16)((fpu->fsw & ~FSW_C1) | x87_outcome(v, env).flags);
}

#define X87_EXEC(name, call)                                                                       \
    static bool exec_##name(struct vcpu *v, const struct insn *in, struct operands *x)             \
    {                                                                                              \
        return call;                                                                               \
    }
#define X87_RUN_(name, call)                                                                       \
    STAMP_FN(run_##name)                                                                           \
    {                                                                                              \
        if (unlikely(!(call)))                                                                     \
            GENERIC(v, in);                                                                        \
        NEXT(v, in);                                                                               \
    }
#define X87_RUN_MEMORY_(fn, tag, size, access, kind, call)                                         \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p, tag, la_, size, access);                                                      \
        if (unlikely(!(call)))                                                                     \
            GENERIC(v, in);                                                                        \
        NEXT(v, in);                                                                               \
    }
#define X87_STAMP(name, call)                                                                      \
    X87_RUN_(name, call)                                                                           \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        (void)in;                                                                                  \
        (void)mode;                                                                                \
        return run_##name;                                                                         \
    }
#define X87_STAMP_MEMORY_(name, tag, size, access, call)                                           \
    X87_RUN_MEMORY_(run_##name##_flat, tag, size, access, EA_FLAT, call)                           \
    X87_RUN_MEMORY_(run_##name##_open, tag, size, access, EA_OPEN, call)                           \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        static const insn_run runs[3] = {run_##name##_flat, run_##name##_open, NULL};              \
        return runs[ea_kind(in, mode)];                                                            \
    }
#define X87_STAMP_LOAD(name, size, call) X87_STAMP_MEMORY_(name, rtag, size, ACCESS_READ, call)
#define X87_STAMP_STORE(name, size, call) X87_STAMP_MEMORY_(name, wtag, size, ACCESS_WRITE, call)

#endif
