/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware (ACPI 6.4 chapter 4.8) with the PIIX4's layout: PM1a event, control and the
 * 3.579545 MHz timer in 64 ports at 600h (movable), GPE0 at AFE0h, APM ports B2/B3. SLP_TYP 0 is
 * S5, 1 is S3, 2 is S4 (also switches off). Left out: throttling, SMBus, device traps.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/device.h"
#include "devices/irq.h"

enum {
    ACPI_PM_BASE = 0x600, /* PM1a event block; +4 control, +8 timer */
    ACPI_PM_CONTROL = 4,
    ACPI_PM_TIMER = 8,
    ACPI_GPE0_BASE = 0xafe0, /* 4 bytes: two of status, two of enable */
    ACPI_GPE0_SIZE = 4,
    ACPI_SMI_COMMAND = 0xb2,
    ACPI_ENABLE = 0xf1,
    ACPI_DISABLE = 0xf0,
    ACPI_SLP_S5 = 0,
    ACPI_SLP_S3 = 1,
};

struct acpi_pm_state {
    u64 timer_seen; /* PM timer ticks up to which TMR_STS is complete */
    u32 base; /* 0: not mapped */
    u16 pm1_status, pm1_enable, pm1_control;
    u8 gpe_status[2], gpe_enable[2];
    u8 apm_command, apm_status;
    u8 smi_on_apm; /* PIIX4 DEVACTB bit 25 */
    u8 timer32;
    u8 asleep;
    u8 rtc_level;
    u8 reserved[4];
};

struct acpi_pm;

/* sci: IRQ9, level. timer32: the timer has 32 bits (FADT TMR_VAL_EXT), else 24. */
struct acpi_pm *acpi_pm_create(struct clock *clock, struct bus *bus, struct irq_line sci,
                               struct machine_port machine, bool timer32, struct error *error);
struct device acpi_pm_device(struct acpi_pm *pm);
/* Input for the RTC's alarm: sets RTC_STS, wakes if RTC_EN. */
struct irq_line acpi_pm_rtc_line(struct acpi_pm *pm);
void acpi_pm_power_button(struct acpi_pm *pm);
/* Set GPE0 status bit 0..15 (an edge). */
void acpi_pm_gpe(struct acpi_pm *pm, u32 bit);
/* From the PIIX4's configuration space: where the block is (0: nowhere) and whether B2 raises SMI.
 */
void acpi_pm_configure(struct acpi_pm *pm, u16 base, bool smi_on_apm);

#endif
