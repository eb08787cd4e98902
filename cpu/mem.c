/* SPDX-License-Identifier: MIT */
/*
 * Guest memory by linear address: the generic way (see mem.h). Page crossing, devices, watched
 * frames, faults, alignment checking and data breakpoints are all here. SDM Vol 3A 4.7, 5.3, 6.15
 * (#AC).
 */
#include "cpu/mem.h"

#include "cpu/event.h"
#include "cpu/stamp.h"
#include "cpu/virt.h"
#include "cpu/vmx/apic.h"

static bool crosses_page(u64 la, u32 size)
{
    return (la & PAGE_OFFSET_MASK) + size > PAGE_SIZE;
}

void *mem_read_ptr_slow(struct vcpu *v, u64 la, u32 size)
{
    struct target t;

    if (crosses_page(la, size) || (v->mode & MODE_ALIGN) != 0 ||
        mmu_refill(v->mmu, la, ACCESS_READ, &t) != REFILL_OK)
        return NULL;
    return t.host;
}

void *mem_write_ptr_slow(struct vcpu *v, u64 la, u32 size)
{
    struct target t;

    if (crosses_page(la, size) || (v->mode & MODE_ALIGN) != 0 ||
        mmu_refill(v->mmu, la, ACCESS_READ | ACCESS_WRITE, &t) != REFILL_OK)
        return NULL;
    return t.kind == SLOT_RAM && !t.watched ? t.host : NULL;
}

const u8 *mem_watched_ptr(struct vcpu *v, u64 la, u32 size)
{
    struct memory *memory = v->mmu->memory;
    struct target t;

    if (crosses_page(la, size) ||
        mmu_refill(v->mmu, la, ACCESS_READ | ACCESS_WRITE, &t) != REFILL_OK || t.kind != SLOT_RAM ||
        (memory_frame_at(memory, t.host)->flags & FRAME_CLEAN) != 0)
        return NULL;
    return t.host;
}

static bool host_is_watched(const struct vcpu *v, const u8 *host)
{
    return memory_frame_at(v->mmu->memory, host)->flags != 0;
}

const struct insn *stamp_miss(struct vcpu *v, const struct insn *in, u64 la, u32 size, u32 access)
{
    const struct tlb_entry *e = &v->tlb[tlb_index(la)];

    if ((access & ACCESS_WRITE) != 0 && tlb_watched(e, la, size) &&
        host_is_watched(v, (const u8 *)(uintptr_t)(e->host + la)))
        return run_generic(v, in);
    if ((access & ACCESS_WRITE) != 0 ? mem_write_ptr_slow(v, la, size) != NULL
                                     : mem_read_ptr_slow(v, la, size) != NULL) {
        if (la - ((access & ACCESS_WRITE) != 0 ? e->wtag : e->rtag) <= PAGE_SIZE - size)
            return in; /* again: now it hits */
    }
    return run_generic(v, in);
}

static bool raise_refill(struct vcpu *v, enum refill refill, u32 flags)
{
    if (refill == REFILL_PAGE_FAULT)
        return raise_page_fault(v, v->mmu->fault.va, v->mmu->fault.error_code);
    if (refill == REFILL_NESTED)
        return virt_raise_nested(v);
    return raise_error(v, (flags & ACCESS_STACK) != 0 ? VEC_SS : VEC_GP, 0);
}

/* May somebody see this store to a watched frame: is it a table, or are these bytes decoded code?
 */
static bool store_shows(const struct vcpu *v, const struct target *t, u32 size)
{
    const struct frame *frame = memory_frame_at(v->mmu->memory, t->host);
    const u32 offset = (u32)((uintptr_t)t->host & PAGE_OFFSET_MASK);

    return (frame->flags & FRAME_TABLE) != 0 ||
           (frame->code_mask & (u32)BITS((offset + size - 1) >> 7, offset >> 7)) != 0;
}

/*
 * Where an access within one page goes. false: an event is raised; among them EVENT_REDO for what a
 * string instruction must not do in the middle of its iterations (v->current is NULL then).
 */
static bool locate(struct vcpu *v, u64 la, u32 size, u32 access, struct target *t)
{
    const struct tlb_entry *bank = (access & ACCESS_IMPLICIT) != 0 ? v->mmu->system_bank : v->tlb;
    const struct tlb_entry *e = &bank[tlb_index(la)];
    const bool write = (access & ACCESS_WRITE) != 0;

    if (likely(la - (write ? e->wtag : e->rtag) <= PAGE_SIZE - size)) {
        t->kind = SLOT_RAM;
        t->host = (u8 *)(uintptr_t)(e->host + la);
        t->watched = false;
        return true;
    }
    if (write && tlb_watched(e, la, size)) {
        t->kind = SLOT_RAM;
        t->host = (u8 *)(uintptr_t)(e->host + la);
        t->watched = host_is_watched(v, t->host);
    } else {
        const enum refill refill = mmu_refill(v->mmu, la, access & ~(u32)ACCESS_STACK, t);

        if (refill != REFILL_OK)
            return raise_refill(v, refill, access);
    }
    if (t->kind == SLOT_MMIO && t->slot->ops == &vmx_apic_page &&
        !vmx_apic_access(v, (u32)(t->hpa.v & PAGE_OFFSET_MASK), size, access))
        return false;
    if (v->alone || v->current != NULL)
        return true;
    if (t->kind == SLOT_MMIO ||
        (write && t->kind == SLOT_RAM && t->watched && store_shows(v, t, size)))
        return raise_redo(v);
    return true;
}

/* A device takes naturally aligned 1, 2, 4 or 8 bytes; anything else goes byte by byte. */
static void mmio_access(struct vcpu *v, const struct target *t, u8 *bytes, u32 size, bool write)
{
    const u64 offset = t->hpa.v - t->slot->base;
    const bool whole = (size & (size - 1)) == 0 && size <= 8 && (offset & (size - 1)) == 0;
    const u32 step = whole ? size : 1;

    vcpu_commit_time(v);
    for (u32 done = 0; done < size; done += step) {
        if (write)
            t->slot->ops->write(t->slot->ctx, offset + done, step, load_le(bytes + done, step));
        else
            store_le(bytes + done, t->slot->ops->read(t->slot->ctx, offset + done, step), step);
    }
    v->attention = true;
}

static void read_part(struct vcpu *v, const struct target *t, u8 *to, u32 size)
{
    switch (t->kind) {
    case SLOT_RAM:
    case SLOT_ROM: memcpy(to, t->host, size); break;
    case SLOT_MMIO: mmio_access(v, t, to, size, false); break;
    default: memset(to, 0xff, size); break;
    }
}

/* After it, the rest of the block may be stale, or no longer be what RIP is translated to. */
static void watched_store(struct vcpu *v, u8 *host, const void *from, u32 size)
{
    const u64 la = (v->state.reg[REG_RIP] + v->segbase[SEG_CS]) & v->la_mask;

    memory_store(v->mmu->memory, host, from, size);
    if (v->block == NULL || v->block == v->scratch || v->block->stale ||
        la - v->tlb[tlb_index(la)].xtag > PAGE_OFFSET_MASK)
        v->attention = true;
}

const struct insn *stamp_store_miss(struct vcpu *v, const struct insn *in, u64 la, u32 size,
                                    u64 value)
{
    const struct tlb_entry *e = &v->tlb[tlb_index(la)];
    u8 *host = (u8 *)(uintptr_t)(e->host + la);

    if (!tlb_watched(e, la, size) || !host_is_watched(v, host)) {
        struct target t;

        if (crosses_page(la, size) || mmu_refill(v->mmu, la, ACCESS_WRITE, &t) != REFILL_OK ||
            t.kind != SLOT_RAM)
            return run_generic(v, in);
        host = t.host;
        if (!t.watched) {
            memcpy(host, &value, size);
            return in + 1;
        }
    }
    watched_store(v, host, &value, size);
    if (likely(!v->attention))
        return in + 1;
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
    return leave_attention(v, in);
}

static void write_part(struct vcpu *v, const struct target *t, u8 *from, u32 size)
{
    switch (t->kind) {
    case SLOT_RAM:
        if (t->watched)
            watched_store(v, t->host, from, size);
        else
            memcpy(t->host, from, size);
        break;
    case SLOT_MMIO: mmio_access(v, t, from, size, true); break;
    default: break; /* ROM and holes swallow it */
    }
}

/* #AC and data breakpoints: only when MODE_ALIGN says that one may happen. */
static bool check_access(struct vcpu *v, u64 la, u32 size, u32 access)
{
    if ((access & ACCESS_IMPLICIT) != 0)
        return true;
    if (v->cpl == 3 && (v->state.cr0 & BIT(18)) != 0 && (v->state.rflags & FLAG_AC) != 0 &&
        (size & (size - 1)) == 0 && size <= 8 && (la & (size - 1)) != 0)
        return raise_error(v, VEC_AC, 0);
    if (v->watching)
        event_data_access(v, la, size, (access & ACCESS_WRITE) != 0);
    return true;
}

/* The one or two pages of an access. */
struct parts {
    struct target t[2];
    u32 size[2];
};

static bool locate_parts(struct vcpu *v, u64 la, u32 size, u32 access, struct parts *p)
{
    /* descriptor tables have 64-bit bases in compatibility mode too */
    const bool wide = (access & ACCESS_IMPLICIT) != 0 && long_mode(v);
    const u64 mask = wide ? ~(u64)0 : v->la_mask;

    la &= mask;
    p->size[0] = size;
    p->size[1] = 0;
    if (unlikely((v->mode & MODE_ALIGN) != 0) && !check_access(v, la, size, access))
        return false;
    if (unlikely(crosses_page(la, size))) {
        p->size[0] = (u32)(PAGE_SIZE - (la & PAGE_OFFSET_MASK));
        p->size[1] = size - p->size[0];
        if (!locate(v, la, p->size[0], access, &p->t[0]))
            return false;
        return locate(v, (la + p->size[0]) & mask, p->size[1], access, &p->t[1]);
    }
    return locate(v, la, size, access, &p->t[0]);
}

bool mem_load_bytes(struct vcpu *v, u64 la, void *to, u32 size, u32 flags)
{
    struct parts p;

    if (!locate_parts(v, la, size, flags | ACCESS_READ, &p))
        return false;
    read_part(v, &p.t[0], to, p.size[0]);
    if (p.size[1] != 0)
        read_part(v, &p.t[1], (u8 *)to + p.size[0], p.size[1]);
    return true;
}

bool mem_store_bytes(struct vcpu *v, u64 la, const void *from, u32 size, u32 flags)
{
    u8 bytes[64];
    struct parts p;

    DEBUG_CHECK(size <= sizeof(bytes));
    if (!locate_parts(v, la, size, flags | ACCESS_WRITE, &p))
        return false;
    memcpy(bytes, from, size);
    write_part(v, &p.t[0], bytes, p.size[0]);
    if (p.size[1] != 0)
        write_part(v, &p.t[1], bytes + p.size[0], p.size[1]);
    return true;
}

bool mem_load(struct vcpu *v, u64 la, u32 size, u32 flags, u64 *value)
{
    *value = 0;
    return mem_load_bytes(v, la, value, size, flags);
}

bool mem_store(struct vcpu *v, u64 la, u32 size, u32 flags, u64 value)
{
    return mem_store_bytes(v, la, &value, size, flags);
}

bool mem_probe_write(struct vcpu *v, u64 la, u32 size, u32 flags)
{
    struct parts p;

    return locate_parts(v, la, size, flags | ACCESS_WRITE, &p);
}

bool mem_probe_read(struct vcpu *v, u64 la, u32 size, u32 flags)
{
    struct parts p;

    return locate_parts(v, la, size, flags | ACCESS_READ, &p);
}

/* ---- the stack ---- */

static unsigned stack_width(const struct vcpu *v)
{
    return mode64(v) ? 8 : (v->mode & MODE_STACK32) != 0 ? 4 : 2;
}

u64 stack_pointer(const struct vcpu *v)
{
    return v->state.reg[REG_RSP] & width_mask(stack_width(v));
}

void stack_adjust(struct vcpu *v, i64 by)
{
    const u64 mask = width_mask(stack_width(v));
    u64 *rsp = &v->state.reg[REG_RSP];

    *rsp = (*rsp & ~mask) | ((*rsp + (u64)by) & mask);
}

bool stack_push(struct vcpu *v, u64 value, u32 width)
{
    const u64 top = (stack_pointer(v) - width) & width_mask(stack_width(v));
    u64 la;

    if (!seg_linear(v, SEG_SS, top, width, ACCESS_WRITE, &la) ||
        !mem_store(v, la, width, ACCESS_STACK, value))
        return false;
    stack_adjust(v, -(i64)width);
    return true;
}

bool stack_peek(struct vcpu *v, u32 index, u32 width, u64 *value)
{
    const u64 at = (stack_pointer(v) + (u64)index * width) & width_mask(stack_width(v));
    u64 la;

    return seg_linear(v, SEG_SS, at, width, ACCESS_READ, &la) &&
           mem_load(v, la, width, ACCESS_STACK, value);
}

bool stack_pop(struct vcpu *v, u64 *value, u32 width)
{
    if (!stack_peek(v, 0, width, value))
        return false;
    stack_adjust(v, width);
    return true;
}
