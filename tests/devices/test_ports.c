/* SPDX-License-Identifier: MIT */
#include "devices/debug_exit.h"
#include "devices/ports.h"
#include "tests/devices/rig.h"

enum { IRQ13 = 13 };

static struct rig rig;
static struct ports *ports;

static void plug(bool console)
{
    struct byte_port bytes = {0};

    rig_init(&rig);
    if (console)
        bytes = rig_bytes(&rig);
    ports = ports_create(rig.bus, rig_line(&rig, IRQ13), bytes, rig_machine(&rig), &rig.error);
    ck_assert_ptr_nonnull(ports);
}

static void write_word(const char *word)
{
    for (; *word != '\0'; word++)
        out8(&rig, 0x8900, (u8)*word);
}

START_TEST(the_debug_console_answers_and_takes_bytes)
{
    plug(true);
    ck_assert_uint_eq(in8(&rig, 0xe9), 0xe9);
    out8(&rig, 0xe9, 'a');
    ck_assert_str_eq(rig.out, "a");
}
END_TEST

START_TEST(without_a_console_the_port_is_empty)
{
    plug(false);
    ck_assert_uint_eq(in8(&rig, 0xe9), 0xff);
    out8(&rig, 0xe9, 'a');
}
END_TEST

START_TEST(the_word_shutdown_switches_off_and_no_other)
{
    plug(true);
    write_word("ShutdowShutdowX");
    ck_assert_uint_eq(rig.requests[MACHINE_POWER_OFF], 0);
    write_word("SShutdown");
    ck_assert_uint_eq(rig.requests[MACHINE_POWER_OFF], 1);
}
END_TEST

START_TEST(page_registers_keep_bytes)
{
    plug(true);
    bus_write(rig.bus, 0x80, 2, 0xb1a0);
    ck_assert_uint_eq(in8(&rig, 0x80), 0xa0);
    ck_assert_uint_eq(in8(&rig, 0x81), 0xb1);
}
END_TEST

START_TEST(an_fpu_error_holds_irq13_until_f0_is_written)
{
    plug(true);
    ports_ferr(ports, true);
    ports_ferr(ports, false);
    ck_assert(rig.level[IRQ13]);
    out8(&rig, 0xf0, 0);
    ck_assert(!rig.level[IRQ13]);
}
END_TEST

START_TEST(the_exit_port_ends_with_an_odd_status)
{
    rig_init(&rig);
    ck_assert_ptr_nonnull(debug_exit_create(rig.bus, 0xf4, 4, rig_machine(&rig), &rig.error));
    bus_write(rig.bus, 0xf4, 4, 38);
    ck_assert_uint_eq(rig.requests[MACHINE_EXIT], 1);
    ck_assert_uint_eq(rig.request_value, 77);
    out8(&rig, 0xf4, 0);
    ck_assert_uint_eq(rig.request_value, 1);
}
END_TEST

START_TEST(a_taken_exit_port_is_refused)
{
    plug(true);
    ck_assert_ptr_null(debug_exit_create(rig.bus, 0xe8, 4, rig_machine(&rig), &rig.error));
    ck_assert_ptr_nonnull(strstr(rig.error.text, "debug console"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_debug_console_answers_and_takes_bytes,
        without_a_console_the_port_is_empty,
        the_word_shutdown_switches_off_and_no_other,
        page_registers_keep_bytes,
        an_fpu_error_holds_irq13_until_f0_is_written,
        the_exit_port_ends_with_an_odd_status,
        a_taken_exit_port_is_refused,
    };

    return rig_main("ports", tests, ARRAY_SIZE(tests));
}
