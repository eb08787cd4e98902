/* SPDX-License-Identifier: MIT */
/* The I/O port space: a byte per port says which region owns it. */
#include "devices/bus.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { PORTS = 0x10000, REGIONS = 255, UNOWNED = 0 };

struct region {
    const char *name; /* NULL: free */
    const struct port_ops *ops;
    void *ctx;
    u32 first, count;
};

struct bus {
    u8 owner[PORTS]; /* index into region; UNOWNED: nobody */
    struct region region[REGIONS + 1];
    u8 reported[PORTS / 8]; /* unowned ports that were logged already */
    u64 strays;
};

struct bus *bus_create(void)
{
    struct bus *bus = calloc(1, sizeof(*bus));

    CHECK(bus != NULL);
    return bus;
}

void bus_destroy(struct bus *bus)
{
    free(bus);
}

bool bus_add_ports(struct bus *bus, const char *name, u16 first, u32 count,
                   const struct port_ops *ops, void *ctx, struct error *error)
{
    u32 index = 1;

    if (count == 0 || first + count > PORTS)
        return error_set(error, "ports %#x..%#x of %s: not in the port space", first,
                         first + count - 1, name);
    for (u32 port = first; port < first + count; port++)
        if (bus->owner[port] != UNOWNED)
            return error_set(error, "port %#x of %s is taken by %s", port, name,
                             bus->region[bus->owner[port]].name);
    while (index <= REGIONS && bus->region[index].name != NULL)
        index++;
    if (index > REGIONS)
        return error_set(error, "ports %#x of %s: too many port regions", first, name);
    bus->region[index] = (struct region){name, ops, ctx, first, count};
    memset(&bus->owner[first], (int)index, count);
    return true;
}

void bus_remove_ports(struct bus *bus, u16 first, const void *ctx)
{
    const u32 index = bus->owner[first];
    struct region *region = &bus->region[index];

    if (index == UNOWNED || region->first != first || region->ctx != ctx)
        return;
    memset(&bus->owner[first], UNOWNED, region->count);
    *region = (struct region){0};
}

/* The owner if it takes an access of this size whole, else NULL. */
static const struct region *whole(const struct bus *bus, u32 port, u32 size)
{
    const struct region *region = &bus->region[bus->owner[port]];

    if (bus->owner[port] == UNOWNED || size > region->ops->max_size ||
        port + size > region->first + region->count)
        return NULL;
    return region;
}

static void stray(struct bus *bus, u32 port, const char *what)
{
    bus->strays++;
    if (bus->reported[port / 8] & (1u << port % 8))
        return;
    bus->reported[port / 8] |= (u8)(1u << port % 8);
    LOG(LOG_GUEST_ERROR, "%s port %#x: nobody there", what, port);
}

static u32 read_at(struct bus *bus, u32 port, u32 size)
{
    const struct region *region;
    u32 half = size / 2;

    /* The last ports have no neighbours: an access does not wrap to port 0. */
    if (port >= PORTS)
        return ~(u32)0 >> (32 - 8 * size);
    region = whole(bus, port, size);
    if (region != NULL)
        return region->ops->read(region->ctx, port - region->first, size) &
               (~(u32)0 >> (32 - 8 * size));
    if (size == 1) {
        stray(bus, port, "read of");
        return 0xff;
    }
    return read_at(bus, port, half) | read_at(bus, port + half, half) << (8 * half);
}

static void write_at(struct bus *bus, u32 port, u32 size, u32 value)
{
    const struct region *region;
    u32 half = size / 2;

    if (port >= PORTS)
        return;
    value &= ~(u32)0 >> (32 - 8 * size);
    region = whole(bus, port, size);
    if (region != NULL) {
        region->ops->write(region->ctx, port - region->first, size, value);
    } else if (size == 1) {
        stray(bus, port, "write to");
    } else {
        write_at(bus, port, half, value);
        write_at(bus, port + half, half, value >> (8 * half));
    }
}

u32 bus_read(struct bus *bus, u16 port, u32 size)
{
    return read_at(bus, port, size);
}

void bus_write(struct bus *bus, u16 port, u32 size, u32 value)
{
    write_at(bus, port, size, value);
}
