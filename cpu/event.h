/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts: delivery through the IDT (or IVT) and what happens at boundaries. */
#ifndef CPU_EVENT_H
#define CPU_EVENT_H

#include "cpu/vcpu.h"

enum event_source {
    SOURCE_EXCEPTION,
    SOURCE_EXTERNAL,
    SOURCE_NMI,
    SOURCE_SOFT_INT,
    SOURCE_INT1,
    SOURCE_INT3_INTO
};

/*
 * Deliver the exception in v->event (kind EVENT_EXCEPTION), which the instruction at RIP raised:
 * state is exact and RIP is that of the faulting instruction (traps: of the next). Contributory and
 * page faults during delivery become #DF, and a fault during that shuts the CPU down
 * (ACTIVITY_SHUTDOWN and wires.shutdown). Never fails. SDM Vol 3A 6.12-6.15, 6.14 (64-bit), 20.1
 * (real mode).
 */
void event_deliver_exception(struct vcpu *v);

/* Event injection, SDM Vol 3C 27.6 and APM Vol 2 15.20: info in the format of the VM-entry
 * interruption information, of which EVENTINJ is a part; rip: to push. */
void event_inject(struct vcpu *v, u32 info, u32 error_code, u64 rip);

/* DR6 as #DB leaves it: pending traps join, B0-B3 are exact, the rest only accumulates. SDM Vol 3A
 * 18.2.3. */
void event_note_debug(struct vcpu *v, u64 dr6);

/*
 * INT n, INT3, INTO, INT1: deliver from inside an exec. next_rip is pushed. false: v->event holds
 * the fault (not yet delivered), nothing has changed.
 */
MUST_CHECK bool event_software(struct vcpu *v, u8 vector, enum event_source source);

/*
 * At an instruction boundary with exact state: take the highest-priority pending thing (INIT, SIPI,
 * SMI, #DB traps, NMI, INTR), at most one; also wakes a halted CPU. Returns true if something was
 * taken (the caller looks again). SDM Vol 3A 6.9 table "Priority Among Concurrent Events".
 */
bool event_boundary(struct vcpu *v);
/* Would event_boundary() take something now? Cheap; used to decide whether to enter a chain. */
bool event_pending(const struct vcpu *v);

/* Places in the order of priorities where a guest's hypervisor may have something first. */
enum boundary {
    BOUNDARY_FIRST, /* before SMI and INIT: injection, VMX's APIC virtualization, SMI exits */
    BOUNDARY_INIT,
    BOUNDARY_SIPI,
    BOUNDARY_BEFORE_DEBUG, /* VMX: MTF */
    BOUNDARY_BEFORE_NMI, /* VMX: preemption timer, NMI window */
    BOUNDARY_NMI,
    BOUNDARY_BEFORE_INTR, /* VMX: interrupt window */
    BOUNDARY_INTR,
    BOUNDARY_VIRTUAL_INTR, /* VMX: before interrupts that do not exit */
    BOUNDARY_LAST, /* SVM: virtual interrupts */
};

/* Inputs from the board (at boundaries). */
void event_signal_intr(struct vcpu *v, bool level);
void event_signal_nmi(struct vcpu *v);
void event_signal_smi(struct vcpu *v);
void event_signal_init(struct vcpu *v);
void event_signal_sipi(struct vcpu *v, u8 vector);

/* A branch from the instruction at `from` to RIP was taken, or an event was delivered there: noted
 * if IA32_DEBUGCTL.LBR is set. SDM Vol 3B 18.4.8, 18.13. */
void event_branch(struct vcpu *v, u64 from, bool is_event);

/* After an instruction that ran alone with TF set at its start, or that hit a data/I/O breakpoint:
 * turns them into pending_debug. Instruction breakpoints: true if one matches at RIP (fault-type
 * #DB is then in v->event) and RF is clear. */
void event_after_step(struct vcpu *v, bool tf_at_start, bool branched);
bool event_code_breakpoint(struct vcpu *v);
/* Data breakpoints armed in DR7 (any length/type): memory accesses of explicit operands are checked
 * by cpu/mem.c against this when v->watching is set. */
void event_data_access(struct vcpu *v, u64 la, u32 size, bool write);
void event_io_access(struct vcpu *v, u16 port, u32 size);

/* RSM and entry to SMM: SDM Vol 3C chapter 32. */
void smm_enter(struct vcpu *v);
MUST_CHECK bool smm_return(struct vcpu *v);

#endif
