/* SPDX-License-Identifier: MIT */
/*
 * Stores to frames that hold shadowed tables, by whomever. Called before the bytes change, so that
 * entries which stay as they are can be told from those that do not. SDM Vol 3A 4.10.
 */
#include "mmu/shadow/shadow_impl.h"

#include <string.h>

/* A store of size bytes at offset. */
struct store {
    const u8 *old; /* the frame */
    const u8 *from;
    u32 offset, size;
};

/* Does the entry of 4 or 8 bytes at `first` change? */
static ALWAYS_INLINE bool changes(const struct store *store, u32 first, u32 bytes)
{
    const u32 start = first > store->offset ? first : store->offset;
    const u32 stop =
        first + bytes < store->offset + store->size ? first + bytes : store->offset + store->size;

    if (likely(stop - start == bytes))
        return pt_load(store->old + first, bytes) !=
               pt_load(store->from + (first - store->offset), bytes);
    return memcmp(store->old + start, store->from + (start - store->offset), stop - start) != 0;
}

static ALWAYS_INLINE void drop_slot(struct shadow *shadow, struct shadow_page *page, u32 slot)
{
    if (page->spt[slot] == 0)
        return;
    slot_drop(shadow, page, slot);
    shadow->stats.slots_dropped++;
}

/* Drop the slots of one guest entry, by its index in the table. false: it is in another quadrant.
 */
static bool drop_entry(struct shadow *shadow, struct shadow_page *page, u32 entry)
{
    u32 first = entry, count = 1;

    if (is_pdpt(page->role)) {
        if (entry / 4 != page->role.pdpt)
            return false;
        first = entry % 4;
    }
    if (page->role.has_4_byte_gpte) {
        const u32 slice = page->role.level == 1 ? SLOTS : SLOTS / 2; /* entries of a quadrant */

        if (entry / slice != page->role.quadrant)
            return false;
        count = SLOTS / slice;
        first = entry % slice * count;
    }
    for (u32 slot = first; slot < first + count; slot++)
        drop_slot(shadow, page, slot);
    return true;
}

static NOINLINE bool drop_entries(struct shadow *shadow, struct shadow_page *page,
                                  const struct store *store)
{
    const u32 shift = page->role.has_4_byte_gpte ? 2 : 3;
    const u32 last = (store->offset + store->size - 1) >> shift;
    bool any = false;

    for (u32 entry = store->offset >> shift; entry <= last; entry++) {
        if (changes(store, entry << shift, 1u << shift))
            any |= drop_entry(shadow, page, entry);
    }
    return any;
}

/* Drop what the store changes. true: something changes in this page's slice of the table. */
static ALWAYS_INLINE bool drop_changed(struct shadow *shadow, struct shadow_page *page,
                                       const struct store *store)
{
    if (page->role.has_4_byte_gpte || is_pdpt(page->role) || store->size != 8 ||
        store->offset % 8 != 0)
        return drop_entries(shadow, page, store);
    /* One entry and one slot: nearly all stores. */
    if (load_le(store->old + store->offset, 8) == load_le(store->from, 8))
        return false;
    drop_slot(shadow, page, store->offset / 8);
    return true;
}

/* Let all pages of the frame go unsync, which are of level 1. Marking one may zap another. */
static void mark_frame(struct shadow *shadow, u64 frame)
{
    u32 i = page_first(shadow, frame);

    while (i != 0) {
        struct shadow_page *page = page_at(shadow, i);

        if (!page_watches(page)) {
            i = page_next(shadow, i);
        } else {
            unsync_mark(shadow, page);
            i = page_first(shadow, frame);
        }
    }
}

static bool frame_has_higher(const struct shadow *shadow, u64 frame)
{
    for (u32 i = page_first(shadow, frame); i != 0; i = page_next(shadow, i)) {
        if (!page_at(shadow, i)->role.direct && page_at(shadow, i)->role.level > 1)
            return true;
    }
    return false;
}

/* The store and one page. true: the frame should be let go unsync. */
static bool store_to_page(struct shadow *shadow, u32 index, const struct store *store)
{
    struct shadow_page *page = page_at(shadow, index);

    if (shadow->options.sync == SYNC_LAZY && !frame_has_higher(shadow, page->frame))
        return memcmp(store->old + store->offset, store->from, store->size) != 0;
    if (drop_changed(shadow, page, store))
        page->stores += FLOOD_WEIGHT;
    else if (page->role.level > 1)
        page->stores++; /* a table being filled, or something else by now */
    else
        return false;
    if (page->role.level > 1) {
        if (page->stores >= FLOOD_MAX * FLOOD_WEIGHT) { /* a table no more, or torn down */
            shadow->stats.flood_zaps++;
            page_zap(shadow, index);
        }
        return false;
    }
    return shadow->options.sync == SYNC_STRICT &&
           page->stores > shadow->options.unsync_after * FLOOD_WEIGHT && page->present != 0 &&
           !frame_has_higher(shadow, page->frame);
}

void shadow_store(struct shadow *shadow, u64 frame, u32 offset, const u8 *from, u32 size)
{
    const struct store store = {shadow->memory->bytes + frame * PAGE_SIZE, from, offset, size};
    bool unsync = false;
    u32 next;

    shadow->stats.stores++;
    for (u32 i = page_first(shadow, frame); i != 0; i = next) {
        u64 serial;

        next = page_next(shadow, i);
        serial = page_at(shadow, next)->serial;
        if (page_is_obsolete(shadow, page_at(shadow, i)))
            page_zap(shadow, i);
        else if (page_watches(page_at(shadow, i)))
            unsync |= store_to_page(shadow, i, &store);
        /* An entry of a second stage may lead to the very frame that it is in. */
        if (page_at(shadow, next)->serial != serial)
            next = page_first(shadow, frame);
    }
    if (unsync) {
        mark_frame(shadow, frame);
        frame_watch_update(shadow, frame);
    }
}

/* To some page of the frame they are no such flags: an ordinary store. */
static NOINLINE void store_bits(struct shadow *shadow, u64 frame, u32 offset, u32 bytes, u64 bits)
{
    u8 after[8];

    pt_store(after, pt_load(shadow->memory->bytes + frame * PAGE_SIZE + offset, bytes) | bits,
             bytes);
    shadow_store(shadow, frame, offset, after, bytes);
}

void shadow_set_bits(struct shadow *shadow, u64 frame, u32 offset, u32 bytes, u64 bits)
{
    for (u32 i = page_first(shadow, frame); i != 0; i = page_next(shadow, i)) {
        const union shadow_role role = page_at(shadow, i)->role;
        const struct pt_format *f = &pt_formats[role.fmt];
        const u64 kept = role.ad_disabled || is_pdpt(role) ? 0 : f->accessed | f->dirty;

        if (!role.direct && (f->entry_bytes != bytes || (bits & ~kept) != 0)) {
            store_bits(shadow, frame, offset, bytes, bits);
            return;
        }
    }
}
