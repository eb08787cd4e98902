/* SPDX-License-Identifier: MIT */
/* One table, or one address, that is something else in another role of the processor. */
#include "parts.h"
#include "vendor.h"

static struct l2 l2;

/* ---- T26: a last table of L2 or of the second stage is a directory of L1 ---- */

enum { LIN_TABLE = 0x20000000, GPA_TABLE = 0x60000000 };
enum { MIDDLE = PAGE / 2 }; /* of the table: the entry there is L1's directory entry too */

/* Machine pages whose guest-physical address is the same number, for entries that are read as both.
 */
static u64 page_number(u32 n)
{
    return HPA_LARGE + n * PAGE;
}

/* What makes `table` a directory of L1, and where L1 then finds what the entry in the middle leads
 * to. */
struct directory {
    void *entry; /* of L1's tables, which gets */
    u64 value;
    word cr3;
    word linear;
};

static struct directory directory_at(u64 table)
{
    const u64 gib = BIT(30);
    struct directory d = {.cr3 = CR_GET(3)};
    struct tables l1;

    tables_l1(&l1);
    if (l1_paging == L1_32) { /* it is the root; its entries for L1 are not used by L2 */
        memcpy((void *)(word)table, (void *)(word)l1.root, MIDDLE);
        d.cr3 = (word)table;
        d.linear = (word)MIDDLE / 4 << 22;
        return d;
    }
    d.entry = tables_entry(&l1, gib, 30);
    d.value = table | (l1_paging == L1_PAE ? P : P | W);
    d.linear = (word)gib + ((word)MIDDLE / 8 << 21);
    return d;
}

static u32 read_by(const struct directory *d)
{
    const word cr3 = CR_GET(3);
    u64 before = 0;
    u32 value;

    if (d->entry != NULL) {
        before = *(u64 *)d->entry;
        *(u64 *)d->entry = d->value;
    }
    CR_SET(3, d->cr3);
    value = *(volatile u32 *)d->linear;
    if (d->entry != NULL)
        *(u64 *)d->entry = before;
    CR_SET(3, cr3);
    return value;
}

/*
 * Of `tables`, the last table for `address`, which L2 reads at LIN_TABLE. L1 stores to it many
 * times, first without a use of it at all, then with uses as its own directory only.
 */
static void last_table_is_directory(const struct tables *tables, u64 address, u64 flags)
{
    struct tables l1;
    char *table;
    struct directory d;
    const u32 entry = tables->format->entry;
    u32 right = 0;

    tables_l1(&l1);
    table = (char *)((word)tables_entry(tables, address, 12) & ~(word)(PAGE - 1));
    d = directory_at((word)table);
    for (u32 i = 1; i <= 2; i++) { /* two tables for the directory */
        memset((void *)(word)page_number(i), 0, PAGE);
        entry_set(l1.format, (void *)(word)page_number(i), page_number(2 + i) | P | W);
    }
    for (u32 round = 0; round < 8; round++) {
        const u64 linear = LIN_TABLE + (u64)(MIDDLE / entry) * PAGE;
        u32 n = 0;

        for (u32 i = 0; i < 12; i++)
            entry_set(tables->format, table + MIDDLE + 8, page_number(5 + (i ^ round)) | flags);
        for (u32 i = 0; i < 12; i++) {
            n = 1 + (round + i) % 2;
            entry_set(tables->format, table + MIDDLE, page_number(n) | flags);
            right += read_by(&d) == (u32)page_number(2 + n) + ACE;
        }
        vendor->flush(&l2);
        right += l2_value(&l2, linear) == (u32)entry_get(l1.format, (void *)(word)page_number(n));
        right +=
            l2_value(&l2, linear + 8 / entry * PAGE) == (u32)page_number(5 + (11 ^ round)) + ACE;
    }
    check(right == 112, "T26: L2 %s: a last table of its %s is a directory of L1: %u of 112 reads",
          mode_names[l2.mode], tables == &l2.own ? "own" : vendor->second_name, right);
    for (u32 i = 1; i <= 2; i++)
        name_page(page_number(i));
}

static void tables_are_directories(enum mode mode)
{
    const u32 shift = mode == MODE_32 ? 22 : 21;

    l2_pages_free();
    l2_new(&l2, mode);
    tables_map(&l2.second, GPA_TABLE, page_number(0), 12, vendor->second_rwx);
    for (u32 at = 0; at < BIT(22); at += 1u << shift)
        tables_map(&l2.own, LIN_TABLE + at, GPA_TABLE + at, shift, P | W | U);
    last_table_is_directory(&l2.second, GPA_TABLE, vendor->second_rwx);
    l2_new(&l2, mode);
    for (u32 i = 0; i < 32; i++)
        tables_map(&l2.second, page_number(i), page_number(i), 12, vendor->second_rwx);
    tables_map(&l2.own, LIN_TABLE, page_number(0), 12, P | W | U);
    last_table_is_directory(&l2.own, LIN_TABLE, P | W | U);
}

/* ---- T27: SMM has another memory map ---- */

/*
 * Where SMM's code is, for SMM alone: firmware has put RSM there (SMBASE A0000h, SDM Vol 3C 32.4.1
 * "SMRAM"), and nobody else can. All linear addresses for it here are the same.
 */
enum { SMM_CODE = 0xa8000, LIN_APIC = 0x00ca0000, GPA_APIC = 0x009ff000, SEND_SMI = 2 << 8 };
enum { RSM = 0xaa0f };

static u64 send_from_l1(u32 command)
{
    const u64 before = rdtsc();

    *apic(APIC_ICR) = command;
    return rdtsc() - before;
}

static u32 seen_by_l1(void)
{
    return *(volatile u32 *)SMM_CODE;
}

static void smram_is_hidden(enum mode mode)
{
    const u32 there = seen_by_l1();
    u32 right = 0;
    u64 gpa;

    l2_pages_free();
    l2_new(&l2, mode);
    tables_map(&l2.second, GPA_APIC, 0xfee00000, 12, vendor->second_rwx);
    tables_map(&l2.second, SMM_CODE, SMM_CODE, 12, vendor->second_rwx);
    tables_map(&l2.own, LIN_APIC, GPA_APIC, 12, P | W);
    tables_map(&l2.own, SMM_CODE, SMM_CODE, 12, P | W | U);
    l2_reset(&l2, mode, 0);
    gpa = l2_gpa(&l2, LIN_DATA);
    *apic(APIC_ICR_HIGH) = *apic(APIC_ID);
    must(send_from_l1(SEND_SMI) > send_from_l1(0), "an SMI takes time");
    for (u32 i = 0; i < 50; i++) {
        (void)send_from_l1(SEND_SMI);
        right += seen_by_l1() == there;
        right += l2_step(&l2, l2_write, LIN_APIC + APIC_ICR, SEND_SMI) == DONE;
        right += l2_value(&l2, SMM_CODE) == there;
        right += l2_named(&l2, l2_value(&l2, LIN_DATA), gpa);
    }
    check((u16)there != RSM && right == 200,
          "T27: L2 %s: SMIs in L1 and L2, which see nothing of SMRAM: %u of 200", mode_names[mode],
          right);
}

void part_roles(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        tables_are_directories(mode);
        smram_is_hidden(mode);
    }
}
