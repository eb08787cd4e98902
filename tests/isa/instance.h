/* SPDX-License-Identifier: MIT */
/*
 * Random instructions made from a row, with register and memory contents that make them
 * interesting: numbers near the edges, addresses inside the data area, over page boundaries and
 * over its end.
 */
#ifndef TESTS_ISA_INSTANCE_H
#define TESTS_ISA_INSTANCE_H

#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "tests/isa/native.h"

/* ---- random values ---- */

static u64 random_state = 0x9e3779b97f4a7c15;

static u64 rnd(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static bool chance(unsigned percent)
{
    return rnd() >> 20 & 0xffff ? (rnd() >> 11) % 100 < percent : false;
}

static unsigned below(unsigned n)
{
    return (unsigned)((rnd() >> 17) % n);
}

/* Integers near the edges of every width. */
static u64 random_integer(void)
{
    switch (below(8)) {
    case 0: return below(4);
    case 1: return (u64)0 - below(4);
    case 2: return BIT(below(64));
    case 3: return BIT(below(64)) - 1;
    case 4: return rnd() & 0xff;
    default: return rnd();
    }
}

static u32 random_float(void)
{
    static const u32 special[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                  0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 1,
                                  0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000,
                                  0x3f000000, 0x5f000000, 0x33800000};

    switch (below(4)) {
    case 0: return special[below(ARRAY_SIZE(special))];
    case 1: return (u32)rnd();
    default: return (u32)(rnd() & 0x807fffff) | (u32)(100 + below(60)) << 23;
    }
}

static u64 random_double(void)
{
    static const u64 special[] = {0,
                                  0x8000000000000000,
                                  0x3ff0000000000000,
                                  0xbff0000000000000,
                                  0x7ff0000000000000,
                                  0xfff0000000000000,
                                  0x7ff8000000000000,
                                  0x7ff0000000000001,
                                  0xfff8000000012345,
                                  1,
                                  0x000fffffffffffff,
                                  0x0010000000000000,
                                  0x7fefffffffffffff,
                                  0x41e0000000000000,
                                  0xc1e0000000000000,
                                  0x43e0000000000000,
                                  0x3fe0000000000000,
                                  0x47f0000000000000,
                                  0x36a0000000000000};

    switch (below(4)) {
    case 0: return special[below(ARRAY_SIZE(special))];
    case 1: return rnd();
    default: return (rnd() & 0x800fffffffffffff) | (u64)(960 + below(130)) << 52;
    }
}

/* 32 bytes that are interesting as integers, floats or doubles. */
static void random_vector(u8 *to)
{
    const unsigned kind = below(3);

    for (unsigned i = 0; i < 32; i += 8) {
        if (kind == 0)
            store_le(to + i, random_integer(), 8);
        else if (kind == 1)
            store_le(to + i, random_double(), 8);
        else
            store_le(to + i, random_float() | (u64)random_float() << 32, 8);
    }
}

static void random_x87(u64 *mant, u16 *se)
{
    const u16 sign = (u16)(rnd() & 0x8000);

    switch (below(10)) {
    case 0: *mant = 0, *se = sign; break;
    case 1: *mant = BIT(63), *se = sign | 0x7fff; break;
    case 2: *mant = rnd(), *se = sign | 0x7fff; break;
    case 3: *mant = rnd() >> 1, *se = sign; break;
    case 4: *mant = BIT(63), *se = sign | 0x3fff; break;
    case 5: *mant = rnd(), *se = (u16)rnd(); break;
    case 6: *mant = BIT(63) | rnd() << 40, *se = (u16)(sign | (0x3fff + below(64))); break;
    default: *mant = BIT(63) | rnd(), *se = (u16)(sign | (0x3fff - 70 + below(140))); break;
    }
}

/* ---- an instance: one instruction and the state before it ---- */

struct instance {
    const struct row *row;
    bool wide; /* 64-bit code, else 32-bit */
    u8 bytes[16];
    unsigned length;
    struct native_context state;
    u8 data[NATIVE_DATA_SIZE];
};

static struct instance instance;

static u64 data_pointer(void)
{
    u64 at = NATIVE_DATA + 0x800 + below(NATIVE_DATA_SIZE - 0x1000);

    if (chance(3))
        return NATIVE_DATA + NATIVE_DATA_SIZE - below(40); /* over the end */
    if (chance(10))
        at = NATIVE_DATA + 0x2000 - below(40); /* over a page boundary */
    return chance(60) ? at & ~(u64)31 : at;
}

static void random_state_before(void)
{
    struct native_context *s = &instance.state;

    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = random_integer() & (instance.wide ? ~(u64)0 : 0xffffffff);
        random_vector(s->ymm[i]);
    }
    for (unsigned i = 0; i < NATIVE_DATA_SIZE; i += 32)
        random_vector(instance.data + i);
    if (chance(50))
        s->gpr[REG_RDX] = below(3);
    s->gpr[REG_RSP] = NATIVE_DATA + 0x1000 + 8 * below(0x400);
    s->rflags = (rnd() & (FLAGS_ARITH | FLAG_DF)) | FLAG_1 | FLAG_IF;
    for (unsigned i = 0; i < 8; i++)
        random_x87(&s->fx.st[i].mant, &s->fx.st[i].se);
    s->fx.fcw = (u16)(0x40 | (rnd() & 0xf00) | (chance(85) ? 0x3f : rnd() & 0x3f));
    s->fx.fsw = (u16)((rnd() & 0x7f00) | (chance(50) ? 0 : rnd() & s->fx.fcw & 0x3f));
    s->fx.ftw = chance(50) ? 0xff : (u8)rnd();
    s->fx.mxcsr = 0x1f80;
    if (chance(30))
        s->fx.mxcsr = (u32)(rnd() & 0xe07f) | (chance(70) ? 0x1f80 : rnd() & 0x1f80);
}

static void put(unsigned byte)
{
    instance.bytes[instance.length++] = (u8)byte;
}

static void put_bytes(u64 value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put((unsigned)(value >> (8 * i)) & 0xff);
}

/* The encoding's choices. */
struct shape {
    bool memory, w, r, x, b, small_address; /* 67: 32-bit addresses, in 32-bit code 16-bit ones */
    unsigned reg, rm, base, index, scale, mod;
    i32 disp;
    bool has_base, has_index, rip;
};

static bool instance_is(const char *name)
{
    return strcmp(instance.row->def.name, name) == 0;
}

static void choose_address(struct shape *t)
{
    const unsigned form = instance.row->flags & ROW_VSIB ? 2 : below(10);
    const unsigned registers = instance.wide ? 16 : 8;

    t->base = below(registers);
    t->index = below(registers);
    t->scale = below(4);
    t->has_base = form != 0 && form != 1;
    t->has_index = form >= 1 && form < 5 && t->index != REG_RSP;
    t->rip = form == 0 && instance.wide && chance(50);
    t->disp = chance(50) ? (i8)rnd() : (i32)rnd() >> below(20);
    t->mod = !t->has_base ? 0 : t->disp == (i8)t->disp ? 1 : 2;
    if (t->has_base && (t->base & 7) != REG_RBP && chance(30)) {
        t->mod = 0;
        t->disp = 0;
    }
    if (instance.row->flags & ROW_VSIB) {
        t->has_index = true;
        t->index = below(registers);
    } else if (t->has_base && t->has_index && t->base == t->index) {
        t->has_index = false;
    }
    t->small_address = chance(10) && !t->rip && !(instance.row->flags & ROW_VSIB);
    t->b = t->has_base && t->base >= 8;
    t->x = t->has_index && t->index >= 8;
}

/* Small offsets in all lanes of the index register of a gather. */
static void set_vector_index(unsigned reg)
{
    u8 *to = instance.state.ymm[reg];
    const bool quad = (instance.row->opcode & 1) != 0;

    for (unsigned i = 0; i < 32; i += 4)
        store_le(to + i, quad && (i & 4) ? 0 : below(128), 4);
}

/* Registers that make the shape's address the one wanted; returns the displacement. */
static void aim(struct shape *t, u64 target)
{
    u64 *gpr = instance.state.gpr;
    u64 offset = 0;

    if (instance.row->flags & ROW_VSIB)
        set_vector_index(t->index);
    else if (t->has_index)
        offset = gpr[t->index] << t->scale;
    if (t->has_base)
        gpr[t->base] = target - offset - (u64)(i64)t->disp;
    else if (t->has_index && !(instance.row->flags & ROW_VSIB))
        gpr[t->index] = (target - (u64)(i64)t->disp) >> t->scale;
    else
        t->disp = (i32)target;
    if (!instance.wide)
        gpr[t->base] &= 0xffffffff;
    else if (t->small_address && t->has_base && chance(50))
        gpr[t->base] ^= rnd() << 32;
}

/* 16-bit addresses: nothing is mapped there, but page faults and LEA tell the address. */
static void put_modrm16(const struct shape *t, unsigned reg)
{
    const unsigned mod = below(3);

    put(mod << 6 | (reg & 0x38) | t->rm);
    if (mod == 0 && t->rm == 6)
        put_bytes(rnd(), 2);
    else
        put_bytes(rnd(), mod);
}

static void put_modrm(const struct shape *t)
{
    const unsigned reg = instance.row->modrm_mask & 0x38 ? instance.row->modrm_value : t->reg << 3;

    if (instance.row->modrm_mask >= 0xf8) {
        put(instance.row->modrm_value | (t->rm & ~instance.row->modrm_mask & 7u));
        return;
    }
    if (!t->memory) {
        put(0xc0 | (reg & 0x38) | t->rm);
        return;
    }
    if (t->small_address && !instance.wide) {
        put_modrm16(t, reg);
        return;
    }
    if (t->rip) {
        put((reg & 0x38) | 5);
        put_bytes((u32)t->disp, 4); /* patched when the length is known */
        return;
    }
    if (t->has_base && !t->has_index && (t->base & 7) != REG_RSP) {
        put(t->mod << 6 | (reg & 0x38) | (t->base & 7));
    } else {
        put(t->mod << 6 | (reg & 0x38) | 4);
        put(t->scale << 6 | (t->has_index ? t->index & 7 : 4) << 3 |
            (t->has_base ? t->base & 7 : 5));
    }
    if (!t->has_base || t->mod == 2)
        put_bytes((u32)t->disp, 4);
    else if (t->mod == 1)
        put((u8)t->disp);
}

static void put_vex(const struct shape *t)
{
    const struct row *row = instance.row;
    const unsigned pp = row->accept & ACCEPT_66   ? 1
                        : row->accept & ACCEPT_F3 ? 2
                        : row->accept & ACCEPT_F2 ? 3
                                                  : 0;
    const bool l =
        (row->accept & ACCEPT_L) == ACCEPT_L ? chance(50) : (row->accept & ACCEPT_L1) != 0;
    const unsigned vvvv = row->flags & ROW_VVVV ? below(instance.wide ? 16 : 8) : 0;
    const unsigned low = (~vvvv & 15) << 3 | (unsigned)l << 2 | pp;

    if (row->map == MAP_VEX && !t->w && !t->x && !t->b && chance(50)) {
        put(0xc5);
        put((t->r ? 0 : 0x80) | low);
        return;
    }
    put(0xc4);
    put((t->r ? 0 : 0x80) | (t->x ? 0 : 0x40) | (t->b ? 0 : 0x20) | (row->map - MAP_VEX + 1u));
    put((unsigned)t->w << 7 | low);
}

static void put_legacy(const struct shape *t)
{
    const struct row *row = instance.row;
    const u16 prefix = row->accept & ACCEPT_PREFIX;
    const unsigned rex = (t->w ? 8u : 0) | (t->r ? 4u : 0) | (t->x ? 2u : 0) | (t->b ? 1u : 0);

    if (prefix == ACCEPT_66 || (!(row->flags & ROW_NO_OSIZE) && chance(25)))
        put(0x66);
    if (prefix == ACCEPT_F3 || (prefix == ACCEPT_PREFIX && (row->def.attr & STRING) && chance(40)))
        put(0xf3);
    else if (prefix == ACCEPT_F2 ||
             (prefix == ACCEPT_PREFIX && (row->def.attr & STRING) && chance(40)))
        put(0xf2);
    if (instance.wide && (rex != 0 || chance(20)))
        put(0x40 | rex);
    if (row->map != MAP_ONE)
        put(0x0f);
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        put(row->map == MAP_0F38 ? 0x38 : 0x3a);
}

/* Registers that some instructions use without saying so. */
static void aim_implicit(void)
{
    u64 *gpr = instance.state.gpr;
    const bool string = (instance.row->def.attr & STRING) != 0;

    if (string || chance(50)) {
        gpr[REG_RSI] = data_pointer();
        gpr[REG_RDI] = data_pointer();
    }
    if (string)
        gpr[REG_RCX] = below(20);
    if (instance_is("xlat"))
        gpr[REG_RBX] = NATIVE_DATA + 0x1000 + below(0x1000);
    if (strncmp(instance.row->def.name, "maskmov", 7) == 0 || instance_is("vmaskmovdqu"))
        gpr[REG_RDI] = data_pointer();
    if (instance_is("leave") || instance_is("enter"))
        gpr[REG_RBP] = NATIVE_DATA + 0x1000 + 8 * below(0x200);
    for (unsigned i = 0; i < instance.row->count; i++) {
        /* moffs: 64-bit, or 32-bit with 67 */
        if (instance.row->operand[i].kind == OPERAND_MOFFS)
            put_bytes(data_pointer(), instance.wide ? 8 : 4);
    }
}

static void choose_shape(struct shape *t)
{
    const struct row *row = instance.row;
    const bool modrm = (row->flags & ROW_MODRM) != 0;

    memset(t, 0, sizeof(*t));
    t->memory = modrm && (row->accept & ACCEPT_MEM) && (!(row->accept & ACCEPT_REG) || chance(50));
    t->w = (row->accept & ACCEPT_W) == ACCEPT_W ? chance(40) : (row->accept & ACCEPT_W1) != 0;
    if (!instance.wide && (!(row->flags & ROW_VEX) || (row->flags & ROW_W_SIZE)))
        t->w = false;
    t->reg = below(8);
    t->rm = below(8);
    t->r = instance.wide && chance(40);
    t->x = instance.wide && !t->memory && chance(20);
    t->b = instance.wide && (row->accept & ACCEPT_B1) && chance(40);
    if (t->memory)
        choose_address(t);
}

/* A random instruction of this row and a state in which it is interesting. */
static void make_instance(struct vcpu *v, const struct row *row, bool wide)
{
    struct shape t;
    u64 target = data_pointer();
    unsigned modrm_at;
    struct insn in;

    instance.row = row;
    instance.wide = wide;
    instance.length = 0;
    random_state_before();
    choose_shape(&t);
    if (t.memory)
        aim(&t, target);
    if (t.small_address)
        put(0x67);
    if ((row->def.attr & LOCKABLE) && t.memory && chance(20))
        put(0xf0);
    if (row->flags & ROW_VEX)
        put_vex(&t);
    else
        put_legacy(&t);
    put(row->opcode + (row->flags & ROW_OPREG ? below(8) : 0));
    modrm_at = instance.length;
    if (row->flags & ROW_MODRM)
        put_modrm(&t);
    aim_implicit();
    for (unsigned i = instance.length; i < sizeof(instance.bytes); i++)
        instance.bytes[i] = (u8)(chance(30) ? below(9) : rnd());
    (void)decode(v, instance.bytes, 15, &in);
    instance.length = in.len;
    if (t.memory && t.rip)
        store_le(instance.bytes + modrm_at + 1, target - NATIVE_CODE - in.len, 4);
}

#endif
