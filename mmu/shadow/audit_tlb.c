/* SPDX-License-Identifier: MIT */
/*
 * The audit's other half: what contexts and soft TLBs hold must be justified by shadow pages that
 * know of it. See mmu/shadow/audit.c.
 */
#include "mmu/shadow/audit.h"

/* ---- roots ---- */

/* The roots of one stage of a context. */
struct roots {
    const struct mmu_state *s;
    u32 context;
    bool second;
    const struct mmu_stage *stage;
    union mmu_role cpu; /* its role */
    u64 base; /* its root register */
    u32 domain; /* that it is combined with; 0: it is not */
};

typedef bool (*roots_check)(struct audit *a, const struct roots *r);

static bool broken_root(struct audit *a, const struct roots *r, u32 i, const char *what, u64 value)
{
    return audit_broken(a, "CPU %u context %u stage %u root %u: %s %llx", r->s->index, r->context,
                        1u + r->second, i, what, (unsigned long long)value);
}

/* Is linear physical, or the second stage's business? */
static bool has_first(const struct mmu_state *s, u32 c)
{
    return s->context[c].first.rules.format->root_level != 0;
}

static bool is_combined(const struct audit *a, const struct mmu_state *s, u32 c)
{
    return s->key_role2[c] != 0 && a->shadow->options.combined && has_first(s, c);
}

static bool each_stage(struct audit *a, const struct mmu_state *s, u32 c, roots_check check)
{
    const struct mmu_context *context = &s->context[c];
    const bool nested = s->key_role2[c] != 0;
    const struct roots first = {
        s, c, false, &context->first, {.word = s->key_role[c]}, s->key_root[c], context->domain};
    const struct roots second = {
        s, c, true, &context->second, {.word = s->key_role2[c]}, s->key_root2[c], 0};

    if (s->key_role[c] == ~(u64)0)
        return true; /* nobody's */
    if (has_first(s, c) && (!nested || is_combined(a, s, c)) && !check(a, &first))
        return false;
    return !nested || check(a, &second);
}

static bool each_context(struct audit *a, roots_check check)
{
    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {
        const struct mmu_state *s = a->shadow->memory->mmu[cpu];

        for (u32 c = 0; s != NULL && c < TLB_CONTEXTS; c++) {
            if (!each_stage(a, s, c, check))
                return false;
        }
    }
    return true;
}

/* The page at a root, if it may be used. */
static const struct shadow_page *root_if_valid(const struct audit *a, const struct roots *r, u32 i)
{
    const struct shadow_root *root = &r->stage->root[i];
    const struct shadow_page *page = page_at(a->shadow, root->page);

    return root->page != 0 && page->serial == root->serial &&
                   page->role.ndom == a->shadow->domain[r->domain].number
               ? page
               : NULL;
}

static bool stage_weak(struct audit *a, const struct roots *r)
{
    for (u32 i = 0; i < 4; i++) {
        const struct shadow_root *root = &r->stage->root[i];

        if (root->page >= a->shadow->page_count || root->serial > a->shadow->serial ||
            (root->page != 0) != (root->serial != 0))
            return broken_root(a, r, i, "serial", root->serial);
    }
    return true;
}

bool audit_roots_weak(struct audit *a)
{
    return each_context(a, stage_weak);
}

/* The frame that a root register names. */
static u64 named_frame(const struct audit *a, const struct roots *r, u64 at)
{
    if (r->domain != 0)
        at = audit_second(a, r->domain, at) & SPTE_ADDRESS;
    return audit_frame_at(a, at, r->cpu.smm);
}

static bool stage_root_true(struct audit *a, const struct roots *r)
{
    const bool registers = r->stage->rules.format->root_registers != 0 && !r->stage->rules.pdpt;
    const bool parity = a->shadow->options.kvm_parity;

    for (u32 i = 0; i < 4; i++) {
        const struct shadow_page *page = root_if_valid(a, r, i);
        union shadow_role role =
            r->domain != 0
                ? shadow_combined_role(r->cpu, parity, a->shadow->domain[r->domain].number)
                : shadow_root_role(r->cpu, parity);

        if (page == NULL)
            continue;
        role.quadrant = page->role.quadrant; /* I19 */
        role.pdpt = is_pdpt(role) ? r->base / 32 & 127 : 0u;
        if (page->role.word != role.word)
            return broken_root(a, r, i, "role", page->role.word);
        if (!registers && page->frame != named_frame(a, r, r->base))
            return broken_root(a, r, i, "frame", page->frame);
    }
    return true;
}

bool audit_roots_true(struct audit *a)
{
    return each_context(a, stage_root_true);
}

static bool stage_registers(struct audit *a, const struct roots *r)
{
    const struct pt_rules *rules = &r->stage->rules;
    const u64 *pdptes = r->s->context[r->context].pdptes;

    for (u32 i = 0; !rules->pdpt && i < rules->format->root_registers; i++) {
        const struct shadow_page *page = root_if_valid(a, r, i);

        if (page != NULL && ((pdptes[i] & rules->present) == 0 ||
                             page->frame != named_frame(a, r, pdptes[i] & rules->address)))
            return broken_root(a, r, i, "frame", page->frame);
    }
    return true;
}

bool audit_roots_of_registers(struct audit *a)
{
    return each_context(a, stage_registers);
}

static bool stage_quadrants(struct audit *a, const struct roots *r)
{
    const bool quarters = r->stage->rules.format->entry_bytes == 4;
    const struct shadow_page *first = NULL;

    for (u32 i = 0; i < 4; i++) {
        const struct shadow_page *page = root_if_valid(a, r, i);

        if (page == NULL)
            continue;
        if (page->role.quadrant != (quarters ? i : 0))
            return broken_root(a, r, i, "quadrant", page->role.quadrant);
        first = first != NULL ? first : page;
        if (quarters && page->frame != first->frame)
            return broken_root(a, r, i, "another frame", page->frame);
    }
    return true;
}

bool audit_roots_quadrants(struct audit *a)
{
    return each_context(a, stage_quadrants);
}

/* ---- soft TLBs ---- */

/* Are the context's translations in shadow pages? Those of a first stage that is walked over a
 * shadowed second are not. */
static bool is_shadowed(const struct audit *a, const struct mmu_state *s, u32 context)
{
    return s->key_role2[context] == 0 ? has_first(s, context)
                                      : !has_first(s, context) || is_combined(a, s, context);
}

/* The leaf through which a context translates va, if all pages on the way know of its CPU; else
 * 0. */
static u64 leaf_for(const struct audit *a, const struct mmu_state *s, u32 context, u64 va)
{
    const struct mmu_context *c = &s->context[context];
    const bool second = !has_first(s, context);
    const struct pt_rules *rules = &(second ? &c->second : &c->first)->rules;
    const struct roots r = {
        .s = s,
        .context = context,
        .stage = second ? &c->second : &c->first,
        .domain = second ? 0 : c->domain,
    };
    const struct shadow_page *page =
        root_if_valid(a, &r, rules->format->root_level == 2 && !rules->pdpt ? va >> 30 & 3 : 0);
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

static bool translates(const struct audit *a, const struct mmu_state *s, u32 context)
{
    return s->context[context].epoch == s->memory->epoch && is_shadowed(a, s, context);
}

/* The low six bits of the stamps whose level-2 entries are not void: most are told by that. */
static u64 stamps_in_use(const struct audit *a, const struct mmu_state *s)
{
    u64 set = 0;

    for (u32 c = 0; c < TLB_CONTEXTS; c++)
        set |= translates(a, s, c) ? BIT(s->context[c].stamp & 63) : 0;
    return set;
}

/* The context whose level-2 entries carry a stamp; TLB_CONTEXTS: none, they are void. */
static u32 context_by_stamp(const struct audit *a, const struct mmu_state *s, u32 stamp)
{
    for (u32 c = 0; stamp != 0 && c < TLB_CONTEXTS; c++) {
        if (s->context[c].stamp == stamp && translates(a, s, c))
            return c;
    }
    return TLB_CONTEXTS;
}

static bool level2_justified(struct audit *a, const struct mmu_state *s, const struct tlb2_entry *e)
{
    const u64 exact = BITS(51, PAGE_SHIFT) | RIGHT_USER | BITS(TLB2_KEY_SHIFT + 3, TLB2_KEY_SHIFT);
    const u32 context = context_by_stamp(a, s, (u32)(e->tag & STAMP_MAX));
    u64 va = (u64)((i64)(e->tag >> STAMP_BITS << (PAGE_SHIFT + 7)) >> 7);
    u64 leaf;

    if (context == TLB_CONTEXTS)
        return true;
    if (s->context[context].first.rules.format->linear_bits == 32)
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
        const u64 stamps = s != NULL ? stamps_in_use(a, s) : 0;

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

/* The page that may be written; all ones: none. */
static u64 write_page(const struct place *p)
{
    const u64 tag = p->entry->wtag;

    if (!is_valid(p, tag))
        return ~(u64)0;
    return tlb_index(tag) == p->index ? tag : TLB_WATCHED(tag);
}

/* Does the write tag count? All of an earlier epoch are emptied before their bank is used. */
static bool can_write(const struct place *p)
{
    return write_page(p) != ~(u64)0 && bank_of(p)->write_epoch == p->s->memory->write_epoch;
}

/* And without anybody being told? */
static bool can_write_unseen(const struct place *p)
{
    return can_write(p) && write_page(p) == p->entry->wtag;
}

/* Any linear page that the entry is for; all ones: none. */
static u64 entry_page(const struct place *p)
{
    const struct tlb_entry *e = p->entry;

    if (is_valid(p, e->rtag))
        return e->rtag;
    if (write_page(p) != ~(u64)0)
        return write_page(p);
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
        .pkru = (u32)bank->keys,
        .pkrs = (u32)(bank->keys >> 32),
        .gmet = ((union mmu_role){.word = p->s->key_role2[p->context]}).gmet,
    };

    return tlb2_grants(&who, access, leaf) && rights_check(&who, access, (u32)leaf & RIGHTS_ALL,
                                                           (u32)(leaf >> TLB2_KEY_SHIFT) & 15) == 0;
}

static bool place_justified(struct audit *a, const struct place *p)
{
    const struct tlb_entry *e = p->entry;
    const u64 va = entry_page(p);
    const bool smm = ((union mmu_role){.word = p->s->key_role[p->context]}).smm;
    u64 leaf;

    if (va == ~(u64)0 || !is_shadowed(a, p->s, p->context))
        return true;
    if ((write_page(p) != ~(u64)0 && write_page(p) != va) ||
        (is_valid(p, e->xtag) && e->xtag != va))
        return place_broken(a, p, "and other pages, too");
    leaf = leaf_for(a, p->s, p->context, va);
    if (leaf == 0)
        return place_broken(a, p, "the shadow does not");
    if (audit_frame_at(a, data_page(leaf), smm) != entry_frame(p, va))
        return place_broken(a, p, "the shadow leads elsewhere");
    if (is_valid(p, e->rtag) && !class_may(p, ACCESS_READ, leaf))
        return place_broken(a, p, "which may not be read");
    if (can_write(p) && !class_may(p, ACCESS_WRITE, leaf))
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
    return !can_write_unseen(p) ||
           tlb_hint_covers(p->s, p->context, p->class, p->index, entry_frame(p, p->entry->wtag)) ||
           place_broken(a, p, "writable, which its frame does not know");
}

bool audit_writes_found(struct audit *a)
{
    return each_place(a, place_found);
}

static bool place_unwatched(struct audit *a, const struct place *p)
{
    return !can_write_unseen(p) ||
           a->shadow->memory->frames[entry_frame(p, p->entry->wtag)].flags == 0 ||
           place_broken(a, p, "writable, but its frame is watched");
}

bool audit_writes_unwatched(struct audit *a)
{
    return each_place(a, place_unwatched);
}
