/* SPDX-License-Identifier: MIT */
/*
 * ADD, ADC, SUB, SBB, CMP, INC, DEC, NEG, XADD, the compare-and-exchange family, ADCX and ADOX: SDM
 * Vol 2, by mnemonic. All flags are defined. LOCK needs nothing: one CPU runs at a time.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

static ALWAYS_INLINE u64 sem_add(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_add(v, a, b, a + b, w);
    return a + b;
}

static ALWAYS_INLINE u64 sem_adc(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const u64 r = a + b + flag_cf(v);

    flags_add(v, a, b, r, w);
    return r;
}

static ALWAYS_INLINE u64 sem_sub(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_sub(v, a, b, a - b, w);
    return a - b;
}

static ALWAYS_INLINE u64 sem_sbb(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const u64 r = a - b - flag_cf(v);

    flags_sub(v, a, b, r, w);
    return r;
}

static ALWAYS_INLINE u64 sem_cmp(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_sub(v, a, b, a - b, w);
    return a; /* CMP is SUB that leaves its destination alone */
}

static ALWAYS_INLINE u64 sem_inc(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const bool cf = flag_cf(v);

    (void)b;
    flags_add(v, a, 1, a + 1, w);
    flags_keep_cf(v, cf);
    return a + 1;
}

static ALWAYS_INLINE u64 sem_dec(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    const bool cf = flag_cf(v);

    (void)b;
    flags_sub(v, a, 1, a - 1, w);
    flags_keep_cf(v, cf);
    return a - 1;
}

static ALWAYS_INLINE u64 sem_neg(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)b;
    flags_sub(v, 0, a, 0 - a, w);
    return 0 - a;
}

EXEC_BINARY(add, sem_add)
EXEC_BINARY(adc, sem_adc)
EXEC_BINARY(sub, sem_sub)
EXEC_BINARY(sbb, sem_sbb)
EXEC_BINARY(cmp, sem_cmp)
EXEC_UNARY(inc, sem_inc)
EXEC_UNARY(dec, sem_dec)
EXEC_UNARY(neg, sem_neg)

#define STAMP_ALU(op, sem, wb)                                                                     \
    STAMP_E_G(op, sem, wb)                                                                         \
    STAMP_G_E(op, sem, wb)                                                                         \
    STAMP_E_I(op, sem, wb)                                                                         \
    STAMP_A_I(op, sem, wb)

STAMP_ALU(add, sem_add, 1)
STAMP_ALU(adc, sem_adc, 1)
STAMP_ALU(sub, sem_sub, 1)
STAMP_ALU(sbb, sem_sbb, 1)
STAMP_ALU(cmp, sem_cmp, 0)
STAMP_E(inc, sem_inc, 1)
STAMP_E(dec, sem_dec, 1)
STAMP_E(neg, sem_neg, 1)
STAMP_Z(inc, sem_inc, 1)
STAMP_Z(dec, sem_dec, 1)

/* The sum is stored last (SDM Vol 2, XADD), so with twice the same register it is what remains. */
static bool exec_xadd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 old = x->val[0];

    x->val[0] = sem_add(v, old, x->val[1], in->width);
    x->val[1] = old;
    if ((in->prefix & PREFIX_MEM) == 0 && in->rm == in->reg)
        x->val[1] = x->val[0];
    return true;
}

/*
 * The memory form always writes its destination, if only with its old value. Of the accumulator and
 * a register destination only the one that changes is written: the upper half of the other stays as
 * it is even with 32-bit operands (so do Intel and AMD processors).
 */
static bool exec_cmpxchg(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 old = x->val[0];
    const u64 expected = reg_read(v, REG_RAX, in->width);

    flags_sub(v, expected, old, expected - old, in->width);
    if (expected != old)
        reg_write(v, REG_RAX, in->width, old);
    else if ((in->prefix & PREFIX_MEM) != 0)
        x->val[0] = x->val[1];
    else
        reg_write(v, in->rm, in->width, x->val[1]);
    return true;
}

/* Memory forms: spinlocks and reference counts. */
#define STAMP_ATOMIC_(w, kind_name, kind)                                                          \
    STAMP_FN(run_cmpxchg_##kind_name##w)                                                           \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(p, wtag, la, w, ACCESS_READ | ACCESS_WRITE);                                     \
        const u64 old = load_le(p, w);                                                             \
        const u64 expected = reg_read(v, REG_RAX, w);                                              \
        flags_sub(v, expected, old, expected - old, w);                                            \
        if (expected == old)                                                                       \
            store_le(p, reg_read(v, in->reg, w), w);                                               \
        else                                                                                       \
            reg_write(v, REG_RAX, w, old);                                                         \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_xadd_##kind_name##w)                                                              \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(p, wtag, la, w, ACCESS_READ | ACCESS_WRITE);                                     \
        const u64 old = load_le(p, w);                                                             \
        store_le(p, sem_add(v, old, reg_read(v, in->reg, w), w), w);                               \
        reg_write(v, in->reg, w, old);                                                             \
        NEXT(v, in);                                                                               \
    }
#define STAMP_ATOMIC(w) STAMP_ATOMIC_(w, f, EA_FLAT) STAMP_ATOMIC_(w, o, EA_OPEN)
STAMP_ATOMIC(1)
STAMP_ATOMIC(2)
STAMP_ATOMIC(4)
STAMP_ATOMIC(8)

static insn_run stamp_cmpxchg(const struct insn *in, u32 mode)
{
    static const insn_run table[3][4] = STAMP_TABLE_M(run_cmpxchg_);

    return table[ea_kind(in, mode)][stamp_width(in)];
}

static insn_run stamp_xadd(const struct insn *in, u32 mode)
{
    static const insn_run table[3][4] = STAMP_TABLE_M(run_xadd_);

    return (in->prefix & PREFIX_MEM) != 0 ? table[ea_kind(in, mode)][stamp_width(in)] : NULL;
}

static bool exec_cmpxchg8b(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 *reg = v->state.reg;
    const u64 old = x->val[0];
    const bool equal = (u32)old == (u32)reg[REG_RAX] && (u32)(old >> 32) == (u32)reg[REG_RDX];

    (void)in;
    if (equal) {
        x->val[0] = (u64)(u32)reg[REG_RBX] | reg[REG_RCX] << 32;
    } else {
        reg[REG_RAX] = (u32)old;
        reg[REG_RDX] = old >> 32;
    }
    flags_write(v, FLAG_ZF, equal ? FLAG_ZF : 0);
    return true;
}

/* The operand must be 16-byte aligned: #GP(0). It is written back even if the comparison fails. */
static bool exec_cmpxchg16b(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 *reg = v->state.reg;
    u64 old[2], new[2], la;
    bool equal;

    if (!seg_linear(v, (enum seg)in->seg, x->offset, 16, ACCESS_READ | ACCESS_WRITE, &la))
        return false;
    if ((la & 15) != 0)
        return RAISE_GP0(v);
    if (!mem_probe_write(v, la, 16, segment_flag(in)) ||
        !mem_load_bytes(v, la, old, 16, segment_flag(in)))
        return false;
    equal = old[0] == reg[REG_RAX] && old[1] == reg[REG_RDX];
    new[0] = equal ? reg[REG_RBX] : old[0];
    new[1] = equal ? reg[REG_RCX] : old[1];
    if (!mem_store_bytes(v, la, new, 16, segment_flag(in)))
        return false;
    if (!equal) {
        reg[REG_RAX] = old[0];
        reg[REG_RDX] = old[1];
    }
    flags_write(v, FLAG_ZF, equal ? FLAG_ZF : 0);
    return true;
}

static bool exec_adcx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 a = x->val[0];
    const u64 b = x->val[1];
    const u64 r = (a + b + flag_cf(v)) & width_mask(in->width);

    flags_set_cf(v, ((a & b) | ((a | b) & ~r)) >> (8 * in->width - 1) & 1);
    x->val[0] = r;
    return true;
}

static bool exec_adox(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 a = x->val[0];
    const u64 b = x->val[1];
    const u64 r = (a + b + flag_of(v)) & width_mask(in->width);

    flags_set_cf_of(v, flag_cf(v), ((a & b) | ((a | b) & ~r)) >> (8 * in->width - 1) & 1);
    x->val[0] = r;
    return true;
}

/* clang-format off */
#define ARITH .flags_written = FLAGS_ARITH
#define ARITH_C .flags_read = FLAG_CF, .flags_written = FLAGS_ARITH
#define ARITH_KEEP_C .flags_written = FLAGS_ARITH & ~FLAG_CF
#define ALU_ROWS(op, flags, opcode_e_g, opcode_v_g, opcode_g_e, opcode_g_v, opcode_al, opcode_ax, digit) \
    {#op, opcode_e_g " /r", "+Eb,Gb", exec_##op, LOCKABLE, flags, .stamp = stamp_##op##_E_G}, \
    {#op, opcode_v_g " /r", "+Ev,Gv", exec_##op, LOCKABLE, flags, .stamp = stamp_##op##_E_G}, \
    {#op, opcode_g_e " /r", "+Gb,Eb", exec_##op, 0, flags, .stamp = stamp_##op##_G_E}, \
    {#op, opcode_g_v " /r", "+Gv,Ev", exec_##op, 0, flags, .stamp = stamp_##op##_G_E}, \
    {#op, opcode_al, "+AL,Ib", exec_##op, 0, flags, .stamp = stamp_##op##_A_I}, \
    {#op, opcode_ax, "+rAX,Iz", exec_##op, 0, flags, .stamp = stamp_##op##_A_I}, \
    {#op, "80 " digit, "+Eb,Ib", exec_##op, LOCKABLE, flags, .stamp = stamp_##op##_E_I}, \
    {#op, "81 " digit, "+Ev,Iz", exec_##op, LOCKABLE, flags, .stamp = stamp_##op##_E_I}, \
    {#op, "82 " digit, "+Eb,Ib", exec_##op, LOCKABLE | NO64, flags, .stamp = stamp_##op##_E_I}, \
    {#op, "83 " digit, "+Ev,Is", exec_##op, LOCKABLE, flags, .stamp = stamp_##op##_E_I}

const struct insn_def isa_arith[] = {
    ALU_ROWS(add, ARITH,   "00", "01", "02", "03", "04", "05", "/0"),
    ALU_ROWS(adc, ARITH_C, "10", "11", "12", "13", "14", "15", "/2"),
    ALU_ROWS(sbb, ARITH_C, "18", "19", "1a", "1b", "1c", "1d", "/3"),
    ALU_ROWS(sub, ARITH,   "28", "29", "2a", "2b", "2c", "2d", "/5"),
    {"cmp", "38 /r", "Eb,Gb", exec_cmp, 0, ARITH, .stamp = stamp_cmp_E_G},
    {"cmp", "39 /r", "Ev,Gv", exec_cmp, 0, ARITH, .stamp = stamp_cmp_E_G},
    {"cmp", "3a /r", "Gb,Eb", exec_cmp, 0, ARITH, .stamp = stamp_cmp_G_E},
    {"cmp", "3b /r", "Gv,Ev", exec_cmp, 0, ARITH, .stamp = stamp_cmp_G_E},
    {"cmp", "3c", "AL,Ib", exec_cmp, 0, ARITH, .stamp = stamp_cmp_A_I},
    {"cmp", "3d", "rAX,Iz", exec_cmp, 0, ARITH, .stamp = stamp_cmp_A_I},
    {"cmp", "80 /7", "Eb,Ib", exec_cmp, 0, ARITH, .stamp = stamp_cmp_E_I},
    {"cmp", "81 /7", "Ev,Iz", exec_cmp, 0, ARITH, .stamp = stamp_cmp_E_I},
    {"cmp", "82 /7", "Eb,Ib", exec_cmp, NO64, ARITH, .stamp = stamp_cmp_E_I},
    {"cmp", "83 /7", "Ev,Is", exec_cmp, 0, ARITH, .stamp = stamp_cmp_E_I},
    {"inc", "fe /0", "+Eb", exec_inc, LOCKABLE, ARITH_KEEP_C, .stamp = stamp_inc_E},
    {"inc", "ff /0", "+Ev", exec_inc, LOCKABLE, ARITH_KEEP_C, .stamp = stamp_inc_E},
    {"inc", "40+r", "+Zv", exec_inc, NO64, ARITH_KEEP_C, .stamp = stamp_inc_Z},
    {"dec", "fe /1", "+Eb", exec_dec, LOCKABLE, ARITH_KEEP_C, .stamp = stamp_dec_E},
    {"dec", "ff /1", "+Ev", exec_dec, LOCKABLE, ARITH_KEEP_C, .stamp = stamp_dec_E},
    {"dec", "48+r", "+Zv", exec_dec, NO64, ARITH_KEEP_C, .stamp = stamp_dec_Z},
    {"neg", "f6 /3", "+Eb", exec_neg, LOCKABLE, ARITH, .stamp = stamp_neg_E},
    {"neg", "f7 /3", "+Ev", exec_neg, LOCKABLE, ARITH, .stamp = stamp_neg_E},
    {"xadd", "0f c0 /r", "+Eb,+Gb", exec_xadd, LOCKABLE, ARITH, .stamp = stamp_xadd},
    {"xadd", "0f c1 /r", "+Ev,+Gv", exec_xadd, LOCKABLE, ARITH, .stamp = stamp_xadd},
    {"cmpxchg", "0f b0 /r", "+Mb,Gb", exec_cmpxchg, LOCKABLE, ARITH, .stamp = stamp_cmpxchg},
    {"cmpxchg", "0f b0 /r", "Rb,Gb", exec_cmpxchg, 0, ARITH},
    {"cmpxchg", "0f b1 /r", "+Mv,Gv", exec_cmpxchg, LOCKABLE, ARITH, .stamp = stamp_cmpxchg},
    {"cmpxchg", "0f b1 /r", "Rv,Gv", exec_cmpxchg, 0, ARITH},
    {"cmpxchg8b", "w0 0f c7 /1", "+Mq", exec_cmpxchg8b, LOCKABLE, .flags_written = FLAG_ZF, .feature = F_CX8},
    {"cmpxchg16b", "rexw 0f c7 /1", "M", exec_cmpxchg16b, LOCKABLE | MEM_DST_NOPROBE, .flags_written = FLAG_ZF, .feature = F_CX16},
    {"adcx", "66 0f 38 f6 /r", "+Gy,Ey", exec_adcx, 0, FLAG_CF, FLAG_CF, .feature = F_ADX},
    {"adox", "f3 0f 38 f6 /r", "+Gy,Ey", exec_adox, 0, FLAG_OF, FLAG_OF, .feature = F_ADX},
    {0},
};
/* clang-format on */
