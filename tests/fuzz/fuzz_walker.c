/* SPDX-License-Identifier: MIT */
/*
 * Page walks over tables full of random entries, in every format, with stores into the tables, role
 * and privilege changes in between. One MMU keeps its caches, a second one on the same memory has
 * them dropped before each access: both must say the same about every access (the coherence rule),
 * point to the same byte inside real memory, and the second walk must find all A and D bits set.
 * Input: seed of the tables, then operations.
 */
#include "base/bits.h"
#include "mmu/mmu.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    RAM_PAGES = 16, /* few, so that what is written is often a table in use */
    ROM_PAGES = 4,
    MMIO_PAGES = 4,
    ALIAS_PAGE = 256, /* the RAM again, from 1 MiB on */
    RAM_BYTES = RAM_PAGES * PAGE_SIZE,
    PHYS_BITS = 40,
    OPERATIONS = 400,
};

static u64 device_read(void *ctx, u64 offset, u32 size)
{
    (void)ctx;
    return offset & (size == 8 ? ~(u64)0 : ((u64)1 << 8 * size) - 1);
}

static void device_write(void *ctx, u64 offset, u32 size, u64 value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct mmio_ops device = {device_read, device_write};

struct world {
    struct memory *memory;
    struct mmu *warm, *cold;
    const u8 *ram, *rom;
    u64 recent[8]; /* pages asked for */
    u8 before[RAM_BYTES];
};

/* ---- building ---- */

static u64 random_entry(u64 *seed)
{
    static const u64 frames[] = {0, 1, 5, 11, 15, 16, 18, 20, 22, ALIAS_PAGE, ALIAS_PAGE + 9, 1000};
    const u64 r = fuzz_random(seed);
    u64 frame = r >> 32 & (RAM_PAGES - 1);
    u64 entry;

    if ((r >> 40 & 7) == 0)
        frame = frames[(r >> 43) % ARRAY_SIZE(frames)];
    entry = frame << PAGE_SHIFT | (r & 0xfff);
    if (r >> 48 & 7)
        entry |= 7; /* mostly present, writable, for users */
    if (r >> 51 & 3)
        entry &= ~(u64)0x80; /* mostly tables */
    if ((r >> 53 & 31) == 0)
        entry |= (u64)1 << (32 + (r >> 58)) % 64; /* reserved, key and NX bits */
    return entry;
}

static void fill(struct world *w, u64 seed, bool wide)
{
    u64 table[PAGE_SIZE / 8];

    for (u32 page = 0; page < RAM_PAGES; page++) {
        for (u32 i = 0; i < ARRAY_SIZE(table); i++) {
            table[i] = random_entry(&seed);
            if (!wide)
                table[i] = (u32)table[i] | random_entry(&seed) << 32;
        }
        memory_write(w->memory, (hpa_t){(u64)page << PAGE_SHIFT}, table, sizeof(table));
    }
}

static void create(struct world *w)
{
    struct error error;
    bool ok;

    memset(w->recent, 0, sizeof(w->recent));
    w->memory = memory_create(PHYS_BITS);
    ok = memory_add_ram(w->memory, "ram", (hpa_t){0}, RAM_BYTES, &error) &&
         memory_add_rom(w->memory, "rom", (hpa_t){RAM_BYTES}, ROM_PAGES * PAGE_SIZE, &error) &&
         memory_add_mmio(w->memory, "mmio", (hpa_t){RAM_BYTES + ROM_PAGES * PAGE_SIZE},
                         MMIO_PAGES * PAGE_SIZE, &device, NULL, &error) &&
         memory_add_alias(w->memory, "alias", (hpa_t){ALIAS_PAGE << PAGE_SHIFT}, RAM_BYTES,
                          (hpa_t){0}, &error);
    CHECK(ok);
    w->ram = memory_peek(w->memory, (hpa_t){0}, RAM_BYTES);
    w->rom = memory_peek(w->memory, (hpa_t){RAM_BYTES}, ROM_PAGES * PAGE_SIZE);
    w->warm = mmu_create(w->memory, PHYS_BITS);
    w->cold = mmu_create(w->memory, PHYS_BITS);
    CHECK(w->ram != NULL && w->rom != NULL && w->warm != NULL && w->cold != NULL);
}

static void destroy(struct world *w)
{
    mmu_destroy(w->warm);
    mmu_destroy(w->cold);
    memory_destroy(w->memory);
}

/* ---- operations ---- */

static void set_context(struct world *w, struct fuzz_input *in)
{
    static const u8 levels[] = {0, 2, 3, 4, 5};
    const u32 format = fuzz_below(in, ARRAY_SIZE(levels));
    const u32 bits = (u32)fuzz_take(in, 2);
    const gpa_t root = {fuzz_take(in, 1) % RAM_PAGES << PAGE_SHIFT};
    const u64 *at = (const u64 *)(const void *)(w->ram + root.v);
    const u64 pdptes[4] = {at[0], at[1], at[2] & ~(u64)1, at[3]};
    const union mmu_role role = {
        .format = format,
        .level = levels[format],
        .has_4_byte_gpte = format == PAGING_32BIT,
        .pse = bits & 1,
        .wp = bits >> 1 & 1,
        .nx = bits >> 2 & 1,
        .smep = bits >> 3 & 1,
        .smap = bits >> 4 & 1,
        .pke = format >= PAGING_4LEVEL && (bits >> 5 & 1),
        .pks = format >= PAGING_4LEVEL && (bits >> 6 & 1),
        .gbpages = bits >> 7 & 1,
    };

    mmu_set_context(w->warm, role, root, format == PAGING_PAE ? pdptes : NULL);
    mmu_set_context(w->cold, role, root, format == PAGING_PAE ? pdptes : NULL);
}

static void set_privilege(struct world *w, struct fuzz_input *in)
{
    const u32 bits = (u32)fuzz_take(in, 1);
    const u32 pkru = (u32)fuzz_take(in, 4);
    const u32 pkrs = (u32)fuzz_take(in, 4);

    mmu_set_privilege(w->warm, bits & 1, bits & 2);
    mmu_set_privilege(w->cold, bits & 1, bits & 2);
    mmu_set_keys(w->warm, pkru, pkrs);
    mmu_set_keys(w->cold, pkru, pkrs);
}

static void set_apic(struct world *w, struct fuzz_input *in)
{
    const bool enabled = fuzz_take(in, 1) & 1;
    const hpa_t page = {fuzz_take(in, 1) % (RAM_PAGES + ROM_PAGES + MMIO_PAGES) << PAGE_SHIFT};

    mmu_set_apic(w->warm, enabled, page, &device, NULL);
    mmu_set_apic(w->cold, enabled, page, &device, NULL);
}

/* Few different indices per level, so that tables and TLB slots are met again; and often the same
 * page. */
static u64 some_address(struct world *w, struct fuzz_input *in)
{
    static const u64 indices[] = {0, 1, 2, 3, 255, 256, 511, 3};
    const u64 r = fuzz_take(in, 3);
    const u64 offset = fuzz_take(in, 2);
    u64 va = (offset & 7) << 3 | (offset & 8 ? 0xfc0 : 0); /* an entry as in write_entry() */

    if (r >> 18 & 3)
        return w->recent[r >> 20 & 7] | va;
    for (u32 level = 0; level < 5; level++)
        va |= indices[r >> 3 * level & 7] << (12 + 9 * level);
    if (r >> 15 & 1) /* 48-bit canonical */
        va = (u64)((i64)(va << 16) >> 16);
    else if (r >> 16 & 1) /* 57-bit canonical */
        va = (u64)((i64)(va << 7) >> 7);
    if (!(r >> 17 & 1))
        va = (u32)va;
    w->recent[r >> 20 & 7] = va & ~PAGE_OFFSET_MASK;
    return va;
}

/* As the CPU's fast path: is the byte in the soft TLB? */
static u8 *hit(struct mmu *mmu, u64 va, u32 access)
{
    const struct tlb_entry *bank = access & ACCESS_IMPLICIT ? mmu->system_bank : mmu->bank;
    const struct tlb_entry *e = &bank[tlb_index(va)];
    const bool ok = (!(access & ACCESS_READ) || va - e->rtag < PAGE_SIZE) &&
                    (!(access & ACCESS_WRITE) || va - e->wtag < PAGE_SIZE) &&
                    (!(access & ACCESS_FETCH) || va - e->xtag < PAGE_SIZE);

    return ok ? (u8 *)(uintptr_t)(e->host + va) : NULL;
}

static bool inside(const struct world *w, const u8 *host)
{
    return (host >= w->ram && host < w->ram + RAM_BYTES) ||
           (host >= w->rom && host < w->rom + ROM_PAGES * PAGE_SIZE);
}

/* What the warm MMU answers must be what the cold one says. */
static void compare(struct world *w, u64 va, u32 access, enum refill said,
                    const struct target *target)
{
    struct target fresh;
    enum refill result;

    memcpy(w->before, w->ram, RAM_BYTES);
    mmu_drop(w->cold);
    result = mmu_refill(w->cold, va, access, &fresh);
    CHECK(result == said);
    CHECK(memcmp(w->before, w->ram, RAM_BYTES) == 0);
    if (result == REFILL_PAGE_FAULT) {
        CHECK(w->warm->fault.va == w->cold->fault.va);
        CHECK(w->warm->fault.error_code == w->cold->fault.error_code);
    } else if (result == REFILL_OK) {
        CHECK(fresh.host == target->host && fresh.kind == target->kind);
        CHECK(fresh.host == NULL || inside(w, fresh.host));
        CHECK((fresh.host != NULL) == (fresh.kind == SLOT_RAM || fresh.kind == SLOT_ROM));
    }
}

static void access_memory(struct world *w, struct fuzz_input *in)
{
    static const u32 kinds[] = {
        ACCESS_READ,
        ACCESS_WRITE,
        ACCESS_READ | ACCESS_WRITE,
        ACCESS_FETCH,
        ACCESS_READ | ACCESS_IMPLICIT,
        ACCESS_WRITE | ACCESS_IMPLICIT,
    };
    const u64 va = some_address(w, in);
    const u32 access = kinds[fuzz_below(in, ARRAY_SIZE(kinds))];
    u64 seed = fuzz_take(in, 2);
    struct target target = {.kind = SLOT_RAM, .host = hit(w->warm, va, access)};
    enum refill result = REFILL_OK;
    hpa_t probed;
    u8 entry[8];

    if (target.host != NULL) {
        if (target.host >= w->rom && target.host < w->rom + ROM_PAGES * PAGE_SIZE)
            target.kind = SLOT_ROM;
    } else {
        result = mmu_refill(w->warm, va, access, &target);
        if (result == REFILL_OK)
            CHECK(mmu_probe(w->warm, va, &probed) && probed.v == target.hpa.v);
    }
    compare(w, va, access, result, &target);
    if (result != REFILL_OK || !(access & ACCESS_WRITE) || target.kind != SLOT_RAM)
        return;
    store_le(entry, random_entry(&seed), 8);
    if (target.watched)
        memory_store(w->memory, target.host, entry, sizeof(entry));
    else
        memcpy(target.host, entry, sizeof(entry));
}

static void write_entry(struct world *w, struct fuzz_input *in)
{
    const u64 page = fuzz_take(in, 1) % RAM_PAGES;
    const u64 low = fuzz_take(in, 1);
    const u64 slot = (low & 7) | (low >> 3 & 1) * 504;
    u64 seed = fuzz_take(in, 4);
    const u64 entry = seed == 0 ? 0 : random_entry(&seed);
    const u32 bytes = fuzz_take(in, 1) & 1 ? 8 : 4;
    const hpa_t at = {page << PAGE_SHIFT | slot * bytes};

    memory_write(w->memory, at, &entry, bytes);
}

static void disturb(struct world *w, struct fuzz_input *in)
{
    struct error error;
    hpa_t at;

    switch (fuzz_below(in, 7)) {
    case 0: mmu_drop(w->warm); break;
    case 1: mmu_invalidate_page(w->warm, some_address(w, in)); break;
    case 2: mmu_invalidate_all(w->warm); break;
    case 3: memory_set_a20(w->memory, fuzz_take(in, 1) & 1); break;
    case 4: memory_mark_clean(w->memory, fuzz_take(in, 1) % RAM_PAGES); break;
    case 5:
        at.v = fuzz_take(in, 1) << PAGE_SHIFT;
        CHECK(memory_move(w->memory, "mmio", at, fuzz_take(in, 1) & 1, &error));
        break;
    default: (void)!mmu_probe(w->warm, some_address(w, in), &at); break;
    }
}

static void operate(struct world *w, struct fuzz_input *in)
{
    const u32 choice = (u32)fuzz_take(in, 1);

    switch (choice & 7) {
    case 0: write_entry(w, in); break;
    case 1:
        if (choice < 64)
            set_context(w, in);
        else
            set_privilege(w, in);
        break;
    case 2:
        if (choice < 64)
            disturb(w, in);
        else if (choice < 80)
            set_apic(w, in);
        break;
    default: access_memory(w, in); break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct world world;
    static u8 more[OPERATIONS * 8];
    struct fuzz_input in = {data, data + size};
    const u32 head = (u32)fuzz_take(&in, 1);
    u64 seed = fuzz_take(&in, 2);

    create(&world);
    fill(&world, seed, head & 1);
    set_context(&world, &in);
    while (fuzz_left(&in) > 0)
        operate(&world, &in);
    /* Then as many again that the input need not spell out. */
    for (u32 i = 0; i < sizeof(more); i++)
        more[i] = (u8)fuzz_random(&seed);
    in = (struct fuzz_input){more, more + sizeof(more)};
    while ((head & 2) && fuzz_left(&in) > 0)
        operate(&world, &in);
    destroy(&world);
    return 0;
}
