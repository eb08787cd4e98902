/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers. SDM Vol 4 (table 2-2 and the architectural chapters), APM Vol 2
 * appendix A. A register without a row is refused with #GP(0) and one log line. Left out on
 * purpose: performance counters (CPUID leaf 0AH says there are none; AMD's legacy ones read zero),
 * branch records but the last one, thermal and power interfaces.
 */
#include "cpu/msr.h"

#include "cpu/control.h"
#include "cpu/mem.h"
#include "cpu/system.h"
#include "cpu/virt.h"
#include "cpu/vmx/apic.h"
#include "cpu/vmx/caps.h"
#include "cpu/vmx/controls.h"

/* ---- plain rows ---- */

static u64 *slot_of(struct vcpu *v, const struct msr_def *def, u32 index)
{
    return (u64 *)(void *)((u8 *)&v->state + def->offset) + (index - def->index);
}

static bool read_plain(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    *value = def->offset == MSR_NO_STATE ? def->reset : *slot_of(v, def, index);
    return true;
}

static bool read_none(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    (void)def;
    (void)index;
    (void)value;
    return RAISE_GP0(v);
}

static bool write_plain(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    u64 *slot;

    if ((value & def->reserved) != 0)
        return RAISE_GP0(v);
    if (def->offset == MSR_NO_STATE)
        return true;
    slot = slot_of(v, def, index);
    *slot = (*slot & ~def->writable) | (value & def->writable);
    return true;
}

static bool write_none(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    (void)def;
    (void)index;
    (void)value;
    return RAISE_GP0(v);
}

static bool write_address(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if (!canonical_storable(v, value))
        return RAISE_GP0(v);
    *slot_of(v, def, index) = value;
    return true;
}

/* ---- APIC: the board's ---- */

static bool read_apic(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    (void)def;
    if (index >= 0x800 && index <= 0x8ff && vmx_x2apic_read(v, index, value) == VMX_MSR_DONE)
        return true;
    if (v->wires.apic_msr_read == NULL || !v->wires.apic_msr_read(v->wires.ctx, index, value))
        return RAISE_GP0(v);
    return true;
}

static bool write_apic(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    const enum vmx_msr done =
        index >= 0x800 && index <= 0x8ff ? vmx_x2apic_write(v, index, value) : VMX_MSR_NOT_MINE;

    (void)def;
    if (done != VMX_MSR_NOT_MINE)
        return done == VMX_MSR_DONE || RAISE_GP0(v);
    if (v->wires.apic_msr_write == NULL || !v->wires.apic_msr_write(v->wires.ctx, index, value))
        return RAISE_GP0(v);
    v->attention = true;
    return true;
}

/* ---- TSC: SDM Vol 3B 18.17 ---- */

u64 tsc_read(const struct vcpu *v)
{
    return *v->now + v->state.tsc_offset;
}

static void shift_tsc(struct vcpu *v, u64 by)
{
    v->state.tsc_offset += by;
    v->state.tsc_adjust += by;
    if (v->wires.tsc_changed != NULL)
        v->wires.tsc_changed(v->wires.ctx, v->state.tsc_offset);
    v->attention = true;
}

static bool read_tsc(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    (void)def;
    (void)index;
    *value = virt_guest_tsc(v, tsc_read(v));
    return true;
}

static bool write_tsc(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    (void)def;
    (void)index;
    shift_tsc(v, value - tsc_read(v));
    return true;
}

static bool write_tsc_adjust(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    (void)def;
    (void)index;
    shift_tsc(v, value - v->state.tsc_adjust);
    return true;
}

/* ---- memory types: SDM Vol 3A 12.11 (MTRRs), 12.12 (PAT) ---- */

static bool mtrr_type_valid(u64 type)
{
    return type < 7 && type != 2 && type != 3;
}

static bool write_pat(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    (void)def;
    (void)index;
    if (!pat_valid(value))
        return RAISE_GP0(v);
    v->state.pat = value;
    return true;
}

static bool write_mtrr_default(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if (!mtrr_type_valid(value & 0xff))
        return RAISE_GP0(v);
    return write_plain(v, def, index, value);
}

static bool write_mtrr_fixed(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    for (unsigned i = 0; i < 8; i++) {
        if (!mtrr_type_valid(value >> (8 * i) & 0xff))
            return RAISE_GP0(v);
    }
    return write_plain(v, def, index, value);
}

/* Pairs: base, mask. */
static bool read_mtrr_variable(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    const u32 i = (index - def->index) / 2;

    *value = (index & 1) == 0 ? v->state.mtrr_base[i] : v->state.mtrr_mask[i];
    return true;
}

static bool write_mtrr_variable(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    const u32 i = (index - def->index) / 2;
    const bool mask = (index & 1) != 0;

    if ((value & physical_reserved(v)) != 0 || (value & (mask ? BITS(10, 0) : BITS(11, 8))) != 0 ||
        (!mask && !mtrr_type_valid(value & 0xff)))
        return RAISE_GP0(v);
    *(mask ? &v->state.mtrr_mask[i] : &v->state.mtrr_base[i]) = value;
    return true;
}

/* ---- machine check: SDM Vol 3B 16.3 ---- */

enum { MC_CTL, MC_STATUS, MC_ADDR, MC_MISC };
enum { HWCR_MC_STATUS_WRITE = 18 };

static u64 *mc_slot(struct vcpu *v, u32 offset)
{
    struct cpu_state *s = &v->state;
    u64 *const kinds[] = {[MC_CTL] = s->mc_ctl,
                          [MC_STATUS] = s->mc_status,
                          [MC_ADDR] = s->mc_addr,
                          [MC_MISC] = s->mc_misc};

    return &kinds[offset % 4][offset / 4];
}

static bool read_mc(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    *value = *mc_slot(v, index - def->index);
    return true;
}

/* Control takes all zeros or all ones, status only zero (on AMD anything, if HWCR says so). */
static bool write_mc(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    const u32 kind = (index - def->index) % 4;
    const bool status_writable =
        v->amd && (v->state.amd[AMD_HWCR] & BIT(HWCR_MC_STATUS_WRITE)) != 0;

    if ((kind == MC_CTL && value != 0 && value != ~(u64)0) ||
        (kind == MC_STATUS && value != 0 && !status_writable))
        return RAISE_GP0(v);
    *mc_slot(v, index - def->index) = value;
    return true;
}

/* ---- the rest ---- */

static bool write_feature_control(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if ((v->state.feature_control & FEATURE_CONTROL_LOCKED) != 0) /* until RESET */
        return RAISE_GP0(v);
    return write_plain(v, def, index, value);
}

static bool read_vmx(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    (void)def;
    if (index == 0x491 && (vmx_allowed1(v, CONTROLS_SECONDARY) & SECONDARY_VM_FUNCTIONS) == 0)
        return RAISE_GP0(v);
    *value = vmx_capability(v, index);
    return true;
}

static bool read_efer(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    (void)def;
    (void)index;
    if (!has_feature(v, F_LM) && !has_feature(v, F_NX) && !has_feature(v, F_SYSCALL))
        return RAISE_GP0(v);
    *value = v->state.efer;
    return true;
}

static bool write_efer(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    u64 old;

    return read_efer(v, def, index, &old) && efer_write(v, value);
}

/* XD disable takes NX with it: SDM Vol 4 table 2-2, IA32_MISC_ENABLE. */
static bool write_misc_enable(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if (!write_plain(v, def, index, value))
        return false;
    if ((value & MISC_ENABLE_XD_DISABLE) != 0 && (v->state.efer & EFER_NXE) != 0) {
        v->state.efer &= ~EFER_NXE;
        mode_update(v);
    }
    return true;
}

static bool segment_base_read(struct vcpu *v, const struct msr_def *def, u32 index, u64 *value)
{
    *value = v->state.seg[SEG_FS + (index - def->index)].base;
    return true;
}

static bool segment_base_write(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    const u32 seg = SEG_FS + (index - def->index);

    if (!canonical_storable(v, value))
        return RAISE_GP0(v);
    v->state.seg[seg].base = value;
    v->segbase[seg] = value;
    return true;
}

static bool write_debugctl(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if (!write_plain(v, def, index, value))
        return false;
    mode_update_privilege(v);
    return true;
}

static bool write_pkrs(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if (!write_plain(v, def, index, value))
        return false;
    mmu_set_keys(v->mmu, v->state.pkru, (u32)v->state.pkrs);
    vcpu_tlb_refresh(v);
    return true;
}

/* ---- SVM: APM Vol 2 15.30 ---- */

/* SVM in use cannot be disabled, locked or not; a locked VM_CR keeps LOCK and SVMDIS. */
static bool write_vm_cr(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    const u64 locked = VM_CR_LOCK | VM_CR_SVMDIS;

    if ((value & VM_CR_SVMDIS) != 0 && (v->state.efer & EFER_SVME) != 0)
        return RAISE_GP0(v);
    if ((v->state.svm.vm_cr & VM_CR_LOCK) != 0)
        value = (value & ~locked) | (v->state.svm.vm_cr & locked);
    return write_plain(v, def, index, value);
}

/* Sets the key while VM_CR is not locked, and with the same key, which must not be 0, unlocks it.
 */
static bool write_svm_key(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    struct svm_state *svm = &v->state.svm;

    (void)def;
    (void)index;
    if ((svm->vm_cr & VM_CR_LOCK) == 0)
        svm->key = value;
    else if (value == svm->key && value != 0)
        svm->vm_cr &= ~VM_CR_LOCK;
    return true;
}

/* SMMLOCK stays until RESET: APM Vol 2 15.32.1. */
static bool write_hwcr(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    return write_plain(v, def, index, value | (v->state.amd[AMD_HWCR] & HWCR_SMMLOCK));
}

/* Of its commands DISMISS alone does something: a pending SMI is forgotten. */
static bool write_smm_ctl(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    enum { DISMISS = 1 << 0 };

    if ((v->state.amd[AMD_HWCR] & HWCR_SMMLOCK) != 0 || !write_plain(v, def, index, value))
        return RAISE_GP0(v);
    if ((value & DISMISS) != 0)
        v->state.smi_pending = 0;
    return true;
}

static bool write_hsave_pa(struct vcpu *v, const struct msr_def *def, u32 index, u64 value)
{
    if ((value & physical_reserved(v)) != 0)
        return RAISE_GP0(v);
    return write_plain(v, def, index, value);
}

/* ---- the table ---- */

#define STATE(member) (u32) offsetof(struct cpu_state, member)
#define ALL (~(u64)0)
#define HIGH BITS(63, 32)
#define PLAIN read_plain, write_plain
#define CONSTANT read_plain, write_none
#define ADDRESS read_plain, write_address
#define APIC read_apic, write_apic

/* The "not vulnerable" bits: SDM Vol 4 table 2-2, IA32_ARCH_CAPABILITIES. RDCL_NO, IBRS_ALL
 * (indirect branches are never steered from elsewhere; kernels then leave retpolines out),
 * SKIP_L1DFL, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO,
 * PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. */
#define NOT_VULNERABLE                                                                             \
    (BIT(0) | BIT(1) | BITS(6, 3) | BIT(8) | BITS(15, 13) | BIT(20) | BIT(24) | BIT(26) |          \
     BIT(27) | BIT(62))

/* 1 GHz in units of 100 MHz. */
#define BASE_RATIO ((u64)10)

#define MISC_ENABLE_WRITABLE                                                                       \
    (BIT(0) | BIT(3) | BIT(16) | MISC_ENABLE_MONITOR | MISC_ENABLE_LIMIT_CPUID | BIT(23) |         \
     MISC_ENABLE_XD_DISABLE)
/* Fast strings, no BTS, no PEBS, MONITOR. */
#define MISC_ENABLE_RESET (BIT(0) | BIT(11) | BIT(12) | MISC_ENABLE_MONITOR)
#define PAT_RESET ((u64)0x0007040600070406)
#define MTRR_CAP (BIT(10) | BIT(8) | MTRR_VARIABLE_COUNT)
#define MCG_CAP (BIT(8) | MC_BANK_COUNT)
/* LFENCE serialises. */
#define DE_CFG_RESET BIT(1)
/* TSC at the P0 frequency. */
#define HWCR_RESET (BIT(24) | BIT(4))

/* clang-format off */
const struct msr_def msr_table[] = {
    /* index, count, name, feature, vendor, where, writable, reserved, reset, read, write, ref */
    {0x10, 1, "IA32_TIME_STAMP_COUNTER", F_TSC, MSR_ANY, MSR_NO_STATE, 0, 0, 0, read_tsc, write_tsc, "SDM Vol 3B 18.17"},
    {0x17, 1, "IA32_PLATFORM_ID", F_ALWAYS, MSR_INTEL, MSR_NO_STATE, 0, 0, 0, CONSTANT, "SDM Vol 4 table 2-2"},
    {0x1b, 1, "IA32_APIC_BASE", F_APIC, MSR_ANY, MSR_NO_STATE, 0, 0, 0, APIC, "SDM Vol 3A 11.4.4"},
    {0x2a, 1, "MSR_EBL_CR_POWERON", F_ALWAYS, MSR_INTEL, MSR_NO_STATE, 0, 0, 0, PLAIN, "SDM Vol 4 table 2-2"},
    {0x34, 1, "MSR_SMI_COUNT", F_ALWAYS, MSR_INTEL, MSR_NO_STATE, 0, 0, 0, CONSTANT, "SDM Vol 4 table 2-20"},
    {0x3a, 1, "IA32_FEATURE_CONTROL", F_VMX, MSR_INTEL, STATE(feature_control), FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX, ~(FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX), 0, read_plain, write_feature_control, "SDM Vol 3C 24.7"},
    {0x3b, 1, "IA32_TSC_ADJUST", F_TSC_ADJUST, MSR_ANY, STATE(tsc_adjust), ALL, 0, 0, read_plain, write_tsc_adjust, "SDM Vol 3B 18.17.3"},
    {0x48, 1, "IA32_SPEC_CTRL", F_SPEC_CTRL, MSR_ANY, STATE(spec_ctrl), BITS(1, 0) | BIT(10), ~(BITS(1, 0) | BIT(10)), 0, PLAIN, "SDM Vol 4 table 2-2"},
    {0x49, 1, "IA32_PRED_CMD", F_SPEC_CTRL, MSR_ANY, MSR_NO_STATE, 0, BITS(63, 1), 0, read_none, write_plain, "SDM Vol 4 table 2-2"},
    {0x79, 1, "IA32_BIOS_UPDT_TRIG", F_ALWAYS, MSR_INTEL, MSR_NO_STATE, 0, 0, 0, read_none, write_plain, "SDM Vol 3A 10.11.6"},
    {0x8b, 1, "IA32_BIOS_SIGN_ID", F_ALWAYS, MSR_ANY, STATE(ucode_rev), 0, 0, 0, PLAIN, "SDM Vol 3A 10.11.7"},
    {0xce, 1, "MSR_PLATFORM_INFO", F_ALWAYS, MSR_INTEL, MSR_NO_STATE, 0, ALL, BASE_RATIO << 40 | BASE_RATIO << 8, CONSTANT, "SDM Vol 4 table 2-20"},
    {0xfe, 1, "IA32_MTRRCAP", F_MTRR, MSR_ANY, MSR_NO_STATE, 0, 0, MTRR_CAP, CONSTANT, "SDM Vol 3A 12.11.1"},
    {0x10a, 1, "IA32_ARCH_CAPABILITIES", F_ARCH_CAPABILITIES, MSR_ANY, MSR_NO_STATE, 0, 0, NOT_VULNERABLE, CONSTANT, "SDM Vol 4 table 2-2"},
    {0x174, 1, "IA32_SYSENTER_CS", F_SEP, MSR_ANY, STATE(sysenter_cs), BITS(31, 0), 0, 0, PLAIN, "SDM Vol 2B SYSENTER"},
    {0x175, 1, "IA32_SYSENTER_ESP", F_SEP, MSR_ANY, STATE(sysenter_esp), ALL, 0, 0, ADDRESS, "SDM Vol 2B SYSENTER"},
    {0x176, 1, "IA32_SYSENTER_EIP", F_SEP, MSR_ANY, STATE(sysenter_eip), ALL, 0, 0, ADDRESS, "SDM Vol 2B SYSENTER"},
    {0x179, 1, "IA32_MCG_CAP", F_MCA, MSR_ANY, MSR_NO_STATE, 0, 0, MCG_CAP, CONSTANT, "SDM Vol 3B 16.3.1.1"},
    {0x17a, 1, "IA32_MCG_STATUS", F_MCA, MSR_ANY, STATE(mcg_status), BITS(2, 0), BITS(63, 3), 0, PLAIN, "SDM Vol 3B 16.3.1.2"},
    {0x17b, 1, "IA32_MCG_CTL", F_MCA, MSR_ANY, STATE(mcg_ctl), ALL, 0, 0, PLAIN, "SDM Vol 3B 16.3.1.3"},
    {0x198, 1, "IA32_PERF_STATUS", F_ALWAYS, MSR_INTEL, MSR_NO_STATE, 0, 0, BASE_RATIO << 8, CONSTANT, "SDM Vol 3B 15.1"},
    {0x1a0, 1, "IA32_MISC_ENABLE", F_ALWAYS, MSR_INTEL, STATE(misc_enable), MISC_ENABLE_WRITABLE, 0, MISC_ENABLE_RESET, read_plain, write_misc_enable, "SDM Vol 4 table 2-2"},
    {0x1d9, 1, "IA32_DEBUGCTL", F_ALWAYS, MSR_ANY, STATE(debugctl), DEBUGCTL_LBR | DEBUGCTL_BTF, ~(DEBUGCTL_LBR | DEBUGCTL_BTF), 0, read_plain, write_debugctl, "SDM Vol 3B 18.4.1"},
    {0x1db, 4, "MSR_LASTBRANCHFROMIP", F_ALWAYS, MSR_ANY, STATE(last_branch_from), 0, 0, 0, CONSTANT, "SDM Vol 3B 18.13"},
    {0x200, 2 * MTRR_VARIABLE_COUNT, "IA32_MTRR_PHYSBASE0", F_MTRR, MSR_ANY, MSR_NO_STATE, 0, 0, 0, read_mtrr_variable, write_mtrr_variable, "SDM Vol 3A 12.11.2.3"},
    {0x250, 1, "IA32_MTRR_FIX64K_00000", F_MTRR, MSR_ANY, STATE(mtrr_fixed[0]), ALL, 0, 0, read_plain, write_mtrr_fixed, "SDM Vol 3A 12.11.2.2"},
    {0x258, 2, "IA32_MTRR_FIX16K_80000", F_MTRR, MSR_ANY, STATE(mtrr_fixed[1]), ALL, 0, 0, read_plain, write_mtrr_fixed, "SDM Vol 3A 12.11.2.2"},
    {0x268, 8, "IA32_MTRR_FIX4K_C0000", F_MTRR, MSR_ANY, STATE(mtrr_fixed[3]), ALL, 0, 0, read_plain, write_mtrr_fixed, "SDM Vol 3A 12.11.2.2"},
    {0x277, 1, "IA32_PAT", F_PAT, MSR_ANY, STATE(pat), ALL, 0, PAT_RESET, read_plain, write_pat, "SDM Vol 3A 12.12"},
    {0x2ff, 1, "IA32_MTRR_DEF_TYPE", F_MTRR, MSR_ANY, STATE(mtrr_def_type), 0xcff, ~(u64)0xcff, 0, read_plain, write_mtrr_default, "SDM Vol 3A 12.11.2.1"},
    {0x400, 4 * MC_BANK_COUNT, "IA32_MC0_CTL", F_MCA, MSR_ANY, MSR_NO_STATE, 0, 0, 0, read_mc, write_mc, "SDM Vol 3B 16.3.2"},
    {0x480, 18, "IA32_VMX_BASIC", F_VMX, MSR_INTEL, MSR_NO_STATE, 0, 0, 0, read_vmx, write_none, "SDM Vol 3D appendix A"},
    {0x6e0, 1, "IA32_TSC_DEADLINE", F_TSC_DEADLINE, MSR_ANY, MSR_NO_STATE, 0, 0, 0, APIC, "SDM Vol 3A 11.5.4.1"},
    {0x6e1, 1, "IA32_PKRS", F_PKS, MSR_ANY, STATE(pkrs), ALL, HIGH, 0, read_plain, write_pkrs, "SDM Vol 3A 4.6.2"},
    {0x800, 256, "IA32_X2APIC", F_X2APIC, MSR_ANY, MSR_NO_STATE, 0, 0, 0, APIC, "SDM Vol 3A 11.12.1.2"},
    {0xda0, 1, "IA32_XSS", F_XSAVES, MSR_ANY, STATE(xss), 0, ALL, 0, PLAIN, "SDM Vol 1 13.3"},
    {0xc0000080, 1, "IA32_EFER", F_ALWAYS, MSR_ANY, STATE(efer), ALL, 0, 0, read_efer, write_efer, "SDM Vol 3A 2.2.1"},
    {0xc0000081, 1, "IA32_STAR", F_SYSCALL, MSR_ANY, STATE(star), ALL, 0, 0, PLAIN, "SDM Vol 3A 6.8.8"},
    {0xc0000082, 1, "IA32_LSTAR", F_LM, MSR_ANY, STATE(lstar), ALL, 0, 0, ADDRESS, "SDM Vol 3A 6.8.8"},
    {0xc0000083, 1, "IA32_CSTAR", F_LM, MSR_ANY, STATE(cstar), ALL, 0, 0, ADDRESS, "APM Vol 2 6.1.1"},
    {0xc0000084, 1, "IA32_FMASK", F_LM, MSR_ANY, STATE(sfmask), BITS(31, 0), HIGH, 0, PLAIN, "SDM Vol 3A 6.8.8"},
    {0xc0000100, 2, "IA32_FS_BASE", F_LM, MSR_ANY, MSR_NO_STATE, 0, 0, 0, segment_base_read, segment_base_write, "SDM Vol 3A 3.4.4.1"},
    {0xc0000102, 1, "IA32_KERNEL_GS_BASE", F_LM, MSR_ANY, STATE(kernel_gs_base), ALL, 0, 0, ADDRESS, "SDM Vol 2B SWAPGS"},
    {0xc0000103, 1, "IA32_TSC_AUX", F_RDTSCP, MSR_ANY, STATE(tsc_aux), BITS(31, 0), HIGH, 0, PLAIN, "SDM Vol 3B 18.17.2"},
    {0xc0000104, 1, "TSC_RATIO", F_TSC_SCALE, MSR_AMD, STATE(svm.tsc_ratio), BITS(39, 0), BITS(63, 40), SVM_TSC_RATIO_ONE, PLAIN, "APM Vol 2 15.30.5"},
    {0xc0010000, 8, "PERF_LEGACY", F_ALWAYS, MSR_AMD, MSR_NO_STATE, 0, 0, 0, PLAIN, "APM Vol 2 13.2"},
    {0xc0010010, 1, "SYSCFG", F_ALWAYS, MSR_AMD, STATE(amd[AMD_SYSCFG]), BITS(22, 18), HIGH, 0, PLAIN, "APM Vol 2 3.2.4"},
    {0xc0010015, 1, "HWCR", F_ALWAYS, MSR_AMD, STATE(amd[AMD_HWCR]), BITS(31, 0), HIGH, HWCR_RESET, read_plain, write_hwcr, "APM Vol 2 3.2.10"},
    {0xc001001a, 1, "TOP_MEM", F_ALWAYS, MSR_AMD, STATE(amd[AMD_TOP_MEM]), BITS(51, 23), 0, 0, PLAIN, "APM Vol 2 7.9.4"},
    {0xc001001d, 1, "TOP_MEM2", F_ALWAYS, MSR_AMD, STATE(amd[AMD_TOP_MEM2]), BITS(51, 23), 0, 0, PLAIN, "APM Vol 2 7.9.4"},
    {0xc001001f, 1, "NB_CFG", F_ALWAYS, MSR_AMD, STATE(amd[AMD_NB_CFG]), ALL, 0, 0, PLAIN, "APM Vol 2 appendix A"},
    {0xc0010055, 1, "INT_PENDING", F_ALWAYS, MSR_AMD, STATE(amd[AMD_INT_PENDING]), BITS(31, 0), 0, 0, PLAIN, "APM Vol 2 appendix A"},
    {0xc0010058, 1, "MMIO_CFG_BASE", F_ALWAYS, MSR_AMD, STATE(amd[AMD_MMIO_CONF]), ALL, 0, 0, PLAIN, "APM Vol 2 appendix A"},
    {0xc0010112, 2, "SMM_ADDR", F_ALWAYS, MSR_AMD, MSR_NO_STATE, 0, 0, 0, CONSTANT, "APM Vol 2 10.2.5"},
    {0xc0010114, 1, "VM_CR", F_SVM, MSR_AMD, STATE(svm.vm_cr), BITS(4, 0), BITS(63, 5), 0, read_plain, write_vm_cr, "APM Vol 2 15.30.1"},
    {0xc0010115, 1, "IGNNE", F_SVM, MSR_AMD, STATE(svm.ignne), BIT(0), BITS(63, 1), 0, PLAIN, "APM Vol 2 15.30.2"},
    {0xc0010116, 1, "SMM_CTL", F_SVM, MSR_AMD, MSR_NO_STATE, 0, BITS(63, 5), 0, read_none, write_smm_ctl, "APM Vol 2 15.30.3"},
    {0xc0010117, 1, "VM_HSAVE_PA", F_SVM, MSR_AMD, STATE(svm.hsave_pa), ALL, BITS(11, 0), 0, read_plain, write_hsave_pa, "APM Vol 2 15.30.4"},
    {0xc0010118, 1, "SVM_KEY", F_SVM_LOCK, MSR_AMD, MSR_NO_STATE, 0, 0, 0, read_plain, write_svm_key, "APM Vol 2 15.31.1"},
    {0xc0011020, 1, "LS_CFG", F_ALWAYS, MSR_AMD, STATE(amd[AMD_LS_CFG]), ALL, 0, 0, PLAIN, "APM Vol 2 appendix A"},
    {0xc0011022, 1, "DC_CFG", F_ALWAYS, MSR_AMD, STATE(amd[AMD_DC_CFG]), ALL, 0, 0, PLAIN, "APM Vol 2 appendix A"},
    {0xc0011029, 1, "DE_CFG", F_ALWAYS, MSR_AMD, STATE(amd[AMD_DE_CFG]), ~DE_CFG_RESET, 0, DE_CFG_RESET, PLAIN, "APM Vol 2 appendix A"},
    {0xc001102e, 1, "BP_CFG", F_ALWAYS, MSR_AMD, STATE(amd[AMD_BP_CFG]), ALL, 0, 0, PLAIN, "AMD Revision Guide 57095, erratum 1485"},
};
/* clang-format on */
const u32 msr_table_rows = ARRAY_SIZE(msr_table);

void msr_reset(struct vcpu *v)
{
    for (u32 i = 0; i < msr_table_rows; i++) {
        const struct msr_def *def = &msr_table[i];

        if (def->offset != MSR_NO_STATE && def->reset != 0)
            *slot_of(v, def, def->index) = def->reset;
    }
}

const struct msr_def *msr_find(const struct vcpu *v, u32 index)
{
    const struct msr_def *def;
    u32 low = 0;
    u32 high = msr_table_rows;

    while (high - low > 1) {
        const u32 middle = (low + high) / 2;

        if (msr_table[middle].index <= index)
            low = middle;
        else
            high = middle;
    }
    def = &msr_table[low];
    if (index - def->index >= def->count ||
        (def->feature != F_ALWAYS && !has_feature(v, def->feature)) ||
        (def->vendor != MSR_ANY && (def->vendor == MSR_AMD) != v->amd))
        return NULL;
    return def;
}

static COLD bool refuse(struct vcpu *v, u32 index, const char *what)
{
    LOG(LOG_UNIMPLEMENTED, "CPU %u: %s of MSR %x refused", v->index, what, index);
    return RAISE_GP0(v);
}

bool msr_read(struct vcpu *v, u32 index, u64 *value)
{
    const struct msr_def *def = msr_find(v, index);

    if (unlikely(def == NULL))
        return refuse(v, index, "read");
    return def->read(v, def, index, value);
}

bool msr_write(struct vcpu *v, u32 index, u64 value)
{
    const struct msr_def *def = msr_find(v, index);

    if (unlikely(def == NULL))
        return refuse(v, index, "write");
    return def->write(v, def, index, value);
}
