/* SPDX-License-Identifier: MIT */
/*
 * Delivery of exceptions and interrupts through the IDT or the real-mode vector table, and double
 * and triple faults. SDM Vol 3A 6.11-6.15, 21.1.4 (real mode), 21.3 (virtual-8086 mode and VME).
 * What happens at instruction boundaries is in boundary.c.
 */
#include "cpu/event.h"

#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/transfer.h"
#include "cpu/virt.h"

enum { ERROR_EXT = 1, ERROR_IDT = 2 };

/* One event on its way. */
struct delivery {
    u8 vector;
    bool has_error;
    bool software; /* INT n, INT3, INTO: the gate's DPL is checked */
    bool external; /* INTR, NMI */
    bool int_n; /* INT n alone: IOPL and the redirection bitmap apply in virtual-8086 mode */
    u32 error;
    u64 rip; /* to push */
    u64 rflags; /* to push */
};

struct gate {
    u64 offset;
    u16 selector;
    u8 type;
    u8 ist;
};

static u32 idt_error(const struct delivery *d)
{
    return d->vector * 8u + ERROR_IDT;
}

/* Read and check the gate: SDM Vol 3A 6.12.1. */
static bool gate_read(struct vcpu *v, const struct delivery *d, struct gate *gate)
{
    const bool wide = long_mode(v);
    const u32 size = wide ? 16 : 8;
    const u32 at = d->vector * size;
    struct descriptor raw = {0};
    u32 attr;

    if (at + size - 1 > v->state.idtr.limit)
        return raise_error(v, VEC_GP, idt_error(d));
    if (!(wide ? system_load(v, v->state.idtr.base + at, &raw, 16)
               : system_load(v, v->state.idtr.base + at, &raw.low, 8)))
        return false;
    attr = (u32)(raw.low >> 40 & 0xff);
    gate->type = attr & 0x1f;
    gate->selector = (u16)(raw.low >> 16);
    gate->ist = wide ? raw.low >> 32 & 7 : 0;
    gate->offset = (raw.low & 0xffff) | (raw.low >> 32 & 0xffff0000) | raw.high << 32;
    if (gate->type != TYPE_INT && gate->type != TYPE_TRAP &&
        (wide ||
         (gate->type != TYPE_INT16 && gate->type != TYPE_TRAP16 && gate->type != TYPE_TASK_GATE)))
        return raise_error(v, VEC_GP, idt_error(d));
    if (d->software && attr_dpl(attr) < v->cpl)
        return raise_error(v, VEC_GP, idt_error(d));
    if ((attr & ATTR_P) == 0)
        return raise_error(v, VEC_NP, idt_error(d));
    if (gate->type == TYPE_INT16 || gate->type == TYPE_TRAP16)
        gate->offset &= 0xffff;
    return true;
}

/* The handler's code segment; *cpl is the privilege it will run at. */
static bool handler_segment(struct vcpu *v, const struct gate *gate, struct segment *cs,
                            unsigned *cpl)
{
    struct descriptor d;

    if (selector_is_null(gate->selector))
        return RAISE_GP0(v);
    if (!descriptor_read(v, gate->selector, false, VEC_GP, &d))
        return false;
    descriptor_unpack(&d, gate->selector, cs);
    *cpl = attr_dpl(cs->attr);
    if (!attr_is_code(cs->attr) || *cpl > v->cpl)
        return raise_selector(v, VEC_GP, gate->selector);
    if ((cs->attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, gate->selector);
    if (long_mode(v) && (cs->attr & (ATTR_L | ATTR_DB)) != ATTR_L)
        return raise_selector(v, VEC_GP, gate->selector);
    if (!descriptor_touch(v, gate->selector, &d))
        return false;
    if (attr_is_conforming_code(cs->attr))
        *cpl = v->cpl;
    if ((v->mode & MODE_V86) != 0 && *cpl != 0)
        return raise_selector(v, VEC_GP, gate->selector);
    cs->attr |= ATTR_ACCESSED;
    cs->selector = (u16)((gate->selector & 0xfffcu) | *cpl);
    return code_offset_check(v, cs, gate->offset);
}

/* RFLAGS for the handler. */
static void enter_handler_flags(struct vcpu *v, const struct gate *gate)
{
    u64 clear = FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM;

    if (gate->type == TYPE_INT || gate->type == TYPE_INT16)
        clear |= FLAG_IF;
    v->state.rflags &= ~clear;
}

/* SDM Vol 3A 6.14: always SS:RSP, on a 16-byte boundary. */
static bool deliver_long(struct vcpu *v, const struct delivery *d, const struct gate *gate)
{
    u64 values[6] = {v->state.seg[SEG_SS].selector,
                     v->state.reg[REG_RSP],
                     d->rflags,
                     v->state.seg[SEG_CS].selector,
                     d->rip,
                     d->error};
    struct segment cs;
    struct stack stack;
    unsigned cpl;

    if (!handler_segment(v, gate, &cs, &cpl))
        return false;
    if (cpl != v->cpl || gate->ist != 0) {
        if (!stack_from_tss(v, cpl, gate->ist, &stack))
            return false;
        if (cpl == v->cpl)
            stack.ss = v->state.seg[SEG_SS];
        if (cpl == 3)
            stack.flags = ACCESS_STACK;
    } else {
        stack = (struct stack){.ss = v->state.seg[SEG_SS],
                               .sp = v->state.reg[REG_RSP],
                               .mask = ~(u64)0,
                               .flags = ACCESS_STACK | (mode64(v) ? 0u : ACCESS_IMPLICIT),
                               .is_64 = true};
    }
    stack.sp &= ~(u64)15;
    if (!stack_build(v, &stack, values, d->has_error ? 6 : 5, 8))
        return false;
    enter_handler_flags(v, gate);
    transfer_commit(v, &cs, gate->offset, &stack);
    return true;
}

/* The data segments of a virtual-8086 task are pushed and become null: SDM Vol 3A 21.3.1. */
static void leave_v86(struct vcpu *v)
{
    static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        v->state.seg[data[i]] = segment_null(0, 0);
}

static bool deliver_legacy(struct vcpu *v, const struct delivery *d, const struct gate *gate)
{
    const struct cpu_state *s = &v->state;
    const u32 width = gate->type == TYPE_INT || gate->type == TYPE_TRAP ? 4 : 2;
    const bool v86 = (v->mode & MODE_V86) != 0;
    struct stack stack = stack_current(v);
    u64 values[10];
    struct segment cs;
    u32 count = 0;
    unsigned cpl;

    if (!handler_segment(v, gate, &cs, &cpl))
        return false;
    if (cpl != v->cpl && !stack_from_tss(v, cpl, 0, &stack))
        return false;
    if (v86) {
        values[count++] = s->seg[SEG_GS].selector;
        values[count++] = s->seg[SEG_FS].selector;
        values[count++] = s->seg[SEG_DS].selector;
        values[count++] = s->seg[SEG_ES].selector;
    }
    if (cpl != v->cpl) {
        values[count++] = s->seg[SEG_SS].selector;
        values[count++] = s->reg[REG_RSP];
    }
    values[count++] = d->rflags;
    values[count++] = s->seg[SEG_CS].selector;
    values[count++] = d->rip;
    if (d->has_error)
        values[count++] = d->error;
    if (!stack_build(v, &stack, values, count, width))
        return false;
    enter_handler_flags(v, gate);
    if (v86)
        leave_v86(v);
    transfer_commit(v, &cs, gate->offset, &stack);
    return true;
}

/* Real mode: SDM Vol 3A 21.1.4. No error codes; the vector table lies at IDTR.base. */
static bool deliver_real(struct vcpu *v, const struct delivery *d)
{
    const u64 values[3] = {d->rflags, v->state.seg[SEG_CS].selector, d->rip};
    const u32 at = d->vector * 4u;
    struct stack stack = stack_current(v);
    u64 target;

    if (at + 3 > v->state.idtr.limit)
        return raise_error(v, VEC_GP, idt_error(d));
    if (!mem_load(v, v->state.idtr.base + at, 4, ACCESS_IMPLICIT, &target) ||
        !stack_build(v, &stack, values, 3, 2))
        return false;
    stack_commit_pointer(v, &stack);
    v->state.rflags &= ~(u64)(FLAG_IF | FLAG_TF | FLAG_RF | FLAG_AC);
    segment_load_real(v, SEG_CS, (u16)(target >> 16));
    mode_update_segments(v);
    v->next_rip = target & 0xffff;
    return true;
}

/* ---- virtual-8086 mode: INT n ---- */

/* VME: is INT n redirected to the task's own vector table? SDM Vol 3A 21.3.3. */
static bool read_redirection(struct vcpu *v, u8 vector, bool *redirected)
{
    const struct segment *tr = &v->state.seg[SEG_TR];
    u64 map;
    u64 bits;
    u64 at;

    if (tr->limit < 103 || !(tr->attr & 8))
        return RAISE_GP0(v);
    if (!mem_load(v, tr->base + 102, 2, ACCESS_IMPLICIT, &map))
        return false;
    at = map - 32 + vector / 8;
    if (map < 32 || at > tr->limit)
        return RAISE_GP0(v);
    if (!mem_load(v, tr->base + at, 1, ACCESS_IMPLICIT, &bits))
        return false;
    *redirected = (bits >> (vector % 8) & 1) == 0;
    return true;
}

/* As real mode would, on the task's stack; IF is VIF if IOPL < 3. */
static bool deliver_redirected(struct vcpu *v, const struct delivery *d)
{
    const bool virtual = (v->state.rflags & FLAG_IOPL) != FLAG_IOPL;
    u64 image = d->rflags;
    u64 target;
    struct stack stack = stack_current(v);

    if (virtual) {
        image = (image & ~(u64)FLAG_IF) | FLAG_IOPL;
        image |= (image & FLAG_VIF) != 0 ? FLAG_IF : 0u;
    }
    if (!mem_load(v, d->vector * 4u, 4, 0, &target) ||
        !stack_build(v, &stack, (u64[]){image, v->state.seg[SEG_CS].selector, d->rip}, 3, 2))
        return false;
    stack_commit_pointer(v, &stack);
    v->state.rflags &= ~(u64)(FLAG_TF | FLAG_RF | (virtual ? FLAG_VIF : FLAG_IF));
    segment_load_real(v, SEG_CS, (u16)(target >> 16));
    mode_update_segments(v);
    v->next_rip = target & 0xffff;
    return true;
}

/* ---- one attempt ---- */

enum attempt { ATTEMPT_DONE, ATTEMPT_FAULT, ATTEMPT_FAULT_INSIDE };

static bool attempt_through_idt(struct vcpu *v, const struct delivery *d, enum attempt *result)
{
    struct gate gate;

    if (!gate_read(v, d, &gate))
        return false;
    if (gate.type == TYPE_TASK_GATE) {
        const struct task_event event = {d->has_error, d->error, d->rflags};

        v->next_rip = d->rip;
        switch (task_switch_to(v, gate.selector, TASK_INT, &event)) {
        case TASK_DONE: return true;
        case TASK_FAULT: return false;
        default: *result = ATTEMPT_FAULT_INSIDE; return false;
        }
    }
    return long_mode(v) ? deliver_long(v, d, &gate) : deliver_legacy(v, d, &gate);
}

static bool attempt_v86_software(struct vcpu *v, const struct delivery *d, enum attempt *result)
{
    bool redirected = false;

    if ((v->state.cr4 & CR4_VME) != 0 && !read_redirection(v, d->vector, &redirected))
        return false;
    if (redirected)
        return deliver_redirected(v, d);
    if ((v->state.rflags & FLAG_IOPL) != FLAG_IOPL)
        return RAISE_GP0(v);
    return attempt_through_idt(v, d, result);
}

/* SDM Vol 3A 6.13: all but instructions that ask for it are external to the program. APM Vol 2
 * 8.4.1: an exception is internal, whatever it came upon. */
static bool sets_ext(const struct vcpu *v, const struct delivery *d)
{
    return v->amd ? d->external : !d->software;
}

/* v->next_rip is the handler's entry when it is done. */
static enum attempt attempt(struct vcpu *v, const struct delivery *d)
{
    enum attempt result = ATTEMPT_FAULT;
    bool done;

    if ((v->mode & (MODE_PROT | MODE_V86)) == 0)
        done = deliver_real(v, d);
    else if (d->int_n && (v->mode & MODE_V86) != 0)
        done = attempt_v86_software(v, d, &result);
    else
        done = attempt_through_idt(v, d, &result);
    if (done)
        return ATTEMPT_DONE;
    if (sets_ext(v, d) && v->event.has_error != 0 && v->event.vector != VEC_PF)
        v->event.error_code |= ERROR_EXT;
    return result;
}

/* ---- exceptions upon exceptions ---- */

enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* SDM Vol 3A table 6-4; #SX: APM Vol 2 15.28. */
static enum severity severity(u32 vector)
{
    switch (vector) {
    case VEC_DE:
    case VEC_TS:
    case VEC_NP:
    case VEC_SS:
    case VEC_GP:
    case VEC_SX: return CONTRIBUTORY;
    case VEC_PF:
    case VEC_VE: return PAGE_FAULT;
    case VEC_DF: return DOUBLE_FAULT;
    default: return BENIGN;
    }
}

/* SDM Vol 3A table 6-5: what the second of two exceptions turns into. False: shutdown. */
static bool combine(enum severity first, struct event *second)
{
    const enum severity then = severity(second->vector);

    if (first == DOUBLE_FAULT && then != BENIGN)
        return false;
    if ((first == CONTRIBUTORY && then == CONTRIBUTORY) || (first == PAGE_FAULT && then != BENIGN))
        *second = (struct event){.kind = EVENT_EXCEPTION, .vector = VEC_DF, .has_error = 1};
    return true;
}

COLD void event_shutdown(struct vcpu *v)
{
    LOG(LOG_RESET, "CPU %u: shutdown at %04x:%016llx", v->index, v->state.seg[SEG_CS].selector,
        (unsigned long long)v->state.reg[REG_RIP]);
    v->state.activity = ACTIVITY_SHUTDOWN;
    v->state.shadow = 0;
    v->attention = true;
    if (v->wires.shutdown != NULL)
        v->wires.shutdown(v->wires.ctx);
}

void event_note_debug(struct vcpu *v, u64 dr6)
{
    dr6 |= v->state.pending_debug;
    v->state.pending_debug = 0;
    if (dr6 != 0)
        v->state.dr[6] = (v->state.dr[6] & ~(u64)DR6_TRAPS) | dr6;
}

/* RF in the pushed image: set for faults, so that they may resume. SDM Vol 3A 18.3.1.1. */
static u64 pushed_flags(const struct vcpu *v, const struct event *e)
{
    const u64 rflags = rflags_get(v);

    if (e->vector == VEC_DB || e->vector == VEC_BP || e->vector == VEC_OF || e->vector == VEC_NMI)
        return rflags;
    return rflags | FLAG_RF;
}

/* A benign exception that raises itself when delivered (#AC on a misaligned ring-3 stack) would do
 * so for ever: hardware hangs, we shut down. */
enum { CHAIN_MAX = 8 };

/* A fault that a hypervisor's guest cannot survive is its hypervisor's. */
static void deliver_shutdown(struct vcpu *v)
{
    if (in_guest(v))
        virt_triple_fault(v);
    else
        event_shutdown(v);
}

/* What an exit during the delivery of e reports. */
static void begin_vectoring(struct vcpu *v, const struct event *e)
{
    v->vectoring = (struct vectoring){
        .info = e->vector | (u32)TYPE_HARDWARE_EXCEPTION << 8 | INFO_VALID |
                (e->has_error != 0 ? INFO_ERROR_VALID : 0u),
        .error_code = e->error_code,
    };
}

static void end_vectoring(struct vcpu *v)
{
    v->vectoring.info = 0;
    v->vectoring.length = 0;
    v->nmi_unblocked = false;
}

/* One exception, if the hypervisor leaves it to the guest. False: *e is now what came of it. */
static bool deliver_one(struct vcpu *v, struct event *e)
{
    struct delivery d;

    if (e->vector == VEC_DB)
        event_note_debug(v, e->dr6);
    d = (struct delivery){.vector = e->vector,
                          .has_error = e->has_error != 0,
                          .error = e->error_code,
                          .rip = v->state.reg[REG_RIP],
                          .rflags = pushed_flags(v, e)};
    LOG(LOG_INT, "CPU %u: exception %u error %x at %04x:%llx cr2 %llx", v->index, e->vector,
        e->error_code, v->state.seg[SEG_CS].selector, (unsigned long long)v->state.reg[REG_RIP],
        (unsigned long long)v->state.cr2);
    begin_vectoring(v, e);
    switch (attempt(v, &d)) {
    case ATTEMPT_DONE:
        v->state.reg[REG_RIP] = v->next_rip;
        v->state.shadow = 0;
        event_branch(v, d.rip, true);
        if (e->vector == VEC_DB) {
            v->state.dr[7] &= ~(u64)DR7_GD;
            v->state.debugctl &= ~(DEBUGCTL_LBR | DEBUGCTL_BTF);
            mode_update_privilege(v);
        }
        return true;
    case ATTEMPT_FAULT_INSIDE: v->state.reg[REG_RIP] = v->next_rip; break;
    default: break;
    }
    return false;
}

/* Leave the guest with the exception e, if the hypervisor wants it. */
static bool exit_for(struct vcpu *v, const struct event *e)
{
    if (!virt_exception(v, e))
        return false;
    v->state.rflags = pushed_flags(v, e);
    virt_exit(v);
    return true;
}

/* Deliver an exception and whatever comes of it. first: of what was being delivered when it came.
 */
static void deliver_chain(struct vcpu *v, struct event e, enum severity first)
{
    for (unsigned length = 0;; length++) {
        if (exit_for(v, &e))
            break;
        if (e.vector == VEC_PF)
            v->state.cr2 = e.cr2;
        if (!combine(first, &e) || length == CHAIN_MAX) {
            deliver_shutdown(v);
            break;
        }
        if (e.vector == VEC_DF) {
            /* With SVM the exit tells the first exception: APM Vol 2 15.7.3. */
            if (!in_svm_guest(v))
                v->vectoring = (struct vectoring){0};
            if (exit_for(v, &e))
                break;
        }
        if (deliver_one(v, &e))
            break;
        if (v->event.kind == EVENT_EXIT) {
            virt_exit(v);
            break;
        }
        first = severity(e.vector);
        e = v->event;
    }
    end_vectoring(v);
}

void event_deliver_nested(struct vcpu *v)
{
    const bool alone = v->alone;
    const struct event e = v->event;

    v->alone = true;
    v->debug_hits = 0;
    v->no_step = false;
    deliver_chain(v, e, BENIGN);
    v->event.kind = EVENT_NONE;
    v->alone = alone;
}

/* Outside a chain: device accesses that delivery may cause happen now. */
static void settle_time(struct vcpu *v)
{
    v->time_base = *v->now;
    v->count_base = v->state.count;
    v->budget = 0;
    v->left = -1;
}

void event_deliver_exception(struct vcpu *v)
{
    settle_time(v);
    flags_commit(v);
    event_deliver_nested(v);
    vmx_after_step(v);
}

/* An injected exception counts as one that the guest has raised: SDM Vol 3C 27.6.1, APM Vol 2
 * 15.20. */
static enum severity vectoring_severity(u32 info)
{
    const bool exception = (info & INFO_TYPE) >> 8 == (u32)TYPE_HARDWARE_EXCEPTION;

    return exception ? severity(info & INFO_VECTOR) : BENIGN;
}

/* An event that no instruction raised; v->vectoring says what it is. */
static void deliver_external(struct vcpu *v, const struct delivery *d)
{
    enum attempt result;

    settle_time(v);
    v->alone = true;
    result = attempt(v, d);
    v->counters.interrupts++;
    if (result != ATTEMPT_FAULT)
        v->state.reg[REG_RIP] = v->next_rip;
    if (result == ATTEMPT_DONE) {
        v->state.shadow = 0;
        event_branch(v, d->rip, true);
    }
    if (result != ATTEMPT_DONE && v->event.kind == EVENT_EXIT)
        virt_exit(v);
    else if (result != ATTEMPT_DONE)
        deliver_chain(v, v->event, vectoring_severity(v->vectoring.info));
    end_vectoring(v);
    v->state.shadow = 0;
    v->event.kind = EVENT_NONE;
    v->alone = false;
    vmx_after_step(v);
}

void event_deliver_interrupt(struct vcpu *v, u8 vector)
{
    const bool nmi = vector == VEC_NMI;
    const struct delivery d = {.vector = vector,
                               .external = true,
                               .rip = v->state.reg[REG_RIP],
                               .rflags = rflags_get(v)};

    LOG(LOG_INT, "CPU %u: interrupt %02x at %04x:%llx", v->index, vector,
        v->state.seg[SEG_CS].selector, (unsigned long long)v->state.reg[REG_RIP]);
    v->vectoring.info = vector | (nmi ? (u32)TYPE_NMI << 8 : 0u) | INFO_VALID;
    deliver_external(v, &d);
}

void event_inject(struct vcpu *v, u32 info, u32 error_code, u64 rip)
{
    const enum interruption_type type = (enum interruption_type)((info & INFO_TYPE) >> 8);
    const bool software = type == TYPE_SOFTWARE_INTERRUPT || type == TYPE_SOFTWARE_EXCEPTION;
    const bool after = software || type == TYPE_PRIVILEGED_EXCEPTION;
    const struct event e = {.vector = (u8)info};
    const struct delivery d = {
        .vector = (u8)info,
        .software = software,
        .external = type == TYPE_EXTERNAL || type == TYPE_NMI,
        .int_n = type == TYPE_SOFTWARE_INTERRUPT,
        .has_error = (info & INFO_ERROR_VALID) != 0,
        .error = error_code,
        .rip = rip & v->la_mask,
        .rflags = type == TYPE_HARDWARE_EXCEPTION ? pushed_flags(v, &e) : rflags_get(v),
    };

    LOG(LOG_INT, "CPU %u: injection of %08x at %04x:%llx", v->index, info,
        v->state.seg[SEG_CS].selector, (unsigned long long)v->state.reg[REG_RIP]);
    v->vectoring = (struct vectoring){.info = info, .error_code = error_code};
    if (after)
        v->vectoring.length = (u8)(rip - v->state.reg[REG_RIP]);
    deliver_external(v, &d);
}

bool event_software(struct vcpu *v, u8 vector, enum event_source source)
{
    static const u8 types[] = {[SOURCE_SOFT_INT] = TYPE_SOFTWARE_INTERRUPT,
                               [SOURCE_INT1] = TYPE_PRIVILEGED_EXCEPTION,
                               [SOURCE_INT3_INTO] = TYPE_SOFTWARE_EXCEPTION};
    const u64 next_rip = v->next_rip;
    const struct delivery d = {.vector = vector,
                               .software = source != SOURCE_INT1,
                               .int_n = source == SOURCE_SOFT_INT,
                               .rip = next_rip,
                               .rflags = rflags_get(v)};

    if (source != SOURCE_SOFT_INT &&
        !(in_svm_guest(v)
              ? svm_software_exception(v, vector, source)
              : vmx_software_exception(v, vector, (enum interruption_type)types[source])))
        return false;
    if (in_guest(v))
        v->vectoring = (struct vectoring){.info = vector | (u32)types[source] << 8 | INFO_VALID,
                                          .length = (u8)(next_rip - v->insn_rip)};
    switch (attempt(v, &d)) {
    case ATTEMPT_DONE:
        end_vectoring(v);
        v->no_step = v->alone; /* TF is clear now */
        if (source == SOURCE_INT1) {
            event_note_debug(v, 0);
            v->state.dr[7] &= ~(u64)DR7_GD;
        }
        return true;
    case ATTEMPT_FAULT:
        v->next_rip = next_rip;
        if (v->event.kind == EVENT_REDO)
            end_vectoring(v);
        return false;
    default:
        v->state.reg[REG_RIP] = v->next_rip;
        event_deliver_nested(v);
        v->next_rip = v->state.reg[REG_RIP];
        v->no_step = v->alone;
        return true;
    }
}
