/* SPDX-License-Identifier: MIT */
/* VM exits: SDM Vol 3C chapters 26 and 28. */
#include "tests/cpu/vmx_guest.h"

static void setup(void)
{
    vmx_create();
}

START_TEST(vmcall_exits_and_vmresume_goes_on_behind_it)
{
    LAUNCH_INTO("\x0f\x01\xc1\xb0\x07\x0f\x01\xc1", 1); /* vmcall; mov al,7; vmcall */
    expect_exit(EXIT_VMCALL);
    ck_assert_uint_eq(vmcs->exit_instruction_length, 3);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE);
    vmcs->guest_rip += vmcs->exit_instruction_length;
    RUN("\x0f\x01\xc3", 3); /* vmresume */
    expect_exit(EXIT_VMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RAX] & 0xff, 7);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE + 5);
}
END_TEST

/* The guest goes on with these `count` instructions, the last of which exits. */
static void resume_into(const char *bytes, u64 size, u64 count)
{
    put(vmcs->guest_rip, bytes, size);
    RUN("\x0f\x01\xc3", 1 + count); /* vmresume */
    expect_exit(EXIT_VMCALL);
}

#define RESUME_INTO(bytes, count) resume_into(bytes, sizeof(bytes) - 1, count)

START_TEST(registers_that_an_exit_changes_are_checked_at_the_next_entry)
{
    LAUNCH_INTO("\x0f\x01\xc1", 1); /* vmcall */
    ck_assert_uint_ne(v->vmx_valid & GROUP_REGISTERS, 0);
    /* mov rax,cr4; btc rax,7; mov cr4,rax; vmcall */
    RESUME_INTO("\x0f\x20\xe0\x48\x0f\xba\xf8\x07\x0f\x22\xe0\x0f\x01\xc1", 4);
    ck_assert_uint_eq(v->vmx_valid & GROUP_REGISTERS, 0);
    RESUME_INTO("\x0f\x01\xc1", 1);
    ck_assert_uint_ne(v->vmx_valid & GROUP_REGISTERS, 0);
    RESUME_INTO("\x31\xc0\x8e\xd8\x0f\x01\xc1", 3); /* xor eax,eax; mov ds,eax; vmcall */
    ck_assert_uint_eq(v->vmx_valid & GROUP_REGISTERS, 0);
}
END_TEST

START_TEST(vmlaunch_needs_a_clear_vmcs_and_vmresume_a_launched_one)
{
    RUN("\x0f\x01\xc3", 1);
    expect_fail(ERROR_VMRESUME_NOT_LAUNCHED);
    LAUNCH_INTO("\x0f\x01\xc1", 1);
    launch();
    expect_fail(ERROR_VMLAUNCH_NOT_CLEAR);
}
END_TEST

START_TEST(vmxoff_leaves_vmx_operation)
{
    RUN("\x0f\x01\xc4", 1);
    expect_success();
    ck_assert_uint_eq(v->state.vmx.mode, VMX_OFF);
    ck_assert(get(VMCS_REGION + VMCS_REGION_DATA + offsetof(struct vmcs, guest_rip), 8) == L2_CODE);
}
END_TEST

/* SDM Vol 3C 24.8, "Restrictions on VMX Operation". */
START_TEST(init_is_blocked_in_root_operation_and_taken_after_vmxoff)
{
    const u64 rip = v->state.reg[REG_RIP];

    event_signal_init(v);
    RUN("\x90\x0f\x01\xc4", 1); /* nop; vmxoff */
    ck_assert_uint_eq(v->state.init_pending, 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], rip + 1);
    ck_assert_uint_eq(apic_resets, 0);
    v->alone = false;
    (void)vcpu_run(v, 2);
    ck_assert_uint_eq(v->state.vmx.mode, VMX_OFF);
    ck_assert_uint_eq(v->state.init_pending, 0);
    ck_assert_uint_eq(v->state.cr0 & CR0_PE, 0);
    ck_assert_uint_eq(apic_resets, 1);
}
END_TEST

START_TEST(init_in_a_guest_exits_and_resets_nothing)
{
    event_signal_init(v);
    launch();
    expect_exit(EXIT_INIT);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE);
    ck_assert_uint_eq(v->state.init_pending, 0);
    ck_assert_uint_eq(apic_resets, 0);
}
END_TEST

/* One instruction of L2, the controls that it needs, and what the exit says. */
static const struct instruction_exit {
    const char *code;
    u8 size;
    u32 primary, secondary;
    u64 rax, rcx;
    u16 reason;
    u64 qualification;
    u32 info;
} instruction_exits[] = {
    {"\x0f\xa2", 2, 0, 0, 0, 0, EXIT_CPUID, 0, 0},
    {"\x0f\x08", 2, 0, 0, 0, 0, EXIT_INVD, 0, 0},
    {"\x0f\x01\xc1", 3, 0, 0, 0, 0, EXIT_VMCALL, 0, 0},
    {"\xf4", 1, PRIMARY_HLT, 0, 0, 0, EXIT_HLT, 0, 0},
    {"\x0f\x31", 2, PRIMARY_RDTSC, 0, 0, 0, EXIT_RDTSC, 0, 0},
    {"\x0f\x01\xf9", 3, PRIMARY_RDTSC, SECONDARY_RDTSCP, 0, 0, EXIT_RDTSCP, 0, 0},
    {"\x0f\x33", 2, PRIMARY_RDPMC, 0, 0, 0, EXIT_RDPMC, 0, 0},
    {"\xf3\x90", 2, PRIMARY_PAUSE, 0, 0, 0, EXIT_PAUSE, 0, 0},
    {"\x0f\x01\xc8", 3, PRIMARY_MONITOR, 0, 0, 0, EXIT_MONITOR, 0, 0},
    {"\x0f\x01\xc9", 3, PRIMARY_MWAIT, 0, 0, 0, EXIT_MWAIT, 0, 0},
    {"\x0f\x09", 2, 0, SECONDARY_WBINVD, 0, 0, EXIT_WBINVD, 0, 0},
    {"\x0f\x01\x39", 3, PRIMARY_INVLPG, 0, 0, 0x1234, EXIT_INVLPG, 0x1234, 0},
    {"\x0f\x20\xd9", 3, PRIMARY_CR3_STORE, 0, 0, 0, EXIT_CR_ACCESS, 0x113, 0}, /* mov rcx,cr3 */
    {"\x0f\x22\xd9", 3, PRIMARY_CR3_LOAD, 0, 0, 1, EXIT_CR_ACCESS, 0x103, 0}, /* mov cr3,rcx */
    {"\x44\x0f\x22\xc1", 4, PRIMARY_CR8_LOAD, 0, 0, 1, EXIT_CR_ACCESS, 0x108, 0},
    {"\x44\x0f\x20\xc1", 4, PRIMARY_CR8_STORE, 0, 0, 1, EXIT_CR_ACCESS, 0x118, 0},
    {"\x0f\x21\xf9", 3, PRIMARY_MOV_DR, 0, 0, 0, EXIT_MOV_DR, 0x117, 0}, /* mov rcx,dr7 */
    {"\x0f\x23\xf9", 3, PRIMARY_MOV_DR, 0, 0, 0, EXIT_MOV_DR, 0x107, 0},
    {"\xe4\x60", 2, PRIMARY_UNCONDITIONAL_IO, 0, 0, 0, EXIT_IO, 0x600048, 0}, /* in al,60h */
    {"\xe7\x60", 2, PRIMARY_UNCONDITIONAL_IO, 0, 0, 0, EXIT_IO, 0x600043, 0}, /* out 60h,eax */
    {"\x0f\x32", 2, 0, 0, 0, 0x174, EXIT_RDMSR, 0, 0},
    {"\x0f\x30", 2, 0, 0, 0, 0x174, EXIT_WRMSR, 0, 0},
    /* sgdt [rax]: base 0, address size 2 (64 bits), DS; 64-bit operand */
    {"\x0f\x01\x00", 3, 0, SECONDARY_DESCRIPTOR_TABLE, 0, 0, EXIT_GDTR_IDTR, 0, 0x00418900},
    /* lidt [rcx+8]: displacement 8; identity 3 */
    {"\x0f\x01\x59\x08", 4, 0, SECONDARY_DESCRIPTOR_TABLE, 0, 0, EXIT_GDTR_IDTR, 8, 0x30c18900},
    {"\x0f\x00\xd1", 3, 0, SECONDARY_DESCRIPTOR_TABLE, 0, 0, EXIT_LDTR_TR, 0, 0x20000408},
    {"\x48\x0f\xc7\xf1", 4, 0, SECONDARY_RDRAND, 0, 0, EXIT_RDRAND, 0, 0x1008}, /* rdrand rcx */
    {"\x0f\xc7\xf9", 3, 0, SECONDARY_RDSEED, 0, 0, EXIT_RDSEED, 0, 0x0808}, /* rdseed ecx */
    {"\x66\x0f\x38\x82\x01", 5, PRIMARY_INVLPG, SECONDARY_INVPCID, 0, 0, EXIT_INVPCID, 0,
     0x00c18100}, /* invpcid rax,[rcx] */
    {"\x0f\xc7\x31", 3, 0, 0, 0, 0, EXIT_VMPTRLD, 0, 0x60c18100}, /* vmptrld [rcx] */
    {"\x0f\x78\xc1", 3, 0, 0, 0, 0, EXIT_VMREAD, 0, 0x00000408}, /* vmread rcx,rax */
    {"\x0f\x01\xc2", 3, 0, 0, 0, 0, EXIT_VMLAUNCH, 0, 0},
    {"\x0f\x01\xc4", 3, 0, 0, 0, 0, EXIT_VMXOFF, 0, 0},
};

START_TEST(instructions_exit_with_qualification_information_and_length)
{
    const struct instruction_exit *row = &instruction_exits[_i];

    vmcs->primary_controls |= row->primary;
    vmcs->secondary_controls |= row->secondary;
    v->state.reg[REG_RAX] = row->rax;
    v->state.reg[REG_RCX] = row->rcx;
    launch_into(row->code, row->size, 1);
    expect_exit(row->reason);
    ck_assert_uint_eq(vmcs->exit_qualification, row->qualification);
    if (row->info != 0)
        ck_assert_uint_eq(vmcs->exit_instruction_info, row->info);
    ck_assert_uint_eq(vmcs->exit_instruction_length, row->size);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE);
    ck_assert_uint_eq(vmcs->exit_interruption_info & INFO_VALID, 0);
    ck_assert_uint_eq(vmcs->idt_vectoring_info & INFO_VALID, 0);
}
END_TEST

START_TEST(exception_in_the_bitmap_exits_and_others_do_not)
{
    vmcs->exception_bitmap = 1u << VEC_UD;
    LAUNCH_INTO("\x0f\x0b", 1); /* ud2 */
    expect_exit(EXIT_EXCEPTION_NMI);
    ck_assert_uint_eq(vmcs->exit_interruption_info, 0x80000306);
    vmcs->exception_bitmap = 0;
    RUN("\x0f\x01\xc3", 2);
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
    at_handler(VEC_UD);
}
END_TEST

START_TEST(page_fault_exits_by_mask_and_match)
{
    vmcs->exception_bitmap = 1u << VEC_PF;
    vmcs->page_fault_mask = 2;
    vmcs->page_fault_match = 2;
    v->state.reg[REG_RAX] = (u64)1 << 40;
    LAUNCH_INTO("\x8a\x18", 1); /* mov bl,[rax]: a read goes to the guest */
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
    at_handler(VEC_PF);
    put(v->state.reg[REG_RIP], "\x88\x18", 2); /* mov [rax],bl */
    v->alone = false;
    (void)vcpu_run(v, 1);
    expect_exit(EXIT_EXCEPTION_NMI);
    ck_assert_uint_eq(vmcs->exit_qualification, (u64)1 << 40);
    ck_assert_uint_eq(vmcs->exit_interruption_info, 0x80000b0e);
    ck_assert_uint_eq(vmcs->exit_interruption_error_code, 2);
}
END_TEST

START_TEST(ept_violation_reports_both_addresses)
{
    v->state.reg[REG_RAX] = 0x3ff123;
    put_value(EPT_PDPT, 0x56000 | 7, 8); /* 2 MiB pages, the second one read-only */
    put_value(0x56000, 0xb7, 8);
    put_value(0x56008, 0x2000b1, 8);
    LAUNCH_INTO("\x88\x18", 1); /* mov [rax],bl */
    expect_exit(EXIT_EPT_VIOLATION);
    ck_assert_uint_eq(vmcs->guest_physical_address, 0x3ff123);
    ck_assert_uint_eq(vmcs->guest_linear_address, 0x3ff123);
    ck_assert_uint_eq(vmcs->exit_qualification & 0x1ff, 0x18a);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE);
}
END_TEST

START_TEST(exit_during_delivery_has_vectoring_information)
{
    vmcs->guest_rsp = 0x3ff100;
    put_value(EPT_PDPT, 0x56000 | 7, 8);
    put_value(0x56000, 0xb7, 8);
    LAUNCH_INTO("\xcd\x40", 1); /* int 40h, whose stack is not mapped */
    expect_exit(EXIT_EPT_VIOLATION);
    ck_assert_uint_eq(vmcs->idt_vectoring_info, 0x80000440);
    ck_assert_uint_eq(vmcs->exit_instruction_length, 2);
}
END_TEST

START_TEST(interrupt_exits_and_is_acknowledged)
{
    vmcs->pin_controls |= PIN_EXTERNAL_INTERRUPT;
    vmcs->exit_controls |= EXIT_ACK_INTERRUPT;
    event_signal_intr(v, true);
    launch();
    expect_exit(EXIT_EXTERNAL_INTERRUPT);
    ck_assert_uint_eq(vmcs->exit_interruption_info, 0x80000040);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE);
}
END_TEST

START_TEST(preemption_timer_counts_tsc_in_units)
{
    vmcs->pin_controls |= PIN_PREEMPTION_TIMER;
    vmcs->exit_controls |= EXIT_SAVE_TIMER;
    vmcs->preemption_timer = 3;
    LAUNCH_INTO("\xeb\xfe", 1000); /* jmp $ */
    ck_assert_uint_eq(vmcs->exit_reason, EXIT_PREEMPTION_TIMER);
    ck_assert_uint_eq(vmcs->preemption_timer, 0);
}
END_TEST

/* At whatever place in the timer's period L2 starts, and however soon it exits. */
START_TEST(preemption_timer_counts_in_an_exit)
{
    now += (u64)_i;
    vmcs->pin_controls |= PIN_PREEMPTION_TIMER;
    vmcs->exit_controls |= EXIT_SAVE_TIMER;
    vmcs->preemption_timer = 100;
    LAUNCH_INTO("\x0f\xa2", 1); /* cpuid */
    expect_exit(EXIT_CPUID);
    ck_assert_uint_lt(vmcs->preemption_timer, 100);
    ck_assert_uint_ge(vmcs->preemption_timer, 98);
}
END_TEST

START_TEST(preemption_timer_that_ends_in_another_exit_is_saved_as_0)
{
    now += (1 << VMX_TIMER_SHIFT) - now % (1 << VMX_TIMER_SHIFT);
    vmcs->pin_controls |= PIN_PREEMPTION_TIMER;
    vmcs->exit_controls |= EXIT_SAVE_TIMER;
    vmcs->preemption_timer = 1;
    LAUNCH_INTO("\x0f\xa2", 1);
    expect_exit(EXIT_CPUID);
    ck_assert_uint_eq(vmcs->preemption_timer, 0);
}
END_TEST

/* Of an instruction, of an event at a boundary, and of an exception: one event each. */
START_TEST(exit_takes_time_in_which_nothing_retires)
{
    static const char *const codes[] = {"\x0f\xa2", "\xeb\xfe", "\x0f\x0b"};
    const u64 time = now, count = v->state.count;

    vmcs->exception_bitmap = 1u << VEC_UD;
    vmcs->pin_controls |= PIN_EXTERNAL_INTERRUPT;
    event_signal_intr(v, _i == 1);
    put(L2_CODE, codes[_i], 2);
    launch();
    if (in_vmx_guest(v))
        (void)vcpu_run(v, 1);
    ck_assert_uint_eq(v->state.vmx.mode, VMX_ROOT);
    ck_assert_uint_eq(v->state.count - count, 2);
    ck_assert_uint_eq(now - time, 2 + VIRT_EXIT_NS);
}
END_TEST

START_TEST(monitor_trap_flag_exits_after_one_instruction)
{
    vmcs->primary_controls |= PRIMARY_MTF;
    LAUNCH_INTO("\x90\x90", 2);
    expect_exit(EXIT_MTF);
    ck_assert_uint_eq(vmcs->guest_rip, L2_CODE + 1);
}
END_TEST

START_TEST(triple_fault_exits)
{
    vmcs->guest_idtr_limit = 0;
    LAUNCH_INTO("\x0f\x0b", 1);
    expect_exit(EXIT_TRIPLE_FAULT);
    ck_assert(!was_shut_down);
}
END_TEST

START_TEST(vmfunc_switches_eptp)
{
    vmcs->secondary_controls |= SECONDARY_VM_FUNCTIONS;
    vmcs->vm_function_controls = VM_FUNCTION_EPTP_SWITCHING;
    vmcs->eptp_list_address = BITMAP;
    put_value(BITMAP + 8, EPTP | EPTP_AD, 8);
    v->state.reg[REG_RAX] = 0;
    v->state.reg[REG_RCX] = 1;
    LAUNCH_INTO("\x0f\x01\xd4\xff\xc1\x0f\x01\xd4", 1); /* vmfunc; inc ecx; vmfunc */
    ck_assert_uint_eq(vmcs->eptp, EPTP | EPTP_AD);
    v->alone = false;
    (void)vcpu_run(v, 2); /* entry 2 is zero */
    expect_exit(EXIT_VMFUNC);
}
END_TEST

START_TEST(violation_becomes_a_virtualization_exception)
{
    vmcs->secondary_controls |= SECONDARY_EPT_VIOLATION_VE;
    vmcs->ve_information_address = BITMAP;
    v->state.reg[REG_RAX] = 0x200123;
    put_value(EPT_PDPT, 0x56000 | 7, 8);
    put_value(0x56000, 0xb7, 8);
    LAUNCH_INTO("\x8a\x18", 1); /* mov bl,[rax] */
    ck_assert_uint_eq(v->state.vmx.mode, VMX_GUEST);
    at_handler(VEC_VE);
    ck_assert_uint_eq(get(BITMAP, 8), 0xffffffff00000030);
    ck_assert_uint_eq(get(BITMAP + 16, 8), 0x200123);
    ck_assert_uint_eq(get(BITMAP + 24, 8), 0x200123);
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("exit");

    tcase_add_checked_fixture(tc, setup, guest_destroy);
    tcase_add_test(tc, vmcall_exits_and_vmresume_goes_on_behind_it);
    tcase_add_test(tc, registers_that_an_exit_changes_are_checked_at_the_next_entry);
    tcase_add_test(tc, vmlaunch_needs_a_clear_vmcs_and_vmresume_a_launched_one);
    tcase_add_test(tc, vmxoff_leaves_vmx_operation);
    tcase_add_test(tc, init_is_blocked_in_root_operation_and_taken_after_vmxoff);
    tcase_add_test(tc, init_in_a_guest_exits_and_resets_nothing);
    tcase_add_loop_test(tc, instructions_exit_with_qualification_information_and_length, 0,
                        (int)ARRAY_SIZE(instruction_exits));
    tcase_add_test(tc, exception_in_the_bitmap_exits_and_others_do_not);
    tcase_add_test(tc, page_fault_exits_by_mask_and_match);
    tcase_add_test(tc, ept_violation_reports_both_addresses);
    tcase_add_test(tc, exit_during_delivery_has_vectoring_information);
    tcase_add_test(tc, interrupt_exits_and_is_acknowledged);
    tcase_add_test(tc, preemption_timer_counts_tsc_in_units);
    tcase_add_loop_test(tc, preemption_timer_counts_in_an_exit, 0, 1 << VMX_TIMER_SHIFT);
    tcase_add_test(tc, preemption_timer_that_ends_in_another_exit_is_saved_as_0);
    tcase_add_loop_test(tc, exit_takes_time_in_which_nothing_retires, 0, 3);
    tcase_add_test(tc, monitor_trap_flag_exits_after_one_instruction);
    tcase_add_test(tc, triple_fault_exits);
    tcase_add_test(tc, vmfunc_switches_eptp);
    tcase_add_test(tc, violation_becomes_a_virtualization_exception);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("vmx_exit", add)
