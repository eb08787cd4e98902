/* SPDX-License-Identifier: MIT */
/* Stack, branch and string instructions in small programs. SDM Vol 2, by mnemonic. */
#include "tests/isa/rig.h"

/* ---- programs ---- */

START_TEST(call_and_return_keep_the_stack_straight)
{
    enter_64();
    /* push 5; call L; pop rbx; hlt; L: pop rcx; push rcx; inc eax; ret */
    RUN("\x6a\x05\xe8\x02\x00\x00\x00\x5b\xf4\x59\x51\xff\xc0\xc3");
    ck_assert_uint_eq(v->state.reg[REG_RAX], 1);
    ck_assert_uint_eq(v->state.reg[REG_RCX], CODE + 7);
    ck_assert_uint_eq(v->state.reg[REG_RBX], 5);
    ck_assert_uint_eq(v->state.reg[REG_RSP], STACK_TOP);
    ck_assert_uint_eq(v->state.count, 8);
}
END_TEST

START_TEST(calls_in_32_bit_mode_push_4_bytes)
{
    enter_32();
    /* push eax; call L; hlt; L: mov eax,[esp]; ret 4 */
    RUN("\x50\xe8\x01\x00\x00\x00\xf4\x8b\x04\x24\xc2\x04\x00");
    ck_assert_uint_eq(v->state.reg[REG_RAX], CODE + 6);
    ck_assert_uint_eq(v->state.reg[REG_RSP], STACK_TOP);
}
END_TEST

START_TEST(calls_in_real_mode_push_2_bytes)
{
    enter_real();
    /* push -2; call L; hlt; L: pop ax; push ax; ret 2 */
    RUN("\x6a\xfe\xe8\x01\x00\xf4\x58\x50\xc2\x02\x00");
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0x1005);
    ck_assert_uint_eq(v->state.reg[REG_RSP], 0x8000);
    ck_assert_uint_eq(get(0x7ffe, 2), 0xfffe);
}
END_TEST

START_TEST(indirect_branches_go_through_memory_and_registers)
{
    const u64 target = CODE + 0x40;

    enter_64();
    put(DATA, &target, 8);
    put(target, "\xff\xc0\xc3", 3); /* inc eax; ret */
    v->state.reg[REG_RSI] = DATA;
    v->state.reg[REG_RBX] = target;
    /* call [rsi]; call rbx; push offset hlt; jmp [rsi] ... hlt */
    RUN("\xff\x16\xff\xd3\x68\x0c\x00\x20\x00\xff\x26\x90\xf4");
    ck_assert_uint_eq(v->state.reg[REG_RAX], 3);
    ck_assert_uint_eq(v->state.reg[REG_RSP], STACK_TOP);
}
END_TEST

START_TEST(every_condition_jumps_as_its_setcc_says)
{
    enter_64();
    for (unsigned cc = 0; cc < 16; cc++) {
        for (unsigned n = 0; n < 32; n++) {
            /* jcc +2; mov bl,1; hlt, the jump with 8 and with 32 bits */
            const u8 short_form[] = {(u8)(0x70 | cc), 2, 0xb3, 1, 0xf4};
            const u8 near_form[] = {0x0f, (u8)(0x80 | cc), 2, 0, 0, 0, 0xb3, 1, 0xf4};

            flat_segments(ATTR_L);
            v->state.reg[REG_RIP] = CODE + (cc * 32 + n) * 16;
            v->state.reg[REG_RBX] = 0;
            v->state.activity = ACTIVITY_ACTIVE;
            flags_load(v, any() & FLAGS_ARITH);
            const bool jumps = condition(v, cc);
            if (n & 1)
                run_program((const char *)short_form, sizeof(short_form));
            else
                run_program((const char *)near_form, sizeof(near_form));
            ck_assert_uint_eq(v->state.reg[REG_RBX], !jumps);
        }
    }
}
END_TEST

START_TEST(loop_counts_in_the_address_size)
{
    enter_64();
    v->state.reg[REG_RCX] = 0x500000003;
    /* L: inc eax; addr32 loop L; jrcxz +1; hlt; inc eax; hlt */
    RUN("\xff\xc0\x67\xe2\xfb\xe3\x01\xf4\xff\xc0\xf4");
    ck_assert_uint_eq(v->state.reg[REG_RAX], 4);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 0);
}
END_TEST

START_TEST(jump_out_of_canonical_space_faults_at_the_jump)
{
    enter_64();
    v->state.reg[REG_RAX] = 0x800000000000;
    RUN("\xff\xe0"); /* jmp rax: #GP without an IDT shuts down */
    ck_assert_uint_eq(v->state.activity, ACTIVITY_SHUTDOWN);
    ck_assert_uint_eq(v->state.reg[REG_RIP], CODE);
}
END_TEST

START_TEST(pop_to_memory_addresses_with_the_new_rsp)
{
    enter_64();
    /* push 7; push 9; pop [rsp]; hlt */
    RUN("\x6a\x07\x6a\x09\x8f\x04\x24\xf4");
    ck_assert_uint_eq(v->state.reg[REG_RSP], STACK_TOP - 8);
    ck_assert_uint_eq(get(STACK_TOP - 8, 8), 9);
}
END_TEST

START_TEST(push_and_pop_of_rsp_itself)
{
    enter_64();
    RUN("\x54\x58\x68\x00\x10\x30\x00\x5c\xf4"); /* push rsp; pop rax; push 301000h; pop rsp */
    ck_assert_uint_eq(v->state.reg[REG_RAX], STACK_TOP);
    ck_assert_uint_eq(v->state.reg[REG_RSP], 0x301000);
}
END_TEST

START_TEST(pusha_and_popa_mirror_each_other)
{
    enter_32();
    for (unsigned i = 0; i < 8; i++) {
        if (i != REG_RSP)
            v->state.reg[i] = 0x11111111u * (i + 1);
    }
    RUN("\x60\x31\xc0\x31\xf6\x31\xed\x61\xf4"); /* pusha; xor eax, esi, ebp; popa; hlt */
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(v->state.reg[i], i == REG_RSP ? STACK_TOP : 0x11111111u * (i + 1));
    ck_assert_uint_eq(get(STACK_TOP - 20, 4), STACK_TOP);
    ck_assert_uint_eq(get(STACK_TOP - 4, 4), 0x11111111);
}
END_TEST

START_TEST(enter_copies_the_display_and_leave_undoes_it)
{
    const u64 display[2] = {0xbbbb, 0xaaaa};

    enter_64();
    put(DATA, display, 16);
    v->state.reg[REG_RBP] = DATA + 16;
    RUN("\xc8\x20\x00\x03\x48\x89\xe0\x48\x89\xe9\xc9\xf4"); /* enter 32,3; mov rax,rsp; mov
                                                                rcx,rbp; leave */
    ck_assert_uint_eq(v->state.reg[REG_RCX], STACK_TOP - 8);
    ck_assert_uint_eq(v->state.reg[REG_RAX], STACK_TOP - 8 - 24 - 32);
    ck_assert_uint_eq(get(STACK_TOP - 16, 8), 0xaaaa);
    ck_assert_uint_eq(get(STACK_TOP - 24, 8), 0xbbbb);
    ck_assert_uint_eq(get(STACK_TOP - 32, 8), STACK_TOP - 8);
    ck_assert_uint_eq(v->state.reg[REG_RSP], STACK_TOP);
    ck_assert_uint_eq(v->state.reg[REG_RBP], DATA + 16);
}
END_TEST

START_TEST(movsxd_of_16_bits_reads_no_more)
{
    enter_64();
    put(0x3ff000 - 2, &(u16){0x8001}, 2); /* the page at 3ff000 is not mapped */
    v->state.reg[REG_RSI] = 0x3ff000 - 2;
    RUN("\x66\x63\x06\xf4");
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0x8001);
}
END_TEST

START_TEST(push_that_faults_changes_nothing)
{
    enter_64();
    v->state.reg[REG_RSP] = 4; /* the slot wraps to the top of the address space: not mapped */
    RUN("\x50");
    ck_assert_uint_eq(v->state.activity, ACTIVITY_SHUTDOWN);
    ck_assert_uint_eq(v->state.reg[REG_RSP], 4);
}
END_TEST

/* ---- strings ---- */

enum { AREA = 0x3000 };

static u8 area[AREA]; /* what DATA..DATA+AREA-1 should be */

static void fill_area(void)
{
    for (unsigned i = 0; i < AREA; i++)
        area[i] = (u8)(any() >> 20 & 3);
    put(DATA, area, AREA);
}

static void check_area(const char *what)
{
    static u8 now_there[AREA];

    memory_read(memory, (hpa_t){DATA}, now_there, AREA);
    ck_assert_msg(memcmp(area, now_there, AREA) == 0, "%s", what);
}

/* One REP instruction in slices of `slice` instructions. Returns how many retired, HLT left out. */
static u64 run_rep(u8 prefix, u8 opcode, bool wide, u64 slice)
{
    u8 program[8];
    unsigned size = 0;
    const u64 before = v->state.count;

    program[size++] = prefix;
    if (wide)
        program[size++] = 0x48;
    program[size++] = opcode;
    program[size++] = 0xf4;
    put(CODE, program, size);
    v->state.reg[REG_RIP] = CODE;
    v->state.activity = ACTIVITY_ACTIVE;
    while (vcpu_run(v, slice) == RUN_SLICE)
        ;
    return v->state.count - before - 1;
}

struct operands_of_string {
    u64 si, di, n;
    unsigned width;
    bool down;
    u8 opcode; /* of the byte form */
};

static struct operands_of_string random_string(u8 opcode)
{
    struct operands_of_string s = {.opcode = opcode, .width = any() >> 30 & 1 ? 8 : 1};
    const u64 r = any();

    s.down = (r >> 8 & 1) != 0;
    s.n = r >> 16 & 0x1ff;
    s.si = DATA + 0x1000 + (r >> 32 & 0xfff);
    s.di = (r >> 9 & 1) != 0 ? s.si + (r >> 48 & 63) - 32 : DATA + 0x1000 + (r >> 50 & 0xfff);
    return s;
}

static void load_string(const struct operands_of_string *s)
{
    v->state.reg[REG_RSI] = s->si;
    v->state.reg[REG_RDI] = s->di;
    v->state.reg[REG_RCX] = s->n;
    v->state.rflags = FLAG_1 | (s->down ? FLAG_DF : 0);
}

START_TEST(rep_movs_copies_element_by_element)
{
    enter_64();
    for (unsigned n = 0; n < 400; n++) {
        const struct operands_of_string s = random_string(0xa4);
        const u64 step = s.down ? 0 - (u64)s.width : s.width;

        fill_area();
        load_string(&s);
        ck_assert_uint_eq(run_rep(0xf3, (u8)(s.opcode + (s.width == 8)), s.width == 8, 1 + n % 300),
                          s.n == 0 ? 1 : s.n);
        for (u64 i = 0; i < s.n; i++) {
            u8 element[8];

            memcpy(element, area + (s.si + i * step - DATA), s.width);
            memcpy(area + (s.di + i * step - DATA), element, s.width);
        }
        check_area("rep movs");
        ck_assert_uint_eq(v->state.reg[REG_RSI], s.si + s.n * step);
        ck_assert_uint_eq(v->state.reg[REG_RDI], s.di + s.n * step);
        ck_assert_uint_eq(v->state.reg[REG_RCX], 0);
    }
}
END_TEST

START_TEST(rep_stos_fills)
{
    enter_64();
    for (unsigned n = 0; n < 200; n++) {
        const struct operands_of_string s = random_string(0xaa);
        const u64 step = s.down ? 0 - (u64)s.width : s.width;
        const u64 value = any();

        fill_area();
        load_string(&s);
        v->state.reg[REG_RAX] = value;
        run_rep(0xf3, (u8)(s.opcode + (s.width == 8)), s.width == 8, 1 + n % 300);
        for (u64 i = 0; i < s.n; i++)
            memcpy(area + (s.di + i * step - DATA), &value, s.width);
        check_area("rep stos");
        ck_assert_uint_eq(v->state.reg[REG_RDI], s.di + s.n * step);
    }
}
END_TEST

/* SCAS (a is rAX) or CMPS by the pseudocode of SDM Vol 2. */
static u64 expected_compares(const struct operands_of_string *s, bool scas, u64 rax,
                             bool while_equal, bool *equal)
{
    const u64 step = s->down ? 0 - (u64)s->width : s->width;
    u64 i = 0;

    while (i < s->n) {
        const u64 b = load_le(area + (s->di + i * step - DATA), s->width);
        const u64 a =
            scas ? rax & width_mask(s->width) : load_le(area + (s->si + i * step - DATA), s->width);

        i++;
        *equal = a == b;
        if (*equal != while_equal)
            break;
    }
    return i;
}

START_TEST(repeated_compares_stop_at_the_right_element)
{
    enter_64();
    for (unsigned n = 0; n < 600; n++) {
        const bool scas = (n & 1) != 0, while_equal = (n & 2) != 0;
        struct operands_of_string s = random_string(scas ? 0xae : 0xa6);
        const u64 step = s.down ? 0 - (u64)s.width : s.width;
        const u64 rax = (n & 4) != 0 ? 7 : any() & 3;
        bool equal = false;
        u64 done;

        fill_area();
        if ((n & 8) != 0) {
            memset(area, (int)(n & 16 ? rax : 1), AREA);
            area[any() % AREA] ^= 2;
            put(DATA, area, AREA);
        }
        load_string(&s);
        v->state.reg[REG_RAX] = rax;
        done = expected_compares(&s, scas, rax, while_equal, &equal);
        run_rep(while_equal ? 0xf3 : 0xf2, (u8)(s.opcode + (s.width == 8)), s.width == 8,
                1 + n % 300);
        ck_assert_uint_eq(v->state.reg[REG_RDI], s.di + done * step);
        ck_assert_uint_eq(v->state.reg[REG_RSI], scas ? s.si : s.si + done * step);
        ck_assert_uint_eq(v->state.reg[REG_RCX], s.n - done);
        if (s.n != 0)
            ck_assert_uint_eq(flag_zf(v), equal);
    }
}
END_TEST

START_TEST(rep_that_faults_stays_at_the_faulting_element)
{
    enter_64();
    v->state.reg[REG_RDI] = 0x3ff000 - 20; /* the page at 3ff000 is not mapped */
    v->state.reg[REG_RCX] = 100;
    v->state.reg[REG_RAX] = 0x55;
    put(CODE, "\xf3\xaa\xf4", 3);
    ck_assert_int_eq(vcpu_run(v, 1000), RUN_HALT);
    ck_assert_uint_eq(v->state.activity, ACTIVITY_SHUTDOWN);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 80);
    ck_assert_uint_eq(v->state.reg[REG_RDI], 0x3ff000);
    ck_assert_uint_eq(v->state.reg[REG_RIP], CODE);
    ck_assert_uint_eq(v->state.count, 20 + 1); /* the exception counts as one */
    ck_assert_uint_eq(get(0x3ff000 - 1, 1), 0x55);
}
END_TEST

START_TEST(repeated_compare_writes_flags_only_at_its_end)
{
    const u64 before = FLAG_CF | FLAG_OF | FLAG_SF;

    enter_64();
    v->state.reg[REG_RDI] = 0x3ff000 - 20;
    v->state.reg[REG_RCX] = 100;
    v->state.reg[REG_RAX] = 0x55;
    rflags_set(v, before);
    put(CODE, "\xf2\xae\xf4", 3); /* repne scasb; hlt */
    ck_assert_int_eq(vcpu_run(v, 5), RUN_SLICE);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 95);
    ck_assert_uint_eq(v->state.rflags & FLAGS_ARITH, before);
    ck_assert_int_eq(vcpu_run(v, 1000), RUN_HALT); /* a page fault */
    ck_assert_uint_eq(v->state.reg[REG_RCX], 80);
    ck_assert_uint_eq(v->state.rflags & FLAGS_ARITH, before);
}
END_TEST

START_TEST(rep_with_a_count_of_0_leaves_upper_halves)
{
    enter_64();
    v->state.reg[REG_RCX] = 0x500000000;
    v->state.reg[REG_RDI] = 0x600000000;
    RUN("\x67\xf3\xaa\xf4");
    ck_assert_uint_eq(v->state.reg[REG_RCX], 0x500000000);
    ck_assert_uint_eq(v->state.reg[REG_RDI], 0x600000000);
}
END_TEST

START_TEST(string_offsets_wrap_in_the_address_size)
{
    enter_real();
    v->state.reg[REG_RCX] = 8;
    v->state.reg[REG_RDI] = 0xfffc;
    v->state.reg[REG_RAX] = 0x77;
    RUN("\xf3\xaa\xf4");
    ck_assert_uint_eq(get(0xfffc, 4), 0x77777777);
    ck_assert_uint_eq(get(0, 4), 0x77777777);
    ck_assert_uint_eq(v->state.reg[REG_RDI], 4);
}
END_TEST

START_TEST(single_string_instructions_move_both_ways)
{
    enter_64();
    put(DATA, "abcdefgh", 8);
    v->state.reg[REG_RSI] = DATA;
    v->state.reg[REG_RDI] = DATA + 0x100;
    /* movsb; movsw; std; lodsb; stosb; hlt */
    RUN("\xa4\x66\xa5\xfd\xac\xaa\xf4");
    ck_assert_uint_eq(v->state.reg[REG_RSI], DATA + 2);
    ck_assert_uint_eq(v->state.reg[REG_RDI], DATA + 0x102);
    ck_assert_uint_eq(v->state.reg[REG_RAX] & 0xff, 'd');
    ck_assert_uint_eq(get(DATA + 0x100, 4), 'a' | 'b' << 8 | 'c' << 16 | (u32)'d' << 24);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        call_and_return_keep_the_stack_straight,
        calls_in_32_bit_mode_push_4_bytes,
        calls_in_real_mode_push_2_bytes,
        indirect_branches_go_through_memory_and_registers,
        every_condition_jumps_as_its_setcc_says,
        loop_counts_in_the_address_size,
        jump_out_of_canonical_space_faults_at_the_jump,
        pop_to_memory_addresses_with_the_new_rsp,
        push_and_pop_of_rsp_itself,
        pusha_and_popa_mirror_each_other,
        enter_copies_the_display_and_leave_undoes_it,
        movsxd_of_16_bits_reads_no_more,
        push_that_faults_changes_nothing,
        rep_movs_copies_element_by_element,
        rep_stos_fills,
        repeated_compares_stop_at_the_right_element,
        rep_that_faults_stays_at_the_faulting_element,
        repeated_compare_writes_flags_only_at_its_end,
        rep_with_a_count_of_0_leaves_upper_halves,
        string_offsets_wrap_in_the_address_size,
        single_string_instructions_move_both_ways,
    };

    return run_tests("flow", tests, ARRAY_SIZE(tests));
}
