/* SPDX-License-Identifier: MIT */
/*
 * Rights through shadow pages: what each level grants, under which registers, and the accessed and
 * dirty bits. T numbers are those of the scenarios in docs/shadow-mmu.md.
 */
#include "tests/mmu/shadow_harness.h"

enum { RWU = P | W | U, LARGE = 0x200000 };

static u32 below(u64 *random, u32 n)
{
    *random = *random * 6364136223846793005 + 1442695040888963407;
    return (u32)(*random >> 33) % n;
}

/* A random entry for va at a random level, full rights elsewhere. */
static void random_entry(struct lab *l, u64 va, u32 levels, u64 *random)
{
    static const u64 flags[] = {W, U, A, D, PS, NX, BIT(8), BIT(51), BIT(13), BIT(59)};
    const u32 level = 1 + below(random, levels);
    const u64 at = lab_entry(l, va, level);
    const u64 was = lab_get(l, at);
    u64 entry = (was & ~PAGE_OFFSET_MASK) | RWU;

    for (u32 i = 0; i < 3; i++)
        entry ^= flags[below(random, ARRAY_SIZE(flags))];
    if (below(random, 12) == 0)
        entry &= ~(u64)P;
    lab_put(l, at, entry);
    for (u32 i = 0; i < 5; i++) {
        struct lab_cpu *c = lab_cpu(l);
        static const u32 accesses[] = {ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH,
                                       ACCESS_READ | ACCESS_IMPLICIT,
                                       ACCESS_WRITE | ACCESS_IMPLICIT};

        c->role.wp = below(random, 2);
        c->role.smep = below(random, 2);
        c->role.smap = below(random, 2);
        c->role.nx = below(random, 4) != 0;
        c->role.pke = levels > 2 && below(random, 2);
        c->role.pks = levels > 2 && below(random, 2);
        c->user = below(random, 2);
        c->ac = below(random, 2);
        c->pkru = below(random, 2) != 0 ? 0 : below(random, 16) << 2;
        c->pkrs = below(random, 2) != 0 ? 0 : below(random, 16) << 2;
        lab_switch(l);
        lab_access(l, va | 0x123, accesses[below(random, ARRAY_SIZE(accesses))]);
    }
    lab_put(l, at, was); /* else a table may come to be anywhere */
}

/* T05 */
START_TEST(every_entry_and_register_gives_what_a_walk_gives)
{
    static const u8 formats[] = {PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL, PAGING_5LEVEL};
    u64 random = (u64)_i + 1;

    for (u32 i = 0; i < ARRAY_SIZE(formats); i++) {
        struct lab *l = lab_create(_i);

        lab_start(l, formats[i]);
        lab_map(l, 0x7000, 1, LAB_DATA | RWU);
        for (u32 round = 0; round < 10; round++)
            random_entry(l, 0x7000, pt_formats[formats[i]].root_level, &random);
        lab_destroy(l);
    }
}
END_TEST

/* T06, BUG-28 */
START_TEST(a_neighbour_brought_by_prefetch_faults_with_its_own_code)
{
    struct lab *l = lab_create(_i);

    for (u32 nx = 0; nx < 2; nx++) {
        lab_start(l, PAGING_4LEVEL);
        lab_cpu(l)->role.nx = nx & 1;
        lab_switch(l);
        lab_map(l, 0x9000, 1, (LAB_DATA + 0x1000) | RWU | A | NX);
        lab_map(l, 0xa000, 1, (LAB_DATA + 0x2000) | P | A); /* this one is prefetched, too */
        lab_map(l, 0x8000, 1, LAB_DATA | RWU | A);
        ck_assert_uint_eq(lab_goes(l, 0x8000, ACCESS_READ), LAB_DATA);
        if (!lab_is(l, SYNC_LAZY))
            ck_assert_uint_gt(lab_stats(l)->prefetched, 0);
        ck_assert_uint_eq(lab_fault(l, 0x9000, ACCESS_FETCH),
                          PF_PRESENT | (nx != 0 ? PF_FETCH : PF_RESERVED));
        lab_set_user(l, true);
        ck_assert_uint_eq(lab_fault(l, 0xa000, ACCESS_READ), PF_PRESENT | PF_USER);
        lab_set_user(l, false);
    }
    lab_destroy(l);
}
END_TEST

/* T06: an entry that was not used yet is not brought, as its accessed bit would be missed. */
START_TEST(an_entry_without_accessed_bit_is_not_prefetched)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x9000, 1, (LAB_DATA + 0x1000) | RWU);
    lab_map(l, 0x8000, 1, LAB_DATA | RWU);
    lab_goes(l, 0x8000, ACCESS_READ);
    ck_assert_uint_eq(lab_stats(l)->prefetched, 0);
    ck_assert_uint_eq(lab_get(l, lab_entry(l, 0x9000, 1)) & A, 0);
    lab_goes(l, 0x9000, ACCESS_READ);
    ck_assert_uint_eq(lab_get(l, lab_entry(l, 0x9000, 1)) & (A | D), A);
    lab_destroy(l);
}
END_TEST

/* T07, BUG-12 */
START_TEST(without_wp_the_supervisor_writes_what_the_user_may_only_read)
{
    struct lab *l = lab_create(_i);
    u64 walks;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | P | U);
    for (u32 nx = 0; nx < 2; nx++) {
        lab_cpu(l)->role.wp = 0;
        lab_cpu(l)->role.smep = 1;
        lab_cpu(l)->role.nx = nx & 1;
        lab_switch(l);
        walks = mmu_stats(l->mmu[0])->walks;
        for (u32 round = 0; round < 8; round++) {
            lab_set_user(l, false);
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
            ck_assert_uint_ne(lab_get(l, lab_entry(l, 0x1000, 1)) & D, 0);
            lab_set_user(l, true);
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
            ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_WRITE), PF_PRESENT | PF_WRITE | PF_USER);
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_FETCH), LAB_DATA);
            lab_set_user(l, false);
            ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_FETCH), PF_PRESENT | PF_FETCH);
        }
        /* Two faults a round are walks; the rest is remembered. */
        ck_assert_uint_le(mmu_stats(l->mmu[0])->walks - walks, 8 * 2 + 2);
    }
    lab_destroy(l);
}
END_TEST

/* T12, BUG-6. first: which of the two is used first. */
static void two_paths(int cell, u64 first)
{
    struct lab *l = lab_create(cell);
    const u64 paths[] = {first << 30, (first ^ 1) << 30};
    u64 pd;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x5000, 1, LAB_DATA | RWU);
    pd = lab_get(l, lab_entry(l, 0, 3)) & BITS(51, 12);
    lab_map(l, BIT(30), 3, pd | P | U); /* the same directory, not writable */
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < 2; i++) {
            const u64 va = paths[i] | 0x5000;

            ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LAB_DATA);
            if (paths[i] == 0)
                ck_assert_uint_eq(lab_goes(l, va, ACCESS_WRITE), LAB_DATA);
            else
                ck_assert_uint_eq(lab_fault(l, va, ACCESS_WRITE), PF_PRESENT | PF_WRITE);
        }
    }
    ck_assert_uint_eq(lab_pages(l, pd, 2, false), 2);
    ck_assert_uint_ne(lab_page(l, pd, 2, 0)->role.access, lab_page(l, pd, 2, 1)->role.access);
    lab_map(l, BIT(30), 3, pd | RWU);
    ck_assert_uint_eq(lab_goes(l, BIT(30) | 0x5000, ACCESS_WRITE), LAB_DATA);
    lab_destroy(l);
}

START_TEST(a_directory_below_two_pdptes_has_a_page_for_each_grant)
{
    two_paths(_i, 0);
    two_paths(_i, 1);
}
END_TEST

/* T13, BUG-11 */
START_TEST(two_large_entries_of_one_frame_keep_their_own_rights)
{
    struct lab *l = lab_create(_i);
    u64 made = 0;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x400000, 2, LARGE | RWU | PS);
    lab_map(l, 0x600000, 2, LARGE | P | U | PS);
    for (u32 round = 0; round < 100; round++) {
        ck_assert_uint_eq(lab_goes(l, 0x601000, ACCESS_READ), LARGE + 0x1000);
        ck_assert_uint_eq(lab_goes(l, 0x401000, ACCESS_WRITE), LARGE + 0x1000);
        ck_assert_uint_eq(lab_fault(l, 0x601000, ACCESS_WRITE), PF_PRESENT | PF_WRITE);
        if (round == 0)
            made = lab_stats(l)->pages_made;
    }
    ck_assert_uint_eq(lab_stats(l)->pages_made, made);
    ck_assert_uint_eq(lab_pages(l, LARGE, 1, true), l->options.small_pages ? 2 : 0);
    lab_destroy(l);
}
END_TEST

/* T14, BUG-28 */
START_TEST(a_write_dirties_the_entry_it_came_through_and_no_other)
{
    struct lab *l = lab_create(_i);
    u64 first, second;

    lab_start(l, PAGING_4LEVEL);
    lab_cpu(l)->role.wp = 0;
    lab_switch(l);
    lab_map(l, 0x400000, 2, LARGE | P | U | PS);
    lab_map(l, 0x600000, 2, LARGE | P | U | PS);
    first = lab_entry(l, 0x400000, 2);
    second = lab_entry(l, 0x600000, 2);
    for (u32 i = 0; i < 3; i++) {
        lab_goes(l, 0x400000 + i * 0x1000u, ACCESS_READ);
        lab_goes(l, 0x600000 + i * 0x1000u, ACCESS_WRITE);
    }
    ck_assert_uint_eq(lab_get(l, first) & D, 0);
    ck_assert_uint_eq(lab_get(l, second) & D, D);
    lab_goes(l, 0x400000, ACCESS_WRITE);
    ck_assert_uint_eq(lab_get(l, first) & D, D);
    lab_destroy(l);
}
END_TEST

/* T13 for keys: the same frame, in large pages that differ in their key alone. */
START_TEST(two_large_entries_of_one_frame_keep_their_own_keys)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_cpu(l)->role.pke = 1;
    lab_map(l, 0x400000, 2, LARGE | RWU | PS | A | D | BIT(59));
    lab_map(l, 0x600000, 2, LARGE | RWU | PS | A | D | BIT(60));
    for (u32 round = 0; round < 6; round++) {
        const u32 denied = 1 + (round & 1);
        const u64 open = denied == 1 ? 0x600000 : 0x400000;
        const u64 closed = denied == 1 ? 0x400000 : 0x600000;

        lab_cpu(l)->pkru = (round & 2) != 0 ? 1u << 2 * denied : 2u << 2 * denied;
        lab_set_user(l, true);
        ck_assert_uint_eq(lab_goes(l, open, ACCESS_WRITE), LARGE);
        ck_assert_uint_eq(lab_fault(l, closed, ACCESS_WRITE),
                          PF_PRESENT | PF_WRITE | PF_USER | PF_KEY);
        lab_access(l, closed, ACCESS_READ);
    }
    ck_assert_uint_eq(lab_pages(l, LARGE, 1, true), l->options.small_pages ? 2 : 0);
    lab_destroy(l);
}
END_TEST

/* The guest may clear its accessed and dirty bits, and they are set again. */
START_TEST(cleared_accessed_and_dirty_bits_come_back)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_map(l, 0x200000, 2, LARGE | RWU | PS);
    for (u32 round = 0; round < 4; round++) {
        for (u32 level = 1; level <= 4; level++) {
            const u64 at = lab_entry(l, level == 2 ? 0x200000 : 0x1000, level);

            lab_put(l, at, lab_get(l, at) & ~(u64)(A | D));
            lab_access(l, 0x1000, ACCESS_READ); /* compares tables with the oracle's */
            lab_access(l, 0x201000, ACCESS_READ);
            lab_access(l, 0x1000, ACCESS_WRITE);
            lab_access(l, 0x201000, ACCESS_WRITE);
        }
    }
    lab_destroy(l);
}
END_TEST

/* Rights taken and given back at each level of the path. */
START_TEST(rights_taken_at_any_level_are_gone_at_once)
{
    struct lab *l = lab_create(_i);
    static const u64 taken[] = {W, U, P};

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_set_user(l, true);
    for (u32 level = 1; level <= 4; level++) {
        const u64 at = lab_entry(l, 0x1000, level);

        for (u32 i = 0; i < ARRAY_SIZE(taken); i++) {
            ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
            lab_put(l, at, lab_get(l, at) & ~taken[i]);
            lab_fault(l, 0x1000, ACCESS_WRITE);
            lab_put(l, at, lab_get(l, at) | taken[i]);
        }
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_FETCH), LAB_DATA);
        lab_put(l, at, lab_get(l, at) | NX);
        lab_fault(l, 0x1000, ACCESS_FETCH);
        lab_put(l, at, lab_get(l, at) & ~NX);
    }
    lab_destroy(l);
}
END_TEST

/* A page that becomes the user's is one that SMEP and SMAP keep the supervisor from. */
START_TEST(a_page_given_to_the_user_is_taken_from_the_supervisor)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_cpu(l)->role.smep = 1;
    lab_cpu(l)->role.smap = 1;
    lab_switch(l);
    lab_map(l, 0x1000, 1, LAB_DATA | P | W | A | D);
    lab_map(l, 0x2000, 1, (LAB_DATA + 0x1000) | P | W | A | D);
    for (u32 i = 0; i < 5; i++) { /* often enough for the table to go unsync */
        lab_goes(l, 0x1000, ACCESS_FETCH);
        lab_goes(l, 0x1000, ACCESS_WRITE);
        for (u32 k = 0; k <= i; k++)
            lab_map(l, 0x3000, 1, (u64)k << 12 | P);
        lab_map(l, 0x1000, 1, LAB_DATA | RWU | A | D);
        ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_READ), PF_PRESENT);
        ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_FETCH), PF_PRESENT | PF_FETCH);
        lab_map(l, 0x1000, 1, LAB_DATA | P | W | A | D);
    }
    lab_destroy(l);
}
END_TEST

RUN_LAB_TESTS("shadow_rights", every_entry_and_register_gives_what_a_walk_gives,
              a_neighbour_brought_by_prefetch_faults_with_its_own_code,
              an_entry_without_accessed_bit_is_not_prefetched,
              without_wp_the_supervisor_writes_what_the_user_may_only_read,
              a_directory_below_two_pdptes_has_a_page_for_each_grant,
              two_large_entries_of_one_frame_keep_their_own_rights,
              two_large_entries_of_one_frame_keep_their_own_keys,
              a_write_dirties_the_entry_it_came_through_and_no_other,
              cleared_accessed_and_dirty_bits_come_back, rights_taken_at_any_level_are_gone_at_once,
              a_page_given_to_the_user_is_taken_from_the_supervisor)
