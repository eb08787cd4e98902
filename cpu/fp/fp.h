/* SPDX-License-Identifier: MIT */
/*
 * x86 floating point in integer arithmetic: binary32 and binary64 with SSE rules, the 80-bit
 * extended format with x87 rules, conversions between them, and the x87 transcendental functions.
 * SDM Vol 1 chapters 4, 8, 10, 11 and 14. Host floating point is never used, so results are the
 * same anywhere.
 *
 * Values are bit patterns. Every function adds the exceptions it detects to env->flags and never
 * clears one. It returns the masked response, except that for extended results an unmasked overflow
 * or underflow wraps the exponent (SDM Vol 1 8.5.4, 8.5.5). To suppress a result after an unmasked
 * exception is the caller's part; so is dropping OE, UE and PE after an unmasked IE, DE or ZE.
 */
#ifndef CPU_FP_FP_H
#define CPU_FP_FP_H

#include "cpu/state.h" /* struct f80 */

/* Exception bits, as in MXCSR 5..0 and in the x87 status and control words 5..0. */
enum fp_flag {
    FP_IE = 1 << 0, /* invalid operation */
    FP_DE = 1 << 1, /* denormal operand */
    FP_ZE = 1 << 2, /* division by zero */
    FP_OE = 1 << 3,
    FP_UE = 1 << 4,
    FP_PE = 1 << 5, /* inexact */
    FP_ALL = 0x3f,
};

/* As in MXCSR.RC and in the x87 RC field. */
enum fp_rounding { FP_NEAREST, FP_DOWN, FP_UP, FP_TRUNCATE };

/* As in the x87 PC field; 1 is reserved and means the full precision here. */
enum fp_precision { FP_PREC_24 = 0, FP_PREC_53 = 2, FP_PREC_64 = 3 };

struct fp_env {
    u8 rounding; /* enum fp_rounding */
    u8 precision; /* enum fp_precision; only add, sub, mul, div and sqrt of fp80 look at it */
    u8 masks; /* enum fp_flag bits that are masked */
    u8 flags; /* enum fp_flag bits raised so far */
    bool daz; /* binary32/64 sources: denormals are zero */
    bool ftz; /* binary32/64 results: tiny ones become zero (only while UE is masked) */
    bool rounded_up; /* the last rounding moved the magnitude up: x87 C1 */
};

enum fp_relation { FP_LESS, FP_EQUAL, FP_GREATER, FP_UNORDERED };

/* What an operand is, for FXAM and for callers that single out NaNs. */
enum fp_class {
    FP_CLASS_ZERO,
    FP_CLASS_FINITE, /* normal, denormal or pseudo-denormal */
    FP_CLASS_INF,
    FP_CLASS_NAN,
    FP_CLASS_INVALID, /* fp80 encodings the FPU does not support: unnormals, pseudo-infinities ...
                       */
};

#define F80_INDEFINITE ((struct f80){.mant = 0xc000000000000000, .se = 0xffff})
#define F80_ONE ((struct f80){.mant = 0x8000000000000000, .se = 0x3fff})

/* ---- binary32 and binary64 (ieee.c). Two NaNs: the first operand's wins, quieted. ---- */

u32 fp32_add(u32 a, u32 b, struct fp_env *env);
u32 fp32_sub(u32 a, u32 b, struct fp_env *env);
u32 fp32_mul(u32 a, u32 b, struct fp_env *env);
u32 fp32_div(u32 a, u32 b, struct fp_env *env);
u32 fp32_sqrt(u32 a, struct fp_env *env);
u64 fp64_add(u64 a, u64 b, struct fp_env *env);
u64 fp64_sub(u64 a, u64 b, struct fp_env *env);
u64 fp64_mul(u64 a, u64 b, struct fp_env *env);
u64 fp64_div(u64 a, u64 b, struct fp_env *env);
u64 fp64_sqrt(u64 a, struct fp_env *env);

/* MINPS and MAXPS: with a NaN, or with two zeros, the second operand comes back as it is. */
u32 fp32_min(u32 a, u32 b, struct fp_env *env);
u32 fp32_max(u32 a, u32 b, struct fp_env *env);
u64 fp64_min(u64 a, u64 b, struct fp_env *env);
u64 fp64_max(u64 a, u64 b, struct fp_env *env);

/* quiet: only a signalling NaN raises IE; otherwise any NaN does. */
enum fp_relation fp32_compare(u32 a, u32 b, bool quiet, struct fp_env *env);
enum fp_relation fp64_compare(u64 a, u64 b, bool quiet, struct fp_env *env);

/* (a * b) + c with one rounding; the variants negate the product or the addend. NaNs win in the
 * order a, b, c. SDM Vol 1 14.5.2. */
enum { FMA_NEGATE_PRODUCT = 1, FMA_NEGATE_ADDEND = 2 };
u32 fp32_fma(u32 a, u32 b, u32 c, u32 variant, struct fp_env *env);
u64 fp64_fma(u64 a, u64 b, u64 c, u32 variant, struct fp_env *env);

/* ---- binary conversions (convert.c) ---- */

/* To the nearest integer in env->rounding, as a float; quiet_inexact leaves PE alone (ROUNDPS). */
u32 fp32_round_integral(u32 a, bool quiet_inexact, struct fp_env *env);
u64 fp64_round_integral(u64 a, bool quiet_inexact, struct fp_env *env);

/* To signed integers in env->rounding. NaN and out of range: IE and the smallest integer. */
u32 fp32_to_i32(u32 a, struct fp_env *env);
u64 fp32_to_i64(u32 a, struct fp_env *env);
u32 fp64_to_i32(u64 a, struct fp_env *env);
u64 fp64_to_i64(u64 a, struct fp_env *env);

u32 fp32_from_i64(i64 value, struct fp_env *env);
u64 fp64_from_i64(i64 value, struct fp_env *env);

u64 fp32_to_f64(u32 a, struct fp_env *env);
u32 fp64_to_f32(u64 a, struct fp_env *env);

/* F16C: DAZ and DE do not apply to binary16 sources, nor FTZ to binary16 results. */
u32 fp16_to_f32(u16 a, struct fp_env *env);
u16 fp32_to_f16(u32 a, struct fp_env *env);

/* RCPPS and RSQRTPS, which raise nothing. The SDM bounds the relative error by 1.5 * 2^-12 and
 * leaves the value open; here it is the exact result rounded to the nearest 12-bit significand.
 * Denormal sources count as zero and tiny results become zero. */
u32 fp32_rcp_estimate(u32 a);
u32 fp32_rsqrt_estimate(u32 a);

/* ---- 80-bit extended arithmetic (fp80.c). Two NaNs: the larger significand wins, quieted. ---- */

struct f80 fp80_add(struct f80 a, struct f80 b, struct fp_env *env);
struct f80 fp80_sub(struct f80 a, struct f80 b, struct fp_env *env);
struct f80 fp80_mul(struct f80 a, struct f80 b, struct fp_env *env);
struct f80 fp80_div(struct f80 a, struct f80 b, struct fp_env *env);
struct f80 fp80_sqrt(struct f80 a, struct fp_env *env);
enum fp_relation fp80_compare(struct f80 a, struct f80 b, bool quiet, struct fp_env *env);
enum fp_class fp80_classify(struct f80 a);
/* A NaN or unsupported operand's response for one operand, or for two: IE as needed. */
struct f80 fp80_propagate(struct f80 a, struct fp_env *env);
struct f80 fp80_propagate2(struct f80 a, struct f80 b, struct fp_env *env);

/* ---- 80-bit conversions (fp80_convert.c) ---- */

struct f80 fp80_from_f32(u32 a, struct fp_env *env); /* FLD m32: quiets, raises IE or DE */
struct f80 fp80_from_f64(u64 a, struct fp_env *env);
/* The same without any check: an operand of FADD m32 and its like. *denormal: the source was a
 * denormal, for which the caller owes DE if the operation got that far. */
struct f80 fp80_widen_f32(u32 a, bool *denormal);
struct f80 fp80_widen_f64(u64 a, bool *denormal);
struct f80 fp80_from_i64(i64 value);
/* FST m32, m64: an unmasked overflow or underflow yields no useful result. */
u32 fp80_to_f32(struct f80 a, struct fp_env *env);
u64 fp80_to_f64(struct f80 a, struct fp_env *env);
/* FIST: bytes is 2, 4 or 8. Out of range, NaN: IE and the smallest integer of that size. */
u64 fp80_to_int(struct f80 a, u32 bytes, struct fp_env *env);
struct f80 fp80_round_integral(struct f80 a, struct fp_env *env); /* FRNDINT */
/* Packed BCD, 18 digits: digits is bytes 0..7, top is bytes 8 and 9. SDM Vol 1 4.7. */
struct f80 fp80_from_bcd(u64 digits, u16 top);
void fp80_to_bcd(struct f80 a, u64 *digits, u16 *top, struct fp_env *env);

/* ---- remainders and exponents (fp80_rem.c) ---- */

struct f80 fp80_scale(struct f80 a, struct f80 b, struct fp_env *env); /* FSCALE: a * 2^trunc(b) */
/* FXTRACT: returns the significand and stores the unbiased exponent. */
struct f80 fp80_extract(struct f80 a, struct f80 *exponent, struct fp_env *env);
/* FPREM (nearest false) and FPREM1 (true). *quotient: low bits of the quotient's magnitude, or
 * *partial is true and the reduction must go on (C2). */
struct f80 fp80_remainder(struct f80 a, struct f80 b, bool nearest, u64 *quotient, bool *partial,
                          struct fp_env *env);

/* ---- transcendental functions (fp80_log.c, fp80_trig.c), within 1 ulp, rounded to 64 bits ---- */

struct f80 fp80_f2xm1(struct f80 a, struct fp_env *env);
struct f80 fp80_fyl2x(struct f80 x, struct f80 y, struct fp_env *env);
struct f80 fp80_fyl2xp1(struct f80 x, struct f80 y, struct fp_env *env);
struct f80 fp80_fpatan(struct f80 y, struct f80 x,
                       struct fp_env *env); /* angle of the point (x, y) */
/* false: |a| >= 2^63, out of range, nothing is stored (C2). Either pointer may be NULL. */
MUST_CHECK bool fp80_sincos(struct f80 a, struct f80 *sine, struct f80 *cosine, struct fp_env *env);
MUST_CHECK bool fp80_tan(struct f80 a, struct f80 *tangent, struct fp_env *env);

#endif
