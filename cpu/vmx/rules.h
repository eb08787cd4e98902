/* SPDX-License-Identifier: MIT */
/*
 * How the rules of VM entry are written: checks_control.c, checks_host.c, checks_guest.c. A rule is
 * a condition that must hold on the VMCS `c` of the processor `v`; a rule on an array of fields
 * (segments, PDPTEs, the two descriptor tables) must hold on each member `i` that its row lists.
 */
#ifndef CPU_VMX_RULES_H
#define CPU_VMX_RULES_H

#include "cpu/control.h"
#include "cpu/vmx/internal.h"

#define RULE(name, condition)                                                                      \
    static bool name(const struct vcpu *v, const struct vmcs *c, u32 i)                            \
    {                                                                                              \
        (void)v, (void)c, (void)i;                                                                 \
        return condition;                                                                          \
    }

/* It must hold if `when` does. */
#define RULE_IF(name, when, condition) RULE(name, !(when) || (condition))

/* The values that a field may have, bit by bit. */
#define ALLOWED(name, must_be_1, may_be_1)                                                         \
    static inline struct vmx_bits name(const struct vcpu *v, const struct vmcs *c)                 \
    {                                                                                              \
        (void)v, (void)c;                                                                          \
        return (struct vmx_bits){must_be_1, may_be_1};                                             \
    }

static inline bool obeys(u64 value, struct vmx_bits bits)
{
    return (~value & bits.must_be_1) == 0 && (value & ~bits.may_be_1) == 0;
}

/* Those that several files use. */
ALLOWED(page, 0, ~physical_reserved(v) & ~(u64)PAGE_OFFSET_MASK)
ALLOWED(low_16_bits, 0, BITS(15, 0))
ALLOWED(low_32_bits, 0, BITS(31, 0))
ALLOWED(cr3_bits, 0, ~physical_reserved(v))
ALLOWED(cr4_bits, VMX_CR4_FIXED0, vmx_cr4_fixed1(v))
ALLOWED(efer_bits, 0, vmx_efer_known(v))

static inline bool pin(const struct vmcs *c, u32 bits)
{
    return (c->pin_controls & bits) != 0;
}

static inline bool primary(const struct vmcs *c, u32 bits)
{
    return (c->primary_controls & bits) != 0;
}

static inline bool secondary(const struct vmcs *c, u32 bits)
{
    return (vmx_secondary(c) & bits) != 0;
}

static inline bool at_exit(const struct vmcs *c, u32 bits)
{
    return (c->exit_controls & bits) != 0;
}

static inline bool at_entry(const struct vmcs *c, u32 bits)
{
    return (c->entry_controls & bits) != 0;
}

static inline bool host_64(const struct vmcs *c)
{
    return at_exit(c, EXIT_HOST_64);
}

static inline bool guest_64(const struct vmcs *c)
{
    return at_entry(c, ENTRY_GUEST_64);
}

static inline bool unrestricted(const struct vmcs *c)
{
    return secondary(c, SECONDARY_UNRESTRICTED);
}

/* An event is injected; it is of this type. */
static inline bool injects(const struct vmcs *c)
{
    return (c->entry_interruption_info & INFO_VALID) != 0;
}

static inline u32 injected_type(const struct vmcs *c)
{
    return (c->entry_interruption_info & INFO_TYPE) >> 8;
}

static inline u32 injected_vector(const struct vmcs *c)
{
    return c->entry_interruption_info & INFO_VECTOR;
}

#endif
