/* SPDX-License-Identifier: MIT */
#include "tests/devices/apics.h"

enum { LOGICAL = 1 << 11, STATUS_RIRR = 1 << 14, LEVEL = 1 << 15, MASKED = 1 << 16 };

static struct apics a;

static u32 get(u8 reg)
{
    ioapic_mmio_write(a.ioapic, 0, 4, reg);
    return (u32)ioapic_mmio_read(a.ioapic, 0x10, 4);
}

static void set(u8 reg, u32 value)
{
    ioapic_mmio_write(a.ioapic, 0, 4, reg);
    ioapic_mmio_write(a.ioapic, 0x10, 4, value);
}

static void redirect(u32 pin, u32 low, u32 dest)
{
    set((u8)(0x10 + 2 * pin), low);
    set((u8)(0x11 + 2 * pin), dest << 24);
}

static void line(u32 pin, bool level)
{
    const struct irq_line l = ioapic_line(a.ioapic, pin);

    irq_set(&l, level);
}

static u8 ack_and_eoi(u32 cpu)
{
    const u8 vector = lapic_ack(a.cpu[cpu]);

    apic_set(&a, cpu, APIC_EOI, 0);
    return vector;
}

START_TEST(identification_registers)
{
    apics_init(&a, 1);
    ck_assert_uint_eq(get(1), 0x00170020);
    set(1, 0xffffffff);
    ck_assert_uint_eq(get(1), 0x00170020);
    set(0, 0xffffffff);
    ck_assert_uint_eq(get(0), 0x0f000000);
    ck_assert_uint_eq(get(2), 0x0f000000);
    set(2, 0);
    ck_assert_uint_eq(get(2), 0x0f000000);
    ck_assert_uint_eq(get(0x10), MASKED);
    ck_assert_uint_eq(get(0x40), 0);
}
END_TEST

START_TEST(an_edge_is_sent_once)
{
    apics_init(&a, 1);
    redirect(14, 0x76, 0);
    line(14, true);
    line(14, false);
    ck_assert_uint_eq(ack_and_eoi(0), 0x76);
    ck_assert(!a.seen[0].intr);
    ck_assert(!apic_bit(&a, 0, APIC_TMR, 0x76));
}
END_TEST

START_TEST(a_level_is_sent_again_until_the_line_falls)
{
    apics_init(&a, 1);
    redirect(14, LEVEL | 0x77, 0);
    line(14, true);
    ck_assert_uint_eq(get(0x10 + 28) & STATUS_RIRR, STATUS_RIRR);
    ck_assert_uint_eq(ack_and_eoi(0), 0x77);
    ck_assert(a.seen[0].intr);
    ck_assert(apic_bit(&a, 0, APIC_TMR, 0x77));
    (void)lapic_ack(a.cpu[0]);
    line(14, false);
    ck_assert_uint_eq(get(0x10 + 28) & STATUS_RIRR, STATUS_RIRR);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert_uint_eq(get(0x10 + 28) & STATUS_RIRR, 0);
    ck_assert(!a.seen[0].intr);
}
END_TEST

START_TEST(level_changes_before_eoi_are_one_interrupt)
{
    apics_init(&a, 1);
    redirect(14, LEVEL | 0x98, 0);
    line(14, true);
    (void)lapic_ack(a.cpu[0]);
    line(14, false);
    line(14, true);
    line(14, false);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert(!a.seen[0].intr);
}
END_TEST

START_TEST(an_edge_at_a_masked_pin_is_lost)
{
    apics_init(&a, 1);
    redirect(14, MASKED | 0x81, 0);
    line(14, true);
    line(14, false);
    redirect(14, 0x81, 0);
    ck_assert(!a.seen[0].intr);
    line(14, true);
    ck_assert(a.seen[0].intr);
}
END_TEST

START_TEST(a_level_at_a_masked_pin_waits)
{
    apics_init(&a, 1);
    redirect(14, MASKED | LEVEL | 0x82, 0);
    line(14, true);
    ck_assert(!a.seen[0].intr);
    redirect(14, LEVEL | 0x82, 0);
    ck_assert(a.seen[0].intr);
}
END_TEST

START_TEST(a_mask_set_in_service_stops_the_retrigger)
{
    apics_init(&a, 1);
    redirect(14, LEVEL | 0x83, 0);
    line(14, true);
    (void)lapic_ack(a.cpu[0]);
    redirect(14, MASKED | LEVEL | 0x83, 0);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert(!a.seen[0].intr);
    redirect(14, LEVEL | 0x83, 0);
    ck_assert(a.seen[0].intr);
}
END_TEST

START_TEST(switching_to_edge_clears_remote_irr)
{
    apics_init(&a, 1);
    redirect(14, LEVEL | 0x83, 0);
    line(14, true);
    (void)lapic_ack(a.cpu[0]);
    set(0x10 + 28, MASKED | 0x83);
    ck_assert_uint_eq(get(0x10 + 28), MASKED | 0x83);
}
END_TEST

/* kvm-unit-tests, self-reconfigure: EOI finds the pin though its destination has changed. */
START_TEST(eoi_reaches_a_pin_that_was_redirected_meanwhile)
{
    apics_init(&a, 2);
    redirect(13, LEVEL | 0x64, 0);
    line(13, true);
    (void)lapic_ack(a.cpu[0]);
    line(13, false);
    set(0x11 + 26, 1u << 24);
    ck_assert_uint_eq(get(0x10 + 26) & STATUS_RIRR, STATUS_RIRR);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert_uint_eq(get(0x10 + 26) & STATUS_RIRR, 0);
}
END_TEST

START_TEST(destinations_are_physical_or_logical)
{
    apics_init(&a, 4);
    redirect(14, 0x85, 1);
    line(14, true);
    ck_assert(!a.seen[0].intr && a.seen[1].intr);
    for (u32 i = 0; i < 4; i++)
        apic_x2(&a, i);
    redirect(15, LEVEL | LOGICAL | 0x96, 0xd);
    line(15, true);
    ck_assert(a.seen[0].intr && a.seen[2].intr && a.seen[3].intr);
    ck_assert_uint_eq(lapic_ack(a.cpu[1]), 0x85);
    ck_assert(!a.seen[1].intr);
}
END_TEST

START_TEST(suppressed_eoi_broadcasts_leave_it_to_the_eoi_register)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_SVR, 0x11ff);
    redirect(14, LEVEL | 0x77, 0);
    line(14, true);
    ck_assert_uint_eq(ack_and_eoi(0), 0x77);
    ck_assert_uint_eq(get(0x10 + 28) & STATUS_RIRR, STATUS_RIRR);
    ck_assert(!a.seen[0].intr);
    ioapic_mmio_write(a.ioapic, 0x40, 4, 0x77);
    ck_assert(a.seen[0].intr);
}
END_TEST

START_TEST(a_level_that_nobody_took_has_no_remote_irr)
{
    apics_init(&a, 1);
    redirect(14, LEVEL | 0x77, 9);
    line(14, true);
    ck_assert_uint_eq(get(0x10 + 28) & STATUS_RIRR, 0);
    set(0x11 + 28, 0);
    ck_assert(a.seen[0].intr);
}
END_TEST

START_TEST(extint_from_a_pin_asks_the_8259)
{
    struct irq_line irq0;

    apics_init(&a, 1);
    out8(&a.rig, 0x21, 0);
    apic_set(&a, 0, APIC_LVT0, 0x10700);
    irq0 = pic_line(a.pic, 0);
    irq_set(&irq0, true);
    redirect(0, 0x700, 0);
    line(0, true);
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0x08);
    ck_assert(!a.seen[0].intr);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        identification_registers,
        an_edge_is_sent_once,
        a_level_is_sent_again_until_the_line_falls,
        level_changes_before_eoi_are_one_interrupt,
        an_edge_at_a_masked_pin_is_lost,
        a_level_at_a_masked_pin_waits,
        a_mask_set_in_service_stops_the_retrigger,
        switching_to_edge_clears_remote_irr,
        eoi_reaches_a_pin_that_was_redirected_meanwhile,
        destinations_are_physical_or_logical,
        suppressed_eoi_broadcasts_leave_it_to_the_eoi_register,
        a_level_that_nobody_took_has_no_remote_irr,
        extint_from_a_pin_asks_the_8259,
    };

    return rig_main("ioapic", tests, ARRAY_SIZE(tests));
}
