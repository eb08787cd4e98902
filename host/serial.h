/* SPDX-License-Identifier: MIT */
/*
 * What a serial port of the machine is connected to on the host: nothing, a file, a pseudo
 * terminal, or the standard streams, with QEMU's escape key if they are multiplexed (-nographic,
 * mon:stdio). A terminal on stdin is put into raw mode and restored when the process ends in any
 * way.
 */
#ifndef HOST_SERIAL_H
#define HOST_SERIAL_H

#include "base/error.h"
#include "host/file.h"

enum serial_kind {
    SERIAL_NONE, /* no such port */
    SERIAL_NULL,
    SERIAL_STDIO, /* Ctrl-C ends the run */
    SERIAL_MUX, /* stdio, all keys to the guest, the escape key (Ctrl-A) to us */
    SERIAL_FILE, /* output only */
    SERIAL_PTY,
};

enum { SERIAL_TYPED = 256 };

struct host_serial {
    enum serial_kind kind;
    int in; /* -1: no input (any more) */
    bool waits; /* a terminal or a pipe: input comes when it comes, so idle time is real time */
    bool escaped; /* the escape key was the last one */
    bool quit; /* escape, x */
    u8 escape; /* 0: none */
    /* Keys are looked at (for the escape key) before the guest has room for them; those that it
     * leaves for too long are dropped. */
    bool typing;
    u32 typed_count;
    u8 typed[SERIAL_TYPED];
    struct host_output out;
};

/* path: SERIAL_FILE. escape: 1..26 for Ctrl-A..Ctrl-Z. label: for the message about a pty. */
MUST_CHECK bool host_serial_open(struct host_serial *serial, enum serial_kind kind,
                                 const char *path, u8 escape, const char *label,
                                 struct error *error);
void host_serial_close(struct host_serial *serial);
/* Look for keys, at each poll, whether the guest has room or not. */
void host_serial_poll(struct host_serial *serial);
/* At most room bytes that are there now. */
u32 host_serial_read(struct host_serial *serial, u8 *to, u32 room);
/* Set the terminal on stdin back to how it was. Also done at exit. */
void host_terminal_restore(void);

#endif
