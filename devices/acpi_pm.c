/* SPDX-License-Identifier: MIT */
/* ACPI fixed hardware: ACPI 6.4, 4.8.3 (registers) and 4.8.2.1 (PM timer); PIIX4 data sheet,
 * chapter 7. */
#include "devices/acpi_pm.h"

#include "base/bits.h"
#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct acpi_pm_state) == 8 + 4 + 6 + 4 + 2 + 4 + 4,
               "padding in acpi_pm_state");

enum { PM_PORTS = 64, PM_TIMER_HZ = 3579545 };
enum { PM1_STATUS = 0, PM1_ENABLE = 2, PM1_CONTROL = 4, PM_TIMER = 8 };

enum {
    PM1_TIMER = 1 << 0,
    PM1_GLOBAL = 1 << 5,
    PM1_POWER_BUTTON = 1 << 8,
    PM1_SLEEP_BUTTON = 1 << 9,
    PM1_RTC = 1 << 10,
    PM1_WAKE = 1 << 15,
    PM1_STATUS_BITS =
        PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_SLEEP_BUTTON | PM1_RTC | PM1_WAKE,
    PM1_ENABLE_BITS = PM1_STATUS_BITS & ~PM1_WAKE,
    PM1_WAKING = PM1_POWER_BUTTON | PM1_SLEEP_BUTTON | PM1_RTC,

    CONTROL_SCI = 1 << 0,
    CONTROL_SLEEP = 1 << 13, /* SLP_EN: write-only */
    CONTROL_BITS = 0x1c07, /* SLP_TYP, GBL_RLS, BM_RLD, SCI_EN */
    CONTROL_RELEASE = 1 << 2,
};

enum { SLP_S4 = 2 };

struct acpi_pm {
    struct acpi_pm_state state;
    struct clock *clock;
    struct bus *bus;
    struct timer timer;
    struct irq_line sci;
    struct machine_port machine;
    u32 mapped; /* where the ports are now; follows state.base */
};

static void request(const struct acpi_pm *pm, enum machine_request what, u32 value)
{
    if (pm->machine.request != NULL)
        pm->machine.request(pm->machine.ctx, what, value);
}

static u64 ticks(const struct acpi_pm *pm)
{
    return clock_ticks(pm->clock->now, 0, PM_TIMER_HZ);
}

/* TMR_STS is set when the timer's highest bit changes (4.8.3.1.1). */
static u32 half_range_shift(const struct acpi_pm_state *s)
{
    return s->timer32 ? 31 : 23;
}

static void sync(struct acpi_pm *pm)
{
    struct acpi_pm_state *s = &pm->state;
    const u32 shift = half_range_shift(s);
    const u64 now = ticks(pm);

    if (now >> shift != s->timer_seen >> shift)
        s->pm1_status |= PM1_TIMER;
    s->timer_seen = now;
}

static void arm(struct acpi_pm *pm)
{
    const struct acpi_pm_state *s = &pm->state;
    const u32 shift = half_range_shift(s);
    u64 at = CLOCK_NEVER;

    if ((s->pm1_enable & PM1_TIMER) && !(s->pm1_status & PM1_TIMER))
        at = clock_tick_time(0, ((s->timer_seen >> shift) + 1) << shift, PM_TIMER_HZ);
    timer_arm(pm->clock, &pm->timer, at);
}

static bool sci_level(const struct acpi_pm_state *s)
{
    if (!(s->pm1_control & CONTROL_SCI))
        return false;
    return (s->pm1_status & s->pm1_enable) != 0 || (s->gpe_status[0] & s->gpe_enable[0]) != 0 ||
           (s->gpe_status[1] & s->gpe_enable[1]) != 0;
}

/* SCI, and while asleep the wake-up (4.8.3.1.1, WAK_STS). */
static void drive(struct acpi_pm *pm)
{
    struct acpi_pm_state *s = &pm->state;

    if (s->asleep && (s->pm1_status & s->pm1_enable & PM1_WAKING)) {
        s->asleep = 0;
        s->pm1_status |= PM1_WAKE;
        request(pm, MACHINE_WAKE, 0);
    }
    irq_set(&pm->sci, sci_level(s));
}

static void timer_fired(void *ctx)
{
    struct acpi_pm *pm = ctx;

    sync(pm);
    drive(pm);
    arm(pm);
}

/* ---- events from outside ---- */

static void raise_event(struct acpi_pm *pm, u16 bit)
{
    pm->state.pm1_status |= bit;
    drive(pm);
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
    raise_event(pm, PM1_POWER_BUTTON);
}

static void rtc_set(void *ctx, u32 pin, bool level)
{
    struct acpi_pm *pm = ctx;
    const bool rises = level && !pm->state.rtc_level;

    (void)pin;
    pm->state.rtc_level = level;
    if (rises)
        raise_event(pm, PM1_RTC);
}

struct irq_line acpi_pm_rtc_line(struct acpi_pm *pm)
{
    return (struct irq_line){rtc_set, pm, 0};
}

void acpi_pm_gpe(struct acpi_pm *pm, u32 bit)
{
    CHECK(bit < 16);
    pm->state.gpe_status[bit / 8] |= (u8)(1u << bit % 8);
    drive(pm);
}

/* ---- PM1a and timer: byte registers underneath, so that any access size works ---- */

static u8 byte_of(u32 value, u32 offset)
{
    return (u8)(value >> (8 * offset));
}

static u8 pm_read_byte(struct acpi_pm *pm, u32 offset)
{
    const struct acpi_pm_state *s = &pm->state;
    const u32 now = (u32)s->timer_seen;

    switch (offset & ~1u) {
    case PM1_STATUS: return byte_of(s->pm1_status, offset & 1);
    case PM1_ENABLE: return byte_of(s->pm1_enable, offset & 1);
    case PM1_CONTROL: return byte_of(s->pm1_control, offset & 1);
    case PM_TIMER:
    case PM_TIMER + 2: return byte_of(s->timer32 ? now : now & (u32)BITS(23, 0), offset & 3);
    default: return 0;
    }
}

static u32 pm_read(void *ctx, u32 offset, u32 size)
{
    struct acpi_pm *pm = ctx;
    u32 value = 0;

    sync(pm);
    for (u32 i = 0; i < size; i++)
        value |= (u32)pm_read_byte(pm, offset + i) << (8 * i);
    return value;
}

static void sleep_now(struct acpi_pm *pm)
{
    struct acpi_pm_state *s = &pm->state;

    switch (s->pm1_control >> 10 & 7) {
    case ACPI_SLP_S3:
        s->asleep = 1;
        request(pm, MACHINE_SLEEP, 0);
        drive(pm); /* an event that is pending already wakes at once */
        break;
    case ACPI_SLP_S5:
    case SLP_S4: request(pm, MACHINE_POWER_OFF, 0); break;
    default: break;
    }
}

static void write_control(struct acpi_pm *pm, u16 value)
{
    struct acpi_pm_state *s = &pm->state;

    /* SCI_EN belongs to the firmware's side; it does not change here (4.8.3.2.1). */
    s->pm1_control = (u16)((s->pm1_control & CONTROL_SCI) |
                           (value & CONTROL_BITS & ~(CONTROL_SCI | CONTROL_RELEASE)));
    if (value & CONTROL_SLEEP)
        sleep_now(pm);
}

static void pm_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct acpi_pm *pm = ctx;
    struct acpi_pm_state *s = &pm->state;

    sync(pm);
    for (u32 at = offset; at < offset + size; at++) {
        const u16 byte = (u8)(value >> (8 * (at - offset)));
        const u32 shift = 8 * (at & 1);
        const u16 keep = (u16)(0xff00 >> shift);

        switch (at & ~1u) {
        case PM1_STATUS: s->pm1_status &= (u16) ~(byte << shift); break;
        case PM1_ENABLE:
            s->pm1_enable = (u16)((s->pm1_enable & keep) | (byte << shift & PM1_ENABLE_BITS));
            break;
        case PM1_CONTROL: write_control(pm, (u16)((s->pm1_control & keep) | byte << shift)); break;
        default: break;
        }
    }
    drive(pm);
    arm(pm);
}

/* ---- GPE0, APM ---- */

static u32 gpe_read(void *ctx, u32 offset, u32 size)
{
    const struct acpi_pm_state *s = &((struct acpi_pm *)ctx)->state;

    (void)size;
    return offset < 2 ? s->gpe_status[offset] : s->gpe_enable[offset - 2];
}

static void gpe_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct acpi_pm *pm = ctx;

    (void)size;
    if (offset < 2)
        pm->state.gpe_status[offset] &= (u8)~value;
    else
        pm->state.gpe_enable[offset - 2] = (u8)value;
    drive(pm);
}

static u32 apm_read(void *ctx, u32 offset, u32 size)
{
    const struct acpi_pm_state *s = &((struct acpi_pm *)ctx)->state;

    (void)size;
    return offset == 0 ? s->apm_command : s->apm_status;
}

static void apm_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct acpi_pm *pm = ctx;
    struct acpi_pm_state *s = &pm->state;

    (void)size;
    if (offset == 1) {
        s->apm_status = (u8)value;
        return;
    }
    s->apm_command = (u8)value;
    /* What firmware's SMI handler would do for FADT's ACPI_ENABLE and ACPI_DISABLE. */
    if (value == ACPI_ENABLE)
        s->pm1_control |= CONTROL_SCI;
    else if (value == ACPI_DISABLE)
        s->pm1_control &= (u16)~CONTROL_SCI;
    drive(pm);
    if (s->smi_on_apm)
        request(pm, MACHINE_SMI, value);
}

/* ---- placement and life ---- */

static const struct port_ops pm_ports = {pm_read, pm_write, 4};
static const struct port_ops gpe_ports = {gpe_read, gpe_write, 1};
static const struct port_ops apm_ports = {apm_read, apm_write, 1};

/* Bring the port map to state.base; a base where others live leaves the block unmapped. */
static void remap(struct acpi_pm *pm)
{
    struct error ignored;

    if (pm->mapped == pm->state.base)
        return;
    if (pm->mapped != 0)
        bus_remove_ports(pm->bus, (u16)pm->mapped, pm);
    pm->mapped = 0;
    if (pm->state.base != 0 &&
        bus_add_ports(pm->bus, "acpi pm", (u16)pm->state.base, PM_PORTS, &pm_ports, pm, &ignored))
        pm->mapped = pm->state.base;
}

void acpi_pm_configure(struct acpi_pm *pm, u16 base, bool smi_on_apm)
{
    pm->state.base = base & 0xffc0;
    pm->state.smi_on_apm = smi_on_apm;
    remap(pm);
}

static void acpi_pm_reset(void *device)
{
    struct acpi_pm *pm = device;
    struct acpi_pm_state *s = &pm->state;

    /* Firmware hands over in ACPI mode. */
    *s = (struct acpi_pm_state){.timer_seen = ticks(pm),
                                .base = ACPI_PM_BASE,
                                .pm1_control = CONTROL_SCI,
                                .timer32 = s->timer32,
                                .rtc_level = s->rtc_level};
    remap(pm);
    drive(pm);
    arm(pm);
}

static void acpi_pm_post_load(void *device)
{
    struct acpi_pm *pm = device;

    remap(pm);
    irq_set(&pm->sci, sci_level(&pm->state));
    arm(pm);
}

static const struct device_ops acpi_pm_ops = {"acpi_pm", acpi_pm_reset, acpi_pm_post_load, free};

struct acpi_pm *acpi_pm_create(struct clock *clock, struct bus *bus, struct irq_line sci,
                               struct machine_port machine, bool timer32, struct error *error)
{
    struct acpi_pm *pm = calloc(1, sizeof(*pm));

    CHECK(pm != NULL);
    pm->clock = clock;
    pm->bus = bus;
    pm->sci = sci;
    pm->machine = machine;
    pm->state.timer32 = timer32;
    if (!bus_add_ports(bus, "acpi gpe0", ACPI_GPE0_BASE, ACPI_GPE0_SIZE, &gpe_ports, pm, error) ||
        !bus_add_ports(bus, "apm", ACPI_SMI_COMMAND, 2, &apm_ports, pm, error) ||
        !bus_add_ports(bus, "acpi pm", ACPI_PM_BASE, PM_PORTS, &pm_ports, pm, error)) {
        free(pm);
        return NULL;
    }
    pm->mapped = ACPI_PM_BASE;
    timer_init(clock, &pm->timer, timer_fired, pm);
    acpi_pm_reset(pm);
    return pm;
}

struct device acpi_pm_device(struct acpi_pm *pm)
{
    return (struct device){&acpi_pm_ops, pm, &pm->state, sizeof(pm->state)};
}
