/* SPDX-License-Identifier: MIT */
/*
 * Time, and what comes while L2 runs. SDM Vol 3C 26.5.1 "VMX-Preemption Timer", 25.6.5 "Time-Stamp
 * Counter Offset and Multiplier", 26.2 "Other Causes of VM Exits", 27.7 "Special Features of VM
 * Entry".
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

static struct l2 l2;

enum { VECTOR = 0x21, LIN_APIC = 0x00ca0000, GPA_APIC = 0x009ff000 };

/* Runs code of L2 from its start. */
static void run(const char *code, u32 length, u64 rflags)
{
    l2_put_code(&l2, code, length);
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rflags = rflags;
    l2.reg[RDI] = 0;
    vendor->run(&l2);
}
#define RUN(code, rflags) run(code, sizeof(code) - 1, rflags)
#define SPIN "\xeb\xfe"

/* Runs of a single instruction that exits, begun at many places in the period of the timer. */
static bool counts_in_exits(void)
{
    for (u32 phase = 0; phase < 64; phase++) {
        for (u32 i = 0; i < phase; i++)
            __asm__ volatile("nop");
        vmwrite(TIMER, 1000);
        RUN("\x0f\xa2", 2);
        if (vmread(TIMER) >= 1000)
            return false;
    }
    return true;
}

static void preemption_timer(void)
{
    const u32 shift = (u32)rdmsr(MSR_VMX_MISC) & 31;
    u64 before, after;
    u32 used;

    vmx_change(PIN, PIN_TIMER, 0);
    vmwrite(TIMER, 0);
    RUN(SPIN, 2);
    check(l2.exit.reason == R_TIMER && l2.rip == l2.code_linear + OTHER_CODE,
          "timer 0: exit before the first instruction");
    vmwrite(TIMER, 1000);
    before = rdtsc();
    RUN(SPIN, 2);
    after = rdtsc();
    check(l2.exit.reason == R_TIMER && after - before >= 999ull << shift &&
              after - before < (1000ull << shift) + 20000,
          "timer 1000: exit after 1000 times 1 << %u TSC cycles", shift);
    vmx_change(EXIT, EXIT_SAVE_TIMER, 0);
    vmwrite(TIMER, 1000);
    RUN("\xb9\x10\x27\0\0\xff\xc9\x75\xfc\x0f\xa2", 2); /* 10000 times round, then CPUID */
    used = 1000 - (u32)vmread(TIMER);
    check(l2.exit.why == WHY_CALL && used >= 10000u >> shift && used < 1000,
          "saving it: %u used by 20000 instructions", used);
    check(counts_in_exits(), "an exit takes time: it counts however soon L2 exits");
    vmx_change(EXIT, 0, EXIT_SAVE_TIMER);
    vmwrite(TIMER, 100);
    vmwrite(ACTIVITY, HALTED);
    RUN(SPIN, 2);
    check(l2.exit.reason == R_TIMER && vmread(ACTIVITY) == HALTED, "it runs while L2 is halted");
    vmwrite(ACTIVITY, 0);
    vmx_change(PIN, 0, PIN_TIMER);
}

static u64 l2_tsc(void)
{
    RUN("\x0f\x31\x0f\xa2", 2); /* rdtsc; cpuid */
    return (u64)(u32)l2.reg[RDX] << 32 | (u32)l2.reg[RAX];
}

static void time_stamp_counter(void)
{
    u64 before, tsc, after;

    vmx_change(PRIMARY, PRI_TSC_OFFSET, 0);
    vmwrite(TSC_OFFSET, BIT(40));
    before = rdtsc();
    tsc = l2_tsc();
    after = rdtsc();
    check(tsc > before + BIT(40) && tsc < after + BIT(40), "TSC offset");
    vmx_change(SECONDARY, SEC_TSC_SCALING, 0);
    vmwrite(TSC_MULTIPLIER, 3 * BIT(48));
    before = rdtsc();
    tsc = l2_tsc();
    after = rdtsc();
    check(tsc > 3 * before + BIT(40) && tsc < 3 * after + BIT(40), "TSC multiplier and offset");
    vmx_change(SECONDARY, 0, SEC_TSC_SCALING);
    vmx_change(PRIMARY, 0, PRI_TSC_OFFSET);
}

static void arm(void)
{
    *apic(APIC_DIVIDE) = 11;
    *apic(APIC_LVT_TIMER) = VECTOR;
    *apic(APIC_INITIAL) = 20000;
}

static void interrupts(void)
{
    const u32 before = event_count[VECTOR];

    vmx_change(PIN, PIN_INTERRUPT, 0);
    arm();
    RUN(SPIN, 2);
    check(l2.exit.reason == R_INTERRUPT && vmread(EXIT_INTERRUPTION) == (INFO_VALID | VECTOR),
          "an interrupt while L2 runs with IF=0: exit, acknowledged");
    *apic(APIC_EOI) = 0;
    vmx_change(EXIT, 0, EXIT_ACKNOWLEDGE);
    arm();
    RUN(SPIN, 2);
    check(l2.exit.reason == R_INTERRUPT && (vmread(EXIT_INTERRUPTION) & INFO_VALID) == 0,
          "not acknowledged: it stays pending");
    __asm__ volatile("sti; nop; cli" : : : "memory");
    check(event_count[VECTOR] == before + 1, "and L1 takes it");
    vmx_change(EXIT, EXIT_ACKNOWLEDGE, 0);
    vmx_change(PRIMARY, 0, PRI_HLT);
    arm();
    RUN("\xf4\x0f\xa2", 2 | RFLAGS_IF);
    check(l2.exit.reason == R_INTERRUPT && vmread(ACTIVITY) == HALTED,
          "an interrupt while L2 is halted: exit out of HLT");
    *apic(APIC_EOI) = 0;
    vmwrite(ACTIVITY, 0);
    vmx_change(PRIMARY, PRI_HLT, 0);
    vmx_change(PIN, 0, PIN_INTERRUPT);
}

static void non_maskable(void)
{
    const u32 before = event_count[2];

    vmx_change(PIN, PIN_NMI, 0);
    /* L2 has the local APIC at a place of its own, and sends one to its processor */
    tables_map(&l2.second, GPA_APIC, 0xfee00000, 12, EPT_R | EPT_W);
    tables_map(&l2.own, LIN_APIC, GPA_APIC, 12, P | W);
    *apic(APIC_ICR_HIGH) = *apic(APIC_ID);
    (void)l2_step(&l2, l2_write, LIN_APIC + APIC_ICR, 4 << 8);
    check(l2.exit.reason == R_EXCEPTION && vmread(EXIT_INTERRUPTION) == (INFO_VALID | 2 << 8 | 2) &&
              event_count[2] == before,
          "an NMI while L2 runs: exit");
    __asm__ volatile("int $0x22"); /* its IRET ends L1's blocking */
    vmx_change(PIN, 0, PIN_NMI);
}

void part_timers(void)
{
    l2_new(&l2, L1_64 ? MODE_64 : MODE_32);
    (void)l2_value(&l2, LIN_DATA);
    preemption_timer();
    time_stamp_counter();
    interrupts();
    non_maskable();
}
