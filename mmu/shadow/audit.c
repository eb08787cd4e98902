/* SPDX-License-Identifier: MIT */
/*
 * The invariants of the shadow engine, by number, checked by brute force. docs/shadow-mmu.md says
 * what each is for; those that this design makes impossible to break are listed there with the
 * reason, and have no check here.
 */
#include "base/check.h"
#include "mmu/shadow/shadow_impl.h"
#include "mmu/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct audit {
    struct shadow *shadow;
    const char *id; /* of the invariant being checked */
    char *report;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static bool broken(struct audit *a, const char *format, ...)
{
    int used = snprintf(a->report, a->size, "%s: ", a->id);
    va_list args;

    va_start(args, format);
    if (used > 0 && (size_t)used < a->size)
        (void)vsnprintf(a->report + used, a->size - (size_t)used, format, args);
    va_end(args);
    return false;
}

typedef bool (*page_check)(struct audit *a, const struct shadow_page *page, u32 index);

static bool each_page(struct audit *a, page_check check)
{
    for (u32 i = a->shadow->oldest; i != 0; i = page_at(a->shadow, i)->newer) {
        if (!check(a, page_at(a->shadow, i), i))
            return false;
    }
    return true;
}

/* ---- entries against the guest's tables ---- */

static struct pt_rules rules_of(const struct audit *a, union shadow_role role)
{
    const union mmu_role cpu = {
        .format = role.fmt & 7u,
        .pse = role.pse,
        .nx = role.nx,
        .gbpages = role.gbpages,
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
    return load_le(a->shadow->unsync[page->unsync - 1].snapshot + guest_offset(page->role, slot),
                   page->role.has_4_byte_gpte ? 4 : 8);
}

/* The machine frame behind a guest-physical address, or ~0. */
static u64 frame_at(const struct audit *a, u64 gpa, bool smm)
{
    struct memory *memory = a->shadow->memory;
    const u64 at = gpa & memory->a20_mask;
    const struct slot *slot = memory_slot(memory, at, smm);

    return slot_has_bytes(slot) ? slot->first_frame + ((at - slot->base) >> PAGE_SHIFT) : ~(u64)0;
}

/* I1, I2: a leaf says what the guest's entry says; dirty only if the entry is. */
static bool leaves_true(struct audit *a, const struct shadow_page *page, u32 index)
{
    struct pt_rules rules;

    if (page->role.direct)
        return true;
    rules = rules_of(a, page->role);
    for (u32 slot = 0; slot < SLOTS; slot++) {
        const u64 spte = page->spt[slot];
        u64 expected;

        if ((spte & SPTE_LEAF) == 0)
            continue;
        expected = leaf_of(&rules, page->role, slot, reflected(a, page, slot));
        /* A set D may have come after the leaf; a leaf over ROM may lead it. */
        if (((spte ^ expected) & ~(u64)TLB2_DIRTY) != 0)
            return broken(a, "page %u slot %u: %016llx, but its table says %016llx", index, slot,
                          (unsigned long long)spte, (unsigned long long)expected);
    }
    return true;
}

/* I6: a child stands for the table, or the large page, that the guest's entry points to. */
static bool children_true(struct audit *a, const struct shadow_page *page, u32 index)
{
    struct pt_rules rules;

    if (page->role.level == 1 || page->role.direct)
        return true;
    rules = rules_of(a, page->role);
    for (u32 slot = 0; slot < SLOTS; slot++) {
        const u64 entry = slot_entry(a->shadow, page, slot);
        const struct shadow_page *child;
        u64 frame;

        if (!spte_is_child(page->spt[slot]))
            continue;
        child = page_at(a->shadow, spte_child(page->spt[slot]));
        if ((entry & rules.format->present) == 0)
            return broken(a, "page %u slot %u: a child below nothing", index, slot);
        if (child->role.direct)
            frame = (leaf_of(&rules, page->role, slot, entry) & SPTE_ADDRESS) >> PAGE_SHIFT;
        else
            frame = frame_at(a, entry & rules.address, page->role.smm);
        if (child->frame != frame)
            return broken(a, "page %u slot %u: child at frame %llx, the table says %llx", index,
                          slot, (unsigned long long)child->frame, (unsigned long long)frame);
    }
    return true;
}

/* I3: entry size, format and directness agree. */
static bool roles_sound(struct audit *a, const struct shadow_page *page, u32 index)
{
    const union shadow_role role = page->role;

    if (role.has_4_byte_gpte != (role.fmt == PAGING_32BIT))
        return broken(a, "page %u: entry size and format disagree", index);
    if (role.direct && (role.has_4_byte_gpte || role.fmt != PAGING_NONE))
        return broken(a, "page %u: direct, but with a format", index);
    if (role.quadrant != 0 && (!role.has_4_byte_gpte || role.level > 2))
        return broken(a, "page %u: a quadrant of 8-byte entries", index);
    if (role.level == 0 || role.level > PT_LEVELS)
        return broken(a, "page %u: level %u", index, (u32)role.level);
    return true;
}

/* I4 */
static bool never_mismatched(struct audit *a)
{
    return a->shadow->stats.sync_role_mismatch == 0 ||
           broken(a, "%llu refreshes refused",
                  (unsigned long long)a->shadow->stats.sync_role_mismatch);
}

/* I5, I23: a child is one level lower, grants no more, and is of its parent's kind. */
static bool child_roles_follow(struct audit *a, const struct shadow_page *page, u32 index)
{
    for (u32 slot = 0; page->role.level > 1 && slot < SLOTS; slot++) {
        union shadow_role child;

        if (!spte_is_child(page->spt[slot]))
            continue;
        child = page_at(a->shadow, spte_child(page->spt[slot]))->role;
        if (child.level + 1u != page->role.level)
            return broken(a, "page %u slot %u: child of level %u", index, slot, (u32)child.level);
        if ((child.access & ~page->role.access) != 0)
            return broken(a, "page %u slot %u: the child grants more", index, slot);
        if (child.direct
                ? child.smm != page->role.smm || child.guest_mode != page->role.guest_mode ||
                      child.ndom != page->role.ndom
                : role_mismatch(child, page->role) != 0)
            return broken(a, "page %u slot %u: a child of another kind", index, slot);
        if (page->role.has_4_byte_gpte && !child.direct && child.quadrant != (slot & 1))
            return broken(a, "page %u slot %u: quadrant %u", index, slot, (u32)child.quadrant);
    }
    return true;
}

/* I20: a direct page maps a run of frames. */
static bool pieces_run(struct audit *a, const struct shadow_page *page, u32 index)
{
    for (u32 slot = 0; page->role.direct && slot < SLOTS; slot++) {
        const u64 spte = page->spt[slot];
        const u64 at = (page->frame << PAGE_SHIFT) + ((u64)slot << level_shift(page->role.level));

        if ((spte & SPTE_LEAF) != 0 && (spte & SPTE_ADDRESS) != at)
            return broken(a, "page %u slot %u: maps %llx", index, slot,
                          (unsigned long long)(spte & SPTE_ADDRESS));
    }
    return true;
}

/* ---- hash, links, sets ---- */

/* I7: found in the hash, and alone there with this identity. */
static bool unique(struct audit *a, const struct shadow_page *page, u32 index)
{
    u32 same = 0;

    for (u32 i = page_first(a->shadow, page->frame); i != 0; i = page_next(a->shadow, i))
        same += page_at(a->shadow, i)->role.word == page->role.word;
    return same == 1 || broken(a, "page %u: %u pages with its identity", index, same);
}

/* I13, I15: links and parent lists are each other's mirror, between valid pages. */
static bool links_mirror(struct audit *a, const struct shadow_page *page, u32 index)
{
    u32 present = 0, parents = 0;
    slot_ref before = 0;

    for (u32 slot = 0; slot < SLOTS; slot++) {
        const u64 spte = page->spt[slot];

        present += spte != 0;
        if (spte_is_child(spte) && page_at(a->shadow, spte_child(spte))->serial == 0)
            return broken(a, "page %u slot %u: child %u is gone", index, slot, spte_child(spte));
    }
    if (present != page->present)
        return broken(a, "page %u: %u entries counted as %u", index, present, page->present);
    for (slot_ref at = page->parents; at != 0; parents++) {
        const struct shadow_page *parent = page_at(a->shadow, at >> SLOT_BITS);
        const u32 slot = at & (SLOTS - 1);

        if (parent->serial == 0 || !spte_is_child(parent->spt[slot]) ||
            spte_child(parent->spt[slot]) != index || parent->link[slot].prev != before)
            return broken(a, "page %u: parent %u slot %u does not point back", index,
                          at >> SLOT_BITS, slot);
        before = at;
        at = parent->link[slot].next;
    }
    return true;
}

/* I13, the other way: as many list nodes as links. */
static bool links_counted(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u64 links = 0, nodes = 0;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        const struct shadow_page *page = page_at(shadow, i);

        for (u32 slot = 0; slot < SLOTS; slot++)
            links += spte_is_child(page->spt[slot]);
        for (slot_ref at = page->parents; at != 0; nodes++)
            at = page_at(shadow, at >> SLOT_BITS)->link[at & (SLOTS - 1)].next;
    }
    return links == nodes || broken(a, "%llu links, %llu list nodes", (unsigned long long)links,
                                    (unsigned long long)nodes);
}

/* I8, I9: a frame is watched if and only if a page that is in step has entries from it. */
static bool frames_watched(struct audit *a)
{
    const struct memory *memory = a->shadow->memory;

    for (u64 frame = 0; frame < memory->frame_count; frame++) {
        const bool watched = (memory->frames[frame].flags & FRAME_SHADOW) != 0;
        bool wanted = false;

        for (u32 i = page_first(a->shadow, frame); i != 0; i = page_next(a->shadow, i)) {
            const struct shadow_page *page = page_at(a->shadow, i);

            wanted |= page_watches(page);
        }
        if (watched != wanted)
            return broken(a, "frame %llx is %swatched", (unsigned long long)frame,
                          watched ? "" : "not ");
    }
    return true;
}

/* I10: only tables of level 1 are unsync, each with a place in the set. */
static bool unsync_sound(struct audit *a, const struct shadow_page *page, u32 index)
{
    if (page->unsync == 0)
        return true;
    if (page->role.level != 1 || page->role.direct || a->shadow->options.sync == SYNC_DROP)
        return broken(a, "page %u may not be unsync", index);
    if (a->shadow->unsync[page->unsync - 1].page != index)
        return broken(a, "page %u: its place in the unsync set is not its own", index);
    return true;
}

/* I27: memory in use is what pages, links and snapshots take, within the quota. */
static bool budget_kept(struct audit *a)
{
    const struct shadow *shadow = a->shadow;
    u32 blocks = 0;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer)
        blocks += 1u + (page_at(shadow, i)->link != NULL) + (page_at(shadow, i)->unsync != 0);
    if (blocks != shadow->blocks_used || blocks > shadow->block_max)
        return broken(a, "%u blocks in use, %u counted, %u allowed", blocks, shadow->blocks_used,
                      shadow->block_max);
    return true;
}

/* ---- contexts and soft TLBs ---- */

typedef bool (*mmu_check)(struct audit *a, const struct mmu_state *s, u32 cpu, u32 context);

static bool each_context(struct audit *a, mmu_check check)
{
    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {
        const struct mmu_state *s = a->shadow->memory->mmu[cpu];

        for (u32 c = 0; s != NULL && c < TLB_CONTEXTS; c++) {
            /* Slots of nobody, and those where linear is physical, have no pages. */
            if (s->key_role[c] != ~(u64)0 && s->context[c].rules.format->root_level != 0 &&
                !check(a, s, cpu, c))
                return false;
        }
    }
    return true;
}

static const struct shadow_page *root_if_valid(const struct audit *a,
                                               const struct shadow_root *root)
{
    const struct shadow_page *page = page_at(a->shadow, root->page);

    return root->page != 0 && page->serial == root->serial ? page : NULL;
}

/* I16, I17, I18, I19: a root has its context's role, and the frame that the register says. */
static bool roots_true(struct audit *a, const struct mmu_state *s, u32 cpu, u32 context)
{
    const struct mmu_context *c = &s->context[context];
    const struct pt_format *f = c->rules.format;

    for (u32 i = 0; i < ARRAY_SIZE(c->root); i++) {
        const struct shadow_page *page = root_if_valid(a, &c->root[i]);
        const union mmu_role cpu_role = {.word = s->key_role[context]};
        union shadow_role role;
        u64 table = s->key_root[context];

        if (page == NULL)
            continue;
        role = shadow_root_role(cpu_role, a->shadow->options.kvm_parity);
        role.quadrant = role.has_4_byte_gpte ? i & 3u : 0u;
        if (f->root_registers != 0)
            table = c->pdptes[i] & c->rules.address;
        if (!same_identity(page->frame, page->role, frame_at(a, table, cpu_role.smm), role))
            return broken(a, "CPU %u context %u root %u is not what its registers say", cpu,
                          context, i);
    }
    return true;
}

/* The leaf through which a context translates va, its users noted all the way; 0 if not. */
static u64 leaf_for(const struct audit *a, const struct mmu_state *s, u32 cpu, u32 context, u64 va)
{
    const struct mmu_context *c = &s->context[context];
    const u32 root = c->rules.format->root_level == 2 ? va >> 30 & 3 : 0;
    const struct shadow_page *page = root_if_valid(a, &c->root[root]);
    u64 spte;

    for (;;) {
        u64 base;

        if (page == NULL || (page->users[cpu] >> context & 1) == 0)
            return 0;
        base = va & ~(BIT(level_shift(page->role.level) + SLOT_BITS) - 1);
        if (!page->mixed && page->base != base)
            return 0;
        if (page->unsync != 0 && a->shadow->options.sync != SYNC_LAZY)
            return 0;
        spte = page->spt[slot_of(va, page->role.level)];
        if (!spte_is_child(spte))
            break;
        page = page_at(a->shadow, spte_child(spte));
    }
    if (spte == 0)
        return 0;
    return spte | (va & (BIT(level_shift(page->role.level)) - 1) & ~PAGE_OFFSET_MASK);
}

/* The context whose level-2 entries carry a stamp; TLB_CONTEXTS: none, they are void. */
static u32 context_by_stamp(const struct mmu_state *s, u32 stamp)
{
    for (u32 c = 0; stamp != 0 && c < TLB_CONTEXTS; c++) {
        if (s->context[c].stamp == stamp && s->context[c].epoch == s->memory->epoch)
            return c;
    }
    return TLB_CONTEXTS;
}

/* I22: what a soft TLB holds came through pages that know it, and still grant it. */
static bool level2_justified(struct audit *a)
{
    const u64 exact = BITS(51, PAGE_SHIFT) | RIGHT_USER | BITS(TLB2_KEY_SHIFT + 3, TLB2_KEY_SHIFT);

    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {
        const struct mmu_state *s = a->shadow->memory->mmu[cpu];

        for (u32 i = 0; s != NULL && i < TLB2_SIZE; i++) {
            const struct tlb2_entry *e = &s->tlb2[i];
            const u32 context = context_by_stamp(s, (u32)(e->tag & STAMP_MAX));
            u64 va = (u64)((i64)(e->tag >> STAMP_BITS << (PAGE_SHIFT + 7)) >> 7);
            u64 leaf;

            if (context == TLB_CONTEXTS)
                continue;
            if (s->context[context].rules.format->linear_bits == 32)
                va &= 0xffffffff;
            leaf = leaf_for(a, s, cpu, context, va);
            if (leaf == 0 || (e->data & ~leaf) != 0 || ((e->data ^ leaf) & exact) != 0)
                return broken(a, "CPU %u context %u: level 2 has %llx for %llx, the shadow %llx",
                              cpu, context, (unsigned long long)e->data, (unsigned long long)va,
                              (unsigned long long)leaf);
        }
    }
    return true;
}

static bool entry_justified(struct audit *a, const struct mmu_state *s, u32 cpu, u32 context,
                            const struct tlb_entry *e)
{
    const struct memory *memory = a->shadow->memory;
    const bool writes = (e->wtag & PAGE_OFFSET_MASK) == 0;
    const u32 index = tlb_index(e->rtag);
    u64 va = e->rtag;
    u64 leaf, frame;

    if (writes && va == TLB_INVALID(index))
        va = e->wtag;
    leaf = leaf_for(a, s, cpu, context, va);
    frame = frame_of(memory, (const u8 *)(uintptr_t)(e->host + va));
    if (leaf == 0 ||
        frame_at(a, data_page(leaf), ((union mmu_role){.word = s->key_role[context]}).smm) != frame)
        return broken(a, "CPU %u context %u: level 1 has %llx, the shadow says %016llx", cpu,
                      context, (unsigned long long)va, (unsigned long long)leaf);
    return true;
}

static bool is_valid_tag(u64 tag, u32 index)
{
    return tag != TLB_INVALID(index);
}

/* I22 for level 1; I12, I14: a write tag never leads to a watched frame. */
static bool level1_justified(struct audit *a, const struct mmu_state *s, u32 cpu, u32 context)
{
    const struct mmu_context *c = &s->context[context];
    const struct memory *memory = a->shadow->memory;

    for (u32 class = 0; class < BANK_CLASSES; class ++) {
        if (c->epoch != memory->epoch || c->bank[class].stamp != c->stamp)
            continue;
        for (u32 i = 0; i < TLB_SIZE; i++) {
            const struct tlb_entry *e = &s->entry[context][class][i];

            if (is_valid_tag(e->rtag, i) && !entry_justified(a, s, cpu, context, e))
                return false;
            if (!is_valid_tag(e->wtag, i) || c->bank[class].write_epoch != memory->write_epoch)
                continue;
            if (memory->frames[frame_of(memory, (const u8 *)(uintptr_t)(e->host + e->wtag))].flags)
                return broken(a, "CPU %u context %u: a write tag for %llx leads to a watched frame",
                              cpu, context, (unsigned long long)e->wtag);
        }
    }
    return true;
}

/* ---- all of them ---- */

static const struct invariant {
    const char *id;
    page_check page;
    bool (*whole)(struct audit *a);
    mmu_check context;
} invariants[] = {
    {"I3", .page = roles_sound},          {"I7", .page = unique},
    {"I13", .page = links_mirror},        {"I13", .whole = links_counted},
    {"I5", .page = child_roles_follow},   {"I10", .page = unsync_sound},
    {"I1", .page = leaves_true},          {"I6", .page = children_true},
    {"I20", .page = pieces_run},          {"I4", .whole = never_mismatched},
    {"I8", .whole = frames_watched},      {"I27", .whole = budget_kept},
    {"I17", .context = roots_true},       {"I22", .whole = level2_justified},
    {"I12", .context = level1_justified},
};

bool shadow_audit(struct shadow *shadow, char *report, size_t size)
{
    struct audit a = {shadow, NULL, report, size};

    for (size_t i = 0; i < ARRAY_SIZE(invariants); i++) {
        const struct invariant *v = &invariants[i];

        a.id = v->id;
        if (v->page != NULL && !each_page(&a, v->page))
            return false;
        if (v->whole != NULL && !v->whole(&a))
            return false;
        if (v->context != NULL && !each_context(&a, v->context))
            return false;
    }
    return true;
}
