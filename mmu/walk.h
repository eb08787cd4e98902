/* SPDX-License-Identifier: MIT */
/*
 * The one page walker, for every format and stage. SDM Vol 3A 4.3-4.8.
 *
 * A walk only reads. What it grants is judged by mmu/rights.h, and only then walk_commit() sets the
 * accessed and dirty bits, so that a denied access leaves guest memory as it was.
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include "mmu/format.h"

/* One entry that a walk came through. */
struct walk_step {
    u64 entry; /* as it was read */
    u8 *host; /* where it is, NULL if not in RAM or ROM */
    u64 frame; /* if host: its frame */
    u64 base; /* the lowest linear address that its table translates */
    u8 level;
    bool fixed; /* ROM: stores vanish */
};

/*
 * Where tables live. A nested stage gives memory that is itself translated; its read() then may
 * fail.
 */
struct pt_memory {
    void *ctx;
    /* Read a naturally aligned entry of 4 or 8 bytes: fills entry, host, frame, fixed. false: the
     * stage below does not allow it (and keeps the reason). */
    bool (*read)(void *ctx, gpa_t at, u32 bytes, struct walk_step *step);
    /* OR bits into an entry that read() gave. */
    void (*set_bits)(void *ctx, const struct walk_step *step, u32 bytes, u64 bits);
};

enum walk_stop {
    WALK_DONE,
    WALK_NOT_PRESENT,
    WALK_RESERVED_BIT,
    WALK_UNDER, /* the memory that holds the tables could not be read */
};

struct walk {
    const struct pt_rules *rules;
    const struct pt_memory *memory;
    gpa_t root; /* address of the root table */
    const u64 *registers; /* PAE: the four PDPTEs, instead of root; unused if rules->pdpt */
};

struct translation {
    gpa_t gpa; /* of the address itself */
    u32 rights; /* enum right (a second stage: right2), all levels taken together */
    u8 key; /* protection key, 0 if the format has none */
    u8 page_shift;
    u8 steps;
    bool dirty; /* the last entry's D bit was set, or none is kept */
    bool dirty2; /* the same of the second stage; true if there is none */
    u8 rights2; /* enum right2: of the second stage; all if there is none */
    struct walk_step step[PT_LEVELS]; /* from the root down; the last one maps the page */
};

/*
 * Translate va through one stage. Canonical form is the caller's business; bits above the format's
 * are ignored. out->step is valid up to out->steps and out->rights is what the entries that were
 * read grant, whatever the result; the rest is valid only with WALK_DONE.
 */
enum walk_stop walk(const struct walk *w, u64 va, struct translation *out);

/* Set A in every entry of a finished walk and, for a write, D in the last one, where they are
 * clear. SDM Vol 3A 4.8. */
void walk_commit(const struct walk *w, const struct translation *t, bool write);

#endif
