/* SPDX-License-Identifier: MIT */
/* Segment:offset to linear address with the checks of SDM Vol 3A 5.3 (limit) and 5.5, 5.6 (type).
 */
#include "cpu/mem.h"

static bool refuse(struct vcpu *v, enum seg seg)
{
    return raise_error(v, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
}

/* Is every byte offset..offset+size-1 inside the segment? */
static bool inside_limit(const struct segment *s, u64 offset, u32 size)
{
    const u64 last = offset + size - 1;
    const u64 top = (s->attr & ATTR_DB) != 0 ? 0xffffffff : 0xffff;

    if ((s->attr & (ATTR_CODE | ATTR_EXPAND_DOWN)) == ATTR_EXPAND_DOWN)
        return offset > s->limit && last <= top;
    return last <= s->limit;
}

/* Does the type allow the access? In real mode the type does not count; virtual-8086 has data
 * types. */
static bool type_allows(const struct vcpu *v, const struct segment *s, u32 access)
{
    if ((v->state.cr0 & 1) == 0)
        return true;
    if ((s->attr & (ATTR_UNUSABLE | ATTR_P)) != ATTR_P)
        return false;
    if ((access & ACCESS_WRITE) != 0)
        return (s->attr & (ATTR_CODE | ATTR_WRITABLE)) == ATTR_WRITABLE;
    /* data is always readable, code if its R bit (the place of W) is set */
    return (s->attr & (ATTR_CODE | ATTR_WRITABLE)) != ATTR_CODE;
}

bool seg_linear(struct vcpu *v, enum seg seg, u64 offset, u32 size, u32 access, u64 *la)
{
    const struct segment *s = &v->state.seg[seg];

    if (mode64(v)) {
        *la = v->segbase[seg] + offset;
        return true;
    }
    if (!type_allows(v, s, access) || !inside_limit(s, offset, size))
        return refuse(v, seg);
    *la = (s->base + offset) & 0xffffffff;
    return true;
}
