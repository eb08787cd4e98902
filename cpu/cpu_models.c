/* SPDX-License-Identifier: MIT */
/*
 * CPU models as const tables. The x86-64 levels are those of the psABI. Families and models are
 * ones without errata that kernels work around: AMD 19H/61H (Zen 4), and Intel 6/9FH, a number that
 * no product has, so that no driver for a product's own registers binds to it.
 */
#include "cpu/cpu_models.h"

/* clang-format off */
#define HIDDEN FEATURE_HIDDEN, 0, 0, 0

const struct feature_def feature_table[] = {
    {F_FPU, "fpu", NULL, 1, 0, CPUID_EDX, 0},
    {F_VME, "vme", NULL, 1, 0, CPUID_EDX, 1},
    {F_DE, "de", NULL, 1, 0, CPUID_EDX, 2},
    {F_PSE, "pse", NULL, 1, 0, CPUID_EDX, 3},
    {F_TSC, "tsc", NULL, 1, 0, CPUID_EDX, 4},
    {F_MSR, "msr", NULL, 1, 0, CPUID_EDX, 5},
    {F_PAE, "pae", NULL, 1, 0, CPUID_EDX, 6},
    {F_MCE, "mce", NULL, 1, 0, CPUID_EDX, 7},
    {F_CX8, "cx8", NULL, 1, 0, CPUID_EDX, 8},
    {F_APIC, "apic", NULL, 1, 0, CPUID_EDX, 9},
    {F_SEP, "sep", NULL, 1, 0, CPUID_EDX, 11},
    {F_MTRR, "mtrr", NULL, 1, 0, CPUID_EDX, 12},
    {F_PGE, "pge", NULL, 1, 0, CPUID_EDX, 13},
    {F_MCA, "mca", NULL, 1, 0, CPUID_EDX, 14},
    {F_CMOV, "cmov", NULL, 1, 0, CPUID_EDX, 15},
    {F_PAT, "pat", NULL, 1, 0, CPUID_EDX, 16},
    {F_PSE36, "pse36", NULL, 1, 0, CPUID_EDX, 17},
    {F_CLFLUSH, "clflush", "clfsh", 1, 0, CPUID_EDX, 19},
    {F_MMX, "mmx", NULL, 1, 0, CPUID_EDX, 23},
    {F_FXSR, "fxsr", NULL, 1, 0, CPUID_EDX, 24},
    {F_SSE, "sse", NULL, 1, 0, CPUID_EDX, 25, .needs = F_FXSR},
    {F_SSE2, "sse2", NULL, 1, 0, CPUID_EDX, 26, .needs = F_SSE},
    {F_SS, "ss", NULL, 1, 0, CPUID_EDX, 27},
    {F_HTT, "ht", "htt", 1, 0, CPUID_EDX, 28},
    {F_SSE3, "pni", "sse3", 1, 0, CPUID_ECX, 0, .needs = F_SSE2},
    {F_PCLMUL, "pclmulqdq", "pclmuldq", 1, 0, CPUID_ECX, 1, .needs = F_SSE2},
    {F_MONITOR, "monitor", NULL, 1, 0, CPUID_ECX, 3},
    {F_SSSE3, "ssse3", NULL, 1, 0, CPUID_ECX, 9, .needs = F_SSE3},
    {F_FMA, "fma", NULL, 1, 0, CPUID_ECX, 12, .needs = F_AVX},
    {F_CX16, "cx16", NULL, 1, 0, CPUID_ECX, 13},
    {F_PCID, "pcid", NULL, 1, 0, CPUID_ECX, 17, .needs = F_LM},
    {F_SSE41, "sse4.1", "sse4-1", 1, 0, CPUID_ECX, 19, .needs = F_SSSE3},
    {F_SSE42, "sse4.2", "sse4-2", 1, 0, CPUID_ECX, 20, .needs = F_SSE41},
    {F_X2APIC, "x2apic", NULL, 1, 0, CPUID_ECX, 21},
    {F_MOVBE, "movbe", NULL, 1, 0, CPUID_ECX, 22},
    {F_POPCNT, "popcnt", NULL, 1, 0, CPUID_ECX, 23},
    {F_TSC_DEADLINE, "tsc-deadline", NULL, 1, 0, CPUID_ECX, 24},
    {F_AES, "aes", NULL, 1, 0, CPUID_ECX, 25, .needs = F_SSE2},
    {F_XSAVE, "xsave", NULL, 1, 0, CPUID_ECX, 26, .needs = F_FXSR},
    {F_AVX, "avx", NULL, 1, 0, CPUID_ECX, 28, .needs = F_XSAVE},
    {F_F16C, "f16c", NULL, 1, 0, CPUID_ECX, 29, .needs = F_AVX},
    {F_RDRAND, "rdrand", NULL, 1, 0, CPUID_ECX, 30},
    {F_HYPERVISOR, "hypervisor", NULL, 1, 0, CPUID_ECX, 31},
    {F_VMX, "vmx", NULL, 1, 0, CPUID_ECX, 5, .needs = F_PAE},
    {F_ARAT, "arat", NULL, 6, 0, CPUID_EAX, 2},
    {F_FSGSBASE, "fsgsbase", NULL, 7, 0, CPUID_EBX, 0},
    {F_TSC_ADJUST, "tsc-adjust", NULL, 7, 0, CPUID_EBX, 1},
    {F_BMI1, "bmi1", NULL, 7, 0, CPUID_EBX, 3},
    {F_AVX2, "avx2", NULL, 7, 0, CPUID_EBX, 5, .needs = F_AVX},
    {F_SMEP, "smep", NULL, 7, 0, CPUID_EBX, 7},
    {F_BMI2, "bmi2", NULL, 7, 0, CPUID_EBX, 8},
    {F_ERMS, "erms", NULL, 7, 0, CPUID_EBX, 9},
    {F_INVPCID, "invpcid", NULL, 7, 0, CPUID_EBX, 10},
    {F_RDSEED, "rdseed", NULL, 7, 0, CPUID_EBX, 18},
    {F_ADX, "adx", NULL, 7, 0, CPUID_EBX, 19},
    {F_SMAP, "smap", NULL, 7, 0, CPUID_EBX, 20},
    {F_CLFLUSHOPT, "clflushopt", NULL, 7, 0, CPUID_EBX, 23},
    {F_CLWB, "clwb", NULL, 7, 0, CPUID_EBX, 24},
    {F_SHA, "sha-ni", "sha", 7, 0, CPUID_EBX, 29, .needs = F_SSE2},
    {F_UMIP, "umip", NULL, 7, 0, CPUID_ECX, 2},
    {F_PKU, "pku", NULL, 7, 0, CPUID_ECX, 3, .needs = F_XSAVE},
    {F_GFNI, "gfni", NULL, 7, 0, CPUID_ECX, 8, .later = true},
    {F_VAES, "vaes", NULL, 7, 0, CPUID_ECX, 9, .later = true},
    {F_VPCLMUL, "vpclmulqdq", NULL, 7, 0, CPUID_ECX, 10, .later = true},
    {F_LA57, "la57", NULL, 7, 0, CPUID_ECX, 16, .needs = F_LM},
    {F_RDPID, "rdpid", NULL, 7, 0, CPUID_ECX, 22},
    {F_PKS, "pks", NULL, 7, 0, CPUID_ECX, 31, .needs = F_LM},
    {F_FSRM, "fsrm", NULL, 7, 0, CPUID_EDX, 4},
    {F_SPEC_CTRL, "spec-ctrl", NULL, 7, 0, CPUID_EDX, 26},
    {F_STIBP, "stibp", NULL, 7, 0, CPUID_EDX, 27, .needs = F_SPEC_CTRL},
    {F_BHI_CTRL, "bhi-ctrl", NULL, 7, 2, CPUID_EDX, 4, .needs = F_SPEC_CTRL},
    {F_ARCH_CAPABILITIES, "arch-capabilities", NULL, 7, 0, CPUID_EDX, 29},
    {F_XSAVEOPT, "xsaveopt", NULL, 0xd, 1, CPUID_EAX, 0, .needs = F_XSAVE},
    {F_XSAVEC, "xsavec", NULL, 0xd, 1, CPUID_EAX, 1, .needs = F_XSAVE},
    {F_XGETBV1, "xgetbv1", NULL, 0xd, 1, CPUID_EAX, 2, .needs = F_XSAVE},
    {F_XSAVES, "xsaves", NULL, 0xd, 1, CPUID_EAX, 3, .needs = F_XSAVEC},
    {F_LAHF, "lahf-lm", NULL, 0x80000001, 0, CPUID_ECX, 0},
    {F_SVM, "svm", NULL, 0x80000001, 0, CPUID_ECX, 2, .needs = F_PAE},
    {F_CR8_LEGACY, "cr8legacy", NULL, 0x80000001, 0, CPUID_ECX, 4},
    {F_LZCNT, "abm", "lzcnt", 0x80000001, 0, CPUID_ECX, 5},
    {F_PREFETCHW, "3dnowprefetch", NULL, 0x80000001, 0, CPUID_ECX, 8},
    {F_SYSCALL, "syscall", NULL, 0x80000001, 0, CPUID_EDX, 11},
    {F_NX, "nx", "xd", 0x80000001, 0, CPUID_EDX, 20},
    {F_MMXEXT, "mmxext", NULL, 0x80000001, 0, CPUID_EDX, 22},
    {F_FXSR_OPT, "fxsr-opt", "ffxsr", 0x80000001, 0, CPUID_EDX, 25},
    {F_GBPAGES, "pdpe1gb", NULL, 0x80000001, 0, CPUID_EDX, 26, .needs = F_LM},
    {F_RDTSCP, "rdtscp", NULL, 0x80000001, 0, CPUID_EDX, 27},
    {F_LM, "lm", "i64", 0x80000001, 0, CPUID_EDX, 29, .needs = F_PAE},
    {F_NPT, "npt", NULL, 0x8000000a, 0, CPUID_EDX, 0, .needs = F_SVM},
    {F_LBRV, "lbrv", NULL, 0x8000000a, 0, CPUID_EDX, 1, .needs = F_SVM},
    {F_SVM_LOCK, "svm-lock", NULL, 0x8000000a, 0, CPUID_EDX, 2, .needs = F_SVM},
    {F_NRIP_SAVE, "nrip-save", NULL, 0x8000000a, 0, CPUID_EDX, 3, .needs = F_SVM},
    {F_TSC_SCALE, "tsc-scale", NULL, 0x8000000a, 0, CPUID_EDX, 4, .needs = F_SVM},
    {F_VMCB_CLEAN, "vmcb-clean", NULL, 0x8000000a, 0, CPUID_EDX, 5, .needs = F_SVM},
    {F_FLUSH_ASID, "flushbyasid", NULL, 0x8000000a, 0, CPUID_EDX, 6, .needs = F_SVM},
    {F_DECODE_ASSISTS, "decodeassists", NULL, 0x8000000a, 0, CPUID_EDX, 7, .needs = F_SVM},
    {F_PAUSE_FILTER, "pause-filter", NULL, 0x8000000a, 0, CPUID_EDX, 10, .needs = F_SVM},
    {F_PAUSE_THRESHOLD, "pfthreshold", NULL, 0x8000000a, 0, CPUID_EDX, 12, .needs = F_PAUSE_FILTER},
    {F_V_VMLOAD, "v-vmsave-vmload", NULL, 0x8000000a, 0, CPUID_EDX, 15, .needs = F_NPT},
    {F_VGIF, "vgif", NULL, 0x8000000a, 0, CPUID_EDX, 16, .needs = F_SVM},
    {F_GMET, "gmet", NULL, 0x8000000a, 0, CPUID_EDX, 17, .needs = F_NPT},
    {F_VNMI, "vnmi", NULL, 0x8000000a, 0, CPUID_EDX, 25, .needs = F_SVM},
    {F_SVME_ADDR_CHECK, "svme-addr-chk", NULL, 0x8000000a, 0, CPUID_EDX, 28, .needs = F_SVM},
    {F_INVARIANT_TSC, "invtsc", NULL, 0x80000007, 0, CPUID_EDX, 8},
    {F_CLZERO, "clzero", NULL, 0x80000008, 0, CPUID_EBX, 0},
    {F_XSAVEERPTR, "xsaveerptr", NULL, 0x80000008, 0, CPUID_EBX, 2},
    {F_RDPRU, "rdpru", NULL, 0x80000008, 0, CPUID_EBX, 4},
    {F_AUTOIBRS, "auto-ibrs", NULL, 0x80000021, 0, CPUID_EAX, 8},
    {F_NOPL, "nopl", NULL, HIDDEN},
};
const u32 feature_table_rows = ARRAY_SIZE(feature_table);

#define PENTIUM \
    F_FPU, F_VME, F_DE, F_PSE, F_TSC, F_MSR, F_MCE, F_CX8
#define PENTIUM_PRO \
    PENTIUM, F_PAE, F_APIC, F_SEP, F_MTRR, F_PGE, F_MCA, F_CMOV, F_PAT, F_PSE36, F_NOPL

static const u8 set_base[] = {F_FPU, F_ALWAYS};
static const u8 set_i686[] = {PENTIUM_PRO, F_MMX, F_FXSR, F_SSE, F_ALWAYS};
static const u8 set_v1[] = {
    PENTIUM_PRO, F_MMX, F_FXSR, F_SSE, F_SSE2, F_CLFLUSH, F_SYSCALL, F_LM, F_NX, F_ALWAYS};
/* What every 64-bit model of either vendor has beyond its level. */
static const u8 set_common[] = {
    F_CX16, F_LAHF, F_RDTSCP, F_GBPAGES, F_X2APIC, F_ARAT, F_INVARIANT_TSC, F_PREFETCHW,
    F_MONITOR, F_ALWAYS};
static const u8 set_intel[] = {
    F_PCID, F_INVPCID, F_TSC_DEADLINE, F_TSC_ADJUST, F_ARCH_CAPABILITIES, F_SPEC_CTRL, F_STIBP,
    F_BHI_CTRL, F_VMX, F_ALWAYS};
static const u8 set_amd[] = {
    F_MMXEXT, F_FXSR_OPT, F_CR8_LEGACY, F_CLZERO, F_XSAVEERPTR, F_RDPRU, F_AUTOIBRS, F_ALWAYS};
static const u8 set_svm[] = {
    F_SVM, F_NPT, F_LBRV, F_SVM_LOCK, F_NRIP_SAVE, F_TSC_SCALE, F_VMCB_CLEAN, F_FLUSH_ASID,
    F_DECODE_ASSISTS, F_PAUSE_FILTER, F_PAUSE_THRESHOLD, F_V_VMLOAD, F_VGIF, F_VNMI,
    F_SVME_ADDR_CHECK, F_ALWAYS};
static const u8 set_v2[] = {F_SSE3, F_SSSE3, F_SSE41, F_SSE42, F_POPCNT, F_ALWAYS};
static const u8 set_v3[] = {
    F_SSE3, F_SSSE3, F_SSE41, F_SSE42, F_POPCNT, F_XSAVE, F_XSAVEOPT, F_XSAVEC, F_XGETBV1,
    F_XSAVES, F_AVX, F_AVX2, F_FMA, F_F16C, F_BMI1, F_BMI2, F_LZCNT, F_MOVBE, F_ERMS, F_FSGSBASE,
    F_SMEP, F_SMAP, F_RDRAND, F_RDSEED, F_AES, F_PCLMUL, F_ADX, F_ALWAYS};
static const u8 set_built[] = {
    F_SHA, F_UMIP, F_PKU, F_PKS, F_LA57, F_RDPID, F_FSRM, F_CLFLUSHOPT, F_CLWB, F_ALWAYS};
static const u8 set_amd_built[] = {F_PCID, F_INVPCID, F_TSC_ADJUST, F_GMET, F_ALWAYS};
static const u8 set_qemu64[] = {F_SSE3, F_CX16, F_LAHF, F_X2APIC, F_ALWAYS};

#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"
#define INTEL_SIGNATURE 0x906f1
#define AMD_SIGNATURE 0xa60f12
#define INTEL_UCODE ((u64)0x3e << 32)
#define AMD_UCODE ((u64)0xa60120e)

const struct cpu_model cpu_models[] = {
    {"intel-v1", "Intel, x86-64-v1", INTEL, INTEL_SIGNATURE, 0x1f, 0x80000008, 40, INTEL_UCODE,
     {set_v1, set_common, set_intel}},
    {"intel-v2", "Intel, x86-64-v2", INTEL, INTEL_SIGNATURE, 0x1f, 0x80000008, 40, INTEL_UCODE,
     {set_v1, set_common, set_intel, set_v2}},
    {"intel-v3", "Intel, x86-64-v3", INTEL, INTEL_SIGNATURE, 0x1f, 0x80000008, 40, INTEL_UCODE,
     {set_v1, set_common, set_intel, set_v3}},
    {"max", "intel-v3 and everything else that is built (default)", INTEL, INTEL_SIGNATURE, 0x1f,
     0x80000008, 40, INTEL_UCODE, {set_v1, set_common, set_intel, set_v3, set_built}},
    {"amd-v2", "AMD, x86-64-v2", AMD, AMD_SIGNATURE, 0x10, 0x80000021, 40, AMD_UCODE,
     {set_v1, set_common, set_amd, set_svm, set_v2}},
    {"amd-v3", "AMD, x86-64-v3", AMD, AMD_SIGNATURE, 0x10, 0x80000021, 40, AMD_UCODE,
     {set_v1, set_common, set_amd, set_svm, set_v3}},
    {"amd-max", "amd-v3 and everything else that is built (max,+svm)", AMD, AMD_SIGNATURE, 0x10,
     0x80000021, 40, AMD_UCODE,
     {set_v1, set_common, set_amd, set_svm, set_v3, set_built, set_amd_built}},
    {"i686", "Pentium III", INTEL, 0x68a, 2, 0, 36, (u64)1 << 32, {set_i686}},
    {"qemu64", "as QEMU's: x86-64 with little else", AMD, AMD_SIGNATURE, 0xd, 0x80000021, 40,
     AMD_UCODE, {set_v1, set_qemu64}},
    {"base", "nothing but an FPU, to add features to", INTEL, 0x68a, 1, 0x80000008, 36, 0,
     {set_base}},
};
const u32 cpu_models_count = ARRAY_SIZE(cpu_models);

const struct cpu_alias cpu_aliases[] = {
    {"host", "max", true}, {"intel-v1min", "intel-v1", true}, {"amd-v1min", "amd-v2", false},
    {"kvm64", "qemu64", false}, {"qemu32", "i686", false}, {"kvm32", "i686", false},
    {"486", "i686", false}, {"pentium", "i686", false}, {"pentium2", "i686", false},
    {"pentium3", "i686", false}, {"coreduo", "i686", false},
    {"core2duo", "intel-v1", false}, {"Conroe", "intel-v1", false}, {"Penryn", "intel-v1", false},
    {"Nehalem", "intel-v2", false}, {"Westmere", "intel-v2", false},
    {"SandyBridge", "intel-v2", false}, {"IvyBridge", "intel-v2", false},
    {"Haswell", "intel-v3", false}, {"Broadwell", "intel-v3", false},
    {"Skylake-Client", "intel-v3", false}, {"Skylake-Server", "intel-v3", false},
    {"Cascadelake-Server", "intel-v3", false}, {"Icelake-Server", "intel-v3", false},
    {"Opteron_G1", "amd-v2", false}, {"Opteron_G2", "amd-v2", false},
    {"Opteron_G3", "amd-v2", false}, {"phenom", "amd-v2", false},
    {"EPYC", "amd-v3", false}, {"EPYC-Rome", "amd-v3", false}, {"EPYC-Milan", "amd-v3", false},
};
const u32 cpu_aliases_count = ARRAY_SIZE(cpu_aliases);
/* clang-format on */
