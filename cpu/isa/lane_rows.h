/* SPDX-License-Identifier: MIT */
/*
 * The integer vector instructions that exist for MMX, SSE and AVX registers alike: one line each,
 * from which mmx.c, sse_int.c and avx_int.c make their rows. The MMX form has no mandatory prefix,
 * the SSE form has 66, the VEX form is VEX.66 with W ignored: SDM Vol 2, by mnemonic, and Vol 2D
 * table A-3.
 */
#ifndef CPU_ISA_LANE_ROWS_H
#define CPU_ISA_LANE_ROWS_H

/* clang-format off */

/* Map 0F; X(op, opcode, feature of the MMX form). The SSE forms are SSE2. */
#define ROWS_0F(X) \
    X(pcmpgtb, "64", F_MMX)  X(pcmpgtw, "65", F_MMX)  X(pcmpgtd, "66", F_MMX) \
    X(pcmpeqb, "74", F_MMX)  X(pcmpeqw, "75", F_MMX)  X(pcmpeqd, "76", F_MMX) \
    X(paddq,   "d4", F_SSE2) X(pmullw,  "d5", F_MMX)  X(psubusb, "d8", F_MMX) \
    X(psubusw, "d9", F_MMX)  X(pminub,  "da", F_SSE)  X(pand,    "db", F_MMX) \
    X(paddusb, "dc", F_MMX)  X(paddusw, "dd", F_MMX)  X(pmaxub,  "de", F_SSE) \
    X(pandn,   "df", F_MMX)  X(pavgb,   "e0", F_SSE)  X(pavgw,   "e3", F_SSE) \
    X(pmulhuw, "e4", F_SSE)  X(pmulhw,  "e5", F_MMX)  X(psubsb,  "e8", F_MMX) \
    X(psubsw,  "e9", F_MMX)  X(pminsw,  "ea", F_SSE)  X(por,     "eb", F_MMX) \
    X(paddsb,  "ec", F_MMX)  X(paddsw,  "ed", F_MMX)  X(pmaxsw,  "ee", F_SSE) \
    X(pxor,    "ef", F_MMX)  X(pmuludq, "f4", F_SSE2) X(pmaddwd, "f5", F_MMX) \
    X(psadbw,  "f6", F_SSE)  X(psubb,   "f8", F_MMX)  X(psubw,   "f9", F_MMX) \
    X(psubd,   "fa", F_MMX)  X(psubq,   "fb", F_SSE2) X(paddb,   "fc", F_MMX) \
    X(paddw,   "fd", F_MMX)  X(paddd,   "fe", F_MMX)

/* The same; MMX operands count as the high halves of 128 bits, and so does the result. */
#define ROWS_0F_HIGH(X) \
    X(punpckhbw, "68", F_MMX) X(punpckhwd, "69", F_MMX) X(punpckhdq, "6a", F_MMX)
#define ROWS_0F_LOW(X) \
    X(punpcklbw, "60", F_MMX) X(punpcklwd, "61", F_MMX) X(punpckldq, "62", F_MMX)
/* The same; the MMX operands side by side are one source of the 128-bit operation. */
#define ROWS_0F_PAIR(X) \
    X(packsswb, "63", F_MMX) X(packuswb, "67", F_MMX) X(packssdw, "6b", F_MMX)

/* Shifts by a register: the count is always in a 128-bit operand (64 for MMX). */
#define ROWS_0F_SHIFT(X) \
    X(psrlw, "d1", F_MMX) X(psrld, "d2", F_MMX) X(psrlq, "d3", F_MMX) \
    X(psraw, "e1", F_MMX) X(psrad, "e2", F_MMX) \
    X(psllw, "f1", F_MMX) X(pslld, "f2", F_MMX) X(psllq, "f3", F_MMX)

/* Shifts by an immediate: X(op, opcode and group digit). */
#define ROWS_0F_SHIFT_I(X) \
    X(psrlw, "71 /2") X(psraw, "71 /4") X(psllw, "71 /6") \
    X(psrld, "72 /2") X(psrad, "72 /4") X(pslld, "72 /6") \
    X(psrlq, "73 /2") X(psllq, "73 /6")

/* Map 0F, no MMX form; the third column is that of the SSE form. */
#define ROWS_0F_XMM(X) X(punpcklqdq, "6c", F_SSE2) X(punpckhqdq, "6d", F_SSE2)

/* Map 0F 38, SSSE3; X(op, opcode). */
#define ROWS_0F38(X) \
    X(pmaddubsw, "04") X(psignb, "08") X(psignw, "09") X(psignd, "0a") X(pmulhrsw, "0b")
#define ROWS_0F38_PAIR(X) \
    X(phaddw, "01") X(phaddd, "02") X(phaddsw, "03") \
    X(phsubw, "05") X(phsubd, "06") X(phsubsw, "07")
/* One source. */
#define ROWS_0F38_UNARY(X) X(pabsb, "1c") X(pabsw, "1d") X(pabsd, "1e")

/* Map 0F 38, no MMX form; X(op, opcode, feature of the SSE form). */
#define ROWS_0F38_XMM(X) \
    X(pshufb,   "00", F_SSSE3) X(pmuldq,  "28", F_SSE41) X(pcmpeqq, "29", F_SSE41) \
    X(packusdw, "2b", F_SSE41) X(pcmpgtq, "37", F_SSE42) X(pminsb,  "38", F_SSE41) \
    X(pminsd,   "39", F_SSE41) X(pminuw,  "3a", F_SSE41) X(pminud,  "3b", F_SSE41) \
    X(pmaxsb,   "3c", F_SSE41) X(pmaxsd,  "3d", F_SSE41) X(pmaxuw,  "3e", F_SSE41) \
    X(pmaxud,   "3f", F_SSE41) X(pmulld,  "40", F_SSE41)

/* Widening moves: X(op, opcode, source per 128 bits of result: operand size letter, bytes; letter per
 * 256 bits). */
#define ROWS_EXTEND(X) \
    X(pmovsxbw, "20", "q", 8, "dq") X(pmovsxbd, "21", "d", 4, "q") X(pmovsxbq, "22", "w", 2, "d") \
    X(pmovsxwd, "23", "q", 8, "dq") X(pmovsxwq, "24", "d", 4, "q") X(pmovsxdq, "25", "q", 8, "dq") \
    X(pmovzxbw, "30", "q", 8, "dq") X(pmovzxbd, "31", "d", 4, "q") X(pmovzxbq, "32", "w", 2, "d") \
    X(pmovzxwd, "33", "q", 8, "dq") X(pmovzxwq, "34", "d", 4, "q") X(pmovzxdq, "35", "q", 8, "dq")

/* clang-format on */

#endif
