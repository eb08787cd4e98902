/* SPDX-License-Identifier: MIT */
/*
 * Unsync pages, and the rule under which they are refreshed.
 *
 * An unsync page is of level 1, and the guest stores to its table unwatched. A snapshot tells what
 * the page's entries reflect, so that a refresh looks only at what changed. At most UNSYNC_MAX
 * pages are unsync; the one that has been for longest makes room by being zapped.
 */
#include "mmu/shadow/shadow_impl.h"

#include <string.h>

/* More entries than this are not revoked one by one. */
enum { REVOKE_SINGLY = 64 };

static struct unsync *unsync_of(struct shadow *shadow, const struct shadow_page *page)
{
    return &shadow->unsync[page->unsync - 1];
}

static u8 *table_of(const struct shadow *shadow, const struct shadow_page *page)
{
    return shadow->memory->bytes + page->frame * PAGE_SIZE;
}

void unsync_forget(struct shadow *shadow, struct shadow_page *page)
{
    if (page->unsync == 0)
        return;
    block_give(shadow, unsync_of(shadow, page)->snapshot);
    *unsync_of(shadow, page) = (struct unsync){0};
    page->unsync = 0;
}

/* A free place in the set; the oldest page is zapped for it. */
static struct unsync *unsync_place(struct shadow *shadow)
{
    struct unsync *oldest = &shadow->unsync[0];

    for (u32 i = 0; i < UNSYNC_MAX; i++) {
        struct unsync *u = &shadow->unsync[i];

        if (u->page == 0)
            return u;
        if (u->since < oldest->since)
            oldest = u;
    }
    page_zap(shadow, oldest->page);
    return oldest;
}

/* Everything that came through the page, which is not coherent any more. */
static void revoke_entries(struct shadow *shadow, struct shadow_page *page)
{
    if (page->mixed || page->present > REVOKE_SINGLY) {
        page_revoke(shadow, page);
        return;
    }
    for (u32 slot = 0; slot < SLOTS; slot++) {
        if (page->spt[slot] != 0)
            memory_revoke_page(shadow->memory, page->users, page->base + ((u64)slot << PAGE_SHIFT));
    }
    memset(page->users, 0, sizeof(page->users));
}

void unsync_mark(struct shadow *shadow, struct shadow_page *page)
{
    struct unsync *u = unsync_place(shadow);
    u8 *snapshot = block_take(shadow);

    if (snapshot == NULL) {
        page_zap(shadow, page_index(shadow, page));
        return;
    }
    memcpy(snapshot, table_of(shadow, page), PAGE_SIZE);
    *u = (struct unsync){page_index(shadow, page), ++shadow->unsync_clock, snapshot};
    page->unsync = (u8)(u - shadow->unsync + 1);
    if (shadow->options.sync == SYNC_STRICT)
        revoke_entries(shadow, page);
    shadow->stats.unsyncs++;
}

bool sync_allowed(struct mmu_state *s, const struct shadow_page *page)
{
    struct shadow *shadow = s->memory->shadow;
    const union shadow_role root = stage_role(s, page->role.stage2);

    if (page->role.direct || root.word == 0)
        return false; /* nothing to decode, or nobody who could */
    if (role_mismatch(page->role, root) == 0)
        return true;
    shadow->stats.sync_role_mismatch++;
    return false;
}

bool sync_page(struct mmu_state *s, u32 index, bool keep)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_page *page = page_at(shadow, index);
    struct unsync *u = unsync_of(shadow, page);
    const u32 first = guest_offset(page->role, 0);
    const u32 last = guest_offset(page->role, SLOTS - 1);
    const u32 bytes = page->role.has_4_byte_gpte ? 4 : 8;
    const u8 *table = table_of(shadow, page);
    const u8 place = page->unsync;

    if (!sync_allowed(s, page)) {
        page_zap(shadow, index);
        return false;
    }
    if (!keep) {
        page->unsync = 0;
        frame_watch_update(shadow, page->frame); /* before it is read */
    }
    for (u32 at = first; at <= last; at += bytes) {
        const u32 slot = (at - first) / bytes;

        if (page->spt[slot] == 0 || memcmp(table + at, u->snapshot + at, bytes) == 0)
            continue;
        slot_replace(shadow, page, slot, slot_derive(s, page, slot));
        shadow->stats.synced_slots++;
    }
    page->unsync = place; /* until here it counted as one that watches */
    if (keep)
        memcpy(u->snapshot, table, PAGE_SIZE);
    else
        unsync_forget(shadow, page);
    shadow->stats.syncs++;
    return true;
}

/* ---- lazy: the guest flushes ---- */

void sync_reachable(struct mmu_state *s, bool second)
{
    struct shadow *shadow = s->memory->shadow;

    for (u32 i = 0; i < UNSYNC_MAX; i++) {
        const u32 index = shadow->unsync[i].page;

        if (index != 0 && role_mismatch(page_at(shadow, index)->role, stage_role(s, second)) == 0)
            (void)sync_page(s, index, false);
    }
}

void shadow_flush(struct mmu_state *s)
{
    struct shadow *shadow = s->memory->shadow;

    if (shadow->options.sync != SYNC_LAZY || stage_role(s, false).word == 0)
        return;
    shadow->stats.flushes++;
    sync_reachable(s, false);
}

void shadow_flush_second(struct shadow *shadow)
{
    if (shadow->options.sync != SYNC_LAZY)
        return;
    shadow->stats.flushes++;
    for (u32 i = 0; i < UNSYNC_MAX; i++) {
        const u32 index = shadow->unsync[i].page;
        const union shadow_role role = page_at(shadow, index)->role;

        if (index != 0 && (role.stage2 || role.guest_mode))
            page_zap(shadow, index); /* the context that could refresh it is not here */
    }
}

void shadow_flush_page(struct mmu_state *s, u64 va)
{
    struct shadow *shadow = s->memory->shadow;

    if (shadow->options.sync != SYNC_LAZY)
        return;
    /* The page is in one of the unsync pages, at its place there, or its translation is current. */
    for (u32 i = 0; i < UNSYNC_MAX; i++) {
        struct shadow_page *page = page_at(shadow, shadow->unsync[i].page);

        if (shadow->unsync[i].page != 0)
            slot_drop(shadow, page, slot_of(va, 1));
    }
}
