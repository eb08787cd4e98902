/* SPDX-License-Identifier: MIT */
/* AND, OR, XOR, TEST, NOT: SDM Vol 2, by mnemonic. AF is undefined in all but NOT; we clear it. */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

static ALWAYS_INLINE u64 sem_and(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_logic(v, a & b, w);
    return a & b;
}

static ALWAYS_INLINE u64 sem_or(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_logic(v, a | b, w);
    return a | b;
}

static ALWAYS_INLINE u64 sem_xor(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    flags_logic(v, a ^ b, w);
    return a ^ b;
}

static ALWAYS_INLINE u64 sem_not(struct vcpu *v, u64 a, u64 b, unsigned w)
{
    (void)v;
    (void)b;
    (void)w;
    return ~a;
}

EXEC_BINARY(and, sem_and)
EXEC_BINARY(or, sem_or)
EXEC_BINARY(xor, sem_xor)
EXEC_UNARY(not, sem_not)

#define STAMP_ALU(op, sem, wb)                                                                     \
    STAMP_E_G(op, sem, wb)                                                                         \
    STAMP_G_E(op, sem, wb)                                                                         \
    STAMP_E_I(op, sem, wb)                                                                         \
    STAMP_A_I(op, sem, wb)

STAMP_ALU(and, sem_and, 1)
STAMP_ALU(or, sem_or, 1)
STAMP_ALU(xor, sem_xor, 1)
STAMP_E_G(test, sem_and, 0)
STAMP_E_I(test, sem_and, 0)
STAMP_A_I(test, sem_and, 0)
STAMP_E(not, sem_not, 1)

/* clang-format off */
#define LOGIC .flags_written = FLAGS_ARITH, .flags_undefined = FLAG_AF
#define ALU_ROWS(op, opcode_e_g, opcode_v_g, opcode_g_e, opcode_g_v, opcode_al, opcode_ax, digit) \
    {#op, opcode_e_g " /r", "+Eb,Gb", exec_##op, LOCKABLE, LOGIC, .stamp = stamp_##op##_E_G}, \
    {#op, opcode_v_g " /r", "+Ev,Gv", exec_##op, LOCKABLE, LOGIC, .stamp = stamp_##op##_E_G}, \
    {#op, opcode_g_e " /r", "+Gb,Eb", exec_##op, 0, LOGIC, .stamp = stamp_##op##_G_E}, \
    {#op, opcode_g_v " /r", "+Gv,Ev", exec_##op, 0, LOGIC, .stamp = stamp_##op##_G_E}, \
    {#op, opcode_al, "+AL,Ib", exec_##op, 0, LOGIC, .stamp = stamp_##op##_A_I}, \
    {#op, opcode_ax, "+rAX,Iz", exec_##op, 0, LOGIC, .stamp = stamp_##op##_A_I}, \
    {#op, "80 " digit, "+Eb,Ib", exec_##op, LOCKABLE, LOGIC, .stamp = stamp_##op##_E_I}, \
    {#op, "81 " digit, "+Ev,Iz", exec_##op, LOCKABLE, LOGIC, .stamp = stamp_##op##_E_I}, \
    {#op, "82 " digit, "+Eb,Ib", exec_##op, LOCKABLE | NO64, LOGIC, .stamp = stamp_##op##_E_I}, \
    {#op, "83 " digit, "+Ev,Is", exec_##op, LOCKABLE, LOGIC, .stamp = stamp_##op##_E_I}

const struct insn_def isa_logic[] = {
    ALU_ROWS(or,  "08", "09", "0a", "0b", "0c", "0d", "/1"),
    ALU_ROWS(and, "20", "21", "22", "23", "24", "25", "/4"),
    ALU_ROWS(xor, "30", "31", "32", "33", "34", "35", "/6"),
    {"test", "84 /r", "Eb,Gb", exec_and, 0, LOGIC, .stamp = stamp_test_E_G},
    {"test", "85 /r", "Ev,Gv", exec_and, 0, LOGIC, .stamp = stamp_test_E_G},
    {"test", "a8", "AL,Ib", exec_and, 0, LOGIC, .stamp = stamp_test_A_I},
    {"test", "a9", "rAX,Iz", exec_and, 0, LOGIC, .stamp = stamp_test_A_I},
    {"test", "f6 /0", "Eb,Ib", exec_and, 0, LOGIC, .stamp = stamp_test_E_I},
    {"test", "f7 /0", "Ev,Iz", exec_and, 0, LOGIC, .stamp = stamp_test_E_I},
    {"test", "f6 /1", "Eb,Ib", exec_and, 0, LOGIC, .stamp = stamp_test_E_I}, /* alias of /0 */
    {"test", "f7 /1", "Ev,Iz", exec_and, 0, LOGIC, .stamp = stamp_test_E_I},
    {"not", "f6 /2", "+Eb", exec_not, LOCKABLE, .stamp = stamp_not_E},
    {"not", "f7 /2", "+Ev", exec_not, LOCKABLE, .stamp = stamp_not_E},
    {0},
};
/* clang-format on */
