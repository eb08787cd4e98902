/* SPDX-License-Identifier: MIT */
/*
 * What no guest can bring about by itself, because something before prevents it: refreshing a page
 * in a foreign context, memory that changes during a walk, more unsync pages than there are places.
 */
#include "mmu/shadow/shadow_impl.h"
#include "tests/mmu/guest.h"

static struct guest *shadowed(enum shadow_sync sync)
{
    const struct shadow_options options = {.sync = sync, .unsync_after = 1};
    struct guest *g = calloc(1, sizeof(*g));
    struct error error;

    g->memory = memory_create(PHYS_BITS);
    ck_assert(memory_add_ram(g->memory, "ram", (hpa_t){0}, RAM_SIZE, &error));
    shadow_create(g->memory, &options);
    g->mmu = mmu_create(g->memory, PHYS_BITS);
    return g;
}

static void use(struct guest *g, union mmu_role role)
{
    static const u64 pdptes[4] = {PD | P, PD | P, PD | P, PD | P};
    const gpa_t root = {role.format == PAGING_4LEVEL ? PML4 : PD};

    mmu_set_context(g->mmu, role, root, role.format == PAGING_PAE ? pdptes : NULL);
}

static void audit(const struct guest *g)
{
    char report[256];

    if (!shadow_audit(memory_shadow(g->memory), report, sizeof(report)))
        ck_abort_msg("%s", report);
}

/* Tables of role `made` with one page in use at linear 0; its level-1 page goes unsync. */
static u32 unsync_page_of(struct guest *g, union mmu_role made)
{
    struct shadow *shadow = memory_shadow(g->memory);
    u32 index;

    chain(g, 4, P | W | U | A);
    put64(g, PT, 0x8000 | P | W | U | A | D);
    use(g, made);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x8000);
    index = page_first(shadow, PT >> PAGE_SHIFT);
    ck_assert_uint_ne(index, 0);
    unsync_mark(shadow, page_at(shadow, index));
    frame_watch_update(shadow, PT >> PAGE_SHIFT);
    audit(g);
    return index;
}

/* A page made under one role, and the context that is asked to refresh it. */
static void refresh_is_refused(union mmu_role made, union mmu_role running)
{
    struct guest *g = shadowed(SYNC_STRICT);
    struct shadow *shadow = memory_shadow(g->memory);
    const u32 index = unsync_page_of(g, made);

    use(g, running);
    ck_assert(!sync_allowed(g->mmu->impl, page_at(shadow, index)));
    ck_assert(!sync_page(g->mmu->impl, index, false));
    ck_assert_uint_eq(page_at(shadow, index)->serial, 0); /* and it is gone */
    ck_assert_uint_eq(page_first(shadow, PT >> PAGE_SHIFT), 0);
    ck_assert_uint_eq(shadow_stats(shadow)->sync_role_mismatch, 2);
    guest_destroy(g);
}

static union mmu_role nested(union mmu_role role)
{
    role.guest_mode = 1;
    return role;
}

START_TEST(page_is_not_refreshed_with_another_entry_size)
{
    refresh_is_refused(role_of(PAGING_PAE), role_of(PAGING_32BIT));
    refresh_is_refused(role_of(PAGING_4LEVEL), role_of(PAGING_32BIT));
    refresh_is_refused(role_of(PAGING_32BIT), role_of(PAGING_PAE));
    refresh_is_refused(role_of(PAGING_32BIT), role_of(PAGING_4LEVEL));
    refresh_is_refused(nested(role_of(PAGING_PAE)), nested(role_of(PAGING_32BIT)));
}
END_TEST

START_TEST(page_is_not_refreshed_under_another_role_with_the_same_entry_size)
{
    union mmu_role other = role_of(PAGING_PAE);

    refresh_is_refused(role_of(PAGING_PAE), role_of(PAGING_4LEVEL));
    refresh_is_refused(role_of(PAGING_PAE), nested(role_of(PAGING_PAE)));
    refresh_is_refused(nested(role_of(PAGING_PAE)), role_of(PAGING_PAE));
    refresh_is_refused(nested(role_of(PAGING_32BIT)), role_of(PAGING_32BIT));
    other.nx = 0;
    refresh_is_refused(role_of(PAGING_PAE), other);
    other.nx = 1;
    other.smm = 1;
    refresh_is_refused(role_of(PAGING_PAE), other);
}
END_TEST

START_TEST(page_is_not_refreshed_without_a_decoder)
{
    struct guest *g = shadowed(SYNC_STRICT);
    const u32 index = unsync_page_of(g, role_of(PAGING_PAE));

    use(g, role_of(PAGING_NONE));
    ck_assert(!sync_allowed(g->mmu->impl, page_at(memory_shadow(g->memory), index)));
    ck_assert_uint_eq(shadow_stats(memory_shadow(g->memory))->sync_role_mismatch, 0);
    guest_destroy(g);
}
END_TEST

START_TEST(page_is_refreshed_in_another_context_with_its_role)
{
    struct guest *g = shadowed(SYNC_STRICT);
    struct shadow *shadow = memory_shadow(g->memory);
    const u32 index = unsync_page_of(g, role_of(PAGING_4LEVEL));

    put64(g, PT, 0x9000 | P | W | U | A | D);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){0x7000}, NULL);
    ck_assert(sync_page(g->mmu->impl, index, false));
    ck_assert_uint_eq(page_at(shadow, index)->spt[0] & SPTE_ADDRESS, 0x9000);
    ck_assert_uint_eq(shadow_stats(shadow)->sync_role_mismatch, 0);
    use(g, role_of(PAGING_4LEVEL));
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x9000);
    audit(g);
    guest_destroy(g);
}
END_TEST

/* ---- tables that change between a walk and what becomes of it ---- */

/* When the walk sets A in the level-1 table, somebody stores an entry. */
struct meddler {
    struct guest *g;
    u64 at, entry;
};

static void meddle(void *ctx, u64 frame, u32 mask)
{
    const struct meddler *m = ctx;

    memory_code_clear(m->g->memory, frame, mask);
    put64(m->g, m->at, m->entry);
}

/* The first access may still go where the walk led; the next one must not. */
static void change_during_walk(u64 at, u64 entry)
{
    struct guest *g = shadowed(SYNC_STRICT);
    struct meddler m = {g, at, entry};
    struct target target;

    chain(g, 4, P | W | U | A);
    put64(g, PT, 0x8000 | P | W | U | A | D);
    put64(g, PT + 31 * 8, 0x8000 | P | W | U); /* not accessed yet */
    put64(g, 0x5000 + 31 * 8, 0xa000 | P | W | U | A | D);
    use(g, role_of(PAGING_4LEVEL));
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x8000);
    memory_code_mark(g->memory, memory_peek(g->memory, (hpa_t){PT + 31 * 8}, 8), 8);
    memory_set_code_hook(g->memory, meddle, &m);
    ck_assert_int_eq(mmu_refill(g->mmu, 0x1f000, ACCESS_READ, &target), REFILL_OK);
    audit(g);
    ck_assert_uint_eq(goes_to(g, 0x1f000, ACCESS_READ), 0xa000);
    ck_assert(hit_host(g->mmu->bank, 0x1f000) == memory_peek(g->memory, (hpa_t){0xa000}, 1));
    audit(g);
    guest_destroy(g);
}

START_TEST(entry_that_changes_during_the_walk_is_not_entered)
{
    change_during_walk(PT + 31 * 8, 0xa000 | P | W | U | A | D);
}
END_TEST

START_TEST(table_that_is_replaced_during_the_walk_is_not_entered)
{
    change_during_walk(PD, 0x5000 | P | W | U | A);
}
END_TEST

/* ---- lazy ---- */

START_TEST(lazy_page_is_stale_until_invlpg_of_it)
{
    struct guest *g = shadowed(SYNC_LAZY);

    chain(g, 4, P | W | U | A);
    for (u64 i = 0; i < 2; i++)
        put64(g, PT + i * 8, 0x8000 | P | W | U | A | D);
    use(g, role_of(PAGING_4LEVEL));
    for (u64 i = 0; i < 2; i++)
        ck_assert_uint_eq(goes_to(g, i << 12, ACCESS_READ), 0x8000);
    for (u64 i = 0; i < 2; i++)
        put64(g, PT + i * 8, 0x9000 | P | W | U | A | D);
    ck_assert_uint_eq(goes_to(g, 0x1000, ACCESS_READ), 0x8000); /* else lazy were not */
    mmu_invalidate_page(g->mmu, 0x1000);
    ck_assert(!hits(g->mmu->bank, 0x1000, ACCESS_READ));
    ck_assert_uint_eq(goes_to(g, 0x1000, ACCESS_READ), 0x9000);
    mmu_invalidate_all(g->mmu);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x9000);
    audit(g);
    guest_destroy(g);
}
END_TEST

/* ---- the unsync set ---- */

START_TEST(oldest_unsync_page_makes_room_for_one_more)
{
    enum { MANY = UNSYNC_MAX + 8, TABLES = 0x10000 };
    struct guest *g = shadowed(SYNC_LAZY);
    struct shadow *shadow = memory_shadow(g->memory);

    chain(g, 3, P | W | U | A);
    use(g, role_of(PAGING_4LEVEL));
    for (u64 i = 0; i < MANY; i++) {
        put64(g, PD + i * 8, (TABLES + (i << 12)) | P | W | U | A);
        put64(g, TABLES + (i << 12), 0x8000 | P | W | U | A | D);
        ck_assert_uint_eq(goes_to(g, i << 21, ACCESS_READ), 0x8000);
    }
    for (u64 i = 0; i < MANY; i++) {
        put64(g, TABLES + (i << 12), 0x9000 | P | W | U | A | D);
        audit(g);
    }
    ck_assert_uint_eq(shadow_stats(shadow)->unsyncs, MANY);
    ck_assert_uint_eq(page_first(shadow, (TABLES >> 12) + 7), 0);
    ck_assert_uint_ne(page_first(shadow, (TABLES >> 12) + 8), 0);
    /* What is gone was revoked: the new entry is seen. The others wait for a flush. */
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x9000);
    ck_assert_uint_eq(goes_to(g, (u64)(MANY - 1) << 21, ACCESS_READ), 0x8000);
    mmu_invalidate_all(g->mmu);
    for (u64 i = 0; i < MANY; i++)
        ck_assert_uint_eq(goes_to(g, i << 21, ACCESS_READ), 0x9000);
    audit(g);
    guest_destroy(g);
}
END_TEST

RUN_TESTS("shadow_inside", page_is_not_refreshed_with_another_entry_size,
          page_is_not_refreshed_under_another_role_with_the_same_entry_size,
          page_is_not_refreshed_without_a_decoder,
          page_is_refreshed_in_another_context_with_its_role,
          entry_that_changes_during_the_walk_is_not_entered,
          table_that_is_replaced_during_the_walk_is_not_entered,
          lazy_page_is_stale_until_invlpg_of_it, oldest_unsync_page_makes_room_for_one_more)
