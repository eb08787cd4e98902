/* SPDX-License-Identifier: MIT */
/*
 * What happens between instructions: the inputs from the board, and which of the pending things is
 * taken first. SDM Vol 3A 6.9 (priorities), 6.7.1 (NMI), 6.8.3 (MOV SS), 9.4 (INIT, SIPI).
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/system.h"
#include "cpu/transfer.h"
#include "cpu/virt.h"

void event_signal_intr(struct vcpu *v, bool level)
{
    v->state.intr = level;
    if (level)
        v->attention = true;
}

void event_signal_nmi(struct vcpu *v)
{
    v->state.nmi_pending = 1;
    v->attention = true;
}

void event_signal_smi(struct vcpu *v)
{
    v->state.smi_pending = 1;
    v->attention = true;
}

void event_signal_init(struct vcpu *v)
{
    v->state.init_pending = 1;
    v->state.sipi_pending = 0;
    v->attention = true;
}

/* Only a CPU that waits, or will wait once it has taken its INIT, hears a SIPI. */
void event_signal_sipi(struct vcpu *v, u8 vector)
{
    if (v->state.activity != ACTIVITY_WAIT_SIPI && v->state.init_pending == 0)
        return;
    v->state.sipi_pending = 1;
    v->state.sipi_vector = vector;
    v->attention = true;
}

/* ---- what may be taken now ---- */

/* Not in the shadow of STI or MOV SS, which would have to be saved: SDM Vol 3C 32.14.1. */
static bool smi_ready(const struct cpu_state *s)
{
    return s->smi_pending != 0 && s->svm.gif_clear == 0 && s->in_smm == 0 && s->shadow == 0 &&
           s->activity != ACTIVITY_WAIT_SIPI;
}

static bool init_ready(const struct cpu_state *s)
{
    return s->init_pending != 0 && s->svm.gif_clear == 0 && s->in_smm == 0 &&
           s->vmx.mode == VMX_OFF;
}

static bool sipi_ready(const struct cpu_state *s)
{
    return s->sipi_pending != 0 && s->activity == ACTIVITY_WAIT_SIPI && s->vmx.mode == VMX_OFF;
}

static bool debug_ready(const struct cpu_state *s)
{
    return s->pending_debug != 0 && (s->shadow & SHADOW_MOV_SS) == 0 &&
           s->activity < ACTIVITY_SHUTDOWN;
}

/* STI's shadow holds NMIs off too, as on processors that software relies on: between STI and HLT
 * there is no interrupt of any kind. */
static bool nmi_ready(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;

    return s->nmi_pending != 0 && s->svm.gif_clear == 0 && s->nmi_blocked == 0 && s->shadow == 0 &&
           s->activity != ACTIVITY_WAIT_SIPI && !virt_nmi_exits(v);
}

static bool intr_ready(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;

    const u64 rflags = svm_masks_virtually(v) ? s->svm.host.rflags : s->rflags;

    return s->intr != 0 && s->svm.gif_clear == 0 && (rflags & FLAG_IF) != 0 && s->shadow == 0 &&
           s->activity < ACTIVITY_SHUTDOWN && !virt_intr_exits(v);
}

/* MWAIT ends without an event to deliver. */
static bool mwait_ready(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;

    return s->mwait != 0 && s->activity == ACTIVITY_HLT &&
           ((s->mwait == 2 && s->intr != 0) || monitor_hit(v));
}

bool event_pending(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;

    if (likely((s->intr | s->nmi_pending | s->smi_pending | s->init_pending | s->sipi_pending |
                s->mwait) == 0 &&
               s->pending_debug == 0 && (s->vmx.pending | s->svm.pending) == 0))
        return false;
    return virt_ready(v) || smi_ready(s) || init_ready(s) || sipi_ready(s) || debug_ready(s) ||
           nmi_ready(v) || intr_ready(v) || mwait_ready(v);
}

/* ---- taking it ---- */

static void wake(struct vcpu *v)
{
    v->state.activity = ACTIVITY_ACTIVE;
    v->state.mwait = 0;
}

/* The bootstrap processor starts over, the others wait for a SIPI. */
static void take_init(struct vcpu *v)
{
    const u8 sipi_pending = v->state.sipi_pending;
    const u8 sipi_vector = v->state.sipi_vector;

    LOG(LOG_RESET, "CPU %u: INIT", v->index);
    if (v->wires.apic_init != NULL)
        v->wires.apic_init(v->wires.ctx);
    vcpu_reset(v, true);
    v->state.activity = v->index == 0 ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_SIPI;
    v->state.sipi_pending = sipi_pending;
    v->state.sipi_vector = sipi_vector;
}

/* APM Vol 2 15.30.1, VM_CR.R_INIT. */
static void redirect_init(struct vcpu *v)
{
    enum { INIT_REDIRECTED = 1 };

    wake(v);
    v->state.init_pending = 0;
    (void)raise_error(v, VEC_SX, INIT_REDIRECTED);
    event_deliver_exception(v);
}

static void take_sipi(struct vcpu *v)
{
    struct segment *cs = &v->state.seg[SEG_CS];

    LOG(LOG_RESET, "CPU %u: SIPI %02x", v->index, v->state.sipi_vector);
    v->state.sipi_pending = 0;
    v->state.activity = ACTIVITY_ACTIVE;
    cs->selector = (u16)(v->state.sipi_vector << 8);
    cs->base = (u64)v->state.sipi_vector << 12;
    v->state.reg[REG_RIP] = 0;
    mode_update(v);
}

/* ---- each kind of event: false if there is none ---- */

static bool smi_taken(struct vcpu *v)
{
    if (!smi_ready(&v->state))
        return false;
    wake(v);
    v->state.smi_pending = 0;
    smm_enter(v);
    return true;
}

static bool init_taken(struct vcpu *v)
{
    if (!init_ready(&v->state))
        return false;
    if ((v->state.svm.vm_cr & VM_CR_R_INIT) != 0)
        redirect_init(v);
    else
        take_init(v);
    return true;
}

static bool sipi_taken(struct vcpu *v)
{
    if (!sipi_ready(&v->state))
        return false;
    take_sipi(v);
    return true;
}

static bool debug_taken(struct vcpu *v)
{
    if (!debug_ready(&v->state))
        return false;
    wake(v);
    (void)raise_fault(v, VEC_DB);
    event_deliver_exception(v);
    return true;
}

static bool nmi_taken(struct vcpu *v)
{
    if (!nmi_ready(v))
        return false;
    wake(v);
    v->state.nmi_pending = 0;
    v->state.nmi_blocked = 1;
    event_deliver_interrupt(v, VEC_NMI);
    return true;
}

static bool intr_taken(struct vcpu *v)
{
    if (!intr_ready(v))
        return false;
    wake(v);
    event_deliver_interrupt(v, v->wires.int_ack(v->wires.ctx));
    return true;
}

static bool mwait_over(struct vcpu *v)
{
    if (!mwait_ready(v))
        return false;
    wake(v);
    return true;
}

/* By priority: SDM Vol 3A 6.9, and for guests the sections of the controls. */
bool event_boundary(struct vcpu *v)
{
    return virt_boundary(v, BOUNDARY_FIRST) || smi_taken(v) || init_taken(v) || sipi_taken(v) ||
           virt_boundary(v, BOUNDARY_INIT) || virt_boundary(v, BOUNDARY_SIPI) ||
           virt_boundary(v, BOUNDARY_BEFORE_DEBUG) || debug_taken(v) ||
           virt_boundary(v, BOUNDARY_BEFORE_NMI) || virt_boundary(v, BOUNDARY_NMI) ||
           nmi_taken(v) || virt_boundary(v, BOUNDARY_BEFORE_INTR) ||
           virt_boundary(v, BOUNDARY_INTR) || virt_boundary(v, BOUNDARY_VIRTUAL_INTR) ||
           intr_taken(v) || virt_boundary(v, BOUNDARY_LAST) || mwait_over(v);
}
