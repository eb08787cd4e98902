/* SPDX-License-Identifier: MIT */
/*
 * Runs one floating-point instruction on the host CPU and on ours. Instructions are made from the
 * rows: destination register 1, ModRM.rm register 2 or memory at [rsi], VEX.vvvv register 3.
 */
#ifndef TESTS_FP_NATIVE_H
#define TESTS_FP_NATIVE_H

#include "cpu/control.h"
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "cpu/isa/fpu.h"
#include "tests/effort.h"
#include "tests/fp/values.h"

#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { OPERAND_ADDRESS = 0x4000, GUEST_RAM = 1 << 16, CODE_ADDRESS = 0x1000 };

struct native {
    u8 code[16];
    u32 length;
    bool memory;
};

static struct memory *guest_memory;
static struct code_cache *guest_code;
static struct vcpu *guest;
static u8 *host_code; /* a page to run instructions in */

static inline const struct insn *stop_here(struct vcpu *v, const struct insn *in)
{
    (void)v;
    (void)in;
    return NULL;
}

/* 64-bit mode with paging off: no real CPU has it, but it needs no page tables. */
static inline void native_setup(void)
{
    const struct cpu_wires wires = {0};
    struct error error;

    host_code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(host_code, MAP_FAILED);
    guest_memory = memory_create(40);
    ck_assert(memory_add_ram(guest_memory, "ram", (hpa_t){0}, GUEST_RAM, &error));
    guest_code = code_cache_create(guest_memory, 1 << 20);
    guest = vcpu_create(guest_memory, guest_code, &wires);
    vcpu_reset(guest, false);
    memset(guest->features, 0xff, sizeof(guest->features));
    guest->state.cr0 = CR0_PE | CR0_NE | CR0_ET;
    guest->state.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    mode_update(guest);
    guest->mode = MODE_PROT | MODE_CODE64 | MODE_CPL0 | MODE_FLAT_CS | MODE_FLAT_DATA |
                  MODE_OPEN_ES | MODE_OPEN_SS | MODE_OPEN_DS | MODE_OPEN_FS | MODE_OPEN_GS;
    guest->la_mask = ~(u64)0;
    memset(guest->segbase, 0, sizeof(guest->segbase));
}

static inline void native_teardown(void)
{
    munmap(host_code, PAGE_SIZE);
    vcpu_destroy(guest);
    code_cache_destroy(guest_code);
    memory_destroy(guest_memory);
}

static inline void native_put(struct native *n, u32 byte)
{
    n->code[n->length++] = (u8)byte;
}

static inline bool row_takes(const struct row *row, u16 bit)
{
    return (row->accept & bit) != 0;
}

/* Registers and immediate are as the file's head says; w: REX.W or VEX.W if the row takes it. */
static inline void native_encode(const struct row *row, bool memory, bool w, u8 imm,
                                 struct native *n)
{
    const u32 pp = row_takes(row, ACCEPT_NP)   ? 0
                   : row_takes(row, ACCEPT_66) ? 1
                   : row_takes(row, ACCEPT_F3) ? 2
                                               : 3;
    const u32 mandatory[] = {0, 0x66, 0xf3, 0xf2};
    const bool vector = row->map != MAP_ONE;

    *n = (struct native){.memory = memory};
    w = row_takes(row, w ? ACCEPT_W1 : ACCEPT_W0) ? w : !w;
    if (row->flags & ROW_VEX) {
        native_put(n, 0xc4);
        native_put(n, 0xe0 | (row->map - MAP_VEX + 1u));
        native_put(n, (u32)w << 7 | (row->flags & ROW_VVVV ? 12u : 15u) << 3 |
                          (row_takes(row, ACCEPT_L0) ? 0u : 4u) | pp);
    } else {
        if (vector && pp)
            native_put(n, mandatory[pp]);
        if (w)
            native_put(n, 0x48);
        if (vector)
            native_put(n, 0x0f);
        if (row->map == MAP_0F38 || row->map == MAP_0F3A)
            native_put(n, row->map == MAP_0F38 ? 0x38 : 0x3a);
    }
    native_put(n, row->opcode);
    if (row->flags & ROW_MODRM)
        native_put(n, (((memory ? 0x0eu : 0xcau) & ~(u32)row->modrm_mask) | row->modrm_value));
    if (row->imm[0] != IMM_NONE)
        native_put(n, imm);
}

/* The instruction and a return, where the host can call it. */
static inline void native_install(const struct native *n)
{
    memcpy(host_code, n->code, n->length);
    host_code[n->length] = 0xc3;
}

/* Execute on our CPU, by the stamped handler if the row has one here, or the generic path. False:
 * the event is in guest->event. */
static inline bool native_run_guest(const struct native *n, bool generic)
{
    struct insn insns[2] = {{0}};
    const struct insn *in = insns;

    ck_assert_int_eq(decode(guest, n->code, n->length, &insns[0]), DECODE_OK);
    ck_assert_uint_eq(insns[0].len, n->length);
    if (generic)
        insns[0].run = run_generic;
    insns[1].run = stop_here;
    guest->block = NULL;
    guest->alone = true;
    guest->event.kind = EVENT_NONE;
    guest->state.reg[REG_RIP] = CODE_ADDRESS;
    guest->state.reg[REG_RSI] = OPERAND_ADDRESS;
    while (in != NULL)
        in = in->run(guest, in);
    return guest->event.kind == EVENT_NONE;
}

#endif
