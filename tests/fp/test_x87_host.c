/* SPDX-License-Identifier: MIT */
/* The extended-precision kernel against the host's x87: results, exception flags, C1, condition
 * codes, in all rounding and precision modes, masked and unmasked. */
#include "tests/effort.h"
#include "tests/fp/values.h"
#include "tests/fp/vendor.h"
#include "tests/run_suite.h"

#include <check.h>

#if defined(__x86_64__)

enum { ROUNDS = EFFORT(40000) };
enum { SW_C0 = 0x100, SW_C1 = 0x200, SW_C2 = 0x400, SW_C3 = 0x4000 };

static u16 host_cw;

/* A random control word and the same for the kernel. */
static struct fp_env random_env(void)
{
    static const u8 precisions[] = {FP_PREC_24, FP_PREC_53, FP_PREC_64, FP_PREC_64};
    struct fp_env env = {.rounding = (u8)random_below(4), .masks = FP_ALL};

    env.precision = precisions[random_below(4)];
    if (random_below(3) == 0)
        env.masks = (u8)random_below(64);
    host_cw = (u16)(env.masks | 0x40 | env.precision << 8 | env.rounding << 10);
    return env;
}

struct outcome {
    u64 low;
    u16 high;
    u16 sw;
};

/* What the instruction layer makes of the kernel's flags: an unmasked fault leaves ST(0) as it was.
 */
static bool faults(struct fp_env *env)
{
    if (!(env->flags & ~env->masks & (FP_IE | FP_DE | FP_ZE)))
        return false;
    env->flags &= FP_IE | FP_DE | FP_ZE;
    return true;
}

static struct outcome outcome80(struct f80 result, struct f80 unchanged, struct fp_env *env)
{
    const bool fault = faults(env);
    struct outcome o;

    if (fault)
        result = unchanged;
    o = (struct outcome){result.mant, result.se, env->flags};
    if (!fault && env->flags & FP_PE && env->rounded_up)
        o.sw |= SW_C1;
    return o;
}

static void check_same(const char *what, struct f80 a, struct f80 b, struct outcome host,
                       struct outcome ours, u16 sw_mask)
{
    host.sw &= sw_mask;
    ours.sw &= sw_mask;
    if (host.low == ours.low && host.high == ours.high && host.sw == ours.sw)
        return;
    ck_abort_msg(
        "%s a %04x.%016lx b %04x.%016lx cw %04x: host %04x.%016lx sw %04x, ours %04x.%016lx sw "
        "%04x",
        what, a.se, a.mant, b.se, b.mant, host_cw, host.high, host.low, host.sw, ours.high,
        ours.low, ours.sw);
}

/* Did the host compute and underflow where it may (tests/fp/vendor.h)? As a product with 1 does. */
static bool underflowed(bool fscale, struct f80 a, struct f80 b, const struct fp_env *env,
                        struct outcome host)
{
    struct fp_env again = {.rounding = env->rounding, .masks = env->masks, .precision = FP_PREC_64};
    const struct outcome o = outcome80(fp80_mul(a, F80_ONE, &again), a, &again);

    return keeping_may_underflow(fscale, a, b, env->masks) && (o.sw & FP_UE) && host.low == o.low &&
           host.high == o.high &&
           ((host.sw ^ o.sw) & (FP_ALL | SW_C0 | SW_C1 | SW_C2 | SW_C3)) == 0;
}

/* Run an instruction with ST(0) = a and ST(1) = b; ST(0) afterwards (after `drop`). */
#define HOST_X87(o, insn, drop, a, b)                                                              \
    do {                                                                                           \
        const u16 quiet_ = 0x37f;                                                                  \
        struct f80 r_ = {0};                                                                       \
        __asm__ volatile("fninit\n\tfldt %[fb]\n\tfldt %[fa]\n\tfldcw %[cw]\n\t" insn              \
                         "\n\tfnstsw %[sw]\n\tfnclex\n\tfldcw %[quiet]\n\t" drop                   \
                         "\n\tfstpt %[r]\n\tfninit"                                                \
                         : [sw] "=m"((o).sw), [r] "=m"(r_)                                         \
                         : [fa] "m"(a), [fb] "m"(b), [cw] "m"(host_cw), [quiet] "m"(quiet_)        \
                         : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");   \
        (o).low = r_.mant;                                                                         \
        (o).high = r_.se;                                                                          \
    } while (0)

#define ARITHMETIC(name, insn, kernel)                                                             \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const struct f80 a = random_f80(true);                                                 \
            const struct f80 b = random_below(16) ? random_f80(true) : a;                          \
            struct fp_env env = random_env();                                                      \
            struct outcome host, ours;                                                             \
            HOST_X87(host, insn, "", a, b);                                                        \
            ours = outcome80(kernel, a, &env);                                                     \
            check_same(#name, a, b, host, ours, FP_ALL | SW_C1);                                   \
        }                                                                                          \
    }                                                                                              \
    END_TEST

ARITHMETIC(fadd_agrees, "fadd %%st(1), %%st", fp80_add(a, b, &env))
ARITHMETIC(fsub_agrees, "fsub %%st(1), %%st", fp80_sub(a, b, &env))
ARITHMETIC(fsubr_agrees, "fsubr %%st(1), %%st", fp80_sub(b, a, &env))
ARITHMETIC(fmul_agrees, "fmul %%st(1), %%st", fp80_mul(a, b, &env))
ARITHMETIC(fdiv_agrees, "fdiv %%st(1), %%st", fp80_div(a, b, &env))
ARITHMETIC(fsqrt_agrees, "fsqrt", fp80_sqrt(a, &env))
ARITHMETIC(frndint_agrees, "frndint", fp80_round_integral(a, &env))

/* The scale in ST(1) gets a useful size. */
START_TEST(fscale_agrees)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        const struct f80 a = random_f80(true);
        struct f80 b = random_f80(true);
        struct fp_env env = random_env();
        struct outcome host, ours;

        if (random_below(2))
            b.se = (u16)((b.se & 0x8000) | (0x3fff + random_below(20) - 2)), b.mant |= BIT(63);
        HOST_X87(host, "fscale", "", a, b);
        ours = outcome80(fp80_scale(a, b, &env), a, &env);
        if (!underflowed(true, a, b, &env, host))
            check_same("fscale", a, b, host, ours, FP_ALL | SW_C1);
    }
}
END_TEST

START_TEST(fxtract_agrees)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        const struct f80 a = random_f80(true);
        struct fp_env env = random_env();
        struct outcome host, ours;
        struct f80 exponent, significand;

        env.masks = FP_ALL;
        host_cw |= FP_ALL;
        significand = fp80_extract(a, &exponent, &env);
        HOST_X87(host, "fxtract", "", a, a);
        ours = outcome80(significand, a, &env);
        check_same("fxtract significand", a, a, host, ours, FP_ALL);
        HOST_X87(host, "fxtract", "fstp %%st(0)", a, a);
        ours = outcome80(exponent, a, &env);
        check_same("fxtract exponent", a, a, host, ours, FP_ALL);
    }
}
END_TEST

static void remainder_agrees(bool nearest)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        const struct f80 a = random_f80(true);
        struct f80 b = random_f80(true);
        struct fp_env env = random_env();
        struct outcome host, ours;
        struct f80 result;
        u64 quotient;
        bool partial;

        if (random_below(4) == 0) {
            b.se = (u16)((a.se & 0x7fff) + random_below(3) - 1);
            b.mant = a.mant ^ random_below(4);
        }
        if (nearest)
            HOST_X87(host, "fprem1", "", a, b);
        else
            HOST_X87(host, "fprem", "", a, b);
        result = fp80_remainder(a, b, nearest, &quotient, &partial, &env);
        ours = outcome80(result, a, &env);
        ours.sw &= (u16)~SW_C1;
        if (!(env.flags & ~env.masks & (FP_IE | FP_DE | FP_ZE))) {
            ours.sw |= (u16)((quotient & 4 ? SW_C0 : 0) | (quotient & 2 ? SW_C3 : 0) |
                             (quotient & 1 ? SW_C1 : 0) | (partial ? SW_C2 : 0));
        }
        if (!underflowed(false, a, b, &env, host))
            check_same(nearest ? "fprem1" : "fprem", a, b, host, ours,
                       FP_ALL | SW_C0 | SW_C1 | SW_C2 | SW_C3);
    }
}

START_TEST(fprem_agrees)
{
    remainder_agrees(false);
}
END_TEST

START_TEST(fprem1_agrees)
{
    remainder_agrees(true);
}
END_TEST

static void compare_agrees(bool quiet)
{
    static const u16 codes[] = {SW_C0, SW_C3, 0, SW_C0 | SW_C2 | SW_C3};

    for (u32 i = 0; i < ROUNDS; i++) {
        const struct f80 a = random_f80(true);
        const struct f80 b = random_below(4) ? random_f80(true) : a;
        struct fp_env env = random_env();
        struct outcome host, ours = {0};

        env.masks = FP_ALL;
        host_cw |= FP_ALL;
        if (quiet)
            HOST_X87(host, "fucom", "", a, b);
        else
            HOST_X87(host, "fcom", "", a, b);
        ours.low = a.mant;
        ours.high = a.se;
        ours.sw = codes[fp80_compare(a, b, quiet, &env)];
        ours.sw |= env.flags;
        check_same(quiet ? "fucom" : "fcom", a, b, host, ours,
                   FP_ALL | SW_C0 | SW_C1 | SW_C2 | SW_C3);
    }
}

START_TEST(fcom_agrees)
{
    compare_agrees(false);
}
END_TEST

START_TEST(fucom_agrees)
{
    compare_agrees(true);
}
END_TEST

/* Stores: memory holds a pattern that must stay where the store does not happen. */
#define HOST_STORE(o, insn, a)                                                                     \
    do {                                                                                           \
        const u16 quiet_ = 0x37f;                                                                  \
        struct f80 m_ = {.mant = 0x5555555555555555, .se = 0x5555};                                \
        __asm__ volatile("fninit\n\tfldt %[fa]\n\tfldcw %[cw]\n\t" insn                            \
                         " %[m]\n\tfnstsw %[sw]\n\tfnclex\n\tfldcw %[quiet]\n\tfninit"             \
                         : [sw] "=m"((o).sw), [m] "+m"(m_)                                         \
                         : [fa] "m"(a), [cw] "m"(host_cw), [quiet] "m"(quiet_)                     \
                         : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");   \
        (o).low = m_.mant;                                                                         \
        (o).high = m_.se;                                                                          \
    } while (0)

static struct outcome outcome_store(u64 low, u16 high, u32 bytes, struct fp_env *env)
{
    struct outcome o = {0x5555555555555555, 0x5555, 0};
    const u64 mask = bytes >= 8 ? ~0ull : BIT(8 * bytes) - 1;
    const bool fault = faults(env) || (env->flags & ~env->masks & (FP_OE | FP_UE) &&
                                       (env->flags &= (u8)~FP_PE, 1));

    if (!fault) {
        o.low = (o.low & ~mask) | (low & mask);
        if (bytes > 8)
            o.high = high;
    }
    o.sw = env->flags;
    if (!fault && env->flags & FP_PE && env->rounded_up)
        o.sw |= SW_C1;
    return o;
}

#define STORE(name, insn, bytes, low_bits, high_bits)                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            struct f80 a = random_f80(true);                                                       \
            struct fp_env env = random_env();                                                      \
            struct outcome host, ours;                                                             \
            u64 digits = 0;                                                                        \
            u16 top = 0;                                                                           \
            if (random_below(2))                                                                   \
                a.se = (u16)((a.se & 0x8000) | (0x3fff + random_below(70) - 2));                   \
            HOST_STORE(host, insn, a);                                                             \
            (void)digits, (void)top;                                                               \
            ours.low = low_bits;                                                                   \
            ours = outcome_store(ours.low, high_bits, bytes, &env);                                \
            check_same(#name, a, a, host, ours, FP_ALL | SW_C1);                                   \
        }                                                                                          \
    }                                                                                              \
    END_TEST

STORE(fst32_agrees, "fsts", 4, fp80_to_f32(a, &env), 0)
STORE(fst64_agrees, "fstl", 8, fp80_to_f64(a, &env), 0)
STORE(fist16_agrees, "fists", 2, fp80_to_int(a, 2, &env), 0)
STORE(fist32_agrees, "fistl", 4, fp80_to_int(a, 4, &env), 0)
STORE(fist64_agrees, "fistpll", 8, fp80_to_int(a, 8, &env), 0)
STORE(fbstp_agrees, "fbstp", 10, (fp80_to_bcd(a, &digits, &top, &env), digits), top)

#define LOAD(name, insn, type, generate, kernel)                                                   \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const type m = generate;                                                               \
            struct fp_env env = random_env();                                                      \
            struct outcome host = {0}, ours;                                                       \
            struct f80 r = {0};                                                                    \
            env.masks = FP_ALL;                                                                    \
            __asm__ volatile("fninit\n\t" insn " %2\n\tfnstsw %0\n\tfstpt %1"                      \
                             : "=m"(host.sw), "=m"(r)                                              \
                             : "m"(m)                                                              \
                             : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",         \
                               "st(7)");                                                           \
            host.low = r.mant;                                                                     \
            host.high = r.se;                                                                      \
            ours = outcome80(kernel, r, &env);                                                     \
            check_same(#name, (struct f80){.mant = (u64)m}, r, host, ours, FP_ALL);                \
        }                                                                                          \
    }                                                                                              \
    END_TEST

LOAD(fld32_agrees, "flds", u32, random_f32(), fp80_from_f32(m, &env))
LOAD(fld64_agrees, "fldl", u64, random_f64(), fp80_from_f64(m, &env))
LOAD(fild64_agrees, "fildll", i64, (i64)(random_significand() >> random_below(64)),
     fp80_from_i64(m))

START_TEST(fbld_agrees)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        struct f80 m = {.se = (u16)(random64() & 0x8000)};
        struct f80 r = {0};
        struct f80 ours;

        for (u32 digit = 0; digit < 18; digit++)
            if (digit < 16)
                m.mant |= random_below(10) << (4 * digit);
            else
                m.se |= (u16)(random_below(10) << (4 * (digit - 16)));
        if (random_below(8) == 0)
            m.mant = 0, m.se &= 0x8000;
        __asm__ volatile("fbld %1\n\tfstpt %0" : "=m"(r) : "m"(m) : "st");
        ours = fp80_from_bcd(m.mant, m.se);
        ck_assert_uint_eq(r.mant, ours.mant);
        ck_assert_uint_eq(r.se, ours.se);
    }
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("fp x87");
    TCase *c = tcase_create("host");

#if defined(__x86_64__)
    const TTest *const tests[] = {
        fadd_agrees,    fsub_agrees,   fsubr_agrees,   fmul_agrees,   fdiv_agrees,   fsqrt_agrees,
        frndint_agrees, fscale_agrees, fxtract_agrees, fprem_agrees,  fprem1_agrees, fcom_agrees,
        fucom_agrees,   fst32_agrees,  fst64_agrees,   fist16_agrees, fist32_agrees, fist64_agrees,
        fbstp_agrees,   fld32_agrees,  fld64_agrees,   fild64_agrees, fbld_agrees,
    };
    for (u32 i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(c, tests[i]);
#endif
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
