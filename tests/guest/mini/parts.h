/* SPDX-License-Identifier: MIT */
/* The parts of the mini hypervisors, in the order in which they run. */
#ifndef MINI_PARTS_H
#define MINI_PARTS_H

#include "mini.h"

void part_translate(void);
void part_faults(void);
void part_pae(void);
void part_second(void);
void part_modes(void);
void part_turns(void);
void part_roles(void);
void part_boot(void);
void part_shadowed(void);
void part_ept(void);
void part_npt(void);
void part_checks(void);
void part_svm_checks(void);
void part_exits(void);
void part_svm_exits(void);
void part_inject(void);
void part_svm_inject(void);
void part_timers(void);
void part_svm_features(void);
void part_apic(void);
void part_bluepill(void);
void part_svm_bluepill(void);
void part_smp(void);
void part_nest(void);
void part_svm_nest(void);
/* These end in a reset; abort_seen() checks what it left, and is true the second time. */
void part_abort_pdpte(void);
void part_abort_msr(void);
bool abort_seen(void);

#endif
