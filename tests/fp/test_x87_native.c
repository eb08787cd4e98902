/* SPDX-License-Identifier: MIT */
/*
 * Every x87 row but the transcendental ones on the host FPU and on ours: registers, tags, status
 * word, memory, EFLAGS, from random states with empty registers, all masks, rounding and precision
 * modes.
 */
#include "tests/fp/native.h"
#include "tests/fp/vendor.h"
#include "tests/run_suite.h"

#if defined(__x86_64__)

enum { ROUNDS = EFFORT(400) };

/* The image of FNSAVE in 32-bit layout, and what else an instruction may touch. */
struct machine {
    u32 env[7];
    u8 st[80];
    u8 operand[16];
    u64 rax, rflags;
};

enum { ENV_FCW, ENV_FSW, ENV_FTW };

static void run_host(struct machine *m)
{
    __asm__ volatile("frstor %[image]\n\tpush %[flags]\n\tpopfq\n\tcall *%[code]\n\t"
                     "pushfq\n\tpop %[flags]\n\tfnsave %[image]"
                     : [image] "+m"(*m), [flags] "+r"(m->rflags), "+a"(m->rax)
                     : [code] "r"(host_code), "S"(m->operand)
                     : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
                       "st(7)");
}

/* What each path left, instruction and data pointers included: these the host does not show. */
static struct fpu_state after[2];

static void run_guest(const struct native *n, struct machine *m, bool generic)
{
    struct fpu_state *fpu = &guest->state.fpu;
    const u32 top = m->env[ENV_FSW] >> 11 & 7;

    memset(fpu, 0, sizeof(*fpu));
    fpu->fcw = (u16)m->env[ENV_FCW];
    fpu->fsw = (u16)m->env[ENV_FSW];
    fpu->ftw = x87_abridge((u16)m->env[ENV_FTW]);
    for (u32 i = 0; i < 8; i++)
        memcpy(&fpu->st[(top + i) & 7], m->st + 10 * i, 10);
    memory_write(guest_memory, (hpa_t){OPERAND_ADDRESS}, m->operand, sizeof(m->operand));
    guest->state.reg[REG_RAX] = m->rax;
    flags_load(guest, m->rflags);
    ck_assert(native_run_guest(n, generic));
    after[generic] = *fpu;
    m->env[ENV_FCW] = fpu->fcw;
    m->env[ENV_FSW] = fpu->fsw;
    m->env[ENV_FTW] = x87_tag_word(fpu);
    for (u32 i = 0; i < 8; i++)
        memcpy(m->st + 10 * i, &fpu->st[((fpu->fsw >> 11) + i) & 7], 10);
    memory_read(guest_memory, (hpa_t){OPERAND_ADDRESS}, m->operand, sizeof(m->operand));
    m->rax = guest->state.reg[REG_RAX];
    m->rflags = flags_arith(guest);
}

static struct machine random_machine(u32 memory_kind)
{
    struct machine m = {.rflags = 0x202 | (random64() & 0x8d5), .rax = random64()};
    struct fpu_state fpu = {.fsw = (u16)(random64() & 0x7f00)};
    const u64 integer = random_significand() >> random_below(64);
    struct f80 operand = random_f80(true);

    m.env[ENV_FCW] = 0x37f;
    if (random_below(2))
        m.env[ENV_FCW] = 0x40 | (u32)random_below(64) | (u32)random_below(4) << 10 |
                         (random_below(2) ? 0x300u : (u32)random_below(2) << 9);
    if (random_below(2)) /* old flags, none of them unmasked */
        fpu.fsw |= (u16)(random64() & m.env[ENV_FCW] & FP_ALL);
    fpu.ftw = random_below(4) ? (u8)(random64() | 1u << (fpu.fsw >> 11 & 7)) : (u8)random64();
    for (u32 i = 0; i < 8; i++) {
        struct f80 a = random_f80(true);

        if (random_below(3) == 0) /* numbers that integers and shorter formats can hold */
            a.se = (u16)((a.se & 0x8000) | (0x3fff + random_below(66) - 2)), a.mant |= BIT(63);
        fpu.st[i] = a;
        memcpy(m.st + 10 * ((i - (fpu.fsw >> 11)) & 7), &a, 10);
    }
    m.env[ENV_FSW] = fpu.fsw;
    m.env[ENV_FTW] = x87_tag_word(&fpu);
    if (memory_kind == 0)
        operand.mant = random_f32();
    else if (memory_kind == 1)
        operand.mant = random_f64();
    else if (memory_kind == 2)
        operand.mant = integer;
    else if (memory_kind == 3)
        for (u32 i = 0; i < 16; i++)
            operand.mant = operand.mant << 4 | random_below(10), operand.se &= 0x8099;
    memcpy(m.operand, &operand, sizeof(m.operand));
    return m;
}

static void check_same(const struct row *row, const struct native *n, const struct machine *in,
                       const struct machine *host, const struct machine *ours, bool generic)
{
    /* SDM Vol 2A has FCOMI clear C1; AMD's leaves it. */
    const u32 fsw_mask = strstr(row->def.name, "comi") ? 0xffffu & ~FSW_C1 : 0xffff;
    const bool same = ((host->env[0] ^ ours->env[0]) & 0xffff) == 0 &&
                      ((host->env[1] ^ ours->env[1]) & fsw_mask) == 0 &&
                      ((host->env[2] ^ ours->env[2]) & 0xffff) == 0 &&
                      memcmp(host->st, ours->st, 80) == 0 &&
                      memcmp(host->operand, ours->operand, 16) == 0 && host->rax == ours->rax &&
                      /* FCOMI after an unmasked exception: here AMD and SDM Vol 2A differ. */
                      (!((host->rflags ^ ours->rflags) & FLAGS_ARITH) || host->env[1] & FSW_ES);
    u64 a[8];

    for (u32 i = 0; i < 4; i++)
        a[i] = load_le(in->st + 10 * i, 8);
    for (u32 i = 0; i < 2; i++) {
        a[4 + i] = load_le(host->st + 10 * i, 8);
        a[6 + i] = load_le(ours->st + 10 * i, 8);
    }
    ck_assert_msg(same,
                  "%s \"%s\" %02x %02x %s fcw %04x fsw %04x ftw %04x\n"
                  "st0 %04x.%016lx st1 %04x.%016lx st2 %04x.%016lx memory %04x.%016lx\n"
                  "host fsw %04x ftw %04x st0 %04x.%016lx st1 %04x.%016lx mem %04x.%016lx rax %lx\n"
                  "ours fsw %04x ftw %04x st0 %04x.%016lx st1 %04x.%016lx mem %04x.%016lx rax %lx",
                  row->def.name, row->def.encoding, n->code[0], n->code[1],
                  generic ? "generic" : "stamped", in->env[0], in->env[1], in->env[2],
                  (u32)load_le(in->st + 8, 2), a[0], (u32)load_le(in->st + 18, 2), a[1],
                  (u32)load_le(in->st + 28, 2), a[2], (u32)load_le(in->operand + 8, 2),
                  load_le(in->operand, 8), host->env[1] & 0xffff, host->env[2] & 0xffff,
                  (u32)load_le(host->st + 8, 2), a[4], (u32)load_le(host->st + 18, 2), a[5],
                  (u32)load_le(host->operand + 8, 2), load_le(host->operand, 8), host->rax,
                  ours->env[1] & 0xffff, ours->env[2] & 0xffff, (u32)load_le(ours->st + 8, 2), a[6],
                  (u32)load_le(ours->st + 18, 2), a[7], (u32)load_le(ours->operand + 8, 2),
                  load_le(ours->operand, 8), ours->rax);
}

/* Values of transcendental functions differ between processors; images hold addresses; FLDCW and
 * others may end with an error pending, which FNSAVE keeps. */
static bool comparable(const struct row *row)
{
    static const char *const not_here[] = {"fsin",   "fcos",   "fsincos", "fptan",   "fpatan",
                                           "f2xm1",  "fyl2x",  "fyl2xp1", "fnstenv", "fnsave",
                                           "fldenv", "frstor", "fwait"};

    for (u32 i = 0; i < ARRAY_SIZE(not_here); i++)
        if (strcmp(row->def.name, not_here[i]) == 0)
            return false;
    return true;
}

static u32 memory_kind(const struct row *row)
{
    if (strncmp(row->def.name, "fb", 2) == 0)
        return 3;
    if (strncmp(row->def.name, "fi", 2) == 0)
        return 2;
    return row->opcode == 0xdb ? 4 : row->opcode >> 2 & 1;
}

/* Did the host compute and underflow where it may? test_x87_host.c looks at the result. */
static bool underflowed(const struct row *row, const struct machine *in, const struct machine *host)
{
    const bool fscale = strcmp(row->def.name, "fscale") == 0;
    struct f80 a, b;

    if (!fscale && strncmp(row->def.name, "fprem", 5) != 0)
        return false;
    memcpy(&a, in->st, 10);
    memcpy(&b, in->st + 10, 10);
    return keeping_may_underflow(fscale, a, b, in->env[ENV_FCW]) && (host->env[ENV_FSW] & FP_UE);
}

static void check_row(const struct row *row, bool memory)
{
    for (u32 i = 0; i < ROUNDS; i++) {
        const struct machine in = random_machine(memory_kind(row));
        struct machine host = in;
        struct native n;

        native_encode(row, memory, false, 0, &n);
        if (row->flags & ROW_STI)
            n.code[n.length - 1] = (u8)(row->modrm_value | random_below(8));
        native_install(&n);
        run_host(&host);
        for (u32 generic = 0; generic < 2; generic++) {
            struct machine ours = in;

            run_guest(&n, &ours, generic);
            if (!underflowed(row, &in, &host))
                check_same(row, &n, &in, &host, &ours, generic);
        }
        ck_assert_mem_eq(&after[0], &after[1], sizeof(after[0]));
    }
}

static void check_family(const struct insn_def *family)
{
    const struct isa *isa = isa_get();
    u32 rows = 0;

    guest->state.seg[SEG_CS].selector = 0x1230;
    guest->state.seg[SEG_DS].selector = 0x4560;
    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);
        bool mine = false;

        for (const struct insn_def *def = family; def->name != NULL; def++)
            mine |= def->exec == row->def.exec && strcmp(def->encoding, row->def.encoding) == 0;
        if (!mine || !comparable(row))
            continue;
        rows++;
        check_row(row, (row->flags & ROW_MODRM) && row->modrm_mask == 0x38);
    }
    ck_assert_uint_gt(rows, 5);
}

START_TEST(arithmetic_and_comparison_match_the_host)
{
    extern const struct insn_def isa_x87[];

    check_family(isa_x87);
}
END_TEST

START_TEST(loads_stores_and_moves_match_the_host)
{
    extern const struct insn_def isa_x87_move[];

    check_family(isa_x87_move);
}
END_TEST

START_TEST(functions_of_the_top_match_the_host)
{
    extern const struct insn_def isa_x87_math[];

    check_family(isa_x87_math);
}
END_TEST

START_TEST(control_instructions_match_the_host)
{
    extern const struct insn_def isa_x87_control[];

    check_family(isa_x87_control);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("x87 native");
    TCase *c = tcase_create("native");

    tcase_add_checked_fixture(c, native_setup, native_teardown);
#if defined(__x86_64__)
    tcase_add_test(c, arithmetic_and_comparison_match_the_host);
    tcase_add_test(c, loads_stores_and_moves_match_the_host);
    tcase_add_test(c, functions_of_the_top_match_the_host);
    tcase_add_test(c, control_instructions_match_the_host);
#endif
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
