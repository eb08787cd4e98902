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

/* No rule on activity, blocking and pending traps can be broken. */
static bool is_plain(const struct vmcs *c)
{
    return (c->guest_activity | c->guest_interruptibility) == 0 && c->guest_pending_debug == 0;
}

const struct vmx_rule *vmx_check_guest(struct vcpu *v)
{
    const struct vmx_rule *broken = NULL;

    if ((v->vmx_valid & GROUP_REGISTERS) == 0) {
        broken = first_broken(v, vmx_guest_rules, 0, vmx_register_rules_count);
        if (broken != NULL)
            return broken;
        v->vmx_valid |= GROUP_REGISTERS;
    }
    broken = first_broken(v, vmx_guest_rules, vmx_register_rules_count, vmx_activity_rules_first);
    if (broken == NULL && !is_plain(&v->state.vmx.vmcs))
        broken = first_broken(v, vmx_guest_rules, vmx_activity_rules_first, vmx_activity_rules_end);
    if (broken != NULL)
        return broken;
    return first_broken(v, vmx_guest_rules, vmx_activity_rules_end, vmx_guest_rules_count);
}

/* A field of the guest that no rule of GROUP_REGISTERS looks at, or not at what changes. */
static bool is_beside_registers(const struct vmcs *c, u32 encoding, u64 value)
{
    enum { INTERRUPTIBILITY = 0x4824, ACTIVITY = 0x4826, TIMER = 0x482e, PENDING_DEBUG = 0x6822 };
    enum { RSP = 0x681c, RIP = 0x681e, RFLAGS = 0x6820 };

    switch (encoding) {
    case INTERRUPTIBILITY:
    case ACTIVITY:
    case TIMER:
    case PENDING_DEBUG:
    case RSP:
    case RIP: return true;
    case RFLAGS: return ((value ^ c->guest_rflags) & FLAG_VM) == 0;
    default: return false;
    }
}

void vmx_field_written(struct vcpu *v, u32 encoding, u64 value)
{
    enum { INJECTION_FIRST = 0x4016, TPR_THRESHOLD = 0x401c };

    switch (vmx_field_type(encoding)) {
    case FIELD_CONTROL:
        if (encoding < INJECTION_FIRST || encoding > TPR_THRESHOLD)
            v->vmx_valid = 0;
        break;
    case FIELD_HOST: v->vmx_valid &= (u8)~GROUP_HOST; break;
    case FIELD_GUEST:
        if (!is_beside_registers(&v->state.vmx.vmcs, encoding, value))
            v->vmx_valid &= (u8)~GROUP_REGISTERS;
        break;
    default: break;
    }
}
