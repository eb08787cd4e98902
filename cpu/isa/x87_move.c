/* SPDX-License-Identifier: MIT */
/*
 * x87 loads, stores, exchanges and conditional moves: SDM Vol 2A, by mnemonic (F...), Vol 1 8.3.3.
 * Undocumented aliases included.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/x87.h"

/* ---- loads ---- */

/* Push a value that was computed with env. */
static bool push_value(struct vcpu *v, const struct insn *in, const struct operands *x,
                       struct f80 value, const struct fp_env *env)
{
    struct x87_outcome outcome = x87_outcome(v, env);

    if (unlikely(!x87_empty(v, 7))) {
        outcome = x87_stack_fault(v, X87_OVERFLOW);
        value = F80_INDEFINITE;
    }
    /* A denormal from memory is loaded even if that is reported. */
    if (outcome.flags == FP_DE)
        outcome.deliver = true;
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver)
        x87_push(v, value);
    return true;
}

static bool exec_fld(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct fp_env env = {0};
    const u32 i = in->rm & 7;

    if (x87_empty(v, i)) {
        const struct x87_outcome outcome = x87_stack_fault(v, X87_UNDERFLOW);

        if (!x87_commit(v, in, x, outcome))
            return false;
        if (outcome.deliver)
            x87_push(v, F80_INDEFINITE);
        return true;
    }
    return push_value(v, in, x, x87_get(v, i), &env);
}

static ALWAYS_INLINE bool load_float(struct vcpu *v, const struct insn *in, struct operands *x,
                                     u32 bytes)
{
    struct fp_env env = x87_env(v);
    struct f80 value;

    if (!x87_load(v, in, x, bytes, &value))
        return false;
    if (bytes == 4)
        value = fp80_from_f32((u32)value.mant, &env);
    else if (bytes == 8)
        value = fp80_from_f64(value.mant, &env);
    return push_value(v, in, x, value, &env);
}

X87_EXEC(fld_m32, load_float(v, in, x, 4))
X87_EXEC(fld_m64, load_float(v, in, x, 8))
X87_EXEC(fld_m80, load_float(v, in, x, 10))

static ALWAYS_INLINE bool load_int(struct vcpu *v, const struct insn *in, struct operands *x,
                                   u32 bytes)
{
    const struct fp_env env = {0};
    struct f80 raw;

    return x87_load(v, in, x, bytes, &raw) &&
           push_value(v, in, x, fp80_from_i64((i64)sign_extend(raw.mant, bytes)), &env);
}

X87_EXEC(fild_i16, load_int(v, in, x, 2))
X87_EXEC(fild_i32, load_int(v, in, x, 4))
X87_EXEC(fild_i64, load_int(v, in, x, 8))

/* NaNs are quieted, denormals and signalling NaNs raise something: the generic path. */
static ALWAYS_INLINE bool quick_load(struct vcpu *v, const struct insn *in,
                                     const struct x87_memory *m, u32 bytes)
{
    struct f80 value = {0};

    if (bytes == 10) {
        value.mant = load_le(m->p, 8);
        value.se = (u16)load_le(m->p + 8, 2);
    } else if (!(bytes == 4 ? quick_widen(load_le(m->p, 4), 23, 0xff, &value)
                            : quick_widen(load_le(m->p, 8), 52, 0x7ff, &value))) {
        return false;
    }
    return x87_quick_push(v, in, value, m);
}

static ALWAYS_INLINE bool quick_load_int(struct vcpu *v, const struct insn *in,
                                         const struct x87_memory *m, u32 bytes)
{
    const i64 value = (i64)sign_extend(load_le(m->p, bytes), bytes);

    return x87_quick_push(v, in, quick_from_i64(value), m);
}

static ALWAYS_INLINE bool quick_fld(struct vcpu *v, const struct insn *in)
{
    const u32 i = in->rm & 7;

    return likely(!x87_empty(v, i)) && x87_quick_push(v, in, x87_get(v, i), NULL);
}

X87_STAMP(fld, quick_fld(v, in))
X87_STAMP_LOAD(fld_m32, 4, quick_load(v, in, &m, 4))
X87_STAMP_LOAD(fld_m64, 8, quick_load(v, in, &m, 8))
X87_STAMP_LOAD(fld_m80, 10, quick_load(v, in, &m, 10))
X87_STAMP_LOAD(fild_i16, 2, quick_load_int(v, in, &m, 2))
X87_STAMP_LOAD(fild_i32, 4, quick_load_int(v, in, &m, 4))
X87_STAMP_LOAD(fild_i64, 8, quick_load_int(v, in, &m, 8))

static bool exec_fbld(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct fp_env env = {0};
    struct f80 raw;

    return x87_load(v, in, x, 10, &raw) &&
           push_value(v, in, x, fp80_from_bcd(raw.mant, raw.se), &env);
}

/* FLD1 .. FLDZ (D9 E8..EE): 66 bits of each constant, rounded as RC says. SDM Vol 2A "FLD1". */
static ALWAYS_INLINE struct f80 constant(const struct vcpu *v, const struct insn *in)
{
    static const struct {
        u64 mant;
        u16 se;
        u8 low; /* the two bits below mant */
    } constants[8] = {
        {0x8000000000000000, 0x3fff, 0},
        {0xd49a784bcd1b8afe, 0x4000, 1}, /* 1, log2(10) */
        {0xb8aa3b295c17f0bb, 0x3fff, 2},
        {0xc90fdaa22168c234, 0x4000, 3}, /* log2(e), pi */
        {0x9a209a84fbcff798, 0x3ffd, 2},
        {0xb17217f7d1cf79ab, 0x3ffe, 3}, /* log10(2), ln(2) */
        {0, 0, 0},
        {0, 0, 0},
    };
    const u32 i = in->rm & 7;
    struct f80 value = {.mant = constants[i].mant, .se = constants[i].se};
    const u32 rounding = v->state.fpu.fcw >> FCW_RC_SHIFT & 3;

    if (constants[i].low && (rounding == FP_UP || (rounding == FP_NEAREST && constants[i].low > 1)))
        value.mant++;
    return value;
}

static bool exec_fld_constant(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct fp_env env = {0};

    return push_value(v, in, x, constant(v, in), &env);
}

X87_STAMP(fld_constant, x87_quick_push(v, in, constant(v, in), NULL))

/* ---- stores ---- */

static ALWAYS_INLINE bool finish_store(struct vcpu *v, const struct insn *in, struct operands *x,
                                       u32 bytes, const struct f80 *raw, struct x87_outcome outcome,
                                       bool pop)
{
    if (!x87_can_commit(v, outcome))
        return false;
    /* A fault of the destination comes first, even if nothing is stored. */
    if (!(outcome.deliver ? x87_store(v, in, x, bytes, *raw) : x87_probe(v, in, x, bytes)))
        return false;
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver && pop)
        x87_pop(v);
    return true;
}

/* What a store makes of ST(0): the bytes, and the status. kind is the size of a float (4, 8, 10).
 */
static ALWAYS_INLINE bool store_float(struct vcpu *v, const struct insn *in, struct operands *x,
                                      u32 bytes, bool pop)
{
    struct fp_env env = x87_env(v);
    struct f80 raw = x87_get(v, 0);
    struct x87_outcome outcome;

    if (unlikely(x87_empty(v, 0)))
        raw = F80_INDEFINITE;
    if (bytes == 4)
        raw.mant = fp80_to_f32(raw, &env);
    else if (bytes == 8)
        raw.mant = fp80_to_f64(raw, &env);
    outcome = x87_outcome(v, &env);
    if (unlikely(x87_empty(v, 0))) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    } else if (outcome.flags & ~(u32)v->state.fpu.fcw & (FP_OE | FP_UE)) {
        /* To memory there is no wrapped result: source and destination stay. SDM Vol 1 8.5.4. */
        outcome.flags &= (u16) ~(FP_PE | FSW_C1);
        outcome.deliver = false;
    }
    return finish_store(v, in, x, bytes, &raw, outcome, pop);
}

X87_EXEC(fst_m32, store_float(v, in, x, 4, false))
X87_EXEC(fstp_m32, store_float(v, in, x, 4, true))
X87_EXEC(fst_m64, store_float(v, in, x, 8, false))
X87_EXEC(fstp_m64, store_float(v, in, x, 8, true))
X87_EXEC(fstp_m80, store_float(v, in, x, 10, true))

/* FIST, FISTP, FISTTP and FBSTP; bytes 10 is BCD. */
static ALWAYS_INLINE bool store_int(struct vcpu *v, const struct insn *in, struct operands *x,
                                    u32 bytes, bool truncate, bool pop)
{
    struct fp_env env = x87_env(v);
    const bool empty = x87_empty(v, 0);
    struct f80 source = empty ? F80_INDEFINITE : x87_get(v, 0);
    struct f80 raw = {0};
    struct x87_outcome outcome;

    if (truncate)
        env.rounding = FP_TRUNCATE;
    if (bytes == 10)
        fp80_to_bcd(source, &raw.mant, &raw.se, &env);
    else
        raw.mant = fp80_to_int(source, bytes, &env);
    outcome = empty ? x87_stack_fault(v, X87_UNDERFLOW) : x87_outcome(v, &env);
    return finish_store(v, in, x, bytes, &raw, outcome, pop);
}

X87_EXEC(fist_i16, store_int(v, in, x, 2, false, false))
X87_EXEC(fist_i32, store_int(v, in, x, 4, false, false))
X87_EXEC(fistp_i16, store_int(v, in, x, 2, false, true))
X87_EXEC(fistp_i32, store_int(v, in, x, 4, false, true))
X87_EXEC(fistp_i64, store_int(v, in, x, 8, false, true))
X87_EXEC(fisttp_i16, store_int(v, in, x, 2, true, true))
X87_EXEC(fisttp_i32, store_int(v, in, x, 4, true, true))
X87_EXEC(fisttp_i64, store_int(v, in, x, 8, true, true))
X87_EXEC(fbstp, store_int(v, in, x, 10, false, true))

static ALWAYS_INLINE bool quick_store(struct vcpu *v, const struct insn *in,
                                      const struct x87_memory *m, u32 bytes, bool pop)
{
    struct x87_stack s;
    struct f80 source;
    u32 status = 0;
    u64 value;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)))
        return false;
    source = *x87_st(v, &s, 0);
    if (bytes == 10) {
        store_le(m->p, source.mant, 8);
        store_le(m->p + 8, source.se, 2);
    } else {
        if (!x87_control_is(v, FCW_RC, FP_NEAREST << FCW_RC_SHIFT) ||
            !(bytes == 4 ? quick_narrow(source, 23, 0xff, &value, &status)
                         : quick_narrow(source, 52, 0x7ff, &value, &status)))
            return false;
        store_le(m->p, value, bytes);
    }
    x87_quick_pointers(v, in, m);
    x87_stack_commit(v, &s, FSW_C1, status, pop);
    return true;
}

static ALWAYS_INLINE bool quick_store_int(struct vcpu *v, const struct insn *in,
                                          const struct x87_memory *m, u32 bytes, bool truncate,
                                          bool pop)
{
    const u32 rounding = truncate ? FP_TRUNCATE : v->state.fpu.fcw >> FCW_RC_SHIFT & 3;
    struct x87_stack s;
    u32 status;
    u64 value;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)) || !x87_control_is(v, 0, 0) ||
        !quick_to_int(*x87_st(v, &s, 0), bytes, rounding, &value, &status))
        return false;
    store_le(m->p, value, bytes);
    x87_quick_pointers(v, in, m);
    x87_stack_commit(v, &s, FSW_C1, status, pop);
    return true;
}

static ALWAYS_INLINE bool kernel_store(struct vcpu *v, const struct insn *in,
                                       const struct x87_memory *m, u32 bytes, bool pop)
{
    struct fp_env env = x87_env(v);
    u64 value;

    if (unlikely(x87_empty(v, 0)))
        return false;
    value = bytes == 4 ? fp80_to_f32(x87_get(v, 0), &env) : fp80_to_f64(x87_get(v, 0), &env);
    if (!x87_masked(v, &env))
        return false;
    store_le(m->p, value, bytes);
    x87_kernel_commit(v, in, &env, m);
    if (pop)
        x87_pop(v);
    return true;
}

static ALWAYS_INLINE bool kernel_store_int(struct vcpu *v, const struct insn *in,
                                           const struct x87_memory *m, u32 bytes, bool truncate,
                                           bool pop)
{
    struct fp_env env = x87_env(v);
    u64 value;

    if (unlikely(x87_empty(v, 0)))
        return false;
    if (truncate)
        env.rounding = FP_TRUNCATE;
    value = fp80_to_int(x87_get(v, 0), bytes, &env);
    if (!x87_masked(v, &env))
        return false;
    store_le(m->p, value, bytes);
    x87_kernel_commit(v, in, &env, m);
    if (pop)
        x87_pop(v);
    return true;
}

#define STAMP_FST(name, bytes, pop)                                                                \
    X87_STAMP3_STORE(name, bytes, quick_store(v, in, &m, bytes, pop),                              \
                     kernel_store(v, in, &m, bytes, pop))
#define STAMP_FIST(name, bytes, truncate, pop)                                                     \
    X87_STAMP3_STORE(name, bytes, quick_store_int(v, in, &m, bytes, truncate, pop),                \
                     kernel_store_int(v, in, &m, bytes, truncate, pop))

STAMP_FST(fst_m32, 4, false)
STAMP_FST(fstp_m32, 4, true)
STAMP_FST(fst_m64, 8, false)
STAMP_FST(fstp_m64, 8, true)
X87_STAMP_STORE(fstp_m80, 10, quick_store(v, in, &m, 10, true))
STAMP_FIST(fist_i16, 2, false, false)
STAMP_FIST(fist_i32, 4, false, false)
STAMP_FIST(fistp_i16, 2, false, true)
STAMP_FIST(fistp_i32, 4, false, true)
STAMP_FIST(fistp_i64, 8, false, true)
STAMP_FIST(fisttp_i16, 2, true, true)
STAMP_FIST(fisttp_i32, 4, true, true)
STAMP_FIST(fisttp_i64, 8, true, true)

/* FST ST(i), FSTP ST(i). The D9 D8+i alias does not tell of an empty register. */
static bool store_register(struct vcpu *v, const struct insn *in, struct operands *x, bool pop,
                           bool quiet)
{
    const struct fp_env env = {0};
    const bool empty = x87_empty(v, 0);
    struct x87_outcome outcome = x87_outcome(v, &env);

    if (empty && !quiet)
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver) {
        if (!empty)
            x87_set(v, in->rm & 7, x87_get(v, 0));
        else if (!quiet)
            x87_set(v, in->rm & 7, F80_INDEFINITE);
        if (pop)
            x87_pop(v);
    }
    return true;
}

X87_EXEC(fst, store_register(v, in, x, false, false))
X87_EXEC(fstp, store_register(v, in, x, true, false))
X87_EXEC(fstp_quiet, store_register(v, in, x, true, true))

static ALWAYS_INLINE bool quick_store_register(struct vcpu *v, const struct insn *in, bool pop)
{
    const u32 i = in->rm & 7;
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0)))
        return false;
    x87_put(x87_st(v, &s, i), *x87_st(v, &s, 0));
    s.tags |= 1u << ((s.top + i) & 7);
    v->state.fpu.ftw = (u8)s.tags;
    x87_quick_pointers(v, in, NULL);
    x87_stack_commit(v, &s, FSW_C1, 0, pop);
    return true;
}

X87_STAMP(fst, quick_store_register(v, in, false))
X87_STAMP(fstp, quick_store_register(v, in, true))

/* ---- moves within the stack ---- */

static ALWAYS_INLINE bool quick_fxch(struct vcpu *v, const struct insn *in)
{
    const u32 i = in->rm & 7;
    struct x87_stack s;
    struct f80 a;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0) || !x87_full(&s, i)))
        return false;
    a = *x87_st(v, &s, 0);
    x87_put(x87_st(v, &s, 0), *x87_st(v, &s, i));
    x87_put(x87_st(v, &s, i), a);
    x87_quick_pointers(v, in, NULL);
    x87_stack_commit(v, &s, FSW_C1, 0, 0);
    return true;
}

X87_STAMP(fxch, quick_fxch(v, in))

static bool exec_fxch(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 i = in->rm & 7;
    struct f80 a = x87_get(v, 0);
    struct f80 b = x87_get(v, i);
    struct x87_outcome outcome = {0, true};

    if (x87_empty(v, 0) || x87_empty(v, i)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
        a = x87_empty(v, 0) ? F80_INDEFINITE : a;
        b = x87_empty(v, i) ? F80_INDEFINITE : b;
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver) {
        x87_set(v, 0, b);
        x87_set(v, i, a);
    }
    return true;
}

/* FCMOVcc: the condition is by opcode, DA for it and DB for its negation. */
static bool fcmov(struct vcpu *v, const struct insn *in, struct operands *x, bool moves)
{
    const u32 i = in->rm & 7;
    struct f80 value = x87_get(v, i);
    struct x87_outcome outcome = {v->state.fpu.fsw & FSW_C1, true};

    if (x87_empty(v, 0) || x87_empty(v, i)) {
        outcome = x87_stack_fault(v, X87_UNDERFLOW);
        value = F80_INDEFINITE;
        moves = true;
    }
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver && moves)
        x87_set(v, 0, value);
    return true;
}

/* Nothing changes but the pointers and perhaps ST(0). */
static ALWAYS_INLINE bool quick_fcmov(struct vcpu *v, const struct insn *in, bool moves)
{
    const u32 i = in->rm & 7;
    struct x87_stack s;

    if (!x87_ready(v, &s) || unlikely(!x87_full(&s, 0) || !x87_full(&s, i)))
        return false;
    x87_put(x87_st(v, &s, 0), *x87_st(v, &s, moves ? i : 0));
    x87_quick_pointers(v, in, NULL);
    return true;
}

#define FCMOV(name, moves)                                                                         \
    X87_EXEC(name, fcmov(v, in, x, moves))                                                         \
    X87_STAMP(name, quick_fcmov(v, in, moves))

FCMOV(fcmovb, flag_cf(v))
FCMOV(fcmove, flag_zf(v))
FCMOV(fcmovbe, flag_cf(v) || flag_zf(v))
FCMOV(fcmovu, flag_pf(v))
FCMOV(fcmovnb, !flag_cf(v))
FCMOV(fcmovne, !flag_zf(v))
FCMOV(fcmovnbe, !flag_cf(v) && !flag_zf(v))
FCMOV(fcmovnu, !flag_pf(v))

/* clang-format off */
#define WAITS X87 | X87_WAIT
#define ROW(name, encoding, operands, exec) {name, encoding, operands, exec, WAITS, .feature = F_FPU}
#define ROW_STAMPED(name, encoding, form) \
    {name, encoding, "F", exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define ROW_MEMORY(name, encoding, form) \
    {name, encoding, "M", exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define ROW_CONSTANT(name, encoding) \
    {name, encoding, "", exec_fld_constant, WAITS, .feature = F_FPU, .stamp = stamp_fld_constant}
#define CMOV_ROW(name, encoding) \
    {#name, encoding, "F", exec_##name, WAITS, .feature = F_CMOV, .stamp = stamp_##name}

const struct insn_def isa_x87_move[] = {
    ROW_MEMORY("fld", "d9 /0", fld_m32),
    ROW_MEMORY("fld", "dd /0", fld_m64),
    ROW_MEMORY("fld", "db /5", fld_m80),
    ROW_STAMPED("fld", "d9 c0+i", fld),
    ROW_MEMORY("fild", "df /0", fild_i16),
    ROW_MEMORY("fild", "db /0", fild_i32),
    ROW_MEMORY("fild", "df /5", fild_i64),
    ROW("fbld", "df /4", "M", exec_fbld),
    ROW_CONSTANT("fld1", "d9 e8"),
    ROW_CONSTANT("fldl2t", "d9 e9"),
    ROW_CONSTANT("fldl2e", "d9 ea"),
    ROW_CONSTANT("fldpi", "d9 eb"),
    ROW_CONSTANT("fldlg2", "d9 ec"),
    ROW_CONSTANT("fldln2", "d9 ed"),
    ROW_CONSTANT("fldz", "d9 ee"),

    ROW_MEMORY("fst", "d9 /2", fst_m32),
    ROW_MEMORY("fst", "dd /2", fst_m64),
    ROW_MEMORY("fstp", "d9 /3", fstp_m32),
    ROW_MEMORY("fstp", "dd /3", fstp_m64),
    ROW_MEMORY("fstp", "db /7", fstp_m80),
    ROW_STAMPED("fst", "dd d0+i", fst),
    ROW_STAMPED("fstp", "dd d8+i", fstp),
    ROW("fstpnce", "d9 d8+i", "F", exec_fstp_quiet),
    ROW_STAMPED("fstp8", "df d0+i", fstp),
    ROW_STAMPED("fstp9", "df d8+i", fstp),
    ROW_MEMORY("fist", "df /2", fist_i16),
    ROW_MEMORY("fist", "db /2", fist_i32),
    ROW_MEMORY("fistp", "df /3", fistp_i16),
    ROW_MEMORY("fistp", "db /3", fistp_i32),
    ROW_MEMORY("fistp", "df /7", fistp_i64),
    {"fisttp", "df /1", "M", exec_fisttp_i16, WAITS, .feature = F_SSE3, .stamp = stamp_fisttp_i16},
    {"fisttp", "db /1", "M", exec_fisttp_i32, WAITS, .feature = F_SSE3, .stamp = stamp_fisttp_i32},
    {"fisttp", "dd /1", "M", exec_fisttp_i64, WAITS, .feature = F_SSE3, .stamp = stamp_fisttp_i64},
    ROW("fbstp", "df /6", "M", exec_fbstp),

    ROW_STAMPED("fxch", "d9 c8+i", fxch),
    ROW_STAMPED("fxch4", "dd c8+i", fxch),
    ROW_STAMPED("fxch7", "df c8+i", fxch),
    CMOV_ROW(fcmovb, "da c0+i"),
    CMOV_ROW(fcmove, "da c8+i"),
    CMOV_ROW(fcmovbe, "da d0+i"),
    CMOV_ROW(fcmovu, "da d8+i"),
    CMOV_ROW(fcmovnb, "db c0+i"),
    CMOV_ROW(fcmovne, "db c8+i"),
    CMOV_ROW(fcmovnbe, "db d0+i"),
    CMOV_ROW(fcmovnu, "db d8+i"),
    {0},
};
/* clang-format on */
