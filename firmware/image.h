/* SPDX-License-Identifier: MIT */
/*
 * Checked access to an image, and the placement of what a loader puts into memory: every part of
 * every file goes through these, so that no length from a file is ever trusted.
 */
#ifndef FIRMWARE_IMAGE_H
#define FIRMWARE_IMAGE_H

#include "firmware/boot.h"

/* Does the image hold bytes offset..offset+size-1? No sum overflows. */
static inline bool image_has(const struct image *image, u64 offset, u64 size)
{
    return offset <= image->size && size <= image->size - offset;
}

/* `bytes` (1..8) little-endian bytes; 0 where the image has none. */
u64 image_get(const struct image *image, u64 offset, u32 bytes);

/* "NAME: offset 0x…: rule". Returns false. */
PRINTF_LIKE(4, 5)
bool image_error(struct error *error, const struct image *image, u64 offset, const char *rule, ...);

/* Physical ranges that are in use while loading. */
enum { PLACE_MAX = 96 };

struct place {
    const struct boot_machine *machine;
    struct {
        u64 start, end;
    } taken[PLACE_MAX];
    u32 count;
};

/* Starts with the interrupt vectors and the BIOS data area taken. */
void place_init(struct place *place, const struct boot_machine *machine);
/* Take start..start+size-1. false: it is not all usable RAM, something else is there, or there are
 * too many parts. */
MUST_CHECK bool place_take(struct place *place, u64 start, u64 size);
/* Lowest free room of `size` bytes in usable RAM between from and to (exclusive), aligned to a
 * power of two; takes it. 0: none. */
u64 place_up(struct place *place, u64 size, u64 align, u64 from, u64 to);
/* The same, highest. */
u64 place_down(struct place *place, u64 size, u64 align, u64 from, u64 to);

/* Copy to RAM that place_* gave. */
void load_bytes(const struct boot_machine *machine, u64 at, const void *from, u64 size);
void load_zeros(const struct boot_machine *machine, u64 at, u64 size);
void load_value(const struct boot_machine *machine, u64 at, u64 value, u32 bytes);

/* Put a string with its final zero somewhere below 640 KiB; *at is set. false: too long. */
MUST_CHECK bool load_string(struct place *place, const char *text, u64 *at);

/* A flat 32-bit state at entry with a GDT placed below 640 KiB: selectors code and data. */
MUST_CHECK bool load_flat32(struct place *place, u16 code, u16 data, u64 entry,
                            struct boot_state *state);

/* All modules, page aligned, above the kernel. at[] gets their addresses. */
MUST_CHECK bool load_modules(struct place *place, const struct boot_input *input, u64 *at,
                             struct error *error);

#endif
