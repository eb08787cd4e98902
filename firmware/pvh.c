/* SPDX-License-Identifier: MIT */
/* The x86/HVM direct boot ABI ("PVH", Xen docs/misc/pvh and arch-x86/hvm/start_info.h, version 1).
 */
#include "base/bits.h"
#include "firmware/elf.h"
#include "firmware/image.h"

#include <string.h>

enum {
    NOTE_PHYS32_ENTRY = 18, /* XEN_ELFNOTE_PHYS32_ENTRY */
    START_MAGIC = 0x336ec578,
    START_SIZE = 56,
    MODULE_BYTES = 32,
    MEMORY_BYTES = 24,
};

/* Look for the note in one PT_NOTE segment. Returns whether it is there. */
static bool note_find(const struct elf *elf, const struct elf_segment *s, u64 *entry)
{
    const struct image *image = elf->image;
    const u64 align = s->align == 8 ? 8 : 4;
    const u64 end = s->offset + s->in_file;

    for (u64 at = s->offset; at + 12 <= end;) {
        const u64 name_size = image_get(image, at, 4);
        const u64 data_size = image_get(image, at + 4, 4);
        const u64 name = at + 12;
        const u64 data = s->offset + align_up(name + name_size - s->offset, align);

        if (data + data_size > end)
            return false;
        if (image_get(image, at + 8, 4) == NOTE_PHYS32_ENTRY && name_size == 4 &&
            memcmp(image->bytes + name, "Xen", 4) == 0 && (data_size == 4 || data_size == 8)) {
            *entry = image_get(image, data, (u32)data_size);
            return true;
        }
        at = s->offset + align_up(data + data_size - s->offset, align);
    }
    return false;
}

/* *found: the note is there. false: the ELF file is malformed. */
static bool find_entry(const struct elf *elf, u64 *entry, bool *found, struct error *error)
{
    *found = false;
    for (u32 i = 0; i < elf->count && !*found; i++) {
        struct elf_segment s;

        if (!elf_segment(elf, i, &s, error))
            return false;
        *found = s.type == ELF_NOTE && note_find(elf, &s, entry);
    }
    return true;
}

bool pvh_has_note(const struct image *kernel)
{
    struct error error;
    struct elf elf;
    u64 entry;
    bool found;

    if (!elf_is(kernel))
        return false;
    /* A broken ELF file is ours too: the loader then says what is wrong with it. */
    return !elf_open(&elf, kernel, &error) || !find_entry(&elf, &entry, &found, &error) || found;
}

/* start_info, the module list and the memory map, one behind the other. */
static bool write_start(struct place *place, const struct boot_input *input, const u64 *module,
                        u64 start)
{
    const struct boot_machine *machine = place->machine;
    const u64 list = start + START_SIZE;
    const u64 memory = list + (u64)MODULE_BYTES * input->module_count;
    u64 text;

    if (!load_string(place, input->command_line, &text))
        return false;
    load_value(machine, start, START_MAGIC, 4);
    load_value(machine, start + 4, 1, 4); /* version */
    load_value(machine, start + 12, input->module_count, 4);
    load_value(machine, start + 16, input->module_count > 0 ? list : 0, 8);
    load_value(machine, start + 24, text, 8);
    load_value(machine, start + 32, machine->rsdp, 8);
    load_value(machine, start + 40, memory, 8);
    load_value(machine, start + 48, machine->map->count, 4);
    for (u32 i = 0; i < input->module_count; i++) {
        const struct boot_module *m = &input->modules[i];

        if (!load_string(place, m->command_line, &text))
            return false;
        load_value(machine, list + MODULE_BYTES * i, module[i], 8);
        load_value(machine, list + MODULE_BYTES * i + 8, m->image.size, 8);
        load_value(machine, list + MODULE_BYTES * i + 16, text, 8);
    }
    for (u32 i = 0; i < machine->map->count; i++) {
        load_value(machine, memory + MEMORY_BYTES * i, machine->map->entry[i].base, 8);
        load_value(machine, memory + MEMORY_BYTES * i + 8, machine->map->entry[i].size, 8);
        load_value(machine, memory + MEMORY_BYTES * i + 16, machine->map->entry[i].type, 4);
    }
    return true;
}

bool boot_pvh(const struct boot_machine *machine, const struct boot_input *input,
              struct boot_state *state, struct error *error)
{
    const u64 size = START_SIZE + (u64)MODULE_BYTES * BOOT_MODULES + (u64)MEMORY_BYTES * E820_MAX;
    u64 module[BOOT_MODULES], entry, unused, start;
    struct place place;
    struct elf elf;
    bool found;

    place_init(&place, machine);
    if (!elf_open(&elf, &input->kernel, error) || !find_entry(&elf, &entry, &found, error))
        return false;
    if (!found)
        return image_error(error, &input->kernel, elf.table, "no PVH entry note (Xen, type 18)");
    if (!elf_load(&elf, &place, &unused, error) || !load_modules(&place, input, module, error))
        return false;
    if (entry > 0xffffffff)
        return image_error(error, &input->kernel, elf.table, "the PVH entry lies above 4 GiB");
    start = place_up(&place, size, 16, 0x9000, PC_EBDA);
    if (start != 0)
        load_zeros(machine, start, size);
    if (start == 0 || !write_start(&place, input, module, start) ||
        !load_flat32(&place, 8, 16, entry, state))
        return error_set(error, "%s: no room below 640 KiB for boot information and command line",
                         input->kernel.name);
    state->rbx = start;
    return true;
}
