/* SPDX-License-Identifier: MIT */
/*
 * IN, OUT, INS, OUTS: SDM Vol 1 chapter 19, permission by IOPL and the TSS's bitmap (19.5.2). They
 * end their block, so that devices are entered with exact time. A repeated INS or OUTS does one
 * element and is its own successor until rCX is zero.
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"
#include "cpu/system.h"

enum { TSS_IO_MAP = 102 };

/* The bitmap's bits for the port's bytes must all be clear; two bytes are read, even for one bit.
 */
static bool allowed_by_bitmap(struct vcpu *v, u16 port, u32 size)
{
    const struct segment *tr = &v->state.seg[SEG_TR];
    u64 map;
    u64 bits;
    u64 at;

    if ((tr->attr & 8) == 0 || tr->limit < TSS_IO_MAP + 1)
        return RAISE_GP0(v);
    if (!mem_load(v, tr->base + TSS_IO_MAP, 2, ACCESS_IMPLICIT, &map))
        return false;
    at = map + port / 8;
    if (at + 1 > tr->limit)
        return RAISE_GP0(v);
    if (!mem_load(v, tr->base + at, 2, ACCESS_IMPLICIT, &bits))
        return false;
    if ((bits >> (port & 7) & (((u64)1 << size) - 1)) != 0)
        return RAISE_GP0(v);
    return true;
}

bool io_allowed(struct vcpu *v, u16 port, u32 size)
{
    const unsigned iopl = (unsigned)(v->state.rflags & FLAG_IOPL) >> 12;

    if ((v->mode & (MODE_PROT | MODE_V86)) == 0 || (protected_mode(v) && v->cpl <= iopl))
        return true;
    return allowed_by_bitmap(v, port, size);
}

static u64 port_in(struct vcpu *v, u16 port, u32 size)
{
    u64 value = width_mask(size);

    vcpu_commit_time(v);
    v->counters.io++;
    if (v->wires.port_read != NULL)
        value &= v->wires.port_read(v->wires.ctx, port, size);
    if (v->watching)
        event_io_access(v, port, size);
    return value;
}

static void port_out(struct vcpu *v, u16 port, u32 size, u64 value)
{
    vcpu_commit_time(v);
    v->counters.io++;
    if (v->wires.port_write != NULL)
        v->wires.port_write(v->wires.ctx, port, size, (u32)(value & width_mask(size)));
    if (v->watching)
        event_io_access(v, port, size);
}

/* Ports are at most 32 bits wide, whatever REX.W says. */
static u32 port_width(const struct insn *in)
{
    return in->width == 8 ? 4 : in->width;
}

static bool do_in(struct vcpu *v, u16 port, u32 size, u64 *value)
{
    if (!io_allowed(v, port, size))
        return false;
    *value = port_in(v, port, size);
    return true;
}

static bool do_out(struct vcpu *v, u16 port, u32 size)
{
    if (!io_allowed(v, port, size))
        return false;
    port_out(v, port, size, v->state.reg[REG_RAX]);
    return true;
}

static bool exec_in_imm(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return do_in(v, (u16)in->imm, port_width(in), &x->val[0]);
}

static bool exec_in_dx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return do_in(v, (u16)v->state.reg[REG_RDX], port_width(in), &x->val[0]);
}

static bool exec_out_imm(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return do_out(v, (u16)in->imm, port_width(in));
}

/* The row's first operand is DX, so the byte form's width must be said. */
static bool exec_out_dx_byte(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return do_out(v, (u16)v->state.reg[REG_RDX], 1);
}

static bool exec_out_dx(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return do_out(v, (u16)v->state.reg[REG_RDX], port_width(in));
}

/* ---- INS, OUTS ---- */

/* One element of a string instruction; the rest follows as the next instruction. */
typedef bool (*element)(struct vcpu *v, const struct insn *in, u32 size);

static bool repeat(struct vcpu *v, const struct insn *in, u32 size, element one)
{
    const bool rep = (in->prefix & (PREFIX_REP | PREFIX_REPNE)) != 0;
    const u64 count = reg_read(v, REG_RCX, in->addr);

    if (rep && count == 0)
        return true;
    if (!one(v, in, size))
        return false;
    if (rep) {
        reg_write(v, REG_RCX, in->addr, count - 1);
        if (count != 1)
            v->next_rip = v->insn_rip;
    }
    return true;
}

static void advance(struct vcpu *v, const struct insn *in, u8 reg, u32 size)
{
    const u64 by = (v->state.rflags & FLAG_DF) != 0 ? 0 - (u64)size : size;

    reg_write(v, reg, in->addr, v->state.reg[reg] + by);
}

static bool one_ins(struct vcpu *v, const struct insn *in, u32 size)
{
    const u16 port = (u16)v->state.reg[REG_RDX];
    u64 la;

    if (!io_allowed(v, port, size) ||
        !seg_linear(v, SEG_ES, reg_read(v, REG_RDI, in->addr), size, ACCESS_WRITE, &la) ||
        !mem_probe_write(v, la, size, 0) || !mem_store(v, la, size, 0, port_in(v, port, size)))
        return false;
    advance(v, in, REG_RDI, size);
    return true;
}

static bool one_outs(struct vcpu *v, const struct insn *in, u32 size)
{
    const u16 port = (u16)v->state.reg[REG_RDX];
    u64 value;
    u64 la;

    if (!io_allowed(v, port, size) ||
        !seg_linear(v, (enum seg)in->seg, reg_read(v, REG_RSI, in->addr), size, ACCESS_READ, &la) ||
        !mem_load(v, la, size, 0, &value))
        return false;
    port_out(v, port, size, value);
    advance(v, in, REG_RSI, size);
    return true;
}

static bool exec_ins(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return repeat(v, in, port_width(in), one_ins);
}

static bool exec_outs(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return repeat(v, in, port_width(in), one_outs);
}

/* Ports by DX where IOPL allows them: without the generic path's operands. */
static ALWAYS_INLINE bool port_is_open(const struct vcpu *v)
{
    const unsigned iopl = (unsigned)(v->state.rflags & FLAG_IOPL) >> 12;

    return protected_mode(v) && v->cpl <= iopl && !v->watching;
}

STAMP_FN(run_in_dx)
{
    const u32 size = port_width(in);

    if (!port_is_open(v))
        GENERIC(v, in);
    reg_write(v, REG_RAX, size, port_in(v, (u16)v->state.reg[REG_RDX], size));
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
    return block_end(v, in);
}

STAMP_FN(run_out_dx)
{
    if (!port_is_open(v))
        GENERIC(v, in);
    port_out(v, (u16)v->state.reg[REG_RDX], port_width(in), v->state.reg[REG_RAX]);
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
    return block_end(v, in);
}

STAMP_FN(run_out_dx_byte)
{
    if (!port_is_open(v))
        GENERIC(v, in);
    port_out(v, (u16)v->state.reg[REG_RDX], 1, v->state.reg[REG_RAX]);
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
    return block_end(v, in);
}

static insn_run stamp_in_dx(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_in_dx;
}

static insn_run stamp_out_dx(const struct insn *in, u32 mode)
{
    (void)mode;
    return in->def->exec == exec_out_dx ? run_out_dx : run_out_dx_byte;
}

/* clang-format off */
#define PORT (ENDS_BLOCK | IO)
#define PORTS (ENDS_BLOCK | IO | STRING | BRANCH)

const struct insn_def isa_io[] = {
    {"in", "e4", "=AL,Ib", exec_in_imm, PORT, .intercept = INTERCEPT_IO},
    {"in", "e5", "=rAX,Ib", exec_in_imm, PORT, .intercept = INTERCEPT_IO},
    {"in", "ec", "=AL,DX", exec_in_dx, PORT, .stamp = stamp_in_dx, .intercept = INTERCEPT_IO},
    {"in", "ed", "=rAX,DX", exec_in_dx, PORT, .stamp = stamp_in_dx, .intercept = INTERCEPT_IO},
    {"out", "e6", "Ib,AL", exec_out_imm, PORT, .intercept = INTERCEPT_IO},
    {"out", "e7", "Ib,rAX", exec_out_imm, PORT, .intercept = INTERCEPT_IO},
    {"out", "ee", "DX,AL", exec_out_dx_byte, PORT, .stamp = stamp_out_dx, .intercept = INTERCEPT_IO},
    {"out", "ef", "DX,rAX", exec_out_dx, PORT, .stamp = stamp_out_dx, .intercept = INTERCEPT_IO},
    {"ins", "6c", "Yb", exec_ins, PORTS, .intercept = INTERCEPT_IO},
    {"ins", "6d", "Yz", exec_ins, PORTS, .intercept = INTERCEPT_IO},
    {"outs", "6e", "Xb", exec_outs, PORTS, .intercept = INTERCEPT_IO},
    {"outs", "6f", "Xz", exec_outs, PORTS, .intercept = INTERCEPT_IO},
    {0},
};
/* clang-format on */
