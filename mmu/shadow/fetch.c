/* SPDX-License-Identifier: MIT */
/*
 * Asking the shadow, and entering in it what a real walk found.
 *
 * The order when building: the frame of a table is watched (its page made or found), then its entry
 * is read again and compared with what the walk read, then it is linked or entered. What changed in
 * between is left out and found by the next walk.
 */
#include "mmu/nested.h"
#include "mmu/shadow/shadow_impl.h"

#include <string.h>

enum { PREFETCH = 8 }; /* an aligned group of entries is entered at once */

_Static_assert(sizeof(((struct shadow_page *)0)->users) == 16, "page_use() reads two words");

/* ---- looking up ---- */

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

/* The same for a page of the second stage. Combined leaves depend on it through their domain, the
 * soft TLB of other contexts directly; neither by linear address. */
static ALWAYS_INLINE void page_use_second(const struct mmu_state *s, struct shadow_page *page)
{
    if (context_combined(s))
        page->domains |= BIT(s->context[s->current].domain);
    else
        page->users[s->index] = (u16)(page->users[s->index] | 1u << s->current);
    page->mixed = true;
    page->stores = 0;
    page->recent = true;
}

static ALWAYS_INLINE void page_use_any(const struct mmu_state *s, struct shadow_page *page, u64 at)
{
    if (page->role.stage2)
        page_use_second(s, page);
    else
        page_use(s, page, at);
}

/* What is known of an address: as in level 2 of the soft TLB, and the size of its page. */
struct found_leaf {
    u64 data;
    u8 shift;
};

/* What a leaf of a page of this level says of an address. */
static ALWAYS_INLINE struct found_leaf leaf_at(u32 level, u64 spte, u64 at)
{
    return (struct found_leaf){
        .data = (spte & ~(SPTE_PRESENT | SPTE_LEAF)) |
                (at & (BIT(level_shift(level)) - 1) & ~PAGE_OFFSET_MASK),
        .shift = (u8)level_shift(level),
    };
}

/* Pages of level 1 under different stamps have different tags. */
static ALWAYS_INLINE u64 place_tag(const struct mmu_state *s, u64 at)
{
    return at >> level_shift(2) << STAMP_BITS | s->context[s->current].stamp;
}

/* The same address has different places in different stages. */
static ALWAYS_INLINE struct shadow_place *place_of(struct mmu_state *s, bool second, u64 at)
{
    const u32 mix = s->current * 0x35 ^ (second ? SHADOW_PLACES / 2 : 0u);

    return &s->place[((u32)(at >> level_shift(2)) ^ mix) & (SHADOW_PLACES - 1)];
}

static ALWAYS_INLINE void note_last(struct shadow *shadow, bool second, u32 page)
{
    if (!second) {
        shadow->last_page = page;
        shadow->last_changes = shadow->changes;
    }
}

/* The way down from the root of a stage. false: it ends before a leaf. */
static NOINLINE bool descend(struct mmu_state *s, const bool second, u64 at,
                             struct found_leaf *found)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_page *page = root_page(s, second, at);
    u64 spte;

    if (page == NULL)
        return false;
    for (;;) {
        if (unlikely(page->unsync != 0) && shadow->options.sync == SYNC_STRICT &&
            !sync_page(s, page_index(shadow, page), false))
            return false;
        spte = page->spt[slot_of(at, page->role.level)];
        if (!spte_is_child(spte))
            break;
        page_use_any(s, page, at);
        page = page_at(shadow, spte_child(spte));
    }
    if (page->role.level == 1)
        *place_of(s, second, at) =
            (struct shadow_place){place_tag(s, at), shadow->changes, page_index(shadow, page)};
    note_last(shadow, second, page_index(shadow, page));
    if (spte == 0)
        return false;
    page_use_any(s, page, at);
    *found = leaf_at(page->role.level, spte, at);
    return true;
}

/* The leaf for an address in a stage of the current context: in a page of level 1 to which the way
 * is known, or on the way from the root. false: there is none. */
static ALWAYS_INLINE bool look(struct mmu_state *s, const bool second, u64 at,
                               struct found_leaf *found)
{
    struct shadow *shadow = s->memory->shadow;
    const struct shadow_place *place = place_of(s, second, at);
    struct shadow_page *page = page_at(shadow, place->page);
    u64 spte;

    if (unlikely(place->tag != place_tag(s, at) || place->changes != shadow->changes ||
                 page->unsync != 0))
        return descend(s, second, at, found);
    note_last(shadow, second, place->page);
    spte = page->spt[slot_of(at, 1)];
    if (spte == 0)
        return false;
    if (second)
        page_use_second(s, page);
    else
        page_use(s, page, at);
    *found = leaf_at(1, spte, at);
    return true;
}

bool shadow_lookup_second(struct mmu_state *s, u64 at, u64 *data, u8 *shift)
{
    struct shadow *shadow = s->memory->shadow;
    struct found_leaf found;

    shadow->stats.second_lookups++;
    if (!look(s, true, at, &found))
        return false;
    shadow->stats.second_hits++;
    *data = found.data;
    *shift = found.shift;
    return true;
}

static COLD bool lookup_without_first(struct mmu_state *s, u64 at, u64 *data)
{
    u8 shift;

    /* The first stage is walked, or there is none. */
    return s->context[s->current].first.rules.format->root_level == 0 &&
           shadow_lookup_second(s, at, data, &shift);
}

bool shadow_lookup(struct mmu_state *s, u64 va, u64 *data)
{
    struct shadow *shadow = s->memory->shadow;
    struct found_leaf found;

    shadow->last_page = 0;
    if (unlikely(context_nested(s)) && !context_combined(s))
        return lookup_without_first(s, va, data);
    shadow->stats.lookups++;
    if (!look(s, false, va, &found))
        return false;
    shadow->stats.hits++;
    *data = found.data;
    return true;
}

/* The page of level 1 where the last lookup of a first stage ended, if the way to it stands. */
static ALWAYS_INLINE struct shadow_page *last_place(const struct mmu_state *s)
{
    const struct shadow *shadow = s->memory->shadow;
    struct shadow_page *page = page_at(shadow, shadow->last_page);

    if (shadow->last_page == 0 || shadow->last_changes != shadow->changes ||
        page->role.level != 1 || page->role.direct || page->unsync != 0)
        return NULL;
    return page;
}

bool shadow_may_set(struct mmu_state *s, const struct accessor *who)
{
    const struct shadow *shadow = s->memory->shadow;
    const struct pt_rules *rules = &stage_of(s, false)->rules;
    const struct shadow_page *page = last_place(s), *parent;
    u64 at, data;
    u32 slot;
    u8 shift;

    if (page == NULL || page->parents == 0)
        return false;
    parent = page_at(shadow, page->parents >> SLOT_BITS);
    slot = page->parents & (SLOTS - 1);
    if (parent->link[slot].next != 0)
        return false; /* several lead here, maybe by different addresses */
    at = slot_entry(shadow, parent, slot) & rules->address;
    return at >> stage_of(s, true)->rules.format->linear_bits == 0 &&
           shadow_lookup_second(s, at, &data, &shift) &&
           tlb2_grants(who, ACCESS_READ | ACCESS_WRITE, data) && last_place(s) == page;
}

/* What the second stage says of an address for which nothing was asked: without refreshing. */
static bool second_peek(struct mmu_state *s, u64 at, u64 *data)
{
    struct shadow *shadow = s->memory->shadow;
    const bool reached = at >> stage_of(s, true)->rules.format->linear_bits == 0;
    struct shadow_page *page = reached ? root_page(s, true, at) : NULL;

    while (page != NULL && page->unsync == 0) {
        const u64 spte = page->spt[slot_of(at, page->role.level)];

        if (spte == 0)
            return false;
        page_use_second(s, page);
        if ((spte & SPTE_LEAF) != 0) {
            *data = leaf_at(page->role.level, spte, at).data;
            return true;
        }
        page = page_at(shadow, spte_child(spte));
    }
    return false;
}

/* ---- what entries say ---- */

/* Does the table still say what the walk read? Its own accessed and dirty flags apart, which
 * PDPTEs in memory have not. */
static ALWAYS_INLINE bool entry_stands(const struct pt_rules *rules, u32 level, const u8 *host,
                                       u64 entry)
{
    const struct pt_format *f = rules->format;
    const u64 flags = level <= f->root_level ? rules->accessed | rules->dirty : 0;

    return ((pt_load(host, f->entry_bytes) ^ entry) & ~flags) == 0;
}

static bool step_stands(const struct pt_rules *rules, const struct walk_step *step)
{
    return entry_stands(rules, step->level, step->host, step->entry);
}

/* What a leaf says of the rights of its stage, in a page with this role; the other stage's are not
 * in the way. */
static ALWAYS_INLINE u64 leaf_rights(const struct pt_rules *rules, union shadow_role role,
                                     u64 entry)
{
    const bool dirty = (entry & rules->dirty) == rules->dirty;
    const u64 rights = rules->rights(entry);

    if (role.stage2)
        return (rights & role.access2) << TLB2_RIGHTS2_SHIFT | (dirty ? TLB2_DIRTY2 : 0) |
               RIGHTS_ALL | TLB2_DIRTY;
    return (rights & role.access) | (dirty ? (u64)TLB2_DIRTY : 0) | TLB2_NO_STAGE2;
}

/* n: the page's level. */
static ALWAYS_INLINE u64 leaf_of_level(const struct pt_rules *rules, union shadow_role role, u32 n,
                                       u32 slot, u64 entry)
{
    const struct pt_format *f = rules->format;
    u64 leaf;

    if (is_pdpt(role) || (entry & rules->present) == 0 || (entry & rules->page[n]) == 0 ||
        (entry & rules->reserved_page[n]) != 0 || !pt_pattern_legal(rules, entry))
        return 0;
    leaf = pt_page(rules, entry, n) | SPTE_PRESENT | SPTE_LEAF | leaf_rights(rules, role, entry);
    if (role.has_4_byte_gpte && n == 2)
        leaf += (u64)(slot & 1) << level_shift(2);
    leaf |= f->keys && !role.stage2 ? bits_get(entry, 62, 59) << TLB2_KEY_SHIFT : 0;
    return leaf;
}

u64 leaf_of(const struct pt_rules *rules, union shadow_role role, u32 slot, u64 entry)
{
    return leaf_of_level(rules, role, role.level, slot, entry);
}

u64 slot_derive(struct mmu_state *s, const struct shadow_page *page, u32 slot)
{
    const struct pt_rules *rules = &stage_of(s, page->role.stage2)->rules;
    const u64 entry = slot_entry(s->memory->shadow, page, slot);
    u64 leaf, second;

    if ((entry & rules->accessed) != rules->accessed)
        return 0;
    leaf = leaf_of(rules, page->role, slot, entry);
    if (leaf == 0 || !page->role.combined)
        return leaf;
    if (page->role.level > 1 || !second_peek(s, leaf & SPTE_ADDRESS, &second))
        return 0;
    return tlb2_join(leaf, second);
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
        sync_reachable(s, role.stage2);
    shadow->stats.pages_reused++;
    return found;
}

/* first: how the walk entered its first table. */
static struct shadow_page *root_get(struct mmu_state *s, bool second, u64 at,
                                    const struct walk_step *first)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_root *root = root_slot(stage_of(s, second), at);
    union shadow_role role = stage_role(s, second);
    struct shadow_page *page = root_page(s, second, at);

    if (page != NULL)
        return page;
    role.quadrant = role.has_4_byte_gpte ? at >> 30 & 3 : 0u;
    role.pdpt = is_pdpt(role) ? (uintptr_t)first->host / 32 & 127 : 0u;
    root->page = page_get(s, first->frame, role);
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

/* The first entry of a group brings the others that the guest has used already. */
static NOINLINE void prefetch(struct mmu_state *s, struct shadow_page *page, u32 slot)
{
    struct shadow *shadow = s->memory->shadow;
    const u32 first = slot & ~(PREFETCH - 1u);
    u64 others = 0;

    page->tried = (u8)(slot / PREFETCH + 1);
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

/* What a walk found, to be entered. */
struct found {
    bool second; /* in the second stage */
    u64 at; /* the address that was translated */
    const struct translation *t; /* through the tables of this stage */
    u64 data; /* as in level 2 of the soft TLB */
    u8 page_shift; /* in combined pages, of both stages the lesser */
    u64 piece; /* where pieces count from: in combined pages nested-physical, else as data */
};

/* A large guest page in smaller entries: direct pages below the slot, down to the goal. In combined
 * pages each piece may be elsewhere, with rights of its own in the second stage. */
static struct shadow_page *cut(struct mmu_state *s, struct shadow_page *page,
                               const struct found *found, u32 goal)
{
    const bool combined = page->role.combined;
    const struct shadow_piece piece = {
        .access = (u32)found->data & RIGHTS_ALL,
        .access2 = combined ? 15u : found->data >> TLB2_RIGHTS2_SHIFT & 15,
        .key = (u8)(found->data >> TLB2_KEY_SHIFT & 15),
        .dirty = (found->data & TLB2_DIRTY) != 0,
        .dirty2 = combined || (found->data & TLB2_DIRTY2) != 0,
    };

    while (page->role.level > goal) {
        const u32 level = page->role.level;
        const u64 frame = (found->piece & ~(BIT(level_shift(level)) - 1)) >> PAGE_SHIFT;

        struct shadow_page *child = child_get(s, page, slot_of(found->at, level), frame,
                                              shadow_piece_role(page->role, &piece));

        page_use_any(s, page, found->at);
        page = child;
    }
    return page;
}

/* The page of the walk's last table, with all above it; NULL if a table changed meanwhile. There
 * must be room. */
static struct shadow_page *build(struct mmu_state *s, const struct found *found)
{
    const struct pt_rules *rules = &stage_of(s, found->second)->rules;
    const struct translation *t = found->t;
    struct shadow_page *page = root_get(s, found->second, found->at, &t->step[0]);
    u32 granted = rules->rights_all;

    for (u32 i = 0; i + 1u < t->steps; i++) {
        const u32 slot = slot_of(found->at, page->role.level);
        struct shadow_page *child;
        union shadow_role role;

        if (!step_stands(rules, &t->step[i]))
            return NULL;
        if (!is_pdpt(page->role)) /* which grants all */
            granted &= rules->rights(t->step[i].entry);
        role = found->second ? shadow_child_role(page->role, slot, RIGHTS_ALL, granted)
                             : shadow_child_role(page->role, slot, granted, 15);
        child = child_get(s, page, slot, t->step[i + 1].frame, role);
        page_use_any(s, page, found->at); /* after the slot changed, which revokes */
        child->fixed = t->step[i + 1].fixed;
        page = child;
    }
    return page;
}

/* Put a leaf into a page for an address, and what can be had beside it. */
static ALWAYS_INLINE void leaf_enter(struct mmu_state *s, struct shadow_page *page, u64 at,
                                     u64 data)
{
    const u32 slot = slot_of(at, page->role.level);

    slot_replace(s->memory->shadow, page, slot, data | SPTE_PRESENT | SPTE_LEAF);
    page_use_any(s, page, at); /* after the slot changed, which revokes */
    if (!page->role.direct && page->tried != slot / PREFETCH + 1)
        prefetch(s, page, slot);
}

/* Enter it. There must be room. */
static bool enter(struct mmu_state *s, const struct found *found)
{
    struct shadow *shadow = s->memory->shadow;
    const struct pt_rules *rules = &stage_of(s, found->second)->rules;
    const struct translation *t = found->t;
    struct shadow_page *page;
    u32 goal;

    shadow->stats.fetches++;
    page = build(s, found);
    if (page == NULL || !step_stands(rules, &t->step[t->steps - 1])) {
        shadow->stats.retries++;
        return false;
    }
    goal = page->role.level;
    while (goal > 1 && (shadow->options.small_pages || level_shift(goal) > found->page_shift))
        goal--;
    if (goal != page->role.level)
        page = cut(s, page, found, goal);
    leaf_enter(s, page, found->at,
               (found->data & ~(BIT(level_shift(goal)) - 1)) | (found->data & PAGE_OFFSET_MASK));
    return true;
}

bool shadow_last(struct mmu_state *s, u64 va, struct shadow_last *last)
{
    const struct shadow_page *page = last_place(s);
    const struct pt_rules *rules = &stage_of(s, false)->rules;
    u64 leaf;
    u32 slot;

    if (page == NULL)
        return false;
    slot = slot_of(va, 1);
    last->page = page;
    last->host = slot_host(s->memory->shadow, page, slot);
    last->fixed = page->fixed;
    last->entry = pt_load(last->host, rules->format->entry_bytes);
    leaf = leaf_of_level(rules, page->role, 1, slot, last->entry);
    last->data = leaf & ~(SPTE_PRESENT | SPTE_LEAF);
    last->stop = leaf != 0                             ? WALK_DONE
                 : (last->entry & rules->present) == 0 ? WALK_NOT_PRESENT
                                                       : WALK_RESERVED_BIT;
    return true;
}

bool shadow_fetch_last(struct mmu_state *s, u64 va, const struct shadow_last *last, u64 data)
{
    struct shadow *shadow = s->memory->shadow;
    struct shadow_page *page = last_place(s);

    shadow->stats.fetches++;
    if (page == NULL || page != last->page ||
        !entry_stands(&stage_of(s, false)->rules, 1, last->host, last->entry)) {
        shadow->stats.retries++;
        return false;
    }
    leaf_enter(s, page, va, data);
    return true;
}

static bool tables_in_memory(const struct translation *t)
{
    for (u32 i = 0; i < t->steps; i++) {
        if (t->step[i].host == NULL)
            return false;
    }
    return true;
}

bool shadow_fetch(struct mmu_state *s, u64 va, const struct translation *t, bool write)
{
    const struct found found = {
        .at = va,
        .t = t,
        .data = tlb2_data(t, write),
        .page_shift = t->page_shift,
        .piece = t->gpa.v,
    };

    if (!tables_in_memory(t))
        return false;
    page_reserve(s->memory->shadow);
    return enter(s, &found);
}

/* ---- nested guests ---- */

u64 shadow_begin_nested(struct mmu_state *s)
{
    if (context_combined(s))
        domain_begin(s);
    return s->memory->shadow->changes;
}

bool shadow_fetch_second(struct mmu_state *s, u64 at, const struct translation *t, bool write)
{
    const struct found found = {
        .second = true,
        .at = at,
        .t = t,
        .data = (t->gpa.v & ~PAGE_OFFSET_MASK) | RIGHTS_ALL | TLB2_DIRTY |
                (u64)t->rights << TLB2_RIGHTS2_SHIFT | (t->dirty || write ? TLB2_DIRTY2 : 0),
        .page_shift = t->page_shift,
        .piece = t->gpa.v,
    };

    if (!tables_in_memory(t))
        return false;
    page_reserve(s->memory->shadow);
    return enter(s, &found);
}

bool shadow_fetch_nested(struct mmu_state *s, u64 va, const struct nested_walk *n, bool write,
                         u64 begun)
{
    struct shadow *shadow = s->memory->shadow;
    const struct found found = {
        .at = va,
        .t = &n->t,
        .data = tlb2_data(&n->t, write),
        .page_shift = n->t.page_shift,
        .piece = n->nested.v,
    };
    const bool combined = context_combined(s);
    const u32 ndom = context_ndom(s);

    if (!tables_in_memory(&n->t))
        return false;
    if (combined)
        page_reserve(shadow);
    /* What the walk learned of the second stage stands: nothing was taken away since it began. */
    if (shadow->changes != begun)
        return false;
    if (!combined)
        return nested_depend(s, n);
    return enter(s, &found) && context_ndom(s) == ndom;
}
