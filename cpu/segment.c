/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and the loads of single segment registers, with their checks. SDM Vol
 * 3A 3.4, 5.2-5.9.
 */
#include "cpu/segment.h"

#include "cpu/control.h"
#include "cpu/mem.h"
#include "cpu/transfer.h"

void descriptor_unpack(const struct descriptor *d, u16 selector, struct segment *out)
{
    u32 limit = (u32)((d->low & 0xffff) | (d->low >> 32 & 0xf0000));

    if ((d->low & BIT(55)) != 0)
        limit = limit << 12 | 0xfff;
    *out = (struct segment){
        .base = (d->low >> 16 & 0xffffff) | (d->low >> 32 & 0xff000000) | d->high << 32,
        .limit = limit,
        .attr = (u32)(d->low >> 40 & 0xf0ff),
        .selector = selector,
    };
}

u64 descriptor_address(const struct vcpu *v, u16 selector)
{
    const u64 base =
        (selector & SELECTOR_TI) != 0 ? v->state.seg[SEG_LDTR].base : v->state.gdtr.base;

    return base + (selector & 0xfff8u);
}

bool descriptor_read(struct vcpu *v, u16 selector, bool wide, enum vector vector,
                     struct descriptor *out)
{
    const struct segment *ldt = &v->state.seg[SEG_LDTR];
    const u32 last = (selector & 0xfff8u) + (wide ? 15 : 7);
    u32 limit = v->state.gdtr.limit;

    if ((selector & SELECTOR_TI) != 0) {
        if ((ldt->attr & ATTR_UNUSABLE) != 0 || (ldt->attr & ATTR_P) == 0)
            return raise_selector(v, vector, selector);
        limit = ldt->limit;
    }
    if (last > limit)
        return raise_selector(v, vector, selector);
    out->high = 0;
    if (wide)
        return system_load(v, descriptor_address(v, selector), out, 16);
    return system_load(v, descriptor_address(v, selector), &out->low, 8);
}

bool descriptor_touch(struct vcpu *v, u16 selector, const struct descriptor *d)
{
    if ((d->low & BIT(40)) != 0)
        return true;
    return mem_store(v, descriptor_address(v, selector) + 5, 1, ACCESS_IMPLICIT,
                     (d->low >> 40 & 0xff) | ATTR_ACCESSED);
}

struct segment segment_null(u16 selector, unsigned dpl)
{
    return (struct segment){.selector = selector, .attr = ATTR_UNUSABLE | dpl << ATTR_DPL_SHIFT};
}

/*
 * In real mode only selector and base change, of CS too: limits and types are those that protected
 * mode left ("big real mode"; SDM Vol 3A 10.9.2). A register that a null selector had made unusable
 * becomes usable again. Virtual-8086 mode sets everything: SDM Vol 3A 21.2.
 */
void segment_load_real(struct vcpu *v, enum seg seg, u16 selector)
{
    enum { DATA = ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED };
    const bool virtual_8086 = (v->state.rflags & FLAG_VM) != 0;
    struct segment *s = &v->state.seg[seg];

    if (virtual_8086 || (s->attr & ATTR_UNUSABLE) != 0) {
        s->limit = 0xffff;
        s->attr = DATA | (virtual_8086 ? ATTR_DPL : 0);
    }
    s->selector = selector;
    s->base = (u64)selector << 4;
}

static bool load_ss(struct vcpu *v, u16 selector)
{
    struct segment ss;

    if (selector_is_null(selector)) {
        if (!mode64(v) || v->cpl == 3 || (selector & SELECTOR_RPL) != v->cpl)
            return RAISE_GP0(v);
        v->state.seg[SEG_SS] = segment_null(selector, v->cpl);
        return true;
    }
    if (!stack_segment_check(v, selector, v->cpl, VEC_GP, &ss))
        return false;
    v->state.seg[SEG_SS] = ss;
    return true;
}

static bool load_data(struct vcpu *v, enum seg seg, u16 selector)
{
    const unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor d;
    struct segment s;

    if (selector_is_null(selector)) {
        v->state.seg[seg] = segment_null(selector, 0);
        return true;
    }
    if (!descriptor_read(v, selector, false, VEC_GP, &d))
        return false;
    descriptor_unpack(&d, selector, &s);
    if ((s.attr & ATTR_S) == 0 || (s.attr & (ATTR_CODE | ATTR_WRITABLE)) == ATTR_CODE)
        return raise_selector(v, VEC_GP, selector);
    if (!attr_is_conforming_code(s.attr) && (rpl > attr_dpl(s.attr) || v->cpl > attr_dpl(s.attr)))
        return raise_selector(v, VEC_GP, selector);
    if ((s.attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    if (!descriptor_touch(v, selector, &d))
        return false;
    s.attr |= ATTR_ACCESSED;
    v->state.seg[seg] = s;
    return true;
}

bool segment_load(struct vcpu *v, enum seg seg, u16 selector)
{
    if (!protected_mode(v)) {
        segment_load_real(v, seg, selector);
    } else if (seg == SEG_SS) {
        if (!load_ss(v, selector))
            return false;
    } else if (!load_data(v, seg, selector)) {
        return false;
    }
    mode_update_segments(v);
    return true;
}

/* Read an LDT or TSS descriptor for LLDT and LTR: 16 bytes in long mode, with a zero type above. */
static bool read_system(struct vcpu *v, u16 selector, struct segment *out)
{
    const bool wide = long_mode(v);
    struct descriptor d;

    if ((selector & SELECTOR_TI) != 0)
        return raise_selector(v, VEC_GP, selector);
    if (!descriptor_read(v, selector, wide, VEC_GP, &d))
        return false;
    if (wide && (d.high >> 40 & 0x1f) != 0)
        return raise_selector(v, VEC_GP, selector);
    d.high &= 0xffffffff;
    descriptor_unpack(&d, selector, out);
    if ((out->attr & ATTR_S) != 0)
        return raise_selector(v, VEC_GP, selector);
    return true;
}

bool lldt(struct vcpu *v, u16 selector)
{
    struct segment s;

    if (selector_is_null(selector)) {
        v->state.seg[SEG_LDTR] = segment_null(selector, 0);
        return true;
    }
    if (!read_system(v, selector, &s))
        return false;
    if ((s.attr & ATTR_TYPE) != TYPE_LDT)
        return raise_selector(v, VEC_GP, selector);
    if ((s.attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    if (!canonical_storable(v, s.base))
        return raise_selector(v, VEC_GP, selector);
    v->state.seg[SEG_LDTR] = s;
    v->segbase[SEG_LDTR] = s.base;
    return true;
}

bool ltr(struct vcpu *v, u16 selector)
{
    struct segment s;
    u32 type;

    if (selector_is_null(selector))
        return RAISE_GP0(v);
    if (!read_system(v, selector, &s))
        return false;
    type = s.attr & ATTR_TYPE;
    if (type != TYPE_TSS && (type != TYPE_TSS16 || long_mode(v)))
        return raise_selector(v, VEC_GP, selector);
    if ((s.attr & ATTR_P) == 0)
        return raise_selector(v, VEC_NP, selector);
    if (!canonical_storable(v, s.base))
        return raise_selector(v, VEC_GP, selector);
    s.attr |= TYPE_BUSY;
    if (!mem_store(v, descriptor_address(v, selector) + 5, 1, ACCESS_IMPLICIT, s.attr & 0xff))
        return false;
    v->state.seg[SEG_TR] = s;
    v->segbase[SEG_TR] = s.base;
    return true;
}

/* ---- LAR, LSL, VERR, VERW: SDM Vol 2 ---- */

/* The descriptor if the selector names one inside its table; *ok false otherwise. */
static bool inspect(struct vcpu *v, u16 selector, struct segment *out, u32 *raw, bool *ok)
{
    struct descriptor d;

    *ok = false;
    if (selector_is_null(selector))
        return true;
    if (!descriptor_read(v, selector, false, VEC_GP, &d)) {
        /* a selector beyond its table is an answer, a page fault on the table is not */
        if (v->event.kind != EVENT_EXCEPTION || v->event.vector != VEC_GP)
            return false;
        v->event.kind = EVENT_NONE;
        return true;
    }
    descriptor_unpack(&d, selector, out);
    *raw = (u32)(d.low >> 32);
    *ok = true;
    return true;
}

/* Data and non-conforming code must be within reach of both CPL and RPL. */
static bool reachable(const struct vcpu *v, u16 selector, u32 attr)
{
    return attr_is_conforming_code(attr) ||
           (attr_dpl(attr) >= v->cpl && attr_dpl(attr) >= (selector & SELECTOR_RPL));
}

bool descriptor_rights(struct vcpu *v, u16 selector, u32 *value, bool *ok)
{
    static const u16 legacy = 1 << TYPE_TSS16 | 1 << TYPE_LDT | 1 << TYPE_TSS16_BUSY |
                              1 << TYPE_CALL16 | 1 << TYPE_TASK_GATE | 1 << TYPE_TSS |
                              1 << TYPE_TSS_BUSY | 1 << TYPE_CALL;
    static const u16 wide = 1 << TYPE_LDT | 1 << TYPE_TSS | 1 << TYPE_TSS_BUSY | 1 << TYPE_CALL;
    struct segment s;
    u32 raw = 0;

    if (!inspect(v, selector, &s, &raw, ok))
        return false;
    if (*ok && (s.attr & ATTR_S) == 0)
        *ok = ((long_mode(v) ? wide : legacy) >> (s.attr & ATTR_TYPE) & 1) != 0;
    if (*ok)
        *ok = reachable(v, selector, s.attr);
    if (*ok)
        *value = raw & 0x00ffff00;
    return true;
}

bool descriptor_limit(struct vcpu *v, u16 selector, u32 *value, bool *ok)
{
    static const u16 legacy =
        1 << TYPE_TSS16 | 1 << TYPE_LDT | 1 << TYPE_TSS16_BUSY | 1 << TYPE_TSS | 1 << TYPE_TSS_BUSY;
    static const u16 wide = 1 << TYPE_LDT | 1 << TYPE_TSS | 1 << TYPE_TSS_BUSY;
    struct segment s;
    u32 raw = 0;

    if (!inspect(v, selector, &s, &raw, ok))
        return false;
    if (*ok && (s.attr & ATTR_S) == 0)
        *ok = ((long_mode(v) ? wide : legacy) >> (s.attr & ATTR_TYPE) & 1) != 0;
    if (*ok)
        *ok = reachable(v, selector, s.attr);
    if (*ok)
        *value = s.limit;
    return true;
}

bool descriptor_verify(struct vcpu *v, u16 selector, bool write, bool *ok)
{
    struct segment s;
    u32 raw = 0;

    if (!inspect(v, selector, &s, &raw, ok))
        return false;
    if (*ok && write)
        *ok = attr_is_writable_data(s.attr);
    else if (*ok)
        *ok = (s.attr & ATTR_S) != 0 && (s.attr & (ATTR_CODE | ATTR_WRITABLE)) != ATTR_CODE;
    if (*ok)
        *ok = reachable(v, selector, s.attr);
    return true;
}
