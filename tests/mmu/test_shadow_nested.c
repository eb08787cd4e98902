/* SPDX-License-Identifier: MIT */
/*
 * Nested guests and who is above them: entries and exits, several second stages, edits by L1. T
 * numbers are those of the scenarios in docs/shadow-mmu.md. Whose pages are whose is in
 * test_shadow_second.c.
 */
#include "tests/mmu/shadow_harness.h"

enum { RWU = P | W | U, PAGE = LAB_SHIFT + LAB_DATA /* nested-physical */ };

/* An access that is not compared with the oracle, nor followed by an audit: it must go here. */
static void goes_quietly(struct lab *l, u64 va, u64 to)
{
    const struct lab_answer answer = lab_ask(l, va, ACCESS_WRITE);

    LAB_MUST(answer.result == REFILL_OK);
    if (answer.host != l->g.memory->bytes + to)
        ck_abort_msg("%llx goes to %llx, not %llx", (unsigned long long)va,
                     (unsigned long long)(answer.host - l->g.memory->bytes),
                     (unsigned long long)to);
}

/* ---- T28, T29: entries and exits ---- */

/* A world of tables: what L1 has loaded, or a nested guest. */
struct world {
    enum paging_format format;
    u32 ept_levels; /* 0: none, or NPT */
    enum paging_format host; /* of NPT */
    bool guest_mode; /* without a second stage: L1 makes the tables itself */
};

static struct lab_cpu start_world(struct lab *l, const struct world *w, u64 data)
{
    lab_cpu(l)->second.role.word = 0;
    if (w->ept_levels != 0)
        lab_start_ept(l, w->ept_levels, EPT_AD);
    else if (w->host != PAGING_NONE)
        lab_start_npt(l, w->host, 0);
    if (w->format == PAGING_NONE) {
        lab_start_unpaged(l);
        lab_second_map(l, 0x1000, 1, data | RWX);
        return *lab_cpu(l);
    }
    lab_start(l, w->format);
    lab_cpu(l)->role.guest_mode = w->guest_mode;
    lab_switch(l);
    lab_map(l, 0x1000, 1, (data + lab_shift(l)) | RWU);
    return *lab_cpu(l);
}

static void alternate(int cell, const struct world *worlds, u32 count)
{
    enum { ROUNDS = 1000 };
    struct lab *l = lab_create(cell);
    struct lab_cpu saved[4];
    struct shadow_stats warm = {0};

    for (u32 i = 0; i < count; i++)
        saved[i] = start_world(l, &worlds[i], LAB_DATA + (i << 12));
    for (u32 round = 0; round < ROUNDS; round++) {
        for (u32 i = 0; i < count; i++) {
            lab_load(l, &saved[i]);
            tlb_revoke_contexts(lab_state(l), 0xffff); /* only the soft TLB forgets */
            goes_quietly(l, 0x1000, LAB_DATA + (i << 12));
        }
        if (round == 0)
            warm = *lab_stats(l);
        if (round % 200 == 0)
            lab_audit(l);
    }
    ck_assert_uint_eq(lab_stats(l)->roots_made, warm.roots_made);
    ck_assert_uint_eq(lab_stats(l)->pages_made, warm.pages_made);
    ck_assert_uint_eq(lab_stats(l)->pages_zapped, 0);
    ck_assert_uint_eq(lab_stats(l)->domains_renewed, 0);
    lab_destroy(l);
}

/* T28, BUG-8 */
START_TEST(entries_and_exits_build_nothing_once_both_sides_are_warm)
{
    static const struct world ept[] = {{.format = PAGING_4LEVEL},
                                       {.format = PAGING_4LEVEL, .ept_levels = 4},
                                       {.format = PAGING_NONE, .ept_levels = 5}};
    static const struct world npt[] = {{.format = PAGING_PAE},
                                       {.format = PAGING_32BIT, .host = PAGING_PAE},
                                       {.format = PAGING_4LEVEL, .host = PAGING_32BIT}};

    alternate(_i, ept, ARRAY_SIZE(ept));
    alternate(_i, npt, ARRAY_SIZE(npt));
}
END_TEST

/* T29, rows D1 to D4, BUG-23 */
START_TEST(a_64_bit_host_finds_its_root_again_after_guests_of_other_widths)
{
    static const struct world worlds[] = {{.format = PAGING_4LEVEL},
                                          {.format = PAGING_32BIT, .guest_mode = true},
                                          {.format = PAGING_PAE, .guest_mode = true},
                                          {.format = PAGING_5LEVEL, .guest_mode = true}};

    alternate(_i, worlds, ARRAY_SIZE(worlds));
}
END_TEST

/* T30, row D2. What entry does with a bad PDPTE is the CPU's business; here they are what was
 * loaded, whatever becomes of their memory. */
START_TEST(pdptes_of_a_nested_guest_are_those_that_its_entry_loaded)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu host, guest;
    u64 roots, other;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    host = *lab_cpu(l);
    lab_start(l, PAGING_PAE);
    lab_cpu(l)->role.guest_mode = 1;
    lab_switch(l);
    lab_map(l, BIT(30), 1, (LAB_DATA + 0x1000) | RWU);
    guest = *lab_cpu(l);
    other = lab_table(l);
    lab_put8(l, other, lab_table(l) | RWU);
    lab_put8(l, lab_get(l, other) & BITS(51, 12), (LAB_DATA + 0x2000) | RWU);
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA + 0x1000);

    lab_put8(l, guest.root + 8, other | P); /* by L1, later: what counts is in the registers */
    lab_load(l, &host);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
    roots = lab_stats(l)->roots_made;
    lab_load(l, &guest);
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA + 0x1000);
    ck_assert_uint_eq(lab_stats(l)->roots_made, roots);
    lab_set_cr3(l, guest.root); /* an entry that loads them */
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA + 0x2000);
    ck_assert_uint_eq(lab_stats(l)->roots_made, roots + 1);
    lab_destroy(l);
}
END_TEST

/* T30 with a second stage: the load goes through it, like any access. */
START_TEST(pdptes_are_loaded_through_the_second_stage)
{
    struct lab *l = lab_create(_i);
    u64 root, value;

    lab_start_ept(l, 4, 0);
    lab_start(l, PAGING_PAE);
    lab_map(l, 0x1000, 1, PAGE | RWU);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
    root = lab_cpu(l)->root;
    ck_assert(mmu_read_nested(l->mmu[0], (gpa_t){root}, 8, &value));
    ck_assert_uint_eq(value, lab_cpu(l)->pdptes[0]);
    lab_audit(l);
    for (u64 i = 1; i < 4; i++) { /* now elsewhere */
        const u64 moved = lab_table(l);

        lab_put8(l, moved, i << 12 | P);
        lab_second_map(l, root, 1, moved | RWX);
        lab_flush_second(l);
        ck_assert(mmu_read_nested(l->mmu[0], (gpa_t){root}, 8, &value));
        ck_assert_uint_eq(value, i << 12 | P);
        lab_audit(l);
    }
    lab_second_map(l, root, 1, 0);
    lab_flush_second(l);
    ck_assert(!mmu_read_nested(l->mmu[0], (gpa_t){root}, 8, &value));
    ck_assert_uint_eq(l->mmu[0]->nested.gpa.v, root);
    ck_assert(!l->mmu[0]->nested.linear_valid);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA); /* from the registers */
    lab_destroy(l);
}
END_TEST

/* ---- roots ---- */

/* T33, row B8, BUG-3. Here they are two pages: formats of EPT differ by their levels. */
START_TEST(a_table_at_the_root_of_one_ept_and_inside_another_outlives_reclaim_in_both)
{
    enum { GIB = 12 };
    struct shadow_options options = lab_options(_i);
    struct lab_cpu saved[2];
    struct lab *l;
    u64 shared, entry;

    options.quota = 1; /* the least there is */
    l = lab_create_with(options);
    lab_start_ept(l, 5, EPT_AD);
    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < GIB; i++) {
        lab_second_map(l, i << 30 | PAGE, 1, (LAB_DATA + (i << 12)) | RWX);
        lab_map(l, i << 30, 3, i << 30 | RWU | PS);
    }
    saved[0] = *lab_cpu(l);
    shared = lab_second_entry(l, 0, 4) & ~PAGE_OFFSET_MASK;
    lab_cpu(l)->second = lab_ept(shared, 4, EPT_AD);
    lab_switch(l);
    saved[1] = *lab_cpu(l);
    entry = lab_second_entry(l, 0, 4);
    for (u32 round = 0; round < 48; round++) {
        const u64 i = round / 2 * 7 % GIB;

        lab_load(l, &saved[round & 1]);
        ck_assert_uint_eq(lab_goes(l, i << 30 | PAGE, ACCESS_WRITE), LAB_DATA + (i << 12));
        ck_assert_uint_ge(lab_pages(l, shared, 4, false), 1);
        ck_assert_uint_le(lab_pages(l, shared, 4, false), 2);
        if (round % 12 == 11) { /* the way to everything, in both */
            const u64 before = lab_table(l);

            memcpy(l->g.memory->bytes + before, l->g.memory->bytes + entry, 8);
            lab_put8(l, entry, 0);
            for (u32 k = 0; k < 2; k++) {
                lab_load(l, &saved[k]);
                ck_assert_int_eq(lab_access(l, i << 30 | PAGE, ACCESS_READ).result, REFILL_NESTED);
            }
            lab_write(l, entry, l->g.memory->bytes + before, 8);
        }
    }
    ck_assert_uint_gt(lab_stats(l)->reclaimed, 0);
    ck_assert_uint_le(shadow_used(l->shadow), shadow_quota(l->shadow));
    lab_destroy(l);
}
END_TEST

/* T38, row C6, BUG-13. There is no page but for a table: depths need not agree. */
START_TEST(stages_of_different_depth_need_no_tables_that_nobody_made)
{
    static const u8 hosts[] = {PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL, PAGING_5LEVEL};

    for (u32 h = 0; h < ARRAY_SIZE(hosts); h++) {
        struct lab *l = lab_create(_i);
        u32 pages = 0, levels;

        lab_start_npt(l, hosts[h], 0);
        lab_start(l, hosts[h] == PAGING_5LEVEL ? PAGING_4LEVEL : PAGING_5LEVEL);
        lab_map(l, BIT(46) | 0x1000, 1, PAGE | RWU);
        ck_assert_uint_eq(lab_goes(l, BIT(46) | 0x1000, ACCESS_WRITE), LAB_DATA);
        for (u32 i = l->shadow->oldest; i != 0; i = page_at(l->shadow, i)->newer) {
            const struct shadow_page *page = page_at(l->shadow, i);

            LAB_MUST(!page->role.direct && page->frame << PAGE_SHIFT < l->next_table);
            ck_assert(lab_is_watched(l, page->frame << PAGE_SHIFT));
            ck_assert(page->role.stage2 || page->role.combined);
            pages += page->role.stage2;
        }
        levels = lab_cpu(l)->second.role.level + (hosts[h] == PAGING_PAE); /* PDPTEs in memory */
        ck_assert_uint_eq(pages, levels);
        ck_assert_uint_eq(lab_pages(l, lab_cpu(l)->second.root.v, levels, false), 1);
        lab_destroy(l);
    }
}
END_TEST

/* T51. Bits 2:0 of an EPTP are a memory type and make no difference; bit 6 does. INVEPT takes both:
 * whatever is below that table. */
START_TEST(eptps_that_differ_in_attributes_are_flushed_together)
{
    struct lab *l = lab_create(_i);
    struct lab_cpu saved[2];
    u64 root, made;

    lab_start_ept(l, 4, 0);
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, PAGE | RWU);
    root = lab_cpu(l)->second.root.v;
    saved[0] = *lab_cpu(l);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
    made = lab_stats(l)->pages_made;
    lab_cpu(l)->second = second_stage_ept(root | 3 << 3, &(struct ept_features){.gbpages = true});
    lab_switch(l);
    tlb_revoke_contexts(lab_state(l), 0xffff);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_stats(l)->pages_made, made);
    lab_cpu(l)->second = lab_ept(root, 4, EPT_AD);
    lab_switch(l);
    saved[1] = *lab_cpu(l);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_pages(l, root, 4, false), 2);

    l->careless = true;
    for (u64 round = 1; round < 8; round++) {
        lab_second_map(l, PAGE, 1, (LAB_DATA + (round << 12)) | RWX);
        lab_load(l, &saved[round & 1]);
        lab_flush_second(l); /* while one of them is loaded */
        for (u32 k = 0; k < 2; k++) {
            lab_load(l, &saved[k]);
            lab_cpu(l)->pending = false; /* no MOV to CR3 is needed for it */
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + (round << 12));
        }
    }
    lab_destroy(l);
}
END_TEST

/* T53 */
START_TEST(eight_epts_in_turn_keep_their_roots)
{
    enum { EPTS = 8, ROUNDS = 1000 };
    struct shadow_options options = lab_options(_i);
    struct lab_cpu saved[EPTS];
    u64 at[EPTS], serial[EPTS], data[EPTS];
    struct shadow_stats warm = {0};
    struct lab *l;
    u64 edits = 0, renewed;

    options.quota = 64 << 20; /* combined pages of earlier numbers are not reclaimed yet */
    l = lab_create_with(options);
    for (u64 i = 0; i < EPTS; i++) {
        lab_start_ept(l, 4, i & 1 ? EPT_AD : 0);
        if (i == 0) {
            lab_start(l, PAGING_4LEVEL);
            lab_map(l, 0x1000, 1, PAGE | RWU | A | D);
        }
        at[i] = lab_second_entry(l, PAGE, 1);
        data[i] = LAB_DATA + (i << 12);
        lab_put8(l, at[i], data[i] | RWX);
        saved[i] = *lab_cpu(l);
    }
    for (u32 round = 0; round < ROUNDS; round++) {
        const u32 i = round % EPTS;
        const struct shadow_page *root;

        if (round == EPTS)
            warm = *lab_stats(l);
        if (round >= EPTS && round % 3 == 0) { /* L1 edits it, and enters */
            u8 entry[8];

            data[i] = LAB_DATA + ((u64)(i + ++edits % 7 * 8) << 12);
            store_le(entry, data[i] | RWX, 8);
            memory_write(l->g.memory, (hpa_t){at[i]}, entry, 8);
            mmu_invalidate_second(l->mmu[0]);
        }
        lab_load(l, &saved[i]);
        goes_quietly(l, 0x1000, data[i]);
        root = root_page(lab_state(l), true, 0);
        LAB_MUST(root != NULL);
        if (round < EPTS)
            serial[i] = root->serial;
        ck_assert_uint_eq(root->serial, serial[i]);
        if (round % 250 == 0)
            lab_audit(l);
    }
    /* One combined leaf goes with each edit. Under lazy the flush zaps the table's page, and a
     * combined root dies with each number of its domain. */
    renewed = options.combined && lab_is(l, SYNC_LAZY) ? edits : 0;
    ck_assert_uint_eq(lab_stats(l)->leaves_dropped, options.combined ? edits - renewed : 0);
    ck_assert_uint_eq(lab_stats(l)->domains_renewed, renewed);
    ck_assert_uint_eq(lab_stats(l)->roots_made - warm.roots_made, renewed);
    ck_assert_uint_eq(lab_stats(l)->pages_zapped, lab_is(l, SYNC_LAZY) ? edits : 0);
    lab_destroy(l);
}
END_TEST

/* ---- T55: edits by L1 of what is under a nested guest ---- */

enum under { FINAL_PAGE, TABLE, DIRECTORY, UNDERS };

static void remap(int cell, enum under under)
{
    struct lab *l = lab_create(cell);
    const bool lazy = lab_is(l, SYNC_LAZY);
    u64 at, other, renewed;
    struct lab_answer answer;

    lab_start_ept(l, 4, 0);
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, PAGE | RWU);
    at = under == FINAL_PAGE ? LAB_DATA : lab_entry(l, 0x1000, (u32)under) & ~PAGE_OFFSET_MASK;
    other = under == FINAL_PAGE ? LAB_DATA + 0x7000 : lab_table(l);
    if (under == TABLE)
        lab_put8(l, other + 8, (PAGE + 0x7000) | RWU);
    if (under == DIRECTORY) {
        const u64 table = lab_table(l);

        lab_put8(l, other, (table + LAB_SHIFT) | RWU);
        lab_put8(l, table + 8, (PAGE + 0x7000) | RWU);
    }
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
    renewed = lab_stats(l)->domains_renewed;
    l->careless = true;
    lab_second_map(l, at + LAB_SHIFT, 1, other | RWX);
    answer = lab_access(l, 0x1000, ACCESS_WRITE);
    ck_assert_int_eq(answer.result, REFILL_OK);
    ck_assert(answer.host == l->g.memory->bytes + LAB_DATA + 0x7000 ||
              (lazy && answer.host == l->g.memory->bytes + LAB_DATA));
    lab_flush_second(l);
    lab_cpu(l)->pending = false; /* no flush but INVEPT is needed */
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0x7000);
    ck_assert_uint_eq(lab_stats(l)->domains_renewed - renewed, lazy && l->options.combined);
    if (under == TABLE) { /* the old one is a table no more */
        lab_put8(l, at + 8, 0);
        lab_flush(l);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0x7000);
        lab_put8(l, other + 8, (PAGE + 0x8000) | RWU);
        lab_flush(l);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0x8000);
    }
    lab_destroy(l);
}

START_TEST(what_is_under_a_nested_guest_counts_after_invept_at_the_latest)
{
    for (u32 under = 0; under < UNDERS; under++)
        remap(_i, (enum under)under);
}
END_TEST

START_TEST(a_page_at_many_linear_addresses_moves_at_all_of_them)
{
    enum { PLACES = 3 * LEAF_LOOKS };
    struct lab *l = lab_create(_i);

    lab_start_ept(l, 4, EPT_AD);
    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < PLACES; i++) {
        lab_map(l, i << 12, 1, PAGE | RWU | A | D);
        goes_quietly(l, i << 12, LAB_DATA);
    }
    lab_second_map(l, PAGE, 1, (LAB_DATA + 0x7000) | RWX);
    lab_flush_second(l);
    for (u64 i = 0; i < PLACES; i++)
        goes_quietly(l, i << 12, LAB_DATA + 0x7000);
    lab_audit(l);
    lab_destroy(l);
}
END_TEST

/*
 * A nested guest has a table where its second stage has one: the entry for PAGE is, in one frame,
 * the second stage's way to PAGE and, at the linear address SHARED, the guest's.
 */
enum { SHARED = 0x200000 | (PAGE & 0x1ff000) };

static struct lab *lab_shared_table(int cell, u32 features, u64 flags, u64 *table)
{
    struct lab *l = lab_create(cell);

    lab_start_ept(l, 4, features);
    lab_start(l, PAGING_4LEVEL);
    lab_second_map(l, PAGE, 1, PAGE | RWX | flags);
    *table = lab_second_entry(l, PAGE, 1) & ~(u64)PAGE_OFFSET_MASK;
    lab_map(l, SHARED, 2, (*table + LAB_SHIFT) | RWU);
    return l;
}

/* One and the same entry is the guest's and the second stage's. To the one, bit 5 is a flag that
 * the walk sets; to the other, which keeps no flags, it is a change of what the walk came through.
 */
START_TEST(a_walk_that_changes_an_entry_of_its_second_stage_is_not_entered)
{
    u64 table;
    struct lab *l = lab_shared_table(_i, 0, 0, &table);

    lab_map(l, 0x1000, 1, PAGE | RWU | A | D);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), PAGE);
    ck_assert_uint_eq(lab_goes(l, SHARED, ACCESS_READ), PAGE);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), PAGE);
    lab_destroy(l);
}
END_TEST

START_TEST(a_refresh_that_zaps_a_page_of_its_own_frame_hears_of_the_next_store)
{
    u64 table;
    struct lab *l = lab_shared_table(_i, EPT_AD, A | D, &table);

    lab_map(l, 0x1000, 1, (PAGE + 0x1000) | RWU | A | D);
    ck_assert_uint_eq(lab_goes(l, SHARED, ACCESS_READ), PAGE);
    for (u64 i = 0; i <= LAB_UNSYNC_AFTER; i++)
        lab_put8(l, table + 0xff8, (i + 1) << 12);
    lab_second_map(l, table + LAB_SHIFT, 1, (LAB_DATA + 0x7000) | RWX);
    lab_flush_second(l);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + 0x1000);
    lab_second_map(l, PAGE + 0x1000, 1, (LAB_DATA + 0x8000) | RWX);
    lab_flush_second(l);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + 0x8000);
    lab_destroy(l);
}
END_TEST

/* Here it is the store itself that zaps, and that what comes after it at its frame. */
START_TEST(a_store_that_zaps_another_page_of_its_frame_goes_on_at_a_valid_one)
{
    u64 table;
    struct lab *l = lab_shared_table(_i, EPT_AD, A | D, &table);

    ck_assert_uint_eq(lab_goes(l, SHARED, ACCESS_READ), PAGE);
    for (u32 n = lab_pages(l, table, 1, false); n-- > 0;) {
        if (lab_page(l, table, 1, n)->role.stage2)
            page_zap(l->shadow, page_index(l->shadow, lab_page(l, table, 1, n)));
    }
    ck_assert_uint_eq(lab_goes(l, SHARED, ACCESS_READ), PAGE);
    lab_second_map(l, table + LAB_SHIFT, 1, (LAB_DATA + 0x7000) | RWX);
    lab_audit(l);
    lab_destroy(l);
}
END_TEST

/* ---- combined leaves that no walk made ---- */

enum { FAR = 0x200000 }; /* a nested-physical page under another table of the second stage */

/* The page of the nested guest's level-1 table that counts now; NULL: there is none. */
static const struct shadow_page *combined_page(struct lab *l, u64 table)
{
    for (u32 n = 0; n < lab_pages(l, table, 1, false); n++) {
        const struct shadow_page *page = lab_page(l, table, 1, n);

        if (page->role.combined && page->role.ndom == context_ndom(lab_state(l)))
            return page;
    }
    return NULL;
}

/* A guest whose page 0 is under the near table and whose page 2 is under the far one. */
static struct lab *lab_near_and_far(int cell)
{
    struct lab *l = lab_create(cell);

    lab_start_ept(l, 4, 0);
    lab_start(l, PAGING_4LEVEL);
    lab_second_map(l, FAR, 1, (LAB_DATA + 0x10000) | RWX);
    lab_map(l, 0, 1, PAGE | RWU | A | D);
    lab_map(l, 0x1000, 1, (PAGE + 0x1000) | RWU | A | D);
    lab_map(l, 0x2000, 1, FAR | RWU | A | D);
    ck_assert_uint_eq(lab_goes(l, 0x2000, ACCESS_WRITE), LAB_DATA + 0x10000);
    return l;
}

/* The far table changes, and that unseen if the policy has it. */
static void far_table_goes_unsync(struct lab *l)
{
    const u64 table = lab_second_entry(l, FAR, 1) & ~PAGE_OFFSET_MASK;

    for (u64 i = 0; i <= LAB_UNSYNC_AFTER; i++)
        lab_put8(l, table + 0xff8, (i + 1) << 12);
    lab_put8(l, table, (LAB_DATA + 0x11000) | RWX);
    ck_assert_int_eq(lab_page(l, table, 1, 0)->unsync != 0, !lab_is(l, SYNC_DROP));
}

/* The guest's directory is where the far table is, which its walk does not come through. */
START_TEST(a_fetch_that_renews_its_own_domain_is_not_entered)
{
    struct lab *l = lab_near_and_far(_i);
    const u64 va = 1 << 30, far = lab_second_entry(l, FAR, 1) & ~(u64)PAGE_OFFSET_MASK;

    lab_map(l, va, 3, (far + LAB_SHIFT) | RWU | A);
    lab_put8(l, LAB_DATA + 0x11000 - LAB_SHIFT, PAGE | RWU | A | D);
    far_table_goes_unsync(l);
    lab_put8(l, far, (LAB_DATA + 0x11000) | RWX | A);
    l->careless = true;
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LAB_DATA);
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LAB_DATA);
    lab_destroy(l);
}
END_TEST

/* The walk for one page refreshes what it came through, and that is not what its neighbour needs.
 */
START_TEST(a_prefetched_leaf_is_not_combined_with_an_entry_out_of_step)
{
    struct lab *l = lab_near_and_far(_i);
    const u64 table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;

    far_table_goes_unsync(l);
    if (lab_is(l, SYNC_LAZY) &&
        l->options.combined) /* whose combined pages stand until INVEPT; make a fresh one */
        page_zap(l->shadow, page_index(l->shadow, lab_page(l, table, 1, 0)));
    l->careless = true;
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
    if (l->options.combined)
        ck_assert_uint_eq(combined_page(l, table)->spt[2], 0);
    l->careless = false;
    ck_assert_uint_eq(lab_goes(l, 0x2000, ACCESS_WRITE), LAB_DATA + 0x11000);
    lab_destroy(l);
}
END_TEST

START_TEST(a_refreshed_leaf_is_not_combined_with_an_entry_out_of_step)
{
    struct lab *l = lab_near_and_far(_i);
    const u64 table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;

    lab_map(l, 0x2000, 1, 0);
    far_table_goes_unsync(l);
    l->careless = true;
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0x1000);
    for (u64 i = 0; i <= LAB_UNSYNC_AFTER; i++)
        lab_put8(l, table + 0xff8, (i + 1) << 12);
    lab_map(l, 0x1000, 1, FAR | RWU | A | D);
    lab_flush(l); /* lazy: MOV to CR3, and no INVEPT */
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
    if (l->options.combined)
        ck_assert_uint_eq(combined_page(l, table)->spt[1], 0);
    l->careless = false;
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0x11000);
    lab_destroy(l);
}
END_TEST

/* ---- flags of tables under a second stage that keeps none ---- */

/* The guest has hung its table in at two nested-physical addresses; it may write to the other one.
 */
START_TEST(a_flag_needs_the_right_to_write_where_the_walk_found_the_table)
{
    struct lab *l = lab_create(_i);
    u64 table;

    lab_start_ept(l, 4, 0);
    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < 4; i++)
        lab_map(l, i << 12, 1, (PAGE + (i << 12)) | RWU | (i < 2 ? A | D : 0u));
    table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    lab_second_map(l, FAR, 1, table | P | U); /* R and X */
    lab_map(l, 0x200000, 2, FAR | RWU | A);
    ck_assert_uint_eq(lab_goes(l, 0x200000, ACCESS_READ), LAB_DATA);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + 0x1000);
    ck_assert_int_eq(lab_access(l, 0x203000, ACCESS_READ).result, REFILL_NESTED);
    ck_assert_uint_eq(lab_goes(l, 0x2000, ACCESS_WRITE), LAB_DATA + 0x2000);
    lab_destroy(l);
}
END_TEST

RUN_NESTED_TESTS("shadow_nested", entries_and_exits_build_nothing_once_both_sides_are_warm,
                 a_64_bit_host_finds_its_root_again_after_guests_of_other_widths,
                 pdptes_of_a_nested_guest_are_those_that_its_entry_loaded,
                 pdptes_are_loaded_through_the_second_stage,
                 a_table_at_the_root_of_one_ept_and_inside_another_outlives_reclaim_in_both,
                 stages_of_different_depth_need_no_tables_that_nobody_made,
                 eptps_that_differ_in_attributes_are_flushed_together,
                 eight_epts_in_turn_keep_their_roots,
                 what_is_under_a_nested_guest_counts_after_invept_at_the_latest,
                 a_page_at_many_linear_addresses_moves_at_all_of_them,
                 a_walk_that_changes_an_entry_of_its_second_stage_is_not_entered,
                 a_refresh_that_zaps_a_page_of_its_own_frame_hears_of_the_next_store,
                 a_store_that_zaps_another_page_of_its_frame_goes_on_at_a_valid_one,
                 a_fetch_that_renews_its_own_domain_is_not_entered,
                 a_prefetched_leaf_is_not_combined_with_an_entry_out_of_step,
                 a_refreshed_leaf_is_not_combined_with_an_entry_out_of_step,
                 a_flag_needs_the_right_to_write_where_the_walk_found_the_table)
