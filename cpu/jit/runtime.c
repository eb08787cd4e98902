/* SPDX-License-Identifier: MIT */
/* The translator's surroundings: when a block is translated, how machine code is entered and left.
 */
#include "cpu/jit/internal.h"

#include <stdlib.h>

enum { WASTED = 8 }; /* entries in a row that were not worth their while */

static const struct insn *run_jit(struct vcpu *v, const struct insn *in)
{
    struct block *block = v->block;
    const i64 left = v->left;
    const struct insn *next;

    (void)in;
    v->jit.flags = 0;
    next = v->code->jit->enter(v, block->native + JIT_HEAD);
    /* It came to no second block: entering and leaving cost more than interpreting one would. Other
     * machine code still goes through this block. */
    block->heat = v->left == left ? (u8)(block->heat + 1) : 0;
    if (block->heat >= WASTED)
        block->first = block->insns;
    if (v->jit.flags != 0)
        flags_load(v, (u64)(v->jit.flags >> 8) | (v->jit.flags & 1 ? FLAG_OF : 0u));
    if (next == NULL)
        return leave_boundary(v);
    DISPATCH(v, next);
}

static const struct insn *run_next(struct vcpu *v, const struct insn *in)
{
    (void)in;
    ENTER_BLOCK(v, v->jit.next);
}

static const struct insn *run_cold(struct vcpu *v, const struct insn *in);

static const struct insn jit_record = {.run = run_jit};
static const struct insn next_record = {.run = run_next};
static const struct insn cold_record = {.run = run_cold};

static const struct insn *run_cold(struct vcpu *v, const struct insn *in)
{
    struct block *block = v->block;

    (void)in;
    if (++block->heat >= v->code->jit->heat) {
        block->first = jit_translate(v->code->jit, block) ? &jit_record : block->insns;
        block->heat = 0;
    }
    if (block->first != &cold_record)
        DISPATCH(v, block->first);
    DISPATCH(v, block->insns);
}

/* ---- the shared parts ---- */

static const u8 saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15}; /* System V ABI */

static void emit_push(struct emitter *e, u8 reg, u8 opcode)
{
    emit_byte(e, (u8)(0x40 | reg >> 3));
    emit_byte(e, (u8)(opcode | (reg & 7)));
}

static void move_guest(struct emitter *e, bool load)
{
    for (u8 reg = 0; reg < 16; reg++) {
        if (host_of[reg] == H_NONE)
            continue;
        if (load)
            emit_load(e, 8, host_of[reg], guest_mem(reg));
        else
            emit_store(e, 8, host_of[reg], guest_mem(reg));
    }
}

/* RDI: the struct vcpu, RSI: machine code. */
static void emit_enter(struct emitter *e)
{
    for (u32 i = 0; i < sizeof(saved); i++)
        emit_push(e, saved[i], 0x50);
    emit_lea(e, 8, H_RBP, rm_mem(H_RDI, (i32)offsetof(struct vcpu, state.reg[REG_RIP])));
    emit_store(e, 8, H_RSI, rm_reg(H_RAX));
    move_guest(e, true);
    emit_jump_rm(e, rm_reg(H_RAX));
}

static void emit_leave(struct emitter *e)
{
    emit_store(e, 8, H_RCX, V_MEM(block));
    move_guest(e, false);
    for (u32 i = sizeof(saved); i-- > 0;)
        emit_push(e, saved[i], 0x58);
    emit_byte(e, 0xc3);
}

static void emit_shared(struct jit *jit)
{
    struct emitter e = {.at = jit->room, .end = jit->end};

    emit_enter(&e);
    jit->leave = e.at;
    emit_leave(&e);
    jit->leave_entering = e.at;
    emit_store(&e, 8, H_RAX, V_MEM(jit.next));
    emit_store(&e, 8, H_RAX, rm_reg(H_RCX));
    emit_imm64(&e, H_RAX, (u64)(uintptr_t)&next_record);
    emit_land_at(emit_jump(&e), jit->leave);
    CHECK(!e.full);
    jit->first = e.at;
    jit->at = e.at;
}

/* ---- life ---- */

/* Does the host leave AF as this emulator defines it, clear after AND, OR, XOR and TEST? */
static bool host_agrees(void)
{
#if defined(__x86_64__)
    static const u64 values[] = {0, 1, 0xf, 0x10, 0x80, 0xff, 0x8000, 0x80000000, ~(u64)0};

    for (u32 i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (u32 k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
            u64 value = values[i], flags = 0;

            /* CMP sets AF before each; LAHF's bytes are gathered in `flags` */
            __asm__("xorl %%eax, %%eax\n\t"
                    "cmpb $1, %%al; andq %[k], %[value]; lahf; orq %%rax, %[flags]\n\t"
                    "cmpb $1, %%al; orq %[k], %[value]; lahf; orq %%rax, %[flags]\n\t"
                    "cmpb $1, %%al; xorq %[k], %[value]; lahf; orq %%rax, %[flags]\n\t"
                    "cmpb $1, %%al; testq %[k], %[value]; lahf; orq %%rax, %[flags]"
                    : [value] "+r"(value), [flags] "+r"(flags)
                    : [k] "r"(values[k])
                    : "rax", "cc");
            if ((flags >> 8 & FLAG_AF) != 0)
                return false;
        }
    }
    return true;
#else
    return false;
#endif
}

bool jit_possible(void)
{
    return host_agrees();
}

struct jit *jit_create(struct code_cache *code, u8 *room, u64 size, u8 heat)
{
    struct jit *jit = calloc(1, sizeof(*jit));

    CHECK(jit != NULL);
    jit->code = code;
    jit->heat = heat;
    jit->room = room;
    jit->end = room + size;
    jit_classify_rows();
    emit_shared(jit);
    jit->enter = (const struct insn *(*)(struct vcpu *, const u8 *))(uintptr_t)room;
    return jit;
}

void jit_destroy(struct jit *jit)
{
    free(jit);
}

void jit_reset(struct jit *jit)
{
    jit->at = jit->first;
}

void jit_watch(struct jit *jit, struct block *block)
{
    block->native = jit->leave_entering;
    if ((block->mode & MODE_FLAT_CS) != 0 && (block->mode & MODE_ALIGN) == 0 &&
        (block->mode & (MODE_CODE64 | MODE_CODE32)) != 0 && block->known != 0)
        block->first = &cold_record;
}

void jit_forget(struct jit *jit, struct block *block)
{
    block->native = jit->leave_entering;
    block->first = block->insns;
}
