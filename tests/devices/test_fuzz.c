/* SPDX-License-Identifier: MIT */
/*
 * A whole PC's devices under random accesses, events and jumps of time. Nothing may crash, hang or
 * leave its bounds (sanitizers watch); equal seeds give equal states; and dropping what is outside
 * the state blocks, at any moment, changes nothing.
 */
#include "devices/acpi_pm.h"
#include "devices/debug_exit.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/ports.h"
#include "devices/rtc.h"
#include "devices/testdev.h"
#include "devices/uart.h"
#include "tests/devices/rig.h"

enum { CPUS = 3, STEPS = 150000, DEVICES = 32, GSIS = 24, SOURCES = 8 };
/* Who drives a line: a board must or them. */
enum { BY_ISA, BY_HPET, BY_TESTDEV, BY_PCI };

struct world;

struct wire {
    struct world *world;
    u32 source;
};

struct world {
    struct clock clock;
    struct bus *bus;
    struct lapic_bus *apics;
    struct pic *pic;
    struct ioapic *ioapic;
    struct hpet *hpet;
    struct pci *pci;
    struct testdev *testdev;
    struct uart *uart[4];
    struct i8042 *kbd;
    struct acpi_pm *pm;
    struct ports *ports;
    struct lapic *cpu[CPUS];
    struct device device[DEVICES];
    u32 devices;
    struct wire wire[SOURCES];
    u8 lines[GSIS]; /* bit per source */
    bool intr[CPUS];
    bool reset;
    u64 random, signals;
    u8 ram[0x1000];
};

static u64 random64(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random * 0x2545f4914f6cdd1d;
}

static u32 below(struct world *w, u32 n)
{
    return (u32)(random64(w) >> 32) % n;
}

/* Small numbers, single bits, all ones and anything. */
static u64 odd_value(struct world *w)
{
    const u64 value = random64(w);

    switch (below(w, 5)) {
    case 0: return value & 0x0f;
    case 1: return (u64)1 << (value & 63);
    case 2: return ~(u64)0;
    case 3: return value & 0xff;
    default: return value;
    }
}

/* ---- the board ---- */

static void line_set(void *ctx, u32 gsi, bool level)
{
    const struct wire *wire = ctx;
    struct world *w = wire->world;
    const u8 bit = (u8)(1u << wire->source);
    struct irq_line pin;

    w->lines[gsi] = level ? w->lines[gsi] | bit : w->lines[gsi] & (u8)~bit;
    if (gsi < 16 && gsi != 2) {
        pin = pic_line(w->pic, gsi);
        irq_set(&pin, w->lines[gsi] != 0);
    }
    /* IRQ0 is at pin 2. */
    pin = ioapic_line(w->ioapic, gsi == 0 ? 2 : gsi);
    irq_set(&pin,
            w->lines[gsi] != 0 || (gsi == 2 && w->lines[0] != 0) || (gsi == 0 && w->lines[2] != 0));
}

static struct irq_line line(struct world *w, u32 source, u32 gsi)
{
    return (struct irq_line){line_set, &w->wire[source], gsi};
}

static void request(void *ctx, enum machine_request what, u32 value)
{
    struct world *w = ctx;

    /* A20 is asked for again when a state is loaded. */
    if (what != MACHINE_A20)
        w->signals = w->signals * 31 + (u64)what * 7 + value;
    w->reset |= what == MACHINE_RESET;
}

static void put(void *ctx, u8 byte)
{
    struct world *w = ctx;

    w->signals = w->signals * 31 + byte;
}

static void cpu_signal(void *ctx, enum cpu_signal signal, u32 value)
{
    if (signal == CPU_INTR)
        *(bool *)ctx = value;
}

static void dma_read(void *ctx, u64 at, void *to, u64 size)
{
    struct world *w = ctx;

    for (u64 i = 0; i < size; i++)
        ((u8 *)to)[i] = w->ram[(at + i) % sizeof(w->ram)];
}

static void dma_write(void *ctx, u64 at, const void *from, u64 size)
{
    struct world *w = ctx;

    for (u64 i = 0; i < size && i < 16; i++)
        w->ram[(at + i) % sizeof(w->ram)] ^= ((const u8 *)from)[i] & 1;
}

static void add(struct world *w, struct device device)
{
    ck_assert_uint_lt(w->devices, DEVICES);
    ck_assert_ptr_nonnull(device.self);
    w->device[w->devices++] = device;
}

static void add_interrupts(struct world *w, struct error *error)
{
    w->apics = lapic_bus_create();
    w->pic = pic_create(w->bus, lapic_bus_pic_line(w->apics), error);
    add(w, pic_device(w->pic));
    lapic_bus_set_pic(w->apics, w->pic);
    for (u32 i = 0; i < CPUS; i++) {
        struct lapic_config config = {.id = i,
                                      .bsp = i == 0,
                                      .x2apic = true,
                                      .deadline = true,
                                      .phys_bits = 40,
                                      .cpu = {cpu_signal, &w->intr[i]}};

        w->cpu[i] = lapic_create(&w->clock, w->apics, &config, error);
        add(w, lapic_device(w->cpu[i]));
    }
    w->ioapic = ioapic_create(w->apics, 0, error);
    add(w, ioapic_device(w->ioapic));
}

static void add_timers(struct world *w, struct error *error)
{
    struct irq_line gsi[GSIS];
    struct rtc *rtc;

    for (u32 i = 0; i < GSIS; i++)
        gsi[i] = line(w, BY_HPET, i);
    w->hpet = hpet_create(&w->clock, gsi[0], gsi[8], gsi, error);
    add(w, hpet_device(w->hpet));
    add(w, pit_device(pit_create(&w->clock, w->bus, hpet_pit_line(w->hpet), error)));
    rtc = rtc_create(&w->clock, w->bus, hpet_rtc_line(w->hpet), 1700000000, error);
    add(w, rtc_device(rtc));
    w->pm = acpi_pm_create(&w->clock, w->bus, line(w, BY_ISA, 9), (struct machine_port){request, w},
                           false, error);
    add(w, acpi_pm_device(w->pm));
    rtc_set_wake(rtc, acpi_pm_rtc_line(w->pm));
}

static void add_the_rest(struct world *w, struct error *error)
{
    static const u16 com[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    static const u32 com_irq[4] = {4, 3, 5, 7};
    const struct machine_port machine = {request, w};
    const struct byte_port bytes = {put, w};
    struct irq_line lines[GSIS], isa[16];
    struct pci_config pci = {
        .bus = w->bus, .machine = machine, .pm = w->pm, .isa = isa, .testdev_slot = 3};
    struct fw_cfg *cfg;

    for (u32 i = 0; i < GSIS; i++)
        lines[i] = line(w, BY_TESTDEV, i);
    for (u32 i = 0; i < 16; i++)
        isa[i] = line(w, BY_PCI, i);
    for (u32 i = 0; i < 4; i++) {
        w->uart[i] =
            uart_create(&w->clock, w->bus, com[i], line(w, BY_ISA, com_irq[i]), bytes, error);
        add(w, uart_device(w->uart[i]));
    }
    w->kbd = i8042_create(w->bus, line(w, BY_ISA, 1), line(w, BY_ISA, 12), machine, error);
    add(w, i8042_device(w->kbd));
    cfg = fw_cfg_create(w->bus, (struct dma_port){dma_read, dma_write, w}, error);
    add(w, fw_cfg_device(cfg));
    ck_assert(fw_cfg_add_file(cfg, "etc/file", "contents", 8, error));
    add(w, debug_exit_device(debug_exit_create(w->bus, 0xf4, 4, machine, error)));
    w->ports = ports_create(w->bus, line(w, BY_ISA, 13), bytes, machine, error);
    add(w, ports_device(w->ports));
    w->testdev = testdev_create(w->bus, lines, error);
    add(w, testdev_device(w->testdev));
    w->pci = pci_create(&pci, error);
    add(w, pci_device(w->pci));
}

static void build(struct world *w, u64 seed)
{
    struct error error;

    memset(w, 0, sizeof(*w));
    clock_init(&w->clock);
    w->bus = bus_create();
    w->random = seed;
    for (u32 i = 0; i < SOURCES; i++)
        w->wire[i] = (struct wire){w, i};
    /* Control blocks of short transfers, so that they take no time. */
    for (u32 i = 0; i < sizeof(w->ram); i++)
        w->ram[i] = i % 16 == 4 || i % 16 == 5 ? 0 : (u8)random64(w);
    add_interrupts(w, &error);
    add_timers(w, &error);
    add_the_rest(w, &error);
}

static void tear_down(struct world *w)
{
    for (u32 i = 0; i < w->devices; i++)
        w->device[i].ops->destroy(w->device[i].self);
    lapic_bus_destroy(w->apics);
    bus_destroy(w->bus);
}

/* ---- one random step ---- */

static u16 random_port(struct world *w)
{
    static const struct {
        u16 first, count;
    } runs[] = {
        {0x20, 2},     {0x40, 4},    {0x60, 5},   {0x70, 4},   {0x80, 16},  {0x92, 1},
        {0xa0, 2},     {0xb2, 2},    {0xe0, 10},  {0xf0, 6},   {0x2e8, 8},  {0x2f8, 8},
        {0x3e8, 8},    {0x3f8, 8},   {0x4d0, 2},  {0x510, 12}, {0x600, 64}, {0xcf8, 8},
        {0xc000, 256}, {0x2000, 24}, {0x8900, 1}, {0xafe0, 4},
    };
    const u32 run = below(w, ARRAY_SIZE(runs) + 1);

    if (run == ARRAY_SIZE(runs))
        return (u16)random64(w);
    return (u16)(runs[run].first + below(w, runs[run].count));
}

static void port_access(struct world *w)
{
    const u16 port = random_port(w);
    const u32 size = 1u << below(w, 3);

    if (below(w, 3) == 0)
        w->signals = w->signals * 31 + bus_read(w->bus, port, size);
    else
        bus_write(w->bus, port, size, (u32)odd_value(w));
}

/* Configuration space, aimed at the functions that are there. */
static void pci_access(struct world *w)
{
    static const u32 functions[] = {0x00, 0x08, 0x0b, 0x18};

    bus_write(w->bus, 0xcf8, 4, 0x80000000 | functions[below(w, 4)] << 8 | below(w, 256));
    bus_write(w->bus, 0xcfc + (u16)below(w, 4), 1u << below(w, 3), (u32)odd_value(w));
}

static void mmio_access(struct world *w)
{
    static const struct {
        u64 (*read)(void *ctx, u64 offset, u32 size);
        void (*write)(void *ctx, u64 offset, u32 size, u64 value);
        u64 size;
    } windows[] = {
        {lapic_mmio_read, lapic_mmio_write, 0x1000},
        {ioapic_mmio_read, ioapic_mmio_write, 0x1000},
        {hpet_mmio_read, hpet_mmio_write, 0x1000},
        {testdev_mmio_read, testdev_mmio_write, TESTDEV_MMIO_SIZE},
        {pci_mmio_read, pci_mmio_write, PCI_MMIO_SIZE},
    };
    void *const ctx[] = {w->cpu[below(w, CPUS)], w->ioapic, w->hpet, w->testdev, w->pci};
    const u32 which = below(w, ARRAY_SIZE(windows));
    const u32 size = 1u << below(w, 4);
    u64 offset = (random64(w) >> 16) % windows[which].size & ~(u64)(size - 1);

    /* Most of a window is empty. */
    if (below(w, 4) != 0)
        offset &= which == 0 ? 0x3f0 : which == 1 ? 0x50 : 0x1f8;
    if (below(w, 3) == 0)
        w->signals = w->signals * 31 + windows[which].read(ctx[which], offset, size);
    else
        windows[which].write(ctx[which], offset, size, odd_value(w));
}

static void ioapic_access(struct world *w)
{
    ioapic_mmio_write(w->ioapic, 0, 4, below(w, 0x42));
    ioapic_mmio_write(w->ioapic, 0x10, 4, below(w, 2) ? 0x20 + below(w, 0xd0) : odd_value(w));
}

static void msr_access(struct world *w)
{
    static const u32 others[] = {0x1b, 0x6e0};
    struct lapic *cpu = w->cpu[below(w, CPUS)];
    const u32 index = below(w, 4) == 0 ? others[below(w, 2)] : 0x800 + below(w, 0x48);
    u64 value = odd_value(w);

    if (index == 0x1b)
        value = 0xfee00000 | (value & 0xd00);
    else if (index == 0x6e0)
        value = w->clock.now + below(w, 1u << 20);
    if (below(w, 2) == 0)
        w->signals += lapic_msr_write(cpu, index, value);
    else if (lapic_msr_read(cpu, index, &value))
        w->signals = w->signals * 31 + value;
}

static void outside_event(struct world *w)
{
    const u8 bytes[8] = "random!";
    struct irq_line nmi = lapic_bus_nmi_line(w->apics);
    struct irq_line intx = pci_intx_line(w->pci, below(w, 32), below(w, 4));

    switch (below(w, 9)) {
    case 0: w->signals += uart_receive(w->uart[below(w, 4)], bytes, below(w, 9)); break;
    case 1: w->signals += i8042_key(w->kbd, (u16)odd_value(w), below(w, 2)); break;
    case 2: acpi_pm_power_button(w->pm); break;
    case 3: acpi_pm_gpe(w->pm, below(w, 16)); break;
    case 4: ports_ferr(w->ports, below(w, 2)); break;
    case 5: irq_set(&nmi, below(w, 2)); break;
    case 6: irq_set(&intx, below(w, 2)); break;
    case 7: lapic_bus_msi(w->apics, 0xfee00000 | below(w, 1 << 20), (u32)odd_value(w)); break;
    default:
        lapic_set_tsc_offset(w->cpu[below(w, CPUS)], below(w, 1 << 16));
        lapic_tpr_write(w->cpu[below(w, CPUS)], below(w, 16));
        break;
    }
}

static void acknowledge(struct world *w)
{
    for (u32 i = 0; i < CPUS; i++) {
        if (w->intr[i] != lapic_has_interrupt(w->cpu[i]))
            ck_abort_msg("CPU %u was not told", i);
        if (!w->intr[i] || below(w, 4) == 0)
            continue;
        w->signals = w->signals * 31 + lapic_ack(w->cpu[i]);
        if (below(w, 4) != 0)
            lapic_mmio_write(w->cpu[i], 0xb0, 4, 0);
    }
}

static void pass_time(struct world *w)
{
    const u64 end = w->clock.now + (random64(w) >> (24 + below(w, 40)));

    /* Step by step for a while, then in one jump. */
    for (u32 i = 0; i < 20 && w->clock.next_deadline <= end; i++)
        if (w->clock.next_deadline > w->clock.now)
            clock_run(&w->clock, w->clock.next_deadline);
    clock_run(&w->clock, end);
    if (w->clock.next_deadline <= w->clock.now)
        ck_abort_msg("a timer is late");
}

static void step(struct world *w)
{
    switch (below(w, 16)) {
    case 0:
    case 1: mmio_access(w); break;
    case 2: ioapic_access(w); break;
    case 3: msr_access(w); break;
    case 4: pci_access(w); break;
    case 5: outside_event(w); break;
    case 6:
    case 7: pass_time(w); break;
    case 8: acknowledge(w); break;
    default: port_access(w); break;
    }
    if (w->reset && below(w, 16) == 0)
        for (u32 i = 0; i < w->devices; i++)
            w->device[i].ops->reset(w->device[i].self);
    w->reset = false;
}

static void drop_caches(struct world *w)
{
    for (u32 i = 0; i < w->devices; i++)
        w->device[i].ops->post_load(w->device[i].self);
}

static u64 hash(const struct world *w)
{
    u64 h = w->signals ^ w->clock.now;

    for (u32 i = 0; i < w->devices; i++)
        for (u32 j = 0; j < w->device[i].state_size; j++)
            h = (h ^ ((const u8 *)w->device[i].state)[j]) * 0x100000001b3;
    return h;
}

static u64 run(u64 seed, u32 steps, u32 drop_every)
{
    static struct world w;
    u64 h;

    build(&w, seed);
    for (u32 i = 0; i < steps; i++) {
        step(&w);
        if (drop_every != 0 && i % drop_every == 0)
            drop_caches(&w);
    }
    h = hash(&w);
    tear_down(&w);
    return h;
}

START_TEST(random_accesses_do_no_harm_and_are_deterministic)
{
    ck_assert_uint_eq(run(1, STEPS, 0), run(1, STEPS, 0));
}
END_TEST

START_TEST(dropping_all_but_the_state_blocks_changes_nothing)
{
    for (u64 seed = 2; seed < 8; seed++)
        ck_assert_uint_eq(run(seed, STEPS / 8, 0), run(seed, STEPS / 8, 7));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        random_accesses_do_no_harm_and_are_deterministic,
        dropping_all_but_the_state_blocks_changes_nothing,
    };

    return rig_main("devices fuzz", tests, ARRAY_SIZE(tests));
}
