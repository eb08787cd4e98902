/* SPDX-License-Identifier: MIT */
/*
 * Stores to shadowed tables, of any size and by anybody; unsync pages and floods; and the engine's
 * own inspection: audit, digest, dump. T numbers are those of the scenarios in docs/shadow-mmu.md.
 */
#include "tests/mmu/shadow_harness.h"

#include <stdio.h>

enum { RWU = P | W | U };

static u64 table_of(struct lab *l, u64 va, u32 level)
{
    return lab_entry(l, va, level) & ~PAGE_OFFSET_MASK;
}

/* T58 */
START_TEST(a_directory_written_three_times_without_a_use_is_let_go)
{
    struct lab *l = lab_create(_i);
    u64 pd;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_goes(l, 0x1000, ACCESS_READ);
    pd = table_of(l, 0, 2);
    for (u64 round = 0; round < 3; round++) { /* each use starts the count again */
        lab_put(l, pd + 0x800, (2 * round) << 13);
        lab_put(l, pd + 0x800, (2 * round + 1) << 13);
        tlb_revoke_contexts(lab_state(l), 0xffff);
        lab_goes(l, 0x1000, ACCESS_READ);
    }
    ck_assert_uint_eq(lab_stats(l)->flood_zaps, 0);
    lab_put(l, pd + 0x800, 0x10000);
    lab_put(l, pd + 0x800, 0x12000);
    ck_assert_uint_eq(lab_pages(l, pd, 2, false), 1);
    lab_put(l, pd + 0x800, 0x12000); /* changes nothing */
    ck_assert_uint_eq(lab_pages(l, pd, 2, false), 1);
    lab_put(l, pd + 0x800, 0x14000);
    ck_assert_uint_eq(lab_pages(l, pd, 2, false), 0);
    ck_assert_uint_eq(lab_stats(l)->flood_zaps, 1);
    ck_assert(!lab_is_watched(l, pd));
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
    lab_destroy(l);
}
END_TEST

/* Stores to one quarter of a 4-byte directory are no stores to the others. */
START_TEST(a_flood_is_counted_for_its_own_quadrant)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_32BIT);
    for (u64 i = 0; i < 4; i++) {
        lab_map(l, i << 30, 1, (LAB_DATA + (i << 12)) | RWU);
        lab_goes(l, i << 30, ACCESS_READ);
    }
    for (u32 i = 1; i < 5; i++)
        lab_map(l, BIT(30) | BIT(29), 2, i << 12);
    ck_assert_uint_eq(lab_stats(l)->flood_zaps, 1);
    ck_assert_uint_eq(lab_pages(l, lab_cpu(l)->root, 2, false), 3);
    for (u64 i = 0; i < 4; i++)
        ck_assert_uint_eq(lab_goes(l, i << 30, ACCESS_READ), LAB_DATA + (i << 12));
    lab_destroy(l);
}
END_TEST

/* What each policy does with a level-1 table that is written again and again. */
START_TEST(a_table_goes_unsync_by_its_policy_and_comes_back_with_its_use)
{
    struct lab *l = lab_create(_i);
    u64 pt, syncs;

    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < 3; i++)
        lab_map(l, i << 12, 1, (LAB_DATA + (i << 12)) | RWU);
    for (u64 i = 0; i < 3; i++)
        lab_goes(l, i << 12, ACCESS_WRITE);
    pt = table_of(l, 0, 1);
    for (u64 i = 0; i < 4; i++) {
        const bool gone = lab_is(l, SYNC_LAZY) || (lab_is(l, SYNC_STRICT) && i > LAB_UNSYNC_AFTER);

        ck_assert_int_eq(lab_is_watched(l, pt), !(gone && i > 0));
        lab_put(l, pt + 8, (LAB_DATA + 0x8000 + (i << 12)) | RWU);
    }
    ck_assert_uint_eq(lab_stats(l)->unsyncs, lab_is(l, SYNC_DROP) ? 0 : 1);
    if (lab_is(l, SYNC_STRICT)) /* it is the rest that could be stale any time */
        ck_assert(!hits(l->mmu[0]->bank, 0x2000, ACCESS_READ));
    syncs = lab_stats(l)->syncs;
    ck_assert_uint_eq(lab_goes(l, 0x2000, ACCESS_READ), LAB_DATA + 0x2000);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + 0xb000);
    ck_assert_uint_eq(lab_stats(l)->syncs - syncs, lab_is(l, SYNC_DROP) ? 0 : 1);
    ck_assert(lab_is_watched(l, pt));
    lab_destroy(l);
}
END_TEST

/* More tables at a time than the unsync set has places. */
START_TEST(the_unsync_page_of_longest_standing_makes_room)
{
    enum { TABLES = UNSYNC_MAX + 6 };
    const u64 tables = 0x200000; /* the oracle compares no accessed bits there */
    struct lab *l = lab_create(_i);
    u64 directory[TABLES];

    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < TABLES; i++) {
        const u64 entries[2] = {LAB_DATA | RWU | A | D, LAB_DATA | RWU | A};

        directory[i] = (tables + (i << 12)) | RWU | A;
        memory_write(l->g.memory, (hpa_t){tables + (i << 12)}, entries, sizeof(entries));
    }
    lab_write(l, lab_entry(l, 0, 2), directory, sizeof(directory));
    for (u64 i = 0; i < TABLES; i++)
        LAB_MUST(lab_ask(l, i << 21, ACCESS_READ).result == REFILL_OK);
    for (u64 i = 0; i < TABLES; i++) {
        for (u64 k = 0; k <= LAB_UNSYNC_AFTER; k++) {
            const u64 entry = (LAB_DATA + ((i + k + 1) << 12)) | RWU | A | D;

            memory_write(l->g.memory, (hpa_t){tables + (i << 12)}, &entry, 8);
        }
    }
    lab_edited(l);
    ck_assert_uint_eq(lab_stats(l)->unsyncs, lab_is(l, SYNC_DROP) ? 0 : TABLES);
    ck_assert_uint_eq(lab_stats(l)->pages_zapped, lab_is(l, SYNC_DROP) ? 0 : TABLES - UNSYNC_MAX);
    for (u64 i = 0; i < TABLES; i += 3)
        ck_assert_uint_eq(lab_goes(l, i << 21, ACCESS_READ),
                          LAB_DATA + ((i + LAB_UNSYNC_AFTER + 1) << 12));
    lab_destroy(l);
}
END_TEST

static u32 below(u64 *random, u32 n)
{
    *random = *random * 6364136223846793005 + 1442695040888963407;
    return (u32)(*random >> 33) % n;
}

/* T59: slices of one valid table over another, at any offset and of any size. */
static void odd_stores(int cell, enum paging_format format)
{
    static const u32 sizes[] = {1, 2, 3, 4, 6, 8, 16, 64, 512, 4096};
    struct lab *l = lab_create(cell);
    u64 random = (u64)cell * 2 + 5;
    u8 image[PAGE_SIZE];
    u64 pt;

    lab_start(l, format);
    pt = table_of(l, 0x1000, 1);
    lab_map(l, 0x200000, 1,
            pt | RWU); /* the CPU's own view of it; one of the slices may go there */
    for (u32 round = 0; round < 60; round++) {
        const u32 bytes = lab_entry_bytes(l);
        const u32 size = sizes[below(&random, ARRAY_SIZE(sizes))];
        const u32 at = below(&random, PAGE_SIZE - size + 1) % (size < 64 ? 128 : PAGE_SIZE);

        for (u32 i = 0; i < PAGE_SIZE / bytes; i++)
            store_le(image + i * bytes,
                     (LAB_DATA + ((u64)below(&random, 64) << 12)) |
                         (below(&random, 8) * 0x20 | RWU),
                     bytes);
        if (below(&random, 2) == 0 || at + size > PAGE_SIZE ||
            lab_access(l, 0x200000, ACCESS_WRITE).result != REFILL_OK)
            lab_write(l, pt + at, image + at, at + size > PAGE_SIZE ? PAGE_SIZE - at : size);
        else
            lab_store(l, 0x200000 + at, image + at, size);
        for (u32 i = 0; i < 3; i++)
            lab_access(l, (u64)below(&random, 20) << 12,
                       below(&random, 2) != 0 ? ACCESS_READ : ACCESS_WRITE);
    }
    lab_destroy(l);
}

START_TEST(stores_of_any_size_and_place_are_heard)
{
    odd_stores(_i, PAGING_32BIT);
    odd_stores(_i, PAGING_4LEVEL);
}
END_TEST

/* T60: the page that runs is the table that maps it. */
START_TEST(a_table_that_maps_itself_may_be_changed_through_itself)
{
    struct lab *l = lab_create(_i);
    u64 pt, copy;

    lab_start(l, PAGING_4LEVEL);
    pt = table_of(l, 0x1000, 1);
    copy = lab_table(l);
    for (u32 round = 0; round < 6; round++) {
        lab_put(l, pt + 8, pt | RWU);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_FETCH), pt);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), pt);
        ck_assert(!hits(l->mmu[0]->bank, 0x1000, ACCESS_WRITE));
        lab_store8(l, 0x1008, copy | P);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_FETCH), copy);
        ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_WRITE), PF_PRESENT | PF_WRITE);
    }
    lab_destroy(l);
}
END_TEST

/* T61 */
START_TEST(the_dirty_log_hears_the_first_store_to_each_page_of_a_large_one)
{
    enum { LARGE = 0x200000 };
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, LARGE, 2, LARGE | RWU | PS);
    lab_goes(l, LARGE, ACCESS_WRITE);
    for (u32 round = 0; round < 3; round++) {
        for (u64 i = 0; i < 8; i++)
            memory_mark_clean(l->g.memory, (LARGE >> 12) + i);
        lab_audit(l);
        for (u64 i = 0; i < 8; i++) {
            const u64 va = LARGE + (i << 12);

            ck_assert(lab_access(l, va, ACCESS_WRITE).watched);
            lab_store8(l, va, round);
            ck_assert_uint_eq(l->g.memory->frames[va >> 12].flags, 0);
            ck_assert(!lab_access(l, va, ACCESS_WRITE).watched);
            ck_assert(hits(l->mmu[0]->bank, va, ACCESS_WRITE));
        }
    }
    lab_destroy(l);
}
END_TEST

/* ---- roles ---- */

static bool may_differ(union shadow_role bit)
{
    return bit.level != 0 || bit.quadrant != 0 || bit.pdpt != 0 || bit.access != 0 ||
           bit.access2 != 0;
}

/* Rule of refresh: mutation-proof, bit by bit. */
START_TEST(each_bit_but_those_of_the_path_forbids_a_refresh)
{
    const union shadow_role root = shadow_root_role(role_of(PAGING_4LEVEL), _i & 1);

    for (u32 i = 0; i < 64; i++) {
        const union shadow_role bit = {.word = BIT(i)};
        const union shadow_role other = {.word = root.word ^ BIT(i)};

        ck_assert_int_eq(role_mismatch(other, root) == 0, may_differ(bit));
        ck_assert(!same_identity(5, other, 5, root));
        ck_assert(!same_identity(5, root, 6, root));
        ck_assert(same_identity(5, other, 5, other));
    }
}
END_TEST

START_TEST(the_root_role_tells_formats_apart_by_format_and_entry_size)
{
    const bool parity = (_i & 1) != 0;

    for (u32 a = PAGING_32BIT; a <= PAGING_5LEVEL; a++) {
        const union shadow_role role = shadow_root_role(role_of((enum paging_format)a), parity);

        ck_assert_uint_eq(role.fmt, a);
        ck_assert_uint_eq(role.has_4_byte_gpte, a == PAGING_32BIT);
        for (u32 b = PAGING_32BIT; b < a; b++)
            ck_assert_uint_ne(role_mismatch(role, shadow_root_role(role_of((enum paging_format)b),
                                                                   parity)),
                              0);
    }
}
END_TEST

/* ---- looking at it ---- */

START_TEST(every_invariant_has_a_statement_and_a_check_or_a_reason)
{
    bool is_checked;

    for (u32 i = 1; i <= 27; i++)
        ck_assert_ptr_nonnull(shadow_invariant(i, &is_checked));
    ck_assert_ptr_null(shadow_invariant(0, &is_checked));
    ck_assert_ptr_null(shadow_invariant(28, &is_checked));
}
END_TEST

static void expect_broken(struct lab *l, const char *start)
{
    char report[256];

    ck_assert(!shadow_audit(l->shadow, report, sizeof(report)));
    ck_assert_msg(strncmp(report, start, strlen(start)) == 0, "%s, not %s", report, start);
}

/* Break things one by one and put them right again. */
START_TEST(the_audit_names_what_is_broken)
{
    struct lab *l = lab_create(_i);
    struct shadow_page *page, *parent;
    u64 pt, entry;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    pt = table_of(l, 0x1000, 1);
    lab_goes(l, 0x1000, ACCESS_WRITE);
    page = lab_page(l, pt, 1, 0);
    parent = lab_page(l, table_of(l, 0, 2), 2, 0);

    entry = lab_get(l, pt + 8);
    lab_poke(l, pt + 8, entry + 0x1000);
    expect_broken(l, "I1 ");
    lab_poke(l, pt + 8, entry & ~(u64)D);
    expect_broken(l, "I1 ");
    lab_poke(l, pt + 8, entry);
    page->role.has_4_byte_gpte = 1;
    expect_broken(l, "I3 ");
    page->role.has_4_byte_gpte = 0;
    page->role.smm = 1;
    expect_broken(l, "I5 ");
    page->role.smm = 0;
    page->role.access = RIGHT_USER;
    expect_broken(l, "I1 ");
    page->role.access = RIGHTS_ALL;
    l->g.memory->frames[pt >> 12].flags = 0;
    expect_broken(l, "I8 ");
    l->g.memory->frames[pt >> 12].flags = FRAME_SHADOW;
    l->g.memory->frames[LAB_DATA >> 12].flags = FRAME_SHADOW;
    expect_broken(l, "I8 ");
    l->g.memory->frames[LAB_DATA >> 12].flags = FRAME_CLEAN;
    expect_broken(l, "I14 ");
    l->g.memory->frames[LAB_DATA >> 12].flags = 0;
    l->g.memory->frames[LAB_DATA >> 12].write_hint = 0;
    expect_broken(l, "I12 ");
    memory_revoke_all_writes(l->g.memory);
    lab_audit(l);
    page->users[0] = 0;
    expect_broken(l, "I22 ");
    page->users[0] = parent->users[0];
    page->present++;
    expect_broken(l, "I13 ");
    page->present--;
    l->shadow->blocks_used++;
    expect_broken(l, "I27 ");
    l->shadow->blocks_used--;
    parent->link[0].prev = 5;
    expect_broken(l, "I13 ");
    parent->link[0].prev = 0;
    lab_audit(l);
    lab_destroy(l);
}
END_TEST

struct text {
    char text[4096];
    size_t used;
};

static void add_line(void *ctx, const char *line)
{
    struct text *t = ctx;

    t->used += (size_t)snprintf(t->text + t->used, sizeof(t->text) - t->used, "%s\n", line);
}

START_TEST(the_dump_tells_pages_and_runs_of_leaves)
{
    struct lab *l = lab_create(_i);
    struct text t = {.used = 0};

    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < 3; i++) {
        lab_map(l, BITS(63, 47) | i << 12, 1, (LAB_DATA + (i << 12)) | P | W | NX);
        lab_goes(l, BITS(63, 47) | i << 12, ACCESS_READ);
    }
    shadow_dump(lab_state(l), add_line, &t);
    ck_assert_ptr_nonnull(strstr(t.text, "4-level"));
    ck_assert_ptr_nonnull(strstr(t.text, "level 4 at 0000000000000000"));
    ck_assert_ptr_nonnull(strstr(t.text, "level 1 at ffff800000000000"));
    ck_assert_ptr_nonnull(strstr(t.text, "ffff800000000000: 3 leaves to 100000 rw--"));
    lab_destroy(l);
}
END_TEST

RUN_LAB_TESTS("shadow_stores", a_directory_written_three_times_without_a_use_is_let_go,
              a_flood_is_counted_for_its_own_quadrant,
              a_table_goes_unsync_by_its_policy_and_comes_back_with_its_use,
              the_unsync_page_of_longest_standing_makes_room,
              stores_of_any_size_and_place_are_heard,
              a_table_that_maps_itself_may_be_changed_through_itself,
              the_dirty_log_hears_the_first_store_to_each_page_of_a_large_one,
              each_bit_but_those_of_the_path_forbids_a_refresh,
              the_root_role_tells_formats_apart_by_format_and_entry_size,
              every_invariant_has_a_statement_and_a_check_or_a_reason,
              the_audit_names_what_is_broken, the_dump_tells_pages_and_runs_of_leaves)
