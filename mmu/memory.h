/* SPDX-License-Identifier: MIT */
/*
 * The machine's physical address space: slots of RAM, ROM and device windows, aliases and holes,
 * and a record per RAM frame. memory_write() is the one door for writes: CPU slow path, DMA,
 * debugger and loaders all go through it, so that page-table tracking, translated code and the
 * dirty log see every store. (The CPU's fast path writes through soft-TLB entries that exist only
 * for frames that nobody watches.)
 */
#ifndef MMU_MEMORY_H
#define MMU_MEMORY_H

#include "base/error.h"
#include "base/types.h"

/* A device window. offset is relative to the slot's start; size is 1, 2, 4 or 8 bytes and an access
 * never crosses a multiple of 8. Reads return the value zero-extended. */
struct mmio_ops {
    u64 (*read)(void *ctx, u64 offset, u32 size);
    void (*write)(void *ctx, u64 offset, u32 size, u64 value);
};

enum slot_kind {
    SLOT_HOLE, /* reads as all ones, writes vanish */
    SLOT_RAM,
    SLOT_ROM, /* read and executed like RAM; guest writes vanish */
    SLOT_MMIO,
};

struct slot {
    u64 base, size; /* physical bytes, page aligned */
    enum slot_kind kind;
    u8 *host; /* RAM, ROM: where the bytes are */
    u64 first_frame; /* RAM, ROM: index of base's frame record */
    const struct mmio_ops *ops; /* MMIO */
    void *ctx;
    const char *name;
};

/* Why somebody watches the stores to a frame. */
enum frame_flag {
    FRAME_TABLE = 1 << 0, /* a walk has read it as a page table */
    FRAME_CODE = 1 << 1, /* blocks were decoded from it: code_mask says from which 128-byte parts */
    FRAME_CLEAN = 1 << 2, /* the dirty log waits for the first store */
    FRAME_SHADOW = 1 << 3, /* a shadow page stands for it and must hear of stores */
};

/* One record per 4 KiB of RAM or ROM. Aliases of the same bytes share records. A cache: no
 * architectural state. Only mmu/ writes it. */
struct frame {
    u32 code_mask; /* bit i: bytes 128*i .. 128*i+127 hold decoded code */
    u32 flags; /* enum frame_flag */
    /* Where the current soft TLBs may hold a write entry for this frame: see mmu/tlb.c. */
    u64 write_hint;
    u32 write_epoch;
    u32 table; /* FRAME_TABLE: its record in mmu/table.c */
};

struct memory;
struct shadow;

/* Told before bytes of a FRAME_CODE frame change; mask as code_mask. Drops the blocks and clears
 * the bits (and the flag, once the mask is 0) through memory_code_clear(). */
typedef void (*memory_code_hook)(void *ctx, u64 frame, u32 mask);

struct memory *memory_create(u32 phys_bits);
struct shadow *memory_shadow(const struct memory *memory); /* NULL: there is no such engine */
void memory_destroy(struct memory *memory);

/* Add slots. Later slots go over earlier ones where they overlap (as in QEMU's memory regions with
 * rising priority). base and size are page aligned. RAM starts as zeros. */
MUST_CHECK bool memory_add_ram(struct memory *memory, const char *name, hpa_t base, u64 size,
                               struct error *error);
/* A second view of the RAM or ROM at `of`. */
MUST_CHECK bool memory_add_alias(struct memory *memory, const char *name, hpa_t base, u64 size,
                                 hpa_t of, struct error *error);
MUST_CHECK bool memory_add_rom(struct memory *memory, const char *name, hpa_t base, u64 size,
                               struct error *error);
MUST_CHECK bool memory_add_mmio(struct memory *memory, const char *name, hpa_t base, u64 size,
                                const struct mmio_ops *ops, void *ctx, struct error *error);
/* RAM seen only by a CPU in SMM (and by memory_smram_write), over whatever else is there. */
MUST_CHECK bool memory_add_smram(struct memory *memory, hpa_t base, u64 size, struct error *error);
/* Move a slot, or show or hide it (a PCI BAR, shadow RAM). Its priority stays. Revokes all
 * translations. false: no slot of that name, or base is not page aligned. */
MUST_CHECK bool memory_move(struct memory *memory, const char *name, hpa_t base, bool shown,
                            struct error *error);

/* Find the slot at an address, after the A20 mask; SLOT_HOLE (a static slot) where nothing is.
 * smm: look through SMRAM. */
const struct slot *memory_find(struct memory *memory, hpa_t at, bool smm);

/* Bytes at physical addresses, any size and alignment. Over MMIO they go to the device in pieces of
 * at most 8 bytes. ROM drops guest writes; memory_load() is for loaders and writes ROM too. */
void memory_read(struct memory *memory, hpa_t at, void *to, u64 size);
void memory_write(struct memory *memory, hpa_t at, const void *from, u64 size);
/* The same store through a host pointer to RAM, as in struct target: size bytes inside one page.
 * For watched pages; the only right way for SMRAM, which memory_write() does not see. */
void memory_store(struct memory *memory, u8 *host, const void *from, u64 size);
/* As memory_read and memory_write, seen from SMM. */
void memory_smram_read(struct memory *memory, hpa_t at, void *to, u64 size);
void memory_smram_write(struct memory *memory, hpa_t at, const void *from, u64 size);
/* false if any byte is not RAM or ROM; nothing is written then. */
MUST_CHECK bool memory_load(struct memory *memory, hpa_t at, const void *from, u64 size);
/* Host pointer to RAM or ROM bytes that lie in one slot, or NULL; for reading only. */
const u8 *memory_peek(struct memory *memory, hpa_t at, u64 size);

/* A20 line (true: address bit 20 passes). A change revokes all translations. */
void memory_set_a20(struct memory *memory, bool enabled);
bool memory_a20(const struct memory *memory);

/* Frame records. frame_of: index for a host pointer into RAM or ROM. */
u64 memory_frame_of(const struct memory *memory, const u8 *host);
struct frame *memory_frame(struct memory *memory, u64 frame);
struct frame *memory_frame_at(struct memory *memory, const u8 *host);
u64 memory_frame_count(const struct memory *memory);

/* The decoder has read bytes from..from+length-1 (in one page) as code: sets FRAME_CODE and the
 * mask bits, and revokes write entries to the frame in all soft TLBs. */
void memory_code_mark(struct memory *memory, const u8 *from, u32 length);
void memory_code_clear(struct memory *memory, u64 frame, u32 mask);
void memory_set_code_hook(struct memory *memory, memory_code_hook hook, void *ctx);

/* The dirty log: declare a frame clean, so that its next store (by anybody) clears FRAME_CLEAN. */
void memory_mark_clean(struct memory *memory, u64 frame);

/* Bytes of RAM in all (for E820, CMOS, hashes), and an iteration over RAM slots for hash/snapshot.
 */
u64 memory_ram_size(const struct memory *memory);
const struct slot *memory_ram_slot(const struct memory *memory, u32 index); /* NULL past the end */

#endif
