/* SPDX-License-Identifier: MIT */
/*
 * Multiboot specification 0.6.96: ELF32, ELF64 and the address fields ("a.out kludge"), modules,
 * memory map, command line with the image's name as its first word. Left out: video modes (the
 * request is ignored: there is no display), symbols, drives, APM.
 */
#include "base/bits.h"
#include "firmware/elf.h"
#include "firmware/image.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_MAGIC = 0x1badb002, LOADER_MAGIC = 0x2badb002, SEARCH = 8192 };

enum {
    WANT_VIDEO = 1 << 2,
    WANT_UNKNOWN = 0xfff8, /* bits 3..15: a loader that does not know them must refuse */
    HAS_ADDRESSES = 1 << 16,
};

/* Boot information, section 3.3: offsets and the bits of `flags`. */
enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4,
    INFO_MEM_UPPER = 8,
    INFO_COMMAND_LINE = 16,
    INFO_MODULE_COUNT = 20,
    INFO_MODULES = 24,
    INFO_MMAP_LENGTH = 44,
    INFO_MMAP = 48,
    INFO_LOADER_NAME = 64,
    INFO_SIZE = 120,
    HAS_MEMORY = 1 << 0,
    HAS_COMMAND_LINE = 1 << 2,
    HAS_MODULES = 1 << 3,
    HAS_MMAP = 1 << 6,
    HAS_LOADER_NAME = 1 << 9,
    MODULE_BYTES = 16,
    MMAP_BYTES = 24,
};

/* Offset of the header, or the image's size if there is none. */
static u64 find_header(const struct image *image)
{
    for (u64 at = 0; at + 12 <= image->size && at + 12 <= SEARCH; at += 4) {
        const u32 flags = (u32)image_get(image, at + 4, 4);
        const u32 checksum = (u32)image_get(image, at + 8, 4);

        if (image_get(image, at, 4) == HEADER_MAGIC && (u32)(HEADER_MAGIC + flags + checksum) == 0)
            return at;
    }
    return image->size;
}

bool multiboot_has_header(const struct image *kernel)
{
    return find_header(kernel) != kernel->size;
}

/* Section 3.1.3: load_addr and friends replace the ELF header. */
static bool load_kludge(struct place *place, const struct image *image, u64 header, u64 *entry,
                        struct error *error)
{
    const u32 header_at = (u32)image_get(image, header + 12, 4);
    const u32 load = (u32)image_get(image, header + 16, 4);
    const u32 load_end = (u32)image_get(image, header + 20, 4);
    const u32 bss_end = (u32)image_get(image, header + 24, 4);
    u64 from, size, total;

    if (!image_has(image, header, 32))
        return image_error(error, image, image->size, "the file ends inside the multiboot header");
    if (load > header_at || header_at - load > header)
        return image_error(error, image, header + 16,
                           "load_addr 0x%x does not fit header_addr 0x%x", load, header_at);
    from = header - (header_at - load);
    if (load_end != 0 && load_end < load)
        return image_error(error, image, header + 20, "load_end_addr is below load_addr");
    size = load_end != 0 ? load_end - load : image->size - from;
    if (!image_has(image, from, size))
        return image_error(error, image, header + 20, "load_end_addr lies behind the file");
    if (bss_end != 0 && bss_end < load + size)
        return image_error(error, image, header + 24, "bss_end_addr is below load_end_addr");
    total = bss_end != 0 ? bss_end - load : size;
    if (!place_take(place, load, total))
        return image_error(error, image, header + 16,
                           "0x%llx bytes at physical 0x%x are not in free RAM",
                           (unsigned long long)total, load);
    load_bytes(place->machine, load, image->bytes + from, size);
    load_zeros(place->machine, load + size, total - size);
    *entry = image_get(image, header + 28, 4);
    return true;
}

static bool load_image(struct place *place, const struct image *image, u64 *entry,
                       struct error *error)
{
    const u64 header = find_header(image);
    const u32 flags = (u32)image_get(image, header + 4, 4);
    struct elf elf;

    if (header == image->size)
        return image_error(error, image, 0, "no multiboot header in the first 8192 bytes");
    if (flags & WANT_UNKNOWN)
        return image_error(error, image, header + 4,
                           "multiboot flags 0x%x ask for unknown features", flags);
    if (flags & HAS_ADDRESSES)
        return load_kludge(place, image, header, entry, error);
    if (!elf_open(&elf, image, error) || !elf_load(&elf, place, entry, error))
        return false;
    return *entry <= 0xffffffff || image_error(error, image, 24, "the entry lies above 4 GiB");
}

/* "NAME ARGUMENTS": guests drop the first word. */
static bool load_command_line(struct place *place, const struct image *image, const char *arguments,
                              u64 *at)
{
    char text[4096];
    const int n =
        snprintf(text, sizeof(text), "%s%s%s", image->name, *arguments ? " " : "", arguments);

    return n >= 0 && (size_t)n < sizeof(text) && load_string(place, text, at);
}

static void write_mmap(const struct boot_machine *machine, u64 at)
{
    for (u32 i = 0; i < machine->map->count; i++, at += MMAP_BYTES) {
        const struct e820_entry *e = &machine->map->entry[i];

        load_value(machine, at, MMAP_BYTES - 4, 4);
        load_value(machine, at + 4, e->base, 8);
        load_value(machine, at + 12, e->size, 8);
        load_value(machine, at + 20, e->type, 4);
    }
}

/* Module list at `list`; false: a command line does not fit. */
static bool write_modules(struct place *place, const struct boot_input *input, const u64 *at,
                          u64 list)
{
    for (u32 i = 0; i < input->module_count; i++, list += MODULE_BYTES) {
        const struct boot_module *module = &input->modules[i];
        u64 text;

        if (!load_string(place, module->command_line, &text))
            return false;
        load_value(place->machine, list, at[i], 4);
        load_value(place->machine, list + 4, at[i] + module->image.size, 4);
        load_value(place->machine, list + 8, text, 4);
    }
    return true;
}

static void write_info(const struct boot_machine *machine, const struct boot_input *input, u64 info,
                       u64 command_line, u64 name)
{
    const u64 mmap = info + INFO_SIZE;
    const u64 modules = mmap + (u64)MMAP_BYTES * machine->map->count;
    u32 flags = HAS_MEMORY | HAS_COMMAND_LINE | HAS_MMAP | HAS_LOADER_NAME;

    if (input->module_count > 0)
        flags |= HAS_MODULES;
    load_value(machine, info + INFO_FLAGS, flags, 4);
    load_value(machine, info + INFO_MEM_LOWER, PC_EBDA / 1024, 4);
    load_value(machine, info + INFO_MEM_UPPER, (machine->low_top - PC_HIGH) / 1024, 4);
    load_value(machine, info + INFO_COMMAND_LINE, command_line, 4);
    load_value(machine, info + INFO_MODULE_COUNT, input->module_count, 4);
    load_value(machine, info + INFO_MODULES, modules, 4);
    load_value(machine, info + INFO_MMAP_LENGTH, (u64)MMAP_BYTES * machine->map->count, 4);
    load_value(machine, info + INFO_MMAP, mmap, 4);
    load_value(machine, info + INFO_LOADER_NAME, name, 4);
    write_mmap(machine, mmap);
}

bool boot_multiboot(const struct boot_machine *machine, const struct boot_input *input,
                    struct boot_state *state, struct error *error)
{
    const u64 size = INFO_SIZE + (u64)MMAP_BYTES * E820_MAX + (u64)MODULE_BYTES * BOOT_MODULES;
    const struct image *image = &input->kernel;
    u64 module[BOOT_MODULES], info, command_line, name;
    u64 entry = 0;
    struct place place;

    place_init(&place, machine);
    if (!load_image(&place, image, &entry, error) || !load_modules(&place, input, module, error))
        return false;
    info = place_up(&place, size, 16, 0x9000, PC_EBDA);
    if (info == 0 || !load_command_line(&place, image, input->command_line, &command_line) ||
        !load_string(&place, "nestbox", &name) || !load_flat32(&place, 8, 16, entry, state))
        return error_set(error, "%s: no room below 640 KiB for boot information and command line",
                         image->name);
    load_zeros(machine, info, size);
    write_info(machine, input, info, command_line, name);
    if (!write_modules(&place, input, module,
                       info + INFO_SIZE + (u64)MMAP_BYTES * machine->map->count))
        return error_set(error, "%s: no room below 640 KiB for module command lines", image->name);
    state->rax = LOADER_MAGIC;
    state->rbx = info;
    return true;
}
