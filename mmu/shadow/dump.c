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
    return (int)(2 * (d->format->root_level - level));
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
    {{.ad_disabled = 1}, "no-ad"},
    {{.execonly = 1}, "execonly"},
    {{.mbec = 1}, "mbec"},
    {{.smm = 1}, "smm"},
    {{.guest_mode = 1}, "nested"},
    {{.stage2 = 1}, "stage2"},
    {{.combined = 1}, "combined"},
    {{.cr0_wp = 1}, "wp"},
    {{.smep_andnot_wp = 1}, "smep-andnot-wp"},
    {{.smap_andnot_wp = 1}, "smap-andnot-wp"},
};

/* "rwxu", with a dash for what is not granted; every x86 page may be read. */
static void rights_text(char text[5], u64 rights)
{
    text[0] = 'r';
    text[1] = (rights & RIGHT_WRITE) != 0 ? 'w' : '-';
    text[2] = (rights & RIGHT_EXEC) != 0 ? 'x' : '-';
    text[3] = (rights & RIGHT_USER) != 0 ? 'u' : '-';
    text[4] = '\0';
}

/* The role in words. */
static void role_text(char *text, size_t size, union shadow_role role)
{
    size_t used = (size_t)snprintf(text, size, "%s", pt_formats[role.fmt].name);

    if (role.quadrant != 0)
        used += (size_t)snprintf(text + used, size - used, " quadrant %u", (u32)role.quadrant);
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
    u32 count = 1;
    char rights[5], line[LINE];

    while (slot + count < SLOTS && is_run(first, page->spt[slot + count], (u64)count << shift))
        count++;
    rights_text(rights, first);
    (void)snprintf(line, sizeof(line), "%*s%016llx: %u leaves to %llx %s%s key %u",
                   indent(d, page->role.level - 1u), "", linear(d, base + ((u64)slot << shift)),
                   count, (unsigned long long)(first & SPTE_ADDRESS), rights,
                   (first & TLB2_DIRTY) != 0 ? " dirty" : "", (u32)(first >> TLB2_KEY_SHIFT) & 15);
    d->print(d->ctx, line);
    return count;
}

static void dump_head(const struct dump *d, const struct shadow_page *page, u64 base)
{
    char rights[5], role[LINE], line[2 * LINE];

    rights_text(rights, page->role.access);
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

static u64 root_base(const struct pt_format *format, u32 i)
{
    return format->root_level == 2 ? (u64)i << 30 : 0;
}

void shadow_dump(const struct mmu_state *s, shadow_line print, void *ctx)
{
    const struct mmu_context *c = &s->context[s->current];
    const struct dump d = {s->memory->shadow, print, ctx, c->first.rules.format};
    char line[LINE];

    (void)snprintf(line, sizeof(line), "CPU %u context %u: %s, root %llx", s->index, s->current,
                   c->first.rules.format->name, (unsigned long long)s->key_root[s->current]);
    print(ctx, line);
    for (u32 i = 0; i < ARRAY_SIZE(c->first.root) && c->first.rules.format->root_level != 0; i++) {
        const struct shadow_page *page = page_at(d.shadow, c->first.root[i].page);

        if (c->first.root[i].page != 0 && page->serial == c->first.root[i].serial)
            dump_page(&d, page, root_base(c->first.rules.format, i));
    }
}
