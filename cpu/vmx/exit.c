/* SPDX-License-Identifier: MIT */
/*
 * VM exits: recording why, saving guest state, loading host state. SDM Vol 3C chapter 28, in its
 * order. What the manual leaves undefined: fields of exit information that do not apply to an exit
 * keep their values, but for the valid bits, the instruction length and information (0).
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/transfer.h"
#include "cpu/vmx/internal.h"

/* CR0 bits that entries and exits leave alone: SDM Vol 3C 27.3.2.1, 28.5.1. */
#define CR0_UNTOUCHED (CR0_ET | CR0_NW | CR0_CD | BITS(28, 19) | BIT(17) | BITS(15, 6))

struct guest_exit *vmx_exit_begin(struct vcpu *v, enum exit_reason reason)
{
    memset(&v->exit, 0, sizeof(v->exit));
    v->exit.reason = reason;
    return &v->exit;
}

/* SDM Vol 3C 28.2. */
static void record(struct vcpu *v)
{
    struct vmcs *c = &v->state.vmx.vmcs;
    const struct guest_exit *x = &v->exit;
    const struct vectoring *vectoring = &v->vectoring;

    c->exit_reason = x->reason;
    c->exit_qualification = x->qualification;
    c->exit_interruption_info = x->interruption_info;
    if ((x->interruption_info & INFO_ERROR_VALID) != 0)
        c->exit_interruption_error_code = x->error_code;
    if (x->linear_valid)
        c->guest_linear_address = x->linear;
    if (x->physical_valid)
        c->guest_physical_address = x->physical;
    c->idt_vectoring_info = vectoring->info;
    if ((vectoring->info & INFO_ERROR_VALID) != 0)
        c->idt_vectoring_error_code = vectoring->error_code;
    c->exit_instruction_length = x->length != 0 ? x->length : vectoring->length;
    c->exit_instruction_info = x->instruction_info;
    c->entry_interruption_info &= ~INFO_VALID;
}

/* ---- saving the guest: SDM Vol 3C 28.3 ---- */

/* Store to a field; what changed in it. */
static u64 put64(u64 *field, u64 value)
{
    const u64 changed = *field ^ value;

    *field = value;
    return changed;
}

static u64 put32(u32 *field, u32 value)
{
    const u32 changed = *field ^ value;

    *field = value;
    return changed;
}

static u64 save_control(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    struct vmcs *c = &v->state.vmx.vmcs;
    const u32 guest_64 = (s->efer & EFER_LMA) != 0 ? ENTRY_GUEST_64 : 0;
    u64 changed = put64(&c->guest_cr0, s->cr0) | put64(&c->guest_cr3, s->cr3) |
                  put64(&c->guest_cr4, s->cr4) | put64(&c->guest_sysenter_esp, s->sysenter_esp) |
                  put64(&c->guest_sysenter_eip, s->sysenter_eip) |
                  put32(&c->entry_controls, (c->entry_controls & ~ENTRY_GUEST_64) | guest_64);

    c->guest_sysenter_cs = (u32)s->sysenter_cs;
    if ((c->exit_controls & EXIT_SAVE_DEBUG) != 0)
        changed |= put64(&c->guest_dr7, s->dr[7]) | put64(&c->guest_debugctl, s->debugctl);
    if ((c->exit_controls & EXIT_SAVE_PAT) != 0)
        changed |= put64(&c->guest_pat, s->pat);
    if ((c->exit_controls & EXIT_SAVE_EFER) != 0)
        changed |= put64(&c->guest_efer, s->efer);
    return changed;
}

static u64 save_segments(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    struct vmcs *c = &v->state.vmx.vmcs;
    u64 changed =
        put64(&c->guest_gdtr_base, s->gdtr.base) | put32(&c->guest_gdtr_limit, s->gdtr.limit) |
        put64(&c->guest_idtr_base, s->idtr.base) | put32(&c->guest_idtr_limit, s->idtr.limit);

    for (u32 i = 0; i < VMCS_SEGMENTS; i++) {
        changed |= (u64)(c->guest_selector[i] ^ s->seg[i].selector) |
                   put64(&c->guest_base[i], s->seg[i].base) |
                   put32(&c->guest_limit[i], s->seg[i].limit) |
                   put32(&c->guest_ar[i], s->seg[i].attr);
        c->guest_selector[i] = s->seg[i].selector;
    }
    return changed;
}

static void save_registers(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    struct vmcs *c = &v->state.vmx.vmcs;
    const u64 changed = save_control(v) | save_segments(v);

    if ((changed | ((c->guest_rflags ^ s->rflags) & FLAG_VM)) != 0)
        v->vmx_valid &= (u8)~GROUP_REGISTERS;
    c->guest_rip = s->reg[REG_RIP];
    c->guest_rsp = s->reg[REG_RSP];
    c->guest_rflags = s->rflags;
}

static u32 interruptibility(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const bool nmi = (s->vmx.vmcs.pin_controls & PIN_VIRTUAL_NMIS) != 0
                         ? s->vmx.virtual_nmi_blocked != 0
                         : s->nmi_blocked != 0;

    return s->shadow | (nmi ? BLOCKING_NMI : 0u);
}

/* DR6's form to the field's: any of B0-B3 means an enabled breakpoint. */
static u64 pending_debug(const struct vcpu *v)
{
    const u64 pending = v->state.pending_debug & (DR6_TRAPS | DR6_BS);

    return pending | ((pending & DR6_TRAPS) != 0 ? PENDING_ENABLED_BREAKPOINT : 0);
}

static u32 timer_left(const struct vcpu *v)
{
    const struct vmx_state *vmx = &v->state.vmx;
    const u64 tsc_end = vmx->deadline + v->state.tsc_offset;
    const u64 tsc = *v->now + v->state.tsc_offset;

    if (*v->now >= vmx->deadline)
        return 0;
    return (u32)((tsc_end >> VMX_TIMER_SHIFT) - (tsc >> VMX_TIMER_SHIFT));
}

static void save_other(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    struct vmcs *c = &v->state.vmx.vmcs;

    c->guest_interruptibility = interruptibility(v);
    c->guest_activity = s->activity;
    c->guest_pending_debug = pending_debug(v);
    if ((c->exit_controls & EXIT_SAVE_TIMER) != 0)
        c->preemption_timer = timer_left(v);
    if ((vmx_secondary(c) & SECONDARY_EPT) != 0 && pae_paging(s->cr0, s->cr4, s->efer))
        memcpy(c->guest_pdpte, s->pdpte, sizeof(c->guest_pdpte));
}

/* ---- loading the host: SDM Vol 3C 28.5 ---- */

static bool load_pdptes(struct vcpu *v)
{
    struct cpu_state *s = &v->state;

    if (!pae_paging(s->cr0, s->cr4, s->efer))
        return true;
    for (u32 i = 0; i < 4; i++) {
        s->pdpte[i] = mmu_read_physical(v->mmu, pdpte_address(s->cr3, i), 8);
        if (!pdpte_valid(v, s->pdpte[i]))
            return false;
    }
    return true;
}

static void load_control(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;
    const bool host_64 = (c->exit_controls & EXIT_HOST_64) != 0;

    s->cr0 = (c->host_cr0 & ~CR0_UNTOUCHED) | (s->cr0 & CR0_UNTOUCHED);
    s->cr3 = c->host_cr3 & ~physical_reserved(v);
    s->cr4 = c->host_cr4;
    s->dr[7] = DR7_FIXED_1;
    s->debugctl = 0;
    s->sysenter_cs = c->host_sysenter_cs;
    s->sysenter_esp = c->host_sysenter_esp;
    s->sysenter_eip = c->host_sysenter_eip;
    if ((c->exit_controls & EXIT_LOAD_EFER) != 0)
        s->efer = c->host_efer;
    else
        s->efer = (s->efer & ~(EFER_LMA | EFER_LME)) | (host_64 ? EFER_LMA | EFER_LME : 0);
    if ((c->exit_controls & EXIT_LOAD_PAT) != 0)
        s->pat = c->host_pat;
}

static void load_segments(struct vcpu *v)
{
    enum { DATA = ATTR_G | ATTR_DB | ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED };
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;
    const bool host_64 = (c->exit_controls & EXIT_HOST_64) != 0;

    for (u32 i = SEG_ES; i <= SEG_GS; i++) {
        s->seg[i] = (struct segment){.selector = c->host_selector[i],
                                     .limit = ~(u32)0,
                                     .attr = c->host_selector[i] != 0 ? DATA : ATTR_UNUSABLE};
    }
    s->seg[SEG_CS].attr = ATTR_G | ATTR_P | ATTR_S | ATTR_CODE | ATTR_WRITABLE | ATTR_ACCESSED |
                          (host_64 ? ATTR_L : ATTR_DB);
    s->seg[SEG_FS].base = c->host_fs_base;
    s->seg[SEG_GS].base = c->host_gs_base;
    s->seg[SEG_TR] = (struct segment){.selector = c->host_selector[SEG_TR],
                                      .base = c->host_tr_base,
                                      .limit = 0x67,
                                      .attr = ATTR_P | 11};
    s->seg[SEG_LDTR] = (struct segment){.attr = ATTR_UNUSABLE};
    s->gdtr = (struct table_register){.base = c->host_gdtr_base, .limit = 0xffff};
    s->idtr = (struct table_register){.base = c->host_idtr_base, .limit = 0xffff};
}

void vmx_abort(struct vcpu *v, enum vmx_abort code)
{
    struct vmx_state *vmx = &v->state.vmx;
    const u32 indicator = code;

    LOG(LOG_RESET, "CPU %u: VMX abort %u", v->index, indicator);
    vmx_explain_abort(v, code);
    vmcs_store(v);
    memory_write(v->memory, (hpa_t){vmx->current + 4}, &indicator, sizeof(indicator));
    vmx->abort = code;
    vmx->mode = VMX_ROOT;
    vmx->pending = 0;
    mode_update(v);
    event_shutdown(v);
}

void vmx_host_load(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;
    const bool guest_64 = (s->efer & EFER_LMA) != 0;

    s->vmx.mode = VMX_ROOT;
    s->vmx.pending = 0;
    if (guest_64 && (c->exit_controls & EXIT_HOST_64) == 0) {
        vmx_abort(v, ABORT_HOST_ADDRESS_SIZE);
        return;
    }
    load_control(v);
    load_segments(v);
    s->reg[REG_RIP] = c->host_rip;
    s->reg[REG_RSP] = c->host_rsp;
    rflags_set(v, FLAG_1);
    s->activity = ACTIVITY_ACTIVE;
    s->mwait = 0;
    s->shadow = 0;
    s->pending_debug = 0;
    s->monitor_address = 0;
    s->vmx.virtual_nmi_blocked = 0;
    if (!load_pdptes(v)) {
        vmx_abort(v, ABORT_HOST_PDPTE);
        return;
    }
    mode_update(v);
    v->attention = true;
    if (c->exit_msr_load_count != 0 &&
        vmx_msrs_load(v, AREA_EXIT_LOAD, c->exit_msr_load_address, c->exit_msr_load_count) != 0)
        vmx_abort(v, ABORT_LOADING_MSRS);
}

void vmx_exit(struct vcpu *v)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    flags_commit(v);
    virt_pass_exit_time(v);
    LOG(LOG_INT, "CPU %u: VM exit %u qualification %llx at %04x:%llx", v->index, v->exit.reason,
        (unsigned long long)v->exit.qualification, v->state.seg[SEG_CS].selector,
        (unsigned long long)v->state.reg[REG_RIP]);
    record(v);
    save_registers(v);
    save_other(v);
    v->vectoring.info = 0;
    v->vectoring.length = 0;
    v->nmi_unblocked = false;
    v->event.kind = EVENT_NONE;
    if (c->exit_msr_store_count != 0 &&
        vmx_msrs_store(v, AREA_EXIT_STORE, c->exit_msr_store_address, c->exit_msr_store_count) !=
            0) {
        vmx_abort(v, ABORT_SAVING_MSRS);
        return;
    }
    vmx_host_load(v);
}
