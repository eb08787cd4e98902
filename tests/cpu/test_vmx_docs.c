/* SPDX-License-Identifier: MIT */
/*
 * docs/vmx.md says what the tables say. NESTBOX_WRITE_DOCS=1 writes its generated part anew, which
 * is everything from the marker on.
 */
#include "tests/cpu/generated.h"
#include "tests/cpu/vmx_guest.h"

#define DOCUMENT TESTS_FOLDER "/../docs/vmx.md"
#define MARKER "<!-- from here on written by tests/cpu/test_vmx_docs.c -->\n"

static void write_controls(void)
{
    static const char *const words[CONTROLS_COUNT] = {
        [CONTROLS_PIN] = "pin-based",       [CONTROLS_PRIMARY] = "primary",
        [CONTROLS_SECONDARY] = "secondary", [CONTROLS_EXIT] = "VM-exit",
        [CONTROLS_ENTRY] = "VM-entry",
    };

    line("\n## Controls\n\n| word | bit | control | reference |\n|---|---|---|---|\n");
    for (u32 i = 0; i < vmx_control_rows; i++) {
        const struct vmx_control *row = &vmx_control_table[i];

        line("| %s | %u | %s | %s |\n", words[row->word], row->bit, row->name, row->ref);
    }
}

/* A rule on an array of fields is shown with the first of them. */
static u32 first_field(const struct vmx_rule *rule)
{
    u32 i = 0;

    while (rule->members != 0 && (rule->members >> i & 1) == 0)
        i++;
    return rule->field + 2 * i;
}

static void write_rules(const char *title, const struct vmx_rule *rules, u32 count)
{
    line("\n## %s\n\n| rule | field | what must hold | reference |\n|---|---|---|---|\n", title);
    for (u32 i = 0; i < count; i++)
        line("| %s | %04x %s%s | %s | %s |\n", rules[i].name, first_field(&rules[i]),
             vmx_field_find(v, first_field(&rules[i]))->name, rules[i].members != 0 ? ", ..." : "",
             rules[i].text, rules[i].ref);
}

static void write_fields(void)
{
    line("\n## VMCS fields\n\n| encoding | bits | field |\n|---|---|---|\n");
    for (u32 i = 0; i < vmx_fields_count; i++)
        line("| %04x | %u | %s |\n", vmx_fields[i].encoding, 8 * vmx_field_bytes(&vmx_fields[i]),
             vmx_fields[i].name);
}

static void write_msrs(void)
{
    line("\n## Capability MSRs of `-cpu max`\n\n| MSR | value |\n|---|---|\n");
    for (u32 msr = 0x480; msr <= 0x491; msr++)
        line("| %x | %016llx |\n", msr, (unsigned long long)vmx_capability(v, msr));
}

START_TEST(document_says_what_the_tables_say)
{
    write_controls();
    write_msrs();
    write_rules("Rules of VM entry: controls", vmx_control_rules, vmx_control_rules_count);
    write_rules("Rules of VM entry: host state", vmx_host_rules, vmx_host_rules_count);
    write_rules("Rules of VM entry: guest state", vmx_guest_rules, vmx_guest_rules_count);
    write_fields();
    compare_or_write(DOCUMENT, MARKER);
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("docs");

    tcase_add_checked_fixture(tc, vmx_create, guest_destroy);
    tcase_add_test(tc, document_says_what_the_tables_say);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("vmx_docs", add)
