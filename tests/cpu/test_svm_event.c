/* SPDX-License-Identifier: MIT */
/* Events of SVM guests: injection (APM Vol 2 15.20), GIF (15.17), interrupts (15.13, 15.21). */
#include "tests/cpu/svm_guest.h"

static void setup(void)
{
    svm_create();
}

static void inject(u32 info)
{
    control.event_inj = info | INFO_VALID;
}

/* L2 in 32-bit protected mode without paging. */
static void legacy(void)
{
    enum { IDT32 = 0x3000, CODE32 = 0xc9b };

    save.efer &= ~(EFER_LME | EFER_LMA);
    save.cr0 &= ~CR0_PG;
    save.cr4 &= ~CR4_PAE;
    save.cs = (struct vmcb_segment){SEL_CODE0, CODE32, ~0u, 0};
    save.idtr = (struct vmcb_segment){0, 0, 0x7ff, IDT32};
    put_value(TSS + 8, SEL_DATA0, 2);
    for (u32 i = 0; i < 256; i++)
        put_value(IDT32 + 8 * i, gate_low(SEL_CODE0, HANDLER + 16 * i, 0x8e), 8);
}

/* A gate of the 64-bit IDT that is not present. */
static void absent_gate(u8 vector)
{
    put_value(IDT + vector * 16u + 5, 0x0e, 1);
}

/* ---- injection ---- */

START_TEST(injected_exception_comes_before_the_first_instruction)
{
    inject(SVM_TYPE_EXCEPTION << 8 | INFO_ERROR_VALID | VEC_GP);
    control.event_inj_error = 0x1238;
    vmrun();
    at_handler(VEC_GP);
    ck_assert_uint_eq(pushed(0), 0x1238);
    ck_assert_uint_eq(pushed(1), L2_CODE);
    ck_assert(in_svm_guest(v));
}
END_TEST

START_TEST(injected_interrupt_ignores_if_and_the_shadow)
{
    inject(SVM_TYPE_INTR << 8 | 0x41);
    control.interrupt_state = STATE_SHADOW;
    vmrun();
    at_handler(0x41);
    ck_assert_uint_eq(pushed(0), L2_CODE);
    ck_assert_uint_eq(v->state.shadow, 0);
}
END_TEST

START_TEST(injected_software_interrupt_returns_to_nrip)
{
    inject(SVM_TYPE_SOFT << 8 | 0x41);
    control.next_rip = L2_CODE + 2;
    vmrun();
    at_handler(0x41);
    ck_assert_uint_eq(pushed(0), L2_CODE + 2);
}
END_TEST

START_TEST(injected_software_interrupt_is_checked_against_its_gate)
{
    inject(SVM_TYPE_SOFT << 8 | 0x41);
    save.cpl = 3;
    save.cs = (struct vmcb_segment){SEL_CODE64_3, 0xafb, ~0u, 0};
    vmrun();
    at_handler(VEC_GP);
    ck_assert_uint_eq(pushed(0), 0x41 * 8 + 2);
}
END_TEST

START_TEST(injected_nmi_does_not_block_the_next)
{
    inject(SVM_TYPE_NMI << 8 | 0x55); /* the vector does not count */
    vmrun();
    at_handler(VEC_NMI);
    event_signal_nmi(v);
    put(HANDLER + 16 * VEC_NMI, "\x90", 1);
    run_more(1);
    at_handler(VEC_NMI);
    ck_assert_uint_eq(pushed(0), HANDLER + 16 * VEC_NMI);
}
END_TEST

/* INT3 and INTO: APM Vol 2 15.20. */
START_TEST(injected_bp_and_of_are_checked_against_their_gates)
{
    const u32 vector = _i == 0 ? VEC_BP : VEC_OF;

    legacy();
    inject(SVM_TYPE_EXCEPTION << 8 | vector);
    save.cpl = 3;
    save.cs.selector |= 3;
    save.cs.attr |= ATTR_DPL;
    vmrun();
    at_handler(VEC_GP);
    ck_assert_uint_eq(pushed(0), vector * 8 + 2); /* EXT is 0 */
}
END_TEST

/* "Injected events are treated in every way as though they had occurred normally": 15.20. */
START_TEST(fault_in_the_delivery_of_an_injected_exception_is_combined_with_it)
{
    static const struct {
        u8 injected, arrives;
    } rows[] = {
        {VEC_GP, VEC_DF}, {VEC_PF, VEC_DF}, {VEC_SX, VEC_DF}, {VEC_UD, VEC_NP}, {VEC_DB, VEC_NP}};

    absent_gate(rows[_i].injected);
    inject(SVM_TYPE_EXCEPTION << 8 | rows[_i].injected);
    vmrun();
    at_handler(rows[_i].arrives);
    if (rows[_i].arrives == VEC_NP)
        ck_assert_uint_eq(pushed(0), rows[_i].injected * 8 + 2); /* EXT is 0 */
}
END_TEST

START_TEST(fault_in_the_delivery_of_an_injected_interrupt_is_itself)
{
    absent_gate(0x0d);
    inject((_i == 0 ? SVM_TYPE_INTR : SVM_TYPE_SOFT) << 8 | 0x0d);
    vmrun();
    at_handler(VEC_NP);
    ck_assert_uint_eq(pushed(0), 0x0d * 8 + (_i == 0 ? 3 : 2)); /* EXT: of INTR alone */
}
END_TEST

START_TEST(exit_clears_the_valid_bit_and_reports_an_event_that_was_stopped)
{
    nested_2m(0); /* the stack is at 2 MiB, which is not mapped */
    save.rsp = 0x200100;
    inject(SVM_TYPE_EXCEPTION << 8 | INFO_ERROR_VALID | VEC_GP);
    control.event_inj_error = 0x77;
    vmrun();
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.event_inj & INFO_VALID, 0);
    ck_assert_uint_eq(control.exit_int_info, 0x80000b0d);
    ck_assert_uint_eq(control.exit_int_error, 0x77);
    ck_assert_uint_eq(save.rip, L2_CODE);
}
END_TEST

START_TEST(stopped_int_n_and_int3_are_reported_by_their_types)
{
    nested_2m(0);
    save.rsp = 0x200100;
    run_into(_i == 0 ? "\xcd\x41" : "\xcc\x90", 2, 1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_int_info, _i == 0 ? 0x80000441 : 0x80000303);
    ck_assert_uint_eq(save.rip, L2_CODE);
}
END_TEST

/* EXITINTINFO of a double fault is what came before: APM Vol 2 15.7.3. */
START_TEST(intercepted_double_fault_tells_the_first_exception)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_DF);
    absent_gate(VEC_GP);
    save.rax = SEL_ABSENT | 4; /* of the LDT, which has none */
    RUN_INTO("\x8e\xd8", 1); /* mov ds,ax */
    expect_exit(SVM_EXIT_EXCEPTION + VEC_DF);
    ck_assert_uint_eq(control.exit_int_info, 0x80000b0d);
    ck_assert_uint_eq(control.exit_int_error, SEL_ABSENT | 4);
}
END_TEST

START_TEST(second_exception_is_intercepted_before_it_becomes_a_double_fault)
{
    intercept(SVM_EXIT_EXCEPTION + VEC_DF);
    intercept(SVM_EXIT_EXCEPTION + VEC_NP);
    absent_gate(VEC_GP);
    inject(SVM_TYPE_EXCEPTION << 8 | INFO_ERROR_VALID | VEC_GP | 0x7ffff000);
    control.event_inj_error = 0x1230;
    vmrun();
    expect_exit(SVM_EXIT_EXCEPTION + VEC_NP);
    ck_assert_uint_eq(control.exit_info1, VEC_GP * 8 + 2);
    ck_assert_uint_eq(control.exit_int_info, 0x80000b0d); /* without EVENTINJ's reserved bits */
    ck_assert_uint_eq(control.exit_int_error, 0x1230);
}
END_TEST

/* ---- task switches: APM Vol 2 15.14.1 ---- */

START_TEST(task_switch_of_an_exception_tells_its_error_code)
{
    legacy();
    intercept(SVM_EXIT_TASK_SWITCH);
    put_value(save.idtr.base + 8 * VEC_GP, (u64)SEL_TSS_OTHER << 16 | (u64)0x85 << 40, 8);
    save.rflags |= FLAG_RF;
    save.rax = 0x1234; /* beyond the GDT */
    RUN_INTO("\x8e\xd8", 1); /* mov ds,ax */
    expect_exit(SVM_EXIT_TASK_SWITCH);
    ck_assert_uint_eq(control.exit_info1, SEL_TSS_OTHER);
    ck_assert_uint_eq(control.exit_info2, BIT(48) | BIT(44) | 0x1234);
    ck_assert_uint_eq(control.exit_int_info, 0x80000b0d);
    ck_assert_uint_eq(control.exit_int_error, 0x1234);
    ck_assert_uint_eq(control.next_rip, 0);
    ck_assert_uint_eq(save.rip, L2_CODE);
}
END_TEST

START_TEST(task_switch_tells_iret_and_jump)
{
    legacy();
    intercept(SVM_EXIT_TASK_SWITCH);
    put_descriptor(SEL_TSS_OTHER, descriptor(TSS_OTHER, 0x67, _i == 0 ? 0x8b : 0x89, 0));
    put_value(TSS, SEL_TSS_OTHER, 2);
    if (_i == 0) {
        save.rflags |= FLAG_NT;
        RUN_INTO("\xcf", 1);
    } else {
        RUN_INTO("\xea\0\0\0\0\x48\0", 1);
    }
    expect_exit(SVM_EXIT_TASK_SWITCH);
    ck_assert_uint_eq(control.exit_info1, SEL_TSS_OTHER);
    ck_assert_uint_eq(control.exit_info2, _i == 0 ? BIT(36) : BIT(38));
    ck_assert_uint_eq(control.exit_int_info, 0);
}
END_TEST

/* What is wrong with the incoming TSS comes before the intercept. */
START_TEST(task_switch_to_a_busy_tss_does_not_exit)
{
    legacy();
    intercept(SVM_EXIT_TASK_SWITCH);
    put_descriptor(SEL_TSS_OTHER, descriptor(TSS_OTHER, 0x67, 0x8b, 0));
    RUN_INTO("\xea\0\0\0\0\x48\0", 1);
    at_handler(VEC_GP);
}
END_TEST

/* ---- the global interrupt flag ---- */

START_TEST(clgi_holds_interrupts_and_nmis_until_stgi)
{
    v->state.rflags |= FLAG_IF;
    RUN("\x0f\x01\xdd", 1); /* clgi */
    event_signal_nmi(v);
    event_signal_intr(v, true);
    RUN("\x90\x0f\x01\xdc", 1);
    ck_assert_uint_eq(v->state.nmi_pending, 1);
    run_more(2);
    at_handler(VEC_NMI);
}
END_TEST

START_TEST(clgi_holds_smi_and_init)
{
    RUN("\x0f\x01\xdd", 1);
    event_signal_smi(v);
    event_signal_init(v);
    RUN("\x90\x90", 2);
    ck_assert_uint_eq(v->state.smi_pending, 1);
    ck_assert_uint_eq(v->state.init_pending, 1);
    ck_assert_uint_eq(v->state.in_smm, 0);
}
END_TEST

START_TEST(redirected_init_is_a_security_exception)
{
    v->state.svm.vm_cr = VM_CR_R_INIT;
    event_signal_init(v);
    RUN("\x90", 1);
    at_handler(VEC_SX);
    ck_assert_uint_eq(pushed(0), 1);
    ck_assert_uint_eq(v->state.init_pending, 0);
}
END_TEST

/* #SX is contributory: APM Vol 2 15.28. */
START_TEST(security_exception_that_cannot_be_delivered_is_a_double_fault)
{
    v->state.svm.vm_cr = VM_CR_R_INIT;
    absent_gate(VEC_SX);
    event_signal_init(v);
    RUN("\x90", 1);
    at_handler(VEC_DF);
}
END_TEST

START_TEST(security_exception_of_a_guest_exits_if_it_is_intercepted)
{
    v->state.svm.vm_cr = VM_CR_R_INIT;
    intercept(SVM_EXIT_EXCEPTION + VEC_SX);
    put(L2_CODE, "\x90", 1);
    vmrun();
    event_signal_init(v);
    run_more(1);
    expect_exit(SVM_EXIT_EXCEPTION + VEC_SX);
    ck_assert_uint_eq(control.exit_info1, 1);
    ck_assert_uint_eq(v->state.init_pending, 0);
}
END_TEST

START_TEST(init_ends_the_guest_and_keeps_the_msrs)
{
    v->state.svm.hsave_pa = HSAVE;
    put(L2_CODE, "\x90", 1);
    vmrun();
    event_signal_init(v);
    (void)vcpu_run(v, 1);
    ck_assert(!in_svm_guest(v));
    ck_assert_uint_eq(v->state.reg[REG_RIP], 0xfff0);
    ck_assert_uint_eq(v->state.efer, 0);
    ck_assert_uint_eq(v->state.svm.hsave_pa, HSAVE);
    ck_assert(svm_gif(v));
}
END_TEST

START_TEST(vmrun_sets_gif_and_the_exit_clears_it)
{
    RUN("\x0f\x01\xdd", 1);
    RUN_INTO("\x0f\x01\xd9", 0);
    ck_assert(svm_gif(v));
    run_more(1);
    expect_exit(SVM_EXIT_VMMCALL);
}
END_TEST

START_TEST(clearing_svme_sets_gif)
{
    RUN("\x0f\x01\xdd", 1);
    ck_assert(efer_write(v, v->state.efer & ~EFER_SVME));
    ck_assert(svm_gif(v));
}
END_TEST

/* ---- physical events in a guest ---- */

START_TEST(interrupt_exits_and_stays_pending)
{
    intercept(SVM_EXIT_INTR);
    save.rflags |= FLAG_IF;
    control.interrupt_state = STATE_SHADOW; /* exits are not held off by it */
    event_signal_intr(v, true);
    vmrun();
    expect_exit(SVM_EXIT_INTR);
    ck_assert_uint_eq(save.rip, L2_CODE);
    ck_assert_uint_eq(v->state.intr, 1);
    ck_assert_uint_eq(control.interrupt_state, STATE_SHADOW | STATE_GUEST_IF);
}
END_TEST

START_TEST(interrupt_that_is_not_intercepted_goes_to_the_guest)
{
    save.rflags |= FLAG_IF;
    event_signal_intr(v, true);
    vmrun();
    at_handler(ack_vector);
    ck_assert(in_svm_guest(v));
}
END_TEST

/* With V_INTR_MASKING the host's IF at VMRUN counts: APM Vol 2 15.21.1. */
START_TEST(host_if_masks_interrupts_under_virtual_masking)
{
    const bool host_if = _i == 1;

    intercept(SVM_EXIT_INTR);
    control.vintr = VINTR_MASKING;
    save.rflags |= host_if ? 0 : FLAG_IF;
    v->state.rflags |= host_if ? FLAG_IF : 0;
    put(L2_CODE, "\x90", 1);
    vmrun();
    event_signal_intr(v, true);
    run_more(1);
    if (host_if)
        expect_exit(SVM_EXIT_INTR);
    else
        ck_assert(in_svm_guest(v));
}
END_TEST

START_TEST(nmi_smi_and_init_exit_and_stay_pending)
{
    static const u16 codes[] = {SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT};

    intercept(codes[_i]);
    put(L2_CODE, "\x90", 1);
    vmrun();
    if (_i == 0)
        event_signal_nmi(v);
    else if (_i == 1)
        event_signal_smi(v);
    else
        event_signal_init(v);
    run_more(1);
    expect_exit(codes[_i]);
    ck_assert_uint_eq(control.exit_info1, _i == 1 ? 1 : 0); /* the SMI is external */
    ck_assert(v->state.nmi_pending | v->state.smi_pending | v->state.init_pending);
}
END_TEST

/* APM Vol 2 15.13.3. */
START_TEST(smi_is_not_intercepted_once_smm_is_locked)
{
    ck_assert(msr_write(v, 0xc0010015, 1));
    ck_assert(msr_write(v, 0xc0010015, 0)); /* which it stays */
    v->state.smbase = 0x70000;
    intercept(SVM_EXIT_SMI);
    put(L2_CODE, "\x90", 1);
    vmrun();
    event_signal_smi(v);
    run_more(1);
    ck_assert_uint_eq(v->state.in_smm, 1);
}
END_TEST

/* An exit does not consume the INIT: STGI lets it reset the processor, or become #SX. APM Vol 2
 * 15.13.4, 15.17 and 15.30.1. */
START_TEST(init_that_exited_is_taken_at_stgi)
{
    const bool redirected = _i == 1;

    v->state.svm.vm_cr = redirected ? VM_CR_R_INIT : 0;
    intercept(SVM_EXIT_INIT);
    put(L2_CODE, "\x90", 1);
    vmrun();
    event_signal_init(v);
    run_more(1);
    expect_exit(SVM_EXIT_INIT);
    put(v->state.reg[REG_RIP], "\x90\x0f\x01\xdc", 4); /* nop; stgi */
    run_more(1);
    ck_assert_uint_eq(v->state.init_pending, 1);
    run_more(2);
    ck_assert_uint_eq(v->state.init_pending, 0);
    if (redirected)
        at_handler(VEC_SX);
    else
        ck_assert_uint_eq(v->state.efer, 0);
}
END_TEST

START_TEST(smi_that_is_not_intercepted_returns_to_the_guest)
{
    v->state.smbase = 0x70000;
    put(0x78000, "\x0f\xaa", 2); /* rsm */
    put(L2_CODE, "\x90\x0f\x01\xd9", 4);
    vmrun();
    event_signal_smi(v);
    run_more(1);
    ck_assert_uint_eq(v->state.in_smm, 1);
    ck_assert(!in_svm_guest(v));
    run_more(1);
    ck_assert(in_svm_guest(v));
    run_more(2);
    expect_exit(SVM_EXIT_VMMCALL);
}
END_TEST

/* APM Vol 2 15.25.10: those of L2 are read by each walk, so one that is bad and not used harms
 * nobody. */
START_TEST(rsm_reads_no_pdptes_of_a_guest_with_nested_paging)
{
    enum { PDPT32 = 0x7000, CODE32 = 0xc9b };

    v->state.smbase = 0x70000;
    put(0x78000, "\x0f\xaa", 2); /* rsm */
    put(L2_CODE, "\x90\x0f\x01\xd9", 4);
    put_value(PDPT32, PD | 1, 8);
    put_value(PDPT32 + 3 * 8, PD | 3, 8); /* a reserved bit */
    save.efer &= ~(EFER_LME | EFER_LMA);
    save.cr3 = PDPT32;
    save.cs.attr = CODE32;
    vmrun();
    event_signal_smi(v);
    run_more(2);
    ck_assert(in_svm_guest(v));
    run_more(2);
    expect_exit(SVM_EXIT_VMMCALL);
}
END_TEST

/* ---- virtual interrupts: APM Vol 2 15.21.4 ---- */

static void virtual_irq(u32 priority)
{
    control.vintr = VINTR_MASKING | VINTR_IRQ | priority << VINTR_PRIO_SHIFT;
    control.vintr_vector = 0x43;
}

START_TEST(virtual_interrupt_is_delivered_when_if_allows)
{
    virtual_irq(1);
    RUN_INTO("\xfb\x90\x90", 1); /* sti; nop */
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE + 1);
    run_more(1);
    at_handler(0x43);
    ck_assert_uint_eq(v->state.svm.control.vintr & VINTR_IRQ, 0);
}
END_TEST

START_TEST(virtual_interrupt_needs_more_priority_than_v_tpr)
{
    virtual_irq(8);
    control.vintr |= 8;
    save.rflags |= FLAG_IF;
    put(L2_CODE, "\x44\x0f\x22\xc0", 4); /* mov cr8,rax: 7 */
    save.rax = 7;
    vmrun();
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE);
    run_more(2);
    at_handler(0x43);
    ck_assert_uint_eq(v->state.svm.control.vintr & VINTR_TPR, 7);
}
END_TEST

START_TEST(virtual_interrupt_may_ignore_v_tpr)
{
    virtual_irq(0);
    control.vintr |= 15 | VINTR_IGNORE_TPR;
    save.rflags |= FLAG_IF;
    vmrun();
    at_handler(0x43);
}
END_TEST

START_TEST(vintr_intercept_exits_when_it_could_be_delivered)
{
    intercept(SVM_EXIT_VINTR);
    virtual_irq(1);
    RUN_INTO("\xfb\x90\x90", 3);
    expect_exit(SVM_EXIT_VINTR);
    ck_assert_uint_eq(save.rip, L2_CODE + 2);
    ck_assert(control.vintr & VINTR_IRQ);
}
END_TEST

/* V_IRQ is cleared before the IDT is read: what then stops the delivery tells it. */
START_TEST(virtual_interrupt_that_is_stopped_is_in_exitintinfo)
{
    nested_2m(0);
    save.rsp = 0x200100;
    virtual_irq(1);
    save.rflags |= FLAG_IF;
    vmrun();
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_int_info, 0x80000043);
    ck_assert_uint_eq(control.vintr & VINTR_IRQ, 0);
}
END_TEST

START_TEST(virtual_interrupt_ends_hlt)
{
    virtual_irq(1);
    control.interrupt_state = STATE_SHADOW;
    save.rflags |= FLAG_IF;
    RUN_INTO("\xf4", 1);
    run_more(0);
    ck_assert_uint_eq(v->state.activity, ACTIVITY_ACTIVE);
    at_handler(0x43);
    ck_assert_uint_eq(pushed(0), L2_CODE + 1);
}
END_TEST

START_TEST(physical_interrupt_comes_before_a_virtual_one)
{
    virtual_irq(15);
    control.vintr &= ~(u32)VINTR_MASKING;
    save.rflags |= FLAG_IF;
    event_signal_intr(v, true);
    vmrun();
    at_handler(ack_vector);
}
END_TEST

START_TEST(cr8_is_v_tpr_under_virtual_masking)
{
    control.vintr = VINTR_MASKING | 5;
    RUN_INTO("\x44\x0f\x20\xc3", 1); /* mov rbx,cr8 */
    ck_assert_uint_eq(v->state.reg[REG_RBX], 5);
}
END_TEST

/* ---- virtual GIF and NMI: APM Vol 2 15.33.2, 15.21.10 ---- */

START_TEST(stgi_and_clgi_of_a_guest_move_the_virtual_gif)
{
    control.vintr = VINTR_GIF_ENABLE;
    RUN_INTO("\x0f\x01\xdc\x0f\x01\xdd", 1);
    ck_assert(v->state.svm.control.vintr & VINTR_GIF);
    run_more(1);
    ck_assert_uint_eq(v->state.svm.control.vintr & VINTR_GIF, 0);
    ck_assert(svm_gif(v));
}
END_TEST

START_TEST(virtual_gif_holds_virtual_interrupts)
{
    virtual_irq(1);
    control.vintr |= VINTR_GIF_ENABLE;
    save.rflags |= FLAG_IF;
    RUN_INTO("\x90\x0f\x01\xdc", 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], L2_CODE + 1);
    run_more(2);
    at_handler(0x43);
}
END_TEST

START_TEST(virtual_nmi_is_delivered_and_masked_until_iret)
{
    intercept(SVM_EXIT_NMI);
    control.vintr = VINTR_NMI_ENABLE | VINTR_NMI_PENDING;
    vmrun();
    at_handler(VEC_NMI);
    ck_assert_uint_eq(v->state.svm.control.vintr & (VINTR_NMI_PENDING | VINTR_NMI_MASK),
                      VINTR_NMI_MASK);
    ck_assert_uint_eq(v->state.nmi_blocked, 0);
    RUN("\x48\xcf", 1);
    ck_assert_uint_eq(v->state.svm.control.vintr & VINTR_NMI_MASK, 0);
}
END_TEST

START_TEST(virtual_nmi_that_is_stopped_is_not_masked)
{
    nested_2m(0);
    save.rsp = 0x200100;
    intercept(SVM_EXIT_NMI);
    control.vintr = VINTR_NMI_ENABLE | (_i == 0 ? (u32)VINTR_NMI_PENDING : 0);
    if (_i == 1)
        inject(SVM_TYPE_NMI << 8);
    vmrun();
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_int_info, 0x80000202);
    ck_assert_uint_eq(control.vintr & (VINTR_NMI_PENDING | VINTR_NMI_MASK), 0);
}
END_TEST

START_TEST(masked_virtual_nmi_comes_right_behind_iret)
{
    const u64 frame[] = {L2_CODE + 2, SEL_CODE64, FLAG_1, L2_STACK, SEL_DATA0};

    intercept(SVM_EXIT_NMI);
    control.vintr = VINTR_NMI_ENABLE | VINTR_NMI_MASK | VINTR_NMI_PENDING;
    save.rsp = L2_STACK - sizeof(frame);
    put(save.rsp, frame, sizeof(frame));
    put(HANDLER + 16 * VEC_NMI, "\xeb\xfe", 2);
    RUN_INTO("\x48\xcf\x90\x90\x90\x90", 4); /* iretq; nop */
    at_handler(VEC_NMI);
    ck_assert_uint_eq(pushed(0), L2_CODE + 2);
}
END_TEST

START_TEST(virtual_nmi_stays_masked_by_an_iret_that_fails)
{
    intercept(SVM_EXIT_NMI);
    control.vintr = VINTR_NMI_ENABLE | VINTR_NMI_MASK;
    save.rsp = (u64)1 << 60;
    RUN_INTO("\x48\xcf", 1); /* iretq */
    expect_exit(SVM_EXIT_SHUTDOWN); /* as #SS has no better stack */
    ck_assert_uint_eq(control.vintr & VINTR_NMI_MASK, VINTR_NMI_MASK);
}
END_TEST

START_TEST(injected_nmi_masks_virtual_ones)
{
    intercept(SVM_EXIT_NMI);
    control.vintr = VINTR_NMI_ENABLE;
    inject(SVM_TYPE_NMI << 8);
    vmrun();
    at_handler(VEC_NMI);
    ck_assert_uint_eq(v->state.svm.control.vintr & VINTR_NMI_MASK, VINTR_NMI_MASK);
}
END_TEST

START_TEST(physical_nmi_comes_before_a_virtual_one)
{
    intercept(SVM_EXIT_NMI);
    control.vintr = VINTR_NMI_ENABLE | VINTR_NMI_PENDING;
    event_signal_nmi(v);
    v->state.svm.gif_clear = 1;
    vmrun();
    expect_exit(SVM_EXIT_NMI);
    ck_assert_uint_eq(control.vintr & VINTR_NMI_PENDING, VINTR_NMI_PENDING);
}
END_TEST

/* ---- nested page faults: APM Vol 2 15.25.6 ---- */

START_TEST(npf_reports_the_access_the_address_and_the_bytes)
{
    nested_2m(0x200085); /* read-only, user */
    save.rax = 0x200123;
    RUN_INTO("\x88\x18", 1); /* mov [rax],bl */
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 7);
    ck_assert_uint_eq(control.exit_info2, 0x200123);
    ck_assert_uint_eq(control.bytes_fetched, 15);
    ck_assert_mem_eq(control.bytes, "\x88\x18", 2);
    ck_assert_uint_eq(control.next_rip, 0);
    ck_assert_uint_eq(save.rip, L2_CODE);
}
END_TEST

START_TEST(npf_of_a_supervisor_entry_is_a_protection_fault)
{
    nested_2m(0x200083);
    save.rax = 0x200123;
    RUN_INTO("\x8a\x18", 1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 5);
}
END_TEST

START_TEST(npf_of_a_table_walk_is_a_write_to_the_table)
{
    nested_2m(0x200085);
    put_value(0x200000, PDPT | 7, 8); /* the guest's PML4, in a read-only page */
    save.cr3 = 0x200000;
    vmrun();
    run_more(1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)2 << 32 | 7);
    ck_assert_uint_eq(control.exit_info2, 0x200000);
}
END_TEST

START_TEST(reserved_bit_of_a_nested_entry_shows_with_present)
{
    nested_2m(0x202087); /* bit 13 of a 2 MiB page */
    save.rax = 0x200123;
    RUN_INTO("\x8a\x18", 1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 0xd);
}
END_TEST

/* ---- virtual VMLOAD and VMSAVE: APM Vol 2 15.33.1 ---- */

START_TEST(virtual_vmsave_takes_a_guest_physical_address)
{
    nested_2m(0x87); /* 2 MiB of the guest is 0 of the machine */
    control.virt_ext = VIRT_EXT_VMLOAD;
    save.rax = 0x200000 + 0x90000;
    v->state.kernel_gs_base = 0x1234;
    RUN_INTO("\x0f\x01\xdb", 1);
    ck_assert(in_svm_guest(v));
    ck_assert_uint_eq(get(0x90620, 8), 0x1234);
}
END_TEST

START_TEST(virtual_vmload_may_fault_in_the_nested_tables)
{
    nested_2m(0);
    control.virt_ext = VIRT_EXT_VMLOAD;
    save.rax = 0x200000;
    RUN_INTO("\x0f\x01\xda", 1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 4);
    ck_assert_uint_eq(control.exit_info2, 0x200000);
}
END_TEST

/* Without nested paging, or below an L1 that is not in 64-bit mode. */
START_TEST(virtual_vmload_and_vmsave_exit_where_they_cannot_be)
{
    control.virt_ext = VIRT_EXT_VMLOAD;
    if (_i < 2)
        control.np_control = 0;
    else
        v->state.seg[SEG_CS].attr = (v->state.seg[SEG_CS].attr & ~(u32)ATTR_L) | ATTR_DB;
    mode_update(v);
    save.rax = 0x90000;
    run_into(_i % 2 == 0 ? "\x0f\x01\xda" : "\x0f\x01\xdb", 3, 1);
    expect_exit(_i % 2 == 0 ? SVM_EXIT_VMLOAD : SVM_EXIT_VMSAVE);
    ck_assert_uint_eq(control.next_rip, L2_CODE + 3);
}
END_TEST

/* ---- last branch records: APM Vol 2 15.23 ---- */

START_TEST(branch_records_of_guest_and_host_are_kept_apart)
{
    v->state.last_branch_from = 0x11;
    control.virt_ext = VIRT_EXT_LBR;
    save.debugctl = DEBUGCTL_LBR;
    save.branch_from = 0x22;
    RUN_INTO("\xeb\x01\x90\x0f\x01\xd9", 2); /* jmp over the nop; vmmcall */
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(save.branch_from, L2_CODE);
    ck_assert_uint_eq(save.branch_to, L2_CODE + 3);
    ck_assert_uint_eq(v->state.last_branch_from, 0x11);
    ck_assert_uint_eq(v->state.debugctl, 0);
}
END_TEST

static void add(Suite *suite)
{
    TCase *tc = tcase_create("event");

    tcase_add_checked_fixture(tc, setup, guest_destroy);
    tcase_add_test(tc, injected_exception_comes_before_the_first_instruction);
    tcase_add_test(tc, injected_interrupt_ignores_if_and_the_shadow);
    tcase_add_test(tc, injected_software_interrupt_returns_to_nrip);
    tcase_add_test(tc, injected_software_interrupt_is_checked_against_its_gate);
    tcase_add_test(tc, injected_nmi_does_not_block_the_next);
    tcase_add_loop_test(tc, injected_bp_and_of_are_checked_against_their_gates, 0, 2);
    tcase_add_loop_test(tc, fault_in_the_delivery_of_an_injected_exception_is_combined_with_it, 0,
                        5);
    tcase_add_loop_test(tc, fault_in_the_delivery_of_an_injected_interrupt_is_itself, 0, 2);
    tcase_add_test(tc, exit_clears_the_valid_bit_and_reports_an_event_that_was_stopped);
    tcase_add_loop_test(tc, stopped_int_n_and_int3_are_reported_by_their_types, 0, 2);
    tcase_add_test(tc, intercepted_double_fault_tells_the_first_exception);
    tcase_add_test(tc, second_exception_is_intercepted_before_it_becomes_a_double_fault);
    tcase_add_test(tc, task_switch_of_an_exception_tells_its_error_code);
    tcase_add_loop_test(tc, task_switch_tells_iret_and_jump, 0, 2);
    tcase_add_test(tc, task_switch_to_a_busy_tss_does_not_exit);
    tcase_add_test(tc, clgi_holds_interrupts_and_nmis_until_stgi);
    tcase_add_test(tc, clgi_holds_smi_and_init);
    tcase_add_test(tc, redirected_init_is_a_security_exception);
    tcase_add_test(tc, security_exception_that_cannot_be_delivered_is_a_double_fault);
    tcase_add_test(tc, security_exception_of_a_guest_exits_if_it_is_intercepted);
    tcase_add_test(tc, init_ends_the_guest_and_keeps_the_msrs);
    tcase_add_test(tc, vmrun_sets_gif_and_the_exit_clears_it);
    tcase_add_test(tc, clearing_svme_sets_gif);
    tcase_add_test(tc, interrupt_exits_and_stays_pending);
    tcase_add_test(tc, interrupt_that_is_not_intercepted_goes_to_the_guest);
    tcase_add_loop_test(tc, host_if_masks_interrupts_under_virtual_masking, 0, 2);
    tcase_add_loop_test(tc, nmi_smi_and_init_exit_and_stay_pending, 0, 3);
    tcase_add_test(tc, smi_is_not_intercepted_once_smm_is_locked);
    tcase_add_loop_test(tc, init_that_exited_is_taken_at_stgi, 0, 2);
    tcase_add_test(tc, smi_that_is_not_intercepted_returns_to_the_guest);
    tcase_add_test(tc, rsm_reads_no_pdptes_of_a_guest_with_nested_paging);
    tcase_add_test(tc, virtual_interrupt_is_delivered_when_if_allows);
    tcase_add_test(tc, virtual_interrupt_needs_more_priority_than_v_tpr);
    tcase_add_test(tc, virtual_interrupt_may_ignore_v_tpr);
    tcase_add_test(tc, vintr_intercept_exits_when_it_could_be_delivered);
    tcase_add_test(tc, virtual_interrupt_that_is_stopped_is_in_exitintinfo);
    tcase_add_test(tc, virtual_interrupt_ends_hlt);
    tcase_add_test(tc, physical_interrupt_comes_before_a_virtual_one);
    tcase_add_test(tc, cr8_is_v_tpr_under_virtual_masking);
    tcase_add_test(tc, stgi_and_clgi_of_a_guest_move_the_virtual_gif);
    tcase_add_test(tc, virtual_gif_holds_virtual_interrupts);
    tcase_add_test(tc, virtual_nmi_is_delivered_and_masked_until_iret);
    tcase_add_loop_test(tc, virtual_nmi_that_is_stopped_is_not_masked, 0, 2);
    tcase_add_test(tc, masked_virtual_nmi_comes_right_behind_iret);
    tcase_add_test(tc, virtual_nmi_stays_masked_by_an_iret_that_fails);
    tcase_add_test(tc, injected_nmi_masks_virtual_ones);
    tcase_add_test(tc, physical_nmi_comes_before_a_virtual_one);
    tcase_add_test(tc, npf_reports_the_access_the_address_and_the_bytes);
    tcase_add_test(tc, npf_of_a_supervisor_entry_is_a_protection_fault);
    tcase_add_test(tc, npf_of_a_table_walk_is_a_write_to_the_table);
    tcase_add_test(tc, reserved_bit_of_a_nested_entry_shows_with_present);
    tcase_add_test(tc, virtual_vmsave_takes_a_guest_physical_address);
    tcase_add_test(tc, virtual_vmload_may_fault_in_the_nested_tables);
    tcase_add_loop_test(tc, virtual_vmload_and_vmsave_exit_where_they_cannot_be, 0, 4);
    tcase_add_test(tc, branch_records_of_guest_and_host_are_kept_apart);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("svm_event", add)
