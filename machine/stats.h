/* SPDX-License-Identifier: MIT */
/* The counters that --stats prints. */
#ifndef MACHINE_STATS_H
#define MACHINE_STATS_H

#include "machine/board.h"

/* One line per counter, or one JSON object whose members are "mmu" and, if there is a shadow
 * engine, "shadow". */
/* The shadow pages of each CPU's contexts, to standard output. Only with a shadow engine. */
void stats_dump_shadow(const struct board *board);
void stats_print(const struct board *board, u64 instructions, bool json);

#endif
