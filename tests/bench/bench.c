/* SPDX-License-Identifier: MIT */
/*
 * The bench guest: `NAME ROUNDS` on the command line runs one workload and leaves by port F4h (or
 * by "Shutdown" on port 8900h). Every workload prints a checksum, so that machines can be compared.
 * `l2-NAME` runs it as a guest of its own (l2.h).
 * Freestanding; integer code is compiled without SSE, so that the instruction mix is what it says.
 */
#include "l2.h"

extern void stub_iret(void), stub_skip_ud(void), stub_page_fault(void), stub_die(void);
extern void syscall_entry(void), enter_user(u64 rounds);
extern u64 pml4[512], pd[2048], fault_entry;
void bench_main(const char *line);

#define ARENA ((u8 *)0x4000000) /* 64 MiB: big data lives above it */
#define NOINLINE __attribute__((noinline))

static void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static u8 inb(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void print(const char *s)
{
    for (; *s; s++) {
        while (!(inb(0x3fd) & 0x20))
            ;
        outb(0x3f8, (u8)*s);
    }
}

static void print_hex(u64 value)
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        const char text[2] = {"0123456789abcdef"[value >> shift & 15], 0};

        print(text);
    }
}

static void leave(void)
{
    static const char shutdown[] = "Shutdown";

    __asm__ volatile("outl %0, %1" : : "a"(0), "Nd"((u16)0xf4));
    for (const char *s = shutdown; *s; s++)
        outb(0x8900, (u8)*s);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* ---- interrupt table ---- */

static struct {
    u16 offset0, selector, flags, offset1;
    u32 offset2, zero;
} idt[256] __attribute__((aligned(16)));

static void set_gate(u32 vector, void (*to)(void))
{
    const u64 at = (u64)to;

    idt[vector].offset0 = (u16)at;
    idt[vector].selector = 8;
    idt[vector].flags = 0x8e00;
    idt[vector].offset1 = (u16)(at >> 16);
    idt[vector].offset2 = (u32)(at >> 32);
}

static void load_idt(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (u64)idt};

    for (u32 vector = 0; vector < 32; vector++)
        set_gate(vector, stub_die);
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

/* ---- integer ---- */

static u64 run_alu(u64 rounds)
{
    u64 a = 1, b = 2, c = 3, d = 4;

    for (u64 i = 0; i < rounds; i++) {
        __asm__ volatile(
            "add %1, %0\n\t adc $5, %1\n\t xor %0, %2\n\t rol $7, %2\n\t"
            "imul %2, %3\n\t sub %3, %0\n\t sbb $0, %1\n\t shr $3, %3\n\t"
            "lea 9(%0,%1,2), %2\n\t add $0x1234567, %2\n\t and $0x7fffffff, %1\n\t or %2, %3\n\t "
            "not %0\n\t"
            "add %1, %0\n\t adc $5, %1\n\t xor %0, %2\n\t ror $9, %2\n\t"
            "imul $77, %2, %3\n\t cmp %3, %0\n\t setc %b1\n\t sar $1, %3\n\t"
            "bswap %0\n\t inc %1\n\t dec %2\n\t neg %3\n\t"
            "add %3, %0\n\t add $3, %2\n\t cmova %1, %2\n\t test $8, %2\n\t cmovz %0, %3"
            : "+r"(a), "+r"(b), "+r"(c), "+r"(d)
            :
            : "cc");
    }
    return a + b * 3 + c * 5 + d * 7;
}

struct node {
    struct node *next;
    u32 key, data;
};
static struct node nodes[512];
static int matrix_a[20][20], matrix_b[20][20], matrix_c[20][20];

static u32 crc_step(u32 crc, u8 byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
    return crc;
}

static u32 list_work(u32 seed)
{
    struct node *head = 0;
    u32 sum = 0;

    for (u32 i = 0; i < 200; i++) {
        struct node *n = &nodes[i], **at = &head;

        seed = seed * 1103515245 + 12345;
        n->key = seed >> 24;
        n->data = i;
        if (i % 8 == 0)
            while (*at && (*at)->key < n->key)
                at = &(*at)->next;
        n->next = *at;
        *at = n;
    }
    for (struct node *n = head; n; n = n->next)
        sum = sum * 31 + n->key + n->data;
    return sum;
}

static u32 matrix_work(u32 seed)
{
    u32 sum = 0;

    for (int i = 0; i < 20; i++)
        for (int j = 0; j < 20; j++) {
            matrix_a[i][j] = (int)(seed + (u32)(i * j));
            matrix_b[i][j] = (int)(seed ^ (u32)(i + j));
        }
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 12; j++) {
            int cell = 0;

            for (int k = 0; k < 12; k++)
                cell += (matrix_a[i][k] * matrix_b[k][j]) >> 2;
            matrix_c[i][j] = cell;
            sum += (u32)cell;
        }
    return sum;
}

static u32 state_work(u32 seed)
{
    static const char text[] =
        "5012,-874,+122,35.54400,.1234500,-110.700,5.500e+3,-.123e-2,T0.3e-1F";
    u32 state = 0, count[8] = {0};

    for (const char *c = text; *c; c++) {
        switch (state) {
        case 0:
            state = *c >= '0' && *c <= '9' ? 1 : *c == '-' || *c == '+' ? 2 : *c == '.' ? 3 : 7;
            break;
        case 1: state = *c == '.' ? 3 : *c == ',' ? 0 : *c == 'e' ? 4 : 1; break;
        case 2: state = *c == '.' ? 3 : 1; break;
        case 3: state = *c == 'e' ? 4 : *c == ',' ? 0 : 3; break;
        case 4: state = 5; break;
        case 5: state = *c == ',' ? 0 : 5; break;
        default: state = *c == ',' ? 0 : 7; break;
        }
        count[state]++;
    }
    for (int i = 0; i < 8; i++)
        seed = crc_step(seed, (u8)count[i]);
    return seed;
}

static u64 run_core(u64 rounds)
{
    u32 sum = 1;

    for (u64 i = 0; i < rounds; i++) {
        sum ^= list_work(sum);
        sum += matrix_work(sum);
        for (int k = 0; k < 4; k++)
            sum = state_work(sum);
        for (int k = 0; k < 64; k++)
            sum = crc_step(sum, (u8)(sum + (u32)k));
    }
    return sum;
}

static u64 run_rep(u64 rounds)
{
    u8 *from = ARENA, *to = ARENA + 0x10000;

    for (u64 i = 0; i < rounds; i++) {
        void *d = to, *s = from, *d2 = from;
        u64 n = 2048, n2 = 1024, n3 = 5000;

        __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        __asm__ volatile("rep stosq" : "+D"(d2), "+c"(n2) : "a"(i) : "memory");
        d = to;
        s = from;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n3) : : "memory");
    }
    return *(u64 *)to;
}

static NOINLINE u64 f0(u64 x)
{
    return x + 1;
}
static NOINLINE u64 f1(u64 x)
{
    return x ^ 0x55;
}
static NOINLINE u64 f2(u64 x)
{
    return x * 3;
}
static NOINLINE u64 f3(u64 x)
{
    return x >> 1;
}

static u64 run_switch(u64 rounds)
{
    static u64 (*const table[4])(u64) = {f0, f1, f2, f3};
    u64 x = 12345;

    for (u64 i = 0; i < rounds; i++) {
        u64 (*volatile f)(u64) = table[(x ^ i) & 3];

        switch ((x + i) % 7) {
        case 0: x += i; break;
        case 1: x ^= x << 3; break;
        case 2: x = x * 5 + 1; break;
        case 3: x -= 7; break;
        case 4: x ^= 0xff; break;
        case 5: x = ~x; break;
        default: x += 3; break;
        }
        x = f(x);
    }
    return x;
}

static NOINLINE u64 fib(u64 n)
{
    u64 sum = 0;

    while (n >= 2) {
        sum += fib(n - 1);
        n -= 2;
        __asm__ volatile("" : "+r"(n));
    }
    return sum + n;
}

static u64 run_fib(u64 rounds)
{
    u64 sum = 0;

    for (u64 i = 0; i < rounds; i++)
        sum += fib(18);
    return sum;
}

static u64 run_sieve(u64 rounds)
{
    u64 count = 0;

    for (u64 round = 0; round < rounds; round++) {
        u8 *composite = ARENA;
        const u64 limit = 200000;

        count = 0;
        for (u64 i = 0; i < limit; i++) {
            composite[i] = 0;
            __asm__ volatile("" : : : "memory");
        }
        for (u64 i = 2; i < limit; i++) {
            if (composite[i])
                continue;
            count++;
            for (u64 k = i * 2; k < limit; k += i)
                composite[k] = 1;
        }
    }
    return count;
}

/* ---- floating point ---- */

static u64 run_sse(u64 rounds)
{
    static double d[4] __attribute__((aligned(16))) = {1.5, 2.5, 0.999, 1.001};
    static float f[4] __attribute__((aligned(16))) = {1.5f, 2.5f, 0.999f, 1.001f};
    static u32 n[4] __attribute__((aligned(16))) = {1, 2, 3, 4};

    __asm__ volatile("movapd %0, %%xmm0\n\t movapd %1, %%xmm1\n\t movaps %2, %%xmm2\n\t"
                     "movaps %2, %%xmm3\n\t movdqa %3, %%xmm4\n\t movdqa %3, %%xmm5"
                     :
                     : "m"(d[0]), "m"(d[2]), "m"(f[0]), "m"(n[0]));
    for (u64 i = 0; i < rounds; i++)
        __asm__ volatile(
            "mulpd %%xmm1, %%xmm0\n\t addpd %%xmm1, %%xmm0\n\t mulps %%xmm2, %%xmm3\n\t"
            "subps %%xmm2, %%xmm3\n\t paddd %%xmm4, %%xmm5\n\t pxor %%xmm4, %%xmm5\n\t"
            "divpd %%xmm1, %%xmm0\n\t maxps %%xmm2, %%xmm3\n\t pshufd $0x1b, %%xmm5, %%xmm4\n\t"
            "sqrtsd %%xmm1, %%xmm6\n\t addsd %%xmm6, %%xmm0\n\t cvtsi2sd %1, %%xmm6\n\t"
            "movaps %%xmm3, %0"
            : "=m"(f[0])
            : "r"(i));
    __asm__ volatile("movapd %%xmm0, %0\n\t movdqa %%xmm5, %1" : "=m"(d[0]), "=m"(n[0]));
    return ((u64 *)d)[0] ^ ((u64 *)n)[0];
}

static u64 run_x87(u64 rounds)
{
    static double x = 1.0000001, y = 0.75, out;

    __asm__ volatile("fninit");
    for (u64 i = 0; i < rounds; i++)
        __asm__ volatile("fldl %1\n\t fldl %2\n\t fmul %%st(1), %%st\n\t fadd %%st(1), %%st\n\t"
                         "fxch\n\t fsub %%st(1), %%st\n\t fdiv %%st(1), %%st\n\t fabs\n\t fsqrt\n\t"
                         "faddp\n\t fldpi\n\t fmulp\n\t fstpl %0"
                         : "=m"(out)
                         : "m"(x), "m"(y));
    return *(u64 *)&out;
}

/* ---- the system paths ---- */

static void set_pte(u64 *entry, u64 value)
{
    *(volatile u64 *)entry = value;
}

static void invlpg(u64 va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void load_cr3(u64 value)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

/* 4 KiB pages for 2 MiB regions first..first+count-1, tables at `tables`; identity. */
static u64 *split_pages(u64 first, u64 count, u64 *tables)
{
    for (u64 region = 0; region < count; region++) {
        for (u64 i = 0; i < 512; i++)
            tables[region * 512 + i] = ((first + region) << 21 | i << 12) + 7;
        set_pte(&pd[first + region], (u64)&tables[region * 512] + 7);
    }
    load_cr3((u64)pml4);
    return tables;
}

static u64 *const page_tables = (u64 *)0x3000000; /* 48 MiB */

static u64 run_chase(u64 rounds)
{
    const u64 pages = 16384; /* 64 MiB */
    u64 at = 0;

    split_pages(32, 32, page_tables);
    /* One pointer per page, next page by a full-period generator. */
    for (u64 i = 0, page = 0; i < pages; i++) {
        const u64 next = (page * 5 + 12345 * 2 + 1) & (pages - 1);

        *(u64 *)(ARENA + page * 4096 + (page & 63) * 64) = next * 4096 + (next & 63) * 64;
        page = next;
    }
    for (u64 i = 0; i < rounds; i++)
        at = *(volatile u64 *)(ARENA + at);
    return at;
}

static u64 run_pte(u64 rounds)
{
    u64 *pt = split_pages(32, 1, page_tables);
    u64 sum = 0;

    *(u64 *)(ARENA + 0x5000) = 5;
    *(u64 *)(ARENA + 0x6000) = 6;
    for (u64 i = 0; i < rounds; i++) {
        set_pte(&pt[3], (u64)ARENA + (i & 1 ? 0x5000 : 0x6000) + 7);
        invlpg((u64)ARENA + 0x3000);
        sum += *(volatile u64 *)(ARENA + 0x3000);
    }
    return sum;
}

static u64 cr3_touch(u64 rounds, u64 touches)
{
    u64 *second = (u64 *)0x3800000, sum = 0;

    split_pages(32, 4, page_tables);
    for (u64 i = 0; i < 512; i++)
        second[i] = pml4[i];
    for (u64 i = 0; i < rounds; i++) {
        load_cr3(i & 1 ? (u64)pml4 : (u64)second);
        for (u64 page = 0; page < touches; page++)
            sum += *(volatile u64 *)(ARENA + page * 4096);
    }
    return sum;
}

static u64 run_cr3(u64 rounds)
{
    return cr3_touch(rounds, 16);
}

static u64 run_cr3_512(u64 rounds)
{
    return cr3_touch(rounds, 512);
}

/* 262144 linear pages over 64 MiB of RAM: the tables alone are 2 MiB. */
static u64 run_chase1g(u64 rounds)
{
    const u64 pages = 262144, linear = (u64)1 << 30;
    u64 page = 0;

    for (u64 i = 0; i < pages; i++)
        page_tables[i] = (u64)ARENA + (i & 16383) * 4096 + 7;
    for (u64 i = 0; i < 512; i++)
        set_pte(&pd[512 + i], (u64)&page_tables[i * 512] + 7);
    load_cr3((u64)pml4);
    for (u64 i = 0; i < rounds; i++) /* the pages hold zeros, which the CPU cannot know */
        page = (page * 5 + 12345 * 2 + 1 + *(volatile u64 *)(linear + page * 4096)) & (pages - 1);
    return page;
}

static void wrmsr(u32 index, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
}

/*
 * A touch through each of 65536 level-1 tables (256 MiB), in turn under eight combinations of
 * rights above them: a million rounds meet half a million pairs of table and rights, each twice,
 * and a table comes again too late for whatever remembered it.
 */
static u64 run_tables(u64 rounds)
{
    const u64 count = 65536, top = (u64)1 << 39;
    u64 *const data = page_tables, *const pdpt = (u64 *)0x3800000, *const pds = pdpt + 512;
    u64 *const tables = (u64 *)ARENA;
    u64 sum = 0;

    for (u64 i = 0; i < 16; i++)
        data[i * 512] = i + 1;
    for (u64 t = 0; t < count; t++) {
        tables[t * 512 + (t & 511)] = (u64)&data[(t & 15) * 512] + 7;
        pds[t] = (u64)&tables[t * 512] + 7;
    }
    for (u64 i = 0; i < count / 512; i++)
        pdpt[i] = (u64)&pds[i * 512] + 7;
    wrmsr(0xC0000080, 0xD01); /* EFER: as before and NXE */
    for (u64 i = 0; i < 8; i++) /* writable, user, not executable */
        set_pte(&pml4[1 + i], (u64)pdpt + 1 + (i & 3) * 2 + (i >> 2 << 63));
    load_cr3((u64)pml4);
    for (u64 i = 0; i < rounds; i++) {
        const u64 t = i & (count - 1), rights = i / count & 7;

        sum += *(volatile u64 *)(top * (1 + rights) + (t << 21) + ((t & 511) << 12));
    }
    return sum;
}

static u64 run_int(u64 rounds)
{
    set_gate(0x40, stub_iret);
    for (u64 i = 0; i < rounds; i++)
        __asm__ volatile("int $0x40");
    return 0x40;
}

static u64 run_ud(u64 rounds)
{
    set_gate(6, stub_skip_ud);
    for (u64 i = 0; i < rounds; i++)
        __asm__ volatile("ud2");
    return 6;
}

static u64 run_syscall(u64 rounds)
{
    for (u64 i = 0; i < 2048; i++)
        pd[i] |= 4;
    load_cr3((u64)pml4);
    wrmsr(0xC0000081, (u64)0x18 << 48 | (u64)8 << 32);
    wrmsr(0xC0000082, (u64)syscall_entry);
    wrmsr(0xC0000084, 0x200);
    enter_user(rounds);
    return 0;
}

static u64 run_pf(u64 rounds)
{
    u64 *pt = split_pages(32, 1, page_tables);
    u64 sum = 0;

    set_gate(14, stub_page_fault);
    fault_entry = (u64)&pt[3];
    for (u64 i = 0; i < rounds; i++) {
        set_pte(&pt[3], pt[3] & ~(u64)1);
        invlpg((u64)ARENA + 0x3000);
        sum += *(volatile u64 *)(ARENA + 0x3000);
    }
    return sum;
}

static u64 run_port(u64 rounds)
{
    u64 sum = 0;

    for (u64 i = 0; i < rounds; i++)
        sum += inb(0x3fd);
    return sum;
}

/* mov $imm32, %eax; ret: the immediate is patched before each call. */
static u64 run_smc(u64 rounds)
{
    u8 *code = ARENA;
    u64 sum = 0;

    code[0] = 0xb8;
    code[5] = 0xc3;
    for (u64 i = 0; i < rounds; i++) {
        u32 (*volatile f)(void) = (u32(*)(void))code;

        *(volatile u32 *)(code + 1) = (u32)i;
        sum += f();
    }
    return sum;
}

static u64 run_smcdata(u64 rounds)
{
    u8 *code = ARENA;
    u64 sum = 0;

    code[0] = 0xb8;
    code[5] = 0xc3;
    for (u64 i = 0; i < rounds; i++) {
        u32 (*volatile f)(void) = (u32(*)(void))code;

        *(volatile u32 *)(code + 2048) = (u32)i; /* data on the same page */
        sum += f();
    }
    return sum;
}

/* ---- as L2 only, see l2.h ---- */

static u64 run_call(u64 rounds)
{
    for (u64 i = 0; i < rounds; i++)
        l2_call();
    return rounds;
}

/* A page is taken away and comes back at the next access: an exit for each, and an INVEPT. */
static u64 run_violation(u64 rounds)
{
    u64 sum = 0;

    for (u64 i = 0; i < rounds; i++) {
        volatile u8 *page = ARENA + (i & 63) * 4096;

        l2_unmap((u64)page);
        sum += *page;
    }
    return sum;
}

static u64 run_none(u64 rounds)
{
    return rounds;
}

static const struct {
    const char *name;
    u64 (*run)(u64 rounds);
} workloads[] = {
    {"none", run_none},       {"alu", run_alu},         {"core", run_core},
    {"rep", run_rep},         {"chase", run_chase},     {"switch", run_switch},
    {"sse", run_sse},         {"x87", run_x87},         {"smc", run_smc},
    {"smcdata", run_smcdata}, {"fib", run_fib},         {"sieve", run_sieve},
    {"pte", run_pte},         {"cr3", run_cr3},         {"int", run_int},
    {"ud", run_ud},           {"syscall", run_syscall}, {"pf", run_pf},
    {"port", run_port},       {"cr3x512", run_cr3_512}, {"chase1g", run_chase1g},
    {"tables", run_tables},   {"call", run_call},       {"violation", run_violation},
};

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == 0 && (*b == 0 || *b == ' ');
}

void bench_main(const char *line)
{
    const char *word = line ? line : "none 0";
    u64 rounds = 0;

    outb(0x3fb, 3);
    load_idt();
    if (*word == '/' || *word == '.' ||
        *word == 'b') /* multiboot loaders put the image's name first */
        while (*word && *word++ != ' ')
            ;
    for (const char *c = word; *c; c++) {
        if (*c < '0' || *c > '9' || (c > word && c[-1] != ' ' && rounds == 0))
            continue;
        rounds = rounds * 10 + (u64)(*c - '0');
    }
    if (word[0] == 'l' && word[1] == '2' && word[2] == '-') {
        const char *lacking = become_guest();

        if (lacking != 0) {
            print(lacking);
            print("\n");
            leave();
        }
        print("l2-");
        word += 3;
    }
    for (u32 i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
        if (same(workloads[i].name, word)) {
            const u64 sum = workloads[i].run(rounds);

            print(workloads[i].name);
            print(" ");
            print_hex(sum);
            print(" end\n");
            leave();
        }
    print("unknown workload\n");
    leave();
}
