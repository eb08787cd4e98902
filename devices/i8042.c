/* SPDX-License-Identifier: MIT */
/*
 * 8042 keyboard controller, keyboard and mouse: IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller", "101/102-key keyboard". Everything answers at once.
 */
#include "devices/i8042.h"

#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct i8042_queue_state) == I8042_QUEUE + 8, "padding in i8042_queue_state");
_Static_assert(sizeof(struct i8042_state) == 2 * (I8042_QUEUE + 8) + 32 + 24,
               "padding in i8042_state");

enum {
    STATUS_OUTPUT_FULL = 0x01,
    STATUS_SYSTEM = 0x04,
    STATUS_COMMAND = 0x08,
    STATUS_UNLOCKED = 0x10,
    STATUS_MOUSE = 0x20,

    MODE_IRQ1 = 0x01,
    MODE_IRQ12 = 0x02,
    MODE_SYSTEM = 0x04,
    MODE_NO_KEYBOARD = 0x10,
    MODE_NO_MOUSE = 0x20,
    MODE_TRANSLATE = 0x40,

    PORT_NOT_RESET = 0x01,
    PORT_A20 = 0x02,
    PORT_IRQ1 = 0x10,
    PORT_IRQ12 = 0x20,
};

enum { ACK = 0xfa, RESEND = 0xfe, TEST_PASSED = 0xaa, BREAK = 0xf0 };
enum { PAUSE = 0xe11d, KEY_BYTES_MAX = 8 };

/* What the controller turns codes of scan set 2 into when it translates: set 1 ("Scan code
 * translation"). Beyond the table only 83h and 84h change. */
/* clang-format off */
static const u8 set2_to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};
/* clang-format on */

struct i8042 {
    struct i8042_state state;
    struct irq_line irq1, irq12;
    struct machine_port machine;
};

static void request(const struct i8042 *k, enum machine_request what, u32 value)
{
    if (k->machine.request != NULL)
        k->machine.request(k->machine.ctx, what, value);
}

/* ---- queues from the two devices ---- */

static void queue_put(struct i8042_queue_state *q, u8 byte)
{
    if (q->count == I8042_QUEUE)
        return;
    q->bytes[(q->head + q->count) % I8042_QUEUE] = byte;
    q->count++;
}

static u8 queue_take(struct i8042_queue_state *q)
{
    const u8 byte = q->bytes[q->head % I8042_QUEUE];

    q->head = (u8)((q->head + 1) % I8042_QUEUE);
    q->count--;
    return byte;
}

static u8 translate(u8 code)
{
    if (code < 0x80)
        return set2_to_set1[code];
    if (code == 0x83)
        return 0x41; /* F7 */
    return code == 0x84 ? 0x54 : code;
}

/* ---- the output buffer ---- */

static void drive(const struct i8042 *k)
{
    const struct i8042_state *s = &k->state;
    const bool full = s->status & STATUS_OUTPUT_FULL;
    const bool mouse = s->status & STATUS_MOUSE;

    irq_set(&k->irq1, full && !mouse && (s->ram[0] & MODE_IRQ1));
    irq_set(&k->irq12, full && mouse && (s->ram[0] & MODE_IRQ12));
}

static void put_output(struct i8042 *k, u8 byte, bool mouse)
{
    struct i8042_state *s = &k->state;

    s->output = byte;
    s->status |= STATUS_OUTPUT_FULL;
    s->status &= (u8)~STATUS_MOUSE;
    s->status |= mouse ? STATUS_MOUSE : 0;
    drive(k);
}

/* Let the devices fill an empty buffer, the keyboard first. */
static void refill(struct i8042 *k)
{
    struct i8042_state *s = &k->state;

    while (!(s->status & STATUS_OUTPUT_FULL) && s->keyboard.count != 0 &&
           !(s->ram[0] & MODE_NO_KEYBOARD)) {
        u8 byte = queue_take(&s->keyboard);

        if (s->ram[0] & MODE_TRANSLATE) {
            if (byte == BREAK) {
                s->break_code = 1;
                continue;
            }
            byte = (u8)(translate(byte) | (s->break_code ? 0x80 : 0));
            s->break_code = 0;
        }
        put_output(k, byte, false);
    }
    if (!(s->status & STATUS_OUTPUT_FULL) && s->mouse.count != 0 && !(s->ram[0] & MODE_NO_MOUSE))
        put_output(k, queue_take(&s->mouse), true);
}

/* ---- A20 and reset ---- */

static void set_a20(struct i8042 *k, bool enabled)
{
    if (k->state.a20 == enabled)
        return;
    k->state.a20 = enabled;
    request(k, MACHINE_A20, enabled);
}

static void write_output_port(struct i8042 *k, u8 value)
{
    set_a20(k, value & PORT_A20);
    if (!(value & PORT_NOT_RESET))
        request(k, MACHINE_RESET, 0);
}

static u8 read_output_port(const struct i8042_state *s)
{
    const bool full = s->status & STATUS_OUTPUT_FULL;
    const bool mouse = s->status & STATUS_MOUSE;

    return (u8)(0xc0 | PORT_NOT_RESET | (s->a20 ? PORT_A20 : 0) | (full && !mouse ? PORT_IRQ1 : 0) |
                (full && mouse ? PORT_IRQ12 : 0));
}

/* ---- keyboard ---- */

static void keyboard_defaults(struct i8042_state *s, bool enabled)
{
    s->keyboard.count = 0;
    s->break_code = 0;
    s->kbd_enabled = enabled;
    s->kbd_set = 2;
    s->kbd_rate = 0x2b;
    s->kbd_command = 0;
}

static void keyboard_send(struct i8042_state *s, u8 byte)
{
    s->kbd_last = byte;
    queue_put(&s->keyboard, byte);
}

static void keyboard_argument(struct i8042_state *s, u8 byte)
{
    const u8 command = s->kbd_command;

    s->kbd_command = 0;
    if (command == 0xf0 && byte > 2) {
        keyboard_send(s, RESEND); /* set 3 is not there */
        return;
    }
    keyboard_send(s, ACK);
    if (command == 0xed)
        s->kbd_leds = byte;
    else if (command == 0xf3)
        s->kbd_rate = byte;
    else if (byte == 0)
        keyboard_send(s, s->kbd_set);
    else
        s->kbd_set = byte;
}

static void keyboard_write(struct i8042_state *s, u8 byte)
{
    if (s->kbd_command != 0 && byte < 0x80) {
        keyboard_argument(s, byte);
        return;
    }
    s->kbd_command = 0;
    switch (byte) {
    case 0xed: /* LEDs, scan set, typematic: an argument follows */
    case 0xf0:
    case 0xf3:
        s->kbd_command = byte;
        keyboard_send(s, ACK);
        break;
    case 0xee: keyboard_send(s, 0xee); break;
    case 0xf2:
        keyboard_send(s, ACK);
        keyboard_send(s, 0xab);
        keyboard_send(s, 0x83);
        break;
    case 0xf4:
        s->keyboard.count = 0;
        s->kbd_enabled = 1;
        keyboard_send(s, ACK);
        break;
    case 0xf5:
    case 0xf6:
        keyboard_defaults(s, byte == 0xf6);
        keyboard_send(s, ACK);
        break;
    case 0xf7: /* key types of set 3: accepted, without meaning in sets 1 and 2 */
    case 0xf8:
    case 0xf9:
    case 0xfa: keyboard_send(s, ACK); break;
    case 0xfe: queue_put(&s->keyboard, s->kbd_last); break;
    case 0xff:
        keyboard_defaults(s, true);
        keyboard_send(s, ACK);
        keyboard_send(s, TEST_PASSED);
        break;
    default: keyboard_send(s, RESEND); break;
    }
}

/* Code of scan set 2 for one of set 1. */
static u8 set1_to_set2(u8 code)
{
    if (code == 0x41)
        return 0x83;
    if (code == 0x54)
        return 0x84;
    for (u32 i = 0; i < ARRAY_SIZE(set2_to_set1); i++)
        if (set2_to_set1[i] == code)
            return (u8)i;
    return 0;
}

static void send_code(struct i8042_state *s, u8 code, bool pressed)
{
    if (s->kbd_set == 1) {
        keyboard_send(s, (u8)(code | (pressed ? 0 : 0x80)));
        return;
    }
    if (!pressed)
        keyboard_send(s, BREAK);
    keyboard_send(s, set1_to_set2(code));
}

bool i8042_key(struct i8042 *k, u16 code, bool pressed)
{
    struct i8042_state *s = &k->state;
    const u8 low = code & 0x7f;

    if (!s->kbd_enabled || low == 0)
        return true;
    if (s->keyboard.count + KEY_BYTES_MAX > I8042_QUEUE)
        return false;
    if (code == PAUSE) {
        for (u32 half = 0; pressed && half < 2; half++) {
            keyboard_send(s, 0xe1);
            send_code(s, 0x1d, half == 0);
            send_code(s, 0x45, half == 0);
        }
    } else {
        if (code >> 8 == 0xe0)
            keyboard_send(s, 0xe0);
        send_code(s, low, pressed);
    }
    refill(k);
    return true;
}

/* ---- mouse ---- */

static void mouse_defaults(struct i8042_state *s)
{
    s->mouse.count = 0;
    s->mouse_command = 0;
    s->mouse_enabled = 0;
    s->mouse_remote = 0;
    s->mouse_wrap = 0;
    s->mouse_scaling = 0;
    s->mouse_rate = 100;
    s->mouse_resolution = 2;
}

static void mouse_send(struct i8042_state *s, u8 byte)
{
    s->mouse_last = byte;
    queue_put(&s->mouse, byte);
}

static void mouse_status(struct i8042_state *s)
{
    mouse_send(s, (u8)(s->mouse_remote << 6 | s->mouse_enabled << 5 | s->mouse_scaling << 4));
    mouse_send(s, s->mouse_resolution);
    mouse_send(s, s->mouse_rate);
}

static void mouse_command(struct i8042_state *s, u8 byte)
{
    mouse_send(s, ACK);
    switch (byte) {
    case 0xe6:
    case 0xe7: s->mouse_scaling = byte & 1; break;
    case 0xe8: /* resolution and rate: an argument follows */
    case 0xf3: s->mouse_command = byte; break;
    case 0xe9: mouse_status(s); break;
    case 0xea:
    case 0xf0: s->mouse_remote = byte == 0xf0; break;
    case 0xeb: /* a packet: nothing moved, no button */
        mouse_send(s, 0x08);
        mouse_send(s, 0);
        mouse_send(s, 0);
        break;
    case 0xec:
    case 0xee: s->mouse_wrap = byte == 0xee; break;
    case 0xf2: mouse_send(s, 0); break; /* standard mouse */
    case 0xf4:
    case 0xf5: s->mouse_enabled = byte == 0xf4; break;
    case 0xf6:
        mouse_defaults(s);
        mouse_send(s, ACK);
        break;
    case 0xff:
        mouse_defaults(s);
        mouse_send(s, ACK);
        mouse_send(s, TEST_PASSED);
        mouse_send(s, 0);
        break;
    default: break;
    }
}

static bool is_mouse_command(u8 byte)
{
    return (byte >= 0xe6 && byte <= 0xf6 && byte != 0xed && byte != 0xef && byte != 0xf1) ||
           byte == 0xff;
}

static void mouse_write(struct i8042_state *s, u8 byte)
{
    const u8 waiting = s->mouse_command;

    if (s->mouse_wrap && byte != 0xec && byte != 0xff) {
        mouse_send(s, byte);
        return;
    }
    s->mouse_command = 0;
    if (waiting != 0) {
        if (waiting == 0xe8)
            s->mouse_resolution = byte;
        else
            s->mouse_rate = byte;
        mouse_send(s, ACK);
    } else if (byte == 0xfe) {
        queue_put(&s->mouse, s->mouse_last);
    } else if (is_mouse_command(byte)) {
        mouse_command(s, byte);
    } else {
        mouse_send(s, RESEND);
    }
}

/* ---- controller ---- */

static void write_ram(struct i8042 *k, u32 index, u8 value)
{
    struct i8042_state *s = &k->state;

    s->ram[index] = value;
    if (index != 0)
        return;
    s->status &= (u8)~STATUS_SYSTEM;
    s->status |= value & MODE_SYSTEM;
    drive(k);
}

static void controller_command(struct i8042 *k, u8 command)
{
    struct i8042_state *s = &k->state;

    if (command >= 0x20 && command < 0x40) {
        put_output(k, s->ram[command & 0x1f], false);
        return;
    }
    if (command >= 0xf0) {
        /* Pulse output lines that are 0 in the command: line 0 is reset. */
        if (!(command & PORT_NOT_RESET))
            request(k, MACHINE_RESET, 0);
        return;
    }
    switch (command) {
    case 0xa4: put_output(k, 0xf1, false); break; /* no password */
    case 0xa7:
    case 0xa8: s->ram[0] = (u8)((s->ram[0] & ~MODE_NO_MOUSE) | (command == 0xa7) << 5); break;
    case 0xa9: put_output(k, 0, false); break;
    case 0xaa:
        s->status |= STATUS_SYSTEM;
        s->ram[0] |= MODE_SYSTEM;
        put_output(k, 0x55, false);
        break;
    case 0xab: put_output(k, 0, false); break;
    case 0xad:
    case 0xae: s->ram[0] = (u8)((s->ram[0] & ~MODE_NO_KEYBOARD) | (command == 0xad) << 4); break;
    case 0xc0: put_output(k, 0x80, false); break; /* not locked */
    case 0xd0: put_output(k, read_output_port(s), false); break;
    case 0xdd:
    case 0xdf: set_a20(k, command == 0xdf); break;
    case 0xe0: put_output(k, 0, false); break;
    default:
        /* 60..7F, D1..D4: a byte follows at port 60. The rest is reserved. */
        if ((command >= 0x60 && command < 0x80) || (command >= 0xd1 && command <= 0xd4))
            s->expects = command;
        break;
    }
}

static void write_data(struct i8042 *k, u8 value)
{
    struct i8042_state *s = &k->state;
    const u8 command = s->expects;

    s->expects = 0;
    switch (command) {
    case 0:
        s->ram[0] &= (u8)~MODE_NO_KEYBOARD; /* sending to the keyboard enables it */
        keyboard_write(s, value);
        break;
    case 0xd1: write_output_port(k, value); break;
    case 0xd2:
    case 0xd3: put_output(k, value, command == 0xd3); break;
    case 0xd4:
        s->ram[0] &= (u8)~MODE_NO_MOUSE;
        mouse_write(s, value);
        break;
    default: write_ram(k, command & 0x1f, value); break;
    }
}

/* Ports 60 and 64 are two regions with one context: the offset cannot tell them apart. */
static u32 data_read(void *ctx, u32 offset, u32 size)
{
    struct i8042 *k = ctx;
    const u8 value = k->state.output;

    (void)offset, (void)size;
    k->state.status &= (u8) ~(STATUS_OUTPUT_FULL | STATUS_MOUSE);
    drive(k);
    refill(k);
    return value;
}

static void data_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct i8042 *k = ctx;

    (void)offset, (void)size;
    k->state.status &= (u8)~STATUS_COMMAND;
    write_data(k, (u8)value);
    refill(k);
}

static u32 status_read(void *ctx, u32 offset, u32 size)
{
    const struct i8042 *k = ctx;

    (void)offset, (void)size;
    return k->state.status;
}

static void command_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct i8042 *k = ctx;

    (void)offset, (void)size;
    k->state.status |= STATUS_COMMAND;
    k->state.expects = 0;
    controller_command(k, (u8)value);
    refill(k);
}

enum { PORT92_RESET = 0x01, PORT92_A20 = 0x02 };

static u32 port92_read(void *ctx, u32 offset, u32 size)
{
    const struct i8042_state *s = &((struct i8042 *)ctx)->state;

    (void)offset, (void)size;
    return s->port92 | (s->a20 ? PORT92_A20 : 0);
}

static void port92_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct i8042 *k = ctx;
    const bool resets = value & ~(u32)k->state.port92 & PORT92_RESET;

    (void)offset, (void)size;
    k->state.port92 = (u8)value & (u8)~PORT92_A20;
    set_a20(k, value & PORT92_A20);
    if (resets)
        request(k, MACHINE_RESET, 0);
}

/* As firmware leaves it: keyboard on with IRQ1 and translation, mouse off, A20 open. */
static void i8042_reset(void *device)
{
    struct i8042 *k = device;
    struct i8042_state *s = &k->state;
    const u8 a20 = s->a20;

    *s = (struct i8042_state){.status = STATUS_UNLOCKED | STATUS_SYSTEM, .a20 = a20};
    s->ram[0] = MODE_IRQ1 | MODE_SYSTEM | MODE_NO_MOUSE | MODE_TRANSLATE;
    keyboard_defaults(s, true);
    mouse_defaults(s);
    set_a20(k, true);
    drive(k);
}

static void i8042_post_load(void *device)
{
    struct i8042 *k = device;

    request(k, MACHINE_A20, k->state.a20);
    drive(k);
}

static const struct port_ops data_ports = {data_read, data_write, 1};
static const struct port_ops command_ports = {status_read, command_write, 1};
static const struct port_ops port92_ports = {port92_read, port92_write, 1};
static const struct device_ops i8042_ops = {"i8042", i8042_reset, i8042_post_load, free};

struct i8042 *i8042_create(struct bus *bus, struct irq_line irq1, struct irq_line irq12,
                           struct machine_port machine, struct error *error)
{
    struct i8042 *k = calloc(1, sizeof(*k));

    CHECK(k != NULL);
    k->irq1 = irq1;
    k->irq12 = irq12;
    k->machine = machine;
    if (!bus_add_ports(bus, "i8042", 0x60, 1, &data_ports, k, error) ||
        !bus_add_ports(bus, "i8042", 0x64, 1, &command_ports, k, error) ||
        !bus_add_ports(bus, "port 92", 0x92, 1, &port92_ports, k, error)) {
        free(k);
        return NULL;
    }
    k->state.a20 = 1;
    i8042_reset(k);
    return k;
}

struct device i8042_device(struct i8042 *k)
{
    return (struct device){&i8042_ops, k, &k->state, sizeof(k->state)};
}
