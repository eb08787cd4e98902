/* SPDX-License-Identifier: MIT */
/* A 32 MiB machine without CPUs, and small images of each kind, for tests of the loaders. */
#ifndef TESTS_FIRMWARE_LOADER_H
#define TESTS_FIRMWARE_LOADER_H

#include "base/bits.h"
#include "firmware/boot.h"
#include "firmware/image.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LOW_RAM ((u64)32 << 20)

enum { IMAGE_MAX = 8192 };

static struct memory *memory;
static struct e820 map;
static struct boot_machine machine;
static u8 bytes[IMAGE_MAX];

static UNUSED void setup(void)
{
    struct error error;

    memory = memory_create(40);
    ck_assert(memory_add_ram(memory, "conventional", (hpa_t){0}, PC_VGA, &error));
    ck_assert(memory_add_rom(memory, "rom", (hpa_t){PC_ROM}, PC_ROM_SIZE, &error));
    ck_assert(memory_add_ram(memory, "low", (hpa_t){PC_HIGH}, LOW_RAM - PC_HIGH, &error));
    e820_build(&map, LOW_RAM, 0);
    machine = (struct boot_machine){memory, &map, LOW_RAM - PC_NVS_SIZE, 0xf0000};
    memset(bytes, 0, sizeof(bytes));
}

static UNUSED void teardown(void)
{
    memory_destroy(memory);
}

static UNUSED u64 peek(u64 at, u32 size)
{
    u8 buffer[8] = {0};

    memory_read(memory, (hpa_t){at}, buffer, size);
    return load_le(buffer, size);
}

static UNUSED const char *peek_text(u64 at)
{
    static char text[256];

    memory_read(memory, (hpa_t){at}, text, sizeof(text) - 1);
    return text;
}

static UNUSED bool load(u64 size, struct boot_state *state, struct error *error)
{
    const struct boot_input input = {.kernel = {"image", bytes, size},
                                     .command_line = "one two",
                                     .cpu_has_long_mode = true};

    error->text[0] = '\0';
    return boot_load(&machine, &input, state, error);
}

/* A copy of exactly n bytes, so that a sanitizer sees each read past its end. */
static UNUSED bool load_cut(u64 n, struct error *error)
{
    u8 *copy = malloc(n == 0 ? 1 : n);
    const struct boot_input input = {.kernel = {"image", copy, n},
                                     .command_line = "one two",
                                     .cpu_has_long_mode = true};
    struct boot_state state;
    bool done;

    memcpy(copy, bytes, n);
    error->text[0] = '\0';
    done = boot_load(&machine, &input, &state, error);
    free(copy);
    return done;
}

/* Every truncation is refused with a line that names the file. */
static UNUSED void check_truncations(u64 size)
{
    struct error error;

    ck_assert(load_cut(size, &error));
    for (u64 n = 0; n < size; n++) {
        ck_assert_msg(!load_cut(n, &error), "accepted %lu of %lu bytes", (unsigned long)n,
                      (unsigned long)size);
        ck_assert_ptr_nonnull(strstr(error.text, "image"));
    }
}

/* Each byte of the first `headers` bytes set to what breaks lengths: never more than a refusal. */
static UNUSED void check_hostile_bytes(u64 headers, u64 size)
{
    static const u8 values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    struct error error;

    for (u64 at = 0; at < headers; at++) {
        const u8 old = bytes[at];

        for (u32 i = 0; i < sizeof(values); i++) {
            bytes[at] = values[i];
            ck_assert(load_cut(size, &error) || error.text[0] != '\0');
        }
        bytes[at] = old;
    }
}

static UNUSED void put(u64 at, u64 value, u32 size)
{
    store_le(bytes + at, value, size);
}

/* ELF32 header at 0 with one program header at 52. */
static UNUSED void put_elf32(u32 entry, u32 count)
{
    memcpy(bytes, "\177ELF\1\1\1", 7);
    put(16, 2, 2);
    put(18, 3, 2);
    put(20, 1, 4);
    put(24, entry, 4);
    put(28, 52, 4);
    put(40, 52, 2);
    put(42, 32, 2);
    put(44, count, 2);
}

static UNUSED void put_segment32(u32 i, u32 type, u32 offset, u32 address, u32 in_file,
                                 u32 in_memory)
{
    const u64 at = 52 + 32 * i;

    put(at, type, 4);
    put(at + 4, offset, 4);
    put(at + 8, address, 4);
    put(at + 12, address, 4);
    put(at + 16, in_file, 4);
    put(at + 20, in_memory, 4);
    put(at + 28, 4, 4);
}

#endif
