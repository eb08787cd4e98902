/* SPDX-License-Identifier: MIT */
/* Values of options: numbers, lists of properties, and what each option makes of them. */
#ifndef MACHINE_CONFIG_VALUES_H
#define MACHINE_CONFIG_VALUES_H

#include "machine/config.h"

/* One "key=value" of a comma-separated list; key alone has value "". QEMU's ",," is not a comma. */
struct property {
    char key[64];
    char value[448];
};

/* Take the first property off *list. Returns false at the end of the list. */
bool property_next(const char **list, struct property *out);
/* Decimal, 0x hexadecimal or 0 octal, nothing behind it. */
MUST_CHECK bool parse_u64(const char *text, u64 *value);
/* on, off, yes, no, true, false. */
MUST_CHECK bool parse_switch(const char *text, bool *value);
/* "512", "2G", "1.5G"…; without a suffix MiB. */
MUST_CHECK bool parse_size(const char *text, u64 *bytes);
/* A copy that lives as long as the configuration. */
const char *config_own(struct config *config, const char *text);
void config_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The functions of the option table. */
#define OPTION_FUNCTION(name)                                                                      \
    MUST_CHECK bool name(struct config *config, const char *value, struct error *error)
OPTION_FUNCTION(option_kernel);
OPTION_FUNCTION(option_initrd);
OPTION_FUNCTION(option_append);
OPTION_FUNCTION(option_memory);
OPTION_FUNCTION(option_smp);
OPTION_FUNCTION(option_cpu);
OPTION_FUNCTION(option_machine);
OPTION_FUNCTION(option_accel);
OPTION_FUNCTION(option_device);
OPTION_FUNCTION(option_serial);
OPTION_FUNCTION(option_chardev);
OPTION_FUNCTION(option_debugcon);
OPTION_FUNCTION(option_nographic);
OPTION_FUNCTION(option_display);
OPTION_FUNCTION(option_vga);
OPTION_FUNCTION(option_nodefaults);
OPTION_FUNCTION(option_net);
OPTION_FUNCTION(option_monitor);
OPTION_FUNCTION(option_parallel);
OPTION_FUNCTION(option_no_reboot);
OPTION_FUNCTION(option_no_shutdown);
OPTION_FUNCTION(option_action);
OPTION_FUNCTION(option_no_acpi);
OPTION_FUNCTION(option_no_hpet);
OPTION_FUNCTION(option_rtc);
OPTION_FUNCTION(option_icount);
OPTION_FUNCTION(option_log);
OPTION_FUNCTION(option_explain);
OPTION_FUNCTION(option_log_file);
OPTION_FUNCTION(option_pidfile);
OPTION_FUNCTION(option_echr);
OPTION_FUNCTION(option_seed);
OPTION_FUNCTION(option_sched_seed);
OPTION_FUNCTION(option_drop_caches);
OPTION_FUNCTION(option_max_insns);
OPTION_FUNCTION(option_state_hash);
OPTION_FUNCTION(option_mmu);
OPTION_FUNCTION(option_shadow_quota);
OPTION_FUNCTION(option_shadow_roles);
OPTION_FUNCTION(option_audit);
OPTION_FUNCTION(option_shadow_dump);
OPTION_FUNCTION(option_stats);
OPTION_FUNCTION(option_engine);
OPTION_FUNCTION(option_sync);
OPTION_FUNCTION(option_linux_entry);
OPTION_FUNCTION(option_qemu_compat);

/* A device as -serial and friends name it; chardev:ID is looked up. false: no such thing. */
MUST_CHECK bool parse_backend(struct config *config, const char *text, struct serial_config *out,
                              struct error *error);

#endif
