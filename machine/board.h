/* SPDX-License-Identifier: MIT */
/*
 * The PC: an explicit list of devices in their order, with addresses and interrupts, and the wires
 * between them and the CPUs. 440FX/PIIX3 board with PIIX4 power management, I/O APIC, HPET and up
 * to eight CPUs. The order of the list is the order of reset, of the state hash and of snapshots.
 */
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include "base/error.h"
#include "cpu/engine.h"
#include "cpu/system.h"
#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"
#include "devices/lapic.h"
#include "devices/uart.h"
#include "firmware/boot.h"
#include "firmware/e820.h"
#include "mmu/mmu.h"
#include "mmu/shadow/shadow.h"

enum { BOARD_CPUS = LAPIC_MAX, BOARD_SERIALS = 4, BOARD_DEVICES = 40, ISA_IRQS = 16 };

#define BOARD_LOW_MAX ((u64)0xc0000000) /* RAM below 4 GiB; the rest follows from 4 GiB on */
#define BOARD_RAM_MIN ((u64)2 << 20)

/* What executes instructions. A run is the same with each. */
enum engine {
    ENGINE_AUTO, /* the translator if the host can run it */
    ENGINE_INTERP, /* the interpreter only */
    ENGINE_JIT, /* frequent blocks as machine code, an error if the host cannot */
};

struct board_config {
    u64 ram; /* bytes, a multiple of 4 KiB, at least BOARD_RAM_MIN */
    u32 cpus; /* 1..BOARD_CPUS */
    const struct cpu_config *cpu;
    enum mmu_mode mmu;
    struct shadow_options shadow; /* unless MMU_WALK */
    enum engine engine;
    u64 seed; /* RDRAND, RDSEED */
    i64 date; /* of the RTC at power-on, seconds since 1970 */
    bool pit, hpet, acpi;
    bool feature_control_locked; /* IA32_FEATURE_CONTROL: by firmware, with VMX enabled */
    bool com[BOARD_SERIALS];
    struct byte_port serial[BOARD_SERIALS];
    struct byte_port debug_console; /* port E9; put NULL: no such port */
    bool pc_testdev, pci_testdev;
    u16 debug_exit_port; /* 0: none */
    u32 debug_exit_size;
    struct machine_port machine; /* requests of devices; the CPUs stop at the next boundary */
    /* A CPU shut down (triple fault). ctx: machine.ctx. */
    void (*cpu_shutdown)(void *ctx, u32 cpu);
};

/* Several outputs on one ISA interrupt: the line is high while any of them is. */
enum isa_driver { DRIVER_DEVICE, DRIVER_SECOND, DRIVER_HPET, DRIVER_TESTDEV, DRIVER_PCI };

struct board_state {
    u32 isa_drivers[ISA_IRQS]; /* bit per enum isa_driver: asserted */
};

struct board;
struct pic;
struct ioapic;
struct hpet;
struct rtc;
struct acpi_pm;
struct i8042;
struct ports;
struct fw_cfg;
struct pci;
struct testdev;

struct isa_wire {
    struct board *board;
    u32 irq;
    struct irq_line pic, gsi;
};

struct board_cpu {
    struct board *board;
    struct vcpu *v;
    struct lapic *lapic;
    u32 index;
    struct timer wake; /* of a guest's preemption timer while the CPU is halted */
    bool signalled; /* an input changed since the machine last looked */
};

struct board {
    struct memory *memory;
    struct code_cache *code;
    struct clock clock;
    struct bus *bus;
    struct lapic_bus *lapic_bus;
    struct board_config config;
    u32 cpus;
    struct board_cpu cpu[BOARD_CPUS];
    struct isa_wire isa[ISA_IRQS];
    struct board_state state;

    struct pic *pic;
    struct ioapic *ioapic;
    struct hpet *hpet;
    struct rtc *rtc;
    struct acpi_pm *pm;
    struct i8042 *keyboard;
    struct ports *ports;
    struct fw_cfg *fw_cfg;
    struct pci *pci;
    struct testdev *testdev;
    struct uart *uart[BOARD_SERIALS];

    u32 devices;
    struct device device[BOARD_DEVICES];

    struct e820 map;
    u64 low, high; /* bytes of RAM below and from 4 GiB */
    u64 rsdp, facs;
};

MUST_CHECK struct board *board_create(const struct board_config *config, struct error *error);
void board_destroy(struct board *board);

/* Power-on or reset button: all devices, all CPUs; memory keeps its bytes. */
void board_reset(struct board *board);
/* The CPUs and their APICs only, as at the end of S3 sleep. */
void board_reset_cpus(struct board *board);
/* What firmware does before it starts an operating system: vectors, tables, MTRRs, FPU, SMM. */
void board_firmware(struct board *board);
/* Only what is lost when the CPUs are reset: memory types, FPU, SMM handler. */
void board_set_cpus(struct board *board);
/* Put the boot CPU into the state that a loader asks for. */
void board_start(struct board *board, const struct boot_state *boot);
/* The memory map for loaders. */
struct boot_machine board_boot_machine(struct board *board);

#endif
