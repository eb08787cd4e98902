/* SPDX-License-Identifier: MIT */
/*
 * The negative screen: a VMCS with which L2 runs, one rule of VM entry broken in each row, and what
 * must come of it. The rows are in the order of SDM Vol 3C 27.2 "Checks on VMX Controls and
 * Host-State Area" and 27.3 "Checking and Loading Guest State".
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

static struct l2 l2;

enum { CONTROLS = 7, HOST = 8, GUEST = 33 }; /* VM-instruction errors; exit reason */
enum { ANY, ONLY_64, ONLY_32, ONLY_PAE }; /* L1's mode, with L2 alike; or L2 in PAE paging */

struct row {
    const char *rule;
    u32 outcome, where;
    struct edit edit[EDITS];
    u32 qualification;
};

#define BEYOND BIT(51) /* an address beyond the physical-address width, aligned */
#define NOT_CANONICAL BIT(60)
#define PAGE_OF_ITS_OWN 0x00700000 /* nothing else is there, all zeros */

/* clang-format off */
/* What several rows need to come to their own point. */
#define TPR_SHADOW {ON, PRIMARY, PRI_TPR_SHADOW}, {IS, VIRTUAL_APIC, PAGE_OF_ITS_OWN}
#define POSTED {ON, PIN, PIN_INTERRUPT | PIN_POSTED}, TPR_SHADOW, {ON, SECONDARY, SEC_INTERRUPT_DELIVERY}
#define SELECTOR_0(segment) {IS, GUEST_SELECTOR + 2 * (segment), 0}

static const struct row rows[] = {
    /* 27.2.1.1 VM-Execution Control Fields */
    {"pin: a bit that must be 1", CONTROLS, ANY, {{OFF, PIN, BIT(1)}}},
    {"pin: a bit that must be 0", CONTROLS, ANY, {{ON, PIN, BIT(8)}}},
    {"primary: a bit that must be 1", CONTROLS, ANY, {{OFF, PRIMARY, BIT(1)}}},
    {"primary: a bit that must be 0", CONTROLS, ANY, {{ON, PRIMARY, BIT(0)}}},
    {"secondary: a bit that must be 0", CONTROLS, ANY, {{ON, SECONDARY, BIT(31)}}},
    {"CR3-target count", CONTROLS, ANY, {{IS, CR3_TARGETS, 5}}},
    {"I/O bitmap A not aligned", CONTROLS, ANY, {{ON, PRIMARY, PRI_IO_BITMAPS}, {IS, IO_BITMAP_A, 0x800}}},
    {"I/O bitmap B beyond the width", CONTROLS, ANY, {{ON, PRIMARY, PRI_IO_BITMAPS}, {IS, IO_BITMAP_B, BEYOND}}},
    {"MSR bitmap not aligned", CONTROLS, ANY, {{ON, PRIMARY, PRI_MSR_BITMAPS}, {IS, MSR_BITMAP, 1}}},
    {"MSR bitmap beyond the width", CONTROLS, ANY, {{ON, PRIMARY, PRI_MSR_BITMAPS}, {IS, MSR_BITMAP, BEYOND}}},
    {"virtual-APIC page not aligned", CONTROLS, ANY, {{ON, PRIMARY, PRI_TPR_SHADOW}, {IS, VIRTUAL_APIC, 8}}},
    {"virtual-APIC page beyond the width", CONTROLS, ANY, {{ON, PRIMARY, PRI_TPR_SHADOW}, {IS, VIRTUAL_APIC, BEYOND}}},
    {"TPR threshold bits 31:4", CONTROLS, ANY, {TPR_SHADOW, {IS, TPR_THRESHOLD, 0x10}}},
    {"TPR threshold above VTPR", CONTROLS, ANY, {TPR_SHADOW, {IS, TPR_THRESHOLD, 1}}},
    {"virtual NMIs without NMI exiting", CONTROLS, ANY, {{ON, PIN, PIN_VIRTUAL_NMI}}},
    {"NMI-window exiting without virtual NMIs", CONTROLS, ANY, {{ON, PIN, PIN_NMI}, {ON, PRIMARY, PRI_NMI_WINDOW}}},
    {"APIC-access page not aligned", CONTROLS, ANY, {{ON, SECONDARY, SEC_APIC_ACCESSES}, {IS, APIC_ACCESS, 0x20}}},
    {"APIC-access page beyond the width", CONTROLS, ANY, {{ON, SECONDARY, SEC_APIC_ACCESSES}, {IS, APIC_ACCESS, BEYOND}}},
    {"APIC accesses and x2APIC mode", CONTROLS, ANY, {TPR_SHADOW, {IS, APIC_ACCESS, PAGE_OF_ITS_OWN}, {ON, SECONDARY, SEC_APIC_ACCESSES | SEC_X2APIC}}},
    {"x2APIC mode without TPR shadow", CONTROLS, ANY, {{ON, SECONDARY, SEC_X2APIC}}},
    {"APIC registers without TPR shadow", CONTROLS, ANY, {{ON, SECONDARY, SEC_APIC_REGISTERS}}},
    {"interrupt delivery without TPR shadow", CONTROLS, ANY, {{ON, PIN, PIN_INTERRUPT}, {ON, SECONDARY, SEC_INTERRUPT_DELIVERY}}},
    {"interrupt delivery without interrupt exiting", CONTROLS, ANY, {TPR_SHADOW, {ON, SECONDARY, SEC_INTERRUPT_DELIVERY}}},
    {"posted interrupts without interrupt delivery", CONTROLS, ANY, {{ON, PIN, PIN_INTERRUPT | PIN_POSTED}, {IS, POSTED_DESCRIPTOR, PAGE_OF_ITS_OWN}}},
    {"posted interrupts without acknowledging", CONTROLS, ANY, {POSTED, {OFF, EXIT, EXIT_ACKNOWLEDGE}}},
    {"posted-interrupt vector above 255", CONTROLS, ANY, {POSTED, {IS, POSTED_VECTOR, 256}}},
    {"posted-interrupt descriptor not aligned", CONTROLS, ANY, {POSTED, {IS, POSTED_DESCRIPTOR, 32}}},
    {"VPID 0", CONTROLS, ANY, {{IS, VPID, 0}}},
    {"EPTP: memory type", CONTROLS, ANY, {{ON, EPTP, 1}}},
    {"EPTP: walk length", CONTROLS, ANY, {{OFF, EPTP, BIT(3)}}},
    {"EPTP: reserved bit", CONTROLS, ANY, {{ON, EPTP, BIT(11)}}},
    {"EPTP beyond the width", CONTROLS, ANY, {{ON, EPTP, BEYOND}}},
    {"PML without EPT", CONTROLS, ANY, {{OFF, SECONDARY, SEC_EPT | SEC_UNRESTRICTED}, {ON, SECONDARY, SEC_PML}}},
    {"PML page not aligned", CONTROLS, ANY, {{ON, SECONDARY, SEC_PML}, {IS, PML_ADDRESS, 0x800}}},
    {"PML page beyond the width", CONTROLS, ANY, {{ON, SECONDARY, SEC_PML}, {IS, PML_ADDRESS, BEYOND}}},
    {"unrestricted guest without EPT", CONTROLS, ANY, {{OFF, SECONDARY, SEC_EPT}}},
    {"mode-based execute control without EPT", CONTROLS, ANY, {{OFF, SECONDARY, SEC_EPT | SEC_UNRESTRICTED}, {ON, SECONDARY, SEC_MBEC}}},
    {"VM functions: reserved bit", CONTROLS, ANY, {{ON, SECONDARY, SEC_FUNCTIONS}, {IS, VM_FUNCTIONS, 2}}},
    {"EPTP list not aligned", CONTROLS, ANY, {{ON, SECONDARY, SEC_FUNCTIONS}, {IS, VM_FUNCTIONS, 1}, {IS, EPTP_LIST, 8}}},
    {"EPTP switching without EPT", CONTROLS, ANY, {{OFF, SECONDARY, SEC_EPT | SEC_UNRESTRICTED}, {ON, SECONDARY, SEC_FUNCTIONS}, {IS, VM_FUNCTIONS, 1}, {IS, EPTP_LIST, PAGE_OF_ITS_OWN}}},
    {"VMREAD bitmap not aligned", CONTROLS, ANY, {{ON, SECONDARY, SEC_SHADOWING}, {IS, VMREAD_BITMAP, 8}}},
    {"VMWRITE bitmap not aligned", CONTROLS, ANY, {{ON, SECONDARY, SEC_SHADOWING}, {IS, VMWRITE_BITMAP, 8}}},
    {"#VE information not aligned", CONTROLS, ANY, {{ON, SECONDARY, SEC_VE}, {IS, VE_INFORMATION, 8}}},
    {"TSC multiplier 0", CONTROLS, ANY, {{ON, SECONDARY, SEC_TSC_SCALING}, {ON, PRIMARY, PRI_TSC_OFFSET}, {IS, TSC_MULTIPLIER, 0}}},
    /* 27.2.1.2 VM-Exit Control Fields */
    {"exit: a bit that must be 1", CONTROLS, ANY, {{OFF, EXIT, BIT(0)}}},
    {"exit: a bit that must be 0", CONTROLS, ANY, {{ON, EXIT, BIT(24)}}},
    {"saving the timer without the timer", CONTROLS, ANY, {{ON, EXIT, EXIT_SAVE_TIMER}}},
    {"exit MSR-store area not aligned", CONTROLS, ANY, {{IS, EXIT_STORE_COUNT, 1}, {IS, EXIT_STORE_ADDRESS, 8}}},
    {"exit MSR-store area beyond the width", CONTROLS, ANY, {{IS, EXIT_STORE_COUNT, 1}, {IS, EXIT_STORE_ADDRESS, BEYOND}}},
    {"exit MSR-load area not aligned", CONTROLS, ANY, {{IS, EXIT_LOAD_COUNT, 1}, {IS, EXIT_LOAD_ADDRESS, 4}}},
    {"exit MSR-load area beyond the width", CONTROLS, ANY, {{IS, EXIT_LOAD_COUNT, 1}, {IS, EXIT_LOAD_ADDRESS, BEYOND}}},
    /* 27.2.1.3 VM-Entry Control Fields */
    {"entry: a bit that must be 1", CONTROLS, ANY, {{OFF, ENTRY, BIT(0)}}},
    {"entry: a bit that must be 0", CONTROLS, ANY, {{ON, ENTRY, BIT(25)}}},
    {"entry to SMM outside of SMM", CONTROLS, ANY, {{ON, ENTRY, ENTRY_SMM}}},
    {"entry MSR-load area not aligned", CONTROLS, ANY, {{IS, ENTRY_LOAD_COUNT, 1}, {IS, ENTRY_LOAD_ADDRESS, 8}}},
    {"entry MSR-load area beyond the width", CONTROLS, ANY, {{IS, ENTRY_LOAD_COUNT, 1}, {IS, ENTRY_LOAD_ADDRESS, BEYOND}}},
    {"injection: type 1", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | 1 << 8 | 32}}},
    {"injection: NMI with another vector", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | 2 << 8 | 3}}},
    {"injection: exception 32", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | 3 << 8 | 32}}},
    {"injection: #UD with an error code", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | INFO_ERROR_CODE | 3 << 8 | 6}}},
    {"injection: #GP without an error code", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | 3 << 8 | 13}}},
    {"injection: reserved bit", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | BIT(20) | 3 << 8 | 6}}},
    {"injection: error code bits 31:16", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | INFO_ERROR_CODE | 3 << 8 | 13}, {IS, ENTRY_ERROR_CODE, BIT(16)}}},
    {"injection: software interrupt of 16 bytes", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | 4 << 8 | 32}, {IS, ENTRY_LENGTH, 16}}},
    {"injection: MTF with a vector", CONTROLS, ANY, {{IS, ENTRY_INFO, INFO_VALID | 7 << 8 | 1}}},
    /* 27.2.2 Checks on Host Control Registers, MSRs, and SSP */
    {"host CR0.NE", HOST, ANY, {{OFF, HOST_CR0, CR0_NE}}},
    {"host CR0.PG", HOST, ANY, {{OFF, HOST_CR0, CR0_PG}}},
    {"host CR4.VMXE", HOST, ANY, {{OFF, HOST_CR4, CR4_VMXE}}},
    {"host CR4 reserved bit", HOST, ANY, {{ON, HOST_CR4, BIT(31)}}},
    {"host CR3 beyond the width", HOST, ONLY_64, {{ON, HOST_CR3, BEYOND}}},
    {"host SYSENTER_ESP", HOST, ONLY_64, {{IS, HOST_SYSENTER_ESP, NOT_CANONICAL}}},
    {"host SYSENTER_EIP", HOST, ONLY_64, {{IS, HOST_SYSENTER_EIP, NOT_CANONICAL}}},
    {"host PAT", HOST, ANY, {{ON, EXIT, EXIT_LOAD_PAT}, {IS, HOST_PAT, 2}}},
    {"host EFER reserved bit", HOST, ANY, {{ON, HOST_EFER, BIT(1)}}},
    {"host EFER.LMA", HOST, ONLY_64, {{OFF, HOST_EFER, EFER_LMA}}},
    {"host EFER.LME", HOST, ONLY_32, {{ON, HOST_EFER, EFER_LME}}},
    /* 27.2.3 Checks on Host Segment and Descriptor-Table Registers */
    {"host CS.RPL", HOST, ANY, {{ON, HOST_SELECTOR + 2 * CS, 3}}},
    {"host DS.TI", HOST, ANY, {{ON, HOST_SELECTOR + 2 * DS, 4}}},
    {"host TR.TI", HOST, ANY, {{ON, HOST_TR_SELECTOR, 4}}},
    {"host CS 0", HOST, ANY, {{IS, HOST_SELECTOR + 2 * CS, 0}}},
    {"host TR 0", HOST, ANY, {{IS, HOST_TR_SELECTOR, 0}}},
    {"host SS 0", HOST, ONLY_32, {{IS, HOST_SELECTOR + 2 * SS, 0}}},
    {"host FS base", HOST, ONLY_64, {{IS, HOST_FS_BASE, NOT_CANONICAL}}},
    {"host GS base", HOST, ONLY_64, {{IS, HOST_GS_BASE, NOT_CANONICAL}}},
    {"host TR base", HOST, ONLY_64, {{IS, HOST_TR_BASE, NOT_CANONICAL}}},
    {"host GDTR base", HOST, ONLY_64, {{IS, HOST_GDTR_BASE, NOT_CANONICAL}}},
    {"host IDTR base", HOST, ONLY_64, {{IS, HOST_IDTR_BASE, NOT_CANONICAL}}},
    /* 27.2.4 Checks Related to Address-Space Size */
    {"64-bit host that is not", HOST, ONLY_32, {{ON, EXIT, EXIT_64}}},
    {"64-bit guest of a 32-bit host", HOST, ONLY_32, {{ON, ENTRY, ENTRY_64}}},
    {"32-bit host that is not", HOST, ONLY_64, {{OFF, EXIT, EXIT_64}}},
    {"host CR4.PAE", HOST, ONLY_64, {{OFF, HOST_CR4, CR4_PAE}}},
    {"host RIP", HOST, ONLY_64, {{IS, HOST_RIP, NOT_CANONICAL}}},
    /* 27.3.1.1 Checks on Guest Control Registers, Debug Registers, and MSRs */
    {"CR0.NE", GUEST, ANY, {{OFF, GUEST_CR0, CR0_NE}}},
    {"CR0.PG without PE", GUEST, ANY, {{OFF, GUEST_CR0, CR0_PE}}},
    {"CR0 bit 32", GUEST, ONLY_64, {{ON, GUEST_CR0, BIT(32)}}},
    {"CR4.VMXE", GUEST, ANY, {{OFF, GUEST_CR4, CR4_VMXE}}},
    {"CR4 reserved bit", GUEST, ANY, {{ON, GUEST_CR4, BIT(31)}}},
    {"DEBUGCTL reserved bit", GUEST, ANY, {{ON, ENTRY, ENTRY_DEBUG}, {IS, GUEST_DEBUGCTL, BIT(40)}}},
    {"64-bit guest without CR4.PAE", GUEST, ONLY_64, {{OFF, GUEST_CR4, CR4_PAE}}},
    {"64-bit guest without CR0.PG", GUEST, ONLY_64, {{OFF, GUEST_CR0, CR0_PG}}},
    {"CR4.PCIDE in a 32-bit guest", GUEST, ONLY_32, {{ON, GUEST_CR4, BIT(17)}}},
    {"CR3 beyond the width", GUEST, ONLY_64, {{ON, GUEST_CR3, BEYOND}}},
    {"DR7 bit 32", GUEST, ONLY_64, {{ON, ENTRY, ENTRY_DEBUG}, {ON, GUEST_DR7, BIT(32)}}},
    {"SYSENTER_ESP", GUEST, ONLY_64, {{IS, GUEST_SYSENTER_ESP, NOT_CANONICAL}}},
    {"SYSENTER_EIP", GUEST, ONLY_64, {{IS, GUEST_SYSENTER_EIP, NOT_CANONICAL}}},
    {"PAT", GUEST, ANY, {{ON, ENTRY, ENTRY_LOAD_PAT}, {IS, GUEST_PAT, 3}}},
    {"EFER reserved bit", GUEST, ANY, {{ON, GUEST_EFER, BIT(2)}}},
    {"EFER.LMA clear in a 64-bit guest", GUEST, ONLY_64, {{OFF, GUEST_EFER, EFER_LMA}}},
    {"EFER.LMA set in a 32-bit guest", GUEST, ONLY_32, {{ON, GUEST_EFER, EFER_LMA | EFER_LME}}},
    {"EFER.LME unlike LMA", GUEST, ONLY_64, {{OFF, GUEST_EFER, EFER_LME}}},
    /* 27.3.1.2 Checks on Guest Segment Registers */
    {"TR.TI", GUEST, ANY, {{ON, GUEST_SELECTOR + 2 * TR, 4}}},
    {"LDTR.TI", GUEST, ANY, {{IS, GUEST_AR + 2 * LDTR, 0x82}, {IS, GUEST_SELECTOR + 2 * LDTR, 4}}},
    {"virtual-8086: segments", GUEST, ONLY_32, {{ON, GUEST_RFLAGS, BIT(17)}}},
    {"virtual-8086: limits", GUEST, ONLY_32, {{ON, GUEST_RFLAGS, BIT(17)}, SELECTOR_0(CS), SELECTOR_0(SS), SELECTOR_0(DS), SELECTOR_0(ES), SELECTOR_0(FS), SELECTOR_0(GS)}},
    {"SS.RPL unlike CS.RPL", GUEST, ANY, {{OFF, SECONDARY, SEC_UNRESTRICTED}, {ON, GUEST_SELECTOR + 2 * SS, 3}}},
    {"SS.DPL unlike its RPL", GUEST, ANY, {{OFF, SECONDARY, SEC_UNRESTRICTED}, {ON, GUEST_SELECTOR + 2 * SS, 3}, {ON, GUEST_SELECTOR + 2 * CS, 3}}},
    {"DS.DPL below its RPL", GUEST, ANY, {{OFF, SECONDARY, SEC_UNRESTRICTED}, {ON, GUEST_SELECTOR + 2 * DS, 3}}},
    {"LDTR base", GUEST, ONLY_64, {{IS, GUEST_AR + 2 * LDTR, 0x82}, {IS, GUEST_BASE + 2 * LDTR, NOT_CANONICAL}}},
    {"FS base", GUEST, ONLY_64, {{IS, GUEST_BASE + 2 * FS, NOT_CANONICAL}}},
    {"TR base", GUEST, ONLY_64, {{IS, GUEST_BASE + 2 * TR, NOT_CANONICAL}}},
    {"CS base bit 32", GUEST, ONLY_64, {{IS, GUEST_BASE + 2 * CS, BIT(32)}}},
    {"SS base bit 32", GUEST, ONLY_64, {{IS, GUEST_BASE + 2 * SS, BIT(32)}}},
    {"CS type", GUEST, ANY, {{OFF, GUEST_AR + 2 * CS, BIT(0)}}},
    {"SS type", GUEST, ANY, {{OFF, GUEST_AR + 2 * SS, BIT(1)}}},
    {"DS not accessed", GUEST, ANY, {{OFF, GUEST_AR + 2 * DS, BIT(0)}}},
    {"CS is a system segment", GUEST, ANY, {{OFF, GUEST_AR + 2 * CS, BIT(4)}}},
    {"CS.DPL unlike SS.DPL", GUEST, ANY, {{ON, GUEST_AR + 2 * CS, 0x60}}},
    {"SS not present", GUEST, ANY, {{OFF, GUEST_AR + 2 * SS, BIT(7)}}},
    {"ES reserved bit", GUEST, ANY, {{ON, GUEST_AR + 2 * ES, BIT(8)}}},
    {"CS.D with CS.L", GUEST, ONLY_64, {{ON, GUEST_AR + 2 * CS, BIT(14)}}},
    {"GS.G unlike its limit", GUEST, ANY, {{OFF, GUEST_AR + 2 * GS, BIT(15)}}},
    {"TR type", GUEST, ANY, {{OFF, GUEST_AR + 2 * TR, BIT(1)}}},
    {"TR type 3 in a 64-bit guest", GUEST, ONLY_64, {{OFF, GUEST_AR + 2 * TR, BIT(3)}}},
    {"TR not present", GUEST, ANY, {{OFF, GUEST_AR + 2 * TR, BIT(7)}}},
    {"TR unusable", GUEST, ANY, {{ON, GUEST_AR + 2 * TR, UNUSABLE}}},
    {"LDTR type", GUEST, ANY, {{IS, GUEST_AR + 2 * LDTR, 0x8b}}},
    /* 27.3.1.3 Checks on Guest Descriptor-Table Registers */
    {"GDTR limit", GUEST, ANY, {{IS, GUEST_GDTR_LIMIT, 0x10000}}},
    {"IDTR limit", GUEST, ANY, {{IS, GUEST_IDTR_LIMIT, 0x10000}}},
    {"GDTR base", GUEST, ONLY_64, {{IS, GUEST_GDTR_BASE, NOT_CANONICAL}}},
    {"IDTR base", GUEST, ONLY_64, {{IS, GUEST_IDTR_BASE, NOT_CANONICAL}}},
    /* 27.3.1.4 Checks on Guest RIP, RFLAGS, and SSP */
    {"RIP", GUEST, ONLY_64, {{IS, GUEST_RIP, NOT_CANONICAL}}},
    {"RFLAGS bit 1", GUEST, ANY, {{OFF, GUEST_RFLAGS, BIT(1)}}},
    {"RFLAGS reserved bit", GUEST, ANY, {{ON, GUEST_RFLAGS, BIT(3)}}},
    {"RFLAGS.VM in a 64-bit guest", GUEST, ONLY_64, {{ON, GUEST_RFLAGS, BIT(17)}}},
    {"an interrupt with RFLAGS.IF=0", GUEST, ANY, {{IS, ENTRY_INFO, INFO_VALID | 32}}},
    /* 27.3.1.5 Checks on Guest Non-Register State */
    {"activity state 4", GUEST, ANY, {{IS, ACTIVITY, 4}}},
    {"HLT with blocking by STI", GUEST, ANY, {{IS, ACTIVITY, 1}, {IS, INTERRUPTIBILITY, 1}, {ON, GUEST_RFLAGS, BIT(9)}}},
    {"HLT at CPL 3", GUEST, ANY, {{IS, ACTIVITY, 1}, {ON, GUEST_AR + 2 * SS, 0x60}, {ON, GUEST_AR + 2 * CS, 0x60}}},
    {"an exception in wait-for-SIPI", GUEST, ANY, {{IS, ACTIVITY, 3}, {IS, ENTRY_INFO, INFO_VALID | 3 << 8 | 6}}},
    {"interruptibility reserved bit", GUEST, ANY, {{IS, INTERRUPTIBILITY, BIT(5)}}},
    {"blocking by STI and MOV SS", GUEST, ANY, {{IS, INTERRUPTIBILITY, 3}, {ON, GUEST_RFLAGS, BIT(9)}}},
    {"blocking by STI with RFLAGS.IF=0", GUEST, ANY, {{IS, INTERRUPTIBILITY, 1}}},
    {"an interrupt with blocking by MOV SS", GUEST, ANY, {{IS, INTERRUPTIBILITY, 2}, {ON, GUEST_RFLAGS, BIT(9)}, {IS, ENTRY_INFO, INFO_VALID | 32}}},
    {"an NMI with blocking by MOV SS", GUEST, ANY, {{IS, INTERRUPTIBILITY, 2}, {IS, ENTRY_INFO, INFO_VALID | 2 << 8 | 2}}, 3},
    {"an NMI with blocking by STI", GUEST, ANY, {{IS, INTERRUPTIBILITY, 1}, {ON, GUEST_RFLAGS, BIT(9)}, {IS, ENTRY_INFO, INFO_VALID | 2 << 8 | 2}}, 3},
    {"blocking by SMI outside of SMM", GUEST, ANY, {{IS, INTERRUPTIBILITY, BIT(2)}}},
    {"a virtual NMI with blocking by NMI", GUEST, ANY, {{IS, INTERRUPTIBILITY, BIT(3)}, {ON, PIN, PIN_NMI | PIN_VIRTUAL_NMI}, {IS, ENTRY_INFO, INFO_VALID | 2 << 8 | 2}}},
    {"pending debug: reserved bit", GUEST, ANY, {{IS, PENDING_DEBUG, BIT(4)}}},
    {"pending debug: BS with RFLAGS.TF=0", GUEST, ANY, {{IS, PENDING_DEBUG, BIT(14)}, {IS, INTERRUPTIBILITY, 2}}},
    {"pending debug: no BS with RFLAGS.TF=1", GUEST, ANY, {{ON, GUEST_RFLAGS, BIT(8)}, {IS, INTERRUPTIBILITY, 2}}},
    {"link pointer not aligned", GUEST, ANY, {{IS, LINK_POINTER, 0x10}}, 4},
    {"link pointer beyond the width", GUEST, ANY, {{IS, LINK_POINTER, BEYOND}}, 4},
    {"link pointer to no VMCS", GUEST, ANY, {{IS, LINK_POINTER, PAGE_OF_ITS_OWN}}, 4},
    /* 27.3.1.6 Checks on Guest Page-Directory-Pointer-Table Entries */
    {"PDPTE 0 reserved bit", GUEST, ONLY_PAE, {{ON, GUEST_PDPTE, BIT(1)}}, 2},
    {"PDPTE 3 beyond the width", GUEST, ONLY_PAE, {{IS, GUEST_PDPTE + 6, BEYOND | P}}, 2},
};
/* clang-format on */

/* Enters and says what came of it: VM-instruction error, exit reason. */
static u32 enter(void)
{
    const u32 failed = vmx_enter(l2.reg, VMX(&l2)->launched);
    u32 reason;

    if (failed != 0)
        return failed == 2 ? (u32)vmread(INSTRUCTION_ERROR) : 0;
    reason = (u32)vmread(REASON);
    VMX(&l2)->launched |= (reason & REASON_ENTRY_FAILED) == 0;
    return reason;
}

static bool try_row(const struct row *row)
{
    const u64 rip = vmread(GUEST_RIP);
    u32 came, wanted = row->outcome == GUEST ? GUEST | (u32)REASON_ENTRY_FAILED : row->outcome;
    u64 saved[EDITS];
    bool good;

    vmx_edit(row->edit, saved);
    came = enter();
    good = came == wanted && (wanted < 32 || vmread(QUALIFICATION) == row->qualification);
    must(good, "%s: %x, not %x", row->rule, came, wanted);
    vmx_undo(row->edit, saved);
    vmwrite(GUEST_RIP, rip);
    return good;
}

static void screen(enum mode mode, u32 a, u32 b)
{
    static const u32 outcomes[] = {CONTROLS, HOST, GUEST};
    static const char *const names[] = {"controls: error 7", "host state: error 8",
                                        "guest state: exit 33 with its qualification"};

    l2_new(&l2, mode);
    check(l2_value(&l2, LIN_DATA) != 0, "L2 %s runs", mode_names[mode]);
    vmwrite(GUEST_RIP, l2.code_linear + (u64)(l2_read - l2_code));
    for (u32 k = 0; k < ARRAY_SIZE(outcomes); k++) {
        u32 tried = 0, good = 0;

        for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
            if (rows[i].outcome != outcomes[k] || (rows[i].where != a && rows[i].where != b))
                continue;
            tried++;
            good += try_row(&rows[i]);
        }
        if (tried != 0)
            check(good == tried, "%u of %u wrong %s", good, tried, names[k]);
    }
    vmwrite(LINK_POINTER, (word)VMX(&l2)->vmcs);
    check(enter() == (GUEST | (u32)REASON_ENTRY_FAILED) && vmread(QUALIFICATION) == 4,
          "the current VMCS as its own link: exit 33, 4");
    vmwrite(LINK_POINTER, ~0ull);
    check(l2_step(&l2, l2_read, LIN_DATA, 0) == DONE, "and L2 runs as before");
}

/* SDM Vol 3C 31.4 "VM Instruction Error Numbers": those of the other instructions. */
static void instructions(void)
{
    const u64 vmcs = (word)VMX(&l2)->vmcs, wrong = (word)page_new();
    word value;
    bool ok;

    *(u32 *)(word)wrong = (u32)rdmsr(MSR_VMX_BASIC) ^ 1;
    __asm__ volatile("vmcall\n\tseta %0" : "=qm"(ok) : : "cc");
    check(failed_with(ok, 1), "1: VMCALL in VMX root operation");
    check(failed_with(vmclear(vmcs + 8), 2) && failed_with(vmclear(BEYOND), 2),
          "2: VMCLEAR of no region");
    check(failed_with(vmclear(vmx_vmxon_region()), 3), "3: VMCLEAR of the VMXON region");
    VMX(&l2)->launched = false;
    check(enter() == 4, "4: VMLAUNCH of a launched VMCS");
    must(vmclear(vmcs) && vmptrld(vmcs), "VMCLEAR, VMPTRLD");
    VMX(&l2)->launched = true;
    check(enter() == 5, "5: VMRESUME of a clear VMCS");
    check(failed_with(vmptrld(vmcs + 8), 9) && failed_with(vmptrld(BEYOND), 9),
          "9: VMPTRLD of no region");
    check(failed_with(vmptrld(vmx_vmxon_region()), 10), "10: VMPTRLD of the VMXON region");
    check(failed_with(vmptrld(wrong), 11), "11: VMPTRLD with another revision");
    check(failed_with(vmread_try(0x4e00, &value), 12), "12: VMREAD of no field");
    check(failed_with(vmwrite_try(REASON | BIT(12), 0), 12), "12: VMWRITE of no field");
    check(failed_with(vmxon(wrong), 15), "15: VMXON in VMX operation");
    VMX(&l2)->launched = false;
    check(vmx_launch_behind_mov_ss() == 2 && vmread(INSTRUCTION_ERROR) == 26,
          "26: VMLAUNCH behind MOV SS");
    check(l2_value(&l2, LIN_DATA) != 0, "and L2 runs");
    must(vmclear(vmcs), "VMCLEAR");
    check(!vmread_try(REASON, &value), "no current VMCS: VMfailInvalid");
}

void part_checks(void)
{
    if (L1_64)
        screen(MODE_64, ANY, ONLY_64);
    else
        screen(MODE_32, ANY, ONLY_32);
    screen(MODE_PAE, ONLY_PAE, ONLY_PAE);
    instructions();
}
