/* SPDX-License-Identifier: MIT */
/* QEMU's isa-debug-exit: a write ends the run with exit status (value << 1) | 1. Reads give 0. */
#ifndef DEVICES_DEBUG_EXIT_H
#define DEVICES_DEBUG_EXIT_H

#include "devices/bus.h"
#include "devices/device.h"

struct debug_exit_state {
    u32 writes; /* only so that the block is not empty */
};

struct debug_exit;

/* QEMU's defaults are iobase 501h, iosize 2; kvm-unit-tests use f4h, 4. */
struct debug_exit *debug_exit_create(struct bus *bus, u16 iobase, u32 iosize,
                                     struct machine_port machine, struct error *error);
struct device debug_exit_device(struct debug_exit *exit);

#endif
