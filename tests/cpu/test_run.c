/* SPDX-License-Identifier: MIT */
/* The run loop: exact counts, exact boundaries, self-modifying code, redo, and caches that do not
 * matter. */
#include "cpu/engine.h"
#include "cpu/event.h"
#include "cpu/system.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { RAM = 1 << 20, CODE = 0x1000, DEVICE = 0x200000 };

static struct memory *memory;
static struct code_cache *code;
static struct vcpu *v;
static u64 now, next_deadline;
static u64 device_reads, device_time;

static u32 port_read(void *ctx, u16 port, u32 size)
{
    (void)ctx;
    (void)port;
    (void)size;
    device_time = now;
    return 0x5a;
}

static void port_write(void *ctx, u16 port, u32 size, u32 value)
{
    (void)ctx;
    (void)port;
    (void)size;
    (void)value;
}

static u8 int_ack(void *ctx)
{
    (void)ctx;
    event_signal_intr(v, false);
    return 0x20;
}

static void shutdown(void *ctx)
{
    (void)ctx;
}

static u32 apic_id(void *ctx)
{
    (void)ctx;
    return 0;
}

static u64 device_read(void *ctx, u64 offset, u32 size)
{
    (void)ctx;
    (void)size;
    device_reads++;
    device_time = now;
    return 0x1234 + offset;
}

static void device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static void warn(const char *line)
{
    (void)line;
}

static void setup(void)
{
    static const struct mmio_ops ops = {device_read, device_write};
    const struct cpu_wires wires = {.port_read = port_read,
                                    .port_write = port_write,
                                    .int_ack = int_ack,
                                    .shutdown = shutdown,
                                    .apic_id = apic_id};
    struct cpu_config config;
    struct error error;

    now = 0;
    next_deadline = ~(u64)0;
    device_reads = 0;
    memory = memory_create(40);
    ck_assert(memory_add_ram(memory, "ram", (hpa_t){0}, RAM, &error));
    ck_assert(memory_add_mmio(memory, "device", (hpa_t){DEVICE}, 0x1000, &ops, NULL, &error));
    code = code_cache_create(memory, 1 << 20);
    v = vcpu_create(memory, code, &wires);
    v->now = &now;
    v->next_deadline = &next_deadline;
    ck_assert(cpu_config_parse(&config, "max", warn, &error));
    vcpu_configure(v, &config, 0, 1, 0);
    vcpu_reset(v, false);
}

static void teardown(void)
{
    vcpu_destroy(v);
    code_cache_destroy(code);
    memory_destroy(memory);
}

/* 32-bit flat protected mode at CODE, stack at the top of RAM, an IDT whose gates point at 0x800.
 */
static void flat32(const u8 *bytes, u32 size)
{
    static const u8 gdt[24] = {0, 0,    0,    0, 0,    0,    0, 0, 0xff, 0xff, 0,    0,
                               0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0,    0x93, 0xcf, 0};
    struct cpu_state *s = &v->state;

    ck_assert(memory_load(memory, (hpa_t){CODE}, bytes, size));
    ck_assert(memory_load(memory, (hpa_t){0x400}, gdt, sizeof(gdt)));
    for (u32 vector = 0; vector < 32; vector++) {
        const u64 gate = 0x0000800 | 8u << 16 | (u64)0x8e00 << 32;

        ck_assert(memory_load(memory, (hpa_t){0x500 + vector * 8}, &gate, 8));
    }
    ck_assert(memory_load(memory, (hpa_t){0x800}, "\xf4", 1)); /* HLT */
    s->gdtr.base = 0x400;
    s->gdtr.limit = 23;
    s->idtr.base = 0x500;
    s->idtr.limit = 255;
    s->cr0 = 0x11;
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        s->seg[seg] = (struct segment){.selector = seg == SEG_CS ? 8 : 16,
                                       .limit = 0xffffffff,
                                       .attr = ATTR_G | ATTR_DB | ATTR_P | ATTR_S | ATTR_WRITABLE |
                                               ATTR_ACCESSED | (seg == SEG_CS ? ATTR_CODE : 0u)};
    s->reg[REG_RIP] = CODE;
    s->reg[REG_RSP] = RAM;
    mode_update(v);
    v->slice_end = ~(u64)0;
}

#define RUN(bytes) flat32((const u8 *)(bytes), sizeof(bytes) - 1)

START_TEST(budget_ends_exactly_after_its_last_instruction)
{
    /* inc eax, 20 times; hlt */
    RUN("\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\x40\xf4");
    for (u32 i = 1; i <= 20; i++) {
        ck_assert_int_eq(vcpu_run(v, 1), RUN_SLICE);
        ck_assert_uint_eq(v->state.reg[REG_RAX], i);
        ck_assert_uint_eq(v->state.count, i);
        ck_assert_uint_eq(now, i);
    }
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(v->state.count, 21);
}
END_TEST

START_TEST(deadline_in_the_middle_of_a_block_is_met)
{
    RUN("\x40\x40\x40\x40\x40\x40\x40\x40\xeb\xf6");
    next_deadline = 13;
    ck_assert_int_eq(vcpu_run(v, ~(u64)0), RUN_SLICE);
    ck_assert_uint_eq(now, 13);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 12);
}
END_TEST

START_TEST(fault_counts_once_and_its_instruction_does_not)
{
    RUN("\x40\x40\x0f\x0b\x40"); /* inc; inc; ud2 */
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 2);
    ck_assert_uint_eq(v->state.count, 4); /* two INC, the exception, the handler's HLT */
}
END_TEST

START_TEST(device_access_in_a_block_happens_once_at_its_time)
{
    RUN("\x40\x40\xa1\x00\x00\x20\x00\x41\x41\xf4"); /* inc eax x2; mov eax,[200000]; inc ecx x2 */
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(device_reads, 1);
    ck_assert_uint_eq(device_time, 2);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0x1234);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 2);
    ck_assert_uint_eq(v->state.count, 6);
}
END_TEST

START_TEST(port_read_sees_the_exact_time)
{
    RUN("\x90\x90\x90\xe4\x80\xf4"); /* nop x3; in al,80 */
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(device_time, 3);
    ck_assert_uint_eq(v->state.reg[REG_RAX] & 0xff, 0x5a);
}
END_TEST

START_TEST(store_to_the_next_instruction_takes_effect_at_once)
{
    /* mov byte [CODE+8], 41 (inc ecx); nop; inc eax -> inc ecx; hlt */
    RUN("\xc6\x05\x08\x10\x00\x00\x41\x90\x40\xf4");
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 1);
}
END_TEST

START_TEST(each_store_to_the_own_block_takes_effect_at_once_and_counts_exactly)
{
    RUN("\xb2\x41\xbe\x04\x00\x00\x00" /* mov dl,41 (inc ecx); mov esi,4 */
        "\x88\x15\x0e\x10\x00\x00\x90" /* L: mov [CODE+e],dl; nop */
        "\x40\x80\xf2\x01\x4e\x75\xf2\xf4"); /* inc eax (patched); xor dl,1; dec esi; jnz L; hlt */
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 2);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 2);
    ck_assert_uint_eq(v->state.count, 2 + 4 * 6 + 1);
    ck_assert_uint_eq(v->counters.generic, 1); /* HLT */
}
END_TEST

START_TEST(store_elsewhere_in_a_code_page_keeps_the_block)
{
    RUN("\xc6\x05\x00\x18\x00\x00\x41\x40\xf4");
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 1);
    ck_assert_uint_eq(v->counters.redo, 0);
}
END_TEST

START_TEST(rep_counts_each_iteration)
{
    /* mov ecx,100; mov edi,8000; rep stosd; hlt */
    RUN("\xb9\x64\x00\x00\x00\xbf\x00\x80\x00\x00\xf3\xab\xf4");
    ck_assert_int_eq(vcpu_run(v, 1000), RUN_HALT);
    ck_assert_uint_eq(v->state.count, 2 + 100 + 1);
    ck_assert_uint_eq(v->state.reg[REG_RDI], 0x8000 + 400);
}
END_TEST

START_TEST(rep_stops_in_the_middle_at_the_budget)
{
    RUN("\xb9\x64\x00\x00\x00\xbf\x00\x80\x00\x00\xf3\xab\xf4");
    ck_assert_int_eq(vcpu_run(v, 2 + 37), RUN_SLICE);
    ck_assert_uint_eq(v->state.count, 39);
    ck_assert_uint_eq(v->state.reg[REG_RCX], 63);
    ck_assert_uint_eq(v->state.reg[REG_RIP], CODE + 10);
    ck_assert_int_eq(vcpu_run(v, 1000), RUN_HALT);
    ck_assert_uint_eq(v->state.count, 103);
}
END_TEST

START_TEST(instruction_across_two_pages_runs)
{
    flat32((const u8 *)"", 0);
    ck_assert(
        memory_load(memory, (hpa_t){0x2ffe}, "\xb8\x78\x56\x34\x12\xf4", 6)); /* mov eax,imm */
    v->state.reg[REG_RIP] = 0x2ffe;
    ck_assert_int_eq(vcpu_run(v, 10), RUN_HALT);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 0x12345678);
}
END_TEST

START_TEST(interrupt_waits_for_the_instruction_after_sti)
{
    const u64 gate = 0x0000800 | 8u << 16 | (u64)0x8e00 << 32;

    RUN("\xfb\x40\x40\x40\xf4"); /* sti; inc eax x3 */
    ck_assert(memory_load(memory, (hpa_t){0x500 + 0x20 * 8}, &gate, 8));
    v->state.idtr.limit = 0x7ff;
    event_signal_intr(v, true);
    ck_assert_int_eq(vcpu_run(v, 100), RUN_HALT);
    ck_assert_uint_eq(v->state.reg[REG_RAX], 1);
}
END_TEST

START_TEST(dropping_all_caches_anywhere_changes_nothing)
{
    /* a loop with calls, stores, REP and a patched immediate */
    static const char program[] =
        "\xb9\x20\x00\x00\x00" /* mov ecx,32 */
        "\xbf\x00\x80\x00\x00" /* L: mov edi,8000 */
        "\x51\xb9\x07\x00\x00\x00\xf3\xab" /* push ecx; mov ecx,7; rep stosd */
        "\x59\x00\x0d\x1c\x10\x00\x00" /* pop ecx; add [CODE+1c],cl */
        "\x05\x00\x00\x00\x00" /* add eax,0 (patched) */
        "\xe2\xe5\xf4"; /* loop L; hlt */
    struct cpu_state plain;

    RUN(program);
    ck_assert_int_eq(vcpu_run(v, 100000), RUN_HALT);
    plain = v->state;
    teardown();
    setup();
    RUN(program);
    for (u32 i = 0; vcpu_run(v, 1 + i % 5) == RUN_SLICE; i++)
        vcpu_drop_caches(v);
    ck_assert_mem_eq(&plain, &v->state, sizeof(plain));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run");
    TCase *tc = tcase_create("run");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, budget_ends_exactly_after_its_last_instruction);
    tcase_add_test(tc, deadline_in_the_middle_of_a_block_is_met);
    tcase_add_test(tc, fault_counts_once_and_its_instruction_does_not);
    tcase_add_test(tc, device_access_in_a_block_happens_once_at_its_time);
    tcase_add_test(tc, port_read_sees_the_exact_time);
    tcase_add_test(tc, store_to_the_next_instruction_takes_effect_at_once);
    tcase_add_test(tc, each_store_to_the_own_block_takes_effect_at_once_and_counts_exactly);
    tcase_add_test(tc, store_elsewhere_in_a_code_page_keeps_the_block);
    tcase_add_test(tc, rep_counts_each_iteration);
    tcase_add_test(tc, rep_stops_in_the_middle_at_the_budget);
    tcase_add_test(tc, instruction_across_two_pages_runs);
    tcase_add_test(tc, interrupt_waits_for_the_instruction_after_sti);
    tcase_add_test(tc, dropping_all_caches_anywhere_changes_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
