/* SPDX-License-Identifier: MIT */
/*
 * Bit and byte instructions: BT and its kin, BSF/BSR and the counts, BSWAP, MOVBE, CRC32, BMI1,
 * BMI2 without the shifts (shift.c). SDM Vol 2, by mnemonic. Undefined flags: BT keeps all but CF;
 * BSF and BSR set those of their source; elsewhere AF, PF, SF follow the result, AF is clear.
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

__extension__ typedef unsigned __int128 u128;

/* ---- BT, BTS, BTR, BTC ---- */

static ALWAYS_INLINE u64 sem_bt(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_set_cf(v, (a >> (b & (8 * w - 1)) & 1) != 0);
    return a;
}

static ALWAYS_INLINE u64 sem_bts(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    return sem_bt(v, a, b, w) | BIT(b & (8 * w - 1));
}

static ALWAYS_INLINE u64 sem_btr(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    return sem_bt(v, a, b, w) & ~BIT(b & (8 * w - 1));
}

static ALWAYS_INLINE u64 sem_btc(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    return sem_bt(v, a, b, w) ^ BIT(b & (8 * w - 1));
}

EXEC_BINARY(bt, sem_bt)
EXEC_BINARY(bts, sem_bts)
EXEC_BINARY(btr, sem_btr)
EXEC_BINARY(btc, sem_btc)

/*
 * The memory operand of the register form is a bit string: the signed register selects the word,
 * before or behind the address (SDM Vol 2A 3.1.1.9, "Bit(BitBase, BitOffset)").
 */
static ALWAYS_INLINE u64 bit_string_word(u64 bit, unsigned w)
{
    return (u64)((i64)sign_extend(bit, w) >> (w == 8 ? 6 : w == 4 ? 5 : 4)) * w;
}

static bool bit_string_address(struct vcpu *v, const struct insn *in, u64 bit, u32 access, u64 *la)
{
    const unsigned w = in->width;
    const u64 offset = (insn_offset(v, in) + bit_string_word(bit, w)) & width_mask(in->addr);

    return seg_linear(v, (enum seg)in->seg, offset, w, access, la);
}

static bool exec_bt_string(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 la, word;

    if (!bit_string_address(v, in, x->val[1], ACCESS_READ, &la) ||
        !mem_load(v, la, in->width, segment_flag(in), &word))
        return false;
    (void)sem_bt(v, word, x->val[1], in->width);
    return true;
}

#define EXEC_STRING(op)                                                                            \
    static bool exec_##op##_string(struct vcpu *v, const struct insn *in, struct operands *x)      \
    {                                                                                              \
        u64 la, word;                                                                              \
                                                                                                   \
        if (!bit_string_address(v, in, x->val[1], ACCESS_READ | ACCESS_WRITE, &la) ||              \
            !mem_probe_write(v, la, in->width, segment_flag(in)) ||                                \
            !mem_load(v, la, in->width, segment_flag(in), &word))                                  \
            return false;                                                                          \
        return mem_store(v, la, in->width, segment_flag(in),                                       \
                         sem_##op(v, word, x->val[1], in->width));                                 \
    }
EXEC_STRING(bts)
EXEC_STRING(btr)
EXEC_STRING(btc)

/* Stamped bit strings in 64-bit mode: bitmaps. */
#define STAMP_STRING_(op, w, tag, access, store)                                                   \
    STAMP_FN(run_##op##_string##w)                                                                 \
    {                                                                                              \
        const u64 bit = reg_read(v, in->reg, w);                                                   \
        const u64 la = stamp_ea(v, in, EA_FLAT) + bit_string_word(bit, w);                         \
        STAMP_PTR(p, tag, la, w, access);                                                          \
        const u64 word = sem_##op(v, load_le(p, w), bit, w);                                       \
        if (store)                                                                                 \
            store_le(p, word, w);                                                                  \
        NEXT(v, in);                                                                               \
    }
#define STAMP_STRING(op, tag, access, store)                                                       \
    STAMP_STRING_(op, 4, tag, access, store)                                                       \
    STAMP_STRING_(op, 8, tag, access, store)                                                       \
    static insn_run stamp_##op##_string(const struct insn *in, u32 mode)                           \
    {                                                                                              \
        if (ea_kind(in, mode) != EA_FLAT || in->width == 2)                                        \
            return NULL;                                                                           \
        return in->width == 8 ? run_##op##_string8 : run_##op##_string4;                           \
    }
STAMP_STRING(bt, rtag, ACCESS_READ, false)
STAMP_STRING(bts, wtag, ACCESS_READ | ACCESS_WRITE, true)
STAMP_STRING(btr, wtag, ACCESS_READ | ACCESS_WRITE, true)
STAMP_STRING(btc, wtag, ACCESS_READ | ACCESS_WRITE, true)

#define STAMP_BIT(op, wb)                                                                          \
    STAMP_E_I(op, sem_##op, wb)                                                                    \
    STAMP_ALL_RR_(run_##op##_r_g, sem_##op, wb, rm, reg)                                           \
    STAMP_PICK_R_(stamp_##op##_R_G, run_##op##_r_g)
STAMP_BIT(bt, 0)
STAMP_BIT(bts, 1)
STAMP_BIT(btr, 1)
STAMP_BIT(btc, 1)

/* ---- BSF, BSR, TZCNT, LZCNT, POPCNT ---- */

/* With a source of 0 the whole destination stays as it is, its upper half included. */
static ALWAYS_INLINE void scan_bsf(struct vcpu *v, const struct insn *in, u64 from, unsigned w)
{
    flags_logic(v, from, w);
    if (from != 0)
        reg_write(v, in->reg, w, (u64)__builtin_ctzll(from));
}

static ALWAYS_INLINE void scan_bsr(struct vcpu *v, const struct insn *in, u64 from, unsigned w)
{
    flags_logic(v, from, w);
    if (from != 0)
        reg_write(v, in->reg, w, 63u - (u64)__builtin_clzll(from));
}

static ALWAYS_INLINE void scan_tzcnt(struct vcpu *v, const struct insn *in, u64 from, unsigned w)
{
    const u64 count = from == 0 ? 8u * w : (u64)__builtin_ctzll(from);

    reg_write(v, in->reg, w, count);
    flags_result_cf_of(v, count, 8, from == 0, false);
}

static ALWAYS_INLINE void scan_lzcnt(struct vcpu *v, const struct insn *in, u64 from, unsigned w)
{
    const u64 count = from == 0 ? 8u * w : (u64)__builtin_clzll(from) - (64 - 8u * w);

    reg_write(v, in->reg, w, count);
    flags_result_cf_of(v, count, 8, from == 0, false);
}

/* Of all flags only ZF may be set. */
static ALWAYS_INLINE void scan_popcnt(struct vcpu *v, const struct insn *in, u64 from, unsigned w)
{
    reg_write(v, in->reg, w, (u64)__builtin_popcountll(from));
    flags_load(v, from == 0 ? FLAG_ZF : 0);
}

#define STAMP_SCAN_(op, w)                                                                         \
    STAMP_FN(run_##op##_r##w)                                                                      \
    {                                                                                              \
        scan_##op(v, in, reg_read(v, in->rm, w), w);                                               \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_##op##_mf##w)                                                                     \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, EA_FLAT);                                                   \
        STAMP_PTR(p, rtag, la, w, ACCESS_READ);                                                    \
        scan_##op(v, in, load_le(p, w), w);                                                        \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_##op##_mo##w)                                                                     \
    {                                                                                              \
        const u64 la = stamp_ea(v, in, EA_OPEN);                                                   \
        STAMP_PTR(p, rtag, la, w, ACCESS_READ);                                                    \
        scan_##op(v, in, load_le(p, w), w);                                                        \
        NEXT(v, in);                                                                               \
    }
#define SCAN(op)                                                                                   \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        scan_##op(v, in, x->val[1], in->width);                                                    \
        return true;                                                                               \
    }                                                                                              \
    STAMP_SCAN_(op, 4)                                                                             \
    STAMP_SCAN_(op, 8)                                                                             \
    static insn_run stamp_##op(const struct insn *in, u32 mode)                                    \
    {                                                                                              \
        static const insn_run m[3][2] = {{run_##op##_mf4, run_##op##_mf8},                         \
                                         {run_##op##_mo4, run_##op##_mo8},                         \
                                         {NULL, NULL}};                                            \
        if (in->width == 2)                                                                        \
            return NULL;                                                                           \
        if ((in->prefix & PREFIX_MEM) != 0)                                                        \
            return m[ea_kind(in, mode)][in->width == 8];                                           \
        return in->width == 8 ? run_##op##_r8 : run_##op##_r4;                                     \
    }
SCAN(bsf)
SCAN(bsr)
SCAN(tzcnt)
SCAN(lzcnt)
SCAN(popcnt)

/* ---- byte order, CRC ---- */

/* With a 16-bit operand BSWAP's result is undefined; processors clear it, and so do we. */
static ALWAYS_INLINE u64 sem_bswap(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)v;
    (void)b;
    return w == 8 ? __builtin_bswap64(a) : w == 4 ? __builtin_bswap32((u32)a) : 0;
}

EXEC_UNARY(bswap, sem_bswap)
STAMP_Z(bswap, sem_bswap, 1)

static bool exec_movbe(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = __builtin_bswap64(x->val[1]) >> (64 - 8 * in->width);
    return true;
}

/* CRC-32C, reflected: the remainders of 4 bits. */
static u32 crc32c(u32 crc, u64 data, unsigned bytes)
{
    static const u32 table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    for (unsigned i = 0; i < 2 * bytes; i++) {
        crc = table[(crc ^ (u32)data) & 15] ^ crc >> 4;
        data >>= 4;
    }
    return crc;
}

static bool exec_crc32_byte(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = crc32c((u32)x->val[0], x->val[1], 1);
    return true;
}

static bool exec_crc32(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = crc32c((u32)x->val[0], x->val[1], in->width);
    return true;
}

/* ---- BMI1, BMI2 ---- */

static bool exec_andn(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = ~x->val[1] & x->val[2] & width_mask(in->width);
    flags_logic(v, x->val[0], in->width);
    return true;
}

/* The control operand: start in bits 7:0, length in bits 15:8. */
static bool exec_bextr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned start = x->val[2] & 0xff;
    const unsigned length = x->val[2] >> 8 & 0xff;
    u64 field = start < 64 ? x->val[1] >> start : 0;

    if (length < 64)
        field &= BIT(length) - 1;
    x->val[0] = field;
    flags_logic(v, field, in->width);
    return true;
}

static bool exec_blsi(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = x->val[1] & (0 - x->val[1]);
    flags_result_cf_of(v, x->val[0], in->width, x->val[1] != 0, false);
    return true;
}

static bool exec_blsmsk(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = x->val[1] ^ (x->val[1] - 1);
    flags_result_cf_of(v, x->val[0], in->width, x->val[1] == 0, false);
    return true;
}

static bool exec_blsr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = x->val[1] & (x->val[1] - 1);
    flags_result_cf_of(v, x->val[0], in->width, x->val[1] == 0, false);
    return true;
}

static bool exec_bzhi(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const unsigned index = x->val[2] & 0xff;
    const bool beyond = index > 8u * in->width - 1;

    x->val[0] = beyond ? x->val[1] : x->val[1] & (BIT(index) - 1);
    flags_result_cf_of(v, x->val[0], in->width, beyond, false);
    return true;
}

static bool exec_pdep(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 from = x->val[1];
    u64 result = 0;

    (void)v;
    (void)in;
    for (u64 mask = x->val[2]; mask != 0; mask &= mask - 1) {
        if ((from & 1) != 0)
            result |= mask & (0 - mask);
        from >>= 1;
    }
    x->val[0] = result;
    return true;
}

static bool exec_pext(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 result = 0;
    unsigned at = 0;

    (void)v;
    (void)in;
    for (u64 mask = x->val[2]; mask != 0; mask &= mask - 1)
        result |= (u64)((x->val[1] & mask & (0 - mask)) != 0) << at++;
    x->val[0] = result;
    return true;
}

/* If both destinations are one register, it gets the high half. */
static bool exec_mulx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u128 product = (u128)reg_read(v, REG_RDX, in->width) * x->val[2];

    x->val[0] = (u64)(product >> (8 * in->width));
    x->val[1] = in->reg == in->vvvv ? x->val[0] : (u64)product;
    return true;
}

/* clang-format off */
#define BIT_TEST .flags_written = FLAG_CF, .flags_undefined = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF
#define BIT_SCAN .flags_written = FLAGS_ARITH, .flags_undefined = FLAGS_ARITH & ~FLAG_ZF
#define BIT_COUNT .flags_written = FLAGS_ARITH, .flags_undefined = FLAGS_ARITH & ~(FLAG_ZF | FLAG_CF)
#define BMI .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_AF | FLAG_PF

const struct insn_def isa_bits[] = {
    {"bt", "0f a3 /r", "Rv,Gv", exec_bt, 0, BIT_TEST, .stamp = stamp_bt_R_G},
    {"bt", "0f a3 /r", "M,Gv", exec_bt_string, 0, BIT_TEST, .stamp = stamp_bt_string},
    {"bt", "0f ba /4", "Ev,Ib", exec_bt, 0, BIT_TEST, .stamp = stamp_bt_E_I},
    {"bts", "0f ab /r", "+Rv,Gv", exec_bts, 0, BIT_TEST, .stamp = stamp_bts_R_G},
    {"bts", "0f ab /r", "M,Gv", exec_bts_string, LOCKABLE | MEM_DST_NOPROBE, BIT_TEST, .stamp = stamp_bts_string},
    {"bts", "0f ba /5", "+Ev,Ib", exec_bts, LOCKABLE, BIT_TEST, .stamp = stamp_bts_E_I},
    {"btr", "0f b3 /r", "+Rv,Gv", exec_btr, 0, BIT_TEST, .stamp = stamp_btr_R_G},
    {"btr", "0f b3 /r", "M,Gv", exec_btr_string, LOCKABLE | MEM_DST_NOPROBE, BIT_TEST, .stamp = stamp_btr_string},
    {"btr", "0f ba /6", "+Ev,Ib", exec_btr, LOCKABLE, BIT_TEST, .stamp = stamp_btr_E_I},
    {"btc", "0f bb /r", "+Rv,Gv", exec_btc, 0, BIT_TEST, .stamp = stamp_btc_R_G},
    {"btc", "0f bb /r", "M,Gv", exec_btc_string, LOCKABLE | MEM_DST_NOPROBE, BIT_TEST, .stamp = stamp_btc_string},
    {"btc", "0f ba /7", "+Ev,Ib", exec_btc, LOCKABLE, BIT_TEST, .stamp = stamp_btc_E_I},
    /* These five write G themselves. On a CPU without TZCNT or LZCNT the decoder finds BSF or BSR. */
    {"bsf", "0f bc /r", "Gv,Ev", exec_bsf, 0, BIT_SCAN, .stamp = stamp_bsf},
    {"bsr", "0f bd /r", "Gv,Ev", exec_bsr, 0, BIT_SCAN, .stamp = stamp_bsr},
    {"tzcnt", "f3 0f bc /r", "Gv,Ev", exec_tzcnt, 0, BIT_COUNT, .feature = F_BMI1, .stamp = stamp_tzcnt},
    {"lzcnt", "f3 0f bd /r", "Gv,Ev", exec_lzcnt, 0, BIT_COUNT, .feature = F_LZCNT, .stamp = stamp_lzcnt},
    {"popcnt", "f3 0f b8 /r", "Gv,Ev", exec_popcnt, 0, .flags_written = FLAGS_ARITH, .feature = F_POPCNT, .stamp = stamp_popcnt},
    {"bswap", "0f c8+r", "+Zv", exec_bswap, .stamp = stamp_bswap_Z},
    {"movbe", "0f 38 f0 /r", "=Gv,Mv", exec_movbe, .feature = F_MOVBE},
    {"movbe", "0f 38 f1 /r", "=Mv,Gv", exec_movbe, .feature = F_MOVBE},
    {"crc32", "f2 0f 38 f0 /r", "+Gy,Eb", exec_crc32_byte, .feature = F_SSE42},
    {"crc32", "f2 0f 38 f1 /r", "+Gy,Ev", exec_crc32, .feature = F_SSE42},
    {"andn", "vex.lz.np.0f38.wig f2 /r", "=Gy,By,Ey", exec_andn, PROT, BMI, .feature = F_BMI1},
    {"bextr", "vex.lz.np.0f38.wig f7 /r", "=Gy,Ey,By", exec_bextr, PROT, .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_AF | FLAG_SF | FLAG_PF, .feature = F_BMI1},
    {"blsr", "vex.lz.np.0f38.wig f3 /1", "=By,Ey", exec_blsr, PROT, BMI, .feature = F_BMI1},
    {"blsmsk", "vex.lz.np.0f38.wig f3 /2", "=By,Ey", exec_blsmsk, PROT, BMI, .feature = F_BMI1},
    {"blsi", "vex.lz.np.0f38.wig f3 /3", "=By,Ey", exec_blsi, PROT, BMI, .feature = F_BMI1},
    {"bzhi", "vex.lz.np.0f38.wig f5 /r", "=Gy,Ey,By", exec_bzhi, PROT, BMI, .feature = F_BMI2},
    {"pdep", "vex.lz.f2.0f38.wig f5 /r", "=Gy,By,Ey", exec_pdep, PROT, .feature = F_BMI2},
    {"pext", "vex.lz.f3.0f38.wig f5 /r", "=Gy,By,Ey", exec_pext, PROT, .feature = F_BMI2},
    {"mulx", "vex.lz.f2.0f38.wig f6 /r", "=Gy,=By,Ey", exec_mulx, PROT, .feature = F_BMI2},
    {0},
};
/* clang-format on */
