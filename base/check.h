/* SPDX-License-Identifier: MIT */
/*
 * Broken invariants. CHECK is on in all builds: a false condition prints where the run stands and
 * aborts. A CHECK that a guest can reach is a security bug. DEBUG_CHECK is for hot paths.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/types.h"

/* Called before abort to print the position of the run (set once by the machine; may be NULL). */
typedef void (*check_reporter)(void *ctx);
void check_set_reporter(check_reporter report, void *ctx);

NORETURN COLD void check_failed(const char *file, int line, const char *condition);

#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

#ifdef NDEBUG
#define DEBUG_CHECK(cond) ((void)sizeof(cond))
#else
#define DEBUG_CHECK(cond) CHECK(cond)
#endif

#endif
