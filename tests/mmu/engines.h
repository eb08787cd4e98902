/* SPDX-License-Identifier: MIT */
/*
 * What may answer behind the soft TLB, for tests that hold whatever does, and for the fuzz.
 * NESTBOX_TEST_SHADOW names one of them, with "combined_" in front for second stages; without it
 * guest walks do.
 */
#ifndef TESTS_MMU_ENGINES_H
#define TESTS_MMU_ENGINES_H

#include "base/bits.h"
#include "mmu/memory.h"
#include "mmu/mmu.h"
#include "mmu/shadow/shadow.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct engine {
    const char *name;
    struct shadow_options options;
};

static const struct engine engines[] = {
    {"strict", {.sync = SYNC_STRICT}},
    {"burst", {.sync = SYNC_STRICT, .unsync_after = 1}},
    {"drop", {.sync = SYNC_DROP}},
    {"lazy", {.sync = SYNC_LAZY}},
    {"pieces", {.sync = SYNC_STRICT, .unsync_after = 1, .small_pages = true}},
    {"parity", {.sync = SYNC_STRICT, .unsync_after = 2, .kvm_parity = true}},
    {"quota", {.sync = SYNC_STRICT, .unsync_after = 1, .small_pages = true, .quota = 1}},
    {"drop_quota", {.sync = SYNC_DROP, .quota = 1}},
    {"lazy_quota", {.sync = SYNC_LAZY, .quota = 1, .small_pages = true}},
};

/* Make the wanted engine of a memory, before its first MMU. NULL: there is none. */
static inline struct shadow *engine_create(struct memory *memory)
{
    static const char prefix[] = "combined_";
    const char *name = getenv("NESTBOX_TEST_SHADOW");
    const bool combined = name != NULL && strncmp(name, prefix, sizeof(prefix) - 1) == 0;

    if (name == NULL)
        return NULL;
    name += combined ? sizeof(prefix) - 1 : 0;
    for (u32 i = 0; i < ARRAY_SIZE(engines); i++) {
        struct shadow_options options = engines[i].options;

        options.combined = combined;
        if (strcmp(engines[i].name, name) == 0)
            return shadow_create(memory, &options);
    }
    ck_abort_msg("NESTBOX_TEST_SHADOW=%s: no such engine", name);
    return NULL;
}

static inline bool engine_is_lazy(struct memory *memory)
{
    const struct shadow *shadow = memory_shadow(memory);

    return shadow != NULL && shadow_is_lazy(shadow);
}

static inline void engine_audit(struct memory *memory)
{
    struct shadow *shadow = memory_shadow(memory);
    char report[256];

    if (shadow != NULL && !shadow_audit(shadow, report, sizeof(report)))
        ck_abort_msg("audit: %s", report);
}

#endif
