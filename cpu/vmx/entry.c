/* SPDX-License-Identifier: MIT */
/* VM entries: SDM Vol 3C chapter 27, in its order. */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/vmx/apic.h"
#include "cpu/vmx/insn.h"
#include "cpu/vmx/internal.h"

/* CR0 bits that an entry leaves alone: SDM Vol 3C 27.3.2.1. */
#define CR0_UNTOUCHED (CR0_ET | CR0_NW | CR0_CD | BITS(28, 19) | BIT(17) | BITS(15, 6))

/* ---- loading guest state: SDM Vol 3C 27.3.2 ---- */

static void load_control(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;
    const bool guest_64 = (c->entry_controls & ENTRY_GUEST_64) != 0;

    s->cr0 = (c->guest_cr0 & ~CR0_UNTOUCHED) | (s->cr0 & CR0_UNTOUCHED);
    s->cr3 = c->guest_cr3;
    s->cr4 = c->guest_cr4;
    if ((c->entry_controls & ENTRY_LOAD_DEBUG) != 0) {
        s->dr[7] = dr7_loaded(c->guest_dr7);
        s->debugctl = c->guest_debugctl;
    }
    s->sysenter_cs = c->guest_sysenter_cs;
    s->sysenter_esp = c->guest_sysenter_esp;
    s->sysenter_eip = c->guest_sysenter_eip;
    if ((c->entry_controls & ENTRY_LOAD_EFER) != 0) {
        s->efer = c->guest_efer;
    } else {
        s->efer = (s->efer & ~EFER_LMA) | (guest_64 ? EFER_LMA : 0);
        if ((s->cr0 & CR0_PG) != 0)
            s->efer = (s->efer & ~EFER_LME) | (guest_64 ? EFER_LME : 0);
    }
    if ((c->entry_controls & ENTRY_LOAD_PAT) != 0)
        s->pat = c->guest_pat;
}

static void load_segments(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;

    for (u32 i = 0; i < VMCS_SEGMENTS; i++) {
        s->seg[i] = (struct segment){.selector = c->guest_selector[i],
                                     .base = c->guest_base[i],
                                     .limit = c->guest_limit[i],
                                     .attr = c->guest_ar[i] & 0x1f0ff};
    }
    s->gdtr = (struct table_register){c->guest_gdtr_base, (u16)c->guest_gdtr_limit, {0}};
    s->idtr = (struct table_register){c->guest_idtr_base, (u16)c->guest_idtr_limit, {0}};
}

/* The rule on PDPTEs has been checked. */
static void load_pdptes(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;

    if (!pae_paging(s->cr0, s->cr4, s->efer))
        return;
    if ((vmx_secondary(c) & SECONDARY_EPT) != 0) {
        memcpy(s->pdpte, c->guest_pdpte, sizeof(s->pdpte));
        return;
    }
    for (u32 i = 0; i < 4; i++)
        s->pdpte[i] = mmu_read_physical(v->mmu, pdpte_address(s->cr3, i), 8);
}

/* The preemption timer runs from now: SDM Vol 3C 26.5.1. */
static void start_timer(struct vcpu *v)
{
    struct vmx_state *vmx = &v->state.vmx;
    const u64 tsc = *v->now + v->state.tsc_offset;
    const u64 end = ((tsc >> VMX_TIMER_SHIFT) + vmx->vmcs.preemption_timer) << VMX_TIMER_SHIFT;

    vmx->deadline = VMX_NO_POINTER;
    if ((vmx->vmcs.pin_controls & PIN_PREEMPTION_TIMER) == 0)
        return;
    vmx->pending |= VMX_PENDING_TIMER;
    vmx->deadline = vmx->vmcs.preemption_timer == 0 ? *v->now : end - v->state.tsc_offset;
}

static void load_other(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;
    const bool nmi = (c->guest_interruptibility & BLOCKING_NMI) != 0;
    const bool virtual_nmis = (c->pin_controls & PIN_VIRTUAL_NMIS) != 0;

    s->shadow = c->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS);
    s->nmi_blocked = !virtual_nmis && nmi;
    s->vmx.virtual_nmi_blocked = virtual_nmis && nmi;
    s->activity = (u8)c->guest_activity;
    s->mwait = 0;
    s->pending_debug = c->guest_pending_debug & (DR6_TRAPS | PENDING_BS);
    s->monitor_address = 0;
    s->vmx.pending = 0;
    if ((c->entry_interruption_info & INFO_VALID) != 0)
        s->vmx.pending |= VMX_PENDING_INJECTION;
    if ((c->primary_controls & PRIMARY_INTERRUPT_WINDOW) != 0)
        s->vmx.pending |= VMX_PENDING_INTR_WINDOW;
    if ((c->primary_controls & PRIMARY_NMI_WINDOW) != 0)
        s->vmx.pending |= VMX_PENDING_NMI_WINDOW;
    start_timer(v);
}

static void load_guest(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;

    load_control(v);
    load_segments(v);
    load_pdptes(v);
    s->reg[REG_RIP] = c->guest_rip;
    s->reg[REG_RSP] = c->guest_rsp;
    s->vmx.mode = VMX_GUEST;
    load_other(v);
    rflags_set(v, c->guest_rflags);
    vmx_apic_enter(v);
    mode_update(v);
}

/* ---- the whole ---- */

/* SDM Vol 3C 27.8: as an exit, without saving anything. */
static void fail(struct vcpu *v, enum exit_reason reason, u64 qualification)
{
    struct vmcs *c = &v->state.vmx.vmcs;

    c->exit_reason = (u32)reason | EXIT_REASON_ENTRY_FAILURE;
    c->exit_qualification = qualification;
    vmx_host_load(v);
    v->next_rip = v->state.reg[REG_RIP];
    v->attention = true;
}

void vmx_enter(struct vcpu *v, bool launch)
{
    struct vmcs *c = &v->state.vmx.vmcs;
    const struct vmx_rule *broken;
    u32 bad_msr = 0;

    if ((broken = vmx_check_controls(v)) != NULL) {
        vmx_explain_entry(v, broken, ERROR_ENTRY_CONTROLS);
        vmx_fail(v, ERROR_ENTRY_CONTROLS);
        return;
    }
    if ((broken = vmx_check_host(v)) != NULL) {
        vmx_explain_entry(v, broken, ERROR_ENTRY_HOST_STATE);
        vmx_fail(v, ERROR_ENTRY_HOST_STATE);
        return;
    }
    if ((broken = vmx_check_guest(v)) != NULL) {
        vmx_explain_entry(v, broken, 0);
        fail(v, EXIT_ENTRY_GUEST_STATE, broken->qualification);
        return;
    }
    load_guest(v);
    if (c->entry_msr_load_count != 0)
        bad_msr =
            vmx_msrs_load(v, AREA_ENTRY_LOAD, c->entry_msr_load_address, c->entry_msr_load_count);
    if (bad_msr != 0) {
        fail(v, EXIT_ENTRY_MSR_LOADING, bad_msr);
        return;
    }
    if (launch)
        c->launched = 1;
    v->next_rip = v->state.reg[REG_RIP];
    v->attention = true;
}

/* ---- what follows from being in a guest ---- */

/* ---- control registers ---- */

bool vmx_cr0_allowed(const struct vcpu *v, u64 value)
{
    u64 fixed = VMX_CR0_FIXED0;

    if (v->state.vmx.mode == VMX_OFF)
        return true;
    if (vmx_guest_has_secondary(v, SECONDARY_UNRESTRICTED))
        fixed &= ~(CR0_PE | CR0_PG);
    return (~value & fixed) == 0;
}

bool vmx_cr4_allowed(const struct vcpu *v, u64 value)
{
    return v->state.vmx.mode == VMX_OFF || (~value & VMX_CR4_FIXED0) == 0;
}

u64 vmx_cr_read(const struct vcpu *v, u32 number, u64 value)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (!in_vmx_guest(v) || (number != 0 && number != 4))
        return value;
    return number == 0 ? (value & ~c->cr0_mask) | (c->cr0_read_shadow & c->cr0_mask)
                       : (value & ~c->cr4_mask) | (c->cr4_read_shadow & c->cr4_mask);
}

u64 vmx_cr_merge(const struct vcpu *v, u32 number, u64 value)
{
    const struct cpu_state *s = &v->state;
    const struct vmcs *c = &s->vmx.vmcs;

    if (!in_vmx_guest(v) || (number != 0 && number != 4))
        return value;
    return number == 0 ? (value & ~c->cr0_mask) | (s->cr0 & c->cr0_mask)
                       : (value & ~c->cr4_mask) | (s->cr4 & c->cr4_mask);
}

u64 vmx_guest_tsc(const struct vcpu *v, u64 tsc)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (!vmx_guest_has_primary(v, PRIMARY_TSC_OFFSETTING))
        return tsc;
    if ((vmx_secondary(c) & SECONDARY_TSC_SCALING) != 0)
        tsc = (u64)((__extension__(unsigned __int128) tsc) * c->tsc_multiplier >> 48);
    return tsc + c->tsc_offset;
}

/* ---- system-management mode, default treatment: SDM Vol 3C 32.14.1, 32.14.2 ---- */

/* The PDPTE registers of a guest under EPT are kept in their fields: in system-management mode its
 * second stage is off, and the next VM exit writes the fields anyway. */
void vmx_smi(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    struct vmx_state *vmx = &v->state.vmx;

    vmx->smm_pdptes =
        vmx_guest_has_secondary(v, SECONDARY_EPT) && pae_paging(s->cr0, s->cr4, s->efer);
    if (vmx->smm_pdptes != 0)
        memcpy(vmx->vmcs.guest_pdpte, s->pdpte, sizeof(vmx->vmcs.guest_pdpte));
    vmx->smm_mode = vmx->mode;
    vmx->smm_vmxe = (v->state.cr4 & CR4_VMXE) != 0;
    vmx->mode = VMX_OFF;
    v->state.cr4 &= ~CR4_VMXE;
}

bool vmx_rsm_has_pdptes(const struct vcpu *v)
{
    return v->state.vmx.smm_pdptes != 0;
}

void vmx_rsm(struct vcpu *v)
{
    struct vmx_state *vmx = &v->state.vmx;

    if (vmx_rsm_has_pdptes(v))
        memcpy(v->state.pdpte, vmx->vmcs.guest_pdpte, sizeof(v->state.pdpte));
    vmx->mode = vmx->smm_mode;
    vmx->smm_mode = VMX_OFF;
    if (vmx->smm_vmxe != 0)
        v->state.cr4 |= CR4_VMXE;
    vmx->smm_vmxe = 0;
    vmx->smm_pdptes = 0;
}
