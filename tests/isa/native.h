/* SPDX-License-Identifier: MIT */
/*
 * Runs one instruction on the host CPU with given registers, flags, x87 and vector state, and
 * reports what it did or which exception it raised. 64-bit user mode; needs AVX.
 */
#ifndef TESTS_ISA_NATIVE_H
#define TESTS_ISA_NATIVE_H

#include "base/types.h"

#include <cpuid.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* Linear addresses, the same on the host and on ours; everything around them is unmapped. */
enum { NATIVE_CS32 = 0x23, NATIVE_CS64 = 0x33 }; /* Linux */
enum { NATIVE_CODE = 0x23450000, NATIVE_DATA = 0x23460000, NATIVE_DATA_SIZE = 0x4000 };

/* Places in mcontext_t.gregs, whose own names collide with those of cpu/state.h. */
enum { GREG_RIP = 16, GREG_CS = 18, GREG_ERR = 19, GREG_TRAPNO = 20, GREG_CR2 = 22 };

/* FXSAVE image, SDM Vol 1 table 10-2. */
struct fx_image {
    u16 fcw, fsw;
    u8 ftw, reserved;
    u16 fop;
    u64 fip, fdp;
    u32 mxcsr, mxcsr_mask;
    struct {
        u64 mant;
        u16 se, pad[3];
    } st[8]; /* by stack position */
    u8 rest[352];
} __attribute__((aligned(64)));

struct native_context {
    struct fx_image fx;
    u8 ymm[16][32];
    u64 gpr[16];
    u64 rflags;
    u64 rip;
    /* far pointer for the jump to 32-bit code */
    u32 far_offset;
    u16 far_selector, far_pad;
    /* the exception, if any */
    int vector; /* -1: none */
    u64 error, cr2, fault_rip;
};

struct native_context native_context;
u64 native_host_rsp;
void native_enter(void);
void native_leave(void);

/* clang-format off */
#define NATIVE_EACH_YMM(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define NATIVE_EACH_GPR(X) \
    X(0, rax) X(1, rcx) X(2, rdx) X(3, rbx) X(5, rbp) X(6, rsi) X(7, rdi) X(8, r8) X(9, r9) \
    X(10, r10) X(11, r11) X(12, r12) X(13, r13) X(14, r14) X(15, r15) X(4, rsp)
#define LOAD_YMM(n) "vmovdqu native_context+512+32*" #n "(%rip), %ymm" #n "\n"
#define SAVE_YMM(n) "vmovdqu %ymm" #n ", native_context+512+32*" #n "(%rip)\n"
#define LOAD_GPR(n, r) "movq native_context+1024+8*" #n "(%rip), %" #r "\n"
#define SAVE_GPR(n, r) "movq %" #r ", native_context+1024+8*" #n "(%rip)\n"

__asm__(
    ".text\n"
    ".globl native_enter\n"
    "native_enter:\n"
    "pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
    "movq %rsp, native_host_rsp(%rip)\n"
    "fxrstor64 native_context(%rip)\n"
    NATIVE_EACH_YMM(LOAD_YMM)
    "cmpw $0, native_context+1172(%rip)\n"
    "jne 1f\n"
    "pushq native_context+1152(%rip)\n"
    "popfq\n"
    NATIVE_EACH_GPR(LOAD_GPR)
    "jmp *native_context+1160(%rip)\n"
    "1: movl $0x2b, %eax\n" /* Linux's data segment; 64-bit programs have a null one */
    "movl %eax, %ds\n"
    "movl %eax, %es\n"
    "pushq native_context+1152(%rip)\n"
    "popfq\n"
    NATIVE_EACH_GPR(LOAD_GPR)
    "ljmpl *native_context+1168(%rip)\n"
    ".globl native_leave\n"
    "native_leave:\n"
    NATIVE_EACH_GPR(SAVE_GPR)
    "movq native_host_rsp(%rip), %rsp\n"
    "pushfq\n"
    "popq native_context+1152(%rip)\n"
    "cld\n"
    "xorl %eax, %eax\n"
    "movl %eax, %ds\n"
    "movl %eax, %es\n"
    NATIVE_EACH_YMM(SAVE_YMM)
    "fxsave64 native_context(%rip)\n"
    "fninit\n"
    "ldmxcsr native_default_mxcsr(%rip)\n"
    "vzeroupper\n"
    "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
    "ret\n"
    ".section .rodata\n"
    "native_default_mxcsr: .long 0x1f80\n"
    ".text\n");
/* clang-format on */

_Static_assert(offsetof(struct native_context, ymm) == 512, "as in the code above");
_Static_assert(offsetof(struct native_context, gpr) == 1024, "as in the code above");
_Static_assert(offsetof(struct native_context, rflags) == 1152, "as in the code above");
_Static_assert(offsetof(struct native_context, rip) == 1160, "as in the code above");
_Static_assert(offsetof(struct native_context, far_offset) == 1168, "as in the code above");

/* A fault in the instruction under test goes on at native_leave, all registers as the fault left
 * them. */
static void native_signal(int number, siginfo_t *info, void *context)
{
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const u64 rip = (u64)gregs[GREG_RIP];

    (void)info;
    if (rip < NATIVE_CODE || rip >= NATIVE_CODE + 4096) {
        signal(number, SIG_DFL); /* a bug of the test itself */
        return;
    }
    native_context.vector = (int)gregs[GREG_TRAPNO];
    native_context.error = (u64)gregs[GREG_ERR];
    native_context.cr2 = (u64)gregs[GREG_CR2];
    native_context.fault_rip = rip;
    gregs[GREG_RIP] = (greg_t)(uintptr_t)native_leave;
    gregs[GREG_CS] = (gregs[GREG_CS] & ~(greg_t)0xffff) | NATIVE_CS64;
}

int memfd_create(const char *name, unsigned flags);

/* The code page through a second, writable mapping: instructions under test cannot change it. */
static u8 *native_code;

static bool native_map(void)
{
    const int fd = memfd_create("code", 0);
    void *code, *data;

    if (fd < 0 || ftruncate(fd, 4096) != 0)
        return false;
    native_code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    code = mmap((void *)(uintptr_t)NATIVE_CODE, 4096, PROT_READ | PROT_EXEC,
                MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
    data = mmap((void *)(uintptr_t)NATIVE_DATA, NATIVE_DATA_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    close(fd);
    return native_code != MAP_FAILED && code == (void *)(uintptr_t)NATIVE_CODE &&
           data == (void *)(uintptr_t)NATIVE_DATA;
}

/* Map code and data, catch signals. false: this host cannot run the tests. */
static bool native_init(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    static u8 stack[65536];
    static bool mapped;
    const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = native_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    if (!__builtin_cpu_supports("avx") || sigaltstack(&alternative, NULL) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &action, NULL);
    if (!mapped)
        mapped = native_map();
    return mapped;
}

/* Execute the instruction with native_context's state; the result is there, too. wide: as 64-bit
 * code. */
static void native_run(const u8 *bytes, unsigned length, bool wide)
{
    enum { THUNK = 0x100 };
    u8 *code = native_code;
    u8 *leave = wide ? code + length : code + THUNK;
    const u64 target = (u64)(uintptr_t)native_leave;

    memcpy(code, bytes, length);
    memcpy(leave, (const u8[]){0xff, 0x25, 0, 0, 0, 0}, 6); /* jmp *(rip) */
    memcpy(leave + 6, &target, 8);
    if (!wide) { /* jmp NATIVE_CS64:leave */
        const u32 offset = NATIVE_CODE + THUNK;

        code[length] = 0xea;
        memcpy(code + length + 1, &offset, 4);
        memcpy(code + length + 5, (const u8[]){NATIVE_CS64, 0}, 2);
    }
    native_context.vector = -1;
    native_context.rip = NATIVE_CODE;
    native_context.far_offset = NATIVE_CODE;
    native_context.far_selector = wide ? 0 : NATIVE_CS32;
    native_enter();
}

/* CPUID bits of the features that rows name. */
struct native_feature {
    u32 feature; /* enum cpu_feature */
    u32 leaf, subleaf;
    u8 reg; /* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
    u8 bit;
};

static bool native_cpuid_bit(const struct native_feature *f)
{
    u32 reg[4] = {0};

    return __get_cpuid_count(f->leaf, f->subleaf, &reg[0], &reg[1], &reg[2], &reg[3]) != 0 &&
           (reg[f->reg] >> f->bit & 1) != 0;
}

#endif
