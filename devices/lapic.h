/* SPDX-License-Identifier: MIT */
/*
 * Local APIC (SDM Vol 3A chapter 11; xAPIC, x2APIC, TSC deadline), one per CPU, and the bus that
 * joins up to eight of them with the IOAPICs and the 8259 pair. The timer counts nanoseconds of
 * virtual time. Left out: CMCI, remote read, 82489DX.
 *
 * Wiring: lapic_bus_create(); pic_create(bus, lapic_bus_pic_line(lb), ...); lapic_bus_set_pic(lb,
 * pic); lapic_create() per CPU in order of their number; ioapic_create(lb, ...).
 */
#ifndef DEVICES_LAPIC_H
#define DEVICES_LAPIC_H

#include "base/error.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

enum { LAPIC_MAX = 8, LAPIC_VERSION = 0x14 };

/* Local vector table entries, in the order of their registers 320h..370h. */
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* Delivery modes in ICR, LVT, redirection entries and MSI data. */
enum apic_delivery {
    APIC_FIXED,
    APIC_LOWEST,
    APIC_SMI,
    APIC_REMOTE_READ,
    APIC_NMI,
    APIC_INIT,
    APIC_SIPI,
    APIC_EXTINT,
};

struct lapic_state {
    u64 base; /* IA32_APIC_BASE */
    u64 icr; /* x2APIC layout: destination in bits 63:32 (xAPIC: 63:56) */
    u64 timer_start; /* ns at which the timer held the initial count */
    u64 tsc_deadline; /* in TSC ticks, 0: not armed */
    u64 tsc_offset; /* TSC - ns, told by the CPU */
    u32 irr[8], isr[8], tmr[8];
    u32 lvt[LVT_COUNT];
    u32 id; /* xAPIC: 8 bits; x2APIC: 32 bits */
    u32 ldr, dfr, svr, tpr;
    u32 esr, esr_pending;
    u32 timer_initial, timer_divide; /* TMICT, TDCR as written */
    u8 timer_running;
    u8 extint; /* an ExtINT message from an IOAPIC waits for its acknowledge */
    u8 lint0, lint1; /* input levels */
    u8 reserved[8];
};

struct lapic;
struct lapic_bus;
struct pic;

struct lapic_config {
    u32 id; /* initial APIC ID, below 255 */
    bool bsp;
    bool x2apic; /* CPUID offers x2APIC */
    bool deadline; /* CPUID offers TSC deadline */
    u32 phys_bits; /* MAXPHYADDR, for the reserved bits of IA32_APIC_BASE */
    struct cpu_port cpu;
    /* Told when the MMIO page appears, moves or goes (and again by reset and post_load). May be
     * NULL. */
    void (*page)(void *ctx, bool enabled, u64 page);
    void *page_ctx;
};

/* ---- the bus ---- */
struct lapic_bus *lapic_bus_create(void);
void lapic_bus_destroy(struct lapic_bus *bus);
/* INTR of the 8259 pair: LINT0 of all CPUs. */
struct irq_line lapic_bus_pic_line(struct lapic_bus *bus);
/* Board NMI: LINT1 of all CPUs. */
struct irq_line lapic_bus_nmi_line(struct lapic_bus *bus);
void lapic_bus_set_pic(struct lapic_bus *bus, struct pic *pic);
/* An interrupt message from an IOAPIC or an MSI; dest is 8 bits. Returns false if no APIC took it.
 */
bool lapic_bus_message(struct lapic_bus *bus, u8 dest, bool logical, enum apic_delivery mode,
                       u8 vector, bool level);
/* A DMA write to FEExxxxx (MSI, SDM Vol 3A 11.11). */
void lapic_bus_msi(struct lapic_bus *bus, u64 address, u32 data);
/* eoi is called for each EOI of a level-triggered vector; at most two listeners (IOAPICs). */
void lapic_bus_add_eoi(struct lapic_bus *bus, void (*eoi)(void *ctx, u8 vector), void *ctx);

/* ---- one APIC ---- */
/* Returns NULL (and the reason) if the bus is full or the id is taken. */
struct lapic *lapic_create(struct clock *clock, struct lapic_bus *bus,
                           const struct lapic_config *config, struct error *error);
struct device lapic_device(struct lapic *lapic);
/* What INIT does to it: as reset, but keeps its ID, IA32_APIC_BASE and the TSC offset.
 * SDM 11.4.7.3. */
void lapic_init(struct lapic *lapic);
/* A deliverable interrupt waits (the level of CPU_INTR). */
bool lapic_has_interrupt(const struct lapic *lapic);
/* Acknowledge it: ExtINT from the 8259 first, then the highest fixed vector; the spurious vector if
 * there is none any more. */
u8 lapic_ack(struct lapic *lapic);
/* CR8 (0..15). Works in all modes, also with the APIC off. */
u64 lapic_tpr_read(const struct lapic *lapic);
void lapic_tpr_write(struct lapic *lapic, u64 cr8);
/* What a write to the EOI register does. */
void lapic_eoi(struct lapic *l);
/* IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h), x2APIC registers (800h..8FFh). false: #GP(0). */
MUST_CHECK bool lapic_msr_read(struct lapic *lapic, u32 index, u64 *value);
MUST_CHECK bool lapic_msr_write(struct lapic *lapic, u32 index, u64 value);
/* TSC = ns + offset from now on. */
void lapic_set_tsc_offset(struct lapic *lapic, u64 offset);
u32 lapic_initial_id(const struct lapic *lapic);
/* IA32_APIC_BASE.EN: CPUID.1:EDX.APIC follows it. */
bool lapic_enabled(const struct lapic *lapic);
/* Local events from the CPU: LVT_THERMAL, LVT_PERF. */
void lapic_local_event(struct lapic *lapic, enum lapic_lvt entry);
/* The MMIO page, offset 0..FFFh. ctx is the struct lapic. */
u64 lapic_mmio_read(void *ctx, u64 offset, u32 size);
void lapic_mmio_write(void *ctx, u64 offset, u32 size, u64 value);

#endif
