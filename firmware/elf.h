/* SPDX-License-Identifier: MIT */
/* ELF32 and ELF64 executables for x86 (System V ABI chapters 4 and 5), read with every field
 * checked. */
#ifndef FIRMWARE_ELF_H
#define FIRMWARE_ELF_H

#include "firmware/image.h"

struct elf {
    const struct image *image;
    bool wide; /* ELF64 */
    u64 entry;
    u64 table; /* file offset of the program headers */
    u32 count;
};

enum { ELF_LOAD = 1, ELF_NOTE = 4 };

struct elf_segment {
    u64 header; /* its offset in the file, for messages */
    u32 type;
    u64 offset, virtual, physical, in_file, in_memory, align;
};

/* The first four bytes say so. */
bool elf_is(const struct image *image);
MUST_CHECK bool elf_open(struct elf *elf, const struct image *image, struct error *error);
/* Segment i < elf->count. Its file range is checked to lie in the image. */
MUST_CHECK bool elf_segment(const struct elf *elf, u32 i, struct elf_segment *out,
                            struct error *error);
/* Put all PT_LOAD segments at their physical addresses. *entry is e_entry as a physical address:
 * translated by the segment that holds it, if any does. */
MUST_CHECK bool elf_load(const struct elf *elf, struct place *place, u64 *entry,
                         struct error *error);

#endif
