/* SPDX-License-Identifier: MIT */
/* The code cache's inside, for run.c: find, reserve room for, and publish a block. */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/engine.h"

/* The block with this key, moved to the front of its slot, or NULL. */
struct block *block_find(struct code_cache *code, const u8 *host, u32 mode);
/* Room for a block of BLOCK_MAX records at the arena's end; flushes everything if it is full. */
struct block *block_reserve(struct code_cache *code);
/* Make the reserved block (host, mode, count, length, insns set) findable and mark its bytes as
 * code. */
void block_publish(struct code_cache *code, struct block *block);

#endif
