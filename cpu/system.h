/* SPDX-License-Identifier: MIT */
/* Control registers, MSRs, CPUID and CPU models. */
#ifndef CPU_SYSTEM_H
#define CPU_SYSTEM_H

#include "base/error.h"
#include "cpu/vcpu.h"

/* MOV to CR0, CR3, CR4, CR8 / XCR0 / EFER with all checks and consequences (PDPTE loads, mode
 * changes). false: #GP(0) in v->event, nothing changed. SDM Vol 3A 2.5, 4.4.1. */
MUST_CHECK bool cr0_write(struct vcpu *v, u64 value);
MUST_CHECK bool cr3_write(struct vcpu *v, u64 value);
MUST_CHECK bool cr4_write(struct vcpu *v, u64 value);
MUST_CHECK bool xcr0_write(struct vcpu *v, u64 value);
MUST_CHECK bool efer_write(struct vcpu *v, u64 value);

/* MOV to and from DR0..DR7, CPL already checked: #UD for DR4 and DR5 under CR4.DE, #DB under
 * DR7.GD, #GP for reserved upper halves. SDM Vol 3A 18.2. */
MUST_CHECK bool dr_read(struct vcpu *v, u32 index, u64 *value);
MUST_CHECK bool dr_write(struct vcpu *v, u32 index, u64 value);

/* MONITOR and MWAIT (cpu/monitor.c): arm a line by its linear address; wait for a store to it. */
MUST_CHECK bool monitor_arm(struct vcpu *v, u64 la);
void monitor_wait(struct vcpu *v, bool interrupts_break);
/* Has the armed line changed since? */
bool monitor_hit(const struct vcpu *v);

/* May the program access these ports, by IOPL and the TSS's bitmap? false: #GP(0) is raised. */
MUST_CHECK bool io_allowed(struct vcpu *v, u16 port, u32 size);

/* RDMSR, WRMSR: one row per MSR in msr.c. false: #GP(0) is raised. */
MUST_CHECK bool msr_read(struct vcpu *v, u32 index, u64 *value);
MUST_CHECK bool msr_write(struct vcpu *v, u32 index, u64 value);

/* RDPMC: AMD's legacy counters. */
enum { AMD_COUNTERS = 4 };

/* Power-on values of the MSRs that have one (part of vcpu_reset). */
void msr_reset(struct vcpu *v);

/* Guest TSC now (time must be committed). */
u64 tsc_read(const struct vcpu *v);

struct cpuid_result {
    u32 eax, ebx, ecx, edx;
};
struct cpuid_result cpuid(const struct vcpu *v, u32 leaf, u32 subleaf);

/* After the model and the features are set: finds the highest leaves. */
void cpuid_configure(struct vcpu *v);

/* A value as -cpu takes it: MODEL[,+f][,-f][,f=on|off][,vendor=ID][,phys-bits=N]. Unknown features
 * give a line through warn() and are ignored, as scripts for QEMU expect; an unknown model is an
 * error. */
struct cpu_config {
    const struct cpu_model *model;
    u64 features[(FEATURE_COUNT + 63) / 64];
    u64 asked[(FEATURE_COUNT + 63) / 64]; /* switched on by name */
    char vendor[13];
    u32 phys_bits; /* 40..46 */
};
MUST_CHECK bool cpu_config_parse(struct cpu_config *config, const char *text,
                                 void (*warn)(const char *line), struct error *error);
/* Give a CPU its configuration; before vcpu_reset. cpus: in the machine; index: of this one. */
void vcpu_configure(struct vcpu *v, const struct cpu_config *config, u32 index, u32 cpus, u64 seed);
/* One line per model / feature, for -cpu help. */
void cpu_config_help(void (*line)(const char *text));

#endif
