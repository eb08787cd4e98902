/* SPDX-License-Identifier: MIT */
/* The state hash. The order of the parts is the board's order of devices. */
#include "machine/state_hash.h"

#include "base/check.h"
#include "cpu/flags.h"

#include <stdio.h>
#include <xxhash.h>

static void add(XXH3_state_t *hash, const void *bytes, u64 size)
{
    const XXH_errorcode code = XXH3_128bits_update(hash, bytes, size);

    CHECK(code == XXH_OK);
}

static bool is_zero(const u8 *page)
{
    u64 sum = 0;

    for (u32 i = 0; i < PAGE_SIZE && sum == 0; i += 64)
        for (u32 j = 0; j < 64; j += 8)
            sum |= load_le(page + i + j, 8);
    return sum == 0;
}

/* Page number and bytes of each page that is not all zeros. */
static void add_ram(XXH3_state_t *hash, const struct memory *memory)
{
    const struct slot *slot;

    for (u32 i = 0; (slot = memory_ram_slot(memory, i)) != NULL; i++) {
        for (u64 at = 0; at < slot->size; at += PAGE_SIZE) {
            const u64 page = (slot->base + at) >> PAGE_SHIFT;

            if (is_zero(slot->host + at))
                continue;
            add(hash, &page, sizeof(page));
            add(hash, slot->host + at, PAGE_SIZE);
        }
    }
}

void state_hash(struct board *board, const void *extra, u32 extra_size, char text[STATE_HASH_TEXT])
{
    XXH3_state_t *hash = XXH3_createState();
    XXH128_hash_t value;
    XXH_errorcode code;

    CHECK(hash != NULL);
    code = XXH3_128bits_reset(hash);
    CHECK(code == XXH_OK);
    add(hash, extra, extra_size);
    add(hash, &board->clock.now, sizeof(board->clock.now));
    for (u32 i = 0; i < board->cpus; i++) {
        flags_commit(board->cpu[i].v);
        add(hash, &board->cpu[i].v->state, sizeof(struct cpu_state));
    }
    for (u32 i = 0; i < board->devices; i++)
        add(hash, board->device[i].state, board->device[i].state_size);
    add_ram(hash, board->memory);
    value = XXH3_128bits_digest(hash);
    (void)XXH3_freeState(hash);
    (void)snprintf(text, STATE_HASH_TEXT, "%016llx%016llx", (unsigned long long)value.high64,
                   (unsigned long long)value.low64);
}
