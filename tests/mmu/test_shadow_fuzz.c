/* SPDX-License-Identifier: MIT */
/*
 * Random use of the shadow engine (tests/mmu/shadow_fuzz.h), T65: a little of each setup. For more:
 * NESTBOX_SHADOW_STEPS=1000000 steps per seed, NESTBOX_SHADOW_SEEDS, NESTBOX_TEST_SHADOW=setup.
 */
#include "base/bits.h"
#include "tests/effort.h"
#include "tests/mmu/guest.h"
#include "tests/mmu/shadow_fuzz.h"

static u64 from_environment(const char *name, u64 otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static struct shadow_stats total;
static struct fuzz_result outcomes;

static void run_seeds(const struct fuzz_setup *setup)
{
    const u64 seeds = from_environment("NESTBOX_SHADOW_SEEDS", 2);
    const u64 first = from_environment("NESTBOX_SHADOW_FIRST", 1);
    const u64 more = from_environment("NESTBOX_SHADOW_STEPS", 0);
    const u32 steps = more != 0 ? (u32)EFFORT(more) : 25000;

    for (u64 seed = first; seed < first + seeds; seed++) {
        struct fuzz_result r;

        ck_assert(fuzz_seed(setup, seed, steps, steps < 100000 ? 499 : 4999, &r));
        total.hits += r.stats.hits;
        total.pages_reused += r.stats.pages_reused;
        total.reclaimed += r.stats.reclaimed;
        total.flood_zaps += r.stats.flood_zaps;
        total.unsyncs += r.stats.unsyncs;
        total.synced_slots += r.stats.synced_slots;
        total.retries += r.stats.retries;
        total.prefetched += r.stats.prefetched;
        outcomes.faults += r.faults;
        outcomes.allowed += r.allowed;
        outcomes.hits += r.hits;
        outcomes.stale += r.stale;
        outcomes.nested_allowed += r.nested_allowed;
        outcomes.nested_faults += r.nested_faults;
        total.second_hits += r.stats.second_hits;
        total.domains_renewed += r.stats.domains_renewed;
    }
}

START_TEST(engine_translates_as_walks_do)
{
    const char *wanted = getenv("NESTBOX_TEST_SHADOW");
    struct fuzz_setup setup;
    u32 count = 0;

    for (u32 i = 0; fuzz_setup_get(i, &setup); i++) {
        if (wanted != NULL && strcmp(wanted, setup.name) != 0)
            continue;
        run_seeds(&setup);
        count++;
    }
    ck_assert_uint_gt(count, 0);
    if (getenv("NESTBOX_SHADOW_TELL") != NULL)
        printf("allowed %llu, faults %llu, hits %llu, stale %llu; shadow hits %llu, reused %llu, "
               "reclaimed %llu, floods %llu, unsync %llu, synced %llu, retries %llu, prefetched "
               "%llu; nested: allowed %llu, faults %llu, second hits %llu, renewed %llu\n",
               (unsigned long long)outcomes.allowed, (unsigned long long)outcomes.faults,
               (unsigned long long)outcomes.hits, (unsigned long long)outcomes.stale,
               (unsigned long long)total.hits, (unsigned long long)total.pages_reused,
               (unsigned long long)total.reclaimed, (unsigned long long)total.flood_zaps,
               (unsigned long long)total.unsyncs, (unsigned long long)total.synced_slots,
               (unsigned long long)total.retries, (unsigned long long)total.prefetched,
               (unsigned long long)outcomes.nested_allowed,
               (unsigned long long)outcomes.nested_faults, (unsigned long long)total.second_hits,
               (unsigned long long)total.domains_renewed);
    if (wanted != NULL)
        return;
    /* The steps reach what they are meant to. */
    ck_assert_uint_gt(outcomes.allowed, 20000);
    ck_assert_uint_gt(outcomes.faults, 2000);
    ck_assert_uint_gt(outcomes.hits, 20000);
    ck_assert_uint_gt(outcomes.stale, 0);
    ck_assert_uint_gt(total.hits, 2000);
    ck_assert_uint_gt(total.pages_reused, 1000);
    ck_assert_uint_gt(total.reclaimed, 0);
    ck_assert_uint_gt(total.flood_zaps, 0);
    ck_assert_uint_gt(total.unsyncs, 100);
    ck_assert_uint_gt(total.synced_slots, 100);
    ck_assert_uint_gt(outcomes.nested_allowed, 5000);
    ck_assert_uint_gt(outcomes.nested_faults, 5000);
    ck_assert_uint_gt(total.second_hits, 20000);
    ck_assert_uint_gt(total.domains_renewed, 500);
}
END_TEST

static void run_everywhere(const struct fuzz_step *steps, u32 count)
{
    struct fuzz_setup setup;

    for (u32 i = 0; fuzz_setup_get(i, &setup); i++) {
        struct fuzz_result r = {.step = 0};

        ck_assert_msg(fuzz_run(&setup, steps, count, 1, &r), "%s, step %u: %s", setup.name, r.step,
                      r.message);
    }
}

/* A level-1 table changes, unseen under lazy, and then is reached by a way that was not there. No
 * flush need follow: a processor cannot have kept what it never translated. */
START_TEST(table_hung_in_anew_brings_no_old_entries)
{
    static const struct fuzz_step steps[] = {
        {.op = FUZZ_DEFINE, .value = PAGING_4LEVEL, .at = 0x1000},
        {.op = FUZZ_STORE, .at = 0x1000, .b = 8, .value = 0x4007},
        {.op = FUZZ_STORE, .at = 0x4008, .b = 8, .value = 0x6007},
        {.op = FUZZ_STORE, .at = 0x6008, .b = 8, .value = 0xa001},
        {.op = FUZZ_STORE, .at = 0xa000, .b = 8, .value = 1},
        {.op = FUZZ_SWITCH, .cpu = 0},
        {.op = FUZZ_SWITCH, .cpu = 1},
        {.op = FUZZ_ACCESS, .cpu = 0, .a = 13}, /* 40200000 */
        {.op = FUZZ_STORE, .at = 0x6000, .b = 8, .value = 0x81},
        {.op = FUZZ_STORE, .at = 0x1000, .b = 8, .value = 0x5007},
        {.op = FUZZ_STORE, .at = 0xa000, .b = 8, .value = 0},
        {.op = FUZZ_STORE, .at = 0x5000, .b = 8, .value = 0x6007},
        {.op = FUZZ_ACCESS, .cpu = 1, .a = 3}, /* 7000: links 5000 to 6000 */
        {.op = FUZZ_ACCESS, .cpu = 0, .a = 6}, /* 200000, through a000 */
    };

    run_everywhere(steps, ARRAY_SIZE(steps));
}
END_TEST

/* The leaf of a supervisor page grants all that of a user page does, but not to the supervisor. */
START_TEST(supervisor_page_that_becomes_a_user_page_is_kept_from_the_supervisor)
{
    const union mmu_role role = {.format = PAGING_4LEVEL, .smep = 1, .smap = 1};
    const struct fuzz_step steps[] = {
        {.op = FUZZ_DEFINE, .value = role.word, .at = 0x1000},
        {.op = FUZZ_STORE, .at = 0x1000, .b = 8, .value = 0x4027},
        {.op = FUZZ_STORE, .at = 0x4000, .b = 8, .value = 0x6027},
        {.op = FUZZ_STORE, .at = 0x6000, .b = 8, .value = 0xa027},
        {.op = FUZZ_STORE, .at = 0xa000, .b = 8, .value = 0xb063},
        {.op = FUZZ_SWITCH, .cpu = 0},
        {.op = FUZZ_ACCESS, .cpu = 0, .b = 0}, /* read */
        {.op = FUZZ_ACCESS, .cpu = 0, .b = 2}, /* fetch */
        {.op = FUZZ_FLIP, .at = 0xa000, .b = 8, .value = 4},
        {.op = FUZZ_FLUSH, .cpu = 0},
        {.op = FUZZ_ACCESS, .cpu = 0, .b = 2},
        {.op = FUZZ_ACCESS, .cpu = 0, .b = 0},
    };

    run_everywhere(steps, ARRAY_SIZE(steps));
}
END_TEST

/* To 4-byte paging it is an A flag, to 8-byte paging a bit of the address. */
START_TEST(accessed_flag_of_another_entry_size_changes_the_entry)
{
    static const struct fuzz_step steps[] = {
        {.op = FUZZ_DEFINE, .a = 0, .value = PAGING_4LEVEL, .at = 0x1000},
        {.op = FUZZ_DEFINE, .a = 1, .value = PAGING_32BIT, .at = 0x7000},
        {.op = FUZZ_STORE, .at = 0x1000, .b = 8, .value = 0x4027},
        {.op = FUZZ_STORE, .at = 0x4000, .b = 8, .value = 0x6027},
        {.op = FUZZ_STORE, .at = 0x6000, .b = 8, .value = 0xa027},
        {.op = FUZZ_STORE, .at = 0xa000, .b = 8, .value = 0x700003067},
        {.op = FUZZ_STORE, .at = 0x7000, .b = 4, .value = 0xa027},
        {.op = FUZZ_SWITCH, .cpu = 0, .a = 0},
        {.op = FUZZ_SWITCH, .cpu = 1, .a = 1},
        {.op = FUZZ_ACCESS, .cpu = 0}, /* 700003000 */
        {.op = FUZZ_ACCESS, .cpu = 1, .a = 1}, /* page 1: the entry at a004 */
        {.op = FUZZ_ACCESS, .cpu = 0}, /* 2700003000 */
    };

    run_everywhere(steps, ARRAY_SIZE(steps));
}
END_TEST

RUN_TESTS("shadow_fuzz", engine_translates_as_walks_do, table_hung_in_anew_brings_no_old_entries,
          supervisor_page_that_becomes_a_user_page_is_kept_from_the_supervisor,
          accessed_flag_of_another_entry_size_changes_the_entry)
