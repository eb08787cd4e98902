/* SPDX-License-Identifier: MIT */
/*
 * A laboratory for the shadow engine: guest RAM with hand-made tables, two CPUs, and an oracle that
 * walks guest memory afresh for each access and has no cache at all. Each access is compared with
 * it (where it goes, error code, accessed and dirty bits), and each step ends with the audit.
 *
 * Tests run over a matrix of cells: {strict, lazy, drop} x {plain, KVM parity} x {large, small
 * pages}, those with second stages also x {shadow, combined}. Under lazy the laboratory's guest is
 * well behaved: it flushes before the first access after an edit, unless the test sets `careless`.
 *
 * A nested guest's addresses are those of the machine plus LAB_SHIFT, as its second stage is made.
 */
#ifndef TESTS_MMU_SHADOW_HARNESS_H
#define TESTS_MMU_SHADOW_HARNESS_H

#include "mmu/nested.h"
#include "mmu/shadow/shadow_impl.h"
#include "mmu/walk.h"
#include "tests/mmu/guest.h"
#include "tests/run_suite.h"

enum {
    LAB_CELLS = 12,
    LAB_NESTED_CELLS = 24, /* the second half: combined */
    LAB_CPUS = 2,
    LAB_RAM = 8 << 20,
    LAB_UNSYNC_AFTER = 2, /* strict: the third store to a level-1 table without a use */
    LAB_COPIED = 64, /* frames that hold tables: the oracle has a copy of them */
    LAB_FIRST_TABLE = 0x1000, /* lab_table() hands out frames from here up */
    LAB_DATA = 0x100000, /* and data goes from here up, by habit */
    LAB_SHIFT = 0x40000, /* where a nested guest sees the machine's address 0 */
};

/* EPT entries. */
enum { RWX = 7, WB = 6 << 3, EPT_A = 1 << 8, EPT_D = 1 << 9 };

/* Settings of an EPT. */
enum { EPT_AD = 1, EPT_EXECONLY = 2, EPT_MBEC = 4, NPT_GMET = 8 };

/* What a CPU has set. */
struct lab_cpu {
    union mmu_role role;
    u64 root;
    u64 pdptes[4];
    struct mmu_second_stage second; /* role 0: none */
    bool user, ac;
    u32 pkru, pkrs;
    bool pending; /* the guest edited something and did not flush here yet */
    bool pending_second; /* the same for second stages */
};

struct lab {
    struct guest g; /* g.mmu: the first CPU's */
    struct mmu *mmu[LAB_CPUS];
    struct shadow *shadow;
    struct shadow_options options;
    struct lab_cpu cpu[LAB_CPUS];
    u32 now; /* the CPU that acts */
    u64 next_table;
    bool careless; /* lazy: do not flush by itself; answers are then not compared */
    u8 copy[LAB_COPIED << PAGE_SHIFT];
};

/* What became of an access. */
struct lab_answer {
    enum refill result;
    u32 error; /* REFILL_PAGE_FAULT */
    u64 at; /* REFILL_OK: the physical address */
    const u8 *host; /* of the byte, NULL if not RAM or ROM */
    bool watched; /* a write that must go through memory_store() */
    struct mmu_nested_fault nested; /* REFILL_NESTED */
};

/* As ck_assert(), which costs a system call each time. */
#define LAB_MUST(condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

/* ---- life ---- */

static inline struct shadow_options lab_options(int cell)
{
    static const enum shadow_sync policies[] = {SYNC_STRICT, SYNC_LAZY, SYNC_DROP};

    return (struct shadow_options){
        .sync = policies[cell % LAB_CELLS / 4],
        .unsync_after = LAB_UNSYNC_AFTER,
        .kvm_parity = (cell & 2) != 0,
        .small_pages = (cell & 1) != 0,
        .combined = cell >= LAB_CELLS,
    };
}

static inline struct lab *lab_create_with(struct shadow_options options)
{
    struct lab *l = calloc(1, sizeof(*l));
    struct error error;

    l->g.memory = memory_create(PHYS_BITS);
    ck_assert(memory_add_ram(l->g.memory, "ram", (hpa_t){0}, LAB_RAM, &error));
    ck_assert(memory_add_rom(l->g.memory, "rom", (hpa_t){ROM_BASE}, 0x10000, &error));
    ck_assert(memory_add_mmio(l->g.memory, "device", (hpa_t){MMIO_BASE}, 0x1000, &device_ops,
                              &l->g.device, &error));
    l->options = options;
    l->shadow = shadow_create(l->g.memory, &options);
    for (u32 i = 0; i < LAB_CPUS; i++)
        l->mmu[i] = mmu_create(l->g.memory, PHYS_BITS);
    l->g.mmu = l->mmu[0];
    l->next_table = LAB_FIRST_TABLE;
    return l;
}

static inline struct lab *lab_create(int cell)
{
    return lab_create_with(lab_options(cell));
}

static inline void lab_destroy(struct lab *l)
{
    for (u32 i = 0; i < LAB_CPUS; i++)
        mmu_destroy(l->mmu[i]);
    memory_destroy(l->g.memory);
    free(l);
}

static inline void lab_audit(struct lab *l)
{
    char report[256];

    if (!shadow_audit(l->shadow, report, sizeof(report)))
        ck_abort_msg("audit: %s", report);
}

static inline struct lab_cpu *lab_cpu(struct lab *l)
{
    return &l->cpu[l->now];
}

static inline struct mmu_state *lab_state(struct lab *l)
{
    return l->mmu[l->now]->impl;
}

static inline bool lab_is_nested(struct lab *l)
{
    return lab_cpu(l)->second.role.word != 0;
}

/* Where the running guest sees the machine's address 0. */
static inline u64 lab_shift(struct lab *l)
{
    return lab_is_nested(l) ? LAB_SHIFT : 0;
}

static inline bool lab_is(const struct lab *l, enum shadow_sync sync)
{
    return l->options.sync == sync;
}

/* ---- guest memory ---- */

static inline void lab_edited(struct lab *l)
{
    for (u32 i = 0; i < LAB_CPUS; i++)
        l->cpu[i].pending = l->cpu[i].pending_second = true;
    lab_audit(l);
}

/* Stores by somebody outside the CPUs, as a device does. */
static inline void lab_write(struct lab *l, u64 at, const void *from, u64 size)
{
    memory_write(l->g.memory, (hpa_t){at}, from, size);
    lab_edited(l);
}

static inline void lab_put8(struct lab *l, u64 at, u64 value)
{
    lab_write(l, at, &value, 8);
}

static inline void lab_put4(struct lab *l, u64 at, u32 value)
{
    lab_write(l, at, &value, 4);
}

static inline u32 lab_entry_bytes(struct lab *l)
{
    return lab_cpu(l)->role.has_4_byte_gpte ? 4 : 8;
}

/* An entry of the size of the context's format. */
static inline void lab_put(struct lab *l, u64 at, u64 entry)
{
    lab_write(l, at, &entry, lab_entry_bytes(l));
}

static inline u64 lab_get(struct lab *l, u64 at)
{
    u64 entry = 0;

    memory_read(l->g.memory, (hpa_t){at}, &entry, lab_entry_bytes(l));
    return entry;
}

/* A fresh, empty frame for a table. */
static inline u64 lab_table(struct lab *l)
{
    const u64 at = l->next_table;

    l->next_table += PAGE_SIZE;
    LAB_MUST(l->next_table <= LAB_COPIED << PAGE_SHIFT);
    return at;
}

/* ---- what the CPU sets ---- */

static inline void lab_switch_quietly(struct lab *l)
{
    struct lab_cpu *c = lab_cpu(l);
    const bool pae = c->role.format == PAGING_PAE;

    mmu_set_second_stage(l->mmu[l->now], lab_is_nested(l) ? &c->second : NULL);
    mmu_set_context(l->mmu[l->now], c->role, (gpa_t){c->root}, pae ? c->pdptes : NULL);
    mmu_set_privilege(l->mmu[l->now], c->user, c->ac);
    mmu_set_keys(l->mmu[l->now], c->pkru, c->pkrs);
}

/* Another context, without a flush: a PCID load that keeps translations. */
static inline void lab_switch(struct lab *l)
{
    lab_switch_quietly(l);
    lab_audit(l);
}

/* What a CPU had loaded once, as an entry to a nested guest or an exit from it loads it. */
static inline void lab_load(struct lab *l, const struct lab_cpu *saved)
{
    const bool pending_second = lab_cpu(l)->pending_second;

    *lab_cpu(l) = *saved;
    lab_cpu(l)->pending = true;
    lab_cpu(l)->pending_second = pending_second;
    lab_switch_quietly(l);
}

static inline void lab_flush(struct lab *l)
{
    mmu_invalidate_all(l->mmu[l->now]);
    lab_cpu(l)->pending = false;
    lab_audit(l);
}

/* INVEPT of all contexts, or what SVM has for it. */
static inline void lab_flush_second(struct lab *l)
{
    mmu_invalidate_second(l->mmu[l->now]);
    for (u32 i = 0; i < LAB_CPUS; i++)
        l->cpu[i].pending_second = false;
    lab_audit(l);
}

static inline void lab_invalidate(struct lab *l, u64 va)
{
    mmu_invalidate_page(l->mmu[l->now], va);
    lab_audit(l);
}

/* MOV to CR3, which flushes; under PAE it loads the four registers from memory. */
static inline void lab_set_cr3(struct lab *l, u64 root)
{
    struct lab_cpu *c = lab_cpu(l);

    c->root = root;
    for (u32 i = 0; c->role.format == PAGING_PAE && i < 4; i++)
        c->pdptes[i] = mmu_read_physical(l->mmu[l->now], (gpa_t){root - lab_shift(l) + i * 8u}, 8);
    lab_switch(l);
    lab_flush(l);
}

static inline void lab_set_user(struct lab *l, bool user)
{
    lab_cpu(l)->user = user;
    lab_switch(l);
}

/* Paging in this format over fresh tables; PAE: with its four level-2 tables. */
static inline void lab_start(struct lab *l, enum paging_format format)
{
    const u64 root = lab_table(l);

    lab_cpu(l)->role = role_of(format);
    lab_cpu(l)->role.level = pt_formats[format].root_level & 7u;
    for (u32 i = 0; format == PAGING_PAE && i < 4; i++)
        lab_put8(l, root + i * 8u, (lab_table(l) + lab_shift(l)) | P);
    lab_set_cr3(l, root + lab_shift(l));
}

/* No paging: linear is physical, or nested-physical. */
static inline void lab_start_unpaged(struct lab *l)
{
    lab_cpu(l)->role.word = 0;
    lab_cpu(l)->root = 0;
    lab_switch(l);
}

/* ---- building tables ---- */

/* Where the guest keeps the entry of this level for va; the tables above are made as needed, with
 * all rights. */
static inline u64 lab_entry(struct lab *l, u64 va, u32 level)
{
    const struct pt_format *f = &pt_formats[lab_cpu(l)->role.format];
    const u64 shift = lab_shift(l);
    u64 table = lab_cpu(l)->root;

    if (f->root_registers != 0)
        table = lab_cpu(l)->pdptes[va >> 30 & 3] & BITS(51, PAGE_SHIFT);
    for (u32 n = f->root_level;; n--) {
        const struct pt_level *at_level = &f->level[n];
        const u64 index = va >> at_level->shift & (BIT(at_level->index_bits) - 1);
        const u64 at = table - shift + index * f->entry_bytes;

        if (n == level)
            return at;
        if ((lab_get(l, at) & P) == 0)
            lab_put(l, at, (lab_table(l) + shift) | P | W | U);
        table = lab_get(l, at) & BITS(51, PAGE_SHIFT);
    }
}

static inline void lab_map(struct lab *l, u64 va, u32 level, u64 entry)
{
    lab_put(l, lab_entry(l, va, level), entry);
}

/* ---- second stages ---- */

static inline const struct pt_format *lab_second_format(struct lab *l)
{
    return &pt_formats[lab_cpu(l)->second.role.format];
}

/* The entry of this level for a nested-physical address, in the machine; the tables above it are
 * made as needed, with all rights. */
static inline u64 lab_second_entry(struct lab *l, u64 at, u32 level)
{
    const struct pt_format *f = lab_second_format(l);
    const u32 root_level = f->root_level + (f->root_registers != 0);
    u64 table = lab_cpu(l)->second.root.v;

    for (u32 n = root_level;; n--) {
        const bool pdpt = n > f->root_level;
        const u32 shift = pdpt ? 30 : f->level[n].shift;
        const u64 index = at >> shift & (BIT(pdpt ? 2u : f->level[n].index_bits) - 1);
        const u64 place = table + index * f->entry_bytes;
        u64 entry = 0;

        if (n == level)
            return place;
        memory_read(l->g.memory, (hpa_t){place}, &entry, f->entry_bytes);
        if (entry == 0) {
            entry = lab_table(l) | (pdpt ? P : RWX); /* which is P | W | U, too */
            lab_write(l, place, &entry, f->entry_bytes);
        }
        table = entry & BITS(51, PAGE_SHIFT);
    }
}

static inline void lab_second_map(struct lab *l, u64 at, u32 level, u64 entry)
{
    lab_write(l, lab_second_entry(l, at, level), &entry, lab_second_format(l)->entry_bytes);
}

/* A second stage with the machine at LAB_SHIFT, as far as one table of level 1 reaches. */
static inline void lab_start_second(struct lab *l, struct mmu_second_stage second)
{
    const u32 bytes = pt_formats[second.role.format].entry_bytes;
    u8 table[PAGE_SIZE] = {0};

    lab_cpu(l)->second = second;
    for (u64 i = LAB_SHIFT >> PAGE_SHIFT; i < PAGE_SIZE / bytes; i++)
        store_le(table + i * bytes, ((i << PAGE_SHIFT) - LAB_SHIFT) | RWX, bytes);
    lab_write(l, lab_second_entry(l, 0, 1), table, sizeof(table));
}

/* settings: EPT_AD etc. */
static inline struct mmu_second_stage lab_ept(u64 root, u32 levels, u32 settings)
{
    const struct ept_features features = {
        .execonly = (settings & EPT_EXECONLY) != 0,
        .gbpages = true,
        .mbec = (settings & EPT_MBEC) != 0,
    };

    return second_stage_ept(root | (levels - 1) << 3 | 6 | ((settings & EPT_AD) != 0 ? BIT(6) : 0),
                            &features);
}

static inline void lab_start_ept(struct lab *l, u32 levels, u32 settings)
{
    lab_start_second(l, lab_ept(lab_table(l), levels, settings));
}

/* host: the paging of the hypervisor. settings: NPT_GMET. */
static inline void lab_start_npt(struct lab *l, enum paging_format host, u32 settings)
{
    union mmu_role role = role_of(host);

    role.level = pt_formats[host].root_level & 7u;
    lab_start_second(l, second_stage_npt(role, lab_table(l), (settings & NPT_GMET) != 0));
}

/* ---- the oracle ---- */

static inline bool lab_oracle_read(void *ctx, gpa_t at, u32 bytes, struct walk_step *step)
{
    struct lab *l = ctx;
    const u64 address = at.v & l->g.memory->a20_mask;
    const struct slot *slot = memory_find(l->g.memory, (hpa_t){at.v}, lab_cpu(l)->role.smm);

    step->host = NULL;
    step->fixed = slot->kind == SLOT_ROM;
    step->entry = (slot->kind == SLOT_MMIO ? l->g.device.answer : ~(u64)0) & width_mask(bytes);
    if (!slot_has_bytes(slot))
        return true;
    step->host = slot->host + (address - slot->base);
    step->frame = memory_frame_of(l->g.memory, step->host);
    step->entry =
        load_le(step->frame < LAB_COPIED ? l->copy + (step->host - l->g.memory->bytes) : step->host,
                bytes);
    return true;
}

static inline void lab_oracle_set_bits(void *ctx, const struct walk_step *step, u32 bytes, u64 bits)
{
    struct lab *l = ctx;
    u8 *at;

    if (step->host == NULL || step->fixed || step->frame >= LAB_COPIED)
        return;
    at = l->copy + (step->host - l->g.memory->bytes);
    store_le(at, load_le(at, bytes) | bits, bytes);
}

static inline bool lab_is_canonical(const struct pt_format *f, u64 va)
{
    const u64 above = ~(u64)0 << (f->linear_bits - 1u);

    return f->linear_bits == 32 || (va & above) == 0 || (va & above) == above;
}

/* Where a physical address leads. */
static inline struct lab_answer lab_place(struct lab *l, u64 gpa)
{
    const struct slot *slot = memory_find(l->g.memory, (hpa_t){gpa}, lab_cpu(l)->role.smm);
    const u64 at = gpa & l->g.memory->a20_mask;

    return (struct lab_answer){
        .result = REFILL_OK,
        .at = at,
        .host = slot_has_bytes(slot) ? slot->host + (at - slot->base) : NULL,
    };
}

/* The same through both stages. */
static inline struct lab_answer lab_expect_nested(struct lab *l, const struct walk *first,
                                                  const struct accessor *who, u64 va, u32 access)
{
    const struct lab_cpu *c = lab_cpu(l);
    struct pt_rules rules;
    const struct walk second = {.rules = &rules, .memory = first->memory, .root = c->second.root};
    struct nested_walk n = {.first = first, .second = &second, .role = c->second.role, .who = who};

    pt_rules_init(&rules, c->second.role, lab_state(l)->phys_bits);
    switch (nested_walk(&n, va, access)) {
    case NESTED_DONE: break;
    case NESTED_PAGE_FAULT:
        return (struct lab_answer){.result = REFILL_PAGE_FAULT, .error = n.error_code};
    case NESTED_FAULT: return (struct lab_answer){.result = REFILL_NESTED, .nested = n.fault};
    }
    return lab_place(l, n.t.gpa.v);
}

/* What the access must give; its accessed and dirty bits go to the copy of the tables. */
static inline struct lab_answer lab_expect(struct lab *l, u64 va, u32 access)
{
    const struct lab_cpu *c = lab_cpu(l);
    const bool implicit = (access & ACCESS_IMPLICIT) != 0;
    const struct accessor who = {.role = c->role,
                                 .user = c->user && !implicit,
                                 .smap = c->role.smap && (implicit || !c->ac),
                                 .pkru = c->pkru,
                                 .pkrs = c->pkrs,
                                 .gmet = c->second.role.gmet};
    const struct pt_memory tables = {.ctx = l,
                                     .read = lab_oracle_read,
                                     .set_bits = lab_oracle_set_bits};
    const u32 base = rights_error_base(c->role, who.user, access);
    struct pt_rules rules;
    struct translation t;
    struct walk w = {.rules = &rules,
                     .memory = &tables,
                     .root = {c->root & ~PAGE_OFFSET_MASK},
                     .registers = c->pdptes};
    enum walk_stop stop;
    u32 error;

    memcpy(l->copy, l->g.memory->bytes, sizeof(l->copy));
    if (c->role.format == PAGING_NONE && !lab_is_nested(l))
        return lab_place(l, va);
    pt_rules_init(&rules, c->role, lab_state(l)->phys_bits);
    if (!lab_is_canonical(rules.format, va))
        return (struct lab_answer){.result = REFILL_NONCANONICAL};
    if (lab_is_nested(l))
        return lab_expect_nested(l, &w, &who, va, access);
    stop = walk(&w, va, &t);
    if (stop != WALK_DONE)
        return (struct lab_answer){.result = REFILL_PAGE_FAULT,
                                   .error = base | (stop == WALK_RESERVED_BIT ? 9u : 0u)};
    error = rights_check(&who, access, t.rights, t.key);
    if (error != 0)
        return (struct lab_answer){.result = REFILL_PAGE_FAULT, .error = error};
    walk_commit(&w, &t, (access & ACCESS_WRITE) != 0);
    return lab_place(l, t.gpa.v);
}

/* ---- accesses ---- */

/* As a CPU does it: a look at the bank, and a refill if that does not know. */
static inline struct lab_answer lab_ask(struct lab *l, u64 va, u32 access)
{
    struct mmu *mmu = l->mmu[l->now];
    const struct tlb_entry *bank = (access & ACCESS_IMPLICIT) != 0 ? mmu->system_bank : mmu->bank;
    struct lab_answer answer = {.result = REFILL_OK};
    struct target target;

    if (hits(bank, va, access & 7)) {
        answer.host = hit_host(bank, va);
        return answer;
    }
    answer.result = mmu_refill(mmu, va, access, &target);
    if (answer.result == REFILL_PAGE_FAULT) {
        answer.error = mmu->fault.error_code;
        LAB_MUST(mmu->fault.va == va);
    }
    if (answer.result == REFILL_NESTED)
        answer.nested = mmu->nested;
    if (answer.result != REFILL_OK)
        return answer;
    answer.at = target.hpa.v;
    answer.host = target.host;
    answer.watched = target.watched;
    return answer;
}

static inline bool lab_same_nested(const struct mmu_nested_fault *a,
                                   const struct mmu_nested_fault *b)
{
    return a->gpa.v == b->gpa.v && a->va == b->va && a->linear_valid == b->linear_valid &&
           a->table == b->table && a->access == b->access && a->reason == b->reason &&
           a->rights2 == b->rights2 && a->rights == b->rights && a->role.word == b->role.word;
}

/* Is something stale, perhaps? */
static inline bool lab_is_behind(struct lab *l)
{
    return lab_is(l, SYNC_LAZY) &&
           (lab_cpu(l)->pending || (lab_is_nested(l) && lab_cpu(l)->pending_second));
}

/* An access, compared with the oracle. */
static inline struct lab_answer lab_access(struct lab *l, u64 va, u32 access)
{
    struct lab_answer expected, answer;

    if (lab_is_behind(l) && !l->careless) {
        if (lab_is_nested(l))
            lab_flush_second(l);
        lab_flush(l);
    }
    expected = lab_expect(l, va, access);
    answer = lab_ask(l, va, access);
    lab_audit(l);
    if (answer.host != NULL && answer.at == 0)
        answer.at = expected.at;
    if (lab_is_behind(l))
        return answer;
    if (answer.result != expected.result || answer.error != expected.error ||
        answer.host != expected.host || answer.at != expected.at)
        ck_abort_msg("%llx access %u: result %d error %x at %llx, the oracle says %d %x %llx",
                     (unsigned long long)va, access, (int)answer.result, answer.error,
                     (unsigned long long)answer.at, (int)expected.result, expected.error,
                     (unsigned long long)expected.at);
    if (memcmp(l->copy, l->g.memory->bytes, sizeof(l->copy)) != 0)
        ck_abort_msg("%llx access %u: accessed or dirty bits differ", (unsigned long long)va,
                     access);
    if (answer.result == REFILL_NESTED && !lab_same_nested(&answer.nested, &expected.nested))
        ck_abort_msg("%llx access %u: another report of the second stage", (unsigned long long)va,
                     access);
    return answer;
}

/* Where an access that must be allowed goes. */
static inline u64 lab_goes(struct lab *l, u64 va, u32 access)
{
    const struct lab_answer answer = lab_access(l, va, access);

    ck_assert_int_eq(answer.result, REFILL_OK);
    return answer.host != NULL ? (u64)(answer.host - l->g.memory->bytes) : answer.at;
}

/* The error code of an access that must fault. */
static inline u32 lab_fault(struct lab *l, u64 va, u32 access)
{
    const struct lab_answer answer = lab_access(l, va, access);

    ck_assert_int_eq(answer.result, REFILL_PAGE_FAULT);
    return answer.error;
}

/* A store by the CPU, inside one page of RAM. */
static inline void lab_store(struct lab *l, u64 va, const void *from, u32 size)
{
    const struct lab_answer answer = lab_access(l, va, ACCESS_WRITE);

    ck_assert_int_eq(answer.result, REFILL_OK);
    LAB_MUST(answer.host != NULL && (va & PAGE_OFFSET_MASK) + size <= PAGE_SIZE);
    if (answer.watched)
        memory_store(l->g.memory, l->g.memory->bytes + (answer.host - l->g.memory->bytes), from,
                     size);
    else
        memcpy(l->g.memory->bytes + (answer.host - l->g.memory->bytes), from, size);
    lab_edited(l);
}

static inline void lab_store8(struct lab *l, u64 va, u64 value)
{
    lab_store(l, va, &value, 8);
}

/* ---- behind the engine's back ---- */

/* A store that nobody hears of. */
static inline void lab_poke(struct lab *l, u64 at, u64 entry)
{
    store_le(l->g.memory->bytes + at, entry, lab_entry_bytes(l));
}

/* What a real walk finds now, accessed and dirty bits set. */
static inline struct translation lab_walk(struct lab *l, u64 va, bool write)
{
    struct mmu_state *s = lab_state(l);
    const struct walk w = {.rules = &s->context[s->current].first.rules,
                           .memory = &s->tables,
                           .root = {lab_cpu(l)->root},
                           .registers = lab_cpu(l)->pdptes};
    struct translation t;

    ck_assert_int_eq(walk(&w, va, &t), WALK_DONE);
    walk_commit(&w, &t, write);
    return t;
}

/* ---- looking at pages ---- */

/* Valid pages at a frame of this level and directness. */
static inline u32 lab_pages(const struct lab *l, u64 at, u32 level, bool direct)
{
    u32 count = 0;

    for (u32 i = page_first(l->shadow, at >> PAGE_SHIFT); i != 0; i = page_next(l->shadow, i)) {
        const union shadow_role role = page_at(l->shadow, i)->role;

        count += role.level == level && role.direct == direct;
    }
    return count;
}

/* The n-th of them, from 0. */
static inline struct shadow_page *lab_page(const struct lab *l, u64 at, u32 level, u32 n)
{
    for (u32 i = page_first(l->shadow, at >> PAGE_SHIFT); i != 0; i = page_next(l->shadow, i)) {
        struct shadow_page *page = page_at(l->shadow, i);

        if (!page->role.direct && page->role.level == level && n-- == 0)
            return page;
    }
    return NULL;
}

static inline bool lab_is_watched(const struct lab *l, u64 at)
{
    return (l->g.memory->frames[at >> PAGE_SHIFT].flags & FRAME_SHADOW) != 0;
}

static inline const struct shadow_stats *lab_stats(const struct lab *l)
{
    return shadow_stats(l->shadow);
}

/* Run START_TEST functions over cells: their _i is the cell. */
#define RUN_CELLS(name, cells, ...)                                                                \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        Suite *suite = suite_create(name);                                                         \
        TCase *tcase = tcase_create(name);                                                         \
                                                                                                   \
        for (size_t i = 0; i < ARRAY_SIZE(tests); i++)                                             \
            tcase_add_loop_test(tcase, tests[i], 0, cells);                                        \
        tcase_set_timeout(tcase, 60);                                                              \
        suite_add_tcase(suite, tcase);                                                             \
        return run_suite(suite);                                                                   \
    }

#define RUN_LAB_TESTS(name, ...) RUN_CELLS(name, LAB_CELLS, __VA_ARGS__)
#define RUN_NESTED_TESTS(name, ...) RUN_CELLS(name, LAB_NESTED_CELLS, __VA_ARGS__)

#endif
