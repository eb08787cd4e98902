/* SPDX-License-Identifier: MIT */
/* Loads a bzImage by the Linux/x86 boot protocol (2.06 or newer) for its 32-bit entry point. */
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where things go in guest memory. */
#define GDT_AT 0x500u
#define PARAMS_AT 0x7000u
#define STACK_AT 0x8000u
#define COMMAND_LINE_AT 0x20000u
#define KERNEL_AT 0x100000u
#define LOW_MEMORY_END 0x9fc00u

/* Offsets in the boot parameters ("zero page"), which a bzImage begins with from SETUP_SECTS on. */
#define E820_ENTRIES 0x1e8u
#define SETUP_SECTS 0x1f1u
#define JUMP_LENGTH 0x201u
#define MAGIC 0x202u
#define VERSION 0x206u
#define LOADER_TYPE 0x210u
#define LOADFLAGS 0x211u
#define RAMDISK_IMAGE 0x218u
#define RAMDISK_SIZE 0x21cu
#define COMMAND_LINE 0x228u
#define INITRD_MAX 0x22cu
#define COMMAND_LINE_MAX 0x238u
#define E820_TABLE 0x2d0u

struct e820 {
    uint64_t address, size;
    uint32_t type;
} __attribute__((packed));

static void put32(uint8_t *at, uint64_t value)
{
    uint32_t low = (uint32_t)value;
    memcpy(at, &low, sizeof low);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static size_t file_size(int file, const char *name)
{
    struct stat about;
    if (fstat(file, &about) < 0)
        fail("%s", name);
    return (size_t)about.st_size;
}

static void read_at(int file, const char *name, uint8_t *to, size_t size, size_t offset)
{
    while (size > 0) {
        ssize_t got = pread(file, to, size, (off_t)offset);
        if (got <= 0)
            fail("%s: cannot be read", name);
        to += got;
        size -= (size_t)got;
        offset += (size_t)got;
    }
}

static int open_file(const char *name)
{
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        fail("%s", name);
    return file;
}

/* The initrd goes as high as the kernel and the memory allow. */
static void load_initrd(struct vm *vm, uint8_t *params, const char *name)
{
    int file = open_file(name);
    size_t size = file_size(file, name), end = vm->size, max = get32(params + INITRD_MAX);
    if (end > max)
        end = max + 1;
    if (size > end / 2)
        fail("%s: too big for the memory of the guest", name);
    size_t at = (end - size) & ~(size_t)0xfff;
    read_at(file, name, vm->memory + at, size, 0);
    close(file);
    put32(params + RAMDISK_IMAGE, at);
    put32(params + RAMDISK_SIZE, size);
}

static void load_kernel(struct vm *vm, uint8_t *params, const char *name)
{
    uint8_t header[0x300];
    int file = open_file(name);
    size_t size = file_size(file, name);
    if (size < sizeof header)
        fail("%s: no bzImage", name);
    read_at(file, name, header, sizeof header, 0);
    size_t setup = ((size_t)(header[SETUP_SECTS] ? header[SETUP_SECTS] : 4) + 1) * 512;
    if (memcmp(header + MAGIC, "HdrS", 4) != 0 ||
        (header[VERSION] | header[VERSION + 1] << 8) < 0x206 || (header[LOADFLAGS] & 1) == 0 ||
        setup >= size)
        fail("%s: no bzImage of boot protocol 2.06 or newer", name);
    if (size - setup > vm->size - KERNEL_AT)
        fail("%s: too big for the memory of the guest", name);
    size_t end = (size_t)MAGIC + header[JUMP_LENGTH];
    memcpy(params + SETUP_SECTS, header + SETUP_SECTS, end - SETUP_SECTS);
    read_at(file, name, vm->memory + KERNEL_AT, size - setup, setup);
    close(file);
}

static void set_cpu(struct vm *vm)
{
    static const uint64_t gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    memcpy(vm->memory + GDT_AT, gdt, sizeof gdt);
    struct kvm_sregs sregs;
    if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs) < 0)
        fail("KVM_GET_SREGS");
    vm_flat_segments(&sregs, false);
    sregs.gdt = (struct kvm_dtable){.base = GDT_AT, .limit = sizeof gdt - 1};
    sregs.idt = (struct kvm_dtable){0};
    sregs.cr0 = CR0_PE | CR0_ET;
    if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) < 0)
        fail("KVM_SET_SREGS");
    struct kvm_regs regs = {.rip = KERNEL_AT, .rsi = PARAMS_AT, .rsp = STACK_AT, .rflags = 2};
    if (ioctl(vm->vcpu, KVM_SET_REGS, &regs) < 0)
        fail("KVM_SET_REGS");
}

void linux_load(struct vm *vm, const char *kernel, const char *initrd, const char *append)
{
    const struct e820 map[] = {{0, LOW_MEMORY_END, 1},
                               {LOW_MEMORY_END, KERNEL_AT - LOW_MEMORY_END, 2},
                               {KERNEL_AT, vm->size - KERNEL_AT, 1}};
    uint8_t *params = vm->memory + PARAMS_AT;
    errno = 0;
    load_kernel(vm, params, kernel);
    params[LOADER_TYPE] = 0xff; /* none that has a number */
    if (initrd != NULL)
        load_initrd(vm, params, initrd);
    if (strlen(append) > get32(params + COMMAND_LINE_MAX))
        fail("the command line is too long");
    memcpy(vm->memory + COMMAND_LINE_AT, append, strlen(append) + 1);
    put32(params + COMMAND_LINE, COMMAND_LINE_AT);
    memcpy(params + E820_TABLE, map, sizeof map);
    params[E820_ENTRIES] = sizeof map / sizeof *map;
    set_cpu(vm);
}
