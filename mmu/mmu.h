/* SPDX-License-Identifier: MIT */
/*
 * One CPU's view of memory: which tables translate, the soft TLB in front of them, and refill(),
 * the only way a soft-TLB entry comes to be. Everything here but the context set by
 * mmu_set_context() and its companions is a cache that may be dropped at any instruction boundary.
 *
 * Coherence (architecture: --sync=strict): at each instruction boundary every entry equals what a
 * fresh walk of guest memory would give. So MOV to CR3, INVLPG and the like have no translation to
 * drop for correctness; contexts stay warm.
 */
#ifndef MMU_MMU_H
#define MMU_MMU_H

#include "base/types.h"
#include "mmu/memory.h"
#include "mmu/role.h"

enum access {
    ACCESS_READ = 1 << 0,
    ACCESS_WRITE = 1 << 1, /* may go with READ: a read-modify-write needs both */
    ACCESS_FETCH = 1 << 2,
    /* The processor's own access to GDT, LDT, IDT, TSS: supervisor at any CPL, SMAP applies as if
     * EFLAGS.AC were 0 (SDM Vol 3A "Determination of Access Rights"). */
    ACCESS_IMPLICIT = 1 << 3,
    ACCESS_STACK = 1 << 4, /* for the CPU layer: a non-canonical address is #SS, not #GP */
};

/* What answers when the soft TLB does not know. All give the guest the same. */
enum mmu_mode {
    MMU_WALK, /* a walk of the guest's tables */
    MMU_SHADOW, /* shadow pages, one set per stage */
    MMU_COMBINED, /* shadow pages, a nested guest's linear addresses to machine in one set */
};

enum { TLB_SIZE = 1024 };

/*
 * A soft-TLB entry for the page at linear address `tag`. An access of n bytes at va hits when
 * va - tag <= 4096 - n (unsigned), which also rules out page crossing; then the bytes are at
 * host + va. An invalid tag is TLB_INVALID(). Separate tags for read, write and execute: a page
 * that may be read but not written has wtag invalid, one that may be written but is watched
 * TLB_WATCHED() or invalid. A device page has no entry.
 */
struct tlb_entry {
    u64 rtag, wtag, xtag;
    u64 host; /* host address minus linear address */
};

/*
 * The invalid tag of the slot at `index`: a page whose own slot is another one, so that no linear
 * address at all, canonical or not, can hit. (One value for all slots would be some slot's own
 * page, and a guest can form any 64-bit address.)
 */
#define TLB_INVALID(index) ((u64)0x8000000000000000 | (u64)((index) ^ (TLB_SIZE / 2)) << PAGE_SHIFT)

/* The write tag of a page to which a store must go through memory_store(): again one that no
 * linear address hits in its own slot, and no address makes the invalid one of it. Good for
 * addresses within the page, too. */
#define TLB_WATCHED(page) ((page) ^ (u64)(TLB_SIZE / 4) << PAGE_SHIFT)

static ALWAYS_INLINE u32 tlb_index(u64 va)
{
    return (u32)(va >> PAGE_SHIFT) & (TLB_SIZE - 1);
}

/* Would a store of size bytes at va hit, but that the frame is watched, or was lately? */
static ALWAYS_INLINE bool tlb_watched(const struct tlb_entry *e, u64 va, u32 size)
{
    return TLB_WATCHED(va) - e->wtag <= PAGE_SIZE - size;
}

enum refill {
    REFILL_OK, /* target is filled */
    REFILL_PAGE_FAULT, /* mmu.fault is filled; guest memory unchanged */
    REFILL_NONCANONICAL, /* not a canonical linear address: #GP or #SS */
    REFILL_NESTED, /* the second stage does not allow it; mmu.nested is filled: #VMEXIT */
};

/* Where one access goes. */
struct target {
    enum slot_kind kind;
    hpa_t hpa; /* of the access, page offset included; unset for RAM that the soft TLB knew */
    u8 *host; /* RAM, ROM: the byte */
    bool watched; /* write access to RAM: the store must go through memory_store() or _write() */
    const struct slot *slot; /* MMIO */
};

struct mmu_fault {
    u64 va;
    u32 error_code; /* as pushed by #PF, SDM Vol 3A 4.7 */
};

/* A second stage: the translation of what the guest takes for physical addresses. Made by
 * second_stage_ept() and second_stage_npt() (mmu/nested.h). */
struct mmu_second_stage {
    union mmu_role role;
    gpa_t root;
};

enum mmu_nested_reason {
    NESTED_NOT_PRESENT,
    NESTED_NOT_ALLOWED,
    NESTED_RESERVED, /* NPT: a reserved bit is set; EPT: misconfiguration */
    NESTED_LOG_FULL, /* a dirty flag is to be set and mmu.log has no room */
};

/* An access that a second stage stopped: all that an exit reports. */
struct mmu_nested_fault {
    gpa_t gpa; /* nested-physical address, page offset included */
    u64 va;
    bool linear_valid; /* va is what was being translated; not so for loads of PDPTE registers */
    bool table; /* an access to an entry of the first stage, or an update of its flags */
    bool user; /* NPT: counts as a user access, as all do but a supervisor's fetch under GMET */
    u8 access; /* enum access: READ, WRITE, FETCH as the second stage saw them */
    enum mmu_nested_reason reason;
    u8 rights2; /* enum right2: what the entries that were read grant, taken together */
    u8 rights; /* enum right: of the first stage, if !table; all without paging */
    union mmu_role role; /* of the second stage */
    u64 entry; /* of the second stage, the last that was read */
};

/* Where dirty flags of second stages are logged: SDM Vol 3C 29.3.6. false: there is no room. */
struct mmu_log {
    bool (*add)(void *ctx, gpa_t at);
    void *ctx;
};

/* Counters for --stats; not part of the machine's state. */
struct mmu_stats {
    u64 refills; /* calls of mmu_refill() */
    u64 l1_fills; /* entries written to a bank */
    u64 l2_hits; /* refills answered by the second level */
    u64 walks; /* refills that read guest tables */
    u64 faults; /* refills that ended in a page fault */
    u64 nested_faults; /* refills that a second stage stopped */
    u64 context_switches; /* mmu_set_context() to another context */
    u64 context_hits; /* of these, to one that was cached */
    u64 revoked_pages; /* single pages revoked by a store to a level-1 table */
    u64 revoked_contexts; /* contexts revoked by a store to a table */
    u64 revoked_all; /* everything revoked: slots, A20, snapshots */
    u64 write_flushes; /* all write tags revoked because a frame's were not known singly */
    u64 bank_clears; /* banks emptied before use */
};

struct mmu {
    /* In use now, chosen by context and privilege; never NULL. Changes only in mmu_set_*(); a
     * revocation empties it in place. */
    struct tlb_entry *bank;
    /* The bank for ACCESS_IMPLICIT, where mmu_refill() enters such accesses: supervisor, AC = 0. */
    struct tlb_entry *system_bank;
    struct mmu_fault fault;
    struct mmu_nested_fault nested;
    struct mmu_log log; /* set by the CPU */
    struct memory *memory;
    struct mmu_state *impl; /* mmu/mmu.c */
};

MUST_CHECK struct mmu *mmu_create(struct memory *memory, u32 phys_bits);
void mmu_destroy(struct mmu *mmu);
const struct mmu_stats *mmu_stats(const struct mmu *mmu);

/*
 * The guest's paging context, set by the CPU whenever CR0, CR3, CR4, EFER, SMM or the PDPTEs
 * change. role: how to read the tables (mmu/role.h). root: CR3's table address (or nothing if
 * paging is off). pdptes: the four PDPTE registers, PAE without role.pdpt only (else NULL). Cheap
 * when this context was used lately.
 */
void mmu_set_context(struct mmu *mmu, union mmu_role role, gpa_t root, const u64 *pdptes);
/*
 * The second stage under the guest's paging from the next mmu_set_context() on, which must follow;
 * NULL: none. It is part of the context: both stay warm when they are changed together at an entry
 * or exit. A guest without paging has PAGING_NONE: its linear addresses are nested-physical ones.
 */
void mmu_set_second_stage(struct mmu *mmu, const struct mmu_second_stage *second);
/* Privilege of explicit data accesses and fetches from now on. ac: EFLAGS.AC (matters if SMAP). */
void mmu_set_privilege(struct mmu *mmu, bool user, bool ac);
/* Protection-key registers; ignored unless the role has the key bits. */
void mmu_set_keys(struct mmu *mmu, u32 pkru, u32 pkrs);
/* The local APIC's page for this CPU: an MMIO window over everything else, or none. */
void mmu_set_apic(struct mmu *mmu, bool enabled, hpa_t page, const struct mmio_ops *ops, void *ctx);

/* The page that a hypervisor takes for its guest's local APIC, in contexts whose role has
 * apic_access: a window over everything else. SDM Vol 3C 30.4. */
void mmu_set_guest_apic(struct mmu *mmu, hpa_t page, const struct mmio_ops *ops, void *ctx);

/*
 * Translate the page of va for `access` (enum access bits), set A and D bits as the access needs,
 * enter it in the soft TLB where it is RAM or ROM, and say where the bytes are. The only caller of
 * walks. Write access to RAM that somebody watches leaves no write tag that hits, and sets
 * target.watched.
 * Never crosses a page: the caller splits. SDM Vol 3A 4.3-4.8.
 */
MUST_CHECK enum refill mmu_refill(struct mmu *mmu, u64 va, u32 access, struct target *target);

/* Translate without side effects (no A/D, no TLB), for debuggers: false if nothing is mapped. */
MUST_CHECK bool mmu_probe(struct mmu *mmu, u64 va, hpa_t *hpa);

/* What the guest asks: INVLPG, INVPCID, MOV to CR3 and CR4. Nothing is stale unless the shadow
 * engine is lazy; then what is, ends here. Another role flushes by itself. */
void mmu_invalidate_page(struct mmu *mmu, u64 va);
void mmu_invalidate_all(struct mmu *mmu);
/* INVEPT and INVVPID of any kind, INVLPGA and TLB_CONTROL: the same for what came through second
 * stages or belongs to nested guests. */
void mmu_invalidate_second(struct mmu *mmu);
/* Drop every cache of this CPU (tests, snapshots). The run must not change. */
void mmu_drop(struct mmu *mmu);

/* The shadow pages of this CPU's contexts as text, line by line: level, linear address, frame,
 * rights, role in words, entries used, unsync. Only with a shadow engine. */
void mmu_dump_shadow(const struct mmu *mmu, void (*print)(void *ctx, const char *line), void *ctx);

/* For the PDPTE load of MOV CR3 (SDM Vol 3A 4.4.1): read a naturally aligned entry of 4 or 8 bytes
 * at a guest-physical address. All ones where there is no memory. */
u64 mmu_read_physical(struct mmu *mmu, gpa_t at, u32 size);
/* The same at an address that a second stage, if there is one, translates: EPT judges it as a read
 * (SDM Vol 3C 29.3.5), NPT as each table access. false: it does not allow it, mmu.nested is filled.
 */
MUST_CHECK bool mmu_read_nested(struct mmu *mmu, gpa_t at, u32 size, u64 *value);
/* Where the second stage, which there must be, leads for a processor's own access (enum access
 * bits) of a guest to a block at a nested-physical address. false: mmu.nested is filled. APM Vol 2
 * 15.33.1. */
MUST_CHECK bool mmu_translate_nested(struct mmu *mmu, gpa_t at, u32 access, hpa_t *hpa);

#endif
