/* SPDX-License-Identifier: MIT */
/*
 * Entry of the bench guest: multiboot 1 (nestbox and QEMU) or the boot sector beside this file (Bochs
 * and any PC). Builds an identity map of 4 GiB with 2 MiB pages and enters bench_main(command line)
 * in 64-bit mode with SSE and x87 enabled.
 */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0x00010000, -(0x1BADB002 + 0x00010000)
    .long multiboot_header, image_start, image_end, bss_end, start

    .set multiboot_header, image_start

    .text
    .code32
    .globl start
start:
    cld
    movl $stack_top, %esp
    xorl %esi, %esi
    cmpl $0x2BADB002, %eax
    jne 1f
    testl $4, (%ebx)            /* flags bit 2: command line */
    jz 2f
    movl 16(%ebx), %esi
    jmp 2f
1:  movl $0x7a00, %esi          /* the boot sector leaves it here */
2:  movl $pml4, %eax
    movl $pdpt + 3, (%eax)
    movl $pdpt, %eax
    movl $pd + 7, %ecx
    movl $4, %edx
3:  movl %ecx, (%eax)
    addl $8, %eax
    addl $4096, %ecx
    decl %edx
    jnz 3b
    movl $pd, %eax
    movl $0x87, %ecx
    movl $2048, %edx
4:  movl %ecx, (%eax)
    addl $8, %eax
    addl $0x200000, %ecx
    decl %edx
    jnz 4b
    orl $4, pml4                /* user pages allowed: the syscall workload runs in ring 3 */
    movl $0x620, %eax           /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x101, %eax            /* LME, SCE */
    wrmsr
    movl $0x80000013, %eax      /* PG, ET, MP, PE */
    movl %eax, %cr0
    lgdt gdtr
    ljmp $8, $5f
    .code64
5:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    fninit
    movl %esi, %edi
    call bench_main
6:  hlt
    jmp 6b

/* Interrupt and exception stubs: the workloads choose which they install. */
    .globl stub_iret, stub_skip_ud, stub_page_fault, stub_die
stub_iret:
    iretq
stub_skip_ud:
    addq $2, (%rsp)             /* over the UD2 */
    iretq
stub_page_fault:                /* map the page again and return: see bench.c */
    pushq %rax
    movq fault_entry(%rip), %rax
    orq $1, (%rax)
    popq %rax
    addq $8, %rsp
    iretq
stub_die:
    movw $0xf4, %dx
    movl $9, %eax
    outl %eax, %dx
1:  hlt
    jmp 1b

/* One round of the syscall workload: user code loops, the kernel side only returns. */
    .globl syscall_entry, user_loop, enter_user
syscall_entry:
    testq %rdi, %rdi
    jz 1f
    sysretq
1:  movq user_saved_rsp(%rip), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
enter_user:                     /* rdi: rounds */
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, user_saved_rsp(%rip)
    leaq user_loop(%rip), %rcx
    movl $2, %r11d
    sysretq
user_loop:
    syscall
    decq %rdi
    jns user_loop
    ud2

    .section .rodata
    .align 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* 08 kernel code 64 */
    .quad 0x00cf93000000ffff    /* 10 kernel data */
    .quad 0x00cffb000000ffff    /* 18 user code 32 (SYSRET base) */
    .quad 0x00cff3000000ffff    /* 20 user data */
    .quad 0x00affb000000ffff    /* 28 user code 64 */
gdtr:
    .word gdtr - gdt - 1
    .long gdt, 0

    .bss
    .align 4096
    .globl pml4, pd
pml4: .skip 4096
pdpt: .skip 4096
pd:   .skip 4 * 4096
    .skip 65536
stack_top:
    .globl fault_entry
fault_entry: .skip 8
user_saved_rsp: .skip 8
