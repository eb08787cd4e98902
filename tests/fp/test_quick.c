/* SPDX-License-Identifier: MIT */
/* The inline forms of frequent cases against the kernel, the host's division against the portable
 * one, and the integer roots against their definition. */
#include "cpu/fp/quick.h"
#include "tests/fp/values.h"
#include "tests/run_suite.h"

#include <check.h>

enum { ROUNDS = 60000 };

/* ck_assert() that is quick when all is well. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("not so: %s", #condition);                                                \
    } while (0)

/* Operands that have something to do with each other: near exponents, equal or adjacent values. */
static struct f80 related(struct f80 a)
{
    struct f80 b = random_f80(true);

    switch (random_below(6)) {
    case 0: return a;
    case 1: b.se = (u16)(a.se + random_below(3) - 1); return b;
    case 2: b.se = (u16)(a.se + random_below(140) - 70); return b;
    case 3:
        b = a;
        b.se ^= (u16)(random64() & 0x8000);
        b.mant += random_below(5) - 2;
        return b;
    default: return b;
    }
}

/* The control words that the quick forms are for. */
static struct fp_env default_env(void)
{
    return (struct fp_env){.rounding = FP_NEAREST, .precision = FP_PREC_64, .masks = FP_ALL};
}

static const struct {
    u8 precision;
    u32 drop;
} precisions[] = {{FP_PREC_64, 0}, {FP_PREC_53, 11}, {FP_PREC_24, 40}};

static void check_value(const char *what, struct f80 a, struct f80 b, struct f80 quick, u32 status,
                        struct f80 kernel, const struct fp_env *env)
{
    const u32 expected = env->flags | (env->flags & FP_PE && env->rounded_up ? 0x200u : 0);

    if (quick.mant != kernel.mant || quick.se != kernel.se || status != expected)
        ck_abort_msg("%s %04x.%016lx %04x.%016lx: quick %04x.%016lx %03x, kernel %04x.%016lx %03x",
                     what, a.se, a.mant, b.se, b.mant, quick.se, quick.mant, status, kernel.se,
                     kernel.mant, expected);
}

#define SAME_BINARY(test, quick_call, kernel_call)                                                 \
    START_TEST(test)                                                                               \
    {                                                                                              \
        u32 taken = 0;                                                                             \
                                                                                                   \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            struct fp_env env = default_env();                                                     \
            const u32 drop = precisions[i % 3].drop;                                               \
            const struct f80 a = random_f80(true);                                                 \
            const struct f80 b = related(a);                                                       \
            struct f80 result;                                                                     \
            u32 status;                                                                            \
                                                                                                   \
            env.precision = precisions[i % 3].precision;                                           \
            if (!(quick_call))                                                                     \
                continue;                                                                          \
            taken++;                                                                               \
            check_value(#test, a, b, result, status, kernel_call, &env);                           \
        }                                                                                          \
        ck_assert_uint_gt(taken, ROUNDS / 5);                                                      \
    }                                                                                              \
    END_TEST

SAME_BINARY(quick_addition_is_the_kernels, quick_add(a, b, 0, drop, &result, &status),
            fp80_add(a, b, &env))
SAME_BINARY(quick_subtraction_is_the_kernels, quick_add(a, b, 0x8000, drop, &result, &status),
            fp80_sub(a, b, &env))
SAME_BINARY(quick_multiplication_is_the_kernels, quick_mul(a, b, drop, &result, &status),
            fp80_mul(a, b, &env))
SAME_BINARY(quick_division_is_the_kernels, quick_div(a, b, drop, &result, &status),
            fp80_div(a, b, &env))
SAME_BINARY(quick_root_is_the_kernels, quick_sqrt(a, drop, &result, &status), fp80_sqrt(a, &env))

/* Quotients with ties and remainders of nearly half the divisor do not come about by chance. */
START_TEST(quick_division_rounds_at_the_half)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        struct fp_env env = default_env();
        const struct f80 b = {.mant = ~0ull << random_below(64) | random_below(3) | BIT(63),
                              .se = 0x3fff};
        const u64 quotient = random_significand() | BIT(63);
        const u128 product = (u128)b.mant * quotient + (b.mant >> 1) + random_below(3) - 1;
        const u32 shift = leading_zeros128(product);
        const struct f80 a = {.mant = (u64)(product << shift >> 64), .se = 0x3fff};
        struct f80 result;
        u32 status;

        HOLDS(quick_div(a, b, 0, &result, &status));
        check_value("div", a, b, result, status, fp80_div(a, b, &env), &env);
    }
}
END_TEST

START_TEST(quick_comparison_is_the_kernels)
{
    u32 taken = 0;

    for (u32 i = 0; i < ROUNDS; i++) {
        struct fp_env env = default_env();
        const struct f80 a = random_below(16) ? random_f80(true) : (struct f80){0};
        const struct f80 b = random_below(16) ? related(a) : (struct f80){.se = 0x8000};
        enum fp_relation relation;

        if (!quick_compare(a, b, &relation))
            continue;
        taken++;
        HOLDS(relation == fp80_compare(a, b, false, &env) && env.flags == 0);
    }
    ck_assert_uint_gt(taken, ROUNDS / 2);
}
END_TEST

START_TEST(quick_loads_are_the_kernels)
{
    u32 taken = 0;

    for (u32 i = 0; i < ROUNDS; i++) {
        struct fp_env env = default_env();
        const u32 a = random_f32();
        const u64 b = random_f64();
        const i64 c = (i64)random_significand() >> random_below(64);
        struct f80 result;

        if (quick_widen(a, 23, 0xff, &result)) {
            taken++;
            check_value("fld m32", (struct f80){.mant = a}, result, result, 0,
                        fp80_from_f32(a, &env), &env);
        }
        if (quick_widen(b, 52, 0x7ff, &result)) {
            taken++;
            check_value("fld m64", (struct f80){.mant = b}, result, result, 0,
                        fp80_from_f64(b, &env), &env);
        }
        check_value("fild", (struct f80){.mant = (u64)c}, result, quick_from_i64(c), 0,
                    fp80_from_i64(c), &env);
    }
    ck_assert_uint_gt(taken, ROUNDS);
}
END_TEST

START_TEST(quick_stores_are_the_kernels)
{
    u32 taken = 0;

    for (u32 i = 0; i < ROUNDS; i++) {
        struct f80 a = random_f80(true);
        u32 status;
        u64 value;

        if (random_below(4) == 0) /* near the ends of the narrow formats */
            a.se = (u16)(0x3fff + (random_below(2) ? 127 : 1023) * (random_below(2) ? 1 : -1) +
                         (i32)random_below(5) - 2);
        for (u32 wide = 0; wide < 2; wide++) {
            struct fp_env env = default_env();
            struct f80 kernel;

            if (!(wide ? quick_narrow(a, 52, 0x7ff, &value, &status)
                       : quick_narrow(a, 23, 0xff, &value, &status)))
                continue;
            taken++;
            kernel.se = 0;
            kernel.mant = wide ? fp80_to_f64(a, &env) : fp80_to_f32(a, &env);
            check_value(wide ? "fst m64" : "fst m32", a, a, (struct f80){.mant = value}, status,
                        kernel, &env);
        }
    }
    ck_assert_uint_gt(taken, ROUNDS / 2);
}
END_TEST

START_TEST(quick_integer_stores_are_the_kernels)
{
    u32 taken = 0;

    for (u32 i = 0; i < ROUNDS; i++) {
        const u32 bytes = 2u << random_below(3);
        const u8 rounding = (u8)random_below(4);
        struct fp_env env = default_env();
        struct f80 a = random_f80(true);
        struct f80 kernel;
        u32 status;
        u64 value;

        if (random_below(4))
            a.se = (u16)((a.se & 0x8000) | (0x3ffd + random_below(8 * bytes + 3)));
        if (!quick_to_int(a, bytes, rounding, &value, &status))
            continue;
        taken++;
        env.rounding = rounding;
        kernel.se = 0;
        kernel.mant = fp80_to_int(a, bytes, &env);
        check_value("fist", a, a, (struct f80){.mant = value}, status, kernel, &env);
    }
    ck_assert_uint_gt(taken, ROUNDS / 3);
}
END_TEST

START_TEST(division_by_the_host_is_the_portable_one)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        const u64 divisor = random_significand() | 1;
        const u64 high = (random_below(4) ? random_significand() : divisor - 1) % divisor;
        const u64 low = random_significand();
        u64 rest, portable_rest;

        HOLDS(divide(high, low, divisor, &rest) ==
              divide_portable(high, low, divisor, &portable_rest));
        HOLDS(rest == portable_rest);
    }
}
END_TEST

/* Near squares, near powers of two, and at the edges of the table of first guesses. */
static u128 radicand(void)
{
    const u64 root = random_significand() | BIT(63);
    const u128 square = (u128)root * root;
    u64 high = random_significand();

    switch (random_below(4)) {
    case 0: return square;
    case 1: return square - (square << 2 != 0);
    case 2: high = ((8 + random_below(24)) << 59) + random_below(3) - 1; break;
    default: break;
    }
    if (!(high >> 62))
        high |= BIT(62);
    return U128(high, random_significand());
}

START_TEST(roots_are_exact)
{
    for (u32 i = 0; i < 2 * ROUNDS; i++) {
        const u128 value = radicand();
        const u64 high = (u64)(value >> 64);
        u128 rest;
        u64 rest64;
        const u64 root = root128(value, &rest);
        const u64 root_high = root64(high, &rest64);

        HOLDS((u128)root * root + rest == value);
        HOLDS(rest <= (u128)root * 2);
        HOLDS(root_high * root_high + rest64 == high);
        HOLDS(rest64 <= 2 * root_high && root_high >> 32 == 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        quick_addition_is_the_kernels,
        quick_subtraction_is_the_kernels,
        quick_multiplication_is_the_kernels,
        quick_division_is_the_kernels,
        quick_root_is_the_kernels,
        quick_division_rounds_at_the_half,
        quick_comparison_is_the_kernels,
        quick_loads_are_the_kernels,
        quick_stores_are_the_kernels,
        quick_integer_stores_are_the_kernels,
        division_by_the_host_is_the_portable_one,
        roots_are_exact,
    };
    Suite *suite = suite_create("fp quick");
    TCase *c = tcase_create("quick");

    for (u32 i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(c, tests[i]);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
