/* SPDX-License-Identifier: MIT */
/* Log lines by category, to stderr or a file; all categories are off by default (-d turns them on).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/types.h"

enum log_category {
    LOG_UNIMPLEMENTED, /* something the architecture has and nestbox refuses */
    LOG_GUEST_ERROR, /* the guest did what no sane guest does: wild MMIO, bad device registers */
    LOG_INT, /* exceptions and interrupts */
    LOG_RESET, /* CPU resets, triple faults */
    LOG_MMU, /* walks, revocations */
    LOG_DEVICE, /* device register accesses */
    LOG_EXEC, /* every instruction */
    LOG_EXPLAIN, /* why what a hypervisor asked for was refused, in words: cpu/explain.h */
    LOG_CATEGORIES,
};

/* Turn categories on: a comma-separated list of names as in QEMU's -d ("int,cpu_reset,unimp,
 * guest_errors,mmu,device,in_asm,explain"). Returns false at an unknown name, which *bad then
 * points to. */
MUST_CHECK bool log_enable(const char *names, const char **bad);
/* Send log lines to this file instead of stderr. */
MUST_CHECK bool log_open(const char *path);

extern u32 log_mask; /* bit per category; read-only outside log.c */

PRINTF_LIKE(2, 3) void log_write(enum log_category category, const char *format, ...);

#define LOG(category, ...)                                                                         \
    do {                                                                                           \
        if (unlikely(log_mask & (1u << (category))))                                               \
            log_write(category, __VA_ARGS__);                                                      \
    } while (0)

/* One line per place that is not built; the caller then refuses as the architecture does. */
#define UNIMPLEMENTED(what)                                                                        \
    LOG(LOG_UNIMPLEMENTED, "not built: %s (%s:%d)", what, __FILE__, __LINE__)

#endif
