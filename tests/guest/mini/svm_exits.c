/* SPDX-License-Identifier: MIT */
/*
 * One row per instruction that exits: the intercept, and what the exit reports. APM Vol 2 15.7
 * "#VMEXIT", 15.8 to 15.11 on intercepts, 15.14 "Miscellaneous Intercepts". Then the permission
 * maps. Registers: eax 0, ecx 1, ebx by the row, edx PORT, esi and edi in data pages.
 */
#include "parts.h"
#include "svm.h"
#include "vendor.h"

static struct l2 l2;

enum { ANY, LONG, LEGACY }; /* L2's mode */
enum { PORT = 0x70, LIN_SOURCE = LIN_DATA + 8, LIN_TARGET = LIN_DATA + 0x108 };
enum { SEL_OTHER_TSS = 0x48, CR4_OSXSAVE = 1 << 18, CR0_TS = 8 };
enum { WITH_MONITOR = 1, WITH_INVPCID, WITH_RDPRU, WITH_XSAVE, WITH_RDTSCP }; /* of CPUID */

/* What ebx has. */
enum { ZERO, VALUE_CR0, VALUE_CR0_TS, VALUE_CR0_AM, VALUE_CR3, VALUE_CR4, VALUE_TSS };

#define MOV_CR(r) (BIT(63) | (r))
/* EXITINFO1 of I/O, 15.10.2; the address size is added by L2's mode. */
enum { IO_IN = 1, IO_STRING = 4, IO_REP = 8, IO_8 = 0x10, IO_16 = 0x20, IO_32 = 0x40 };
#define IO_SEGMENT(s) ((s) << 10)
#define IO_PORT(p) ((u64)(p) << 16)
#define TASK_JUMP BIT(38)

struct row {
    const char *name;
    u32 where;
    const char *code;
    u32 length;
    u32 exit_code;
    u64 info1, info2;
    struct edit edit[EDITS];
    u32 ebx, needs;
    u32 at; /* the instruction's offset, behind others */
};
#define CODE(bytes) bytes, sizeof(bytes) - 1
#define CR(bit)                                                                                    \
    {                                                                                              \
        {                                                                                          \
            ON, CR_INTERCEPTS, BIT(bit)                                                            \
        }                                                                                          \
    }
#define DR(bit)                                                                                    \
    {                                                                                              \
        {                                                                                          \
            ON, DR_INTERCEPTS, BIT(bit)                                                            \
        }                                                                                          \
    }
#define WORD_3(code)                                                                               \
    {                                                                                              \
        {                                                                                          \
            ON, INTERCEPTS_3, INTERCEPT(code)                                                      \
        }                                                                                          \
    }
#define WORD_4(code)                                                                               \
    {                                                                                              \
        {                                                                                          \
            ON, INTERCEPTS_4, INTERCEPT(code)                                                      \
        }                                                                                          \
    }
#define IOIO(port, bits) .exit_code = X_IOIO, .info1 = IO_PORT(port) | (bits)

/* clang-format off */
static const struct row rows[] = {
    /* 15.8.1 */
    {"MOV eax, CR0", ANY, CODE("\x0f\x20\xc0"), X_CR_READ, MOV_CR(RAX), 0, CR(0)},
    {"MOV ecx, CR3", ANY, CODE("\x0f\x20\xd9"), X_CR_READ + 3, MOV_CR(RCX), 0, CR(3)},
    {"MOV ebx, CR4", ANY, CODE("\x0f\x20\xe3"), X_CR_READ + 4, MOV_CR(RBX), 0, CR(4)},
    {"SMSW eax", ANY, CODE("\x0f\x01\xe0"), X_CR_READ, 0, 0, CR(0)},
    {"MOV CR0, ebx", ANY, CODE("\x0f\x22\xc3"), X_CR_WRITE, MOV_CR(RBX), 0, CR(16), VALUE_CR0},
    {"MOV CR2, ecx", ANY, CODE("\x0f\x22\xd1"), X_CR_WRITE + 2, MOV_CR(RCX), 0, CR(18)},
    {"MOV CR3, ebx", ANY, CODE("\x0f\x22\xdb"), X_CR_WRITE + 3, MOV_CR(RBX), 0, CR(19), VALUE_CR3},
    {"MOV CR4, ebx", ANY, CODE("\x0f\x22\xe3"), X_CR_WRITE + 4, MOV_CR(RBX), 0, CR(20), VALUE_CR4},
    {"MOV r8, CR8", LONG, CODE("\x45\x0f\x20\xc0"), X_CR_READ + 8, MOV_CR(R8), 0, CR(8)},
    {"MOV CR8, rcx", LONG, CODE("\x44\x0f\x22\xc1"), X_CR_WRITE + 8, MOV_CR(RCX), 0, CR(24)},
    {"CLTS", ANY, CODE("\x0f\x06"), X_CR_WRITE, 0, 0, CR(16)},
    {"LMSW dx", ANY, CODE("\x0f\x01\xf2"), X_CR_WRITE, 0, 0, CR(16)},
    {"MOV CR0, ebx, selective: AM", ANY, CODE("\x0f\x22\xc3"), X_CR0_SELECTIVE, MOV_CR(RBX), 0, WORD_3(X_CR0_SELECTIVE), VALUE_CR0_AM},
    {"MOV CR0, ebx, selective: TS only", ANY, CODE("\x0f\x22\xc3\x0f\xa2"), X_CPUID, 0, 0, WORD_3(X_CR0_SELECTIVE), VALUE_CR0_TS, .at = 3},
    {"CLTS, selective", ANY, CODE("\x0f\x06\x0f\xa2"), X_CPUID, 0, 0, WORD_3(X_CR0_SELECTIVE), .at = 2},
    /* 15.8.2 */
    {"MOV eax, DR7", ANY, CODE("\x0f\x21\xf8"), X_DR_READ + 7, RAX, 0, DR(7)},
    {"MOV DR6, ecx", ANY, CODE("\x0f\x23\xf1"), X_DR_WRITE + 6, RCX, 0, DR(22)},
    {"MOV DR0, edx", ANY, CODE("\x0f\x23\xc2"), X_DR_WRITE, RDX, 0, DR(16)},
    /* 15.9 */
    {"SIDT", ANY, CODE("\x0f\x01\x0e"), X_IDTR_READ, .edit = WORD_3(X_IDTR_READ)},
    {"SGDT", ANY, CODE("\x0f\x01\x06"), X_GDTR_READ, .edit = WORD_3(X_GDTR_READ)},
    {"SLDT eax", ANY, CODE("\x0f\x00\xc0"), X_LDTR_READ, .edit = WORD_3(X_LDTR_READ)},
    {"STR ecx", ANY, CODE("\x0f\x00\xc9"), X_TR_READ, .edit = WORD_3(X_TR_READ)},
    {"LIDT", ANY, CODE("\x0f\x01\x1e"), X_IDTR_WRITE, .edit = WORD_3(X_IDTR_WRITE)},
    {"LGDT", ANY, CODE("\x0f\x01\x16"), X_GDTR_WRITE, .edit = WORD_3(X_GDTR_WRITE)},
    {"LLDT ebx", ANY, CODE("\x0f\x00\xd3"), X_LDTR_WRITE, .edit = WORD_3(X_LDTR_WRITE)},
    {"LTR ebx", ANY, CODE("\x0f\x00\xdb"), X_TR_WRITE, .edit = WORD_3(X_TR_WRITE), .ebx = VALUE_TSS},
    {"RDTSC", ANY, CODE("\x0f\x31"), X_RDTSC, .edit = WORD_3(X_RDTSC)},
    {"RDPMC", ANY, CODE("\x0f\x33"), X_RDPMC, .edit = WORD_3(X_RDPMC)},
    {"PUSHF", ANY, CODE("\x9c"), X_PUSHF, .edit = WORD_3(X_PUSHF)},
    {"POPF", ANY, CODE("\x9d"), X_POPF, .edit = WORD_3(X_POPF)},
    {"CPUID", ANY, CODE("\x0f\xa2"), X_CPUID},
    {"IRET", ANY, CODE("\xcf"), X_IRET, .edit = WORD_3(X_IRET)},
    {"INT 31", ANY, CODE("\xcd\x1f"), X_SWINT, 31, .edit = WORD_3(X_SWINT)},
    {"INVD", ANY, CODE("\x0f\x08"), X_INVD, .edit = WORD_3(X_INVD)},
    {"PAUSE", ANY, CODE("\xf3\x90"), X_PAUSE, .edit = WORD_3(X_PAUSE)},
    {"HLT", ANY, CODE("\xf4"), X_HLT},
    {"INVLPG", ANY, CODE("\x0f\x01\x3e"), X_INVLPG, LIN_SOURCE, .edit = WORD_3(X_INVLPG)},
    {"INVLPGA", ANY, CODE("\x0f\x01\xdf"), X_INVLPGA, .edit = WORD_3(X_INVLPGA)},
    {"VMRUN", ANY, CODE("\x0f\x01\xd8"), X_VMRUN},
    {"VMMCALL", ANY, CODE("\x0f\x01\xd9"), X_VMMCALL},
    {"VMLOAD", ANY, CODE("\x0f\x01\xda"), X_VMLOAD, .edit = WORD_4(X_VMLOAD)},
    {"VMSAVE", ANY, CODE("\x0f\x01\xdb"), X_VMSAVE, .edit = WORD_4(X_VMSAVE)},
    {"STGI", ANY, CODE("\x0f\x01\xdc"), X_STGI, .edit = WORD_4(X_STGI)},
    {"CLGI", ANY, CODE("\x0f\x01\xdd"), X_CLGI, .edit = WORD_4(X_CLGI)},
    {"RDTSCP", ANY, CODE("\x0f\x01\xf9"), X_RDTSCP, .edit = WORD_4(X_RDTSCP), .needs = WITH_RDTSCP},
    {"INT1", ANY, CODE("\xf1"), X_ICEBP, .edit = WORD_4(X_ICEBP)},
    {"WBINVD", ANY, CODE("\x0f\x09"), X_WBINVD, .edit = WORD_4(X_WBINVD)},
    /* ecx, which has hints that must be 0, and edx: xor first */
    {"MONITOR", ANY, CODE("\x31\xc9\x31\xd2\x89\xf0\x0f\x01\xc8"), X_MONITOR, .edit = WORD_4(X_MONITOR), .needs = WITH_MONITOR, .at = 6},
    {"MWAIT", ANY, CODE("\x31\xc9\x0f\x01\xc9"), X_MWAIT, .edit = WORD_4(X_MWAIT), .needs = WITH_MONITOR, .at = 2},
    {"XSETBV", ANY, CODE("\x31\xc9\x31\xd2\x31\xc0\xff\xc0\x0f\x01\xd1"), X_XSETBV, .edit = {{ON, INTERCEPTS_4, INTERCEPT(X_XSETBV)}, {ON, S_CR4, CR4_OSXSAVE}}, .needs = WITH_XSAVE, .at = 8},
    {"RDPRU", ANY, CODE("\x0f\x01\xfd"), X_RDPRU, .edit = WORD_4(X_RDPRU), .needs = WITH_RDPRU},
    {"INVPCID", ANY, CODE("\x66\x0f\x38\x82\x06"), X_INVPCID, LIN_SOURCE, 0, {{ON, INTERCEPTS_5, INTERCEPT(X_INVPCID)}}, .needs = WITH_INVPCID},
    /* 15.10 */
    {"OUT 80h, al", ANY, CODE("\xe6\x80"), IOIO(0x80, IO_8)},
    {"OUT dx, ax", ANY, CODE("\x66\xef"), IOIO(PORT, IO_16)},
    {"IN eax, dx", ANY, CODE("\xed"), IOIO(PORT, IO_32 | IO_IN)},
    {"OUTSB", ANY, CODE("\x6e"), IOIO(PORT, IO_8 | IO_STRING | IO_SEGMENT(DS))},
    {"OUTSW fs:", ANY, CODE("\x64\x66\x6f"), IOIO(PORT, IO_16 | IO_STRING | IO_SEGMENT(FS))},
    {"REP INSB", ANY, CODE("\xf3\x6c"), IOIO(PORT, IO_8 | IO_STRING | IO_REP | IO_IN)},
    /* 15.14.1 */
    {"JMP to a TSS", LEGACY, CODE("\xea\0\0\0\0\x48\0"), X_TASK_SWITCH, SEL_OTHER_TSS, TASK_JUMP, WORD_3(X_TASK_SWITCH)},
    {"CALL to a TSS", LEGACY, CODE("\x9a\0\0\0\0\x48\0"), X_TASK_SWITCH, SEL_OTHER_TSS, 0, WORD_3(X_TASK_SWITCH)},
};
/* clang-format on */

static bool processor_has(u32 what)
{
    static const struct {
        u32 leaf, reg, bit;
    } at[] = {
        [WITH_MONITOR] = {1, 2, 3},          [WITH_INVPCID] = {7, 1, 10},
        [WITH_RDPRU] = {0x80000008, 1, 4},   [WITH_XSAVE] = {1, 2, 26},
        [WITH_RDTSCP] = {0x80000001, 3, 27},
    };
    u32 regs[4];

    if (what == 0)
        return true;
    cpuid(at[what].leaf, regs);
    return (regs[at[what].reg] >> at[what].bit & 1) != 0;
}

static u64 value_of(u32 what)
{
    switch (what) {
    case VALUE_CR0: return l2.cr0;
    case VALUE_CR0_TS: return l2.cr0 | CR0_TS;
    case VALUE_CR0_AM: return l2.cr0 | BIT(18);
    case VALUE_CR3: return l2.cr3;
    case VALUE_CR4: return l2.cr4;
    case VALUE_TSS: return SEL_OTHER_TSS;
    default: return 0;
    }
}

static void set_registers(u32 ebx)
{
    l2_reset(&l2, l2.mode, 0);
    l2.gdt_limit += 16; /* the other TSS */
    memset(l2.reg, 0, sizeof(l2.reg));
    l2.reg[RBX] = (word)value_of(ebx);
    l2.reg[RCX] = 1;
    l2.reg[RDX] = PORT;
    l2.reg[RSI] = LIN_SOURCE;
    l2.reg[RDI] = LIN_TARGET;
    l2.rip = l2.code_linear + OTHER_CODE;
    l2.rsp = LIN_STACK + PAGE - 64;
    l2.rflags = 2;
    svm_write_guest(&l2);
    l2.reload = false;
}

static bool try_row(const struct row *row)
{
    const u64 rip = l2.code_linear + OTHER_CODE + row->at;
    u64 info1 = row->info1, info2 = row->info2;
    bool good;

    (void)l2_put_code(&l2, row->code, row->length);
    set_registers(row->ebx);
    vmcb_keep(&l2);
    vmcb_edit(&l2, row->edit);
    vendor->run(&l2);
    if (row->exit_code == X_IOIO) {
        info1 |= l2.mode == MODE_64 ? 0x200 : 0x100;
        info2 = rip + row->length;
    }
    if ((svm_features() & HAS_DECODE_ASSISTS) == 0)
        info1 &= row->exit_code == X_IOIO         ? ~(u64)IO_SEGMENT(7)
                 : row->exit_code < X_TASK_SWITCH ? 0
                                                  : ~0ull;
    good = l2.exit.reason == row->exit_code && l2.exit.qualification == info1 &&
           vmcb_read(&l2, EXIT_INFO_2) == info2 && l2.rip == rip &&
           (row->exit_code == X_TASK_SWITCH || (svm_features() & HAS_NEXT_RIP) == 0 ||
            l2.exit.length == row->length - row->at);
    must(good, "L2 %s, %s: exit code %llx, EXITINFO1 %llx, EXITINFO2 %llx, RIP %llx, length %u",
         mode_names[l2.mode], row->name, l2.exit.reason, l2.exit.qualification,
         vmcb_read(&l2, EXIT_INFO_2), l2.rip, l2.exit.length);
    vmcb_back(&l2);
    return good;
}

static void instructions(enum mode mode)
{
    u32 good = 0, tried = 0;
    u64 *descriptors;

    l2_new(&l2, mode);
    descriptors = l2_at(&l2, l2_gpa(&l2, l2.gdt_base));
    descriptors[SEL_OTHER_TSS / 8] = descriptors[SEL_TSS / 8] & ~BIT(41);
    descriptors[SEL_OTHER_TSS / 8 + 1] = 0;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        if ((rows[i].where == LONG && mode != MODE_64) ||
            (rows[i].where == LEGACY && mode == MODE_64) || !processor_has(rows[i].needs))
            continue;
        tried++;
        good += try_row(&rows[i]);
    }
    check(good == tried,
          "L2 %s: %u of %u instructions exit with code, EXITINFO1, EXITINFO2 and nRIP",
          mode_names[mode], good, tried);
    l2_put_code(&l2, "\x0f\x0b", 2);
    l2.idt_limit = 0;
    l2.reload = true;
    check(l2_step(&l2, l2_code + OTHER_CODE, 0, 0) == OTHER && l2.exit.reason == X_SHUTDOWN,
          "#UD without an IDT: shutdown");
}

/* 15.8.4: the bytes of an instruction whose data access exits. */
static void fetched_bytes(void)
{
    const u64 gpa = l2_gpa(&l2, LIN_DATA), entry = l2_second_get(&l2, gpa);
    bool good;

    if ((svm_features() & HAS_DECODE_ASSISTS) == 0)
        return;
    l2_reset(&l2, l2.mode, 0);
    l2_second_set(&l2, gpa, 0);
    good = l2_step(&l2, l2_read, LIN_DATA, 0) == SECOND_STAGE && vmcb_read(&l2, FETCHED) >= 2 &&
           (vmcb_read(&l2, FETCHED_BYTES) & 0xffff) == 0x068b;
    check(good, "a nested page fault says the instruction's bytes: %llu of them, %llx",
          vmcb_read(&l2, FETCHED), vmcb_read(&l2, FETCHED_BYTES));
    l2_second_set(&l2, gpa, entry);
}

/* ---- the permission maps ---- */

/* Code of two instructions: what came of the first. */
static bool first_exits(const char *code, u32 length, u64 ecx, u64 edx, u64 exit_code, u64 info1)
{
    l2_put_code(&l2, code, length);
    set_registers(ZERO);
    l2.reg[RCX] = (word)ecx;
    l2.reg[RDX] = (word)edx;
    vendor->run(&l2);
    return l2.exit.reason == exit_code && (exit_code == X_CPUID || l2.exit.qualification == info1);
}

static bool msr_exits(u32 msr, bool write, u64 exit_code)
{
    return first_exits(write ? "\x0f\x30\x0f\xa2" : "\x0f\x32\x0f\xa2", 4, msr, 0, exit_code,
                       write);
}

/* 15.11 "MSR Intercepts": two bits per MSR, in ranges from 0, C0000000h and C0010000h on. */
static void msr_map(void)
{
    static const struct {
        u32 msr, byte, bit;
    } msrs[] = {
        {MSR_TSC, 4, 0},        {0x1fff, 0x7ff, 6},      {0xc0000081, 0x820, 2},
        {0xc0000102, 0x840, 4}, {0xc0010117, 0x1045, 6},
    };
    u8 *map = page_new();
    u32 good = 0;

    (void)page_new();
    vmcb_write(&l2, MSRPM_BASE, (word)map);
    for (u32 i = 0; i < 2 * ARRAY_SIZE(msrs); i++) {
        map[msrs[i / 2].byte] = (u8)(1u << (msrs[i / 2].bit + i % 2));
        good += msr_exits(msrs[i / 2].msr, i % 2 != 0, X_MSR);
        map[msrs[i / 2].byte] = 0;
    }
    check(good == 2 * ARRAY_SIZE(msrs), "%u of %u bits of the MSR map: RDMSR or WRMSR exits", good,
          (u32)(2 * ARRAY_SIZE(msrs)));
    map[0x820] = (u8) ~(3u << 2);
    check(msr_exits(0xc0000081, false, X_CPUID) && msr_exits(0xc0000081, true, X_CPUID),
          "only its own two bits are for an MSR");
    map[0x820] = 0;
    check(msr_exits(0x2000, false, X_MSR) && msr_exits(0x40000000, true, X_MSR) &&
              msr_exits(0xc0012000, false, X_MSR),
          "those that the map does not have exit always");
    vmcb_change(&l2, INTERCEPTS_3, 0, INTERCEPT(X_MSR));
    map[4] = 1;
    check(msr_exits(MSR_TSC, false, X_CPUID), "and without the intercept there is no map");
    vmcb_change(&l2, INTERCEPTS_3, INTERCEPT(X_MSR), 0);
}

/* 15.10.1 "I/O Permissions Map": a bit per port, and all bytes of an access count. */
static void io_map(void)
{
    static const struct {
        const char *what, *code;
        u32 length, port, first; /* first: the bit that is set */
        u32 exits;
    } accesses[] = {
        {"OUT dx, al, its bit", "\xee\x0f\xa2", 3, 0x80, 0x80, X_IOIO},
        {"the bit above", "\xee\x0f\xa2", 3, 0x80, 0x81, X_CPUID},
        {"the bit below", "\xee\x0f\xa2", 3, 0x80, 0x7f, X_CPUID},
        {"OUT dx, ax, its second byte", "\x66\xef\x0f\xa2", 4, 0x80, 0x81, X_IOIO},
        {"the byte behind", "\x66\xef\x0f\xa2", 4, 0x80, 0x82, X_CPUID},
        {"OUT dx, eax, its last byte", "\xef\x0f\xa2", 3, 0x80, 0x83, X_IOIO},
        {"over the end of a byte of the map", "\xef\x0f\xa2", 3, 0x85, 0x88, X_IOIO},
        {"port FFFFh", "\xee\x0f\xa2", 3, 0xffff, 0xffff, X_IOIO},
        {"OUT dx, ax at FFFFh, the map's third page", "\x66\xef\x0f\xa2", 4, 0xffff, 0x10000,
         X_IOIO},
        {"OUT dx, eax at FFFFh, its last bit", "\xef\x0f\xa2", 3, 0xffff, 0x10002, X_IOIO},
    };
    const u64 base = vmcb_read(&l2, IOPM_BASE);
    u8 *map = page_new();
    u32 good = 0;

    (void)page_new();
    (void)page_new();
    vmcb_write(&l2, IOPM_BASE, (word)map);
    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
        const char *code = accesses[i].code;
        const u32 size = code[0] == '\x66' ? IO_16 : code[0] == '\xef' ? IO_32 : IO_8;
        bool right;

        map[accesses[i].first / 8] = (u8)(1u << accesses[i].first % 8);
        right =
            first_exits(code, accesses[i].length, 1, accesses[i].port, accesses[i].exits,
                        IO_PORT(accesses[i].port) | size | (l2.mode == MODE_64 ? 0x200 : 0x100));
        must(right, "%s: exit code %llx", accesses[i].what, l2.exit.reason);
        good += right;
        map[accesses[i].first / 8] = 0;
    }
    check(good == ARRAY_SIZE(accesses), "%u of %u accesses by the I/O map", good,
          (u32)ARRAY_SIZE(accesses));
    vmcb_write(&l2, IOPM_BASE, base);
}

void part_svm_exits(void)
{
    for (enum mode mode = MODE_32; mode <= MODE_64; mode++) {
        instructions(mode);
        fetched_bytes();
    }
    msr_map();
    io_map();
}
