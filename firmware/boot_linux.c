/* SPDX-License-Identifier: MIT */
/*
 * The Linux/x86 boot protocol (Documentation/arch/x86/boot.rst), versions 2.06 and later: the
 * protected-mode part of a bzImage at 1 MiB, entered at its 32-bit or its 64-bit entry point. The
 * real-mode part is not run; its job, the zero page, is done here. Left out: setup_data, EFI.
 */
#include "base/bits.h"
#include "firmware/image.h"

#include <string.h>

/* The setup header, "The Real-Mode Kernel Header". Offsets in the file and in the zero page. */
enum {
    HDR_START = 0x1f1,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP = 0x201, /* its operand: the header ends at 202h plus this */
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_END = 0x290,
    LOADED_HIGH = 1,
    XLF_KERNEL_64 = 1,
};

/* The zero page, Documentation/arch/x86/zero-page.rst. */
enum {
    ZERO_RSDP = 0x70,
    ZERO_E820_COUNT = 0x1e8,
    ZERO_E820 = 0x2d0,
    CODE_SELECTOR = 0x10, /* __BOOT_CS */
    DATA_SELECTOR = 0x18, /* __BOOT_DS */
    ENTRY64 = 0x200,
    LOADER_UNDEFINED = 0xff,
};

struct kernel {
    const struct image *image;
    u32 version;
    u64 setup; /* bytes of the real-mode part */
    u64 load; /* where the rest goes */
    u64 run, run_size; /* what the kernel will use before it reads the memory map */
    bool has64;
};

bool linux_has_header(const struct image *kernel)
{
    return image_has(kernel, HDR_MAGIC, 4) && memcmp(kernel->bytes + HDR_MAGIC, "HdrS", 4) == 0;
}

static bool check_header(const struct image *image, struct error *error)
{
    if (!linux_has_header(image))
        return image_error(error, image, HDR_MAGIC, "no Linux setup header (HdrS)");
    if (!image_has(image, 0, HDR_END))
        return image_error(error, image, image->size, "the file ends inside the setup header");
    if (image_get(image, HDR_BOOT_FLAG, 2) != 0xaa55)
        return image_error(error, image, HDR_BOOT_FLAG, "boot flag is not AA55");
    if (image_get(image, HDR_VERSION, 2) < 0x206)
        return image_error(error, image, HDR_VERSION, "boot protocol %u.%02u is older than 2.06",
                           (unsigned)image_get(image, HDR_VERSION + 1, 1),
                           (unsigned)image_get(image, HDR_VERSION, 1));
    if (!(image_get(image, HDR_LOADFLAGS, 1) & LOADED_HIGH))
        return image_error(error, image, HDR_LOADFLAGS, "a zImage (loaded low) is not supported");
    return true;
}

static bool parse(struct kernel *k, const struct image *image, struct error *error)
{
    u64 sectors, system_size, alignment;

    if (!check_header(image, error))
        return false;
    sectors = image_get(image, HDR_SETUP_SECTS, 1);
    system_size = image_get(image, HDR_SYSSIZE, 4) * 16;
    alignment = image_get(image, HDR_ALIGNMENT, 4);
    k->image = image;
    k->version = (u32)image_get(image, HDR_VERSION, 2);
    k->setup = ((sectors == 0 ? 4 : sectors) + 1) * 512;
    k->load = PC_HIGH;
    if (k->setup >= image->size)
        return image_error(error, image, HDR_SETUP_SECTS,
                           "%llu bytes of setup code in a file of %llu",
                           (unsigned long long)k->setup, (unsigned long long)image->size);
    /* syssize counts paragraphs, so the last one may be cut. */
    if (system_size > align_up(image->size - k->setup, 16))
        return image_error(error, image, HDR_SYSSIZE,
                           "the kernel has 0x%llx bytes but the file ends after 0x%llx of them",
                           (unsigned long long)system_size,
                           (unsigned long long)(image->size - k->setup));
    k->has64 = k->version >= 0x20c && (image_get(image, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64);
    if (k->has64 && image->size - k->setup <= ENTRY64)
        return image_error(error, image, HDR_XLOADFLAGS, "the 64-bit entry lies behind the file");
    k->run = k->load;
    k->run_size = image->size - k->setup;
    if (k->version < 0x20a)
        return true;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        return image_error(error, image, HDR_ALIGNMENT, "kernel_alignment is not a power of two");
    k->run = image_get(image, HDR_PREF_ADDRESS, 8);
    if (image_get(image, HDR_RELOCATABLE, 1) == 0)
        k->load = k->run;
    k->run_size = image_get(image, HDR_INIT_SIZE, 4);
    return true;
}

/* Take the memory of the loaded file and of the place the kernel unpacks itself to. */
static bool place_kernel(struct place *place, const struct kernel *k, struct error *error)
{
    const u64 size = k->image->size - k->setup;
    u64 end = k->run + k->run_size;

    if (k->run < k->load || end < k->run || k->load + size > end)
        end = k->load + size;
    if (!place_take(place, k->load, end - k->load))
        return image_error(error, k->image, HDR_INIT_SIZE,
                           "the kernel needs RAM up to 0x%llx (use a larger -m)",
                           (unsigned long long)end);
    load_bytes(place->machine, k->load, k->image->bytes + k->setup, size);
    return true;
}

static bool place_initrd(struct place *place, const struct kernel *k,
                         const struct boot_input *input, u64 zero, struct error *error)
{
    u64 top = image_get(k->image, HDR_INITRD_ADDR_MAX, 4) + 1;
    const struct image *initrd;
    u64 at;

    if (input->module_count == 0)
        return true;
    initrd = &input->modules[0].image;
    if (input->module_count > 1)
        return error_set(error, "%s: Linux takes one initrd", input->modules[1].image.name);
    if (top > place->machine->low_top)
        top = place->machine->low_top;
    at = place_down(place, initrd->size, PAGE_SIZE, PC_HIGH, top);
    if (at == 0)
        return error_set(error,
                         "%s: offset 0x0: no room for an initrd of %llu bytes below 0x%llx (use a "
                         "larger -m)",
                         initrd->name, (unsigned long long)initrd->size, (unsigned long long)top);
    load_bytes(place->machine, at, initrd->bytes, initrd->size);
    load_value(place->machine, zero + HDR_RAMDISK_IMAGE, at, 4);
    load_value(place->machine, zero + HDR_RAMDISK_SIZE, initrd->size, 4);
    return true;
}

static bool place_command_line(struct place *place, const struct kernel *k, const char *text,
                               u64 zero, struct error *error)
{
    const u64 limit = image_get(k->image, HDR_CMDLINE_SIZE, 4);
    u64 at;

    if (strlen(text) > limit)
        return image_error(error, k->image, HDR_CMDLINE_SIZE,
                           "-append has %zu characters, the kernel takes %llu", strlen(text),
                           (unsigned long long)limit);
    if (!load_string(place, text, &at))
        return error_set(error, "%s: no room below 640 KiB for the command line", k->image->name);
    load_value(place->machine, zero + HDR_CMD_LINE_PTR, at, 4);
    return true;
}

static void write_zero_page(const struct boot_machine *machine, const struct kernel *k, u64 zero)
{
    const u64 header_end = HDR_MAGIC + image_get(k->image, HDR_JUMP, 1);
    const u64 end = header_end < HDR_END ? header_end : HDR_END;
    u8 map[E820_MAX * E820_ENTRY_BYTES];

    load_zeros(machine, zero, PAGE_SIZE);
    load_bytes(machine, zero + HDR_START, k->image->bytes + HDR_START, end - HDR_START);
    load_value(machine, zero + HDR_TYPE_OF_LOADER, LOADER_UNDEFINED, 1);
    load_value(machine, zero + HDR_CODE32_START, k->load, 4);
    load_value(machine, zero + HDR_RAMDISK_IMAGE, 0, 8);
    load_value(machine, zero + ZERO_RSDP, machine->rsdp, 8);
    load_value(machine, zero + ZERO_E820_COUNT, machine->map->count, 1);
    e820_write(machine->map, map);
    load_bytes(machine, zero + ZERO_E820, map, (u64)machine->map->count * E820_ENTRY_BYTES);
}

/* Identity map of the first 4 GiB in 2 MiB pages: 6 pages of tables. 0: no room. */
static u64 build_page_tables(struct place *place)
{
    const u64 present_writable = 3, large = 0x80;
    const u64 top = place_up(place, 6 * PAGE_SIZE, PAGE_SIZE, 0x10000, PC_EBDA);
    const u64 middle = top + PAGE_SIZE;

    if (top == 0)
        return 0;
    load_zeros(place->machine, top, 2 * PAGE_SIZE);
    load_value(place->machine, top, middle | present_writable, 8);
    for (u64 i = 0; i < 4; i++)
        load_value(place->machine, middle + 8 * i,
                   (middle + (i + 1) * PAGE_SIZE) | present_writable, 8);
    for (u64 i = 0; i < 2048; i++)
        load_value(place->machine, middle + PAGE_SIZE + 8 * i, i << 21 | present_writable | large,
                   8);
    return top;
}

static bool choose_entry(const struct boot_input *input, const struct kernel *k, bool *entry64,
                         struct error *error)
{
    const bool can = k->has64 && input->cpu_has_long_mode;

    if (input->linux_entry == 64 && !can)
        return image_error(error, k->image, HDR_XLOADFLAGS, "%s",
                           k->has64 ? "the CPU has no 64-bit mode for the 64-bit entry"
                                    : "the kernel has no 64-bit entry");
    *entry64 = can && input->linux_entry != 32;
    return true;
}

bool boot_linux(const struct boot_machine *machine, const struct boot_input *input,
                struct boot_state *state, struct error *error)
{
    struct place place;
    struct kernel k = {0};
    bool entry64 = false;
    u64 zero;

    place_init(&place, machine);
    if (!parse(&k, &input->kernel, error) || !choose_entry(input, &k, &entry64, error) ||
        !place_kernel(&place, &k, error))
        return false;
    zero = place_up(&place, PAGE_SIZE, PAGE_SIZE, 0x10000, PC_EBDA);
    if (zero == 0 || !load_flat32(&place, CODE_SELECTOR, DATA_SELECTOR, k.load, state))
        return error_set(error, "%s: no room below 640 KiB", k.image->name);
    write_zero_page(machine, &k, zero);
    if (!place_command_line(&place, &k, input->command_line, zero, error) ||
        !place_initrd(&place, &k, input, zero, error))
        return false;
    state->rsi = zero;
    if (!entry64)
        return true;
    state->bits = 64;
    state->rip = k.load + ENTRY64;
    state->cr3 = build_page_tables(&place);
    load_value(machine, state->gdt_base + CODE_SELECTOR, 0x00af9b000000ffff, 8); /* L, not D */
    return state->cr3 != 0 || error_set(error, "%s: no room below 640 KiB", k.image->name);
}
