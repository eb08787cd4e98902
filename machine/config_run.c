/* SPDX-License-Identifier: MIT */
/* The options of consoles and of the run. */
#include "base/log.h"
#include "machine/config_values.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- consoles ---- */

static bool find_chardev(const struct config *config, const char *id, struct serial_config *out,
                         struct error *error)
{
    for (u32 i = 0; i < config->chardevs; i++)
        if (strcmp(config->chardev[i].id, id) == 0) {
            *out = config->chardev[i].serial;
            return true;
        }
    return error_set(error, "no -chardev with id '%s' before this option", id);
}

bool parse_backend(struct config *config, const char *text, struct serial_config *out,
                   struct error *error)
{
    static const struct {
        const char *name;
        enum serial_kind kind;
    } rows[] = {
        {"stdio", SERIAL_STDIO}, {"mon:stdio", SERIAL_MUX}, {"null", SERIAL_NULL},
        {"none", SERIAL_NONE},   {"pty", SERIAL_PTY},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(text, rows[i].name) == 0) {
            *out = (struct serial_config){.kind = rows[i].kind};
            return true;
        }
    if (strncmp(text, "file:", 5) == 0 && text[5] != '\0') {
        *out = (struct serial_config){SERIAL_FILE, config_own(config, text + 5)};
        return true;
    }
    if (strncmp(text, "chardev:", 8) == 0)
        return find_chardev(config, text + 8, out, error);
    return error_set(error,
                     "'%s': a serial port goes to stdio, mon:stdio, file:F, pty, null, none or "
                     "chardev:ID",
                     text);
}

bool option_serial(struct config *config, const char *value, struct error *error)
{
    if (config->serials == BOARD_SERIALS)
        return error_set(error, "-serial: there are %d ports", BOARD_SERIALS);
    return parse_backend(config, value, &config->serial[config->serials++], error);
}

bool option_chardev(struct config *config, const char *value, struct error *error)
{
    struct chardev_config *c = &config->chardev[config->chardevs];
    struct property p;
    char backend[512] = "";
    bool mux = false;

    if (config->chardevs == CONFIG_CHARDEVS)
        return error_set(error, "-chardev: more than %d", CONFIG_CHARDEVS);
    if (!property_next(&value, &p))
        return error_set(error, "-chardev: no kind");
    if (strcmp(p.key, "socket") == 0 || strcmp(p.key, "ringbuf") == 0)
        return error_set(error, "-chardev %s belongs to a later release", p.key);
    (void)snprintf(backend, sizeof(backend), "%s", p.key);
    while (property_next(&value, &p)) {
        if (strcmp(p.key, "id") == 0)
            c->id = config_own(config, p.value);
        else if (strcmp(p.key, "path") == 0)
            (void)snprintf(backend, sizeof(backend), "file:%s", p.value);
        else if (strcmp(p.key, "mux") == 0)
            mux = strcmp(p.value, "on") == 0;
    }
    if (c->id == NULL)
        return error_set(error, "-chardev: an id= is needed");
    if (mux && strcmp(backend, "stdio") == 0)
        (void)snprintf(backend, sizeof(backend), "mon:stdio");
    config->chardevs++;
    return parse_backend(config, backend, &c->serial, error);
}

bool option_debugcon(struct config *config, const char *value, struct error *error)
{
    return parse_backend(config, value, &config->debug_console, error);
}

bool option_nographic(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->nographic = true;
    return true;
}

bool option_display(struct config *config, const char *value, struct error *error)
{
    if (strcmp(value, "none") != 0)
        return error_set(error, "-display %s belongs to a later release; use -display none", value);
    config->no_display = true;
    return true;
}

bool option_vga(struct config *config, const char *value, struct error *error)
{
    (void)config;
    return strcmp(value, "none") == 0 ||
           error_set(error, "-vga %s belongs to a later release; use -vga none", value);
}

bool option_nodefaults(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->no_defaults = true;
    return true;
}

bool option_net(struct config *config, const char *value, struct error *error)
{
    (void)config;
    return strcmp(value, "none") == 0 || error_set(error, "networks belong to a later release");
}

bool option_monitor(struct config *config, const char *value, struct error *error)
{
    (void)config;
    return strcmp(value, "none") == 0 || strcmp(value, "null") == 0 ||
           error_set(error, "-monitor %s: the monitor belongs to a later release", value);
}

bool option_parallel(struct config *config, const char *value, struct error *error)
{
    (void)config;
    (void)error;
    if (strcmp(value, "none") != 0)
        config_warn("-parallel %s ignored (there is no parallel port)", value);
    return true;
}

bool option_echr(struct config *config, const char *value, struct error *error)
{
    u64 n;

    if (!parse_u64(value, &n) || n > 26)
        return error_set(error, "-echr: '%s' is not a number from 0 to 26", value);
    config->escape = (u8)n;
    return true;
}

/* ---- the run ---- */

bool option_no_reboot(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->no_reboot = true;
    return true;
}

bool option_no_shutdown(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->no_shutdown = true;
    return true;
}

bool option_action(struct config *config, const char *value, struct error *error)
{
    struct property p;

    while (property_next(&value, &p)) {
        if (strcmp(p.key, "reboot") == 0 && strcmp(p.value, "reset") == 0) {
            config->no_reboot = false;
            config->reboot_on_shutdown = true;
        } else if (strcmp(p.key, "reboot") == 0 && strcmp(p.value, "shutdown") == 0) {
            config->no_reboot = true;
        } else if (strcmp(p.key, "shutdown") == 0 && strcmp(p.value, "poweroff") == 0) {
            config->no_shutdown = false;
        } else if (strcmp(p.key, "shutdown") == 0 && strcmp(p.value, "pause") == 0) {
            config->no_shutdown = true;
        } else if (strcmp(p.key, "panic") == 0 || strcmp(p.key, "watchdog") == 0) {
            config_warn("-action %s ignored (there is no such device)", p.key);
        } else {
            return error_set(error, "-action: no such action '%s=%s'", p.key, p.value);
        }
    }
    return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, with years that begin in March. */
static i64 days_from_date(i64 year, i64 month, i64 day)
{
    const i64 y = month <= 2 ? year - 1 : year;
    const i64 m = month <= 2 ? month + 9 : month - 3;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

/* YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS. */
static bool parse_date(const char *text, i64 *seconds)
{
    int year, month, day, hour = 0, minute = 0, second = 0, end = 0;
    const size_t length = strlen(text);

    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) != 3)
        return false;
    if (length != (size_t)end &&
        (sscanf(text, "%*4d-%*2d-%*2dT%2d:%2d:%2d%n", &hour, &minute, &second, &end) != 3 ||
         length != (size_t)end))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 59 || hour < 0 || minute < 0 || second < 0)
        return false;
    *seconds = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

bool option_rtc(struct config *config, const char *value, struct error *error)
{
    struct property p;

    while (property_next(&value, &p)) {
        if (strcmp(p.key, "base") != 0) {
            if (strcmp(p.value, "vm") != 0 && strcmp(p.value, "none") != 0)
                config_warn("-rtc %s=%s ignored (the clock runs on virtual time)", p.key, p.value);
            continue;
        }
        if (strcmp(p.value, "utc") == 0)
            config->date_source = DATE_HOST_UTC;
        else if (strcmp(p.value, "localtime") == 0)
            config->date_source = DATE_HOST_LOCAL;
        else if (parse_date(p.value, &config->date))
            config->date_source = DATE_FIXED;
        else
            return error_set(error, "-rtc base: '%s' is neither utc, localtime nor a date",
                             p.value);
    }
    return true;
}

bool option_icount(struct config *config, const char *value, struct error *error)
{
    struct property p;

    (void)config;
    while (property_next(&value, &p))
        if (strncmp(p.key, "rr", 2) == 0)
            return error_set(error, "-icount %s= belongs to a later release", p.key);
    config_warn("-icount ignored (one instruction is always one nanosecond)");
    return true;
}

bool option_log(struct config *config, const char *value, struct error *error)
{
    const char *bad;

    (void)config;
    if (log_enable(value, &bad))
        return true;
    config_warn("-d %s ignored (no such item)", bad);
    (void)error;
    return true;
}

bool option_explain(struct config *config, const char *value, struct error *error)
{
    (void)value;
    return option_log(config, "explain", error);
}

bool option_log_file(struct config *config, const char *value, struct error *error)
{
    (void)config;
    return log_open(value) || error_set(error, "cannot write '%s': %s", value, strerror(errno));
}

bool option_pidfile(struct config *config, const char *value, struct error *error)
{
    (void)error;
    config->pid_file = value;
    return true;
}

static bool set_number(u64 *target, const char *name, const char *value, struct error *error)
{
    return parse_u64(value, target) || error_set(error, "-%s: '%s' is not a number", name, value);
}

bool option_seed(struct config *config, const char *value, struct error *error)
{
    return set_number(&config->seed, "seed", value, error);
}

bool option_drop_caches(struct config *config, const char *value, struct error *error)
{
    return set_number(&config->drop_caches, "drop-caches", value, error);
}

bool option_sched_seed(struct config *config, const char *value, struct error *error)
{
    return set_number(&config->sched_seed, "sched-seed", value, error);
}

bool option_max_insns(struct config *config, const char *value, struct error *error)
{
    return set_number(&config->max_insns, "max-insns", value, error);
}

bool option_state_hash(struct config *config, const char *value, struct error *error)
{
    config->state_hash = true;
    if (value == NULL)
        return true;
    if (strncmp(value, "every:", 6) != 0 || !parse_u64(value + 6, &config->hash_every) ||
        config->hash_every == 0)
        return error_set(error, "--state-hash=%s: expected every:N", value);
    return true;
}

/* One of several names: its place in the list, which ends with NULL. */
static bool pick(const char *name, const char *value, const char *const *names, u32 *found,
                 struct error *error)
{
    for (*found = 0; names[*found] != NULL; ++*found) {
        if (strcmp(value, names[*found]) == 0)
            return true;
    }
    return error_set(error, "--%s: no such value '%s'", name, value);
}

bool option_mmu(struct config *config, const char *value, struct error *error)
{
    static const char *const names[] = {
        [MMU_WALK] = "walk", [MMU_SHADOW] = "shadow", [MMU_COMBINED] = "combined", NULL};
    u32 found;

    if (!pick("mmu", value, names, &found, error))
        return false;
    config->mmu = (enum mmu_mode)found;
    return true;
}

bool option_shadow_quota(struct config *config, const char *value, struct error *error)
{
    return parse_size(value, &config->shadow.quota) ||
           error_set(error, "--shadow-quota: '%s' is not a size", value);
}

bool option_shadow_roles(struct config *config, const char *value, struct error *error)
{
    static const char *const names[] = {"lean", "kvm", NULL};
    u32 found;

    if (!pick("shadow-roles", value, names, &found, error))
        return false;
    config->shadow.kvm_parity = found == 1;
    return true;
}

bool option_audit(struct config *config, const char *value, struct error *error)
{
    return set_number(&config->audit_every, "audit", value, error);
}

bool option_shadow_dump(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->shadow_dump = true;
    return true;
}

bool option_stats(struct config *config, const char *value, struct error *error)
{
    config->stats = true;
    if (value == NULL || strcmp(value, "text") == 0)
        return true;
    config->stats_json = true;
    return strcmp(value, "json") == 0 || error_set(error, "--stats=%s: text or json", value);
}

bool option_engine(struct config *config, const char *value, struct error *error)
{
    static const char *const names[] = {
        [ENGINE_AUTO] = "auto", [ENGINE_INTERP] = "interp", [ENGINE_JIT] = "jit", NULL};
    u32 found;

    if (!pick("engine", value, names, &found, error))
        return false;
    config->engine = (enum engine)found;
    return true;
}

bool option_sync(struct config *config, const char *value, struct error *error)
{
    static const char *const names[] = {
        [SYNC_STRICT] = "strict", [SYNC_LAZY] = "lazy", [SYNC_DROP] = "drop", NULL};
    u32 found;

    if (!pick("sync", value, names, &found, error))
        return false;
    config->shadow.sync = (enum shadow_sync)found;
    return true;
}

bool option_linux_entry(struct config *config, const char *value, struct error *error)
{
    u64 n;

    if (!parse_u64(value, &n) || (n != 32 && n != 64))
        return error_set(error, "--linux-entry: '%s' is neither 32 nor 64", value);
    config->linux_entry = (u32)n;
    return true;
}

bool option_qemu_compat(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->qemu_compat = true;
    return true;
}
