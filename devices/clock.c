/* SPDX-License-Identifier: MIT */
/* Virtual time: a binary heap of timers, ordered by deadline, then by order of initialisation. */
#include "devices/clock.h"

#include "base/check.h"

#define NOT_ARMED (~(u32)0)

__extension__ typedef unsigned __int128 u128;

static bool before(const struct timer *a, const struct timer *b)
{
    return a->deadline < b->deadline || (a->deadline == b->deadline && a->order < b->order);
}

static void put(struct clock *clock, u32 index, struct timer *timer)
{
    clock->heap[index] = timer;
    timer->heap_index = index;
}

static void sift_up(struct clock *clock, u32 index, struct timer *timer)
{
    while (index > 0 && before(timer, clock->heap[(index - 1) / 2])) {
        put(clock, index, clock->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(clock, index, timer);
}

static void sift_down(struct clock *clock, u32 index, struct timer *timer)
{
    for (;;) {
        u32 child = 2 * index + 1;

        if (child >= clock->timers)
            break;
        if (child + 1 < clock->timers && before(clock->heap[child + 1], clock->heap[child]))
            child++;
        if (!before(clock->heap[child], timer))
            break;
        put(clock, index, clock->heap[child]);
        index = child;
    }
    put(clock, index, timer);
}

static void note_next(struct clock *clock)
{
    clock->next_deadline = clock->timers != 0 ? clock->heap[0]->deadline : CLOCK_NEVER;
}

void clock_init(struct clock *clock)
{
    *clock = (struct clock){.next_deadline = CLOCK_NEVER};
}

void timer_init(struct clock *clock, struct timer *timer, timer_fn fire, void *ctx)
{
    CHECK(clock->order < ARRAY_SIZE(clock->heap));
    *timer = (struct timer){.fire = fire,
                            .ctx = ctx,
                            .deadline = CLOCK_NEVER,
                            .order = clock->order++,
                            .heap_index = NOT_ARMED};
}

void timer_cancel(struct clock *clock, struct timer *timer)
{
    const u32 index = timer->heap_index;

    timer->deadline = CLOCK_NEVER;
    if (index == NOT_ARMED)
        return;
    timer->heap_index = NOT_ARMED;
    clock->timers--;
    if (index < clock->timers) {
        struct timer *last = clock->heap[clock->timers];

        if (index > 0 && before(last, clock->heap[(index - 1) / 2]))
            sift_up(clock, index, last);
        else
            sift_down(clock, index, last);
    }
    note_next(clock);
}

void timer_arm(struct clock *clock, struct timer *timer, u64 deadline)
{
    timer_cancel(clock, timer);
    if (deadline == CLOCK_NEVER)
        return;
    timer->deadline = deadline;
    sift_up(clock, clock->timers++, timer);
    note_next(clock);
}

void clock_run(struct clock *clock, u64 now)
{
    clock->now = now;
    while (clock->next_deadline <= now && clock->timers != 0) {
        struct timer *timer = clock->heap[0];

        timer_cancel(clock, timer);
        timer->fire(timer->ctx);
    }
}

u64 clock_ticks(u64 now_ns, u64 start_ns, u64 hz)
{
    return (u64)((u128)(now_ns - start_ns) * hz / NS_PER_SECOND);
}

u64 clock_tick_time(u64 start_ns, u64 ticks, u64 hz)
{
    const u128 ns = ((u128)ticks * NS_PER_SECOND + hz - 1) / hz;

    /* Times past the end of the clock never come. */
    return ns >= CLOCK_NEVER - start_ns ? CLOCK_NEVER : start_ns + (u64)ns;
}
