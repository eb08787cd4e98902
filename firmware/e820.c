/* SPDX-License-Identifier: MIT */
/* The memory map: conventional memory, the ROM, RAM below and above 4 GiB, the chip set's page. */
#include "firmware/e820.h"

#include "base/bits.h"

static void add(struct e820 *map, u64 base, u64 end, enum e820_type type)
{
    if (end > base)
        map->entry[map->count++] = (struct e820_entry){base, end - base, type};
}

void e820_build(struct e820 *map, u64 ram, u64 above)
{
    const u64 four_gib = BIT(32);

    map->count = 0;
    add(map, 0, PC_EBDA, E820_RAM);
    add(map, PC_EBDA, PC_VGA, E820_RESERVED);
    add(map, PC_ROM, PC_HIGH, E820_RESERVED);
    add(map, PC_HIGH, ram - PC_NVS_SIZE, E820_RAM);
    add(map, ram - PC_NVS_SIZE, ram, E820_NVS);
    add(map, four_gib - PC_ROM_SIZE, four_gib, E820_RESERVED);
    add(map, four_gib, four_gib + above, E820_RAM);
}

void e820_write(const struct e820 *map, u8 *to)
{
    for (u32 i = 0; i < map->count; i++, to += E820_ENTRY_BYTES) {
        store_le(to, map->entry[i].base, 8);
        store_le(to + 8, map->entry[i].size, 8);
        store_le(to + 16, map->entry[i].type, 4);
    }
}
