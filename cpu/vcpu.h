/* SPDX-License-Identifier: MIT */
/*
 * struct vcpu: one logical processor. The architectural state (struct cpu_state) comes first; what
 * follows is caches, wiring and what the run loop needs, and can be rebuilt from the state.
 *
 * While a chain of blocks runs (cpu/engine.h), two parts of the state are stale: reg[REG_RIP] is
 * the RIP at which the current block was entered, and the arithmetic flags are in `lazy`. Both are
 * exact again whenever the run loop, an ENDS_BLOCK exec or a device sees them, except that flags
 * are always read and written through cpu/flags.h.
 */
#ifndef CPU_VCPU_H
#define CPU_VCPU_H

#include "base/bits.h"
#include "base/check.h"
#include "base/log.h"
#include "base/types.h"
#include "cpu/features.h"
#include "cpu/insn.h"
#include "cpu/state.h"
#include "mmu/mmu.h"

/* Exception vectors, SDM Vol 3A 6.15. */
enum vector {
    VEC_DE = 0,
    VEC_DB = 1,
    VEC_NMI = 2,
    VEC_BP = 3,
    VEC_OF = 4,
    VEC_BR = 5,
    VEC_UD = 6,
    VEC_NM = 7,
    VEC_DF = 8,
    VEC_TS = 10,
    VEC_NP = 11,
    VEC_SS = 12,
    VEC_GP = 13,
    VEC_PF = 14,
    VEC_MF = 16,
    VEC_AC = 17,
    VEC_MC = 18,
    VEC_XM = 19,
    VEC_VE = 20,
    VEC_SX = 30,
};

enum event_kind {
    EVENT_NONE,
    EVENT_EXCEPTION, /* vector, error_code if has_error, cr2 for #PF, dr6 for #DB */
    /* Not an event for the guest: the instruction met something that it can do only alone (a string
     * instruction a device in the middle of its iterations, for instance). It has changed nothing;
     * the run loop does it again, alone. */
    EVENT_REDO,
    EVENT_EXIT, /* of a hypervisor's guest to its hypervisor: v->exit */
};

struct event {
    u8 kind; /* enum event_kind */
    u8 vector;
    u8 has_error;
    u8 reserved;
    u32 error_code;
    u64 cr2;
    u64 dr6; /* bits to OR into DR6 */
};

/* Flags in the making; see cpu/flags.h. */
struct lazy_flags {
    u64 result; /* ZF: == 0; SF: bit 63 (xor cc bit 0); PF: parity of the low byte (xor cc 15:8) */
    u64 cc; /* bit 63 CF; bit 62 carry into the sign bit (OF = CF xor it); bit 3 AF */
};

/* The decode-relevant mode: part of a block's key. mode.c computes it. */
enum mode_bit {
    MODE_CODE32 = 1 << 0, /* CS.D */
    MODE_CODE64 = 1 << 1, /* 64-bit mode */
    MODE_STACK32 = 1 << 2, /* SS.B (stack is 64-bit in 64-bit mode) */
    MODE_PROT = 1 << 3, /* protected, not virtual-8086 */
    MODE_V86 = 1 << 4,
    MODE_FLAT_CS = 1 << 5, /* CS base 0, no limit: RIP is the linear address */
    /* Segment is "open": no limit or rights check can fail (base may be anything). In 64-bit mode
     * all are open (and ES CS SS DS have base 0). */
    MODE_OPEN_ES = 1 << 6,
    MODE_OPEN_SS = 1 << 7,
    MODE_OPEN_DS = 1 << 8,
    MODE_OPEN_FS = 1 << 9,
    MODE_OPEN_GS = 1 << 10,
    MODE_FLAT_DATA = 1 << 11, /* ES, SS and DS open with base 0 */
    MODE_NO_X87 = 1 << 12, /* CR0.EM or TS: X87 rows raise #NM */
    MODE_NO_MMX = 1 << 13, /* MMX rows raise #UD or #NM */
    MODE_NO_SSE = 1 << 14,
    MODE_NO_AVX = 1 << 15,
    MODE_CPL0 = 1 << 16,
    MODE_GUEST = 1 << 18, /* a hypervisor's guest: rows with an intercept id ask first */
    MODE_ALIGN = 1 << 17, /* #AC may happen (CR0.AM, EFLAGS.AC, CPL 3) or a data breakpoint is
                             armed: no stamped memory handlers */
};

/* What the CPU needs of the board. All called at instruction boundaries with exact time. */
struct cpu_wires {
    void *ctx;
    u32 (*port_read)(void *ctx, u16 port, u32 size);
    void (*port_write)(void *ctx, u16 port, u32 size, u32 value);
    u8 (*int_ack)(void *ctx); /* interrupt acknowledge cycle: the vector */
    u64 (*tpr_read)(void *ctx); /* CR8 */
    void (*tpr_write)(void *ctx, u64 value);
    /* IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC MSRs 800h..8FFh; false: #GP(0) */
    bool (*apic_msr_read)(void *ctx, u32 index, u64 *value);
    bool (*apic_msr_write)(void *ctx, u32 index, u64 value);
    void (*tsc_changed)(void *ctx, u64 offset); /* TSC offset, for the deadline timer */
    void (*ferr)(void *ctx, bool level); /* FERR#: IRQ13 */
    void (*shutdown)(void *ctx); /* triple fault: the CPU is now in ACTIVITY_SHUTDOWN */
    u32 (*apic_id)(void *ctx); /* initial APIC ID, for CPUID */
    void (*apic_init)(void *ctx); /* the processor takes an INIT: its APIC is reset too */
    void (*apic_eoi)(void *ctx); /* the processor's own write to the EOI register */
    /* A halted CPU has something to look at when virtual time reaches this. */
    void (*wake_at)(void *ctx, u64 time);
};

/* What an exit to the hypervisor reports, as the VMCS wants it; for SVM see cpu/svm/svm.h. */
struct guest_exit {
    u64 qualification, linear, physical;
    u32 reason, interruption_info, error_code, instruction_info;
    u8 length; /* of the instruction; 0: not reported */
    bool linear_valid, physical_valid;
    bool bytes; /* SVM: of the instruction at RIP */
};

/* The event that is being delivered: what an exit in the middle reports of it. */
struct vectoring {
    u32 info; /* 0: none */
    u32 error_code;
    u8 length;
};

struct block;
struct code_cache;
struct cpu_model;

struct vcpu {
    struct cpu_state state;

    /* --- hot part of the cache side --- */
    i64 left; /* instructions that may still retire before the run loop must look */
    struct lazy_flags lazy;
    struct mmu *mmu; /* mmu->bank is the soft TLB in use */
    struct tlb_entry *tlb; /* == mmu->bank, refreshed by vcpu_tlb_refresh() after MMU calls */
    const struct insn
        *current; /* what the generic path executes; NULL: a string instruction or none */
    struct block *block; /* being executed; NULL when a record runs alone */
    struct {
        u16 flags; /* the guest's: LAHF's byte above SETO's; 0: in `lazy` */
        u64 target; /* of an indirect branch */
        struct block *next;
    } jit; /* of machine code, see cpu/jit/internal.h */
    u32 mode; /* enum mode_bit, see mode.c */
    u8 cpl;
    bool alone; /* one instruction at a time: slow things are done, not put off */
    bool attention; /* something may have become pending: look before the next block */
    bool watching; /* DR7 arms data or I/O breakpoints: no stamped memory handlers (MODE_ALIGN) */
    bool stepping; /* DR7 arms any breakpoint, or RFLAGS.TF: every instruction alone */
    bool stop; /* leave vcpu_run() at the next boundary (machine request) */
    u64 next_rip; /* during an exec of the generic path: RIP after this instruction; branches
                     replace it */
    u64 insn_rip; /* RIP of the instruction that the generic path executes */
    u64 la_mask; /* linear addresses: all ones in 64-bit mode, else 32 bits */
    u64 segbase[8]; /* copy of seg[i].base, 0 for ES CS SS DS in 64-bit mode */
    struct event event; /* why the last handler returned false */
    u32 mxcsr_quick; /* the MXCSR, all flags set, for which host instructions may do SSE arithmetic;
                        see cpu/isa/fpu.h */

    struct memory *memory;
    struct code_cache *code;
    u32 max_basic_leaf, max_extended_leaf; /* CPUID */
    u32 signature; /* CPUID.1:EAX, which RESET leaves in EDX */
    const struct cpu_model *model;
    u64 features[(FEATURE_COUNT + 63) / 64]; /* after -cpu +f,-f */
    u32 phys_bits;
    u32 vendor[3]; /* CPUID.0: EBX, EDX, ECX */
    bool amd; /* the vendor string is AMD's: its variants of SYSCALL, SYSENTER, ... */
    struct cpu_wires wires;

    /* Of the instruction in execution; see debug.c. */
    bool no_step; /* it takes no single-step trap of its own */
    u32 debug_hits; /* data and I/O breakpoints it met: bits of DR6 */
    u8 shadow_now; /* SHADOW_* in force for it */

    /* VMX, see cpu/vmx/. */
    struct guest_exit exit; /* with EVENT_EXIT */
    struct vectoring vectoring;
    u32 vmx_allowed1[5]; /* by enum vmx_controls */
    u8 vmx_valid; /* enum vmx_group: parts of the VMCS that passed their checks, unchanged since */
    bool vmx_valid_long; /* L1 was in long mode then */
    u8 vmx_field_row[512]; /* see cpu/vmx/fields.c */
    u64 vmx_cr4_fixed1;
    u64 feature_control_at_reset; /* IA32_FEATURE_CONTROL as firmware leaves it after RESET */
    bool nmi_unblocked; /* by the IRET that exits */
    u64 guest_deadline; /* virtual time of the preemption timer's end, or all ones */
    const struct svm_rule *vmrun_rule; /* that the last failed VMRUN broke */

    /* One instruction alone, the first instructions of a block, or one across two pages. */
    struct block *scratch;

    /* Virtual time: *now is the clock's time. During a chain the exact time is time_base plus the
     * instructions retired since, budget - left (see run.c). */
    u64 time_base, count_base;
    i64 budget;
    u64 *now;
    const u64 *next_deadline;
    u64 until; /* what bounds the budget: of slice_end, deadline, max_insns the earliest */
    u64 slice_end; /* this CPU's slice of virtual time ends here */
    u32 index; /* CPU number */
    u32 cpus; /* in the machine, for CPUID */

    struct vcpu_counters {
        u64 blocks_decoded, generic, redo, exceptions, interrupts, io;
    } counters;
};

static ALWAYS_INLINE bool has_feature(const struct vcpu *v, enum cpu_feature feature)
{
    return (v->features[feature / 64] >> (feature % 64) & 1) != 0;
}

static ALWAYS_INLINE bool mode64(const struct vcpu *v)
{
    return (v->mode & MODE_CODE64) != 0;
}

static ALWAYS_INLINE bool in_vmx_guest(const struct vcpu *v)
{
    return v->state.vmx.mode == VMX_GUEST;
}

static ALWAYS_INLINE bool in_svm_guest(const struct vcpu *v)
{
    return v->state.svm.guest != 0;
}

static ALWAYS_INLINE bool in_guest(const struct vcpu *v) /* of a hypervisor */
{
    return in_vmx_guest(v) || in_svm_guest(v);
}

static ALWAYS_INLINE bool long_mode(const struct vcpu *v) /* EFER.LMA */
{
    return (v->state.efer & BIT(10)) != 0;
}

static ALWAYS_INLINE bool protected_mode(const struct vcpu *v) /* PE, and not virtual-8086 */
{
    return (v->mode & MODE_PROT) != 0;
}

/* ---- lifecycle, cpu/vcpu.c ---- */
struct vcpu *vcpu_create(struct memory *memory, struct code_cache *code,
                         const struct cpu_wires *wires);
void vcpu_destroy(struct vcpu *v);
/* MAXPHYADDR, before anything runs: makes the MMU anew. */
void vcpu_set_phys_bits(struct vcpu *v, u32 bits);
/* Power-on or RESET# (init false), INIT (init true): SDM Vol 3A table 9-1. */
void vcpu_reset(struct vcpu *v, bool init);
/* Drop everything outside the state and rebuild it (tests, snapshot load). The run does not change.
 */
void vcpu_drop_caches(struct vcpu *v);

/* ---- raising events: each fills v->event and returns false ---- */
COLD void event_fault(struct vcpu *v, enum vector vector);
COLD void event_error(struct vcpu *v, enum vector vector, u32 error);
COLD void event_page_fault(struct vcpu *v, u64 va, u32 error);

static inline bool raise_fault(struct vcpu *v, enum vector vector) /* no error code */
{
    event_fault(v, vector);
    return false;
}

static inline bool raise_error(struct vcpu *v, enum vector vector, u32 error) /* with one */
{
    event_error(v, vector, error);
    return false;
}

static inline bool raise_page_fault(struct vcpu *v, u64 va, u32 error)
{
    event_page_fault(v, va, error);
    return false;
}

static inline bool raise_redo(struct vcpu *v)
{
    v->event.kind = EVENT_REDO;
    return false;
}

static inline bool raise_exit(struct vcpu *v) /* v->exit is filled */
{
    v->event.kind = EVENT_EXIT;
    return false;
}

#define RAISE_UD(v) raise_fault(v, VEC_UD)
#define RAISE_GP0(v) raise_error(v, VEC_GP, 0)

/* ---- cpu/mode.c ---- */
/* Recompute mode, cpl, segbase, the MMU's context and privilege after any change to CR0, CR4, EFER,
 * XCR0, a segment register, RFLAGS.VM/AC, SMM. Cheap if nothing changed. */
void mode_update(struct vcpu *v);
/* Only CPL, EFLAGS.AC or TF may have changed. */
void mode_update_privilege(struct vcpu *v);
/* Only segment registers, EFLAGS.VM, AC and TF may have changed: no control register. */
void mode_update_segments(struct vcpu *v);
/* Only CS, SS, EFLAGS.AC and TF may have changed; from 64-bit code to 64-bit code that is only a
 * privilege: far transfers and system calls. */
void mode_update_code(struct vcpu *v);
/* How the hypervisor that executed VMRUN pages: it says how its nested page tables are read. */
union mmu_role mode_host_role(const struct vcpu *v);

#endif
