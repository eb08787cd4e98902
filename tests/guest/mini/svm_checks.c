/* SPDX-License-Identifier: MIT */
/*
 * What VMRUN refuses, and what it does not: a VMCB with which L2 runs, changed by a row. APM Vol 2
 * 15.5.1 "Basic Operation", "Canonicalization and Consistency Checks", in its order, and the
 * sections that add to it. Then the exceptions of SVM's instructions.
 */
#include "parts.h"
#include "svm.h"
#include "vendor.h"

static struct l2 l2;

enum { ANY, LONG, LEGACY, NO_NPT }; /* L2's mode; NO_NPT: without nested paging, in PAE mode */
enum { INVALID, ENTERS };

struct row {
    const char *rule;
    u32 outcome, where;
    struct edit edit[EDITS];
    u32 feature; /* only on a processor that has this one */
};

#define BEYOND BIT(51) /* an address beyond the physical-address width, aligned */
#define NEW_EVENT(type, vector)                                                                    \
    {                                                                                              \
        IS, EVENT, EVENT_VALID | (type) << 8 | (vector)                                            \
    }
enum { ATTRIBUTE_L = 1 << 9, ATTRIBUTE_D = 1 << 10, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };

/* clang-format off */
static const struct row rows[] = {
    /* 15.5.1 */
    {"EFER.SVME clear", INVALID, ANY, {{OFF, S_EFER, EFER_SVME}}},
    {"CR0.NW without CD", INVALID, ANY, {{ON, S_CR0, CR0_NW}}},
    {"CR0.NW with CD", ENTERS, ANY, {{ON, S_CR0, CR0_NW | CR0_CD}}},
    {"CR0.CD without NW", ENTERS, ANY, {{ON, S_CR0, CR0_CD}}},
    {"CR0 bit 32", INVALID, ANY, {{ON, S_CR0, BIT(32)}}},
    {"CR0 bit 63", INVALID, ANY, {{ON, S_CR0, BIT(63)}}},
    {"CR3 beyond the width", INVALID, LONG, {{ON, S_CR3, BEYOND}}},
    {"CR3 bit 62", INVALID, LONG, {{ON, S_CR3, BIT(62)}}},
    {"CR3.PWT and PCD", ENTERS, ANY, {{ON, S_CR3, 0x18}}},
    {"CR3 bits 11:5, without PCIDs", ENTERS, LONG, {{ON, S_CR3, 0xfe0}}},
    {"CR4.VMXE", INVALID, ANY, {{ON, S_CR4, CR4_VMXE}}},
    {"CR4 bit 31", INVALID, ANY, {{ON, S_CR4, BIT(31)}}},
    {"CR4 bit 32", INVALID, ANY, {{ON, S_CR4, BIT(32)}}},
    {"CR4.MCE and PGE", ENTERS, ANY, {{ON, S_CR4, 0xc0}}},
    {"DR6 bit 32", INVALID, ANY, {{ON, S_DR6, BIT(32)}}},
    {"DR7 bit 32", INVALID, ANY, {{ON, S_DR7, BIT(32)}}},
    {"DR7.LE and GE", ENTERS, ANY, {{ON, S_DR7, 0x300}}},
    {"EFER bit 1", INVALID, ANY, {{ON, S_EFER, BIT(1)}}},
    {"EFER bit 63", INVALID, ANY, {{ON, S_EFER, BIT(63)}}},
    {"EFER.SCE", ENTERS, ANY, {{ON, S_EFER, 1}}},
    {"EFER.LME and CR0.PG without CR4.PAE", INVALID, LONG, {{OFF, S_CR4, CR4_PAE}}},
    {"EFER.LME and CR0.PG without CR0.PE", INVALID, LONG, {{OFF, S_CR0, CR0_PE}}},
    {"CS.L and D in long mode", INVALID, LONG, {{ON, SEG_ATTRIBUTES(S_CS), ATTRIBUTE_D}}},
    {"CS.L and D outside of it", ENTERS, LEGACY, {{ON, SEG_ATTRIBUTES(S_CS), ATTRIBUTE_L}}},
    {"VMRUN not intercepted", INVALID, ANY, {{OFF, INTERCEPTS_4, INTERCEPT(X_VMRUN)}}},
    {"MSR map beyond the width", INVALID, ANY, {{IS, MSRPM_BASE, BEYOND}}},
    {"MSR map: bits 11:0", ENTERS, ANY, {{ON, MSRPM_BASE, 0xfff}}},
    {"I/O map beyond the width", INVALID, ANY, {{IS, IOPM_BASE, BEYOND}}},
    {"I/O map: bits 11:0", ENTERS, ANY, {{ON, IOPM_BASE, 0xfff}}},
    {"ASID 0", INVALID, ANY, {{IS, ASID, 0}}},
    /* segments are not looked at */
    {"DS not present", ENTERS, ANY, {{OFF, SEG_ATTRIBUTES(S_DS), 0x80}, {IS, SEG_SELECTOR(S_DS), 3}}},
    {"TR not a TSS", ENTERS, ANY, {{IS, SEG_ATTRIBUTES(S_TR), 0}}},
    {"GDTR limit", ENTERS, ANY, {{IS, SEG_LIMIT(S_GDTR), 0xfffff}}},
    /* 15.20 "Event Injection" */
    {"event of type 1", INVALID, ANY, {NEW_EVENT(1, 32)}},
    {"event of type 5", INVALID, ANY, {NEW_EVENT(5, 1)}},
    {"event of type 6", INVALID, ANY, {NEW_EVENT(6, 3)}},
    {"event of type 7", INVALID, ANY, {NEW_EVENT(7, 0)}},
    {"exception 2", INVALID, ANY, {NEW_EVENT(3, 2)}},
    {"exception 32", INVALID, ANY, {NEW_EVENT(3, 32)}},
    {"exception 9, which is reserved", INVALID, ANY, {NEW_EVENT(3, 9)}},
    {"exception 31, which is reserved", INVALID, ANY, {NEW_EVENT(3, 31)}},
    {"#BR in 64-bit mode", INVALID, LONG, {NEW_EVENT(3, 5)}},
    {"event of type 1 without V", ENTERS, ANY, {{IS, EVENT, 1 << 8 | 32}}},
    /* 15.21.10 "NMI Virtualization" */
    {"virtual NMIs without the NMI intercept", INVALID, ANY, {{ON, V_CONTROL, V_NMI_ENABLE}}, HAS_VNMI},
    {"virtual NMIs with it", ENTERS, ANY, {{ON, V_CONTROL, V_NMI_ENABLE}, {ON, INTERCEPTS_3, INTERCEPT(X_NMI)}}, HAS_VNMI},
    /* 15.25.4 "Nested Paging and VMRUN/#VMEXIT" */
    {"nested CR3 beyond the width", INVALID, ANY, {{ON, NESTED_CR3, BEYOND}}},
    {"nested CR3.PWT and PCD", ENTERS, ANY, {{ON, NESTED_CR3, 0x18}}},
    {"PAT: type 2", INVALID, ANY, {{IS, S_PAT, 2}}},
    {"PAT: type 3 in its last byte", INVALID, ANY, {{IS, S_PAT, 3ull << 56}}},
    {"PAT: all types that there are", ENTERS, ANY, {{IS, S_PAT, 0x0706050401000706}}},
    {"nested CR3 without nested paging", ENTERS, NO_NPT, {{ON, NESTED_CR3, BEYOND}}},
    {"PAT without nested paging", ENTERS, NO_NPT, {{IS, S_PAT, 2}}},
};
/* clang-format on */

/* As it is in the VMCB; L2 reads a data page. */
static u64 enter(void)
{
    vmcb_write(&l2, S_RIP, l2.code_linear + (u64)(l2_read - l2_code));
    vmcb_write(&l2, EXIT_CODE, 0);
    l2.reg[RSI] = LIN_DATA;
    svm_enter_as_is(&l2);
    return l2.exit.reason;
}

static bool try_row(const struct row *row)
{
    const u64 wanted = row->outcome == ENTERS ? X_CPUID : X_INVALID;
    u64 came;

    vmcb_keep(&l2);
    vmcb_edit(&l2, row->edit);
    SVM(&l2)->flush = FLUSH_ALL; /* bits of CR3 and CR4 change */
    came = enter();
    must(came == wanted, "%s, L2 %s: exit code %llx", row->rule, mode_names[l2.mode], came);
    vmcb_back(&l2);
    return came == wanted;
}

static void screen(enum mode mode, bool nested)
{
    l2_new(&l2, mode);
    if (!nested)
        l2_shadow(&l2);
    check(l2_step(&l2, l2_read, LIN_DATA, 0) == DONE, "L2 %s runs", mode_names[mode]);
    for (u32 outcome = INVALID; outcome <= ENTERS; outcome++) {
        u32 tried = 0, good = 0;

        for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
            const u32 where = rows[i].where;

            if (rows[i].outcome != outcome ||
                (svm_features() & rows[i].feature) != rows[i].feature ||
                (nested ? where == NO_NPT || (where == LONG && mode != MODE_64) ||
                              (where == LEGACY && mode == MODE_64)
                        : where != NO_NPT))
                continue;
            tried++;
            good += try_row(&rows[i]);
        }
        if (tried != 0)
            check(good == tried,
                  outcome == INVALID ? "%u of %u wrong VMCBs: VMEXIT_INVALID"
                                     : "%u of %u that are right come in",
                  good, tried);
    }
    check(l2_step(&l2, l2_read, LIN_DATA, 0) == DONE, "and L2 runs as before");
}

/* The maps of 8 and 12 KiB may end with the last physical address. */
static void ends_of_maps(void)
{
    static const struct {
        const char *what;
        u32 field, pages;
    } maps[] = {{"MSR", MSRPM_BASE, 2}, {"I/O", IOPM_BASE, 3}};
    u32 regs[4];

    cpuid(0x80000008, regs);
    for (u32 i = 0; i < ARRAY_SIZE(maps); i++) {
        const u64 base = vmcb_read(&l2, maps[i].field), end = BIT(regs[0] & 0xff);
        u32 invalid = 0;

        for (u32 pages = maps[i].pages - 1; pages > 0; pages--) {
            vmcb_write(&l2, maps[i].field, end - pages * PAGE);
            invalid += enter() == X_INVALID;
        }
        vmcb_write(&l2, maps[i].field, base);
        check(invalid == maps[i].pages - 1, "the %s map's base below the width, its end beyond",
              maps[i].what);
    }
}

/* 15.5.1: bases of segments are made canonical, not refused. */
static void bases_are_made_canonical(void)
{
    static const u32 segments[] = {S_ES, S_DS, S_FS, S_GS, S_GDTR, S_IDTR, S_LDTR, S_TR};
    u32 good = 0;

    l2_new(&l2, MODE_64);
    (void)l2_value(&l2, LIN_DATA);
    for (u32 i = 0; i < ARRAY_SIZE(segments); i++) {
        const u64 old = vmcb_read(&l2, SEG_BASE(segments[i]));

        vmcb_write(&l2, SEG_BASE(segments[i]), 0x0fff800000000000); /* with 48 and 57 bits */
        good += enter() == X_CPUID && vmcb_read(&l2, SEG_BASE(segments[i])) == 0xffff800000000000;
        vmcb_write(&l2, SEG_BASE(segments[i]), old);
    }
    check(good == ARRAY_SIZE(segments), "%u of %u bases are made canonical", good,
          (u32)ARRAY_SIZE(segments));
}

/* 15.25.3 "Enabling Nested Paging": NPT has L1's paging mode, so there must be one. */
static void host_without_paging(void)
{
    const enum l1_paging before = l1_paging;
    u64 came;

    if (L1_64)
        return;
    l2_new(&l2, MODE_32);
    (void)l2_value(&l2, LIN_DATA);
    l1_set_paging(L1_OFF);
    came = enter();
    l1_set_paging(before);
    check(came == X_INVALID, "nested paging under an L1 with CR0.PG=0: VMEXIT_INVALID");
    check(l2_step(&l2, l2_read, LIN_DATA, 0) == DONE, "and with paging it runs");
}

/* ---- exceptions of the instructions ---- */

/* The vector that the instruction raises with this rAX; 0: none. */
#define RAISES(instruction, rax)                                                                   \
    ({                                                                                             \
        const u32 ud = event_count[6], gp = event_count[13];                                       \
                                                                                                   \
        __asm__ volatile("mov%z0 $1f, %0\n\t" instruction "\n\t1:"                                 \
                         : "=m"(event_resume)                                                      \
                         : "a"((word)(rax)), "c"(0)                                                \
                         : "memory");                                                              \
        event_resume = 0;                                                                          \
        event_count[6] != ud ? 6u : event_count[13] != gp ? 13u : 0u;                              \
    })

static void instructions(void)
{
    const u64 vmcb = (word)page_new(), efer = rdmsr(MSR_EFER);
    u32 good = 0;

    good += RAISES("vmrun", vmcb + 8) == 13;
    good += RAISES("vmload", vmcb + 8) == 13;
    good += RAISES("vmsave", vmcb + 8) == 13;
    check(good == 3, "VMRUN, VMLOAD and VMSAVE of a VMCB that is not aligned: #GP");
    if (L1_64) {
        good = RAISES("vmrun", BEYOND) == 13;
        good += RAISES("vmload", BEYOND) == 13;
        good += RAISES("vmsave", BEYOND) == 13;
        check(good == 3, "beyond the physical addresses: #GP");
    }
    check(RAISES("vmmcall", 0) == 6, "VMMCALL outside of a guest: #UD");
    check(RAISES("vmsave", vmcb) == 0 &&
              *(u16 *)(word)(vmcb + (SEG_SELECTOR(S_TR) & 0xffff)) == SEL_TSS,
          "VMSAVE writes L1's TR");
    wrmsr(MSR_EFER, efer & ~(u64)EFER_SVME);
    good = RAISES("vmrun", vmcb) == 6;
    good += RAISES("vmload", vmcb) == 6;
    good += RAISES("vmsave", vmcb) == 6;
    good += RAISES("clgi", 0) == 6;
    good += RAISES("invlpga", 0) == 6;
    wrmsr(MSR_EFER, efer);
    check(good == 5, "VMRUN, VMLOAD, VMSAVE, CLGI, INVLPGA without EFER.SVME: #UD");
}

void part_svm_checks(void)
{
    for (enum mode mode = MODE_32; mode <= MODE_64; mode++)
        screen(mode, true);
    ends_of_maps();
    screen(MODE_PAE, false);
    bases_are_made_canonical();
    host_without_paging();
    instructions();
}
