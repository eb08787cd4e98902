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

#include "cpu/fp/quick.h"
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
    const struct f80 *st = &v->state.fpu.st[x87_physical(v, i)];

    return (struct f80){.mant = st->mant, .se = st->se}; /* as x87_put() */
}

/* Two plain stores: copying all 16 bytes would make the next load wait for both. */
static ALWAYS_INLINE void x87_put(struct f80 *to, struct f80 value)
{
    to->mant = value.mant;
    to->se = value.se;
}

static ALWAYS_INLINE bool x87_empty(const struct vcpu *v, u32 i)
{
    return !(v->state.fpu.ftw >> x87_physical(v, i) & 1);
}

static ALWAYS_INLINE void x87_set(struct vcpu *v, u32 i, struct f80 value)
{
    const u32 r = x87_physical(v, i);

    x87_put(&v->state.fpu.st[r], value);
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
/* Only the faults of x87_store(). */
MUST_CHECK bool x87_probe(struct vcpu *v, const struct insn *in, const struct operands *x,
                          u32 bytes);

/*
 * Stamped forms come in up to three steps, each returning false before it has changed anything.
 * First the inline functions of cpu/fp/quick.h: nothing pending, no register wrongly empty or full,
 * common operands and control word. Then ("kernel") the same under precision control, and the
 * functions of cpu/fp/fp.h, as long as nothing unmasked is raised. The generic path does the rest.
 */

/* The memory operand: on the host, and where in its segment, for FDP. */
struct x87_memory {
    u8 *p;
    u64 offset;
};

/* What a quick form reads of the stack, once. */
struct x87_stack {
    u32 fsw, top, tags;
};

/* false: an error is pending. */
static ALWAYS_INLINE bool x87_ready(const struct vcpu *v, struct x87_stack *s)
{
    s->fsw = v->state.fpu.fsw;
    s->top = s->fsw >> FSW_TOP_SHIFT & 7;
    s->tags = v->state.fpu.ftw;
    return likely(!(s->fsw & FSW_ES));
}

static ALWAYS_INLINE bool x87_full(const struct x87_stack *s, u32 i)
{
    return s->tags >> ((s->top + i) & 7) & 1;
}

static ALWAYS_INLINE struct f80 *x87_st(struct vcpu *v, const struct x87_stack *s, u32 i)
{
    return &v->state.fpu.st[(s->top + i) & 7];
}

enum { FCW_PC_SHIFT = 8, FCW_PC64 = 1 << 8, FCW_RC_SHIFT = 10, FCW_RC = 3 << FCW_RC_SHIFT };

/* Is inexact masked, and are the other bits of which as in value? */
static ALWAYS_INLINE bool x87_control_is(const struct vcpu *v, u32 which, u32 value)
{
    return likely((v->state.fpu.fcw & (FP_PE | which)) == (FP_PE | value));
}

/* Arithmetic's control word as FNINIT leaves it, as far as a quick form cares; and the same but for
 * precision control. */
static ALWAYS_INLINE bool x87_full_precision(const struct vcpu *v)
{
    return x87_control_is(v, FCW_PC64 | FCW_RC, FCW_PC64 | FP_NEAREST << FCW_RC_SHIFT);
}

static ALWAYS_INLINE bool x87_any_precision(const struct vcpu *v)
{
    return x87_control_is(v, FCW_RC, FP_NEAREST << FCW_RC_SHIFT);
}

/* Bits of 64 that precision control takes away. */
static ALWAYS_INLINE u32 x87_drop(const struct vcpu *v)
{
    static const u8 drop[4] = {[FP_PREC_24] = 40, [FP_PREC_53] = 11};

    return drop[v->state.fpu.fcw >> FCW_PC_SHIFT & 3];
}

/* m is NULL if there is no memory operand. */
static ALWAYS_INLINE void x87_quick_pointers(struct vcpu *v, const struct insn *in,
                                             const struct x87_memory *m)
{
    struct fpu_state *fpu = &v->state.fpu;

    fpu->fip = insn_rip(v, in) & v->la_mask;
    fpu->fcs = v->state.seg[SEG_CS].selector;
    fpu->fop = in->imm2;
    if (m != NULL) {
        fpu->fdp = m->offset;
        fpu->fds = v->state.seg[in->seg].selector;
    }
}

/* Status bits but those of clear, which are as status says, and so many pops. */
static ALWAYS_INLINE void x87_stack_commit(struct vcpu *v, const struct x87_stack *s, u32 clear,
                                           u32 status, u32 pops)
{
    const u32 top = (s->top + pops) & 7;

    v->state.fpu.fsw =
        (u16)((s->fsw & ~(clear | 7u << FSW_TOP_SHIFT)) | top << FSW_TOP_SHIFT | status);
    if (pops == 1)
        v->state.fpu.ftw = (u8)(s->tags & ~(1u << s->top));
    else if (pops == 2)
        v->state.fpu.ftw = (u8)(s->tags & ~(1u << s->top | 1u << ((s->top + 1) & 7)));
}

/* Push a value that no exception comes with. */
static ALWAYS_INLINE bool x87_quick_push(struct vcpu *v, const struct insn *in, struct f80 value,
                                         const struct x87_memory *m)
{
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(x87_full(&s, 7)))
        return false;
    x87_put(x87_st(v, &s, 7), value);
    x87_quick_pointers(v, in, m);
    x87_stack_commit(v, &s, FSW_C1, 0, 7);
    v->state.fpu.ftw = (u8)(s.tags | 1u << ((s.top + 7) & 7));
    return true;
}

/* Nothing pending, and nothing unmasked raised. */
static ALWAYS_INLINE bool x87_masked(const struct vcpu *v, const struct fp_env *env)
{
    return likely(!(v->state.fpu.fsw & FSW_ES) && !(env->flags & ~env->masks));
}

static ALWAYS_INLINE void x87_kernel_commit(struct vcpu *v, const struct insn *in,
                                            const struct fp_env *env, const struct x87_memory *m)
{
    x87_quick_pointers(v, in, m);
    v->state.fpu.fsw = (u16)((v->state.fpu.fsw & ~FSW_C1) | x87_outcome(v, env).flags);
}

#define X87_EXEC(name, call)                                                                       \
    static bool exec_##name(struct vcpu *v, const struct insn *in, struct operands *x)             \
    {                                                                                              \
        return call;                                                                               \
    }
#define X87_RUN_(fn, call, otherwise)                                                              \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        if (unlikely(!(call)))                                                                     \
            otherwise;                                                                             \
        NEXT(v, in);                                                                               \
    }
#define X87_RUN_MEMORY_(fn, tag, size, access, kind, call, otherwise)                              \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, tag, la_, size, access);                                                     \
        const struct x87_memory m = {.p = p_,                                                      \
                                     .offset = kind == EA_FLAT ? la_ : insn_offset(v, in)};        \
        if (unlikely(!(call)))                                                                     \
            otherwise;                                                                             \
        NEXT(v, in);                                                                               \
    }
#define X87_PICK_(name)                                                                            \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        (void)in;                                                                                  \
        (void)mode;                                                                                \
        return run_##name;                                                                         \
    }
#define X87_PICK_MEMORY_(name)                                                                     \
    static insn_run stamp_##name(const struct insn *in, u32 mode)                                  \
    {                                                                                              \
        static const insn_run runs[3] = {run_##name##_flat, run_##name##_open, NULL};              \
        return runs[ea_kind(in, mode)];                                                            \
    }
/* Quick, else generic. */
#define X87_STAMP(name, quick)                                                                     \
    X87_RUN_(run_##name, quick, GENERIC(v, in))                                                    \
    X87_PICK_(name)
#define X87_STAMP_MEMORY_(name, tag, size, access, quick)                                          \
    X87_RUN_MEMORY_(run_##name##_flat, tag, size, access, EA_FLAT, quick, GENERIC(v, in))          \
    X87_RUN_MEMORY_(run_##name##_open, tag, size, access, EA_OPEN, quick, GENERIC(v, in))          \
    X87_PICK_MEMORY_(name)
#define X87_STAMP_LOAD(name, size, quick) X87_STAMP_MEMORY_(name, rtag, size, ACCESS_READ, quick)
#define X87_STAMP_STORE(name, size, quick) X87_STAMP_MEMORY_(name, wtag, size, ACCESS_WRITE, quick)
/* Quick, else kernel (a handler of its own, so that the quick one needs no stack frame), else
 * generic. */
#define X87_STAMP3(name, quick, kernel)                                                            \
    NOINLINE X87_RUN_(run_##name##_kernel, kernel, GENERIC(v, in))                                 \
        X87_RUN_(run_##name, quick, return run_##name##_kernel(v, in)) X87_PICK_(name)
#define X87_RUN3_MEMORY_(fn, tag, size, access, kind, quick, kernel)                               \
    NOINLINE X87_RUN_MEMORY_(fn##_kernel, tag, size, access, kind, kernel, GENERIC(v, in))         \
        X87_RUN_MEMORY_(fn, tag, size, access, kind, quick, return fn##_kernel(v, in))
#define X87_STAMP3_MEMORY_(name, tag, size, access, quick, kernel)                                 \
    X87_RUN3_MEMORY_(run_##name##_flat, tag, size, access, EA_FLAT, quick, kernel)                 \
    X87_RUN3_MEMORY_(run_##name##_open, tag, size, access, EA_OPEN, quick, kernel)                 \
    X87_PICK_MEMORY_(name)
#define X87_STAMP3_LOAD(name, size, quick, kernel)                                                 \
    X87_STAMP3_MEMORY_(name, rtag, size, ACCESS_READ, quick, kernel)
#define X87_STAMP3_STORE(name, size, quick, kernel)                                                \
    X87_STAMP3_MEMORY_(name, wtag, size, ACCESS_WRITE, quick, kernel)

#endif
