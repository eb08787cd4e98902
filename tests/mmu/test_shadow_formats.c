/* SPDX-License-Identifier: MIT */
/*
 * The shadow of each paging format: quadrants of 4-byte tables, large pages, PDPTE registers, and
 * the registers that change what tables mean. T numbers are those of the scenarios in
 * docs/shadow-mmu.md.
 */
#include "tests/mmu/shadow_harness.h"

enum { RWU = P | W | U };

/* T01 */
START_TEST(without_paging_linear_is_physical_and_nothing_is_shadowed)
{
    static const u64 places[] = {0, LAB_DATA, LAB_RAM, ROM_BASE, MMIO_BASE, 0xfffff000};
    struct lab *l = lab_create(_i);

    lab_cpu(l)->role = role_of(PAGING_NONE);
    lab_switch(l);
    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        for (u32 access = ACCESS_READ; access <= ACCESS_FETCH; access <<= 1)
            lab_access(l, places[i], access);
    }
    ck_assert_uint_eq(lab_goes(l, MMIO_BASE + 8, ACCESS_READ), MMIO_BASE + 8);
    ck_assert_uint_eq(lab_stats(l)->pages_made, 0);
    lab_destroy(l);
}
END_TEST

static const struct shadow_page *root_of_quarter(struct lab *l, u32 quarter)
{
    for (u32 n = 0; n < 4; n++) {
        const struct shadow_page *page = lab_page(l, lab_cpu(l)->root, 2, n);

        if (page != NULL && page->role.quadrant == quarter)
            return page;
    }
    return NULL;
}

/* T02 */
START_TEST(a_4_byte_table_has_a_page_per_quadrant)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_32BIT);
    for (u64 va = 0; va < BIT(32); va += BIT(29) + BIT(21)) {
        lab_map(l, va, 1, (LAB_DATA + (va >> 29 << 12)) | RWU);
        ck_assert_uint_eq(lab_goes(l, va, ACCESS_READ), LAB_DATA + (va >> 29 << 12));
        ck_assert_ptr_nonnull(root_of_quarter(l, va >> 30 & 3));
        ck_assert_uint_eq(lab_page(l, lab_entry(l, va, 1), 1, 0)->role.quadrant, va >> 21 & 1);
    }
    ck_assert_uint_eq(lab_pages(l, lab_cpu(l)->root, 2, false), 4);
    lab_destroy(l);
}
END_TEST

/* T03 */
START_TEST(a_4_byte_store_drops_the_two_slots_of_one_quadrant)
{
    struct lab *l = lab_create(_i);
    u64 dropped;

    lab_start(l, PAGING_32BIT);
    for (u64 quarter = 0; quarter < 4; quarter++) {
        for (u64 half = 0; half < 2; half++) {
            const u64 va = quarter << 30 | BIT(22) | half << 21;

            lab_map(l, va, 1, (LAB_DATA + (quarter << 12)) | RWU);
            lab_goes(l, va, ACCESS_READ);
        }
        ck_assert_uint_eq(root_of_quarter(l, (u32)quarter)->present, 2);
    }
    dropped = lab_stats(l)->slots_dropped;
    lab_map(l, BIT(31) | BIT(22), 2, 0);
    ck_assert_uint_eq(lab_stats(l)->slots_dropped, dropped + 2);
    for (u32 quarter = 0; quarter < 4; quarter++)
        ck_assert_uint_eq(root_of_quarter(l, quarter)->present, quarter == 2 ? 0 : 2);
    ck_assert_uint_eq(lab_fault(l, BIT(31) | BIT(22), ACCESS_READ), 0);
    lab_destroy(l);
}
END_TEST

/* T03, level 1: the same slot of the other half of the table stays. */
START_TEST(a_4_byte_store_to_level_1_drops_one_slot_of_one_quadrant)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_32BIT);
    for (u64 half = 0; half < 2; half++) {
        lab_map(l, half << 21, 1, (LAB_DATA + (half << 12)) | RWU);
        lab_goes(l, half << 21, ACCESS_READ);
    }
    lab_map(l, BIT(21), 1, (LAB_DATA + 0x5000) | RWU);
    if (!lab_is(l, SYNC_LAZY)) {
        ck_assert_uint_eq(lab_stats(l)->slots_dropped, 1);
        for (u32 n = 0; n < 2; n++) {
            const struct shadow_page *page = lab_page(l, lab_entry(l, 0, 1), 1, n);

            ck_assert_uint_eq(page->present, page->role.quadrant == 0);
        }
    }
    ck_assert_uint_eq(lab_goes(l, 0, ACCESS_READ), LAB_DATA);
    ck_assert_uint_eq(lab_goes(l, BIT(21), ACCESS_READ), LAB_DATA + 0x5000);
    lab_destroy(l);
}
END_TEST

/* T04 */
START_TEST(bit_7_of_a_pde_maps_a_page_only_under_pse)
{
    struct lab *l = lab_create(_i);
    u64 table;

    lab_start(l, PAGING_32BIT);
    table = lab_entry(l, 0, 1);
    lab_put4(l, table, LAB_DATA | RWU);
    lab_map(l, 0, 2, table | RWU | PS);
    for (u32 round = 0; round < 3; round++) {
        lab_cpu(l)->role.pse = 0;
        lab_switch(l);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), LAB_DATA);
        lab_cpu(l)->role.pse = 1; /* bits 20:13 are address bits 39:32 now */
        lab_switch(l);
        ck_assert_uint_eq(lab_goes(l, 0, ACCESS_WRITE), table >> 13 << 32);
        ck_assert_uint_eq(lab_goes(l, 0x3fffff, ACCESS_READ), table >> 13 << 32 | 0x3fffff);
    }
    lab_destroy(l);
}
END_TEST

/* T04 */
START_TEST(a_4_mib_page_is_two_halves)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_32BIT);
    lab_map(l, BIT(22), 2, 0x400000 | RWU | PS);
    ck_assert_uint_eq(lab_goes(l, BIT(22) + 0x1fffff, ACCESS_READ), 0x5fffff);
    ck_assert_uint_eq(lab_goes(l, BIT(22) + 0x200000, ACCESS_WRITE), 0x600000);
    ck_assert_uint_eq(lab_goes(l, BIT(22) + 0x3ff000, ACCESS_READ), 0x7ff000);
    ck_assert_uint_eq(root_of_quarter(l, 0)->present, 2);
    if (l->options.small_pages) {
        ck_assert_uint_eq(lab_pages(l, 0x400000, 1, true), 1);
        ck_assert_uint_ge(lab_pages(l, 0x600000, 1, true), 1);
    }
    lab_destroy(l);
}
END_TEST

/* T08, BUG-10 */
START_TEST(bit_63_is_judged_by_nxe_at_the_time_of_the_access)
{
    struct lab *l = lab_create(_i);
    u64 made = 0;

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, 0x1000, 1, LAB_DATA | RWU | NX);
    for (u32 round = 0; round < 5; round++) {
        lab_cpu(l)->role.nx = 1;
        lab_switch(l);
        ck_assert_uint_eq(lab_goes(l, 0x1000, ACCESS_READ), LAB_DATA);
        ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_FETCH), PF_PRESENT | PF_FETCH);
        if (round == 0)
            made = lab_stats(l)->pages_made;
        lab_cpu(l)->role.nx = 0;
        lab_switch(l);
        ck_assert_uint_eq(lab_fault(l, 0x1000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    }
    ck_assert_uint_eq(lab_stats(l)->pages_made, made);
    lab_destroy(l);
}
END_TEST

/* T09, T10, BUG-15 */
START_TEST(pdptes_count_from_the_next_load_of_cr3)
{
    struct lab *l = lab_create(_i);
    u64 other, roots, old;

    lab_start(l, PAGING_PAE);
    lab_map(l, BIT(30), 1, LAB_DATA | RWU);
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA);
    old = lab_cpu(l)->pdptes[1];
    other = lab_table(l);
    lab_put8(l, other, lab_table(l) | RWU);
    lab_put8(l, lab_get(l, other) & BITS(51, 12), (LAB_DATA + 0x1000) | RWU);

    lab_put8(l, lab_cpu(l)->root + 8, other | P);
    lab_flush(l);
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA);
    roots = lab_stats(l)->roots_made;
    lab_set_cr3(l, lab_cpu(l)->root);
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA + 0x1000);
    ck_assert_uint_eq(lab_stats(l)->roots_made, roots + 1);

    lab_put8(l, lab_cpu(l)->root + 8, 0); /* not present at all */
    lab_set_cr3(l, lab_cpu(l)->root);
    ck_assert_uint_eq(lab_fault(l, BIT(30), ACCESS_READ), 0);
    lab_put8(l, lab_cpu(l)->root + 8, old);
    lab_set_cr3(l, lab_cpu(l)->root);
    ck_assert_uint_eq(lab_goes(l, BIT(30), ACCESS_READ), LAB_DATA);
    lab_destroy(l);
}
END_TEST

/* Two GiB with one table: the page is a root twice, and its base is not one. */
START_TEST(two_pdptes_may_name_one_table)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_PAE);
    lab_put8(l, lab_cpu(l)->root + 24, lab_cpu(l)->pdptes[0]);
    lab_set_cr3(l, lab_cpu(l)->root);
    lab_map(l, 0x5000, 1, LAB_DATA | RWU);
    ck_assert_uint_eq(lab_goes(l, 0x5000, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_goes(l, 0xc0005000, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_pages(l, lab_cpu(l)->pdptes[0] & BITS(51, 12), 2, false), 1);
    lab_map(l, 0x5000, 1, (LAB_DATA + 0x1000) | RWU);
    ck_assert_uint_eq(lab_goes(l, 0xc0005000, ACCESS_WRITE), LAB_DATA + 0x1000);
    ck_assert_uint_eq(lab_goes(l, 0x5000, ACCESS_WRITE), LAB_DATA + 0x1000);
    lab_destroy(l);
}
END_TEST

/* T36 */
START_TEST(five_levels_have_their_own_canonical_form_and_large_pages)
{
    struct lab *l = lab_create(_i);
    const u64 high = ~(u64)0 << 56;

    lab_start(l, PAGING_5LEVEL);
    lab_map(l, high | 0x1000, 1, LAB_DATA | RWU);
    lab_map(l, BIT(55), 2, 0x200000 | RWU | PS);
    lab_map(l, BIT(54), 3, 0 | RWU | PS);
    ck_assert_uint_eq(lab_goes(l, high | 0x1000, ACCESS_WRITE), LAB_DATA);
    ck_assert_uint_eq(lab_goes(l, BIT(55) + 0x1ff008, ACCESS_READ), 0x3ff008);
    ck_assert_uint_eq(lab_goes(l, BIT(54) + MMIO_BASE, ACCESS_READ), MMIO_BASE);
    ck_assert_uint_eq(lab_goes(l, BIT(54) + LAB_DATA, ACCESS_READ), LAB_DATA);
    ck_assert_int_eq(lab_access(l, BIT(56), ACCESS_READ).result, REFILL_NONCANONICAL);
    lab_map(l, high | 0x1000, 5, lab_get(l, lab_entry(l, high, 5)) | PS);
    ck_assert_uint_eq(lab_fault(l, high | 0x1000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    lab_destroy(l);
}
END_TEST

/* T56, BUG-29: the CPU's width is fixed here; 1 GiB pages come and go with the role. */
START_TEST(gib_pages_are_reserved_where_cpuid_has_none)
{
    struct lab *l = lab_create(_i);

    lab_start(l, PAGING_4LEVEL);
    lab_map(l, BIT(30), 3, 0 | RWU | PS);
    for (u32 round = 0; round < 2; round++) {
        lab_cpu(l)->role.gbpages = 1;
        lab_switch(l);
        ck_assert_uint_eq(lab_goes(l, BIT(30) + LAB_DATA, ACCESS_WRITE), LAB_DATA);
        lab_cpu(l)->role.gbpages = 0;
        lab_switch(l);
        ck_assert_uint_eq(lab_fault(l, BIT(30) + LAB_DATA, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    }
    lab_destroy(l);
}
END_TEST

RUN_LAB_TESTS("shadow_formats", without_paging_linear_is_physical_and_nothing_is_shadowed,
              a_4_byte_table_has_a_page_per_quadrant,
              a_4_byte_store_drops_the_two_slots_of_one_quadrant,
              a_4_byte_store_to_level_1_drops_one_slot_of_one_quadrant,
              bit_7_of_a_pde_maps_a_page_only_under_pse, a_4_mib_page_is_two_halves,
              bit_63_is_judged_by_nxe_at_the_time_of_the_access,
              pdptes_count_from_the_next_load_of_cr3, two_pdptes_may_name_one_table,
              five_levels_have_their_own_canonical_form_and_large_pages,
              gib_pages_are_reserved_where_cpuid_has_none)
