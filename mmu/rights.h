/* SPDX-License-Identifier: MIT */
/*
 * Who may do what to a page: WP, SMEP, SMAP, NX and protection keys on top of the rights that a
 * walk grants, and the error code of the page fault if not. SDM Vol 3A 4.6 and 4.7.
 */
#ifndef MMU_RIGHTS_H
#define MMU_RIGHTS_H

#include "base/types.h"
#include "mmu/format.h"
#include "mmu/mmu.h"

/* Page-fault error code, SDM Vol 3A 4.7. */
enum page_fault_bit {
    PF_PRESENT = 1 << 0,
    PF_WRITE = 1 << 1,
    PF_USER = 1 << 2,
    PF_RESERVED = 1 << 3,
    PF_FETCH = 1 << 4,
    PF_KEY = 1 << 5,
};

/* Who asks, and under which registers. */
struct accessor {
    union mmu_role role;
    bool user; /* a user-mode access: CPL 3, and not ACCESS_IMPLICIT */
    bool smap; /* a supervisor-mode data access may not touch user pages: CR4.SMAP, and EFLAGS.AC
                  clear or the access implicit */
    u32 pkru, pkrs;
    bool gmet; /* of the second stage below: see rights2_allow() */
};

/* The error code of an access without its reason: W, U and I bits. access: enum access bits. */
u32 rights_error_base(union mmu_role role, bool user, u32 access);

/* 0 if the access is allowed to a page with these rights (enum right) and key, else the error code.
 */
u32 rights_check(const struct accessor *who, u32 access, u32 rights, u32 key);

/*
 * Does a second stage that grants rights2 (enum right2) allow the access to a linear address with
 * these rights (enum right) of the first? Fetches: EPT asks whose page it is (SDM Vol 3C 29.3.2),
 * GMET asks for the CPL, as SMEP does: what is a user page in the nested tables is not for
 * supervisors (APM Vol 2 15.25.13). who counts for fetches only.
 */
static ALWAYS_INLINE bool rights2_allow(const struct accessor *who, u32 access, u32 rights,
                                        u32 rights2)
{
    const u32 data = access & (ACCESS_READ | ACCESS_WRITE);

    if ((access & ACCESS_FETCH) == 0)
        return (rights2 & data) == data;
    if (who->gmet)
        return (rights2 & RIGHT2_EXEC) != 0 && (who->user || (rights2 & RIGHT2_USER) == 0);
    return (rights2 & ((rights & RIGHT_USER) != 0 ? RIGHT2_USER_EXEC : RIGHT2_EXEC)) != 0;
}

#endif
