/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions: every row of the MMX, SSE, AVX and crypto families does what the host's
 * instruction does, on both paths; faults and partial results; the save areas.
 */
#include "cpu/control.h"
#include "cpu/encoding.h"
#include "cpu/isa/isa.h"
#include "cpu/xstate.h"
#include "tests/isa/rig.h"

enum { ROUNDS = 24, WINDOW = 256, OPERAND = DATA + 64 };

static void enter_simd(void)
{
    enter_64();
    v->state.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PKE;
    v->state.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU;
    mode_update(v);
}

/* ---- one instruction, on registers 0 to 3 and the bytes at RSI ---- */

/* What an instruction of the samples can see and change. */
struct machine {
    union vec ymm[4];
    u64 mm[4]; /* 1 and 2 are used */
    u64 rax, rcx, rdx, flags;
    u8 memory[WINDOW]; /* RSI and RDI point 64 bytes into it */
};

struct sample {
    u8 bytes[16];
    unsigned length;
};

static void put_byte(struct sample *s, unsigned byte)
{
    s->bytes[s->length++] = (u8)byte;
}

static unsigned prefix_code(const struct row *row)
{
    return (unsigned)__builtin_ctz(row->accept & ACCEPT_PREFIX); /* 0 none, 1 66, 2 F3, 3 F2 */
}

static void put_opcode(struct sample *s, const struct row *row)
{
    static const u8 prefixes[] = {0, 0x66, 0xf3, 0xf2};
    static const u8 vex_pp[] = {0, 1, 2, 3};
    const unsigned w = (row->accept & ACCEPT_W0) == 0, l = (row->accept & ACCEPT_L0) == 0;

    if (row->flags & ROW_VEX) {
        put_byte(s, 0xc4);
        put_byte(s, 0xe0u | (row->map - MAP_VEX + 1u));
        put_byte(s, w << 7 | ((row->flags & ROW_VVVV) ? 12u : 15u) << 3 | l << 2 |
                        vex_pp[prefix_code(row)]);
    } else {
        if (prefix_code(row) != 0)
            put_byte(s, prefixes[prefix_code(row)]);
        if (w)
            put_byte(s, 0x48);
        put_byte(s, 0x0f);
        if (row->map == MAP_0F38)
            put_byte(s, 0x38);
        if (row->map == MAP_0F3A)
            put_byte(s, 0x3a);
    }
    put_byte(s, row->opcode);
}

/* Register 1 in reg, 2 in rm, 3 in vvvv; memory is [rsi], or [rsi + xmm0 * 4]. */
static struct sample make_sample(const struct row *row, bool memory_form, u8 imm)
{
    const unsigned reg = row->modrm_mask != 0 ? row->modrm_value >> 3 & 7 : 1;
    struct sample s = {.length = 0};

    put_opcode(&s, row);
    if (row->flags & ROW_VSIB) {
        put_byte(&s, reg << 3 | 4);
        put_byte(&s, 2 << 6 | 0 << 3 | 6);
    } else if (row->flags & ROW_MODRM) {
        put_byte(&s, memory_form ? reg << 3 | 6 : 0xc0 | reg << 3 | 2);
    }
    if (row->count == 4 && row->operand[3].kind == OPERAND_VEC_IMM)
        imm &= 0x3f; /* a register number, in bits 7:4 */
    if (row->imm[0] != IMM_NONE)
        put_byte(&s, imm);
    return s;
}

/* ---- ours ---- */

static void load_machine(const struct machine *m)
{
    memcpy(v->state.ymm, m->ymm, sizeof(m->ymm));
    for (unsigned i = 0; i < 4; i++)
        v->state.fpu.st[i].mant = m->mm[i];
    v->state.reg[REG_RAX] = m->rax;
    v->state.reg[REG_RCX] = m->rcx;
    v->state.reg[REG_RDX] = m->rdx;
    v->state.reg[REG_RSI] = v->state.reg[REG_RDI] = OPERAND;
    v->state.reg[REG_RIP] = CODE;
    v->state.activity = ACTIVITY_ACTIVE;
    rflags_set(v, m->flags);
    put(DATA, m->memory, WINDOW);
}

static void store_machine(struct machine *m)
{
    memcpy(m->ymm, v->state.ymm, sizeof(m->ymm));
    for (unsigned i = 0; i < 4; i++)
        m->mm[i] = v->state.fpu.st[i].mant;
    m->rax = v->state.reg[REG_RAX];
    m->rcx = v->state.reg[REG_RCX];
    m->rdx = v->state.reg[REG_RDX];
    m->flags = rflags_get(v) & FLAGS_ARITH;
    memory_read(memory, (hpa_t){DATA}, m->memory, WINDOW);
}

/* Through the run loop, so with the stamped handler if there is one. */
static void run_stamped(struct machine *m, const struct sample *s)
{
    u8 bytes[17];

    memcpy(bytes, s->bytes, s->length);
    bytes[s->length] = 0xf4; /* HLT */
    load_machine(m);
    run_program((const char *)bytes, s->length + 1);
    store_machine(m);
}

static bool run_generic_path(struct machine *m, const struct sample *s)
{
    struct insn in;
    struct operands x;
    bool ok;

    load_machine(m);
    ck_assert_int_eq(decode(v, s->bytes, sizeof(s->bytes), &in), DECODE_OK);
    ck_assert_uint_eq(in.len, s->length);
    v->alone = true;
    ok = operands_load(v, &in, &x) && in.def->exec(v, &in, &x) && operands_store(v, &in, &x);
    v->alone = false;
    store_machine(m);
    return ok;
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdio.h>
#include <sys/mman.h>

/* ---- the host's ---- */

static u8 *host_code;
static u8 host_memory[WINDOW] __attribute__((aligned(64)));

/* Feature of a row on the host, or false. */
static bool host_has(enum cpu_feature feature)
{
    static const struct {
        enum cpu_feature feature;
        u8 leaf, reg, bit; /* reg: 1 EBX, 2 ECX, 3 EDX */
    } bits[] = {
        {F_MMX, 1, 3, 23},   {F_SSE, 1, 3, 25},  {F_SSE2, 1, 3, 26},    {F_SSE3, 1, 2, 0},
        {F_PCLMUL, 1, 2, 1}, {F_SSSE3, 1, 2, 9}, {F_SSE41, 1, 2, 19},   {F_SSE42, 1, 2, 20},
        {F_AES, 1, 2, 25},   {F_AVX, 1, 2, 28},  {F_AVX2, 7, 1, 5},     {F_SHA, 7, 1, 29},
        {F_GFNI, 7, 2, 8},   {F_VAES, 7, 2, 9},  {F_VPCLMUL, 7, 2, 10},
    };
    u32 r[4];

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        if (bits[i].feature == feature &&
            __get_cpuid_count(bits[i].leaf, 0, &r[0], &r[1], &r[2], &r[3]))
            return (r[bits[i].reg] >> bits[i].bit & 1) != 0;
    }
    return false;
}

static void run_native(struct machine *m, const struct sample *s)
{
    memcpy(host_code, s->bytes, s->length);
    host_code[s->length] = 0xc3;
    memcpy(host_memory, m->memory, WINDOW);
    register struct machine *state __asm__("r8") = m;
    register u8 *target __asm__("r9") = host_code;

    __asm__ volatile("sub $128, %%rsp\n"
                     "vmovdqu 0(%%r8), %%ymm0\n vmovdqu 32(%%r8), %%ymm1\n"
                     "vmovdqu 64(%%r8), %%ymm2\n vmovdqu 96(%%r8), %%ymm3\n"
                     "movq 136(%%r8), %%mm1\n movq 144(%%r8), %%mm2\n"
                     "push 184(%%r8)\n popf\n"
                     "mov 160(%%r8), %%rax\n mov 168(%%r8), %%rcx\n mov 176(%%r8), %%rdx\n"
                     "call *%%r9\n"
                     "mov %%rax, 160(%%r8)\n mov %%rcx, 168(%%r8)\n mov %%rdx, 176(%%r8)\n"
                     "pushf\n pop 184(%%r8)\n"
                     "movq %%mm1, 136(%%r8)\n movq %%mm2, 144(%%r8)\n emms\n"
                     "vmovdqu %%ymm0, 0(%%r8)\n vmovdqu %%ymm1, 32(%%r8)\n"
                     "vmovdqu %%ymm2, 64(%%r8)\n vmovdqu %%ymm3, 96(%%r8)\n vzeroall\n"
                     "add $128, %%rsp\n"
                     :
                     : "S"(host_memory + 64), "D"(host_memory + 64), "r"(state), "r"(target)
                     : "memory", "cc", "rax", "rcx", "rdx");
}

static void randomise(struct machine *m, const struct row *row, unsigned round)
{
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 4; k++)
            m->ymm[i].q[k] = any();
        m->mm[i] = any();
    }
    for (unsigned i = 0; i < WINDOW; i++)
        m->memory[i] = (u8)(any() >> 20);
    if (round % 4 == 1) { /* shift counts, small elements */
        m->ymm[2].q[0] = m->mm[2] = any() % 70;
        store_le(m->memory + 64, any() % 70, 8);
        for (unsigned k = 0; k < 8; k++)
            m->ymm[2].d[k] &= 0x0f0f003f;
    } else if (round % 4 == 2) { /* equal elements, zeros among them */
        for (unsigned k = 0; k < 32; k++) {
            m->ymm[1].b[k] &= 3;
            m->ymm[2].b[k] = any() % 3 != 0 ? m->ymm[1].b[k] : (u8)(any() % 4);
            m->ymm[3].b[k] = any() % 3 != 0 ? m->ymm[2].b[k] : (u8)any();
            m->memory[64 + k] = m->ymm[2].b[k];
        }
        m->mm[1] = m->ymm[1].q[0];
        m->mm[2] = m->ymm[2].q[0];
    } else if (round % 4 == 3) { /* extremes */
        for (unsigned k = 0; k < 16; k++) {
            m->ymm[1].w[k] = any() % 2 ? 0x8000 : 0x7fff;
            m->ymm[2].w[k] = any() % 2 ? 0x8000 : 0xffff;
            store_le(m->memory + 64 + 2 * k, m->ymm[2].w[k], 2);
        }
    }
    if (row->flags & ROW_VSIB) { /* indices of elements within reach */
        const bool wide = (row->opcode & 1) != 0;

        for (unsigned k = 0; k < 8; k++)
            m->ymm[0].d[k] = wide && k % 2 != 0 ? 0 : (u32)(any() % 16);
    }
    m->rax = any() % 3 == 0 ? any() % 40 : 0 - any() % 20;
    m->rdx = any() % 3 == 0 ? any() : any() % 20;
    m->rcx = any();
    m->flags = 2;
}

static void name_failure(const struct row *row, const struct sample *s, const char *path)
{
    char text[64] = "";

    for (unsigned i = 0; i < s->length; i++)
        snprintf(text + 3 * i, sizeof(text) - 3 * i, "%02x ", s->bytes[i]);
    fprintf(stderr, "%s (%s %s), %s path: %s\n", row->def.name, row->def.encoding,
            row->def.operands, path, text);
}

static bool same(const struct row *row, const struct sample *s, const struct machine *got,
                 const struct machine *want, const char *path)
{
    const u64 flags = row->def.flags_written;
    bool equal = memcmp(got->ymm, want->ymm, sizeof(got->ymm)) == 0 && got->mm[1] == want->mm[1] &&
                 got->mm[2] == want->mm[2] && got->rax == want->rax && got->rcx == want->rcx &&
                 got->rdx == want->rdx && ((got->flags ^ want->flags) & flags) == 0 &&
                 memcmp(got->memory, want->memory, WINDOW) == 0;

    if (!equal)
        name_failure(row, s, path);
    return equal;
}

/* The number of comparisons that failed. */
static unsigned compare_form(const struct row *row, bool memory_form)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        const struct sample s = make_sample(row, memory_form, (u8)(any() >> 11));
        struct machine start, native, ours;

        randomise(&start, row, round);
        native = ours = start;
        run_native(&native, &s);
        memcpy(native.memory, host_memory, WINDOW);
        run_stamped(&ours, &s);
        if (!same(row, &s, &ours, &native, "stamped"))
            return 1;
        ours = start;
        ck_assert(run_generic_path(&ours, &s));
        if (!same(row, &s, &ours, &native, "generic"))
            return 1;
    }
    return 0;
}

static void compare_family(const struct insn_def *defs)
{
    unsigned failures = 0, compared = 0;

    host_code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(host_code != MAP_FAILED);
    enter_simd();
    for (; defs->name != NULL; defs++) {
        struct row row;
        struct error error;

        ck_assert_msg(row_parse(defs, &row, &error), "%s", error.text);
        if (!host_has(defs->feature) || !host_has(F_AVX))
            continue;
        if (row.accept & ACCEPT_REG)
            failures += compare_form(&row, false);
        if ((row.flags & ROW_MODRM) && (row.accept & ACCEPT_MEM))
            failures += compare_form(&row, true);
        compared++;
    }
    munmap(host_code, PAGE_SIZE);
    ck_assert_msg(failures == 0, "%u of %u rows differ from the host", failures, compared);
}

#define FAMILY_TEST(family)                                                                        \
    START_TEST(family##_rows_do_what_the_host_does)                                                \
    {                                                                                              \
        compare_family(isa_##family);                                                              \
    }                                                                                              \
    END_TEST
FAMILY_TEST(mmx)
FAMILY_TEST(sse_move)
FAMILY_TEST(sse_int)
FAMILY_TEST(sse_str)
FAMILY_TEST(crypto)
FAMILY_TEST(avx_int)
FAMILY_TEST(avx_move)
FAMILY_TEST(avx_perm)

#endif

/* ---- faults ---- */

static struct sample sample_of(const char *bytes, unsigned length)
{
    struct sample s = {.length = length};

    memcpy(s.bytes, bytes, length);
    return s;
}

static bool run_at(const struct sample *s, u64 rsi)
{
    struct insn in;
    struct operands x;
    bool ok;

    v->state.reg[REG_RSI] = v->state.reg[REG_RDI] = rsi;
    v->state.reg[REG_RIP] = CODE;
    v->event.kind = EVENT_NONE;
    ck_assert_int_eq(decode(v, s->bytes, sizeof(s->bytes), &in), DECODE_OK);
    v->alone = true;
    ok = operands_load(v, &in, &x) && in.def->exec(v, &in, &x) && operands_store(v, &in, &x);
    v->alone = false;
    return ok;
}

static bool runs(const char *bytes, unsigned length, u64 rsi)
{
    const struct sample s = sample_of(bytes, length);

    return run_at(&s, rsi);
}
#define RUNS(bytes, rsi) runs(bytes, sizeof(bytes) - 1, rsi)

static void check_raises(const char *bytes, unsigned length, u64 rsi, enum vector vector)
{
    const struct sample s = sample_of(bytes, length);

    ck_assert(!run_at(&s, rsi));
    ck_assert_uint_eq(v->event.kind, EVENT_EXCEPTION);
    ck_assert_uint_eq(v->event.vector, vector);
}
#define RAISES(bytes, rsi, vector) check_raises(bytes, sizeof(bytes) - 1, rsi, vector)

/* The last page below 4 MiB is not mapped. */
enum { HOLE = RAM - PAGE_SIZE };

START_TEST(legacy_sse_memory_operands_must_be_aligned)
{
    enter_simd();
    RAISES("\x66\x0f\xfc\x06", DATA + 8, VEC_GP); /* paddb xmm0, [rsi] */
    RAISES("\x0f\x28\x06", DATA + 8, VEC_GP); /* movaps */
    ck_assert(RUNS("\x0f\x10\x06", DATA + 8)); /* movups */
    ck_assert(RUNS("\x66\x0f\x38\x20\x06", DATA + 1)); /* pmovsxbw */
    ck_assert(RUNS("\xc5\xf9\xfc\x06", DATA + 8)); /* vpaddb */
    RAISES("\xc5\xfd\x6f\x06", DATA + 16, VEC_GP); /* vmovdqa ymm0 */
}
END_TEST

START_TEST(masked_out_elements_do_not_fault)
{
    enter_simd();
    v->state.ymm[1] = (union vec){.d = {~0u, ~0u, 0, 0}};
    put(HOLE - 8, &(u64){0x1122334455667788}, 8);
    /* vpmaskmovd xmm2, xmm1, [rsi]: two elements before the hole, two in it */
    ck_assert(RUNS("\xc4\xe2\x71\x8c\x16", HOLE - 8));
    ck_assert_uint_eq(v->state.ymm[2].q[0], 0x1122334455667788);
    ck_assert_uint_eq(v->state.ymm[2].q[1], 0);
    v->state.ymm[1].d[2] = ~0u;
    RAISES("\xc4\xe2\x71\x8c\x16", HOLE - 8, VEC_PF);
}
END_TEST

START_TEST(a_masked_store_that_faults_stores_nothing)
{
    enter_simd();
    v->state.ymm[1] = (union vec){.d = {~0u, ~0u, ~0u, ~0u}};
    v->state.ymm[2] = (union vec){.q = {1, 2}};
    put(HOLE - 8, &(u64){77}, 8);
    RAISES("\xc4\xe2\x71\x8e\x16", HOLE - 8, VEC_PF); /* vpmaskmovd [rsi], xmm1, xmm2 */
    ck_assert_uint_eq(get(HOLE - 8, 8), 77);
}
END_TEST

START_TEST(maskmovdqu_writes_the_selected_bytes)
{
    enter_simd();
    put(HOLE - 8, &(u64){0}, 8);
    v->state.ymm[0] = (union vec){.q = {0x1716151413121110, 0}};
    v->state.ymm[1] = (union vec){.q = {0x8000000000800080, 0}};
    ck_assert(RUNS("\x66\x0f\xf7\xc1", HOLE - 8));
    ck_assert_uint_eq(get(HOLE - 8, 8), 0x1700000000120010);
}
END_TEST

START_TEST(a_gather_that_faults_keeps_what_is_complete)
{
    enter_simd();
    v->state.ymm[0] = (union vec){.q = {0, 8}}; /* indices */
    v->state.ymm[1] = (union vec){.q = {5, 6}};
    v->state.ymm[3] = (union vec){.q = {~(u64)0, ~(u64)0}};
    put(HOLE - 8, &(u64){99}, 8);
    RAISES("\xc4\xe2\xe1\x91\x0c\x06", HOLE - 8, VEC_PF); /* vpgatherqq xmm1, [rsi+xmm0], xmm3 */
    ck_assert_uint_eq(v->state.ymm[1].q[0], 99);
    ck_assert_uint_eq(v->state.ymm[1].q[1], 6);
    ck_assert_uint_eq(v->state.ymm[3].q[0], 0);
    ck_assert_uint_eq(v->state.ymm[3].q[1], ~(u64)0);
}
END_TEST

START_TEST(a_gather_that_faults_extends_its_mask)
{
    enter_simd();
    v->state.ymm[0] = (union vec){.q = {0, 8}};
    v->state.ymm[1] = (union vec){.q = {5, 6}};
    v->state.ymm[3] = (union vec){.d = {BIT(31) | 1, 2, BIT(31), 3, BIT(31)}};
    /* vpgatherqd xmm1, [rsi+xmm0], xmm3: the first of two elements faults */
    RAISES("\xc4\xe2\x61\x91\x0c\x06", HOLE, VEC_PF);
    ck_assert_uint_eq(v->state.ymm[1].q[0], 5);
    ck_assert_uint_eq(v->state.ymm[3].q[0], 0xffffffff);
    ck_assert_uint_eq(v->state.ymm[3].q[1], 0);
    ck_assert_uint_eq(v->state.ymm[3].q[2], 0);
}
END_TEST

START_TEST(a_gather_with_equal_registers_is_undefined)
{
    enter_simd();
    RAISES("\xc4\xe2\xf1\x91\x0c\x06", DATA, VEC_UD); /* vpgatherqq xmm1, [rsi+xmm0], xmm1 */
}
END_TEST

START_TEST(legacy_forms_keep_the_upper_half_and_vex_forms_clear_it)
{
    enter_simd();
    v->state.ymm[1] = (union vec){.q = {1, 2, 3, 4}};
    ck_assert(RUNS("\x66\x0f\xfc\xca", DATA)); /* paddb xmm1, xmm2 */
    ck_assert_uint_eq(v->state.ymm[1].q[3], 4);
    ck_assert(RUNS("\xc5\xf1\xfc\xca", DATA)); /* vpaddb xmm1, xmm1, xmm2 */
    ck_assert_uint_eq(v->state.ymm[1].q[3], 0);
}
END_TEST

START_TEST(mmx_use_makes_all_tags_valid_and_emms_empties_them)
{
    enter_simd();
    v->state.fpu.ftw = 0;
    v->state.fpu.fsw = 5 << 11;
    ck_assert(RUNS("\x0f\x6e\xca", DATA)); /* movd mm1, edx */
    ck_assert_uint_eq(v->state.fpu.ftw, 0xff);
    ck_assert_uint_eq(v->state.fpu.fsw, 0);
    ck_assert_uint_eq(v->state.fpu.st[1].se, 0xffff);
    ck_assert(RUNS("\x0f\x77", DATA));
    ck_assert_uint_eq(v->state.fpu.ftw, 0);
}
END_TEST

/* ---- save areas ---- */

#define FXSAVE64 "\x48\x0f\xae\x06"
#define FXRSTOR64 "\x48\x0f\xae\x0e"
#define XSAVE64 "\x48\x0f\xae\x26"
#define XRSTOR64 "\x48\x0f\xae\x2e"
#define XSAVEOPT64 "\x48\x0f\xae\x36"
#define XSAVEC64 "\x48\x0f\xc7\x26"
#define XSAVES64 "\x48\x0f\xc7\x2e"
#define XRSTORS64 "\x48\x0f\xc7\x1e"

static void random_vectors(void)
{
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned k = 0; k < 4; k++)
            v->state.ymm[i].q[k] = any();
    }
    for (unsigned i = 0; i < 8; i++)
        v->state.fpu.st[i] = (struct f80){.mant = any(), .se = (u16)any()};
    v->state.fpu.fcw = 0x27f;
    v->state.fpu.fsw = 3 << 11;
    v->state.fpu.ftw = 0x5a;
    v->state.fpu.fop = 0x123;
    v->state.fpu.fip = any();
    v->state.fpu.fdp = any();
    v->state.mxcsr = 0x1fa0;
    v->state.pkru = 0x50;
}

static void request(u64 components)
{
    v->state.reg[REG_RAX] = (u32)components;
    v->state.reg[REG_RDX] = components >> 32;
}

static void clear_area(void)
{
    static const u8 zeros[PAGE_SIZE];

    put(DATA, zeros, PAGE_SIZE);
}

static void check_round_trip(const char *save, const char *restore, unsigned save_length)
{
    static struct cpu_state saved;
    const struct sample s = sample_of(save, save_length), r = sample_of(restore, save_length);

    enter_simd();
    random_vectors();
    clear_area();
    request(~(u64)0);
    saved = v->state;
    ck_assert(run_at(&s, DATA));
    random_vectors();
    v->state.fpu.fsw = 0;
    v->state.fpu.fcw = 0x37f;
    v->state.pkru = 0;
    ck_assert(run_at(&r, DATA));
    ck_assert_mem_eq(v->state.ymm, saved.ymm, sizeof(saved.ymm));
    ck_assert_mem_eq(&v->state.fpu, &saved.fpu, sizeof(saved.fpu));
    ck_assert_uint_eq(v->state.mxcsr, saved.mxcsr);
    ck_assert_uint_eq(v->state.pkru, saved.pkru);
}
#define ROUND_TRIP(save, restore) check_round_trip(save, restore, sizeof(save) - 1)

START_TEST(what_xsave_saves_xrstor_restores)
{
    ROUND_TRIP(XSAVE64, XRSTOR64);
    ck_assert_uint_eq(get(DATA + 512, 8), 0x207);
    ck_assert_uint_eq(get(DATA + 520, 8), 0);
    ck_assert_uint_eq(get(DATA + 2688, 4), 0x50);
}
END_TEST

START_TEST(what_xsavec_saves_xrstor_restores)
{
    ROUND_TRIP(XSAVEC64, XRSTOR64);
    ck_assert_uint_eq(get(DATA + 512, 8), 0x207);
    ck_assert_uint_eq(get(DATA + 520, 8), BIT(63) | 0x207);
    ck_assert_uint_eq(get(DATA + 832, 4), 0x50); /* right behind AVX */
}
END_TEST

START_TEST(what_xsaves_saves_xrstors_restores)
{
    ROUND_TRIP(XSAVES64, XRSTORS64);
}
END_TEST

START_TEST(what_fxsave_saves_fxrstor_restores)
{
    union vec first;

    enter_simd();
    random_vectors();
    clear_area();
    first = v->state.ymm[9];
    ck_assert(RUNS(FXSAVE64, DATA));
    ck_assert_uint_eq(get(DATA + 4, 1), 0x5a);
    ck_assert_uint_eq(get(DATA + 24, 8), (u64)0xffff << 32 | 0x1fa0);
    ck_assert_uint_eq(get(DATA + 32, 8), v->state.fpu.st[3].mant); /* ST(0), as TOP is 3 */
    random_vectors();
    ck_assert(RUNS(FXRSTOR64, DATA));
    ck_assert_mem_eq(v->state.ymm[9].b, first.b, 16);
}
END_TEST

START_TEST(xsaveopt_leaves_initial_components_alone)
{
    enter_simd();
    clear_area();
    put(DATA + 576, &(u64){1234}, 8);
    put(DATA + 512, &(u64){0xff}, 8);
    memset(v->state.ymm, 0, sizeof(v->state.ymm));
    v->state.ymm[2].q[0] = 1;
    v->state.fpu = (struct fpu_state){.fcw = 0x37f};
    v->state.pkru = 0;
    request(7);
    ck_assert(RUNS(XSAVEOPT64, DATA));
    ck_assert_uint_eq(get(DATA + 512, 8), 0xf8 | 2);
    ck_assert_uint_eq(get(DATA + 576, 8), 1234);
    ck_assert_uint_eq(get(DATA + 160 + 32, 8), 1);
}
END_TEST

START_TEST(components_that_are_not_requested_are_not_touched)
{
    u64 kept;

    enter_simd();
    random_vectors();
    clear_area();
    kept = v->state.ymm[3].q[2];
    request(3);
    ck_assert(RUNS(XSAVE64, DATA));
    ck_assert_uint_eq(get(DATA + 512, 8), 3);
    put(DATA + 512, &(u64){0}, 8);
    ck_assert(RUNS(XRSTOR64, DATA)); /* SSE and x87 go to their initial state */
    ck_assert_uint_eq(v->state.ymm[3].q[0], 0);
    ck_assert_uint_eq(v->state.ymm[3].q[2], kept);
    ck_assert_uint_eq(v->state.fpu.fcw, 0x37f);
    ck_assert_uint_eq(v->state.mxcsr, 0x1fa0); /* standard format: from memory all the same */
}
END_TEST

START_TEST(xrstor_checks_the_header)
{
    enter_simd();
    clear_area();
    request(7);
    put(DATA + 24, &(u64){0x1f80}, 4);
    ck_assert(RUNS(XRSTOR64, DATA));
    RAISES(XRSTOR64, DATA + 32, VEC_GP); /* 64-byte alignment */
    put(DATA + 512, &(u64){8}, 8); /* a component that XCR0 does not have */
    RAISES(XRSTOR64, DATA, VEC_GP);
    put(DATA + 512, &(u64){4}, 8);
    put(DATA + 520, &(u64){BIT(63) | 3}, 8); /* present, but not in XCOMP_BV */
    RAISES(XRSTOR64, DATA, VEC_GP);
    put(DATA + 520, &(u64){BIT(63) | 7}, 8);
    ck_assert(RUNS(XRSTOR64, DATA));
    put(DATA + 560, &(u64){1}, 8);
    RAISES(XRSTOR64, DATA, VEC_GP);
    put(DATA + 560, &(u64){0}, 8);
    put(DATA + 520, &(u64){7}, 8);
    RAISES(XRSTOR64, DATA, VEC_GP);
    put(DATA + 520, &(u64){0}, 8);
    RAISES(XRSTORS64, DATA, VEC_GP); /* takes the compacted format only */
}
END_TEST

START_TEST(reserved_mxcsr_bits_are_refused)
{
    enter_simd();
    clear_area();
    put(DATA + 24, &(u64){0x11f80}, 4);
    RAISES(FXRSTOR64, DATA, VEC_GP);
    request(2);
    RAISES(XRSTOR64, DATA, VEC_GP);
    RAISES(FXRSTOR64, DATA + 8, VEC_GP); /* 16-byte alignment */
}
END_TEST

START_TEST(outside_64_bit_mode_eight_registers_are_saved)
{
    enter_simd();
    enter_32();
    v->state.cr4 |= CR4_OSFXSR;
    random_vectors();
    clear_area();
    put(DATA + 288, &(u64){55}, 8);
    ck_assert(RUNS("\x0f\xae\x06", DATA)); /* fxsave [esi] */
    ck_assert_uint_eq(get(DATA + 160 + 7 * 16, 8), v->state.ymm[7].q[0]);
    ck_assert_uint_eq(get(DATA + 288, 8), 55);
    ck_assert_uint_eq(get(DATA + 8, 4), (u32)v->state.fpu.fip);
}
END_TEST

/* APM Vol 2 3.1.7: EFER.FFXSR, in 64-bit mode at CPL 0. */
START_TEST(fast_fxsave_leaves_xmm_registers_out)
{
    enter_simd();
    random_vectors();
    clear_area();
    v->state.efer |= EFER_FFXSR;
    ck_assert(RUNS(FXSAVE64, DATA));
    ck_assert_uint_eq(get(DATA + 160, 8), 0);
    ck_assert_uint_eq(get(DATA + 24, 4), 0x1fa0);
}
END_TEST

START_TEST(state_instructions_obey_the_control_registers)
{
    enter_simd();
    v->state.cr0 |= CR0_TS;
    RAISES(FXSAVE64, DATA, VEC_NM);
    RAISES(XSAVE64, DATA, VEC_NM);
    v->state.cr4 &= ~CR4_OSXSAVE;
    RAISES(XSAVE64, DATA, VEC_UD);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
#if defined(__x86_64__)
        mmx_rows_do_what_the_host_does,
        sse_move_rows_do_what_the_host_does,
        sse_int_rows_do_what_the_host_does,
        sse_str_rows_do_what_the_host_does,
        crypto_rows_do_what_the_host_does,
        avx_int_rows_do_what_the_host_does,
        avx_move_rows_do_what_the_host_does,
        avx_perm_rows_do_what_the_host_does,
#endif
        legacy_sse_memory_operands_must_be_aligned,
        masked_out_elements_do_not_fault,
        a_masked_store_that_faults_stores_nothing,
        maskmovdqu_writes_the_selected_bytes,
        a_gather_that_faults_keeps_what_is_complete,
        a_gather_that_faults_extends_its_mask,
        a_gather_with_equal_registers_is_undefined,
        legacy_forms_keep_the_upper_half_and_vex_forms_clear_it,
        mmx_use_makes_all_tags_valid_and_emms_empties_them,
        what_xsave_saves_xrstor_restores,
        what_xsavec_saves_xrstor_restores,
        what_xsaves_saves_xrstors_restores,
        what_fxsave_saves_fxrstor_restores,
        xsaveopt_leaves_initial_components_alone,
        components_that_are_not_requested_are_not_touched,
        xrstor_checks_the_header,
        reserved_mxcsr_bits_are_refused,
        outside_64_bit_mode_eight_registers_are_saved,
        fast_fxsave_leaves_xmm_registers_out,
        state_instructions_obey_the_control_registers,
    };

    return run_tests("simd", tests, ARRAY_SIZE(tests));
}
