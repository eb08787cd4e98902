/* SPDX-License-Identifier: MIT */
#include "tables.h"

/* SDM Vol 3A 4.3 "32-Bit Paging", 4.4 "PAE Paging", 4.5 "4-Level Paging and 5-Level Paging", Vol
 * 3C 29.3.2 "EPT". */
const struct format format_32 = {
    .name = "32-bit paging without PAE, entries of 4 bytes",
    .entry = 4,
    .levels = 2,
    .level = {{"PD", 22, 10}, {"PT", 12, 10}},
    .present = P,
    .link = P | W | U,
    .root_link = P | W | U,
};
const struct format format_pae = {
    .name = "PAE paging, entries of 8 bytes",
    .entry = 8,
    .levels = 3,
    .level = {{"PDPT", 30, 2}, {"PD", 21, 9}, {"PT", 12, 9}},
    .present = P,
    .link = P | W | U,
    .root_link = P,
};
const struct format format_long = {
    .name = "4-level paging, entries of 8 bytes",
    .entry = 8,
    .levels = 4,
    .level = {{"PML4", 39, 9}, {"PDPT", 30, 9}, {"PD", 21, 9}, {"PT", 12, 9}},
    .present = P,
    .link = P | W | U,
    .root_link = P | W | U,
};
const struct format format_long_5 = {
    .name = "5-level paging, entries of 8 bytes",
    .entry = 8,
    .levels = 5,
    .level = {{"PML5", 48, 9}, {"PML4", 39, 9}, {"PDPT", 30, 9}, {"PD", 21, 9}, {"PT", 12, 9}},
    .present = P,
    .link = P | W | U,
    .root_link = P | W | U,
};
/*
 * Bits 2:0 are read, write, execute; any of them makes an entry present. Bit 10 is execute for user
 * pages where mode-based control is on, else ignored.
 */
const struct format format_ept = {
    .name = "EPT",
    .entry = 8,
    .levels = 4,
    .level = {{"PML4", 39, 9}, {"PDPT", 30, 9}, {"PD", 21, 9}, {"PT", 12, 9}},
    .present = 7,
    .link = BIT(10) | 7,
    .root_link = BIT(10) | 7,
};

u64 entry_get(const struct format *f, const void *entry)
{
    return f->entry == 4 ? *(const volatile u32 *)entry : *(const volatile u64 *)entry;
}

void entry_set(const struct format *f, void *entry, u64 value)
{
    if (f->entry == 4)
        *(volatile u32 *)entry = (u32)value;
    else
        *(volatile u64 *)entry = value;
}

bool format_is_wide(const struct format *f)
{
    return f->level[0].shift + f->level[0].bits > 32;
}

static u32 index_at(const struct format *f, u32 level, u64 address)
{
    return (u32)(address >> f->level[level].shift) & ((1u << f->level[level].bits) - 1);
}

static u64 target(const struct format *f, u64 value, u32 shift)
{
    if (f->entry == 4 && shift == 22) /* PSE-36: bits 20:13 are address bits 39:32 */
        return (value & 0xffc00000) | (value >> 13 & 0xff) << 32;
    return value & 0x000ffffffffff000 & ~(BIT(shift) - 1);
}

void tables_new(struct tables *t)
{
    t->root = t->page(t->context);
}

static u64 machine_page(void *context)
{
    (void)context;
    return (word)page_new();
}

static void *machine_at(void *context, u64 address)
{
    (void)context;
    return (void *)(word)address;
}

void tables_new_machine(struct tables *t, const struct format *format)
{
    *t = (struct tables){format, 0, machine_page, machine_at, NULL};
    tables_new(t);
}

const struct format *l1_format(void)
{
    static const struct format *const formats[] = {
        [L1_32] = &format_32,
        [L1_PAE] = &format_pae,
        [L1_LONG] = &format_long,
        [L1_LONG_5] = &format_long_5,
    };

    return formats[l1_paging];
}

void tables_l1(struct tables *t)
{
    const u64 root = CR_GET(3) & (l1_paging == L1_PAE ? ~(word)31 : ~(word)(PAGE - 1));

    *t = (struct tables){l1_format(), root, machine_page, machine_at, NULL};
}

void tables_map(struct tables *t, u64 from, u64 to, u32 shift, u64 flags)
{
    const struct format *f = t->format;
    u64 table = t->root;

    for (u32 level = 0;; level++) {
        char *entry = (char *)t->at(t->context, table) + index_at(f, level, from) * f->entry;

        if (f->level[level].shift == shift) {
            if (f->entry == 4)
                to |= to >> 32 << 13;
            entry_set(f, entry, to | flags | (shift > 12 ? PS : 0));
            return;
        }
        if ((entry_get(f, entry) & f->present) == 0)
            entry_set(f, entry, t->page(t->context) | (level == 0 ? f->root_link : f->link));
        table = target(f, entry_get(f, entry), 12);
    }
}

void tables_walk(const struct tables *t, u64 address, struct walk *w)
{
    const struct format *f = t->format;
    u64 table = t->root;

    w->steps = 0;
    w->mapped = false;
    for (u32 level = 0; level < f->levels; level++) {
        struct step *step = &w->step[w->steps++];
        const void *entry;

        w->shift = f->level[level].shift;
        step->level = f->level[level].name;
        step->index = index_at(f, level, address);
        step->at = table + step->index * f->entry;
        entry = t->at(t->context, step->at);
        step->value = entry != NULL ? entry_get(f, entry) : 0;
        if ((step->value & f->present) == 0)
            return;
        if (w->shift == 12 || ((step->value & PS) != 0 && w->shift < 39)) {
            w->mapped = true;
            w->to = target(f, step->value, w->shift) | (address & (BIT(w->shift) - 1));
            return;
        }
        table = target(f, step->value, 12);
    }
}

void *tables_entry(const struct tables *t, u64 address, u32 shift)
{
    struct walk w;

    tables_walk(t, address, &w);
    for (u32 i = 0; i < w.steps; i++)
        if (t->format->level[i].shift == shift)
            return t->at(t->context, w.step[i].at);
    return NULL;
}
