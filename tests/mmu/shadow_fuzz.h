/* SPDX-License-Identifier: MIT */
/*
 * Random use of the shadow engine, checked step by step against walks without any cache.
 *
 * A run is a trace of steps and nothing else: the memory begins as zeros, and a step means the same
 * wherever it stands. So any subset of a trace is a trace, and one that fails can be cut down.
 * shadow_fuzz.c runs traces, shadow_trace.c makes, prints and shrinks them.
 *
 * A context may have a second stage. Then what it takes for guest frames goes through EPT or NPT
 * tables, which are in FRAME_SECOND and up, by habit.
 */
#ifndef TESTS_MMU_SHADOW_FUZZ_H
#define TESTS_MMU_SHADOW_FUZZ_H

#include "mmu/mmu.h"
#include "mmu/shadow/shadow.h"

#include <stdio.h>

enum {
    FUZZ_CPUS = 2,
    FUZZ_CONTEXTS = 12, /* what CPUs switch among */
    FUZZ_PAGES = 24, /* linear pages in play */
    FUZZ_WIDTH = 40, /* MAXPHYADDR */

    /* Guest frames. */
    FRAME_ROM = 0x20,
    FRAME_MMIO = 0x24,
    FRAME_ALIAS_LOW = 0x28, /* of frames 0..3 */
    FRAME_BAR = 0x2c, /* RAM that is moved about */
    FRAME_APIC = 0x2f,
    FRAME_ALIAS_A20 = 0x100, /* of frames 8..11; without A20 these are frames 0..3 */
    FRAME_ALIAS_LARGE = 0x200, /* of frames 0..11: tables where a large page begins */
    FRAME_SMRAM = 8, /* 8..11 are others in SMM */
    FRAME_SECOND = 0x40, /* 0x40..0x4f */
    /* Machine frames: RAM, the moved RAM, SMRAM, ROM, RAM for second stages. */
    MACHINE_FRAMES = 16 + 2 + 4 + 4 + 16,
};

/* The second stage of a context, in the upper half of FUZZ_DEFINE's value. */
enum fuzz_second {
    FUZZ_SINGLE,
    FUZZ_EPT,
    FUZZ_EPT5,
    FUZZ_NPT_32BIT,
    FUZZ_NPT_PAE,
    FUZZ_NPT_4LEVEL,
    FUZZ_NPT_5LEVEL,
    FUZZ_KINDS,

    FUZZ_KIND_SHIFT = 32, /* 3 bits */
    FUZZ_AD = 35, /* bit numbers, for EPT ... */
    FUZZ_EXECONLY,
    FUZZ_MBEC,
    FUZZ_GBPAGES,
    FUZZ_NX = FUZZ_AD, /* ... and for hosts */
    FUZZ_PSE = FUZZ_EXECONLY,
    FUZZ_SMEP = FUZZ_MBEC,
    FUZZ_GMET = 39,
    FUZZ_ROOT_SHIFT = 48, /* 16 bits, in units of 32 bytes */
};

enum fuzz_op {
    FUZZ_ACCESS, /* a: page, b: kind and FUZZ_FORCE, at: offset */
    FUZZ_CPU_STORE, /* a: page, b: size and FUZZ_SLOW, at: offset, value */
    FUZZ_STORE, /* at: address, b: size, a: as from SMM, value: repeated */
    FUZZ_FLIP, /* at: address, b: size, value: bits to invert */
    FUZZ_FILL, /* at: address, b: size in units of 32 bytes, value: repeated */
    FUZZ_COPY, /* at: from, value: to; b: size in units of 8 bytes */
    FUZZ_LOAD, /* at: address, value */
    FUZZ_DEFINE, /* a: context, value: role and second stage, at: root, b: PDPTEs */
    FUZZ_SWITCH, /* cpu to context a; b: and flush */
    FUZZ_PRIVILEGE, /* a: bit 0 user, bit 1 AC */
    FUZZ_KEYS, /* value: PKRU and PKRS */
    FUZZ_INVLPG, /* a: page */
    FUZZ_FLUSH,
    FUZZ_FLUSH_SECOND,
    FUZZ_A20, /* a: 1 on */
    FUZZ_MOVE, /* a: slot, at: address, b: shown */
    FUZZ_DROP,
    FUZZ_DEVICE, /* value: what it answers */
    FUZZ_CLEAN, /* a: frame for the dirty log */
    FUZZ_CODE, /* at: bytes were decoded */
    FUZZ_OPS,
};

enum {
    FUZZ_FORCE = 0x80, /* refill although the soft TLB hits */
    FUZZ_SLOW = 0x80, /* memory_store() although nobody watches */
};

struct fuzz_step {
    u8 op, cpu, a, b;
    u32 at;
    u64 value;
};

struct fuzz_setup {
    char name[24];
    bool walk; /* no engine at all: the test of the test */
    struct shadow_options options;
};

/* "walk", and each of tests/mmu/engines.h, with and without combined pages. false: that is all. */
bool fuzz_setup_get(u32 number, struct fuzz_setup *setup);
extern const u64 fuzz_pages[FUZZ_PAGES];
extern const u32 fuzz_accesses[8]; /* kinds of ACCESS and enum access bits */

struct fuzz_result {
    u32 step; /* where the run is, or stopped */
    char message[240];
    struct shadow_stats stats;
    u64 faults, allowed, hits, stale; /* accesses by outcome; stale: true only in the past */
    u64 nested_allowed, nested_faults; /* of these, through second stages; faults of those */
};

/* Does the context have a second stage? Its parts, in normal form. */
bool fuzz_second(u64 value, struct mmu_second_stage *second);

/* Run a trace. false: result->message says what is wrong at result->step. */
bool fuzz_run(const struct fuzz_setup *setup, const struct fuzz_step *steps, u32 count,
              u32 audit_every, struct fuzz_result *result);

/* ---- shadow_trace.c ---- */

void fuzz_generate(struct fuzz_step *steps, u32 count, u64 seed);
void fuzz_print(const struct fuzz_step *step, FILE *out);
/*
 * Generate and run, each run in a child process. If it fails, print the smallest trace that still
 * fails. false: it failed.
 */
bool fuzz_seed(const struct fuzz_setup *setup, u64 seed, u32 count, u32 audit_every,
               struct fuzz_result *result);

#endif
