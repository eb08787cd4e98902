/* SPDX-License-Identifier: MIT */
#include "devices/testdev.h"
#include "tests/devices/rig.h"

static struct rig rig;
static struct testdev *testdev;

static void plug(void)
{
    struct irq_line lines[TESTDEV_LINES];

    rig_init(&rig);
    for (u32 i = 0; i < TESTDEV_LINES; i++)
        lines[i] = rig_line(&rig, i);
    testdev = testdev_create(rig.bus, lines, &rig.error);
    ck_assert_ptr_nonnull(testdev);
}

START_TEST(loopback_ports_return_what_was_written_in_each_width)
{
    plug();
    bus_write(rig.bus, 0xe0, 4, 0x12345678);
    ck_assert_uint_eq(bus_read(rig.bus, 0xe0, 4), 0x12345678);
    bus_write(rig.bus, 0xe0, 2, 0xabcd);
    ck_assert_uint_eq(bus_read(rig.bus, 0xe0, 2), 0xabcd);
    out8(&rig, 0xe1, 0xee);
    ck_assert_uint_eq(bus_read(rig.bus, 0xe0, 4), 0x1234eecd);
}
END_TEST

START_TEST(a_wide_write_sets_one_line_only)
{
    plug();
    bus_write(rig.bus, 0x200b, 4, 0x01010101);
    ck_assert(rig.level[11] && !rig.level[12]);
    bus_write(rig.bus, 0x200b, 4, 0);
    ck_assert(!rig.level[11]);
    out8(&rig, 0x2017, 1);
    ck_assert(rig.level[23]);
}
END_TEST

START_TEST(reset_lowers_only_lines_that_it_holds)
{
    struct device device;

    plug();
    device = testdev_device(testdev);
    rig.level[5] = true; /* somebody else's */
    out8(&rig, 0x2006, 1);
    device.ops->reset(testdev);
    ck_assert(rig.level[5] && !rig.level[6]);
    rig_end(&rig, &device);
}
END_TEST

START_TEST(the_memory_window_is_ram)
{
    plug();
    testdev_mmio_write(testdev, 0x1234, 8, 0x1122334455667788);
    testdev_mmio_write(testdev, 0x1235, 1, 0xaa);
    ck_assert_uint_eq(testdev_mmio_read(testdev, 0x1234, 8), 0x112233445566aa88);
    ck_assert_uint_eq(testdev_mmio_read(testdev, 0x1236, 2), 0x5566);
    testdev_mmio_write(testdev, 0xffff, 4, 0);
    ck_assert_uint_eq(testdev_mmio_read(testdev, 0xffff, 4), 0xffffffff);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        loopback_ports_return_what_was_written_in_each_width,
        a_wide_write_sets_one_line_only,
        reset_lowers_only_lines_that_it_holds,
        the_memory_window_is_ram,
    };

    return rig_main("testdev", tests, ARRAY_SIZE(tests));
}
