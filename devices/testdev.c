/* SPDX-License-Identifier: MIT */
/* QEMU's pc-testdev, as kvm-unit-tests use it. */
#include "devices/testdev.h"

#include "base/bits.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct testdev_state) == 4 + TESTDEV_LINES + TESTDEV_MMIO_SIZE,
               "padding in testdev_state");

struct testdev {
    struct testdev_state state;
    struct irq_line line[TESTDEV_LINES];
};

static u32 loop_read(void *ctx, u32 offset, u32 size)
{
    const struct testdev *t = ctx;

    return (u32)load_le(&t->state.io[offset], size);
}

static void loop_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct testdev *t = ctx;

    store_le(&t->state.io[offset], value, size);
}

/* Translations are always those of the guest's tables; there is no host page to take away. */
static u32 flush_read(void *ctx, u32 offset, u32 size)
{
    (void)ctx, (void)offset, (void)size;
    return 0;
}

static void flush_write(void *ctx, u32 offset, u32 size, u32 value)
{
    (void)ctx, (void)offset, (void)size, (void)value;
}

static u32 lines_read(void *ctx, u32 offset, u32 size)
{
    (void)ctx, (void)offset, (void)size;
    return 0;
}

/* Of any size, for the line of the first port alone. */
static void lines_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct testdev *t = ctx;

    (void)size;
    t->state.lines[offset] = value != 0;
    irq_set(&t->line[offset], value != 0);
}

u64 testdev_mmio_read(void *ctx, u64 offset, u32 size)
{
    const struct testdev *t = ctx;

    return offset + size <= TESTDEV_MMIO_SIZE ? load_le(&t->state.mmio[offset], size)
                                              : width_mask(size);
}

void testdev_mmio_write(void *ctx, u64 offset, u32 size, u64 value)
{
    struct testdev *t = ctx;

    if (offset + size <= TESTDEV_MMIO_SIZE)
        store_le(&t->state.mmio[offset], value, size);
}

static void testdev_reset(void *device)
{
    struct testdev *t = device;

    /* Lines that it does not hold belong to others. */
    for (u32 i = 0; i < TESTDEV_LINES; i++)
        if (t->state.lines[i])
            irq_set(&t->line[i], false);
    memset(&t->state, 0, sizeof(t->state));
}

/* The lines have other owners too: they and the controllers restore the levels. */
static void testdev_post_load(void *device)
{
    (void)device;
}

static const struct port_ops loop_ports = {loop_read, loop_write, 4};
static const struct port_ops flush_ports = {flush_read, flush_write, 4};
static const struct port_ops lines_ports = {lines_read, lines_write, 4};
static const struct device_ops testdev_ops = {"testdev", testdev_reset, testdev_post_load, free};

struct testdev *testdev_create(struct bus *bus, const struct irq_line *lines, struct error *error)
{
    struct testdev *t = calloc(1, sizeof(*t));

    CHECK(t != NULL);
    memcpy(t->line, lines, sizeof(t->line));
    if (!bus_add_ports(bus, "testdev loopback", 0xe0, 4, &loop_ports, t, error) ||
        !bus_add_ports(bus, "testdev flush", 0xe4, 4, &flush_ports, t, error) ||
        !bus_add_ports(bus, "testdev lines", 0x2000, TESTDEV_LINES, &lines_ports, t, error)) {
        free(t);
        return NULL;
    }
    return t;
}

struct device testdev_device(struct testdev *t)
{
    return (struct device){&testdev_ops, t, &t->state, sizeof(t->state)};
}
