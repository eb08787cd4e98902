/* SPDX-License-Identifier: MIT */
/*
 * Checks on guest state: SDM Vol 3C 27.3.1, one row per rule, in the manual's order. A broken rule
 * makes the VM entry exit with reason 33 and the row's qualification.
 */
#include "cpu/control.h"
#include "cpu/vmx/internal.h"

#define RULE(name) static bool name(const struct vcpu *v, const struct vmcs *c)
#define UNUSED_CPU (void)v

static bool unrestricted(const struct vmcs *c)
{
    return (vmx_secondary(c) & SECONDARY_UNRESTRICTED) != 0;
}

static bool guest_64(const struct vmcs *c)
{
    return (c->entry_controls & ENTRY_GUEST_64) != 0;
}

static bool loads(const struct vmcs *c, u32 bits)
{
    return (c->entry_controls & bits) != 0;
}

static bool is_v86(const struct vmcs *c)
{
    return (c->guest_rflags & FLAG_VM) != 0;
}

static bool usable(const struct vmcs *c, enum seg seg)
{
    return (c->guest_ar[seg] & ATTR_UNUSABLE) == 0;
}

static u32 dpl(const struct vmcs *c, enum seg seg)
{
    return c->guest_ar[seg] >> ATTR_DPL_SHIFT & 3;
}

static u32 segment_type(const struct vmcs *c, enum seg seg)
{
    return c->guest_ar[seg] & ATTR_TYPE;
}

/* ---- control registers, debug registers and MSRs: SDM Vol 3C 27.3.1.1 ---- */

RULE(guest_cr0_fixed)
{
    const u64 free = unrestricted(c) ? CR0_PE | CR0_PG : 0;

    UNUSED_CPU;
    return (~c->guest_cr0 & VMX_CR0_FIXED0 & ~free) == 0 && (c->guest_cr0 & ~VMX_CR0_FIXED1) == 0;
}

RULE(guest_cr0_pg_needs_pe)
{
    UNUSED_CPU;
    return (c->guest_cr0 & (CR0_PG | CR0_PE)) != CR0_PG;
}

RULE(guest_cr4_fixed)
{
    return (~c->guest_cr4 & VMX_CR4_FIXED0) == 0 && (c->guest_cr4 & ~vmx_cr4_fixed1(v)) == 0;
}

RULE(guest_debugctl)
{
    UNUSED_CPU;
    return !loads(c, ENTRY_LOAD_DEBUG) || (c->guest_debugctl & ~(DEBUGCTL_LBR | DEBUGCTL_BTF)) == 0;
}

RULE(long_guest_has_paging)
{
    UNUSED_CPU;
    return !guest_64(c) || (c->guest_cr0 & CR0_PG) != 0;
}

RULE(long_guest_has_pae)
{
    UNUSED_CPU;
    return !guest_64(c) || (c->guest_cr4 & CR4_PAE) != 0;
}

RULE(legacy_guest_has_no_pcid)
{
    UNUSED_CPU;
    return guest_64(c) || (c->guest_cr4 & CR4_PCIDE) == 0;
}

RULE(guest_cr3)
{
    return (c->guest_cr3 & physical_reserved(v)) == 0;
}

RULE(guest_dr7)
{
    UNUSED_CPU;
    return !loads(c, ENTRY_LOAD_DEBUG) || c->guest_dr7 >> 32 == 0;
}

RULE(guest_sysenter_esp)
{
    return canonical_storable(v, c->guest_sysenter_esp);
}

RULE(guest_sysenter_eip)
{
    return canonical_storable(v, c->guest_sysenter_eip);
}

RULE(guest_pat)
{
    UNUSED_CPU;
    return !loads(c, ENTRY_LOAD_PAT) || vmx_pat_valid(c->guest_pat);
}

RULE(guest_efer_reserved)
{
    return !loads(c, ENTRY_LOAD_EFER) || (c->guest_efer & ~vmx_efer_known(v)) == 0;
}

RULE(guest_efer_lma)
{
    UNUSED_CPU;
    return !loads(c, ENTRY_LOAD_EFER) || ((c->guest_efer & EFER_LMA) != 0) == guest_64(c);
}

RULE(guest_efer_lme)
{
    UNUSED_CPU;
    return !loads(c, ENTRY_LOAD_EFER) || (c->guest_cr0 & CR0_PG) == 0 ||
           ((c->guest_efer & EFER_LMA) != 0) == ((c->guest_efer & EFER_LME) != 0);
}

/* ---- segment registers: SDM Vol 3C 27.3.1.2 ---- */

RULE(tr_selector)
{
    UNUSED_CPU;
    return (c->guest_selector[SEG_TR] & 4) == 0;
}

RULE(ldtr_selector)
{
    UNUSED_CPU;
    return !usable(c, SEG_LDTR) || (c->guest_selector[SEG_LDTR] & 4) == 0;
}

RULE(ss_selector)
{
    UNUSED_CPU;
    return is_v86(c) || unrestricted(c) ||
           ((c->guest_selector[SEG_SS] ^ c->guest_selector[SEG_CS]) & 3) == 0;
}

RULE(v86_bases)
{
    UNUSED_CPU;
    if (!is_v86(c))
        return true;
    for (u32 i = SEG_ES; i <= SEG_GS; i++) {
        if (c->guest_base[i] != (u64)c->guest_selector[i] << 4)
            return false;
    }
    return true;
}

RULE(tr_fs_gs_bases)
{
    return canonical_storable(v, c->guest_base[SEG_TR]) &&
           canonical_storable(v, c->guest_base[SEG_FS]) &&
           canonical_storable(v, c->guest_base[SEG_GS]);
}

RULE(ldtr_base)
{
    return !usable(c, SEG_LDTR) || canonical_storable(v, c->guest_base[SEG_LDTR]);
}

RULE(cs_base)
{
    UNUSED_CPU;
    return c->guest_base[SEG_CS] >> 32 == 0;
}

RULE(ss_ds_es_bases)
{
    static const u8 segments[] = {SEG_SS, SEG_DS, SEG_ES};

    UNUSED_CPU;
    for (u32 i = 0; i < ARRAY_SIZE(segments); i++) {
        if (usable(c, segments[i]) && c->guest_base[segments[i]] >> 32 != 0)
            return false;
    }
    return true;
}

RULE(v86_limits)
{
    UNUSED_CPU;
    for (u32 i = SEG_ES; is_v86(c) && i <= SEG_GS; i++) {
        if (c->guest_limit[i] != 0xffff)
            return false;
    }
    return true;
}

RULE(v86_access_rights)
{
    UNUSED_CPU;
    for (u32 i = SEG_ES; is_v86(c) && i <= SEG_GS; i++) {
        if (c->guest_ar[i] != 0xf3)
            return false;
    }
    return true;
}

RULE(cs_type)
{
    const u32 type = segment_type(c, SEG_CS);

    UNUSED_CPU;
    return is_v86(c) || (type & 9) == 9 || (type == 3 && unrestricted(c));
}

RULE(ss_type)
{
    const u32 type = segment_type(c, SEG_SS);

    UNUSED_CPU;
    return is_v86(c) || !usable(c, SEG_SS) || type == 3 || type == 7;
}

static const u8 data_segments[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};

/* Accessed, and readable if code. */
RULE(data_types)
{
    UNUSED_CPU;
    for (u32 i = 0; !is_v86(c) && i < ARRAY_SIZE(data_segments); i++) {
        const u32 type = segment_type(c, data_segments[i]);

        if (usable(c, data_segments[i]) &&
            ((type & ATTR_ACCESSED) == 0 || (type & (ATTR_CODE | ATTR_WRITABLE)) == ATTR_CODE))
            return false;
    }
    return true;
}

/* CS always counts as usable. */
static bool counts(const struct vmcs *c, u32 seg)
{
    return seg == SEG_CS || usable(c, (enum seg)seg);
}

RULE(code_data_s)
{
    UNUSED_CPU;
    for (u32 i = SEG_ES; !is_v86(c) && i <= SEG_GS; i++) {
        if (counts(c, i) && (c->guest_ar[i] & ATTR_S) == 0)
            return false;
    }
    return true;
}

RULE(cs_dpl)
{
    const u32 cs = dpl(c, SEG_CS);
    const u32 ss = dpl(c, SEG_SS);

    UNUSED_CPU;
    if (is_v86(c))
        return true;
    switch (segment_type(c, SEG_CS)) {
    case 3: return cs == 0;
    case 9:
    case 11: return cs == ss;
    default: return cs <= ss;
    }
}

RULE(ss_dpl)
{
    UNUSED_CPU;
    if (is_v86(c))
        return true;
    if (!unrestricted(c) && dpl(c, SEG_SS) != (c->guest_selector[SEG_SS] & 3u))
        return false;
    return (segment_type(c, SEG_CS) != 3 && (c->guest_cr0 & CR0_PE) != 0) || dpl(c, SEG_SS) == 0;
}

RULE(data_dpl)
{
    UNUSED_CPU;
    for (u32 i = 0; !is_v86(c) && !unrestricted(c) && i < ARRAY_SIZE(data_segments); i++) {
        const enum seg seg = data_segments[i];

        if (usable(c, seg) && segment_type(c, seg) <= 11 &&
            dpl(c, seg) < (c->guest_selector[seg] & 3u))
            return false;
    }
    return true;
}

RULE(code_data_present)
{
    UNUSED_CPU;
    for (u32 i = SEG_ES; !is_v86(c) && i <= SEG_GS; i++) {
        if (counts(c, i) && (c->guest_ar[i] & ATTR_P) == 0)
            return false;
    }
    return true;
}

RULE(code_data_reserved)
{
    const u64 reserved = BITS(11, 8) | BITS(31, 17);

    UNUSED_CPU;
    for (u32 i = SEG_ES; !is_v86(c) && i <= SEG_GS; i++) {
        if (counts(c, i) && (c->guest_ar[i] & reserved) != 0)
            return false;
    }
    return true;
}

RULE(cs_db)
{
    UNUSED_CPU;
    return is_v86(c) || !guest_64(c) ||
           (c->guest_ar[SEG_CS] & (ATTR_L | ATTR_DB)) != (ATTR_L | ATTR_DB);
}

/* G = 1 if a bit of limit 31:20 is set; G = 0 if a bit of 11:0 is clear. */
static bool granularity(const struct vmcs *c, u32 seg)
{
    const bool g = (c->guest_ar[seg] & ATTR_G) != 0;

    return g ? (c->guest_limit[seg] & 0xfff) == 0xfff : c->guest_limit[seg] >> 20 == 0;
}

RULE(code_data_granularity)
{
    UNUSED_CPU;
    for (u32 i = SEG_ES; !is_v86(c) && i <= SEG_GS; i++) {
        if (counts(c, i) && !granularity(c, i))
            return false;
    }
    return true;
}

static bool system_segment(const struct vmcs *c, enum seg seg)
{
    const u64 reserved = BITS(11, 8) | BITS(31, 17);

    return (c->guest_ar[seg] & ATTR_S) == 0 && (c->guest_ar[seg] & ATTR_P) != 0 &&
           (c->guest_ar[seg] & reserved) == 0 && granularity(c, seg);
}

RULE(tr_type)
{
    const u32 type = segment_type(c, SEG_TR);

    UNUSED_CPU;
    return type == 11 || (type == 3 && !guest_64(c));
}

RULE(tr_access_rights)
{
    UNUSED_CPU;
    return usable(c, SEG_TR) && system_segment(c, SEG_TR);
}

RULE(ldtr_access_rights)
{
    UNUSED_CPU;
    return !usable(c, SEG_LDTR) || (segment_type(c, SEG_LDTR) == 2 && system_segment(c, SEG_LDTR));
}

/* ---- descriptor-table registers: SDM Vol 3C 27.3.1.3 ---- */

RULE(guest_gdtr_base)
{
    return canonical_storable(v, c->guest_gdtr_base);
}

RULE(guest_idtr_base)
{
    return canonical_storable(v, c->guest_idtr_base);
}

RULE(guest_table_limits)
{
    UNUSED_CPU;
    return c->guest_gdtr_limit >> 16 == 0 && c->guest_idtr_limit >> 16 == 0;
}

/* ---- RIP and RFLAGS: SDM Vol 3C 27.3.1.4 ---- */

static bool code_is_64(const struct vmcs *c)
{
    return guest_64(c) && (c->guest_ar[SEG_CS] & ATTR_L) != 0;
}

RULE(guest_rip)
{
    UNUSED_CPU;
    if (!code_is_64(c))
        return c->guest_rip >> 32 == 0;
    return canonical_for(c->guest_rip, (c->guest_cr4 & CR4_LA57) != 0 ? 57 : 48);
}

RULE(guest_rflags_reserved)
{
    const u64 reserved = BITS(63, 22) | BIT(15) | BIT(5) | BIT(3);

    UNUSED_CPU;
    return (c->guest_rflags & reserved) == 0 && (c->guest_rflags & FLAG_1) != 0;
}

RULE(guest_rflags_vm)
{
    UNUSED_CPU;
    return !is_v86(c) || (!guest_64(c) && (c->guest_cr0 & CR0_PE) != 0);
}

static bool injects_type(const struct vmcs *c, enum interruption_type type)
{
    return (c->entry_interruption_info & INFO_VALID) != 0 &&
           (c->entry_interruption_info & INFO_TYPE) >> 8 == (u32)type;
}

RULE(guest_rflags_if)
{
    UNUSED_CPU;
    return !injects_type(c, TYPE_EXTERNAL) || (c->guest_rflags & FLAG_IF) != 0;
}

/* ---- non-register state: SDM Vol 3C 27.3.1.5 ---- */

RULE(activity_known)
{
    UNUSED_CPU;
    return c->guest_activity <= ACTIVITY_WAIT_SIPI;
}

RULE(activity_hlt_dpl)
{
    UNUSED_CPU;
    return c->guest_activity != ACTIVITY_HLT || dpl(c, SEG_SS) == 0;
}

RULE(activity_blocking)
{
    UNUSED_CPU;
    return c->guest_activity == ACTIVITY_ACTIVE ||
           (c->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS)) == 0;
}

RULE(activity_injection)
{
    const u32 info = c->entry_interruption_info;
    const u32 vector = info & INFO_VECTOR;
    const u32 type = (info & INFO_TYPE) >> 8;
    const bool exception = type == TYPE_HARDWARE_EXCEPTION;

    UNUSED_CPU;
    if ((info & INFO_VALID) == 0)
        return true;
    switch (c->guest_activity) {
    case ACTIVITY_HLT:
        return type == TYPE_EXTERNAL || type == TYPE_NMI ||
               (exception && (vector == VEC_DB || vector == VEC_MC)) ||
               (type == TYPE_OTHER && vector == 0);
    case ACTIVITY_SHUTDOWN: return type == TYPE_NMI || (exception && vector == VEC_MC);
    case ACTIVITY_WAIT_SIPI: return false;
    default: return true;
    }
}

RULE(interruptibility_reserved)
{
    UNUSED_CPU;
    return c->guest_interruptibility >> 5 == 0;
}

RULE(blocking_by_sti_or_mov_ss)
{
    UNUSED_CPU;
    return (c->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS)) !=
           (BLOCKING_STI | BLOCKING_MOV_SS);
}

RULE(blocking_by_sti_needs_if)
{
    UNUSED_CPU;
    return (c->guest_interruptibility & BLOCKING_STI) == 0 || (c->guest_rflags & FLAG_IF) != 0;
}

RULE(external_interrupt_not_blocked)
{
    UNUSED_CPU;
    return !injects_type(c, TYPE_EXTERNAL) ||
           (c->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS)) == 0;
}

RULE(nmi_not_blocked_by_mov_ss)
{
    UNUSED_CPU;
    return !injects_type(c, TYPE_NMI) || (c->guest_interruptibility & BLOCKING_MOV_SS) == 0;
}

RULE(blocking_by_smi)
{
    return (c->guest_interruptibility & BLOCKING_SMI) == 0 || v->state.in_smm != 0;
}

/* Processors may require it: this one does. */
RULE(nmi_not_blocked_by_sti)
{
    UNUSED_CPU;
    return !injects_type(c, TYPE_NMI) || (c->guest_interruptibility & BLOCKING_STI) == 0;
}

RULE(virtual_nmi_not_blocked)
{
    UNUSED_CPU;
    return (c->pin_controls & PIN_VIRTUAL_NMIS) == 0 || !injects_type(c, TYPE_NMI) ||
           (c->guest_interruptibility & BLOCKING_NMI) == 0;
}

RULE(no_enclave)
{
    UNUSED_CPU;
    return (c->guest_interruptibility & BLOCKING_ENCLAVE) == 0;
}

RULE(pending_debug_reserved)
{
    const u64 reserved = BITS(11, 4) | BIT(13) | BIT(15) | BITS(63, 16);

    UNUSED_CPU;
    return (c->guest_pending_debug & reserved) == 0;
}

/* A single-step trap is pending exactly if TF was set before the blocking or halting instruction.
 */
RULE(pending_debug_single_step)
{
    const bool held = (c->guest_interruptibility & (BLOCKING_STI | BLOCKING_MOV_SS)) != 0 ||
                      c->guest_activity == ACTIVITY_HLT;
    const bool trap = (c->guest_rflags & FLAG_TF) != 0 && (c->guest_debugctl & DEBUGCTL_BTF) == 0;

    UNUSED_CPU;
    return !held || trap == ((c->guest_pending_debug & PENDING_BS) != 0);
}

static bool has_link(const struct vmcs *c)
{
    return c->link_pointer != VMX_NO_POINTER;
}

RULE(link_pointer)
{
    return !has_link(c) || vmx_address_valid(v, c->link_pointer, PAGE_SIZE);
}

RULE(link_revision)
{
    const bool shadowing = (vmx_secondary(c) & SECONDARY_VMCS_SHADOWING) != 0;
    u32 revision;

    if (!has_link(c))
        return true;
    memory_read(v->memory, (hpa_t){c->link_pointer}, &revision, sizeof(revision));
    return revision == ((u32)VMCS_REVISION | (shadowing ? (u32)VMCS_SHADOW : 0u));
}

RULE(link_is_not_current)
{
    return !has_link(c) || v->state.in_smm != 0 || c->link_pointer != v->state.vmx.current;
}

/* ---- PDPTEs: SDM Vol 3C 27.3.1.6 ---- */

RULE(guest_pdptes)
{
    const u64 reserved = physical_reserved(v) | BITS(2, 1) | BITS(8, 5);
    const bool ept = (vmx_secondary(c) & SECONDARY_EPT) != 0;

    if ((c->guest_cr0 & CR0_PG) == 0 || (c->guest_cr4 & CR4_PAE) == 0 || guest_64(c))
        return true;
    for (u32 i = 0; i < 4; i++) {
        const u64 at = (c->guest_cr3 & 0xffffffe0) + 8 * i;
        const u64 pdpte = ept ? c->guest_pdpte[i] : mmu_read_physical(v->mmu, (gpa_t){at}, 8);

        if ((pdpte & 1) != 0 && (pdpte & reserved) != 0)
            return false;
    }
    return true;
}

/* ---- the table ---- */

/* clang-format off */
#define ROW(rule, field, qualification, ref) \
    {#rule, rule, field, qualification, false, "SDM Vol 3C " ref}
#define REGISTERS "27.3.1.1, Checks on Guest Control Registers, Debug Registers, and MSRs"
#define SEGMENTS "27.3.1.2, Checks on Guest Segment Registers"
#define TABLES "27.3.1.3, Checks on Guest Descriptor-Table Registers"
#define FLOW "27.3.1.4, Checks on Guest RIP, RFLAGS, and SSP"
#define OTHER "27.3.1.5, Checks on Guest Non-Register State"
#define PDPTES "27.3.1.6, Checks on Guest Page-Directory-Pointer-Table Entries"

enum { PLAIN = 0, BAD_PDPTE = 2, NMI_BLOCKED = 3, BAD_LINK = 4 }; /* SDM Vol 3C 27.8 */

const struct vmx_rule vmx_guest_rules[] = {
    ROW(guest_cr0_fixed, 0x6800, PLAIN, REGISTERS),
    ROW(guest_cr0_pg_needs_pe, 0x6800, PLAIN, REGISTERS),
    ROW(guest_cr4_fixed, 0x6804, PLAIN, REGISTERS),
    ROW(guest_debugctl, 0x2802, PLAIN, REGISTERS),
    ROW(long_guest_has_paging, 0x6800, PLAIN, REGISTERS),
    ROW(long_guest_has_pae, 0x6804, PLAIN, REGISTERS),
    ROW(legacy_guest_has_no_pcid, 0x6804, PLAIN, REGISTERS),
    ROW(guest_cr3, 0x6802, PLAIN, REGISTERS),
    ROW(guest_dr7, 0x681a, PLAIN, REGISTERS),
    ROW(guest_sysenter_esp, 0x6824, PLAIN, REGISTERS),
    ROW(guest_sysenter_eip, 0x6826, PLAIN, REGISTERS),
    ROW(guest_pat, 0x2804, PLAIN, REGISTERS),
    ROW(guest_efer_reserved, 0x2806, PLAIN, REGISTERS),
    ROW(guest_efer_lma, 0x2806, PLAIN, REGISTERS),
    ROW(guest_efer_lme, 0x2806, PLAIN, REGISTERS),
    ROW(tr_selector, 0x080e, PLAIN, SEGMENTS),
    ROW(ldtr_selector, 0x080c, PLAIN, SEGMENTS),
    ROW(ss_selector, 0x0804, PLAIN, SEGMENTS),
    ROW(v86_bases, 0x6808, PLAIN, SEGMENTS),
    ROW(tr_fs_gs_bases, 0x6814, PLAIN, SEGMENTS),
    ROW(ldtr_base, 0x6812, PLAIN, SEGMENTS),
    ROW(cs_base, 0x6808, PLAIN, SEGMENTS),
    ROW(ss_ds_es_bases, 0x680a, PLAIN, SEGMENTS),
    ROW(v86_limits, 0x4802, PLAIN, SEGMENTS),
    ROW(v86_access_rights, 0x4816, PLAIN, SEGMENTS),
    ROW(cs_type, 0x4816, PLAIN, SEGMENTS),
    ROW(ss_type, 0x4818, PLAIN, SEGMENTS),
    ROW(data_types, 0x481a, PLAIN, SEGMENTS),
    ROW(code_data_s, 0x4816, PLAIN, SEGMENTS),
    ROW(cs_dpl, 0x4816, PLAIN, SEGMENTS),
    ROW(ss_dpl, 0x4818, PLAIN, SEGMENTS),
    ROW(data_dpl, 0x481a, PLAIN, SEGMENTS),
    ROW(code_data_present, 0x4816, PLAIN, SEGMENTS),
    ROW(code_data_reserved, 0x4816, PLAIN, SEGMENTS),
    ROW(cs_db, 0x4816, PLAIN, SEGMENTS),
    ROW(code_data_granularity, 0x4816, PLAIN, SEGMENTS),
    ROW(tr_type, 0x4822, PLAIN, SEGMENTS),
    ROW(tr_access_rights, 0x4822, PLAIN, SEGMENTS),
    ROW(ldtr_access_rights, 0x4820, PLAIN, SEGMENTS),
    ROW(guest_gdtr_base, 0x6816, PLAIN, TABLES),
    ROW(guest_idtr_base, 0x6818, PLAIN, TABLES),
    ROW(guest_table_limits, 0x4810, PLAIN, TABLES),
    ROW(guest_rip, 0x681e, PLAIN, FLOW),
    ROW(guest_rflags_reserved, 0x6820, PLAIN, FLOW),
    ROW(guest_rflags_vm, 0x6820, PLAIN, FLOW),
    ROW(guest_rflags_if, 0x6820, PLAIN, FLOW),
    ROW(activity_known, 0x4826, PLAIN, OTHER),
    ROW(activity_hlt_dpl, 0x4826, PLAIN, OTHER),
    ROW(activity_blocking, 0x4826, PLAIN, OTHER),
    ROW(activity_injection, 0x4826, PLAIN, OTHER),
    ROW(interruptibility_reserved, 0x4824, PLAIN, OTHER),
    ROW(blocking_by_sti_or_mov_ss, 0x4824, PLAIN, OTHER),
    ROW(blocking_by_sti_needs_if, 0x4824, PLAIN, OTHER),
    ROW(external_interrupt_not_blocked, 0x4824, PLAIN, OTHER),
    ROW(nmi_not_blocked_by_mov_ss, 0x4824, NMI_BLOCKED, OTHER),
    ROW(blocking_by_smi, 0x4824, PLAIN, OTHER),
    ROW(nmi_not_blocked_by_sti, 0x4824, NMI_BLOCKED, OTHER),
    ROW(virtual_nmi_not_blocked, 0x4824, PLAIN, OTHER),
    ROW(no_enclave, 0x4824, PLAIN, OTHER),
    ROW(pending_debug_reserved, 0x6822, PLAIN, OTHER),
    ROW(pending_debug_single_step, 0x6822, PLAIN, OTHER),
    ROW(link_pointer, 0x2800, BAD_LINK, OTHER),
    ROW(link_revision, 0x2800, BAD_LINK, OTHER),
    ROW(link_is_not_current, 0x2800, BAD_LINK, OTHER),
    ROW(guest_pdptes, 0x280a, BAD_PDPTE, PDPTES),
};
/* clang-format on */
const u32 vmx_guest_rules_count = ARRAY_SIZE(vmx_guest_rules);
/* "tr_selector" to "ldtr_access_rights": those on segment registers. */
const u32 vmx_segment_rules_first = 15, vmx_segment_rules_end = 39;
