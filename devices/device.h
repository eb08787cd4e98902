/* SPDX-License-Identifier: MIT */
/*
 * What every device gives the board besides its own create function: a name, a reset, and its state
 * block, which is plain bytes (fixed-width members, no pointers, no padding) and holds everything
 * about the device that the guest can ever see. Hash, snapshot and replay use only the block.
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include "base/types.h"

struct device_ops {
    const char *name;
    void (*reset)(void *device); /* power-on or reset line */
    void (*post_load)(void *device); /* the block was replaced: re-arm timers, drive lines again */
    void (*destroy)(void *device);
};

struct device {
    const struct device_ops *ops;
    void *self;
    void *state;
    u32 state_size; /* bytes */
};

/* DMA: device access to the machine's physical memory; the other end is mmu/memory.c. */
struct dma_port {
    void (*read)(void *ctx, u64 at, void *to, u64 size);
    void (*write)(void *ctx, u64 at, const void *from, u64 size);
    void *ctx;
};

/* A byte sink and source for serial ports; the other end is host/ behind the replay gate. */
struct byte_port {
    void (*put)(void *ctx, u8 byte); /* never blocks, never fails for the guest */
    void *ctx;
};

/* What a device asks of the machine as a whole. The machine acts at the next instruction boundary.
 */
enum machine_request {
    MACHINE_RESET, /* reset button: port CF9, 64/FE, 92 bit 0, ACPI reset register */
    MACHINE_POWER_OFF, /* ACPI S5, port 8900 "Shutdown" */
    MACHINE_SLEEP, /* ACPI S3: CPUs reset, RAM and devices kept, waits for a wake event */
    MACHINE_WAKE, /* e.g. the RTC alarm while asleep */
    MACHINE_EXIT, /* isa-debug-exit: value is the process's exit status */
    MACHINE_A20, /* value: 1 enable, 0 mask */
    MACHINE_SMI, /* port B2 write */
};

struct machine_port {
    void (*request)(void *ctx, enum machine_request request, u32 value);
    void *ctx;
};

/* LAPIC to CPU, one per CPU. */
enum cpu_signal { CPU_INTR, CPU_NMI, CPU_SMI, CPU_INIT, CPU_SIPI };

struct cpu_port {
    /* CPU_INTR is a level (value 0 or 1); CPU_SIPI carries the vector; the rest are edges. */
    void (*signal)(void *ctx, enum cpu_signal signal, u32 value);
    void *ctx;
};

#endif
