/* SPDX-License-Identifier: MIT */
/* The value of -cpu: MODEL and feature switches in QEMU's syntax, and giving a CPU the result. */
#include "cpu/control.h"
#include "cpu/cpu_models.h"
#include "cpu/system.h"
#include "cpu/vmx/caps.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORD_MAX = 64 };

static void set_feature(u64 *features, enum cpu_feature feature, bool on)
{
    const u64 bit = BIT(feature % 64);

    features[feature / 64] = on ? features[feature / 64] | bit : features[feature / 64] & ~bit;
}

static bool feature_on(const u64 *features, enum cpu_feature feature)
{
    return (features[feature / 64] >> (feature % 64) & 1) != 0;
}

static const struct cpu_model *find_model(const char *name)
{
    for (u32 i = 0; i < cpu_models_count; i++) {
        if (strcmp(cpu_models[i].name, name) == 0)
            return &cpu_models[i];
    }
    return NULL;
}

/* Versioned names (Skylake-Server-v4, IvyBridge-IBRS) stand for their base. */
static const struct cpu_alias *find_alias(const char *name)
{
    const struct cpu_alias *best = NULL;

    for (u32 i = 0; i < cpu_aliases_count; i++) {
        const struct cpu_alias *alias = &cpu_aliases[i];
        const size_t length = strlen(alias->name);

        if (strncmp(alias->name, name, length) == 0 &&
            (name[length] == '\0' || (name[length] == '-' && !alias->exact)) &&
            (best == NULL || length > strlen(best->name)))
            best = alias;
    }
    return best;
}

static const struct feature_def *find_feature(const char *name)
{
    for (u32 i = 0; i < feature_table_rows; i++) {
        const struct feature_def *def = &feature_table[i];

        if (strcmp(def->name, name) == 0 || (def->alias != NULL && strcmp(def->alias, name) == 0))
            return def;
    }
    return NULL;
}

/* "<what> <name><rest>" */
static void warn_line(void (*warn)(const char *line), const char *what, const char *name,
                      const char *rest)
{
    char line[192];

    if (warn == NULL)
        return;
    (void)snprintf(line, sizeof(line), "%s %s%s", what, name, rest);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') /* a warning is one line */
            *c = '?';
    warn(line);
}

static bool choose_model(struct cpu_config *config, const char *name,
                         void (*warn)(const char *line), struct error *error)
{
    config->model = find_model(name);
    if (config->model == NULL) {
        const struct cpu_alias *alias = find_alias(name);

        if (alias == NULL)
            return error_set(error, "-cpu %s: no such model (-cpu help lists them)", name);
        config->model = find_model(alias->model);
        if (!alias->exact) {
            char rest[WORD_MAX];

            (void)snprintf(rest, sizeof(rest), " is not built: %s stands in", alias->model);
            warn_line(warn, "CPU model", name, rest);
        }
    }
    config->phys_bits = config->model->phys_bits;
    memcpy(config->vendor, config->model->vendor, 12);
    config->vendor[12] = '\0';
    for (u32 i = 0; i < ARRAY_SIZE(config->model->sets) && config->model->sets[i] != NULL; i++) {
        for (const u8 *f = config->model->sets[i]; *f != F_ALWAYS; f++)
            set_feature(config->features, *f, true);
    }
    return true;
}

static void switch_feature(struct cpu_config *config, const char *name, bool on,
                           void (*warn)(const char *line))
{
    const struct feature_def *def = find_feature(name);

    if (def == NULL) {
        if (on)
            warn_line(warn, "-cpu: unknown feature", name, " ignored");
    } else if (def->later) {
        if (on)
            warn_line(warn, "-cpu: feature", name, " is not built");
    } else {
        set_feature(config->features, def->feature, on);
        set_feature(config->asked, def->feature, on);
    }
}

/* Properties of QEMU's that say nothing about what the guest sees here. */
static bool is_ignored(const char *key)
{
    static const char *const names[] = {
        "migratable",
        "host-phys-bits",
        "host-phys-bits-limit",
        "host-cache-info",
        "l3-cache",
        "enforce",
        "check",
        "kvm",
        "pmu",
        "lmce",
        "cpuid-0xb",
        "fill-mtrr-mask",
        "min-level",
        "min-xlevel",
        "full-cpuid-auto-level",
        "tcg-cpuid",
        "hotpluggable",
    };

    for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], key) == 0)
            return true;
    }
    return false;
}

static bool set_phys_bits(struct cpu_config *config, const char *value, struct error *error)
{
    char *end;
    const unsigned long bits = strtoul(value, &end, 10);

    if (end == value || *end != '\0' || bits < 36 || bits > 46)
        return error_set(error, "-cpu: phys-bits=%s: must be 36..46", value);
    config->phys_bits = (u32)bits;
    return true;
}

static bool set_property(struct cpu_config *config, const char *key, const char *value,
                         void (*warn)(const char *line), struct error *error)
{
    const bool on = strcmp(value, "on") == 0 || strcmp(value, "true") == 0;
    const bool off =
        strcmp(value, "off") == 0 || strcmp(value, "false") == 0 || strcmp(value, "no") == 0;

    if (strcmp(key, "phys-bits") == 0)
        return set_phys_bits(config, value, error);
    if (strcmp(key, "vendor") == 0) {
        if (strlen(value) != 12)
            return error_set(error, "-cpu: vendor=%s: must be 12 characters", value);
        memcpy(config->vendor, value, 12);
        return true;
    }
    if (is_ignored(key))
        return true;
    if (find_feature(key) != NULL && (on || off))
        switch_feature(config, key, on, warn);
    else if (find_feature(key) != NULL)
        return error_set(error, "-cpu: %s=%s: must be on or off", key, value);
    else if (!off)
        warn_line(warn, "-cpu: property", key, " ignored");
    return true;
}

static void drop_feature(struct cpu_config *config, const struct feature_def *def,
                         void (*warn)(const char *line))
{
    char rest[WORD_MAX] = "";

    set_feature(config->features, def->feature, false);
    if (!feature_on(config->asked, def->feature))
        return;
    for (u32 i = 0; i < feature_table_rows; i++) {
        if (feature_table[i].feature == def->needs)
            (void)snprintf(rest, sizeof(rest), " is off, as it needs %s", feature_table[i].name);
    }
    warn_line(warn, "-cpu: feature", def->name, rest);
}

/* Features whose base is missing go too, until nothing changes. */
static void drop_dependents(struct cpu_config *config, void (*warn)(const char *line))
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (u32 i = 0; i < feature_table_rows; i++) {
            const struct feature_def *def = &feature_table[i];

            if (def->needs != F_ALWAYS && feature_on(config->features, def->feature) &&
                !feature_on(config->features, def->needs)) {
                drop_feature(config, def, warn);
                changed = true;
            }
        }
    }
}

/* Copy the text up to a comma. False: too long. */
static bool next_word(const char **at, char *word)
{
    size_t length = 0;

    for (; **at != '\0' && **at != ','; (*at)++) {
        if (length == WORD_MAX - 1)
            return false;
        word[length++] = **at;
    }
    word[length] = '\0';
    if (**at == ',')
        (*at)++;
    return true;
}

/* Names of features and properties are the same with '_' and with '-'. */
static void use_dashes(char *word)
{
    for (; *word != '\0' && *word != '='; word++) {
        if (*word == '_')
            *word = '-';
    }
}

/* "max,+svm" is the AMD model with everything, as scripts for QEMU expect. */
static bool wants_svm(const char *text)
{
    static const char *const words[] = {"+svm", "svm", "svm=on"};
    char word[WORD_MAX];

    while (*text != '\0' && next_word(&text, word)) {
        for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
            if (strcmp(word, words[i]) == 0)
                return true;
        }
    }
    return false;
}

bool cpu_config_parse(struct cpu_config *config, const char *text, void (*warn)(const char *line),
                      struct error *error)
{
    char word[WORD_MAX];
    const char *at = text;

    *config = (struct cpu_config){0};
    if (!next_word(&at, word))
        return error_set(error, "-cpu: word of more than %d characters", WORD_MAX - 1);
    if ((strcmp(word, "max") == 0 || strcmp(word, "host") == 0) && wants_svm(at))
        (void)snprintf(word, sizeof(word), "amd-max");
    if (!choose_model(config, word, warn, error))
        return false;
    while (*at != '\0') {
        char *equals;

        if (!next_word(&at, word))
            return error_set(error, "-cpu: word of more than %d characters", WORD_MAX - 1);
        use_dashes(word);
        equals = strchr(word, '=');
        if (word[0] == '+' || word[0] == '-') {
            switch_feature(config, word + 1, word[0] == '+', warn);
        } else if (equals != NULL) {
            *equals = '\0';
            if (!set_property(config, word, equals + 1, warn, error))
                return false;
        } else if (!is_ignored(word)) {
            switch_feature(config, word, true, warn);
        }
    }
    drop_dependents(config, warn);
    if (feature_on(config->features, F_VMX) && feature_on(config->features, F_SVM))
        return error_set(error, "-cpu: vmx and svm: a CPU has one of them");
    return true;
}

/* SplitMix64: spreads the seed over the generator's state, another one for each CPU. */
static u64 split_mix(u64 *x)
{
    u64 z = *x += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void vcpu_configure(struct vcpu *v, const struct cpu_config *config, u32 index, u32 cpus, u64 seed)
{
    u64 x = seed ^ ((u64)index << 56);

    v->model = config->model;
    memcpy(v->features, config->features, sizeof(v->features));
    memcpy(v->vendor, config->vendor, sizeof(v->vendor));
    v->amd = memcmp(config->vendor, "AuthenticAMD", 12) == 0;
    v->signature = config->model->signature;
    v->index = index;
    v->cpus = cpus;
    v->state.ucode_rev = config->model->ucode_rev;
    for (unsigned i = 0; i < ARRAY_SIZE(v->state.random); i++)
        v->state.random[i] = split_mix(&x);
    vcpu_set_phys_bits(v, config->phys_bits);
    cpuid_configure(v);
    vmx_configure(v);
}

void cpu_config_help(void (*line)(const char *text))
{
    char text[128];

    line("CPU models:");
    for (u32 i = 0; i < cpu_models_count; i++) {
        (void)snprintf(text, sizeof(text), "  %-10s %s", cpu_models[i].name, cpu_models[i].note);
        line(text);
    }
    line("  host       the same as max");
    line("Features:");
    for (u32 i = 0; i < feature_table_rows; i++) {
        if (feature_table[i].later)
            continue;
        (void)snprintf(text, sizeof(text), "  %s", feature_table[i].name);
        line(text);
    }
}
