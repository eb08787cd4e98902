/* SPDX-License-Identifier: MIT */
/* u32 vmx_enter(word *registers, bool resume): see vmx.h. The stack is in HOST_RSP while L2 runs. */
#include "registers.inc"

    .text
    .globl vmx_enter, vmx_exited, vmx_launch_behind_mov_ss
    .set HOST_RSP, 0x6c14
vmx_enter:
    keep_caller
#ifdef __x86_64__
    pushq %rdi
    movl $HOST_RSP, %eax
    vmwrite %rsp, %rax
    testb %sil, %sil
    movq 0(%rdi), %rax
#else
    movl 20(%esp), %edi
    movl 24(%esp), %ecx
    pushl %edi
    movl $HOST_RSP, %eax
    vmwrite %esp, %eax
    testb %cl, %cl
    movl 0(%edi), %eax
#endif
    load_registers
    jnz 1f
    vmlaunch
    jmp 2f
1:  vmresume
2:  movl $1, %eax               /* CF: VMfailInvalid */
    jc 3f
    movl $2, %eax
#ifdef __x86_64__
3:  popq %rdi
#else
3:  popl %edi
#endif
    jmp 4f
vmx_exited:
    store_registers
#ifdef __x86_64__
    movq %rax, 0(%rdi)
#else
    movl %eax, 0(%edi)
#endif
    xorl %eax, %eax
4:  return_to_caller

vmx_launch_behind_mov_ss:
    movl %ss, %eax
    movl %eax, %ss
    vmlaunch
    movl $1, %eax
    jc 1f
    movl $2, %eax
1:  ret
