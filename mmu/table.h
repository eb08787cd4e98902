/* SPDX-License-Identifier: MIT */
/*
 * What is known about each frame that walks read as a page table: which of its entries some cached
 * translation came through, and whose. From that, a store to the frame knows what it makes stale.
 * For mmu/ only.
 */
#ifndef MMU_TABLE_H
#define MMU_TABLE_H

#include "mmu/memory_impl.h"

enum { TABLE_WORDS = PAGE_SIZE / 4 / 64 };

/*
 * The rule (it holds at each instruction boundary): a translation cached in any soft TLB came
 * through entries that are all marked `used` in the records of their frames, and those frames are
 * FRAME_TABLE. So a store that changes no used entry makes nothing stale.
 */
struct table {
    u64 used[TABLE_WORDS]; /* a bit per 4 bytes; an 8-byte entry has two */
    u64 epoch; /* of the memory; a record of an earlier one counts as empty */
    u64 base; /* lowest linear address that the table translates */
    u32 words; /* bit w: used[w] is not 0 */
    u32 next_free;
    u8 format; /* enum paging_format */
    u8 level;
    /* Used in more than one meaning (format, level, linear base, stage, SMM): single entries cannot
     * be told. */
    bool mixed;
    bool foreign; /* of these: in formats with other accessed and dirty bits */
    u16 contexts[MEMORY_CPUS]; /* per CPU, a bit per context slot that used it */
};

/* How a walk used an entry. */
struct table_use {
    u64 frame;
    u32 offset; /* of the entry in the frame */
    u32 bytes; /* 4 or 8 */
    u64 base;
    u8 format, level;
    u8 cpu, context;
    bool mixed; /* single entries cannot be told: SMM, second stages and what is above them */
    bool foreign; /* it has no accessed and dirty bits: PDPTEs in memory */
};

/* Note that a translation about to be cached came through an entry. */
void table_use(struct memory *memory, const struct table_use *use);

/* Before size bytes at host, inside one FRAME_TABLE frame, are replaced by `from`: revoke what came
 * through entries that change. */
void table_store(struct memory *memory, u64 frame, u32 offset, const u8 *from, u32 size);

/* No cached translation depends on the frame. */
bool table_is_idle(const struct memory *memory, u64 frame);
/* Give back the record of an idle frame, which is FRAME_TABLE no more. */
void table_release(struct memory *memory, u64 frame);

/* To somebody who used this table, these bits in entries of so many bytes are not A and D: setting
 * them may change what he translates. */
bool table_disagrees(const struct memory *memory, u64 frame, u32 bytes, u64 bits);
/* Drop all that came through the frame. */
void table_revoke(struct memory *memory, u64 frame);

#endif
