/* SPDX-License-Identifier: MIT */
/* The small ports of the board: PIIX3 data sheet 2.5 (80-8F, F0), Bochs' 8900h and E9h. */
#include "devices/ports.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct ports_state) == 24, "padding in ports_state");

struct ports {
    struct ports_state state;
    struct irq_line irq13;
    struct byte_port console;
    struct machine_port machine;
};

static u32 page_read(void *ctx, u32 offset, u32 size)
{
    const struct ports *p = ctx;

    (void)size;
    return p->state.page[offset];
}

static void page_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct ports *p = ctx;

    (void)size;
    p->state.page[offset] = (u8)value;
}

/* The console's port reads as its own number: that is how guests find it. */
static u32 console_read(void *ctx, u32 offset, u32 size)
{
    (void)ctx, (void)offset, (void)size;
    return 0xe9;
}

static void console_write(void *ctx, u32 offset, u32 size, u32 value)
{
    const struct ports *p = ctx;

    (void)offset, (void)size;
    p->console.put(p->console.ctx, (u8)value);
}

static u32 shutdown_read(void *ctx, u32 offset, u32 size)
{
    (void)ctx, (void)offset, (void)size;
    return 0xff;
}

static void shutdown_write(void *ctx, u32 offset, u32 size, u32 value)
{
    static const char word[] = "Shutdown";
    struct ports *p = ctx;
    u8 *seen = &p->state.shutdown;

    (void)offset, (void)size;
    if ((u8)value == (u8)word[*seen & 7])
        (*seen)++;
    else
        *seen = (u8)value == (u8)word[0];
    if (*seen != sizeof(word) - 1)
        return;
    *seen = 0;
    if (p->machine.request != NULL)
        p->machine.request(p->machine.ctx, MACHINE_POWER_OFF, 0);
}

/* FERR# sets a latch that drives IRQ13; F0 and F1 clear the latch (PIIX3 2.5.5). */
static u32 ferr_read(void *ctx, u32 offset, u32 size)
{
    (void)ctx, (void)offset, (void)size;
    return 0xff;
}

static void ferr_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct ports *p = ctx;

    (void)offset, (void)size, (void)value;
    p->state.irq13 = 0;
    irq_set(&p->irq13, false);
}

void ports_ferr(struct ports *p, bool level)
{
    const bool rises = level && !p->state.ferr;

    p->state.ferr = level;
    if (!rises)
        return;
    p->state.irq13 = 1;
    irq_set(&p->irq13, true);
}

static void ports_reset(void *device)
{
    struct ports *p = device;

    p->state = (struct ports_state){0};
    irq_set(&p->irq13, false);
}

static void ports_post_load(void *device)
{
    const struct ports *p = device;

    irq_set(&p->irq13, p->state.irq13);
}

static const struct port_ops page_ports = {page_read, page_write, 1};
static const struct port_ops ferr_ports = {ferr_read, ferr_write, 1};
static const struct port_ops console_ports = {console_read, console_write, 1};
static const struct port_ops shutdown_ports = {shutdown_read, shutdown_write, 1};
static const struct device_ops ports_ops = {"ports", ports_reset, ports_post_load, free};

struct ports *ports_create(struct bus *bus, struct irq_line irq13, struct byte_port console,
                           struct machine_port machine, struct error *error)
{
    struct ports *p = calloc(1, sizeof(*p));

    CHECK(p != NULL);
    p->irq13 = irq13;
    p->console = console;
    p->machine = machine;
    if (!bus_add_ports(bus, "post and dma pages", 0x80, 16, &page_ports, p, error) ||
        !bus_add_ports(bus, "fpu error", 0xf0, 2, &ferr_ports, p, error) ||
        !bus_add_ports(bus, "power off", 0x8900, 1, &shutdown_ports, p, error) ||
        (console.put != NULL &&
         !bus_add_ports(bus, "debug console", 0xe9, 1, &console_ports, p, error))) {
        free(p);
        return NULL;
    }
    return p;
}

struct device ports_device(struct ports *p)
{
    return (struct device){&ports_ops, p, &p->state, sizeof(p->state)};
}
