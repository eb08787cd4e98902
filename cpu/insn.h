/* SPDX-License-Identifier: MIT */
/*
 * The row (struct insn_def): everything the project knows about one form of one instruction. And
 * the decoded record (struct insn): one instruction as it stands in a block.
 *
 * A row is written as on the instruction's page in SDM Vol 2: mnemonic, opcode column, operands.
 *
 * encoding, tokens separated by one space:
 *   prefix    "np" no 66/F2/F3 as mandatory prefix; "66", "f3", "f2" mandatory prefix. Without any
 * of these, 66 is the operand-size prefix and F2/F3 are REP or ignored. "rexw"    REX.W must be
 * set; "w0": must be clear opcode    "00".."ff", with "0f", "0f 38", "0f 3a" escapes; the last may
 * end in "+r": the low three bits (with REX.B) are a register modrm     "/r" a register in reg;
 * "/0".."/7" a fixed reg; a further byte "c1" after a complete opcode: the ModRM byte must be just
 * this; "c0+i": its low three bits are ST(i) VEX       instead of prefixes: "vex.LLL.PP.MAP.W" with
 * LLL 128 256 lig lz l1, PP np 66 f3 f2, MAP 0f 0f38 0f3a, W w0 w1 wig; then the opcode byte and
 * modrm; "/vsib" after it: SIB names a vector index (in->index is an XMM number) and exec forms the
 * addresses Immediates are not in the encoding: the operand letters say them.
 *
 * operands, separated by commas; '=' written, '+' read and written, neither: read. Letters and
 * sizes of SDM Vol 2D A.2: E G M R   general register or memory by ModRM.rm / register by ModRM.reg
 * / memory only / register only by ModRM.rm;  with size b w d q, v (16/32/64), y (32/64, as W), z
 * (16/32), p (far pointer in memory), a (BOUND pair: both limits, sign-extended, in vec.q[0] and
 * q[1]), s (6- or 10-byte descriptor operand: limit in sel, base in val), dq qq x (in vec), or none
 *             (M: address only and no checks, as LEA, INVLPG, CLFLUSH)
 *   Z         register by the opcode's low bits: Zb Zv Zy (Zq with 64-bit default);  B: by VEX.vvvv
 *   S C D     segment, control, debug register by ModRM.reg: read here (but CR8), written by exec
 *   Ib Iw Iz Iv (64-bit for MOV), Is: imm8 sign-extended to the operand size;  two immediates are
 *             in->imm then in->imm2 (ENTER Iw,Ib; EXTRQ); Ap: far pointer immediate (offset in imm,
 *             selector in imm2)
 *   Jb Jz     relative branch: in->imm is the displacement
 *   Ob Ov     memory at an absolute offset (moffs): in->disp
 *   Xb Xv Yb Yv  string operands: exec does all of it; they give the width
 *   AL CL DX AX rAX (operand size) rDX 1  fixed operands
 *   V W U H L XMM/YMM register by reg / register or memory / register by rm / by vvvv / by
 * imm8[7:4]; sizes: dq 16 bytes, qq 32, x 16 or 32 by VEX.L, q 8, d 4, w 2, b 1 (memory size; a
 *             register is always given as a whole)
 *   P Q N     MMX register by reg / register or memory / register by rm; sizes q d
 *   F         x87 ST(i) by the ModRM low bits: exec reads in->rm
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "base/types.h"
#include "cpu/features.h"
#include "cpu/state.h"

struct vcpu;
struct insn;
struct insn_def;

/*
 * What a record's handler is: executes the record and everything after it until control must go
 * back to the run loop. See cpu/engine.h for how handlers end (NEXT and friends).
 */
typedef const struct insn *(*insn_run)(struct vcpu *v, const struct insn *in);

enum { OPERANDS_MAX = 4 };

/*
 * The operands' values, for the generic path. Scalars are zero-extended from their size, signed
 * immediates sign-extended; vectors are whole registers (memory operands: zero beyond their size).
 * Far-pointer memory operands: value is the offset, and selector is in sel.
 */
struct operands {
    u64 val[OPERANDS_MAX];
    union vec vec[OPERANDS_MAX];
    u64 address; /* linear address of the memory operand, if there is one */
    u64 offset; /* its effective address, before the segment base */
    u16 sel;
};

/*
 * Meaning on operand values: reads val/vec, leaves results in the written operands' val/vec, which
 * are stored after it returns true. false: v->event says what to deliver, nothing has changed.
 * Must not change any state before its last fault point.
 */
typedef bool (*insn_exec)(struct vcpu *v, const struct insn *in, struct operands *x);

/* Chooses a handler specialised to this record's operands and mode (enum mode_bit), or NULL to take
 * the generic one. Written by the STAMP macros of cpu/stamp.h. */
typedef insn_run (*insn_stamp)(const struct insn *in, u32 mode);

enum insn_attr {
    LOCKABLE = 1 << 0, /* LOCK allowed with a memory destination; else LOCK is #UD */
    CPL0 = 1 << 1, /* #GP(0) unless CPL 0 (checked before the operands) */
    NO64 = 1 << 2, /* #UD in 64-bit mode: such a row does not exist there for the decoder */
    ONLY64 = 1 << 3, /* exists in 64-bit mode only */
    DEF64 = 1 << 4, /* 64-bit operand size by default in 64-bit mode (66 gives 16) */
    FORCE64 = 1 << 5, /* 64-bit operand size in 64-bit mode whatever the prefixes */
    PROT = 1 << 6, /* #UD in real and virtual-8086 mode */
    ENDS_BLOCK =
        1 << 7, /* last of its block: branches, serialising, mode changes, time, I/O, REP */
    BRANCH = 1 << 8, /* writes RIP (implies ENDS_BLOCK) */
    STACKOP = 1 << 9, /* pushes or pops: its implicit accesses go through SS */
    IO = 1 << 10, /* may enter a device or change what is pending: budget is recomputed after */
    STRING = 1 << 11, /* REP applies */
    X87 = 1 << 12, /* class checks made at decode: #NM/#UD by CR0.EM, CR0.TS */
    X87_WAIT = 1 << 13, /* also reports a pending unmasked x87 error first (#MF) */
    MMX = 1 << 14, /* CR0.EM #UD, CR0.TS #NM, pending x87 error #MF; sets the tag word */
    SSE = 1 << 15, /* CR0.EM or !CR4.OSFXSR #UD, CR0.TS #NM */
    AVX = 1 << 16, /* !CR4.OSXSAVE or XCR0[2:1] != 3 #UD, real or v86 #UD, CR0.TS #NM */
    ALIGN16 = 1 << 17, /* memory operand must be aligned to its size (16 or 32): else #GP(0) */
    MEM_DST_NOPROBE = 1 << 18, /* exec stores the memory operand itself */
    NO66 = 1 << 19, /* 66 does not change the operand size (it stays 32, or 64 with W) */
    SERIALISING = 1 << 20,
    CMOV_LOAD = 1 << 21, /* writes its register destination even if unchanged (upper half clears) */
    ZERO_UPPER =
        1 << 22, /* (set by the decoder for VEX.128 rows) bits 255:128 of the result clear */
    WRITE_ALWAYS_16M = 1 << 23, /* SLDT/SMSW/STR/MOV from Sreg: memory operand is always 16 bits */
    FAR_POINTER = 1 << 24, /* AMD has none of 64 bits: REX.W gives 32 and cancels 66 */
};

/* Instructions that a hypervisor may want to hear of. cpu/vmx/intercept.c and cpu/svm/intercept.c
 * say what VMX and SVM make of each. The VMX and SVM instructions exit by themselves. */
enum intercept {
    INTERCEPT_NONE,
    INTERCEPT_CPUID,
    INTERCEPT_HLT,
    INTERCEPT_INVD,
    INTERCEPT_WBINVD,
    INTERCEPT_INVLPG,
    INTERCEPT_INVPCID,
    INTERCEPT_RDPMC,
    INTERCEPT_RDTSC,
    INTERCEPT_RDTSCP,
    INTERCEPT_RDPID,
    INTERCEPT_MOV_FROM_CR,
    INTERCEPT_MOV_TO_CR,
    INTERCEPT_CLTS,
    INTERCEPT_LMSW,
    INTERCEPT_MOV_DR,
    INTERCEPT_IO,
    INTERCEPT_RDMSR,
    INTERCEPT_WRMSR,
    INTERCEPT_MWAIT,
    INTERCEPT_MONITOR,
    INTERCEPT_PAUSE,
    INTERCEPT_GDTR_IDTR,
    INTERCEPT_LDTR_TR,
    INTERCEPT_XSETBV,
    INTERCEPT_RDRAND,
    INTERCEPT_RDSEED,
    INTERCEPT_XSAVES,
    INTERCEPT_XRSTORS,
    INTERCEPT_SMSW,
    INTERCEPT_RDPRU,
    INTERCEPT_PUSHF,
    INTERCEPT_POPF,
    INTERCEPT_IRET,
    INTERCEPT_INT,
    INTERCEPT_RSM,
    INTERCEPT_COUNT,
};

struct insn_def {
    const char *name; /* mnemonic, Intel syntax, lower case */
    const char *encoding; /* see above */
    const char *operands;
    insn_exec exec;
    u32 attr; /* enum insn_attr */
    u16 flags_read, flags_written, flags_undefined; /* RFLAGS bits */
    enum cpu_feature feature; /* #UD unless the CPU model has it; 0: always there */
    insn_stamp stamp; /* NULL: generic only */
    enum intercept intercept;
};

enum insn_prefix {
    PREFIX_LOCK = 1 << 0,
    PREFIX_REPNE = 1 << 1,
    PREFIX_REP = 1 << 2,
    PREFIX_66 = 1 << 3,
    PREFIX_REX = 1 << 4, /* any REX or VEX */
    PREFIX_W = 1 << 5, /* REX.W or VEX.W, in 64-bit mode */
    PREFIX_MEM = 1 << 6, /* ModRM names memory (mod != 3), or moffs */
    PREFIX_SEG = 1 << 7, /* a segment override is in force */
};

/* 8-bit registers AH CH DH BH: number 0..3 with this bit. */
enum { REG_HIGH_BYTE = 0x40 };

/*
 * One decoded instruction. Keeps the raw encoding fields, so that a translator can encode it again.
 * RIP-independent: positions are relative to the block's entry.
 */
struct insn {
    insn_run run;
    const struct insn_def *def;
    u64 imm; /* sign-extended where the manual does so */
    i64 disp; /* RIP-relative: includes pos + len, and base is REG_RIP (the block's entry RIP) */
    u16 pos; /* byte offset of the instruction from the block's entry */
    u16 imm2; /* second immediate; X87 rows: the last opcode as FOP gives it */
    u8 len; /* bytes, 1..15 */
    u8 width; /* operand size in bytes: 1 for byte forms, else 2, 4, 8; vectors 16 or 32 */
    u8 reg; /* ModRM.reg with REX.R; high-byte registers: REG_HIGH_BYTE | 0..3 */
    u8 rm; /* register by ModRM.rm with REX.B, or by the opcode's low bits; ST(i); modrm low bits */
    u8 base, index, scale; /* memory operand; REG_NONE where absent; scale is a shift 0..3 */
    u8 seg; /* enum seg of the memory operand, override applied */
    u8 addr; /* address size in bytes: 2, 4, 8 */
    u8 prefix; /* enum insn_prefix */
    u8 vvvv; /* VEX.vvvv as a register number */
    u8 vex_l; /* 1: 256 bits */
};

_Static_assert(sizeof(struct insn) == 48, "records stay small");

/* RFLAGS bits. */
enum {
    FLAG_CF = 1 << 0,
    FLAG_1 = 1 << 1,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9,
    FLAG_DF = 1 << 10,
    FLAG_OF = 1 << 11,
    FLAG_IOPL = 3 << 12,
    FLAG_NT = 1 << 14,
    FLAG_RF = 1 << 16,
    FLAG_VM = 1 << 17,
    FLAG_AC = 1 << 18,
    FLAG_VIF = 1 << 19,
    FLAG_VIP = 1 << 20,
    FLAG_ID = 1 << 21,
    FLAGS_ARITH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
    FLAGS_KNOWN = FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF |
                  FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID,
};

#endif
