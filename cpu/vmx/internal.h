/* SPDX-License-Identifier: MIT */
/* What the files of cpu/vmx/ share. */
#ifndef CPU_VMX_INTERNAL_H
#define CPU_VMX_INTERNAL_H

#include "cpu/virt.h"
#include "cpu/vmx/caps.h"

/* ---- checks.c, checks_guest.c: the rules of VM entry ---- */

/* What a field may hold, bit by bit. */
struct vmx_bits {
    u64 must_be_1, may_be_1;
};

/* One check. It holds, or the entry fails; explain.c then tells the user. */
struct vmx_rule {
    const char *name;
    bool (*holds)(const struct vcpu *v, const struct vmcs *c, u32 i);
    struct vmx_bits (*bits)(const struct vcpu *v, const struct vmcs *c); /* allowed, or NULL */
    const char *text; /* what must hold, with the allowed values */
    const char *ref;
    u16 field; /* encoding of the field it is about; of the first member of an array of them */
    u16 also[3]; /* fields that it depends on; 0: none */
    u8 members; /* bit per member of the array, checked in this order; 0: no array */
    u8 qualification; /* of the VM exit; guest-state rules only */
    bool always; /* depends on memory, the injected event or the TPR threshold */
};

/* What an earlier entry has found valid need not be checked again while nothing writes it: a cache.
 * What depends on memory or on the injected event is checked each time. */
enum vmx_group {
    GROUP_CONTROLS = 1 << 0,
    GROUP_HOST = 1 << 1,
    GROUP_REGISTERS = 1 << 2, /* of the guest, without RIP, RSP and all of RFLAGS but VM */
};
/* VMWRITE changes a field of the current VMCS. */
void vmx_field_written(struct vcpu *v, u32 encoding, u64 value);

/* Encoding of the field that breaks the rule, or VMX_RULE_HOLDS. */
enum { VMX_RULE_HOLDS = 0x10000 };
u32 vmx_breach(const struct vcpu *v, const struct vmx_rule *rule);

/* The first rule that is broken, or NULL. */
const struct vmx_rule *vmx_check_controls(struct vcpu *v);
const struct vmx_rule *vmx_check_host(struct vcpu *v);
const struct vmx_rule *vmx_check_guest(struct vcpu *v);
extern const u32 vmx_register_rules_count; /* the first ones of vmx_guest_rules: GROUP_REGISTERS */
/* Those on activity, blocking and pending traps. */
extern const u32 vmx_activity_rules_first, vmx_activity_rules_end;

extern const struct vmx_rule vmx_control_rules[], vmx_host_rules[], vmx_guest_rules[];
extern const u32 vmx_control_rules_count, vmx_host_rules_count, vmx_guest_rules_count;

/* Aligned and within the physical-address width. */
static inline bool vmx_address_valid(const struct vcpu *v, u64 address, u64 alignment)
{
    return (address & (alignment - 1)) == 0 && address >> v->phys_bits == 0;
}

u64 vmx_efer_known(const struct vcpu *v);
bool vmx_eptp_valid(const struct vcpu *v, u64 eptp);

/* ---- vmcs.c: regions ---- */
void vmcs_store(struct vcpu *v); /* the current VMCS to its region */
void vmcs_make_current(struct vcpu *v, u64 pointer);
u32 vmcs_revision(struct vcpu *v, u64 pointer);

/* ---- explain.c: why something failed, in words, if the user asks for it (--explain) ---- */
/* A VM entry breaks this rule: it ends with this error, or (0) with a VM exit. */
void vmx_explain_entry(struct vcpu *v, const struct vmx_rule *rule, u32 error);
/* Another VMX instruction fails. value: what it is about, by the error's row. */
void vmx_explain_fail(struct vcpu *v, u32 error, u64 value);
void vmx_explain_abort(struct vcpu *v, enum vmx_abort code);
/* The same without a number, or with a fault: how it ends, and what should hold. */
void vmx_explain_text(struct vcpu *v, const char *ending, const char *text);
/* An entry of an MSR area is refused: its number from 1, the MSR and value, and what should hold.
 */
enum vmx_msr_area { AREA_ENTRY_LOAD, AREA_EXIT_STORE, AREA_EXIT_LOAD };
struct vmx_msr_refusal {
    enum vmx_msr_area area;
    u32 number, index;
    u64 value;
    const char *text;
};
void vmx_explain_msr(struct vcpu *v, const struct vmx_msr_refusal *refusal);

/* ---- msr_area.c ---- */
/* 0, or the number (from 1) of the entry that failed. */
u32 vmx_msrs_load(struct vcpu *v, enum vmx_msr_area area, u64 address, u32 count);
u32 vmx_msrs_store(struct vcpu *v, enum vmx_msr_area area, u64 address, u32 count);

/* ---- exit.c ---- */
/* Load host state after a failed entry or an exit; the host's MSRs too. */
void vmx_host_load(struct vcpu *v);
COLD void vmx_abort(struct vcpu *v, enum vmx_abort code);

u8 vmx_access_length(const struct vcpu *v);

/* ---- event.c ---- */
void vmx_inject(struct vcpu *v);

#endif
