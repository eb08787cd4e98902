/* SPDX-License-Identifier: MIT */
/*
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM and their VEX forms: SDM Vol 1 5.11 and Vol 2B 4.1,
 * whose names (IntRes1, IntRes2) are used here.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"

/* The two strings as the immediate says to read them. */
struct strings {
    i32 first[16], second[16]; /* elements, extended by their sign or with zeros */
    unsigned count; /* elements in a register: 16 or 8 */
    unsigned first_valid, second_valid; /* length of the strings, up to count */
};

static void read_elements(const union vec *from, u64 imm, i32 *to)
{
    const bool words = (imm & 1) != 0, is_signed = (imm & 2) != 0;

    for (unsigned i = 0; i < (words ? 8 : 16); i++) {
        const u32 raw = words ? from->w[i] : from->b[i];

        to[i] = !is_signed ? (i32)raw : words ? (i16)raw : (i8)raw;
    }
}

static void read_strings(const struct operands *x, u64 imm, struct strings *s)
{
    s->count = (imm & 1) != 0 ? 8 : 16;
    read_elements(&x->vec[0], imm, s->first);
    read_elements(&x->vec[1], imm, s->second);
}

/* Explicit length: the absolute value of a register, saturated. */
static unsigned explicit_length(const struct vcpu *v, const struct insn *in, enum reg reg,
                                unsigned count)
{
    const u64 raw = v->state.reg[reg];
    const i64 length = (in->prefix & PREFIX_W) ? (i64)raw : (i32)(u32)raw;
    const u64 magnitude = length < 0 ? 0 - (u64)length : (u64)length;

    return magnitude < count ? (unsigned)magnitude : count;
}

/* Implicit length: up to the first zero. */
static unsigned implicit_length(const i32 *elements, unsigned count)
{
    unsigned n = 0;

    while (n < count && elements[n] != 0)
        n++;
    return n;
}

static bool equal_any(const struct strings *s, unsigned at)
{
    if (at >= s->second_valid)
        return false;
    for (unsigned i = 0; i < s->first_valid; i++) {
        if (s->first[i] == s->second[at])
            return true;
    }
    return false;
}

static bool in_ranges(const struct strings *s, unsigned at)
{
    if (at >= s->second_valid)
        return false;
    for (unsigned i = 0; i + 1 < s->first_valid; i += 2) {
        if (s->first[i] <= s->second[at] && s->second[at] <= s->first[i + 1])
            return true;
    }
    return false;
}

static bool equal_each(const struct strings *s, unsigned at)
{
    const bool first = at < s->first_valid, second = at < s->second_valid;

    return first && second ? s->first[at] == s->second[at] : first == second;
}

/* Does the first string occur in the second from `at` on, as far as the register reaches? */
static bool equal_ordered(const struct strings *s, unsigned at)
{
    for (unsigned i = 0; i < s->first_valid && at + i < s->count; i++) {
        if (at + i >= s->second_valid || s->first[i] != s->second[at + i])
            return false;
    }
    return true;
}

/* Aggregation (imm[3:2]) and polarity (imm[5:4]): SDM Vol 2B 4.1.4, 4.1.5. Returns IntRes2. */
static u32 compare_strings(const struct strings *s, u64 imm)
{
    u32 result = 0;

    for (unsigned i = 0; i < s->count; i++) {
        bool hit;

        switch (imm >> 2 & 3) {
        case 0: hit = equal_any(s, i); break;
        case 1: hit = in_ranges(s, i); break;
        case 2: hit = equal_each(s, i); break;
        default: hit = equal_ordered(s, i); break;
        }
        if ((imm & 0x10) != 0 && ((imm & 0x20) == 0 || i < s->second_valid))
            hit = !hit;
        result |= (u32)hit << i;
    }
    return result;
}

static u32 compare(struct vcpu *v, struct strings *s, u64 imm)
{
    const u32 result = compare_strings(s, imm);

    flags_load(v, (result != 0 ? FLAG_CF : 0u) | (s->second_valid < s->count ? FLAG_ZF : 0u) |
                      (s->first_valid < s->count ? FLAG_SF : 0u) | ((result & 1) ? FLAG_OF : 0u));
    return result;
}

static u32 compare_explicit(struct vcpu *v, const struct insn *in, const struct operands *x)
{
    struct strings s;

    read_strings(x, in->imm, &s);
    s.first_valid = explicit_length(v, in, REG_RAX, s.count);
    s.second_valid = explicit_length(v, in, REG_RDX, s.count);
    return compare(v, &s, in->imm);
}

static u32 compare_implicit(struct vcpu *v, const struct insn *in, const struct operands *x)
{
    struct strings s;

    read_strings(x, in->imm, &s);
    s.first_valid = implicit_length(s.first, s.count);
    s.second_valid = implicit_length(s.second, s.count);
    return compare(v, &s, in->imm);
}

/* ECX: the least or most significant set bit, or the element count if there is none. */
static bool index_result(struct vcpu *v, const struct insn *in, u32 result)
{
    u64 index = (in->imm & 1) != 0 ? 8 : 16;

    if (result != 0)
        index =
            (in->imm & 0x40) != 0 ? 31 - (u64)__builtin_clz(result) : (u64)__builtin_ctz(result);
    v->state.reg[REG_RCX] = index;
    return true;
}

/* XMM0: the bits, or a mask of elements. */
static bool mask_result(struct vcpu *v, const struct insn *in, u32 result)
{
    union lane mask = {.v = {result, 0}};

    if ((in->imm & 0x40) != 0) {
        for (unsigned i = 0; i < 16; i++) {
            const unsigned element = (in->imm & 1) != 0 ? i / 2 : i;

            mask.b[i] = (result >> element & 1) != 0 ? 0xff : 0;
        }
    }
    if ((in->def->attr & ZERO_UPPER) != 0)
        v->state.ymm[0] = (union vec){.q = {0}};
    lane_put(&v->state.ymm[0], 0, &mask);
    return true;
}

static bool exec_pcmpestri(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return index_result(v, in, compare_explicit(v, in, x));
}

static bool exec_pcmpestrm(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return mask_result(v, in, compare_explicit(v, in, x));
}

static bool exec_pcmpistri(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return index_result(v, in, compare_implicit(v, in, x));
}

static bool exec_pcmpistrm(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return mask_result(v, in, compare_implicit(v, in, x));
}

/* clang-format off */
#define FLAGS .flags_written = FLAGS_ARITH
const struct insn_def isa_sse_str[] = {
    {"pcmpestrm", "66 0f 3a 60 /r", "Vdq,Wdq,Ib", exec_pcmpestrm, SSE, FLAGS, .feature = F_SSE42},
    {"pcmpestri", "66 0f 3a 61 /r", "Vdq,Wdq,Ib", exec_pcmpestri, SSE, FLAGS, .feature = F_SSE42},
    {"pcmpistrm", "66 0f 3a 62 /r", "Vdq,Wdq,Ib", exec_pcmpistrm, SSE, FLAGS, .feature = F_SSE42},
    {"pcmpistri", "66 0f 3a 63 /r", "Vdq,Wdq,Ib", exec_pcmpistri, SSE, FLAGS, .feature = F_SSE42},
    {"vpcmpestrm", "vex.128.66.0f3a.wig 60 /r", "Vdq,Wdq,Ib", exec_pcmpestrm, AVX, FLAGS, .feature = F_AVX},
    {"vpcmpestri", "vex.128.66.0f3a.wig 61 /r", "Vdq,Wdq,Ib", exec_pcmpestri, AVX, FLAGS, .feature = F_AVX},
    {"vpcmpistrm", "vex.128.66.0f3a.wig 62 /r", "Vdq,Wdq,Ib", exec_pcmpistrm, AVX, FLAGS, .feature = F_AVX},
    {"vpcmpistri", "vex.128.66.0f3a.wig 63 /r", "Vdq,Wdq,Ib", exec_pcmpistri, AVX, FLAGS, .feature = F_AVX},
    {0},
};
/* clang-format on */
