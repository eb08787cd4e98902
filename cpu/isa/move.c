/* SPDX-License-Identifier: MIT */
/*
 * Data movement without arithmetic: MOV, MOVZX, MOVSX, LEA, XCHG, CMOVcc, SETcc, XLAT, the flag
 * instructions and everything that does nothing. SDM Vol 2, by mnemonic. MOV with segment, control
 * and debug registers is elsewhere (far.c, system.c).
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

static ALWAYS_INLINE u64 sem_mov(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)v;
    (void)a;
    (void)w;
    return b;
}

static ALWAYS_INLINE u64 sem_sign1(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)v;
    (void)a;
    (void)w;
    return sign_extend(b, 1);
}

static ALWAYS_INLINE u64 sem_sign2(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)v;
    (void)a;
    (void)w;
    return sign_extend(b, 2);
}

static ALWAYS_INLINE u64 sem_sign4(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)v;
    (void)a;
    (void)w;
    return sign_extend(b, 4);
}

EXEC_BINARY(mov, sem_mov)
EXEC_BINARY(movsx1, sem_sign1)
EXEC_BINARY(movsx2, sem_sign2)
EXEC_BINARY(movsx4, sem_sign4)

STAMP_E_G(mov, sem_mov, 2)
STAMP_G_E(mov, sem_mov, 1)
STAMP_E_I(mov, sem_mov, 2)
STAMP_Z_I(mov, sem_mov, 1)
STAMP_G_EX(movzx1, sem_mov, 1)
STAMP_G_EX(movzx2, sem_mov, 2)
STAMP_G_EX(movsx1, sem_sign1, 1)
STAMP_G_EX(movsx2, sem_sign2, 2)
STAMP_G_EX(movsx4, sem_sign4, 4)

/* MOVSXD of 16 bits reads just these: not by the handler that loads 32. */
static insn_run stamp_movsxd(const struct insn *in, u32 mode)
{
    return in->width == 2 ? NULL : stamp_movsx4_G_EX(in, mode);
}

/* MOV between the accumulator and an absolute offset. */
#define STAMP_MOFFS_(w, name, kind)                                                                \
    STAMP_FN(run_mov_a_o_##name##w)                                                                \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(p, rtag, la, w, ACCESS_READ);                                                    \
        reg_write(v, REG_RAX, w, load_le(p, w));                                                   \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_mov_o_a_##name##w)                                                                \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_STORE(la, w, reg_read(v, REG_RAX, w));                                               \
        NEXT(v, in);                                                                               \
    }
#define STAMP_MOFFS(w) STAMP_MOFFS_(w, f, EA_FLAT) STAMP_MOFFS_(w, o, EA_OPEN)
STAMP_MOFFS(1)
STAMP_MOFFS(2)
STAMP_MOFFS(4)
STAMP_MOFFS(8)

static insn_run stamp_mov_a_o(const struct insn *in, u32 mode)
{
    static const insn_run table[3][4] = STAMP_TABLE_M(run_mov_a_o_);

    return table[ea_kind(in, mode)][stamp_width(in)];
}

static insn_run stamp_mov_o_a(const struct insn *in, u32 mode)
{
    static const insn_run table[3][4] = STAMP_TABLE_M(run_mov_o_a_);

    return table[ea_kind(in, mode)][stamp_width(in)];
}

/* ---- LEA ---- */

static bool exec_lea(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = insn_offset(v, in);
    return true;
}

/* The usual 64-bit and 32-bit shapes, by what the address consists of. */
STAMP_FN(run_lea8_base)
{
    v->state.reg[in->reg] = v->state.reg[in->base] + (u64)in->disp;
    NEXT(v, in);
}

STAMP_FN(run_lea8_index)
{
    v->state.reg[in->reg] =
        v->state.reg[in->base] + (v->state.reg[in->index] << in->scale) + (u64)in->disp;
    NEXT(v, in);
}

STAMP_FN(run_lea4)
{
    v->state.reg[in->reg] =
        (u32)(v->state.reg[in->base] + (v->state.reg[in->index] << in->scale) + (u64)in->disp);
    NEXT(v, in);
}

STAMP_FN(run_lea)
{
    reg_write(v, in->reg, in->width, insn_offset(v, in));
    NEXT(v, in);
}

static insn_run stamp_lea(const struct insn *in, u32 mode)
{
    (void)mode;
    if (in->width == 8 && in->addr == 8)
        return in->index == REG_NONE ? run_lea8_base : run_lea8_index;
    if (in->width == 4 && in->addr >= 4)
        return run_lea4;
    return run_lea;
}

/* ---- XCHG, XLAT ---- */

static bool exec_xchg(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 a = x->val[0];

    (void)v;
    (void)in;
    x->val[0] = x->val[1];
    x->val[1] = a;
    return true;
}

#define STAMP_XCHG_(w)                                                                             \
    STAMP_FN(run_xchg_r##w)                                                                        \
    {                                                                                              \
        const u64 a = reg_read(v, in->rm, w);                                                      \
        const u64 b = reg_read(v, in->reg, w);                                                     \
        reg_write(v, in->rm, w, b);                                                                \
        reg_write(v, in->reg, w, a);                                                               \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_XCHG_M_(run_xchg_mf##w, w, EA_FLAT)                                                      \
    STAMP_XCHG_M_(run_xchg_mo##w, w, EA_OPEN)
#define STAMP_XCHG_M_(fn, w, kind)                                                                 \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, kind);                                                      \
        STAMP_PTR(p, wtag, la, w, ACCESS_READ | ACCESS_WRITE);                                     \
        const u64 a = load_le(p, w);                                                               \
        store_le(p, reg_read(v, in->reg, w), w);                                                   \
        reg_write(v, in->reg, w, a);                                                               \
        NEXT(v, in);                                                                               \
    }
STAMP_XCHG_(1)
STAMP_XCHG_(2)
STAMP_XCHG_(4)
STAMP_XCHG_(8)
STAMP_PICK_RM_(stamp_xchg, run_xchg_r, run_xchg_m)

STAMP_FN(run_xchg_a)
{
    const u64 a = reg_read(v, REG_RAX, in->width);

    reg_write(v, REG_RAX, in->width, reg_read(v, in->rm, in->width));
    reg_write(v, in->rm, in->width, a);
    NEXT(v, in);
}

static insn_run stamp_xchg_a(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_xchg_a;
}

static bool exec_xlat(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 offset =
        (v->state.reg[REG_RBX] + (v->state.reg[REG_RAX] & 0xff)) & width_mask(in->addr);
    u64 la;

    return seg_linear(v, (enum seg)in->seg, offset, 1, ACCESS_READ, &la) &&
           mem_load(v, la, 1, segment_flag(in), &x->val[0]);
}

/* ---- CMOVcc, SETcc ---- */

/* The load always happens, and a 32-bit destination is always written: its upper half clears. */
#define CMOV_(fn, cc, w, sw_load)                                                                  \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        sw_load;                                                                                   \
        if (condition(v, cc))                                                                      \
            reg_write(v, in->reg, w, e);                                                           \
        else if ((w) == 4)                                                                         \
            reg_write(v, in->reg, w, v->state.reg[in->reg]);                                       \
        NEXT(v, in);                                                                               \
    }
#define CMOV_LOAD_R_(w) const u64 e = reg_read(v, in->rm, w)
#define CMOV_LOAD_M_(w, kind)                                                                      \
    const u64 la = stamp_ea(v, in, kind);                                                          \
    STAMP_PTR(p, rtag, la, w, ACCESS_READ);                                                        \
    const u64 e = load_le(p, w)
#define CMOV_W_(cc, w)                                                                             \
    CMOV_(run_cmov##cc##_r##w, 0x##cc, w, CMOV_LOAD_R_(w))                                         \
    CMOV_(run_cmov##cc##_mf##w, 0x##cc, w, CMOV_LOAD_M_(w, EA_FLAT))                               \
    CMOV_(run_cmov##cc##_mo##w, 0x##cc, w, CMOV_LOAD_M_(w, EA_OPEN))

/* cc is one hexadecimal digit. */
#define CONDITIONAL(cc)                                                                            \
    static ALWAYS_INLINE u64 sem_set##cc(struct vcpu *v, u64 a, u64 b, unsigned w)                 \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        (void)w;                                                                                   \
        return condition(v, 0x##cc);                                                               \
    }                                                                                              \
    EXEC_UNARY(set##cc, sem_set##cc)                                                               \
    STAMP_E_0(set##cc, sem_set##cc)                                                                \
    static bool exec_cmov##cc(struct vcpu *v, const struct insn *in, struct operands *x)           \
    {                                                                                              \
        (void)in;                                                                                  \
        if (condition(v, 0x##cc))                                                                  \
            x->val[0] = x->val[1];                                                                 \
        return true;                                                                               \
    }                                                                                              \
    CMOV_W_(cc, 4)                                                                                 \
    CMOV_W_(cc, 8)                                                                                 \
    static insn_run stamp_cmov##cc(const struct insn *in, u32 mode)                                \
    {                                                                                              \
        static const insn_run m[3][2] = {{run_cmov##cc##_mf4, run_cmov##cc##_mf8},                 \
                                         {run_cmov##cc##_mo4, run_cmov##cc##_mo8},                 \
                                         {NULL, NULL}};                                            \
        if (in->width == 2)                                                                        \
            return NULL;                                                                           \
        if ((in->prefix & PREFIX_MEM) != 0)                                                        \
            return m[ea_kind(in, mode)][in->width == 8];                                           \
        return in->width == 8 ? run_cmov##cc##_r8 : run_cmov##cc##_r4;                             \
    }
CONDITIONAL(0)
CONDITIONAL(1)
CONDITIONAL(2)
CONDITIONAL(3)
CONDITIONAL(4)
CONDITIONAL(5)
CONDITIONAL(6)
CONDITIONAL(7)
CONDITIONAL(8)
CONDITIONAL(9)
CONDITIONAL(a)
CONDITIONAL(b)
CONDITIONAL(c)
CONDITIONAL(d)
CONDITIONAL(e)
CONDITIONAL(f)

/* ---- flags ---- */

/* In 64-bit mode LAHF and SAHF are a feature of their own (CPUID 80000001h ECX bit 0). */
static bool lahf_exists(const struct vcpu *v)
{
    return !mode64(v) || has_feature(v, F_LAHF);
}

static bool exec_lahf(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (!lahf_exists(v))
        return RAISE_UD(v);
    reg_write(v, REG_HIGH_BYTE | REG_RAX, 1, flags_arith(v) | FLAG_1);
    return true;
}

enum { SAHF_FLAGS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF };

static bool exec_sahf(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (!lahf_exists(v))
        return RAISE_UD(v);
    flags_write(v, SAHF_FLAGS, reg_read(v, REG_HIGH_BYTE | REG_RAX, 1));
    return true;
}

#define FLAG_INSTRUCTION(op, statement)                                                            \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        (void)in;                                                                                  \
        (void)x;                                                                                   \
        statement;                                                                                 \
        return true;                                                                               \
    }                                                                                              \
    STAMP_FN(run_##op)                                                                             \
    {                                                                                              \
        statement;                                                                                 \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    static insn_run stamp_##op(const struct insn *in, u32 mode)                                    \
    {                                                                                              \
        (void)in;                                                                                  \
        (void)mode;                                                                                \
        return run_##op;                                                                           \
    }
FLAG_INSTRUCTION(clc, flags_set_cf(v, false))
FLAG_INSTRUCTION(stc, flags_set_cf(v, true))
FLAG_INSTRUCTION(cmc, flags_set_cf(v, !flag_cf(v)))
FLAG_INSTRUCTION(cld, v->state.rflags &= ~(u64)FLAG_DF)
FLAG_INSTRUCTION(std, v->state.rflags |= FLAG_DF)
FLAG_INSTRUCTION(nop, (void)v)

/* clang-format off */
#define CC_ROWS(cc, name, flags) \
    {"set" name, "0f 9" #cc " /r", "=Eb", exec_set##cc, .flags_read = flags, .stamp = stamp_set##cc##_E_0}, \
    {"cmov" name, "0f 4" #cc " /r", "+Gv,Ev", exec_cmov##cc, CMOV_LOAD, .flags_read = flags, .feature = F_CMOV, .stamp = stamp_cmov##cc}

const struct insn_def isa_move[] = {
    {"mov", "88 /r", "=Eb,Gb", exec_mov, .stamp = stamp_mov_E_G},
    {"mov", "89 /r", "=Ev,Gv", exec_mov, .stamp = stamp_mov_E_G},
    {"mov", "8a /r", "=Gb,Eb", exec_mov, .stamp = stamp_mov_G_E},
    {"mov", "8b /r", "=Gv,Ev", exec_mov, .stamp = stamp_mov_G_E},
    {"mov", "a0", "=AL,Ob", exec_mov, .stamp = stamp_mov_a_o},
    {"mov", "a1", "=rAX,Ov", exec_mov, .stamp = stamp_mov_a_o},
    {"mov", "a2", "=Ob,AL", exec_mov, .stamp = stamp_mov_o_a},
    {"mov", "a3", "=Ov,rAX", exec_mov, .stamp = stamp_mov_o_a},
    {"mov", "b0+r", "=Zb,Ib", exec_mov, .stamp = stamp_mov_Z_I},
    {"mov", "b8+r", "=Zv,Iv", exec_mov, .stamp = stamp_mov_Z_I},
    {"mov", "c6 /0", "=Eb,Ib", exec_mov, .stamp = stamp_mov_E_I},
    {"mov", "c7 /0", "=Ev,Iz", exec_mov, .stamp = stamp_mov_E_I},
    {"movzx", "0f b6 /r", "=Gv,Eb", exec_mov, .stamp = stamp_movzx1_G_EX},
    {"movzx", "0f b7 /r", "=Gv,Ew", exec_mov, .stamp = stamp_movzx2_G_EX},
    {"movsx", "0f be /r", "=Gv,Eb", exec_movsx1, .stamp = stamp_movsx1_G_EX},
    {"movsx", "0f bf /r", "=Gv,Ew", exec_movsx2, .stamp = stamp_movsx2_G_EX},
    {"movsxd", "63 /r", "=Gv,Ez", exec_movsx4, ONLY64, .stamp = stamp_movsxd},
    {"lea", "8d /r", "=Gv,M", exec_lea, .stamp = stamp_lea},
    {"xchg", "86 /r", "+Eb,+Gb", exec_xchg, LOCKABLE, .stamp = stamp_xchg},
    {"xchg", "87 /r", "+Ev,+Gv", exec_xchg, LOCKABLE, .stamp = stamp_xchg},
    {"xchg", "90+r", "+Zv,+rAX", exec_xchg, .stamp = stamp_xchg_a},
    {"nop", "90", "", exec_nop, .stamp = stamp_nop}, /* with REX.B it is XCHG */
    {"xlat", "d7", "=AL", exec_xlat},
    CC_ROWS(0, "o", FLAG_OF),
    CC_ROWS(1, "no", FLAG_OF),
    CC_ROWS(2, "b", FLAG_CF),
    CC_ROWS(3, "ae", FLAG_CF),
    CC_ROWS(4, "e", FLAG_ZF),
    CC_ROWS(5, "ne", FLAG_ZF),
    CC_ROWS(6, "be", FLAG_CF | FLAG_ZF),
    CC_ROWS(7, "a", FLAG_CF | FLAG_ZF),
    CC_ROWS(8, "s", FLAG_SF),
    CC_ROWS(9, "ns", FLAG_SF),
    CC_ROWS(a, "p", FLAG_PF),
    CC_ROWS(b, "np", FLAG_PF),
    CC_ROWS(c, "l", FLAG_SF | FLAG_OF),
    CC_ROWS(d, "ge", FLAG_SF | FLAG_OF),
    CC_ROWS(e, "le", FLAG_SF | FLAG_OF | FLAG_ZF),
    CC_ROWS(f, "g", FLAG_SF | FLAG_OF | FLAG_ZF),
    {"lahf", "9f", "", exec_lahf, .flags_read = SAHF_FLAGS},
    {"sahf", "9e", "", exec_sahf, .flags_written = SAHF_FLAGS},
    {"cmc", "f5", "", exec_cmc, 0, FLAG_CF, FLAG_CF, .stamp = stamp_cmc},
    {"clc", "f8", "", exec_clc, .flags_written = FLAG_CF, .stamp = stamp_clc},
    {"stc", "f9", "", exec_stc, .flags_written = FLAG_CF, .stamp = stamp_stc},
    {"cld", "fc", "", exec_cld, .flags_written = FLAG_DF, .stamp = stamp_cld},
    {"std", "fd", "", exec_std, .flags_written = FLAG_DF, .stamp = stamp_std},
    /* Hints, and the space kept for hints (SDM Vol 2B NOP, Vol 2D A.3): no operand is touched. */
    {"pause", "f3 90", "", exec_nop, .stamp = stamp_nop, .intercept = INTERCEPT_PAUSE},
    {"prefetchw", "0f 0d /r", "", exec_nop, .stamp = stamp_nop},
    {"prefetchnta", "0f 18 /0", "", exec_nop, .stamp = stamp_nop},
    {"prefetcht0", "0f 18 /1", "", exec_nop, .stamp = stamp_nop},
    {"prefetcht1", "0f 18 /2", "", exec_nop, .stamp = stamp_nop},
    {"prefetcht2", "0f 18 /3", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 18 /4", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 18 /5", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 18 /6", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 18 /7", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 19 /r", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 1a /r", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 1b /r", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 1c /r", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 1d /r", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 1e /r", "", exec_nop, .stamp = stamp_nop},
    {"nop", "0f 1f /r", "", exec_nop, .stamp = stamp_nop},
    {0},
};
/* clang-format on */
