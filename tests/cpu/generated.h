/* SPDX-License-Identifier: MIT */
/* Documents whose last part is written from tables: what follows a marker line. */
#ifndef TESTS_CPU_GENERATED_H
#define TESTS_CPU_GENERATED_H

#include "base/types.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[1 << 18];
static size_t length;

__attribute__((format(printf, 1, 2))) static void line(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    length += (size_t)vsnprintf(text + length, sizeof(text) - length, format, list);
    va_end(list);
}

/* The part behind the marker is what the calls of line() have made; NESTBOX_WRITE_DOCS=1 makes it
 * so. */
UNUSED static void compare_or_write(const char *path, const char *marker)
{
    static char document[1 << 18];
    FILE *file = fopen(path, "r");
    char *generated;
    size_t size;

    ck_assert_ptr_nonnull(file);
    size = fread(document, 1, sizeof(document) - 1, file);
    document[size] = '\0';
    (void)fclose(file);
    generated = strstr(document, marker);
    ck_assert_ptr_nonnull(generated);
    generated += strlen(marker);
    if (getenv("NESTBOX_WRITE_DOCS") != NULL) {
        *generated = '\0';
        file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        (void)fprintf(file, "%s%s", document, text);
        (void)fclose(file);
        return;
    }
    ck_assert_msg(strcmp(generated, text) == 0,
                  "%s is not up to date: run this test with NESTBOX_WRITE_DOCS=1", path);
}

#endif
