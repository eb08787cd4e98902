/* SPDX-License-Identifier: MIT */
/* void svm_enter(word *registers, word vmcb, word host): see svm.h. */
    .text
    .globl svm_enter
#ifdef __x86_64__
svm_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdx
    pushq %rdi
    clgi
    movq %rdx, %rax
    vmsave
    movq %rsi, %rax
    vmload
    movq 8(%rdi), %rcx
    movq 16(%rdi), %rdx
    movq 24(%rdi), %rbx
    movq 40(%rdi), %rbp
    movq 48(%rdi), %rsi
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq \n*8(%rdi), %r\n
    .endr
    movq 56(%rdi), %rdi
    vmrun
    vmsave
    xchgq %rdi, (%rsp)
    movq %rcx, 8(%rdi)
    movq %rdx, 16(%rdi)
    movq %rbx, 24(%rdi)
    movq %rbp, 40(%rdi)
    movq %rsi, 48(%rdi)
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq %r\n, \n*8(%rdi)
    .endr
    popq %rax
    movq %rax, 56(%rdi)
    popq %rax
    vmload
    stgi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
#else
svm_enter:
    pushl %ebx
    pushl %ebp
    pushl %esi
    pushl %edi
    movl 20(%esp), %edi
    movl 24(%esp), %ecx
    movl 28(%esp), %eax
    pushl %eax
    pushl %edi
    clgi
    vmsave
    movl %ecx, %eax
    vmload
    movl 4(%edi), %ecx
    movl 8(%edi), %edx
    movl 12(%edi), %ebx
    movl 20(%edi), %ebp
    movl 24(%edi), %esi
    movl 28(%edi), %edi
    vmrun
    vmsave
    xchgl %edi, (%esp)
    movl %ecx, 4(%edi)
    movl %edx, 8(%edi)
    movl %ebx, 12(%edi)
    movl %ebp, 20(%edi)
    movl %esi, 24(%edi)
    popl %eax
    movl %eax, 28(%edi)
    popl %eax
    vmload
    stgi
    popl %edi
    popl %esi
    popl %ebp
    popl %ebx
    ret
#endif
