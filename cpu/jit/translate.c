/* SPDX-License-Identifier: MIT */
/*
 * From records to machine code: mostly the same instruction again, with other registers and with
 * [RAX] for its memory operand. What the row does not say (which flags are undefined, and what this
 * emulator makes of them) is in the kinds below. See internal.h.
 */
#include "cpu/jit/internal.h"
#include "cpu/stamp.h"

enum kind {
    KIND_NONE, /* not translated */
    KIND_MOVE, /* touches no flag, or only reads them */
    KIND_LEA,
    KIND_NOP,
    KIND_EXTEND, /* CBW, CWD and their wider forms */
    KIND_PUSH,
    KIND_POP,
    KIND_LEAVE,
    KIND_DIV, /* changes no flag; faults are the interpreter's */
    KIND_EXACT, /* all flags defined, all written */
    KIND_LOGIC, /* AF is cleared, as the host does (checked at start) */
    KIND_KEEP_CF, /* INC, DEC */
    KIND_SHIFT, /* AF is cleared, OF follows the rule for 1 */
    KIND_ROTATE, /* CF and OF only; OF follows the rule for 1 */
    KIND_IMUL, /* SF, ZF, PF of the result, AF is cleared */
    KIND_JCC,
    KIND_JMP,
    KIND_CALL,
    KIND_RET,
};

static const struct {
    const char *name;
    u8 kind;
} kinds[] = {
    {"mov", KIND_MOVE},       {"movzx", KIND_MOVE},     {"movsx", KIND_MOVE},
    {"movsxd", KIND_MOVE},    {"not", KIND_MOVE},       {"bswap", KIND_MOVE},
    {"lea", KIND_LEA},        {"nop", KIND_NOP},        {"cbw", KIND_EXTEND},
    {"cwd", KIND_EXTEND},     {"push", KIND_PUSH},      {"pop", KIND_POP},
    {"leave", KIND_LEAVE},    {"add", KIND_EXACT},      {"adc", KIND_EXACT},
    {"sub", KIND_EXACT},      {"sbb", KIND_EXACT},      {"cmp", KIND_EXACT},
    {"neg", KIND_EXACT},      {"and", KIND_LOGIC},      {"or", KIND_LOGIC},
    {"xor", KIND_LOGIC},      {"test", KIND_LOGIC},     {"inc", KIND_KEEP_CF},
    {"dec", KIND_KEEP_CF},    {"shl", KIND_SHIFT},      {"shr", KIND_SHIFT},
    {"sar", KIND_SHIFT},      {"rol", KIND_ROTATE},     {"ror", KIND_ROTATE},
    {"imul", KIND_IMUL},      {"jmp", KIND_JMP},        {"call", KIND_CALL},
    {"ret", KIND_RET},        {"prefetchw", KIND_NOP},  {"prefetcht0", KIND_NOP},
    {"prefetcht1", KIND_NOP}, {"prefetcht2", KIND_NOP}, {"prefetchnta", KIND_NOP},
    {"xadd", KIND_EXACT},     {"div", KIND_DIV},
};

static enum kind kind_by_name(const struct insn_def *def)
{
    for (u32 i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, def->name) == 0)
            return (enum kind)kinds[i].kind;
    }
    if (def->name[0] == 'j' && def->flags_read != 0)
        return KIND_JCC;
    if (strncmp(def->name, "set", 3) == 0 || strncmp(def->name, "cmov", 4) == 0)
        return def->flags_read != 0 ? KIND_MOVE : KIND_NONE;
    return KIND_NONE;
}

/* Operands that the generic form can say: registers by ModRM, memory, immediates, CL and 1. */
static bool operands_known(const struct row *row, enum kind kind)
{
    for (u32 i = 0; i < row->count; i++) {
        switch (row->operand[i].kind) {
        case OPERAND_GPR_REG:
        case OPERAND_GPR_RM:
        case OPERAND_FIXED:
        case OPERAND_CONST:
        case OPERAND_IMM: break;
        default: return false;
        }
    }
    if (kind == KIND_PUSH || kind == KIND_POP) /* not PUSHA */
        return row->count == 1;
    return kind != KIND_IMUL || (row->flags & ROW_MODRM) == 0 || row->map == MAP_0F ||
           row->opcode == 0x69 || row->opcode == 0x6b;
}

/* By row; a pure function of the rows, made once. */
static u8 kind_of_row[2048];
static u64 first_row, rows_size; /* where the rows are, in bytes */

void jit_classify_rows(void)
{
    const struct isa *isa = isa_get();

    CHECK(isa_row_count(isa) <= sizeof(kind_of_row));
    first_row = (uintptr_t)isa_row(isa, 0);
    rows_size = isa_row_count(isa) * sizeof(struct row);
    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);
        const enum kind kind = kind_by_name(&row->def);

        if (row->def.intercept == INTERCEPT_NONE && operands_known(row, kind))
            kind_of_row[i] = (u8)kind;
    }
}

/* Records that raise #UD have a row of their own, outside the tables. */
static enum kind kind_of(const struct insn_def *def)
{
    const u64 offset = (uintptr_t)row_of(def) - first_row;

    return offset < rows_size ? (enum kind)kind_of_row[offset / sizeof(struct row)] : KIND_NONE;
}

static bool is_mem(const struct insn *in)
{
    return (in->prefix & PREFIX_MEM) != 0;
}

static bool is_branch(enum kind kind)
{
    return kind >= KIND_JCC;
}

/* The count of a shift by an immediate or by 1, which the processor masks. */
static u8 shift_count(const struct insn *in)
{
    const u64 count = row_of(in->def)->operand[1].kind == OPERAND_CONST ? 1 : in->imm;

    return (u8)(count & (in->width == 8 ? 63 : 31));
}

static bool takes_cl(const struct row *row) /* the count of a shift */
{
    return row->count == 2 && row->operand[1].kind == OPERAND_FIXED;
}

enum { FAR_AWAY = 0x7fff0000 }; /* displacements up to here can be added to positions */

bool jit_knows(const struct insn *in, u32 mode)
{
    const enum kind kind = kind_of(in->def);

    if (kind == KIND_NONE || in->len == 0 || (is_mem(in) && !jit_can_address(in, mode)))
        return false;
    if (in->reg >= 16 || in->rm >= 16) /* AH to BH */
        return false;
    if (is_branch(kind) || kind == KIND_PUSH || kind == KIND_POP || kind == KIND_LEAVE) {
        const bool code64 = (mode & MODE_CODE64) != 0;

        if (in->width != (code64 ? 8 : 4) || in->imm + FAR_AWAY > 2 * (u64)FAR_AWAY)
            return false;
        if (kind != KIND_JCC && kind != KIND_JMP && stamp_stack_width(in, mode) != in->width)
            return false;
    }
    if (kind == KIND_PUSH || kind == KIND_POP)
        return !is_mem(in) && !(kind == KIND_POP && in->rm == REG_RSP);
    if (kind == KIND_DIV)
        return in->width >= 4;
    if (kind == KIND_ROTATE)
        return in->width >= 4 && !is_mem(in);
    if (kind == KIND_SHIFT && in->width < 4) /* beyond the width CF is undefined */
        return !takes_cl(row_of(in->def)) && shift_count(in) < 8 * in->width;
    return true;
}

/* ---- which flags must be kept ---- */

/* Might machine code leave in front of this record, with its predecessor's flags? */
static bool may_leave(const struct insn *in, enum kind kind)
{
    return (is_mem(in) && kind != KIND_LEA) || kind == KIND_PUSH || kind == KIND_POP ||
           kind == KIND_LEAVE || kind == KIND_DIV || is_branch(kind);
}

/*
 * From the end to the beginning: is what a record leaves in the flags seen, by an instruction
 * behind it that keeps some of them or by the interpreter if machine code is left? A record that
 * cannot give the interpreter exact flags ends the translation: false, and t->count is shorter.
 */
static bool plan_flags(struct translation *t)
{
    bool need = true;

    for (u32 i = t->count; i-- > 0;) {
        const struct insn *in = &t->block->insns[i];
        const enum kind kind = kind_of(in->def);

        t->save[i] = 0;
        if (kind >= KIND_EXACT && kind <= KIND_IMUL) {
            t->save[i] = need;
            if (need && is_mem(in) && takes_cl(row_of(in->def))) {
                t->count = i;
                return false;
            }
            if (kind != KIND_KEEP_CF && kind != KIND_ROTATE && !takes_cl(row_of(in->def)))
                need = false;
        }
        need = need || may_leave(in, kind) || in->def->flags_read != 0 ||
               (t->save[i] && takes_cl(row_of(in->def)));
    }
    return true;
}

static void save_rax(struct translation *t)
{
    emit_store(&t->e, 2, H_RAX, V_MEM(jit.flags));
    t->in_image = true;
}

static void emit_lahf_seto(struct translation *t)
{
    static const u8 code[] = {0x9f, 0x0f, 0x90, 0xc0}; /* LAHF; SETO AL */

    emit_bytes(&t->e, code, sizeof(code));
}

/* Shifts and rotations by the digit of their opcodes (C0 /digit and its neighbours). */
enum { SHIFT_ROL = 0, SHIFT_ROR = 1, SHIFT_SHL = 4, SHIFT_SHR = 5, SHIFT_SAL = 6, SHIFT_SAR = 7 };

/* AL = OF of a shift or rotation, by the rule for a count of 1: from its result and AH. */
static void shift_overflow(struct translation *t, const struct insn *in)
{
    static const u8 sign_and_carry[] = {
        0x88, 0xe0, 0xc0, 0xe8, 0x07, 0x30, 0xe0, 0x24, 0x01,
    }; /* MOV AL, AH; SHR AL, 7; XOR AL, AH; AND AL, 1 */
    const u8 digit = row_of(in->def)->modrm_value >> 3 & 7;
    const struct host_rm r =
        host_of[in->rm] == H_NONE ? guest_mem(in->rm) : rm_reg(host_of[in->rm]);

    if (digit == SHIFT_SHL || digit == SHIFT_SAL) {
        emit_bytes(&t->e, sign_and_carry, sizeof(sign_and_carry));
        return;
    }
    if (digit == SHIFT_SAR || (digit == SHIFT_SHR && !takes_cl(row_of(in->def)))) {
        emit_bytes(&t->e, (const u8[]){0x30, 0xc0}, 2); /* XOR AL, AL */
        return;
    }
    /* the two highest bits, or for ROL the highest and the lowest, which are neighbours in turn */
    emit_load(&t->e, in->width, H_RCX, r);
    emit_shift(&t->e, in->width, SHIFT_ROL, H_RCX, 1);
    emit_alu(&t->e, in->width, ALU_XOR, H_RCX, r);
    if (digit != SHIFT_ROL)
        emit_shift(&t->e, in->width, SHIFT_SHR, H_RCX, (u8)(8 * in->width - 1));
    emit_alu_imm(&t->e, 4, ALU_AND, rm_reg(H_RCX), 1);
    emit_bytes(&t->e, (const u8[]){0x88, 0xc8}, 2); /* MOV AL, CL */
}

/* AX = the flags of a shift or rotation that are in EFLAGS but for AF and OF. */
static void shift_flags(struct translation *t, const struct insn *in, enum kind kind)
{
    static const u8 clear_af[] = {0x80, 0xe4, 0xef}; /* AND AH, EFh */

    emit_lahf_seto(t);
    if (kind == KIND_SHIFT)
        emit_bytes(&t->e, clear_af, sizeof(clear_af));
    if (takes_cl(row_of(in->def)) || shift_count(in) != 1)
        shift_overflow(t, in);
    t->in_eflags = false;
}

/* AX = the flags of a product that is in register reg of the guest; CF and OF are in EFLAGS. */
static void imul_flags(struct translation *t, const struct insn *in)
{
    static const u8 seto_cl[] = {0x0f, 0x90, 0xc1};
    static const u8 merge[] = {0x9f, 0x08, 0xcc, 0x88, 0xc8}; /* LAHF; OR AH, CL; MOV AL, CL */

    emit_bytes(&t->e, seto_cl, sizeof(seto_cl));
    if (host_of[in->reg] != H_NONE)
        emit_op(&t->e, in->width, MAP_ONE, 0x85, host_of[in->reg], rm_reg(host_of[in->reg]), 0);
    else
        emit_alu_imm(&t->e, in->width, ALU_CMP, guest_mem(in->reg), 0);
    emit_bytes(&t->e, merge, sizeof(merge));
    t->in_eflags = false;
}

/* The guest's flags have just been written into EFLAGS by record i. */
static void flags_written(struct translation *t, u32 i, enum kind kind)
{
    const struct insn *in = &t->block->insns[i];

    t->in_eflags = true;
    t->in_image = false;
    t->own_flags = true;
    if (!t->save[i]) { /* nobody asks, not even a reader right behind */
        t->in_eflags = kind != KIND_SHIFT && kind != KIND_ROTATE && kind != KIND_IMUL;
        return;
    }
    if (kind == KIND_SHIFT || kind == KIND_ROTATE)
        shift_flags(t, in, kind);
    else if (kind == KIND_IMUL)
        imul_flags(t, in);
    else
        emit_lahf_seto(t);
    save_rax(t);
}

/* ---- the instructions ---- */

static u32 memory_size(const struct row *row, const struct insn *in, bool *write)
{
    u32 size = in->width;

    *write = false;
    for (u32 i = 0; i < row->count; i++) {
        const struct operand *o = &row->operand[i];

        if (o->kind != OPERAND_GPR_RM)
            continue;
        *write = o->write;
        if (o->size == SIZE_Z || o->size == SIZE_Y)
            size = in->width == 2 ? 2 : 4;
        else if (o->size < SIZE_V)
            size = o->size;
    }
    return size;
}

static bool writes(const struct row *row, enum operand_kind kind)
{
    for (u32 i = 0; i < row->count; i++) {
        if (row->operand[i].kind == kind && row->operand[i].write)
            return true;
    }
    return false;
}

static bool has_operand(const struct row *row, enum operand_kind kind)
{
    for (u32 i = 0; i < row->count; i++) {
        if (row->operand[i].kind == kind)
            return true;
    }
    return false;
}

/* An instruction in the form that has a ModRM byte. */
struct form {
    enum opcode_map map;
    u8 opcode, digit; /* digit: ModRM.reg without a register operand */
    u8 imm; /* bytes of the immediate */
    bool reg, write_reg, write_rm;
    u8 rm; /* guest register, unless in memory */
};

static u8 imm_size(const struct row *row, const struct insn *in)
{
    switch (row->imm[0]) {
    case IMM_B:
    case IMM_S: return 1;
    case IMM_Z: return in->width == 2 ? 2 : 4;
    default: return 0;
    }
}

/* ALU operations on the accumulator with an immediate, and forms by the opcode's low bits. */
static void form_without_modrm(struct form *f, const struct row *row, const struct insn *in)
{
    f->rm = in->rm;
    f->write_rm = writes(row, OPERAND_GPR_RM) || writes(row, OPERAND_FIXED);
    if (has_operand(row, OPERAND_FIXED)) {
        f->rm = REG_RAX;
        if ((row->opcode & 0xfe) == 0xa8) { /* TEST */
            f->opcode = 0xf6 | (row->opcode & 1);
        } else {
            f->digit = row->opcode >> 3 & 7;
            f->opcode = 0x80 | (row->opcode & 1);
        }
    } else {
        f->opcode = 0xff; /* INC, DEC */
        f->digit = row->opcode >> 3 & 1;
    }
}

static struct form form_of(const struct row *row, const struct insn *in)
{
    struct form f = {.map = (enum opcode_map)row->map, .opcode = row->opcode};

    f.imm = imm_size(row, in);
    if ((row->flags & ROW_MODRM) == 0) {
        form_without_modrm(&f, row, in);
        return f;
    }
    if (f.map == MAP_ONE && f.opcode == 0x82) /* an alias that 64-bit mode does not have */
        f.opcode = 0x80;
    f.reg = has_operand(row, OPERAND_GPR_REG);
    f.digit = row->modrm_value >> 3 & 7;
    f.rm = in->rm;
    f.write_reg = writes(row, OPERAND_GPR_REG);
    f.write_rm = writes(row, OPERAND_GPR_RM) && !is_mem(in);
    return f;
}

/* The generic form. False: it cannot be said (a memory operand beside flags and a temporary). */
static bool translate_form(struct translation *t, u32 i, enum kind kind)
{
    const struct insn *in = &t->block->insns[i];
    const struct row *row = row_of(in->def);
    const struct form f = form_of(row, in);
    const bool by_cl = takes_cl(row) && (kind == KIND_SHIFT || kind == KIND_ROTATE);
    const bool reads =
        in->def->flags_read != 0 || ((kind == KIND_KEEP_CF || kind == KIND_ROTATE) && t->save[i]);
    struct host_rm rm = rm_mem(H_RAX, 0);
    u8 host_rm = H_NONE, host_reg = f.digit;

    if (is_mem(in)) {
        bool write;
        const u32 size = memory_size(row, in, &write);

        if (reads && f.reg && host_of[in->reg] == H_NONE)
            return false;
        jit_address(t, in, true);
        jit_pointer(t, write ? TAG_WRITE : TAG_READ, size, i);
        if (reads) {
            emit_store(&t->e, 8, H_RAX, rm_reg(H_RCX));
            rm.base = H_RCX;
        }
    }
    if (by_cl && t->save[i]) { /* a count of 0 changes no flag: not here */
        CHECK(t->in_image);
        emit_op(&t->e, 1, MAP_ONE, 0xf6, 0, rm_reg(host_of[REG_RCX]), 1); /* TEST */
        emit_byte(&t->e, in->width == 8 ? 63 : 31);
        jit_exit(t, CC_E, i);
        t->in_eflags = false;
    }
    if (reads)
        jit_need_flags(t, i);
    if (!is_mem(in)) {
        host_rm = jit_reg(t, f.rm, H_RAX);
        rm = rm_reg(host_rm);
    }
    if (f.reg)
        host_reg = jit_reg(t, in->reg, H_RCX);
    if (by_cl)
        emit_load(&t->e, 4, H_RCX, rm_reg(host_of[REG_RCX]));
    emit_op(&t->e, in->width, f.map, f.opcode, host_reg, rm, f.imm);
    emit_imm(&t->e, in->imm, f.imm);
    if (f.reg && f.write_reg)
        jit_reg_done(t, in->reg, host_reg);
    if (f.write_rm) /* wins if both are one register (XADD) */
        jit_reg_done(t, f.rm, host_rm);
    return true;
}

static void move_immediate(struct translation *t, const struct insn *in)
{
    const u8 host = host_of[in->rm] != H_NONE ? host_of[in->rm] : H_RAX;

    if (in->width < 4) { /* the rest of the register stays */
        const u8 reg = jit_reg(t, in->rm, H_RAX);

        emit_op(&t->e, in->width, MAP_ONE, in->width == 1 ? 0xc6 : 0xc7, 0, rm_reg(reg), in->width);
        emit_imm(&t->e, in->imm, in->width);
    } else if (in->width == 8 && in->imm == (u64)(i64)(i32)in->imm) {
        emit_op(&t->e, 8, MAP_ONE, 0xc7, 0, rm_reg(host), 4);
        emit_imm(&t->e, in->imm, 4);
    } else {
        emit_imm64(&t->e, host, in->width == 8 ? in->imm : (u32)in->imm);
    }
    jit_reg_done(t, in->rm, host);
}

static void bswap(struct translation *t, const struct insn *in)
{
    const u8 host = jit_reg(t, in->rm, H_RAX);

    emit_byte(&t->e, (u8)(0x40 | (in->width == 8 ? 8 : 0) | (host >> 3)));
    emit_byte(&t->e, 0x0f);
    emit_byte(&t->e, (u8)(0xc8 | (host & 7)));
    jit_reg_done(t, in->rm, host);
}

static bool translate_move(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const struct row *row = row_of(in->def);

    if ((row->flags & ROW_MODRM) != 0)
        return translate_form(t, i, KIND_MOVE);
    if (row->imm[0] != IMM_NONE)
        move_immediate(t, in);
    else if (row->map == MAP_0F && in->width >= 4)
        bswap(t, in);
    else
        return false;
    return true;
}

static void translate_lea(struct translation *t, const struct insn *in)
{
    const u8 host = host_of[in->reg];

    jit_address(t, in, false);
    if (in->width == 2 && host == H_NONE) {
        emit_store(&t->e, 2, H_RAX, guest_mem(in->reg));
    } else if (in->width == 2) {
        emit_store(&t->e, 2, H_RAX, rm_reg(host));
    } else {
        if (in->width == 4 && in->addr == 8)
            emit_store(&t->e, 4, H_RAX, rm_reg(H_RAX));
        emit_store(&t->e, 8, H_RAX, host == H_NONE ? guest_mem(in->reg) : rm_reg(host));
    }
}

/* CBW and CWD work on host RAX and RDX; the guest's RDX is the host's. */
static void translate_extend(struct translation *t, const struct insn *in)
{
    const bool double_width = row_of(in->def)->opcode == 0x99;

    emit_store(&t->e, 8, host_of[REG_RAX], rm_reg(H_RAX));
    if (in->width == 2)
        emit_byte(&t->e, 0x66);
    else if (in->width == 8)
        emit_byte(&t->e, 0x48);
    emit_byte(&t->e, double_width ? 0x99 : 0x98);
    if (!double_width)
        emit_store(&t->e, 8, H_RAX, rm_reg(host_of[REG_RAX]));
}

static void move_stack(struct translation *t, i32 by)
{
    const u8 rsp = host_of[REG_RSP];

    emit_lea(&t->e, (t->mode & MODE_CODE64) != 0 ? 8 : 4, rsp, rm_mem(rsp, by));
}

static void translate_push(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const i32 w = in->width;

    jit_stack_address(t, -w);
    jit_pointer(t, TAG_WRITE, (u32)w, i);
    if (row_of(in->def)->imm[0] != IMM_NONE) {
        emit_op(&t->e, (u32)w, MAP_ONE, 0xc7, 0, rm_mem(H_RAX, 0), 4);
        emit_imm(&t->e, in->imm, 4);
    } else {
        emit_store(&t->e, (u32)w, jit_reg(t, in->rm, H_RCX), rm_mem(H_RAX, 0));
    }
    move_stack(t, -w);
}

static void translate_pop(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const u8 host = host_of[in->rm] != H_NONE ? host_of[in->rm] : H_RCX;

    jit_stack_address(t, 0);
    jit_pointer(t, TAG_READ, in->width, i);
    emit_load(&t->e, in->width, host, rm_mem(H_RAX, 0));
    jit_reg_done(t, in->rm, host);
    move_stack(t, in->width);
}

static void translate_leave(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const u8 rbp = host_of[REG_RBP];

    emit_store(&t->e, in->width, rbp, rm_reg(H_RAX));
    if (in->width == 4 && (t->mode & MODE_FLAT_DATA) == 0)
        emit_alu(&t->e, 4, ALU_ADD, H_RAX, rm_mem(H_RBP, V_DISP(segbase[0]) + 8 * SEG_SS));
    jit_pointer(t, TAG_READ, in->width, i);
    emit_lea(&t->e, in->width, host_of[REG_RSP], rm_mem(rbp, in->width));
    emit_load(&t->e, in->width, rbp, rm_mem(H_RAX, 0));
}

/* The quotient must fit: the upper half of the dividend is below the divisor. */
static void translate_div(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    struct host_rm divisor = rm_mem(H_RAX, 0);

    CHECK(t->in_image);
    if (is_mem(in)) {
        jit_address(t, in, true);
        jit_pointer(t, TAG_READ, in->width, i);
    } else {
        divisor = rm_reg(jit_reg(t, in->rm, H_RCX));
    }
    emit_load(&t->e, in->width, H_RCX, divisor);
    emit_alu(&t->e, in->width, ALU_CMP, host_of[REG_RDX], rm_reg(H_RCX));
    jit_exit(t, CC_AE, i);
    emit_store(&t->e, 8, host_of[REG_RAX], rm_reg(H_RAX));
    emit_op(&t->e, in->width, MAP_ONE, 0xf7, 6, rm_reg(H_RCX), 0);
    emit_store(&t->e, 8, H_RAX, rm_reg(host_of[REG_RAX]));
    t->in_eflags = false;
}

/* ---- branches: always the last of a block ---- */

static void translate_jcc(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    u8 *taken;

    jit_need_flags(t, i);
    taken = emit_jcc(&t->e, row_of(in->def)->opcode & 15);
    jit_go(t, i, false);
    emit_land(&t->e, taken);
    jit_go(t, i, true);
}

/* v->jit.target = where an indirect branch goes. */
static void load_target(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    u8 host;

    if (is_mem(in)) {
        jit_address(t, in, true);
        jit_pointer(t, TAG_READ, in->width, i);
        emit_load(&t->e, in->width, H_RAX, rm_mem(H_RAX, 0));
        host = H_RAX;
    } else {
        host = jit_reg(t, in->rm, H_RAX);
    }
    emit_store(&t->e, 8, host, V_MEM(jit.target));
}

static void commit_target(struct translation *t)
{
    emit_load(&t->e, 8, H_RCX, V_MEM(jit.target));
    emit_store(&t->e, 8, H_RCX, guest_mem(REG_RIP));
    emit_jump_rm(&t->e, rm_mem(H_RAX, offsetof(struct block, native)));
}

static void translate_jmp(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];

    if (row_of(in->def)->imm[0] != IMM_NONE) {
        jit_go(t, i, true);
        return;
    }
    load_target(t, i);
    emit_load(&t->e, 8, H_RAX, V_MEM(jit.target));
    jit_find_block(t, i);
    commit_target(t);
}

static void translate_call(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const i32 w = in->width;

    if (row_of(in->def)->imm[0] != IMM_NONE) {
        emit_load(&t->e, (u32)w, H_RAX, guest_mem(REG_RIP));
        emit_lea(&t->e, (u32)w, H_RAX, rm_mem(H_RAX, in->pos + in->len + (i32)in->imm));
        emit_store(&t->e, 8, H_RAX, V_MEM(jit.target));
    } else {
        load_target(t, i);
        emit_load(&t->e, 8, H_RAX, V_MEM(jit.target));
    }
    jit_find_block(t, i);
    emit_store(&t->e, 8, H_RAX, V_MEM(jit.next));
    jit_stack_address(t, -w);
    jit_pointer(t, TAG_WRITE, (u32)w, i);
    emit_load(&t->e, (u32)w, H_RCX, guest_mem(REG_RIP));
    emit_lea(&t->e, (u32)w, H_RCX, rm_mem(H_RCX, in->pos + in->len));
    emit_store(&t->e, (u32)w, H_RCX, rm_mem(H_RAX, 0));
    move_stack(t, -w);
    emit_load(&t->e, 8, H_RAX, V_MEM(jit.next));
    commit_target(t);
}

static void translate_ret(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const i32 released = row_of(in->def)->imm[0] != IMM_NONE ? (i32)(in->imm & 0xffff) : 0;

    jit_stack_address(t, 0);
    jit_pointer(t, TAG_READ, in->width, i);
    emit_load(&t->e, in->width, H_RAX, rm_mem(H_RAX, 0));
    emit_store(&t->e, 8, H_RAX, V_MEM(jit.target));
    jit_find_block(t, i);
    move_stack(t, in->width + released);
    commit_target(t);
}

static bool translate_insn(struct translation *t, u32 i)
{
    const struct insn *in = &t->block->insns[i];
    const enum kind kind = kind_of(in->def);

    switch (kind) {
    case KIND_MOVE: return translate_move(t, i);
    case KIND_LEA: translate_lea(t, in); return true;
    case KIND_NOP: return true;
    case KIND_EXTEND: translate_extend(t, in); return true;
    case KIND_PUSH: translate_push(t, i); return true;
    case KIND_POP: translate_pop(t, i); return true;
    case KIND_LEAVE: translate_leave(t, i); return true;
    case KIND_DIV: translate_div(t, i); return true;
    case KIND_JCC: translate_jcc(t, i); return true;
    case KIND_JMP: translate_jmp(t, i); return true;
    case KIND_CALL: translate_call(t, i); return true;
    case KIND_RET: translate_ret(t, i); return true;
    case KIND_SHIFT:
    case KIND_ROTATE:
        if (!takes_cl(row_of(in->def)) && shift_count(in) == 0) /* changes no flag */
            return false;
        break;
    default: break;
    }
    if (!translate_form(t, i, kind))
        return false;
    flags_written(t, i, kind);
    return true;
}

/* ---- a block ---- */

static void emit_leaves(struct translation *t)
{
    struct emitter *e = &t->e;
    u8 *shared, *stub[EXIT_SHORT + 1] = {NULL};

    for (u32 i = 0; i < t->exit_count; i++) {
        const u32 record = t->exits[i].record;

        if (stub[record] == NULL) {
            stub[record] = e->at;
            if (record == EXIT_SHORT) {
                emit_alu_imm(e, 8, ALU_ADD, V_MEM(left), t->block->count);
                emit_alu(e, 4, ALU_XOR, H_RAX, rm_reg(H_RAX));
            } else {
                emit_lea(e, 8, H_RAX, rm_place(&t->block->insns[record]));
            }
            emit_lea(e, 8, H_RCX, rm_place(t->block));
            shared = emit_jump(e);
            if (!e->full)
                emit_land_at(shared, t->jit->leave);
        }
        if (!e->full)
            emit_land_at(t->exits[i].from, stub[record]);
    }
}

static void emit_constants(struct translation *t)
{
    struct emitter *e = &t->e;
    u8 *at[2];

    if (t->constant_count == 0)
        return;
    at[0] = e->at;
    emit_imm(e, (u64)t->mode * CODE_HASH_MODE, 8);
    at[1] = e->at;
    emit_imm(e, (u64)(uintptr_t)t->jit->code->hash, 8);
    for (u32 i = 0; i < t->constant_count && !e->full; i++)
        emit_land_at(t->constants[i], at[i & 1]);
}

/* Records from the first that have machine code; the flags they leave. */
static void plan(struct translation *t)
{
    t->count = t->block->known;
    while (!plan_flags(t)) {}
}

static void emit_head(struct translation *t)
{
    u8 *start = t->e.at;

    emit_alu_imm(&t->e, 8, ALU_SUB, V_MEM(left), t->block->count);
    jit_exit(t, CC_S, EXIT_SHORT);
    CHECK(t->e.full || t->e.at - start == JIT_HEAD);
}

/* Machine code for the first t->count records. False: it can be said for fewer, see t->count. */
static bool emit_block(struct translation *t)
{
    emit_head(t);
    for (u32 i = 0; i < t->count; i++) {
        if (!translate_insn(t, i)) {
            t->count = i;
            return false;
        }
    }
    if (t->count < t->block->count)
        jit_exit(t, CC_ALWAYS, t->count);
    else if (!is_branch(kind_of(t->block->insns[t->count - 1].def)))
        jit_go(t, t->count, false);
    emit_leaves(t);
    emit_constants(t);
    return true;
}

bool jit_translate(struct jit *jit, struct block *block)
{
    struct translation t;

    memset(&t, 0, sizeof(t));
    t.jit = jit;
    t.block = block;
    t.mode = block->mode;
    plan(&t);
    for (;;) {
        if (t.count == 0)
            return false;
        t.e = (struct emitter){.at = jit->at, .end = jit->end};
        t.in_image = true;
        t.in_eflags = false;
        t.own_flags = false;
        t.exit_count = 0;
        t.constant_count = 0;
        if (emit_block(&t))
            break;
        while (!plan_flags(&t)) {}
    }
    if (t.e.full) { /* the next block to be decoded finds the arena full and flushes everything */
        jit->code->arena_used = jit->code->arena_size;
        return false;
    }
    block->native = jit->at;
    jit->at = t.e.at;
    return true;
}
