/* SPDX-License-Identifier: MIT */
/*
 * Intel VMX, SDM Vol 3C chapters 24 to 31: what the rest of the CPU asks of it. All of it is inert
 * while the processor is not in VMX operation.
 *
 * A VM exit that happens inside an instruction is an event like a fault: v->exit is filled,
 * v->event.kind is EVENT_EXIT, nothing of the instruction has been done, and the run loop (or the
 * delivery of events, cpu/event.c) calls vmx_exit() with exact state.
 */
#ifndef CPU_VMX_VMX_H
#define CPU_VMX_VMX_H

#include "cpu/event.h"
#include "cpu/vmx/controls.h"

/* The secondary controls in force: they count only if they are activated. */
static inline u32 vmx_secondary(const struct vmcs *c)
{
    return (c->primary_controls & PRIMARY_SECONDARY) != 0 ? c->secondary_controls : 0;
}

/* In a guest: are these controls set? */
static inline bool vmx_guest_has_pin(const struct vcpu *v, u32 bits)
{
    return in_vmx_guest(v) && (v->state.vmx.vmcs.pin_controls & bits) != 0;
}

static inline bool vmx_guest_has_primary(const struct vcpu *v, u32 bits)
{
    return in_vmx_guest(v) && (v->state.vmx.vmcs.primary_controls & bits) != 0;
}

static inline bool vmx_guest_has_secondary(const struct vcpu *v, u32 bits)
{
    return in_vmx_guest(v) && (vmx_secondary(&v->state.vmx.vmcs) & bits) != 0;
}

/* ---- from mode.c: caches that depend on VMX ---- */
/* The second stage of the MMU and the preemption timer's deadline. */
void vmx_refresh(struct vcpu *v);
/* Must each instruction run alone, for the monitor trap flag? */
static inline bool vmx_steps(const struct vcpu *v)
{
    return vmx_guest_has_primary(v, PRIMARY_MTF);
}

/* ---- control registers: SDM Vol 3C 24.8, 26.3 ---- */
bool vmx_cr0_allowed(const struct vcpu *v, u64 value);
bool vmx_cr4_allowed(const struct vcpu *v, u64 value);
/* What MOV from CR0 or CR4 and SMSW read. */
u64 vmx_cr_read(const struct vcpu *v, u32 number, u64 value);
/* What a write that does not exit stores: masked bits keep their value. */
u64 vmx_cr_merge(const struct vcpu *v, u32 number, u64 value);

/* The TSC as the guest sees it: offset and scaling. SDM Vol 3C 25.6.5, 26.3. */
u64 vmx_guest_tsc(const struct vcpu *v, u64 tsc);

/* ---- instructions ---- */
/* Is there an intercept for this kind of instruction? Decides how the record is executed. */
bool vmx_has_intercept(enum intercept intercept);
/* false: the instruction exits, or is #UD for this guest; the event is raised. */
MUST_CHECK bool vmx_intercept(struct vcpu *v, const struct insn *in);
/* The second stage stopped an access (v->mmu->nested): EPT violation or misconfiguration. */
COLD bool vmx_raise_nested(struct vcpu *v);
/* A task switch in a guest always exits: SDM Vol 3C 26.4.2. source as in the qualification. */
COLD bool vmx_raise_task_switch(struct vcpu *v, u16 selector, u32 source);
/* INT1, INT3, INTO: false if the exception bitmap makes them exit. */
MUST_CHECK bool vmx_software_exception(struct vcpu *v, u8 vector, enum interruption_type type);
/* IRET is done or failed: what it unblocks. SDM Vol 3C 26.3, "IRET". */
void vmx_iret(struct vcpu *v);

/* ---- events ---- */
/* True: the exception belongs to the hypervisor, v->exit is filled. SDM Vol 3C 26.2. */
bool vmx_exception(struct vcpu *v, const struct event *e);
/* Instead of shutdown. */
void vmx_triple_fault(struct vcpu *v);
/* At instruction boundaries: would vmx_boundary() do something? */
bool vmx_ready(const struct vcpu *v);
/* Take what is ready at this place of the order of priorities. */
bool vmx_boundary(struct vcpu *v, enum boundary place);
/* NMIs and interrupts that exit are not masked by the guest. */
bool vmx_nmi_exits(const struct vcpu *v);
bool vmx_intr_exits(const struct vcpu *v);
/* An instruction or the delivery of an event has been completed. */
void vmx_after_step(struct vcpu *v);

/* ---- transitions ---- */
/* VMLAUNCH, VMRESUME: the part behind the instruction's own checks. */
void vmx_enter(struct vcpu *v, bool launch);
/* Leave the guest for what v->exit says. */
void vmx_exit(struct vcpu *v);
/* Begin an exit: all of v->exit is cleared but for the reason. */
struct guest_exit *vmx_exit_begin(struct vcpu *v, enum exit_reason reason);
/* SMI and RSM: SDM Vol 3C 32.14. */
void vmx_smi(struct vcpu *v);
void vmx_rsm(struct vcpu *v);
/* RSM will return to a guest whose PDPTEs are not in memory that it could read: EPT is on. */
bool vmx_rsm_has_pdptes(const struct vcpu *v);

#endif
