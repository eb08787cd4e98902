/* SPDX-License-Identifier: MIT */
/*
 * What makes VMRUN end with #VMEXIT(INVALID): APM Vol 2 15.5.1, "Canonicalization and Consistency
 * Checks", in its order, and the sections that add to its list.
 */
#include "cpu/control.h"
#include "cpu/svm/internal.h"

#define SAVE_FIELD(member) (u16)(VMCB_SAVE + offsetof(struct vmcb_save, member))
#define CONTROL_FIELD(member) (u16) offsetof(struct vmcb_control, member)

enum { IOPM_BYTES = 0x3000, MSRPM_BYTES = 0x2000 };

static const struct vmcb_control *control(const struct vcpu *v)
{
    return &v->state.svm.control;
}

static bool svme_set(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return (save->efer & EFER_SVME) != 0;
}

static bool caching_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return (save->cr0 & (CR0_CD | CR0_NW)) != CR0_NW;
}

static bool cr0_upper_clear(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return save->cr0 >> 32 == 0;
}

static bool cr3_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    return (save->cr3 & physical_reserved(v)) == 0;
}

static bool cr4_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    return (save->cr4 & ~cr4_known(v)) == 0;
}

static bool dr6_upper_clear(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return save->dr6 >> 32 == 0;
}

static bool dr7_upper_clear(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return save->dr7 >> 32 == 0;
}

static bool efer_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    return (save->efer & ~efer_known(v)) == 0;
}

static bool long_paging(const struct vmcb_save *save)
{
    return (save->efer & EFER_LME) != 0 && (save->cr0 & CR0_PG) != 0;
}

static bool long_mode_with_pae(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return !long_paging(save) || (save->cr4 & CR4_PAE) != 0;
}

static bool long_mode_protected(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)v;
    return !long_paging(save) || (save->cr0 & CR0_PE) != 0;
}

static bool cs_one_size(const struct vcpu *v, const struct vmcb_save *save)
{
    enum { BOTH = VMCB_ATTR_L | VMCB_ATTR_D };

    (void)v;
    return !long_paging(save) || (save->cs.attr & BOTH) != BOTH;
}

static bool vmrun_intercepted(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return svm_intercepts(v, SVM_EXIT_VMRUN);
}

/* Bits 11:0 are ignored. */
static bool map_inside(const struct vcpu *v, u64 base, u64 size)
{
    const u64 first = base & ~PAGE_OFFSET_MASK;

    return (first & physical_reserved(v)) == 0 && ((first + size) & physical_reserved(v)) == 0;
}

static bool msrpm_inside(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return map_inside(v, control(v)->msrpm_base, MSRPM_BYTES);
}

static bool iopm_inside(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return map_inside(v, control(v)->iopm_base, IOPM_BYTES - 1);
}

/* Vectors that are an exception's: APM Vol 2 table 8-1. NMI is none, and 64-bit mode has neither
 * INTO nor BOUND. */
static bool is_exception(const struct vmcb_save *save, u32 vector)
{
    const u32 reserved = 1u << 9 | 1u << 15 | 1u << 20 | 0x0fc00000 | 1u << 31;
    const u32 legacy = 1u << VEC_OF | 1u << VEC_BR;
    const bool is_64 = long_paging(save) && (save->cs.attr & VMCB_ATTR_L) != 0;
    const u32 none = reserved | 1u << VEC_NMI | (is_64 ? legacy : 0);

    return vector < 32 && (none >> vector & 1) == 0;
}

static bool injection_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    const u32 info = control(v)->event_inj;

    if ((info & INFO_VALID) == 0)
        return true;
    switch (svm_event_type(info)) {
    case SVM_TYPE_INTR:
    case SVM_TYPE_NMI:
    case SVM_TYPE_SOFT: return true;
    case SVM_TYPE_EXCEPTION: return is_exception(save, info & INFO_VECTOR);
    default: return false;
    }
}

static bool asid_nonzero(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return control(v)->asid != 0;
}

/* A virtual NMI needs the physical ones for the hypervisor: APM Vol 2 15.21.10. */
static bool vnmi_allowed(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return (control(v)->vintr & VINTR_NMI_ENABLE) == 0 || !has_feature(v, F_VNMI) ||
           svm_intercepts(v, SVM_EXIT_NMI);
}

static bool nested(const struct vcpu *v)
{
    return (control(v)->np_control & NP_ENABLE) != 0 && has_feature(v, F_NPT);
}

static bool host_pages(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return !nested(v) || (v->state.svm.host.cr0 & CR0_PG) != 0;
}

static bool ncr3_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    (void)save;
    return !nested(v) || (control(v)->ncr3 & physical_reserved(v)) == 0;
}

static bool gpat_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    return !nested(v) || pat_valid(save->g_pat);
}

/* Without nested paging they are loaded now, as by MOV to CR3. */
static bool pdptes_valid(const struct vcpu *v, const struct vmcb_save *save)
{
    if (nested(v) || !pae_paging(save->cr0, save->cr4, save->efer))
        return true;
    for (u32 i = 0; i < 4; i++) {
        if (!pdpte_valid(v, mmu_read_physical(v->mmu, pdpte_address(save->cr3, i), 8)))
            return false;
    }
    return true;
}

/* clang-format off */
const struct svm_rule svm_rules[] = {
    /* name, what must be so, check, field, reference */
    {"efer_svme", "EFER.SVME is 1", svme_set, SAVE_FIELD(efer), "APM Vol 2 15.5.1"},
    {"cr0_cache_disable", "CR0.NW is 0 unless CR0.CD is 1", caching_valid, SAVE_FIELD(cr0), "APM Vol 2 15.5.1"},
    {"cr0_upper", "CR0 bits 63:32 are 0", cr0_upper_clear, SAVE_FIELD(cr0), "APM Vol 2 15.5.1"},
    {"cr3_reserved", "CR3 has no bit that must be 0", cr3_valid, SAVE_FIELD(cr3), "APM Vol 2 15.5.1"},
    {"cr4_reserved", "CR4 has no bit that must be 0", cr4_valid, SAVE_FIELD(cr4), "APM Vol 2 15.5.1"},
    {"dr6_upper", "DR6 bits 63:32 are 0", dr6_upper_clear, SAVE_FIELD(dr6), "APM Vol 2 15.5.1"},
    {"dr7_upper", "DR7 bits 63:32 are 0", dr7_upper_clear, SAVE_FIELD(dr7), "APM Vol 2 15.5.1"},
    {"efer_reserved", "EFER has no bit that must be 0 on this processor", efer_valid, SAVE_FIELD(efer), "APM Vol 2 15.5.1"},
    {"long_mode_has_pae", "EFER.LME with CR0.PG needs CR4.PAE", long_mode_with_pae, SAVE_FIELD(cr4), "APM Vol 2 15.5.1"},
    {"long_mode_is_protected", "EFER.LME with CR0.PG needs CR0.PE", long_mode_protected, SAVE_FIELD(cr0), "APM Vol 2 15.5.1"},
    {"cs_size", "in long mode CS.L and CS.D are not both 1", cs_one_size, SAVE_FIELD(cs), "APM Vol 2 15.5.1"},
    {"vmrun_intercept", "VMRUN is intercepted", vmrun_intercepted, CONTROL_FIELD(intercept[4]), "APM Vol 2 15.5.1"},
    {"msrpm_end", "the MSR permissions map ends within the physical addresses", msrpm_inside, CONTROL_FIELD(msrpm_base), "APM Vol 2 15.5.1"},
    {"iopm_end", "the I/O permissions map ends within the physical addresses", iopm_inside, CONTROL_FIELD(iopm_base), "APM Vol 2 15.5.1"},
    {"injection", "EVENTINJ has a type that exists and a vector that goes with it and with the mode", injection_valid, CONTROL_FIELD(event_inj), "APM Vol 2 15.20"},
    {"asid", "the ASID is not 0", asid_nonzero, CONTROL_FIELD(asid), "APM Vol 2 15.5.1"},
    {"virtual_nmi_needs_intercept", "virtual NMIs need the NMI intercept", vnmi_allowed, CONTROL_FIELD(vintr), "APM Vol 2 15.21.10"},
    {"nested_paging_needs_paging", "nested paging needs a host that pages", host_pages, CONTROL_FIELD(np_control), "APM Vol 2 15.25.3"},
    {"ncr3_reserved", "N_CR3 has no bit that must be 0", ncr3_valid, CONTROL_FIELD(ncr3), "APM Vol 2 15.25.4"},
    {"g_pat", "G_PAT has memory types that exist", gpat_valid, SAVE_FIELD(g_pat), "APM Vol 2 15.25.4"},
    {"pdptes", "PDPTEs have no reserved bits, without nested paging", pdptes_valid, SAVE_FIELD(cr3), "APM Vol 2 15.5.1"},
};
/* clang-format on */
const u32 svm_rules_count = ARRAY_SIZE(svm_rules);

const struct svm_rule *svm_check(const struct vcpu *v, const struct vmcb_save *save)
{
    for (u32 i = 0; i < svm_rules_count; i++) {
        if (!svm_rules[i].holds(v, save))
            return &svm_rules[i];
    }
    return NULL;
}
