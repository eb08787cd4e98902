/* SPDX-License-Identifier: MIT */
/*
 * Start of the mini hypervisors: multiboot entry, exception stubs and the start of a second
 * processor, for 64-bit code (__x86_64__) and 32-bit code.
 */
    .section .multiboot, "a"
    .align 4
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .code32
    .globl start
start:
    cld
    movl $stack_top, %esp
    movl %ebx, boot_info
    lgdt gdt_pointer
    ljmp $8, $1f
1:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    movw %ax, %gs
#ifdef __x86_64__
    /* 4 GiB mapped to themselves by 2 MiB pages */
    movl $0x83, %eax
    movl $long_pd, %edi
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $long_pd + 0x4000, %edi
    jb 2b
    movl $long_pdpt, %edi
    movl $long_pd + 3, %eax
3:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    cmpl $long_pdpt + 32, %edi
    jb 3b
    movl $long_pdpt + 3, long_pml4
    call enter_long
    ljmp $24, $long_start

/* Paging and 64-bit mode on, with the tables above. */
enter_long:
    movl $0x20, %eax
    movl %eax, %cr4
    movl $long_pml4, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x900, %eax            /* LME, NXE */
    wrmsr
    movl $0x80010031, %eax      /* PG, WP, NE, ET, PE */
    movl %eax, %cr0
    ret
    .code64
/* void set_long_paging(word cr4, word cr3): L1's tables may have another number of levels after it. */
    .globl set_long_paging
set_long_paging:
    .irp r, rbx, rbp, r12, r13, r14, r15 /* upper halves do not outlive 64-bit mode */
    pushq %\r
    .endr
    pushq $8
    pushq $1f
    lretq
    .code32
1:  movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl %edi, %cr4
    movl %esi, %cr3
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmp $24, $2f
    .code64
2:  .irp r, r15, r14, r13, r12, rbp, rbx
    popq %\r
    .endr
    ret
long_start:
    movl boot_info, %edi
    call mini_main
#else
    movl $0x31, %eax            /* NE, ET, PE */
    movl %eax, %cr0
    pushl boot_info
    call mini_main
#endif
4:  cli
    hlt
    jmp 4b

/*
 * Stubs of all vectors up to 47: vector and error code (0 if there is none) go to mini_event(), which
 * may change everything in its frame.
 */
    .macro stub vector
stub_\vector:
    .if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17)
    push $0
    .endif
    push $\vector
    jmp stub_common
    .endm
    .altmacro
    .set i, 0
    .rept 48
    stub %i
    .set i, i + 1
    .endr

stub_common:
#ifdef __x86_64__
    .irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    pushq %\r
    .endr
    movq %rsp, %rdi
    cld
    call mini_event
    .irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    popq %\r
    .endr
    addq $16, %rsp
    iretq
#else
    .irp r, edi, esi, ebp, ebx, edx, ecx, eax
    pushl %\r
    .endr
    pushl %esp
    cld
    call mini_event
    addl $4, %esp
    .irp r, eax, ecx, edx, ebx, ebp, esi, edi
    popl %\r
    .endr
    addl $8, %esp
    iretl
#endif

    .macro stub_address vector
#ifdef __x86_64__
    .quad stub_\vector
#else
    .long stub_\vector
#endif
    .endm
    .section .rodata
    .globl event_stubs
event_stubs:
    .set i, 0
    .rept 48
    stub_address %i
    .set i, i + 1
    .endr

/* Another processor starts here in real mode, copied to 8000h; ap_entry says what it runs. */
    .text
    .globl ap_start, ap_end
    .code16
ap_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl %cs:(ap_gdt - ap_start)
    movl $0x31, %eax
    movl %eax, %cr0
    ljmpl $8, $ap_32
    .align 4
ap_gdt:
    .word gdt_end - gdt - 1
    .long gdt
ap_end:
    .code32
ap_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $ap_stack_top, %esp
#ifdef __x86_64__
    call enter_long
    ljmp $24, $ap_64
    .code64
ap_64:
    call *ap_entry
#else
    call *ap_entry
#endif
1:  cli
    hlt
    jmp 1b

    .data
    .align 16
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08: 32-bit code */
    .quad 0x00cf93000000ffff    /* 10: data */
    .quad 0x00af9b000000ffff    /* 18: 64-bit code */
    .quad 0, 0                  /* 20: TSS */
gdt_end:
    .word 0, 0, 0
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt, 0

    .bss
    .align 4096
#ifdef __x86_64__
long_pd: .skip 0x4000
long_pdpt: .skip 0x1000
long_pml4: .skip 0x1000
#endif
    .globl stack_top, ap_stack_top
    .skip 16384
stack_top:
    .skip 16384
ap_stack_top:
    .align 8
boot_info: .skip 8
    .globl ap_entry
ap_entry: .skip 8
