/* SPDX-License-Identifier: MIT */
/* The 8259A pair: Intel 8259A data sheet (231468), by the names of its command words. */
#include "devices/pic.h"

#include "base/check.h"

#include <stdlib.h>

_Static_assert(sizeof(struct pic_chip_state) == 16, "padding in pic_chip_state");
_Static_assert(sizeof(struct pic_state) == 32, "padding in pic_state");

enum {
    ICW1_ICW4 = 0x01,
    ICW1_SINGLE = 0x02,
    ICW1_LEVEL = 0x08,
    ICW1 = 0x10,
    ICW4_AEOI = 0x02,
    ICW4_SFNM = 0x10, /* special fully nested mode */
    OCW3 = 0x08,
    OCW3_READ = 0x02,
    OCW3_READ_ISR = 0x01,
    OCW3_POLL = 0x04,
    OCW3_SET_SMM = 0x40,
    OCW3_SMM = 0x20,
};

enum { MASTER, SLAVE, CASCADE = 2, SPURIOUS = 7, NONE = 8 };

struct pic_port {
    struct pic *pic;
    u32 chip;
};

struct pic {
    struct pic_state state;
    struct pic_port port[2];
    struct irq_line output;
    bool level; /* last driven to output */
};

/* Rank of the most urgent bit of `bits` (0 highest, in the current rotation), NONE if no bit is
 * set. */
static u32 best_rank(const struct pic_chip_state *c, u8 bits)
{
    const u32 twice = bits | (u32)bits << 8;

    return bits == 0 ? NONE : (u32)__builtin_ctz(twice >> c->priority);
}

static u32 input_of_rank(const struct pic_chip_state *c, u32 rank)
{
    return (rank + c->priority) & 7;
}

/* Input that the chip would deliver now, or NONE (data sheet, "Fully Nested Mode"). */
static u32 deliverable(const struct pic *pic, u32 chip)
{
    const struct pic_chip_state *c = &pic->state.chip[chip];
    const u32 rank = best_rank(c, (u8)(c->irr & ~c->imr));
    u8 in_service = c->isr;
    u32 blocked;

    if (c->init_step != 0 || rank == NONE)
        return NONE;
    if (c->special_mask)
        in_service &= (u8)~c->imr;
    blocked = best_rank(c, in_service);
    /* In special fully nested mode the slave may interrupt itself through the master. */
    if (chip == MASTER && (c->icw4 & ICW4_SFNM) && blocked != NONE &&
        input_of_rank(c, blocked) == CASCADE && input_of_rank(c, rank) == CASCADE)
        return CASCADE;
    return rank < blocked ? input_of_rank(c, rank) : NONE;
}

static bool is_level(const struct pic_chip_state *c, u32 input)
{
    return (c->icw1 & ICW1_LEVEL) || (c->elcr >> input & 1);
}

static void set_input(struct pic_chip_state *c, u32 input, bool level)
{
    const u8 bit = (u8)(1u << input);

    if (is_level(c, input)) {
        c->irr = level ? c->irr | bit : c->irr & (u8)~bit;
    } else if (level && !(c->lines & bit)) {
        /* The edge stays latched when the line falls again. The data sheet asks for a line that
         * stays high until the acknowledge; guests rely on the latch of the chip sets' versions. */
        c->irr |= bit;
    }
    c->lines = level ? c->lines | bit : c->lines & (u8)~bit;
}

static void update(struct pic *pic)
{
    struct pic_chip_state *master = &pic->state.chip[MASTER];
    bool level;

    /* The slave's INTR is not latched in the master: it follows what the slave has to offer. */
    if (deliverable(pic, SLAVE) != NONE)
        master->irr |= 1u << CASCADE;
    else
        master->irr &= (u8) ~(1u << CASCADE);
    level = deliverable(pic, MASTER) != NONE;
    if (level != pic->level) {
        pic->level = level;
        irq_set(&pic->output, level);
    }
}

static void end_of_interrupt(struct pic_chip_state *c, u32 input, bool rotate)
{
    c->isr &= (u8) ~(1u << input);
    if (rotate)
        c->priority = (input + 1) & 7;
}

/* Move a request into service. */
static void accept(struct pic_chip_state *c, u32 input)
{
    const u8 bit = (u8)(1u << input);

    if (!is_level(c, input))
        c->irr &= (u8)~bit;
    c->isr |= bit;
    if (c->icw4 & ICW4_AEOI)
        end_of_interrupt(c, input, c->rotate_on_aeoi);
}

u8 pic_ack(struct pic *pic)
{
    struct pic_chip_state *master = &pic->state.chip[MASTER];
    struct pic_chip_state *slave = &pic->state.chip[SLAVE];
    u32 input = deliverable(pic, MASTER);
    u8 vector;

    if (input == NONE) {
        vector = master->vector_base | SPURIOUS;
    } else if (input != CASCADE) {
        accept(master, input);
        vector = (u8)(master->vector_base | input);
    } else {
        const u32 inner = deliverable(pic, SLAVE);

        accept(master, CASCADE);
        if (inner != NONE)
            accept(slave, inner);
        vector = slave->vector_base | (u8)(inner != NONE ? inner : SPURIOUS);
    }
    update(pic);
    return vector;
}

bool pic_output(const struct pic *pic)
{
    return deliverable(pic, MASTER) != NONE;
}

static void line_set(void *ctx, u32 irq, bool level)
{
    struct pic *pic = ctx;
    struct pic_chip_state *c = &pic->state.chip[irq / 8];
    const u8 lines = c->lines;

    set_input(c, irq % 8, level);
    if (lines != c->lines)
        update(pic);
}

struct irq_line pic_line(struct pic *pic, u32 irq)
{
    CHECK(irq < 16 && irq != CASCADE);
    return (struct irq_line){line_set, pic, irq};
}

static void write_icw1(struct pic_chip_state *c, u8 value)
{
    c->icw1 = value;
    c->icw4 = 0;
    c->init_step = 2;
    c->irr = 0; /* the edge sense circuit is reset: inputs must go low and high again */
    c->isr = 0;
    c->imr = 0;
    c->priority = 0;
    c->special_mask = 0;
    c->rotate_on_aeoi = 0;
    c->read_isr = 0;
    c->poll = 0;
    for (u32 i = 0; i < 8; i++)
        if (is_level(c, i) && (c->lines >> i & 1))
            c->irr |= (u8)(1u << i);
}

static void write_ocw2(struct pic_chip_state *c, u8 value)
{
    const u32 named = value & 7;
    const bool rotate = value & 0x80;
    const u8 in_service = c->special_mask ? (u8)(c->isr & ~c->imr) : c->isr;
    const u32 rank = best_rank(c, in_service);

    switch (value >> 5) {
    case 0: /* rotate in AEOI mode: clear, set */
    case 4: c->rotate_on_aeoi = rotate; break;
    case 1: /* non-specific EOI, with and without rotation */
    case 5:
        if (rank != NONE)
            end_of_interrupt(c, input_of_rank(c, rank), rotate);
        break;
    case 3: /* specific EOI */
    case 7: end_of_interrupt(c, named, rotate); break;
    case 6: c->priority = (named + 1) & 7; break; /* set priority */
    default: break; /* 2: no operation */
    }
}

static void write_ocw3(struct pic_chip_state *c, u8 value)
{
    if (value & OCW3_POLL)
        c->poll = 1;
    if (value & OCW3_READ)
        c->read_isr = value & OCW3_READ_ISR;
    if (value & OCW3_SET_SMM)
        c->special_mask = (value & OCW3_SMM) != 0;
}

static void write_odd_port(struct pic_chip_state *c, u8 value)
{
    switch (c->init_step) {
    case 0: c->imr = value; break;
    case 2:
        c->vector_base = value & 0xf8;
        c->init_step = c->icw1 & ICW1_SINGLE ? (c->icw1 & ICW1_ICW4 ? 4 : 0) : 3;
        break;
    case 3: /* the cascade wiring of a PC is fixed */
        c->init_step = c->icw1 & ICW1_ICW4 ? 4 : 0;
        break;
    default:
        c->icw4 = value;
        c->init_step = 0;
        break;
    }
}

/* Poll command: the next read acknowledges (data sheet, "Poll Command"). */
static u8 poll(struct pic *pic, u32 chip)
{
    struct pic_chip_state *c = &pic->state.chip[chip];
    const u32 input = deliverable(pic, chip);

    c->poll = 0;
    if (input == NONE)
        return 0;
    accept(c, input);
    update(pic);
    return (u8)(0x80 | input);
}

static void chip_write(void *ctx, u32 offset, u32 size, u32 value32)
{
    const struct pic_port *port = ctx;
    struct pic_chip_state *c = &port->pic->state.chip[port->chip];
    const u8 value = (u8)value32;

    (void)size;
    if (offset == 1)
        write_odd_port(c, value);
    else if (value & ICW1)
        write_icw1(c, value);
    else if (value & OCW3)
        write_ocw3(c, value);
    else
        write_ocw2(c, value);
    update(port->pic);
}

static u32 chip_read(void *ctx, u32 offset, u32 size)
{
    const struct pic_port *port = ctx;
    const struct pic_chip_state *c = &port->pic->state.chip[port->chip];

    (void)size;
    if (c->poll)
        return poll(port->pic, port->chip);
    if (offset == 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

/* IRQ 0, 1, 2, 8 and 13 are always edge triggered (PIIX3 data sheet 2.5.4). */
static const u8 elcr_writable[2] = {0xf8, 0xde};

static u32 elcr_read(void *ctx, u32 offset, u32 size)
{
    const struct pic *pic = ctx;

    (void)size;
    return pic->state.chip[offset].elcr;
}

static void elcr_write(void *ctx, u32 offset, u32 size, u32 value)
{
    struct pic *pic = ctx;
    struct pic_chip_state *c = &pic->state.chip[offset];

    (void)size;
    c->elcr = (u8)value & elcr_writable[offset];
    for (u32 i = 0; i < 8; i++)
        if (is_level(c, i))
            set_input(c, i, c->lines >> i & 1);
    update(pic);
}

/* As PC firmware leaves it: vectors 08h and 70h, everything but the cascade masked. */
static void pic_reset(void *device)
{
    struct pic *pic = device;
    struct pic_state *s = &pic->state;

    for (u32 chip = 0; chip < 2; chip++)
        s->chip[chip] = (struct pic_chip_state){.lines = s->chip[chip].lines,
                                                .vector_base = chip == MASTER ? 0x08 : 0x70,
                                                .imr = chip == MASTER ? 0xfb : 0xff,
                                                .icw1 = ICW1 | ICW1_ICW4,
                                                .icw4 = 1};
    update(pic);
}

static void pic_post_load(void *device)
{
    struct pic *pic = device;

    pic->level = pic_output(pic);
    irq_set(&pic->output, pic->level);
}

static const struct port_ops chip_ports = {chip_read, chip_write, 1};
static const struct port_ops elcr_ports = {elcr_read, elcr_write, 1};
static const struct device_ops pic_ops = {"pic", pic_reset, pic_post_load, free};

struct pic *pic_create(struct bus *bus, struct irq_line output, struct error *error)
{
    struct pic *pic = calloc(1, sizeof(*pic));

    CHECK(pic != NULL);
    pic->output = output;
    pic->port[MASTER] = (struct pic_port){pic, MASTER};
    pic->port[SLAVE] = (struct pic_port){pic, SLAVE};
    if (!bus_add_ports(bus, "pic", 0x20, 2, &chip_ports, &pic->port[MASTER], error) ||
        !bus_add_ports(bus, "pic", 0xa0, 2, &chip_ports, &pic->port[SLAVE], error) ||
        !bus_add_ports(bus, "elcr", 0x4d0, 2, &elcr_ports, pic, error)) {
        free(pic);
        return NULL;
    }
    pic_reset(pic);
    return pic;
}

struct device pic_device(struct pic *pic)
{
    return (struct device){&pic_ops, pic, &pic->state, sizeof(pic->state)};
}
