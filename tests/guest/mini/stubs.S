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
