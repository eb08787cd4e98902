/* SPDX-License-Identifier: MIT */
/*
 * The shadow-paging engine: what guest tables mean, kept as shadow pages of 512 entries, each known
 * by (frame of the guest's table, role). One engine serves all CPUs of a memory. docs/shadow-mmu.md
 * explains it; the numbers I1..I27 are those of the audit.
 *
 * A shadow entry only ever says "allowed" or "ask again". Guest faults come from real walks alone,
 * so a shadow page that is too strict costs time, never truth.
 */
#ifndef MMU_SHADOW_SHADOW_H
#define MMU_SHADOW_SHADOW_H

#include "mmu/walk.h"

#include <stddef.h>

struct accessor;
struct memory;
struct mmu_state;
struct nested_walk;
struct shadow;

enum shadow_sync {
    SYNC_STRICT, /* coherent; level-1 pages that are written often go unsync until their next use */
    SYNC_LAZY, /* as KVM: stale translations live until the guest flushes */
    SYNC_DROP, /* coherent, and no page is ever unsync: the plain form of strict, for tests */
};

struct shadow_options {
    enum shadow_sync sync;
    u64 quota; /* bytes for shadow pages; 0: shadow_default_quota() */
    u32 unsync_after; /* strict: stores to a level-1 table without a use of it; 0: the default */
    bool kvm_parity; /* keep cr0_wp, smep_andnot_wp and smap_andnot_wp in the identity */
    bool small_pages; /* cut large guest pages into 4 KiB entries (tests) */
    bool combined; /* second stages: linear to machine in one shadow */
};

/* Counted since creation; no part of the machine's state. */
struct shadow_stats {
    u64 lookups, hits; /* refills that asked the shadow, and that it answered */
    u64 fetches, retries; /* walks entered, and of these given up because a table changed */
    u64 pages_made, pages_reused, pages_zapped;
    u64 reclaimed; /* of the zapped: to stay within the quota */
    u64 flood_zaps; /* of the zapped: written often without a use */
    u64 roots_made; /* contexts that got a root page, made or found */
    u64 stores, slots_dropped; /* stores to shadowed tables, and entries that they removed */
    u64 unsyncs, syncs,
        synced_slots; /* pages gone unsync, refreshed, and entries renewed by that */
    u64 sync_role_mismatch; /* refused refreshes: always 0, or there is a bug */
    u64 prefetched;
    u64 flushes; /* lazy: flush events */
    u64 second_lookups, second_hits; /* the same for addresses of a second stage */
    u64 leaves_dropped; /* combined leaves, each because of one entry of the second stage */
    u64 domains_renewed; /* times that all combined leaves of a second stage were given up */
};

/* 2 % of guest RAM, at least 4 MiB. */
u64 shadow_default_quota(u64 ram);
/* Make the engine of a memory, before its first mmu_create(). Destroyed with the memory. */
struct shadow *shadow_create(struct memory *memory, const struct shadow_options *options);
void shadow_destroy(struct shadow *shadow);
const struct shadow_stats *shadow_stats(const struct shadow *shadow);
bool shadow_is_lazy(const struct shadow *shadow);
/* Bytes in use for shadow pages, and the most that are allowed. */
u64 shadow_used(const struct shadow *shadow);
u64 shadow_quota(const struct shadow *shadow);

/* ---- for mmu/mmu.c ---- */

/* Translate in the current context: data as in mmu/tlb.h's level 2. false: ask a real walk. */
MUST_CHECK bool shadow_lookup(struct mmu_state *s, u64 va, u64 *data);
/* A walk of the first stage from the page of level 1 on where the lookup before ended: its last
 * entry is all that is left to read. */
struct shadow_last {
    const struct shadow_page *page;
    u8 *host; /* where the entry is */
    bool fixed; /* in ROM: no flag can be set */
    u64 entry;
    enum walk_stop stop; /* WALK_DONE, WALK_NOT_PRESENT or WALK_RESERVED_BIT */
    u64 data; /* if done: as of shadow_lookup(), without what a second stage says */
};
/* false: the lookup of this address ended elsewhere. */
MUST_CHECK bool shadow_last(struct mmu_state *s, u64 va, struct shadow_last *last);
/* May a flag be set in the table where that walk is, whose second stage keeps none itself? false:
 * ask a real walk. */
MUST_CHECK bool shadow_may_set(struct mmu_state *s, const struct accessor *who);
/* Enter what that found, through both stages. false: the way to the page does not stand any more.
 */
MUST_CHECK bool shadow_fetch_last(struct mmu_state *s, u64 va, const struct shadow_last *last,
                                  u64 data);
/* Enter what a real walk found. false: it may not be cached (a table outside RAM, or changing
 * while it is read). */
MUST_CHECK bool shadow_fetch(struct mmu_state *s, u64 va, const struct translation *t, bool write);

/*
 * A nested guest. Its second stage has shadow pages of its own, which a walk through both stages
 * asks for each nested-physical address and tells what it found. Then the translation of the linear
 * address may be cached: in combined pages, or by the soft TLB alone.
 */
/* Before the walk. The result is for shadow_fetch_nested(). */
u64 shadow_begin_nested(struct mmu_state *s);
/* data as above, shift: of the page in the shadow. */
MUST_CHECK bool shadow_lookup_second(struct mmu_state *s, u64 at, u64 *data, u8 *shift);
MUST_CHECK bool shadow_fetch_second(struct mmu_state *s, u64 at, const struct translation *t,
                                    bool write);
MUST_CHECK bool shadow_fetch_nested(struct mmu_state *s, u64 va, const struct nested_walk *n,
                                    bool write, u64 begun);

/* What the guest flushes, which matters under lazy only; a change of role counts as a flush. */
void shadow_flush(struct mmu_state *s);
void shadow_flush_page(struct mmu_state *s, u64 va);
/* INVEPT, INVVPID, and what SVM does of the kind: all second stages and nested guests. */
void shadow_flush_second(struct shadow *shadow);

/* ---- for mmu/frame.c ---- */

/* Before size bytes at offset of a FRAME_SHADOW frame are replaced by `from`. */
void shadow_store(struct shadow *shadow, u64 frame, u32 offset, const u8 *from, u32 size);
/* A walk is about to set accessed or dirty bits in an entry of so many bytes. */
void shadow_set_bits(struct shadow *shadow, u64 frame, u32 offset, u32 bytes, u64 bits);
/* Forget everything: the slots changed, or a test wants it. The soft TLBs are the caller's. */
void shadow_zap_all(struct shadow *shadow);

/* ---- looking at it ---- */

/*
 * Check invariants I1..I27 (docs/shadow-mmu.md) of every page, link and context. true: all hold.
 * Else `report` is one line that names the invariant and where it fails. Slow.
 */
MUST_CHECK bool shadow_audit(struct shadow *shadow, char *report, size_t size);
/* What invariant `number` says, or why it has no check here; NULL: there is none. */
const char *shadow_invariant(u32 number, bool *is_checked);
/* A digest of all pages in the order of their making, with roles and entries: equal in equal runs.
 */
u64 shadow_digest(const struct shadow *shadow);
/* The shadow of all contexts that have one as text: level, frame, role in words, entries used,
 * unsync. */
typedef void (*shadow_line)(void *ctx, const char *line);
void shadow_dump(const struct mmu_state *s, shadow_line print, void *ctx);

#endif
