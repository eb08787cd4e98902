/* SPDX-License-Identifier: MIT */
/*
 * What only nested paging of SVM has: its format is the one of L1's own paging mode at VMRUN, every
 * access of it is one of a user, walks of L2's tables are writes. APM Vol 2 15.25 "Nested Paging",
 * 15.16 "TLB Control".
 */
#include "parts.h"
#include "svm.h"
#include "vendor.h"

static struct l2 l2;

/* A page by itself: nothing else of L2 is below the same entries, but for the root's of 4 levels.
 */
enum { LIN_FAR = 0x02000000, GPA_FAR = 0x60000000 };
enum { CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, SAW_RESERVED = 8, SAW_FETCH = 16 };
enum { ANY, ONLY_32, ONLY_PAE, ONLY_64, EIGHT_BYTES };

/* What a row is tried with: registers of L1, none of which is for the nested walk but EFER.NXE. */
static const struct host {
    const char *what;
    bool wp, smep_smap, nxe;
} hosts[] = {
    {"with CR0.WP and EFER.NXE", true, false, true},
    {"without CR0.WP", false, false, true},
    {"with CR4.SMEP and SMAP", true, true, true},
    {"without EFER.NXE", true, false, false},
    {"without EFER.NXE, with CR4.SMEP", true, true, false},
};

/* One entry on the way to the page changed. info: of EXITINFO1; 0: nothing happens. */
static const struct row {
    const char *what;
    u32 where;
    const char *stub;
    u32 level; /* from the page's own entry up */
    u64 set, clear;
    u64 info;
} rows[] = {
    {"nothing changed, read", ANY, l2_read, 0, 0, 0, 0},
    {"P=0, read", ANY, l2_read, 0, 0, P, NPF_FINAL | U},
    {"P=0, write", ANY, l2_write, 0, 0, P, NPF_FINAL | U | W},
    {"P=0, fetch", ANY, l2_call, 0, 0, P, NPF_FINAL | U | SAW_FETCH},
    {"U=0, read", ANY, l2_read, 0, 0, U, NPF_FINAL | U | P},
    {"U=0, write", ANY, l2_write, 0, 0, U, NPF_FINAL | U | W | P},
    {"U=0, fetch", ANY, l2_call, 0, 0, U, NPF_FINAL | U | P | SAW_FETCH},
    {"W=0, read", ANY, l2_read, 0, 0, W, 0},
    {"W=0, write", ANY, l2_write, 0, 0, W, NPF_FINAL | U | W | P},
    {"NX, read", EIGHT_BYTES, l2_read, 0, NX, 0, 0},
    {"NX, fetch", EIGHT_BYTES, l2_call, 0, NX, 0, NPF_FINAL | U | P | SAW_FETCH},
    {"P=0 above", ANY, l2_read, 1, 0, P, NPF_FINAL | U},
    {"U=0 above", ANY, l2_read, 1, 0, U, NPF_FINAL | U | P},
    {"W=0 above, read", ANY, l2_read, 1, 0, W, 0},
    {"W=0 above, write", ANY, l2_write, 1, 0, W, NPF_FINAL | U | W | P},
    {"NX above, fetch", EIGHT_BYTES, l2_call, 1, NX, 0, NPF_FINAL | U | P | SAW_FETCH},
    {"P=0 two above", EIGHT_BYTES, l2_read, 2, 0, P, NPF_FINAL | U},
    {"U=0 two above", ONLY_64, l2_read, 2, 0, U, NPF_FINAL | U | P},
    {"PDPTE with W", ONLY_PAE, l2_read, 2, W, 0, NPF_FINAL | SAW_RESERVED | U | P},
    {"PDPTE bit 8", ONLY_PAE, l2_read, 2, BIT(8), 0, NPF_FINAL | SAW_RESERVED | U | P},
    {"bit 52, which PAE reserves", ONLY_PAE, l2_read, 0, BIT(52), 0,
     NPF_FINAL | SAW_RESERVED | U | P},
    {"bit 52, which long mode ignores", ONLY_64, l2_read, 0, BIT(52), 0, 0},
    {"PML4E with PS", ONLY_64, l2_read, 3, PS, 0, NPF_TABLES | SAW_RESERVED | U | W | P},
    {"PML4E with P=0", ONLY_64, l2_read, 3, 0, P, NPF_TABLES | U | W},
};

static bool here(u32 where)
{
    return where == ANY || (where == ONLY_32 && l1_paging == L1_32) ||
           (where == ONLY_PAE && l1_paging == L1_PAE) || (where == ONLY_64 && L1_64) ||
           (where == EIGHT_BYTES && l1_paging != L1_32);
}

static void new_guest(enum mode mode)
{
    const u32 shift = mode == MODE_32 ? 22 : 21;
    const u64 hpa = hpa_number(PAGES - 1);

    l2_pages_free();
    l2_new(&l2, mode);
    name_page(hpa);
    tables_map(&l2.second, GPA_FAR, hpa, 12, vendor->second_rwx);
    tables_map(&l2.own, LIN_FAR, GPA_FAR, shift, P | W | U);
}

/* What EXITINFO1 says under these registers of L1. */
static u64 expected(const struct row *row, const struct host *host)
{
    const bool nxe = host->nxe && l1_paging != L1_32;
    u64 info = row->info;

    if ((row->set & NX) != 0 && !nxe)
        info = (row->stub == l2_call ? SAW_FETCH : 0) | NPF_FINAL | SAW_RESERVED | U | P;
    return nxe || host->smep_smap ? info : info & ~(u64)SAW_FETCH;
}

static bool smep_smap_offered(void)
{
    u32 regs[4];

    cpuid(0, regs);
    if (regs[0] < 7)
        return false;
    cpuid(7, regs);
    return (regs[1] & (1 << 7 | 1 << 20)) == (1 << 7 | 1 << 20);
}

static void set_host(const struct host *host)
{
    const u64 efer = rdmsr(MSR_EFER);

    CR_SET(0, host->wp ? CR_GET(0) | CR0_WP : CR_GET(0) & ~(word)CR0_WP);
    CR_SET(4, host->smep_smap ? CR_GET(4) | CR4_SMEP | CR4_SMAP
                              : CR_GET(4) & ~(word)(CR4_SMEP | CR4_SMAP));
    wrmsr(MSR_EFER, host->nxe ? efer | EFER_NXE : efer & ~(u64)EFER_NXE);
}

static bool try_row(const struct row *row, const struct host *host)
{
    const struct format *f = l2.second.format;
    const u32 offset = row->stub == l2_call ? 16 : 0x108;
    const u64 info = expected(row, host);
    enum outcome outcome;
    struct walk w;
    void *entry;
    u64 value;
    bool good;

    tables_walk(&l2.second, GPA_FAR, &w);
    entry = (void *)(word)w.step[w.steps - 1 - row->level].at;
    value = entry_get(f, entry);
    (void)l2_value(&l2, LIN_DATA); /* what is beside it is there */
    entry_set(f, entry, (value | row->set) & ~row->clear);
    vendor->flush(&l2);
    outcome = l2_step(&l2, row->stub, LIN_FAR + offset, 0);
    good = info == 0 ? outcome == DONE
                     : outcome == SECOND_STAGE && l2.exit.qualification == info &&
                           (row->level == 3 || l2.exit.gpa == GPA_FAR + offset);
    must(good, "%s, L1 %s, L2 %s: EXITINFO1 %llx, not %llx; %llx", row->what, host->what,
         mode_names[l2.mode], outcome == SECOND_STAGE ? l2.exit.qualification : 0, info,
         l2.exit.gpa);
    entry_set(f, entry, value);
    vendor->flush(&l2);
    return good && l2_step(&l2, row->stub, LIN_FAR + offset, 0) == DONE;
}

/* T39, T40 */
static void rights(enum mode mode)
{
    u32 good = 0, tried = 0;

    new_guest(mode);
    for (u32 h = 0; h < ARRAY_SIZE(hosts); h++) {
        if (hosts[h].smep_smap && !smep_smap_offered())
            continue;
        set_host(&hosts[h]);
        for (u32 i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
            if (!here(rows[i / 2].where))
                continue;
            l2_reset(&l2, mode, i % 2 * 3);
            tried++;
            good += try_row(&rows[i / 2], &hosts[h]);
        }
    }
    set_host(&hosts[0]);
    check(good == tried,
          "T39, T40: L2 %s: %u of %u rights, with CR0.WP, SMEP, SMAP and NXE of L1 on and off",
          mode_names[mode], good, tried);
}

/* 15.25.5: the walk of L2's tables is a write by a user, whatever L2 does and whatever A says. */
static void walks_are_writes(enum mode mode)
{
    u32 good = 0;
    struct walk w;

    new_guest(mode);
    (void)l2_value(&l2, LIN_DATA);
    tables_walk(&l2.own, LIN_DATA, &w);
    for (u32 i = 0; i < w.steps; i++) {
        const u64 page = w.step[i].at & ~(u64)(PAGE - 1);
        const u64 flags = l2_second_get(&l2, page), gpa = w.step[i].at;
        bool exits;

        must((flags & (A | D)) == (A | D), "A and D of L2's table %u: %llx", i, flags);
        /* the fetch of the code comes first where it needs the same table */
        l2_second_set(&l2, page, flags & ~(u64)W);
        exits = l2_step(&l2, l2_read, LIN_DATA, 0) == SECOND_STAGE &&
                l2.exit.qualification == (NPF_TABLES | U | W | P) && (l2.exit.gpa ^ gpa) < PAGE;
        must(exits, "%s: EXITINFO1 %llx, EXITINFO2 %llx", w.step[i].level, l2.exit.qualification,
             l2.exit.gpa);
        l2_second_set(&l2, page, flags);
        good += exits;
    }
    check(good == w.steps, "L2 %s: its %u tables read-only in NPT: a read exits, as a write",
          mode_names[mode], w.steps);
}

/* A and D of NPT's own entries, which nothing switches off. */
static void accessed_and_dirty(enum mode mode)
{
    const struct format *f = l2.second.format;
    struct walk w;
    bool good = true;
    u64 value;

    new_guest(mode);
    tables_walk(&l2.second, GPA_FAR, &w);
    good &= (w.step[w.steps - 1].value & (A | D)) == 0;
    (void)l2_value(&l2, LIN_FAR);
    tables_walk(&l2.second, GPA_FAR, &w);
    good &= (w.step[w.steps - 1].value & (A | D)) == A;
    for (u32 i = l1_paging == L1_PAE ? 1 : 0; i + 1 < w.steps; i++)
        good &= (w.step[i].value & A) != 0;
    good &= l2_step(&l2, l2_write, LIN_FAR + 8, 1) == DONE;
    tables_walk(&l2.second, GPA_FAR, &w);
    value = w.step[w.steps - 1].value;
    good &= (value & (A | D)) == (A | D);
    entry_set(f, (void *)(word)w.step[w.steps - 1].at, value & ~(u64)(A | D));
    vendor->flush(&l2);
    (void)l2_value(&l2, LIN_FAR);
    tables_walk(&l2.second, GPA_FAR, &w);
    good &= (w.step[w.steps - 1].value & (A | D)) == A;
    check(good, "L2 %s: reads set A in the entries of NPT, a write D, again after L1 clears them",
          mode_names[mode]);
}

/* Bits of a large page's entry between its flags and its address. */
static void large_pages(void)
{
    const struct format *f = l2.second.format;
    const u32 shift = f->level[f->levels - 2].shift;
    void *entry;
    u64 value;

    new_guest(MODE_32);
    entry = tables_entry(&l2.second, GPA_LARGE, shift);
    value = entry_get(f, entry);
    check((value & PS) != 0 &&
              l2_named(&l2, l2_value(&l2, LIN_LARGE + 7 * PAGE), GPA_LARGE + 7 * PAGE),
          "a page of %u MiB", 1u << (shift - 20));
    entry_set(f, entry, value | (shift == 22 ? BIT(21) : BIT(13)));
    vendor->flush(&l2);
    check(l2_step(&l2, l2_read, LIN_LARGE + 7 * PAGE, 0) == SECOND_STAGE &&
              l2.exit.qualification == (NPF_FINAL | SAW_RESERVED | U | P),
          "with an address that is not aligned: reserved, P=1");
    entry_set(f, entry, value);
    vendor->flush(&l2);
}

/* ---- L1 changes its own mode between two VMRUNs ---- */

/* T04 of L1: without its CR4.PSE, the entry of a page of 4 MiB leads to a table of NPT. */
static void host_without_pse(enum mode mode)
{
    static const struct {
        u32 start, end;
    } used[] = {{0, 0x00800000},
                {HPA_PAGES, HPA_PAGES + PAGES * PAGE},
                {HPA_LARGE, HPA_LARGE + 0x400000}};
    const u32 to = hpa_number(PAGES - 1);
    const word cr3 = CR_GET(3);
    u32 *table = (u32 *)HPA_LARGE;
    struct tables small;
    bool good = true;

    new_guest(mode);
    table[3] = to | P | W | U;
    tables_new_machine(&small, &format_32); /* L1 itself without large pages */
    for (u32 i = 0; i < ARRAY_SIZE(used); i++)
        for (u32 at = used[i].start; at < used[i].end; at += PAGE)
            tables_map(&small, at, at, 12, P | W);
    for (u32 i = 0; i < 3; i++) {
        good &= l2_value(&l2, LIN_LARGE + 3 * PAGE) == ((HPA_LARGE + 3 * PAGE) | ACE);
        CR_SET(3, small.root);
        CR_SET(4, CR_GET(4) & ~(word)CR4_PSE);
        vendor->flush(&l2);
        good &= l2_value(&l2, LIN_LARGE + 3 * PAGE) == (to | ACE);
        CR_SET(4, CR_GET(4) | CR4_PSE);
        CR_SET(3, cr3);
        vendor->flush(&l2);
    }
    table[3] = 0;
    check(good, "T04: L2 %s: L1 without CR4.PSE: NPT's page of 4 MiB is a table", mode_names[mode]);
}

/*
 * T25: one page is the root of NPT for L1 in 32-bit paging and in PAE paging, and another the last
 * table of both: its entry i has 8 bytes, or is entries 2i and 2i + 1 of 4.
 */
static void one_root_two_modes(enum mode mode)
{
    enum { GPA_SHARED = 0x01800000, LIN_SHARED = 0x02400000, ROUNDS = 12, ENTRIES = 4 };
    const u32 shift = mode == MODE_32 ? 22 : 21;
    u64 *table = page_new();
    struct tables pae;
    u32 right = 0;

    new_guest(mode);
    tables_map(&l2.own, LIN_SHARED, GPA_SHARED, shift, P | W | U);
    tables_new_machine(&pae, &format_pae);
    for (u64 gpa = GPA_PAGES; gpa < GPA_PAGES + PAGES * PAGE; gpa += PAGE)
        if (hpa_of(&l2, gpa) != 0)
            tables_map(&pae, gpa, hpa_of(&l2, gpa), 12, vendor->second_rwx);
    tables_map(&pae, GPA_SHARED, 0, 21, 0);
    tables_map(&l2.second, GPA_SHARED, 0, 22, 0);
    entry_set(&format_pae, tables_entry(&pae, GPA_SHARED, 21), (word)table | P | W | U);
    entry_set(&format_32, tables_entry(&l2.second, GPA_SHARED, 22), (word)table | P | W | U);
    *(u64 *)(word)l2.second.root = *(u64 *)(word)pae.root; /* of PAE's first GiB; else not used */
    for (u32 round = 0; round < ROUNDS; round++) {
        const bool wide = round % 3 != 1;

        l1_set_paging(wide ? L1_PAE : L1_32);
        for (u32 i = 0; i < ENTRIES; i++)
            table[i] = HPA_LARGE + ((round + 1) * 31 + i * 7) * PAGE + (P | W | U);
        vendor->flush(&l2);
        for (u32 i = 0; i < ENTRIES; i++)
            right += l2_value(&l2, LIN_SHARED + (wide ? i : 2 * i) * PAGE) ==
                     (table[i] & ~(u64)(PAGE - 1)) + ACE;
    }
    l1_set_paging(L1_32);
    check(
        right == ROUNDS * ENTRIES,
        "T25: L2 %s: one root and one last table with entries of 4 and of 8 bytes: %u of %u reads",
        mode_names[mode], right, ROUNDS * ENTRIES);
}

/* T33, T38: the root for an L1 with four levels is a table below the root for one with five. */
static void four_and_five_levels(enum mode mode)
{
    u64 *root = page_new();
    u32 right = 0;

    new_guest(mode);
    root[0] = l2.second.root | P | W | U;
    for (u32 i = 0; i < 24; i++) {
        const bool five = i % 3 == 1;
        const u64 linear = LIN_DATA + i % DATA_PAGES * PAGE, gpa = l2_gpa(&l2, linear);

        l1_set_paging(five ? L1_LONG_5 : L1_LONG);
        vmcb_write(&l2, NESTED_CR3, five ? (word)root : l2.second.root);
        l2_move(&l2, gpa); /* and flushes */
        name_page(hpa_of(&l2, gpa));
        right += l2_named(&l2, l2_value(&l2, linear), gpa);
    }
    l1_set_paging(L1_LONG);
    check(right == 24, "T33, T38: L2 %s: %u of 24 reads under an L1 with 4 and with 5 levels",
          mode_names[mode], right);
}

/* ---- 15.16: what has to be flushed, and with what ---- */

static void invlpga(u64 linear, u32 asid)
{
    __asm__ volatile("invlpga" : : "a"((word)linear), "c"(asid) : "memory");
}

static void flushes(void)
{
    static const u8 ways[] = {FLUSH_ALL, FLUSH_ASID, FLUSH_NOT_GLOBAL};
    static struct l2 other;
    const u64 gpa = GPA_FAR;
    u32 right = 0, asid;

    new_guest(L1_64 ? MODE_64 : MODE_PAE);
    if ((svm_features() & HAS_FLUSH_ASID) == 0)
        return;
    for (u32 i = 0; i < 60; i++) {
        const u64 hpa = HPA_LARGE + (i * 11 % 128) * PAGE;

        l2_second_set(&l2, gpa, hpa | vendor->second_rwx);
        SVM(&l2)->flush = ways[i % ARRAY_SIZE(ways)];
        right += l2_value(&l2, LIN_FAR) == (hpa | ACE);
    }
    check(right == 60, "T54: %u of 60 changes seen with TLB_CONTROL 1, 3 and 7", right);
    /* an ASID that has never been used has nothing stale */
    right = 0;
    for (u32 i = 0; i < 8; i++) {
        const u64 hpa = HPA_LARGE + (i * 13 % 128) * PAGE;

        l2_second_set(&l2, gpa, hpa | vendor->second_rwx);
        SVM(&l2)->flush = FLUSH_NOTHING;
        vmcb_write(&l2, ASID, 5 + i);
        right += l2_value(&l2, LIN_FAR) == (hpa | ACE);
    }
    check(right == 8, "T54: %u of 8 with a new ASID instead", right);
    /* L1 edits L2's own table behind its back */
    right = 0;
    asid = (u32)vmcb_read(&l2, ASID);
    for (u32 i = 0; i < 8; i++) {
        const u64 to = l2_gpa(&l2, LIN_DATA + (4 + i % 4) * PAGE);

        entry_set(l2.own.format, tables_entry(&l2.own, LIN_DATA, 12), to | P | W | U);
        invlpga(LIN_DATA, asid);
        right += l2_named(&l2, l2_value(&l2, LIN_DATA), to);
    }
    check(right == 8, "T54: %u of 8 changes of L2's own table with INVLPGA", right);
    /* two guests with the same linear addresses */
    l2_new(&other, l2.mode);
    right = 0;
    for (u32 i = 0; i < 40; i++) {
        struct l2 *g = i % 2 == 0 ? &l2 : &other;
        const u64 linear = LIN_DATA + i / 2 % DATA_PAGES * PAGE;

        if (i == 20)
            vmcb_write(&other, ASID, asid); /* from here on they share one */
        if (i >= 20)
            vendor->flush(g);
        right += l2_named(g, l2_value(g, linear), l2_gpa(g, linear));
    }
    check(right == 40, "T54: %u of 40 reads of two guests, with an ASID each and with one", right);
}

void part_npt(void)
{
    print("  NPT is %s\n", vendor->second_format()->name);
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        rights(mode);
        walks_are_writes(mode);
        accessed_and_dirty(mode);
    }
    large_pages();
    if (l1_paging == L1_32)
        for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
            host_without_pse(mode);
            one_root_two_modes(mode);
        }
    if (l1_paging == L1_LONG && l1_has_five_levels())
        for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++)
            four_and_five_levels(mode);
    flushes();
}
