/* SPDX-License-Identifier: MIT */
/*
 * The translator against the interpreter: random programs run twice, with machine code from the
 * second entry of a block on and without any, and must leave the same state and memory after every
 * budget. What the bytes mean does not matter; most are instructions that the translator knows,
 * some are not, stores may hit the code, and faults go to handlers that are nonsense too.
 */
#include "cpu/encoding.h"
#include "cpu/flags.h"
#include "cpu/jit/jit.h"
#include "tests/cpu/guest.h"
#include "tests/run_suite.h"

#include <stdio.h>

enum {
    PROGRAM = 160, /* bytes of one */
    RUNS = 24, /* of each program, with other registers */
    PROGRAMS = 200,
    DATA_AREA = 0x100000,
    AT_END_OF_PAGE = CODE + 0xfc0, /* every other program goes over a page's end */
};

static u64 random_state;

static u64 rnd(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d >> 8;
}

static u32 below(u32 n)
{
    return (u32)(rnd() % n);
}

/* ---- random programs ---- */

static u8 *put_modrm_random(u8 *at, const struct row *row, bool wide)
{
    const bool digit = (row->modrm_mask & 0x38) != 0;
    u8 modrm = (u8)rnd();
    u32 disp = 0;

    if (digit)
        modrm = (u8)((modrm & 0xc7) | (row->modrm_value & 0x38));
    if (below(2) == 0 || (row->accept & ACCEPT_MEM) == 0)
        modrm |= 0xc0;
    *at++ = modrm;
    if (modrm >= 0xc0)
        return at;
    if ((modrm & 7) == 4)
        *at++ = (u8)rnd();
    if ((modrm & 0xc7) == 5)
        disp = wide ? below(0x4000) : DATA_AREA + below(0x4000);
    if (modrm >> 6 == 1) {
        *at++ = (u8)rnd();
    } else if (modrm >> 6 == 2 || (modrm & 0xc7) == 5 ||
               ((modrm & 0xc7) == 4 && (at[-1] & 7) == 5)) {
        if (disp == 0)
            disp = below(0x200);
        memcpy(at, &disp, 4);
        at += 4;
    }
    return at;
}

static u8 *put_immediate(u8 *at, const struct row *row, bool narrow, bool rex_w)
{
    const u64 value = below(2) == 0 ? rnd() : below(40);
    u32 size = 0;

    switch (row->imm[0]) {
    case IMM_B:
    case IMM_S: size = 1; break;
    case IMM_W: size = 2; break;
    case IMM_Z: size = narrow ? 2 : 4; break;
    case IMM_V: size = rex_w ? 8 : narrow ? 2 : 4; break;
    case IMM_JB: *at++ = (u8)below(24); return at;
    case IMM_JZ: memcpy(at, &(u32){below(40)}, 4); return at + 4;
    default: break;
    }
    memcpy(at, &value, size);
    return at + size;
}

/* The legacy rows of some instructions that exist in this mode: most are known to the translator.
 */
static u32 fill_pool(const struct row **pool, u32 most, bool wide)
{
    static const char *const names[] = {
        "mov",  "movzx", "movsx", "movsxd", "lea",   "add",    "adc",  "sub",   "sbb",   "cmp",
        "and",  "or",    "xor",   "test",   "inc",   "dec",    "neg",  "not",   "shl",   "shr",
        "sar",  "imul",  "push",  "pop",    "cbw",   "cwd",    "call", "ret",   "bswap", "xchg",
        "rol",  "ror",   "sete",  "setl",   "cmovb", "cmovle", "je",   "jb",    "jl",    "jo",
        "jmp",  "bt",    "mul",   "nop",    "lahf",  "pushf",  "xadd", "leave", "js",    "jp",
        "setp", "cmovo", "seto",  "jbe",    "cmovs", "seta",   "div",  "idiv",
    };
    const struct isa *isa = isa_get();
    u32 count = 0;

    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);

        if (row->map > MAP_0F || (row->accept & ACCEPT_NP) == 0 || (row->def.attr & CPL0) != 0 ||
            (row->accept & (wide ? ACCEPT_64 : ACCEPT_LEGACY)) == 0)
            continue;
        for (u32 k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            if (strcmp(row->def.name, names[k]) == 0 && count < most)
                pool[count++] = row;
        }
    }
    return count;
}

static u8 *put_instruction(u8 *at, bool wide)
{
    static const struct row *pool[2][512];
    static u32 count[2];
    const struct row *row;
    const bool narrow = below(8) == 0;
    u8 rex = 0;

    if (count[wide] == 0)
        count[wide] = fill_pool(pool[wide], 512, wide);
    row = pool[wide][below(count[wide])];
    if (narrow)
        *at++ = 0x66;
    if ((row->def.attr & LOCKABLE) != 0 && below(8) == 0)
        *at++ = 0xf0;
    if (wide && below(3) != 0) {
        rex = (u8)(0x40 | below(16));
        *at++ = rex;
    }
    if (row->map == MAP_0F)
        *at++ = 0x0f;
    *at++ = (u8)(row->opcode + ((row->flags & ROW_OPREG) != 0 ? below(8) : 0));
    if ((row->flags & ROW_MODRM) != 0)
        at = put_modrm_random(at, row, wide);
    return put_immediate(at, row, narrow, (rex & 8) != 0);
}

static void make_program(u8 *program, bool wide)
{
    u8 *at = program;

    memset(program, 0x90, PROGRAM);
    while (at < program + PROGRAM - 24)
        at = put_instruction(at, wide);
    at[0] = 0xeb; /* and again from the start, as far as it reaches */
    at[1] = (u8)(program - (at + 2) < -128 ? -128 : program - (at + 2));
}

/* ---- running them ---- */

static u64 digest(u64 sum, const void *bytes, u64 size)
{
    const u64 *words = bytes;

    for (u64 i = 0; i < size / 8; i++)
        sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15 ^ sum >> 29;
    return sum;
}

/* Most registers point into the data area, some are numbers. */
static void random_registers(const struct cpu_state *start, bool wide)
{
    v->state = *start;
    for (u32 i = 0; i < 16; i++) {
        u64 value = DATA_AREA + below(0x4000);

        if (below(4) == 0)
            value = below(2) == 0 ? rnd() << 8 : below(64);
        if (i == REG_RSP)
            value = DATA_AREA + 0x8000 + 8 * below(64);
        v->state.reg[i] = wide || i < 8 ? wide ? value : (u32)value : 0;
    }
    rflags_set(v, FLAG_1 | (rnd() & FLAGS_ARITH));
    mode_update(v);
}

/* The digests of a program's runs; with an engine of its own per call. */
static void run_programs(u64 seed, bool wide, bool translate, u64 *digests)
{
    struct cpu_state start;
    u8 program[PROGRAM + 32];
    static u8 ram[RAM];

    random_state = seed;
    guest_create("max");
    if (translate)
        ck_assert(code_cache_translate(code, 2));
    if (wide)
        guest_long();
    else
        guest_protected();
    flags_commit(v);
    v->alone = false;
    start = v->state;
    memory_read(memory, (hpa_t){0}, ram, RAM);
    for (u32 p = 0; p < PROGRAMS; p++) {
        const u64 at = below(2) == 0 ? CODE : AT_END_OF_PAGE;

        put(0, ram, RAM);
        make_program(program, wide);
        put(at, program, PROGRAM);
        for (u32 run = 0; run < RUNS; run++) {
            u64 sum = p;

            random_registers(&start, wide);
            v->state.reg[REG_RIP] = at;
            (void)vcpu_run(v, 1 + below(200));
            sum = digest(sum, &v->state, sizeof(v->state));
            *digests++ = sum;
        }
        for (u64 page = 0; page < RAM; page += PAGE_SIZE) {
            u8 bytes[PAGE_SIZE];

            memory_read(memory, (hpa_t){page}, bytes, PAGE_SIZE);
            digests[-1] = digest(digests[-1], bytes, PAGE_SIZE);
        }
    }
    guest_destroy();
}

static void compare_engines(bool wide)
{
    static u64 interpreted[PROGRAMS * RUNS], translated[PROGRAMS * RUNS];
    const char *more = getenv("NESTBOX_JIT_SEEDS");
    const u64 seeds = more != NULL ? strtoull(more, NULL, 10) : 2;

    for (u64 seed = 1; seed <= seeds; seed++) {
        run_programs(seed * 0x9e3779b97f4a7c15, wide, false, interpreted);
        run_programs(seed * 0x9e3779b97f4a7c15, wide, true, translated);
        for (u32 i = 0; i < PROGRAMS * RUNS; i++)
            ck_assert_msg(interpreted[i] == translated[i],
                          "seed %llu, program %u, run %u: the engines differ",
                          (unsigned long long)seed, i / RUNS, i % RUNS);
    }
}

START_TEST(machine_code_leaves_the_interpreters_state_in_64_bit_mode)
{
    compare_engines(true);
}
END_TEST

START_TEST(machine_code_leaves_the_interpreters_state_in_32_bit_mode)
{
    compare_engines(false);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tc;

    if (!jit_possible()) {
        printf("skipped: no translator for this host\n");
        return 77;
    }
    suite = suite_create("jit");
    tc = tcase_create("engines");
    tcase_add_test(tc, machine_code_leaves_the_interpreters_state_in_64_bit_mode);
    tcase_add_test(tc, machine_code_leaves_the_interpreters_state_in_32_bit_mode);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
