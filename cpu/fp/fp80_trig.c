/* SPDX-License-Identifier: MIT */
/*
 * FSIN, FCOS, FSINCOS, FPTAN and FPATAN: SDM Vol 2A, by mnemonic, and Vol 1 8.3.8. Arguments are
 * reduced with a 256-bit 2/pi, so results are right over the whole range (processors reduce with a
 * 66-bit pi and lose accuracy near its multiples).
 */
#include "cpu/fp/wide.h"

/* clang-format off */
/* 1/3!, 1/5!, 1/7! ... as fractions of 2^128. */
static const u128 sine_series[] = {
    U128(0x2aaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa),
    U128(0x0222222222222222, 0x2222222222222222),
    U128(0x000d00d00d00d00d, 0x00d00d00d00d00d0),
    U128(0x00002e3bc74aad8e, 0x671f5583911ca002),
    U128(0x0000006b99159fd5, 0x138e3f9d1f92e0df),
    U128(0x00000000b092309d, 0x43684be51c198e91),
    U128(0x0000000000d73f9f, 0x399dc0f88ec32b58),
    U128(0x000000000000ca96, 0x3b81856a53593028),
    U128(0x0000000000000097, 0xa4da340a0ab92650),
    U128(0x0000000000000000, 0x5c6e3bdb73d5c62f),
    U128(0x0000000000000000, 0x002ec368262c7033),
    U128(0x0000000000000000, 0x000013f3ccdd165f),
    U128(0x0000000000000000, 0x0000000746ac70b7),
    U128(0x0000000000000000, 0x00000000024b3f31),
};

/* 1/2!, 1/4!, 1/6! ... */
static const u128 cosine_series[] = {
    U128(0x8000000000000000, 0x0000000000000000),
    U128(0x0aaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa),
    U128(0x005b05b05b05b05b, 0x05b05b05b05b05b0),
    U128(0x0001a01a01a01a01, 0xa01a01a01a01a01a),
    U128(0x0000049f93edde27, 0xd71cbbc05b4fa999),
    U128(0x00000008f76c77fc, 0x6c4bdaa26d4c3d67),
    U128(0x000000000c9cba54, 0x603e4e905d6f8a2e),
    U128(0x00000000000d73f9, 0xf399dc0f88ec32b5),
    U128(0x0000000000000b41, 0x3c31dcbecbbdd802),
    U128(0x0000000000000007, 0x950ae900808941ea),
    U128(0x0000000000000000, 0x04338e5b6dfe14a5),
    U128(0x0000000000000000, 0x0001f2cf01972f57),
    U128(0x0000000000000000, 0x000000c4742fe352),
    U128(0x0000000000000000, 0x0000000042862898),
    U128(0x0000000000000000, 0x000000000013932c),
};

/* 1/3, 1/5, 1/7 ... */
static const u128 arctangent_series[] = {
    U128(0x5555555555555555, 0x5555555555555555),
    U128(0x3333333333333333, 0x3333333333333333),
    U128(0x2492492492492492, 0x4924924924924924),
    U128(0x1c71c71c71c71c71, 0xc71c71c71c71c71c),
    U128(0x1745d1745d1745d1, 0x745d1745d1745d17),
    U128(0x13b13b13b13b13b1, 0x3b13b13b13b13b13),
    U128(0x1111111111111111, 0x1111111111111111),
    U128(0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f),
    U128(0x0d79435e50d79435, 0xe50d79435e50d794),
    U128(0x0c30c30c30c30c30, 0xc30c30c30c30c30c),
    U128(0x0b21642c8590b216, 0x42c8590b21642c85),
    U128(0x0a3d70a3d70a3d70, 0xa3d70a3d70a3d70a),
};

/* atan(k / 16). */
static const u128 arctangent[] = {
    U128(0x0000000000000000, 0x0000000000000000),
    U128(0x0ffaaddb967ef4e3, 0x6cb2792dc0e2e0d5),
    U128(0x1fd5ba9aac2f6dc6, 0x5912f313e7d111de),
    U128(0x2f72f6979cb6044d, 0x1ec2d3e207271d21),
    U128(0x3eb6ebf25901bac5, 0x5b71e7bd7de885f9),
    U128(0x4d89dcdc1faf2f34, 0xe2d5da4c693d7994),
    U128(0x5bd86507937bc239, 0xc55190916e7f2241),
    U128(0x6993bb0f308ff2db, 0x213e4af4800f389b),
    U128(0x76b19c1586ed3da2, 0xb7f222f65e1d4681),
    U128(0x832bf4a6d9867e2a, 0x4b6a09cb61a515c0),
    U128(0x8f005d5ef7f59f9b, 0x5c835e1665c43747),
    U128(0x9a2f80e671bdda20, 0x4226f8e2204ff3bc),
    U128(0xa4bc7d1934f70924, 0x19a87f2a457dac9e),
    U128(0xaeac4c38b4d8c080, 0x14725e2f3e52070a),
    U128(0xb8053e2bc2319e73, 0xcb2da55210a4443d),
    U128(0xc0ce85b8ac526640, 0x89dd62c46e92fa24),
    U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1),
};

/* 2 / pi as a fraction of 2^256, least significant word first. */
static const u64 two_over_pi[4] = {
    0xfe5163abdebbc561, 0xdb6295993c439041,
    0xfc2757d1f534ddc0, 0xa2f9836e4e441529,
};
/* clang-format on */

/* |a| modulo pi/2 in [-pi/4, pi/4], with the low bits of the quotient. |a| < 2^63. */
static struct wide reduce(const struct ext_parts *p, u32 *quadrant)
{
    const i32 exponent = p->exp - F80_BIAS;
    u64 product[7] = {0};
    u64 carry = 0;
    u32 shift, skip, word;
    struct wide r = {0};

    *quadrant = 0;
    if (exponent < -1 || (exponent == -1 && p->sig <= 0xc90fdaa22168c234)) {
        r = wide_from_ext(p);
        r.sign = false;
        return r;
    }
    /* sig * 2/pi, shifted so that the binary point is below word 5. */
    shift = (u32)(exponent + 1);
    for (u32 i = 0; i < 4; i++) {
        const u128 sum = (u128)p->sig * two_over_pi[i] + carry;

        product[i] = (u64)sum;
        carry = (u64)(sum >> 64);
    }
    product[4] = carry;
    for (u32 i = 5; shift && i > 0; i--)
        product[i] = product[i] << shift | product[i - 1] >> (64 - shift);
    product[0] <<= shift;
    *quadrant = (u32)product[5];
    if (product[4] >> 63) {
        r.sign = true;
        ++*quadrant;
        /* 1 - fraction; the borrow from the lowest word does not matter at this length. */
        for (u32 i = 0; i < 5; i++)
            product[i] = ~product[i];
    }
    /* At most about 70 leading zeros: an extended value cannot come closer to a multiple of pi/2.
     */
    word = product[4] ? 4 : 3;
    skip = leading_zeros(product[word] | 1);
    r.sig = U128(product[word], product[word - 1]) << skip;
    if (skip)
        r.sig |= product[word - 2] >> (64 - skip);
    r.exp = -1 - (i32)(64 * (4 - word) + skip);
    return wide_mul(r, WIDE_PI_HALF);
}

static struct wide sine(struct wide r)
{
    return wide_odd_function(r, sine_series, ARRAY_SIZE(sine_series));
}

static struct wide cosine(struct wide r)
{
    const u128 z = wide_square(r);
    const u128 less =
        mul_high(z, wide_series_alternating(cosine_series, ARRAY_SIZE(cosine_series), z));

    /* At least 0.7: bit 127 is set. */
    return (struct wide){.sig = less ? -less : ~(u128)0, .exp = -1};
}

/* The cases without arithmetic; false if there is arithmetic to do. *out_of_range: C2. */
static bool trig_special(struct f80 a, const struct ext_parts *p, struct f80 *result,
                         bool *out_of_range, struct fp_env *env)
{
    *out_of_range = p->class == FP_CLASS_FINITE && p->exp - F80_BIAS >= 63;
    if (*out_of_range)
        return true;
    if (ext_is_nan(p))
        *result = fp80_propagate(a, env);
    else if (p->class == FP_CLASS_INF)
        *result = ext_invalid(env);
    else if (p->class == FP_CLASS_ZERO)
        *result = a;
    else
        return false;
    return true;
}

bool fp80_sincos(struct f80 a, struct f80 *sine_out, struct f80 *cosine_out, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    struct f80 special;
    struct wide r, s, c;
    bool out_of_range;
    u32 quadrant;

    if (trig_special(a, &p, &special, &out_of_range, env)) {
        if (!out_of_range && sine_out)
            *sine_out = special;
        if (!out_of_range && cosine_out)
            *cosine_out = p.class == FP_CLASS_ZERO ? F80_ONE : special;
        return !out_of_range;
    }
    if (p.denormal)
        env->flags |= FP_DE;
    r = reduce(&p, &quadrant);
    s = sine(r);
    c = cosine(r);
    if (quadrant & 1) {
        const struct wide swap = s;

        s = c;
        c = wide_negate(swap);
    }
    if (quadrant & 2) {
        s = wide_negate(s);
        c = wide_negate(c);
    }
    s.sign ^= p.sign;
    if (sine_out)
        *sine_out = wide_round(s, env);
    if (cosine_out)
        *cosine_out = wide_round(c, env);
    return true;
}

/* r * (1 + r^2 / 3): the quotient of the truncated series could fall below r. */
static struct wide small_tangent(struct wide r)
{
    const struct wide third = WIDE(0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa, -2);

    return wide_add(r, wide_mul(r, wide_mul(third, wide_mul(r, r))));
}

bool fp80_tan(struct f80 a, struct f80 *tangent, struct fp_env *env)
{
    const struct ext_parts p = ext_unpack(a);
    struct wide r, t;
    bool out_of_range;
    u32 quadrant;

    if (trig_special(a, &p, tangent, &out_of_range, env))
        return !out_of_range;
    if (p.denormal)
        env->flags |= FP_DE;
    r = reduce(&p, &quadrant);
    if (quadrant & 1)
        t = wide_negate(wide_div(cosine(r), sine(r)));
    else
        t = r.exp < -40 ? small_tangent(r) : wide_div(sine(r), cosine(r));
    t.sign ^= p.sign;
    *tangent = wide_round(t, env);
    return true;
}

/* Arc tangent of q in (0, 1]: the nearest k / 16 from the table, the rest by its series. */
static struct wide arctangent_of(struct wide q)
{
    const u128 fraction = q.exp < 0 ? wide_fraction(q) : ~(u128)0;
    const u32 k = (u32)((fraction >> 123) + 1) >> 1;
    struct wide point, rest;
    i32 shift;

    if (!k)
        return wide_odd_function(q, arctangent_series, ARRAY_SIZE(arctangent_series));
    shift = __builtin_clz(k);
    point = (struct wide){.sig = (u128)k << (96 + shift), .exp = 27 - shift};
    rest = wide_add(q, wide_negate(point));
    rest = wide_div(rest, wide_add(WIDE_ONE, wide_mul(q, point)));
    if (rest.sig)
        rest = wide_odd_function(rest, arctangent_series, ARRAY_SIZE(arctangent_series));
    shift = (i32)leading_zeros128(arctangent[k]);
    point = (struct wide){.sig = arctangent[k] << shift, .exp = -1 - shift};
    return wide_add(point, rest);
}

/* SDM Vol 2A table 3-30: the angle where y or x is zero or infinite. */
static struct f80 arctangent_special(const struct ext_parts *y, const struct ext_parts *x,
                                     struct fp_env *env)
{
    struct wide angle = WIDE_PI_HALF;

    if (y->class == x->class) { /* two zeros count as on the x axis */
        if (y->class == FP_CLASS_INF)
            angle = x->sign
                        ? wide_add(WIDE_PI_HALF, WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1, -1))
                        : WIDE(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1, -1);
        else if (!x->sign)
            return ext_zero(y->sign);
        else
            angle = WIDE_PI;
    } else if (y->class == FP_CLASS_ZERO || x->class == FP_CLASS_INF) {
        if (!x->sign)
            return ext_zero(y->sign);
        angle = WIDE_PI;
    }
    angle.sign = y->sign;
    return wide_round(angle, env);
}

struct f80 fp80_fpatan(struct f80 y, struct f80 x, struct fp_env *env)
{
    const struct ext_parts py = ext_unpack(y);
    const struct ext_parts px = ext_unpack(x);
    struct wide a = wide_from_ext(&py);
    struct wide b = wide_from_ext(&px);
    struct wide angle;

    if (ext_is_nan(&py) || ext_is_nan(&px))
        return fp80_propagate2(y, x, env);
    if (py.denormal | px.denormal)
        env->flags |= FP_DE;
    if (py.class != FP_CLASS_FINITE || px.class != FP_CLASS_FINITE)
        return arctangent_special(&py, &px, env);
    a.sign = false;
    b.sign = false;
    if (a.exp < b.exp || (a.exp == b.exp && a.sig <= b.sig))
        angle = arctangent_of(wide_div(a, b));
    else
        angle = wide_add(WIDE_PI_HALF, wide_negate(arctangent_of(wide_div(b, a))));
    if (px.sign)
        angle = wide_add(WIDE_PI, wide_negate(angle));
    angle.sign = py.sign;
    return wide_round(angle, env);
}
