/* SPDX-License-Identifier: MIT */
/*
 * General-purpose instructions, one at a time: they run on the host CPU and, through the generic
 * and the stamped path, on ours, with the same random operands. BCD is checked by a table of known
 * values.
 */
#include "tests/isa/rig.h"

#include <setjmp.h>
#include <signal.h>

enum { CF = FLAG_CF, AF = FLAG_AF };

/* ---- against the host ---- */

struct sample {
    const u8 *code, *end;
    const char *text;
    u64 undefined; /* flags that are not compared, and OF_BY_CL */
};

/* A shift or rotate by CL: OF is defined if it counts 0 or 1. */
enum { OF_BY_CL = 1 << 30 };

extern const struct sample samples_begin[], samples_end[];

/* clang-format off */
/* One row: where the instructions are, their text, the flags to ignore (10h is AF, d4h SF ZF AF PF). */
#define S(text, undefined)                                                                         \
    ".pushsection .text\n881: " text "\n882: ret\n.popsection\n"                                   \
    ".pushsection .rodata.str,\"aMS\",@progbits,1\n883: .asciz \"" text "\"\n.popsection\n"        \
    ".quad 881b, 882b, 883b, " undefined "\n"
#define WLQ(op, w, l, q, undefined)                                                                \
    S(op "w " w, undefined) S(op "l " l, undefined) S(op "q " q, undefined)
#define BWLQ(op, b, w, l, q, undefined) S(op "b " b, undefined) WLQ(op, w, l, q, undefined)
#define LQ(op, l, q, undefined) S(op "l " l, undefined) S(op "q " q, undefined)
#define ALU_RM(op, undefined) BWLQ(op, "3(%rsi),%dh", "(%rsi),%cx", "1(%rsi),%eax", "(%rsi),%rbx", undefined)
#define ALU(op, undefined)                                                                         \
    BWLQ(op, "%bl,%ch", "%bx,%ax", "%ebx,%ecx", "%rcx,%rdx", undefined)                            \
    BWLQ(op, "$0x5a,%dl", "$0x1234,%cx", "$-5,%ebx", "$0x7fffffff,%rbx", undefined)                \
    BWLQ(op, "$0x81,%al", "$0x8001,%ax", "$0x80000001,%eax", "$-128,%rax", undefined)              \
    BWLQ(op, "%ah,(%rsi)", "%cx,2(%rsi)", "%edx,(%rsi)", "%rbx,8(%rsi)", undefined)                \
    BWLQ(op, "$3,(%rsi)", "$0x1234,(%rsi)", "$-5,(%rsi)", "$0x7fffffff,(%rsi)", undefined)
#define UNARY(op, undefined)                                                                       \
    BWLQ(op, "%bh", "%cx", "%edx", "%rax", undefined)                                              \
    BWLQ(op, "(%rsi)", "(%rsi)", "(%rsi)", "(%rsi)", undefined)
#define BY(op, n, undefined) BWLQ(op, n ",%ah", n ",%dx", n ",%eax", n ",%rbx", undefined)         \
    BWLQ(op, n ",(%rsi)", n ",(%rsi)", n ",(%rsi)", n ",(%rsi)", undefined)
/* OF is undefined after shifts and rotates by more than 1: Intel and AMD differ. */
#define SHIFT(op, undefined)                                                                       \
    BY(op, "$1", undefined) BY(op, "$7", undefined " | 0x800")                                     \
    BY(op, "$27", undefined " | 0x800") BY(op, "%cl", undefined " | 0x40000000")
#define BIT_OP(op)                                                                                 \
    WLQ(op, "%bx,%ax", "%ecx,%edx", "%rbx,%rdx", "0") WLQ(op, "$13,%ax", "$30,%edx", "$55,%rdx", "0") \
    WLQ(op, "$13,(%rsi)", "$30,(%rsi)", "$55,(%rsi)", "0")                                         \
    S("movsbw %cl,%cx ; " op "w %cx,(%rsi)", "0") S("movsbl %cl,%ecx ; " op "l %ecx,(%rsi)", "0")    \
    S("movsbq %cl,%rcx ; " op "q %rcx,(%rsi)", "0")
#define SCAN(op, undefined)                                                                        \
    WLQ(op, "%bx,%ax", "%ecx,%edx", "%rbx,%rdx", undefined) WLQ(op, "(%rsi),%ax", "(%rsi),%edx", "(%rsi),%rdx", undefined)
#define CC(cc)                                                                                     \
    S("set" cc " %bl", "0") S("set" cc " 5(%rsi)", "0")                                            \
    WLQ("cmov" cc, "%bx,%ax", "%ecx,%edx", "%rbx,%rdx", "0") LQ("cmov" cc, "(%rsi),%edx", "(%rsi),%rdx", "0")
#define VEX3(op, undefined) LQ(op, "%ecx,%ebx,%edx", "%rcx,%rbx,%rdx", undefined) LQ(op, "%ecx,(%rsi),%edx", "%rcx,(%rsi),%rdx", undefined)

__asm__(".pushsection .data.rel.ro,\"aw\"\n.balign 8\nsamples_begin:\n"
    ALU("add", "0") ALU("adc", "0") ALU("sub", "0") ALU("sbb", "0") ALU("cmp", "0")
    ALU_RM("add", "0") ALU_RM("adc", "0") ALU_RM("sub", "0") ALU_RM("sbb", "0") ALU_RM("cmp", "0"));
__asm__(
    ALU("and", "0x10") ALU("or", "0x10") ALU("xor", "0x10") ALU("test", "0x10")
    ALU_RM("and", "0x10") ALU_RM("or", "0x10") ALU_RM("xor", "0x10")
    UNARY("inc", "0") UNARY("dec", "0") UNARY("neg", "0") UNARY("not", "0")
    BWLQ("xadd", "%bl,%dh", "%bx,%ax", "%ebx,%edx", "%rcx,%rbx", "0")
    BWLQ("xadd", "%cl,%cl", "%cx,%cx", "%ecx,%ecx", "%rcx,%rcx", "0")
    BWLQ("xadd", "%cl,(%rsi)", "%cx,(%rsi)", "%ecx,(%rsi)", "%rcx,(%rsi)", "0")
    BWLQ("cmpxchg", "%bl,%cl", "%bx,%cx", "%ebx,%ecx", "%rbx,%rcx", "0")
    BWLQ("cmpxchg", "%bl,%al", "%bx,%ax", "%ebx,%eax", "%rbx,%rax", "0")
    BWLQ("cmpxchg", "%bl,(%rsi)", "%bx,(%rsi)", "%ebx,(%rsi)", "%rbx,(%rsi)", "0")
    S("movb (%rsi),%al; lock cmpxchgb %bl,(%rsi)", "0") S("movq (%rsi),%rax; lock cmpxchgq %rbx,(%rsi)", "0")
    S("lock cmpxchg8b (%rsi)", "0") S("lock cmpxchg16b (%rsi)", "0")
    S("movl (%rsi),%eax; movl 4(%rsi),%edx; cmpxchg8b (%rsi)", "0")
    S("movq (%rsi),%rax; movq 8(%rsi),%rdx; cmpxchg16b (%rsi)", "0")
    LQ("adcx", "%ecx,%edx", "%rcx,%rdx", "0") LQ("adox", "%ecx,%edx", "(%rsi),%rdx", "0"));
__asm__(
    SHIFT("shl", "0x10") SHIFT("shr", "0x10") SHIFT("sar", "0x10")
    SHIFT("rol", "0") SHIFT("ror", "0") SHIFT("rcl", "0") SHIFT("rcr", "0")
    S("shldw $5,%dx,%bx", "0x810") S("shrdw $16,%dx,%ax", "0x810") S("shldw $9,%dx,(%rsi)", "0x810")
    LQ("shld", "%cl,%edx,%eax", "%cl,%rdx,%rax", "0x40000010") LQ("shrd", "%cl,%edx,%eax", "%cl,%rdx,%rax", "0x40000010")
    LQ("shld", "$3,%edx,%eax", "$43,%rdx,%rax", "0x810") LQ("shrd", "$3,%edx,(%rsi)", "$43,%rdx,(%rsi)", "0x810")
    LQ("rorx", "$3,%ebx,%edx", "$43,(%rsi),%rdx", "0") VEX3("sarx", "0") VEX3("shlx", "0") VEX3("shrx", "0"));
__asm__(
    BIT_OP("bt") BIT_OP("bts") BIT_OP("btr") BIT_OP("btc")
    SCAN("bsf", "0x895") SCAN("bsr", "0x895") SCAN("tzcnt", "0x894") SCAN("lzcnt", "0x894") SCAN("popcnt", "0")
    LQ("bswap", "%ebx", "%rbx", "0") WLQ("movbe", "(%rsi),%dx", "(%rsi),%edx", "(%rsi),%rdx", "0")
    WLQ("movbe", "%dx,(%rsi)", "%edx,(%rsi)", "%rdx,(%rsi)", "0")
    S("crc32b %bh,%eax", "0") S("crc32w %bx,%eax", "0") S("crc32l %ebx,%eax", "0") S("crc32q %rbx,%rax", "0")
    S("crc32b %bl,%rax", "0") S("crc32b (%rsi),%eax", "0")
    LQ("andn", "%ecx,%ebx,%edx", "(%rsi),%rbx,%rdx", "0x14") VEX3("bextr", "0x94") VEX3("bzhi", "0x14")
    LQ("blsi", "%ebx,%edx", "(%rsi),%rdx", "0x14") LQ("blsr", "%ebx,%edx", "(%rsi),%rdx", "0x14")
    LQ("blsmsk", "%ebx,%edx", "(%rsi),%rdx", "0x14")
    LQ("pdep", "%ecx,%ebx,%eax", "(%rsi),%rbx,%rax", "0") LQ("pext", "%ecx,%ebx,%eax", "(%rsi),%rbx,%rax", "0")
    LQ("mulx", "%ecx,%ebx,%eax", "(%rsi),%rbx,%rax", "0") LQ("mulx", "%ecx,%ebx,%ebx", "%rcx,%rax,%rax", "0"));
__asm__(
    BWLQ("mul", "%bl", "%bx", "%ebx", "%rbx", "0xd4") BWLQ("imul", "%bl", "%bx", "%ebx", "%rbx", "0xd4")
    BWLQ("mul", "(%rsi)", "(%rsi)", "(%rsi)", "(%rsi)", "0xd4") BWLQ("imul", "(%rsi)", "(%rsi)", "(%rsi)", "(%rsi)", "0xd4")
    WLQ("imul", "%bx,%cx", "%ebx,%ecx", "%rbx,%rcx", "0xd4") WLQ("imul", "(%rsi),%cx", "(%rsi),%ecx", "(%rsi),%rcx", "0xd4")
    WLQ("imul", "$0x1234,%bx,%cx", "$0x12345678,%ebx,%ecx", "$-0x12345678,%rbx,%rcx", "0xd4")
    WLQ("imul", "$3,(%rsi),%cx", "$-3,(%rsi),%ecx", "$-100,(%rsi),%rcx", "0xd4")
    BWLQ("div", "%bl", "%bx", "%ebx", "%rbx", "0x8d5") BWLQ("idiv", "%bl", "%bx", "%ebx", "%rbx", "0x8d5")
    S("movzbl %dl,%edx; divw (%rsi)", "0x8d5") S("movzbl %dl,%edx; divl (%rsi)", "0x8d5") S("movzbl %dl,%edx; divq (%rsi)", "0x8d5")
    S("cwd; idivw %bx", "0x8d5") S("cltd; idivl %ebx", "0x8d5") S("cqto; idivq %rbx", "0x8d5")
    S("movsbq %dl,%rdx; idivw %bx", "0x8d5") S("movsbq %dl,%rdx; idivl (%rsi)", "0x8d5") S("movsbq %dl,%rdx; idivq (%rsi)", "0x8d5")
    S("cbtw", "0") S("cwtl", "0") S("cltq", "0") S("cwtd", "0") S("cltd", "0") S("cqto", "0"));
__asm__(
    BWLQ("mov", "%bl,%ch", "%bx,%ax", "%ebx,%ecx", "%rcx,%rdx", "0") BWLQ("mov", "%ah,1(%rsi)", "%bx,(%rsi)", "%ebx,(%rsi)", "%rcx,(%rsi)", "0")
    ALU_RM("mov", "0") BWLQ("mov", "$1,%dh", "$2,%bx", "$-3,%ecx", "$-4,%rdx", "0")
    BWLQ("mov", "$1,(%rsi)", "$2,(%rsi)", "$-3,(%rsi)", "$-4,(%rsi)", "0") S("movabs $0x123456789abcdef0,%rcx", "0")
    S("movzbw %ah,%cx", "0") S("movzbl %bh,%ebx", "0") S("movzbq %bl,%rdx", "0") S("movzwl %bx,%edx", "0") S("movzwq %bx,%rdx", "0")
    S("movzbw (%rsi),%cx", "0") S("movzbl 3(%rsi),%ebx", "0") S("movzbq 4(%rsi),%rdx", "0") S("movzwl (%rsi),%edx", "0") S("movzwq 1(%rsi),%rdx", "0")
    S("movsbw %ah,%cx", "0") S("movsbl %bh,%ebx", "0") S("movsbq %bl,%rdx", "0") S("movswl %bx,%edx", "0") S("movswq %bx,%rdx", "0") S("movslq %ebx,%rdx", "0")
    S("movsbw (%rsi),%cx", "0") S("movsbl 3(%rsi),%ebx", "0") S("movsbq 4(%rsi),%rdx", "0") S("movswl (%rsi),%edx", "0") S("movswq 1(%rsi),%rdx", "0") S("movslq 2(%rsi),%rdx", "0")
    LQ("movnti", "%ebx,(%rsi)", "%rbx,(%rsi)", "0")
    WLQ("lea", "5(%rax,%rbx,4),%cx", "5(%rax,%rbx,4),%ecx", "5(%rax,%rbx,4),%rcx", "0") WLQ("lea", "-9(%rdx),%ax", "-9(%rdx),%eax", "-9(%rdx),%rax", "0")
    WLQ("lea", "5(%eax,%ebx,8),%cx", "5(%eax,%ebx,8),%ecx", "5(%eax,%ebx,8),%rcx", "0")
    BWLQ("xchg", "%bl,%ch", "%bx,%cx", "%ebx,%ecx", "%rbx,%rcx", "0") WLQ("xchg", "%ax,%cx", "%eax,%ecx", "%rax,%rcx", "0")
    BWLQ("xchg", "%bl,(%rsi)", "%bx,(%rsi)", "%ebx,(%rsi)", "%rbx,(%rsi)", "0")
    S("movzbl %al,%eax; andl $31,%eax; leaq -16(%rsi),%rbx; xlat; xorl %ebx,%ebx", "0x10")
    S("lahf", "0") S("sahf", "0") S("clc", "0") S("stc", "0") S("cmc", "0") S("nop", "0") S("pause", "0") S("xchg %eax,%eax", "0")
    S("nopw 7(%rax,%rbx)", "0") S("nopl (%rax)", "0") S("prefetcht0 (%rax)", "0") S("prefetchw (%rcx)", "0") S("endbr64", "0"));
__asm__(
    CC("o") CC("no") CC("b") CC("ae") CC("e") CC("ne") CC("be") CC("a")
    CC("s") CC("ns") CC("p") CC("np") CC("l") CC("ge") CC("le") CC("g")
    "samples_end:\n.popsection\n");
/* clang-format on */

enum { BUFFER = 64, MIDDLE = 32 };

/* What a sample sees: four registers, the flags, and the bytes around RSI. */
struct world {
    u64 reg[4]; /* RAX, RCX, RDX, RBX */
    u64 flags;
    _Alignas(16) u8 buffer[BUFFER];
    bool divide_error;
};

static sigjmp_buf trapped;

static void on_signal(int number)
{
    siglongjmp(trapped, number);
}

/* false: the host CPU does not have this instruction. */
static bool run_on_host(const struct sample *s, struct world *w)
{
    volatile int signal_number;

    signal_number = sigsetjmp(trapped, 0);
    if (signal_number != 0) {
        w->divide_error = true;
        return signal_number == SIGFPE;
    }
    __asm__ volatile(
        "subq $128, %%rsp\npushq %[flags]\npopfq\ncall *%[code]\npushfq\npopq %[flags]\n"
        "addq $128, %%rsp"
        : "+a"(w->reg[0]), "+c"(w->reg[1]), "+d"(w->reg[2]), "+b"(w->reg[3]), [flags] "+r"(w->flags)
        : [code] "r"(s->code), "S"(w->buffer + MIDDLE)
        : "cc", "memory");
    return true;
}

static const struct insn *run_stop(struct vcpu *cpu, const struct insn *in)
{
    (void)cpu;
    (void)in;
    return NULL;
}

static void run_records(struct insn *in, unsigned count, bool generic)
{
    for (unsigned i = 0; i < count; i++) {
        struct operands x;

        if (generic) {
            if (!operands_load(v, &in[i], &x) || !in[i].def->exec(v, &in[i], &x) ||
                !operands_store(v, &in[i], &x))
                return;
            continue;
        }
        for (const struct insn *at = &in[i]; at != NULL && at != &in[i + 1];)
            at = at->run(v, at);
        if (v->event.kind != EVENT_NONE)
            return;
    }
}

enum way { GENERIC_WAY, STAMPED_FLAT, STAMPED_OPEN /* through GS with a base */ };

enum { GS_BASE = 0x1000 };

static void decode_through_gs(struct insn *in)
{
    in->seg = SEG_GS;
    in->run = in->def->stamp != NULL ? in->def->stamp(in, v->mode) : NULL;
    if (in->run == NULL)
        in->run = run_generic;
}

static void run_here(const struct sample *s, struct world *w, enum way way)
{
    struct insn in[8] = {{0}};
    unsigned count = 0;

    for (const u8 *at = s->code; at < s->end; at += in[count++].len) {
        REQUIRE(count < 7, "%s", s->text);
        REQUIRE(decode(v, at, (u32)(s->end - at), &in[count]) == DECODE_OK, "%s", s->text);
        if (way == STAMPED_OPEN)
            decode_through_gs(&in[count]);
    }
    for (unsigned i = 0; i < 4; i++)
        v->state.reg[i] = w->reg[i];
    v->state.seg[SEG_GS].base = v->segbase[SEG_GS] = GS_BASE;
    v->state.reg[REG_RSI] = DATA + MIDDLE - (way == STAMPED_OPEN ? GS_BASE : 0);
    put(DATA, w->buffer, BUFFER);
    flags_load(v, w->flags);
    v->event.kind = EVENT_NONE;
    v->left = 100;
    /* each record is followed by one that stops */
    for (unsigned i = 0; i < count && v->event.kind == EVENT_NONE; i++) {
        struct insn one[2] = {in[i], {.run = run_stop}};

        run_records(one, 1, way == GENERIC_WAY);
    }
    for (unsigned i = 0; i < 4; i++)
        w->reg[i] = v->state.reg[i];
    w->flags = flags_arith(v);
    memory_read(memory, (hpa_t){DATA}, w->buffer, BUFFER);
    w->divide_error = v->event.kind == EVENT_EXCEPTION && v->event.vector == VEC_DE;
    REQUIRE(v->event.kind == EVENT_NONE || w->divide_error, "%s", s->text);
}

/* Random, or near one of the values where something changes. */
static u64 interesting(void)
{
    static const u64 corner[] = {0,     0x80,    0x8000,      0x80000000, 0x8000000000000000,
                                 0x100, 0x10000, 0x100000000, 64,         32,
                                 16,    8};
    const u64 r = any();

    if (r % 4 == 0)
        return corner[r / 4 % ARRAY_SIZE(corner)] + (r >> 32) % 3 - 1;
    if (r % 4 == 1)
        return any() & any() & any();
    return any() >> (r >> 8 & 31);
}

static u64 defined_flags(const struct sample *s, u64 rcx)
{
    const bool of_undefined = (s->undefined & OF_BY_CL) != 0 && (rcx & 63) > 1;

    return FLAGS_ARITH & ~s->undefined & ~(u64)(of_undefined ? FLAG_OF : 0);
}

static void compare_sample(const struct sample *s)
{
    for (unsigned n = 0; n < 150; n++) {
        struct world host = {.flags = any() & FLAGS_ARITH}, generic, stamped;
        u64 mask;

        for (unsigned i = 0; i < 4; i++)
            host.reg[i] = interesting();
        for (unsigned i = 0; i < BUFFER; i += 8)
            store_le(host.buffer + i, interesting(), 8);
        generic = stamped = host;
        mask = defined_flags(s, host.reg[1]);
        if (!run_on_host(s, &host))
            return;
        run_here(s, &generic, GENERIC_WAY);
        run_here(s, &stamped, n % 2 == 0 ? STAMPED_FLAT : STAMPED_OPEN);
        REQUIRE(generic.divide_error == host.divide_error, "#DE: %s", s->text);
        REQUIRE(stamped.divide_error == host.divide_error, "#DE, stamped: %s", s->text);
        if (host.divide_error)
            continue;
        REQUIRE(memcmp(host.reg, generic.reg, sizeof(host.reg)) == 0, "registers: %s", s->text);
        REQUIRE(memcmp(host.buffer, generic.buffer, BUFFER) == 0, "memory: %s", s->text);
        REQUIRE(((host.flags ^ generic.flags) & mask) == 0, "flags %x, not %x: %s",
                (unsigned)(generic.flags & mask), (unsigned)(host.flags & mask), s->text);
        REQUIRE(memcmp(stamped.reg, generic.reg, sizeof(host.reg)) == 0, "stamped: %s", s->text);
        REQUIRE(memcmp(stamped.buffer, generic.buffer, BUFFER) == 0, "stamped: %s", s->text);
        REQUIRE(stamped.flags == generic.flags, "stamped flags: %s", s->text);
    }
}

START_TEST(instruction_does_what_the_host_cpu_does)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};

    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    enter_64();
    for (const struct sample *s = samples_begin; s < samples_end; s++)
        compare_sample(s);
}
END_TEST

/* ---- what the host cannot say ---- */

static void shift_eax(unsigned digit, unsigned by, struct world *w)
{
    const u8 code[] = {0xc1, (u8)(0xc0 | digit << 3), (u8)by};
    const struct sample s = {.code = code, .end = code + sizeof(code), .text = "shift of eax"};

    run_here(&s, w, GENERIC_WAY);
}

/* OF is undefined then; ours is that of the last of so many shifts by 1. */
START_TEST(long_shift_leaves_flags_of_many_short_ones)
{
    enter_64();
    for (unsigned n = 0; n < 2000; n++) {
        const unsigned digit = n % 8, by = 2 + n / 8 % 30;
        struct world once = {.reg = {interesting()}, .flags = any() & FLAGS_ARITH}, twice = once;

        shift_eax(digit, by, &once);
        shift_eax(digit, by - 1, &twice);
        shift_eax(digit, 1, &twice);
        REQUIRE(once.reg[0] == twice.reg[0], "result of /%u by %u", digit, by);
        REQUIRE(once.flags == twice.flags, "flags of /%u by %u", digit, by);
    }
}
END_TEST

/* ---- decimal adjustment: SDM Vol 2A examples, and values found by the pseudocode there ---- */

struct decimal {
    const char *code;
    u32 ax, flags; /* before */
    u32 result, flags_after; /* CF and AF */
};

START_TEST(decimal_adjustment_follows_the_manual)
{
    static const struct decimal table[] = {
        {"\x27", 0x00ae, 0, 0x0014, CF | AF}, {"\x27", 0x0009, 0, 0x0009, 0},
        {"\x27", 0x000a, 0, 0x0010, AF},      {"\x27", 0x0099, AF, 0x009f, AF},
        {"\x27", 0x009a, 0, 0x0000, CF | AF}, {"\x27", 0x0032, CF, 0x0092, CF},
        {"\x2f", 0x00ee, 0, 0x0088, CF | AF}, {"\x2f", 0x0005, AF, 0x00ff, CF | AF},
        {"\x2f", 0x0000, CF, 0x00a0, CF},     {"\x2f", 0x0011, 0, 0x0011, 0},
        {"\x37", 0x000b, 0, 0x0101, CF | AF}, {"\x37", 0x01f5, 0, 0x0105, 0},
        {"\x37", 0x00fa, 0, 0x0200, CF | AF}, {"\x37", 0x0003, AF, 0x0109, CF | AF},
        {"\x3f", 0x020c, 0, 0x0106, CF | AF}, {"\x3f", 0x0004, AF, 0xfe0e, CF | AF},
        {"\x3f", 0x0017, 0, 0x0007, 0},       {"\xd4\x0a", 0x004b, CF | AF, 0x0705, 0},
        {"\xd4\x10", 0xff4b, 0, 0x040b, 0},   {"\xd5\x0a", 0x0705, CF | AF, 0x004b, 0},
        {"\xd5\x10", 0x040b, 0, 0x004b, 0},
    };

    enter_32();
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        const struct decimal *d = &table[i];
        struct insn in[2] = {{0}, {.run = run_stop}};

        ck_assert_int_eq(decode(v, (const u8 *)d->code, 2, &in[0]), DECODE_OK);
        v->state.reg[REG_RAX] = 0xcccc0000 | d->ax;
        flags_load(v, d->flags);
        run_records(in, 1, true);
        ck_assert_msg(v->state.reg[REG_RAX] == (0xcccc0000 | d->result), "row %u: %x", i,
                      (unsigned)v->state.reg[REG_RAX]);
        ck_assert_msg((flags_arith(v) & (CF | AF)) == d->flags_after, "flags of row %u", i);
        ck_assert_uint_eq(flag_zf(v), (d->result & 0xff) == 0);
        ck_assert_uint_eq(flag_sf(v), d->result >> 7 & 1);
    }
}
END_TEST

START_TEST(aam_with_base_0_is_a_divide_error)
{
    struct insn in = {0};
    struct operands x;

    enter_32();
    ck_assert_int_eq(decode(v, (const u8 *)"\xd4\x00", 2, &in), DECODE_OK);
    ck_assert(operands_load(v, &in, &x));
    ck_assert(!in.def->exec(v, &in, &x));
    ck_assert_uint_eq(v->event.vector, VEC_DE);
}
END_TEST

START_TEST(scan_of_0_leaves_the_whole_destination)
{
    struct sample s = {.text = "bsf eax, ecx"};
    struct world w = {.reg = {0x1122334455667788}};

    enter_64();
    s.code = (const u8 *)"\x0f\xbc\xc1";
    s.end = s.code + 3;
    run_here(&s, &w, GENERIC_WAY);
    ck_assert_uint_eq(w.reg[0], 0x1122334455667788);
    run_here(&s, &w, STAMPED_FLAT);
    ck_assert_uint_eq(w.reg[0], 0x1122334455667788);
}
END_TEST

START_TEST(tzcnt_without_the_feature_is_bsf)
{
    struct sample s = {.text = "tzcnt eax, ecx"};
    struct world w = {.reg = {77, 0}};

    enter_64();
    memset(v->features, 0, sizeof(v->features));
    s.code = (const u8 *)"\xf3\x0f\xbc\xc1";
    s.end = s.code + 4;
    run_here(&s, &w, STAMPED_FLAT);
    ck_assert_uint_eq(w.reg[0], 77);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        instruction_does_what_the_host_cpu_does, long_shift_leaves_flags_of_many_short_ones,
        decimal_adjustment_follows_the_manual,   aam_with_base_0_is_a_divide_error,
        scan_of_0_leaves_the_whole_destination,  tzcnt_without_the_feature_is_bsf,
    };

    return run_tests("int", tests, ARRAY_SIZE(tests));
}
