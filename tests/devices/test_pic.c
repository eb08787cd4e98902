/* SPDX-License-Identifier: MIT */
#include "devices/pic.h"
#include "tests/devices/rig.h"

enum { INTR = 0 };

static struct rig rig;
static struct pic *pic;

static void raise_irq(u32 irq)
{
    const struct irq_line line = pic_line(pic, irq);

    irq_set(&line, true);
}

static void lower_irq(u32 irq)
{
    const struct irq_line line = pic_line(pic, irq);

    irq_set(&line, false);
}

static void program(u8 icw4)
{
    rig_init(&rig);
    pic = pic_create(rig.bus, rig_line(&rig, INTR), &rig.error);
    ck_assert_ptr_nonnull(pic);
    out8(&rig, 0x20, 0x11);
    out8(&rig, 0x21, 0x30);
    out8(&rig, 0x21, 0x04);
    out8(&rig, 0x21, icw4);
    out8(&rig, 0xa0, 0x11);
    out8(&rig, 0xa1, 0x38);
    out8(&rig, 0xa1, 0x02);
    out8(&rig, 0xa1, icw4);
    out8(&rig, 0x21, 0);
    out8(&rig, 0xa1, 0);
}

static void plug(void)
{
    program(0x01);
}

START_TEST(a_request_raises_intr_and_is_acknowledged_by_its_vector)
{
    plug();
    raise_irq(3);
    ck_assert(rig.level[INTR]);
    ck_assert_uint_eq(pic_ack(pic), 0x33);
    ck_assert(!rig.level[INTR]);
    out8(&rig, 0x20, 0x0b);
    ck_assert_uint_eq(in8(&rig, 0x20), 0x08);
    out8(&rig, 0x20, 0x20);
    ck_assert_uint_eq(in8(&rig, 0x20), 0);
}
END_TEST

START_TEST(a_slave_request_comes_through_the_cascade)
{
    plug();
    raise_irq(11);
    ck_assert_uint_eq(pic_ack(pic), 0x3b);
    out8(&rig, 0x20, 0x0b);
    out8(&rig, 0xa0, 0x0b);
    ck_assert_uint_eq(in8(&rig, 0x20), 0x04);
    ck_assert_uint_eq(in8(&rig, 0xa0), 0x08);
}
END_TEST

START_TEST(a_pulse_is_latched_while_interrupts_are_off)
{
    plug();
    raise_irq(11);
    lower_irq(11);
    ck_assert(rig.level[INTR]);
    ck_assert_uint_eq(pic_ack(pic), 0x3b);
}
END_TEST

START_TEST(a_held_edge_line_does_not_interrupt_twice)
{
    plug();
    raise_irq(4);
    (void)pic_ack(pic);
    out8(&rig, 0x20, 0x20);
    ck_assert(!rig.level[INTR]);
    lower_irq(4);
    raise_irq(4);
    ck_assert(rig.level[INTR]);
}
END_TEST

START_TEST(a_held_level_line_interrupts_again_after_eoi)
{
    plug();
    out8(&rig, 0x4d1, 0x08);
    raise_irq(11);
    (void)pic_ack(pic);
    out8(&rig, 0xa0, 0x20);
    out8(&rig, 0x20, 0x20);
    ck_assert(rig.level[INTR]);
    ck_assert_uint_eq(pic_ack(pic), 0x3b);
    lower_irq(11);
    out8(&rig, 0xa0, 0x20);
    out8(&rig, 0x20, 0x20);
    ck_assert(!rig.level[INTR]);
}
END_TEST

START_TEST(system_lines_cannot_be_made_level_triggered)
{
    plug();
    out8(&rig, 0x4d0, 0xff);
    out8(&rig, 0x4d1, 0xff);
    ck_assert_uint_eq(in8(&rig, 0x4d0), 0xf8);
    ck_assert_uint_eq(in8(&rig, 0x4d1), 0xde);
}
END_TEST

START_TEST(lower_numbers_win_and_interrupt_higher_ones)
{
    plug();
    raise_irq(5);
    raise_irq(1);
    ck_assert_uint_eq(pic_ack(pic), 0x31);
    ck_assert(!rig.level[INTR]);
    raise_irq(0);
    ck_assert_uint_eq(pic_ack(pic), 0x30);
}
END_TEST

START_TEST(a_masked_request_waits)
{
    plug();
    out8(&rig, 0x21, 0x08);
    raise_irq(3);
    ck_assert(!rig.level[INTR]);
    out8(&rig, 0x21, 0);
    ck_assert(rig.level[INTR]);
}
END_TEST

START_TEST(a_request_that_vanished_gives_irq7_without_service)
{
    plug();
    ck_assert_uint_eq(pic_ack(pic), 0x37);
    out8(&rig, 0x20, 0x0b);
    ck_assert_uint_eq(in8(&rig, 0x20), 0);
}
END_TEST

START_TEST(rotation_moves_the_served_line_to_the_bottom)
{
    plug();
    raise_irq(3);
    (void)pic_ack(pic);
    out8(&rig, 0x20, 0xa0); /* rotate on non-specific EOI */
    raise_irq(0);
    raise_irq(4);
    ck_assert_uint_eq(pic_ack(pic), 0x34);
}
END_TEST

START_TEST(set_priority_names_the_bottom)
{
    plug();
    out8(&rig, 0x20, 0xc4);
    raise_irq(0);
    raise_irq(5);
    ck_assert_uint_eq(pic_ack(pic), 0x35);
}
END_TEST

START_TEST(a_specific_eoi_ends_the_named_line)
{
    plug();
    raise_irq(1);
    (void)pic_ack(pic);
    raise_irq(0);
    (void)pic_ack(pic);
    out8(&rig, 0x20, 0x61);
    out8(&rig, 0x20, 0x0b);
    ck_assert_uint_eq(in8(&rig, 0x20), 0x01);
}
END_TEST

START_TEST(special_mask_mode_lets_lower_priorities_in)
{
    plug();
    raise_irq(1);
    (void)pic_ack(pic);
    raise_irq(4);
    ck_assert(!rig.level[INTR]);
    out8(&rig, 0x21, 0x02);
    out8(&rig, 0x20, 0x68);
    ck_assert(rig.level[INTR]);
    ck_assert_uint_eq(pic_ack(pic), 0x34);
}
END_TEST

START_TEST(poll_acknowledges_by_reading)
{
    plug();
    raise_irq(6);
    out8(&rig, 0x20, 0x0c);
    ck_assert_uint_eq(in8(&rig, 0x20), 0x86);
    ck_assert(!rig.level[INTR]);
    out8(&rig, 0x20, 0x0c);
    ck_assert_uint_eq(in8(&rig, 0x20), 0);
}
END_TEST

START_TEST(automatic_eoi_leaves_nothing_in_service)
{
    program(0x03);
    raise_irq(2 + 1);
    ck_assert_uint_eq(pic_ack(pic), 0x33);
    out8(&rig, 0x20, 0x0b);
    ck_assert_uint_eq(in8(&rig, 0x20), 0);
}
END_TEST

START_TEST(special_fully_nested_mode_lets_the_slave_nest)
{
    program(0x11);
    raise_irq(12);
    ck_assert_uint_eq(pic_ack(pic), 0x3c);
    raise_irq(9);
    ck_assert(rig.level[INTR]);
    ck_assert_uint_eq(pic_ack(pic), 0x39);
}
END_TEST

START_TEST(initialisation_forgets_edges)
{
    plug();
    raise_irq(3);
    out8(&rig, 0x20, 0x11);
    out8(&rig, 0x21, 0x30);
    out8(&rig, 0x21, 0x04);
    out8(&rig, 0x21, 0x01);
    ck_assert(!rig.level[INTR]);
    lower_irq(3);
    raise_irq(3);
    ck_assert(rig.level[INTR]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_request_raises_intr_and_is_acknowledged_by_its_vector,
        a_slave_request_comes_through_the_cascade,
        a_pulse_is_latched_while_interrupts_are_off,
        a_held_edge_line_does_not_interrupt_twice,
        a_held_level_line_interrupts_again_after_eoi,
        system_lines_cannot_be_made_level_triggered,
        lower_numbers_win_and_interrupt_higher_ones,
        a_masked_request_waits,
        a_request_that_vanished_gives_irq7_without_service,
        rotation_moves_the_served_line_to_the_bottom,
        set_priority_names_the_bottom,
        a_specific_eoi_ends_the_named_line,
        special_mask_mode_lets_lower_priorities_in,
        poll_acknowledges_by_reading,
        automatic_eoi_leaves_nothing_in_service,
        special_fully_nested_mode_lets_the_slave_nest,
        initialisation_forgets_edges,
    };

    return rig_main("pic", tests, ARRAY_SIZE(tests));
}
