/* SPDX-License-Identifier: MIT */
/* Tables of the MultiProcessor Specification 1.4, for kernels that do not read ACPI. */
#ifndef FIRMWARE_MPTABLE_H
#define FIRMWARE_MPTABLE_H

#include "firmware/boot.h"

struct mptable_config {
    u32 cpus; /* APIC IDs 0..cpus-1 */
    u32 ioapic_id;
    u32 ioapic_base, lapic_base;
    u32 cpu_signature, cpu_features; /* CPUID.1: EAX, EDX */
    u8 pci_irq[4]; /* ISA interrupt of PIRQA..PIRQD */
};

/* Write the floating pointer and the configuration table into the ROM at F0040. */
void mptable_install(struct memory *memory, const struct mptable_config *config);

#endif
