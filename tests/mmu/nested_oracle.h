/* SPDX-License-Identifier: MIT */
/*
 * A second opinion on two-stage translation, written from the manuals and not from mmu/: slow,
 * spelled out, and on a copy of memory, in which it sets accessed and dirty flags itself.
 *
 * The copy is the arena: ARENA_FRAMES frames of RAM at ARENA. Other RAM, the ROM and the
 * device are zero.
 */
#ifndef TESTS_MMU_NESTED_ORACLE_H
#define TESTS_MMU_NESTED_ORACLE_H

#include "mmu/nested.h"
#include "tests/mmu/guest.h"

enum { ARENA = 0x200000, ARENA_FRAMES = 40, ARENA_BYTES = ARENA_FRAMES << 12 };

/* One stage as an engineer would write it down. */
struct stage {
    u32 levels; /* 2: 32-bit, 3: PAE, 4, 5 */
    bool ept;
    bool second;
    bool nx, pse, gb; /* NPT and first stages */
    bool smep, gmet; /* NPT: of the host */
    bool ad, execonly, mbec; /* EPT */
    u64 root;
    u64 pdpte[4]; /* first stage in PAE, unless: */
    bool pdpt; /* PDPTEs are read from memory */
};

struct asker {
    bool user, ac, wp, smep, smap;
};

enum outcome { ALLOWED, PAGE_FAULT, NESTED };

struct verdict {
    enum outcome outcome;
    u64 gpa; /* ALLOWED: L1's address; NESTED: the nested-physical one */
    u64 code; /* error code, qualification or EXITINFO1 */
    bool misconfigured;
};

struct oracle {
    u8 bytes[ARENA_BYTES];
    struct stage one, two; /* one.levels 0: no paging */
    struct asker asker;
};

/* ---- memory ---- */

static inline u64 o_get(const struct oracle *o, u64 at, u32 size)
{
    if (at >= ARENA && at < ARENA + ARENA_BYTES)
        return load_le(o->bytes + (at - ARENA), size);
    if (at < RAM_SIZE || at - ROM_BASE < 0x10000 || at - MMIO_BASE < 0x1000)
        return 0;
    return width_mask(size);
}

static inline void o_or(struct oracle *o, u64 at, u32 size, u64 bits)
{
    if (at >= ARENA && at < ARENA + ARENA_BYTES)
        store_le(o->bytes + (at - ARENA), o_get(o, at, size) | bits, size);
}

/* ---- formats ---- */

static inline u32 o_size(const struct stage *s)
{
    return s->levels == 2 && !s->ept ? 4 : 8;
}

static inline u64 o_index(const struct stage *s, u64 address, u32 level)
{
    if (o_size(s) == 4)
        return level == 2 ? address >> 22 & 0x3ff : address >> 12 & 0x3ff;
    if (s->levels == 3 && level == 3)
        return address >> 30 & 3;
    return address >> (12 + 9 * (level - 1)) & 0x1ff;
}

static inline u64 o_page_bytes(const struct stage *s, u32 level)
{
    if (o_size(s) == 4)
        return level == 2 ? 4 << 20 : 4096;
    return (u64)4096 << (9 * (level - 1));
}

static inline bool o_large(const struct stage *s, u32 level, u64 entry)
{
    if (level == 1)
        return true;
    if ((entry & BIT(7)) == 0)
        return false;
    if (o_size(s) == 4)
        return s->pse;
    if (s->levels == 3)
        return level == 2;
    return level == 2 || (level == 3 && s->gb);
}

static inline bool o_ept_bad(const struct stage *s, u32 level, u64 entry, bool large)
{
    const bool r = entry & 1, w = entry & 2;
    const bool x = (entry & 4) != 0 || (s->mbec && (entry & BIT(10)) != 0);
    const u64 type = entry >> 3 & 7;

    if ((entry & BITS(51, PHYS_BITS)) != 0 || (w && !r) || (x && !r && !s->execonly))
        return true;
    if (!large) /* bits 6:3 everywhere; bit 7 where it does not make a page */
        return (entry & BITS(7, 3)) != 0;
    if (type == 2 || type == 3 || type == 7)
        return true;
    return level > 1 && (entry & (o_page_bytes(s, level) - 1) & BITS(29, 12)) != 0;
}

static inline bool o_bad(const struct stage *s, u32 level, u64 entry)
{
    const bool large = o_large(s, level, entry);

    if (s->ept)
        return o_ept_bad(s, level, entry, large);
    if (o_size(s) == 4) /* 40 address bits: PSE-36 reaches all of them */
        return level == 2 && large && (entry & BIT(21)) != 0;
    if ((entry & BITS(51, PHYS_BITS)) != 0)
        return true;
    if (s->levels == 3) {
        if (level == 3)
            return (entry & (BITS(63, 52) | BITS(8, 5) | BITS(2, 1))) != 0;
        if ((entry & BITS(62, 52)) != 0)
            return true;
    }
    if (!s->nx && (entry & BIT(63)) != 0)
        return true;
    if (!large)
        return level >= 3 && (entry & BIT(7)) != 0;
    return level > 1 && (entry & (o_page_bytes(s, level) - 1) & ~(u64)0x1fff) != 0;
}

static inline u64 o_frame(const struct stage *s, u32 level, u64 entry)
{
    const u64 bytes = o_page_bytes(s, level);

    if (o_size(s) == 8)
        return entry & BITS(PHYS_BITS - 1, 12) & ~(o_large(s, level, entry) ? bytes - 1 : 0);
    if (level == 2 && o_large(s, level, entry))
        return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
    return entry & 0xfffff000;
}

static inline bool o_present(const struct stage *s, u64 entry)
{
    if (!s->ept)
        return (entry & 1) != 0;
    return (entry & (s->mbec ? 0x407u : 7u)) != 0;
}

/* ---- one walk of the second stage ---- */

/* Rights as R, W, X, UX in bits 0 to 3; under GMET U in bit 3. */
static inline u32 o_rights2(const struct stage *s, u32 level, u64 entry)
{
    if (s->ept)
        return (u32)(entry & 7) | (u32)(s->mbec ? entry >> 10 & 1 : entry >> 2 & 1) << 3;
    if (s->levels == 3 && level == 3)
        return 15;
    if (s->gmet)
        return 1 | (u32)(entry & 2) | (entry >> 63 == 0 ? 4 : 0) | ((entry & 4) != 0 ? 8 : 0);
    if ((entry & 4) == 0)
        return 0;
    return 1 | ((entry & 2) != 0 ? 2 : 0) | ((entry >> 63) == 0 ? 12 : 0);
}

struct o_way {
    enum { O_FOUND, O_ABSENT, O_BAD } end;
    u32 rights; /* all entries read, taken together */
    u64 gpa;
    u64 at[5]; /* where the entries are, for the flags */
    bool flags[5];
    u32 count;
};

static inline struct o_way o_second(const struct oracle *o, u64 ngpa)
{
    const struct stage *s = &o->two;
    struct o_way way = {.end = O_ABSENT, .rights = 15};
    u64 table = s->root;

    if (s->levels <= 3 ? ngpa >> 32 != 0 : s->levels == 4 ? ngpa >> 48 != 0 : ngpa >> 57 != 0) {
        way.rights = 0;
        return way;
    }
    for (u32 level = s->levels; level > 0; level--) {
        const u64 at = table + o_index(s, ngpa, level) * o_size(s);
        const u64 entry = o_get(o, at, o_size(s));

        way.at[way.count] = at;
        way.flags[way.count++] = s->ept || s->levels != 3 || level != 3;
        way.rights &= o_rights2(s, level, entry);
        if (!o_present(s, entry))
            return way;
        if (o_bad(s, level, entry)) {
            way.end = O_BAD;
            return way;
        }
        table = o_frame(s, level, entry);
        if (o_large(s, level, entry) && !(s->levels == 3 && level == 3 && !s->ept)) {
            way.end = O_FOUND;
            way.gpa = table + (ngpa & (o_page_bytes(s, level) - 1));
            return way;
        }
    }
    return way; /* not reached */
}

static inline void o_second_flags(struct oracle *o, const struct o_way *way, bool write)
{
    const struct stage *s = &o->two;

    if (s->ept && !s->ad)
        return;
    for (u32 i = 0; i < way->count; i++) {
        const bool last = i + 1 == way->count;

        if (way->flags[i])
            o_or(o, way->at[i], o_size(s),
                 (s->ept ? BIT(8) : BIT(5)) | (last && write ? s->ept ? BIT(9) : BIT(6) : 0));
    }
}

/* access: 1 read, 2 write, 4 fetch, as ACCESS_* are. Of the page itself, not of a table. */
static inline bool o_second_allows(const struct oracle *o, u32 access, bool user_page, u32 rights2)
{
    if ((access & 4) == 0)
        return (access & ~rights2) == 0;
    if (o->two.gmet)
        return (rights2 & 4) != 0 && (o->asker.user || (rights2 & 8) == 0);
    return (rights2 & (user_page ? 8 : 4)) != 0;
}

/* user_page etc. describe the linear address where it is known; table: an access to a table. */
static inline struct verdict o_nested(const struct oracle *o, u64 ngpa, u32 access, bool table,
                                      const struct o_way *way, u32 rights)
{
    const struct stage *s = &o->two;
    struct verdict v = {.outcome = NESTED, .gpa = ngpa, .misconfigured = way->end == O_BAD};

    if (s->ept) {
        if (way->end == O_BAD)
            return v;
        v.code = access | (way->rights & 7) << 3 | (s->mbec ? (way->rights & 8) << 3 : 0) | BIT(7);
        if (!table)
            v.code |= BIT(8) | ((rights & 4) != 0 ? BIT(9) : 0) |
                      ((rights & 2) != 0 ? BIT(10) : 0) | ((rights & 1) == 0 ? BIT(11) : 0);
        return v;
    }
    v.code = (s->gmet && (access & 4) != 0 && !o->asker.user ? 0 : 4) |
             (table ? BIT(33) : BIT(32)) | (way->end != O_ABSENT ? 1 : 0) |
             (way->end == O_BAD ? 8 : 0) | ((access & 2) != 0 ? 2 : 0);
    if ((access & 4) != 0 && (s->smep || s->gmet || (s->nx && s->levels > 2)))
        v.code |= 16;
    return v;
}

/* ---- both ---- */

static inline struct verdict o_page_fault(const struct oracle *o, u32 access, u32 why)
{
    const struct asker *a = &o->asker;
    u32 code = why | ((access & 2) != 0 ? 2 : 0) | (a->user ? 4 : 0);

    if ((access & 4) != 0 && (a->smep || (o->one.nx && o->one.levels > 2)))
        code |= 16;
    return (struct verdict){.outcome = PAGE_FAULT, .code = code};
}

/* rights: bit 0 fetch, 1 write, 2 user. */
static inline bool o_first_allows(const struct oracle *o, u32 access, u32 rights)
{
    const struct asker *a = &o->asker;
    const bool user_page = (rights & 4) != 0;

    if (a->user)
        return user_page && ((access & 2) == 0 || (rights & 2) != 0) &&
               ((access & 4) == 0 || (rights & 1) != 0);
    if ((access & 4) != 0)
        return (rights & 1) != 0 && !(user_page && a->smep);
    if (user_page && a->smap && !a->ac)
        return false;
    return (access & 2) == 0 || (rights & 2) != 0 || !a->wp;
}

/* The first stage: the steps it came through, then where it leads. */
struct o_first {
    u64 ngpa[5], at[5], entry[5];
    bool flags[5];
    struct o_way way[5];
    u32 count;
    u32 rights;
    u64 target;
};

static inline bool o_first_walk(struct oracle *o, u64 va, u32 access, struct o_first *f,
                                struct verdict *v)
{
    const struct stage *s = &o->one;
    const u32 table_access = o->two.ept && !o->two.ad ? 1 : 3;
    u64 table = s->root;

    f->rights = 7;
    for (u32 level = s->levels; level > 0; level--) {
        u64 entry;

        if (level == 3 && s->levels == 3 && !s->pdpt) {
            entry = s->pdpte[va >> 30 & 3];
            if ((entry & 1) == 0) {
                *v = o_page_fault(o, access, 0);
                return false;
            }
            table = entry & BITS(PHYS_BITS - 1, 12);
            continue;
        }
        f->ngpa[f->count] = table + o_index(s, va, level) * o_size(s);
        f->way[f->count] = o_second(o, f->ngpa[f->count]);
        if (f->way[f->count].end != O_FOUND ||
            (f->way[f->count].rights & table_access) != table_access) {
            *v = o_nested(o, f->ngpa[f->count], table_access, true, &f->way[f->count], 0);
            return false;
        }
        o_second_flags(o, &f->way[f->count], table_access == 3);
        f->at[f->count] = f->way[f->count].gpa;
        entry = o_get(o, f->at[f->count], o_size(s));
        f->flags[f->count] = level != 3 || s->levels != 3;
        f->entry[f->count++] = entry;
        if ((entry & 1) == 0 || o_bad(s, level, entry)) {
            *v = o_page_fault(o, access, (entry & 1) == 0 ? 0 : 9);
            return false;
        }
        table = o_frame(s, level, entry);
        if (!f->flags[f->count - 1])
            continue; /* a PDPTE grants all and maps nothing */
        f->rights &= (u32)(entry & 6) | (entry >> 63 == 0 ? 1 : 0);
        if (o_large(s, level, entry)) {
            f->target = table + (va & (o_page_bytes(s, level) - 1));
            return true;
        }
    }
    return false; /* not reached */
}

static inline struct verdict o_access(struct oracle *o, u64 va, u32 access)
{
    const bool write = (access & 2) != 0;
    struct verdict v = {.outcome = ALLOWED};
    struct o_first f = {.rights = 7, .target = va};
    struct o_way way;

    if (o->one.levels != 0) {
        if (!o_first_walk(o, va, access, &f, &v))
            return v;
        if (!o_first_allows(o, access, f.rights))
            return o_page_fault(o, access, 1);
        for (u32 i = 0; i < f.count; i++) {
            const u64 wanted = BIT(5) | (write && i + 1 == f.count ? BIT(6) : 0);

            if (f.flags[i] && (f.entry[i] & wanted) != wanted && (f.way[i].rights & 2) == 0)
                return o_nested(o, f.ngpa[i], 3, true, &f.way[i], 0);
        }
    }
    way = o_second(o, f.target);
    if (way.end != O_FOUND || !o_second_allows(o, access, (f.rights & 4) != 0, way.rights))
        return o_nested(o, f.target, access, false, &way, f.rights);
    for (u32 i = 0; i < f.count; i++) {
        const u64 wanted = BIT(5) | (write && i + 1 == f.count ? BIT(6) : 0);

        if (f.flags[i] && (f.entry[i] & wanted) != wanted)
            o_or(o, f.at[i], o_size(&o->one), wanted);
    }
    o_second_flags(o, &way, write);
    v.gpa = way.gpa;
    return v;
}

#endif
