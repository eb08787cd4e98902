/* SPDX-License-Identifier: MIT */
/* 16550A serial port: PC16550D data sheet, chapter 8 (registers), 8.4 (FIFO interrupts). */
#include "devices/uart.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct uart_state) == 8 + UART_FIFO_SIZE + 16, "padding in uart_state");

enum uart_register { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

enum {
    IER_RX = 0x01,
    IER_THRE = 0x02,
    IER_LINE = 0x04,
    IER_MODEM = 0x08,

    IIR_NONE = 0x01,
    IIR_MODEM = 0x00,
    IIR_THRE = 0x02,
    IIR_RX = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFO = 0xc0,

    FCR_ENABLE = 0x01,
    FCR_CLEAR_RX = 0x02,
    FCR_KEPT = 0xc9,

    LCR_DLAB = 0x80,
    LCR_BREAK = 0x40,

    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,

    LSR_READY = 0x01,
    LSR_OVERRUN = 0x02,
    LSR_BREAK = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_TX_EMPTY = 0x60,

    MSR_DELTAS = 0x0f,
    MSR_TERI = 0x04,
    MSR_RI = 0x40,
    MSR_CONNECTED = 0xb0, /* CTS, DSR, DCD: somebody is at the other end */
};

enum { UART_CLOCK_HZ = 115200 };

struct uart {
    struct uart_state state;
    struct clock *clock;
    struct timer timeout;
    struct irq_line irq;
    struct byte_port out;
    bool level; /* last driven to irq */
};

static u32 trigger_level(const struct uart_state *s)
{
    static const u8 levels[4] = {1, 4, 8, 14};

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

static u32 capacity(const struct uart_state *s)
{
    return s->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;
}

/* The interrupt identification of highest priority, data sheet table IV. */
static u8 pending_id(const struct uart_state *s)
{
    if ((s->ier & IER_LINE) && (s->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((s->ier & IER_RX) && s->fifo_count >= trigger_level(s))
        return IIR_RX;
    if ((s->ier & IER_RX) && s->timeout_pending)
        return IIR_TIMEOUT;
    if ((s->ier & IER_THRE) && s->thre_pending)
        return IIR_THRE;
    if ((s->ier & IER_MODEM) && (s->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

/* On a PC, OUT2 gates the interrupt output. */
static bool wanted_level(const struct uart_state *s)
{
    return (s->mcr & MCR_OUT2) && pending_id(s) != IIR_NONE;
}

static void update_irq(struct uart *uart)
{
    const bool level = wanted_level(&uart->state);

    if (level == uart->level)
        return;
    uart->level = level;
    irq_set(&uart->irq, level);
}

/* Four character times without traffic at the receive FIFO (data sheet 8.4.2). */
static void restart_timeout(struct uart *uart)
{
    struct uart_state *s = &uart->state;
    const u32 divisor = s->dll | (u32)s->dlm << 8;
    const u32 bits = 7u + (s->lcr & 3u) + (s->lcr >> 2 & 1u) + (s->lcr >> 3 & 1u);

    s->timeout_pending = 0;
    s->timeout_at = CLOCK_NEVER;
    if ((s->fcr & FCR_ENABLE) && s->fifo_count != 0)
        s->timeout_at = uart->clock->now +
                        4 * bits * (divisor != 0 ? divisor : 1) * NS_PER_SECOND / UART_CLOCK_HZ;
    timer_arm(uart->clock, &uart->timeout, s->timeout_at);
}

static void timeout_fired(void *ctx)
{
    struct uart *uart = ctx;

    uart->state.timeout_at = CLOCK_NEVER;
    uart->state.timeout_pending = 1;
    update_irq(uart);
}

static void clear_fifo(struct uart *uart)
{
    uart->state.fifo_head = 0;
    uart->state.fifo_count = 0;
    uart->state.lsr &= (u8)~LSR_READY;
    restart_timeout(uart);
}

static void push(struct uart *uart, u8 byte)
{
    struct uart_state *s = &uart->state;

    if (s->fifo_count >= capacity(s)) {
        s->lsr |= LSR_OVERRUN;
        /* Without the FIFO the new character replaces the old one; a full FIFO keeps its own. */
        if (!(s->fcr & FCR_ENABLE))
            s->fifo[s->fifo_head] = byte;
    } else {
        s->fifo[(s->fifo_head + s->fifo_count) % UART_FIFO_SIZE] = byte;
        s->fifo_count++;
    }
    s->lsr |= LSR_READY;
    restart_timeout(uart);
}

static u8 pop(struct uart *uart)
{
    struct uart_state *s = &uart->state;
    const u8 byte = s->fifo[s->fifo_head];

    if (s->fifo_count == 0)
        return byte; /* the last character again */
    if (--s->fifo_count == 0)
        s->lsr &= (u8)~LSR_READY;
    else
        s->fifo_head = (u8)((s->fifo_head + 1) % UART_FIFO_SIZE);
    restart_timeout(uart);
    return byte;
}

/* Modem inputs: in loopback they are the modem outputs (data sheet 8.8). */
static void update_modem(struct uart *uart)
{
    struct uart_state *s = &uart->state;
    const u8 mcr = s->mcr;
    u8 inputs = MSR_CONNECTED;
    u8 changed;

    if (mcr & MCR_LOOP)
        inputs =
            (u8)((mcr & 0x02) << 3 | (mcr & 0x01) << 5 | (mcr & 0x04) << 4 | (mcr & 0x08) << 4);
    changed = (u8)((inputs ^ s->msr) & 0xf0);
    /* The ring indicator's delta is set only by its end. */
    if ((changed & MSR_RI) && (inputs & MSR_RI))
        changed &= (u8)~MSR_RI;
    s->msr = (u8)(inputs | (s->msr & MSR_DELTAS) | changed >> 4);
}

static void transmit(struct uart *uart, u8 byte)
{
    struct uart_state *s = &uart->state;

    if (s->mcr & MCR_LOOP)
        push(uart, byte);
    else if (uart->out.put != NULL)
        uart->out.put(uart->out.ctx, byte);
    /* Filling THR takes the interrupt back; as the byte has left at once, it comes again. An
     * edge-triggered controller must see both. */
    s->thre_pending = 0;
    update_irq(uart);
    s->thre_pending = 1;
}

static void write_fcr(struct uart *uart, u8 value)
{
    struct uart_state *s = &uart->state;

    if (((value ^ s->fcr) & FCR_ENABLE) || (value & FCR_CLEAR_RX))
        clear_fifo(uart);
    s->fcr = value & FCR_ENABLE ? (u8)(value & FCR_KEPT) : 0;
}

static void write_ier(struct uart_state *s, u8 value)
{
    /* Enabling it while the transmitter is empty is a THR-empty event. */
    if ((value & ~s->ier) & IER_THRE)
        s->thre_pending = 1;
    s->ier = value & 0x0f;
}

static void write_lcr(struct uart *uart, u8 value)
{
    struct uart_state *s = &uart->state;
    const bool starts_break = (value & ~s->lcr) & LCR_BREAK;

    s->lcr = value;
    if (starts_break && (s->mcr & MCR_LOOP)) {
        push(uart, 0);
        s->lsr |= LSR_BREAK;
    }
}

static void uart_write(void *ctx, u32 offset, u32 size, u32 value32)
{
    struct uart *uart = ctx;
    struct uart_state *s = &uart->state;
    const u8 value = (u8)value32;

    (void)size;
    if ((s->lcr & LCR_DLAB) && offset == REG_DATA) {
        s->dll = value;
        return;
    }
    if ((s->lcr & LCR_DLAB) && offset == REG_IER) {
        s->dlm = value;
        return;
    }
    switch ((enum uart_register)offset) {
    case REG_DATA: transmit(uart, value); break;
    case REG_IER: write_ier(s, value); break;
    case REG_IIR: write_fcr(uart, value); break;
    case REG_LCR: write_lcr(uart, value); break;
    case REG_MCR:
        s->mcr = value & 0x1f;
        update_modem(uart);
        break;
    case REG_SCR: s->scr = value; break;
    case REG_LSR:
    case REG_MSR: break; /* factory test and read-only */
    }
    update_irq(uart);
}

static u8 read_iir(struct uart_state *s)
{
    const u8 id = pending_id(s);

    if (id == IIR_THRE)
        s->thre_pending = 0;
    return id | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_register(struct uart *uart, u32 offset)
{
    struct uart_state *s = &uart->state;
    u8 value;

    switch ((enum uart_register)offset) {
    case REG_DATA: return s->lcr & LCR_DLAB ? s->dll : pop(uart);
    case REG_IER: return s->lcr & LCR_DLAB ? s->dlm : s->ier;
    case REG_IIR: return read_iir(s);
    case REG_LCR: return s->lcr;
    case REG_MCR: return s->mcr;
    case REG_LSR:
        value = s->lsr;
        s->lsr &= (u8)~LSR_ERRORS;
        return value;
    case REG_MSR:
        value = s->msr;
        s->msr &= (u8)~MSR_DELTAS;
        return value;
    case REG_SCR: return s->scr;
    }
    return 0xff;
}

static u32 uart_read(void *ctx, u32 offset, u32 size)
{
    struct uart *uart = ctx;
    const u8 value = read_register(uart, offset);

    (void)size;
    update_irq(uart);
    return value;
}

static void uart_reset(void *device)
{
    struct uart *uart = device;
    struct uart_state *s = &uart->state;

    /* Firmware leaves 9600 baud, 8N1; the divisor is undefined after master reset. */
    *s = (struct uart_state){
        .timeout_at = CLOCK_NEVER, .lsr = LSR_TX_EMPTY, .msr = MSR_CONNECTED, .lcr = 3, .dll = 12};
    timer_cancel(uart->clock, &uart->timeout);
    update_irq(uart);
}

static void uart_post_load(void *device)
{
    struct uart *uart = device;

    timer_arm(uart->clock, &uart->timeout, uart->state.timeout_at);
    uart->level = wanted_level(&uart->state);
    irq_set(&uart->irq, uart->level);
}

static const struct port_ops uart_ports = {uart_read, uart_write, 1};
static const struct device_ops uart_ops = {"uart", uart_reset, uart_post_load, free};

struct uart *uart_create(struct clock *clock, struct bus *bus, u16 base, struct irq_line irq,
                         struct byte_port out, struct error *error)
{
    struct uart *uart = calloc(1, sizeof(*uart));

    CHECK(uart != NULL);
    uart->clock = clock;
    uart->irq = irq;
    uart->out = out;
    if (!bus_add_ports(bus, "uart", base, UART_PORTS, &uart_ports, uart, error)) {
        free(uart);
        return NULL;
    }
    timer_init(clock, &uart->timeout, timeout_fired, uart);
    uart_reset(uart);
    return uart;
}

struct device uart_device(struct uart *uart)
{
    return (struct device){&uart_ops, uart, &uart->state, sizeof(uart->state)};
}

u32 uart_receive_room(const struct uart *uart)
{
    const struct uart_state *s = &uart->state;

    /* In loopback the pin is cut off from the receiver; what arrives waits outside. */
    return s->mcr & MCR_LOOP ? 0 : capacity(s) - s->fifo_count;
}

u32 uart_receive(struct uart *uart, const u8 *bytes, u32 n)
{
    const u32 room = uart_receive_room(uart);
    const u32 taken = n < room ? n : room;

    for (u32 i = 0; i < taken; i++)
        push(uart, bytes[i]);
    if (taken != 0)
        update_irq(uart);
    return taken;
}
