/* SPDX-License-Identifier: MIT */
/*
 * Page-table tracking: which stores make which cached translations stale. See the rule in
 * mmu/table.h.
 *
 * A change to a level-1 entry revokes one page; a change higher up revokes the contexts that used
 * the table, unless the table below has no used entry left (the usual order when a guest tears
 * tables down), when nothing is stale.
 */
#include "mmu/table.h"

#include "base/bits.h"
#include "mmu/format.h"
#include "mmu/tlb.h"

#include <string.h>

static const u64 entry_large = BIT(7); /* the entry maps a page, above level 1 */

static struct table *table_get(const struct memory *memory, u64 frame)
{
    return &memory->tables[memory->frames[frame].table];
}

static bool table_empty(const struct memory *memory, const struct table *table)
{
    return table->words == 0 || table->epoch != memory->epoch;
}

/* Nothing depends on the table: forget what it was. */
static void table_clear(struct memory *memory, struct table *table)
{
    memset(table->used, 0, sizeof(table->used));
    memset(table->contexts, 0, sizeof(table->contexts));
    table->words = 0;
    table->epoch = memory->epoch;
}

static void table_begin(struct memory *memory, u64 frame)
{
    u32 index = memory->table_free;

    if (index != 0)
        memory->table_free = memory->tables[index].next_free;
    else
        index = ++memory->table_count; /* at most one per frame, and there is room for that */
    memory->frames[frame].table = index;
    table_clear(memory, &memory->tables[index]);
    memory_watch(memory, frame, FRAME_TABLE);
}

static bool same_flags(u32 a, u32 b)
{
    const struct pt_format *x = &pt_formats[a], *y = &pt_formats[b];

    return x->entry_bytes == y->entry_bytes && x->accessed == y->accessed && x->dirty == y->dirty;
}

void table_use(struct memory *memory, const struct table_use *use)
{
    const u32 dword = use->offset / 4;
    struct table *table;

    if (unlikely((memory->frames[use->frame].flags & FRAME_TABLE) == 0))
        table_begin(memory, use->frame);
    table = table_get(memory, use->frame);
    if (unlikely(table_empty(memory, table))) {
        table_clear(memory, table);
        table->base = use->base;
        table->format = use->format;
        table->level = use->level;
        table->mixed = use->mixed;
        table->foreign = use->foreign;
    } else if (unlikely(table->base != use->base || table->level != use->level ||
                        table->format != use->format || use->mixed)) {
        table->mixed = true;
        table->foreign |= use->foreign || !same_flags(table->format, use->format);
    }
    table->used[dword / 64] |= (use->bytes == 8 ? (u64)3 : (u64)1) << (dword % 64);
    table->words |= 1u << (dword / 64);
    table->contexts[use->cpu] = (u16)(table->contexts[use->cpu] | 1u << use->context);
}

bool table_is_idle(const struct memory *memory, u64 frame)
{
    return table_empty(memory, table_get(memory, frame));
}

void table_release(struct memory *memory, u64 frame)
{
    const u32 index = memory->frames[frame].table;

    memory->tables[index].next_free = memory->table_free;
    memory->table_free = index;
    memory->frames[frame].table = 0;
    memory->frames[frame].flags &= ~(u32)FRAME_TABLE;
}

bool table_disagrees(const struct memory *memory, u64 frame, u32 bytes, u64 bits)
{
    const struct table *table = table_get(memory, frame);
    const struct pt_format *f = &pt_formats[table->format];

    return !table_empty(memory, table) &&
           (table->foreign || f->entry_bytes != bytes || (bits & ~(f->accessed | f->dirty)) != 0);
}

static void revoke(struct memory *memory, struct table *table)
{
    memory_revoke_contexts(memory, table->contexts);
    table_clear(memory, table);
}

void table_revoke(struct memory *memory, u64 frame)
{
    revoke(memory, table_get(memory, frame));
}

/* No translation came through a used entry of a level above 1: its table is empty now. */
static bool leads_nowhere(struct memory *memory, const struct table *table, u64 entry)
{
    const u64 at = entry & pt_formats[table->format].address & memory->a20_mask;
    const struct slot *slot = memory_slot(memory, at, false);
    u64 frame;

    if ((entry & entry_large) != 0 || !slot_has_bytes(slot))
        return false;
    frame = slot->first_frame + ((at - slot->base) >> PAGE_SHIFT);
    return (memory->frames[frame].flags & FRAME_TABLE) == 0 || table_is_idle(memory, frame);
}

/* The used entry that holds this dword is about to change. */
static void entry_changes(struct memory *memory, struct table *table, u64 frame, u32 dword)
{
    const u32 bytes = pt_formats[table->format].entry_bytes;
    const u32 index = dword * 4 / bytes;
    const u32 first = index * bytes / 4;
    const u64 bits = (bytes == 8 ? (u64)3 : (u64)1) << (first % 64);

    if (table->mixed) {
        revoke(memory, table);
        return;
    }
    if (table->level == 1) {
        memory_revoke_page(memory, table->contexts, table->base + ((u64)index << PAGE_SHIFT));
    } else {
        const u8 *host = memory->bytes + frame * PAGE_SIZE + (u64)index * bytes;

        if (!leads_nowhere(memory, table, pt_load(host, bytes))) {
            revoke(memory, table);
            return;
        }
    }
    table->used[first / 64] &= ~bits;
    if (table->used[first / 64] == 0)
        table->words &= ~(1u << (first / 64));
}

/* Bytes of the store that fall into this dword differ from what is there. */
static bool dword_changes(const struct memory *memory, u64 frame, u32 dword, u32 offset,
                          const u8 *from, u32 size)
{
    const u32 start = dword * 4 > offset ? dword * 4 : offset;
    const u32 end = dword * 4 + 4 < offset + size ? dword * 4 + 4 : offset + size;

    return memcmp(memory->bytes + frame * PAGE_SIZE + start, from + (start - offset),
                  end - start) != 0;
}

void table_store(struct memory *memory, u64 frame, u32 offset, const u8 *from, u32 size)
{
    struct table *table = table_get(memory, frame);
    const u32 last = (offset + size - 1) / 4;

    if (table_empty(memory, table)) {
        table_release(memory, frame);
        return;
    }
    for (u32 dword = offset / 4; dword <= last; dword++) {
        const u64 rest = table->used[dword / 64] >> (dword % 64);

        if (rest == 0) {
            dword |= 63; /* no more in this word */
            continue;
        }
        dword += (u32)__builtin_ctzll(rest);
        if (dword <= last && dword_changes(memory, frame, dword, offset, from, size))
            entry_changes(memory, table, frame, dword);
    }
}
