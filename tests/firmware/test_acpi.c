/* SPDX-License-Identifier: MIT */
/* ACPI tables: checksums, pointers, AML lengths, and what iasl makes of the DSDT; the memory map;
 * the BIOS stubs. */
#include "firmware/acpi.h"
#include "firmware/aml.h"
#include "firmware/bios.h"
#include "firmware/mptable.h"
#include "tests/firmware/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct acpi_config config = {
    .cpus = 4,
    .ioapic_base = 0xfec00000,
    .lapic_base = 0xfee00000,
    .hpet_base = 0xfed00000,
    .pci_first = 0xe0000000,
    .pci_last = 0xfebfffff,
    .pm_base = 0x600,
    .gpe_base = 0xafe0,
    .smi_port = 0xb2,
    .acpi_enable = 0xf1,
    .acpi_disable = 0xf0,
    .sleep_s3 = 1,
    .sci_irq = 9,
    .timer32 = true,
    .pci_irq = {10, 10, 11, 11},
    .com = {true, true, false, false},
    .facs = LOW_RAM - PC_NVS_SIZE,
};

static u8 sum(u64 at, u64 size)
{
    u8 total = 0;

    for (u64 i = 0; i < size; i++)
        total = (u8)(total + peek(at + i, 1));
    return total;
}

/* The table with a signature, by the XSDT. */
static u64 find_table(u64 rsdp, const char *signature)
{
    const u64 xsdt = peek(rsdp + 24, 8);

    for (u64 at = xsdt + 36; at < xsdt + peek(xsdt + 4, 4); at += 8)
        if (strncmp(peek_text(peek(at, 8)), signature, 4) == 0)
            return peek(at, 8);
    return 0;
}

START_TEST(root_pointer_is_on_a_paragraph_with_both_checksums)
{
    const u64 rsdp = acpi_install(memory, &config);

    ck_assert_uint_eq(rsdp % 16, 0);
    ck_assert_int_eq(strncmp(peek_text(rsdp), "RSD PTR ", 8), 0);
    ck_assert_uint_eq(sum(rsdp, 20), 0);
    ck_assert_uint_eq(sum(rsdp, 36), 0);
}
END_TEST

START_TEST(every_table_sums_to_zero)
{
    const u64 rsdp = acpi_install(memory, &config);
    const u64 rsdt = peek(rsdp + 16, 4), xsdt = peek(rsdp + 24, 8);
    const u64 tables[] = {rsdt,
                          xsdt,
                          find_table(rsdp, "FACP"),
                          find_table(rsdp, "APIC"),
                          find_table(rsdp, "HPET"),
                          peek(find_table(rsdp, "FACP") + 40, 4)};

    for (u32 i = 0; i < ARRAY_SIZE(tables); i++) {
        ck_assert_uint_ne(tables[i], 0);
        ck_assert_uint_eq(sum(tables[i], peek(tables[i] + 4, 4)), 0);
    }
    for (u64 i = 0; i < 3; i++)
        ck_assert_uint_eq(peek(rsdt + 36 + 4 * i, 4), peek(xsdt + 36 + 8 * i, 8));
}
END_TEST

START_TEST(fixed_table_names_the_power_management_ports)
{
    const u64 fadt = find_table(acpi_install(memory, &config), "FACP");

    ck_assert_uint_eq(peek(fadt + 56, 4), 0x600);
    ck_assert_uint_eq(peek(fadt + 64, 4), 0x604);
    ck_assert_uint_eq(peek(fadt + 76, 4), 0x608);
    ck_assert_uint_eq(peek(fadt + 36, 4), config.facs);
    ck_assert_int_eq(strncmp(peek_text(config.facs), "FACS", 4), 0);
}
END_TEST

START_TEST(interrupt_table_has_each_cpu_and_the_timer_override)
{
    const u64 madt = find_table(acpi_install(memory, &config), "APIC");
    u32 cpus = 0, overrides = 0;

    for (u64 at = madt + 44; at < madt + peek(madt + 4, 4); at += peek(at + 1, 1)) {
        cpus += peek(at, 1) == 0;
        overrides += peek(at, 1) == 2;
        if (peek(at, 1) == 2 && peek(at + 3, 1) == 0)
            ck_assert_uint_eq(peek(at + 4, 4), 2);
    }
    ck_assert_uint_eq(cpus, 4);
    ck_assert_uint_eq(overrides, 5);
}
END_TEST

START_TEST(package_length_grows_with_its_content)
{
    static const u32 sizes[] = {1, 62, 63, 4000};
    static const u32 widths[] = {1, 1, 2, 2};

    for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct aml aml = {.size = 0};
        u32 start = aml_open(&aml, AML_BUFFER), length;

        for (u32 n = 0; n < sizes[i]; n++)
            aml_raw(&aml, 0, 1);
        aml_close(&aml, start);
        ck_assert_uint_eq(aml.size, 1 + widths[i] + sizes[i]);
        length = widths[i] == 1 ? aml.bytes[1] : (aml.bytes[1] & 0xf) | (u32)aml.bytes[2] << 4;
        ck_assert_uint_eq(length, widths[i] + sizes[i]);
        ck_assert_uint_eq(aml.bytes[1] >> 6, widths[i] - 1);
    }
}
END_TEST

/* iasl disassembles the table, and compiles its own output without an error. */
START_TEST(dsdt_is_good_aml_to_iasl)
{
    const u64 dsdt = peek(find_table(acpi_install(memory, &config), "FACP") + 40, 4);
    const u64 size = peek(dsdt + 4, 4);
    char folder[] = "/tmp/nestbox-acpi-XXXXXX", path[64], command[256];
    static u8 table[65536];
    FILE *file;

    if (system("command -v iasl >/dev/null 2>&1") != 0)
        return;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/dsdt.aml", folder);
    memory_read(memory, (hpa_t){dsdt}, table, size);
    file = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(table, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    (void)snprintf(command, sizeof(command),
                   "cd %s && iasl -d dsdt.aml >/dev/null 2>&1 && iasl dsdt.dsl >log 2>&1 && "
                   "grep -q ' 0 Errors' log && grep -q COM1 dsdt.dsl",
                   folder);
    ck_assert_int_eq(system(command), 0);
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(resume_starts_at_the_waking_vector)
{
    struct boot_state state;

    acpi_install(memory, &config);
    ck_assert(!acpi_resume(memory, config.facs, &state));
    load_value(&machine, config.facs + 12, 0x9a123, 4);
    ck_assert(acpi_resume(memory, config.facs, &state));
    ck_assert_uint_eq(state.bits, 16);
    ck_assert_uint_eq((u64)state.cs * 16 + state.rip, 0x9a123);
}
END_TEST

START_TEST(memory_map_is_sorted_and_splits_ram_at_four_gib)
{
    struct e820 big;
    u64 last = 0, ram = 0;

    e820_build(&big, 0xc0000000, BIT(30));
    for (u32 i = 0; i < big.count; i++) {
        ck_assert_uint_ge(big.entry[i].base, last);
        last = big.entry[i].base + big.entry[i].size;
        if (big.entry[i].type == E820_RAM)
            ram += big.entry[i].size;
    }
    ck_assert_uint_eq(last, BIT(32) + BIT(30));
    ck_assert_uint_eq(ram, BIT(32) - PC_HIGH - PC_NVS_SIZE + PC_EBDA);
}
END_TEST

START_TEST(bios_has_reset_vector_and_interrupt_stubs)
{
    bios_install(memory);
    ck_assert_uint_eq(peek(0xffff0, 5), 0xf000e05bea);
    ck_assert_uint_eq(peek(0x413, 2), 639);
    ck_assert_uint_eq(peek(4 * 0x80, 4), 0xf000ff53);
    ck_assert_uint_eq(peek(0xfff53, 1), 0xcf);
    ck_assert_uint_eq(peek((peek(4 * 0x10 + 2, 2) << 4) + peek(4 * 0x10, 2), 3), 0x0efc80);
}
END_TEST

START_TEST(mp_table_has_each_cpu_and_sums_to_zero)
{
    const struct mptable_config mp = {.cpus = 8,
                                      .ioapic_base = 0xfec00000,
                                      .lapic_base = 0xfee00000,
                                      .pci_irq = {10, 10, 11, 11}};
    u32 cpus = 0, entries = 0;
    u64 table, at;

    mptable_install(memory, &mp);
    ck_assert_int_eq(strncmp(peek_text(0xf0040), "_MP_", 4), 0);
    ck_assert_uint_eq(sum(0xf0040, 16), 0);
    table = peek(0xf0044, 4);
    ck_assert_uint_eq(sum(table, peek(table + 4, 2)), 0);
    for (at = table + 44; at < table + peek(table + 4, 2); entries++) {
        cpus += peek(at, 1) == 0;
        at += peek(at, 1) == 0 ? 20 : 8;
    }
    ck_assert_uint_eq(cpus, 8);
    ck_assert_uint_eq(entries, peek(table + 34, 2));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware/acpi");
    TCase *tc = tcase_create("acpi");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, root_pointer_is_on_a_paragraph_with_both_checksums);
    tcase_add_test(tc, every_table_sums_to_zero);
    tcase_add_test(tc, fixed_table_names_the_power_management_ports);
    tcase_add_test(tc, interrupt_table_has_each_cpu_and_the_timer_override);
    tcase_add_test(tc, package_length_grows_with_its_content);
    tcase_add_test(tc, dsdt_is_good_aml_to_iasl);
    tcase_add_test(tc, resume_starts_at_the_waking_vector);
    tcase_add_test(tc, memory_map_is_sorted_and_splits_ram_at_four_gib);
    tcase_add_test(tc, bios_has_reset_vector_and_interrupt_stubs);
    tcase_add_test(tc, mp_table_has_each_cpu_and_sums_to_zero);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
