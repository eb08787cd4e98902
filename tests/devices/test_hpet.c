/* SPDX-License-Identifier: MIT */
#include "devices/hpet.h"
#include "tests/devices/rig.h"

enum { IRQ0 = 24, IRQ8 = 25 }; /* lines of the rig; 0..23 are GSIs */
enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0, T0 = 0x100, T1 = 0x120, COMPARATOR = 8 };
enum { LEVEL = 2, ENABLE = 4, PERIODIC = 8, SET_VALUE = 0x40, BITS32 = 0x100, GSI20 = 20 << 9 };

static struct rig rig;
static struct hpet *hpet;

static void plug(void)
{
    struct irq_line gsi[24];

    rig_init(&rig);
    for (u32 i = 0; i < 24; i++)
        gsi[i] = rig_line(&rig, i);
    hpet = hpet_create(&rig.clock, rig_line(&rig, IRQ0), rig_line(&rig, IRQ8), gsi, &rig.error);
    ck_assert_ptr_nonnull(hpet);
}

static u64 get(u64 offset)
{
    return hpet_mmio_read(hpet, offset, 8);
}

static void set(u64 offset, u64 value)
{
    hpet_mmio_write(hpet, offset, 8, value);
}

START_TEST(capabilities_name_period_and_timers)
{
    plug();
    ck_assert_uint_eq(get(0) >> 32, 10000000);
    ck_assert_uint_eq((get(0) >> 8 & 31) + 1, 3);
    ck_assert_uint_eq(hpet_mmio_read(hpet, 4, 4), 10000000);
    ck_assert_uint_eq(get(T0) & 0x8030, 0x0030);
}
END_TEST

START_TEST(the_counter_counts_10_ns_while_enabled)
{
    plug();
    rig_pass(&rig, 1000);
    ck_assert_uint_eq(get(COUNTER), 0);
    set(CONFIG, 1);
    rig_pass(&rig, 12345);
    ck_assert_uint_eq(get(COUNTER), 1234);
    set(CONFIG, 0);
    rig_pass(&rig, 1000);
    ck_assert_uint_eq(get(COUNTER), 1234);
    hpet_mmio_write(hpet, COUNTER + 4, 4, 1);
    ck_assert_uint_eq(get(COUNTER), 0x1000004d2);
}
END_TEST

START_TEST(a_one_shot_edge_comes_at_its_count)
{
    plug();
    set(T0, ENABLE | GSI20);
    set(T0 + COMPARATOR, 100);
    set(CONFIG, 1);
    rig_pass(&rig, 999);
    ck_assert_uint_eq(rig.rises[20], 0);
    rig_pass(&rig, 1);
    ck_assert_uint_eq(rig.rises[20], 1);
    rig_pass(&rig, 100000);
    ck_assert_uint_eq(rig.rises[20], 1);
    ck_assert_uint_eq(get(STATUS), 0);
}
END_TEST

START_TEST(a_level_interrupt_lasts_until_its_status_is_cleared)
{
    plug();
    set(T1, ENABLE | LEVEL | GSI20);
    set(T1 + COMPARATOR, 100);
    set(CONFIG, 1);
    rig_pass(&rig, 1000);
    ck_assert(rig.level[20]);
    ck_assert_uint_eq(get(STATUS), 2);
    set(STATUS, 2);
    ck_assert(!rig.level[20]);
}
END_TEST

/* As a kernel sets its tick: VAL_SET lets the first write load the comparator. */
START_TEST(a_periodic_timer_repeats)
{
    plug();
    set(CONFIG, 3);
    set(T0, ENABLE | PERIODIC | SET_VALUE | BITS32);
    hpet_mmio_write(hpet, T0 + COMPARATOR, 4, 500);
    hpet_mmio_write(hpet, T0 + COMPARATOR, 4, 100);
    rig_pass(&rig, 5000);
    ck_assert_uint_eq(rig.rises[IRQ0], 1);
    rig_pass(&rig, 10000);
    ck_assert_uint_eq(rig.rises[IRQ0], 11);
}
END_TEST

START_TEST(a_jump_over_many_periods_is_one_interrupt)
{
    plug();
    set(T0, ENABLE | PERIODIC | SET_VALUE | GSI20);
    set(T0 + COMPARATOR, 1);
    set(T0 + COMPARATOR, 1);
    set(CONFIG, 1);
    clock_run(&rig.clock, 3600 * NS_PER_SECOND);
    ck_assert_uint_eq(rig.rises[20], 1);
    ck_assert_uint_gt(rig.clock.next_deadline, rig.clock.now);
}
END_TEST

START_TEST(a_32_bit_comparator_wraps)
{
    plug();
    set(COUNTER, 0xffffff00);
    set(T0, ENABLE | BITS32 | GSI20);
    set(T0 + COMPARATOR, 0x10);
    set(CONFIG, 1);
    rig_pass(&rig, 0x110 * 10);
    ck_assert_uint_eq(rig.rises[20], 1);
}
END_TEST

START_TEST(legacy_replacement_takes_the_lines_of_pit_and_rtc)
{
    struct irq_line pit, rtc;

    plug();
    pit = hpet_pit_line(hpet);
    rtc = hpet_rtc_line(hpet);
    irq_set(&pit, true);
    ck_assert(rig.level[IRQ0]);
    set(CONFIG, 2);
    ck_assert(!rig.level[IRQ0]);
    irq_set(&rtc, true);
    ck_assert(!rig.level[IRQ8]);
    set(CONFIG, 0);
    ck_assert(rig.level[IRQ0]);
    ck_assert(rig.level[IRQ8]);
}
END_TEST

START_TEST(an_impossible_route_interrupts_nobody)
{
    plug();
    set(T0, ENABLE | 31 << 9);
    set(T0 + COMPARATOR, 10);
    set(CONFIG, 1);
    rig_pass(&rig, 1000);
    for (u32 i = 0; i < RIG_LINES; i++)
        ck_assert_uint_eq(rig.rises[i], 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        capabilities_name_period_and_timers,
        the_counter_counts_10_ns_while_enabled,
        a_one_shot_edge_comes_at_its_count,
        a_level_interrupt_lasts_until_its_status_is_cleared,
        a_periodic_timer_repeats,
        a_jump_over_many_periods_is_one_interrupt,
        a_32_bit_comparator_wraps,
        legacy_replacement_takes_the_lines_of_pit_and_rtc,
        an_impossible_route_interrupts_nobody,
    };

    return rig_main("hpet", tests, ARRAY_SIZE(tests));
}
