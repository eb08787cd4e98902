/* SPDX-License-Identifier: MIT */
/* void svm_enter(word *registers, word vmcb, word host): see svm.h. */
#include "registers.inc"

    .text
    .globl svm_enter
svm_enter:
    keep_caller
#ifdef __x86_64__
    pushq %rdx
    pushq %rdi
    clgi
    movq %rdx, %rax
    vmsave
    movq %rsi, %rax
#else
    movl 20(%esp), %edi
    movl 24(%esp), %ecx
    movl 28(%esp), %eax
    pushl %eax
    pushl %edi
    clgi
    vmsave
    movl %ecx, %eax
#endif
    vmload
    load_registers
    vmrun
    vmsave
    store_registers
#ifdef __x86_64__
    popq %rax
#else
    popl %eax
#endif
    vmload
    stgi
    return_to_caller
