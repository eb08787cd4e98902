/* SPDX-License-Identifier: MIT */
/*
 * What must come of an access: a walk of the copy of memory, by mmu/walk.c and mmu/nested.c without
 * any cache, judged by mmu/rights.c, which all have their own tests.
 */
#include "tests/mmu/shadow_world.h"

#include <stdlib.h>
#include <string.h>

/* Where a reference walk reads. */
struct state {
    struct world *w;
    u8 *bytes; /* w->copy or w->past */
    bool smm;
    struct expected *e; /* two stages: where flags go */
};

static bool state_read(void *ctx, gpa_t at, u32 bytes, struct walk_step *step)
{
    const struct state *state = ctx;
    struct world *w = state->w;
    const u64 address = memory_a20(w->memory) ? at.v : at.v & ~BIT(20);
    const struct slot *slot = memory_find(w->memory, (hpa_t){at.v}, state->smm);

    step->host = NULL;
    step->fixed = slot->kind == SLOT_ROM;
    step->entry =
        slot->kind == SLOT_MMIO ? w->device_answer & width_mask(bytes) : width_mask(bytes);
    if (slot->kind != SLOT_RAM && slot->kind != SLOT_ROM)
        return true;
    step->host = slot->host + (address - slot->base);
    step->entry = load_le(state->bytes + (step->host - w->bytes), bytes);
    return true;
}

/* Flags of one walk may matter to its next steps: set them, and remember what was there. */
static void state_set_bits(void *ctx, const struct walk_step *step, u32 bytes, u64 bits)
{
    const struct state *state = ctx;
    struct flagging *flagging = &state->e->flagging[state->e->flaggings];
    u8 *at;

    if (step->host == NULL || step->fixed)
        return;
    at = state->bytes + (step->host - state->w->bytes);
    if ((load_le(at, bytes) & bits) == bits)
        return;
    if (++state->e->flaggings > ARRAY_SIZE(state->e->flagging))
        abort();
    flagging->at = (u32)align_down((u64)(at - state->bytes), 8);
    memcpy(flagging->before, state->bytes + flagging->at, 8);
    store_le(at, load_le(at, bytes) | bits, bytes);
}

/* Take the flags of a walk back; commit() may set them again. */
static void undo_flags(struct world *w, struct expected *e)
{
    for (u32 i = 0; i < e->flaggings; i++)
        memcpy(e->flagging[i].after, w->copy + e->flagging[i].at, 8);
    for (u32 i = e->flaggings; i-- > 0;)
        memcpy(w->copy + e->flagging[i].at, e->flagging[i].before, 8);
}

bool is_canonical(const struct pt_format *format, u64 va)
{
    const unsigned above = 64u - format->linear_bits;

    return format->linear_bits == 32 || (u64)((i64)(va << above) >> above) == va;
}

void find_target(struct world *w, union mmu_role role, u64 gpa, struct expected *e)
{
    e->hpa = memory_a20(w->memory) ? gpa : gpa & ~BIT(20);
    if (gpa >> PAGE_SHIFT == FRAME_APIC) {
        e->hpa = gpa;
        return;
    }
    e->slot = memory_find(w->memory, (hpa_t){gpa}, role.smm);
    if (e->slot->kind == SLOT_RAM || e->slot->kind == SLOT_ROM)
        e->host = e->slot->host + (e->hpa - e->slot->base);
}

static bool in_device(const struct translation *t)
{
    for (u32 i = 0; i < t->steps; i++) {
        if (t->step[i].host == NULL)
            return true;
    }
    return false;
}

/* Through both stages of the state as it is now. */
static void reference_nested(struct world *w, const struct context *c, const struct walk *first,
                             const struct accessor *who, u64 va, u32 access, struct expected *e)
{
    const struct walk second = {.rules = &c->second_rules,
                                .memory = first->memory,
                                .root = c->second.root};
    struct nested_walk n = {.first = first, .second = &second, .role = c->second.role, .who = who};

    switch (nested_walk(&n, va, access)) {
    case NESTED_DONE:
        e->in_device = in_device(&n.t) || in_device(&n.final);
        for (u32 i = 0; i < n.tables; i++)
            e->in_device |= in_device(&n.table[i].second);
        find_target(w, c->role, n.t.gpa.v, e);
        break;
    case NESTED_PAGE_FAULT:
        e->result = REFILL_PAGE_FAULT;
        e->error_code = n.error_code;
        break;
    case NESTED_FAULT:
        e->result = REFILL_NESTED;
        e->nested = n.fault;
        break;
    }
    undo_flags(w, e);
}

struct expected reference(struct world *w, const struct cpu *cpu, u64 va, u32 access, u8 *bytes)
{
    const struct context *c = context_of(w, cpu);
    const bool implicit = (access & ACCESS_IMPLICIT) != 0;
    const struct accessor who = {.role = c->role,
                                 .user = cpu->user && !implicit,
                                 .smap = c->role.smap && (implicit || !cpu->ac),
                                 .pkru = cpu->pkru,
                                 .pkrs = cpu->pkrs,
                                 .gmet = c->nested && c->second.role.gmet};
    struct expected e = {.result = REFILL_OK, .entry_bytes = c->rules.format->entry_bytes};
    struct state state = {w, bytes, c->role.smm, &e};
    const struct pt_memory tables = {&state, state_read, state_set_bits};
    const struct walk walker = {&c->rules, &tables, {c->root}, c->pdptes};

    if (c->role.format == PAGING_NONE && !c->nested) {
        find_target(w, c->role, va, &e);
        return e;
    }
    if (!is_canonical(c->rules.format, va)) {
        e.result = REFILL_NONCANONICAL;
        return e;
    }
    if (c->nested) {
        reference_nested(w, c, &walker, &who, va, access, &e);
        return e;
    }
    switch (walk(&walker, va, &e.t)) {
    case WALK_DONE: e.error_code = rights_check(&who, access, e.t.rights, e.t.key); break;
    case WALK_RESERVED_BIT:
        e.error_code = rights_error_base(c->role, who.user, access) | PF_PRESENT | PF_RESERVED;
        e.result = REFILL_PAGE_FAULT;
        break;
    default:
        e.error_code = rights_error_base(c->role, who.user, access);
        e.result = REFILL_PAGE_FAULT;
    }
    if (e.error_code != 0)
        e.result = REFILL_PAGE_FAULT;
    if (e.result == REFILL_OK)
        find_target(w, c->role, e.t.gpa.v, &e);
    e.in_device = in_device(&e.t);
    return e;
}

/* The flags that an access sets in an entry of its walk. */
static u64 flags_wanted(const struct expected *e, u32 step, u32 access)
{
    const struct walk_step *s = &e->t.step[step];
    const u64 accessed = BIT(5), dirty = BIT(6);

    if (s->host == NULL || s->fixed)
        return 0;
    return accessed | (step + 1u == e->t.steps && (access & ACCESS_WRITE) != 0 ? dirty : 0);
}

bool flags_set(const struct expected *e, u32 access)
{
    for (u32 i = 0; i < e->t.steps; i++) {
        if ((flags_wanted(e, i, access) & ~e->t.step[i].entry) != 0)
            return false;
    }
    return e->flaggings == 0;
}

bool steps_equal(const struct world *w, const struct expected *e)
{
    for (u32 i = 0; i < e->t.steps; i++) {
        const u8 *host = e->t.step[i].host;

        if (host != NULL && memcmp(host, w->copy + (host - w->bytes), e->entry_bytes) != 0)
            return false;
    }
    for (u32 i = 0; i < e->flaggings; i++) {
        if (memcmp(w->bytes + e->flagging[i].at, w->copy + e->flagging[i].at, 8) != 0)
            return false;
    }
    return true;
}

void commit(struct world *w, const struct expected *e, u32 access)
{
    for (u32 i = 0; i < e->t.steps; i++) {
        const u64 wanted = flags_wanted(e, i, access);
        u64 at;
        u8 entry[8];

        if (wanted == 0)
            continue;
        at = (u64)(e->t.step[i].host - w->bytes);
        store_le(entry, load_le(w->copy + at, e->entry_bytes) | wanted, e->entry_bytes);
        if (memcmp(entry, w->copy + at, e->entry_bytes) != 0)
            world_put(w, at, entry, e->entry_bytes);
    }
    for (u32 i = 0; i < e->flaggings; i++)
        world_put(w, e->flagging[i].at, e->flagging[i].after, 8);
}

bool was_true(struct world *w, const struct cpu *cpu, u32 page, u64 va, u32 access, u64 hpa,
              const u8 *host)
{
    u64 since = cpu->flushed[cpu->context];

    if (cpu->page_flushed[cpu->context][page] > since)
        since = cpu->page_flushed[cpu->context][page];
    if (w->edits - since > LOG_SIZE)
        return true; /* unknown: the CPU has not run for long */
    memcpy(w->past, w->copy, MEMORY_BYTES);
    for (u64 n = w->edits; n-- > since;) {
        const struct edit *edit = &w->log[n % LOG_SIZE];
        struct expected e;

        memcpy(w->past + edit->at, edit->before, 8);
        e = reference(w, cpu, va, access, w->past);
        if (e.result == REFILL_OK && (host != NULL ? e.host == host : e.hpa == hpa) &&
            ((access & ACCESS_WRITE) == 0 || e.t.dirty || e.t.step[e.t.steps - 1].fixed)) {
            w->result->stale++;
            return true;
        }
    }
    return false;
}
