/* SPDX-License-Identifier: MIT */
/*
 * Virtual time and the queue of timers. Time is nanoseconds since power-on and moves only when the
 * machine moves it: one nanosecond per retired instruction of a CPU, a few for an exit from a
 * guest, or a jump to the next deadline when all CPUs are halted. No host clock is behind it.
 */
#ifndef DEVICES_CLOCK_H
#define DEVICES_CLOCK_H

#include "base/types.h"

#define CLOCK_NEVER (~(u64)0)
#define NS_PER_SECOND ((u64)1000000000)

struct clock;
typedef void (*timer_fn)(void *ctx);

/* Embedded in the device, outside its state block. The state block keeps the deadline (or what it
 * is computed from); after a restore the device arms the timer again. */
struct timer {
    timer_fn fire;
    void *ctx;
    u64 deadline; /* ns, CLOCK_NEVER: not armed */
    u32 order; /* timers with equal deadlines fire in order of timer_init */
    u32 heap_index;
};

struct clock {
    u64 now; /* ns; the machine brings it up to date before any device is entered */
    u64 next_deadline; /* of the earliest armed timer, CLOCK_NEVER if none */
    u32 timers; /* armed */
    u32 order;
    struct timer *heap[64];
};

void clock_init(struct clock *clock);
/* At most 64 timers per machine (checked). */
void timer_init(struct clock *clock, struct timer *timer, timer_fn fire, void *ctx);
/* Arm for an absolute time; one in the past fires at the next clock_run(). Re-arming moves it. */
void timer_arm(struct clock *clock, struct timer *timer, u64 deadline);
void timer_cancel(struct clock *clock, struct timer *timer);
/* Set now and fire every timer whose deadline is <= now, in order of deadline then `order`. While
 * one fires, clock->now is the real now (not the deadline): devices compute from their own
 * deadlines. */
void clock_run(struct clock *clock, u64 now);

/* ticks of `hz` since `start_ns` at time `now_ns`, exact (128-bit): floor((now-start)*hz/1e9). */
u64 clock_ticks(u64 now_ns, u64 start_ns, u64 hz);
/* The first time at which clock_ticks(t, start, hz) >= ticks. */
u64 clock_tick_time(u64 start_ns, u64 ticks, u64 hz);

#endif
