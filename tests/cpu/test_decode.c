/* SPDX-License-Identifier: MIT */
/* The decoder's own rules: prefixes, sizes, addressing, legality. The rows are tests/isa's
 * business. */
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>

enum { M16 = MODE_PROT | MODE_CPL0, M32 = M16 | MODE_CODE32, M64 = M16 | MODE_CODE64 };

static struct vcpu *v;
static struct insn in;

static void setup(void)
{
    v = aligned_alloc(64, align_up(sizeof(*v), 64));
    memset(v, 0, sizeof(*v));
    memset(v->features, 0xff, sizeof(v->features));
}

static void teardown(void)
{
    free(v);
}

/* Decode these bytes, followed by zeros up to 15. */
#define DECODE(mode, ...) decode_bytes(mode, (const u8[15]){__VA_ARGS__})

static enum decode decode_bytes(u32 mode, const u8 *bytes)
{
    v->mode = mode;
    return decode(v, bytes, 15, &in);
}

#define CHECK_NAME(text) ck_assert_str_eq(in.def->name, text)

/* ---- prefixes ---- */

START_TEST(rex_counts_only_directly_before_the_opcode)
{
    ck_assert_int_eq(DECODE(M64, 0x48, 0x66, 0x01, 0xc0), DECODE_OK);
    ck_assert_int_eq(in.width, 2);
    ck_assert_int_eq(in.prefix & PREFIX_REX, 0);
    ck_assert_int_eq(DECODE(M64, 0x66, 0x48, 0x01, 0xc0), DECODE_OK);
    ck_assert_int_eq(in.width, 8);
}
END_TEST

START_TEST(last_segment_override_wins)
{
    ck_assert_int_eq(DECODE(M32, 0x26, 0x65, 0x8b, 0x00), DECODE_OK);
    ck_assert_int_eq(in.seg, SEG_GS);
}
END_TEST

START_TEST(in_64_bit_mode_only_fs_and_gs_override)
{
    ck_assert_int_eq(DECODE(M64, 0x64, 0x2e, 0x8b, 0x00), DECODE_OK);
    ck_assert_int_eq(in.seg, SEG_FS);
    ck_assert_int_eq(DECODE(M64, 0x26, 0x8b, 0x00), DECODE_OK);
    ck_assert_int_eq(in.seg, SEG_DS);
}
END_TEST

START_TEST(stack_pointer_bases_use_ss)
{
    ck_assert_int_eq(DECODE(M64, 0x8b, 0x04, 0x24), DECODE_OK); /* [rsp] */
    ck_assert_int_eq(in.seg, SEG_SS);
    ck_assert_int_eq(DECODE(M64, 0x8b, 0x45, 0x00), DECODE_OK); /* [rbp+0] */
    ck_assert_int_eq(in.seg, SEG_SS);
    ck_assert_int_eq(DECODE(M64, 0x41, 0x8b, 0x45, 0x00), DECODE_OK); /* [r13+0] */
    ck_assert_int_eq(in.seg, SEG_DS);
    ck_assert_int_eq(DECODE(M16, 0x8b, 0x02), DECODE_OK); /* [bp+si] */
    ck_assert_int_eq(in.seg, SEG_SS);
    ck_assert_int_eq(DECODE(M32, 0x8b, 0x04, 0x2b), DECODE_OK); /* [ebx+ebp] */
    ck_assert_int_eq(in.seg, SEG_DS);
}
END_TEST

START_TEST(last_of_f2_and_f3_wins)
{
    ck_assert_int_eq(DECODE(M64, 0xf2, 0xf3, 0x0f, 0xb8, 0xc1), DECODE_OK);
    CHECK_NAME("popcnt");
    ck_assert_int_eq(DECODE(M64, 0xf3, 0xf2, 0x0f, 0x38, 0xf1, 0xc1), DECODE_OK);
    CHECK_NAME("crc32");
}
END_TEST

START_TEST(mandatory_66_is_no_operand_size)
{
    ck_assert_int_eq(DECODE(M64, 0x66, 0x0f, 0x38, 0xf6, 0xc1), DECODE_OK);
    CHECK_NAME("adcx");
    ck_assert_int_eq(in.width, 4);
}
END_TEST

START_TEST(sixteen_bytes_are_too_long)
{
    static const u8 fifteen[15] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                   0x66, 0x66, 0x66, 0x66, 0x66, 0x01, 0xc0};
    u8 sixteen[16];

    memset(sixteen, 0x66, 14);
    sixteen[14] = 0x01;
    sixteen[15] = 0xc0;
    ck_assert_int_eq(decode_bytes(M64, fifteen), DECODE_OK);
    ck_assert_int_eq(in.len, 15);
    ck_assert_int_eq(decode(v, sixteen, 16, &in), DECODE_TOO_LONG);
}
END_TEST

START_TEST(too_few_bytes_are_truncated_whatever_follows)
{
    static const u8 bytes[15] = {0x66, 0x48, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8};

    v->mode = M64;
    for (u32 available = 0; available < 13; available++)
        ck_assert_int_eq(decode(v, bytes, available, &in), DECODE_TRUNCATED);
    ck_assert_int_eq(decode(v, bytes, 13, &in), DECODE_OK);
    ck_assert_int_eq(in.len, 13);
}
END_TEST

/* ---- LOCK ---- */

START_TEST(lock_needs_a_memory_destination)
{
    ck_assert_int_eq(DECODE(M64, 0xf0, 0x01, 0x00), DECODE_OK);
    ck_assert_int_eq(DECODE(M64, 0xf0, 0x01, 0xc0), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0xf0, 0x03, 0x00), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0xf0, 0x8b, 0x00), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0xf0, 0x90), DECODE_UD);
}
END_TEST

START_TEST(lock_mov_cr0_is_cr8_on_amd)
{
    ck_assert_int_eq(DECODE(M32, 0xf0, 0x0f, 0x20, 0xc0), DECODE_OK);
    ck_assert_int_eq(in.reg, 8);
    memset(v->features, 0, sizeof(v->features));
    ck_assert_int_eq(DECODE(M32, 0xf0, 0x0f, 0x20, 0xc0), DECODE_UD);
}
END_TEST

/* ---- sizes ---- */

START_TEST(operand_size_follows_mode_66_and_w)
{
    static const struct {
        u32 mode;
        u8 bytes[15], width;
    } cases[] = {
        {M16, {0x01, 0xc0}, 2},       {M16, {0x66, 0x01, 0xc0}, 4}, {M32, {0x01, 0xc0}, 4},
        {M32, {0x66, 0x01, 0xc0}, 2}, {M64, {0x01, 0xc0}, 4},       {M64, {0x66, 0x01, 0xc0}, 2},
        {M64, {0x48, 0x01, 0xc0}, 8}, {M64, {0x00, 0xc0}, 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ck_assert_int_eq(decode_bytes(cases[i].mode, cases[i].bytes), DECODE_OK);
        ck_assert_int_eq(in.width, cases[i].width);
    }
}
END_TEST

START_TEST(push_is_64_bits_wide_in_64_bit_mode)
{
    ck_assert_int_eq(DECODE(M64, 0x50), DECODE_OK);
    ck_assert_int_eq(in.width, 8);
    ck_assert_int_eq(DECODE(M64, 0x66, 0x50), DECODE_OK);
    ck_assert_int_eq(in.width, 2);
    ck_assert_int_eq(DECODE(M32, 0x50), DECODE_OK);
    ck_assert_int_eq(in.width, 4);
}
END_TEST

START_TEST(near_branches_ignore_66_in_64_bit_mode)
{
    ck_assert_int_eq(DECODE(M64, 0x66, 0xe9, 1, 2, 3, 4), DECODE_OK);
    ck_assert_int_eq(in.len, 6);
    ck_assert_int_eq(in.width, 8);
    ck_assert_int_eq(DECODE(M32, 0x66, 0xe9, 0xff, 0xff), DECODE_OK);
    ck_assert_int_eq(in.len, 4);
    ck_assert_int_eq((i64)in.imm, -1);
}
END_TEST

START_TEST(immediates_are_extended_as_the_manual_says)
{
    ck_assert_int_eq(DECODE(M64, 0x48, 0x81, 0xc0, 0, 0, 0, 0x80), DECODE_OK);
    ck_assert_int_eq((i64)in.imm, -0x80000000LL);
    ck_assert_int_eq(DECODE(M64, 0x83, 0xc0, 0xff), DECODE_OK);
    ck_assert_int_eq((i64)in.imm, -1);
    ck_assert_int_eq(DECODE(M64, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8), DECODE_OK);
    ck_assert_uint_eq(in.imm, 0x0807060504030201);
    ck_assert_int_eq(DECODE(M64, 0xc8, 0x34, 0x12, 0x05), DECODE_OK); /* enter */
    ck_assert_uint_eq(in.imm, 0x1234);
    ck_assert_uint_eq(in.imm2, 5);
    ck_assert_int_eq(DECODE(M32, 0x9a, 1, 2, 3, 4, 5, 6), DECODE_OK); /* call far */
    ck_assert_uint_eq(in.imm, 0x04030201);
    ck_assert_uint_eq(in.imm2, 0x0605);
}
END_TEST

/* ---- addressing ---- */

START_TEST(rip_relative_displacement_includes_the_length)
{
    ck_assert_int_eq(DECODE(M64, 0xc7, 0x05, 0x10, 0, 0, 0, 1, 2, 3, 4), DECODE_OK);
    ck_assert_int_eq(in.base, REG_RIP);
    ck_assert_int_eq(in.disp, 0x10 + 10);
    ck_assert_int_eq(DECODE(M32, 0x8b, 0x05, 0x10, 0, 0, 0), DECODE_OK);
    ck_assert_int_eq(in.base, REG_NONE);
    ck_assert_int_eq(in.disp, 0x10);
}
END_TEST

START_TEST(sib_without_base_or_index)
{
    ck_assert_int_eq(DECODE(M64, 0x8b, 0x04, 0x25, 0, 0, 0, 0x80), DECODE_OK);
    ck_assert_int_eq(in.base, REG_NONE);
    ck_assert_int_eq(in.index, REG_NONE);
    ck_assert_int_eq(in.disp, -0x80000000LL);
    ck_assert_int_eq(DECODE(M64, 0x42, 0x8b, 0x04, 0xa0), DECODE_OK); /* [rax+r12*4] */
    ck_assert_int_eq(in.base, REG_RAX);
    ck_assert_int_eq(in.index, REG_R12);
    ck_assert_int_eq(in.scale, 2);
}
END_TEST

START_TEST(sixteen_bit_addressing_has_its_own_table)
{
    ck_assert_int_eq(DECODE(M16, 0x8b, 0x40, 0xfe), DECODE_OK); /* [bx+si-2] */
    ck_assert_int_eq(in.base, REG_RBX);
    ck_assert_int_eq(in.index, REG_RSI);
    ck_assert_int_eq(in.disp, -2);
    ck_assert_int_eq(in.addr, 2);
    ck_assert_int_eq(DECODE(M32, 0x67, 0x8b, 0x06, 0x34, 0x12), DECODE_OK); /* [1234h] */
    ck_assert_int_eq(in.base, REG_NONE);
    ck_assert_int_eq(in.disp, 0x1234);
    ck_assert_int_eq(in.seg, SEG_DS);
}
END_TEST

/* APM Vol 3 "LDS, LES, LFS, LGS, LSS", "JMP (Far)"; SDM Vol 2 has m16:64. */
START_TEST(far_pointers_of_amd_have_no_64_bits)
{
    static const struct {
        u8 bytes[15];
        u8 intel, amd;
    } rows[] = {
        {{0x0f, 0xb4, 0x00}, 4, 4},
        {{0x48, 0x0f, 0xb4, 0x00}, 8, 4},
        {{0x66, 0x0f, 0xb5, 0x00}, 2, 2},
        {{0x66, 0x48, 0x0f, 0xb2, 0x00}, 8, 4},
        {{0x48, 0xff, 0x18}, 8, 4},
        {{0x48, 0xff, 0x28}, 8, 4},
        {{0x48, 0xcb}, 8, 8},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        v->amd = false;
        ck_assert_int_eq(decode_bytes(M64, rows[i].bytes), DECODE_OK);
        ck_assert_uint_eq(in.width, rows[i].intel);
        v->amd = true;
        ck_assert_int_eq(decode_bytes(M64, rows[i].bytes), DECODE_OK);
        ck_assert_uint_eq(in.width, rows[i].amd);
    }
}
END_TEST

/* APM Vol 3 "JMP (Near)", "CALL (Near)", "RET (Near)": 16 bits, of the displacement too. */
START_TEST(near_branches_of_amd_heed_66_in_64_bit_mode)
{
    static const u8 jump[15] = {0x66, 0xe9, 1, 2, 3, 4};
    static const u8 wide[15] = {0x66, 0x48, 0xe9, 1, 2, 3, 4};

    ck_assert_int_eq(decode_bytes(M64, jump), DECODE_OK);
    ck_assert_uint_eq(in.len, 6);
    ck_assert_uint_eq(in.width, 8);
    v->amd = true;
    ck_assert_int_eq(decode_bytes(M64, jump), DECODE_OK);
    ck_assert_uint_eq(in.len, 4);
    ck_assert_uint_eq(in.width, 2);
    ck_assert_int_eq(decode_bytes(M64, wide), DECODE_OK);
    ck_assert_uint_eq(in.len, 7);
    ck_assert_uint_eq(in.width, 8);
}
END_TEST

START_TEST(moffs_is_as_wide_as_an_address)
{
    ck_assert_int_eq(DECODE(M64, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8), DECODE_OK);
    ck_assert_int_eq(in.len, 9);
    ck_assert_int_eq(in.disp, 0x0807060504030201);
    ck_assert_int_eq(DECODE(M64, 0x67, 0xa1, 1, 2, 3, 4), DECODE_OK);
    ck_assert_int_eq(in.len, 6);
    ck_assert_int_eq(DECODE(M16, 0xa1, 1, 2), DECODE_OK);
    ck_assert_int_eq(in.len, 3);
}
END_TEST

START_TEST(byte_registers_4_to_7_are_high_bytes_without_rex)
{
    ck_assert_int_eq(DECODE(M64, 0x00, 0xe7), DECODE_OK); /* add bh, ah */
    ck_assert_int_eq(in.reg, REG_HIGH_BYTE | 0);
    ck_assert_int_eq(in.rm, REG_HIGH_BYTE | 3);
    ck_assert_int_eq(DECODE(M64, 0x40, 0x00, 0xe7), DECODE_OK); /* add dil, spl */
    ck_assert_int_eq(in.reg, REG_RSP);
    ck_assert_int_eq(in.rm, REG_RDI);
    ck_assert_int_eq(DECODE(M64, 0xb7, 1), DECODE_OK); /* mov bh, 1 */
    ck_assert_int_eq(in.rm, REG_HIGH_BYTE | 3);
}
END_TEST

/* ---- one opcode, several instructions ---- */

START_TEST(nop_with_rex_b_is_xchg)
{
    ck_assert_int_eq(DECODE(M64, 0x90), DECODE_OK);
    CHECK_NAME("nop");
    ck_assert_int_eq(DECODE(M64, 0x41, 0x90), DECODE_OK);
    CHECK_NAME("xchg");
    ck_assert_int_eq(DECODE(M64, 0xf3, 0x90), DECODE_OK);
    CHECK_NAME("pause");
}
END_TEST

START_TEST(a_row_the_model_lacks_gives_way_to_the_older_one)
{
    ck_assert_int_eq(DECODE(M64, 0xf3, 0x0f, 0xbd, 0xc1), DECODE_OK);
    CHECK_NAME("lzcnt");
    memset(v->features, 0, sizeof(v->features));
    ck_assert_int_eq(DECODE(M64, 0xf3, 0x0f, 0xbd, 0xc1), DECODE_OK);
    CHECK_NAME("bsr");
    ck_assert_int_eq(DECODE(M64, 0xf3, 0x0f, 0xb8, 0xc1), DECODE_UD);
}
END_TEST

START_TEST(rows_of_one_mode_do_not_exist_in_the_other)
{
    ck_assert_int_eq(DECODE(M32, 0x40), DECODE_OK);
    CHECK_NAME("inc");
    ck_assert_int_eq(DECODE(M64, 0x27), DECODE_UD);
    ck_assert_int_eq(DECODE(M32, 0x63, 0xc0), DECODE_OK);
    CHECK_NAME("arpl");
    ck_assert_int_eq(DECODE(M64, 0x63, 0xc0), DECODE_OK);
    CHECK_NAME("movsxd");
}
END_TEST

/* ---- VEX ---- */

START_TEST(c4_and_c5_are_les_and_lds_outside_64_bit_mode_with_memory)
{
    ck_assert_int_eq(DECODE(M32, 0xc4, 0x00), DECODE_OK);
    CHECK_NAME("les");
    ck_assert_int_eq(DECODE(M32, 0xc5, 0xf8, 0x77), DECODE_OK);
    CHECK_NAME("vzeroupper");
    ck_assert_int_eq(DECODE(M64, 0xc5, 0x78, 0x77), DECODE_OK);
    CHECK_NAME("vzeroupper");
}
END_TEST

START_TEST(vex_does_not_exist_in_real_and_virtual_8086_mode)
{
    ck_assert_int_eq(DECODE(0, 0xc5, 0xf8, 0x77), DECODE_UD);
    ck_assert_int_eq(DECODE(MODE_V86, 0xc5, 0xf8, 0x77), DECODE_UD);
}
END_TEST

START_TEST(vex_after_66_f2_f3_lock_or_rex_is_undefined)
{
    static const u8 prefixes[] = {0x66, 0xf2, 0xf3, 0xf0, 0x40};

    for (size_t i = 0; i < sizeof(prefixes); i++)
        ck_assert_int_eq(DECODE(M64, prefixes[i], 0xc5, 0xf8, 0x77), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0x67, 0xc5, 0xf8, 0x77), DECODE_OK);
}
END_TEST

START_TEST(vvvv_must_be_unused_where_the_row_has_no_such_operand)
{
    ck_assert_int_eq(DECODE(M64, 0xc5, 0xf0, 0x77), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0xc4, 0xe2, 0x70, 0xf2, 0xc2), DECODE_OK); /* andn eax, ecx, edx */
    CHECK_NAME("andn");
    ck_assert_int_eq(in.vvvv, REG_RCX);
    ck_assert_int_eq(in.width, 4);
}
END_TEST

START_TEST(vex_w_sizes_general_registers_only_in_64_bit_mode)
{
    ck_assert_int_eq(DECODE(M64, 0xc4, 0xe2, 0xf0, 0xf2, 0xc2), DECODE_OK);
    ck_assert_int_eq(in.width, 8);
    ck_assert_int_eq(DECODE(M32, 0xc4, 0xe2, 0xf0, 0xf2, 0xc2), DECODE_OK);
    ck_assert_int_eq(in.width, 4);
}
END_TEST

/* ---- registers that do not exist ---- */

START_TEST(segment_registers_6_and_7_and_mov_to_cs_are_undefined)
{
    ck_assert_int_eq(DECODE(M64, 0x8c, 0xf0), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0x8e, 0xc8), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0x8c, 0xc8), DECODE_OK);
    ck_assert_int_eq(DECODE(M64, 0x44, 0x8e, 0xd8), DECODE_OK); /* REX.R is ignored */
    ck_assert_int_eq(in.reg, SEG_DS);
}
END_TEST

START_TEST(only_cr0_2_3_4_8_and_dr0_to_7_exist)
{
    ck_assert_int_eq(DECODE(M64, 0x0f, 0x20, 0xc8), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0x44, 0x0f, 0x20, 0xc0), DECODE_OK);
    ck_assert_int_eq(in.reg, 8);
    ck_assert_int_eq(in.width, 8);
    ck_assert_int_eq(DECODE(M64, 0x44, 0x0f, 0x21, 0xc0), DECODE_UD);
    ck_assert_int_eq(DECODE(M16, 0x0f, 0x20, 0xd8), DECODE_OK);
    ck_assert_int_eq(in.width, 4);
}
END_TEST

START_TEST(mov_cr_ignores_modrm_mod)
{
    ck_assert_int_eq(DECODE(M64, 0x0f, 0x20, 0x04), DECODE_OK);
    ck_assert_int_eq(in.len, 3);
    ck_assert_int_eq(in.rm, REG_RSP);
    ck_assert_int_eq(in.prefix & PREFIX_MEM, 0);
}
END_TEST

/* ---- classes ---- */

static const u8 lgdt[15] = {0x0f, 0x01, 0x10};

START_TEST(privileged_rows_fault_outside_ring_0)
{
    ck_assert_int_eq(decode_bytes(M64, lgdt), DECODE_OK);
    ck_assert_int_eq(decode_bytes(M64 & ~(u32)MODE_CPL0, lgdt), DECODE_UD);
    CHECK_NAME("lgdt");
}
END_TEST

START_TEST(protected_mode_rows_are_undefined_in_real_mode)
{
    ck_assert_int_eq(DECODE(M32, 0x0f, 0x00, 0xd0), DECODE_OK); /* lldt ax */
    ck_assert_int_eq(DECODE(MODE_CPL0, 0x0f, 0x00, 0xd0), DECODE_UD);
}
END_TEST

START_TEST(classes_that_the_mode_forbids_are_refused)
{
    ck_assert_int_eq(DECODE(M64 | MODE_NO_X87, 0xd9, 0xe8), DECODE_UD); /* fld1 */
    ck_assert_int_eq(DECODE(M64 | MODE_NO_MMX, 0x0f, 0xef, 0xc0), DECODE_UD); /* pxor mm */
    ck_assert_int_eq(DECODE(M64 | MODE_NO_SSE, 0x66, 0x0f, 0xef, 0xc0), DECODE_UD);
    ck_assert_int_eq(DECODE(M64 | MODE_NO_AVX, 0xc5, 0xf9, 0xef, 0xc0), DECODE_UD);
    ck_assert_int_eq(DECODE(M64, 0xc5, 0xf9, 0xef, 0xc0), DECODE_OK);
}
END_TEST

START_TEST(rep_string_instructions_end_their_block)
{
    ck_assert_int_eq(DECODE(M64, 0xf3, 0xa4), DECODE_OK);
    ck_assert(insn_ends_block(&in));
    ck_assert_int_eq(DECODE(M64, 0xa4), DECODE_OK);
    ck_assert(!insn_ends_block(&in));
    ck_assert_int_eq(DECODE(M64, 0xc3), DECODE_OK);
    ck_assert(insn_ends_block(&in));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decode");
    TCase *cases = tcase_create("decode");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, rex_counts_only_directly_before_the_opcode);
    tcase_add_test(cases, last_segment_override_wins);
    tcase_add_test(cases, in_64_bit_mode_only_fs_and_gs_override);
    tcase_add_test(cases, stack_pointer_bases_use_ss);
    tcase_add_test(cases, last_of_f2_and_f3_wins);
    tcase_add_test(cases, mandatory_66_is_no_operand_size);
    tcase_add_test(cases, sixteen_bytes_are_too_long);
    tcase_add_test(cases, too_few_bytes_are_truncated_whatever_follows);
    tcase_add_test(cases, lock_needs_a_memory_destination);
    tcase_add_test(cases, lock_mov_cr0_is_cr8_on_amd);
    tcase_add_test(cases, far_pointers_of_amd_have_no_64_bits);
    tcase_add_test(cases, near_branches_of_amd_heed_66_in_64_bit_mode);
    tcase_add_test(cases, operand_size_follows_mode_66_and_w);
    tcase_add_test(cases, push_is_64_bits_wide_in_64_bit_mode);
    tcase_add_test(cases, near_branches_ignore_66_in_64_bit_mode);
    tcase_add_test(cases, immediates_are_extended_as_the_manual_says);
    tcase_add_test(cases, rip_relative_displacement_includes_the_length);
    tcase_add_test(cases, sib_without_base_or_index);
    tcase_add_test(cases, sixteen_bit_addressing_has_its_own_table);
    tcase_add_test(cases, moffs_is_as_wide_as_an_address);
    tcase_add_test(cases, byte_registers_4_to_7_are_high_bytes_without_rex);
    tcase_add_test(cases, nop_with_rex_b_is_xchg);
    tcase_add_test(cases, a_row_the_model_lacks_gives_way_to_the_older_one);
    tcase_add_test(cases, rows_of_one_mode_do_not_exist_in_the_other);
    tcase_add_test(cases, c4_and_c5_are_les_and_lds_outside_64_bit_mode_with_memory);
    tcase_add_test(cases, vex_does_not_exist_in_real_and_virtual_8086_mode);
    tcase_add_test(cases, vex_after_66_f2_f3_lock_or_rex_is_undefined);
    tcase_add_test(cases, vvvv_must_be_unused_where_the_row_has_no_such_operand);
    tcase_add_test(cases, vex_w_sizes_general_registers_only_in_64_bit_mode);
    tcase_add_test(cases, segment_registers_6_and_7_and_mov_to_cs_are_undefined);
    tcase_add_test(cases, only_cr0_2_3_4_8_and_dr0_to_7_exist);
    tcase_add_test(cases, mov_cr_ignores_modrm_mod);
    tcase_add_test(cases, privileged_rows_fault_outside_ring_0);
    tcase_add_test(cases, protected_mode_rows_are_undefined_in_real_mode);
    tcase_add_test(cases, classes_that_the_mode_forbids_are_refused);
    tcase_add_test(cases, rep_string_instructions_end_their_block);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
