/* SPDX-License-Identifier: MIT */
/*
 * Second stages: whose shadow page is whose, and which is refreshed by whom. T numbers and rows B
 * and C are those of the scenarios in docs/shadow-mmu.md. How contexts follow each other is in
 * test_shadow_nested.c.
 */
#include "tests/mmu/shadow_harness.h"

enum { RWU = P | W | U, PAGE = LAB_SHIFT + LAB_DATA /* nested-physical */ };

/* How many pages of second stages there are, and which. */
struct census {
    u32 count;
    u64 serials;
};

static struct census census(const struct lab *l)
{
    struct census c = {0};

    for (u32 i = l->shadow->oldest; i != 0; i = page_at(l->shadow, i)->newer) {
        const struct shadow_page *page = page_at(l->shadow, i);

        c.count += page->role.stage2;
        c.serials += page->role.stage2 ? page->serial * page->serial : 0;
    }
    return c;
}

/* The page at a level-1 table that has these bits, of those in the mask. */
static struct shadow_page *page_like(const struct lab *l, u64 table, union shadow_role mask,
                                     union shadow_role bits)
{
    for (u32 n = 0; n < lab_pages(l, table, 1, false); n++) {
        struct shadow_page *page = lab_page(l, table, 1, n);

        if ((page->role.word & mask.word) == bits.word)
            return page;
    }
    return NULL;
}

static void store_until_unsync(struct lab *l, u64 table)
{
    for (u64 i = 0; i <= LAB_UNSYNC_AFTER; i++)
        lab_put8(l, table + 0xff8, (i + 1) << 12);
}

/* T20, row B2, BUG-8: what an EPT entry looks like does not depend on the nested guest's CR4.PAE.
 */
START_TEST(the_ept_of_a_guest_without_pae_is_refreshed_and_not_rebuilt)
{
    enum { ROUNDS = 100, PAGES = 4 };
    struct lab *l = lab_create(_i);
    struct shadow_stats before;
    struct census pages;
    const bool lazy = lab_is(l, SYNC_LAZY), strict = lab_is(l, SYNC_STRICT);

    lab_start_ept(l, 4, EPT_AD);
    lab_start(l, PAGING_32BIT);
    for (u64 i = 0; i < PAGES; i++) {
        lab_map(l, i << 12, 1, (PAGE + (i << 12)) | RWU);
        ck_assert_uint_eq(lab_goes(l, i << 12, ACCESS_WRITE), LAB_DATA + (i << 12));
    }
    before = *lab_stats(l);
    pages = census(l);
    ck_assert_uint_eq(pages.count, 4);
    for (u64 round = 1; round <= ROUNDS; round++) {
        u64 entries[PAGES];

        for (u64 i = 0; i < PAGES; i++)
            entries[i] = (LAB_DATA + ((round + i) << 12)) | RWX;
        for (u64 i = 0; i < PAGES; i++) /* store by store, and one audit */
            memory_write(l->g.memory, (hpa_t){lab_second_entry(l, PAGE, 1) + i * 8}, &entries[i],
                         8);
        lab_edited(l);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA + (round << 12)); /* INVEPT */
        for (u64 i = 1; i < PAGES; i++)
            ck_assert_ptr_eq(lab_ask(l, i << 12, ACCESS_WRITE).host,
                             l->g.memory->bytes + LAB_DATA + ((round + i) << 12));
    }
    /* Strict: three entries are dropped, the fourth store is not seen, and the next use refreshes.
     * Lazy: nothing is seen, and INVEPT does not know whose decoder to take. */
    ck_assert_uint_eq(lab_stats(l)->syncs - before.syncs, strict ? ROUNDS : 0);
    ck_assert_uint_eq(lab_stats(l)->synced_slots - before.synced_slots, strict ? ROUNDS : 0);
    ck_assert_uint_eq(lab_stats(l)->unsyncs - before.unsyncs, strict || lazy ? ROUNDS : 0);
    ck_assert_uint_eq(lab_stats(l)->slots_dropped - before.slots_dropped, lazy     ? 0
                                                                          : strict ? 3 * ROUNDS
                                                                                   : 4 * ROUNDS);
    ck_assert_uint_eq(lab_stats(l)->pages_zapped - before.pages_zapped, lazy ? ROUNDS : 0);
    ck_assert_uint_eq(lab_stats(l)->domains_renewed - before.domains_renewed,
                      l->options.combined && (strict || lazy) ? ROUNDS : 0);
    ck_assert_uint_eq(lab_stats(l)->leaves_dropped - before.leaves_dropped,
                      l->options.combined && !lazy ? 4 * ROUNDS : 0);
    ck_assert_uint_eq(lab_stats(l)->sync_role_mismatch, 0);
    ck_assert_uint_eq(census(l).count, pages.count);
    if (!lazy)
        ck_assert_uint_eq(census(l).serials, pages.serials);
    lab_destroy(l);
}
END_TEST

/* T21, row B6: the guest's mode is no business of its EPT. */
START_TEST(a_guest_that_changes_its_mode_keeps_every_page_of_its_ept)
{
    static const u8 modes[] = {PAGING_NONE, PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL};
    static const u8 order[] = {0, 1, 2, 3, 2, 1};
    struct lab *l = lab_create(_i);
    struct lab_cpu saved[ARRAY_SIZE(modes)];
    struct census pages = {0};
    u64 made = 0;

    lab_start_ept(l, 4, 0);
    for (u32 k = 0; k < ARRAY_SIZE(modes); k++) {
        if (modes[k] == PAGING_NONE) {
            lab_start_unpaged(l);
        } else {
            lab_start(l, modes[k]);
            lab_map(l, PAGE, 1, PAGE | RWU);
        }
        saved[k] = *lab_cpu(l);
    }
    for (u32 round = 0; round < 5; round++) {
        for (u32 i = 0; i < ARRAY_SIZE(order); i++) {
            lab_load(l, &saved[order[i]]);
            tlb_revoke_contexts(lab_state(l), 0xffff); /* only the soft TLB forgets */
            ck_assert_uint_eq(lab_goes(l, PAGE, ACCESS_READ), LAB_DATA);
            if (pages.count == 0)
                pages = census(l);
            ck_assert_uint_eq(pages.count, 4);
            ck_assert_uint_eq(census(l).count, pages.count);
            ck_assert_uint_eq(census(l).serials, pages.serials);
            ck_assert_uint_eq(
                page_at(l->shadow, lab_state(l)->context[lab_state(l)->current].second.root[0].page)
                    ->frame,
                lab_cpu(l)->second.root.v >> 12);
        }
        if (round == 0)
            made = lab_stats(l)->pages_made;
        ck_assert_uint_eq(lab_stats(l)->pages_made, made);
    }
    ck_assert_uint_eq(lab_stats(l)->pages_zapped, 0);
    lab_destroy(l);
}
END_TEST

/* ---- T22 to T24: the role table ---- */

/* The root role of a second stage, bit by bit. */
struct second_row {
    enum paging_format host; /* NPT */
    u32 ept_levels, settings; /* EPT_AD etc., NPT_GMET */
    union shadow_role root;
};

#define ALL_ACCESS .access = 7, .access2 = 15
#define SECOND ALL_ACCESS, .guest_mode = 1, .stage2 = 1

/* clang-format off */
static const struct second_row second_rows[] = {
    /* B1 to B5: EPT, whatever L1 and L2 are */
    {PAGING_NONE, 4, 0, {.level = 4, .fmt = PAGING_EPT, .gbpages = 1, .ad_disabled = 1, SECOND}},
    {PAGING_NONE, 4, EPT_AD, {.level = 4, .fmt = PAGING_EPT, .gbpages = 1, SECOND}},
    {PAGING_NONE, 4, EPT_AD | EPT_EXECONLY | EPT_MBEC,
     {.level = 4, .fmt = PAGING_EPT, .gbpages = 1, .execonly = 1, .mbec = 1, SECOND}},
    {PAGING_NONE, 5, EPT_AD, {.level = 5, .fmt = PAGING_EPT5, .gbpages = 1, SECOND}},
    /* C1 to C3: a host without PAE */
    {PAGING_32BIT, 0, 0, {.level = 2, .fmt = PAGING_32BIT, .has_4_byte_gpte = 1, .pse = 1, SECOND}},
    /* C4, C5: a PAE host, whose PDPTEs are in memory */
    {PAGING_PAE, 0, 0, {.level = 3, .fmt = PAGING_PAE, .nx = 1, SECOND}},
    /* C6, C7 */
    {PAGING_4LEVEL, 0, 0, {.level = 4, .fmt = PAGING_4LEVEL, .nx = 1, .gbpages = 1, SECOND}},
    {PAGING_4LEVEL, 0, NPT_GMET,
     {.level = 4, .fmt = PAGING_4LEVEL, .nx = 1, .gbpages = 1, .gmet = 1, SECOND}},
    /* C8 */
    {PAGING_5LEVEL, 0, 0, {.level = 5, .fmt = PAGING_5LEVEL, .nx = 1, .gbpages = 1, SECOND}},
};

/* First stages, by format: rows A1 to A4, and what is combined with a second stage. */
static const union shadow_role first_rows[] = {
    [PAGING_32BIT] = {.level = 2, .fmt = PAGING_32BIT, .has_4_byte_gpte = 1, .pse = 1, .gbpages = 1,
                      ALL_ACCESS},
    [PAGING_PAE] = {.level = 2, .fmt = PAGING_PAE, .nx = 1, .pse = 1, .gbpages = 1, ALL_ACCESS},
    [PAGING_4LEVEL] = {.level = 4, .fmt = PAGING_4LEVEL, .nx = 1, .pse = 1, .gbpages = 1,
                       ALL_ACCESS},
    [PAGING_5LEVEL] = {.level = 5, .fmt = PAGING_5LEVEL, .nx = 1, .pse = 1, .gbpages = 1,
                       ALL_ACCESS},
};
/* clang-format on */

static void start_row(struct lab *l, const struct second_row *row)
{
    if (row->ept_levels != 0)
        lab_start_ept(l, row->ept_levels, row->settings);
    else
        lab_start_npt(l, row->host, row->settings);
}

/* All pages of the lab: level 1 to the root's, each with the root's role in all but its place. */
static void check_roles(const struct lab *l, const struct second_row *row, u8 guest, u8 host)
{
    u32 seconds = 0, firsts = 0;

    for (u32 i = l->shadow->oldest; i != 0; i = page_at(l->shadow, i)->newer) {
        const union shadow_role role = page_at(l->shadow, i)->role;
        union shadow_role expected = role.stage2     ? row->root
                                     : role.combined ? first_rows[guest]
                                                     : first_rows[host];

        seconds += role.stage2;
        firsts += role.combined;
        if (role.combined) {
            expected.combined = expected.guest_mode = 1;
            expected.ndom = 1; /* the first there is */
        }
        if (!role.stage2)
            expected.cr0_wp = l->options.kvm_parity;
        ck_assert_uint_le(role.level, expected.level);
        if (role.mbec && role.level < expected.level)
            expected.access2 = 7; /* bit 10 is clear in all entries here */
        expected.level = role.level;
        ck_assert_uint_eq(role.word, expected.word);
    }
    ck_assert_uint_eq(seconds, row->root.level);
    ck_assert_uint_eq(firsts, l->options.combined ? first_rows[guest].level : 0u);
}

/* T24, rows B1 to B5 and C1 to C8. Under EPT L1 may be anything, too. */
START_TEST(pages_of_both_stages_have_the_roles_of_the_table)
{
    static const u8 hosts[] = {PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL, PAGING_5LEVEL};
    static const u8 guests[] = {PAGING_NONE, PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL,
                                PAGING_5LEVEL};

    if (lab_options(_i).small_pages)
        return; /* there are no others here */
    for (u32 r = 0; r < ARRAY_SIZE(second_rows); r++) {
        for (u32 h = 0; h < ARRAY_SIZE(hosts); h++) {
            for (u32 k = 0; k < ARRAY_SIZE(guests); k++) {
                const struct second_row *row = &second_rows[r];
                struct lab *l;

                if (row->ept_levels == 0 ? row->host != hosts[h] : r > 0 && h > 0)
                    continue;
                l = lab_create(_i);
                lab_start(l, hosts[h]); /* L1 itself */
                lab_map(l, 0x1000, 1, LAB_DATA | RWU);
                ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
                start_row(l, row);
                if (guests[k] == PAGING_NONE) {
                    lab_start_unpaged(l);
                } else {
                    lab_start(l, guests[k]);
                    lab_map(l, PAGE, 1, PAGE | RWU);
                }
                ck_assert_uint_eq(lab_goes(l, PAGE, ACCESS_WRITE), LAB_DATA);
                check_roles(l, row, guests[k], hosts[h]);
                lab_destroy(l);
            }
        }
    }
}
END_TEST

/* T22, T23. Two entry sizes at one instant, each refreshed by its own. far: in another quadrant of
 * the host's tables. */
static void sizes_differ(int cell, enum paging_format host, enum paging_format guest)
{
    enum { FAR = 0x80200000 };
    struct lab *l = lab_create(cell);
    const struct shadow_page *second;
    u64 first_table, second_table;

    lab_start_npt(l, host, 0);
    lab_start(l, guest);
    lab_second_map(l, FAR, 1, (LAB_DATA + 0x80000) | RWX);
    lab_map(l, 0, 1, FAR | RWU);
    lab_map(l, 0x1000, 1, PAGE | RWU);
    first_table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    second_table = lab_second_entry(l, FAR, 1) & ~PAGE_OFFSET_MASK;
    for (u64 round = 0; round < 8; round++) {
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA + 0x80000 + (round << 12));
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA + (round << 12));
        second = lab_page(l, second_table, 1, 0);
        ck_assert_uint_eq(second->role.has_4_byte_gpte, host == PAGING_32BIT);
        ck_assert_uint_eq(second->role.quadrant, host == PAGING_32BIT); /* of bit 21 */
        ck_assert_int_eq(lab_page(l, first_table, 1, 0) != NULL, l->options.combined);
        if (l->options.combined)
            ck_assert_uint_eq(lab_page(l, first_table, 1, 0)->role.has_4_byte_gpte,
                              guest == PAGING_32BIT);
        store_until_unsync(l, second_table);
        lab_second_map(l, FAR, 1, (LAB_DATA + 0x80000 + ((round + 1) << 12)) | RWX);
        store_until_unsync(l, first_table);
        lab_map(l, 0x1000, 1, (PAGE + ((round + 1) << 12)) | RWU);
        ck_assert_int_eq(second->unsync != 0, !lab_is(l, SYNC_DROP));
    }
    ck_assert_uint_eq(lab_stats(l)->sync_role_mismatch, 0);
    if (!lab_is(l, SYNC_LAZY)) /* no zap without need: out of reach, then stored to */
        ck_assert_uint_eq(lab_stats(l)->pages_zapped,
                          l->options.combined ? lab_stats(l)->domains_renewed : 0);
    lab_destroy(l);
}

START_TEST(a_host_without_pae_nests_guests_with_8_byte_entries)
{
    sizes_differ(_i, PAGING_32BIT, PAGING_PAE);
    sizes_differ(_i, PAGING_32BIT, PAGING_4LEVEL);
}
END_TEST

START_TEST(hosts_with_8_byte_entries_nest_a_guest_without_pae)
{
    sizes_differ(_i, PAGING_PAE, PAGING_32BIT);
    sizes_differ(_i, PAGING_4LEVEL, PAGING_32BIT);
    sizes_differ(_i, PAGING_5LEVEL, PAGING_32BIT);
}
END_TEST

/* ---- one table, two families of pages ---- */

/* Two views of one level-1 table, where each has the first entry at some address. */
struct families {
    u64 table;
    u64 flags; /* of its first entry, the address apart */
    struct lab_cpu view[2];
    u64 va[2];
    union shadow_role mask, bits[2]; /* by which the pages are told */
    bool second; /* of second stages */
};

static struct shadow_page *page_of(const struct lab *l, const struct families *f, u32 view)
{
    return page_like(l, f->table, f->mask, f->bits[view]);
}

/* Edit the table and use it in one of the views: the other's page stays as it is. */
static void use_one_view(struct lab *l, const struct families *f, u32 using, u64 round)
{
    const bool lazy_second = lab_is(l, SYNC_LAZY) && f->second; /* INVEPT, which zaps */
    const struct shadow_page *other;
    u64 before;

    for (u32 i = 0; i < 2; i++) {
        lab_load(l, &f->view[i]);
        ck_assert_uint_eq(lab_goes(l, f->va[i], ACCESS_WRITE), LAB_DATA + (round << 12));
    }
    ck_assert_uint_eq(lab_pages(l, f->table, 1, false), 2);
    store_until_unsync(l, f->table);
    lab_put8(l, f->table, (LAB_DATA + ((round + 1) << 12)) | f->flags);
    other = page_of(l, f, 1 - using);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_ne(page_of(l, f, using), other);
    ck_assert_int_eq(page_of(l, f, using)->unsync != 0, !lab_is(l, SYNC_DROP));
    ck_assert_int_eq(other->unsync != 0, !lab_is(l, SYNC_DROP));
    before = other->spt[slot_of(f->va[1 - using], 1)];
    lab_load(l, &f->view[using]);
    ck_assert_uint_eq(lab_goes(l, f->va[using], ACCESS_WRITE), LAB_DATA + ((round + 1) << 12));
    if (lazy_second) {
        ck_assert_ptr_null(page_of(l, f, 1 - using));
    } else {
        ck_assert_ptr_eq(page_of(l, f, 1 - using), other);
        ck_assert_uint_eq(other->spt[slot_of(f->va[1 - using], 1)], before);
        ck_assert_int_eq(other->unsync != 0, !lab_is(l, SYNC_DROP));
    }
    ck_assert_uint_eq(lab_stats(l)->sync_role_mismatch, 0);
}

/* A page fed to the sync of another view is not decoded. */
static void feed_wrong_page(struct lab *l, const struct families *f, u64 round)
{
    struct shadow_page *page;

    lab_load(l, &f->view[0]);
    ck_assert_uint_eq(lab_goes(l, f->va[0], ACCESS_WRITE), LAB_DATA + (round << 12));
    store_until_unsync(l, f->table);
    page = page_of(l, f, 0);
    lab_load(l, &f->view[1]);
    ck_assert_int_eq(page->unsync != 0, !lab_is(l, SYNC_DROP));
    if (lab_is(l, SYNC_DROP))
        ck_assert(!sync_allowed(lab_state(l), page));
    else
        ck_assert(!sync_page(lab_state(l), page_index(l->shadow, page), false));
    ck_assert_ptr_eq(page_of(l, f, 0), lab_is(l, SYNC_DROP) ? page : NULL);
    ck_assert_uint_eq(lab_stats(l)->sync_role_mismatch, 1);
    l->shadow->stats.sync_role_mismatch = 0; /* the audit would tell of it */
    lab_load(l, &f->view[0]);
    ck_assert_uint_eq(lab_goes(l, f->va[0], ACCESS_WRITE), LAB_DATA + (round << 12));
}

static void check_families(struct lab *l, const struct families *f)
{
    for (u64 round = 0; round < 4; round++)
        use_one_view(l, f, round & 1, round);
    feed_wrong_page(l, f, 4);
    lab_destroy(l);
}

/* T25, row C10: the nCR3 page, too, is the same. Entry 0 of the table of 8-byte entries is entry 0
 * of the one of 4-byte entries. */
START_TEST(a_table_of_hosts_of_two_entry_sizes_is_refreshed_in_each_by_its_own)
{
    struct lab *l = lab_create(_i);
    struct families f = {.flags = RWX | A | D, .second = true, .mask = {.fmt = 15}};
    const u64 root = lab_table(l), directory = lab_table(l);
    union mmu_role narrow = role_of(PAGING_32BIT), wide = role_of(PAGING_PAE);

    narrow.pse = wide.nx = 0; /* so that nothing but the format differs */

    f.table = lab_table(l);
    lab_put8(l, root, f.table | RWX | A);
    lab_put8(l, root + 0x20, directory | P);
    lab_put8(l, directory, f.table | RWX | A);
    lab_put8(l, f.table, LAB_DATA | f.flags);
    lab_cpu(l)->second = second_stage_npt(narrow, root, false);
    lab_start_unpaged(l);
    f.view[0] = *lab_cpu(l);
    f.bits[0] = (union shadow_role){.fmt = PAGING_32BIT};
    lab_cpu(l)->second = second_stage_npt(wide, root + 0x20, false);
    lab_start_unpaged(l);
    f.view[1] = *lab_cpu(l);
    f.bits[1] = (union shadow_role){.fmt = PAGING_PAE};
    check_families(l, &f);
}
END_TEST

/* Row B7: two EPTPs with one table, of which one has accessed and dirty flags. */
START_TEST(an_ept_with_and_without_flags_is_refreshed_in_each_by_its_own)
{
    struct lab *l = lab_create(_i);
    struct families f = {.flags = RWX | EPT_A | EPT_D, .second = true, .mask = {.ad_disabled = 1}};
    u64 root;

    lab_start_ept(l, 4, EPT_AD);
    root = lab_cpu(l)->second.root.v;
    for (u32 level = 2; level <= 4; level++)
        lab_second_map(l, 0, level,
                       (lab_second_entry(l, 0, level - 1) & ~PAGE_OFFSET_MASK) | RWX | EPT_A);
    f.table = lab_second_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    lab_put8(l, f.table, LAB_DATA | f.flags);
    lab_start_unpaged(l);
    f.view[0] = *lab_cpu(l);
    lab_cpu(l)->second = lab_ept(root, 4, 0);
    lab_start_unpaged(l);
    f.view[1] = *lab_cpu(l);
    f.bits[1] = (union shadow_role){.ad_disabled = 1};
    check_families(l, &f);
}
END_TEST

/* Row D6: a nested guest without a second stage of its own, and a table that L1 uses as well. */
START_TEST(a_table_shared_with_a_nested_guest_is_refreshed_in_each_by_its_own)
{
    struct lab *l = lab_create(_i);
    struct families f = {.flags = RWU | A | D, .mask = {.guest_mode = 1}};

    lab_start(l, PAGING_4LEVEL);
    f.table = lab_entry(l, 0, 1) & ~PAGE_OFFSET_MASK;
    for (u32 level = 2; level <= 4; level++)
        lab_map(l, 0, level, lab_get(l, lab_entry(l, 0, level)) | A);
    lab_put8(l, f.table, LAB_DATA | f.flags);
    f.view[0] = *lab_cpu(l);
    lab_cpu(l)->role.guest_mode = 1;
    lab_switch(l);
    f.view[1] = *lab_cpu(l);
    f.bits[1] = (union shadow_role){.guest_mode = 1};
    check_families(l, &f);
}
END_TEST

/* ---- T26, BUG-7: an unsync table that becomes a directory elsewhere ---- */

enum user { NESTED_WITHOUT_STAGE, SECOND_STAGE, COMBINED, USERS };

/* L1 uses as a directory what a nested guest, or its second stage, has as a table of level 1. */
static void becomes_directory(int cell, enum user user)
{
    struct lab *l = lab_create(cell);
    u64 table, leaf_table, syncs;
    u64 shift = 0;

    if (user != NESTED_WITHOUT_STAGE) {
        lab_start_ept(l, 4, EPT_AD);
        shift = LAB_SHIFT;
    }
    lab_start(l, PAGING_4LEVEL);
    lab_cpu(l)->role.guest_mode = 1;
    lab_switch(l);
    lab_map(l, 0, 1, (LAB_DATA + shift) | RWU);
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
    table = (user == SECOND_STAGE ? lab_second_entry(l, PAGE, 1) : lab_entry(l, 0, 1)) &
            ~PAGE_OFFSET_MASK;
    leaf_table = lab_table(l);
    lab_put8(l, table + 8, leaf_table | RWU);
    lab_put8(l, leaf_table, (LAB_DATA + 0x1000) | RWU);
    store_until_unsync(l, table);
    ck_assert_uint_eq(lab_pages(l, table, 1, false),
                      user == COMBINED && !l->options.combined ? 0 : 1);
    lab_cpu(l)->second.role.word = 0; /* L1 */
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0, 3, table | RWU);
    syncs = lab_stats(l)->syncs;
    l->careless = true;
    ck_assert_uint_eq(lab_goes(l, BIT(21), ACCESS_READ), LAB_DATA + 0x1000);
    ck_assert_uint_eq(lab_stats(l)->syncs, syncs);
    ck_assert_uint_eq(lab_pages(l, table, 2, false), 1);
    ck_assert_uint_eq(lab_pages(l, table, 1, false),
                      lab_is(l, SYNC_DROP) && (user != COMBINED || l->options.combined) ? 1 : 0);
    ck_assert(lab_is_watched(l, table));
    lab_put8(l, table + 8, 0);
    ck_assert_uint_eq(lab_fault(l, BIT(21), ACCESS_READ), 0);
    lab_destroy(l);
}

START_TEST(an_unsync_table_of_a_nested_guest_that_becomes_a_directory_goes)
{
    for (u32 user = 0; user < USERS; user++)
        becomes_directory(_i, (enum user)user);
}
END_TEST

/* ---- page-modification logging ---- */

struct book {
    struct lab *lab;
    u32 room, count;
    u64 at[16];
    bool was_dirty; /* an entry that was logged */
};

static bool book_add(void *ctx, gpa_t at)
{
    struct book *book = ctx;

    if (book->room == 0)
        return false;
    book->room--;
    book->was_dirty |= (lab_get(book->lab, lab_second_entry(book->lab, at.v, 1)) & EPT_D) != 0;
    book->at[book->count++] = at.v;
    return true;
}

static void expect_full(struct lab *l, u64 va, u64 ngpa)
{
    const struct lab_answer answer = lab_ask(l, va, ACCESS_WRITE);

    lab_audit(l);
    ck_assert_int_eq(answer.result, REFILL_NESTED);
    ck_assert_int_eq(answer.nested.reason, NESTED_LOG_FULL);
    ck_assert_uint_eq(answer.nested.gpa.v, ngpa);
    ck_assert_uint_eq(lab_get(l, lab_second_entry(l, ngpa, 1)) & EPT_D, 0);
}

/* T45, BUG-22: SDM Vol 3C 29.3.6. Tables of the guest are accessed as if written. */
START_TEST(a_dirty_flag_is_logged_before_it_is_set_and_not_set_if_the_log_is_full)
{
    enum { TABLES = 4 };
    struct lab *l = lab_create(_i);
    struct book book = {.lab = l};

    lab_start_ept(l, 4, EPT_AD);
    lab_cpu(l)->second.role.log = 1;
    l->mmu[0]->log = (struct mmu_log){book_add, &book};
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, PAGE | RWU);
    expect_full(l, 0x1000, lab_cpu(l)->root);
    ck_assert_uint_eq(book.count, 0);
    book.room = TABLES;
    expect_full(l, 0x1000, PAGE);
    ck_assert_uint_eq(book.count, TABLES);
    ck_assert_uint_eq(book.at[0], lab_cpu(l)->root);
    book.room = 8;
    for (u32 round = 0; round < 4; round++) { /* logged once, whatever forgets */
        const struct lab_answer answer = lab_ask(l, 0x1018, ACCESS_WRITE);

        lab_audit(l);
        ck_assert_int_eq(answer.result, REFILL_OK);
        ck_assert_uint_eq(book.count, TABLES + 1);
        ck_assert_uint_eq(book.at[TABLES], PAGE);
        if (round == 1)
            tlb_revoke_contexts(lab_state(l), 0xffff);
        if (round == 2)
            mmu_drop(l->mmu[0]);
    }
    ck_assert(!book.was_dirty);
    ck_assert_uint_eq(lab_get(l, lab_second_entry(l, PAGE, 1)) & EPT_D, EPT_D);
    lab_destroy(l);
}
END_TEST

/* Reads log nothing of the page; the first write does, also where the page is known as clean. */
START_TEST(a_page_that_was_read_is_logged_at_its_first_write)
{
    struct lab *l = lab_create(_i);
    struct book book = {.lab = l, .room = 16};
    u32 tables;

    lab_start_ept(l, 4, EPT_AD);
    lab_cpu(l)->second.role.log = 1;
    l->mmu[0]->log = (struct mmu_log){book_add, &book};
    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, PAGE | RWU | A | D);
    ck_assert_int_eq(lab_ask(l, 0x1000, ACCESS_READ).result, REFILL_OK);
    tables = book.count;
    for (u32 i = 0; i < tables; i++)
        ck_assert_uint_ne(book.at[i], PAGE);
    ck_assert_int_eq(lab_ask(l, 0x1000, ACCESS_WRITE).result, REFILL_OK);
    ck_assert_uint_eq(book.count, tables + 1);
    ck_assert_uint_eq(book.at[tables], PAGE);
    ck_assert(!book.was_dirty);
    lab_audit(l);
    lab_destroy(l);
}
END_TEST

RUN_NESTED_TESTS("shadow_second", the_ept_of_a_guest_without_pae_is_refreshed_and_not_rebuilt,
                 a_guest_that_changes_its_mode_keeps_every_page_of_its_ept,
                 pages_of_both_stages_have_the_roles_of_the_table,
                 a_host_without_pae_nests_guests_with_8_byte_entries,
                 hosts_with_8_byte_entries_nest_a_guest_without_pae,
                 a_table_of_hosts_of_two_entry_sizes_is_refreshed_in_each_by_its_own,
                 an_ept_with_and_without_flags_is_refreshed_in_each_by_its_own,
                 a_table_shared_with_a_nested_guest_is_refreshed_in_each_by_its_own,
                 an_unsync_table_of_a_nested_guest_that_becomes_a_directory_goes,
                 a_dirty_flag_is_logged_before_it_is_set_and_not_set_if_the_log_is_full,
                 a_page_that_was_read_is_logged_at_its_first_write)
