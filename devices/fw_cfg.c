/* SPDX-License-Identifier: MIT */
/* Firmware configuration interface: QEMU's docs/specs/fw_cfg, "Hardware Interface", "DMA". */
#include "devices/fw_cfg.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct fw_cfg_state) == 16, "padding in fw_cfg_state");

enum { KEYS = FW_CFG_FILE_FIRST + FW_CFG_FILES, NAME_SIZE = 56 };
/* A set bit 15 names keys of the architecture; none are here. Bit 14 is ignored in lookups. */
enum { KEY_ARCH = 0x8000, KEY_MASK = 0x3fff };

enum {
    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
};
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { DMA_MAX = 1 << 20 }; /* bytes in one transfer */

struct item {
    u8 *bytes;
    u32 size;
};

/* An entry of the file directory, big-endian. */
struct file {
    u32 size;
    u16 key;
    u16 reserved;
    char name[NAME_SIZE];
};

struct directory {
    u32 count;
    struct file file[FW_CFG_FILES];
};

struct fw_cfg {
    struct fw_cfg_state state;
    struct dma_port dma;
    struct item item[KEYS];
    struct directory directory;
    u32 files;
};

static const struct item *selected(const struct fw_cfg *cfg)
{
    static const struct item nothing;
    const u32 key = cfg->state.key & KEY_MASK;

    return (cfg->state.key & KEY_ARCH) || key >= KEYS ? &nothing : &cfg->item[key];
}

static void select_key(struct fw_cfg *cfg, u16 key)
{
    cfg->state.key = key;
    cfg->state.offset = 0;
}

/* Bytes past the end read as 0. */
static u8 next_byte(struct fw_cfg *cfg)
{
    const struct item *item = selected(cfg);

    return cfg->state.offset < item->size ? item->bytes[cfg->state.offset++] : 0;
}

/* ---- DMA ---- */

static void dma_bytes(struct fw_cfg *cfg, u64 to, u64 length)
{
    static const u8 zeros[4096];
    const struct item *item = selected(cfg);
    const u64 left = item->size - cfg->state.offset;
    const u64 there = length < left ? length : left;

    if (there != 0)
        cfg->dma.write(cfg->dma.ctx, to, item->bytes + cfg->state.offset, there);
    cfg->state.offset += (u32)there;
    for (u64 done = there; done < length; done += sizeof(zeros))
        cfg->dma.write(cfg->dma.ctx, to + done, zeros,
                       length - done < sizeof(zeros) ? length - done : sizeof(zeros));
}

static void dma_skip(struct fw_cfg *cfg, u32 length)
{
    const u32 left = selected(cfg)->size - cfg->state.offset;

    cfg->state.offset += length < left ? length : left;
}

/* The guest's control block: control, length, address; the result goes to control. */
static void dma_run(struct fw_cfg *cfg)
{
    const u64 at = cfg->state.dma_address;
    u32 head[2];
    u64 address;
    u32 control, length, result = 0;

    cfg->state.dma_address = 0;
    if (cfg->dma.read == NULL || cfg->dma.write == NULL)
        return;
    cfg->dma.read(cfg->dma.ctx, at, head, sizeof(head));
    cfg->dma.read(cfg->dma.ctx, at + 8, &address, sizeof(address));
    control = __builtin_bswap32(head[0]);
    length = __builtin_bswap32(head[1]);
    if (control & DMA_SELECT)
        select_key(cfg, (u16)(control >> 16));
    /* No item is that long, and one instruction must come to its end; none can be written. */
    if ((control & DMA_READ) ? length > DMA_MAX : (control & DMA_WRITE) != 0)
        result = DMA_ERROR;
    else if (control & DMA_READ)
        dma_bytes(cfg, __builtin_bswap64(address), length);
    else if (control & DMA_SKIP)
        dma_skip(cfg, length);
    result = __builtin_bswap32(result);
    cfg->dma.write(cfg->dma.ctx, at, &result, sizeof(result));
}

/* ---- ports ---- */

static u32 cfg_read(void *ctx, u32 offset, u32 size)
{
    struct fw_cfg *cfg = ctx;

    /* The selector is write-only; data comes by bytes from port 511. */
    return size == 1 && offset == 1 ? next_byte(cfg) : 0;
}

static void cfg_write(void *ctx, u32 offset, u32 size, u32 value)
{
    if (size == 2 && offset == 0)
        select_key(ctx, (u16)value);
}

/* The register is big-endian; a write to its lower half starts the transfer. */
static u32 dma_port_read(void *ctx, u32 offset, u32 size)
{
    static const u8 signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
    u32 value = 0;

    (void)ctx;
    for (u32 i = 0; i < size; i++)
        value |= (u32)signature[(offset + i) & 7] << (8 * i);
    return value;
}

static void dma_port_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct fw_cfg *cfg = ctx;
    const u32 half = __builtin_bswap32(value);

    if (size != 4)
        return;
    if (offset == 0) {
        cfg->state.dma_address = (u64)half << 32;
    } else if (offset == 4) {
        cfg->state.dma_address |= half;
        dma_run(cfg);
    }
}

/* ---- build ---- */

void fw_cfg_add_bytes(struct fw_cfg *cfg, u16 key, const void *bytes, u32 size)
{
    struct item *item;

    CHECK(key < KEYS);
    item = &cfg->item[key];
    free(item->bytes);
    item->bytes = malloc(size != 0 ? size : 1);
    CHECK(item->bytes != NULL);
    if (size != 0)
        memcpy(item->bytes, bytes, size);
    item->size = size;
}

void fw_cfg_add_u16(struct fw_cfg *cfg, u16 key, u16 value)
{
    fw_cfg_add_bytes(cfg, key, &value, sizeof(value));
}

void fw_cfg_add_u32(struct fw_cfg *cfg, u16 key, u32 value)
{
    fw_cfg_add_bytes(cfg, key, &value, sizeof(value));
}

void fw_cfg_add_u64(struct fw_cfg *cfg, u16 key, u64 value)
{
    fw_cfg_add_bytes(cfg, key, &value, sizeof(value));
}

bool fw_cfg_add_file(struct fw_cfg *cfg, const char *name, const void *bytes, u32 size,
                     struct error *error)
{
    const u16 key = (u16)(FW_CFG_FILE_FIRST + cfg->files);
    struct file *file = &cfg->directory.file[cfg->files];

    if (cfg->files == FW_CFG_FILES)
        return error_set(error, "fw_cfg file %s: more than %d files", name, FW_CFG_FILES);
    if (strlen(name) >= NAME_SIZE)
        return error_set(error, "fw_cfg file %s: name longer than %d bytes", name, NAME_SIZE - 1);
    fw_cfg_add_bytes(cfg, key, bytes, size);
    *file = (struct file){.size = __builtin_bswap32(size), .key = __builtin_bswap16(key)};
    memcpy(file->name, name, strlen(name));
    cfg->files++;
    cfg->directory.count = __builtin_bswap32(cfg->files);
    fw_cfg_add_bytes(cfg, FW_CFG_FILE_DIR, &cfg->directory,
                     (u32)(sizeof(cfg->directory.count) + cfg->files * sizeof(struct file)));
    return true;
}

static void fw_cfg_reset(void *device)
{
    struct fw_cfg *cfg = device;

    cfg->state = (struct fw_cfg_state){0};
}

static void fw_cfg_post_load(void *device)
{
    (void)device; /* nothing is derived from the state */
}

static void fw_cfg_destroy(void *device)
{
    struct fw_cfg *cfg = device;

    for (u32 key = 0; key < KEYS; key++)
        free(cfg->item[key].bytes);
    free(cfg);
}

static const struct port_ops cfg_ports = {cfg_read, cfg_write, 2};
static const struct port_ops dma_ports = {dma_port_read, dma_port_write, 4};
static const struct device_ops fw_cfg_ops = {"fw_cfg", fw_cfg_reset, fw_cfg_post_load,
                                             fw_cfg_destroy};

struct fw_cfg *fw_cfg_create(struct bus *bus, struct dma_port dma, struct error *error)
{
    const u32 no_files = 0;
    struct fw_cfg *cfg = calloc(1, sizeof(*cfg));

    CHECK(cfg != NULL);
    cfg->dma = dma;
    if (!bus_add_ports(bus, "fw_cfg", 0x510, 2, &cfg_ports, cfg, error) ||
        !bus_add_ports(bus, "fw_cfg dma", 0x514, 8, &dma_ports, cfg, error)) {
        free(cfg);
        return NULL;
    }
    fw_cfg_add_bytes(cfg, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(cfg, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    fw_cfg_add_bytes(cfg, FW_CFG_FILE_DIR, &no_files, sizeof(no_files));
    return cfg;
}

struct device fw_cfg_device(struct fw_cfg *cfg)
{
    return (struct device){&fw_cfg_ops, cfg, &cfg->state, sizeof(cfg->state)};
}
