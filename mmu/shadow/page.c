/* SPDX-License-Identifier: MIT */
/*
 * Shadow pages: where they come from, how they are found and linked, and how they go.
 *
 * Contexts refer to their roots weakly, by index and serial: a zapped root is noticed at the next
 * look, so that no page is ever in a state between valid and gone, and reclaim needs no exception
 * for roots. Unlinked pages stay in the hash, for a table that is hung in elsewhere, until reclaim.
 */
#include "base/check.h"
#include "mmu/shadow/shadow_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { NO_BLOCK = -1, BLOCKS_MIN = 64 };

static const u64 quota_least = BIT(22);

/* ---- life ---- */

static void *reserve(u64 size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);

    CHECK(at != MAP_FAILED);
    return at;
}

u64 shadow_default_quota(u64 ram)
{
    return ram / 50 > quota_least ? ram / 50 : quota_least;
}

struct shadow *shadow_create(struct memory *memory, const struct shadow_options *options)
{
    struct shadow *shadow = calloc(1, sizeof(*shadow));
    const u64 quota =
        options->quota != 0 ? options->quota : shadow_default_quota(memory_ram_size(memory));
    u64 blocks;

    CHECK(shadow != NULL && memory->shadow == NULL);
    shadow->memory = memory;
    shadow->options = *options;
    /* A page is one record and one or two blocks. */
    blocks = quota / (PAGE_SIZE + sizeof(struct shadow_page));
    if (blocks < BLOCKS_MIN)
        blocks = BLOCKS_MIN;
    if (blocks > BIT(32 - SLOT_BITS) - 1)
        blocks = BIT(32 - SLOT_BITS) - 1;
    shadow->block_max = (u32)blocks;
    shadow->page_max = (u32)blocks + 1;
    shadow->block_free = (u32)NO_BLOCK;
    shadow->page_count = 1;
    shadow->page = reserve(shadow->page_max * sizeof(struct shadow_page));
    shadow->block = reserve(blocks * PAGE_SIZE);
    if (shadow->options.unsync_after == 0)
        shadow->options.unsync_after = UNSYNC_AFTER;
    memory->shadow = shadow;
    return shadow;
}

void shadow_destroy(struct shadow *shadow)
{
    if (shadow == NULL)
        return;
    munmap(shadow->page, shadow->page_max * sizeof(struct shadow_page));
    munmap(shadow->block, (u64)shadow->block_max * PAGE_SIZE);
    shadow->memory->shadow = NULL;
    free(shadow);
}

const struct shadow_stats *shadow_stats(const struct shadow *shadow)
{
    return &shadow->stats;
}

bool shadow_is_lazy(const struct shadow *shadow)
{
    return shadow->options.sync == SYNC_LAZY;
}

u64 shadow_used(const struct shadow *shadow)
{
    return shadow->block_count * PAGE_SIZE + shadow->page_count * sizeof(struct shadow_page);
}

u64 shadow_quota(const struct shadow *shadow)
{
    return (u64)shadow->block_max * PAGE_SIZE + shadow->page_max * sizeof(struct shadow_page);
}

/* ---- blocks ---- */

u8 *block_take(struct shadow *shadow)
{
    u32 index = shadow->block_free;

    if (index != (u32)NO_BLOCK)
        memcpy(&shadow->block_free, shadow->block + (u64)index * PAGE_SIZE, sizeof(u32));
    else if (shadow->block_count < shadow->block_max)
        index = shadow->block_count++;
    else
        return NULL;
    shadow->blocks_used++;
    return shadow->block + (u64)index * PAGE_SIZE;
}

void block_give(struct shadow *shadow, void *block)
{
    const u32 index = (u32)((u64)((u8 *)block - shadow->block) / PAGE_SIZE);

    memcpy(block, &shadow->block_free, sizeof(u32));
    shadow->block_free = index;
    shadow->blocks_used--;
}

static void *block_zeroed(struct shadow *shadow)
{
    u8 *block = block_take(shadow);

    CHECK(block != NULL); /* page_reserve() saw to it */
    return memset(block, 0, PAGE_SIZE);
}

/* ---- finding ---- */

u32 page_find(struct shadow *shadow, u64 frame, union shadow_role role)
{
    for (u32 i = page_first(shadow, frame); i != 0; i = page_next(shadow, i)) {
        const struct shadow_page *page = page_at(shadow, i);

        if (same_identity(page->frame, page->role, frame, role))
            return i;
    }
    return 0;
}

static void hash_remove(struct shadow *shadow, u32 index)
{
    u32 *at = &shadow->hash[hash_of(page_at(shadow, index)->frame)];

    while (*at != index)
        at = &page_at(shadow, *at)->hash_next;
    *at = page_at(shadow, index)->hash_next;
}

/* ---- in order of making ---- */

static void age_append(struct shadow *shadow, u32 index)
{
    struct shadow_page *page = page_at(shadow, index);

    page->older = shadow->newest;
    page->newer = 0;
    if (shadow->newest != 0)
        page_at(shadow, shadow->newest)->newer = index;
    else
        shadow->oldest = index;
    shadow->newest = index;
}

static void age_remove(struct shadow *shadow, u32 index)
{
    const struct shadow_page *page = page_at(shadow, index);

    *(page->older != 0 ? &page_at(shadow, page->older)->newer : &shadow->oldest) = page->newer;
    *(page->newer != 0 ? &page_at(shadow, page->newer)->older : &shadow->newest) = page->older;
}

/* ---- watching frames ---- */

void frame_watch_update(struct shadow *shadow, u64 frame)
{
    struct memory *memory = shadow->memory;
    bool wanted = false;

    for (u32 i = page_first(shadow, frame); i != 0 && !wanted; i = page_next(shadow, i)) {
        const struct shadow_page *page = page_at(shadow, i);

        wanted = page_watches(page);
    }
    if (!wanted)
        memory->frames[frame].flags &= ~(u32)FRAME_SHADOW;
    else if ((memory->frames[frame].flags & FRAME_SHADOW) == 0)
        memory_watch(memory, frame, FRAME_SHADOW);
}

/* ---- making ---- */

u32 page_make(struct shadow *shadow, u64 frame, union shadow_role role)
{
    u32 *chain = &shadow->hash[hash_of(frame)];
    u32 index = shadow->page_free;
    struct shadow_page *page;

    if (index != 0)
        shadow->page_free = page_at(shadow, index)->hash_next;
    else
        index = shadow->page_count++;
    CHECK(index < shadow->page_max);
    page = page_at(shadow, index);
    *page = (struct shadow_page){
        .frame = frame,
        .role = role,
        .spt = block_zeroed(shadow),
        .link = role.level > 1 || page_lists_leaves(role) ? block_zeroed(shadow) : NULL,
        .serial = ++shadow->serial,
        .hash_next = *chain,
        .recent = true,
    };
    *chain = index;
    age_append(shadow, index);
    shadow->stats.pages_made++;
    return index;
}

void page_reserve(struct shadow *shadow)
{
    const u32 wanted = FETCH_PAGES * 2;
    u32 chances = 2 * shadow->page_count;

    /* Second chance, in order of making. A page of a second stage that combined leaves depend on is
     * not seen to be used, and all of them would go with it: only if there is nothing else. */
    while (shadow->block_max - shadow->blocks_used < wanted) {
        const u32 oldest = shadow->oldest;
        struct shadow_page *page = page_at(shadow, oldest);

        if (page->recent || (page->domains != 0 && chances > 0)) {
            chances -= chances > 0;
            page->recent = false;
            age_remove(shadow, oldest);
            age_append(shadow, oldest);
            continue;
        }
        shadow->stats.reclaimed++;
        page_zap(shadow, oldest);
    }
}

/* ---- links ---- */

/* Is an entry of the page on a list? */
static ALWAYS_INLINE bool is_listed(const struct shadow_page *page, u64 spte)
{
    return spte_is_child(spte) || (spte != 0 && page_lists_leaves(page->role));
}

/* On which: that of its child's parents, or of leaves like it. */
static ALWAYS_INLINE slot_ref *list_of(struct shadow *shadow, u64 spte)
{
    return spte_is_child(spte) ? &page_at(shadow, spte_child(spte))->parents
                               : leaf_list(shadow, spte);
}

static void link_add(struct shadow *shadow, struct shadow_page *page, u32 slot, slot_ref *list)
{
    const slot_ref here = ref_of(shadow, page, slot);
    const slot_ref head = *list;

    page->link[slot] = (struct link){.next = head};
    if (head != 0)
        page_at(shadow, head >> SLOT_BITS)->link[head & (SLOTS - 1)].prev = here;
    *list = here;
}

static void link_remove(struct shadow *shadow, struct shadow_page *page, u32 slot, slot_ref *list)
{
    const struct link link = page->link[slot];

    if (link.prev != 0)
        page_at(shadow, link.prev >> SLOT_BITS)->link[link.prev & (SLOTS - 1)].next = link.next;
    else
        *list = link.next;
    if (link.next != 0)
        page_at(shadow, link.next >> SLOT_BITS)->link[link.next & (SLOTS - 1)].prev = link.prev;
}

/* Revoke everything in soft TLBs that came through a page. */
static void users_revoke(struct shadow *shadow, struct shadow_page *page)
{
    memory_revoke_contexts(shadow->memory, page->users);
    memset(page->users, 0, sizeof(page->users));
}

void page_revoke(struct shadow *shadow, struct shadow_page *page)
{
    shadow->changes++;
    users_revoke(shadow, page);
    if (page->domains != 0)
        domains_renew(shadow, page->domains);
    page->domains = 0;
}

/* Take away the combined leaves that lead where a leaf of a second stage leads, and the pages that
 * stand for tables there. false: those are many. */
static bool leaves_drop(struct shadow *shadow, const struct shadow_page *second, u64 spte)
{
    const u64 address = spte & SPTE_ADDRESS & shadow->memory->a20_mask;
    const struct slot *slot = memory_slot(shadow->memory, address, second->role.smm);
    const u64 frame = slot->first_frame + ((address - slot->base) >> PAGE_SHIFT);
    u32 looks = LEAF_LOOKS;
    slot_ref next;

    for (slot_ref at = *leaf_list(shadow, spte); at != 0 && looks > 0; at = next, looks--) {
        struct shadow_page *page = page_at(shadow, at >> SLOT_BITS);
        const u32 i = at & (SLOTS - 1);

        next = page->link[i].next;
        if (((page->spt[i] ^ spte) & SPTE_ADDRESS) != 0)
            continue;
        slot_drop(shadow, page, i);
        shadow->stats.leaves_dropped++;
    }
    for (u32 i = slot_has_bytes(slot) ? page_first(shadow, frame) : 0; i != 0 && looks > 0;
         looks--) {
        const u32 after = page_next(shadow, i);

        if (page_at(shadow, i)->role.combined && !page_at(shadow, i)->role.direct)
            page_zap(shadow, i);
        i = after;
    }
    return looks > 0;
}

/* Revoke what came through one slot, which held `old`. */
static void slot_revoke(struct shadow *shadow, struct shadow_page *page, u32 slot, u64 old)
{
    if (page->role.stage2 && page->role.level == 1 && leaves_drop(shadow, page, old)) {
        shadow->changes++; /* a walk under way must not enter what it learned here */
        users_revoke(shadow, page);
        return;
    }
    if (page->role.level > 1 || page->mixed) {
        page_revoke(shadow, page);
        return;
    }
    memory_revoke_page(shadow->memory, page->users, page->base + ((u64)slot << PAGE_SHIFT));
}

/* Is it a leaf, and whatever the soft TLB holds because of it also true under the new one? A user
 * page that was none is not that: SMEP and SMAP keep the supervisor out. */
static bool leaf_covers(u64 spte, u64 old)
{
    const u64 may_come = RIGHT_WRITE | RIGHT_EXEC | TLB2_DIRTY | TLB2_NO_STAGE2;

    return !spte_is_child(old) && ((spte ^ old) & ~may_come) == 0 && (old & ~spte) == 0;
}

/* Write an entry; the first and the last of a page begin and end the watching of its frame. */
static ALWAYS_INLINE void slot_set(struct shadow *shadow, struct shadow_page *page, u32 slot,
                                   u64 spte)
{
    const u32 before = page->present;

    page->present += (spte != 0) - (u32)(page->spt[slot] != 0);
    page->spt[slot] = spte;
    if ((before == 0) != (page->present == 0) && !page->role.direct)
        frame_watch_update(shadow, page->frame);
}

void slot_drop(struct shadow *shadow, struct shadow_page *page, u32 slot)
{
    const u64 old = page->spt[slot];

    if (old == 0)
        return;
    if (is_listed(page, old))
        link_remove(shadow, page, slot, list_of(shadow, old));
    slot_set(shadow, page, slot, 0);
    if (spte_is_child(old)) {
        shadow->changes++;
        if (page_at(shadow, spte_child(old))->present == 0)
            return; /* nothing came through it */
    }
    slot_revoke(shadow, page, slot, old);
}

void slot_replace(struct shadow *shadow, struct shadow_page *page, u32 slot, u64 spte)
{
    const u64 old = page->spt[slot];

    if (old != 0 && leaf_covers(spte, old)) {
        page->spt[slot] = spte; /* which stays on its list */
        return;
    }
    slot_drop(shadow, page, slot);
    if (spte == 0)
        return;
    slot_set(shadow, page, slot, spte);
    if (is_listed(page, spte))
        link_add(shadow, page, slot, list_of(shadow, spte));
}

void slot_link(struct shadow *shadow, struct shadow_page *page, u32 slot, u32 child)
{
    slot_replace(shadow, page, slot, (u64)child << PAGE_SHIFT | SPTE_PRESENT);
}

/* ---- the end of a page ---- */

void page_zap(struct shadow *shadow, u32 index)
{
    struct shadow_page *page = page_at(shadow, index);

    shadow->changes++;
    if (page->present != 0 && !page_is_obsolete(shadow, page))
        page_revoke(shadow, page);
    for (u32 i = 0; page->link != NULL && i < SLOTS; i++) {
        if (is_listed(page, page->spt[i]))
            link_remove(shadow, page, i, list_of(shadow, page->spt[i]));
    }
    while (page->parents != 0) {
        struct shadow_page *parent = page_at(shadow, page->parents >> SLOT_BITS);
        const u32 slot = page->parents & (SLOTS - 1);

        link_remove(shadow, parent, slot, &page->parents);
        slot_set(shadow, parent, slot, 0);
    }
    unsync_forget(shadow, page);
    hash_remove(shadow, index);
    age_remove(shadow, index);
    if (page->link != NULL)
        block_give(shadow, page->link);
    block_give(shadow, page->spt);
    page->serial = 0;
    page->hash_next = shadow->page_free;
    shadow->page_free = index;
    if (!page->role.direct)
        frame_watch_update(shadow, page->frame);
    shadow->stats.pages_zapped++;
}

void shadow_zap_all(struct shadow *shadow)
{
    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer)
        memset(page_at(shadow, i)->users, 0, sizeof(page_at(shadow, i)->users));
    while (shadow->oldest != 0)
        page_zap(shadow, shadow->oldest);
}
