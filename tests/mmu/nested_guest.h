/* SPDX-License-Identifier: MIT */
/* A nested guest with 4-level paging over one second stage of four levels, EPT or NPT. */
#ifndef TESTS_MMU_NESTED_GUEST_H
#define TESTS_MMU_NESTED_GUEST_H

#include "mmu/nested.h"
#include "tests/mmu/guest.h"

enum { R = ACCESS_READ, WR = ACCESS_WRITE, X = ACCESS_FETCH, RW = ACCESS_READ | ACCESS_WRITE };

/* EPT entries. */
enum { ER = 1, EW = 2, EX = 4, RWX = 7, WB = 6 << 3, EA = 1 << 8, ED = 1 << 9, UX = 1 << 10 };

/* The second stage's tables, in L1 memory. They map 2 MiB of nested-physical addresses from 0 to
 * what is at BACK. */
enum { S4 = 0x100000, S3 = 0x101000, S2 = 0x102000, S1 = 0x103000, BACK = 0x800000 };
/* The nested guest's own tables, nested-physical. */
enum { L4 = 0x1000, L3 = 0x2000, L2 = 0x3000, L1 = 0x4000, PAGE = 0x9000 };

/* EPTP bits and capabilities. */
enum { AD = 1, EXECONLY = 2, MBEC = 4 };

static inline u64 s1_entry(u64 ngpa)
{
    return S1 + (ngpa >> 12) * 8;
}

static inline void set_ept(struct guest *g, u32 features)
{
    const struct ept_features f = {.execonly = features & EXECONLY,
                                   .gbpages = true,
                                   .mbec = features & MBEC};
    const struct mmu_second_stage second =
        second_stage_ept(S4 | 3 << 3 | 6 | (features & AD ? BIT(6) : 0), &f);

    mmu_set_second_stage(g->mmu, &second);
}

static inline void set_unpaged(struct guest *g, u32 features)
{
    set_ept(g, features);
    mmu_set_context(g->mmu, (union mmu_role){.word = 0}, (gpa_t){0}, NULL);
}

static inline void set_paged(struct guest *g, u32 features)
{
    set_ept(g, features);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
}

/* The nested guest maps PAGE at linear 0 for all. */
static inline void put_nested_tables(struct guest *g)
{
    put64(g, BACK + L4, L3 | P | W | U);
    put64(g, BACK + L3, L2 | P | W | U);
    put64(g, BACK + L2, L1 | P | W | U);
    put64(g, BACK + L1, PAGE | P | W | U);
}

/* All of it readable, writable and executable, with put_nested_tables(). */
static inline struct guest *guest_ept(u32 features)
{
    struct guest *g = guest_create();

    put64(g, S4, S3 | RWX | UX);
    put64(g, S3, S2 | RWX | UX);
    put64(g, S2, S1 | RWX | UX);
    for (u64 i = 0; i < 512; i++)
        put64(g, S1 + 8 * i, (BACK + (i << 12)) | RWX | UX | WB);
    put_nested_tables(g);
    set_paged(g, features);
    return g;
}

/* Change the low bits of an entry. */
static inline void set_low(struct guest *g, u64 at, u64 low)
{
    put64(g, at, (get64(g, at) & ~(u64)0xfff) | low);
}

/* The report of an access that the second stage must stop. */
static inline const struct mmu_nested_fault *nested_of(struct guest *g, u64 va, u32 access)
{
    ck_assert_int_eq(refill(g, va, access), REFILL_NESTED);
    return &g->mmu->nested;
}

static inline u64 violation_of(struct guest *g, u64 va, u32 access)
{
    const struct mmu_nested_fault *fault = nested_of(g, va, access);

    ck_assert_int_ne(fault->reason, NESTED_RESERVED);
    return ept_qualification(fault);
}

/* The tables of guest_ept() in the format of a 4-level host. */
static inline struct guest *guest_npt(union mmu_role host)
{
    struct guest *g = guest_ept(0);
    const struct mmu_second_stage second = second_stage_npt(host, S4, false);

    put64(g, S4, S3 | P | W | U);
    put64(g, S3, S2 | P | W | U);
    put64(g, S2, S1 | P | W | U);
    for (u64 i = 0; i < 512; i++)
        put64(g, S1 + 8 * i, (BACK + (i << 12)) | P | W | U);
    mmu_set_second_stage(g->mmu, &second);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){L4}, NULL);
    return g;
}

static inline u64 npf_of(struct guest *g, u64 va, u32 access)
{
    return npf_error_code(nested_of(g, va, access));
}

#endif
