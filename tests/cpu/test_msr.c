/* SPDX-License-Identifier: MIT */
/* Model-specific registers, and the table that holds them. */
#include "cpu/msr.h"
#include "guest.h"

static void setup(void)
{
    guest_create("max");
    guest_long();
}

static u64 read_ok(u32 index)
{
    u64 value;

    ck_assert_msg(msr_read(v, index, &value), "MSR %x", index);
    return value;
}

static void write_fails(u32 index, u64 value)
{
    ck_assert_msg(!msr_write(v, index, value), "MSR %x", index);
    expect_event(VEC_GP, 0);
}

START_TEST(table_is_sorted_and_has_no_overlaps)
{
    for (u32 i = 0; i + 1 < msr_table_rows; i++)
        ck_assert_int_lt(msr_table[i].index + msr_table[i].count - 1, msr_table[i + 1].index);
    for (u32 i = 0; i < msr_table_rows; i++) {
        ck_assert_ptr_nonnull(msr_table[i].name);
        ck_assert_ptr_nonnull(msr_table[i].ref);
        ck_assert_ptr_nonnull(msr_table[i].read);
        ck_assert_ptr_nonnull(msr_table[i].write);
    }
}
END_TEST

START_TEST(every_row_takes_back_what_it_gave)
{
    for (u32 i = 0; i < msr_table_rows; i++) {
        const struct msr_def *def = &msr_table[i];

        for (u32 n = 0; n < def->count; n++) {
            u64 value;
            u64 again;

            if (msr_find(v, def->index + n) != def || !msr_read(v, def->index + n, &value))
                continue;
            if (!msr_write(v, def->index + n, value))
                continue;
            ck_assert(msr_read(v, def->index + n, &again));
            ck_assert_msg(value == again, "MSR %x", def->index + n);
        }
    }
}
END_TEST

START_TEST(unknown_register_raises_gp)
{
    u64 value;

    ck_assert(!msr_read(v, 0x12345, &value));
    expect_event(VEC_GP, 0);
    write_fails(0xffffffff, 0);
    write_fails(0, 0);
}
END_TEST

START_TEST(address_registers_want_canonical_values)
{
    static const u32 registers[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                    0xc0000102, 0x175,      0x176};

    for (u32 i = 0; i < ARRAY_SIZE(registers); i++) {
        write_fails(registers[i], 0xaaaaaaaaaaaaaaaa);
        ck_assert(msr_write(v, registers[i], 0xffff800000001000));
        ck_assert_int_eq(read_ok(registers[i]), 0xffff800000001000);
    }
    ck_assert_int_eq(v->segbase[SEG_GS], 0xffff800000001000);
}
END_TEST

START_TEST(memory_types_are_checked)
{
    write_fails(0x277, 2);
    ck_assert(msr_write(v, 0x277, 0x0706050401000000));
    write_fails(0x250, 3);
    write_fails(0x2ff, 7);
    write_fails(0x200, 0x100);
    write_fails(0x201, (u64)1 << 60);
    ck_assert(msr_write(v, 0x201, 0xfff00800));
    ck_assert(msr_write(v, 0x20e, 0x80000006));
    write_fails(0x210, 0);
    ck_assert_int_eq(read_ok(0xfe), 0x508);
}
END_TEST

START_TEST(tsc_and_tsc_adjust_move_together)
{
    now = 1000;
    ck_assert_int_eq(read_ok(0x10), 1000);
    ck_assert(msr_write(v, 0x3b, 50));
    ck_assert_int_eq(read_ok(0x10), 1050);
    ck_assert(msr_write(v, 0x10, 0));
    ck_assert_int_eq(read_ok(0x3b), (u64)-1000);
    now = 1007;
    ck_assert_int_eq(read_ok(0x10), 7);
}
END_TEST

START_TEST(machine_check_banks_follow_their_rules)
{
    ck_assert_int_eq(read_ok(0x179) & 0xff, MC_BANK_COUNT);
    write_fails(0x400, 1);
    ck_assert(msr_write(v, 0x400, ~(u64)0));
    write_fails(0x401, 1);
    ck_assert(msr_write(v, 0x402, 0xaaaaaaaaaaaaaaaa));
    write_fails(0x400 + 4 * MC_BANK_COUNT, 0);
    v->amd = true;
    ck_assert_uint_eq(read_ok(0x413), 0); /* MC4_MISC0, always there: nothing is counted */
}
END_TEST

START_TEST(vendors_have_their_own_registers)
{
    u64 value;

    ck_assert(!msr_read(v, 0xc0010015, &value));
    v->amd = true;
    ck_assert(msr_read(v, 0xc0010015, &value));
    ck_assert(!msr_read(v, 0x1a0, &value));
}
END_TEST

START_TEST(configuration_registers_of_amd_keep_what_is_written)
{
    static const u32 registers[] = {0xc0011020, 0xc0011022, 0xc001102e}; /* LS, DC, BP_CFG */

    v->amd = true;
    for (u32 i = 0; i < ARRAY_SIZE(registers); i++) {
        ck_assert_uint_eq(read_ok(registers[i]), 0);
        ck_assert(msr_write(v, registers[i], BIT(5)));
        ck_assert_uint_eq(read_ok(registers[i]), BIT(5));
    }
}
END_TEST

START_TEST(feature_control_is_locked_until_reset)
{
    ck_assert(msr_write(v, 0x3a, 4));
    ck_assert(msr_write(v, 0x3a, 1));
    write_fails(0x3a, 5);
    vcpu_reset(v, true); /* INIT */
    ck_assert_uint_eq(read_ok(0x3a), 1);
    vcpu_reset(v, false);
    ck_assert_uint_eq(read_ok(0x3a), 0);
    ck_assert(msr_write(v, 0x3a, 5));
}
END_TEST

START_TEST(firmware_locks_feature_control_after_each_reset)
{
    v->feature_control_at_reset = 5;
    for (u32 i = 0; i < 2; i++) {
        vcpu_reset(v, false);
        ck_assert_uint_eq(read_ok(0x3a), 5);
        write_fails(0x3a, 5);
    }
}
END_TEST

START_TEST(rdmsr_and_wrmsr_use_edx_eax)
{
    v->state.reg[REG_RCX] = 0xc0000102;
    v->state.reg[REG_RAX] = 0x89abcdef;
    v->state.reg[REG_RDX] = 0x00004567;
    RUN("\x0f\x30\x31\xc0\x31\xd2\x0f\x32", 4); /* wrmsr; xor; xor; rdmsr */
    ck_assert_int_eq(v->state.kernel_gs_base, 0x456789abcdef);
    ck_assert_int_eq(v->state.reg[REG_RAX], 0x89abcdef);
    ck_assert_int_eq(v->state.reg[REG_RDX], 0x4567);
}
END_TEST

START_TEST(rdtsc_counts_instructions_within_a_block)
{
    RUN("\x0f\x31\x89\xc3\x0f\x31\x29\xd8", 4); /* rdtsc; mov ebx, eax; rdtsc; sub eax, ebx */
    ck_assert_int_eq(v->state.reg[REG_RAX], 2);
    ck_assert_int_eq(v->state.reg[REG_RBX], 0);
}
END_TEST

START_TEST(random_numbers_depend_on_the_seed_only)
{
    RUN("\x48\x0f\xc7\xf0\x73\xfe", 1); /* rdrand rax */
    ck_assert_int_ne(v->state.reg[REG_RAX], 0);
    ck_assert(flag_cf(v));
}
END_TEST

static void add(Suite *suite)
{
    TCase *t = tcase_create("msr");

    tcase_add_checked_fixture(t, setup, guest_destroy);
    tcase_add_test(t, table_is_sorted_and_has_no_overlaps);
    tcase_add_test(t, every_row_takes_back_what_it_gave);
    tcase_add_test(t, unknown_register_raises_gp);
    tcase_add_test(t, address_registers_want_canonical_values);
    tcase_add_test(t, memory_types_are_checked);
    tcase_add_test(t, tsc_and_tsc_adjust_move_together);
    tcase_add_test(t, machine_check_banks_follow_their_rules);
    tcase_add_test(t, vendors_have_their_own_registers);
    tcase_add_test(t, configuration_registers_of_amd_keep_what_is_written);
    tcase_add_test(t, feature_control_is_locked_until_reset);
    tcase_add_test(t, firmware_locks_feature_control_after_each_reset);
    tcase_add_test(t, rdmsr_and_wrmsr_use_edx_eax);
    tcase_add_test(t, rdtsc_counts_instructions_within_a_block);
    tcase_add_test(t, random_numbers_depend_on_the_seed_only);
    suite_add_tcase(suite, t);
}

TESTS_MAIN("msr", add)
