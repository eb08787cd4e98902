/* SPDX-License-Identifier: MIT */
/*
 * Code that runs in L2. CPUID exits on both vendors, so it is how L2 says "done". The hypervisor sets
 * the registers and RIP for each step; nothing here has an address of its own.
 *
 * The first group means the same in 32-bit and 64-bit mode: only such encodings are used.
 */
    .section .rodata
    .globl l2_code, l2_code_end
    .globl l2_read, l2_write, l2_call, l2_load_cr3, l2_invlpg, l2_vmfunc, l2_fault
    .code32
    .balign 16
l2_code:
l2_read:                        /* eax = *esi */
    movl (%esi), %eax
    cpuid
l2_write:                       /* *esi = eax */
    movl %eax, (%esi)
    cpuid
l2_call:                        /* the page at esi says in eax who it is */
    call *%esi
    cpuid
l2_load_cr3:                    /* CR3 = esi */
    movl %esi, %cr3
    cpuid
l2_vmfunc:                      /* EPTP switching to number eax, then as l2_read */
    movl %eax, %ecx
    xorl %eax, %eax
    .byte 0x0f, 0x01, 0xd4      /* VMFUNC */
    movl (%esi), %eax
    cpuid
l2_invlpg:
    invlpg (%esi)
    cpuid
/* 16 bytes per vector: edi = vector + 1, edx = error code if there is one, ebx = CR2 */
    .balign 16
l2_fault:
    .altmacro
    .macro fault vector
    .balign 16
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17
    popl %edx
    .endif
    movl %cr2, %ebx
    movl $\vector + 1, %edi
    cpuid
    .endm
    .set i, 0
    .rept 32
    fault %i
    .set i, i + 1
    .endr
l2_code_end:

/*
 * L2 from its reset on: real mode at 0000:8000, protected mode, paging. edi = CR4, esi = CR3, ebp = EFER
 * bits or 0, ebx = an address to read then. edx counts the modes.
 */
    .globl l2_boot, l2_boot_end, l2_boot_vector
    .set AT, 0x8000             /* linear address of l2_boot */
    .code16
    .balign 16
l2_boot:
    lgdtl %cs:(boot_gdt_pointer - l2_boot + AT)
    movl $1, %edx
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $(1f - l2_boot + AT)
    .code32
1:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %ss
    incl %edx
    movl %edi, %cr4
    movl %esi, %cr3
    testl %ebp, %ebp
    jz 2f
    movl $0xC0000080, %ecx
    xorl %edx, %edx
    movl %ebp, %eax
    wrmsr
    movl $2, %edx
2:  movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    incl %edx
    testl %ebp, %ebp
    jz 3f
    ljmp $24, $(3f - l2_boot + AT)
3:  movl (%ebx), %eax           /* in 64-bit mode: (%rbx) */
    xorl %edi, %edi
    cpuid
    .code16
    .balign 16
l2_boot_vector:                 /* an interrupt in real mode: ax = the IP that it returns to */
    popw %ax
    movl $0x101, %edi
    cpuid
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
boot_gdt_pointer:
    .word 31
    .long boot_gdt - l2_boot + AT
l2_boot_end:
