/* SPDX-License-Identifier: MIT */
/* The bench guest as a guest of itself, under VMX with EPT or SVM with nested paging. */
#ifndef TESTS_BENCH_L2_H
#define TESTS_BENCH_L2_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long u64;

/*
 * Go on as L2, with the registers and tables of L1 and second-stage tables that map the lowest 512
 * MiB to themselves in pages of 4 KiB. Returns in L2, or returns what the CPU lacks.
 */
const char *become_guest(void);
/* An exit to L1, which goes on behind it. */
void l2_call(void);
/* L1 takes the page from the second stage; the next access exits, and L1 gives it back. */
void l2_unmap(u64 address);

#endif
