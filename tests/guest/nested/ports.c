/* SPDX-License-Identifier: MIT */
/*
 * The ports of a guest: a 16550 at 3F8h (IRQ 4), the CMOS clock, and the ways to reset. The
 * interrupt controllers and the PIT are in KVM. Reads elsewhere give ones, so probes find nothing.
 */
#include "vmm.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define COM1 0x3f8u
#define COM1_IRQ 4
#define KBC_COMMAND 0x64u
#define RESET_CONTROL 0xcf9u
#define DEBUG_EXIT 0xf4u

static void console_byte(struct vm *vm, uint8_t byte)
{
    if (byte == '\r')
        return;
    if (!vm->line_begun && byte != '\n')
        fputs(vm->prefix, stdout);
    putchar(byte);
    vm->line_begun = byte != '\n';
}

/* The line is asserted while an enabled THRE interrupt is pending. */
static void uart_update(struct vm *vm)
{
    struct uart *uart = &vm->uart;
    bool line = uart->thre_pending && (uart->ier & 2) != 0;
    if (line == uart->line)
        return;
    uart->line = line;
    struct kvm_irq_level level = {.irq = COM1_IRQ, .level = line};
    if (ioctl(vm->vm, KVM_IRQ_LINE, &level) < 0)
        fail("KVM_IRQ_LINE");
}

static void uart_write(struct vm *vm, uint32_t reg, uint8_t value)
{
    struct uart *uart = &vm->uart;
    bool divisor = (uart->lcr & 0x80) != 0;
    if (divisor && reg < 2) {
        uart->divisor[reg] = value;
        return;
    }
    switch (reg) {
    case 0:
        if ((uart->mcr & 0x10) == 0) /* not looped back */
            console_byte(vm, value);
        uart->thre_pending = true; /* sent at once */
        break;
    case 1:
        if ((value & 2) != 0 && (uart->ier & 2) == 0)
            uart->thre_pending = true; /* the transmitter is empty when it is enabled */
        uart->ier = value & 0xf;
        break;
    case 2: uart->fifo = (value & 1) != 0; break;
    case 3: uart->lcr = value; break;
    case 4: uart->mcr = value & 0x1f; break;
    case 7: uart->scratch = value; break;
    default: break;
    }
    uart_update(vm);
}

static uint8_t uart_read(struct vm *vm, uint32_t reg)
{
    struct uart *uart = &vm->uart;
    uint8_t fifo = uart->fifo ? 0xc0 : 0;
    if ((uart->lcr & 0x80) != 0 && reg < 2)
        return uart->divisor[reg];
    switch (reg) {
    case 0: return 0;
    case 1: return uart->ier;
    case 2:
        if (!uart->thre_pending || (uart->ier & 2) == 0)
            return fifo | 1;
        uart->thre_pending = false;
        uart_update(vm);
        return fifo | 2;
    case 3: return uart->lcr;
    case 4: return uart->mcr;
    case 5: return 0x60; /* transmitter empty, nothing received */
    case 6: /* looped back: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD */
        if ((uart->mcr & 0x10) != 0)
            return (uint8_t)((uart->mcr & 0xc) << 4 | (uart->mcr & 2) << 3 | (uart->mcr & 1) << 5);
        return 0xb0;
    default: return uart->scratch;
    }
}

/* The clock stands at one moment: runs are comparable. BCD, 24 hours, valid. */
static uint8_t cmos_read(uint8_t index)
{
    switch (index & 0x7f) {
    case 0x06: return 0x05;
    case 0x07: return 0x01;
    case 0x08: return 0x01;
    case 0x09: return 0x26;
    case 0x0a: return 0x26; /* no update in progress */
    case 0x0b: return 0x02;
    case 0x0d: return 0x80;
    case 0x32: return 0x20;
    default: return 0;
    }
}

enum outcome ports_access(struct vm *vm, uint16_t port, bool out, uint32_t size, void *data)
{
    uint8_t *byte = data;
    if (!out)
        memset(data, 0xff, size);
    if (port >= COM1 && port < COM1 + 8) {
        if (out)
            uart_write(vm, port - COM1, *byte);
        else
            *byte = uart_read(vm, port - COM1);
    } else if (port == 0x70 && out) {
        vm->cmos_index = *byte;
    } else if (port == 0x71 && !out) {
        *byte = cmos_read(vm->cmos_index);
    } else if (out && port == KBC_COMMAND && *byte == 0xfe) {
        return OUTCOME_RESET;
    } else if (out && port == RESET_CONTROL && size == 1 && (*byte & 4) != 0) {
        return OUTCOME_RESET;
    } else if (out && port == DEBUG_EXIT && size == 4) {
        return OUTCOME_GAVE_OUT;
    }
    return OUTCOME_GO_ON;
}
