/* SPDX-License-Identifier: MIT */
/*
 * MUL, IMUL, DIV, IDIV and the sign extensions of the accumulator: SDM Vol 2, by mnemonic.
 * Undefined flags: after a multiplication SF, ZF and PF are those of the low half of the product
 * and AF is clear; a division changes no flag.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

/* Low half of the signed product. CF and OF: it does not fit. */
static ALWAYS_INLINE u64 sem_imul(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const i64 x = (i64)sign_extend(a, w);
    const i64 y = (i64)sign_extend(b, w);
    i64 product;
    bool overflow = __builtin_mul_overflow(x, y, &product);

    if (w < 8)
        overflow = (i64)sign_extend((u64)product, w) != product;
    flags_result_cf_of(v, (u64)product, w, overflow, overflow);
    return (u64)product;
}

static bool exec_imul2(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = sem_imul(v, x->val[0], x->val[1], in->width);
    return true;
}

static bool exec_imul3(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = sem_imul(v, x->val[1], x->val[2], in->width);
    return true;
}

STAMP_G_E(imul, sem_imul, 1)
STAMP_G_E_I(imul, sem_imul)

/* AX = AL * E */
static bool exec_mul_byte(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 product = x->val[1] * x->val[2];

    (void)in;
    flags_result_cf_of(v, product, 1, product > 0xff, product > 0xff);
    x->val[0] = product;
    return true;
}

static bool exec_imul_byte(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const i32 product = (i8)x->val[1] * (i8)x->val[2];
    const bool overflow = product != (i8)product;

    (void)in;
    flags_result_cf_of(v, (u64)product, 1, overflow, overflow);
    x->val[0] = (u64)product;
    return true;
}

/* rDX:rAX = rAX * E */
static ALWAYS_INLINE void multiply(struct vcpu *v, u64 e, unsigned w, bool is_signed)
{
    const u64 a = reg_read(v, REG_RAX, w);
    const u128 product =
        is_signed ? (u128)((i128)(i64)sign_extend(a, w) * (i64)sign_extend(e, w)) : (u128)a * e;
    const u64 low = (u64)product & width_mask(w);
    const u64 high = (u64)(product >> (8 * w)) & width_mask(w);
    const u64 fill = is_signed ? (u64)((i64)sign_extend(low, w) >> 63) & width_mask(w) : 0;

    reg_write(v, REG_RAX, w, low);
    reg_write(v, REG_RDX, w, high);
    flags_result_cf_of(v, low, w, high != fill, high != fill);
}

static bool exec_mul(struct vcpu *v, const struct insn *in, struct operands *x)
{
    multiply(v, x->val[2], in->width, false);
    x->val[0] = reg_read(v, REG_RDX, in->width);
    x->val[1] = reg_read(v, REG_RAX, in->width);
    return true;
}

static bool exec_imul(struct vcpu *v, const struct insn *in, struct operands *x)
{
    multiply(v, x->val[2], in->width, true);
    x->val[0] = reg_read(v, REG_RDX, in->width);
    x->val[1] = reg_read(v, REG_RAX, in->width);
    return true;
}

/* AL, AH = AX divided by E */
static bool exec_div_byte(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 dividend = (u32)x->val[0];
    const u32 divisor = (u32)x->val[1];

    (void)in;
    if (divisor == 0 || dividend / divisor > 0xff)
        return raise_fault(v, VEC_DE);
    x->val[0] = dividend / divisor | (dividend % divisor) << 8;
    return true;
}

static bool exec_idiv_byte(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const i32 dividend = (i16)x->val[0];
    const i32 divisor = (i8)x->val[1];

    (void)in;
    if (divisor == 0 || dividend / divisor != (i8)(dividend / divisor))
        return raise_fault(v, VEC_DE);
    x->val[0] = (u8)(dividend / divisor) | (u64)(u8)(dividend % divisor) << 8;
    return true;
}

/* rAX, rDX = rDX:rAX divided by E; false: the quotient does not exist or does not fit. */
static ALWAYS_INLINE bool divide(struct vcpu *v, u64 divisor, unsigned w)
{
    const u64 high = reg_read(v, REG_RDX, w);
    const u64 low = reg_read(v, REG_RAX, w);

    if (high >= divisor) /* also if the divisor is 0 */
        return false;
    if (w < 8 || high == 0) {
        const u64 dividend = w == 8 ? low : high << (8 * w % 64) | low;

        reg_write(v, REG_RAX, w, dividend / divisor);
        reg_write(v, REG_RDX, w, dividend % divisor);
    } else {
        const u128 dividend = (u128)high << 64 | low;

        v->state.reg[REG_RAX] = (u64)(dividend / divisor);
        v->state.reg[REG_RDX] = (u64)(dividend % divisor);
    }
    return true;
}

/* By magnitudes, so that no host division overflows. The remainder has the dividend's sign. */
static ALWAYS_INLINE bool divide_signed(struct vcpu *v, u64 e, unsigned w)
{
    const i64 divisor = (i64)sign_extend(e, w);
    const u128 limit = (u128)1 << (8 * w - 1);
    const u128 raw = w == 8 ? (u128)v->state.reg[REG_RDX] << 64 | v->state.reg[REG_RAX]
                            : (u128)(i128)(i64)sign_extend(reg_read(v, REG_RDX, w) << (8 * w % 64) |
                                                               reg_read(v, REG_RAX, w),
                                                           2 * w > 8 ? 8 : 2 * w);
    const bool negative = (i128)raw < 0;
    const u128 magnitude = negative ? 0 - raw : raw;
    const u64 by = divisor < 0 ? 0 - (u64)divisor : (u64)divisor;
    const bool negative_quotient = negative != (divisor < 0);
    u128 quotient, remainder;

    if (by == 0)
        return false;
    if ((u64)(magnitude >> 64) == 0) {
        quotient = (u64)magnitude / by;
        remainder = (u64)magnitude % by;
    } else {
        quotient = magnitude / by;
        remainder = magnitude % by;
    }
    if (quotient > (negative_quotient ? limit : limit - 1))
        return false;
    reg_write(v, REG_RAX, w, (u64)(negative_quotient ? 0 - quotient : quotient));
    reg_write(v, REG_RDX, w, (u64)(negative ? 0 - remainder : remainder));
    return true;
}

static bool exec_div(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!divide(v, x->val[2], in->width))
        return raise_fault(v, VEC_DE);
    x->val[0] = reg_read(v, REG_RDX, in->width);
    x->val[1] = reg_read(v, REG_RAX, in->width);
    return true;
}

static bool exec_idiv(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!divide_signed(v, x->val[2], in->width))
        return raise_fault(v, VEC_DE);
    x->val[0] = reg_read(v, REG_RDX, in->width);
    x->val[1] = reg_read(v, REG_RAX, in->width);
    return true;
}

/* Stamped: register operands of 4 and 8 bytes. What would raise #DE takes the generic path. */
#define STAMP_MULDIV_(op, w, statement)                                                            \
    STAMP_FN(run_##op##w)                                                                          \
    {                                                                                              \
        const u64 e = reg_read(v, in->rm, w);                                                      \
        enum { width = w };                                                                        \
        statement;                                                                                 \
        NEXT(v, in);                                                                               \
    }
#define STAMP_MULDIV(op, statement)                                                                \
    STAMP_MULDIV_(op, 4, statement)                                                                \
    STAMP_MULDIV_(op, 8, statement)                                                                \
    static insn_run stamp_##op(const struct insn *in, u32 mode)                                    \
    {                                                                                              \
        (void)mode;                                                                                \
        if ((in->prefix & PREFIX_MEM) != 0 || in->width == 2)                                      \
            return NULL;                                                                           \
        return in->width == 8 ? run_##op##8 : run_##op##4;                                         \
    }
#define OR_GENERIC(divided)                                                                        \
    if (unlikely(!(divided)))                                                                      \
    GENERIC(v, in)

STAMP_MULDIV(mul, multiply(v, e, width, false))
STAMP_MULDIV(imul, multiply(v, e, width, true))
STAMP_MULDIV(div, OR_GENERIC(divide(v, e, width)))
STAMP_MULDIV(idiv, OR_GENERIC(divide_signed(v, e, width)))

/* CBW, CWDE, CDQE: the lower half of rAX into all of it. */
static bool exec_cbw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = sign_extend(x->val[0], in->width / 2u);
    return true;
}

/* CWD, CDQ, CQO: the sign of rAX into rDX. */
static bool exec_cwd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = (u64)((i64)sign_extend(x->val[1], in->width) >> 63);
    return true;
}

#define STAMP_SIGN_(w)                                                                             \
    STAMP_FN(run_cbw##w)                                                                           \
    {                                                                                              \
        reg_write(v, REG_RAX, w, sign_extend(v->state.reg[REG_RAX], (w) / 2));                     \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_cwd##w)                                                                           \
    {                                                                                              \
        const i64 a = (i64)sign_extend(v->state.reg[REG_RAX], w);                                  \
        reg_write(v, REG_RDX, w, (u64)(a >> 63));                                                  \
        NEXT(v, in);                                                                               \
    }
STAMP_SIGN_(2)
STAMP_SIGN_(4)
STAMP_SIGN_(8)

static insn_run stamp_cbw(const struct insn *in, u32 mode)
{
    static const insn_run table[4] = {NULL, run_cbw2, run_cbw4, run_cbw8};

    (void)mode;
    return table[stamp_width(in)];
}

static insn_run stamp_cwd(const struct insn *in, u32 mode)
{
    static const insn_run table[4] = {NULL, run_cwd2, run_cwd4, run_cwd8};

    (void)mode;
    return table[stamp_width(in)];
}

/* clang-format off */
#define MULTIPLY .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF
#define DIVIDE .flags_undefined = FLAGS_ARITH

const struct insn_def isa_mul[] = {
    {"mul", "f6 /4", "=AX,AL,Eb", exec_mul_byte, 0, MULTIPLY},
    {"mul", "f7 /4", "=rDX,+rAX,Ev", exec_mul, 0, MULTIPLY, .stamp = stamp_mul},
    {"imul", "f6 /5", "=AX,AL,Eb", exec_imul_byte, 0, MULTIPLY},
    {"imul", "f7 /5", "=rDX,+rAX,Ev", exec_imul, 0, MULTIPLY, .stamp = stamp_imul},
    {"imul", "0f af /r", "+Gv,Ev", exec_imul2, 0, MULTIPLY, .stamp = stamp_imul_G_E},
    {"imul", "69 /r", "=Gv,Ev,Iz", exec_imul3, 0, MULTIPLY, .stamp = stamp_imul_G_E_I},
    {"imul", "6b /r", "=Gv,Ev,Is", exec_imul3, 0, MULTIPLY, .stamp = stamp_imul_G_E_I},
    {"div", "f6 /6", "+AX,Eb", exec_div_byte, 0, DIVIDE},
    {"div", "f7 /6", "+rDX,+rAX,Ev", exec_div, 0, DIVIDE, .stamp = stamp_div},
    {"idiv", "f6 /7", "+AX,Eb", exec_idiv_byte, 0, DIVIDE},
    {"idiv", "f7 /7", "+rDX,+rAX,Ev", exec_idiv, 0, DIVIDE, .stamp = stamp_idiv},
    {"cbw", "98", "+rAX", exec_cbw, .stamp = stamp_cbw},
    {"cwd", "99", "=rDX,rAX", exec_cwd, .stamp = stamp_cwd},
    {0},
};
/* clang-format on */
