/* SPDX-License-Identifier: MIT */
/*
 * bool pill_take(void): the current VMCS is complete but for guest RIP and RSP; launches the caller as
 * its guest. Comes back as the guest (true), or not launched (false).
 */
#include "registers.inc"

    .text
    .globl pill_take, pill_exited, pill_stack_top
    .set GUEST_RSP, 0x681c
    .set GUEST_RIP, 0x681e
pill_take:
#ifdef __x86_64__
    movl $GUEST_RSP, %eax
    vmwrite %rsp, %rax
    movl $GUEST_RIP, %eax
    leaq 1f(%rip), %rcx
    vmwrite %rcx, %rax
#else
    movl $GUEST_RSP, %eax
    vmwrite %esp, %eax
    movl $GUEST_RIP, %eax
    movl $1f, %ecx
    vmwrite %ecx, %eax
#endif
    vmlaunch
    xorl %eax, %eax
    ret
1:  movl $1, %eax
    ret

/* Every exit of that guest: pill_exit(registers) says whether it goes on under us, or without us. */
pill_exited:
    push_guest
#ifdef __x86_64__
    pushq %rax
#else
    pushl %eax
#endif
    ask_and_pop_guest pill_exit
    jz 2f
    vmresume
    hlt
2:  go_on_alone
    .bss
    .align 16
    .skip 4096
pill_stack_top:
