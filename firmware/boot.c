/* SPDX-License-Identifier: MIT */
/* Choice of the loader by what the image is. */
#include "firmware/boot.h"

#include "firmware/image.h"

enum boot_kind boot_kind(const struct image *kernel)
{
    if (linux_has_header(kernel))
        return BOOT_LINUX;
    if (multiboot2_has_header(kernel) && !multiboot_has_header(kernel))
        return BOOT_MULTIBOOT2;
    if (multiboot_has_header(kernel))
        return BOOT_MULTIBOOT1;
    if (pvh_has_note(kernel))
        return BOOT_PVH;
    if (image_get(kernel, 510, 2) == 0xaa55)
        return BOOT_SECTOR;
    return BOOT_UNKNOWN;
}

bool boot_load(const struct boot_machine *machine, const struct boot_input *input,
               struct boot_state *state, struct error *error)
{
    switch (boot_kind(&input->kernel)) {
    case BOOT_LINUX: return boot_linux(machine, input, state, error);
    case BOOT_MULTIBOOT1: return boot_multiboot(machine, input, state, error);
    case BOOT_MULTIBOOT2: return boot_multiboot2(machine, input, state, error);
    case BOOT_PVH: return boot_pvh(machine, input, state, error);
    case BOOT_SECTOR: return boot_sector(machine, input, state, error);
    case BOOT_UNKNOWN: break;
    }
    return image_error(
        error, &input->kernel, 0,
        "error loading: neither a bzImage, a multiboot 1 or 2 image, a PVH ELF nor a "
        "boot sector");
}
