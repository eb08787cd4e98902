/* SPDX-License-Identifier: MIT */
/*
 * Several contexts over the same tables: whose page may be used and refreshed where, roots that
 * come and go, and flushes. T numbers are those of the scenarios in docs/shadow-mmu.md.
 */
#include "tests/mmu/shadow_harness.h"

enum { RWU = P | W | U, SMRAM = 0xa0000, SMRAM_TABLE = 0xa1000 };

/* What a CPU has loaded, to come back to. */
static void back_to(struct lab *l, const struct lab_cpu *saved)
{
    const bool pending = lab_cpu(l)->pending;

    *lab_cpu(l) = *saved;
    lab_cpu(l)->pending = pending;
    lab_switch(l);
}

/* The page of a table for a context's role. */
static struct shadow_page *page_of(struct lab *l, u64 table, u64 fmt)
{
    for (u32 n = 0; n < lab_pages(l, table, 1, false); n++) {
        if (lab_page(l, table, 1, n)->role.fmt == fmt)
            return lab_page(l, table, 1, n);
    }
    return NULL;
}

static void store_until_unsync(struct lab *l, u64 table)
{
    for (u64 i = 0; i <= LAB_UNSYNC_AFTER; i++)
        lab_put8(l, table + 0x1f8, i << 12 | P);
}

/* What the engine has made so far: nothing more, once every context in turn has had its own. */
struct made {
    u64 roots, pages;
};

static struct made made_so_far(struct lab *l)
{
    return (struct made){lab_stats(l)->roots_made, lab_stats(l)->pages_made};
}

static void expect_nothing_made_since(struct lab *l, const struct made *before)
{
    ck_assert_uint_eq(lab_stats(l)->roots_made, before->roots);
    ck_assert_uint_eq(lab_stats(l)->pages_made, before->pages);
}

/* T25: one level-1 table in a 32-bit and a PAE family. */
START_TEST(a_table_read_in_two_formats_is_refreshed_in_each_by_its_own)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu narrow, wide;
    struct shadow_page *page;
    u64 table, before;

    lab_start(l, PAGING_32BIT);
    table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    narrow = *lab_cpu(l);
    lab_start(l, PAGING_PAE);
    lab_map(l, 0, 2, table | RWU);
    wide = *lab_cpu(l);
    lab_put8(l, table, LAB_DATA | RWU); /* the same to both */
    for (u32 round = 0; round < 3; round++) {
        back_to(l, &narrow);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA + (round << 12));
        back_to(l, &wide);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA + (round << 12));
        ck_assert_uint_eq(lab_pages(l, table, 1, false), 2);
        store_until_unsync(l, table);
        lab_put8(l, table, (LAB_DATA + ((round + 1) << 12)) | RWU);
        ck_assert_int_eq(page_of(l, table, PAGING_32BIT)->unsync != 0, !lab_is(l, SYNC_DROP));
        ck_assert_int_eq(page_of(l, table, PAGING_PAE)->unsync != 0, !lab_is(l, SYNC_DROP));
        page = page_of(l, table, PAGING_32BIT);
        before = page->spt[0];
        lab_goes(l, 0, ACCESS_READ); /* in the wide one */
        ck_assert_uint_eq(page->spt[0], before);
        ck_assert_int_eq(page->unsync != 0, !lab_is(l, SYNC_DROP));
    }
    ck_assert_uint_eq(lab_stats(l)->sync_role_mismatch, 0);
    lab_destroy(l);
}
END_TEST

/* T25, the rule itself: the audit would tell of the counter afterwards. */
START_TEST(a_page_is_not_refreshed_in_a_context_of_another_role)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu narrow;
    struct shadow_page *page;
    u64 table;

    lab_start(l, PAGING_32BIT);
    lab_map(l, 0, 1, LAB_DATA | RWU);
    lab_goes(l, 0, ACCESS_READ);
    table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    narrow = *lab_cpu(l);
    store_until_unsync(l, table);
    lab_start(l, PAGING_PAE);
    page = lab_page(l, table, 1, 0);
    if (lab_is(l, SYNC_DROP)) {
        ck_assert(!sync_allowed(lab_state(l), page));
    } else {
        ck_assert_uint_ne(page->unsync, 0);
        ck_assert(!sync_page(lab_state(l), page_index(l->shadow, page), false));
        ck_assert_uint_eq(lab_pages(l, table, 1, false), 0); /* zapped */
    }
    ck_assert_uint_eq(lab_stats(l)->sync_role_mismatch, 1);
    l->shadow->stats.sync_role_mismatch = 0;
    back_to(l, &narrow);
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_READ), LAB_DATA);

    lab_cpu(l)->role = role_of(PAGING_NONE); /* nobody could decode it */
    lab_switch(l);
    ck_assert(!sync_allowed(lab_state(l), lab_page(l, table, 1, 0)));
    lab_destroy(l);
}
END_TEST

/* T26, BUG-7 */
START_TEST(an_unsync_table_that_becomes_a_directory_elsewhere_goes)
{
    struct lab *l = lab_create(_i);
    u64 table, leaf_table, syncs;

    lab_start(l, PAGING_4LEVEL);
    lab_cpu(l)->role.smm = 1;
    lab_switch(l);
    lab_map(l, 0, 1, LAB_DATA | RWU);
    lab_goes(l, 0, ACCESS_READ);
    table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    leaf_table = lab_table(l);
    lab_put(l, table + 8, leaf_table | RWU);
    lab_put(l, leaf_table, (LAB_DATA + 0x1000) | RWU);
    store_until_unsync(l, table);
    lab_start(l, PAGING_4LEVEL);
    lab_cpu(l)->role.smm = 0;
    lab_switch(l);
    lab_map(l, 0, 3, table | RWU);
    syncs = lab_stats(l)->syncs;
    l->careless = true;
    ck_assert_uint_eq(lab_goes(l, BIT(21), ACCESS_READ), LAB_DATA + 0x1000);
    ck_assert_uint_eq(lab_stats(l)->syncs, syncs);
    ck_assert_uint_eq(lab_pages(l, table, 2, false), 1);
    ck_assert_uint_eq(lab_pages(l, table, 1, false), lab_is(l, SYNC_DROP) ? 1 : 0);
    ck_assert(lab_is_watched(l, table));
    lab_put(l, table + 8, 0);
    ck_assert_uint_eq(lab_fault(l, BIT(21), ACCESS_READ), 0);
    lab_destroy(l);
}
END_TEST

/* T27 */
START_TEST(smram_is_seen_by_pages_made_in_smm_alone)
{
    struct lab *l = lab_create(_i);
    const u64 inside = (LAB_DATA + 0x1000) | RWU;
    struct error error;
    struct made made = {0};

    ck_assert(memory_add_smram(l->g.memory, (hpa_t){SMRAM}, 0x10000, &error));
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, SMRAM | RWU);
    lab_map(l, BIT(21), 2, SMRAM_TABLE | RWU);
    lab_put(l, SMRAM_TABLE, LAB_DATA | RWU);
    memory_smram_write(l->g.memory, (hpa_t){SMRAM_TABLE}, &inside, 8);
    for (u32 round = 0; round < 6; round++) {
        const bool smm = (round & 1) != 0;
        struct lab_answer answer;

        lab_cpu(l)->role.smm = smm;
        lab_switch(l);
        answer = lab_access(l, 0x1000, ACCESS_WRITE);
        ck_assert_int_eq(answer.host == l->g.memory->bytes + SMRAM, !smm);
        ck_assert_uint_eq(lab_goes(l, BIT(21), ACCESS_WRITE), LAB_DATA + (smm ? 0x1000 : 0));
        if (round == 1)
            made = made_so_far(l);
    }
    expect_nothing_made_since(l, &made);
    lab_destroy(l);
}
END_TEST

/* T28, T29, BUG-23: without a nested guest, the roots of two modes. */
START_TEST(contexts_of_two_widths_alternate_without_rebuilding)
{
    static const u8 others[] = {PAGING_32BIT, PAGING_PAE, PAGING_5LEVEL};
    struct lab *l = lab_create(_i);

    for (u32 k = 0; k < ARRAY_SIZE(others); k++) {
        struct lab_cpu saved[2];
        struct made made = {0};

        for (u32 i = 0; i < 2; i++) {
            lab_start(l, i == 0 ? PAGING_4LEVEL : others[k]);
            lab_map(l, 0x1000, 1, (LAB_DATA + (i << 12)) | RWU);
            saved[i] = *lab_cpu(l);
        }
        for (u32 round = 0; round < 20; round++) {
            back_to(l, &saved[round & 1]);
            tlb_revoke_contexts(lab_state(l), 0xffff); /* only the soft TLB forgets */
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + ((round & 1) << 12));
            if (round == 1)
                made = made_so_far(l);
        }
        expect_nothing_made_since(l, &made);
    }
    lab_destroy(l);
}
END_TEST

/* BUG-30, T57: another mode under the CR3 that is loaded, as a restored EFER brings it. One table
 * is a set of PDPTEs and a PML4, and what is below it a level further down. */
START_TEST(a_mode_that_changes_under_a_loaded_cr3_reads_its_tables_anew)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu pae, wide;
    u64 below;

    lab_start(l, PAGING_PAE);
    below = lab_table(l);
    lab_map(l, 0, 1, below | RWU);
    lab_put8(l, below, LAB_DATA | RWU);
    pae = wide = *lab_cpu(l);
    wide.role = role_of(PAGING_4LEVEL);
    for (u32 round = 0; round < 3; round++) {
        back_to(l, &pae);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_READ), below);
        back_to(l, &wide);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_READ), LAB_DATA);
    }
    lab_destroy(l);
}
END_TEST

/* More address spaces than a CPU remembers contexts. */
START_TEST(a_context_that_is_forgotten_forgets_its_roots)
{
    enum { SPACES = TLB_CONTEXTS + 4 };
    struct lab *l = lab_create(_i);
    struct lab_cpu space[SPACES];

    for (u64 i = 0; i < SPACES; i++) {
        lab_start(l, PAGING_4LEVEL);
        lab_map(l, 0, 3, i << 30 | RWU | PS);
        space[i] = *lab_cpu(l);
    }
    for (u32 round = 0; round < 2; round++) {
        for (u64 i = 0; i < SPACES; i++) {
            back_to(l, &space[i]);
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), i << 30 | 0x1000);
        }
    }
    lab_destroy(l);
}
END_TEST

/* Use enough tables, in enough roles, for all older pages to be reclaimed. */
static void fill(struct lab *l, u64 random)
{
    const struct lab_cpu saved = *lab_cpu(l);

    for (u32 i = 0; i < 150; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        lab_cpu(l)->role.gbpages = random >> 40 & 1;
        lab_cpu(l)->role.pse = random >> 41 & 1;
        lab_cpu(l)->role.smm = random >> 42 & 1;
        mmu_set_context(l->mmu[l->now], lab_cpu(l)->role, (gpa_t){saved.root}, NULL);
        LAB_MUST(lab_ask(l, (random >> 44 & 31) << 30, ACCESS_WRITE).result == REFILL_OK);
    }
    back_to(l, &saved);
}

static struct lab *small_lab(int cell)
{
    struct shadow_options options = lab_options(cell);
    struct lab *l;

    options.quota = 1; /* the least there is */
    l = lab_create_with(options);
    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < 16; i++) { /* 32 directories over 16 tables */
        lab_map(l, i << 30, 1, (LAB_DATA + (i << 12)) | RWU);
        lab_map(l, (i + 16) << 30, 2, (lab_entry(l, i << 30, 1) & ~PAGE_OFFSET_MASK) | P | W);
    }
    return l;
}

/* T33, BUG-3: a root is a page like others, and its context finds out. */
START_TEST(a_reclaimed_root_is_made_again)
{
    struct lab *l = small_lab(_i);
    struct lab_cpu first;
    u64 roots;

    first = *lab_cpu(l);
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
    lab_cpu(l)->role.smm = 1;
    lab_switch(l);
    for (u64 i = 0; i < 6; i++)
        fill(l, i);
    lab_audit(l);
    ck_assert_uint_gt(lab_stats(l)->reclaimed, 0);
    roots = lab_stats(l)->roots_made;
    back_to(l, &first);
    tlb_revoke_contexts(lab_state(l), 0xffff);
    shadow_zap_all(l->shadow); /* at the latest now */
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_stats(l)->roots_made, roots + 1);
    lab_destroy(l);
}
END_TEST

/* T34, I26 */
START_TEST(a_small_quota_is_kept_and_equal_runs_have_equal_digests)
{
    u64 digests[2];

    for (u32 run = 0; run < 2; run++) {
        struct lab *l = small_lab(_i);

        for (u64 i = 0; i < 4; i++) {
            fill(l, i);
            lab_audit(l);
            lab_map(l, i << 30, 1, (LAB_DATA + (i << 13)) | RWU);
            ck_assert_uint_eq(lab_goes(l, i << 30, ACCESS_READ), LAB_DATA + (i << 13));
        }
        ck_assert_uint_gt(lab_stats(l)->reclaimed, 10);
        ck_assert_uint_le(shadow_used(l->shadow), shadow_quota(l->shadow));
        digests[run] = shadow_digest(l->shadow);
        lab_destroy(l);
    }
    ck_assert_uint_eq(digests[0], digests[1]);
}
END_TEST

/* T47, BUG-16 */
START_TEST(flushes_without_paging_or_far_outside_do_nothing)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu paging;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_goes(l, 0x1000, ACCESS_READ);
    store_until_unsync(l, lab_entry(l, 0x1000, 1) & ~PAGE_OFFSET_MASK);
    lab_invalidate(l, BIT(63));
    lab_invalidate(l, BIT(47));
    lab_invalidate(l, ~(u64)0);
    paging = *lab_cpu(l);
    lab_cpu(l)->role = role_of(PAGING_NONE);
    lab_switch(l);
    lab_invalidate(l, 0x1000);
    lab_invalidate(l, BIT(63));
    lab_flush(l);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), 0x1000);
    back_to(l, &paging);
    lab_map(l, 0x1000, 1, (LAB_DATA + 0x1000) | RWU);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + 0x1000);
    lab_destroy(l);
}
END_TEST

/* T48, T49, BUG-24. flush: the guest says so, as INVPCID or a change of CR4.PCIDE does. */
static void edit_from_elsewhere(int cell, bool flush)
{
    struct lab *l = lab_create(cell);
    struct lab_cpu here, there;
    u64 at;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    at = lab_entry(l, 0x1000, 1);
    lab_goes(l, 0x1000, ACCESS_WRITE);
    here = *lab_cpu(l);
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, (LAB_DATA + 0x5000) | RWU);
    lab_goes(l, 0x1000, ACCESS_WRITE);
    there = *lab_cpu(l);
    l->careless = true;
    for (u64 round = 1; round < 6; round++) {
        struct lab_answer answer;

        back_to(l, &there);
        lab_put(l, at, (LAB_DATA + (round << 12)) | RWU);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0x5000);
        if (flush)
            lab_flush(l);
        back_to(l, &here);
        answer = lab_access(l, 0x1000, ACCESS_WRITE);
        if (flush || !lab_is(l, SYNC_LAZY))
            ck_assert_ptr_eq(answer.host, l->g.memory->bytes + LAB_DATA + (round << 12));
        else /* some older translation, but none that never was */
            ck_assert(answer.host >= l->g.memory->bytes + LAB_DATA &&
                      answer.host <= l->g.memory->bytes + LAB_DATA + (round << 12));
    }
    lab_destroy(l);
}

START_TEST(edits_made_in_another_address_space_count_after_a_flush)
{
    edit_from_elsewhere(_i, true);
    edit_from_elsewhere(_i, false);
}
END_TEST

/* T50 */
START_TEST(invlpg_in_one_address_space_serves_all_that_share_the_table)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu here, there;
    u64 pdpt;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU | BIT(8));
    pdpt = lab_get(l, lab_entry(l, 0, 4));
    here = *lab_cpu(l);
    lab_goes(l, 0x1000, ACCESS_READ);
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0, 4, pdpt);
    there = *lab_cpu(l);
    lab_goes(l, 0x1000, ACCESS_READ);
    l->careless = true;
    for (u64 round = 1; round < 4; round++) {
        lab_map(l, 0x1000, 1, (LAB_DATA + (round << 12)) | RWU | BIT(8));
        lab_invalidate(l, 0x1000);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + (round << 12));
        back_to(l, &here);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + (round << 12));
        back_to(l, &there);
    }
    lab_destroy(l);
}
END_TEST

/* T57: what a snapshot brings back is guest memory; shadow pages are made anew. */
START_TEST(dropping_all_caches_in_the_middle_changes_nothing)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < 6; i++)
        lab_map(l, i << 12, 1, (LAB_DATA + (i << 12)) | RWU);
    for (u64 round = 0; round < 4; round++) {
        for (u64 i = 0; i < 6; i++)
            ck_assert_uint_eq(lab_goes(l, i << 12, ACCESS_WRITE), LAB_DATA + ((i + round) << 12));
        for (u64 i = 0; i < 6; i++)
            lab_map(l, i << 12, 1, (LAB_DATA + ((i + round + 1) << 12)) | RWU);
        mmu_drop(l->mmu[0]);
        lab_audit(l);
        ck_assert_uint_eq(l->shadow->oldest, 0);
        ck_assert_uint_eq(l->shadow->blocks_used, 0);
    }
    lab_destroy(l);
}
END_TEST

/* The engine is one for all CPUs: what one edits, the other sees. */
START_TEST(stores_of_one_cpu_reach_the_soft_tlb_of_the_other)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_map(l, 0x8000, 1, (lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK) | P | W);
    l->cpu[1] = l->cpu[0];
    l->now = 1;
    lab_switch(l);
    for (u64 round = 1; round < 8; round++) {
        l->now = 1;
        lab_goes(l, 0x1000, ACCESS_WRITE);
        l->now = 0;
        lab_goes(l, 0x1000, ACCESS_FETCH);
        lab_store8(l, 0x8008, (LAB_DATA + (round << 12)) | RWU);
        l->now = 1;
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + (round << 12));
    }
    lab_destroy(l);
}
END_TEST

RUN_LAB_TESTS("shadow_contexts", a_table_read_in_two_formats_is_refreshed_in_each_by_its_own,
              a_page_is_not_refreshed_in_a_context_of_another_role,
              an_unsync_table_that_becomes_a_directory_elsewhere_goes,
              smram_is_seen_by_pages_made_in_smm_alone,
              contexts_of_two_widths_alternate_without_rebuilding,
              a_mode_that_changes_under_a_loaded_cr3_reads_its_tables_anew,
              a_context_that_is_forgotten_forgets_its_roots, a_reclaimed_root_is_made_again,
              a_small_quota_is_kept_and_equal_runs_have_equal_digests,
              flushes_without_paging_or_far_outside_do_nothing,
              edits_made_in_another_address_space_count_after_a_flush,
              invlpg_in_one_address_space_serves_all_that_share_the_table,
              dropping_all_caches_in_the_middle_changes_nothing,
              stores_of_one_cpu_reach_the_soft_tlb_of_the_other)
