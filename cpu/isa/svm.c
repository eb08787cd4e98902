/* SPDX-License-Identifier: MIT */
/*
 * SVM instructions, APM Vol 3 chapter 4 by mnemonic, and APM Vol 2 15.5, 15.17, 15.16, 15.27. In a
 * guest, exceptions come before the exit (APM Vol 2 table 15-7), but for VMMCALL.
 */
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/isa/isa.h"
#include "cpu/mem.h"
#include "cpu/svm/internal.h"

static bool in_ring_0(struct vcpu *v)
{
    if (!protected_mode(v))
        return RAISE_UD(v);
    if (v->cpl != 0)
        return RAISE_GP0(v);
    return true;
}

/* #UD without EFER.SVME and outside protected mode, #GP(0) outside ring 0. */
static bool may_execute(struct vcpu *v)
{
    if ((v->state.efer & EFER_SVME) == 0)
        return RAISE_UD(v);
    return in_ring_0(v);
}

static bool leave_for(struct vcpu *v, u32 code)
{
    svm_exit_begin(v, code)->length = (u8)virt_insn_length(v);
    (void)raise_exit(v);
    return true;
}

/* In a guest that is to exit for it? */
static bool exits(struct vcpu *v, u32 code)
{
    return in_svm_guest(v) && svm_intercepts(v, code) && leave_for(v, code);
}

/* rAX names a VMCB: a page within the physical addresses, or #GP(0). */
static bool vmcb_operand(struct vcpu *v, const struct insn *in, u64 *vmcb)
{
    *vmcb = reg_read(v, REG_RAX, in->addr);
    if ((*vmcb & PAGE_OFFSET_MASK) != 0 || (*vmcb & physical_reserved(v)) != 0)
        return RAISE_GP0(v);
    return true;
}

static bool exec_vmrun(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 vmcb;

    (void)x;
    if (!may_execute(v) || !vmcb_operand(v, in, &vmcb) || exits(v, SVM_EXIT_VMRUN))
        return false;
    vcpu_commit_time(v);
    svm_enter(v, vmcb);
    return true;
}

/* #UD, unless a hypervisor wants it. */
static bool exec_vmmcall(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return !exits(v, SVM_EXIT_VMMCALL) && RAISE_UD(v);
}

/* ---- VMLOAD, VMSAVE ---- */

static bool is_virtual(const struct vcpu *v)
{
    return in_svm_guest(v) && (v->state.svm.control.virt_ext & VIRT_EXT_VMLOAD) != 0;
}

/* Virtual VMLOAD and VMSAVE need nested paging below a 64-bit hypervisor, or they exit. */
static bool vmload_exits(struct vcpu *v, u32 code)
{
    const struct svm_host *host = &v->state.svm.host;
    const bool host_64 = (host->efer & EFER_LMA) != 0 && (host->cs.attr & VMCB_ATTR_L) != 0;

    if (is_virtual(v) && !(host_64 && svm_nested_paging(v)))
        return leave_for(v, code);
    return exits(v, code);
}

/* In a guest with virtual VMLOAD and VMSAVE the address is a guest's: APM Vol 2 15.33.1. */
static bool translate_vmcb(struct vcpu *v, u32 access, u64 *vmcb)
{
    hpa_t hpa;

    if (!is_virtual(v))
        return true;
    if (!mmu_translate_nested(v->mmu, (gpa_t){*vmcb}, access, &hpa))
        return svm_raise_nested(v);
    *vmcb = hpa.v;
    return true;
}

static bool exec_vmload(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct cpu_state *s = &v->state;
    struct vmcb_save save;
    u64 vmcb;

    (void)x;
    if (!may_execute(v) || !vmcb_operand(v, in, &vmcb) || vmload_exits(v, SVM_EXIT_VMLOAD) ||
        !translate_vmcb(v, ACCESS_READ, &vmcb))
        return false;
    vcpu_commit_time(v);
    memory_read(v->memory, (hpa_t){vmcb + VMCB_SAVE}, &save, sizeof(save));
    svm_segment_load(v, SEG_FS, &save.fs);
    svm_segment_load(v, SEG_GS, &save.gs);
    svm_segment_load(v, SEG_TR, &save.tr);
    svm_segment_load(v, SEG_LDTR, &save.ldtr);
    s->kernel_gs_base = svm_canonical(v, save.kernel_gs_base);
    s->star = save.star;
    s->lstar = svm_canonical(v, save.lstar);
    s->cstar = svm_canonical(v, save.cstar);
    s->sfmask = save.sfmask & 0xffffffff;
    s->sysenter_cs = save.sysenter_cs & 0xffffffff;
    s->sysenter_esp = svm_canonical(v, save.sysenter_esp);
    s->sysenter_eip = svm_canonical(v, save.sysenter_eip);
    mode_update_segments(v);
    return true;
}

static bool exec_vmsave(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct cpu_state *s = &v->state;
    struct vmcb_save save;
    hpa_t at;
    u64 vmcb;

    (void)x;
    if (!may_execute(v) || !vmcb_operand(v, in, &vmcb) || vmload_exits(v, SVM_EXIT_VMSAVE) ||
        !translate_vmcb(v, ACCESS_WRITE, &vmcb))
        return false;
    at.v = vmcb + VMCB_SAVE;
    vcpu_commit_time(v);
    memory_read(v->memory, at, &save, sizeof(save));
    svm_segment_save(&save.fs, &s->seg[SEG_FS]);
    svm_segment_save(&save.gs, &s->seg[SEG_GS]);
    svm_segment_save(&save.tr, &s->seg[SEG_TR]);
    svm_segment_save(&save.ldtr, &s->seg[SEG_LDTR]);
    save.kernel_gs_base = s->kernel_gs_base;
    save.star = s->star;
    save.lstar = s->lstar;
    save.cstar = s->cstar;
    save.sfmask = s->sfmask;
    save.sysenter_cs = s->sysenter_cs;
    save.sysenter_esp = s->sysenter_esp;
    save.sysenter_eip = s->sysenter_eip;
    memory_write(v->memory, at, &save, sizeof(save));
    v->attention = true;
    return true;
}

/* ---- the global interrupt flag: APM Vol 2 15.17, 15.33.2 ---- */

/* With the SVM lock STGI does not need EFER.SVME: APM Vol 2 15.31. */
static bool set_gif(struct vcpu *v, bool gif)
{
    struct vmcb_control *c = &v->state.svm.control;
    const bool always = gif && has_feature(v, F_SVM_LOCK);

    if (!(always ? in_ring_0(v) : may_execute(v)) || exits(v, gif ? SVM_EXIT_STGI : SVM_EXIT_CLGI))
        return false;
    if (in_svm_guest(v) && (c->vintr & VINTR_GIF_ENABLE) != 0)
        c->vintr = gif ? c->vintr | VINTR_GIF : c->vintr & ~(u32)VINTR_GIF;
    else
        v->state.svm.gif_clear = !gif;
    v->attention = true;
    return true;
}

static bool exec_stgi(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return set_gif(v, true);
}

static bool exec_clgi(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return set_gif(v, false);
}

/* ---- others ---- */

/* CPUID says that there is no SKINIT: #UD. */
static bool exec_skinit(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return RAISE_UD(v);
}

/* rAX: linear address, ECX: ASID. Nothing is stale but in the lazy engine. APM Vol 2 15.16.1. */
static bool exec_invlpga(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 la = reg_read(v, REG_RAX, in->addr);

    (void)x;
    if (!may_execute(v) || exits(v, SVM_EXIT_INVLPGA))
        return false;
    if ((u32)v->state.reg[REG_RCX] == 0)
        mmu_invalidate_page(v->mmu, la);
    else
        mmu_invalidate_second(v->mmu);
    vcpu_tlb_refresh(v);
    return true;
}

/* clang-format off */
const struct insn_def isa_svm[] = {
    {"vmrun", "0f 01 d8", "", exec_vmrun, BRANCH | ENDS_BLOCK | IO, .feature = F_SVM},
    {"vmmcall", "0f 01 d9", "", exec_vmmcall, ENDS_BLOCK | IO, .feature = F_SVM},
    {"vmload", "0f 01 da", "", exec_vmload, ENDS_BLOCK, .feature = F_SVM},
    {"vmsave", "0f 01 db", "", exec_vmsave, ENDS_BLOCK, .feature = F_SVM},
    {"stgi", "0f 01 dc", "", exec_stgi, ENDS_BLOCK | IO, .feature = F_SVM},
    {"clgi", "0f 01 dd", "", exec_clgi, ENDS_BLOCK | IO, .feature = F_SVM},
    {"skinit", "0f 01 de", "", exec_skinit, ENDS_BLOCK, .feature = F_SVM},
    {"invlpga", "0f 01 df", "", exec_invlpga, ENDS_BLOCK, .feature = F_SVM},
    {0},
};
/* clang-format on */
