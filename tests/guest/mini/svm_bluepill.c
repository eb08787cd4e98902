/* SPDX-License-Identifier: MIT */
/*
 * L1 makes itself its own guest, with SVM: see bluepill.c. Interrupts and NMIs are not intercepted,
 * what is not in the VMCB stays in the registers, and GIF is 0 only in the hypervisor.
 */
#include "parts.h"
#include "pill.h"
#include "svm.h"
#include "vendor.h"

void svm_pill_take(void);
bool svm_pill_exit(word *reg);
word svm_pill_vmcb; /* of svm_bluepill.S */

static struct l2 l2;

/* The hypervisor: CPUID with a leaf more, and VMMCALL to take it away. */
bool svm_pill_exit(word *reg)
{
    const u64 code = vmcb_read(&l2, EXIT_CODE), next = vmcb_read(&l2, S_RIP);

    if (code == X_VMMCALL && reg[RAX] == PILL_LEAVE) {
        pill_others++;
        pill_rip = (word)next + 3;
        pill_rsp = (word)vmcb_read(&l2, S_RSP);
        pill_rflags = (word)vmcb_read(&l2, S_RFLAGS);
        return false;
    }
    if (code != X_CPUID) {
        print("bluepill: exit code %llx\n", code);
        failures++;
        leave();
    }
    pill_cpuid(reg);
    vmcb_write(&l2, S_RAX, reg[RAX]);
    vmcb_write(&l2, S_RIP, next + 2);
    return true;
}

static bool svme_is_set(void)
{
    return (rdmsr(MSR_EFER) & EFER_SVME) != 0;
}

void part_svm_bluepill(void)
{
    u32 undefined;

    pill_new(&l2);
    svm_write_guest(&l2);
    vmcb_write(&l2, INTERCEPTS_3, INTERCEPT(X_CPUID) | INTERCEPT(X_SHUTDOWN));
    vmcb_write(&l2, TLB_CONTROL, FLUSH_ALL);
    svm_pill_vmcb = (word)SVM(&l2)->vmcb;
    svm_pill_take();
    pill_check(svme_is_set);
    __asm__ volatile("vmmcall" : : "a"(PILL_LEAVE) : "memory");
    check(pill_others != 0, "VMMCALL: it has gone, L1 runs on");
    undefined = event_count[6];
    __asm__ volatile("mov%z0 $1f, %0\n\tvmmcall\n\t1:" : "=m"(event_resume) : : "memory");
    event_resume = 0;
    check(event_count[6] == undefined + 1, "where VMMCALL is #UD again");
}
