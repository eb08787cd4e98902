/* SPDX-License-Identifier: MIT */
/* Signals, waiting and the host's date: what the machine may only learn through the gate. */
#include "host/signals.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* Written by the handler. The only variable of the process that is not part of an object: a signal
 * has no context. */
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    if (caught == 0)
        caught = number;
}

void host_signals_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    (void)sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    for (u32 i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaction(numbers[i], &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

int host_signal_caught(void)
{
    return (int)caught;
}

/* After poll(): is there input? Those that are closed, and would end each wait at once, leave the
 * list. */
static bool drop_closed(struct pollfd *list, u32 count)
{
    bool input = false;

    for (u32 i = 0; i < count; i++) {
        if (list[i].revents & POLLIN)
            input = true;
        else if (list[i].revents != 0)
            list[i].fd = -1;
    }
    return input;
}

bool host_wait(const int *fds, u32 count, u64 timeout_ns)
{
    /* Short, so that a signal that comes just before poll() is seen soon after it. */
    const u64 step_ms = 100;
    struct pollfd list[8];
    u64 ms = timeout_ns / 1000000;

    if (count > ARRAY_SIZE(list))
        count = ARRAY_SIZE(list);
    for (u32 i = 0; i < count; i++)
        list[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    while (ms > 0 && caught == 0) {
        const u64 step = ms < step_ms ? ms : step_ms;

        if (poll(list, count, (int)step) > 0 && drop_closed(list, count))
            return true;
        ms -= step;
    }
    return false;
}

i64 host_date(bool local)
{
    const time_t now = time(NULL);
    struct tm fields;

    if (!local || localtime_r(&now, &fields) == NULL)
        return (i64)now;
    return (i64)timegm(&fields);
}
