/* SPDX-License-Identifier: MIT */
/*
 * The decode tables: every row of cpu/isa, its strings turned into numbers once at start.
 *
 * The tables are a pure function of the const rows, so there is one set per process, made at first
 * use and never changed. insn.def of a decoded instruction points into it (row.def), which is how
 * the generic path finds the compiled operands without a look-up.
 */
#ifndef CPU_ENCODING_H
#define CPU_ENCODING_H

#include "base/error.h"
#include "cpu/insn.h"

/* Opcode maps: SDM Vol 2D A.1; the three VEX maps behind the four legacy ones. */
enum opcode_map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX, MAP_COUNT = MAP_VEX + 3 };

/*
 * What a row accepts, and what an instruction is: one bit of each group. A row matches when it
 * accepts all bits of the instruction.
 */
enum accept_bit {
    ACCEPT_NP = 1 << 0,
    ACCEPT_66 = 1 << 1,
    ACCEPT_F3 = 1 << 2,
    ACCEPT_F2 = 1 << 3,
    ACCEPT_W0 = 1 << 4,
    ACCEPT_W1 = 1 << 5,
    ACCEPT_L0 = 1 << 6,
    ACCEPT_L1 = 1 << 7,
    ACCEPT_LEGACY = 1 << 8,
    ACCEPT_64 = 1 << 9,
    ACCEPT_MEM = 1 << 10,
    ACCEPT_REG = 1 << 11,
    ACCEPT_B0 = 1 << 12,
    ACCEPT_B1 = 1 << 13, /* REX.B, to tell 90 (NOP) from 41 90 (XCHG) */
    ACCEPT_PREFIX = ACCEPT_NP | ACCEPT_66 | ACCEPT_F3 | ACCEPT_F2,
    ACCEPT_W = ACCEPT_W0 | ACCEPT_W1,
    ACCEPT_L = ACCEPT_L0 | ACCEPT_L1,
    ACCEPT_MODE = ACCEPT_LEGACY | ACCEPT_64,
    ACCEPT_MOD = ACCEPT_MEM | ACCEPT_REG,
    ACCEPT_B = ACCEPT_B0 | ACCEPT_B1,
    ACCEPT_ALL = (1 << 14) - 1,
};

/* Where an operand is. */
enum operand_kind {
    OPERAND_NONE, /* exec does all of it: X, Y, F */
    OPERAND_GPR_REG, /* G: in->reg */
    OPERAND_GPR_RM, /* E, M, R, and Z (which is never memory): in->rm or memory */
    OPERAND_GPR_VVVV, /* B */
    OPERAND_FIXED, /* AL, CL, AX, DX, rAX, rDX: register `number` */
    OPERAND_CONST, /* 1: value `number` */
    OPERAND_IMM, /* I, J, A */
    OPERAND_IMM2,
    OPERAND_MOFFS, /* O */
    OPERAND_SEG,
    OPERAND_CR,
    OPERAND_DR, /* S, C, D: read here, written by exec */
    OPERAND_VEC_REG,
    OPERAND_VEC_RM,
    OPERAND_VEC_VVVV,
    OPERAND_VEC_IMM, /* V, W and U, H, L */
    OPERAND_MMX_REG,
    OPERAND_MMX_RM, /* P, Q and N */
};

/* Operand sizes: bytes (1 to 32), or one of these. */
enum operand_size {
    SIZE_NONE = 0, /* address only */
    SIZE_V = 64, /* operand size */
    SIZE_Y, /* 4, or 8 with W in 64-bit mode */
    SIZE_Z, /* 2 or 4 */
    SIZE_X, /* 16 or 32 by VEX.L */
    SIZE_P, /* far pointer: offset of the operand size, then the selector */
    SIZE_A, /* two values of the operand size */
    SIZE_S, /* 16-bit limit, then a base of 4 bytes, 8 in 64-bit mode */
};

struct operand {
    u8 kind; /* enum operand_kind */
    u8 size; /* enum operand_size */
    bool read, write;
    u8 number; /* OPERAND_FIXED, OPERAND_CONST */
    char letter; /* of the operand string, or 0 for fixed operands */
};

/* Immediates in instruction order. */
enum imm_kind {
    IMM_NONE,
    IMM_B,
    IMM_S,
    IMM_W,
    IMM_Z,
    IMM_V, /* as the operand letters */
    IMM_JB,
    IMM_JZ,
    IMM_FAR,
};

enum row_flag {
    ROW_MODRM = 1 << 0,
    ROW_OPREG = 1 << 1, /* the opcode's low bits are a register */
    ROW_VEX = 1 << 2,
    ROW_NO_OSIZE = 1 << 3, /* 66 is part of the opcode or forbidden: no operand-size prefix */
    ROW_VVVV = 1 << 4, /* has a VEX.vvvv operand; else vvvv must be 1111b */
    ROW_LIG = 1 << 5, /* VEX.L is ignored */
    ROW_VSIB = 1 << 6, /* SIB names a vector index */
    ROW_ANY_MOD = 1 << 7, /* MOV CR/DR: ModRM.mod is ignored, always registers */
    ROW_STI = 1 << 8, /* "c0+i" */
    ROW_W_SIZE = 1 << 9, /* VEX.W is the size of a general register: W0 outside 64-bit mode */
};

struct row {
    struct insn_def def; /* the row as written; attr has ZERO_UPPER added for VEX rows */
    u16 accept; /* enum accept_bit */
    u16 flags; /* enum row_flag */
    u8 map; /* enum opcode_map */
    u8 opcode; /* the first of 8 with ROW_OPREG */
    u8 modrm_mask, modrm_value;
    u8 width; /* what gives insn.width: an operand_size, SIZE_V if nothing else does */
    u8 imm[2]; /* enum imm_kind */
    u8 count; /* operands */
    struct operand operand[OPERANDS_MAX];
};

struct isa;

/* The tables. Rows that do not parse or that overlap are logged and left out: isa_check() finds
 * them. */
const struct isa *isa_get(void);
/* Does every row parse, and do no two overlap? The error names the rows. */
MUST_CHECK bool isa_check(struct error *error);

u32 isa_row_count(const struct isa *isa);
const struct row *isa_row(const struct isa *isa, u32 index);

/*
 * The rows that begin with this opcode, narrowest first, and how many. *modrm: whether a ModRM byte
 * follows the opcode.
 */
const u16 *isa_candidates(const struct isa *isa, enum opcode_map map, u8 opcode, u32 *count,
                          bool *modrm);

/* Turn one row's strings into numbers. False: the error says what is wrong with them. */
MUST_CHECK bool row_parse(const struct insn_def *def, struct row *row, struct error *error);

static inline const struct row *row_of(const struct insn_def *def)
{
    return container_of(def, const struct row, def);
}

#endif
