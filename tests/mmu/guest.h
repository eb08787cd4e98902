/* SPDX-License-Identifier: MIT */
/* A small machine for MMU tests: RAM with hand-made page tables, a ROM, and a device that records.
 */
#ifndef TESTS_MMU_GUEST_H
#define TESTS_MMU_GUEST_H

#include "base/bits.h"
#include "mmu/mmu.h"
#include "mmu/rights.h"
#include "tests/mmu/engines.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum {
    P = 1 << 0,
    W = 1 << 1,
    U = 1 << 2,
    A = 1 << 5,
    D = 1 << 6,
    PS = 1 << 7,
};
#define NX BIT(63)

enum {
    RAM_SIZE = 16 << 20,
    ROM_BASE = 0x20000000,
    MMIO_BASE = 0x30000000,
    PHYS_BITS = 40,
};

/* What the device saw last, and what it answers. */
struct device {
    u64 offset, value, answer;
    u32 size, reads, writes;
};

static inline u64 device_read(void *ctx, u64 offset, u32 size)
{
    struct device *device = ctx;

    device->offset = offset;
    device->size = size;
    device->reads++;
    return device->answer & width_mask(size);
}

static inline void device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    struct device *device = ctx;

    device->offset = offset;
    device->size = size;
    device->value = value;
    device->writes++;
}

static const struct mmio_ops device_ops = {device_read, device_write};

struct guest {
    struct memory *memory;
    struct mmu *mmu;
    struct device device;
};

static inline struct guest *guest_create(void)
{
    struct guest *g = calloc(1, sizeof(*g));
    struct error error;

    g->memory = memory_create(PHYS_BITS);
    ck_assert(memory_add_ram(g->memory, "ram", (hpa_t){0}, RAM_SIZE, &error));
    ck_assert(memory_add_rom(g->memory, "rom", (hpa_t){ROM_BASE}, 0x10000, &error));
    ck_assert(memory_add_mmio(g->memory, "device", (hpa_t){MMIO_BASE}, 0x1000, &device_ops,
                              &g->device, &error));
    (void)engine_create(g->memory);
    g->mmu = mmu_create(g->memory, PHYS_BITS);
    return g;
}

static inline void guest_destroy(struct guest *g)
{
    mmu_destroy(g->mmu);
    memory_destroy(g->memory);
    free(g);
}

static inline u64 get64(struct guest *g, u64 at)
{
    u64 value;

    memory_read(g->memory, (hpa_t){at}, &value, 8);
    return value;
}

static inline u32 get32(struct guest *g, u64 at)
{
    return (u32)get64(g, at);
}

static inline void put64(struct guest *g, u64 at, u64 value)
{
    memory_write(g->memory, (hpa_t){at}, &value, 8);
}

static inline void put32(struct guest *g, u64 at, u32 value)
{
    memory_write(g->memory, (hpa_t){at}, &value, 4);
}

static inline union mmu_role role_of(enum paging_format format)
{
    union mmu_role role = {.word = 0};

    role.format = format;
    role.has_4_byte_gpte = format == PAGING_32BIT;
    role.wp = 1;
    role.nx = format != PAGING_32BIT;
    role.pse = 1;
    role.gbpages = 1;
    return role;
}

/* Tables at 0x1000 (root), 0x2000, ... down to the level-1 table, each with entry 0 to the next. */
static inline void chain(struct guest *g, u32 levels, u64 flags)
{
    for (u64 n = 1; n < levels; n++)
        put64(g, n << 12, (n + 1) << 12 | flags);
}

/* A 4-level guest: tables 0x1000..0x4000, the level-1 table at 0x4000 still empty. */
enum { PT = 0x4000, PD = 0x3000, PDPT = 0x2000, PML4 = 0x1000 };

static inline struct guest *guest_4level(void)
{
    struct guest *g = guest_create();

    chain(g, 4, P | W | U);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){PML4}, NULL);
    return g;
}

static inline enum refill refill(struct guest *g, u64 va, u32 access)
{
    struct target target;

    return mmu_refill(g->mmu, va, access, &target);
}

/* Where an access that must be allowed goes. */
static inline u64 goes_to(struct guest *g, u64 va, u32 access)
{
    struct target target;

    ck_assert_int_eq(mmu_refill(g->mmu, va, access, &target), REFILL_OK);
    return target.hpa.v;
}

/* The error code of an access that must fault. */
static inline u32 fault_of(struct guest *g, u64 va, u32 access)
{
    ck_assert_int_eq(refill(g, va, access), REFILL_PAGE_FAULT);
    ck_assert_uint_eq(g->mmu->fault.va, va);
    return g->mmu->fault.error_code;
}

static inline u64 tag_for(const struct tlb_entry *e, u32 access)
{
    if ((access & ACCESS_WRITE) != 0)
        return e->wtag;
    return (access & ACCESS_FETCH) != 0 ? e->xtag : e->rtag;
}

/* The CPU's own test for an access of one byte. */
static inline bool hits(const struct tlb_entry *bank, u64 va, u32 access)
{
    return va - tag_for(&bank[tlb_index(va)], access) <= PAGE_SIZE - 1;
}

static inline u8 *hit_host(const struct tlb_entry *bank, u64 va)
{
    return (u8 *)(uintptr_t)(bank[tlb_index(va)].host + va);
}

/* Run one test case of START_TEST functions. */
#define RUN_TESTS(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        Suite *suite = suite_create(name);                                                         \
        TCase *tcase = tcase_create(name);                                                         \
                                                                                                   \
        for (size_t i = 0; i < ARRAY_SIZE(tests); i++)                                             \
            tcase_add_test(tcase, tests[i]);                                                       \
        tcase_set_timeout(tcase, 60);                                                              \
        suite_add_tcase(suite, tcase);                                                             \
        return run_suite(suite);                                                                   \
    }

#endif
