/* SPDX-License-Identifier: MIT */
/* The SVM side of the seam: one VMCB per guest, VMRUN and exits. */
#include "svm.h"

#include "vendor.h"

enum { IOPM_PAGES = 3, MSRPM_PAGES = 2, DR7_START = 0x400 };
#define DR6_START 0xffff0ff0u
#define PAT_START 0x0007040600070406ull

static const char *const code_names[] = {
    [X_INTR] = "interrupt",
    [X_NMI] = "NMI",
    [X_INIT] = "INIT",
    [X_VINTR] = "virtual interrupt",
    [X_CR0_SELECTIVE] = "CR0 write",
    [X_RDTSC] = "RDTSC",
    [X_RDPMC] = "RDPMC",
    [X_PUSHF] = "PUSHF",
    [X_POPF] = "POPF",
    [X_CPUID] = "CPUID",
    [X_IRET] = "IRET",
    [X_SWINT] = "INT",
    [X_INVD] = "INVD",
    [X_PAUSE] = "PAUSE",
    [X_HLT] = "HLT",
    [X_INVLPG] = "INVLPG",
    [X_INVLPGA] = "INVLPGA",
    [X_IOIO] = "I/O",
    [X_MSR] = "MSR",
    [X_TASK_SWITCH] = "task switch",
    [X_SHUTDOWN] = "shutdown",
    [X_VMRUN] = "VMRUN",
    [X_VMMCALL] = "VMMCALL",
    [X_VMLOAD] = "VMLOAD",
    [X_VMSAVE] = "VMSAVE",
    [X_STGI] = "STGI",
    [X_CLGI] = "CLGI",
    [X_SKINIT] = "SKINIT",
    [X_RDTSCP] = "RDTSCP",
    [X_ICEBP] = "INT1",
    [X_WBINVD] = "WBINVD",
    [X_MONITOR] = "MONITOR",
    [X_MWAIT] = "MWAIT",
    [X_XSETBV] = "XSETBV",
    [X_RDPRU] = "RDPRU",
    [X_INVPCID] = "INVPCID",
};

/* What several guests share: no I/O is let through, and all MSRs but EFER. */
static u8 iopm[IOPM_PAGES * PAGE] __attribute__((aligned(4096)));
static u8 msrpm[MSRPM_PAGES * PAGE] __attribute__((aligned(4096)));
static u8 *host_vmcb;
static u32 last_asid, asids;

u64 vmcb_read(const struct l2 *l2, u32 field)
{
    u64 value = 0;

    memcpy(&value, SVM(l2)->vmcb + (field & 0xffff), field >> 16);
    return value;
}

void vmcb_write(struct l2 *l2, u32 field, u64 value)
{
    memcpy(SVM(l2)->vmcb + (field & 0xffff), &value, field >> 16);
}

void vmcb_change(struct l2 *l2, u32 field, u64 set, u64 clear)
{
    vmcb_write(l2, field, (vmcb_read(l2, field) | set) & ~clear);
}

void vmcb_edit(struct l2 *l2, const struct edit *edits)
{
    for (u32 i = 0; i < EDITS && edits[i].how != NONE; i++) {
        const struct edit *e = &edits[i];
        const u64 old = vmcb_read(l2, e->field);

        vmcb_write(l2, e->field,
                   e->how == IS   ? e->value
                   : e->how == ON ? old | e->value
                                  : old & ~e->value);
    }
}

void vmcb_keep(struct l2 *l2)
{
    memcpy(SVM(l2)->kept, SVM(l2)->vmcb, PAGE);
}

void vmcb_back(struct l2 *l2)
{
    memcpy(SVM(l2)->vmcb, SVM(l2)->kept, PAGE);
    SVM(l2)->flush = FLUSH_ALL;
}

u32 svm_features(void)
{
    u32 regs[4];

    cpuid(0x8000000a, regs);
    return regs[3];
}

static bool svm_offered(void)
{
    u32 regs[4];

    cpuid(0x80000001, regs);
    return (regs[2] & 4) != 0;
}

static void svm_on(void)
{
    u32 regs[4];

    cpuid(0x8000000a, regs);
    asids = regs[1];
    last_asid = 0;
    memset(iopm, 0xff, sizeof(iopm));
    msrpm[0x800 + (MSR_EFER & 0x1fff) / 4] = 3; /* two bits each; those of C0000000h on */
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME | (l1_paging == L1_PAE ? EFER_NXE : 0));
    wrmsr(MSR_VM_HSAVE_PA, (word)page_new());
    host_vmcb = page_new();
}

static void svm_off(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)(EFER_SVME | (l1_paging == L1_PAE ? EFER_NXE : 0)));
}

/* APM Vol 2 15.25.3 "Enabling Nested Paging": L1's own paging mode at VMRUN. */
static const struct format *svm_second_format(void)
{
    return l1_format();
}

static u64 svm_second_execute(void)
{
    return l1_paging == L1_32 ? 0 : NX;
}

static void svm_create(struct l2 *l2)
{
    struct svm *svm = page_new();

    l2->vendor = svm;
    svm->vmcb = page_new();
    svm->kept = page_new();
    svm->flush = FLUSH_ALL; /* another guest may have had this ASID */
    vmcb_write(l2, ASID, last_asid++ % (asids - 1) + 1);
    vmcb_write(l2, INTERCEPTS_3,
               INTERCEPT(X_CPUID) | INTERCEPT(X_HLT) | INTERCEPT(X_IOIO) | INTERCEPT(X_MSR) |
                   INTERCEPT(X_SHUTDOWN));
    vmcb_write(l2, INTERCEPTS_4, INTERCEPT(X_VMRUN) | INTERCEPT(X_VMMCALL));
    vmcb_write(l2, IOPM_BASE, (word)iopm);
    vmcb_write(l2, MSRPM_BASE, (word)msrpm);
    if (l2->shadowed) {
        vmcb_write(l2, EXCEPTION_INTERCEPTS, BIT(14));
    } else {
        vmcb_write(l2, NESTED_CONTROL, NESTED_PAGING);
        vmcb_write(l2, NESTED_CR3, l2->second.root);
    }
    vmcb_write(l2, S_PAT, PAT_START);
    vmcb_write(l2, S_DR6, DR6_START);
    vmcb_write(l2, S_DR7, DR7_START);
    l2->reload = true;
}

/* Descriptor bits 15:12 and 7:0 side by side. */
static u32 attributes(const struct segment *s)
{
    return (s->ar & UNUSABLE) != 0 ? 0 : (s->ar & 0xff) | (s->ar >> 4 & 0xf00);
}

void svm_write_guest(struct l2 *l2)
{
    static const u32 at[SEGMENTS] = {S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_LDTR, S_TR};

    for (u32 i = 0; i < SEGMENTS; i++) {
        const struct segment *s = &l2->seg[i];

        vmcb_write(l2, SEG_SELECTOR(at[i]), s->selector);
        vmcb_write(l2, SEG_ATTRIBUTES(at[i]), attributes(s));
        vmcb_write(l2, SEG_LIMIT(at[i]), s->limit);
        vmcb_write(l2, SEG_BASE(at[i]), s->base);
    }
    vmcb_write(l2, S_CPL, l2->cpl);
    vmcb_write(l2, SEG_BASE(S_GDTR), l2->gdt_base);
    vmcb_write(l2, SEG_LIMIT(S_GDTR), l2->gdt_limit);
    vmcb_write(l2, SEG_BASE(S_IDTR), l2->idt_base);
    vmcb_write(l2, SEG_LIMIT(S_IDTR), l2->idt_limit);
    vmcb_write(l2, S_CR0, l2->cr0);
    vmcb_write(l2, S_CR3, l2->cr3);
    vmcb_write(l2, S_CR4, l2->cr4);
    vmcb_write(l2, S_EFER, l2->efer | EFER_SVME);
}

static const char *svm_exit_name(u64 code)
{
    if (code == X_NPF)
        return "nested page fault";
    if (code == X_INVALID)
        return "invalid state";
    if (code < X_DR_READ)
        return "control register";
    if (code < X_EXCEPTION)
        return "debug register";
    if (code < X_INTR)
        return "exception";
    if (code >= X_IDTR_READ && code <= X_TR_WRITE)
        return "descriptor-table register";
    return code < ARRAY_SIZE(code_names) && code_names[code] != NULL ? code_names[code] : "other";
}

static void svm_exit_print(const struct l2 *l2)
{
    const struct exit *exit = &l2->exit;

    print("    exit at %llx: %s (%llxh), EXITINFO1 %llx, EXITINFO2 %llx\n", l2->rip,
          svm_exit_name(exit->reason), exit->reason, exit->qualification,
          vmcb_read(l2, EXIT_INFO_2));
}

static void read_exit(struct l2 *l2)
{
    const u64 next = vmcb_read(l2, NEXT_RIP);
    struct exit *exit = &l2->exit;

    memset(exit, 0, sizeof(*exit));
    exit->reason = vmcb_read(l2, EXIT_CODE);
    exit->qualification = vmcb_read(l2, EXIT_INFO_1);
    exit->length = next != 0 ? (u32)(next - vmcb_read(l2, S_RIP)) : 0;
    exit->why = WHY_OTHER;
    if (exit->reason == X_CPUID) {
        exit->why = WHY_CALL;
    } else if (exit->reason == X_NPF) {
        exit->why = WHY_SECOND_STAGE;
        exit->access = (exit->qualification & 16) != 0  ? FETCH
                       : (exit->qualification & W) != 0 ? WRITE
                                                        : READ;
        exit->in_tables = (exit->qualification & (NPF_FINAL | NPF_TABLES)) == NPF_TABLES;
        exit->gpa = vmcb_read(l2, EXIT_INFO_2);
    } else if (exit->reason == X_EXCEPTION + 14) {
        exit->why = WHY_PAGE_FAULT;
        exit->linear = vmcb_read(l2, EXIT_INFO_2);
        exit->error = (u32)exit->qualification;
    }
    exits_count(svm_exit_name(exit->reason));
}

void svm_enter_as_is(struct l2 *l2)
{
    struct svm *svm = SVM(l2);

    vmcb_write(l2, TLB_CONTROL, svm->flush);
    svm->flush = FLUSH_NOTHING;
    vmcb_write(l2, S_RAX, l2->reg[RAX]);
    svm_enter(l2->reg, (word)svm->vmcb, (word)host_vmcb);
    l2->reg[RAX] = (word)vmcb_read(l2, S_RAX);
    read_exit(l2);
}

/*
 * APM Vol 2 15.5.1 "Basic Operation": a guest must not clear EFER.SVME, nor needs it see it. Was it
 * an access to EFER, which is done now?
 */
static bool efer_access(struct l2 *l2)
{
    const u64 efer = vmcb_read(l2, S_EFER);

    if (l2->exit.reason != X_MSR || (u32)l2->reg[RCX] != MSR_EFER)
        return false;
    if (l2->exit.qualification == 0) {
        l2->reg[RAX] = (u32)efer & ~(u32)EFER_SVME;
        l2->reg[RDX] = (u32)(efer >> 32);
    } else {
        vmcb_write(l2, S_EFER,
                   (u32)l2->reg[RAX] | (u64)(u32)l2->reg[RDX] << 32 | EFER_SVME |
                       (efer & EFER_LMA));
    }
    vmcb_write(l2, S_RIP, vmcb_read(l2, S_RIP) + 2);
    return true;
}

static void svm_run(struct l2 *l2)
{
    if (l2->reload) {
        svm_write_guest(l2);
        vmcb_write(l2, SHADOW, 0);
    }
    l2->reload = false;
    vmcb_write(l2, S_RIP, l2->rip);
    vmcb_write(l2, S_RSP, l2->rsp);
    vmcb_write(l2, S_RFLAGS, l2->rflags);
    do
        svm_enter_as_is(l2);
    while (efer_access(l2));
    l2->rip = vmcb_read(l2, S_RIP);
    l2->rsp = vmcb_read(l2, S_RSP);
    l2->rflags = vmcb_read(l2, S_RFLAGS);
    l2->cr0 = vmcb_read(l2, S_CR0);
    l2->cr3 = vmcb_read(l2, S_CR3);
    l2->cr4 = vmcb_read(l2, S_CR4);
    l2->efer = vmcb_read(l2, S_EFER) & ~(u64)EFER_SVME;
}

static void svm_flush(struct l2 *l2)
{
    SVM(l2)->flush = (svm_features() & HAS_FLUSH_ASID) != 0 ? FLUSH_ASID : FLUSH_ALL;
}

/* Nothing of a VMCB stays in a processor, but the other's TLB may have this ASID. */
static void svm_release(struct l2 *l2)
{
    SVM(l2)->flush = FLUSH_ALL;
}

static void svm_catch_events(struct l2 *l2)
{
    vmcb_change(l2, INTERCEPTS_3, INTERCEPT(X_INTR) | INTERCEPT(X_NMI), INTERCEPT(X_HLT));
    vmcb_change(l2, V_CONTROL, V_INTR_MASKING, 0);
}

/* Entered with the next run. */
static void svm_inject(struct l2 *l2, u32 vector, u32 error)
{
    if (vector == 14)
        vmcb_write(l2, S_CR2, l2->exit.linear);
    vmcb_write(l2, EVENT, EVENT_VALID | EVENT_ERROR | EVENT_EXCEPTION | vector | (u64)error << 32);
}

static void svm_inject_interrupt(struct l2 *l2, u32 vector)
{
    vmcb_write(l2, EVENT, EVENT_VALID | EVENT_INTERRUPT | vector);
}

const struct vendor vendor_svm = {
    .name = "SVM",
    .program = "svm",
    .second_name = "NPT",
    .offered = svm_offered,
    .on = svm_on,
    .off = svm_off,
    .second_format = svm_second_format,
    .second_as_l1 = true,
    .second_rwx = P | W | U,
    .second_write = W,
    .second_execute = svm_second_execute,
    .wide_guests = true,
    .bad_state = X_INVALID,
    .create = svm_create,
    .run = svm_run,
    .exit_name = svm_exit_name,
    .exit_print = svm_exit_print,
    .release = svm_release,
    .catch_events = svm_catch_events,
    .interrupt_exit = X_INTR,
    .nmi_exit = X_NMI,
    .flush = svm_flush,
    .inject = svm_inject,
    .inject_interrupt = svm_inject_interrupt,
};
