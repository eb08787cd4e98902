/* SPDX-License-Identifier: MIT */
/*
 * Every second stage under every first stage, with random tables that point anywhere, each other
 * included, against tests/mmu/nested_oracle.h: same verdict, same report, same flags in memory, and
 * no soft-TLB entry that a fresh walk would not give. Scenarios T24, T37, T39 and T40.
 */
#include "tests/mmu/nested_oracle.h"
enum {
    FIRST_FRAMES = 10, /* tables of the first stage, whatever their level */
    SECOND_EACH = 4, /* tables of each level of the second stage, behind those */
    ROUNDS = 20,
    STEPS = 4000,
};

/* What the accesses came to. */
struct tally {
    u64 steps, allowed, faults, nested, nested_tables, hits;
};

struct world {
    struct guest *g;
    struct oracle o;
    struct oracle *scratch;
    union mmu_role role;
    struct mmu_second_stage second;
    u64 random;
    u64 last; /* address used last: programs stay where they are */
    struct tally *tally;
};

static u32 below(struct world *w, u32 limit)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (u32)(w->random >> 20) % limit;
}

static bool chance(struct world *w, u32 percent)
{
    return below(w, 100) < percent;
}

static u64 frame_at(u32 index)
{
    return ARENA + ((u64)index << 12);
}

static void store(struct world *w, u64 at, u32 size, u64 value)
{
    memory_write(w->g->memory, (hpa_t){at}, &value, size);
    store_le(w->o.bytes + (at - ARENA), value, size);
}

/* ---- random tables ---- */

/* Indexes in use at a level. Those of 4-byte tables reach the arena through a 4 MiB page at 0. */
static u64 index_in_use(struct world *w, const struct stage *s, u32 level)
{
    return below(w, 2) * (o_size(s) == 4 && level == 1 ? 0x200u : 1u);
}

/* An address that a stage may translate. */
static u64 pick_address(struct world *w, const struct stage *s)
{
    u64 address = 0;

    for (u32 level = 1; level <= s->levels; level++)
        address |= index_in_use(w, s, level) * o_page_bytes(s, level);
    return address;
}

static u64 second_table(struct world *w, u32 level)
{
    return frame_at(FIRST_FRAMES + (level - 1) * SECOND_EACH + below(w, SECOND_EACH));
}

static u64 legacy_flags(struct world *w, const struct stage *s)
{
    u64 flags = 0;

    flags |= chance(w, 99) ? P : 0;
    flags |= chance(w, 97) ? W : 0;
    flags |= chance(w, 97) ? U : 0;
    flags |= chance(w, 50) ? A : 0;
    flags |= chance(w, 50) ? D : 0;
    if (o_size(s) == 8) {
        flags |= chance(w, 2) ? NX : 0;
        flags |= below(w, 300) == 0 ? BIT(PHYS_BITS + below(w, 23)) : 0;
    }
    return flags;
}

static u64 ept_flags(struct world *w, bool page)
{
    u64 flags = chance(w, 96) ? 0x407 : below(w, 8) | (chance(w, 50) ? BIT(10) : 0);

    flags |= chance(w, 50) ? BIT(8) : 0;
    flags |= chance(w, 50) ? BIT(9) : 0;
    flags |= page ? (u64)(chance(w, 99) ? 6 : below(w, 8)) << 3 : below(w, 300) == 0 ? BIT(4) : 0;
    flags |= below(w, 300) == 0 ? BIT(PHYS_BITS + below(w, 23)) : 0;
    return flags;
}

static u64 first_entry(struct world *w)
{
    if (w->o.one.pdpt && chance(w, 30)) /* a PDPTE */
        return pick_address(w, &w->o.two) | (chance(w, 97) ? P : 0);
    return pick_address(w, &w->o.two) | legacy_flags(w, &w->o.one) | (chance(w, 8) ? PS : 0) |
           (below(w, 300) == 0 ? BIT(32 + below(w, 5)) : 0);
}

static u64 second_entry(struct world *w, u32 level)
{
    const struct stage *s = &w->o.two;
    const bool page = level == 1 || chance(w, 6);
    u64 entry;

    if (level == 1)
        entry = frame_at(chance(w, 80) ? below(w, FIRST_FRAMES) : below(w, ARENA_FRAMES));
    else
        entry = page ? (level == 2 && o_size(s) == 8 ? ARENA : 0) : second_table(w, level - 1);
    if (!s->ept && s->levels == 3 && level == 3)
        return second_table(w, 2) | (chance(w, 99) ? P : 0) | (chance(w, 1) ? U : 0);
    entry |= s->ept ? ept_flags(w, page) : legacy_flags(w, s);
    entry |= page && level > 1 ? PS : 0;
    entry |= page && level > 1 && chance(w, 10) ? BIT(12 + below(w, 18)) : 0;
    return entry;
}

static void change_first(struct world *w)
{
    const struct stage *s = &w->o.one;
    const u32 size = s->levels == 0 ? 8 : o_size(s);
    const u32 index = below(w, 2) + (size == 4 ? below(w, 2) * 0x200
                                     : s->pdpt ? below(w, 2) * 4
                                               : 0);

    store(w, frame_at(below(w, FIRST_FRAMES)) + index * size, size, first_entry(w));
}

static void change_second(struct world *w)
{
    const struct stage *s = &w->o.two;
    const u32 level = 1 + below(w, s->levels);
    const u64 index =
        index_in_use(w, s, level) + (s->levels == 3 && level == 3 ? 4 * below(w, 2) : 0);

    store(w, second_table(w, level) + index * o_size(s), o_size(s), second_entry(w, level));
}

/* Flags cleared, or half of an entry changed: what an L1 kernel does, and what it should not. */
static void nibble(struct world *w)
{
    const u64 at = frame_at(below(w, ARENA_FRAMES)) + 4 * below(w, 4);

    store(w, at, 4, o_get(&w->o, at, 4) & ~(u64)(A | D | BIT(8) | BIT(9)));
}

/* ---- contexts ---- */

static const enum paging_format formats[] = {PAGING_NONE, PAGING_NONE,   PAGING_32BIT,
                                             PAGING_PAE,  PAGING_4LEVEL, PAGING_5LEVEL};

/* Build both descriptions of the second stage: ours from registers, the oracle's by hand. */
static void set_second(struct world *w)
{
    struct stage *s = &w->o.two;

    s->root = second_table(w, s->levels);
    s->nx = chance(w, 80);
    s->pse = chance(w, 90);
    s->gb = chance(w, 90);
    s->smep = chance(w, 30);
    s->gmet = !s->ept && chance(w, 40);
    if (s->ept) {
        const struct ept_features features = {.execonly = chance(w, 50),
                                              .gbpages = s->gb,
                                              .mbec = chance(w, 40)};

        s->ad = chance(w, 50);
        s->execonly = features.execonly;
        s->mbec = features.mbec;
        w->second =
            second_stage_ept(s->root | (s->levels - 1) << 3 | 6 | (s->ad ? BIT(6) : 0), &features);
    } else {
        union mmu_role host = role_of(formats[s->levels]);

        host.nx = s->nx;
        host.pse = s->pse;
        host.gbpages = s->gb;
        host.smep = s->smep;
        host.wp = chance(w, 50); /* the following without effect */
        host.smap = chance(w, 50);
        host.pke = chance(w, 50);
        if (s->levels == 3 && chance(w, 50))
            s->root += 4 * 8;
        w->second = second_stage_npt(host, s->root, s->gmet);
    }
}

static void set_first(struct world *w)
{
    struct stage *s = &w->o.one;
    struct asker *a = &w->o.asker;

    w->role = role_of(formats[s->levels]);
    s->root = pick_address(w, &w->o.two);
    for (u32 i = 0; i < 4; i++)
        s->pdpte[i] = pick_address(w, &w->o.two) | (chance(w, 97) ? P : 0);
    memset(a, 0, sizeof(*a));
    a->user = chance(w, 50);
    if (s->levels == 0) {
        w->role.word = 0;
        return;
    }
    w->role.pdpt = s->pdpt = s->levels == 3 && !w->o.two.ept && chance(w, 50);
    if (s->pdpt) /* CR3 has 32 bits then */
        s->root = (s->root & 0xffffffff) | below(w, 2) * 32;
    w->role.nx = s->nx = s->levels > 2 && chance(w, 80);
    w->role.pse = s->pse = chance(w, 80);
    w->role.gbpages = s->gb = chance(w, 80);
    w->role.wp = a->wp = chance(w, 70);
    w->role.smep = a->smep = chance(w, 40);
    w->role.smap = a->smap = chance(w, 40);
    a->ac = chance(w, 50);
}

static void set_context(struct world *w)
{
    mmu_set_second_stage(w->g->mmu, &w->second);
    mmu_set_context(w->g->mmu, w->role, (gpa_t){w->o.one.root}, w->o.one.pdpte);
    mmu_set_privilege(w->g->mmu, w->o.asker.user, w->o.asker.ac);
}

/* Of some addresses, at least one can be read. Tried on a copy, as walks leave flags. */
static bool leads_somewhere(struct world *w)
{
    memcpy(w->scratch, &w->o, sizeof(w->o));
    for (u32 i = 0; i < 4; i++) {
        w->last = pick_address(w, w->o.one.levels != 0 ? &w->o.one : &w->o.two);
        if (w->o.one.levels < 4)
            w->last &= 0xffffffff;
        if (o_access(w->scratch, w->last, ACCESS_READ).outcome == ALLOWED)
            return true;
    }
    return false;
}

static void change_context(struct world *w)
{
    for (u32 tries = 0; tries < 20; tries++) {
        if (chance(w, 50))
            set_second(w);
        set_first(w);
        if (leads_somewhere(w))
            break;
    }
    set_context(w);
}

/* ---- steps ---- */

static void compare(struct world *w, u64 va, u32 access, const struct verdict *v)
{
    struct mmu *mmu = w->g->mmu;
    struct target target;
    const enum refill got = mmu_refill(mmu, va, access, &target);

    switch (v->outcome) {
    case ALLOWED:
        ck_assert_int_eq(got, REFILL_OK);
        ck_assert_uint_eq(target.hpa.v, v->gpa);
        w->tally->allowed++;
        break;
    case PAGE_FAULT:
        ck_assert_int_eq(got, REFILL_PAGE_FAULT);
        ck_assert_uint_eq(mmu->fault.error_code, v->code);
        ck_assert_uint_eq(mmu->fault.va, va);
        w->tally->faults++;
        break;
    case NESTED:
        ck_assert_int_eq(got, REFILL_NESTED);
        ck_assert_uint_eq(mmu->nested.gpa.v, v->gpa);
        ck_assert_uint_eq(mmu->nested.va, va);
        ck_assert_int_eq(mmu->nested.reason == NESTED_RESERVED, v->misconfigured);
        ck_assert_uint_eq(w->o.two.ept ? ept_qualification(&mmu->nested)
                                       : npf_error_code(&mmu->nested),
                          v->code);
        w->tally->nested++;
        w->tally->nested_tables += mmu->nested.table;
        break;
    }
    ck_assert_int_eq(memcmp(memory_peek(w->g->memory, (hpa_t){ARENA}, ARENA_BYTES), w->o.bytes,
                            ARENA_BYTES),
                     0);
}

/* Under lazy nothing need be true before a flush. */
static void flush(struct world *w)
{
    if (!engine_is_lazy(w->g->memory))
        return;
    mmu_invalidate_second(w->g->mmu);
    mmu_invalidate_all(w->g->mmu);
}

static void access_one(struct world *w)
{
    static const u32 kinds[] = {ACCESS_READ, ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH,
                                ACCESS_READ | ACCESS_WRITE};
    const u32 access = kinds[below(w, ARRAY_SIZE(kinds))];
    const u64 other = pick_address(w, w->o.one.levels != 0 ? &w->o.one : &w->o.two);
    const u64 va = (chance(w, 60) ? w->last : other) + below(w, 4096);
    const u64 linear = w->o.one.levels >= 4 ? va : va & 0xffffffff;
    struct mmu *mmu = w->g->mmu;
    const bool hit = hits(mmu->bank, linear, access) &&
                     ((access & ACCESS_READ) == 0 || hits(mmu->bank, linear, ACCESS_READ));
    const u8 *host = hit ? hit_host(mmu->bank, linear) : NULL;
    const struct verdict v = o_access(&w->o, linear, access);

    w->last = va & ~PAGE_OFFSET_MASK;
    if (hit) {
        ck_assert_int_eq(v.outcome, ALLOWED);
        ck_assert_ptr_eq(host, memory_peek(w->g->memory, (hpa_t){v.gpa}, 1));
        w->tally->hits++;
    }
    compare(w, linear, access, &v);
}

static void step(struct world *w)
{
    const u32 what = below(w, 100);

    w->tally->steps++;
    if (w->tally->steps % 64 == 0)
        engine_audit(w->g->memory);
    if (what < 88) {
        flush(w);
        access_one(w);
    } else if (what < 92)
        change_first(w);
    else if (what < 95)
        change_second(w);
    else if (what < 97)
        nibble(w);
    else
        change_context(w);
}

static void fill(struct world *w)
{
    for (u32 i = 0; i < 16 * FIRST_FRAMES; i++)
        change_first(w);
    for (u32 i = 0; i < 32 * w->o.two.levels; i++)
        change_second(w);
}

static void run(u32 first, u32 second, bool ept, u32 seed, struct tally *tally)
{
    struct world *w = calloc(1, sizeof(*w));

    w->tally = tally;
    w->g = guest_create();
    w->scratch = malloc(sizeof(*w->scratch));
    w->random = 0x9e3779b97f4a7c15 * (1 + first + 8 * second + 64 * ept + 128 * seed);
    w->o.one.levels = first;
    w->o.two.levels = second;
    w->o.two.ept = ept;
    w->o.two.second = true;
    for (u32 round = 0; round < ROUNDS; round++) {
        set_second(w);
        set_first(w);
        fill(w);
        change_context(w);
        for (u32 i = 0; i < STEPS / ROUNDS; i++)
            step(w);
    }
    guest_destroy(w->g);
    free(w->scratch);
    free(w);
}

static u32 seeds(void)
{
    const char *text = getenv("NESTBOX_MMU_SEEDS");

    return text == NULL ? 1 : (u32)strtoul(text, NULL, 10);
}

static void run_all(u32 second, bool ept)
{
    static const u32 first[] = {0, 2, 3, 4, 5};
    struct tally tally = {0};

    for (u32 seed = 0; seed < seeds(); seed++) {
        for (u32 i = 0; i < ARRAY_SIZE(first); i++)
            run(first[i], second, ept, seed, &tally);
    }
    ck_assert_uint_gt(tally.allowed, tally.steps / 20);
    ck_assert_uint_gt(tally.faults, tally.steps / 20);
    ck_assert_uint_gt(tally.nested, tally.steps / 20);
    ck_assert_uint_gt(tally.nested - tally.nested_tables, tally.steps / 50);
    ck_assert_uint_gt(tally.nested_tables, tally.steps / 50);
    ck_assert_uint_gt(tally.hits, tally.steps / 50);
}

START_TEST(a_32_bit_host_nests_every_guest)
{
    run_all(2, false);
}
END_TEST

START_TEST(a_pae_host_nests_every_guest)
{
    run_all(3, false);
}
END_TEST

START_TEST(a_4_level_host_nests_every_guest)
{
    run_all(4, false);
}
END_TEST

START_TEST(a_5_level_host_nests_every_guest)
{
    run_all(5, false);
}
END_TEST

START_TEST(ept_of_4_levels_nests_every_guest)
{
    run_all(4, true);
}
END_TEST

START_TEST(ept_of_5_levels_nests_every_guest)
{
    run_all(5, true);
}
END_TEST

RUN_TESTS("nested matrix", a_32_bit_host_nests_every_guest, a_pae_host_nests_every_guest,
          a_4_level_host_nests_every_guest, a_5_level_host_nests_every_guest,
          ept_of_4_levels_nests_every_guest, ept_of_5_levels_nests_every_guest)
