/* SPDX-License-Identifier: MIT */
/* The parts of the mini hypervisors, in the order in which they run. */
#ifndef MINI_PARTS_H
#define MINI_PARTS_H

void part_translate(void);

#endif
