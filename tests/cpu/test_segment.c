/* SPDX-License-Identifier: MIT */
/* Segment loads and far transfers: SDM Vol 3A chapters 3 and 5. */
#include "guest.h"

static void setup(void)
{
    guest_create("max");
    guest_protected();
}

static void setup_long(void)
{
    guest_create("max");
    guest_long();
}

static u8 access_byte(u16 selector)
{
    return (u8)get(GDT + (selector & 0xfff8u) + 5, 1);
}

/* ---- loads ---- */

START_TEST(data_segment_load_sets_the_accessed_bit)
{
    ck_assert_int_eq(access_byte(SEL_DATA0), 0x92);
    ck_assert(segment_load(v, SEG_FS, SEL_DATA0));
    ck_assert_int_eq(access_byte(SEL_DATA0), 0x93);
    ck_assert_int_eq(v->state.seg[SEG_FS].limit, 0xffffffff);
    ck_assert_int_ne(v->mode & MODE_OPEN_FS, 0);
}
END_TEST

START_TEST(selector_beyond_its_table_raises_gp)
{
    ck_assert(!segment_load(v, SEG_DS, 0x1000 | 3));
    expect_event(VEC_GP, 0x1000);
}
END_TEST

START_TEST(not_present_data_segment_raises_np_and_stack_segment_ss)
{
    ck_assert(!segment_load(v, SEG_DS, SEL_ABSENT));
    expect_event(VEC_NP, SEL_ABSENT);
    ck_assert(!segment_load(v, SEG_SS, SEL_ABSENT));
    expect_event(VEC_SS, SEL_ABSENT);
}
END_TEST

START_TEST(stack_segment_must_be_writable_and_of_the_cpl)
{
    ck_assert(!segment_load(v, SEG_SS, SEL_READ_ONLY));
    expect_event(VEC_GP, SEL_READ_ONLY);
    ck_assert(!segment_load(v, SEG_SS, SEL_DATA3));
    expect_event(VEC_GP, SEL_DATA3 & ~3);
    ck_assert(!segment_load(v, SEG_SS, 0));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(execute_only_code_is_no_data_segment)
{
    ck_assert(!segment_load(v, SEG_DS, SEL_EXECUTE_ONLY));
    expect_event(VEC_GP, SEL_EXECUTE_ONLY);
    ck_assert(segment_load(v, SEG_DS, SEL_CODE0));
}
END_TEST

START_TEST(data_segment_of_inner_privilege_is_refused)
{
    set_privilege(3);
    ck_assert(!segment_load(v, SEG_DS, SEL_DATA0));
    expect_event(VEC_GP, SEL_DATA0);
    ck_assert(segment_load(v, SEG_DS, SEL_CONFORMING));
}
END_TEST

START_TEST(null_selector_makes_a_data_segment_unusable)
{
    u64 la;

    ck_assert(segment_load(v, SEG_DS, 3));
    ck_assert_int_eq(v->state.seg[SEG_DS].selector, 3);
    ck_assert(!seg_linear(v, SEG_DS, 0, 1, ACCESS_READ, &la));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(null_stack_segment_is_allowed_in_64_bit_mode_outside_ring_3)
{
    ck_assert(segment_load(v, SEG_SS, 0));
    ck_assert(!segment_load(v, SEG_SS, 3));
    expect_event(VEC_GP, 0);
    set_privilege(3);
    ck_assert(!segment_load(v, SEG_SS, 3));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(real_mode_load_keeps_the_limit)
{
    v->state.cr0 &= ~CR0_PE;
    mode_update(v);
    ck_assert(segment_load(v, SEG_DS, 0x1234));
    ck_assert_int_eq(v->state.seg[SEG_DS].base, 0x12340);
    ck_assert_int_eq(v->state.seg[SEG_DS].limit, 0xffffffff);
}
END_TEST

START_TEST(real_mode_load_keeps_the_type)
{
    const u32 code = v->state.seg[SEG_CS].attr;
    u64 la;

    ck_assert((code & ATTR_CODE) != 0);
    v->state.cr0 &= ~CR0_PE;
    mode_update(v);
    ck_assert(segment_load(v, SEG_CS, 0x1234)); /* as a far jump does */
    ck_assert_uint_eq(v->state.seg[SEG_CS].attr, code);
    ck_assert(seg_linear(v, SEG_CS, 0x10, 4, ACCESS_WRITE, &la)); /* types do not count */
    ck_assert_uint_eq(la, 0x12350);
}
END_TEST

START_TEST(lldt_and_ltr_check_their_descriptors)
{
    ck_assert(lldt(v, SEL_LDT));
    ck_assert_int_eq(v->state.seg[SEG_LDTR].base, LDT);
    ck_assert(!lldt(v, SEL_DATA0));
    expect_event(VEC_GP, SEL_DATA0);
    ck_assert(!lldt(v, SEL_LDT | 4));
    expect_event(VEC_GP, SEL_LDT | 4);
    ck_assert(!ltr(v, SEL_TSS)); /* busy */
    expect_event(VEC_GP, SEL_TSS);
    ck_assert(ltr(v, SEL_TSS_OTHER));
    ck_assert_int_eq(access_byte(SEL_TSS_OTHER), 0x8b);
    ck_assert(!ltr(v, 0));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(ldt_selectors_read_the_local_table)
{
    put_value(LDT + 8, descriptor(0x100000, 0xfff, 0x92, 4), 8);
    ck_assert(lldt(v, SEL_LDT));
    ck_assert(segment_load(v, SEG_ES, 8 | 4));
    ck_assert_int_eq(v->state.seg[SEG_ES].base, 0x100000);
    ck_assert_int_eq(v->state.seg[SEG_ES].limit, 0xfff);
}
END_TEST

START_TEST(lar_lsl_verr_verw_answer_by_type_and_privilege)
{
    u32 value = 0;
    bool ok;

    ck_assert(descriptor_rights(v, SEL_DATA3, &value, &ok));
    ck_assert(ok);
    ck_assert_int_eq(value & 0xff00, 0xf200);
    ck_assert(descriptor_limit(v, SEL_LDT, &value, &ok) && ok);
    ck_assert_int_eq(value, 0xff);
    ck_assert(descriptor_limit(v, 0x1000, &value, &ok) && !ok);
    ck_assert_int_eq(v->event.kind, EVENT_NONE);
    ck_assert(descriptor_verify(v, SEL_READ_ONLY, true, &ok) && !ok);
    ck_assert(descriptor_verify(v, SEL_READ_ONLY, false, &ok) && ok);
    ck_assert(descriptor_verify(v, SEL_EXECUTE_ONLY, false, &ok) && !ok);
    set_privilege(3);
    ck_assert(descriptor_verify(v, SEL_DATA0, false, &ok) && !ok);
}
END_TEST

/* ---- far transfers ---- */

START_TEST(far_jump_loads_cs_with_the_cpl_as_rpl)
{
    ck_assert(far_jump(v, SEL_CONFORMING | 3, 0x1234, 4));
    ck_assert_int_eq(v->state.seg[SEG_CS].selector, SEL_CONFORMING);
    ck_assert_int_eq(v->next_rip, 0x1234);
    ck_assert(!far_jump(v, SEL_CODE3, 0, 4));
    expect_event(VEC_GP, SEL_CODE3 & ~3);
    ck_assert(!far_jump(v, SEL_DATA0, 0, 4));
    expect_event(VEC_GP, SEL_DATA0);
    ck_assert(!far_jump(v, 2, 0, 4));
    expect_event(VEC_GP, 0);
}
END_TEST

START_TEST(jump_beyond_the_limit_raises_gp)
{
    put_descriptor(SEL_CODE0, descriptor(0, 0xff, 0x9b, 4));
    ck_assert(!far_jump(v, SEL_CODE0, 0x100, 4));
    expect_event(VEC_GP, 0);
    ck_assert(far_jump(v, SEL_CODE0, 0xff, 4));
}
END_TEST

START_TEST(far_call_and_return_to_the_same_level)
{
    v->next_rip = CODE + 7;
    ck_assert(far_call(v, SEL_CODE0, 0x5000, 4));
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0 - 8);
    ck_assert_int_eq(pushed(0), CODE + 7);
    ck_assert_int_eq(pushed(1), SEL_CODE0);
    v->state.reg[REG_RSP] = STACK0 - 8;
    ck_assert(far_return(v, 4, 12));
    ck_assert_int_eq(v->next_rip, CODE + 7);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0 + 12);
}
END_TEST

START_TEST(call_gate_to_an_inner_level_copies_parameters)
{
    put_descriptor(SEL_CALL_GATE, gate_low(SEL_CODE0, HANDLER, 0xec) | (u64)2 << 32);
    set_privilege(3);
    put_value(STACK3, 0x1111, 4);
    put_value(STACK3 + 4, 0x2222, 4);
    v->next_rip = CODE + 7;
    ck_assert(far_call(v, SEL_CALL_GATE, 0xffff, 4));
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(v->next_rip, HANDLER);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_TSS - 24);
    ck_assert_int_eq(pushed(0), CODE + 7);
    ck_assert_int_eq(pushed(1), SEL_CODE3);
    ck_assert_int_eq(pushed(2), 0x1111);
    ck_assert_int_eq(pushed(3), 0x2222);
    ck_assert_int_eq(pushed(4), STACK3);
    ck_assert_int_eq(pushed(5), SEL_DATA3);
    ck_assert(far_return(v, 4, 8));
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK3 + 8);
}
END_TEST

START_TEST(jump_through_a_call_gate_does_not_change_the_level)
{
    put_descriptor(SEL_CALL_GATE, gate_low(SEL_CODE0, HANDLER, 0xec));
    set_privilege(3);
    ck_assert(!far_jump(v, SEL_CALL_GATE, 0, 4));
    expect_event(VEC_GP, SEL_CODE0);
}
END_TEST

START_TEST(return_to_an_outer_level_drops_inner_data_segments)
{
    const u32 frame[] = {CODE, SEL_CODE3, STACK3, SEL_DATA3};

    ck_assert(segment_load(v, SEG_FS, SEL_DATA3));
    put(STACK0, frame, sizeof(frame));
    ck_assert(far_return(v, 4, 0));
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.seg[SEG_DS].selector, 0);
    ck_assert_int_eq(v->state.seg[SEG_FS].selector, SEL_DATA3);
}
END_TEST

START_TEST(return_to_an_inner_level_is_refused)
{
    const u32 frame[] = {CODE, SEL_CODE0};

    set_privilege(3);
    put(STACK3, frame, sizeof(frame));
    ck_assert(!far_return(v, 4, 0));
    expect_event(VEC_GP, SEL_CODE0);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK3);
}
END_TEST

START_TEST(iret_in_ring_3_changes_neither_iopl_nor_if)
{
    const u32 frame[] = {CODE, SEL_CODE3, 0x7fd7 | FLAG_VIF};

    set_privilege(3);
    v->state.rflags = FLAG_1;
    put(STACK3, frame, sizeof(frame));
    ck_assert(interrupt_return(v, 4));
    ck_assert_int_eq(rflags_get(v) & (FLAG_IOPL | FLAG_IF | FLAG_VIF), 0);
    ck_assert_int_eq(rflags_get(v) & (FLAG_NT | FLAG_CF), FLAG_NT | FLAG_CF);
}
END_TEST

START_TEST(far_jump_switches_between_64_bit_and_compatibility_mode)
{
    ck_assert(far_jump(v, SEL_CODE0, 0x1000, 4));
    ck_assert(!mode64(v));
    ck_assert_int_ne(v->mode & MODE_CODE32, 0);
    ck_assert(far_jump(v, SEL_CODE64, 0x2000, 4));
    ck_assert(mode64(v));
}
END_TEST

START_TEST(code_with_both_l_and_d_is_refused)
{
    put_descriptor(SEL_CODE64, descriptor(0, 0xfffff, 0x9b, 0xe));
    ck_assert(!far_jump(v, SEL_CODE64, 0, 8));
    expect_event(VEC_GP, SEL_CODE64);
}
END_TEST

START_TEST(call_gate_of_64_bits_pushes_ss_rsp_cs_rip)
{
    put_descriptor(SEL_CALL_GATE, gate_low(SEL_CODE64, HANDLER, 0xec));
    put_descriptor(SEL_CALL_GATE + 8, 0);
    set_privilege(3);
    v->next_rip = CODE;
    ck_assert(far_call(v, SEL_CALL_GATE, 0, 4));
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(v->state.seg[SEG_SS].selector, 0);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_TSS - 32);
    ck_assert_int_eq(pushed(0), CODE);
    ck_assert_int_eq(pushed(2), STACK3);
    put_value(GDT + SEL_CALL_GATE + 5, (u64)0x1f << 40, 8); /* a type where zero must be */
    set_privilege(3);
    ck_assert(!far_call(v, SEL_CALL_GATE, 0, 4));
}
END_TEST

START_TEST(iret_to_a_non_canonical_address_is_refused)
{
    const u64 frame[] = {(u64)1 << 62, SEL_CODE64, 2, STACK0, SEL_DATA0};

    put(STACK0, frame, sizeof(frame));
    ck_assert(!interrupt_return(v, 8));
    expect_event(VEC_GP, 0);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK0);
}
END_TEST

/* The stack is read with the rights of ring 3, only the descriptors as the supervisor. */
START_TEST(iret_from_ring_3_to_ring_3_is_no_smap_violation)
{
    const u64 frame[] = {HANDLER, SEL_CODE64_3, FLAG_1, STACK3 + 64, SEL_DATA3};

    put_value(PD + 8 * 8, 0x83, 8); /* the first 2 MiB again at 16 MiB, for the supervisor */
    v->state.gdtr.base = (16 << 20) + GDT;
    v->state.cr4 |= CR4_SMAP;
    set_privilege(3);
    put(STACK3, frame, sizeof(frame));
    RUN("\x48\xcf", 1);
    ck_assert_int_eq(v->state.reg[REG_RIP], HANDLER);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK3 + 64);
    ck_assert_int_eq(v->cpl, 3);
}
END_TEST

START_TEST(syscall_and_sysret_swap_rings)
{
    v->state.star = (u64)0x23 << 48 | (u64)SEL_CODE64 << 32;
    v->state.lstar = HANDLER;
    v->state.sfmask = FLAG_IF;
    set_privilege(3);
    v->state.rflags |= FLAG_IF;
    RUN("\x0f\x05", 1); /* syscall */
    ck_assert_int_eq(v->state.reg[REG_RIP], HANDLER);
    ck_assert_int_eq(v->state.reg[REG_RCX], CODE + 2);
    ck_assert_int_eq(v->state.reg[REG_R11], FLAG_1 | FLAG_IF);
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(v->state.rflags & FLAG_IF, 0);
    RUN("\x48\x0f\x07", 1); /* sysret */
    ck_assert_int_eq(v->state.reg[REG_RIP], CODE + 2);
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.seg[SEG_CS].selector, 0x33);
    ck_assert_int_eq(v->state.seg[SEG_SS].selector, 0x2b);
    ck_assert_int_ne(v->state.rflags & FLAG_IF, 0);
}
END_TEST

/* APM Vol 3 "JMP (Near)", "CALL (Near)", "LDS, LES, LFS, LGS, LSS". */
START_TEST(branches_of_16_bits_and_far_pointers_of_32_are_as_on_amd)
{
    const u64 stack = v->state.reg[REG_RSP];

    v->amd = true;
    RUN("\x66\xe9\x00\x80", 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], 0x8004); /* of CODE, the low 16 bits */
    RUN("\x66\xe8\x10\x00", 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], 0x8018);
    ck_assert_uint_eq(v->state.reg[REG_RSP], stack - 2);
    RUN("\x66\xc3", 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], 0x8008);
    ck_assert_uint_eq(v->state.reg[REG_RSP], stack);
    put_value(HANDLER, 0x8111222233334444, 8);
    put_value(HANDLER + 4, SEL_DATA0, 2);
    v->state.reg[REG_RAX] = HANDLER;
    RUN("\x48\x0f\xb4\x00", 1); /* lfs rax,[rax] */
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0x33334444);
    ck_assert_uint_eq(v->state.seg[SEG_FS].selector, SEL_DATA0);
}
END_TEST

/* The selectors of SYSCALL, SDM Vol 2B "SYSCALL": STAR[47:32] AND FFFCH, and STAR[47:32] + 8 as it
 * is. The segments are flat and of ring 0 in any case. */
START_TEST(syscall_keeps_the_rpl_of_ss)
{
    const struct segment *cs = &v->state.seg[SEG_CS], *ss = &v->state.seg[SEG_SS];

    v->state.star = (u64)(SEL_CODE64 | 3) << 32;
    v->state.lstar = HANDLER;
    set_privilege(3);
    RUN("\x0f\x05", 1);
    ck_assert_uint_eq(cs->selector, SEL_CODE64);
    ck_assert_uint_eq(ss->selector, (SEL_CODE64 | 3) + 8);
    ck_assert_uint_eq(segment_attr_pack(cs->attr), 0xa9b);
    ck_assert_uint_eq(segment_attr_pack(ss->attr), 0xc93);
    ck_assert_uint_eq(v->cpl, 0);
}
END_TEST

/* SDM Vol 2B "SYSRET": RPL 3 is forced in both selectors. */
START_TEST(sysret_of_intel_makes_a_flat_stack_with_rpl_3)
{
    v->state.star = (u64)0x20 << 48;
    v->state.seg[SEG_SS] = segment_null(0, 0);
    mode_update(v);
    RUN("\x0f\x07", 1);
    ck_assert_uint_eq(v->state.seg[SEG_CS].selector, 0x23);
    ck_assert_uint_eq(v->state.seg[SEG_SS].selector, 0x2b);
    ck_assert_uint_eq(segment_attr_pack(v->state.seg[SEG_SS].attr), 0xcf3);
    ck_assert_uint_eq(v->cpl, 3);
}
END_TEST

/* APM Vol 3 "SYSRET": base, limit and attributes of SS stay, here those of no segment. */
START_TEST(sysret_of_amd_changes_only_the_selector_of_ss)
{
    v->amd = true;
    v->state.star = (u64)0x20 << 48;
    v->state.seg[SEG_SS] = segment_null(0, 0);
    mode_update(v);
    RUN("\x0f\x07", 1);
    ck_assert_uint_eq(v->state.seg[SEG_CS].selector, 0x23);
    ck_assert_uint_eq(v->state.seg[SEG_SS].selector, 0x28);
    ck_assert_uint_eq(v->state.seg[SEG_SS].attr, segment_null(0, 3).attr);
    ck_assert_uint_eq(v->cpl, 3);
}
END_TEST

/* APM Vol 3 "SYSRET". The handler is that of the real-mode vector table. */
START_TEST(sysret_outside_protected_mode_is_gp)
{
    v->amd = true;
    v->state.efer |= EFER_SCE;
    v->state.cr0 &= ~CR0_PE;
    v->state.idtr.base = 0;
    mode_update(v);
    put_value(4 * VEC_GP, 0x1234, 4);
    RUN("\x0f\x07", 1);
    ck_assert_uint_eq(v->state.reg[REG_RIP], 0x1234);
}
END_TEST

START_TEST(sysenter_and_sysexit_swap_rings)
{
    v->state.sysenter_cs = SEL_CODE0;
    v->state.sysenter_eip = HANDLER;
    v->state.sysenter_esp = STACK_TSS;
    set_privilege(3);
    RUN("\x0f\x34", 1);
    ck_assert_int_eq(v->cpl, 0);
    ck_assert_int_eq(v->state.reg[REG_RIP], HANDLER);
    ck_assert_int_eq(v->state.reg[REG_RSP], STACK_TSS);
    v->state.reg[REG_RDX] = CODE;
    v->state.reg[REG_RCX] = STACK3;
    RUN("\x0f\x35", 1);
    ck_assert_int_eq(v->cpl, 3);
    ck_assert_int_eq(v->state.reg[REG_RIP], CODE);
    ck_assert_int_eq(v->state.seg[SEG_CS].selector, (SEL_CODE0 + 16) | 3);
}
END_TEST

START_TEST(io_permission_comes_from_iopl_or_the_bitmap)
{
    set_privilege(3);
    put_value(TSS + 104 + 0x80 / 8, 0xfffe, 2); /* only port 80h is open */
    RUN("\xe6\x80", 1); /* out 80h, al */
    ck_assert_int_eq(port_writes, 1);
    RUN("\xe6\x81", 1);
    ck_assert_int_eq(v->cpl, 0); /* in the handler of #GP */
    ck_assert_int_eq(port_writes, 1);
}
END_TEST

START_TEST(repeated_ins_stores_each_element)
{
    v->state.reg[REG_RDX] = 0x1f1;
    v->state.reg[REG_RCX] = 3;
    v->state.reg[REG_RDI] = 0x50000;
    RUN("\xf3\x6c\xf4", 4); /* rep insb; hlt */
    ck_assert_int_eq(v->state.reg[REG_RCX], 0);
    ck_assert_int_eq(get(0x50000, 4), 0x111111);
    ck_assert_int_eq(v->state.count, 4); /* each element counts */
}
END_TEST

static void add_32(TCase *t)
{
    tcase_add_test(t, data_segment_load_sets_the_accessed_bit);
    tcase_add_test(t, selector_beyond_its_table_raises_gp);
    tcase_add_test(t, not_present_data_segment_raises_np_and_stack_segment_ss);
    tcase_add_test(t, stack_segment_must_be_writable_and_of_the_cpl);
    tcase_add_test(t, execute_only_code_is_no_data_segment);
    tcase_add_test(t, data_segment_of_inner_privilege_is_refused);
    tcase_add_test(t, null_selector_makes_a_data_segment_unusable);
    tcase_add_test(t, real_mode_load_keeps_the_limit);
    tcase_add_test(t, real_mode_load_keeps_the_type);
    tcase_add_test(t, lldt_and_ltr_check_their_descriptors);
    tcase_add_test(t, ldt_selectors_read_the_local_table);
    tcase_add_test(t, lar_lsl_verr_verw_answer_by_type_and_privilege);
    tcase_add_test(t, far_jump_loads_cs_with_the_cpl_as_rpl);
    tcase_add_test(t, jump_beyond_the_limit_raises_gp);
    tcase_add_test(t, far_call_and_return_to_the_same_level);
    tcase_add_test(t, call_gate_to_an_inner_level_copies_parameters);
    tcase_add_test(t, jump_through_a_call_gate_does_not_change_the_level);
    tcase_add_test(t, return_to_an_outer_level_drops_inner_data_segments);
    tcase_add_test(t, return_to_an_inner_level_is_refused);
    tcase_add_test(t, iret_in_ring_3_changes_neither_iopl_nor_if);
    tcase_add_test(t, sysenter_and_sysexit_swap_rings);
    tcase_add_test(t, sysret_outside_protected_mode_is_gp);
    tcase_add_test(t, io_permission_comes_from_iopl_or_the_bitmap);
    tcase_add_test(t, repeated_ins_stores_each_element);
}

static void add(Suite *suite)
{
    TCase *t = tcase_create("32-bit");

    tcase_add_checked_fixture(t, setup, guest_destroy);
    add_32(t);
    suite_add_tcase(suite, t);

    t = tcase_create("64-bit");
    tcase_add_checked_fixture(t, setup_long, guest_destroy);
    tcase_add_test(t, null_stack_segment_is_allowed_in_64_bit_mode_outside_ring_3);
    tcase_add_test(t, far_jump_switches_between_64_bit_and_compatibility_mode);
    tcase_add_test(t, code_with_both_l_and_d_is_refused);
    tcase_add_test(t, call_gate_of_64_bits_pushes_ss_rsp_cs_rip);
    tcase_add_test(t, iret_to_a_non_canonical_address_is_refused);
    tcase_add_test(t, iret_from_ring_3_to_ring_3_is_no_smap_violation);
    tcase_add_test(t, syscall_and_sysret_swap_rings);
    tcase_add_test(t, syscall_keeps_the_rpl_of_ss);
    tcase_add_test(t, branches_of_16_bits_and_far_pointers_of_32_are_as_on_amd);
    tcase_add_test(t, sysret_of_intel_makes_a_flat_stack_with_rpl_3);
    tcase_add_test(t, sysret_of_amd_changes_only_the_selector_of_ss);
    suite_add_tcase(suite, t);
}

TESTS_MAIN("segment", add)
