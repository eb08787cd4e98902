/* SPDX-License-Identifier: MIT */
/*
 * The decoder: bytes to a record. SDM Vol 2A chapter 2 (formats, prefixes, ModRM, SIB, VEX). What
 * is legal follows from the row; what this mode or privilege forbids becomes a record whose handler
 * raises the fault, so that execution pays nothing for the checks. EVEX and XOP do not exist here.
 */
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "cpu/virt.h"

enum { INSN_BYTES_MAX = 15, NO_OVERRIDE = 0xff };

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct decoder {
    const struct vcpu *v;
    struct insn *in;
    const u8 *bytes;
    u32 available;
    u32 at;
    bool ran_out; /* a byte beyond `available` was asked for */
    bool code64;
    bool osize, asize; /* 66, 67 seen */
    bool vex;
    bool bad_vex; /* VEX after a prefix it does not go with */
    u8 rex; /* REX_* bits, from REX or VEX */
    u8 pp; /* ACCEPT_NP, 66, F3, F2 */
    u8 map, opcode, modrm;
};

/* ---- handlers for what may not be executed ---- */

enum { CR0_EM = 1 << 2, CR4_OSFXSR = 1 << 9, CR4_OSXSAVE = 1 << 18, XCR0_SSE_AVX = 6 };

static const struct insn *run_undefined(struct vcpu *v, const struct insn *in)
{
    (void)RAISE_UD(v);
    return leave_event(v, in);
}

static const struct insn *run_not_available(struct vcpu *v, const struct insn *in)
{
    (void)raise_fault(v, VEC_NM);
    return leave_event(v, in);
}

static const struct insn *run_protection(struct vcpu *v, const struct insn *in)
{
    (void)RAISE_GP0(v);
    return leave_event(v, in);
}

/* MOV DR exits before its privilege is checked: SDM Vol 3C 26.1.3. */
static const struct insn *run_intercepted_protection(struct vcpu *v, const struct insn *in)
{
    v->insn_rip = insn_rip(v, in) & v->la_mask;
    v->next_rip = insn_next_rip(v, in) & v->la_mask;
    return vmx_intercept(v, in) ? run_protection(v, in) : leave_event(v, in);
}

/* #UD comes before #NM; which of the two is looked up when it happens, because a block's key has
 * only one bit for both. SDM Vol 3A 2.5, tables 13-1 and 14-15. */
static const struct insn *run_no_mmx(struct vcpu *v, const struct insn *in)
{
    return v->state.cr0 & CR0_EM ? run_undefined(v, in) : run_not_available(v, in);
}

static const struct insn *run_no_sse(struct vcpu *v, const struct insn *in)
{
    const bool off = (v->state.cr0 & CR0_EM) != 0 || (v->state.cr4 & CR4_OSFXSR) == 0;

    return off ? run_undefined(v, in) : run_not_available(v, in);
}

static const struct insn *run_no_avx(struct vcpu *v, const struct insn *in)
{
    const bool off =
        (v->state.cr4 & CR4_OSXSAVE) == 0 || (v->state.xcr0 & XCR0_SSE_AVX) != XCR0_SSE_AVX;

    return off ? run_undefined(v, in) : run_not_available(v, in);
}

static bool exec_undefined(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return RAISE_UD(v);
}

static const struct row bad_row = {
    .def = {.name = "(bad)",
            .encoding = "",
            .operands = "",
            .exec = exec_undefined,
            .attr = ENDS_BLOCK},
};

/* ---- bytes ---- */

static u8 peek(struct decoder *d)
{
    if (d->at < d->available)
        return d->bytes[d->at];
    d->ran_out = true;
    return 0;
}

static u8 next_byte(struct decoder *d)
{
    const u8 byte = peek(d);

    d->at++;
    return byte;
}

/* A little-endian field of 1, 2, 4 or 8 bytes. */
static u64 next_field(struct decoder *d, unsigned bytes)
{
    u64 value = 0;

    if (d->at + bytes > d->available)
        d->ran_out = true;
    else
        value = load_le(d->bytes + d->at, bytes);
    d->at += bytes;
    return value;
}

/* ---- prefixes and opcode ---- */

static void override_segment(struct decoder *d, u8 seg)
{
    /* SDM Vol 2A 2.1.1: in 64-bit mode CS, DS, ES and SS overrides are ignored. */
    if (d->code64 && seg < SEG_FS)
        return;
    d->in->seg = seg;
    d->in->prefix |= PREFIX_SEG;
}

/* Returns false at the first byte that is no legacy prefix. */
static bool legacy_prefix(struct decoder *d, u8 byte)
{
    switch (byte) {
    case 0x26: override_segment(d, SEG_ES); break;
    case 0x2e: override_segment(d, SEG_CS); break;
    case 0x36: override_segment(d, SEG_SS); break;
    case 0x3e: override_segment(d, SEG_DS); break;
    case 0x64: override_segment(d, SEG_FS); break;
    case 0x65: override_segment(d, SEG_GS); break;
    case 0x66: d->osize = true; break;
    case 0x67: d->asize = true; break;
    case 0xf0: d->in->prefix |= PREFIX_LOCK; break;
    case 0xf2:
    case 0xf3:
        d->in->prefix &= (u8) ~(PREFIX_REP | PREFIX_REPNE);
        d->in->prefix |= byte == 0xf3 ? PREFIX_REP : PREFIX_REPNE;
        break;
    default: return false;
    }
    return true;
}

static void decode_prefixes(struct decoder *d)
{
    bool rex = false;

    for (; !d->ran_out; d->at++) {
        const u8 byte = peek(d);

        if (d->code64 && (byte & 0xf0) == 0x40) {
            d->rex = byte & 0xf;
            rex = true;
        } else if (legacy_prefix(d, byte)) {
            d->rex = 0; /* REX counts only right before the opcode */
            rex = false;
        } else {
            break;
        }
    }
    if (rex)
        d->in->prefix |= PREFIX_REX;
    if (d->in->prefix & (PREFIX_REP | PREFIX_REPNE))
        d->pp = d->in->prefix & PREFIX_REP ? ACCEPT_F3 : ACCEPT_F2;
    else
        d->pp = d->osize ? ACCEPT_66 : ACCEPT_NP;
}

/* Outside 64-bit mode C4 and C5 are LES and LDS, unless the next byte would make them register
 * forms; in real and virtual-8086 mode VEX does not exist. SDM Vol 2A 2.3.5. */
static bool vex_follows(struct decoder *d, u8 byte)
{
    if (byte != 0xc4 && byte != 0xc5)
        return false;
    if (d->code64)
        return true;
    return (d->v->mode & MODE_PROT) != 0 && (peek(d) & 0xc0) == 0xc0;
}

static void decode_vex(struct decoder *d, bool three)
{
    static const u8 pp[4] = {ACCEPT_NP, ACCEPT_66, ACCEPT_F3, ACCEPT_F2};
    const u8 taken = PREFIX_LOCK | PREFIX_REP | PREFIX_REPNE | PREFIX_REX;
    const u8 first = next_byte(d);
    const u8 last = three ? next_byte(d) : first;
    const u8 map = three ? first & 0x1f : 1;

    d->vex = true;
    d->bad_vex = (d->in->prefix & taken) != 0 || d->osize || map == 0 || map > 3;
    d->map = (u8)(MAP_VEX + (d->bad_vex ? 0 : map - 1));
    d->in->prefix |= PREFIX_REX;
    d->rex = (u8)((first & 0x80 ? 0 : REX_R) | (three && (last & 0x80) ? REX_W : 0));
    if (three)
        d->rex |= (u8)((first & 0x40 ? 0 : REX_X) | (first & 0x20 ? 0 : REX_B));
    d->in->vvvv = (u8)(~last >> 3 & 0xf);
    d->in->vex_l = last >> 2 & 1;
    d->pp = pp[last & 3];
    d->opcode = next_byte(d);
    if (!d->code64)
        d->rex &= REX_W;
}

static void decode_opcode(struct decoder *d)
{
    const u8 byte = next_byte(d);

    if (vex_follows(d, byte)) {
        decode_vex(d, byte == 0xc4);
        return;
    }
    d->opcode = byte;
    if (byte != 0x0f)
        return;
    d->map = MAP_0F;
    d->opcode = next_byte(d);
    if (d->opcode == 0x38 || d->opcode == 0x3a) {
        d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
        d->opcode = next_byte(d);
    }
}

/* ---- the row ---- */

static u16 facts(const struct decoder *d, bool modrm)
{
    const u16 mod = modrm && d->modrm < 0xc0 ? ACCEPT_MEM : ACCEPT_REG;

    return (u16)(d->pp | (d->rex & REX_W ? ACCEPT_W1 : ACCEPT_W0) |
                 (d->in->vex_l ? ACCEPT_L1 : ACCEPT_L0) | (d->code64 ? ACCEPT_64 : ACCEPT_LEGACY) |
                 mod | (d->rex & REX_B ? ACCEPT_B1 : ACCEPT_B0));
}

/* The row of this instruction, or NULL. Reads the ModRM byte if the opcode has one. */
static const struct row *find_row(struct decoder *d)
{
    const struct isa *isa = isa_get();
    u32 count;
    bool modrm;
    const u16 *candidates = isa_candidates(isa, (enum opcode_map)d->map, d->opcode, &count, &modrm);
    u16 fact;

    if (d->bad_vex || count == 0)
        return NULL;
    if (modrm)
        d->modrm = next_byte(d);
    fact = facts(d, modrm);
    for (u32 i = 0; i < count; i++) {
        const struct row *row = isa_row(isa, candidates[i]);
        u16 this_fact = fact;

        if ((row->flags & ROW_W_SIZE) && !d->code64)
            this_fact = (u16)((fact & ~ACCEPT_W) | ACCEPT_W0);
        /* Without LZCNT, F3 0F BD is BSR: a row the CPU model lacks is no row. */
        if ((this_fact & ~row->accept) == 0 &&
            ((d->modrm ^ row->modrm_value) & row->modrm_mask) == 0 &&
            (row->def.feature == F_ALWAYS || has_feature(d->v, row->def.feature)))
            return row;
    }
    return NULL;
}

/* ---- sizes ---- */

static bool is_near_branch(u32 attr)
{
    return (attr & (BRANCH | FORCE64)) == (BRANCH | FORCE64);
}

/* In 64-bit mode, AMD has near branches of 16 bits and no far pointers of 64: APM Vol 3 "CALL",
 * "JMP", "LDS, LES, LFS, LGS, LSS". */
static u8 operand_size(const struct decoder *d, const struct row *row)
{
    const u32 attr = row->def.attr;
    const bool small = d->osize && (row->flags & ROW_NO_OSIZE) == 0;
    const bool wide = (d->rex & REX_W) != 0;

    if (!d->code64) {
        if (attr & NO66)
            return 4;
        return ((d->v->mode & MODE_CODE32) != 0) != small ? 4 : 2;
    }
    if (d->v->amd && wide && (attr & FAR_POINTER))
        return 4;
    if (d->v->amd && small && !wide && is_near_branch(attr))
        return 2;
    if ((attr & FORCE64) || wide)
        return 8;
    if (small && !(attr & NO66))
        return 2;
    return attr & DEF64 ? 8 : 4;
}

static u8 insn_width(const struct decoder *d, const struct row *row)
{
    switch (row->width) {
    case SIZE_V: return operand_size(d, row);
    case SIZE_Y:
        return d->code64 && ((d->rex & REX_W) || (row->def.attr & (FORCE64 | DEF64))) ? 8 : 4;
    case SIZE_X: return d->in->vex_l ? 32 : 16;
    default: return row->width;
    }
}

static u8 address_size(const struct decoder *d)
{
    if (d->code64)
        return d->asize ? 4 : 8;
    return ((d->v->mode & MODE_CODE32) != 0) != d->asize ? 4 : 2;
}

/* ---- ModRM addressing ---- */

static void default_segment(struct decoder *d, u8 base)
{
    if (!(d->in->prefix & PREFIX_SEG) && (base == REG_RSP || base == REG_RBP))
        d->in->seg = SEG_SS;
}

/* SDM Vol 2A table 2-1. */
static void decode_memory16(struct decoder *d)
{
    static const u8 base[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP,
                               REG_RSI, REG_RDI, REG_RBP, REG_RBX};
    static const u8 index[4] = {REG_RSI, REG_RDI, REG_RSI, REG_RDI};
    const u8 mod = d->modrm >> 6, rm = d->modrm & 7;
    struct insn *in = d->in;

    if (mod == 0 && rm == 6) {
        in->disp = (i64)next_field(d, 2);
        return;
    }
    in->base = base[rm];
    if (rm < 4)
        in->index = index[rm];
    default_segment(d, in->base);
    if (mod != 0)
        in->disp = (i64)sign_extend(next_field(d, mod), mod);
}

/* SDM Vol 2A table 2-3; with vsib, 2.3.12. */
static void decode_sib(struct decoder *d, const struct row *row)
{
    const u8 sib = next_byte(d);
    const u8 index = (u8)((sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0));
    struct insn *in = d->in;

    in->scale = sib >> 6;
    if (index != REG_RSP || (row->flags & ROW_VSIB))
        in->index = index;
    else
        in->scale = 0;
    if ((sib & 7) == 5 && d->modrm < 0x40)
        in->disp = (i64)sign_extend(next_field(d, 4), 4);
    else
        in->base = (u8)((sib & 7) | (d->rex & REX_B ? 8 : 0));
}

/* SDM Vol 2A tables 2-2 and 2-5 to 2-7. */
static void decode_memory(struct decoder *d, const struct row *row)
{
    const u8 mod = d->modrm >> 6, rm = d->modrm & 7;
    struct insn *in = d->in;

    if (rm == 4) {
        decode_sib(d, row);
    } else if (mod == 0 && rm == 5) {
        in->disp = (i64)sign_extend(next_field(d, 4), 4);
        if (d->code64)
            in->base = REG_RIP; /* the instruction's length is added when it is known */
        return;
    } else {
        in->base = (u8)(rm | (d->rex & REX_B ? 8 : 0));
    }
    default_segment(d, in->base);
    if (mod == 1)
        in->disp = (i64)sign_extend(next_field(d, 1), 1);
    else if (mod == 2)
        in->disp = (i64)sign_extend(next_field(d, 4), 4);
}

static void decode_modrm(struct decoder *d, const struct row *row)
{
    struct insn *in = d->in;

    in->reg = (u8)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0));
    in->rm = d->modrm & 7;
    if (d->modrm >= 0xc0 || (row->flags & ROW_ANY_MOD)) {
        if (!(row->flags & ROW_STI) && d->rex & REX_B)
            in->rm |= 8;
        return;
    }
    in->prefix |= PREFIX_MEM;
    if (in->addr == 2)
        decode_memory16(d);
    else
        decode_memory(d, row);
}

/* ---- operands ---- */

static void decode_immediate(struct decoder *d, u8 kind, unsigned which)
{
    const unsigned z = d->in->width == 2 ? 2 : 4;
    u64 value = 0;

    switch (kind) {
    case IMM_B: value = next_byte(d); break;
    case IMM_S:
    case IMM_JB: value = sign_extend(next_byte(d), 1); break;
    case IMM_W: value = next_field(d, 2); break;
    case IMM_Z:
    case IMM_JZ: value = sign_extend(next_field(d, z), z); break;
    case IMM_V: value = next_field(d, d->in->width); break;
    case IMM_FAR:
        value = next_field(d, z);
        d->in->imm2 = (u16)next_field(d, 2);
        break;
    default: return;
    }
    if (which == 0)
        d->in->imm = value;
    else
        d->in->imm2 = (u16)value;
}

/* Without REX, byte registers 4..7 are AH, CH, DH, BH. */
static u8 byte_register(const struct decoder *d, const struct row *row, u8 number)
{
    if ((d->in->prefix & PREFIX_REX) || row->width == SIZE_X || number < 4)
        return number;
    return (u8)(REG_HIGH_BYTE | (number - 4));
}

/* Fields that mean something else by the operand's letter. False: there is no such register. */
static bool decode_operand(struct decoder *d, const struct row *row, const struct operand *o)
{
    struct insn *in = d->in;

    switch (o->kind) {
    case OPERAND_GPR_REG:
        if (o->size == 1)
            in->reg = byte_register(d, row, in->reg);
        return true;
    case OPERAND_GPR_RM:
        if (o->size == 1 && !(in->prefix & PREFIX_MEM))
            in->rm = byte_register(d, row, in->rm);
        return true;
    case OPERAND_MOFFS:
        in->disp = (i64)next_field(d, in->addr);
        in->prefix |= PREFIX_MEM;
        return true;
    case OPERAND_SEG:
        in->reg &= 7; /* REX.R is ignored */
        return in->reg <= SEG_GS && !(o->write && in->reg == SEG_CS);
    case OPERAND_CR:
        if ((in->prefix & PREFIX_LOCK) && in->reg == 0)
            in->reg = 8; /* APM Vol 3 "MOV CRn": how CR8 is reached outside 64-bit mode */
        return in->reg == 0 || (in->reg >= 2 && in->reg <= 4) || in->reg == 8;
    case OPERAND_DR: return in->reg < 8;
    case OPERAND_MMX_REG: in->reg &= 7; return true;
    case OPERAND_MMX_RM: in->rm &= 7; return true;
    default: return true;
    }
}

/* LOCK needs a row that allows it and a memory destination; MOV CR0 with LOCK is AMD's way to CR8.
 */
static bool lock_allowed(const struct decoder *d, const struct row *row)
{
    if (!(d->in->prefix & PREFIX_LOCK))
        return true;
    if ((row->flags & ROW_ANY_MOD) && d->in->reg == 8 && has_feature(d->v, F_CR8_LEGACY))
        return true;
    return (row->def.attr & LOCKABLE) != 0 && (d->in->prefix & PREFIX_MEM) != 0 &&
           (row->operand[0].kind == OPERAND_GPR_RM || row->count == 0);
}

/* Everything behind the opcode. False: #UD. */
static bool decode_body(struct decoder *d, const struct row *row)
{
    struct insn *in = d->in;
    bool legal = true;

    if (row->flags & ROW_LIG)
        in->vex_l = 0;
    in->width = insn_width(d, row);
    if (row->flags & ROW_MODRM)
        decode_modrm(d, row);
    if (row->flags & ROW_OPREG)
        in->rm = (u8)((d->opcode & 7) | (d->rex & REX_B ? 8 : 0));
    for (unsigned i = 0; i < row->count; i++)
        legal = decode_operand(d, row, &row->operand[i]) && legal;
    decode_immediate(d, row->imm[0], 0);
    decode_immediate(d, row->imm[1], 1);
    if (row->def.attr & X87) /* FOP: the opcode without its five fixed bits, SDM Vol 1 8.1.9 */
        in->imm2 = (u16)((d->opcode & 7) << 8 | d->modrm);
    if (d->vex && !(row->flags & ROW_VVVV) && in->vvvv != 0)
        legal = false;
    if (!d->code64)
        in->vvvv &= 7;
    if ((row->flags & ROW_VSIB) && ((d->modrm & 7) != 4 || in->addr == 2))
        legal = false;
    return legal && lock_allowed(d, row);
}

/* What the mode or privilege forbids, most urgent first (SDM Vol 3A 6.9); NULL: nothing. */
static insn_run refusal(const struct row *row, u32 mode)
{
    const u32 attr = row->def.attr;

    if ((attr & PROT) && !(mode & MODE_PROT))
        return run_undefined;
    if ((attr & AVX) && (mode & MODE_NO_AVX))
        return run_no_avx;
    if ((attr & SSE) && (mode & MODE_NO_SSE))
        return run_no_sse;
    if ((attr & MMX) && (mode & MODE_NO_MMX))
        return run_no_mmx;
    if ((attr & X87) && (mode & MODE_NO_X87))
        return run_not_available;
    if ((attr & CPL0) && !(mode & MODE_CPL0))
        return run_protection;
    return NULL;
}

static enum decode finish_bad(struct decoder *d, insn_run run, enum decode result)
{
    d->in->def = &bad_row.def;
    d->in->run = run;
    d->in->len = (u8)(d->at < INSN_BYTES_MAX ? d->at : INSN_BYTES_MAX);
    return result;
}

enum decode decode(struct vcpu *v, const u8 *bytes, u32 available, struct insn *in)
{
    struct decoder d = {
        .v = v,
        .in = in,
        .bytes = bytes,
        .available = available < INSN_BYTES_MAX ? available : INSN_BYTES_MAX,
        .code64 = mode64(v),
    };
    const struct row *row = NULL;
    bool legal = false;

    memset(in, 0, sizeof(*in));
    in->base = REG_NONE;
    in->index = REG_NONE;
    in->seg = SEG_DS;
    decode_prefixes(&d);
    decode_opcode(&d);
    in->addr = address_size(&d);
    if (d.osize)
        in->prefix |= PREFIX_66;
    if (d.code64 && (d.rex & REX_W))
        in->prefix |= PREFIX_W;
    if (!d.ran_out)
        row = find_row(&d);
    if (row != NULL && !d.ran_out)
        legal = decode_body(&d, row);
    if (d.ran_out) {
        if (d.available < INSN_BYTES_MAX)
            return DECODE_TRUNCATED;
        return finish_bad(&d, run_protection, DECODE_TOO_LONG);
    }
    if (!legal)
        return finish_bad(&d, run_undefined, DECODE_UD);

    in->len = (u8)d.at;
    in->def = &row->def;
    if (in->base == REG_RIP)
        in->disp += in->len;
    in->run = refusal(row, v->mode);
    if (in->run == run_protection && row->def.intercept == INTERCEPT_MOV_DR && in_vmx_guest(v))
        in->run = run_intercepted_protection;
    if (in->run != NULL)
        return DECODE_UD;
    if (row->def.intercept != INTERCEPT_NONE && (v->mode & MODE_GUEST) != 0 &&
        virt_has_intercept(v, row->def.intercept))
        in->run = run_intercepted;
    else
        in->run = insn_handler(in, v->mode);
    return DECODE_OK;
}

static bool is_bare(const struct insn *in)
{
    return row_of(in->def)->count == 0 && (in->prefix & PREFIX_MEM) == 0 &&
           (in->def->attr & (MMX | X87_WAIT | STRING)) == 0;
}

insn_run insn_handler(const struct insn *in, u32 mode)
{
    const insn_run stamped = in->def->stamp != NULL ? in->def->stamp(in, mode) : NULL;

    if (stamped != NULL)
        return stamped;
    return is_bare(in) ? run_bare : run_generic;
}
