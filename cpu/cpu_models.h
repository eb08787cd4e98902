/* SPDX-License-Identifier: MIT */
/* CPU models and the table of features, for cpuid.c, cpu_config.c and their tests. */
#ifndef CPU_CPU_MODELS_H
#define CPU_CPU_MODELS_H

#include "base/types.h"
#include "cpu/features.h"

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* One row per feature: where CPUID shows it. */
struct feature_def {
    enum cpu_feature feature;
    const char *name; /* as QEMU calls it */
    const char *alias; /* another usual name, or NULL */
    u32 leaf; /* FEATURE_HIDDEN: CPUID has no bit for it */
    u8 subleaf;
    u8 reg; /* enum cpuid_register */
    u8 bit;
    bool later; /* belongs to a later version: asking for it warns and changes nothing */
    enum cpu_feature needs; /* off without it; F_ALWAYS: nothing */
};

#define FEATURE_HIDDEN (~(u32)0)

extern const struct feature_def feature_table[];
extern const u32 feature_table_rows;

struct cpu_model {
    const char *name;
    const char *note; /* one line for -cpu help */
    const char *vendor; /* 12 characters */
    u32 signature; /* CPUID.1:EAX */
    u32 level; /* highest basic leaf, unless a feature needs more */
    u32 extended_level; /* highest extended leaf; 0: none */
    u32 phys_bits;
    u64 ucode_rev; /* IA32_BIOS_SIGN_ID */
    const u8 *sets[8]; /* lists of enum cpu_feature, closed by F_ALWAYS */
};

extern const struct cpu_model cpu_models[];
extern const u32 cpu_models_count;

/* Other names that -cpu takes. exact: the very same thing; else a stand-in, with a warning. */
struct cpu_alias {
    const char *name, *model;
    bool exact;
};

extern const struct cpu_alias cpu_aliases[];
extern const u32 cpu_aliases_count;

#endif
