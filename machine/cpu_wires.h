/* SPDX-License-Identifier: MIT */
/* One CPU of the board with its local APIC, and the wires between the two. */
#ifndef MACHINE_CPU_WIRES_H
#define MACHINE_CPU_WIRES_H

#include "machine/board.h"

/* Create cpu->v and cpu->lapic; board and index are set, memory, code, bus and lapic_bus exist. */
MUST_CHECK bool board_cpu_create(struct board_cpu *cpu, struct error *error);
/* RESET#: the first CPU will start, the others wait for a start-up IPI. Not the APIC. */
void board_cpu_reset(struct board_cpu *cpu);
/* Items that tell the guest about the machine: fw_cfg and CMOS. */
void board_fill_fw_cfg(struct board *board);

#endif
