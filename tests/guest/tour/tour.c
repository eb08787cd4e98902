/* SPDX-License-Identifier: MIT */
/*
 * The tour: a small kernel that visits what the machine is made of and says what it sees. Every
 * paging mode (32-bit with 4 KiB and 4 MiB pages, PAE, 4-level) maps one linear address to a frame
 * that names itself, so a wrong translation shows; then page faults, timer interrupts by PIC and
 * local APIC, and the other CPUs. Leaves through port F4h with the number of failures.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

extern const u32 tour_stubs[];
extern u64 idt64[32];
extern struct {
    u16 limit;
    u32 base;
} __attribute__((packed)) idt32_pointer;
extern char ud64[], ap_start[], ap_end[];
extern volatile u32 ap_count;
u32 leg64(u32 cr3, u32 cr4, u64 *va, u64 *out);
void tour_main(u32 info);

struct frame {
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags;
};
void tour_event(struct frame *f);

#define MAGIC(frame) (0x6e62000000000000ull | (frame))
enum { LIN = 0x00c01000, FRAME_A = 0x1a05000, FRAME_BIG = 0x1c00000, TABLES = 0x800000 };

static u32 failures, checks;
static volatile u32 ticks, apic_ticks, faults, fault_cr2, fault_error, resume;
static u64 idt32[256];

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

static void put(char c)
{
    while (!(inb(0x3fd) & 0x20))
        ;
    outb(0x3f8, (u8)c);
}

static void print(const char *s)
{
    while (*s)
        put(*s++);
}

static void hex(u64 value, int digits)
{
    print("0x");
    while (digits-- > 0)
        put("0123456789abcdef"[value >> (digits * 4) & 15]);
}

static void decimal(u32 value)
{
    if (value >= 10)
        decimal(value / 10);
    put((char)('0' + value % 10));
}

static void check(int good, const char *what)
{
    checks++;
    if (!good)
        failures++;
    print(good ? "  ok    " : "  WRONG ");
    print(what);
    put('\n');
}

static void cpuid(u32 leaf, u32 *a, u32 *b, u32 *c, u32 *d)
{
    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(0));
}

static u64 rdmsr(u32 index)
{
    u64 value;

    __asm__ volatile("rdmsr" : "=A"(value) : "c"(index));
    return value;
}

#define SET_CR(n, value) __asm__ volatile("movl %0, %%cr" #n : : "r"((u32)(value)) : "memory")

void tour_event(struct frame *f)
{
    switch (f->vector) {
    case 14:
        __asm__ volatile("movl %%cr2, %0" : "=r"(*(u32 *)&fault_cr2));
        fault_error = f->error;
        if (++faults > 100) { /* a machine without PDPTE registers never gets out of leg_pae() */
            print("too many page faults\n");
            outb(0xf4, 0x7e);
        }
        f->eip = resume;
        break;
    case 32:
        ticks++;
        outb(0x20, 0x20);
        break;
    case 33:
        apic_ticks++;
        *(volatile u32 *)0xfee000b0 = 0;
        break;
    default: print("unexpected exception\n"); outb(0xf4, 0x7f);
    }
}

static void set_gate(u32 vector, u32 to)
{
    idt32[vector] = (to & 0xffff) | 8u << 16 | (u64)((to & 0xffff0000) | 0x8e00) << 32;
}

static void load_idt(void)
{
    for (const u32 *s = tour_stubs; s[0]; s += 2)
        set_gate(s[0], s[1]);
    idt32_pointer.limit = sizeof(idt32) - 1;
    idt32_pointer.base = (u32)idt32;
    __asm__ volatile("lidt %0" : : "m"(idt32_pointer));
}

static void clear(void *at, u32 bytes)
{
    for (u32 *p = at; bytes; bytes -= 4)
        *p++ = 0;
}

static void paging(int on)
{
    u32 cr0;

    __asm__ volatile("movl %%cr0, %0" : "=r"(cr0));
    cr0 = on ? cr0 | 0x80010000 : cr0 & 0x7fffffff;
    SET_CR(0, cr0);
}

static void saw(const char *mode, u32 lin, u64 value)
{
    print("  ");
    print(mode);
    print(": linear ");
    hex(lin, 8);
    print(" -> frame ");
    hex(value & 0xffffffffffff, 8);
    put('\n');
}

/* Read *lin with paging on; a page fault skips the read. */
static u64 read_or_fault(u32 lin)
{
    u64 value = 0;

    __asm__ volatile("movl $1f, %1\n\tmovl (%2), %%eax\n\tmovl 4(%2), %%edx\n\t1:"
                     : "+A"(value), "=m"(resume)
                     : "r"(lin)
                     : "memory");
    return value;
}

static void leg_32bit(void)
{
    u32 *pd = (u32 *)TABLES, *pt = (u32 *)(TABLES + 0x1000);
    u64 value;

    print("32-bit paging, 4-byte entries\n");
    clear(pd, 0x2000);
    SET_CR(4, 0x10); /* PSE */
    for (u32 i = 0; i < 3; i++)
        pd[i] = i << 22 | 0x83;
    pd[LIN >> 22] = (u32)pt | 3;
    pt[LIN >> 12 & 1023] = FRAME_A | 3;
    pd[8] = (FRAME_BIG & 0xffc00000) | 0x83;
    SET_CR(3, TABLES);
    paging(1);
    value = read_or_fault(LIN);
    saw("4 KiB page", LIN, value);
    check(value == MAGIC(FRAME_A), "4 KiB page reaches its frame");
    check((pt[LIN >> 12 & 1023] & 0x60) == 0x20, "reading sets A and not D");
    *(volatile u32 *)(LIN + 16) = 1;
    check((pt[LIN >> 12 & 1023] & 0x60) == 0x60, "writing sets D");
    value = read_or_fault((8u << 22) + (FRAME_BIG & 0x3fffff));
    saw("4 MiB page", 8u << 22, value);
    check(value == MAGIC(FRAME_BIG), "4 MiB page reaches its frame");
    faults = 0;
    (void)read_or_fault(LIN + 0x1000);
    check(faults == 1 && fault_cr2 == LIN + 0x1000 && fault_error == 0,
          "a page that is not present faults with its address and error code 0");
    pt[LIN >> 12 & 1023] = 0x1b05000 | 3;
    __asm__ volatile("invlpg (%0)" : : "r"(LIN));
    check(read_or_fault(LIN) == MAGIC(0x1b05000), "a changed entry is seen after INVLPG");
    paging(0);
}

static void leg_pae(void)
{
    u64 *pdpt = (u64 *)TABLES, *pd = (u64 *)(TABLES + 0x1000), *pt = (u64 *)(TABLES + 0x2000);
    u64 value;

    print("PAE paging, 8-byte entries\n");
    clear(pdpt, 0x3000);
    pdpt[0] = (u32)pd | 1;
    for (u32 i = 0; i < 6; i++)
        pd[i] = (u64)i << 21 | 0x83;
    pd[LIN >> 21] = (u32)pt | 3;
    pt[LIN >> 12 & 511] = FRAME_A | 3;
    SET_CR(4, 0x20);
    SET_CR(3, TABLES);
    paging(1);
    value = read_or_fault(LIN);
    saw("4 KiB page", LIN, value);
    check(value == MAGIC(FRAME_A), "4 KiB page reaches its frame");
    pt[LIN >> 12 & 511] |= 1ull << 51;
    __asm__ volatile("invlpg (%0)" : : "r"(LIN));
    faults = 0;
    (void)read_or_fault(LIN);
    check(faults == 1 && fault_error == 9, "a reserved bit faults with P and RSVD");
    pdpt[0] = 0;
    pt[LIN >> 12 & 511] = FRAME_A | 3;
    __asm__ volatile("invlpg (%0)" : : "r"(LIN));
    check(read_or_fault(LIN) == MAGIC(FRAME_A), "PDPTE registers outlive a change in memory");
    paging(0);
    SET_CR(4, 0);
}

static void leg_long(void)
{
    u64 *pml4 = (u64 *)TABLES, *pdpt = pml4 + 512, *pd = pdpt + 512, *pt = pd + 512;
    u64 va = LIN, out = 0;
    u32 taken;

    print("4-level paging, 64-bit mode\n");
    clear(pml4, 0x4000);
    pml4[0] = (u32)pdpt | 3;
    pml4[256] = (u32)pdpt | 3;
    pdpt[0] = (u32)pd | 3;
    for (u32 i = 0; i < 6; i++)
        pd[i] = (u64)i << 21 | 0x83;
    pd[LIN >> 21] = (u32)pt | 3;
    pt[LIN >> 12 & 511] = FRAME_A | 3;
    idt64[12] = ((u32)ud64 & 0xffff) | 0x18u << 16 | (u64)(((u32)ud64 & 0xffff0000) | 0x8e00) << 32;
    taken = leg64((u32)pml4, 0x20, &va, &out);
    saw("low half", LIN, out);
    check(out == MAGIC(FRAME_A) && taken == 1, "4 KiB page reaches its frame; #UD returns");
    va = 0xffff800000000000 + LIN;
    (void)leg64((u32)pml4, 0x20, &va, &out);
    check(out == MAGIC(FRAME_A), "the same through the upper canonical half");
}

static void leg_timers(void)
{
    u64 before, after;

    print("timers and interrupts\n");
    outb(0x20, 0x11);
    outb(0x21, 32);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0x21, 0xfe);
    outb(0x43, 0x34);
    outb(0x40, 1193182 / 1000 & 0xff);
    outb(0x40, 1193182 / 1000 >> 8);
    __asm__ volatile("rdtsc" : "=A"(before));
    __asm__ volatile("sti");
    while (ticks < 10)
        __asm__ volatile("hlt");
    __asm__ volatile("cli");
    outb(0x21, 0xff);
    __asm__ volatile("rdtsc" : "=A"(after));
    print("  ten ticks of the 8254 at 1000 Hz took ");
    decimal((u32)(after - before));
    print(" TSC cycles\n");
    check(after - before > 9000000 && after - before < 11000000,
          "8254, 8259 and TSC agree on 10 ms");
    *(volatile u32 *)0xfee000f0 = 0x1ff;
    *(volatile u32 *)0xfee003e0 = 11; /* divide by 1 */
    *(volatile u32 *)0xfee00320 = 33; /* one-shot */
    *(volatile u32 *)0xfee00380 = 1000000;
    __asm__ volatile("sti; hlt; cli");
    check(apic_ticks == 1, "the local APIC's timer fires once");
}

static void leg_smp(void)
{
    volatile u32 *icr = (volatile u32 *)0xfee00300;
    u8 *to = (u8 *)0x8000;

    print("other CPUs\n");
    for (const char *c = ap_start; c < ap_end; c++)
        *to++ = (u8)*c;
    *icr = 0x000c4500; /* INIT, all but self */
    for (u32 i = 0; i < 2; i++) {
        *icr = 0x000c4608; /* SIPI, page 8 */
        for (volatile u32 k = 0; k < 20000; k++)
            ;
    }
    print("  started: ");
    decimal(ap_count);
    put('\n');
}

void tour_main(u32 info)
{
    static const u32 frames[] = {FRAME_A, 0x1b05000, FRAME_BIG};
    u32 a, b, c, d;
    char vendor[13] = {0};

    (void)info;
    outb(0x3fb, 3);
    cpuid(0, &a, &b, &c, &d);
    ((u32 *)vendor)[0] = b;
    ((u32 *)vendor)[1] = d;
    ((u32 *)vendor)[2] = c;
    print("tour: CPU ");
    print(vendor);
    print(", APIC base ");
    hex(rdmsr(0x1b), 8);
    put('\n');
    for (u32 i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        *(volatile u64 *)frames[i] = MAGIC(frames[i]);
    load_idt();
    leg_32bit();
    leg_pae();
    leg_long();
    leg_timers();
    leg_smp();
    print("tour: ");
    decimal(checks);
    print(" checks, ");
    decimal(failures);
    print(" failures\n");
    outb(0xf4, (u8)failures);
    for (;;)
        __asm__ volatile("cli; hlt");
}
