/* SPDX-License-Identifier: MIT */
/* What the two vendors' parts `bluepill` share: L1 makes itself its own guest. */
#ifndef MINI_PILL_H
#define MINI_PILL_H

#include "guest.h"

enum { PILL_LEAVE = 0x1eaf }; /* in rAX of a call to the hypervisor: it goes */

/* Exits: of CPUID, and others. */
extern volatile u32 pill_cpuids, pill_others;
/* Where L1 goes on when the hypervisor has gone. */
extern word pill_rip, pill_rsp, pill_rflags;

/* L1's state as it is now, and a second stage in which all is where it was. */
void pill_new(struct l2 *l2);
/* CPUID with a leaf more. */
void pill_cpuid(word *reg);
/* What L1 finds as a guest. untouched: what of its registers must be as before. */
void pill_check(bool (*untouched)(void));

#endif
