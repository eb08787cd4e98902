/* SPDX-License-Identifier: MIT */
/*
 * Running a trace: two CPUs on one memory, an own copy of that memory, and for each access a walk
 * of the copy. Under strict and drop all must be equal: result, error code, address, A and D bits.
 * Under lazy a translation may also be one that was true since the CPU's last flush; an undo log of
 * the copy tells. Walks are made by mmu/walk.c and judged by mmu/rights.c, which have their own
 * tests.
 */
#include "tests/mmu/shadow_fuzz.h"

#include "base/bits.h"
#include "mmu/mmu.h"
#include "mmu/rights.h"
#include "mmu/walk.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMORY_BYTES = MACHINE_FRAMES * PAGE_SIZE,
    LOG_SIZE = 1 << 14, /* edits of 8 bytes */
    LOG_LIMIT = 1 << 10, /* a CPU flushes before it may depend on so old a state */
    HITS_EVERY = 16,
    MEMORY_EVERY = 32,
};

/* clang-format off */
const struct fuzz_setup fuzz_setups[] = {
    {"walk", .walk = true},
    {"strict", .options = {.sync = SYNC_STRICT}},
    {"burst", .options = {.sync = SYNC_STRICT, .unsync_after = 1}},
    {"drop", .options = {.sync = SYNC_DROP}},
    {"lazy", .options = {.sync = SYNC_LAZY}},
    {"pieces", .options = {.sync = SYNC_STRICT, .unsync_after = 1, .small_pages = true}},
    {"parity", .options = {.sync = SYNC_STRICT, .unsync_after = 2, .kvm_parity = true}},
    {"quota", .options = {.sync = SYNC_STRICT, .unsync_after = 1, .small_pages = true, .quota = 1}},
    {"drop_quota", .options = {.sync = SYNC_DROP, .quota = 1}},
    {"lazy_quota", .options = {.sync = SYNC_LAZY, .quota = 1, .small_pages = true}},
};
/* clang-format on */
const u32 fuzz_setup_count = ARRAY_SIZE(fuzz_setups);

/* Neighbours and strangers at each level of each format. Those of 32 bits use the low half. */
const u64 fuzz_pages[FUZZ_PAGES] = {
    0x0,
    0x1000,
    0x2000,
    0x7000,
    0x9000,
    0x1ff000,
    0x200000,
    0x201000,
    0x3ff000,
    0x400000,
    0x600000,
    0x40000000,
    0x40001000,
    0x40200000,
    0x80000000,
    0xc0000000,
    0xc0201000,
    0xfffff000,
    0x8000000000,
    0x8000001000,
    0xffff800000000000,
    0xfffffffffffff000,
    0x0001000000000000, /* canonical with 5 levels only */
    0xff00000000001000,
};

const u32 fuzz_accesses[8] = {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_FETCH,
    ACCESS_READ | ACCESS_WRITE,
    ACCESS_READ | ACCESS_IMPLICIT,
    ACCESS_WRITE | ACCESS_IMPLICIT,
    ACCESS_READ,
    ACCESS_WRITE,
};

/* ---- the world ---- */

struct context {
    union mmu_role role;
    struct pt_rules rules;
    u64 root;
    u64 pdptes[4];
};

struct cpu {
    struct mmu *mmu;
    u32 context;
    bool user, ac;
    u32 pkru, pkrs;
    /* Lazy: number of the log entry from which on a context's translations may date. */
    u64 flushed[FUZZ_CONTEXTS], page_flushed[FUZZ_CONTEXTS][FUZZ_PAGES];
};

struct edit {
    u32 at; /* machine bytes, multiple of 8 */
    u8 before[8];
};

struct world {
    const struct fuzz_setup *setup;
    struct memory *memory;
    const u8 *bytes; /* machine frame 0 */
    struct context context[FUZZ_CONTEXTS];
    struct cpu cpu[FUZZ_CPUS];
    u64 device_answer;
    struct fuzz_result *result;
    u64 edits;
    struct edit log[LOG_SIZE];
    u8 copy[MEMORY_BYTES]; /* what memory must hold */
    u8 past[MEMORY_BYTES];
};

__attribute__((format(printf, 2, 3))) static bool fail(struct world *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(w->result->message, sizeof(w->result->message), format, args);
    va_end(args);
    return false;
}

static bool is_lazy(const struct world *w)
{
    return !w->setup->walk && w->setup->options.sync == SYNC_LAZY;
}

static u64 device_read(void *ctx, u64 offset, u32 size)
{
    const struct world *w = ctx;

    (void)offset;
    return w->device_answer & width_mask(size);
}

static void device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct mmio_ops device_ops = {device_read, device_write};

static u64 address_of(u64 frame)
{
    return frame << PAGE_SHIFT;
}

/* Take a store over into the copy. */
static void put(struct world *w, u64 machine, const void *from, u64 size)
{
    for (u64 at = align_down(machine, 8); at < machine + size; at += 8) {
        struct edit *edit = &w->log[w->edits++ % LOG_SIZE];

        edit->at = (u32)at;
        memcpy(edit->before, w->copy + at, 8);
    }
    memmove(w->copy + machine, from, size);
}

/* The same at guest-physical addresses. rom: loaders write it too. */
static void put_physical(struct world *w, u64 at, const u8 *from, u64 size, bool smm, bool rom)
{
    while (size > 0) {
        const u64 room = PAGE_SIZE - (at & PAGE_OFFSET_MASK);
        const u64 part = size < room ? size : room;
        const u64 address = memory_a20(w->memory) ? at : at & ~BIT(20);
        const struct slot *slot = memory_find(w->memory, (hpa_t){at}, smm);

        if (slot->kind == SLOT_RAM || (rom && slot->kind == SLOT_ROM))
            put(w, (u64)(slot->host + (address - slot->base) - w->bytes), from, part);
        at += part;
        from += part;
        size -= part;
    }
}

/* Nothing cached is older than now. */
static void forget_past(struct world *w)
{
    for (u32 i = 0; i < FUZZ_CPUS; i++) {
        for (u32 c = 0; c < FUZZ_CONTEXTS; c++)
            w->cpu[i].flushed[c] = w->edits;
    }
}

static void flush(struct world *w, struct cpu *cpu)
{
    mmu_invalidate_all(cpu->mmu);
    cpu->flushed[cpu->context] = w->edits;
}

static void use_context(struct world *w, struct cpu *cpu, u32 number, bool and_flush)
{
    const struct context *c = &w->context[number];

    cpu->context = number;
    mmu_set_context(cpu->mmu, c->role, (gpa_t){c->root},
                    c->role.format == PAGING_PAE ? c->pdptes : NULL);
    if (and_flush)
        flush(w, cpu);
}

static bool world_slots(struct world *w)
{
    struct error error;

    return memory_add_ram(w->memory, "ram", (hpa_t){0}, address_of(16), &error) &&
           memory_add_ram(w->memory, "bar", (hpa_t){address_of(FRAME_BAR)}, address_of(2),
                          &error) &&
           memory_add_smram(w->memory, (hpa_t){address_of(FRAME_SMRAM)}, address_of(4), &error) &&
           memory_add_rom(w->memory, "rom", (hpa_t){address_of(FRAME_ROM)}, address_of(4),
                          &error) &&
           memory_add_mmio(w->memory, "mmio", (hpa_t){address_of(FRAME_MMIO)}, address_of(4),
                           &device_ops, w, &error) &&
           memory_add_alias(w->memory, "low", (hpa_t){address_of(FRAME_ALIAS_LOW)}, address_of(4),
                            (hpa_t){0}, &error) &&
           memory_add_alias(w->memory, "a20", (hpa_t){address_of(FRAME_ALIAS_A20)}, address_of(4),
                            (hpa_t){address_of(8)}, &error) &&
           memory_add_alias(w->memory, "large", (hpa_t){address_of(FRAME_ALIAS_LARGE)},
                            address_of(12), (hpa_t){0}, &error);
}

static struct world *world_create(const struct fuzz_setup *setup, struct fuzz_result *result)
{
    struct world *w = calloc(1, sizeof(*w));

    w->setup = setup;
    w->result = result;
    w->memory = memory_create(FUZZ_WIDTH);
    if (!world_slots(w))
        abort();
    w->bytes = memory_peek(w->memory, (hpa_t){0}, 1);
    if (!setup->walk)
        shadow_create(w->memory, &setup->options);
    for (u32 i = 0; i < FUZZ_CONTEXTS; i++)
        pt_rules_init(&w->context[i].rules, w->context[i].role, FUZZ_WIDTH);
    for (u32 i = 0; i < FUZZ_CPUS; i++) {
        w->cpu[i].mmu = mmu_create(w->memory, FUZZ_WIDTH);
        mmu_set_apic(w->cpu[i].mmu, true, (hpa_t){address_of(FRAME_APIC)}, &device_ops, w);
    }
    return w;
}

static void world_destroy(struct world *w)
{
    if (memory_shadow(w->memory) != NULL)
        w->result->stats = *shadow_stats(memory_shadow(w->memory));
    for (u32 i = 0; i < FUZZ_CPUS; i++)
        mmu_destroy(w->cpu[i].mmu);
    memory_destroy(w->memory);
    free(w);
}

/* ---- what must be ---- */

/* What an access gets by a walk of some state of memory. */
struct expected {
    enum refill result;
    u32 error_code;
    u64 hpa;
    const struct slot *slot; /* NULL: the APIC's page */
    u8 *host;
    struct translation t; /* t.steps is 0 without paging */
    u32 entry_bytes;
};

/* Where a reference walk reads. */
struct state {
    struct world *w;
    const u8 *bytes; /* w->copy or w->past */
    bool smm;
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

static bool canonical(const struct pt_format *format, u64 va)
{
    const unsigned above = 64u - format->linear_bits;

    return format->linear_bits == 32 || (u64)((i64)(va << above) >> above) == va;
}

static void find_target(struct world *w, union mmu_role role, u64 gpa, struct expected *e)
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

static struct expected reference(struct world *w, const struct cpu *cpu, u64 va, u32 access,
                                 const u8 *bytes)
{
    const struct context *c = &w->context[cpu->context];
    const bool implicit = (access & ACCESS_IMPLICIT) != 0;
    const struct accessor who = {c->role, cpu->user && !implicit,
                                 c->role.smap && (implicit || !cpu->ac), cpu->pkru, cpu->pkrs};
    struct state state = {w, bytes, c->role.smm};
    const struct pt_memory tables = {&state, state_read, NULL};
    const struct walk walker = {&c->rules, &tables, {c->root}, c->pdptes};
    struct expected e = {.result = REFILL_OK, .entry_bytes = c->rules.format->entry_bytes};

    if (c->role.format == PAGING_NONE) {
        find_target(w, c->role, va, &e);
        return e;
    }
    if (!canonical(c->rules.format, va)) {
        e.result = REFILL_NONCANONICAL;
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

/* Are all flags set that the access wants? */
static bool flags_set(const struct expected *e, u32 access)
{
    for (u32 i = 0; i < e->t.steps; i++) {
        if ((flags_wanted(e, i, access) & ~e->t.step[i].entry) != 0)
            return false;
    }
    return true;
}

/* Does memory hold what the copy does, as far as the walk came? */
static bool steps_equal(const struct world *w, const struct expected *e)
{
    for (u32 i = 0; i < e->t.steps; i++) {
        const u8 *host = e->t.step[i].host;

        if (host != NULL && memcmp(host, w->copy + (host - w->bytes), e->entry_bytes) != 0)
            return false;
    }
    return true;
}

static void commit(struct world *w, const struct expected *e, u32 access)
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
            put(w, at, entry, e->entry_bytes);
    }
}

/* Lazy: would some state since the last flush have sent the access to these bytes, or to this
 * address if host is NULL? */
static bool was_true(struct world *w, const struct cpu *cpu, u32 page, u64 va, u32 access, u64 hpa,
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

/* ---- accesses ---- */

static u64 linear(const struct world *w, const struct cpu *cpu, u32 page, u32 offset)
{
    const u64 va = fuzz_pages[page] | offset;

    return w->context[cpu->context].rules.format->linear_bits == 32 ? (u32)va : va;
}

static const struct tlb_entry *hit(const struct cpu *cpu, u64 va, u32 access)
{
    const struct tlb_entry *bank =
        (access & ACCESS_IMPLICIT) != 0 ? cpu->mmu->system_bank : cpu->mmu->bank;
    const struct tlb_entry *e = &bank[tlb_index(va)];
    const u64 tag = (access & ACCESS_WRITE) != 0   ? e->wtag
                    : (access & ACCESS_FETCH) != 0 ? e->xtag
                                                   : e->rtag;

    return va - tag < PAGE_SIZE ? e : NULL;
}

/* An access may hit a soft-TLB entry. */
static bool check_hit(struct world *w, const struct cpu *cpu, u32 page, u64 va, u32 access,
                      const struct tlb_entry *entry)
{
    const struct expected e = reference(w, cpu, va, access, w->copy);
    u8 *host = (u8 *)(uintptr_t)(entry->host + va);
    const u64 frame = memory_frame_of(w->memory, host);

    w->result->hits++;
    if (frame >= MACHINE_FRAMES)
        return fail(w, "the soft TLB leads out of memory for %llx", (unsigned long long)va);
    if ((access & ACCESS_WRITE) != 0 && memory_frame(w->memory, frame)->flags != 0)
        return fail(w, "a write tag for %llx leads to a watched frame", (unsigned long long)va);
    if (e.result == REFILL_OK && e.host == host && flags_set(&e, access)) {
        for (u32 i = 0; i < e.t.steps; i++) {
            if (e.t.step[i].host == NULL)
                return fail(w, "a hit for %llx through a table in a device",
                            (unsigned long long)va);
        }
        return (access & ACCESS_WRITE) == 0 || e.slot->kind == SLOT_RAM ||
               fail(w, "a write tag for %llx leads to ROM", (unsigned long long)va);
    }
    if (is_lazy(w) && was_true(w, cpu, page, va, access, 0, host))
        return true;
    return fail(w,
                "CPU %u context %u: the soft TLB has %llx for access %u at machine %llx, a walk "
                "says %s %llx",
                (u32)(cpu - w->cpu), cpu->context, (unsigned long long)va, access,
                (unsigned long long)(host - w->bytes), e.result == REFILL_OK ? "" : "fault",
                e.result == REFILL_OK ? (unsigned long long)e.hpa : e.error_code);
}

static bool check_hits(struct world *w)
{
    static const u32 kinds[] = {
        ACCESS_READ,
        ACCESS_WRITE,
        ACCESS_FETCH,
        ACCESS_READ | ACCESS_IMPLICIT,
        ACCESS_WRITE | ACCESS_IMPLICIT,
    };

    for (u32 c = 0; c < FUZZ_CPUS; c++) {
        const struct cpu *cpu = &w->cpu[c];

        for (u32 page = 0; page < FUZZ_PAGES; page++) {
            const u64 va = linear(w, cpu, page, 0);

            for (u32 kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
                const struct tlb_entry *e = hit(cpu, va, kinds[kind]);

                if (e != NULL && !check_hit(w, cpu, page, va, kinds[kind], e))
                    return false;
            }
        }
    }
    return true;
}

/* The engine allowed an access: was it right? Takes over the flags it set. */
static bool check_allowed(struct world *w, const struct cpu *cpu, u32 page, u64 va, u32 access,
                          const struct expected *e, const struct target *target)
{
    const union mmu_role role = w->context[cpu->context].role;
    const bool same = e->result == REFILL_OK && e->hpa == target->hpa.v;
    const bool walked = same && !steps_equal(w, e); /* or no flag was clear */
    struct expected found = {.result = REFILL_OK};

    if (same && (walked || !is_lazy(w)))
        commit(w, e, access);
    else if (!is_lazy(w))
        return fail(w, "CPU %u context %u: %llx goes to %llx, a walk says %s %llx",
                    (u32)(cpu - w->cpu), cpu->context, (unsigned long long)va,
                    (unsigned long long)target->hpa.v, e->result == REFILL_OK ? "" : "fault",
                    e->result == REFILL_OK ? (unsigned long long)e->hpa : e->error_code);
    else if (!(same && flags_set(e, access)) &&
             !was_true(w, cpu, page, va, access, target->hpa.v, NULL))
        return fail(w, "CPU %u context %u: %llx goes to %llx, which never was since the last flush",
                    (u32)(cpu - w->cpu), cpu->context, (unsigned long long)va,
                    (unsigned long long)target->hpa.v);
    if (!steps_equal(w, e))
        return fail(w, "other A and D flags than a walk sets for %llx", (unsigned long long)va);

    if (target->slot != NULL && target->slot->base == address_of(FRAME_APIC) &&
        target->hpa.v >> PAGE_SHIFT == FRAME_APIC)
        return target->kind == SLOT_MMIO || fail(w, "the APIC's page is no device");
    find_target(w, role, target->hpa.v, &found);
    if (found.slot == NULL || target->kind != found.slot->kind || target->host != found.host)
        return fail(w, "%llx goes to %llx, and that to the wrong bytes", (unsigned long long)va,
                    (unsigned long long)target->hpa.v);
    if (found.slot->kind == SLOT_RAM && (access & ACCESS_WRITE) != 0 && !target->watched &&
        memory_frame(w->memory, memory_frame_of(w->memory, target->host))->flags != 0)
        return fail(w, "a store to %llx that nobody sees", (unsigned long long)target->hpa.v);
    return true;
}

/* allowed: the outcome; *target is filled if so. */
static bool access_memory(struct world *w, struct cpu *cpu, u32 page, u32 offset, u32 access,
                          bool force, bool *allowed, struct target *target)
{
    const u64 va = linear(w, cpu, page, offset);
    const struct tlb_entry *entry;
    struct expected e;
    enum refill result;

    *allowed = true;
    if (is_lazy(w) && w->edits - cpu->flushed[cpu->context] > LOG_LIMIT)
        flush(w, cpu);
    entry = hit(cpu, va, access);
    if (entry != NULL) {
        if (!check_hit(w, cpu, page, va, access, entry))
            return false;
        *target = (struct target){.kind = SLOT_ROM, .host = (u8 *)(uintptr_t)(entry->host + va)};
        if ((access & ACCESS_WRITE) != 0)
            target->kind = SLOT_RAM;
        if (!force)
            return true;
    }
    e = reference(w, cpu, va, access, w->copy);
    result = mmu_refill(cpu->mmu, va, access, target);
    *allowed = result == REFILL_OK;
    if (*allowed) {
        w->result->allowed++;
        return check_allowed(w, cpu, page, va, access, &e, target);
    }
    w->result->faults++;
    if (result != e.result)
        return fail(w, "CPU %u context %u: outcome %d for %llx access %u, a walk says %d",
                    (u32)(cpu - w->cpu), cpu->context, (int)result, (unsigned long long)va, access,
                    (int)e.result);
    if (result == REFILL_PAGE_FAULT &&
        (cpu->mmu->fault.va != va || cpu->mmu->fault.error_code != e.error_code))
        return fail(w, "error code %x for %llx, a walk says %x", cpu->mmu->fault.error_code,
                    (unsigned long long)va, e.error_code);
    return steps_equal(w, &e) ||
           fail(w, "a fault at %llx changed the tables", (unsigned long long)va);
}

/* ---- steps ---- */

static void pattern(u8 *bytes, u64 size, u64 value)
{
    for (u64 i = 0; i < size; i++)
        bytes[i] = (u8)(value >> i % 8 * 8);
}

static bool step_access(struct world *w, const struct fuzz_step *s)
{
    struct target target;
    bool allowed;

    return access_memory(w, &w->cpu[s->cpu], s->a, s->at, fuzz_accesses[s->b & 7],
                         (s->b & FUZZ_FORCE) != 0, &allowed, &target);
}

/* As the CPU does it: through the write tag, else by refill. */
static bool step_cpu_store(struct world *w, const struct fuzz_step *s)
{
    const u32 size = s->b & 15;
    struct target target = {.watched = false};
    bool allowed;
    u8 bytes[16];

    if (!access_memory(w, &w->cpu[s->cpu], s->a, s->at, ACCESS_WRITE, false, &allowed, &target))
        return false;
    if (!allowed || target.kind != SLOT_RAM)
        return true;
    pattern(bytes, size, s->value);
    put(w, (u64)(target.host - w->bytes), bytes, size);
    if (target.watched || (s->b & FUZZ_SLOW) != 0)
        memory_store(w->memory, target.host, bytes, size);
    else
        memcpy(target.host, bytes, size);
    return true;
}

static bool step_store(struct world *w, const struct fuzz_step *s)
{
    u8 bytes[32 * 256];
    const u64 size = s->op == FUZZ_STORE ? s->b : s->b * 32u;

    pattern(bytes, size, s->value);
    put_physical(w, s->at, bytes, size, s->a != 0, false);
    if (s->a != 0)
        memory_smram_write(w->memory, (hpa_t){s->at}, bytes, size);
    else
        memory_write(w->memory, (hpa_t){s->at}, bytes, size);
    return true;
}

static bool step_flip(struct world *w, const struct fuzz_step *s)
{
    u8 bytes[8] = {0};

    memory_read(w->memory, (hpa_t){s->at}, bytes, s->b);
    store_le(bytes, load_le(bytes, 8) ^ s->value, 8);
    put_physical(w, s->at, bytes, s->b, false, false);
    memory_write(w->memory, (hpa_t){s->at}, bytes, s->b);
    return true;
}

static bool step_copy(struct world *w, const struct fuzz_step *s)
{
    u8 bytes[8 * 256];
    const u64 size = s->b * 8u;

    memory_read(w->memory, (hpa_t){s->at}, bytes, size);
    put_physical(w, s->value, bytes, size, false, false);
    memory_write(w->memory, (hpa_t){s->value}, bytes, size);
    return true;
}

static bool step_load(struct world *w, const struct fuzz_step *s)
{
    u8 bytes[8];

    store_le(bytes, s->value, 8);
    if (memory_peek(w->memory, (hpa_t){s->at}, 8) == NULL)
        return true;
    put_physical(w, s->at, bytes, 8, false, true);
    return memory_load(w->memory, (hpa_t){s->at}, bytes, 8) || fail(w, "load refused");
}

static bool step_define(struct world *w, const struct fuzz_step *s)
{
    static const u8 levels[] = {0, 2, 3, 4, 5};
    struct context *c = &w->context[s->a];

    c->role.word = s->value;
    c->role.level = levels[c->role.format] & 7u;
    c->role.has_4_byte_gpte = c->role.format == PAGING_32BIT;
    c->root = s->at;
    for (u32 i = 0; i < 4; i++) {
        const u32 pick = s->b >> 2 * i & 3;

        c->pdptes[i] = c->role.format != PAGING_PAE || pick == 3 ? 0 : address_of(6 + pick) | 1;
    }
    pt_rules_init(&c->rules, c->role, FUZZ_WIDTH);
    for (u32 i = 0; i < FUZZ_CPUS; i++) {
        w->cpu[i].flushed[s->a] = 0; /* whatever else had this identity: to be flushed at use */
        if (w->cpu[i].context == s->a)
            use_context(w, &w->cpu[i], s->a, true);
    }
    return true;
}

static bool step_switch(struct world *w, const struct fuzz_step *s)
{
    struct cpu *cpu = &w->cpu[s->cpu];

    use_context(w, cpu, s->a, s->b != 0 || cpu->flushed[s->a] == 0);
    return true;
}

static bool step_privilege(struct world *w, const struct fuzz_step *s)
{
    struct cpu *cpu = &w->cpu[s->cpu];

    cpu->user = (s->a & 1) != 0;
    cpu->ac = (s->a & 2) != 0;
    mmu_set_privilege(cpu->mmu, cpu->user, cpu->ac);
    return true;
}

static bool step_keys(struct world *w, const struct fuzz_step *s)
{
    struct cpu *cpu = &w->cpu[s->cpu];

    cpu->pkru = (u32)s->value;
    cpu->pkrs = (u32)(s->value >> 32);
    mmu_set_keys(cpu->mmu, cpu->pkru, cpu->pkrs);
    return true;
}

static bool step_invlpg(struct world *w, const struct fuzz_step *s)
{
    struct cpu *cpu = &w->cpu[s->cpu];

    mmu_invalidate_page(cpu->mmu, linear(w, cpu, s->a, 0));
    cpu->page_flushed[cpu->context][s->a] = w->edits;
    return true;
}

static bool step_flush(struct world *w, const struct fuzz_step *s)
{
    flush(w, &w->cpu[s->cpu]);
    return true;
}

static bool step_a20(struct world *w, const struct fuzz_step *s)
{
    if (memory_a20(w->memory) != (s->a != 0))
        forget_past(w);
    memory_set_a20(w->memory, s->a != 0);
    return true;
}

static bool step_move(struct world *w, const struct fuzz_step *s)
{
    struct error error;

    forget_past(w);
    return memory_move(w->memory, s->a != 0 ? "bar" : "mmio", (hpa_t){s->at}, s->b != 0, &error) ||
           fail(w, "move refused");
}

static bool step_drop(struct world *w, const struct fuzz_step *s)
{
    mmu_drop(w->cpu[s->cpu].mmu);
    forget_past(w);
    return true;
}

static bool step_device(struct world *w, const struct fuzz_step *s)
{
    w->device_answer = s->value;
    return true;
}

static bool step_clean(struct world *w, const struct fuzz_step *s)
{
    memory_mark_clean(w->memory, s->a);
    return true;
}

static bool step_code(struct world *w, const struct fuzz_step *s)
{
    memory_code_mark(w->memory, w->bytes + s->at, 16);
    return true;
}

static bool (*const operations[FUZZ_OPS])(struct world *w, const struct fuzz_step *s) = {
    [FUZZ_ACCESS] = step_access, [FUZZ_CPU_STORE] = step_cpu_store,
    [FUZZ_STORE] = step_store,   [FUZZ_FILL] = step_store,
    [FUZZ_FLIP] = step_flip,     [FUZZ_COPY] = step_copy,
    [FUZZ_LOAD] = step_load,     [FUZZ_DEFINE] = step_define,
    [FUZZ_SWITCH] = step_switch, [FUZZ_PRIVILEGE] = step_privilege,
    [FUZZ_KEYS] = step_keys,     [FUZZ_INVLPG] = step_invlpg,
    [FUZZ_FLUSH] = step_flush,   [FUZZ_A20] = step_a20,
    [FUZZ_MOVE] = step_move,     [FUZZ_DROP] = step_drop,
    [FUZZ_DEVICE] = step_device, [FUZZ_CLEAN] = step_clean,
    [FUZZ_CODE] = step_code,
};

static bool check_memory(struct world *w)
{
    for (u64 frame = 0; frame < MACHINE_FRAMES; frame++) {
        if (memcmp(w->bytes + address_of(frame), w->copy + address_of(frame), PAGE_SIZE) != 0)
            return fail(w, "machine frame %llu is not what was stored", (unsigned long long)frame);
    }
    return true;
}

static bool audit(struct world *w)
{
    char report[200];

    return w->setup->walk || shadow_audit(memory_shadow(w->memory), report, sizeof(report)) ||
           fail(w, "audit: %s", report);
}

bool fuzz_run(const struct fuzz_setup *setup, const struct fuzz_step *steps, u32 count,
              u32 audit_every, struct fuzz_result *result)
{
    struct world *w = world_create(setup, result);
    bool good = true;

    for (u32 i = 0; i < count && good; i++) {
        result->step = i;
        good = operations[steps[i].op](w, &steps[i]) && (i % HITS_EVERY != 0 || check_hits(w)) &&
               (i % MEMORY_EVERY != 0 || check_memory(w)) && (i % audit_every != 0 || audit(w));
    }
    good = good && check_hits(w) && check_memory(w) && audit(w);
    world_destroy(w);
    return good;
}
