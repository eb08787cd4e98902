/* SPDX-License-Identifier: MIT */
/*
 * What SVM offers beside its base, by CPUID Fn8000_000A: APM Vol 2 15.14.4 "Pause Intercept
 * Filtering", 15.15 "VMCB State Caching", 15.23 "Last Branch Record Virtualization", 15.30.5 "TSC
 * Ratio", 15.33 "Virtualization of VMLOAD and VMSAVE". And TSC_OFFSET, and time that passes in L2.
 */
#include "parts.h"
#include "svm.h"
#include "vendor.h"

static struct l2 l2;

enum { TIMER = 0x24, DEBUGCTL_LBR = 1 };
#define RATIO_ONE BIT(32) /* 8 bits before the point, 32 behind it */

static const char read_tsc[] = "\x0f\x31\x0f\xa2"; /* rdtsc; cpuid */

/* What RDTSC says in L2. */
static u64 l2_tsc(void)
{
    (void)l2_step(&l2, l2_put_code(&l2, read_tsc, sizeof(read_tsc) - 1), 0, 0);
    return (u32)l2.reg[RAX] | (u64)(u32)l2.reg[RDX] << 32;
}

/* Is L2's RDTSC L1's, times / (1 << shift), and more by an offset? */
static bool tsc_is(u64 times, u32 shift, u64 offset)
{
    u64 before, value, after;

    vmcb_write(&l2, TSC_OFFSET, offset);
    before = rdtsc();
    value = l2_tsc() - offset;
    after = rdtsc();
    return value >= (before >> shift) * times && value <= ((after >> shift) + 1) * times;
}

static void time_stamps(void)
{
    check(tsc_is(1, 0, 0), "RDTSC of L2 is L1's");
    check(tsc_is(1, 0, BIT(40)) && tsc_is(1, 0, 0 - rdtsc()), "with TSC_OFFSET, of both signs");
    if ((svm_features() & HAS_TSC_RATIO) == 0)
        return;
    check(rdmsr(MSR_TSC_RATIO) == RATIO_ONE, "the ratio after reset is 1");
    wrmsr(MSR_TSC_RATIO, 3 * RATIO_ONE);
    check(tsc_is(3, 0, 0) && tsc_is(3, 0, 0x123456789), "three times as fast, the offset after it");
    wrmsr(MSR_TSC_RATIO, RATIO_ONE / 4);
    check(tsc_is(1, 2, 0), "and a quarter");
    wrmsr(MSR_TSC_RATIO, RATIO_ONE);
    vmcb_write(&l2, TSC_OFFSET, 0);
}

/* ---- PAUSE ---- */

/* Which PAUSE of a row L2 left at. */
static u32 left_at_pause(u32 pauses, u32 between, u32 count, u32 threshold)
{
    u8 code[96];
    u32 at = 0;

    for (u32 i = 0; i < pauses; i++) {
        code[at++] = 0xf3; /* pause */
        code[at++] = 0x90;
        for (u32 k = 0; k < between; k++)
            code[at++] = 0x90; /* nop */
    }
    code[at++] = 0x0f; /* cpuid */
    code[at++] = 0xa2;
    must(at <= sizeof(code), "room for %u PAUSEs", pauses);
    vmcb_write(&l2, PAUSE_COUNT, count);
    vmcb_write(&l2, PAUSE_THRESHOLD, threshold);
    l2_step(&l2, l2_put_code(&l2, code, at), 0, 0);
    return (u32)(l2.rip - l2.code_linear - OTHER_CODE) / (2 + between);
}

static void pause_filter(void)
{
    if ((svm_features() & HAS_PAUSE_FILTER) == 0)
        return;
    vmcb_change(&l2, INTERCEPTS_3, INTERCEPT(X_PAUSE), 0);
    check(left_at_pause(10, 0, 0, 0) == 0 && l2.exit.reason == X_PAUSE,
          "PAUSE intercepted: the first exits");
    check(left_at_pause(10, 0, 4, 0) == 3 && l2.exit.reason == X_PAUSE,
          "with a filter count of 4: the fourth");
    check(left_at_pause(10, 0, 20, 0) == 10 && l2.exit.why == WHY_CALL, "with 20: none");
    if ((svm_features() & HAS_PAUSE_THRESHOLD) != 0)
        check(left_at_pause(4, 20, 2, 5) == 4 && l2.exit.why == WHY_CALL,
              "with a threshold, and more than it between two: the count starts again");
    vmcb_change(&l2, INTERCEPTS_3, 0, INTERCEPT(X_PAUSE));
    vmcb_write(&l2, PAUSE_COUNT, 0);
    vmcb_write(&l2, PAUSE_THRESHOLD, 0);
}

/* ---- clean bits ---- */

/* A clean bit says that the group has not changed since this processor wrote it. */
static void clean_bits(void)
{
    u32 right = 0;

    for (u32 i = 0; i < 12; i++) {
        const u64 linear = LIN_DATA + i % DATA_PAGES * PAGE;

        (void)l2_value(&l2, linear); /* all is in the processor now */
        vmcb_write(&l2, CLEAN, ~0ull ^ BIT(i));
        right += l2_named(&l2, l2_value(&l2, linear), l2_gpa(&l2, linear));
    }
    check(right == 12, "%u of 12 entries with clean bits set", right);
    /* and what has its bit clear is loaded: a new stage of NPT */
    vmcb_write(&l2, CLEAN, ~0ull ^ BIT(4) ^ BIT(2));
    vmcb_write(&l2, NESTED_CR3, (word)page_new());
    vendor->flush(&l2);
    check(l2_step(&l2, l2_read, LIN_DATA, 0) == SECOND_STAGE,
          "nested CR3 with its bit clear is the new one");
    vmcb_write(&l2, NESTED_CR3, l2.second.root);
    vmcb_write(&l2, CLEAN, 0);
    vendor->flush(&l2);
}

/* ---- branches ---- */

static void branch_records(void)
{
    const u64 jump = l2.code_linear + OTHER_CODE, before = rdmsr(MSR_LAST_BRANCH_FROM);

    if ((svm_features() & HAS_LBR) == 0)
        return;
    vmcb_write(&l2, EXTENSIONS, EXT_LBR);
    vmcb_write(&l2, S_DEBUGCTL, DEBUGCTL_LBR);
    (void)l2_step(&l2, l2_put_code(&l2, "\xeb\x01\xf4\x0f\xa2", 5), 0, 0); /* jmp over hlt; cpuid */
    check(l2.exit.why == WHY_CALL && vmcb_read(&l2, S_BRANCH_FROM) == jump &&
              vmcb_read(&l2, S_BRANCH_TO) == jump + 3 && rdmsr(MSR_DEBUGCTL) == 0 &&
              rdmsr(MSR_LAST_BRANCH_FROM) == before,
          "LBR virtualization: L2's last branch is in its VMCB, L1's own records stay");
    vmcb_write(&l2, S_DEBUGCTL, 0);
    vmcb_write(&l2, S_BRANCH_FROM, 0x1111);
    (void)l2_step(&l2, l2_code + OTHER_CODE, 0, 0);
    check(vmcb_read(&l2, S_BRANCH_FROM) == 0x1111, "with DEBUGCTL of L2 clear nothing is recorded");
    vmcb_write(&l2, EXTENSIONS, 0);
}

/* ---- VMLOAD, VMSAVE ---- */

/* In a guest's own memory, through NPT; L1 has to be in 64-bit mode, or they exit. 15.33.1 */
static void virtual_vmload(void)
{
    static const char save[] = "\x0f\x01\xdb\x0f\xa2", load[] = "\x0f\x01\xda\x0f\xa2";
    const u64 gpa = l2_page(&l2), entry = l2_second_get(&l2, gpa);
    u8 *page = l2_at(&l2, gpa);
    enum outcome outcome;

    if ((svm_features() & HAS_VMLOAD) == 0)
        return;
    l2_reset(&l2, l2.mode, 0);
    l2.seg[FS].base = 0x12345000;
    vmcb_write(&l2, EXTENSIONS, EXT_VMLOAD);
    outcome = l2_step(&l2, l2_put_code(&l2, save, sizeof(save) - 1), 0, (u32)gpa);
    if (!L1_64) {
        check(outcome == OTHER && l2.exit.reason == X_VMSAVE && *(u64 *)(page + S_FS + 8) == 0,
              "virtual VMSAVE under an L1 in 32-bit mode exits");
        vmcb_write(&l2, EXTENSIONS, 0);
        return;
    }
    check(outcome == DONE && *(u64 *)(page + S_FS + 8) == 0x12345000 &&
              *(u16 *)(page + S_TR) == SEL_TSS,
          "VMSAVE of L2 writes to its own memory, without an exit");
    *(u64 *)(page + S_FS + 8) = 0x54321000;
    outcome = l2_step(&l2, l2_put_code(&l2, load, sizeof(load) - 1), 0, (u32)gpa);
    check(outcome == DONE && vmcb_read(&l2, SEG_BASE(S_FS)) == 0x54321000, "and VMLOAD reads it");
    l2_second_set(&l2, gpa, entry & ~(u64)W);
    outcome = l2_step(&l2, l2_put_code(&l2, save, sizeof(save) - 1), 0, (u32)gpa);
    check(outcome == SECOND_STAGE && (l2.exit.gpa & ~0xfffull) == gpa &&
              (l2.exit.qualification & W) != 0,
          "NPT refuses it as any write");
    l2_second_set(&l2, gpa, entry);
    vmcb_write(&l2, EXTENSIONS, 0);
}

/* ---- time in L2 ---- */

static void set_timer(u32 count)
{
    *apic(APIC_DIVIDE) = 0xb; /* by 1 */
    *apic(APIC_LVT_TIMER) = TIMER;
    *apic(APIC_INITIAL) = count;
}

/* L1's timer while L2 spins, and while it is halted. */
static void timers(void)
{
    const u32 before = event_count[TIMER];

    vendor->catch_events(&l2);
    l2_put_code(&l2, "\xeb\xfe", 2); /* jmp . */
    for (u32 halted = 0; halted < 2; halted++) {
        if (halted != 0)
            l2_put_code(&l2, "\xf4\x0f\xa2", 3); /* hlt; cpuid */
        l2.rip = l2.code_linear + OTHER_CODE;
        l2.rflags = 2;
        set_timer(10000);
        __asm__ volatile("clgi; sti");
        vendor->run(&l2);
        __asm__ volatile("cli");
        check(l2.exit.reason == X_INTR && event_count[TIMER] == before + halted + 1 &&
                  l2.rip == l2.code_linear + OTHER_CODE + halted,
              halted == 0 ? "L1's timer while L2 spins: exit" : "and while L2 is halted");
    }
    vmcb_change(&l2, INTERCEPTS_3, INTERCEPT(X_HLT), INTERCEPT(X_INTR) | INTERCEPT(X_NMI));
    vmcb_write(&l2, V_CONTROL, 0);
}

void part_svm_features(void)
{
    for (enum mode mode = MODE_32; mode <= MODE_64; mode++) {
        print(" L2 %s\n", mode_names[mode]);
        l2_new(&l2, mode);
        clean_bits();
        branch_records();
        pause_filter();
        time_stamps();
        timers();
    }
    virtual_vmload(); /* which is for guests in 64-bit mode */
}
