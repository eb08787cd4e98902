/* SPDX-License-Identifier: MIT */
#include "cpu/explain.h"

#include "cpu/engine.h"

#include <stdarg.h>
#include <stdio.h>

void explain_begin(struct vcpu *v, u64 rip, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    LOG(LOG_EXPLAIN, "CPU %u at %llu ns, RIP %llx: %s", v->index, (unsigned long long)*v->now,
        (unsigned long long)rip, text);
}

void explain_bits(u64 value, u64 must_be_1, u64 may_be_1)
{
    char wrong[64 * sizeof(", bit 63 is 1")] = "";
    size_t length = 0;

    for (u32 bit = 0; bit < 64; bit++) {
        const bool is_1 = (value >> bit & 1) != 0;

        if (is_1 ? (may_be_1 >> bit & 1) != 0 : (must_be_1 >> bit & 1) == 0)
            continue;
        length += (size_t)snprintf(wrong + length, sizeof(wrong) - length, "%sbit %u is %u",
                                   length != 0 ? ", " : "", bit, is_1);
    }
    EXPLAIN_LINE("allowed", "1 in %llx, 0 or 1 in %llx, 0 elsewhere", (unsigned long long)must_be_1,
                 (unsigned long long)(may_be_1 & ~must_be_1));
    if (length != 0)
        EXPLAIN_LINE("wrong", "%s", wrong);
}
