/* SPDX-License-Identifier: MIT */
/*
 * One row per instruction that exits: what L1 must set for it, and what the exit reports. SDM Vol
 * 3C 26.1 "Instructions That Cause VM Exits", 28.2.1 "Basic VM-Exit Information", 28.2.5
 * "Information for VM Exits Due to Instruction Execution". Registers: eax, ecx, ebx 0, edx PORT,
 * esi and edi in data pages.
 */
#include "parts.h"
#include "vendor.h"
#include "vmx.h"

static struct l2 l2;

enum { ANY, ONLY_64, ONLY_32 };
enum { PORT = 0x70, LIN_SOURCE = LIN_DATA + 8, LIN_TARGET = LIN_DATA + 0x108 };
enum { CR4_OSXSAVE = 1 << 18, CR0_TS = 8 };
enum { SEL_OTHER_TSS = 0x48 };

/* Instruction information: which bits an instruction defines, and their parts. */
enum {
    ADDRESS_SIZE = L1_64 ? 2 << 7 : 1 << 7,
    REGISTER = 1 << 10,
    NO_INDEX = 1 << 22,
    SEG_DS = 3 << 15
};
#define BASE(r) ((u32)(r) << 23)
#define REG1(r) ((u32)(r) << 3)
#define REG2(r) ((u32)(r) << 28)
#define IN_MEMORY (ADDRESS_SIZE | SEG_DS | NO_INDEX | BASE(RSI))
#define MEMORY 0x0fc38780u /* address size, memory, segment, index or not, base */
#define INDEXED 0x0fff8783u /* with index and scale */
#define MEMORY_2 (MEMORY | 0xf0000000) /* and a second register or kind */
#define REGISTERS 0xf0000478u
#define KIND 0x30000478u
#define STRING_OUT 0x00038380u
#define STRING_IN 0x00000380u
#define RANDOM 0x00001878u

struct row {
    const char *name;
    u32 where;
    const char *code;
    u32 length;
    u32 reason;
    u64 qualification;
    u32 mask, info;
    struct edit edit[EDITS];
};
#define CODE(bytes) bytes, sizeof(bytes) - 1

/* clang-format off */
static const struct row rows[] = {
    {"CPUID", ANY, CODE("\x0f\xa2"), 10},
    {"HLT", ANY, CODE("\xf4"), 12, .edit = {{ON, PRIMARY, PRI_HLT}}},
    {"INVD", ANY, CODE("\x0f\x08"), 13},
    {"INVLPG", ANY, CODE("\x0f\x01\x3e"), 14, LIN_SOURCE, .edit = {{ON, PRIMARY, PRI_INVLPG}}},
    {"RDPMC", ANY, CODE("\x0f\x33"), 15, .edit = {{ON, PRIMARY, PRI_RDPMC}}},
    {"RDTSC", ANY, CODE("\x0f\x31"), 16, .edit = {{ON, PRIMARY, PRI_RDTSC}}},
    {"VMCALL", ANY, CODE("\x0f\x01\xc1"), 18},
    {"VMCLEAR", ANY, CODE("\x66\x0f\xc7\x36"), 19, 0, MEMORY, IN_MEMORY},
    {"VMLAUNCH", ANY, CODE("\x0f\x01\xc2"), 20},
    {"VMPTRLD 16(esi)", ANY, CODE("\x0f\xc7\x76\x10"), 21, 16, MEMORY, IN_MEMORY},
    {"VMPTRST", ANY, CODE("\x0f\xc7\x3e"), 22, 0, MEMORY, IN_MEMORY},
    {"VMREAD ecx, eax", ANY, CODE("\x0f\x78\xc8"), 23, 0, REGISTERS, REGISTER | REG1(RAX) | REG2(RCX)},
    {"VMREAD ecx, memory", ANY, CODE("\x0f\x78\x0e"), 23, 0, MEMORY_2, IN_MEMORY | REG2(RCX)},
    {"VMRESUME", ANY, CODE("\x0f\x01\xc3"), 24},
    {"VMWRITE ebx, ecx", ANY, CODE("\x0f\x79\xcb"), 25, 0, REGISTERS, REGISTER | REG1(RBX) | REG2(RCX)},
    {"VMXOFF", ANY, CODE("\x0f\x01\xc4"), 26},
    {"VMXON", ANY, CODE("\xf3\x0f\xc7\x36"), 27, 0, MEMORY, IN_MEMORY},
    {"MOV eax, CR3", ANY, CODE("\x0f\x22\xd8"), 28, 3, .edit = {{ON, PRIMARY, PRI_CR3_LOAD}}},
    {"MOV CR3, ecx", ANY, CODE("\x0f\x20\xd9"), 28, 3 | 1 << 4 | RCX << 8, .edit = {{ON, PRIMARY, PRI_CR3_STORE}}},
    {"MOV eax, CR0", ANY, CODE("\x0f\x22\xc0"), 28, 0, .edit = {{IS, CR0_MASK, CR0_PE}, {IS, CR0_SHADOW, CR0_PE}}},
    {"MOV ebx, CR4", ANY, CODE("\x0f\x22\xe3"), 28, 4 | RBX << 8, .edit = {{IS, CR4_SHADOW, CR4_VMXE}}},
    {"CLTS", ANY, CODE("\x0f\x06"), 28, 2 << 4, .edit = {{IS, CR0_MASK, CR0_TS}, {IS, CR0_SHADOW, CR0_TS}}},
    {"LMSW dx", ANY, CODE("\x0f\x01\xf2"), 28, 3 << 4 | PORT << 16, .edit = {{IS, CR0_MASK, CR0_TS | CR0_PE}, {IS, CR0_SHADOW, CR0_TS}}},
    {"MOV CR8, eax", ONLY_64, CODE("\x44\x0f\x20\xc0"), 28, 8 | 1 << 4, .edit = {{ON, PRIMARY, PRI_CR8_STORE}}},
    {"MOV eax, CR8", ONLY_64, CODE("\x44\x0f\x22\xc0"), 28, 8, .edit = {{ON, PRIMARY, PRI_CR8_LOAD}}},
    {"MOV eax, DR7", ANY, CODE("\x0f\x23\xf8"), 29, 7, .edit = {{ON, PRIMARY, PRI_MOV_DR}}},
    {"MOV DR6, ecx", ANY, CODE("\x0f\x21\xf1"), 29, 6 | 1 << 4 | RCX << 8, .edit = {{ON, PRIMARY, PRI_MOV_DR}}},
    {"OUT al, 80h", ANY, CODE("\xe6\x80"), 30, 0x80 << 16 | 1 << 6},
    {"OUT ax, dx", ANY, CODE("\x66\xef"), 30, PORT << 16 | 1},
    {"IN dx, eax", ANY, CODE("\xed"), 30, PORT << 16 | 1 << 3 | 3},
    {"OUTSB", ANY, CODE("\x6e"), 30, PORT << 16 | 1 << 4, STRING_OUT, ADDRESS_SIZE | SEG_DS},
    {"OUTSW fs:", ANY, CODE("\x64\x66\x6f"), 30, PORT << 16 | 1 << 4 | 1, STRING_OUT, ADDRESS_SIZE | 4 << 15},
    {"REP INSB", ANY, CODE("\xf3\x6c"), 30, PORT << 16 | 1 << 5 | 1 << 4 | 1 << 3, STRING_IN, ADDRESS_SIZE},
    {"RDMSR", ANY, CODE("\x0f\x32"), 31, .edit = {{OFF, PRIMARY, PRI_MSR_BITMAPS}}},
    {"WRMSR", ANY, CODE("\x0f\x30"), 32, .edit = {{OFF, PRIMARY, PRI_MSR_BITMAPS}}},
    {"MWAIT", ANY, CODE("\x0f\x01\xc9"), 36, .edit = {{ON, PRIMARY, PRI_MWAIT}}},
    {"MONITOR", ANY, CODE("\x0f\x01\xc8"), 39, .edit = {{ON, PRIMARY, PRI_MONITOR}}},
    {"PAUSE", ANY, CODE("\xf3\x90"), 40, .edit = {{ON, PRIMARY, PRI_PAUSE}}},
    {"SGDT", ANY, CODE("\x0f\x01\x06"), 46, 0, MEMORY_2, IN_MEMORY, {{ON, SECONDARY, SEC_TABLES}}},
    {"SIDT 10h(esi, ecx, 2)", ANY, CODE("\x0f\x01\x4c\x4e\x10"), 46, 16, INDEXED | 3u << 28, 1 | ADDRESS_SIZE | SEG_DS | RCX << 18 | BASE(RSI) | 1 << 28, {{ON, SECONDARY, SEC_TABLES}}},
    {"LGDT", ANY, CODE("\x0f\x01\x16"), 46, 0, MEMORY_2, IN_MEMORY | 2u << 28, {{ON, SECONDARY, SEC_TABLES}}},
    {"LIDT", ANY, CODE("\x0f\x01\x1e"), 46, 0, MEMORY_2, IN_MEMORY | 3u << 28, {{ON, SECONDARY, SEC_TABLES}}},
    {"SLDT eax", ANY, CODE("\x0f\x00\xc0"), 47, 0, KIND, REGISTER | REG1(RAX), {{ON, SECONDARY, SEC_TABLES}}},
    {"STR ecx", ANY, CODE("\x0f\x00\xc9"), 47, 0, KIND, REGISTER | REG1(RCX) | 1u << 28, {{ON, SECONDARY, SEC_TABLES}}},
    {"LLDT memory", ANY, CODE("\x0f\x00\x16"), 47, 0, MEMORY_2, IN_MEMORY | 2u << 28, {{ON, SECONDARY, SEC_TABLES}}},
    {"LTR ebx", ANY, CODE("\x0f\x00\xdb"), 47, 0, KIND, REGISTER | REG1(RBX) | 3u << 28, {{ON, SECONDARY, SEC_TABLES}}},
    {"INVEPT", ANY, CODE("\x66\x0f\x38\x80\x06"), 50, 0, MEMORY_2, IN_MEMORY | REG2(RAX)},
    {"RDTSCP", ANY, CODE("\x0f\x01\xf9"), 51, .edit = {{ON, PRIMARY, PRI_RDTSC}}},
    {"INVVPID", ANY, CODE("\x66\x0f\x38\x81\x0e"), 53, 0, MEMORY_2, IN_MEMORY | REG2(RCX)},
    {"WBINVD", ANY, CODE("\x0f\x09"), 54, .edit = {{ON, SECONDARY, SEC_WBINVD}}},
    {"XSETBV", ANY, CODE("\x0f\x01\xd1"), 55, .edit = {{ON, GUEST_CR4, CR4_OSXSAVE}}},
    {"RDRAND eax", ANY, CODE("\x0f\xc7\xf0"), 57, 0, RANDOM, REG1(RAX) | 1 << 11, {{ON, SECONDARY, SEC_RDRAND}}},
    {"RDRAND bx", ANY, CODE("\x66\x0f\xc7\xf3"), 57, 0, RANDOM, REG1(RBX), {{ON, SECONDARY, SEC_RDRAND}}},
    {"RDSEED ecx", ANY, CODE("\x0f\xc7\xf9"), 61, 0, RANDOM, REG1(RCX) | 1 << 11, {{ON, SECONDARY, SEC_RDSEED}}},
    {"INVPCID", ANY, CODE("\x66\x0f\x38\x82\x06"), 58, 0, MEMORY_2, IN_MEMORY | REG2(RAX), {{ON, PRIMARY, PRI_INVLPG}}},
    {"JMP to a TSS", ONLY_32, CODE("\xea\0\0\0\0\x48\0"), 9, SEL_OTHER_TSS | 2u << 30},
    {"CALL to a TSS", ONLY_32, CODE("\x9a\0\0\0\0\x48\0"), 9, SEL_OTHER_TSS},
};
/* clang-format on */

static bool try_row(const struct row *row)
{
    const u64 rip = l2.code_linear + OTHER_CODE;
    u64 saved[EDITS];
    bool good;

    (void)l2_put_code(&l2, row->code, row->length);
    vmx_current(&l2);
    vmx_edit(row->edit, saved);
    memset(l2.reg, 0, sizeof(l2.reg));
    l2.reg[RCX] = 1;
    l2.reg[RDX] = PORT;
    l2.reg[RSI] = LIN_SOURCE;
    l2.reg[RDI] = LIN_TARGET;
    l2.rip = rip;
    l2.rflags = 2;
    vendor->run(&l2);
    good = l2.exit.reason == row->reason && l2.exit.qualification == row->qualification &&
           l2.exit.length == row->length && (l2.exit.info & row->mask) == row->info &&
           l2.rip == rip;
    if (row->reason == 30 && (row->qualification & 1 << 4) != 0)
        good &= l2.exit.linear == ((row->qualification & 1 << 3) != 0 ? LIN_TARGET : LIN_SOURCE);
    must(good, "%s: reason %llu, qualification %llx, length %u, information %x, RIP %llx",
         row->name, l2.exit.reason, l2.exit.qualification, l2.exit.length, l2.exit.info & row->mask,
         l2.rip);
    vmx_undo(row->edit, saved);
    return good;
}

void part_exits(void)
{
    u32 good = 0, tried = 0;

    l2_new(&l2, L1_64 ? MODE_64 : l1_paging == L1_PAE ? MODE_PAE : MODE_32);
    if (!L1_64) { /* another TSS, not busy, at the end of the GDT */
        u64 *descriptors = l2_at(&l2, l2_gpa(&l2, l2.gdt_base));

        descriptors[SEL_OTHER_TSS / 8] = descriptors[SEL_TSS / 8] & ~BIT(41);
        l2.gdt_limit += 8;
    }
    (void)l2_value(&l2, LIN_DATA);
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].where != ANY && rows[i].where != (L1_64 ? ONLY_64 : ONLY_32))
            continue;
        tried++;
        good += try_row(&rows[i]);
    }
    check(good == tried,
          "%u of %u instructions exit with reason, qualification, length and information", good,
          tried);
    l2_put_code(&l2, "\x0f\x0b", 2);
    l2.idt_limit = 0;
    l2.reload = true;
    check(l2_step(&l2, l2_code + OTHER_CODE, 0, 0) == OTHER && l2.exit.reason == R_TRIPLE_FAULT,
          "#UD without an IDT: triple fault");
}
