/* SPDX-License-Identifier: MIT */
/* Access rights and page-fault error codes: SDM Vol 3A 4.6 and 4.7. */
#include "mmu/format.h"
#include "tests/mmu/guest.h"

enum { R = ACCESS_READ, WR = ACCESS_WRITE, X = ACCESS_FETCH };

static const u32 ro = RIGHT_EXEC, rw = RIGHT_EXEC | RIGHT_WRITE;
static const u32 user_ro = RIGHT_EXEC | RIGHT_USER, user_rw = RIGHTS_ALL;

static struct accessor supervisor(void)
{
    return (struct accessor){.role = role_of(PAGING_4LEVEL)};
}

static struct accessor user(void)
{
    return (struct accessor){.role = role_of(PAGING_4LEVEL), .user = true};
}

START_TEST(a_supervisor_may_read_and_fetch_every_page)
{
    const struct accessor who = supervisor();

    ck_assert_uint_eq(rights_check(&who, R, ro, 0), 0);
    ck_assert_uint_eq(rights_check(&who, R, user_ro, 0), 0);
    ck_assert_uint_eq(rights_check(&who, X, user_ro, 0), 0);
}
END_TEST

START_TEST(a_user_may_touch_user_pages_only)
{
    const struct accessor who = user();

    ck_assert_uint_eq(rights_check(&who, R, user_ro, 0), 0);
    ck_assert_uint_eq(rights_check(&who, X, user_ro, 0), 0);
    ck_assert_uint_eq(rights_check(&who, R, rw, 0), PF_PRESENT | PF_USER);
    ck_assert_uint_eq(rights_check(&who, X, rw, 0), PF_PRESENT | PF_USER | PF_FETCH);
}
END_TEST

START_TEST(write_to_read_only_page_is_not_allowed)
{
    const struct accessor who = supervisor();
    const struct accessor other = user();

    ck_assert_uint_eq(rights_check(&who, WR, ro, 0), PF_PRESENT | PF_WRITE);
    ck_assert_uint_eq(rights_check(&who, WR, rw, 0), 0);
    ck_assert_uint_eq(rights_check(&other, WR, user_ro, 0), PF_PRESENT | PF_WRITE | PF_USER);
    ck_assert_uint_eq(rights_check(&other, WR, user_rw, 0), 0);
}
END_TEST

START_TEST(without_wp_a_supervisor_writes_read_only_pages)
{
    struct accessor who = supervisor();
    struct accessor other = user();

    who.role.wp = other.role.wp = 0;
    ck_assert_uint_eq(rights_check(&who, WR, ro, 0), 0);
    ck_assert_uint_eq(rights_check(&who, WR, user_ro, 0), 0);
    ck_assert_uint_eq(rights_check(&other, WR, user_ro, 0), PF_PRESENT | PF_WRITE | PF_USER);
}
END_TEST

START_TEST(nx_forbids_fetches_only)
{
    const struct accessor who = supervisor();

    ck_assert_uint_eq(rights_check(&who, X, RIGHT_WRITE, 0), PF_PRESENT | PF_FETCH);
    ck_assert_uint_eq(rights_check(&who, R | WR, RIGHT_WRITE, 0), 0);
}
END_TEST

START_TEST(smep_forbids_supervisor_fetches_from_user_pages)
{
    struct accessor who = supervisor();
    struct accessor other = user();

    who.role.smep = other.role.smep = 1;
    ck_assert_uint_eq(rights_check(&who, X, user_ro, 0), PF_PRESENT | PF_FETCH);
    ck_assert_uint_eq(rights_check(&who, X, ro, 0), 0);
    ck_assert_uint_eq(rights_check(&other, X, user_ro, 0), 0);
}
END_TEST

START_TEST(smap_forbids_supervisor_data_accesses_to_user_pages)
{
    struct accessor who = supervisor();

    who.smap = true;
    ck_assert_uint_eq(rights_check(&who, R, user_rw, 0), PF_PRESENT);
    ck_assert_uint_eq(rights_check(&who, WR, user_rw, 0), PF_PRESENT | PF_WRITE);
    ck_assert_uint_eq(rights_check(&who, X, user_rw, 0), 0);
    ck_assert_uint_eq(rights_check(&who, WR, rw, 0), 0);
}
END_TEST

START_TEST(the_fetch_bit_is_told_only_with_nxe_or_smep)
{
    union mmu_role role = role_of(PAGING_4LEVEL);

    ck_assert_uint_eq(rights_error_base(role, false, X), PF_FETCH);
    role.nx = 0;
    ck_assert_uint_eq(rights_error_base(role, false, X), 0);
    role.smep = 1;
    ck_assert_uint_eq(rights_error_base(role, false, X), PF_FETCH);
    role = role_of(PAGING_32BIT);
    role.nx = 1; /* EFER.NXE without CR4.PAE */
    ck_assert_uint_eq(rights_error_base(role, true, X), PF_USER);
    role.smep = 1;
    ck_assert_uint_eq(rights_error_base(role, true, X), PF_USER | PF_FETCH);
}
END_TEST

START_TEST(pkru_guards_user_pages_against_everybody)
{
    struct accessor who = user();

    who.role.pke = 1;
    who.pkru = 1 << 2 * 3; /* AD of key 3 */
    ck_assert_uint_eq(rights_check(&who, R, user_rw, 3), PF_PRESENT | PF_USER | PF_KEY);
    ck_assert_uint_eq(rights_check(&who, R, user_rw, 2), 0);
    ck_assert_uint_eq(rights_check(&who, X, user_rw, 3), 0);
    who.user = false;
    ck_assert_uint_eq(rights_check(&who, R, user_rw, 3), PF_PRESENT | PF_KEY);
    ck_assert_uint_eq(rights_check(&who, R, rw, 3), 0); /* a supervisor page */
}
END_TEST

START_TEST(write_disable_binds_supervisors_only_under_wp)
{
    struct accessor who = user();

    who.role.pke = 1;
    who.pkru = 2; /* WD of key 0 */
    ck_assert_uint_eq(rights_check(&who, R, user_rw, 0), 0);
    ck_assert_uint_eq(rights_check(&who, WR, user_rw, 0), PF_PRESENT | PF_WRITE | PF_USER | PF_KEY);
    who.user = false;
    ck_assert_uint_eq(rights_check(&who, WR, user_rw, 0), PF_PRESENT | PF_WRITE | PF_KEY);
    who.role.wp = 0;
    ck_assert_uint_eq(rights_check(&who, WR, user_rw, 0), 0);
}
END_TEST

START_TEST(pkrs_guards_supervisor_pages)
{
    struct accessor who = supervisor();

    who.role.pks = 1;
    who.pkrs = 1 << 2 * 5 | 2 << 2 * 6;
    ck_assert_uint_eq(rights_check(&who, R, rw, 5), PF_PRESENT | PF_KEY);
    ck_assert_uint_eq(rights_check(&who, R, user_rw, 5), 0);
    ck_assert_uint_eq(rights_check(&who, WR, rw, 6), PF_PRESENT | PF_WRITE | PF_KEY);
    ck_assert_uint_eq(rights_check(&who, R, rw, 6), 0);
    ck_assert_uint_eq(rights_check(&who, X, rw, 5), 0);
}
END_TEST

START_TEST(a_key_is_blamed_even_where_the_page_denies_too)
{
    struct accessor who = user();

    who.role.pke = 1;
    who.pkru = 2;
    ck_assert_uint_eq(rights_check(&who, WR, user_ro, 0), PF_PRESENT | PF_WRITE | PF_USER | PF_KEY);
}
END_TEST

START_TEST(rights_of_all_levels_are_taken_together)
{
    static const u64 tables[] = {PML4, PDPT, PD, PT};
    struct guest *g = guest_4level();

    put64(g, PT, 0x7000 | P | W | U);
    mmu_set_privilege(g->mmu, true, false);
    ck_assert_uint_eq(goes_to(g, 0, WR), 0x7000);
    for (u32 i = 0; i < ARRAY_SIZE(tables); i++) {
        const u64 entry = get64(g, tables[i]);

        put64(g, tables[i], entry & ~(u64)W);
        ck_assert_uint_eq(fault_of(g, 0, WR), PF_PRESENT | PF_WRITE | PF_USER);
        put64(g, tables[i], entry & ~(u64)U);
        ck_assert_uint_eq(fault_of(g, 0, R), PF_PRESENT | PF_USER);
        put64(g, tables[i], entry | NX);
        ck_assert_uint_eq(fault_of(g, 0, X), PF_PRESENT | PF_USER | PF_FETCH);
        put64(g, tables[i], entry);
        ck_assert_uint_eq(goes_to(g, 0, WR), 0x7000);
    }
    guest_destroy(g);
}
END_TEST

START_TEST(implicit_accesses_at_cpl_3_are_supervisor_accesses)
{
    struct guest *g = guest_4level();

    put64(g, PT, 0x7000 | P | W);
    mmu_set_privilege(g->mmu, true, true);
    ck_assert_uint_eq(fault_of(g, 0, R), PF_PRESENT | PF_USER);
    ck_assert_uint_eq(goes_to(g, 0, R | ACCESS_IMPLICIT), 0x7000);
    ck_assert(!hits(g->mmu->bank, 0, R));
    ck_assert(hits(g->mmu->system_bank, 0, R));
    ck_assert_uint_eq(fault_of(g, 0x1000, R | ACCESS_IMPLICIT), 0);
    guest_destroy(g);
}
END_TEST

START_TEST(smap_binds_implicit_accesses_whatever_ac_is)
{
    struct guest *g = guest_4level();
    union mmu_role role = role_of(PAGING_4LEVEL);

    role.smap = 1;
    put64(g, PT, 0x7000 | P | W | U);
    mmu_set_context(g->mmu, role, (gpa_t){PML4}, NULL);
    mmu_set_privilege(g->mmu, false, true);
    ck_assert_uint_eq(goes_to(g, 0, R), 0x7000);
    ck_assert_uint_eq(fault_of(g, 0, R | ACCESS_IMPLICIT), PF_PRESENT);
    mmu_set_privilege(g->mmu, false, false);
    ck_assert(!hits(g->mmu->bank, 0, R));
    ck_assert_uint_eq(fault_of(g, 0, R), PF_PRESENT);
    mmu_set_privilege(g->mmu, false, true);
    ck_assert(hits(g->mmu->bank, 0, R));
    guest_destroy(g);
}
END_TEST

START_TEST(a_change_of_keys_is_seen_at_once)
{
    struct guest *g = guest_4level();
    union mmu_role role = role_of(PAGING_4LEVEL);

    role.pke = 1;
    put64(g, PT, 0x7000 | P | W | U | (u64)4 << 59);
    mmu_set_context(g->mmu, role, (gpa_t){PML4}, NULL);
    mmu_set_privilege(g->mmu, true, false);
    ck_assert_uint_eq(goes_to(g, 0, WR), 0x7000);
    ck_assert(hits(g->mmu->bank, 0, WR));
    mmu_set_keys(g->mmu, 2 << 2 * 4, 0);
    ck_assert(!hits(g->mmu->bank, 0, WR));
    ck_assert_uint_eq(goes_to(g, 0, R), 0x7000);
    ck_assert_uint_eq(fault_of(g, 0, WR), PF_PRESENT | PF_WRITE | PF_USER | PF_KEY);
    mmu_set_keys(g->mmu, 0, 0);
    ck_assert_uint_eq(goes_to(g, 0, WR), 0x7000);
    guest_destroy(g);
}
END_TEST

START_TEST(the_smm_role_sees_smram)
{
    struct guest *g = guest_create();
    union mmu_role role = {.word = 0};
    struct error error;
    struct target target;
    const u64 value = 0x55;

    ck_assert(memory_add_smram(g->memory, (hpa_t){0xa0000}, 0x1000, &error));
    memory_smram_write(g->memory, (hpa_t){0xa0000}, &value, 8);
    role.smm = 1;
    ck_assert_int_eq(mmu_refill(g->mmu, 0xa0000, R, &target), REFILL_OK);
    ck_assert_uint_eq(*target.host, 0);
    mmu_set_context(g->mmu, role, (gpa_t){0}, NULL);
    ck_assert(!hits(g->mmu->bank, 0xa0000, R));
    ck_assert_int_eq(mmu_refill(g->mmu, 0xa0000, R, &target), REFILL_OK);
    ck_assert_uint_eq(*target.host, 0x55);
    ck_assert_uint_eq(mmu_read_physical(g->mmu, (gpa_t){0xa0000}, 8), 0x55);
    guest_destroy(g);
}
END_TEST

RUN_TESTS("rights", a_supervisor_may_read_and_fetch_every_page, a_user_may_touch_user_pages_only,
          write_to_read_only_page_is_not_allowed, without_wp_a_supervisor_writes_read_only_pages,
          nx_forbids_fetches_only, smep_forbids_supervisor_fetches_from_user_pages,
          smap_forbids_supervisor_data_accesses_to_user_pages,
          the_fetch_bit_is_told_only_with_nxe_or_smep, pkru_guards_user_pages_against_everybody,
          write_disable_binds_supervisors_only_under_wp, pkrs_guards_supervisor_pages,
          a_key_is_blamed_even_where_the_page_denies_too, rights_of_all_levels_are_taken_together,
          implicit_accesses_at_cpl_3_are_supervisor_accesses,
          smap_binds_implicit_accesses_whatever_ac_is, a_change_of_keys_is_seen_at_once,
          the_smm_role_sees_smram)
