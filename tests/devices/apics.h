/* SPDX-License-Identifier: MIT */
/* Up to eight CPUs with local APICs, the 8259 pair and an I/O APIC; signals are recorded. */
#ifndef TESTS_DEVICES_APICS_H
#define TESTS_DEVICES_APICS_H

#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pic.h"
#include "tests/devices/rig.h"

enum {
    APIC_ID = 0x20,
    APIC_VERSION = 0x30,
    APIC_TPR = 0x80,
    APIC_PPR = 0xa0,
    APIC_EOI = 0xb0,
    APIC_LDR = 0xd0,
    APIC_DFR = 0xe0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR = 0x300,
    APIC_ICR2 = 0x310,
    APIC_LVTT = 0x320,
    APIC_LVTPC = 0x340,
    APIC_LVT0 = 0x350,
    APIC_LVT1 = 0x360,
    APIC_LVTERR = 0x370,
    APIC_TMICT = 0x380,
    APIC_TMCCT = 0x390,
    APIC_TDCR = 0x3e0,
    APIC_SELF = 0x3f0,
    MSR_BASE = 0x1b,
    MSR_DEADLINE = 0x6e0,
    BASE_EN = 0x800,
    BASE_EXTD = 0x400,
};

struct apic_cpu {
    bool intr;
    u32 edges[8]; /* by enum cpu_signal */
    u32 vector;
    bool page;
    u64 page_at;
};

struct apics {
    struct rig rig;
    struct lapic_bus *bus;
    struct pic *pic;
    struct ioapic *ioapic;
    struct lapic *cpu[LAPIC_MAX];
    struct apic_cpu seen[LAPIC_MAX];
};

static inline void apics_signal(void *ctx, enum cpu_signal signal, u32 value)
{
    struct apic_cpu *cpu = ctx;

    if (signal == CPU_INTR)
        cpu->intr = value;
    else
        cpu->edges[signal]++;
    if (signal == CPU_SIPI)
        cpu->vector = value;
}

static inline void apics_page(void *ctx, bool enabled, u64 page)
{
    struct apic_cpu *cpu = ctx;

    cpu->page = enabled;
    cpu->page_at = page;
}

static inline void apics_init(struct apics *a, u32 cpus)
{
    memset(a, 0, sizeof(*a));
    rig_init(&a->rig);
    a->bus = lapic_bus_create();
    a->pic = pic_create(a->rig.bus, lapic_bus_pic_line(a->bus), &a->rig.error);
    lapic_bus_set_pic(a->bus, a->pic);
    for (u32 i = 0; i < cpus; i++) {
        const struct lapic_config config = {.id = i,
                                            .bsp = i == 0,
                                            .x2apic = true,
                                            .deadline = true,
                                            .phys_bits = 40,
                                            .cpu = {apics_signal, &a->seen[i]},
                                            .page = apics_page,
                                            .page_ctx = &a->seen[i]};

        a->cpu[i] = lapic_create(&a->rig.clock, a->bus, &config, &a->rig.error);
        ck_assert_ptr_nonnull(a->cpu[i]);
        lapic_mmio_write(a->cpu[i], APIC_SVR, 4, 0x1ff);
    }
    a->ioapic = ioapic_create(a->bus, 0, &a->rig.error);
}

static inline u32 apic_get(struct apics *a, u32 cpu, u64 reg)
{
    return (u32)lapic_mmio_read(a->cpu[cpu], reg, 4);
}

static inline void apic_set(struct apics *a, u32 cpu, u64 reg, u32 value)
{
    lapic_mmio_write(a->cpu[cpu], reg, 4, value);
}

static inline bool apic_bit(struct apics *a, u32 cpu, u64 reg, u32 vector)
{
    return apic_get(a, cpu, reg + vector / 32 * 16) >> vector % 32 & 1;
}

static inline bool apic_wrmsr(struct apics *a, u32 cpu, u32 index, u64 value)
{
    return lapic_msr_write(a->cpu[cpu], index, value);
}

static inline u64 apic_rdmsr(struct apics *a, u32 cpu, u32 index)
{
    u64 value = 0;

    ck_assert(lapic_msr_read(a->cpu[cpu], index, &value));
    return value;
}

static inline void apic_x2(struct apics *a, u32 cpu)
{
    ck_assert(apic_wrmsr(a, cpu, MSR_BASE, apic_rdmsr(a, cpu, MSR_BASE) | BASE_EXTD));
}

static inline void apic_send(struct apics *a, u32 cpu, u32 icr, u32 dest)
{
    apic_set(a, cpu, APIC_ICR2, dest << 24);
    apic_set(a, cpu, APIC_ICR, icr);
}

#endif
