/* SPDX-License-Identifier: MIT */
/* CPUID, CPU models and the value of -cpu. */
#include "cpu/cpu_models.h"
#include "cpu/xstate.h"
#include "guest.h"

static struct cpu_config config;
static struct error error;

static void setup(void)
{
    guest_create("max");
    warnings[0] = '\0';
}

static bool parse(const char *text)
{
    warnings[0] = '\0';
    return cpu_config_parse(&config, text, warn, &error);
}

static bool on(enum cpu_feature feature)
{
    return (config.features[feature / 64] >> (feature % 64) & 1) != 0;
}

START_TEST(every_feature_has_one_row_and_its_own_bit)
{
    for (u32 i = 0; i < feature_table_rows; i++) {
        const struct feature_def *a = &feature_table[i];

        for (u32 j = i + 1; j < feature_table_rows; j++) {
            const struct feature_def *b = &feature_table[j];

            ck_assert_str_ne(a->name, b->name);
            ck_assert_int_ne(a->feature, b->feature);
            ck_assert(a->leaf == FEATURE_HIDDEN || a->leaf != b->leaf || a->subleaf != b->subleaf ||
                      a->reg != b->reg || a->bit != b->bit);
        }
    }
}
END_TEST

START_TEST(every_model_parses_and_shows_its_vendor)
{
    for (u32 i = 0; i < cpu_models_count; i++) {
        struct cpuid_result r;

        ck_assert(parse(cpu_models[i].name));
        ck_assert_str_eq(warnings, "");
        vcpu_configure(v, &config, 0, 1, 0);
        r = cpuid(v, 0, 0);
        ck_assert_mem_eq(&r.ebx, cpu_models[i].vendor, 4);
        ck_assert_mem_eq(&r.edx, cpu_models[i].vendor + 4, 4);
        ck_assert_mem_eq(&r.ecx, cpu_models[i].vendor + 8, 4);
    }
}
END_TEST

START_TEST(switches_change_features)
{
    ck_assert(parse("qemu64,+x2apic,-sse3,tsc_deadline=on,nx=off"));
    ck_assert(on(F_X2APIC));
    ck_assert(!on(F_SSE3));
    ck_assert(on(F_TSC_DEADLINE));
    ck_assert(!on(F_NX));
    ck_assert_str_eq(warnings, "");
}
END_TEST

START_TEST(missing_base_takes_its_dependents_along)
{
    ck_assert(parse("max,-xsave"));
    ck_assert(!on(F_AVX) && !on(F_AVX2) && !on(F_PKU) && !on(F_XSAVES));
    ck_assert(on(F_SSE42));
    ck_assert_str_eq(warnings, ""); /* nobody asked for them by name */
}
END_TEST

START_TEST(feature_asked_for_without_its_base_is_named_with_it)
{
    ck_assert(parse("max,-xsave,avx"));
    ck_assert(!on(F_AVX));
    ck_assert_ptr_nonnull(strstr(warnings, "avx is off, as it needs xsave"));
    ck_assert(parse("max,+gmet"));
    ck_assert(!on(F_GMET));
    ck_assert_ptr_nonnull(strstr(warnings, "gmet is off, as it needs npt"));
    ck_assert(parse("max,+gmet,-gmet"));
    ck_assert_str_eq(warnings, "");
}
END_TEST

START_TEST(unknown_features_warn_and_unknown_models_fail)
{
    ck_assert(parse("max,+frobnicate"));
    ck_assert_ptr_nonnull(strstr(warnings, "frobnicate"));
    ck_assert(parse("max,+gfni"));
    ck_assert_ptr_nonnull(strstr(warnings, "gfni"));
    ck_assert(parse("host,host-phys-bits,migratable=no,kvm=off"));
    ck_assert_str_eq(warnings, "");
    ck_assert(parse("Opteron_G1,vendor=AuthenticAMD"));
    ck_assert_ptr_nonnull(strstr(warnings, "amd-v2"));
    ck_assert(!parse("z80"));
    ck_assert(!parse(""));
    ck_assert(!parse("max,phys-bits=99"));
    ck_assert(!parse("max,vendor=Me"));
    ck_assert(!parse("max,sse=perhaps"));
}
END_TEST

START_TEST(max_with_svm_is_the_amd_model)
{
    ck_assert(parse("max,-npt,+svm"));
    ck_assert_str_eq(config.vendor, "AuthenticAMD");
    ck_assert(on(F_SVM) && !on(F_VMX) && !on(F_NPT) && on(F_NRIP_SAVE));
    ck_assert(parse("max,-svm"));
    ck_assert(on(F_VMX) && !on(F_SVM));
    ck_assert(parse("amd-v2"));
    ck_assert(on(F_SVM) && on(F_NPT));
    ck_assert(parse("amd-v3,-svm"));
    ck_assert(!on(F_NPT) && !on(F_VNMI));
}
END_TEST

START_TEST(no_cpu_has_both_vendors_virtualization)
{
    ck_assert(!parse("amd-v3,+vmx"));
    ck_assert(!parse("max,+svm,+vmx"));
    ck_assert(!parse("intel-v3,+svm"));
    ck_assert(parse("intel-v3,-vmx,+svm"));
}
END_TEST

START_TEST(svm_is_described_where_there_is_svm)
{
    ck_assert(parse("amd-v3"));
    vcpu_configure(v, &config, 0, 1, 0);
    ck_assert_uint_eq(cpuid(v, 0x8000000a, 0).eax, 1);
    ck_assert_uint_ge(cpuid(v, 0x8000000a, 0).ebx, 2);
    ck_assert_uint_eq(cpuid(v, 0x8000000a, 0).edx, 0x120194ff);
    ck_assert(parse("amd-v3,-svm"));
    vcpu_configure(v, &config, 0, 1, 0);
    ck_assert_uint_eq(cpuid(v, 0x8000000a, 0).eax | cpuid(v, 0x8000000a, 0).edx, 0);
}
END_TEST

START_TEST(width_of_addresses_is_reported)
{
    ck_assert(parse("max,phys-bits=43,-la57"));
    vcpu_configure(v, &config, 0, 1, 0);
    ck_assert_int_eq(cpuid(v, 0x80000008, 0).eax, 43 | 48 << 8);
}
END_TEST

START_TEST(tsc_frequency_is_1_ghz)
{
    const struct cpuid_result r = cpuid(v, 0x15, 0);

    ck_assert_int_eq((u64)r.ecx * r.ebx / r.eax, 1000000000);
    ck_assert_int_eq(cpuid(v, 0x16, 0).eax, 1000);
}
END_TEST

START_TEST(bits_that_follow_the_state_do)
{
    ck_assert_int_eq(cpuid(v, 1, 0).ecx >> 27 & 1, 0);
    v->state.cr4 |= CR4_OSXSAVE | CR4_PKE;
    ck_assert_int_eq(cpuid(v, 1, 0).ecx >> 27 & 1, 1);
    ck_assert_int_eq(cpuid(v, 7, 0).ecx >> 4 & 1, 1);
    v->state.xcr0 = 7;
    ck_assert_int_eq(cpuid(v, 0xd, 0).ebx, 576 + 256);
    v->state.misc_enable |= MISC_ENABLE_LIMIT_CPUID;
    ck_assert_int_eq(cpuid(v, 0, 0).eax, 2);
}
END_TEST

START_TEST(xsave_sizes_agree_with_the_area)
{
    ck_assert_int_eq(cpuid(v, 0xd, 0).eax, 0x207);
    ck_assert_int_eq(cpuid(v, 0xd, 0).ecx, xstate_area_bytes(0x207, false));
    ck_assert_int_eq(cpuid(v, 0xd, 2).eax, 256);
    ck_assert_int_eq(cpuid(v, 0xd, 2).ebx, 576);
    ck_assert_int_eq(cpuid(v, 0xd, 9).eax, 8);
    ck_assert_int_eq(cpuid(v, 0xd, 3).eax, 0);
}
END_TEST

START_TEST(topology_counts_the_cpus)
{
    ck_assert(parse("max"));
    vcpu_configure(v, &config, 2, 4, 0);
    ck_assert_int_eq(cpuid(v, 0xb, 1).ebx, 4);
    ck_assert_int_eq(cpuid(v, 0xb, 1).eax, 2);
    ck_assert_int_eq(cpuid(v, 0xb, 2).ecx, 2);
    ck_assert_int_eq(cpuid(v, 1, 0).ebx >> 16 & 0xff, 4);
    ck_assert_int_eq(cpuid(v, 1, 0).edx >> 28 & 1, 1);
}
END_TEST

START_TEST(every_leaf_answers_something)
{
    for (u32 i = 0; i < cpu_models_count; i++) {
        ck_assert(parse(cpu_models[i].name));
        vcpu_configure(v, &config, 0, 8, 0);
        for (u32 leaf = 0; leaf < 0x30; leaf++) {
            for (u32 subleaf = 0; subleaf < 70; subleaf++) {
                (void)cpuid(v, leaf, subleaf);
                (void)cpuid(v, 0x80000000 + leaf, subleaf);
                (void)cpuid(v, 0xfffffff0 + leaf, subleaf * 0x3fffffff);
            }
        }
    }
}
END_TEST

static void add(Suite *suite)
{
    TCase *t = tcase_create("cpuid");

    tcase_add_checked_fixture(t, setup, guest_destroy);
    tcase_add_test(t, every_feature_has_one_row_and_its_own_bit);
    tcase_add_test(t, every_model_parses_and_shows_its_vendor);
    tcase_add_test(t, switches_change_features);
    tcase_add_test(t, missing_base_takes_its_dependents_along);
    tcase_add_test(t, feature_asked_for_without_its_base_is_named_with_it);
    tcase_add_test(t, unknown_features_warn_and_unknown_models_fail);
    tcase_add_test(t, max_with_svm_is_the_amd_model);
    tcase_add_test(t, no_cpu_has_both_vendors_virtualization);
    tcase_add_test(t, svm_is_described_where_there_is_svm);
    tcase_add_test(t, width_of_addresses_is_reported);
    tcase_add_test(t, tsc_frequency_is_1_ghz);
    tcase_add_test(t, bits_that_follow_the_state_do);
    tcase_add_test(t, xsave_sizes_agree_with_the_area);
    tcase_add_test(t, topology_counts_the_cpus);
    tcase_add_test(t, every_leaf_answers_something);
    suite_add_tcase(suite, t);
}

TESTS_MAIN("cpuid", add)
