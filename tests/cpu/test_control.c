/* SPDX-License-Identifier: MIT */
/* Control registers and what they make of the mode: SDM Vol 3A 2.5, 4.1. */
#include "guest.h"

static void setup(void)
{
    guest_create("max");
    guest_protected();
}

static void setup_long(void)
{
    guest_create("max");
    guest_long();
}

START_TEST(cr0_refuses_impossible_combinations)
{
    ck_assert(!cr0_write(v, CR0_PG));
    expect_event(VEC_GP, 0);
    ck_assert(!cr0_write(v, CR0_PE | CR0_NW));
    expect_event(VEC_GP, 0);
    ck_assert(!cr0_write(v, CR0_PE | (u64)1 << 32));
    expect_event(VEC_GP, 0);
    ck_assert(cr0_write(v, CR0_PE | 0x0000ffc0));
    ck_assert_int_eq(v->state.cr0, CR0_PE | CR0_ET);
}
END_TEST

START_TEST(cr4_refuses_bits_of_missing_features)
{
    ck_assert(!cr4_write(v, (u64)1 << 14)); /* SMXE */
    expect_event(VEC_GP, 0);
    ck_assert(cr4_write(v, CR4_UMIP | CR4_SMEP));
    v->features[F_UMIP / 64] &= ~BIT(F_UMIP % 64);
    ck_assert(!cr4_write(v, CR4_UMIP));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(long_mode_begins_when_paging_is_turned_on)
{
    v->state.cr3 = PML4;
    ck_assert(efer_write(v, EFER_LME));
    ck_assert(!cr0_write(v, CR0_PE | CR0_PG)); /* PAE is missing */
    expect_event(VEC_GP, 0);
    ck_assert(cr4_write(v, CR4_PAE));
    ck_assert(cr0_write(v, CR0_PE | CR0_PG));
    ck_assert(long_mode(v));
    ck_assert(!mode64(v));
    ck_assert(!efer_write(v, 0)); /* LME cannot change under paging */
    expect_event(VEC_GP, 0);
    ck_assert(cr0_write(v, CR0_PE));
    ck_assert(!long_mode(v));
}
END_TEST

START_TEST(long_mode_needs_a_32_bit_tss)
{
    v->state.cr4 = CR4_PAE;
    ck_assert(ltr(v, SEL_TSS16));
    ck_assert(efer_write(v, EFER_LME));
    ck_assert(!cr0_write(v, CR0_PE | CR0_PG));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(long_mode_forbids_leaving_pae_and_changing_la57)
{
    ck_assert(!cr4_write(v, 0));
    expect_event(VEC_GP, 0);
    ck_assert(!cr4_write(v, CR4_PAE | CR4_LA57));
    expect_event(VEC_GP, 0);
    ck_assert(!cr0_write(v, CR0_PE)); /* paging off in 64-bit mode */
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(pcids_need_long_mode_and_a_clean_cr3)
{
    v->state.cr3 = PML4 | 5;
    ck_assert(!cr4_write(v, CR4_PAE | CR4_PCIDE));
    expect_event(VEC_GP, 0);
    ck_assert(cr3_write(v, PML4));
    ck_assert(!cr3_write(v, PML4 | CR3_KEEP));
    expect_event(VEC_GP, 0);
    ck_assert(cr4_write(v, CR4_PAE | CR4_PCIDE));
    ck_assert(cr3_write(v, PML4 | 5 | CR3_KEEP));
    ck_assert_int_eq(v->state.cr3, PML4 | 5);
    ck_assert(!cr3_write(v, (u64)1 << 50)); /* beyond MAXPHYADDR */
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(pae_loads_and_checks_its_pdptes)
{
    const u64 pdptes[4] = {PD | 1, 0, 0, PD | 1};

    put(PDPT, pdptes, sizeof(pdptes));
    ck_assert(cr4_write(v, CR4_PAE));
    ck_assert(cr3_write(v, PDPT));
    ck_assert(cr0_write(v, CR0_PE | CR0_PG));
    ck_assert_int_eq(v->state.pdpte[3], PD | 1);
    put_value(PDPT + 0x28, PD | 7, 8); /* bits 1 and 2 are reserved */
    ck_assert(!cr3_write(v, PDPT + 0x20));
    expect_event(VEC_GP, 0);
    ck_assert_int_eq(v->state.cr3, PDPT);
    ck_assert_int_eq(v->state.pdpte[3], PD | 1);
}
END_TEST

START_TEST(xcr0_takes_only_consistent_components)
{
    ck_assert(!xcr0_write(v, XCR0_SSE));
    expect_event(VEC_GP, 0);
    ck_assert(!xcr0_write(v, XCR0_X87 | XCR0_AVX));
    expect_event(VEC_GP, 0);
    ck_assert(!xcr0_write(v, XCR0_X87 | (u64)1 << 5));
    expect_event(VEC_GP, 0);
    ck_assert(xcr0_write(v, XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU));
}
END_TEST

START_TEST(mode_word_says_which_units_are_usable)
{
    ck_assert_int_ne(v->mode & MODE_NO_SSE, 0);
    ck_assert(cr4_write(v, CR4_OSFXSR | CR4_OSXSAVE));
    ck_assert_int_eq(v->mode & MODE_NO_SSE, 0);
    ck_assert_int_ne(v->mode & MODE_NO_AVX, 0);
    ck_assert(xcr0_write(v, 7));
    ck_assert_int_eq(v->mode & MODE_NO_AVX, 0);
    ck_assert(cr0_write(v, CR0_PE | CR0_TS));
    ck_assert_int_ne(v->mode & MODE_NO_X87, 0);
    ck_assert_int_ne(v->mode & MODE_NO_AVX, 0);
}
END_TEST

START_TEST(mode_word_says_what_is_flat_and_open)
{
    ck_assert_int_ne(v->mode & MODE_FLAT_CS, 0);
    ck_assert_int_ne(v->mode & MODE_FLAT_DATA, 0);
    ck_assert(segment_load(v, SEG_DS, SEL_READ_ONLY));
    ck_assert_int_eq(v->mode & (MODE_OPEN_DS | MODE_FLAT_DATA), 0);
    ck_assert_int_ne(v->mode & MODE_CPL0, 0);
    set_privilege(3);
    ck_assert_int_eq(v->mode & MODE_CPL0, 0);
    v->state.cr0 |= CR0_AM;
    v->state.rflags |= FLAG_AC;
    mode_update(v);
    ck_assert_int_ne(v->mode & MODE_ALIGN, 0);
}
END_TEST

START_TEST(lmsw_sets_pe_but_does_not_clear_it)
{
    v->state.reg[REG_RAX] = 0;
    RUN("\x0f\x01\xf0", 1); /* lmsw ax */
    ck_assert_int_eq(v->state.cr0 & 0xf, CR0_PE);
}
END_TEST

START_TEST(umip_hides_tables_from_ring_3)
{
    v->state.cr4 |= CR4_UMIP;
    set_privilege(3);
    put_value(HANDLER + 16 * VEC_GP, 0xf4, 1);
    RUN("\x0f\x01\x05\x00\x00\x05\x00", 2); /* sgdt [50000h] */
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(get(0x50000, 2), 0);
}
END_TEST

static void add(Suite *suite)
{
    TCase *t = tcase_create("32-bit");

    tcase_add_checked_fixture(t, setup, guest_destroy);
    tcase_add_test(t, cr0_refuses_impossible_combinations);
    tcase_add_test(t, cr4_refuses_bits_of_missing_features);
    tcase_add_test(t, long_mode_begins_when_paging_is_turned_on);
    tcase_add_test(t, long_mode_needs_a_32_bit_tss);
    tcase_add_test(t, pae_loads_and_checks_its_pdptes);
    tcase_add_test(t, xcr0_takes_only_consistent_components);
    tcase_add_test(t, mode_word_says_which_units_are_usable);
    tcase_add_test(t, mode_word_says_what_is_flat_and_open);
    tcase_add_test(t, lmsw_sets_pe_but_does_not_clear_it);
    tcase_add_test(t, umip_hides_tables_from_ring_3);
    suite_add_tcase(suite, t);

    t = tcase_create("64-bit");
    tcase_add_checked_fixture(t, setup_long, guest_destroy);
    tcase_add_test(t, long_mode_forbids_leaving_pae_and_changing_la57);
    tcase_add_test(t, pcids_need_long_mode_and_a_clean_cr3);
    suite_add_tcase(suite, t);
}

TESTS_MAIN("control", add)
