/* SPDX-License-Identifier: MIT */
/*
 * The formats of SDM Vol 3A chapter 4 and of EPT (SDM Vol 3C 29.3), and what CR4.PSE, EFER.NXE,
 * MAXPHYADDR and the settings of a second stage make of them. Left out: sub-page permissions,
 * supervisor shadow stacks and guest-paging verification (bits 61:57 of EPT entries are ignored).
 */
#include "mmu/format.h"

#define PTE_PRESENT BIT(0)
#define PTE_WRITE BIT(1)
#define PTE_USER BIT(2)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY BIT(6)
#define PTE_LARGE BIT(7)
#define PTE_GLOBAL BIT(8)
#define PTE_NO_EXECUTE BIT(63)
#define ADDRESS BITS(51, 12)

#define EPT_RWX BITS(2, 0)
#define EPT_EXECUTE BIT(2)
#define EPT_ACCESSED BIT(8)
#define EPT_DIRTY BIT(9)
#define EPT_USER_EXECUTE BIT(10)

/* The legacy entry; the 4-byte form has no bit 63 and so always grants execution. */
static u32 legacy_rights(u64 entry)
{
    u32 rights = (u32)bits_get(entry, 2, 1); /* R/W and U/S are enum right's bits, in order */

    if ((entry & PTE_NO_EXECUTE) == 0)
        rights |= RIGHT_EXEC;
    return rights;
}

/* NPT: each access is a user access (APM Vol 2 15.25.5), so nothing is granted without U/S. */
static u32 npt_rights(u64 entry)
{
    u32 rights = RIGHT2_READ;

    if ((entry & PTE_USER) == 0)
        return 0;
    if ((entry & PTE_WRITE) != 0)
        rights |= RIGHT2_WRITE;
    if ((entry & PTE_NO_EXECUTE) == 0)
        rights |= RIGHT2_EXEC | RIGHT2_USER_EXEC;
    return rights;
}

/* With guest mode execute trap U/S denies data to nobody: APM Vol 2 15.25.13. */
static u32 npt_gmet_rights(u64 entry)
{
    u32 rights = RIGHT2_READ;

    if ((entry & PTE_WRITE) != 0)
        rights |= RIGHT2_WRITE;
    if ((entry & PTE_NO_EXECUTE) == 0)
        rights |= RIGHT2_EXEC;
    if ((entry & PTE_USER) != 0)
        rights |= RIGHT2_USER;
    return rights;
}

static u32 ept_rights(u64 entry)
{
    return (u32)(entry & EPT_RWX) | (u32)(entry & EPT_EXECUTE) << 1;
}

/* With mode-based execute control, SDM Vol 3C 29.3.2. */
static u32 ept_mbec_rights(u64 entry)
{
    return (u32)(entry & EPT_RWX) | (u32)(entry & EPT_USER_EXECUTE) >> 7;
}

/* clang-format off */
const struct pt_format pt_formats[] = {
    [PAGING_NONE] = {.name = "none", .linear_bits = 32},

    [PAGING_32BIT] = { /* SDM Vol 3A 4.3 */
        .name = "32-bit", .root_level = 2, .entry_bytes = 4, .linear_bits = 32,
        .present = PTE_PRESENT, .address = BITS(31, 12),
        .accessed = PTE_ACCESSED, .dirty = PTE_DIRTY, .rights = legacy_rights,
        .level = {
            /*     shift index large  table       page          high */
            [2] = {22,   10,   true,  0,          BIT(21),      BITS(20, 13)},
            [1] = {12,   10,   false, 0,          0,            0},
        },
    },

    [PAGING_PAE] = { /* SDM Vol 3A 4.4: bits 62:52 are reserved here, not ignored */
        .name = "PAE", .root_level = 2, .entry_bytes = 8, .linear_bits = 32, .root_registers = 4,
        .present = PTE_PRESENT, .address = ADDRESS, .no_execute = PTE_NO_EXECUTE,
        .reserved = BITS(62, 52),
        .reserved_root = BITS(63, 52) | BITS(8, 5) | BITS(2, 1),
        .accessed = PTE_ACCESSED, .dirty = PTE_DIRTY, .rights = legacy_rights,
        .level = {
            [2] = {21,   9,    true,  0,          BITS(20, 13), 0},
            [1] = {12,   9,    false, 0,          0,            0},
        },
    },

    [PAGING_4LEVEL] = { /* SDM Vol 3A 4.5 */
        .name = "4-level", .root_level = 4, .entry_bytes = 8, .linear_bits = 48, .keys = true,
        .present = PTE_PRESENT, .address = ADDRESS, .no_execute = PTE_NO_EXECUTE,
        .accessed = PTE_ACCESSED, .dirty = PTE_DIRTY, .rights = legacy_rights,
        .level = {
            [4] = {39,   9,    false, PTE_LARGE,  0,            0},
            [3] = {30,   9,    true,  0,          BITS(29, 13), 0},
            [2] = {21,   9,    true,  0,          BITS(20, 13), 0},
            [1] = {12,   9,    false, 0,          0,            0},
        },
    },

    [PAGING_5LEVEL] = {
        .name = "5-level", .root_level = 5, .entry_bytes = 8, .linear_bits = 57, .keys = true,
        .present = PTE_PRESENT, .address = ADDRESS, .no_execute = PTE_NO_EXECUTE,
        .accessed = PTE_ACCESSED, .dirty = PTE_DIRTY, .rights = legacy_rights,
        .level = {
            [5] = {48,   9,    false, PTE_LARGE,  0,            0},
            [4] = {39,   9,    false, PTE_LARGE,  0,            0},
            [3] = {30,   9,    true,  0,          BITS(29, 13), 0},
            [2] = {21,   9,    true,  0,          BITS(20, 13), 0},
            [1] = {12,   9,    false, 0,          0,            0},
        },
    },

    [PAGING_EPT] = { /* SDM Vol 3C 29.3.2, tables 29-1 to 29-7 */
        .name = "EPT", .root_level = 4, .entry_bytes = 8, .linear_bits = 48, .patterns = true,
        .present = EPT_RWX, .address = ADDRESS,
        .accessed = EPT_ACCESSED, .dirty = EPT_DIRTY, .rights = ept_rights,
        .level = {
            [4] = {39,   9,    false, BITS(7, 3), 0,            0},
            [3] = {30,   9,    true,  BITS(6, 3), BITS(29, 12), 0},
            [2] = {21,   9,    true,  BITS(6, 3), BITS(20, 12), 0},
            [1] = {12,   9,    false, 0,          0,            0},
        },
    },

    [PAGING_EPT5] = {
        .name = "5-level EPT", .root_level = 5, .entry_bytes = 8, .linear_bits = 57,
        .patterns = true,
        .present = EPT_RWX, .address = ADDRESS,
        .accessed = EPT_ACCESSED, .dirty = EPT_DIRTY, .rights = ept_rights,
        .level = {
            [5] = {48,   9,    false, BITS(7, 3), 0,            0},
            [4] = {39,   9,    false, BITS(7, 3), 0,            0},
            [3] = {30,   9,    true,  BITS(6, 3), BITS(29, 12), 0},
            [2] = {21,   9,    true,  BITS(6, 3), BITS(20, 12), 0},
            [1] = {12,   9,    false, 0,          0,            0},
        },
    },
};
/* clang-format on */

static void level_rules(struct pt_rules *rules, u32 n, union mmu_role role, u64 reserved)
{
    const struct pt_level *level = &rules->format->level[n];
    const bool large =
        level->large && (n < 3 || role.gbpages) && (role.format != PAGING_32BIT || role.pse);

    rules->reserved_table[n] = reserved | level->reserved_table;
    rules->reserved_page[n] = reserved | level->reserved_page;
    if (role.bit8_reserved && n >= 3) /* APM Vol 2 5.3.3: MBZ in PML5E, PML4E and PDPE */
        rules->reserved_table[n] |= PTE_GLOBAL;
    rules->page[n] = large ? PTE_LARGE : 0;
    if (n == 1) /* present, hence a page */
        rules->page[n] = rules->present;
    /* Without 1 GiB pages bit 7 is reserved; without CR4.PSE it is ignored. */
    if (level->large && n >= 3 && !role.gbpages)
        rules->reserved_table[n] |= PTE_LARGE;
}

/* What a second stage makes of its format. */
static void second_stage_rules(struct pt_rules *rules, union mmu_role role)
{
    const struct pt_format *format = rules->format;

    rules->rights_all = RIGHTS2_ALL;
    if (!format->patterns)
        rules->rights = role.gmet ? npt_gmet_rights : npt_rights;
    if (role.mbec) {
        rules->rights = ept_mbec_rights;
        rules->present |= EPT_USER_EXECUTE;
    }
    if (!role.ad)
        rules->accessed = rules->dirty = 0;
}

/* The misconfigurations of SDM Vol 3C 29.3.3.1 that are neither addresses nor reserved bits. */
static void pattern_rules(struct pt_rules *rules, union mmu_role role)
{
    const u64 each_type = 0x0101010101010101; /* a byte per memory type, of R/W/X patterns */
    const u64 bad_types = 0xff000000ffff0000; /* 2, 3 and 7 */
    const u64 unreadable_write = 0x44; /* W and XW */
    const u64 unreadable = 0x55; /* with bit 10 set: nothing, W, X, XW */

    rules->illegal[0] = bad_types | each_type * (unreadable_write | (role.execonly ? 0 : BIT(4)));
    rules->illegal[1] = rules->illegal[0];
    if (role.mbec && !role.execonly)
        rules->illegal[1] |= each_type * unreadable;
}

void pt_rules_init(struct pt_rules *rules, union mmu_role role, u32 phys_bits)
{
    const struct pt_format *format = &pt_formats[role.format];
    /* Address bits at and above MAXPHYADDR. */
    const u64 beyond = phys_bits < 52 ? BITS(51, phys_bits) : 0;
    u64 reserved = format->reserved | (format->address & beyond);

    *rules = (struct pt_rules){
        .format = format,
        .pdpt = role.pdpt,
        .rights = format->rights,
        .rights_all = RIGHTS_ALL,
        .present = format->present,
        .address = format->address & ~beyond,
        .accessed = format->accessed,
        .dirty = format->dirty,
        .reserved_root = format->reserved_root | (format->address & beyond),
    };
    if (role.stage2)
        second_stage_rules(rules, role);
    if (format->patterns)
        pattern_rules(rules, role);
    if (!role.nx)
        reserved |= format->no_execute;
    for (u32 n = 1; n <= PT_LEVELS; n++) {
        if (format->level[n].index_bits != 0)
            level_rules(rules, n, role, reserved);
    }
    /* PSE-36: bit 13 of the entry is bit 32 of the address (SDM Vol 3A table 4-4). */
    if (role.format == PAGING_32BIT && phys_bits < 40)
        rules->reserved_page[2] |= BITS(20, phys_bits - 19);
}
