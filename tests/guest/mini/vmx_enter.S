/* SPDX-License-Identifier: MIT */
/* u32 vmx_enter(word *registers, bool resume): see vmx.h. The stack is in HOST_RSP while L2 runs. */
    .text
    .globl vmx_enter, vmx_exited, vmx_launch_behind_mov_ss
    .set HOST_RSP, 0x6c14
#ifdef __x86_64__
vmx_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    movl $HOST_RSP, %eax
    vmwrite %rsp, %rax
    testb %sil, %sil
    movq 0(%rdi), %rax
    movq 8(%rdi), %rcx
    movq 16(%rdi), %rdx
    movq 24(%rdi), %rbx
    movq 40(%rdi), %rbp
    movq 48(%rdi), %rsi
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq \n*8(%rdi), %r\n
    .endr
    movq 56(%rdi), %rdi
    jnz 1f
    vmlaunch
    jmp 2f
1:  vmresume
2:  movl $1, %eax               /* CF: VMfailInvalid */
    jc 3f
    movl $2, %eax
3:  popq %rdi
    jmp 4f
vmx_exited:
    xchgq %rdi, (%rsp)
    movq %rax, 0(%rdi)
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
    xorl %eax, %eax
4:  popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
#else
vmx_enter:
    pushl %ebx
    pushl %ebp
    pushl %esi
    pushl %edi
    movl 20(%esp), %edi
    movl 24(%esp), %ecx
    pushl %edi
    movl $HOST_RSP, %eax
    vmwrite %esp, %eax
    testb %cl, %cl
    movl 0(%edi), %eax
    movl 4(%edi), %ecx
    movl 8(%edi), %edx
    movl 12(%edi), %ebx
    movl 20(%edi), %ebp
    movl 24(%edi), %esi
    movl 28(%edi), %edi
    jnz 1f
    vmlaunch
    jmp 2f
1:  vmresume
2:  movl $1, %eax
    jc 3f
    movl $2, %eax
3:  popl %edi
    jmp 4f
vmx_exited:
    xchgl %edi, (%esp)
    movl %eax, 0(%edi)
    movl %ecx, 4(%edi)
    movl %edx, 8(%edi)
    movl %ebx, 12(%edi)
    movl %ebp, 20(%edi)
    movl %esi, 24(%edi)
    popl %eax
    movl %eax, 28(%edi)
    xorl %eax, %eax
4:  popl %edi
    popl %esi
    popl %ebp
    popl %ebx
    ret
#endif

vmx_launch_behind_mov_ss:
    movl %ss, %eax
    movl %eax, %ss
    vmlaunch
    movl $1, %eax
    jc 1f
    movl $2, %eax
1:  ret
