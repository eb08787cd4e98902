/* SPDX-License-Identifier: MIT */
/*
 * What every part of the mini hypervisors uses: printing, checks, the processor's instructions, its
 * exceptions and interrupts. One source for L1 in 64-bit mode and in 32-bit mode; nothing of the
 * emulator is included, so that its tables and these can disagree.
 */
#ifndef MINI_H
#define MINI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef unsigned long word; /* as wide as a register */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1ull << (n))
#ifdef __x86_64__
#define L1_64 true
#else
#define L1_64 false
#endif

enum { PAGE = 4096 };

/* Registers by the numbers that instructions and exit qualifications use. */
enum reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, REGS = 16 };

enum { CR0_PE = 1, CR0_NE = 0x20, CR0_ET = 0x10, CR0_WP = 0x10000 };
#define CR0_PG 0x80000000u
enum { CR4_PSE = 0x10, CR4_PAE = 0x20, CR4_LA57 = 0x1000, CR4_VMXE = 0x2000 };
enum { EFER_LME = 0x100, EFER_LMA = 0x400, EFER_NXE = 0x800, EFER_SVME = 0x1000 };
enum { MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_PAT = 0x277, MSR_FS_BASE = 0xc0000100 };
#define MSR_EFER 0xc0000080u

enum { RFLAGS_TF = 0x100, RFLAGS_IF = 0x200 };

/* Page-table entries of all paging modes. */
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX BIT(63)

enum { SEL_CODE32 = 8, SEL_DATA = 16, SEL_CODE64 = 24, SEL_TSS = 32 };

/* Printing and checks (machine.c). print() knows %c, %s, %u, %x, %08x and so on, and ll. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);
__attribute__((format(printf, 2, 3))) void check(bool good, const char *format, ...);
/* What the parts rely on: silent and not counted if it holds. */
__attribute__((format(printf, 2, 3))) void must(bool good, const char *format, ...);
extern u32 checks, failures;
extern const char *print_prefix; /* of each line */
__attribute__((noreturn)) void leave(void);

/* Memory of L1 below 8 MiB: zeroed pages, all free again at the beginning of each part. */
void *page_new(void);
void pages_free(void);
word pages_mark(void);
void pages_free_to(word mark); /* those taken since the mark */

/* L1's exceptions and interrupts. */
struct frame {
    word ax, cx, dx, bx, bp, si, di;
#ifdef __x86_64__
    word r8, r9, r10, r11, r12, r13, r14, r15;
#endif
    word vector, error, ip, cs, flags;
#ifdef __x86_64__
    word sp, ss;
#endif
};
extern volatile u32 event_count[48]; /* by vector; interrupts get their EOI */
extern volatile word event_resume; /* not 0: an exception goes on here and is counted */
extern volatile word event_error; /* the last error code */
void machine_init(word info);
void idt_load(void);
const char *machine_arguments(void);

/* L1 in 32-bit mode chooses its paging: off, 32-bit, PAE. In 64-bit mode: four or five levels. */
enum l1_paging { L1_OFF, L1_32, L1_PAE, L1_LONG, L1_LONG_5 };
extern enum l1_paging l1_paging;
void l1_set_paging(enum l1_paging mode);
bool l1_has_five_levels(void); /* this processor */
/* Another processor, which has just started, pages as the one whose registers these are. */
void l1_paging_join(word cr0, word cr3, word cr4);
extern u64 l1_pdpt[4]; /* its PDPTEs when PAE */

extern char ap_start[], ap_end[], stack_top[], ap_stack_top[];
extern word ap_entry;
extern u64 gdt[];
struct descriptor_table {
    u16 limit;
    word base;
} __attribute__((packed));

/* Registers of the local APIC. */
static inline volatile u32 *apic(u32 offset)
{
    return (volatile u32 *)(word)(0xfee00000u + offset);
}
enum {
    APIC_ID = 0x20,
    APIC_EOI = 0xb0,
    APIC_SPURIOUS = 0xf0,
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_INITIAL = 0x380,
    APIC_DIVIDE = 0x3e0,
};

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline u64 rdmsr(u32 index)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 index, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static inline void cpuid(u32 leaf, u32 out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(0));
}

#define CR_GET(n)                                                                                  \
    ({                                                                                             \
        word cr_;                                                                                  \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(cr_));                                        \
        cr_;                                                                                       \
    })
#define CR_SET(n, value) __asm__ volatile("mov %0, %%cr" #n : : "r"((word)(value)) : "memory")

void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

#endif
