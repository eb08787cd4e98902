/* SPDX-License-Identifier: MIT */
/*
 * PCI bus 0: PCI 2.1 (configuration space, 6.1; mechanism #1, 3.7.4.1), data sheets of 440FX, PIIX3
 * and PIIX4 (registers), QEMU's docs/specs/pci-testdev.
 */
#include "devices/pci.h"

#include "base/bits.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct pci_state) == PCI_FUNCTIONS * 256 + 4 + 4 * PCI_PIRQS + 12 + 4,
               "padding in pci_state");

enum pci_function { HOST, ISA, PM, TESTDEV };

enum {
    CFG_COMMAND = 0x04,
    CFG_BAR0 = 0x10,
    CFG_BAR1 = 0x14,
    COMMAND_IO = 1,
    COMMAND_MEMORY = 2,

    PIIX3_PIRQ = 0x60,
    PIRQ_OFF = 0x80,

    PIIX4_BASE = 0x40,
    PIIX4_DEVACTB = 0x58, /* bit 25: writes to B2 raise SMI */
    PIIX4_MISC = 0x80, /* bit 0: the block at PIIX4_BASE is there */
};

enum { TESTDEV_MEMORY = 0x1000, TESTDEV_PORTS = 0x100 };
enum { RESET_TRIGGER = 4, RESET_KEPT = 2 };

/* A register: its value after reset (as firmware sets it up) and which bits can be written. */
struct pci_register {
    u8 offset;
    u32 value, writable;
};

/* clang-format off */
static const struct pci_register host_registers[] = {
    { 0x00, 0x12378086, 0 },
    { 0x04, 0x02800006, 0x00000100 },
    { 0x08, 0x06000002, 0 },          /* host bridge, revision 2 */
    { 0x0c, 0x00000000, 0x0000ff00 },
    { 0x2c, 0x11001af4, 0 },          /* subsystem: says that this is an emulation */
    { 0x50, 0x00000000, 0xffffffff }, /* PMC configuration, DRAM timing */
    { 0x58, 0x33333300, 0xffffffff }, /* PAM 0..6: shadow RAM read and written */
    { 0x5c, 0x33333333, 0xffffffff },
    { 0x60, 0x00000000, 0xffffffff }, /* DRAM row boundaries */
    { 0x64, 0x00000000, 0xffffffff },
    { 0x70, 0x00020000, 0x007f0000 }, /* SMRAM */
    { 0 },
};

static const struct pci_register isa_registers[] = {
    { 0x00, 0x70008086, 0 },
    { 0x04, 0x02000007, 0x00000008 },
    { 0x08, 0x06010000, 0 },
    { 0x0c, 0x00800000, 0 },          /* several functions */
    { 0x2c, 0x11001af4, 0 },
    { 0x4c, 0x0003004d, 0xffff00ff }, /* I/O recovery, X-bus chip select */
    { 0x60, 0x0b0b0a0a, 0x8f8f8f8f }, /* PIRQ A..D: IRQ 10, 10, 11, 11 */
    { 0x68, 0x00000200, 0x0000fe00 }, /* top of memory */
    { 0x80, 0x00000000, 0x000f007f },
    { 0xa0, 0x00000008, 0xffffffff }, /* SMI control */
    { 0 },
};

static const struct pci_register pm_registers[] = {
    { 0x00, 0x71138086, 0 },
    { 0x04, 0x02800001, 0x00000001 },
    { 0x08, 0x06800003, 0 },
    { 0x2c, 0x11001af4, 0 },
    { 0x3c, 0x00000109, 0x000000ff }, /* INTA#, reported on IRQ 9 */
    { 0x40, ACPI_PM_BASE | 1, 0x0000ffc0 },
    { 0x58, 0x00000000, 0xffffffff },
    { 0x80, 0x00000001, 0x00000001 },
    { 0x90, 0x00000001, 0x0000fff0 },
    { 0 },
};

static const struct pci_register testdev_registers[] = {
    { 0x00, 0x00051b36, 0 },
    { 0x04, COMMAND_IO | COMMAND_MEMORY, COMMAND_IO | COMMAND_MEMORY | 4 },
    { 0x08, 0x00ff0000, 0 },
    { 0x10, 0xfebf0000, ~(u32)(TESTDEV_MEMORY - 1) },
    { 0x14, 0x0000c001, ~(u32)(TESTDEV_PORTS - 1) },
    { 0x2c, 0x11001af4, 0 },
    { 0x3c, 0x00000000, 0x000000ff },
    { 0 },
};
/* clang-format on */

static const struct pci_register *const registers[PCI_FUNCTIONS] = {
    [HOST] = host_registers,
    [ISA] = isa_registers,
    [PM] = pm_registers,
    [TESTDEV] = testdev_registers,
};

struct pci {
    struct pci_state state;
    struct pci_config config;
    struct irq_line isa[16];
    u8 writable[PCI_FUNCTIONS][256];
    u32 io_mapped; /* where the testdev's ports are now, 0: nowhere */
};

/* ---- pci-testdev: each test is a register to write, with or without the right value ---- */

struct test {
    const char *name;
    bool any_value;
};

/* By space: memory, I/O. */
static const struct test tests[2][2] = {
    {{"mmio-any-value", true}, {"mmio-one-value", false}},
    {{"portio-any-value", true}, {"portio-one-value", false}},
};

enum { TESTS = ARRAY_SIZE(tests[0]), TEST_DATA = 0xfa, TEST_WIDTH = 1, TEST_FIRST = 0x80 };
/* The header that the guest sees: test, width, offset, data, count, name. */
enum { HEADER_TEST = 0, HEADER_OFFSET = 4, HEADER_DATA = 8, HEADER_COUNT = 12, HEADER_NAME = 16 };

static u32 test_offset(u32 test)
{
    return TEST_FIRST + 4 * test;
}

static u64 testdev_read(const struct pci *pci, u32 space, u32 offset, u32 size)
{
    const struct pci_testdev_state *s = &pci->state.testdev;
    const u32 number = s->test[space];
    u8 header[HEADER_NAME + 32] = {0};

    if (number >= TESTS || offset + size > sizeof(header))
        return 0;
    header[HEADER_TEST] = (u8)number;
    header[HEADER_TEST + 1] = TEST_WIDTH;
    store_le(&header[HEADER_OFFSET], test_offset(number), 4);
    store_le(&header[HEADER_DATA], TEST_DATA, 4);
    store_le(&header[HEADER_COUNT], s->count[space], 4);
    memcpy(&header[HEADER_NAME], tests[space][number].name, strlen(tests[space][number].name));
    return load_le(&header[offset], size);
}

static void testdev_write(struct pci *pci, u32 space, u32 offset, u32 size, u64 value)
{
    struct pci_testdev_state *s = &pci->state.testdev;
    const u32 number = s->test[space];

    if (offset == HEADER_TEST) {
        s->test[space] = (u8)value;
        s->count[space] = 0;
    } else if (number < TESTS && offset == test_offset(number) && size == TEST_WIDTH &&
               (tests[space][number].any_value || (u8)value == TEST_DATA)) {
        s->count[space]++;
    }
}

static u32 testdev_port_read(void *ctx, u32 offset, u32 size)
{
    return (u32)testdev_read(ctx, 1, offset, size);
}

static void testdev_port_write(void *ctx, u32 offset, u32 size, u32 value)
{
    testdev_write(ctx, 1, offset, size, value);
}

static const struct port_ops testdev_ports = {testdev_port_read, testdev_port_write, 4};

/* ---- configuration space ---- */

static u32 config_get(const struct pci *pci, enum pci_function function, u32 offset)
{
    return (u32)load_le(&pci->state.function[function].config[offset], 4);
}

static bool has_function(const struct pci *pci, enum pci_function function)
{
    if (function == PM)
        return pci->config.pm != NULL;
    return function != TESTDEV || pci->config.testdev_slot != 0;
}

/* The function at a device and function number of bus 0, PCI_FUNCTIONS if there is none. */
static u32 find_function(const struct pci *pci, u32 bus_devfn)
{
    const u32 places[PCI_FUNCTIONS] = {[HOST] = 0 << 3,
                                       [ISA] = 1 << 3,
                                       [PM] = 1 << 3 | 3,
                                       [TESTDEV] = pci->config.testdev_slot << 3};

    for (u32 i = 0; i < PCI_FUNCTIONS; i++)
        if (places[i] == bus_devfn && has_function(pci, (enum pci_function)i))
            return i;
    return PCI_FUNCTIONS;
}

/* Where the PM function puts the ACPI block, 0: nowhere. */
static u32 pm_base(const struct pci *pci)
{
    if (!has_function(pci, PM) || !(config_get(pci, PM, PIIX4_MISC) & 1))
        return 0;
    return config_get(pci, PM, PIIX4_BASE) & 0xffc0;
}

/* Where testdev's I/O BAR says it is; 0 if off, outside the port space, or over the ACPI block. */
static u32 testdev_io_base(const struct pci *pci)
{
    const u32 bar = config_get(pci, TESTDEV, CFG_BAR1) & ~(u32)(TESTDEV_PORTS - 1);
    const u32 pm = pm_base(pci);

    if (!has_function(pci, TESTDEV) || !(config_get(pci, TESTDEV, CFG_COMMAND) & COMMAND_IO))
        return 0;
    return bar >= 0x10000 || (pm != 0 && pm >= bar && pm < bar + TESTDEV_PORTS) ? 0 : bar;
}

/* Bring the port map to what the registers say, in an order in which the two blocks that can move
 * never stand in each other's way; so the map depends on nothing but the registers. */
static void remap(struct pci *pci)
{
    const u32 base = testdev_io_base(pci);
    struct error ignored;

    if (pci->io_mapped != 0 && pci->io_mapped != base) {
        bus_remove_ports(pci->config.bus, (u16)pci->io_mapped, pci);
        pci->io_mapped = 0;
    }
    if (pci->config.pm != NULL)
        acpi_pm_configure(pci->config.pm, (u16)pm_base(pci),
                          config_get(pci, PM, PIIX4_DEVACTB) >> 25 & 1);
    /* Over the ports of a fixed device it stays unmapped. */
    if (base != 0 && pci->io_mapped == 0 &&
        bus_add_ports(pci->config.bus, "pci-testdev", (u16)base, TESTDEV_PORTS, &testdev_ports, pci,
                      &ignored))
        pci->io_mapped = base;
}

/* ---- interrupt routing (PIIX3 2.2.11) ---- */

static void drive_irq(const struct pci *pci, u32 irq)
{
    bool level = false;

    for (u32 i = 0; i < PCI_PIRQS; i++)
        level |=
            pci->state.function[ISA].config[PIIX3_PIRQ + i] == irq && pci->state.levels[i] != 0;
    irq_set(&pci->isa[irq], level);
}

/* Only lines that a PIRQ drives or drove are touched: the others belong to ISA devices. */
static void drive_pirq(const struct pci *pci, u8 route)
{
    if (!(route & PIRQ_OFF))
        drive_irq(pci, route & 15);
}

static void intx_set(void *ctx, u32 pin, bool level)
{
    struct pci *pci = ctx;
    const u32 slot = pin >> 2;
    const u32 pirq = (slot + (pin & 3) - 1) & 3;
    u32 *levels = &pci->state.levels[pirq];

    *levels = level ? *levels | 1u << slot : *levels & ~(1u << slot);
    drive_pirq(pci, pci->state.function[ISA].config[PIIX3_PIRQ + pirq]);
}

struct irq_line pci_intx_line(struct pci *pci, u32 slot, u32 pin)
{
    CHECK(slot < 32 && pin < 4);
    return (struct irq_line){intx_set, pci, slot << 2 | pin};
}

/* ---- ports CF8..CFF ---- */

/*
 * The configuration byte that an access at CFC + offset starts with. The low two bits of the
 * address register count too: the 440FX ignores them, but QEMU's model does not, and guests written
 * for it (kvm-unit-tests) put the whole register number there and always use CFC.
 */
static u32 config_offset(const struct pci *pci, u32 offset)
{
    return (pci->state.address & 0xff) | offset;
}

static u32 data_read(void *ctx, u32 offset, u32 size)
{
    const struct pci *pci = ctx;
    const u32 address = pci->state.address;
    const u32 function = find_function(pci, address >> 8 & 0xffff);
    const u32 at = config_offset(pci, offset);

    if (!(address >> 31) || function == PCI_FUNCTIONS || at + size > 256)
        return ~(u32)0;
    return (u32)load_le(&pci->state.function[function].config[at], size);
}

static void write_config_byte(struct pci *pci, u32 function, u32 at, u8 value)
{
    u8 *byte = &pci->state.function[function].config[at];
    const u8 old = *byte;
    const u8 mask = pci->writable[function][at];

    *byte = (u8)((old & ~mask) | (value & mask));
    if (function == ISA && at >= PIIX3_PIRQ && at < PIIX3_PIRQ + PCI_PIRQS && *byte != old &&
        pci->state.levels[at - PIIX3_PIRQ] != 0) {
        drive_pirq(pci, old);
        drive_pirq(pci, *byte);
    }
}

static void data_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct pci *pci = ctx;
    const u32 address = pci->state.address;
    const u32 function = find_function(pci, address >> 8 & 0xffff);
    const u32 at = config_offset(pci, offset);

    if (!(address >> 31) || function == PCI_FUNCTIONS || at + size > 256)
        return;
    for (u32 i = 0; i < size; i++)
        write_config_byte(pci, function, at + i, (u8)(value >> (8 * i)));
    if (function == PM || function == TESTDEV)
        remap(pci);
}

static u32 address_read(void *ctx, u32 offset, u32 size)
{
    const struct pci *pci = ctx;

    if (size == 4)
        return pci->state.address;
    return size == 1 && offset == 1 ? pci->state.reset_control : ~(u32)0;
}

/* Only whole doublewords are the address register; the byte at CF9 is the PIIX3's reset control. */
static void address_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct pci *pci = ctx;

    if (size == 4) {
        pci->state.address = value & 0x80ffffff;
    } else if (size == 1 && offset == 1) {
        pci->state.reset_control = value & RESET_KEPT;
        if ((value & RESET_TRIGGER) && pci->config.machine.request != NULL)
            pci->config.machine.request(pci->config.machine.ctx, MACHINE_RESET, 0);
    }
}

/* ---- MMIO ---- */

/* Is offset (of the window) in testdev's memory BAR? at: the offset there. */
static bool in_testdev(const struct pci *pci, u64 offset, u32 *at)
{
    const u64 bar = config_get(pci, TESTDEV, CFG_BAR0) & ~(u32)(TESTDEV_MEMORY - 1);
    const u64 address = PCI_MMIO_BASE + offset;

    if (!has_function(pci, TESTDEV) || !(config_get(pci, TESTDEV, CFG_COMMAND) & COMMAND_MEMORY) ||
        address < bar || address - bar >= TESTDEV_MEMORY)
        return false;
    *at = (u32)(address - bar);
    return true;
}

u64 pci_mmio_read(void *ctx, u64 offset, u32 size)
{
    u32 at;

    return in_testdev(ctx, offset, &at) ? testdev_read(ctx, 0, at, size) : width_mask(size);
}

void pci_mmio_write(void *ctx, u64 offset, u32 size, u64 value)
{
    u32 at;

    if (in_testdev(ctx, offset, &at))
        testdev_write(ctx, 0, at, size, value);
}

/* ---- life ---- */

static void pci_reset(void *device)
{
    struct pci *pci = device;
    struct pci_state *s = &pci->state;
    const struct pci_state old = *s;

    memset(s, 0, sizeof(*s));
    memcpy(s->levels, old.levels, sizeof(s->levels)); /* wires, not registers */
    for (u32 i = 0; i < PCI_FUNCTIONS; i++)
        for (const struct pci_register *r = registers[i]; r->value != 0 || r->writable != 0; r++)
            store_le(&s->function[i].config[r->offset], r->value, 4);
    for (u32 i = 0; i < PCI_PIRQS; i++) {
        if (old.levels[i] == 0)
            continue;
        drive_pirq(pci, old.function[ISA].config[PIIX3_PIRQ + i]);
        drive_pirq(pci, s->function[ISA].config[PIIX3_PIRQ + i]);
    }
    remap(pci);
}

static void pci_post_load(void *device)
{
    struct pci *pci = device;

    remap(pci);
    for (u32 i = 0; i < PCI_PIRQS; i++)
        if (pci->state.levels[i] != 0)
            drive_pirq(pci, pci->state.function[ISA].config[PIIX3_PIRQ + i]);
}

static const struct port_ops address_ports = {address_read, address_write, 4};
static const struct port_ops data_ports = {data_read, data_write, 4};
static const struct device_ops pci_ops = {"pci", pci_reset, pci_post_load, free};

struct pci *pci_create(const struct pci_config *config, struct error *error)
{
    struct pci *pci = calloc(1, sizeof(*pci));

    CHECK(pci != NULL);
    pci->config = *config;
    if (config->isa != NULL)
        memcpy(pci->isa, config->isa, sizeof(pci->isa));
    pci->config.isa = NULL;
    for (u32 i = 0; i < PCI_FUNCTIONS; i++)
        for (const struct pci_register *r = registers[i]; r->value != 0 || r->writable != 0; r++)
            store_le(&pci->writable[i][r->offset], r->writable, 4);
    if (config->testdev_slot == 1 || config->testdev_slot > 31) {
        (void)error_set(error, "pci-testdev in slot %u: must be 2 to 31", config->testdev_slot);
        free(pci);
        return NULL;
    }
    if (!bus_add_ports(config->bus, "pci address", 0xcf8, 4, &address_ports, pci, error) ||
        !bus_add_ports(config->bus, "pci data", 0xcfc, 4, &data_ports, pci, error)) {
        free(pci);
        return NULL;
    }
    pci_reset(pci);
    return pci;
}

struct device pci_device(struct pci *pci)
{
    return (struct device){&pci_ops, pci, &pci->state, sizeof(pci->state)};
}
