/* SPDX-License-Identifier: MIT */
/*
 * The two-level soft TLB of one CPU. For mmu/ only.
 *
 * Level 1 is what the CPU looks at: banks of TLB_SIZE entries without room for a tag beyond the
 * address, one bank per context and privilege class. A bank is emptied in place, by its list of
 * touched slots, when it is about to be used and something was revoked since; the banks in use are
 * emptied at once. So a revocation costs nothing per entry, and an emptying no more than the fills
 * that it undoes.
 *
 * Level 2 keeps the last translations of all contexts, tagged with the context's stamp. A context
 * is dropped by giving it a new stamp.
 */
#ifndef MMU_TLB_H
#define MMU_TLB_H

#include "base/bits.h"
#include "mmu/memory_impl.h"
#include "mmu/mmu.h"
#include "mmu/rights.h"
#include "mmu/walk.h"

enum {
    TLB_CONTEXTS = 16,
    TLB2_SIZE = 1 << 16,
    SHADOW_PLACES = 256,
    STAMP_BITS = 19,
    STAMP_MAX = (1 << STAMP_BITS) - 1,
};

/* Privilege classes: who may share soft-TLB entries in one context. */
enum bank_class {
    BANK_SUPER, /* supervisor, may touch user pages; also all accesses without paging */
    BANK_SMAP, /* supervisor under SMAP */
    BANK_USER,
    BANK_CLASSES,
};

/* What a bank's entries were made under. */
struct bank {
    u32 stamp; /* 0: never used, entries not even invalid */
    u64 keys; /* PKRU and PKRS as far as they matter: see mmu_state */
    u64 write_epoch;
    u64 touched[TLB_SIZE / 64]; /* slots filled since the bank was empty */
};

/* A root page of the shadow engine, referred to weakly: by index, if it still has this serial. */
struct shadow_root {
    u32 page; /* 0: none */
    u64 serial;
};

/* A shadow page of level 1 to which the way stands while the engine's `changes` are these. */
struct shadow_place {
    u64 tag; /* address and stamp, see place_tag(); 0: none */
    u64 changes;
    u32 page;
};

/* The tables of one stage, as a context reads them. */
struct mmu_stage {
    struct pt_rules rules;
    struct shadow_root root[4]; /* formats of two levels: one per GiB */
};

/* One root with its role. */
struct mmu_context {
    struct mmu_stage first;
    struct mmu_stage second; /* unused without a second stage */
    u32 domain; /* of the second stage, in the shadow engine; 0: not looked up yet */
    u64 pdptes[4];
    u64 epoch; /* memory's epoch when the stamp was given; any other: all void, needs a new stamp */
    u32 stamp;
    u64 last_use;
    struct bank bank[BANK_CLASSES];
};

/* A level-2 entry: linear page and stamp; physical page with the rights in its free low bits. */
struct tlb2_entry {
    u64 tag, data;
};

enum {
    TLB2_DIRTY = 1 << 3, /* below: enum right */
    TLB2_KEY_SHIFT = 4,
    TLB2_RIGHTS2_SHIFT = 52, /* enum right2 */
};
#define TLB2_DIRTY2 BIT(56)
/* What both say without a second stage. */
#define TLB2_NO_STAGE2 (TLB2_DIRTY2 | (u64)RIGHTS2_ALL << TLB2_RIGHTS2_SHIFT)

struct mmu_state {
    struct mmu mmu;
    struct memory *memory;
    u32 index; /* in memory->mmu */
    u32 phys_bits;

    /* Set by the CPU. */
    bool user, ac;
    u32 pkru, pkrs;
    u64 apic_page; /* all ones: none */
    struct slot apic_slot;
    u64 guest_apic_page; /* in contexts whose role has apic_access */
    struct slot guest_apic_slot;

    struct mmu_second_stage second; /* role 0: none; from the next mmu_set_context() on */

    /* Derived. */
    u32 current; /* context in use */
    u8 class, system_class;
    u64 keys; /* of that context: PKRU, above it PKRS; 0 for one that its role does not have */
    struct accessor who[2]; /* explicit and implicit accesses */
    struct pt_memory tables; /* where walks read: physical memory as this CPU sees it */
    bool quiet; /* probing: devices are not read */

    u32 last_stamp;
    u64 clock; /* of last_use */
    struct mmu_stats stats;

    u64 key_role[TLB_CONTEXTS]; /* searched at each switch, hence apart */
    u64 key_root[TLB_CONTEXTS];
    u64 key_role2[TLB_CONTEXTS]; /* of the second stage, 0: none */
    u64 key_root2[TLB_CONTEXTS];
    struct mmu_context context[TLB_CONTEXTS];

    struct shadow_place place[SHADOW_PLACES];
    _Alignas(4096) struct tlb2_entry tlb2[TLB2_SIZE];
    struct tlb_entry entry[TLB_CONTEXTS][BANK_CLASSES][TLB_SIZE];
};

static ALWAYS_INLINE union mmu_role context_role(const struct mmu_state *s)
{
    return (union mmu_role){.word = s->key_role[s->current]};
}

static ALWAYS_INLINE bool context_nested(const struct mmu_state *s)
{
    return s->key_role2[s->current] != 0;
}

static ALWAYS_INLINE u64 tlb2_tag(u64 va, u32 stamp)
{
    return va >> PAGE_SHIFT << STAMP_BITS | stamp; /* 45 significant bits of a canonical page */
}

static ALWAYS_INLINE struct tlb2_entry *tlb2_slot(struct mmu_state *s, u32 context, u64 va)
{
    return &s->tlb2[((u32)(va >> PAGE_SHIFT) ^ context * 0x1357) & (TLB2_SIZE - 1)];
}

/* What level 2 and shadow entries keep of a translation that was used now. */
static ALWAYS_INLINE u64 tlb2_data(const struct translation *t, bool write)
{
    return (t->gpa.v & ~PAGE_OFFSET_MASK) | t->rights | (t->dirty || write ? (u64)TLB2_DIRTY : 0) |
           (u64)t->key << TLB2_KEY_SHIFT | (u64)t->rights2 << TLB2_RIGHTS2_SHIFT |
           (t->dirty2 || write ? TLB2_DIRTY2 : 0);
}

static ALWAYS_INLINE u64 data_page(u64 data)
{
    return data & BITS(51, PAGE_SHIFT);
}

static ALWAYS_INLINE u32 data_key(u64 data)
{
    return (u32)(data >> TLB2_KEY_SHIFT) & 15;
}

/* What a first stage says of an address, whose page is where `second` says, with both stages'
 * rights. */
static ALWAYS_INLINE u64 tlb2_join(u64 first, u64 second)
{
    const u64 from_second = BITS(51, PAGE_SHIFT) | TLB2_NO_STAGE2;

    return (first & ~from_second) | (second & from_second);
}

/* Does a data word have what an access needs, but for the rights of the first stage: dirty flags
 * for a write, and the second stage's rights? */
static ALWAYS_INLINE bool tlb2_grants(const struct accessor *who, u32 access, u64 data)
{
    const u64 dirty = (access & ACCESS_WRITE) != 0 ? TLB2_DIRTY | TLB2_DIRTY2 : 0;

    return (data & dirty) == dirty &&
           rights2_allow(who, access, (u32)data & RIGHTS_ALL, (u32)(data >> TLB2_RIGHTS2_SHIFT));
}

/* Enter a translation of the current context. */
static ALWAYS_INLINE void tlb2_fill(struct mmu_state *s, u64 va, u64 data)
{
    *tlb2_slot(s, s->current, va) =
        (struct tlb2_entry){tlb2_tag(va, s->context[s->current].stamp), data};
}

/* Bring the context in use and its banks up to date, and point mmu.bank at them. To be called after
 * whatever may have made them stale or chosen others. */
void tlb_refresh(struct mmu_state *s);
/* The same after a change of the privilege alone: what is in use is up to date. */
void tlb_refresh_privilege(struct mmu_state *s);

/* Enter tags (enum access bits) for the page of va, whose bytes are at host. frame matters for
 * ACCESS_WRITE only, which nobody may be watching; in place of it, FILL_WATCHED. */
enum { FILL_WATCHED = 1 << 7 };
void tlb_fill(struct mmu_state *s, u32 class, u64 va, u8 *host, u64 frame, u32 tags);

/* For the audit: would a write tag in this level-1 slot be found from its frame's record? */
bool tlb_hint_covers(const struct mmu_state *s, u32 context, u32 class, u32 index, u64 frame);

/* Drop what contexts (a bit per slot) hold for one page, or everything they hold. */
void tlb_revoke_page(struct mmu_state *s, u32 contexts, u64 va);
void tlb_revoke_contexts(struct mmu_state *s, u32 contexts);

#endif
