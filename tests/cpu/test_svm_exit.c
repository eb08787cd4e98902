/* SPDX-License-Identifier: MIT */
/* #VMEXIT: APM Vol 2 15.6 to 15.14 and appendix C: codes, EXITINFO, nRIP, decode assists. */
#include "tests/cpu/svm_guest.h"

static void setup(void)
{
    svm_create();
}

/* L2 in 32-bit protected mode, with pages of 4 MiB for the first 4 MiB. */
static void legacy(void)
{
    enum { DIRECTORY = 0x7000, CODE32 = 0xc9b };

    save.efer &= ~(EFER_LME | EFER_LMA);
    save.cr4 = CR4_PSE;
    save.cr3 = DIRECTORY;
    save.cs = (struct vmcb_segment){SEL_CODE0, CODE32, ~0u, 0};
    put_value(DIRECTORY, 0x87, 4);
}

START_TEST(vmmcall_exits_and_vmrun_goes_on_behind_it)
{
    RUN_INTO("\x0f\x01\xd9\xb3\x07\x0f\x01\xd9", 1); /* vmmcall; mov bl,7; vmmcall */
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(save.rip, L2_CODE);
    ck_assert_uint_eq(control.next_rip, L2_CODE + 3);
    save.rip = control.next_rip;
    vmrun();
    run_more(2);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RBX] & 0xff, 7);
    ck_assert_uint_eq(save.rip, L2_CODE + 5);
}
END_TEST

/* One instruction of L2 with RAX and RCX, and what its exit says. */
static const struct instruction_exit {
    const char *code;
    u8 size;
    u16 exit;
    u64 rax, rcx, info1, info2;
} instruction_exits[] = {
    {"\x0f\x20\xc1", 3, SVM_EXIT_CR_READ, 0, 0, BIT(63) | 1, 0}, /* mov rcx,cr0 */
    {"\x0f\x20\xd9", 3, SVM_EXIT_CR_READ + 3, 0, 0, BIT(63) | 1, 0},
    {"\x44\x0f\x20\xc1", 4, SVM_EXIT_CR_READ + 8, 0, 0, BIT(63) | 1, 0},
    {"\xf0\x0f\x20\xc1", 4, SVM_EXIT_CR_READ + 8, 0, 0, BIT(63) | 1, 0}, /* lock: CR8 */
    {"\xf0\x0f\x22\xc1", 4, SVM_EXIT_CR_WRITE + 8, 0, 1, BIT(63) | 1, 0},
    {"\x0f\x01\xe0", 3, SVM_EXIT_CR_READ, 0, 0, 0, 0}, /* smsw eax */
    {"\x0f\x22\xc1", 3, SVM_EXIT_CR_WRITE, 0, 0x80010033, BIT(63) | 1, 0},
    {"\x0f\x22\xd9", 3, SVM_EXIT_CR_WRITE + 3, 0, 1, BIT(63) | 1, 0},
    {"\x0f\x22\xe1", 3, SVM_EXIT_CR_WRITE + 4, 0, 0x20, BIT(63) | 1, 0},
    {"\x0f\x06", 2, SVM_EXIT_CR_WRITE, 0, 0, 0, 0}, /* clts */
    {"\x0f\x01\xf0", 3, SVM_EXIT_CR_WRITE, 1, 0, 0, 0}, /* lmsw ax */
    {"\x0f\x22\xc1", 3, SVM_EXIT_CR0_SEL_WRITE, 0, 0x80050033, BIT(63) | 1, 0}, /* AM */
    {"\x0f\x01\xf0", 3, SVM_EXIT_CR0_SEL_WRITE, 3, 0, 0, 0},
    {"\x0f\x21\xf9", 3, SVM_EXIT_DR_READ + 7, 0, 0, 1, 0}, /* mov rcx,dr7 */
    {"\x0f\x21\xe1", 3, SVM_EXIT_DR_READ + 4, 0, 0, 1, 0},
    {"\x0f\x23\xf9", 3, SVM_EXIT_DR_WRITE + 7, 0, 0, 1, 0},
    {"\x0f\x01\x08", 3, SVM_EXIT_IDTR_READ, 0x8000, 0, 0, 0}, /* sidt [rax] */
    {"\x0f\x01\x00", 3, SVM_EXIT_GDTR_READ, 0x8000, 0, 0, 0},
    {"\x0f\x00\xc0", 3, SVM_EXIT_LDTR_READ, 0, 0, 0, 0}, /* sldt eax */
    {"\x0f\x00\xc8", 3, SVM_EXIT_TR_READ, 0, 0, 0, 0},
    {"\x0f\x01\x18", 3, SVM_EXIT_IDTR_WRITE, 0x8000, 0, 0, 0}, /* lidt [rax] */
    {"\x0f\x01\x10", 3, SVM_EXIT_GDTR_WRITE, 0x8000, 0, 0, 0},
    {"\x0f\x00\xd0", 3, SVM_EXIT_LDTR_WRITE, 0, 0, 0, 0}, /* lldt ax */
    {"\x0f\x00\xd8", 3, SVM_EXIT_TR_WRITE, 0, 0, 0, 0},
    {"\x0f\x31", 2, SVM_EXIT_RDTSC, 0, 0, 0, 0},
    {"\x0f\x33", 2, SVM_EXIT_RDPMC, 0, 3, 0, 0},
    {"\x9c", 1, SVM_EXIT_PUSHF, 0, 0, 0, 0},
    {"\x9d", 1, SVM_EXIT_POPF, 0, 0, 0, 0},
    {"\x0f\xa2", 2, SVM_EXIT_CPUID, 0, 0, 0, 0},
    {"\x0f\xaa", 2, SVM_EXIT_RSM, 0, 0, 0, 0},
    {"\x48\xcf", 2, SVM_EXIT_IRET, 0, 0, 0, 0},
    {"\xcd\x91", 2, SVM_EXIT_SWINT, 0, 0, 0x91, 0},
    {"\x0f\x08", 2, SVM_EXIT_INVD, 0, 0, 0, 0},
    {"\xf3\x90", 2, SVM_EXIT_PAUSE, 0, 0, 0, 0},
    {"\xf4", 1, SVM_EXIT_HLT, 0, 0, 0, 0},
    {"\x0f\x01\x39", 3, SVM_EXIT_INVLPG, 0, 0x1234, 0x1234, 0},
    {"\x0f\x01\xdf", 3, SVM_EXIT_INVLPGA, 0x5678, 1, 0, 0},
    /* port << 16, operand size 4:6, address size 9:7, IN 0, string 2, REP 3, segment 12:10 */
    {"\xe4\x60", 2, SVM_EXIT_IOIO, 0, 0, 0x600211, L2_CODE + 2}, /* in al,60h */
    {"\x66\xe7\x60", 3, SVM_EXIT_IOIO, 0, 0, 0x600220, L2_CODE + 3}, /* out 60h,ax */
    {"\xf3\x6f", 2, SVM_EXIT_IOIO, 0, 1, 0xe4c | 0x60 << 16, L2_CODE + 2}, /* rep outsd */
    {"\x67\x6c", 2, SVM_EXIT_IOIO, 0, 1, 0x115 | 0x60 << 16, L2_CODE + 2}, /* insb, 32-bit */
    {"\x0f\x32", 2, SVM_EXIT_MSR, 0, 0x174, 0, 0},
    {"\x0f\x30", 2, SVM_EXIT_MSR, 0, 0xc0000080, 1, 0},
    {"\x0f\x32", 2, SVM_EXIT_MSR, 0, 0x12345678, 0, 0}, /* in no range of the map */
    {"\x0f\x01\xd8", 3, SVM_EXIT_VMRUN, VMCB, 0, 0, 0},
    {"\x0f\x01\xd9", 3, SVM_EXIT_VMMCALL, 0, 0, 0, 0},
    {"\x0f\x01\xda", 3, SVM_EXIT_VMLOAD, VMCB, 0, 0, 0},
    {"\x0f\x01\xdb", 3, SVM_EXIT_VMSAVE, VMCB, 0, 0, 0},
    {"\x0f\x01\xdc", 3, SVM_EXIT_STGI, 0, 0, 0, 0},
    {"\x0f\x01\xdd", 3, SVM_EXIT_CLGI, 0, 0, 0, 0},
    {"\x0f\x01\xf9", 3, SVM_EXIT_RDTSCP, 0, 0, 0, 0},
    {"\xf1", 1, SVM_EXIT_ICEBP, 0, 0, 0, 0},
    {"\x0f\x09", 2, SVM_EXIT_WBINVD, 0, 0, 0, 0},
    {"\x0f\x01\xc8", 3, SVM_EXIT_MONITOR, 0, 0, 0, 0},
    {"\x0f\x01\xc9", 3, SVM_EXIT_MWAIT, 0, 0, 0, 0},
    {"\x0f\x01\xfd", 3, SVM_EXIT_RDPRU, 0, 0, 0, 0},
    {"\x66\x0f\x38\x82\x01", 5, SVM_EXIT_INVPCID, 2, 0x8000, 0x8000, 2}, /* invpcid rax,[rcx] */
    {"\xcc", 1, SVM_EXIT_EXCEPTION + VEC_BP, 0, 0, 0, 0},
};

START_TEST(instruction_exits_with_code_information_and_nrip)
{
    const struct instruction_exit *row = &instruction_exits[_i];

    intercept(row->exit);
    put_value(IOPM + 0x60 / 8, 0xff, 1);
    put_value(MSRPM, ~(u64)0, 8);
    for (u32 at = 0; at < 0x2000; at += 8)
        put_value(MSRPM + at, ~(u64)0, 8);
    v->state.reg[REG_RCX] = row->rcx;
    v->state.reg[REG_RDX] = 0x60;
    save.rax = row->rax;
    run_into(row->code, row->size, 1);
    expect_exit(row->exit);
    ck_assert_uint_eq(control.exit_info1, row->info1);
    ck_assert_uint_eq(control.exit_info2, row->info2);
    ck_assert_uint_eq(control.next_rip, L2_CODE + row->size);
    ck_assert_uint_eq(control.exit_int_info & INFO_VALID, 0);
    ck_assert_uint_eq(save.rip, L2_CODE);
    ck_assert_uint_eq(save.rax, row->rax);
}
END_TEST

/* The same without the intercept: the guest executes them, or gets its own fault. */
START_TEST(instruction_without_its_intercept_does_not_exit)
{
    const struct instruction_exit *row = &instruction_exits[_i];

    if (row->exit == SVM_EXIT_VMRUN || row->exit == SVM_EXIT_VMMCALL)
        return; /* intercepted by the rig */
    v->state.reg[REG_RCX] = row->rcx;
    v->state.reg[REG_RDX] = 0x60;
    save.rax = row->rax;
    run_into(row->code, row->size, 1);
    vmcb_get();
    ck_assert(in_svm_guest(v) || control.exit_code == SVM_EXIT_SHUTDOWN); /* mov cr3 */
}
END_TEST

START_TEST(mov_to_cr0_of_ts_and_mp_is_not_selected)
{
    intercept(SVM_EXIT_CR0_SEL_WRITE);
    v->state.reg[REG_RCX] = save.cr0 | CR0_TS | CR0_MP;
    RUN_INTO("\x0f\x22\xc1", 1);
    ck_assert(in_svm_guest(v));
    ck_assert_uint_eq(v->state.cr0, save.cr0 | CR0_TS | CR0_MP);
}
END_TEST

START_TEST(write_intercept_comes_before_the_selective_one)
{
    intercept(SVM_EXIT_CR0_SEL_WRITE);
    intercept(SVM_EXIT_CR_WRITE);
    v->state.reg[REG_RCX] = save.cr0 | CR0_AM;
    RUN_INTO("\x0f\x22\xc1", 1);
    expect_exit(SVM_EXIT_CR_WRITE);
}
END_TEST

START_TEST(exceptions_of_mov_to_cr_come_before_the_intercept)
{
    intercept(SVM_EXIT_CR_WRITE);
    intercept(SVM_EXIT_CR_WRITE + 3);
    intercept(SVM_EXIT_CR_WRITE + 4);
    v->state.reg[REG_RCX] = _i == 0 ? save.cr0 | CR0_NW : (u64)1 << 50;
    run_into(_i == 0 ? "\x0f\x22\xc1" : _i == 1 ? "\x0f\x22\xd9" : "\x0f\x22\xe1", 3, 1);
    ck_assert(in_svm_guest(v));
    at_handler(VEC_GP);
}
END_TEST

/* Exceptions that come before an intercept, beyond those of the CPL: APM Vol 2 table 15-7. */
static const struct exception_first {
    const char *code;
    u8 size, vector;
    u16 exit;
    u64 rax, rcx;
} exceptions_first[] = {
    {"\x0f\x33", 2, VEC_GP, SVM_EXIT_RDPMC, 0, 4},
    {"\x0f\x01\xc8", 3, VEC_GP, SVM_EXIT_MONITOR, 0x8000, 1},
    {"\x0f\x01\xc8", 3, VEC_PF, SVM_EXIT_MONITOR, (u64)1 << 40, 0},
    {"\x0f\x01\xc9", 3, VEC_GP, SVM_EXIT_MWAIT, 0, 2},
    {"\x0f\x23\xf9", 3, VEC_GP, SVM_EXIT_DR_WRITE + 7, 0, BIT(32)}, /* mov dr7,rcx */
    {"\x0f\x23\xf1", 3, VEC_GP, SVM_EXIT_DR_WRITE + 6, 0, BIT(63)},
    {"\x0f\x23\xe1", 3, VEC_GP, SVM_EXIT_DR_WRITE + 4, 0, BIT(63)},
    {"\x44\x0f\x23\xc1", 4, VEC_UD, SVM_EXIT_DR_WRITE + 8, 0, 0},
    {"\x44\x0f\x21\xc1", 4, VEC_UD, SVM_EXIT_DR_READ + 8, 0, 0},
    {"\x44\x0f\x22\xc1", 4, VEC_GP, SVM_EXIT_CR_WRITE + 8, 0, 16},
    {"\x0f\x20\xc8", 3, VEC_UD, SVM_EXIT_CR_READ + 1, 0, 0},
    {"\x0f\x22\xe9", 3, VEC_UD, SVM_EXIT_CR_WRITE + 5, 0, 0},
};

START_TEST(exception_comes_before_the_intercept)
{
    const struct exception_first *row = &exceptions_first[_i];

    intercept(row->exit);
    v->state.reg[REG_RCX] = row->rcx;
    save.rax = row->rax;
    run_into(row->code, row->size, 1);
    ck_assert(in_svm_guest(v));
    at_handler(row->vector);
}
END_TEST

/* Intercepts that come before exceptions, most of them in ring 3 of L2. */
static const struct intercept_first {
    const char *code;
    u8 size, cpl;
    u16 exit;
    u64 rcx;
} intercepts_first[] = {
    {"\x0f\x01\xd1", 3, 3, SVM_EXIT_XSETBV, 0},
    {"\x0f\x01\xd1", 3, 0, SVM_EXIT_XSETBV, 99},
    {"\x0f\xaa", 2, 3, SVM_EXIT_RSM, 0},
    {"\x48\xcf", 2, 3, SVM_EXIT_IRET, 0}, /* the stack is a supervisor's */
    {"\x9c", 1, 3, SVM_EXIT_PUSHF, 0},
    {"\x9d", 1, 3, SVM_EXIT_POPF, 0},
    {"\xcd\x41", 2, 3, SVM_EXIT_SWINT, 0}, /* the gate's DPL is 0 */
    {"\x0f\x01\xd9", 3, 3, SVM_EXIT_VMMCALL, 0},
    {"\x66\x0f\x38\x82\x01", 5, 0, SVM_EXIT_INVPCID, 0x4000000000000000}, /* not canonical */
    /* a memory operand that is not there */
    {"\x0f\x01\x34\x24", 4, 0, SVM_EXIT_CR_WRITE, 0}, /* lmsw [rsp] */
    {"\x0f\x01\x34\x24", 4, 0, SVM_EXIT_CR0_SEL_WRITE, 0},
    {"\x0f\x01\x24\x24", 4, 0, SVM_EXIT_CR_READ, 0}, /* smsw */
    {"\x0f\x01\x04\x24", 4, 0, SVM_EXIT_GDTR_READ, 0},
    {"\x0f\x01\x0c\x24", 4, 0, SVM_EXIT_IDTR_READ, 0},
    {"\x0f\x01\x14\x24", 4, 0, SVM_EXIT_GDTR_WRITE, 0},
    {"\x0f\x01\x1c\x24", 4, 0, SVM_EXIT_IDTR_WRITE, 0},
    {"\x0f\x00\x04\x24", 4, 0, SVM_EXIT_LDTR_READ, 0},
    {"\x0f\x00\x0c\x24", 4, 0, SVM_EXIT_TR_READ, 0},
    {"\x0f\x00\x14\x24", 4, 0, SVM_EXIT_LDTR_WRITE, 0},
    {"\x0f\x00\x1c\x24", 4, 0, SVM_EXIT_TR_WRITE, 0},
};

START_TEST(intercept_comes_before_the_exception)
{
    const struct intercept_first *row = &intercepts_first[_i];

    intercept(row->exit);
    save.cpl = row->cpl;
    if (row->cpl == 3) /* the code is everybody's, the stack is not */
        save.cs = (struct vmcb_segment){SEL_CODE64_3, 0xafb, ~0u, 0};
    save.cr4 |= CR4_OSXSAVE;
    save.rsp = (u64)1 << 40;
    v->state.reg[REG_RCX] = row->rcx;
    run_into(row->code, row->size, 1);
    expect_exit(row->exit);
    ck_assert_uint_eq(control.next_rip, L2_CODE + row->size);
}
END_TEST

/* INT n and INT1 have intercepts of their own: APM Vol 2 15.12. */
START_TEST(exception_intercept_is_not_for_int_n_and_int1)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_BP);
    intercept(SVM_EXIT_EXCEPTION + VEC_DB);
    if (_i == 0)
        RUN_INTO("\xcd\x03", 1);
    else
        RUN_INTO("\xf1", 1);
    at_handler(_i == 0 ? VEC_BP : VEC_DB);
}
END_TEST

/* An MWAIT that would wait has an intercept of its own, which is the first one. */
START_TEST(mwait_that_would_wait_exits_by_its_own_intercept)
{
    const bool armed = (_i & 1) != 0;

    intercept(SVM_EXIT_MWAIT_ARMED);
    if (_i >= 2)
        intercept(SVM_EXIT_MWAIT);
    v->state.reg[REG_RCX] = 0;
    save.rax = 0x8000;
    if (armed)
        RUN_INTO("\x0f\x01\xc8\x0f\x01\xc9", 2); /* monitor; mwait */
    else
        RUN_INTO("\x90\x0f\x01\xc9", 2);
    if (!armed && _i < 2)
        ck_assert(in_svm_guest(v));
    else
        expect_exit(armed ? SVM_EXIT_MWAIT_ARMED : SVM_EXIT_MWAIT);
}
END_TEST

START_TEST(io_crossing_into_the_map_exits)
{
    intercept(SVM_EXIT_IOIO);
    put_value(IOPM + 0x63 / 8, 1 << (0x63 & 7), 1);
    RUN_INTO("\xe5\x60", 1); /* in eax,60h */
    expect_exit(SVM_EXIT_IOIO);
    put_value(IOPM + 0x63 / 8, 0, 1);
    vmrun();
    run_more(1);
    ck_assert(in_svm_guest(v));
}
END_TEST

START_TEST(last_port_is_followed_by_three_bits_of_the_map)
{
    intercept(SVM_EXIT_IOIO);
    put_value(IOPM + 0x2000, 1, 1);
    v->state.reg[REG_RDX] = 0xffff;
    RUN_INTO("\x66\xed", 1); /* in ax,dx */
    expect_exit(SVM_EXIT_IOIO);
    ck_assert_uint_eq(control.exit_info1 >> 16, 0xffff);
}
END_TEST

/* Exceptions of the TSS's bitmap come before the intercept: APM Vol 2 15.10.2. */
START_TEST(io_without_permission_does_not_exit)
{
    intercept(SVM_EXIT_IOIO);
    put_value(IOPM + 0x60 / 8, 0xff, 1);
    put_value(TSS + 104 + 0x60 / 8, _i == 0 ? 0xff : 0, 1);
    save.cpl = 3;
    save.cs = (struct vmcb_segment){SEL_CODE64_3, 0xafb, ~0u, 0};
    RUN_INTO("\xe4\x60", 1); /* in al,60h */
    if (_i == 0)
        at_handler(VEC_GP);
    else
        expect_exit(SVM_EXIT_IOIO);
}
END_TEST

START_TEST(msr_map_has_a_bit_for_reads_and_one_for_writes)
{
    intercept(SVM_EXIT_MSR);
    put_value(MSRPM + 0x800 + 0x81 / 4, 2 << 2 * (0x81 & 3), 1); /* STAR, writes */
    v->state.reg[REG_RCX] = 0xc0000081;
    RUN_INTO("\x0f\x32\x0f\x30", 2); /* rdmsr; wrmsr */
    expect_exit(SVM_EXIT_MSR);
    ck_assert_uint_eq(control.exit_info1, 1);
    ck_assert_uint_eq(save.rip, L2_CODE + 2);
}
END_TEST

/* ---- PAUSE filter: APM Vol 2 15.14.4 ---- */

START_TEST(pause_exits_when_its_count_is_used_up)
{
    intercept(SVM_EXIT_PAUSE);
    control.pause_count = 3;
    RUN_INTO("\xf3\x90\xf3\x90\xf3\x90", 3);
    expect_exit(SVM_EXIT_PAUSE);
    ck_assert_uint_eq(save.rip, L2_CODE + 4);
}
END_TEST

START_TEST(late_pause_starts_a_new_count)
{
    intercept(SVM_EXIT_PAUSE);
    control.pause_count = 3;
    control.pause_threshold = 2;
    RUN_INTO("\xf3\x90\xf3\x90\x90\x90\x90\xf3\x90\xf3\x90\xf3\x90\xf3\x90", 9);
    expect_exit(SVM_EXIT_PAUSE);
    ck_assert_uint_eq(save.rip, L2_CODE + 13);
}
END_TEST

START_TEST(late_pause_itself_does_not_exit)
{
    intercept(SVM_EXIT_PAUSE);
    control.pause_count = _i;
    control.pause_threshold = 2;
    RUN_INTO("\x90\x90\x90\xf3\x90\x90\x90\x90\xf3\x90", 8);
    if (_i == 0) { /* no filter */
        expect_exit(SVM_EXIT_PAUSE);
        ck_assert_uint_eq(save.rip, L2_CODE + 3);
    } else {
        ck_assert(in_svm_guest(v));
    }
}
END_TEST

/* ---- exceptions: APM Vol 2 15.12 ---- */

START_TEST(intercepted_exception_exits_and_others_do_not)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_UD);
    RUN_INTO("\x0f\x0b", 1); /* ud2 */
    expect_exit(SVM_EXIT_EXCEPTION + VEC_UD);
    ck_assert_uint_eq(control.next_rip, 0);
    ck_assert_uint_eq(save.rip, L2_CODE);
    control.intercept[2] = 0;
    vmrun();
    run_more(1);
    ck_assert(in_svm_guest(v));
    at_handler(VEC_UD);
}
END_TEST

START_TEST(page_fault_reports_address_and_bytes_and_leaves_cr2)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_PF);
    save.cr2 = 0x77;
    save.rax = (u64)1 << 40;
    RUN_INTO("\x88\x18\x90\x90", 1); /* mov [rax],bl */
    expect_exit(SVM_EXIT_EXCEPTION + VEC_PF);
    ck_assert_uint_eq(control.exit_info1, 2);
    ck_assert_uint_eq(control.exit_info2, (u64)1 << 40);
    ck_assert_uint_eq(save.cr2, 0x77);
    ck_assert_uint_eq(control.bytes_fetched, 15);
    ck_assert_mem_eq(control.bytes, "\x88\x18\x90\x90", 4);
}
END_TEST

/* APM Vol 2 15.8.4. */
START_TEST(bytes_end_at_the_limit_of_cs)
{
    legacy();
    intercept(SVM_EXIT_EXCEPTION + VEC_PF);
    save.cs.limit = L2_CODE + 4;
    save.rax = 0x800000; /* beyond L2's page table */
    RUN_INTO("\x88\x18\x90\x90", 1); /* mov [eax],bl */
    expect_exit(SVM_EXIT_EXCEPTION + VEC_PF);
    ck_assert_uint_eq(control.bytes_fetched, 5);
    ck_assert_mem_eq(control.bytes, "\x88\x18\x90\x90", 4);
}
END_TEST

/* INT3, INTO and BOUND are the exceptions with an nRIP: APM Vol 2 15.7.1. */
START_TEST(exceptions_of_instructions_for_interrupts_have_an_nrip)
{
    static const struct {
        const char *code;
        u8 size, vector;
    } rows[] = {{"\xcc", 1, VEC_BP}, {"\xce", 1, VEC_OF}, {"\x62\x05\x00\x80\x00\x00", 6, VEC_BR}};

    legacy();
    intercept(SVM_EXIT_EXCEPTION + rows[_i].vector);
    put_value(0x8000, 1, 8); /* bounds 1 and 0 */
    save.rflags |= FLAG_OF;
    run_into(rows[_i].code, rows[_i].size, 1);
    expect_exit(SVM_EXIT_EXCEPTION + rows[_i].vector);
    ck_assert_uint_eq(save.rip, L2_CODE);
    ck_assert_uint_eq(control.next_rip, L2_CODE + rows[_i].size);
}
END_TEST

START_TEST(page_fault_of_a_fetch_has_no_bytes)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_PF);
    save.rip = (u64)1 << 40;
    vmrun();
    run_more(1);
    expect_exit(SVM_EXIT_EXCEPTION + VEC_PF);
    ck_assert_uint_eq(control.exit_info1, 0x10);
    ck_assert_uint_eq(control.bytes_fetched, 0);
}
END_TEST

START_TEST(debug_exception_exits_with_dr6_as_the_handler_sees_it)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_DB);
    save.rflags |= FLAG_TF;
    RUN_INTO("\x90", 2);
    expect_exit(SVM_EXIT_EXCEPTION + VEC_DB);
    ck_assert_uint_eq(save.dr6, DR6_FIXED_1 | DR6_BS);
    ck_assert_uint_eq(save.rip, L2_CODE + 1);
}
END_TEST

START_TEST(shutdown_exits_if_it_is_intercepted)
{
    save.idtr.limit = 0;
    RUN_INTO("\x0f\x0b", 1);
    expect_exit(SVM_EXIT_SHUTDOWN);
    ck_assert(!was_shut_down);
}
END_TEST

START_TEST(shutdown_that_is_not_intercepted_stops_the_processor)
{
    save.idtr.limit = 0;
    control.intercept[3] = 0;
    RUN_INTO("\x0f\x0b", 1);
    ck_assert(was_shut_down);
}
END_TEST

/* ---- the host after an exit: APM Vol 2 15.6 ---- */

START_TEST(exit_takes_time_in_which_nothing_retires)
{
    const u64 time = now, count = v->state.count;

    RUN_INTO("\x0f\x01\xd9", 1);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.count - count, 2);
    ck_assert_uint_eq(now - time, 2 + VIRT_EXIT_NS);
}
END_TEST

START_TEST(host_gets_its_state_back)
{
    v->state.reg[REG_RSP] = 0x31230;
    v->state.pat = 0x0606060606060606;
    v->state.dr[7] = 0x455;
    save.g_pat = 0x0404040404040404;
    save.cr0 |= CR0_TS;
    RUN_INTO("\x0f\x01\xd9", 1);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RSP], 0x31230);
    ck_assert_uint_eq(v->state.pat, 0x0606060606060606);
    ck_assert_uint_eq(v->state.dr[7], DR7_FIXED_1);
    ck_assert_uint_eq(v->state.cr0 & CR0_TS, 0);
    ck_assert_uint_eq(save.g_pat, 0x0404040404040404);
    ck_assert(mode64(v));
}
END_TEST

START_TEST(host_single_step_traps_behind_the_exit)
{
    intercept(SVM_EXIT_CPUID);
    v->state.rflags |= FLAG_TF;
    mode_update_privilege(v);
    put(L2_CODE, "\x0f\xa2", 2);
    vmrun();
    ck_assert(in_svm_guest(v));
    run_more(1);
    expect_exit(SVM_EXIT_CPUID);
    at_handler(VEC_DB);
    ck_assert_uint_eq(pushed(0), CODE + VMRUN_LENGTH);
}
END_TEST

/* ---- legacy PAE under nested paging: APM Vol 2 15.25.10 ---- */

START_TEST(pdptes_are_read_by_each_walk)
{
    enum { PDPT32 = 0x7000, CODE32 = 0xc9b };

    intercept(SVM_EXIT_EXCEPTION + VEC_PF);
    put_value(PDPT32, PD | 1, 8);
    save.efer &= ~(EFER_LME | EFER_LMA);
    save.cr3 = PDPT32;
    save.cs.attr = CODE32;
    RUN_INTO("\x90\x90", 1);
    ck_assert(in_svm_guest(v));
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE + 1);
    put_value(PDPT32, PD | 3, 8); /* a reserved bit */
    run_more(1);
    expect_exit(SVM_EXIT_EXCEPTION + VEC_PF);
    ck_assert_uint_eq(control.exit_info1, 0x19);
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("exit");

    tcase_add_checked_fixture(tc, setup, guest_destroy);
    tcase_add_test(tc, vmmcall_exits_and_vmrun_goes_on_behind_it);
    tcase_add_loop_test(tc, instruction_exits_with_code_information_and_nrip, 0,
                        ARRAY_SIZE(instruction_exits));
    tcase_add_loop_test(tc, instruction_without_its_intercept_does_not_exit, 0,
                        ARRAY_SIZE(instruction_exits));
    tcase_add_test(tc, mov_to_cr0_of_ts_and_mp_is_not_selected);
    tcase_add_test(tc, write_intercept_comes_before_the_selective_one);
    tcase_add_loop_test(tc, exceptions_of_mov_to_cr_come_before_the_intercept, 0, 3);
    tcase_add_loop_test(tc, exception_comes_before_the_intercept, 0, ARRAY_SIZE(exceptions_first));
    tcase_add_loop_test(tc, intercept_comes_before_the_exception, 0, ARRAY_SIZE(intercepts_first));
    tcase_add_loop_test(tc, exception_intercept_is_not_for_int_n_and_int1, 0, 2);
    tcase_add_loop_test(tc, mwait_that_would_wait_exits_by_its_own_intercept, 0, 4);
    tcase_add_test(tc, io_crossing_into_the_map_exits);
    tcase_add_test(tc, last_port_is_followed_by_three_bits_of_the_map);
    tcase_add_loop_test(tc, io_without_permission_does_not_exit, 0, 2);
    tcase_add_test(tc, msr_map_has_a_bit_for_reads_and_one_for_writes);
    tcase_add_test(tc, pause_exits_when_its_count_is_used_up);
    tcase_add_test(tc, late_pause_starts_a_new_count);
    tcase_add_loop_test(tc, late_pause_itself_does_not_exit, 0, 2);
    tcase_add_test(tc, intercepted_exception_exits_and_others_do_not);
    tcase_add_test(tc, page_fault_reports_address_and_bytes_and_leaves_cr2);
    tcase_add_test(tc, bytes_end_at_the_limit_of_cs);
    tcase_add_loop_test(tc, exceptions_of_instructions_for_interrupts_have_an_nrip, 0, 3);
    tcase_add_test(tc, page_fault_of_a_fetch_has_no_bytes);
    tcase_add_test(tc, debug_exception_exits_with_dr6_as_the_handler_sees_it);
    tcase_add_test(tc, shutdown_exits_if_it_is_intercepted);
    tcase_add_test(tc, shutdown_that_is_not_intercepted_stops_the_processor);
    tcase_add_test(tc, exit_takes_time_in_which_nothing_retires);
    tcase_add_test(tc, host_gets_its_state_back);
    tcase_add_test(tc, host_single_step_traps_behind_the_exit);
    tcase_add_test(tc, pdptes_are_read_by_each_walk);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("svm_exit", add)
