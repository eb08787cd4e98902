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

static ALWAYS_INLINE bool quick_push(struct vcpu *v, const struct insn *in, struct f80 value,
                                     const struct fp_env *env, bool memory)
{
    if (unlikely(!x87_empty(v, 7)) || !x87_quick(v, env))
        return false;
    x87_quick_commit(v, in, env, memory);
    x87_push(v, value);
    return true;
}

static ALWAYS_INLINE bool quick_load(struct vcpu *v, const struct insn *in, const u8 *p, u32 bytes)
{
    struct fp_env env = x87_env(v);
    struct f80 value = {0};

    if (bytes == 4)
        value = fp80_from_f32((u32)load_le(p, 4), &env);
    else if (bytes == 8)
        value = fp80_from_f64(load_le(p, 8), &env);
    else
        memcpy(&value, p, 10);
    return quick_push(v, in, value, &env, true);
}

static ALWAYS_INLINE bool quick_load_int(struct vcpu *v, const struct insn *in, const u8 *p,
                                         u32 bytes)
{
    const struct fp_env env = x87_env(v);

    return quick_push(v, in, fp80_from_i64((i64)sign_extend(load_le(p, bytes), bytes)), &env, true);
}

static ALWAYS_INLINE bool quick_fld(struct vcpu *v, const struct insn *in)
{
    const struct fp_env env = x87_env(v);

    return !x87_empty(v, in->rm & 7) && quick_push(v, in, x87_get(v, in->rm & 7), &env, false);
}

X87_STAMP(fld, quick_fld(v, in))
X87_STAMP_LOAD(fld_m32, 4, quick_load(v, in, p, 4))
X87_STAMP_LOAD(fld_m64, 8, quick_load(v, in, p, 8))
X87_STAMP_LOAD(fld_m80, 10, quick_load(v, in, p, 10))
X87_STAMP_LOAD(fild_i16, 2, quick_load_int(v, in, p, 2))
X87_STAMP_LOAD(fild_i32, 4, quick_load_int(v, in, p, 4))
X87_STAMP_LOAD(fild_i64, 8, quick_load_int(v, in, p, 8))

static bool exec_fbld(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct fp_env env = {0};
    struct f80 raw;

    return x87_load(v, in, x, 10, &raw) &&
           push_value(v, in, x, fp80_from_bcd(raw.mant, raw.se), &env);
}

/* FLD1 .. FLDZ (D9 E8..EE): 66 bits of each constant, rounded as RC says. SDM Vol 2A "FLD1". */
static bool exec_fld_constant(struct vcpu *v, const struct insn *in, struct operands *x)
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
    struct fp_env env = {0};
    struct f80 value = {.mant = constants[i].mant, .se = constants[i].se};
    const u32 rounding = v->state.fpu.fcw >> 10 & 3;

    if (constants[i].low && (rounding == FP_UP || (rounding == FP_NEAREST && constants[i].low > 1)))
        value.mant++;
    return push_value(v, in, x, value, &env);
}

/* ---- stores ---- */

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
    if (!x87_can_commit(v, outcome))
        return false;
    if (outcome.deliver && !x87_store(v, in, x, bytes, raw))
        return false;
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver && pop)
        x87_pop(v);
    return true;
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
    if (!x87_can_commit(v, outcome))
        return false;
    if (outcome.deliver && !x87_store(v, in, x, bytes, raw))
        return false;
    if (!x87_commit(v, in, x, outcome))
        return false;
    if (outcome.deliver && pop)
        x87_pop(v);
    return true;
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

static ALWAYS_INLINE bool quick_store(struct vcpu *v, const struct insn *in, u8 *p, u32 bytes,
                                      bool pop)
{
    struct fp_env env = x87_env(v);
    struct f80 raw = x87_get(v, 0);

    if (unlikely(x87_empty(v, 0)))
        return false;
    if (bytes == 4)
        raw.mant = fp80_to_f32(raw, &env);
    else if (bytes == 8)
        raw.mant = fp80_to_f64(raw, &env);
    if (!x87_quick(v, &env))
        return false;
    memcpy(p, &raw, bytes);
    x87_quick_commit(v, in, &env, true);
    if (pop)
        x87_pop(v);
    return true;
}

static ALWAYS_INLINE bool quick_store_int(struct vcpu *v, const struct insn *in, u8 *p, u32 bytes,
                                          bool truncate, bool pop)
{
    struct fp_env env = x87_env(v);
    u64 value;

    if (unlikely(x87_empty(v, 0)))
        return false;
    if (truncate)
        env.rounding = FP_TRUNCATE;
    value = fp80_to_int(x87_get(v, 0), bytes, &env);
    if (!x87_quick(v, &env))
        return false;
    store_le(p, value, bytes);
    x87_quick_commit(v, in, &env, true);
    if (pop)
        x87_pop(v);
    return true;
}

X87_STAMP_STORE(fst_m32, 4, quick_store(v, in, p, 4, false))
X87_STAMP_STORE(fstp_m32, 4, quick_store(v, in, p, 4, true))
X87_STAMP_STORE(fst_m64, 8, quick_store(v, in, p, 8, false))
X87_STAMP_STORE(fstp_m64, 8, quick_store(v, in, p, 8, true))
X87_STAMP_STORE(fstp_m80, 10, quick_store(v, in, p, 10, true))
X87_STAMP_STORE(fist_i32, 4, quick_store_int(v, in, p, 4, false, false))
X87_STAMP_STORE(fistp_i16, 2, quick_store_int(v, in, p, 2, false, true))
X87_STAMP_STORE(fistp_i32, 4, quick_store_int(v, in, p, 4, false, true))
X87_STAMP_STORE(fistp_i64, 8, quick_store_int(v, in, p, 8, false, true))
X87_STAMP_STORE(fisttp_i32, 4, quick_store_int(v, in, p, 4, true, true))
X87_STAMP_STORE(fisttp_i64, 8, quick_store_int(v, in, p, 8, true, true))

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
    const struct fp_env env = x87_env(v);

    if (unlikely(x87_empty(v, 0)) || !x87_quick(v, &env))
        return false;
    x87_quick_commit(v, in, &env, false);
    x87_set(v, in->rm & 7, x87_get(v, 0));
    if (pop)
        x87_pop(v);
    return true;
}

X87_STAMP(fst, quick_store_register(v, in, false))
X87_STAMP(fstp, quick_store_register(v, in, true))

/* ---- moves within the stack ---- */

static ALWAYS_INLINE bool quick_fxch(struct vcpu *v, const struct insn *in)
{
    const struct fp_env env = x87_env(v);
    const u32 i = in->rm & 7;
    const struct f80 a = x87_get(v, 0);

    if (unlikely(x87_empty(v, 0) || x87_empty(v, i)) || !x87_quick(v, &env))
        return false;
    x87_quick_commit(v, in, &env, false);
    x87_set(v, 0, x87_get(v, i));
    x87_set(v, i, a);
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

X87_EXEC(fcmovb, fcmov(v, in, x, flag_cf(v)))
X87_EXEC(fcmove, fcmov(v, in, x, flag_zf(v)))
X87_EXEC(fcmovbe, fcmov(v, in, x, flag_cf(v) || flag_zf(v)))
X87_EXEC(fcmovu, fcmov(v, in, x, flag_pf(v)))
X87_EXEC(fcmovnb, fcmov(v, in, x, !flag_cf(v)))
X87_EXEC(fcmovne, fcmov(v, in, x, !flag_zf(v)))
X87_EXEC(fcmovnbe, fcmov(v, in, x, !flag_cf(v) && !flag_zf(v)))
X87_EXEC(fcmovnu, fcmov(v, in, x, !flag_pf(v)))

/* clang-format off */
#define WAITS X87 | X87_WAIT
#define ROW(name, encoding, operands, exec) {name, encoding, operands, exec, WAITS, .feature = F_FPU}
#define ROW_STAMPED(name, encoding, form) \
    {name, encoding, "F", exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define ROW_MEMORY(name, encoding, form) \
    {name, encoding, "M", exec_##form, WAITS, .feature = F_FPU, .stamp = stamp_##form}
#define CMOV_ROW(name, encoding) \
    {#name, encoding, "F", exec_##name, WAITS, .feature = F_CMOV}

const struct insn_def isa_x87_move[] = {
    ROW_MEMORY("fld", "d9 /0", fld_m32),
    ROW_MEMORY("fld", "dd /0", fld_m64),
    ROW_MEMORY("fld", "db /5", fld_m80),
    ROW_STAMPED("fld", "d9 c0+i", fld),
    ROW_MEMORY("fild", "df /0", fild_i16),
    ROW_MEMORY("fild", "db /0", fild_i32),
    ROW_MEMORY("fild", "df /5", fild_i64),
    ROW("fbld", "df /4", "M", exec_fbld),
    ROW("fld1", "d9 e8", "", exec_fld_constant),
    ROW("fldl2t", "d9 e9", "", exec_fld_constant),
    ROW("fldl2e", "d9 ea", "", exec_fld_constant),
    ROW("fldpi", "d9 eb", "", exec_fld_constant),
    ROW("fldlg2", "d9 ec", "", exec_fld_constant),
    ROW("fldln2", "d9 ed", "", exec_fld_constant),
    ROW("fldz", "d9 ee", "", exec_fld_constant),

    ROW_MEMORY("fst", "d9 /2", fst_m32),
    ROW_MEMORY("fst", "dd /2", fst_m64),
    ROW_MEMORY("fstp", "d9 /3", fstp_m32),
    ROW_MEMORY("fstp", "dd /3", fstp_m64),
    ROW_MEMORY("fstp", "db /7", fstp_m80),
    ROW_STAMPED("fst", "dd d0+i", fst),
    ROW_STAMPED("fstp", "dd d8+i", fstp),
    ROW("fstpnce", "d9 d8+i", "F", exec_fstp_quiet),
    ROW("fstp8", "df d0+i", "F", exec_fstp),
    ROW("fstp9", "df d8+i", "F", exec_fstp),
    ROW("fist", "df /2", "M", exec_fist_i16),
    ROW_MEMORY("fist", "db /2", fist_i32),
    ROW_MEMORY("fistp", "df /3", fistp_i16),
    ROW_MEMORY("fistp", "db /3", fistp_i32),
    ROW_MEMORY("fistp", "df /7", fistp_i64),
    {"fisttp", "df /1", "M", exec_fisttp_i16, WAITS, .feature = F_SSE3},
    {"fisttp", "db /1", "M", exec_fisttp_i32, WAITS, .feature = F_SSE3, .stamp = stamp_fisttp_i32},
    {"fisttp", "dd /1", "M", exec_fisttp_i64, WAITS, .feature = F_SSE3, .stamp = stamp_fisttp_i64},
    ROW("fbstp", "df /6", "M", exec_fbstp),

    ROW_STAMPED("fxch", "d9 c8+i", fxch),
    ROW("fxch4", "dd c8+i", "F", exec_fxch),
    ROW("fxch7", "df c8+i", "F", exec_fxch),
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
