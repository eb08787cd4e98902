/* SPDX-License-Identifier: MIT */
/*
 * EPT rule by rule, and the coherence of both stages: SDM Vol 3C 29.3 and table 28-7. Scenarios T41
 * to T44 and T46. NPT is in test_nested_npt.c, the combinations of formats in test_nested_matrix.c.
 */
#include "tests/mmu/nested_guest.h"

/* ---- roles ---- */

START_TEST(a_second_stage_keeps_only_what_counts_in_it)
{
    const struct ept_features features = {.execonly = true};
    union mmu_role host = role_of(PAGING_4LEVEL), other;
    struct mmu_second_stage second = second_stage_ept(0x5000 | 4 << 3 | BIT(6) | 6, &features);

    ck_assert_int_eq(second.role.format, PAGING_EPT5);
    ck_assert_uint_eq(second.root.v, 0x5000);
    ck_assert(second.role.ad && second.role.execonly && !second.role.mbec);
    ck_assert(!second_stage_ept(0x5000 | 3 << 3, &features).role.ad);

    other = host;
    other.wp = !host.wp;
    other.smap = other.pke = other.pks = 1;
    ck_assert_uint_eq(second_stage_npt(host, 0, false).role.word,
                      second_stage_npt(other, 0, false).role.word);
    other.nx = !host.nx;
    ck_assert_uint_ne(second_stage_npt(host, 0, false).role.word,
                      second_stage_npt(other, 0, false).role.word);

    host = role_of(PAGING_32BIT);
    ck_assert(second_stage_npt(host, 0, false).role.has_4_byte_gpte);
    ck_assert_uint_eq(second_stage_npt(host, 0x123456789f, false).role.stage2, 1);
    ck_assert_uint_eq(second_stage_npt(host, 0x123456789f, false).root.v, 0x34567000);
    host = role_of(PAGING_PAE);
    ck_assert_uint_eq(second_stage_npt(host, 0x123456789f, false).root.v, 0x34567880);
}
END_TEST

/* ---- T41: patterns ---- */

/* SDM Vol 3C 29.3.3.1, and what else the entry grants. */
static enum refill pattern_verdict(u32 rwx, u32 type, bool page, u32 features, u32 access,
                                   bool *misconfigured)
{
    const u32 need = access == X ? EX : access == WR ? EW : ER;

    *misconfigured = false;
    if (rwx == 0)
        return REFILL_NESTED;
    *misconfigured = ((rwx & ER) == 0 && (rwx & EW) != 0) ||
                     (rwx == EX && (features & EXECONLY) == 0) ||
                     (page ? type == 2 || type == 3 || type == 7 : type != 0);
    return *misconfigured || (rwx & need) == 0 ? REFILL_NESTED : REFILL_OK;
}

static void check_patterns(struct guest *g, u64 at, bool page, u32 features)
{
    static const u32 accesses[] = {R, WR, X};
    const u64 before = get64(g, at);

    set_unpaged(g, features);
    for (u32 pattern = 0; pattern < 64; pattern++) {
        set_low(g, at, pattern | (before & PS));
        for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
            bool misconfigured;
            const enum refill expected = pattern_verdict(pattern & 7, pattern >> 3, page, features,
                                                         accesses[i], &misconfigured);

            ck_assert_msg((u32)refill(g, PAGE, accesses[i]) == (u32)expected,
                          "entry %x, access %u, features %u", pattern, accesses[i], features);
            if (expected == REFILL_NESTED) {
                ck_assert_int_eq(g->mmu->nested.reason == NESTED_RESERVED, misconfigured);
                ck_assert_uint_eq(g->mmu->nested.gpa.v, PAGE);
            }
        }
    }
    put64(g, at, before);
}

START_TEST(all_patterns_of_ept_entries_are_judged_as_the_manual_says)
{
    struct guest *g = guest_ept(0);

    for (u32 features = 0; features < 4; features++) {
        check_patterns(g, s1_entry(PAGE), true, features);
        check_patterns(g, S2, false, features);
        check_patterns(g, S3, false, features);
        check_patterns(g, S4, false, features);
    }
    put64(g, S2, BACK | PS | RWX);
    check_patterns(g, S2, true, 0);
    check_patterns(g, S2, true, EXECONLY);
    put64(g, S3, PS | RWX);
    check_patterns(g, S3, true, 0);
    guest_destroy(g);
}
END_TEST

/* BUG-20 */
START_TEST(execute_only_pages_stop_reads_with_a_violation_and_no_page_fault)
{
    struct guest *g = guest_ept(EXECONLY);

    set_low(g, s1_entry(PAGE), EX | WB);
    ck_assert_uint_eq(goes_to(g, 0x10, X), BACK + PAGE + 0x10);
    ck_assert(!hits(g->mmu->bank, 0x10, R));
    ck_assert_uint_eq(violation_of(g, 0x10, R) & 0x1ff, BIT(0) | BIT(5) | BIT(7) | BIT(8));
    guest_destroy(g);
}
END_TEST

START_TEST(reserved_bits_of_ept_entries_are_misconfigurations)
{
    const u64 beyond = BITS(51, PHYS_BITS), software = BITS(63, 52) | BITS(11, 8);
    const struct {
        u64 at, good, reserved, ignored;
    } cases[] = {
        {S4, S3 | RWX, BITS(7, 3) | beyond, software},
        {S3, S2 | RWX, BITS(6, 3) | beyond, software},
        {S2, S1 | RWX, BITS(6, 3) | beyond, software},
        {S3, PS | RWX, BITS(29, 12) | beyond, software | BIT(6)},
        {S2, PS | RWX, BITS(20, 12) | beyond, software | BIT(6)},
        {s1_entry(PAGE), BACK | RWX, beyond, software | BITS(7, 6)},
    };
    struct guest *g = guest_ept(0);

    set_unpaged(g, 0);
    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        const u64 before = get64(g, cases[i].at);

        for (u32 bit = 0; bit < 64; bit++) {
            put64(g, cases[i].at, cases[i].good | BIT(bit));
            if ((cases[i].ignored & BIT(bit)) != 0)
                ck_assert_int_eq(refill(g, PAGE, R), REFILL_OK);
            if ((cases[i].reserved & BIT(bit)) != 0) {
                ck_assert_int_eq(nested_of(g, PAGE, R)->reason, NESTED_RESERVED);
                ck_assert_uint_eq(ept_qualification(&g->mmu->nested), 0);
            }
        }
        put64(g, cases[i].at, before);
    }
    guest_destroy(g);
}
END_TEST

START_TEST(misconfiguration_goes_before_violation_in_one_entry_and_after_it_below)
{
    struct guest *g = guest_ept(0);

    set_unpaged(g, 0);
    set_low(g, s1_entry(PAGE), EW | EX | WB); /* KVM's device entries */
    ck_assert_int_eq(nested_of(g, PAGE, R)->reason, NESTED_RESERVED);
    set_low(g, S2, 0);
    ck_assert_int_eq(nested_of(g, PAGE, R)->reason, NESTED_NOT_PRESENT);
    /* Rights are judged at the end of the walk only. */
    set_low(g, S2, ER);
    ck_assert_int_eq(nested_of(g, PAGE, WR)->reason, NESTED_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(ept_maps_pages_of_2_mib_and_1_gib)
{
    struct guest *g = guest_ept(0);
    const struct ept_features none = {.gbpages = false};
    struct mmu_second_stage second;

    put64(g, S2 + 8, 0x400000 | PS | RWX | WB);
    put64(g, S3 + 8, 0 | PS | RWX | WB);
    set_unpaged(g, 0);
    ck_assert_uint_eq(goes_to(g, 0x212345, R), 0x412345);
    ck_assert_uint_eq(goes_to(g, 0x40012345, R), 0x12345);
    second = second_stage_ept(S4 | 3 << 3, &none);
    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, (union mmu_role){.word = 0}, (gpa_t){0}, NULL);
    ck_assert_int_eq(nested_of(g, 0x40012345, R)->reason, NESTED_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(addresses_beyond_the_walk_length_are_violations_without_rights)
{
    struct guest *g = guest_ept(0);

    put64(g, BACK + L1, BIT(39) | PAGE | P | W | U); /* inside 48 bits: not mapped */
    ck_assert_uint_eq(violation_of(g, 0, R) & 0x3f, BIT(0));
    ck_assert_uint_eq(g->mmu->nested.gpa.v, BIT(39) | PAGE);
    guest_destroy(g);
}
END_TEST

/* ---- T42: qualification ---- */

/* BUG-19: bits 5:3 are R, W, X in this order. */
START_TEST(the_qualification_tells_the_rights_of_all_levels_together)
{
    static const u32 legal[] = {0, ER, ER | EW, EX, ER | EX, RWX};
    static const u32 accesses[] = {R, WR, X, RW};
    struct guest *g = guest_ept(EXECONLY);

    for (u32 upper = 0; upper < ARRAY_SIZE(legal); upper++) {
        for (u32 lower = 0; lower < ARRAY_SIZE(legal); lower++) {
            const u32 both = legal[upper] & legal[lower];

            set_low(g, S2, legal[upper]);
            set_low(g, s1_entry(PAGE), legal[lower] | WB);
            set_unpaged(g, EXECONLY);
            for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
                const u32 access = accesses[i];

                if ((access & ~both) == 0) {
                    ck_assert_uint_eq(goes_to(g, PAGE + 8, access), BACK + PAGE + 8);
                    continue;
                }
                ck_assert_uint_eq(violation_of(g, PAGE + 8, access) & 0x1ff,
                                  access | both << 3 | BIT(7) | BIT(8));
                ck_assert_uint_eq(g->mmu->nested.gpa.v, PAGE + 8);
                ck_assert_uint_eq(g->mmu->nested.va, PAGE + 8);
            }
        }
    }
    guest_destroy(g);
}
END_TEST

START_TEST(an_access_to_a_table_is_told_from_one_to_the_page)
{
    static const u64 tables[] = {L4, L3, L2, L1};
    struct guest *g = guest_ept(0);

    for (u32 i = 0; i < ARRAY_SIZE(tables); i++) {
        const u64 entry = get64(g, s1_entry(tables[i]));

        put64(g, s1_entry(tables[i]), 0);
        ck_assert_uint_eq(violation_of(g, 0x123, WR), BIT(0) | BIT(7)); /* the entry is read */
        ck_assert_uint_eq(g->mmu->nested.gpa.v, tables[i]);
        ck_assert_uint_eq(g->mmu->nested.va, 0x123);
        ck_assert(g->mmu->nested.table);
        put64(g, s1_entry(tables[i]), entry);
    }
    put64(g, s1_entry(PAGE), 0);
    ck_assert_uint_eq(violation_of(g, 0x123, WR) & 0x1ff, BIT(1) | BIT(7) | BIT(8));
    ck_assert_uint_eq(g->mmu->nested.gpa.v, PAGE + 0x123);
    guest_destroy(g);
}
END_TEST

START_TEST(advanced_information_describes_the_linear_address)
{
    struct guest *g = guest_ept(0);

    put64(g, s1_entry(PAGE), 0);
    ck_assert_uint_eq(violation_of(g, 0, R) >> 9, 1 | 2);
    put64(g, BACK + L1, PAGE | P | W);
    ck_assert_uint_eq(violation_of(g, 0, R) >> 9, 2);
    put64(g, BACK + L1, PAGE | P | U | NX);
    ck_assert_uint_eq(violation_of(g, 0, R) >> 9, 1 | 4);
    set_unpaged(g, 0); /* every address is a user-mode one, writable and executable */
    ck_assert_uint_eq(violation_of(g, PAGE, R) >> 9, 1 | 2);
    guest_destroy(g);
}
END_TEST

START_TEST(a_load_of_pdptes_has_no_linear_address_and_is_a_read)
{
    struct guest *g = guest_ept(AD);
    u64 value;

    put64(g, BACK + 0x6020, 0x1122334455667788);
    ck_assert(mmu_read_nested(g->mmu, (gpa_t){0x6020}, 8, &value));
    ck_assert_uint_eq(value, 0x1122334455667788);
    ck_assert_uint_eq(get64(g, s1_entry(0x6000)) & (EA | ED), EA);
    put64(g, s1_entry(0x6000), 0);
    ck_assert(!mmu_read_nested(g->mmu, (gpa_t){0x6020}, 8, &value));
    ck_assert_uint_eq(ept_qualification(&g->mmu->nested), BIT(0));
    ck_assert_uint_eq(g->mmu->nested.gpa.v, 0x6020);
    mmu_set_second_stage(g->mmu, NULL);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    ck_assert(mmu_read_nested(g->mmu, (gpa_t){BACK + 0x6020}, 8, &value));
    ck_assert_uint_eq(value, 0x1122334455667788);
    guest_destroy(g);
}
END_TEST

START_TEST(page_faults_of_the_nested_guest_go_before_violations_of_its_page)
{
    struct guest *g = guest_ept(0);

    put64(g, s1_entry(PAGE), 0);
    put64(g, BACK + L1, PAGE | P | U);
    ck_assert_uint_eq(fault_of(g, 0, WR), PF_PRESENT | PF_WRITE);
    put64(g, BACK + L1, 0);
    ck_assert_uint_eq(fault_of(g, 0, R), 0);
    put64(g, BACK + L1, BIT(50) | P);
    ck_assert_uint_eq(fault_of(g, 0, R), PF_PRESENT | PF_RESERVED);
    put64(g, s1_entry(L2), 0);
    ck_assert_uint_eq(violation_of(g, 0, R), BIT(0) | BIT(7));
    guest_destroy(g);
}
END_TEST

/* ---- T43, T44: accessed and dirty flags ---- */

/* BUG-21 */
START_TEST(with_ept_flags_a_table_is_accessed_as_if_written)
{
    static const u64 tables[] = {L4, L3, L2, L1};
    struct guest *g = guest_ept(AD);

    for (u32 i = 0; i < ARRAY_SIZE(tables); i++) {
        set_low(g, s1_entry(tables[i]), ER | EX | WB);
        ck_assert_uint_eq(violation_of(g, 0, R), BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(7));
        ck_assert_uint_eq(g->mmu->nested.gpa.v, tables[i]);
        set_low(g, s1_entry(tables[i]), RWX | WB);
    }
    ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
    for (u32 i = 0; i < ARRAY_SIZE(tables); i++)
        ck_assert_uint_eq(get64(g, s1_entry(tables[i])) & (EA | ED), EA | ED);
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & (EA | ED), EA);
    ck_assert_uint_eq(get64(g, S2) & (EA | ED), EA);
    ck_assert_uint_eq(get64(g, S3) & (EA | ED), EA);
    ck_assert_uint_eq(get64(g, S4) & (EA | ED), EA);
    ck_assert_uint_eq(goes_to(g, 0, WR), BACK + PAGE);
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & (EA | ED), EA | ED);
    guest_destroy(g);
}
END_TEST

START_TEST(without_ept_flags_none_are_set_and_tables_are_read)
{
    struct guest *g = guest_ept(0);

    for (u64 table = L4; table <= L1; table += 0x1000) {
        set_low(g, s1_entry(table), ER | WB);
        put64(g, BACK + table, get64(g, BACK + table) | A);
    }
    ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
    /* D is to be set: read and written, where only reading is allowed. */
    ck_assert_uint_eq(violation_of(g, 0, WR), BIT(0) | BIT(1) | BIT(3) | BIT(7));
    ck_assert_uint_eq(g->mmu->nested.gpa.v, L1);
    put64(g, BACK + L1, get64(g, BACK + L1) | D);
    ck_assert_uint_eq(goes_to(g, 0, WR), BACK + PAGE);
    put64(g, BACK + L3, get64(g, BACK + L3) & ~(u64)A);
    ck_assert_uint_eq(violation_of(g, 0, R), BIT(0) | BIT(1) | BIT(3) | BIT(7));
    ck_assert_uint_eq(g->mmu->nested.gpa.v, L3);
    for (u64 i = 0; i < 16; i++)
        ck_assert_uint_eq(get64(g, S1 + 8 * i) & (EA | ED), 0);
    ck_assert_uint_eq(get64(g, S4) & EA, 0);
    guest_destroy(g);
}
END_TEST

START_TEST(a_denied_access_leaves_the_first_stage_alone_but_not_the_way_to_its_tables)
{
    struct guest *g = guest_ept(AD);

    set_low(g, s1_entry(PAGE), ER | WB);
    violation_of(g, 0, WR);
    for (u64 table = L4; table <= L1; table += 0x1000) {
        ck_assert_uint_eq(get64(g, BACK + table) & (A | D), 0);
        ck_assert_uint_eq(get64(g, s1_entry(table)) & (EA | ED), EA | ED);
    }
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & (EA | ED), 0);
    ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
    for (u64 table = L4; table <= L1; table += 0x1000)
        ck_assert_uint_eq(get64(g, BACK + table) & (A | D), A);
    guest_destroy(g);
}
END_TEST

START_TEST(a_probe_through_both_stages_changes_nothing)
{
    struct guest *g = guest_ept(AD);
    hpa_t hpa;

    ck_assert(mmu_probe(g->mmu, 0x55, &hpa));
    ck_assert_uint_eq(hpa.v, BACK + PAGE + 0x55);
    ck_assert_uint_eq(get64(g, BACK + L4) & A, 0);
    ck_assert_uint_eq(get64(g, S4) & EA, 0);
    put64(g, s1_entry(L2), 0);
    ck_assert(!mmu_probe(g->mmu, 0x55, &hpa));
    set_unpaged(g, AD);
    ck_assert(mmu_probe(g->mmu, PAGE + 1, &hpa));
    ck_assert_uint_eq(hpa.v, BACK + PAGE + 1);
    guest_destroy(g);
}
END_TEST

/* ---- T46: mode-based execute control ---- */

START_TEST(mbec_splits_execution_by_whose_the_linear_address_is)
{
    struct guest *g = guest_ept(MBEC | EXECONLY);
    const u64 page = BACK + L1;

    for (u32 pattern = 0; pattern < 4; pattern++) {
        const u64 entry = ER | (pattern & 1 ? EX : 0) | (pattern & 2 ? UX : 0);

        set_low(g, s1_entry(PAGE), entry | WB);
        for (u32 user = 0; user < 2; user++) {
            const bool allowed = (pattern & (user ? 2 : 1)) != 0;

            put64(g, page, PAGE | P | (user ? U : 0));
            ck_assert_int_eq(refill(g, 0, X), allowed ? REFILL_OK : REFILL_NESTED);
            if (!allowed)
                ck_assert_uint_eq(ept_qualification(&g->mmu->nested) & 0x7f,
                                  BIT(2) | BIT(3) | (pattern & 1 ? BIT(5) : 0) |
                                      (pattern & 2 ? BIT(6) : 0));
        }
    }
    guest_destroy(g);
}
END_TEST

START_TEST(mbec_makes_an_entry_with_bit_10_alone_present)
{
    struct guest *g = guest_ept(0);

    set_low(g, s1_entry(PAGE), UX | WB);
    set_unpaged(g, 0);
    ck_assert_int_eq(nested_of(g, PAGE, X)->reason, NESTED_NOT_PRESENT);
    set_unpaged(g, MBEC);
    ck_assert_int_eq(nested_of(g, PAGE, X)->reason, NESTED_RESERVED);
    set_unpaged(g, MBEC | EXECONLY);
    ck_assert_uint_eq(goes_to(g, PAGE, X), BACK + PAGE);
    ck_assert_uint_eq(violation_of(g, PAGE, R) & 0x7f, BIT(0) | BIT(6));
    guest_destroy(g);
}
END_TEST

/* BUG-31: bit 10 that is clear, and bit 10 that means nothing. */
START_TEST(one_ept_with_and_without_mbec_is_two_contexts)
{
    struct guest *g = guest_ept(0);

    set_low(g, s1_entry(PAGE), ER | EX | WB); /* not for user-mode addresses under MBEC */
    ck_assert_uint_eq(goes_to(g, 0, X), BACK + PAGE);
    set_paged(g, MBEC);
    ck_assert(!hits(g->mmu->bank, 0, X));
    ck_assert_int_eq(refill(g, 0, X), REFILL_NESTED);
    set_paged(g, 0);
    ck_assert(hits(g->mmu->bank, 0, X));
    guest_destroy(g);
}
END_TEST

/* ---- coherence ---- */

/* Each entry that a translation came through, of either stage. */
static void check_coherence(struct guest *g, u64 accessed)
{
    const u64 entries[] = {S4,           S3,           S2,           s1_entry(L4),
                           s1_entry(L3), s1_entry(L2), s1_entry(L1), s1_entry(PAGE),
                           BACK + L4,    BACK + L3,    BACK + L2,    BACK + L1};

    for (u32 i = 0; i < ARRAY_SIZE(entries); i++) {
        const u64 entry = get64(g, entries[i]);

        ck_assert_uint_eq(goes_to(g, 0, RW), BACK + PAGE);
        ck_assert(hits(g->mmu->bank, 0, WR));
        put64(g, entries[i], entry & ~(u64)7);
        ck_assert_msg(!hits(g->mmu->bank, 0, R), "entry %u", i);
        ck_assert_int_ne(refill(g, 0, R), REFILL_OK);
        put64(g, entries[i], entry);
        ck_assert_uint_eq(goes_to(g, 0, RW), BACK + PAGE);
        put64(g, entries[i], get64(g, entries[i]) & ~(u64)W); /* write, in all formats */
        ck_assert_msg(!hits(g->mmu->bank, 0, WR), "entry %u", i);
        put64(g, entries[i], entry);
        goes_to(g, 0, RW);
        put64(g, entries[i], get64(g, entries[i]) & ~accessed);
        ck_assert_msg(!hits(g->mmu->bank, 0, R), "entry %u", i);
        put64(g, entries[i], entry);
    }
}

START_TEST(a_store_over_any_entry_of_both_stages_revokes)
{
    struct guest *g = guest_ept(AD);

    goes_to(g, 0, RW);
    check_coherence(g, A | EA);
    guest_destroy(g);
    g = guest_npt(role_of(PAGING_4LEVEL));
    goes_to(g, 0, RW);
    check_coherence(g, A);
    guest_destroy(g);
}
END_TEST

/* A PAE host whose PDPTE, at S4 + 0x20, is also entry 4 of a page table: an accessed flag set there
 * is a reserved bit in the PDPTE. */
static void set_pdpte_is_pte(struct guest *g)
{
    const struct mmu_second_stage second = second_stage_npt(role_of(PAGING_PAE), S4 + 0x20, false);

    mmu_set_second_stage(g->mmu, &second);
}

static struct guest *guest_pdpte_is_pte(void)
{
    struct guest *g = guest_create();

    put64(g, S4 + 0x20, S2 | P);
    put64(g, S2, S1 | P | W | U);
    for (u64 i = 0; i < 512; i++)
        put64(g, S1 + 8 * i, (BACK + (i << 12)) | P | W | U);
    set_pdpte_is_pte(g);
    return g;
}

START_TEST(a_walk_that_breaks_its_own_second_stage_is_not_kept)
{
    struct guest *g = guest_pdpte_is_pte();

    put_nested_tables(g);
    put64(g, s1_entry(L1), S4 | P | W | U);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    ck_assert_uint_eq(goes_to(g, 0x4000, R), BACK + S2);
    ck_assert_uint_eq(get64(g, S4 + 0x20), S2 | P | A);
    ck_assert(!hits(g->mmu->bank, 0x4000, R));
    ck_assert_uint_eq(npf_of(g, 0x4000, R),
                      PF_PRESENT | PF_WRITE | PF_USER | PF_RESERVED | BIT(33));
    guest_destroy(g);
}
END_TEST

START_TEST(an_accessed_flag_that_another_walk_sets_in_a_pdpte_revokes)
{
    struct guest *g = guest_pdpte_is_pte();

    mmu_set_context(g->mmu, (union mmu_role){.word = 0}, (gpa_t){0}, NULL);
    ck_assert_uint_eq(goes_to(g, PAGE, R), BACK + PAGE);
    chain(g, 3, P | W | U); /* L1's own tables: L4, L3, L2, and S4 as the last */
    mmu_set_second_stage(g->mmu, NULL);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    put64(g, L2, S4 | P | W | U);
    ck_assert_uint_eq(goes_to(g, 0x4000, R), S2);
    ck_assert_uint_eq(get64(g, S4 + 0x20), S2 | P | A);
    set_pdpte_is_pte(g);
    mmu_set_context(g->mmu, (union mmu_role){.word = 0}, (gpa_t){0}, NULL);
    ck_assert(!hits(g->mmu->bank, PAGE, R));
    ck_assert_uint_eq(npf_of(g, PAGE, R), PF_PRESENT | PF_USER | PF_RESERVED | BIT(32));
    guest_destroy(g);
}
END_TEST

START_TEST(a_read_translation_is_asked_again_for_the_first_write)
{
    struct guest *g = guest_ept(AD);

    put64(g, BACK + L1, PAGE | P | W | U | A | D); /* dirty in the first stage only */
    ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & ED, 0);
    ck_assert(!hits(g->mmu->bank, 0, WR));
    goes_to(g, 0, WR);
    ck_assert_uint_eq(get64(g, s1_entry(PAGE)) & ED, ED);
    guest_destroy(g);
}
END_TEST

START_TEST(the_second_level_knows_the_rights_of_both_stages)
{
    struct guest *g = guest_ept(0);
    u64 walks;

    set_low(g, s1_entry(PAGE), ER | EX | WB);
    goes_to(g, 0, R);
    walks = mmu_stats(g->mmu)->walks;
    goes_to(g, 0, X);
    ck_assert_uint_eq(mmu_stats(g->mmu)->walks, walks);
    ck_assert_int_eq(refill(g, 0, WR), REFILL_NESTED);
    guest_destroy(g);
}
END_TEST

START_TEST(contexts_with_and_without_second_stage_stay_warm)
{
    struct guest *g = guest_ept(0);
    u64 walks;

    chain(g, 4, P | W | U); /* L1's own tables, at the addresses of the nested ones */
    put64(g, PT, 0x7000 | P | W | U);
    for (u32 round = 0; round < 3; round++) {
        if (round == 2)
            walks = mmu_stats(g->mmu)->walks;
        set_paged(g, 0);
        ck_assert_uint_eq(goes_to(g, 0, R), BACK + PAGE);
        mmu_set_second_stage(g->mmu, NULL);
        mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
        ck_assert_uint_eq(goes_to(g, 0, R), 0x7000);
    }
    ck_assert_uint_eq(mmu_stats(g->mmu)->walks, walks);
    guest_destroy(g);
}
END_TEST

START_TEST(tables_nowhere_are_absent_or_reserved_and_nothing_is_kept)
{
    struct guest *g = guest_ept(0);

    put64(g, S4, MMIO_BASE | RWX);
    g->device.answer = S2 | RWX;
    set_unpaged(g, 0);
    ck_assert_uint_eq(goes_to(g, PAGE, R), BACK + PAGE);
    ck_assert(!hits(g->mmu->bank, PAGE, R));
    g->device.answer = 0;
    ck_assert_int_eq(nested_of(g, PAGE, R)->reason, NESTED_NOT_PRESENT);
    put64(g, S4, 0x50000000 | RWX); /* a hole: all ones */
    ck_assert_int_eq(nested_of(g, PAGE, R)->reason, NESTED_RESERVED);
    guest_destroy(g);
}
END_TEST

START_TEST(an_ept_that_maps_itself_is_walked)
{
    struct guest *g = guest_ept(AD);

    put64(g, S1, S1 | RWX | WB); /* nested-physical page 0 is the table that maps it */
    set_unpaged(g, AD);
    ck_assert_uint_eq(goes_to(g, 8 * (PAGE >> 12), RW), s1_entry(PAGE));
    ck_assert_uint_eq(goes_to(g, PAGE, R), BACK + PAGE);
    put64(g, s1_entry(PAGE), (BACK + 0x20000) | RWX | WB);
    ck_assert_uint_eq(goes_to(g, PAGE, R), BACK + 0x20000);
    guest_destroy(g);
}
END_TEST

RUN_TESTS("nested", a_second_stage_keeps_only_what_counts_in_it,
          all_patterns_of_ept_entries_are_judged_as_the_manual_says,
          execute_only_pages_stop_reads_with_a_violation_and_no_page_fault,
          reserved_bits_of_ept_entries_are_misconfigurations,
          misconfiguration_goes_before_violation_in_one_entry_and_after_it_below,
          ept_maps_pages_of_2_mib_and_1_gib,
          addresses_beyond_the_walk_length_are_violations_without_rights,
          the_qualification_tells_the_rights_of_all_levels_together,
          an_access_to_a_table_is_told_from_one_to_the_page,
          advanced_information_describes_the_linear_address,
          a_load_of_pdptes_has_no_linear_address_and_is_a_read,
          page_faults_of_the_nested_guest_go_before_violations_of_its_page,
          with_ept_flags_a_table_is_accessed_as_if_written,
          without_ept_flags_none_are_set_and_tables_are_read,
          a_denied_access_leaves_the_first_stage_alone_but_not_the_way_to_its_tables,
          a_probe_through_both_stages_changes_nothing,
          mbec_splits_execution_by_whose_the_linear_address_is,
          mbec_makes_an_entry_with_bit_10_alone_present,
          one_ept_with_and_without_mbec_is_two_contexts,
          a_store_over_any_entry_of_both_stages_revokes,
          a_walk_that_breaks_its_own_second_stage_is_not_kept,
          an_accessed_flag_that_another_walk_sets_in_a_pdpte_revokes,
          a_read_translation_is_asked_again_for_the_first_write,
          the_second_level_knows_the_rights_of_both_stages,
          contexts_with_and_without_second_stage_stay_warm,
          tables_nowhere_are_absent_or_reserved_and_nothing_is_kept,
          an_ept_that_maps_itself_is_walked)
