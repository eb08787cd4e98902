/* SPDX-License-Identifier: MIT */
/*
 * Asking the shadow, and entering in it what a real walk found.
 *
 * The order when building: the frame of a table is watched (its page made or found), then its entry
 * is read again and compared with what the walk read, then it is linked or entered. What changed in
 * between is left out and found by the next walk.
 */
#include "mmu/shadow/shadow_impl.h"

#include <string.h>

enum { PREFETCH = 8 }; /* an aligned group of entries is entered at once */

_Static_assert(sizeof(((struct shadow_page *)0)->users) == 16, "page_use() reads two words");

union shadow_role context_root_role(const struct mmu_state *s)
{
    return shadow_root_role(context_role(s), s->memory->shadow->options.kvm_parity);
}

/* ---- roots ---- */

static struct shadow_root *root_slot(struct mmu_state *s, u64 va)
{
    struct mmu_context *context = &s->context[s->current];

    /* Formats that start at level 2 have a root per GiB. */
    return &context->root[context->rules.format->root_level == 2 ? va >> 30 & 3 : 0];
}

static struct shadow_page *root_page(struct mmu_state *s, u64 va)
{
    const struct shadow_root *root = root_slot(s, va);
    struct shadow_page *page = page_at(s->memory->shadow, root->page);

    return root->page != 0 && page->serial == root->serial ? page : NULL;
}

/* Note that translations of the current context are about to come through the page. */
static ALWAYS_INLINE void page_use(const struct mmu_state *s, struct shadow_page *page, u64 va)
{
    const u64 base = va & ~(BIT(level_shift(page->role.level) + SLOT_BITS) - 1);
    u64 users[MEMORY_CPUS / 4];

    memcpy(users, page->users, sizeof(users));
    if ((users[0] | users[1]) == 0) {
        page->base = base;
        page->mixed = false;
    } else if (page->base != base) {
        page->mixed = true;
    }
    page->users[s->index] = (u16)(page->users[s->index] | 1u << s->current);
    page->stores = 0;
    page->recent = true;
}

bool shadow_lookup(struct mmu_state *s, u64 va, u64 *data)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_page *page = root_page(s, va);
    u64 spte;

    shadow->stats.lookups++;
    shadow->missed_page = 0;
    if (unlikely(page == NULL))
        return false;
    for (;;) {
        if (unlikely(page->unsync != 0) && shadow->options.sync == SYNC_STRICT &&
            !sync_page(s, page_index(shadow, page), false))
            return false;
        spte = page->spt[slot_of(va, page->role.level)];
        if (spte == 0) {
            shadow->missed_page = page_index(shadow, page);
            shadow->missed_changes = shadow->changes;
            return false;
        }
        page_use(s, page, va);
        if ((spte & SPTE_LEAF) != 0)
            break;
        page = page_at(shadow, spte_child(spte));
    }
    shadow->stats.hits++;
    *data = (spte & ~(SPTE_PRESENT | SPTE_LEAF)) |
            (va & (BIT(level_shift(page->role.level)) - 1) & ~PAGE_OFFSET_MASK);
    return true;
}

/* ---- building ---- */

/* The page (frame, role): found and in step with its table, or made. */
static u32 page_get(struct mmu_state *s, u64 frame, union shadow_role role)
{
    struct shadow *shadow = s->memory->shadow;
    u32 found;
    u32 next;

    /* From now on the frame is watched for good: what is unsync there has no meaning any more. */
    for (u32 i = role.level > 1 && !role.direct ? page_first(shadow, frame) : 0; i != 0; i = next) {
        next = page_next(shadow, i);
        if (page_at(shadow, i)->unsync != 0)
            page_zap(shadow, i);
    }
    found = page_find(shadow, frame, role);
    if (found != 0 && page_at(shadow, found)->unsync != 0 &&
        !sync_page(s, found, shadow->options.sync == SYNC_LAZY))
        found = 0;
    if (found == 0)
        return page_make(shadow, frame, role);
    /* Hung in at a place where nothing was, it takes unsync pages there that no flush need follow:
     * what the processor never translated it cannot have kept. */
    if (shadow->options.sync == SYNC_LAZY && role.level > 1 && !role.direct)
        sync_reachable(s);
    shadow->stats.pages_reused++;
    return found;
}

static struct shadow_page *root_get(struct mmu_state *s, u64 va, u64 frame)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_root *root = root_slot(s, va);
    union shadow_role role = context_root_role(s);
    struct shadow_page *page = root_page(s, va);

    if (page != NULL)
        return page;
    role.quadrant = role.has_4_byte_gpte ? va >> 30 & 3 : 0u;
    root->page = page_get(s, frame, role);
    root->serial = page_at(shadow, root->page)->serial;
    shadow->stats.roots_made++;
    return page_at(shadow, root->page);
}

/* The page below a slot: the one that is linked, if it is the right one, else found or made. */
static struct shadow_page *child_get(struct mmu_state *s, struct shadow_page *page, u32 slot,
                                     u64 frame, union shadow_role role)
{
    struct shadow *shadow = s->memory->shadow;
    const u64 spte = page->spt[slot];
    u32 child;

    if (spte_is_child(spte)) {
        const struct shadow_page *linked = page_at(shadow, spte_child(spte));

        if (same_identity(linked->frame, linked->role, frame, role) && linked->unsync == 0)
            return page_at(shadow, spte_child(spte));
    }
    child = page_get(s, frame, role);
    if (!spte_is_child(page->spt[slot]) || spte_child(page->spt[slot]) != child)
        slot_link(shadow, page, slot, child);
    return page_at(shadow, child);
}

/* Does the table still say what the walk read? Its own accessed and dirty flags apart. */
static bool entry_stands(const struct pt_format *f, const struct walk_step *step)
{
    return ((load_le(step->host, f->entry_bytes) ^ step->entry) & ~(f->accessed | f->dirty)) == 0;
}

u64 leaf_of(const struct pt_rules *rules, union shadow_role role, u32 slot, u64 entry)
{
    const struct pt_format *f = rules->format;
    const u32 n = role.level;
    u64 leaf;

    if ((entry & f->present) == 0 || (entry & rules->page[n]) == 0 ||
        (entry & rules->reserved_page[n]) != 0)
        return 0;
    leaf = pt_page(rules, entry, n) | SPTE_PRESENT | SPTE_LEAF | TLB2_NO_STAGE2;
    if (role.has_4_byte_gpte && n == 2)
        leaf += (u64)(slot & 1) << level_shift(2);
    leaf |= f->rights(entry) & role.access;
    leaf |= (entry & f->dirty) != 0 ? (u64)TLB2_DIRTY : 0;
    leaf |= f->keys ? bits_get(entry, 62, 59) << TLB2_KEY_SHIFT : 0;
    return leaf;
}

u64 slot_derive(const struct mmu_state *s, const struct shadow_page *page, u32 slot)
{
    const struct pt_rules *rules = &s->context[s->current].rules;
    const u64 accessed = rules->format->accessed;
    const u64 entry = slot_entry(s->memory->shadow, page, slot);

    return (entry & accessed) == accessed ? leaf_of(rules, page->role, slot, entry) : 0;
}

/* The first entry of a group brings the others that the guest has used already. */
static void prefetch(struct mmu_state *s, struct shadow_page *page, u32 slot)
{
    struct shadow *shadow = s->memory->shadow;
    const u32 first = slot & ~(PREFETCH - 1u);
    u64 others = 0;

    for (u32 i = first; i < first + PREFETCH; i++)
        others |= i != slot ? page->spt[i] : 0;
    if (others != 0)
        return;
    for (u32 i = first; i < first + PREFETCH; i++) {
        u64 leaf;

        if (page->spt[i] != 0)
            continue;
        leaf = slot_derive(s, page, i);
        if (leaf == 0)
            continue;
        slot_replace(shadow, page, i, leaf);
        shadow->stats.prefetched++;
    }
}

/* A large guest page in smaller entries: direct pages below the slot, down to the goal. */
static struct shadow_page *cut(struct mmu_state *s, struct shadow_page *page, u64 va, u32 goal,
                               const struct translation *t, u64 data)
{
    const struct shadow_piece piece = {
        .access = (u32)data & RIGHTS_ALL,
        .access2 = 15,
        .key = t->key,
        .dirty = (data & TLB2_DIRTY) != 0,
        .dirty2 = true,
    };

    while (page->role.level > goal) {
        const u32 level = page->role.level;
        const u64 frame = (t->gpa.v & ~(BIT(level_shift(level)) - 1)) >> PAGE_SHIFT;

        struct shadow_page *child =
            child_get(s, page, slot_of(va, level), frame, shadow_piece_role(page->role, &piece));

        page_use(s, page, va);
        page = child;
    }
    return page;
}

/* The page of the walk's last table, with all above it; NULL if a table changed meanwhile. */
static struct shadow_page *build(struct mmu_state *s, u64 va, const struct translation *t)
{
    const struct pt_format *f = s->context[s->current].rules.format;
    struct shadow_page *page;
    u32 access = RIGHTS_ALL;

    page_reserve(s->memory->shadow); /* may zap any page, so nothing is known before it */
    page = root_get(s, va, t->step[0].frame);
    for (u32 i = 0; i + 1u < t->steps; i++) {
        const u32 slot = slot_of(va, page->role.level);
        struct shadow_page *child;

        if (!entry_stands(f, &t->step[i]))
            return NULL;
        access &= f->rights(t->step[i].entry);
        child = child_get(s, page, slot, t->step[i + 1].frame,
                          shadow_child_role(page->role, slot, access, 15));
        page_use(s, page, va); /* after the slot changed, which revokes */
        page = child;
    }
    return page;
}

/* The page where the lookup before this fetch ended, if it is that of the walk's last table. What
 * is above it is in step with the tables: see shadow.changes. */
static struct shadow_page *missed(struct mmu_state *s, const struct walk_step *last)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_page *page = page_at(shadow, shadow->missed_page);

    if (shadow->missed_page == 0 || shadow->missed_changes != shadow->changes ||
        page->frame != last->frame || page->role.level != 1 || last->level != 1 ||
        page->unsync != 0)
        return NULL;
    return page;
}

bool shadow_fetch(struct mmu_state *s, u64 va, const struct translation *t, bool write)
{
    struct shadow *shadow = s->memory->shadow;
    const struct walk_step *last = &t->step[t->steps - 1];
    const u64 data = tlb2_data(t, write);
    struct shadow_page *page;
    u32 goal, slot;

    for (u32 i = 0; i < t->steps; i++) {
        if (t->step[i].host == NULL)
            return false;
    }
    shadow->stats.fetches++;
    page = missed(s, last);
    if (page == NULL)
        page = build(s, va, t);
    if (page == NULL || !entry_stands(s->context[s->current].rules.format, last)) {
        shadow->stats.retries++;
        return false;
    }

    goal = page->role.level;
    while (goal > 1 && (shadow->options.small_pages || level_shift(goal) > t->page_shift))
        goal--;
    if (goal != page->role.level)
        page = cut(s, page, va, goal, t, data);
    slot = slot_of(va, goal);
    slot_replace(shadow, page, slot,
                 (data & ~(BIT(level_shift(goal)) - 1)) | (data & PAGE_OFFSET_MASK) | SPTE_PRESENT |
                     SPTE_LEAF);
    page_use(s, page, va);
    if (!page->role.direct)
        prefetch(s, page, slot);
    return true;
}
