/* SPDX-License-Identifier: MIT */
/*
 * The generic path's operand access, by the compiled operand letters of the row. Loads come first
 * and find every fault: a written memory operand is probed before exec runs (SDM Vol 3A 6.5,
 * "faults").
 */
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "cpu/isa/fpu.h"

/* Bytes of an operand as memory or register; a far pointer's offset, one of a pair. */
static u32 operand_bytes(const struct vcpu *v, const struct insn *in, const struct row *row,
                         const struct operand *o)
{
    switch (o->size) {
    case SIZE_V:
    case SIZE_P:
    case SIZE_A: return in->width;
    case SIZE_Y:
        if (row->width == SIZE_Y)
            return in->width;
        return in->prefix & PREFIX_W ? 8 : 4;
    case SIZE_Z: return in->width == 2 ? 2 : 4;
    case SIZE_X: return in->vex_l ? 32 : 16;
    case SIZE_S: return mode64(v) ? 8 : 4;
    default: return o->size;
    }
}

static bool is_memory(const struct insn *in, const struct operand *o)
{
    switch (o->kind) {
    case OPERAND_GPR_RM:
    case OPERAND_VEC_RM:
    case OPERAND_MMX_RM: return (in->prefix & PREFIX_MEM) != 0;
    case OPERAND_MOFFS: return true;
    default: return false;
    }
}

/* The MMX registers are the x87 mantissas by physical number: SDM Vol 1 9.2.2. */
static u64 mmx_read(const struct vcpu *v, u8 reg)
{
    return v->state.fpu.st[reg & 7].mant;
}

static void mmx_write(struct vcpu *v, u8 reg, u64 value)
{
    v->state.fpu.st[reg & 7].mant = value;
    v->state.fpu.st[reg & 7].se = 0xffff;
}

/* ---- memory ---- */

/* The whole extent of a memory operand in bytes, for limit checks and probes. */
static u32 memory_extent(const struct insn *in, const struct row *row, const struct operand *o,
                         u32 bytes)
{
    switch (o->size) {
    case SIZE_P:
    case SIZE_S: return bytes + 2;
    case SIZE_A: return 2 * bytes;
    default: break;
    }
    if ((row->def.attr & WRITE_ALWAYS_16M) && o->write && in->width > 2)
        return 2;
    return bytes;
}

/* Far pointers are offset then selector, descriptor-table operands limit then base. */
static bool load_pair(struct vcpu *v, const struct insn *in, u32 bytes, bool word_first,
                      struct operands *x, u64 *value)
{
    const u64 at_word = word_first ? x->address : (x->address + bytes) & v->la_mask;
    const u64 at_value = word_first ? (x->address + 2) & v->la_mask : x->address;
    u64 word;

    if (!mem_load(v, at_value, bytes, segment_flag(in), value) ||
        !mem_load(v, at_word, 2, segment_flag(in), &word))
        return false;
    x->sel = (u16)word;
    return true;
}

/* BOUND: both limits, sign-extended, in vec; the lower one in val too. */
static bool load_bounds(struct vcpu *v, const struct insn *in, u32 bytes, struct operands *x,
                        unsigned i)
{
    u64 low, high;

    if (!mem_load(v, x->address, bytes, segment_flag(in), &low) ||
        !mem_load(v, (x->address + bytes) & v->la_mask, bytes, segment_flag(in), &high))
        return false;
    x->vec[i].q[0] = x->val[i] = sign_extend(low, bytes);
    x->vec[i].q[1] = sign_extend(high, bytes);
    return true;
}

static bool load_memory_value(struct vcpu *v, const struct insn *in, const struct operand *o,
                              u32 bytes, struct operands *x, unsigned i)
{
    const u32 flags = segment_flag(in);

    switch (o->size) {
    case SIZE_P: return load_pair(v, in, bytes, false, x, &x->val[i]);
    case SIZE_S: return load_pair(v, in, bytes, true, x, &x->val[i]);
    case SIZE_A: return load_bounds(v, in, bytes, x, i);
    default: break;
    }
    if (bytes <= 8) {
        if (!mem_load(v, x->address, bytes, flags, &x->val[i]))
            return false;
        if (o->kind == OPERAND_VEC_RM)
            x->vec[i] = (union vec){.q = {x->val[i]}};
        return true;
    }
    if (bytes == 16)
        x->vec[i].q[2] = x->vec[i].q[3] = 0;
    return mem_load_bytes(v, x->address, &x->vec[i], bytes, flags);
}

/*
 * Address, checks and value of the memory operand. A read-modify-write is probed for writing before
 * it is read, so that its page fault says "write" as on hardware.
 */
static bool load_memory(struct vcpu *v, const struct insn *in, const struct row *row, unsigned i,
                        struct operands *x)
{
    const struct operand *o = &row->operand[i];
    const u32 attr = row->def.attr;
    const u32 bytes = operand_bytes(v, in, row, o);
    const u32 extent = memory_extent(in, row, o, bytes);

    if (row->flags & ROW_VSIB)
        return true; /* as many addresses as elements: exec's business */
    x->offset = insn_offset(v, in);
    if (bytes == 0) {
        x->address = (x->offset + v->segbase[in->seg]) & v->la_mask;
        return true;
    }
    if (!seg_linear(v, (enum seg)in->seg, x->offset, extent,
                    (o->read ? ACCESS_READ : 0u) | (o->write ? ACCESS_WRITE : 0u), &x->address))
        return false;
    if ((attr & ALIGN16) && (x->address & (bytes - 1)) != 0)
        return RAISE_GP0(v);
    if (o->write && !(attr & MEM_DST_NOPROBE) &&
        !mem_probe_write(v, x->address, extent, segment_flag(in) | (o->read ? ACCESS_READ : 0u)))
        return false;
    if (o->read)
        return load_memory_value(v, in, o, bytes, x, i);
    x->val[i] = 0;
    return true;
}

static bool store_memory(struct vcpu *v, const struct insn *in, const struct row *row, unsigned i,
                         const struct operands *x)
{
    const struct operand *o = &row->operand[i];
    const u32 bytes = operand_bytes(v, in, row, o);
    const u32 flags = segment_flag(in);

    if (bytes == 0 || (row->def.attr & MEM_DST_NOPROBE))
        return true;
    if (o->size == SIZE_S)
        return mem_store(v, x->address, 2, flags, x->sel) &&
               mem_store(v, (x->address + 2) & v->la_mask, bytes, flags, x->val[i]);
    if (bytes > 8)
        return mem_store_bytes(v, x->address, &x->vec[i], bytes, flags);
    return mem_store(v, x->address, memory_extent(in, row, o, bytes), flags,
                     o->kind == OPERAND_VEC_RM ? x->vec[i].q[0] : x->val[i]);
}

/* ---- registers ---- */

static u8 vector_number(const struct vcpu *v, const struct insn *in, const struct operand *o)
{
    switch (o->kind) {
    case OPERAND_VEC_REG: return in->reg;
    case OPERAND_VEC_RM: return in->rm;
    case OPERAND_VEC_VVVV: return in->vvvv;
    default: return (u8)(in->imm >> 4) & (mode64(v) ? 15 : 7);
    }
}

static u64 control_read(const struct vcpu *v, u8 number)
{
    switch (number) {
    case 0: return v->state.cr0;
    case 2: return v->state.cr2;
    case 3: return v->state.cr3;
    case 4: return v->state.cr4;
    default: return 0; /* CR8 is in the local APIC: exec asks */
    }
}

static void load_vector(const struct vcpu *v, const struct insn *in, const struct operand *o,
                        union vec *to)
{
    if (o->read)
        *to = v->state.ymm[vector_number(v, in, o)];
    else
        memset(to, 0, sizeof(*to));
}

/* Registers and constants: cannot fail. */
static void load_other(const struct vcpu *v, const struct insn *in, const struct row *row,
                       unsigned i, struct operands *x)
{
    const struct operand *o = &row->operand[i];
    const u32 bytes = operand_bytes(v, in, row, o);
    u64 *val = &x->val[i];

    switch (o->kind) {
    case OPERAND_GPR_REG: *val = bytes == 0 ? 0 : reg_read(v, in->reg, bytes); break;
    case OPERAND_GPR_RM: *val = bytes == 0 ? 0 : reg_read(v, in->rm, bytes); break;
    case OPERAND_GPR_VVVV: *val = bytes == 0 ? 0 : reg_read(v, in->vvvv, bytes); break;
    case OPERAND_FIXED: *val = reg_read(v, o->number, bytes); break;
    case OPERAND_CONST: *val = o->number; break;
    case OPERAND_IMM:
        *val = in->imm;
        if (o->letter == 'A')
            x->sel = in->imm2;
        break;
    case OPERAND_IMM2: *val = in->imm2; break;
    case OPERAND_SEG: *val = v->state.seg[in->reg].selector; break;
    case OPERAND_CR: *val = control_read(v, in->reg); break;
    case OPERAND_DR: *val = v->state.dr[in->reg & 7]; break;
    case OPERAND_VEC_REG:
    case OPERAND_VEC_RM:
    case OPERAND_VEC_VVVV:
    case OPERAND_VEC_IMM: load_vector(v, in, o, &x->vec[i]); break;
    case OPERAND_MMX_REG: *val = mmx_read(v, in->reg); break;
    case OPERAND_MMX_RM: *val = mmx_read(v, in->rm); break;
    default: *val = 0; break;
    }
}

/* Legacy SSE keeps bits 255:128, VEX clears what it does not write: SDM Vol 1 14.1.1. */
static void store_vector(struct vcpu *v, const struct insn *in, const struct row *row,
                         const struct operand *o, const union vec *value)
{
    union vec *to = &v->state.ymm[vector_number(v, in, o)];

    to->q[0] = value->q[0];
    to->q[1] = value->q[1];
    if (!(row->def.attr & ZERO_UPPER))
        return;
    to->q[2] = in->vex_l ? value->q[2] : 0;
    to->q[3] = in->vex_l ? value->q[3] : 0;
}

static void store_register(struct vcpu *v, const struct insn *in, const struct row *row, unsigned i,
                           const struct operands *x)
{
    const struct operand *o = &row->operand[i];
    const u32 bytes = operand_bytes(v, in, row, o);

    switch (o->kind) {
    case OPERAND_GPR_REG: reg_write(v, in->reg, bytes, x->val[i]); break;
    case OPERAND_GPR_RM: reg_write(v, in->rm, bytes, x->val[i]); break;
    case OPERAND_GPR_VVVV: reg_write(v, in->vvvv, bytes, x->val[i]); break;
    case OPERAND_FIXED: reg_write(v, o->number, bytes, x->val[i]); break;
    case OPERAND_VEC_REG:
    case OPERAND_VEC_RM:
    case OPERAND_VEC_VVVV: store_vector(v, in, row, o, &x->vec[i]); break;
    case OPERAND_MMX_REG: mmx_write(v, in->reg, x->val[i]); break;
    case OPERAND_MMX_RM: mmx_write(v, in->rm, x->val[i]); break;
    default: break; /* exec writes S, C and D itself, after its checks */
    }
}

/* ---- x87 and MMX ---- */

/* Using an MMX register makes TOP 0 and all tags valid: SDM Vol 3A table 12-2. */
static void enter_mmx(struct vcpu *v, const struct insn *in, const struct row *row)
{
    for (unsigned i = 0; i < row->count; i++) {
        const struct operand *o = &row->operand[i];

        if (o->kind == OPERAND_MMX_REG || (o->kind == OPERAND_MMX_RM && !is_memory(in, o))) {
            v->state.fpu.fsw &= (u16) ~(7 << FSW_TOP_SHIFT);
            v->state.fpu.ftw = 0xff;
            return;
        }
    }
}

/* ---- all operands of a record ---- */

bool operands_load(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct row *row = row_of(in->def);

    if ((row->def.attr & (MMX | X87_WAIT)) && !x87_wait(v))
        return false;
    for (unsigned i = 0; i < row->count; i++) {
        if (!is_memory(in, &row->operand[i]))
            load_other(v, in, row, i, x);
        else if (!load_memory(v, in, row, i, x))
            return false;
    }
    if (row->count == 0 && (in->prefix & PREFIX_MEM)) {
        x->offset = insn_offset(v, in);
        x->address = (x->offset + v->segbase[in->seg]) & v->la_mask;
    }
    return true;
}

/* Memory first, because only it could fail; then registers from the last operand to the first, so
 * that the first wins if both are the same register (XADD, MULX). */
bool operands_store(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct row *row = row_of(in->def);

    for (unsigned i = 0; i < row->count; i++) {
        if (row->operand[i].write && is_memory(in, &row->operand[i]) &&
            !store_memory(v, in, row, i, x))
            return false;
    }
    for (unsigned i = row->count; i-- > 0;) {
        if (row->operand[i].write && !is_memory(in, &row->operand[i]))
            store_register(v, in, row, i, x);
    }
    if (row->def.attr & MMX)
        enter_mmx(v, in, row);
    return true;
}
