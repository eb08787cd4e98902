/* SPDX-License-Identifier: MIT */
#include "tests/devices/apics.h"

static struct apics a;

START_TEST(reset_state_is_as_the_manual_says)
{
    apics_init(&a, 2);
    lapic_init(a.cpu[1]);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_ID), 1u << 24);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_VERSION) & 0xff, 0x14);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_SVR), 0xff);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_DFR), 0xffffffff);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_LVTT), 0x10000);
    ck_assert_uint_eq(apic_rdmsr(&a, 0, MSR_BASE), 0xfee00900);
    ck_assert_uint_eq(apic_rdmsr(&a, 1, MSR_BASE), 0xfee00800);
    ck_assert(a.seen[1].page);
    ck_assert_uint_eq(a.seen[1].page_at, 0xfee00000);
}
END_TEST

START_TEST(a_fixed_interrupt_goes_from_irr_to_isr_to_eoi)
{
    apics_init(&a, 1);
    apic_send(&a, 0, 0x40000 | 0x31, 0);
    ck_assert(a.seen[0].intr);
    ck_assert(apic_bit(&a, 0, APIC_IRR, 0x31));
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0x31);
    ck_assert(!a.seen[0].intr);
    ck_assert(!apic_bit(&a, 0, APIC_IRR, 0x31));
    ck_assert(apic_bit(&a, 0, APIC_ISR, 0x31));
    ck_assert_uint_eq(apic_get(&a, 0, APIC_PPR), 0x30);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert(!apic_bit(&a, 0, APIC_ISR, 0x31));
}
END_TEST

START_TEST(priority_classes_hold_back_lower_and_equal_ones)
{
    apics_init(&a, 1);
    apic_send(&a, 0, 0x40000 | 0x45, 0);
    (void)lapic_ack(a.cpu[0]);
    apic_send(&a, 0, 0x40000 | 0x4f, 0);
    ck_assert(!a.seen[0].intr);
    apic_send(&a, 0, 0x40000 | 0x51, 0);
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0x51);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert(!a.seen[0].intr);
    apic_set(&a, 0, APIC_EOI, 0);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0x4f);
}
END_TEST

START_TEST(tpr_and_cr8_are_one_register)
{
    apics_init(&a, 1);
    lapic_tpr_write(a.cpu[0], 5);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TPR), 0x50);
    apic_send(&a, 0, 0x40000 | 0x5f, 0);
    ck_assert(!a.seen[0].intr);
    apic_set(&a, 0, APIC_TPR, 0x4f);
    ck_assert_uint_eq(lapic_tpr_read(a.cpu[0]), 4);
    ck_assert(a.seen[0].intr);
}
END_TEST

START_TEST(an_acknowledge_without_request_is_spurious)
{
    apics_init(&a, 1);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0xff);
    ck_assert(!apic_bit(&a, 0, APIC_ISR, 0xff));
}
END_TEST

START_TEST(physical_destinations_and_broadcast)
{
    apics_init(&a, 3);
    apic_send(&a, 0, 0x41, 2);
    ck_assert(!a.seen[0].intr && !a.seen[1].intr && a.seen[2].intr);
    apic_send(&a, 0, 0x42, 0xff);
    ck_assert(a.seen[0].intr && a.seen[1].intr);
    ck_assert(apic_bit(&a, 2, APIC_IRR, 0x42));
}
END_TEST

START_TEST(shorthands_choose_self_all_and_others)
{
    apics_init(&a, 3);
    apic_send(&a, 1, 0xc0000 | 0x41, 0);
    ck_assert(a.seen[0].intr && !a.seen[1].intr && a.seen[2].intr);
    apic_send(&a, 1, 0x80000 | 0x42, 0);
    ck_assert(a.seen[1].intr);
    apic_send(&a, 1, 0x40000 | 0x43, 0);
    ck_assert(apic_bit(&a, 1, APIC_IRR, 0x43));
    ck_assert(!apic_bit(&a, 0, APIC_IRR, 0x43));
}
END_TEST

START_TEST(logical_flat_destinations_are_bits)
{
    apics_init(&a, 3);
    for (u32 i = 0; i < 3; i++)
        apic_set(&a, i, APIC_LDR, 1u << (24 + i));
    apic_send(&a, 0, 0x800 | 0x41, 0x05);
    ck_assert(a.seen[0].intr && !a.seen[1].intr && a.seen[2].intr);
}
END_TEST

START_TEST(logical_cluster_destinations_are_cluster_and_bits)
{
    apics_init(&a, 3);
    for (u32 i = 0; i < 3; i++) {
        apic_set(&a, i, APIC_DFR, 0x0fffffff);
        apic_set(&a, i, APIC_LDR, (i == 2 ? 0x21u : 0x11u << i % 2) << 24);
    }
    apic_set(&a, 1, APIC_LDR, 0x12u << 24);
    apic_send(&a, 0, 0x800 | 0x41, 0x13);
    ck_assert(a.seen[0].intr && a.seen[1].intr && !a.seen[2].intr);
}
END_TEST

START_TEST(lowest_priority_goes_to_one_cpu_with_the_lowest)
{
    apics_init(&a, 3);
    lapic_tpr_write(a.cpu[0], 3);
    lapic_tpr_write(a.cpu[1], 1);
    lapic_tpr_write(a.cpu[2], 2);
    apic_send(&a, 0, 0x100 | 0x51, 0xff);
    ck_assert(!a.seen[0].intr && a.seen[1].intr && !a.seen[2].intr);
}
END_TEST

START_TEST(nmi_init_and_sipi_reach_the_cpu)
{
    apics_init(&a, 2);
    apic_send(&a, 0, 0x400, 1);
    ck_assert_uint_eq(a.seen[1].edges[CPU_NMI], 1);
    apic_send(&a, 0, 0xc500, 1);
    apic_send(&a, 0, 0x8500, 1); /* de-assert: nothing */
    ck_assert_uint_eq(a.seen[1].edges[CPU_INIT], 1);
    apic_send(&a, 0, 0xc0000 | 0x600 | 0x9f, 0);
    ck_assert_uint_eq(a.seen[1].edges[CPU_SIPI], 1);
    ck_assert_uint_eq(a.seen[1].vector, 0x9f);
    ck_assert_uint_eq(a.seen[0].edges[CPU_SIPI], 0);
}
END_TEST

START_TEST(software_disabled_apics_take_nmis_but_no_vectors)
{
    apics_init(&a, 2);
    apic_set(&a, 1, APIC_LVT1, 0x400);
    apic_set(&a, 1, APIC_SVR, 0xff);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_LVT1), 0x10400);
    apic_set(&a, 1, APIC_LVT1, 0x400);
    ck_assert_uint_eq(apic_get(&a, 1, APIC_LVT1), 0x10400);
    apic_send(&a, 0, 0x41, 1);
    ck_assert(!a.seen[1].intr);
    apic_send(&a, 0, 0x400, 1);
    ck_assert_uint_eq(a.seen[1].edges[CPU_NMI], 1);
}
END_TEST

START_TEST(illegal_vectors_and_registers_show_in_esr_and_interrupt)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_LVTERR, 0xe0);
    apic_send(&a, 0, 0x40000 | 0x05, 0);
    ck_assert(apic_bit(&a, 0, APIC_IRR, 0xe0));
    ck_assert_uint_eq(apic_get(&a, 0, APIC_ESR), 0);
    apic_set(&a, 0, APIC_ESR, 0);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_ESR), 0x20);
    (void)apic_get(&a, 0, 0x3d0);
    apic_set(&a, 0, APIC_ESR, 0);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_ESR), 0x80);
}
END_TEST

START_TEST(the_one_shot_timer_fires_once)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_TDCR, 0xb);
    apic_set(&a, 0, APIC_LVTT, 0xee);
    apic_set(&a, 0, APIC_TMICT, 1000);
    rig_pass(&a.rig, 400);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 600);
    rig_pass(&a.rig, 599);
    ck_assert(!a.seen[0].intr);
    rig_pass(&a.rig, 1);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0xee);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 0);
    ck_assert_uint_eq(a.rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(the_divider_slows_the_timer_and_keeps_the_count)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_TDCR, 0x3); /* by 16 */
    apic_set(&a, 0, APIC_TMICT, 1000);
    rig_pass(&a.rig, 1600);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 900);
    apic_set(&a, 0, APIC_TDCR, 0xa); /* by 128 */
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 900);
    rig_pass(&a.rig, 1280);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 890);
}
END_TEST

START_TEST(the_periodic_timer_repeats_and_a_long_jump_costs_one_interrupt)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_TDCR, 0xb);
    apic_set(&a, 0, APIC_LVTT, 0x200ee);
    apic_set(&a, 0, APIC_TMICT, 1000);
    for (u32 i = 0; i < 10; i++) {
        rig_pass(&a.rig, 1000);
        ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0xee);
        apic_set(&a, 0, APIC_EOI, 0);
        ck_assert(!a.seen[0].intr);
    }
    apic_set(&a, 0, APIC_TMICT, 1);
    clock_run(&a.rig.clock, 3600 * NS_PER_SECOND);
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(a.rig.clock.next_deadline, a.rig.clock.now + 1);
}
END_TEST

/* kvm-unit-tests, apic change mode. */
START_TEST(a_change_of_timer_mode_keeps_the_count_running)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_TDCR, 0xb);
    apic_set(&a, 0, APIC_LVTT, 0xee);
    apic_set(&a, 0, APIC_TMICT, 1000);
    rig_pass(&a.rig, 600);
    apic_set(&a, 0, APIC_LVTT, 0x200ee);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 400);
    rig_pass(&a.rig, 600);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 800);
    apic_set(&a, 0, APIC_LVTT, 0xee);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 800);
    rig_pass(&a.rig, 5000);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 0);
    apic_set(&a, 0, APIC_LVTT, 0x200ee);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMCCT), 0);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TMICT), 1000);
}
END_TEST

START_TEST(a_masked_timer_leaves_no_interrupt_behind)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_TDCR, 0xb);
    apic_set(&a, 0, APIC_LVTT, 0x100ee);
    apic_set(&a, 0, APIC_TMICT, 1000);
    ck_assert_uint_eq(a.rig.clock.next_deadline, CLOCK_NEVER);
    rig_pass(&a.rig, 2000);
    apic_set(&a, 0, APIC_LVTT, 0xee);
    rig_pass(&a.rig, 2000);
    ck_assert(!a.seen[0].intr);
}
END_TEST

START_TEST(the_tsc_deadline_fires_at_its_tsc_value)
{
    apics_init(&a, 1);
    lapic_set_tsc_offset(a.cpu[0], 1000000);
    apic_set(&a, 0, APIC_LVTT, 0x400ef);
    ck_assert(apic_wrmsr(&a, 0, MSR_DEADLINE, 1000500));
    rig_pass(&a.rig, 499);
    ck_assert(!a.seen[0].intr);
    ck_assert_uint_eq(apic_rdmsr(&a, 0, MSR_DEADLINE), 1000500);
    rig_pass(&a.rig, 1);
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(apic_rdmsr(&a, 0, MSR_DEADLINE), 0);
}
END_TEST

START_TEST(a_deadline_in_the_past_fires_at_once)
{
    apics_init(&a, 1);
    rig_pass(&a.rig, 1000);
    apic_set(&a, 0, APIC_LVTT, 0x400ef);
    ck_assert(apic_wrmsr(&a, 0, MSR_DEADLINE, 1000));
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(apic_rdmsr(&a, 0, MSR_DEADLINE), 0);
}
END_TEST

START_TEST(a_deadline_outside_deadline_mode_is_ignored)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_LVTT, 0xef);
    ck_assert(apic_wrmsr(&a, 0, MSR_DEADLINE, 1000));
    ck_assert_uint_eq(apic_rdmsr(&a, 0, MSR_DEADLINE), 0);
    apic_set(&a, 0, APIC_LVTT, 0x400ef);
    ck_assert(apic_wrmsr(&a, 0, MSR_DEADLINE, 1000));
    apic_set(&a, 0, APIC_LVTT, 0xef); /* disarms */
    ck_assert_uint_eq(a.rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(a_changed_tsc_moves_the_deadline)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_LVTT, 0x400ef);
    ck_assert(apic_wrmsr(&a, 0, MSR_DEADLINE, 10000));
    ck_assert_uint_eq(a.rig.clock.next_deadline, 10000);
    lapic_set_tsc_offset(a.cpu[0], 4000);
    ck_assert_uint_eq(a.rig.clock.next_deadline, 6000);
    lapic_set_tsc_offset(a.cpu[0], 20000);
    ck_assert(a.seen[0].intr);
}
END_TEST

/* kvm-unit-tests, x2apic enable. SDM Vol 3A figure 11-27. */
START_TEST(only_the_allowed_mode_changes_pass)
{
    const u64 base = 0xfee00100;

    apics_init(&a, 1);
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, base | BASE_EXTD));
    apic_x2(&a, 0);
    ck_assert(!a.seen[0].page);
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, base | BASE_EXTD));
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, base | BASE_EN));
    ck_assert(apic_wrmsr(&a, 0, MSR_BASE, base));
    ck_assert(!lapic_enabled(a.cpu[0]));
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, base | BASE_EN | BASE_EXTD));
    ck_assert(apic_wrmsr(&a, 0, MSR_BASE, base | BASE_EN));
    ck_assert(a.seen[0].page);
}
END_TEST

START_TEST(reserved_bits_of_the_base_fault)
{
    apics_init(&a, 1);
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, 0xfee00901));
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, 0xfee00b00));
    ck_assert(!apic_wrmsr(&a, 0, MSR_BASE, 0xfee00900 | (u64)1 << 40));
    ck_assert(apic_wrmsr(&a, 0, MSR_BASE, 0xfed40900 | (u64)1 << 39));
    ck_assert_uint_eq(a.seen[0].page_at, 0xfed40000 | (u64)1 << 39);
}
END_TEST

START_TEST(a_disabled_apic_hides_its_page_and_keeps_cr8)
{
    apics_init(&a, 1);
    ck_assert(apic_wrmsr(&a, 0, MSR_BASE, 0xfee00100));
    ck_assert(!a.seen[0].page);
    lapic_tpr_write(a.cpu[0], 15);
    ck_assert_uint_eq(lapic_tpr_read(a.cpu[0]), 15);
    ck_assert_uint_eq(lapic_mmio_read(a.cpu[0], APIC_TPR, 4), 0xffffffff);
    ck_assert(apic_wrmsr(&a, 0, MSR_BASE, 0xfee00900));
    ck_assert_uint_eq(lapic_tpr_read(a.cpu[0]), 0);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_SVR), 0xff);
}
END_TEST

START_TEST(the_xapic_id_can_be_written_and_comes_back_after_disabling)
{
    apics_init(&a, 2);
    apic_set(&a, 1, APIC_ID, 9u << 24);
    apic_send(&a, 0, 0x41, 9);
    ck_assert(a.seen[1].intr);
    ck_assert(apic_wrmsr(&a, 1, MSR_BASE, 0xfee00000));
    ck_assert(apic_wrmsr(&a, 1, MSR_BASE, 0xfee00800));
    ck_assert_uint_eq(apic_get(&a, 1, APIC_ID), 1u << 24);
}
END_TEST

START_TEST(x2apic_registers_are_msrs_with_their_rights)
{
    u64 value;

    apics_init(&a, 3);
    ck_assert(!lapic_msr_read(a.cpu[2], 0x802, &value));
    apic_x2(&a, 2);
    ck_assert_uint_eq(apic_rdmsr(&a, 2, 0x802), 2);
    ck_assert_uint_eq(apic_rdmsr(&a, 2, 0x80d), 4);
    ck_assert(!apic_wrmsr(&a, 2, 0x802, 0)); /* ID is read-only */
    ck_assert(!apic_wrmsr(&a, 2, 0x80d, 0));
    ck_assert(!lapic_msr_read(a.cpu[2], 0x80b, &value)); /* EOI is write-only */
    ck_assert(!lapic_msr_read(a.cpu[2], 0x80e, &value)); /* no DFR */
    ck_assert(!lapic_msr_read(a.cpu[2], 0x831, &value)); /* ICR is one */
    ck_assert(!lapic_msr_read(a.cpu[2], 0x82f, &value)); /* no CMCI */
    ck_assert(!apic_wrmsr(&a, 2, 0x8ff, 0));
    ck_assert(!apic_wrmsr(&a, 2, 0x80b, 1));
    ck_assert(apic_wrmsr(&a, 2, 0x80b, 0));
    ck_assert(!apic_wrmsr(&a, 2, 0x808, 0x100));
    ck_assert(apic_wrmsr(&a, 2, 0x808, 0xff));
    ck_assert(!apic_wrmsr(&a, 2, 0x828, 1));
    ck_assert(!apic_wrmsr(&a, 2, 0x832, (u64)1 << 32));
    ck_assert(!apic_wrmsr(&a, 2, 0x832, 0x100));
    ck_assert(apic_wrmsr(&a, 2, 0x832, 0x400ef));
    ck_assert(!apic_wrmsr(&a, 2, 0x830, 0x100000));
    ck_assert(!apic_wrmsr(&a, 2, 0x83f, 0x100));
}
END_TEST

START_TEST(x2apic_ipis_use_the_whole_icr)
{
    apics_init(&a, 3);
    for (u32 i = 0; i < 2; i++)
        apic_x2(&a, i);
    ck_assert(apic_wrmsr(&a, 0, 0x83f, 0xf1));
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0xf1);
    ck_assert(apic_wrmsr(&a, 0, 0x80b, 0));
    ck_assert(apic_wrmsr(&a, 0, 0x830, (u64)1 << 32 | 0x41));
    ck_assert(a.seen[1].intr && !a.seen[2].intr);
    ck_assert(apic_wrmsr(&a, 0, 0x830, (u64)3 << 32 | 0x800 | 0xf2)); /* logical */
    ck_assert(a.seen[0].intr);
    ck_assert(apic_wrmsr(&a, 0, 0x830, (u64)0xffffffff << 32 | 0x43)); /* all, xAPICs too */
    ck_assert(a.seen[2].intr);
    ck_assert_uint_eq(apic_rdmsr(&a, 0, 0x830), (u64)0xffffffff << 32 | 0x43);
}
END_TEST

START_TEST(init_keeps_x2apic_mode_and_id)
{
    apics_init(&a, 2);
    apic_x2(&a, 1);
    lapic_init(a.cpu[1]);
    ck_assert_uint_eq(apic_rdmsr(&a, 1, 0x802), 1);
    ck_assert_uint_eq(apic_rdmsr(&a, 1, 0x80d), 2);
    ck_assert_uint_eq(apic_rdmsr(&a, 1, 0x80f), 0xff);
}
END_TEST

/* MP Specification 3.6.2.2: the 8259 through LINT0. */
START_TEST(virtual_wire_mode_passes_the_8259_through)
{
    struct irq_line irq3;

    apics_init(&a, 1);
    apic_set(&a, 0, APIC_LVT0, 0x700);
    out8(&a.rig, 0x21, 0);
    irq3 = pic_line(a.pic, 3);
    lapic_tpr_write(a.cpu[0], 15); /* ExtINT knows no priority */
    irq_set(&irq3, true);
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0x0b);
    ck_assert(!a.seen[0].intr);
    apic_set(&a, 0, APIC_LVT0, 0x10700);
    out8(&a.rig, 0x20, 0x20);
    irq_set(&irq3, false);
    irq_set(&irq3, true);
    ck_assert(!a.seen[0].intr);
    ck_assert(apic_wrmsr(&a, 0, MSR_BASE, 0xfee00100));
    ck_assert(a.seen[0].intr); /* off: the pin is INTR */
}
END_TEST

START_TEST(lint0_can_be_a_fixed_vector_and_lint1_nmi)
{
    struct irq_line irq3, nmi;

    apics_init(&a, 1);
    out8(&a.rig, 0x21, 0);
    irq3 = pic_line(a.pic, 3);
    nmi = lapic_bus_nmi_line(a.bus);
    apic_set(&a, 0, APIC_LVT0, 0x61);
    irq_set(&irq3, true);
    ck_assert_uint_eq(lapic_ack(a.cpu[0]), 0x61);
    irq_set(&nmi, true);
    ck_assert_uint_eq(a.seen[0].edges[CPU_NMI], 0);
    irq_set(&nmi, false);
    apic_set(&a, 0, APIC_LVT1, 0x400);
    irq_set(&nmi, true);
    ck_assert_uint_eq(a.seen[0].edges[CPU_NMI], 1);
}
END_TEST

START_TEST(a_performance_interrupt_masks_itself)
{
    apics_init(&a, 1);
    apic_set(&a, 0, APIC_LVTPC, 0x400);
    lapic_local_event(a.cpu[0], LVT_PERF);
    lapic_local_event(a.cpu[0], LVT_PERF);
    ck_assert_uint_eq(a.seen[0].edges[CPU_NMI], 1);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_LVTPC), 0x10400);
}
END_TEST

START_TEST(an_msi_names_its_destination_in_the_address)
{
    apics_init(&a, 3);
    lapic_bus_msi(a.bus, 0xfee02000, 0x0041);
    ck_assert(!a.seen[0].intr && a.seen[2].intr);
    lapic_bus_msi(a.bus, 0xfed00000, 0x0041);
    ck_assert(!a.seen[0].intr);
}
END_TEST

START_TEST(parts_of_registers_can_be_read_but_not_written)
{
    apics_init(&a, 1);
    ck_assert_uint_eq(lapic_mmio_read(a.cpu[0], APIC_VERSION, 1), 0x14);
    ck_assert_uint_eq(lapic_mmio_read(a.cpu[0], APIC_VERSION + 2, 1), 0x05);
    ck_assert_uint_eq(lapic_mmio_read(a.cpu[0], APIC_VERSION + 4, 4), 0);
    lapic_mmio_write(a.cpu[0], APIC_TPR, 1, 0x50);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TPR), 0);
    lapic_mmio_write(a.cpu[0], APIC_TPR, 8, 0x50);
    ck_assert_uint_eq(apic_get(&a, 0, APIC_TPR), 0x50);
}
END_TEST

START_TEST(without_the_features_their_bits_and_msrs_fault)
{
    struct lapic_config config = {.id = 7, .phys_bits = 36};
    struct lapic *l;
    u64 value;

    apics_init(&a, 1);
    l = lapic_create(&a.rig.clock, a.bus, &config, &a.rig.error);
    ck_assert(!lapic_msr_write(l, MSR_BASE, 0xfee00c00));
    ck_assert(!lapic_msr_read(l, MSR_DEADLINE, &value));
    ck_assert(!lapic_msr_write(l, MSR_DEADLINE, 1));
    ck_assert_ptr_null(lapic_create(&a.rig.clock, a.bus, &config, &a.rig.error));
}
END_TEST

START_TEST(a_restored_state_signals_and_arms_again)
{
    struct device device;
    struct lapic_state saved;

    apics_init(&a, 1);
    device = lapic_device(a.cpu[0]);
    apic_set(&a, 0, APIC_TDCR, 0xb);
    apic_set(&a, 0, APIC_LVTT, 0xee);
    apic_set(&a, 0, APIC_TMICT, 1000);
    apic_send(&a, 0, 0x40000 | 0x31, 0);
    memcpy(&saved, device.state, sizeof(saved));
    device.ops->reset(a.cpu[0]);
    ck_assert(!a.seen[0].intr);
    memcpy(device.state, &saved, sizeof(saved));
    device.ops->post_load(a.cpu[0]);
    ck_assert(a.seen[0].intr);
    ck_assert_uint_eq(a.rig.clock.next_deadline, 1000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        reset_state_is_as_the_manual_says,
        a_fixed_interrupt_goes_from_irr_to_isr_to_eoi,
        priority_classes_hold_back_lower_and_equal_ones,
        tpr_and_cr8_are_one_register,
        an_acknowledge_without_request_is_spurious,
        physical_destinations_and_broadcast,
        shorthands_choose_self_all_and_others,
        logical_flat_destinations_are_bits,
        logical_cluster_destinations_are_cluster_and_bits,
        lowest_priority_goes_to_one_cpu_with_the_lowest,
        nmi_init_and_sipi_reach_the_cpu,
        software_disabled_apics_take_nmis_but_no_vectors,
        illegal_vectors_and_registers_show_in_esr_and_interrupt,
        the_one_shot_timer_fires_once,
        the_divider_slows_the_timer_and_keeps_the_count,
        the_periodic_timer_repeats_and_a_long_jump_costs_one_interrupt,
        a_change_of_timer_mode_keeps_the_count_running,
        a_masked_timer_leaves_no_interrupt_behind,
        the_tsc_deadline_fires_at_its_tsc_value,
        a_deadline_in_the_past_fires_at_once,
        a_deadline_outside_deadline_mode_is_ignored,
        a_changed_tsc_moves_the_deadline,
        only_the_allowed_mode_changes_pass,
        reserved_bits_of_the_base_fault,
        a_disabled_apic_hides_its_page_and_keeps_cr8,
        the_xapic_id_can_be_written_and_comes_back_after_disabling,
        x2apic_registers_are_msrs_with_their_rights,
        x2apic_ipis_use_the_whole_icr,
        init_keeps_x2apic_mode_and_id,
        virtual_wire_mode_passes_the_8259_through,
        lint0_can_be_a_fixed_vector_and_lint1_nmi,
        a_performance_interrupt_masks_itself,
        an_msi_names_its_destination_in_the_address,
        parts_of_registers_can_be_read_but_not_written,
        without_the_features_their_bits_and_msrs_fault,
        a_restored_state_signals_and_arms_again,
    };

    return rig_main("lapic", tests, ARRAY_SIZE(tests));
}
