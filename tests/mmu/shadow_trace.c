/* SPDX-License-Identifier: MIT */
/*
 * Traces for tests/mmu/shadow_fuzz.c: made from a seed, so that tables of all formats share few
 * frames and yet often lead somewhere; printed; and cut down when they fail ("delta debugging").
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

enum {
    FLAVOUR_STEPS = 8000, /* then tables and contexts are made anew */
    SETUP_STORES = 700,
    PRESENT = 1,
    WRITE = 2,
    USER = 4,
    ACCESSED = 1 << 5,
    DIRTY = 1 << 6,
    LARGE = 1 << 7,
    ROOT5_FRAME = 15,
};

struct maker {
    u64 random;
    struct fuzz_step *steps;
    u32 count, used;
    enum flavour flavour;
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
    const u64 at = random_place(m, &frame) + below(m, 8);

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
    const u32 frame = below(m, 16);

    if (one_in(m, 2))
        emit(m, (struct fuzz_step){
                    .op = FUZZ_COPY,
                    .b = (u8)(1 + below(m, 128)),
                    .at = (u32)address_of(below(m, 12)),
                    .value = address_of(below(m, 12)),
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

    role.format = one_in(m, 24) ? PAGING_NONE : formats[m->flavour][below(m, 4)];
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
        .value = role.word,
    };
    emit(m, m->context[number]);
}

/* One bit of a control register, another root, or the PDPTEs. */
static void vary_context(struct maker *m)
{
    const u8 number = (u8)below(m, FUZZ_CONTEXTS);
    struct fuzz_step *s = &m->context[number];
    union mmu_role role = {.word = s->value};

    if (one_in(m, 6)) {
        make_context(m, number);
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
    for (u8 i = 0; i < FUZZ_CONTEXTS; i++)
        make_context(m, i);
    for (u32 i = 0; i < SETUP_STORES; i++)
        make_entry_store(m);
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

    if (dice < 560)
        emit(m, (struct fuzz_step){
                    .op = FUZZ_ACCESS,
                    .cpu = cpu,
                    .a = page,
                    .b = (u8)(below(m, 8) | (one_in(m, 2) ? FUZZ_FORCE : 0)),
                    .at = below(m, 2) * 8,
                });
    else if (dice < 660)
        make_entry_store(m);
    else if (dice < 740)
        make_flip(m);
    else if (dice < 760)
        make_burst(m);
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
        emit(m, (struct fuzz_step){.op = FUZZ_FLUSH, .cpu = cpu});
    else
        make_rare(m, cpu);
}

void fuzz_generate(struct fuzz_step *steps, u32 count, u64 seed)
{
    struct maker m = {.random = (seed + 1) * 0x9e3779b97f4a7c15, .steps = steps, .count = count};
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

static void print_role(const struct fuzz_step *s, FILE *out)
{
    static const char *const formats[] = {"none", "32-bit", "PAE", "4-level", "5-level"};
    const union mmu_role role = {.word = s->value};

    fprintf(out, "context %u: %s, root %x, PDPTEs %02x%s%s%s%s%s%s%s%s%s%s", s->a,
            formats[role.format], s->at, s->b, role.pse ? " pse" : "", role.wp ? " wp" : "",
            role.nx ? " nx" : "", role.smep ? " smep" : "", role.smap ? " smap" : "",
            role.pke ? " pke" : "", role.pks ? " pks" : "", role.gbpages ? " gbpages" : "",
            role.smm ? " smm" : "", role.guest_mode ? " guest_mode" : "");
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
