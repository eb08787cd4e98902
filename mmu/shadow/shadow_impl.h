/* SPDX-License-Identifier: MIT */
/*
 * Inside of the shadow engine, for mmu/shadow/ only: pages, entries, links and the unsync set.
 *
 * mmu/shadow/page.c: pool, hash, links, zap, quota. stage.c: which tables a context has, and the
 * domains of second stages. fetch.c: lookup and building. sync.c: the sync rule and unsync pages.
 * store.c: stores to shadowed tables. audit.c: the invariants.
 */
#ifndef MMU_SHADOW_IMPL_H
#define MMU_SHADOW_IMPL_H

#include "base/bits.h"
#include "mmu/memory_impl.h"
#include "mmu/shadow/role.h"
#include "mmu/shadow/shadow.h"
#include "mmu/tlb.h"

enum {
    SLOTS = 512,
    SLOT_BITS = 9,
    HASH_BITS = 12,
    LEAF_HASH_BITS = 15,
    LEAF_LOOKS = 64, /* at combined leaves of one frame; if there are more, all are given up */
    UNSYNC_MAX = 64, /* pages unsync at a time, each with a snapshot of its guest table */
    UNSYNC_AFTER = 8,
    FLOOD_MAX = 3, /* stores to a higher table without a use */
    FLOOD_WEIGHT = 16, /* of a store that takes an entry away; one that takes nothing away has 1 */
    FETCH_PAGES = 5, /* most pages that one fetch makes */
    DOMAINS = 64, /* second stages that combined pages are kept for, and nobody */
    NDOM_MAX = (1 << 12) - 1,
};

/*
 * An entry. A leaf has the format of level 2 of the soft TLB (mmu/tlb.h): page address, rights of
 * both stages, key, dirty. Another entry has the index of the child in place of the address. 0: ask
 * again.
 */
#define SPTE_PRESENT BIT(8)
#define SPTE_LEAF BIT(9)
#define SPTE_ADDRESS BITS(51, 12)

/* Where an entry is, as one number: page index and slot. 0: nowhere. */
typedef u32 slot_ref;

/* The list of parents of a page goes through their slots; so do those of combined leaves
 * of level 1. */
struct link {
    slot_ref next, prev;
};

struct shadow_page {
    u64 frame; /* of the guest's table; direct: the first guest frame that it maps */
    union shadow_role role;
    u64 *spt; /* SLOTS entries */
    struct link
        *link; /* SLOTS list nodes: above level 1 for children, in combined pages for leaves */
    u64 base; /* lowest linear address translated through here, if users are not mixed */
    u64 serial; /* the how manieth page ever made; 0: this record is free */
    u32 hash_next;
    u32 older, newer; /* in order of making */
    slot_ref parents; /* head of the list of slots that point here */
    u32 present; /* entries that are not 0 */
    u32 stores; /* since it was last used, by weight */
    u8 unsync; /* its place in the unsync set + 1; 0: in step with the guest's table */
    bool mixed; /* used at several linear bases */
    bool recent; /* used since it was last looked at for reclaim */
    bool fixed; /* its frame is ROM; known once a walk came through */
    u8 tried; /* the group of entries that was looked at last for prefetch, + 1 */
    /* Per CPU, a bit per context slot whose soft TLB may hold translations that came through it. */
    u16 users[MEMORY_CPUS];
    u64 domains; /* second stages: a bit per domain with combined leaves that depend on it */
};

/*
 * A second stage under combined pages, whose leaves depend on its entries. From a level-1 entry of
 * it there is a way back to them: the combined leaves that lead to the same frame, and the pages
 * that stand for tables in it. When any other entry is taken away on which some leaf may depend,
 * the domain gets another number, and with it all its combined pages are out of reach.
 */
struct domain {
    u64 role, root; /* as in the key of a context; role 0: unused */
    u32 number; /* role.ndom of its combined pages; 0: none yet. That of domain 0 stays 0 */
    u64 last_use;
};

struct unsync {
    u32 page; /* 0: free */
    u64 since; /* number of the marking: the lowest goes first */
    u8 *snapshot; /* a block: the guest's table as the page's entries reflect it */
};

struct shadow {
    struct memory *memory;
    struct shadow_options options;
    struct shadow_stats stats;

    u32 page_count, page_max; /* records used so far (0 is nobody), and all */
    u32 page_free; /* list through hash_next */
    u32 block_count, block_max; /* the same for blocks of 4 KiB: entries, links, snapshots */
    u32 block_free; /* list through the first word of each; ~0: empty */
    u32 blocks_used;
    struct shadow_page *page;
    u8 *block;

    u32 oldest, newest; /* valid pages in order of making */
    u64 serial;
    u32 hash[1 << HASH_BITS];

    /* Links, pages or users taken away so far. As long as nothing is, the way down to a page
     * stands: the places in struct mmu_state, and where the last lookup of a first stage ended. */
    u64 changes;
    u64 last_changes;
    u32 last_page;

    slot_ref leaves[1 << LEAF_HASH_BITS]; /* lists of combined leaves of level 1, by page address */

    struct unsync unsync[UNSYNC_MAX];
    u64 unsync_clock;

    struct domain domain[DOMAINS];
    u64 domain_clock;
    u32 last_number; /* of those handed out */
    u64 numbers[(NDOM_MAX + 64) / 64]; /* a bit per number that a domain has now */
};

static ALWAYS_INLINE bool spte_is_child(u64 spte)
{
    return (spte & (SPTE_PRESENT | SPTE_LEAF)) == SPTE_PRESENT;
}

static ALWAYS_INLINE u32 spte_child(u64 spte)
{
    return (u32)(spte >> PAGE_SHIFT);
}

static ALWAYS_INLINE struct shadow_page *page_at(const struct shadow *shadow, u32 index)
{
    return &shadow->page[index];
}

static ALWAYS_INLINE u32 page_index(const struct shadow *shadow, const struct shadow_page *page)
{
    return (u32)(page - shadow->page);
}

static ALWAYS_INLINE slot_ref ref_of(const struct shadow *shadow, const struct shadow_page *page,
                                     u32 slot)
{
    return page_index(shadow, page) << SLOT_BITS | slot;
}

/* Shift of the linear address bits that index a shadow page of this level: the same for every
 * format, as a shadow page always has 512 entries. */
static ALWAYS_INLINE u32 level_shift(u32 level)
{
    return PAGE_SHIFT + SLOT_BITS * (level - 1);
}

static ALWAYS_INLINE u32 slot_of(u64 va, u32 level)
{
    return (u32)(va >> level_shift(level)) & (SLOTS - 1);
}

/* Offset in its table of the guest entry behind a slot. With 4-byte entries a slot of level 2 is
 * half of what an entry maps. */
static ALWAYS_INLINE u32 guest_offset(union shadow_role role, u32 slot)
{
    if (!role.has_4_byte_gpte)
        return slot * 8 + (u32)role.pdpt * 32;
    if (role.level == 1)
        return (role.quadrant * SLOTS + slot) * 4;
    return (role.quadrant * (SLOTS / 2) + slot / 2) * 4;
}

/* The guest entry behind a slot, and where it is. */
static ALWAYS_INLINE u8 *slot_host(const struct shadow *shadow, const struct shadow_page *page,
                                   u32 slot)
{
    return shadow->memory->bytes + page->frame * PAGE_SIZE + guest_offset(page->role, slot);
}

static ALWAYS_INLINE u64 slot_entry(const struct shadow *shadow, const struct shadow_page *page,
                                    u32 slot)
{
    return pt_load(slot_host(shadow, page, slot), page->role.has_4_byte_gpte ? 4 : 8);
}

/* ---- page.c ---- */

static ALWAYS_INLINE u32 hash_of(u64 frame)
{
    return (u32)(frame * 0x9e3779b97f4a7c15 >> (64 - HASH_BITS));
}

/* Is each leaf of such a page on a list? */
static ALWAYS_INLINE bool page_lists_leaves(union shadow_role role)
{
    return role.combined && role.level == 1;
}

/* The list of leaves that lead to the same page as this one, and of some others. */
static ALWAYS_INLINE slot_ref *leaf_list(struct shadow *shadow, u64 leaf)
{
    return &shadow->leaves[(leaf & SPTE_ADDRESS) * 0x9e3779b97f4a7c15 >> (64 - LEAF_HASH_BITS)];
}

static ALWAYS_INLINE u32 chain_search(const struct shadow *shadow, u32 index, u64 frame)
{
    while (index != 0 && page_at(shadow, index)->frame != frame)
        index = page_at(shadow, index)->hash_next;
    return index;
}

/* The first or next page at a frame, whatever its role; 0: none. */
static ALWAYS_INLINE u32 page_first(const struct shadow *shadow, u64 frame)
{
    return chain_search(shadow, shadow->hash[hash_of(frame)], frame);
}

static ALWAYS_INLINE u32 page_next(const struct shadow *shadow, u32 index)
{
    const struct shadow_page *page = page_at(shadow, index);

    return chain_search(shadow, page->hash_next, page->frame);
}

u32 page_find(struct shadow *shadow, u64 frame, union shadow_role role);
/* There must be room: page_reserve(). */
u32 page_make(struct shadow *shadow, u64 frame, union shadow_role role);
/* Reclaim the oldest pages until a fetch has room. */
void page_reserve(struct shadow *shadow);
void page_zap(struct shadow *shadow, u32 index);
/* NULL if there is none. */
u8 *block_take(struct shadow *shadow);
void block_give(struct shadow *shadow, void *block);

/* The only way to change an entry: what was there is dropped first, and the soft-TLB entries that
 * came through it are revoked unless the new one grants the same. */
void slot_replace(struct shadow *shadow, struct shadow_page *page, u32 slot, u64 spte);
void slot_drop(struct shadow *shadow, struct shadow_page *page, u32 slot);
void slot_link(struct shadow *shadow, struct shadow_page *page, u32 slot, u32 child);
/* Revoke everything that came through a page. */
void page_revoke(struct shadow *shadow, struct shadow_page *page);

/* Must the page hear of stores to its frame? One without entries has nothing to lose. */
static ALWAYS_INLINE bool page_watches(const struct shadow_page *page)
{
    return !page->role.direct && page->unsync == 0 && page->present != 0;
}

/* The frame is watched if and only if some page at it must hear of stores. */
void frame_watch_update(struct shadow *shadow, u64 frame);

/* ---- stage.c ---- */

/* Is the current context's first stage shadowed down to machine addresses? */
static ALWAYS_INLINE bool context_combined(const struct mmu_state *s)
{
    return context_nested(s) && s->memory->shadow->options.combined &&
           s->context[s->current].first.rules.format->root_level != 0;
}

static ALWAYS_INLINE struct mmu_stage *stage_of(struct mmu_state *s, bool second)
{
    struct mmu_context *context = &s->context[s->current];

    return second ? &context->second : &context->first;
}

/* Where a stage keeps its root for an address: formats of two levels have one per GiB. */
static ALWAYS_INLINE struct shadow_root *root_slot(struct mmu_stage *stage, u64 at)
{
    return &stage->root[stage->rules.format->root_level == 2 && !stage->rules.pdpt ? at >> 30 & 3
                                                                                   : 0];
}

/* Number of the current context's domain. */
static ALWAYS_INLINE u32 context_ndom(const struct mmu_state *s)
{
    return s->memory->shadow->domain[s->context[s->current].domain].number;
}

/* The page at a root of the current context; NULL: none, or gone, or of an earlier number of its
 * domain. */
static ALWAYS_INLINE struct shadow_page *root_page(struct mmu_state *s, bool second, u64 at)
{
    const struct shadow_root *root = root_slot(stage_of(s, second), at);
    struct shadow_page *page = page_at(s->memory->shadow, root->page);

    if (root->page == 0 || page->serial != root->serial ||
        (!second && page->role.ndom != context_ndom(s)))
        return NULL;
    return page;
}

/* The role of the roots of a stage of the current context; 0: it has no such stage. */
union shadow_role stage_role(const struct mmu_state *s, bool second);
/* Let the current context have a domain and the domain a number, before anything is built. */
void domain_begin(struct mmu_state *s);
/* Is it a combined page of an earlier number, which no context can reach? */
static ALWAYS_INLINE bool page_is_obsolete(const struct shadow *shadow,
                                           const struct shadow_page *page)
{
    return page->role.combined &&
           (shadow->numbers[page->role.ndom / 64] >> (page->role.ndom % 64) & 1) == 0;
}

/* Leaves of these domains may not be true any more. */
void domains_renew(struct shadow *shadow, u64 domains);

/* ---- fetch.c ---- */

/* The leaf that a guest entry makes in a slot of a page with this role; 0: none. */
u64 leaf_of(const struct pt_rules *rules, union shadow_role role, u32 slot, u64 entry);
/* What a slot should hold by its guest entry as it is now: a leaf, or 0 if there is none to be had
 * without a walk. */
u64 slot_derive(struct mmu_state *s, const struct shadow_page *page, u32 slot);

/* ---- sync.c ---- */

/* May the page be refreshed in the current context? The sync rule. */
bool sync_allowed(struct mmu_state *s, const struct shadow_page *page);
/* Bring a page up to date. keep: its frame stays unwatched and it stays unsync (a lookup), else it
 * is in step from now on (a flush). false: it was zapped. */
bool sync_page(struct mmu_state *s, u32 index, bool keep);
/* Bring all unsync pages up to date that a stage of the current context could reach, and whatever
 * else is of its kind: more than need be. */
void sync_reachable(struct mmu_state *s, bool second);
/* Go unsync; the frame may be stored to freely then, if all its pages are. */
void unsync_mark(struct shadow *shadow, struct shadow_page *page);
void unsync_forget(struct shadow *shadow, struct shadow_page *page);

#endif
