/* SPDX-License-Identifier: MIT */
/*
 * Shadow pages and changing tables: what is linked must be what the entry says, whoever changed it
 * and when. T numbers are those of the scenarios in docs/shadow-mmu.md.
 */
#include "tests/mmu/shadow_harness.h"

enum { RWU = P | W | U, LARGE = 0x200000, LARGE_2 = 0x400000 };

/* Let the level-1 table of va go unsync, where the policy has it, by stores to an entry that nobody
 * uses. */
static void let_go(struct lab *l, u64 va)
{
    const u64 spare = va | 0x1ff000;
    const struct shadow_page *page = lab_page(l, lab_entry(l, va, 1), 1, 0);

    for (u64 i = 0; i <= LAB_UNSYNC_AFTER; i++)
        lab_map(l, spare, 1, i << 12 | P);
    ck_assert_int_eq(page->unsync != 0, !lab_is(l, SYNC_DROP));
}

/* T15, BUG-9 */
START_TEST(a_table_hung_in_elsewhere_is_refreshed_first)
{
    struct lab *l = lab_create(_i);
    u64 pd;

    lab_start(l, PAGING_4LEVEL);
    l->careless = true;
    for (u64 i = 0; i < 4; i++) {
        lab_map(l, i << 12, 1, (LAB_DATA + (i << 12)) | RWU);
        lab_goes(l, i << 12, ACCESS_READ);
    }
    let_go(l, 0);
    for (u64 i = 0; i < 4; i++)
        lab_map(l, i << 12, 1, (LAB_DATA + 0x10000 + (i << 12)) | RWU);
    pd = lab_get(l, lab_entry(l, 0, 3)) & BITS(51, 12);
    lab_map(l, BIT(30), 3, pd | RWU); /* empty before: no flush is due */
    for (u64 i = 0; i < 4; i++)
        ck_assert_uint_eq(lab_goes(l, BIT(30) | i << 12, ACCESS_READ),
                          LAB_DATA + 0x10000 + (i << 12));
    lab_destroy(l);
}
END_TEST

/* T16, BUG-26. level: where the entry changes between the walk and the fetch. */
static void change_between(int cell, u32 level)
{
    struct lab *l = lab_create(cell);
    struct translation t;
    u64 retries, other;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_map(l, BIT(47) - 0x1000, 1, (LAB_DATA + 0x1000) | RWU); /* tables with other contents */
    other = lab_get(l, lab_entry(l, BIT(47) - 0x1000, level));
    t = lab_walk(l, 0x1000, false);
    lab_map(l, 0x1000, level, other);
    retries = lab_stats(l)->retries;
    ck_assert(!shadow_fetch(lab_state(l), 0x1000, &t, false));
    lab_audit(l);
    ck_assert_uint_eq(lab_stats(l)->retries, retries + 1);
    lab_access(l, 0x1000, ACCESS_READ);

    lab_map(l, 0x1000, level, 0); /* gone altogether */
    t.steps = 4;
    ck_assert(!shadow_fetch(lab_state(l), 0x1000, &t, false));
    lab_audit(l);
    ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_READ), 0);
    lab_destroy(l);
}

START_TEST(what_changed_between_walk_and_fetch_is_not_entered)
{
    for (u32 level = 1; level <= 4; level++)
        change_between(_i, level);
}
END_TEST

/* T16: the lookup's place to go on from stands only as long as the way down to it. */
START_TEST(a_fetch_does_not_go_on_from_a_place_whose_path_changed)
{
    struct lab *l = lab_create(_i);
    struct translation t;
    u64 at, data;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    lab_goes(l, 0x1000, ACCESS_READ);
    lab_map(l, 0x20000, 1, LAB_DATA | RWU);
    at = lab_entry(l, 0, 2);
    ck_assert(!shadow_lookup(lab_state(l), 0x20000, &data));
    lab_put(l, at, lab_get(l, at) & ~(u64)W);
    t = lab_walk(l, 0x20000, false);
    ck_assert(shadow_fetch(lab_state(l), 0x20000, &t, false));
    lab_audit(l);
    ck_assert_uint_eq(lab_fault(l, 0x20000, ACCESS_WRITE), PF_PRESENT | PF_WRITE);
    lab_destroy(l);
}
END_TEST

/* T17, BUG-25 */
START_TEST(a_frame_that_becomes_a_table_loses_its_write_tags)
{
    enum { ALIASES = 5 }; /* more than a frame's record remembers singly */
    struct lab *l = lab_create(_i);
    u64 pt, frame;

    for (u64 count = 1; count <= ALIASES; count++) {
        lab_start(l, PAGING_4LEVEL);
        frame = lab_table(l);
        for (u64 i = 0; i < count; i++) {
            lab_map(l, i << 12, 1, frame | RWU);
            lab_goes(l, i << 12, ACCESS_WRITE);
            ck_assert(hits(l->mmu[0]->bank, i << 12, ACCESS_WRITE));
        }
        pt = lab_table(l);
        lab_put(l, pt, LAB_DATA | RWU);
        lab_store8(l, 0, pt | RWU);
        lab_map(l, BIT(30), 3, frame | RWU); /* it is a directory now */
        ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA);
        ck_assert(lab_is_watched(l, frame));
        for (u64 i = 0; i < count; i++)
            ck_assert(!hits(l->mmu[0]->bank, i << 12, ACCESS_WRITE));
        lab_store8(l, (count - 1) << 12, 0);
        ck_assert_uint_eq(lab_fault(l, BIT(30), ACCESS_READ), 0);
    }
    lab_destroy(l);
}
END_TEST

/* T18, BUG-28: as many as fit; nothing is kept per mapping but the entry itself. */
START_TEST(a_frame_mapped_everywhere_is_let_go_of_everywhere)
{
    enum { TABLES = 8, PAGES = TABLES * 512 };
    struct lab *l = lab_create(_i);
    u64 made;

    lab_start(l, PAGING_4LEVEL);
    for (u64 i = 0; i < TABLES; i++) {
        u64 table[512];

        for (u64 k = 0; k < 512; k++)
            table[k] = LAB_DATA | RWU;
        lab_write(l, lab_entry(l, i << 21, 1), table, sizeof(table));
    }
    for (u64 i = 0; i < PAGES; i++)
        ck_assert_int_eq(lab_ask(l, i << 12, ACCESS_WRITE).result, REFILL_OK);
    lab_audit(l);
    made = lab_stats(l)->pages_made;
    ck_assert_uint_le(made, TABLES + 3);
    memory_mark_clean(l->g.memory, LAB_DATA >> 12);
    lab_audit(l);
    for (u64 i = 0; i < PAGES; i++)
        LAB_MUST(!hits(l->mmu[0]->bank, i << 12, ACCESS_WRITE));
    shadow_zap_all(l->shadow);
    for (u32 i = 0; i < LAB_CPUS; i++)
        mmu_drop(l->mmu[i]);
    lab_audit(l);
    ck_assert_uint_eq(lab_stats(l)->pages_zapped, made);
    lab_destroy(l);
}
END_TEST

/* T19. The window that slot 511 opens: the level-n tables of va as memory. */
static u64 window(u64 va, u32 n)
{
    for (u32 i = 0; i < n; i++)
        va = (va >> 9 & BITS(47, 3)) | BITS(47, 39);
    return va | BITS(63, 48);
}

START_TEST(tables_written_through_themselves_are_heard)
{
    struct lab *l = lab_create(_i);
    u64 root;

    lab_start(l, PAGING_4LEVEL);
    root = lab_cpu(l)->root;
    lab_put(l, root + 511 * 8, root | RWU);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    for (u32 n = 1; n <= 4; n++)
        lab_goes(l, window(0x1000, n), ACCESS_READ);
    for (u32 level = 1; level <= 4; level++)
        ck_assert_uint_eq(lab_pages(l, root, level, false), 1);
    for (u64 i = 0; i < 6; i++) {
        lab_store8(l, window(0x1000, 1), (LAB_DATA + (i << 12)) | RWU);
        lab_invalidate(l, 0x1000);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + (i << 12));
    }
    for (u64 i = 0; i < 8; i++) { /* the root, as the level-1 table that it also is */
        lab_store8(l, window(BIT(46), 4), (i << 12) | P);
        for (u32 level = 1; level <= 4; level++) {
            const struct shadow_page *page = lab_page(l, root, level, 0);

            ck_assert(page == NULL || page->unsync == 0);
        }
    }
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + 0x5000);
    lab_destroy(l);
}
END_TEST

/* T31, BUG-1. A large entry comes to point at a table in the very frame that it mapped. */
static void large_becomes_table(int cell, u32 how)
{
    struct lab *l = lab_create(cell);
    const u64 va = 0x40000000;
    struct translation t;
    u64 at;

    lab_start(l, PAGING_4LEVEL);
    lab_put(l, LARGE, LAB_DATA | RWU);
    at = lab_entry(l, va, 2);
    lab_map(l, 0, 1, (at & ~PAGE_OFFSET_MASK) | RWU);
    lab_put(l, at, LARGE | RWU | PS);
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LARGE);
    if (how == 0) {
        lab_put(l, at, LARGE | RWU);
    } else if (how == 1) {
        lab_store8(l, at & PAGE_OFFSET_MASK, LARGE | RWU);
    } else { /* the fetch comes before the engine hears of it */
        lab_poke(l, at, LARGE | RWU);
        t = lab_walk(l, va, false);
        ck_assert(shadow_fetch(lab_state(l), va, &t, false));
        lab_audit(l);
    }
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LAB_DATA);
    ck_assert_uint_eq(lab_pages(l, LARGE, 1, false), 1);
    lab_put(l, LARGE, (LAB_DATA + 0x1000) | RWU); /* it is a table, and watched as one */
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LAB_DATA + 0x1000);
    if (how == 2) { /* and back */
        lab_poke(l, at, LARGE | RWU | PS);
        t = lab_walk(l, va, false);
        ck_assert(shadow_fetch(lab_state(l), va, &t, false));
        lab_audit(l);
    } else {
        lab_put(l, at, LARGE | RWU | PS);
    }
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LARGE);
    mmu_drop(l->mmu[0]);
    lab_audit(l);
    ck_assert_uint_eq(l->shadow->oldest, 0);
    lab_destroy(l);
}

START_TEST(a_piece_of_a_large_page_is_no_table_at_its_frame)
{
    for (u32 how = 0; how < 3; how++)
        large_becomes_table(_i, how);
}
END_TEST

/* T32, BUG-2 */
START_TEST(a_large_entry_led_elsewhere_leaves_no_piece_behind)
{
    struct lab *l = lab_create(_i);
    const u64 va = 0x40000000;
    struct translation t;
    u64 at;

    lab_start(l, PAGING_4LEVEL);
    at = lab_entry(l, va, 2);
    lab_put(l, at, LARGE | RWU | PS);
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_WRITE), LARGE);
    lab_poke(l, at, LARGE_2 | RWU | PS);
    t = lab_walk(l, va, true);
    ck_assert(shadow_fetch(lab_state(l), va, &t, true));
    lab_audit(l);
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_WRITE), LARGE_2);
    ck_assert_uint_eq(lab_goes(l, va + 0x1000, ACCESS_WRITE), LARGE_2 + 0x1000);
    lab_put(l, at, 0);
    ck_assert_uint_eq(lab_fault(l, va, ACCESS_READ), 0);
    lab_put(l, at, LARGE | RWU | PS);
    ck_assert_uint_eq(lab_goes(l, va, ACCESS_WRITE), LARGE);
    lab_destroy(l);
}
END_TEST

/* BUG-1's kind once more: the frame stays, the rights that come down to it do not. */
START_TEST(a_linked_table_is_let_go_if_its_rights_changed)
{
    struct lab *l = lab_create(_i);
    struct translation t;
    u64 at, entry;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
    at = lab_entry(l, 0x1000, 2);
    entry = lab_get(l, at);
    lab_poke(l, at, entry & ~(u64)W);
    t = lab_walk(l, 0x1000, false);
    ck_assert(shadow_fetch(lab_state(l), 0x1000, &t, false));
    lab_audit(l);
    ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_WRITE), PF_PRESENT | PF_WRITE);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
    lab_destroy(l);
}
END_TEST

/* T35, BUG-4, BUG-5 */
START_TEST(a_page_may_turn_into_a_device_and_back)
{
    struct lab *l = lab_create(_i);
    u64 at;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU);
    at = lab_entry(l, 0x1000, 1);
    for (u32 round = 0; round < 4; round++) {
        struct translation t;

        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_WRITE), LAB_DATA);
        if ((round & 1) == 0) {
            lab_put(l, at, MMIO_BASE | RWU);
        } else {
            lab_poke(l, at, MMIO_BASE | RWU);
            t = lab_walk(l, 0x1000, false);
            ck_assert(shadow_fetch(lab_state(l), 0x1000, &t, false));
            lab_audit(l);
        }
        ck_assert_uint_eq(lab_goes(l, 0x1008, ACCESS_WRITE), MMIO_BASE + 8);
        ck_assert(!hits(l->mmu[0]->bank, 0x1008, ACCESS_READ));
        lab_put(l, at, LAB_DATA | RWU);
    }
    lab_destroy(l);
}
END_TEST

/* A table outside RAM may change unseen: nothing that came through it is kept. */
START_TEST(a_table_in_a_device_is_read_each_time)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0, 2, MMIO_BASE | RWU);
    for (u64 i = 0; i < 3; i++) {
        l->g.device.answer = (LAB_DATA + (i << 12)) | RWU | A | D;
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA + (i << 12));
        ck_assert(!hits(l->mmu[0]->bank, 0x1000, ACCESS_READ));
    }
    ck_assert_uint_eq(lab_stats(l)->fetches, 0);
    lab_destroy(l);
}
END_TEST

/* CR3 may name a device, a hole or ROM: nothing is shadowed that could not be heard of. */
START_TEST(a_root_outside_ram_is_read_each_time)
{
    struct lab *l = lab_create(_i);
    const u64 table = LAB_FIRST_TABLE + 0x8000;

    lab_start(l, PAGING_4LEVEL);
    lab_set_cr3(l, 0x50000000); /* a hole reads as ones: reserved bits */
    ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    lab_set_cr3(l, MMIO_BASE);
    l->g.device.answer = 0;
    ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_READ), 0);
    l->g.device.answer = table | RWU | A;
    lab_put8(l, table, table | RWU | A); /* each level in one frame */
    lab_put8(l, table + 8, LAB_DATA | RWU | A);
    ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
    l->g.device.answer = 0;
    ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_READ), 0);
    ck_assert_uint_eq(lab_stats(l)->pages_made, 0);
    lab_destroy(l);
}
END_TEST

/* Walks leave no flags there, also where only the last step is made, as what is above is known. */
START_TEST(a_table_in_rom_keeps_its_bits)
{
    static const u64 entries[] = {LAB_DATA | RWU, (LAB_DATA + 0x1000) | RWU};
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    ck_assert(memory_load(l->g.memory, (hpa_t){ROM_BASE + 8 * 8}, entries, sizeof(entries)));
    lab_map(l, 0, 2, ROM_BASE | RWU);
    for (u64 i = 0; i < 2; i++) {
        ck_assert_uint_eq(lab_goes(l, (8 + i) << 12, ACCESS_WRITE), LAB_DATA + (i << 12));
        ck_assert_uint_eq(get64(&l->g, ROM_BASE + 8 * (8 + i)), entries[i]);
    }
    lab_destroy(l);
}
END_TEST

RUN_LAB_TESTS("shadow_links", a_table_hung_in_elsewhere_is_refreshed_first,
              what_changed_between_walk_and_fetch_is_not_entered,
              a_fetch_does_not_go_on_from_a_place_whose_path_changed,
              a_frame_that_becomes_a_table_loses_its_write_tags,
              a_frame_mapped_everywhere_is_let_go_of_everywhere,
              tables_written_through_themselves_are_heard,
              a_piece_of_a_large_page_is_no_table_at_its_frame,
              a_large_entry_led_elsewhere_leaves_no_piece_behind,
              a_linked_table_is_let_go_if_its_rights_changed,
              a_page_may_turn_into_a_device_and_back, a_table_in_a_device_is_read_each_time,
              a_root_outside_ram_is_read_each_time, a_table_in_rom_keeps_its_bits)
