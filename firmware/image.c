/* SPDX-License-Identifier: MIT */
/* Checked access to images and placement in RAM. See image.h. */
#include "firmware/image.h"

#include "base/bits.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for information below 640 KiB; small boot images load below it. */
static const u64 info_from = 0x10000;
static const u64 info_to = 0x9f000;

u64 image_get(const struct image *image, u64 offset, u32 bytes)
{
    return image_has(image, offset, bytes) ? load_le(image->bytes + offset, bytes) : 0;
}

bool image_error(struct error *error, const struct image *image, u64 offset, const char *rule, ...)
{
    char text[320];
    va_list args;

    va_start(args, rule);
    (void)vsnprintf(text, sizeof(text), rule, args);
    va_end(args);
    return error_set(error, "%s: offset 0x%llx: %s", image->name, (unsigned long long)offset, text);
}

void place_init(struct place *place, const struct boot_machine *machine)
{
    memset(place, 0, sizeof(*place));
    place->machine = machine;
    place->taken[0].start = 0;
    place->taken[0].end = 0x500;
    place->count = 1;
}

static bool is_ram(const struct e820 *map, u64 start, u64 end)
{
    for (u32 i = 0; i < map->count; i++) {
        const struct e820_entry *e = &map->entry[i];

        if (e->type == E820_RAM && start >= e->base && end <= e->base + e->size)
            return true;
    }
    return false;
}

/* The taken range that meets start..end-1, or NULL's index (count). */
static u32 find_taken(const struct place *place, u64 start, u64 end)
{
    u32 i = 0;

    while (i < place->count && (end <= place->taken[i].start || start >= place->taken[i].end))
        i++;
    return i;
}

static bool take(struct place *place, u64 start, u64 end)
{
    if (place->count == PLACE_MAX)
        return false;
    place->taken[place->count].start = start;
    place->taken[place->count].end = end;
    place->count++;
    return true;
}

bool place_take(struct place *place, u64 start, u64 size)
{
    if (size == 0)
        return true;
    if (start + size < start || !is_ram(place->machine->map, start, start + size) ||
        find_taken(place, start, start + size) != place->count)
        return false;
    return take(place, start, start + size);
}

/* Lowest (or highest) aligned free start in one RAM range cut to from..to, or 0. */
static u64 fit(const struct place *place, u64 size, u64 align, u64 from, u64 to, bool down)
{
    u64 at;

    if (to <= from || size > to - from)
        return 0;
    at = down ? align_down(to - size, align) : align_up(from, align);
    while (at >= from && at <= to - size) {
        const u32 hit = find_taken(place, at, at + size);

        if (hit == place->count)
            return at;
        if (!down)
            at = align_up(place->taken[hit].end, align);
        else if (place->taken[hit].start < size)
            return 0;
        else
            at = align_down(place->taken[hit].start - size, align);
    }
    return 0;
}

static u64 place_find(struct place *place, u64 size, u64 align, u64 from, u64 to, bool down)
{
    const struct e820 *map = place->machine->map;

    if (size == 0)
        size = 1;
    for (u32 n = 0; n < map->count; n++) {
        const struct e820_entry *e = &map->entry[down ? map->count - 1 - n : n];
        const u64 start = e->base > from ? e->base : from;
        const u64 end = e->base + e->size < to ? e->base + e->size : to;
        const u64 at = e->type == E820_RAM ? fit(place, size, align, start, end, down) : 0;

        if (at != 0)
            return take(place, at, at + size) ? at : 0;
    }
    return 0;
}

u64 place_up(struct place *place, u64 size, u64 align, u64 from, u64 to)
{
    return place_find(place, size, align, from, to, false);
}

u64 place_down(struct place *place, u64 size, u64 align, u64 from, u64 to)
{
    return place_find(place, size, align, from, to, true);
}

void load_bytes(const struct boot_machine *machine, u64 at, const void *from, u64 size)
{
    const bool done = size == 0 || memory_load(machine->memory, (hpa_t){at}, from, size);

    CHECK(done); /* place_* gives only RAM */
}

void load_zeros(const struct boot_machine *machine, u64 at, u64 size)
{
    static const u8 zeros[65536];

    while (size > 0) {
        const u64 n = size < sizeof(zeros) ? size : sizeof(zeros);

        load_bytes(machine, at, zeros, n);
        at += n;
        size -= n;
    }
}

void load_value(const struct boot_machine *machine, u64 at, u64 value, u32 bytes)
{
    u8 buffer[8];

    store_le(buffer, value, bytes);
    load_bytes(machine, at, buffer, bytes);
}

bool load_string(struct place *place, const char *text, u64 *at)
{
    const u64 size = strlen(text) + 1;

    *at = place_up(place, size, 16, info_from, info_to);
    if (*at == 0)
        return false;
    load_bytes(place->machine, *at, text, size);
    return true;
}

bool load_flat32(struct place *place, u16 code, u16 data, u64 entry, struct boot_state *state)
{
    const u64 flat_code = 0x00cf9b000000ffff; /* base 0, 4 GiB, execute and read, accessed */
    const u64 flat_data = 0x00cf93000000ffff;
    const u64 gdt = place_up(place, 64, 16, info_from, info_to);

    if (gdt == 0)
        return false;
    load_zeros(place->machine, gdt, 64);
    load_value(place->machine, gdt + code, flat_code, 8);
    load_value(place->machine, gdt + data, flat_data, 8);
    *state = (struct boot_state){
        .bits = 32,
        .cs = code,
        .data = data,
        .gdt_base = gdt,
        .gdt_limit = 63,
        .rip = entry,
        .rflags = 2,
    };
    return true;
}

bool load_modules(struct place *place, const struct boot_input *input, u64 *at, struct error *error)
{
    u64 from = PC_HIGH;

    for (u32 i = 0; i < place->count; i++)
        if (place->taken[i].end > from)
            from = place->taken[i].end;
    for (u32 i = 0; i < input->module_count; i++) {
        const struct image *image = &input->modules[i].image;

        at[i] = place_up(place, image->size, PAGE_SIZE, from, place->machine->low_top);
        if (at[i] == 0)
            return error_set(error,
                             "%s: offset 0x0: no room for %llu bytes of module in RAM below "
                             "4 GiB (use a larger -m)",
                             image->name, (unsigned long long)image->size);
        load_bytes(place->machine, at[i], image->bytes, image->size);
    }
    return true;
}
