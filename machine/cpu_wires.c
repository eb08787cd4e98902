/* SPDX-License-Identifier: MIT */
/* What the board gives each CPU (struct cpu_wires) and what the local APIC tells it. */
#include "machine/cpu_wires.h"

#include "base/check.h"
#include "cpu/control.h"
#include "cpu/event.h"
#include "devices/ports.h"

static const struct mmio_ops lapic_mmio = {lapic_mmio_read, lapic_mmio_write};

/* ---- from the CPU ---- */

static u32 wire_port_read(void *ctx, u16 port, u32 size)
{
    struct board_cpu *cpu = ctx;

    return bus_read(cpu->board->bus, port, size);
}

static void wire_port_write(void *ctx, u16 port, u32 size, u32 value)
{
    struct board_cpu *cpu = ctx;

    bus_write(cpu->board->bus, port, size, value);
}

static u8 wire_int_ack(void *ctx)
{
    struct board_cpu *cpu = ctx;

    return lapic_ack(cpu->lapic);
}

static u64 wire_tpr_read(void *ctx)
{
    struct board_cpu *cpu = ctx;

    return lapic_tpr_read(cpu->lapic);
}

static void wire_tpr_write(void *ctx, u64 value)
{
    struct board_cpu *cpu = ctx;

    lapic_tpr_write(cpu->lapic, value);
}

static bool wire_msr_read(void *ctx, u32 index, u64 *value)
{
    struct board_cpu *cpu = ctx;

    return lapic_msr_read(cpu->lapic, index, value);
}

static bool wire_msr_write(void *ctx, u32 index, u64 value)
{
    struct board_cpu *cpu = ctx;

    return lapic_msr_write(cpu->lapic, index, value);
}

static void wire_tsc_changed(void *ctx, u64 offset)
{
    struct board_cpu *cpu = ctx;

    if (cpu->lapic != NULL)
        lapic_set_tsc_offset(cpu->lapic, offset);
}

static void wire_ferr(void *ctx, bool level)
{
    struct board_cpu *cpu = ctx;

    if (cpu->board->ports != NULL)
        ports_ferr(cpu->board->ports, level);
}

static void wire_shutdown(void *ctx)
{
    struct board_cpu *cpu = ctx;
    const struct board_config *config = &cpu->board->config;

    if (config->cpu_shutdown != NULL)
        config->cpu_shutdown(config->machine.ctx, cpu->index);
}

static u32 wire_apic_id(void *ctx)
{
    struct board_cpu *cpu = ctx;

    return cpu->index;
}

static void wire_wake_at(void *ctx, u64 time)
{
    struct board_cpu *cpu = ctx;

    timer_arm(&cpu->board->clock, &cpu->wake, time);
}

static void wake(void *ctx)
{
    struct board_cpu *cpu = ctx;

    cpu->signalled = true;
}

static void wire_apic_init(void *ctx)
{
    struct board_cpu *cpu = ctx;

    lapic_init(cpu->lapic);
}

static void wire_apic_eoi(void *ctx)
{
    struct board_cpu *cpu = ctx;

    lapic_eoi(cpu->lapic);
}

/* ---- from the local APIC ---- */

static void apic_signal(void *ctx, enum cpu_signal signal, u32 value)
{
    struct board_cpu *cpu = ctx;

    cpu->signalled = true;
    switch (signal) {
    case CPU_INTR: event_signal_intr(cpu->v, value != 0); break;
    case CPU_NMI: event_signal_nmi(cpu->v); break;
    case CPU_SMI: event_signal_smi(cpu->v); break;
    case CPU_INIT: event_signal_init(cpu->v); break;
    case CPU_SIPI: event_signal_sipi(cpu->v, (u8)value); break;
    }
}

static void apic_page(void *ctx, bool enabled, u64 page)
{
    struct board_cpu *cpu = ctx;

    /* While the APIC is being created it has no name yet; board_cpu_create() asks again. */
    if (cpu->lapic != NULL)
        mmu_set_apic(cpu->v->mmu, enabled, (hpa_t){page}, &lapic_mmio, cpu->lapic);
}

bool board_cpu_create(struct board_cpu *cpu, struct error *error)
{
    struct board *board = cpu->board;
    const struct cpu_wires wires = {
        .ctx = cpu,
        .port_read = wire_port_read,
        .port_write = wire_port_write,
        .int_ack = wire_int_ack,
        .tpr_read = wire_tpr_read,
        .tpr_write = wire_tpr_write,
        .apic_msr_read = wire_msr_read,
        .apic_msr_write = wire_msr_write,
        .tsc_changed = wire_tsc_changed,
        .ferr = wire_ferr,
        .shutdown = wire_shutdown,
        .apic_id = wire_apic_id,
        .apic_init = wire_apic_init,
        .apic_eoi = wire_apic_eoi,
        .wake_at = wire_wake_at,
    };
    struct lapic_config config = {
        .id = cpu->index,
        .bsp = cpu->index == 0,
        .phys_bits = board->config.cpu->phys_bits,
        .cpu = {apic_signal, cpu},
        .page = apic_page,
        .page_ctx = cpu,
    };

    timer_init(&board->clock, &cpu->wake, wake, cpu);
    cpu->v = vcpu_create(board->memory, board->code, &wires);
    CHECK(cpu->v != NULL);
    cpu->v->now = &board->clock.now;
    cpu->v->next_deadline = &board->clock.next_deadline;
    vcpu_configure(cpu->v, board->config.cpu, cpu->index, board->config.cpus, board->config.seed);
    if (board->config.feature_control_locked && has_feature(cpu->v, F_VMX))
        cpu->v->feature_control_at_reset = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX;
    config.x2apic = has_feature(cpu->v, F_X2APIC);
    config.deadline = has_feature(cpu->v, F_TSC_DEADLINE);
    cpu->lapic = lapic_create(&board->clock, board->lapic_bus, &config, error);
    return cpu->lapic != NULL;
}

void board_cpu_reset(struct board_cpu *cpu)
{
    vcpu_reset(cpu->v, false);
    if (cpu->index != 0)
        cpu->v->state.activity = ACTIVITY_WAIT_SIPI;
    cpu->v->stop = false;
    cpu->signalled = true;
    lapic_set_tsc_offset(cpu->lapic, cpu->v->state.tsc_offset);
}
