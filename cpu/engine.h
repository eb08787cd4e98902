/* SPDX-License-Identifier: MIT */
/*
 * The interpreter: predecoded blocks run by tail-called handlers. This header is what handlers
 * need: how one ends, how branches chain blocks, and the register accessors.
 *
 * Count and RIP are committed per block: on entry `left` drops by the block's length; a handler
 * that stops in the middle gives back what did not retire (leave_event). Everything slow in the
 * middle of a block is EVENT_REDO: undone by definition, since nothing changed, and executed again
 * alone.
 */
#ifndef CPU_ENGINE_H
#define CPU_ENGINE_H

#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/vcpu.h"

enum { BLOCK_MAX = 48 /* records */ };

/*
 * A run of instructions decoded from one physical page (or one instruction across two), independent
 * of RIP. Lives in the code cache's arena; insns[count] is a closing record that goes on behind the
 * block when its last instruction does not branch.
 */
struct block {
    const u8 *host; /* where the code lies; with mode, the key */
    u32 mode;
    u16 count; /* instructions */
    u16 length; /* bytes */
    u16 known; /* instructions from the first on that the translator knows */
    struct block *link[2]; /* [0] behind the block, [1] at the branch target; same page only */
    struct block *chain; /* hash chain */
    struct block *page_next; /* other blocks of the same frame */
    u64 frame;
    bool stale; /* its bytes changed: the first record leaves to look again */
    u8 heat; /* times entered, until it is translated; then entries in vain */
    const struct insn *first; /* where it is entered: insns, or a record of the translator's */
    const u8 *native; /* its machine code for entries from other machine code, cpu/jit */
    struct insn insns[];
};

/* ---- how handlers end ---- */

/*
 * With optimisation on, handlers tail-call their successor; gcc and clang both make sibling calls
 * of these. Without, and under sanitizers (which need their stack), they return the next record to
 * the loop in run.c. Out-of-line helpers (enter_at_rip, stamp_miss) always do the latter.
 */
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(NESTBOX_LOOP_DISPATCH)
#define DISPATCH(v, in)                                                                            \
    do {                                                                                           \
        (void)(v);                                                                                 \
        return (in);                                                                               \
    } while (0)
#elif defined(__clang__)
#define DISPATCH(v, in) __attribute__((musttail)) return (in)->run(v, in)
#else
#define DISPATCH(v, in) return (in)->run(v, in)
#endif

/* The next instruction of the block. */
#define NEXT(v, in) DISPATCH(v, (in) + 1)

/* The generic path: any row, any operands. Also what stamped handlers fall back to. */
const struct insn *run_generic(struct vcpu *v, const struct insn *in);
#define GENERIC(v, in) return run_generic(v, in)
/* Of a row with nothing to load, to wait for or to store: its exec gets no operands. */
const struct insn *run_bare(struct vcpu *v, const struct insn *in);
/* The same for a hypervisor's guest, if the hypervisor does not want to hear of it. */
const struct insn *run_intercepted(struct vcpu *v, const struct insn *in);

/* After an exec returned false: gives back the count, sets RIP to this instruction, leaves. */
COLD const struct insn *leave_event(struct vcpu *v, const struct insn *in);
/* The last instruction of a block is done and v->next_rip says where to go on. Most chain on; what
 * the run loop must see leaves. */
const struct insn *block_end(struct vcpu *v, const struct insn *in);
/* An instruction in a block touched a device or changed code or tables: what is behind it, at
 * v->next_rip, must be looked at afresh. */
COLD const struct insn *leave_attention(struct vcpu *v, const struct insn *in);
/* RIP and count are exact (end of a block): leave to the run loop. */
const struct insn *leave_boundary(struct vcpu *v);
/* Find or decode the block at RIP and go on there, or leave if it must be looked at. */
NOINLINE const struct insn *enter_at_rip(struct vcpu *v);
/* As enter_at_rip, and remember the result in v->block->link[which] if it lies in the same page. */
NOINLINE const struct insn *enter_and_link(struct vcpu *v, u32 which);

/* Commit to block b, at whose entry RIP is: its first record, or NULL if the budget does not reach.
 */
static ALWAYS_INLINE const struct insn *block_enter(struct vcpu *v, struct block *b)
{
    const i64 left = v->left - b->count;

    if (unlikely(left < 0))
        return NULL;
    v->left = left;
    v->block = b;
    return b->first;
}

/* Go on in block b from within a handler. */
#define ENTER_BLOCK(v, b)                                                                          \
    do {                                                                                           \
        const struct insn *first_ = block_enter(v, b);                                             \
        if (unlikely(first_ == NULL))                                                              \
            return leave_boundary(v);                                                              \
        DISPATCH(v, first_);                                                                       \
    } while (0)

/* Where blocks are found: direct-mapped by host address and mode, older ones chained behind. */
struct code_cache {
    struct block **hash; /* CODE_HASH_SIZE */
    struct memory *memory;
    u8 *arena;
    u64 arena_size, arena_used; /* bytes */
    struct block **frame_blocks; /* by frame: the blocks decoded from it */
    u64 frame_count;
    u64 flushes;
    u8 *room; /* for machine code, within 2 GiB of the arena */
    u64 room_size;
    struct jit *jit; /* NULL: everything is interpreted */
};

enum { CODE_HASH_BITS = 16, CODE_HASH_SIZE = 1 << CODE_HASH_BITS };

#define CODE_HASH_HOST 0x9e3779b97f4a7c15
#define CODE_HASH_MODE 0xc2b2ae3d27d4eb4f

static ALWAYS_INLINE u32 code_hash(const u8 *host, u32 mode)
{
    const u64 key = (u64)(uintptr_t)host * CODE_HASH_HOST ^ (u64)mode * CODE_HASH_MODE;

    return (u32)(key >> (64 - CODE_HASH_BITS));
}

/* Go on at RIP, the quick way: flat CS, the page is in the soft TLB, the block is first in its
 * slot. */
#define ENTER_AT_RIP(v)                                                                            \
    do {                                                                                           \
        const u64 rip_ = (v)->state.reg[REG_RIP];                                                  \
        const struct tlb_entry *entry_ = &(v)->tlb[tlb_index(rip_)];                               \
        if (unlikely(rip_ - entry_->xtag > PAGE_OFFSET_MASK || !((v)->mode & MODE_FLAT_CS)))       \
            return enter_at_rip(v);                                                                \
        const u8 *host_ = (const u8 *)(uintptr_t)(entry_->host + rip_);                            \
        struct block *found_ = (v)->code->hash[code_hash(host_, (v)->mode)];                       \
        if (unlikely(found_ == NULL || found_->host != host_ || found_->mode != (v)->mode))        \
            return enter_at_rip(v);                                                                \
        ENTER_BLOCK(v, found_);                                                                    \
    } while (0)

static ALWAYS_INLINE u64 insn_rip(const struct vcpu *v, const struct insn *in)
{
    return v->state.reg[REG_RIP] + in->pos;
}

static ALWAYS_INLINE u64 insn_next_rip(const struct vcpu *v, const struct insn *in)
{
    return v->state.reg[REG_RIP] + in->pos + in->len;
}

/*
 * The TSC at this instruction. In the middle of a block all of its instructions have been taken
 * from `left`: those from this one on have not run yet. So reading the time need not end a block.
 */
static ALWAYS_INLINE u64 insn_tsc(const struct vcpu *v, const struct insn *in)
{
    const i64 rest = v->block != NULL ? v->block->count - (in - v->block->insns) : 1;

    return v->time_base + (u64)(v->budget - v->left - rest) + v->state.tsc_offset;
}

/* ---- registers ---- */

static ALWAYS_INLINE u64 reg_read(const struct vcpu *v, u8 reg, unsigned w)
{
    if (w == 1)
        return ((const u8 *)v->state.reg)[(reg & 0x1f) * 8 + (reg >> 6)];
    return v->state.reg[reg] & width_mask(w);
}

/* 4-byte writes clear the upper half, 1- and 2-byte writes keep the rest: SDM Vol 1 3.4.1.1. */
static ALWAYS_INLINE void reg_write(struct vcpu *v, u8 reg, unsigned w, u64 value)
{
    if (w == 1)
        ((u8 *)v->state.reg)[(reg & 0x1f) * 8 + (reg >> 6)] = (u8)value;
    else if (w == 2)
        v->state.reg[reg] = (v->state.reg[reg] & ~(u64)0xffff) | (value & 0xffff);
    else
        v->state.reg[reg] = value & width_mask(w);
}

/* ---- effective addresses, for the generic path ---- */

/* Offset of the memory operand within its segment, cut to the address size. */
static ALWAYS_INLINE u64 insn_offset(const struct vcpu *v, const struct insn *in)
{
    const u64 sum = v->state.reg[in->base] + (v->state.reg[in->index] << in->scale) + (u64)in->disp;

    return sum & width_mask(in->addr);
}

/* ---- running, cpu/engine.c and cpu/run.c ---- */

enum run_exit {
    RUN_SLICE, /* slice_end or next_deadline reached */
    RUN_HALT, /* not active: waits for an event */
    RUN_STOP, /* v->stop */
};

/*
 * Run until virtual time (*v->now) reaches slice_end or the clock's next deadline, the CPU halts,
 * or v->stop is set. max_insns bounds the instructions of this call. On return everything in the
 * state is exact, *v->now included.
 */
enum run_exit vcpu_run(struct vcpu *v, u64 max_insns);

/* *v->now and state.count brought up to the current instruction (v->alone or end of block). */
void vcpu_commit_time(struct vcpu *v);

/* ---- code cache, cpu/block.c: one per machine, shared by its CPUs ---- */
struct code_cache *code_cache_create(struct memory *memory, u64 arena_bytes);
void code_cache_destroy(struct code_cache *code);
void code_cache_flush(struct code_cache *code);
/* Translate blocks that were entered `heat` times (JIT_HEAT, or 1..255) into machine code from now
 * on. False: this host cannot; nothing has changed. Before anything runs. */
enum { JIT_HEAT = 24 };
MUST_CHECK bool code_cache_translate(struct code_cache *code, u8 heat);

/* ---- decoder, cpu/decode.c ---- */

struct isa; /* decode tables made from the rows at start: cpu/encoding.c */

enum decode {
    DECODE_OK,
    DECODE_UD, /* no such instruction here: a record whose handler raises #UD (or #NM, #GP) is
                  still filled in, so callers may treat it as OK */
    DECODE_TRUNCATED, /* needs more bytes than were given: available < 15 only */
    DECODE_TOO_LONG, /* over 15 bytes: #GP(0); record filled in likewise */
};

/*
 * Decode the instruction at bytes[0..available-1] for v's present mode into *in (pos is left 0; run
 * is the stamped or generic handler, already chosen for v->mode). bytes may be fewer than 15 at a
 * page end.
 */
enum decode decode(struct vcpu *v, const u8 *bytes, u32 available, struct insn *in);

/* Must this record be the last of its block? */
static ALWAYS_INLINE bool insn_ends_block(const struct insn *in)
{
    const u32 attr = in->def->attr;

    if (attr & (ENDS_BLOCK | BRANCH | IO | SERIALISING))
        return true;
    return (attr & STRING) != 0 && (in->prefix & (PREFIX_REP | PREFIX_REPNE)) != 0;
}

/* What runs a decoded instruction that its mode allows and that no hypervisor intercepts. */
insn_run insn_handler(const struct insn *in, u32 mode);

/* The generic path's operand access, cpu/operand.c. */
MUST_CHECK bool operands_load(struct vcpu *v, const struct insn *in, struct operands *x);
MUST_CHECK bool operands_store(struct vcpu *v, const struct insn *in, struct operands *x);

#endif
