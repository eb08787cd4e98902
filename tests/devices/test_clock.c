/* SPDX-License-Identifier: MIT */
#include "tests/devices/rig.h"

struct shot {
    struct clock *clock;
    struct timer timer;
    u32 name;
    u64 again; /* re-arm this much later, 0: do not */
    u32 fired;
};

static u32 order[64];
static u32 orders;

static void fire(void *ctx)
{
    struct shot *shot = ctx;

    shot->fired++;
    if (orders < ARRAY_SIZE(order))
        order[orders++] = shot->name;
    if (shot->again != 0)
        timer_arm(shot->clock, &shot->timer, shot->clock->now + shot->again);
}

static void add(struct clock *clock, struct shot *shot, u32 name, u64 deadline)
{
    *shot = (struct shot){.clock = clock, .name = name};
    timer_init(clock, &shot->timer, fire, shot);
    timer_arm(clock, &shot->timer, deadline);
}

START_TEST(timers_fire_by_deadline_and_then_by_order_of_initialisation)
{
    static const u64 deadlines[] = {30, 10, 20, 10, 5, 20};
    static const u32 expected[] = {4, 1, 3, 2, 5, 0};
    struct shot shot[6];
    struct clock clock;

    clock_init(&clock);
    for (u32 i = 0; i < 6; i++)
        add(&clock, &shot[i], i, deadlines[i]);
    ck_assert_uint_eq(clock.next_deadline, 5);
    clock_run(&clock, 30);
    ck_assert_uint_eq(orders, 6);
    ck_assert_mem_eq(order, expected, sizeof(expected));
    ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(a_timer_in_the_future_does_not_fire)
{
    struct shot shot;
    struct clock clock;

    clock_init(&clock);
    add(&clock, &shot, 0, 100);
    clock_run(&clock, 99);
    ck_assert_uint_eq(shot.fired, 0);
    clock_run(&clock, 100);
    ck_assert_uint_eq(shot.fired, 1);
}
END_TEST

START_TEST(a_cancelled_timer_does_not_fire_and_the_others_do)
{
    struct shot shot[8];
    struct clock clock;

    clock_init(&clock);
    for (u32 i = 0; i < 8; i++)
        add(&clock, &shot[i], i, 10 + (i * 5) % 8);
    timer_cancel(&clock, &shot[3].timer);
    timer_cancel(&clock, &shot[0].timer);
    timer_cancel(&clock, &shot[0].timer);
    clock_run(&clock, 100);
    for (u32 i = 0; i < 8; i++)
        ck_assert_uint_eq(shot[i].fired, i != 3 && i != 0);
}
END_TEST

START_TEST(a_rearmed_timer_fires_at_its_new_time_only)
{
    struct shot shot[2];
    struct clock clock;

    clock_init(&clock);
    add(&clock, &shot[0], 0, 10);
    add(&clock, &shot[1], 1, 20);
    timer_arm(&clock, &shot[0].timer, 30);
    ck_assert_uint_eq(clock.next_deadline, 20);
    clock_run(&clock, 20);
    ck_assert_uint_eq(shot[0].fired, 0);
    clock_run(&clock, 30);
    ck_assert_uint_eq(shot[0].fired, 1);
}
END_TEST

START_TEST(random_arming_keeps_the_heap_in_order)
{
    static struct shot shot[64];
    struct clock clock;
    u32 seed = 1;
    u64 last = 0;

    clock_init(&clock);
    for (u32 i = 0; i < 64; i++)
        add(&clock, &shot[i], i, CLOCK_NEVER);
    for (u32 step = 0; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        if (seed >> 30 == 0)
            timer_cancel(&clock, &shot[seed >> 8 & 63].timer);
        else if (seed >> 30 < 3)
            timer_arm(&clock, &shot[seed >> 8 & 63].timer, clock.now + (seed >> 16 & 255));
        else if (clock.next_deadline != CLOCK_NEVER)
            clock_run(&clock, clock.next_deadline);
        ck_assert_msg(clock.now >= last, "time went back");
        last = clock.now;
        for (u32 i = 0; i < clock.timers; i++)
            if (clock.heap[i]->deadline < clock.next_deadline || clock.heap[i]->heap_index != i)
                ck_abort_msg("heap out of order at step %u", step);
    }
}
END_TEST

START_TEST(ticks_are_exact_over_years)
{
    const u64 year = 365 * 24 * 3600 * NS_PER_SECOND;

    ck_assert_uint_eq(clock_ticks(year, 0, 1193182), (u64)365 * 24 * 3600 * 1193182);
    ck_assert_uint_eq(clock_ticks(year - 1, 0, 1193182), (u64)365 * 24 * 3600 * 1193182 - 1);
}
END_TEST

START_TEST(tick_time_is_the_first_time_that_has_the_tick)
{
    for (u64 tick = 1; tick < 2000; tick += 7) {
        const u64 at = clock_tick_time(1000, tick, 3579545);

        ck_assert_uint_eq(clock_ticks(at, 1000, 3579545), tick);
        ck_assert_uint_eq(clock_ticks(at - 1, 1000, 3579545), tick - 1);
    }
}
END_TEST

START_TEST(a_tick_past_the_end_of_time_never_comes)
{
    ck_assert_uint_eq(clock_tick_time(5, ~(u64)0, 1), CLOCK_NEVER);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        timers_fire_by_deadline_and_then_by_order_of_initialisation,
        a_timer_in_the_future_does_not_fire,
        a_cancelled_timer_does_not_fire_and_the_others_do,
        a_rearmed_timer_fires_at_its_new_time_only,
        random_arming_keeps_the_heap_in_order,
        ticks_are_exact_over_years,
        tick_time_is_the_first_time_that_has_the_tick,
        a_tick_past_the_end_of_time_never_comes,
    };

    return rig_main("clock", tests, ARRAY_SIZE(tests));
}
