/* SPDX-License-Identifier: MIT */
/*
 * What far transfers, event delivery and task switches share: checks of code and stack segments
 * that change nothing, frames on stacks that are not yet (or no longer) in force, and the commit.
 */
#ifndef CPU_TRANSFER_H
#define CPU_TRANSFER_H

#include "cpu/mem.h"
#include "cpu/segment.h"

/* System descriptor types: SDM Vol 3A table 3-2. */
enum {
    TYPE_TSS16 = 1,
    TYPE_LDT = 2,
    TYPE_TSS16_BUSY = 3,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_INT16 = 6,
    TYPE_TRAP16 = 7,
    TYPE_TSS = 9, /* 32-bit, or 64-bit in long mode */
    TYPE_TSS_BUSY = 11,
    TYPE_CALL = 12,
    TYPE_INT = 14,
    TYPE_TRAP = 15,
    TYPE_BUSY = 2, /* the bit that makes a TSS type busy */
};

enum { SELECTOR_RPL = 3, SELECTOR_TI = 4 };

static ALWAYS_INLINE bool selector_is_null(u16 selector)
{
    return (selector & 0xfffc) == 0;
}

static ALWAYS_INLINE unsigned attr_dpl(u32 attr)
{
    return attr >> ATTR_DPL_SHIFT & 3;
}

static ALWAYS_INLINE bool attr_is_code(u32 attr)
{
    return (attr & (ATTR_S | ATTR_CODE)) == (ATTR_S | ATTR_CODE);
}

static ALWAYS_INLINE bool attr_is_conforming_code(u32 attr)
{
    return (attr & (ATTR_S | ATTR_CODE | ATTR_EXPAND_DOWN)) ==
           (ATTR_S | ATTR_CODE | ATTR_EXPAND_DOWN);
}

static ALWAYS_INLINE bool attr_is_writable_data(u32 attr)
{
    return (attr & (ATTR_S | ATTR_CODE | ATTR_WRITABLE)) == (ATTR_S | ATTR_WRITABLE);
}

/* Raise vector(selector), RPL cleared. */
static inline bool raise_selector(struct vcpu *v, enum vector vector, u16 selector)
{
    return raise_error(v, vector, selector & 0xfffcu);
}

/* A segment register with no usable segment. dpl matters for SS, which carries the CPL. */
struct segment segment_null(u16 selector, unsigned dpl);
/* Flat segments that SYSCALL, SYSENTER and their returns put in place of descriptors. */
static ALWAYS_INLINE struct segment segment_flat_code(u16 selector, unsigned dpl, bool is_64)
{
    return (struct segment){
        .selector = selector,
        .limit = ~(u32)0,
        .attr = ATTR_G | (is_64 ? ATTR_L : ATTR_DB) | ATTR_P | ATTR_S | ATTR_CODE | ATTR_WRITABLE |
                ATTR_ACCESSED | dpl << ATTR_DPL_SHIFT,
    };
}

static ALWAYS_INLINE struct segment segment_flat_data(u16 selector, unsigned dpl)
{
    return (struct segment){
        .selector = selector,
        .limit = ~(u32)0,
        .attr = ATTR_G | ATTR_DB | ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED |
                dpl << ATTR_DPL_SHIFT,
    };
}

/* Read a processor's own table at la: as mem_load_bytes(ACCESS_IMPLICIT), quick where the soft TLB
 * knows the page. size is best a constant. */
MUST_CHECK static ALWAYS_INLINE bool system_load(struct vcpu *v, u64 la, void *to, u32 size)
{
    const u64 at = long_mode(v) ? la : la & 0xffffffff;
    const struct tlb_entry *e = &v->mmu->system_bank[tlb_index(at)];

    if (likely(at - e->rtag <= PAGE_SIZE - size)) {
        memcpy(to, (const u8 *)(uintptr_t)(e->host + at), size);
        return true;
    }
    return mem_load_bytes(v, la, to, size, ACCESS_IMPLICIT);
}

/* Set the accessed bit of a code or data descriptor in its table, if it is clear. */
MUST_CHECK bool descriptor_touch(struct vcpu *v, u16 selector, const struct descriptor *d);
/* Linear address of a selector's descriptor (no checks). */
u64 descriptor_address(const struct vcpu *v, u16 selector);

/*
 * Read and check the code segment for a transfer that ends at privilege `cpl` without a gate's help
 * (the same rules serve far returns, with cpl = RPL): fills out, selector's RPL set to cpl. vector
 * is what bad selectors raise (#GP, or #TS in a task switch). SDM Vol 3A 5.8.1.
 */
MUST_CHECK bool code_segment_check(struct vcpu *v, u16 selector, unsigned cpl, enum vector vector,
                                   struct segment *out);
/* The same for the SS that goes with a privilege level. absent: what a not-present one raises. */
MUST_CHECK bool stack_segment_check(struct vcpu *v, u16 selector, unsigned cpl, enum vector vector,
                                    struct segment *out);
/* Is ip within the code segment (or canonical)? Raises #GP(0). */
MUST_CHECK bool code_offset_check(struct vcpu *v, const struct segment *cs, u64 ip);

/* A stack that a transfer builds on or reads from, whichever segment it is in. */
struct stack {
    struct segment ss;
    u64 sp;
    u64 mask; /* of the stack pointer's size */
    u32 flags; /* ACCESS_*: how memory is reached */
    u32 error; /* of the #SS for a limit violation */
    bool is_64;
};

/* The stack in force now. */
struct stack stack_current(const struct vcpu *v);
/* Check and write `count` values of `width` bytes, values[0] pushed first, below sp; moves
 * stack->sp. Nothing is written if it fails, and SS:RSP themselves do not change. */
MUST_CHECK bool stack_build(struct vcpu *v, struct stack *stack, const u64 *values, u32 count,
                            u32 width);
/* Read `count` values of `width` bytes from sp up; sp does not move. */
MUST_CHECK bool stack_read(struct vcpu *v, const struct stack *stack, u64 *values, u32 count,
                           u32 width);

/* SS:RSP for privilege `cpl` from the TSS (SDM Vol 3A 7.2.1, 7.7), checked. ist 1..7: long mode's
 * interrupt stack table instead. */
MUST_CHECK bool stack_from_tss(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *out);

/* Put CS, and SS:RSP if stack is not NULL, in force and set the target RIP; the last step. */
void transfer_commit(struct vcpu *v, const struct segment *cs, u64 rip, const struct stack *stack);
/* RSP of the stack size that `stack` has; keeps upper bits of 16-bit stacks. */
void stack_commit_pointer(struct vcpu *v, const struct stack *stack);

/* What an event puts into a task switch (task gates). */
struct task_event {
    bool has_error;
    u32 error;
    u64 rflags; /* saved in the old TSS */
};

enum task_result {
    TASK_DONE,
    TASK_FAULT, /* v->event; the old task goes on, nothing has changed */
    TASK_FAULT_INSIDE, /* v->event; the new task is in force, its EIP is v->next_rip */
};
enum task_result task_switch_to(struct vcpu *v, u16 selector, enum task_switch how,
                                const struct task_event *event);

/* event_deliver_exception() from inside an exec: the time bases of the run loop stay as they are.
 */
void event_deliver_nested(struct vcpu *v);
/* Triple fault, and whatever else stops the CPU until INIT, NMI or RESET. */
void event_shutdown(struct vcpu *v);
/* INTR and NMI, at a boundary. They are benign: a fault during their delivery is delivered as such.
 */
void event_deliver_interrupt(struct vcpu *v, u8 vector);

#endif
