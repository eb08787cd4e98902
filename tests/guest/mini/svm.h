/* SPDX-License-Identifier: MIT */
/*
 * SVM: the VMCB, intercepts, exit codes and bits that are used here. APM Vol 2 chapter 15, appendix
 * B "Layout of VMCB", appendix C "SVM Intercept Exit Codes".
 */
#ifndef MINI_SVM_H
#define MINI_SVM_H

#include "guest.h"

#define MSR_TSC_RATIO 0xc0000104u
#define MSR_VM_CR 0xc0010114u
#define MSR_VM_HSAVE_PA 0xc0010117u
enum { MSR_DEBUGCTL = 0x1d9, MSR_LAST_BRANCH_FROM = 0x1db };

/* A field: its offset in the VMCB, and its bytes. */
#define FIELD(offset, bytes) ((offset) | (bytes) << 16)

/* The control area, table B-1. */
enum {
    CR_INTERCEPTS = FIELD(0x000, 4), /* reads 15:0, writes 31:16 */
    DR_INTERCEPTS = FIELD(0x004, 4),
    EXCEPTION_INTERCEPTS = FIELD(0x008, 4),
    INTERCEPTS_3 = FIELD(0x00c, 4),
    INTERCEPTS_4 = FIELD(0x010, 4),
    INTERCEPTS_5 = FIELD(0x014, 4),
    PAUSE_THRESHOLD = FIELD(0x03c, 2),
    PAUSE_COUNT = FIELD(0x03e, 2),
    IOPM_BASE = FIELD(0x040, 8),
    MSRPM_BASE = FIELD(0x048, 8),
    TSC_OFFSET = FIELD(0x050, 8),
    ASID = FIELD(0x058, 4),
    TLB_CONTROL = FIELD(0x05c, 1),
    V_CONTROL = FIELD(0x060, 4), /* V_TPR, V_IRQ and the bits below */
    V_VECTOR = FIELD(0x064, 1),
    SHADOW = FIELD(0x068, 4), /* interrupt shadow: bit 0 */
    EXIT_CODE = FIELD(0x070, 8),
    EXIT_INFO_1 = FIELD(0x078, 8),
    EXIT_INFO_2 = FIELD(0x080, 8),
    EXIT_INT_INFO = FIELD(0x088, 8), /* with the error code in bits 63:32 */
    NESTED_CONTROL = FIELD(0x090, 8),
    EVENT = FIELD(0x0a8, 8), /* EVENTINJ, with the error code in bits 63:32 */
    NESTED_CR3 = FIELD(0x0b0, 8),
    EXTENSIONS = FIELD(0x0b8, 8), /* LBR virtualization, virtual VMLOAD and VMSAVE */
    CLEAN = FIELD(0x0c0, 4),
    NEXT_RIP = FIELD(0x0c8, 8),
    FETCHED = FIELD(0x0d0, 1), /* count; the bytes follow */
    FETCHED_BYTES = FIELD(0x0d1, 8),
};

/* The state save area, table B-2. Segments have 16 bytes each. */
enum {
    S_ES = 0x400,
    S_CS = 0x410,
    S_SS = 0x420,
    S_DS = 0x430,
    S_FS = 0x440,
    S_GS = 0x450,
    S_GDTR = 0x460,
    S_LDTR = 0x470,
    S_IDTR = 0x480,
    S_TR = 0x490,
    S_CPL = FIELD(0x4cb, 1),
    S_EFER = FIELD(0x4d0, 8),
    S_CR4 = FIELD(0x548, 8),
    S_CR3 = FIELD(0x550, 8),
    S_CR0 = FIELD(0x558, 8),
    S_DR7 = FIELD(0x560, 8),
    S_DR6 = FIELD(0x568, 8),
    S_RFLAGS = FIELD(0x570, 8),
    S_RIP = FIELD(0x578, 8),
    S_RSP = FIELD(0x5d8, 8),
    S_RAX = FIELD(0x5f8, 8),
    S_STAR = FIELD(0x600, 8),
    S_KERNEL_GS_BASE = FIELD(0x620, 8),
    S_SYSENTER_EIP = FIELD(0x638, 8),
    S_CR2 = FIELD(0x640, 8),
    S_PAT = FIELD(0x668, 8),
    S_DEBUGCTL = FIELD(0x670, 8),
    S_BRANCH_FROM = FIELD(0x678, 8),
    S_BRANCH_TO = FIELD(0x680, 8),
};
#define SEG_SELECTOR(s) FIELD(s, 2)
#define SEG_ATTRIBUTES(s) FIELD((s) + 2, 2)
#define SEG_LIMIT(s) FIELD((s) + 4, 4)
#define SEG_BASE(s) FIELD((s) + 8, 8)

/* Exit codes. Those of intercept words 3 to 5 are 60h and the number of the bit. */
enum {
    X_CR_READ = 0x00,
    X_CR_WRITE = 0x10,
    X_DR_READ = 0x20,
    X_DR_WRITE = 0x30,
    X_EXCEPTION = 0x40,
    X_INTR = 0x60,
    X_NMI = 0x61,
    X_INIT = 0x63,
    X_VINTR = 0x64,
    X_CR0_SELECTIVE = 0x65,
    X_IDTR_READ = 0x66,
    X_GDTR_READ = 0x67,
    X_LDTR_READ = 0x68,
    X_TR_READ = 0x69,
    X_IDTR_WRITE = 0x6a,
    X_GDTR_WRITE = 0x6b,
    X_LDTR_WRITE = 0x6c,
    X_TR_WRITE = 0x6d,
    X_RDTSC = 0x6e,
    X_RDPMC = 0x6f,
    X_PUSHF = 0x70,
    X_POPF = 0x71,
    X_CPUID = 0x72,
    X_IRET = 0x74,
    X_SWINT = 0x75,
    X_INVD = 0x76,
    X_PAUSE = 0x77,
    X_HLT = 0x78,
    X_INVLPG = 0x79,
    X_INVLPGA = 0x7a,
    X_IOIO = 0x7b,
    X_MSR = 0x7c,
    X_TASK_SWITCH = 0x7d,
    X_SHUTDOWN = 0x7f,
    X_VMRUN = 0x80,
    X_VMMCALL = 0x81,
    X_VMLOAD = 0x82,
    X_VMSAVE = 0x83,
    X_STGI = 0x84,
    X_CLGI = 0x85,
    X_SKINIT = 0x86,
    X_RDTSCP = 0x87,
    X_ICEBP = 0x88,
    X_WBINVD = 0x89,
    X_MONITOR = 0x8a,
    X_MWAIT = 0x8b,
    X_XSETBV = 0x8d,
    X_RDPRU = 0x8e,
    X_INVPCID = 0xa2,
    X_NPF = 0x400,
};
#define X_INVALID (~0ull)
/* The intercept's bit in its word of 32. */
#define INTERCEPT(code) BIT((code)&31)

#define NESTED_PAGING BIT(0)
#define V_IRQ BIT(8)
#define V_GIF BIT(9)
#define V_NMI BIT(11)
#define V_NMI_MASK BIT(12)
#define V_PRIORITY(n) ((u64)(n) << 16)
#define V_IGNORE_TPR BIT(20)
#define V_INTR_MASKING BIT(24)
#define V_GIF_ENABLE BIT(25)
#define V_NMI_ENABLE BIT(26)
#define EXT_LBR BIT(0)
#define EXT_VMLOAD BIT(1)

/* TLB_CONTROL: nothing, all, this ASID's, this ASID's but global ones. */
enum { FLUSH_NOTHING, FLUSH_ALL, FLUSH_ASID = 3, FLUSH_NOT_GLOBAL = 7 };

/* EVENTINJ and EXITINTINFO. */
enum { EVENT_INTERRUPT = 0 << 8, EVENT_NMI = 2 << 8, EVENT_EXCEPTION = 3 << 8 };
enum { EVENT_SOFTWARE = 4 << 8 };
#define EVENT_ERROR BIT(11)
#define EVENT_VALID BIT(31)

/* EXITINFO1 of a nested page fault beside the bits of a page fault. */
#define NPF_FINAL BIT(32)
#define NPF_TABLES BIT(33)

struct svm {
    u8 *vmcb, *kept;
    u8 flush; /* TLB_CONTROL of the next VMRUN */
};
#define SVM(l2) ((struct svm *)(l2)->vendor)

/* Fields of a guest's VMCB. */
u64 vmcb_read(const struct l2 *l2, u32 field);
void vmcb_write(struct l2 *l2, u32 field, u64 value);
void vmcb_change(struct l2 *l2, u32 field, u64 set, u64 clear);
/* Changes of fields that a row of a table makes; keeping the VMCB before, and having it back. */
enum { EDITS = 2 };
struct edit {
    enum { NONE, ON, OFF, IS } how;
    u32 field;
    u64 value;
};
void vmcb_edit(struct l2 *l2, const struct edit *edits);
void vmcb_keep(struct l2 *l2);
void vmcb_back(struct l2 *l2);

/* CPUID Fn8000_000A EDX. */
enum {
    HAS_NPT = 1 << 0,
    HAS_LBR = 1 << 1,
    HAS_NEXT_RIP = 1 << 3,
    HAS_TSC_RATIO = 1 << 4,
    HAS_FLUSH_ASID = 1 << 6,
    HAS_DECODE_ASSISTS = 1 << 7,
    HAS_PAUSE_FILTER = 1 << 10,
    HAS_PAUSE_THRESHOLD = 1 << 12,
    HAS_VMLOAD = 1 << 15,
    HAS_VGIF = 1 << 16,
    HAS_VNMI = 1 << 25,
};
u32 svm_features(void);

/* l2's state into its VMCB. */
void svm_write_guest(struct l2 *l2);
/* VMRUN with the VMCB as it is, and l2's registers. */
void svm_enter_as_is(struct l2 *l2);

/*
 * VMLOAD, VMRUN and VMSAVE of the VMCB, with these general registers (rAX and rSP are in the VMCB);
 * what VMLOAD loads of L1 is in `host` meanwhile. GIF is 1 before and after.
 */
void svm_enter(word *registers, word vmcb, word host);

#endif
