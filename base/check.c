/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

/* The one mutable global: an abort has no other way to learn where the run stands. */
static check_reporter reporter;
static void *reporter_ctx;

void check_set_reporter(check_reporter report, void *ctx)
{
    reporter = report;
    reporter_ctx = ctx;
}

void check_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "nestbox: internal error: %s:%d: %s does not hold\n", file, line,
                  condition);
    if (reporter != NULL)
        reporter(reporter_ctx);
    (void)fprintf(stderr,
                  "nestbox: this is a bug in nestbox, not in the guest; please report it\n");
    abort();
}
