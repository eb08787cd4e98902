/* SPDX-License-Identifier: MIT */
/* What the command line says. QEMU's option names; see options.c for how each is treated. */
#ifndef MACHINE_CONFIG_H
#define MACHINE_CONFIG_H

#include "base/error.h"
#include "cpu/system.h"
#include "host/serial.h"
#include "machine/board.h"

struct serial_config {
    enum serial_kind kind;
    const char *path; /* SERIAL_FILE */
};

enum date_source { DATE_FIXED, DATE_HOST_UTC, DATE_HOST_LOCAL };

enum { CONFIG_CHARDEVS = 8 };

struct chardev_config {
    const char *id;
    struct serial_config serial;
};

/* Strings belong to argv or to the arena below; the whole is freed by config_destroy(). */
struct config {
    const char *kernel, *initrd, *append;
    u64 ram; /* bytes */
    u32 cpus;
    struct cpu_config cpu;
    struct serial_config serial[BOARD_SERIALS];
    u32 serials;
    struct serial_config debug_console;
    struct chardev_config chardev[CONFIG_CHARDEVS];
    u32 chardevs;
    bool nographic, no_display, no_defaults;
    bool pit, hpet, acpi;
    bool feature_control_locked;
    bool pc_testdev, pci_testdev;
    bool debug_exit;
    u16 debug_exit_port;
    u32 debug_exit_size;
    bool no_reboot, no_shutdown;
    bool reboot_on_shutdown; /* -action reboot=reset: a triple fault resets */
    enum date_source date_source;
    i64 date; /* DATE_FIXED */
    u64 seed, sched_seed;
    u64 drop_caches; /* seed; 0: never */
    u64 max_insns; /* ~0: no limit */
    enum mmu_mode mmu;
    struct shadow_options shadow;
    u64 audit_every; /* instructions, 0: never */
    bool stats, stats_json;
    bool shadow_dump;
    enum engine engine;
    bool state_hash;
    u64 hash_every; /* instructions, 0: only at the end */
    u32 linux_entry; /* 0, 32, 64 */
    u8 escape; /* 1..26 for Ctrl-A..Ctrl-Z, 0: none */
    const char *pid_file;

    /* Parsing. */
    const char *program;
    bool qemu_compat;
    const char *cpu_text;
    char **owned; /* strings made while parsing */
    u32 owned_count;
};

enum config_result {
    CONFIG_RUN,
    CONFIG_DONE, /* --help and the like: printed, exit with status 0 */
    CONFIG_ERROR,
};

/* Parse argv. Warnings go to stderr, one line each, with the word "warning". */
enum config_result config_parse(struct config *config, int argc, char **argv, struct error *error);
void config_destroy(struct config *config);

#endif
