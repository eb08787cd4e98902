/* SPDX-License-Identifier: MIT */
/*
 * struct cpu_state: the architectural state of one logical processor and nothing else. Plain bytes:
 * fixed-width members, no pointers, no padding. gdb shows it, snapshots copy it, replay hashes it,
 * lockstep compares it. New members go to the end of their group; reserved bytes stay zero.
 */
#ifndef CPU_STATE_H
#define CPU_STATE_H

#include "base/types.h"
#include "cpu/svm/vmcb.h"
#include "cpu/vmx/vmcs.h"

/* Indices into reg[]. The order is the encoding order of SDM Vol 2A table 2-1 and appendix B. */
enum reg {
    REG_RAX,
    REG_RCX,
    REG_RDX,
    REG_RBX,
    REG_RSP,
    REG_RBP,
    REG_RSI,
    REG_RDI,
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REG_RIP,
    REG_NONE, /* always zero: stands for an absent base or index register */
    REG_COUNT,
};

enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/*
 * A segment register with its hidden part. attr is in the format of the VMCS access rights (SDM Vol
 * 3C "Guest Register State"): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16.
 * limit is in bytes (already scaled by G).
 */
struct segment {
    u64 base;
    u32 limit;
    u32 attr;
    u16 selector;
    u16 reserved[3];
};

enum {
    ATTR_TYPE = 0xf,
    ATTR_ACCESSED = 1 << 0, /* code and data */
    ATTR_WRITABLE = 1 << 1, /* data; readable if code */
    ATTR_EXPAND_DOWN = 1 << 2, /* data; conforming if code */
    ATTR_CODE = 1 << 3,
    ATTR_S = 1 << 4,
    ATTR_DPL_SHIFT = 5,
    ATTR_DPL = 3 << 5,
    ATTR_P = 1 << 7,
    ATTR_AVL = 1 << 12,
    ATTR_L = 1 << 13,
    ATTR_DB = 1 << 14,
    ATTR_G = 1 << 15,
    ATTR_UNUSABLE = 1 << 16,
};

struct table_register {
    u64 base;
    u16 limit;
    u16 reserved[3];
};

/* An 80-bit x87 register: SDM Vol 1 8.1.2. The MMX registers are the mantissas. */
struct f80 {
    u64 mant;
    u16 se; /* sign and exponent */
    u16 reserved[3];
};

struct fpu_state {
    struct f80 st[8]; /* physical registers R0..R7; ST(i) is st[(top + i) & 7] */
    u16 fcw, fsw; /* fsw holds TOP in bits 13:11 */
    u8 ftw; /* abridged: bit i set means R(i) is not empty (as FXSAVE) */
    u8 reserved;
    u16 fop, fcs, fds;
    u32 reserved2;
    u64 fip, fdp;
};

/* One vector register; element 0 is the least significant. */
union vec {
    u8 b[32];
    u16 w[16];
    u32 d[8];
    u64 q[4];
} __attribute__((aligned(32)));

enum activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI };

/* Event blocking, in the bits of the VMCS interruptibility state. */
enum { SHADOW_STI = 1 << 0, SHADOW_MOV_SS = 1 << 1 };

/* Ten banks: AMD's software takes bank 4 for granted (APM Vol 2 appendix A, MC4_MISC0). */
enum { MTRR_VARIABLE_COUNT = 8, MC_BANK_COUNT = 10 };

struct cpu_state {
    union vec ymm[16];

    u64 reg[REG_COUNT]; /* rip is reg[REG_RIP]; in 16- and 32-bit modes the upper bits are zero */
    u64 rflags;
    /* Instructions retired by this CPU since power-on; a REP iteration counts as one, and so does
     * taking an exception or interrupt. */
    u64 count;

    struct segment seg[SEG_COUNT];
    struct table_register gdtr, idtr;

    u64 cr0, cr2, cr3, cr4, xcr0;
    u64 dr[8];
    u64 pdpte[4]; /* PDPTE registers, valid in PAE paging: SDM Vol 3A 4.4.1 */

    struct fpu_state fpu;
    u32 mxcsr;
    u32 pkru;

    /* Model-specific registers; msr.c has one row for each. */
    u64 efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 pat, misc_enable, debugctl, xss, pkrs, spec_ctrl, smbase;
    u64 tsc_offset; /* TSC = virtual time in ticks + tsc_offset */
    u64 tsc_adjust;
    u64 feature_control, ucode_rev, umwait_control;
    u64 mtrr_def_type, mtrr_fixed[11];
    u64 mtrr_base[MTRR_VARIABLE_COUNT], mtrr_mask[MTRR_VARIABLE_COUNT];
    u64 mcg_status, mcg_ctl, mc_ctl[MC_BANK_COUNT], mc_status[MC_BANK_COUNT],
        mc_addr[MC_BANK_COUNT], mc_misc[MC_BANK_COUNT];
    u64 last_branch_from, last_branch_to, last_int_from, last_int_to;
    u64 amd[16]; /* HWCR, SYSCFG, TOP_MEM, ... see msr.h */

    /* Event state. */
    u8 activity; /* enum activity */
    u8 shadow; /* SHADOW_* in force for the next instruction boundary */
    u8 nmi_blocked; /* until IRET */
    u8 nmi_pending; /* at most 1 held besides the one in service */
    u8 smi_pending;
    u8 init_pending;
    u8 sipi_pending;
    u8 sipi_vector;
    u8 in_smm;
    u8 intr; /* level of the INTR input from the interrupt controllers */
    u8 ferr; /* FERR# asserted: x87 error reported the PC/AT way */
    u8 mwait; /* in ACTIVITY_HLT by MWAIT: 1; 2 if interrupts also wake it with IF clear */
    u8 reserved[4];
    u64 pending_debug; /* DR6 bits of a #DB trap to deliver at the next boundary */
    u64 monitor_address; /* physical line armed by MONITOR, or 0 */
    u64 monitor_line; /* what it held then, hashed: a store that changes it ends MWAIT */

    u64 random[4]; /* RDRAND/RDSEED generator */

    struct vmx_state vmx;
    struct svm_state svm;
    u64 reserved_tail[3]; /* keeps sizeof a multiple of the vector alignment */
};

_Static_assert(offsetof(struct cpu_state, reserved_tail) + 3 * sizeof(u64) ==
                   sizeof(struct cpu_state),
               "cpu_state has no tail padding: adjust reserved_tail");

#endif
