/* SPDX-License-Identifier: MIT */
#include "devices/acpi_pm.h"
#include "tests/devices/rig.h"

enum { SCI = 9, BASE = ACPI_PM_BASE, STATUS = BASE, ENABLE = BASE + 2, CONTROL = BASE + 4 };
enum { TIMER = BASE + 8 };

static struct rig rig;
static struct acpi_pm *pm;

static void plug(bool timer32)
{
    rig_init(&rig);
    pm = acpi_pm_create(&rig.clock, rig.bus, rig_line(&rig, SCI), rig_machine(&rig), timer32,
                        &rig.error);
    ck_assert_ptr_nonnull(pm);
}

START_TEST(the_timer_counts_exactly_and_wraps_at_24_bits)
{
    plug(false);
    rig_pass(&rig, NS_PER_SECOND);
    ck_assert_uint_eq(bus_read(rig.bus, TIMER, 4), 3579545);
    rig_pass(&rig, 9 * NS_PER_SECOND);
    ck_assert_uint_eq(bus_read(rig.bus, TIMER, 4), 35795450 & 0xffffff);
}
END_TEST

START_TEST(the_timer_can_have_32_bits)
{
    plug(true);
    rig_pass(&rig, 10 * NS_PER_SECOND);
    ck_assert_uint_eq(bus_read(rig.bus, TIMER, 4), 35795450);
}
END_TEST

START_TEST(the_timers_highest_bit_interrupts_when_it_changes)
{
    plug(false);
    bus_write(rig.bus, ENABLE, 2, 1);
    rig_pass(&rig, clock_tick_time(0, 1 << 23, 3579545) - 1);
    ck_assert(!rig.level[SCI]);
    rig_pass(&rig, 1);
    ck_assert(rig.level[SCI]);
    bus_write(rig.bus, STATUS, 2, 1);
    ck_assert(!rig.level[SCI]);
    rig_pass(&rig, clock_tick_time(0, 1 << 24, 3579545) - rig.clock.now);
    ck_assert(rig.level[SCI]);
}
END_TEST

START_TEST(the_power_button_sets_its_status_and_interrupts_if_enabled)
{
    plug(false);
    acpi_pm_power_button(pm);
    ck_assert_uint_eq(bus_read(rig.bus, STATUS, 2), 0x100);
    ck_assert(!rig.level[SCI]);
    bus_write(rig.bus, ENABLE, 2, 0x100);
    ck_assert(rig.level[SCI]);
    bus_write(rig.bus, STATUS, 2, 0x100);
    ck_assert(!rig.level[SCI]);
}
END_TEST

START_TEST(sleep_type_0_switches_off)
{
    plug(false);
    bus_write(rig.bus, CONTROL, 2, 0x2001);
    ck_assert_uint_eq(rig.requests[MACHINE_POWER_OFF], 1);
    ck_assert_uint_eq(bus_read(rig.bus, CONTROL, 2), 1); /* SLP_EN reads as 0 */
}
END_TEST

START_TEST(sleep_type_1_sleeps_until_the_rtc_wakes)
{
    struct irq_line rtc;

    plug(false);
    rtc = acpi_pm_rtc_line(pm);
    bus_write(rig.bus, ENABLE, 2, 0x400);
    bus_write(rig.bus, CONTROL, 2, 0x2400);
    ck_assert_uint_eq(rig.requests[MACHINE_SLEEP], 1);
    ck_assert_uint_eq(rig.requests[MACHINE_WAKE], 0);
    irq_set(&rtc, true);
    ck_assert_uint_eq(rig.requests[MACHINE_WAKE], 1);
    ck_assert_uint_eq(bus_read(rig.bus, STATUS, 2), 0x8400);
}
END_TEST

START_TEST(an_event_that_is_not_enabled_does_not_wake)
{
    struct irq_line rtc;

    plug(false);
    rtc = acpi_pm_rtc_line(pm);
    bus_write(rig.bus, CONTROL, 2, 0x2400);
    irq_set(&rtc, true);
    ck_assert_uint_eq(rig.requests[MACHINE_WAKE], 0);
}
END_TEST

START_TEST(byte_accesses_reach_the_halves)
{
    plug(false);
    out8(&rig, ENABLE + 1, 0x05);
    ck_assert_uint_eq(bus_read(rig.bus, ENABLE, 2), 0x0500);
    out8(&rig, CONTROL + 1, 0x24);
    ck_assert_uint_eq(rig.requests[MACHINE_SLEEP], 1);
}
END_TEST

START_TEST(the_smi_command_port_switches_acpi_mode)
{
    plug(false);
    bus_write(rig.bus, ENABLE, 2, 0x100);
    acpi_pm_power_button(pm);
    out8(&rig, 0xb2, ACPI_DISABLE);
    ck_assert(!rig.level[SCI]);
    ck_assert_uint_eq(bus_read(rig.bus, CONTROL, 2) & 1, 0);
    out8(&rig, 0xb2, ACPI_ENABLE);
    ck_assert(rig.level[SCI]);
    ck_assert_uint_eq(rig.requests[MACHINE_SMI], 0);
    acpi_pm_configure(pm, BASE, true);
    out8(&rig, 0xb2, 0x42);
    ck_assert_uint_eq(rig.requests[MACHINE_SMI], 1);
    ck_assert_uint_eq(rig.request_value, 0x42);
}
END_TEST

START_TEST(gpe_status_interrupts_if_enabled)
{
    plug(false);
    out8(&rig, ACPI_GPE0_BASE + 3, 0x02);
    acpi_pm_gpe(pm, 9);
    ck_assert(rig.level[SCI]);
    ck_assert_uint_eq(bus_read(rig.bus, ACPI_GPE0_BASE, 2), 0x200);
    out8(&rig, ACPI_GPE0_BASE + 1, 0x02);
    ck_assert(!rig.level[SCI]);
}
END_TEST

START_TEST(the_block_can_be_moved)
{
    plug(false);
    acpi_pm_configure(pm, 0xb000, false);
    ck_assert_uint_eq(bus_read(rig.bus, CONTROL, 2), 0xffff);
    ck_assert_uint_eq(bus_read(rig.bus, 0xb004, 2), 1);
    acpi_pm_configure(pm, 0, false);
    ck_assert_uint_eq(bus_read(rig.bus, 0xb004, 2), 0xffff);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_timer_counts_exactly_and_wraps_at_24_bits,
        the_timer_can_have_32_bits,
        the_timers_highest_bit_interrupts_when_it_changes,
        the_power_button_sets_its_status_and_interrupts_if_enabled,
        sleep_type_0_switches_off,
        sleep_type_1_sleeps_until_the_rtc_wakes,
        an_event_that_is_not_enabled_does_not_wake,
        byte_accesses_reach_the_halves,
        the_smi_command_port_switches_acpi_mode,
        gpe_status_interrupts_if_enabled,
        the_block_can_be_moved,
    };

    return rig_main("acpi_pm", tests, ARRAY_SIZE(tests));
}
