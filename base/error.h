/* SPDX-License-Identifier: MIT */
/* A host-side failure: one line that names file, place and rule. Printed once, in main. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/types.h"

struct error {
    char text[512];
};

/* Fill the message (cut at 511 bytes) and return false, so that callers can `return error_set(…)`.
 */
PRINTF_LIKE(2, 3) bool error_set(struct error *error, const char *format, ...);

#endif
