/* SPDX-License-Identifier: MIT */
/*
 * The one gate through which the host's values enter the machine: bytes for serial ports, keys, the
 * date, and the wish to stop. Each value has its position in virtual time. A recording is what
 * passes here; a replay puts a log in the place of the source. Nothing else in the machine asks the
 * host.
 */
#ifndef REPLAY_INPUT_H
#define REPLAY_INPUT_H

#include "base/types.h"

enum input_kind {
    INPUT_BYTES, /* for serial port `channel` */
    INPUT_KEY, /* bytes: scan code (2, little-endian), pressed */
    INPUT_DATE, /* bytes: seconds since 1970, 8, little-endian; only before the start */
    INPUT_STOP, /* channel: enum input_stop or the number of a signal */
};

enum { INPUT_CHANNELS = 4, INPUT_BYTES_MAX = 16 };

/* Why the run is to end: below this a signal's number. */
enum { STOP_QUIT = 0x100, STOP_OUTPUT_FAILED };

/* Plain bytes, as it will stand in a log. */
struct input_event {
    u64 now; /* virtual ns */
    u64 count; /* instructions retired by all CPUs */
    u32 kind; /* enum input_kind */
    u32 channel;
    u32 size;
    u32 reserved;
    u8 bytes[INPUT_BYTES_MAX];
};

/* Where values come from. None of these waits. */
struct input_source {
    /* At most `room` bytes for a serial port; returns how many. */
    u32 (*bytes)(void *ctx, u32 channel, u8 *to, u32 room);
    /* Key event: fills scan code and pressed. */
    bool (*key)(void *ctx, u16 *code, bool *pressed);
    i64 (*date)(void *ctx);
    u32 (*stop)(void *ctx); /* 0: go on */
    void *ctx;
};

/* Told of each event that enters. */
typedef void (*input_observer)(void *ctx, const struct input_event *event);

struct input_gate {
    struct input_source source; /* members may be NULL: nothing comes from there */
    input_observer observe; /* may be NULL */
    void *observe_ctx;
    u64 events; /* so far */
};

/* Position of the machine when it asks. */
struct input_position {
    u64 now, count;
};

/* Bytes for serial port `channel`, at most min(room, INPUT_BYTES_MAX). Returns how many. */
u32 input_bytes(struct input_gate *gate, struct input_position at, u32 channel, u32 room, u8 *to);
bool input_key(struct input_gate *gate, struct input_position at, u16 *code, bool *pressed);
/* Host date in seconds since 1970; `otherwise` if there is no source for it. */
i64 input_date(struct input_gate *gate, i64 otherwise);
/* 0, or why to stop. */
u32 input_stop(struct input_gate *gate, struct input_position at);

#endif
