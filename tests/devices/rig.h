/* SPDX-License-Identifier: MIT */
/* What device tests plug their device into: a clock, a bus, recorded lines, requests and bytes. */
#ifndef TESTS_DEVICES_RIG_H
#define TESTS_DEVICES_RIG_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { RIG_LINES = 32 };

struct rig {
    struct clock clock;
    struct bus *bus;
    struct error error;
    bool level[RIG_LINES];
    u32 rises[RIG_LINES];
    u32 requests[8]; /* by enum machine_request */
    u32 request_value;
    char out[256]; /* bytes put */
    u32 out_count;
};

static inline void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    clock_init(&rig->clock);
    rig->bus = bus_create();
}

static inline void rig_set(void *ctx, u32 pin, bool level)
{
    struct rig *rig = ctx;

    rig->rises[pin] += level && !rig->level[pin];
    rig->level[pin] = level;
}

static inline struct irq_line rig_line(struct rig *rig, u32 pin)
{
    return (struct irq_line){rig_set, rig, pin};
}

static inline void rig_request(void *ctx, enum machine_request request, u32 value)
{
    struct rig *rig = ctx;

    rig->requests[request]++;
    rig->request_value = value;
}

static inline struct machine_port rig_machine(struct rig *rig)
{
    return (struct machine_port){rig_request, rig};
}

static inline void rig_put(void *ctx, u8 byte)
{
    struct rig *rig = ctx;

    if (rig->out_count < sizeof(rig->out) - 1)
        rig->out[rig->out_count++] = (char)byte;
}

static inline struct byte_port rig_bytes(struct rig *rig)
{
    return (struct byte_port){rig_put, rig};
}

static inline u8 in8(struct rig *rig, u16 port)
{
    return (u8)bus_read(rig->bus, port, 1);
}

static inline void out8(struct rig *rig, u16 port, u8 value)
{
    bus_write(rig->bus, port, 1, value);
}

/* Let time pass, stopping at each deadline as the machine does. */
static inline void rig_pass(struct rig *rig, u64 ns)
{
    const u64 end = rig->clock.now + ns;

    while (rig->clock.next_deadline <= end)
        clock_run(&rig->clock, rig->clock.next_deadline);
    clock_run(&rig->clock, end);
}

static inline void rig_end(struct rig *rig, const struct device *device)
{
    if (device != NULL)
        device->ops->destroy(device->self);
    bus_destroy(rig->bus);
}

static inline int rig_main(const char *name, const TTest *const *tests, u32 count)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);

    for (u32 i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}

#endif
