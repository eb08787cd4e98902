/* SPDX-License-Identifier: MIT */
/* L2 in each paging mode: the way of its addresses through both stages, and who refuses what. */
#include "parts.h"
#include "vendor.h"

enum { LIN_SUPERVISOR = LIN_DATA + PAGE, LIN_READONLY = LIN_DATA + 2 * PAGE };

static struct l2 l2;

/* L1 takes the page away from L2 for a moment. */
static void take_away(u64 linear)
{
    const u64 gpa = l2_gpa(&l2, linear), entry = l2_second_get(&l2, gpa);
    bool exits;

    l2_second_set(&l2, gpa, 0);
    exits = l2_step(&l2, l2_read, linear, 0) == SECOND_STAGE && l2.exit.gpa == gpa;
    check(exits, "L1 clears the last %s entry: L2's read of %08llx exits to L1",
          vendor->second_name, linear);
    vendor->exit_print(&l2);
    l2_second_set(&l2, gpa, entry);
    check(l2_named(&l2, l2_value(&l2, linear), gpa), "L1 puts it back: L2 reads");
}

/* T37: a second stage of 32 bits has nothing from 4 GiB on, whatever is at the same offset below.
 */
static void beyond(void)
{
    const struct format *f = l2.second.format;
    const u64 linear = LIN_HIGH + 0x5008;
    enum outcome outcome;

    tables_map(&l2.second, 0, HPA_LARGE, f->level[f->levels - 2].shift, vendor->second_rwx);
    outcome = l2_step(&l2, l2_read, linear, 0);
    check(outcome == SECOND_STAGE && l2.exit.gpa == GPA_HIGH + 0x5008 && !l2.exit.in_tables,
          "T37: linear %08llx is guest-physical %llx, which L1's mode does not reach: exit", linear,
          l2.exit.gpa);
    vendor->exit_print(&l2);
}

void part_translate(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        print(" L2 %s\n", mode_names[mode]);
        l2_new(&l2, mode);
        l2_explain(&l2, LIN_DATA);
        l2_explain(&l2, LIN_LARGE + 0x3000);
        if (format_is_wide(l2.second.format))
            l2_explain(&l2, LIN_HIGH + 0x205000);
        else
            beyond();
        take_away(LIN_DATA);
    }
}

/* SDM Vol 3A 4.7 "Page-Fault Exceptions": bits 0 P, 1 W, 2 U, 4 fetch. */
static void own_tables_refuse(void)
{
    l2_reset(&l2, l2.mode, 3);
    check(l2_value(&l2, LIN_DATA) != 0, "CPL 3 reads a user page");
    check(l2_page_fault(&l2, l2_step(&l2, l2_read, LIN_SUPERVISOR + 8, 0), 5, LIN_SUPERVISOR + 8),
          "CPL 3 at a supervisor page: L2's own #PF, error code 5");
    check(l2_page_fault(&l2, l2_step(&l2, l2_write, LIN_READONLY, 0), 7, LIN_READONLY),
          "CPL 3 writes a read-only page: #PF, 7");
    check(l2_page_fault(&l2, l2_step(&l2, l2_read, LIN_NOTHING, 0), 4, LIN_NOTHING),
          "CPL 3 where nothing is: #PF, 4");
    l2_reset(&l2, l2.mode, 0);
    check(l2_page_fault(&l2, l2_step(&l2, l2_write, LIN_READONLY, 0), 3, LIN_READONLY),
          "CPL 0 writes a read-only page with WP=1: #PF, 3");
    l2.cr0 &= ~(u64)CR0_WP;
    l2.reload = true;
    check(l2_step(&l2, l2_write, LIN_READONLY + 8, 1) == DONE, "and with WP=0 it may");
    l2_reset(&l2, l2.mode, 0);
    if (l2.mode >= MODE_PAE) {
        void *entry = tables_entry(&l2.own, LIN_DATA + 3 * PAGE, 12);

        entry_set(l2.own.format, entry, entry_get(l2.own.format, entry) | NX);
        check(l2_page_fault(&l2, l2_step(&l2, l2_call, LIN_DATA + 3 * PAGE + 16, 0), 0x11,
                            LIN_DATA + 3 * PAGE + 16),
              "a fetch from an NX page: #PF, 11h");
    }
}

/*
 * What an entry means depends on registers and on the way to it. Each time something beside it is
 * read first, so that what shadows the tables is there when it comes to the point.
 */
static void same_entries_otherwise(void)
{
    enum {
        LIN_ALIAS = LIN_DATA + 0x800000,
        LIN_NX = LIN_DATA + 3 * PAGE,
        LIN_OTHER = LIN_DATA + 4 * PAGE
    };
    const struct format *f = l2.own.format;
    const u32 shift = l2.mode == MODE_32 ? 22 : 21;
    bool good = true;

    entry_set(f, tables_entry(&l2.own, LIN_ALIAS, shift),
              entry_get(f, tables_entry(&l2.own, LIN_DATA, shift)) & ~(u64)W);
    for (u32 i = 0; i < 3; i++) {
        good &= l2_step(&l2, l2_write, LIN_DATA + 8, i) == DONE;
        good &= l2_value(&l2, LIN_ALIAS) == l2_value(&l2, LIN_DATA);
        good &= l2_page_fault(&l2, l2_step(&l2, l2_write, LIN_ALIAS + 8, i), 3, LIN_ALIAS + 8);
    }
    check(good, "T12: one table with two rights above it");
    good = true;
    for (u32 i = 0; i < 3; i++) {
        const u64 linear = l2.mode == MODE_32 ? LIN_LARGE + 3 * PAGE : LIN_NX;

        good &= l2_value(&l2, LIN_OTHER) != 0 && l2_value(&l2, linear) != 0;
        if (l2.mode == MODE_32)
            l2.cr4 &= ~(u64)CR4_PSE;
        else
            l2.efer &= ~(u64)EFER_NXE;
        l2.reload = true;
        good &= l2_value(&l2, LIN_OTHER) != 0;
        good &= l2_page_fault(&l2, l2_step(&l2, l2_read, linear, 0), l2.mode == MODE_32 ? 0 : 9,
                              linear);
        l2_reset(&l2, l2.mode, 0);
    }
    check(good, l2.mode == MODE_32 ? "T04: a 4 MiB page is a table without CR4.PSE"
                                   : "T08: bit 63 is reserved without EFER.NXE");
}

static void accessed_and_dirty(void)
{
    const u64 linear = LIN_DATA + 4 * PAGE;
    void *entry = tables_entry(&l2.own, linear, 12);
    u32 *page = l2_at(&l2, l2_gpa(&l2, linear));

    (void)l2_value(&l2, linear);
    check((entry_get(l2.own.format, entry) & (A | D)) == A, "a read sets A in L2's entry");
    check(l2_step(&l2, l2_write, linear + 8, 0x1234) == DONE && page[2] == 0x1234 &&
              (entry_get(l2.own.format, entry) & (A | D)) == (A | D),
          "a write arrives in the machine page and sets D");
}

/* What L2 does, and the exit that L1 expects of it. */
struct refused {
    const char *what;
    const char *stub;
    u64 linear; /* given to the stub */
    u64 gpa; /* where the second stage refuses ... */
    u64 rights; /* ... these */
    u32 access; /* 0: on the way through L2's tables */
    u64 exit_linear; /* 0: it reports none, on any vendor */
};

static void second_stage_refuses(const struct refused *r)
{
    const u64 entry = l2_second_get(&l2, r->gpa);
    enum outcome outcome;

    l2_second_set(&l2, r->gpa, entry ^ r->rights);
    outcome = l2_step(&l2, r->stub, r->linear, 0);
    check(outcome == SECOND_STAGE && l2.exit.gpa == r->gpa &&
              (r->exit_linear == 0 || !vendor->second_linear || l2.exit.linear == r->exit_linear) &&
              l2.exit.in_tables == (r->access == 0) &&
              (r->access == 0 || l2.exit.access == r->access),
          "%s: exit with gpa=%08llx lin=%08llx qualification=%llx", r->what, l2.exit.gpa,
          l2.exit.linear, l2.exit.qualification);
    l2_second_set(&l2, r->gpa, entry);
    check(l2_step(&l2, r->stub, r->linear, 0) == DONE, "and with the entry back it goes on");
}

static void second_stage(void)
{
    const u64 linear = LIN_DATA + 5 * PAGE, gpa = l2_gpa(&l2, linear);
    const struct refused pages[] = {
        {"a page gone", l2_read, linear + 8, gpa + 8, vendor->second_rwx, READ, linear + 8},
        {"a page read-only", l2_write, linear + 12, gpa + 12, vendor->second_write, WRITE,
         linear + 12},
        {"a page not executable", l2_call, linear + 16, gpa + 16, vendor->second_execute(), FETCH,
         linear + 16},
    };
    struct walk code, data;

    for (u32 i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].rights != 0)
            second_stage_refuses(&pages[i]);
    tables_walk(&l2.own, linear, &data);
    tables_walk(&l2.own, LIN_CODE + (u64)(l2_read - l2_code), &code);
    for (u32 i = l2.mode == MODE_PAE && vendor->pdpte_registers ? 1 : 0; i < data.steps; i++) {
        /* a table that the code needs too refuses its fetch first */
        const bool both = (data.step[i].at ^ code.step[i].at) < PAGE;

        second_stage_refuses(
            &(struct refused){data.step[i].level, l2_read, linear,
                              both ? code.step[i].at : data.step[i].at, vendor->second_rwx, 0,
                              both ? LIN_CODE + (u64)(l2_read - l2_code) : linear});
    }
    check(l2_step(&l2, l2_call, linear + 16, 0) == DONE && l2_named(&l2, (u32)l2.reg[RAX], gpa),
          "a fetch goes through both stages");
}

void part_faults(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        print(" L2 %s\n", mode_names[mode]);
        l2_new(&l2, mode);
        own_tables_refuse();
        same_entries_otherwise();
        accessed_and_dirty();
        second_stage();
    }
}

/* PAE: four PDPTEs in registers (VMX), loaded by MOV CR3; or read at each walk (SVM with NPT). */
void part_pae(void)
{
    u64 *pdpt, other, value;

    l2_new(&l2, MODE_PAE);
    value = l2_value(&l2, LIN_DATA);
    check(l2_named(&l2, (u32)value, l2_gpa(&l2, LIN_DATA)), "L2 PAE reads");
    /* another PDPT: the same directory, found one GiB higher too */
    other = l2_page(&l2);
    pdpt = l2_at(&l2, other);
    memcpy(pdpt, l2_at(&l2, l2.cr3), 32);
    pdpt[1] = pdpt[0];
    check(l2_page_fault(&l2, l2_step(&l2, l2_read, LIN_DATA + 0x40000000, 0), 0,
                        LIN_DATA + 0x40000000),
          "nothing at 1 GiB");
    check(l2_step(&l2, l2_load_cr3, other, 0) == DONE && l2.cr3 == other,
          "MOV CR3 in L2, without an exit");
    check(l2_value(&l2, LIN_DATA + 0x40000000) == value, "now the same page is at 1 GiB more");
    if (vendor->pdpte_registers) {
        check(l2.pdpte[1] == pdpt[1], "the exit saved PDPTE 1");
        pdpt[1] = 0;
        check(l2_value(&l2, LIN_DATA + 0x40000000) == value,
              "PDPTE 1 gone in memory: the register stays");
        check(l2_step(&l2, l2_load_cr3, other, 0) == DONE && l2.pdpte[1] == 0, "until MOV CR3");
        pdpt[1] = P | W;
        check(l2_step(&l2, l2_load_cr3, other, 0) == FAULTED && l2_vector(&l2) == 13 &&
                  l2.pdpte[1] == 0,
              "MOV CR3 with a reserved bit in a PDPTE: L2's own #GP, nothing changed");
    } else {
        pdpt[1] = 0;
        (void)l2_step(&l2, l2_invlpg, LIN_DATA + 0x40000000, 0);
        check(l2_page_fault(&l2, l2_step(&l2, l2_read, LIN_DATA + 0x40000000, 0), 0,
                            LIN_DATA + 0x40000000),
              "PDPTE 1 gone in memory: gone for the next walk, there is no register");
        pdpt[1] = pdpt[0] | W;
        check(l2_step(&l2, l2_load_cr3, other, 0) == DONE,
              "MOV CR3 does not look at a reserved bit in a PDPTE");
        check(l2_page_fault(&l2, l2_step(&l2, l2_read, LIN_DATA + 0x40000000, 0), 9,
                            LIN_DATA + 0x40000000),
              "the walk does: #PF, 9");
        check(l2_value(&l2, LIN_DATA) == value, "and not for an address under another PDPTE");
    }
    pdpt[1] = 0;
    if (vendor->pdpte_registers) /* not the translation of an address: no linear address, bit 7
                                    clear */
        second_stage_refuses(&(struct refused){"MOV CR3 reads PDPTEs through the second stage",
                                               l2_load_cr3, other, other, vendor->second_rwx, READ,
                                               0});
}
