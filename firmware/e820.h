/* SPDX-License-Identifier: MIT */
/* The memory map that loaders hand to kernels (ACPI 6.4 chapter 15). */
#ifndef FIRMWARE_E820_H
#define FIRMWARE_E820_H

#include "base/types.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
    u64 base, size;
    u32 type; /* enum e820_type */
};

enum { E820_MAX = 16, E820_ENTRY_BYTES = 20 };

/* Sorted, without overlaps. */
struct e820 {
    struct e820_entry entry[E820_MAX];
    u32 count;
};

/* Addresses of the PC below 1 MiB and of its ROM. */
enum {
    PC_EBDA = 0x9fc00, /* end of conventional memory */
    PC_VGA = 0xa0000,
    PC_ROM = 0xe0000, /* 128 KiB: tables, then the BIOS stubs */
    PC_ROM_SIZE = 0x20000,
    PC_HIGH = 0x100000,
    PC_NVS_SIZE = 0x1000, /* at the end of RAM below 4 GiB: FACS */
};

/*
 * ram: bytes of RAM below 4 GiB, at least 2 MiB; above: bytes of RAM from 4 GiB on. The last
 * PC_NVS_SIZE bytes below 4 GiB are NVS.
 */
void e820_build(struct e820 *map, u64 ram, u64 above);
/* Write the entries as the 20 bytes of INT 15h E820; to has room for count * E820_ENTRY_BYTES. */
void e820_write(const struct e820 *map, u8 *to);

#endif
