/* SPDX-License-Identifier: MIT */
/* The end of each test program's main(). */
#ifndef TESTS_RUN_SUITE_H
#define TESTS_RUN_SUITE_H

#include "base/types.h"

#include <check.h>
#include <stdlib.h>

/* Runs the suite and frees it, as talkative as CK_VERBOSITY says. The status of the program. */
UNUSED static int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
