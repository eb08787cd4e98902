/* SPDX-License-Identifier: MIT */
/*
 * L1 makes itself its own guest, as drivers do that slip a hypervisor under a running system: the
 * same memory and interrupts as before, exits only for what cannot be without. VMX here, SVM in
 * svm_bluepill.c.
 */
#include "parts.h"
#include "pill.h"
#include "vendor.h"
#include "vmx.h"

enum { LEAF = 0x40000000, VECTOR = 0x21, MEMORY = 0x8000000 };

bool pill_take(void);
extern const char pill_exited[], pill_stack_top[];
bool pill_exit(word *reg);
word pill_rip, pill_rsp, pill_rflags;
volatile u32 pill_cpuids, pill_others;

static struct l2 l2;

/* ---- both vendors ---- */

void pill_new(struct l2 *guest)
{
    const struct format *f = vendor->second_format();
    const u32 large = f->level[f->levels - 2].shift;

    l2_as_l1(guest);
    tables_new_machine(&guest->second, f);
    for (u64 at = 0; at < MEMORY; at += BIT(large))
        tables_map(&guest->second, at, at, large, vendor->second_rwx);
    tables_map(&guest->second, 0xfee00000, 0xfee00000, 12, vendor->second_rwx);
    vendor->create(guest);
}

void pill_cpuid(word *reg)
{
    u32 out[4];

    pill_cpuids++;
    cpuid((u32)reg[RAX], out);
    if ((u32)reg[RAX] == LEAF)
        memcpy(&out[1], "mini bluepill", 12);
    reg[RAX] = out[0];
    reg[RBX] = out[1];
    reg[RCX] = out[2];
    reg[RDX] = out[3];
}

static bool is_text(u32 value, const char *four)
{
    return value == ((u32)four[0] | (u32)four[1] << 8 | (u32)four[2] << 16 | (u32)four[3] << 24);
}

void pill_check(bool (*untouched)(void))
{
    const u32 before = event_count[VECTOR], undefined = event_count[6], others = pill_others,
              cpuids = pill_cpuids;
    u32 out[4];

    cpuid(LEAF, out);
    check(is_text(out[1], "mini") && is_text(out[2], " blu"), "CPUID says who is below");
    cpuid(0, out);
    check(is_text(out[1], "Genu") || is_text(out[1], "Auth"), "and all else as before");
    *apic(APIC_DIVIDE) = 11;
    *apic(APIC_LVT_TIMER) = VECTOR;
    *apic(APIC_INITIAL) = 5000;
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    check(event_count[VECTOR] == before + 1 && pill_others == others && pill_cpuids == cpuids + 2,
          "an interrupt out of HLT, by L1's own IDT, without an exit");
    __asm__ volatile("mov%z0 $1f, %0\n\tud2\n\t1:" : "=m"(event_resume) : : "memory");
    event_resume = 0;
    check(event_count[6] == undefined + 1, "an exception by its own IDT");
    CR_SET(3, CR_GET(3));
    check(untouched() && pill_others == others, "MOV CR3 and its registers without an exit");
}

/* ---- VMX ---- */

/* The hypervisor: CPUID with a leaf more, and VMCALL to take it away. */
bool pill_exit(word *reg)
{
    const u32 reason = (u32)vmread(REASON);
    const u64 next = vmread(GUEST_RIP) + vmread(EXIT_LENGTH);

    if (reason == R_VMCALL && reg[RAX] == PILL_LEAVE) {
        pill_others++;
        pill_rip = (word)next;
        pill_rsp = (word)vmread(GUEST_RSP);
        pill_rflags = (word)vmread(GUEST_RFLAGS);
        vmx_off();
        return false;
    }
    if (reason == R_CPUID) {
        pill_cpuid(reg);
    } else {
        print("bluepill: exit %u\n", reason);
        failures++;
        leave();
    }
    vmwrite(GUEST_RIP, next);
    return true;
}

/* Pin controls 0: interrupts are L1's as before. */
static void prepare(void)
{
    pill_new(&l2);
    vmx_write_guest(&l2);
    vmwrite(CR4_MASK, 0);
    vmwrite(PIN, vmx_controls(MSR_VMX_TRUE_PIN, 0));
    vmwrite(PRIMARY, vmx_controls(MSR_VMX_TRUE_PRIMARY, PRI_MSR_BITMAPS | PRI_SECONDARY));
    vmwrite(GUEST_RFLAGS, 2);
    vmwrite(HOST_RIP, (word)pill_exited);
    vmwrite(HOST_RSP, (word)pill_stack_top);
}

static bool vmxe_is_set(void)
{
    return (CR_GET(4) & CR4_VMXE) != 0;
}

void part_bluepill(void)
{
    prepare();
    if (!pill_take()) {
        check(false, "VMLAUNCH of L1: error %llu", vmread(INSTRUCTION_ERROR));
        return;
    }
    pill_check(vmxe_is_set);
    __asm__ volatile("vmcall" : : "a"(PILL_LEAVE) : "memory");
    idt_load(); /* exits leave limits of FFFFh */
    check(pill_others != 0 && !vmxe_is_set(), "VMCALL: it has gone, L1 runs on");
    vmx_on();
}
