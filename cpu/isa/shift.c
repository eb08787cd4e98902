/* SPDX-License-Identifier: MIT */
/*
 * Shifts, rotates, double shifts and the flagless shifts of BMI2: SDM Vol 2, by mnemonic.
 *
 * Counts are masked to 5 bits, 6 with 64-bit operands; a count of 0 changes no flag. Undefined
 * flags: OF for counts over 1 follows the rule for 1 (as AMD processors do); AF is cleared by
 * shifts and kept by rotates; CF of a SHL or SHR by more than the width is 0. SHLD and SHRD of 16
 * bits by more than 16 work on the 48 bits destination:source:destination, as Intel processors do.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

static ALWAYS_INLINE unsigned shift_count(u64 b, unsigned w)
{
    return (unsigned)b & (w == 8 ? 63 : 31);
}

/* Bit of r, w bytes: 0 is the most significant. */
static ALWAYS_INLINE bool top_bit(u64 r, unsigned w, unsigned from_top)
{
    return (r >> (8 * w - 1 - from_top) & 1) != 0;
}

static ALWAYS_INLINE u64 sem_shl(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const unsigned bits = 8 * w;
    bool cf;

    if (n == 0)
        return a;
    cf = (w == 8 ? a >> (64 - n) & 1 : a << n >> bits & 1) != 0;
    flags_result_cf_of(v, a << n, w, cf, cf ^ top_bit(a << n, w, 0));
    return a << n;
}

static ALWAYS_INLINE u64 sem_shr(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const u64 r = a >> n;

    if (n == 0)
        return a;
    flags_result_cf_of(v, r, w, (a >> (n - 1) & 1) != 0, top_bit(r, w, 0) ^ top_bit(r, w, 1));
    return r;
}

static ALWAYS_INLINE u64 sem_sar(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const i64 extended = (i64)sign_extend(a, w);

    if (n == 0)
        return a;
    flags_result_cf_of(v, (u64)(extended >> n), w, (extended >> (n - 1) & 1) != 0, false);
    return (u64)(extended >> n);
}

static ALWAYS_INLINE u64 sem_rol(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const unsigned turn = n & (8 * w - 1);
    const u64 r = turn == 0 ? a : (a << turn | a >> (8 * w - turn)) & width_mask(w);

    if (n != 0)
        flags_set_cf_of(v, r & 1, (r & 1) ^ top_bit(r, w, 0));
    return r;
}

static ALWAYS_INLINE u64 sem_ror(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const unsigned turn = n & (8 * w - 1);
    const u64 r = turn == 0 ? a : (a >> turn | a << (8 * w - turn)) & width_mask(w);

    if (n != 0)
        flags_set_cf_of(v, top_bit(r, w, 0), top_bit(r, w, 0) ^ top_bit(r, w, 1));
    return r;
}

/* Rotates through carry turn 9, 17, 33 or 65 bits. */
static ALWAYS_INLINE u64 sem_rcl(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const unsigned bits = 8 * w;
    const u64 carry = flag_cf(v);
    bool cf;
    u64 r;

    if (n == 0)
        return a;
    if (w == 8) {
        r = a << n | carry << (n - 1) | (n > 1 ? a >> (65 - n) : 0);
        cf = (a >> (64 - n) & 1) != 0;
    } else {
        const unsigned turn = n % (bits + 1);
        const u64 ring = a | carry << bits;

        r = ring << turn | ring >> (bits + 1 - turn);
        cf = (r >> bits & 1) != 0;
    }
    flags_set_cf_of(v, cf, cf ^ top_bit(r, w, 0));
    return r & width_mask(w);
}

static ALWAYS_INLINE u64 sem_rcr(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const unsigned n = shift_count(b, w);
    const unsigned bits = 8 * w;
    const u64 carry = flag_cf(v);
    bool cf;
    u64 r;

    if (n == 0)
        return a;
    if (w == 8) {
        r = a >> n | carry << (64 - n) | (n > 1 ? a << (65 - n) : 0);
        cf = (a >> (n - 1) & 1) != 0;
    } else {
        const unsigned turn = n % (bits + 1);
        const u64 ring = a | carry << bits;

        r = ring >> turn | ring << (bits + 1 - turn);
        cf = (r >> bits & 1) != 0;
    }
    flags_set_cf_of(v, cf, top_bit(r, w, 0) ^ top_bit(r, w, 1));
    return r & width_mask(w);
}

EXEC_BINARY(rol, sem_rol)
EXEC_BINARY(ror, sem_ror)
EXEC_BINARY(rcl, sem_rcl)
EXEC_BINARY(rcr, sem_rcr)
EXEC_BINARY(shl, sem_shl)
EXEC_BINARY(shr, sem_shr)
EXEC_BINARY(sar, sem_sar)

#define STAMP_SHIFT(op, sem)                                                                       \
    STAMP_E_1(op, sem, 1)                                                                          \
    STAMP_E_I(op, sem, 1)                                                                          \
    STAMP_E_CL(op, sem, 1)

STAMP_SHIFT(shl, sem_shl)
STAMP_SHIFT(shr, sem_shr)
STAMP_SHIFT(sar, sem_sar)
STAMP_SHIFT(rol, sem_rol)
STAMP_SHIFT(ror, sem_ror)
STAMP_SHIFT(rcl, sem_rcl)
STAMP_SHIFT(rcr, sem_rcr)

static ALWAYS_INLINE u64 double_left(struct vcpu *v, u64 a, u64 b, unsigned n, unsigned w)
{
    const unsigned bits = 8 * w;
    bool cf;
    u64 r;

    if (n == 0)
        return a;
    if (w == 2) {
        const u64 ring = (a << 32 | b << 16 | a) << n;

        r = ring >> 32 & 0xffff;
        cf = (ring >> 48 & 1) != 0;
    } else {
        r = (a << n | b >> (bits - n)) & width_mask(w);
        cf = (a >> (bits - n) & 1) != 0;
    }
    flags_result_cf_of(v, r, w, cf, cf ^ top_bit(r, w, 0));
    return r;
}

static ALWAYS_INLINE u64 double_right(struct vcpu *v, u64 a, u64 b, unsigned n, unsigned w)
{
    const unsigned bits = 8 * w;
    u64 r, out;

    if (n == 0)
        return a;
    if (w == 2) {
        const u64 ring = a << 32 | b << 16 | a;

        r = ring >> n & 0xffff;
        out = ring >> (n - 1);
    } else {
        r = (a >> n | b << (bits - n)) & width_mask(w);
        out = a >> (n - 1);
    }
    flags_result_cf_of(v, r, w, (out & 1) != 0, top_bit(r, w, 0) ^ top_bit(r, w, 1));
    return r;
}

static bool exec_shld(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned w = in->width;

    x->val[0] = double_left(v, x->val[0], x->val[1], shift_count(x->val[2], w), w);
    return true;
}

static bool exec_shrd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned w = in->width;

    x->val[0] = double_right(v, x->val[0], x->val[1], shift_count(x->val[2], w), w);
    return true;
}

/* Register forms by an immediate or CL: multiword shifts, 64-bit arithmetic of 32-bit code. */
#define STAMP_DOUBLE(op, fn, w, name, count)                                                       \
    STAMP_FN(run_##op##_##name##w)                                                                 \
    {                                                                                              \
        const unsigned n = shift_count(count, w);                                                  \
        reg_write(v, in->rm, w, fn(v, reg_read(v, in->rm, w), reg_read(v, in->reg, w), n, w));     \
        NEXT(v, in);                                                                               \
    }
#define STAMP_DOUBLES(op, fn, name, count)                                                         \
    STAMP_DOUBLE(op, fn, 4, name, count)                                                           \
    STAMP_DOUBLE(op, fn, 8, name, count)                                                           \
    static insn_run stamp_##op##_##name(const struct insn *in, u32 mode)                           \
    {                                                                                              \
        (void)mode;                                                                                \
        if ((in->prefix & PREFIX_MEM) != 0 || in->width == 2)                                      \
            return NULL;                                                                           \
        return in->width == 8 ? run_##op##_##name##8 : run_##op##_##name##4;                       \
    }

STAMP_DOUBLES(shld, double_left, i, in->imm)
STAMP_DOUBLES(shld, double_left, cl, v->state.reg[REG_RCX])
STAMP_DOUBLES(shrd, double_right, i, in->imm)
STAMP_DOUBLES(shrd, double_right, cl, v->state.reg[REG_RCX])

static bool exec_rorx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned n = shift_count(x->val[2], in->width);
    const u64 a = x->val[1];

    (void)v;
    x->val[0] = n == 0 ? a : a >> n | a << (8 * in->width - n);
    return true;
}

static bool exec_sarx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned n = shift_count(x->val[2], in->width);

    (void)v;
    x->val[0] = (u64)((i64)sign_extend(x->val[1], in->width) >> n);
    return true;
}

static bool exec_shlx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->val[1] << shift_count(x->val[2], in->width);
    return true;
}

static bool exec_shrx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->val[1] >> shift_count(x->val[2], in->width);
    return true;
}

/* clang-format off */
#define ROTATE .flags_written = FLAG_CF | FLAG_OF, .flags_undefined = FLAG_OF
#define ROTATE_1 .flags_written = FLAG_CF | FLAG_OF
#define ROTATE_C .flags_read = FLAG_CF, ROTATE
#define ROTATE_C_1 .flags_read = FLAG_CF, ROTATE_1
#define SHIFT .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_AF | FLAG_OF
#define SHIFT_1 .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_AF
#define SHIFT_ROWS(op, flags, digit) \
    {#op, "c0 " digit, "+Eb,Ib", exec_##op, 0, flags, .stamp = stamp_##op##_E_I}, \
    {#op, "c1 " digit, "+Ev,Ib", exec_##op, 0, flags, .stamp = stamp_##op##_E_I}, \
    {#op, "d0 " digit, "+Eb,1", exec_##op, 0, flags##_1, .stamp = stamp_##op##_E_1}, \
    {#op, "d1 " digit, "+Ev,1", exec_##op, 0, flags##_1, .stamp = stamp_##op##_E_1}, \
    {#op, "d2 " digit, "+Eb,CL", exec_##op, 0, flags, .stamp = stamp_##op##_E_CL}, \
    {#op, "d3 " digit, "+Ev,CL", exec_##op, 0, flags, .stamp = stamp_##op##_E_CL}

const struct insn_def isa_shift[] = {
    SHIFT_ROWS(rol, ROTATE, "/0"),
    SHIFT_ROWS(ror, ROTATE, "/1"),
    SHIFT_ROWS(rcl, ROTATE_C, "/2"),
    SHIFT_ROWS(rcr, ROTATE_C, "/3"),
    SHIFT_ROWS(shl, SHIFT, "/4"),
    SHIFT_ROWS(shr, SHIFT, "/5"),
    SHIFT_ROWS(shl, SHIFT, "/6"), /* alias of /4, spelled SAL */
    SHIFT_ROWS(sar, SHIFT, "/7"),
    {"shld", "0f a4 /r", "+Ev,Gv,Ib", exec_shld, 0, SHIFT, .stamp = stamp_shld_i},
    {"shld", "0f a5 /r", "+Ev,Gv,CL", exec_shld, 0, SHIFT, .stamp = stamp_shld_cl},
    {"shrd", "0f ac /r", "+Ev,Gv,Ib", exec_shrd, 0, SHIFT, .stamp = stamp_shrd_i},
    {"shrd", "0f ad /r", "+Ev,Gv,CL", exec_shrd, 0, SHIFT, .stamp = stamp_shrd_cl},
    {"rorx", "vex.lz.f2.0f3a.wig f0 /r", "=Gy,Ey,Ib", exec_rorx, PROT, .feature = F_BMI2},
    {"sarx", "vex.lz.f3.0f38.wig f7 /r", "=Gy,Ey,By", exec_sarx, PROT, .feature = F_BMI2},
    {"shlx", "vex.lz.66.0f38.wig f7 /r", "=Gy,Ey,By", exec_shlx, PROT, .feature = F_BMI2},
    {"shrx", "vex.lz.f2.0f38.wig f7 /r", "=Gy,Ey,By", exec_shrx, PROT, .feature = F_BMI2},
    {0},
};
/* clang-format on */
