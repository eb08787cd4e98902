/* SPDX-License-Identifier: MIT */
/*
 * Why a VM entry, another VMX instruction or a VM exit failed, in words: the rule, the field and
 * its value, the allowed values, the manual's section.
 */
#include "cpu/explain.h"

#include "cpu/engine.h"
#include "cpu/insn.h"
#include "cpu/vmx/fields.h"
#include "cpu/vmx/internal.h"

#include <stdarg.h>
#include <stdio.h>

/* The headline of an instruction that fails: its mnemonic as in the manual, and how it ends. */
PRINTF_LIKE(2, 3) static void begin(struct vcpu *v, const char *format, ...)
{
    const char *mnemonic = v->current->def->name;
    char name[16], ending[192];
    va_list args;
    u32 i = 0;

    for (; i < sizeof(name) - 1 && mnemonic[i] != '\0'; i++)
        name[i] = (char)(mnemonic[i] & ~0x20); /* letters only */
    name[i] = '\0';
    va_start(args, format);
    (void)vsnprintf(ending, sizeof(ending), format, args);
    va_end(args);
    vcpu_commit_time(v);
    explain_begin(v, v->insn_rip, "%s %s", name, ending);
}

/* ---- VM-instruction errors ---- */

#define ADDRESS "The address is that of a page within the physical-address width."

/* SDM Vol 3C 31.4, "VM Instruction Error Numbers": its name, what the value says, what should hold.
 */
static const struct error_row {
    u32 error;
    const char *name, *value, *text;
} errors[] = {
    {ERROR_VMCALL_IN_ROOT, "VMCALL executed in VMX root operation", NULL,
     "VMCALL is for guests: there is no dual-monitor treatment of SMM."},
    {ERROR_VMCLEAR_ADDRESS, "VMCLEAR with invalid physical address", "operand", ADDRESS},
    {ERROR_VMCLEAR_VMXON_POINTER, "VMCLEAR with VMXON pointer", "operand",
     "The region is not that of VMXON."},
    {ERROR_VMLAUNCH_NOT_CLEAR, "VMLAUNCH with non-clear VMCS", "VMCS",
     "Its launch state is clear: VMCLEAR it first, or use VMRESUME."},
    {ERROR_VMRESUME_NOT_LAUNCHED, "VMRESUME with non-launched VMCS", "VMCS",
     "Its launch state is launched: use VMLAUNCH after VMCLEAR."},
    {ERROR_ENTRY_CONTROLS, "VM entry with invalid control fields", NULL, NULL},
    {ERROR_ENTRY_HOST_STATE, "VM entry with invalid host-state fields", NULL, NULL},
    {ERROR_VMPTRLD_ADDRESS, "VMPTRLD with invalid physical address", "operand", ADDRESS},
    {ERROR_VMPTRLD_VMXON_POINTER, "VMPTRLD with VMXON pointer", "operand",
     "The region is not that of VMXON."},
    {ERROR_VMPTRLD_REVISION, "VMPTRLD with incorrect VMCS revision identifier", "found",
     "The region begins with the revision identifier of IA32_VMX_BASIC (480)."},
    {ERROR_FIELD_UNSUPPORTED, "VMREAD or VMWRITE of an unsupported VMCS component", "encoding",
     "The encoding is that of a field which exists on this processor."},
    {ERROR_VMXON_IN_ROOT, "VMXON executed in VMX root operation", "VMXON",
     "The processor is not in VMX operation."},
    {ERROR_ENTRY_MOV_SS, "VM entry with events blocked by MOV SS", NULL,
     "The instruction before is no MOV SS or POP SS."},
    {ERROR_INVALIDATION_OPERAND, "Invalid operand to INVEPT or INVVPID", "operand",
     "The type is one of IA32_VMX_EPT_VPID_CAP (48C): 1 or 2 for INVEPT, 0 to 3 for INVVPID; the "
     "EPT pointer would pass the checks of a VM entry; the VPID is 1 to FFFF; the address is "
     "canonical."},
};

static const struct error_row *error_find(u32 error)
{
    for (u32 i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].error == error)
            return &errors[i];
    }
    return &errors[0];
}

void vmx_explain_fail(struct vcpu *v, u32 error, u64 value)
{
    const struct error_row *row = error_find(error);

    if (!explain_wanted())
        return;
    begin(v, "fails with VM-instruction error %u (%s)", error, row->name);
    EXPLAIN_LINE("rule", "%s", row->text);
    if (row->value != NULL)
        EXPLAIN_LINE(row->value, "%llx", (unsigned long long)value);
    EXPLAIN_LINE("manual", "%s", "SDM Vol 3C 31.4, VM Instruction Error Numbers");
}

void vmx_explain_text(struct vcpu *v, const char *ending, const char *text)
{
    if (!explain_wanted())
        return;
    begin(v, "fails with %s", ending);
    EXPLAIN_LINE("rule", "%s", text);
    EXPLAIN_LINE("state", "CR0 %llx, CR4 %llx, IA32_FEATURE_CONTROL %llx",
                 (unsigned long long)v->state.cr0, (unsigned long long)v->state.cr4,
                 (unsigned long long)v->state.feature_control);
    EXPLAIN_LINE("manual", "%s", "SDM Vol 3C 31.3, VMX Instructions");
}

/* ---- VM entries ---- */

static u64 explain_field(const struct vcpu *v, const char *word, u32 encoding)
{
    const struct vmx_field *field = vmx_field_find(v, encoding);
    const u64 value =
        field == NULL ? 0 : vmx_field_read((const u8 *)&v->state.vmx.vmcs, field, encoding);

    EXPLAIN_LINE(word, "%04x %s = %llx", encoding,
                 field == NULL ? "(does not exist here)" : field->name, (unsigned long long)value);
    return value;
}

/* The segment that a guest-state field belongs to, or SEG_COUNT: SDM Vol 3D appendix B. */
static u32 segment_of(u32 encoding)
{
    static const u32 first[] = {0x0800, 0x4800, 0x4814, 0x6806};

    for (u32 i = 0; i < ARRAY_SIZE(first); i++) {
        if (encoding >= first[i] && encoding < first[i] + 2 * SEG_COUNT)
            return (encoding - first[i]) / 2;
    }
    return SEG_COUNT;
}

static void explain_segment(const struct vmcs *c, u32 seg)
{
    static const char *const names[SEG_COUNT] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
    const u32 ar = c->guest_ar[seg];

    EXPLAIN_LINE("segment",
                 "%s %04x, base %llx, limit %x, type %u, S %u, DPL %u, P %u, L %u, "
                 "D/B %u, G %u%s",
                 names[seg], c->guest_selector[seg], (unsigned long long)c->guest_base[seg],
                 c->guest_limit[seg], ar & 15, ar >> 4 & 1, ar >> 5 & 3, ar >> 7 & 1, ar >> 13 & 1,
                 ar >> 14 & 1, ar >> 15 & 1, (ar & ATTR_UNUSABLE) != 0 ? ", unusable" : "");
}

void vmx_explain_entry(struct vcpu *v, const struct vmx_rule *rule, u32 error)
{
    const struct vmcs *c = &v->state.vmx.vmcs;
    u32 field;
    u64 value;

    if (!explain_wanted())
        return;
    if (error != 0)
        begin(v, "fails with VM-instruction error %u (%s)", error, error_find(error)->name);
    else
        begin(v, "ends with VM exit 33 (invalid guest state), qualification %u",
              rule->qualification);
    field = vmx_breach(v, rule);
    EXPLAIN_LINE("rule", "%s: %s", rule->name, rule->text);
    value = explain_field(v, "field", field);
    if (rule->bits != NULL) {
        const struct vmx_bits bits = rule->bits(v, c);

        explain_bits(value, bits.must_be_1, bits.may_be_1);
    }
    if (segment_of(field) != SEG_COUNT)
        explain_segment(c, segment_of(field));
    for (u32 i = 0; i < ARRAY_SIZE(rule->also) && rule->also[i] != 0; i++)
        (void)explain_field(v, "with", rule->also[i]);
    (void)explain_field(v, "guest", 0x681e);
    EXPLAIN_LINE("manual", "%s", rule->ref);
}

void vmx_explain_msr(struct vcpu *v, const struct vmx_msr_refusal *refusal)
{
    static const struct {
        const char *name, *ending, *ref;
    } areas[] = {
        [AREA_ENTRY_LOAD] = {"VM-entry MSR-load", "VM exit 34 (MSR loading), qualification",
                             "SDM Vol 3C 27.4, Loading MSRs"},
        [AREA_EXIT_STORE] = {"VM-exit MSR-store", "VMX abort 1, at entry",
                             "SDM Vol 3C 28.4, Saving MSRs"},
        [AREA_EXIT_LOAD] = {"VM-exit MSR-load", "VMX abort 4, at entry",
                            "SDM Vol 3C 28.6, Loading MSRs"},
    };

    if (!explain_wanted())
        return;
    explain_begin(v, v->insn_rip, "an entry of the %s area is refused: %s %u",
                  areas[refusal->area].name, areas[refusal->area].ending, refusal->number);
    EXPLAIN_LINE("rule", "%s", refusal->text);
    EXPLAIN_LINE("MSR", "%x = %llx", refusal->index, (unsigned long long)refusal->value);
    EXPLAIN_LINE("manual", "%s", areas[refusal->area].ref);
}

/* ---- VMX aborts ---- */

void vmx_explain_abort(struct vcpu *v, enum vmx_abort code)
{
    /* SDM Vol 3C 28.7, "VMX Aborts" */
    static const char *const texts[] = {
        [ABORT_SAVING_MSRS] = "a guest MSR could not be saved",
        [ABORT_HOST_PDPTE] = "a present PDPTE at the host's CR3 has reserved bits set",
        [ABORT_LOADING_MSRS] = "a host MSR could not be loaded",
        [ABORT_HOST_ADDRESS_SIZE] =
            "the guest is in IA-32e mode and \"host address-space size\" is 0",
    };
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (!explain_wanted())
        return;
    explain_begin(v, c->guest_rip, "VMX abort %u: %s; the processor shuts down", code, texts[code]);
    EXPLAIN_LINE("VMCS", "%llx", (unsigned long long)v->state.vmx.current);
    (void)explain_field(v, "field", 0x4402);
    (void)explain_field(v, "with", 0x400c);
    (void)explain_field(v, "with", 0x6c02);
    EXPLAIN_LINE("manual", "%s", "SDM Vol 3C 28.7, VMX Aborts");
}
