/* SPDX-License-Identifier: MIT */
/*
 * Task switches between 16- and 32-bit TSSs. SDM Vol 3A 8.2 (7.2 in older editions) "Task
 * Management Data Structures", 8.3 "Task Switching".
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/system.h"
#include "cpu/transfer.h"
#include "cpu/virt.h"

/* Offsets in the 32-bit TSS (SDM Vol 3A figure "32-Bit Task-State Segment") and the 16-bit one. */
enum {
    TSS32_CR3 = 28,
    TSS32_EIP = 32,
    TSS32_EFLAGS = 36,
    TSS32_REGS = 40,
    TSS32_SEGS = 72,
    TSS32_LDT = 96,
    TSS32_TRAP = 100,
    TSS32_SIZE = 104,
    TSS16_IP = 14,
    TSS16_FLAGS = 16,
    TSS16_REGS = 18,
    TSS16_SEGS = 34,
    TSS16_LDT = 42,
    TSS16_SIZE = 44,
};

static const u8 segment_order[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

/* The dynamic part of a TSS, whatever its size. */
struct tss_image {
    u32 cr3, eip, eflags;
    u32 regs[8];
    u16 segs[6]; /* in segment_order */
    u16 ldt;
    bool trap;
};

static bool is_32bit(const struct segment *tss)
{
    return (tss->attr & 8) != 0;
}

static void image_unpack(struct tss_image *image, const u8 *bytes, bool is_32)
{
    const u32 width = is_32 ? 4 : 2;

    *image = (struct tss_image){
        .cr3 = is_32 ? (u32)load_le(bytes + TSS32_CR3, 4) : 0,
        .eip = (u32)load_le(bytes + (is_32 ? TSS32_EIP : TSS16_IP), width),
        .eflags = (u32)load_le(bytes + (is_32 ? TSS32_EFLAGS : TSS16_FLAGS), width),
        .ldt = (u16)load_le(bytes + (is_32 ? TSS32_LDT : TSS16_LDT), 2),
        .trap = is_32 && (bytes[TSS32_TRAP] & 1) != 0,
    };
    for (unsigned i = 0; i < 8; i++)
        image->regs[i] = (u32)load_le(bytes + (is_32 ? TSS32_REGS : TSS16_REGS) + i * width, width);
    for (unsigned i = 0; i < (is_32 ? 6u : 4u); i++)
        image->segs[i] = (u16)load_le(bytes + (is_32 ? TSS32_SEGS : TSS16_SEGS) + i * width, 2);
    if (!is_32) { /* the upper halves of registers read as ones: SDM Vol 3A 8.6 leaves them open */
        for (unsigned i = 0; i < 8; i++)
            image->regs[i] |= 0xffff0000;
    }
}

/* The part of the outgoing TSS that a switch writes, as bytes from its first register on. */
static u32 image_pack(const struct vcpu *v, u8 *bytes, bool is_32, u64 rflags)
{
    const u32 width = is_32 ? 4 : 2;
    u8 *at = bytes;

    store_le(at, v->next_rip, width);
    store_le(at + width, rflags, width);
    at += 2 * width;
    for (unsigned i = 0; i < 8; i++, at += width)
        store_le(at, v->state.reg[i], width);
    for (unsigned i = 0; i < (is_32 ? 6u : 4u); i++, at += width)
        store_le(at, v->state.seg[segment_order[i]].selector, width);
    return (u32)(at - bytes);
}

/* The incoming TSS descriptor: SDM Vol 3A 8.3 steps 1-4. */
static bool read_tss(struct vcpu *v, u16 selector, enum task_switch how, struct segment *tss)
{
    const enum vector vector = how == TASK_IRET ? VEC_TS : VEC_GP;
    const u32 busy = how == TASK_IRET ? TYPE_BUSY : 0;
    struct descriptor d;

    if (selector_is_null(selector) || (selector & SELECTOR_TI) != 0)
        return raise_selector(v, vector, selector);
    if (!descriptor_read(v, selector, false, vector, &d))
        return false;
    descriptor_unpack(&d, selector, tss);
    if ((tss->attr & ATTR_S) != 0 || ((tss->attr & ATTR_TYPE & ~8u) != (TYPE_TSS16 | busy)))
        return raise_selector(v, vector, selector);
    if ((tss->attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    if (tss->limit < (is_32bit(tss) ? TSS32_SIZE - 1u : TSS16_SIZE - 1u))
        return raise_selector(v, VEC_TS, selector);
    return true;
}

static bool load_tss_bytes(struct vcpu *v, u64 base, u8 *bytes, u32 size)
{
    for (u32 at = 0; at < size; at += 52) {
        const u32 part = size - at < 52 ? size - at : 52;

        if (!mem_load_bytes(v, base + at, bytes + at, part, ACCESS_IMPLICIT))
            return false;
    }
    return true;
}

/* Everything that will be written must be writable before the first byte changes. */
static bool probe_all(struct vcpu *v, const struct segment *old, const struct segment *new)
{
    const u64 first = is_32bit(old) ? TSS32_EIP : TSS16_IP;
    const u64 size = is_32bit(old) ? TSS32_LDT - TSS32_EIP : TSS16_LDT - TSS16_IP;

    return mem_probe_write(v, old->base + first, (u32)size, ACCESS_IMPLICIT) &&
           mem_probe_write(v, new->base, 2, ACCESS_IMPLICIT) &&
           mem_probe_write(v, descriptor_address(v, old->selector) + 5, 1, ACCESS_IMPLICIT) &&
           mem_probe_write(v, descriptor_address(v, new->selector) + 5, 1, ACCESS_IMPLICIT);
}

static bool set_busy(struct vcpu *v, const struct segment *tss, bool busy)
{
    const u32 access = (tss->attr & 0xff & ~(u32)TYPE_BUSY) | (busy ? TYPE_BUSY : 0u);

    return mem_store(v, descriptor_address(v, tss->selector) + 5, 1, ACCESS_IMPLICIT, access);
}

static bool save_old(struct vcpu *v, const struct segment *old, u64 rflags)
{
    const bool is_32 = is_32bit(old);
    u8 bytes[64];
    const u32 size = image_pack(v, bytes, is_32, rflags);

    return mem_store_bytes(v, old->base + (is_32 ? TSS32_EIP : TSS16_IP), bytes, size,
                           ACCESS_IMPLICIT);
}

/* Steps 5-11: write the old task, mark both, take over TR. Cannot fail after probe_all(). */
static bool write_tables(struct vcpu *v, struct segment *new, enum task_switch how, u64 rflags)
{
    const struct segment old = v->state.seg[SEG_TR];

    if (how == TASK_IRET)
        rflags &= ~(u64)FLAG_NT;
    if (!save_old(v, &old, rflags))
        return false;
    if ((how == TASK_JMP || how == TASK_IRET) && !set_busy(v, &old, false))
        return false;
    if ((how == TASK_CALL || how == TASK_INT) &&
        !mem_store(v, new->base, 2, ACCESS_IMPLICIT, old.selector))
        return false;
    if (how != TASK_IRET && !set_busy(v, new, true))
        return false;
    new->attr |= TYPE_BUSY;
    v->state.seg[SEG_TR] = *new;
    v->state.cr0 |= CR0_TS;
    v->state.dr[7] &= ~(u64)0x155; /* L0-L3, LE: SDM Vol 3A 18.2.4 */
    return true;
}

/* The registers of the new task; segments so far by their selectors only. */
static void load_registers(struct vcpu *v, const struct tss_image *image, enum task_switch how)
{
    u64 rflags = image->eflags & (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT |
                                  FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID);

    if (how == TASK_CALL || how == TASK_INT)
        rflags |= FLAG_NT;
    if ((v->state.dr[7] & DR7_ENABLES) == 0)
        rflags &= ~(u64)FLAG_RF; /* as in IRET: matters to armed code breakpoints only */
    rflags_set(v, rflags);
    for (unsigned i = 0; i < 8; i++)
        v->state.reg[i] = image->regs[i];
    v->state.seg[SEG_LDTR] = segment_null(image->ldt, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(segment_order); i++) {
        if ((rflags & FLAG_VM) != 0)
            segment_load_real(v, segment_order[i], image->segs[i]);
        else
            v->state.seg[segment_order[i]] = segment_null(image->segs[i], image->segs[1] & 3);
    }
    v->next_rip = image->eip;
    mode_update(v);
}

static bool load_ldt(struct vcpu *v, u16 selector)
{
    struct descriptor d;
    struct segment s;

    if (selector_is_null(selector))
        return true;
    if ((selector & SELECTOR_TI) != 0)
        return raise_selector(v, VEC_TS, selector);
    if (!descriptor_read(v, selector, false, VEC_TS, &d))
        return false;
    descriptor_unpack(&d, selector, &s);
    if ((s.attr & (ATTR_S | ATTR_P | ATTR_TYPE)) != (ATTR_P | TYPE_LDT))
        return raise_selector(v, VEC_TS, selector);
    v->state.seg[SEG_LDTR] = s;
    return true;
}

static bool load_task_data(struct vcpu *v, enum seg seg, u16 selector)
{
    const unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor d;
    struct segment s;

    if (selector_is_null(selector))
        return true;
    if (!descriptor_read(v, selector, false, VEC_TS, &d))
        return false;
    descriptor_unpack(&d, selector, &s);
    if ((s.attr & ATTR_S) == 0 || (s.attr & (ATTR_CODE | ATTR_WRITABLE)) == ATTR_CODE ||
        (!attr_is_conforming_code(s.attr) && (rpl > attr_dpl(s.attr) || v->cpl > attr_dpl(s.attr))))
        return raise_selector(v, VEC_TS, selector);
    if ((s.attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    if (!descriptor_touch(v, selector, &d))
        return false;
    s.attr |= ATTR_ACCESSED;
    v->state.seg[seg] = s;
    return true;
}

/* The descriptors behind the new task's selectors: faults belong to the new task. */
static bool load_segments(struct vcpu *v, const struct tss_image *image)
{
    const unsigned cpl = image->segs[1] & SELECTOR_RPL;
    struct segment s;

    if (!load_ldt(v, image->ldt))
        return false;
    if ((v->state.rflags & FLAG_VM) == 0) {
        if (!code_segment_check(v, image->segs[1], cpl, VEC_TS, &s))
            return false;
        v->state.seg[SEG_CS] = s;
        if (!stack_segment_check(v, image->segs[2], cpl, VEC_TS, &s))
            return false;
        v->state.seg[SEG_SS] = s;
        mode_update_segments(v);
        if (!load_task_data(v, SEG_ES, image->segs[0]) ||
            !load_task_data(v, SEG_DS, image->segs[3]) ||
            !load_task_data(v, SEG_FS, image->segs[4]) ||
            !load_task_data(v, SEG_GS, image->segs[5]))
            return false;
    }
    return code_offset_check(v, &v->state.seg[SEG_CS], v->next_rip);
}

static bool push_error(struct vcpu *v, u32 error, bool is_32)
{
    const u64 value = error;
    struct stack stack = stack_current(v);

    if (!stack_build(v, &stack, &value, 1, is_32 ? 4 : 2))
        return false;
    stack_commit_pointer(v, &stack);
    return true;
}

enum task_result task_switch_to(struct vcpu *v, u16 selector, enum task_switch how,
                                const struct task_event *event)
{
    static const u8 sources[] = {[TASK_CALL] = 0, [TASK_IRET] = 1, [TASK_JMP] = 2, [TASK_INT] = 3};
    struct segment new;
    struct tss_image image;
    u8 bytes[TSS32_SIZE];
    bool done;

    if (!v->alone) { /* no way back once the new task is in force */
        (void)raise_redo(v);
        return TASK_FAULT;
    }
    if (!read_tss(v, selector, how, &new) || !virt_task_switch(v, selector, sources[how], event) ||
        !load_tss_bytes(v, new.base, bytes, is_32bit(&new) ? TSS32_SIZE : TSS16_SIZE) ||
        !probe_all(v, &v->state.seg[SEG_TR], &new))
        return TASK_FAULT;
    image_unpack(&image, bytes, is_32bit(&new));
    if (!write_tables(v, &new, how, event->rflags))
        return TASK_FAULT;
    done = !is_32bit(&new) || (v->state.cr0 & CR0_PG) == 0 || cr3_write(v, image.cr3);
    load_registers(v, &image, how);
    done = done && load_segments(v, &image);
    mode_update(v);
    if (image.trap)
        v->state.pending_debug |= DR6_BT;
    if (done && event->has_error)
        done = push_error(v, event->error, is_32bit(&new));
    v->attention = true;
    return done ? TASK_DONE : TASK_FAULT_INSIDE;
}

bool task_switch(struct vcpu *v, u16 selector, enum task_switch how, bool has_error, u32 error)
{
    const struct task_event event = {.has_error = has_error,
                                     .error = error,
                                     .rflags = rflags_get(v)};

    v->no_step = v->alone; /* a TF in the new EFLAGS counts from its first instruction on */
    switch (task_switch_to(v, selector, how, &event)) {
    case TASK_DONE: return true;
    case TASK_FAULT: v->no_step = false; return false;
    default:
        v->state.reg[REG_RIP] = v->next_rip;
        event_deliver_nested(v);
        v->next_rip = v->state.reg[REG_RIP];
        return true;
    }
}
