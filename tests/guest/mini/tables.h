/* SPDX-License-Identifier: MIT */
/*
 * Page tables of every format: L2's own, and the second stage (EPT, or NPT in one of the ordinary
 * formats). One builder and one walk, by the table of formats.
 */
#ifndef MINI_TABLES_H
#define MINI_TABLES_H

#include "mini.h"

struct format {
    const char *name;
    u32 entry; /* bytes */
    u32 levels;
    struct {
        const char *name;
        u32 shift, bits; /* of the address: the index into this level's table */
    } level[5]; /* from the root down */
    u64 present; /* an entry without all of these bits maps nothing */
    u64 link; /* flags of an entry that leads to a table */
    u64 root_link; /* the same in the root */
};
extern const struct format format_32, format_pae, format_long, format_long_5, format_ept;

/*
 * One tree of tables. Its entries hold addresses of the space in which it lives: guest-physical for
 * L2's own, machine addresses for a second stage.
 */
struct tables {
    const struct format *format;
    u64 root;
    u64 (*page)(void *context); /* a zeroed page of that space */
    void *(*at)(void *context, u64 address); /* where L1 sees an address of it; NULL: nowhere */
    void *context;
};

void tables_new(struct tables *t);
/* Empty tables in L1's memory, which L1 sees where it is. */
void tables_new_machine(struct tables *t, const struct format *format);
/* L1's own tables, in its paging mode as it is now. */
const struct format *l1_format(void);
void tables_l1(struct tables *t);
/* One page of 1 << shift bytes. flags: those of the last entry. */
void tables_map(struct tables *t, u64 from, u64 to, u32 shift, u64 flags);
/* The entry for an address at the level whose pages have 1 << shift bytes; NULL: no such table. */
void *tables_entry(const struct tables *t, u64 address, u32 shift);
u64 entry_get(const struct format *f, const void *entry);
/* Have addresses that the format translates a bit 32? */
bool format_is_wide(const struct format *f);
void entry_set(const struct format *f, void *entry, u64 value);

/* A walk, entry by entry. */
struct step {
    const char *level;
    u32 index;
    u64 at, value; /* where the entry is, in the tables' space, and what it holds */
};
struct walk {
    u32 steps;
    struct step step[5];
    bool mapped;
    u64 to; /* the address reached */
    u32 shift;
};
void tables_walk(const struct tables *t, u64 address, struct walk *w);

#endif
