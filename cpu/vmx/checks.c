/* SPDX-License-Identifier: MIT */
/*
 * Checks of a VM entry: SDM Vol 3C 27.2, 27.3.1. The rules are in checks_control.c, checks_host.c
 * and checks_guest.c; here is which of them are to be looked at.
 */
#include "cpu/vmx/fields.h"
#include "cpu/vmx/rules.h"

u32 vmx_breach(const struct vcpu *v, const struct vmx_rule *rule)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (rule->members == 0)
        return rule->holds(v, c, 0) ? VMX_RULE_HOLDS : rule->field;
    for (u32 i = 0; rule->members >> i != 0; i++) {
        if ((rule->members >> i & 1) != 0 && !rule->holds(v, c, i))
            return rule->field + 2 * i;
    }
    return VMX_RULE_HOLDS;
}

/* The first broken one of rules[from..end-1]. */
static const struct vmx_rule *first_broken(const struct vcpu *v, const struct vmx_rule *rules,
                                           u32 from, u32 end)
{
    for (u32 i = from; i < end; i++) {
        if (vmx_breach(v, &rules[i]) != VMX_RULE_HOLDS)
            return &rules[i];
    }
    return NULL;
}

static const struct vmx_rule *first_broken_always(const struct vcpu *v)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (!injects(c) && !primary(c, PRIMARY_TPR_SHADOW))
        return NULL;
    for (u32 i = 0; i < vmx_control_rules_count; i++) {
        if (vmx_control_rules[i].always && vmx_breach(v, &vmx_control_rules[i]) != VMX_RULE_HOLDS)
            return &vmx_control_rules[i];
    }
    return NULL;
}

const struct vmx_rule *vmx_check_controls(struct vcpu *v)
{
    const struct vmx_rule *broken;

    if ((v->vmx_valid & GROUP_CONTROLS) != 0)
        return first_broken_always(v);
    broken = first_broken(v, vmx_control_rules, 0, vmx_control_rules_count);
    if (broken == NULL)
        v->vmx_valid |= GROUP_CONTROLS;
    return broken;
}

const struct vmx_rule *vmx_check_host(struct vcpu *v)
{
    const struct vmx_rule *broken;

    if ((v->vmx_valid & GROUP_HOST) != 0 && v->vmx_valid_long == long_mode(v))
        return NULL;
    broken = first_broken(v, vmx_host_rules, 0, vmx_host_rules_count);
    if (broken == NULL)
        v->vmx_valid |= GROUP_HOST;
    v->vmx_valid_long = long_mode(v);
    return broken;
}

const struct vmx_rule *vmx_check_guest(struct vcpu *v)
{
    const struct vmx_rule *broken = first_broken(v, vmx_guest_rules, 0, vmx_segment_rules_first);

    if (broken == NULL && (v->vmx_valid & GROUP_SEGMENTS) == 0) {
        broken = first_broken(v, vmx_guest_rules, vmx_segment_rules_first, vmx_segment_rules_end);
        if (broken == NULL)
            v->vmx_valid |= GROUP_SEGMENTS;
    }
    if (broken != NULL)
        return broken;
    return first_broken(v, vmx_guest_rules, vmx_segment_rules_end, vmx_guest_rules_count);
}

void vmx_field_written(struct vcpu *v, u32 encoding, u64 value)
{
    enum { GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820 };
    enum { INJECTION_FIRST = 0x4016, TPR_THRESHOLD = 0x401c };

    switch (vmx_field_type(encoding)) {
    case FIELD_CONTROL:
        if (encoding < INJECTION_FIRST || encoding > TPR_THRESHOLD)
            v->vmx_valid = 0;
        break;
    case FIELD_HOST: v->vmx_valid &= (u8)~GROUP_HOST; break;
    case FIELD_GUEST:
        if (encoding != GUEST_RSP && encoding != GUEST_RIP &&
            (encoding != GUEST_RFLAGS || ((value ^ v->state.vmx.vmcs.guest_rflags) & FLAG_VM) != 0))
            v->vmx_valid &= (u8)~GROUP_SEGMENTS;
        break;
    default: break;
    }
}
