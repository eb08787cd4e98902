/* SPDX-License-Identifier: MIT */
/*
 * The role of a shadow page: everything but the frame that decides what its entries mean. Two pages
 * may be taken for each other only if same_identity() says so, and a page may be refreshed in a
 * context only if role_mismatch() is 0.
 *
 * Roles are made in two places: shadow_root_role() from what the registers said (mmu/role.h, itself
 * made in one place from the registers), and shadow_child_role() from the parent page. Nobody else
 * sets a bit, and nobody looks at a register again: it may belong to another context by then.
 */
#ifndef MMU_SHADOW_ROLE_H
#define MMU_SHADOW_ROLE_H

#include "mmu/format.h"
#include "mmu/role.h"

union shadow_role {
    u64 word;
    struct {
        /* ---- where in the hierarchy: may differ between a page and the root above it ---- */
        u64 level : 3; /* 1: entries map 4 KiB */
        u64 quadrant : 2; /* 4-byte entries: which slice of the guest's table. Level 1: 0..1, 2:
                             0..3 */
        u64 access : 3; /* enum right: granted by the entries from the root to this table */
        u64 access2 : 4; /* the same for a second stage in EPT format */

        /* ---- what the guest's entries look like ---- */
        u64 fmt : 4; /* enum paging_format; PAGING_NONE in direct pages */
        u64 has_4_byte_gpte : 1; /* the sync rule is stated on it; always fmt == PAGING_32BIT */
        u64 direct : 1; /* no guest table behind it: a piece of a large guest page */
        u64 nx : 1; /* else bit 63 is reserved */
        u64 pse : 1; /* 4 MiB pages */
        u64 gbpages : 1; /* 1 GiB pages */
        u64 bit8_reserved : 1; /* AMD: in entries above level 2 that name a table */
        u64 ad_disabled : 1; /* accessed and dirty flags are not kept: EPT with EPTP bit 6 clear */
        u64 execonly : 1; /* EPT: X without R is not a misconfiguration */
        u64 mbec : 1; /* EPT: bit 10 is execution for user pages */
        u64 gmet : 1; /* NPT: access2 has RIGHT2_USER in place of RIGHT2_USER_EXEC */

        /* ---- whose ---- */
        u64 smm : 1; /* SMRAM is in the map */
        u64 guest_mode : 1; /* a nested guest's */
        u64 stage2 : 1; /* translates nested-physical addresses */
        u64 combined : 1; /* leaves went through the second stage `ndom`, too */
        u64 ndom : 12;

        /* ---- KVM parity only: the rights that KVM cannot keep raw in an entry ---- */
        u64 cr0_wp : 1;
        u64 smep_andnot_wp : 1;
        u64 smap_andnot_wp : 1;

        /* ---- direct pages: of the large entry that they stand for ---- */
        u64 key : 4;
        u64 dirty : 1;
        u64 dirty2 : 1;

        /* PDPTEs in memory: which 32 bytes of the frame hold the four of them. Roots only. */
        u64 pdpt : 7;

        u64 reserved : 3;
    };
};

_Static_assert(sizeof(union shadow_role) == 8, "a shadow role is one word");

/* The role of the root page of one stage of a context. parity: with the bits that KVM keeps. What
 * depends on the address is left 0: quadrant and pdpt. */
union shadow_role shadow_root_role(union mmu_role cpu, bool parity);
/* The same for a first stage whose leaves have gone through the second stage `ndom`, too. */
union shadow_role shadow_combined_role(union mmu_role cpu, bool parity, u32 ndom);

/* A large entry cut into pieces: what the pieces inherit. */
struct shadow_piece {
    u32 access, access2;
    u8 key;
    bool dirty, dirty2;
};

/* The role of the page below slot `slot` of a page with this role. access: granted by the entries
 * down to and with the one in the slot. */
union shadow_role shadow_child_role(union shadow_role parent, u32 slot, u32 access, u32 access2);
/* The same for a direct page: a piece of the large entry in the slot, or of a part of it. */
union shadow_role shadow_piece_role(union shadow_role parent, const struct shadow_piece *piece);

/* The table is a set of four PDPTEs in memory. */
static inline bool is_pdpt(union shadow_role role)
{
    return role.fmt == PAGING_PAE && role.level == 3;
}

/* The bits in which a page's role differs from its context's root role, where it must not: 0 means
 * that the page may be refreshed there. */
u64 role_mismatch(union shadow_role page, union shadow_role root);

/* May a page (frame, role) stand for (other_frame, other_role)? The only test of reuse. */
static inline bool same_identity(u64 frame, union shadow_role role, u64 other_frame,
                                 union shadow_role other_role)
{
    return frame == other_frame && role.word == other_role.word;
}

#endif
