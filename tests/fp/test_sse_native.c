/* SPDX-License-Identifier: MIT */
/*
 * Every SSE, AVX, FMA and F16C floating-point row on the host CPU and on ours, both by the generic
 * path (the kernel) and by stamped handlers (host instructions): registers, memory, MXCSR, EFLAGS,
 * in all rounding modes, with DAZ and FTZ, masked and unmasked.
 */
#include "tests/fp/native.h"
#include "tests/fp/vendor.h"
#include "tests/run_suite.h"

#if defined(__x86_64__)

enum { ROUNDS = EFFORT(120) };

struct machine {
    union vec ymm[4];
    u8 operand[32] __attribute__((aligned(32)));
    u64 rcx, rdx, rflags;
    u32 mxcsr;
    bool faulted;
};

static sigjmp_buf after_fault;
static u32 fault_mxcsr;

static void on_fault(int number, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;

    (void)number;
    (void)info;
    fault_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    siglongjmp(after_fault, 1);
}

/* The instruction may use xmm1..3, rcx, rdx and [rsi]. */
static void call_host(struct machine *m)
{
    const u32 quiet = MXCSR_DEFAULT;

    __asm__ volatile(
        "vmovdqu %[y1], %%ymm1\n\tvmovdqu %[y2], %%ymm2\n\tvmovdqu %[y3], %%ymm3\n\t"
        "ldmxcsr %[mxcsr]\n\tpush %[flags]\n\tpopfq\n\tcall *%[code]\n\t"
        "pushfq\n\tpop %[flags]\n\tstmxcsr %[mxcsr]\n\tldmxcsr %[quiet]\n\t"
        "vmovdqu %%ymm1, %[y1]\n\tvzeroupper"
        : [y1] "+m"(m->ymm[1]), [mxcsr] "+m"(m->mxcsr), [flags] "+r"(m->rflags), "+c"(m->rcx),
          "+d"(m->rdx)
        : [y2] "m"(m->ymm[2]), [y3] "m"(m->ymm[3]), [code] "r"(host_code), [quiet] "m"(quiet),
          "S"(m->operand)
        : "memory", "cc", "xmm1", "xmm2", "xmm3", "xmm0", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
          "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void run_host(struct machine *m)
{
    const struct machine before = *m;

    m->faulted = sigsetjmp(after_fault, 1) != 0;
    if (!m->faulted) {
        call_host(m);
    } else {
        *m = before;
        m->mxcsr = fault_mxcsr;
        m->faulted = true;
    }
}

static void run_guest(const struct native *n, struct machine *m, bool generic)
{
    struct cpu_state *s = &guest->state;
    const u32 host = mxcsr_enter(guest);

    for (u32 i = 1; i < 4; i++)
        s->ymm[i] = m->ymm[i];
    memory_write(guest_memory, (hpa_t){OPERAND_ADDRESS}, m->operand, sizeof(m->operand));
    s->reg[REG_RCX] = m->rcx;
    s->reg[REG_RDX] = m->rdx;
    mxcsr_write(guest, m->mxcsr);
    flags_load(guest, m->rflags);
    m->faulted = !native_run_guest(n, generic);
    if (m->faulted)
        ck_assert_int_eq(guest->event.vector, VEC_XM);
    mxcsr_leave(guest, host);
    m->ymm[1] = s->ymm[1];
    memory_read(guest_memory, (hpa_t){OPERAND_ADDRESS}, m->operand, sizeof(m->operand));
    m->rcx = s->reg[REG_RCX];
    m->mxcsr = s->mxcsr;
    m->rflags = flags_arith(guest);
}

static void random_operand(union vec *v, u32 kind)
{
    for (u32 i = 0; i < 8; i++) {
        if (kind == 0)
            v->d[i] = random_f32();
        else if (kind == 1 && i < 4)
            v->q[i] = random_f64();
        else if (kind == 2)
            v->w[2 * i] = (u16)random_ieee(10, 0x1f), v->w[2 * i + 1] = (u16)random_ieee(10, 0x1f);
        else if (kind == 3)
            v->d[i] = (u32)(random_significand() >> random_below(64));
    }
}

/* Plausible numbers for whatever the row reads. */
static struct machine random_machine(u32 kind)
{
    struct machine m = {.rflags = 0x202 | (random64() & 0x8d5), .mxcsr = MXCSR_DEFAULT};
    union vec operand;

    for (u32 i = 1; i < 4; i++)
        random_operand(&m.ymm[i], kind);
    random_operand(&operand, kind);
    memcpy(m.operand, &operand, sizeof(m.operand));
    m.rcx = random64();
    m.rdx = random_significand() >> random_below(64);
    if (random_below(3) == 0) /* repeated operands: equal values, ties */
        m.ymm[2] = m.ymm[1];
    if (random_below(2)) {
        m.mxcsr |= (u32)random_below(4) << MXCSR_RC_SHIFT;
        if (random_below(3) == 0)
            m.mxcsr |= MXCSR_DAZ;
        if (random_below(3) == 0)
            m.mxcsr |= MXCSR_FTZ;
        if (random_below(4) == 0)
            m.mxcsr &= ~((u32)random_below(64) << MXCSR_MASKS_SHIFT);
    }
    if (random_below(4) == 0)
        m.mxcsr |= (u32)random_below(64);
    return m;
}

static void check_same(const struct row *row, const struct machine *in, const struct machine *host,
                       const struct machine *ours, bool generic, u8 imm)
{
    const bool same = memcmp(&host->ymm[1], &ours->ymm[1], 32) == 0 &&
                      memcmp(host->operand, ours->operand, 32) == 0 && host->rcx == ours->rcx &&
                      host->mxcsr == ours->mxcsr && host->faulted == ours->faulted &&
                      !((host->rflags ^ ours->rflags) & FLAGS_ARITH);
    const union vec *a = &in->ymm[1], *b = &in->ymm[2], *c = &in->ymm[3], *h = &host->ymm[1],
                    *o = &ours->ymm[1];

    ck_assert_msg(
        same,
        "%s \"%s\" imm %02x %s mxcsr %04x fault %d/%d\n1 %016lx %016lx\n2 %016lx %016lx\n3 "
        "%016lx %016lx\nhost %016lx %016lx rcx %lx mxcsr %04x flags %lx\nours %016lx "
        "%016lx rcx %lx mxcsr %04x flags %lx",
        row->def.name, row->def.encoding, imm, generic ? "generic" : "stamped", in->mxcsr,
        host->faulted, ours->faulted, a->q[1], a->q[0], b->q[1], b->q[0], c->q[1], c->q[0], h->q[1],
        h->q[0], host->rcx, host->mxcsr, host->rflags & FLAGS_ARITH, o->q[1], o->q[0], ours->rcx,
        ours->mxcsr, ours->rflags);
}

/* Make ours like the host's where it may differ (tests/fp/vendor.h). */
static void level(const struct row *row, bool memory, u8 imm, const struct machine *in,
                  const struct machine *host, struct machine *ours)
{
    const union vec *a = &in->ymm[row->flags & ROW_VEX ? 3 : 1];
    const u8 *b = memory ? in->operand : in->ymm[2].b;

    if (strstr(row->def.name, "dpp") != NULL)
        level_dot(host->ymm[1].b, ours->ymm[1].b, a->b, b, imm,
                  strstr(row->def.name, "ps") ? 4 : 8);
    if (strcmp(row->def.name, "vcvtps2ph") == 0 && host->faulted &&
        half_may_be_inexact(in->ymm[1].b, row_takes(row, ACCEPT_L0) ? 4 : 8, host->mxcsr))
        ours->mxcsr |= host->mxcsr & FP_PE;
}

/* Estimates are our own choice, and MXCSR, MMX and general operand forms are not for this test. */
static bool comparable(const struct row *row)
{
    if (strstr(row->def.name, "rcp") || strstr(row->def.name, "rsqrt") ||
        strstr(row->def.name, "mxcsr") || (row->def.attr & MMX))
        return false;
    if (row->flags & ROW_VEX)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && host_has_f16c();
    return __builtin_cpu_supports("sse4.1");
}

static void check_row(const struct row *row, bool memory)
{
    const char *name = row->def.name;
    const u32 home = strstr(name, "ph2ps")                      ? 2
                     : strstr(name, "dq2p")                     ? 3
                     : strstr(name, "pd") || strstr(name, "sd") ? 1
                                                                : 0;

    for (u32 i = 0; i < ROUNDS; i++) {
        const u8 imm = (u8)random64();
        const u32 kind = random_below(12) ? home : random_below(2);
        const struct machine in = random_machine(kind);
        struct machine host = in;
        struct native n;

        native_encode(row, memory, random_below(2), imm, &n);
        native_install(&n);
        run_host(&host);
        for (u32 generic = 0; generic < 2; generic++) {
            struct machine ours = in;

            run_guest(&n, &ours, generic);
            level(row, memory, imm, &in, &host, &ours);
            check_same(row, &in, &host, &ours, generic, imm);
        }
    }
}

static void check_family(const struct insn_def *family)
{
    const struct isa *isa = isa_get();
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    u32 rows = 0;

    sigaction(SIGFPE, &action, NULL);
    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);
        bool mine = false;

        for (const struct insn_def *def = family; def->name != NULL; def++)
            mine |= def->exec == row->def.exec && strcmp(def->encoding, row->def.encoding) == 0;
        if (!mine || !comparable(row))
            continue;
        rows++;
        if (row_takes(row, ACCEPT_REG))
            check_row(row, false);
        if (row_takes(row, ACCEPT_MEM))
            check_row(row, true);
    }
    if (__builtin_cpu_supports("avx2"))
        ck_assert_uint_gt(rows, 8);
}

START_TEST(arithmetic_and_comparison_match_the_host)
{
    extern const struct insn_def isa_sse_fp[];

    check_family(isa_sse_fp);
}
END_TEST

START_TEST(conversions_match_the_host)
{
    extern const struct insn_def isa_sse_fp_convert[];

    check_family(isa_sse_fp_convert);
}
END_TEST

START_TEST(rounding_and_dot_products_match_the_host)
{
    extern const struct insn_def isa_sse_fp_more[];

    check_family(isa_sse_fp_more);
}
END_TEST

START_TEST(fma_and_f16c_match_the_host)
{
    extern const struct insn_def isa_avx_fp[];

    check_family(isa_avx_fp);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("sse native");
    TCase *c = tcase_create("native");

    tcase_add_checked_fixture(c, native_setup, native_teardown);
#if defined(__x86_64__)
    tcase_add_test(c, arithmetic_and_comparison_match_the_host);
    tcase_add_test(c, conversions_match_the_host);
    tcase_add_test(c, rounding_and_dot_products_match_the_host);
    tcase_add_test(c, fma_and_f16c_match_the_host);
#endif
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
