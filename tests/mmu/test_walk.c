/* SPDX-License-Identifier: MIT */
/* Formats and the walker: SDM Vol 3A 4.3-4.5, 4.8. */
#include "tests/mmu/guest.h"

static void set(struct guest *g, union mmu_role role, const u64 *pdptes)
{
    mmu_set_context(g->mmu, role, (gpa_t){0x1000}, pdptes);
}

START_TEST(without_paging_linear_is_physical)
{
    struct guest *g = guest_create();

    ck_assert_uint_eq(goes_to(g, 0x12345, ACCESS_READ | ACCESS_WRITE), 0x12345);
    ck_assert(hits(g->mmu->bank, 0x12345, ACCESS_WRITE));
    guest_destroy(g);
}
END_TEST

START_TEST(four_levels_lead_to_a_page)
{
    struct guest *g = guest_4level();

    put64(g, PT + 8 * 5, 0x7000 | P | W);
    ck_assert_uint_eq(goes_to(g, 0x5123, ACCESS_READ), 0x7123);
    guest_destroy(g);
}
END_TEST

START_TEST(five_levels_lead_to_a_page)
{
    struct guest *g = guest_create();

    chain(g, 5, P | W);
    put64(g, 0x5000, 0x7000 | P);
    set(g, role_of(PAGING_5LEVEL), NULL);
    ck_assert_uint_eq(goes_to(g, 0x123, ACCESS_READ), 0x7123);
    ck_assert_int_eq(refill(g, BIT(55), ACCESS_READ), REFILL_PAGE_FAULT);
    ck_assert_int_eq(refill(g, BIT(56), ACCESS_READ), REFILL_NONCANONICAL);
    guest_destroy(g);
}
END_TEST

START_TEST(each_index_comes_from_its_own_bits)
{
    struct guest *g = guest_create();
    const u64 va = (u64)1 << 39 | (u64)2 << 30 | (u64)3 << 21 | (u64)4 << 12 | 0x56;

    put64(g, 0x1000 + 8 * 1, 0x2000 | P);
    put64(g, 0x2000 + 8 * 2, 0x3000 | P);
    put64(g, 0x3000 + 8 * 3, 0x4000 | P);
    put64(g, 0x4000 + 8 * 4, 0x9000 | P);
    set(g, role_of(PAGING_4LEVEL), NULL);
    ck_assert_uint_eq(goes_to(g, va, ACCESS_READ), 0x9056);
    guest_destroy(g);
}
END_TEST

START_TEST(a_non_canonical_address_is_no_page_fault)
{
    struct guest *g = guest_4level();

    ck_assert_int_eq(refill(g, BIT(47), ACCESS_READ), REFILL_NONCANONICAL);
    ck_assert_int_eq(refill(g, 0x8000000000000000, ACCESS_READ), REFILL_NONCANONICAL);
    ck_assert_int_eq(refill(g, 0xffff800000000000, ACCESS_READ), REFILL_PAGE_FAULT);
    guest_destroy(g);
}
END_TEST

START_TEST(no_address_hits_an_empty_bank)
{
    struct guest *g = guest_4level();

    for (u32 i = 0; i < TLB_SIZE; i++) {
        const u64 page = (u64)i << PAGE_SHIFT;

        for (u32 high = 0; high < 4; high++) {
            const u64 va = page | (u64)high << 62;

            ck_assert(!hits(g->mmu->bank, va, ACCESS_READ));
            ck_assert(!hits(g->mmu->bank, va, ACCESS_WRITE));
            ck_assert(!hits(g->mmu->bank, va, ACCESS_FETCH));
        }
    }
    guest_destroy(g);
}
END_TEST

START_TEST(large_pages_of_2_mib_and_1_gib_are_mapped)
{
    struct guest *g = guest_4level();

    put64(g, PD + 8, 0x200000 | P | PS);
    ck_assert_uint_eq(goes_to(g, 0x212345, ACCESS_READ), 0x212345);
    put64(g, PDPT + 8, 0x0 | P | PS);
    ck_assert_uint_eq(goes_to(g, 0x40012345, ACCESS_READ), 0x12345);
    guest_destroy(g);
}
END_TEST

START_TEST(without_1_gib_pages_their_bit_is_reserved)
{
    struct guest *g = guest_4level();
    union mmu_role role = role_of(PAGING_4LEVEL);

    role.gbpages = 0;
    put64(g, PDPT + 8, 0x0 | P | PS);
    set(g, role, NULL);
    ck_assert_uint_eq(fault_of(g, 0x40000000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(bit_7_of_a_pml4_entry_is_reserved)
{
    struct guest *g = guest_4level();

    put64(g, PML4, PDPT | P | W | PS);
    ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    guest_destroy(g);
}
END_TEST

/* APM Vol 2 5.3.3; Intel's processors ignore it. A large page has its G flag there. */
START_TEST(bit_8_of_upper_entries_to_tables_is_reserved_if_the_role_says_so)
{
    static const u64 places[] = {PML4, PDPT, PD};
    struct guest *g = guest_4level();
    union mmu_role role = role_of(PAGING_4LEVEL);

    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        const u64 entry = (places[i] + 0x1000) | P | W;

        put64(g, places[i], entry | 1 << 8);
        role.bit8_reserved = 0;
        set(g, role, NULL);
        ck_assert_uint_ne(fault_of(g, 0, ACCESS_READ) & PF_RESERVED, PF_RESERVED);
        role.bit8_reserved = 1;
        set(g, role, NULL);
        ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ) & PF_RESERVED, i < 2 ? PF_RESERVED : 0);
        put64(g, places[i], entry);
    }
    guest_destroy(g);
}
END_TEST

START_TEST(address_bits_at_maxphyaddr_are_reserved_at_each_level)
{
    static const u64 entries[] = {PML4, PDPT, PD, PT};
    struct guest *g = guest_4level();

    put64(g, PT, 0x7000 | P);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x7000);
    for (u32 i = 0; i < ARRAY_SIZE(entries); i++) {
        const u64 good = get64(g, entries[i]);

        put64(g, entries[i], good | BIT(PHYS_BITS));
        ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), PF_PRESENT | PF_RESERVED);
        put64(g, entries[i], good | BITS(62, 52)); /* ignored: no protection keys here */
        ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x7000);
        put64(g, entries[i], good);
    }
    guest_destroy(g);
}
END_TEST

START_TEST(large_page_offset_bits_are_reserved)
{
    struct guest *g = guest_4level();

    put64(g, PD + 8, 0x200000 | BIT(13) | P | PS);
    ck_assert_uint_eq(fault_of(g, 0x200000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    put64(g, PD + 8, 0x200000 | BIT(12) | P | PS); /* PAT */
    ck_assert_uint_eq(goes_to(g, 0x200000, ACCESS_READ), 0x200000);
    put64(g, PDPT + 8, BIT(29) | P | PS);
    ck_assert_uint_eq(fault_of(g, 0x40000000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(nx_is_reserved_without_nxe)
{
    struct guest *g = guest_4level();
    union mmu_role role = role_of(PAGING_4LEVEL);

    put64(g, PT, 0x7000 | P | NX);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x7000);
    role.nx = 0;
    set(g, role, NULL);
    ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(a_not_present_entry_has_no_reserved_bits)
{
    struct guest *g = guest_4level();

    put64(g, PT, ~(u64)P);
    ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), 0);
    guest_destroy(g);
}
END_TEST

START_TEST(the_32_bit_format_has_two_levels_of_4_byte_entries)
{
    struct guest *g = guest_create();

    put32(g, 0x1000 + 4 * 3, 0x2000 | P | W);
    put32(g, 0x2000 + 4 * 5, 0x9000 | P | W);
    set(g, role_of(PAGING_32BIT), NULL);
    ck_assert_uint_eq(goes_to(g, 3u << 22 | 5 << 12 | 0x678, ACCESS_WRITE), 0x9678);
    ck_assert_uint_eq(get32(g, 0x2000 + 4 * 5), 0x9000 | P | W | A | D);
    ck_assert_uint_eq(get32(g, 0x2000 + 4 * 6), 0);
    guest_destroy(g);
}
END_TEST

START_TEST(pse_pages_have_36_bit_and_longer_addresses)
{
    struct guest *g = guest_create();

    put32(g, 0x1000, 0x00c00000 | 0xa5 << 13 | P | PS);
    set(g, role_of(PAGING_32BIT), NULL);
    ck_assert_uint_eq(goes_to(g, 0x12345, ACCESS_READ), 0xa500c12345);
    put32(g, 0x1000, 0x00c00000 | BIT(21) | P | PS);
    ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(pse_address_bits_above_maxphyaddr_are_reserved)
{
    struct guest *g = guest_create();
    struct mmu *narrow = mmu_create(g->memory, 36);
    struct target target;

    put32(g, 0x1000, BIT(16) | P | PS); /* address bit 35 */
    put32(g, 0x1004, BIT(17) | P | PS); /* address bit 36 */
    mmu_set_context(narrow, role_of(PAGING_32BIT), (gpa_t){0x1000}, NULL);
    ck_assert_int_eq(mmu_refill(narrow, 0, ACCESS_READ, &target), REFILL_OK);
    ck_assert_uint_eq(target.hpa.v, BIT(35));
    ck_assert_int_eq(mmu_refill(narrow, 1 << 22, ACCESS_READ, &target), REFILL_PAGE_FAULT);
    ck_assert_uint_eq(narrow->fault.error_code, PF_PRESENT | PF_RESERVED);
    mmu_destroy(narrow);
    guest_destroy(g);
}
END_TEST

START_TEST(without_pse_bit_7_is_ignored)
{
    struct guest *g = guest_create();
    union mmu_role role = role_of(PAGING_32BIT);

    role.pse = 0;
    put32(g, 0x1000, 0x2000 | P | PS);
    put32(g, 0x2000, 0x9000 | P);
    set(g, role, NULL);
    ck_assert_uint_eq(goes_to(g, 0x123, ACCESS_READ), 0x9123);
    guest_destroy(g);
}
END_TEST

START_TEST(pae_takes_the_top_from_registers)
{
    struct guest *g = guest_create();
    const u64 pdptes[4] = {0, 0x2000 | P, 0, 0};

    put64(g, 0x2000 + 8 * 3, 0x3000 | P | W | U);
    put64(g, 0x3000 + 8 * 4, 0x9000 | P | W | U);
    set(g, role_of(PAGING_PAE), pdptes);
    ck_assert_uint_eq(goes_to(g, 0x40000000 | 3 << 21 | 4 << 12 | 7, ACCESS_WRITE), 0x9007);
    ck_assert_uint_eq(fault_of(g, 3 << 21 | 4 << 12, ACCESS_WRITE), PF_WRITE);
    guest_destroy(g);
}
END_TEST

START_TEST(pae_reserves_bits_62_to_52)
{
    struct guest *g = guest_create();
    const u64 pdptes[4] = {0x2000 | P, 0, 0, 0};

    put64(g, 0x2000, 0x3000 | P);
    put64(g, 0x3000, 0x9000 | P | BIT(52));
    put64(g, 0x3008, 0x9000 | P | BIT(62));
    put64(g, 0x3010, 0x9000 | P | NX);
    set(g, role_of(PAGING_PAE), pdptes);
    ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    ck_assert_uint_eq(fault_of(g, 0x1000, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    ck_assert_uint_eq(fault_of(g, 0x2000, ACCESS_FETCH), PF_PRESENT | PF_FETCH);
    guest_destroy(g);
}
END_TEST

START_TEST(other_pdpte_registers_are_another_context)
{
    struct guest *g = guest_create();
    const u64 one[4] = {0x2000 | P}, two[4] = {0x3000 | P};

    put64(g, 0x2000, 0x200000 | P | PS);
    put64(g, 0x3000, 0x400000 | P | PS);
    set(g, role_of(PAGING_PAE), one);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x200000);
    set(g, role_of(PAGING_PAE), two);
    ck_assert(!hits(g->mmu->bank, 0, ACCESS_READ));
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x400000);
    guest_destroy(g);
}
END_TEST

START_TEST(a_read_sets_accessed_everywhere_and_no_dirty)
{
    struct guest *g = guest_4level();

    put64(g, PT, 0x7000 | P | W);
    ck_assert_int_eq(refill(g, 0, ACCESS_READ), REFILL_OK);
    ck_assert_uint_eq(get64(g, PML4), PDPT | P | W | U | A);
    ck_assert_uint_eq(get64(g, PDPT), PD | P | W | U | A);
    ck_assert_uint_eq(get64(g, PD), PT | P | W | U | A);
    ck_assert_uint_eq(get64(g, PT), 0x7000 | P | W | A);
    guest_destroy(g);
}
END_TEST

START_TEST(a_write_sets_dirty_in_the_last_entry_only)
{
    struct guest *g = guest_4level();

    put64(g, PT, 0x7000 | P | W);
    ck_assert_int_eq(refill(g, 0, ACCESS_READ), REFILL_OK);
    ck_assert(!hits(g->mmu->bank, 0, ACCESS_WRITE));
    ck_assert_int_eq(refill(g, 0, ACCESS_WRITE), REFILL_OK);
    ck_assert_uint_eq(get64(g, PD), PT | P | W | U | A);
    ck_assert_uint_eq(get64(g, PT), 0x7000 | P | W | A | D);
    guest_destroy(g);
}
END_TEST

START_TEST(a_denied_access_leaves_the_tables_alone)
{
    struct guest *g = guest_4level();

    put64(g, PT, 0x7000 | P);
    ck_assert_int_eq(refill(g, 0, ACCESS_WRITE), REFILL_PAGE_FAULT);
    ck_assert_uint_eq(get64(g, PML4), PDPT | P | W | U);
    ck_assert_uint_eq(get64(g, PT), 0x7000 | P);
    guest_destroy(g);
}
END_TEST

START_TEST(tables_in_rom_are_walked_and_keep_their_bits)
{
    struct guest *g = guest_4level();
    const u64 entry = 0x7000 | P | W;

    ck_assert(memory_load(g->memory, (hpa_t){ROM_BASE}, &entry, 8));
    put64(g, PD, ROM_BASE | P | W);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_WRITE), 0x7000);
    ck_assert_uint_eq(get64(g, ROM_BASE), entry);
    ck_assert(hits(g->mmu->bank, 0, ACCESS_WRITE));
    guest_destroy(g);
}
END_TEST

START_TEST(tables_in_a_device_are_read_at_each_access)
{
    struct guest *g = guest_4level();

    put64(g, PD, MMIO_BASE | P | W);
    g->device.answer = 0x7000 | P;
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x7000);
    ck_assert(!hits(g->mmu->bank, 0, ACCESS_READ));
    g->device.answer = 0x8000 | P;
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x8000);
    guest_destroy(g);
}
END_TEST

START_TEST(tables_in_a_hole_have_reserved_bits_set)
{
    struct guest *g = guest_4level();

    put64(g, PD, 0x50000000 | P | W);
    ck_assert_uint_eq(fault_of(g, 0, ACCESS_READ), PF_PRESENT | PF_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(a_probe_changes_nothing)
{
    struct guest *g = guest_4level();
    hpa_t hpa;

    put64(g, PT, 0x7000 | P);
    ck_assert(mmu_probe(g->mmu, 0x123, &hpa));
    ck_assert_uint_eq(hpa.v, 0x7123);
    ck_assert_uint_eq(get64(g, PT), 0x7000 | P);
    ck_assert(!hits(g->mmu->bank, 0x123, ACCESS_READ));
    ck_assert(!mmu_probe(g->mmu, 0x1000, &hpa));
    ck_assert(!mmu_probe(g->mmu, BIT(47), &hpa));
    put64(g, PD, MMIO_BASE | P | W);
    ck_assert(!mmu_probe(g->mmu, 0, &hpa));
    ck_assert_uint_eq(g->device.reads, 0);
    guest_destroy(g);
}
END_TEST

START_TEST(a_page_may_be_a_device_or_nothing)
{
    struct guest *g = guest_4level();
    struct target target;

    put64(g, PT, MMIO_BASE | P | W);
    put64(g, PT + 8, 0x50000000 | P | W);
    ck_assert_int_eq(mmu_refill(g->mmu, 0x18, ACCESS_WRITE, &target), REFILL_OK);
    ck_assert_int_eq(target.kind, SLOT_MMIO);
    ck_assert_uint_eq(target.hpa.v - target.slot->base, 0x18);
    ck_assert(!hits(g->mmu->bank, 0x18, ACCESS_READ));
    ck_assert_int_eq(mmu_refill(g->mmu, 0x1018, ACCESS_READ, &target), REFILL_OK);
    ck_assert_int_eq(target.kind, SLOT_HOLE);
    guest_destroy(g);
}
END_TEST

START_TEST(the_apic_page_lies_over_everything_for_one_cpu)
{
    struct guest *g = guest_create();
    struct mmu *other = mmu_create(g->memory, PHYS_BITS);
    struct target target;

    ck_assert_uint_eq(goes_to(g, 0x100000, ACCESS_READ), 0x100000);
    mmu_set_apic(g->mmu, true, (hpa_t){0x100000}, &device_ops, &g->device);
    ck_assert(!hits(g->mmu->bank, 0x100000, ACCESS_READ));
    ck_assert_int_eq(mmu_refill(g->mmu, 0x100020, ACCESS_READ, &target), REFILL_OK);
    ck_assert_int_eq(target.kind, SLOT_MMIO);
    ck_assert_ptr_eq(target.slot->ctx, &g->device);
    ck_assert_uint_eq(target.hpa.v - target.slot->base, 0x20);
    ck_assert_int_eq(mmu_refill(other, 0x100020, ACCESS_READ, &target), REFILL_OK);
    ck_assert_int_eq(target.kind, SLOT_RAM);
    mmu_set_apic(g->mmu, false, (hpa_t){0}, NULL, NULL);
    ck_assert_int_eq(mmu_refill(g->mmu, 0x100020, ACCESS_READ, &target), REFILL_OK);
    ck_assert_int_eq(target.kind, SLOT_RAM);
    mmu_destroy(other);
    guest_destroy(g);
}
END_TEST

START_TEST(physical_reads_see_ram_and_all_ones)
{
    struct guest *g = guest_create();

    put64(g, 0x1000, 0x1122334455667788);
    ck_assert_uint_eq(mmu_read_physical(g->mmu, (gpa_t){0x1000}, 8), 0x1122334455667788);
    ck_assert_uint_eq(mmu_read_physical(g->mmu, (gpa_t){0x1000}, 4), 0x55667788);
    ck_assert_uint_eq(mmu_read_physical(g->mmu, (gpa_t){0x50000000}, 8), ~(u64)0);
    guest_destroy(g);
}
END_TEST

RUN_TESTS("walk", without_paging_linear_is_physical, four_levels_lead_to_a_page,
          five_levels_lead_to_a_page, each_index_comes_from_its_own_bits,
          a_non_canonical_address_is_no_page_fault, no_address_hits_an_empty_bank,
          large_pages_of_2_mib_and_1_gib_are_mapped, without_1_gib_pages_their_bit_is_reserved,
          bit_7_of_a_pml4_entry_is_reserved,
          bit_8_of_upper_entries_to_tables_is_reserved_if_the_role_says_so,
          address_bits_at_maxphyaddr_are_reserved_at_each_level,
          large_page_offset_bits_are_reserved, nx_is_reserved_without_nxe,
          a_not_present_entry_has_no_reserved_bits,
          the_32_bit_format_has_two_levels_of_4_byte_entries,
          pse_pages_have_36_bit_and_longer_addresses,
          pse_address_bits_above_maxphyaddr_are_reserved, without_pse_bit_7_is_ignored,
          pae_takes_the_top_from_registers, pae_reserves_bits_62_to_52,
          other_pdpte_registers_are_another_context, a_read_sets_accessed_everywhere_and_no_dirty,
          a_write_sets_dirty_in_the_last_entry_only, a_denied_access_leaves_the_tables_alone,
          tables_in_rom_are_walked_and_keep_their_bits, tables_in_a_device_are_read_at_each_access,
          tables_in_a_hole_have_reserved_bits_set, a_probe_changes_nothing,
          a_page_may_be_a_device_or_nothing, the_apic_page_lies_over_everything_for_one_cpu,
          physical_reads_see_ram_and_all_ones)
