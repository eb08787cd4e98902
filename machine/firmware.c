/* SPDX-License-Identifier: MIT */
/* The firmware's part of starting the machine: tables, registers that firmware sets, CPU state. */
#include "base/bits.h"
#include "base/check.h"
#include "cpu/flags.h"
#include "devices/acpi_pm.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/pci.h"
#include "devices/rtc.h"
#include "firmware/acpi.h"
#include "firmware/bios.h"
#include "firmware/mptable.h"
#include "machine/board.h"
#include "machine/cpu_wires.h"

enum {
    /* CMOS, as PC BIOSes use it (SeaBIOS and QEMU agree). */
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_LOW = 0x15,
    CMOS_EXTENDED_LOW = 0x17,
    CMOS_EXTENDED_LOW2 = 0x30,
    CMOS_ABOVE_16M = 0x34,
    CMOS_ABOVE_4G = 0x5b,
    CMOS_CPUS = 0x5f,
    /* Memory types, SDM Vol 3A 11.11.1. */
    TYPE_UC = 0,
    TYPE_WP = 5,
    TYPE_WB = 6,
};

static void cmos_word(struct board *board, u8 at, u64 value)
{
    rtc_set_cmos(board->rtc, at, (u8)value);
    rtc_set_cmos(board->rtc, (u8)(at + 1), (u8)(value >> 8));
}

static u64 at_most(u64 value, u64 limit)
{
    return value < limit ? value : limit;
}

static void fill_cmos(struct board *board)
{
    const u64 mib = (u64)1 << 20;
    const u64 extended = at_most((board->low - mib) >> 10, 0xffff);
    const u64 above_16m = board->low > 16 * mib ? (board->low - 16 * mib) >> 16 : 0;

    rtc_set_cmos(board->rtc, CMOS_EQUIPMENT, 0x26);
    cmos_word(board, CMOS_BASE_LOW, 640);
    cmos_word(board, CMOS_EXTENDED_LOW, extended);
    cmos_word(board, CMOS_EXTENDED_LOW2, extended);
    cmos_word(board, CMOS_ABOVE_16M, at_most(above_16m, 0xffff));
    cmos_word(board, CMOS_ABOVE_4G, board->high >> 16);
    rtc_set_cmos(board->rtc, CMOS_ABOVE_4G + 2, (u8)(board->high >> 32));
    rtc_set_cmos(board->rtc, CMOS_CPUS, (u8)(board->cpus - 1));
}

void board_fill_fw_cfg(struct board *board)
{
    u8 map[E820_MAX * E820_ENTRY_BYTES];
    struct error error;

    fw_cfg_add_u64(board->fw_cfg, FW_CFG_RAM_SIZE, board->config.ram);
    fw_cfg_add_u16(board->fw_cfg, FW_CFG_NOGRAPHIC, 1);
    fw_cfg_add_u16(board->fw_cfg, FW_CFG_NB_CPUS, (u16)board->cpus);
    fw_cfg_add_u16(board->fw_cfg, FW_CFG_MAX_CPUS, (u16)board->cpus);
    e820_write(&board->map, map);
    CHECK(fw_cfg_add_file(board->fw_cfg, "etc/e820", map, board->map.count * E820_ENTRY_BYTES,
                          &error));
}

/* SDM Vol 3A 11.11: RAM and everything else write-back, holes below 1 MiB and 4 GiB not. */
static void set_mtrrs(struct vcpu *v)
{
    const u64 all_wb = 0x0101010101010101 * TYPE_WB;
    const u64 all_wp = 0x0101010101010101 * TYPE_WP;
    struct cpu_state *s = &v->state;

    if (!has_feature(v, F_MTRR))
        return;
    s->mtrr_fixed[0] = all_wb; /* 00000-7FFFF */
    s->mtrr_fixed[1] = all_wb; /* 80000-9FFFF */
    s->mtrr_fixed[2] = TYPE_UC; /* A0000-BFFFF */
    for (u32 i = 3; i < 11; i++)
        s->mtrr_fixed[i] = all_wp; /* C0000-FFFFF */
    s->mtrr_base[0] = BOARD_LOW_MAX | TYPE_UC;
    s->mtrr_mask[0] = ((BIT(v->phys_bits) - 1) & ~(BIT(30) - 1)) | BIT(11);
    s->mtrr_def_type = BIT(11) | BIT(10) | TYPE_WB;
}

/* SMIs go to SMRAM, where there is nothing to do for them. */
static void set_smm(struct vcpu *v)
{
    enum { SMBASE = PC_VGA, ENTRY = 0x8000 };
    static const u8 rsm[] = {0x0f, 0xaa};

    v->state.smbase = SMBASE;
    memory_smram_write(v->memory, (hpa_t){SMBASE + ENTRY}, rsm, sizeof(rsm));
}

/* As by FNINIT: after RESET alone, x87 exceptions are not masked. SDM Vol 3A table 10-1. */
static void set_fpu(struct vcpu *v)
{
    v->state.fpu = (struct fpu_state){.fcw = 0x37f};
}

void board_set_cpus(struct board *board)
{
    for (u32 i = 0; i < board->cpus; i++) {
        set_fpu(board->cpu[i].v);
        set_mtrrs(board->cpu[i].v);
        set_smm(board->cpu[i].v);
    }
}

/* What a BIOS leaves behind for real mode: 8259 inputs at vectors 08h and 70h, all masked but the
 * tick and the cascade, and the 8254 ticking at 18.2 Hz. */
static void set_legacy_interrupts(struct board *board)
{
    /* clang-format off */
    static const struct {
        u16 port;
        u8 value;
    } writes[] = {
        { 0x20, 0x11 }, { 0x21, 0x08 }, { 0x21, 0x04 }, { 0x21, 0x01 }, { 0x21, 0xfa },
        { 0xa0, 0x11 }, { 0xa1, 0x70 }, { 0xa1, 0x02 }, { 0xa1, 0x01 }, { 0xa1, 0xff },
        { 0x43, 0x34 }, { 0x40, 0x00 }, { 0x40, 0x00 },
    };
    /* clang-format on */

    for (u32 i = 0; i < ARRAY_SIZE(writes); i++)
        bus_write(board->bus, writes[i].port, 1, writes[i].value);
}

/* PIRQA..D as the PIIX3 routes them after reset (devices/pci.c). */
static const u8 pci_irq[4] = {10, 10, 11, 11};

static void install_mptable(struct board *board)
{
    const struct cpuid_result leaf1 = cpuid(board->cpu[0].v, 1, 0);
    struct mptable_config config = {
        .cpus = board->cpus,
        .ioapic_base = 0xfec00000,
        .lapic_base = 0xfee00000,
        .cpu_signature = leaf1.eax,
        .cpu_features = leaf1.edx,
    };

    memcpy(config.pci_irq, pci_irq, sizeof(pci_irq));
    mptable_install(board->memory, &config);
}

void board_firmware(struct board *board)
{
    struct acpi_config config = {
        .cpus = board->cpus,
        .ioapic_base = 0xfec00000,
        .lapic_base = 0xfee00000,
        .hpet_base = board->hpet != NULL ? 0xfed00000 : 0,
        .pci_first = (u32)PCI_MMIO_BASE,
        .pci_last = (u32)(PCI_MMIO_BASE + PCI_MMIO_SIZE - 1),
        .pm_base = ACPI_PM_BASE,
        .gpe_base = ACPI_GPE0_BASE,
        .smi_port = ACPI_SMI_COMMAND,
        .acpi_enable = ACPI_ENABLE,
        .acpi_disable = ACPI_DISABLE,
        .sleep_s3 = ACPI_SLP_S3,
        .sleep_s5 = ACPI_SLP_S5,
        .sci_irq = 9,
        .timer32 = true,
        .com = {board->uart[0] != NULL, board->uart[1] != NULL, board->uart[2] != NULL,
                board->uart[3] != NULL},
        .facs = board->facs,
    };

    memcpy(config.pci_irq, pci_irq, sizeof(pci_irq));
    bios_install(board->memory);
    install_mptable(board);
    board->rsdp = board->config.acpi ? acpi_install(board->memory, &config) : 0;
    fill_cmos(board);
    set_legacy_interrupts(board);
    board_set_cpus(board);
}

/* Flat segment of the given kind; the selectors were put in the GDT by the loader. */
static struct segment flat_segment(u16 selector, u32 attr)
{
    return (struct segment){.selector = selector,
                            .limit = 0xffffffff,
                            .attr = attr | ATTR_P | ATTR_S | ATTR_G};
}

static void start_protected(struct vcpu *v, const struct boot_state *b)
{
    const u32 size = b->bits == 64 ? ATTR_L : ATTR_DB;
    struct cpu_state *s = &v->state;

    s->seg[SEG_CS] = flat_segment(b->cs, ATTR_CODE | ATTR_WRITABLE | ATTR_ACCESSED | size);
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        if (seg != SEG_CS)
            s->seg[seg] = flat_segment(b->data, ATTR_WRITABLE | ATTR_ACCESSED | ATTR_DB);
    s->gdtr.base = b->gdt_base;
    s->gdtr.limit = b->gdt_limit;
    s->idtr.limit = 0;
    s->cr0 = BIT(4) | BIT(0); /* ET, PE */
    if (b->bits == 64) {
        s->cr3 = b->cr3;
        s->cr4 |= BIT(5); /* PAE */
        s->efer |= BIT(8) | BIT(10); /* LME, LMA */
        s->cr0 |= BIT(31); /* PG */
    }
}

static void start_real(struct vcpu *v, const struct boot_state *b)
{
    struct cpu_state *s = &v->state;

    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++) {
        const u16 selector = seg == SEG_CS ? b->cs : b->data;

        s->seg[seg].selector = selector;
        s->seg[seg].base = (u64)selector << 4;
        s->seg[seg].limit = 0xffff;
    }
    s->idtr.base = 0;
    s->idtr.limit = 0x3ff;
    s->cr0 = BIT(4);
}

void board_start(struct board *board, const struct boot_state *boot)
{
    struct vcpu *v = board->cpu[0].v;
    u64 *reg = v->state.reg;

    if (boot->bits == 16)
        start_real(v, boot);
    else
        start_protected(v, boot);
    reg[REG_RAX] = boot->rax;
    reg[REG_RCX] = boot->rcx;
    reg[REG_RDX] = boot->rdx;
    reg[REG_RBX] = boot->rbx;
    reg[REG_RSP] = boot->rsp;
    reg[REG_RBP] = boot->rbp;
    reg[REG_RSI] = boot->rsi;
    reg[REG_RDI] = boot->rdi;
    reg[REG_RIP] = boot->rip;
    v->state.rflags = boot->rflags | BIT(1);
    flags_load(v, v->state.rflags);
    v->state.activity = ACTIVITY_ACTIVE;
    mode_update(v);
}
