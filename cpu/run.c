/* SPDX-License-Identifier: MIT */
/*
 * The run loop: fetch, block building, entering and leaving chains, and everything that happens
 * between instructions. Handlers never see any of it (cpu/engine.h).
 *
 * At the top of the loop the state is exact. A chain then runs until an instruction leaves it: its
 * budget is used up, it ends in something that must be looked at, it faults, or it must be done
 * again alone (EVENT_REDO).
 */
#include "cpu/block.h"
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "cpu/event.h"
#include "cpu/isa/fpu.h"
#include "cpu/jit/jit.h"
#include "cpu/virt.h"
#include "cpu/vmx/apic.h"

/* ---- handlers of the engine's own records ---- */

/* Behind the last instruction of a block that does not branch. */
static const struct insn *run_close(struct vcpu *v, const struct insn *in)
{
    struct block *next = v->block->link[0];

    v->state.reg[REG_RIP] = (v->state.reg[REG_RIP] + in->pos) & v->la_mask;
    if (likely(next != NULL))
        ENTER_BLOCK(v, next);
    return enter_and_link(v, 0);
}

/* Behind the last instruction that may run now: alone, or before the end of the budget. */
static const struct insn *run_leave(struct vcpu *v, const struct insn *in)
{
    v->state.reg[REG_RIP] = (v->state.reg[REG_RIP] + in->pos) & v->la_mask;
    return leave_boundary(v);
}

const struct insn *leave_boundary(struct vcpu *v)
{
    (void)v;
    return NULL;
}

/* Instructions of the running block behind `in`; none when it runs alone. */
static i64 records_behind(const struct vcpu *v, const struct insn *in)
{
    return v->block != NULL ? v->block->count - 1 - (in - v->block->insns) : 0;
}

const struct insn *leave_event(struct vcpu *v, const struct insn *in)
{
    v->left += records_behind(v, in) + 1;
    v->state.reg[REG_RIP] = (v->state.reg[REG_RIP] + in->pos) & v->la_mask;
    return NULL;
}

static ALWAYS_INLINE void exec_begin(struct vcpu *v, const struct insn *in)
{
    v->counters.generic++;
    v->insn_rip = insn_rip(v, in) & v->la_mask;
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
}

/* Apart, since the room for operands would cost every handler below. */
static NOINLINE bool exec_with_operands(struct vcpu *v, const struct insn *in)
{
    struct operands x;

    return operands_load(v, in, &x) && in->def->exec(v, in, &x) && operands_store(v, in, &x);
}

static bool must_run_alone(const struct vcpu *v)
{
    return v->stepping || v->state.shadow != 0 || (v->state.rflags & (FLAG_TF | FLAG_RF)) != 0;
}

const struct insn *block_end(struct vcpu *v, const struct insn *in)
{
    v->state.reg[REG_RIP] = v->next_rip;
    if (v->block == NULL || v->attention)
        return leave_boundary(v);
    if ((in->def->attr & ~(u32)BRANCH & (ENDS_BLOCK | IO | SERIALISING)) != 0 &&
        (v->stop || must_run_alone(v) || v->state.activity != ACTIVITY_ACTIVE ||
         *v->next_deadline < v->until || event_pending(v)))
        return leave_boundary(v);
    ENTER_AT_RIP(v);
}

const struct insn *leave_attention(struct vcpu *v, const struct insn *in)
{
    v->left += records_behind(v, in);
    v->state.reg[REG_RIP] = v->next_rip;
    return leave_boundary(v);
}

/* Behind an instruction of which nothing is known but its row. */
static ALWAYS_INLINE const struct insn *exec_done(struct vcpu *v, const struct insn *in)
{
    if (insn_ends_block(in))
        return block_end(v, in);
    if (unlikely(v->attention))
        return leave_attention(v, in);
    NEXT(v, in);
}

const struct insn *run_generic(struct vcpu *v, const struct insn *in)
{
    bool done;

    exec_begin(v, in);
    v->current = (in->def->attr & STRING) != 0 ? NULL : in;
    done = exec_with_operands(v, in);
    v->current = NULL;
    return likely(done) ? exec_done(v, in) : leave_event(v, in);
}

const struct insn *run_bare(struct vcpu *v, const struct insn *in)
{
    bool done;

    exec_begin(v, in);
    v->current = in;
    done = in->def->exec(v, in, NULL);
    v->current = NULL;
    return likely(done) ? exec_done(v, in) : leave_event(v, in);
}

const struct insn *run_intercepted(struct vcpu *v, const struct insn *in)
{
    v->insn_rip = insn_rip(v, in) & v->la_mask;
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
    if (unlikely(!virt_intercept(v, in)))
        return leave_event(v, in);
    return insn_handler(in, v->mode)(v, in);
}

/* ---- fetch and block building ---- */

/* Host address of the instruction bytes at la; NULL: an event is raised, or *t is not memory. */
static const u8 *fetch_page(struct vcpu *v, u64 la, struct target *t)
{
    const struct tlb_entry *e = &v->tlb[tlb_index(la)];

    t->kind = SLOT_RAM;
    if (likely(la - e->xtag <= PAGE_OFFSET_MASK))
        return (const u8 *)(uintptr_t)(e->host + la);
    switch (mmu_refill(v->mmu, la, ACCESS_FETCH, t)) {
    case REFILL_OK:
        if (t->kind == SLOT_MMIO && t->slot->ops == &vmx_apic_page &&
            !vmx_apic_access(v, (u32)(t->hpa.v & PAGE_OFFSET_MASK), 1, ACCESS_FETCH))
            return NULL;
        return t->host;
    case REFILL_PAGE_FAULT:
        (void)raise_page_fault(v, v->mmu->fault.va, v->mmu->fault.error_code);
        return NULL;
    case REFILL_NESTED: (void)virt_raise_nested(v); return NULL;
    default: (void)RAISE_GP0(v); return NULL;
    }
}

/* Copy up to size instruction bytes at la, all in one page, from memory or whatever is there. */
static bool fetch_bytes(struct vcpu *v, u64 la, u8 *to, u32 size)
{
    struct target t;
    const u8 *host = fetch_page(v, la, &t);

    if (v->event.kind != EVENT_NONE)
        return false;
    if (host != NULL)
        memcpy(to, host, size);
    else if (t.kind == SLOT_MMIO)
        memory_read(v->mmu->memory, t.hpa, to, size);
    else
        memset(to, 0xff, size);
    return true;
}

/* How many bytes the code segment allows from RIP on; SDM Vol 3A 5.3. 64-bit mode has no limit. */
static u64 bytes_to_limit(const struct vcpu *v)
{
    const u64 rip = v->state.reg[REG_RIP];

    if (mode64(v))
        return 16;
    return rip > v->state.seg[SEG_CS].limit ? 0 : v->state.seg[SEG_CS].limit - rip + 1;
}

static void close_block(struct block *block, insn_run run)
{
    struct insn *last = &block->insns[block->count];

    memset(last, 0, sizeof(*last));
    last->run = run;
    last->pos = block->length;
    block->first = block->insns;
}

/* Put the record just decoded behind the others. */
static void block_append(struct block *block, struct insn *in)
{
    in->pos = block->length;
    if (in->base == REG_RIP)
        in->disp += in->pos;
    block->length = (u16)(block->length + in->len);
    block->count++;
}

/*
 * One instruction that does not lie in one page of memory, or runs into the segment limit: decoded
 * afresh each time, into the scratch block.
 */
static struct block *build_straddling(struct vcpu *v, u64 la)
{
    struct block *block = v->scratch;
    const u64 allowed = bytes_to_limit(v);
    const u32 in_page = (u32)(PAGE_SIZE - (la & PAGE_OFFSET_MASK));
    u8 bytes[16];
    u32 available = in_page < 15 ? in_page : 15;
    enum decode result;

    if (!fetch_bytes(v, la, bytes, available))
        return NULL;
    if (available > allowed)
        available = (u32)allowed;
    memset(block, 0, sizeof(*block));
    result = decode(v, bytes, available, &block->insns[0]);
    if (result == DECODE_TRUNCATED) {
        if (allowed <= available) {
            (void)RAISE_GP0(v);
            return NULL;
        }
        if (!fetch_bytes(v, (la + available) & v->la_mask, bytes + available, 15 - available))
            return NULL;
        available = allowed < 15 ? (u32)allowed : 15;
        result = decode(v, bytes, available, &block->insns[0]);
        if (result == DECODE_TRUNCATED) {
            (void)RAISE_GP0(v);
            return NULL;
        }
    }
    block->mode = v->mode;
    block_append(block, &block->insns[0]);
    close_block(block, run_leave);
    return block;
}

/* Decode a block from memory at host, which is where la lies. NULL: the first instruction
 * straddles. */
static struct block *build(struct vcpu *v, u64 la, const u8 *host)
{
    struct block *block = block_reserve(v->code);
    const u64 allowed = bytes_to_limit(v);
    u32 room = (u32)(PAGE_SIZE - (la & PAGE_OFFSET_MASK));

    if (allowed < room)
        room = (u32)allowed;
    memset(block, 0, sizeof(*block));
    block->host = host;
    block->mode = v->mode;
    while (block->count < BLOCK_MAX && block->length < room) {
        const u32 left = room - block->length;
        struct insn *in = &block->insns[block->count];

        if (decode(v, host + block->length, left < 15 ? left : 15, in) == DECODE_TRUNCATED)
            break;
        if (v->code->jit != NULL && jit_knows(in, v->mode)) {
            if (block->known < block->count)
                break; /* behind some that are interpreted: with machine code of its own */
            block->known++;
        }
        block_append(block, in);
        if (insn_ends_block(in))
            break;
    }
    if (block->count == 0)
        return NULL;
    close_block(block, run_close);
    block_publish(v->code, block);
    v->counters.blocks_decoded++;
    return block;
}

/* The block at RIP, decoded if need be. NULL: v->event is raised. */
static struct block *block_at_rip(struct vcpu *v)
{
    const u64 la = (v->state.reg[REG_RIP] + v->segbase[SEG_CS]) & v->la_mask;
    const u64 allowed = bytes_to_limit(v);
    struct block *block;
    struct target t;
    const u8 *host;

    v->event.kind = EVENT_NONE;
    if (unlikely(allowed == 0)) {
        (void)RAISE_GP0(v);
        return NULL;
    }
    host = fetch_page(v, la, &t);
    if (unlikely(host == NULL))
        return v->event.kind != EVENT_NONE ? NULL : build_straddling(v, la);
    block = block_find(v->code, host, v->mode);
    if (block == NULL)
        block = build(v, la, host);
    if (unlikely(block == NULL || (!mode64(v) && block->length > allowed)))
        return build_straddling(v, la);
    return block;
}

const struct insn *enter_at_rip(struct vcpu *v)
{
    struct block *block = block_at_rip(v);

    if (unlikely(block == NULL))
        return NULL;
    return block_enter(v, block);
}

const struct insn *enter_and_link(struct vcpu *v, u32 which)
{
    struct block *from = v->block;
    const u64 flushes = v->code->flushes;
    struct block *to = block_at_rip(v);

    if (unlikely(to == NULL))
        return NULL;
    if ((v->mode & MODE_FLAT_CS) != 0 && from != v->scratch && to != v->scratch &&
        v->code->flushes == flushes && from->frame == to->frame && !from->stale)
        from->link[which] = to;
    return block_enter(v, to);
}

/* ---- the loop ---- */

static void chain(struct vcpu *v, const struct insn *in)
{
    while (in != NULL)
        in = in->run(v, in);
}

void vcpu_commit_time(struct vcpu *v)
{
    /* The running instruction and what follows it in its block have been taken from `left`. */
    const i64 behind = v->current != NULL ? records_behind(v, v->current) : 0;
    const u64 done = (u64)(v->budget - v->left - 1 - behind);

    *v->now = v->time_base + done;
    v->state.count = v->count_base + done;
}

static void commit_all(struct vcpu *v)
{
    const u64 done = (u64)(v->budget - v->left);

    *v->now = v->time_base + done;
    v->state.count = v->count_base + done;
}

/*
 * The first `count` instructions of the block at RIP, from a copy that leaves behind them. Alone:
 * one, with v->block NULL, so that nothing chains on and slow things are done at once.
 */
static void run_prefix(struct vcpu *v, u16 count, bool alone)
{
    struct block *block = block_at_rip(v);
    struct block *copy = v->scratch;

    if (block == NULL)
        return;
    if (block->count < count)
        count = block->count;
    if (block != copy) {
        memcpy(copy->insns, block->insns, count * sizeof(struct insn));
        copy->length = block->insns[count].pos;
        copy->count = count;
        copy->mode = block->mode;
        copy->host = NULL;
        copy->link[0] = NULL;
        copy->link[1] = NULL;
    }
    close_block(copy, run_leave);
    v->left -= count;
    v->alone = alone;
    v->block = alone ? NULL : copy;
    chain(v, copy->insns);
    v->alone = false;
}

/* Has the record that has just run alone branched? A branch to the next instruction does not count.
 */
static bool has_branched(const struct vcpu *v, u64 from)
{
    const struct insn *in = &v->scratch->insns[0];

    return (in->def->attr & (BRANCH | STRING)) == BRANCH &&
           v->state.reg[REG_RIP] != ((from + in->len) & v->la_mask);
}

/* One instruction with everything that may surround it: shadows, TF, RF, breakpoints. */
static void run_alone(struct vcpu *v)
{
    const u64 rflags = v->state.rflags;
    const u8 shadow = v->state.shadow;
    const bool traced = vmx_steps(v);
    const u64 rip = v->state.reg[REG_RIP];
    bool branched;

    if (v->stepping && event_code_breakpoint(v))
        return;
    v->state.shadow = 0;
    v->shadow_now = shadow;
    run_prefix(v, 1, true);
    v->shadow_now = 0;
    commit_all(v);
    if (v->event.kind == EVENT_EXCEPTION || v->event.kind == EVENT_EXIT) {
        v->state.shadow = shadow;
        return;
    }
    if ((rflags & FLAG_RF) != 0)
        v->state.rflags &= ~(u64)FLAG_RF;
    branched = has_branched(v, rip);
    if (branched)
        event_branch(v, rip, false);
    event_after_step(v, (rflags & FLAG_TF) != 0, branched);
    if (traced)
        vmx_after_step(v);
}

/* Taking an event is one tick of time, as if an instruction had retired: a guest whose handlers
 * fault or are interrupted at once for ever still comes to its deadlines. */
static void count_event(struct vcpu *v)
{
    *v->now += 1;
    v->state.count += 1;
}

static void run_chain(struct vcpu *v)
{
    v->event.kind = EVENT_NONE;
    if (must_run_alone(v)) {
        run_alone(v);
    } else {
        const i64 before = v->left;

        chain(v, enter_at_rip(v));
        if (v->event.kind == EVENT_NONE && v->left == before && v->left > 0 && v->left < BLOCK_MAX)
            run_prefix(v, (u16)v->left, false); /* the block was longer than the budget */
    }
    if (v->event.kind == EVENT_REDO) {
        v->counters.redo++;
        v->event.kind = EVENT_NONE;
        run_alone(v);
    }
    commit_all(v);
    if (v->event.kind == EVENT_EXCEPTION) {
        v->counters.exceptions++;
        event_deliver_exception(v);
        count_event(v);
    } else if (v->event.kind == EVENT_EXIT) {
        virt_exit(v);
        count_event(v);
    }
}

/* The virtual time of the next thing that this CPU must look at. */
static u64 next_stop(const struct vcpu *v)
{
    u64 until = v->slice_end;

    if (*v->next_deadline < until)
        until = *v->next_deadline;
    return v->guest_deadline < until ? v->guest_deadline : until;
}

static enum run_exit halted(struct vcpu *v)
{
    if (v->guest_deadline != ~(u64)0 && v->wires.wake_at != NULL)
        v->wires.wake_at(v->wires.ctx, v->guest_deadline);
    return RUN_HALT;
}

static enum run_exit run_until(struct vcpu *v, u64 last)
{
    for (;;) {
        u64 until = next_stop(v);

        v->attention = false;
        if (v->stop)
            return RUN_STOP;
        if (event_pending(v) && event_boundary(v)) {
            count_event(v);
            if (*v->now >= until || v->state.count >= last)
                return RUN_SLICE;
            continue;
        }
        if (v->state.activity != ACTIVITY_ACTIVE)
            return halted(v);
        if (*v->now >= until || v->state.count >= last)
            return RUN_SLICE;
        if (until - *v->now > last - v->state.count)
            until = *v->now + (last - v->state.count);
        v->budget = (i64)(until - *v->now < (u64)1 << 40 ? until - *v->now : (u64)1 << 40);
        v->left = v->budget;
        v->until = until;
        v->time_base = *v->now;
        v->count_base = v->state.count;
        run_chain(v);
    }
}

static enum run_exit run(struct vcpu *v, u64 max_insns)
{
    const u64 last = v->state.count + max_insns < max_insns ? ~(u64)0 : v->state.count + max_insns;
    const u32 host_mxcsr = mxcsr_enter(v);
    const enum run_exit exit = run_until(v, last);

    mxcsr_leave(v, host_mxcsr);
    return exit;
}

enum run_exit vcpu_run(struct vcpu *v, u64 max_insns)
{
    const enum run_exit exit = run(v, max_insns);

    flags_commit(v);
    return exit;
}
