/* SPDX-License-Identifier: MIT */
/* What the files of cpu/svm/ share. */
#ifndef CPU_SVM_INTERNAL_H
#define CPU_SVM_INTERNAL_H

#include "cpu/svm/fields.h"
#include "cpu/virt.h"

/* ---- checks.c: illegal guest state, APM Vol 2 15.5.1 ---- */

/* One rule. It holds, or VMRUN ends with #VMEXIT(INVALID); then the user is told this. The control
 * area is in the state already. */
struct svm_rule {
    const char *name;
    const char *words; /* what must be so */
    bool (*holds)(const struct vcpu *v, const struct vmcb_save *save);
    u16 field; /* offset in the VMCB of what it is about */
    const char *ref;
};

extern const struct svm_rule svm_rules[];
extern const u32 svm_rules_count;

/* The first rule that is broken, or NULL. */
const struct svm_rule *svm_check(const struct vcpu *v, const struct vmcb_save *save);

/* ---- entry.c ---- */
/* A register to its place in the VMCB, and back, with a base that is canonical. */
void svm_segment_save(struct vmcb_segment *to, const struct segment *from);
void svm_segment_load(struct vcpu *v, enum seg seg, const struct vmcb_segment *from);
/* The form that the processor holds of an address that is not canonical. */
u64 svm_canonical(const struct vcpu *v, u64 address);

/* ---- event.c ---- */
/* What is pending in the guest that VMRUN enters. */
void svm_events_enter(struct vcpu *v);

/* ---- exit.c ---- */
/* VMRUN found illegal state: no guest has run. */
void svm_exit_invalid(struct vcpu *v);

/* In vectoring.info, and in EVENTINJ: APM Vol 2 15.20. */
enum svm_event_type {
    SVM_TYPE_INTR = 0,
    SVM_TYPE_NMI = 2,
    SVM_TYPE_EXCEPTION = 3,
    SVM_TYPE_SOFT = 4
};

static inline u32 svm_event_type(u32 info)
{
    return (info & INFO_TYPE) >> 8;
}

#endif
