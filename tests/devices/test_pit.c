/* SPDX-License-Identifier: MIT */
#include "devices/pit.h"
#include "tests/devices/rig.h"

enum { IRQ0 = 0 };

static struct rig rig;
static struct pit *pit;

static void plug(void)
{
    rig_init(&rig);
    pit = pit_create(&rig.clock, rig.bus, rig_line(&rig, IRQ0), &rig.error);
    ck_assert_ptr_nonnull(pit);
}

/* Pass to the start of PIT tick `tick` (since power-on). */
static void to_tick(u64 tick)
{
    const u64 at = clock_tick_time(0, tick, PIT_HZ);

    rig_pass(&rig, at - rig.clock.now);
}

static void start(u8 control, u16 count)
{
    const u16 port = 0x40 + (control >> 6);

    out8(&rig, 0x43, control);
    out8(&rig, port, (u8)count);
    out8(&rig, port, (u8)(count >> 8));
}

static u16 count_of(u32 channel)
{
    u16 low;

    out8(&rig, 0x43, (u8)(channel << 6));
    low = in8(&rig, (u16)(0x40 + channel));
    return (u16)(in8(&rig, (u16)(0x40 + channel)) << 8 | low);
}

static bool out2(void)
{
    return in8(&rig, 0x61) & 0x20;
}

START_TEST(mode_0_raises_out_once_after_the_count)
{
    plug();
    start(0x30, 1000);
    ck_assert(!rig.level[IRQ0]);
    to_tick(1000);
    ck_assert(!rig.level[IRQ0]);
    to_tick(1001); /* the count is loaded one tick after the write */
    ck_assert(rig.level[IRQ0]);
    to_tick(200000);
    ck_assert_uint_eq(rig.rises[IRQ0], 2); /* one before programming: OUT of mode 3 */
    ck_assert_uint_eq(count_of(0), (u16)(1000 - (200000 - 1)));
}
END_TEST

START_TEST(mode_2_interrupts_once_per_count)
{
    plug();
    start(0x34, 1193);
    rig.rises[IRQ0] = 0;
    rig_pass(&rig, NS_PER_SECOND);
    ck_assert_uint_eq(rig.rises[IRQ0], 1000);
}
END_TEST

START_TEST(mode_2_is_low_for_the_last_tick_of_the_count)
{
    plug();
    start(0x34, 10);
    to_tick(9); /* loaded at 1, value 2 */
    ck_assert(rig.level[IRQ0]);
    to_tick(10);
    ck_assert(!rig.level[IRQ0]);
    to_tick(11);
    ck_assert(rig.level[IRQ0]);
}
END_TEST

START_TEST(mode_2_takes_a_new_count_at_the_end_of_the_period)
{
    plug();
    start(0x34, 100);
    to_tick(50);
    out8(&rig, 0x40, 10);
    out8(&rig, 0x40, 0);
    rig.rises[IRQ0] = 0;
    to_tick(100);
    ck_assert_uint_eq(rig.rises[IRQ0], 0);
    to_tick(101);
    ck_assert_uint_eq(rig.rises[IRQ0], 1);
    to_tick(111);
    ck_assert_uint_eq(rig.rises[IRQ0], 2);
}
END_TEST

START_TEST(mode_3_is_a_square_wave_with_the_longer_half_high)
{
    plug();
    start(0x36, 7);
    to_tick(1 + 3);
    ck_assert(rig.level[IRQ0]);
    to_tick(1 + 4);
    ck_assert(!rig.level[IRQ0]);
    to_tick(1 + 6);
    ck_assert(!rig.level[IRQ0]);
    to_tick(1 + 7);
    ck_assert(rig.level[IRQ0]);
}
END_TEST

START_TEST(mode_3_takes_a_new_count_at_the_end_of_the_half)
{
    plug();
    start(0x36, 100);
    to_tick(10);
    out8(&rig, 0x40, 20);
    out8(&rig, 0x40, 0);
    to_tick(51); /* falls as the old count says; then 10 ticks low */
    ck_assert(!rig.level[IRQ0]);
    to_tick(60);
    ck_assert(!rig.level[IRQ0]);
    to_tick(61);
    ck_assert(rig.level[IRQ0]);
}
END_TEST

START_TEST(mode_4_strobes_for_one_tick)
{
    plug();
    start(0x38, 5);
    ck_assert(rig.level[IRQ0]);
    to_tick(6);
    ck_assert(!rig.level[IRQ0]);
    to_tick(7);
    ck_assert(rig.level[IRQ0]);
    rig.rises[IRQ0] = 0;
    to_tick(200000);
    ck_assert_uint_eq(rig.rises[IRQ0], 0);
}
END_TEST

START_TEST(modes_1_and_5_wait_for_the_gate)
{
    plug();
    out8(&rig, 0x61, 0);
    start(0xb2, 100); /* channel 2, mode 1 */
    ck_assert(out2());
    out8(&rig, 0x61, 1);
    to_tick(2);
    ck_assert(!out2());
    to_tick(101);
    ck_assert(out2());

    out8(&rig, 0x61, 0);
    start(0xba, 100); /* mode 5 */
    out8(&rig, 0x61, 1);
    to_tick(101 + 1 + 100);
    ck_assert(!out2());
    to_tick(101 + 1 + 101);
    ck_assert(out2());
}
END_TEST

START_TEST(the_gate_stops_mode_0_and_lets_it_go_on)
{
    plug();
    out8(&rig, 0x61, 1);
    start(0xb0, 1000);
    to_tick(501);
    out8(&rig, 0x61, 0);
    to_tick(5000);
    ck_assert_uint_eq(count_of(2), 500);
    out8(&rig, 0x61, 1);
    to_tick(5499);
    ck_assert(!out2());
    to_tick(5500);
    ck_assert(out2());
}
END_TEST

START_TEST(the_gate_restarts_mode_2)
{
    plug();
    out8(&rig, 0x61, 1);
    start(0xb4, 1000);
    to_tick(300);
    out8(&rig, 0x61, 0);
    ck_assert(out2());
    to_tick(400);
    out8(&rig, 0x61, 1);
    to_tick(401);
    ck_assert_uint_eq(count_of(2), 1000);
}
END_TEST

START_TEST(a_latched_count_stays_until_it_is_read)
{
    plug();
    start(0x30, 1000);
    to_tick(101);
    out8(&rig, 0x43, 0x00);
    to_tick(201);
    ck_assert_uint_eq(in8(&rig, 0x40), 900 & 0xff);
    ck_assert_uint_eq(in8(&rig, 0x40), 900 >> 8);
    ck_assert_uint_eq(in8(&rig, 0x40), 800 & 0xff);
}
END_TEST

START_TEST(read_back_latches_status_and_count)
{
    plug();
    start(0x30, 1000);
    to_tick(101);
    out8(&rig, 0x43, 0xc2);
    ck_assert_uint_eq(in8(&rig, 0x40), 0x30); /* OUT low, count loaded, both bytes, mode 0 */
    ck_assert_uint_eq(in8(&rig, 0x40), 900 & 0xff);
    ck_assert_uint_eq(in8(&rig, 0x40), 900 >> 8);
    start(0x34, 100);
    out8(&rig, 0x43, 0xe2);
    ck_assert_uint_eq(in8(&rig, 0x40), 0xf4); /* OUT high, null count */
}
END_TEST

START_TEST(bcd_counts_in_decimal)
{
    plug();
    start(0x31, 0x1000);
    to_tick(2);
    ck_assert_uint_eq(count_of(0), 0x0999);
    to_tick(1002);
    ck_assert_uint_eq(count_of(0), 0x9999);
}
END_TEST

START_TEST(a_count_of_zero_is_the_largest)
{
    plug();
    start(0x34, 0);
    to_tick(1);
    ck_assert_uint_eq(count_of(0), 0);
    to_tick(2);
    ck_assert_uint_eq(count_of(0), 0xffff);
}
END_TEST

START_TEST(the_first_byte_of_a_mode_0_count_stops_it)
{
    plug();
    start(0x30, 10);
    to_tick(5);
    out8(&rig, 0x40, 10);
    to_tick(100);
    ck_assert(!rig.level[IRQ0]);
    out8(&rig, 0x40, 0);
    to_tick(111);
    ck_assert(rig.level[IRQ0]);
}
END_TEST

START_TEST(a_jump_of_an_hour_costs_one_interrupt)
{
    plug();
    start(0x34, 2);
    rig.rises[IRQ0] = 0;
    clock_run(&rig.clock, 3600 * NS_PER_SECOND);
    ck_assert_uint_eq(rig.rises[IRQ0], 1);
    ck_assert_uint_gt(rig.clock.next_deadline, rig.clock.now);
}
END_TEST

START_TEST(the_refresh_bit_of_port_61_toggles)
{
    u8 first;

    plug();
    first = in8(&rig, 0x61) & 0x10;
    rig_pass(&rig, 15085);
    ck_assert_uint_ne(in8(&rig, 0x61) & 0x10, first);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        mode_0_raises_out_once_after_the_count,
        mode_2_interrupts_once_per_count,
        mode_2_is_low_for_the_last_tick_of_the_count,
        mode_2_takes_a_new_count_at_the_end_of_the_period,
        mode_3_is_a_square_wave_with_the_longer_half_high,
        mode_3_takes_a_new_count_at_the_end_of_the_half,
        mode_4_strobes_for_one_tick,
        modes_1_and_5_wait_for_the_gate,
        the_gate_stops_mode_0_and_lets_it_go_on,
        the_gate_restarts_mode_2,
        a_latched_count_stays_until_it_is_read,
        read_back_latches_status_and_count,
        bcd_counts_in_decimal,
        a_count_of_zero_is_the_largest,
        the_first_byte_of_a_mode_0_count_stops_it,
        a_jump_of_an_hour_costs_one_interrupt,
        the_refresh_bit_of_port_61_toggles,
    };

    return rig_main("pit", tests, ARRAY_SIZE(tests));
}
