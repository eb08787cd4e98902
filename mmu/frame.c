/* SPDX-License-Identifier: MIT */
/*
 * Physical reads and stores, and the frame records that say who watches the stores. Everything that
 * writes guest memory and is not a soft-TLB hit passes store_watched() if the frame is watched.
 */
#include "base/bits.h"
#include "mmu/format.h"
#include "mmu/memory_impl.h"
#include "mmu/shadow/shadow.h"
#include "mmu/table.h"

#include <string.h>

enum { CODE_GRAIN_SHIFT = 7 };

/* The 128-byte granules that size bytes at offset touch; 1 <= size, offset + size <= 4096. */
static u32 granules(u64 offset, u64 size)
{
    const unsigned first = (unsigned)(offset >> CODE_GRAIN_SHIFT);
    const unsigned last = (unsigned)((offset + size - 1) >> CODE_GRAIN_SHIFT);

    return (u32)BITS(last, first);
}

static void tell_code(struct memory *memory, u64 frame, u32 touched)
{
    const u32 mask = memory->frames[frame].code_mask & touched;

    if (mask == 0)
        return;
    if (memory->code_hook != NULL)
        memory->code_hook(memory->code_ctx, frame, mask);
    /* Whatever the hook did, no block may remain from these bytes. */
    memory_code_clear(memory, frame, mask);
}

/* Everybody who watches the frame hears of a store before it is done. */
static NOINLINE void store_watched(struct memory *memory, u8 *host, const u8 *from, u32 size)
{
    const u64 frame = frame_of(memory, host);
    const u32 offset = (u32)((u64)(host - memory->bytes) & PAGE_OFFSET_MASK);
    struct frame *f = &memory->frames[frame];

    if ((f->flags & FRAME_TABLE) != 0)
        table_store(memory, frame, offset, from, size);
    if ((f->flags & FRAME_SHADOW) != 0)
        shadow_store(memory->shadow, frame, offset, from, size);
    if ((f->flags & FRAME_CODE) != 0)
        tell_code(memory, frame, granules(offset, size));
    f->flags &= ~(u32)FRAME_CLEAN;
    if (likely(size == 8))
        store_le(host, load_le(from, 8), 8);
    else
        memmove(host, from, size);
}

/* size bytes inside one page of RAM or ROM. */
static ALWAYS_INLINE void store_page(struct memory *memory, u8 *host, const void *from, u64 size)
{
    if (likely(memory->frames[frame_of(memory, host)].flags == 0))
        memmove(host, from, size);
    else
        store_watched(memory, host, from, (u32)size);
}

void memory_store(struct memory *memory, u8 *host, const void *from, u64 size)
{
    if (size != 0)
        store_page(memory, host, from, size);
}

void memory_set_bits(struct memory *memory, u8 *host, u32 bytes, u64 bits)
{
    const u64 frame = frame_of(memory, host);
    const u32 offset = (u32)((u64)(host - memory->bytes) & PAGE_OFFSET_MASK);
    struct frame *f = &memory->frames[frame];

    if ((f->flags & FRAME_TABLE) != 0 && table_disagrees(memory, frame, bytes, bits))
        table_revoke(memory, frame);
    if ((f->flags & FRAME_SHADOW) != 0)
        shadow_set_bits(memory->shadow, frame, offset, bytes, bits);
    if ((f->flags & FRAME_CODE) != 0)
        tell_code(memory, frame, granules(offset, bytes));
    f->flags &= ~(u32)FRAME_CLEAN;
    pt_store(host, pt_load(host, bytes) | bits, bytes);
}

/* ---- devices ---- */

/* The longest piece of an access that a device takes at once: a power of two inside 8 bytes. */
static u32 mmio_piece(u64 at, u64 size)
{
    const u64 room = 8 - (at & 7);
    u32 piece = 8;

    while (piece > size || piece > room)
        piece /= 2;
    return piece;
}

static void mmio_read(const struct slot *slot, u64 at, u8 *to, u64 size)
{
    while (size > 0) {
        const u32 piece = mmio_piece(at, size);

        store_le(to, slot->ops->read(slot->ctx, at - slot->base, piece), piece);
        at += piece;
        to += piece;
        size -= piece;
    }
}

static void mmio_write(const struct slot *slot, u64 at, const u8 *from, u64 size)
{
    while (size > 0) {
        const u32 piece = mmio_piece(at, size);

        slot->ops->write(slot->ctx, at - slot->base, piece, load_le(from, piece));
        at += piece;
        from += piece;
        size -= piece;
    }
}

/* ---- physical accesses ---- */

/* Bytes from `at` to the end of its page, at most size. */
static u64 page_part(u64 at, u64 size)
{
    const u64 room = PAGE_SIZE - (at & PAGE_OFFSET_MASK);

    return size < room ? size : room;
}

static void read_view(struct memory *memory, struct view *view, u64 at, u8 *to, u64 size)
{
    while (size > 0) {
        const u64 part = page_part(at, size);
        const u64 address = at & memory->a20_mask;
        const struct slot *slot = view_find(view, address);

        if (slot_has_bytes(slot))
            memcpy(to, slot->host + (address - slot->base), part);
        else if (slot->kind == SLOT_MMIO)
            mmio_read(slot, address, to, part);
        else
            memset(to, 0xff, part);
        at += part;
        to += part;
        size -= part;
    }
}

static void write_view(struct memory *memory, struct view *view, u64 at, const u8 *from, u64 size)
{
    while (size > 0) {
        const u64 part = page_part(at, size);
        const u64 address = at & memory->a20_mask;
        const struct slot *slot = view_find(view, address);

        if (slot->kind == SLOT_RAM)
            store_page(memory, slot->host + (address - slot->base), from, part);
        else if (slot->kind == SLOT_MMIO)
            mmio_write(slot, address, from, part);
        at += part;
        from += part;
        size -= part;
    }
}

void memory_read(struct memory *memory, hpa_t at, void *to, u64 size)
{
    read_view(memory, &memory->plain, at.v, to, size);
}

void memory_write(struct memory *memory, hpa_t at, const void *from, u64 size)
{
    write_view(memory, &memory->plain, at.v, from, size);
}

void memory_smram_read(struct memory *memory, hpa_t at, void *to, u64 size)
{
    read_view(memory, &memory->smm, at.v, to, size);
}

void memory_smram_write(struct memory *memory, hpa_t at, const void *from, u64 size)
{
    write_view(memory, &memory->smm, at.v, from, size);
}

/* Host pointer to the byte at `at` if it is RAM or ROM. */
static u8 *byte_at(struct memory *memory, u64 at)
{
    const u64 address = at & memory->a20_mask;
    const struct slot *slot = memory_slot(memory, address, false);

    return slot_has_bytes(slot) ? slot->host + (address - slot->base) : NULL;
}

bool memory_load(struct memory *memory, hpa_t at, const void *from, u64 size)
{
    const u8 *bytes = from;
    u64 part;

    for (u64 done = 0; done < size; done += part) {
        part = page_part(at.v + done, size - done);
        if (byte_at(memory, at.v + done) == NULL)
            return false;
    }
    for (u64 done = 0; done < size; done += part) {
        part = page_part(at.v + done, size - done);
        store_page(memory, byte_at(memory, at.v + done), bytes + done, part);
    }
    return true;
}

const u8 *memory_peek(struct memory *memory, hpa_t at, u64 size)
{
    const u8 *first = byte_at(memory, at.v);
    u64 part;

    if (first == NULL || size > memory->frame_count * PAGE_SIZE)
        return NULL;
    for (u64 done = 0; done < size; done += part) {
        part = page_part(at.v + done, size - done);
        if (byte_at(memory, at.v + done) != first + done)
            return NULL;
    }
    return first;
}

/* ---- frame records ---- */

u64 memory_frame_of(const struct memory *memory, const u8 *host)
{
    return frame_of(memory, host);
}

struct frame *memory_frame_at(struct memory *memory, const u8 *host)
{
    return &memory->frames[frame_of(memory, host)];
}

struct frame *memory_frame(struct memory *memory, u64 frame)
{
    return &memory->frames[frame];
}

u64 memory_frame_count(const struct memory *memory)
{
    return memory->frame_count;
}

void memory_watch(struct memory *memory, u64 frame, u32 flag)
{
    struct frame *f = &memory->frames[frame];
    const u32 before = f->flags;

    f->flags = before | flag;
    if (before == 0) /* else there are no write tags */
        memory_revoke_writes(memory, frame);
}

void memory_code_mark(struct memory *memory, const u8 *from, u32 length)
{
    const u64 frame = frame_of(memory, from);

    if (length == 0)
        return;
    memory->frames[frame].code_mask |=
        granules((u64)(from - memory->bytes) & PAGE_OFFSET_MASK, length);
    memory_watch(memory, frame, FRAME_CODE);
}

void memory_code_clear(struct memory *memory, u64 frame, u32 mask)
{
    struct frame *f = &memory->frames[frame];

    f->code_mask &= ~mask;
    if (f->code_mask == 0)
        f->flags &= ~(u32)FRAME_CODE;
}

void memory_set_code_hook(struct memory *memory, memory_code_hook hook, void *ctx)
{
    memory->code_hook = hook;
    memory->code_ctx = ctx;
}

void memory_mark_clean(struct memory *memory, u64 frame)
{
    memory_watch(memory, frame, FRAME_CLEAN);
}
