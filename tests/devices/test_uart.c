/* SPDX-License-Identifier: MIT */
#include "devices/uart.h"
#include "tests/devices/rig.h"

enum { BASE = 0x3f8, DATA = BASE, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { IRQ = 4 };

static struct rig rig;
static struct uart *uart;

static void plug(void)
{
    rig_init(&rig);
    uart = uart_create(&rig.clock, rig.bus, BASE, rig_line(&rig, IRQ), rig_bytes(&rig), &rig.error);
    ck_assert_ptr_nonnull(uart);
}

START_TEST(a_written_byte_leaves_at_once)
{
    plug();
    out8(&rig, DATA, 'h');
    out8(&rig, DATA, 'i');
    ck_assert_str_eq(rig.out, "hi");
    ck_assert_uint_eq(in8(&rig, LSR), 0x60);
}
END_TEST

START_TEST(dlab_shows_the_divisor_and_sends_nothing)
{
    plug();
    out8(&rig, LCR, 0x83);
    out8(&rig, DATA, 0x34);
    out8(&rig, IER, 0x12);
    ck_assert_uint_eq(in8(&rig, DATA), 0x34);
    ck_assert_uint_eq(in8(&rig, IER), 0x12);
    out8(&rig, LCR, 0x03);
    ck_assert_uint_eq(in8(&rig, IER), 0);
    ck_assert_uint_eq(rig.out_count, 0);
}
END_TEST

/* The probing steps of a kernel's 8250 driver. */
START_TEST(it_looks_like_a_16550a)
{
    plug();
    out8(&rig, IER, 0xff);
    ck_assert_uint_eq(in8(&rig, IER), 0x0f);
    out8(&rig, IER, 0);
    out8(&rig, SCR, 0xa5);
    ck_assert_uint_eq(in8(&rig, SCR), 0xa5);
    out8(&rig, MCR, 0x1a);
    ck_assert_uint_eq(in8(&rig, MSR) & 0xf0, 0x90);
    out8(&rig, MCR, 0);
    out8(&rig, FCR, 0x01);
    ck_assert_uint_eq(in8(&rig, IIR), 0xc1);
    out8(&rig, FCR, 0x21);
    ck_assert_uint_eq(in8(&rig, IIR), 0xc1);
    out8(&rig, FCR, 0);
    ck_assert_uint_eq(in8(&rig, IIR), 0x01);
}
END_TEST

START_TEST(enabling_the_thre_interrupt_raises_it_until_iir_is_read)
{
    plug();
    out8(&rig, MCR, 0x08);
    out8(&rig, IER, 0x02);
    ck_assert(rig.level[IRQ]);
    ck_assert_uint_eq(in8(&rig, IIR), 0x02);
    ck_assert(!rig.level[IRQ]);
    ck_assert_uint_eq(in8(&rig, IIR), 0x01);
    out8(&rig, IER, 0);
    out8(&rig, IER, 0x02);
    ck_assert_uint_eq(in8(&rig, IIR), 0x02);
}
END_TEST

START_TEST(each_transmitted_byte_makes_an_edge_on_the_interrupt)
{
    plug();
    out8(&rig, MCR, 0x08);
    out8(&rig, IER, 0x02);
    rig.rises[IRQ] = 0;
    out8(&rig, DATA, 'a');
    out8(&rig, DATA, 'b');
    ck_assert_uint_eq(rig.rises[IRQ], 2);
}
END_TEST

START_TEST(without_out2_no_interrupt_leaves_the_chip)
{
    plug();
    out8(&rig, IER, 0x02);
    ck_assert(!rig.level[IRQ]);
    out8(&rig, MCR, 0x08);
    ck_assert(rig.level[IRQ]);
}
END_TEST

START_TEST(interrupts_are_identified_by_priority)
{
    plug();
    out8(&rig, FCR, 0x00);
    out8(&rig, IER, 0x0f);
    out8(&rig, MCR, 0x18); /* loopback: modem deltas */
    out8(&rig, DATA, 'x');
    out8(&rig, DATA, 'y'); /* overruns the receiver */
    ck_assert_uint_eq(in8(&rig, IIR), 0x06);
    ck_assert_uint_eq(in8(&rig, LSR) & 0x02, 0x02);
    ck_assert_uint_eq(in8(&rig, IIR), 0x04);
    ck_assert_uint_eq(in8(&rig, DATA), 'y');
    ck_assert_uint_eq(in8(&rig, IIR), 0x02);
    ck_assert_uint_eq(in8(&rig, IIR), 0x00);
    (void)in8(&rig, MSR);
    ck_assert_uint_eq(in8(&rig, IIR), 0x01);
}
END_TEST

START_TEST(received_bytes_fill_the_fifo_and_no_more)
{
    const u8 bytes[20] = "0123456789abcdefXYZ";

    plug();
    out8(&rig, FCR, 0x01);
    ck_assert_uint_eq(uart_receive_room(uart), 16);
    ck_assert_uint_eq(uart_receive(uart, bytes, 20), 16);
    ck_assert_uint_eq(uart_receive(uart, bytes + 16, 4), 0);
    for (u32 i = 0; i < 16; i++)
        ck_assert_uint_eq(in8(&rig, DATA), bytes[i]);
    ck_assert_uint_eq(in8(&rig, LSR), 0x60);
}
END_TEST

START_TEST(without_the_fifo_one_byte_is_taken_at_a_time)
{
    plug();
    ck_assert_uint_eq(uart_receive(uart, (const u8 *)"ab", 2), 1);
    ck_assert_uint_eq(in8(&rig, LSR), 0x61);
    ck_assert_uint_eq(in8(&rig, DATA), 'a');
    ck_assert_uint_eq(uart_receive(uart, (const u8 *)"b", 1), 1);
}
END_TEST

START_TEST(the_trigger_level_decides_when_to_interrupt)
{
    plug();
    out8(&rig, MCR, 0x08);
    out8(&rig, IER, 0x01);
    out8(&rig, FCR, 0x41); /* four bytes */
    uart_receive(uart, (const u8 *)"abc", 3);
    ck_assert(!rig.level[IRQ]);
    uart_receive(uart, (const u8 *)"d", 1);
    ck_assert(rig.level[IRQ]);
    ck_assert_uint_eq(in8(&rig, IIR), 0xc4);
}
END_TEST

START_TEST(a_byte_below_the_trigger_level_times_out_after_four_characters)
{
    plug();
    out8(&rig, LCR, 0x83);
    out8(&rig, DATA, 1); /* 115200 baud, 10 bits: 4 characters are 347 us */
    out8(&rig, IER, 0);
    out8(&rig, LCR, 0x03);
    out8(&rig, MCR, 0x08);
    out8(&rig, IER, 0x01);
    out8(&rig, FCR, 0xc1);
    uart_receive(uart, (const u8 *)"a", 1);
    rig_pass(&rig, 347000);
    ck_assert(!rig.level[IRQ]);
    rig_pass(&rig, 1000);
    ck_assert(rig.level[IRQ]);
    ck_assert_uint_eq(in8(&rig, IIR), 0xcc);
    ck_assert_uint_eq(in8(&rig, DATA), 'a');
    ck_assert(!rig.level[IRQ]);
}
END_TEST

START_TEST(loopback_returns_bytes_and_keeps_the_line_quiet)
{
    plug();
    out8(&rig, FCR, 0x01);
    out8(&rig, MCR, 0x10);
    out8(&rig, DATA, 'q');
    ck_assert_uint_eq(rig.out_count, 0);
    ck_assert_uint_eq(in8(&rig, DATA), 'q');
    ck_assert_uint_eq(uart_receive_room(uart), 0);
}
END_TEST

START_TEST(a_restored_state_drives_the_same_line)
{
    struct device device;
    struct uart_state saved;

    plug();
    device = uart_device(uart);
    out8(&rig, MCR, 0x08);
    out8(&rig, IER, 0x02);
    memcpy(&saved, device.state, device.state_size);
    device.ops->reset(uart);
    ck_assert(!rig.level[IRQ]);
    memcpy(device.state, &saved, device.state_size);
    device.ops->post_load(uart);
    ck_assert(rig.level[IRQ]);
    rig_end(&rig, &device);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_written_byte_leaves_at_once,
        dlab_shows_the_divisor_and_sends_nothing,
        it_looks_like_a_16550a,
        enabling_the_thre_interrupt_raises_it_until_iir_is_read,
        each_transmitted_byte_makes_an_edge_on_the_interrupt,
        without_out2_no_interrupt_leaves_the_chip,
        interrupts_are_identified_by_priority,
        received_bytes_fill_the_fifo_and_no_more,
        without_the_fifo_one_byte_is_taken_at_a_time,
        the_trigger_level_decides_when_to_interrupt,
        a_byte_below_the_trigger_level_times_out_after_four_characters,
        loopback_returns_bytes_and_keeps_the_line_quiet,
        a_restored_state_drives_the_same_line,
    };

    return rig_main("uart", tests, ARRAY_SIZE(tests));
}
