/* SPDX-License-Identifier: MIT */
/* A small writer of ACPI machine language (ACPI 6.4 chapter 20) and resource templates (6.4). */
#ifndef FIRMWARE_AML_H
#define FIRMWARE_AML_H

#include "base/types.h"

enum { AML_MAX = 8192 };

/* Filled from the front; checked against overflow. */
struct aml {
    u8 bytes[AML_MAX];
    u32 size;
};

enum aml_block { AML_SCOPE = 0x10, AML_BUFFER = 0x11, AML_PACKAGE = 0x12, AML_DEVICE = 0x5b82 };

void aml_bytes(struct aml *aml, const void *from, u32 size);
/* An integer of `bytes` bytes, without a prefix. */
void aml_raw(struct aml *aml, u64 value, u32 bytes);
/* An integer constant in its shortest form. */
void aml_integer(struct aml *aml, u64 value);
/* Name(name, ...): the object must follow. name: one to four letters. */
void aml_name(struct aml *aml, const char *name);
/* Name(name, integer) and Name(name, EISAID("PNPxxxx")). */
void aml_name_integer(struct aml *aml, const char *name, u64 value);
void aml_name_eisa(struct aml *aml, const char *name, const char *id);

/* Open a block; returns what aml_close() wants. Scope and Device must be followed by a name;
 * Package by its count as one raw byte; Buffer by its size as an integer. */
u32 aml_open(struct aml *aml, enum aml_block block);
/* Write the length that the block turned out to have. */
void aml_close(struct aml *aml, u32 start);
void aml_segment(struct aml *aml, const char *name);

/* Resource descriptors go between aml_resources() and aml_resources_end(): Name(_CRS, Buffer). */
struct aml_resources {
    u8 bytes[256];
    u32 size;
};
void aml_io(struct aml_resources *r, u16 port, u8 length);
/* mask: bit per ISA interrupt. */
void aml_irqs(struct aml_resources *r, u16 mask);
void aml_memory(struct aml_resources *r, u32 base, u32 size);
/* Address ranges that a bridge passes on: producer, fixed, positive decode. */
void aml_bus_range(struct aml_resources *r, u16 first, u16 last);
void aml_io_range(struct aml_resources *r, u16 first, u16 last);
void aml_memory_range(struct aml_resources *r, u32 first, u32 last);
void aml_resources(struct aml *aml, const struct aml_resources *r);

#endif
