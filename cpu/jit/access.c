/* SPDX-License-Identifier: MIT */
/* Machine code for addresses, the soft TLB, and ways from block to block. See internal.h. */
#include "cpu/jit/internal.h"
#include "cpu/stamp.h"

/* Where the guest registers are; RAX, RCX, RSP and RBP have other work. */
const u8 host_of[REG_COUNT] = {
    [REG_RAX] = H_R12,  [REG_RCX] = H_R13,   [REG_RDX] = H_RDX,  [REG_RBX] = H_RBX,
    [REG_RSP] = H_R14,  [REG_RBP] = H_R15,   [REG_RSI] = H_RSI,  [REG_RDI] = H_RDI,
    [REG_R8] = H_R8,    [REG_R9] = H_R9,     [REG_R10] = H_R10,  [REG_R11] = H_R11,
    [REG_R12] = H_NONE, [REG_R13] = H_NONE,  [REG_R14] = H_NONE, [REG_R15] = H_NONE,
    [REG_RIP] = H_NONE, [REG_NONE] = H_NONE,
};

void jit_exit(struct translation *t, u8 cc, u32 record)
{
    u8 *from = cc == CC_ALWAYS ? emit_jump(&t->e) : emit_jcc(&t->e, cc);

    CHECK(t->exit_count < JIT_EXITS);
    t->exits[t->exit_count].from = from;
    t->exits[t->exit_count++].record = record;
}

u8 jit_reg(struct translation *t, u8 reg, u8 temp)
{
    if (host_of[reg] != H_NONE)
        return host_of[reg];
    emit_load(&t->e, 8, temp, guest_mem(reg));
    return temp;
}

void jit_reg_done(struct translation *t, u8 reg, u8 host)
{
    if (host_of[reg] == H_NONE)
        emit_store(&t->e, 8, host, guest_mem(reg));
}

/* ---- addresses ---- */

bool jit_can_address(const struct insn *in, u32 mode)
{
    return in->addr != 2 && in->disp == (i32)in->disp && ea_kind(in, mode) != EA_CHECKED;
}

void jit_address(struct translation *t, const struct insn *in, bool segmented)
{
    const bool flat = (t->mode & MODE_CODE64) != 0 ? in->seg != SEG_FS && in->seg != SEG_GS
                                                   : (t->mode & MODE_FLAT_DATA) != 0 &&
                                                         in->seg != SEG_FS && in->seg != SEG_GS;
    struct host_rm rm = rm_mem(H_NONE, (i32)in->disp);

    if (in->base != REG_NONE)
        rm.base = jit_reg(t, in->base, H_RAX);
    if (in->index != REG_NONE) {
        rm.index = jit_reg(t, in->index, H_RCX);
        rm.scale = in->scale;
    }
    emit_lea(&t->e, in->addr, H_RAX, rm);
    if (segmented && !flat) {
        const i32 base = V_DISP(segbase[0]) + 8 * in->seg;

        emit_alu(&t->e, (t->mode & MODE_CODE64) != 0 ? 8 : 4, ALU_ADD, H_RAX, rm_mem(H_RBP, base));
    }
}

void jit_stack_address(struct translation *t, i32 offset)
{
    const bool wide = (t->mode & MODE_CODE64) != 0;

    emit_lea(&t->e, wide ? 8 : 4, H_RAX, rm_mem(host_of[REG_RSP], offset));
    if (!wide && (t->mode & MODE_FLAT_DATA) == 0)
        emit_alu(&t->e, 4, ALU_ADD, H_RAX, rm_mem(H_RBP, V_DISP(segbase[0]) + 8 * SEG_SS));
}

_Static_assert(sizeof(struct tlb_entry) == 32 && offsetof(struct tlb_entry, wtag) == TAG_WRITE &&
                   offsetof(struct tlb_entry, rtag) == TAG_READ,
               "the TLB as machine code sees it");

/* RCX = the TLB entry for the linear address in RAX, RAX = address - tag, compared with `most`. */
static void compare_tag(struct translation *t, i32 tag, i32 most)
{
    struct emitter *e = &t->e;

    emit_store(e, 4, H_RAX, rm_reg(H_RCX));
    emit_shift(e, 4, 5, H_RCX, PAGE_SHIFT - 5);
    emit_alu_imm(e, 4, ALU_AND, rm_reg(H_RCX), (TLB_SIZE - 1) << 5);
    emit_alu(e, 8, ALU_ADD, H_RCX, V_MEM(tlb));
    emit_alu(e, 8, ALU_SUB, H_RAX, rm_mem(H_RCX, tag));
    emit_alu_imm(e, 8, ALU_CMP, rm_reg(H_RAX), most);
}

/* RAX = the host address, after compare_tag(). */
static void add_host(struct translation *t, i32 tag)
{
    emit_alu(&t->e, 8, ALU_ADD, H_RAX, rm_mem(H_RCX, tag));
    emit_alu(&t->e, 8, ALU_ADD, H_RAX, rm_mem(H_RCX, offsetof(struct tlb_entry, host)));
}

void jit_pointer(struct translation *t, enum tag tag, u32 size, u32 record)
{
    CHECK(t->in_image);
    compare_tag(t, (i32)tag, (i32)(PAGE_SIZE - size));
    jit_exit(t, CC_A, record);
    add_host(t, (i32)tag);
    t->in_eflags = false;
}

/* ---- from block to block ---- */

void jit_find_block(struct translation *t, u32 record)
{
    struct emitter *e = &t->e;

    compare_tag(t, offsetof(struct tlb_entry, xtag), PAGE_OFFSET_MASK);
    jit_exit(t, CC_A, record);
    add_host(t, offsetof(struct tlb_entry, xtag));
    emit_imm64(e, H_RCX, CODE_HASH_HOST);
    emit_op(e, 8, MAP_0F, 0xaf, H_RCX, rm_reg(H_RAX), 0); /* IMUL */
    emit_alu(e, 8, ALU_XOR, H_RCX, rm_place(e->at)); /* the two constants behind the block */
    CHECK(t->constant_count + 2 <= sizeof(t->constants) / sizeof(t->constants[0]));
    t->constants[t->constant_count++] = e->at - 4;
    emit_shift(e, 8, 5, H_RCX, 64 - CODE_HASH_BITS);
    emit_shift(e, 4, 4, H_RCX, 3);
    emit_alu(e, 8, ALU_ADD, H_RCX, rm_place(e->at));
    t->constants[t->constant_count++] = e->at - 4;
    emit_load(e, 8, H_RCX, rm_mem(H_RCX, 0));
    emit_op(e, 8, MAP_ONE, 0x85, H_RCX, rm_reg(H_RCX), 0); /* TEST */
    jit_exit(t, CC_E, record);
    emit_alu(e, 8, ALU_CMP, H_RAX, rm_mem(H_RCX, offsetof(struct block, host)));
    jit_exit(t, CC_NE, record);
    emit_alu_imm(e, 4, ALU_CMP, rm_mem(H_RCX, offsetof(struct block, mode)), (i32)t->mode);
    jit_exit(t, CC_NE, record);
    emit_store(e, 8, H_RCX, rm_reg(H_RAX));
}

void jit_go(struct translation *t, u32 record, bool taken)
{
    const struct insn *in = &t->block->insns[record];
    const i64 behind = record < t->block->count ? in->pos + in->len : in->pos;
    const i64 distance = behind + (taken ? (i64)in->imm : 0);
    const i64 offset = (i64)((uintptr_t)t->block->host & PAGE_OFFSET_MASK) + distance;
    const u32 width = (t->mode & MODE_CODE64) != 0 ? 8 : 4;

    CHECK(t->in_image);
    if (offset >= 0 && offset < PAGE_SIZE) { /* the same page: linked */
        emit_load(&t->e, 8, H_RAX, rm_place(&t->block->link[taken]));
        emit_op(&t->e, 8, MAP_ONE, 0x85, H_RAX, rm_reg(H_RAX), 0);
        jit_exit(t, CC_E, record);
    } else {
        emit_load(&t->e, width, H_RAX, guest_mem(REG_RIP));
        emit_lea(&t->e, width, H_RAX, rm_mem(H_RAX, (i32)distance));
        jit_find_block(t, record);
    }
    emit_alu_imm(&t->e, width, ALU_ADD, guest_mem(REG_RIP), (i32)distance);
    emit_jump_rm(&t->e, rm_mem(H_RAX, offsetof(struct block, native)));
    t->in_eflags = false;
}

void jit_need_flags(struct translation *t, u32 record)
{
    struct emitter *e = &t->e;

    if (t->in_eflags)
        return;
    CHECK(t->in_image);
    emit_op(e, 4, MAP_0F, 0xb7, H_RAX, V_MEM(jit.flags), 0); /* MOVZX from 16 bits */
    if (!t->own_flags) { /* perhaps still in v->lazy */
        emit_op(e, 4, MAP_ONE, 0x85, H_RAX, rm_reg(H_RAX), 0);
        jit_exit(t, CC_E, record);
    }
    emit_byte(e, 0x04); /* ADD AL, 7Fh: overflows if AL is 1 */
    emit_byte(e, 0x7f);
    emit_byte(e, 0x9e); /* SAHF */
    t->in_eflags = true;
}
