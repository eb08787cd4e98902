/* SPDX-License-Identifier: MIT */
/* The tables of VMX themselves: fields, controls, capability MSRs. SDM Vol 3D appendices A and B.
 */
#include "tests/cpu/vmx_guest.h"

START_TEST(fields_are_sorted_and_do_not_overlap)
{
    static u8 used[sizeof(struct vmcs)];

    memset(used, 0, sizeof(used));
    for (u32 i = 0; i < vmx_fields_count; i++) {
        const struct vmx_field *field = &vmx_fields[i];

        ck_assert_msg(i == 0 || vmx_fields[i - 1].encoding < field->encoding, "%s", field->name);
        ck_assert_msg((field->encoding & ~0x6dfe) == 0, "%s", field->name);
        for (u32 j = 0; j < vmx_field_bytes(field); j++) {
            ck_assert_msg(used[field->offset + j] == 0, "%s", field->name);
            used[field->offset + j] = 1;
        }
    }
}
END_TEST

/* The number of fields per width and type: SDM Vol 3D tables B-1 to B-15 less what is not offered.
 */
START_TEST(every_table_of_the_manual_has_its_fields)
{
    static const u8 expected[4][4] = {
        [FIELD_16] = {3, 0, 10, 7},
        [FIELD_64] = {24, 1, 8, 2},
        [FIELD_32] = {18, 8, 23, 1},
        [FIELD_NATURAL] = {8, 6, 20, 12},
    };
    u8 count[4][4] = {{0}};

    for (u32 i = 0; i < vmx_fields_count; i++)
        count[vmx_field_width(vmx_fields[i].encoding)][vmx_field_type(vmx_fields[i].encoding)]++;
    for (u32 width = 0; width < 4; width++) {
        for (u32 type = 0; type < 4; type++)
            ck_assert_msg(count[width][type] == expected[width][type], "width %u type %u: %u",
                          width, type, count[width][type]);
    }
}
END_TEST

START_TEST(vmwrite_then_vmread_gives_the_value_of_the_fields_width)
{
    for (u32 i = 0; i < vmx_fields_count; i++) {
        const u32 bytes = vmx_field_bytes(&vmx_fields[i]);

        v->state.reg[REG_RIP] = CODE;
        v->state.reg[REG_RDX] = vmx_fields[i].encoding;
        v->state.reg[REG_RAX] = 0x123456789abcdef0;
        RUN("\x0f\x79\xd0\x0f\x78\xd1", 2); /* vmwrite rdx,rax; vmread rcx,rdx */
        expect_success();
        ck_assert_uint_eq(v->state.reg[REG_RCX], 0x123456789abcdef0 & width_mask(bytes));
    }
}
END_TEST

START_TEST(high_half_of_a_64_bit_field_is_its_own_field)
{
    v->state.reg[REG_RDX] = 0x2011; /* TSC offset, high */
    v->state.reg[REG_RAX] = 0xaabbccdd;
    vmcs->tsc_offset = 0x1122334455667788;
    RUN("\x0f\x79\xd0", 1);
    expect_success();
    ck_assert_uint_eq(vmcs->tsc_offset, 0xaabbccdd55667788);
}
END_TEST

START_TEST(unknown_fields_fail)
{
    static const u64 unknown[] = {0x0006, 0x2001 + 0x4000, 0x6801, 0x4c02, 0x8000, 0x10000, ~0ull};

    for (u32 i = 0; i < ARRAY_SIZE(unknown); i++) {
        v->state.reg[REG_RIP] = CODE;
        v->state.reg[REG_RDX] = unknown[i];
        RUN("\x0f\x78\xd1", 1);
        expect_fail(ERROR_FIELD_UNSUPPORTED);
    }
}
END_TEST

START_TEST(vmcs_survives_being_replaced)
{
    vmcs->guest_rip = 0x1234567;
    v->state.reg[REG_RAX] = 0x8010;
    v->state.reg[REG_RCX] = 0x8008;
    RUN("\x0f\xc7\x30", 1); /* vmptrld the other one */
    expect_success();
    ck_assert_uint_eq(vmcs->guest_rip, 0);
    RUN("\x0f\xc7\x31", 1);
    ck_assert_uint_eq(vmcs->guest_rip, 0x1234567);
}
END_TEST

/* SDM Vol 3D A.2: what is allowed to be 1 is the same in both MSRs; the default1 class must be 1 in
 * the old one. */
START_TEST(old_and_true_control_msrs_agree)
{
    static const u16 pairs[][2] = {{0x481, 0x48d}, {0x482, 0x48e}, {0x483, 0x48f}, {0x484, 0x490}};

    for (u32 i = 0; i < ARRAY_SIZE(pairs); i++) {
        const u64 old = vmx_capability(v, pairs[i][0]);
        const u64 true_msr = vmx_capability(v, pairs[i][1]);

        ck_assert_uint_eq(old >> 32, true_msr >> 32);
        ck_assert_uint_eq(true_msr & ~old & 0xffffffff, 0);
        ck_assert_uint_eq((old & 0xffffffff) & ~(old >> 32), 0);
    }
    ck_assert_uint_eq((u32)vmx_capability(v, 0x482), 0x0401e172);
    ck_assert_uint_eq((u32)vmx_capability(v, 0x48e), 0x04006172);
}
END_TEST

START_TEST(controls_have_one_row_each_and_a_reference)
{
    u32 seen[CONTROLS_COUNT] = {0};

    for (u32 i = 0; i < vmx_control_rows; i++) {
        const struct vmx_control *row = &vmx_control_table[i];

        ck_assert_msg((seen[row->word] >> row->bit & 1) == 0, "%s", row->name);
        seen[row->word] |= 1u << row->bit;
        ck_assert_ptr_nonnull(strstr(row->ref, "SDM Vol 3C"));
    }
}
END_TEST

START_TEST(capability_msrs_cannot_be_written)
{
    u64 value;

    for (u32 msr = 0x480; msr <= 0x491; msr++) {
        ck_assert(msr_read(v, msr, &value));
        ck_assert(!msr_write(v, msr, value));
        expect_event(VEC_GP, 0);
    }
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("fields");

    tcase_add_checked_fixture(tc, vmx_create, guest_destroy);
    tcase_add_test(tc, fields_are_sorted_and_do_not_overlap);
    tcase_add_test(tc, every_table_of_the_manual_has_its_fields);
    tcase_add_test(tc, vmwrite_then_vmread_gives_the_value_of_the_fields_width);
    tcase_add_test(tc, high_half_of_a_64_bit_field_is_its_own_field);
    tcase_add_test(tc, unknown_fields_fail);
    tcase_add_test(tc, vmcs_survives_being_replaced);
    tcase_add_test(tc, old_and_true_control_msrs_agree);
    tcase_add_test(tc, controls_have_one_row_each_and_a_reference);
    tcase_add_test(tc, capability_msrs_cannot_be_written);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("vmx_fields", add)
