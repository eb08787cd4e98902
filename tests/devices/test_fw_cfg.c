/* SPDX-License-Identifier: MIT */
#include "devices/fw_cfg.h"
#include "tests/devices/rig.h"

static struct rig rig;
static struct fw_cfg *cfg;
static u8 ram[0x1000];

static void ram_read(void *ctx, u64 at, void *to, u64 size)
{
    (void)ctx;
    for (u64 i = 0; i < size; i++)
        ((u8 *)to)[i] = at + i < sizeof(ram) ? ram[at + i] : 0xff;
}

static void ram_write(void *ctx, u64 at, const void *from, u64 size)
{
    (void)ctx;
    for (u64 i = 0; i < size; i++)
        if (at + i < sizeof(ram))
            ram[at + i] = ((const u8 *)from)[i];
}

static void plug(void)
{
    rig_init(&rig);
    cfg = fw_cfg_create(rig.bus, (struct dma_port){ram_read, ram_write, NULL}, &rig.error);
    ck_assert_ptr_nonnull(cfg);
}

static void expect(u16 key, const char *bytes, u32 count)
{
    bus_write(rig.bus, 0x510, 2, key);
    for (u32 i = 0; i < count; i++)
        ck_assert_uint_eq(in8(&rig, 0x511), (u8)bytes[i]);
}

/* Run a control block at 0x100. */
static u32 dma(u32 control, u32 length, u64 address)
{
    const u32 head[2] = {__builtin_bswap32(control), __builtin_bswap32(length)};
    u32 result;

    address = __builtin_bswap64(address);
    memcpy(&ram[0x100], head, 8);
    memcpy(&ram[0x108], &address, 8);
    bus_write(rig.bus, 0x514, 4, 0);
    bus_write(rig.bus, 0x518, 4, __builtin_bswap32(0x100));
    memcpy(&result, &ram[0x100], 4);
    return __builtin_bswap32(result);
}

START_TEST(the_signature_and_id_are_there)
{
    plug();
    expect(0, "QEMU\0\0", 6);
    expect(1, "\x03\0\0\0", 4);
    ck_assert_uint_eq(bus_read(rig.bus, 0x514, 4), 0x554d4551);
    ck_assert_uint_eq(bus_read(rig.bus, 0x518, 4), 0x47464320);
}
END_TEST

START_TEST(integers_are_little_endian_and_end_in_zeros)
{
    plug();
    fw_cfg_add_u16(cfg, FW_CFG_NB_CPUS, 4);
    fw_cfg_add_u64(cfg, FW_CFG_RAM_SIZE, 0x123456789a);
    expect(FW_CFG_NB_CPUS, "\x04\0\0\0", 4);
    expect(FW_CFG_RAM_SIZE, "\x9a\x78\x56\x34\x12\0\0\0\0", 9);
}
END_TEST

START_TEST(unknown_keys_read_as_zeros)
{
    plug();
    expect(0x3fff, "\0\0", 2);
    expect(0xffff, "\0\0", 2);
    expect(0x8000, "\0\0", 2);
}
END_TEST

START_TEST(files_are_listed_big_endian)
{
    plug();
    ck_assert(fw_cfg_add_file(cfg, "etc/one", "abc", 3, &rig.error));
    ck_assert(fw_cfg_add_file(cfg, "etc/two", "defg", 4, &rig.error));
    expect(FW_CFG_FILE_DIR, "\0\0\0\x02\0\0\0\x03\0\x20\0\0etc/one", 4 + 8 + 7);
    expect(0x21, "defg\0", 5);
}
END_TEST

START_TEST(too_many_files_and_long_names_are_refused)
{
    char name[80];

    plug();
    memset(name, 'x', sizeof(name));
    name[56] = '\0';
    ck_assert(!fw_cfg_add_file(cfg, name, "", 0, &rig.error));
    for (u32 i = 0; i < FW_CFG_FILES; i++)
        ck_assert(fw_cfg_add_file(cfg, "f", "", 0, &rig.error));
    ck_assert(!fw_cfg_add_file(cfg, "f", "", 0, &rig.error));
}
END_TEST

START_TEST(dma_selects_and_reads_and_fills_with_zeros)
{
    plug();
    fw_cfg_add_bytes(cfg, 0x12, "hello", 5);
    memset(&ram[0x200], 0x55, 16);
    ck_assert_uint_eq(dma(0x12 << 16 | 0x0a, 8, 0x200), 0);
    ck_assert_mem_eq(&ram[0x200], "hello\0\0\0\x55", 9);
}
END_TEST

START_TEST(dma_skips_and_goes_on)
{
    plug();
    fw_cfg_add_bytes(cfg, 0x12, "hello", 5);
    ck_assert_uint_eq(dma(0x12 << 16 | 0x0c, 3, 0), 0);
    ck_assert_uint_eq(dma(0x02, 2, 0x200), 0);
    ck_assert_mem_eq(&ram[0x200], "lo", 2);
    ck_assert_uint_eq(dma(0x04, 0xffffffff, 0), 0);
}
END_TEST

START_TEST(dma_writes_are_refused)
{
    plug();
    ck_assert_uint_eq(dma(0x10, 1, 0x200), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_signature_and_id_are_there,
        integers_are_little_endian_and_end_in_zeros,
        unknown_keys_read_as_zeros,
        files_are_listed_big_endian,
        too_many_files_and_long_names_are_refused,
        dma_selects_and_reads_and_fills_with_zeros,
        dma_skips_and_goes_on,
        dma_writes_are_refused,
    };

    return rig_main("fw_cfg", tests, ARRAY_SIZE(tests));
}
