/* SPDX-License-Identifier: MIT */
/* Files of the host: whole files for loaders, and buffered output that never loses an error. */
#ifndef HOST_FILE_H
#define HOST_FILE_H

#include "base/error.h"
#include "base/types.h"

/* Read a whole regular file of at most 2 GiB; *bytes is to be freed. what: for the message, e.g.
 * "kernel". */
MUST_CHECK bool host_read_file(const char *what, const char *path, u8 **bytes, u64 *size,
                               struct error *error);

enum { HOST_OUTPUT_BUFFER = 4096 };

struct host_output {
    int fd; /* -1: bytes vanish */
    int failure; /* errno of the first write that failed; nothing is written after it */
    u32 used;
    const char *name;
    u8 buffer[HOST_OUTPUT_BUFFER];
};

/* Buffered; writes wait if a pipe is full. */
void host_output_put(struct host_output *out, u8 byte);
void host_output_flush(struct host_output *out);
/* Create or truncate a file. */
MUST_CHECK bool host_output_create(struct host_output *out, const char *path, struct error *error);
/* Write the process number and a newline to a new file. */
MUST_CHECK bool host_write_pid(const char *path, struct error *error);

#endif
