/* SPDX-License-Identifier: MIT */
/* Numbers and property lists, and the options of the machine itself. */
#include "machine/config_values.h"

#include "base/log.h"
#include "host/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- values ---- */

bool property_next(const char **list, struct property *out)
{
    const char *at = *list;
    const size_t length = strcspn(at, ",");
    const size_t key = strcspn(at, "=,");

    if (*at == '\0')
        return false;
    memset(out, 0, sizeof(*out));
    memcpy(out->key, at, key < sizeof(out->key) ? key : sizeof(out->key) - 1);
    if (key < length) {
        const size_t value = length - key - 1;
        const size_t room = sizeof(out->value) - 1;

        memcpy(out->value, at + key + 1, value < room ? value : room);
    }
    *list = at + length + (at[length] == ',');
    return true;
}

bool parse_u64(const char *text, u64 *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0';
}

bool parse_switch(const char *text, bool *value)
{
    static const char *const yes[] = {"on", "yes", "true", "y"};
    static const char *const no[] = {"off", "no", "false", "n"};

    for (u32 i = 0; i < ARRAY_SIZE(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* log2 of a size suffix, or 64. */
static u32 suffix_shift(const char *text)
{
    static const struct {
        const char *suffix;
        u32 shift;
    } rows[] = {{"", 20}, {"b", 0}, {"k", 10}, {"m", 20}, {"g", 30}, {"t", 40}};

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcasecmp(text, rows[i].suffix) == 0)
            return rows[i].shift;
    return 64;
}

bool parse_size(const char *text, u64 *bytes)
{
    u64 whole = 0, tenth = 0;
    u32 shift;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    whole = strtoull(text, &end, 0);
    if (end[0] == '.' && end[1] >= '0' && end[1] <= '9') {
        tenth = (u64)(end[1] - '0');
        end += 2;
    }
    shift = suffix_shift(end);
    if (errno != 0 || shift == 64 || whole >= (u64)1 << (63 - shift))
        return false;
    *bytes = (whole << shift) + (tenth << shift) / 10;
    return true;
}

/* ---- the image ---- */

bool option_kernel(struct config *config, const char *value, struct error *error)
{
    (void)error;
    config->kernel = value;
    return true;
}

bool option_initrd(struct config *config, const char *value, struct error *error)
{
    (void)error;
    config->initrd = value;
    return true;
}

bool option_append(struct config *config, const char *value, struct error *error)
{
    (void)error;
    config->append = value;
    return true;
}

/* ---- the machine ---- */

bool option_memory(struct config *config, const char *value, struct error *error)
{
    struct property p;
    u64 bytes;

    while (property_next(&value, &p)) {
        const char *size = p.value[0] != '\0' ? p.value : p.key;

        if (p.value[0] != '\0' && strcmp(p.key, "size") != 0) {
            config_warn("-m %s= ignored (memory cannot be added later)", p.key);
            continue;
        }
        if (!parse_size(size, &bytes))
            return error_set(error, "-m: '%s' is not a size", size);
        if (bytes < BOARD_RAM_MIN || bytes > (u64)64 << 30)
            return error_set(error, "-m: %s is not between 2M and 64G", size);
        config->ram = bytes & ~PAGE_OFFSET_MASK;
    }
    return true;
}

bool option_smp(struct config *config, const char *value, struct error *error)
{
    u64 cpus = 0, factor = 1;
    struct property p;

    while (property_next(&value, &p)) {
        const bool is_count = p.value[0] == '\0' || strcmp(p.key, "cpus") == 0;
        const char *text = p.value[0] == '\0' ? p.key : p.value;
        u64 n;

        if (!parse_u64(text, &n) || n == 0 || n > 1024)
            return error_set(error, "-smp: '%s' is not a number of CPUs", text);
        if (is_count)
            cpus = n;
        else if (strcmp(p.key, "sockets") == 0 || strcmp(p.key, "cores") == 0 ||
                 strcmp(p.key, "threads") == 0 || strcmp(p.key, "dies") == 0)
            factor *= n;
        else if (strcmp(p.key, "maxcpus") != 0)
            return error_set(error, "-smp: no such property '%s'", p.key);
    }
    if (cpus == 0)
        cpus = factor;
    if (cpus > BOARD_CPUS)
        return error_set(error,
                         "invalid number of SMP CPUs %llu: the most that machine 'pc' has is %d",
                         (unsigned long long)cpus, BOARD_CPUS);
    config->cpus = (u32)cpus;
    return true;
}

static void print_line(const char *text)
{
    (void)printf("%s\n", text);
}

bool option_cpu(struct config *config, const char *value, struct error *error)
{
    (void)error;
    config->cpu_text = value;
    if (strcmp(value, "help") == 0 || strcmp(value, "?") == 0)
        cpu_config_help(print_line);
    return true;
}

bool option_accel(struct config *config, const char *value, struct error *error)
{
    const char *list = value;
    struct property p;

    (void)config;
    if (strcmp(value, "help") == 0 || strcmp(value, "?") == 0) {
        (void)printf("Accelerators supported:\nnestbox\ntcg\n");
        return true;
    }
    if (!property_next(&list, &p))
        return error_set(error, "-accel: no name");
    if (strcmp(p.key, "tcg") != 0 && strcmp(p.key, "nestbox") != 0)
        config_warn("-accel %s ignored (nestbox needs no virtualization support of the host)",
                    p.key);
    return true;
}

/* Switches of -machine that this board has. */
static bool machine_switch(struct config *config, const struct property *p, struct error *error)
{
    bool *target = strcmp(p->key, "pit") == 0    ? &config->pit
                   : strcmp(p->key, "hpet") == 0 ? &config->hpet
                   : strcmp(p->key, "acpi") == 0 ? &config->acpi
                                                 : NULL;

    if (target == NULL) {
        config_warn("-machine %s=%s ignored (no such property)", p->key, p->value);
        return true;
    }
    return parse_switch(p->value, target) ||
           error_set(error, "-machine %s: '%s' is neither on nor off", p->key, p->value);
}

/* IA32_FEATURE_CONTROL after RESET. */
static bool machine_feature_control(struct config *config, const char *value, struct error *error)
{
    config->feature_control_locked = strcmp(value, "locked-on") == 0;
    return config->feature_control_locked || strcmp(value, "open") == 0 ||
           error_set(error, "-machine feature-control: '%s' is neither open nor locked-on", value);
}

static bool machine_type(const char *name, struct error *error)
{
    if (strcmp(name, "pc") == 0 || strncmp(name, "pc-i440fx", 9) == 0)
        return true;
    if (strcmp(name, "q35") != 0 && strncmp(name, "pc-q35", 6) != 0)
        return error_set(error, "-machine: no machine '%s'; there is pc", name);
    config_warn("-machine %s ignored (the machine is pc)", name);
    return true;
}

bool option_machine(struct config *config, const char *value, struct error *error)
{
    struct property p;

    if (strcmp(value, "help") == 0 || strcmp(value, "?") == 0) {
        (void)printf("Supported machines are:\npc    440FX/PIIX3 PC (default)\n");
        return true;
    }
    while (property_next(&value, &p)) {
        if (p.value[0] == '\0' || strcmp(p.key, "type") == 0) {
            if (!machine_type(p.value[0] == '\0' ? p.key : p.value, error))
                return false;
        } else if (strcmp(p.key, "accel") == 0) {
            if (!option_accel(config, p.value, error))
                return false;
        } else if (strcmp(p.key, "feature-control") == 0) {
            if (!machine_feature_control(config, p.value, error))
                return false;
        } else if (!machine_switch(config, &p, error)) {
            return false;
        }
    }
    return true;
}

/* ---- devices ---- */

static bool add_debug_exit(struct config *config, const char *list, struct error *error)
{
    u64 base = 0x501, size = 2;
    struct property p;

    while (property_next(&list, &p)) {
        u64 *target = strcmp(p.key, "iobase") == 0   ? &base
                      : strcmp(p.key, "iosize") == 0 ? &size
                                                     : NULL;

        if (strcmp(p.key, "id") == 0)
            continue;
        if (target == NULL || !parse_u64(p.value, target))
            return error_set(error, "-device isa-debug-exit: bad property '%s=%s'", p.key, p.value);
    }
    if (base == 0 || base > 0xffff || size == 0 || size > 4 || base + size > 0x10000)
        return error_set(error, "-device isa-debug-exit: ports 0x%llx to 0x%llx do not exist",
                         (unsigned long long)base, (unsigned long long)(base + size - 1));
    config->debug_exit = true;
    config->debug_exit_port = (u16)base;
    config->debug_exit_size = (u32)size;
    return true;
}

static bool add_debugcon(struct config *config, const char *list, struct error *error)
{
    struct property p;
    u64 base = 0xe9;

    while (property_next(&list, &p)) {
        char backend[512];

        if (strcmp(p.key, "iobase") == 0) {
            if (!parse_u64(p.value, &base) || base != 0xe9)
                return error_set(error, "-device isa-debugcon: the port is 0xe9");
        } else if (strcmp(p.key, "chardev") == 0) {
            (void)snprintf(backend, sizeof(backend), "chardev:%s", p.value);
            if (!parse_backend(config, backend, &config->debug_console, error))
                return false;
        }
    }
    return true;
}

static void print_devices(void)
{
    (void)printf("name \"isa-debug-exit\", bus ISA, desc \"ends the run with a status\"\n"
                 "name \"isa-debugcon\", bus ISA, desc \"debug console at port 0xe9\"\n"
                 "name \"pc-testdev\", bus ISA, desc \"test device of kvm-unit-tests\"\n"
                 "name \"pci-testdev\", bus PCI, desc \"PCI test device\"\n");
}

static bool is_later_device(const char *name)
{
    static const char *const prefixes[] = {"virtio", "virtserial", "virtconsole", "ide-", "VGA",
                                           "e1000",  "piix3",      "ahci",        "vhost"};

    for (u32 i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

bool option_device(struct config *config, const char *value, struct error *error)
{
    struct property p;

    if (strcmp(value, "help") == 0 || strcmp(value, "?") == 0) {
        print_devices();
        return true;
    }
    if (!property_next(&value, &p))
        return error_set(error, "-device: no name");
    if (strcmp(p.key, "isa-debug-exit") == 0)
        return add_debug_exit(config, value, error);
    if (strcmp(p.key, "isa-debugcon") == 0)
        return add_debugcon(config, value, error);
    if (strcmp(p.key, "pc-testdev") == 0)
        config->pc_testdev = true;
    else if (strcmp(p.key, "pci-testdev") == 0)
        config->pci_testdev = true;
    else if (is_later_device(p.key))
        return error_set(error, "-device %s belongs to a later release", p.key);
    else
        return error_set(error, "-device %s is not supported (-device help lists what there is)",
                         p.key);
    return true;
}

bool option_no_acpi(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->acpi = false;
    return true;
}

bool option_no_hpet(struct config *config, const char *value, struct error *error)
{
    (void)value;
    (void)error;
    config->hpet = false;
    return true;
}
