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

static ALWAYS_INLINE bool quick_registers(struct vcpu *v, const struct insn *in, enum arith op,
                                          u32 to, u32 from, bool pop)
{
    struct fp_env env = x87_env(v);
    struct f80 result;

    if (unlikely(x87_empty(v, to) || x87_empty(v, from)))
        return false;
    result = arith_value(op, x87_get(v, to), x87_get(v, from), &env);
    if (!x87_quick(v, &env))
        return false;
    x87_quick_commit(v, in, &env, false);
    x87_set(v, to, result);
    if (pop)
        x87_pop(v);
    return true;
}

static ALWAYS_INLINE bool quick_memory(struct vcpu *v, const struct insn *in, const u8 *p,
                                       enum arith op, enum source source)
{
    struct fp_env env = x87_env(v);
    bool denormal = false;
    struct f80 operand, result;

    if (source == M32FP)
        operand = fp80_widen_f32((u32)load_le(p, 4), &denormal);
    else if (source == M64FP)
        operand = fp80_widen_f64(load_le(p, 8), &denormal);
    else
        operand = fp80_from_i64((i64)sign_extend(load_le(p, 4), 4));
    if (unlikely(x87_empty(v, 0) || denormal))
        return false;
    result = arith_value(op, x87_get(v, 0), operand, &env);
    if (!x87_quick(v, &env))
        return false;
    x87_quick_commit(v, in, &env, true);
    x87_set(v, 0, result);
    return true;
}

#define ARITH_FORMS(name, op)                                                                      \
    X87_EXEC(name##_0, arith_registers(v, in, x, op, 0, in->rm & 7, false))                        \
    X87_EXEC(name##_i, arith_registers(v, in, x, op, in->rm & 7, 0, false))                        \
    X87_EXEC(name##_p, arith_registers(v, in, x, op, in->rm & 7, 0, true))                         \
    X87_STAMP(name##_0, quick_registers(v, in, op, 0, in->rm & 7, false))                          \
    X87_STAMP(name##_i, quick_registers(v, in, op, in->rm & 7, 0, false))                          \
    X87_STAMP(name##_p, quick_registers(v, in, op, in->rm & 7, 0, true))                           \
    X87_EXEC(name##_m32, arith_memory(v, in, x, op, M32FP))                                        \
    X87_EXEC(name##_m64, arith_memory(v, in, x, op, M64FP))                                        \
    X87_EXEC(name##_i32, arith_memory(v, in, x, op, M32INT))                                       \
    X87_EXEC(name##_i16, arith_memory(v, in, x, op, M16INT))                                       \
    X87_STAMP_LOAD(name##_m32, 4, quick_memory(v, in, p, op, M32FP))                               \
    X87_STAMP_LOAD(name##_m64, 8, quick_memory(v, in, p, op, M64FP))                               \
    X87_STAMP_LOAD(name##_i32, 4, quick_memory(v, in, p, op, M32INT))

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

/* Compare ST(0) with b; codes into FSW even if the exception is unmasked (as processors do), but
 * then without a pop. */
static bool compare(struct vcpu *v, const struct insn *in, const struct operands *x, bool fault,
                    struct f80 b, bool denormal, bool quiet, u32 pops)
{
    enum fp_relation relation = FP_UNORDERED;
    struct x87_outcome outcome;

    if (fault) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else {
        struct fp_env env = x87_env(v);

        relation = fp80_compare(x87_get(v, 0), b, quiet, &env);
        owe_denormal(&env, denormal, relation == FP_UNORDERED);
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
    return compare(v, in, x, x87_empty(v, 0) || x87_empty(v, i), x87_get(v, i), false, quiet, pops);
}

static bool compare_memory(struct vcpu *v, const struct insn *in, const struct operands *x,
                           enum source source, u32 pops)
{
    struct f80 operand;
    bool denormal;

    return load_source(v, in, x, source, &operand, &denormal) &&
           compare(v, in, x, x87_empty(v, 0), operand, denormal, false, pops);
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

X87_EXEC(fcom, compare_register(v, in, x, in->rm & 7, false, 0))
X87_EXEC(fcomp, compare_register(v, in, x, in->rm & 7, false, 1))
X87_EXEC(fcompp, compare_register(v, in, x, 1, false, 2))
X87_EXEC(fucom, compare_register(v, in, x, in->rm & 7, true, 0))
X87_EXEC(fucomp, compare_register(v, in, x, in->rm & 7, true, 1))
X87_EXEC(fucompp, compare_register(v, in, x, 1, true, 2))
X87_EXEC(fcom_m32, compare_memory(v, in, x, M32FP, 0))
X87_EXEC(fcom_m64, compare_memory(v, in, x, M64FP, 0))
X87_EXEC(ficom_i32, compare_memory(v, in, x, M32INT, 0))
X87_EXEC(ficom_i16, compare_memory(v, in, x, M16INT, 0))
X87_EXEC(fcomp_m32, compare_memory(v, in, x, M32FP, 1))
X87_EXEC(fcomp_m64, compare_memory(v, in, x, M64FP, 1))
X87_EXEC(ficomp_i32, compare_memory(v, in, x, M32INT, 1))
X87_EXEC(ficomp_i16, compare_memory(v, in, x, M16INT, 1))
X87_EXEC(fcomi, compare_to_flags(v, in, x, false, false))
X87_EXEC(fcomip, compare_to_flags(v, in, x, false, true))
X87_EXEC(fucomi, compare_to_flags(v, in, x, true, false))
X87_EXEC(fucomip, compare_to_flags(v, in, x, true, true))

static ALWAYS_INLINE bool quick_compare_to_flags(struct vcpu *v, const struct insn *in, bool quiet,
                                                 bool pop)
{
    struct fp_env env = x87_env(v);
    const u32 i = in->rm & 7;
    enum fp_relation relation;

    if (unlikely(x87_empty(v, 0) || x87_empty(v, i)))
        return false;
    relation = fp80_compare(x87_get(v, 0), x87_get(v, i), quiet, &env);
    if (!x87_quick(v, &env))
        return false;
    x87_quick_commit(v, in, &env, false);
    flags_load(v, compare_flags[relation]);
    if (pop)
        x87_pop(v);
    return true;
}

X87_STAMP(fcomi, quick_compare_to_flags(v, in, false, false))
X87_STAMP(fcomip, quick_compare_to_flags(v, in, false, true))
X87_STAMP(fucomi, quick_compare_to_flags(v, in, true, false))
X87_STAMP(fucomip, quick_compare_to_flags(v, in, true, true))

static bool exec_ftst(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return compare(v, in, x, x87_empty(v, 0), (struct f80){0}, false, false, 0);
}

/* clang-format off */
#define WAITS X87 | X87_WAIT
#define ROW(name, encoding, operands, exec) {name, encoding, operands, exec, WAITS, .feature = F_FPU}
#define ROW_STAMPED(name, encoding, form) \
    {name, encoding, "F", exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define ROW_MEMORY(name, encoding, form) \
    {name, encoding, "M", exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define ARITH_MEMORY_ROWS(op, digit) \
    ROW_MEMORY("f" #op, "d8 " digit, op##_m32), \
    ROW_MEMORY("f" #op, "dc " digit, op##_m64), \
    ROW_MEMORY("fi" #op, "da " digit, op##_i32), \
    ROW("fi" #op, "de " digit, "M", exec_##op##_i16)
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

    ROW("fcom", "d8 /2", "M", exec_fcom_m32),
    ROW("fcom", "dc /2", "M", exec_fcom_m64),
    ROW("ficom", "da /2", "M", exec_ficom_i32),
    ROW("ficom", "de /2", "M", exec_ficom_i16),
    ROW("fcomp", "d8 /3", "M", exec_fcomp_m32),
    ROW("fcomp", "dc /3", "M", exec_fcomp_m64),
    ROW("ficomp", "da /3", "M", exec_ficomp_i32),
    ROW("ficomp", "de /3", "M", exec_ficomp_i16),
    ROW("fcom", "d8 d0+i", "F", exec_fcom),
    ROW("fcomp", "d8 d8+i", "F", exec_fcomp),
    ROW("fcom2", "dc d0+i", "F", exec_fcom),
    ROW("fcomp3", "dc d8+i", "F", exec_fcomp),
    ROW("fcomp5", "de d0+i", "F", exec_fcomp),
    ROW("fcompp", "de d9", "", exec_fcompp),
    ROW("fucom", "dd e0+i", "F", exec_fucom),
    ROW("fucomp", "dd e8+i", "F", exec_fucomp),
    ROW("fucompp", "da e9", "", exec_fucompp),
    COMI_ROW(fcomi, "db f0+i"),
    COMI_ROW(fucomi, "db e8+i"),
    COMI_ROW(fcomip, "df f0+i"),
    COMI_ROW(fucomip, "df e8+i"),
    ROW("ftst", "d9 e4", "", exec_ftst),
    {0},
};
/* clang-format on */
