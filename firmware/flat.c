/* SPDX-License-Identifier: MIT */
/*
 * A boot sector with whatever follows it, as from a disk of which the BIOS had read everything: it
 * lies at 7C00h and starts there in real mode, DL = 80h. Left out: INT 13h, so it must bring all.
 */
#include "firmware/image.h"

static const u64 load_address = 0x7c00;

bool boot_sector(const struct boot_machine *machine, const struct boot_input *input,
                 struct boot_state *state, struct error *error)
{
    const struct image *image = &input->kernel;
    struct place place;

    if (image->size < 512)
        return image_error(error, image, image->size, "a boot sector has 512 bytes");
    if (image_get(image, 510, 2) != 0xaa55)
        return image_error(error, image, 510, "no boot signature AA55");
    if (input->module_count > 0)
        return error_set(error, "%s: a boot sector takes no -initrd", image->name);
    place_init(&place, machine);
    if (!place_take(&place, load_address, image->size))
        return image_error(error, image, PC_EBDA - load_address,
                           "the image ends behind conventional memory");
    load_bytes(machine, load_address, image->bytes, image->size);
    *state = (struct boot_state){
        .bits = 16,
        .rip = load_address,
        .rsp = load_address,
        .rdx = 0x80,
        .rflags = 0x202,
    };
    return true;
}
