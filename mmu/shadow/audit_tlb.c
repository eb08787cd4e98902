/* SPDX-License-Identifier: MIT */
/*
 * The audit's other half: what contexts and soft TLBs hold must be justified by shadow pages that
 * know of it. See mmu/shadow/audit.c.
 */
#include "mmu/shadow/audit.h"

/* ---- roots ---- */

typedef bool (*context_check)(struct audit *a, const struct mmu_state *s, u32 context);

static bool each_context(struct audit *a, context_check check)
{
    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {
        const struct mmu_state *s = a->shadow->memory->mmu[cpu];

        for (u32 c = 0; s != NULL && c < TLB_CONTEXTS; c++) {
            /* Slots of nobody, and those where linear is physical, have no pages. */
            if (s->key_role[c] != ~(u64)0 && s->context[c].rules.format->root_level != 0 &&
                !check(a, s, c))
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

static bool context_weak(struct audit *a, const struct mmu_state *s, u32 context)
{
    for (u32 i = 0; i < 4; i++) {
        const struct shadow_root *root = &s->context[context].root[i];

        if (root->page >= a->shadow->page_count || root->serial > a->shadow->serial ||
            (root->page != 0) != (root->serial != 0))
            return audit_broken(a, "CPU %u context %u root %u: page %u, serial %llu", s->index,
                                context, i, root->page, (unsigned long long)root->serial);
    }
    return true;
}

bool audit_roots_weak(struct audit *a)
{
    return each_context(a, context_weak);
}

static bool context_root_true(struct audit *a, const struct mmu_state *s, u32 context)
{
    const struct mmu_context *c = &s->context[context];
    const union mmu_role cpu = {.word = s->key_role[context]};
    const bool registers = c->rules.format->root_registers != 0;

    for (u32 i = 0; i < 4; i++) {
        const struct shadow_page *page = root_if_valid(a, &c->root[i]);
        union shadow_role role = shadow_root_role(cpu, a->shadow->options.kvm_parity);

        if (page == NULL)
            continue;
        role.quadrant = page->role.quadrant; /* I19 */
        if (page->role.word != role.word)
            return audit_broken(a, "CPU %u context %u root %u: role %llx, should be %llx", s->index,
                                context, i, (unsigned long long)page->role.word,
                                (unsigned long long)role.word);
        if (!registers && page->frame != audit_frame_at(a, s->key_root[context], cpu.smm))
            return audit_broken(a, "CPU %u context %u root %u: frame %llx, CR3 is %llx", s->index,
                                context, i, (unsigned long long)page->frame,
                                (unsigned long long)s->key_root[context]);
    }
    return true;
}

bool audit_roots_true(struct audit *a)
{
    return each_context(a, context_root_true);
}

static bool context_registers(struct audit *a, const struct mmu_state *s, u32 context)
{
    const struct mmu_context *c = &s->context[context];
    const bool smm = ((union mmu_role){.word = s->key_role[context]}).smm;

    for (u32 i = 0; i < c->rules.format->root_registers; i++) {
        const struct shadow_page *page = root_if_valid(a, &c->root[i]);

        if (page == NULL)
            continue;
        if ((c->pdptes[i] & c->rules.format->present) == 0 ||
            page->frame != audit_frame_at(a, c->pdptes[i] & c->rules.address, smm))
            return audit_broken(a, "CPU %u context %u root %u: frame %llx, the register is %llx",
                                s->index, context, i, (unsigned long long)page->frame,
                                (unsigned long long)c->pdptes[i]);
    }
    return true;
}

bool audit_roots_of_registers(struct audit *a)
{
    return each_context(a, context_registers);
}

static bool context_quadrants(struct audit *a, const struct mmu_state *s, u32 context)
{
    const struct mmu_context *c = &s->context[context];
    const bool quarters = c->rules.format->entry_bytes == 4;
    const struct shadow_page *first = NULL;

    for (u32 i = 0; i < 4; i++) {
        const struct shadow_page *page = root_if_valid(a, &c->root[i]);

        if (page == NULL)
            continue;
        if (page->role.quadrant != (quarters ? i : 0))
            return audit_broken(a, "CPU %u context %u root %u: quadrant %u", s->index, context, i,
                                (u32)page->role.quadrant);
        first = first != NULL ? first : page;
        if (quarters && page->frame != first->frame)
            return audit_broken(a, "CPU %u context %u root %u: another frame", s->index, context,
                                i);
    }
    return true;
}

bool audit_roots_quadrants(struct audit *a)
{
    return each_context(a, context_quadrants);
}

/* ---- soft TLBs ---- */

/* The leaf through which a context translates va, if all pages on the way know of its CPU; else
 * 0. */
static u64 leaf_for(const struct audit *a, const struct mmu_state *s, u32 context, u64 va)
{
    const struct mmu_context *c = &s->context[context];
    const u32 root = c->rules.format->root_level == 2 ? va >> 30 & 3 : 0;
    const struct shadow_page *page = root_if_valid(a, &c->root[root]);
    u64 spte;

    for (;;) {
        u64 base;

        if (page == NULL || (page->users[s->index] >> context & 1) == 0)
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

static bool translates(const struct mmu_state *s, u32 context)
{
    return s->context[context].epoch == s->memory->epoch &&
           s->context[context].rules.format->root_level != 0;
}

/* The low six bits of the stamps whose level-2 entries are not void: most are told by that. */
static u64 stamps_in_use(const struct mmu_state *s)
{
    u64 set = 0;

    for (u32 c = 0; c < TLB_CONTEXTS; c++)
        set |= translates(s, c) ? BIT(s->context[c].stamp & 63) : 0;
    return set;
}

/* The context whose level-2 entries carry a stamp; TLB_CONTEXTS: none, they are void. */
static u32 context_by_stamp(const struct mmu_state *s, u32 stamp)
{
    for (u32 c = 0; stamp != 0 && c < TLB_CONTEXTS; c++) {
        if (s->context[c].stamp == stamp && translates(s, c))
            return c;
    }
    return TLB_CONTEXTS;
}

static bool level2_justified(struct audit *a, const struct mmu_state *s, const struct tlb2_entry *e)
{
    const u64 exact = BITS(51, PAGE_SHIFT) | RIGHT_USER | BITS(TLB2_KEY_SHIFT + 3, TLB2_KEY_SHIFT);
    const u32 context = context_by_stamp(s, (u32)(e->tag & STAMP_MAX));
    u64 va = (u64)((i64)(e->tag >> STAMP_BITS << (PAGE_SHIFT + 7)) >> 7);
    u64 leaf;

    if (context == TLB_CONTEXTS)
        return true;
    if (s->context[context].rules.format->linear_bits == 32)
        va &= 0xffffffff;
    leaf = leaf_for(a, s, context, va);
    return (leaf != 0 && (e->data & ~leaf) == 0 && ((e->data ^ leaf) & exact) == 0) ||
           audit_broken(a, "CPU %u context %u: level 2 has %llx for %llx, the shadow %llx",
                        s->index, context, (unsigned long long)e->data, (unsigned long long)va,
                        (unsigned long long)leaf);
}

bool audit_level2(struct audit *a)
{
    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {
        const struct mmu_state *s = a->shadow->memory->mmu[cpu];
        const u64 stamps = s != NULL ? stamps_in_use(s) : 0;

        for (u32 i = 0; stamps != 0 && i < TLB2_SIZE; i++) {
            if ((stamps >> (s->tlb2[i].tag & 63) & 1) != 0 && !level2_justified(a, s, &s->tlb2[i]))
                return false;
        }
    }
    return true;
}

/* A level-1 entry that an access may hit. */
struct place {
    const struct mmu_state *s;
    u32 context, class, index;
    const struct tlb_entry *entry;
};

typedef bool (*place_check)(struct audit *a, const struct place *p);

static bool each_in_bank(struct audit *a, struct place *p, place_check check)
{
    const struct bank *bank = &p->s->context[p->context].bank[p->class];

    for (u32 word = 0; word < TLB_SIZE / 64; word++) {
        for (u64 bits = bank->touched[word]; bits != 0; bits &= bits - 1) {
            p->index = word * 64 + (u32)__builtin_ctzll(bits);
            p->entry = &p->s->entry[p->context][p->class][p->index];
            if (!check(a, p))
                return false;
        }
    }
    return true;
}

static bool each_place(struct audit *a, place_check check)
{
    const struct memory *memory = a->shadow->memory;

    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {
        struct place p = {.s = memory->mmu[cpu]};

        for (p.context = 0; p.s != NULL && p.context < TLB_CONTEXTS; p.context++) {
            const struct mmu_context *c = &p.s->context[p.context];

            for (p.class = 0; p.class < BANK_CLASSES; p.class ++) {
                if (c->epoch == memory->epoch && c->bank[p.class].stamp == c->stamp &&
                    !each_in_bank(a, &p, check))
                    return false;
            }
        }
    }
    return true;
}

static bool is_valid(const struct place *p, u64 tag)
{
    return tag != TLB_INVALID(p->index);
}

static const struct bank *bank_of(const struct place *p)
{
    return &p->s->context[p->context].bank[p->class];
}

/* Does the write tag count? All of an earlier epoch are emptied before their bank is used. */
static bool can_write(const struct place *p)
{
    return is_valid(p, p->entry->wtag) && bank_of(p)->write_epoch == p->s->memory->write_epoch;
}

/* Any linear page that the entry is for; all ones: none. */
static u64 entry_page(const struct place *p)
{
    const struct tlb_entry *e = p->entry;

    if (is_valid(p, e->rtag))
        return e->rtag;
    if (is_valid(p, e->wtag))
        return e->wtag;
    return is_valid(p, e->xtag) ? e->xtag : ~(u64)0;
}

static u64 entry_frame(const struct place *p, u64 va)
{
    return frame_of(p->s->memory, (const u8 *)(uintptr_t)(p->entry->host + va));
}

static bool place_broken(struct audit *a, const struct place *p, const char *what)
{
    return audit_broken(a, "CPU %u context %u class %u: level 1 has %llx, %s", p->s->index,
                        p->context, p->class, (unsigned long long)entry_page(p), what);
}

/* May the class, with the keys of the bank, do this to a page with such a leaf? */
static bool class_may(const struct place *p, u32 access, u64 leaf)
{
    const struct bank *bank = bank_of(p);
    const struct accessor who = {
        .role = {.word = p->s->key_role[p->context]},
        .user = p->class == BANK_USER,
        .smap = p->class == BANK_SMAP,
        .pkru = bank->pkru,
        .pkrs = bank->pkrs,
    };

    return rights_check(&who, access, (u32)leaf & RIGHTS_ALL, (u32)(leaf >> TLB2_KEY_SHIFT) & 15) ==
           0;
}

static bool place_justified(struct audit *a, const struct place *p)
{
    const struct tlb_entry *e = p->entry;
    const u64 va = entry_page(p);
    const bool smm = ((union mmu_role){.word = p->s->key_role[p->context]}).smm;
    u64 leaf;

    if (va == ~(u64)0 || p->s->context[p->context].rules.format->root_level == 0)
        return true;
    if ((is_valid(p, e->wtag) && e->wtag != va) || (is_valid(p, e->xtag) && e->xtag != va))
        return place_broken(a, p, "and other pages, too");
    leaf = leaf_for(a, p->s, p->context, va);
    if (leaf == 0)
        return place_broken(a, p, "the shadow does not");
    if (audit_frame_at(a, data_page(leaf), smm) != entry_frame(p, va))
        return place_broken(a, p, "the shadow leads elsewhere");
    if (is_valid(p, e->rtag) && !class_may(p, ACCESS_READ, leaf))
        return place_broken(a, p, "which may not be read");
    if (can_write(p) && ((leaf & TLB2_DIRTY) == 0 || !class_may(p, ACCESS_WRITE, leaf)))
        return place_broken(a, p, "which may not be written");
    if (is_valid(p, e->xtag) && !class_may(p, ACCESS_FETCH, leaf))
        return place_broken(a, p, "which may not be executed");
    return true;
}

bool audit_level1(struct audit *a)
{
    return each_place(a, place_justified);
}

static bool place_has_bytes(struct audit *a, const struct place *p)
{
    const u64 va = entry_page(p);

    return va == ~(u64)0 || entry_frame(p, va) < a->shadow->memory->frame_count ||
           place_broken(a, p, "which is neither RAM nor ROM");
}

bool audit_no_devices(struct audit *a)
{
    return each_place(a, place_has_bytes);
}

static bool place_found(struct audit *a, const struct place *p)
{
    return !can_write(p) ||
           tlb_hint_covers(p->s, p->context, p->class, p->index, entry_frame(p, p->entry->wtag)) ||
           place_broken(a, p, "writable, which its frame does not know");
}

bool audit_writes_found(struct audit *a)
{
    return each_place(a, place_found);
}

static bool place_unwatched(struct audit *a, const struct place *p)
{
    return !can_write(p) || a->shadow->memory->frames[entry_frame(p, p->entry->wtag)].flags == 0 ||
           place_broken(a, p, "writable, but its frame is watched");
}

bool audit_writes_unwatched(struct audit *a)
{
    return each_place(a, place_unwatched);
}
