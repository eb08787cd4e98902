/* SPDX-License-Identifier: MIT */
/* Entries to and exits from L2: see l2.c. A call with RAX = 0 is answered here. */
    .text
    .globl l2_start_vmx, l2_start_svm, l2_exit_vmx

l2_start_vmx:
    movl $0x681c, %eax          /* RSP and RIP of L2: it returns from this call */
    vmwrite %rsp, %rax
    leaq 1f(%rip), %rdx
    movl $0x681e, %eax
    vmwrite %rdx, %rax
    vmlaunch
    ud2                         /* refused */
1:  ret

    .balign 16
l2_exit_vmx:
    pushq %rax
    pushq %rdx
    movl $0x4402, %eax
    vmread %rax, %rdx
    cmpl $18, %edx
    jne other_vmx
    cmpq $0, 8(%rsp)
    jne other_vmx
    movl $0x681e, %eax          /* behind the VMCALL */
    vmread %rax, %rdx
    addq $3, %rdx
    vmwrite %rdx, %rax
    popq %rdx
    popq %rax
    vmresume
    ud2

    .macro save_and_handle
    pushq %rcx
    pushq %rdi
    pushq %rsi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    call l2_handle
    testl %eax, %eax
    jz 9f
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rsi
    popq %rdi
    popq %rcx
    .endm

other_vmx:
    movq 8(%rsp), %rax
    pushq %rdi
    movq %rax, %rdi
    pushq %rdi
    save_and_handle
    addq $8, %rsp
    popq %rdi
    popq %rdx
    popq %rax
    vmresume
9:  ud2

l2_start_svm:
    movq l2_vmcb(%rip), %rax
    leaq 1f(%rip), %rdx
    movq %rdx, 0x578(%rax)
    movq %rsp, 0x5d8(%rax)
    movq $l2_host_stack_top, %rsp
    clgi
2:  vmrun
    cmpq $0x81, 0x70(%rax)
    jne other_svm
    cmpq $0, 0x5f8(%rax)
    jne other_svm
    addq $3, 0x578(%rax)        /* behind the VMMCALL */
    jmp 2b
1:  ret

other_svm:
    pushq %rdx
    pushq %rdi
    movq 0x5f8(%rax), %rdi
    save_and_handle
    popq %rdi
    popq %rdx
    movq l2_vmcb(%rip), %rax
    jmp 2b
9:  ud2

    .bss
    .balign 16
    .space 4096
    .globl l2_host_stack_top, l2_vmcb
l2_host_stack_top:
    .quad 0
l2_vmcb:
    .quad 0
