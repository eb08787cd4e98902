/* SPDX-License-Identifier: MIT */
/* APIC virtualization. SDM Vol 3C chapter 30 "APIC Virtualization and Virtual Interrupts". */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

enum { LIN_APIC = 0x00ca0000, GPA_APIC = 0x009fe000, LIN_REAL = 0x00cb0000, GPA_REAL = 0x009ff000 };
enum {
    TPR = 0x80,
    EOI = 0xb0,
    ISR_0 = 0x100,
    IRR_0 = 0x200,
    ICR = 0x300,
};
enum { VECTOR = 31, NOTIFICATION = 0x2e };
enum { R_TPR = 43, R_VIRTUAL_EOI = 45, R_APIC_WRITE = 56 };

static struct l2 l2;
static u32 *virtual_page;

static bool apic_access(const char *stub, u32 offset, u32 value, u32 reason, u64 qualification)
{
    const enum outcome outcome = l2_step(&l2, stub, LIN_APIC + offset, value);

    return reason == R_CPUID ? outcome == DONE
                             : outcome == OTHER && l2.exit.reason == reason &&
                                   l2.exit.qualification == qualification;
}

/* Sets or clears controls of the guest. */
static void controls(u64 primary, u64 secondary)
{
    vmx_change(PRIMARY, primary, PRI_TPR_SHADOW & ~primary);
    vmx_change(SECONDARY, secondary,
               (SEC_APIC_ACCESSES | SEC_X2APIC | SEC_APIC_REGISTERS | SEC_INTERRUPT_DELIVERY) &
                   ~secondary);
}

static void tpr_shadow(void)
{
    controls(PRI_TPR_SHADOW, 0);
    vmwrite(TPR_THRESHOLD, 5);
    virtual_page[TPR / 4] = 0x90;
    (void)l2_put_code(&l2, "\x44\x0f\x22\xc6\x44\x0f\x20\xc0\x0f\xa2",
                      10); /* CR8 = rsi; rax = CR8; cpuid */
    check(l2_step(&l2, l2_code + OTHER_CODE, 7, 0) == DONE && l2.reg[RAX] == 7 &&
              virtual_page[TPR / 4] == 0x70,
          "CR8 is in the virtual-APIC page");
    check(l2_step(&l2, l2_code + OTHER_CODE, 4, 0) == OTHER && l2.exit.reason == R_TPR &&
              l2.rip == l2.code_linear + OTHER_CODE + 4,
          "below the threshold: exit behind the instruction");
    vmwrite(TPR_THRESHOLD, 0);
}

static void accesses(void)
{
    u32 *page = l2_at(&l2, GPA_APIC);

    page[0x20 / 4] = 0x12345678; /* what L2 must not see */
    virtual_page[0x20 / 4] = 0x03000000;
    controls(PRI_TPR_SHADOW, SEC_APIC_ACCESSES);
    check(apic_access(l2_write, TPR, 0x20, R_CPUID, 0) && virtual_page[TPR / 4] == 0x20 &&
              l2_value(&l2, LIN_APIC + TPR) == 0x20,
          "the TPR of the APIC-access page is virtual");
    check(apic_access(l2_read, 0x20, 0, R_APIC_ACCESS, 0x0020), "another register: exit, read");
    check(apic_access(l2_write, ICR, 0, R_APIC_ACCESS, 0x1300), "and write");
    check(apic_access(l2_call, 0x400, 0, R_APIC_ACCESS, 0x2400), "and fetch");
    controls(PRI_TPR_SHADOW, SEC_APIC_ACCESSES | SEC_APIC_REGISTERS);
    check(l2_value(&l2, LIN_APIC + 0x20) == 0x03000000,
          "APIC-register virtualization: read from the page");
    check(apic_access(l2_write, ICR, 0x77, R_APIC_WRITE, ICR) && virtual_page[ICR / 4] == 0x77,
          "a write: in the page, and an exit behind it");
    controls(PRI_TPR_SHADOW, SEC_X2APIC);
    virtual_page[TPR / 4] = 0x50;
    (void)l2_put_code(&l2, "\xb9\x08\x08\0\0\x0f\x32\x0f\xa2", 9); /* rdmsr 808h; cpuid */
    check(l2_step(&l2, l2_code + OTHER_CODE, 0, 0) == DONE && (u32)l2.reg[RAX] == 0x50,
          "x2APIC mode: the TPR by RDMSR");
}

/* L2 waits with interrupts on until a handler says "done". */
static bool interrupted(void)
{
    (void)l2_put_code(&l2, "\xfb\xeb\xfe", 3); /* sti; jmp to itself */
    return l2_step(&l2, l2_code + OTHER_CODE, 0, 0) == FAULTED && l2_vector(&l2) == VECTOR;
}

static void interrupts(void)
{
    u64 *descriptor = page_new();

    vmx_change(PIN, PIN_INTERRUPT, 0);
    controls(PRI_TPR_SHADOW, SEC_APIC_ACCESSES | SEC_APIC_REGISTERS | SEC_INTERRUPT_DELIVERY);
    virtual_page[TPR / 4] = 0;
    virtual_page[IRR_0 / 4] = 1u << VECTOR;
    vmwrite(INTERRUPT_STATUS, VECTOR);
    check(interrupted() && vmread(INTERRUPT_STATUS) == VECTOR << 8 &&
              virtual_page[IRR_0 / 4] == 0 && virtual_page[ISR_0 / 4] == 1u << VECTOR,
          "a virtual interrupt: IRR, delivery without an exit, ISR");
    check(apic_access(l2_write, EOI, 0, R_CPUID, 0) && virtual_page[ISR_0 / 4] == 0 &&
              vmread(INTERRUPT_STATUS) == 0,
          "EOI is virtual");
    virtual_page[ISR_0 / 4] = 1u << VECTOR;
    vmwrite(INTERRUPT_STATUS, VECTOR << 8);
    vmwrite(EOI_EXIT_BITMAP, BIT(VECTOR));
    check(apic_access(l2_write, EOI, 0, R_VIRTUAL_EOI, VECTOR), "or exits, where L1 wants to know");
    vmwrite(EOI_EXIT_BITMAP, 0);
    vmwrite(INTERRUPT_STATUS, 0);
    virtual_page[ISR_0 / 4] = 0;
    /* posted: L1 leaves a request in the descriptor, and L2's own processor is notified while L2
     * runs */
    vmx_change(PIN, PIN_POSTED, 0);
    vmwrite(POSTED_VECTOR, NOTIFICATION);
    vmwrite(POSTED_DESCRIPTOR, (word)descriptor);
    descriptor[0] = BIT(VECTOR);
    descriptor[4] = 1;
    tables_map(&l2.second, GPA_REAL, 0xfee00000, 12, EPT_R | EPT_W);
    tables_map(&l2.own, LIN_REAL, GPA_REAL, 12, P | W);
    /* mov $4402eh, (esi): a fixed interrupt to itself; sti; jmp to itself */
    (void)l2_put_code(&l2, "\xc7\x06\x2e\x40\x04\x00\xfb\xeb\xfe", 9);
    check(l2_step(&l2, l2_code + OTHER_CODE, LIN_REAL + ICR, 0) == FAULTED &&
              l2_vector(&l2) == VECTOR && descriptor[0] == 0 && descriptor[4] == 0,
          "a posted interrupt: notified and delivered without an exit");
    vmx_change(PIN, 0, PIN_POSTED | PIN_INTERRUPT);
    vmwrite(INTERRUPT_STATUS, 0);
}

void part_apic(void)
{
    const u64 wanted = SEC_APIC_ACCESSES | SEC_X2APIC | SEC_APIC_REGISTERS | SEC_INTERRUPT_DELIVERY;

    if ((rdmsr(MSR_VMX_SECONDARY) >> 32 & wanted) != wanted)
        return;
    l2_new(&l2, L1_64 ? MODE_64 : MODE_32);
    tables_map(&l2.second, GPA_APIC, hpa_of(&l2, l2_page(&l2)), 12, EPT_RWX);
    tables_map(&l2.own, LIN_APIC, GPA_APIC, 12, P | W);
    virtual_page = page_new();
    (void)l2_value(&l2, LIN_DATA);
    vmwrite(VIRTUAL_APIC, (word)virtual_page);
    vmwrite(APIC_ACCESS, hpa_of(&l2, GPA_APIC));
    if (L1_64)
        tpr_shadow();
    accesses();
    interrupts();
}
