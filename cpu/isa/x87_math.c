/* SPDX-License-Identifier: MIT */
/*
 * x87 functions of the top of the stack: signs, FXAM, FSQRT, FRNDINT, FSCALE, FXTRACT, remainders
 * and the transcendental ones. SDM Vol 2A, by mnemonic; Vol 1 8.3.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/x87.h"

/* ST(0) = f(ST(0)) */
static bool unary(struct vcpu *v, const struct insn *in, const struct operands *x,
                  struct f80 (*f)(struct f80 a, struct fp_env *env))
{
    struct f80 result = F80_INDEFINITE;
    struct x87_outcome outcome;

    if (x87_empty(v, 0)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        result = f(x87_get(v, 0), &env);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver)
        x87_set(v, 0, result);
    return true;
}

static struct f80 change_sign(struct f80 a, struct fp_env *env)
{
    (void)env;
    a.se ^= 0x8000;
    return a;
}

static struct f80 absolute(struct f80 a, struct fp_env *env)
{
    (void)env;
    a.se &= 0x7fff;
    return a;
}

#define UNARY(name, f)                                                                             \
    static bool exec_##name(struct vcpu *v, const struct insn *in, struct operands *x)             \
    {                                                                                              \
        return unary(v, in, x, f);                                                                 \
    }

UNARY(fchs, change_sign)
UNARY(fabs, absolute)
UNARY(fsqrt, fp80_sqrt)
UNARY(frndint, fp80_round_integral)
UNARY(f2xm1, fp80_f2xm1)

/* FCHS, FABS: any operand. */
static ALWAYS_INLINE bool quick_sign(struct vcpu *v, const struct insn *in, u32 keep, u32 flip)
{
    struct x87_stack s;
    struct f80 *st0;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)))
        return false;
    st0 = x87_st(v, &s, 0);
    st0->se = (u16)((st0->se & keep) ^ flip);
    x87_quick_pointers(v, in, NULL);
    x87_stack_commit(v, &s, FSW_C1, 0, 0);
    return true;
}

static ALWAYS_INLINE bool quick_fsqrt(struct vcpu *v, const struct insn *in, u32 drop)
{
    struct x87_stack s;
    struct f80 result;
    u32 status;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)) ||
        !quick_sqrt(*x87_st(v, &s, 0), drop, &result, &status))
        return false;
    x87_put(x87_st(v, &s, 0), result);
    x87_quick_pointers(v, in, NULL);
    x87_stack_commit(v, &s, FSW_C1, status, 0);
    return true;
}

static ALWAYS_INLINE bool kernel_unary(struct vcpu *v, const struct insn *in,
                                       struct f80 (*f)(struct f80 a, struct fp_env *env))
{
    struct fp_env env = x87_env(v);
    struct f80 result;

    if (unlikely(x87_empty(v, 0)))
        return false;
    result = f(x87_get(v, 0), &env);
    if (!x87_masked(v, &env))
        return false;
    x87_kernel_commit(v, in, &env, NULL);
    x87_set(v, 0, result);
    return true;
}

X87_STAMP(fchs, quick_sign(v, in, 0xffff, 0x8000))
X87_STAMP(fabs, quick_sign(v, in, 0x7fff, 0))
X87_STAMP3(fsqrt, x87_full_precision(v) && quick_fsqrt(v, in, 0),
           (x87_any_precision(v) && quick_fsqrt(v, in, x87_drop(v))) ||
               kernel_unary(v, in, fp80_sqrt))
X87_STAMP(frndint, kernel_unary(v, in, fp80_round_integral))

/* Functions of ST(0) and ST(1): the result goes to ST(0), or to ST(1) with a pop. */
static bool binary(struct vcpu *v, const struct insn *in, const struct operands *x, bool pop,
                   struct f80 (*f)(struct f80 st0, struct f80 st1, struct fp_env *env))
{
    struct f80 result = F80_INDEFINITE;
    struct x87_outcome outcome;

    if (x87_empty(v, 0) || x87_empty(v, 1)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        result = f(x87_get(v, 0), x87_get(v, 1), &env);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (!outcome.deliver)
        return true;
    if (pop)
        x87_pop(v);
    x87_set(v, 0, result);
    return true;
}

static struct f80 arc_tangent(struct f80 st0, struct f80 st1, struct fp_env *env)
{
    return fp80_fpatan(st1, st0, env);
}

#define BINARY(name, pop, f)                                                                       \
    static bool exec_##name(struct vcpu *v, const struct insn *in, struct operands *x)             \
    {                                                                                              \
        return binary(v, in, x, pop, f);                                                           \
    }

BINARY(fscale, false, fp80_scale)
BINARY(fyl2x, true, fp80_fyl2x)
BINARY(fyl2xp1, true, fp80_fyl2xp1)
BINARY(fpatan, true, arc_tangent)

/* ---- functions with two results: the first replaces ST(0), the second is pushed ---- */

/* Room for a push and an operand there; else both results are the indefinite. */
static bool push_fault(const struct vcpu *v, struct x87_outcome *outcome)
{
    if (x87_empty(v, 0))
        *outcome = x87_stack_fault(v, X87_UNDERFLOW);
    else if (!x87_empty(v, 7))
        *outcome = x87_stack_fault(v, X87_OVERFLOW);
    else
        return false;
    return true;
}

static bool deliver_two(struct vcpu *v, const struct insn *in, const struct operands *x,
                        struct x87_outcome outcome, struct f80 first, struct f80 second)
{
    if (!x87_commit(v, in, x, outcome))
        return false;
    v->state.fpu.fsw &= (u16)~FSW_C2;
    if (outcome.deliver) {
        x87_set(v, 0, first);
        x87_push(v, second);
    }
    return true;
}

/* C2: the operand is out of range and stays. */
static bool out_of_range(struct vcpu *v, const struct insn *in, const struct operands *x)
{
    if (!x87_commit(v, in, x, (struct x87_outcome){0, true}))
        return false;
    v->state.fpu.fsw |= FSW_C2;
    return true;
}

static bool exec_fxtract(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct f80 exponent = F80_INDEFINITE;
    struct f80 significand = F80_INDEFINITE;
    const u16 c2 = v->state.fpu.fsw & FSW_C2;
    struct x87_outcome outcome;

    if (!push_fault(v, &outcome)) {
        struct fp_env env = x87_env(v);

        significand = fp80_extract(x87_get(v, 0), &exponent, &env);
        outcome = x87_outcome(v, &env);
    }
    if (!deliver_two(v, in, x, outcome, exponent, significand))
        return false;
    v->state.fpu.fsw |= c2; /* FXTRACT leaves it alone */
    return true;
}

static bool exec_fsincos(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct f80 sine = F80_INDEFINITE;
    struct f80 cosine = F80_INDEFINITE;
    struct x87_outcome outcome;

    if (!push_fault(v, &outcome)) {
        struct fp_env env = x87_env(v);

        if (!fp80_sincos(x87_get(v, 0), &sine, &cosine, &env))
            return out_of_range(v, in, x);
        outcome = x87_outcome(v, &env);
    }
    return deliver_two(v, in, x, outcome, sine, cosine);
}

/* Pushes 1.0, for compatibility with processors that gave a ratio; a NaN is pushed again instead.
 */
static bool exec_fptan(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct f80 tangent = F80_INDEFINITE;
    struct f80 second = F80_INDEFINITE;
    struct x87_outcome outcome;

    if (!push_fault(v, &outcome)) {
        struct fp_env env = x87_env(v);

        if (!fp80_tan(x87_get(v, 0), &tangent, &env))
            return out_of_range(v, in, x);
        second = fp80_classify(tangent) == FP_CLASS_NAN ? tangent : F80_ONE;
        outcome = x87_outcome(v, &env);
    }
    return deliver_two(v, in, x, outcome, tangent, second);
}

/* FSIN and FCOS. */
static bool sine_or_cosine(struct vcpu *v, const struct insn *in, const struct operands *x,
                           bool cosine)
{
    struct f80 result = F80_INDEFINITE;
    struct x87_outcome outcome;

    if (x87_empty(v, 0)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        if (!fp80_sincos(x87_get(v, 0), cosine ? NULL : &result, cosine ? &result : NULL, &env))
            return out_of_range(v, in, x);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    v->state.fpu.fsw &= (u16)~FSW_C2;
    if (outcome.deliver)
        x87_set(v, 0, result);
    return true;
}

static bool exec_fsin(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return sine_or_cosine(v, in, x, false);
}

static bool exec_fcos(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return sine_or_cosine(v, in, x, true);
}

/* ---- remainders: the quotient's low bits in C0 C3 C1, or C2 if it goes on ---- */

static bool remainder_of(struct vcpu *v, const struct insn *in, const struct operands *x,
                         bool nearest)
{
    struct f80 result = F80_INDEFINITE;
    struct x87_outcome outcome;
    u64 quotient = 0;
    bool partial = false;

    if (x87_empty(v, 0) || x87_empty(v, 1)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        result = fp80_remainder(x87_get(v, 0), x87_get(v, 1), nearest, &quotient, &partial, &env);
        outcome = x87_outcome(v, &env);
        outcome.flags &= (u16)~FSW_C1;
        if (outcome.deliver && (quotient & 1))
            outcome.flags |= FSW_C1;
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    v->state.fpu.fsw &= (u16)~FSW_C2;
    if (!outcome.deliver)
        return true;
    if (fp80_classify(result) != FP_CLASS_NAN) /* there is a quotient */
        v->state.fpu.fsw = (u16)((v->state.fpu.fsw & ~FSW_CC) | (quotient & 4 ? FSW_C0 : 0) |
                                 (quotient & 2 ? FSW_C3 : 0) | (partial ? FSW_C2 : 0));
    x87_set(v, 0, result);
    return true;
}

static bool exec_fprem(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return remainder_of(v, in, x, false);
}

static bool exec_fprem1(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return remainder_of(v, in, x, true);
}

/* SDM Vol 2A table 3-42. */
static bool exec_fxam(struct vcpu *v, const struct insn *in, struct operands *x)
{
    static const u16 codes[] = {
        [FP_CLASS_ZERO] = FSW_C3, [FP_CLASS_FINITE] = FSW_C2, [FP_CLASS_INF] = FSW_C2 | FSW_C0,
        [FP_CLASS_NAN] = FSW_C0,  [FP_CLASS_INVALID] = 0,
    };
    const struct f80 a = x87_get(v, 0);
    const enum fp_class class = fp80_classify(a);
    u16 code = codes[class];

    if (x87_empty(v, 0))
        code = FSW_C3 | FSW_C0;
    else if (class == FP_CLASS_FINITE && !(a.se & 0x7fff))
        code = FSW_C3 | FSW_C2;
    if (!x87_commit(v, in, x, (struct x87_outcome){a.se & 0x8000 ? FSW_C1 : 0, true}))
        return false;
    v->state.fpu.fsw = (u16)((v->state.fpu.fsw & ~FSW_CC) | code);
    return true;
}

/* clang-format off */
#define ROW(name, encoding) \
    {#name, encoding, "", exec_##name, X87 | X87_WAIT, .feature = F_FPU}

#define ROW_STAMPED(name, encoding) \
    {#name, encoding, "", exec_##name, X87 | X87_WAIT, .feature = F_FPU, .stamp = stamp_##name}

const struct insn_def isa_x87_math[] = {
    ROW_STAMPED(fchs, "d9 e0"),
    ROW_STAMPED(fabs, "d9 e1"),
    ROW(fxam, "d9 e5"),
    ROW(f2xm1, "d9 f0"),
    ROW(fyl2x, "d9 f1"),
    ROW(fptan, "d9 f2"),
    ROW(fpatan, "d9 f3"),
    ROW(fxtract, "d9 f4"),
    ROW(fprem1, "d9 f5"),
    ROW(fprem, "d9 f8"),
    ROW(fyl2xp1, "d9 f9"),
    ROW_STAMPED(fsqrt, "d9 fa"),
    ROW(fsincos, "d9 fb"),
    ROW_STAMPED(frndint, "d9 fc"),
    ROW(fscale, "d9 fd"),
    ROW(fsin, "d9 fe"),
    ROW(fcos, "d9 ff"),
    {0},
};
/* clang-format on */
