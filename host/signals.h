/* SPDX-License-Identifier: MIT */
/* SIGINT, SIGTERM and SIGHUP as a wish to stop, and waiting for something to happen. */
#ifndef HOST_SIGNALS_H
#define HOST_SIGNALS_H

#include "base/types.h"

/* Catch the three signals; SIGPIPE becomes an error of write(). */
void host_signals_install(void);
/* The first of them that arrived, 0: none. */
int host_signal_caught(void);
/* Wait until one of the file descriptors has input, a signal comes, or timeout_ns is over
 * (CLOCK_NEVER-like all ones: no limit). count <= 8. Returns whether there may be input. */
bool host_wait(const int *fds, u32 count, u64 timeout_ns);
/* Seconds since 1970, UTC or the host's local time as if it were UTC. */
i64 host_date(bool local);

#endif
