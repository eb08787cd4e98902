/* SPDX-License-Identifier: MIT */
/*
 * docs/svm.md says what the tables say. NESTBOX_WRITE_DOCS=1 writes its generated part anew, which
 * is everything from the marker on.
 */
#include "cpu/cpu_models.h"
#include "cpu/msr.h"
#include "cpu/svm/exits.h"
#include "tests/cpu/generated.h"
#include "tests/cpu/svm_guest.h"

#define DOCUMENT TESTS_FOLDER "/../docs/svm.md"
#define MARKER "<!-- from here on written by tests/cpu/test_svm_docs.c -->\n"

static void write_features(void)
{
    line("\n## CPUID Fn8000_000A EDX of the `amd-*` models\n\n| bit | `-cpu` feature "
         "|\n|---|---|\n");
    for (u32 i = 0; i < feature_table_rows; i++) {
        if (feature_table[i].leaf == 0x8000000a)
            line("| %u | %s |\n", feature_table[i].bit, feature_table[i].name);
    }
}

static void write_msrs(void)
{
    line("\n## MSRs\n\n| MSR | name | reference |\n|---|---|---|\n");
    for (u32 i = 0; i < msr_table_rows; i++) {
        const struct msr_def *row = &msr_table[i];

        if (row->feature == F_SVM || row->feature == F_SVM_LOCK || row->feature == F_TSC_SCALE)
            line("| %08x | %s | %s |\n", row->index, row->name, row->ref);
    }
}

static void write_rules(void)
{
    line("\n## What makes VMRUN end with #VMEXIT(INVALID)\n\n"
         "| rule | it must be so that | VMCB offset | reference |\n|---|---|---|---|\n");
    for (u32 i = 0; i < svm_rules_count; i++)
        line("| %s | %s | %03x %s | %s |\n", svm_rules[i].name, svm_rules[i].words,
             svm_rules[i].field, vmcb_field_find(svm_rules[i].field)->name, svm_rules[i].ref);
}

static const char *words(const char *info)
{
    return info != NULL ? info : "";
}

static void write_exits(void)
{
    line("\n## Exit codes\n\n"
         "| code | VMEXIT_ | word.bit | EXITINFO1 | EXITINFO2 | reference |\n"
         "|---|---|---|---|---|---|\n");
    for (u32 i = 0; i < svm_exits_count; i++) {
        const struct svm_exit_row *row = &svm_exits[i];
        const u32 last = row->code + row->count - 1;

        if (row->code == (u32)SVM_EXIT_INVALID)
            line("| -1 |");
        else if (row->count > 1)
            line("| %03x-%03x |", row->code, last);
        else
            line("| %03x |", row->code);
        line(" %s |", row->name);
        if (row->code > SVM_EXIT_LAST_INTERCEPT)
            line(" |");
        else if (row->count > 1)
            line(" %u.%u-%u |", row->code / 32, row->code % 32, last % 32);
        else
            line(" %u.%u |", row->code / 32, row->code % 32);
        line(" %s | %s | %s |\n", words(row->info1), words(row->info2), row->ref);
    }
}

static void write_fields(void)
{
    line("\n## VMCB fields\n\n| offset | bytes | field | reference |\n|---|---|---|---|\n");
    for (u32 i = 0; i < vmcb_fields_count; i++)
        line("| %03x | %u | %s | %s |\n", vmcb_fields[i].offset, vmcb_fields[i].size,
             vmcb_fields[i].name, vmcb_fields[i].ref);
}

START_TEST(document_says_what_the_tables_say)
{
    write_features();
    write_msrs();
    write_rules();
    write_exits();
    write_fields();
    compare_or_write(DOCUMENT, MARKER);
}
END_TEST

/* Each code that an intercept has is in the table once. */
START_TEST(every_exit_code_has_one_row)
{
    for (u32 i = 1; i < svm_exits_count; i++)
        ck_assert_uint_ge(svm_exits[i].code, svm_exits[i - 1].code + svm_exits[i - 1].count);
    ck_assert_str_eq(svm_exit_find(0x18)->name, "CR0_WRITE");
    ck_assert_str_eq(svm_exit_find(0x400)->name, "NPF");
    ck_assert_ptr_null(svm_exit_find(0x401));
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("docs");

    tcase_add_checked_fixture(tc, svm_create, guest_destroy);
    tcase_add_test(tc, document_says_what_the_tables_say);
    tcase_add_test(tc, every_exit_code_has_one_row);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("svm_docs", add)
