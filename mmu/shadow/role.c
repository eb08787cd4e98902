/* SPDX-License-Identifier: MIT */
/* Constructors of shadow roles, and what may differ below one root. See mmu/shadow/role.h. */
#include "mmu/shadow/role.h"

union shadow_role shadow_root_role(union mmu_role cpu, bool parity)
{
    union shadow_role role = {.word = 0};
    const u32 level = pt_formats[cpu.format].root_level;

    /* PDPTEs in memory are a table of four entries. */
    role.level = (level + cpu.pdpt) & 7u;
    role.access = RIGHTS_ALL;
    role.access2 = 15;
    role.fmt = cpu.format;
    role.has_4_byte_gpte = cpu.has_4_byte_gpte;
    role.nx = cpu.nx;
    role.pse = cpu.pse;
    role.gbpages = cpu.gbpages;
    role.bit8_reserved = cpu.bit8_reserved;
    role.smm = cpu.smm;
    role.guest_mode = cpu.guest_mode;
    role.stage2 = cpu.stage2;
    role.ad_disabled = cpu.stage2 && !cpu.ad;
    role.execonly = cpu.execonly;
    role.mbec = cpu.mbec;
    role.gmet = cpu.gmet;
    if (parity && !cpu.stage2) {
        role.cr0_wp = cpu.wp;
        role.smep_andnot_wp = cpu.smep && !cpu.wp;
        role.smap_andnot_wp = cpu.smap && !cpu.wp;
    }
    return role;
}

union shadow_role shadow_combined_role(union mmu_role cpu, bool parity, u32 ndom)
{
    union shadow_role role = shadow_root_role(cpu, parity);

    role.guest_mode = 1;
    role.combined = 1;
    role.ndom = ndom & 0xfffu;
    return role;
}

union shadow_role shadow_child_role(union shadow_role parent, u32 slot, u32 access, u32 access2)
{
    union shadow_role role = parent;

    role.level = (parent.level - 1u) & 7u;
    role.access = access & 7u;
    role.access2 = access2 & 15u;
    role.quadrant = parent.has_4_byte_gpte && role.level == 1 ? slot & 1u : 0u;
    role.pdpt = 0;
    return role;
}

union shadow_role shadow_piece_role(union shadow_role parent, const struct shadow_piece *piece)
{
    union shadow_role role = shadow_child_role(parent, 0, piece->access, piece->access2);

    role.direct = 1;
    role.fmt = PAGING_NONE;
    role.has_4_byte_gpte = 0;
    role.quadrant = 0;
    role.key = piece->key & 15u;
    role.dirty = piece->dirty;
    role.dirty2 = piece->dirty2;
    return role;
}

u64 role_mismatch(union shadow_role page, union shadow_role root)
{
    const union shadow_role may_differ = {
        .level = 7, .quadrant = 3, .access = 7, .access2 = 15, .pdpt = 127};

    return (page.word ^ root.word) & ~may_differ.word;
}
