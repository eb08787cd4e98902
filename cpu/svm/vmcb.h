/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine control block as it lies in memory: APM Vol 2 appendix B. Names are those of
 * its tables. What is documented of each field is in fields.c, which also asserts the offsets.
 *
 * While a guest runs, its control area is in struct cpu_state and the save area is the registers
 * themselves; VMRUN reads the block, #VMEXIT writes back what the architecture says it writes.
 */
#ifndef CPU_SVM_VMCB_H
#define CPU_SVM_VMCB_H

#include "base/types.h"

enum {
    VMCB_SIZE = 4096,
    VMCB_SAVE = 0x400, /* offset of the save area */
    VMCB_BYTES = 15, /* guest instruction bytes */
};

/* APM Vol 2 table B-1; offset in the comments. */
struct vmcb_control {
    u32 intercept[6]; /* 000 */
    u32 reserved_018[9];
    u16 pause_threshold, pause_count; /* 03C */
    u64 iopm_base, msrpm_base, tsc_offset; /* 040 */
    u32 asid; /* 058 */
    u8 tlb_control, reserved_05d[3];
    u32 vintr, vintr_vector; /* 060: enum vintr_bit */
    u32 interrupt_state, reserved_06c; /* 068 */
    u64 exit_code, exit_info1, exit_info2; /* 070 */
    u32 exit_int_info, exit_int_error; /* 088 */
    u64 np_control; /* 090: enum np_bit */
    u64 avic_apic_bar, ghcb; /* 098 */
    u32 event_inj, event_inj_error; /* 0A8 */
    u64 ncr3, virt_ext; /* 0B0: enum virt_ext_bit */
    u32 clean, reserved_0c4; /* 0C0 */
    u64 next_rip; /* 0C8 */
    u8 bytes_fetched, bytes[VMCB_BYTES]; /* 0D0 */
};

_Static_assert(sizeof(struct vmcb_control) == 0xe0, "the control area has no holes");

/* attr: bits 7:0 and 11:8 are the descriptor's 47:40 and 55:52. limit: in bytes. */
enum vmcb_attr { VMCB_ATTR_L = 1 << 9, VMCB_ATTR_D = 1 << 10 };

struct vmcb_segment {
    u16 selector, attr;
    u32 limit;
    u64 base;
};

/* APM Vol 2 table B-2; offset from the save area's start in the comments. */
struct vmcb_save {
    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 000 */
    u8 reserved_0a0[0x2b], cpl; /* 0CB */
    u32 reserved_0cc;
    u64 efer; /* 0D0 */
    u64 reserved_0d8[14];
    u64 cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 148 */
    u64 reserved_180[11];
    u64 rsp; /* 1D8 */
    u64 s_cet, ssp, isst_addr;
    u64 rax, star, lstar, cstar, sfmask, kernel_gs_base; /* 1F8 */
    u64 sysenter_cs, sysenter_esp, sysenter_eip, cr2; /* 228 */
    u64 reserved_248[4];
    u64 g_pat; /* 268 */
    u64 debugctl, branch_from, branch_to, int_from, int_to; /* 270 */
};

_Static_assert(sizeof(struct vmcb_save) == 0x298, "the save area has no holes");

/* Offset 060h, APM Vol 2 15.21. */
enum vintr_bit {
    VINTR_TPR = 0xff,
    VINTR_IRQ = 1 << 8,
    VINTR_GIF = 1 << 9,
    VINTR_NMI_PENDING = 1 << 11,
    VINTR_NMI_MASK = 1 << 12,
    VINTR_PRIO_SHIFT = 16, /* 4 bits */
    VINTR_IGNORE_TPR = 1 << 20,
    VINTR_MASKING = 1 << 24,
    VINTR_GIF_ENABLE = 1 << 25,
    VINTR_NMI_ENABLE = 1 << 26,
};

/* Offset 068h. */
enum interrupt_state_bit { STATE_SHADOW = 1 << 0, STATE_GUEST_IF = 1 << 1 };

/* Offset 090h. */
enum np_bit { NP_ENABLE = 1 << 0, NP_GMET = 1 << 3 };

/* Offset 0B8h. */
enum virt_ext_bit { VIRT_EXT_LBR = 1 << 0, VIRT_EXT_VMLOAD = 1 << 1 };

/* What VMRUN keeps of the host. The architecture lets the processor keep it on chip instead of in
 * the page at VM_HSAVE_PA: APM Vol 2 15.30.4. */
struct svm_host {
    struct vmcb_segment es, cs, ss, ds;
    u64 gdtr_base, idtr_base, efer, cr0, cr3, cr4, rflags, rip, rsp, rax, pat;
    u64 debugctl, branch_from, branch_to, int_from, int_to; /* with LBR virtualization */
    u16 gdtr_limit, idtr_limit;
    u32 reserved;
};

/* What is to be looked at at instruction boundaries of a guest. */
enum svm_pending {
    SVM_PENDING_INJECTION = 1 << 0, /* EVENTINJ */
    SVM_PENDING_VIRTUAL = 1 << 1, /* V_IRQ, or a virtual NMI */
};

/* SVM in one logical processor; in struct cpu_state. */
struct svm_state {
    u64 vm_cr, hsave_pa, tsc_ratio, key, ignne; /* MSRs */
    u64 vmcb; /* of the running guest, or the last */
    u64 pause_last; /* TSC of the last PAUSE, for the filter threshold */
    struct svm_host host;
    struct vmcb_control control; /* of the running guest */
    u32 pending; /* enum svm_pending */
    u32 pause_left; /* PAUSE filter counter */
    u32 last_asid;
    u8 guest; /* a guest runs */
    u8 gif_clear; /* the global interrupt flag is 0 */
    u8 smm_guest; /* `guest` before the SMI */
    u8 reserved;
};

_Static_assert(sizeof(struct svm_state) ==
                   56 + sizeof(struct svm_host) + sizeof(struct vmcb_control) + 16,
               "no padding");

#endif
