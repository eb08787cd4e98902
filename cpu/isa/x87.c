/* SPDX-License-Identifier: MIT */
/*
 * x87 basic arithmetic and comparison: SDM Vol 2A, by mnemonic (F...), Vol 1 8.3.5, 8.3.6.
 * Condition codes that the manual leaves undefined keep their value. Undocumented aliases included.
 */
#include "cpu/isa/x87.h"

#include "cpu/isa/isa.h"

enum source { M32FP, M64FP, M32INT, M16INT };

/* A memory source as an extended value. *denormal: the caller owes DE if the operation gets that
 * far; NaNs are not quieted here. */
static bool load_source(struct vcpu *v, const struct insn *in, const struct operands *x,
                        enum source source, struct f80 *value, bool *denormal)
{
    static const u8 bytes[] = {[M32FP] = 4, [M64FP] = 8, [M32INT] = 4, [M16INT] = 2};
    struct f80 raw;

    *denormal = false;
    if (!x87_load(v, in, x, bytes[source], &raw))
        return false;
    if (source == M32FP)
        *value = fp80_widen_f32((u32)raw.mant, denormal);
    else if (source == M64FP)
        *value = fp80_widen_f64(raw.mant, denormal);
    else
        *value = fp80_from_i64((i64)sign_extend(raw.mant, bytes[source]));
    return true;
}

/* A denormal in memory counts unless a NaN, an invalid operation or a division by zero came first.
 */
static void owe_denormal(struct fp_env *env, bool denormal, bool is_nan)
{
    if (denormal && !is_nan && !(env->flags & (FP_IE | FP_ZE)))
        env->flags |= FP_DE;
}

/* ---- arithmetic ---- */

enum arith { ADD, MUL, SUB, SUBR, DIV, DIVR };

static ALWAYS_INLINE struct f80 arith_value(enum arith op, struct f80 a, struct f80 b,
                                            struct fp_env *env)
{
    switch (op) {
    case ADD: return fp80_add(a, b, env);
    case MUL: return fp80_mul(a, b, env);
    case SUB: return fp80_sub(a, b, env);
    case SUBR: return fp80_sub(b, a, env);
    case DIV: return fp80_div(a, b, env);
    default: return fp80_div(b, a, env);
    }
}

/* ST(to) = ST(to) op ST(from), and perhaps a pop. */
static ALWAYS_INLINE bool arith_registers(struct vcpu *v, const struct insn *in,
                                          const struct operands *x, enum arith op, u32 to, u32 from,
                                          bool pop)
{
    struct f80 result = F80_INDEFINITE;
    struct x87_outcome outcome;

    if (unlikely(x87_empty(v, to) || x87_empty(v, from))) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        result = arith_value(op, x87_get(v, to), x87_get(v, from), &env);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver) {
        x87_set(v, to, result);
        if (pop)
            x87_pop(v);
    }
    return true;
}

/* ST(0) = ST(0) op memory. */
static ALWAYS_INLINE bool arith_memory(struct vcpu *v, const struct insn *in,
                                       const struct operands *x, enum arith op, enum source source)
{
    struct f80 result = F80_INDEFINITE;
    struct x87_outcome outcome;
    struct f80 operand;
    bool denormal;

    if (!load_source(v, in, x, source, &operand, &denormal))
        return false;
    if (unlikely(x87_empty(v, 0))) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        result = arith_value(op, x87_get(v, 0), operand, &env);
        owe_denormal(&env, denormal, fp80_classify(result) == FP_CLASS_NAN);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver)
        x87_set(v, 0, result);
    return true;
}

/* ---- arithmetic, stamped ---- */

static ALWAYS_INLINE bool quick_value(enum arith op, struct f80 a, struct f80 b, u32 drop,
                                      struct f80 *result, u32 *status)
{
    switch (op) {
    case ADD: return quick_add(a, b, 0, drop, result, status);
    case MUL: return quick_mul(a, b, drop, result, status);
    case SUB: return quick_add(a, b, 0x8000, drop, result, status);
    case SUBR: return quick_add(b, a, 0x8000, drop, result, status);
    case DIV: return quick_div(a, b, drop, result, status);
    default: return quick_div(b, a, drop, result, status);
    }
}

static ALWAYS_INLINE bool quick_registers(struct vcpu *v, const struct insn *in, enum arith op,
                                          u32 to, u32 from, bool pop, u32 drop)
{
    struct x87_stack s;
    struct f80 *target;
    struct f80 result;
    u32 status;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, to) || !x87_full(&s, from)))
        return false;
    target = x87_st(v, &s, to);
    if (!quick_value(op, *target, *x87_st(v, &s, from), drop, &result, &status))
        return false;
    x87_put(target, result);
    x87_quick_pointers(v, in, NULL);
    x87_stack_commit(v, &s, FSW_C1, status, pop);
    return true;
}

/* false: better seen by the kernel. */
static ALWAYS_INLINE bool quick_source(const u8 *p, enum source source, struct f80 *value)
{
    switch (source) {
    case M32FP: return quick_widen(load_le(p, 4), 23, 0xff, value);
    case M64FP: return quick_widen(load_le(p, 8), 52, 0x7ff, value);
    case M32INT: *value = quick_from_i64((i64)sign_extend(load_le(p, 4), 4)); return true;
    default: *value = quick_from_i64((i64)sign_extend(load_le(p, 2), 2)); return true;
    }
}

static ALWAYS_INLINE bool quick_memory(struct vcpu *v, const struct insn *in,
                                       const struct x87_memory *m, enum arith op,
                                       enum source source, u32 drop)
{
    struct f80 operand, result;
    struct x87_stack s;
    u32 status;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)) || !quick_source(m->p, source, &operand) ||
        !quick_value(op, *x87_st(v, &s, 0), operand, drop, &result, &status))
        return false;
    x87_put(x87_st(v, &s, 0), result);
    x87_quick_pointers(v, in, m);
    x87_stack_commit(v, &s, FSW_C1, status, 0);
    return true;
}

static ALWAYS_INLINE bool kernel_registers(struct vcpu *v, const struct insn *in, enum arith op,
                                           u32 to, u32 from, bool pop)
{
    struct fp_env env = x87_env(v);
    struct f80 result;

    if (x87_any_precision(v) && quick_registers(v, in, op, to, from, pop, x87_drop(v)))
        return true;
    if (unlikely(x87_empty(v, to) || x87_empty(v, from)))
        return false;
    result = arith_value(op, x87_get(v, to), x87_get(v, from), &env);
    if (!x87_masked(v, &env))
        return false;
    x87_kernel_commit(v, in, &env, NULL);
    x87_set(v, to, result);
    if (pop)
        x87_pop(v);
    return true;
}

static ALWAYS_INLINE bool kernel_memory(struct vcpu *v, const struct insn *in,
                                        const struct x87_memory *m, enum arith op,
                                        enum source source)
{
    struct fp_env env = x87_env(v);
    struct f80 operand, result;

    if (x87_any_precision(v) && quick_memory(v, in, m, op, source, x87_drop(v)))
        return true;
    if (unlikely(x87_empty(v, 0)) || !quick_source(m->p, source, &operand))
        return false;
    result = arith_value(op, x87_get(v, 0), operand, &env);
    if (!x87_masked(v, &env))
        return false;
    x87_kernel_commit(v, in, &env, m);
    x87_set(v, 0, result);
    return true;
}

#define ARITH_REGISTERS(form, op, to, from, pop)                                                   \
    X87_EXEC(form, arith_registers(v, in, x, op, to, from, pop))                                   \
    X87_STAMP3(form, x87_full_precision(v) && quick_registers(v, in, op, to, from, pop, 0),        \
               kernel_registers(v, in, op, to, from, pop))
#define ARITH_MEMORY(form, op, source, size)                                                       \
    X87_EXEC(form, arith_memory(v, in, x, op, source))                                             \
    X87_STAMP3_LOAD(form, size, x87_full_precision(v) && quick_memory(v, in, &m, op, source, 0),   \
                    kernel_memory(v, in, &m, op, source))
#define ARITH_FORMS(name, op)                                                                      \
    ARITH_REGISTERS(name##_0, op, 0, in->rm & 7, false)                                            \
    ARITH_REGISTERS(name##_i, op, in->rm & 7, 0, false)                                            \
    ARITH_REGISTERS(name##_p, op, in->rm & 7, 0, true)                                             \
    ARITH_MEMORY(name##_m32, op, M32FP, 4)                                                         \
    ARITH_MEMORY(name##_m64, op, M64FP, 8)                                                         \
    ARITH_MEMORY(name##_i32, op, M32INT, 4)                                                        \
    ARITH_MEMORY(name##_i16, op, M16INT, 2)

ARITH_FORMS(add, ADD)
ARITH_FORMS(mul, MUL)
ARITH_FORMS(sub, SUB)
ARITH_FORMS(subr, SUBR)
ARITH_FORMS(div, DIV)
ARITH_FORMS(divr, DIVR)

/* ---- comparison ---- */

/* By enum fp_relation: SDM Vol 2A table 3-21, and the EFLAGS of FCOMI. */
static const u16 compare_codes[] = {FSW_C0, FSW_C3, 0, FSW_C0 | FSW_C2 | FSW_C3};
static const u8 compare_flags[] = {FLAG_CF, FLAG_ZF, 0, FLAG_CF | FLAG_PF | FLAG_ZF};

/* What ST(0) is compared with. */
struct compared {
    struct f80 value;
    bool denormal; /* the memory operand was */
    bool empty; /* a register was */
};

/* Compare ST(0) with b; codes into FSW even if the exception is unmasked (as processors do), but
 * then without a pop. */
static bool compare(struct vcpu *v, const struct insn *in, const struct operands *x,
                    const struct compared *b, bool quiet, u32 pops)
{
    enum fp_relation relation = FP_UNORDERED;
    struct x87_outcome outcome;

    if (b->empty || x87_empty(v, 0)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        relation = fp80_compare(x87_get(v, 0), b->value, quiet, &env);
        owe_denormal(&env, b->denormal, relation == FP_UNORDERED);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    v->state.fpu.fsw = (u16)((v->state.fpu.fsw & ~FSW_CC) | compare_codes[relation]);
    for (u32 i = 0; outcome.deliver && i < pops; i++)
        x87_pop(v);
    return true;
}

static bool compare_register(struct vcpu *v, const struct insn *in, const struct operands *x, u32 i,
                             bool quiet, u32 pops)
{
    const struct compared b = {.value = x87_get(v, i), .empty = x87_empty(v, i)};

    return compare(v, in, x, &b, quiet, pops);
}

static bool compare_memory(struct vcpu *v, const struct insn *in, const struct operands *x,
                           enum source source, u32 pops)
{
    struct compared b = {0};

    return load_source(v, in, x, source, &b.value, &b.denormal) &&
           compare(v, in, x, &b, false, pops);
}

/* FCOMI and its kin: the result goes to EFLAGS, unless an unmasked exception stops it. */
static bool compare_to_flags(struct vcpu *v, const struct insn *in, const struct operands *x,
                             bool quiet, bool pop)
{
    enum fp_relation relation = FP_UNORDERED;
    const u32 i = in->rm & 7;
    struct x87_outcome outcome;

    if (x87_empty(v, 0) || x87_empty(v, i)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        relation = fp80_compare(x87_get(v, 0), x87_get(v, i), quiet, &env);
        outcome = x87_outcome(v, &env);
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver) {
        flags_write(v, FLAGS_ARITH, compare_flags[relation]);
        if (pop)
            x87_pop(v);
    }
    return true;
}

/* ---- comparison, stamped ---- */

static ALWAYS_INLINE void commit_compare(struct vcpu *v, const struct insn *in,
                                         const struct x87_stack *s, enum fp_relation relation,
                                         const struct x87_memory *m, u32 pops)
{
    x87_quick_pointers(v, in, m);
    x87_stack_commit(v, s, FSW_C1 | FSW_CC, compare_codes[relation], pops);
}

static ALWAYS_INLINE bool quick_compare_register(struct vcpu *v, const struct insn *in, u32 i,
                                                 u32 pops)
{
    enum fp_relation relation;
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0) || !x87_full(&s, i)) ||
        !quick_compare(*x87_st(v, &s, 0), *x87_st(v, &s, i), &relation))
        return false;
    commit_compare(v, in, &s, relation, NULL, pops);
    return true;
}

static ALWAYS_INLINE bool quick_compare_memory(struct vcpu *v, const struct insn *in,
                                               const struct x87_memory *m, enum source source,
                                               u32 pops)
{
    enum fp_relation relation;
    struct f80 operand;
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)) || !quick_source(m->p, source, &operand) ||
        !quick_compare(*x87_st(v, &s, 0), operand, &relation))
        return false;
    commit_compare(v, in, &s, relation, m, pops);
    return true;
}

static ALWAYS_INLINE bool quick_test(struct vcpu *v, const struct insn *in)
{
    enum fp_relation relation;
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)) ||
        !quick_compare(*x87_st(v, &s, 0), (struct f80){0}, &relation))
        return false;
    commit_compare(v, in, &s, relation, NULL, 0);
    return true;
}

static ALWAYS_INLINE bool quick_compare_to_flags(struct vcpu *v, const struct insn *in, bool pop)
{
    const u32 i = in->rm & 7;
    enum fp_relation relation;
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0) || !x87_full(&s, i)) ||
        !quick_compare(*x87_st(v, &s, 0), *x87_st(v, &s, i), &relation))
        return false;
    flags_load(v, compare_flags[relation]);
    x87_quick_pointers(v, in, NULL);
    x87_stack_commit(v, &s, FSW_C1, 0, pop);
    return true;
}

/* Numbers compare the same in the quiet forms. */
#define COMPARE_REGISTER(name, i, quiet, pops)                                                     \
    X87_EXEC(name, compare_register(v, in, x, i, quiet, pops))                                     \
    X87_STAMP(name, quick_compare_register(v, in, i, pops))
#define COMPARE_MEMORY(name, source, size, pops)                                                   \
    X87_EXEC(name, compare_memory(v, in, x, source, pops))                                         \
    X87_STAMP_LOAD(name, size, quick_compare_memory(v, in, &m, source, pops))
#define COMPARE_TO_FLAGS(name, quiet, pop)                                                         \
    X87_EXEC(name, compare_to_flags(v, in, x, quiet, pop))                                         \
    X87_STAMP(name, quick_compare_to_flags(v, in, pop))

COMPARE_REGISTER(fcom, in->rm & 7, false, 0)
COMPARE_REGISTER(fcomp, in->rm & 7, false, 1)
COMPARE_REGISTER(fcompp, 1, false, 2)
COMPARE_REGISTER(fucom, in->rm & 7, true, 0)
COMPARE_REGISTER(fucomp, in->rm & 7, true, 1)
COMPARE_REGISTER(fucompp, 1, true, 2)
COMPARE_MEMORY(fcom_m32, M32FP, 4, 0)
COMPARE_MEMORY(fcom_m64, M64FP, 8, 0)
COMPARE_MEMORY(ficom_i32, M32INT, 4, 0)
COMPARE_MEMORY(ficom_i16, M16INT, 2, 0)
COMPARE_MEMORY(fcomp_m32, M32FP, 4, 1)
COMPARE_MEMORY(fcomp_m64, M64FP, 8, 1)
COMPARE_MEMORY(ficomp_i32, M32INT, 4, 1)
COMPARE_MEMORY(ficomp_i16, M16INT, 2, 1)
COMPARE_TO_FLAGS(fcomi, false, false)
COMPARE_TO_FLAGS(fcomip, false, true)
COMPARE_TO_FLAGS(fucomi, true, false)
COMPARE_TO_FLAGS(fucomip, true, true)

X87_EXEC(ftst, compare(v, in, x, &(const struct compared){0}, false, 0))
X87_STAMP(ftst, quick_test(v, in))

/* clang-format off */
#define WAITS X87 | X87_WAIT
#define ROW(name, encoding, operands, form) \
    {name, encoding, operands, exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define ROW_STAMPED(name, encoding, form) ROW(name, encoding, "F", form)
#define ROW_MEMORY(name, encoding, form) ROW(name, encoding, "M", form)
#define ARITH_MEMORY_ROWS(op, digit) \
    ROW_MEMORY("f" #op, "d8 " digit, op##_m32), \
    ROW_MEMORY("f" #op, "dc " digit, op##_m64), \
    ROW_MEMORY("fi" #op, "da " digit, op##_i32), \
    ROW_MEMORY("fi" #op, "de " digit, op##_i16)
#define COMI_ROW(name, encoding) \
    {#name, encoding, "F", exec_##name, WAITS, .flags_written = FLAGS_ARITH, .feature = F_CMOV, \
     .stamp = stamp_##name}

const struct insn_def isa_x87[] = {
    ARITH_MEMORY_ROWS(add, "/0"),
    ARITH_MEMORY_ROWS(mul, "/1"),
    ARITH_MEMORY_ROWS(sub, "/4"),
    ARITH_MEMORY_ROWS(subr, "/5"),
    ARITH_MEMORY_ROWS(div, "/6"),
    ARITH_MEMORY_ROWS(divr, "/7"),
    ROW_STAMPED("fadd", "d8 c0+i", add_0),
    ROW_STAMPED("fmul", "d8 c8+i", mul_0),
    ROW_STAMPED("fsub", "d8 e0+i", sub_0),
    ROW_STAMPED("fsubr", "d8 e8+i", subr_0),
    ROW_STAMPED("fdiv", "d8 f0+i", div_0),
    ROW_STAMPED("fdivr", "d8 f8+i", divr_0),
    ROW_STAMPED("fadd", "dc c0+i", add_i),
    ROW_STAMPED("fmul", "dc c8+i", mul_i),
    ROW_STAMPED("fsubr", "dc e0+i", subr_i),
    ROW_STAMPED("fsub", "dc e8+i", sub_i),
    ROW_STAMPED("fdivr", "dc f0+i", divr_i),
    ROW_STAMPED("fdiv", "dc f8+i", div_i),
    ROW_STAMPED("faddp", "de c0+i", add_p),
    ROW_STAMPED("fmulp", "de c8+i", mul_p),
    ROW_STAMPED("fsubrp", "de e0+i", subr_p),
    ROW_STAMPED("fsubp", "de e8+i", sub_p),
    ROW_STAMPED("fdivrp", "de f0+i", divr_p),
    ROW_STAMPED("fdivp", "de f8+i", div_p),

    ROW("fcom", "d8 /2", "M", fcom_m32),
    ROW("fcom", "dc /2", "M", fcom_m64),
    ROW("ficom", "da /2", "M", ficom_i32),
    ROW("ficom", "de /2", "M", ficom_i16),
    ROW("fcomp", "d8 /3", "M", fcomp_m32),
    ROW("fcomp", "dc /3", "M", fcomp_m64),
    ROW("ficomp", "da /3", "M", ficomp_i32),
    ROW("ficomp", "de /3", "M", ficomp_i16),
    ROW("fcom", "d8 d0+i", "F", fcom),
    ROW("fcomp", "d8 d8+i", "F", fcomp),
    ROW("fcom2", "dc d0+i", "F", fcom),
    ROW("fcomp3", "dc d8+i", "F", fcomp),
    ROW("fcomp5", "de d0+i", "F", fcomp),
    ROW("fcompp", "de d9", "", fcompp),
    ROW("fucom", "dd e0+i", "F", fucom),
    ROW("fucomp", "dd e8+i", "F", fucomp),
    ROW("fucompp", "da e9", "", fucompp),
    COMI_ROW(fcomi, "db f0+i"),
    COMI_ROW(fucomi, "db e8+i"),
    COMI_ROW(fcomip, "df f0+i"),
    COMI_ROW(fucomip, "df e8+i"),
    ROW("ftst", "d9 e4", "", ftst),
    {0},
};
/* clang-format on */
