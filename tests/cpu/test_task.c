/* SPDX-License-Identifier: MIT */
/* Task switches: SDM Vol 3A chapter 8 (7 in older editions). */
#include "guest.h"

enum { OTHER_EIP = 0x5555, OTHER_ESP = 0x38000 };

/* The other task: 32-bit, flat, ring 0. */
static void setup(void)
{
    static const u16 segments[] = {SEL_DATA0, SEL_CODE0, SEL_DATA0, SEL_DATA0, 0, 0};

    guest_create("max");
    guest_protected();
    put_value(TSS_OTHER + 32, OTHER_EIP, 4);
    put_value(TSS_OTHER + 36, FLAG_1, 4);
    put_value(TSS_OTHER + 40, 0xaaaa, 4); /* EAX */
    put_value(TSS_OTHER + 56, OTHER_ESP, 4);
    for (u32 i = 0; i < ARRAY_SIZE(segments); i++)
        put_value(TSS_OTHER + 72 + 4 * i, segments[i], 4);
    v->state.reg[REG_RAX] = 0x1234;
    v->state.rflags |= FLAG_IF;
    v->next_rip = CODE + 7;
}

static u8 tss_type(u16 selector)
{
    return get(GDT + selector + 5, 1) & 15;
}

START_TEST(jump_saves_the_old_task_and_loads_the_new_one)
{
    ck_assert(far_jump(v, SEL_TSS_OTHER, 0, 4));
    ck_assert_int_eq(v->next_rip, OTHER_EIP);
    ck_assert_int_eq(v->state.reg[REG_RAX], 0xaaaa);
    ck_assert_int_eq(v->state.reg[REG_RSP], OTHER_ESP);
    ck_assert_int_eq(v->state.seg[SEG_TR].selector, SEL_TSS_OTHER);
    ck_assert_int_ne(v->state.cr0 & CR0_TS, 0);
    ck_assert_int_eq(rflags_get(v) & FLAG_NT, 0);
    ck_assert_int_eq(tss_type(SEL_TSS), TYPE_TSS);
    ck_assert_int_eq(tss_type(SEL_TSS_OTHER), TYPE_TSS_BUSY);
    ck_assert_int_eq(get(TSS + 32, 4), CODE + 7);
    ck_assert_int_eq(get(TSS + 36, 4), FLAG_1 | FLAG_IF);
    ck_assert_int_eq(get(TSS + 40, 4), 0x1234);
    ck_assert_int_eq(get(TSS + 76, 2), SEL_CODE0);
}
END_TEST

START_TEST(call_links_back_and_iret_returns)
{
    ck_assert(far_call(v, SEL_TSS_OTHER, 0, 4));
    ck_assert_int_ne(rflags_get(v) & FLAG_NT, 0);
    ck_assert_int_eq(get(TSS_OTHER, 2), SEL_TSS);
    ck_assert_int_eq(tss_type(SEL_TSS), TYPE_TSS_BUSY);
    v->next_rip = OTHER_EIP + 1;
    ck_assert(interrupt_return(v, 4));
    ck_assert_int_eq(v->next_rip, CODE + 7);
    ck_assert_int_eq(v->state.reg[REG_RAX], 0x1234);
    ck_assert_int_eq(tss_type(SEL_TSS_OTHER), TYPE_TSS);
    ck_assert_int_eq(get(TSS_OTHER + 32, 4), OTHER_EIP + 1);
    ck_assert_int_eq(get(TSS_OTHER + 36, 4) & FLAG_NT, 0);
}
END_TEST

START_TEST(busy_task_cannot_be_called_again)
{
    ck_assert(!far_jump(v, SEL_TSS, 0, 4));
    expect_event(VEC_GP, SEL_TSS);
    ck_assert_int_eq(v->state.reg[REG_RAX], 0x1234);
}
END_TEST

START_TEST(task_gate_serves_outer_privilege)
{
    set_privilege(3);
    ck_assert(!far_call(v, SEL_TSS_OTHER, 0, 4));
    expect_event(VEC_GP, SEL_TSS_OTHER);
    v->next_rip = CODE;
    ck_assert(far_call(v, SEL_TASK_GATE, 0, 4));
    ck_assert_int_eq(v->cpl, 0);
}
END_TEST

START_TEST(exception_through_a_task_gate_pushes_its_error_code)
{
    put_gate(VEC_GP, SEL_TSS_OTHER, 0, 0x85, 0);
    deliver_error(VEC_GP, 0x1234);
    ck_assert_int_eq(v->state.reg[REG_RIP], OTHER_EIP);
    ck_assert_int_eq(v->state.reg[REG_RSP], OTHER_ESP - 4);
    ck_assert_int_eq(pushed(0), 0x1234);
    ck_assert_int_eq(get(TSS + 32, 4), CODE);
    ck_assert_int_ne(get(TSS + 36, 4) & FLAG_RF, 0);
}
END_TEST

START_TEST(too_small_a_tss_raises_ts)
{
    put_descriptor(SEL_TSS_OTHER, descriptor(TSS_OTHER, 0x66, 0x89, 0));
    ck_assert(!far_jump(v, SEL_TSS_OTHER, 0, 4));
    expect_event(VEC_TS, SEL_TSS_OTHER);
}
END_TEST

START_TEST(bad_segment_of_the_new_task_faults_in_the_new_task)
{
    put_value(TSS_OTHER + 84, SEL_EXECUTE_ONLY, 4); /* DS */
    ck_assert(far_jump(v, SEL_TSS_OTHER, 0, 4));
    at_handler(VEC_TS);
    ck_assert_int_eq(v->next_rip, HANDLER + 16 * VEC_TS);
    ck_assert_int_eq(v->state.seg[SEG_TR].selector, SEL_TSS_OTHER);
    ck_assert_int_eq(pushed(0), SEL_EXECUTE_ONLY);
    ck_assert_int_eq(pushed(1), OTHER_EIP);
}
END_TEST

START_TEST(trap_bit_of_the_tss_raises_a_debug_trap)
{
    put_value(TSS_OTHER + 100, 1, 2);
    ck_assert(far_jump(v, SEL_TSS_OTHER, 0, 4));
    ck_assert_int_eq(v->state.pending_debug, DR6_BT);
}
END_TEST

START_TEST(switch_clears_local_breakpoints)
{
    ck_assert(dr_write(v, 7, 0x755));
    ck_assert(far_jump(v, SEL_TSS_OTHER, 0, 4));
    ck_assert_int_eq(v->state.dr[7], 0x600);
}
END_TEST

START_TEST(iret_to_a_task_that_is_not_busy_raises_ts)
{
    put_value(TSS, SEL_TSS_OTHER, 2);
    v->state.rflags |= FLAG_NT;
    ck_assert(!interrupt_return(v, 4));
    expect_event(VEC_TS, SEL_TSS_OTHER);
}
END_TEST

START_TEST(task_of_16_bits_loads_words)
{
    static const u16 tail[] = {0x300, FLAG_1, 1,         2,         3,         4,         0x8000, 5,
                               6,     7,      SEL_DATA0, SEL_CODE0, SEL_DATA0, SEL_DATA0, 0};

    put(TSS_OTHER + 14, tail, sizeof(tail));
    ck_assert(far_jump(v, SEL_TSS16, 0, 4));
    ck_assert_int_eq(v->next_rip, 0x300);
    ck_assert_int_eq(v->state.reg[REG_RCX] & 0xffff, 2);
    ck_assert_int_eq(v->state.reg[REG_RSP] & 0xffff, 0x8000);
    ck_assert_int_eq(v->state.seg[SEG_FS].selector, 0);
}
END_TEST

START_TEST(task_with_vm_set_enters_v86)
{
    put_value(TSS_OTHER + 36, FLAG_1 | FLAG_VM, 4);
    put_value(TSS_OTHER + 76, 0x2000, 4);
    ck_assert(far_jump(v, SEL_TSS_OTHER, 0, 4));
    ck_assert_int_ne(v->mode & MODE_V86, 0);
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.seg[SEG_CS].base, 0x20000);
}
END_TEST

static void add(Suite *suite)
{
    TCase *t = tcase_create("task");

    tcase_add_checked_fixture(t, setup, guest_destroy);
    tcase_add_test(t, jump_saves_the_old_task_and_loads_the_new_one);
    tcase_add_test(t, call_links_back_and_iret_returns);
    tcase_add_test(t, busy_task_cannot_be_called_again);
    tcase_add_test(t, task_gate_serves_outer_privilege);
    tcase_add_test(t, exception_through_a_task_gate_pushes_its_error_code);
    tcase_add_test(t, too_small_a_tss_raises_ts);
    tcase_add_test(t, bad_segment_of_the_new_task_faults_in_the_new_task);
    tcase_add_test(t, trap_bit_of_the_tss_raises_a_debug_trap);
    tcase_add_test(t, switch_clears_local_breakpoints);
    tcase_add_test(t, iret_to_a_task_that_is_not_busy_raises_ts);
    tcase_add_test(t, task_of_16_bits_loads_words);
    tcase_add_test(t, task_with_vm_set_enters_v86);
    suite_add_tcase(suite, t);
}

TESTS_MAIN("task", add)
