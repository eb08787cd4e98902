/* SPDX-License-Identifier: MIT */
/*
 * The second stage: a nested guest's linear addresses go through its own tables, and each address
 * that these name, and the final one, through EPT or NPT. SDM Vol 3C 29.3, APM Vol 2 15.25.
 *
 * What the CPU layer needs: the two constructors, and the two builders of what an exit reports. The
 * walk is for mmu/ only.
 */
#ifndef MMU_NESTED_H
#define MMU_NESTED_H

#include "mmu/mmu.h"
#include "mmu/rights.h"
#include "mmu/walk.h"

/* What the CPU's model and the VM-execution controls say about EPT. */
struct ept_features {
    bool execonly; /* IA32_VMX_EPT_VPID_CAP bit 0 */
    bool gbpages; /* bit 17 */
    bool mbec; /* secondary control 22 is set */
    bool log; /* page-modification logging: secondary control 17 is set */
};

/* The second stage of a valid EPTP: walk length from bits 5:3, A/D flags from bit 6. */
struct mmu_second_stage second_stage_ept(u64 eptp, const struct ept_features *features);

/*
 * The second stage of nCR3 in the paging mode of the host that executed VMRUN, as its own first
 * stage is described (not PAGING_NONE). Its WP, SMEP, SMAP and keys do not count, but SMEP shows
 * fetches in the error code, as NX does. gmet: with guest mode execute trap, which shows them, too.
 */
struct mmu_second_stage second_stage_npt(union mmu_role host, u64 ncr3, bool gmet);

/*
 * The exit qualification of an EPT violation, SDM Vol 3C table 28-7, bits 11:0. Bits 11:9 are the
 * advanced information, which means something to guests that are offered it (EPT_VPID_CAP bit 22).
 * 0 for a misconfiguration, which has none.
 */
u64 ept_qualification(const struct mmu_nested_fault *fault);
/* EXITINFO1 of a #NPF, APM Vol 2 15.25.6. */
u64 npf_error_code(const struct mmu_nested_fault *fault);

/* ---- for mmu/ ---- */

/* An entry of the first stage that was read through the second. */
struct nested_table {
    gpa_t at; /* its nested-physical address */
    struct translation second; /* of that address */
};

enum nested_stop {
    NESTED_DONE,
    NESTED_PAGE_FAULT, /* the first stage: error_code */
    NESTED_FAULT, /* the second stage: fault */
};

struct mmu_state;

/* A walk through both stages. Set the first part. */
struct nested_walk {
    /* Whose shadow pages are asked for nested-physical addresses before they are walked, and told
     * what was found; NULL: nobody's. */
    struct mmu_state *shadow;
    const struct walk *first; /* its memory is ignored; rules without a format: no first stage */
    const struct walk *second;
    union mmu_role role; /* of the second stage */
    const struct accessor *who; /* counts for linear addresses only */
    const struct mmu_log *log;

    struct mmu_nested_fault fault;
    u32 error_code;
    u8 tables; /* in use in table[] */
    bool shadowed; /* all of the second stage is in shadow pages now */
    gpa_t nested; /* where the first stage leads */
    /* From linear to machine: page_shift and rights of both stages, steps of the first with the
     * machine memory where its tables really are. */
    struct translation t;
    struct translation final; /* of the page itself, in the second stage */
    struct nested_table table[PT_LEVELS]; /* by index of t.step */
};

/*
 * Walk both stages for an access (enum access bits) and set accessed and dirty flags. Order: each
 * entry of the first stage is reached through the second, which keeps flags of its own as it is
 * used; then the first stage's rights; then the second stage's, first for the flags of the first
 * stage that are to be set and then for the page. Only then the remaining flags are set, so that a
 * denied access leaves the first stage's tables as they were.
 */
enum nested_stop nested_walk(struct nested_walk *n, u64 va, u32 access);
/* Translate without rights and without side effects. false: nothing is mapped. */
MUST_CHECK bool nested_probe(struct nested_walk *n, u64 va);
/* The second stage alone, for the processor's own access to a table at a nested-physical address
 * for which there is no linear address: the loading of PDPTE registers. */
MUST_CHECK bool nested_physical(struct nested_walk *n, gpa_t at);
/* The same for an access (enum access bits) to what is no table: a guest's VMLOAD and VMSAVE. */
MUST_CHECK bool nested_physical_access(struct nested_walk *n, gpa_t at, u32 access);

/* Note what the translation depends on. false: on something that changes unseen, or has changed
 * because of the flags that this very walk set. */
MUST_CHECK bool nested_depend(struct mmu_state *s, const struct nested_walk *n);

#endif
