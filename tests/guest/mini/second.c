/* SPDX-License-Identifier: MIT */
/* L1 changes the second stage under a running L2, and L2 its paging mode on top of it. */
#include "parts.h"
#include "vendor.h"

static struct l2 l2;

/* T20: the last entry is rewritten and flushed again and again. */
static void rewrite_entries(enum mode mode)
{
    u32 right = 0;
    u64 gpa;

    l2_new(&l2, mode);
    gpa = l2_gpa(&l2, LIN_DATA);
    for (u32 i = 0; i < 100; i++) {
        const u64 hpa = HPA_LARGE + (i * 7 % 64) * PAGE;

        l2_second_set(&l2, gpa, hpa | vendor->second_rwx);
        right += l2_value(&l2, LIN_DATA) == (hpa | ACE);
    }
    check(right == 100, "T20: L2 %s: %u of 100 changes of the last entry are seen",
          mode_names[mode], right);
}

/* T55: the pages that a translation goes through move, one after the other. */
static void move_pages(enum mode mode)
{
    struct walk w;

    l2_new(&l2, mode);
    tables_walk(&l2.own, LIN_DATA, &w);
    (void)l2_value(&l2, LIN_DATA);
    l2_move(&l2, w.to);
    name_page(hpa_of(&l2, w.to));
    check(l2_named(&l2, l2_value(&l2, LIN_DATA), w.to), "T55: L2 %s: its page moves",
          mode_names[mode]);
    for (u32 i = w.steps; i-- > 0;) {
        l2_move(&l2, w.step[i].at);
        check(l2_named(&l2, l2_value(&l2, LIN_DATA), w.to), "T55: and its %s", w.step[i].level);
    }
    /* L2 edits a table that has moved: a new entry, and an old one after INVLPG */
    l2_step(&l2, l2_invlpg, LIN_DATA, 0);
    entry_set(l2.own.format, tables_entry(&l2.own, LIN_DATA, 12),
              l2_gpa(&l2, LIN_DATA + PAGE) | P | W | U);
    (void)l2_step(&l2, l2_invlpg, LIN_DATA, 0);
    check(l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA + PAGE)),
          "an entry of the moved table changes; INVLPG in L2");
}

/* T02 under a second stage: all four GiB, and both halves of what a table of 1024 entries maps. */
static void everywhere(enum mode mode)
{
    u32 right = 0;

    l2_new(&l2, mode);
    for (u32 i = 0; i < 8; i++)
        tables_map(&l2.own, (u64)(i / 2) << 30 | (i % 2) << 21 | LIN_DATA,
                   l2_gpa(&l2, LIN_DATA + i * PAGE), 12, P | W | U);
    l2_reset(&l2, mode, 0); /* PDPTEs */
    for (u32 i = 0; i < 16; i++) {
        const u64 linear = (u64)(i % 8 / 2) << 30 | (i % 2) << 21 | LIN_DATA;

        right += l2_named(&l2, l2_value(&l2, linear), l2_gpa(&l2, LIN_DATA + i % 8 * PAGE));
    }
    check(right == 16, "T02: L2 %s: %u of 16 reads in all four GiB", mode_names[mode], right);
}

/*
 * T31: an entry for a large page at some frame becomes one for a table in that same frame. Only
 * here do guest-physical and machine addresses agree, so that one number is both.
 */
static void page_becomes_table(enum mode mode)
{
    enum { LIN = 0x02000000, GPA = HPA_LARGE, OFFSET = 5 * PAGE };
    const u32 shift = mode == MODE_32 ? 22 : 21;
    struct tables table;
    u64 large;
    bool good;

    l2_new(&l2, mode);
    for (u32 i = 0; i < 16; i++)
        tables_map(&l2.second, GPA + i * PAGE, HPA_LARGE + i * PAGE, 12, vendor->second_rwx);
    tables_map(&l2.own, LIN, GPA, shift, P | W | U);
    large = entry_get(l2.own.format, tables_entry(&l2.own, LIN, shift));
    good = l2_value(&l2, LIN + OFFSET) == ((HPA_LARGE + OFFSET) | ACE);
    memset(l2_at(&l2, GPA), 0, PAGE);
    table = l2.own;
    entry_set(table.format, tables_entry(&l2.own, LIN, shift), GPA | P | W | U);
    tables_map(&table, LIN + OFFSET, l2_gpa(&l2, LIN_DATA), 12, P | W | U);
    (void)l2_step(&l2, l2_invlpg, LIN + OFFSET, 0);
    good &= l2_named(&l2, l2_value(&l2, LIN + OFFSET), l2_gpa(&l2, LIN_DATA));
    entry_set(table.format, tables_entry(&l2.own, LIN, shift), large);
    (void)l2_step(&l2, l2_invlpg, LIN + OFFSET, 0);
    good &= l2_value(&l2, LIN + OFFSET) == ((HPA_LARGE + OFFSET) | ACE);
    name_page(HPA_LARGE);
    check(good, "T31: L2 %s: a large page, a table in its first frame, and the page again",
          mode_names[mode]);
}

/* T28: L1 and L2 in turns. The counters of the run say that nothing is built after the first. */
void part_turns(void)
{
    u32 right = 0;

    l2_new(&l2, MODE_32);
    for (u32 i = 0; i < 1000; i++)
        right += l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA));
    check(right == 1000, "T28: %u of 1000 turns are right", right);
}

/* L2 goes on with the tables of another guest, whose pages it has too. */
static void change_to(const struct l2 *other, enum mode mode)
{
    l2.own.format = other->own.format;
    l2.own.root = other->own.root;
    l2.code = other->code;
    l2_reset(&l2, mode, 0);
}

/* One last table under PAE and 4-level tables: bit 52 is reserved in the one, ignored in the other.
 */
static void one_table_two_formats(const struct l2 *pae, const struct l2 *wide)
{
    u64 *last, directory;
    bool good = true;

    change_to(wide, MODE_64);
    directory = entry_get(l2.own.format, tables_entry(&l2.own, LIN_DATA, 21));
    last = tables_entry(&l2.own, LIN_DATA, 12);
    *last |= BIT(52);
    change_to(pae, MODE_PAE);
    entry_set(l2.own.format, tables_entry(&l2.own, LIN_DATA, 21), directory);
    for (u32 i = 0; i < 4; i++) {
        change_to(wide, MODE_64);
        good &= l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA));
        change_to(pae, MODE_PAE);
        good &= l2_value(&l2, LIN_DATA + PAGE) != 0; /* the table is known in this mode too */
        good &= l2_page_fault(&l2, l2_step(&l2, l2_read, LIN_DATA, 0), 9, LIN_DATA);
    }
    *last &= ~BIT(52);
    (void)l2_step(&l2, l2_invlpg, LIN_DATA, 0);
    good &= l2_named(&l2, l2_value(&l2, LIN_DATA), l2_gpa(&l2, LIN_DATA));
    check(good, "one table under PAE and 4-level tables: a bit is reserved for the one only");
}

/* T21, T24: one second stage, tables of every mode side by side on top of it. */
void part_modes(void)
{
    static struct l2 other[3];
    u32 right = 0, expected = 0;

    l2_new(&l2, MODE_32);
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        struct l2 *o = &other[mode - MODE_32];

        l2_new(o, mode);
        /* all pages of the other guest at the same place in this one */
        for (u64 gpa = GPA_PAGES; gpa < GPA_PAGES + PAGES * PAGE; gpa += PAGE)
            if (hpa_of(o, gpa) != 0)
                tables_map(&l2.second, gpa, hpa_of(o, gpa), 12, vendor->second_rwx);
    }
    for (u32 i = 0; i < 40; i++) {
        static const enum mode order[] = {MODE_FLAT, MODE_32, MODE_PAE, MODE_64, MODE_PAE, MODE_32};
        const enum mode mode = order[i % ARRAY_SIZE(order)];
        const struct l2 *o = mode == MODE_FLAT ? &other[0] : &other[mode - MODE_32];
        u64 linear = LIN_DATA + (i % DATA_PAGES) * PAGE, gpa;

        if (mode > l2_last_mode())
            continue;
        change_to(o, mode);
        gpa = l2_gpa(&l2, linear);
        right += l2_named(&l2, l2_value(&l2, mode == MODE_FLAT ? gpa : linear), gpa);
        expected++;
    }
    check(right == expected,
          "T21: %u of %u reads while L2 changes its mode: none, 32-bit, PAE, 64-bit", right,
          expected);
    if (l2_last_mode() == MODE_64)
        one_table_two_formats(&other[MODE_PAE - MODE_32], &other[MODE_64 - MODE_32]);
}

void part_second(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        rewrite_entries(mode);
        move_pages(mode);
        page_becomes_table(mode);
        everywhere(mode);
    }
}
