/* SPDX-License-Identifier: MIT */
/* Nested paging: the second stage of the MMU, and the exits of what it stops. APM Vol 2 15.25. */
#include "cpu/svm/internal.h"
#include "mmu/nested.h"

void svm_refresh(struct vcpu *v)
{
    const struct vmcb_control *c = &v->state.svm.control;
    struct mmu_second_stage second;

    v->guest_deadline = ~(u64)0;
    if (!svm_nested_paging(v)) {
        mmu_set_second_stage(v->mmu, NULL);
        return;
    }
    second = second_stage_npt(mode_host_role(v), c->ncr3, (c->np_control & NP_GMET) != 0);
    mmu_set_second_stage(v->mmu, &second);
}

bool svm_raise_nested(struct vcpu *v)
{
    const struct mmu_nested_fault *fault = &v->mmu->nested;
    struct guest_exit *x = svm_exit_begin(v, SVM_EXIT_NPF);

    x->qualification = npf_error_code(fault);
    x->physical = fault->gpa.v;
    x->bytes = (fault->access & ACCESS_FETCH) == 0 && (v->vectoring.info & INFO_VALID) == 0;
    return raise_exit(v);
}
