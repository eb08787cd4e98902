/* SPDX-License-Identifier: MIT */
/*
 * VMCS regions in guest memory. The current VMCS is in the processor (struct vmx_state); its region
 * is written by VMCLEAR and when another one becomes current. SDM Vol 3C 25.1, 25.2, 25.11.
 */
#include "cpu/vmx/internal.h"

u32 vmcs_revision(struct vcpu *v, u64 pointer)
{
    u32 revision;

    memory_read(v->memory, (hpa_t){pointer}, &revision, sizeof(revision));
    return revision;
}

void vmcs_store(struct vcpu *v)
{
    const struct vmx_state *vmx = &v->state.vmx;

    if (vmx->current != VMX_NO_POINTER)
        memory_write(v->memory, (hpa_t){vmx->current + VMCS_REGION_DATA}, &vmx->vmcs,
                     sizeof(vmx->vmcs));
}

void vmcs_make_current(struct vcpu *v, u64 pointer)
{
    struct vmx_state *vmx = &v->state.vmx;

    if (vmx->current == pointer)
        return;
    vmcs_store(v);
    v->vmx_valid = 0;
    vmx->current = pointer;
    if (pointer == VMX_NO_POINTER)
        memset(&vmx->vmcs, 0, sizeof(vmx->vmcs));
    else
        memory_read(v->memory, (hpa_t){pointer + VMCS_REGION_DATA}, &vmx->vmcs, sizeof(vmx->vmcs));
}
