/* SPDX-License-Identifier: MIT */
#include "devices/i8042.h"
#include "tests/devices/rig.h"

enum { IRQ1 = 1, IRQ12 = 12 };

static struct rig rig;
static struct i8042 *kbd;

static void plug(void)
{
    rig_init(&rig);
    kbd = i8042_create(rig.bus, rig_line(&rig, IRQ1), rig_line(&rig, IRQ12), rig_machine(&rig),
                       &rig.error);
    ck_assert_ptr_nonnull(kbd);
}

static void expect(const char *bytes, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        ck_assert_uint_eq(in8(&rig, 0x64) & 1, 1);
        ck_assert_uint_eq(in8(&rig, 0x60), (u8)bytes[i]);
    }
    ck_assert_uint_eq(in8(&rig, 0x64) & 1, 0);
}

static u8 command_byte(void)
{
    out8(&rig, 0x64, 0x20);
    return in8(&rig, 0x60);
}

static void set_command_byte(u8 value)
{
    out8(&rig, 0x64, 0x60);
    out8(&rig, 0x60, value);
}

START_TEST(self_tests_pass)
{
    plug();
    out8(&rig, 0x64, 0xaa);
    expect("\x55", 1);
    out8(&rig, 0x64, 0xab);
    expect("\x00", 1);
    out8(&rig, 0x64, 0xa9);
    expect("\x00", 1);
}
END_TEST

START_TEST(the_command_byte_can_be_changed)
{
    plug();
    set_command_byte(0x74);
    ck_assert_uint_eq(command_byte(), 0x74);
    out8(&rig, 0x64, 0xae);
    out8(&rig, 0x64, 0xa7);
    ck_assert_uint_eq(command_byte(), 0x64);
}
END_TEST

START_TEST(the_keyboard_resets_and_names_itself)
{
    plug();
    out8(&rig, 0x60, 0xff);
    expect("\xfa\xaa", 2);
    out8(&rig, 0x60, 0xf2);
    expect("\xfa\xab\x41", 3); /* translated */
    set_command_byte(0x05);
    out8(&rig, 0x60, 0xf2);
    expect("\xfa\xab\x83", 3);
    out8(&rig, 0x60, 0xed);
    expect("\xfa", 1);
    out8(&rig, 0x60, 0x07);
    expect("\xfa", 1);
    out8(&rig, 0x60, 0xee);
    expect("\xee", 1);
    out8(&rig, 0x60, 0xfe);
    expect("\xee", 1);
    out8(&rig, 0x60, 0x12);
    expect("\xfe", 1);
}
END_TEST

START_TEST(keys_arrive_in_scan_set_1_when_translated)
{
    plug();
    ck_assert(i8042_key(kbd, 0x1e, true));
    ck_assert(i8042_key(kbd, 0x1e, false));
    ck_assert(i8042_key(kbd, 0xe048, true));
    ck_assert(i8042_key(kbd, 0xe048, false));
    ck_assert(i8042_key(kbd, 0x41, true));
    ck_assert(i8042_key(kbd, 0xe11d, true));
    expect("\x1e\x9e\xe0\x48\xe0\xc8\x41\xe1\x1d\x45\xe1\x9d\xc5", 13);
}
END_TEST

START_TEST(keys_arrive_in_scan_set_2_untranslated)
{
    plug();
    set_command_byte(0x05);
    ck_assert(i8042_key(kbd, 0x1e, true));
    ck_assert(i8042_key(kbd, 0x1e, false));
    ck_assert(i8042_key(kbd, 0xe048, false));
    ck_assert(i8042_key(kbd, 0x41, true));
    ck_assert(i8042_key(kbd, 0xe11d, true));
    expect("\x1c\xf0\x1c\xe0\xf0\x75\x83\xe1\x14\x77\xe1\xf0\x14\xf0\x77", 15);
}
END_TEST

START_TEST(each_byte_makes_an_edge_on_irq1)
{
    plug();
    i8042_key(kbd, 0x1e, true);
    i8042_key(kbd, 0x1e, false);
    ck_assert_uint_eq(rig.rises[IRQ1], 1);
    (void)in8(&rig, 0x60);
    ck_assert_uint_eq(rig.rises[IRQ1], 2);
    (void)in8(&rig, 0x60);
    ck_assert(!rig.level[IRQ1]);
}
END_TEST

START_TEST(a_disabled_keyboard_sends_nothing)
{
    plug();
    out8(&rig, 0x60, 0xf5);
    expect("\xfa", 1);
    i8042_key(kbd, 0x1e, true);
    ck_assert_uint_eq(in8(&rig, 0x64) & 1, 0);
}
END_TEST

START_TEST(a_full_buffer_refuses_keys)
{
    plug();
    out8(&rig, 0x64, 0xad);
    for (u32 i = 0; i < 100; i++)
        if (!i8042_key(kbd, 0x1e, true))
            return;
    ck_abort_msg("took 100 keys");
}
END_TEST

START_TEST(the_mouse_answers_by_irq12_and_says_so_in_the_status)
{
    plug();
    set_command_byte(0x47);
    out8(&rig, 0x64, 0xd4);
    out8(&rig, 0x60, 0xff);
    ck_assert(rig.level[IRQ12]);
    ck_assert_uint_eq(in8(&rig, 0x64) & 0x21, 0x21);
    expect("\xfa\xaa\x00", 3);
    out8(&rig, 0x64, 0xd4);
    out8(&rig, 0x60, 0xf2);
    expect("\xfa\x00", 2);
    out8(&rig, 0x64, 0xd4);
    out8(&rig, 0x60, 0xe9);
    expect("\xfa\x00\x02\x64", 4);
    out8(&rig, 0x64, 0xd4);
    out8(&rig, 0x60, 0xbb);
    expect("\xfe", 1);
}
END_TEST

START_TEST(the_aux_loop_returns_the_byte_as_from_the_mouse)
{
    plug();
    out8(&rig, 0x64, 0xd3);
    out8(&rig, 0x60, 0x5a);
    ck_assert_uint_eq(in8(&rig, 0x64) & 0x21, 0x21);
    expect("\x5a", 1);
}
END_TEST

START_TEST(both_a20_gates_are_one)
{
    plug();
    ck_assert_uint_eq(in8(&rig, 0x92) & 2, 2);
    out8(&rig, 0x64, 0xd1);
    out8(&rig, 0x60, 0xdd);
    ck_assert_uint_eq(rig.requests[MACHINE_A20], 1);
    ck_assert_uint_eq(rig.request_value, 0);
    ck_assert_uint_eq(in8(&rig, 0x92) & 2, 0);
    out8(&rig, 0x92, 2);
    ck_assert_uint_eq(rig.request_value, 1);
    out8(&rig, 0x64, 0xd0);
    ck_assert_uint_eq(in8(&rig, 0x60) & 3, 3);
}
END_TEST

START_TEST(three_ways_reset_the_machine)
{
    plug();
    out8(&rig, 0x64, 0xfe);
    ck_assert_uint_eq(rig.requests[MACHINE_RESET], 1);
    out8(&rig, 0x64, 0xd1);
    out8(&rig, 0x60, 0x02);
    ck_assert_uint_eq(rig.requests[MACHINE_RESET], 2);
    out8(&rig, 0x92, 0x03);
    ck_assert_uint_eq(rig.requests[MACHINE_RESET], 3);
    out8(&rig, 0x92, 0x03);
    ck_assert_uint_eq(rig.requests[MACHINE_RESET], 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        self_tests_pass,
        the_command_byte_can_be_changed,
        the_keyboard_resets_and_names_itself,
        keys_arrive_in_scan_set_1_when_translated,
        keys_arrive_in_scan_set_2_untranslated,
        each_byte_makes_an_edge_on_irq1,
        a_disabled_keyboard_sends_nothing,
        a_full_buffer_refuses_keys,
        the_mouse_answers_by_irq12_and_says_so_in_the_status,
        the_aux_loop_returns_the_byte_as_from_the_mouse,
        both_a20_gates_are_one,
        three_ways_reset_the_machine,
    };

    return rig_main("i8042", tests, ARRAY_SIZE(tests));
}
