/* SPDX-License-Identifier: MIT */
/*
 * Random tables, stores, contexts and accesses on two CPUs. After each step every soft-TLB entry
 * that an access could hit must equal what an independent, slow translation says, and each refill
 * must answer as it does. The slow translation is written from SDM Vol 3A chapter 4 alone, without
 * the tables of mmu/format.c.
 */
#include "mmu/shadow/shadow.h"
#include "tests/mmu/guest.h"

enum {
    CPUS = 2,
    TABLES = 12, /* frames 0..11 hold tables (and are data) */
    TABLE_BYTES = TABLES << 12,
    PAGES = 20, /* linear pages in play */
    LAST_FRAME = 0x30, /* frames that entries point to: RAM, ROM, device, hole, APIC */
    ROM_FRAME = 0x20,
    DEVICE_FRAME = 0x24,
    ALIAS_FRAME = 0x28,
    HOLE_FRAME = 0x2c,
    APIC_FRAME = 0x2e,
    WIDTH = 36, /* MAXPHYADDR */
};

/* What the CPU has set, per CPU. */
struct context {
    union mmu_role role;
    u64 root;
    u64 pdptes[4];
    bool user, ac;
    u32 pkru, pkrs;
};

struct world {
    struct memory *memory;
    struct mmu *mmu[CPUS];
    struct context context[CPUS];
    struct device device;
    u64 page[PAGES]; /* linear addresses, 64-bit form */
    u64 random;
    bool tidy; /* tables mostly as a sane guest has them: three frames per level, few odd bits */
    u64 checked; /* entries that could be hit, over all steps */
};

/* As ck_assert(), which costs a system call each time. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

static u64 random64(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random * 0x2545f4914f6cdd1d;
}

static u32 below(struct world *w, u32 n)
{
    return (u32)((random64(w) >> 32) % n);
}

static bool one_in(struct world *w, u32 n)
{
    return below(w, n) == 0;
}

/* ---- the slow translation ---- */

struct slow {
    bool canonical, present, reserved;
    u64 gpa;
    bool writable, user, no_execute;
    u32 key;
    u32 count;
    u64 at[5], entry[5];
};

static u64 entry_at(struct world *w, u64 at, u32 bytes)
{
    const bool a20 = memory_a20(w->memory);
    const u64 address = a20 ? at : at & ~BIT(20);
    u64 value = 0;

    if (address >> 12 >= DEVICE_FRAME && address >> 12 < ALIAS_FRAME)
        return w->device.answer & width_mask(bytes);
    memory_read(w->memory, (hpa_t){at}, &value, bytes);
    return value;
}

static u64 reserved_bits(union mmu_role role, u32 level, bool page)
{
    u64 bits = BITS(51, WIDTH);

    if (role.format == PAGING_32BIT)
        return page && level == 2 ? BIT(21) | BITS(20, WIDTH - 19) : 0;
    if (!role.nx)
        bits |= NX;
    if (role.format == PAGING_PAE)
        bits |= BITS(62, 52);
    if (page && level > 1)
        bits |= BITS(12 + 9 * (level - 1) - 1, 13);
    if (!page && (level > 3 || (level == 3 && !role.gbpages)))
        bits |= PS;
    return bits;
}

static bool is_page(union mmu_role role, u32 level, u64 entry)
{
    if (level == 1)
        return true;
    if (level > 3 || (level == 3 && !role.gbpages) || (entry & PS) == 0)
        return false;
    return role.format != PAGING_32BIT || role.pse;
}

static struct slow translate(struct world *w, const struct context *c, u64 va)
{
    static const u32 levels[] = {0, 2, 2, 4, 5};
    const union mmu_role role = c->role;
    const u32 bytes = role.format == PAGING_32BIT ? 4 : 8;
    const u32 index_bits = role.format == PAGING_32BIT ? 10 : 9;
    struct slow s = {.canonical = true, .present = true, .writable = true, .user = true};
    u64 table = c->root;

    if (role.format >= PAGING_4LEVEL) {
        const u32 unused = role.format == PAGING_4LEVEL ? 16 : 7;

        s.canonical = (u64)((i64)(va << unused) >> unused) == va;
        if (!s.canonical)
            return s;
    }
    if (role.format == PAGING_NONE) {
        s.gpa = va;
        return s;
    }
    if (role.format == PAGING_PAE) {
        table = c->pdptes[va >> 30 & 3];
        s.present = (table & P) != 0;
        table &= BITS(WIDTH - 1, 12);
        if (!s.present)
            return s;
    }
    for (u32 level = levels[role.format];; level--) {
        const u32 shift = 12 + index_bits * (level - 1);
        const u64 at = table + ((va >> shift) & (BIT(index_bits) - 1)) * bytes;
        const u64 entry = entry_at(w, at, bytes);
        const bool page = is_page(role, level, entry);

        s.at[s.count] = at;
        s.entry[s.count++] = entry;
        s.present = (entry & P) != 0;
        if (!s.present)
            return s;
        s.reserved = (entry & reserved_bits(role, level, page)) != 0;
        if (s.reserved)
            return s;
        s.writable &= (entry & W) != 0;
        s.user &= (entry & U) != 0;
        s.no_execute |= (entry & NX) != 0;
        if (page) {
            s.gpa = entry & BITS(WIDTH - 1, shift);
            if (role.format == PAGING_32BIT)
                s.gpa =
                    (entry & BITS(31, shift)) | (level == 2 ? bits_get(entry, 20, 13) << 32 : 0);
            s.gpa |= va & (BIT(shift) - 1);
            s.key = role.format >= PAGING_4LEVEL ? (u32)bits_get(entry, 62, 59) : 0;
            return s;
        }
        table = entry & BITS(WIDTH - 1, 12);
    }
}

/* The error code that the access gets, or -1 if it is allowed. */
static i64 judge(const struct context *c, const struct slow *s, u32 access)
{
    const union mmu_role role = c->role;
    const bool implicit = (access & ACCESS_IMPLICIT) != 0;
    const bool user = c->user && !implicit;
    const bool write = (access & ACCESS_WRITE) != 0, fetch = (access & ACCESS_FETCH) != 0;
    const bool has_i = role.smep || (role.nx && role.format != PAGING_32BIT);
    const u32 base = (write ? 2 : 0) | (user ? 4 : 0) | (fetch && has_i ? 16 : 0);
    const u32 pkr = (s->user ? c->pkru : c->pkrs) >> (2 * s->key);
    bool denied = false, key_denied = false;

    if (role.format == PAGING_NONE)
        return -1;
    if (!s->present)
        return base;
    if (s->reserved)
        return base | 1 | 8;
    if (user)
        denied = !s->user || (write && !s->writable) || (fetch && s->no_execute);
    else if (fetch)
        denied = s->no_execute || (s->user && role.smep);
    else
        denied =
            (write && !s->writable && role.wp) || (s->user && role.smap && (implicit || !c->ac));
    if (!fetch && (s->user ? role.pke : role.pks))
        key_denied = (pkr & 1) != 0 || ((pkr & 2) != 0 && write && (user || role.wp));
    if (!denied && !key_denied)
        return -1;
    return base | 1 | (key_denied ? 32 : 0);
}

static bool in_device(struct world *w, u64 at)
{
    return memory_find(w->memory, (hpa_t){at}, false)->kind == SLOT_MMIO;
}

static bool in_ram(struct world *w, u64 at)
{
    return memory_find(w->memory, (hpa_t){at}, false)->kind == SLOT_RAM;
}

/* ---- checking ---- */

static u64 cut(const struct context *c, u64 va)
{
    return c->role.format < PAGING_4LEVEL ? (u32)va : va;
}

static void check_hit(struct world *w, u32 cpu, const struct tlb_entry *bank, u64 va, u32 access)
{
    const struct context *c = &w->context[cpu];
    struct slow s;
    const u8 *host;

    if (!hits(bank, va, access))
        return;
    w->checked++;
    s = translate(w, c, va);
    MUST(s.canonical);
    MUST(judge(c, &s, access) == -1);
    MUST(s.gpa >> 12 != APIC_FRAME);
    host = memory_peek(w->memory, (hpa_t){s.gpa}, 1);
    MUST(host == hit_host(bank, va));
    for (u32 i = 0; i < s.count; i++) {
        MUST(!in_device(w, s.at[i]));
        MUST(!in_ram(w, s.at[i]) || (s.entry[i] & A) != 0);
    }
    if ((access & ACCESS_WRITE) == 0)
        return;
    MUST(in_ram(w, s.gpa));
    MUST(memory_frame(w->memory, memory_frame_of(w->memory, host))->flags == 0);
    if (s.count > 0)
        MUST(!in_ram(w, s.at[s.count - 1]) || (s.entry[s.count - 1] & D) != 0);
}

static void check_all(struct world *w)
{
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        const struct mmu *mmu = w->mmu[cpu];

        for (u32 i = 0; i < PAGES; i++) {
            const u64 va = cut(&w->context[cpu], w->page[i]);

            for (u32 access = ACCESS_READ; access <= ACCESS_FETCH; access <<= 1) {
                check_hit(w, cpu, mmu->bank, va, access);
                check_hit(w, cpu, mmu->system_bank, va, access | ACCESS_IMPLICIT);
            }
        }
    }
}

/* Under lazy nothing need be true before a flush. */
static void flush(struct world *w)
{
    if (!engine_is_lazy(w->memory))
        return;
    for (u32 cpu = 0; cpu < CPUS; cpu++)
        mmu_invalidate_all(w->mmu[cpu]);
}

/* ---- steps ---- */

static const u32 accesses[] = {
    ACCESS_READ,
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_READ | ACCESS_WRITE,
    ACCESS_FETCH,
    ACCESS_READ | ACCESS_IMPLICIT,
    ACCESS_WRITE | ACCESS_IMPLICIT,
};

static void step_access(struct world *w, u32 cpu)
{
    const struct context *c = &w->context[cpu];
    const u32 access = accesses[below(w, ARRAY_SIZE(accesses))];
    const u64 va = cut(c, w->page[below(w, PAGES)] + below(w, PAGE_SIZE));
    const struct slow s = translate(w, c, va);
    const i64 error = judge(c, &s, access);
    static u8 before[TABLE_BYTES];
    struct target target;
    enum refill result;
    u64 gpa;

    flush(w);
    memory_read(w->memory, (hpa_t){0}, before, TABLE_BYTES);
    result = mmu_refill(w->mmu[cpu], va, access, &target);
    if (!s.canonical || error >= 0) {
        MUST(result == (s.canonical ? REFILL_PAGE_FAULT : REFILL_NONCANONICAL));
        if (s.canonical)
            MUST(w->mmu[cpu]->fault.error_code == (u64)error);
        MUST(memcmp(before, memory_peek(w->memory, (hpa_t){0}, TABLE_BYTES), TABLE_BYTES) == 0);
        return;
    }
    MUST(result == REFILL_OK);
    gpa = s.gpa;
    if (gpa >> 12 == APIC_FRAME) {
        MUST(target.kind == SLOT_MMIO);
        MUST(target.hpa.v == gpa);
        return;
    }
    if (!memory_a20(w->memory))
        gpa &= ~BIT(20);
    MUST(target.hpa.v == gpa);
    MUST(target.kind == memory_find(w->memory, (hpa_t){gpa}, false)->kind);
    MUST(target.host == memory_peek(w->memory, (hpa_t){gpa}, 1));
    /* Exactly the A and D bits that the access calls for. */
    for (u32 i = 0; i < s.count; i++) {
        const u64 leaf = i + 1 == s.count && (access & ACCESS_WRITE) != 0 ? D : 0;

        if (in_ram(w, s.at[i])) {
            u8 byte;

            memory_read(w->memory, (hpa_t){s.at[i]}, &byte, 1);
            MUST((byte & (A | leaf)) == (A | leaf));
        }
    }
}

/* An entry of a table at `at` that leads one level down, or to a page. */
static u64 tidy_entry(struct world *w, u64 at)
{
    const u32 group = (u32)(at >> 12) / 3 + 1;
    const u64 frame = group < 4 ? group * 3 + below(w, 3) : below(w, LAST_FRAME);

    return frame << 12 | (one_in(w, 20) ? 0 : P) | (one_in(w, 10) ? 0 : W) |
           (one_in(w, 10) ? 0 : U) | (one_in(w, 3) ? A | D : 0);
}

static u64 random_entry(struct world *w)
{
    const bool table = !one_in(w, 3);
    u64 entry = (u64)below(w, table ? TABLES : LAST_FRAME) << 12;

    entry |= (one_in(w, 8) ? 0 : P) | (one_in(w, 4) ? 0 : W) | (one_in(w, 4) ? 0 : U);
    entry |= one_in(w, 2) ? A : 0;
    entry |= one_in(w, 4) ? D : 0;
    if (one_in(w, 10))
        entry = (entry & 0xfff) | PS;
    if (one_in(w, 10))
        entry |= (u64)below(w, 16) << 59;
    if (one_in(w, 30))
        entry |= BIT(12 + below(w, 50));
    if (one_in(w, 30))
        entry |= NX;
    return entry;
}

/* A place where walks of the pages in play may look. */
static u64 random_place(struct world *w)
{
    const u64 va = w->page[below(w, PAGES)];
    const u32 shift = 12 + 9 * below(w, 5);
    const u64 table = (u64)below(w, TABLES) << 12;

    if (one_in(w, 3))
        return table + (va >> (one_in(w, 2) ? 12 : 22) & 0x3ff) * 4;
    return table + (va >> shift & 0x1ff) * 8;
}

static void step_store(struct world *w)
{
    u64 at = random_place(w);
    const u64 entry = w->tidy && !one_in(w, 50) ? tidy_entry(w, at) : random_entry(w);
    u32 size = 1u << below(w, 4);

    if (w->tidy || one_in(w, 2))
        size = 8;
    if (one_in(w, w->tidy ? 100 : 10))
        at += below(w, 8);
    if (at + size > TABLE_BYTES)
        return;
    memory_write(w->memory, (hpa_t){at}, &entry, size);
}

/* A store as the CPU does it: through the write tag if there is one. */
static void step_cpu_store(struct world *w, u32 cpu)
{
    const u64 va = cut(&w->context[cpu], w->page[below(w, PAGES)]) + below(w, 512) * 8;
    const struct tlb_entry *bank = w->mmu[cpu]->bank;
    const u64 entry = random_entry(w);
    struct target target;

    if (hits(bank, va, ACCESS_WRITE))
        store_le(hit_host(bank, va), entry, 8);
    else if (mmu_refill(w->mmu[cpu], va, ACCESS_WRITE, &target) == REFILL_OK &&
             target.kind == SLOT_RAM)
        memory_store(w->memory, target.host, &entry, 8);
}

static void step_big_store(struct world *w)
{
    static u8 bytes[PAGE_SIZE + 64];
    const u64 at = (u64)below(w, TABLES) << 12;

    memory_write(w->memory, (hpa_t){at}, bytes, 1 + below(w, PAGE_SIZE));
}

static void step_context(struct world *w, u32 cpu)
{
    struct context *c = &w->context[cpu];
    union mmu_role role = {.word = 0};

    role.format = below(w, 12) == 0 ? PAGING_NONE : 1 + below(w, 4);
    role.wp = !one_in(w, 4);
    role.pse = !one_in(w, 8);
    role.gbpages = !one_in(w, 8);
    role.nx = !one_in(w, 8);
    role.smm = one_in(w, 8);
    if (one_in(w, 2)) {
        role.smep = one_in(w, 2);
        role.smap = one_in(w, 2);
        role.pke = one_in(w, 2);
        role.pks = one_in(w, 2);
    }
    if (!one_in(w, w->tidy ? 10 : 2)) /* stay, but with another root */
        role = c->role;
    if (w->tidy && role.format == PAGING_5LEVEL)
        role.format = PAGING_4LEVEL;
    role.has_4_byte_gpte = role.format == PAGING_32BIT;
    c->role = role;
    c->root = (u64)below(w, w->tidy ? 3 : 4) << 12;
    if (w->tidy && c->role.format < PAGING_4LEVEL)
        c->root += 6 << 12;
    for (u64 i = 0; i < 4; i++)
        c->pdptes[i] = ((w->tidy ? 6 + i % 3 : i) << 12) | P;
    mmu_set_context(w->mmu[cpu], role, (gpa_t){c->root},
                    role.format == PAGING_PAE ? c->pdptes : NULL);
}

static void step_cpu(struct world *w, u32 cpu)
{
    struct context *c = &w->context[cpu];

    if (one_in(w, 2)) {
        c->user = one_in(w, 2);
        c->ac = one_in(w, 2);
        mmu_set_privilege(w->mmu[cpu], c->user, c->ac);
    } else {
        c->pkru = one_in(w, 2) ? 0 : (u32)random64(w);
        c->pkrs = one_in(w, 2) ? 0 : (u32)random64(w);
        mmu_set_keys(w->mmu[cpu], c->pkru, c->pkrs);
    }
}

static void step(struct world *w, bool drop)
{
    const u32 cpu = below(w, CPUS);
    const u32 dice = below(w, 100);

    if (dice < 50 || (w->tidy && one_in(w, 2)))
        step_access(w, cpu);
    else if (dice < 70)
        step_store(w);
    else if (dice < 80)
        step_cpu_store(w, cpu);
    else if (dice < 81 && one_in(w, w->tidy ? 10 : 1))
        step_big_store(w);
    else if (dice < 89)
        step_context(w, cpu);
    else if (dice < 96)
        step_cpu(w, cpu);
    else if (dice < 97)
        w->device.answer = random_entry(w);
    else if (dice < 98 && one_in(w, 8))
        memory_set_a20(w->memory, one_in(w, 3));
    else if (drop)
        mmu_drop(w->mmu[cpu]);
}

static struct world *world_create(u64 seed, bool tidy)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error error;
    const hpa_t alias = {ALIAS_FRAME << 12};
    static const u8 bits[] = {12, 13, 20, 21, 22, 30, 31, 39, 40, 48, 49};

    w->random = seed;
    w->tidy = tidy;
    w->memory = memory_create(WIDTH);
    ck_assert(memory_add_ram(w->memory, "ram", (hpa_t){0}, ROM_FRAME << 12, &error));
    ck_assert(memory_add_rom(w->memory, "rom", (hpa_t){ROM_FRAME << 12}, 4 << 12, &error));
    ck_assert(memory_add_mmio(w->memory, "device", (hpa_t){DEVICE_FRAME << 12}, 4 << 12,
                              &device_ops, &w->device, &error));
    ck_assert(memory_add_alias(w->memory, "alias", alias, 4 << 12, (hpa_t){0}, &error));
    (void)engine_create(w->memory);
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        w->mmu[cpu] = mmu_create(w->memory, WIDTH);
        mmu_set_apic(w->mmu[cpu], true, (hpa_t){APIC_FRAME << 12}, &device_ops, &w->device);
    }
    for (u32 i = 0; i < PAGES; i++) {
        u64 va = 0;

        for (u32 bit = 0; bit < ARRAY_SIZE(bits); bit++)
            va |= one_in(w, 4) ? BIT(bits[bit]) : 0;
        if (tidy && !one_in(w, 4)) /* under one level-1 table */
            va = i << 12;
        else if (one_in(w, 4))
            va |= ~(u64)0 << (one_in(w, 2) ? 47 : 56);
        w->page[i] = va;
    }
    for (u32 i = 0; i < 4000; i++)
        step_store(w);
    for (u64 at = ROM_FRAME << 12; at < (ROM_FRAME + 4) << 12; at += 8) {
        const u64 entry = random_entry(w);

        ck_assert(memory_load(w->memory, (hpa_t){at}, &entry, 8));
    }
    return w;
}

static void world_destroy(struct world *w)
{
    for (u32 cpu = 0; cpu < CPUS; cpu++)
        mmu_destroy(w->mmu[cpu]);
    memory_destroy(w->memory);
    free(w);
}

/* Steps with checks. `seeds` and `steps` bound the time; NESTBOX_MMU_SEEDS asks for more. */
START_TEST(every_cached_translation_equals_a_fresh_one)
{
    const char *more = getenv("NESTBOX_MMU_SEEDS");
    const u64 seeds = more != NULL ? strtoull(more, NULL, 10) : 60;
    u64 walks = 0, hits2 = 0, pages = 0, contexts = 0, checked = 0;

    for (u64 seed = 1; seed <= seeds; seed++) {
        struct world *w = world_create(seed * 0x9e3779b97f4a7c15, (seed & 2) != 0);

        for (u32 i = 0; i < 1500; i++) {
            step(w, (seed & 1) != 0);
            if (i % 16 == 0)
                engine_audit(w->memory);
            flush(w);
            check_all(w);
        }
        walks += mmu_stats(w->mmu[0])->walks;
        hits2 += mmu_stats(w->mmu[0])->l2_hits;
        pages += mmu_stats(w->mmu[0])->revoked_pages;
        contexts += mmu_stats(w->mmu[0])->revoked_contexts;
        checked += w->checked;
        world_destroy(w);
    }
    /* The steps reach what they are meant to. */
    ck_assert_uint_gt(checked, 100000);
    ck_assert_uint_gt(walks, 100);
    ck_assert_uint_gt(hits2, 100);
    ck_assert_uint_gt(pages, 50);
    ck_assert_uint_gt(contexts, 50);
}
END_TEST

/* One world loses its caches at random, the other does not: the same guest memory in the end. */
START_TEST(dropping_caches_at_random_changes_no_guest_memory)
{
    struct world *kept = world_create(99, true), *dropped = world_create(99, true);

    for (u32 i = 0; i < 20000; i++) {
        if (i % 37 == 0)
            mmu_drop(dropped->mmu[i & 1]);
        step(kept, false);
        step(dropped, false);
        if (i % 64 == 0) {
            ck_assert_int_eq(memcmp(memory_peek(kept->memory, (hpa_t){0}, ROM_FRAME << 12),
                                    memory_peek(dropped->memory, (hpa_t){0}, ROM_FRAME << 12),
                                    ROM_FRAME << 12),
                             0);
        }
    }
    world_destroy(kept);
    world_destroy(dropped);
}
END_TEST

/* BUG-9's shape: a table changes while its page is unsync, then the table above it is hung in at a
 * second place, which needs no flush. */
START_TEST(a_table_hung_in_at_an_empty_entry_is_read_as_it_is)
{
    struct guest *g = guest_create();
    const u64 second = BIT(30);

    chain(g, 4, P | W | U);
    put64(g, PD + 8, 0x5000 | P | W | U); /* another level-1 table, for the next 2 MiB */
    put64(g, PT, 0x300000 | P | W);
    put64(g, 0x5000, 0x100000 | P | W);
    mmu_set_context(g->mmu, role_of(PAGING_4LEVEL), (gpa_t){PML4}, NULL);
    ck_assert_uint_eq(goes_to(g, 0, ACCESS_READ), 0x300000);
    ck_assert_uint_eq(goes_to(g, 0x200000, ACCESS_READ), 0x100000);
    put64(g, 0x5000, 0x200000 | P | W);
    put64(g, PDPT + 8, PD | P | W | U);
    ck_assert_uint_eq(goes_to(g, second, ACCESS_READ), 0x300000);
    ck_assert_uint_eq(goes_to(g, second + 0x200000, ACCESS_READ), 0x200000);
    guest_destroy(g);
}
END_TEST

RUN_TESTS("coherence", a_table_hung_in_at_an_empty_entry_is_read_as_it_is,
          every_cached_translation_equals_a_fresh_one,
          dropping_caches_at_random_changes_no_guest_memory)
