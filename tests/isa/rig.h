/* SPDX-License-Identifier: MIT */
/* A CPU with every feature and 4 MiB of RAM, for tests of instructions: modes, programs, random
 * values. */
#ifndef TESTS_ISA_RIG_H
#define TESTS_ISA_RIG_H

#include "cpu/engine.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* For inner loops: ck_assert tells its parent of each success with a system call. */
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

enum { RAM = 1 << 22, TABLES = 0x10000, CODE = 0x200000, DATA = 0x300000, STACK_TOP = 0x3ff000 };

static struct memory *memory;
static struct code_cache *code;
static struct vcpu *v;
static u64 now, next_deadline;

static UNUSED void setup(void)
{
    const struct cpu_wires wires = {0};
    struct error error;

    now = 0;
    next_deadline = ~(u64)0;
    memory = memory_create(40);
    ck_assert(memory_add_ram(memory, "ram", (hpa_t){0}, RAM, &error));
    code = code_cache_create(memory, 1 << 20);
    v = vcpu_create(memory, code, &wires);
    v->now = &now;
    v->next_deadline = &next_deadline;
    memset(v->features, 0xff, sizeof(v->features));
    vcpu_reset(v, false);
    v->slice_end = ~(u64)0;
}

static UNUSED void teardown(void)
{
    vcpu_destroy(v);
    code_cache_destroy(code);
    memory_destroy(memory);
}

static UNUSED void put(u64 at, const void *bytes, u64 size)
{
    REQUIRE(memory_load(memory, (hpa_t){at}, bytes, size), "no memory at %lx", (unsigned long)at);
}

static UNUSED u64 get(u64 at, unsigned size)
{
    u64 value = 0;

    memory_read(memory, (hpa_t){at}, &value, size);
    return value;
}

static UNUSED void flat_segments(u32 code_attr)
{
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        v->state.seg[seg] =
            (struct segment){.selector = seg == SEG_CS ? 8 : 16,
                             .limit = 0xffffffff,
                             .attr = ATTR_G | ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED |
                                     (seg == SEG_CS ? ATTR_CODE | code_attr : (u32)ATTR_DB)};
    v->state.reg[REG_RIP] = CODE;
    v->state.reg[REG_RSP] = STACK_TOP;
}

/* 64-bit mode, the low 4 MiB mapped to themselves but for the last 4 KiB. */
static UNUSED void enter_64(void)
{
    for (u64 i = 0; i < 2; i++) {
        for (u64 page = 0; page < 512; page++) {
            const u64 pte = (i * 512 + page) << 12 | (i * 512 + page == 1023 ? 0 : 3);

            put(TABLES + 0x3000 + i * 0x1000 + page * 8, &pte, 8);
        }
        put(TABLES + 0x2000 + i * 8, &(u64){(TABLES + 0x3000 + i * 0x1000) | 3}, 8);
    }
    put(TABLES, &(u64){(TABLES + 0x1000) | 3}, 8);
    put(TABLES + 0x1000, &(u64){(TABLES + 0x2000) | 3}, 8);
    v->state.cr0 = 0x80000011;
    v->state.cr3 = TABLES;
    v->state.cr4 = BIT(5);
    v->state.efer = BIT(8) | BIT(10);
    flat_segments(ATTR_L);
    mode_update(v);
}

static UNUSED void enter_32(void)
{
    v->state.cr0 = 0x11;
    flat_segments(ATTR_DB);
    mode_update(v);
}

static UNUSED void enter_real(void)
{
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++) {
        v->state.seg[seg].base = 0;
        v->state.seg[seg].selector = 0;
    }
    v->state.reg[REG_RIP] = 0x1000;
    v->state.reg[REG_RSP] = 0x8000;
    mode_update(v);
}

static u64 seed = 88172645463325252u;

static UNUSED u64 any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

#define RUN(bytes) run_program(bytes, sizeof(bytes) - 1)

/* From RIP to the HLT that ends it (or to what stops it). */
static UNUSED void run_program(const char *bytes, u64 size)
{
    put(v->state.reg[REG_RIP], bytes, size);
    ck_assert_int_eq(vcpu_run(v, 1000000), RUN_HALT);
    flags_commit(v);
}

/* Run one suite of tests with setup() and teardown() around each. */
static UNUSED int run_tests(const char *name, const TTest *const *tests, unsigned count)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    for (unsigned i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}

#endif
