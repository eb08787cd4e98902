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

/* Do bytes first..first+bytes-1 of the frame change? */
static bool changes(const struct store *store, u32 first, u32 bytes)
{
    const u32 start = first > store->offset ? first : store->offset;
    const u32 stop =
        first + bytes < store->offset + store->size ? first + bytes : store->offset + store->size;

    return memcmp(store->old + start, store->from + (start - store->offset), stop - start) != 0;
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
    for (u32 slot = first; slot < first + count; slot++) {
        if (page->spt[slot] == 0)
            continue;
        slot_replace(shadow, page, slot, 0);
        shadow->stats.slots_dropped++;
    }
    return true;
}

/* Drop what the store changes. true: something changes in this page's slice of the table. */
static bool drop_changed(struct shadow *shadow, struct shadow_page *page, const struct store *store)
{
    const u32 bytes = page->role.has_4_byte_gpte ? 4 : 8;
    const u32 last = (store->offset + store->size - 1) / bytes;
    bool any = false;

    for (u32 entry = store->offset / bytes; entry <= last; entry++) {
        if (changes(store, entry * bytes, bytes))
            any |= drop_entry(shadow, page, entry);
    }
    return any;
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
        return changes(store, store->offset, store->size);
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

void shadow_set_bits(struct shadow *shadow, u64 frame, u32 offset, u32 bytes, u64 bits)
{
    u8 after[8];

    for (u32 i = page_first(shadow, frame); i != 0; i = page_next(shadow, i)) {
        const union shadow_role role = page_at(shadow, i)->role;
        const struct pt_format *f = &pt_formats[role.fmt];
        const u64 kept = role.ad_disabled || is_pdpt(role) ? 0 : f->accessed | f->dirty;

        if (role.direct || (f->entry_bytes == bytes && (bits & ~kept) == 0))
            continue;
        /* To this page they are no such flags: an ordinary store. */
        store_le(after, load_le(shadow->memory->bytes + frame * PAGE_SIZE + offset, bytes) | bits,
                 bytes);
        shadow_store(shadow, frame, offset, after, bytes);
        return;
    }
}
