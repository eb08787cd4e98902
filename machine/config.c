/* SPDX-License-Identifier: MIT */
/* The command line: walks argv over the option table and fills in what was not said. */
#include "machine/config.h"

#include "base/check.h"
#include "machine/config_values.h"
#include "machine/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef NESTBOX_VERSION
#define NESTBOX_VERSION "0.1.0"
#endif

/* 2026-01-01 00:00:00 UTC: the machine's date unless -rtc says otherwise. */
static const i64 default_date = 1767225600;

static const char *const later_commands[] = {
    "replay", "info", "verify", "diff", "report", "trace", "query", "grade", "doctor", "sweep",
};

void config_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("warning: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

const char *config_own(struct config *config, const char *text)
{
    char *copy = strdup(text);
    char **owned = realloc(config->owned, (config->owned_count + 1) * sizeof(config->owned[0]));

    CHECK(copy != NULL && owned != NULL);
    config->owned = owned;
    config->owned[config->owned_count++] = copy;
    return copy;
}

void config_destroy(struct config *config)
{
    for (u32 i = 0; i < config->owned_count; i++)
        free(config->owned[i]);
    free(config->owned);
    config->owned = NULL;
    config->owned_count = 0;
}

static void set_defaults(struct config *config, const char *program)
{
    const char *slash = strrchr(program, '/');

    memset(config, 0, sizeof(*config));
    config->program = slash != NULL ? slash + 1 : program;
    config->qemu_compat = strstr(config->program, "qemu-system") != NULL;
    config->ram = (u64)128 << 20;
    config->cpus = 1;
    config->cpu_text = "max";
    config->pit = config->hpet = config->acpi = true;
    config->mmu = MMU_COMBINED;
    config->date = default_date;
    config->max_insns = ~(u64)0;
    config->escape = 1;
}

/* kvm-unit-tests split this line at spaces and dots: word word word MAJOR MINOR MICRO. */
static void print_version(const struct config *config)
{
    if (config->qemu_compat)
        (void)printf("QEMU emulator version 7.2.0 (compatible front end of nestbox %s)\n",
                     NESTBOX_VERSION);
    else
        (void)printf("nestbox emulator version %s (with QEMU-compatible options)\n",
                     NESTBOX_VERSION);
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncmp(text, word, length) == 0;
}

/* --help, --version: at once, whatever else is there. */
static bool is_question(const struct config *config, const char *name, size_t length)
{
    if (is_word(name, length, "h") || is_word(name, length, "help")) {
        print_version(config);
        options_print_help();
        return true;
    }
    if (is_word(name, length, "version")) {
        print_version(config);
        return true;
    }
    return false;
}

/* "-device help" and its like: the list has been printed, the run is not wanted. */
static bool is_list_request(const struct option *option, const char *value)
{
    return value != NULL && (strcmp(value, "help") == 0 || strcmp(value, "?") == 0) &&
           (option->apply == option_device || option->apply == option_cpu ||
            option->apply == option_machine || option->apply == option_accel);
}

static bool apply(struct config *config, const struct option *option, const char *value,
                  struct error *error)
{
    switch (option->class) {
    case OPTION_DO: return option->apply(config, value, error);
    case OPTION_SILENT: return true;
    case OPTION_IGNORE: config_warn("-%s ignored (%s)", option->name, option->text); return true;
    case OPTION_LATER: return error_set(error, "-%s belongs to a later release", option->name);
    case OPTION_REFUSE: break;
    }
    return error_set(error, "-%s is not supported: %s", option->name, option->text);
}

/* One option at argv[*i]; *i moves over its value. */
static enum config_result parse_option(struct config *config, int argc, char **argv, int *i,
                                       struct error *error)
{
    const char *word = argv[*i];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *value = strchr(name, '=');
    const size_t length = value != NULL ? (size_t)(value - name) : strlen(name);
    const struct option *option;

    if (is_question(config, name, length))
        return CONFIG_DONE;
    option = option_find(name, length);
    if (option == NULL) {
        (void)error_set(error, "invalid option '%.200s' (--help lists them)", word);
        return CONFIG_ERROR;
    }
    if (value != NULL)
        value++;
    if (value != NULL && option->value == VALUE_NONE) {
        (void)error_set(error, "-%s takes no value", option->name);
        return CONFIG_ERROR;
    }
    if (value == NULL && option->value == VALUE_NEEDED) {
        if (*i + 1 >= argc) {
            (void)error_set(error, "-%s requires an argument", option->name);
            return CONFIG_ERROR;
        }
        value = argv[++*i];
    }
    if (!apply(config, option, value, error))
        return CONFIG_ERROR;
    return is_list_request(option, value) ? CONFIG_DONE : CONFIG_RUN;
}

/* The first word: run (may be left out), options, or a command of a later release. */
static enum config_result parse_command(int argc, char **argv, int *i, struct error *error)
{
    if (argc < 2)
        return CONFIG_RUN;
    if (strcmp(argv[1], "run") == 0) {
        *i = 2;
        return CONFIG_RUN;
    }
    if (strcmp(argv[1], "options") == 0) {
        options_print_table();
        return CONFIG_DONE;
    }
    for (u32 n = 0; n < ARRAY_SIZE(later_commands); n++)
        if (strcmp(argv[1], later_commands[n]) == 0) {
            (void)error_set(error, "the command '%s' belongs to a later release", argv[1]);
            return CONFIG_ERROR;
        }
    return CONFIG_RUN;
}

static void warn_cpu(const char *line)
{
    config_warn("%s", line);
}

/* COM1 is on stdio unless something else was said. */
static void default_serial(struct config *config)
{
    if (config->serials > 0 || config->no_defaults)
        return;
    config->serial[0].kind = config->nographic || !config->no_display ? SERIAL_MUX : SERIAL_NULL;
    config->serials = 1;
}

static bool check_stdio(const struct config *config, struct error *error)
{
    u32 users = 0;

    for (u32 i = 0; i < config->serials; i++)
        users += config->serial[i].kind == SERIAL_STDIO || config->serial[i].kind == SERIAL_MUX;
    return users <= 1 || error_set(error, "stdio cannot be used by several serial ports");
}

static enum config_result finish(struct config *config, struct error *error)
{
    default_serial(config);
    if (!check_stdio(config, error) ||
        !cpu_config_parse(&config->cpu, config->cpu_text, warn_cpu, error))
        return CONFIG_ERROR;
    if (config->mmu == MMU_WALK && config->shadow_dump) {
        (void)error_set(error, "--shadow-dump: walks (--mmu=walk) have no shadow pages");
        return CONFIG_ERROR;
    }
    if (config->mmu == MMU_WALK && config->shadow.sync == SYNC_LAZY) {
        (void)error_set(error, "--sync=lazy needs shadow pages: walks (--mmu=walk) are coherent");
        return CONFIG_ERROR;
    }
    if (config->kernel == NULL) {
        (void)error_set(error,
                        "nothing to start: -kernel FILE is needed (--help lists the options)");
        return CONFIG_ERROR;
    }
    return CONFIG_RUN;
}

enum config_result config_parse(struct config *config, int argc, char **argv, struct error *error)
{
    enum config_result result;
    int i = 1;

    set_defaults(config, argc > 0 ? argv[0] : "nestbox");
    for (int n = 1; n < argc; n++)
        if (strcmp(argv[n], "--qemu-compat") == 0)
            config->qemu_compat = true;
    result = parse_command(argc, argv, &i, error);
    for (; i < argc && result == CONFIG_RUN; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            result = parse_option(config, argc, argv, &i, error);
        } else {
            (void)error_set(error,
                            "'%.200s': disk images belong to a later release; a kernel needs "
                            "-kernel",
                            argv[i]);
            result = CONFIG_ERROR;
        }
    }
    return result == CONFIG_RUN ? finish(config, error) : result;
}
