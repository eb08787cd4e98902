/* SPDX-License-Identifier: MIT */
/*
 * QEMU's pc-testdev, which kvm-unit-tests drive: loopback ports E0-E3, page-flush port E4
 * (accepted; there is no host page to flush), interrupt lines by ports 2000h+n, 64 KiB of RAM-like
 * MMIO.
 */
#ifndef DEVICES_TESTDEV_H
#define DEVICES_TESTDEV_H

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irq.h"

enum { TESTDEV_LINES = 24, TESTDEV_MMIO_SIZE = 0x10000 };
#define TESTDEV_MMIO_BASE ((u64)0xff000000)

struct testdev_state {
    u8 io[4];
    u8 lines[TESTDEV_LINES]; /* levels last written */
    u8 mmio[TESTDEV_MMIO_SIZE];
};

struct testdev;

/* lines: array of 24 GSI lines (0..15: the ISA lines), copied. */
struct testdev *testdev_create(struct bus *bus, const struct irq_line *lines, struct error *error);
struct device testdev_device(struct testdev *testdev);
/* 64 KiB at FF000000, mapped by the board. */
u64 testdev_mmio_read(void *ctx, u64 offset, u32 size);
void testdev_mmio_write(void *ctx, u64 offset, u32 size, u64 value);

#endif
