/* SPDX-License-Identifier: MIT */
/* The exit port of test programs: QEMU's isa-debug-exit. */
#include "devices/debug_exit.h"

#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct debug_exit_state) == 4, "padding in debug_exit_state");

struct debug_exit {
    struct debug_exit_state state;
    struct machine_port machine;
};

static u32 exit_read(void *ctx, u32 offset, u32 size)
{
    (void)ctx, (void)offset, (void)size;
    return 0;
}

static void exit_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct debug_exit *e = ctx;

    (void)offset, (void)size;
    e->state.writes++;
    if (e->machine.request != NULL)
        e->machine.request(e->machine.ctx, MACHINE_EXIT, value << 1 | 1);
}

static void debug_exit_reset(void *device)
{
    struct debug_exit *e = device;

    e->state = (struct debug_exit_state){0};
}

static void debug_exit_post_load(void *device)
{
    (void)device;
}

static const struct port_ops exit_ports = {exit_read, exit_write, 4};
static const struct device_ops debug_exit_ops = {"debug_exit", debug_exit_reset,
                                                 debug_exit_post_load, free};

struct debug_exit *debug_exit_create(struct bus *bus, u16 iobase, u32 iosize,
                                     struct machine_port machine, struct error *error)
{
    struct debug_exit *e = calloc(1, sizeof(*e));

    CHECK(e != NULL);
    e->machine = machine;
    if (!bus_add_ports(bus, "isa-debug-exit", iobase, iosize, &exit_ports, e, error)) {
        free(e);
        return NULL;
    }
    return e;
}

struct device debug_exit_device(struct debug_exit *e)
{
    return (struct device){&debug_exit_ops, e, &e->state, sizeof(e->state)};
}
