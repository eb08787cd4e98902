/* SPDX-License-Identifier: MIT */
/*
 * L2 is this program once more, with an L3 of its own. It sees machine memory where L1 lets it: its
 * address x is at OFFSET + x.
 */
#ifndef MINI_NEST_H
#define MINI_NEST_H

#include "guest.h"

enum { OFFSET = 0x04000000, L2_MEMORY = 0x04000000 };

/* That L2, ready to run. false: there is not enough memory, which is said. */
bool nest_new(struct l2 *guest);
/* Where L1 sees an address of L2; NULL: nowhere. */
void *nest_at(void *context, u64 address);
/* After the call with which L2 ends. */
void nest_check(const struct l2 *guest);

#endif
