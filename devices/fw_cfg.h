/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration interface (docs/specs/fw_cfg): selector 510h, data 511h, DMA 514h.
 * The items are set by the board at build time and never change; the state is only where the guest
 * reads.
 */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include "devices/bus.h"
#include "devices/device.h"

enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_KERNEL_CMDLINE = 0x09,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_FILES = 48,
};

struct fw_cfg_state {
    u64 dma_address; /* as collected from the two halves */
    u32 offset;
    u16 key;
    u8 reserved[2];
};

struct fw_cfg;

struct fw_cfg *fw_cfg_create(struct bus *bus, struct dma_port dma, struct error *error);
struct device fw_cfg_device(struct fw_cfg *cfg);
/* Copies the bytes. key < FW_CFG_FILE_FIRST; replaces what was there. Only at board build. */
void fw_cfg_add_bytes(struct fw_cfg *cfg, u16 key, const void *bytes, u32 size);
/* Little-endian integers. */
void fw_cfg_add_u16(struct fw_cfg *cfg, u16 key, u16 value);
void fw_cfg_add_u32(struct fw_cfg *cfg, u16 key, u32 value);
void fw_cfg_add_u64(struct fw_cfg *cfg, u16 key, u64 value);
/* A named file in the directory; false if there are FW_CFG_FILES already or the name has over 55
 * bytes. */
MUST_CHECK bool fw_cfg_add_file(struct fw_cfg *cfg, const char *name, const void *bytes, u32 size,
                                struct error *error);

#endif
