/* SPDX-License-Identifier: MIT */
/* Every option that is known, in one table: what is done with it, and why not if not. */
#ifndef MACHINE_OPTIONS_H
#define MACHINE_OPTIONS_H

#include "machine/config.h"

enum option_class {
    OPTION_DO,
    OPTION_IGNORE, /* a line with "warning: -X ignored (reason)" */
    OPTION_SILENT, /* taken and without effect here, as the script expects */
    OPTION_LATER, /* refused: belongs to a later release */
    OPTION_REFUSE, /* refused, with the nearest thing there is */
};

enum option_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL /* only as --option=value */ };

struct option {
    const char *name; /* without dashes */
    enum option_class class;
    enum option_value value;
    const char *form; /* for --help: the value */
    const char *text; /* for --help; the reason, if it is ignored or refused */
    MUST_CHECK bool (*apply)(struct config *config, const char *value, struct error *error);
};

/* NULL-terminated by name. */
extern const struct option options[];

/* name: length characters, without dashes. NULL: no such option. */
const struct option *option_find(const char *name, size_t length);
/* --help: the options that do something, each at column 0. */
void options_print_help(void);
/* `nestbox options`: the whole table. */
void options_print_table(void);

#endif
