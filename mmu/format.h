/* SPDX-License-Identifier: MIT */
/*
 * Paging formats as data: one row per format, by level. The walker (mmu/walk.c) has no other
 * knowledge of a format. EPT has rows of its own; NPT is the rows of its host's paging mode, read
 * under a role with `stage2`.
 */
#ifndef MMU_FORMAT_H
#define MMU_FORMAT_H

#include "base/bits.h"
#include "base/types.h"
#include "mmu/role.h"

enum { PT_LEVELS = 5 };

/* What a translation grants, all levels taken together. */
enum right {
    RIGHT_WRITE = 1 << 0,
    RIGHT_USER = 1 << 1,
    RIGHT_EXEC = 1 << 2,
    RIGHTS_ALL = RIGHT_WRITE | RIGHT_USER | RIGHT_EXEC,
};

/* The same for a second stage: bits 2:0 of an EPT entry in their order, and bit 10. Without MBEC
 * RIGHT2_USER_EXEC follows RIGHT2_EXEC. Under GMET there is U/S of NPT in its place: a mark that
 * all levels must have to count, and not a right. Who may do what: mmu/rights.h. */
enum right2 {
    RIGHT2_READ = 1 << 0,
    RIGHT2_WRITE = 1 << 1,
    RIGHT2_EXEC = 1 << 2,
    RIGHT2_USER_EXEC = 1 << 3,
    RIGHT2_USER = RIGHT2_USER_EXEC, /* role.gmet */
    RIGHTS2_ALL = RIGHT2_READ | RIGHT2_WRITE | RIGHT2_EXEC | RIGHT2_USER_EXEC,
};

struct pt_level {
    u8 shift; /* of the linear address bits that index a table of this level */
    u8 index_bits; /* how many; 0: the format has no such level */
    bool large; /* an entry may map a page of 1 << shift bytes */
    u64 reserved_table; /* reserved bits of an entry that points to a table */
    u64 reserved_page; /* and of one that maps a page (bit 7 set; level 1 is neither) */
    u64 high_address; /* bits of such an entry that are physical address bits 32 and up: PSE-36 */
};

struct pt_format {
    const char *name;
    u8 root_level; /* the level of the table at the root */
    u8 entry_bytes; /* 4 or 8 */
    u8 linear_bits; /* longer addresses are sign-extended: "canonical"; 32 has no such rule */
    u8 root_registers; /* the root is a set of this many registers, not a table: PAE */
    bool keys; /* bits 62:59 of the last entry are a protection key */
    bool patterns; /* bits 10 and 5:0 must go together: EPT */
    u64 present; /* an entry with none of these is not present */
    u64 address; /* physical address bits, to be cut at MAXPHYADDR */
    u64 no_execute; /* reserved unless EFER.NXE */
    u64 reserved; /* in every entry */
    u64 reserved_root; /* in an entry of the root set, should that lie in memory: role.pdpt */
    u64 accessed, dirty;
    u32 (*rights)(u64 entry); /* enum right (EPT: right2) bits that one entry grants */
    struct pt_level level[PT_LEVELS + 1]; /* by level number; [0] unused */
};

/* By enum paging_format; PAGING_NONE has an empty row. */
extern const struct pt_format pt_formats[];

/* A format as one CPU with one role reads it. */
struct pt_rules {
    const struct pt_format *format;
    bool pdpt; /* the root is a set of entries in memory */
    u32 (*rights)(u64 entry); /* enum right, or right2 in a second stage */
    u32 rights_all;
    u64 present;
    u64 address;
    u64 accessed, dirty; /* 0: not kept */
    u64 reserved_root;
    /* By bit 10 of an entry: bit n is set if n in bits 5:0 is a misconfiguration. */
    u64 illegal[2];
    u64 reserved_table[PT_LEVELS + 1];
    u64 reserved_page[PT_LEVELS + 1];
    u64 page[PT_LEVELS + 1]; /* an entry with one of these bits maps a page */
};

/* An entry in memory, of 4 or 8 bytes. */
static ALWAYS_INLINE u64 pt_load(const u8 *host, u32 bytes)
{
    return bytes == 4 ? load_le(host, 4) : load_le(host, 8);
}

static ALWAYS_INLINE void pt_store(u8 *host, u64 entry, u32 bytes)
{
    if (bytes == 4)
        store_le(host, entry, 4);
    else
        store_le(host, entry, 8);
}

/* Where the page begins that an entry of a level maps. */
static inline u64 pt_page(const struct pt_rules *rules, u64 entry, u32 level)
{
    const struct pt_level *l = &rules->format->level[level];

    return (entry & rules->address & ~(BIT(l->shift) - 1)) | (entry & l->high_address) << 19;
}

/* Bits 10 and 5:0 of a present entry go together. */
static inline bool pt_pattern_legal(const struct pt_rules *rules, u64 entry)
{
    return (rules->illegal[entry >> 10 & 1] >> (entry & 63) & 1) == 0;
}

/* role: all but wp, smep, smap, pke, pks, smm and guest_mode matters. phys_bits: MAXPHYADDR. SDM
 * Vol 3A 4.3-4.5, SDM Vol 3C 29.3 (EPT), APM Vol 2 15.25 (NPT). */
void pt_rules_init(struct pt_rules *rules, union mmu_role role, u32 phys_bits);

#endif
