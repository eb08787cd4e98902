/* SPDX-License-Identifier: MIT */
/* The machine under the mini hypervisors: serial port, exceptions, L1's own paging, memory. */
#include "mini.h"

#include <stdarg.h>

enum { MEMORY_START = 0x400000, MEMORY_END = 0x800000, PORT_EXIT = 0xf4 };

u32 checks, failures;
const char *print_prefix = "";
volatile u32 event_count[48];
volatile word event_resume, event_error;
enum l1_paging l1_paging = L1_64 ? L1_LONG : L1_OFF;
u64 l1_pdpt[4] __attribute__((aligned(32)));
extern const word event_stubs[];
void mini_event(struct frame *frame);

static word memory_next = MEMORY_START;
static const char *arguments = "";
static u64 idt[96] __attribute__((aligned(16)));
static u8 tss[104] __attribute__((aligned(16)));

void *memset(void *to, int value, size_t size)
{
    for (u8 *p = to; size != 0; size--)
        *p++ = (u8)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    const u8 *q = from;

    for (u8 *p = to; size != 0; size--)
        *p++ = *q++;
    return to;
}

static void put(char c)
{
    outb(0x3f8, (u8)c);
    if (c == '\n')
        for (const char *s = print_prefix; *s != 0; s++)
            outb(0x3f8, (u8)*s);
}

static void put_hex(u64 value, int digits)
{
    while (digits < 16 && value >> (digits * 4) != 0)
        digits++;
    if (digits == 0)
        digits = 1;
    while (digits-- > 0)
        put("0123456789abcdef"[value >> (digits * 4) & 15]);
}

static void put_decimal(u32 value)
{
    if (value >= 10)
        put_decimal(value / 10);
    put((char)('0' + value % 10));
}

static void vprint(const char *f, va_list args)
{
    for (; *f != 0; f++) {
        int digits = 0, longs = 0;
        u64 value;

        if (*f != '%') {
            put(*f);
            continue;
        }
        while (*++f >= '0' && *f <= '9')
            digits = digits * 10 + (*f - '0');
        for (; *f == 'l'; f++)
            longs++;
        if (*f == 's') {
            for (const char *s = va_arg(args, const char *); *s != 0; s++, digits--)
                put(*s);
            for (; digits > 0; digits--)
                put(' ');
            continue;
        }
        value = longs == 2   ? va_arg(args, unsigned long long)
                : longs == 1 ? va_arg(args, unsigned long)
                             : va_arg(args, unsigned int);
        if (*f == 'x')
            put_hex(value, digits);
        else if (*f == 'u')
            put_decimal((u32)value);
        else
            put((char)value);
    }
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprint(format, args);
    va_end(args);
}

static void report(bool good, const char *format, va_list args)
{
    print(good ? "  ok    " : "  WRONG ");
    vprint(format, args);
    put('\n');
}

void check(bool good, const char *format, ...)
{
    va_list args;

    checks++;
    failures += !good;
    va_start(args, format);
    report(good, format, args);
    va_end(args);
}

void must(bool good, const char *format, ...)
{
    va_list args;

    if (good)
        return;
    failures++;
    va_start(args, format);
    report(good, format, args);
    va_end(args);
}

void leave(void)
{
    outb(PORT_EXIT, (u8)(failures > 120 ? 120 : failures));
    for (;;)
        __asm__ volatile("cli; hlt");
}

void *page_new(void)
{
    void *page = (void *)memory_next;

    if (memory_next == MEMORY_END) {
        print("out of memory\n");
        failures++;
        leave();
    }
    memory_next += PAGE;
    return memset(page, 0, PAGE);
}

void pages_free(void)
{
    memory_next = MEMORY_START;
}

word pages_mark(void)
{
    return memory_next;
}

void pages_free_to(word mark)
{
    memory_next = mark;
}

void mini_event(struct frame *frame)
{
    if (frame->vector < 32 && frame->vector != 2 && event_resume == 0) {
        print("L1: unexpected exception %lu, error code %lx, at %lx\n", frame->vector, frame->error,
              frame->ip);
        failures++;
        leave();
    }
    event_count[frame->vector]++;
    event_error = frame->error;
    if (frame->vector >= 32)
        *apic(APIC_EOI) = 0;
    else if (frame->vector != 2)
        frame->ip = event_resume;
}

void idt_load(void)
{
    const struct descriptor_table pointer = {48 * (L1_64 ? 16 : 8) - 1, (word)idt};
    const u64 selector = L1_64 ? SEL_CODE64 : SEL_CODE32;

    for (u32 i = 0; i < 48; i++) {
        const word to = event_stubs[i];
        u64 *gate = idt + i * (L1_64 ? 2 : 1);

        *gate =
            (to & 0xffff) | selector << 16 | (u64)(to & 0xffff0000) << 32 | BIT(47) | 14ull << 40;
        if (L1_64)
            gate[1] = (u64)to >> 32;
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

bool l1_has_five_levels(void)
{
    u32 regs[4];

    cpuid(0, regs);
    if (!L1_64 || regs[0] < 7)
        return false;
    cpuid(7, regs);
    return (regs[2] & 1 << 16) != 0;
}

#ifdef __x86_64__
/* start.S: CR4 and CR3 anew, with paging off between. */
void set_long_paging(word cr4, word cr3);

/* The root of five levels has that of four as its first table. */
static void set_levels(enum l1_paging mode)
{
    static u64 root[512] __attribute__((aligned(4096)));
    const word cr4 = CR_GET(4) & ~(word)CR4_LA57;

    if (mode == l1_paging)
        return;
    if (root[0] == 0)
        root[0] = CR_GET(3) | P | W;
    l1_paging = mode;
    if (mode == L1_LONG_5)
        set_long_paging(cr4 | CR4_LA57, (word)root);
    else
        set_long_paging(cr4, root[0] & ~(word)(PAGE - 1));
}
#endif

/* All of memory maps to itself. */
void l1_set_paging(enum l1_paging mode)
{
#ifdef __x86_64__
    set_levels(mode);
#else
    static u32 directory[1024] __attribute__((aligned(4096)));
    static u64 directories[2048] __attribute__((aligned(4096)));

    CR_SET(0, CR_GET(0) & ~(word)CR0_PG);
    l1_paging = mode;
    CR_SET(4, mode == L1_PAE ? CR4_PAE : mode == L1_32 ? CR4_PSE : 0);
    if (mode == L1_OFF)
        return;
    for (u32 i = 0; i < 1024; i++)
        directory[i] = i << 22 | PS | W | P;
    for (u32 i = 0; i < 2048; i++)
        directories[i] = (u64)i << 21 | PS | W | P;
    for (u32 i = 0; i < 4; i++)
        l1_pdpt[i] = (word)(directories + 512 * i) | P;
    CR_SET(3, mode == L1_PAE ? (word)l1_pdpt : (word)directory);
    CR_SET(0, CR_GET(0) | CR0_PG | CR0_WP);
#endif
}

void l1_paging_join(word cr0, word cr3, word cr4)
{
#ifdef __x86_64__
    set_long_paging(cr4, cr3);
#else
    CR_SET(4, cr4);
    CR_SET(3, cr3);
#endif
    CR_SET(0, cr0);
}

void machine_init(word info)
{
    const u32 *multiboot = (const u32 *)info;
    const u64 base = (word)tss;

    outb(0x3fb, 3);
    if ((multiboot[0] & 4) != 0)
        arguments = (const char *)(word)multiboot[4];
    while (*arguments != 0 && *arguments != ' ') /* the first word is the file's name */
        arguments++;
    arguments += *arguments != 0;
    gdt[4] =
        (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[5] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    idt_load();
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    *apic(APIC_SPURIOUS) = 0x1ff;
}

const char *machine_arguments(void)
{
    return arguments;
}
