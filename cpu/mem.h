/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as the CPU sees it, by linear address.
 *
 * Two ways. Stamped handlers ask for a host pointer: mem_read_ptr() and mem_write_ptr() give one
 * where the access is plain RAM inside one page and may be done right now; NULL means "take the
 * generic path", never an event. The generic path uses mem_load() and friends, which do everything:
 * page crossing, devices, watched pages, faults.
 *
 * In the middle of a block (v->alone false) mem_load()/mem_store() do not touch devices or watched
 * frames: they raise EVENT_REDO, and the run loop executes the instruction again alone.
 */
#ifndef CPU_MEM_H
#define CPU_MEM_H

#include "cpu/vcpu.h"

NOINLINE void *mem_read_ptr_slow(struct vcpu *v, u64 la, u32 size);
NOINLINE void *mem_write_ptr_slow(struct vcpu *v, u64 la, u32 size);

static ALWAYS_INLINE void *mem_read_ptr(struct vcpu *v, u64 la, u32 size)
{
    const struct tlb_entry *e = &v->tlb[tlb_index(la)];

    if (likely(la - e->rtag <= PAGE_SIZE - size))
        return (void *)(uintptr_t)(e->host + la);
    return mem_read_ptr_slow(v, la, size);
}

/* For stores and for read-modify-write. */
static ALWAYS_INLINE void *mem_write_ptr(struct vcpu *v, u64 la, u32 size)
{
    const struct tlb_entry *e = &v->tlb[tlb_index(la)];

    if (likely(la - e->wtag <= PAGE_SIZE - size))
        return (void *)(uintptr_t)(e->host + la);
    return mem_write_ptr_slow(v, la, size);
}

/* Where a store of size bytes within one page would go to RAM that is watched, but by nobody to
 * whom a store that changes no byte matters; else NULL. Sets A and D as the store would. */
const u8 *mem_watched_ptr(struct vcpu *v, u64 la, u32 size);

/*
 * Generic accesses. flags: 0, or ACCESS_IMPLICIT (descriptor tables, TSS), ACCESS_STACK (through
 * SS: a non-canonical address is #SS(0) instead of #GP(0)). size 1..8 for values, 1..64 for bytes.
 * Linear addresses wrap at 32 bits outside 64-bit mode. Alignment checking (#AC) is applied to
 * explicit user accesses of 2, 4, 8 bytes when CR0.AM and EFLAGS.AC are set.
 */
MUST_CHECK bool mem_load(struct vcpu *v, u64 la, u32 size, u32 flags, u64 *value);
MUST_CHECK bool mem_store(struct vcpu *v, u64 la, u32 size, u32 flags, u64 value);
MUST_CHECK bool mem_load_bytes(struct vcpu *v, u64 la, void *to, u32 size, u32 flags);
MUST_CHECK bool mem_store_bytes(struct vcpu *v, u64 la, const void *from, u32 size, u32 flags);
/* Check that a later store of size bytes cannot fault (all pages); sets A and D. In the middle of a
 * block it raises EVENT_REDO where the store would. Writes nothing. A read-modify-write has
 * ACCESS_READ in its flags, for second stages. */
MUST_CHECK bool mem_probe_write(struct vcpu *v, u64 la, u32 size, u32 flags);
/* The same for a read. */
MUST_CHECK bool mem_probe_read(struct vcpu *v, u64 la, u32 size, u32 flags);

/* The flag for accesses through a record's memory operand. */
static ALWAYS_INLINE u32 segment_flag(const struct insn *in)
{
    return in->seg == SEG_SS ? ACCESS_STACK : 0;
}

/*
 * Segmentation: segment:offset to linear, with type, rights and limit checks for an access of size
 * bytes (access: ACCESS_READ and/or ACCESS_WRITE, or ACCESS_FETCH). Raises #GP(0), or #SS(0) for
 * SS. In 64-bit mode only the FS and GS bases apply; canonical checks are made by the access
 * itself. SDM Vol 3A 5.3-5.5.
 */
MUST_CHECK bool seg_linear(struct vcpu *v, enum seg seg, u64 offset, u32 size, u32 access, u64 *la);

/* Stack in the current stack size (SS.B or 64-bit). push: probes, stores, then updates RSP. */
MUST_CHECK bool stack_push(struct vcpu *v, u64 value, u32 width);
MUST_CHECK bool stack_pop(struct vcpu *v, u64 *value, u32 width);
/* The value `index` slots of `width` above the top, RSP unchanged. */
MUST_CHECK bool stack_peek(struct vcpu *v, u32 index, u32 width, u64 *value);
/* Add to RSP within the stack size. */
void stack_adjust(struct vcpu *v, i64 by);
/* RSP as the stack size sees it (16, 32 or 64 bits). */
u64 stack_pointer(const struct vcpu *v);

/* After anything that may have changed which bank is in use. */
static ALWAYS_INLINE void vcpu_tlb_refresh(struct vcpu *v)
{
    v->tlb = v->mmu->bank;
}

#endif
