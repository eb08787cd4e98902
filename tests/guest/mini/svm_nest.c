/* SPDX-License-Identifier: MIT */
/*
 * SVM for L2, which is this program once more, a hypervisor with an L3 of its own: L1 emulates its
 * VMRUN, VMLOAD and VMSAVE. Of L2's VMCB (vmcb12) it makes one of its own (vmcb02), with an NPT
 * that joins L2's and its own. APM Vol 2 15.5 "VMRUN Instruction", 15.6 "#VMEXIT", 15.7.2
 * "Intercepts During IDT Interrupt Delivery".
 */
#include "nest.h"
#include "parts.h"
#include "svm.h"
#include "vendor.h"

static struct l2 l2, l3; /* l3: for vmcb02 */
static u64 asid02;
static struct tables joined; /* of L3: guest-physical to machine */
static u64 joined_for; /* the nested CR3 of L2 that it was made for */
static word joined_pages;

/* ---- the join of two NPTs ---- */

static void join_nothing(void)
{
    pages_free_to(joined_pages);
    tables_new_machine(&joined, vendor->second_format());
    joined_for = 0;
    SVM(&l3)->flush = FLUSH_ALL;
}

/* What L2's NPT says of an address of L3. rights: P, W and U of all entries, NX of any. */
static bool walk_npt12(u64 gpa, struct walk *w, u64 *rights)
{
    struct tables t = {l1_format(), joined_for, NULL, nest_at, NULL};

    tables_walk(&t, gpa, w);
    *rights = P | W | U;
    for (u32 i = 0; i < w->steps; i++)
        *rights = (*rights & w->step[i].value) | ((*rights | w->step[i].value) & NX);
    return w->mapped;
}

static void set_flags(const struct walk *w, u64 last)
{
    for (u32 i = 0; i < w->steps; i++) {
        u64 *entry = nest_at(NULL, w->step[i].at);

        *entry |= i + 1 == w->steps ? last : A;
    }
}

/* A nested page fault of L3: filled from L2's NPT (true), or L2's to handle. A page that has not
 * been written to yet is not writable, so that D is set when it is. */
static bool join_page(void)
{
    const u64 gpa = vmcb_read(&l3, EXIT_INFO_2) & ~0xfffull, info = vmcb_read(&l3, EXIT_INFO_1);
    const bool write = (info & W) != 0;
    struct walk w;
    u64 rights;

    if (!walk_npt12(gpa, &w, &rights) || (rights & U) == 0 || (write && (rights & W) == 0) ||
        ((info & 16) != 0 && (rights & NX) != 0) || w.to >= L2_MEMORY)
        return false;
    set_flags(&w, write ? A | D : A);
    tables_map(&joined, gpa, OFFSET + (w.to & ~0xfffull), 12, write ? rights : rights & ~(u64)W);
    return true;
}

/* ---- between vmcb12, vmcb02 and L2 ---- */

/* What VMLOAD and VMSAVE move: FS, GS, LDTR, TR and MSRs. */
static void move_rest(u8 *to, const u8 *from)
{
    memcpy(to + S_FS, from + S_FS, 32);
    memcpy(to + S_LDTR, from + S_LDTR, 16);
    memcpy(to + S_TR, from + S_TR, 16);
    memcpy(to + 0x600, from + 0x600, 0x40); /* STAR to SYSENTER_EIP */
}

static void make_vmcb02(const u8 *vmcb12)
{
    memcpy(SVM(&l3)->vmcb, vmcb12, PAGE);
    move_rest(SVM(&l3)->vmcb, SVM(&l2)->vmcb);
    if (vmcb_read(&l3, TLB_CONTROL) != FLUSH_NOTHING || vmcb_read(&l3, NESTED_CR3) != joined_for)
        join_nothing();
    joined_for = vmcb_read(&l3, NESTED_CR3);
    vmcb_write(&l3, NESTED_CR3, joined.root);
    vmcb_write(&l3, IOPM_BASE, OFFSET + vmcb_read(&l3, IOPM_BASE));
    vmcb_write(&l3, MSRPM_BASE, OFFSET + vmcb_read(&l3, MSRPM_BASE));
    vmcb_write(&l3, ASID, asid02);
    memcpy(l3.reg, l2.reg, sizeof(l3.reg));
    l3.reg[RAX] = (word)vmcb_read(&l3, S_RAX);
}

/* What #VMEXIT writes, and L2 goes on behind its VMRUN. */
static void exit_to_l2(u8 *vmcb12)
{
    static const struct {
        u32 from, to;
    } written[] = {
        {0x060, 0x090},   {0x0a8, 0x0b0}, {0x0c8, 0x0e0}, {S_ES, S_FS},
        {S_GDTR, S_LDTR}, {S_IDTR, S_TR}, {0x4a0, 0x600}, {0x640, 0x698},
    };
    const word vmcb = l2.reg[RAX];

    if (vmcb_read(&l3, EXIT_CODE) == X_NPF) {
        struct walk w;
        u64 rights;
        const bool present = walk_npt12(vmcb_read(&l3, EXIT_INFO_2), &w, &rights);

        /* of L2's tables, not of the join */
        vmcb_change(&l3, EXIT_INFO_1, present ? P : 0, present ? 0 : P);
    }
    for (u32 i = 0; i < ARRAY_SIZE(written); i++)
        memcpy(vmcb12 + written[i].from, SVM(&l3)->vmcb + written[i].from,
               written[i].to - written[i].from);
    move_rest(SVM(&l2)->vmcb, SVM(&l3)->vmcb);
    memcpy(l2.reg, l3.reg, sizeof(l2.reg));
    l2.reg[RAX] = vmcb;
    l2.rip += 3;
}

/* The event whose delivery L1's part of NPT has stopped comes again; instructions that raise one
 * are executed again instead. */
static void again(const u8 *vmcb12)
{
    const u64 event = vmcb_read(&l3, EXIT_INT_INFO);
    const u32 vector = event & 0xff;
    u64 injected;

    memcpy(&injected, vmcb12 + (EVENT & 0xffff), 8);
    if ((event & EVENT_VALID) == 0)
        return;
    if ((injected & EVENT_VALID) != 0 && (u32)injected == (u32)event) {
        vmcb_write(&l3, EVENT, injected);
        memcpy(SVM(&l3)->vmcb + (NEXT_RIP & 0xffff), vmcb12 + (NEXT_RIP & 0xffff), 8);
    } else if ((event & 0x700) != EVENT_SOFTWARE &&
               !((event & 0x700) == EVENT_EXCEPTION && (vector == 3 || vector == 4))) {
        vmcb_write(&l3, EVENT, event);
    }
}

/* L3 until something is for L2. */
static void run_l3(void)
{
    u8 *vmcb12 = nest_at(NULL, l2.reg[RAX]);

    must(vmcb12 != NULL, "VMRUN of %lx", l2.reg[RAX]);
    make_vmcb02(vmcb12);
    svm_enter_as_is(&l3);
    while (vmcb_read(&l3, EXIT_CODE) == X_NPF && join_page()) {
        again(vmcb12);
        svm_enter_as_is(&l3);
    }
    exit_to_l2(vmcb12);
}

/* Runs L2, and L3 under it, until L2 says that it is done. Its GIF is of no matter. */
static void run_l2(void)
{
    for (;;) {
        u8 *rest;

        vendor->run(&l2);
        rest = nest_at(NULL, l2.reg[RAX]);
        switch (l2.exit.reason) {
        case X_VMMCALL: return;
        case X_VMRUN: run_l3(); continue;
        case X_VMLOAD: move_rest(SVM(&l2)->vmcb, rest); break;
        case X_VMSAVE: move_rest(rest, SVM(&l2)->vmcb); break;
        case X_STGI:
        case X_CLGI: break;
        case X_MSR: /* VM_HSAVE_PA, which L1 keeps for itself */ l2.rip += 2; continue;
        default:
            print("nest: exit code %llx of L2 at %llx\n", l2.exit.reason, l2.rip);
            failures++;
            leave();
        }
        l2.rip += 3;
    }
}

void part_svm_nest(void)
{
    u8 *map;

    if (!nest_new(&l2))
        return;
    map = page_new();
    (void)page_new(); /* pages come in a row */
    map[0x800 + (MSR_EFER & 0x1fff) / 4] = 3;
    map[0x1000 + (MSR_VM_HSAVE_PA & 0x1fff) / 4] = 0xc0;
    vmcb_write(&l2, MSRPM_BASE, (word)map);
    vmcb_write(&l2, INTERCEPTS_3, INTERCEPT(X_MSR) | INTERCEPT(X_SHUTDOWN));
    vmcb_write(&l2, INTERCEPTS_4,
               INTERCEPT(X_VMRUN) | INTERCEPT(X_VMMCALL) | INTERCEPT(X_VMLOAD) |
                   INTERCEPT(X_VMSAVE) | INTERCEPT(X_STGI) | INTERCEPT(X_CLGI));
    memset(&l3, 0, sizeof(l3));
    l2_as_l1(&l3);
    tables_new_machine(&l3.second, vendor->second_format());
    vendor->create(&l3);
    asid02 = vmcb_read(&l3, ASID);
    joined_pages = pages_mark();
    join_nothing();
    run_l2();
    nest_check(&l2);
}
