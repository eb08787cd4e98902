/* SPDX-License-Identifier: MIT */
/* The list of devices and wires of the PC. See board.h. */
#include "machine/board.h"

#include "base/bits.h"
#include "base/check.h"
#include "devices/acpi_pm.h"
#include "devices/debug_exit.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/ports.h"
#include "devices/rtc.h"
#include "devices/testdev.h"
#include "machine/cpu_wires.h"

#include <stdlib.h>

enum {
    LAPIC_PAGE_BYTES = PAGE_SIZE,
    IOAPIC_ID = 0,
    SCI_IRQ = 9,
    PCI_TESTDEV_SLOT = 4,
    CODE_ARENA = 64 << 20,
};

static const u64 ioapic_base = 0xfec00000;
static const u64 hpet_base = 0xfed00000;
static const u64 rom_top = BIT(32) - PC_ROM_SIZE;

static const struct mmio_ops ioapic_mmio = {ioapic_mmio_read, ioapic_mmio_write};
static const struct mmio_ops hpet_mmio = {hpet_mmio_read, hpet_mmio_write};
static const struct mmio_ops pci_mmio = {pci_mmio_read, pci_mmio_write};
static const struct mmio_ops testdev_mmio = {testdev_mmio_read, testdev_mmio_write};

/* clang-format off */
static const struct serial_place {
    u16 port;
    u8 irq, driver;
} serial_places[BOARD_SERIALS] = {
    { 0x3f8, 4, DRIVER_DEVICE },
    { 0x2f8, 3, DRIVER_DEVICE },
    { 0x3e8, 4, DRIVER_SECOND },
    { 0x2e8, 3, DRIVER_SECOND },
};
/* clang-format on */

/* ---- interrupt lines ---- */

static void isa_drive(const struct isa_wire *wire)
{
    const bool level = wire->board->state.isa_drivers[wire->irq] != 0;

    irq_set(&wire->pic, level);
    irq_set(&wire->gsi, level);
}

/* pin: enum isa_driver. */
static void isa_set(void *ctx, u32 pin, bool level)
{
    struct isa_wire *wire = ctx;
    u32 *drivers = &wire->board->state.isa_drivers[wire->irq];

    *drivers = level ? *drivers | 1u << pin : *drivers & ~(1u << pin);
    isa_drive(wire);
}

static struct irq_line isa_line(struct board *board, u32 irq, enum isa_driver driver)
{
    return (struct irq_line){isa_set, &board->isa[irq], driver};
}

/* The 24 inputs of the I/O APIC as devices see them: 0..15 are the ISA lines (0 arrives at pin 2,
 * and 2 is the cascade, so both names mean the timer's line or the bare pin). */
static void gsi_lines(struct board *board, enum isa_driver driver, struct irq_line *lines)
{
    for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
        lines[pin] = pin < ISA_IRQS && pin != 2 ? isa_line(board, pin, driver)
                                                : ioapic_line(board->ioapic, pin);
}

static void board_state_reset(void *device)
{
    struct board *board = device;

    memset(&board->state, 0, sizeof(board->state));
}

static void board_state_load(void *device)
{
    struct board *board = device;

    for (u32 irq = 0; irq < ISA_IRQS; irq++)
        isa_drive(&board->isa[irq]);
}

static const struct device_ops board_ops = {"board", board_state_reset, board_state_load, NULL};

/* ---- building ---- */

static void add_device(struct board *board, struct device device)
{
    CHECK(board->devices < BOARD_DEVICES);
    board->device[board->devices++] = device;
}

static bool build_memory(struct board *board, struct error *error)
{
    struct memory *m = board->memory;
    const u64 ram = board->config.ram;

    board->low = ram < BOARD_LOW_MAX ? ram : BOARD_LOW_MAX;
    board->high = ram - board->low;
    return memory_add_ram(m, "ram-conventional", (hpa_t){0}, PC_VGA, error) &&
           memory_add_rom(m, "rom", (hpa_t){PC_ROM}, PC_ROM_SIZE, error) &&
           memory_add_alias(m, "rom-top", (hpa_t){rom_top}, PC_ROM_SIZE, (hpa_t){PC_ROM}, error) &&
           memory_add_ram(m, "ram-low", (hpa_t){PC_HIGH}, board->low - PC_HIGH, error) &&
           (board->high == 0 ||
            memory_add_ram(m, "ram-high", (hpa_t){BIT(32)}, board->high, error)) &&
           memory_add_smram(m, (hpa_t){PC_VGA}, 0x20000, error);
}

static bool build_cpus(struct board *board, struct error *error)
{
    const struct board_config *c = &board->config;

    board->code = code_cache_create(board->memory, CODE_ARENA);
    if (c->engine != ENGINE_INTERP && !code_cache_translate(board->code, JIT_HEAT) &&
        c->engine == ENGINE_JIT)
        return error_set(error,
                         "--engine=jit: this host cannot run machine code; --engine=interp can");
    for (u32 i = 0; i < c->cpus; i++) {
        struct board_cpu *cpu = &board->cpu[i];

        *cpu = (struct board_cpu){.board = board, .index = i};
        if (!board_cpu_create(cpu, error))
            return false;
        board->cpus++;
    }
    return true;
}

static void build_isa(struct board *board)
{
    for (u32 irq = 0; irq < ISA_IRQS; irq++) {
        struct isa_wire *wire = &board->isa[irq];

        *wire = (struct isa_wire){.board = board, .irq = irq};
        if (irq == 2) /* the cascade: soldered to nothing */
            continue;
        wire->pic = pic_line(board->pic, irq);
        wire->gsi = ioapic_line(board->ioapic, irq == 0 ? 2 : irq);
    }
}

static bool build_interrupts(struct board *board, struct error *error)
{
    board->lapic_bus = lapic_bus_create();
    board->pic = pic_create(board->bus, lapic_bus_pic_line(board->lapic_bus), error);
    if (board->pic == NULL)
        return false;
    lapic_bus_set_pic(board->lapic_bus, board->pic);
    add_device(board, pic_device(board->pic));
    if (!build_cpus(board, error))
        return false;
    for (u32 i = 0; i < board->cpus; i++)
        add_device(board, lapic_device(board->cpu[i].lapic));
    board->ioapic = ioapic_create(board->lapic_bus, IOAPIC_ID, error);
    if (board->ioapic == NULL)
        return false;
    add_device(board, ioapic_device(board->ioapic));
    build_isa(board);
    return memory_add_mmio(board->memory, "ioapic", (hpa_t){ioapic_base}, PAGE_SIZE, &ioapic_mmio,
                           board->ioapic, error);
}

static bool build_timers(struct board *board, struct error *error)
{
    struct irq_line irq0 = isa_line(board, 0, DRIVER_DEVICE);
    struct irq_line irq8 = isa_line(board, 8, DRIVER_DEVICE);
    struct irq_line gsi[IOAPIC_PINS];

    gsi_lines(board, DRIVER_HPET, gsi);
    if (board->config.hpet) {
        board->hpet = hpet_create(&board->clock, irq0, irq8, gsi, error);
        if (board->hpet == NULL || !memory_add_mmio(board->memory, "hpet", (hpa_t){hpet_base},
                                                    PAGE_SIZE, &hpet_mmio, board->hpet, error))
            return false;
        add_device(board, hpet_device(board->hpet));
        irq0 = hpet_pit_line(board->hpet);
        irq8 = hpet_rtc_line(board->hpet);
    }
    if (board->config.pit) {
        struct pit *pit = pit_create(&board->clock, board->bus, irq0, error);

        if (pit == NULL)
            return false;
        add_device(board, pit_device(pit));
    }
    board->rtc = rtc_create(&board->clock, board->bus, irq8, board->config.date, error);
    if (board->rtc == NULL)
        return false;
    add_device(board, rtc_device(board->rtc));
    return true;
}

static bool build_serial(struct board *board, struct error *error)
{
    for (u32 i = 0; i < BOARD_SERIALS; i++) {
        const struct serial_place *p = &serial_places[i];

        if (!board->config.com[i])
            continue;
        board->uart[i] = uart_create(&board->clock, board->bus, p->port,
                                     isa_line(board, p->irq, (enum isa_driver)p->driver),
                                     board->config.serial[i], error);
        if (board->uart[i] == NULL)
            return false;
        add_device(board, uart_device(board->uart[i]));
    }
    return true;
}

static void dma_read(void *ctx, u64 at, void *to, u64 size)
{
    memory_read(ctx, (hpa_t){at}, to, size);
}

static void dma_write(void *ctx, u64 at, const void *from, u64 size)
{
    memory_write(ctx, (hpa_t){at}, from, size);
}

static bool build_small_devices(struct board *board, struct error *error)
{
    const struct dma_port dma = {dma_read, dma_write, board->memory};
    const struct machine_port machine = board->config.machine;

    board->keyboard = i8042_create(board->bus, isa_line(board, 1, DRIVER_DEVICE),
                                   isa_line(board, 12, DRIVER_DEVICE), machine, error);
    if (board->keyboard == NULL)
        return false;
    add_device(board, i8042_device(board->keyboard));
    board->ports = ports_create(board->bus, isa_line(board, 13, DRIVER_DEVICE),
                                board->config.debug_console, machine, error);
    if (board->ports == NULL)
        return false;
    add_device(board, ports_device(board->ports));
    board->fw_cfg = fw_cfg_create(board->bus, dma, error);
    if (board->fw_cfg == NULL)
        return false;
    add_device(board, fw_cfg_device(board->fw_cfg));
    board->pm = acpi_pm_create(&board->clock, board->bus, isa_line(board, SCI_IRQ, DRIVER_DEVICE),
                               machine, true, error);
    if (board->pm == NULL)
        return false;
    add_device(board, acpi_pm_device(board->pm));
    rtc_set_wake(board->rtc, acpi_pm_rtc_line(board->pm));
    return true;
}

static bool build_pci(struct board *board, struct error *error)
{
    struct irq_line isa[ISA_IRQS];
    struct pci_config config = {
        .bus = board->bus,
        .machine = board->config.machine,
        .pm = board->pm,
        .isa = isa,
        .testdev_slot = board->config.pci_testdev ? PCI_TESTDEV_SLOT : 0,
    };

    for (u32 irq = 0; irq < ISA_IRQS; irq++)
        isa[irq] = isa_line(board, irq, DRIVER_PCI);
    board->pci = pci_create(&config, error);
    if (board->pci == NULL)
        return false;
    add_device(board, pci_device(board->pci));
    return memory_add_mmio(board->memory, "pci", (hpa_t){PCI_MMIO_BASE}, PCI_MMIO_SIZE, &pci_mmio,
                           board->pci, error);
}

static bool build_test_devices(struct board *board, struct error *error)
{
    const struct board_config *c = &board->config;
    struct irq_line lines[TESTDEV_LINES];

    if (c->debug_exit_port != 0) {
        struct debug_exit *exit = debug_exit_create(board->bus, c->debug_exit_port,
                                                    c->debug_exit_size, c->machine, error);

        if (exit == NULL)
            return false;
        add_device(board, debug_exit_device(exit));
    }
    if (!c->pc_testdev)
        return true;
    gsi_lines(board, DRIVER_TESTDEV, lines);
    board->testdev = testdev_create(board->bus, lines, error);
    if (board->testdev == NULL)
        return false;
    add_device(board, testdev_device(board->testdev));
    return memory_add_mmio(board->memory, "testdev", (hpa_t){TESTDEV_MMIO_BASE}, TESTDEV_MMIO_SIZE,
                           &testdev_mmio, board->testdev, error);
}

static bool build(struct board *board, struct error *error)
{
    add_device(board, (struct device){&board_ops, board, &board->state, sizeof(board->state)});
    return build_memory(board, error) && build_interrupts(board, error) &&
           build_timers(board, error) && build_serial(board, error) &&
           build_small_devices(board, error) && build_pci(board, error) &&
           build_test_devices(board, error);
}

struct board *board_create(const struct board_config *config, struct error *error)
{
    struct board *board = calloc(1, sizeof(*board));

    CHECK(board != NULL);
    CHECK(config->cpus >= 1 && config->cpus <= BOARD_CPUS && config->ram >= BOARD_RAM_MIN);
    board->config = *config;
    clock_init(&board->clock);
    board->memory = memory_create(config->cpu->phys_bits);
    if (config->mmu != MMU_WALK) {
        struct shadow_options options = config->shadow;

        if (options.quota == 0)
            options.quota = shadow_default_quota(config->ram);
        options.combined = config->mmu == MMU_COMBINED;
        shadow_create(board->memory, &options);
    }
    board->bus = bus_create();
    if (!build(board, error)) {
        board_destroy(board);
        return NULL;
    }
    board->facs = board->low - PC_NVS_SIZE;
    e820_build(&board->map, board->low, board->high);
    board_fill_fw_cfg(board);
    return board;
}

void board_destroy(struct board *board)
{
    if (board == NULL)
        return;
    for (u32 i = board->devices; i > 0; i--)
        if (board->device[i - 1].ops->destroy != NULL)
            board->device[i - 1].ops->destroy(board->device[i - 1].self);
    for (u32 i = 0; i < board->cpus; i++)
        vcpu_destroy(board->cpu[i].v);
    if (board->lapic_bus != NULL)
        lapic_bus_destroy(board->lapic_bus);
    if (board->code != NULL)
        code_cache_destroy(board->code);
    bus_destroy(board->bus);
    memory_destroy(board->memory);
    free(board);
}

void board_reset(struct board *board)
{
    for (u32 i = 0; i < board->cpus; i++)
        board_cpu_reset(&board->cpu[i]);
    for (u32 i = 0; i < board->devices; i++)
        board->device[i].ops->reset(board->device[i].self);
    memory_set_a20(board->memory, true);
}

void board_reset_cpus(struct board *board)
{
    for (u32 i = 0; i < board->cpus; i++) {
        const struct device lapic = lapic_device(board->cpu[i].lapic);

        board_cpu_reset(&board->cpu[i]);
        lapic.ops->reset(lapic.self);
    }
}

struct boot_machine board_boot_machine(struct board *board)
{
    return (struct boot_machine){
        .memory = board->memory,
        .map = &board->map,
        .low_top = board->low - PC_NVS_SIZE,
        .rsdp = board->rsdp,
    };
}
