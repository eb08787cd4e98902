/* SPDX-License-Identifier: MIT */
/*
 * The part of the audit that holds the entries of shadow pages against the guest's tables. What a
 * combined page says is held against its own table and the shadow of the second stage, which is
 * held against its tables in turn. See mmu/shadow/audit.c.
 */
#include "mmu/shadow/audit.h"

static struct pt_rules rules_of(const struct audit *a, union shadow_role role)
{
    const union mmu_role cpu = {
        .format = role.fmt & 7u,
        .pse = role.pse,
        .nx = role.nx,
        .gbpages = role.gbpages,
        .bit8_reserved = role.bit8_reserved,
        .stage2 = role.stage2,
        .pdpt = is_pdpt(role),
        .ad = role.stage2 && !role.ad_disabled,
        .execonly = role.execonly,
        .mbec = role.mbec,
        .gmet = role.gmet,
    };
    struct pt_rules rules;

    pt_rules_init(&rules, cpu, a->shadow->memory->phys_bits);
    return rules;
}

/* The guest entry that a slot reflects: as it is, or as it was when its page went unsync. */
static u64 reflected(const struct audit *a, const struct shadow_page *page, u32 slot)
{
    if (page->unsync == 0)
        return slot_entry(a->shadow, page, slot);
    return pt_load(a->shadow->unsync[page->unsync - 1].snapshot + guest_offset(page->role, slot),
                   page->role.has_4_byte_gpte ? 4 : 8);
}

u64 audit_frame_at(const struct audit *a, u64 gpa, bool smm)
{
    struct memory *memory = a->shadow->memory;
    const u64 at = gpa & memory->a20_mask;
    const struct slot *slot = memory_slot(memory, at, smm);

    return slot_has_bytes(slot) ? slot->first_frame + ((at - slot->base) >> PAGE_SHIFT) : ~(u64)0;
}

/* Walks leave no accessed and dirty flags in ROM. */
static bool in_rom(const struct audit *a, u64 frame)
{
    const struct memory *memory = a->shadow->memory;

    for (u32 i = 0; i < memory->slots; i++) {
        const struct slot *slot = &memory->slot[i];

        if (slot->kind == SLOT_ROM && frame >= slot->first_frame &&
            frame < slot->first_frame + (slot->size >> PAGE_SHIFT))
            return true;
    }
    return false;
}

/* ---- the second stage ---- */

u32 audit_domain(const struct audit *a, u32 number)
{
    for (u32 i = 1; number != 0 && i < DOMAINS; i++) {
        if (a->shadow->domain[i].number == number)
            return i;
    }
    return 0;
}

/* The root page of a domain's second stage for an address; NULL: there is none. */
static const struct shadow_page *second_root(const struct audit *a, u32 domain, u64 at)
{
    const struct domain *d = &a->shadow->domain[domain];
    const union mmu_role cpu = {.word = d->role};
    union shadow_role role = shadow_root_role(cpu, a->shadow->options.kvm_parity);
    u32 index;

    role.quadrant = role.has_4_byte_gpte ? at >> 30 & 3 : 0u;
    role.pdpt = is_pdpt(role) ? d->root / 32 & 127 : 0u;
    index = page_find(a->shadow, audit_frame_at(a, d->root, false), role);
    return index != 0 ? page_at(a->shadow, index) : NULL;
}

u64 audit_second(const struct audit *a, u32 domain, u64 at)
{
    const union mmu_role cpu = {.word = a->shadow->domain[domain].role};
    const bool reached = at >> pt_formats[cpu.format].linear_bits == 0;
    const struct shadow_page *page = reached ? second_root(a, domain, at) : NULL;

    while (page != NULL && (page->domains >> domain & 1) != 0) {
        const u64 spte = page->spt[slot_of(at, page->role.level)];

        if (page->unsync != 0 && a->shadow->options.sync != SYNC_LAZY)
            return 0;
        if (!spte_is_child(spte))
            return spte == 0
                       ? 0
                       : spte | (at & (BIT(level_shift(page->role.level)) - 1) & ~PAGE_OFFSET_MASK);
        page = page_at(a->shadow, spte_child(spte));
    }
    return 0;
}

/* What a leaf should be whose page, in combined pages, is where the second stage says. */
static u64 through_second(const struct audit *a, const struct shadow_page *page, u64 leaf)
{
    const u64 from_second = SPTE_ADDRESS | TLB2_NO_STAGE2;
    u64 second;

    if (leaf == 0 || !page->role.combined)
        return leaf;
    second = audit_second(a, audit_domain(a, page->role.ndom), leaf & SPTE_ADDRESS);
    return second != 0 ? (leaf & ~from_second) | (second & from_second) : 0;
}

/* ---- leaves ---- */

/* Bits that may have come since the leaf was made: they are known at the next access. */
static u64 may_come(union shadow_role role)
{
    if (role.combined)
        return TLB2_DIRTY | TLB2_NO_STAGE2;
    return role.stage2 ? TLB2_DIRTY2 : (u64)TLB2_DIRTY;
}

/* The leaves of a page against entries as they are, or as its snapshot has them. */
static bool leaves_true(struct audit *a, const struct shadow_page *page, u32 index)
{
    const struct pt_rules rules = rules_of(a, page->role);
    const u64 later = may_come(page->role);

    for (u32 slot = 0; slot < SLOTS && !page_is_obsolete(a->shadow, page); slot++) {
        const u64 spte = page->spt[slot];
        u64 entry, expected;

        if ((spte & SPTE_LEAF) == 0)
            continue;
        entry = reflected(a, page, slot);
        expected = through_second(a, page, leaf_of(&rules, page->role, slot, entry));
        if (((spte ^ expected) & ~later) == 0 &&
            (((spte & ~expected) == 0 && (entry & rules.accessed) == rules.accessed) ||
             in_rom(a, page->frame)))
            continue;
        return audit_broken(a, "page %u slot %u: %016llx, but its table says %016llx", index, slot,
                            (unsigned long long)spte, (unsigned long long)expected);
    }
    return true;
}

bool audit_synced_leaves(struct audit *a, const struct shadow_page *page, u32 index)
{
    return page->role.direct || page->unsync != 0 || leaves_true(a, page, index);
}

bool audit_unsync_leaves(struct audit *a, const struct shadow_page *page, u32 index)
{
    return page->unsync == 0 || leaves_true(a, page, index);
}

/* ---- children ---- */

/* A direct page below a large entry. expected: the leaf that the entry would make. */
static bool piece_true(struct audit *a, const struct shadow_page *page, u32 index, u32 slot,
                       u64 expected)
{
    const struct shadow_page *child = page_at(a->shadow, spte_child(page->spt[slot]));
    const union shadow_role role = child->role;
    const u64 access2 = role.combined ? 15 : expected >> TLB2_RIGHTS2_SHIFT & 15;
    const bool clean = (role.dirty && (expected & TLB2_DIRTY) == 0) ||
                       (role.dirty2 && !role.combined && (expected & TLB2_DIRTY2) == 0);

    if (expected == 0)
        return audit_broken(a, "page %u slot %u: a piece of no large page", index, slot);
    if (child->frame != (expected & SPTE_ADDRESS) >> PAGE_SHIFT)
        return audit_broken(a, "page %u slot %u: piece at frame %llx, the table says %llx", index,
                            slot, (unsigned long long)child->frame,
                            (unsigned long long)(expected & SPTE_ADDRESS) >> PAGE_SHIFT);
    if (role.access != (expected & RIGHTS_ALL) || role.access2 != access2 ||
        role.key != ((expected >> TLB2_KEY_SHIFT) & 15) || (clean && !in_rom(a, page->frame)))
        return audit_broken(a, "page %u slot %u: a piece of another large page", index, slot);
    return true;
}

/* Does an entry point to a table? */
static bool leads_to_table(const struct pt_rules *rules, union shadow_role role, u64 entry)
{
    if (is_pdpt(role))
        return (entry & rules->present) != 0 && (entry & rules->reserved_root) == 0;
    return (entry & rules->present) != 0 && (entry & rules->page[role.level]) == 0 &&
           (entry & rules->reserved_table[role.level]) == 0 && pt_pattern_legal(rules, entry);
}

/* The frame of the table that an entry points to. */
static u64 table_frame(const struct audit *a, const struct shadow_page *page, u64 at)
{
    if (page->role.combined)
        at = audit_second(a, audit_domain(a, page->role.ndom), at) & SPTE_ADDRESS;
    return audit_frame_at(a, at, page->role.smm);
}

static bool child_true(struct audit *a, const struct shadow_page *page, u32 index, u32 slot,
                       const struct pt_rules *rules)
{
    const struct shadow_page *child = page_at(a->shadow, spte_child(page->spt[slot]));
    const u64 entry = slot_entry(a->shadow, page, slot);
    const u32 granted = is_pdpt(page->role) ? rules->rights_all : rules->rights(entry);
    u64 frame;

    if (child->role.direct)
        return piece_true(a, page, index, slot, leaf_of(rules, page->role, slot, entry));
    if (!leads_to_table(rules, page->role, entry))
        return audit_broken(a, "page %u slot %u: a child below entry %llx, which has none", index,
                            slot, (unsigned long long)entry);
    frame = table_frame(a, page, entry & rules->address);
    if (child->frame != frame)
        return audit_broken(a, "page %u slot %u: child at frame %llx, the table says %llx", index,
                            slot, (unsigned long long)child->frame, (unsigned long long)frame);
    if (page->role.stage2 ? child->role.access2 != (page->role.access2 & granted)
                          : child->role.access != (page->role.access & granted))
        return audit_broken(a, "page %u slot %u: child with access %u and %u", index, slot,
                            (u32)child->role.access, (u32)child->role.access2);
    return true;
}

bool audit_children(struct audit *a, const struct shadow_page *page, u32 index)
{
    struct pt_rules rules;

    if (page->role.level == 1 || page->role.direct || page_is_obsolete(a->shadow, page))
        return true;
    rules = rules_of(a, page->role);
    for (u32 slot = 0; slot < SLOTS; slot++) {
        if (spte_is_child(page->spt[slot]) && !child_true(a, page, index, slot, &rules))
            return false;
    }
    return true;
}

/* ---- pieces ---- */

/* Does a leaf of a direct page grant what the page's role says? */
static bool piece_grants(u64 spte, union shadow_role role)
{
    const u64 access2 = spte >> TLB2_RIGHTS2_SHIFT & 15;

    return (spte & RIGHTS_ALL) == role.access && ((spte & TLB2_DIRTY) == 0 || role.dirty) &&
           ((spte >> TLB2_KEY_SHIFT) & 15) == role.key &&
           (role.combined ||
            (access2 == role.access2 && ((spte & TLB2_DIRTY2) == 0 || role.dirty2)));
}

static bool piece_leaf(struct audit *a, const struct shadow_page *page, u32 index, u32 slot, u64 at)
{
    const u64 spte = page->spt[slot];
    u64 second = at | TLB2_NO_STAGE2;

    if (page->role.combined)
        second = audit_second(a, audit_domain(a, page->role.ndom), at);
    if ((spte & SPTE_ADDRESS) != (second & SPTE_ADDRESS) || (spte & TLB2_NO_STAGE2 & ~second) != 0)
        return audit_broken(a, "page %u slot %u: %016llx, should be %016llx", index, slot,
                            (unsigned long long)spte, (unsigned long long)second);
    return piece_grants(spte, page->role) ||
           audit_broken(a, "page %u slot %u: %016llx grants other rights than its role", index,
                        slot, (unsigned long long)spte);
}

bool audit_pieces(struct audit *a, const struct shadow_page *page, u32 index)
{
    for (u32 slot = 0; page->role.direct && !page_is_obsolete(a->shadow, page) && slot < SLOTS;
         slot++) {
        const u64 spte = page->spt[slot];
        const u64 at = (page->frame << PAGE_SHIFT) + ((u64)slot << level_shift(page->role.level));

        if (spte_is_child(spte) && page_at(a->shadow, spte_child(spte))->frame != at >> PAGE_SHIFT)
            return audit_broken(a, "page %u slot %u: leads to another piece", index, slot);
        if ((spte & SPTE_LEAF) != 0 && !piece_leaf(a, page, index, slot, at))
            return false;
    }
    return true;
}
