/* SPDX-License-Identifier: MIT */
#include "devices/pci.h"
#include "tests/devices/rig.h"

enum { HOST = 0x00, ISA = 0x08, PM = 0x0b, TEST = 0x18 }; /* device << 3 | function */
enum { SCI = 31 };

static struct rig rig;
static struct pci *pci;
static struct acpi_pm *pm;

static void plug(void)
{
    struct irq_line isa[16];
    struct pci_config config = {.isa = isa, .testdev_slot = 3};

    rig_init(&rig);
    for (u32 i = 0; i < 16; i++)
        isa[i] = rig_line(&rig, i);
    pm = acpi_pm_create(&rig.clock, rig.bus, rig_line(&rig, SCI), rig_machine(&rig), false,
                        &rig.error);
    config.bus = rig.bus;
    config.machine = rig_machine(&rig);
    config.pm = pm;
    pci = pci_create(&config, &rig.error);
    ck_assert_ptr_nonnull(pci);
}

static void aim(u32 devfn, u32 reg)
{
    bus_write(rig.bus, 0xcf8, 4, 0x80000000 | devfn << 8 | (reg & 0xfc));
}

static u32 get(u32 devfn, u32 reg, u32 size)
{
    aim(devfn, reg);
    return bus_read(rig.bus, (u16)(0xcfc + (reg & 3)), size);
}

static void set(u32 devfn, u32 reg, u32 size, u32 value)
{
    aim(devfn, reg);
    bus_write(rig.bus, (u16)(0xcfc + (reg & 3)), size, value);
}

START_TEST(mechanism_1_is_found_as_kernels_probe_for_it)
{
    plug();
    out8(&rig, 0xcfb, 0x01);
    bus_write(rig.bus, 0xcf8, 4, 0x80000000);
    ck_assert_uint_eq(bus_read(rig.bus, 0xcf8, 4), 0x80000000);
    ck_assert_uint_eq(get(HOST, 0x0a, 2), 0x0600);
}
END_TEST

START_TEST(the_functions_are_there_and_no_others)
{
    u32 found = 0;

    plug();
    ck_assert_uint_eq(get(HOST, 0, 4), 0x12378086);
    ck_assert_uint_eq(get(ISA, 0, 4), 0x70008086);
    ck_assert_uint_eq(get(ISA, 0x0e, 1), 0x80);
    ck_assert_uint_eq(get(PM, 0, 4), 0x71138086);
    ck_assert_uint_eq(get(TEST, 0, 4), 0x00051b36);
    for (u32 devfn = 0; devfn < 0x10000; devfn++)
        found += get(devfn, 0, 2) != 0xffff;
    ck_assert_uint_eq(found, 4);
    bus_write(rig.bus, 0xcf8, 4, 0);
    ck_assert_uint_eq(bus_read(rig.bus, 0xcfc, 4), 0xffffffff);
}
END_TEST

START_TEST(the_low_bits_of_the_address_register_choose_a_byte_too)
{
    plug();
    bus_write(rig.bus, 0xcf8, 4, 0x80000002);
    ck_assert_uint_eq(bus_read(rig.bus, 0xcfc, 2), 0x1237);
    bus_write(rig.bus, 0xcf8, 4, 0x800000ff);
    ck_assert_uint_eq(bus_read(rig.bus, 0xcfc, 4), 0xffffffff);
    bus_write(rig.bus, 0xcfc, 4, 0);
}
END_TEST

START_TEST(read_only_bits_stay)
{
    plug();
    set(HOST, 0, 4, 0);
    ck_assert_uint_eq(get(HOST, 0, 4), 0x12378086);
    set(HOST, 0x59, 1, 0x30);
    ck_assert_uint_eq(get(HOST, 0x58, 4), 0x33333000);
}
END_TEST

START_TEST(bars_tell_their_size)
{
    plug();
    set(TEST, 0x10, 4, 0xffffffff);
    ck_assert_uint_eq(get(TEST, 0x10, 4), 0xfffff000);
    set(TEST, 0x14, 4, 0xffffffff);
    ck_assert_uint_eq(get(TEST, 0x14, 4), 0xffffff01);
    set(TEST, 0x18, 4, 0xffffffff);
    ck_assert_uint_eq(get(TEST, 0x18, 4), 0);
}
END_TEST

START_TEST(the_io_bar_moves_its_ports)
{
    plug();
    ck_assert_uint_eq(in8(&rig, 0xc001), 1);
    set(TEST, 0x14, 4, 0xd000);
    ck_assert_uint_eq(in8(&rig, 0xc001), 0xff);
    ck_assert_uint_eq(in8(&rig, 0xd001), 1);
    set(TEST, 0x04, 2, 0);
    ck_assert_uint_eq(in8(&rig, 0xd001), 0xff);
    set(TEST, 0x04, 2, 1);
    set(TEST, 0x14, 4, 0x600); /* over the ACPI block, which stays */
    ck_assert_uint_eq(bus_read(rig.bus, 0x604, 2), 1);
    set(PM, 0x40, 2, 0xb000);
    ck_assert_uint_eq(in8(&rig, 0x601), 1);
}
END_TEST

START_TEST(the_memory_bar_answers_where_it_is)
{
    const u64 at = 0xfebf0000 - PCI_MMIO_BASE;

    plug();
    ck_assert_uint_eq(pci_mmio_read(pci, at + 1, 1), 1);
    ck_assert_uint_eq(pci_mmio_read(pci, at + 0x1000, 4), 0xffffffff);
    set(TEST, 0x10, 4, 0xe0001000);
    ck_assert_uint_eq(pci_mmio_read(pci, at + 1, 1), 0xff);
    ck_assert_uint_eq(pci_mmio_read(pci, 0x1001, 1), 1);
    set(TEST, 0x04, 2, 1);
    ck_assert_uint_eq(pci_mmio_read(pci, 0x1001, 1), 0xff);
}
END_TEST

/* kvm-unit-tests, pci-testdev: sixteen writes are counted, per test. */
START_TEST(pci_testdev_counts_the_writes_of_its_tests)
{
    u32 tests = 0;

    plug();
    for (;;) {
        u32 offset, data;

        out8(&rig, 0xc000, (u8)tests);
        if (in8(&rig, 0xc001) == 0)
            break;
        ck_assert_uint_eq(bus_read(rig.bus, 0xc00c, 4), 0);
        offset = bus_read(rig.bus, 0xc004, 4);
        data = bus_read(rig.bus, 0xc008, 4);
        for (u32 i = 0; i < 16; i++)
            out8(&rig, (u16)(0xc000 + offset), (u8)data);
        ck_assert_uint_eq(bus_read(rig.bus, 0xc00c, 4), 16);
        ck_assert_uint_ne(in8(&rig, 0xc010), 0);
        tests++;
    }
    ck_assert_uint_eq(tests, 2);
}
END_TEST

START_TEST(cf9_resets_on_its_trigger_bit)
{
    plug();
    out8(&rig, 0xcf9, 0x02);
    ck_assert_uint_eq(rig.requests[MACHINE_RESET], 0);
    ck_assert_uint_eq(in8(&rig, 0xcf9), 0x02);
    out8(&rig, 0xcf9, 0x06);
    ck_assert_uint_eq(rig.requests[MACHINE_RESET], 1);
}
END_TEST

START_TEST(intx_goes_to_the_routed_irq)
{
    struct irq_line a3, b4;

    plug();
    a3 = pci_intx_line(pci, 3, 0); /* PIRQC */
    b4 = pci_intx_line(pci, 1, 2); /* PIRQC too */
    irq_set(&a3, true);
    ck_assert(rig.level[11]);
    set(ISA, 0x62, 1, 0x05);
    ck_assert(!rig.level[11] && rig.level[5]);
    irq_set(&b4, true);
    irq_set(&a3, false);
    ck_assert(rig.level[5]);
    set(ISA, 0x62, 1, 0x80);
    ck_assert(!rig.level[5]);
}
END_TEST

START_TEST(the_pm_function_moves_the_acpi_block)
{
    plug();
    ck_assert_uint_eq(get(PM, 0x40, 4), 0x601);
    set(PM, 0x40, 4, 0xb001);
    ck_assert_uint_eq(bus_read(rig.bus, 0xb004, 2), 1);
    set(PM, 0x80, 1, 0);
    ck_assert_uint_eq(bus_read(rig.bus, 0xb004, 2), 0xffff);
    out8(&rig, 0xb2, 1);
    ck_assert_uint_eq(rig.requests[MACHINE_SMI], 0);
    set(PM, 0x5b, 1, 0x02);
    out8(&rig, 0xb2, 1);
    ck_assert_uint_eq(rig.requests[MACHINE_SMI], 1);
}
END_TEST

START_TEST(reset_and_restore_bring_the_maps_back)
{
    struct device device;
    static struct pci_state saved;

    plug();
    device = pci_device(pci);
    set(TEST, 0x14, 4, 0xd000);
    set(PM, 0x40, 4, 0xc000);
    memcpy(&saved, device.state, sizeof(saved));
    device.ops->reset(pci);
    ck_assert_uint_eq(in8(&rig, 0xc001), 1);
    ck_assert_uint_eq(bus_read(rig.bus, 0x604, 2), 1);
    memcpy(device.state, &saved, sizeof(saved));
    device.ops->post_load(pci);
    ck_assert_uint_eq(in8(&rig, 0xd001), 1);
    ck_assert_uint_eq(bus_read(rig.bus, 0xc004, 2), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        mechanism_1_is_found_as_kernels_probe_for_it,
        the_functions_are_there_and_no_others,
        the_low_bits_of_the_address_register_choose_a_byte_too,
        read_only_bits_stay,
        bars_tell_their_size,
        the_io_bar_moves_its_ports,
        the_memory_bar_answers_where_it_is,
        pci_testdev_counts_the_writes_of_its_tests,
        cf9_resets_on_its_trigger_bit,
        intx_goes_to_the_routed_irq,
        the_pm_function_moves_the_acpi_block,
        reset_and_restore_bring_the_maps_back,
    };

    return rig_main("pci", tests, ARRAY_SIZE(tests));
}
