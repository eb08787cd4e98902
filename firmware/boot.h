/* SPDX-License-Identifier: MIT */
/*
 * What every boot loader takes and gives: images in host memory, the machine's memory map, and the
 * state the boot CPU is to start in. The loaders check each field of an image before they use it;
 * a bad one is named by file, offset and rule.
 */
#ifndef FIRMWARE_BOOT_H
#define FIRMWARE_BOOT_H

#include "base/error.h"
#include "base/types.h"
#include "firmware/e820.h"
#include "mmu/memory.h"

struct image {
    const char *name; /* for messages */
    const u8 *bytes;
    u64 size;
};

/* A multiboot or PVH module; for Linux the first one is the initrd. */
struct boot_module {
    struct image image;
    const char *command_line;
};

enum { BOOT_MODULES = 16 };

struct boot_input {
    struct image kernel;
    const struct boot_module *modules;
    u32 module_count; /* 0..BOOT_MODULES */
    const char *command_line; /* -append; never NULL */
    u32 linux_entry; /* 32 or 64; 0: 64 if the kernel and the CPU have it */
    bool cpu_has_long_mode;
};

/* The machine as loaders see it. */
struct boot_machine {
    struct memory *memory;
    const struct e820 *map;
    u64 low_top; /* end of usable RAM below 4 GiB */
    u64 rsdp; /* physical address of the ACPI root pointer, 0: no ACPI */
};

/* How the boot CPU starts. Everything not named here is as after reset. */
struct boot_state {
    u32 bits; /* 16: real mode; 32: flat protected mode, no paging; 64: long mode */
    u16 cs, data; /* selectors (real mode: segments); data goes to DS ES SS FS GS */
    u16 gdt_limit;
    u64 gdt_base;
    u64 cr3; /* 64 bits only */
    u64 rip, rflags;
    u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
};

enum boot_kind {
    BOOT_LINUX,
    BOOT_MULTIBOOT1,
    BOOT_MULTIBOOT2,
    BOOT_PVH,
    BOOT_SECTOR, /* starts at 7C00h in real mode */
    BOOT_UNKNOWN,
};

/* Which loader an image is for. Looks only; does not check the image. */
enum boot_kind boot_kind(const struct image *kernel);

/* Load an image and its modules. false: it is malformed or does not fit; error says where. */
MUST_CHECK bool boot_load(const struct boot_machine *machine, const struct boot_input *input,
                          struct boot_state *state, struct error *error);

/* One loader each, in the file of its name. */
MUST_CHECK bool boot_linux(const struct boot_machine *machine, const struct boot_input *input,
                           struct boot_state *state, struct error *error);
MUST_CHECK bool boot_multiboot(const struct boot_machine *machine, const struct boot_input *input,
                               struct boot_state *state, struct error *error);
MUST_CHECK bool boot_multiboot2(const struct boot_machine *machine, const struct boot_input *input,
                                struct boot_state *state, struct error *error);
MUST_CHECK bool boot_pvh(const struct boot_machine *machine, const struct boot_input *input,
                         struct boot_state *state, struct error *error);
MUST_CHECK bool boot_sector(const struct boot_machine *machine, const struct boot_input *input,
                            struct boot_state *state, struct error *error);

/* Is there such a header? For boot_kind(). */
bool linux_has_header(const struct image *kernel);
bool multiboot_has_header(const struct image *kernel);
bool multiboot2_has_header(const struct image *kernel);
bool pvh_has_note(const struct image *kernel);

#endif
