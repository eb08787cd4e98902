/* SPDX-License-Identifier: MIT */
/*
 * Banks, stamps and revocation: see mmu/tlb.h. Also the hints in frame records that say where write
 * tags for a frame may be, so that they can be revoked singly when somebody begins to watch it.
 */
#include "mmu/tlb.h"

#include "base/bits.h"
#include "mmu/shadow/shadow.h"

#include <string.h>

/*
 * frame.write_hint: up to three places of 20 bits each, or HINT_MANY. A place is the coordinates of
 * a level-1 slot whose write tag led to the frame when it was noted, and a valid bit.
 */
enum {
    PLACE_BITS = 20,
    PLACES = 3,
    PLACE_VALID = 1 << 19,
    PLACE_CPU_SHIFT = 16,
    PLACE_CONTEXT_SHIFT = 12,
    PLACE_CLASS_SHIFT = 10,
};
#define HINT_MANY BIT(63)

_Static_assert(MEMORY_CPUS <= 8 && TLB_CONTEXTS <= 16 && BANK_CLASSES <= 4 && TLB_SIZE <= 1024,
               "a place fits its bits");

static struct mmu_context *current_context(struct mmu_state *s)
{
    return &s->context[s->current];
}

/* ---- banks ---- */

static void entry_clear(struct tlb_entry *entry, u32 index)
{
    entry->rtag = TLB_INVALID(index);
    entry->wtag = TLB_INVALID(index);
    entry->xtag = TLB_INVALID(index);
}

static bool entry_is_for(const struct tlb_entry *entry, u64 page)
{
    return entry->rtag == page || entry->wtag == page || entry->xtag == page;
}

static void bank_clear(struct bank *bank, struct tlb_entry *entry)
{
    if (bank->stamp == 0) {
        for (u32 i = 0; i < TLB_SIZE; i++)
            entry_clear(&entry[i], i);
        memset(bank->touched, 0, sizeof(bank->touched));
        return;
    }
    for (u32 word = 0; word < TLB_SIZE / 64; word++) {
        for (u64 bits = bank->touched[word]; bits != 0; bits &= bits - 1) {
            const u32 i = word * 64 + (u32)__builtin_ctzll(bits);

            entry_clear(&entry[i], i);
        }
        bank->touched[word] = 0;
    }
}

static void bank_clear_writes(const struct bank *bank, struct tlb_entry *entry)
{
    for (u32 word = 0; word < TLB_SIZE / 64; word++) {
        for (u64 bits = bank->touched[word]; bits != 0; bits &= bits - 1) {
            const u32 i = word * 64 + (u32)__builtin_ctzll(bits);

            entry[i].wtag = TLB_INVALID(i);
        }
    }
}

/* Make a bank of the current context true. */
static struct tlb_entry *bank_ready(struct mmu_state *s, u32 class)
{
    const struct mmu_context *context = current_context(s);
    struct bank *bank = &current_context(s)->bank[class];
    struct tlb_entry *entry = s->entry[s->current][class];

    if (likely(bank->stamp == context->stamp && bank->keys == s->keys)) {
        if (likely(bank->write_epoch == s->memory->write_epoch))
            return entry;
        bank_clear_writes(bank, entry);
    } else {
        bank_clear(bank, entry);
        s->stats.bank_clears++;
    }
    bank->stamp = context->stamp;
    bank->write_epoch = s->memory->write_epoch;
    bank->keys = s->keys;
    return entry;
}

/* ---- contexts ---- */

/* A stamp that no level-2 entry and no bank carries. */
static u32 stamp_new(struct mmu_state *s)
{
    if (s->last_stamp == STAMP_MAX) {
        memset(s->tlb2, 0, sizeof(s->tlb2));
        for (u32 i = 0; i < TLB_CONTEXTS; i++) {
            s->context[i].epoch = 0;
            for (u32 class = 0; class < BANK_CLASSES; class ++)
                s->context[i].bank[class].stamp = 0;
        }
        s->last_stamp = 0;
    }
    return ++s->last_stamp;
}

/* gmet: of the second stage, which tells users from supervisors even without paging. */
static u8 class_of(union mmu_role role, bool gmet, bool user, bool ac)
{
    if (role.format == PAGING_NONE && !gmet)
        return BANK_SUPER;
    if (user)
        return BANK_USER;
    return role.smap && !ac ? BANK_SMAP : BANK_SUPER;
}

/* Is it a nested guest's whose second stage tells supervisor fetches from others? */
static bool context_gmet(const struct mmu_state *s)
{
    return (union mmu_role){.word = s->key_role2[s->current]}.gmet;
}

void tlb_refresh_privilege(struct mmu_state *s)
{
    struct accessor *who = &s->who[0];

    who->user = s->user;
    who->smap = who->role.smap && !s->ac;
    s->class = class_of(who->role, who->gmet, s->user, s->ac);
    s->mmu.bank = bank_ready(s, s->class);
}

void tlb_refresh(struct mmu_state *s)
{
    struct mmu_context *context = current_context(s);
    const union mmu_role role = context_role(s);
    const bool gmet = context_gmet(s);

    if (context->epoch != s->memory->epoch) {
        context->stamp = stamp_new(s);
        context->epoch = s->memory->epoch;
    }
    s->keys = (role.pke ? s->pkru : 0) | (u64)(role.pks ? s->pkrs : 0) << 32;
    s->system_class = class_of(role, gmet, false, false);
    s->who[0] = s->who[1] = (struct accessor){role, false, role.smap, s->pkru, s->pkrs, gmet};
    s->mmu.system_bank = bank_ready(s, s->system_class);
    tlb_refresh_privilege(s);
}

void tlb_revoke_contexts(struct mmu_state *s, u32 contexts)
{
    for (u32 rest = contexts; rest != 0; rest &= rest - 1) {
        s->context[__builtin_ctz(rest)].epoch = 0;
        s->stats.revoked_contexts++;
    }
    if ((contexts >> s->current & 1) != 0)
        tlb_refresh(s);
}

void tlb_revoke_page(struct mmu_state *s, u32 contexts, u64 va)
{
    const u32 index = tlb_index(va);

    s->stats.revoked_pages++;
    for (u32 rest = contexts; rest != 0; rest &= rest - 1) {
        const u32 c = (u32)__builtin_ctz(rest);
        const struct mmu_context *context = &s->context[c];
        struct tlb2_entry *second = tlb2_slot(s, c, va);

        if (context->epoch != s->memory->epoch)
            continue; /* all void already */
        if (second->tag == tlb2_tag(va, context->stamp))
            second->tag = 0;
        for (u32 class = 0; class < BANK_CLASSES; class ++) {
            struct tlb_entry *entry = &s->entry[c][class][index];

            if (context->bank[class].stamp == context->stamp && entry_is_for(entry, va))
                entry_clear(entry, index);
        }
    }
}

void memory_revoke_page(struct memory *memory, const u16 contexts[MEMORY_CPUS], u64 va)
{
    for (u32 cpu = 0; cpu < memory->mmus; cpu++) {
        if (contexts[cpu] != 0 && memory->mmu[cpu] != NULL)
            tlb_revoke_page(memory->mmu[cpu], contexts[cpu], va);
    }
}

void memory_revoke_contexts(struct memory *memory, const u16 contexts[MEMORY_CPUS])
{
    for (u32 cpu = 0; cpu < memory->mmus; cpu++) {
        if (contexts[cpu] != 0 && memory->mmu[cpu] != NULL)
            tlb_revoke_contexts(memory->mmu[cpu], contexts[cpu]);
    }
}

void memory_revoke_all(struct memory *memory)
{
    memory->epoch++;
    if (memory->shadow != NULL)
        shadow_zap_all(memory->shadow);
    for (u32 i = 0; i < memory->mmus; i++) {
        if (memory->mmu[i] == NULL)
            continue;
        memory->mmu[i]->stats.revoked_all++;
        tlb_refresh(memory->mmu[i]);
    }
}

/* ---- write tags by frame ---- */

static u32 place_of(const struct mmu_state *s, u32 context, u32 class, u32 index)
{
    return PLACE_VALID | s->index << PLACE_CPU_SHIFT | context << PLACE_CONTEXT_SHIFT |
           class << PLACE_CLASS_SHIFT | index;
}

/* The level-1 entry at a place, or NULL; *index is its slot number. */
static struct tlb_entry *place_entry(struct memory *memory, u32 place, u32 *index)
{
    struct mmu_state *s = memory->mmu[place >> PLACE_CPU_SHIFT & (MEMORY_CPUS - 1)];
    const u32 context = place >> PLACE_CONTEXT_SHIFT & (TLB_CONTEXTS - 1);
    const u32 class = place >> PLACE_CLASS_SHIFT & 3;

    *index = place & (TLB_SIZE - 1);
    if ((place & PLACE_VALID) == 0 || s == NULL)
        return NULL;
    return &s->entry[context][class][*index];
}

/* The entry's write tag leads to the frame at host. */
static bool writes_to(const struct tlb_entry *entry, const u8 *host)
{
    return entry->host + entry->wtag == (u64)(uintptr_t)host;
}

static u32 hint_place(u64 hint, u32 i)
{
    return (u32)(hint >> (i * PLACE_BITS)) & ((1u << PLACE_BITS) - 1);
}

/* Note a new write tag in the frame's record. */
static void hint_add(struct memory *memory, u64 frame, u32 place)
{
    struct frame *f = &memory->frames[frame];
    const u8 *host = memory->bytes + frame * PAGE_SIZE;
    u32 index;

    if (f->write_epoch != (u32)memory->write_epoch) {
        f->write_epoch = (u32)memory->write_epoch;
        f->write_hint = place;
        return;
    }
    for (u32 i = 0; i < PLACES; i++) {
        if (hint_place(f->write_hint, i) == place)
            return;
    }
    for (u32 i = 0; i < PLACES; i++) {
        const struct tlb_entry *entry = place_entry(memory, hint_place(f->write_hint, i), &index);

        if (entry != NULL && writes_to(entry, host))
            continue;
        f->write_hint = bits_set(f->write_hint, (i + 1) * PLACE_BITS - 1, i * PLACE_BITS, place);
        return;
    }
    f->write_hint |= HINT_MANY;
}

bool tlb_hint_covers(const struct mmu_state *s, u32 context, u32 class, u32 index, u64 frame)
{
    const struct frame *f = &s->memory->frames[frame];
    const u32 place = place_of(s, context, class, index);

    if (f->write_epoch != (u32)s->memory->write_epoch)
        return false;
    for (u32 i = 0; i < PLACES; i++) {
        if (hint_place(f->write_hint, i) == place)
            return true;
    }
    return (f->write_hint & HINT_MANY) != 0;
}

void memory_revoke_writes(struct memory *memory, u64 frame)
{
    struct frame *f = &memory->frames[frame];
    const u8 *host = memory->bytes + frame * PAGE_SIZE;
    const u64 hint = f->write_hint;

    f->write_hint = 0;
    if (f->write_epoch != (u32)memory->write_epoch)
        return;
    if ((hint & HINT_MANY) != 0) {
        memory_revoke_all_writes(memory);
        return;
    }
    for (u32 i = 0; i < PLACES; i++) {
        u32 index;
        struct tlb_entry *entry = place_entry(memory, hint_place(hint, i), &index);

        if (entry != NULL && writes_to(entry, host))
            entry->wtag = TLB_INVALID(index);
    }
}

void memory_revoke_all_writes(struct memory *memory)
{
    memory->write_epoch++;
    if ((u32)memory->write_epoch == 0) { /* frames keep the low half: let none match by chance */
        for (u64 i = 0; i < memory->frame_count; i++)
            memory->frames[i].write_epoch = 0;
        memory->write_epoch++;
    }
    for (u32 i = 0; i < memory->mmus; i++) {
        if (memory->mmu[i] == NULL)
            continue;
        memory->mmu[i]->stats.write_flushes++;
        tlb_refresh(memory->mmu[i]);
    }
}

/* ---- filling ---- */

void tlb_fill(struct mmu_state *s, u32 class, u64 va, u8 *host, u64 frame, u32 tags)
{
    const u32 index = tlb_index(va);
    const u64 page = va & ~PAGE_OFFSET_MASK;
    struct tlb_entry *entry = &s->entry[s->current][class][index];

    if (!entry_is_for(entry, page))
        entry_clear(entry, index);
    entry->host = (u64)(uintptr_t)host - page;
    if ((tags & ACCESS_READ) != 0)
        entry->rtag = page;
    if ((tags & ACCESS_WRITE) != 0) {
        entry->wtag = page;
        hint_add(s->memory, frame, place_of(s, s->current, class, index));
    }
    if ((tags & FILL_WATCHED) != 0)
        entry->wtag = TLB_WATCHED(page);
    if ((tags & ACCESS_FETCH) != 0)
        entry->xtag = page;
    current_context(s)->bank[class].touched[index / 64] |= BIT(index % 64);
    s->stats.l1_fills++;
}
