/* SPDX-License-Identifier: MIT */
/*
 * Multiboot2 specification 2.0, i386 entry: ELF32, ELF64 and the address tags, modules, memory map,
 * ACPI root pointer. Left out: EFI entry points, relocation (the image goes where it was linked),
 * frame buffers; a kernel that insists on them is refused.
 */
#include "base/bits.h"
#include "firmware/elf.h"
#include "firmware/image.h"

#include <string.h>

#define HEADER_MAGIC ((u64)0xe85250d6)
#define LOADER_MAGIC ((u64)0x36d76289)

enum { SEARCH = 32768, TAG_OPTIONAL = 1, INFO_MAX = 16384 };

/* Header tags, section 3.1. */
enum header_tag {
    WANT_END = 0,
    WANT_INFORMATION = 1,
    WANT_ADDRESSES = 2,
    WANT_ENTRY = 3,
    WANT_CONSOLE = 4,
    WANT_FRAMEBUFFER = 5,
    WANT_MODULE_ALIGN = 6,
    WANT_EFI_BOOT_SERVICES = 7,
    WANT_ENTRY_EFI32 = 8,
    WANT_ENTRY_EFI64 = 9,
    WANT_RELOCATABLE = 10,
};

/* Information tags, section 3.6. */
enum info_tag {
    INFO_END = 0,
    INFO_COMMAND_LINE = 1,
    INFO_LOADER_NAME = 2,
    INFO_MODULE = 3,
    INFO_MEMORY = 4,
    INFO_MMAP = 6,
    INFO_RSDP1 = 14,
    INFO_RSDP2 = 15,
};

struct header {
    const struct image *image;
    u64 at, size;
    u64 addresses; /* offset of the address tag, 0: none */
    u64 entry; /* offset of the entry tag, 0: none */
};

static u64 find_header(const struct image *image)
{
    for (u64 at = 0; at + 16 <= image->size && at + 16 <= SEARCH; at += 8) {
        const u64 magic = image_get(image, at, 4);
        const u64 sum = magic + image_get(image, at + 4, 4) + image_get(image, at + 8, 4) +
                        image_get(image, at + 12, 4);

        if (magic == HEADER_MAGIC && (u32)sum == 0)
            return at;
    }
    return image->size;
}

bool multiboot2_has_header(const struct image *kernel)
{
    return find_header(kernel) != kernel->size;
}

/* Tag 1 lists the information the kernel cannot do without. */
static bool check_request(const struct header *h, u64 tag, u64 size, struct error *error)
{
    for (u64 at = tag + 8; at + 4 <= tag + size; at += 4) {
        const u64 type = image_get(h->image, at, 4);

        if (type != INFO_COMMAND_LINE && type != INFO_LOADER_NAME && type != INFO_MODULE &&
            type != INFO_MEMORY && type != INFO_MMAP && type != INFO_RSDP1 && type != INFO_RSDP2)
            return image_error(error, h->image, at, "the kernel asks for information type %u",
                               (unsigned)type);
    }
    return true;
}

static bool check_tag(struct header *h, u64 tag, u64 type, u64 size, struct error *error)
{
    switch ((enum header_tag)type) {
    case WANT_INFORMATION: return check_request(h, tag, size, error);
    case WANT_ADDRESSES:
        if (size < 24)
            return image_error(error, h->image, tag + 4, "an address tag has 24 bytes");
        h->addresses = tag;
        return true;
    case WANT_ENTRY:
        if (size < 12)
            return image_error(error, h->image, tag + 4, "an entry tag has 12 bytes");
        h->entry = tag;
        return true;
    case WANT_END:
    case WANT_CONSOLE:
    case WANT_MODULE_ALIGN:
    case WANT_ENTRY_EFI32:
    case WANT_ENTRY_EFI64:
    case WANT_RELOCATABLE: return true;
    case WANT_FRAMEBUFFER:
    case WANT_EFI_BOOT_SERVICES: break;
    }
    return image_error(error, h->image, tag, "the kernel asks for header tag %u", (unsigned)type);
}

static bool parse_header(struct header *h, const struct image *image, struct error *error)
{
    u64 end;

    *h = (struct header){.image = image, .at = find_header(image)};
    if (h->at == image->size)
        return image_error(error, image, 0, "no multiboot2 header in the first 32768 bytes");
    h->size = image_get(image, h->at + 8, 4);
    if (image_get(image, h->at + 4, 4) != 0)
        return image_error(error, image, h->at + 4, "multiboot2 architecture is not i386");
    if (h->size < 16 || !image_has(image, h->at, h->size))
        return image_error(error, image, h->at + 8, "the multiboot2 header ends behind the file");
    end = h->at + h->size;
    for (u64 tag = h->at + 16; tag + 8 <= end;) {
        const u64 type = image_get(image, tag, 2);
        const u64 flags = image_get(image, tag + 2, 2);
        const u64 size = image_get(image, tag + 4, 4);

        if (size < 8 || size > end - tag)
            return image_error(error, image, tag + 4, "header tag of %u bytes", (unsigned)size);
        if (type == WANT_END)
            break;
        if (!check_tag(h, tag, type, size, error) && !(flags & TAG_OPTIONAL))
            return false;
        tag = align_up(tag + size, 8);
    }
    return true;
}

/* The address tag, section 3.1.5; load_addr of all ones means the whole file. */
static bool load_addresses(const struct header *h, struct place *place, struct error *error)
{
    const struct image *image = h->image;
    const u64 tag = h->addresses;
    const u32 header_at = (u32)image_get(image, tag + 8, 4);
    const u32 load_field = (u32)image_get(image, tag + 12, 4);
    const u32 load_end = (u32)image_get(image, tag + 16, 4);
    const u32 bss_end = (u32)image_get(image, tag + 20, 4);
    const u32 load = load_field == 0xffffffff ? header_at - (u32)h->at : load_field;
    u64 from, size, total;

    if (load > header_at || header_at - load > h->at)
        return image_error(error, image, tag + 12, "load_addr 0x%x does not fit header_addr 0x%x",
                           load, header_at);
    from = h->at - (header_at - load);
    if (load_end != 0 && load_end < load)
        return image_error(error, image, tag + 16, "load_end_addr is below load_addr");
    size = load_end != 0 ? load_end - load : image->size - from;
    if (!image_has(image, from, size))
        return image_error(error, image, tag + 16, "load_end_addr lies behind the file");
    if (bss_end != 0 && bss_end < load + size)
        return image_error(error, image, tag + 20, "bss_end_addr is below load_end_addr");
    total = bss_end != 0 ? bss_end - load : size;
    if (!place_take(place, load, total))
        return image_error(error, image, tag + 12,
                           "0x%llx bytes at physical 0x%x are not in free RAM",
                           (unsigned long long)total, load);
    load_bytes(place->machine, load, image->bytes + from, size);
    load_zeros(place->machine, load + size, total - size);
    return true;
}

static bool load_image(const struct header *h, struct place *place, u64 *entry, struct error *error)
{
    struct elf elf;

    if (h->addresses != 0) {
        if (!load_addresses(h, place, error))
            return false;
        if (h->entry == 0)
            return image_error(error, h->image, h->addresses, "address tag without an entry tag");
    } else if (!elf_open(&elf, h->image, error) || !elf_load(&elf, place, entry, error)) {
        return false;
    }
    if (h->entry != 0)
        *entry = image_get(h->image, h->entry + 8, 4);
    return *entry <= 0xffffffff || image_error(error, h->image, 24, "the entry lies above 4 GiB");
}

/* The information block while it grows; `full` once something did not fit. */
struct info {
    u8 bytes[INFO_MAX];
    u64 size;
    bool full;
    u8 spill[64]; /* where small tags go once the block is full */
};

/* Start a tag whose payload has `size` bytes; returns where the payload goes. */
static u8 *tag_open(struct info *info, enum info_tag type, u64 size)
{
    u8 *at = info->bytes + info->size;

    if (size > INFO_MAX || info->size + align_up(8 + size, 8) > INFO_MAX) {
        info->full = true;
        return size <= sizeof(info->spill) ? info->spill : NULL;
    }
    store_le(at, type, 4);
    store_le(at + 4, 8 + size, 4);
    info->size += align_up(8 + size, 8);
    return at + 8;
}

static void tag_string(struct info *info, enum info_tag type, const char *text)
{
    u8 *at = tag_open(info, type, strlen(text) + 1);

    if (!info->full)
        memcpy(at, text, strlen(text) + 1);
}

static void tag_memory(struct info *info, const struct boot_machine *machine)
{
    u8 *at = tag_open(info, INFO_MEMORY, 8);
    const struct e820 *map = machine->map;

    store_le(at, PC_EBDA / 1024, 4);
    store_le(at + 4, (machine->low_top - PC_HIGH) / 1024, 4);
    at = tag_open(info, INFO_MMAP, 8 + 24 * (u64)map->count);
    if (info->full)
        return;
    store_le(at, 24, 4);
    for (u32 i = 0; i < map->count; i++) {
        store_le(at + 8 + 24 * i, map->entry[i].base, 8);
        store_le(at + 16 + 24 * i, map->entry[i].size, 8);
        store_le(at + 24 + 24 * i, map->entry[i].type, 4);
    }
}

static void tag_module(struct info *info, const struct boot_module *module, u64 at)
{
    const u64 text = strlen(module->command_line) + 1;
    u8 *to = tag_open(info, INFO_MODULE, 8 + text);

    if (info->full)
        return;
    store_le(to, at, 4);
    store_le(to + 4, at + module->image.size, 4);
    memcpy(to + 8, module->command_line, text);
}

static void tag_rsdp(struct info *info, const struct boot_machine *machine)
{
    u8 *at;

    if (machine->rsdp == 0)
        return;
    at = tag_open(info, INFO_RSDP1, 20);
    memory_read(machine->memory, (hpa_t){machine->rsdp}, at, 20);
    at = tag_open(info, INFO_RSDP2, 36);
    memory_read(machine->memory, (hpa_t){machine->rsdp}, at, 36);
}

static void build_info(struct info *info, const struct boot_machine *machine,
                       const struct boot_input *input, const u64 *module)
{
    memset(info, 0, sizeof(*info));
    info->size = 8;
    tag_string(info, INFO_COMMAND_LINE, input->command_line);
    tag_string(info, INFO_LOADER_NAME, "nestbox");
    tag_memory(info, machine);
    for (u32 i = 0; i < input->module_count; i++)
        tag_module(info, &input->modules[i], module[i]);
    tag_rsdp(info, machine);
    (void)tag_open(info, INFO_END, 0);
    store_le(info->bytes, info->size, 4);
}

bool boot_multiboot2(const struct boot_machine *machine, const struct boot_input *input,
                     struct boot_state *state, struct error *error)
{
    u64 module[BOOT_MODULES], entry = 0, at;
    struct header header;
    struct place place;
    struct info info;

    place_init(&place, machine);
    if (!parse_header(&header, &input->kernel, error) ||
        !load_image(&header, &place, &entry, error) || !load_modules(&place, input, module, error))
        return false;
    build_info(&info, machine, input, module);
    at = info.full ? 0 : place_up(&place, info.size, 8, 0x9000, PC_EBDA);
    if (at == 0 || !load_flat32(&place, 16, 24, entry, state))
        return error_set(error, "%s: no room below 640 KiB for boot information and command line",
                         input->kernel.name);
    load_bytes(machine, at, info.bytes, info.size);
    state->rax = LOADER_MAGIC;
    state->rbx = at;
    return true;
}
