/* SPDX-License-Identifier: MIT */
/*
 * EPT: the second stage of the MMU, and what becomes of an access that it stops: exits,
 * virtualization exceptions, page-modification logging. SDM Vol 3C 29.3.3, 29.3.6, 26.5.7.
 */
#include "cpu/control.h"
#include "cpu/vmx/apic.h"
#include "cpu/vmx/internal.h"
#include "mmu/nested.h"

enum { PML_ENTRIES = 512 };

/* Log a guest-physical address whose dirty flag becomes set. */
static bool log_dirty(void *ctx, gpa_t at)
{
    struct vcpu *v = ctx;
    struct vmcs *c = &v->state.vmx.vmcs;

    if (c->pml_index >= PML_ENTRIES)
        return false;
    memory_write(v->memory, (hpa_t){c->pml_address + 8 * (u64)c->pml_index}, &at.v, 8);
    c->pml_index--;
    return true;
}

void vmx_refresh(struct vcpu *v)
{
    const struct vmx_state *vmx = &v->state.vmx;
    const struct vmcs *c = &vmx->vmcs;
    const bool guest = vmx->mode == VMX_GUEST;
    const u32 secondary = vmx_secondary(c);
    struct mmu_second_stage second;

    v->guest_deadline = guest && (vmx->pending & VMX_PENDING_TIMER) != 0 ? vmx->deadline : ~(u64)0;
    if (guest && (secondary & SECONDARY_APIC_ACCESSES) != 0)
        mmu_set_guest_apic(v->mmu, (hpa_t){c->apic_access_address}, &vmx_apic_page, v);
    if (!guest || (secondary & SECONDARY_EPT) == 0) {
        mmu_set_second_stage(v->mmu, NULL);
        return;
    }
    second = second_stage_ept(c->eptp, &(struct ept_features){
                                           .execonly = true,
                                           .gbpages = has_feature(v, F_GBPAGES),
                                           .mbec = (secondary & SECONDARY_MBEC) != 0,
                                           .log = (secondary & SECONDARY_PML) != 0,
                                       });
    v->mmu->log = (struct mmu_log){log_dirty, v};
    mmu_set_second_stage(v->mmu, &second);
}

/* The area of "Virtualization-Exception Information": SDM Vol 3C 26.5.7.2. */
struct ve_information {
    u32 reason;
    u32 busy; /* all ones after a virtualization exception: no other until software clears it */
    u64 qualification, linear, physical;
    u16 eptp_index;
} __attribute__((packed));

/* Convert an EPT violation to a #VE, if everything allows it: SDM Vol 3C 26.5.7.1. */
static bool convert(struct vcpu *v, const struct guest_exit *x)
{
    const struct vmcs *c = &v->state.vmx.vmcs;
    const hpa_t at = {c->ve_information_address};
    struct ve_information area = {.reason = EXIT_EPT_VIOLATION,
                                  .busy = ~(u32)0,
                                  .qualification = x->qualification,
                                  .linear = x->linear,
                                  .physical = x->physical,
                                  .eptp_index = c->eptp_index};
    u32 busy;

    if ((vmx_secondary(c) & SECONDARY_EPT_VIOLATION_VE) == 0 || (v->state.cr0 & CR0_PE) == 0 ||
        (v->vectoring.info & INFO_VALID) != 0 || (v->mmu->nested.entry & BIT(63)) != 0)
        return false;
    memory_read(v->memory, (hpa_t){at.v + 4}, &busy, sizeof(busy));
    if (busy != 0)
        return false;
    memory_write(v->memory, at, &area, sizeof(area));
    return true;
}

bool vmx_raise_nested(struct vcpu *v)
{
    static const u8 reasons[] = {
        [NESTED_NOT_PRESENT] = EXIT_EPT_VIOLATION,
        [NESTED_NOT_ALLOWED] = EXIT_EPT_VIOLATION,
        [NESTED_RESERVED] = EXIT_EPT_MISCONFIGURATION,
        [NESTED_LOG_FULL] = EXIT_PML_FULL,
    };
    const struct mmu_nested_fault *fault = &v->mmu->nested;
    struct guest_exit *x = vmx_exit_begin(v, (enum exit_reason)reasons[fault->reason]);
    const bool violation = x->reason == EXIT_EPT_VIOLATION;

    x->physical = fault->gpa.v;
    x->physical_valid = x->reason != EXIT_PML_FULL;
    x->linear = fault->va;
    x->linear_valid = violation && fault->linear_valid;
    if (violation)
        x->qualification = ept_qualification(fault);
    if ((fault->access & ACCESS_FETCH) == 0)
        x->length = vmx_access_length(v);
    if (violation && convert(v, x))
        return raise_fault(v, VEC_VE);
    return raise_exit(v);
}
