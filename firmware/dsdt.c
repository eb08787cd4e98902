/* SPDX-License-Identifier: MIT */
/*
 * The DSDT as AML. No methods: everything is constant. PCI interrupts are routed to the ISA lines
 * that the firmware programs into the PIIX3, so the routing table names interrupts, not links.
 */
#include "firmware/dsdt.h"

/* Name(\_Sx, Package(4){type, type, 0, 0}): ACPI 6.4 7.4.2. */
static void sleep_state(struct aml *aml, const char *name, u8 type)
{
    u32 start;

    aml_name(aml, name);
    start = aml_open(aml, AML_PACKAGE);
    aml_raw(aml, 4, 1);
    aml_integer(aml, type);
    aml_integer(aml, type);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_close(aml, start);
}

static u32 device_open(struct aml *aml, const char *name, const char *id)
{
    const u32 start = aml_open(aml, AML_DEVICE);

    aml_segment(aml, name);
    if (id != NULL)
        aml_name_eisa(aml, "_HID", id);
    return start;
}

/* An ISA device with up to three port ranges and an interrupt. */
struct isa_device {
    const char *name, *id;
    struct {
        u16 port;
        u8 length;
    } io[3];
    u16 irqs; /* bit per interrupt */
    u8 com; /* 1..4: only if that serial port is there */
};

/* clang-format off */
static const struct isa_device isa_devices[] = {
    { "PIC",  "PNP0000", { { 0x20, 2 }, { 0xa0, 2 }, { 0x4d0, 2 } }, 1 << 2, 0 },
    { "TIMR", "PNP0100", { { 0x40, 4 } }, 1 << 0, 0 },
    { "SPKR", "PNP0800", { { 0x61, 1 } }, 0, 0 },
    { "RTC",  "PNP0B00", { { 0x70, 8 } }, 1 << 8, 0 },
    { "FPU",  "PNP0C04", { { 0xf0, 1 } }, 1 << 13, 0 },
    { "KBD",  "PNP0303", { { 0x60, 1 }, { 0x64, 1 } }, 1 << 1, 0 },
    { "MOU",  "PNP0F13", { { 0, 0 } }, 1 << 12, 0 },
    { "COM1", "PNP0501", { { 0x3f8, 8 } }, 1 << 4, 1 },
    { "COM2", "PNP0501", { { 0x2f8, 8 } }, 1 << 3, 2 },
    { "COM3", "PNP0501", { { 0x3e8, 8 } }, 1 << 4, 3 },
    { "COM4", "PNP0501", { { 0x2e8, 8 } }, 1 << 3, 4 },
};
/* clang-format on */

static void isa_device(struct aml *aml, const struct isa_device *d)
{
    const u32 start = device_open(aml, d->name, d->id);
    struct aml_resources r = {.size = 0};

    if (d->com != 0)
        aml_name_integer(aml, "_UID", d->com);
    for (u32 i = 0; i < ARRAY_SIZE(d->io); i++)
        if (d->io[i].length != 0)
            aml_io(&r, d->io[i].port, d->io[i].length);
    if (d->irqs != 0)
        aml_irqs(&r, d->irqs);
    aml_resources(aml, &r);
    aml_close(aml, start);
}

/* Ports that no driver owns, so that nothing else is put there. */
static void motherboard(struct aml *aml, const struct acpi_config *config)
{
    const u32 start = device_open(aml, "MBRD", "PNP0C02");
    struct aml_resources r = {.size = 0};

    aml_io(&r, 0x80, 16);
    aml_io(&r, 0x92, 1);
    aml_io(&r, config->smi_port, 2);
    aml_io(&r, config->pm_base, 64);
    aml_io(&r, config->gpe_base, 4);
    aml_resources(aml, &r);
    aml_close(aml, start);
}

static void hpet(struct aml *aml, const struct acpi_config *config)
{
    const u32 start = device_open(aml, "HPET", "PNP0103");
    struct aml_resources r = {.size = 0};

    aml_memory(&r, config->hpet_base, 0x400);
    aml_resources(aml, &r);
    aml_close(aml, start);
}

/* 6.2.13 _PRT: device, pin, 0, global interrupt. The 440FX board rotates pins by slot. */
static void routing(struct aml *aml, const struct acpi_config *config)
{
    u32 list;

    aml_name(aml, "_PRT");
    list = aml_open(aml, AML_PACKAGE);
    aml_raw(aml, 31 * 4, 1);
    for (u32 slot = 1; slot < 32; slot++) {
        for (u32 pin = 0; pin < 4; pin++) {
            const u32 entry = aml_open(aml, AML_PACKAGE);

            aml_raw(aml, 4, 1);
            aml_integer(aml, slot << 16 | 0xffff);
            aml_integer(aml, pin);
            aml_integer(aml, 0);
            aml_integer(aml, config->pci_irq[(slot - 1 + pin) & 3]);
            aml_close(aml, entry);
        }
    }
    aml_close(aml, list);
}

static void host_bridge(struct aml *aml, const struct acpi_config *config)
{
    const u32 start = device_open(aml, "PCI0", "PNP0A03");
    struct aml_resources r = {.size = 0};
    u32 bridge;

    aml_name_integer(aml, "_ADR", 0);
    aml_name_integer(aml, "_UID", 0);
    aml_bus_range(&r, 0, 0xff);
    aml_io(&r, 0xcf8, 8);
    aml_io_range(&r, 0, 0xcf7);
    aml_io_range(&r, 0xd00, 0xffff);
    aml_memory_range(&r, PC_VGA, 0xbffff);
    aml_memory_range(&r, config->pci_first, config->pci_last);
    aml_resources(aml, &r);
    routing(aml, config);

    bridge = device_open(aml, "ISA", NULL);
    aml_name_integer(aml, "_ADR", 0x10000); /* slot 1, function 0 */
    for (u32 i = 0; i < ARRAY_SIZE(isa_devices); i++) {
        const struct isa_device *d = &isa_devices[i];

        if (d->com == 0 || config->com[d->com - 1])
            isa_device(aml, d);
    }
    motherboard(aml, config);
    aml_close(aml, bridge);
    aml_close(aml, start);
}

void dsdt_build(struct aml *aml, const struct acpi_config *config)
{
    u32 scope;

    sleep_state(aml, "_S3", config->sleep_s3);
    sleep_state(aml, "_S5", config->sleep_s5);
    scope = aml_open(aml, AML_SCOPE);
    aml_bytes(aml, "\\", 1);
    aml_segment(aml, "_SB");
    host_bridge(aml, config);
    if (config->hpet_base != 0)
        hpet(aml, config);
    aml_close(aml, scope);
}
