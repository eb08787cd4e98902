/* SPDX-License-Identifier: MIT */
/*
 * vmm: boots a Linux kernel, or tiny guests, as a guest of KVM.
 *
 *     vmm -k BZIMAGE [-i INITRD] [-a COMMAND-LINE] [-m MIB] [-p PREFIX] [-t SECONDS]
 *     vmm --tiny N [--exits EXITS]
 *
 * The first boots a bzImage by the 32-bit boot protocol and copies its serial console to stdout,
 * with PREFIX before each line; it ends when the guest resets. The second runs N tiny guests, in
 * turns one for each paging mode; each checks its translation and then exits EXITS times (default
 * 1000). Status 0: the guests ended as they should; 1: they did not; 2: they could not be started.
 */
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUID_ENTRIES 256
/* Three pages below 4 GiB that KVM needs on Intel CPUs without unrestricted guests. */
#define TSS_ADDRESS 0xfffbd000u
#define IDENTITY_MAP_ADDRESS 0xfffbc000u

void fail(const char *format, ...)
{
    int code = errno;
    va_list args;
    va_start(args, format);
    fputs("vmm: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    if (code != 0)
        fprintf(stderr, ": %s", strerror(code));
    fputc('\n', stderr);
    exit(2);
}

static volatile sig_atomic_t time_is_up;

/* KVM_RUN returns when a signal arrives, whatever the guest does. */
static void on_alarm(int number)
{
    (void)number;
    time_is_up = 1;
}

static int check(int result, const char *what)
{
    if (result < 0)
        fail("%s", what);
    return result;
}

/* The CPU gets all that KVM supports. Its APIC ID is 0, and it is told that it is in a guest. */
static void set_cpuid(struct vm *vm)
{
    struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof *cpuid + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2));
    if (cpuid == NULL)
        fail("no memory");
    cpuid->nent = CPUID_ENTRIES;
    check(ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
    bool deadline = ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        if (entry->function == 1) {
            entry->ebx &= 0x0000ffffu;
            entry->ebx |= 1u << 16;
            entry->ecx |= 1u << 31 | (deadline ? 1u << 24 : 0);
        }
        if (entry->function == 0xb || entry->function == 0x1f)
            entry->edx = 0;
    }
    check(ioctl(vm->vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
    free(cpuid);
}

/*
 * IA32_MISC_ENABLE with fast strings on, as firmware leaves it. KVM starts with 0; then Linux
 * clears ERMS but not FSRM, and its memmove of 6.1 has no path for that.
 */
static void set_msrs(struct vm *vm)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry = {.index = 0x1a0, .data = 1}};
    if (check(ioctl(vm->vcpu, KVM_SET_MSRS, &msrs), "KVM_SET_MSRS") != 1)
        fail("IA32_MISC_ENABLE cannot be set");
}

void vm_create(struct vm *vm, size_t size, bool irqchip)
{
    *vm = (struct vm){.size = size, .prefix = ""};
    vm->kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    if (ioctl(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        fail("KVM's API version is not %d", KVM_API_VERSION);
    vm->vm = check(ioctl(vm->kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    uint64_t identity = IDENTITY_MAP_ADDRESS;
    check(ioctl(vm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity), "KVM_SET_IDENTITY_MAP_ADDR");
    check(ioctl(vm->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS), "KVM_SET_TSS_ADDR");
    if (irqchip) {
        struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
        check(ioctl(vm->vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
        check(ioctl(vm->vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
    }
    vm->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm->memory == MAP_FAILED)
        fail("no %zu bytes of memory", size);
    struct kvm_userspace_memory_region region = {.memory_size = size,
                                                 .userspace_addr = (uint64_t)(uintptr_t)vm->memory};
    check(ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    vm->vcpu = check(ioctl(vm->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    vm->run_size = (size_t)check(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "vCPU's size");
    vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
    if (vm->run == MAP_FAILED)
        fail("mmap of the vCPU");
    set_cpuid(vm);
    set_msrs(vm);
}

void vm_destroy(struct vm *vm)
{
    munmap(vm->run, vm->run_size);
    close(vm->vcpu);
    close(vm->vm);
    close(vm->kvm);
    munmap(vm->memory, vm->size);
}

void vm_flat_segments(struct kvm_sregs *sregs, bool long_mode)
{
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    struct kvm_segment code = data;
    code.selector = 0x10;
    code.type = 11;
    code.db = !long_mode;
    code.l = long_mode;
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    /* A 32-bit TSS: AMD CPUs start with a 16-bit one, with which long mode cannot be entered. */
    sregs->tr = (struct kvm_segment){.limit = 0x67, .type = 11, .present = 1};
}

/* What the CPU looked like when KVM gave up. */
static void report_state(struct vm *vm)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    if (ioctl(vm->vcpu, KVM_GET_REGS, &regs) < 0 || ioctl(vm->vcpu, KVM_GET_SREGS, &sregs) < 0)
        return;
    fprintf(
        stderr,
        "vmm: rip %llx rsp %llx rflags %llx rax %llx rbx %llx rcx %llx rdx %llx rsi %llx\n"
        "vmm: cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x base %llx type %x ss %x tr %x "
        "type %x\n",
        regs.rip, regs.rsp, regs.rflags, regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi,
        sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer, sregs.cs.selector, sregs.cs.base,
        sregs.cs.type, sregs.ss.selector, sregs.tr.selector, sregs.tr.type);
}

static enum outcome report_failure(struct vm *vm)
{
    const struct kvm_run *run = vm->run;
    if (run->exit_reason == KVM_EXIT_FAIL_ENTRY) {
        uint64_t reason = run->fail_entry.hardware_entry_failure_reason;
        fprintf(stderr, "vmm: entry failed, hardware reason %#" PRIx64 "\n", reason);
        if ((reason & 0x80000000u) != 0 && (reason & 0xffff) == 33)
            fprintf(stderr, "vmm: that is: VMX entry failure, invalid guest state\n");
    } else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
        fprintf(stderr, "vmm: KVM's internal error %u (1: emulation, 2: event while exiting)",
                run->internal.suberror);
        for (uint32_t i = 0; i < run->internal.ndata && i < 16; i++)
            fprintf(stderr, " %#llx", run->internal.data[i]);
        fputc('\n', stderr);
    } else {
        fprintf(stderr, "vmm: unexpected KVM exit %u\n", run->exit_reason);
    }
    report_state(vm);
    return OUTCOME_FAILED;
}

/* All accesses of one exit: string instructions may have several. */
static enum outcome port_exit(struct vm *vm, uint32_t *gave)
{
    struct kvm_run *run = vm->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    enum outcome outcome = OUTCOME_GO_ON;
    vm->io_exits++;
    for (uint32_t i = 0; i < run->io.count && outcome == OUTCOME_GO_ON; i++) {
        void *at = data + (size_t)i * run->io.size;
        outcome =
            ports_access(vm, run->io.port, run->io.direction == KVM_EXIT_IO_OUT, run->io.size, at);
        if (outcome == OUTCOME_GAVE_OUT)
            memcpy(gave, at, sizeof *gave);
    }
    return outcome;
}

enum outcome vm_run(struct vm *vm, uint32_t *gave)
{
    for (;;) {
        if (ioctl(vm->vcpu, KVM_RUN, 0) < 0) {
            if ((errno == EINTR || errno == EAGAIN) && !time_is_up)
                continue;
            fprintf(stderr, "vmm: %s\n", time_is_up ? "the time is up" : strerror(errno));
            report_state(vm);
            return OUTCOME_FAILED;
        }
        vm->exits++;
        enum outcome outcome = OUTCOME_GO_ON;
        switch (vm->run->exit_reason) {
        case KVM_EXIT_IO: outcome = port_exit(vm, gave); break;
        case KVM_EXIT_MMIO: /* nothing is there */
            vm->mmio_exits++;
            if (!vm->run->mmio.is_write)
                memset(vm->run->mmio.data, 0xff, sizeof vm->run->mmio.data);
            break;
        case KVM_EXIT_HLT: outcome = OUTCOME_HALTED; break;
        case KVM_EXIT_SHUTDOWN:
            fprintf(stderr, "vmm: triple fault\n");
            report_state(vm);
            outcome = OUTCOME_RESET;
            break;
        case KVM_EXIT_INTR:
        case KVM_EXIT_IRQ_WINDOW_OPEN: break;
        default: outcome = report_failure(vm); break;
        }
        if (outcome != OUTCOME_GO_ON)
            return outcome;
    }
}

struct options {
    const char *kernel, *initrd, *append, *prefix;
    unsigned mebibytes, tiny, exits, seconds;
};

static struct options parse(int argc, char **argv)
{
    struct options o = {.append = "console=ttyS0", .prefix = "", .mebibytes = 256, .exits = 1000};
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL)
            fail("%s: needs a value", name);
        if (strcmp(name, "-k") == 0)
            o.kernel = value;
        else if (strcmp(name, "-i") == 0)
            o.initrd = value;
        else if (strcmp(name, "-a") == 0)
            o.append = value;
        else if (strcmp(name, "-p") == 0)
            o.prefix = value;
        else if (strcmp(name, "-m") == 0)
            o.mebibytes = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "-t") == 0)
            o.seconds = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--tiny") == 0)
            o.tiny = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--exits") == 0)
            o.exits = (unsigned)strtoul(value, NULL, 10);
        else
            fail("unknown option %s", name);
    }
    if (o.kernel == NULL && o.tiny == 0)
        fail("usage: vmm -k BZIMAGE [-i INITRD] [-a TEXT] [-m MIB] [-p PREFIX] | --tiny N [--exits "
             "N]");
    if (o.mebibytes < 32 || o.mebibytes > 2048)
        fail("-m: 32 to 2048 MiB");
    return o;
}

int main(int argc, char **argv)
{
    errno = 0;
    struct options o = parse(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (o.tiny != 0)
        return tiny_run(o.tiny, o.exits) == 0 ? 0 : 1;
    struct vm vm;
    uint32_t gave;
    vm_create(&vm, (size_t)o.mebibytes << 20, true);
    vm.prefix = o.prefix;
    struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    alarm(o.seconds);
    linux_load(&vm, o.kernel, o.initrd, o.append);
    enum outcome outcome = vm_run(&vm, &gave);
    if (vm.line_begun)
        putchar('\n');
    printf("vmm: %s after %" PRIu64 " exits, %" PRIu64 " for ports, %" PRIu64 " for addresses\n",
           outcome == OUTCOME_RESET ? "the guest has reset" : "the guest has failed", vm.exits,
           vm.io_exits, vm.mmio_exits);
    fflush(stdout);
    vm_destroy(&vm);
    return outcome == OUTCOME_RESET ? 0 : 1;
}
