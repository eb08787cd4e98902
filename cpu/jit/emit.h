/* SPDX-License-Identifier: MIT */
/*
 * Writing x86-64 machine code: SDM Vol 2A chapter 2. Only what the translator needs, and always the
 * long forms (a REX prefix, 32-bit displacements of jumps), so that lengths are known beforehand.
 */
#ifndef CPU_JIT_EMIT_H
#define CPU_JIT_EMIT_H

#include "base/types.h"
#include "cpu/encoding.h"

#include <string.h>

/* Host registers by their numbers in ModRM. */
enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0xff,
};

struct emitter {
    u8 *at, *end; /* what would pass the end is not written, and `full` is set */
    bool full;
};

/* An operand by ModRM: a register, or memory at base + (index << scale) + disp, or at a place
 * relative to RIP. */
struct host_rm {
    enum { RM_REG, RM_MEM, RM_PLACE } kind;
    u8 base, index, scale; /* RM_REG: base is the register */
    i32 disp;
    const void *place;
};

static inline struct host_rm rm_reg(u8 reg)
{
    return (struct host_rm){.kind = RM_REG, .base = reg, .index = H_NONE};
}

static inline struct host_rm rm_mem(u8 base, i32 disp)
{
    return (struct host_rm){.kind = RM_MEM, .base = base, .index = H_NONE, .disp = disp};
}

static inline struct host_rm rm_sib(u8 base, u8 index, u8 scale, i32 disp)
{
    return (struct host_rm){RM_MEM, base, index, scale, disp, NULL};
}

static inline struct host_rm rm_place(const void *place)
{
    return (struct host_rm){.kind = RM_PLACE, .base = H_NONE, .index = H_NONE, .place = place};
}

static inline void emit_bytes(struct emitter *e, const void *bytes, u64 size)
{
    if (e->full || (u64)(e->end - e->at) < size) {
        e->full = true;
        return;
    }
    memcpy(e->at, bytes, size);
    e->at += size;
}

static inline void emit_byte(struct emitter *e, u8 byte)
{
    emit_bytes(e, &byte, 1);
}

/* The low `size` bytes of value. */
static inline void emit_imm(struct emitter *e, u64 value, u32 size)
{
    emit_bytes(e, &value, size);
}

/* ModRM, SIB and displacement. tail: bytes of the instruction behind them (RM_PLACE needs it). */
static inline void emit_modrm(struct emitter *e, u8 reg, const struct host_rm *rm, u32 tail)
{
    const u8 field = (u8)((reg & 7) << 3);

    if (rm->kind == RM_REG) {
        emit_byte(e, (u8)(0xc0 | field | (rm->base & 7)));
    } else if (rm->kind == RM_PLACE) {
        emit_byte(e, (u8)(0x05 | field));
        emit_imm(e, (u64)((const u8 *)rm->place - (e->at + 4 + tail)), 4);
    } else {
        const bool byte = rm->disp == (i8)rm->disp;
        const bool sib = rm->index != H_NONE || (rm->base & 7) == H_RSP || rm->base == H_NONE;

        if (rm->base == H_NONE) { /* no base: disp32 and a SIB */
            emit_byte(e, (u8)(0x04 | field));
            emit_byte(e, (u8)(rm->scale << 6 | (rm->index == H_NONE ? 4 : rm->index & 7) << 3 | 5));
            emit_imm(e, (u64)(i64)rm->disp, 4);
            return;
        }
        emit_byte(e, (u8)((byte ? 0x40 : 0x80) | field | (sib ? 4 : rm->base & 7)));
        if (sib)
            emit_byte(e, (u8)(rm->scale << 6 | (rm->index == H_NONE ? 4 : rm->index & 7) << 3 |
                              (rm->base & 7)));
        emit_imm(e, (u64)(i64)rm->disp, byte ? 1 : 4);
    }
}

/*
 * One instruction up to its immediate: operand-size prefix by width (2, or 8 by REX.W; byte forms
 * are other opcodes), REX, opcode, operands. tail: bytes of the immediate that the caller adds.
 */
static inline void emit_op(struct emitter *e, u32 width, enum opcode_map map, u8 opcode, u8 reg,
                           struct host_rm rm, u32 tail)
{
    const u8 w = width == 8 ? 8 : 0;
    const u8 r = (reg & 8) != 0 ? 4 : 0;
    const u8 x = rm.index != H_NONE && (rm.index & 8) != 0 ? 2 : 0;
    const u8 b = rm.base != H_NONE && (rm.base & 8) != 0 ? 1 : 0;

    if (width == 2)
        emit_byte(e, 0x66);
    emit_byte(e, (u8)(0x40 | w | r | x | b));
    if (map != MAP_ONE)
        emit_byte(e, 0x0f);
    emit_byte(e, opcode);
    emit_modrm(e, reg, &rm, tail);
}

/* ---- the instructions of the translator's own ---- */

static inline void emit_load(struct emitter *e, u32 width, u8 reg, struct host_rm rm) /* 4 or 8 */
{
    emit_op(e, width, MAP_ONE, 0x8b, reg, rm, 0);
}

static inline void emit_store(struct emitter *e, u32 width, u8 reg, struct host_rm rm) /* 2, 4, 8 */
{
    emit_op(e, width, MAP_ONE, 0x89, reg, rm, 0);
}

static inline void emit_lea(struct emitter *e, u32 width, u8 reg, struct host_rm rm)
{
    emit_op(e, width, MAP_ONE, 0x8d, reg, rm, 0);
}

static inline void emit_imm64(struct emitter *e, u8 reg, u64 value)
{
    emit_byte(e, (u8)(0x48 | (reg >= 8 ? 1 : 0)));
    emit_byte(e, (u8)(0xb8 | (reg & 7)));
    emit_imm(e, value, 8);
}

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

static inline void emit_alu(struct emitter *e, u32 width, enum alu op, u8 reg, struct host_rm rm)
{
    emit_op(e, width, MAP_ONE, (u8)(op << 3 | 3), reg, rm, 0);
}

static inline void emit_alu_imm(struct emitter *e, u32 width, enum alu op, struct host_rm rm,
                                i32 imm)
{
    const bool byte = imm == (i8)imm;

    emit_op(e, width, MAP_ONE, byte ? 0x83 : 0x81, (u8)op, rm, byte ? 1 : 4);
    emit_imm(e, (u64)(i64)imm, byte ? 1 : 4);
}

static inline void emit_shift(struct emitter *e, u32 width, u8 digit, u8 reg, u8 count)
{
    emit_op(e, width, MAP_ONE, 0xc1, digit, rm_reg(reg), 1);
    emit_byte(e, count);
}

static inline void emit_jump_rm(struct emitter *e, struct host_rm rm)
{
    emit_op(e, 4, MAP_ONE, 0xff, 4, rm, 0);
}

/* Condition codes as the low four bits of Jcc: SDM Vol 1 appendix B. */
enum host_cc { CC_B = 2, CC_AE = 3, CC_E = 4, CC_NE = 5, CC_A = 7, CC_S = 8 };

/* A jump over a distance that is set later by emit_land(), or at once by emit_jump_to(). */
static inline u8 *emit_jcc(struct emitter *e, u8 cc)
{
    emit_byte(e, 0x0f);
    emit_byte(e, (u8)(0x80 | cc));
    emit_imm(e, 0, 4);
    return e->full ? NULL : e->at - 4;
}

static inline u8 *emit_jump(struct emitter *e)
{
    emit_byte(e, 0xe9);
    emit_imm(e, 0, 4);
    return e->full ? NULL : e->at - 4;
}

static inline void emit_land_at(u8 *distance, const u8 *target)
{
    if (distance != NULL) {
        const i32 value = (i32)(target - (distance + 4));

        memcpy(distance, &value, 4);
    }
}

static inline void emit_land(struct emitter *e, u8 *distance)
{
    if (!e->full)
        emit_land_at(distance, e->at);
}

#endif
