/* SPDX-License-Identifier: MIT */
/* A VMCS whose guest and host are the processor that has it: what hypervisors of tests start from.
 */
#ifndef TESTS_CPU_VMX_MIRROR_H
#define TESTS_CPU_VMX_MIRROR_H

#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/vmx/caps.h"
#include "cpu/vmx/controls.h"

#include <string.h>

/* All fields of guest and host state but RIP and RSP, and the controls that are required; the guest
 * has the mode of the host. */
UNUSED static void vmcs_mirror(struct vmcs *c, const struct cpu_state *s)
{
    const bool is_64 = (s->efer & EFER_LMA) != 0;

    memset(c, 0, sizeof(*c));
    for (u32 i = 0; i < VMCS_SEGMENTS; i++) {
        c->guest_selector[i] = s->seg[i].selector;
        c->guest_base[i] = s->seg[i].base;
        c->guest_limit[i] = s->seg[i].limit;
        c->guest_ar[i] = s->seg[i].attr;
        c->host_selector[i] = i == SEG_LDTR ? 0 : s->seg[i].selector;
    }
    c->guest_gdtr_base = c->host_gdtr_base = s->gdtr.base;
    c->guest_gdtr_limit = s->gdtr.limit;
    c->guest_idtr_base = c->host_idtr_base = s->idtr.base;
    c->guest_idtr_limit = s->idtr.limit;
    c->host_tr_base = s->seg[SEG_TR].base;
    c->guest_cr0 = c->host_cr0 = s->cr0;
    c->guest_cr3 = c->host_cr3 = s->cr3;
    c->guest_cr4 = c->host_cr4 = s->cr4;
    c->guest_efer = c->host_efer = s->efer;
    c->guest_pat = c->host_pat = s->pat;
    c->guest_dr7 = DR7_FIXED_1;
    c->guest_rflags = FLAG_1;
    memcpy(c->guest_pdpte, s->pdpte, sizeof(c->guest_pdpte));
    c->link_pointer = VMX_NO_POINTER;
    c->pin_controls = vmx_required(CONTROLS_PIN);
    c->primary_controls = vmx_required(CONTROLS_PRIMARY) | PRIMARY_SECONDARY;
    c->exit_controls = vmx_required(CONTROLS_EXIT) | (is_64 ? EXIT_HOST_64 : 0);
    c->entry_controls = vmx_required(CONTROLS_ENTRY) | (is_64 ? ENTRY_GUEST_64 : 0);
}

#endif
