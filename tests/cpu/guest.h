/* SPDX-License-Identifier: MIT */
/*
 * A small guest for the system tests of the CPU: a GDT with everything a test may ask for, an IDT
 * whose gates lead to HANDLER + 16 * vector, task-state segments, and page tables that map 1 GiB to
 * itself.
 */
#ifndef TESTS_CPU_GUEST_H
#define TESTS_CPU_GUEST_H

#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/event.h"
#include "cpu/segment.h"
#include "cpu/system.h"
#include "cpu/transfer.h"
#include "mmu/shadow/shadow.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum {
    RAM = 4 << 20,
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x4000,
    TSS_OTHER = 0x5000,
    LDT = 0x6000,
    HANDLER = 0x10000,
    CODE = 0x20000,
    STACK0 = 0x30000,
    STACK3 = 0x31000,
    STACK_TSS = 0x32000,
    STACK_IST = 0x33000,
    PML4 = 0x40000,
    PDPT = 0x41000,
    PD = 0x42000,
};

/* Selectors: the index is the position in `descriptors` below. */
enum {
    SEL_CODE0 = 0x08,
    SEL_DATA0 = 0x10,
    SEL_CODE3 = 0x1b,
    SEL_DATA3 = 0x23,
    SEL_CODE64 = 0x28,
    SEL_CODE64_3 = 0x33,
    SEL_TSS = 0x38,
    SEL_TSS_HIGH = 0x40,
    SEL_TSS_OTHER = 0x48,
    SEL_LDT = 0x50,
    SEL_LDT_HIGH = 0x58,
    SEL_ABSENT = 0x60,
    SEL_READ_ONLY = 0x68,
    SEL_CONFORMING = 0x70,
    SEL_EXECUTE_ONLY = 0x78,
    SEL_CALL_GATE = 0x83,
    SEL_TASK_GATE = 0x8b,
    SEL_TSS16 = 0x90,
    SEL_DATA16 = 0x98,
    GDT_LIMIT = 0xff,
};

static struct memory *memory;
static const struct shadow_options *engine; /* of the MMU; NULL: walks */
static struct code_cache *code;
static struct vcpu *v;
static u64 now, next_deadline;
static u64 port_writes, last_port;
static bool was_shut_down;
static u32 apic_resets;
static u8 ack_vector;
static char warnings[1024];

UNUSED static u32 port_read(void *ctx, u16 port, u32 size)
{
    (void)ctx;
    (void)size;
    return 0x11111111u * (port & 0xf);
}

UNUSED static void port_write(void *ctx, u16 port, u32 size, u32 value)
{
    (void)ctx;
    (void)size;
    port_writes++;
    last_port = (u64)port << 32 | value;
}

UNUSED static u8 int_ack(void *ctx)
{
    (void)ctx;
    event_signal_intr(v, false);
    return ack_vector;
}

UNUSED static void shut_down(void *ctx)
{
    (void)ctx;
    was_shut_down = true;
}

UNUSED static void apic_init(void *ctx)
{
    (void)ctx;
    apic_resets++;
}

UNUSED static u32 apic_id(void *ctx)
{
    (void)ctx;
    return 0;
}

UNUSED static void warn(const char *line)
{
    strncat(warnings, line, sizeof(warnings) - strlen(warnings) - 1);
}

UNUSED static void put(u64 at, const void *bytes, u64 size)
{
    memory_write(memory, (hpa_t){at}, bytes, size);
}

UNUSED static void put_value(u64 at, u64 value, u32 size)
{
    put(at, &value, size);
}

UNUSED static u64 get(u64 at, u32 size)
{
    u64 value = 0;

    memory_read(memory, (hpa_t){at}, &value, size);
    return value;
}

UNUSED static u64 descriptor(u64 base, u64 limit, u64 access, u64 flags)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 15) << 48 |
           flags << 52 | (base >> 24 & 0xff) << 56;
}

UNUSED static u64 gate_low(u64 selector, u64 offset, u64 access)
{
    return (offset & 0xffff) | selector << 16 | access << 40 | (offset >> 16 & 0xffff) << 48;
}

UNUSED static void put_descriptor(u16 selector, u64 raw)
{
    put_value(GDT + (selector & 0xfff8u), raw, 8);
}

UNUSED static void put_gate(u8 vector, u64 selector, u64 offset, u64 access, u64 ist)
{
    if (long_mode(v)) {
        put_value(IDT + vector * 16u, gate_low(selector, offset, access) | ist << 32, 8);
        put_value(IDT + vector * 16u + 8, 0, 8);
    } else {
        put_value(IDT + vector * 8u, gate_low(selector, offset, access), 8);
    }
}

UNUSED static void fill_gdt(void)
{
    put_descriptor(SEL_CODE0, descriptor(0, 0xfffff, 0x9a, 0xc));
    put_descriptor(SEL_DATA0, descriptor(0, 0xfffff, 0x92, 0xc));
    put_descriptor(SEL_CODE3, descriptor(0, 0xfffff, 0xfa, 0xc));
    put_descriptor(SEL_DATA3, descriptor(0, 0xfffff, 0xf2, 0xc));
    put_descriptor(SEL_CODE64, descriptor(0, 0xfffff, 0x9a, 0xa));
    put_descriptor(SEL_CODE64_3, descriptor(0, 0xfffff, 0xfa, 0xa));
    put_descriptor(SEL_TSS, descriptor(TSS, 0x2067, 0x89, 0));
    put_descriptor(SEL_TSS_OTHER, descriptor(TSS_OTHER, 0x67, 0x89, 0));
    put_descriptor(SEL_LDT, descriptor(LDT, 0xff, 0x82, 0));
    put_descriptor(SEL_ABSENT, descriptor(0, 0xfffff, 0x12, 0xc));
    put_descriptor(SEL_READ_ONLY, descriptor(0, 0xfffff, 0x90, 0xc));
    put_descriptor(SEL_CONFORMING, descriptor(0, 0xfffff, 0x9e, 0xc));
    put_descriptor(SEL_EXECUTE_ONLY, descriptor(0, 0xfffff, 0x98, 0xc));
    put_descriptor(SEL_TASK_GATE, (u64)SEL_TSS_OTHER << 16 | (u64)0xe5 << 40);
    put_descriptor(SEL_TSS16, descriptor(TSS_OTHER, 0x2b, 0x81, 0));
    put_descriptor(SEL_DATA16, descriptor(0, 0xffff, 0x92, 0));
}

UNUSED static void guest_create(const char *cpu)
{
    const struct cpu_wires wires = {.port_read = port_read,
                                    .port_write = port_write,
                                    .int_ack = int_ack,
                                    .shutdown = shut_down,
                                    .apic_id = apic_id,
                                    .apic_init = apic_init};
    struct cpu_config config;
    struct error error;

    now = 0;
    next_deadline = ~(u64)0;
    was_shut_down = false;
    apic_resets = 0;
    ack_vector = 0x40;
    port_writes = 0;
    memory = memory_create(46);
    ck_assert(memory_add_ram(memory, "ram", (hpa_t){0}, RAM, &error));
    if (engine != NULL)
        (void)shadow_create(memory, engine);
    code = code_cache_create(memory, 1 << 20);
    v = vcpu_create(memory, code, &wires);
    v->now = &now;
    v->next_deadline = &next_deadline;
    v->slice_end = ~(u64)0;
    ck_assert(cpu_config_parse(&config, cpu, warn, &error));
    vcpu_configure(v, &config, 0, 1, 1);
    vcpu_reset(v, false);
    v->alone = true; /* the functions under test are called at boundaries */
    fill_gdt();
}

UNUSED static void guest_destroy(void)
{
    vcpu_destroy(v);
    code_cache_destroy(code);
    memory_destroy(memory);
}

/* CS and SS of a privilege level, without checks. */
UNUSED static void set_privilege(unsigned cpl)
{
    v->state.seg[SEG_CS] =
        segment_flat_code((u16)(long_mode(v) ? (cpl == 0 ? SEL_CODE64 : SEL_CODE64_3)
                                             : (cpl == 0 ? SEL_CODE0 : SEL_CODE3)),
                          cpl, long_mode(v));
    v->state.seg[SEG_SS] = segment_flat_data(cpl == 0 ? SEL_DATA0 : SEL_DATA3, cpl);
    v->state.seg[SEG_DS] = v->state.seg[SEG_SS];
    v->state.seg[SEG_ES] = v->state.seg[SEG_SS];
    v->state.reg[REG_RSP] = cpl == 0 ? STACK0 : STACK3;
    mode_update(v);
}

UNUSED static void load_tables(void)
{
    v->state.gdtr = (struct table_register){.base = GDT, .limit = GDT_LIMIT};
    v->state.idtr = (struct table_register){.base = IDT, .limit = 0xfff};
    v->state.reg[REG_RIP] = CODE;
    for (unsigned i = 0; i < 256; i++)
        put_gate((u8)i, long_mode(v) ? SEL_CODE64 : SEL_CODE0, HANDLER + 16 * i, 0x8e, 0);
}

/* 32-bit protected mode, ring 0, no paging. */
UNUSED static void guest_protected(void)
{
    v->state.cr0 = CR0_PE | CR0_ET;
    load_tables();
    set_privilege(0);
    put_value(TSS + 4, STACK_TSS, 4);
    put_value(TSS + 8, SEL_DATA0, 2);
    put_value(TSS + 102, 104, 2);
    ck_assert(ltr(v, SEL_TSS));
}

/* 64-bit mode, ring 0. */
UNUSED static void guest_long(void)
{
    put_value(PML4, PDPT | 7, 8);
    put_value(PDPT, PD | 7, 8);
    for (u64 i = 0; i < 512; i++)
        put_value(PD + 8 * i, i << 21 | 0x87, 8);
    v->state.cr3 = PML4;
    v->state.cr4 = CR4_PAE;
    v->state.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    v->state.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_WP;
    put_value(TSS + 4, STACK_TSS, 8);
    put_value(TSS + 0x24, STACK_IST, 8);
    put_value(TSS + 102, 104, 2);
    load_tables();
    set_privilege(0);
    put_descriptor(SEL_TSS_HIGH, 0);
    put_descriptor(SEL_LDT_HIGH, 0);
    ck_assert(ltr(v, SEL_TSS));
}

/* Virtual-8086 mode below guest_protected(). */
UNUSED static void guest_v86(unsigned iopl)
{
    v->state.rflags = FLAG_1 | FLAG_VM | (u64)iopl << 12;
    flags_load(v, v->state.rflags);
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        segment_load_real(v, seg, (u16)(seg == SEG_CS ? 0x2000 : 0x100 * (seg + 1)));
    segment_load_real(v, SEG_SS, 0x3000);
    v->state.reg[REG_RSP] = 0x1000;
    v->state.reg[REG_RIP] = 0;
    mode_update(v);
}

/* The 32-bit or 64-bit value `index` places above the top of the stack. */
UNUSED static u64 pushed(u32 index)
{
    const u32 width = mode64(v) ? 8 : 4;

    return get(v->state.seg[SEG_SS].base * !mode64(v) + v->state.reg[REG_RSP] + index * width,
               width);
}

UNUSED static void deliver(enum vector vector)
{
    (void)raise_fault(v, vector);
    event_deliver_exception(v);
}

UNUSED static void deliver_error(enum vector vector, u32 error)
{
    (void)raise_error(v, vector, error);
    event_deliver_exception(v);
}

UNUSED static void expect_event(enum vector vector, u32 error)
{
    ck_assert_int_eq(v->event.kind, EVENT_EXCEPTION);
    ck_assert_int_eq(v->event.vector, vector);
    ck_assert_int_eq(v->event.error_code, error);
    v->event.kind = EVENT_NONE;
}

UNUSED static void at_handler(unsigned vector)
{
    ck_assert_int_eq(v->state.reg[REG_RIP], HANDLER + 16 * vector);
}

/* Run instructions from CODE (or wherever RIP is). */
UNUSED static void run(const char *bytes, u64 size, u64 count)
{
    put(v->state.seg[SEG_CS].base * !mode64(v) + v->state.reg[REG_RIP], bytes, size);
    v->alone = false;
    (void)vcpu_run(v, count);
    v->alone = true;
}

#define RUN(bytes, count) run(bytes, sizeof(bytes) - 1, count)

/* A test program's main: add the cases, run, report. */
#define TESTS_MAIN(name, add)                                                                      \
    int main(void)                                                                                 \
    {                                                                                              \
        Suite *suite = suite_create(name);                                                         \
                                                                                                   \
        add(suite);                                                                                \
        return run_suite(suite);                                                                   \
    }

#endif
