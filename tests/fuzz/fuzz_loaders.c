/* SPDX-License-Identifier: MIT */
/*
 * Loaders on images that lie: no read outside an image, no write outside RAM, and either a state to
 * start in or one line that names the file.
 * Input: flags, the size of a module that lies at the end, then the kernel and the module.
 */
#include "firmware/boot.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { RAM_BYTES = 24 << 20 };

static struct memory *create_memory(void)
{
    struct memory *memory = memory_create(40);
    struct error error;

    CHECK(memory != NULL);
    CHECK(memory_add_ram(memory, "low", (hpa_t){0}, PC_VGA, &error));
    CHECK(memory_add_rom(memory, "rom", (hpa_t){PC_ROM}, PC_ROM_SIZE, &error));
    CHECK(memory_add_ram(memory, "high", (hpa_t){PC_HIGH}, RAM_BYTES - PC_HIGH, &error));
    return memory;
}

static void check_state(const struct boot_state *state)
{
    CHECK(state->bits == 16 || state->bits == 32 || state->bits == 64);
    if (state->bits == 16)
        CHECK(state->rip <= 0xffff);
    if (state->bits == 32)
        CHECK(state->rip <= 0xffffffff && state->gdt_base < RAM_BYTES);
    if (state->bits == 64)
        CHECK(state->cr3 < RAM_BYTES);
}

static void check_error(const struct error *error)
{
    const size_t length = strnlen(error->text, sizeof(error->text));

    CHECK(length > 0 && length < sizeof(error->text));
    CHECK(strchr(error->text, '\n') == NULL);
    CHECK(strstr(error->text, "kernel.img") != NULL || strstr(error->text, "module.img") != NULL ||
          strstr(error->text, "command line") != NULL);
}

/* Its own allocation, so that any read past the end is seen. */
static u8 *copy_of(const u8 *bytes, size_t size)
{
    u8 *copy = malloc(size > 0 ? size : 1);

    CHECK(copy != NULL);
    memcpy(copy, bytes, size);
    return copy;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const u32 entries[] = {0, 32, 64, 0};
    struct fuzz_input in = {data, data + size};
    const u32 flags = (u32)fuzz_take(&in, 1);
    const size_t wanted = (size_t)fuzz_take(&in, 2);
    const size_t module_size = wanted < fuzz_left(&in) ? wanted : fuzz_left(&in);
    const size_t kernel_size = fuzz_left(&in) - module_size;
    u8 *kernel = copy_of(in.at, kernel_size);
    u8 *module = copy_of(in.at + kernel_size, module_size);
    char line[5000];
    const struct boot_module modules[] = {
        {{"module.img", module, module_size}, "module.img a=1"},
        {{"module.img", module, module_size}, ""},
    };
    const struct boot_input input = {
        .kernel = {"kernel.img", kernel, kernel_size},
        .modules = modules,
        .module_count = flags & 3 ? (flags & 3) - 1 : 0,
        .command_line = line,
        .linux_entry = entries[flags >> 2 & 3],
        .cpu_has_long_mode = flags >> 4 & 1,
    };
    struct e820 map;
    struct boot_machine machine = {.map = &map,
                                   .low_top = RAM_BYTES - PC_NVS_SIZE,
                                   .rsdp = flags & 0x20 ? PC_ROM : 0};
    struct boot_state state = {0};
    struct error error = {.text = ""};

    memset(line, 'x', sizeof(line));
    line[flags >> 6 == 3 ? sizeof(line) - 1 : (flags >> 6) * 20] = '\0';
    e820_build(&map, RAM_BYTES, 0);
    machine.memory = create_memory();
    if (boot_load(&machine, &input, &state, &error))
        check_state(&state);
    else
        check_error(&error);
    memory_destroy(machine.memory);
    free(kernel);
    free(module);
    return 0;
}
