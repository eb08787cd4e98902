/* SPDX-License-Identifier: MIT */
/*
 * NPT rule by rule: APM Vol 2 15.25. Scenarios T37, T39, T40 and T46. The combinations of formats
 * are in test_nested_matrix.c.
 */
#include "tests/mmu/nested_guest.h"

/* T39, BUG-17, BUG-18: keys, SMEP, SMAP and WP do not get into the second stage. */
START_TEST(every_nested_access_of_npt_is_a_user_access)
{
    for (u32 i = 0; i < 16; i++) {
        union mmu_role host = role_of(PAGING_4LEVEL);
        struct guest *g;

        host.wp = i & 1;
        host.smep = i >> 1 & 1;
        host.smap = i >> 2 & 1;
        host.pke = i >> 3 & 1;
        g = guest_npt(host);
        mmu_set_keys(g->mmu, ~(u32)0, 0);
        put64(g, BACK + L1, PAGE | P | W); /* a supervisor page of the nested guest */
        ck_assert_uint_eq(goes_to(g, 0, RW), BACK + PAGE);
        ck_assert_uint_eq(goes_to(g, 0, X), BACK + PAGE);
        put64(g, s1_entry(PAGE), (BACK + PAGE) | P | W);
        ck_assert_uint_eq(npf_of(g, 0, R), PF_PRESENT | PF_USER | BIT(32));
        ck_assert_uint_eq(npf_of(g, 0, WR), PF_PRESENT | PF_USER | PF_WRITE | BIT(32));
        put64(g, s1_entry(PAGE), (BACK + PAGE) | P | U);
        ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
        ck_assert_uint_eq(npf_of(g, 0, WR), PF_PRESENT | PF_USER | PF_WRITE | BIT(32));
        guest_destroy(g);
    }
}
END_TEST

START_TEST(npt_walks_of_guest_tables_are_writes)
{
    struct guest *g = guest_npt(role_of(PAGING_4LEVEL));

    for (u64 table = L4; table <= L1; table += 0x1000) {
        put64(g, s1_entry(table), (BACK + table) | P | U);
        ck_assert_uint_eq(npf_of(g, 0, R), PF_PRESENT | PF_WRITE | PF_USER | BIT(33));
        ck_assert_uint_eq(g->mmu->nested.gpa.v, table);
        put64(g, s1_entry(table), 0);
        ck_assert_uint_eq(npf_of(g, 0, X), PF_WRITE | PF_USER | BIT(33));
        put64(g, s1_entry(table), (BACK + table) | P | W | U);
    }
    ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
    ck_assert_uint_eq(get64(g, s1_entry(L1)) & (A | D), A | D);
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & (A | D), A);
    ck_assert_uint_eq(goes_to(g, 0, WR), BACK + PAGE);
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & (A | D), A | D);
    guest_destroy(g);
}
END_TEST

START_TEST(npt_has_no_execute_by_the_hosts_efer)
{
    union mmu_role host = role_of(PAGING_4LEVEL);
    struct guest *g = guest_npt(host);
    struct mmu_second_stage second;

    put64(g, s1_entry(PAGE), (BACK + PAGE) | P | W | U | NX);
    ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
    ck_assert_uint_eq(npf_of(g, 0, X), PF_PRESENT | PF_USER | PF_FETCH | BIT(32));
    host.nx = 0;
    second = second_stage_npt(host, S4, false);
    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    ck_assert_uint_eq(npf_of(g, 0, R), PF_PRESENT | PF_USER | PF_RESERVED | BIT(32));
    ck_assert_uint_eq(npf_of(g, 0, X), PF_PRESENT | PF_USER | PF_RESERVED | BIT(32));
    host.smep = 1; /* tells of fetches, without other effect */
    second = second_stage_npt(host, S4, false);
    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    ck_assert_uint_eq(npf_of(g, 0, X), PF_PRESENT | PF_USER | PF_RESERVED | PF_FETCH | BIT(32));
    guest_destroy(g);
}
END_TEST

/* ---- GMET ---- */

static void set_gmet(struct guest *g, bool on)
{
    const struct mmu_second_stage second = second_stage_npt(role_of(PAGING_4LEVEL), S4, on);

    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
}

/* It is the CPL that counts, whoever the nested guest says may use the page. */
START_TEST(gmet_denies_supervisors_the_code_of_nested_user_pages)
{
    enum { NESTED_USER = 1, NO_EXECUTE = 2, GUEST_USER = 4, CPL3 = 8, CASES = 16 };
    struct guest *g = guest_npt(role_of(PAGING_4LEVEL));

    set_gmet(g, true);
    for (u32 i = 0; i < CASES; i++) {
        const bool user = i & CPL3;
        const bool denied = (i & NO_EXECUTE) != 0 || ((i & NESTED_USER) != 0 && !user);

        if (user && (i & GUEST_USER) == 0)
            continue; /* a page fault */
        put64(g, BACK + L1, PAGE | P | W | (i & GUEST_USER ? U : 0));
        put64(g, s1_entry(PAGE),
              (BACK + PAGE) | P | W | (i & NESTED_USER ? U : 0) | (i & NO_EXECUTE ? NX : 0));
        mmu_set_privilege(g->mmu, user, false);
        ck_assert_uint_eq(goes_to(g, 0, RW), BACK + PAGE); /* of data U/S says nothing */
        if (denied)
            ck_assert_uint_eq(npf_of(g, 0, X),
                              PF_PRESENT | PF_FETCH | (user ? PF_USER : 0) | BIT(32));
        else
            ck_assert_uint_eq(goes_to(g, 0, X), BACK + PAGE);
    }
    guest_destroy(g);
}
END_TEST

/* As with SMEP, a page is a user page only if every level says so. */
START_TEST(gmet_takes_u_s_of_all_levels_together)
{
    static const u64 entries[] = {S4, S3, S2, S1 + 8 * (PAGE >> 12)};
    struct guest *g = guest_npt(role_of(PAGING_4LEVEL));

    set_gmet(g, true);
    for (u32 i = 0; i < ARRAY_SIZE(entries); i++) {
        ck_assert_int_eq(refill(g, 0, X), REFILL_NESTED);
        put64(g, entries[i], get64(g, entries[i]) & ~(u64)U);
        ck_assert_uint_eq(goes_to(g, 0, X), BACK + PAGE);
        put64(g, entries[i], get64(g, entries[i]) | U);
        ck_assert(!hits(g->mmu->bank, 0, X));
    }
    guest_destroy(g);
}
END_TEST

START_TEST(gmet_leaves_the_walks_of_guest_tables_alone)
{
    struct guest *g = guest_npt(role_of(PAGING_4LEVEL));

    set_gmet(g, true);
    for (u64 table = L4; table <= L1; table += 0x1000)
        put64(g, s1_entry(table), (BACK + table) | P | W);
    ck_assert_uint_eq(goes_to(g, 0, RW), BACK + PAGE);
    put64(g, s1_entry(L2), (BACK + L2) | P);
    ck_assert_uint_eq(npf_of(g, 0, X), PF_PRESENT | PF_WRITE | PF_USER | BIT(33));
    guest_destroy(g);
}
END_TEST

/* Without paging there is still a CPL, and it counts. */
START_TEST(gmet_tells_users_from_supervisors_without_paging)
{
    struct guest *g = guest_npt(role_of(PAGING_4LEVEL));

    set_gmet(g, true);
    mmu_set_context(g->mmu, (union mmu_role){.word = 0}, (gpa_t){0}, NULL);
    mmu_set_privilege(g->mmu, true, false);
    ck_assert_uint_eq(goes_to(g, PAGE, X), BACK + PAGE);
    mmu_set_privilege(g->mmu, false, false);
    ck_assert(!hits(g->mmu->bank, PAGE, X));
    ck_assert_uint_eq(npf_of(g, PAGE, X), PF_PRESENT | PF_FETCH | BIT(32));
    guest_destroy(g);
}
END_TEST

START_TEST(one_npt_with_and_without_gmet_is_two_contexts)
{
    struct guest *g = guest_npt(role_of(PAGING_4LEVEL));

    ck_assert_uint_eq(goes_to(g, 0, X), BACK + PAGE);
    set_gmet(g, true);
    ck_assert(!hits(g->mmu->bank, 0, X));
    ck_assert_int_eq(refill(g, 0, X), REFILL_NESTED);
    set_gmet(g, false);
    ck_assert(hits(g->mmu->bank, 0, X));
    guest_destroy(g);
}
END_TEST

/* T37, BUG-14 */
START_TEST(a_32_bit_host_nests_4_gib)
{
    struct guest *g = guest_create();
    const struct mmu_second_stage second = second_stage_npt(role_of(PAGING_32BIT), S4, false);

    put32(g, S4, S1 | P | W | U);
    for (u32 i = 0; i < 16; i++)
        put32(g, S1 + 4 * i, (BACK + (i << 12)) | P | W | U);
    put_nested_tables(g);
    put64(g, BACK + L1 + 8, BIT(32) | PAGE | P | W | U);
    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    ck_assert_uint_eq(goes_to(g, 0x12, WR), BACK + PAGE + 0x12);
    ck_assert_uint_eq(npf_of(g, 0x1012, R), PF_USER | BIT(32));
    ck_assert_uint_eq(g->mmu->nested.gpa.v, BIT(32) | (PAGE + 0x12));
    ck_assert_uint_eq(get32(g, S1 + 4 * (PAGE >> 12)) & (A | D), A | D);
    guest_destroy(g);
}
END_TEST

START_TEST(a_pae_host_has_its_pdptes_in_memory)
{
    struct guest *g = guest_create();
    const struct mmu_second_stage second = second_stage_npt(role_of(PAGING_PAE), S4 + 0x20, false);

    put64(g, S4 + 0x20, S2 | P);
    put64(g, S2, S1 | P | W | U);
    put64(g, S1 + (PAGE >> 12) * 8, (BACK + PAGE) | P | W | U);
    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, (union mmu_role){.word = 0}, (gpa_t){0}, NULL);
    ck_assert_uint_eq(goes_to(g, PAGE, WR), BACK + PAGE);
    ck_assert_uint_eq(get64(g, S4 + 0x20), S2 | P); /* no accessed flag */
    ck_assert(hits(g->mmu->bank, PAGE, WR));
    put64(g, S4 + 0x20, S3 | P); /* read at each walk */
    ck_assert(!hits(g->mmu->bank, PAGE, WR));
    ck_assert_uint_eq(npf_of(g, PAGE, R), PF_USER | BIT(32));
    put64(g, S4 + 0x20, S2 | P | BIT(5));
    ck_assert_uint_eq(npf_of(g, PAGE, R), PF_PRESENT | PF_USER | PF_RESERVED | BIT(32));
    ck_assert_uint_eq(npf_of(g, PAGE | 1u << 30, R), PF_USER | BIT(32));
    guest_destroy(g);
}
END_TEST

RUN_TESTS("nested_npt", every_nested_access_of_npt_is_a_user_access,
          npt_walks_of_guest_tables_are_writes, npt_has_no_execute_by_the_hosts_efer,
          gmet_denies_supervisors_the_code_of_nested_user_pages,
          gmet_takes_u_s_of_all_levels_together, gmet_leaves_the_walks_of_guest_tables_alone,
          gmet_tells_users_from_supervisors_without_paging,
          one_npt_with_and_without_gmet_is_two_contexts, a_32_bit_host_nests_4_gib,
          a_pae_host_has_its_pdptes_in_memory)
