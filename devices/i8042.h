/* SPDX-License-Identifier: MIT */
/*
 * 8042 keyboard controller (IBM PS/2 Technical Reference) with a keyboard and a PS/2 mouse that
 * answers commands but never moves, and port 92 (fast A20 and reset).
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irq.h"

enum { I8042_QUEUE = 64 };

struct i8042_queue_state {
    u8 bytes[I8042_QUEUE];
    u8 head, count;
    u8 reserved[6];
};

struct i8042_state {
    struct i8042_queue_state keyboard, mouse;
    u8 ram[32]; /* ram[0]: command byte */
    u8 status; /* port 64 */
    u8 output; /* port 60, valid if status bit 0 */
    u8 expects; /* controller command that waits for its data byte, 0: none */
    u8 a20; /* one gate for this and port 92 */
    u8 port92; /* bits as written, but A20 */
    u8 break_code; /* translation has swallowed the F0 of a break code */
    u8 kbd_command; /* keyboard command that waits for its argument, 0: none */
    u8 kbd_enabled, kbd_set, kbd_leds, kbd_rate, kbd_last;
    u8 mouse_command, mouse_enabled, mouse_remote, mouse_wrap, mouse_scaling;
    u8 mouse_rate, mouse_resolution, mouse_last;
    u8 reserved[4];
};

struct i8042;

/* A20 starts enabled (the board's loaders need that). Reset and A20 requests go to machine. */
struct i8042 *i8042_create(struct bus *bus, struct irq_line irq1, struct irq_line irq12,
                           struct machine_port machine, struct error *error);
struct device i8042_device(struct i8042 *kbd);
/* Press or release a key, at an instruction boundary. code: scan set 1 make code 01h..7Fh, plus
 * 0E000h for extended keys (0E01Dh is right Ctrl), or 0E11Dh for Pause, which has no release.
 * false: the keyboard's buffer is full, offer it again later. */
bool i8042_key(struct i8042 *kbd, u16 code, bool pressed);

#endif
