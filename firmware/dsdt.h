/* SPDX-License-Identifier: MIT */
/* The DSDT: sleep states, the PCI host bridge with its interrupt routing, and the ISA devices. */
#ifndef FIRMWARE_DSDT_H
#define FIRMWARE_DSDT_H

#include "firmware/acpi.h"
#include "firmware/aml.h"

/* Append the definition block's body. */
void dsdt_build(struct aml *aml, const struct acpi_config *config);

#endif
