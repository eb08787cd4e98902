/* SPDX-License-Identifier: MIT */
/*
 * Explanations: why the processor refused what a hypervisor asked for, in words, for the person
 * who writes it (--explain, or -d explain). One is a headline and lines of detail under it. They
 * change nothing of the run.
 */
#ifndef CPU_EXPLAIN_H
#define CPU_EXPLAIN_H

#include "base/log.h"
#include "cpu/vcpu.h"

/* Does anybody want to know? */
static inline bool explain_wanted(void)
{
    return unlikely((log_mask & 1u << LOG_EXPLAIN) != 0);
}

/* The headline, with CPU, virtual time and the RIP given. Only if it is wanted, and where
 * vcpu_commit_time() may be called: during an instruction, or between two. */
PRINTF_LIKE(3, 4) COLD void explain_begin(struct vcpu *v, u64 rip, const char *format, ...);

/* A line of detail: a word of at most 9 letters, and the rest. */
#define EXPLAIN_LINE(word, format, ...) LOG(LOG_EXPLAIN, "    %-9s " format, word, __VA_ARGS__)

/* A value that breaks "these bits are 1, only these may be 1": the allowed values, what is wrong.
 */
COLD void explain_bits(u64 value, u64 must_be_1, u64 may_be_1);

#endif
