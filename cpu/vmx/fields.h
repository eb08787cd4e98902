/* SPDX-License-Identifier: MIT */
/* The table of VMCS fields: encoding, name, width, place in struct vmcs. SDM Vol 3D appendix B. */
#ifndef CPU_VMX_FIELDS_H
#define CPU_VMX_FIELDS_H

#include "cpu/vcpu.h"

enum field_width { FIELD_16, FIELD_64, FIELD_32, FIELD_NATURAL }; /* bits 14:13 of an encoding */
enum field_type { FIELD_CONTROL, FIELD_READ_ONLY, FIELD_GUEST, FIELD_HOST }; /* bits 11:10 */

struct vmx_field {
    u16 encoding; /* of the full access */
    u16 offset; /* in struct vmcs */
    const char *name; /* as in the manual */
    u32 needs; /* a secondary control that must be offered, or 0 */
    u32 needs_pin; /* a pin-based control that must be offered, or 0 */
};

extern const struct vmx_field vmx_fields[];
extern const u32 vmx_fields_count;

static inline enum field_width vmx_field_width(u32 encoding)
{
    return (enum field_width)(encoding >> 13 & 3);
}

static inline enum field_type vmx_field_type(u32 encoding)
{
    return (enum field_type)(encoding >> 10 & 3);
}

/* The field that VMREAD and VMWRITE name with this operand (bit 0: the high half of a 64-bit field)
 * and this CPU has, or NULL. */
const struct vmx_field *vmx_field_find(const struct vcpu *v, u64 encoding);

/* Called with the controls that are offered: prepares vmx_field_find(). */
void vmx_fields_configure(struct vcpu *v);

/* Read or write through an operand of VMREAD or VMWRITE; base: of struct vmcs, here or in a region.
 */
u64 vmx_field_read(const u8 *base, const struct vmx_field *field, u64 encoding);
void vmx_field_write(u8 *base, const struct vmx_field *field, u64 encoding, u64 value);
u32 vmx_field_bytes(const struct vmx_field *field);

/* IA32_VMX_VMCS_ENUM: the highest index in use. */
u64 vmx_field_enum(const struct vcpu *v);

#endif
