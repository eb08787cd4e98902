/* SPDX-License-Identifier: MIT */
/*
 * Running a trace: two CPUs on one memory, an own copy of that memory, and for each access a walk
 * of the copy. Under strict and drop all must be equal: result, error code, address, A and D bits.
 * Under lazy a translation may also be one that was true since the CPU's last flush; an undo log of
 * the copy tells. Through two stages it may be made of several pasts: half of these accesses are
 * made without a flush and not judged, but that they set no other flags than accessed and dirty;
 * before the others all is flushed. Walks are made by mmu/walk.c and mmu/nested.c and judged by
 * mmu/rights.c, which have their own tests.
 */
#include "tests/mmu/engines.h"
#include "tests/mmu/shadow_world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOG_LIMIT = 1 << 10, /* a CPU flushes before it may depend on so old a state */
    HITS_EVERY = 16,
    MEMORY_EVERY = 32,
};

bool fuzz_setup_get(u32 number, struct fuzz_setup *setup)
{
    const u32 count = ARRAY_SIZE(engines);

    *setup = (struct fuzz_setup){.name = "walk", .walk = true};
    if (number == 0)
        return true;
    if (number > 2 * count)
        return false;
    setup->walk = false;
    setup->options = engines[(number - 1) % count].options;
    setup->options.combined = number > count;
    (void)snprintf(setup->name, sizeof(setup->name), "%s%s", number > count ? "combined_" : "",
                   engines[(number - 1) % count].name);
    return true;
}

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

__attribute__((format(printf, 2, 3))) static bool wrong(struct world *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(w->result->message, sizeof(w->result->message), format, args);
    va_end(args);
    return false;
}

/* May what is cached for a nested guest differ from what a walk finds? */
static bool is_behind(const struct world *w, const struct cpu *cpu)
{
    return is_lazy(w) && context_of(w, cpu)->nested && cpu->flushed[cpu->context] != w->edits;
}

static u64 fuzz_device_read(void *ctx, u64 offset, u32 size)
{
    const struct world *w = ctx;

    (void)offset;
    return w->device_answer & width_mask(size);
}

static void fuzz_device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct mmio_ops fuzz_device = {fuzz_device_read, fuzz_device_write};

void world_put(struct world *w, u64 machine, const void *from, u64 size)
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
            world_put(w, (u64)(slot->host + (address - slot->base) - w->bytes), from, part);
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
    if (context_of(w, cpu)->nested)
        mmu_invalidate_second(cpu->mmu);
    mmu_invalidate_all(cpu->mmu);
    cpu->flushed[cpu->context] = w->edits;
}

static void use_context(struct world *w, struct cpu *cpu, u32 number, bool and_flush)
{
    const struct context *c = &w->context[number];

    cpu->context = number;
    mmu_set_second_stage(cpu->mmu, c->nested ? &c->second : NULL);
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
                           &fuzz_device, w, &error) &&
           memory_add_alias(w->memory, "low", (hpa_t){address_of(FRAME_ALIAS_LOW)}, address_of(4),
                            (hpa_t){0}, &error) &&
           memory_add_alias(w->memory, "a20", (hpa_t){address_of(FRAME_ALIAS_A20)}, address_of(4),
                            (hpa_t){address_of(8)}, &error) &&
           memory_add_alias(w->memory, "large", (hpa_t){address_of(FRAME_ALIAS_LARGE)},
                            address_of(12), (hpa_t){0}, &error) &&
           memory_add_ram(w->memory, "second", (hpa_t){address_of(FRAME_SECOND)}, address_of(16),
                          &error);
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
        mmu_set_apic(w->cpu[i].mmu, true, (hpa_t){address_of(FRAME_APIC)}, &fuzz_device, w);
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
        return wrong(w, "the soft TLB leads out of memory for %llx", (unsigned long long)va);
    if ((access & ACCESS_WRITE) != 0 && memory_frame(w->memory, frame)->flags != 0)
        return wrong(w, "a write tag for %llx leads to a watched frame", (unsigned long long)va);
    if (is_behind(w, cpu))
        return true;
    if (e.result == REFILL_OK && e.host == host && flags_set(&e, access)) {
        if (e.in_device)
            return wrong(w, "a hit for %llx through a table in a device", (unsigned long long)va);
        return (access & ACCESS_WRITE) == 0 || e.slot->kind == SLOT_RAM ||
               wrong(w, "a write tag for %llx leads to ROM", (unsigned long long)va);
    }
    if (is_lazy(w) && !context_of(w, cpu)->nested && was_true(w, cpu, page, va, access, 0, host))
        return true;
    return wrong(w,
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

/* An access goes to an address: is that what the target says? */
static bool check_target(struct world *w, const struct cpu *cpu, u64 va, u32 access,
                         const struct target *target)
{
    const union mmu_role role = context_of(w, cpu)->role;
    struct expected found = {.result = REFILL_OK};

    if (target->slot != NULL && target->slot->base == address_of(FRAME_APIC) &&
        target->hpa.v >> PAGE_SHIFT == FRAME_APIC)
        return target->kind == SLOT_MMIO || wrong(w, "the APIC's page is no device");
    find_target(w, role, target->hpa.v, &found);
    if (found.slot == NULL || target->kind != found.slot->kind || target->host != found.host)
        return wrong(w, "%llx goes to %llx, and that to the wrong bytes", (unsigned long long)va,
                     (unsigned long long)target->hpa.v);
    if (found.slot->kind == SLOT_RAM && (access & ACCESS_WRITE) != 0 && !target->watched &&
        memory_frame(w->memory, memory_frame_of(w->memory, target->host))->flags != 0)
        return wrong(w, "a store to %llx that nobody sees", (unsigned long long)target->hpa.v);
    return true;
}

/* The engine allowed an access: was it right? Takes over the flags it set. */
static bool check_allowed(struct world *w, const struct cpu *cpu, u32 page, u64 va, u32 access,
                          const struct expected *e, const struct target *target)
{
    const bool lazy = is_lazy(w) && !context_of(w, cpu)->nested; /* else all was flushed */
    const bool same = e->result == REFILL_OK && e->hpa == target->hpa.v;
    const bool walked = same && !steps_equal(w, e); /* or no flag was clear */

    if (same && (walked || !lazy))
        commit(w, e, access);
    else if (!lazy)
        return wrong(w, "CPU %u context %u: %llx goes to %llx, a walk says %s %llx",
                     (u32)(cpu - w->cpu), cpu->context, (unsigned long long)va,
                     (unsigned long long)target->hpa.v, e->result == REFILL_OK ? "" : "fault",
                     e->result == REFILL_OK ? (unsigned long long)e->hpa : e->error_code);
    else if (!(same && flags_set(e, access)) &&
             !was_true(w, cpu, page, va, access, target->hpa.v, NULL))
        return wrong(w,
                     "CPU %u context %u: %llx goes to %llx, which never was since the last flush",
                     (u32)(cpu - w->cpu), cpu->context, (unsigned long long)va,
                     (unsigned long long)target->hpa.v);
    if (!steps_equal(w, e))
        return wrong(w, "other A and D flags than a walk sets for %llx", (unsigned long long)va);
    return check_target(w, cpu, va, access, target);
}

/* The engine denied an access. Of two stages, flags on the way may have been set even so. */
static bool check_denied(struct world *w, const struct cpu *cpu, u64 va, u32 access,
                         enum refill result, const struct expected *e)
{
    const struct mmu_nested_fault *got = &cpu->mmu->nested, *must = &e->nested;

    if (result != e->result)
        return wrong(w, "CPU %u context %u: outcome %d for %llx access %u, a walk says %d",
                     (u32)(cpu - w->cpu), cpu->context, (int)result, (unsigned long long)va, access,
                     (int)e->result);
    if (result == REFILL_PAGE_FAULT &&
        (cpu->mmu->fault.va != va || cpu->mmu->fault.error_code != e->error_code))
        return wrong(w, "error code %x for %llx, a walk says %x", cpu->mmu->fault.error_code,
                     (unsigned long long)va, e->error_code);
    if (result == REFILL_NESTED &&
        (got->gpa.v != must->gpa.v || got->va != must->va || got->table != must->table ||
         got->access != must->access || got->reason != must->reason ||
         got->rights2 != must->rights2 || got->rights != must->rights ||
         got->role.word != must->role.word || got->linear_valid != must->linear_valid))
        return wrong(w, "another report of the second stage for %llx: %llx, a walk says %llx",
                     (unsigned long long)va, (unsigned long long)got->gpa.v,
                     (unsigned long long)must->gpa.v);
    if (context_of(w, cpu)->nested)
        commit(w, e, access);
    return steps_equal(w, e) ||
           wrong(w, "a fault at %llx changed the tables", (unsigned long long)va);
}

/* An access that is not judged, as nothing was flushed: take over the flags that it set. */
static bool take_over_flags(struct world *w, u64 va)
{
    const u64 flags = (BIT(5) | BIT(6) | BIT(8) | BIT(9)) * (1 | BIT(32)); /* of both formats */

    for (u32 at = 0; at < MEMORY_BYTES; at += 8) {
        const u64 before = load_le(w->copy + at, 8), after = load_le(w->bytes + at, 8);

        if (before == after)
            continue;
        if (((before ^ after) & ~flags) != 0 || (before & ~after) != 0)
            return wrong(w, "an access to %llx changes machine bytes %x", (unsigned long long)va,
                         at);
        world_put(w, at, w->bytes + at, 8);
    }
    return true;
}

/* allowed: the outcome; *target is filled if so. */
static bool access_memory(struct world *w, struct cpu *cpu, u32 page, u32 offset, u32 access,
                          bool force, bool *allowed, struct target *target)
{
    const u64 va = linear(w, cpu, page, offset);
    const bool nested = context_of(w, cpu)->nested;
    const struct tlb_entry *entry;
    struct expected e;
    enum refill result;
    bool judged;

    *allowed = true;
    if (is_lazy(w) && !nested && w->edits - cpu->flushed[cpu->context] > LOG_LIMIT)
        flush(w, cpu);
    if (is_behind(w, cpu) && (offset & 8) == 0)
        flush(w, cpu);
    judged = !is_behind(w, cpu);
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
        w->result->nested_allowed += nested;
        if (!judged)
            return take_over_flags(w, va) && check_target(w, cpu, va, access, target);
        return check_allowed(w, cpu, page, va, access, &e, target);
    }
    w->result->faults++;
    w->result->nested_faults += result == REFILL_NESTED;
    if (!judged)
        return take_over_flags(w, va);
    return check_denied(w, cpu, va, access, result, &e);
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
    world_put(w, (u64)(target.host - w->bytes), bytes, size);
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
    return memory_load(w->memory, (hpa_t){s->at}, bytes, 8) || wrong(w, "load refused");
}

/* A host's own paging, for NPT. */
static union mmu_role host_of(u64 value, enum paging_format format)
{
    union mmu_role host = {.word = 0};

    host.format = format;
    host.level = pt_formats[format].root_level & 7u;
    host.has_4_byte_gpte = format == PAGING_32BIT;
    host.gbpages = value >> FUZZ_GBPAGES & 1;
    host.nx = value >> FUZZ_NX & 1;
    host.pse = value >> FUZZ_PSE & 1;
    host.smep = value >> FUZZ_SMEP & 1;
    return host;
}

bool fuzz_second(u64 value, struct mmu_second_stage *second)
{
    static const u8 hosts[FUZZ_KINDS] = {
        [FUZZ_NPT_32BIT] = PAGING_32BIT,
        [FUZZ_NPT_PAE] = PAGING_PAE,
        [FUZZ_NPT_4LEVEL] = PAGING_4LEVEL,
        [FUZZ_NPT_5LEVEL] = PAGING_5LEVEL,
    };
    const u32 kind = value >> FUZZ_KIND_SHIFT & 7;
    const u64 root = (value >> FUZZ_ROOT_SHIFT) * 32;

    if (kind == FUZZ_EPT || kind == FUZZ_EPT5) {
        const struct ept_features features = {
            .execonly = value >> FUZZ_EXECONLY & 1,
            .gbpages = value >> FUZZ_GBPAGES & 1,
            .mbec = value >> FUZZ_MBEC & 1,
        };

        *second = second_stage_ept((root & ~PAGE_OFFSET_MASK) | (kind == FUZZ_EPT5 ? 4 : 3) << 3 |
                                       (value >> FUZZ_AD & 1) << 6,
                                   &features);
        return true;
    }
    if (kind >= FUZZ_KINDS || hosts[kind] == PAGING_NONE)
        return false;
    *second = second_stage_npt(host_of(value, (enum paging_format)hosts[kind]),
                               hosts[kind] == PAGING_PAE ? root : root & ~PAGE_OFFSET_MASK,
                               value >> FUZZ_GMET & 1);
    return true;
}

static bool step_define(struct world *w, const struct fuzz_step *s)
{
    static const u8 levels[] = {0, 2, 3, 4, 5};
    struct context *c = &w->context[s->a];

    c->role.word = s->value & BITS(31, 0);
    if (c->role.format == PAGING_NONE) /* as cpu/mode.c has it: no other bit counts */
        c->role.word &= (union mmu_role){.smm = 1, .guest_mode = 1}.word;
    c->role.level = levels[c->role.format] & 7u;
    c->role.has_4_byte_gpte = c->role.format == PAGING_32BIT;
    c->nested = fuzz_second(s->value, &c->second);
    if (c->nested) {
        c->role.smm = 0; /* SMM has no second stage */
        pt_rules_init(&c->second_rules, c->second.role, FUZZ_WIDTH);
    }
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
    struct cpu *cpu = &w->cpu[s->cpu];

    if (context_of(w, cpu)->nested)
        mmu_invalidate_all(cpu->mmu); /* the first stage alone */
    else
        flush(w, cpu);
    return true;
}

static bool step_flush_second(struct world *w, const struct fuzz_step *s)
{
    mmu_invalidate_second(w->cpu[s->cpu].mmu);
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
           wrong(w, "move refused");
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
    [FUZZ_CODE] = step_code,     [FUZZ_FLUSH_SECOND] = step_flush_second,
};

static bool check_memory(struct world *w)
{
    for (u64 frame = 0; frame < MACHINE_FRAMES; frame++) {
        if (memcmp(w->bytes + address_of(frame), w->copy + address_of(frame), PAGE_SIZE) != 0)
            return wrong(w, "machine frame %llu is not what was stored", (unsigned long long)frame);
    }
    return true;
}

static bool audit(struct world *w)
{
    char report[200];

    return w->setup->walk || shadow_audit(memory_shadow(w->memory), report, sizeof(report)) ||
           wrong(w, "audit: %s", report);
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
