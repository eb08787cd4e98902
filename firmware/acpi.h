/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.4 chapter 5): RSDP, RSDT, XSDT, FADT revision 3, FACS, DSDT, MADT, HPET. All
 * but the FACS lie in the ROM at E0000; the FACS lies in NVS memory because the guest writes its
 * waking vector there. The machine passes its addresses; nothing about devices is known here.
 */
#ifndef FIRMWARE_ACPI_H
#define FIRMWARE_ACPI_H

#include "firmware/boot.h"

struct acpi_config {
    u32 cpus; /* APIC IDs 0..cpus-1 */
    u32 ioapic_id;
    u32 ioapic_base, lapic_base, hpet_base; /* hpet_base 0: no HPET */
    u32 pci_first, pci_last; /* MMIO window of the PCI host bridge */
    u16 pm_base, gpe_base; /* PM1a event, control at +4, timer at +8; GPE0 has 4 bytes */
    u16 smi_port;
    u8 acpi_enable, acpi_disable;
    u8 sleep_s3, sleep_s5; /* SLP_TYP values */
    u8 sci_irq;
    bool timer32; /* the PM timer has 32 bits */
    u8 pci_irq[4]; /* ISA interrupt of PIRQA..PIRQD */
    bool com[4]; /* COM1..COM4 are there */
    u64 facs; /* physical address, below 4 GiB, 64-byte aligned, RAM */
};

/* Write all tables; returns the address of the RSDP. */
u64 acpi_install(struct memory *memory, const struct acpi_config *config);

/* Where the guest wants to go on after S3: real mode at the FACS waking vector. false: none set. */
MUST_CHECK bool acpi_resume(struct memory *memory, u64 facs, struct boot_state *state);

#endif
