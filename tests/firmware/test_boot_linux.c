/* SPDX-License-Identifier: MIT */
/* The Linux loader, the PVH loader and the boot sector loader. */
#include "tests/firmware/loader.h"

enum { SETUP = 1024, PAYLOAD = 0x400, FILE_SIZE = SETUP + PAYLOAD };

/* bzImage of protocol 2.15 with both entry points. */
static void put_bzimage(void)
{
    put(0x1f1, 1, 1);
    put(0x1f4, PAYLOAD / 16, 4);
    put(0x1fe, 0xaa55, 2);
    put(0x200, 0x66eb, 2);
    memcpy(bytes + 0x202, "HdrS", 4);
    put(0x206, 0x20f, 2);
    put(0x211, 1, 1);
    put(0x22c, 0x7fffffff, 4);
    put(0x230, 0x200000, 4);
    put(0x234, 1, 1);
    put(0x236, 1, 2);
    put(0x238, 2047, 4);
    put(0x258, 0x400000, 8);
    put(0x260, 0x300000, 4);
    memset(bytes + SETUP, 0x90, PAYLOAD);
}

START_TEST(kernel_with_a_64_bit_entry_starts_in_long_mode)
{
    struct boot_state state;
    struct error error;

    put_bzimage();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(state.bits, 64);
    ck_assert_uint_eq(state.rip, 0x100200);
    ck_assert_uint_eq(peek(state.gdt_base + state.cs, 8), 0x00af9b000000ffff);
    ck_assert_uint_eq(peek(0x100000, 4), 0x90909090);
}
END_TEST

START_TEST(page_tables_map_four_gib_to_themselves)
{
    struct boot_state state;
    struct error error;

    put_bzimage();
    ck_assert(load(FILE_SIZE, &state, &error));
    for (u64 va = 0; va < BIT(32); va += BIT(21)) {
        const u64 middle = peek(state.cr3, 8) & ~PAGE_OFFSET_MASK;
        const u64 table = peek(middle + 8 * (va >> 30), 8) & ~PAGE_OFFSET_MASK;

        ck_assert_uint_eq(peek(table + 8 * (va >> 21 & 511), 8), va | 0x83);
    }
}
END_TEST

START_TEST(entry_of_32_bits_can_be_chosen)
{
    const struct boot_input input = {.kernel = {"image", bytes, FILE_SIZE},
                                     .command_line = "",
                                     .linux_entry = 32,
                                     .cpu_has_long_mode = true};
    struct boot_state state;
    struct error error;

    put_bzimage();
    ck_assert(boot_load(&machine, &input, &state, &error));
    ck_assert_uint_eq(state.bits, 32);
    ck_assert_uint_eq(state.rip, 0x100000);
    ck_assert_uint_eq(state.cs, 0x10);
    ck_assert_uint_eq(state.data, 0x18);
}
END_TEST

START_TEST(cpu_without_long_mode_gets_the_32_bit_entry)
{
    struct boot_input input = {.kernel = {"image", bytes, FILE_SIZE}, .command_line = ""};
    struct boot_state state;
    struct error error;

    put_bzimage();
    ck_assert(boot_load(&machine, &input, &state, &error));
    ck_assert_uint_eq(state.bits, 32);
    input.linux_entry = 64;
    ck_assert(!boot_load(&machine, &input, &state, &error));
}
END_TEST

START_TEST(zero_page_has_header_map_command_line_and_root_pointer)
{
    struct boot_state state;
    struct error error;

    put_bzimage();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(peek(state.rsi + 0x202, 4), 0x53726448);
    ck_assert_uint_eq(peek(state.rsi + 0x210, 1), 0xff);
    ck_assert_uint_eq(peek(state.rsi + 0x1e8, 1), map.count);
    ck_assert_uint_eq(peek(state.rsi + 0x2d0 + 8, 8), PC_EBDA);
    ck_assert_uint_eq(peek(state.rsi + 0x70, 8), machine.rsdp);
    ck_assert_str_eq(peek_text(peek(state.rsi + 0x228, 4)), "one two");
    ck_assert_uint_eq(peek(state.rsi + 0x218, 8), 0);
}
END_TEST

static bool load_with_initrd(u64 initrd_size, u64 *at, struct error *error)
{
    static u8 initrd[8192];
    const struct boot_module module = {{"initrd", initrd, initrd_size}, ""};
    const struct boot_input input = {.kernel = {"image", bytes, FILE_SIZE},
                                     .modules = &module,
                                     .module_count = 1,
                                     .command_line = ""};
    struct boot_state state;
    bool done = boot_load(&machine, &input, &state, error);

    if (done)
        *at = peek(state.rsi + 0x218, 4);
    return done;
}

START_TEST(initrd_lies_at_the_top_of_ram)
{
    struct error error;
    u64 at;

    put_bzimage();
    ck_assert(load_with_initrd(5000, &at, &error));
    ck_assert_uint_eq(at, LOW_RAM - PC_NVS_SIZE - 8192);
}
END_TEST

START_TEST(initrd_stays_below_the_kernels_limit)
{
    struct error error;
    u64 at;

    put_bzimage();
    put(0x22c, 0xffffff, 4);
    ck_assert(load_with_initrd(4096, &at, &error));
    ck_assert_uint_eq(at, 0x1000000 - 4096);
}
END_TEST

START_TEST(initrd_does_not_overlap_the_unpacked_kernel)
{
    struct error error;
    u64 at;

    put_bzimage();
    put(0x22c, 0x6fffff, 4); /* the kernel takes everything from 1 to 7 MiB */
    ck_assert(!load_with_initrd(4096, &at, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "initrd"));
}
END_TEST

START_TEST(kernel_that_needs_more_ram_is_refused)
{
    struct boot_state state;
    struct error error;

    put_bzimage();
    put(0x260, 0x7fffffff, 4);
    ck_assert(!load(FILE_SIZE, &state, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "larger -m"));
}
END_TEST

START_TEST(old_protocol_is_refused)
{
    struct boot_state state;
    struct error error;

    put_bzimage();
    put(0x206, 0x205, 2);
    ck_assert(!load(FILE_SIZE, &state, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "2.05 is older than 2.06"));
}
END_TEST

START_TEST(command_line_longer_than_the_kernel_takes_is_refused)
{
    struct boot_state state;
    struct error error;

    put_bzimage();
    put(0x238, 6, 4);
    ck_assert(!load(FILE_SIZE, &state, &error));
}
END_TEST

START_TEST(truncated_bzimage_is_refused)
{
    struct error error;

    put_bzimage();
    /* With 512 bytes and no HdrS yet it is a boot sector; and syssize counts paragraphs of 16
     * bytes, so the last one may be short. */
    for (u64 n = 0x206; n <= FILE_SIZE - 16; n++) {
        ck_assert(!load_cut(n, &error));
        ck_assert_ptr_nonnull(strstr(error.text, "image"));
    }
}
END_TEST

START_TEST(hostile_bzimage_does_no_harm)
{
    put_bzimage();
    check_hostile_bytes(0x290, FILE_SIZE);
}
END_TEST

/* ---- PVH ---- */

enum { NOTE = 192, PVH_CODE = 256, PVH_SIZE = PVH_CODE + 64 };

static void put_pvh_image(void)
{
    put_elf32(0x200000, 2);
    put_segment32(0, 1, PVH_CODE, 0x200000, 64, 64);
    put_segment32(1, 4, NOTE, 0, 20, 20);
    put(NOTE, 4, 4);
    put(NOTE + 4, 4, 4);
    put(NOTE + 8, 18, 4);
    memcpy(bytes + NOTE + 12, "Xen", 4);
    put(NOTE + 16, 0x200020, 4);
}

START_TEST(pvh_starts_at_the_note_with_start_info)
{
    struct boot_state state;
    struct error error;

    put_pvh_image();
    ck_assert(load(PVH_SIZE, &state, &error));
    ck_assert_uint_eq(state.rip, 0x200020);
    ck_assert_uint_eq(peek(state.rbx, 4), 0x336ec578);
    ck_assert_uint_eq(peek(state.rbx + 4, 4), 1);
    ck_assert_str_eq(peek_text(peek(state.rbx + 24, 8)), "one two");
    ck_assert_uint_eq(peek(state.rbx + 32, 8), machine.rsdp);
    ck_assert_uint_eq(peek(state.rbx + 48, 4), map.count);
}
END_TEST

START_TEST(truncated_pvh_image_is_refused)
{
    put_pvh_image();
    check_truncations(PVH_SIZE);
}
END_TEST

START_TEST(hostile_pvh_image_does_no_harm)
{
    put_pvh_image();
    check_hostile_bytes(PVH_CODE, PVH_SIZE);
}
END_TEST

/* ---- boot sector ---- */

START_TEST(boot_sector_starts_at_7c00_in_real_mode)
{
    struct boot_state state;
    struct error error;

    put(510, 0xaa55, 2);
    bytes[0] = 0xf4;
    ck_assert(load(512, &state, &error));
    ck_assert_uint_eq(state.bits, 16);
    ck_assert_uint_eq(state.rip, 0x7c00);
    ck_assert_uint_eq(state.rdx, 0x80);
    ck_assert_uint_eq(peek(0x7c00, 1), 0xf4);
    check_truncations(512);
}
END_TEST

START_TEST(file_of_no_known_kind_is_refused)
{
    struct boot_state state;
    struct error error;

    ck_assert(!load(4096, &state, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "image: offset 0x0: error loading"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware/boot_linux");
    TCase *tc = tcase_create("linux");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, kernel_with_a_64_bit_entry_starts_in_long_mode);
    tcase_add_test(tc, page_tables_map_four_gib_to_themselves);
    tcase_add_test(tc, entry_of_32_bits_can_be_chosen);
    tcase_add_test(tc, cpu_without_long_mode_gets_the_32_bit_entry);
    tcase_add_test(tc, zero_page_has_header_map_command_line_and_root_pointer);
    tcase_add_test(tc, initrd_lies_at_the_top_of_ram);
    tcase_add_test(tc, initrd_stays_below_the_kernels_limit);
    tcase_add_test(tc, initrd_does_not_overlap_the_unpacked_kernel);
    tcase_add_test(tc, kernel_that_needs_more_ram_is_refused);
    tcase_add_test(tc, old_protocol_is_refused);
    tcase_add_test(tc, command_line_longer_than_the_kernel_takes_is_refused);
    tcase_add_test(tc, truncated_bzimage_is_refused);
    tcase_add_test(tc, hostile_bzimage_does_no_harm);
    tcase_add_test(tc, pvh_starts_at_the_note_with_start_info);
    tcase_add_test(tc, truncated_pvh_image_is_refused);
    tcase_add_test(tc, hostile_pvh_image_does_no_harm);
    tcase_add_test(tc, boot_sector_starts_at_7c00_in_real_mode);
    tcase_add_test(tc, file_of_no_known_kind_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
