/* SPDX-License-Identifier: MIT */
/*
 * A second processor: a guest that moves between two, and what one sends to the other while that
 * runs L2. SDM Vol 3C 25.11.1 "Software Use of Virtual-Machine Control Structures", 26.2 "Other
 * Causes of VM Exits"; APM Vol 2 15.13 "Interrupt Intercepts".
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

enum command { WAIT, START, READ_DATA, ENTER, GIVE_BACK, STOP };
enum { INIT = 5 << 8, SIPI = 6 << 8, SEND_NMI = 4 << 8, ASSERT = 1 << 14, OTHER_ID = 1 };
enum { VECTOR = 0x23, MSR_SYSENTER_EIP = 0x176 };

static struct l2 l2;
static volatile enum command command;
static volatile u32 answer;
static word bsp_cr0, bsp_cr3, bsp_cr4;

/* The other processor: does what it is told, with the same L2. */
static void other_processor(void)
{
    l1_paging_join(bsp_cr0, bsp_cr3, bsp_cr4 & ~(word)CR4_VMXE);
    idt_load();
    *apic(APIC_SPURIOUS) = 0x1ff;
    for (;;) {
        switch (command) {
        case WAIT: __asm__ volatile("pause"); continue;
        case START: vendor->on(); break;
        case READ_DATA:
            l2.reload = true;
            answer = l2_value(&l2, LIN_DATA);
            vendor->catch_events(&l2);
            break;
        case ENTER:
            __asm__ volatile("sti");
            vendor->run(&l2);
            __asm__ volatile("cli");
            if (vendor->acknowledges && l2.exit.reason == vendor->interrupt_exit)
                *apic(APIC_EOI) = 0;
            break;
        case GIVE_BACK: vendor->release(&l2); break;
        case STOP:
            vendor->off();
            command = WAIT;
            for (;;)
                __asm__ volatile("cli; hlt");
        }
        command = WAIT;
    }
}

static void pauses(u32 count)
{
    while (count-- > 0)
        __asm__ volatile("pause");
}

/* Waits until the other processor has done what it was told. */
static bool finished(void)
{
    for (u32 i = 0; i < 1000000 && command != WAIT; i++)
        __asm__ volatile("pause");
    return command == WAIT;
}

static bool tell(enum command what)
{
    command = what;
    return finished();
}

static void send(u32 what)
{
    *apic(APIC_ICR_HIGH) = OTHER_ID << 24;
    *apic(APIC_ICR) = ASSERT | what;
}

static bool start_other(void)
{
    bsp_cr0 = CR_GET(0);
    bsp_cr3 = CR_GET(3);
    bsp_cr4 = CR_GET(4);
    ap_entry = (word)other_processor;
    memcpy((void *)0x8000, ap_start, (size_t)(ap_end - ap_start));
    command = START;
    send(INIT);
    pauses(1000);
    send(SIPI | 8);
    return finished();
}

/* The other enters L2, which spins or has the activity state; something is sent to it; it comes
 * out. */
static bool exits_with(u32 activity, u32 sent, u64 reason)
{
    l2_put_code(&l2, activity == HALTED ? "\xf4\xeb\xfd" : "\xeb\xfe\x90", 3); /* hlt or not; jmp */
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rflags = 2;
    l2.reload = true;
    l2.activity = activity;
    command = ENTER;
    pauses(5000);
    if (command != ENTER)
        return false;
    send(sent);
    l2.activity = 0;
    return finished() && l2.exit.reason == reason;
}

/* L2's WRMSR or RDMSR of an MSR that is in the guest's state; what it reads. */
static u32 sysenter_eip(bool write, u32 value)
{
    l2.reg[RCX] = MSR_SYSENTER_EIP;
    l2.reg[RDX] = 0;
    (void)l2_step(&l2, l2_put_code(&l2, write ? "\x0f\x30\x0f\xa2" : "\x0f\x32\x0f\xa2", 4), 0,
                  value);
    return (u32)l2.reg[RAX];
}

/* What only VMX has: INIT exits and is over; L2 can wait for SIPI. */
static void init_and_sipi(void)
{
    check(exits_with(ACTIVE, INIT, R_INIT), "INIT");
    check(exits_with(WAIT_FOR_SIPI, SIPI | 0x42, R_SIPI) && l2.exit.qualification == 0x42,
          "SIPI while L2 waits for it: exit with its vector");
}

void part_smp(void)
{
    u32 before;

    l2_new(&l2, L1_64 ? MODE_64 : MODE_PAE);
    before = l2_value(&l2, LIN_DATA);
    if (!start_other()) {
        command = WAIT;
        print("  there is one processor only\n");
        return;
    }
    (void)sysenter_eip(true, 0x1234);
    vendor->release(&l2);
    check(tell(READ_DATA) && answer == before,
          "a guest moves to the other processor and runs there");
    check(exits_with(ACTIVE, VECTOR, vendor->interrupt_exit),
          "an interrupt sent to it while L2 runs: exit");
    check(exits_with(HALTED, VECTOR, vendor->interrupt_exit), "and while L2 is halted");
    check(exits_with(ACTIVE, SEND_NMI, vendor->nmi_exit), "an NMI");
    if (vendor == &vendor_vmx)
        init_and_sipi();
    check(tell(GIVE_BACK), "the other gives it back");
    l2.reload = true;
    check(l2_value(&l2, LIN_DATA) == before && sysenter_eip(false, 0) == 0x1234,
          "and it runs here as before");
    check(tell(STOP), "the other switches virtualization off");
}
