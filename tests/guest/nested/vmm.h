/* SPDX-License-Identifier: MIT */
/* A small virtual machine monitor over /dev/kvm, for nested guests. */
#ifndef TESTS_GUEST_NESTED_VMM_H
#define TESTS_GUEST_NESTED_VMM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CR0, CR4 and EFER bits that the monitor sets (SDM Vol. 3A, "Control Registers"). */
#define CR0_PE 0x1u
#define CR0_ET 0x10u
#define CR0_PG 0x80000000u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

struct uart {
    uint8_t ier, lcr, mcr, scratch, divisor[2];
    bool fifo;
    bool thre_pending; /* THRE interrupt not yet taken by a read of IIR */
    bool line; /* level of IRQ 4 that KVM was told */
};

struct vm {
    int kvm, vm, vcpu;
    uint8_t *memory;
    size_t size;
    struct kvm_run *run;
    size_t run_size;
    struct uart uart;
    const char *prefix; /* printed before each line of the guest's console */
    bool line_begun;
    uint8_t cmos_index;
    uint64_t exits, io_exits, mmio_exits;
};

enum outcome {
    OUTCOME_GO_ON,
    OUTCOME_RESET, /* port 64h, port CF9h or a triple fault */
    OUTCOME_HALTED, /* HLT, where KVM does not wait itself */
    OUTCOME_FAILED, /* KVM cannot run the guest: told on stderr */
    OUTCOME_GAVE_OUT, /* 32 bits on port F4h: tiny guests tell results */
};

/* Ends the program with a message, and what errno says, if that is not 0. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A VM with SIZE bytes of memory at 0 and one CPU in its reset state; with IRQCHIP: PICs, IOAPIC,
 * local APIC and PIT in KVM. */
void vm_create(struct vm *vm, size_t size, bool irqchip);
void vm_destroy(struct vm *vm);
/* Runs until something ends it. GAVE receives what port F4h got. */
enum outcome vm_run(struct vm *vm, uint32_t *gave);
/* Flat segments of 4 GiB (base 0), code as CS_TYPE says: 64-bit if LONG_MODE. */
void vm_flat_segments(struct kvm_sregs *sregs, bool long_mode);

/* One access of a guest to a port. Devices: a 16550 at 3F8h, CMOS clock, ways to reset. */
enum outcome ports_access(struct vm *vm, uint16_t port, bool out, uint32_t size, void *data);

/* Loads a bzImage and an initrd (NULL: none) and sets the CPU to the 32-bit entry point. */
void linux_load(struct vm *vm, const char *kernel, const char *initrd, const char *append);
/* Runs COUNT tiny guests, the kinds in turns; the number of those that failed. */
int tiny_run(unsigned count, unsigned exits);

#endif
