/* SPDX-License-Identifier: MIT */
/*
 * AMD SVM, APM Vol 2 chapter 15: what the rest of the CPU asks of it. All of it is inert while
 * EFER.SVME is clear.
 *
 * As with VMX, a #VMEXIT inside an instruction is an event like a fault: v->exit is filled, nothing
 * of the instruction has been done, and svm_exit() is called with exact state. In v->exit, reason
 * is the exit code, qualification is EXITINFO1, physical is EXITINFO2.
 */
#ifndef CPU_SVM_SVM_H
#define CPU_SVM_SVM_H

#include "cpu/event.h"

enum {
    SVM_REVISION = 1, /* CPUID Fn8000_000A EAX */
    SVM_ASIDS = 0x8000, /* EBX */
};

#define SVM_TSC_RATIO_ONE ((u64)1 << 32)

/* VM_CR: APM Vol 2 15.30.1. */
#define VM_CR_R_INIT BIT(1)
#define VM_CR_LOCK BIT(3)
#define VM_CR_SVMDIS BIT(4)

/*
 * Exit codes: APM Vol 2 appendix C. Up to ExitCode_LAST_INTERCEPT each is also the place of its
 * intercept bit: word code / 32 of the control area, bit code % 32.
 */
enum svm_exit_code {
    SVM_EXIT_CR_READ = 0x00, /* + number */
    SVM_EXIT_CR_WRITE = 0x10,
    SVM_EXIT_DR_READ = 0x20,
    SVM_EXIT_DR_WRITE = 0x30,
    SVM_EXIT_EXCEPTION = 0x40, /* + vector */
    SVM_EXIT_INTR = 0x60,
    SVM_EXIT_NMI,
    SVM_EXIT_SMI,
    SVM_EXIT_INIT,
    SVM_EXIT_VINTR,
    SVM_EXIT_CR0_SEL_WRITE,
    SVM_EXIT_IDTR_READ,
    SVM_EXIT_GDTR_READ,
    SVM_EXIT_LDTR_READ,
    SVM_EXIT_TR_READ,
    SVM_EXIT_IDTR_WRITE,
    SVM_EXIT_GDTR_WRITE,
    SVM_EXIT_LDTR_WRITE,
    SVM_EXIT_TR_WRITE,
    SVM_EXIT_RDTSC,
    SVM_EXIT_RDPMC,
    SVM_EXIT_PUSHF,
    SVM_EXIT_POPF,
    SVM_EXIT_CPUID,
    SVM_EXIT_RSM,
    SVM_EXIT_IRET,
    SVM_EXIT_SWINT,
    SVM_EXIT_INVD,
    SVM_EXIT_PAUSE,
    SVM_EXIT_HLT,
    SVM_EXIT_INVLPG,
    SVM_EXIT_INVLPGA,
    SVM_EXIT_IOIO,
    SVM_EXIT_MSR,
    SVM_EXIT_TASK_SWITCH,
    SVM_EXIT_FERR_FREEZE,
    SVM_EXIT_SHUTDOWN,
    SVM_EXIT_VMRUN = 0x80,
    SVM_EXIT_VMMCALL,
    SVM_EXIT_VMLOAD,
    SVM_EXIT_VMSAVE,
    SVM_EXIT_STGI,
    SVM_EXIT_CLGI,
    SVM_EXIT_SKINIT,
    SVM_EXIT_RDTSCP,
    SVM_EXIT_ICEBP,
    SVM_EXIT_WBINVD,
    SVM_EXIT_MONITOR,
    SVM_EXIT_MWAIT,
    SVM_EXIT_MWAIT_ARMED,
    SVM_EXIT_XSETBV,
    SVM_EXIT_RDPRU,
    SVM_EXIT_INVPCID = 0xa2,
    SVM_EXIT_LAST_INTERCEPT = 0xbf,
    SVM_EXIT_NPF = 0x400,
    SVM_EXIT_INVALID = -1, /* 64 bits in the VMCB */
};

/* In a guest: does its hypervisor want this exit? code is at most SVM_EXIT_LAST_INTERCEPT. */
static inline bool svm_intercepts(const struct vcpu *v, u32 code)
{
    return (v->state.svm.control.intercept[code / 32] >> (code % 32) & 1) != 0;
}

static inline bool svm_gif(const struct vcpu *v)
{
    return v->state.svm.gif_clear == 0;
}

/* In a guest with nested paging. */
static inline bool svm_nested_paging(const struct vcpu *v)
{
    return in_svm_guest(v) && (v->state.svm.control.np_control & NP_ENABLE) != 0;
}

/* In system-management mode, from where RSM returns to a guest with nested paging. */
static inline bool svm_rsm_nests(const struct vcpu *v)
{
    return v->state.svm.smm_guest != 0 && (v->state.svm.control.np_control & NP_ENABLE) != 0;
}

/* In a guest whose RFLAGS.IF and CR8 are about virtual interrupts alone. */
static inline bool svm_masks_virtually(const struct vcpu *v)
{
    return in_svm_guest(v) && (v->state.svm.control.vintr & VINTR_MASKING) != 0;
}

/* ---- the second stage; from mode.c ---- */
void svm_refresh(struct vcpu *v);

/* The TSC as the guest sees it: offset and ratio. APM Vol 2 15.30.5. */
u64 svm_guest_tsc(const struct vcpu *v, u64 tsc);

/* ---- instructions ---- */
/* Is there an intercept for this kind of instruction? Decides how the record is executed. */
bool svm_has_intercept(enum intercept intercept);
/* false: the instruction exits; the event is raised. */
MUST_CHECK bool svm_intercept(struct vcpu *v, const struct insn *in);
/* The second stage stopped an access (v->mmu->nested): #VMEXIT(NPF). APM Vol 2 15.25.6. */
COLD bool svm_raise_nested(struct vcpu *v);
/* false: the task switch exits. APM Vol 2 15.14.1. */
struct task_event;
MUST_CHECK bool svm_task_switch(struct vcpu *v, u16 selector, u32 source,
                                const struct task_event *event);
/* INT1, INT3, INTO: false if they exit. */
MUST_CHECK bool svm_software_exception(struct vcpu *v, u8 vector, enum event_source source);
void svm_iret(struct vcpu *v);

/* CR8 was written: V_TPR follows. APM Vol 2 15.21.2. */
void svm_tpr_write(struct vcpu *v, u64 value);

/* ---- events ---- */
/* True: the exception belongs to the hypervisor, v->exit is filled. APM Vol 2 15.12. */
bool svm_exception(struct vcpu *v, const struct event *e);
/* Shutdown in a guest. */
void svm_triple_fault(struct vcpu *v);
bool svm_ready(const struct vcpu *v);
bool svm_boundary(struct vcpu *v, enum boundary place);
bool svm_nmi_exits(const struct vcpu *v);
bool svm_intr_exits(const struct vcpu *v);

/* ---- transitions ---- */
void svm_enter(struct vcpu *v, u64 vmcb);
void svm_exit(struct vcpu *v);
struct guest_exit *svm_exit_begin(struct vcpu *v, u32 code);
/* SMI and RSM: APM Vol 2 15.22. */
void svm_smi(struct vcpu *v);
void svm_rsm(struct vcpu *v);

#endif
