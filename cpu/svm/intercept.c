/* SPDX-License-Identifier: MIT */
/*
 * Instructions that #VMEXIT: APM Vol 2 15.9 and table 15-7, which says whether exceptions or the
 * intercept come first. Exceptions that the decoder finds (CPL, mode) have come first already.
 */
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/mem.h"
#include "cpu/segment.h"
#include "cpu/svm/internal.h"
#include "cpu/system.h"
#include "cpu/transfer.h"

static struct guest_exit *begin(struct vcpu *v, u32 code)
{
    struct guest_exit *x = svm_exit_begin(v, code);

    x->length = (u8)virt_insn_length(v);
    return x;
}

/* true: go on with the instruction. */
static bool plain(struct vcpu *v, u32 code)
{
    if (!svm_intercepts(v, code))
        return true;
    (void)begin(v, code);
    return raise_exit(v);
}

static bool with_info(struct vcpu *v, u32 code, u64 info1, u64 info2)
{
    struct guest_exit *x;

    if (!svm_intercepts(v, code))
        return true;
    x = begin(v, code);
    x->qualification = info1;
    x->physical = info2;
    return raise_exit(v);
}

/* What decode assists report, or 0: APM Vol 2 15.8.1 to 15.8.3. */
static u64 assist(const struct vcpu *v, u64 info)
{
    return has_feature(v, F_DECODE_ASSISTS) ? info : 0;
}

/* ---- control registers: APM Vol 2 15.8.1 ---- */

#define ASSIST_MOV_CR BIT(63)

static bool on_mov_from_cr(struct vcpu *v, const struct insn *in)
{
    return with_info(v, SVM_EXIT_CR_READ + in->reg, assist(v, ASSIST_MOV_CR | in->rm), 0);
}

/* The selective intercept leaves MOVs alone that change no more than TS and MP: APM Vol 2 15.8.1.
 */
static bool on_mov_to_cr(struct vcpu *v, const struct insn *in)
{
    const u64 info = assist(v, ASSIST_MOV_CR | in->rm);
    const u64 value = reg_read(v, in->rm, mode64(v) ? 8 : 4);
    const u64 changed = value ^ v->state.cr0;

    if (!cr_valid(v, in->reg, value))
        return true;
    if (!with_info(v, SVM_EXIT_CR_WRITE + in->reg, info, 0))
        return false;
    return in->reg != 0 || (changed & ~(CR0_TS | CR0_MP | CR0_ET)) == 0 ||
           with_info(v, SVM_EXIT_CR0_SEL_WRITE, info, 0);
}

static bool on_smsw(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_umip_faults(v, true) || plain(v, SVM_EXIT_CR_READ);
}

static bool on_clts(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return plain(v, SVM_EXIT_CR_WRITE);
}

/* The selective intercept takes LMSW whatever it changes. */
static bool on_lmsw(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return plain(v, SVM_EXIT_CR_WRITE) && plain(v, SVM_EXIT_CR0_SEL_WRITE);
}

/* ---- debug registers: APM Vol 2 15.8.2 ---- */

static bool on_mov_dr(struct vcpu *v, const struct insn *in)
{
    const bool from = in->def->encoding[4] == '1'; /* 0F 21: MOV from DR */
    const u32 number = in->reg & 15u;
    const u64 value = reg_read(v, in->rm, mode64(v) ? 8 : 4);

    if (((number == 4 || number == 5) && (v->state.cr4 & CR4_DE) != 0) ||
        (v->state.dr[7] & DR7_GD) != 0 || (!from && number >= 4 && value >> 32 != 0))
        return true;
    return with_info(v, (from ? SVM_EXIT_DR_READ : SVM_EXIT_DR_WRITE) + number, assist(v, in->rm),
                     0);
}

/* ---- I/O: APM Vol 2 15.10 ---- */

static bool io_exits(const struct vcpu *v, const struct virt_io *io)
{
    const u64 base = v->state.svm.control.iopm_base & ~PAGE_OFFSET_MASK;

    for (u32 i = 0; i < io->size; i++) {
        if (virt_bitmap_bit(v, base, io->port + i))
            return true;
    }
    return false;
}

static bool on_io(struct vcpu *v, const struct insn *in)
{
    const struct virt_io io = virt_io_operand(v, in);
    const u32 seg = io.in ? (u32)SEG_ES : in->seg;

    if (!svm_intercepts(v, SVM_EXIT_IOIO) || (io.rep && reg_read(v, REG_RCX, in->addr) == 0))
        return true;
    if (!io_allowed(v, io.port, io.size))
        return false;
    if (!io_exits(v, &io))
        return true;
    return with_info(v, SVM_EXIT_IOIO,
                     (io.in ? 1u : 0u) | (io.string ? 1u << 2 : 0u) | (io.rep ? 1u << 3 : 0u) |
                         (u32)io.size << 4 | (u32)in->addr << 6 |
                         (io.string ? (u32)assist(v, seg << 10) : 0u) | (u32)io.port << 16,
                     v->next_rip);
}

/* ---- MSRs: APM Vol 2 15.11 ---- */

/* Two bits for each of three ranges of 8192; all others exit. */
static bool msr_exits(const struct vcpu *v, u32 index, bool write)
{
    static const u32 first[] = {0, 0xc0000000, 0xc0010000};
    const u64 base = v->state.svm.control.msrpm_base & ~PAGE_OFFSET_MASK;

    for (u32 i = 0; i < ARRAY_SIZE(first); i++) {
        if (index - first[i] < 0x2000)
            return virt_bitmap_bit(v, base + 0x800 * (u64)i, (index - first[i]) * 2 + write);
    }
    return true;
}

static bool exit_msr(struct vcpu *v, bool write)
{
    if (!svm_intercepts(v, SVM_EXIT_MSR) || !msr_exits(v, (u32)v->state.reg[REG_RCX], write))
        return true;
    return with_info(v, SVM_EXIT_MSR, write, 0);
}

static bool on_rdmsr(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return exit_msr(v, false);
}

static bool on_wrmsr(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return exit_msr(v, true);
}

/* ---- descriptor tables ---- */

/* The rows' /digit: SGDT 0, SIDT 1, LGDT 2, LIDT 3. */
static bool on_gdtr_idtr(struct vcpu *v, const struct insn *in)
{
    static const u8 code[] = {SVM_EXIT_GDTR_READ, SVM_EXIT_IDTR_READ, SVM_EXIT_GDTR_WRITE,
                              SVM_EXIT_IDTR_WRITE};

    return virt_umip_faults(v, (in->reg & 3) < 2) || plain(v, code[in->reg & 3]);
}

/* SLDT 0, STR 1, LLDT 2, LTR 3. */
static bool on_ldtr_tr(struct vcpu *v, const struct insn *in)
{
    static const u8 code[] = {SVM_EXIT_LDTR_READ, SVM_EXIT_TR_READ, SVM_EXIT_LDTR_WRITE,
                              SVM_EXIT_TR_WRITE};

    return virt_umip_faults(v, (in->reg & 3) < 2) || plain(v, code[in->reg & 3]);
}

/* ---- translations ---- */

static u64 operand_address(const struct vcpu *v, const struct insn *in)
{
    return (insn_offset(v, in) + v->segbase[in->seg]) & v->la_mask;
}

static bool on_invlpg(struct vcpu *v, const struct insn *in)
{
    return !svm_intercepts(v, SVM_EXIT_INVLPG) ||
           with_info(v, SVM_EXIT_INVLPG, assist(v, operand_address(v, in)), 0);
}

static bool on_invpcid(struct vcpu *v, const struct insn *in)
{
    return with_info(v, SVM_EXIT_INVPCID, operand_address(v, in),
                     reg_read(v, in->reg, mode64(v) ? 8 : 4));
}

/* ---- waiting ---- */

/* The line's address must be readable. */
static bool on_monitor(struct vcpu *v, const struct insn *in)
{
    u64 la;

    if (v->cpl != 0 || (u32)v->state.reg[REG_RCX] != 0 || !svm_intercepts(v, SVM_EXIT_MONITOR))
        return true;
    return seg_linear(v, (enum seg)in->seg, reg_read(v, REG_RAX, in->addr), 1, ACCESS_READ, &la) &&
           mem_probe_read(v, la, 1, 0) && plain(v, SVM_EXIT_MONITOR);
}

/* The conditional intercept, of an MWAIT that would wait, is the first one. */
static bool on_mwait(struct vcpu *v, const struct insn *in)
{
    (void)in;
    if (v->cpl != 0 || (u32)v->state.reg[REG_RCX] > 1)
        return true;
    return (monitor_hit(v) || plain(v, SVM_EXIT_MWAIT_ARMED)) && plain(v, SVM_EXIT_MWAIT);
}

/* PAUSE filter: APM Vol 2 15.14.4. A PAUSE later than the threshold starts a new count, and is not
 * counted itself. */
static bool on_pause(struct vcpu *v, const struct insn *in)
{
    struct svm_state *svm = &v->state.svm;
    const struct vmcb_control *c = &svm->control;
    const u64 tsc = insn_tsc(v, in);
    const bool late = c->pause_threshold != 0 && tsc - svm->pause_last > c->pause_threshold;

    if (!svm_intercepts(v, SVM_EXIT_PAUSE))
        return true;
    svm->pause_last = tsc;
    if (late && c->pause_count != 0) {
        svm->pause_left = c->pause_count;
        return true;
    }
    if (svm->pause_left > 1) {
        svm->pause_left--;
        return true;
    }
    svm->pause_left = c->pause_count;
    return plain(v, SVM_EXIT_PAUSE);
}

/* ---- others with exceptions that come first ---- */

static bool on_rdtsc(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_tsc_faults(v) || plain(v, SVM_EXIT_RDTSC);
}

static bool on_rdtscp(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_tsc_faults(v) || plain(v, SVM_EXIT_RDTSCP);
}

static bool on_rdpru(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_tsc_faults(v) || plain(v, SVM_EXIT_RDPRU);
}

/* A counter that is not there comes first, too. */
static bool on_rdpmc(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return virt_rdpmc_faults(v) || (u32)v->state.reg[REG_RCX] >= AMD_COUNTERS ||
           plain(v, SVM_EXIT_RDPMC);
}

/* #GP comes behind the intercept, even that for the CPL. */
static bool on_xsetbv(struct vcpu *v, const struct insn *in)
{
    (void)in;
    return (v->state.cr4 & CR4_OSXSAVE) == 0 || plain(v, SVM_EXIT_XSETBV);
}

static bool on_int(struct vcpu *v, const struct insn *in)
{
    return with_info(v, SVM_EXIT_SWINT, assist(v, in->imm & 0xff), 0);
}

/* ---- the others ---- */

static const u8 plain_code[INTERCEPT_COUNT] = {
    [INTERCEPT_CPUID] = SVM_EXIT_CPUID, [INTERCEPT_HLT] = SVM_EXIT_HLT,
    [INTERCEPT_INVD] = SVM_EXIT_INVD,   [INTERCEPT_WBINVD] = SVM_EXIT_WBINVD,
    [INTERCEPT_PUSHF] = SVM_EXIT_PUSHF, [INTERCEPT_POPF] = SVM_EXIT_POPF,
    [INTERCEPT_IRET] = SVM_EXIT_IRET,   [INTERCEPT_RSM] = SVM_EXIT_RSM,
};

static bool on_plain(struct vcpu *v, const struct insn *in)
{
    return plain(v, plain_code[in->def->intercept]);
}

/* true: go on with the instruction. */
static bool (*const handlers[INTERCEPT_COUNT])(struct vcpu *v, const struct insn *in) = {
    [INTERCEPT_CPUID] = on_plain,
    [INTERCEPT_HLT] = on_plain,
    [INTERCEPT_INVD] = on_plain,
    [INTERCEPT_WBINVD] = on_plain,
    [INTERCEPT_PUSHF] = on_plain,
    [INTERCEPT_POPF] = on_plain,
    [INTERCEPT_IRET] = on_plain,
    [INTERCEPT_RSM] = on_plain,
    [INTERCEPT_INT] = on_int,
    [INTERCEPT_INVLPG] = on_invlpg,
    [INTERCEPT_INVPCID] = on_invpcid,
    [INTERCEPT_RDPMC] = on_rdpmc,
    [INTERCEPT_RDTSC] = on_rdtsc,
    [INTERCEPT_RDTSCP] = on_rdtscp,
    [INTERCEPT_RDPRU] = on_rdpru,
    [INTERCEPT_MOV_FROM_CR] = on_mov_from_cr,
    [INTERCEPT_MOV_TO_CR] = on_mov_to_cr,
    [INTERCEPT_SMSW] = on_smsw,
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
};

bool svm_has_intercept(enum intercept intercept)
{
    return handlers[intercept] != NULL;
}

bool svm_intercept(struct vcpu *v, const struct insn *in)
{
    return handlers[in->def->intercept](v, in);
}

/* ---- task switches: APM Vol 2 15.14.1 ---- */

bool svm_task_switch(struct vcpu *v, u16 selector, u32 source, const struct task_event *event)
{
    enum { FROM_IRET = 1, FROM_JMP = 2 };
    struct guest_exit *x;

    if (!svm_intercepts(v, SVM_EXIT_TASK_SWITCH))
        return true;
    x = svm_exit_begin(v, SVM_EXIT_TASK_SWITCH);
    x->qualification = selector;
    x->physical = (event->has_error ? event->error | BIT(44) : 0) |
                  (source == FROM_IRET ? BIT(36) : 0) | (source == FROM_JMP ? BIT(38) : 0) |
                  ((event->rflags & FLAG_RF) != 0 ? BIT(48) : 0);
    return raise_exit(v);
}
