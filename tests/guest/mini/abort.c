/* SPDX-License-Identifier: MIT */
/*
 * VMX aborts: an exit that cannot load L1's state shuts the processor down, and a board resets for
 * that. The VMCS region has the reason. SDM Vol 3C 28.7 "VMX Aborts".
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

/* What is kept over the reset, in memory that nothing else uses. */
static volatile struct {
    u32 magic, vmcs, expected;
} *const kept = (void *)0x00710000;
enum { MAGIC = 0x4e425641 };

static struct l2 l2;

bool abort_seen(void)
{
    if (kept->magic != MAGIC)
        return false;
    kept->magic = 0;
    check(((const u32 *)(word)kept->vmcs)[1] == kept->expected,
          "after the reset the VMCS region says VMX abort %u", ((const u32 *)(word)kept->vmcs)[1]);
    return true;
}

static void abort_with(u32 code)
{
    kept->vmcs = (u32)(word)VMX(&l2)->vmcs;
    kept->expected = code;
    kept->magic = MAGIC;
    (void)l2_value(&l2, LIN_DATA);
    check(false, "the exit worked");
}

/* An exit loads an MSR that does not exist. */
void part_abort_msr(void)
{
    u64 *area = page_new();

    l2_new(&l2, MODE_32);
    (void)l2_value(&l2, LIN_DATA);
    area[0] = 0x12345678;
    vmwrite(EXIT_LOAD_ADDRESS, (word)area);
    vmwrite(EXIT_LOAD_COUNT, 1);
    abort_with(4);
}

/* L1 in PAE paging ruins a PDPTE while L2 runs: L1 itself does not use it until the exit reads it.
 */
void part_abort_pdpte(void)
{
    if (l1_paging != L1_PAE)
        return;
    l2_new(&l2, MODE_32);
    (void)l2_value(&l2, LIN_DATA);
    l1_pdpt[2] |= BIT(1);
    abort_with(2);
}
