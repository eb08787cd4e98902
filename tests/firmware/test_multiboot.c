/* SPDX-License-Identifier: MIT */
/* Multiboot 1 and 2 and the ELF reader under them. */
#include "tests/firmware/loader.h"

enum { HEADER = 128, CODE = 256, CODE_SIZE = 64, FILE_SIZE = CODE + CODE_SIZE };

static void put_header(u64 at, u32 flags)
{
    put(at, 0x1badb002, 4);
    put(at + 4, flags, 4);
    put(at + 8, (u32) - (0x1badb002 + flags), 4);
}

/* ELF32, multiboot header at 128, one segment of 64 bytes at 2 MiB that grows to 4 KiB. */
static void put_elf_image(void)
{
    put_elf32(0x200010, 1);
    put_segment32(0, 1, CODE, 0x200000, CODE_SIZE, 4096);
    put_header(HEADER, 0);
    memset(bytes + CODE, 0x90, CODE_SIZE);
}

START_TEST(elf_segment_is_loaded_and_its_rest_is_zero)
{
    struct boot_state state;
    struct error error;

    put_elf_image();
    load_value(&machine, 0x200000 + CODE_SIZE, 0x1234, 8);
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(peek(0x200000, 8), 0x9090909090909090);
    ck_assert_uint_eq(peek(0x200000 + CODE_SIZE, 8), 0);
}
END_TEST

START_TEST(entry_state_is_flat_protected_mode)
{
    struct boot_state state;
    struct error error;

    put_elf_image();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(state.bits, 32);
    ck_assert_uint_eq(state.rip, 0x200010);
    ck_assert_uint_eq(state.rax, 0x2badb002);
    ck_assert_uint_eq(state.rflags, 2);
    ck_assert_uint_eq(peek(state.gdt_base + state.cs, 8), 0x00cf9b000000ffff);
    ck_assert_uint_eq(peek(state.gdt_base + state.data, 8), 0x00cf93000000ffff);
}
END_TEST

START_TEST(command_line_begins_with_the_image_name)
{
    struct boot_state state;
    struct error error;

    put_elf_image();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert(peek(state.rbx, 4) & 4);
    ck_assert_str_eq(peek_text(peek(state.rbx + 16, 4)), "image one two");
}
END_TEST

START_TEST(memory_map_lists_all_ram)
{
    struct boot_state state;
    struct error error;
    u64 ram = 0;

    put_elf_image();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(peek(state.rbx + 8, 4), (LOW_RAM - PC_HIGH - PC_NVS_SIZE) / 1024);
    for (u64 at = peek(state.rbx + 48, 4), end = at + peek(state.rbx + 44, 4); at < end;
         at += peek(at, 4) + 4)
        if (peek(at + 20, 4) == E820_RAM)
            ram += peek(at + 12, 8);
    ck_assert_uint_eq(ram, LOW_RAM - PC_HIGH - PC_NVS_SIZE + PC_EBDA);
}
END_TEST

START_TEST(modules_lie_above_the_kernel_on_pages)
{
    static const u8 data[3] = {1, 2, 3};
    const struct boot_module modules[2] = {{{"a", data, 3}, "a x"}, {{"b", data, 2}, "b"}};
    const struct boot_input input = {.kernel = {"image", bytes, FILE_SIZE},
                                     .modules = modules,
                                     .module_count = 2,
                                     .command_line = ""};
    struct boot_state state;
    struct error error;
    u64 list, start;

    put_elf_image();
    ck_assert(boot_load(&machine, &input, &state, &error));
    ck_assert_uint_eq(peek(state.rbx + 20, 4), 2);
    list = peek(state.rbx + 24, 4);
    start = peek(list, 4);
    ck_assert_uint_ge(start, 0x201000);
    ck_assert_uint_eq(start % 4096, 0);
    ck_assert_uint_eq(peek(list + 4, 4) - start, 3);
    ck_assert_uint_eq(peek(start, 3), 0x030201);
    ck_assert_str_eq(peek_text(peek(list + 8, 4)), "a x");
    ck_assert_uint_eq(peek(list + 20, 4) - peek(list + 16, 4), 2);
}
END_TEST

START_TEST(truncated_elf_is_refused)
{
    put_elf_image();
    check_truncations(FILE_SIZE);
}
END_TEST

START_TEST(hostile_elf_does_no_harm)
{
    put_elf_image();
    check_hostile_bytes(CODE, FILE_SIZE);
}
END_TEST

START_TEST(segment_outside_ram_is_refused_with_its_offset)
{
    struct boot_state state;
    struct error error;

    put_elf_image();
    put_segment32(0, 1, CODE, 0xf0000000, CODE_SIZE, 4096);
    ck_assert(!load(FILE_SIZE, &state, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "image: offset 0x34: segment 0"));
}
END_TEST

START_TEST(overlapping_segments_are_refused)
{
    struct boot_state state;
    struct error error;

    put_elf32(0x200010, 2);
    put_segment32(0, 1, CODE, 0x200000, CODE_SIZE, 4096);
    put_segment32(1, 1, CODE, 0x200fff, CODE_SIZE, 4096);
    put_header(HEADER, 0);
    ck_assert(!load(FILE_SIZE, &state, &error));
}
END_TEST

START_TEST(required_unknown_feature_is_refused)
{
    struct boot_state state;
    struct error error;

    put_elf_image();
    put_header(HEADER, 8);
    ck_assert(!load(FILE_SIZE, &state, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "unknown features"));
}
END_TEST

/* Address fields: header at 128 of the file is at 200080, everything from the file's start on. */
static void put_kludge_image(void)
{
    put_header(HEADER, 0x10000);
    put(HEADER + 12, 0x200000 + HEADER, 4);
    put(HEADER + 16, 0x200000, 4);
    put(HEADER + 20, 0x200000 + FILE_SIZE, 4);
    put(HEADER + 24, 0x202000, 4);
    put(HEADER + 28, 0x200100, 4);
    memset(bytes + CODE, 0x90, CODE_SIZE);
}

START_TEST(address_fields_replace_the_elf_header)
{
    struct boot_state state;
    struct error error;

    put_kludge_image();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(state.rip, 0x200100);
    ck_assert_uint_eq(peek(0x200000 + CODE, 4), 0x90909090);
    ck_assert_uint_eq(peek(0x200000 + FILE_SIZE, 4), 0);
}
END_TEST

START_TEST(truncated_address_image_is_refused)
{
    put_kludge_image();
    check_truncations(FILE_SIZE);
}
END_TEST

START_TEST(hostile_address_fields_do_no_harm)
{
    put_kludge_image();
    check_hostile_bytes(HEADER + 32, FILE_SIZE);
}
END_TEST

/* Multiboot2 in ELF32: information request, address-free, end tag. */
static void put_multiboot2_image(void)
{
    const u32 length = 16 + 16 + 8;

    put_elf32(0x200010, 1);
    put_segment32(0, 1, CODE, 0x200000, CODE_SIZE, 4096);
    put(HEADER, 0xe85250d6, 4);
    put(HEADER + 8, length, 4);
    put(HEADER + 12, (u32) - (0xe85250d6 + length), 4);
    put(HEADER + 16, 1, 2); /* information request: 4 and 6 */
    put(HEADER + 20, 16, 4);
    put(HEADER + 24, 4, 4);
    put(HEADER + 28, 6, 4);
    put(HEADER + 32, 0, 2); /* end */
    put(HEADER + 36, 8, 4);
    memset(bytes + CODE, 0x90, CODE_SIZE);
}

/* The information tag of a type, or 0. */
static u64 find_tag(u64 info, u32 type)
{
    const u64 end = info + peek(info, 4);

    for (u64 at = info + 8; at < end; at += align_up(peek(at + 4, 4), 8))
        if (peek(at, 4) == type)
            return at;
    return 0;
}

START_TEST(multiboot2_information_has_map_command_line_and_root_pointer)
{
    struct boot_state state;
    struct error error;

    put_multiboot2_image();
    ck_assert(load(FILE_SIZE, &state, &error));
    ck_assert_uint_eq(state.rax, 0x36d76289);
    ck_assert_uint_eq(state.rbx % 8, 0);
    ck_assert_str_eq(peek_text(find_tag(state.rbx, 1) + 8), "one two");
    ck_assert_uint_eq(peek(find_tag(state.rbx, 6) + 8, 4), 24);
    ck_assert_uint_ne(find_tag(state.rbx, 4), 0);
    ck_assert_uint_ne(find_tag(state.rbx, 14), 0);
    ck_assert_uint_ne(find_tag(state.rbx, 15), 0);
}
END_TEST

START_TEST(multiboot2_kernel_that_needs_a_frame_buffer_is_refused)
{
    struct boot_state state;
    struct error error;

    put_multiboot2_image();
    put(HEADER + 16, 5, 2);
    ck_assert(!load(FILE_SIZE, &state, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "tag 5"));
    put(HEADER + 18, 1, 2); /* optional */
    ck_assert(load(FILE_SIZE, &state, &error));
}
END_TEST

START_TEST(truncated_multiboot2_image_is_refused)
{
    put_multiboot2_image();
    check_truncations(FILE_SIZE);
}
END_TEST

START_TEST(hostile_multiboot2_image_does_no_harm)
{
    put_multiboot2_image();
    check_hostile_bytes(CODE, FILE_SIZE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firmware/multiboot");
    TCase *tc = tcase_create("multiboot");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, elf_segment_is_loaded_and_its_rest_is_zero);
    tcase_add_test(tc, entry_state_is_flat_protected_mode);
    tcase_add_test(tc, command_line_begins_with_the_image_name);
    tcase_add_test(tc, memory_map_lists_all_ram);
    tcase_add_test(tc, modules_lie_above_the_kernel_on_pages);
    tcase_add_test(tc, truncated_elf_is_refused);
    tcase_add_test(tc, hostile_elf_does_no_harm);
    tcase_add_test(tc, segment_outside_ram_is_refused_with_its_offset);
    tcase_add_test(tc, overlapping_segments_are_refused);
    tcase_add_test(tc, required_unknown_feature_is_refused);
    tcase_add_test(tc, address_fields_replace_the_elf_header);
    tcase_add_test(tc, truncated_address_image_is_refused);
    tcase_add_test(tc, hostile_address_fields_do_no_harm);
    tcase_add_test(tc, multiboot2_information_has_map_command_line_and_root_pointer);
    tcase_add_test(tc, multiboot2_kernel_that_needs_a_frame_buffer_is_refused);
    tcase_add_test(tc, truncated_multiboot2_image_is_refused);
    tcase_add_test(tc, hostile_multiboot2_image_does_no_harm);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
