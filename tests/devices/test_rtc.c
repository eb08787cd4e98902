/* SPDX-License-Identifier: MIT */
#include "devices/rtc.h"
#include "tests/devices/rig.h"

enum { IRQ8 = 8, WAKE = 9 };
enum { A = 10, B = 11, C = 12, D = 13 };

/* 2024-02-28 23:59:58, a Wednesday */
#define DATE ((i64)1709164798)
#define FIRST_UPDATE (NS_PER_SECOND - RTC_PHASE_NS)

static struct rig rig;
static struct rtc *rtc;

static void plug(void)
{
    rig_init(&rig);
    rtc = rtc_create(&rig.clock, rig.bus, rig_line(&rig, IRQ8), DATE, &rig.error);
    ck_assert_ptr_nonnull(rtc);
    rtc_set_wake(rtc, rig_line(&rig, WAKE));
}

static u8 get(u8 index)
{
    out8(&rig, 0x70, index);
    return in8(&rig, 0x71);
}

static void set(u8 index, u8 value)
{
    out8(&rig, 0x70, index);
    out8(&rig, 0x71, value);
}

static void expect_time(u8 century, u8 year, u8 month, u8 day, u8 weekday, u8 h, u8 m, u8 s)
{
    ck_assert_uint_eq(get(0x32), century);
    ck_assert_uint_eq(get(9), year);
    ck_assert_uint_eq(get(8), month);
    ck_assert_uint_eq(get(7), day);
    ck_assert_uint_eq(get(6), weekday);
    ck_assert_uint_eq(get(4), h);
    ck_assert_uint_eq(get(2), m);
    ck_assert_uint_eq(get(0), s);
}

START_TEST(it_shows_the_given_date_at_power_on)
{
    plug();
    expect_time(0x20, 0x24, 0x02, 0x28, 4, 0x23, 0x59, 0x58);
    ck_assert_uint_eq(get(D), 0x80);
}
END_TEST

START_TEST(midnight_and_leap_day_roll_over)
{
    plug();
    rig_pass(&rig, FIRST_UPDATE + NS_PER_SECOND);
    expect_time(0x20, 0x24, 0x02, 0x29, 5, 0x00, 0x00, 0x00);
    rig_pass(&rig, 86400 * NS_PER_SECOND);
    expect_time(0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00);
}
END_TEST

START_TEST(binary_and_12_hour_formats)
{
    plug();
    set(B, 0x06);
    ck_assert_uint_eq(get(4), 23);
    ck_assert_uint_eq(get(0), 58);
    set(B, 0x04);
    ck_assert_uint_eq(get(4), 11 | 0x80);
    set(B, 0x00);
    rig_pass(&rig, FIRST_UPDATE + NS_PER_SECOND);
    ck_assert_uint_eq(get(4), 0x12); /* midnight */
}
END_TEST

START_TEST(a_set_time_runs_on)
{
    plug();
    set(B, 0x82);
    set(0x32, 0x19);
    set(9, 0x99);
    set(8, 0x12);
    set(7, 0x31);
    set(6, 6);
    set(4, 0x23);
    set(2, 0x59);
    set(0, 0x59);
    rig_pass(&rig, 5 * NS_PER_SECOND);
    ck_assert_uint_eq(get(0), 0x59);
    set(B, 0x02);
    ck_assert_uint_eq(get(0), 0x59);
    rig_pass(&rig, NS_PER_SECOND);
    expect_time(0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00);
}
END_TEST

START_TEST(after_a_divider_reset_the_first_update_comes_in_half_a_second)
{
    plug();
    set(A, 0x76);
    set(0, 0x10);
    rig_pass(&rig, 3 * NS_PER_SECOND);
    ck_assert_uint_eq(get(0), 0x10);
    set(A, 0x26);
    rig_pass(&rig, NS_PER_SECOND / 2 - 1);
    ck_assert_uint_eq(get(0), 0x10);
    rig_pass(&rig, 1);
    ck_assert_uint_eq(get(0), 0x11);
}
END_TEST

START_TEST(update_in_progress_precedes_the_update)
{
    plug();
    rig_pass(&rig, FIRST_UPDATE - 2228000 - 1);
    ck_assert_uint_eq(get(A), 0x26);
    rig_pass(&rig, 1);
    ck_assert_uint_eq(get(A), 0xa6);
    rig_pass(&rig, 2228000);
    ck_assert_uint_eq(get(A), 0x26);
    ck_assert_uint_eq(get(0), 0x59);
}
END_TEST

START_TEST(flags_show_without_enables_and_clear_by_reading)
{
    plug();
    rig_pass(&rig, FIRST_UPDATE);
    ck_assert_uint_eq(get(C), 0x50); /* periodic and update, no IRQF */
    ck_assert_uint_eq(get(C), 0);
    ck_assert_uint_eq(rig.rises[IRQ8], 0);
}
END_TEST

START_TEST(the_update_interrupt_comes_each_second)
{
    plug();
    set(B, 0x12);
    for (u32 i = 0; i < 5; i++) {
        rig_pass(&rig, i == 0 ? FIRST_UPDATE : NS_PER_SECOND);
        ck_assert_uint_eq(rig.rises[IRQ8], i + 1);
        ck_assert_uint_eq(get(C) & 0x90, 0x90);
    }
}
END_TEST

START_TEST(the_periodic_interrupt_has_its_rate)
{
    u32 count = 0;

    plug();
    set(B, 0x42);
    for (u32 i = 0; i < 100000; i++) {
        rig_pass(&rig, 10000);
        if (rig.level[IRQ8]) {
            count++;
            (void)get(C);
        }
    }
    ck_assert_uint_eq(count, 1024);
}
END_TEST

START_TEST(an_unread_periodic_interrupt_does_not_pile_up)
{
    plug();
    set(A, 0x23);
    set(B, 0x42);
    clock_run(&rig.clock, 3600 * NS_PER_SECOND);
    ck_assert_uint_eq(rig.rises[IRQ8], 1);
    ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(the_alarm_matches_its_time)
{
    plug();
    set(5, 0x00);
    set(3, 0x01);
    set(1, 0x30);
    set(B, 0x22);
    rig_pass(&rig, FIRST_UPDATE + 90 * NS_PER_SECOND);
    ck_assert_uint_eq(rig.rises[IRQ8], 0);
    rig_pass(&rig, NS_PER_SECOND);
    ck_assert_uint_eq(rig.rises[IRQ8], 1);
    ck_assert_uint_eq(rig.rises[WAKE], 1);
    ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
    expect_time(0x20, 0x24, 0x02, 0x29, 5, 0x00, 0x01, 0x30);
}
END_TEST

START_TEST(an_alarm_of_dont_cares_matches_each_second)
{
    plug();
    set(5, 0xc0);
    set(3, 0xc0);
    set(1, 0xff);
    set(B, 0x22);
    rig_pass(&rig, FIRST_UPDATE);
    ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
    rig_pass(&rig, NS_PER_SECOND);
    ck_assert_uint_eq(get(C) & 0xa0, 0xa0);
}
END_TEST

START_TEST(an_impossible_alarm_never_comes)
{
    plug();
    set(5, 0x25);
    set(B, 0x22);
    ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(memory_keeps_both_banks_apart)
{
    plug();
    set(0x40, 0x12);
    out8(&rig, 0x72, 0x40);
    out8(&rig, 0x73, 0x34);
    ck_assert_uint_eq(get(0x40), 0x12);
    out8(&rig, 0x72, 0x40);
    ck_assert_uint_eq(in8(&rig, 0x73), 0x34);
    rtc_set_cmos(rtc, 0x17, 0x56);
    ck_assert_uint_eq(get(0x17), 0x56);
}
END_TEST

START_TEST(reset_disables_interrupts_and_keeps_the_time)
{
    struct device device;

    plug();
    device = rtc_device(rtc);
    set(B, 0x72);
    rig_pass(&rig, FIRST_UPDATE + 5 * NS_PER_SECOND);
    device.ops->reset(rtc);
    ck_assert_uint_eq(get(B), 0x02);
    ck_assert(!rig.level[IRQ8]);
    ck_assert_uint_eq(get(0), 0x04);
    rig_end(&rig, &device);
}
END_TEST

/* Every day of four centuries: the calendar against counting by hand. */
START_TEST(the_calendar_is_gregorian)
{
    static const u8 lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    u32 year = 1970, month = 1, day = 1;

    rig_init(&rig);
    rtc = rtc_create(&rig.clock, rig.bus, rig_line(&rig, IRQ8), 0, &rig.error);
    set(B, 0x06);
    for (u32 i = 0; i < 146097; i++) {
        const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        if (get(7) != day || get(8) != month || get(9) != year % 100)
            ck_abort_msg("%u-%u-%u", year, month, day);
        rig.clock.now += 86400 * NS_PER_SECOND;
        if (++day > lengths[month - 1] + (u32)(month == 2 && leap)) {
            day = 1;
            month++;
        }
        if (month > 12) {
            month = 1;
            year++;
        }
    }
    ck_assert_uint_eq(get(0x32), 23);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        it_shows_the_given_date_at_power_on,
        midnight_and_leap_day_roll_over,
        binary_and_12_hour_formats,
        a_set_time_runs_on,
        after_a_divider_reset_the_first_update_comes_in_half_a_second,
        update_in_progress_precedes_the_update,
        flags_show_without_enables_and_clear_by_reading,
        the_update_interrupt_comes_each_second,
        the_periodic_interrupt_has_its_rate,
        an_unread_periodic_interrupt_does_not_pile_up,
        the_alarm_matches_its_time,
        an_alarm_of_dont_cares_matches_each_second,
        an_impossible_alarm_never_comes,
        memory_keeps_both_banks_apart,
        reset_disables_interrupts_and_keeps_the_time,
        the_calendar_is_gregorian,
    };

    return rig_main("rtc", tests, ARRAY_SIZE(tests));
}
