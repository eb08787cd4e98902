/* SPDX-License-Identifier: MIT */
/* nestbox: options, machine, run, exit status. */
#include "host/file.h"
#include "host/serial.h"
#include "host/signals.h"
#include "machine/config.h"
#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>

/* What was printed must have arrived: a full disk or a closed stream is an error. */
static int finish(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("nestbox: cannot write to standard output");
        return STATUS_ERROR;
    }
    return status;
}

static int complain(const struct error *error)
{
    host_terminal_restore();
    (void)fprintf(stderr, "nestbox: %s\n", error->text);
    return STATUS_ERROR;
}

static int run(const struct config *config)
{
    struct machine *machine;
    struct error error;
    int status;

    if (config->pid_file != NULL && !host_write_pid(config->pid_file, &error))
        return complain(&error);
    host_signals_install();
    machine = machine_create(config, &error);
    if (machine == NULL)
        return complain(&error);
    status = machine_run(machine);
    machine_destroy(machine);
    return status;
}

int main(int argc, char **argv)
{
    struct config config;
    struct error error;
    int status = STATUS_OK;

    switch (config_parse(&config, argc, argv, &error)) {
    case CONFIG_RUN: status = run(&config); break;
    case CONFIG_DONE: break;
    case CONFIG_ERROR: status = complain(&error); break;
    }
    config_destroy(&config);
    return finish(status);
}
