/* SPDX-License-Identifier: MIT */
/* Files of the command line, and starting the image (again at each reset). */
#include "base/check.h"
#include "host/file.h"
#include "machine/machine_impl.h"

#include <stdlib.h>
#include <string.h>

static bool read_file(struct machine *m, const char *what, const char *path, struct image *image,
                      struct error *error)
{
    u8 *bytes;

    CHECK(m->files < ARRAY_SIZE(m->file));
    if (!host_read_file(what, path, &bytes, &image->size, error))
        return false;
    m->file[m->files++] = bytes;
    image->bytes = bytes;
    image->name = path;
    return true;
}

static bool add_module(struct machine *m, const char *path, const char *command_line,
                       struct error *error)
{
    struct boot_module *module = &m->module[m->input.module_count];

    if (m->input.module_count == BOOT_MODULES)
        return error_set(error, "-initrd: more than %d modules", BOOT_MODULES);
    if (!read_file(m, "initrd", path, &module->image, error))
        return false;
    module->command_line = command_line;
    m->input.module_count++;
    return true;
}

/* As QEMU: "FILE ARGUMENTS,FILE ARGUMENTS,…", a comma inside of a part written twice; the module's
 * command line is all of its part. */
static bool read_module_list(struct machine *m, const char *list, struct error *error)
{
    const size_t size = strlen(list) + 1;
    char *to;

    /* The parts as strings, and behind them room for the paths alone. */
    m->module_text = to = calloc(2, size);
    CHECK(m->module_text != NULL);
    for (;;) {
        char *part = to;

        while (*list != '\0' && (*list != ',' || list[1] == ',')) {
            list += *list == ',';
            *to++ = *list++;
        }
        *to++ = '\0';
        memcpy(part + size, part, strcspn(part, " "));
        if (!add_module(m, part + size, part, error))
            return false;
        if (*list++ == '\0')
            return true;
    }
}

bool machine_read_files(struct machine *m, struct error *error)
{
    const struct config *c = m->config;

    m->input = (struct boot_input){
        .modules = m->module,
        .command_line = c->append != NULL ? c->append : "",
        .linux_entry = c->linux_entry,
        .cpu_has_long_mode = has_feature(m->board->cpu[0].v, F_LM),
    };
    if (!read_file(m, "kernel", c->kernel, &m->input.kernel, error))
        return false;
    if (c->initrd == NULL)
        return true;
    if (boot_kind(&m->input.kernel) == BOOT_LINUX)
        return add_module(m, c->initrd, "", error);
    return read_module_list(m, c->initrd, error);
}

bool machine_boot(struct machine *m, struct error *error)
{
    struct boot_machine boot;
    struct boot_state state;

    board_firmware(m->board);
    boot = board_boot_machine(m->board);
    if (!boot_load(&boot, &m->input, &state, error))
        return false;
    board_start(m->board, &state);
    return true;
}

static struct board_config board_config_of(struct machine *m)
{
    const struct config *c = m->config;
    struct board_config b = {
        .ram = c->ram,
        .cpus = c->cpus,
        .cpu = &c->cpu,
        .mmu = c->mmu,
        .shadow = c->shadow,
        .engine = c->engine,
        .seed = c->seed,
        .date = input_date(&m->gate, c->date),
        .pit = c->pit,
        .hpet = c->hpet,
        .acpi = c->acpi,
        .feature_control_locked = c->feature_control_locked,
        .pc_testdev = c->pc_testdev,
        .pci_testdev = c->pci_testdev,
        .debug_exit_port = c->debug_exit ? c->debug_exit_port : 0,
        .debug_exit_size = c->debug_exit_size,
        .debug_console = machine_debug_port(m),
        .machine = {machine_request_hook, m},
        .cpu_shutdown = machine_shutdown_hook,
    };

    for (u32 i = 0; i < c->serials; i++) {
        b.com[i] = c->serial[i].kind != SERIAL_NONE;
        b.serial[i] = machine_serial_port(m, i);
    }
    return b;
}

static bool create(struct machine *m, struct error *error)
{
    struct board_config board;

    if (!machine_open_serials(m, error))
        return false;
    board = board_config_of(m);
    m->board = board_create(&board, error);
    if (m->board == NULL)
        return false;
    board_reset(m->board);
    return machine_read_files(m, error) && machine_boot(m, error);
}

struct machine *machine_create(const struct config *config, struct error *error)
{
    struct machine *m = calloc(1, sizeof(*m));

    CHECK(m != NULL);
    m->config = config;
    m->state.schedule = config->sched_seed;
    if (!create(m, error)) {
        machine_destroy(m);
        return NULL;
    }
    return m;
}

void machine_destroy(struct machine *m)
{
    if (m == NULL)
        return;
    machine_close_serials(m);
    board_destroy(m->board);
    for (u32 i = 0; i < m->files; i++)
        free(m->file[i]);
    free(m->module_text);
    free(m);
}
