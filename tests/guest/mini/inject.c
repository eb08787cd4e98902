/* SPDX-License-Identifier: MIT */
/*
 * Events into L2 and out of it. SDM Vol 3C 25.8.3 "VM-Entry Controls for Event Injection", 27.6
 * "Event Injection", 28.2.2 to 28.2.4 on what exits say of events, 26.2 "Other Causes of VM Exits".
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

static struct l2 l2;

enum { EXTERNAL = 0 << 8, NMI = 2 << 8, HARDWARE = 3 << 8, SOFTWARE = 4 << 8, ICEBP = 5 << 8 };
enum { BREAKPOINT = 6 << 8, MTF = 7 << 8 };

/* Where L2 would go on if nothing were injected: it says 77 then. */
static const char nothing[] = "\xb8\x4d\0\0\0\x0f\xa2"; /* mov $77, %eax; cpuid */

static const struct injected {
    const char *what;
    u32 info, error, length; /* length: of the instruction that the event stands for */
} injected[] = {
    {"#GP with error code 123h", HARDWARE | INFO_ERROR_CODE | 13, 0x123, 0},
    {"#UD", HARDWARE | 6, 0, 0},
    {"INT 31", SOFTWARE | 31, 0, 2},
    {"INT3", BREAKPOINT | 3, 0, 1},
    {"INT1", ICEBP | 1, 0, 1},
    {"interrupt 30", EXTERNAL | 30, 0, 0},
    {"NMI", NMI | 2, 0, 0},
};

static bool inject_one(const struct injected *event, u32 cpl)
{
    bool good;

    (void)l2_put_code(&l2, nothing, sizeof(nothing) - 1);
    l2_reset(&l2, l2.mode, cpl);
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rsp = LIN_STACK + PAGE - 16;
    l2.rflags = 2 | RFLAGS_IF;
    l2.reg[RAX] = l2.reg[RDX] = l2.reg[RDI] = 0;
    vmx_current(&l2);
    vmwrite(ENTRY_INFO, INFO_VALID | event->info);
    vmwrite(ENTRY_ERROR_CODE, event->error);
    vmwrite(ENTRY_LENGTH, event->length);
    vendor->run(&l2);
    good = l2.exit.why == WHY_CALL && l2_vector(&l2) == (event->info & 0xff) &&
           ((event->info & INFO_ERROR_CODE) == 0 || l2.reg[RDX] == event->error) &&
           l2_return_rip(&l2, cpl) == l2.code_linear + OTHER_CODE + event->length &&
           (vmread(ENTRY_INFO) & INFO_VALID) == 0 &&
           ((vmread(INTERRUPTIBILITY) & BIT(3)) != 0) == ((event->info & 0x700) == NMI);
    must(good, "%s at CPL %u: vector %u, returns to %llx", event->what, cpl, l2_vector(&l2),
         l2_return_rip(&l2, cpl));
    return good;
}

static void injections(enum mode mode)
{
    u32 good = 0;

    l2_new(&l2, mode);
    for (u32 i = 0; i < 2 * ARRAY_SIZE(injected); i++)
        good += inject_one(&injected[i / 2], i % 2 * 3);
    check(good == 2 * ARRAY_SIZE(injected),
          "L2 %s: %u of %u events arrive with vector, error code and RIP", mode_names[mode], good,
          (u32)(2 * ARRAY_SIZE(injected)));
}

/* An event whose delivery meets a hole in the second stage, at L2's stack. */
static void vectoring(const char *what, const char *code, u32 length, u32 injected_info,
                      u32 vectoring)
{
    const u64 stack = l2_gpa(&l2, LIN_STACK), entry = l2_second_get(&l2, stack);
    bool good;

    l2_reset(&l2, l2.mode, 0);
    code = l2_put_code(&l2, code, length);
    l2_second_set(&l2, stack, 0);
    vmx_current(&l2);
    if (injected_info != 0) {
        vmwrite(ENTRY_INFO, INFO_VALID | injected_info);
        vmwrite(ENTRY_ERROR_CODE, 0x18);
    }
    good = l2_step(&l2, code, 0, 0) == SECOND_STAGE && l2.exit.access == WRITE &&
           (l2.exit.gpa ^ stack) < PAGE && vmread(VECTORING) == (INFO_VALID | vectoring) &&
           ((vectoring & 0x700) != BREAKPOINT || l2.exit.length == 1) &&
           ((vectoring & INFO_ERROR_CODE) == 0 || vmread(VECTORING_ERROR_CODE) == 0x18);
    check(good, "%s meets a hole in the second stage: IDT-vectoring %llx", what, vmread(VECTORING));
    l2_second_set(&l2, stack, entry);
    /* L1 gives it again what the exit interrupted */
    vmwrite(ENTRY_INFO, vmread(VECTORING));
    vmwrite(ENTRY_ERROR_CODE, vmread(VECTORING_ERROR_CODE));
    vmwrite(ENTRY_LENGTH, l2.exit.length);
    vendor->run(&l2);
    check(l2.exit.why == WHY_CALL && l2_vector(&l2) == (vectoring & 0xff) && vmread(VECTORING) == 0,
          "and arrives when given again");
}

/* Exceptions of L2 that L1 intercepts. */
static const struct intercepted {
    const char *what, *code;
    u32 length, info, error;
    u64 qualification;
    u64 rflags;
} intercepted[] = {
    {"#DE", "\x31\xdb\xf7\xf3", 4, HARDWARE | 0, 0, 0, 2}, /* xor %ebx, %ebx; div %ebx */
    {"#DB, single step", "\x90\x90", 2, HARDWARE | 1, 0, BIT(14), 2 | RFLAGS_TF},
    {"#BP", "\xcc", 1, BREAKPOINT | 3, 0, 0, 2},
    {"INT1", "\xf1", 1, ICEBP | 1, 0, 0, 2},
    {"#UD", "\x0f\x0b", 2, HARDWARE | 6, 0, 0, 2},
    {"#GP", "\xb9\xff\xff\xff\x7f\x8e\xd9", 7, HARDWARE | INFO_ERROR_CODE | 13, 0xfffc, 0,
     2}, /* ds */
    {"#PF", "\xa1\x00\x00\xd0\x00\x00\x00\x00\x00", 9, HARDWARE | INFO_ERROR_CODE | 14, 0,
     LIN_NOTHING, 2},
};

static void interceptions(enum mode mode)
{
    u32 good = 0;

    l2_new(&l2, mode);
    (void)l2_value(&l2, LIN_DATA);
    vmwrite(EXCEPTIONS, 0xffffffff);
    for (u32 i = 0; i < ARRAY_SIZE(intercepted); i++) {
        const struct intercepted *e = &intercepted[i];

        l2_put_code(&l2, e->code, e->length);
        l2.rip = l2.code_linear + OTHER_CODE;
        l2.rflags = e->rflags;
        vendor->run(&l2);
        if ((u32)l2.exit.reason == R_EXCEPTION &&
            vmread(EXIT_INTERRUPTION) == (INFO_VALID | e->info) &&
            l2.exit.qualification == e->qualification &&
            ((e->info & INFO_ERROR_CODE) == 0 || vmread(EXIT_ERROR_CODE) == e->error) &&
            ((e->info & 0x700) <= HARDWARE || l2.exit.length == 1))
            good++;
        else
            must(false, "%s: reason %llu, information %llx, error %llx, qualification %llx",
                 e->what, l2.exit.reason, vmread(EXIT_INTERRUPTION), vmread(EXIT_ERROR_CODE),
                 l2.exit.qualification);
        vmwrite(PENDING_DEBUG, 0);
    }
    check(good == ARRAY_SIZE(intercepted), "L2 %s: %u of %u exceptions exit with what they are",
          mode_names[mode], good, (u32)ARRAY_SIZE(intercepted));
}

/* #PF without a present gate: #NP in the delivery makes it a double fault. */
static void double_fault(void)
{
    const u32 wide = l2.mode == MODE_64 ? 2 : 1;
    u64 *gates = l2_at(&l2, l2_gpa(&l2, LIN_SYSTEM));

    l2_reset(&l2, l2.mode, 0);
    vmwrite(EXCEPTIONS, 0);
    gates[14 * wide] &= ~BIT(47);
    check(l2_step(&l2, l2_read, LIN_NOTHING, 0) == FAULTED && l2_vector(&l2) == 8 &&
              l2.reg[RDX] == 0,
          "a page fault that cannot be delivered: #DF in L2");
    vmwrite(EXCEPTIONS, BIT(8));
    check(l2_step(&l2, l2_read, LIN_NOTHING, 0) == OTHER &&
              vmread(EXIT_INTERRUPTION) == (INFO_VALID | INFO_ERROR_CODE | HARDWARE | 8),
          "or an exit with vector 8");
    gates[8 * wide] &= ~BIT(47);
    vmwrite(EXCEPTIONS, 0);
    check(l2_step(&l2, l2_read, LIN_NOTHING, 0) == OTHER && l2.exit.reason == R_TRIPLE_FAULT,
          "and without a gate for #DF: triple fault");
    gates[14 * wide] |= BIT(47);
    gates[8 * wide] |= BIT(47);
}

static void run_nothing(u64 rflags)
{
    l2_put_code(&l2, "\x90\x90\xb8\x4d\0\0\0\x0f\xa2", 9); /* two NOPs first */
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rflags = rflags;
    l2.reg[RDI] = 0;
    vendor->run(&l2);
}

static bool left_at(u32 reason, u32 offset)
{
    return l2.exit.reason == reason && l2.rip == l2.code_linear + OTHER_CODE + offset;
}

/* SDM Vol 3C 27.7.5 to 27.7.8: windows and the monitor trap flag. */
static void windows(void)
{
    l2_reset(&l2, l2.mode, 0);
    (void)l2_value(&l2, LIN_DATA);
    vmx_change(PRIMARY, PRI_INTERRUPT_WINDOW, 0);
    run_nothing(2 | RFLAGS_IF);
    check(left_at(R_INTERRUPT_WINDOW, 0), "interrupt window: exit before the first instruction");
    vmwrite(INTERRUPTIBILITY, 1);
    run_nothing(2 | RFLAGS_IF);
    check(left_at(R_INTERRUPT_WINDOW, 1), "behind STI: after one instruction");
    run_nothing(2);
    check(l2.exit.why == WHY_CALL, "with IF=0: none");
    vmwrite(INTERRUPTIBILITY, BIT(3));
    run_nothing(2);
    check(l2.exit.why == WHY_CALL && vmread(INTERRUPTIBILITY) == BIT(3),
          "blocking by NMI goes with an entry and comes back with the exit");
    vmwrite(INTERRUPTIBILITY, 0);
    vmx_change(PRIMARY, PRI_NMI_WINDOW, PRI_INTERRUPT_WINDOW);
    vmx_change(PIN, PIN_NMI | PIN_VIRTUAL_NMI, 0);
    run_nothing(2);
    check(left_at(R_NMI_WINDOW, 0), "NMI window: exit before the first instruction");
    vmwrite(INTERRUPTIBILITY, BIT(3));
    run_nothing(2);
    check(l2.exit.why == WHY_CALL, "with blocking by NMI: none");
    vmwrite(INTERRUPTIBILITY, 0);
    vmx_change(PRIMARY, PRI_MTF, PRI_NMI_WINDOW);
    vmx_change(PIN, 0, PIN_NMI | PIN_VIRTUAL_NMI);
    run_nothing(2);
    check(left_at(R_MTF, 1), "monitor trap flag: exit after one instruction");
    vmx_change(PRIMARY, 0, PRI_MTF);
    vmwrite(ENTRY_INFO, INFO_VALID | MTF);
    run_nothing(2);
    check(left_at(R_MTF, 0), "and injected: before the first");
}

void part_inject(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        injections(mode);
        vectoring("an injected #GP", nothing, sizeof(nothing) - 1, HARDWARE | INFO_ERROR_CODE | 13,
                  HARDWARE | INFO_ERROR_CODE | 13);
        vectoring("#UD", "\x0f\x0b", 2, 0, HARDWARE | 6);
        vectoring("INT3", "\xcc", 1, 0, BREAKPOINT | 3);
        double_fault();
        interceptions(mode);
        vmwrite(EXCEPTIONS, 0);
    }
    windows();
}
