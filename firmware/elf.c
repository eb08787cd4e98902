/* SPDX-License-Identifier: MIT */
/* The ELF reader. Sections, relocations and dynamic linking do not matter to a boot loader. */
#include "firmware/elf.h"

#include "base/bits.h"

#include <string.h>

enum { EM_386 = 3, EM_X86_64 = 62, ET_EXEC = 2, ET_DYN = 3 };

bool elf_is(const struct image *image)
{
    return image_has(image, 0, 4) && memcmp(image->bytes, "\177ELF", 4) == 0;
}

/* The fixed part of the file header. */
static bool check_header(const struct image *image, struct error *error)
{
    const u64 class = image_get(image, 4, 1);
    const u64 type = image_get(image, 16, 2);
    const u64 machine = image_get(image, 18, 2);

    if (!elf_is(image))
        return image_error(error, image, 0, "no ELF magic number");
    if (!image_has(image, 0, 52) || (class == 2 && !image_has(image, 0, 64)))
        return image_error(error, image, image->size, "the file ends inside the ELF header");
    if (class != 1 && class != 2)
        return image_error(error, image, 4, "ELF class %u is neither 1 (32 bits) nor 2 (64 bits)",
                           (unsigned)class);
    if (image_get(image, 5, 1) != 1)
        return image_error(error, image, 5, "ELF data must be little-endian");
    if (type != ET_EXEC && type != ET_DYN)
        return image_error(error, image, 16, "ELF type %u is not an executable", (unsigned)type);
    if (machine != EM_386 && machine != EM_X86_64)
        return image_error(error, image, 18, "ELF machine %u is not x86", (unsigned)machine);
    return true;
}

bool elf_open(struct elf *elf, const struct image *image, struct error *error)
{
    u64 entry_size;

    if (!check_header(image, error))
        return false;
    elf->image = image;
    elf->wide = image->bytes[4] == 2;
    elf->entry = elf->wide ? image_get(image, 24, 8) : image_get(image, 24, 4);
    elf->table = elf->wide ? image_get(image, 32, 8) : image_get(image, 28, 4);
    entry_size = image_get(image, elf->wide ? 54 : 42, 2);
    elf->count = (u32)image_get(image, elf->wide ? 56 : 44, 2);
    if (elf->count == 0)
        return image_error(error, image, elf->wide ? 56 : 44, "no program headers");
    if (entry_size != (elf->wide ? 56 : 32))
        return image_error(error, image, elf->wide ? 54 : 42,
                           "program headers of %u bytes, expected %d", (unsigned)entry_size,
                           elf->wide ? 56 : 32);
    if (!image_has(image, elf->table, elf->count * entry_size))
        return image_error(error, image, elf->table, "the file ends inside the program headers");
    return true;
}

bool elf_segment(const struct elf *elf, u32 i, struct elf_segment *out, struct error *error)
{
    const struct image *image = elf->image;
    const u64 at = elf->table + (u64)i * (elf->wide ? 56 : 32);

    out->header = at;
    out->type = (u32)image_get(image, at, 4);
    if (elf->wide) {
        out->offset = image_get(image, at + 8, 8);
        out->virtual = image_get(image, at + 16, 8);
        out->physical = image_get(image, at + 24, 8);
        out->in_file = image_get(image, at + 32, 8);
        out->in_memory = image_get(image, at + 40, 8);
        out->align = image_get(image, at + 48, 8);
    } else {
        out->offset = image_get(image, at + 4, 4);
        out->virtual = image_get(image, at + 8, 4);
        out->physical = image_get(image, at + 12, 4);
        out->in_file = image_get(image, at + 16, 4);
        out->in_memory = image_get(image, at + 20, 4);
        out->align = image_get(image, at + 28, 4);
    }
    if (out->type != ELF_LOAD && out->type != ELF_NOTE)
        return true;
    if (!image_has(image, out->offset, out->in_file))
        return image_error(error, image, at,
                           "segment %u (0x%llx bytes at 0x%llx) ends behind the file", i,
                           (unsigned long long)out->in_file, (unsigned long long)out->offset);
    if (out->type == ELF_LOAD && out->in_file > out->in_memory)
        return image_error(error, image, at, "segment %u is larger in the file than in memory", i);
    return true;
}

bool elf_load(const struct elf *elf, struct place *place, u64 *entry, struct error *error)
{
    bool any = false;

    *entry = elf->entry;
    for (u32 i = 0; i < elf->count; i++) {
        struct elf_segment s;

        if (!elf_segment(elf, i, &s, error))
            return false;
        if (s.type != ELF_LOAD || s.in_memory == 0)
            continue;
        if (!place_take(place, s.physical, s.in_memory))
            return image_error(error, elf->image, s.header,
                               "segment %u (0x%llx bytes at physical 0x%llx) is not in free RAM", i,
                               (unsigned long long)s.in_memory, (unsigned long long)s.physical);
        load_bytes(place->machine, s.physical, elf->image->bytes + s.offset, s.in_file);
        load_zeros(place->machine, s.physical + s.in_file, s.in_memory - s.in_file);
        if (elf->entry >= s.virtual && elf->entry - s.virtual < s.in_memory)
            *entry = s.physical + (elf->entry - s.virtual);
        any = true;
    }
    return any || image_error(error, elf->image, elf->table, "no loadable segment");
}
