/* SPDX-License-Identifier: MIT */
/*
 * Layout of the XSAVE area: SDM Vol 1 13.4, 13.5. What CPUID leaf 0DH reports and what the XSAVE
 * family reads and writes come from this one table.
 */
#ifndef CPU_XSTATE_H
#define CPU_XSTATE_H

#include "base/bits.h"

/* State components: bit numbers in XCR0, XSTATE_BV and XCOMP_BV. */
enum xstate { XSTATE_X87 = 0, XSTATE_SSE = 1, XSTATE_AVX = 2, XSTATE_PKRU = 9 };

enum {
    XSTATE_LEGACY_BYTES = 512,
    XSTATE_HEADER_BYTES = 64,
    XSTATE_EXTENDED = XSTATE_LEGACY_BYTES + XSTATE_HEADER_BYTES, /* where component 2 begins */
    XSTATE_COMPONENTS = 10, /* numbers below this are known */
};

#define XSTATE_COMPACTED BIT(63) /* of XCOMP_BV */

struct xstate_component {
    u32 size; /* 0: there is none of this number */
    u32 offset; /* in the standard format */
};

/* Components 0 and 1 are the legacy region. PKRU stands where it does on processors with AVX-512.
 */
static inline struct xstate_component xstate_component(unsigned number)
{
    static const struct xstate_component table[XSTATE_COMPONENTS] = {
        [XSTATE_AVX] = {256, XSTATE_EXTENDED},
        [XSTATE_PKRU] = {8, 2688},
    };

    return number < XSTATE_COMPONENTS ? table[number] : (struct xstate_component){0, 0};
}

/* Offset of a component: standard format (xcomp_bv 0), or compacted with those of xcomp_bv. No
 * component needs alignment in the compacted format. SDM Vol 1 13.4.3. */
static inline u32 xstate_offset(unsigned number, u64 xcomp_bv)
{
    u32 offset = XSTATE_EXTENDED;

    if ((xcomp_bv & XSTATE_COMPACTED) == 0)
        return xstate_component(number).offset;
    for (unsigned i = 2; i < number; i++) {
        if ((xcomp_bv >> i & 1) != 0)
            offset += xstate_component(i).size;
    }
    return offset;
}

/* Bytes of an area with these components: CPUID.0DH.0:EBX (standard), CPUID.0DH.1:EBX (compacted).
 */
static inline u32 xstate_area_bytes(u64 components, bool compacted)
{
    u32 end = XSTATE_EXTENDED;

    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++) {
        if ((components >> i & 1) != 0)
            end = xstate_offset(i, compacted ? components | XSTATE_COMPACTED : 0) +
                  xstate_component(i).size;
    }
    return end;
}

struct vcpu;
/* XINUSE: which components are not in their initial configuration. SDM Vol 1 13.6; cpu/isa/state.c.
 */
u64 xstate_in_use(const struct vcpu *v);

#endif
