/* SPDX-License-Identifier: MIT */
/*
 * System instructions, descriptor tables, control and debug registers, and what only hints or
 * orders: SDM Vol 2, by mnemonic. The MSR, time and identification instructions are in sysinfo.c.
 */
#include "cpu/system.h"

#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/isa/isa.h"
#include "cpu/segment.h"
#include "cpu/stamp.h"
#include "cpu/svm/svm.h"
#include "cpu/vmx/apic.h"

/* UMIP: SDM Vol 3A 2.5, CR4.UMIP. */
static bool umip_allows(struct vcpu *v)
{
    if (v->cpl != 0 && (v->state.cr4 & CR4_UMIP) != 0)
        return RAISE_GP0(v);
    return true;
}

/* ---- descriptor-table registers ---- */

static bool store_table(struct vcpu *v, const struct table_register *table, struct operands *x)
{
    x->val[0] = table->base;
    x->sel = table->limit;
    return umip_allows(v);
}

static bool exec_sgdt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return store_table(v, &v->state.gdtr, x);
}

static bool exec_sidt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return store_table(v, &v->state.idtr, x);
}

/* With 16-bit operands the base has 24 bits. */
static bool load_table(struct vcpu *v, const struct insn *in, const struct operands *x,
                       struct table_register *table)
{
    if (mode64(v) && !canonical_storable(v, x->val[0]))
        return RAISE_GP0(v);
    table->base = in->width == 2 && !mode64(v) ? x->val[0] & 0xffffff : x->val[0];
    table->limit = x->sel;
    return true;
}

static bool exec_lgdt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return load_table(v, in, x, &v->state.gdtr);
}

static bool exec_lidt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return load_table(v, in, x, &v->state.idtr);
}

static bool exec_sldt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = v->state.seg[SEG_LDTR].selector;
    return umip_allows(v);
}

static bool exec_str(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = v->state.seg[SEG_TR].selector;
    return umip_allows(v);
}

static bool exec_lldt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return lldt(v, (u16)x->val[0]);
}

static bool exec_ltr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return ltr(v, (u16)x->val[0]);
}

/* ---- inspecting descriptors ---- */

static void set_zf(struct vcpu *v, bool zf)
{
    flags_write(v, FLAG_ZF, zf ? FLAG_ZF : 0);
}

/* The destination keeps even its upper half if ZF is 0, so these write it themselves. */
static bool inspected(struct vcpu *v, const struct insn *in, bool ok, u32 value)
{
    set_zf(v, ok);
    if (ok)
        reg_write(v, in->reg, in->width, value);
    return true;
}

static bool exec_lar(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u32 value = 0;
    bool ok;

    return descriptor_rights(v, (u16)x->val[1], &value, &ok) && inspected(v, in, ok, value);
}

static bool exec_lsl(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u32 value = 0;
    bool ok;

    return descriptor_limit(v, (u16)x->val[1], &value, &ok) && inspected(v, in, ok, value);
}

static bool verify(struct vcpu *v, u16 selector, bool write)
{
    bool ok;

    if (!descriptor_verify(v, selector, write, &ok))
        return false;
    set_zf(v, ok);
    return true;
}

static bool exec_verr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return verify(v, (u16)x->val[0], false);
}

static bool exec_verw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return verify(v, (u16)x->val[0], true);
}

static bool exec_arpl(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 rpl = x->val[1] & 3;
    const bool raise_rpl = (x->val[0] & 3) < rpl;

    (void)in;
    if (raise_rpl)
        x->val[0] = (x->val[0] & ~(u64)3) | rpl;
    set_zf(v, raise_rpl);
    return true;
}

/* ---- control and debug registers ---- */

static bool exec_mov_from_cr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = vmx_cr_read(v, in->reg, x->val[1]);
    if (in->reg == 8 && vmx_tpr_shadowed(v))
        x->val[0] = vmx_cr8_read(v);
    else if (in->reg == 8 && svm_masks_virtually(v))
        x->val[0] = v->state.svm.control.vintr & 15;
    else if (in->reg == 8)
        x->val[0] = v->wires.tpr_read != NULL ? v->wires.tpr_read(v->wires.ctx) : 0;
    return true;
}

static bool exec_mov_to_cr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 value = vmx_cr_merge(v, in->reg, x->val[1]);

    switch (in->reg) {
    case 0: return cr0_write(v, value);
    case 2: v->state.cr2 = value; return true;
    case 3: return cr3_write(v, value);
    case 4: return cr4_write(v, value);
    default:
        if (value > 15)
            return RAISE_GP0(v);
        if (in_svm_guest(v))
            svm_tpr_write(v, value);
        if (vmx_tpr_shadowed(v)) {
            vmx_cr8_write(v, value);
        } else if (svm_masks_virtually(v)) {
            /* the guest's own is all there is */
        } else if (v->wires.tpr_write != NULL) {
            vcpu_commit_time(v);
            v->wires.tpr_write(v->wires.ctx, value);
        }
        v->attention = true;
        return true;
    }
}

static bool exec_mov_from_dr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return dr_read(v, in->reg, &x->val[0]);
}

static bool exec_mov_to_dr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return dr_write(v, in->reg, x->val[1]);
}

static bool exec_smsw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = vmx_cr_read(v, 0, v->state.cr0);
    return umip_allows(v);
}

/* Sets PE, never clears it. */
static bool exec_lmsw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 bits = CR0_MP | CR0_EM | CR0_TS;

    (void)in;
    return cr0_write(v, vmx_cr_merge(v, 0, (v->state.cr0 & ~bits) | (x->val[0] & (bits | CR0_PE))));
}

static bool exec_clts(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return cr0_write(v, vmx_cr_merge(v, 0, v->state.cr0 & ~CR0_TS));
}

static bool exec_xsetbv(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 value = (v->state.reg[REG_RDX] << 32) | (v->state.reg[REG_RAX] & 0xffffffff);

    (void)in;
    (void)x;
    if ((v->state.cr4 & CR4_OSXSAVE) == 0)
        return RAISE_UD(v);
    if (v->cpl != 0 || (u32)v->state.reg[REG_RCX] != 0)
        return RAISE_GP0(v);
    return xcr0_write(v, value);
}

/* ---- translations and caches ---- */

static bool exec_invlpg(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    mmu_invalidate_page(v->mmu, x->address);
    vcpu_tlb_refresh(v);
    return true;
}

/* The operand is an address that is not accessed, so no segment is in the way. SDM Vol 2 "INVLPG".
 */
STAMP_FN(run_invlpg)
{
    mmu_invalidate_page(v->mmu, stamp_ea(v, in, EA_OPEN));
    vcpu_tlb_refresh(v);
    NEXT(v, in);
}

static insn_run stamp_invlpg(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_invlpg;
}

/* Under strict coherence only the operand's checks are left to do. SDM Vol 2 "INVPCID". */
static bool exec_invpcid(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 type = x->val[0];
    const u64 pcid = x->vec[1].q[0];
    const u64 la = x->vec[1].q[1];

    (void)in;
    if (type > 3 || pcid >> 12 != 0 || (type < 2 && pcid != 0 && (v->state.cr4 & CR4_PCIDE) == 0) ||
        (type == 0 && !canonical_storable(v, la)))
        return RAISE_GP0(v);
    if (type == 0)
        mmu_invalidate_page(v->mmu, la);
    else
        mmu_invalidate_all(v->mmu);
    vcpu_tlb_refresh(v);
    return true;
}

/* The line must be readable; there is no cache to write back. */
static bool exec_clflush(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 flags = segment_flag(in);
    u64 la;

    return seg_linear(v, (enum seg)in->seg, x->offset, 1, ACCESS_READ, &la) &&
           mem_probe_read(v, la, 1, flags);
}

static bool exec_clzero(struct vcpu *v, const struct insn *in, struct operands *x)
{
    static const u8 zeros[64];
    const u64 offset = reg_read(v, REG_RAX, in->addr) & ~(u64)63;
    u64 la;

    (void)x;
    return seg_linear(v, (enum seg)in->seg, offset, 64, ACCESS_WRITE, &la) &&
           mem_store_bytes(v, la & ~(u64)63, zeros, 64, 0);
}

static bool exec_nothing(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    (void)x;
    return true;
}

STAMP_FN(run_nothing)
{
    NEXT(v, in);
}

static insn_run stamp_nothing(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_nothing;
}

/* ---- waiting ---- */

static bool exec_hlt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    v->state.activity = ACTIVITY_HLT;
    v->state.mwait = 0;
    v->attention = true;
    return true;
}

/* Only CPL 0, or #UD: SDM Vol 2 "MONITOR". */
static bool monitor_allowed(struct vcpu *v)
{
    if (v->cpl != 0 || (!v->amd && (v->state.misc_enable & MISC_ENABLE_MONITOR) == 0))
        return RAISE_UD(v);
    return true;
}

static bool exec_monitor(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 la;

    (void)x;
    if (!monitor_allowed(v))
        return false;
    if ((u32)v->state.reg[REG_RCX] != 0)
        return RAISE_GP0(v);
    return seg_linear(v, (enum seg)in->seg, reg_read(v, REG_RAX, in->addr), 1, ACCESS_READ, &la) &&
           monitor_arm(v, la);
}

static bool exec_mwait(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 extensions = (u32)v->state.reg[REG_RCX];

    (void)in;
    (void)x;
    if (!monitor_allowed(v))
        return false;
    if (extensions > 1)
        return RAISE_GP0(v);
    monitor_wait(v, extensions == 1);
    return true;
}

/* ---- SMAP, undefined, RSM ---- */

static void set_ac(struct vcpu *v, bool ac)
{
    v->state.rflags = ac ? v->state.rflags | FLAG_AC : v->state.rflags & ~(u64)FLAG_AC;
    mmu_set_privilege(v->mmu, false, ac);
    vcpu_tlb_refresh(v);
}

static bool exec_clac(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (v->cpl != 0)
        return RAISE_UD(v);
    set_ac(v, false);
    return true;
}

static bool exec_stac(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (v->cpl != 0)
        return RAISE_UD(v);
    set_ac(v, true);
    return true;
}

STAMP_FN(run_clac)
{
    set_ac(v, false);
    NEXT(v, in);
}

STAMP_FN(run_stac)
{
    set_ac(v, true);
    NEXT(v, in);
}

static insn_run stamp_clac(const struct insn *in, u32 mode)
{
    (void)in;
    return (mode & MODE_CPL0) != 0 ? run_clac : NULL;
}

static insn_run stamp_stac(const struct insn *in, u32 mode)
{
    (void)in;
    return (mode & MODE_CPL0) != 0 ? run_stac : NULL;
}

static bool exec_ud(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return RAISE_UD(v);
}

static bool exec_rsm(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return smm_return(v);
}

/* clang-format off */
#define LAST (ENDS_BLOCK | SERIALISING)

const struct insn_def isa_system[] = {
    {"sldt", "0f 00 /0", "=Ev", exec_sldt, PROT | WRITE_ALWAYS_16M, .intercept = INTERCEPT_LDTR_TR},
    {"str", "0f 00 /1", "=Ev", exec_str, PROT | WRITE_ALWAYS_16M, .intercept = INTERCEPT_LDTR_TR},
    {"lldt", "0f 00 /2", "Ew", exec_lldt, PROT | CPL0 | LAST, .intercept = INTERCEPT_LDTR_TR},
    {"ltr", "0f 00 /3", "Ew", exec_ltr, PROT | CPL0 | LAST, .intercept = INTERCEPT_LDTR_TR},
    {"verr", "0f 00 /4", "Ew", exec_verr, PROT, .flags_written = FLAG_ZF},
    {"verw", "0f 00 /5", "Ew", exec_verw, PROT, .flags_written = FLAG_ZF},
    {"lar", "0f 02 /r", "Gv,Ew", exec_lar, PROT, .flags_written = FLAG_ZF},
    {"lsl", "0f 03 /r", "Gv,Ew", exec_lsl, PROT, .flags_written = FLAG_ZF},
    {"arpl", "63 /r", "+Ew,Gw", exec_arpl, PROT | NO64, .flags_written = FLAG_ZF},
    {"sgdt", "0f 01 /0", "=Ms", exec_sgdt, 0, .intercept = INTERCEPT_GDTR_IDTR},
    {"sidt", "0f 01 /1", "=Ms", exec_sidt, 0, .intercept = INTERCEPT_GDTR_IDTR},
    {"lgdt", "0f 01 /2", "Ms", exec_lgdt, CPL0 | LAST, .intercept = INTERCEPT_GDTR_IDTR},
    {"lidt", "0f 01 /3", "Ms", exec_lidt, CPL0 | LAST, .intercept = INTERCEPT_GDTR_IDTR},
    {"smsw", "0f 01 /4", "=Ev", exec_smsw, WRITE_ALWAYS_16M, .intercept = INTERCEPT_SMSW},
    {"lmsw", "0f 01 /6", "Ew", exec_lmsw, CPL0 | LAST, .intercept = INTERCEPT_LMSW},
    {"invlpg", "0f 01 /7", "M", exec_invlpg, CPL0, .intercept = INTERCEPT_INVLPG, .stamp = stamp_invlpg},
    {"monitor", "0f 01 c8", "", exec_monitor, ENDS_BLOCK, .feature = F_MONITOR, .intercept = INTERCEPT_MONITOR},
    {"mwait", "0f 01 c9", "", exec_mwait, ENDS_BLOCK | IO, .feature = F_MONITOR, .intercept = INTERCEPT_MWAIT},
    {"clac", "np 0f 01 ca", "", exec_clac, 0, .feature = F_SMAP, .stamp = stamp_clac},
    {"stac", "np 0f 01 cb", "", exec_stac, 0, .feature = F_SMAP, .stamp = stamp_stac},
    {"xsetbv", "np 0f 01 d1", "", exec_xsetbv, LAST, .feature = F_XSAVE, .intercept = INTERCEPT_XSETBV},
    {"clzero", "0f 01 fc", "", exec_clzero, 0, .feature = F_CLZERO},
    {"clts", "0f 06", "", exec_clts, CPL0 | LAST, .intercept = INTERCEPT_CLTS},
    {"invd", "0f 08", "", exec_nothing, CPL0 | LAST, .intercept = INTERCEPT_INVD},
    {"wbinvd", "0f 09", "", exec_nothing, CPL0 | LAST, .intercept = INTERCEPT_WBINVD},
    {"ud2", "0f 0b", "", exec_ud, ENDS_BLOCK},
    {"ud1", "0f b9 /r", "", exec_ud, ENDS_BLOCK},
    {"ud0", "0f ff /r", "", exec_ud, ENDS_BLOCK},
    {"mov", "0f 20 /r", "=Ry,C", exec_mov_from_cr, CPL0 | FORCE64 | NO66, .intercept = INTERCEPT_MOV_FROM_CR},
    {"mov", "0f 22 /r", "=C,Ry", exec_mov_to_cr, CPL0 | FORCE64 | NO66 | LAST | IO, .intercept = INTERCEPT_MOV_TO_CR},
    {"mov", "0f 21 /r", "=Ry,D", exec_mov_from_dr, CPL0 | FORCE64 | NO66, .intercept = INTERCEPT_MOV_DR},
    {"mov", "0f 23 /r", "=D,Ry", exec_mov_to_dr, CPL0 | FORCE64 | NO66 | LAST, .intercept = INTERCEPT_MOV_DR},
    {"rsm", "0f aa", "", exec_rsm, BRANCH | LAST | IO, .intercept = INTERCEPT_RSM},
    {"clflush", "np 0f ae /7", "M", exec_clflush, 0, .feature = F_CLFLUSH},
    {"clflushopt", "66 0f ae /7", "M", exec_clflush, 0, .feature = F_CLFLUSHOPT},
    {"clwb", "66 0f ae /6", "M", exec_clflush, 0, .feature = F_CLWB},
    {"lfence", "np 0f ae e8+i", "", exec_nothing, 0, .feature = F_SSE2, .stamp = stamp_nothing},
    {"mfence", "np 0f ae f0+i", "", exec_nothing, 0, .feature = F_SSE2, .stamp = stamp_nothing},
    {"sfence", "np 0f ae f8+i", "", exec_nothing, 0, .feature = F_SSE, .stamp = stamp_nothing},
    {"invpcid", "66 0f 38 82 /r", "Gy,Mdq", exec_invpcid, CPL0 | FORCE64 | LAST, .feature = F_INVPCID, .intercept = INTERCEPT_INVPCID},
    {"hlt", "f4", "", exec_hlt, CPL0 | ENDS_BLOCK | IO, .intercept = INTERCEPT_HLT},
    {0},
};
/* clang-format on */
