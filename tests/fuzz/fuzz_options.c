/* SPDX-License-Identifier: MIT */
/*
 * The command line: any words are taken or refused with a message, and what is taken is within the
 * machine's limits. Input: words, each ended by a zero or a newline.
 */
#include "machine/config.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 100 };

/* -D makes a file and -d turns logging on for good: not in a fuzzer. */
static bool unwanted(const char *word)
{
    const char *name = word + strspn(word, "-");

    return word[0] == '-' && (strncmp(name, "D", 1) == 0 || strncmp(name, "d", 1) == 0) &&
           (name[1] == '\0' || name[1] == '=');
}

static void check(const struct config *config)
{
    CHECK(config->cpus >= 1 && config->cpus <= BOARD_CPUS);
    CHECK(config->ram >= BOARD_RAM_MIN && config->ram % PAGE_SIZE == 0);
    CHECK(config->serials <= BOARD_SERIALS && config->chardevs <= CONFIG_CHARDEVS);
    CHECK(config->cpu.model != NULL);
    CHECK(config->kernel != NULL);
    CHECK(config->escape <= 26);
    CHECK(config->linux_entry == 0 || config->linux_entry == 32 || config->linux_entry == 64);
}

/* What it prints is not of interest; sanitizers write to the descriptor itself. */
static void be_silent(void)
{
    static bool done;

    if (!done && getenv("FUZZ_VERBOSE") == NULL) {
        stdout = fopen("/dev/null", "w");
        stderr = fopen("/dev/null", "w");
        CHECK(stdout != NULL && stderr != NULL);
    }
    done = true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char *text = malloc(size + 1);
    char *words[WORDS + 1] = {"nestbox"};
    int count = 1;
    struct config config;
    struct error error = {.text = ""};
    enum config_result result;

    be_silent();
    CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *at = text; at < text + size && count < WORDS; at += strlen(at) + 1) {
        at[strcspn(at, "\n")] = '\0';
        if (!unwanted(at))
            words[count++] = at;
    }
    words[count] = NULL;
    result = config_parse(&config, count, words, &error);
    if (result == CONFIG_RUN)
        check(&config);
    if (result == CONFIG_ERROR)
        CHECK(error.text[0] != '\0');
    config_destroy(&config);
    free(text);
    return 0;
}
