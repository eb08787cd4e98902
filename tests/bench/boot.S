/* SPDX-License-Identifier: MIT */
/*
 * Boot sector for machines without a kernel loader (Bochs): sector 1 of the disk is the command line,
 * the guest's flat image follows from sector 2 on. Reads with INT 13h extensions into 0x10000 and
 * copies to 1 MiB in unreal mode. SECTORS is given by the build.
 */
    .code16
    .text
    .globl boot
boot:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7000, %sp
    movb %dl, drive
    movw $0x2401, %ax           /* A20 on */
    int $0x15
    movl $1, lba                /* the command line, to 0x7a00 */
    movl $0x07a00000 >> 4, %eax
    movw $0x7a00, buffer
    movw $0, buffer + 2
    movw $1, count
    call read
    lgdt gdtr
    movl $2, lba
    movl $0x100000, %edi
    movw $SECTORS, %bp
1:  movw $0, buffer             /* 32 KiB at a time, to 1000:0 */
    movw $0x1000, buffer + 2
    movw $64, count
    call read
    cli
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $8, %bx
    movw %bx, %ds
    movw %bx, %es
    andb $0xfe, %al
    movl %eax, %cr0
    movl $0x10000, %esi
    movl $8192, %ecx
    addr32 rep movsl
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    addl $64, lba
    subw $64, %bp
    ja 1b
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $8, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    ljmpl $16, $ENTRY
read:
    movb $0x42, %ah
    movb drive, %dl
    movw $packet, %si
    sti
    int $0x13
    ret
    .align 4
packet: .byte 16, 0
count:  .word 0
buffer: .word 0, 0
lba:    .long 0, 0
drive:  .byte 0
    .align 8
gdt:    .quad 0
    .quad 0x00cf93000000ffff
    .quad 0x00cf9b000000ffff
gdtr:   .word gdtr - gdt - 1
    .long gdt
    .org 510
    .word 0xaa55
