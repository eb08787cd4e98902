/* SPDX-License-Identifier: MIT */
/* One interrupt wire, from a device's output to whatever the board soldered it to. */
#ifndef DEVICES_IRQ_H
#define DEVICES_IRQ_H

#include "base/types.h"

struct irq_line {
    void (*set)(void *ctx, u32 pin, bool level); /* NULL: not connected */
    void *ctx;
    u32 pin;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set != NULL)
        line->set(line->ctx, line->pin, level);
}

#endif
