/* SPDX-License-Identifier: MIT */
/* How x87 and SIMD errors are reported, and the x87 images in memory. */
#include "tests/fp/native.h"
#include "tests/run_suite.h"

static u32 ferr_calls;
static bool ferr_level;

static void ferr(void *ctx, bool level)
{
    (void)ctx;
    ferr_calls++;
    ferr_level = level;
}

static void setup(void)
{
    native_setup();
    ferr_calls = 0;
    guest->wires.ferr = ferr;
    x87_init(&guest->state.fpu);
}

/* Execute one instruction by its bytes; true: no event. */
static bool run_bytes(const char *bytes, u32 length)
{
    struct native n = {.length = length};

    memcpy(n.code, bytes, length);
    return native_run_guest(&n, false);
}

#define RUN(bytes) run_bytes(bytes, sizeof(bytes) - 1)

#define FLD1 "\xd9\xe8"
#define FLDZ "\xd9\xee"
#define FLDPI "\xd9\xeb"
#define FDIVP "\xde\xf9" /* ST(1) / ST(0) */
#define FNSTSW_AX "\xdf\xe0"
#define FNCLEX "\xdb\xe2"
#define FWAIT "\x9b"
#define FNOP "\xd9\xd0"

static void divide_one_by_zero(void)
{
    guest->state.fpu.fcw = 0x37f & ~FP_ZE;
    ck_assert(RUN(FLD1));
    ck_assert(RUN(FLDZ));
    ck_assert(RUN(FDIVP));
}

START_TEST(unmasked_error_is_reported_by_the_next_waiting_instruction)
{
    divide_one_by_zero();
    ck_assert(RUN(FNSTSW_AX));
    ck_assert_uint_eq(guest->state.reg[REG_RAX] & 0xffff,
                      6 << FSW_TOP_SHIFT | FSW_ES | FSW_B | FP_ZE);
    ck_assert(!RUN(FNOP));
    ck_assert_uint_eq(guest->event.vector, VEC_MF);
    ck_assert(!RUN(FWAIT));
    ck_assert_uint_eq(guest->event.vector, VEC_MF);
    ck_assert(RUN(FNCLEX));
    ck_assert(RUN(FWAIT));
    ck_assert_uint_eq(ferr_calls, 0);
}
END_TEST

START_TEST(unmasked_division_by_zero_leaves_its_operands)
{
    divide_one_by_zero();
    ck_assert_uint_eq(guest->state.fpu.st[6].mant, 0);
    ck_assert_uint_eq(guest->state.fpu.st[7].se, 0x3fff);
    ck_assert_uint_eq(guest->state.fpu.ftw, 0xc0);
}
END_TEST

START_TEST(without_ne_the_error_goes_out_by_ferr)
{
    guest->state.cr0 &= ~CR0_NE;
    divide_one_by_zero();
    ck_assert_uint_eq(ferr_calls, 1);
    ck_assert(ferr_level);
    ck_assert(RUN(FNOP)); /* the interrupt controller knows; IGNNE# lets the program go on */
    ck_assert(RUN(FNCLEX));
    ck_assert_uint_eq(ferr_calls, 2);
    ck_assert(!ferr_level);
}
END_TEST

START_TEST(ferr_in_a_block_is_put_off_until_the_instruction_runs_alone)
{
    const struct fpu_state *fpu = &guest->state.fpu;
    struct insn in[2] = {{0}};

    guest->state.cr0 &= ~CR0_NE;
    guest->state.fpu.fcw = 0x37f & ~FP_IE;
    ck_assert_int_eq(decode(guest, (const u8 *)FDIVP, 2, &in[0]), DECODE_OK);
    in[1].run = stop_here;
    guest->block = NULL;
    guest->alone = false;
    guest->event.kind = EVENT_NONE;
    for (const struct insn *at = in; at != NULL;)
        at = at->run(guest, at);
    ck_assert_int_eq(guest->event.kind, EVENT_REDO);
    ck_assert_uint_eq(fpu->fsw, 0);
    ck_assert_uint_eq(ferr_calls, 0);
}
END_TEST

START_TEST(fwait_looks_at_ts_only_with_mp)
{
    guest->state.cr0 |= CR0_TS;
    ck_assert(RUN(FWAIT));
    guest->state.cr0 |= CR0_MP;
    ck_assert(!RUN(FWAIT));
    ck_assert_uint_eq(guest->event.vector, VEC_NM);
}
END_TEST

static u32 word(u32 offset, u32 bytes)
{
    u32 value = 0;

    memory_read(guest_memory, (hpa_t){OPERAND_ADDRESS + offset}, &value, bytes);
    return value;
}

START_TEST(environment_in_32_bit_protected_layout)
{
    ck_assert(RUN(FLDPI));
    guest->state.fpu.fcs = 0x33;
    guest->state.fpu.fds = 0x2b;
    guest->state.fpu.fdp = 0x12345678;
    ck_assert(RUN("\xd9\x36")); /* fnstenv [rsi] */
    ck_assert_uint_eq(word(0, 4), 0xffff037f);
    ck_assert_uint_eq(word(4, 4), 0xffff3800);
    ck_assert_uint_eq(word(8, 4), 0xffff3fff);
    ck_assert_uint_eq(word(12, 4), CODE_ADDRESS);
    ck_assert_uint_eq(word(16, 4), 0x01eb0033); /* FOP of D9 EB */
    ck_assert_uint_eq(word(20, 4), 0x12345678);
    ck_assert_uint_eq(word(24, 4), 0xffff002b);
}
END_TEST

START_TEST(environment_in_16_bit_real_layout)
{
    guest->mode &= ~(u32)MODE_PROT;
    guest->state.fpu.fip = 0x1234;
    guest->state.fpu.fcs = 0xf000;
    guest->state.fpu.fdp = 0x0042;
    guest->state.fpu.fds = 0x2000;
    guest->state.fpu.fop = 0x1eb;
    ck_assert(RUN("\x66\xd9\x36"));
    ck_assert_uint_eq(word(0, 2), 0x037f);
    ck_assert_uint_eq(word(4, 2), 0xffff);
    ck_assert_uint_eq(word(6, 2), 0x1234);
    ck_assert_uint_eq(word(8, 2), 0xf1eb);
    ck_assert_uint_eq(word(10, 2), 0x0042);
    ck_assert_uint_eq(word(12, 2), 0x2000);
}
END_TEST

START_TEST(fnstenv_masks_all_exceptions)
{
    divide_one_by_zero();
    ck_assert(RUN("\xd9\x36"));
    ck_assert_uint_eq(guest->state.fpu.fcw & FP_ALL, FP_ALL);
    ck_assert_uint_eq(guest->state.fpu.fsw & (FSW_ES | FSW_B | FP_ALL), FP_ZE);
    ck_assert(RUN(FWAIT));
}
END_TEST

START_TEST(frstor_brings_back_what_fnsave_took)
{
    struct fpu_state before, after;

    ck_assert(RUN(FLDPI));
    ck_assert(RUN(FLD1));
    ck_assert(RUN(FLDZ));
    ck_assert(RUN("\xdd\xc1")); /* ffree st(1) */
    before = guest->state.fpu;
    ck_assert(RUN("\xdd\x36")); /* fnsave [rsi] */
    ck_assert_uint_eq(guest->state.fpu.ftw, 0);
    ck_assert_uint_eq(guest->state.fpu.fcw, 0x37f);
    memset(guest->state.fpu.st, 0, sizeof(guest->state.fpu.st));
    ck_assert(RUN("\xdd\x26")); /* frstor [rsi] */
    after = guest->state.fpu;
    ck_assert_int_eq(memcmp(&before, &after, sizeof(before)), 0);
}
END_TEST

START_TEST(image_that_does_not_fit_changes_nothing)
{
    guest->state.fpu.fcw = 0x27f;
    guest->mode = (guest->mode & ~(u32)(MODE_CODE64 | MODE_OPEN_DS | MODE_FLAT_DATA)) | MODE_CODE32;
    guest->state.seg[SEG_DS].limit = OPERAND_ADDRESS + 106;
    guest->state.seg[SEG_DS].attr = ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_DB;
    ck_assert(!RUN("\xdd\x36")); /* fnsave [esi] needs 108 bytes */
    ck_assert_uint_eq(guest->event.vector, VEC_GP);
    ck_assert_uint_eq(guest->state.fpu.fcw, 0x27f);
}
END_TEST

START_TEST(simd_exception_is_ud_unless_the_system_wants_xm)
{
    guest->state.ymm[1].q[0] = 0x3ff0000000000000;
    guest->state.ymm[2].q[0] = 0;
    guest->state.mxcsr = MXCSR_DEFAULT & ~(FP_ZE << MXCSR_MASKS_SHIFT);
    ck_assert(!RUN("\xf2\x0f\x5e\xca")); /* divsd xmm1, xmm2 */
    ck_assert_uint_eq(guest->event.vector, VEC_XM);
    guest->state.cr4 &= ~CR4_OSXMMEXCPT;
    ck_assert(!RUN("\xf2\x0f\x5e\xca"));
    ck_assert_uint_eq(guest->event.vector, VEC_UD);
    ck_assert_uint_eq(guest->state.ymm[1].q[0], 0x3ff0000000000000);
    ck_assert_uint_eq(guest->state.mxcsr & MXCSR_FLAGS, FP_ZE);
}
END_TEST

START_TEST(stmxcsr_sees_the_flags_of_earlier_instructions)
{
    const u32 host = mxcsr_enter(guest);

    guest->state.ymm[1].q[0] = 0x3ff0000000000000;
    guest->state.ymm[2].q[0] = 0x4008000000000000;
    ck_assert(RUN("\xf2\x0f\x5e\xca")); /* 1 / 3 */
    ck_assert(RUN("\x0f\xae\x1e")); /* stmxcsr [rsi] */
    mxcsr_leave(guest, host);
    ck_assert_uint_eq(word(0, 4), MXCSR_DEFAULT | FP_PE);
}
END_TEST

START_TEST(ldmxcsr_refuses_reserved_bits)
{
    const u32 bad = 0x11f80;

    memory_write(guest_memory, (hpa_t){OPERAND_ADDRESS}, &bad, 4);
    ck_assert(!RUN("\x0f\xae\x16")); /* ldmxcsr [rsi] */
    ck_assert_uint_eq(guest->event.vector, VEC_GP);
    ck_assert_uint_eq(guest->state.mxcsr, MXCSR_DEFAULT);
}
END_TEST

START_TEST(constants_follow_the_rounding_mode)
{
    guest->state.fpu.fcw = 0x37f | FP_UP << 10;
    ck_assert(RUN(FLDPI));
    ck_assert_uint_eq(guest->state.fpu.st[7].mant, 0xc90fdaa22168c235);
    guest->state.fpu.fcw = 0x37f | FP_TRUNCATE << 10;
    ck_assert(RUN(FLDPI));
    ck_assert_uint_eq(guest->state.fpu.st[6].mant, 0xc90fdaa22168c234);
}
END_TEST

/* SDM Vol 2A: with these operands the result is ST(0). */
START_TEST(denormal_that_is_kept_does_not_underflow)
{
    struct fpu_state *fpu = &guest->state.fpu;

    fpu->fcw = 0x37f & ~FP_UE;
    fpu->fsw = 6 << 11;
    fpu->ftw = 0xc0;
    fpu->st[6] = (struct f80){.mant = 5};
    fpu->st[7] = (struct f80){0};
    ck_assert(RUN("\xd9\xfd")); /* fscale */
    fpu->st[7] = (struct f80){.mant = BIT(63), .se = 0x7fff};
    ck_assert(RUN("\xd9\xf8")); /* fprem */
    ck_assert(RUN("\xd9\xf5")); /* fprem1 */
    ck_assert_uint_eq(fpu->st[6].mant, 5);
    ck_assert_uint_eq(fpu->st[6].se, 0);
    ck_assert_uint_eq(fpu->fsw, 6 << 11 | FP_DE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("x87 state");
    TCase *c = tcase_create("state");

    tcase_add_checked_fixture(c, setup, native_teardown);
    tcase_add_test(c, unmasked_error_is_reported_by_the_next_waiting_instruction);
    tcase_add_test(c, unmasked_division_by_zero_leaves_its_operands);
    tcase_add_test(c, without_ne_the_error_goes_out_by_ferr);
    tcase_add_test(c, ferr_in_a_block_is_put_off_until_the_instruction_runs_alone);
    tcase_add_test(c, fwait_looks_at_ts_only_with_mp);
    tcase_add_test(c, environment_in_32_bit_protected_layout);
    tcase_add_test(c, environment_in_16_bit_real_layout);
    tcase_add_test(c, fnstenv_masks_all_exceptions);
    tcase_add_test(c, frstor_brings_back_what_fnsave_took);
    tcase_add_test(c, image_that_does_not_fit_changes_nothing);
    tcase_add_test(c, simd_exception_is_ud_unless_the_system_wants_xm);
    tcase_add_test(c, stmxcsr_sees_the_flags_of_earlier_instructions);
    tcase_add_test(c, ldmxcsr_refuses_reserved_bits);
    tcase_add_test(c, constants_follow_the_rounding_mode);
    tcase_add_test(c, denormal_that_is_kept_does_not_underflow);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
