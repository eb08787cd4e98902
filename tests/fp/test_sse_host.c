/* SPDX-License-Identifier: MIT */
/* binary32/64 kernels against the host's SSE unit: results and MXCSR flags, bit for bit. */
#include "tests/effort.h"
#include "tests/fp/values.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum { ROUNDS = EFFORT(20000) };

static u32 host_mxcsr;

/* A random MXCSR with all exceptions masked, and the same for the kernel. */
static struct fp_env random_env(void)
{
    struct fp_env env = {.rounding = (u8)random_below(4), .masks = FP_ALL};

    env.daz = random_below(4) == 0;
    env.ftz = random_below(4) == 0;
    host_mxcsr = 0x1f80u | (u32)env.rounding << 13 | (env.daz ? 0x40 : 0) | (env.ftz ? 0x8000 : 0);
    return env;
}

#define WITH_HOST(result, type, template, ...)                                                     \
    u32 saved_ = _mm_getcsr();                                                                     \
    u32 after_;                                                                                    \
    __asm__ volatile("ldmxcsr %[in]\n\t" template "\n\tstmxcsr %[out]"                             \
                     : [r] "+x"(result), [out] "=m"(after_)                                        \
                     : [in] "m"(host_mxcsr), __VA_ARGS__);                                         \
    _mm_setcsr(saved_);                                                                            \
    host_flags = after_ & FP_ALL

static void check_same(const char *what, u64 a, u64 b, u64 c, u64 host, u32 host_flags, u64 ours,
                       const struct fp_env *env)
{
    if (host == ours && host_flags == env->flags)
        return;
    ck_abort_msg(
        "%s a %016lx b %016lx c %016lx mxcsr %04x: host %016lx flags %02x, ours %016lx %02x", what,
        a, b, c, host_mxcsr, host, host_flags, ours, env->flags);
}

static __m128d vd(u64 a)
{
    return _mm_castsi128_pd(_mm_cvtsi64_si128((i64)a));
}

static u64 bits(__m128d a)
{
    return (u64)_mm_cvtsi128_si64(_mm_castpd_si128(a));
}

#define BINARY(name, insn, kernel, type, generate, mask)                                           \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const type a = generate(), b = generate();                                             \
            struct fp_env env = random_env();                                                      \
            __m128d r = vd(a);                                                                     \
            u32 host_flags;                                                                        \
            WITH_HOST(r, type, insn " %[b], %[r]", [b] "x"(vd(b)));                                \
            const type ours = kernel(a, b, &env);                                                  \
            check_same(#name, a, b, 0, bits(r) & (mask), host_flags, ours, &env);                  \
        }                                                                                          \
    }                                                                                              \
    END_TEST

#define M32 0xffffffffu
#define M64 (~0ull)
BINARY(addss_agrees, "addss", fp32_add, u32, random_f32, M32)
BINARY(subss_agrees, "subss", fp32_sub, u32, random_f32, M32)
BINARY(mulss_agrees, "mulss", fp32_mul, u32, random_f32, M32)
BINARY(divss_agrees, "divss", fp32_div, u32, random_f32, M32)
BINARY(minss_agrees, "minss", fp32_min, u32, random_f32, M32)
BINARY(maxss_agrees, "maxss", fp32_max, u32, random_f32, M32)
BINARY(addsd_agrees, "addsd", fp64_add, u64, random_f64, M64)
BINARY(subsd_agrees, "subsd", fp64_sub, u64, random_f64, M64)
BINARY(mulsd_agrees, "mulsd", fp64_mul, u64, random_f64, M64)
BINARY(divsd_agrees, "divsd", fp64_div, u64, random_f64, M64)
BINARY(minsd_agrees, "minsd", fp64_min, u64, random_f64, M64)
BINARY(maxsd_agrees, "maxsd", fp64_max, u64, random_f64, M64)

static u32 cvtsd2ss(u64 ignored, u64 b, struct fp_env *env)
{
    (void)ignored;
    return fp64_to_f32(b, env);
}

static u64 cvtss2sd(u64 ignored, u64 b, struct fp_env *env)
{
    (void)ignored;
    return fp32_to_f64((u32)b, env);
}

static u32 sqrtss(u32 ignored, u32 b, struct fp_env *env)
{
    (void)ignored;
    return fp32_sqrt(b, env);
}

static u64 sqrtsd(u64 ignored, u64 b, struct fp_env *env)
{
    (void)ignored;
    return fp64_sqrt(b, env);
}

static u32 roundss(u32 ignored, u32 b, struct fp_env *env)
{
    (void)ignored;
    return fp32_round_integral(b, false, env);
}

static u64 roundsd(u64 ignored, u64 b, struct fp_env *env)
{
    (void)ignored;
    return fp64_round_integral(b, true, env);
}

BINARY(cvtsd2ss_agrees, "cvtsd2ss", cvtsd2ss, u64, random_f64, M32)
BINARY(cvtss2sd_agrees, "cvtss2sd", cvtss2sd, u64, random_f32, M64)
BINARY(sqrtss_agrees, "sqrtss", sqrtss, u32, random_f32, M32)
BINARY(sqrtsd_agrees, "sqrtsd", sqrtsd, u64, random_f64, M64)
BINARY(roundss_agrees, "roundss $4,", roundss, u32, random_f32, M32)
BINARY(roundsd_agrees, "roundsd $12,", roundsd, u64, random_f64, M64)

#define TO_INT(name, insn, kernel, type, generate, mask)                                           \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const type a = generate();                                                             \
            struct fp_env env = random_env();                                                      \
            u32 saved = _mm_getcsr(), after;                                                       \
            u64 r;                                                                                 \
            __asm__ volatile("ldmxcsr %2\n\t" insn "\n\tstmxcsr %1"                                \
                             : "=r"(r), "=m"(after)                                                \
                             : "m"(host_mxcsr), "x"(vd(a)));                                       \
            _mm_setcsr(saved);                                                                     \
            const u64 ours = kernel(a, &env);                                                      \
            check_same(#name, a, 0, 0, r &(mask), after &FP_ALL, ours, &env);                      \
        }                                                                                          \
    }                                                                                              \
    END_TEST

TO_INT(cvtss2si32_agrees, "cvtss2si %3, %k0", fp32_to_i32, u32, random_f32, M32)
TO_INT(cvtss2si64_agrees, "cvtss2si %3, %q0", fp32_to_i64, u32, random_f32, M64)
TO_INT(cvtsd2si32_agrees, "cvtsd2si %3, %k0", fp64_to_i32, u64, random_f64, M32)
TO_INT(cvtsd2si64_agrees, "cvtsd2si %3, %q0", fp64_to_i64, u64, random_f64, M64)

#define FROM_INT(name, insn, kernel, mask)                                                         \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const u64 a = random_below(8) ? random_significand() >> random_below(64) : 0;          \
            struct fp_env env = random_env();                                                      \
            __m128d r = vd(0);                                                                     \
            u32 host_flags;                                                                        \
            WITH_HOST(r, u64, insn " %[b], %[r]", [b] "r"(a));                                     \
            check_same(#name, a, 0, 0, bits(r) & (mask), host_flags, kernel((i64)a, &env), &env);  \
        }                                                                                          \
    }                                                                                              \
    END_TEST

FROM_INT(cvtsi2ss_agrees, "cvtsi2ssq", fp32_from_i64, M32)
FROM_INT(cvtsi2sd_agrees, "cvtsi2sdq", fp64_from_i64, M64)

/* ZF PF CF of (U)COMISx as a relation. */
static enum fp_relation relation_of(u64 rflags)
{
    if (rflags & 4)
        return FP_UNORDERED;
    return rflags & 0x40 ? FP_EQUAL : rflags & 1 ? FP_LESS : FP_GREATER;
}

#define COMPARE(name, insn, kernel, type, generate, quiet)                                         \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const type a = generate(), b = random_below(8) ? generate() : a;                       \
            struct fp_env env = random_env();                                                      \
            u32 saved = _mm_getcsr(), after;                                                       \
            u64 f;                                                                                 \
            __asm__ volatile("ldmxcsr %2\n\t" insn " %4, %3\n\tpushfq\n\tpopq %0\n\tstmxcsr %1"    \
                             : "=r"(f), "=m"(after)                                                \
                             : "m"(host_mxcsr), "x"(vd(a)), "x"(vd(b)));                           \
            _mm_setcsr(saved);                                                                     \
            const u64 ours = kernel(a, b, quiet, &env);                                            \
            check_same(#name, a, b, 0, relation_of(f), after &FP_ALL, ours, &env);                 \
        }                                                                                          \
    }                                                                                              \
    END_TEST

COMPARE(comiss_agrees, "comiss", fp32_compare, u32, random_f32, false)
COMPARE(ucomiss_agrees, "ucomiss", fp32_compare, u32, random_f32, true)
COMPARE(comisd_agrees, "comisd", fp64_compare, u64, random_f64, false)
COMPARE(ucomisd_agrees, "ucomisd", fp64_compare, u64, random_f64, true)

/* VFMADD213: r = b * r + c, so the kernel's first operand is b. */
#define FMA(name, insn, kernel, variant, type, generate, mask)                                     \
    START_TEST(name)                                                                               \
    {                                                                                              \
        if (!__builtin_cpu_supports("fma"))                                                        \
            return;                                                                                \
        for (u32 i = 0; i < ROUNDS; i++) {                                                         \
            const type a = generate(), b = generate(), c = generate();                             \
            struct fp_env env = random_env();                                                      \
            __m128d r = vd(a);                                                                     \
            u32 host_flags;                                                                        \
            WITH_HOST(r, type, insn " %[c], %[b], %[r]", [b] "x"(vd(b)), [c] "x"(vd(c)));          \
            const type ours = kernel(b, a, c, variant, &env);                                      \
            check_same(#name, a, b, c, bits(r) & (mask), host_flags, ours, &env);                  \
        }                                                                                          \
    }                                                                                              \
    END_TEST

FMA(vfmadd_ss_agrees, "vfmadd213ss", fp32_fma, 0, u32, random_f32, M32)
FMA(vfmsub_ss_agrees, "vfmsub213ss", fp32_fma, FMA_NEGATE_ADDEND, u32, random_f32, M32)
FMA(vfnmadd_sd_agrees, "vfnmadd213sd", fp64_fma, FMA_NEGATE_PRODUCT, u64, random_f64, M64)
FMA(vfnmsub_sd_agrees, "vfnmsub213sd", fp64_fma, FMA_NEGATE_PRODUCT | FMA_NEGATE_ADDEND, u64,
    random_f64, M64)
FMA(vfmadd_sd_agrees, "vfmadd213sd", fp64_fma, 0, u64, random_f64, M64)

START_TEST(binary16_conversions_agree)
{
    if (!host_has_f16c())
        return;
    for (u32 i = 0; i < ROUNDS; i++) {
        const u32 a =
            i & 1 ? random_f32() : (random_f32() & 0x807fffff) | ((u32)random_below(48) + 90) << 23;
        struct fp_env env = random_env();
        __m128d r = vd(a);
        u32 host_flags;

        {
            WITH_HOST(r, u32, "vcvtps2ph $4, %[r], %[r]", "m"(a));
            const u16 ours = fp32_to_f16(a, &env);
            check_same("vcvtps2ph", a, 0, 0, bits(r) & 0xffff, host_flags, ours, &env);
        }
        r = vd(i & 0xffff);
        env.flags = 0;
        {
            WITH_HOST(r, u32, "vcvtph2ps %[r], %[r]", "m"(a));
            const u32 ours = fp16_to_f32((u16)i, &env);
            check_same("vcvtph2ps", i & 0xffff, 0, 0, bits(r) & M32, host_flags, ours, &env);
        }
    }
}
END_TEST

#endif

/* |estimate * a - 1| <= 1.5 * 2^-12, computed exactly in integers for a in [1, 2). */
START_TEST(reciprocal_estimate_is_within_the_manuals_bound)
{
    for (u32 i = 0; i < EFFORT(1 << 16); i++) {
        const u32 a = 0x3f800000 | (u32)random_below(1 << 23);
        const u32 r = fp32_rcp_estimate(a);
        const u32 shift = 127 - (r >> 23);
        const u64 wide = (u64)((a & 0x7fffff) | 0x800000) * ((r & 0x7fffff) | 0x800000);
        const i64 product = (i64)(wide >> shift);

        ck_assert_uint_le((u64)llabs(product - (1ll << 46)), 3ull << 33);
    }
    ck_assert_uint_eq(fp32_rcp_estimate(0x00000001), 0x7f800000);
    ck_assert_uint_eq(fp32_rcp_estimate(0x80000000), 0xff800000);
    ck_assert_uint_eq(fp32_rcp_estimate(0x7f7fffff), 0);
    ck_assert_uint_eq(fp32_rsqrt_estimate(0xbf800000), 0xffc00000);
    ck_assert_uint_eq(fp32_rsqrt_estimate(0x80000000), 0xff800000);
    ck_assert_uint_eq(fp32_rsqrt_estimate(0x40800000), 0x3f000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fp sse");
    TCase *c = tcase_create("host");

#if defined(__x86_64__)
    const TTest *const tests[] = {
        addss_agrees,      subss_agrees,
        mulss_agrees,      divss_agrees,
        minss_agrees,      maxss_agrees,
        addsd_agrees,      subsd_agrees,
        mulsd_agrees,      divsd_agrees,
        minsd_agrees,      maxsd_agrees,
        cvtsd2ss_agrees,   cvtss2sd_agrees,
        sqrtss_agrees,     sqrtsd_agrees,
        roundss_agrees,    roundsd_agrees,
        cvtss2si32_agrees, cvtss2si64_agrees,
        cvtsd2si32_agrees, cvtsd2si64_agrees,
        cvtsi2ss_agrees,   cvtsi2sd_agrees,
        comiss_agrees,     ucomiss_agrees,
        comisd_agrees,     ucomisd_agrees,
        vfmadd_ss_agrees,  vfmsub_ss_agrees,
        vfnmadd_sd_agrees, vfnmsub_sd_agrees,
        vfmadd_sd_agrees,  binary16_conversions_agree,
    };
    for (u32 i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(c, tests[i]);
#endif
    tcase_add_test(c, reciprocal_estimate_is_within_the_manuals_bound);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
