/* SPDX-License-Identifier: MIT */
/* The VMCB's fields as a table: for explanations and the documentation. */
#ifndef CPU_SVM_FIELDS_H
#define CPU_SVM_FIELDS_H

#include "base/types.h"

struct vmcb_field {
    u16 offset; /* in the VMCB, as in APM Vol 2 appendix B */
    u16 member; /* the same, where the structs of vmcb.h have it */
    u16 size; /* bytes */
    const char *name;
    const char *ref;
};

extern const struct vmcb_field vmcb_fields[];
extern const u32 vmcb_fields_count;

/* The field at an offset, or NULL. */
const struct vmcb_field *vmcb_field_find(u16 offset);

#endif
