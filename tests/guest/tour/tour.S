/* SPDX-License-Identifier: MIT */
/* The tour guest's assembly: entry, exception stubs, the other CPUs' start, and the 64-bit leg. */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .code32
    .globl start
start:
    cld
    movl $stack_top, %esp
    lgdt gdt_pointer
    ljmp $8, $1f
1:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    movw %ax, %gs
    pushl %ebx
    call tour_main
2:  cli
    hlt
    jmp 2b

/* 32-bit exception and interrupt stubs: vector and error code go to C, which may move EIP. */
    .macro stub vector, error
stub_\vector:
    .if !\error
    pushl $0
    .endif
    pushl $\vector
    jmp stub_common
    .endm
    stub 6, 0
    stub 13, 1
    stub 14, 1
    stub 32, 0
    stub 33, 0
    stub 34, 0
stub_common:
    pushal
    pushl %esp
    call tour_event
    addl $4, %esp
    popal
    addl $8, %esp
    iretl

    .section .rodata
    .globl tour_stubs
tour_stubs:
    .long 6, stub_6, 13, stub_13, 14, stub_14, 32, stub_32, 33, stub_33, 34, stub_34, 0, 0

/*
 * u32 leg64(u32 cr3, u32 cr4, u64 *va, u64 *out): turn paging off, enter 64-bit mode with these tables,
 * read *(u64 *)va into *out, take a #UD through a 64-bit gate, come back to 32 bits without paging.
 * Returns how many #UD were taken.
 */
    .text
    .globl leg64
leg64:
    pushl %ebx
    pushl %esi
    pushl %edi
    pushl %ebp
    movl %esp, saved_esp
    movl 20(%esp), %eax         /* cr3 */
    movl 24(%esp), %edx         /* cr4 */
    movl 28(%esp), %esi         /* &va */
    movl 32(%esp), %edi         /* out */
    movl %edx, %cr4
    movl %eax, %cr3
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x900, %eax            /* LME, NXE */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmp $24, $1f
    .code64
1:  lidt idt64_pointer(%rip)
    xorl %ebp, %ebp
    ud2
    movq (%rsi), %rax
    movq (%rax), %rax
    movq %rax, (%rdi)
    ljmp *to_32(%rip)
ud64:
    incl %ebp
    addq $2, (%rsp)
    iretq
    .code32
2:  movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $0xC0000080, %ecx
    rdmsr
    andl $~0x900, %eax
    wrmsr
    xorl %eax, %eax
    movl %eax, %cr4
    lidt idt32_pointer
    movl %ebp, %eax
    movl saved_esp, %esp
    popl %ebp
    popl %edi
    popl %esi
    popl %ebx
    ret

    .data
    .align 8
to_32:
    .long 2b
    .word 8
    .align 16
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08: 32-bit code */
    .quad 0x00cf93000000ffff    /* 10: data */
    .quad 0x00af9b000000ffff    /* 18: 64-bit code */
    .globl gdt_pointer
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
    .globl idt32_pointer
idt32_pointer:
    .word 0
    .long 0
    .globl idt64_pointer, idt64, ud64
idt64_pointer:
    .word 16 * 16 - 1
    .long idt64, 0

/* The other CPUs start here in real mode, copied to 0x8000. */
    .text
    .globl ap_start, ap_end
    .code16
ap_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl %cs:(ap_gdt - ap_start)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $ap32
    .align 4
ap_gdt:
    .word 31
    .long gdt
ap_end:
    .code32
ap32:
    movw $16, %ax
    movw %ax, %ds
    lock incl ap_count
1:  cli
    hlt
    jmp 1b

    .bss
    .align 16
idt64: .skip 256
saved_esp: .skip 4
    .globl ap_count
ap_count: .skip 4
    .skip 16384
stack_top:
