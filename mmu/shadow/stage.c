/* SPDX-License-Identifier: MIT */
/* Which tables a context has shadowed, under which roles; and domains: see struct domain. */
#include "base/check.h"
#include "mmu/shadow/shadow_impl.h"

union shadow_role stage_role(const struct mmu_state *s, bool second)
{
    const bool parity = s->memory->shadow->options.kvm_parity;
    const union mmu_role role = {.word =
                                     second ? s->key_role2[s->current] : s->key_role[s->current]};

    if (!second && context_combined(s))
        return shadow_combined_role(role, parity, context_ndom(s));
    if (role.format == PAGING_NONE)
        return (union shadow_role){.word = 0};
    return shadow_root_role(role, parity);
}

/* ---- domains ---- */

static void number_set(struct shadow *shadow, u32 number, bool used)
{
    u64 *word = &shadow->numbers[number / 64];

    *word = (*word & ~BIT(number % 64)) | (u64)used << (number % 64);
}

/* The contexts of a CPU that use a domain. */
static u32 contexts_of(const struct mmu_state *s, u32 domain)
{
    u32 contexts = 0;

    for (u32 c = 0; c < TLB_CONTEXTS; c++)
        contexts |= (u32)(s->context[c].domain == domain) << c;
    return contexts;
}

void domains_renew(struct shadow *shadow, u64 domains)
{
    for (; domains != 0; domains &= domains - 1) {
        const u32 domain = (u32)__builtin_ctzll(domains);

        if (shadow->domain[domain].number == 0)
            continue; /* nothing was made since */
        number_set(shadow, shadow->domain[domain].number, false);
        shadow->domain[domain].number = 0;
        shadow->changes++;
        shadow->stats.domains_renewed++;
        for (u32 cpu = 0; cpu < shadow->memory->mmus; cpu++) {
            struct mmu_state *s = shadow->memory->mmu[cpu];

            if (s != NULL)
                tlb_revoke_contexts(s, contexts_of(s, domain));
        }
    }
}

/* Nobody's any more. */
static void domain_end(struct shadow *shadow, u32 domain)
{
    domains_renew(shadow, BIT(domain));
    for (u32 cpu = 0; cpu < shadow->memory->mmus; cpu++) {
        struct mmu_state *s = shadow->memory->mmu[cpu];

        for (u32 c = 0; s != NULL && c < TLB_CONTEXTS; c++) {
            if (s->context[c].domain == domain)
                s->context[c].domain = 0;
        }
    }
    shadow->domain[domain] = (struct domain){.role = 0};
}

/* The domain with this second stage: found, or in place of the one that was used longest ago. */
static u32 domain_get(struct shadow *shadow, u64 role, u64 root)
{
    u32 oldest = 1;

    for (u32 i = 1; i < DOMAINS; i++) {
        const struct domain *d = &shadow->domain[i];

        if (d->role == role && d->root == root)
            return i;
        if (d->last_use < shadow->domain[oldest].last_use)
            oldest = i;
    }
    domain_end(shadow, oldest);
    shadow->domain[oldest] = (struct domain){.role = role, .root = root};
    return oldest;
}

/* All numbers have been used: begin anew, without any page that has one. */
static void numbers_begin(struct shadow *shadow)
{
    u32 next;

    for (u32 i = shadow->oldest; i != 0; i = next) {
        next = page_at(shadow, i)->newer;
        if (page_at(shadow, i)->role.combined)
            page_zap(shadow, i);
    }
    domains_renew(shadow, ~(u64)1);
    shadow->last_number = 0;
}

void domain_begin(struct mmu_state *s)
{
    struct shadow *shadow = s->memory->shadow;
    struct mmu_context *context = &s->context[s->current];
    struct domain *domain;

    if (context->domain == 0)
        context->domain = domain_get(shadow, s->key_role2[s->current], s->key_root2[s->current]);
    domain = &shadow->domain[context->domain];
    domain->last_use = ++shadow->domain_clock;
    if (domain->number != 0)
        return;
    if (shadow->last_number == NDOM_MAX)
        numbers_begin(shadow);
    domain->number = ++shadow->last_number;
    number_set(shadow, domain->number, true);
}
