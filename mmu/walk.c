/* SPDX-License-Identifier: MIT */
/* The walk: one loop over the levels of a format row. See mmu/walk.h. */
#include "mmu/walk.h"

enum { KEY_HIGH = 62, KEY_LOW = 59 };

/* The entry maps a page: put the translation together. */
static ALWAYS_INLINE void finish(const struct pt_rules *rules, u64 entry, u32 n, u64 va,
                                 struct translation *out)
{
    const struct pt_level *level = &rules->format->level[n];
    const u64 offset_mask = BIT(level->shift) - 1;

    out->gpa = (gpa_t){pt_page(rules, entry, n) | (va & offset_mask)};
    out->key = rules->format->keys ? (u8)bits_get(entry, KEY_HIGH, KEY_LOW) : 0;
    out->page_shift = level->shift;
    out->dirty = (entry & rules->dirty) == rules->dirty;
    out->dirty2 = true;
    out->rights2 = RIGHTS2_ALL;
}

/* A root set in memory, which is a table of level root_level + 1: PDPTEs. They grant all and have
 * no accessed flag. */
static COLD enum walk_stop read_root(const struct walk *w, u64 va, u32 index,
                                     struct translation *out, gpa_t *table)
{
    const struct pt_format *f = w->rules->format;
    const u32 shift = f->level[f->root_level].shift + f->level[f->root_level].index_bits;
    struct walk_step *step = &out->step[out->steps++];

    step->level = (u8)(f->root_level + 1u);
    step->base = va & ~(f->root_registers * BIT(shift) - 1);
    if (!w->memory->read(w->memory->ctx, (gpa_t){w->root.v + (u64)index * f->entry_bytes},
                         f->entry_bytes, step))
        return WALK_UNDER;
    if ((step->entry & f->present) == 0)
        return WALK_NOT_PRESENT;
    if ((step->entry & w->rules->reserved_root) != 0)
        return WALK_RESERVED_BIT;
    table->v = step->entry & w->rules->address;
    return WALK_DONE;
}

/* The first table: at the root, or where a root register says. */
static ALWAYS_INLINE enum walk_stop find_root(const struct walk *w, u64 va, struct translation *out,
                                              gpa_t *table)
{
    const struct pt_format *f = w->rules->format;
    u32 index;
    u64 entry;

    *table = w->root;
    if (f->root_registers == 0)
        return WALK_DONE;
    index = (u32)(va >> (f->level[f->root_level].shift + 9)) & (f->root_registers - 1u);
    if (w->rules->pdpt)
        return read_root(w, va, index, out, table);
    /* PDPTEs were checked when they were loaded, and grant all: SDM Vol 3A 4.4.1. */
    entry = w->registers[index];
    if ((entry & f->present) == 0)
        return WALK_NOT_PRESENT;
    table->v = entry & w->rules->address;
    return WALK_DONE;
}

static enum walk_stop stop_at(struct translation *out, u32 granted, enum walk_stop why)
{
    out->rights = granted;
    return why;
}

/* patterns: as in the format, a constant for each of the two uses. */
static ALWAYS_INLINE enum walk_stop walk_levels(const struct walk *w, u64 va,
                                                struct translation *out, const bool patterns)
{
    const struct pt_rules *rules = w->rules;
    const struct pt_format *f = rules->format;
    u32 granted = rules->rights_all;
    enum walk_stop stop;
    gpa_t table;

    out->steps = 0;
    stop = find_root(w, va, out, &table);
    if (stop != WALK_DONE)
        return stop_at(out, granted, stop);

    for (u32 n = f->root_level;; n--) {
        const struct pt_level *level = &f->level[n];
        const u64 index = (va >> level->shift) & (BIT(level->index_bits) - 1);
        struct walk_step *step = &out->step[out->steps++];
        const gpa_t at = {table.v + index * f->entry_bytes};
        u64 entry;

        step->level = (u8)n;
        step->base = va & ~(BIT(level->shift + level->index_bits) - 1);
        if (!w->memory->read(w->memory->ctx, at, f->entry_bytes, step))
            return stop_at(out, granted, WALK_UNDER);
        entry = step->entry;
        granted &= rules->rights(entry);
        if ((entry & rules->present) == 0)
            return stop_at(out, granted, WALK_NOT_PRESENT);
        if (patterns && !pt_pattern_legal(rules, entry))
            return stop_at(out, granted, WALK_RESERVED_BIT);
        if ((entry & rules->page[n]) != 0) {
            if ((entry & rules->reserved_page[n]) != 0)
                return stop_at(out, granted, WALK_RESERVED_BIT);
            finish(rules, entry, n, va, out);
            return stop_at(out, granted, WALK_DONE);
        }
        if ((entry & rules->reserved_table[n]) != 0)
            return stop_at(out, granted, WALK_RESERVED_BIT);
        table.v = entry & rules->address;
    }
}

enum walk_stop walk(const struct walk *w, u64 va, struct translation *out)
{
    if (w->rules->format->patterns)
        return walk_levels(w, va, out, true);
    return walk_levels(w, va, out, false);
}

void walk_commit(const struct walk *w, const struct translation *t, bool write)
{
    const struct pt_rules *rules = w->rules;
    const struct pt_format *f = rules->format;

    for (u32 i = t->step[0].level > f->root_level; i < t->steps; i++) {
        const struct walk_step *step = &t->step[i];
        const bool last = i + 1u == t->steps;
        const u64 wanted = rules->accessed | (last && write ? rules->dirty : 0);

        if ((step->entry & wanted) != wanted)
            w->memory->set_bits(w->memory->ctx, step, f->entry_bytes, wanted);
    }
}
