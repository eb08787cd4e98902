/* SPDX-License-Identifier: MIT */
/*
 * 16550A serial port (National PC16550D data sheet). Bytes leave at once: there is no transmit
 * time, so the transmitter is always empty. Left out: baud rate effects on the line, parity and
 * framing errors (a byte_port cannot carry them).
 */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

enum { UART_FIFO_SIZE = 16, UART_PORTS = 8 };

struct uart_state {
    u64 timeout_at; /* ns: character timeout (data sheet 8.4.2), CLOCK_NEVER: none running */
    u8 fifo[UART_FIFO_SIZE];
    u8 fifo_head, fifo_count; /* in 16450 mode at most one byte */
    u8 ier, fcr, lcr, mcr, lsr, msr, scr;
    u8 dll, dlm;
    u8 thre_pending; /* the THR-empty interrupt waits to be seen in IIR */
    u8 timeout_pending;
    u8 reserved[3];
};

struct uart;

/* base: 0x3f8, 0x2f8, 0x3e8, 0x2e8. Returns NULL (and the reason) if the ports are taken. */
struct uart *uart_create(struct clock *clock, struct bus *bus, u16 base, struct irq_line irq,
                         struct byte_port out, struct error *error);
struct device uart_device(struct uart *uart);
/* Hand over received bytes, at an instruction boundary. Returns how many of n fitted into the FIFO;
 * offer the rest again later. */
u32 uart_receive(struct uart *uart, const u8 *bytes, u32 n);
/* How many bytes uart_receive() would take now. */
u32 uart_receive_room(const struct uart *uart);

#endif
