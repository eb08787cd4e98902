/* SPDX-License-Identifier: MIT */
/*
 * Decimal adjustment: DAA, DAS, AAA, AAS, AAM, AAD; and SALC. SDM Vol 2A, by mnemonic; none exists
 * in 64-bit mode. Undefined flags: OF is clear; SF, ZF, PF after AAA and AAS are those of AL; CF
 * and AF after AAM and AAD are clear.
 */
#include "cpu/engine.h"
#include "cpu/isa/isa.h"

/* SF, ZF, PF from al; OF clear. */
static void decimal_flags(struct vcpu *v, u64 al, bool cf, bool af)
{
    flags_result_cf_of(v, al, 1, cf, false);
    if (af)
        flags_write(v, FLAG_AF, FLAG_AF);
}

static bool exec_daa(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u8 old = (u8)x->val[0];
    const bool low = (old & 0xf) > 9 || flag_af(v);
    const bool high = old > 0x99 || flag_cf(v);

    (void)in;
    x->val[0] = (u8)(old + (low ? 6 : 0) + (high ? 0x60 : 0));
    decimal_flags(v, x->val[0], high, low);
    return true;
}

/* CF is also set by a borrow from the low digit's correction. */
static bool exec_das(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u8 old = (u8)x->val[0];
    const bool low = (old & 0xf) > 9 || flag_af(v);
    const bool high = old > 0x99 || flag_cf(v);

    (void)in;
    x->val[0] = (u8)(old - (low ? 6 : 0) - (high ? 0x60 : 0));
    decimal_flags(v, x->val[0], high || (low && old < 6), low);
    return true;
}

static bool exec_aaa(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const bool adjust = (x->val[0] & 0xf) > 9 || flag_af(v);

    (void)in;
    x->val[0] = (x->val[0] + (adjust ? 0x106 : 0)) & 0xff0f;
    decimal_flags(v, x->val[0], adjust, adjust);
    return true;
}

static bool exec_aas(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const bool adjust = (x->val[0] & 0xf) > 9 || flag_af(v);

    (void)in;
    x->val[0] = (x->val[0] - (adjust ? 0x106 : 0)) & 0xff0f;
    decimal_flags(v, x->val[0], adjust, adjust);
    return true;
}

static bool exec_aam(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u8 al = (u8)x->val[0];
    const u8 base = (u8)x->val[1];

    (void)in;
    if (base == 0)
        return raise_fault(v, VEC_DE);
    x->val[0] = (u64)(al / base) << 8 | al % base;
    decimal_flags(v, x->val[0], false, false);
    return true;
}

static bool exec_aad(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = (x->val[0] + (x->val[0] >> 8) * (x->val[1] & 0xff)) & 0xff;
    decimal_flags(v, x->val[0], false, false);
    return true;
}

/* Not in the SDM, but in every CPU since the 8086 and in APM Vol 3 table A-1. */
static bool exec_salc(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = flag_cf(v) ? 0xff : 0;
    return true;
}

/* clang-format off */
#define DECIMAL .flags_read = FLAG_AF | FLAG_CF, .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_OF
#define ASCII .flags_read = FLAG_AF, .flags_written = FLAGS_ARITH, \
    .flags_undefined = FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF
#define ASCII_MUL .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_OF | FLAG_AF | FLAG_CF

const struct insn_def isa_bcd[] = {
    {"daa", "27", "+AL", exec_daa, NO64, DECIMAL},
    {"das", "2f", "+AL", exec_das, NO64, DECIMAL},
    {"aaa", "37", "+AX", exec_aaa, NO64, ASCII},
    {"aas", "3f", "+AX", exec_aas, NO64, ASCII},
    {"aam", "d4", "+AX,Ib", exec_aam, NO64, ASCII_MUL},
    {"aad", "d5", "+AX,Ib", exec_aad, NO64, ASCII_MUL},
    {"salc", "d6", "=AL", exec_salc, NO64, .flags_read = FLAG_CF},
    {0},
};
/* clang-format on */
