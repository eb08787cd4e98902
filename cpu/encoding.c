/* SPDX-License-Identifier: MIT */
/*
 * The decode tables: all rows of all families, sorted by opcode. Where two rows match the same
 * instruction, the one that names a prefix wins (CRC32 is F2 0F 38 F0, MOVBE any other 0F 38 F0),
 * then the one that accepts strictly less; anything else that matches twice is an error in the
 * rows.
 */
#include "cpu/encoding.h"

#include "base/bits.h"
#include "base/check.h"
#include "base/log.h"
#include "cpu/isa/isa.h"

#include <stdlib.h>

struct slot {
    u16 first, count; /* in candidates[] */
    bool modrm;
};

struct isa {
    u32 count;
    u32 candidate_count;
    struct row *rows;
    u16 *candidates;
    struct slot slots[MAP_COUNT][256];
};

static const struct insn_def *const families[] = {
#define FAMILY(name) isa_##name,
    ISA_FAMILIES(FAMILY)
#undef FAMILY
};

static u32 opcodes(const struct row *row)
{
    return row->flags & ROW_OPREG ? 8 : 1;
}

/* How many (prefix, W, L, mode, mod, B, ModRM) combinations a row accepts. */
static u32 measure(const struct row *row)
{
    static const u16 groups[] = {ACCEPT_PREFIX, ACCEPT_W,   ACCEPT_L,
                                 ACCEPT_MODE,   ACCEPT_MOD, ACCEPT_B};
    u32 product = 256u >> __builtin_popcount(row->modrm_mask);

    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
        product *= (u32)__builtin_popcount(row->accept & groups[i]);
    return product;
}

static bool intersect(const struct row *a, const struct row *b)
{
    static const u16 groups[] = {ACCEPT_PREFIX, ACCEPT_W,   ACCEPT_L,
                                 ACCEPT_MODE,   ACCEPT_MOD, ACCEPT_B};
    const u16 both = a->accept & b->accept;

    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
        if ((both & groups[i]) == 0)
            return false;
    }
    return ((a->modrm_value ^ b->modrm_value) & a->modrm_mask & b->modrm_mask) == 0;
}

static bool names_prefix(const struct row *row)
{
    return (row->accept & ACCEPT_PREFIX) != ACCEPT_PREFIX;
}

/* Is a to be tried before b? */
static bool narrower(const struct row *a, const struct row *b)
{
    if (names_prefix(a) != names_prefix(b))
        return names_prefix(a);
    return measure(a) < measure(b);
}

/* Does b accept all that a accepts? */
static bool within(const struct row *a, const struct row *b)
{
    return (a->accept & ~b->accept) == 0 && (b->modrm_mask & ~a->modrm_mask) == 0 &&
           ((a->modrm_value ^ b->modrm_value) & b->modrm_mask) == 0;
}

/* Two rows of one opcode: is it clear which one an instruction belongs to? */
static bool compatible(const struct row *a, const struct row *b, struct error *error)
{
    if (((a->flags ^ b->flags) & ROW_MODRM) != 0)
        return error_set(error, "rows \"%s\" %s and \"%s\" %s: only one has a ModRM byte",
                         a->def.name, a->def.encoding, b->def.name, b->def.encoding);
    if (!intersect(a, b) || names_prefix(a) != names_prefix(b) || within(a, b) != within(b, a))
        return true;
    return error_set(error, "rows overlap: \"%s\" \"%s\" \"%s\" and \"%s\" \"%s\" \"%s\"",
                     a->def.name, a->def.encoding, a->def.operands, b->def.name, b->def.encoding,
                     b->def.operands);
}

/* Parse all families' rows into isa->rows. The first error is kept; bad rows are left out. */
static bool parse_all(struct isa *isa, struct error *error)
{
    bool ok = true;
    u32 total = 0;

    for (unsigned f = 0; f < ARRAY_SIZE(families); f++) {
        for (const struct insn_def *def = families[f]; def->name != NULL; def++)
            total++;
    }
    isa->rows = calloc(total + 1, sizeof(*isa->rows));
    CHECK(isa->rows != NULL && total < 0xffff);
    for (unsigned f = 0; f < ARRAY_SIZE(families); f++) {
        for (const struct insn_def *def = families[f]; def->name != NULL; def++) {
            if (row_parse(def, &isa->rows[isa->count], ok ? error : &(struct error){0}))
                isa->count++;
            else
                ok = false;
        }
    }
    return ok;
}

/* 90 is NOP where the row says so, but only without REX.B; with it, it belongs to the 90+r row. */
static void yield_to_opreg(struct isa *isa)
{
    bool opreg[MAP_COUNT][256] = {{false}};

    for (u32 i = 0; i < isa->count; i++) {
        const struct row *row = &isa->rows[i];

        if (row->flags & ROW_OPREG)
            opreg[row->map][row->opcode] = true;
    }
    for (u32 i = 0; i < isa->count; i++) {
        struct row *row = &isa->rows[i];

        if (!(row->flags & ROW_OPREG) && opreg[row->map][row->opcode & 0xf8])
            row->accept &= (u16)~ACCEPT_B1;
    }
}

/* Put row `index` among its slot's candidates, narrower rows first; or say what it collides with.
 */
static bool insert(const struct isa *isa, u16 *list, u32 count, u16 index, struct error *error)
{
    const struct row *row = &isa->rows[index];
    u32 at = count;

    for (u32 i = 0; i < count; i++) {
        if (!compatible(row, &isa->rows[list[i]], error))
            return false;
    }
    while (at > 0 && narrower(row, &isa->rows[list[at - 1]])) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = index;
    return true;
}

static bool fill_slots(struct isa *isa, struct error *error)
{
    bool ok = true;
    u32 used = 0;

    for (u32 i = 0; i < isa->count; i++) {
        const struct row *row = &isa->rows[i];

        isa->candidate_count += opcodes(row);
        for (u32 n = 0; n < opcodes(row); n++)
            isa->slots[row->map][row->opcode + n].count++;
    }
    isa->candidates = calloc(isa->candidate_count + 1, sizeof(*isa->candidates));
    CHECK(isa->candidates != NULL && isa->candidate_count < 0xffff);
    for (u32 n = 0; n < MAP_COUNT * 256; n++) {
        struct slot *slot = &isa->slots[n / 256][n % 256];

        slot->first = (u16)used;
        used += slot->count;
        slot->count = 0;
    }
    for (u32 i = 0; i < isa->count; i++) {
        const struct row *row = &isa->rows[i];

        for (u32 n = 0; n < opcodes(row); n++) {
            struct slot *slot = &isa->slots[row->map][row->opcode + n];

            if (insert(isa, isa->candidates + slot->first, slot->count, (u16)i,
                       ok ? error : &(struct error){0}))
                slot->count++;
            else
                ok = false;
            slot->modrm = (isa->rows[isa->candidates[slot->first]].flags & ROW_MODRM) != 0;
        }
    }
    return ok;
}

/* Fills the tables from the rows. False: some rows are wrong, and left out. */
static bool isa_build(struct isa *isa, struct error *error)
{
    bool ok = parse_all(isa, error);

    yield_to_opreg(isa);
    return fill_slots(isa, ok ? error : &(struct error){0}) && ok;
}

const struct isa *isa_get(void)
{
    static struct isa *tables;

    if (tables == NULL) {
        struct error error;

        tables = calloc(1, sizeof(*tables));
        CHECK(tables != NULL);
        if (!isa_build(tables, &error))
            log_write(LOG_UNIMPLEMENTED, "%s", error.text);
    }
    return tables;
}

bool isa_check(struct error *error)
{
    struct isa *isa = calloc(1, sizeof(*isa));
    bool ok;

    CHECK(isa != NULL);
    ok = isa_build(isa, error);
    free(isa->rows);
    free(isa->candidates);
    free(isa);
    return ok;
}

u32 isa_row_count(const struct isa *isa)
{
    return isa->count;
}

const struct row *isa_row(const struct isa *isa, u32 index)
{
    return &isa->rows[index];
}

const u16 *isa_candidates(const struct isa *isa, enum opcode_map map, u8 opcode, u32 *count,
                          bool *modrm)
{
    const struct slot *slot = &isa->slots[map][opcode];

    *count = slot->count;
    *modrm = slot->modrm;
    return isa->candidates + slot->first;
}
