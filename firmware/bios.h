/* SPDX-License-Identifier: MIT */
/*
 * The last 64 KiB below 1 MiB: real-mode stubs for images that call the BIOS, and what a BIOS
 * leaves in low memory. Built: INT 10h AH=0Eh (teletype to COM1 and port E9), INT 12h, the tick of
 * INT 8, end-of-interrupt for the other hardware vectors. Everything else returns at once, INT 13h
 * and 15h with carry set. There is no disk, no keyboard and no set-up behind it.
 */
#ifndef FIRMWARE_BIOS_H
#define FIRMWARE_BIOS_H

#include "firmware/boot.h"

/* Write the stubs to F0000-FFFFF, the interrupt vectors and the BIOS data area. */
void bios_install(struct memory *memory);

#endif
