/* SPDX-License-Identifier: MIT */
/*
 * L2 without a second stage: L1 makes tables for the processor out of L2's, page fault by page
 * fault, as hypervisors did before there was EPT and NPT.
 */
#include "parts.h"
#include "vendor.h"

static struct l2 l2;

/* T29: L1 and an L2 of another mode in turns; a page fault of L2's own comes through L1. */
static void turns(enum mode mode)
{
    u32 right = 0;

    l2_new(&l2, mode);
    l2_shadow(&l2);
    for (u32 i = 0; i < 100; i++) {
        const u64 linear = i % 10 == 9 ? LIN_LARGE + i * PAGE : LIN_DATA + i % DATA_PAGES * PAGE;

        right += l2_named(&l2, l2_value(&l2, linear), l2_gpa(&l2, linear));
    }
    check(right == 100, "T29: L2 %s: %u of 100 turns", mode_names[mode], right);
    check(l2_page_fault(&l2, l2_step(&l2, l2_write, LIN_NOTHING, 0), 2, LIN_NOTHING),
          "a page fault that L1 hands on to L2");
    check(l2_page_fault(&l2, l2_step(&l2, l2_write, LIN_DATA + 2 * PAGE, 0), 3,
                        LIN_DATA + 2 * PAGE),
          "and one for a read-only page");
    /* L1 changes its tables */
    entry_set(l2.own.format, tables_entry(&l2.shadow, LIN_DATA, 12),
              (HPA_LARGE + 5 * PAGE) | P | W | U);
    vendor->flush(&l2);
    check(l2_value(&l2, LIN_DATA) == ((HPA_LARGE + 5 * PAGE) | ACE),
          "T52: L1 changes an entry and flushes");
    entry_set(l2.own.format, tables_entry(&l2.shadow, LIN_DATA, 12), 0);
    vendor->flush(&l2);
    check(l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA)),
          "T52: it takes an entry away and flushes: filled again");
}

/* T30: PDPTEs of a PAE guest come from memory at each entry, and are checked. */
static void pae_entries(void)
{
    u64 *pdpt;

    l2_new(&l2, MODE_PAE);
    l2_shadow(&l2);
    pdpt = (u64 *)(word)l2.shadow.root;
    (void)l2_value(&l2, LIN_DATA);
    pdpt[2] = pdpt[0];
    check(l2_value(&l2, LIN_DATA + BIT(31)) == l2_value(&l2, LIN_DATA),
          "T30: a PDPTE that L1 wrote between two entries is used");
    pdpt[2] |= BIT(5);
    check(l2_step(&l2, l2_read, LIN_DATA, 0) == OTHER && l2.exit.reason == vendor->bad_state &&
              (l2.exit.qualification == 2 || !vendor->pdpte_registers),
          "T30: one with a reserved bit: the entry fails");
    pdpt[2] = 0;
    check(l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA)),
          "T30: and without it is right");
}

/* L2 on L1's own tables: the same table pages in two contexts. */
static void same_tables(void)
{
    u32 right = 0;

    l2_new(&l2, L1_64 ? MODE_64 : l1_paging == L1_PAE ? MODE_PAE : MODE_32);
    l2_shadow(&l2);
    l2.cr3 = CR_GET(3);
    l2.cr4 |= CR_GET(4) & CR4_LA57;
    l2.code_linear = hpa_of(&l2, l2.code);
    for (u32 i = 0; i < 100; i++)
        right += l2_value(&l2, HPA_LARGE + i * PAGE) == ((HPA_LARGE + i * PAGE) | ACE);
    check(right == 100, "%u of 100 reads of L2 through L1's own tables", right);
}

void part_shadowed(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++)
        turns(mode);
    pae_entries();
    same_tables();
}
