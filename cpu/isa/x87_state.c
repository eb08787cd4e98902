/* SPDX-License-Identifier: MIT */
/*
 * x87 state and exception reporting: SDM Vol 1 8.1, 8.7 (native #MF, and the FERR# way of CR0.NE =
 * 0). FERR# is driven when the erring instruction ends; the processor does not freeze before the
 * next one.
 */
#include "cpu/control.h"
#include "cpu/isa/x87.h"

static bool native_errors(const struct vcpu *v)
{
    return (v->state.cr0 & CR0_NE) != 0;
}

static void drive_ferr(struct vcpu *v, bool level)
{
    v->state.ferr = level;
    v->attention = true;
    if (v->wires.ferr != NULL)
        v->wires.ferr(v->wires.ctx, level);
}

bool x87_report_pending(struct vcpu *v)
{
    if (native_errors(v))
        return raise_fault(v, VEC_MF);
    if (v->state.ferr)
        return true; /* the board knows, and IGNNE# lets it go on */
    if (!v->alone)
        return raise_redo(v);
    drive_ferr(v, true);
    return true;
}

bool x87_may_clear(struct vcpu *v)
{
    return !v->state.ferr || v->alone || raise_redo(v);
}

void x87_update_summary(struct vcpu *v)
{
    struct fpu_state *fpu = &v->state.fpu;

    fpu->fsw &= (u16) ~(FSW_ES | FSW_B);
    if (fpu->fsw & ~fpu->fcw & FP_ALL)
        fpu->fsw |= FSW_ES | FSW_B;
    else if (v->state.ferr)
        drive_ferr(v, false);
}

bool x87_can_commit(struct vcpu *v, struct x87_outcome outcome)
{
    const bool unmasked = (outcome.flags & ~(u32)v->state.fpu.fcw & FP_ALL) != 0;

    return likely(!unmasked) || native_errors(v) || v->alone || raise_redo(v);
}

bool x87_commit(struct vcpu *v, const struct insn *in, const struct operands *x,
                struct x87_outcome outcome)
{
    struct fpu_state *fpu = &v->state.fpu;

    if (!x87_can_commit(v, outcome))
        return false;
    fpu->fip = v->insn_rip;
    fpu->fcs = v->state.seg[SEG_CS].selector;
    fpu->fop = in->imm2;
    if (in->prefix & PREFIX_MEM) {
        fpu->fdp = x->offset;
        fpu->fds = v->state.seg[in->seg].selector;
    }
    fpu->fsw = (u16)((fpu->fsw & ~FSW_C1) | outcome.flags);
    if (unlikely((outcome.flags & ~(u32)fpu->fcw & FP_ALL) != 0)) {
        fpu->fsw |= FSW_ES | FSW_B;
        if (!native_errors(v))
            drive_ferr(v, true);
    }
    return true;
}

bool x87_load(struct vcpu *v, const struct insn *in, const struct operands *x, u32 bytes,
              struct f80 *raw)
{
    const u32 flags = in->seg == SEG_SS ? ACCESS_STACK : 0;
    u64 la;

    *raw = (struct f80){0};
    if (!seg_linear(v, in->seg, x->offset, bytes, ACCESS_READ, &la))
        return false;
    if (bytes <= 8)
        return mem_load(v, la, bytes, flags, &raw->mant);
    return mem_load_bytes(v, la, raw, 10, flags);
}

bool x87_store(struct vcpu *v, const struct insn *in, const struct operands *x, u32 bytes,
               struct f80 raw)
{
    const u32 flags = in->seg == SEG_SS ? ACCESS_STACK : 0;
    u64 la;

    if (!seg_linear(v, in->seg, x->offset, bytes, ACCESS_WRITE, &la))
        return false;
    if (bytes <= 8)
        return mem_store(v, la, bytes, flags, raw.mant & width_mask(bytes));
    return mem_store_bytes(v, la, &raw, 10, flags);
}

bool x87_probe(struct vcpu *v, const struct insn *in, const struct operands *x, u32 bytes)
{
    const u32 flags = in->seg == SEG_SS ? ACCESS_STACK : 0;
    u64 la;

    return seg_linear(v, in->seg, x->offset, bytes, ACCESS_WRITE, &la) &&
           mem_probe_write(v, la, bytes, flags);
}

/* 0 valid, 1 zero, 2 special, 3 empty. */
static u32 tag_of(struct f80 a)
{
    const u32 exponent = a.se & 0x7fff;

    if (exponent == 0)
        return a.mant ? 2 : 1;
    return exponent == 0x7fff || !(a.mant >> 63) ? 2 : 0;
}

u16 x87_tag_word(const struct fpu_state *fpu)
{
    u32 word = 0;

    for (u32 r = 0; r < 8; r++)
        word |= (fpu->ftw >> r & 1 ? tag_of(fpu->st[r]) : 3) << (2 * r);
    return (u16)word;
}

u8 x87_abridge(u16 tag_word)
{
    u32 abridged = 0;

    for (u32 r = 0; r < 8; r++)
        abridged |= (u32)((tag_word >> (2 * r) & 3) != 3) << r;
    return (u8)abridged;
}

void x87_init(struct fpu_state *fpu)
{
    fpu->fcw = 0x37f;
    fpu->fsw = 0;
    fpu->ftw = 0;
    fpu->fop = 0;
    fpu->fcs = 0;
    fpu->fds = 0;
    fpu->fip = 0;
    fpu->fdp = 0;
}
