/* SPDX-License-Identifier: MIT */
/*
 * The I/O port space. A region is a run of ports with one owner; an access that covers several
 * regions, or a size the region does not take, is split into smaller ones, low port first. Ports
 * that nobody owns read as all ones and swallow writes (counted, and logged once per port).
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "base/error.h"
#include "base/types.h"

struct port_ops {
    /* offset from the region's first port; size 1, 2 or 4 but never above max_size. */
    u32 (*read)(void *ctx, u32 offset, u32 size);
    void (*write)(void *ctx, u32 offset, u32 size, u32 value);
    u32 max_size; /* 1, 2 or 4: wider accesses are split */
};

struct bus;

struct bus *bus_create(void);
void bus_destroy(struct bus *bus);
/* false (and a message with both names) if a port is taken. */
MUST_CHECK bool bus_add_ports(struct bus *bus, const char *name, u16 first, u32 count,
                              const struct port_ops *ops, void *ctx, struct error *error);
/* For movable regions (PCI BARs, PM base): drop the region that starts at `first` and belongs to
 * ctx. */
void bus_remove_ports(struct bus *bus, u16 first, const void *ctx);
u32 bus_read(struct bus *bus, u16 port, u32 size);
void bus_write(struct bus *bus, u16 port, u32 size, u32 value);

#endif
