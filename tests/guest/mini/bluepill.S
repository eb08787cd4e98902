/* SPDX-License-Identifier: MIT */
/*
 * bool pill_take(void): the current VMCS is complete but for guest RIP and RSP; launches the caller as
 * its guest. Comes back as the guest (true), or not launched (false).
 */
    .text
    .globl pill_take, pill_exited, pill_stack_top
    .set GUEST_RSP, 0x681c
    .set GUEST_RIP, 0x681e
#ifdef __x86_64__
pill_take:
    movl $GUEST_RSP, %eax
    vmwrite %rsp, %rax
    movl $GUEST_RIP, %eax
    leaq 1f(%rip), %rcx
    vmwrite %rcx, %rax
    vmlaunch
    xorl %eax, %eax
    ret
1:  movl $1, %eax
    ret

/* Every exit of that guest: pill_exit(registers) says whether it goes on under us, or without us. */
pill_exited:
    .irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rsp, rbx, rdx, rcx, rax
    pushq %\r
    .endr
    movq %rsp, %rdi
    call pill_exit
    testb %al, %al
    popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    leaq 8(%rsp), %rsp
    .irp r, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    popq %\r
    .endr
    jz 2f
    vmresume
    hlt
2:  movq pill_rsp, %rsp
    pushq pill_rflags
    popfq
    jmp *pill_rip
#else
pill_take:
    movl $GUEST_RSP, %eax
    vmwrite %esp, %eax
    movl $GUEST_RIP, %eax
    movl $1f, %ecx
    vmwrite %ecx, %eax
    vmlaunch
    xorl %eax, %eax
    ret
1:  movl $1, %eax
    ret

pill_exited:
    .irp r, edi, esi, ebp, esp, ebx, edx, ecx, eax
    pushl %\r
    .endr
    pushl %esp
    call pill_exit
    leal 4(%esp), %esp
    testb %al, %al
    popl %eax
    popl %ecx
    popl %edx
    popl %ebx
    leal 4(%esp), %esp
    popl %ebp
    popl %esi
    popl %edi
    jz 2f
    vmresume
    hlt
2:  movl pill_rsp, %esp
    pushl pill_rflags
    popfl
    jmp *pill_rip
#endif
    .bss
    .align 16
    .skip 4096
pill_stack_top:
