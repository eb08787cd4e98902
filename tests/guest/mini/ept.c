/* SPDX-License-Identifier: MIT */
/* What only EPT has. SDM Vol 3C 29.3 "The Extended Page Table Mechanism (EPT)" and 26.5.6 "VM
 * Functions". */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

static struct l2 l2, other;

static const struct {
    u32 right; /* an access by it, and the right that it needs */
    const char *stub;
    u32 offset; /* in the data page */
} accesses[] = {{EPT_R, l2_read, 0}, {EPT_W, l2_write, 8}, {EPT_X, l2_call, 16}};

/* An access under these rights of the last entry and of the one above: the outcome that SDM says.
 */
static bool as_expected(u32 above, u32 last, u32 access)
{
    const u32 granted = above & last, wanted = accesses[access].right;
    const u64 linear = LIN_DATA + accesses[access].offset, gpa = l2_gpa(&l2, linear);
    const enum outcome outcome = l2_step(&l2, accesses[access].stub, linear, 0);

    if ((above & (EPT_R | EPT_W)) == EPT_W ||
        ((above & 7) != 0 && (last & (EPT_R | EPT_W)) == EPT_W))
        return outcome == SECOND_STAGE && l2.exit.reason == R_EPT_MISCONFIGURATION &&
               l2.exit.gpa == gpa;
    if ((granted & wanted) != 0)
        return outcome == DONE;
    /* bits 2:0 the access, 5:3 what all entries allow, 7 and 8: the translation of a linear address
     */
    return outcome == SECOND_STAGE && l2.exit.reason == R_EPT_VIOLATION && l2.exit.gpa == gpa &&
           l2.exit.linear == linear &&
           (l2.exit.qualification & 0x1bf) == (wanted | granted << 3 | 0x180);
}

/* T41, T42: all rights of the last entry, and of the entry above it. */
static void rights(void)
{
    const u64 gpa = l2_gpa(&l2, LIN_DATA), target = l2_second_get(&l2, gpa) & ~(u64)0xfff;
    u64 *above, directory;
    u32 right = 0, mixed = 0, types = 0;

    /* a directory entry of its own, so that code and tables keep theirs */
    above = tables_entry(&l2.second, GPA_PAGES + 0x200000, 21);
    tables_map(&l2.second, GPA_PAGES + 0x200000 + PAGE, target, 12, EPT_RWX);
    directory = *above & ~7ull;
    entry_set(l2.own.format, tables_entry(&l2.own, LIN_DATA, 12),
              (GPA_PAGES + 0x200000 + PAGE) | P | W | U | A | D);
    for (u32 i = 0; i < 8 * 3; i++) {
        l2_second_set(&l2, GPA_PAGES + 0x200000 + PAGE, target | EPT_WB | i / 3);
        right += as_expected(7, i / 3, i % 3);
    }
    check(right == 24, "T41: %u of 24 rights and accesses: allowed, violation or misconfiguration",
          right);
    for (u32 type = 0; type < 8; type++) {
        l2_second_set(&l2, GPA_PAGES + 0x200000 + PAGE, target | type << 3 | 7);
        types += l2_step(&l2, l2_read, LIN_DATA, 0) ==
                 (type == 2 || type == 3 || type == 7 ? SECOND_STAGE : DONE);
    }
    check(types == 8, "T41: %u of 8 memory types; 2, 3 and 7 are misconfigurations", types);
    for (u32 i = 0; i < 64 * 3; i++) {
        l2_second_set(&l2, GPA_PAGES + 0x200000 + PAGE, target | EPT_WB | (i / 3 & 7));
        *above = directory | i / 24;
        vendor->flush(&l2);
        mixed += as_expected(i / 24, i / 3 & 7, i % 3);
        *above = directory | 7;
    }
    check(mixed == 192, "T42: %u of 192 rights of two levels", mixed);
}

/* T43, T44, and one EPT with flags and without. Two VMCSs with the same root. */
static void accessed_and_dirty(void)
{
    const u64 linear = LIN_DATA + PAGE, gpa = l2_gpa(&l2, linear);
    struct walk w;
    enum outcome outcome;
    u64 table, entry;

    tables_walk(&l2.own, linear, &w);
    table = w.step[w.steps - 1].at;
    entry = l2_second_get(&l2, table) & ~(EPT_A | EPT_D);
    l2_second_set(&l2, table, entry & ~(u64)EPT_W);
    outcome = l2_step(&l2, l2_read, linear, 0);
    check(
        outcome == SECOND_STAGE && l2.exit.gpa == table && l2.exit.in_tables &&
            l2.exit.access == (READ | WRITE),
        "T43: flags on: a read through a table in a read-only page is a write: qualification %llx",
        l2.exit.qualification);
    l2_second_set(&l2, table, entry);
    l2_second_set(&l2, gpa, l2_second_get(&l2, gpa) & ~(EPT_A | EPT_D));
    check(l2_step(&l2, l2_read, linear, 0) == DONE &&
              (l2_second_get(&l2, table) & (EPT_A | EPT_D)) == (EPT_A | EPT_D) &&
              (l2_second_get(&l2, gpa) & (EPT_A | EPT_D)) == EPT_A,
          "T43: it sets A and D for the table's page, A for the page");
    check(l2_step(&l2, l2_write, linear + 8, 0) == DONE && (l2_second_get(&l2, gpa) & EPT_D) != 0,
          "T43: a write sets D for the page");
    vmx_current(&other);
    vmwrite(EPTP, VMX(&other)->eptp & ~EPTP_AD);
    l2_second_set(&l2, table, entry & ~(u64)EPT_W);
    l2_second_set(&l2, gpa, l2_second_get(&l2, gpa) & ~(EPT_A | EPT_D));
    check(l2_step(&other, l2_read, linear, 0) == DONE, "T44: flags off: the read goes through");
    check((l2_second_get(&l2, table) & (EPT_A | EPT_D)) == 0 &&
              (l2_second_get(&l2, gpa) & (EPT_A | EPT_D)) == 0,
          "T44: it sets nothing");
    entry_set(l2.own.format, l2_at(&l2, table),
              entry_get(l2.own.format, l2_at(&l2, table)) & ~(u64)A);
    (void)l2_step(&other, l2_invlpg, linear, 0);
    outcome = l2_step(&other, l2_read, linear, 0);
    check(outcome == SECOND_STAGE && other.exit.gpa == table && other.exit.in_tables &&
              (other.exit.access & WRITE) != 0,
          "T44: unless L2's A must be written: qualification %llx", other.exit.qualification);
    check(l2_step(&l2, l2_read, linear, 0) == SECOND_STAGE, "and the other VMCS still has flags");
    l2_second_set(&l2, table, entry);
    vmx_current(&other);
    vmwrite(EPTP, VMX(&other)->eptp);
}

/* T45 */
static void modification_log(void)
{
    const u64 linear = LIN_DATA + PAGE, gpa = l2_gpa(&l2, linear);
    u64 *log = page_new();
    u32 right = 0;

    (void)l2_step(&l2, l2_write, linear + 8, 0); /* now all tables are dirty */
    vmx_current(&l2);
    vmx_change(SECONDARY, SEC_PML, 0);
    vmwrite(PML_ADDRESS, (word)log);
    vmwrite(PML_INDEX, 511);
    for (u32 i = 0; i < 512; i++) {
        l2_second_set(&l2, gpa, l2_second_get(&l2, gpa) & ~EPT_D);
        right += l2_step(&l2, l2_write, linear + 8, i) == DONE &&
                 vmread(PML_INDEX) == ((510 - i) & 0xffff) && log[511 - i] == gpa;
    }
    check(right == 512, "T45: %u of 512 first writes are logged", right);
    l2_second_set(&l2, gpa, l2_second_get(&l2, gpa) & ~EPT_D);
    check(l2_step(&l2, l2_write, linear + 8, 77) == OTHER && l2.exit.reason == R_PML_FULL &&
              (l2_second_get(&l2, gpa) & EPT_D) == 0 && ((u32 *)l2_at(&l2, gpa))[2] == 511,
          "T45: then the log is full: exit before D is set and before the write");
    log[511] = 0;
    vmwrite(PML_INDEX, 511);
    check(l2_step(&l2, l2_write, linear + 8, 77) == DONE && log[511] == gpa,
          "T45: and logged later");
    vmx_change(SECONDARY, 0, SEC_PML);
}

/* T46: one EPT; `other` has mode-based execute control. */
static void mode_based(void)
{
    static const struct {
        u64 rights;
        bool plain, user, supervisor; /* may fetch: without the control; with it, by kind of page */
    } rows[] = {{EPT_R | EPT_X, true, false, true},
                {EPT_R | EPT_USER_X, false, true, false},
                {EPT_R | EPT_X | EPT_USER_X, true, true, true},
                {EPT_R, false, false, false}};
    const u64 user = LIN_DATA + 4 * PAGE, supervisor = LIN_DATA + PAGE;
    u32 right = 0;

    if ((rdmsr(MSR_VMX_SECONDARY) >> 32 & SEC_MBEC) == 0)
        return;
    vmx_current(&other);
    vmx_change(SECONDARY, SEC_MBEC, 0);
    for (u32 i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        const u64 linear = i % 2 == 0 ? user : supervisor, gpa = l2_gpa(&l2, linear);
        const u64 entry = l2_second_get(&l2, gpa);
        const bool allowed = i % 2 == 0 ? rows[i / 2].user : rows[i / 2].supervisor;

        /* L2's own code, in a user page, needs both */
        l2_second_set(&l2, l2.code, l2_second_get(&l2, l2.code) | EPT_USER_X);
        l2_second_set(&l2, gpa, (entry & ~(u64)(7 | EPT_USER_X)) | rows[i / 2].rights);
        right += l2_step(&l2, l2_call, linear + 16, 0) == (rows[i / 2].plain ? DONE : SECOND_STAGE);
        right += l2_step(&other, l2_call, linear + 16, 0) == (allowed ? DONE : SECOND_STAGE);
        l2_second_set(&l2, gpa, entry);
    }
    check(right == 16, "T46: %u of 16 fetches with mode-based control and without, from one EPT",
          right);
    vmx_current(&other);
    vmx_change(SECONDARY, 0, SEC_MBEC);
}

/* T51, T52 */
static void invalidations(void)
{
    const u64 gpa = l2_gpa(&l2, LIN_DATA), eptp = VMX(&l2)->eptp;
    u64 *entry = tables_entry(&l2.second, gpa, 12);
    const u64 before = *entry;
    u16 vpid;

    (void)l2_value(&l2, LIN_DATA);
    *entry = HPA_LARGE | EPT_RWX;
    check(invept(1, eptp ^ EPTP_AD) && l2_value(&l2, LIN_DATA) == (HPA_LARGE | ACE),
          "T51: INVEPT of one EPTP, whatever its attributes");
    *entry = before;
    check(invept(2, 0) && l2_named(&l2, l2_value(&l2, LIN_DATA), gpa), "T51: INVEPT of all");
    check(failed_with(invept(0, eptp), 28) && failed_with(invept(3, eptp), 28) &&
              failed_with(invept(1, eptp | 0x80), 28) && failed_with(invept(1, eptp ^ 0x10), 28),
          "T51: wrong types and EPTPs: error 28");
    vpid = (u16)vmread(VPID);
    entry_set(l2.own.format, tables_entry(&l2.own, LIN_DATA, 12),
              l2_gpa(&l2, LIN_DATA + 4 * PAGE) | P | W | U);
    check(invvpid(1, vpid, 0) &&
              l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA + 4 * PAGE)),
          "T52: L1 edits L2's table; INVVPID of its VPID");
    entry_set(l2.own.format, tables_entry(&l2.own, LIN_DATA, 12), gpa | P | W | U);
    check(invvpid(0, vpid, LIN_DATA) && l2_named(&l2, l2_value(&l2, LIN_DATA), gpa),
          "T52: of one address");
    check(invvpid(2, 0, 0) && invvpid(3, vpid, 0), "T52: of all, and all but globals");
    check(failed_with(invvpid(0, 0, 0), 28) && failed_with(invvpid(1, 0, 0), 28) &&
              failed_with(invvpid(3, 0, 0), 28) && failed_with(invvpid(4, 1, 0), 28) &&
              failed_with(invvpid(0, 1, BIT(62)), 28),
          "T52: VPID 0, a wrong type, an address that is not canonical: error 28");
}

/* Copies L2's second stage; `gpa` maps to hpa in the copy. Returns its EPTP. */
static u64 copy_of_second(u64 gpa, u64 hpa)
{
    struct tables copy = l2.second;

    tables_new(&copy);
    for (u64 page = GPA_PAGES; page < GPA_PAGES + PAGES * PAGE; page += PAGE)
        if (hpa_of(&l2, page) != 0)
            tables_map(&copy, page, page == gpa ? hpa : hpa_of(&l2, page), 12, EPT_RWX);
    return copy.root | EPTP_WB_4 | EPTP_AD;
}

/* T53 */
static void switching(void)
{
    const u64 gpa = l2_gpa(&l2, LIN_DATA);
    u64 *list = page_new();
    u32 right = 0;

    for (u32 i = 0; i < 8; i++)
        list[i] = copy_of_second(gpa, HPA_LARGE + i * PAGE);
    vmx_current(&l2);
    vmx_change(SECONDARY, SEC_FUNCTIONS, 0);
    vmwrite(VM_FUNCTIONS, 1);
    vmwrite(EPTP_LIST, (word)list);
    for (u32 i = 0; i < 1000; i++) {
        const u32 to = i * 5 % 8;

        if (i % 100 == 99) { /* an edit in the one that comes next */
            struct tables t = l2.second;
            u64 *entry;

            t.root = list[to] & ~(u64)0xfff;
            entry = tables_entry(&t, gpa, 12);
            *entry += 8 * PAGE;
            must(invept(1, list[to]), "INVEPT");
        }
        right += l2_step(&l2, l2_vmfunc, LIN_DATA, to) == DONE &&
                 ((u32)l2.reg[RAX] & (7 * PAGE)) == to * PAGE &&
                 ((u32)l2.reg[RAX] & 0xfff) == ACE && vmread(EPTP) == list[to];
    }
    check(right == 1000, "T53: %u of 1000 switches among 8 EPTPs with VMFUNC", right);
    check(l2_step(&l2, l2_vmfunc, LIN_DATA, 512) == OTHER && l2.exit.reason == R_VMFUNC &&
              l2_step(&l2, l2_vmfunc, LIN_DATA, 8) == OTHER && l2.exit.reason == R_VMFUNC &&
              l2.exit.length == 3,
          "T53: no such entry, and an entry that is no EPTP: exit");
    vmwrite(EPTP, VMX(&l2)->eptp);
    vmx_change(SECONDARY, 0, SEC_FUNCTIONS);
}

/* T33: the root of four levels is a table under a root of five. */
static void five_levels(void)
{
    u64 *root = page_new();
    u32 right = 0;

    if ((rdmsr(MSR_VMX_EPT_VPID) & BIT(7)) == 0)
        return;
    root[0] = l2.second.root | 7;
    vmx_current(&other);
    vmwrite(EPTP, (word)root | 6 | 4 << 3 | EPTP_AD);
    for (u32 i = 0; i < 100; i++) {
        const u64 linear = LIN_DATA + i % DATA_PAGES * PAGE;

        right += l2_named(&l2, l2_value(&l2, linear), l2_gpa(&l2, linear));
        right += l2_named(&l2, l2_value(&other, linear), l2_gpa(&l2, linear));
    }
    check(right == 200, "T33: %u of 200 reads with 4 levels and with the same as part of 5", right);
    vmwrite(EPTP, VMX(&other)->eptp);
}

/* A guest's large pages over small ones of EPT; two guests with one linear address. */
static void splinters(void)
{
    const u64 gpa = BIT(30), linear = BIT(30) + 0x123000;
    struct l2 *guests[] = {&l2, &other};
    u32 right = 0;

    for (u32 i = 0; i < 16; i++)
        tables_map(&l2.second, gpa + 0x120000 + i * PAGE, HPA_LARGE + i * 5 * PAGE, 12, EPT_RWX);
    tables_map(&l2.own, BIT(30), gpa, 30, P | W | U);
    for (u32 i = 0; i < 13; i++)
        right += l2_value(&l2, linear + i * PAGE) == ((HPA_LARGE + (i + 3) * 5 * PAGE) | ACE);
    check(right == 13, "%u of 13 reads in a page of 1 GiB over EPT of 4 KiB", right);
    check(l2_step(&l2, l2_read, BIT(30) + 0x130004, 0) == SECOND_STAGE &&
              l2.exit.gpa == gpa + 0x130004,
          "and an exit where EPT ends");
    l2_new(&other, MODE_64);
    right = 0;
    for (u32 i = 0; i < 100; i++)
        right += l2_named(guests[i % 2], l2_value(guests[i % 2], LIN_DATA),
                          l2_gpa(guests[i % 2], LIN_DATA));
    check(right == 100,
          "%u of 100 reads of one linear address by two guests with VPIDs of their own", right);
}

/* SDM Vol 3C 26.5.7 "Virtualization Exceptions" */
static void virtualization_exception(void)
{
    const u64 linear = LIN_DATA + 6 * PAGE, gpa = l2_gpa(&l2, linear),
              entry = l2_second_get(&l2, gpa);
    u32 *area = page_new();
    const u64 *fields = (const u64 *)area;

    if ((rdmsr(MSR_VMX_SECONDARY) >> 32 & SEC_VE) == 0)
        return;
    vmx_current(&l2);
    vmx_change(SECONDARY, SEC_VE, 0);
    vmwrite(VE_INFORMATION, (word)area);
    l2_second_set(&l2, gpa, 0);
    check(l2_step(&l2, l2_read, linear + 4, 0) == FAULTED && l2_vector(&l2) == 20 &&
              area[0] == R_EPT_VIOLATION && area[1] == ~0u && (fields[1] & 0x1ff) == 0x181 &&
              fields[2] == linear + 4 && fields[3] == gpa + 4,
          "#VE instead of an exit: L2 is told what the violation was");
    check(l2_step(&l2, l2_read, linear, 0) == SECOND_STAGE,
          "not while it has not read the last one");
    area[1] = 0;
    l2_second_set(&l2, gpa, BIT(63));
    check(l2_step(&l2, l2_read, linear, 0) == SECOND_STAGE,
          "and not for an entry that suppresses it");
    l2_second_set(&l2, gpa, entry);
    vmx_change(SECONDARY, 0, SEC_VE);
}

void part_ept(void)
{
    l2_new(&l2, L1_64 ? MODE_64 : MODE_PAE);
    other = l2;
    vendor->create(&other);
    accessed_and_dirty();
    modification_log();
    mode_based();
    invalidations();
    switching();
    virtualization_exception();
    five_levels();
    rights();
    if (L1_64)
        splinters();
}
