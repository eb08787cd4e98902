/* SPDX-License-Identifier: MIT */
/* What --explain says: everything that is explained goes to a file, which tests read. */
#ifndef TESTS_CPU_EXPLAINED_H
#define TESTS_CPU_EXPLAINED_H

#include "base/log.h"
#include "base/types.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char explained_text[1 << 14];
static char explained_path[] = "/tmp/nestbox-explained-XXXXXX";

/* From now on. */
UNUSED static void explain_to_file(void)
{
    const char *bad;
    const int file = mkstemp(explained_path);

    ck_assert_int_ge(file, 0);
    (void)close(file);
    ck_assert(log_enable("explain", &bad));
    ck_assert(log_open(explained_path));
}

/* All of it so far; the file is gone then. */
UNUSED static const char *explained(void)
{
    FILE *file;
    size_t size;

    (void)fflush(NULL);
    file = fopen(explained_path, "r");
    ck_assert_ptr_nonnull(file);
    size = fread(explained_text, 1, sizeof(explained_text) - 1, file);
    explained_text[size] = '\0';
    (void)fclose(file);
    (void)unlink(explained_path);
    return explained_text;
}

UNUSED static void says(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) != NULL, "'%s' is not in:\n%s", what, text);
}

#endif
