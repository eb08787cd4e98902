/* SPDX-License-Identifier: MIT */
/* Operand loads and stores of the generic path, in 32-bit protected mode without paging. */
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>

enum { RAM = 1 << 20, DEVICE = 0x200000, AT = 0x8000 };
enum { DATA_ATTR = ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED | ATTR_DB | ATTR_G };

static struct memory *memory;
static struct code_cache *code;
static struct vcpu *v;
static struct insn in;
static struct operands x;
static u64 now, next_deadline = ~(u64)0;
static unsigned device_reads;

static u64 device_read(void *ctx, u64 offset, u32 size)
{
    (void)ctx;
    (void)size;
    device_reads++;
    return offset;
}

static void device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static void setup(void)
{
    static const struct mmio_ops ops = {device_read, device_write};
    const struct cpu_wires wires = {0};
    struct error error;

    memory = memory_create(40);
    ck_assert(memory_add_ram(memory, "ram", (hpa_t){0}, RAM, &error));
    ck_assert(memory_add_mmio(memory, "device", (hpa_t){DEVICE}, PAGE_SIZE, &ops, NULL, &error));
    code = code_cache_create(memory, 1 << 20);
    v = vcpu_create(memory, code, &wires);
    v->now = &now;
    v->next_deadline = &next_deadline;
    memset(v->features, 0xff, sizeof(v->features));
    vcpu_reset(v, false);
    v->state.cr0 |= 0x21; /* NE, PE */
    v->state.cr4 |= 0x40600;
    v->state.xcr0 = 7;
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        v->state.seg[seg] = (struct segment){.limit = ~(u32)0, .attr = DATA_ATTR};
    v->state.seg[SEG_CS].attr |= ATTR_CODE;
    mode_update(v);
    v->alone = true;
    memset(&x, 0, sizeof(x));
    device_reads = 0;
}

static void teardown(void)
{
    vcpu_destroy(v);
    code_cache_destroy(code);
    memory_destroy(memory);
}

static void put(u64 at, u64 value)
{
    memory_write(memory, (hpa_t){at}, &value, 8);
}

static u64 get(u64 at)
{
    u64 value;

    memory_read(memory, (hpa_t){at}, &value, 8);
    return value;
}

/* Decode these bytes, followed by zeros, and load the operands. */
#define LOAD(...) load((const u8[15]){__VA_ARGS__})

static bool load(const u8 *bytes)
{
    ck_assert_int_eq(decode(v, bytes, 15, &in), DECODE_OK);
    v->event.kind = EVENT_NONE;
    return operands_load(v, &in, &x);
}

static void check_fault(bool loaded, enum vector vector)
{
    ck_assert(!loaded);
    ck_assert_int_eq(v->event.kind, EVENT_EXCEPTION);
    ck_assert_int_eq(v->event.vector, vector);
}

START_TEST(memory_operand_gives_value_address_and_offset)
{
    v->state.seg[SEG_DS].base = 0x1000;
    mode_update(v);
    v->state.reg[REG_RBX] = AT - 0x1000;
    put(AT + 4, 0x1122334455667788);
    ck_assert(LOAD(0x03, 0x43, 0x04)); /* add eax, [ebx+4] */
    ck_assert_uint_eq(x.val[1], 0x55667788);
    ck_assert_uint_eq(x.offset, AT - 0x1000 + 4);
    ck_assert_uint_eq(x.address, AT + 4);
}
END_TEST

START_TEST(high_byte_registers_are_read_and_written_in_place)
{
    v->state.reg[REG_RAX] = 0x11223344;
    ck_assert(LOAD(0x80, 0xc4, 0x01)); /* add ah, 1 */
    ck_assert_uint_eq(x.val[0], 0x33);
    x.val[0] = 0xee;
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0x1122ee44);
}
END_TEST

START_TEST(access_beyond_the_limit_faults_before_anything_happens)
{
    v->state.seg[SEG_DS].limit = 0xfff;
    mode_update(v);
    v->state.reg[REG_RBX] = 0xffd;
    check_fault(LOAD(0x03, 0x03), VEC_GP); /* add eax, [ebx] */
    v->state.reg[REG_RBX] = 0xffc;
    ck_assert(LOAD(0x03, 0x03));
}
END_TEST

START_TEST(stack_segment_violation_is_a_stack_fault)
{
    v->state.seg[SEG_SS].limit = 0xfff;
    mode_update(v);
    v->state.reg[REG_RBP] = 0x1000;
    check_fault(LOAD(0x03, 0x45, 0x00), VEC_SS); /* add eax, [ebp] */
}
END_TEST

START_TEST(destination_in_a_read_only_segment_faults_at_load)
{
    v->state.seg[SEG_DS].attr &= ~(u32)ATTR_WRITABLE;
    mode_update(v);
    v->state.reg[REG_RBX] = AT;
    check_fault(LOAD(0x01, 0x03), VEC_GP); /* add [ebx], eax */
    check_fault(LOAD(0x89, 0x03), VEC_GP); /* mov [ebx], eax */
    ck_assert(LOAD(0x39, 0x03)); /* cmp [ebx], eax */
}
END_TEST

START_TEST(lea_checks_no_limit)
{
    v->state.seg[SEG_DS].limit = 0;
    mode_update(v);
    v->state.reg[REG_RBX] = 0x12345678;
    ck_assert(LOAD(0x8d, 0x43, 0x01));
    ck_assert_uint_eq(x.offset, 0x12345679);
}
END_TEST

START_TEST(device_operand_in_the_middle_of_a_block_is_redone_untouched)
{
    v->state.reg[REG_RBX] = DEVICE;
    v->alone = false;
    ck_assert(!LOAD(0x01, 0x03)); /* add [ebx], eax */
    ck_assert_int_eq(v->event.kind, EVENT_REDO);
    ck_assert_uint_eq(device_reads, 0);
    v->alone = true;
    ck_assert(LOAD(0x01, 0x03));
    ck_assert_uint_eq(device_reads, 1);
}
END_TEST

START_TEST(far_pointer_is_offset_then_selector)
{
    v->state.reg[REG_RBX] = AT;
    put(AT, 0x0000001b12345678);
    ck_assert(LOAD(0xc4, 0x03)); /* les eax, [ebx] */
    ck_assert_uint_eq(x.val[1], 0x12345678);
    ck_assert_uint_eq(x.sel, 0x1b);
}
END_TEST

START_TEST(descriptor_table_operand_is_limit_then_base)
{
    v->state.reg[REG_RBX] = AT;
    put(AT, 0x0000123456780fff);
    ck_assert(LOAD(0x0f, 0x01, 0x13)); /* lgdt [ebx] */
    ck_assert_uint_eq(x.sel, 0x0fff);
    ck_assert_uint_eq(x.val[0], 0x12345678);
}
END_TEST

START_TEST(bounds_are_sign_extended)
{
    v->state.reg[REG_RBX] = AT;
    put(AT, 0x7fffffff80000000);
    ck_assert(LOAD(0x62, 0x03)); /* bound eax, [ebx] */
    ck_assert_int_eq((i64)x.vec[1].q[0], -0x80000000LL);
    ck_assert_int_eq((i64)x.vec[1].q[1], 0x7fffffff);
}
END_TEST

START_TEST(selector_stores_write_16_bits_to_memory_and_the_width_to_registers)
{
    v->state.reg[REG_RBX] = AT;
    put(AT, ~(u64)0);
    ck_assert(LOAD(0x8c, 0x1b)); /* mov [ebx], ds */
    x.val[0] = 0x12;
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(get(AT), 0xffffffffffff0012);
    ck_assert(LOAD(0x8c, 0xdb)); /* mov ebx, ds */
    x.val[0] = 0x12;
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(v->state.reg[REG_RBX], 0x12);
}
END_TEST

START_TEST(first_operand_wins_if_two_results_go_to_one_register)
{
    ck_assert(LOAD(0x0f, 0xc1, 0xc0)); /* xadd eax, eax */
    x.val[0] = 1;
    x.val[1] = 2;
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(v->state.reg[REG_RAX], 1);
}
END_TEST

START_TEST(aligned_vector_operands_must_be_aligned)
{
    v->state.reg[REG_RBX] = AT + 8;
    check_fault(LOAD(0x0f, 0x28, 0x03), VEC_GP); /* movaps xmm0, [ebx] */
    ck_assert(LOAD(0x0f, 0x10, 0x03)); /* movups */
    v->state.reg[REG_RBX] = AT + 16;
    ck_assert(LOAD(0x0f, 0x28, 0x03));
    check_fault(LOAD(0xc5, 0xfc, 0x28, 0x03), VEC_GP); /* vmovaps ymm0, [ebx] */
    ck_assert(LOAD(0xc5, 0xfc, 0x58, 0x03)); /* vaddps ymm0, ymm0, [ebx] */
}
END_TEST

START_TEST(legacy_vector_results_keep_the_upper_half_and_vex_clears_it)
{
    memset(&v->state.ymm[1], 0xaa, 32);
    ck_assert(LOAD(0x66, 0x0f, 0xef, 0xc9)); /* pxor xmm1, xmm1 */
    memset(&x.vec[0], 0x11, 32);
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(v->state.ymm[1].q[1], 0x1111111111111111);
    ck_assert_uint_eq(v->state.ymm[1].q[2], 0xaaaaaaaaaaaaaaaa);
    ck_assert(LOAD(0xc5, 0xf1, 0xef, 0xc9)); /* vpxor xmm1, xmm1, xmm1 */
    memset(&x.vec[0], 0x22, 32);
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(v->state.ymm[1].q[1], 0x2222222222222222);
    ck_assert_uint_eq(v->state.ymm[1].q[2], 0);
    ck_assert_uint_eq(v->state.ymm[1].q[3], 0);
}
END_TEST

START_TEST(short_vector_memory_operands_are_zero_extended)
{
    v->state.reg[REG_RBX] = AT;
    put(AT, 0x1111111122222222);
    memset(&x, 0xff, sizeof(x));
    ck_assert(LOAD(0xf3, 0x0f, 0x58, 0x03)); /* addss xmm0, [ebx] */
    ck_assert_uint_eq(x.vec[1].q[0], 0x22222222);
    ck_assert_uint_eq(x.vec[1].q[1], 0);
}
END_TEST

START_TEST(mmx_results_set_exponent_top_and_tags)
{
    v->state.fpu.fsw = 5 << 11;
    v->state.fpu.ftw = 0;
    ck_assert(LOAD(0x0f, 0xef, 0xd2)); /* pxor mm2, mm2 */
    x.val[0] = 0x1234;
    ck_assert(operands_store(v, &in, &x));
    ck_assert_uint_eq(v->state.fpu.st[2].mant, 0x1234);
    ck_assert_uint_eq(v->state.fpu.st[2].se, 0xffff);
    ck_assert_uint_eq(v->state.fpu.fsw, 0);
    ck_assert_uint_eq(v->state.fpu.ftw, 0xff);
}
END_TEST

START_TEST(pending_x87_error_is_reported_by_mmx_and_waiting_instructions)
{
    v->state.fpu.fsw = 0x8081; /* B, ES, IE */
    check_fault(LOAD(0x0f, 0xef, 0xd2), VEC_MF); /* pxor mm2, mm2 */
    check_fault(LOAD(0xd9, 0xe8), VEC_MF); /* fld1 */
    ck_assert(LOAD(0xdb, 0xe3)); /* fninit */
}
END_TEST

START_TEST(sixteen_bit_addresses_wrap_inside_the_segment)
{
    v->state.reg[REG_RBX] = 0x12340000 | 0xfff0;
    v->state.reg[REG_RSI] = 0x20;
    put(0x10, 0x5a);
    ck_assert(LOAD(0x67, 0x02, 0x00)); /* add al, [bx+si] */
    ck_assert_uint_eq(x.offset, 0x10);
    ck_assert_uint_eq(x.val[1], 0x5a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operand");
    TCase *cases = tcase_create("operand");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, memory_operand_gives_value_address_and_offset);
    tcase_add_test(cases, high_byte_registers_are_read_and_written_in_place);
    tcase_add_test(cases, access_beyond_the_limit_faults_before_anything_happens);
    tcase_add_test(cases, stack_segment_violation_is_a_stack_fault);
    tcase_add_test(cases, destination_in_a_read_only_segment_faults_at_load);
    tcase_add_test(cases, lea_checks_no_limit);
    tcase_add_test(cases, device_operand_in_the_middle_of_a_block_is_redone_untouched);
    tcase_add_test(cases, far_pointer_is_offset_then_selector);
    tcase_add_test(cases, descriptor_table_operand_is_limit_then_base);
    tcase_add_test(cases, bounds_are_sign_extended);
    tcase_add_test(cases, selector_stores_write_16_bits_to_memory_and_the_width_to_registers);
    tcase_add_test(cases, first_operand_wins_if_two_results_go_to_one_register);
    tcase_add_test(cases, aligned_vector_operands_must_be_aligned);
    tcase_add_test(cases, legacy_vector_results_keep_the_upper_half_and_vex_clears_it);
    tcase_add_test(cases, short_vector_memory_operands_are_zero_extended);
    tcase_add_test(cases, mmx_results_set_exponent_top_and_tags);
    tcase_add_test(cases, pending_x87_error_is_reported_by_mmx_and_waiting_instructions);
    tcase_add_test(cases, sixteen_bit_addresses_wrap_inside_the_segment);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
