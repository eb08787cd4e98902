/* SPDX-License-Identifier: MIT */
/* Counters of the MMUs (all CPUs together) and of the shadow engine. See machine/stats.h. */
#include "machine/stats.h"

#include "base/bits.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct counter {
    const char *name;
    size_t offset;
};

#define MMU(field)                                                                                 \
    {                                                                                              \
#field, offsetof(struct mmu_stats, field)                                                  \
    }
#define SHADOW(field)                                                                              \
    {                                                                                              \
#field, offsetof(struct shadow_stats, field)                                               \
    }

static const struct counter mmu_counters[] = {
    MMU(refills),          MMU(l1_fills),     MMU(l2_hits),       MMU(walks),
    MMU(faults),           MMU(context_hits), MMU(revoked_pages), MMU(context_switches),
    MMU(revoked_contexts), MMU(revoked_all),  MMU(write_flushes), MMU(bank_clears),
};

static const struct counter shadow_counters[] = {
    SHADOW(lookups),        SHADOW(hits),
    SHADOW(fetches),        SHADOW(retries),
    SHADOW(pages_made),     SHADOW(pages_reused),
    SHADOW(pages_zapped),   SHADOW(reclaimed),
    SHADOW(flood_zaps),     SHADOW(roots_made),
    SHADOW(stores),         SHADOW(slots_dropped),
    SHADOW(unsyncs),        SHADOW(syncs),
    SHADOW(synced_slots),   SHADOW(sync_role_mismatch),
    SHADOW(prefetched),     SHADOW(flushes),
    SHADOW(second_lookups), SHADOW(second_hits),
    SHADOW(leaves_dropped), SHADOW(domains_renewed),
};

static u64 counter_value(const void *stats, const struct counter *counter)
{
    u64 value;

    memcpy(&value, (const u8 *)stats + counter->offset, sizeof(value));
    return value;
}

static void print_group(const char *group, const struct counter *counter, size_t count,
                        const void *stats, bool json)
{
    if (json)
        (void)printf(",\n  \"%s\": {", group);
    for (size_t i = 0; i < count; i++) {
        const unsigned long long value = counter_value(stats, &counter[i]);

        if (json)
            (void)printf("%s\n    \"%s\": %llu", i == 0 ? "" : ",", counter[i].name, value);
        else
            (void)printf("%-8s %-20s %16llu\n", group, counter[i].name, value);
    }
    if (json)
        (void)printf("\n  }");
}

static void dump_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)puts(line);
}

void stats_dump_shadow(const struct board *board)
{
    for (u32 i = 0; i < board->cpus; i++)
        mmu_dump_shadow(board->cpu[i].v->mmu, dump_line, NULL);
}

void stats_print(const struct board *board, u64 instructions, bool json)
{
    const struct shadow *shadow = memory_shadow(board->memory);
    struct mmu_stats sum = {0};

    for (u32 i = 0; i < board->cpus; i++) {
        const u64 *from = (const u64 *)mmu_stats(board->cpu[i].v->mmu);
        u64 *to = (u64 *)&sum;

        for (size_t n = 0; n < sizeof(sum) / sizeof(u64); n++)
            to[n] += from[n];
    }
    (void)printf(json ? "{\n  \"instructions\": %llu" : "instructions %33llu\n",
                 (unsigned long long)instructions);
    print_group("mmu", mmu_counters, ARRAY_SIZE(mmu_counters), &sum, json);
    if (shadow != NULL) {
        print_group("shadow", shadow_counters, ARRAY_SIZE(shadow_counters), shadow_stats(shadow),
                    json);
        (void)printf(json ? ",\n  \"shadow_bytes\": {\"used\": %llu, \"quota\": %llu}"
                          : "shadow   bytes used %20llu of %llu\n",
                     (unsigned long long)shadow_used(shadow),
                     (unsigned long long)shadow_quota(shadow));
    }
    if (json)
        (void)printf("\n}\n");
}
