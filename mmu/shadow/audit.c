/* SPDX-License-Identifier: MIT */
/*
 * The invariants of the shadow engine by number, each with its statement and a check by brute
 * force: pages, links and sets here, entries in mmu/shadow/audit_entries.c, contexts and soft TLBs
 * in mmu/shadow/audit_tlb.c. Those that this design cannot break, or that are about a step and not
 * about a state, say why they have no check.
 */
#include "mmu/shadow/audit.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

bool audit_broken(struct audit *a, const char *format, ...)
{
    int used = snprintf(a->report, a->size, "I%u ", a->number);
    va_list args;

    va_start(args, format);
    if (used > 0 && (size_t)used < a->size)
        (void)vsnprintf(a->report + used, a->size - (size_t)used, format, args);
    va_end(args);
    return false;
}

/* ---- roles ---- */

static bool roles_sound(struct audit *a, const struct shadow_page *page, u32 index)
{
    const union shadow_role role = page->role;

    if (role.has_4_byte_gpte != (role.fmt == PAGING_32BIT))
        return audit_broken(a, "page %u: entry size and format disagree", index);
    if (role.direct != (role.fmt == PAGING_NONE))
        return audit_broken(a, "page %u: direct, or has a format", index);
    if (role.level == 0 || role.level > PT_LEVELS || role.reserved != 0)
        return audit_broken(a, "page %u: role %llx", index, (unsigned long long)role.word);
    return true;
}

static bool never_mismatched(struct audit *a)
{
    return a->shadow->stats.sync_role_mismatch == 0 ||
           audit_broken(a, "%llu refreshes refused",
                        (unsigned long long)a->shadow->stats.sync_role_mismatch);
}

static bool child_roles_follow(struct audit *a, const struct shadow_page *page, u32 index)
{
    const union shadow_role role = page->role;

    if (role.quadrant != 0 &&
        (!role.has_4_byte_gpte || role.level > 2 || (role.level == 1 && role.quadrant > 1)))
        return audit_broken(a, "page %u: quadrant %u", index, (u32)role.quadrant);
    for (u32 slot = 0; role.level > 1 && slot < SLOTS; slot++) {
        union shadow_role child;

        if (!spte_is_child(page->spt[slot]))
            continue;
        child = page_at(a->shadow, spte_child(page->spt[slot]))->role;
        if (child.level + 1u != role.level)
            return audit_broken(a, "page %u slot %u: child of level %u", index, slot,
                                (u32)child.level);
        if ((child.access & ~role.access) != 0 || (child.access2 & ~role.access2) != 0)
            return audit_broken(a, "page %u slot %u: the child grants more", index, slot);
        if (role.direct && !child.direct)
            return audit_broken(a, "page %u slot %u: a table below a piece", index, slot);
        if (!child.direct && role_mismatch(child, role) != 0)
            return audit_broken(a, "page %u slot %u: child of another kind", index, slot);
        if (role.has_4_byte_gpte && !child.direct && child.quadrant != (slot & 1))
            return audit_broken(a, "page %u slot %u: child of quadrant %u", index, slot,
                                (u32)child.quadrant);
    }
    return true;
}

static bool worlds_apart(struct audit *a, const struct shadow_page *page, u32 index)
{
    for (u32 slot = 0; page->role.level > 1 && slot < SLOTS; slot++) {
        union shadow_role child;

        if (!spte_is_child(page->spt[slot]))
            continue;
        child = page_at(a->shadow, spte_child(page->spt[slot]))->role;
        if (child.smm != page->role.smm || child.guest_mode != page->role.guest_mode ||
            child.stage2 != page->role.stage2 || child.ndom != page->role.ndom)
            return audit_broken(a, "page %u slot %u: child of another world", index, slot);
    }
    return true;
}

/* ---- hash, links, sets ---- */

static bool unique(struct audit *a, const struct shadow_page *page, u32 index)
{
    u32 same = 0;

    for (u32 i = page_first(a->shadow, page->frame); i != 0; i = page_next(a->shadow, i))
        same += page_at(a->shadow, i)->role.word == page->role.word;
    return same == 1 || audit_broken(a, "page %u: %u pages with its identity", index, same);
}

/* The other way round: a slot on the list leads here. */
static bool parents_true(struct audit *a, const struct shadow_page *page, u32 index)
{
    slot_ref before = 0;

    for (slot_ref at = page->parents; at != 0;) {
        const struct shadow_page *parent = page_at(a->shadow, at >> SLOT_BITS);
        const u32 slot = at & (SLOTS - 1);

        if (parent->serial == 0 || parent->link == NULL || !spte_is_child(parent->spt[slot]) ||
            spte_child(parent->spt[slot]) != index || parent->link[slot].prev != before)
            return audit_broken(a, "page %u: parent %u slot %u does not point back", index,
                                at >> SLOT_BITS, slot);
        before = at;
        at = parent->link[slot].next;
    }
    return true;
}

/* As many list nodes as links, so that no link is without its node. */
static bool links_counted(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u64 links = 0, nodes = 0;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        const struct shadow_page *page = page_at(shadow, i);
        u32 present = 0;

        for (u32 slot = 0; slot < SLOTS; slot++) {
            present += page->spt[slot] != 0;
            links += spte_is_child(page->spt[slot]);
        }
        if (present != page->present)
            return audit_broken(a, "page %u: %u entries counted as %u", i, present, page->present);
        if (!parents_true(a, page, i))
            return false;
        for (slot_ref at = page->parents; at != 0; nodes++)
            at = page_at(shadow, at >> SLOT_BITS)->link[at & (SLOTS - 1)].next;
    }
    return links == nodes || audit_broken(a, "%llu links, %llu list nodes",
                                          (unsigned long long)links, (unsigned long long)nodes);
}

/* As many nodes on the lists of leaves as leaves that should be there, each on its own. */
static bool leaves_counted(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u64 leaves = 0, nodes = 0;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        const struct shadow_page *page = page_at(shadow, i);

        if (page_lists_leaves(page->role))
            leaves += page->present;
    }
    for (u32 list = 0; list < ARRAY_SIZE(shadow->leaves); list++) {
        slot_ref before = 0;

        for (slot_ref at = shadow->leaves[list]; at != 0 && nodes <= leaves; nodes++) {
            const struct shadow_page *page = page_at(shadow, at >> SLOT_BITS);
            const u64 spte = page->serial != 0 ? page->spt[at & (SLOTS - 1)] : 0;

            if (spte == 0 || !page_lists_leaves(page->role) ||
                leaf_list(a->shadow, spte) != &shadow->leaves[list] ||
                page->link[at & (SLOTS - 1)].prev != before)
                return audit_broken(a, "page %u slot %u is on list %u of leaves", at >> SLOT_BITS,
                                    at & (SLOTS - 1), list);
            before = at;
            at = page->link[at & (SLOTS - 1)].next;
        }
    }
    return leaves == nodes || audit_broken(a, "%llu combined leaves, %llu on lists",
                                           (unsigned long long)leaves, (unsigned long long)nodes);
}

static bool only_valid(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u32 before = 0, valid = 0, listed = 0;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        const struct shadow_page *page = page_at(shadow, i);

        if (page->serial == 0 || page->serial > shadow->serial || page->older != before)
            return audit_broken(a, "page %u is on the list, but not valid or not at its place", i);
        for (u32 slot = 0; page->link != NULL && slot < SLOTS; slot++) {
            if (spte_is_child(page->spt[slot]) &&
                page_at(shadow, spte_child(page->spt[slot]))->serial == 0)
                return audit_broken(a, "page %u slot %u: child %u is gone", i, slot,
                                    spte_child(page->spt[slot]));
        }
        before = i;
        listed++;
    }
    for (u32 i = 1; i < shadow->page_count; i++)
        valid += page_at(shadow, i)->serial != 0;
    return (valid == listed && before == shadow->newest) ||
           audit_broken(a, "%u valid pages, %u on the list", valid, listed);
}

static bool watchers_watch(struct audit *a, const struct shadow_page *page, u32 index)
{
    return !page_watches(page) ||
           (a->shadow->memory->frames[page->frame].flags & FRAME_SHADOW) != 0 ||
           audit_broken(a, "page %u: stores to frame %llx are not heard of", index,
                        (unsigned long long)page->frame);
}

static bool nobody_else_watched(struct audit *a)
{
    const struct memory *memory = a->shadow->memory;

    for (u64 frame = 0; frame < memory->frame_count; frame++) {
        bool wanted = (memory->frames[frame].flags & FRAME_SHADOW) == 0;

        for (u32 i = wanted ? 0 : page_first(a->shadow, frame); i != 0 && !wanted;
             i = page_next(a->shadow, i))
            wanted = page_watches(page_at(a->shadow, i));
        if (!wanted)
            return audit_broken(a, "frame %llx is watched for nobody", (unsigned long long)frame);
    }
    return true;
}

static bool unsync_alone(struct audit *a, const struct shadow_page *page, u32 index)
{
    for (u32 i = page->unsync == 0 ? 0 : page_first(a->shadow, page->frame); i != 0;
         i = page_next(a->shadow, i)) {
        const union shadow_role role = page_at(a->shadow, i)->role;

        if (!role.direct && role.level > 1)
            return audit_broken(a, "page %u: unsync, but page %u at its frame has level %u", index,
                                i, (u32)role.level);
    }
    return true;
}

static bool unsync_sound(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u32 places = 0, pages = 0;

    for (u32 i = 0; i < UNSYNC_MAX; i++) {
        const struct unsync *u = &shadow->unsync[i];
        const struct shadow_page *page = page_at(shadow, u->page);

        places += u->page != 0;
        if (u->page != 0 && (page->serial == 0 || page->unsync != i + 1 || u->snapshot == NULL))
            return audit_broken(a, "page %u: its place in the unsync set is not its own", u->page);
    }
    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        const struct shadow_page *page = page_at(shadow, i);

        if (page->unsync != 0 &&
            (page->role.level != 1 || page->role.direct || shadow->options.sync == SYNC_DROP))
            return audit_broken(a, "page %u may not be unsync", i);
        pages += page->unsync != 0;
    }
    return places == pages || audit_broken(a, "%u pages unsync, the set has %u", pages, places);
}

static bool budget_kept(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u32 blocks = 0, free_pages = 0, pages = 0;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        blocks += 1u + (page_at(shadow, i)->link != NULL) + (page_at(shadow, i)->unsync != 0);
        pages++;
    }
    if (blocks != shadow->blocks_used || blocks > shadow->block_max)
        return audit_broken(a, "%u blocks in use, %u counted, %u allowed", blocks,
                            shadow->blocks_used, shadow->block_max);
    for (u32 i = shadow->page_free; i != 0 && free_pages < shadow->page_count; free_pages++)
        i = page_at(shadow, i)->hash_next;
    return pages + free_pages + 1 == shadow->page_count ||
           audit_broken(a, "%u pages and %u free of %u", pages, free_pages, shadow->page_count);
}

/* ---- all of them ---- */

/* clang-format off */
static const struct invariant {
    u32 number;
    const char *statement;
    const char *reason; /* why it has no check */
    audit_page_check page;
    audit_check whole;
} invariants[] = {
    {15, "Only valid pages are on the list and below other pages.", .whole = only_valid},
    {7, "(frame, role) is unique, and found in the hash.", .page = unique},
    {3, "Entry size follows from the format; a page is direct, or has a format.",
        .page = roles_sound},
    {5, "A child is one level lower, grants no more than its parent and would pass the sync rule "
        "under it; only 4-byte tables have quadrants.", .page = child_roles_follow},
    {23, "A child belongs to its parent's world: SMM or not, nested or not, stage, domain.",
        .page = worlds_apart},
    {13, "The list of parents of a page holds exactly the slots that lead to it; entries are "
        "counted.", .whole = links_counted},
    {13, "The lists of leaves hold exactly the combined leaves of level 1.",
        .whole = leaves_counted},
    {10, "Only tables of level 1 are unsync, never under drop, each with its own place and "
        "snapshot.", .whole = unsync_sound},
    {1, "A leaf of a synced page equals what the guest's entry gives under the page's role, a "
        "combined one together with a leaf of the second stage that knows its domain; it is dirty "
        "only if the entries are, and they are accessed.", .page = audit_synced_leaves},
    {2, "A leaf of an unsync page equals what its snapshot of the guest's table gives.",
        .page = audit_unsync_leaves},
    {6, "A child stands for the table that the guest's entry points to, or a direct one for its "
        "large page, with the rights that the entry leaves.", .page = audit_children},
    {20, "A direct page maps a run of frames, nested-physical ones in combined pages, with the "
        "rights, key and dirtiness of its role.",
        .page = audit_pieces},
    {4, "No refresh was ever refused by the sync rule.", .whole = never_mismatched},
    {8, "A frame is watched if a page in step has entries from it.", .page = watchers_watch},
    {8, "A frame is watched only if a page in step has entries from it.",
        .whole = nobody_else_watched},
    {9, "A table is not unsync while a page of higher level has its frame.",
        .page = unsync_alone},
    {27, "Blocks in use are what pages, links and snapshots take, within the quota; every zapped "
        "page is free again.", .whole = budget_kept},
    {16, "A context's roots are weak references: none names a page or a serial yet to come.",
        .whole = audit_roots_weak},
    {17, "A root that is still valid has its context's role and the table of CR3.",
        .whole = audit_roots_true},
    {18, "Under PAE the roots stand for the PDPTE registers, not for their memory.",
        .whole = audit_roots_of_registers},
    {19, "With 4-byte entries the four roots share a frame and have quadrants 0 to 3.",
        .whole = audit_roots_quadrants},
    {22, "A level-2 entry of the soft TLB came through pages that know it as a user, and grants "
        "no more than they do now.", .whole = audit_level2},
    {22, "So does a level-1 entry, whose tags allow no more than its bank's class and keys may.",
        .whole = audit_level1},
    {21, "A device page is never in level 1 of the soft TLB.", .whole = audit_no_devices},
    {12, "A write tag is found from its frame: by the hint there, or all are dropped together.",
        .whole = audit_writes_found},
    {14, "A write tag never leads to a frame whose stores somebody watches.",
        .whole = audit_writes_unwatched},

    {11, "Unsync children are counted in their parents.",
        .reason = "The unsync set is one bounded array; parents know nothing of it."},
    {24, "After INVEPT or INVPCID no root of that name is left.",
        .reason = "Roots have no names: a flush syncs pages whichever root leads to them, and "
                  "under strict and drop there is nothing to flush."},
    {25, "What a walk allows, the next refill allows.",
        .reason = "About two steps. A refill is answered by the walk itself and never retried, so "
                  "it cannot loop; the tests compare walks and accesses."},
    {26, "Equal runs have equal digests.",
        .reason = "About two runs: shadow_digest() is for that."},
};
/* clang-format on */

const char *shadow_invariant(u32 number, bool *is_checked)
{
    for (size_t i = 0; i < ARRAY_SIZE(invariants); i++) {
        if (invariants[i].number != number)
            continue;
        *is_checked = invariants[i].reason == NULL;
        return *is_checked ? invariants[i].statement : invariants[i].reason;
    }
    return NULL;
}

bool shadow_audit(struct shadow *shadow, char *report, size_t size)
{
    struct audit a = {shadow, 0, report, size};

    for (size_t k = 0; k < ARRAY_SIZE(invariants); k++) {
        const struct invariant *v = &invariants[k];

        a.number = v->number;
        for (u32 i = v->page != NULL ? shadow->oldest : 0; i != 0; i = page_at(shadow, i)->newer) {
            if (!v->page(&a, page_at(shadow, i), i))
                return false;
        }
        if (v->whole != NULL && !v->whole(&a))
            return false;
    }
    return true;
}
