/* SPDX-License-Identifier: MIT */
/*
 * CPUID: SDM Vol 2A "CPUID", APM Vol 3 appendix E. Feature bits come from the feature table; this
 * file has the leaves that hold sizes, topology and names.
 */
#include "cpu/control.h"
#include "cpu/cpu_models.h"
#include "cpu/svm/svm.h"
#include "cpu/system.h"
#include "cpu/xstate.h"

enum { TOPOLOGY_SMT = 1, TOPOLOGY_CORE = 2 };
enum { NS_FREQUENCY = 1000000000, MHZ = 1000 };

static u32 apic_id(const struct vcpu *v)
{
    return v->wires.apic_id != NULL ? v->wires.apic_id(v->wires.ctx) : v->index;
}

/* Bits of an APIC ID that number the CPUs of the one package. */
static u32 core_bits(const struct vcpu *v)
{
    u32 bits = 0;

    while ((u32)1 << bits < v->cpus)
        bits++;
    return bits;
}

/* The table's bits of a leaf. */
static struct cpuid_result feature_bits(const struct vcpu *v, u32 leaf, u32 subleaf)
{
    u32 reg[4] = {0};

    for (u32 i = 0; i < feature_table_rows; i++) {
        const struct feature_def *def = &feature_table[i];

        if (def->leaf == leaf && def->subleaf == subleaf && has_feature(v, def->feature))
            reg[def->reg] |= (u32)1 << def->bit;
    }
    return (struct cpuid_result){reg[CPUID_EAX], reg[CPUID_EBX], reg[CPUID_ECX], reg[CPUID_EDX]};
}

void cpuid_configure(struct vcpu *v)
{
    v->max_basic_leaf = v->model->level;
    v->max_extended_leaf = v->model->extended_level;
    for (u32 i = 0; i < feature_table_rows; i++) {
        const struct feature_def *def = &feature_table[i];
        u32 *max = def->leaf < 0x80000000 ? &v->max_basic_leaf : &v->max_extended_leaf;

        if (def->leaf != FEATURE_HIDDEN && def->leaf > *max && has_feature(v, def->feature))
            *max = def->leaf;
    }
}

static u32 max_basic_leaf(const struct vcpu *v)
{
    const bool limited = (v->state.misc_enable & MISC_ENABLE_LIMIT_CPUID) != 0 && !v->amd;

    return limited && v->max_basic_leaf > 2 ? 2 : v->max_basic_leaf;
}

/* CPUID.1:EDX.APIC follows IA32_APIC_BASE.EN: SDM Vol 3A 11.4.3. */
static bool apic_on(const struct vcpu *v)
{
    u64 base;

    return v->wires.apic_msr_read == NULL || !v->wires.apic_msr_read(v->wires.ctx, 0x1b, &base) ||
           (base & BIT(11)) != 0;
}

static struct cpuid_result leaf_1(const struct vcpu *v)
{
    struct cpuid_result r = feature_bits(v, 1, 0);

    r.eax = v->signature;
    r.ebx = apic_id(v) << 24 | v->cpus << 16;
    if (has_feature(v, F_CLFLUSH))
        r.ebx |= 64 / 8 << 8;
    if (v->cpus > 1)
        r.edx |= 1 << 28; /* HTT: EBX[23:16] is valid */
    if (has_feature(v, F_XSAVE) && (v->state.cr4 & CR4_OSXSAVE) != 0)
        r.ecx |= 1 << 27;
    if (!v->amd && (v->state.misc_enable & MISC_ENABLE_MONITOR) == 0)
        r.ecx &= ~((u32)1 << 3);
    if (has_feature(v, F_APIC) && !apic_on(v))
        r.edx &= ~((u32)1 << 9);
    return r;
}

/* Cache descriptors: "see leaf 4", or where there is none those of a Pentium III. Software that
 * finds the former asks leaf 4 until it ends. */
static struct cpuid_result leaf_2(const struct vcpu *v)
{
    if (v->amd)
        return (struct cpuid_result){0};
    if (max_basic_leaf(v) >= 4)
        return (struct cpuid_result){.eax = 0x00feff01};
    return (struct cpuid_result){.eax = 0x03020101, .edx = 0x0c040882};
}

/* Deterministic cache parameters: what a small recent core has. */
static struct cpuid_result leaf_4(const struct vcpu *v, u32 subleaf)
{
    static const struct {
        u8 type, level;
        u16 ways;
        u32 sets;
    } caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 8, 512}, {3, 3, 16, 8192}};
    const u32 ids = (u32)1 << core_bits(v);
    const u32 sharing = subleaf == 3 ? ids : 1;

    if (v->amd) /* AMD's is leaf 8000001D */
        return (struct cpuid_result){0};

    if (subleaf >= ARRAY_SIZE(caches))
        return (struct cpuid_result){0};
    return (struct cpuid_result){
        .eax = caches[subleaf].type | (u32)caches[subleaf].level << 5 | 1 << 8 |
               (sharing - 1) << 14 | (ids - 1) << 26,
        .ebx = (caches[subleaf].ways - 1u) << 22 | (64 - 1),
        .ecx = caches[subleaf].sets - 1,
        .edx = subleaf == 3 ? 2 : 0, /* inclusive */
    };
}

static struct cpuid_result leaf_5(const struct vcpu *v)
{
    if (!has_feature(v, F_MONITOR))
        return (struct cpuid_result){0};
    return (struct cpuid_result){.eax = 64, .ebx = 64, .ecx = 3, .edx = 0x10};
}

static struct cpuid_result leaf_7(const struct vcpu *v, u32 subleaf)
{
    struct cpuid_result r;

    if (subleaf != 0)
        return feature_bits(v, 7, subleaf);
    r = feature_bits(v, 7, 0);
    r.eax = has_feature(v, F_BHI_CTRL) ? 2 : 0;
    if (has_feature(v, F_PKU) && (v->state.cr4 & CR4_PKE) != 0)
        r.ecx |= 1 << 4; /* OSPKE */
    r.ebx |= 1 << 13 | 1 << 6; /* x87 CS and DS are zeroed; FDP only on exceptions */
    return r;
}

/* Extended topology: one package of single-threaded cores. */
static struct cpuid_result leaf_topology(const struct vcpu *v, u32 subleaf)
{
    const u32 id = apic_id(v);

    if (subleaf == 0)
        return (struct cpuid_result){0, 1, TOPOLOGY_SMT << 8, id};
    if (subleaf == 1)
        return (struct cpuid_result){core_bits(v), v->cpus, TOPOLOGY_CORE << 8 | 1, id};
    return (struct cpuid_result){0, 0, subleaf & 0xff, id};
}

/* ---- leaf 0DH: SDM Vol 1 13.2 ---- */

static u64 xcr0_supported(const struct vcpu *v)
{
    return XCR0_X87 | XCR0_SSE | (has_feature(v, F_AVX) ? XCR0_AVX : 0) |
           (has_feature(v, F_PKU) ? XCR0_PKRU : 0);
}

static struct cpuid_result leaf_d(const struct vcpu *v, u32 subleaf)
{
    const u64 supported = xcr0_supported(v);
    struct cpuid_result r = {0};

    if (!has_feature(v, F_XSAVE))
        return r;
    if (subleaf == 0) {
        r.eax = (u32)supported;
        r.ebx = xstate_area_bytes(v->state.xcr0, false);
        r.ecx = xstate_area_bytes(supported, false);
    } else if (subleaf == 1) {
        r = feature_bits(v, 0xd, 1);
        if (has_feature(v, F_XSAVEC))
            r.ebx = xstate_area_bytes(v->state.xcr0 | v->state.xss, true);
    } else if (subleaf < XSTATE_COMPONENTS && (supported >> subleaf & 1) != 0) {
        r.eax = xstate_component(subleaf).size;
        r.ebx = xstate_component(subleaf).offset;
    }
    return r;
}

/* ---- names ---- */

static struct cpuid_result leaf_brand(const struct vcpu *v, u32 part)
{
    char text[48] = "nestbox ";
    size_t at = strlen(text);
    u32 word[4];

    for (const char *from = v->model->name; *from != '\0' && at < sizeof(text) - 1; from++)
        text[at++] = *from;
    memcpy(word, text + part * 16, sizeof(word));
    return (struct cpuid_result){word[0], word[1], word[2], word[3]};
}

static struct cpuid_result leaf_0(const struct vcpu *v)
{
    return (struct cpuid_result){max_basic_leaf(v), v->vendor[0], v->vendor[2], v->vendor[1]};
}

/* ---- by leaf ---- */

static struct cpuid_result basic_leaf(const struct vcpu *v, u32 leaf, u32 subleaf)
{
    switch (leaf) {
    case 0: return leaf_0(v);
    case 1: return leaf_1(v);
    case 2: return leaf_2(v);
    case 4: return leaf_4(v, subleaf);
    case 5: return leaf_5(v);
    case 6: return feature_bits(v, 6, 0);
    case 7: return leaf_7(v, subleaf);
    case 0xb: return leaf_topology(v, subleaf);
    case 0xd: return leaf_d(v, subleaf);
    case 0x15: /* TSC = crystal * EBX / EAX; the APIC timer counts the crystal */
        return (struct cpuid_result){1, 1, NS_FREQUENCY, 0};
    case 0x16: return (struct cpuid_result){MHZ, MHZ, 100, 0};
    case 0x1f: return leaf_topology(v, subleaf);
    default: return (struct cpuid_result){0};
    }
}

static struct cpuid_result leaf_80000001(const struct vcpu *v)
{
    struct cpuid_result r = feature_bits(v, 0x80000001, 0);

    if (!v->amd) {
        if (!mode64(v)) /* SDM Vol 2A table 3-8: SYSCALL is a 64-bit mode instruction there */
            r.edx &= ~((u32)1 << 11);
    } else {
        const u32 shared = 0x0183f3ff; /* APM Vol 3 E.4.2: copies of leaf 1 */

        r.eax = v->signature;
        r.edx |= leaf_1(v).edx & shared;
        r.ecx |= v->cpus > 1 ? 1u << 1 : 0; /* CmpLegacy */
    }
    if (!v->amd && (v->state.misc_enable & MISC_ENABLE_XD_DISABLE) != 0)
        r.edx &= ~((u32)1 << 20);
    return r;
}

static struct cpuid_result leaf_80000008(const struct vcpu *v)
{
    struct cpuid_result r = feature_bits(v, 0x80000008, 0);

    r.eax = v->phys_bits | (has_feature(v, F_LA57) ? 57u : has_feature(v, F_LM) ? 48u : 32u) << 8;
    if (v->amd) {
        r.ebx |= 1u << 26; /* SSB_NO */
        r.ecx = core_bits(v) << 12 | (v->cpus - 1);
        r.edx = has_feature(v, F_RDPRU) ? 1 << 16 : 0;
    }
    return r;
}

static struct cpuid_result extended_leaf(const struct vcpu *v, u32 leaf)
{
    switch (leaf) {
    case 0x80000000: {
        struct cpuid_result r = {.eax = v->max_extended_leaf};

        if (v->amd) {
            r.ebx = v->vendor[0];
            r.edx = v->vendor[1];
            r.ecx = v->vendor[2];
        }
        return r;
    }
    case 0x80000001: return leaf_80000001(v);
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: return leaf_brand(v, leaf - 0x80000002);
    case 0x80000005: /* 32 KiB L1 caches, 8 ways, 64-byte lines */
        return v->amd ? (struct cpuid_result){.ecx = 0x20080140, .edx = 0x20080140}
                      : (struct cpuid_result){0};
    case 0x80000006: /* 256 KiB L2, 8 ways; 8 MiB L3, 16 ways */
        return (struct cpuid_result){.ecx = 0x01006040, .edx = v->amd ? 0x00408140 : 0};
    case 0x80000007: return feature_bits(v, leaf, 0);
    case 0x80000008: return leaf_80000008(v);
    case 0x8000000a: {
        struct cpuid_result r = feature_bits(v, leaf, 0);

        if (has_feature(v, F_SVM)) {
            r.eax = SVM_REVISION;
            r.ebx = SVM_ASIDS;
        }
        return r;
    }
    case 0x80000021: {
        struct cpuid_result r = feature_bits(v, leaf, 0);

        /* LFENCE serialises, null selectors clear bases, SRSO_NO; TSA_SQ_NO, TSA_L1_NO */
        r.eax |= 1u << 2 | 1u << 6 | 1u << 29;
        r.ecx = 1u << 1 | 1u << 2;
        return r;
    }
    default: return (struct cpuid_result){0};
    }
}

struct cpuid_result cpuid(const struct vcpu *v, u32 leaf, u32 subleaf)
{
    const u32 max_basic = max_basic_leaf(v);
    const u32 max_extended = v->max_extended_leaf;

    if (leaf >= 0x80000000 && leaf <= max_extended)
        return extended_leaf(v, leaf);
    if (leaf <= max_basic)
        return basic_leaf(v, leaf, subleaf);
    /* beyond the end Intel answers with its last basic leaf, AMD with zeros */
    if (v->amd)
        return (struct cpuid_result){0};
    return basic_leaf(v, max_basic, subleaf);
}
