/* SPDX-License-Identifier: MIT */
/* The walk: one loop over the levels of a format row. See mmu/walk.h. */
#include "mmu/walk.h"

enum { KEY_HIGH = 62, KEY_LOW = 59 };

/* The entry maps a page: put the translation together. */
static void finish(const struct pt_rules *rules, u64 entry, u32 n, u64 va, u32 granted,
                   struct translation *out)
{
    const struct pt_level *level = &rules->format->level[n];
    const u64 offset_mask = BIT(level->shift) - 1;

    out->gpa = (gpa_t){pt_page(rules, entry, n) | (va & offset_mask)};
    out->rights = granted;
    out->key = rules->format->keys ? (u8)bits_get(entry, KEY_HIGH, KEY_LOW) : 0;
    out->page_shift = level->shift;
    out->dirty = (entry & rules->format->dirty) != 0;
}

/* The first table: at the root, or where a root register says. */
static enum walk_stop find_root(const struct walk *w, u64 va, gpa_t *table)
{
    const struct pt_format *f = w->rules->format;
    u64 entry;

    *table = w->root;
    if (f->root_registers == 0)
        return WALK_DONE;
    /* PDPTEs were checked when they were loaded, and grant all: SDM Vol 3A 4.4.1. */
    entry = w->registers[(va >> (f->level[f->root_level].shift + 9)) & (f->root_registers - 1u)];
    if ((entry & f->present) == 0)
        return WALK_NOT_PRESENT;
    table->v = entry & w->rules->address;
    return WALK_DONE;
}

enum walk_stop walk(const struct walk *w, u64 va, struct translation *out)
{
    const struct pt_rules *rules = w->rules;
    const struct pt_format *f = rules->format;
    u32 granted = RIGHTS_ALL;
    gpa_t table;

    out->steps = 0;
    if (find_root(w, va, &table) != WALK_DONE)
        return WALK_NOT_PRESENT;

    for (u32 n = f->root_level;; n--) {
        const struct pt_level *level = &f->level[n];
        const u64 index = (va >> level->shift) & (BIT(level->index_bits) - 1);
        struct walk_step *step = &out->step[out->steps++];
        const gpa_t at = {table.v + index * f->entry_bytes};
        u64 entry;

        step->level = (u8)n;
        step->base = va & ~(BIT(level->shift + level->index_bits) - 1);
        if (!w->memory->read(w->memory->ctx, at, f->entry_bytes, step))
            return WALK_UNDER;
        entry = step->entry;
        if ((entry & f->present) == 0)
            return WALK_NOT_PRESENT;
        granted &= f->rights(entry);
        if ((entry & rules->page[n]) != 0) {
            if ((entry & rules->reserved_page[n]) != 0)
                return WALK_RESERVED_BIT;
            finish(rules, entry, n, va, granted, out);
            return WALK_DONE;
        }
        if ((entry & rules->reserved_table[n]) != 0)
            return WALK_RESERVED_BIT;
        table.v = entry & rules->address;
    }
}

void walk_commit(const struct walk *w, const struct translation *t, bool write)
{
    const struct pt_format *f = w->rules->format;

    for (u32 i = 0; i < t->steps; i++) {
        const struct walk_step *step = &t->step[i];
        const bool last = i + 1u == t->steps;
        const u64 wanted = f->accessed | (last && write ? f->dirty : 0);

        if ((step->entry & wanted) != wanted)
            w->memory->set_bits(w->memory->ctx, step, f->entry_bytes, wanted);
    }
}
