/* SPDX-License-Identifier: MIT */
/*
 * Inside the translator.
 *
 * While machine code runs, host RBP is the address of state.reg[REG_RIP] (so that a register's
 * displacement is short), RAX and RCX are free, and the guest's registers are where host_of[] says:
 * in a host register or, four of them, in the state. The guest's arithmetic flags are in EFLAGS or
 * in v->jit.flags (LAHF's byte above SETO's), as the translator knows at each point; at the borders
 * of a block always in the latter, where 0 means that they are still in v->lazy.
 */
#ifndef CPU_JIT_INTERNAL_H
#define CPU_JIT_INTERNAL_H

#include "cpu/jit/emit.h"
#include "cpu/jit/jit.h"

#include <stddef.h>

struct jit {
    struct code_cache *code;
    u8 *room, *at, *end;
    u8 *first; /* where the code of blocks begins, behind the shared parts */
    u8 heat;
    /* The shared parts. */
    const struct insn *(*enter)(struct vcpu *v, const u8 *code);
    u8 *leave; /* RAX: the record to go on at; RCX: its block */
    u8 *leave_entering; /* RAX: the block to enter, which has no machine code */
};

/* The displacement of a member of struct vcpu from RBP. */
#define V_DISP(member)                                                                             \
    ((i32)offsetof(struct vcpu, member) - (i32)offsetof(struct vcpu, state.reg[REG_RIP]))
#define V_MEM(member) rm_mem(H_RBP, V_DISP(member))

static inline struct host_rm guest_mem(u8 reg) /* the register's place in the state */
{
    return rm_mem(H_RBP, ((i32)reg - REG_RIP) * 8);
}

/* Guest registers in host registers; H_NONE: in the state only. */
extern const u8 host_of[REG_COUNT];

/* Bytes from a block's entry by machine code to its entry by the interpreter, which has already
 * taken the instructions from the budget. */
enum { JIT_HEAD = 14 };

/* Before anything else of cpu/jit/translate.c. */
void jit_classify_rows(void);
/* Translate; false: not this block. */
bool jit_translate(struct jit *jit, struct block *block);

/* ---- one block in translation ---- */

enum { JIT_EXITS = 4 * BLOCK_MAX };

struct translation {
    struct emitter e;
    struct jit *jit;
    struct block *block;
    u32 mode;
    u32 count; /* records with machine code */
    bool in_eflags, in_image; /* where the guest's flags are now */
    bool own_flags; /* an instruction of this block has written them */
    struct {
        u8 *from;
        u32 record;
    } exits[JIT_EXITS];
    u32 exit_count;
    u8 *constants[8]; /* distances to the hash constants, set at the end */
    u32 constant_count;
    u8 save[BLOCK_MAX + 1]; /* must the flags that record i writes be kept? */
};

/* Leave in front of a record if the condition holds (`always`: CC_ALWAYS). EXIT_SHORT: in front of
 * the block, for the budget does not reach to its end. */
enum { CC_ALWAYS = 0x10, EXIT_SHORT = BLOCK_MAX + 1 };
void jit_exit(struct translation *t, u8 cc, u32 record);

/* cpu/jit/access.c */
bool jit_can_address(const struct insn *in, u32 mode);
/* RAX = linear address of the memory operand (its offset only, with LEA). */
void jit_address(struct translation *t, const struct insn *in, bool segmented);
/* RAX: linear address, becomes a host pointer for an access of size bytes; else leave. */
enum tag { TAG_READ = 0, TAG_WRITE = 8 };
void jit_pointer(struct translation *t, enum tag tag, u32 size, u32 record);
/* RAX = linear address of the stack slot at RSP + offset. */
void jit_stack_address(struct translation *t, i32 offset);
/* RAX: linear address of code, becomes the block there; else leave. */
void jit_find_block(struct translation *t, u32 record);
/* Go on behind this record, or at its target. */
void jit_go(struct translation *t, u32 record, bool taken);

/* The guest register in a host register: its own, or loaded into `temp`. */
u8 jit_reg(struct translation *t, u8 reg, u8 temp);
/* Write back what was changed in a temporary. */
void jit_reg_done(struct translation *t, u8 reg, u8 host);

/* Guest flags into EFLAGS. RAX is lost. */
void jit_need_flags(struct translation *t, u32 record);

#endif
