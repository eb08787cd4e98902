/* SPDX-License-Identifier: MIT */
/* Checks on host state: SDM Vol 3C 27.2.2 to 27.2.4, one row per rule, in the manual's order. */
#include "cpu/vmx/rules.h"

u64 vmx_efer_known(const struct vcpu *v)
{
    return EFER_LMA | EFER_LME | (has_feature(v, F_SYSCALL) ? EFER_SCE : 0) |
           (has_feature(v, F_NX) ? EFER_NXE : 0);
}

/* clang-format off */

/* ---- control registers and MSRs: SDM Vol 3C 27.2.2 ---- */

ALLOWED(cr0_bits, VMX_CR0_FIXED0, VMX_CR0_FIXED1)

RULE(host_cr0, obeys(c->host_cr0, cr0_bits(v, c)))
RULE(host_cr4, obeys(c->host_cr4, cr4_bits(v, c)))
RULE(host_cr3, obeys(c->host_cr3, cr3_bits(v, c)))
RULE(host_sysenter_esp, canonical_storable(v, c->host_sysenter_esp))
RULE(host_sysenter_eip, canonical_storable(v, c->host_sysenter_eip))
RULE_IF(host_pat, at_exit(c, EXIT_LOAD_PAT), pat_valid(c->host_pat))
RULE_IF(host_efer_reserved, at_exit(c, EXIT_LOAD_EFER), obeys(c->host_efer, efer_bits(v, c)))
RULE_IF(host_efer_mode, at_exit(c, EXIT_LOAD_EFER),
        (c->host_efer & (EFER_LMA | EFER_LME)) == (host_64(c) ? EFER_LMA | EFER_LME : 0))

/* ---- segments: SDM Vol 3C 27.2.3 ---- */

ALLOWED(selector_bits, 0, BITS(15, 3))

/* Encodings go from GS on to TR: the host has no LDTR. */
RULE(host_selectors_rpl_ti, obeys(c->host_selector[i == SEG_LDTR ? SEG_TR : i], selector_bits(v, c)))
RULE(host_cs_not_null, c->host_selector[SEG_CS] != 0)
RULE(host_tr_not_null, c->host_selector[SEG_TR] != 0)
RULE_IF(host_ss_not_null, !host_64(c), c->host_selector[SEG_SS] != 0)
RULE(host_fs_base, canonical_storable(v, c->host_fs_base))
RULE(host_gs_base, canonical_storable(v, c->host_gs_base))
RULE(host_gdtr_base, canonical_storable(v, c->host_gdtr_base))
RULE(host_idtr_base, canonical_storable(v, c->host_idtr_base))
RULE(host_tr_base, canonical_storable(v, c->host_tr_base))

/* ---- address-space size: SDM Vol 3C 27.2.4 ---- */

RULE_IF(legacy_mode_has_legacy_host, !long_mode(v), !host_64(c))
RULE_IF(legacy_mode_has_legacy_guest, !long_mode(v), !guest_64(c))
RULE_IF(long_mode_has_64_bit_host, long_mode(v), host_64(c))
RULE_IF(legacy_host_has_legacy_guest, !host_64(c), !guest_64(c))
RULE_IF(legacy_host_has_no_pcid, !host_64(c), (c->host_cr4 & CR4_PCIDE) == 0)
RULE_IF(legacy_host_rip, !host_64(c), obeys(c->host_rip, low_32_bits(v, c)))
RULE_IF(long_host_has_pae, host_64(c), (c->host_cr4 & CR4_PAE) != 0)
RULE_IF(long_host_rip, host_64(c),
        canonical_for(c->host_rip, (c->host_cr4 & CR4_LA57) != 0 ? 57 : 48))

/* ---- the table ---- */

#define ROW(rule, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, 0, 0, false}
#define EACH(rule, members, field, also, bits, ref, text) \
    {#rule, rule, bits, text, "SDM Vol 3C " ref, field, {also}, members, 0, false}
#define CANONICAL "The address is canonical: all bits above the linear-address width are equal."
#define CR "27.2.2, Checks on Host Control Registers, MSRs, and SSP"
#define SEG "27.2.3, Checks on Host Segment and Descriptor-Table Registers"
#define SIZE "27.2.4, Checks Related to Address-Space Size"
#define EXIT 0x400c
#define ENTRY 0x4012

const struct vmx_rule vmx_host_rules[] = {
    ROW(host_cr0, 0x6c00, 0, cr0_bits, CR,
        "Bits are as IA32_VMX_CR0_FIXED0 and FIXED1 (486, 487) give: PE, NE and PG are 1."),
    ROW(host_cr4, 0x6c04, 0, cr4_bits, CR,
        "Bits are as IA32_VMX_CR4_FIXED0 and FIXED1 (488, 489) give: VMXE is 1."),
    ROW(host_cr3, 0x6c02, 0, cr3_bits, CR, "Bits above the physical-address width are 0."),
    ROW(host_sysenter_esp, 0x6c10, 0, NULL, CR, CANONICAL),
    ROW(host_sysenter_eip, 0x6c12, 0, NULL, CR, CANONICAL),
    ROW(host_pat, 0x2c00, EXIT, NULL, CR,
        "With \"load IA32_PAT\", each byte is a memory type: 0, 1, 4, 5, 6 or 7."),
    ROW(host_efer_reserved, 0x2c02, EXIT, efer_bits, CR,
        "With \"load IA32_EFER\", bits that this processor does not have are 0."),
    ROW(host_efer_mode, 0x2c02, EXIT, NULL, CR,
        "With \"load IA32_EFER\", LMA (bit 10) and LME (bit 8) each equal \"host address-space size\" (bit 9 of the VM-exit controls)."),
    EACH(host_selectors_rpl_ti, 0x7f, 0x0c00, 0, selector_bits, SEG,
        "RPL (bits 1:0) and TI (bit 2) are 0."),
    ROW(host_cs_not_null, 0x0c02, 0, NULL, SEG, "CS is not 0."),
    ROW(host_tr_not_null, 0x0c0c, 0, NULL, SEG, "TR is not 0."),
    ROW(host_ss_not_null, 0x0c04, EXIT, NULL, SEG,
        "Without \"host address-space size\", SS is not 0."),
    ROW(host_fs_base, 0x6c06, 0, NULL, SEG, CANONICAL),
    ROW(host_gs_base, 0x6c08, 0, NULL, SEG, CANONICAL),
    ROW(host_gdtr_base, 0x6c0c, 0, NULL, SEG, CANONICAL),
    ROW(host_idtr_base, 0x6c0e, 0, NULL, SEG, CANONICAL),
    ROW(host_tr_base, 0x6c0a, 0, NULL, SEG, CANONICAL),
    ROW(legacy_mode_has_legacy_host, EXIT, 0, NULL, SIZE,
        "Outside IA-32e mode, \"host address-space size\" (bit 9) is 0."),
    ROW(legacy_mode_has_legacy_guest, ENTRY, 0, NULL, SIZE,
        "Outside IA-32e mode, \"IA-32e mode guest\" (bit 9) is 0."),
    ROW(long_mode_has_64_bit_host, EXIT, 0, NULL, SIZE,
        "In IA-32e mode, \"host address-space size\" (bit 9) is 1."),
    ROW(legacy_host_has_legacy_guest, ENTRY, EXIT, NULL, SIZE,
        "Without \"host address-space size\", \"IA-32e mode guest\" (bit 9) is 0."),
    ROW(legacy_host_has_no_pcid, 0x6c04, EXIT, NULL, SIZE,
        "Without \"host address-space size\", PCIDE (bit 17) is 0."),
    ROW(legacy_host_rip, 0x6c16, EXIT, low_32_bits, SIZE,
        "Without \"host address-space size\", bits 63:32 are 0."),
    ROW(long_host_has_pae, 0x6c04, EXIT, NULL, SIZE,
        "With \"host address-space size\", PAE (bit 5) is 1."),
    ROW(long_host_rip, 0x6c16, EXIT, NULL, SIZE, "With \"host address-space size\": " CANONICAL),
};
const u32 vmx_host_rules_count = ARRAY_SIZE(vmx_host_rules);
/* clang-format on */
