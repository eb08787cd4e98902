/* SPDX-License-Identifier: MIT */
/* Determination of access rights, SDM Vol 3A 4.6; see mmu/rights.h. Shadow-stack pages are left
 * out. */
#include "mmu/rights.h"

u32 rights_error_base(union mmu_role role, bool user, u32 access)
{
    u32 error = user ? PF_USER : 0;

    if ((access & ACCESS_WRITE) != 0)
        error |= PF_WRITE;
    /* I/D is told only where fetches have rights of their own: NXE with PAE (which the 32-bit
     * format is without) or SMEP. */
    if ((access & ACCESS_FETCH) != 0 &&
        (role.smep || (role.nx && role.format != PAGING_32BIT && role.format != PAGING_NONE)))
        error |= PF_FETCH;
    return error;
}

/* Mode and page alone, without keys. */
static bool page_allows(const struct accessor *who, u32 access, u32 rights)
{
    const bool user_page = (rights & RIGHT_USER) != 0;

    if (who->user && !user_page)
        return false;
    if ((access & ACCESS_FETCH) != 0)
        return (rights & RIGHT_EXEC) != 0 && (who->user || !user_page || !who->role.smep);
    if (!who->user && user_page && who->smap)
        return false;
    return (access & ACCESS_WRITE) == 0 || (rights & RIGHT_WRITE) != 0 ||
           (!who->user && !who->role.wp);
}

/*
 * The protection key, SDM Vol 3A 4.6.2: PKRU for user pages (whoever asks), PKRS for supervisor
 * pages. Data accesses only. WD binds supervisor-mode writes only under CR0.WP.
 */
static bool key_allows(const struct accessor *who, u32 access, u32 rights, u32 key)
{
    const bool user_page = (rights & RIGHT_USER) != 0;
    const u32 bits = (user_page ? who->pkru : who->pkrs) >> (2 * key) & 3;

    if ((access & ACCESS_FETCH) != 0 || !(user_page ? who->role.pke : who->role.pks))
        return true;
    if ((bits & 1) != 0) /* AD */
        return false;
    return (bits & 2) == 0 || (access & ACCESS_WRITE) == 0 || (!who->user && !who->role.wp);
}

u32 rights_check(const struct accessor *who, u32 access, u32 rights, u32 key)
{
    const bool key_ok = key_allows(who, access, rights, key);

    if (likely(key_ok && page_allows(who, access, rights)))
        return 0;
    return rights_error_base(who->role, who->user, access) | PF_PRESENT | (key_ok ? 0 : PF_KEY);
}
