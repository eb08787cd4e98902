/* SPDX-License-Identifier: MIT */
/*
 * Events in a guest: which exceptions exit (APM Vol 2 15.12), what is injected (15.20), and what is
 * pending at instruction boundaries (15.13, 15.17, 15.21).
 */
#include "cpu/control.h"
#include "cpu/msr.h"
#include "cpu/svm/internal.h"
#include "cpu/transfer.h"

static struct vmcb_control *control(struct vcpu *v)
{
    return &v->state.svm.control;
}

/* ---- exceptions ---- */

/* DR6 and DR7 are as the handler would see them, CR2 is not written: APM Vol 2 15.12.2, 15.12.15.
 */
bool svm_exception(struct vcpu *v, const struct event *e)
{
    enum { FETCH = 1 << 4 }; /* of a page fault's error code */
    struct guest_exit *x;

    if (!svm_intercepts(v, SVM_EXIT_EXCEPTION + (e->vector & 31u)))
        return false;
    x = svm_exit_begin(v, SVM_EXIT_EXCEPTION + (e->vector & 31u));
    if (e->has_error)
        x->qualification = e->error_code;
    if (e->vector == VEC_PF) {
        x->physical = e->cr2;
        x->bytes = (e->error_code & FETCH) == 0 && (v->vectoring.info & INFO_VALID) == 0;
    }
    if (e->vector == VEC_BR) /* of BOUND, which has an nRIP: APM Vol 2 15.7.1 */
        x->length = (u8)virt_insn_length(v);
    if (e->vector == VEC_DB) {
        event_note_debug(v, e->dr6);
        v->state.dr[7] &= ~(u64)DR7_GD;
    }
    return true;
}

/* INT1 has an intercept of its own: APM Vol 2 15.12.2. */
bool svm_software_exception(struct vcpu *v, u8 vector, enum event_source source)
{
    const u32 code = source == SOURCE_INT1 ? SVM_EXIT_ICEBP : SVM_EXIT_EXCEPTION + (u32)vector;

    if (!svm_intercepts(v, code))
        return true;
    svm_exit_begin(v, code)->length = (u8)virt_insn_length(v);
    return raise_exit(v);
}

/* APM Vol 2 15.14.3. */
void svm_triple_fault(struct vcpu *v)
{
    if (!svm_intercepts(v, SVM_EXIT_SHUTDOWN)) {
        event_shutdown(v);
        return;
    }
    (void)svm_exit_begin(v, SVM_EXIT_SHUTDOWN);
    v->vectoring = (struct vectoring){0};
    svm_exit(v);
}

/* A virtual NMI stays masked by an IRET that fails: APM Vol 2 15.21.10. */
void svm_iret(struct vcpu *v)
{
    struct vmcb_control *c = control(v);

    if ((c->vintr & VINTR_NMI_ENABLE) == 0)
        v->state.nmi_blocked = 0;
    else if (v->event.kind == EVENT_NONE)
        c->vintr &= ~(u32)VINTR_NMI_MASK;
}

void svm_tpr_write(struct vcpu *v, u64 value)
{
    struct vmcb_control *c = control(v);

    c->vintr = (c->vintr & ~(u32)VINTR_TPR) | (u32)value;
}

/* ---- entry and injection ---- */

static void note_virtual(struct vcpu *v)
{
    struct svm_state *svm = &v->state.svm;
    const u32 vintr = svm->control.vintr;
    const bool nmi = (vintr & VINTR_NMI_ENABLE) != 0 && (vintr & VINTR_NMI_PENDING) != 0;

    svm->pending &= ~(u32)SVM_PENDING_VIRTUAL;
    if (nmi || (vintr & VINTR_IRQ) != 0)
        svm->pending |= SVM_PENDING_VIRTUAL;
}

void svm_events_enter(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcb_control *c = &s->svm.control;

    s->activity = ACTIVITY_ACTIVE;
    s->mwait = 0;
    s->shadow = (c->interrupt_state & STATE_SHADOW) != 0 ? SHADOW_STI : 0;
    s->pending_debug = 0;
    s->monitor_address = 0;
    s->svm.pending = (c->event_inj & INFO_VALID) != 0 ? (u32)SVM_PENDING_INJECTION : 0;
    note_virtual(v);
}

/* #BP and #OF come as from INT3 and INTO; these and software interrupts push the nRIP, if there is
 * one. An injected NMI blocks no other, unless NMIs are virtual. APM Vol 2 15.20, 15.21.10. */
static void inject(struct vcpu *v)
{
    struct svm_state *svm = &v->state.svm;
    struct vmcb_control *c = &svm->control;
    const u32 type = svm_event_type(c->event_inj);
    const u8 vector = type == SVM_TYPE_NMI ? VEC_NMI : (u8)c->event_inj;
    const bool trap = type == SVM_TYPE_EXCEPTION && (vector == VEC_BP || vector == VEC_OF);
    const bool next = (trap || type == SVM_TYPE_SOFT) && has_feature(v, F_NRIP_SAVE);
    const u32 as = trap ? (u32)TYPE_SOFTWARE_EXCEPTION : type;

    svm->pending &= ~(u32)SVM_PENDING_INJECTION;
    if (type == SVM_TYPE_NMI && (c->vintr & VINTR_NMI_ENABLE) != 0)
        c->vintr |= VINTR_NMI_MASK;
    event_inject(v, (c->event_inj & (INFO_ERROR_VALID | INFO_VALID)) | as << 8 | vector,
                 c->event_inj_error, next ? c->next_rip : v->state.reg[REG_RIP]);
}

/* ---- boundaries ---- */

bool svm_nmi_exits(const struct vcpu *v)
{
    return svm_intercepts(v, SVM_EXIT_NMI);
}

bool svm_intr_exits(const struct vcpu *v)
{
    return svm_intercepts(v, SVM_EXIT_INTR);
}

/* Of physical interrupts: APM Vol 2 15.21.1. */
static bool interrupts_enabled(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;

    return ((svm_masks_virtually(v) ? s->svm.host.rflags : s->rflags) & FLAG_IF) != 0;
}

/* The virtual GIF, if there is one: APM Vol 2 15.33.2. */
static bool virtual_gif(const struct vcpu *v)
{
    const u32 vintr = v->state.svm.control.vintr;

    return (vintr & VINTR_GIF_ENABLE) == 0 ? svm_gif(v) : (vintr & VINTR_GIF) != 0;
}

static bool physical_nmi_exits(const struct vcpu *v)
{
    return v->state.nmi_pending != 0 && svm_nmi_exits(v) && v->state.nmi_blocked == 0 && svm_gif(v);
}

static bool virtual_nmi_ready(const struct vcpu *v)
{
    const u32 vintr = v->state.svm.control.vintr;

    return (vintr & VINTR_NMI_ENABLE) != 0 && (vintr & VINTR_NMI_PENDING) != 0 &&
           (vintr & VINTR_NMI_MASK) == 0 && v->state.shadow == 0 && virtual_gif(v);
}

/* APM Vol 2 15.21.4. */
static bool virtual_intr_ready(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const u32 vintr = s->svm.control.vintr;
    const u32 priority = vintr >> VINTR_PRIO_SHIFT & 15;

    return (vintr & VINTR_IRQ) != 0 && (s->rflags & FLAG_IF) != 0 && s->shadow == 0 &&
           ((vintr & VINTR_IGNORE_TPR) != 0 || priority > (vintr & 15)) && virtual_gif(v) &&
           s->activity < ACTIVITY_SHUTDOWN;
}

/* Firmware that has locked SMM gets its SMIs: APM Vol 2 15.13.3. */
static bool smi_exits(const struct vcpu *v)
{
    return v->state.smi_pending != 0 && v->state.in_smm == 0 && svm_intercepts(v, SVM_EXIT_SMI) &&
           (v->state.amd[AMD_HWCR] & HWCR_SMMLOCK) == 0 && svm_gif(v);
}

static bool init_exits(const struct vcpu *v)
{
    return v->state.init_pending != 0 && svm_intercepts(v, SVM_EXIT_INIT) && svm_gif(v);
}

static bool is_ready(const struct vcpu *v, enum boundary place)
{
    const struct cpu_state *s = &v->state;

    switch (place) {
    case BOUNDARY_FIRST:
        return (s->svm.pending & SVM_PENDING_INJECTION) != 0 || smi_exits(v) || init_exits(v);
    case BOUNDARY_NMI: return physical_nmi_exits(v) || virtual_nmi_ready(v);
    case BOUNDARY_INTR:
        return s->intr != 0 && svm_intr_exits(v) && interrupts_enabled(v) && svm_gif(v) &&
               s->activity < ACTIVITY_SHUTDOWN;
    case BOUNDARY_LAST: return virtual_intr_ready(v);
    default: return false;
    }
}

bool svm_ready(const struct vcpu *v)
{
    return is_ready(v, BOUNDARY_FIRST) || is_ready(v, BOUNDARY_NMI) || is_ready(v, BOUNDARY_INTR) ||
           is_ready(v, BOUNDARY_LAST);
}

/* What exits is not acknowledged: it stays pending, held by the cleared GIF. APM Vol 2 15.13. */
static void exit_plain(struct vcpu *v, u32 code)
{
    (void)svm_exit_begin(v, code);
    svm_exit(v);
}

/* All our SMIs come from outside: APM Vol 2 15.13.3. */
static void exit_smi(struct vcpu *v)
{
    enum { EXTERNAL = 1 };

    svm_exit_begin(v, SVM_EXIT_SMI)->qualification = EXTERNAL;
    svm_exit(v);
}

static void wake(struct vcpu *v)
{
    v->state.activity = ACTIVITY_ACTIVE;
    v->state.mwait = 0;
}

/* Physical NMIs come first: APM Vol 2 15.21.10. */
static void take_nmi(struct vcpu *v)
{
    struct vmcb_control *c = control(v);

    if (physical_nmi_exits(v)) {
        exit_plain(v, SVM_EXIT_NMI);
        return;
    }
    wake(v);
    c->vintr = (c->vintr & ~(u32)VINTR_NMI_PENDING) | VINTR_NMI_MASK;
    note_virtual(v);
    event_deliver_interrupt(v, VEC_NMI);
}

static void take_virtual_intr(struct vcpu *v)
{
    struct vmcb_control *c = control(v);

    if (svm_intercepts(v, SVM_EXIT_VINTR)) {
        exit_plain(v, SVM_EXIT_VINTR);
        return;
    }
    wake(v);
    c->vintr &= ~(u32)VINTR_IRQ;
    note_virtual(v);
    event_deliver_interrupt(v, (u8)c->vintr_vector);
}

bool svm_boundary(struct vcpu *v, enum boundary place)
{
    if (!is_ready(v, place))
        return false;
    switch (place) {
    case BOUNDARY_FIRST:
        if ((v->state.svm.pending & SVM_PENDING_INJECTION) != 0)
            inject(v);
        else if (smi_exits(v))
            exit_smi(v);
        else
            exit_plain(v, SVM_EXIT_INIT);
        break;
    case BOUNDARY_NMI: take_nmi(v); break;
    case BOUNDARY_INTR: exit_plain(v, SVM_EXIT_INTR); break;
    default: take_virtual_intr(v); break;
    }
    return true;
}
