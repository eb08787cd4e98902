/* SPDX-License-Identifier: MIT */
/* VMRUN: APM Vol 2 15.5, in its order. */
#include "cpu/control.h"
#include "cpu/explain.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/segment.h"
#include "cpu/svm/internal.h"

/* Member by member: wide copies of what has just been written in parts are slow. */
void svm_segment_save(struct vmcb_segment *to, const struct segment *from)
{
    to->selector = from->selector;
    to->attr = segment_attr_pack(from->attr);
    to->limit = from->limit;
    to->base = from->base;
}

u64 svm_canonical(const struct vcpu *v, u64 address)
{
    const unsigned unused = has_feature(v, F_LA57) ? 64 - 57 : 64 - 48;

    return (u64)((i64)(address << unused) >> unused);
}

/* Bases are made canonical: APM Vol 2 15.5.1 "Canonicalization and Consistency Checks". */
void svm_segment_load(struct vcpu *v, enum seg seg, const struct vmcb_segment *from)
{
    struct segment *to = &v->state.seg[seg];

    to->base = svm_canonical(v, from->base);
    to->limit = from->limit;
    to->attr = segment_attr_unpack(from->attr);
    to->selector = from->selector;
}

/* ---- the host: APM Vol 2 15.5.1, "Saving Host State" ---- */

static void keep_host(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    struct svm_host *host = &v->state.svm.host;

    svm_segment_save(&host->es, &s->seg[SEG_ES]);
    svm_segment_save(&host->cs, &s->seg[SEG_CS]);
    svm_segment_save(&host->ss, &s->seg[SEG_SS]);
    svm_segment_save(&host->ds, &s->seg[SEG_DS]);
    host->gdtr_base = s->gdtr.base;
    host->idtr_base = s->idtr.base;
    host->gdtr_limit = s->gdtr.limit;
    host->idtr_limit = s->idtr.limit;
    host->efer = s->efer;
    host->cr0 = s->cr0;
    host->cr3 = s->cr3;
    host->cr4 = s->cr4;
    host->rflags = rflags_get(v);
    host->rip = v->next_rip;
    host->rsp = s->reg[REG_RSP];
    host->rax = s->reg[REG_RAX];
    host->pat = s->pat;
    host->debugctl = s->debugctl;
    host->branch_from = s->last_branch_from;
    host->branch_to = s->last_branch_to;
    host->int_from = s->last_int_from;
    host->int_to = s->last_int_to;
}

/* ---- the guest: "Loading Guest State" ---- */

static void load_table(const struct vcpu *v, struct table_register *to,
                       const struct vmcb_segment *from)
{
    to->base = svm_canonical(v, from->base);
    to->limit = (u16)from->limit;
}

static void load_segments(struct vcpu *v, const struct vmcb_save *save)
{
    struct cpu_state *s = &v->state;
    const bool virtual_8086 = (save->rflags & FLAG_VM) != 0;
    const u32 cpl = (save->cr0 & CR0_PE) == 0 ? 0 : virtual_8086 ? 3 : save->cpl & 3u;

    svm_segment_load(v, SEG_ES, &save->es);
    svm_segment_load(v, SEG_CS, &save->cs);
    svm_segment_load(v, SEG_SS, &save->ss);
    svm_segment_load(v, SEG_DS, &save->ds);
    s->seg[SEG_SS].attr = (s->seg[SEG_SS].attr & ~(u32)ATTR_DPL) | cpl << ATTR_DPL_SHIFT;
    load_table(v, &s->gdtr, &save->gdtr);
    load_table(v, &s->idtr, &save->idtr);
}

static void load_lbr(struct vcpu *v, const struct vmcb_save *save)
{
    struct cpu_state *s = &v->state;

    s->debugctl = save->debugctl & (DEBUGCTL_LBR | DEBUGCTL_BTF);
    s->last_branch_from = save->branch_from;
    s->last_branch_to = save->branch_to;
    s->last_int_from = save->int_from;
    s->last_int_to = save->int_to;
}

/* PDPTE registers, which the checks have seen. Under nested paging there are none. */
static void load_pdptes(struct vcpu *v)
{
    struct cpu_state *s = &v->state;

    if (!pae_paging(s->cr0, s->cr4, s->efer) || svm_nested_paging(v))
        return;
    for (u32 i = 0; i < 4; i++)
        s->pdpte[i] = mmu_read_physical(v->mmu, pdpte_address(s->cr3, i), 8);
}

static void load_guest(struct vcpu *v, const struct vmcb_save *save)
{
    struct cpu_state *s = &v->state;
    const bool lma = (save->efer & EFER_LME) != 0 && (save->cr0 & CR0_PG) != 0;

    s->efer = (save->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
    s->cr0 = (save->cr0 & CR0_KNOWN) | CR0_ET;
    s->cr2 = save->cr2;
    s->cr3 = save->cr3;
    s->cr4 = save->cr4;
    s->dr[6] = dr6_loaded(save->dr6);
    s->dr[7] = dr7_loaded(save->dr7);
    s->reg[REG_RIP] = save->rip;
    s->reg[REG_RSP] = save->rsp;
    s->reg[REG_RAX] = save->rax;
    if (svm_nested_paging(v))
        s->pat = save->g_pat;
    if ((s->svm.control.virt_ext & VIRT_EXT_LBR) != 0)
        load_lbr(v, save);
    load_segments(v, save);
    load_pdptes(v);
    rflags_set(v, save->rflags & FLAGS_KNOWN);
}

/* What the model does not have is as if its bits were clear. */
static void mask_features(const struct vcpu *v, struct vmcb_control *c)
{
    if (!has_feature(v, F_NPT))
        c->np_control &= ~(u64)NP_ENABLE;
    if (!has_feature(v, F_GMET))
        c->np_control &= ~(u64)NP_GMET;
    if (!has_feature(v, F_LBRV))
        c->virt_ext &= ~(u64)VIRT_EXT_LBR;
    if (!has_feature(v, F_V_VMLOAD))
        c->virt_ext &= ~(u64)VIRT_EXT_VMLOAD;
    if (!has_feature(v, F_VGIF))
        c->vintr &= ~(u32)VINTR_GIF_ENABLE;
    if (!has_feature(v, F_VNMI))
        c->vintr &= ~(u32)VINTR_NMI_ENABLE;
    if (!has_feature(v, F_PAUSE_FILTER))
        c->pause_count = 0;
    if (!has_feature(v, F_PAUSE_THRESHOLD))
        c->pause_threshold = 0;
}

/*
 * ASIDs and TLB_CONTROL: APM Vol 2 15.16. Translations are coherent with the tables, so that there
 * is nothing to flush, unless the MMU is lazy: then another ASID is a TLB that holds nothing.
 */
static void switch_asid(struct vcpu *v)
{
    struct svm_state *svm = &v->state.svm;

    if (svm->control.tlb_control == 0 && svm->control.asid == svm->last_asid)
        return;
    svm->last_asid = svm->control.asid;
    mmu_invalidate_second(v->mmu);
    vcpu_tlb_refresh(v);
}

/* In words, if the user asks for it (--explain). */
static COLD void explain_rule(struct vcpu *v, const struct svm_rule *rule,
                              const struct vmcb_save *save)
{
    const struct vmcb_field *field = vmcb_field_find(rule->field);
    const u64 vmcb = v->state.svm.vmcb;
    u64 value = 0;

    memory_read(v->memory, (hpa_t){vmcb + field->offset}, &value,
                field->size < sizeof(value) ? field->size : sizeof(value));
    explain_begin(v, v->insn_rip, "VMRUN of the VMCB at %llx ends with #VMEXIT(INVALID)",
                  (unsigned long long)vmcb);
    EXPLAIN_LINE("rule", "%s: %s", rule->name, rule->words);
    EXPLAIN_LINE("field", "%03x %s = %llx", field->offset, field->name, (unsigned long long)value);
    EXPLAIN_LINE("guest", "%04x:%llx", save->cs.selector, (unsigned long long)save->rip);
    EXPLAIN_LINE("manual", "%s", rule->ref);
}

static void note_rule(struct vcpu *v, const struct svm_rule *rule, const struct vmcb_save *save)
{
    v->vmrun_rule = rule;
    if (explain_wanted())
        explain_rule(v, rule, save);
    LOG(LOG_GUEST_ERROR, "CPU %u: VMRUN of %llx refused: %s: not so that %s (VMCB offset %03x), %s",
        v->index, (unsigned long long)v->state.svm.vmcb, rule->name, rule->words, rule->field,
        rule->ref);
}

/* The save area where it is, or what the memory there gives for it. */
static const struct vmcb_save *save_area(struct vcpu *v, u64 vmcb, struct vmcb_save *copy)
{
    const hpa_t at = {vmcb + VMCB_SAVE};
    const u8 *bytes = memory_peek(v->memory, at, sizeof(*copy));

    if (bytes != NULL)
        return (const struct vmcb_save *)(const void *)bytes;
    memory_read(v->memory, at, copy, sizeof(*copy));
    return copy;
}

void svm_enter(struct vcpu *v, u64 vmcb)
{
    struct svm_state *svm = &v->state.svm;
    const struct svm_rule *broken;
    struct vmcb_save copy;
    const struct vmcb_save *save = save_area(v, vmcb, &copy);

    svm->vmcb = vmcb;
    memory_read(v->memory, (hpa_t){vmcb}, &svm->control, sizeof(svm->control));
    mask_features(v, &svm->control);
    keep_host(v);
    broken = svm_check(v, save);
    if (broken != NULL) {
        note_rule(v, broken, save);
        svm_exit_invalid(v);
        return;
    }
    svm->guest = 1;
    svm->gif_clear = 0;
    svm->pause_left = svm->control.pause_count;
    svm->pause_last = 0;
    v->no_step = v->alone; /* a TF of the host's traps behind #VMEXIT */
    load_guest(v, save);
    svm_events_enter(v);
    mode_update(v);
    switch_asid(v);
    v->next_rip = v->state.reg[REG_RIP];
    v->attention = true;
}

/* ---- what follows from being in a guest ---- */

u64 svm_guest_tsc(const struct vcpu *v, u64 tsc)
{
    const struct svm_state *svm = &v->state.svm;

    if (svm->tsc_ratio != SVM_TSC_RATIO_ONE)
        tsc = (u64)((__extension__(unsigned __int128) tsc) * svm->tsc_ratio >> 32);
    return tsc + svm->control.tsc_offset;
}

/* ---- system-management mode: APM Vol 2 15.22 ---- */

void svm_smi(struct vcpu *v)
{
    struct svm_state *svm = &v->state.svm;

    svm->smm_guest = svm->guest;
    svm->guest = 0;
}

void svm_rsm(struct vcpu *v)
{
    struct svm_state *svm = &v->state.svm;

    svm->guest = svm->smm_guest;
    svm->smm_guest = 0;
}
