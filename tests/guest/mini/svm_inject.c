/* SPDX-License-Identifier: MIT */
/*
 * Events into L2 and out of it: APM Vol 2 15.20 "Event Injection", 15.7.2 "State Saved on
 * Exit", 15.12 "Exception Intercepts", 15.13 "Interrupt Intercepts", 15.17 "Global Interrupt
 * Flag", 15.21 "Interrupt and Local APIC Support".
 */
#include "parts.h"
#include "svm.h"
#include "vendor.h"

static struct l2 l2;

enum { DR6_BS = 1 << 14, DOUBLE_FAULT = 8, HAS_SHADOW = 1 };
/* Of the local APIC; one vector of L1's own and one that L2's IDT has too. */
enum { TO_SELF = 1 << 18, SEND_NMI = 4 << 8, ASSERT = 1 << 14, VECTOR_L1 = 0x23, VECTOR_L2 = 30 };

/* Two NOPs, and what says that no event came: mov $77, %eax; cpuid. */
static const char nothing[] = "\x90\x90\xb8\x4d\0\0\0\x0f\xa2";

static const struct injected {
    const char *what;
    u32 event, error, length; /* length: of the instruction that the event stands for */
} injected[] = {
    {"#GP with error code 123h", EVENT_EXCEPTION | EVENT_ERROR | 13, 0x123, 0},
    {"#UD", EVENT_EXCEPTION | 6, 0, 0},
    {"#DE", EVENT_EXCEPTION | 0, 0, 0},
    {"INT 31", EVENT_SOFTWARE | 31, 0, 2},
    {"INT3", EVENT_EXCEPTION | 3, 0, 1},
    {"interrupt 30", EVENT_INTERRUPT | 30, 0, 0},
    {"NMI", EVENT_NMI | 2, 0, 0},
    {"NMI with another vector", EVENT_NMI | 31, 0, 0},
};

/* L2 as at the beginning, at the code `nothing`. */
static void prepare(u32 cpl, u64 rflags)
{
    (void)l2_put_code(&l2, nothing, sizeof(nothing) - 1);
    l2_reset(&l2, l2.mode, cpl);
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rsp = LIN_STACK + PAGE - 16;
    l2.rflags = rflags;
    l2.reg[RAX] = l2.reg[RDX] = l2.reg[RDI] = 0;
}

static bool no_event(void)
{
    return l2.exit.why == WHY_CALL && l2.reg[RDI] == 0 && l2.reg[RAX] == 77;
}

static bool event_came(u32 vector)
{
    return l2.exit.why == WHY_CALL && l2.reg[RDI] == vector + 1;
}

static bool left_at(u64 exit_code, u32 offset)
{
    return l2.exit.reason == exit_code && l2.rip == l2.code_linear + OTHER_CODE + offset;
}

static bool inject_one(const struct injected *event, u32 cpl)
{
    const u32 vector = (event->event & 0x700) == EVENT_NMI ? 2 : event->event & 0xff;
    const u32 length = (svm_features() & HAS_NEXT_RIP) != 0 ? event->length : 0;
    bool good;

    prepare(cpl, 2 | RFLAGS_IF);
    vmcb_write(&l2, EVENT, EVENT_VALID | event->event | (u64)event->error << 32);
    vmcb_write(&l2, NEXT_RIP, l2.rip + length);
    vendor->run(&l2);
    good = event_came(vector) &&
           ((event->event & EVENT_ERROR) == 0 || l2.reg[RDX] == event->error) &&
           l2_return_rip(&l2, cpl) == l2.code_linear + OTHER_CODE + length &&
           (vmcb_read(&l2, EVENT) & EVENT_VALID) == 0;
    must(good, "%s at CPL %u: vector %u, returns to %llx", event->what, cpl, l2_vector(&l2),
         l2_return_rip(&l2, cpl));
    return good;
}

static void injections(void)
{
    u32 good = 0;

    for (u32 i = 0; i < 2 * ARRAY_SIZE(injected); i++)
        good += inject_one(&injected[i / 2], i % 2 * 3);
    check(good == 2 * ARRAY_SIZE(injected),
          "L2 %s: %u of %u events arrive with vector, error code and RIP", mode_names[l2.mode],
          good, (u32)(2 * ARRAY_SIZE(injected)));
}

/* An event whose delivery meets a hole in NPT, at L2's stack. */
static void vectoring(const char *what, const char *code, u32 length, u64 event, u64 info)
{
    const u64 stack = l2_gpa(&l2, LIN_STACK), entry = l2_second_get(&l2, stack);
    bool good;

    l2_reset(&l2, l2.mode, 0);
    code = l2_put_code(&l2, code, length);
    l2_second_set(&l2, stack, 0);
    vmcb_write(&l2, EVENT, event);
    good = l2_step(&l2, code, 0, 0) == SECOND_STAGE && l2.exit.access == WRITE &&
           (l2.exit.gpa ^ stack) < PAGE && vmcb_read(&l2, EXIT_INT_INFO) == info &&
           (vmcb_read(&l2, EVENT) & EVENT_VALID) == 0;
    check(good, "%s meets a hole in NPT: EXITINTINFO %llx", what, vmcb_read(&l2, EXIT_INT_INFO));
    l2_second_set(&l2, stack, entry);
    /* L1 gives it again what the exit interrupted */
    vmcb_write(&l2, EVENT, info);
    vmcb_write(&l2, NEXT_RIP, l2.rip + length);
    vendor->run(&l2);
    check(event_came((u32)info & 0xff) && vmcb_read(&l2, EXIT_INT_INFO) == 0,
          "and arrives when given again");
}

/* 15.12: exceptions of L2 that L1 intercepts. */
static const struct intercepted {
    const char *what, *code;
    u32 length, vector;
    u64 info1, info2, rflags;
    u32 offset; /* of the instruction, or of the one behind it if that has been done */
} intercepted[] = {
    {"#DE", "\x31\xdb\xf7\xf3", 4, 0, 0, 0, 2, 2}, /* xor %ebx, %ebx; div %ebx */
    {"#DB, single step", "\x90\x90", 2, 1, 0, 0, 2 | RFLAGS_TF, 1},
    {"#BP", "\xcc", 1, 3, 0, 0, 2, 0},
    {"#UD", "\x0f\x0b", 2, 6, 0, 0, 2, 0},
    {"#GP", "\xb9\xff\xff\xff\x7f\x8e\xd9", 7, 13, 0xfffc, 0, 2, 5}, /* to DS */
    {"#PF, read", "\xa1\x00\x00\xd0\x00\x00\x00\x00\x00", 9, 14, 0, LIN_NOTHING, 2, 0},
    {"#PF, write", "\xa3\x00\x00\xd0\x00\x00\x00\x00\x00", 9, 14, 2, LIN_NOTHING, 2, 0},
};

static void interceptions(void)
{
    u32 good = 0;

    l2_reset(&l2, l2.mode, 0);
    vmcb_write(&l2, EXCEPTION_INTERCEPTS, 0xffffffff);
    vmcb_write(&l2, S_CR2, 0x5555);
    for (u32 i = 0; i < ARRAY_SIZE(intercepted); i++) {
        const struct intercepted *e = &intercepted[i];
        bool right;

        l2_put_code(&l2, e->code, e->length);
        vmcb_write(&l2, S_DR6, 0xffff0ff0);
        l2.rip = l2.code_linear + OTHER_CODE;
        l2.rflags = e->rflags;
        vendor->run(&l2);
        right = left_at(X_EXCEPTION + e->vector, e->offset) && l2.exit.qualification == e->info1 &&
                (e->vector != 14 || vmcb_read(&l2, EXIT_INFO_2) == e->info2) &&
                ((vmcb_read(&l2, S_DR6) & DR6_BS) != 0) == (e->vector == 1) &&
                vmcb_read(&l2, S_CR2) == 0x5555 && vmcb_read(&l2, EXIT_INT_INFO) == 0;
        must(right, "%s: exit code %llx, EXITINFO1 %llx, RIP %llx, DR6 %llx, CR2 %llx", e->what,
             l2.exit.reason, l2.exit.qualification, l2.rip, vmcb_read(&l2, S_DR6),
             vmcb_read(&l2, S_CR2));
        good += right;
    }
    vmcb_write(&l2, EXCEPTION_INTERCEPTS, 0);
    check(good == ARRAY_SIZE(intercepted),
          "L2 %s: %u of %u exceptions exit with what they are; CR2 stays", mode_names[l2.mode],
          good, (u32)ARRAY_SIZE(intercepted));
}

/* #PF without a present gate: #NP in the delivery makes it a double fault. */
static void double_fault(void)
{
    const u32 wide = l2.mode == MODE_64 ? 2 : 1;
    u64 *gates = l2_at(&l2, l2_gpa(&l2, LIN_SYSTEM));

    l2_reset(&l2, l2.mode, 0);
    gates[14 * wide] &= ~BIT(47);
    check(l2_step(&l2, l2_read, LIN_NOTHING, 0) == FAULTED && l2_vector(&l2) == DOUBLE_FAULT &&
              l2.reg[RDX] == 0,
          "a page fault that cannot be delivered: #DF in L2");
    vmcb_write(&l2, EXCEPTION_INTERCEPTS, BIT(DOUBLE_FAULT));
    check(l2_step(&l2, l2_read, LIN_NOTHING, 0) == OTHER &&
              l2.exit.reason == X_EXCEPTION + DOUBLE_FAULT && l2.exit.qualification == 0,
          "or an exit with code 48h");
    gates[DOUBLE_FAULT * wide] &= ~BIT(47);
    vmcb_write(&l2, EXCEPTION_INTERCEPTS, 0);
    check(l2_step(&l2, l2_read, LIN_NOTHING, 0) == OTHER && l2.exit.reason == X_SHUTDOWN,
          "and without a gate for #DF: shutdown");
    gates[14 * wide] |= BIT(47);
    gates[DOUBLE_FAULT * wide] |= BIT(47);
}

/* ---- virtual interrupts ---- */

/* 15.21.4 "Injecting Virtual (INTR) Interrupts" */
static const struct virtual
{
    const char *what;
    u64 control; /* beside V_IRQ */
    u64 rflags;
    u32 shadow;
    bool comes;
    u32 offset; /* the instruction before which it does */
}
virtuals[] = {
    {"priority 5, V_TPR 0", V_PRIORITY(5), 2 | RFLAGS_IF, 0, true, 0},
    {"with RFLAGS.IF=0", V_PRIORITY(5), 2, 0, false, 0},
    {"in an interrupt shadow", V_PRIORITY(5), 2 | RFLAGS_IF, HAS_SHADOW, true, 1},
    {"priority 5, V_TPR 4", V_PRIORITY(5) | 4, 2 | RFLAGS_IF, 0, true, 0},
    {"priority 5, V_TPR 5", V_PRIORITY(5) | 5, 2 | RFLAGS_IF, 0, false, 0},
    {"priority 5, V_TPR 5, ignored", V_PRIORITY(5) | 5 | V_IGNORE_TPR, 2 | RFLAGS_IF, 0, true, 0},
    {"with V_INTR_MASKING", V_PRIORITY(5) | V_INTR_MASKING, 2 | RFLAGS_IF, 0, true, 0},
};

static void virtual_interrupts(void)
{
    u32 good = 0;

    for (u32 i = 0; i < 2 * ARRAY_SIZE(virtuals); i++) {
        const struct virtual *v = &virtuals[i / 2];
        const bool intercepted = i % 2 != 0;
        bool right;

        prepare(0, v->rflags);
        svm_write_guest(&l2);
        l2.reload = false;
        vmcb_write(&l2, SHADOW, v->shadow);
        vmcb_write(&l2, V_CONTROL, V_IRQ | v->control);
        vmcb_write(&l2, V_VECTOR, VECTOR_L2);
        vmcb_change(&l2, INTERCEPTS_3, intercepted ? INTERCEPT(X_VINTR) : 0,
                    intercepted ? 0 : INTERCEPT(X_VINTR));
        vendor->run(&l2);
        if (!v->comes)
            right = no_event() && (vmcb_read(&l2, V_CONTROL) & V_IRQ) != 0;
        else if (intercepted)
            right = left_at(X_VINTR, v->offset) && (vmcb_read(&l2, V_CONTROL) & V_IRQ) != 0;
        else
            right = event_came(VECTOR_L2) && (vmcb_read(&l2, V_CONTROL) & V_IRQ) == 0 &&
                    l2_return_rip(&l2, 0) == l2.code_linear + OTHER_CODE + v->offset;
        must(right, "V_IRQ %s%s: exit code %llx, RIP %llx, V_IRQ %llx", v->what,
             intercepted ? ", intercepted" : "", l2.exit.reason, l2.rip, vmcb_read(&l2, V_CONTROL));
        good += right;
    }
    vmcb_write(&l2, V_CONTROL, 0);
    vmcb_change(&l2, INTERCEPTS_3, 0, INTERCEPT(X_VINTR));
    check(good == 2 * ARRAY_SIZE(virtuals),
          "L2 %s: %u of %u virtual interrupts: by IF, shadow and V_TPR; into L2 or as an exit",
          mode_names[l2.mode], good, (u32)(2 * ARRAY_SIZE(virtuals)));
}

/* 15.21.5 "Interrupt Shadows": the exit behind STI says so. */
static void shadow_out(void)
{
    l2_reset(&l2, l2.mode, 0);
    (void)l2_step(&l2, l2_put_code(&l2, "\xfb\x0f\xa2", 3), 0, 0); /* sti; cpuid */
    check((vmcb_read(&l2, SHADOW) & HAS_SHADOW) != 0 && (l2.rflags & RFLAGS_IF) != 0,
          "an exit right behind STI: in an interrupt shadow");
}

/* ---- physical interrupts and NMIs ---- */

static void send_self(u32 vector)
{
    *apic(APIC_ICR) = TO_SELF | ASSERT | vector;
}

static void send_self_nmi(void)
{
    *apic(APIC_ICR_HIGH) = *apic(APIC_ID);
    *apic(APIC_ICR) = SEND_NMI | ASSERT;
}

/* VMRUN with the RFLAGS.IF that L1 wants; what is pending comes to L1 when it sets GIF again. */
static void run_with_if(bool enabled)
{
    __asm__ volatile("clgi");
    if (enabled)
        __asm__ volatile("sti");
    vendor->run(&l2);
    __asm__ volatile("cli");
}

/* 15.13.1, 15.21.1: whose IF is it, and where does the interrupt go? */
static const struct physical {
    const char *what;
    bool intercepted, masking, host_if, guest_if;
    bool exits, into_l2;
} physicals[] = {
    {"intercepted, IF of L2 set", true, false, false, true, true, false},
    {"intercepted, IF of L2 clear", true, false, true, false, false, false},
    {"into L2, its IF set", false, false, false, true, false, true},
    {"into L2, its IF clear", false, false, true, false, false, false},
    {"V_INTR_MASKING, IF of L1 set", true, true, true, false, true, false},
    {"V_INTR_MASKING, IF of L1 clear", true, true, false, true, false, false},
    {"V_INTR_MASKING, not intercepted", false, true, true, false, false, true},
};

static void physical_interrupts(void)
{
    u32 good = 0;

    for (u32 i = 0; i < ARRAY_SIZE(physicals); i++) {
        const struct physical *p = &physicals[i];
        const u32 vector = p->into_l2 ? VECTOR_L2 : VECTOR_L1, before = event_count[VECTOR_L1];
        bool right;

        prepare(0, p->guest_if ? 2 | RFLAGS_IF : 2);
        vmcb_write(&l2, V_CONTROL, p->masking ? V_INTR_MASKING : 0);
        vmcb_change(&l2, INTERCEPTS_3, p->intercepted ? INTERCEPT(X_INTR) : 0,
                    p->intercepted ? 0 : INTERCEPT(X_INTR));
        send_self(vector);
        run_with_if(p->host_if);
        if (p->into_l2)
            *apic(APIC_EOI) = 0;
        else
            __asm__ volatile("sti; nop; cli"); /* L1 takes it now */
        right = p->exits ? left_at(X_INTR, 0) : p->into_l2 ? event_came(VECTOR_L2) : no_event();
        right &= event_count[VECTOR_L1] == before + !p->into_l2;
        must(right, "%s: exit code %llx, RIP %llx, %u in L1", p->what, l2.exit.reason, l2.rip,
             event_count[VECTOR_L1] - before);
        good += right;
    }
    vmcb_write(&l2, V_CONTROL, 0);
    check(good == ARRAY_SIZE(physicals),
          "%u of %u physical interrupts: exit, into L2, or wait, by IF and V_INTR_MASKING", good,
          (u32)ARRAY_SIZE(physicals));
}

/* 15.17: nothing comes with GIF=0, and an exit has GIF=0. */
static void global_interrupt_flag(void)
{
    const u32 interrupts = event_count[VECTOR_L1], nmis = event_count[2];
    bool held;

    __asm__ volatile("clgi; sti");
    send_self(VECTOR_L1);
    send_self_nmi();
    __asm__ volatile("nop; nop");
    held = event_count[VECTOR_L1] == interrupts && event_count[2] == nmis;
    __asm__ volatile("stgi; nop; cli");
    check(held && event_count[VECTOR_L1] == interrupts + 1 && event_count[2] == nmis + 1,
          "CLGI holds an interrupt and an NMI, STGI lets them in");
    prepare(0, 2);
    vmcb_change(&l2, INTERCEPTS_3, INTERCEPT(X_NMI), 0);
    __asm__ volatile("clgi");
    send_self_nmi();
    vendor->run(&l2); /* VMRUN sets GIF */
    check(left_at(X_NMI, 0) && event_count[2] == nmis + 2,
          "an NMI while GIF=0: exit of the guest, and L1's when it sets GIF");
    prepare(0, 2);
    vmcb_change(&l2, INTERCEPTS_3, 0, INTERCEPT(X_NMI));
    __asm__ volatile("clgi");
    send_self_nmi();
    vendor->run(&l2);
    check(event_came(2) && event_count[2] == nmis + 2, "not intercepted: by L2's own IDT");
    __asm__ volatile("int %0" : : "i"(VECTOR_L1)); /* whose IRET ends that NMI */
}

/* ---- virtual GIF and virtual NMIs ---- */

static bool flag_is(u64 flag, bool set)
{
    return ((vmcb_read(&l2, V_CONTROL) & flag) != 0) == set;
}

/* 15.33.2 */
static void virtual_gif(void)
{
    if ((svm_features() & HAS_VGIF) == 0)
        return;
    l2_reset(&l2, l2.mode, 0);
    vmcb_write(&l2, V_CONTROL, V_GIF_ENABLE | V_GIF);
    (void)l2_step(&l2, l2_put_code(&l2, "\x0f\x01\xdd\x0f\xa2", 5), 0, 0); /* clgi; cpuid */
    check(l2.exit.why == WHY_CALL && flag_is(V_GIF, false), "virtual GIF: CLGI of L2 clears it");
    prepare(0, 2 | RFLAGS_IF);
    vmcb_write(&l2, V_CONTROL, V_GIF_ENABLE | V_IRQ | V_PRIORITY(5));
    vendor->run(&l2);
    check(no_event() && flag_is(V_IRQ, true), "and a virtual interrupt waits");
    l2_reset(&l2, l2.mode, 0);
    l2.reload = true;
    (void)l2_put_code(&l2, "\x0f\x01\xdc\x90\x0f\xa2", 6); /* stgi; nop; cpuid */
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rflags = 2 | RFLAGS_IF;
    l2.reg[RDI] = 0;
    vendor->run(&l2);
    check(event_came(VECTOR_L2) && flag_is(V_GIF, true) && flag_is(V_IRQ, false), "until its STGI");
    vmcb_write(&l2, V_CONTROL, 0);
}

/* 15.21.10 */
static void virtual_nmi(void)
{
    if ((svm_features() & HAS_VNMI) == 0)
        return;
    vmcb_change(&l2, INTERCEPTS_3, INTERCEPT(X_NMI), 0);
    prepare(0, 2);
    vmcb_write(&l2, V_CONTROL, V_NMI_ENABLE | V_NMI);
    vendor->run(&l2);
    check(event_came(2) && flag_is(V_NMI, false) && flag_is(V_NMI_MASK, true),
          "a virtual NMI comes, and blocks the next");
    prepare(0, 2);
    vmcb_write(&l2, V_CONTROL, V_NMI_ENABLE | V_NMI | V_NMI_MASK);
    vendor->run(&l2);
    check(no_event() && flag_is(V_NMI, true), "which waits");
    prepare(0, 2);
    vmcb_write(&l2, V_CONTROL, V_NMI_ENABLE);
    vmcb_write(&l2, EVENT, EVENT_VALID | EVENT_NMI | 2);
    vendor->run(&l2);
    check(event_came(2) && flag_is(V_NMI_MASK, true), "an injected NMI blocks it too");
    vmcb_write(&l2, V_CONTROL, 0);
    vmcb_change(&l2, INTERCEPTS_3, 0, INTERCEPT(X_NMI));
}

void part_svm_inject(void)
{
    for (enum mode mode = MODE_32; mode <= MODE_64; mode++) {
        l2_new(&l2, mode);
        injections();
        vectoring("an injected #GP", nothing, sizeof(nothing) - 1,
                  EVENT_VALID | EVENT_EXCEPTION | EVENT_ERROR | 13 | 0x18ull << 32,
                  EVENT_VALID | EVENT_EXCEPTION | EVENT_ERROR | 13 | 0x18ull << 32);
        vectoring("#UD", "\x0f\x0b", 2, 0, EVENT_VALID | EVENT_EXCEPTION | 6);
        vectoring("INT3", "\xcc", 1, 0, EVENT_VALID | EVENT_EXCEPTION | 3);
        vectoring("INT 31", "\xcd\x1f", 2, 0, EVENT_VALID | EVENT_SOFTWARE | 31);
        vectoring("an injected interrupt", nothing, sizeof(nothing) - 1,
                  EVENT_VALID | EVENT_INTERRUPT | 30, EVENT_VALID | EVENT_INTERRUPT | 30);
        double_fault();
        interceptions();
        virtual_interrupts();
        shadow_out();
    }
    physical_interrupts();
    global_interrupt_flag();
    virtual_gif();
    virtual_nmi();
}
