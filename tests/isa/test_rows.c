/* SPDX-License-Identifier: MIT */
/*
 * The rows of cpu/isa: they parse, do not overlap, decode to themselves in every mode, and Capstone
 * agrees with their length and mnemonic. Samples are made from the rows themselves.
 */
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "tests/run_suite.h"

#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODE_16, MODE_32, MODE_64, MODES, BYTES = 15 };

static const char *const mode_name[MODES] = {"16", "32", "64"};

static csh capstone[MODES];
static struct vcpu *cpu[MODES];

static void setup(void)
{
    static const cs_mode modes[MODES] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    static const u32 code[MODES] = {0, MODE_CODE32, MODE_CODE64};
    const u32 open = MODE_OPEN_ES | MODE_OPEN_SS | MODE_OPEN_DS | MODE_OPEN_FS | MODE_OPEN_GS;

    for (int m = 0; m < MODES; m++) {
        ck_assert_int_eq(cs_open(CS_ARCH_X86, modes[m], &capstone[m]), CS_ERR_OK);
        cpu[m] = aligned_alloc(64, align_up(sizeof(struct vcpu), 64));
        memset(cpu[m], 0, sizeof(struct vcpu));
        memset(cpu[m]->features, 0xff, sizeof(cpu[m]->features));
        cpu[m]->mode = MODE_PROT | MODE_CPL0 | code[m] | open;
    }
}

static void teardown(void)
{
    for (int m = 0; m < MODES; m++) {
        cs_close(&capstone[m]);
        free(cpu[m]);
    }
}

/* ---- samples ---- */

struct sample {
    u8 bytes[BYTES];
    unsigned length; /* up to and with ModRM, SIB and displacement; filler behind */
};

/* What a sample varies. */
struct variant {
    bool memory, osize, rexw, rex_high;
    u8 rm; /* ModRM.rm and mod: an addressing form */
    u8 mod;
};

static void put(struct sample *s, unsigned byte)
{
    s->bytes[s->length++] = (u8)byte;
}

static unsigned modrm_byte(const struct row *row, const struct variant *t)
{
    unsigned mod = t->memory ? t->mod : 3, reg = t->rex_high ? 3 : 2;
    unsigned value;

    for (unsigned i = 0; i < row->count; i++) {
        if (row->operand[i].kind == OPERAND_SEG || row->operand[i].kind == OPERAND_CR)
            reg = 3;
    }
    value = mod << 6 | reg << 3 | (row->flags & ROW_VSIB ? 4 : t->rm);
    return (value & ~(unsigned)row->modrm_mask) | row->modrm_value;
}

static void put_vex(struct sample *s, const struct row *row, const struct variant *t, int mode)
{
    const unsigned pp = row->accept & ACCEPT_66   ? 1
                        : row->accept & ACCEPT_F3 ? 2
                        : row->accept & ACCEPT_F2 ? 3
                                                  : 0;
    const bool w = (row->accept & ACCEPT_W) == ACCEPT_W ? t->rexw : (row->accept & ACCEPT_W1) != 0;
    const bool l = (row->accept & ACCEPT_L) == ACCEPT_L ? false : (row->accept & ACCEPT_L1) != 0;
    const unsigned vvvv = row->flags & ROW_VVVV ? 5 : 0;
    const unsigned low = (~vvvv & 15) << 3 | (unsigned)l << 2 | pp;

    if (row->map == MAP_VEX && !w && !(t->rex_high && mode == MODE_64)) {
        put(s, 0xc5);
        put(s, 0x80 | low);
        return;
    }
    put(s, 0xc4);
    put(s, (t->rex_high && mode == MODE_64 ? 0x40 : 0xe0) | (row->map - MAP_VEX + 1u));
    put(s, (unsigned)w << 7 | low);
}

/* Segment, control and debug registers have no extended numbers. */
static bool has_special(const struct row *row)
{
    for (unsigned i = 0; i < row->count; i++) {
        if (row->operand[i].kind >= OPERAND_SEG && row->operand[i].kind <= OPERAND_DR)
            return true;
    }
    return false;
}

static void put_legacy(struct sample *s, const struct row *row, const struct variant *t, int mode)
{
    const u16 prefix = row->accept & ACCEPT_PREFIX;
    const bool w = (row->accept & ACCEPT_W) == ACCEPT_W ? t->rexw : (row->accept & ACCEPT_W1) != 0;
    const unsigned high = has_special(row) ? 1 : 5; /* REX.R and REX.B */
    const unsigned rex = (w ? 8u : 0) | (t->rex_high ? high : 0);

    if (t->osize && !(prefix == ACCEPT_NP || prefix == ACCEPT_66))
        put(s, 0x66);
    if (prefix == ACCEPT_66)
        put(s, 0x66);
    else if (prefix == ACCEPT_F3)
        put(s, 0xf3);
    else if (prefix == ACCEPT_F2)
        put(s, 0xf2);
    if (mode == MODE_64 && rex != 0)
        put(s, 0x40 | rex);
    if (row->map != MAP_ONE)
        put(s, 0x0f);
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        put(s, row->map == MAP_0F38 ? 0x38 : 0x3a);
}

/* Bytes of the row in this variant, or false if the row has no such form in this mode. */
static bool make_sample(const struct row *row, const struct variant *t, int mode, struct sample *s)
{
    const bool code64 = mode == MODE_64;
    static const u8 filler[BYTES] = {0x11, 0x22, 0x13, 0x24, 0x15, 0x26, 0x17, 0x28,
                                     0x19, 0x2a, 0x1b, 0x2c, 0x1d, 0x2e, 0x1f};

    s->length = 0;
    if ((row->flags & ROW_VSIB) && mode == MODE_16)
        put(s, 0x67); /* 16-bit addresses have no SIB */
    if (!(row->accept & (code64 ? ACCEPT_64 : ACCEPT_LEGACY)))
        return false;
    if (!code64 && (t->rexw || t->rex_high))
        return false;
    if (t->rex_high && !(row->accept & ACCEPT_B1))
        return false;
    if (!code64 && (!(row->flags & ROW_VEX) || (row->flags & ROW_W_SIZE)) &&
        !(row->accept & ACCEPT_W0))
        return false;
    if ((row->flags & ROW_MODRM) && !(row->accept & (t->memory ? ACCEPT_MEM : ACCEPT_REG)))
        return false;
    if (row->flags & ROW_VEX)
        put_vex(s, row, t, mode);
    else
        put_legacy(s, row, t, mode);
    put(s, row->opcode + (row->flags & ROW_OPREG ? 3u : 0u));
    if (row->flags & ROW_MODRM)
        put(s, modrm_byte(row, t));
    memcpy(s->bytes + s->length, filler, BYTES - s->length);
    return true;
}

static const struct variant variants[] = {
    {.rm = 1},
    {.rm = 1, .osize = true},
    {.rm = 6, .rexw = true},
    {.rm = 2, .rex_high = true},
    {.rm = 0, .memory = true, .mod = 0},
    {.rm = 3, .memory = true, .mod = 1},
    {.rm = 6, .memory = true, .mod = 2},
    {.rm = 4, .memory = true, .mod = 0},
    {.rm = 4, .memory = true, .mod = 1, .rexw = true},
    {.rm = 5, .memory = true, .mod = 0},
    {.rm = 5, .memory = true, .mod = 1, .osize = true},
    {.rm = 4, .memory = true, .mod = 2, .rex_high = true, .osize = true},
};

/* ---- Capstone ---- */

struct known {
    const char *ours, *capstone, *reason;
};

/* Other names for the same instruction, and patterns of them. */
/* clang-format off */
static const struct known aliases[] = {
    {"shl", "sal", "encoding /6 is the same as /4"},
    {"xlat", "xlatb", "two spellings"},
    {"fwait", "wait", "two spellings"},
    {"mov", "movabs", "GNU name for 64-bit immediates and moffs"},
    {"cbw", "cwde", "name depends on the operand size"}, {"cbw", "cdqe", "operand size"},
    {"cwd", "cdq", "name depends on the operand size"}, {"cwd", "cqo", "operand size"},
    {"pusha", "pushaw", "operand size"}, {"pusha", "pushal", "operand size"},
    {"popa", "popaw", "operand size"}, {"popa", "popal", "operand size"},
    {"jrcxz", "jecxz", "name depends on the address size"}, {"jrcxz", "jcxz", "address size"},
    {"fxch4", "fxch", "alias encoding"}, {"fxch7", "fxch", "alias encoding"},
    {"fstp8", "fstp", "alias encoding"}, {"fstp9", "fstp", "alias encoding"},
    {"fcom2", "fcom", "alias encoding"},
    {"fcomp3", "fcomp", "alias encoding"}, {"fcomp5", "fcomp", "alias encoding"},
    {"fnsetpm", "fsetpm", "a no-operation since the 387"},
    {"fneni", "feni8087_nop", "a no-operation since the 287"},
    {"fndisi", "fdisi8087_nop", "a no-operation since the 287"},
    {"retf", "retfq", "operand size"}, {"iret", "iret*", "operand size"},
    {"pushf", "pushf*", "operand size"}, {"popf", "popf*", "operand size"},
    {"vcvtpd2ps", "vcvtpd2psx", "vector length"}, {"vcvtpd2dq", "vcvtpd2dqx", "vector length"},
    {"vcvttpd2dq", "vcvttpd2dqx", "vector length"},
    {"rdpid", "rdseed", "younger"},
    {"pause", "xchg", "Capstone prints F3 48 90 so"},
    {"cmpps", "cmp*ps", "Capstone puts the predicate in the name"}, {"cmppd", "cmp*pd", "predicate"},
    {"cmpss", "cmp*ss", "predicate"}, {"cmpsd", "cmp*sd", "predicate"},
    {"vcmpps", "vcmp*ps", "predicate"}, {"vcmppd", "vcmp*pd", "predicate"},
    {"vcmpss", "vcmp*ss", "predicate"}, {"vcmpsd", "vcmp*sd", "predicate"},
    {"movq", "movd", "Capstone prints F3 REX.W 0F 7E so"},
};

/* Rows with an encoding that Capstone 4.0.2 does not know, or sizes otherwise. */
static const struct known unknown[] = {
    {"gf2p8*", "", "GFNI is younger"}, {"vgf2p8*", "", "GFNI is younger"},
    {"vbroadcasti128", "", "missing"},
    {"vaes*", "", "256-bit forms are younger"}, {"vpclmulqdq", "", "256-bit form is younger"},
    {"clzero", "", "younger"}, {"rdpru", "", "younger"}, {"*pkru", "", "younger"}, {"clwb", "", "with REX.W taken for XSAVEOPT64"},
    {"ud0", "", "has a ModRM byte on present CPUs"}, {"ud1", "", "as ud0"},
    {"*fence", "", "only with ModRM.rm 0"},
    {"nop", "", "reserved hint opcodes with a register operand"},
    {"prefetch*", "", "register forms are reserved hints"},
};
/* clang-format on */

/*
 * What Capstone 4.0.2 cannot judge: mandatory prefixes in 16-bit code, which it does not look at;
 * and 66 with a near branch in 64-bit code, which it takes as AMD does (16-bit displacement), we as
 * Intel.
 */
static bool beyond_capstone(const struct row *row, const struct insn *in, int mode)
{
    if (mode == MODE_16 && !(row->flags & ROW_VEX) &&
        (row->accept & ACCEPT_PREFIX) != ACCEPT_PREFIX)
        return true;
    return mode == MODE_64 && (row->def.attr & BRANCH) && (in->prefix & PREFIX_66);
}

/* pattern: a name, in which one '*' stands for any letters. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = strchr(pattern, '*');
    const size_t before = star == NULL ? 0 : (size_t)(star - pattern);
    size_t after;

    if (star == NULL)
        return strcmp(pattern, name) == 0;
    after = strlen(star + 1);
    return strncmp(pattern, name, before) == 0 && strlen(name) >= before + after &&
           strcmp(name + strlen(name) - after, star + 1) == 0;
}

static const char *plain(const char *mnemonic)
{
    static const char *const words[] = {"lock ", "rep ",    "repne ",    "repe ",     "notrack ",
                                        "bnd ",  "data16 ", "xacquire ", "xrelease ", NULL};

    for (int i = 0; words[i] != NULL; i++) {
        if (strncmp(mnemonic, words[i], strlen(words[i])) == 0)
            return plain(mnemonic + strlen(words[i]));
    }
    return mnemonic;
}

static bool same_name(const struct row *row, const char *theirs)
{
    const char *ours = row->def.name;
    const size_t length = strlen(ours);

    if (strcmp(ours, theirs) == 0)
        return true;
    /* String instructions carry their size in Capstone's name. */
    if ((row->def.attr & STRING) && strncmp(ours, theirs, length) == 0 && theirs[length] != '\0' &&
        strchr("bwdq", theirs[length]) != NULL && theirs[length + 1] == '\0')
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (matches(aliases[i].ours, ours) && matches(aliases[i].capstone, theirs))
            return true;
    }
    return false;
}

static bool is_unknown(const char *ours)
{
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        if (matches(unknown[i].ours, ours))
            return true;
    }
    return false;
}

static unsigned complaints;

static void complain(const struct row *row, const struct sample *s, int mode, const char *what,
                     const char *theirs, unsigned our_length, unsigned their_length)
{
    complaints++;
    printf("%s-bit %s \"%s\" \"%s\": %s %s (length %u, %u):", mode_name[mode], row->def.name,
           row->def.encoding, row->def.operands, what, theirs, our_length, their_length);
    for (int i = 0; i < BYTES; i++)
        printf(" %02x", s->bytes[i]);
    printf("\n");
}

static void compare_sample(const struct row *row, const struct sample *s, int mode)
{
    struct insn in;
    cs_insn *theirs;
    const enum decode result = decode(cpu[mode], s->bytes, BYTES, &in);
    size_t count;

    if (result != DECODE_OK || in.def != &row->def) {
        complain(row, s, mode, "decodes to", in.def->name, in.len, 0);
        return;
    }
    if (beyond_capstone(row, &in, mode))
        return;
    count = cs_disasm(capstone[mode], s->bytes, BYTES, 0, 1, &theirs);
    if (count == 0) {
        if (!is_unknown(row->def.name))
            complain(row, s, mode, "unknown to Capstone", "", in.len, 0);
        return;
    }
    if (!is_unknown(row->def.name) &&
        (theirs->size != in.len || !same_name(row, plain(theirs->mnemonic))))
        complain(row, s, mode, "Capstone says", theirs->mnemonic, in.len, theirs->size);
    cs_free(theirs, count);
}

/* ---- the rules ---- */

START_TEST(every_row_parses_and_no_two_overlap)
{
    struct error error = {""};

    ck_assert_msg(isa_check(&error), "%s", error.text);
}
END_TEST

START_TEST(every_row_decodes_to_itself_and_capstone_agrees)
{
    const struct isa *isa = isa_get();
    unsigned samples = 0;

    complaints = 0;
    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);
        bool any = false;

        for (int mode = 0; mode < MODES; mode++) {
            for (size_t n = 0; n < ARRAY_SIZE(variants); n++) {
                struct sample s;

                if (!make_sample(row, &variants[n], mode, &s))
                    continue;
                compare_sample(row, &s, mode);
                any = true;
                samples++;
            }
        }
        ck_assert_msg(any, "no sample for \"%s\" \"%s\"", row->def.name, row->def.encoding);
    }
    printf("%u rows, %u samples\n", isa_row_count(isa), samples);
    ck_assert_uint_eq(complaints, 0);
}
END_TEST

/* ---- the other way round ---- */

/* clang-format off */
/* What Capstone knows and the CPU models do not have. */
static const struct known absent[] = {
    {"", "k*", "AVX-512"},
    {"", "vpermil2ps", "XOP"}, {"", "vpermil2pd", "XOP"},
    {"", "vfmaddss", "FMA4"}, {"", "vfmaddsd", "FMA4"}, {"", "vfmaddps", "FMA4"},
    {"", "vfmaddpd", "FMA4"}, {"", "vfmsubss", "FMA4"}, {"", "vfmsubsd", "FMA4"},
    {"", "vfmsubps", "FMA4"}, {"", "vfmsubpd", "FMA4"}, {"", "vfnmaddss", "FMA4"},
    {"", "vfnmaddsd", "FMA4"}, {"", "vfnmaddps", "FMA4"}, {"", "vfnmaddpd", "FMA4"},
    {"", "vfnmsubss", "FMA4"}, {"", "vfnmsubsd", "FMA4"}, {"", "vfnmsubps", "FMA4"},
    {"", "vfnmsubpd", "FMA4"}, {"", "vfmaddsubps", "FMA4"}, {"", "vfmaddsubpd", "FMA4"},
    {"", "vfmsubaddps", "FMA4"}, {"", "vfmsubaddpd", "FMA4"},
    {"", "vphaddw", "XOP, by Capstone's slip"},
    {"", "femms", "3DNow!"}, {"", "extrq", "SSE4a"}, {"", "insertq", "SSE4a"},
    {"", "movntss", "SSE4a"}, {"", "movntsd", "SSE4a"},
    {"", "xbegin", "TSX"}, {"", "xend", "TSX"}, {"", "xabort", "TSX"}, {"", "xtest", "TSX"},
    {"", "getsec", "SMX"}, {"", "enc*", "SGX"}, {"", "pcommit", "withdrawn by Intel"},
    {"", "xstorerng", "PadLock"}, {"", "xcrypt*", "PadLock"}, {"", "xsha*", "PadLock"},
    {"", "montmul", "PadLock"}, {"", "salc", "not documented"},
    {"", "vmread", "VMX"}, {"", "vmwrite", "VMX"}, {"", "vmptr*", "VMX"}, {"", "vmclear", "VMX"},
    {"", "vmxo*", "VMX"}, {"", "vmlaunch", "VMX"}, {"", "vmresume", "VMX"}, {"", "vmcall", "VMX"},
    {"", "vmfunc", "VMX"}, {"", "vmrun", "SVM"}, {"", "vmsave", "SVM"}, {"", "vmload", "SVM"},
    {"", "vmmcall", "SVM"},
    {"", "inv*pt", "VMX"}, {"", "invvpid", "VMX"},
    {"", "invlpga", "SVM"}, {"", "stgi", "SVM"}, {"", "clgi", "SVM"}, {"", "skinit", "SVM"},
};
/* clang-format on */

static bool is_absent(const char *theirs)
{
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        if (matches(absent[i].capstone, theirs))
            return true;
    }
    return false;
}

/* Has any row this name of Capstone's? */
static bool is_named(const char *theirs)
{
    const struct isa *isa = isa_get();

    for (u32 i = 0; i < isa_row_count(isa); i++) {
        if (same_name(isa_row(isa, i), theirs))
            return true;
    }
    return false;
}

/* A mnemonic that Capstone knows must be a row's or listed. Filler behind the opcode makes the
 * rest. */
static void check_known(const u8 *head, unsigned length, int mode)
{
    static bool seen[X86_INS_ENDING];
    struct sample s = {.length = length};
    struct insn in;
    cs_insn *theirs;
    size_t count;

    memset(s.bytes, 0x01, BYTES);
    memcpy(s.bytes, head, length);
    if (decode(cpu[mode], s.bytes, BYTES, &in) != DECODE_UD)
        return;
    count = cs_disasm(capstone[mode], s.bytes, BYTES, 0, 1, &theirs);
    if (count == 0)
        return;
    if (!seen[theirs->id] && !is_absent(plain(theirs->mnemonic)) &&
        !is_named(plain(theirs->mnemonic)))
        complain(row_of(in.def), &s, mode, "Capstone says", theirs->mnemonic, in.len, theirs->size);
    seen[theirs->id] = true;
    cs_free(theirs, count);
}

/* All ModRM bytes that differ in mod 3 or not, reg, and (mod 3) rm. */
static void check_opcode(const u8 *head, unsigned length, int mode)
{
    u8 bytes[8];

    memcpy(bytes, head, length);
    for (unsigned n = 0; n < 8 + 64; n++) {
        bytes[length] = (u8)(n < 8 ? n << 3 : 0xc0 + (n - 8));
        check_known(bytes, length + 1, mode);
    }
}

START_TEST(what_capstone_knows_is_there)
{
    static const u8 prefixes[] = {0, 0x66, 0xf3, 0xf2};
    static const u8 escapes[][2] = {{0, 0}, {0x0f, 0}, {0x0f, 0x38}, {0x0f, 0x3a}};

    complaints = 0;
    for (int mode = MODE_32; mode < MODES; mode++) {
        for (unsigned n = 0; n < 4 * 2 * 4 * 256; n++) {
            u8 head[8];
            unsigned length = 0;
            const unsigned map = n >> 8 & 3, w = n >> 12 & 1;

            if (prefixes[n >> 10 & 3] != 0)
                head[length++] = prefixes[n >> 10 & 3];
            if (w != 0 && mode == MODE_64)
                head[length++] = 0x48;
            for (unsigned i = 0; i < 2 && escapes[map][i] != 0; i++)
                head[length++] = escapes[map][i];
            head[length++] = (u8)n;
            if (!(w != 0 && mode == MODE_32) && (n & 0xff) != 0x0f)
                check_opcode(head, length, mode);
        }
        for (unsigned n = 0; n < 3 * 16 * 256; n++) { /* VEX: map, W L pp, opcode */
            const unsigned bits = n >> 8 & 15;
            const u8 head[] = {0xc4, (u8)(0xe1 + (n >> 12)),
                               (u8)((bits & 8) << 4 | (bits & 7) | 0x78), (u8)n};

            check_opcode(head, 4, mode);
        }
    }
    ck_assert_uint_eq(complaints, 0);
}
END_TEST

static u64 random_state;

static u64 random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

START_TEST(random_bytes_decode_to_something_within_15_bytes)
{
    random_state = 0x9e3779b97f4a7c15;
    complaints = 0;
    for (int n = 0; n < 1000000; n++) {
        u8 bytes[16];
        struct insn in;
        const u32 available = (u32)(random_next() % 16);
        enum decode result;

        store_le(bytes, random_next(), 8);
        store_le(bytes + 8, random_next(), 8);
        result = decode(cpu[n % MODES], bytes, available, &in);
        if (result == DECODE_TRUNCATED)
            complaints += available >= BYTES;
        else
            complaints += in.len < 1 || in.len > available || in.run == NULL || in.def == NULL;
    }
    ck_assert_uint_eq(complaints, 0);
}
END_TEST

/* Mandatory prefixes and 66 before near branches, see beyond_capstone(), and instructions of
 * others. */
static bool length_comparable(const struct row *row, const struct insn *in, int mode)
{
    return !beyond_capstone(row, in, mode) && !is_unknown(row->def.name);
}

START_TEST(random_bytes_have_the_length_capstone_says)
{
    random_state = 0x2545f4914f6cdd1d;
    complaints = 0;
    for (int n = 0; n < 400000; n++) {
        const int mode = n % MODES;
        struct sample s;
        struct insn in;
        cs_insn *theirs;
        size_t count;

        store_le(s.bytes, random_next(), 8);
        store_le(s.bytes + 7, random_next(), 8);
        if (n & 4) /* more of the two-byte maps */
            s.bytes[0] = 0x0f;
        if (decode(cpu[mode], s.bytes, BYTES, &in) != DECODE_OK ||
            !length_comparable(row_of(in.def), &in, mode))
            continue;
        count = cs_disasm(capstone[mode], s.bytes, BYTES, 0, 1, &theirs);
        if (count == 0)
            continue;
        if (theirs->size != in.len)
            complain(row_of(in.def), &s, mode, "Capstone says", theirs->mnemonic, in.len,
                     theirs->size);
        cs_free(theirs, count);
    }
    ck_assert_uint_eq(complaints, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rows");
    TCase *cases = tcase_create("rows");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, every_row_parses_and_no_two_overlap);
    tcase_add_test(cases, every_row_decodes_to_itself_and_capstone_agrees);
    tcase_add_test(cases, what_capstone_knows_is_there);
    tcase_add_test(cases, random_bytes_decode_to_something_within_15_bytes);
    tcase_add_test(cases, random_bytes_have_the_length_capstone_says);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
