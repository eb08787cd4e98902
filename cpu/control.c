/* SPDX-License-Identifier: MIT */
/*
 * Writes to CR0, CR3, CR4, XCR0 and EFER: what is refused, and what follows. SDM Vol 3A 2.5, 2.6,
 * 4.1.2 (mode transitions), 4.4.1 (PDPTE registers), 4.10.1 (PCIDs); Vol 2 "MOV-Move to/from
 * Control Registers".
 */
#include "cpu/control.h"

#include "cpu/svm/svm.h"
#include "cpu/system.h"
#include "cpu/virt.h"

/* Read the four PDPTE registers; a present one with reserved bits set is #GP(0). SDM Vol 3A 4.4.1.
 */
bool pdptes_read(struct vcpu *v, u64 cr3, u64 *to)
{
    for (u32 i = 0; i < 4; i++) {
        if (!mmu_read_nested(v->mmu, pdpte_address(cr3, i), 8, &to[i]))
            return virt_raise_nested(v);
        if (!pdpte_valid(v, to[i]))
            return RAISE_GP0(v);
    }
    return true;
}

bool pat_valid(u64 pat)
{
    for (u32 i = 0; i < 8; i++, pat >>= 8) {
        const u64 type = pat & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
    return (cr0 & CR0_PG) != 0 && (cr4 & CR4_PAE) != 0 && (efer & EFER_LME) == 0;
}

/* Load the PDPTEs if the registers as given mean PAE paging; nothing changes if they are bad. Under
 * SVM's nested paging they are read by each walk instead: APM Vol 2 15.25.10. */
static bool pdptes_reload(struct vcpu *v, u64 cr0, u64 cr3, u64 cr4)
{
    u64 pdptes[4];

    if (!pae_paging(cr0, cr4, v->state.efer) || svm_nested_paging(v))
        return true;
    if (!pdptes_read(v, cr3, pdptes))
        return false;
    memcpy(v->state.pdpte, pdptes, sizeof(pdptes));
    return true;
}

/* May this CR0 turn long mode on? SDM Vol 3A 10.8.5. */
static bool may_enter_long_mode(const struct vcpu *v)
{
    const u32 tr_type = v->state.seg[SEG_TR].attr & ATTR_TYPE;

    return (v->state.cr4 & CR4_PAE) != 0 && (v->state.seg[SEG_CS].attr & ATTR_L) == 0 &&
           (tr_type & 8) != 0;
}

static bool cr0_valid(const struct vcpu *v, u64 value)
{
    const struct cpu_state *s = &v->state;

    if (value >> 32 != 0 || (value & (CR0_PG | CR0_PE)) == CR0_PG ||
        (value & (CR0_NW | CR0_CD)) == CR0_NW || !vmx_cr0_allowed(v, value))
        return false;
    if (((s->cr0 ^ value) & CR0_PG) == 0)
        return true;
    if ((value & CR0_PG) != 0)
        return (s->efer & EFER_LME) == 0 || may_enter_long_mode(v);
    return (s->cr4 & CR4_PCIDE) == 0 && !mode64(v);
}

bool cr0_write(struct vcpu *v, u64 value)
{
    struct cpu_state *s = &v->state;
    const u64 changed = s->cr0 ^ value;

    if (!cr0_valid(v, value))
        return RAISE_GP0(v);
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) != 0 && !pdptes_reload(v, value, s->cr3, s->cr4))
        return false;
    s->cr0 = (value & CR0_KNOWN) | CR0_ET;
    if ((value & CR0_PG) != 0 && (s->efer & EFER_LME) != 0)
        s->efer |= EFER_LMA;
    else
        s->efer &= ~EFER_LMA;
    mode_update(v);
    return true;
}

static bool cr3_valid(const struct vcpu *v, u64 value)
{
    const u64 keep = (v->state.cr4 & CR4_PCIDE) != 0 ? CR3_KEEP : 0;

    return !long_mode(v) || (value & ~keep & physical_reserved(v)) == 0;
}

bool cr3_write(struct vcpu *v, u64 value)
{
    const bool keep = (v->state.cr4 & CR4_PCIDE) != 0 && (value & CR3_KEEP) != 0;

    if (!cr3_valid(v, value))
        return RAISE_GP0(v);
    value &= long_mode(v) ? ~physical_reserved(v) : 0xffffffff;
    if (!pdptes_reload(v, v->state.cr0, value, v->state.cr4))
        return false;
    v->state.cr3 = value;
    mode_update(v);
    if (!keep)
        mmu_invalidate_all(v->mmu);
    return true;
}

u64 cr4_known(const struct vcpu *v)
{
    static const struct {
        u64 bits;
        enum cpu_feature feature;
    } rows[] = {
        {CR4_VME | CR4_PVI, F_VME}, {CR4_TSD, F_TSC},       {CR4_DE, F_DE},
        {CR4_PSE, F_PSE},           {CR4_PAE, F_PAE},       {CR4_MCE, F_MCE},
        {CR4_PGE, F_PGE},           {CR4_OSFXSR, F_FXSR},   {CR4_OSXMMEXCPT, F_SSE},
        {CR4_UMIP, F_UMIP},         {CR4_LA57, F_LA57},     {CR4_FSGSBASE, F_FSGSBASE},
        {CR4_PCIDE, F_PCID},        {CR4_OSXSAVE, F_XSAVE}, {CR4_SMEP, F_SMEP},
        {CR4_SMAP, F_SMAP},         {CR4_PKE, F_PKU},       {CR4_PKS, F_PKS},
        {CR4_VMXE, F_VMX},
    };
    u64 known = CR4_PCE;

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        known |= has_feature(v, rows[i].feature) ? rows[i].bits : 0;
    return known;
}

static bool cr4_valid(const struct vcpu *v, u64 value)
{
    const struct cpu_state *s = &v->state;
    const u64 changed = s->cr4 ^ value;

    if ((value & ~cr4_known(v)) != 0 || !vmx_cr4_allowed(v, value))
        return false;
    if (long_mode(v) && ((value & CR4_PAE) == 0 || (changed & CR4_LA57) != 0))
        return false;
    return (changed & value & CR4_PCIDE) == 0 || (long_mode(v) && (s->cr3 & 0xfff) == 0);
}

bool cr_valid(const struct vcpu *v, u32 number, u64 value)
{
    switch (number) {
    case 0: return cr0_valid(v, value);
    case 3: return cr3_valid(v, value);
    case 4: return cr4_valid(v, value);
    case 8: return value <= 15;
    default: return true;
    }
}

bool cr4_write(struct vcpu *v, u64 value)
{
    struct cpu_state *s = &v->state;
    const u64 changed = s->cr4 ^ value;

    if (!cr4_valid(v, value))
        return RAISE_GP0(v);
    if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) != 0 &&
        !pdptes_reload(v, s->cr0, s->cr3, value))
        return false;
    s->cr4 = value;
    mode_update(v);
    if (changed != 0) /* PGE, PCIDE and others flush: SDM Vol 3A 4.10.4.1 */
        mmu_invalidate_all(v->mmu);
    return true;
}

bool xcr0_write(struct vcpu *v, u64 value)
{
    const u64 known = XCR0_X87 | XCR0_SSE | (has_feature(v, F_AVX) ? XCR0_AVX : 0) |
                      (has_feature(v, F_PKU) ? XCR0_PKRU : 0);

    if ((value & ~known) != 0 || (value & XCR0_X87) == 0 ||
        (value & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX)
        return RAISE_GP0(v);
    v->state.xcr0 = value;
    mode_update(v);
    return true;
}

u64 efer_known(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const bool nx = has_feature(v, F_NX) && (s->misc_enable & MISC_ENABLE_XD_DISABLE) == 0;
    const u64 svme = (s->svm.vm_cr & VM_CR_SVMDIS) == 0 ? EFER_SVME : 0;

    return (has_feature(v, F_SYSCALL) ? EFER_SCE : 0) |
           (has_feature(v, F_LM) ? EFER_LME | EFER_LMA : 0) | (nx ? EFER_NXE : 0) |
           (has_feature(v, F_SVM) ? svme : 0) | (has_feature(v, F_FXSR_OPT) ? EFER_FFXSR : 0) |
           (has_feature(v, F_AUTOIBRS) ? EFER_AIBRSE : 0);
}

bool efer_write(struct vcpu *v, u64 value)
{
    struct cpu_state *s = &v->state;

    if ((value & ~efer_known(v)) != 0 ||
        (((s->efer ^ value) & EFER_LME) != 0 && (s->cr0 & CR0_PG) != 0))
        return RAISE_GP0(v);
    s->efer = (value & ~EFER_LMA) | (s->efer & EFER_LMA);
    if ((value & EFER_SVME) == 0)
        s->svm.gif_clear = 0;
    mode_update(v);
    return true;
}
