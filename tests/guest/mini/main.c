/* SPDX-License-Identifier: MIT */
/*
 * The mini hypervisors: small L1s that run small L2s and check everything they see. The command
 * line names the parts to run; without one, all run, in each paging mode of L1; it can name that
 * too. Leaves
 * through port F4h with the number of failures.
 */
#include "parts.h"
#include "vendor.h"

const struct vendor *vendor;
void mini_main(word info);

static const struct {
    const char *name, *what;
    void (*run)(void);
    const struct vendor *only; /* of one vendor, if not NULL */
    enum { ALWAYS, LONG_MODE, NAMED } when; /* L1 is in 64-bit mode; only if it is named */
} parts[] = {
    {"translate", "two-stage translation", part_translate, NULL},
    {"faults", "what each stage refuses", part_faults, NULL},
    {"pae", "PDPTEs", part_pae, NULL},
    {"second", "the second stage changes", part_second, NULL},
    {"modes", "L2 changes its paging mode", part_modes, NULL},
    {"turns", "L1 and L2 in turns", part_turns, NULL},
    {"roles", "one table or address in several roles", part_roles, NULL},
    {"boot", "L2 from real mode to paging", part_boot, NULL},
    {"shadowed", "L2 without a second stage", part_shadowed, NULL},
    {"ept", "entries, flags, log and switching of EPT", part_ept, &vendor_vmx},
    {"npt", "rights, formats and flushing of NPT", part_npt, &vendor_svm},
    {"checks", "what VM entry refuses", part_checks, &vendor_vmx},
    {"checks", "what VMRUN refuses", part_svm_checks, &vendor_svm},
    {"exits", "instructions that exit", part_exits, &vendor_vmx},
    {"exits", "instructions that exit", part_svm_exits, &vendor_svm},
    {"inject", "exceptions and interrupts into L2, and out of it", part_inject, &vendor_vmx},
    {"inject", "exceptions and interrupts into L2, and out of it", part_svm_inject, &vendor_svm},
    {"timers", "preemption timer, TSC, interrupts while L2 runs", part_timers, &vendor_vmx},
    {"features", "TSC, PAUSE, clean bits, branches, VMLOAD, time", part_svm_features, &vendor_svm},
    {"apic", "APIC virtualization", part_apic, &vendor_vmx},
    {"bluepill", "L1 becomes its own guest", part_bluepill, &vendor_vmx},
    {"bluepill", "L1 becomes its own guest", part_svm_bluepill, &vendor_svm},
    {"smp", "two processors", part_smp, NULL},
    {"nest", "a hypervisor as L2, and its L3", part_nest, &vendor_vmx, LONG_MODE},
    {"nest", "a hypervisor as L2, and its L3", part_svm_nest, &vendor_svm, LONG_MODE},
    {"abort-msr", "VMX abort in loading MSRs", part_abort_msr, &vendor_vmx, NAMED},
    {"abort-pdpte", "VMX abort for L1's PDPTEs", part_abort_pdpte, &vendor_vmx, NAMED},
};

static const struct vendor *const vendors[] = {&vendor_vmx, &vendor_svm};

/* L1's paging modes. Five levels are for a second stage that has them then. */
static const struct pass {
    const char *program, *l1;
    enum l1_paging paging;
} passes[] = {
#ifdef __x86_64__
    {"64", "64-bit", L1_LONG},
    {"64la57", "64-bit, 5 levels", L1_LONG_5},
#else
    {"32np", "32-bit, CR4.PAE=0", L1_32},
    {"32pae", "32-bit, PAE", L1_PAE},
#endif
};

/* Is the word in the text? */
static bool names(const char *text, const char *what)
{
    for (; *text != 0; text++) {
        const char *a = text, *b = what;

        while (*a != 0 && *a == *b)
            a++, b++;
        if (*b == 0 && (*a == 0 || *a == ' '))
            return true;
        while (*text != 0 && text[1] != 0 && *text != ' ')
            text++;
    }
    return false;
}

/* program: of the family, by L1's mode */
static void run_parts(const char *program, const char *l1)
{
    const char *arguments = machine_arguments();
    bool chosen = false;

    for (u32 i = 0; i < ARRAY_SIZE(parts); i++)
        chosen |= names(arguments, parts[i].name);
    if (!chosen && *arguments != 0 && !names(arguments, program)) {
        print("mini: no part is named in \"%s\"\n", arguments);
        failures++;
        return;
    }
    print("mini-%s%s: %s with %s, L1 %s\n", vendor->program, program, vendor->name,
          vendor->second_name, l1);
    for (u32 i = 0; i < ARRAY_SIZE(parts); i++) {
        if ((chosen ? !names(arguments, parts[i].name) : parts[i].when == NAMED) ||
            (parts[i].only != NULL && parts[i].only != vendor) ||
            (parts[i].when == LONG_MODE && !L1_64))
            continue;
        print("== %s: %s (L1 %s)\n", parts[i].name, parts[i].what, l1);
        pages_free();
        l2_pages_free();
        vendor->on();
        parts[i].run();
        vendor->off();
        exits_print();
    }
}

void mini_main(word info)
{
    bool chosen = false;

    machine_init(info);
    for (u32 i = 0; i < ARRAY_SIZE(vendors) && vendor == NULL; i++)
        if (vendors[i]->offered())
            vendor = vendors[i];
    if (vendor == NULL) {
        print("mini: this processor has no virtualization\n");
        failures++;
        leave();
    }
    if (abort_seen())
        leave();
    l2_memory_init();
    for (u32 i = 0; i < ARRAY_SIZE(passes); i++)
        chosen |= names(machine_arguments(), passes[i].program);
    for (u32 i = 0; i < ARRAY_SIZE(passes); i++) {
        if ((chosen && !names(machine_arguments(), passes[i].program)) ||
            (passes[i].paging == L1_LONG_5 && !(vendor->second_as_l1 && l1_has_five_levels())))
            continue;
        l1_set_paging(passes[i].paging);
        run_parts(passes[i].program, passes[i].l1);
    }
    print("mini: %u checks, %u failures\n", checks, failures);
    leave();
}
