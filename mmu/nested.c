/* SPDX-License-Identifier: MIT */
/*
 * Walks through two stages, SDM Vol 3C 29.3 and APM Vol 2 15.25. See mmu/nested.h.
 *
 * The first stage is the ordinary walk over memory whose read() goes through the second stage.
 * Left out: memory types (checked, not used), page-modification logging, sub-page permissions.
 */
#include "mmu/nested.h"

#include "mmu/shadow/shadow.h"
#include "mmu/table.h"
#include "mmu/tlb.h"

/* ---- roles ---- */

struct mmu_second_stage second_stage_ept(u64 eptp, const struct ept_features *features)
{
    const bool five = bits_get(eptp, 5, 3) == 4;
    struct mmu_second_stage second = {.root = {eptp & BITS(51, 12)}};

    second.role.format = five ? PAGING_EPT5 : PAGING_EPT;
    second.role.level = five ? 5 : 4;
    second.role.gbpages = features->gbpages;
    second.role.guest_mode = 1;
    second.role.stage2 = 1;
    second.role.ad = bits_get(eptp, 6, 6) & 1;
    second.role.execonly = features->execonly;
    second.role.mbec = features->mbec;
    second.role.log = features->log && second.role.ad;
    return second;
}

struct mmu_second_stage second_stage_npt(union mmu_role host, u64 ncr3, bool gmet)
{
    struct mmu_second_stage second = {.root = {ncr3 & BITS(51, 12)}};

    second.role.format = host.format;
    second.role.level = host.level;
    second.role.has_4_byte_gpte = host.has_4_byte_gpte;
    second.role.pse = host.format == PAGING_32BIT && host.pse;
    second.role.nx = host.format != PAGING_32BIT && host.nx;
    second.role.smep = host.smep || gmet;
    second.role.gmet = gmet;
    second.role.gbpages = host.format >= PAGING_4LEVEL && host.gbpages;
    second.role.bit8_reserved = host.format >= PAGING_4LEVEL && host.bit8_reserved;
    second.role.guest_mode = 1;
    second.role.stage2 = 1;
    second.role.ad = 1;
    if (host.format == PAGING_32BIT)
        second.root.v = ncr3 & BITS(31, 12);
    if (host.format == PAGING_PAE) {
        second.role.pdpt = 1;
        second.root.v = ncr3 & BITS(31, 5);
    }
    return second;
}

/* ---- what an exit reports ---- */

_Static_assert((u32)ACCESS_READ == (u32)RIGHT2_READ && (u32)ACCESS_WRITE == (u32)RIGHT2_WRITE &&
                   (u32)ACCESS_FETCH == (u32)RIGHT2_EXEC,
               "bits 2:0 and 5:3 of the qualification are these");

u64 ept_qualification(const struct mmu_nested_fault *fault)
{
    const bool final = fault->linear_valid && !fault->table;
    const struct {
        u8 bit;
        bool set;
    } rows[] = {
        {6, fault->role.mbec && (fault->rights2 & RIGHT2_USER_EXEC) != 0},
        {7, fault->linear_valid},
        {8, final},
        {9, final && (fault->rights & RIGHT_USER) != 0},
        {10, final && (fault->rights & RIGHT_WRITE) != 0},
        {11, final && (fault->rights & RIGHT_EXEC) == 0},
    };
    u64 qualification = (u64)(fault->access & 7u) | (u64)(fault->rights2 & 7u) << 3;

    if (fault->reason == NESTED_RESERVED)
        return 0;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        qualification |= (u64)rows[i].set << rows[i].bit;
    return qualification;
}

u64 npf_error_code(const struct mmu_nested_fault *fault)
{
    static const u32 reasons[] = {
        [NESTED_NOT_PRESENT] = 0,
        [NESTED_NOT_ALLOWED] = PF_PRESENT,
        [NESTED_RESERVED] = PF_PRESENT | PF_RESERVED,
    };

    return rights_error_base(fault->role, fault->user, fault->access) | reasons[fault->reason] |
           (fault->table ? BIT(33) : BIT(32));
}

/* ---- one address through the second stage ---- */

/* How the second stage sees the reading of an entry: SDM Vol 3C 29.3.5 (both read and write are
 * reported then, table 28-7), APM Vol 2 15.25.5. */
static u32 table_access(const struct nested_walk *n)
{
    return n->role.ad ? ACCESS_READ | ACCESS_WRITE : ACCESS_READ;
}

static bool nested_fault(struct nested_walk *n, gpa_t at, u32 access, u32 rights2,
                         enum mmu_nested_reason reason)
{
    n->fault.gpa = at;
    n->fault.access = (u8)(access & (ACCESS_READ | ACCESS_WRITE | ACCESS_FETCH));
    n->fault.rights2 = (u8)rights2;
    n->fault.reason = reason;
    n->fault.role = n->role;
    n->fault.user = !n->role.gmet || (access & ACCESS_FETCH) == 0 || n->who->user;
    return false;
}

/* The entry that a fault is about: the last one that was read. */
static void note_entry(struct nested_walk *n, const struct translation *t)
{
    n->fault.entry = t->steps != 0 ? t->step[t->steps - 1].entry : 0;
}

/* A dirty flag that is about to become set is logged first: SDM Vol 3C 29.3.6. */
static bool log_dirty(struct nested_walk *n, gpa_t at, u32 access, const struct translation *t)
{
    if (!n->role.log || (access & ACCESS_WRITE) == 0 || t->dirty)
        return true;
    if (n->log->add(n->log->ctx, (gpa_t){at.v & ~PAGE_OFFSET_MASK}))
        return true;
    return nested_fault(n, at, access, t->rights, NESTED_LOG_FULL);
}

/* The answer of the shadow pages, if they have one and it is yes. rights: see second_pass(). */
static bool second_by_shadow(const struct nested_walk *n, gpa_t at, u32 access, u32 rights,
                             struct translation *t)
{
    const u64 dirty = (access & ACCESS_WRITE) != 0 ? TLB2_DIRTY2 : 0;
    u64 data;

    if (n->shadow == NULL || !shadow_lookup_second(n->shadow, at.v, &data, &t->page_shift))
        return false;
    t->gpa.v = data_page(data) | (at.v & PAGE_OFFSET_MASK);
    t->rights = (u32)(data >> TLB2_RIGHTS2_SHIFT) & RIGHTS2_ALL;
    t->dirty = (data & TLB2_DIRTY2) != 0;
    t->steps = 0;
    return rights2_allow(n->who, access, rights, t->rights) && (data & dirty) == dirty;
}

/* Where a nested-physical address is, if the second stage allows the access there (0: a probe).
 * rights: enum right of the first stage, which say whose the linear address is. false: n->fault is
 * filled but for va and what the access is for. */
static bool second_pass(struct nested_walk *n, gpa_t at, u32 access, u32 rights,
                        struct translation *t)
{
    /* Addresses that the tables do not reach: SDM Vol 3C 29.3.2; the 4 GiB of a 32-bit NPT. */
    if ((at.v >> n->second->rules->format->linear_bits) != 0)
        return nested_fault(n, at, access, 0, NESTED_NOT_PRESENT);
    if (second_by_shadow(n, at, access, rights, t))
        return true;
    switch (walk(n->second, at.v, t)) {
    case WALK_DONE: break;
    case WALK_RESERVED_BIT: return nested_fault(n, at, access, t->rights, NESTED_RESERVED);
    case WALK_NOT_PRESENT:
    case WALK_UNDER: /* machine memory always answers */
        note_entry(n, t);
        return nested_fault(n, at, access, t->rights, NESTED_NOT_PRESENT);
    }
    if (rights2_allow(n->who, access, rights, t->rights))
        return log_dirty(n, at, access, t);
    note_entry(n, t);
    return nested_fault(n, at, access, t->rights, NESTED_NOT_ALLOWED);
}

/* The access is made: flags, and what the shadow pages learn. */
static void second_commit(struct nested_walk *n, gpa_t at, u32 access, struct translation *t)
{
    const bool write = (access & ACCESS_WRITE) != 0;

    if (t->steps == 0)
        return; /* from the shadow, which has nothing to set */
    walk_commit(n->second, t, write);
    if (n->shadow == NULL)
        return;
    n->shadowed &= shadow_fetch_second(n->shadow, at.v, t, write);
    t->steps = 0;
}

/* ---- the memory that holds the first stage's tables ---- */

/* Reach an entry; access is 0 for a probe. */
static bool tables_reach(struct nested_walk *n, gpa_t at, u32 access, u32 bytes,
                         struct walk_step *step)
{
    struct nested_table *table = &n->table[n->tables++];
    const struct walk *second = n->second;

    table->at = at;
    if (!second_pass(n, at, access, RIGHTS_ALL, &table->second))
        return false;
    if (access != 0)
        second_commit(n, at, access, &table->second);
    return second->memory->read(second->memory->ctx, table->second.gpa, bytes, step);
}

static bool tables_read(void *ctx, gpa_t at, u32 bytes, struct walk_step *step)
{
    struct nested_walk *n = ctx;

    return tables_reach(n, at, table_access(n), bytes, step);
}

static bool tables_probe(void *ctx, gpa_t at, u32 bytes, struct walk_step *step)
{
    return tables_reach(ctx, at, 0, bytes, step);
}

static void tables_set_bits(void *ctx, const struct walk_step *step, u32 bytes, u64 bits)
{
    const struct pt_memory *machine = ((struct nested_walk *)ctx)->second->memory;

    machine->set_bits(machine->ctx, step, bytes, bits);
}

/* ---- both stages ---- */

static bool has_first(const struct nested_walk *n)
{
    return n->first->rules->format->root_level != 0;
}

static void begin(struct nested_walk *n, u64 va, bool linear_valid)
{
    n->tables = 0;
    n->shadowed = true;
    n->fault.va = va;
    n->fault.linear_valid = linear_valid;
    n->fault.table = true;
    n->fault.rights = 0;
    n->t.gpa = (gpa_t){va};
    n->t.rights = RIGHTS_ALL;
    n->t.key = 0;
    n->t.page_shift = 63;
    n->t.steps = 0;
    n->t.dirty = true;
}

/* May the flags be set that the first stage wants set? That needs a writable page under the entry.
 * Where tables are read as if written, that is known already. SDM Vol 3C 29.3.3.2. */
static bool updates_allowed(struct nested_walk *n, const struct walk *first, bool write)
{
    const struct pt_rules *rules = first->rules;

    if (n->role.ad || n->tables == 0)
        return true; /* or there is nothing to set */
    for (u32 i = 0; i < n->t.steps; i++) {
        const u64 wanted = rules->accessed | (write && i + 1u == n->t.steps ? rules->dirty : 0);
        struct nested_table *table = &n->table[i];

        if ((n->t.step[i].entry & wanted) != wanted && (table->second.rights & RIGHT2_WRITE) == 0 &&
            !second_pass(n, table->at, ACCESS_READ | ACCESS_WRITE, RIGHTS_ALL, &table->second))
            return false;
    }
    return true;
}

static enum nested_stop page_fault(struct nested_walk *n, u32 error_code)
{
    n->error_code = error_code;
    return NESTED_PAGE_FAULT;
}

/* The first stage, up to its rights. n->t.gpa is nested-physical after that. */
static enum nested_stop first_stage(struct nested_walk *n, const struct walk *first, u64 va,
                                    u32 access)
{
    const struct accessor *who = n->who;
    u32 error = rights_error_base(who->role, who->user, access);

    switch (walk(first, va, &n->t)) {
    case WALK_UNDER: return NESTED_FAULT;
    case WALK_NOT_PRESENT: return page_fault(n, error);
    case WALK_RESERVED_BIT: return page_fault(n, error | PF_PRESENT | PF_RESERVED);
    case WALK_DONE: break;
    }
    error = rights_check(who, access, n->t.rights, n->t.key);
    if (error != 0)
        return page_fault(n, error);
    return updates_allowed(n, first, (access & ACCESS_WRITE) != 0) ? NESTED_DONE : NESTED_FAULT;
}

/* Put both stages together. */
static void join(struct nested_walk *n)
{
    n->t.gpa = n->final.gpa;
    n->t.rights2 = (u8)n->final.rights;
    n->t.dirty2 = n->final.dirty;
    if (n->final.page_shift < n->t.page_shift)
        n->t.page_shift = n->final.page_shift;
}

enum nested_stop nested_walk(struct nested_walk *n, u64 va, u32 access)
{
    const struct pt_memory memory = {n, tables_read, tables_set_bits};
    const bool write = (access & ACCESS_WRITE) != 0;
    struct walk first = *n->first;

    first.memory = &memory;
    begin(n, va, true);
    if (has_first(n)) {
        const enum nested_stop stop = first_stage(n, &first, va, access);

        if (stop != NESTED_DONE)
            return stop;
    }
    n->fault.table = false;
    n->fault.rights = (u8)n->t.rights;
    n->nested = n->t.gpa;
    if (!second_pass(n, n->nested, access, n->t.rights, &n->final))
        return NESTED_FAULT;
    if (has_first(n))
        walk_commit(&first, &n->t, write);
    second_commit(n, n->nested, access, &n->final);
    join(n);
    return NESTED_DONE;
}

bool nested_probe(struct nested_walk *n, u64 va)
{
    const struct pt_memory memory = {n, tables_probe, tables_set_bits};
    struct walk first = *n->first;

    first.memory = &memory;
    begin(n, va, true);
    if ((has_first(n) && walk(&first, va, &n->t) != WALK_DONE) ||
        !second_pass(n, n->t.gpa, 0, RIGHTS_ALL, &n->final))
        return false;
    join(n);
    return true;
}

static bool physical(struct nested_walk *n, gpa_t at, u32 access, bool table)
{
    begin(n, 0, false);
    n->fault.table = table;
    if (!second_pass(n, at, access, RIGHTS_ALL, &n->final))
        return false;
    second_commit(n, at, access, &n->final);
    join(n);
    return true;
}

bool nested_physical(struct nested_walk *n, gpa_t at)
{
    const u32 access = n->second->rules->format->patterns ? ACCESS_READ : table_access(n);

    return physical(n, at, access, true);
}

bool nested_physical_access(struct nested_walk *n, gpa_t at, u32 access)
{
    return physical(n, at, access, false);
}

/* ---- coherence ---- */

/* In memory that tells of stores, and what the walk read but for its own accessed and dirty flags:
 * in a table that is also used in another meaning these may have changed something. */
static bool steps_stand(const struct pt_rules *rules, const struct translation *t)
{
    for (u32 i = 0; i < t->steps; i++) {
        const struct walk_step *step = &t->step[i];
        const bool flags = step->level <= rules->format->root_level;
        u64 now;

        if (step->host == NULL)
            return false;
        now = pt_load(step->host, rules->format->entry_bytes);
        if (((now ^ step->entry) & ~(flags ? rules->accessed | rules->dirty : 0)) != 0)
            return false;
    }
    return true;
}

/* A change of a level-1 entry of the first stage makes one page stale, any other the context. */
static void use_steps(struct mmu_state *s, union mmu_role role, const struct translation *t)
{
    for (u32 i = 0; i < t->steps; i++) {
        const struct walk_step *step = &t->step[i];

        table_use(s->memory, &(struct table_use){
                                 .frame = step->frame,
                                 .offset = (u32)((uintptr_t)step->host & PAGE_OFFSET_MASK),
                                 .bytes = pt_formats[role.format].entry_bytes,
                                 .base = step->base,
                                 .format = role.format,
                                 .level = step->level,
                                 .cpu = (u8)s->index,
                                 .context = (u8)s->current,
                                 .mixed = role.stage2 || step->level > 1 || role.smm,
                                 .foreign = step->level > pt_formats[role.format].root_level,
                             });
    }
}

bool nested_depend(struct mmu_state *s, const struct nested_walk *n)
{
    const struct pt_rules *second = n->second->rules;

    if (!steps_stand(n->first->rules, &n->t) || !steps_stand(second, &n->final))
        return false;
    for (u32 i = 0; i < n->tables; i++) {
        if (!steps_stand(second, &n->table[i].second))
            return false;
    }
    use_steps(s, context_role(s), &n->t);
    use_steps(s, n->role, &n->final);
    for (u32 i = 0; i < n->tables; i++)
        use_steps(s, n->role, &n->table[i].second);
    return true;
}
