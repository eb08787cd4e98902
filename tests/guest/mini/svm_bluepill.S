/* SPDX-License-Identifier: MIT */
/*
 * void svm_pill_take(void): the VMCB is complete but for RIP, RSP, RFLAGS; comes back as its guest.
 * Every exit asks svm_pill_exit(registers), which says whether it goes on under us, or without us.
 */
    .text
    .globl svm_pill_take
    .set VMCB_RFLAGS, 0x570
    .set VMCB_RIP, 0x578
    .set VMCB_RSP, 0x5d8
    .set VMCB_RAX, 0x5f8
#ifdef __x86_64__
svm_pill_take:
    movq svm_pill_vmcb, %rax
    movq %rsp, VMCB_RSP(%rax)
    pushfq
    popq VMCB_RFLAGS(%rax)
    leaq 1f(%rip), %rcx
    movq %rcx, VMCB_RIP(%rax)
    leaq svm_pill_stack_top(%rip), %rsp
2:  movq svm_pill_vmcb, %rax
    vmrun
    .irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rsp, rbx, rdx, rcx
    pushq %\r
    .endr
    pushq VMCB_RAX(%rax)
    movq %rsp, %rdi
    call svm_pill_exit
    testb %al, %al
    popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    leaq 8(%rsp), %rsp
    .irp r, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    popq %\r
    .endr
    jnz 2b
    movq pill_rsp, %rsp
    stgi
    pushq pill_rflags
    popfq
    jmp *pill_rip
#else
svm_pill_take:
    movl svm_pill_vmcb, %eax
    movl %esp, VMCB_RSP(%eax)
    pushfl
    popl VMCB_RFLAGS(%eax)
    movl $1f, VMCB_RIP(%eax)
    movl $svm_pill_stack_top, %esp
2:  movl svm_pill_vmcb, %eax
    vmrun
    .irp r, edi, esi, ebp, esp, ebx, edx, ecx
    pushl %\r
    .endr
    pushl VMCB_RAX(%eax)
    pushl %esp
    call svm_pill_exit
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
    jnz 2b
    movl pill_rsp, %esp
    stgi
    pushl pill_rflags
    popfl
    jmp *pill_rip
#endif
1:  ret
    .bss
    .align 16
    .skip 4096
svm_pill_stack_top:
