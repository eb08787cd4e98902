/* SPDX-License-Identifier: MIT */
/* Slots, views, A20, stores and frame records: mmu/memory.h. */
#include "tests/mmu/guest.h"

static struct error error;

START_TEST(ram_starts_as_zeros_and_keeps_what_is_written)
{
    struct guest *g = guest_create();

    ck_assert_uint_eq(get64(g, 0xff8), 0);
    put64(g, 0xffc, 0x1122334455667788); /* over a page border */
    ck_assert_uint_eq(get64(g, 0xffc), 0x1122334455667788);
    guest_destroy(g);
}
END_TEST

START_TEST(a_hole_reads_all_ones_and_drops_writes)
{
    struct guest *g = guest_create();

    put64(g, 0x50000000, 5);
    ck_assert_uint_eq(get64(g, 0x50000000), ~(u64)0);
    ck_assert_int_eq(memory_find(g->memory, (hpa_t){0x50000000}, false)->kind, SLOT_HOLE);
    ck_assert_int_eq(memory_find(g->memory, (hpa_t){~(u64)0}, false)->kind, SLOT_HOLE);
    guest_destroy(g);
}
END_TEST

START_TEST(rom_drops_guest_writes_but_not_the_loader)
{
    struct guest *g = guest_create();
    const u64 value = 77;

    put64(g, ROM_BASE, 5);
    ck_assert_uint_eq(get64(g, ROM_BASE), 0);
    ck_assert(memory_load(g->memory, (hpa_t){ROM_BASE}, &value, 8));
    ck_assert_uint_eq(get64(g, ROM_BASE), 77);
    guest_destroy(g);
}
END_TEST

START_TEST(loading_over_the_end_of_ram_writes_nothing)
{
    struct guest *g = guest_create();
    const u64 value[2] = {1, 2};

    ck_assert(!memory_load(g->memory, (hpa_t){RAM_SIZE - 8}, value, 16));
    ck_assert_uint_eq(get64(g, RAM_SIZE - 8), 0);
    guest_destroy(g);
}
END_TEST

START_TEST(a_later_slot_lies_over_an_earlier_one)
{
    struct guest *g = guest_create();

    put64(g, 0xa0000, 9);
    ck_assert(memory_add_mmio(g->memory, "vga", (hpa_t){0xa0000}, 0x2000, &device_ops, &g->device,
                              &error));
    g->device.answer = 0x1234;
    ck_assert_uint_eq(get64(g, 0xa1000), 0x1234);
    ck_assert_uint_eq(g->device.offset, 0x1000);
    ck_assert_int_eq(memory_find(g->memory, (hpa_t){0x9f000}, false)->kind, SLOT_RAM);
    ck_assert_int_eq(memory_find(g->memory, (hpa_t){0xa2000}, false)->kind, SLOT_RAM);
    guest_destroy(g);
}
END_TEST

START_TEST(a_hidden_slot_uncovers_what_is_under_it_and_a_moved_one_goes_along)
{
    struct guest *g = guest_create();

    ck_assert(memory_add_mmio(g->memory, "bar", (hpa_t){0x100000}, 0x1000, &device_ops, &g->device,
                              &error));
    ck_assert(memory_move(g->memory, "bar", (hpa_t){0x100000}, false, &error));
    ck_assert_int_eq(memory_find(g->memory, (hpa_t){0x100000}, false)->kind, SLOT_RAM);
    ck_assert(memory_move(g->memory, "bar", (hpa_t){0x200000}, true, &error));
    ck_assert_int_eq(memory_find(g->memory, (hpa_t){0x200000}, false)->kind, SLOT_MMIO);
    ck_assert(!memory_move(g->memory, "bar", (hpa_t){0x10}, true, &error));
    ck_assert(!memory_move(g->memory, "none", (hpa_t){0}, true, &error));
    guest_destroy(g);
}
END_TEST

START_TEST(device_accesses_are_cut_at_multiples_of_eight)
{
    struct guest *g = guest_create();
    u8 bytes[7] = {1, 2, 3, 4, 5, 6, 7};

    memory_write(g->memory, (hpa_t){MMIO_BASE + 6}, bytes, 4);
    ck_assert_uint_eq(g->device.writes, 2);
    ck_assert_uint_eq(g->device.offset, 8);
    ck_assert_uint_eq(g->device.size, 2);
    ck_assert_uint_eq(g->device.value, 0x0403);
    memory_read(g->memory, (hpa_t){MMIO_BASE + 1}, bytes, 7);
    ck_assert_uint_eq(g->device.reads, 3); /* 4, 2 and 1 bytes */
    guest_destroy(g);
}
END_TEST

START_TEST(an_alias_shows_the_same_bytes_and_frames)
{
    struct guest *g = guest_create();
    const struct slot *slot;

    ck_assert(
        memory_add_alias(g->memory, "alias", (hpa_t){BIT(32)}, 0x2000, (hpa_t){0x5000}, &error));
    put64(g, BIT(32) + 0x1008, 42);
    ck_assert_uint_eq(get64(g, 0x6008), 42);
    slot = memory_find(g->memory, (hpa_t){BIT(32)}, false);
    ck_assert_uint_eq(slot->first_frame, memory_frame_of(g->memory, slot->host));
    ck_assert_uint_eq(memory_ram_size(g->memory), RAM_SIZE);
    ck_assert(
        !memory_add_alias(g->memory, "bad", (hpa_t){BIT(33)}, 0x2000, (hpa_t){RAM_SIZE}, &error));
    guest_destroy(g);
}
END_TEST

START_TEST(smram_is_seen_only_from_smm)
{
    struct guest *g = guest_create();
    u64 value = 1;

    put64(g, 0xa0000, 5);
    ck_assert(memory_add_smram(g->memory, (hpa_t){0xa0000}, 0x20000, &error));
    memory_smram_write(g->memory, (hpa_t){0xa0000}, &value, 8);
    ck_assert_uint_eq(get64(g, 0xa0000), 5);
    value = 0;
    memory_smram_read(g->memory, (hpa_t){0xa0000}, &value, 8);
    ck_assert_uint_eq(value, 1);
    ck_assert_ptr_ne(memory_find(g->memory, (hpa_t){0xa0000}, true),
                     memory_find(g->memory, (hpa_t){0xa0000}, false));
    ck_assert_ptr_nonnull(memory_ram_slot(g->memory, 1)); /* it is part of the state */
    ck_assert_ptr_null(memory_ram_slot(g->memory, 2));
    guest_destroy(g);
}
END_TEST

START_TEST(without_a20_address_bit_20_is_zero)
{
    struct guest *g = guest_create();

    put64(g, 0x8, 11);
    put64(g, 0x100008, 22);
    memory_set_a20(g->memory, false);
    ck_assert(!memory_a20(g->memory));
    ck_assert_uint_eq(get64(g, 0x100008), 11);
    ck_assert_ptr_null(memory_peek(g->memory, (hpa_t){0xff000}, 0x2000));
    ck_assert_uint_eq(goes_to(g, 0x100008, ACCESS_READ), 8);
    memory_set_a20(g->memory, true);
    ck_assert_uint_eq(get64(g, 0x100008), 22);
    ck_assert_uint_eq(goes_to(g, 0x100008, ACCESS_READ), 0x100008);
    guest_destroy(g);
}
END_TEST

START_TEST(peeking_gives_bytes_in_one_slot_only)
{
    struct guest *g = guest_create();

    put64(g, 0x7000, 3);
    ck_assert_uint_eq(memory_peek(g->memory, (hpa_t){0x7000}, 0x3000)[0], 3);
    ck_assert_ptr_null(memory_peek(g->memory, (hpa_t){RAM_SIZE - 1}, 2));
    ck_assert_ptr_null(memory_peek(g->memory, (hpa_t){MMIO_BASE}, 1));
    ck_assert_ptr_null(memory_peek(g->memory, (hpa_t){0}, ~(u64)0));
    guest_destroy(g);
}
END_TEST

START_TEST(bad_slots_are_refused_with_a_reason)
{
    struct guest *g = guest_create();

    ck_assert(!memory_add_ram(g->memory, "odd", (hpa_t){0x10}, 0x1000, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "odd"));
    ck_assert(!memory_add_ram(g->memory, "empty", (hpa_t){0}, 0, &error));
    ck_assert(!memory_add_ram(g->memory, "far", (hpa_t){BIT(PHYS_BITS)}, 0x1000, &error));
    ck_assert(!memory_add_ram(g->memory, "long", (hpa_t){0x1000}, BIT(PHYS_BITS), &error));
    ck_assert(!memory_add_ram(g->memory, "huge", (hpa_t){0}, BIT(PHYS_BITS - 1), &error));
    guest_destroy(g);
}
END_TEST

struct told {
    struct memory *memory;
    u64 frame;
    u32 mask, times;
    u8 before;
};

static void note_code(void *ctx, u64 frame, u32 mask)
{
    struct told *told = ctx;

    told->frame = frame;
    told->mask = mask;
    told->times++;
    told->before = memory_peek(told->memory, (hpa_t){frame << 12 | 0x180}, 1)[0];
}

START_TEST(a_store_to_decoded_code_tells_the_hook_before_the_bytes_change)
{
    struct guest *g = guest_create();
    struct told told = {.memory = g->memory};
    const u8 *code = memory_peek(g->memory, (hpa_t){0x9000}, 0x1000);
    const u64 frame = memory_frame_of(g->memory, code);

    memory_set_code_hook(g->memory, note_code, &told);
    memory_code_mark(g->memory, code + 0x170, 0x20); /* granules 2 and 3 */
    put64(g, 0x9000, 1); /* granule 0: nobody's */
    ck_assert_uint_eq(told.times, 0);
    put32(g, 0x9180, 0x55);
    ck_assert_uint_eq(told.times, 1);
    ck_assert_uint_eq(told.frame, frame);
    ck_assert_uint_eq(told.mask, 1 << 3);
    ck_assert_uint_eq(told.before, 0);
    ck_assert_uint_eq(memory_frame(g->memory, frame)->code_mask, 1 << 2);
    put32(g, 0x9180, 0x66); /* told once */
    ck_assert_uint_eq(told.times, 1);
    put32(g, 0x917e, 0); /* straddles both granules */
    ck_assert_uint_eq(told.mask, 1 << 2);
    ck_assert_uint_eq(memory_frame(g->memory, frame)->flags, 0);
    guest_destroy(g);
}
END_TEST

START_TEST(marking_code_takes_the_write_tag_of_its_page)
{
    struct guest *g = guest_create();

    ck_assert_uint_eq(goes_to(g, 0x9000, ACCESS_WRITE), 0x9000);
    ck_assert(hits(g->mmu->bank, 0x9000, ACCESS_WRITE));
    memory_code_mark(g->memory, memory_peek(g->memory, (hpa_t){0x9000}, 1), 1);
    ck_assert(!hits(g->mmu->bank, 0x9000, ACCESS_WRITE));
    ck_assert(hits(g->mmu->bank, 0x9000, ACCESS_READ));
    guest_destroy(g);
}
END_TEST

START_TEST(the_dirty_log_hears_of_the_first_store)
{
    struct guest *g = guest_create();
    const u8 *host = memory_peek(g->memory, (hpa_t){0x9000}, 1);
    const u64 frame = memory_frame_of(g->memory, host);
    struct target target;
    const u8 byte = 1;

    ck_assert_uint_eq(goes_to(g, 0x9000, ACCESS_WRITE), 0x9000);
    memory_mark_clean(g->memory, frame);
    ck_assert(!hits(g->mmu->bank, 0x9000, ACCESS_WRITE));
    ck_assert_int_eq(mmu_refill(g->mmu, 0x9000, ACCESS_WRITE, &target), REFILL_OK);
    ck_assert(target.watched);
    memory_store(g->memory, target.host, &byte, 1);
    ck_assert_uint_eq(memory_frame(g->memory, frame)->flags, 0);
    ck_assert_int_eq(mmu_refill(g->mmu, 0x9000, ACCESS_WRITE, &target), REFILL_OK);
    ck_assert(!target.watched);
    guest_destroy(g);
}
END_TEST

RUN_TESTS("memory", ram_starts_as_zeros_and_keeps_what_is_written,
          a_hole_reads_all_ones_and_drops_writes, rom_drops_guest_writes_but_not_the_loader,
          loading_over_the_end_of_ram_writes_nothing, a_later_slot_lies_over_an_earlier_one,
          a_hidden_slot_uncovers_what_is_under_it_and_a_moved_one_goes_along,
          device_accesses_are_cut_at_multiples_of_eight, an_alias_shows_the_same_bytes_and_frames,
          smram_is_seen_only_from_smm, without_a20_address_bit_20_is_zero,
          peeking_gives_bytes_in_one_slot_only, bad_slots_are_refused_with_a_reason,
          a_store_to_decoded_code_tells_the_hook_before_the_bytes_change,
          marking_code_takes_the_write_tag_of_its_page, the_dirty_log_hears_of_the_first_store)
