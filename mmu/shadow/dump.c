/* SPDX-License-Identifier: MIT */
/* Shadow pages for people and for comparison: a text and a digest. See mmu/shadow/shadow.h. */
#include "mmu/shadow/shadow_impl.h"

#include <stdio.h>

enum { LINE = 160 };

/* ---- digest ---- */

/* FNV-1a over whole words, with a shift that lets high bits matter below. */
static u64 mix(u64 h, u64 word)
{
    h = (h ^ word) * 0x100000001b3;
    return h ^ h >> 29;
}

u64 shadow_digest(const struct shadow *shadow)
{
    u64 h = 0xcbf29ce484222325;

    for (u32 i = shadow->oldest; i != 0; i = page_at(shadow, i)->newer) {
        const struct shadow_page *page = page_at(shadow, i);

        h = mix(h, page->frame);
        h = mix(h, page->role.word);
        h = mix(h, page->serial);
        h = mix(h, page->unsync);
        for (u32 slot = 0; slot < SLOTS; slot++)
            h = mix(h, page->spt[slot]);
    }
    return h;
}

/* ---- text ---- */

struct dump {
    const struct shadow *shadow;
    shadow_line print;
    void *ctx;
    const struct pt_format *format;
};

/* A linear address as the guest writes it. */
static unsigned long long linear(const struct dump *d, u64 base)
{
    const unsigned above = d->format->linear_bits == 32 ? 0 : 64u - d->format->linear_bits;

    return (unsigned long long)((i64)(base << above) >> above);
}

static int indent(const struct dump *d, u32 level)
{
    return d->format->root_level < level ? 0 : (int)(2 * (d->format->root_level - level));
}

static const struct flag_name {
    union shadow_role bit;
    const char *name;
} flag_names[] = {
    {{.has_4_byte_gpte = 1}, "4-byte"},
    {{.direct = 1}, "direct"},
    {{.nx = 1}, "nx"},
    {{.pse = 1}, "pse"},
    {{.gbpages = 1}, "gbpages"},
    {{.bit8_reserved = 1}, "bit8-reserved"},
    {{.ad_disabled = 1}, "no-ad"},
    {{.execonly = 1}, "execonly"},
    {{.mbec = 1}, "mbec"},
    {{.gmet = 1}, "gmet"},
    {{.smm = 1}, "smm"},
    {{.guest_mode = 1}, "nested"},
    {{.stage2 = 1}, "stage2"},
    {{.combined = 1}, "combined"},
    {{.cr0_wp = 1}, "wp"},
    {{.smep_andnot_wp = 1}, "smep-andnot-wp"},
    {{.smap_andnot_wp = 1}, "smap-andnot-wp"},
};

enum { RIGHTS_TEXT = 16 };

/* "rwxu" for a first stage, whose pages may all be read, "rwxX" for a second (X: execution for user
 * pages; u under GMET: a user page), both if a combined leaf has both; with a dash for what is not
 * granted. */
static void rights_text(char text[RIGHTS_TEXT], union shadow_role role, u64 rights, u64 rights2)
{
    const char first[] = {'r', (rights & RIGHT_WRITE) != 0 ? 'w' : '-',
                          (rights & RIGHT_EXEC) != 0 ? 'x' : '-',
                          (rights & RIGHT_USER) != 0 ? 'u' : '-', '\0'};
    char second[] = {(rights2 & RIGHT2_READ) != 0 ? 'r' : '-',
                     (rights2 & RIGHT2_WRITE) != 0 ? 'w' : '-',
                     (rights2 & RIGHT2_EXEC) != 0 ? 'x' : '-', '-', '\0'};

    if ((rights2 & RIGHT2_USER_EXEC) != 0)
        second[3] = role.gmet ? 'u' : 'X';
    if (role.stage2)
        (void)snprintf(text, RIGHTS_TEXT, "%s", second);
    else
        (void)snprintf(text, RIGHTS_TEXT, "%s%s%s", first, role.combined ? "/" : "",
                       role.combined ? second : "");
}

/* The role in words. */
static void role_text(char *text, size_t size, union shadow_role role)
{
    size_t used = (size_t)snprintf(text, size, "%s", pt_formats[role.fmt].name);

    if (role.quadrant != 0)
        used += (size_t)snprintf(text + used, size - used, " quadrant %u", (u32)role.quadrant);
    if (role.ndom != 0)
        used += (size_t)snprintf(text + used, size - used, " domain %u", (u32)role.ndom);
    for (size_t i = 0; i < ARRAY_SIZE(flag_names) && used < size; i++) {
        if ((role.word & flag_names[i].bit.word) != 0)
            used += (size_t)snprintf(text + used, size - used, " %s", flag_names[i].name);
    }
}

/* Would the leaf after `spte`, `n` slots on, continue a run? */
static bool is_run(u64 first, u64 spte, u64 step)
{
    return (spte & SPTE_LEAF) != 0 && spte == first + step;
}

static u32 dump_run(const struct dump *d, const struct shadow_page *page, u32 slot, u64 base)
{
    const u32 shift = level_shift(page->role.level);
    const u64 first = page->spt[slot];
    const u64 dirty = TLB2_DIRTY | TLB2_DIRTY2;
    u32 count = 1;
    char rights[RIGHTS_TEXT], line[LINE];

    while (slot + count < SLOTS && is_run(first, page->spt[slot + count], (u64)count << shift))
        count++;
    rights_text(rights, page->role, first, first >> TLB2_RIGHTS2_SHIFT);
    (void)snprintf(line, sizeof(line), "%*s%016llx: %u leaves to %llx %s%s key %u",
                   indent(d, page->role.level - 1u), "", linear(d, base + ((u64)slot << shift)),
                   count, (unsigned long long)(first & SPTE_ADDRESS), rights,
                   (first & dirty) == dirty ? " dirty" : "", (u32)(first >> TLB2_KEY_SHIFT) & 15);
    d->print(d->ctx, line);
    return count;
}

static void dump_head(const struct dump *d, const struct shadow_page *page, u64 base)
{
    char rights[RIGHTS_TEXT], role[LINE], line[2 * LINE];

    rights_text(rights, page->role, page->role.access, page->role.access2);
    role_text(role, sizeof(role), page->role);
    (void)snprintf(line, sizeof(line), "%*slevel %u at %016llx: page %u, frame %llx, %s %s, %u%s",
                   indent(d, page->role.level), "", (u32)page->role.level, linear(d, base),
                   page_index(d->shadow, page), (unsigned long long)page->frame, rights, role,
                   page->present, page->unsync != 0 ? " entries, unsync" : " entries");
    d->print(d->ctx, line);
}

/* A page and all below it: as deep as there are levels. */
static void dump_page(const struct dump *d, const struct shadow_page *page, u64 base)
{
    dump_head(d, page, base);
    for (u32 slot = 0; slot < SLOTS;) {
        const u64 spte = page->spt[slot];

        if ((spte & SPTE_LEAF) != 0) {
            slot += dump_run(d, page, slot, base);
            continue;
        }
        if (spte_is_child(spte))
            dump_page(d, page_at(d->shadow, spte_child(spte)),
                      base + ((u64)slot << level_shift(page->role.level)));
        slot++;
    }
}

/* The root page of a stage, if it is there still. */
static const struct shadow_page *root_at(const struct shadow *shadow, const struct mmu_stage *stage,
                                         u32 i)
{
    const struct shadow_page *page = page_at(shadow, stage->root[i].page);

    return stage->root[i].page != 0 && page->serial == stage->root[i].serial ? page : NULL;
}

static void dump_stage(const struct dump *d, const struct mmu_stage *stage)
{
    for (u32 i = 0; i < ARRAY_SIZE(stage->root); i++) {
        const struct shadow_page *page = root_at(d->shadow, stage, i);

        if (page != NULL) /* tables of level 2 at the root are one per GiB */
            dump_page(d, page, page->role.level == 2 ? (u64)i << 30 : 0);
    }
}

static bool has_roots(const struct shadow *shadow, const struct mmu_stage *stage)
{
    for (u32 i = 0; i < ARRAY_SIZE(stage->root); i++) {
        if (root_at(shadow, stage, i) != NULL)
            return true;
    }
    return false;
}

static void dump_context(const struct mmu_state *s, u32 index, shadow_line print, void *ctx)
{
    const struct mmu_context *c = &s->context[index];
    const struct shadow *shadow = s->memory->shadow;
    const struct dump first = {shadow, print, ctx, c->first.rules.format};
    const struct dump second = {shadow, print, ctx, c->second.rules.format};
    char line[LINE];

    (void)snprintf(line, sizeof(line), "CPU %u context %u%s: %s, root %llx", s->index, index,
                   index == s->current ? " (in use)" : "", first.format->name,
                   (unsigned long long)s->key_root[index]);
    print(ctx, line);
    dump_stage(&first, &c->first);
    if (s->key_role2[index] == 0)
        return;
    (void)snprintf(line, sizeof(line), "second stage: %s, root %llx", second.format->name,
                   (unsigned long long)s->key_root2[index]);
    print(ctx, line);
    dump_stage(&second, &c->second);
}

void shadow_dump(const struct mmu_state *s, shadow_line print, void *ctx)
{
    const struct shadow *shadow = s->memory->shadow;

    for (u32 i = 0; i < TLB_CONTEXTS; i++) {
        if (i == s->current || has_roots(shadow, &s->context[i].first) ||
            has_roots(shadow, &s->context[i].second))
            dump_context(s, i, print, ctx);
    }
}
