/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[LOG_CATEGORIES] = {
    [LOG_UNIMPLEMENTED] = "unimp",
    [LOG_GUEST_ERROR] = "guest_errors",
    [LOG_INT] = "int",
    [LOG_RESET] = "cpu_reset",
    [LOG_MMU] = "mmu",
    [LOG_DEVICE] = "device",
    [LOG_EXEC] = "in_asm",
    [LOG_EXPLAIN] = "explain",
};

u32 log_mask;
static FILE *log_file;

bool log_enable(const char *list, const char **bad)
{
    while (*list != '\0') {
        const size_t length = strcspn(list, ",");
        int category = 0;

        while (category < LOG_CATEGORIES &&
               (strlen(names[category]) != length || strncmp(names[category], list, length) != 0))
            category++;
        if (category == LOG_CATEGORIES) {
            *bad = list;
            return false;
        }
        log_mask |= 1u << category;
        list += length;
        list += *list == ',';
    }
    return true;
}

bool log_open(const char *path)
{
    log_file = fopen(path, "w");
    return log_file != NULL;
}

void log_write(enum log_category category, const char *format, ...)
{
    FILE *out = log_file != NULL ? log_file : stderr;
    va_list args;

    (void)fprintf(out, "%s: ", names[category]);
    va_start(args, format);
    (void)vfprintf(out, format, args);
    va_end(args);
    (void)fputc('\n', out);
}
