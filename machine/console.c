/* SPDX-License-Identifier: MIT */
/*
 * Serial ports between the board and the host: output is buffered, input comes through the gate at
 * fixed points of virtual time. A terminal's bytes are handed over as soon as the UART has room. A
 * file or a pipe waits until the guest has switched the receive interrupt on and has read what it
 * got, so that no byte is lost to a driver that is still setting up, and a file arrives at the same
 * instants in each run.
 */
#include "base/check.h"
#include "cpu/flags.h"
#include "devices/clock.h"
#include "host/signals.h"
#include "machine/machine_impl.h"

#include <stdio.h>
#include <string.h>

enum { IER_RECEIVED = 1 };

/* ---- output ---- */

static void put_stdio(struct machine *m, struct host_serial *serial, u8 byte)
{
    if (serial->kind == SERIAL_STDIO || serial->kind == SERIAL_MUX)
        m->line_open = byte != '\n';
    host_output_put(&serial->out, byte);
}

/* One function per port, because a byte_port has only the machine as its context. */
#define SERIAL_PUT(n)                                                                              \
    static void put_serial##n(void *ctx, u8 byte)                                                  \
    {                                                                                              \
        struct machine *m = ctx;                                                                   \
                                                                                                   \
        put_stdio(m, &m->serial[n], byte);                                                         \
    }
SERIAL_PUT(0)
SERIAL_PUT(1)
SERIAL_PUT(2)
SERIAL_PUT(3)

static void put_debug(void *ctx, u8 byte)
{
    struct machine *m = ctx;

    put_stdio(m, &m->debug_console, byte);
}

struct byte_port machine_serial_port(struct machine *m, u32 index)
{
    static void (*const put[BOARD_SERIALS])(void *ctx, u8 byte) = {put_serial0, put_serial1,
                                                                   put_serial2, put_serial3};

    return (struct byte_port){put[index], m};
}

struct byte_port machine_debug_port(struct machine *m)
{
    const bool used = m->debug_console.kind != SERIAL_NONE;

    return (struct byte_port){used ? put_debug : NULL, m};
}

static void flush_guest(struct machine *m)
{
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        host_output_flush(&m->serial[i].out);
    host_output_flush(&m->debug_console.out);
}

void machine_flush(struct machine *m)
{
    flush_guest(m);
}

static const struct host_output *failed_output(const struct machine *m)
{
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        if (m->serial[i].out.failure != 0)
            return &m->serial[i].out;
    return m->debug_console.out.failure != 0 ? &m->debug_console.out : NULL;
}

void machine_check_output(struct machine *m)
{
    const struct host_output *out = failed_output(m);

    if (out == NULL)
        return;
    (void)fprintf(stderr, "nestbox: cannot write to %s: %s\n", out->name, strerror(out->failure));
    m->status = STATUS_ERROR;
}

/* ---- the source behind the gate ---- */

static u32 source_bytes(void *ctx, u32 channel, u8 *to, u32 room)
{
    struct machine *m = ctx;

    return host_serial_read(&m->serial[channel], to, room);
}

static u32 source_stop(void *ctx)
{
    const struct machine *m = ctx;

    if (host_signal_caught() != 0)
        return (u32)host_signal_caught();
    if (failed_output(m) != NULL)
        return STOP_OUTPUT_FAILED;
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        if (m->serial[i].quit)
            return STOP_QUIT;
    return 0;
}

static i64 source_date(void *ctx)
{
    const struct machine *m = ctx;

    return host_date(m->config->date_source == DATE_HOST_LOCAL);
}

bool machine_open_serials(struct machine *m, struct error *error)
{
    const struct config *c = m->config;

    for (u32 i = 0; i < c->serials; i++) {
        char label[20];

        (void)snprintf(label, sizeof(label), "serial%u", i);
        if (!host_serial_open(&m->serial[i], c->serial[i].kind, c->serial[i].path, c->escape, label,
                              error))
            return false;
    }
    for (u32 i = c->serials; i < BOARD_SERIALS; i++)
        m->serial[i].in = m->serial[i].out.fd = -1;
    m->gate.source = (struct input_source){
        .bytes = source_bytes,
        .date = c->date_source == DATE_FIXED ? NULL : source_date,
        .stop = source_stop,
        .ctx = m,
    };
    if (!host_serial_open(&m->debug_console, c->debug_console.kind, c->debug_console.path, 0,
                          "debugcon", error))
        return false;
    m->debug_console.in = -1; /* output only */
    return true;
}

void machine_close_serials(struct machine *m)
{
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        host_serial_close(&m->serial[i]);
    host_serial_close(&m->debug_console);
}

/* ---- input ---- */

/* How many bytes the guest would take now from this port. */
static u32 wanted(const struct machine *m, u32 index)
{
    const struct uart *uart = m->board->uart[index];
    const struct uart_state *state;

    if (uart == NULL || m->serial[index].in < 0)
        return 0;
    state = uart_device(m->board->uart[index]).state;
    if (!m->serial[index].typing && ((state->ier & IER_RECEIVED) == 0 || state->fifo_count != 0))
        return 0;
    return uart_receive_room(uart);
}

static void offer_bytes(struct machine *m, u32 index)
{
    const struct input_position at = {m->board->clock.now, m->state.count};
    u8 bytes[INPUT_BYTES_MAX];
    u32 count;

    host_serial_poll(&m->serial[index]);
    count = input_bytes(&m->gate, at, index, wanted(m, index), bytes);
    if (count > 0) {
        const u32 taken = uart_receive(m->board->uart[index], bytes, count);

        CHECK(taken == count); /* no more than its room was asked for */
    }
}

static void stop(struct machine *m, u32 reason)
{
    flush_guest(m);
    if (reason == STOP_OUTPUT_FAILED) {
        machine_end(m, STATUS_ERROR); /* machine_check_output() says which */
    } else if (reason == STOP_QUIT) {
        machine_end(m, STATUS_OK);
    } else {
        (void)fprintf(stderr, "nestbox: terminating on signal %u\n", reason);
        machine_end(m, 128 + (int)reason);
    }
}

void machine_poll(struct machine *m)
{
    const struct input_position at = {m->board->clock.now, m->state.count};
    u32 reason;

    flush_guest(m);
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        if (m->board->uart[i] != NULL)
            offer_bytes(m, i);
    reason = input_stop(&m->gate, at);
    if (reason != 0)
        stop(m, reason);
}

bool machine_input_live(const struct machine *m)
{
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        if (m->board->uart[i] != NULL && m->serial[i].in >= 0)
            return true;
    return false;
}

bool machine_input_waits(const struct machine *m)
{
    for (u32 i = 0; i < BOARD_SERIALS; i++)
        if (m->board->uart[i] != NULL && m->serial[i].in >= 0 && m->serial[i].waits)
            return true;
    return false;
}

bool machine_wait(struct machine *m, u64 ns)
{
    int fds[BOARD_SERIALS];
    u32 count = 0;

    for (u32 i = 0; i < BOARD_SERIALS; i++)
        if (m->serial[i].in >= 0 && (m->serial[i].typing || wanted(m, i) > 0))
            fds[count++] = m->serial[i].in;
    return host_wait(fds, count, ns);
}

/* ---- the end of a CPU ---- */

void machine_print_shutdown(const struct machine *m, u32 cpu)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct vcpu *v = m->board->cpu[cpu].v;
    const struct cpu_state *s = &v->state;
    char cause[32] = "triple fault";

    if (s->vmx.abort != 0)
        (void)snprintf(cause, sizeof(cause), "VMX abort %llu", (unsigned long long)s->vmx.abort);
    (void)fprintf(stderr,
                  "nestbox: CPU %u shut down (%s) after %llu instructions.\n"
                  "The last exception was vector %u, error code %#x, at %#x:%#llx.\n",
                  cpu, cause, (unsigned long long)m->state.count, v->event.vector,
                  v->event.error_code, s->seg[SEG_CS].selector,
                  (unsigned long long)s->reg[REG_RIP]);
    (void)fprintf(stderr, "cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx rflags %llx\n",
                  (unsigned long long)s->cr0, (unsigned long long)s->cr2,
                  (unsigned long long)s->cr3, (unsigned long long)s->cr4,
                  (unsigned long long)s->efer, (unsigned long long)s->rflags);
    (void)fprintf(stderr, "gdt %llx limit %x idt %llx limit %x ss %x tr %x\n",
                  (unsigned long long)s->gdtr.base, s->gdtr.limit, (unsigned long long)s->idtr.base,
                  s->idtr.limit, s->seg[SEG_SS].selector, s->seg[SEG_TR].selector);
    for (u32 i = 0; i < 16; i++)
        (void)fprintf(stderr, "%s %016llx%s", names[i], (unsigned long long)s->reg[i],
                      i % 4 == 3 ? "\n" : " ");
}
