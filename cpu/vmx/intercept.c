/* SPDX-License-Identifier: MIT */
/*
 * Instructions that cause VM exits: SDM Vol 3C 26.1.2 and 26.1.3, and those that the controls turn
 * into #UD or change, 26.3. Faults that come first (26.1.1) have been found by the decoder, or are
 * left to the instruction by going on.
 */
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/mem.h"
#include "cpu/system.h"
#include "cpu/virt.h"
#include "cpu/vmx/insn_info.h"
#include "cpu/vmx/internal.h"

static struct guest_exit *begin(struct vcpu *v, enum exit_reason reason)
{
    struct guest_exit *x = vmx_exit_begin(v, reason);

    x->length = (u8)virt_insn_length(v);
    return x;
}

static bool exit_plain(struct vcpu *v, enum exit_reason reason)
{
    (void)begin(v, reason);
    return raise_exit(v);
}

static const struct vmcs *vmcs(const struct vcpu *v)
{
    return &v->state.vmx.vmcs;
}

static bool primary(const struct vcpu *v, u32 bits)
{
    return (vmcs(v)->primary_controls & bits) != 0;
}

static bool secondary(const struct vcpu *v, u32 bits)
{
    return (vmx_secondary(vmcs(v)) & bits) != 0;
}

/* ---- time and counters ---- */

static bool on_rdtsc(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_tsc_faults(v) || !primary(v, PRIMARY_RDTSC) || exit_plain(v, EXIT_RDTSC);
}

static bool on_rdtscp(struct vcpu *v, const struct insn *in)
{
    (void)in;
    if (!secondary(v, SECONDARY_RDTSCP))
        return RAISE_UD(v);
    return virt_tsc_faults(v) || !primary(v, PRIMARY_RDTSC) || exit_plain(v, EXIT_RDTSCP);
}

static bool on_rdpid(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return secondary(v, SECONDARY_RDTSCP) || RAISE_UD(v);
}

static bool on_rdpmc(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_rdpmc_faults(v) || !primary(v, PRIMARY_RDPMC) || exit_plain(v, EXIT_RDPMC);
}

/* ---- control registers: SDM Vol 3C table 28-3 ---- */

enum cr_access { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static bool exit_cr(struct vcpu *v, u32 number, enum cr_access access, u32 gpr)
{
    begin(v, EXIT_CR_ACCESS)->qualification = number | (u32)access << 4 | gpr << 8;
    return raise_exit(v);
}

static bool is_cr3_target(const struct vcpu *v, u64 value)
{
    for (u32 i = 0; i < vmcs(v)->cr3_target_count && i < VMCS_CR3_TARGETS; i++) {
        if (vmcs(v)->cr3_target[i] == value)
            return true;
    }
    return false;
}

static bool on_mov_to_cr(struct vcpu *v, const struct insn *in)
{
    const struct vmcs *c = vmcs(v);
    const u64 value = reg_read(v, in->rm, mode64(v) ? 8 : 4);
    bool exits = false;

    switch (in->reg) {
    case 0: exits = ((value ^ c->cr0_read_shadow) & c->cr0_mask) != 0; break;
    case 3: exits = primary(v, PRIMARY_CR3_LOAD) && !is_cr3_target(v, value); break;
    case 4: exits = ((value ^ c->cr4_read_shadow) & c->cr4_mask) != 0; break;
    case 8: exits = primary(v, PRIMARY_CR8_LOAD); break;
    default: break;
    }
    return !exits || exit_cr(v, in->reg, CR_MOV_TO, in->rm);
}

static bool on_mov_from_cr(struct vcpu *v, const struct insn *in)
{
    const bool exits = (in->reg == 3 && primary(v, PRIMARY_CR3_STORE)) ||
                       (in->reg == 8 && primary(v, PRIMARY_CR8_STORE));

    return !exits || exit_cr(v, in->reg, CR_MOV_FROM, in->rm);
}

static bool on_clts(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return (vmcs(v)->cr0_mask & vmcs(v)->cr0_read_shadow & CR0_TS) == 0 ||
           exit_cr(v, 0, CR_CLTS, 0);
}

/* The operand is needed first, so its faults come first. */
static bool on_lmsw(struct vcpu *v, const struct insn *in)
{
    const struct vmcs *c = vmcs(v);
    struct operands x;
    u64 differs;

    if (!operands_load(v, in, &x))
        return false;
    differs = (x.val[0] ^ c->cr0_read_shadow) & c->cr0_mask;
    if ((differs & (CR0_MP | CR0_EM | CR0_TS)) == 0 && (differs & x.val[0] & CR0_PE) == 0)
        return true;
    (void)exit_cr(v, 0, CR_LMSW, 0);
    v->exit.qualification |= (x.val[0] & 0xffff) << 16;
    if ((in->prefix & PREFIX_MEM) != 0) {
        v->exit.qualification |= BIT(6);
        v->exit.linear = x.address;
        v->exit.linear_valid = true;
    }
    return false;
}

/* SDM Vol 3C table 28-4. */
static bool on_mov_dr(struct vcpu *v, const struct insn *in)
{
    const bool from = in->def->encoding[4] == '1'; /* 0F 21: MOV from DR */

    if (!primary(v, PRIMARY_MOV_DR))
        return true;
    begin(v, EXIT_MOV_DR)->qualification =
        (u32)(in->reg & 7) | (from ? 1u << 4 : 0u) | (u32)in->rm << 8;
    return raise_exit(v);
}

static bool on_xsetbv(struct vcpu *v, const struct insn *in)
{
    (void)in;
    if ((v->state.cr4 & CR4_OSXSAVE) == 0 || v->cpl != 0)
        return true;
    return exit_plain(v, EXIT_XSETBV);
}

/* ---- I/O: SDM Vol 3C 25.6.4, table 28-5 ---- */

static bool io_exits(const struct vcpu *v, u32 port, u32 size)
{
    if (!primary(v, PRIMARY_IO_BITMAPS))
        return primary(v, PRIMARY_UNCONDITIONAL_IO);
    if (port + size > 0x10000)
        return true;
    for (u32 i = port; i < port + size; i++) {
        if (virt_bitmap_bit(v, vmcs(v)->io_bitmap[i >> 15], i & 0x7fff))
            return true;
    }
    return false;
}

static u64 string_address(const struct vcpu *v, const struct insn *in, bool ins)
{
    const u64 offset = reg_read(v, ins ? REG_RDI : REG_RSI, in->addr);

    return (v->segbase[ins ? SEG_ES : in->seg] + offset) & v->la_mask;
}

static bool on_io(struct vcpu *v, const struct insn *in)
{
    const struct virt_io io = virt_io_operand(v, in);
    struct guest_exit *x;

    if (io.rep && reg_read(v, REG_RCX, in->addr) == 0)
        return true;
    if (!io_allowed(v, io.port, io.size))
        return false;
    if (!io_exits(v, io.port, io.size))
        return true;
    x = begin(v, EXIT_IO);
    x->qualification = (io.size - 1u) | (io.in ? 1u << 3 : 0u) | (io.string ? 1u << 4 : 0u) |
                       (io.rep ? 1u << 5 : 0u) | (io.immediate ? 1u << 6 : 0u) | (u32)io.port << 16;
    if (io.string) {
        x->instruction_info = vmx_string_info(in);
        x->linear = string_address(v, in, io.in);
        x->linear_valid = true;
    }
    return raise_exit(v);
}

/* ---- MSRs: SDM Vol 3C 25.6.9 ---- */

static bool msr_exits(const struct vcpu *v, u32 index, bool write)
{
    const u64 quarter = (write ? 0x800u : 0u) + (index >= 0xc0000000 ? 0x400u : 0u);

    if (!primary(v, PRIMARY_MSR_BITMAPS) || (index & 0x3fffffff) > 0x1fff ||
        (index >> 30 != 0 && index >> 30 != 3))
        return true;
    return virt_bitmap_bit(v, vmcs(v)->msr_bitmap + quarter, index & 0x1fff);
}

static bool on_rdmsr(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return !msr_exits(v, (u32)v->state.reg[REG_RCX], false) || exit_plain(v, EXIT_RDMSR);
}

static bool on_wrmsr(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return !msr_exits(v, (u32)v->state.reg[REG_RCX], true) || exit_plain(v, EXIT_WRMSR);
}

/* ---- waiting ---- */

static bool monitor_faults(const struct vcpu *v)
{
    return v->cpl != 0 || (v->state.misc_enable & MISC_ENABLE_MONITOR) == 0;
}

static bool on_monitor(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return monitor_faults(v) || !primary(v, PRIMARY_MONITOR) || exit_plain(v, EXIT_MONITOR);
}

static bool on_mwait(struct vcpu *v, const struct insn *in)
{
    (void)in;
    if (monitor_faults(v) || !primary(v, PRIMARY_MWAIT))
        return true;
    begin(v, EXIT_MWAIT)->qualification = v->state.monitor_address != 0;
    return raise_exit(v);
}

/* PAUSE-loop exiting: SDM Vol 3C 26.1.3, "PAUSE". */
static bool on_pause(struct vcpu *v, const struct insn *in)
{
    struct vmx_state *vmx = &v->state.vmx;
    u64 tsc;

    if (primary(v, PRIMARY_PAUSE))
        return exit_plain(v, EXIT_PAUSE);
    if (v->cpl != 0 || !secondary(v, SECONDARY_PAUSE_LOOP))
        return true;
    tsc = insn_tsc(v, in);
    if (tsc - vmx->pause_last > vmx->vmcs.ple_gap)
        vmx->pause_first = tsc;
    else if (tsc - vmx->pause_first > vmx->vmcs.ple_window)
        return exit_plain(v, EXIT_PAUSE);
    vmx->pause_last = tsc;
    return true;
}

/* ---- descriptor tables: SDM Vol 3C tables 28-10 and 28-11 ---- */

static bool exit_table(struct vcpu *v, const struct insn *in, enum exit_reason reason, u32 which)
{
    struct guest_exit *x = begin(v, reason);

    vmx_insn_info(v, in, x);
    x->instruction_info &= 0x0fffffff;
    x->instruction_info |= which << 28;
    if (reason == EXIT_GDTR_IDTR && in->width != 2)
        x->instruction_info |= 1u << 11;
    return raise_exit(v);
}

/* The rows' /digit: SGDT 0, SIDT 1, LGDT 2, LIDT 3; SLDT 0, STR 1, LLDT 2, LTR 3. */
static bool on_gdtr_idtr(struct vcpu *v, const struct insn *in)
{
    const u32 which = in->reg & 3;

    return virt_umip_faults(v, which < 2) || !secondary(v, SECONDARY_DESCRIPTOR_TABLE) ||
           exit_table(v, in, EXIT_GDTR_IDTR, which);
}

static bool on_ldtr_tr(struct vcpu *v, const struct insn *in)
{
    const u32 which = in->reg & 3;

    return virt_umip_faults(v, which < 2) || !secondary(v, SECONDARY_DESCRIPTOR_TABLE) ||
           exit_table(v, in, EXIT_LDTR_TR, which);
}

/* ---- translations ---- */

static bool on_invlpg(struct vcpu *v, const struct insn *in)
{
    struct guest_exit *x;

    if (!primary(v, PRIMARY_INVLPG))
        return true;
    x = begin(v, EXIT_INVLPG);
    x->qualification = (insn_offset(v, in) + v->segbase[in->seg]) & v->la_mask;
    return raise_exit(v);
}

static bool on_invpcid(struct vcpu *v, const struct insn *in)
{
    if (!secondary(v, SECONDARY_INVPCID))
        return RAISE_UD(v);
    if (!primary(v, PRIMARY_INVLPG))
        return true;
    vmx_insn_info(v, in, begin(v, EXIT_INVPCID));
    return raise_exit(v);
}

/* ---- random numbers: SDM Vol 3C table 28-12 ---- */

static bool exit_random(struct vcpu *v, const struct insn *in, enum exit_reason reason)
{
    const u32 size = in->width == 8 ? 2 : in->width == 4 ? 1 : 0;

    begin(v, reason)->instruction_info = (u32)in->rm << 3 | size << 11;
    return raise_exit(v);
}

static bool on_rdrand(struct vcpu *v, const struct insn *in)
{
    return !secondary(v, SECONDARY_RDRAND) || exit_random(v, in, EXIT_RDRAND);
}

static bool on_rdseed(struct vcpu *v, const struct insn *in)
{
    return !secondary(v, SECONDARY_RDSEED) || exit_random(v, in, EXIT_RDSEED);
}

/* ---- supervisor state: SDM Vol 3C 26.3, "XSAVES" and "XRSTORS" ---- */

static bool on_supervisor_state(struct vcpu *v, const struct insn *in, enum exit_reason reason)
{
    const u64 wanted = v->state.reg[REG_RDX] << 32 | (v->state.reg[REG_RAX] & 0xffffffff);

    if (!secondary(v, SECONDARY_XSAVES))
        return RAISE_UD(v);
    if ((v->state.cr4 & CR4_OSXSAVE) == 0 || v->cpl != 0 || (v->state.cr0 & CR0_TS) != 0 ||
        (wanted & v->state.xss & vmcs(v)->xss_exiting_bitmap) == 0)
        return true;
    vmx_insn_info(v, in, begin(v, reason));
    return raise_exit(v);
}

static bool on_xsaves(struct vcpu *v, const struct insn *in)
{
    return on_supervisor_state(v, in, EXIT_XSAVES);
}

static bool on_xrstors(struct vcpu *v, const struct insn *in)
{
    return on_supervisor_state(v, in, EXIT_XRSTORS);
}

/* ---- plain ones ---- */

static bool on_cpuid(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return exit_plain(v, EXIT_CPUID);
}

static bool on_invd(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return exit_plain(v, EXIT_INVD);
}

static bool on_hlt(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return !primary(v, PRIMARY_HLT) || exit_plain(v, EXIT_HLT);
}

static bool on_wbinvd(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return !secondary(v, SECONDARY_WBINVD) || exit_plain(v, EXIT_WBINVD);
}

/* true: go on with the instruction. */
static bool (*const handlers[INTERCEPT_COUNT])(struct vcpu *v, const struct insn *in) = {
    [INTERCEPT_CPUID] = on_cpuid,
    [INTERCEPT_HLT] = on_hlt,
    [INTERCEPT_INVD] = on_invd,
    [INTERCEPT_WBINVD] = on_wbinvd,
    [INTERCEPT_INVLPG] = on_invlpg,
    [INTERCEPT_INVPCID] = on_invpcid,
    [INTERCEPT_RDPMC] = on_rdpmc,
    [INTERCEPT_RDTSC] = on_rdtsc,
    [INTERCEPT_RDTSCP] = on_rdtscp,
    [INTERCEPT_RDPID] = on_rdpid,
    [INTERCEPT_MOV_FROM_CR] = on_mov_from_cr,
    [INTERCEPT_MOV_TO_CR] = on_mov_to_cr,
    [INTERCEPT_CLTS] = on_clts,
    [INTERCEPT_LMSW] = on_lmsw,
    [INTERCEPT_MOV_DR] = on_mov_dr,
    [INTERCEPT_IO] = on_io,
    [INTERCEPT_RDMSR] = on_rdmsr,
    [INTERCEPT_WRMSR] = on_wrmsr,
    [INTERCEPT_MWAIT] = on_mwait,
    [INTERCEPT_MONITOR] = on_monitor,
    [INTERCEPT_PAUSE] = on_pause,
    [INTERCEPT_GDTR_IDTR] = on_gdtr_idtr,
    [INTERCEPT_LDTR_TR] = on_ldtr_tr,
    [INTERCEPT_XSETBV] = on_xsetbv,
    [INTERCEPT_RDRAND] = on_rdrand,
    [INTERCEPT_RDSEED] = on_rdseed,
    [INTERCEPT_XSAVES] = on_xsaves,
    [INTERCEPT_XRSTORS] = on_xrstors,
};

bool vmx_has_intercept(enum intercept intercept)
{
    return handlers[intercept] != NULL;
}

bool vmx_intercept(struct vcpu *v, const struct insn *in)
{
    return handlers[in->def->intercept](v, in);
}
