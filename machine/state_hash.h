/* SPDX-License-Identifier: MIT */
/* XXH3-128 over the whole architectural state: CPUs, devices, time and RAM. */
#ifndef MACHINE_STATE_HASH_H
#define MACHINE_STATE_HASH_H

#include "machine/board.h"

enum { STATE_HASH_TEXT = 33 };

/* text: 32 hex digits and a zero. extra: a further state block (the machine's own). RAM that holds
 * zeros counts as absent, so its size does not show as time. */
void state_hash(struct board *board, const void *extra, u32 extra_size, char text[STATE_HASH_TEXT]);

#endif
