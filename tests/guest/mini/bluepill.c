/* SPDX-License-Identifier: MIT */
/*
 * L1 makes itself its own guest, as drivers do that slip a hypervisor under a running system: the
 * same memory and interrupts as before, pin controls 0, exits for what cannot be without.
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

enum { LEAF = 0x40000000, LEAVE = 0x1eaf, VECTOR = 0x21 };

bool pill_take(void);
extern const char pill_exited[], pill_stack_top[];
bool pill_exit(word *reg);
word pill_rip, pill_rsp, pill_rflags;

static struct l2 l2;
static volatile u32 exits[64];

/* The hypervisor: CPUID with a leaf more, and VMCALL to take it away. */
bool pill_exit(word *reg)
{
    const u32 reason = (u32)vmread(REASON);
    const u64 next = vmread(GUEST_RIP) + vmread(EXIT_LENGTH);
    u32 out[4];

    exits[reason & 63]++;
    if (reason == R_VMCALL && reg[RAX] == LEAVE) {
        pill_rip = (word)next;
        pill_rsp = (word)vmread(GUEST_RSP);
        pill_rflags = (word)vmread(GUEST_RFLAGS);
        vmx_off();
        return false;
    }
    if (reason == R_CPUID) {
        cpuid((u32)reg[RAX], out);
        if ((u32)reg[RAX] == LEAF)
            memcpy(&out[1], "mini bluepill", 12);
        reg[RAX] = out[0];
        reg[RBX] = out[1];
        reg[RCX] = out[2];
        reg[RDX] = out[3];
    } else {
        print("bluepill: exit %u\n", reason);
        failures++;
        leave();
    }
    vmwrite(GUEST_RIP, next);
    return true;
}

/* Guest state as L1 is now; a second stage in which all is where it was. */
static void prepare(void)
{
    vmx_as_l1(&l2);
    tables_new_machine(&l2.second, &format_ept);
    for (u64 at = 0; at < 0x8000000; at += 0x200000)
        tables_map(&l2.second, at, at, 21, EPT_RWX);
    tables_map(&l2.second, 0xfee00000, 0xfee00000, 12, EPT_R | EPT_W);
    vendor->create(&l2);
    vmx_write_guest(&l2);
    vmwrite(CR4_MASK, 0);
    vmwrite(PIN, vmx_controls(MSR_VMX_TRUE_PIN, 0));
    vmwrite(PRIMARY, vmx_controls(MSR_VMX_TRUE_PRIMARY, PRI_MSR_BITMAPS | PRI_SECONDARY));
    vmwrite(GUEST_RFLAGS, 2);
    vmwrite(HOST_RIP, (word)pill_exited);
    vmwrite(HOST_RSP, (word)pill_stack_top);
}

static bool is_text(u32 value, const char *four)
{
    return value == ((u32)four[0] | (u32)four[1] << 8 | (u32)four[2] << 16 | (u32)four[3] << 24);
}

static void as_guest(void)
{
    const u32 before = event_count[VECTOR], vmcalls = exits[R_VMCALL];
    u32 out[4], total = 0;

    cpuid(LEAF, out);
    check(is_text(out[1], "mini") && is_text(out[2], " blu"), "CPUID says who is below");
    cpuid(0, out);
    check(is_text(out[1], "Genu"), "and all else as before");
    *apic(APIC_DIVIDE) = 11;
    *apic(APIC_LVT_TIMER) = VECTOR;
    *apic(APIC_INITIAL) = 5000;
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    for (u32 i = 0; i < ARRAY_SIZE(exits); i++)
        total += exits[i];
    check(event_count[VECTOR] == before + 1 && total == exits[R_CPUID] + vmcalls,
          "an interrupt out of HLT, by L1's own IDT, without an exit");
    __asm__ volatile("mov%z0 $1f, %0\n\tud2\n\t1:" : "=m"(event_resume) : : "memory");
    event_resume = 0;
    check(event_count[6] != 0, "an exception by its own IDT");
    CR_SET(3, CR_GET(3));
    check((CR_GET(4) & CR4_VMXE) != 0, "MOV CR3 and MOV CR4 without an exit");
}

void part_bluepill(void)
{
    prepare();
    if (!pill_take()) {
        check(false, "VMLAUNCH of L1: error %llu", vmread(INSTRUCTION_ERROR));
        return;
    }
    as_guest();
    __asm__ volatile("vmcall" : : "a"(LEAVE) : "memory");
    idt_load(); /* exits leave limits of FFFFh */
    check(exits[R_VMCALL] != 0 && (CR_GET(4) & CR4_VMXE) == 0, "VMCALL: it has gone, L1 runs on");
    vmx_on();
}
