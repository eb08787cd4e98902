/* SPDX-License-Identifier: MIT */
/* Delivery of events and what happens at boundaries: SDM Vol 3A chapter 6, 18, 21. */
#include "guest.h"

static void setup(void)
{
    guest_create("max");
    guest_protected();
}

/* ---- 32-bit ---- */

START_TEST(exception_in_ring_0_pushes_flags_cs_and_eip)
{
    v->state.rflags |= FLAG_IF;
    deliver(VEC_UD);
    at_handler(VEC_UD);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0 - 12);
    ck_assert_int_eq(pushed(0), CODE);
    ck_assert_int_eq(pushed(1), SEL_CODE0);
    ck_assert_int_eq(pushed(2), FLAG_1 | FLAG_IF | FLAG_RF);
    ck_assert_int_eq(v->state.rflags & FLAG_IF, 0);
}
END_TEST

START_TEST(trap_gate_keeps_the_interrupt_flag)
{
    v->state.rflags |= FLAG_IF;
    put_gate(VEC_UD, SEL_CODE0, HANDLER, 0x8f, 0);
    deliver(VEC_UD);
    ck_assert_int_ne(v->state.rflags & FLAG_IF, 0);
}
END_TEST

START_TEST(exception_from_ring_3_switches_to_the_stack_of_the_tss)
{
    set_privilege(3);
    deliver_error(VEC_GP, 0x18);
    at_handler(VEC_GP);
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(v->state.seg[SEG_SS].selector, SEL_DATA0);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_TSS - 24);
    ck_assert_int_eq(pushed(0), 0x18);
    ck_assert_int_eq(pushed(1), CODE);
    ck_assert_int_eq(pushed(2), SEL_CODE3);
    ck_assert_int_eq(pushed(4), STACK3);
    ck_assert_int_eq(pushed(5), SEL_DATA3);
}
END_TEST

START_TEST(gate_of_16_bits_pushes_words)
{
    put_gate(VEC_UD, SEL_CODE0, 0x10500, 0x86, 0);
    deliver(VEC_UD);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0 - 6);
    ck_assert_int_eq(v->state.reg[REG_RIP], 0x0500);
    ck_assert_int_eq(get(STACK0 - 4, 2), SEL_CODE0);
}
END_TEST

START_TEST(int_n_through_a_gate_of_inner_privilege_is_refused)
{
    set_privilege(3);
    v->next_rip = CODE + 2;
    ck_assert(!event_software(v, 0x80, SOURCE_SOFT_INT));
    expect_event(VEC_GP, 0x80 * 8 + 2);
    put_gate(0x80, SEL_CODE0, HANDLER, 0xee, 0);
    ck_assert(event_software(v, 0x80, SOURCE_SOFT_INT));
    ck_assert_int_eq(v->next_rip, HANDLER);
    ck_assert_int_eq(pushed(0), CODE + 2);
}
END_TEST

START_TEST(gate_beyond_the_idt_limit_raises_gp_with_the_idt_bit)
{
    v->state.idtr.limit = 0x80 * 8 - 1;
    ck_assert(!event_software(v, 0x80, SOURCE_SOFT_INT));
    expect_event(VEC_GP, 0x80 * 8 + 2);
}
END_TEST

START_TEST(interrupt_through_an_absent_gate_raises_np_with_ext)
{
    put_gate(0x40, SEL_CODE0, HANDLER, 0x0e, 0);
    v->state.rflags |= FLAG_IF;
    event_signal_intr(v, true);
    ck_assert(event_boundary(v));
    at_handler(VEC_NP);
    ck_assert_int_eq(pushed(0), 0x40 * 8 + 3);
}
END_TEST

START_TEST(bad_stack_of_the_tss_raises_ts_and_changes_nothing)
{
    put_value(TSS + 8, SEL_READ_ONLY, 2);
    set_privilege(3);
    put_gate(0x80, SEL_CODE0, HANDLER, 0xee, 0);
    ck_assert(!event_software(v, 0x80, SOURCE_SOFT_INT));
    expect_event(VEC_TS, SEL_READ_ONLY);
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK3);
}
END_TEST

/* ---- exceptions upon exceptions: SDM Vol 3A table 6-5 ---- */

START_TEST(fault_during_a_contributory_exception_is_a_double_fault)
{
    put_gate(VEC_GP, SEL_CODE0, HANDLER, 0x0e, 0);
    deliver_error(VEC_GP, 0);
    at_handler(VEC_DF);
    ck_assert_int_eq(pushed(0), 0);
    ck_assert_int_eq(pushed(1), CODE);
}
END_TEST

START_TEST(fault_during_a_benign_exception_is_delivered_itself)
{
    put_gate(VEC_UD, SEL_CODE0, HANDLER, 0x0e, 0);
    deliver(VEC_UD);
    at_handler(VEC_NP);
    ck_assert_int_eq(pushed(0), VEC_UD * 8 + 3);
}
END_TEST

/* APM Vol 2 8.4.1: an exception is internal. SDM Vol 3A 6.13: an earlier exception sets EXT too. */
START_TEST(ext_of_amd_tells_of_interrupts_alone)
{
    v->amd = true;
    put_gate(VEC_UD, SEL_CODE0, HANDLER, 0x0e, 0);
    deliver(VEC_UD);
    at_handler(VEC_NP);
    ck_assert_int_eq(pushed(0), VEC_UD * 8 + 2);
    put_gate(0x40, SEL_CODE0, HANDLER, 0x0e, 0);
    v->state.rflags |= FLAG_IF;
    event_signal_intr(v, true);
    ck_assert(event_boundary(v));
    at_handler(VEC_NP);
    ck_assert_int_eq(pushed(0), 0x40 * 8 + 3);
}
END_TEST

START_TEST(fault_during_a_page_fault_is_a_double_fault)
{
    put_gate(VEC_PF, SEL_CODE0, HANDLER, 0x0e, 0);
    (void)raise_page_fault(v, 0x12345678, 2);
    event_deliver_exception(v);
    at_handler(VEC_DF);
    ck_assert_int_eq(v->state.cr2, 0x12345678);
}
END_TEST

START_TEST(fault_during_a_double_fault_shuts_down)
{
    put_gate(VEC_GP, SEL_CODE0, HANDLER, 0x0e, 0);
    put_gate(VEC_DF, SEL_CODE0, HANDLER, 0x0e, 0);
    deliver_error(VEC_GP, 0);
    ck_assert_int_eq(v->state.activity, ACTIVITY_SHUTDOWN);
    ck_assert(was_shut_down);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0);
}
END_TEST

/* ---- 64-bit ---- */

static void setup_long(void)
{
    guest_create("max");
    guest_long();
}

START_TEST(long_mode_pushes_ss_rsp_on_an_aligned_stack)
{
    v->state.reg[REG_RSP] = STACK0 + 5;
    deliver(VEC_UD);
    at_handler(VEC_UD);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0 - 40);
    ck_assert_int_eq(pushed(0), CODE);
    ck_assert_int_eq(pushed(3), STACK0 + 5);
    ck_assert_int_eq(pushed(4), SEL_DATA0);
    ck_assert_int_eq(v->state.seg[SEG_SS].selector, SEL_DATA0);
}
END_TEST

START_TEST(long_mode_entry_from_ring_3_makes_ss_null)
{
    set_privilege(3);
    deliver_error(VEC_GP, 7);
    at_handler(VEC_GP);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_TSS - 48);
    ck_assert_int_eq(v->state.seg[SEG_SS].selector, 0);
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(pushed(0), 7);
    ck_assert_int_eq(pushed(5), SEL_DATA3);
}
END_TEST

START_TEST(interrupt_stack_table_is_used_without_a_privilege_change)
{
    put_gate(VEC_DF, SEL_CODE64, HANDLER, 0x8e, 1);
    deliver_error(VEC_DF, 0);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_IST - 48);
}
END_TEST

START_TEST(handler_that_is_not_64_bit_code_is_refused)
{
    put_gate(0x80, SEL_CODE0, HANDLER, 0x8e, 0);
    ck_assert(!event_software(v, 0x80, SOURCE_SOFT_INT));
    expect_event(VEC_GP, SEL_CODE0);
}
END_TEST

START_TEST(iret_takes_back_what_the_exception_pushed)
{
    set_privilege(3);
    v->state.rflags |= FLAG_IF;
    deliver(VEC_UD);
    ck_assert(interrupt_return(v, 8));
    ck_assert_int_eq(v->next_rip, CODE);
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK3);
    ck_assert_int_eq(v->state.seg[SEG_SS].selector, SEL_DATA3);
    ck_assert_int_eq(v->state.rflags & (FLAG_IF | FLAG_RF), FLAG_IF);
}
END_TEST

/* ---- real and virtual-8086 mode ---- */

START_TEST(real_mode_uses_the_vector_table)
{
    guest_create("max");
    put_value(4 * 0x21, 0x12345678, 4);
    v->state.reg[REG_RSP] = 0x100;
    v->next_rip = 0x234;
    ck_assert(event_software(v, 0x21, SOURCE_SOFT_INT));
    ck_assert_int_eq(v->state.seg[SEG_CS].base, 0x12340);
    ck_assert_int_eq(v->next_rip, 0x5678);
    ck_assert_int_eq(get(0xfa, 2), 0x234);
    ck_assert_int_eq(get(0xfc, 2), 0xf000);
    guest_destroy();
}
END_TEST

START_TEST(exception_in_v86_pushes_the_segment_registers)
{
    guest_v86(0);
    deliver(VEC_UD);
    at_handler(VEC_UD);
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(v->state.rflags & FLAG_VM, 0);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_TSS - 36);
    ck_assert_int_eq(pushed(1), 0x2000);
    ck_assert_int_ne(pushed(2) & FLAG_VM, 0);
    ck_assert_int_eq(pushed(4), 0x3000);
    ck_assert_int_eq(pushed(5), 0x100); /* ES */
    ck_assert_int_eq(v->state.seg[SEG_DS].selector, 0);
    ck_assert(interrupt_return(v, 4));
    ck_assert_int_ne(v->mode & MODE_V86, 0);
    ck_assert_int_eq(v->state.seg[SEG_SS].base, 0x30000);
    ck_assert_int_eq(v->state.seg[SEG_GS].base, 0x6000);
}
END_TEST

START_TEST(int_n_in_v86_needs_iopl_3)
{
    guest_v86(2);
    ck_assert(!event_software(v, 0x21, SOURCE_SOFT_INT));
    expect_event(VEC_GP, 0);
    put_gate(0x21, SEL_CODE0, HANDLER, 0xee, 0);
    guest_v86(3);
    ck_assert(event_software(v, 0x21, SOURCE_SOFT_INT));
    ck_assert_int_eq(v->cpl, 0);
}
END_TEST

START_TEST(vme_redirects_int_n_by_the_bitmap)
{
    put_value(4 * 0x21, 0x12340056, 4);
    put_value(TSS + 102, 0x88, 2); /* the redirection map lies below, all zeros */
    v->state.cr4 |= CR4_VME;
    guest_v86(0);
    v->state.rflags |= FLAG_VIF;
    ck_assert(event_software(v, 0x21, SOURCE_SOFT_INT));
    ck_assert_int_ne(v->mode & MODE_V86, 0);
    ck_assert_int_eq(v->state.seg[SEG_CS].base, 0x12340);
    ck_assert_int_eq(v->next_rip, 0x56);
    ck_assert_int_eq(v->state.rflags & FLAG_VIF, 0);
    ck_assert_int_ne(get(0x30000 + 0x1000 - 2, 2) & FLAG_IF, 0);
}
END_TEST

/* ---- boundaries ---- */

START_TEST(interrupt_waits_for_the_interrupt_flag)
{
    event_signal_intr(v, true);
    ck_assert(!event_pending(v));
    v->state.rflags |= FLAG_IF;
    ck_assert(event_pending(v));
    ck_assert(event_boundary(v));
    at_handler(0x40);
    ck_assert(!event_pending(v));
}
END_TEST

START_TEST(sti_holds_interrupts_off_for_one_instruction)
{
    event_signal_intr(v, true);
    RUN("\xfb\x90\x90", 1); /* sti; nop */
    ck_assert_int_eq(v->state.reg[REG_RIP], CODE + 1);
    ck_assert(!event_pending(v));
    RUN("\x90", 1);
    at_handler(0x40);
    ck_assert_int_eq(pushed(0), CODE + 2);
}
END_TEST

START_TEST(mov_ss_holds_off_traps_and_interrupts)
{
    v->state.rflags |= FLAG_IF;
    v->state.reg[REG_RAX] = SEL_DATA0;
    RUN("\x8e\xd0\x90", 1); /* mov ss, ax; nop */
    event_signal_intr(v, true);
    event_signal_nmi(v);
    v->state.pending_debug = 1;
    ck_assert(!event_pending(v));
    v->state.shadow = 0;
    ck_assert(event_boundary(v));
    at_handler(VEC_DB);
}
END_TEST

START_TEST(priorities_are_debug_then_nmi_then_interrupt)
{
    v->state.rflags |= FLAG_IF;
    event_signal_intr(v, true);
    event_signal_nmi(v);
    v->state.pending_debug = DR6_BS;
    ck_assert(event_boundary(v));
    at_handler(VEC_DB);
    ck_assert_int_eq(v->state.dr[6], DR6_FIXED_1 | DR6_BS);
    ck_assert(event_boundary(v));
    at_handler(VEC_NMI);
    v->state.rflags |= FLAG_IF;
    ck_assert(event_boundary(v));
    at_handler(0x40);
}
END_TEST

START_TEST(nmi_is_blocked_until_iret)
{
    event_signal_nmi(v);
    ck_assert(event_boundary(v));
    event_signal_nmi(v);
    ck_assert(!event_pending(v));
    ck_assert(interrupt_return(v, 4));
    ck_assert(event_pending(v));
}
END_TEST

START_TEST(hlt_ends_with_an_interrupt)
{
    v->state.rflags |= FLAG_IF;
    RUN("\xf4\x90", 10); /* hlt */
    ck_assert_int_eq(v->state.activity, ACTIVITY_HLT);
    event_signal_intr(v, true);
    ck_assert(event_boundary(v));
    ck_assert_int_eq(v->state.activity, ACTIVITY_ACTIVE);
    ck_assert_int_eq(pushed(0), CODE + 1);
}
END_TEST

START_TEST(single_step_traps_behind_each_instruction)
{
    v->state.rflags |= FLAG_TF;
    mode_update(v);
    RUN("\x90\x90", 1);
    at_handler(VEC_DB);
    ck_assert_int_eq(pushed(0), CODE + 1);
    ck_assert_int_ne(pushed(2) & FLAG_TF, 0);
    ck_assert_int_ne(v->state.dr[6] & DR6_BS, 0);
    ck_assert(!v->stepping);
}
END_TEST

START_TEST(last_branch_is_recorded_if_debugctl_lbr_is_set)
{
    ck_assert(msr_write(v, 0x1d9, DEBUGCTL_LBR));
    RUN("\x90\xeb\x02\x90\x90\x90", 3); /* nop; jmp +2; ... nop */
    ck_assert_uint_eq(v->state.last_branch_from, CODE + 1);
    ck_assert_uint_eq(v->state.last_branch_to, CODE + 5);
    deliver(VEC_UD);
    ck_assert_uint_eq(v->state.last_int_from, CODE + 1);
    ck_assert_uint_eq(v->state.last_branch_to, HANDLER + 16 * VEC_UD);
}
END_TEST

START_TEST(single_step_on_branches_traps_behind_the_branch)
{
    ck_assert(msr_write(v, 0x1d9, DEBUGCTL_BTF));
    v->state.rflags |= FLAG_TF;
    mode_update(v);
    RUN("\x90\xeb\x02\x90\x90\x90", 2);
    at_handler(VEC_DB);
    ck_assert_uint_eq(pushed(0), CODE + 5);
    ck_assert_uint_eq(v->state.debugctl, 0);
}
END_TEST

START_TEST(int_n_takes_no_single_step_trap_in_its_handler)
{
    v->state.rflags |= FLAG_TF;
    mode_update(v);
    RUN("\xcd\x80", 1);
    ck_assert_int_eq(v->state.pending_debug, 0);
    at_handler(0x80);
}
END_TEST

START_TEST(code_breakpoint_faults_unless_rf_is_set)
{
    v->state.dr[0] = CODE;
    ck_assert(dr_write(v, 7, 2));
    ck_assert(event_code_breakpoint(v));
    ck_assert_int_eq(v->event.dr6, 1);
    v->state.rflags |= FLAG_RF;
    ck_assert(!event_code_breakpoint(v));
}
END_TEST

START_TEST(data_breakpoint_traps_after_the_store)
{
    v->state.dr[1] = 0x50000;
    ck_assert(dr_write(v, 7, 0x00d00008)); /* DR1, 4 bytes, writes */
    ck_assert(v->watching);
    RUN("\xa3\x02\x00\x05\x00\x90", 1); /* mov [50002h], eax */
    at_handler(VEC_DB);
    ck_assert_int_eq(v->state.dr[6], DR6_FIXED_1 | 2);
    ck_assert_int_eq(pushed(0), CODE + 5);
}
END_TEST

START_TEST(general_detect_faults_and_is_cleared_by_delivery)
{
    u64 value;

    ck_assert(dr_write(v, 7, DR7_GD));
    ck_assert(!dr_read(v, 0, &value));
    ck_assert_int_eq(v->event.vector, VEC_DB);
    event_deliver_exception(v);
    ck_assert_int_ne(v->state.dr[6] & DR6_BD, 0);
    ck_assert_int_eq(v->state.dr[7] & DR7_GD, 0);
}
END_TEST

START_TEST(init_and_sipi_start_another_cpu)
{
    v->index = 1;
    event_signal_init(v);
    ck_assert(event_boundary(v));
    ck_assert_int_eq(v->state.activity, ACTIVITY_WAIT_SIPI);
    event_signal_nmi(v);
    ck_assert(!event_pending(v));
    event_signal_sipi(v, 0x9a);
    ck_assert(event_boundary(v));
    ck_assert_int_eq(v->state.activity, ACTIVITY_ACTIVE);
    ck_assert_int_eq(v->state.seg[SEG_CS].base, 0x9a000);
    ck_assert_int_eq(v->state.reg[REG_RIP], 0);
    event_signal_sipi(v, 0x10);
    ck_assert_int_eq(v->state.sipi_pending, 0);
}
END_TEST

START_TEST(mwait_ends_when_the_line_changes)
{
    v->state.reg[REG_RAX] = 0x50000;
    v->state.reg[REG_RCX] = 0;
    RUN("\x0f\x01\xc8\x0f\x01\xc9\x90", 2); /* monitor; mwait */
    ck_assert_int_eq(v->state.activity, ACTIVITY_HLT);
    ck_assert(!event_pending(v));
    put_value(0x50010, 1, 1);
    ck_assert(event_pending(v));
    ck_assert(event_boundary(v));
    ck_assert_int_eq(v->state.activity, ACTIVITY_ACTIVE);
}
END_TEST

/* ---- SMM ---- */

START_TEST(smi_saves_everything_and_rsm_restores_it)
{
    struct cpu_state before;

    guest_create("max");
    guest_long();
    set_privilege(3);
    v->state.reg[REG_R15] = 0x123456789abcdef0;
    before = v->state;
    event_signal_smi(v);
    ck_assert(event_boundary(v));
    ck_assert_int_eq(v->state.in_smm, 1);
    ck_assert_int_eq(v->state.seg[SEG_CS].base, 0x30000);
    ck_assert_int_eq(v->state.reg[REG_RIP], 0x8000);
    ck_assert_int_eq(v->state.cr0 & (CR0_PE | CR0_PG), 0);
    ck_assert_int_eq(get(0x3fefc, 4), 0x20064);
    ck_assert_int_eq(get(0x3ff78, 8), CODE);
    v->state.reg[REG_R15] = 0;
    put_value(0x3ff00, 0xa0000, 4); /* SMBASE */
    ck_assert(smm_return(v));
    ck_assert_int_eq(v->next_rip, CODE);
    ck_assert_int_eq(v->state.smbase, 0xa0000);
    ck_assert_int_eq(v->cpl, 3);
    ck_assert(mode64(v));
    before.smbase = 0xa0000;
    ck_assert_mem_eq(&before, &v->state, sizeof(before));
    guest_destroy();
}
END_TEST

/* What RSM finds in the save area, one row per rule: bits of a field that are inverted. The guest
 * is in 64-bit mode; SDM Vol 3C 32.3.2, APM Vol 2 10.4. */
START_TEST(rsm_shuts_down_if_the_saved_state_is_illegal)
{
    enum { AREA_EFER = 0x3fed0, AREA_CR4 = 0x3ff48, AREA_CR3 = 0x3ff50, AREA_CR0 = 0x3ff58 };
    enum { AREA_RIP = 0x3ff78, AREA_CS_ATTR = 0x3fe12 };
    static const struct {
        u64 at, flip;
        u32 size;
        const char *rule;
        u64 also, also_flip; /* what must change, too, for no other rule to be broken */
    } rows[] = {
        {AREA_CR0, CR0_PE, 8, "PG without PE", 0, 0},
        {AREA_CR0, CR0_NW, 8, "NW without CD", 0, 0},
        {AREA_CR0, BIT(32), 8, "upper half of CR0", 0, 0},
        {AREA_CR4, BIT(15), 8, "reserved bit of CR4", 0, 0},
        {AREA_CR4, CR4_VMXE, 8, "VMXE", 0, 0},
        {AREA_EFER, BIT(9), 8, "reserved bit of EFER", 0, 0},
        {AREA_EFER, EFER_LMA, 8, "LME and PG without LMA", 0, 0},
        {AREA_EFER, EFER_LME, 8, "LMA without LME", 0, 0},
        {AREA_CR0, CR0_PG, 8, "LMA without PG", 0, 0},
        {AREA_CR4, CR4_PAE, 8, "long mode without PAE", 0, 0},
        {AREA_CR4, CR4_PCIDE, 8, "PCIDs outside long mode", AREA_EFER, EFER_LME | EFER_LMA},
        {AREA_CR3, BIT(40), 8, "CR3 beyond MAXPHYADDR", 0, 0},
        {AREA_CS_ATTR, BIT(10), 2, "CS.L and CS.D", 0, 0},
        {AREA_RIP, BIT(62), 8, "RIP that is not canonical", 0, 0},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        guest_create("max");
        guest_long();
        event_signal_smi(v);
        ck_assert(event_boundary(v));
        put_value(rows[i].at, get(rows[i].at, rows[i].size) ^ rows[i].flip, rows[i].size);
        if (rows[i].also != 0)
            put_value(rows[i].also, get(rows[i].also, 8) ^ rows[i].also_flip, 8);
        ck_assert(smm_return(v));
        ck_assert_msg(v->state.activity == ACTIVITY_SHUTDOWN, "%s", rows[i].rule);
        ck_assert_uint_eq(v->state.efer, 0); /* nothing of it was taken */
        guest_destroy();
    }
}
END_TEST

START_TEST(rsm_loads_only_bits_that_exist)
{
    guest_create("max");
    guest_long();
    event_signal_smi(v);
    ck_assert(event_boundary(v));
    put_value(0x3ff60, ~(u64)0 & ~DR7_ENABLES, 8);
    put_value(0x3ff68, ~(u64)0, 8);
    put_value(0x3ff70, BIT(63) | FLAG_CF, 8);
    ck_assert(smm_return(v));
    ck_assert_uint_eq(v->state.activity, ACTIVITY_ACTIVE);
    ck_assert_uint_eq(v->state.dr[7], 0xffff2700);
    ck_assert_uint_eq(v->state.dr[6], 0xffffefff);
    ck_assert_uint_eq(rflags_get(v), FLAG_1 | FLAG_CF);
    guest_destroy();
}
END_TEST

START_TEST(smi_waits_for_the_end_of_a_shadow)
{
    event_signal_smi(v);
    v->state.shadow = SHADOW_STI;
    ck_assert(!event_pending(v));
    v->state.shadow = 0;
    ck_assert(event_pending(v) && event_boundary(v));
    ck_assert_int_eq(v->state.in_smm, 1);
}
END_TEST

START_TEST(rsm_outside_smm_is_undefined)
{
    ck_assert(!smm_return(v));
    ck_assert_int_eq(v->event.vector, VEC_UD);
}
END_TEST

static void add_protected(TCase *t)
{
    tcase_add_test(t, exception_in_ring_0_pushes_flags_cs_and_eip);
    tcase_add_test(t, trap_gate_keeps_the_interrupt_flag);
    tcase_add_test(t, exception_from_ring_3_switches_to_the_stack_of_the_tss);
    tcase_add_test(t, gate_of_16_bits_pushes_words);
    tcase_add_test(t, int_n_through_a_gate_of_inner_privilege_is_refused);
    tcase_add_test(t, gate_beyond_the_idt_limit_raises_gp_with_the_idt_bit);
    tcase_add_test(t, interrupt_through_an_absent_gate_raises_np_with_ext);
    tcase_add_test(t, ext_of_amd_tells_of_interrupts_alone);
    tcase_add_test(t, bad_stack_of_the_tss_raises_ts_and_changes_nothing);
    tcase_add_test(t, fault_during_a_contributory_exception_is_a_double_fault);
    tcase_add_test(t, fault_during_a_benign_exception_is_delivered_itself);
    tcase_add_test(t, fault_during_a_page_fault_is_a_double_fault);
    tcase_add_test(t, fault_during_a_double_fault_shuts_down);
    tcase_add_test(t, exception_in_v86_pushes_the_segment_registers);
    tcase_add_test(t, int_n_in_v86_needs_iopl_3);
    tcase_add_test(t, vme_redirects_int_n_by_the_bitmap);
    tcase_add_test(t, smi_waits_for_the_end_of_a_shadow);
    tcase_add_test(t, rsm_outside_smm_is_undefined);
}

static void add_boundary(TCase *t)
{
    tcase_add_test(t, interrupt_waits_for_the_interrupt_flag);
    tcase_add_test(t, sti_holds_interrupts_off_for_one_instruction);
    tcase_add_test(t, mov_ss_holds_off_traps_and_interrupts);
    tcase_add_test(t, priorities_are_debug_then_nmi_then_interrupt);
    tcase_add_test(t, nmi_is_blocked_until_iret);
    tcase_add_test(t, hlt_ends_with_an_interrupt);
    tcase_add_test(t, single_step_traps_behind_each_instruction);
    tcase_add_test(t, last_branch_is_recorded_if_debugctl_lbr_is_set);
    tcase_add_test(t, single_step_on_branches_traps_behind_the_branch);
    tcase_add_test(t, int_n_takes_no_single_step_trap_in_its_handler);
    tcase_add_test(t, code_breakpoint_faults_unless_rf_is_set);
    tcase_add_test(t, data_breakpoint_traps_after_the_store);
    tcase_add_test(t, general_detect_faults_and_is_cleared_by_delivery);
    tcase_add_test(t, init_and_sipi_start_another_cpu);
    tcase_add_test(t, mwait_ends_when_the_line_changes);
}

static void add(Suite *suite)
{
    TCase *t = tcase_create("32-bit");

    tcase_add_checked_fixture(t, setup, guest_destroy);
    add_protected(t);
    suite_add_tcase(suite, t);

    t = tcase_create("boundary");
    tcase_add_checked_fixture(t, setup, guest_destroy);
    add_boundary(t);
    suite_add_tcase(suite, t);

    t = tcase_create("64-bit");
    tcase_add_checked_fixture(t, setup_long, guest_destroy);
    tcase_add_test(t, long_mode_pushes_ss_rsp_on_an_aligned_stack);
    tcase_add_test(t, long_mode_entry_from_ring_3_makes_ss_null);
    tcase_add_test(t, interrupt_stack_table_is_used_without_a_privilege_change);
    tcase_add_test(t, handler_that_is_not_64_bit_code_is_refused);
    tcase_add_test(t, iret_takes_back_what_the_exception_pushed);
    suite_add_tcase(suite, t);

    t = tcase_create("own guest");
    tcase_add_test(t, real_mode_uses_the_vector_table);
    tcase_add_test(t, smi_saves_everything_and_rsm_restores_it);
    tcase_add_test(t, rsm_shuts_down_if_the_saved_state_is_illegal);
    tcase_add_test(t, rsm_loads_only_bits_that_exist);
    suite_add_tcase(suite, t);
}

TESTS_MAIN("event", add)
