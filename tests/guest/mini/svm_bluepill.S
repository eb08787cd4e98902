/* SPDX-License-Identifier: MIT */
/*
 * void svm_pill_take(void): the VMCB is complete but for RIP, RSP, RFLAGS; comes back as its guest.
 * Every exit asks svm_pill_exit(registers), which says whether it goes on under us, or without us.
 */
#include "registers.inc"

    .text
    .globl svm_pill_take
    .set VMCB_RFLAGS, 0x570
    .set VMCB_RIP, 0x578
    .set VMCB_RSP, 0x5d8
    .set VMCB_RAX, 0x5f8
svm_pill_take:
#ifdef __x86_64__
    movq svm_pill_vmcb, %rax
    movq %rsp, VMCB_RSP(%rax)
    pushfq
    popq VMCB_RFLAGS(%rax)
    leaq 1f(%rip), %rcx
    movq %rcx, VMCB_RIP(%rax)
    leaq svm_pill_stack_top(%rip), %rsp
2:  movq svm_pill_vmcb, %rax
    vmrun
    push_guest
    pushq VMCB_RAX(%rax)
#else
    movl svm_pill_vmcb, %eax
    movl %esp, VMCB_RSP(%eax)
    pushfl
    popl VMCB_RFLAGS(%eax)
    movl $1f, VMCB_RIP(%eax)
    movl $svm_pill_stack_top, %esp
2:  movl svm_pill_vmcb, %eax
    vmrun
    push_guest
    pushl VMCB_RAX(%eax)
#endif
    ask_and_pop_guest svm_pill_exit
    jnz 2b
    stgi
    go_on_alone
1:  ret
    .bss
    .align 16
    .skip 4096
svm_pill_stack_top:
