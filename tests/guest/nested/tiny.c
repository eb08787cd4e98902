/* SPDX-License-Identifier: MIT */
/*
 * Tiny guests, one for each way in which a CPU can address memory. Each reads a word through its
 * own translation, gives it out on port F4h, writes its successor beside it, and then writes to a
 * port until a counter is used up: that measures the way out of a guest, through KVM to us and
 * back. The word is at another address at each stage, with other values at the addresses in
 * between, so a missing or a wrong stage shows.
 */
#include "vmm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define MEMORY 0x1000000u
#define CODE_AT 0x1000u
#define TABLES_AT 0x10000u /* six pages */
#define DATA_AT 0x31000u /* guest-physical */
#define SMALL_AT 0x402000u /* linear, with 4K pages */
#define LARGE_AT 0x831000u /* linear, with pages of 2M or 4M */
#define EXIT_PORT 0xe1 /* nobody listens */
#define P 1u
#define RWUP 7u /* present, writable, user */
#define PS 0x80u

enum paging { NONE, PAGING_32, PAGING_PAE, PAGING_4_LEVEL };

struct kind {
    const char *name;
    enum paging paging;
    bool protected, large;
};

/* KVM of a 32-bit kernel has no 64-bit guests, and only such kernels get the 32-bit monitor. */
static const struct kind kinds[] = {
    {"real16", NONE, false, false},          {"prot32", NONE, true, false},
    {"np32", PAGING_32, true, false},        {"pse32", PAGING_32, true, true},
    {"pae32", PAGING_PAE, true, false},      {"pae32-2m", PAGING_PAE, true, true},
#ifdef __x86_64__
    {"long64", PAGING_4_LEVEL, true, false},
#endif
};

static uint32_t linear(const struct kind *kind)
{
    if (!kind->protected)
        return DATA_AT & 0xffff; /* DS has the rest */
    return kind->paging == NONE ? DATA_AT : kind->large ? LARGE_AT : SMALL_AT;
}

/* The program, in the encodings that 32-bit and 64-bit mode share; real mode takes prefixes. */
static void write_code(uint8_t *at, const struct kind *kind, uint32_t exits)
{
    static const uint8_t parts[][8] = {
        /* length, operand size matters, address size matters, bytes */
        {1, 1, 0, 0xbb}, /* mov ebx, ADDRESS */
        {2, 1, 1, 0x8b, 0x03}, /* mov eax, [ebx] */
        {2, 1, 0, 0xe7, 0xf4}, /* out 0xf4, eax */
        {3, 1, 0, 0x83, 0xc0, 0x01}, /* add eax, 1 */
        {3, 1, 1, 0x89, 0x43, 0x04}, /* mov [ebx + 4], eax */
        {1, 1, 0, 0xb9}, /* mov ecx, EXITS */
        {2, 0, 0, 0xe6, EXIT_PORT}, /* out EXIT_PORT, al: the loop begins here */
        {2, 1, 0, 0xff, 0xc9}, /* dec ecx */
        {2, 0, 0, 0x75, 0}, /* jnz back */
        {1, 0, 0, 0xf4}, /* hlt */
    };
    uint8_t *loop = NULL;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint8_t *part = parts[i];
        if (part[3] == 0xe6)
            loop = at;
        if (!kind->protected && part[1])
            *at++ = 0x66;
        if (!kind->protected && part[2])
            *at++ = 0x67;
        memcpy(at, part + 3, part[0]);
        at += part[0];
        if (part[3] == 0xbb || part[3] == 0xb9) {
            uint32_t value = part[3] == 0xbb ? linear(kind) : exits;
            memcpy(at, &value, sizeof value);
            at += sizeof value;
        }
        if (part[3] == 0x75)
            at[-1] = (uint8_t)(loop - at);
    }
}

static uint32_t table(unsigned number)
{
    return TABLES_AT + number * 0x1000;
}

static void entry(uint8_t *memory, unsigned number, unsigned index, size_t size, uint64_t value)
{
    memcpy(memory + table(number) + index * size, &value, size);
}

/* Tables 4 and 5 are the ones of level 1 for code and data; others by level from 0 down. */
static uint64_t write_tables(uint8_t *memory, const struct kind *kind)
{
    size_t size = kind->paging == PAGING_32 ? 4 : 8;
    unsigned shift = kind->paging == PAGING_32 ? 22 : 21;
    uint64_t page = DATA_AT & ~((1ull << shift) - 1), root = table(2);
    entry(memory, 4, CODE_AT >> 12, size, CODE_AT | RWUP);
    entry(memory, 2, 0, size, table(4) | RWUP);
    if (kind->large) {
        entry(memory, 2, LARGE_AT >> shift, size, page | PS | RWUP);
    } else {
        unsigned last = SMALL_AT >> 12 & (kind->paging == PAGING_32 ? 1023 : 511);
        entry(memory, 2, SMALL_AT >> shift, size, table(5) | RWUP);
        entry(memory, 5, last, size, DATA_AT | RWUP);
    }
    if (kind->paging == PAGING_PAE) {
        entry(memory, 1, 0, size, table(2) | P);
        root = table(1);
    } else if (kind->paging == PAGING_4_LEVEL) {
        entry(memory, 1, 0, size, table(2) | RWUP);
        entry(memory, 0, 0, size, table(1) | RWUP);
        root = table(0);
    }
    return root;
}

static void set_cpu(struct vm *vm, const struct kind *kind)
{
    struct kvm_sregs sregs;
    if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs) < 0)
        fail("KVM_GET_SREGS");
    if (kind->protected) {
        vm_flat_segments(&sregs, kind->paging == PAGING_4_LEVEL);
        sregs.cr0 = CR0_PE | CR0_ET;
    } else {
        sregs.cs.selector = 0;
        sregs.cs.base = 0;
        sregs.ds.base = DATA_AT & ~0xffffu;
        sregs.ds.selector = (uint16_t)(sregs.ds.base >> 4);
    }
    if (kind->paging != NONE) {
        sregs.cr3 = write_tables(vm->memory, kind);
        sregs.cr0 |= CR0_PG;
        sregs.cr4 |= kind->paging == PAGING_32 ? (kind->large ? CR4_PSE : 0) : CR4_PAE;
        sregs.efer = kind->paging == PAGING_4_LEVEL ? EFER_LME | EFER_LMA : 0;
    }
    if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) < 0)
        fail("KVM_SET_SREGS");
    struct kvm_regs regs = {.rip = CODE_AT, .rsp = 0x8000, .rflags = 2};
    if (ioctl(vm->vcpu, KVM_SET_REGS, &regs) < 0)
        fail("KVM_SET_REGS");
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool run_one(unsigned number, const struct kind *kind, unsigned exits)
{
    struct vm vm;
    uint32_t gave = 0, right = 0x5a5a0000u + number, wrong = 0xbad0bad0u, successor;
    vm_create(&vm, MEMORY, false);
    write_code(vm.memory + CODE_AT, kind, exits);
    memcpy(vm.memory + SMALL_AT, &wrong, sizeof wrong);
    memcpy(vm.memory + LARGE_AT, &wrong, sizeof wrong);
    memcpy(vm.memory + DATA_AT, &right, sizeof right);
    set_cpu(&vm, kind);
    enum outcome first = vm_run(&vm, &gave);
    uint64_t start = nanoseconds(), before = vm.exits;
    enum outcome last = first == OUTCOME_GAVE_OUT ? vm_run(&vm, &gave) : OUTCOME_FAILED;
    uint64_t each = (nanoseconds() - start) / (vm.exits - before + 1);
    memcpy(&successor, vm.memory + DATA_AT + 4, sizeof successor);
    bool good = last == OUTCOME_HALTED && gave == right && successor == right + 1 &&
                vm.exits == (uint64_t)exits + 2;
    printf("tiny %u %s: %s, %" PRIu64 " exits, %" PRIu64 " ns each\n", number, kind->name,
           good ? "ok" : "FAILED", vm.exits, each);
    if (!good)
        printf("tiny: read %#" PRIx32 " instead of %#" PRIx32 ", wrote %#" PRIx32 ", ended by %u\n",
               gave, right, successor, last);
    vm_destroy(&vm);
    return good;
}

int tiny_run(unsigned count, unsigned exits)
{
    int failed = 0;
    errno = 0;
    for (unsigned i = 0; i < count; i++)
        failed += !run_one(i, &kinds[i % (sizeof kinds / sizeof *kinds)], exits);
    printf("tiny: %u guests, %d failed\n", count, failed);
    return failed;
}
