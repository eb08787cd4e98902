/* SPDX-License-Identifier: MIT */
/*
 * A guest and its hypervisor, whichever vendor's: what the CPU asks, answered by VMX or SVM. A
 * guest is one of the two, so that nothing here is asked twice. And what both need to know of
 * instructions that exit.
 */
#ifndef CPU_VIRT_H
#define CPU_VIRT_H

#include "cpu/svm/svm.h"
#include "cpu/vmx/caps.h"
#include "cpu/vmx/vmx.h"

/* ---- caches that depend on the guest; from mode.c ---- */

static inline void virt_refresh(struct vcpu *v)
{
    if (in_svm_guest(v))
        svm_refresh(v);
    else
        vmx_refresh(v);
}

/* ---- instructions ---- */

/* In a guest: must this kind of instruction ask before it is executed? */
static inline bool virt_has_intercept(const struct vcpu *v, enum intercept intercept)
{
    return in_svm_guest(v) ? svm_has_intercept(intercept) : vmx_has_intercept(intercept);
}

/* false: the instruction exits, or is #UD for this guest; the event is raised. */
MUST_CHECK static inline bool virt_intercept(struct vcpu *v, const struct insn *in)
{
    return in_svm_guest(v) ? svm_intercept(v, in) : vmx_intercept(v, in);
}

/* The second stage stopped an access (v->mmu->nested). */
static inline bool virt_raise_nested(struct vcpu *v)
{
    return in_svm_guest(v) ? svm_raise_nested(v) : vmx_raise_nested(v);
}

/* false: the task switch exits. source: 0 CALL, 1 IRET, 2 JMP, 3 gate in the IDT. */
MUST_CHECK static inline bool virt_task_switch(struct vcpu *v, u16 selector, u32 source,
                                               const struct task_event *event)
{
    if (!in_guest(v))
        return true;
    return in_svm_guest(v) ? svm_task_switch(v, selector, source, event)
                           : vmx_raise_task_switch(v, selector, source);
}

static inline u64 virt_guest_tsc(const struct vcpu *v, u64 tsc)
{
    return in_svm_guest(v) ? svm_guest_tsc(v, tsc) : vmx_guest_tsc(v, tsc);
}

/* IRET is done or failed: what it unblocks. */
static inline void virt_iret(struct vcpu *v)
{
    if (in_svm_guest(v))
        svm_iret(v);
    else
        vmx_iret(v);
}

/* ---- events ---- */

/* True: the exception belongs to the hypervisor, v->exit is filled. */
static inline bool virt_exception(struct vcpu *v, const struct event *e)
{
    return in_svm_guest(v) ? svm_exception(v, e) : vmx_exception(v, e);
}

/* In a guest, instead of shutdown. */
static inline void virt_triple_fault(struct vcpu *v)
{
    if (in_svm_guest(v))
        svm_triple_fault(v);
    else
        vmx_triple_fault(v);
}

static inline bool virt_ready(const struct vcpu *v)
{
    return in_svm_guest(v) ? svm_ready(v) : vmx_ready(v);
}

/* Take what is ready at this place of the order of priorities. */
static inline bool virt_boundary(struct vcpu *v, enum boundary place)
{
    return in_svm_guest(v) ? svm_boundary(v, place) : vmx_boundary(v, place);
}

static inline bool virt_nmi_exits(const struct vcpu *v)
{
    return in_svm_guest(v) ? svm_nmi_exits(v) : vmx_nmi_exits(v);
}

static inline bool virt_intr_exits(const struct vcpu *v)
{
    return in_svm_guest(v) ? svm_intr_exits(v) : vmx_intr_exits(v);
}

/* ---- transitions ---- */

/* What an exit takes, as long as the preemption timer needs for a count (docs/adr/0012). */
enum { VIRT_EXIT_NS = 1 << VMX_TIMER_SHIFT };

/* The time of an exit passes before anything of the guest is saved. */
static inline void virt_pass_exit_time(struct vcpu *v)
{
    *v->now += VIRT_EXIT_NS;
    v->time_base += VIRT_EXIT_NS;
}

/* Leave the guest for what v->exit says. */
static inline void virt_exit(struct vcpu *v)
{
    if (in_svm_guest(v))
        svm_exit(v);
    else
        vmx_exit(v);
}

static inline void virt_smi(struct vcpu *v)
{
    vmx_smi(v);
    svm_smi(v);
}

/* RSM reads no PDPTEs for the guest that it returns to: EPT's are kept in the VMCS, and under
 * nested paging each walk reads them (SDM Vol 3C 32.14.2, APM Vol 2 15.25.10). */
static inline bool virt_rsm_reads_no_pdptes(const struct vcpu *v)
{
    return vmx_rsm_has_pdptes(v) || svm_rsm_nests(v);
}

static inline void virt_rsm(struct vcpu *v)
{
    vmx_rsm(v);
    svm_rsm(v);
}

/* ---- instructions that both intercept: cpu/virt.c ---- */

/* Faults that come before an exit. */
bool virt_tsc_faults(const struct vcpu *v);
bool virt_rdpmc_faults(const struct vcpu *v);
bool virt_umip_faults(const struct vcpu *v, bool store);

/* What IN, OUT, INS or OUTS does, from its row. */
struct virt_io {
    u16 port;
    u8 size;
    bool string, in, immediate, rep;
};
struct virt_io virt_io_operand(const struct vcpu *v, const struct insn *in);

/* Is a bit of a bitmap in physical memory set? Where there is no memory all are: a device is not
 * read for it. */
bool virt_bitmap_bit(const struct vcpu *v, u64 address, u32 bit);

/* Length of the instruction that is executed. */
static inline u32 virt_insn_length(const struct vcpu *v)
{
    return (u32)(v->next_rip - v->insn_rip) & 15;
}

#endif
