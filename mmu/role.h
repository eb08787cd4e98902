/* SPDX-License-Identifier: MIT */
/*
 * The role: exactly the CPU state that changes what a page table means. Computed in one place
 * (cpu/mode.c) whenever a control register changes; nobody below looks at a control register.
 */
#ifndef MMU_ROLE_H
#define MMU_ROLE_H

#include "base/types.h"

enum paging_format {
    PAGING_NONE, /* CR0.PG = 0: linear is physical */
    PAGING_32BIT, /* two levels, 4-byte entries */
    PAGING_PAE, /* PDPTE registers, then two levels of 8-byte entries */
    PAGING_4LEVEL,
    PAGING_5LEVEL,
    PAGING_EPT, /* second stages only: four levels ... */
    PAGING_EPT5, /* ... or five */
};

union mmu_role {
    u64 word; /* roles are compared as a whole */
    struct {
        u64 format : 3; /* enum paging_format */
        u64 level : 3; /* root level: 0 none, 2, 3, 4, 5 */
        u64 has_4_byte_gpte : 1;
        u64 pse : 1; /* CR4.PSE: 4 MiB pages in the 32-bit format */
        u64 wp : 1; /* CR0.WP */
        u64 nx : 1; /* EFER.NXE */
        u64 smep : 1;
        u64 smap : 1;
        u64 pke : 1; /* CR4.PKE and long mode */
        u64 pks : 1;
        u64 gbpages : 1; /* CPUID 1 GiB pages: bit 7 of a PDPTE is not reserved */
        u64 smm : 1;
        u64 guest_mode : 1; /* later issues: belongs to a nested guest */
        /* PAE: PDPTEs are read from memory at each walk and not kept in registers: second stages,
         * and guests above a second stage of NPT (APM Vol 2 15.25.10). */
        u64 pdpt : 1;
        /* Second stages: made by mmu/nested.h and by nobody else. NPT has the format of a first
         * stage; all bits above that do not count in a second stage are 0. */
        u64 stage2 : 1; /* translates nested-physical addresses */
        u64 ad : 1; /* keeps accessed and dirty flags: NPT, and EPT with EPTP bit 6 */
        u64 execonly : 1; /* EPT: execution without reading is not a misconfiguration */
        u64 mbec : 1; /* EPT: bit 10 is execution for user-mode linear addresses */
        u64 log : 1; /* EPT: dirty flags are told to mmu.log as they become set (PML) */
        u64 apic_access : 1; /* first stages of guests: one page is mmu_set_guest_apic()'s window */
        u64 bit8_reserved : 1; /* AMD: in entries above level 2 that name a table */
        u64 gmet : 1; /* NPT: U/S says whose code may be executed, and nothing else */
        u64 reserved : 38;
    };
};

_Static_assert(sizeof(union mmu_role) == 8, "a role is one word");

#endif
