# SPDX-License-Identifier: MIT
"""Mistakes to make in the shadow engine, each of which some test must notice.

file, the text to be replaced (there exactly once), the text instead, a name, and why it would be wrong.
"""
import collections

Mutation = collections.namedtuple("Mutation", "file old new name reason")

FETCH = "mmu/shadow/fetch.c"
PAGE = "mmu/shadow/page.c"
ROLE = "mmu/shadow/role.c"
STORE = "mmu/shadow/store.c"
SYNC = "mmu/shadow/sync.c"
IMPL = "mmu/shadow/shadow_impl.h"

MUTATIONS = [Mutation(*fields) for fields in (
    # ---- the sync rule, and identity ----
    (SYNC, "    if (role_mismatch(page->role, context_root_role(s)) == 0)\n        return true;",
     "    if (page->role.has_4_byte_gpte == context_role(s).has_4_byte_gpte)\n        return true;",
     "m1_running_entry_size", "the rule compares with what the running context's register says alone"),
    (SYNC, "        return false; /* nothing to decode, or nobody who could */\n",
     "        return false;\n    if (page->role.guest_mode || page->role.stage2)\n        return true;\n",
     "m2_nested_exempt", "pages of nested guests and second stages are not checked"),
    (ROLE, "{.level = 7, .quadrant = 3, .access = 7, .access2 = 15};",
     "{.level = 7, .quadrant = 3, .access = 7, .access2 = 15, .has_4_byte_gpte = 1, .fmt = 15};",
     "m3_entry_size_not_compared", "8-byte pages are refreshed as 4-byte ones"),
    (FETCH, "        if (page_at(shadow, i)->unsync != 0)\n            page_zap(shadow, i);",
     "        if (page_at(shadow, i)->unsync != 0)\n            (void)sync_page(s, i, false);",
     "m4_third_caller", "a foreign context refreshes the unsync pages of a frame"),
    (FETCH, "        if (same_identity(linked->frame, linked->role, frame, role) && linked->unsync == 0)",
     "        if (linked->frame == frame && linked->unsync == 0)",
     "m5_child_by_frame", "a linked child is reused for its frame alone"),
    (FETCH, "    page_reserve(s->memory->shadow); /* may zap any page, so nothing is known before it */\n"
     "    page = root_get(s, va, t->step[0].frame);\n",
     "    page = root_get(s, va, t->step[0].frame);\n    page_reserve(s->memory->shadow);\n",
     "m6_root_before_reserve", "the root is looked up before room is made, which may zap it"),
    (ROLE, "    role.fmt = cpu.format;\n", "", "m7_no_format", "pages of different formats are one"),
    ("mmu/shadow/role.h", "    return frame == other_frame && role.word == other_role.word;",
     "    role.access = other_role.access;\n    return frame == other_frame && role.word == other_role.word;",
     "identity_without_access", "tables reached with different rights share a page"),
    (ROLE, "    role.smm = cpu.smm;\n", "", "identity_without_smm", "SMRAM leaks"),
    (ROLE, "    role.nx = cpu.nx;\n", "", "identity_without_nx", "bit 63 is reserved without NXE"),
    (ROLE, "    role.pse = cpu.pse;\n", "", "identity_without_pse", "4 MiB pages without CR4.PSE"),
    (ROLE, "    role.gbpages = cpu.gbpages;\n", "", "identity_without_gbpages",
     "1 GiB pages on a processor that has none"),
    (ROLE, "role.level == 1 ? slot & 1u : 0u;", "role.level == 1 ? 0u : 0u;", "child_quadrant",
     "both halves of a 4-byte table are one page"),
    (FETCH, "    role.quadrant = role.has_4_byte_gpte ? va >> 30 & 3 : 0u;\n", "", "root_quadrant",
     "four GiB share one page of level 2"),
    (ROLE, "    role.dirty = piece->dirty;\n", "", "piece_dirty",
     "pieces of clean and dirty large pages are one"),
    (ROLE, "    role.key = piece->key & 15u;\n", "", "piece_key", "pieces with different keys are one"),
    (FETCH, "return root->page != 0 && page->serial == root->serial ? page : NULL;",
     "return root->page != 0 && page->serial != 0 ? page : NULL;", "root_serial",
     "a context takes another page for its zapped root"),

    # ---- what entries say ----
    (FETCH, "    leaf |= f->rights(entry) & role.access;", "    leaf |= f->rights(entry);",
     "leaf_access", "rights of the levels above are forgotten"),
    (FETCH, "    leaf |= (entry & f->dirty) != 0 ? (u64)TLB2_DIRTY : 0;", "    leaf |= (u64)TLB2_DIRTY;",
     "leaf_dirty", "writes that do not set D"),
    (FETCH, "    leaf |= f->keys ? bits_get(entry, 62, 59) << TLB2_KEY_SHIFT : 0;\n", "", "leaf_key",
     "prefetched pages have no protection key"),
    (FETCH, "    return (entry & accessed) == accessed ? leaf_of(rules, page->role, slot, entry) : 0;",
     "    (void)accessed;\n    return leaf_of(rules, page->role, slot, entry);", "prefetch_unaccessed",
     "accesses that do not set A"),
    (FETCH, "        leaf += (u64)(slot & 1) << level_shift(2);", "        leaf += 0;", "second_half",
     "both halves of a 4 MiB page are the first"),
    (FETCH, "        (entry & rules->reserved_page[n]) != 0)", "        rules == NULL)", "leaf_reserved",
     "reserved bits do not fault"),
    (IMPL, "        return (role.quadrant * SLOTS + slot) * 4;", "        return slot * 4;",
     "offset_quadrant", "the upper half of a 4-byte table is read from the lower"),
    (FETCH, "        access &= f->rights(t->step[i].entry);\n", "", "path_access",
     "a table's page has all rights, whatever is above"),

    # ---- who used what ----
    (FETCH, "    page_use(s, page, va);\n    if (!page->role.direct)\n        prefetch",
     "    if (!page->role.direct)\n        prefetch", "fetch_without_use",
     "the page that mapped an access does not know of it"),
    (FETCH, "        page_use(s, page, va);\n        if ((spte & SPTE_LEAF) != 0)\n",
     "        if ((spte & SPTE_LEAF) != 0)\n", "lookup_without_use",
     "pages that answered from the shadow do not know of it"),
    (FETCH, "        page_use(s, page, va); /* after the slot changed, which revokes */\n", "",
     "build_without_use", "tables above do not know who came through"),
    (FETCH, "    } else if (page->base != base) {\n        page->mixed = true;", "    } else if (page->base != base) {",
     "never_mixed", "only one of several linear places is revoked"),
    (PAGE, "    if (page->role.level > 1 || page->mixed) {\n        page_revoke(shadow, page);\n        return;",
     "    if (page->role.level > 1) {\n        page_revoke(shadow, page);\n        return;", "slot_revoke_mixed",
     "single pages are revoked at one place of several"),
    (SYNC, "    if (page->mixed || page->present > REVOKE_SINGLY) {", "    if (page->present > REVOKE_SINGLY) {",
     "unsync_revoke_mixed", "the same when going unsync"),
    (PAGE, "    shadow->changes++;\n    for (u32 cpu = 0; cpu < MEMORY_CPUS; cpu++) {",
     "    shadow->changes++;\n    for (u32 cpu = 0; cpu < 1; cpu++) {", "revoke_one_cpu",
     "other CPUs keep what was revoked"),
    (PAGE, "        if (page_at(shadow, child)->present != 0)\n            slot_revoke(shadow, page, slot);",
     "", "no_revoke_of_children", "what came through a dropped child stays"),
    (PAGE, "    } else if (!leaf_covers(spte, old)) {\n        slot_revoke(shadow, page, slot);\n    }", "    }",
     "no_revoke_of_leaves", "what came through a dropped leaf stays"),
    (PAGE, "    const u64 may_come = RIGHT_WRITE | RIGHT_EXEC | TLB2_DIRTY;",
     "    const u64 may_come = RIGHT_WRITE | RIGHT_EXEC | RIGHT_USER | TLB2_DIRTY;", "user_covers_supervisor",
     "a page that becomes a user page is kept from nobody"),

    # ---- watching and stores ----
    (PAGE, "        memory_watch(memory, frame, FRAME_SHADOW);", "        memory->frames[frame].flags |= FRAME_SHADOW;",
     "watch_leaves_write_tags", "stores through write tags are not seen"),
    (STORE, "    const u32 last = (store->offset + store->size - 1) / bytes;",
     "    const u32 last = store->offset / bytes;", "store_first_entry",
     "of a store over several entries the first is dropped"),
    (STORE, "        count = SLOTS / slice;\n        first = entry % slice * count;",
     "        first = entry % slice * (SLOTS / slice);", "store_one_half",
     "of a 4-byte entry of level 2 only one slot is dropped"),
    (STORE, "        if (entry / slice != page->role.quadrant)\n", "        if (entry / slice != 0)\n", "store_quadrant",
     "stores to other quadrants are not seen"),
    (STORE, "page->present != 0 && !frame_has_higher(shadow, page->frame);", "page->present != 0;",
     "unsync_under_table", "a frame that is a higher table, too, goes unwatched"),
    (STORE, "    if (shadow->options.sync == SYNC_LAZY && !frame_has_higher(shadow, page->frame))",
     "    if (shadow->options.sync == SYNC_LAZY)", "lazy_higher", "higher tables are not coherent"),
    (STORE, "        if (role.direct || (f->entry_bytes == bytes && (bits & ~kept) == 0))",
     "        if (role.direct || (bits & ~kept) == 0)", "foreign_flags",
     "A and D of another entry size change what an entry means"),

    # ---- unsync ----
    (FETCH, "        if (unlikely(page->unsync != 0) && shadow->options.sync == SYNC_STRICT &&\n"
     "            !sync_page(s, page_index(shadow, page), false))\n            return false;\n", "",
     "lookup_without_sync", "an unsync page answers as it was"),
    (FETCH, " && linked->unsync == 0)", ")", "fetch_without_sync", "entries are added to a page out of step"),
    (SYNC, "        memcpy(u->snapshot, table, PAGE_SIZE);\n    else", "        (void)u;\n    else",
     "snapshot_not_renewed", "the next refresh takes no notice of a change back"),
    (SYNC, "        frame_watch_update(shadow, page->frame); /* before it is read */\n", "",
     "sync_without_watch", "a refreshed page does not hear of stores"),
    (SYNC, "    for (u32 at = first; at <= last; at += bytes) {", "    for (u32 at = first; at < last; at += bytes) {",
     "sync_without_last", "the last entry is never refreshed"),
    (SYNC, "        revoke_entries(shadow, page);\n", "        (void)revoke_entries;\n", "unsync_without_revoke",
     "what came through an unsync page is not coherent"),
    (SYNC, "    page_zap(shadow, oldest->page);\n    return oldest;", "    return oldest;", "unsync_overflow",
     "a place in the unsync set is taken away"),
    (FETCH, "    if (shadow->options.sync == SYNC_LAZY && role.level > 1 && !role.direct)\n        sync_reachable(s);\n",
     "", "lazy_link_without_sync", "old entries appear where nothing was"),
    (SYNC, "        if (index != 0 && role_mismatch(page_at(shadow, index)->role, context_root_role(s)) == 0)",
     "        if (index != 0)", "flush_foreign", "a flush refreshes pages of other contexts"),
    (SYNC, "    shadow->stats.flushes++;\n    sync_reachable(s);\n", "    shadow->stats.flushes++;\n",
     "flush_nothing", "a flush flushes nothing"),
    (SYNC, "            slot_replace(shadow, page, slot_of(va, 1), 0);", "            (void)page;", "invlpg_nothing",
     "INVLPG flushes nothing"),

    # ---- life of pages ----
    (PAGE, "    if (page->present != 0)\n        page_revoke(shadow, page);\n", "", "zap_without_revoke",
     "what came through a zapped page stays"),
    (PAGE, "        slot_set(shadow, parent, slot, 0);\n", "        (void)slot;\n", "zap_under_parent",
     "a parent points to a page that is gone"),
    (PAGE, "        if (spte_is_child(page->spt[i]))\n            link_remove(shadow, page, i, spte_child(page->spt[i]));",
     "", "zap_keeps_links", "children know a parent that is gone"),
    (PAGE, "    page->hash_next = shadow->page_free;\n    shadow->page_free = index;\n    if (!page->role.direct)\n"
     "        frame_watch_update(shadow, page->frame);\n",
     "    page->hash_next = shadow->page_free;\n    shadow->page_free = index;\n", "zap_keeps_watch",
     "a frame that nobody shadows is watched for good"),
    (PAGE, "    unsync_forget(shadow, page);\n", "", "zap_keeps_unsync", "the unsync set names a page that is gone"),
    (PAGE, "    const u32 wanted = FETCH_PAGES * 2;", "    const u32 wanted = FETCH_PAGES;", "reserve_too_little",
     "a fetch needs two blocks for a page with links"),
    (PAGE, "    return ((spte ^ old) & ~may_come) == 0 && (old & ~spte) == 0;", "    return ((spte ^ old) & ~may_come) == 0;",
     "lost_rights_cover", "a page that loses a right is kept writable"),

    # ---- fetch ----
    (FETCH, "shadow->missed_changes != shadow->changes ||\n", "\n", "missed_after_changes",
     "a fetch starts at a page to which the way is gone"),
    (FETCH, "        page->unsync != 0)\n        return NULL;\n    return page;", "        false)\n        return NULL;\n    return page;",
     "missed_unsync", "a fetch adds to a page that is out of step"),
    (FETCH, "        if (t->step[i].host == NULL)\n            return false;", "        if (t->steps == 0)\n            return false;",
     "table_in_device", "tables in devices are cached"),
    (FETCH, "    return ((load_le(step->host, f->entry_bytes) ^ step->entry) & ~(f->accessed | f->dirty)) == 0;",
     "    return f != NULL && step != NULL;", "not_read_again", "what changes between walk and fetch is entered"),
)]
