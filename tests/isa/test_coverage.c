/* SPDX-License-Identifier: MIT */
/*
 * No row without a test: each is compared with the host CPU (test_native.c), or run by a program
 * here, or named here with the test that covers it. The programs are of the rows that the host
 * cannot be asked about: they run in ring 0 until HLT and leave what they saw in rAX and rCX. A
 * fault or an interrupt leaves its vector in rAX.
 */
#include "tests/cpu/guest.h"
#include "tests/isa/comparable.h"

#include <stdio.h>

enum { FAR = 0x8000 }; /* what rBX points to at the start */

enum mode { P32, L64 };

struct program {
    const char *rows; /* "name encoding", the rows in question, separated by '|' */
    enum mode mode;
    u64 rax, rcx; /* what they are at the end */
    u64 out; /* the last port write, port << 32 | value */
    u32 size;
    const char *code;
};

#define CODE_BYTES(bytes) sizeof(bytes) - 1, bytes

/* clang-format off */
static const struct program programs[] = {
    /* ---- segment registers; SS:ESP is 10:30000 ---- */
    {"mov 8c /r|mov 8e /r", P32, 0x23, 0x23, 0, CODE_BYTES("\xb8\x23\0\0\0\x8e\xc0\x8c\xc1")}, /* mov eax,23h; mov es,eax; mov ecx,es */
    {"push 06", P32, 0, 0x10, 0, CODE_BYTES("\x06\x59")}, /* push es; pop ecx */
    {"push 0e", P32, 0, 0x08, 0, CODE_BYTES("\x0e\x59")},
    {"push 16", P32, 0, 0x10, 0, CODE_BYTES("\x16\x59")},
    {"push 1e", P32, 0, 0x10, 0, CODE_BYTES("\x1e\x59")},
    {"push 0f a0", P32, 0x23, 0x23, 0, CODE_BYTES("\xb8\x23\0\0\0\x8e\xe0\x0f\xa0\x59")}, /* mov fs,eax first */
    {"push 0f a8", P32, 0x23, 0x23, 0, CODE_BYTES("\xb8\x23\0\0\0\x8e\xe8\x0f\xa8\x59")},
    {"pop 07", P32, 0, 0x23, 0, CODE_BYTES("\x6a\x23\x07\x8c\xc1")}, /* push 23h; pop es; mov ecx,es */
    {"pop 17", P32, 0, 0x98, 0, CODE_BYTES("\x68\x98\0\0\0\x17\x8c\xd1")},
    {"pop 1f", P32, 0, 0x23, 0, CODE_BYTES("\x6a\x23\x1f\x8c\xd9")},
    {"pop 0f a1", P32, 0, 0x23, 0, CODE_BYTES("\x6a\x23\x0f\xa1\x8c\xe1")},
    {"pop 0f a9", P32, 0, 0x23, 0, CODE_BYTES("\x6a\x23\x0f\xa9\x8c\xe9")},
    {"les c4 /r", P32, 0x12345678, 0x23, 0, CODE_BYTES("\xc4\x43\x10\x8c\xc1")}, /* les eax,[ebx+16]; mov ecx,es */
    {"lds c5 /r", P32, 0x12345678, 0x23, 0, CODE_BYTES("\xc5\x43\x10\x8c\xd9")},
    {"lss 0f b2 /r", P32, 0x9abcdef0, 0x98, 0, CODE_BYTES("\x0f\xb2\x43\x18\x8c\xd1")},
    {"lfs 0f b4 /r", P32, 0x12345678, 0x23, 0, CODE_BYTES("\x0f\xb4\x43\x10\x8c\xe1")},
    {"lgs 0f b5 /r", P32, 0x12345678, 0x23, 0, CODE_BYTES("\x0f\xb5\x43\x10\x8c\xe9")},

    /* ---- branches: what is jumped over sets eax; the target is CODE + 12 ---- */
    {"jmp e9", P32, 0, 2, 0, CODE_BYTES("\xe9\x02\0\0\0\xb0\x01\xb1\x02")},
    {"loopne e0", P32, 2, 1, 0, CODE_BYTES("\xb9\x03\0\0\0\x40\x83\xf8\x02\xe0\xfa")}, /* mov ecx,3; L: inc eax; cmp eax,2; loopne L */
    {"loope e1", P32, 2, 1, 0, CODE_BYTES("\xb9\x03\0\0\0\x40\x83\xf8\x01\xe1\xfa")},
    {"ljmp ea", P32, 0, 2, 0, CODE_BYTES("\xea\x0c\0\x02\0\x08\0\xb0\x01\xf4\x90\x90\xb1\x02")},
    {"ljmp ff /5", P32, 0, 2, 0, CODE_BYTES("\xff\x2b\xb0\x01\xf4\x90\x90\x90\x90\x90\x90\x90\xb1\x02")},
    {"lcall 9a|retf cb", P32, 5, 2, 0, CODE_BYTES("\x9a\x0c\0\x02\0\x08\0\xb0\x05\xf4\x90\x90\xb1\x02\xcb")},
    {"lcall ff /3|retf ca", P32, 5, STACK0, 0, /* push 7; call far; mov ecx,esp; hlt ... mov al,5; retf 4 */
     CODE_BYTES("\x6a\x07\xff\x1b\x89\xe1\xf4\x90\x90\x90\x90\x90\xb0\x05\xca\x04\0")},
    {"iret cf", P32, 0, 2, 0, CODE_BYTES("\x9c\x0e\x68\x0c\0\x02\0\xcf\xb0\x01\xf4\x90\xb1\x02")}, /* pushf; push cs; push target; iret */
    {"int cd", P32, 0x30, 0, 0, CODE_BYTES("\xcd\x30")},
    {"int3 cc", P32, 3, 0, 0, CODE_BYTES("\xcc")},
    {"int1 f1", P32, 1, 0, 0, CODE_BYTES("\xf1")},
    {"into ce", P32, 4, 0, 0, CODE_BYTES("\xb0\x7f\x04\x01\xce")}, /* mov al,7fh; add al,1; into */
    {"ud0 0f ff /r", P32, 6, 0, 0, CODE_BYTES("\x0f\xff\x03")},
    {"ud1 0f b9 /r", P32, 6, 0, 0, CODE_BYTES("\x0f\xb9\x03")},
    {"rsm 0f aa", P32, 6, 0, 0, CODE_BYTES("\x0f\xaa")}, /* not in SMM */

    /* ---- flags ---- */
    {"pushf 9c", P32, 3, 0, 0, CODE_BYTES("\xf9\x9c\x58")}, /* stc; pushf; pop eax */
    {"popf 9d", P32, 0x9300, 0, 0, CODE_BYTES("\x68\x91\0\0\0\x9d\x9f")}, /* push 91h; popf; lahf */

    /* ---- ports: a read gives 11111111h * (port & 15) ---- */
    {"in e4", P32, 0x55, 0, 0, CODE_BYTES("\xe4\x05")},
    {"in e5", P32, 0x55555555, 0, 0, CODE_BYTES("\xe5\x05")},
    {"in ec", P32, 0x55, 0, 0, CODE_BYTES("\xba\x05\0\0\0\xec")},
    {"in ed", P32, 0x55555555, 0, 0, CODE_BYTES("\xba\x05\0\0\0\xed")},
    {"out e6", P32, 0x12345678, 0, 0x700000078, CODE_BYTES("\xb8\x78\x56\x34\x12\xe6\x07")},
    {"out e7", P32, 0x12345678, 0, 0x712345678, CODE_BYTES("\xb8\x78\x56\x34\x12\xe7\x07")},
    {"out ee", P32, 0x12345678, 0, 0x700000078, CODE_BYTES("\xb8\x78\x56\x34\x12\xba\x07\0\0\0\xee")},
    {"out ef", P32, 0x12345678, 0, 0x712345678, CODE_BYTES("\xb8\x78\x56\x34\x12\xba\x07\0\0\0\xef")},
    {"ins 6c", P32, 0x55, 0, 0, CODE_BYTES("\xba\x05\0\0\0\x89\xdf\x6c\x8a\x03")}, /* mov dx,5; mov edi,ebx; insb; mov al,[ebx] */
    {"ins 6d", P32, 0x55555555, 0, 0, CODE_BYTES("\xba\x05\0\0\0\x89\xdf\x6d\x8b\x03")},
    {"outs 6e", P32, 0, 0, 0x700000078, CODE_BYTES("\xba\x07\0\0\0\x8d\x73\x10\x6e")}, /* mov edx,7; lea esi,[ebx+16]; outsb */
    {"outs 6f", P32, 0, 0, 0x712345678, CODE_BYTES("\xba\x07\0\0\0\x8d\x73\x10\x6f")},

    /* ---- descriptors and tables ---- */
    {"lldt 0f 00 /2|sldt 0f 00 /0", P32, 0x50, 0x50, 0, CODE_BYTES("\xb8\x50\0\0\0\x0f\x00\xd0\x0f\x00\xc1")},
    {"ltr 0f 00 /3|str 0f 00 /1", P32, 0x48, 0x48, 0, CODE_BYTES("\xb8\x48\0\0\0\x0f\x00\xd8\x0f\x00\xc9")},
    {"verr 0f 00 /4", P32, 0x10, 1, 0, CODE_BYTES("\xb8\x10\0\0\0\x0f\x00\xe0\x0f\x94\xc1")}, /* setz cl */
    {"verw 0f 00 /5", P32, 0x10, 1, 0, CODE_BYTES("\xb8\x10\0\0\0\x0f\x00\xe8\x0f\x94\xc1")},
    {"lar 0f 02 /r", P32, 0x10, 0xcf9200, 0, CODE_BYTES("\xb8\x10\0\0\0\x0f\x02\xc8")}, /* APM: AND 00ffff00h */
    {"lsl 0f 03 /r", P32, 0x10, 0xffffffff, 0, CODE_BYTES("\xb8\x10\0\0\0\x0f\x03\xc8")},
    {"sgdt 0f 01 /0", P32, 0, GDT, 0, CODE_BYTES("\x0f\x01\x03\x8b\x4b\x02")}, /* sgdt [ebx]; mov ecx,[ebx+2] */
    {"sidt 0f 01 /1", P32, 0, IDT, 0, CODE_BYTES("\x0f\x01\x0b\x8b\x4b\x02")},
    {"lgdt 0f 01 /2", P32, 0, 0x1ff, 0, CODE_BYTES("\x0f\x01\x53\x20\x0f\x01\x03\x0f\xb7\x0b")}, /* lgdt [ebx+32]; sgdt [ebx]; movzx ecx,[ebx] */
    {"lidt 0f 01 /3", P32, 0, 0x1ff, 0, CODE_BYTES("\x0f\x01\x5b\x20\x0f\x01\x0b\x0f\xb7\x0b")},

    /* ---- control registers ---- */
    {"mov 0f 20 /r", P32, 0, CR0_PE | CR0_ET, 0, CODE_BYTES("\x0f\x20\xc1")},
    {"mov 0f 22 /r|smsw 0f 01 /4", P32, 0x19, 0x19, 0, CODE_BYTES("\xb8\x19\0\0\0\x0f\x22\xc0\x0f\x01\xe1")}, /* PE ET TS */
    {"mov 0f 21 /r|mov 0f 23 /r", P32, 0x12345678, 0x12345678, 0, CODE_BYTES("\xb8\x78\x56\x34\x12\x0f\x23\xc0\x0f\x21\xc1")},
    {"lmsw 0f 01 /6", P32, 9, 0x19, 0, CODE_BYTES("\xb8\x09\0\0\0\x0f\x01\xf0\x0f\x01\xe1")},
    {"clts 0f 06", P32, 9, 0x11, 0, CODE_BYTES("\xb8\x09\0\0\0\x0f\x01\xf0\x0f\x06\x0f\x01\xe1")},
    {"invlpg 0f 01 /7", P32, 0, 2, 0, CODE_BYTES("\x0f\x01\x3b\xb1\x02")},
    {"invpcid 66 0f 38 82 /r", P32, 2, 2, 0, CODE_BYTES("\xb8\x02\0\0\0\x66\x0f\x38\x82\x43\x30\xb1\x02")},
    {"invpcid 66 0f 38 82 /r", P32, 13, 0, 0, CODE_BYTES("\xb8\x04\0\0\0\x66\x0f\x38\x82\x43\x30")}, /* no such type */
    {"invd 0f 08", P32, 0, 2, 0, CODE_BYTES("\x0f\x08\xb1\x02")},
    {"wbinvd 0f 09", P32, 0, 2, 0, CODE_BYTES("\x0f\x09\xb1\x02")},
    {"clflush np 0f ae /7", P32, 0, 2, 0, CODE_BYTES("\x0f\xae\x3b\xb1\x02")},
    {"xgetbv np 0f 01 d0", P32, 7, 0, 0, CODE_BYTES("\x0f\x01\xd0")},
    {"wrpkru np 0f 01 ef|rdpkru np 0f 01 ee", L64, 0x54, 0, 0, /* mov eax,54h; wrpkru; xor eax,eax; rdpkru */
     CODE_BYTES("\xb8\x54\0\0\0\x31\xd2\x0f\x01\xef\x31\xc0\x0f\x01\xee")},
    {"swapgs 0f 01 f8", L64, 0x12345678, 0x12345678, 0, /* wrmsr KERNEL_GS_BASE; swapgs; rdgsbase rcx */
     CODE_BYTES("\xb9\x02\x01\0\xc0\xb8\x78\x56\x34\x12\x31\xd2\x0f\x30\x0f\x01\xf8\xf3\x48\x0f\xae\xc9")},
    {"wrfsbase f3 0f ae /2|rdfsbase f3 0f ae /0", L64, 0x12345678, 0x12345678, 0,
     CODE_BYTES("\xb8\x78\x56\x34\x12\xf3\x48\x0f\xae\xd0\xf3\x48\x0f\xae\xc1")},
    {"wrgsbase f3 0f ae /3|rdgsbase f3 0f ae /1", L64, 0x12345678, 0x12345678, 0,
     CODE_BYTES("\xb8\x78\x56\x34\x12\xf3\x48\x0f\xae\xd8\xf3\x48\x0f\xae\xc9")},

    /* ---- questions about the CPU ---- */
    {"rdtscp 0f 01 f9", L64, 0, 0x12345678, 0, /* wrmsr TSC_AUX; rdtscp; xor eax,eax */
     CODE_BYTES("\xb9\x03\x01\0\xc0\xb8\x78\x56\x34\x12\x31\xd2\x0f\x30\x0f\x01\xf9\x31\xc0")},
    {"rdpid f3 0f c7 /7", L64, 0x12345678, 0x12345678, 0,
     CODE_BYTES("\xb9\x03\x01\0\xc0\xb8\x78\x56\x34\x12\x31\xd2\x0f\x30\xf3\x0f\xc7\xf9")},
    {"rdpru 0f 01 fd", P32, 0, 2, 0, CODE_BYTES("\xb8\x05\0\0\0\xb9\x02\0\0\0\x0f\x01\xfd")}, /* no such register: 0 */
    {"cpuid 0f a2", P32, 0, 0x6c65746e, 0, CODE_BYTES("\x0f\xa2\x31\xc0")}, /* "ntel" */
    {"rdseed 0f c7 /7", P32, 1, 0, 0, CODE_BYTES("\x0f\xc7\xf9\x0f\x92\xc0\xb9\0\0\0\0")}, /* rdseed ecx; setc al; mov ecx,0 */

    /* ---- saved state: MXCSR is changed in the image; xmm0 is not 0, so its component is in use ---- */
    {"fxsave np w0 0f ae /0|fxrstor np w0 0f ae /1", P32, 0, 0x3f80, 0,
     CODE_BYTES("\x0f\xae\x83\0\x01\0\0\x66\xc7\x83\x18\x01\0\0\x80\x3f\x0f\xae\x8b\0\x01\0\0\x0f\xae\x1b\x8b\x0b")},
#define XSAVE_PROGRAM(save, restore)                                                               \
    CODE_BYTES("\x66\x0f\x76\xc0\xb8\x03\0\0\0\x31\xd2" save "\0\x02\0\0\x66\xc7\x83\x18\x02\0\0\x80\x3f" \
               restore "\0\x02\0\0\x0f\xae\x1b\x8b\x0b")
    {"xsave np w0 0f ae /4|xrstor np w0 0f ae /5", P32, 3, 0x3f80, 0, XSAVE_PROGRAM("\x0f\xae\xa3", "\x0f\xae\xab")},
    {"xsaveopt np w0 0f ae /6", P32, 3, 0x3f80, 0, XSAVE_PROGRAM("\x0f\xae\xb3", "\x0f\xae\xab")},
    {"xsavec np w0 0f c7 /4", P32, 3, 0x3f80, 0, XSAVE_PROGRAM("\x0f\xc7\xa3", "\x0f\xae\xab")},
    {"xsaves np w0 0f c7 /5|xrstors np w0 0f c7 /3", P32, 3, 0x3f80, 0, XSAVE_PROGRAM("\x0f\xc7\xab", "\x0f\xc7\x9b")},
    {"fnstenv d9 /6|fldenv d9 /4", P32, 0, 0x0f7f, 0, /* fnstenv [ebx]; mov word [ebx],0f7fh; fldenv [ebx]; fnstcw [ebx]; movzx ecx,[ebx] */
     CODE_BYTES("\xd9\x33\x66\xc7\x03\x7f\x0f\xd9\x23\xd9\x3b\x0f\xb7\x0b")},
};

/* Rows that other programs test. */
static const struct {
    const char *rows, *file, *test;
} elsewhere[] = {
    {"jo|jno|jb|jae|je|jne|jbe|ja|js|jns|jp|jnp|jl|jge|jle|jg", "isa/test_flow.c", "every_condition_jumps_as_its_setcc_says"},
    {"loop e2|jrcxz e3", "isa/test_flow.c", "loop_counts_in_the_address_size"},
    {"call e8|ret c3", "isa/test_flow.c", "call_and_return_keep_the_stack_straight"},
    {"ret c2", "isa/test_flow.c", "calls_in_32_bit_mode_push_4_bytes"},
    {"call ff /2|jmp ff /4", "isa/test_flow.c", "indirect_branches_go_through_memory_and_registers"},
    {"jmp eb", "cpu/test_run.c", "deadline_in_the_middle_of_a_block_is_met"},
    {"syscall 0f 05|sysret 0f 07", "cpu/test_segment.c", "syscall_and_sysret_swap_rings"},
    {"sysenter 0f 34|sysexit 0f 35", "cpu/test_segment.c", "sysenter_and_sysexit_swap_rings"},
    {"sti fb", "cpu/test_event.c", "sti_holds_interrupts_off_for_one_instruction"},
    {"monitor 0f 01 c8|mwait 0f 01 c9", "cpu/test_event.c", "mwait_ends_when_the_line_changes"},
    {"vmcall np 0f 01 c1|vmresume np 0f 01 c3", "cpu/test_vmx_exit.c", "vmcall_exits_and_vmresume_goes_on_behind_it"},
    {"vmlaunch np 0f 01 c2", "cpu/test_vmx_exit.c", "vmlaunch_needs_a_clear_vmcs_and_vmresume_a_launched_one"},
    {"vmfunc np 0f 01 d4", "cpu/test_vmx_exit.c", "vmfunc_switches_eptp"},
    {"vmxoff np 0f 01 c4", "cpu/test_vmx_exit.c", "vmxoff_leaves_vmx_operation"},
    {"vmrun 0f 01 d8|vmmcall 0f 01 d9", "cpu/test_svm_exit.c", "vmmcall_exits_and_vmrun_goes_on_behind_it"},
    {"clgi 0f 01 dd|stgi 0f 01 dc", "cpu/test_svm_event.c", "clgi_holds_interrupts_and_nmis_until_stgi"},
    {"vmload 0f 01 da|vmsave 0f 01 db", "cpu/test_svm_entry.c", "vmload_and_vmsave_move_the_rest_and_make_bases_canonical"},
    {"invlpga 0f 01 df", "cpu/test_svm_exit.c", "instruction_exits_with_code_information_and_nrip"},
    {"hlt f4", "cpu/test_event.c", "hlt_ends_with_an_interrupt"},
    {"ud2 0f 0b", "cpu/test_run.c", "fault_counts_once_and_its_instruction_does_not"},
    {"wrmsr 0f 30|rdmsr 0f 32", "cpu/test_msr.c", "rdmsr_and_wrmsr_use_edx_eax"},
    {"rdtsc 0f 31", "cpu/test_msr.c", "rdtsc_counts_instructions_within_a_block"},
    {"rdrand 0f c7 /6", "cpu/test_msr.c", "random_numbers_depend_on_the_seed_only"},
    {"fxsave64|fxrstor64", "isa/test_simd.c", "what_fxsave_saves_fxrstor_restores"},
    {"xsave64|xrstor64", "isa/test_simd.c", "what_xsave_saves_xrstor_restores"},
    {"xsavec64", "isa/test_simd.c", "what_xsavec_saves_xrstor_restores"},
    {"xsaves64|xrstors64", "isa/test_simd.c", "what_xsaves_saves_xrstors_restores"},
    {"xsaveopt64", "isa/test_simd.c", "xsaveopt_leaves_initial_components_alone"},
    {"fnsave dd /6|frstor dd /4", "fp/test_x87_state.c", "frstor_brings_back_what_fnsave_took"},
};
/* clang-format on */

/* Is the row in this list of "name" or "name encoding"? */
static bool lists(const char *rows, const struct row *row)
{
    char full[80];

    (void)snprintf(full, sizeof(full), "%s %s", row->def.name, row->def.encoding);
    while (*rows != '\0') {
        const size_t length = strcspn(rows, "|");

        if ((strlen(full) == length && strncmp(full, rows, length) == 0) ||
            (strlen(row->def.name) == length && strncmp(row->def.name, rows, length) == 0))
            return true;
        rows += length + (rows[length] == '|');
    }
    return false;
}

static bool is_covered(const struct row *row)
{
    if (testable(row, true) || testable(row, false))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        if (lists(programs[i].rows, row))
            return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        if (lists(elsewhere[i].rows, row))
            return true;
    }
    return false;
}

START_TEST(every_row_has_a_test)
{
    const struct isa *isa = isa_get();
    u32 missing = 0;

    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);

        if (is_covered(row))
            continue;
        missing++;
        printf("no test: %s \"%s\" \"%s\"\n", row->def.name, row->def.encoding, row->def.operands);
    }
    ck_assert_uint_eq(missing, 0);
}
END_TEST

/* TESTS_FOLDER is this source tree's tests/. */
START_TEST(tests_that_are_named_exist)
{
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        char path[512], line[256], wanted[128];
        bool found = false;
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", TESTS_FOLDER, elsewhere[i].file);
        (void)snprintf(wanted, sizeof(wanted), "START_TEST(%s)", elsewhere[i].test);
        file = fopen(path, "r");
        ck_assert_msg(file != NULL, "%s cannot be read", path);
        while (!found && fgets(line, sizeof(line), file) != NULL)
            found = strstr(line, wanted) != NULL;
        (void)fclose(file);
        ck_assert_msg(found, "%s has no test %s", elsewhere[i].file, elsewhere[i].test);
    }
}
END_TEST

/* ---- the programs ---- */

static void prepare(enum mode mode)
{
    guest_create("max");
    memset(v->features, 0xff, sizeof(v->features));
    for (unsigned i = 0; i < 16; i++)
        v->state.reg[i] = 0;
    if (mode == L64)
        guest_long();
    else
        guest_protected();
    v->state.cr4 |= CR4_OSFXSR | CR4_OSXSAVE | CR4_FSGSBASE | CR4_PKE;
    v->state.xcr0 = 7;
    mode_update(v);
    for (u8 vector = 0; vector < 64; vector++) { /* mov al,vector; hlt */
        const u8 handler[] = {0xb0, vector, 0xf4};

        put(HANDLER + 16u * vector, handler, sizeof(handler));
    }
    v->state.reg[REG_RBX] = FAR;
    put_value(FAR, CODE + 12, 4);
    put_value(FAR + 4, SEL_CODE0, 2);
    put_value(FAR + 16, 0x12345678, 4);
    put_value(FAR + 20, SEL_DATA3, 2);
    put_value(FAR + 24, 0x9abcdef0, 4);
    put_value(FAR + 28, SEL_DATA16, 2);
    put_value(FAR + 32, 0x1ff, 2);
    put_value(FAR + 34, GDT, 4);
}

/* Do all rows that the program is for occur in it? */
static bool contains_its_rows(const struct program *p)
{
    const struct isa *isa = isa_get();
    u32 wanted = 1, seen = 0;

    for (const char *at = p->rows; *at != '\0'; at++)
        wanted += *at == '|';
    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);

        if (!lists(p->rows, row))
            continue;
        for (u32 at = 0; at < p->size; at++) {
            u8 bytes[16] = {0};
            struct insn in;

            memcpy(bytes, p->code + at, p->size - at < 15 ? p->size - at : 15);
            if (decode(v, bytes, 15, &in) == DECODE_OK && in.def == &row->def) {
                seen++;
                break;
            }
        }
    }
    return seen == wanted;
}

START_TEST(program_leaves_what_the_manual_says)
{
    const struct program *p = &programs[_i];

    prepare(p->mode);
    ck_assert_msg(contains_its_rows(p), "%s: not in its program", p->rows);
    put(CODE + p->size, "\xf4", 1);
    run(p->code, p->size, 100);
    ck_assert_msg(v->state.reg[REG_RAX] == p->rax && v->state.reg[REG_RCX] == p->rcx &&
                      (p->out == 0 || p->out == last_port),
                  "%s: rax %lx rcx %lx out %lx", p->rows, (unsigned long)v->state.reg[REG_RAX],
                  (unsigned long)v->state.reg[REG_RCX], (unsigned long)last_port);
    ck_assert_int_eq(v->state.activity, ACTIVITY_HLT);
    guest_destroy();
}
END_TEST

static void add(Suite *suite)
{
    TCase *c = tcase_create("coverage");

    tcase_add_test(c, every_row_has_a_test);
    tcase_add_test(c, tests_that_are_named_exist);
    tcase_add_loop_test(c, program_leaves_what_the_manual_says, 0, ARRAY_SIZE(programs));
    suite_add_tcase(suite, c);
}

TESTS_MAIN("coverage", add)
