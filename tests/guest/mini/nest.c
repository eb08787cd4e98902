/* SPDX-License-Identifier: MIT */
/*
 * VMX for L2, which is this program once more, a hypervisor with an L3 of its own: L1 emulates what
 * it asks of VMX. A field that L2 writes goes to a table (vmcs12); when L2 launches L3, L1 makes
 * one VMCS of it (vmcs02), with an EPT that joins L2's and its own. With SVM: svm_nest.c.
 */
#include "nest.h"

#include "parts.h"
#include "vendor.h"
#include "vmx.h"

enum { VMCS12S = 16, FIELDS = 512 };
enum { TYPE_CONTROL, TYPE_READ_ONLY, TYPE_GUEST, TYPE_HOST };

struct vmcs12 {
    u64 address;
    bool launched;
    u64 field[FIELDS];
};

static struct l2 l2, l3; /* l3: only what vmx_create() needs for vmcs02 */
static struct vmcs12 *vmcs12s[VMCS12S];
static struct {
    bool on;
    struct vmcs12 *current;
} virtual;
static struct tables joined; /* of L3: guest-physical to machine */
static u64 joined_for; /* the EPTP of L2 that it was made for */
static word joined_pages;

static u64 *field12(u32 encoding)
{
    return &virtual.current->field[(encoding >> 10 & 3) << 7 | (encoding >> 13 & 3) << 5 |
                                   (encoding >> 1 & 31)];
}

/* ---- the join of two EPTs ---- */

static void join_nothing(void)
{
    pages_free_to(joined_pages);
    tables_new_machine(&joined, &format_ept);
    joined_for = 0;
    must(invept(2, 0), "INVEPT");
}

/* What L2's EPT says of an address of L3: where it is for L2, and which rights. */
static bool walk_ept12(u64 gpa, u64 *to, u32 *rights)
{
    struct tables t = {&format_ept, *field12(EPTP) & ~0xfffull, NULL, nest_at, NULL};
    struct walk w;

    tables_walk(&t, gpa, &w);
    *rights = 7;
    for (u32 i = 0; i < w.steps; i++)
        *rights &= (u32)w.step[i].value;
    *to = w.to;
    return w.mapped;
}

/* An EPT violation of L3: filled from L2's EPT (true), or L2's to handle. */
static bool join_page(void)
{
    const u64 gpa = vmread(GUEST_PHYSICAL), qualification = vmread(QUALIFICATION);
    u32 rights;
    u64 to;

    if (!walk_ept12(gpa, &to, &rights) || (qualification & 7 & ~(u64)rights) != 0 ||
        to >= L2_MEMORY)
        return false;
    tables_map(&joined, gpa & ~0xfffull, OFFSET + (to & ~0xfffull), 12, rights | EPT_WB);
    return true;
}

/* ---- between vmcs12, vmcs02 and L2 ---- */

/* Calls with each field of a type that the current VMCS has. */
static void for_fields(u32 type, void (*with)(u32 encoding))
{
    for (u32 width = 0; width < 4; width++)
        for (u32 i = 0; i < 32; i++) {
            const u32 encoding = width << 13 | type << 10 | i << 1;
            word value;

            if (vmread_try(encoding, &value))
                with(encoding);
        }
}

static void from12(u32 encoding)
{
    vmwrite(encoding, *field12(encoding));
}

static void to12(u32 encoding)
{
    *field12(encoding) = vmread(encoding);
}

static void make_vmcs02(void)
{
    static const u32 controls[] = {PIN,        PRIMARY,    SECONDARY,        ENTRY,
                                   EXCEPTIONS, CR0_MASK,   CR4_MASK,         CR0_SHADOW,
                                   CR4_SHADOW, ENTRY_INFO, ENTRY_ERROR_CODE, ENTRY_LENGTH};

    if (joined_for != *field12(EPTP)) {
        join_nothing();
        joined_for = *field12(EPTP);
    }
    vmx_current(&l3);
    for_fields(TYPE_GUEST, from12);
    for (u32 i = 0; i < ARRAY_SIZE(controls); i++)
        from12(controls[i]);
    vmwrite(MSR_BITMAP, OFFSET + *field12(MSR_BITMAP));
    vmwrite(LINK_POINTER, ~0ull);
    vmwrite(EPTP, joined.root | EPTP_WB_4);
}

/* L2 goes on where it said in its host state. */
static void exit_to_l2(void)
{
    for_fields(TYPE_GUEST, to12);
    for_fields(TYPE_READ_ONLY, to12);
    *field12(ENTRY_INFO) &= ~INFO_VALID;
    if (*field12(REASON) == R_EPT_VIOLATION) {
        u32 rights;
        u64 to;

        *field12(QUALIFICATION) &= ~0x38ull;
        if (walk_ept12(*field12(GUEST_PHYSICAL), &to, &rights))
            *field12(QUALIFICATION) |= rights << 3;
    }
    l2.rip = *field12(HOST_RIP);
    l2.rsp = *field12(HOST_RSP);
    l2.rflags = 2;
    memcpy(l2.reg, l3.reg, sizeof(l2.reg));
}

static void result(u32 error) /* 0: VMsucceed; ~0: VMfailInvalid */
{
    l2.rflags &= ~0x8d5ull;
    if (error == 0)
        return;
    if (error == ~0u || virtual.current == NULL) {
        l2.rflags |= 1;
        return;
    }
    l2.rflags |= 0x40;
    *field12(INSTRUCTION_ERROR) = error;
}

/* L3 until something is for L2. */
static void run_l3(void)
{
    u32 failed;

    make_vmcs02();
    memcpy(l3.reg, l2.reg, sizeof(l3.reg));
    do {
        failed = vmx_enter(l3.reg, VMX(&l3)->launched);
        if (failed != 0) {
            const u32 error = (u32)vmread(INSTRUCTION_ERROR);

            l2.rip += l2.exit.length;
            result(error);
            return;
        }
        VMX(&l3)->launched |= (vmread(REASON) & REASON_ENTRY_FAILED) == 0;
    } while (vmread(REASON) == R_EPT_VIOLATION && join_page());
    virtual.current->launched |= (vmread(REASON) & REASON_ENTRY_FAILED) == 0;
    exit_to_l2();
}

/* ---- L2's instructions ---- */

/* The memory operand; SDM Vol 3C table 28-13. Segment bases are 0. */
static u64 *operand(void)
{
    const u32 info = l2.exit.info;
    u64 address = l2.exit.qualification;

    l2.reg[RSP] = (word)l2.rsp;
    if ((info & BIT(27)) == 0)
        address += l2.reg[info >> 23 & 15];
    if ((info & BIT(22)) == 0)
        address += (u64)l2.reg[info >> 18 & 15] << (info & 3);
    return nest_at(NULL, address);
}

static struct vmcs12 *find12(u64 address)
{
    for (u32 i = 0; i < VMCS12S; i++) {
        if (vmcs12s[i] != NULL && vmcs12s[i]->address == address)
            return vmcs12s[i];
        if (vmcs12s[i] == NULL) {
            vmcs12s[i] = page_new();
            (void)page_new(); /* it is larger than one page, and pages come in a row */
            vmcs12s[i]->address = address;
            joined_pages = pages_mark();
            join_nothing();
            return vmcs12s[i];
        }
    }
    must(false, "L2 has too many VMCSs");
    leave();
}

static u32 access_field(bool write)
{
    const u32 info = l2.exit.info, encoding = (u32)l2.reg[info >> 28];
    word *value = &l2.reg[info >> 3 & 15], dummy;

    l2.reg[RSP] = (word)l2.rsp;
    if (virtual.current == NULL)
        return ~0u;
    if (!vmread_try(encoding, &dummy)) /* L1's VMCS has the same fields */
        return 12;
    if ((info & BIT(10)) == 0)
        value = (word *)operand();
    if (write)
        *field12(encoding) = *value;
    else
        *value = (word)*field12(encoding);
    return 0;
}

static u32 emulate(void)
{
    switch (l2.exit.reason) {
    case 19: find12(*operand())->launched = false; return 0;
    case 21: virtual.current = find12(*operand()); return 0;
    case 22: *operand() = virtual.current != NULL ? virtual.current->address : ~0ull; return 0;
    case 23: return access_field(false);
    case 25: return access_field(true);
    case 26: virtual.on = false; return 0;
    case 27:
        if (virtual.on)
            return 15;
        virtual.on = true;
        virtual.current = NULL;
        return 0;
    case 50: join_nothing(); return 0;
    case 53: must(invvpid(2, 0, 0), "INVVPID"); return 0;
    default: print("nest: exit %llu of L2 at %llx\n", l2.exit.reason, l2.rip); leave();
    }
}

/* MOV to CR4: L2 sees its VMXE, the processor keeps it on. */
static void write_cr4(void)
{
    const u64 value = l2.reg[l2.exit.qualification >> 8 & 15];

    must((l2.exit.qualification & 0x3f) == 4, "only MOV to CR4 exits");
    vmwrite(CR4_SHADOW, value);
    vmwrite(GUEST_CR4, value | CR4_VMXE);
}

/* Runs L2, and L3 under it, until L2 says that it is done. */
static void run_l2(void)
{
    u32 out[4];

    for (;;) {
        vendor->run(&l2);
        switch (l2.exit.reason) {
        case R_VMCALL: return;
        case R_CPUID:
            cpuid((u32)l2.reg[RAX], out);
            l2.reg[RAX] = out[0];
            l2.reg[RBX] = out[1];
            l2.reg[RCX] = out[2];
            l2.reg[RDX] = out[3];
            break;
        case 28: write_cr4(); break;
        case 20:
        case 24:
            if (virtual.current != NULL && virtual.current->launched == (l2.exit.reason == 24)) {
                run_l3();
                continue;
            }
            result(virtual.current == NULL ? ~0u : l2.exit.reason == 24 ? 5 : 4);
            break;
        default: result(emulate()); break;
        }
        l2.rip += l2.exit.length;
    }
}

void part_nest(void)
{
    if (!nest_new(&l2))
        return;
    vmx_change(PRIMARY, 0, PRI_IO | PRI_HLT);
    memset(&l3, 0, sizeof(l3));
    l2_as_l1(&l3);
    vendor->create(&l3);
    joined_pages = pages_mark();
    join_nothing();
    run_l2();
    nest_check(&l2);
}
