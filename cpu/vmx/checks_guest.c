/* SPDX-License-Identifier: MIT */
/*
 * Checks on guest state: SDM Vol 3C 27.3.1, one row per rule, in the manual's order. A broken rule
 * makes the VM entry exit with reason 33 and the row's qualification.
 */
#include "cpu/vmx/rules.h"

/* ---- what rules ask ---- */

static bool is_v86(const struct vmcs *c)
{
    return (c->guest_rflags & FLAG_VM) != 0;
}

static bool usable(const struct vmcs *c, u32 seg)
{
    return (c->guest_ar[seg] & ATTR_UNUSABLE) == 0;
}

/* Checked outside virtual-8086 mode; CS always counts as usable. */
static bool counts(const struct vmcs *c, u32 seg)
{
    return !is_v86(c) && (seg == SEG_CS || usable(c, seg));
}

static u32 dpl(const struct vmcs *c, u32 seg)
{
    return c->guest_ar[seg] >> ATTR_DPL_SHIFT & 3;
}

static u32 rpl(const struct vmcs *c, u32 seg)
{
    return c->guest_selector[seg] & 3;
}

static u32 type(const struct vmcs *c, u32 seg)
{
    return c->guest_ar[seg] & ATTR_TYPE;
}

static bool cs_dpl_fits(const struct vmcs *c)
{
    const u32 cs = dpl(c, SEG_CS);
    const u32 ss = dpl(c, SEG_SS);

    switch (type(c, SEG_CS)) {
    case 3: return cs == 0;
    case 9:
    case 11: return cs == ss;
    default: return cs <= ss;
    }
}

/* G = 1 if a bit of limit 31:20 is set; G = 0 if a bit of 11:0 is clear. */
static bool granularity(const struct vmcs *c, u32 seg)
{
    const bool g = (c->guest_ar[seg] & ATTR_G) != 0;

    return g ? (c->guest_limit[seg] & 0xfff) == 0xfff : c->guest_limit[seg] >> 20 == 0;
}

static bool system_segment(const struct vmcs *c, u32 seg)
{
    const u64 reserved = BITS(11, 8) | BITS(31, 17);

    return (c->guest_ar[seg] & ATTR_S) == 0 && (c->guest_ar[seg] & ATTR_P) != 0 &&
           (c->guest_ar[seg] & reserved) == 0 && granularity(c, seg);
}

static bool code_is_64(const struct vmcs *c)
{
    return guest_64(c) && (c->guest_ar[SEG_CS] & ATTR_L) != 0;
}

static bool injects_type(const struct vmcs *c, enum interruption_type wanted)
{
    return injects(c) && injected_type(c) == (u32)wanted;
}

static bool injection_fits_activity(const struct vmcs *c)
{
    const u32 vector = injected_vector(c);
    const bool exception = injects_type(c, TYPE_HARDWARE_EXCEPTION);

    switch (c->guest_activity) {
    case ACTIVITY_HLT:
        return injects_type(c, TYPE_EXTERNAL) || injects_type(c, TYPE_NMI) ||
               (exception && (vector == VEC_DB || vector == VEC_MC)) ||
               (injects_type(c, TYPE_OTHER) && vector == 0);
    case ACTIVITY_SHUTDOWN: return injects_type(c, TYPE_NMI) || (exception && vector == VEC_MC);
    case ACTIVITY_WAIT_SIPI: return false;
    default: return true;
    }
}

static bool blocked(const struct vmcs *c, u32 bits)
{
    return (c->guest_interruptibility & bits) != 0;
}

/* A single-step trap is pending exactly if TF was set before the blocking or halting instruction.
 */
static bool single_step_pending(const struct vmcs *c)
{
    const bool trap = (c->guest_rflags & FLAG_TF) != 0 && (c->guest_debugctl & DEBUGCTL_BTF) == 0;

    return trap == ((c->guest_pending_debug & PENDING_BS) != 0);
}

static bool has_link(const struct vmcs *c)
{
    return c->link_pointer != VMX_NO_POINTER;
}

static u32 link_revision_of(const struct vcpu *v, const struct vmcs *c)
{
    u32 revision;

    memory_read(v->memory, (hpa_t){c->link_pointer}, &revision, sizeof(revision));
    return revision;
}

static bool pae_guest(const struct vmcs *c)
{
    return (c->guest_cr0 & CR0_PG) != 0 && (c->guest_cr4 & CR4_PAE) != 0 && !guest_64(c);
}

static bool pdptes_in_memory_fit(const struct vcpu *v, const struct vmcs *c)
{
    for (u32 i = 0; i < 4; i++) {
        if (!pdpte_valid(v, mmu_read_physical(v->mmu, pdpte_address(c->guest_cr3, i), 8)))
            return false;
    }
    return true;
}

/* clang-format off */

/* ---- control registers, debug registers and MSRs: SDM Vol 3C 27.3.1.1 ---- */

#define OPTIONAL_CR0(c) (unrestricted(c) ? CR0_PE | CR0_PG : 0)

ALLOWED(cr0_bits, VMX_CR0_FIXED0 & ~OPTIONAL_CR0(c), VMX_CR0_FIXED1)
ALLOWED(debugctl_bits, 0, DEBUGCTL_LBR | DEBUGCTL_BTF)

RULE(guest_cr0_fixed, obeys(c->guest_cr0, cr0_bits(v, c)))
RULE(guest_cr0_pg_needs_pe, (c->guest_cr0 & (CR0_PG | CR0_PE)) != CR0_PG)
RULE(guest_cr4_fixed, obeys(c->guest_cr4, cr4_bits(v, c)))
RULE_IF(guest_debugctl, at_entry(c, ENTRY_LOAD_DEBUG),
        obeys(c->guest_debugctl, debugctl_bits(v, c)))
RULE_IF(long_guest_has_paging, guest_64(c), (c->guest_cr0 & CR0_PG) != 0)
RULE_IF(long_guest_has_pae, guest_64(c), (c->guest_cr4 & CR4_PAE) != 0)
RULE_IF(legacy_guest_has_no_pcid, !guest_64(c), (c->guest_cr4 & CR4_PCIDE) == 0)
RULE(guest_cr3, obeys(c->guest_cr3, cr3_bits(v, c)))
RULE_IF(guest_dr7, at_entry(c, ENTRY_LOAD_DEBUG), obeys(c->guest_dr7, low_32_bits(v, c)))
RULE(guest_sysenter_esp, canonical_storable(v, c->guest_sysenter_esp))
RULE(guest_sysenter_eip, canonical_storable(v, c->guest_sysenter_eip))
RULE_IF(guest_pat, at_entry(c, ENTRY_LOAD_PAT), pat_valid(c->guest_pat))
RULE_IF(guest_efer_reserved, at_entry(c, ENTRY_LOAD_EFER), obeys(c->guest_efer, efer_bits(v, c)))
RULE_IF(guest_efer_lma, at_entry(c, ENTRY_LOAD_EFER),
        ((c->guest_efer & EFER_LMA) != 0) == guest_64(c))
RULE_IF(guest_efer_lme, at_entry(c, ENTRY_LOAD_EFER) && (c->guest_cr0 & CR0_PG) != 0,
        ((c->guest_efer & EFER_LMA) != 0) == ((c->guest_efer & EFER_LME) != 0))

/* ---- segment registers: SDM Vol 3C 27.3.1.2 ---- */

ALLOWED(without_ti, 0, BITS(15, 3) | BITS(1, 0))
ALLOWED(code_data_bits, 0, ~(BITS(11, 8) | BITS(31, 17)))

RULE(tr_selector, obeys(c->guest_selector[SEG_TR], without_ti(v, c)))
RULE_IF(ldtr_selector, usable(c, SEG_LDTR), obeys(c->guest_selector[SEG_LDTR], without_ti(v, c)))
RULE_IF(ss_selector, !is_v86(c) && !unrestricted(c), rpl(c, SEG_SS) == rpl(c, SEG_CS))
RULE_IF(v86_bases, is_v86(c), c->guest_base[i] == (u64)c->guest_selector[i] << 4)
RULE(tr_fs_gs_bases, canonical_storable(v, c->guest_base[i]))
RULE_IF(ldtr_base, usable(c, SEG_LDTR), canonical_storable(v, c->guest_base[SEG_LDTR]))
RULE(cs_base, obeys(c->guest_base[SEG_CS], low_32_bits(v, c)))
RULE_IF(ss_ds_es_bases, usable(c, i), obeys(c->guest_base[i], low_32_bits(v, c)))
RULE_IF(v86_limits, is_v86(c), c->guest_limit[i] == 0xffff)
RULE_IF(v86_access_rights, is_v86(c), c->guest_ar[i] == 0xf3)
RULE_IF(cs_type, !is_v86(c),
        (type(c, SEG_CS) & 9) == 9 || (type(c, SEG_CS) == 3 && unrestricted(c)))
RULE_IF(ss_type, counts(c, SEG_SS), type(c, SEG_SS) == 3 || type(c, SEG_SS) == 7)
RULE_IF(data_types, counts(c, i),
        (type(c, i) & ATTR_ACCESSED) != 0 &&
            (type(c, i) & (ATTR_CODE | ATTR_WRITABLE)) != ATTR_CODE)
RULE_IF(code_data_s, counts(c, i), (c->guest_ar[i] & ATTR_S) != 0)
RULE_IF(cs_dpl, !is_v86(c), cs_dpl_fits(c))
RULE_IF(ss_dpl_rpl, !is_v86(c) && !unrestricted(c), dpl(c, SEG_SS) == rpl(c, SEG_SS))
RULE_IF(ss_dpl, !is_v86(c) && (type(c, SEG_CS) == 3 || (c->guest_cr0 & CR0_PE) == 0),
        dpl(c, SEG_SS) == 0)
RULE_IF(data_dpl, counts(c, i) && !unrestricted(c) && type(c, i) <= 11, dpl(c, i) >= rpl(c, i))
RULE_IF(code_data_present, counts(c, i), (c->guest_ar[i] & ATTR_P) != 0)
RULE_IF(code_data_reserved, counts(c, i), obeys(c->guest_ar[i], code_data_bits(v, c)))
RULE_IF(cs_db, !is_v86(c) && guest_64(c),
        (c->guest_ar[SEG_CS] & (ATTR_L | ATTR_DB)) != (ATTR_L | ATTR_DB))
RULE_IF(code_data_granularity, counts(c, i), granularity(c, i))
RULE(tr_type, type(c, SEG_TR) == 11 || (type(c, SEG_TR) == 3 && !guest_64(c)))
RULE(tr_access_rights, usable(c, SEG_TR) && system_segment(c, SEG_TR))
RULE_IF(ldtr_access_rights, usable(c, SEG_LDTR),
        type(c, SEG_LDTR) == 2 && system_segment(c, SEG_LDTR))

/* ---- descriptor-table registers: SDM Vol 3C 27.3.1.3 ---- */

RULE(guest_gdtr_base, canonical_storable(v, c->guest_gdtr_base))
RULE(guest_idtr_base, canonical_storable(v, c->guest_idtr_base))
RULE(guest_gdtr_limit, obeys(c->guest_gdtr_limit, low_16_bits(v, c)))
RULE(guest_idtr_limit, obeys(c->guest_idtr_limit, low_16_bits(v, c)))

/* ---- RIP and RFLAGS: SDM Vol 3C 27.3.1.4 ---- */

ALLOWED(rflags_bits, FLAG_1, ~(BITS(63, 22) | BIT(15) | BIT(5) | BIT(3)))

RULE_IF(guest_rip, !code_is_64(c), obeys(c->guest_rip, low_32_bits(v, c)))
RULE_IF(guest_rip_64, code_is_64(c),
        canonical_for(c->guest_rip, (c->guest_cr4 & CR4_LA57) != 0 ? 57 : 48))
RULE(guest_rflags_reserved, obeys(c->guest_rflags, rflags_bits(v, c)))
RULE_IF(guest_rflags_vm, is_v86(c), !guest_64(c) && (c->guest_cr0 & CR0_PE) != 0)
RULE_IF(guest_rflags_if, injects_type(c, TYPE_EXTERNAL), (c->guest_rflags & FLAG_IF) != 0)

/* ---- non-register state: SDM Vol 3C 27.3.1.5 ---- */

ALLOWED(interruptibility_bits, 0, BITS(4, 0))
ALLOWED(pending_debug_bits, 0, ~(BITS(11, 4) | BIT(13) | BIT(15) | BITS(63, 16)))
ALLOWED(pdpte_bits, 0, ~pdpte_reserved(v))

#define INSTRUCTION_BLOCKING (BLOCKING_STI | BLOCKING_MOV_SS)
#define WANTED_REVISION(c) \
    ((u32)VMCS_REVISION | (secondary(c, SECONDARY_VMCS_SHADOWING) ? (u32)VMCS_SHADOW : 0u))

RULE(activity_known, c->guest_activity <= ACTIVITY_WAIT_SIPI)
RULE_IF(activity_hlt_dpl, c->guest_activity == ACTIVITY_HLT, dpl(c, SEG_SS) == 0)
RULE_IF(activity_blocking, c->guest_activity != ACTIVITY_ACTIVE, !blocked(c, INSTRUCTION_BLOCKING))
RULE_IF(activity_injection, injects(c), injection_fits_activity(c))
RULE(interruptibility_reserved, obeys(c->guest_interruptibility, interruptibility_bits(v, c)))
RULE_IF(blocking_by_sti_or_mov_ss, blocked(c, BLOCKING_STI), !blocked(c, BLOCKING_MOV_SS))
RULE_IF(blocking_by_sti_needs_if, blocked(c, BLOCKING_STI), (c->guest_rflags & FLAG_IF) != 0)
RULE_IF(external_interrupt_not_blocked, injects_type(c, TYPE_EXTERNAL),
        !blocked(c, INSTRUCTION_BLOCKING))
RULE_IF(nmi_not_blocked_by_mov_ss, injects_type(c, TYPE_NMI), !blocked(c, BLOCKING_MOV_SS))
RULE_IF(blocking_by_smi, blocked(c, BLOCKING_SMI), v->state.in_smm != 0)
/* Processors may require it: this one does. */
RULE_IF(nmi_not_blocked_by_sti, injects_type(c, TYPE_NMI), !blocked(c, BLOCKING_STI))
RULE_IF(virtual_nmi_not_blocked, pin(c, PIN_VIRTUAL_NMIS) && injects_type(c, TYPE_NMI),
        !blocked(c, BLOCKING_NMI))
RULE(no_enclave, !blocked(c, BLOCKING_ENCLAVE))
RULE(pending_debug_reserved, obeys(c->guest_pending_debug, pending_debug_bits(v, c)))
RULE_IF(pending_debug_single_step,
        blocked(c, INSTRUCTION_BLOCKING) || c->guest_activity == ACTIVITY_HLT,
        single_step_pending(c))
RULE_IF(link_pointer, has_link(c), obeys(c->link_pointer, page(v, c)))
RULE_IF(link_revision, has_link(c), link_revision_of(v, c) == WANTED_REVISION(c))
RULE_IF(link_is_not_current, has_link(c) && v->state.in_smm == 0,
        c->link_pointer != v->state.vmx.current)

/* ---- PDPTEs: SDM Vol 3C 27.3.1.6 ---- */

RULE_IF(guest_pdptes, pae_guest(c) && secondary(c, SECONDARY_EPT),
        pdpte_valid(v, c->guest_pdpte[i]))
RULE_IF(guest_pdptes_in_memory, pae_guest(c) && !secondary(c, SECONDARY_EPT),
        pdptes_in_memory_fit(v, c))

/* ---- the table ---- */

#define ROW(rule, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, 0, PLAIN, false}
#define EACH(rule, members, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, members, PLAIN, false}
#define QUALIFIED(rule, qualification, members, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, members, qualification, false}
#define CANONICAL "The address is canonical: all bits above the linear-address width are equal."
#define REGISTERS "27.3.1.1, Checks on Guest Control Registers, Debug Registers, and MSRs"
#define SEGMENTS "27.3.1.2, Checks on Guest Segment Registers"
#define TABLES "27.3.1.3, Checks on Guest Descriptor-Table Registers"
#define FLOW "27.3.1.4, Checks on Guest RIP, RFLAGS, and SSP"
#define OTHER "27.3.1.5, Checks on Guest Non-Register State"
#define PDPTES "27.3.1.6, Checks on Guest Page-Directory-Pointer-Table Entries"
#define ENTRY 0x4012
#define SECONDARY 0x401e
#define INJECTED 0x4016
#define CR0 0x6800
#define RFLAGS 0x6820
#define ACTIVITY 0x4826
#define BLOCKING 0x4824
#define CODE_DATA 0x3f /* ES CS SS DS FS GS */
#define DATA 0x39 /* ES DS FS GS */
#define AND ,

enum { PLAIN = 0, BAD_PDPTE = 2, NMI_BLOCKED = 3, BAD_LINK = 4 }; /* SDM Vol 3C 27.8 */

const struct vmx_rule vmx_guest_rules[] = {
    ROW(guest_cr0_fixed, CR0, SECONDARY, cr0_bits, REGISTERS,
        "Bits are as IA32_VMX_CR0_FIXED0 and FIXED1 (486, 487) give: NE is 1, and PE and PG too without \"unrestricted guest\"."),
    ROW(guest_cr0_pg_needs_pe, CR0, 0, NULL, REGISTERS, "PG (bit 31) needs PE (bit 0)."),
    ROW(guest_cr4_fixed, 0x6804, 0, cr4_bits, REGISTERS,
        "Bits are as IA32_VMX_CR4_FIXED0 and FIXED1 (488, 489) give: VMXE is 1."),
    ROW(guest_debugctl, 0x2802, ENTRY, debugctl_bits, REGISTERS,
        "With \"load debug controls\", reserved bits are 0."),
    ROW(long_guest_has_paging, CR0, ENTRY, NULL, REGISTERS,
        "With \"IA-32e mode guest\", PG (bit 31) is 1."),
    ROW(long_guest_has_pae, 0x6804, ENTRY, NULL, REGISTERS,
        "With \"IA-32e mode guest\", PAE (bit 5) is 1."),
    ROW(legacy_guest_has_no_pcid, 0x6804, ENTRY, NULL, REGISTERS,
        "Without \"IA-32e mode guest\", PCIDE (bit 17) is 0."),
    ROW(guest_cr3, 0x6802, 0, cr3_bits, REGISTERS,
        "Bits above the physical-address width are 0."),
    ROW(guest_dr7, 0x681a, ENTRY, low_32_bits, REGISTERS,
        "With \"load debug controls\", bits 63:32 are 0."),
    ROW(guest_sysenter_esp, 0x6824, 0, NULL, REGISTERS, CANONICAL),
    ROW(guest_sysenter_eip, 0x6826, 0, NULL, REGISTERS, CANONICAL),
    ROW(guest_pat, 0x2804, ENTRY, NULL, REGISTERS,
        "With \"load IA32_PAT\", each byte is a memory type: 0, 1, 4, 5, 6 or 7."),
    ROW(guest_efer_reserved, 0x2806, ENTRY, efer_bits, REGISTERS,
        "With \"load IA32_EFER\", bits that this processor does not have are 0."),
    ROW(guest_efer_lma, 0x2806, ENTRY, NULL, REGISTERS,
        "With \"load IA32_EFER\", LMA (bit 10) equals \"IA-32e mode guest\" (bit 9 of the VM-entry controls)."),
    ROW(guest_efer_lme, 0x2806, ENTRY AND CR0, NULL, REGISTERS,
        "With \"load IA32_EFER\" and CR0.PG 1, LME (bit 8) equals LMA (bit 10)."),
    ROW(tr_selector, 0x080e, 0, without_ti, SEGMENTS, "TI (bit 2) is 0."),
    ROW(ldtr_selector, 0x080c, 0, without_ti, SEGMENTS, "If LDTR is usable, TI (bit 2) is 0."),
    ROW(ss_selector, 0x0804, 0x0802 AND SECONDARY, NULL, SEGMENTS,
        "Without virtual-8086 mode and \"unrestricted guest\", RPL of SS equals RPL of CS."),
    EACH(v86_bases, CODE_DATA, 0x6806, RFLAGS, NULL, SEGMENTS,
        "In virtual-8086 mode, the base is the selector times 16."),
    EACH(tr_fs_gs_bases, 0xb0, 0x6806, 0, NULL, SEGMENTS, CANONICAL),
    ROW(ldtr_base, 0x6812, 0, NULL, SEGMENTS, "If LDTR is usable: " CANONICAL),
    ROW(cs_base, 0x6808, 0, low_32_bits, SEGMENTS, "Bits 63:32 are 0."),
    EACH(ss_ds_es_bases, 0x0d, 0x6806, 0, low_32_bits, SEGMENTS,
        "If the segment is usable, bits 63:32 are 0."),
    EACH(v86_limits, CODE_DATA, 0x4800, RFLAGS, NULL, SEGMENTS,
        "In virtual-8086 mode, the limit is FFFF."),
    EACH(v86_access_rights, CODE_DATA, 0x4814, RFLAGS, NULL, SEGMENTS,
        "In virtual-8086 mode, the access rights are F3."),
    ROW(cs_type, 0x4816, SECONDARY, NULL, SEGMENTS,
        "The type is 9, 11, 13 or 15 (accessed code), or 3 with \"unrestricted guest\"."),
    ROW(ss_type, 0x4818, 0, NULL, SEGMENTS,
        "If SS is usable, the type is 3 or 7 (accessed, writable data)."),
    EACH(data_types, DATA, 0x4814, 0, NULL, SEGMENTS,
        "If the segment is usable, the type is accessed (bit 0), and readable (bit 1) if it is code (bit 3)."),
    EACH(code_data_s, CODE_DATA, 0x4814, 0, NULL, SEGMENTS,
        "If the segment is CS or usable, S (bit 4) is 1."),
    ROW(cs_dpl, 0x4816, 0x4818, NULL, SEGMENTS,
        "DPL of CS is 0 for type 3, DPL of SS for types 9 and 11, at most DPL of SS for types 13 and 15."),
    ROW(ss_dpl_rpl, 0x4818, 0x0804 AND SECONDARY, NULL, SEGMENTS,
        "Without \"unrestricted guest\", DPL of SS equals its RPL."),
    ROW(ss_dpl, 0x4818, 0x4816 AND CR0, NULL, SEGMENTS,
        "DPL of SS is 0 if the type of CS is 3 or CR0.PE is 0."),
    EACH(data_dpl, DATA, 0x4814, SECONDARY, NULL, SEGMENTS,
        "Without \"unrestricted guest\", if the segment is usable and its type 0 to 11, DPL is not below RPL."),
    EACH(code_data_present, CODE_DATA, 0x4814, 0, NULL, SEGMENTS,
        "If the segment is CS or usable, P (bit 7) is 1."),
    EACH(code_data_reserved, CODE_DATA, 0x4814, 0, code_data_bits, SEGMENTS,
        "If the segment is CS or usable, bits 11:8 and 31:17 are 0."),
    ROW(cs_db, 0x4816, ENTRY, NULL, SEGMENTS,
        "With \"IA-32e mode guest\", L (bit 13) and D/B (bit 14) are not both 1."),
    EACH(code_data_granularity, CODE_DATA, 0x4814, 0, NULL, SEGMENTS,
        "If the segment is CS or usable, G (bit 15) is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1."),
    ROW(tr_type, 0x4822, ENTRY, NULL, SEGMENTS,
        "The type is 11 (busy 32- or 64-bit TSS), or 3 (busy 16-bit TSS) without \"IA-32e mode guest\"."),
    ROW(tr_access_rights, 0x4822, 0, NULL, SEGMENTS,
        "TR is usable (bit 16 is 0), S (bit 4) is 0, P (bit 7) is 1, bits 11:8 and 31:17 are 0, G (bit 15) agrees with the limit."),
    ROW(ldtr_access_rights, 0x4820, 0, NULL, SEGMENTS,
        "If LDTR is usable (bit 16 is 0), the type is 2, S (bit 4) is 0, P (bit 7) is 1, bits 11:8 and 31:17 are 0, G (bit 15) agrees with the limit."),
    ROW(guest_gdtr_base, 0x6816, 0, NULL, TABLES, CANONICAL),
    ROW(guest_idtr_base, 0x6818, 0, NULL, TABLES, CANONICAL),
    ROW(guest_gdtr_limit, 0x4810, 0, low_16_bits, TABLES, "Bits 31:16 are 0."),
    ROW(guest_idtr_limit, 0x4812, 0, low_16_bits, TABLES, "Bits 31:16 are 0."),
    ROW(guest_rip, 0x681e, ENTRY AND 0x4816, low_32_bits, FLOW,
        "Without \"IA-32e mode guest\", or if L of CS (bit 13) is 0, bits 63:32 are 0."),
    ROW(guest_rip_64, 0x681e, ENTRY AND 0x4816, NULL, FLOW, "In 64-bit mode: " CANONICAL),
    ROW(guest_rflags_reserved, RFLAGS, 0, rflags_bits, FLOW,
        "Bits 63:22, 15, 5 and 3 are 0, and bit 1 is 1."),
    ROW(guest_rflags_vm, RFLAGS, ENTRY AND CR0, NULL, FLOW,
        "VM (bit 17) is 0 with \"IA-32e mode guest\" or if CR0.PE is 0."),
    ROW(guest_rflags_if, RFLAGS, INJECTED, NULL, FLOW,
        "IF (bit 9) is 1 if an external interrupt is injected."),
    ROW(activity_known, ACTIVITY, 0, NULL, OTHER,
        "The state is 0 (active), 1 (HLT), 2 (shutdown) or 3 (wait for SIPI): IA32_VMX_MISC (485) bits 8:6."),
    ROW(activity_hlt_dpl, ACTIVITY, 0x4818, NULL, OTHER,
        "The state is not 1 (HLT) if DPL of SS is not 0."),
    ROW(activity_blocking, ACTIVITY, BLOCKING, NULL, OTHER,
        "The state is 0 (active) if blocking by STI or by MOV SS is in effect."),
    ROW(activity_injection, ACTIVITY, INJECTED, NULL, OTHER,
        "In state 1 (HLT) only external interrupts, NMIs, #DB, #MC and MTF are injected; in state 2 (shutdown) NMIs and #MC; in state 3 (wait for SIPI) nothing."),
    ROW(interruptibility_reserved, BLOCKING, 0, interruptibility_bits, OTHER,
        "Bits 31:5 are 0."),
    ROW(blocking_by_sti_or_mov_ss, BLOCKING, 0, NULL, OTHER,
        "Blocking by STI (bit 0) and by MOV SS (bit 1) are not both 1."),
    ROW(blocking_by_sti_needs_if, BLOCKING, RFLAGS, NULL, OTHER,
        "Blocking by STI (bit 0) is 0 if RFLAGS.IF is 0."),
    ROW(external_interrupt_not_blocked, BLOCKING, INJECTED, NULL, OTHER,
        "Blocking by STI (bit 0) and by MOV SS (bit 1) are 0 if an external interrupt is injected."),
    QUALIFIED(nmi_not_blocked_by_mov_ss, NMI_BLOCKED, 0, BLOCKING, INJECTED, NULL, OTHER,
        "Blocking by MOV SS (bit 1) is 0 if an NMI is injected."),
    ROW(blocking_by_smi, BLOCKING, 0, NULL, OTHER,
        "Blocking by SMI (bit 2) is 0 outside system-management mode."),
    QUALIFIED(nmi_not_blocked_by_sti, NMI_BLOCKED, 0, BLOCKING, INJECTED, NULL, OTHER,
        "Blocking by STI (bit 0) is 0 if an NMI is injected."),
    ROW(virtual_nmi_not_blocked, BLOCKING, INJECTED, NULL, OTHER,
        "With \"virtual NMIs\", blocking by NMI (bit 3) is 0 if an NMI is injected."),
    ROW(no_enclave, BLOCKING, 0, NULL, OTHER,
        "Enclave interruption (bit 4) is 0: there is no SGX."),
    ROW(pending_debug_reserved, 0x6822, 0, pending_debug_bits, OTHER,
        "Bits 11:4, 13, 15 and 63:16 are 0."),
    ROW(pending_debug_single_step, 0x6822, RFLAGS AND 0x2802 AND BLOCKING, NULL, OTHER,
        "While STI or MOV SS blocks, and in state HLT, BS (bit 14) is 1 exactly if RFLAGS.TF is 1 and BTF (bit 1 of IA32_DEBUGCTL) is 0."),
    QUALIFIED(link_pointer, BAD_LINK, 0, 0x2800, 0, page, OTHER,
        "The pointer is all ones or that of a page within the physical-address width."),
    QUALIFIED(link_revision, BAD_LINK, 0, 0x2800, SECONDARY, NULL, OTHER,
        "The region begins with the revision identifier of IA32_VMX_BASIC (480), and bit 31 (shadow VMCS) equals \"VMCS shadowing\"."),
    QUALIFIED(link_is_not_current, BAD_LINK, 0, 0x2800, 0, NULL, OTHER,
        "The pointer is not that of the current VMCS."),
    QUALIFIED(guest_pdptes, BAD_PDPTE, 0x0f, 0x280a, SECONDARY, pdpte_bits, PDPTES,
        "With PAE paging and \"enable EPT\", reserved bits are 0 if the PDPTE is present (bit 0)."),
    QUALIFIED(guest_pdptes_in_memory, BAD_PDPTE, 0, 0x6802, SECONDARY, NULL, PDPTES,
        "With PAE paging and without \"enable EPT\", reserved bits of each present one of the four PDPTEs in memory at CR3 are 0."),
};
/* clang-format on */
const u32 vmx_guest_rules_count = ARRAY_SIZE(vmx_guest_rules);
const u32 vmx_register_rules_count = 44; /* to "guest_idtr_limit" */
/* "activity_known" to "pending_debug_single_step" */
const u32 vmx_activity_rules_first = 49, vmx_activity_rules_end = 64;
