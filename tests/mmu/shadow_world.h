/* SPDX-License-Identifier: MIT */
/*
 * Between the two parts of running a trace: shadow_fuzz.c, which makes the steps, and
 * shadow_reference.c, which says what must come of them.
 */
#ifndef TESTS_MMU_SHADOW_WORLD_H
#define TESTS_MMU_SHADOW_WORLD_H

#include "base/bits.h"
#include "mmu/mmu.h"
#include "mmu/nested.h"
#include "mmu/rights.h"
#include "mmu/walk.h"
#include "tests/mmu/shadow_fuzz.h"

enum {
    MEMORY_BYTES = MACHINE_FRAMES * PAGE_SIZE,
    LOG_SIZE = 1 << 14, /* edits of 8 bytes */
};

struct context {
    union mmu_role role;
    struct pt_rules rules;
    bool nested;
    struct mmu_second_stage second;
    struct pt_rules second_rules;
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

/* Eight bytes in which a walk through two stages sets flags. */
struct flagging {
    u32 at;
    u8 before[8], after[8];
};

/* What an access gets by a walk of some state of memory. */
struct expected {
    enum refill result;
    u32 error_code;
    u64 hpa;
    const struct slot *slot; /* NULL: the APIC's page */
    u8 *host;
    struct translation t; /* t.steps is 0 without paging */
    u32 entry_bytes;
    bool in_device; /* some table is */
    /* Through two stages. */
    struct mmu_nested_fault nested;
    u32 flaggings;
    struct flagging flagging[64];
};

static inline bool is_lazy(const struct world *w)
{
    return !w->setup->walk && w->setup->options.sync == SYNC_LAZY;
}

static inline const struct context *context_of(const struct world *w, const struct cpu *cpu)
{
    return &w->context[cpu->context];
}

static inline u64 address_of(u64 frame)
{
    return frame << PAGE_SHIFT;
}

/* ---- shadow_fuzz.c ---- */

/* Take a store over into the copy. */
void world_put(struct world *w, u64 machine, const void *from, u64 size);

/* ---- shadow_reference.c ---- */

bool is_canonical(const struct pt_format *format, u64 va);
/* Where a physical address leads: to e->slot, hpa and host. */
void find_target(struct world *w, union mmu_role role, u64 gpa, struct expected *e);
/* What an access gets. bytes: w->copy, or w->past if there is one stage. */
struct expected reference(struct world *w, const struct cpu *cpu, u64 va, u32 access, u8 *bytes);
/* Are all flags set that the access wants? */
bool flags_set(const struct expected *e, u32 access);
/* Does memory hold what the copy does, as far as the walk came? */
bool steps_equal(const struct world *w, const struct expected *e);
/* Set the flags of the access in the copy. */
void commit(struct world *w, const struct expected *e, u32 access);
/* Lazy: would some state since the last flush have sent the access to these bytes, or to this
 * address if host is NULL? */
bool was_true(struct world *w, const struct cpu *cpu, u32 page, u64 va, u32 access, u64 hpa,
              const u8 *host);

#endif
