/* SPDX-License-Identifier: MIT */
/* Exit codes as a table: for the log and the documentation. */
#ifndef CPU_SVM_EXITS_H
#define CPU_SVM_EXITS_H

#include "base/types.h"

struct svm_exit_row {
    u32 code; /* up to SVM_EXIT_LAST_INTERCEPT: intercept word code / 32, bit code % 32 */
    u32 count; /* codes in the run, by register number or vector */
    const char *name; /* VMEXIT_ of APM Vol 2 appendix C */
    const char *info1, *info2; /* what EXITINFO1 and 2 hold; NULL: 0 */
    const char *ref;
};

extern const struct svm_exit_row svm_exits[];
extern const u32 svm_exits_count;

/* The row of an exit code, or NULL. */
const struct svm_exit_row *svm_exit_find(u32 code);

#endif
