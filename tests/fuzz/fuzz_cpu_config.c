/* SPDX-License-Identifier: MIT */
/* The value of -cpu: whatever it is, it is taken (within its limits) or refused with a message. */
#include "cpu/system.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void warn(const char *line)
{
    CHECK(line[0] != '\0');
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char *text = malloc(size + 1);
    struct cpu_config config;
    struct error error = {.text = ""};

    CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (cpu_config_parse(&config, text, warn, &error)) {
        CHECK(config.model != NULL);
        CHECK(config.phys_bits >= 36 && config.phys_bits <= 46);
        CHECK(strnlen(config.vendor, sizeof(config.vendor)) == 12);
    } else {
        CHECK(error.text[0] != '\0');
        CHECK(strnlen(error.text, sizeof(error.text)) < sizeof(error.text));
    }
    free(text);
    return 0;
}
