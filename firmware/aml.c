/* SPDX-License-Identifier: MIT */
/* The AML writer. Section numbers are those of ACPI 6.4. */
#include "firmware/aml.h"

#include "base/bits.h"
#include "base/check.h"

#include <string.h>

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_QWORD = 0x0e,
};

void aml_bytes(struct aml *aml, const void *from, u32 size)
{
    CHECK(size <= AML_MAX - aml->size);
    memcpy(aml->bytes + aml->size, from, size);
    aml->size += size;
}

void aml_raw(struct aml *aml, u64 value, u32 bytes)
{
    u8 buffer[8];

    store_le(buffer, value, bytes);
    aml_bytes(aml, buffer, bytes);
}

void aml_integer(struct aml *aml, u64 value)
{
    if (value <= 1) {
        aml_raw(aml, value == 0 ? OP_ZERO : OP_ONE, 1);
    } else if (value <= 0xff) {
        aml_raw(aml, OP_BYTE, 1);
        aml_raw(aml, value, 1);
    } else if (value <= 0xffff) {
        aml_raw(aml, OP_WORD, 1);
        aml_raw(aml, value, 2);
    } else if (value <= 0xffffffff) {
        aml_raw(aml, OP_DWORD, 1);
        aml_raw(aml, value, 4);
    } else {
        aml_raw(aml, OP_QWORD, 1);
        aml_raw(aml, value, 8);
    }
}

/* 20.2.2: four characters, padded with underscores. */
void aml_segment(struct aml *aml, const char *name)
{
    char four[4] = {'_', '_', '_', '_'};
    const size_t length = strlen(name);

    CHECK(length >= 1 && length <= 4);
    memcpy(four, name, length);
    aml_bytes(aml, four, 4);
}

void aml_name(struct aml *aml, const char *name)
{
    aml_raw(aml, OP_NAME, 1);
    aml_segment(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, u64 value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

static u32 hex_digit(char c)
{
    return (u32)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* 19.6.36 EISAID: three letters of 5 bits and four hex digits, big-endian. */
void aml_name_eisa(struct aml *aml, const char *name, const char *id)
{
    const u32 letters = (u32)(id[0] - 0x40) << 10 | (u32)(id[1] - 0x40) << 5 | (u32)(id[2] - 0x40);
    const u32 digits =
        hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);

    aml_name(aml, name);
    aml_raw(aml, OP_DWORD, 1);
    aml_raw(aml, __builtin_bswap32(letters << 16 | digits), 4);
}

u32 aml_open(struct aml *aml, enum aml_block block)
{
    if (block > 0xff)
        aml_raw(aml, block >> 8, 1);
    aml_raw(aml, block & 0xff, 1);
    return aml->size;
}

/* 20.2.4 PkgLength: it counts itself, and its size depends on its value. */
void aml_close(struct aml *aml, u32 start)
{
    const u32 body = aml->size - start;
    const u32 width = body + 1 <= 0x3f ? 1 : body + 2 <= 0xfff ? 2 : 3;
    const u32 length = body + width;

    CHECK(width <= AML_MAX - aml->size);
    memmove(aml->bytes + start + width, aml->bytes + start, body);
    aml->size += width;
    if (width == 1) {
        aml->bytes[start] = (u8)length;
        return;
    }
    aml->bytes[start] = (u8)((width - 1) << 6 | (length & 0xf));
    for (u32 i = 1; i < width; i++)
        aml->bytes[start + i] = (u8)(length >> (4 + 8 * (i - 1)));
}

static void put(struct aml_resources *r, u64 value, u32 bytes)
{
    CHECK(bytes <= sizeof(r->bytes) - r->size);
    store_le(r->bytes + r->size, value, bytes);
    r->size += bytes;
}

/* 6.4.2.5 I/O Port Descriptor, 16-bit decode. */
void aml_io(struct aml_resources *r, u16 port, u8 length)
{
    put(r, 0x47, 1);
    put(r, 1, 1);
    put(r, port, 2);
    put(r, port, 2);
    put(r, 1, 1);
    put(r, length, 1);
}

/* 6.4.2.1 IRQ Descriptor without flags: edge, active high. */
void aml_irqs(struct aml_resources *r, u16 mask)
{
    put(r, 0x22, 1);
    put(r, mask, 2);
}

/* 6.4.3.4 32-Bit Fixed Memory Range Descriptor, writable. */
void aml_memory(struct aml_resources *r, u32 base, u32 size)
{
    put(r, 0x86, 1);
    put(r, 9, 2);
    put(r, 1, 1);
    put(r, base, 4);
    put(r, size, 4);
}

/* 6.4.3.5.2 and 6.4.3.5.3: Address Space Descriptors. type: 0 memory, 1 I/O, 2 bus numbers. */
static void range(struct aml_resources *r, u32 type, u32 flags, u64 first, u64 last, u32 width)
{
    put(r, width == 2 ? 0x88 : 0x87, 1);
    put(r, 3 + 5 * width, 2);
    put(r, type, 1);
    put(r, 0x0c, 1); /* producer, minimum and maximum fixed, positive decode */
    put(r, flags, 1);
    put(r, 0, width);
    put(r, first, width);
    put(r, last, width);
    put(r, 0, width);
    put(r, last - first + 1, width);
}

void aml_bus_range(struct aml_resources *r, u16 first, u16 last)
{
    range(r, 2, 0, first, last, 2);
}

void aml_io_range(struct aml_resources *r, u16 first, u16 last)
{
    range(r, 1, 3, first, last, 2);
}

void aml_memory_range(struct aml_resources *r, u32 first, u32 last)
{
    range(r, 0, 1, first, last, 4);
}

void aml_resources(struct aml *aml, const struct aml_resources *r)
{
    const u8 end_tag[2] = {0x79, 0};
    u32 start;

    aml_name(aml, "_CRS");
    start = aml_open(aml, AML_BUFFER);
    aml_integer(aml, r->size + 2);
    aml_bytes(aml, r->bytes, r->size);
    aml_bytes(aml, end_tag, 2);
    aml_close(aml, start);
}
