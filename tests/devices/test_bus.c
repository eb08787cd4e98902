/* SPDX-License-Identifier: MIT */
#include "tests/devices/rig.h"

struct bytes {
    u8 at[8];
    u32 accesses, last_size;
};

static u32 bytes_read(void *ctx, u32 offset, u32 size)
{
    struct bytes *b = ctx;
    u32 value = 0;

    b->accesses++;
    b->last_size = size;
    memcpy(&value, &b->at[offset], size);
    return value;
}

static void bytes_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct bytes *b = ctx;

    b->accesses++;
    b->last_size = size;
    memcpy(&b->at[offset], &value, size);
}

static const struct port_ops ops8 = {bytes_read, bytes_write, 1};
static const struct port_ops ops32 = {bytes_read, bytes_write, 4};

static struct rig rig;
static struct bytes low, high;

static void plug(const struct port_ops *ops_low, const struct port_ops *ops_high)
{
    rig_init(&rig);
    ck_assert(bus_add_ports(rig.bus, "low", 0x100, 4, ops_low, &low, &rig.error));
    ck_assert(bus_add_ports(rig.bus, "high", 0x104, 4, ops_high, &high, &rig.error));
}

START_TEST(unowned_ports_read_as_ones_of_the_access_width)
{
    rig_init(&rig);
    ck_assert_uint_eq(bus_read(rig.bus, 0x1234, 1), 0xff);
    ck_assert_uint_eq(bus_read(rig.bus, 0x1234, 2), 0xffff);
    ck_assert_uint_eq(bus_read(rig.bus, 0x1234, 4), 0xffffffff);
    bus_write(rig.bus, 0x1234, 4, 0);
}
END_TEST

START_TEST(an_access_that_the_region_takes_arrives_whole)
{
    plug(&ops32, &ops32);
    bus_write(rig.bus, 0x100, 4, 0x11223344);
    ck_assert_uint_eq(low.accesses, 1);
    ck_assert_uint_eq(bus_read(rig.bus, 0x102, 2), 0x1122);
    ck_assert_uint_eq(low.last_size, 2);
}
END_TEST

START_TEST(an_access_too_wide_for_the_region_is_split)
{
    plug(&ops8, &ops8);
    bus_write(rig.bus, 0x100, 4, 0x44332211);
    ck_assert_uint_eq(low.accesses, 4);
    ck_assert_uint_eq(low.at[3], 0x44);
    ck_assert_uint_eq(bus_read(rig.bus, 0x100, 4), 0x44332211);
}
END_TEST

START_TEST(an_access_over_two_regions_is_split_between_them)
{
    plug(&ops32, &ops8);
    bus_write(rig.bus, 0x102, 4, 0x44332211);
    ck_assert_uint_eq(low.at[3], 0x22);
    ck_assert_uint_eq(high.at[1], 0x44);
    ck_assert_uint_eq(bus_read(rig.bus, 0x102, 4), 0x44332211);
}
END_TEST

START_TEST(an_access_at_the_last_port_does_not_wrap)
{
    rig_init(&rig);
    ck_assert(bus_add_ports(rig.bus, "first", 0, 4, &ops8, &low, &rig.error));
    ck_assert(bus_add_ports(rig.bus, "last", 0xffff, 1, &ops8, &high, &rig.error));
    bus_write(rig.bus, 0xffff, 4, 0x44332211);
    ck_assert_uint_eq(high.at[0], 0x11);
    ck_assert_uint_eq(low.accesses, 0);
    ck_assert_uint_eq(bus_read(rig.bus, 0xffff, 2), 0xff11);
}
END_TEST

START_TEST(a_taken_port_is_refused_with_both_names)
{
    plug(&ops8, &ops8);
    ck_assert(!bus_add_ports(rig.bus, "third", 0xfe, 4, &ops8, &low, &rig.error));
    ck_assert_ptr_nonnull(strstr(rig.error.text, "third"));
    ck_assert_ptr_nonnull(strstr(rig.error.text, "low"));
    ck_assert(!bus_add_ports(rig.bus, "over", 0xfffe, 4, &ops8, &low, &rig.error));
}
END_TEST

START_TEST(a_removed_region_leaves_its_ports_free)
{
    plug(&ops8, &ops8);
    bus_remove_ports(rig.bus, 0x100, &high); /* not its own */
    ck_assert_uint_eq(in8(&rig, 0x100), 0);
    bus_remove_ports(rig.bus, 0x100, &low);
    ck_assert_uint_eq(in8(&rig, 0x100), 0xff);
    ck_assert(bus_add_ports(rig.bus, "new", 0x100, 4, &ops8, &low, &rig.error));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        unowned_ports_read_as_ones_of_the_access_width,
        an_access_that_the_region_takes_arrives_whole,
        an_access_too_wide_for_the_region_is_split,
        an_access_over_two_regions_is_split_between_them,
        an_access_at_the_last_port_does_not_wrap,
        a_taken_port_is_refused_with_both_names,
        a_removed_region_leaves_its_ports_free,
    };

    return rig_main("bus", tests, ARRAY_SIZE(tests));
}
