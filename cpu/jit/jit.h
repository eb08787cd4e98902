/* SPDX-License-Identifier: MIT */
/*
 * The translator: frequent blocks as x86-64 machine code (docs/jit.md). For cpu/ only; on other
 * hosts, and where the host gives no executable memory, there is none and everything is
 * interpreted.
 *
 * Machine code executes a block's records from the first on and goes from block to block. It has no
 * slow paths of its own: where a record needs one (a soft-TLB miss, an instruction that it does not
 * know, a branch that is not linked) it stops in front of that record and the interpreter goes on
 * there. So what a guest sees is the same, and nothing here knows of faults, devices or time.
 */
#ifndef CPU_JIT_JIT_H
#define CPU_JIT_JIT_H

#include "cpu/engine.h"

struct jit;

/* Is there a translator for this host? */
bool jit_possible(void);
/* A translator that writes code to room[0..size-1], which is executable. heat: 1..255 entries
 * before a block is translated. */
struct jit *jit_create(struct code_cache *code, u8 *room, u64 size, u8 heat);
void jit_destroy(struct jit *jit);
/* All blocks are gone. */
void jit_reset(struct jit *jit);
/* A block has just been decoded: from now on its entries are counted. */
void jit_watch(struct jit *jit, struct block *block);
/* Its bytes have changed: its code must not be entered any more. */
void jit_forget(struct jit *jit, struct block *block);
/* Does machine code exist for this kind of instruction? Those without are the last of a block. */
bool jit_knows(const struct insn *in, u32 mode);

#endif
