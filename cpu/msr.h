/* SPDX-License-Identifier: MIT */
/* The MSR table: one row per register (or run of registers), for msr.c and its tests. */
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include "cpu/vcpu.h"

enum msr_vendor { MSR_ANY, MSR_INTEL, MSR_AMD };

struct msr_def;
/* index is the register's own, within the row's run. false: #GP(0) is raised. */
typedef bool (*msr_reader)(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value);
typedef bool (*msr_writer)(struct vcpu *v, const struct msr_def *def, u32 index, u64 value);

struct msr_def {
    u32 index;
    u32 count; /* registers in the run */
    const char *name;
    enum cpu_feature feature; /* #GP(0) without it */
    enum msr_vendor vendor;
    u32 offset; /* in struct cpu_state; MSR_NO_STATE: none, reads give `reset` */
    u64 writable; /* bits that a write stores; the others keep their value */
    u64 reserved; /* bits that raise #GP(0) if set in a write */
    u64 reset; /* after RESET */
    msr_reader read;
    msr_writer write;
    const char *ref; /* where it is described */
};

#define MSR_NO_STATE (~(u32)0)

/* See vcpu.state.amd[]. */
enum amd_slot {
    AMD_SYSCFG,
    AMD_HWCR,
    AMD_TOP_MEM,
    AMD_TOP_MEM2,
    AMD_DE_CFG,
    AMD_LS_CFG,
    AMD_DC_CFG,
    AMD_MMIO_CONF,
    AMD_NB_CFG,
    AMD_INT_PENDING,
    AMD_BP_CFG,
};

#define HWCR_SMMLOCK BIT(0) /* SMM is the firmware's: APM Vol 2 15.32 */

extern const struct msr_def msr_table[];
extern const u32 msr_table_rows;

/* The row of an MSR that this CPU has, or NULL. */
const struct msr_def *msr_find(const struct vcpu *v, u32 index);

#endif
