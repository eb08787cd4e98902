/* SPDX-License-Identifier: MIT */
/* The stubs as bytes, with their assembly beside them. See bios.h. */
#include "firmware/bios.h"

#include "base/bits.h"
#include "base/check.h"

#include <string.h>

enum {
    SEGMENT = 0xf000,
    STUB_POST = 0xe05b, /* addresses that old programs know */
    STUB_RETURN = 0xff53,
    STUB_VIDEO = 0xf065,
    STUB_MEMORY = 0xf841,
    STUB_FAIL = 0xf859,
    STUB_TICK = 0xfea5,
    STUB_MASTER = 0xff60, /* IRQ 1..7 */
    STUB_SLAVE = 0xff70, /* IRQ 8..15 */
    STUB_RESET = 0xfff0,
    STUB_DATE = 0xfff5,
    BDA = 0x400,
};

/* clang-format off */
static const u8 post[] = {
    0xfa,             /* cli */
    0xf4,             /* hlt */
    0xeb, 0xfd,       /* jmp $-1 */
};
static const u8 reset[] = {
    0xea, 0x5b, 0xe0, 0x00, 0xf0, /* jmp F000:E05B */
};
static const u8 date[] = { '0', '1', '/', '0', '1', '/', '2', '6', 0, 0xfc };
static const u8 just_return[] = {
    0xcf,             /* iret */
};
static const u8 video[] = {
    0x80, 0xfc, 0x0e, /* cmp ah, 0Eh */
    0x75, 0x15,       /* jne done */
    0x50,             /* push ax */
    0x52,             /* push dx */
    0xe6, 0xe9,       /* out E9h, al */
    0x88, 0xc4,       /* mov ah, al */
    0xba, 0xfd, 0x03, /* mov dx, 3FDh */
    0xec,             /* wait: in al, dx */
    0xa8, 0x20,       /* test al, 20h: transmitter empty */
    0x74, 0xfb,       /* jz wait */
    0x88, 0xe0,       /* mov al, ah */
    0xb2, 0xf8,       /* mov dl, F8h */
    0xee,             /* out dx, al */
    0x5a,             /* pop dx */
    0x58,             /* pop ax */
    0xcf,             /* done: iret */
};
static const u8 memory_size[] = {
    0xb8, 0x7f, 0x02, /* mov ax, 639 */
    0xcf,             /* iret */
};
static const u8 fail[] = {
    0x55,                   /* push bp */
    0x89, 0xe5,             /* mov bp, sp */
    0x83, 0x4e, 0x06, 0x01, /* or word [bp+6], 1: carry in the caller's flags */
    0xb4, 0x86,             /* mov ah, 86h: function not supported */
    0x5d,                   /* pop bp */
    0xcf,                   /* iret */
};
static const u8 tick[] = {
    0x50,                               /* push ax */
    0x1e,                               /* push ds */
    0x31, 0xc0,                         /* xor ax, ax */
    0x8e, 0xd8,                         /* mov ds, ax */
    0x66, 0xff, 0x06, 0x6c, 0x04,       /* inc dword [46Ch] */
    0xb0, 0x20,                         /* mov al, 20h: non-specific EOI */
    0xe6, 0x20,                         /* out 20h, al */
    0x1f,                               /* pop ds */
    0x58,                               /* pop ax */
    0xcf,                               /* iret */
};
static const u8 end_master[] = {
    0x50,             /* push ax */
    0xb0, 0x20,       /* mov al, 20h */
    0xe6, 0x20,       /* out 20h, al */
    0x58,             /* pop ax */
    0xcf,             /* iret */
};
static const u8 end_slave[] = {
    0x50,             /* push ax */
    0xb0, 0x20,       /* mov al, 20h */
    0xe6, 0xa0,       /* out A0h, al */
    0xe6, 0x20,       /* out 20h, al */
    0x58,             /* pop ax */
    0xcf,             /* iret */
};

static const struct stub {
    u16 at, size;
    const u8 *bytes;
} stubs[] = {
    { STUB_POST,   sizeof(post),        post },
    { STUB_VIDEO,  sizeof(video),       video },
    { STUB_MEMORY, sizeof(memory_size), memory_size },
    { STUB_FAIL,   sizeof(fail),        fail },
    { STUB_TICK,   sizeof(tick),        tick },
    { STUB_RETURN, sizeof(just_return), just_return },
    { STUB_MASTER, sizeof(end_master),  end_master },
    { STUB_SLAVE,  sizeof(end_slave),   end_slave },
    { STUB_RESET,  sizeof(reset),       reset },
    { STUB_DATE,   sizeof(date),        date },
};

/* Vectors first..last go to a stub; later rows win. */
static const struct vectors {
    u16 first, last, stub;
} vectors[] = {
    { 0x00, 0xff, STUB_RETURN },
    { 0x08, 0x08, STUB_TICK },
    { 0x09, 0x0f, STUB_MASTER },
    { 0x70, 0x77, STUB_SLAVE },
    { 0x10, 0x10, STUB_VIDEO },
    { 0x12, 0x12, STUB_MEMORY },
    { 0x13, 0x13, STUB_FAIL },
    { 0x15, 0x15, STUB_FAIL },
    { 0x18, 0x19, STUB_POST },
};

/* BIOS data area, offset from 400h. */
static const struct datum {
    u16 at, bytes;
    u32 value;
} data[] = {
    { 0x00, 2, 0x3f8 }, /* COM1 */
    { 0x02, 2, 0x2f8 },
    { 0x0e, 2, PC_EBDA >> 4 },
    { 0x10, 2, 0x0226 }, /* equipment: FPU, mouse, 80x25, one serial port */
    { 0x13, 2, PC_EBDA / 1024 },
    { 0x49, 1, 3 }, /* video mode */
    { 0x4a, 2, 80 },
    { 0x63, 2, 0x3d4 },
    { 0x84, 1, 24 },
};
/* clang-format on */

void bios_install(struct memory *memory)
{
    u8 low[0x500] = {0};
    bool done = true;

    for (u32 i = 0; i < ARRAY_SIZE(vectors); i++)
        for (u32 n = vectors[i].first; n <= vectors[i].last; n++)
            store_le(low + 4 * n, (u64)SEGMENT << 16 | vectors[i].stub, 4);
    for (u32 i = 0; i < ARRAY_SIZE(data); i++)
        store_le(low + BDA + data[i].at, data[i].value, data[i].bytes);
    done &= memory_load(memory, (hpa_t){0}, low, sizeof(low));
    for (u32 i = 0; i < ARRAY_SIZE(stubs); i++)
        done &= memory_load(memory, (hpa_t){((u64)SEGMENT << 4) + stubs[i].at}, stubs[i].bytes,
                            stubs[i].size);
    CHECK(done); /* low memory and the ROM are always there */
}
