/* SPDX-License-Identifier: MIT */
/*
 * Events in a guest: which exceptions exit, what is injected, and what is pending at instruction
 * boundaries. SDM Vol 3C 26.2 (other causes of VM exits), 26.5, 27.6, 27.7; priorities: SDM Vol 3A
 * 6.9 and the sections of the controls.
 */
#include "cpu/event.h"

#include "cpu/control.h"
#include "cpu/vmx/apic.h"
#include "cpu/vmx/internal.h"

static const struct vmcs *vmcs(const struct vcpu *v)
{
    return &v->state.vmx.vmcs;
}

static u32 make_info(u32 vector, enum interruption_type type)
{
    return vector | (u32)type << 8 | INFO_VALID;
}

/* ---- exceptions ---- */

/* SDM Vol 3C 25.6.3: for page faults the bit's meaning is inverted unless the error code matches.
 */
static bool bitmap_catches(const struct vcpu *v, const struct event *e)
{
    const struct vmcs *c = vmcs(v);
    const bool bit = (c->exception_bitmap >> (e->vector & 31) & 1) != 0;

    if (e->vector != VEC_PF)
        return bit;
    return bit == ((e->error_code & c->page_fault_mask) == c->page_fault_match);
}

/* Bit 12, unless it is undefined: SDM Vol 3C 28.2.2. */
static bool reports_unblocking(const struct vcpu *v)
{
    return v->nmi_unblocked && (v->vectoring.info & INFO_VALID) == 0;
}

bool vmx_exception(struct vcpu *v, const struct event *e)
{
    struct guest_exit *x;

    if (!in_vmx_guest(v) || !bitmap_catches(v, e))
        return false;
    x = vmx_exit_begin(v, EXIT_EXCEPTION_NMI);
    x->interruption_info = make_info(e->vector, TYPE_HARDWARE_EXCEPTION);
    if (e->has_error) {
        x->interruption_info |= INFO_ERROR_VALID;
        x->error_code = e->error_code;
    }
    if (e->vector != VEC_DF && reports_unblocking(v))
        x->interruption_info |= INFO_NMI_UNBLOCKING;
    if (e->vector == VEC_PF)
        x->qualification = e->cr2;
    if (e->vector == VEC_DB) {
        x->qualification = (e->dr6 | v->state.pending_debug) & (DR6_TRAPS | DR6_BD | DR6_BS);
        v->state.pending_debug = 0;
    }
    return true;
}

bool vmx_software_exception(struct vcpu *v, u8 vector, enum interruption_type type)
{
    const struct event e = {.kind = EVENT_EXCEPTION, .vector = vector};
    struct guest_exit *x;

    if (!in_vmx_guest(v) || !bitmap_catches(v, &e))
        return true;
    x = vmx_exit_begin(v, EXIT_EXCEPTION_NMI);
    x->interruption_info = make_info(vector, type);
    x->length = (u8)virt_insn_length(v);
    return raise_exit(v);
}

void vmx_triple_fault(struct vcpu *v)
{
    (void)vmx_exit_begin(v, EXIT_TRIPLE_FAULT);
    v->vectoring = (struct vectoring){0};
    vmx_exit(v);
}

/* ---- exits in the middle of things ---- */

/* The length of the instruction that accesses memory; none while an event is delivered. */
u8 vmx_access_length(const struct vcpu *v)
{
    return (v->vectoring.info & INFO_VALID) != 0 ? 0 : (u8)virt_insn_length(v);
}

bool vmx_raise_task_switch(struct vcpu *v, u16 selector, u32 source)
{
    enum { FROM_IDT = 3 };
    struct guest_exit *x = vmx_exit_begin(v, EXIT_TASK_SWITCH);

    x->qualification = selector | source << 30;
    if (source != FROM_IDT)
        x->length = (u8)virt_insn_length(v);
    return raise_exit(v);
}

void vmx_iret(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    u8 *blocked = &s->nmi_blocked;

    if (vmx_guest_has_pin(v, PIN_VIRTUAL_NMIS))
        blocked = &s->vmx.virtual_nmi_blocked;
    else if (vmx_guest_has_pin(v, PIN_NMI))
        return;
    v->nmi_unblocked = in_vmx_guest(v) && *blocked != 0 && v->event.kind != EVENT_NONE;
    *blocked = 0;
    if (v->event.kind == EVENT_EXIT && v->nmi_unblocked &&
        (v->exit.reason == EXIT_EPT_VIOLATION || v->exit.reason == EXIT_PML_FULL))
        v->exit.qualification |= BIT(12);
}

/* ---- injection: SDM Vol 3C 27.6 ---- */

void vmx_inject(struct vcpu *v)
{
    struct vmx_state *vmx = &v->state.vmx;
    const struct vmcs *c = &vmx->vmcs;
    const u32 info = c->entry_interruption_info;
    const u32 type = (info & INFO_TYPE) >> 8;
    const bool after = type >= TYPE_SOFTWARE_INTERRUPT && type <= TYPE_SOFTWARE_EXCEPTION;
    const u8 length = after ? (u8)c->entry_instruction_length : 0;

    vmx->pending &= ~(u32)VMX_PENDING_INJECTION;
    v->state.activity = ACTIVITY_ACTIVE;
    if (type == TYPE_OTHER) {
        vmx->pending |= VMX_PENDING_MTF;
        return;
    }
    if (type == TYPE_NMI) {
        if (vmx_guest_has_pin(v, PIN_VIRTUAL_NMIS))
            vmx->virtual_nmi_blocked = 1;
        else
            v->state.nmi_blocked = 1;
    }
    event_inject(v, info, c->entry_exception_error_code, v->state.reg[REG_RIP] + length);
}

/* ---- boundaries ---- */

void vmx_after_step(struct vcpu *v)
{
    if (!vmx_steps(v))
        return;
    v->state.vmx.pending |= VMX_PENDING_MTF;
    v->attention = true;
}

bool vmx_nmi_exits(const struct vcpu *v)
{
    return vmx_guest_has_pin(v, PIN_NMI);
}

bool vmx_intr_exits(const struct vcpu *v)
{
    return vmx_guest_has_pin(v, PIN_EXTERNAL_INTERRUPT);
}

static bool is_ready(const struct vcpu *v, enum boundary place)
{
    const struct cpu_state *s = &v->state;
    const u32 pending = s->vmx.pending;
    const bool listens = s->activity != ACTIVITY_WAIT_SIPI;

    switch (place) {
    case BOUNDARY_FIRST:
        return (pending & (VMX_PENDING_INJECTION | VMX_PENDING_TPR | VMX_PENDING_EOI |
                           VMX_PENDING_APIC_WRITE)) != 0;
    case BOUNDARY_INIT: return s->init_pending != 0 && listens;
    case BOUNDARY_SIPI: return s->sipi_pending != 0 && !listens;
    case BOUNDARY_BEFORE_DEBUG: return (pending & VMX_PENDING_MTF) != 0;
    case BOUNDARY_BEFORE_NMI:
        return listens && (((pending & VMX_PENDING_TIMER) != 0 && *v->now >= s->vmx.deadline) ||
                           ((pending & VMX_PENDING_NMI_WINDOW) != 0 &&
                            s->vmx.virtual_nmi_blocked == 0 && s->shadow == 0));
    case BOUNDARY_NMI:
        return s->nmi_pending != 0 && vmx_nmi_exits(v) && s->nmi_blocked == 0 && listens;
    case BOUNDARY_BEFORE_INTR:
        return (pending & VMX_PENDING_INTR_WINDOW) != 0 && (s->rflags & FLAG_IF) != 0 &&
               s->shadow == 0 && s->activity < ACTIVITY_SHUTDOWN;
    case BOUNDARY_INTR: return s->intr != 0 && vmx_intr_exits(v) && s->activity < ACTIVITY_SHUTDOWN;
    case BOUNDARY_VIRTUAL_INTR:
        return (pending & VMX_PENDING_VIRTUAL_INTR) != 0 && (s->rflags & FLAG_IF) != 0 &&
               s->shadow == 0 && s->activity < ACTIVITY_SHUTDOWN;
    case BOUNDARY_LAST: break;
    }
    return false;
}

bool vmx_ready(const struct vcpu *v)
{
    if (!in_vmx_guest(v))
        return false;
    for (enum boundary place = BOUNDARY_FIRST; place <= BOUNDARY_VIRTUAL_INTR; place++) {
        if (is_ready(v, place))
            return true;
    }
    return false;
}

static void exit_plain(struct vcpu *v, enum exit_reason reason)
{
    (void)vmx_exit_begin(v, reason);
    vmx_exit(v);
}

static void exit_nmi(struct vcpu *v)
{
    v->state.nmi_pending = 0;
    vmx_exit_begin(v, EXIT_EXCEPTION_NMI)->interruption_info = make_info(VEC_NMI, TYPE_NMI);
    vmx_exit(v);
    v->state.nmi_blocked = 1;
}

static void exit_interrupt(struct vcpu *v)
{
    u32 info = 0;

    if ((vmcs(v)->exit_controls & EXIT_ACK_INTERRUPT) != 0) {
        const u8 vector = v->wires.int_ack(v->wires.ctx);

        if (vmx_posted_interrupt(v, vector))
            return;
        info = make_info(vector, TYPE_EXTERNAL);
    }
    vmx_exit_begin(v, EXIT_EXTERNAL_INTERRUPT)->interruption_info = info;
    vmx_exit(v);
}

static void exit_sipi(struct vcpu *v)
{
    v->state.sipi_pending = 0;
    vmx_exit_begin(v, EXIT_SIPI)->qualification = v->state.sipi_vector;
    vmx_exit(v);
}

static void exit_init(struct vcpu *v)
{
    v->state.init_pending = 0;
    exit_plain(v, EXIT_INIT);
}

/* What comes before everything else: the injected event, and the trap-like exits of APIC
 * virtualization (SDM Vol 3C 30.1.2, 30.1.4, 30.4.3.3). */
static void take_first(struct vcpu *v)
{
    struct vmx_state *vmx = &v->state.vmx;

    if ((vmx->pending & VMX_PENDING_INJECTION) != 0) {
        vmx_inject(v);
    } else if ((vmx->pending & VMX_PENDING_TPR) != 0) {
        exit_plain(v, EXIT_TPR_BELOW_THRESHOLD);
    } else if ((vmx->pending & VMX_PENDING_EOI) != 0) {
        vmx_exit_begin(v, EXIT_VIRTUALIZED_EOI)->qualification = vmx->eoi_vector;
        vmx_exit(v);
    } else {
        vmx_exit_begin(v, EXIT_APIC_WRITE)->qualification = vmx->apic_offset;
        vmx_exit(v);
    }
}

bool vmx_boundary(struct vcpu *v, enum boundary place)
{
    const struct vmx_state *vmx = &v->state.vmx;

    if (!in_vmx_guest(v) || !is_ready(v, place))
        return false;
    switch (place) {
    case BOUNDARY_FIRST: take_first(v); break;
    case BOUNDARY_INIT: exit_init(v); break;
    case BOUNDARY_SIPI: exit_sipi(v); break;
    case BOUNDARY_BEFORE_DEBUG: exit_plain(v, EXIT_MTF); break;
    case BOUNDARY_BEFORE_NMI:
        exit_plain(v, (vmx->pending & VMX_PENDING_TIMER) != 0 && *v->now >= vmx->deadline
                          ? EXIT_PREEMPTION_TIMER
                          : EXIT_NMI_WINDOW);
        break;
    case BOUNDARY_NMI: exit_nmi(v); break;
    case BOUNDARY_BEFORE_INTR: exit_plain(v, EXIT_INTERRUPT_WINDOW); break;
    case BOUNDARY_INTR: exit_interrupt(v); break;
    case BOUNDARY_VIRTUAL_INTR: vmx_virtual_interrupt(v); break;
    case BOUNDARY_LAST: break;
    }
    return true;
}
