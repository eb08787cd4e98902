/* SPDX-License-Identifier: MIT */
/* F2XM1, FYL2X and FYL2XP1: SDM Vol 2A, by mnemonic. Exact results do not raise PE. */
#include "cpu/fp/wide.h"

/* clang-format off */
/* 1/1!, 1/2!, 1/3! ... as fractions of 2^127. */
static const u128 exponential_series[] = {
    U128(0x8000000000000000, 0x0000000000000000),
    U128(0x4000000000000000, 0x0000000000000000),
    U128(0x1555555555555555, 0x5555555555555555),
    U128(0x0555555555555555, 0x5555555555555555),
    U128(0x0111111111111111, 0x1111111111111111),
    U128(0x002d82d82d82d82d, 0x82d82d82d82d82d8),
    U128(0x0006806806806806, 0x8068068068068068),
    U128(0x0000d00d00d00d00, 0xd00d00d00d00d00d),
    U128(0x0000171de3a556c7, 0x338faac1c88e5001),
    U128(0x0000024fc9f6ef13, 0xeb8e5de02da7d4cc),
    U128(0x00000035cc8acfea, 0x89c71fce8fc9706f),
    U128(0x000000047bb63bfe, 0x3625ed5136a61eb3),
    U128(0x000000005849184e, 0xa1b425f28e0cc748),
    U128(0x00000000064e5d2a, 0x301f27482eb7c517),
    U128(0x00000000006b9fcf, 0x9ccee07c476195ac),
    U128(0x000000000006b9fc, 0xf9ccee07c476195a),
    U128(0x000000000000654b, 0x1dc0c2b529ac9814),
    U128(0x00000000000005a0, 0x9e18ee5f65deec01),
    U128(0x000000000000004b, 0xd26d1a05055c9328),
    U128(0x0000000000000003, 0xca8574804044a0f5),
    U128(0x0000000000000000, 0x2e371dedb9eae317),
    U128(0x0000000000000000, 0x0219c72db6ff0a52),
    U128(0x0000000000000000, 0x001761b413163819),
    U128(0x0000000000000000, 0x0000f96780cb97ab),
    U128(0x0000000000000000, 0x000009f9e66e8b2f),
    U128(0x0000000000000000, 0x000000623a17f1a9),
    U128(0x0000000000000000, 0x00000003a356385b),
};

/* 1, 1/3, 1/5 ... as fractions of 2^127. */
static const u128 logarithm_series[] = {
    U128(0x8000000000000000, 0x0000000000000000),
    U128(0x2aaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa),
    U128(0x1999999999999999, 0x9999999999999999),
    U128(0x1249249249249249, 0x2492492492492492),
    U128(0x0e38e38e38e38e38, 0xe38e38e38e38e38e),
    U128(0x0ba2e8ba2e8ba2e8, 0xba2e8ba2e8ba2e8b),
    U128(0x09d89d89d89d89d8, 0x9d89d89d89d89d89),
    U128(0x0888888888888888, 0x8888888888888888),
    U128(0x0787878787878787, 0x8787878787878787),
    U128(0x06bca1af286bca1a, 0xf286bca1af286bca),
    U128(0x0618618618618618, 0x6186186186186186),
    U128(0x0590b21642c8590b, 0x21642c8590b21642),
    U128(0x051eb851eb851eb8, 0x51eb851eb851eb85),
    U128(0x04bda12f684bda12, 0xf684bda12f684bda),
    U128(0x0469ee58469ee584, 0x69ee58469ee58469),
    U128(0x0421084210842108, 0x4210842108421084),
    U128(0x03e0f83e0f83e0f8, 0x3e0f83e0f83e0f83),
    U128(0x03a83a83a83a83a8, 0x3a83a83a83a83a83),
    U128(0x03759f22983759f2, 0x2983759f22983759),
    U128(0x0348348348348348, 0x3483483483483483),
    U128(0x031f3831f3831f38, 0x31f3831f3831f383),
    U128(0x02fa0be82fa0be82, 0xfa0be82fa0be82fa),
};
/* clang-format on */

#define WIDE_LN2 WIDE(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af, -1)
#define WIDE_TWO_OVER_LN2 WIDE(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88, 1)
#define SQRT2_SIG 0xb504f333f9de6484ull

/* Outside -1..1 the manual leaves the result open: the operand stays. */
struct f80 fp80_f2xm1(struct f80 a, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    struct wide t;
    u128 series;
    u32 shift;

    if (ext_is_nan(&p))
        return fp80_propagate(a, env);
    if (p.class == FP_CLASS_INF)
        return p.sign ? ext_make(true, F80_BIAS, F80_INTEGER_BIT) : a;
    if (p.denormal)
        env->flags |= FP_DE;
    if (p.class == FP_CLASS_ZERO || p.exp > F80_BIAS)
        return a;
    if (p.exp == F80_BIAS) {
        if (p.sig == F80_INTEGER_BIT && p.sign)
            return ext_make(true, F80_BIAS - 1, F80_INTEGER_BIT);
        return a;
    }
    /* e^t - 1 = t * (1 + t/2! + t^2/3! ...) */
    t = wide_mul(wide_from_ext(&p), WIDE_LN2);
    series =
        p.sign ? wide_series_alternating(exponential_series, ARRAY_SIZE(exponential_series),
                                         wide_fraction(t))
               : wide_series(exponential_series, ARRAY_SIZE(exponential_series), wide_fraction(t));
    shift = leading_zeros128(series);
    t = wide_mul(t, (struct wide){.sig = series << shift, .exp = -(i32)shift});
    return wide_round(t, env);
}

/* log2((1 + s) / (1 - s)) for |s| up to 0.172: 2 / ln 2 * atanh(s). */
static struct wide log2_of_ratio(struct wide s)
{
    const u128 series = wide_series(logarithm_series, ARRAY_SIZE(logarithm_series), wide_square(s));
    const u32 shift = leading_zeros128(series);

    return wide_mul(wide_mul(s, WIDE_TWO_OVER_LN2),
                    (struct wide){.sig = series << shift, .exp = -(i32)shift});
}

static struct wide wide_from_int(i32 value)
{
    const u32 magnitude = value < 0 ? -(u32)value : (u32)value;
    struct wide r = {0};

    if (value) {
        const i32 shift = __builtin_clz(magnitude);

        r = (struct wide){.sig = (u128)magnitude << (96 + shift),
                          .exp = 31 - shift,
                          .sign = value < 0};
    }
    return r;
}

/* log2 of a positive number; the integer is all of it if the number is a power of 2. */
static struct wide log2_of(struct wide x)
{
    i32 whole = x.exp;

    x.exp = 0;
    x.sign = false;
    if (x.sig == WIDE_ONE.sig)
        return wide_from_int(whole);
    if ((u64)(x.sig >> 64) >= SQRT2_SIG) {
        x.exp = -1;
        whole++;
    }
    return wide_add(wide_from_int(whole), log2_of_ratio(wide_div(wide_add(x, wide_negate(WIDE_ONE)),
                                                                 wide_add(x, WIDE_ONE))));
}

/* y * logarithm where one of them is zero or infinite (log_inf); log_sign is the logarithm's sign.
 */
static struct f80 log_product_special(const struct ext_parts *y, bool log_zero, bool log_inf,
                                      bool log_sign, struct fp_env *env)
{
    const bool sign = y->sign ^ log_sign;

    if ((log_zero && y->class == FP_CLASS_INF) || (log_inf && y->class == FP_CLASS_ZERO))
        return ext_invalid(env);
    if (y->denormal)
        env->flags |= FP_DE;
    return log_inf || y->class == FP_CLASS_INF ? ext_inf(sign) : ext_zero(sign);
}

/* log2(0): minus infinity, and a division by zero unless y is infinite anyway. */
static struct f80 log_of_zero(const struct ext_parts *y, struct fp_env *env)
{
    if (y->class == FP_CLASS_ZERO)
        return ext_invalid(env);
    if (y->class == FP_CLASS_FINITE)
        env->flags |= FP_ZE;
    return ext_inf(!y->sign);
}

struct f80 fp80_fyl2x(struct f80 x, struct f80 y, struct fp_env *env)
{
    const struct ext_parts px = ext_unpack(x);
    const struct ext_parts py = ext_unpack(y);
    const bool is_one = px.exp == F80_BIAS && px.sig == F80_INTEGER_BIT;
    const bool below_one = px.exp < F80_BIAS;
    struct wide result;

    if (ext_is_nan(&px) || ext_is_nan(&py))
        return fp80_propagate2(x, y, env);
    if (px.class == FP_CLASS_ZERO)
        return log_of_zero(&py, env);
    if (px.sign)
        return ext_invalid(env);
    if (px.class == FP_CLASS_INF || is_one || py.class != FP_CLASS_FINITE) {
        if (px.denormal && (py.class == FP_CLASS_ZERO || py.class == FP_CLASS_INF))
            env->flags |= FP_DE;
        return log_product_special(&py, is_one, px.class == FP_CLASS_INF, below_one, env);
    }
    if (px.denormal | py.denormal)
        env->flags |= FP_DE;
    result = wide_mul(log2_of(wide_from_ext(&px)), wide_from_ext(&py));
    if (px.sig == F80_INTEGER_BIT) /* an integer times y: at most 79 bits, exact */
        return ext_round(result.sign, result.exp + F80_BIAS, result.sig, FP_PREC_64, env);
    return wide_round(result, env);
}

/* Beyond 1 - sqrt(1/2) the manual leaves the result open: the logarithm goes on being right. */
struct f80 fp80_fyl2xp1(struct f80 x, struct f80 y, struct fp_env *env)
{
    const struct ext_parts px = ext_unpack(x);
    const struct ext_parts py = ext_unpack(y);
    struct wide wx = wide_from_ext(&px);
    struct wide log;

    if (ext_is_nan(&px) || ext_is_nan(&py))
        return fp80_propagate2(x, y, env);
    if (px.sign && px.exp >= F80_BIAS) {
        if (px.exp > F80_BIAS || px.sig != F80_INTEGER_BIT)
            return ext_invalid(env);
        return log_of_zero(&py, env);
    }
    if (px.class != FP_CLASS_FINITE || py.class != FP_CLASS_FINITE) {
        if (px.denormal && py.class != FP_CLASS_FINITE)
            env->flags |= FP_DE;
        return log_product_special(&py, px.class == FP_CLASS_ZERO, px.class == FP_CLASS_INF,
                                   px.sign, env);
    }
    if (px.denormal | py.denormal)
        env->flags |= FP_DE;
    if (px.exp < F80_BIAS - 2)
        log = log2_of_ratio(wide_div(wx, wide_add(wx, WIDE(0x8000000000000000, 0, 1))));
    else
        log = log2_of(wide_add(wx, WIDE_ONE));
    return wide_round(wide_mul(log, wide_from_ext(&py)), env);
}
