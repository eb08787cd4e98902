/* SPDX-License-Identifier: MIT */
/* The VMX side of the seam: instructions, one VMCS per guest, entries and exits. */
#include "vmx.h"

#include "vendor.h"

static const char *const reason_names[] = {
    [R_EXCEPTION] = "exception or NMI",
    [R_INTERRUPT] = "external interrupt",
    [R_TRIPLE_FAULT] = "triple fault",
    [R_INIT] = "INIT",
    [R_SIPI] = "SIPI",
    [R_INTERRUPT_WINDOW] = "interrupt window",
    [R_NMI_WINDOW] = "NMI window",
    [9] = "task switch",
    [R_CPUID] = "CPUID",
    [R_HLT] = "HLT",
    [13] = "INVD",
    [14] = "INVLPG",
    [15] = "RDPMC",
    [16] = "RDTSC",
    [R_VMCALL] = "VMCALL",
    [19] = "VMCLEAR",
    [20] = "VMLAUNCH",
    [21] = "VMPTRLD",
    [22] = "VMPTRST",
    [23] = "VMREAD",
    [24] = "VMRESUME",
    [25] = "VMWRITE",
    [26] = "VMXOFF",
    [27] = "VMXON",
    [28] = "control register",
    [29] = "debug register",
    [30] = "I/O",
    [31] = "RDMSR",
    [32] = "WRMSR",
    [R_ENTRY_STATE] = "entry: guest state",
    [34] = "entry: MSR loading",
    [36] = "MWAIT",
    [R_MTF] = "monitor trap flag",
    [39] = "MONITOR",
    [40] = "PAUSE",
    [R_APIC_ACCESS] = "APIC access",
    [43] = "TPR below threshold",
    [45] = "virtualized EOI",
    [46] = "GDTR or IDTR",
    [47] = "LDTR or TR",
    [R_EPT_VIOLATION] = "EPT violation",
    [R_EPT_MISCONFIGURATION] = "EPT misconfiguration",
    [50] = "INVEPT",
    [51] = "RDTSCP",
    [R_TIMER] = "preemption timer",
    [53] = "INVVPID",
    [54] = "WBINVD",
    [55] = "XSETBV",
    [56] = "APIC write",
    [57] = "RDRAND",
    [58] = "INVPCID",
    [R_VMFUNC] = "VMFUNC",
    [61] = "RDSEED",
    [R_PML_FULL] = "page-modification log full",
};

/* VMfail sets CF or ZF. */
#define VMX_OK(ok, instruction, ...)                                                               \
    __asm__ volatile(instruction "\n\tseta %0" : "=qm"(ok) : __VA_ARGS__ : "cc", "memory")

bool vmxon(u64 region)
{
    bool ok;

    VMX_OK(ok, "vmxon %1", "m"(region));
    return ok;
}

bool vmclear(u64 region)
{
    bool ok;

    VMX_OK(ok, "vmclear %1", "m"(region));
    return ok;
}

bool vmptrld(u64 region)
{
    bool ok;

    VMX_OK(ok, "vmptrld %1", "m"(region));
    return ok;
}

bool vmread_try(u32 field, word *value)
{
    bool ok;

    __asm__ volatile("vmread %2, %1\n\tseta %0"
                     : "=qm"(ok), "=r"(*value)
                     : "r"((word)field)
                     : "cc");
    return ok;
}

bool vmwrite_try(u32 field, word value)
{
    bool ok;

    VMX_OK(ok, "vmwrite %1, %2", "r"(value), "r"((word)field));
    return ok;
}

bool invept(u32 type, u64 eptp)
{
    const u64 operand[2] = {eptp, 0};
    bool ok;

    VMX_OK(ok, "invept %1, %2", "m"(operand), "r"((word)type));
    return ok;
}

bool invvpid(u32 type, u16 vpid, u64 linear)
{
    const u64 operand[2] = {vpid, linear};
    bool ok;

    VMX_OK(ok, "invvpid %1, %2", "m"(operand), "r"((word)type));
    return ok;
}

bool failed_with(bool ok, u32 error)
{
    return !ok && vmread(INSTRUCTION_ERROR) == error;
}

/* Bits 14:13 of an encoding: 1 is a field of 64 bits, which 32-bit code accesses by halves. */
static bool has_two_halves(u32 field)
{
    return !L1_64 && (field >> 13 & 3) == 1;
}

u64 vmread(u32 field)
{
    word low = 0, high = 0;

    must(vmread_try(field, &low), "VMREAD of field %x", field);
    if (has_two_halves(field))
        must(vmread_try(field + 1, &high), "VMREAD of field %x", field + 1);
    return (u64)high << 32 | low;
}

void vmwrite(u32 field, u64 value)
{
    must(vmwrite_try(field, (word)value), "VMWRITE of field %x", field);
    if (has_two_halves(field))
        must(vmwrite_try(field + 1, (word)(value >> 32)), "VMWRITE of field %x", field + 1);
}

void vmx_change(u32 field, u64 set, u64 clear)
{
    vmwrite(field, (vmread(field) | set) & ~clear);
}

void vmx_edit(const struct edit *edits, u64 *saved)
{
    for (u32 i = 0; i < EDITS && edits[i].how != NONE; i++) {
        const struct edit *e = &edits[i];

        saved[i] = vmread(e->field);
        vmwrite(e->field, e->how == IS   ? e->value
                          : e->how == ON ? saved[i] | e->value
                                         : saved[i] & ~e->value);
    }
}

void vmx_undo(const struct edit *edits, const u64 *saved)
{
    for (u32 i = EDITS; i-- > 0;)
        if (edits[i].how != NONE)
            vmwrite(edits[i].field, saved[i]);
}

u32 vmx_controls(u32 msr, u64 wanted)
{
    const u64 allowed = rdmsr(msr);

    return ((u32)wanted | (u32)allowed) & (u32)(allowed >> 32);
}

void *vmx_region(void)
{
    u32 *region = page_new();

    *region = (u32)rdmsr(MSR_VMX_BASIC);
    return region;
}

static u16 last_vpid;
static u64 vmxon_region;

static bool vmx_offered(void)
{
    u32 regs[4];

    cpuid(1, regs);
    return (regs[2] & 0x20) != 0;
}

void vmx_on(void)
{
    if ((rdmsr(MSR_FEATURE_CONTROL) & 1) == 0)
        wrmsr(MSR_FEATURE_CONTROL, 5);
    CR_SET(4, CR_GET(4) | CR4_VMXE);
    vmxon_region = (word)vmx_region();
    must(vmxon(vmxon_region), "VMXON");
    must(invept(2, 0) && invvpid(2, 0, 0), "INVEPT and INVVPID of everything");
    last_vpid = 0;
}

u64 vmx_vmxon_region(void)
{
    return vmxon_region;
}

void vmx_off(void)
{
    __asm__ volatile("vmxoff" : : : "cc", "memory");
    CR_SET(4, CR_GET(4) & ~(word)CR4_VMXE);
}

static const struct format *vmx_second_format(void)
{
    return &format_ept;
}

static u64 vmx_second_execute(void)
{
    return EPT_X;
}

void vmx_current(struct l2 *l2)
{
    must(vmptrld((word)VMX(l2)->vmcs), "VMPTRLD");
}

void vmx_write_host(void)
{
    struct descriptor_table gdtr, idtr;

    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    for (u32 i = ES; i <= GS; i++)
        vmwrite(HOST_SELECTOR + 2 * i, SEL_DATA);
    vmwrite(HOST_SELECTOR + 2 * CS, L1_64 ? SEL_CODE64 : SEL_CODE32);
    vmwrite(HOST_TR_SELECTOR, SEL_TSS);
    vmwrite(HOST_TR_BASE, (gdt[4] >> 16 & 0xffffff) | gdt[4] >> 56 << 24);
    vmwrite(HOST_GDTR_BASE, gdtr.base);
    vmwrite(HOST_IDTR_BASE, idtr.base);
    vmwrite(HOST_CR0, CR_GET(0));
    vmwrite(HOST_CR3, CR_GET(3));
    vmwrite(HOST_CR4, CR_GET(4));
    vmwrite(HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(HOST_RIP, (word)vmx_exited);
}

static void vmx_create(struct l2 *l2)
{
    struct vmx *vmx = page_new();

    l2->vendor = vmx;
    vmx->vmcs = vmx_region();
    vmx->eptp = l2->second.root | EPTP_WB_4 | EPTP_AD;
    must(vmclear((word)vmx->vmcs), "VMCLEAR");
    vmx_current(l2);
    vmwrite(PIN, vmx_controls(MSR_VMX_TRUE_PIN, 0));
    vmwrite(PRIMARY,
            vmx_controls(MSR_VMX_TRUE_PRIMARY, PRI_HLT | PRI_IO | PRI_MSR_BITMAPS | PRI_SECONDARY));
    vmwrite(MSR_BITMAP, (word)page_new()); /* no MSR exits */
    vmwrite(SECONDARY, vmx_controls(MSR_VMX_SECONDARY, SEC_EPT | SEC_VPID | SEC_UNRESTRICTED |
                                                           SEC_RDTSCP | SEC_INVPCID));
    vmwrite(EXIT, vmx_controls(MSR_VMX_TRUE_EXIT, (L1_64 ? EXIT_64 : 0) | EXIT_SAVE_EFER |
                                                      EXIT_LOAD_EFER | EXIT_ACKNOWLEDGE));
    vmwrite(ENTRY, vmx_controls(MSR_VMX_TRUE_ENTRY, ENTRY_LOAD_EFER));
    vmx->vpid = ++last_vpid;
    vmwrite(VPID, vmx->vpid);
    vmwrite(EPTP, vmx->eptp);
    if (l2->shadowed) {
        vmx_change(SECONDARY, 0, SEC_EPT | SEC_UNRESTRICTED);
        vmwrite(EXCEPTIONS, BIT(14));
    }
    vmwrite(LINK_POINTER, ~0ull);
    vmwrite(GUEST_DR7, 0x400);
    vmx_write_host();
    l2->reload = true;
}

void vmx_write_guest(struct l2 *l2)
{
    for (u32 i = 0; i < SEGMENTS; i++) {
        vmwrite(GUEST_SELECTOR + 2 * i, l2->seg[i].selector);
        vmwrite(GUEST_LIMIT + 2 * i, l2->seg[i].limit);
        vmwrite(GUEST_AR + 2 * i, l2->seg[i].ar);
        vmwrite(GUEST_BASE + 2 * i, l2->seg[i].base);
    }
    vmwrite(GUEST_GDTR_BASE, l2->gdt_base);
    vmwrite(GUEST_GDTR_LIMIT, l2->gdt_limit);
    vmwrite(GUEST_IDTR_BASE, l2->idt_base);
    vmwrite(GUEST_IDTR_LIMIT, l2->idt_limit);
    vmwrite(GUEST_CR0, l2->cr0);
    vmwrite(GUEST_CR3, l2->cr3);
    vmwrite(GUEST_CR4, l2->cr4 | CR4_VMXE);
    vmwrite(CR4_MASK, CR4_VMXE); /* L2 must not clear it, and does not see it */
    vmwrite(GUEST_EFER, l2->efer);
    vmx_change(ENTRY, l2->efer & EFER_LMA ? ENTRY_64 : 0, l2->efer & EFER_LMA ? 0 : ENTRY_64);
    for (u32 i = 0; i < 4; i++)
        vmwrite(GUEST_PDPTE + 2 * i, l2->pdpte[i]);
    vmwrite(INTERRUPTIBILITY, 0);
    vmwrite(ACTIVITY, l2->activity);
    vmwrite(PENDING_DEBUG, 0);
}

static const char *vmx_exit_name(u64 reason)
{
    const u32 basic = (u32)reason & 0xffff;

    return basic < ARRAY_SIZE(reason_names) && reason_names[basic] != NULL ? reason_names[basic]
                                                                           : "other";
}

static void vmx_exit_print(const struct l2 *l2)
{
    const struct exit *exit = &l2->exit;

    print("    exit at %llx: %s (%llu), qualification %llx, guest-physical %08llx, linear %08llx\n",
          l2->rip, vmx_exit_name(exit->reason), exit->reason, exit->qualification, exit->gpa,
          exit->linear);
    if (exit->why != WHY_SECOND_STAGE)
        print("      instruction length %u, information %x\n", exit->length, exit->info);
}

static void read_exit(struct l2 *l2)
{
    struct exit *exit = &l2->exit;

    exit->reason = vmread(REASON);
    exit->qualification = vmread(QUALIFICATION);
    exit->length = (u32)vmread(EXIT_LENGTH);
    exit->info = (u32)vmread(EXIT_INFO);
    exit->gpa = vmread(GUEST_PHYSICAL);
    exit->linear = vmread(LINEAR);
    exit->why = WHY_OTHER;
    if (exit->reason == R_CPUID) {
        exit->why = WHY_CALL;
    } else if (exit->reason == R_EPT_VIOLATION || exit->reason == R_EPT_MISCONFIGURATION) {
        exit->why = WHY_SECOND_STAGE;
        exit->access = (u32)exit->qualification & 7;
        exit->in_tables = (exit->qualification & 0x180) == 0x80;
    }
    if (exit->reason == R_EXCEPTION && (vmread(EXIT_INTERRUPTION) & 0xff) == 14) {
        exit->why = WHY_PAGE_FAULT;
        exit->linear = exit->qualification;
        exit->error = (u32)vmread(EXIT_ERROR_CODE);
    }
    exits_count(vmx_exit_name(exit->reason));
}

static void vmx_run(struct l2 *l2)
{
    struct vmx *vmx = VMX(l2);
    u32 failed;

    vmx_current(l2);
    if (l2->reload)
        vmx_write_guest(l2);
    l2->reload = false;
    vmwrite(GUEST_RIP, l2->rip);
    vmwrite(GUEST_RSP, l2->rsp);
    vmwrite(GUEST_RFLAGS, l2->rflags);
    failed = vmx_enter(l2->reg, vmx->launched);
    if (failed != 0) {
        l2->exit.why = WHY_NOT_ENTERED;
        l2->exit.reason = failed == 2 ? vmread(INSTRUCTION_ERROR) : 0;
        return;
    }
    read_exit(l2);
    vmx->launched |= (l2->exit.reason & REASON_ENTRY_FAILED) == 0;
    l2->rip = vmread(GUEST_RIP);
    l2->rsp = vmread(GUEST_RSP);
    l2->rflags = vmread(GUEST_RFLAGS);
    l2->cr0 = vmread(GUEST_CR0);
    l2->cr3 = vmread(GUEST_CR3);
    l2->cr4 = vmread(GUEST_CR4) & ~(u64)CR4_VMXE;
    l2->efer = vmread(GUEST_EFER);
    for (u32 i = 0; i < 4; i++)
        l2->pdpte[i] = vmread(GUEST_PDPTE + 2 * i);
}

static void vmx_flush(struct l2 *l2)
{
    if (!l2->shadowed)
        must(invept(1, VMX(l2)->eptp), "INVEPT");
    else
        must(invvpid(1, VMX(l2)->vpid, 0), "INVVPID");
}

static void vmx_release(struct l2 *l2)
{
    must(vmclear((word)VMX(l2)->vmcs), "VMCLEAR");
    VMX(l2)->launched = false;
}

static void vmx_catch_events(struct l2 *l2)
{
    vmx_current(l2);
    vmx_change(PIN, PIN_INTERRUPT | PIN_NMI, 0);
}

/* Entered with the next run. A page fault's address goes to CR2, which L1 and L2 share. */
static void vmx_inject(struct l2 *l2, u32 vector, u32 error)
{
    vmx_current(l2);
    if (vector == 14)
        CR_SET(2, l2->exit.linear);
    vmwrite(ENTRY_INFO, INFO_VALID | INFO_ERROR_CODE | 3 << 8 | vector);
    vmwrite(ENTRY_ERROR_CODE, error);
}

static void vmx_inject_interrupt(struct l2 *l2, u32 vector)
{
    vmx_current(l2);
    vmwrite(ENTRY_INFO, INFO_VALID | vector);
}

const struct vendor vendor_vmx = {
    .name = "VMX",
    .program = "vmx",
    .second_name = "EPT",
    .offered = vmx_offered,
    .on = vmx_on,
    .off = vmx_off,
    .second_format = vmx_second_format,
    .second_rwx = EPT_RWX,
    .second_write = EPT_W,
    .second_execute = vmx_second_execute,
    .second_linear = true,
    .bad_state = REASON_ENTRY_FAILED | R_ENTRY_STATE,
    .pdpte_registers = true,
    .create = vmx_create,
    .run = vmx_run,
    .exit_name = vmx_exit_name,
    .exit_print = vmx_exit_print,
    .release = vmx_release,
    .catch_events = vmx_catch_events,
    .interrupt_exit = R_INTERRUPT,
    .nmi_exit = R_EXCEPTION,
    .acknowledges = true,
    .flush = vmx_flush,
    .inject = vmx_inject,
    .inject_interrupt = vmx_inject_interrupt,
};
