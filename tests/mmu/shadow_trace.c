/* SPDX-License-Identifier: MIT */
/*
 * Traces for tests/mmu/shadow_fuzz.c: made from a seed, so that tables of all formats share few
 * frames and yet often lead somewhere; printed; and cut down when they fail ("delta debugging").
 *
 * Under a second stage nested-physical frames are often where their number says, so that the tables
 * of the first stage serve nested guests, too.
 */
#include "base/bits.h"
#include "mmu/mmu.h"
#include "tests/mmu/shadow_fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- making ---- */

enum flavour { MIXED, FOUR_BYTES, EIGHT_BYTES, LONG_MODE, FLAVOURS };
/* What the tables of second stages look like. */
enum nest { NEST_NONE, NEST_EPT, NEST_NPT, NEST_NPT_32BIT, NEST_MIXED, NESTS };

enum {
    FLAVOUR_STEPS = 4000, /* then tables and contexts are made anew */
    SETUP_STORES = 700,
    SETUP_SECOND_STORES = 500,
    PRESENT = 1,
    WRITE = 2,
    USER = 4,
    ACCESSED = 1 << 5,
    DIRTY = 1 << 6,
    LARGE = 1 << 7,
    ROOT5_FRAME = 15,
    USER_EXECUTE = 1 << 10, /* EPT */
    WRITE_BACK = 6 << 3,
};

struct maker {
    u64 random;
    struct fuzz_step *steps;
    u32 count, used;
    enum flavour flavour;
    enum nest nest;
    struct fuzz_step context[FUZZ_CONTEXTS]; /* how each was defined last */
};

static u64 random64(struct maker *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random * 0x2545f4914f6cdd1d;
}

static u32 below(struct maker *m, u32 n)
{
    return (u32)((random64(m) >> 32) % n);
}

static bool one_in(struct maker *m, u32 n)
{
    return below(m, n) == 0;
}

static void emit(struct maker *m, struct fuzz_step step)
{
    if (m->used < m->count)
        m->steps[m->used++] = step;
}

static u64 address_of(u64 frame)
{
    return frame << PAGE_SHIFT;
}

/* Tables of level n point to frames of level n - 1: frames 0..2 are of level 4, 9..11 of level 1.
 */
static u64 frame_below(struct maker *m, u64 frame)
{
    static const u16 strange[] = {FRAME_ROM,
                                  FRAME_ROM + 1,
                                  FRAME_MMIO,
                                  FRAME_ALIAS_LOW,
                                  FRAME_ALIAS_LOW + 3,
                                  FRAME_BAR,
                                  FRAME_BAR + 1,
                                  FRAME_APIC,
                                  FRAME_ALIAS_A20,
                                  0x1f,
                                  FRAME_ALIAS_A20 + 1,
                                  FRAME_ALIAS_LARGE,
                                  0x30,
                                  FRAME_ALIAS_LARGE + 6};

    if (one_in(m, 20))
        return one_in(m, 2) ? strange[below(m, ARRAY_SIZE(strange))] : below(m, 16);
    if (frame == ROOT5_FRAME)
        return below(m, 3);
    if (frame >= FRAME_SMRAM + 4 || frame >= 9)
        return below(m, 18);
    return (frame / 3 + 1) * 3 + below(m, 3);
}

static u64 random_entry(struct maker *m, u64 frame)
{
    u64 entry = address_of(frame_below(m, frame));

    if (frame >= 3 && frame < 9 && one_in(m, 8)) {
        static const u32 large[] = {0, 0, 0x200000, 0x400000};

        entry = large[below(m, ARRAY_SIZE(large))] | LARGE;
    }
    entry |= one_in(m, 20) ? 0 : PRESENT;
    entry |= one_in(m, 8) ? 0 : WRITE;
    entry |= one_in(m, 10) ? 0 : USER;
    entry |= one_in(m, 2) ? ACCESSED : 0;
    entry |= one_in(m, 3) ? DIRTY : 0;
    if (m->flavour == FOUR_BYTES)
        return entry;
    if (m->flavour == MIXED && one_in(m, 8))
        return entry | (u64)(PRESENT | WRITE | USER) << 32; /* two of 4 bytes */
    entry |= one_in(m, 24) ? BIT(63) : 0;
    entry |= one_in(m, 16) ? (u64)below(m, 16) << 59 : 0;
    entry |= one_in(m, 120) ? BIT(8 + below(m, 52)) : 0;
    return entry;
}

/* Where a walk of some page in play looks. */
static u64 random_place(struct maker *m, u64 *frame)
{
    static const u8 weighted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 9, 10, 11, 9, 10, 11, 15};
    const u64 va = fuzz_pages[one_in(m, 2) ? below(m, 8) : below(m, FUZZ_PAGES)];
    u32 shift;

    *frame = weighted[below(m, ARRAY_SIZE(weighted))];
    if (one_in(m, 24))
        *frame = FRAME_BAR + below(m, 2);
    shift = *frame == ROOT5_FRAME ? 48 : *frame < 12 ? 39 - 9 * (u32)(*frame / 3) : 12;
    if (one_in(m, 16))
        shift = 12 + 9 * below(m, 5);
    if (m->flavour == FOUR_BYTES)
        return address_of(*frame) + (va >> (*frame < 9 ? 22 : 12) & 1023) * 4;
    return address_of(*frame) + (va >> shift & 511) * 8;
}

/* ---- second stages ---- */

/* Frames of their tables: first and how many, by level; 0: PDPTEs. */
static u64 second_frame(struct maker *m, u32 level)
{
    static const u8 first[] = {14, 8, 5, 2, 0, 15}, count[] = {1, 6, 3, 3, 2, 1};

    return FRAME_SECOND + first[level] + below(m, count[level]);
}

/* Is an entry now one of EPT? */
static bool ept_entry(struct maker *m)
{
    return m->nest == NEST_EPT || (m->nest == NEST_MIXED && one_in(m, 2));
}

static u32 second_bytes(const struct maker *m)
{
    return m->nest == NEST_NPT_32BIT ? 4 : 8;
}

/* Where nested-physical frames are: mostly where their number says, or at least among tables of the
 * same level. */
static u64 frame_under(struct maker *m, u64 frame)
{
    const u64 low = frame >= FRAME_ALIAS_LARGE ? frame - FRAME_ALIAS_LARGE : frame;

    if (one_in(m, 40))
        return FRAME_SECOND + below(m, 16);
    if (one_in(m, 24) || low >= 18)
        return one_in(m, 8) ? frame_below(m, 0xff) : below(m, 18);
    return one_in(m, 6) ? low / 3 * 3 + below(m, 3) : frame;
}

static u64 second_flags(struct maker *m, bool page)
{
    const bool ept = ept_entry(m);
    const u32 whole = page ? 1 : 5; /* what is missing above is missing for all */
    u64 flags = PRESENT | WRITE | USER; /* which is R, W and X of EPT */

    flags &= ~(u64)(one_in(m, 40 * whole) ? PRESENT : 0);
    flags &= ~(u64)(one_in(m, 12 * whole) ? WRITE : 0);
    flags &= ~(u64)(one_in(m, 24 * whole) ? USER : 0);
    if (!ept) {
        flags |= one_in(m, 2) ? ACCESSED : 0;
        flags |= one_in(m, 3) ? DIRTY : 0;
        if (m->nest != NEST_NPT_32BIT)
            flags |= one_in(m, 24 * whole) ? BIT(63) : 0;
    } else {
        flags |= one_in(m, 4) ? 0 : USER_EXECUTE;
        flags |= one_in(m, 2) ? BIT(8) : 0;
        flags |= one_in(m, 3) ? BIT(9) : 0;
        flags |= page && one_in(m, 2) ? WRITE_BACK : 0;
    }
    if (m->nest != NEST_NPT_32BIT)
        flags |= one_in(m, 150 * whole) ? BIT(3 + below(m, 60)) : 0;
    return flags;
}

/* An entry of some second stage, and where a walk of some nested-physical address looks for it. */
static u64 second_entry(struct maker *m, u64 *at)
{
    static const u8 levels[] = {1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 0};
    const u32 level = levels[below(m, ARRAY_SIZE(levels))];
    const u64 frame = below(m, 18) + (one_in(m, 5) ? FRAME_ALIAS_LARGE : 0);
    const u64 nested = one_in(m, 5) ? fuzz_pages[below(m, 18)] : address_of(frame);
    const u32 bytes = second_bytes(m);
    static const u32 large[] = {0, 0, 0x200000};

    *at = address_of(second_frame(m, level));
    if (level == 0) { /* PDPTEs */
        *at += below(m, 4) * 32 + (nested >> 30 & 3) * 8;
        return address_of(second_frame(m, 2)) | (one_in(m, 16) ? 0 : PRESENT);
    }
    *at += bytes == 4 ? (nested >> (level == 1 ? 12 : 22) & 1023) * 4
                      : (nested >> (12 + 9 * (level - 1)) & 511) * 8;
    if (level == 1)
        return address_of(frame_under(m, nested >> PAGE_SHIFT)) | second_flags(m, true);
    if (level <= 3 && one_in(m, 12))
        return large[below(m, ARRAY_SIZE(large))] | LARGE | second_flags(m, true);
    return address_of(second_frame(m, level - 1)) | second_flags(m, false);
}

static void make_second_store(struct maker *m)
{
    u64 at;
    const u64 entry = second_entry(m, &at);

    emit(m, (struct fuzz_step){
                .op = FUZZ_STORE, .b = (u8)second_bytes(m), .at = (u32)at, .value = entry});
}

/* Where to do damage: seldom above level 1, where it is done to everything. */
static u64 second_place(struct maker *m)
{
    u64 at;

    do
        (void)second_entry(m, &at);
    while (at < address_of(FRAME_SECOND + 8) && !one_in(m, 20));
    return at;
}

/* What a hypervisor does to track its guest's accesses. */
static void make_second_flip(struct maker *m)
{
    static const u64 ept[] = {WRITE, BIT(8), BIT(9), WRITE | BIT(9), USER, USER_EXECUTE};
    static const u64 npt[] = {WRITE, ACCESSED, DIRTY, WRITE | DIRTY, USER, BIT(9)};
    const u64 at = second_place(m);

    emit(m, (struct fuzz_step){
                .op = FUZZ_FLIP,
                .b = (u8)second_bytes(m),
                .at = (u32)at,
                .value = one_in(m, 20)  ? PRESENT /* EPT: for reading */
                         : ept_entry(m) ? ept[below(m, ARRAY_SIZE(ept))]
                                        : npt[below(m, ARRAY_SIZE(npt))],
            });
}

/* One table of the last level, over and over. */
static void make_second_burst(struct maker *m)
{
    const u64 table = address_of(second_frame(m, 1));
    const u32 stores = 2 + below(m, 14);
    const u32 bytes = second_bytes(m);

    for (u32 i = 0; i < stores; i++) {
        const u32 frame = below(m, 18);

        emit(m, (struct fuzz_step){
                    .op = FUZZ_STORE,
                    .b = (u8)bytes,
                    .at = (u32)(table + frame * bytes),
                    .value = address_of(frame_under(m, frame)) | second_flags(m, true),
                });
    }
}

/* What a context has under it, as FUZZ_DEFINE takes it. */
static u64 make_second(struct maker *m)
{
    static const u8 kinds[NESTS][4] = {
        [NEST_EPT] = {FUZZ_EPT, FUZZ_EPT, FUZZ_EPT5, FUZZ_EPT},
        [NEST_NPT] = {FUZZ_NPT_4LEVEL, FUZZ_NPT_5LEVEL, FUZZ_NPT_PAE, FUZZ_NPT_PAE},
        [NEST_NPT_32BIT] = {FUZZ_NPT_32BIT, FUZZ_NPT_32BIT, FUZZ_NPT_32BIT, FUZZ_NPT_32BIT},
        [NEST_MIXED] = {FUZZ_EPT, FUZZ_NPT_4LEVEL, FUZZ_NPT_PAE, FUZZ_NPT_32BIT},
    };
    static const u8 root_level[FUZZ_KINDS] = {
        [FUZZ_EPT] = 4,        [FUZZ_EPT5] = 5,       [FUZZ_NPT_32BIT] = 2,
        [FUZZ_NPT_4LEVEL] = 4, [FUZZ_NPT_5LEVEL] = 5,
    };
    const u32 kind = kinds[m->nest][below(m, 4)];
    u64 root = address_of(second_frame(m, root_level[kind])); /* PAE: 0 */

    if (m->nest == NEST_NONE || one_in(m, 3))
        return 0;
    if (kind == FUZZ_NPT_PAE)
        root += below(m, 4) * 32;
    if (one_in(m, 16)) /* of L1 itself */
        root = address_of(below(m, 16));
    return (u64)kind << FUZZ_KIND_SHIFT | (u64)!one_in(m, 3) << FUZZ_AD |
           (u64)!one_in(m, 3) << FUZZ_EXECONLY | (u64)one_in(m, 3) << FUZZ_MBEC |
           (u64)!one_in(m, 6) << FUZZ_GBPAGES | (u64)one_in(m, 3) << FUZZ_GMET |
           root / 32 << FUZZ_ROOT_SHIFT;
}

/* ---- stores ---- */

/* The same bytes by another address. */
static u64 alias(struct maker *m, u64 at)
{
    if (one_in(m, 16) && at < address_of(12))
        return at + address_of(FRAME_ALIAS_LARGE);
    return at;
}

static void make_entry_store(struct maker *m)
{
    u64 frame;
    const u64 at = random_place(m, &frame);
    const u64 entry = random_entry(m, frame);
    const u8 size = m->flavour == FOUR_BYTES || (m->flavour == MIXED && one_in(m, 6)) ? 4 : 8;

    emit(m, (struct fuzz_step){
                .op = FUZZ_STORE,
                .a = frame >= FRAME_SMRAM && frame < 12 && one_in(m, 4),
                .b = size,
                .at = (u32)alias(m, at),
                .value = entry,
            });
}

/* What mprotect(), copy on write and page aging do. */
static void make_flip(struct maker *m)
{
    static const u64 bits[] = {PRESENT, WRITE, USER, ACCESSED, DIRTY, WRITE | DIRTY, BIT(63)};
    u64 frame;
    const u64 at = random_place(m, &frame);

    emit(m, (struct fuzz_step){
                .op = FUZZ_FLIP,
                .b = m->flavour == FOUR_BYTES ? 4 : 8,
                .at = (u32)alias(m, at),
                .value = bits[below(m, m->flavour == FOUR_BYTES ? 6 : 7)],
            });
}

/* Any size, anywhere. */
static void make_odd_store(struct maker *m)
{
    u64 frame;
    u64 at = random_place(m, &frame) + below(m, 8);

    if (m->nest != NEST_NONE && one_in(m, 2))
        at = second_place(m) + below(m, 8);

    emit(m, (struct fuzz_step){
                .op = FUZZ_STORE,
                .b = (u8)(1 + below(m, 64)),
                .at = (u32)(at < 16 ? at : at - below(m, 16)),
                .value = one_in(m, 2) ? random_entry(m, frame) : random64(m),
            });
}

/* One table, over and over, as a fork does it. */
static void make_burst(struct maker *m)
{
    const u64 frame = 9 + below(m, 3);
    const u32 stores = 2 + below(m, 14);

    for (u32 i = 0; i < stores; i++) {
        const u32 bytes = m->flavour == FOUR_BYTES ? 4 : 8;

        emit(m, (struct fuzz_step){
                    .op = FUZZ_STORE,
                    .b = (u8)bytes,
                    .at = (u32)(address_of(frame) + below(m, 10) * bytes),
                    .value = random_entry(m, frame),
                });
    }
}

static void make_cpu_store(struct maker *m, u8 cpu)
{
    static const u8 sizes[] = {8, 8, 8, 8, 4, 4, 1, 2, 15};
    const u8 size = sizes[below(m, ARRAY_SIZE(sizes))];
    const u32 offset = one_in(m, 2) ? below(m, 10) * 8 : below(m, 512) * 8;

    emit(m, (struct fuzz_step){
                .op = FUZZ_CPU_STORE,
                .cpu = cpu,
                .a = (u8)below(m, FUZZ_PAGES),
                .b = (u8)(size | (one_in(m, 8) ? FUZZ_SLOW : 0)),
                .at = offset + size > PAGE_SIZE ? 0 : offset,
                .value = random_entry(m, below(m, 12)),
            });
}

static void make_bulk(struct maker *m)
{
    const bool second = m->nest != NEST_NONE && one_in(m, 3);
    const u32 frame = second ? (u32)second_frame(m, one_in(m, 20) ? below(m, 6) : 1) : below(m, 16);

    if (one_in(m, 2))
        emit(m, (struct fuzz_step){
                    .op = FUZZ_COPY,
                    .b = (u8)(1 + below(m, 128)),
                    .at = (u32)address_of(second ? second_frame(m, 1) : below(m, 12)),
                    .value = address_of(second ? second_frame(m, 1) : below(m, 12)),
                });
    else
        emit(m, (struct fuzz_step){
                    .op = FUZZ_FILL,
                    .b = (u8)(1 + below(m, 140)),
                    .at = (u32)(address_of(frame) + below(m, 64) * 8),
                    .value = one_in(m, 4) ? 0 : random_entry(m, frame),
                });
}

static u32 root_for(struct maker *m, enum paging_format format)
{
    switch (format) {
    case PAGING_4LEVEL: return (u32)address_of(below(m, one_in(m, 8) ? 16 : 3));
    case PAGING_5LEVEL: return (u32)address_of(one_in(m, 4) ? below(m, 16) : ROOT5_FRAME);
    default: return (u32)address_of(one_in(m, 8) ? below(m, 16) : 6 + below(m, 3));
    }
}

static void make_context(struct maker *m, u8 number)
{
    static const u8 formats[FLAVOURS][4] = {
        [MIXED] = {PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL, PAGING_5LEVEL},
        [FOUR_BYTES] = {PAGING_32BIT, PAGING_32BIT, PAGING_32BIT, PAGING_PAE},
        [EIGHT_BYTES] = {PAGING_PAE, PAGING_PAE, PAGING_4LEVEL, PAGING_4LEVEL},
        [LONG_MODE] = {PAGING_4LEVEL, PAGING_4LEVEL, PAGING_5LEVEL, PAGING_4LEVEL},
    };
    union mmu_role role = {.word = 0};

    role.format =
        one_in(m, m->nest != NEST_NONE ? 8 : 24) ? PAGING_NONE : formats[m->flavour][below(m, 4)];
    role.wp = !one_in(m, 4);
    role.pse = !one_in(m, 6);
    role.gbpages = !one_in(m, 6);
    role.nx = !one_in(m, 6);
    role.smm = one_in(m, 8);
    role.guest_mode = one_in(m, 8);
    if (one_in(m, 3)) {
        role.smep = one_in(m, 2);
        role.smap = one_in(m, 2);
        role.pke = one_in(m, 2);
        role.pks = one_in(m, 2);
    }
    m->context[number] = (struct fuzz_step){
        .op = FUZZ_DEFINE,
        .a = number,
        .b = (u8)random64(m),
        .at = root_for(m, (enum paging_format)role.format),
        .value = role.word | make_second(m),
    };
    emit(m, m->context[number]);
}

/* Another second stage, or one of its settings. */
static u64 vary_second(struct maker *m, u64 value)
{
    if (one_in(m, 2))
        return (value & BITS(31, 0)) | make_second(m);
    return value ^ BIT(FUZZ_AD + below(m, 4));
}

/* One bit of a control register, another root, or the PDPTEs. */
static void vary_context(struct maker *m)
{
    const u8 number = (u8)below(m, FUZZ_CONTEXTS);
    struct fuzz_step *s = &m->context[number];
    union mmu_role role = {.word = s->value}; /* with the second stage in its reserved bits */

    if (one_in(m, 6)) {
        make_context(m, number);
        return;
    }
    if (m->nest != NEST_NONE && one_in(m, 3)) {
        s->value = vary_second(m, s->value);
        emit(m, *s);
        return;
    }
    switch (below(m, 12)) {
    case 0: role.pse ^= 1; break;
    case 1: role.wp ^= 1; break;
    case 2: role.nx ^= 1; break;
    case 3: role.smep ^= 1; break;
    case 4: role.smap ^= 1; break;
    case 5: role.pke ^= 1; break;
    case 6: role.pks ^= 1; break;
    case 7: role.gbpages ^= 1; break;
    case 8: role.smm ^= 1; break;
    case 9: role.guest_mode ^= 1; break;
    case 10: s->at = root_for(m, (enum paging_format)role.format); break;
    default: s->b = (u8)random64(m); break;
    }
    s->value = role.word;
    emit(m, *s);
}

static void begin_flavour(struct maker *m)
{
    m->flavour = (enum flavour)below(m, FLAVOURS);
    m->nest = (enum nest)((m->nest + 1) % NESTS);
    for (u8 i = 0; i < FUZZ_CONTEXTS; i++)
        make_context(m, i);
    for (u32 i = 0; i < SETUP_STORES; i++)
        make_entry_store(m);
    for (u32 i = 0; m->nest != NEST_NONE && i < SETUP_SECOND_STORES; i++)
        make_second_store(m);
    for (u32 i = 0; i < 40; i++)
        emit(m, (struct fuzz_step){
                    .op = FUZZ_LOAD,
                    .at = (u32)(address_of(FRAME_ROM + below(m, 4)) + below(m, 10) * 8),
                    .value = random_entry(m, below(m, 12)),
                });
}

static void make_rare(struct maker *m, u8 cpu)
{
    static const u16 bar_frames[] = {FRAME_BAR, FRAME_BAR, 10, 6, FRAME_ALIAS_LARGE, 0x30};

    switch (below(m, 12)) {
    case 0:
    case 1: make_bulk(m); break;
    case 2:
        if (one_in(m, 4))
            emit(m, (struct fuzz_step){.op = FUZZ_A20, .a = !one_in(m, 3)});
        break;
    case 3:
        if (one_in(m, 4))
            emit(m, (struct fuzz_step){
                        .op = FUZZ_MOVE,
                        .a = !one_in(m, 4),
                        .b = !one_in(m, 4),
                        .at = (u32)address_of(bar_frames[below(m, ARRAY_SIZE(bar_frames))]),
                    });
        break;
    case 4:
        if (one_in(m, 4))
            emit(m, (struct fuzz_step){.op = FUZZ_DROP, .cpu = cpu});
        break;
    case 5: emit(m, (struct fuzz_step){.op = FUZZ_DEVICE, .value = random_entry(m, 10)}); break;
    case 6: emit(m, (struct fuzz_step){.op = FUZZ_CLEAN, .a = (u8)below(m, MACHINE_FRAMES)}); break;
    case 7:
        emit(m, (struct fuzz_step){.op = FUZZ_CODE, .at = below(m, MACHINE_FRAMES * 16) * 256});
        break;
    default: vary_context(m); break;
    }
}

static void make_step(struct maker *m)
{
    const u8 cpu = (u8)below(m, FUZZ_CPUS);
    const u8 page = (u8)(one_in(m, 2) ? below(m, 8) : below(m, FUZZ_PAGES));
    const u32 dice = below(m, 1000);
    const bool second = m->nest != NEST_NONE && one_in(m, 2); /* of tables, which */

    if (dice < 560)
        emit(m, (struct fuzz_step){
                    .op = FUZZ_ACCESS,
                    .cpu = cpu,
                    .a = page,
                    .b = (u8)(below(m, 8) | (one_in(m, 2) ? FUZZ_FORCE : 0)),
                    .at = below(m, 2) * 8,
                });
    else if (dice < 660)
        (second ? make_second_store : make_entry_store)(m);
    else if (dice < 740)
        (second ? make_second_flip : make_flip)(m);
    else if (dice < 760)
        (second ? make_second_burst : make_burst)(m);
    else if (dice < 780)
        make_odd_store(m);
    else if (dice < 840)
        make_cpu_store(m, cpu);
    else if (dice < 900)
        emit(m, (struct fuzz_step){
                    .op = FUZZ_SWITCH,
                    .cpu = cpu,
                    .a = (u8)below(m, FUZZ_CONTEXTS),
                    .b = one_in(m, 2),
                });
    else if (dice < 940)
        emit(m, (struct fuzz_step){.op = FUZZ_PRIVILEGE,
                                   .cpu = cpu,
                                   .a = (u8)(one_in(m, 3) ? below(m, 4) : 2)});
    else if (dice < 950)
        emit(m, (struct fuzz_step){.op = FUZZ_KEYS,
                                   .cpu = cpu,
                                   .value = one_in(m, 3) ? random64(m) : 0});
    else if (dice < 965)
        emit(m, (struct fuzz_step){.op = FUZZ_INVLPG, .cpu = cpu, .a = page});
    else if (dice < 975)
        emit(m, (struct fuzz_step){.op = second ? FUZZ_FLUSH_SECOND : FUZZ_FLUSH, .cpu = cpu});
    else
        make_rare(m, cpu);
}

void fuzz_generate(struct fuzz_step *steps, u32 count, u64 seed)
{
    struct maker m = {
        .random = (seed + 1) * 0x9e3779b97f4a7c15,
        .nest = (enum nest)(seed * 3 % NESTS),
        .steps = steps,
        .count = count,
    };
    u32 next = 0;

    while (m.used < count) {
        if (m.used >= next) {
            begin_flavour(&m);
            next = m.used + FLAVOUR_STEPS;
        }
        make_step(&m);
    }
}

/* ---- printing ---- */

static void print_access(const struct fuzz_step *s, u32 access, const char *what, FILE *out)
{
    fprintf(out, "CPU %u: %s%s%s%s%s at %llx", s->cpu, what,
            (access & ACCESS_READ) != 0 ? " read" : "",
            (access & ACCESS_WRITE) != 0 ? " write" : "",
            (access & ACCESS_FETCH) != 0 ? " fetch" : "",
            (access & ACCESS_IMPLICIT) != 0 ? " implicit" : "",
            (unsigned long long)(fuzz_pages[s->a] | s->at));
}

static void print_second(u64 value, FILE *out)
{
    static const char *const kinds[] = {"no second stage", "EPT",     "5-level EPT",
                                        "32-bit NPT",      "PAE NPT", "4-level NPT",
                                        "5-level NPT"};
    struct mmu_second_stage second;

    if (!fuzz_second(value, &second))
        return;
    fprintf(out, "; %s, root %llx%s%s%s%s%s%s%s%s", kinds[value >> FUZZ_KIND_SHIFT & 7],
            (unsigned long long)second.root.v, second.role.ad ? " ad" : "",
            second.role.execonly ? " execonly" : "", second.role.mbec ? " mbec" : "",
            second.role.gbpages ? " gbpages" : "", second.role.nx ? " nx" : "",
            second.role.pse ? " pse" : "", second.role.smep ? " smep" : "",
            second.role.gmet ? " gmet" : "");
}

static void print_role(const struct fuzz_step *s, FILE *out)
{
    static const char *const formats[] = {"none", "32-bit", "PAE", "4-level", "5-level"};
    const union mmu_role role = {.word = s->value};

    fprintf(out, "context %u: %s, root %x, PDPTEs %02x%s%s%s%s%s%s%s%s%s%s", s->a,
            formats[role.format], s->at, s->b, role.pse ? " pse" : "", role.wp ? " wp" : "",
            role.nx ? " nx" : "", role.smep ? " smep" : "", role.smap ? " smap" : "",
            role.pke ? " pke" : "", role.pks ? " pks" : "", role.gbpages ? " gbpages" : "",
            role.smm ? " smm" : "", role.guest_mode ? " guest_mode" : "");
    print_second(s->value, out);
}

void fuzz_print(const struct fuzz_step *s, FILE *out)
{
    const unsigned long long value = s->value;

    switch ((enum fuzz_op)s->op) {
    case FUZZ_ACCESS:
        print_access(s, fuzz_accesses[s->b & 7], (s->b & FUZZ_FORCE) != 0 ? "refill" : "access",
                     out);
        break;
    case FUZZ_CPU_STORE:
        print_access(s, 0, (s->b & FUZZ_SLOW) != 0 ? "slow store" : "store", out);
        fprintf(out, ": %u bytes of %llx", s->b & 15u, value);
        break;
    case FUZZ_STORE:
        fprintf(out, "store%s at %x: %u bytes of %llx", s->a != 0 ? " from SMM" : "", s->at, s->b,
                value);
        break;
    case FUZZ_FLIP: fprintf(out, "flip at %x: bits %llx", s->at, value); break;
    case FUZZ_FILL: fprintf(out, "fill at %x: %u bytes of %llx", s->at, s->b * 32u, value); break;
    case FUZZ_COPY: fprintf(out, "copy %x to %llx: %u bytes", s->at, value, s->b * 8u); break;
    case FUZZ_LOAD: fprintf(out, "load at %x: %llx", s->at, value); break;
    case FUZZ_DEFINE: print_role(s, out); break;
    case FUZZ_SWITCH:
        fprintf(out, "CPU %u: to context %u%s", s->cpu, s->a, s->b != 0 ? ", flush" : "");
        break;
    case FUZZ_PRIVILEGE:
        fprintf(out, "CPU %u: %s%s", s->cpu, (s->a & 1) != 0 ? "user" : "supervisor",
                (s->a & 2) != 0 ? ", AC" : "");
        break;
    case FUZZ_KEYS: fprintf(out, "CPU %u: PKRS and PKRU %llx", s->cpu, value); break;
    case FUZZ_INVLPG:
        fprintf(out, "CPU %u: INVLPG %llx", s->cpu, (unsigned long long)fuzz_pages[s->a]);
        break;
    case FUZZ_FLUSH: fprintf(out, "CPU %u: flush", s->cpu); break;
    case FUZZ_FLUSH_SECOND: fprintf(out, "CPU %u: flush second stages", s->cpu); break;
    case FUZZ_A20: fprintf(out, "A20 %s", s->a != 0 ? "on" : "off"); break;
    case FUZZ_MOVE:
        fprintf(out, "move %s to %x%s", s->a != 0 ? "bar" : "mmio", s->at,
                s->b != 0 ? "" : ", hidden");
        break;
    case FUZZ_DROP: fprintf(out, "CPU %u: drop all caches", s->cpu); break;
    case FUZZ_DEVICE: fprintf(out, "the device answers %llx", value); break;
    case FUZZ_CLEAN: fprintf(out, "machine frame %x is clean", s->a); break;
    case FUZZ_CODE: fprintf(out, "machine bytes %x are code", s->at); break;
    case FUZZ_OPS: break;
    }
    fputc('\n', out);
}

/* ---- cutting down ---- */

enum { SECONDS = 200, SHRINK_SECONDS = 10, SHRINK_STEPS = 20000000 };

struct trial {
    const struct fuzz_setup *setup;
    struct fuzz_result *result; /* shared with the children */
    u64 left; /* steps that may still be run */
};

/* Run a trace in a child, which may crash. */
static bool try_trace(struct trial *t, const struct fuzz_step *steps, u32 count, u32 audit_every,
                      u32 seconds)
{
    pid_t child;
    int status;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        alarm(seconds);
        memset(t->result, 0, sizeof(*t->result));
        (void)snprintf(t->result->message, sizeof(t->result->message), "no message: it crashed");
        _exit(fuzz_run(t->setup, steps, count, audit_every, t->result) ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool still_fails(struct trial *t, const struct fuzz_step *steps, u32 count)
{
    if (t->left < count)
        return false;
    t->left -= count;
    return !try_trace(t, steps, count, 1 + count / 500, SHRINK_SECONDS);
}

/* Take out chunks as long as it helps. Returns the new count. */
static u32 cut_chunks(struct trial *t, struct fuzz_step *steps, u32 count)
{
    struct fuzz_step *shorter = malloc(count * sizeof(*steps));

    for (u32 chunk = (count + 1) / 2; chunk > 0; chunk = chunk == 1 ? 0 : (chunk + 1) / 2) {
        for (u32 from = 0; from < count;) {
            const u32 to = from + chunk < count ? from + chunk : count;

            memcpy(shorter, steps, from * sizeof(*steps));
            memcpy(shorter + from, steps + to, (count - to) * sizeof(*steps));
            if (to - from < count && still_fails(t, shorter, count - (to - from))) {
                count -= to - from;
                memcpy(steps, shorter, count * sizeof(*steps));
            } else {
                from = to;
            }
        }
    }
    free(shorter);
    return count;
}

/* Plainer operands: fewer bits, smaller numbers. */
static void simplify(struct trial *t, struct fuzz_step *steps, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const struct fuzz_step whole = steps[i];

        for (u32 bit = 64; bit-- > 0;) {
            const struct fuzz_step before = steps[i];

            steps[i].value &= ~BIT(bit);
            if (steps[i].value != before.value && !still_fails(t, steps, count))
                steps[i] = before;
        }
        if (whole.op == FUZZ_ACCESS) {
            const struct fuzz_step before = steps[i];

            steps[i].at = 0;
            steps[i].b = FUZZ_FORCE;
            if (memcmp(&steps[i], &before, sizeof(before)) != 0 && !still_fails(t, steps, count))
                steps[i] = before;
        }
    }
}

static void shrink(struct trial *t, struct fuzz_step *steps, u32 count, u64 seed)
{
    t->left = SHRINK_STEPS;
    if (still_fails(t, steps, count)) {
        u32 before;

        do {
            before = count;
            count = cut_chunks(t, steps, count);
        } while (count < before);
        simplify(t, steps, count);
    }
    (void)try_trace(t, steps, count, 1, SHRINK_SECONDS);
    fprintf(stderr, "%s, seed %llu: %s\nthe smallest trace that fails (%u steps, at %u):\n",
            t->setup->name, (unsigned long long)seed, t->result->message, count, t->result->step);
    for (u32 i = 0; i < count && i < 400; i++)
        fuzz_print(&steps[i], stderr);
}

bool fuzz_seed(const struct fuzz_setup *setup, u64 seed, u32 count, u32 audit_every,
               struct fuzz_result *result)
{
    struct fuzz_step *steps = malloc(count * sizeof(*steps));
    struct trial t = {.setup = setup};
    bool good;

    t.result =
        mmap(NULL, sizeof(*t.result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (steps == NULL || t.result == MAP_FAILED)
        abort();
    fuzz_generate(steps, count, seed);
    good = try_trace(&t, steps, count, audit_every, SECONDS);
    *result = *t.result;
    if (!good) {
        fprintf(stderr, "%s, seed %llu, step %u: %s\n", setup->name, (unsigned long long)seed,
                result->step, result->message);
        if (getenv("NESTBOX_NO_SHRINK") == NULL)
            shrink(&t, steps, result->step + 1 < count ? result->step + 1 : count, seed);
    }
    munmap(t.result, sizeof(*t.result));
    free(steps);
    return good;
}
