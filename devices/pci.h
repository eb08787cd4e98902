/* SPDX-License-Identifier: MIT */
/*
 * PCI bus 0 with configuration mechanism #1 (CF8/CFC, PCI 2.1 3.7.4.1): 440FX host bridge, PIIX3
 * ISA bridge with interrupt routing (60h-63h) and reset register CF9, PIIX4 power management
 * function, and optionally QEMU's pci-testdev. Base addresses are assigned at reset as firmware
 * would. Left out: PAM/SMRAM effects of the host bridge (registers are kept, nothing moves), IDE,
 * USB.
 *
 * MMIO: the board maps one window (PCI_MMIO_BASE, PCI_MMIO_SIZE) with pci_mmio_read/write; BARs
 * that the guest moves inside it answer there, nothing else does.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "devices/acpi_pm.h"
#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irq.h"

#define PCI_MMIO_BASE ((u64)0xe0000000)
#define PCI_MMIO_SIZE ((u64)0x1ec00000) /* up to FEC00000 */

enum { PCI_FUNCTIONS = 4, PCI_PIRQS = 4 };

struct pci_function_state {
    u8 config[256];
};

struct pci_testdev_state {
    u32 count[2]; /* of the chosen test, memory and I/O */
    u8 test[2];
    u8 reserved[2];
};

struct pci_state {
    struct pci_function_state function[PCI_FUNCTIONS]; /* host, ISA, PM, testdev */
    u32 address; /* CF8 */
    u32 levels[PCI_PIRQS]; /* bit per slot: INTx asserted */
    struct pci_testdev_state testdev;
    u8 reset_control; /* CF9 */
    u8 reserved[3];
};

struct pci;

struct pci_config {
    struct bus *bus;
    struct machine_port machine;
    struct acpi_pm *pm; /* NULL: no power management function */
    const struct irq_line *isa; /* 16 ISA lines for PIRQs, copied; NULL: none */
    u32 testdev_slot; /* 2..31, 0: no pci-testdev */
};

struct pci *pci_create(const struct pci_config *config, struct error *error);
struct device pci_device(struct pci *pci);
/* INTA#..INTD# (pin 0..3) of slot 0..31, level. */
struct irq_line pci_intx_line(struct pci *pci, u32 slot, u32 pin);
/* The MMIO window; offset from PCI_MMIO_BASE. */
u64 pci_mmio_read(void *ctx, u64 offset, u32 size);
void pci_mmio_write(void *ctx, u64 offset, u32 size, u64 value);

#endif
