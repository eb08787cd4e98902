/* SPDX-License-Identifier: MIT */
/*
 * The MMU of one CPU: its contexts, and refill(). SDM Vol 3A chapter 4.
 *
 * Walks read tables from memory and not through the local APIC's window: tables in it are nowhere.
 */
#include "mmu/mmu.h"

#include "base/check.h"
#include "mmu/nested.h"
#include "mmu/shadow/shadow.h"
#include "mmu/table.h"
#include "mmu/tlb.h"

#include <string.h>
#include <sys/mman.h>

enum { NO_CONTEXT = TLB_CONTEXTS };

/* ---- where walks read ---- */

static bool tables_read(void *ctx, gpa_t at, u32 bytes, struct walk_step *step)
{
    struct mmu_state *s = ctx;
    const u64 address = at.v & s->memory->a20_mask;
    const struct slot *slot = memory_slot(s->memory, address, context_role(s).smm);

    if (likely(slot_has_bytes(slot))) {
        const u64 offset = address - slot->base;

        step->host = slot->host + offset;
        step->frame = slot->first_frame + (offset >> PAGE_SHIFT);
        step->fixed = slot->kind == SLOT_ROM;
        step->entry = pt_load(step->host, bytes);
        return true;
    }
    step->host = NULL;
    step->entry = width_mask(bytes);
    if (slot->kind == SLOT_MMIO && !s->quiet)
        step->entry = slot->ops->read(slot->ctx, address - slot->base, bytes);
    return true;
}

static void tables_set_bits(void *ctx, const struct walk_step *step, u32 bytes, u64 bits)
{
    struct mmu_state *s = ctx;

    if (step->host != NULL && !step->fixed)
        memory_set_bits(s->memory, step->host, bytes, bits);
}

u64 mmu_read_physical(struct mmu *mmu, gpa_t at, u32 size)
{
    struct walk_step step;

    tables_read(mmu->impl, at, size, &step);
    return step.entry;
}

/* ---- life ---- */

struct mmu *mmu_create(struct memory *memory, u32 phys_bits)
{
    struct mmu_state *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(s != MAP_FAILED);
    s->memory = memory;
    s->phys_bits = phys_bits;
    s->apic_page = ~(u64)0;
    s->guest_apic_page = ~(u64)0;
    s->tables = (struct pt_memory){s, tables_read, tables_set_bits};
    s->mmu.memory = memory;
    s->mmu.impl = s;
    for (u32 i = 1; i < TLB_CONTEXTS; i++)
        s->key_role[i] = ~(u64)0; /* nobody's role */
    pt_rules_init(&s->context[0].first.rules, context_role(s), phys_bits);
    s->index = memory_attach_mmu(memory, s);
    tlb_refresh(s);
    return &s->mmu;
}

void mmu_destroy(struct mmu *mmu)
{
    if (mmu == NULL)
        return;
    memory_detach_mmu(mmu->memory, mmu->impl->index);
    munmap(mmu->impl, sizeof(*mmu->impl));
}

const struct mmu_stats *mmu_stats(const struct mmu *mmu)
{
    return &mmu->impl->stats;
}

/* ---- what the CPU sets ---- */

/* What makes a context, in normal form. */
struct context_key {
    u64 role, root;
    struct mmu_second_stage second;
    const u64 *pdptes;
};

static bool context_is(const struct mmu_state *s, u32 i, const struct context_key *key)
{
    return s->key_root[i] == key->root && s->key_role[i] == key->role &&
           s->key_role2[i] == key->second.role.word && s->key_root2[i] == key->second.root.v &&
           memcmp(s->context[i].pdptes, key->pdptes, sizeof(s->context[i].pdptes)) == 0;
}

static u32 context_find(const struct mmu_state *s, const struct context_key *key)
{
    for (u32 i = 0; i < TLB_CONTEXTS; i++) {
        if (s->key_root[i] == key->root && context_is(s, i, key))
            return i;
    }
    return NO_CONTEXT;
}

/* Take the slot that was used longest ago. */
static u32 context_new(struct mmu_state *s, const struct context_key *key)
{
    struct mmu_context *context;
    u32 oldest = 0;

    for (u32 i = 1; i < TLB_CONTEXTS; i++) {
        if (s->context[i].last_use < s->context[oldest].last_use)
            oldest = i;
    }
    context = &s->context[oldest];
    s->key_role[oldest] = key->role;
    s->key_root[oldest] = key->root;
    s->key_role2[oldest] = key->second.role.word;
    s->key_root2[oldest] = key->second.root.v;
    memcpy(context->pdptes, key->pdptes, sizeof(context->pdptes));
    pt_rules_init(&context->first.rules, (union mmu_role){.word = key->role}, s->phys_bits);
    if (key->second.role.word != 0)
        pt_rules_init(&context->second.rules, key->second.role, s->phys_bits);
    context->epoch = 0;
    memset(context->first.root, 0, sizeof(context->first.root));
    memset(context->second.root, 0, sizeof(context->second.root));
    context->domain = 0;
    return oldest;
}

void mmu_set_second_stage(struct mmu *mmu, const struct mmu_second_stage *second)
{
    CHECK(second == NULL || (second->role.stage2 && second->role.format != PAGING_NONE));
    mmu->impl->second = second != NULL ? *second : (struct mmu_second_stage){.root = {0}};
}

void mmu_set_context(struct mmu *mmu, union mmu_role role, gpa_t root, const u64 *pdptes)
{
    static const u64 none[4];
    struct mmu_state *s = mmu->impl;
    struct context_key key = {
        .role = role.word,
        .root = root.v & ~PAGE_OFFSET_MASK,
        .second = s->second,
        .pdptes = pdptes,
    };
    bool other_role;
    u32 found;

    if (key.second.role.word != 0)
        key.second.role.smm = role.smm; /* its tables are read through the same map */
    CHECK(role.format <= PAGING_5LEVEL && !role.stage2);
    CHECK(pdptes != NULL || role.format != PAGING_PAE || role.pdpt);
    CHECK(role.format == PAGING_PAE || !role.pdpt);
    CHECK(role.has_4_byte_gpte == (role.format == PAGING_32BIT));
    if (role.pdpt)
        key.root = root.v & BITS(31, 5);
    else if (role.format == PAGING_PAE || role.format == PAGING_NONE)
        key.root = 0; /* all there is to know is in the registers */
    if (role.format != PAGING_PAE || role.pdpt)
        key.pdptes = none;
    if (context_is(s, s->current, &key))
        return;

    s->stats.context_switches++;
    found = context_find(s, &key);
    if (found != NO_CONTEXT)
        s->stats.context_hits++;
    else
        found = context_new(s, &key);
    other_role =
        s->key_role[s->current] != key.role || s->key_role2[s->current] != key.second.role.word;
    s->current = found;
    s->context[found].last_use = ++s->clock;
    tlb_refresh(s);
    if (other_role)
        mmu_invalidate_all(mmu);
}

void mmu_set_privilege(struct mmu *mmu, bool user, bool ac)
{
    struct mmu_state *s = mmu->impl;

    if (s->user == user && s->ac == ac)
        return;
    s->user = user;
    s->ac = ac;
    tlb_refresh_privilege(s);
}

void mmu_set_keys(struct mmu *mmu, u32 pkru, u32 pkrs)
{
    struct mmu_state *s = mmu->impl;

    if (s->pkru == pkru && s->pkrs == pkrs)
        return;
    s->pkru = pkru;
    s->pkrs = pkrs;
    tlb_refresh(s);
}

void mmu_set_apic(struct mmu *mmu, bool enabled, hpa_t page, const struct mmio_ops *ops, void *ctx)
{
    struct mmu_state *s = mmu->impl;
    const u64 base = enabled ? page.v & ~PAGE_OFFSET_MASK : ~(u64)0;

    s->apic_slot = (struct slot){
        .base = base, .size = PAGE_SIZE, .kind = SLOT_MMIO, .ops = ops, .ctx = ctx, .name = "apic"};
    if (s->apic_page == base)
        return;
    s->apic_page = base;
    mmu_drop(mmu);
}

static u32 with_apic_access(const struct mmu_state *s)
{
    u32 contexts = 0;

    for (u32 i = 0; i < TLB_CONTEXTS; i++)
        contexts |= (u32)((union mmu_role){.word = s->key_role[i]}.apic_access) << i;
    return contexts;
}

void mmu_set_guest_apic(struct mmu *mmu, hpa_t page, const struct mmio_ops *ops, void *ctx)
{
    struct mmu_state *s = mmu->impl;

    if (s->guest_apic_page == page.v)
        return;
    s->guest_apic_slot = (struct slot){.base = page.v,
                                       .size = PAGE_SIZE,
                                       .kind = SLOT_MMIO,
                                       .ops = ops,
                                       .ctx = ctx,
                                       .name = "apic-access"};
    s->guest_apic_page = page.v;
    tlb_revoke_contexts(s, with_apic_access(s));
}

void mmu_drop(struct mmu *mmu)
{
    tlb_revoke_contexts(mmu->impl, (1u << TLB_CONTEXTS) - 1);
    if (mmu->memory->shadow != NULL) /* which all CPUs share */
        memory_revoke_all(mmu->memory);
}

void mmu_dump_shadow(const struct mmu *mmu, void (*print)(void *ctx, const char *line), void *ctx)
{
    shadow_dump(mmu->impl, print, ctx);
}

void mmu_invalidate_page(struct mmu *mmu, u64 va)
{
    if (mmu->memory->shadow != NULL)
        shadow_flush_page(mmu->impl, va);
}

void mmu_invalidate_second(struct mmu *mmu)
{
    if (mmu->memory->shadow != NULL)
        shadow_flush_second(mmu->memory->shadow);
}

void mmu_invalidate_all(struct mmu *mmu)
{
    if (mmu->memory->shadow != NULL)
        shadow_flush(mmu->impl);
}

/* ---- refill ---- */

/* One access under way. */
struct request {
    u64 va;
    u32 access;
    u32 class; /* the bank to fill */
    const struct accessor *who;
};

/* The access goes to this physical address: find what is there, and enter it in level 1. */
static void place(struct mmu_state *s, const struct request *r, u64 gpa, bool cached,
                  struct target *target)
{
    struct memory *memory = s->memory;
    const u64 address = gpa & memory->a20_mask;
    const struct slot *slot = memory_slot(memory, address, context_role(s).smm);
    u32 tags = r->access & (ACCESS_READ | ACCESS_WRITE | ACCESS_FETCH);
    u64 frame;

    if (unlikely((gpa & ~PAGE_OFFSET_MASK) == s->guest_apic_page && context_role(s).apic_access)) {
        *target = (struct target){.kind = SLOT_MMIO, .hpa = {gpa}, .slot = &s->guest_apic_slot};
        return;
    }
    if (unlikely((gpa & ~PAGE_OFFSET_MASK) == s->apic_page)) {
        /* Inside the processor, before the A20 gate. */
        *target = (struct target){.kind = SLOT_MMIO, .hpa = {gpa}, .slot = &s->apic_slot};
        return;
    }
    *target = (struct target){.kind = slot->kind, .hpa = {address}, .slot = slot};
    if (!slot_has_bytes(slot))
        return;

    target->host = slot->host + (address - slot->base);
    frame = slot->first_frame + ((address - slot->base) >> PAGE_SHIFT);
    if ((tags & ACCESS_WRITE) != 0) {
        tags |= ACCESS_READ; /* no x86 page can be written and not read */
        if (slot->kind == SLOT_RAM) {
            const struct frame *f = &memory->frames[frame];

            if ((f->flags & FRAME_TABLE) != 0 && table_is_idle(memory, frame))
                table_release(memory, frame);
            target->watched = f->flags != 0;
        }
        if (slot->kind != SLOT_RAM || target->watched)
            tags &= ~(u32)ACCESS_WRITE;
        /* A table that walks read may turn out to be idle, which is seen here. */
        if (target->watched && (memory->frames[frame].flags & FRAME_TABLE) == 0)
            tags |= FILL_WATCHED;
    }
    if (cached)
        tlb_fill(s, r->class, r->va, target->host - (r->va & PAGE_OFFSET_MASK), frame, tags);
}

/* Note what the translation depends on. false: on something that changes unseen. */
static bool depend(struct mmu_state *s, const struct translation *t)
{
    const union mmu_role role = context_role(s);
    struct table_use use = {
        .bytes = s->context[s->current].first.rules.format->entry_bytes,
        .format = role.format,
        .cpu = (u8)s->index,
        .context = (u8)s->current,
        .mixed = role.smm,
    };

    for (u32 i = 0; i < t->steps; i++) {
        if (t->step[i].host == NULL)
            return false;
    }
    for (u32 i = 0; i < t->steps; i++) {
        const struct walk_step *step = &t->step[i];

        use.frame = step->frame;
        use.offset = (u32)((uintptr_t)step->host & PAGE_OFFSET_MASK);
        use.base = step->base;
        use.level = step->level;
        table_use(s->memory, &use);
    }
    return true;
}

static struct walk walk_here(const struct mmu_state *s)
{
    return (struct walk){
        .rules = &s->context[s->current].first.rules,
        .memory = &s->tables,
        .root = {s->key_root[s->current]},
        .registers = s->context[s->current].pdptes,
    };
}

static struct walk walk_second(const struct mmu_state *s)
{
    return (struct walk){
        .rules = &s->context[s->current].second.rules,
        .memory = &s->tables,
        .root = {s->key_root2[s->current]},
    };
}

static COLD enum refill fault(struct mmu_state *s, u64 va, u32 error_code)
{
    s->stats.faults++;
    s->mmu.fault = (struct mmu_fault){va, error_code};
    return REFILL_PAGE_FAULT;
}

/* A walk of the first stage, or of the only one, stopped. */
static NOINLINE enum refill stopped(struct mmu_state *s, const struct request *r,
                                    enum walk_stop stop)
{
    /* not present: physical memory always answers */
    const u32 why = stop == WALK_RESERVED_BIT ? PF_PRESENT | PF_RESERVED : 0;

    return fault(s, r->va, rights_error_base(r->who->role, r->who->user, r->access) | why);
}

/* May the access be made by what it found? */
static ALWAYS_INLINE enum refill judge(struct mmu_state *s, const struct request *r, u32 rights,
                                       u32 key)
{
    const u32 error = rights_check(r->who, r->access, rights, key);

    return error == 0 ? REFILL_OK : fault(s, r->va, error);
}

static NOINLINE enum refill refill_by_walk(struct mmu_state *s, const struct request *r,
                                           struct target *target)
{
    const struct walk w = walk_here(s);
    const bool write = (r->access & ACCESS_WRITE) != 0;
    struct translation t;
    enum walk_stop stop;
    enum refill refill;
    bool cached;

    s->stats.walks++;
    stop = walk(&w, r->va, &t);
    if (stop != WALK_DONE)
        return stopped(s, r, stop);
    refill = judge(s, r, t.rights, t.key);
    if (refill != REFILL_OK)
        return refill;
    walk_commit(&w, &t, write);
    cached = s->memory->shadow != NULL ? shadow_fetch(s, r->va, &t, write) : depend(s, &t);
    if (cached)
        tlb2_fill(s, r->va, tlb2_data(&t, write));
    place(s, r, t.gpa.v, cached, target);
    return REFILL_OK;
}

/* Put the second stage behind what the first said, if the shadow knows that it allows the access
 * and nothing of it is to be set. */
static bool join_second(struct mmu_state *s, const struct request *r, u64 *data)
{
    u64 second;
    u8 shift;

    if (data_page(*data) >> s->context[s->current].second.rules.format->linear_bits != 0 ||
        !shadow_lookup_second(s, data_page(*data), &second, &shift))
        return false;
    *data = tlb2_join(*data, second);
    return tlb2_grants(r->who, r->access, *data);
}

/*
 * Where the lookup ended at the last table of the (first) stage, its entry is all there is to read.
 * false: more is.
 */
static bool refill_by_last(struct mmu_state *s, const struct request *r, struct target *target,
                           enum refill *refill)
{
    const struct pt_rules *rules = &s->context[s->current].first.rules;
    const bool write = (r->access & ACCESS_WRITE) != 0;
    struct shadow_last last;
    u64 data, flags;
    bool cached;

    if (!shadow_last(s, r->va, &last))
        return false;
    s->stats.walks++;
    data = last.data | (write ? (u64)TLB2_DIRTY : 0);
    *refill = last.stop != WALK_DONE ? stopped(s, r, last.stop)
                                     : judge(s, r, (u32)data & RIGHTS_ALL, data_key(data));
    if (*refill != REFILL_OK)
        return true;
    flags = (rules->accessed | (write ? rules->dirty : 0)) & ~last.entry;
    if (context_nested(s)) {
        const union mmu_role second = {.word = s->key_role2[s->current]};

        /* To set a flag, the second stage must allow a store to the table; where it keeps flags
         * itself, that is known. SDM Vol 3C 29.3.3.2. */
        if ((!second.ad && flags != 0 && !shadow_may_set(s, r->who)) || !join_second(s, r, &data))
            return false;
    }
    if (flags != 0 && !last.fixed)
        memory_set_bits(s->memory, last.host, rules->format->entry_bytes, flags);
    cached = shadow_fetch_last(s, r->va, &last, data);
    if (cached)
        tlb2_fill(s, r->va, data);
    place(s, r, data_page(data) | (r->va & PAGE_OFFSET_MASK), cached, target);
    return true;
}

static NOINLINE enum refill refill_by_nested_walk(struct mmu_state *s, const struct request *r,
                                                  struct target *target)
{
    const struct walk first = walk_here(s);
    const struct walk second = walk_second(s);
    const bool write = (r->access & ACCESS_WRITE) != 0;
    const bool shadow = s->memory->shadow != NULL;
    const u64 begun = shadow ? shadow_begin_nested(s) : 0;
    struct nested_walk n;
    bool cached;

    n.shadow = shadow ? s : NULL;
    n.first = &first;
    n.second = &second;
    n.role.word = s->key_role2[s->current];
    n.who = r->who;
    n.log = &s->mmu.log;
    s->stats.walks++;
    switch (nested_walk(&n, r->va, r->access)) {
    case NESTED_DONE: break;
    case NESTED_PAGE_FAULT: return fault(s, r->va, n.error_code);
    case NESTED_FAULT:
        s->stats.nested_faults++;
        s->mmu.nested = n.fault;
        return REFILL_NESTED;
    }
    if (shadow)
        cached = n.shadowed && shadow_fetch_nested(s, r->va, &n, write, begun);
    else
        cached = nested_depend(s, &n);
    if (cached)
        tlb2_fill(s, r->va, tlb2_data(&n.t, write));
    place(s, r, n.t.gpa.v, cached, target);
    return REFILL_OK;
}

/* Does a level-2 data word allow the access without a walk? */
static ALWAYS_INLINE bool data_allows(const struct request *r, u64 data)
{
    return tlb2_grants(r->who, r->access, data) &&
           rights_check(r->who, r->access, (u32)data & RIGHTS_ALL, data_key(data)) == 0;
}

/* Answer from level 2, if the access needs no more than what it knows. */
static bool refill_by_tlb2(struct mmu_state *s, const struct request *r, struct target *target)
{
    const struct tlb2_entry *e = tlb2_slot(s, s->current, r->va);
    const u64 data = e->data;

    if (e->tag != tlb2_tag(r->va, s->context[s->current].stamp))
        return false;
    if (!data_allows(r, data))
        return false;
    s->stats.l2_hits++;
    place(s, r, data_page(data) | (r->va & PAGE_OFFSET_MASK), true, target);
    return true;
}

static bool refill_by_shadow(struct mmu_state *s, const struct request *r, struct target *target)
{
    u64 data;

    if (!shadow_lookup(s, r->va, &data) || !data_allows(r, data))
        return false;
    tlb2_fill(s, r->va, data);
    place(s, r, data_page(data) | (r->va & PAGE_OFFSET_MASK), true, target);
    return true;
}

/* Bits above the format's are copies of its highest one. */
static bool canonical(const struct pt_format *format, u64 va)
{
    const unsigned above = 64u - format->linear_bits;

    return format->linear_bits == 32 || (u64)((i64)(va << above) >> above) == va;
}

/* What level 2 does not know. */
static NOINLINE enum refill refill_by_tables(struct mmu_state *s, const struct request *r,
                                             struct target *target)
{
    if (s->memory->shadow != NULL) {
        enum refill refill;

        if (refill_by_shadow(s, r, target))
            return REFILL_OK;
        if (refill_by_last(s, r, target, &refill))
            return refill;
    }
    if (unlikely(context_nested(s)))
        return refill_by_nested_walk(s, r, target);
    return refill_by_walk(s, r, target);
}

enum refill mmu_refill(struct mmu *mmu, u64 va, u32 access, struct target *target)
{
    struct mmu_state *s = mmu->impl;
    const bool implicit = (access & ACCESS_IMPLICIT) != 0;
    const struct request r = {
        .va = va,
        .access = access,
        .class = implicit ? s->system_class : s->class,
        .who = &s->who[implicit],
    };
    const struct pt_format *format = s->context[s->current].first.rules.format;

    s->stats.refills++;
    if (format->root_level == 0 && !context_nested(s)) {
        place(s, &r, va, true, target);
        return REFILL_OK;
    }
    if (unlikely(!canonical(format, va)))
        return REFILL_NONCANONICAL;
    if (likely(refill_by_tlb2(s, &r, target)))
        return REFILL_OK;
    return refill_by_tables(s, &r, target);
}

static bool probe_nested(const struct mmu_state *s, u64 va, u64 *gpa)
{
    const struct walk first = walk_here(s);
    const struct walk second = walk_second(s);
    struct nested_walk n;

    n.shadow = NULL;
    n.first = &first;
    n.second = &second;
    n.role.word = s->key_role2[s->current];
    if (!nested_probe(&n, va))
        return false;
    *gpa = n.t.gpa.v;
    return true;
}

static bool probe_single(const struct mmu_state *s, u64 va, u64 *gpa)
{
    const struct walk w = walk_here(s);
    struct translation t;

    *gpa = va;
    if (w.rules->format->root_level == 0)
        return true;
    if (walk(&w, va, &t) != WALK_DONE)
        return false;
    *gpa = t.gpa.v;
    return true;
}

bool mmu_probe(struct mmu *mmu, u64 va, hpa_t *hpa)
{
    struct mmu_state *s = mmu->impl;
    bool found;
    u64 gpa;

    if (!canonical(s->context[s->current].first.rules.format, va))
        return false;
    s->quiet = true;
    found = context_nested(s) ? probe_nested(s, va, &gpa) : probe_single(s, va, &gpa);
    s->quiet = false;
    if (found)
        hpa->v = gpa & s->memory->a20_mask;
    return found;
}

/* A walk of the second stage alone. */
static struct nested_walk second_alone(struct mmu_state *s, const struct walk *first,
                                       const struct walk *second)
{
    return (struct nested_walk){.first = first,
                                .second = second,
                                .role.word = s->key_role2[s->current],
                                .log = &s->mmu.log};
}

static bool second_answer(struct mmu_state *s, const struct nested_walk *n, bool done)
{
    if (done)
        return true;
    s->stats.nested_faults++;
    s->mmu.nested = n->fault;
    return false;
}

bool mmu_read_nested(struct mmu *mmu, gpa_t at, u32 size, u64 *value)
{
    struct mmu_state *s = mmu->impl;
    const struct walk first = walk_here(s);
    const struct walk second = walk_second(s);
    struct nested_walk n = second_alone(s, &first, &second);

    n.t.gpa = at;
    if (context_nested(s) && !second_answer(s, &n, nested_physical(&n, at)))
        return false;
    *value = mmu_read_physical(mmu, n.t.gpa, size);
    return true;
}

bool mmu_translate_nested(struct mmu *mmu, gpa_t at, u32 access, hpa_t *hpa)
{
    struct mmu_state *s = mmu->impl;
    const struct walk first = walk_here(s);
    const struct walk second = walk_second(s);
    struct nested_walk n = second_alone(s, &first, &second);

    if (!second_answer(s, &n, nested_physical_access(&n, at, access)))
        return false;
    hpa->v = n.t.gpa.v;
    return true;
}
