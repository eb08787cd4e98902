/* SPDX-License-Identifier: MIT */
/* The kernels against MPFR: basic operations in every format, rounding and precision mode, and the
 * transcendental functions, which turn out to be correctly rounded. */
#include "tests/effort.h"
#include "tests/fp/values.h"
#include "tests/run_suite.h"

#include <check.h>
#include <mpfr.h>

enum { ROUNDS = EFFORT(12000), TRANSCENDENTAL_ROUNDS = EFFORT(4000) };

/* How MPFR sees a format: significands are in [0.5, 1). */
struct format {
    mpfr_prec_t precision;
    mpfr_exp_t emin, emax;
};

static const struct format format32 = {24, -148, 128};
static const struct format format64 = {53, -1073, 1024};
/* By precision control; the exponent range stays. */
static const struct format format80[4] = {{24, -16404, 16384},
                                          {64, -16444, 16384},
                                          {53, -16433, 16384},
                                          {64, -16444, 16384}};

static mpfr_rnd_t mpfr_mode(u8 rounding)
{
    static const mpfr_rnd_t modes[] = {MPFR_RNDN, MPFR_RNDD, MPFR_RNDU, MPFR_RNDZ};

    return modes[rounding];
}

/* Finite values only. */
static void set_parts(mpfr_t to, bool sign, u64 sig, i64 exponent)
{
    mpfr_set_ui_2exp(to, sig, exponent, MPFR_RNDN);
    if (sign)
        mpfr_neg(to, to, MPFR_RNDN);
}

static bool finite_ieee(u64 a, u32 frac, u32 emax)
{
    return (a >> frac & emax) != emax;
}

static void set_ieee(mpfr_t to, u64 a, u32 frac, u32 emax)
{
    const u64 exponent = a >> frac & emax;
    const u64 fraction = a & (BIT(frac) - 1);

    set_parts(to, a >> frac > emax, exponent ? fraction | BIT(frac) : fraction,
              (i64)(exponent ? exponent : 1) - (i64)(emax / 2) - (i64)frac);
}

static void set_f80(mpfr_t to, struct f80 a)
{
    const i64 exponent = a.se & 0x7fff;

    set_parts(to, a.se >> 15, a.mant, (exponent ? exponent : 1) - 0x3fff - 63);
}

static bool finite_f80(struct f80 a)
{
    return (a.se & 0x7fff) != 0x7fff;
}

enum operation { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_SQRT, OP_FMA, OP_COUNT };

/* The exact result rounded once to the format; returns false where there is none (0/0, sqrt(-1)).
 */
static bool reference(enum operation op, mpfr_t r, mpfr_t v[3], const struct format *f, u8 rounding,
                      bool *inexact)
{
    const mpfr_rnd_t mode = mpfr_mode(rounding);
    int t = 0;

    mpfr_set_emin(f->emin);
    mpfr_set_emax(f->emax);
    switch (op) {
    case OP_ADD: t = mpfr_add(r, v[0], v[1], mode); break;
    case OP_SUB: t = mpfr_sub(r, v[0], v[1], mode); break;
    case OP_MUL: t = mpfr_mul(r, v[0], v[1], mode); break;
    case OP_DIV: t = mpfr_div(r, v[0], v[1], mode); break;
    case OP_SQRT: t = mpfr_sqrt(r, v[0], mode); break;
    default: t = mpfr_fma(r, v[0], v[1], v[2], mode); break;
    }
    t = mpfr_subnormalize(r, t, mode);
    mpfr_set_emin(-100000);
    mpfr_set_emax(100000);
    *inexact = t != 0;
    return !mpfr_nan_p(r);
}

static void check_result(mpfr_t expected, mpfr_t ours, bool ours_inf, bool ours_sign, bool inexact,
                         const struct fp_env *env, enum operation op)
{
    if (ours_inf)
        ck_assert_msg(mpfr_inf_p(expected), "operation %d: infinity", op);
    else
        ck_assert_msg(mpfr_equal_p(expected, ours), "operation %d: another value", op);
    ck_assert_int_eq(mpfr_signbit(expected) != 0, ours_sign);
    ck_assert_msg(inexact == ((env->flags & FP_PE) != 0), "operation %d: PE", op);
}

static u64 run64(enum operation op, const u64 v[3], struct fp_env *env)
{
    switch (op) {
    case OP_ADD: return fp64_add(v[0], v[1], env);
    case OP_SUB: return fp64_sub(v[0], v[1], env);
    case OP_MUL: return fp64_mul(v[0], v[1], env);
    case OP_DIV: return fp64_div(v[0], v[1], env);
    case OP_SQRT: return fp64_sqrt(v[0], env);
    default: return fp64_fma(v[0], v[1], v[2], 0, env);
    }
}

static u64 run32(enum operation op, const u64 v[3], struct fp_env *env)
{
    const u32 a = (u32)v[0], b = (u32)v[1], c = (u32)v[2];

    switch (op) {
    case OP_ADD: return fp32_add(a, b, env);
    case OP_SUB: return fp32_sub(a, b, env);
    case OP_MUL: return fp32_mul(a, b, env);
    case OP_DIV: return fp32_div(a, b, env);
    case OP_SQRT: return fp32_sqrt(a, env);
    default: return fp32_fma(a, b, c, 0, env);
    }
}

static struct f80 run80(enum operation op, const struct f80 v[2], struct fp_env *env)
{
    switch (op) {
    case OP_ADD: return fp80_add(v[0], v[1], env);
    case OP_SUB: return fp80_sub(v[0], v[1], env);
    case OP_MUL: return fp80_mul(v[0], v[1], env);
    case OP_DIV: return fp80_div(v[0], v[1], env);
    default: return fp80_sqrt(v[0], env);
    }
}

static void check_ieee(u32 frac, u32 emax, const struct format *f,
                       u64 (*run)(enum operation, const u64 *, struct fp_env *))
{
    mpfr_t v[3], r, ours;

    for (u32 i = 0; i < 3; i++)
        mpfr_init2(v[i], f->precision);
    mpfr_inits2(f->precision, r, ours, (mpfr_ptr)0);
    for (u32 i = 0; i < ROUNDS * OP_COUNT; i++) {
        const enum operation op = i % OP_COUNT;
        struct fp_env env = {.rounding = (u8)random_below(4), .masks = FP_ALL};
        u64 bits[3], result;
        bool inexact;

        for (u32 k = 0; k < 3; k++) {
            do
                bits[k] = random_ieee(frac, emax);
            while (!finite_ieee(bits[k], frac, emax));
            set_ieee(v[k], bits[k], frac, emax);
        }
        if (!reference(op, r, v, f, env.rounding, &inexact))
            continue;
        result = run(op, bits, &env);
        if (finite_ieee(result, frac, emax))
            set_ieee(ours, result, frac, emax);
        check_result(r, ours, !finite_ieee(result, frac, emax), result >> frac > emax, inexact,
                     &env, op);
    }
    for (u32 i = 0; i < 3; i++)
        mpfr_clear(v[i]);
    mpfr_clears(r, ours, (mpfr_ptr)0);
}

START_TEST(binary32_results_are_the_exact_ones_rounded_once)
{
    check_ieee(23, 0xff, &format32, run32);
}
END_TEST

START_TEST(binary64_results_are_the_exact_ones_rounded_once)
{
    check_ieee(52, 0x7ff, &format64, run64);
}
END_TEST

START_TEST(extended_results_are_the_exact_ones_rounded_once_to_the_precision)
{
    static const u8 precisions[] = {FP_PREC_24, FP_PREC_53, FP_PREC_64};
    mpfr_t v[3], ours;

    for (u32 i = 0; i < 3; i++)
        mpfr_init2(v[i], 64);
    mpfr_init2(ours, 64);
    for (u32 i = 0; i < ROUNDS * OP_FMA; i++) {
        const enum operation op = i % OP_FMA;
        struct fp_env env = {.rounding = (u8)random_below(4), .masks = FP_ALL};
        struct f80 in[2], result;
        bool inexact;
        mpfr_t r;

        env.precision = precisions[random_below(3)];
        mpfr_init2(r, format80[env.precision].precision);
        for (u32 k = 0; k < 2; k++) {
            do
                in[k] = random_f80(false);
            while (!finite_f80(in[k]));
            /* MPFR takes no operands below the reduced format's own denormals. */
            if (env.precision != FP_PREC_64 && !(in[k].se & 0x7fff))
                in[k].mant = 0;
            set_f80(v[k], in[k]);
        }
        if (reference(op, r, v, &format80[env.precision], env.rounding, &inexact)) {
            result = run80(op, in, &env);
            if (finite_f80(result))
                set_f80(ours, result);
            check_result(r, ours, !finite_f80(result), result.se >> 15, inexact, &env, op);
        }
        mpfr_clear(r);
    }
    for (u32 i = 0; i < 3; i++)
        mpfr_clear(v[i]);
    mpfr_clear(ours);
}
END_TEST

/* ---- transcendental functions ---- */

enum function { FN_SIN, FN_COS, FN_TAN, FN_ATAN, FN_2XM1, FN_YL2X, FN_YL2XP1 };

static struct f80 operand(i32 low, i32 high, bool negative_too)
{
    struct f80 r = {.mant = random_significand() | BIT(63)};

    r.se = (u16)(0x3fff + low + (i32)random_below((u64)(high - low + 1)));
    if (negative_too)
        r.se |= (u16)(random64() & 0x8000);
    return r;
}

static struct f80 run_function(enum function fn, struct f80 x, struct f80 y, struct fp_env *env)
{
    struct f80 r = {0};
    bool in_range = true;

    switch (fn) {
    case FN_SIN: in_range = fp80_sincos(x, &r, NULL, env); break;
    case FN_COS: in_range = fp80_sincos(x, NULL, &r, env); break;
    case FN_TAN: in_range = fp80_tan(x, &r, env); break;
    case FN_ATAN: r = fp80_fpatan(y, x, env); break;
    case FN_2XM1: r = fp80_f2xm1(x, env); break;
    case FN_YL2X: r = fp80_fyl2x(x, y, env); break;
    case FN_YL2XP1: r = fp80_fyl2xp1(x, y, env); break;
    }
    ck_assert(in_range);
    return r;
}

static void exact_function(enum function fn, mpfr_t r, mpfr_t x, mpfr_t y, mpfr_rnd_t mode)
{
    mpfr_t t, ln2;

    mpfr_inits2(320, t, ln2, (mpfr_ptr)0);
    mpfr_const_log2(ln2, MPFR_RNDN);
    switch (fn) {
    case FN_SIN: mpfr_sin(r, x, mode); break;
    case FN_COS: mpfr_cos(r, x, mode); break;
    case FN_TAN: mpfr_tan(r, x, mode); break;
    case FN_ATAN: mpfr_atan2(r, y, x, mode); break;
    case FN_2XM1:
        mpfr_mul(t, x, ln2, MPFR_RNDN);
        mpfr_expm1(t, t, MPFR_RNDN);
        mpfr_set(r, t, mode);
        break;
    case FN_YL2X:
        mpfr_log2(t, x, MPFR_RNDN);
        mpfr_mul(r, t, y, mode);
        break;
    case FN_YL2XP1:
        mpfr_log1p(t, x, MPFR_RNDN);
        mpfr_div(t, t, ln2, MPFR_RNDN);
        mpfr_mul(r, t, y, mode);
        break;
    }
    mpfr_clears(t, ln2, (mpfr_ptr)0);
}

static void check_function(enum function fn, i32 low, i32 high, i32 y_low, i32 y_high)
{
    mpfr_t x, y, r, ours;

    mpfr_inits2(64, x, y, r, ours, (mpfr_ptr)0);
    for (u32 i = 0; i < TRANSCENDENTAL_ROUNDS; i++) {
        struct fp_env env = {.rounding = (u8)random_below(4), .precision = FP_PREC_24};
        const struct f80 fx = operand(low, high, fn != FN_YL2X);
        const struct f80 fy = operand(y_low, y_high, true);
        struct f80 result;

        env.masks = FP_ALL;
        set_f80(x, fx);
        set_f80(y, fy);
        exact_function(fn, r, x, y, mpfr_mode(env.rounding));
        if (mpfr_get_exp(r) < -16381)
            continue;
        result = run_function(fn, fx, fy, &env);
        set_f80(ours, result);
        ck_assert_msg(mpfr_equal_p(r, ours), "function %d of %04x.%016lx %04x.%016lx mode %d", fn,
                      fx.se, fx.mant, fy.se, fy.mant, env.rounding);
    }
    mpfr_clears(x, y, r, ours, (mpfr_ptr)0);
}

START_TEST(trigonometric_functions_are_correctly_rounded_over_their_range)
{
    for (enum function fn = FN_SIN; fn <= FN_TAN; fn++) {
        check_function(fn, -4, 3, 0, 0);
        check_function(fn, -80, 62, 0, 0);
    }
    check_function(FN_SIN, -16382, -60, 0, 0);
}
END_TEST

/* The extended values nearest to multiples of pi/2 lose the most in the reduction. */
START_TEST(sine_near_multiples_of_pi_is_correctly_rounded)
{
    mpfr_t pi, x, r, ours;

    mpfr_init2(pi, 300);
    mpfr_inits2(64, x, r, ours, (mpfr_ptr)0);
    mpfr_const_pi(pi, MPFR_RNDN);
    for (u32 i = 0; i < TRANSCENDENTAL_ROUNDS; i++) {
        struct fp_env env = {.rounding = FP_NEAREST, .masks = FP_ALL};
        struct f80 fx, result;
        mpfr_exp_t exponent;
        mpz_t sig;

        mpfr_mul_ui(x, pi, 1 + (random64() >> (2 + random_below(62))), MPFR_RNDN);
        mpz_init(sig);
        exponent = mpfr_get_z_2exp(sig, x);
        fx = (struct f80){.mant = mpz_get_ui(sig), .se = (u16)(exponent + 63 + 0x3fff)};
        mpz_clear(sig);
        if (fx.se >= 0x3fff + 63)
            continue;
        mpfr_sin(r, x, MPFR_RNDN);
        ck_assert(fp80_sincos(fx, &result, NULL, &env));
        set_f80(ours, result);
        ck_assert_msg(mpfr_equal_p(r, ours), "sine of %04x.%016lx", fx.se, fx.mant);
    }
    mpfr_clears(pi, x, r, ours, (mpfr_ptr)0);
}
END_TEST

START_TEST(arc_tangent_is_correctly_rounded)
{
    check_function(FN_ATAN, -6, 6, -6, 6);
    check_function(FN_ATAN, -100, 100, -100, 100);
    check_function(FN_ATAN, -8000, 8000, -8000, 8000);
}
END_TEST

START_TEST(exponential_is_correctly_rounded)
{
    check_function(FN_2XM1, -6, -1, 0, 0);
    check_function(FN_2XM1, -16000, -1, 0, 0);
}
END_TEST

START_TEST(logarithms_are_correctly_rounded)
{
    check_function(FN_YL2X, -1, 0, -10, 10);
    check_function(FN_YL2X, -16382, 16383, -100, 100);
    check_function(FN_YL2XP1, -6, -3, -10, 10);
    check_function(FN_YL2XP1, -8000, -3, -100, 100);
}
END_TEST

START_TEST(out_of_range_angles_are_refused)
{
    struct fp_env env = {.masks = FP_ALL};
    struct f80 r;

    ck_assert(!fp80_sincos((struct f80){.mant = BIT(63), .se = 0x3fff + 63}, &r, &r, &env));
    ck_assert(!fp80_tan((struct f80){.mant = BIT(63), .se = 0xbfff + 63}, &r, &env));
    ck_assert_uint_eq(env.flags, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fp mpfr");
    TCase *c = tcase_create("mpfr");

    tcase_set_timeout(c, 60);
    tcase_add_test(c, binary32_results_are_the_exact_ones_rounded_once);
    tcase_add_test(c, binary64_results_are_the_exact_ones_rounded_once);
    tcase_add_test(c, extended_results_are_the_exact_ones_rounded_once_to_the_precision);
    tcase_add_test(c, trigonometric_functions_are_correctly_rounded_over_their_range);
    tcase_add_test(c, sine_near_multiples_of_pi_is_correctly_rounded);
    tcase_add_test(c, arc_tangent_is_correctly_rounded);
    tcase_add_test(c, exponential_is_correctly_rounded);
    tcase_add_test(c, logarithms_are_correctly_rounded);
    tcase_add_test(c, out_of_range_angles_are_refused);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
