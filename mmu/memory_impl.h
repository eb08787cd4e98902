/* SPDX-License-Identifier: MIT */
/*
 * Inside of struct memory, for mmu/ only: the flattened slots, the reserved host ranges for bytes,
 * frame records and table records, and the soft TLBs that look at this memory.
 */
#ifndef MMU_MEMORY_IMPL_H
#define MMU_MEMORY_IMPL_H

#include "mmu/memory.h"

enum {
    MEMORY_SLOTS = 64,
    MEMORY_RANGES = 2 * MEMORY_SLOTS + 1, /* each slot adds at most two borders */
    MEMORY_CPUS = 8,
};

struct mmu_state;
struct shadow;
struct table;

/* A part of the physical address space with one slot on top. Both ends included. */
struct range {
    u64 base, last;
    const struct slot *slot;
};

/* The whole address space in order, without gaps: holes have ranges, too. */
struct view {
    struct range range[MEMORY_RANGES];
    u32 count;
    u32 hot; /* the range found last */
};

struct slot_info {
    bool alias, smram, hidden;
};

struct memory {
    struct view plain, smm;
    u64 a20_mask;
    u32 phys_bits;
    u32 slots;
    struct slot slot[MEMORY_SLOTS];
    struct slot_info info[MEMORY_SLOTS];

    /* Three reservations of address space that grow in step, so that a host pointer gives its frame
     * by subtraction. */
    u8 *bytes;
    struct frame *frames;
    struct table *tables;
    u64 capacity; /* frames */
    u64 frame_count;
    u32 table_count; /* records ever handed out; record 0 is never used */
    u32 table_free; /* head of the list of records given back, 0 if none */

    /* Coherence, see mmu/table.c and mmu/tlb.c. */
    u64 epoch; /* all translations made in an earlier one are void */
    u64 write_epoch; /* all write tags made in an earlier one are; its low half is never 0 */
    struct mmu_state *mmu[MEMORY_CPUS];
    u32 mmus; /* places in mmu[] that were ever taken, from the first on */
    struct shadow *shadow; /* the shadow-paging engine, or NULL: --mmu=walk */

    memory_code_hook code_hook;
    void *code_ctx;
};

/* Give a soft TLB a number (it then hears of revocations), and take it back. */
u32 memory_attach_mmu(struct memory *memory, struct mmu_state *state);
void memory_detach_mmu(struct memory *memory, u32 index);

/* Drop every translation of every CPU. */
void memory_revoke_all(struct memory *memory);
/* Drop what contexts (per CPU, a bit per context slot) hold for one page, or everything they hold:
 * mmu/tlb.c. */
void memory_revoke_page(struct memory *memory, const u16 contexts[MEMORY_CPUS], u64 va);
void memory_revoke_contexts(struct memory *memory, const u16 contexts[MEMORY_CPUS]);
/* Drop the write tags of one frame, or of all, in every soft TLB: mmu/tlb.c. */
void memory_revoke_writes(struct memory *memory, u64 frame);
void memory_revoke_all_writes(struct memory *memory);

/* Watch a frame for one more reason: from now on no write tag leads to it. */
void memory_watch(struct memory *memory, u64 frame, u32 flag);

/* Set bits in a naturally aligned table entry of 4 or 8 bytes: the accessed and dirty flags that a
 * walk leaves. As a locked OR, and told to everybody who watches the frame; but what the tables
 * mean does not change, so nothing is revoked. */
void memory_set_bits(struct memory *memory, u8 *host, u32 bytes, u64 bits);

NOINLINE const struct slot *view_search(struct view *view, u64 at);

/* at: after the A20 mask. */
static ALWAYS_INLINE const struct slot *view_find(struct view *view, u64 at)
{
    const struct range *range = &view->range[view->hot];

    if (likely(at >= range->base && at <= range->last))
        return range->slot;
    return view_search(view, at);
}

static ALWAYS_INLINE const struct slot *memory_slot(struct memory *memory, u64 at, bool smm)
{
    return view_find(smm ? &memory->smm : &memory->plain, at);
}

static ALWAYS_INLINE bool slot_has_bytes(const struct slot *slot)
{
    return slot->kind == SLOT_RAM || slot->kind == SLOT_ROM;
}

static ALWAYS_INLINE u64 frame_of(const struct memory *memory, const u8 *host)
{
    return (u64)(host - memory->bytes) >> PAGE_SHIFT;
}

#endif
