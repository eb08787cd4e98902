/* SPDX-License-Identifier: MIT */
/* The soft TLB stays equal to the tables: directed cases. The random one is test_coherence.c. */
#include "tests/mmu/guest.h"

enum { R = ACCESS_READ, WR = ACCESS_WRITE };

/* A 4-level guest with pages 0..7 mapped to 0x10000... */
static struct guest *guest_with_pages(void)
{
    struct guest *g = guest_4level();

    for (u64 i = 0; i < 8; i++)
        put64(g, PT + 8 * i, (0x10000 + (i << 12)) | P | W | U);
    return g;
}

static u64 revocations(struct guest *g)
{
    const struct mmu_stats *stats = mmu_stats(g->mmu);

    return stats->revoked_pages + stats->revoked_contexts + stats->revoked_all;
}

START_TEST(a_store_over_a_used_entry_revokes_its_page_and_no_other)
{
    struct guest *g = guest_with_pages();
    u64 walks;

    goes_to(g, 0x1000, R);
    goes_to(g, 0x2000, R);
    put64(g, PT + 8, 0x20000 | P | W);
    ck_assert(!hits(g->mmu->bank, 0x1000, R));
    ck_assert(hits(g->mmu->bank, 0x2000, R));
    walks = mmu_stats(g->mmu)->walks;
    ck_assert_uint_eq(goes_to(g, 0x2000, R), 0x12000);
    ck_assert_uint_eq(mmu_stats(g->mmu)->walks, walks); /* the second level kept it, too */
    ck_assert_uint_eq(goes_to(g, 0x1000, R), 0x20000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_store_over_an_unused_entry_revokes_nothing)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0x1000, R);
    goes_to(g, 0x3000, R);
    put64(g, PT + 8 * 2, 0x20000 | P | W);
    put64(g, PT + 8 * 9, 0x20000 | P | W);
    ck_assert_uint_eq(revocations(g), 0);
    ck_assert_uint_eq(goes_to(g, 0x2000, R), 0x20000);
    ck_assert_uint_eq(goes_to(g, 0x9000, R), 0x20000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_store_of_the_same_value_revokes_nothing)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0x1000, R);
    put64(g, PT + 8, get64(g, PT + 8));
    ck_assert_uint_eq(revocations(g), 0);
    ck_assert(hits(g->mmu->bank, 0x1000, R));
    guest_destroy(g);
}
END_TEST

START_TEST(a_store_across_two_entries_revokes_both)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0x1000, R);
    goes_to(g, 0x2000, R);
    put64(g, PT + 8 + 4, 0x0002000100000001); /* high half of one, low half of the other */
    ck_assert(!hits(g->mmu->bank, 0x1000, R));
    ck_assert(!hits(g->mmu->bank, 0x2000, R));
    ck_assert_uint_eq(goes_to(g, 0x1000, R), BIT(32) | 0x11000);
    ck_assert_uint_eq(goes_to(g, 0x2000, R), 0x20000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_store_of_one_byte_revokes)
{
    struct guest *g = guest_with_pages();
    const u8 nx = 0x80;

    goes_to(g, 0x1000, ACCESS_FETCH);
    memory_write(g->memory, (hpa_t){PT + 8 + 7}, &nx, 1);
    ck_assert_uint_eq(fault_of(g, 0x1000, ACCESS_FETCH), PF_PRESENT | PF_FETCH);
    guest_destroy(g);
}
END_TEST

START_TEST(a_cleared_accessed_bit_is_set_again)
{
    static const u64 entries[] = {PML4, PDPT, PD, PT};
    struct guest *g = guest_with_pages();

    for (u32 i = 0; i < ARRAY_SIZE(entries); i++) {
        goes_to(g, 0, R);
        put64(g, entries[i], get64(g, entries[i]) & ~(u64)A);
        ck_assert(!hits(g->mmu->bank, 0, R));
        goes_to(g, 0, R);
        ck_assert((get64(g, entries[i]) & A) != 0);
    }
    guest_destroy(g);
}
END_TEST

START_TEST(a_cleared_dirty_bit_is_set_again)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0, WR);
    put64(g, PT, get64(g, PT) & ~(u64)D);
    ck_assert(!hits(g->mmu->bank, 0, WR));
    goes_to(g, 0, R);
    ck_assert((get64(g, PT) & D) == 0);
    goes_to(g, 0, WR);
    ck_assert((get64(g, PT) & D) != 0);
    guest_destroy(g);
}
END_TEST

START_TEST(a_change_of_an_upper_entry_is_seen)
{
    struct guest *g = guest_with_pages();

    put64(g, 0x5000, 0x30000 | P);
    goes_to(g, 0, R);
    put64(g, PD, 0x5000 | P);
    ck_assert(!hits(g->mmu->bank, 0, R));
    ck_assert_uint_eq(goes_to(g, 0, R), 0x30000);
    put64(g, PML4, 0);
    ck_assert_uint_eq(fault_of(g, 0, R), 0);
    guest_destroy(g);
}
END_TEST

START_TEST(unlinking_an_empty_table_revokes_no_context)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0x1000, R);
    put64(g, PT + 8, 0);
    put64(g, PD, 0);
    put64(g, PDPT, 0);
    ck_assert_uint_eq(mmu_stats(g->mmu)->revoked_contexts, 0);
    ck_assert_uint_eq(fault_of(g, 0x1000, R), 0);
    guest_destroy(g);
}
END_TEST

START_TEST(a_large_page_is_revoked_as_a_whole)
{
    struct guest *g = guest_4level();

    put64(g, PD + 8, 0x200000 | P | PS);
    goes_to(g, 0x200000, R);
    goes_to(g, 0x201000, R);
    put64(g, PD + 8, 0x400000 | P | PS);
    ck_assert_uint_eq(goes_to(g, 0x200000, R), 0x400000);
    ck_assert_uint_eq(goes_to(g, 0x201000, R), 0x401000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_burst_of_upper_changes_costs_one_revocation)
{
    struct guest *g = guest_with_pages();

    for (u64 i = 1; i < 200; i++) {
        put64(g, PD + 8 * i, 0x200000 | P | PS);
        goes_to(g, i << 21, R);
    }
    for (u64 i = 1; i < 200; i++)
        put64(g, PD + 8 * i, 0);
    ck_assert_uint_eq(mmu_stats(g->mmu)->revoked_contexts, 1);
    guest_destroy(g);
}
END_TEST

START_TEST(every_cpu_hears_of_a_store)
{
    struct guest *g = guest_with_pages();
    struct mmu *other = mmu_create(g->memory, PHYS_BITS);
    struct target target;

    mmu_set_context(other, role_of(PAGING_4LEVEL), (gpa_t){PML4}, NULL);
    goes_to(g, 0x1000, R);
    ck_assert_int_eq(mmu_refill(other, 0x1000, R, &target), REFILL_OK);
    put64(g, PT + 8, 0);
    ck_assert(!hits(g->mmu->bank, 0x1000, R));
    ck_assert(!hits(other->bank, 0x1000, R));
    ck_assert_int_eq(mmu_refill(other, 0x1000, R, &target), REFILL_PAGE_FAULT);
    mmu_destroy(other);
    guest_destroy(g);
}
END_TEST

START_TEST(a_context_comes_back_with_its_translations)
{
    struct guest *g = guest_with_pages();

    put64(g, 0x6000, PDPT | P | W | U);
    goes_to(g, 0x1000, R);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){0x6000}, NULL);
    ck_assert(!hits(g->mmu->bank, 0x1000, R));
    goes_to(g, 0x2000, R);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){PML4}, NULL);
    ck_assert(hits(g->mmu->bank, 0x1000, R));
    ck_assert(!hits(g->mmu->bank, 0x2000, R));
    ck_assert_uint_eq(mmu_stats(g->mmu)->context_hits, 1);
    guest_destroy(g);
}
END_TEST

START_TEST(a_context_that_is_away_hears_of_a_store)
{
    struct guest *g = guest_with_pages();

    put64(g, 0x6000, PDPT | P | W | U);
    goes_to(g, 0x1000, R);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){0x6000}, NULL);
    goes_to(g, 0x1000, R);
    put64(g, PT + 8, 0x20000 | P);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){PML4}, NULL);
    ck_assert(!hits(g->mmu->bank, 0x1000, R));
    ck_assert_uint_eq(goes_to(g, 0x1000, R), 0x20000);
    guest_destroy(g);
}
END_TEST

START_TEST(the_context_used_longest_ago_makes_room)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0x1000, R);
    for (u64 i = 0; i < 40; i++) {
        const u64 root = 0x40000 + (i << 12);

        put64(g, root, PDPT | P | W | U);
        mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){root}, NULL);
        ck_assert(!hits(g->mmu->bank, 0x1000, R));
        ck_assert_uint_eq(goes_to(g, 0x1000, R), 0x11000);
    }
    put64(g, PT + 8, 0);
    for (u64 i = 0; i < 40; i++) {
        mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){0x40000 + (i << 12)}, NULL);
        ck_assert_uint_eq(fault_of(g, 0x1000, R), 0);
    }
    guest_destroy(g);
}
END_TEST

START_TEST(a_table_at_two_linear_bases_revokes_both_views)
{
    struct guest *g = guest_with_pages();

    put64(g, PD + 8, PT | P | W);
    goes_to(g, 0x1000, R);
    goes_to(g, 0x201000, R);
    put64(g, PT + 8, 0x20000 | P);
    ck_assert_uint_eq(goes_to(g, 0x1000, R), 0x20000);
    ck_assert_uint_eq(goes_to(g, 0x201000, R), 0x20000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_page_that_becomes_a_table_loses_its_write_tag)
{
    struct guest *g = guest_with_pages();
    struct target target;

    put64(g, PT, 0x5000 | P | W); /* the new level-1 table, as data */
    goes_to(g, 0, WR);
    ck_assert(hits(g->mmu->bank, 0, WR));
    store_le(hit_host(g->mmu->bank, 8), 0x30000 | P, 8);
    put64(g, PD + 8, 0x5000 | P | W);
    ck_assert_uint_eq(goes_to(g, 0x201000, R), 0x30000);
    ck_assert(!hits(g->mmu->bank, 0, WR));
    ck_assert_int_eq(mmu_refill(g->mmu, 8, WR, &target), REFILL_OK);
    ck_assert(target.watched);
    ck_assert(!hits(g->mmu->bank, 0, WR));
    memory_store(g->memory, target.host, &(u64){0x31000 | P}, 8);
    ck_assert_uint_eq(goes_to(g, 0x201000, R), 0x31000);
    guest_destroy(g);
}
END_TEST

/* Write tags to one page from `pages` linear pages, then it becomes a table. */
static void many_writers(u64 pages)
{
    struct guest *g = guest_with_pages();

    for (u64 i = 0; i < pages; i++) {
        put64(g, PT + 8 * i, 0x5000 | P | W);
        goes_to(g, i << 12, WR);
    }
    put64(g, 0x5000, 0x30000 | P);
    put64(g, PD + 8, 0x5000 | P | W);
    ck_assert_uint_eq(goes_to(g, 0x200000, R), 0x30000);
    for (u64 i = 0; i < pages; i++) {
        ck_assert(!hits(g->mmu->bank, i << 12, WR));
        ck_assert(hits(g->mmu->bank, i << 12, R));
    }
    ck_assert_uint_eq(mmu_stats(g->mmu)->write_flushes, pages > 3);
    guest_destroy(g);
}

START_TEST(three_write_tags_are_revoked_singly)
{
    many_writers(3);
}
END_TEST

START_TEST(more_write_tags_are_revoked_with_all_others)
{
    many_writers(6);
}
END_TEST

START_TEST(a_flush_of_write_tags_reaches_banks_that_are_away)
{
    struct guest *g = guest_with_pages();

    mmu_set_privilege(g->mmu, true, false);
    for (u64 i = 0; i < 6; i++) {
        put64(g, PT + 8 * i, 0x5000 | P | W | U);
        goes_to(g, i << 12, WR);
    }
    mmu_set_privilege(g->mmu, false, false);
    put64(g, PD + 8, 0x5000 | P | W);
    put64(g, 0x5000, 0x30000 | P);
    goes_to(g, 0x200000, R);
    mmu_set_privilege(g->mmu, true, false);
    for (u64 i = 0; i < 6; i++)
        ck_assert(!hits(g->mmu->bank, i << 12, WR));
    guest_destroy(g);
}
END_TEST

START_TEST(a_store_to_a_watched_page_finds_its_place_and_never_hits)
{
    struct guest *g = guest_with_pages();
    const struct tlb_entry *e = &g->mmu->bank[tlb_index(0x1000)];
    const u64 frame = 0x11000 >> PAGE_SHIFT;

    goes_to(g, 0x1000, WR);
    ck_assert(hits(g->mmu->bank, 0x1000, WR) && !tlb_watched(e, 0x1000, 8));
    memory_mark_clean(g->memory, frame);
    ck_assert(!hits(g->mmu->bank, 0x1000, WR) && !tlb_watched(e, 0x1000, 8));
    goes_to(g, 0x1000, WR);
    ck_assert(!hits(g->mmu->bank, 0x1000, WR));
    ck_assert(tlb_watched(e, 0x1000, 8) && tlb_watched(e, 0x1ff8, 8));
    ck_assert(!tlb_watched(e, 0x1ff9, 8) && !tlb_watched(e, 0x401000, 8));
    ck_assert_uint_eq(memory_frame_of(g->memory, (const u8 *)(uintptr_t)(e->host + 0x1000)), frame);
    for (u64 index = 0; index < TLB_SIZE; index++) { /* of the many pages that are not there */
        const u64 at = TLB_WATCHED(TLB_INVALID(index));

        ck_assert(!tlb_watched(&g->mmu->bank[tlb_index(at)], at, 8));
    }
    put64(g, PT + 8, 0x11000 | P | U); /* read only now */
    ck_assert(!tlb_watched(e, 0x1000, 8));
    put64(g, PT + 8, 0x11000 | P | W | U);
    goes_to(g, 0x1000, WR);
    put64(g, 0x11000, 1); /* heard: the page is clean no more */
    goes_to(g, 0x1000, WR);
    ck_assert(hits(g->mmu->bank, 0x1000, WR));
    guest_destroy(g);
}
END_TEST

START_TEST(a_table_that_becomes_data_may_be_written_fast_again)
{
    static const u8 zeros[PAGE_SIZE];
    struct guest *g = guest_with_pages();
    struct target target;

    put64(g, PD + 8, 0x6000 | P | W);
    put64(g, 0x6000, PT | P | W); /* another view of the table, as data */
    goes_to(g, 0x1000, R);
    put64(g, PD, 0);
    ck_assert_int_eq(mmu_refill(g->mmu, 0x200000, WR, &target), REFILL_OK);
    ck_assert(target.watched);
    memory_store(g->memory, target.host, zeros, PAGE_SIZE);
    ck_assert_int_eq(mmu_refill(g->mmu, 0x200000, WR, &target), REFILL_OK);
    ck_assert(!target.watched);
    ck_assert(hits(g->mmu->bank, 0x200000, WR));
    guest_destroy(g);
}
END_TEST

START_TEST(an_accessed_bit_of_one_format_may_be_an_address_bit_of_another)
{
    struct guest *g = guest_create();
    const u64 pdptes[4] = {0x2000 | P};

    /* PAE: one 2 MiB page. 32-bit: the same table, whose entry 1 is that entry's upper half. */
    put64(g, 0x2000, (u64)(0x3000 | P) << 32 | 0x200000 | P | PS);
    mmu_set_context(g->mmu, role_of(PAGING_32BIT), (gpa_t){0x2000}, NULL);
    put32(g, 0x3000, 0x9000 | P);
    mmu_set_context(g->mmu, role_of(PAGING_PAE), (gpa_t){0}, pdptes);
    ck_assert_uint_eq(fault_of(g, 0, R), PF_PRESENT | PF_RESERVED);
    put64(g, 0x2000, (u64)(P) << 32 | 0x200000 | P | PS);
    ck_assert_uint_eq(goes_to(g, 0, R), BIT(32) | 0x200000);
    put32(g, 0, 0x9000 | P); /* the 32-bit view's level-1 table is page 0 */
    mmu_set_context(g->mmu, role_of(PAGING_32BIT), (gpa_t){0x2000}, NULL);
    ck_assert_uint_eq(goes_to(g, 1 << 22, R), 0x9000);
    mmu_set_context(g->mmu, role_of(PAGING_PAE), (gpa_t){0}, pdptes);
    ck_assert(!hits(g->mmu->bank, 0, R));
    ck_assert_uint_eq(goes_to(g, 0, R), BIT(37) | BIT(32) | 0x200000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_new_slot_is_seen_at_once)
{
    struct guest *g = guest_with_pages();
    struct target target;
    struct error error;

    goes_to(g, 0x1000, R);
    ck_assert(memory_add_mmio(g->memory, "over", (hpa_t){0x11000}, 0x1000, &device_ops, &g->device,
                              &error));
    ck_assert(!hits(g->mmu->bank, 0x1000, R));
    ck_assert_int_eq(mmu_refill(g->mmu, 0x1000, R, &target), REFILL_OK);
    ck_assert_int_eq(target.kind, SLOT_MMIO);
    guest_destroy(g);
}
END_TEST

START_TEST(dropping_everything_many_times_changes_nothing)
{
    struct guest *g = guest_with_pages();

    for (u32 i = 0; i < 600000; i++) { /* more than there are stamps */
        mmu_drop(g->mmu);
        if (i % 1000 == 0)
            ck_assert_uint_eq(goes_to(g, 0x1000, WR), 0x11000);
    }
    ck_assert_uint_eq(goes_to(g, 0x1000, WR), 0x11000);
    ck_assert(hits(g->mmu->bank, 0x1000, WR));
    guest_destroy(g);
}
END_TEST

START_TEST(invlpg_keeps_what_is_true)
{
    struct guest *g = guest_with_pages();

    goes_to(g, 0x1000, R);
    mmu_invalidate_page(g->mmu, 0x1000);
    mmu_invalidate_all(g->mmu);
    ck_assert(hits(g->mmu->bank, 0x1000, R));
    guest_destroy(g);
}
END_TEST

RUN_TESTS("tlb", a_store_over_a_used_entry_revokes_its_page_and_no_other,
          a_store_over_an_unused_entry_revokes_nothing, a_store_of_the_same_value_revokes_nothing,
          a_store_across_two_entries_revokes_both, a_store_of_one_byte_revokes,
          a_cleared_accessed_bit_is_set_again, a_cleared_dirty_bit_is_set_again,
          a_change_of_an_upper_entry_is_seen, unlinking_an_empty_table_revokes_no_context,
          a_large_page_is_revoked_as_a_whole, a_burst_of_upper_changes_costs_one_revocation,
          every_cpu_hears_of_a_store, a_context_comes_back_with_its_translations,
          a_context_that_is_away_hears_of_a_store, the_context_used_longest_ago_makes_room,
          a_table_at_two_linear_bases_revokes_both_views,
          a_page_that_becomes_a_table_loses_its_write_tag, three_write_tags_are_revoked_singly,
          more_write_tags_are_revoked_with_all_others,
          a_flush_of_write_tags_reaches_banks_that_are_away,
          a_store_to_a_watched_page_finds_its_place_and_never_hits,
          a_table_that_becomes_data_may_be_written_fast_again,
          an_accessed_bit_of_one_format_may_be_an_address_bit_of_another,
          a_new_slot_is_seen_at_once, dropping_everything_many_times_changes_nothing,
          invlpg_keeps_what_is_true)
