/* SPDX-License-Identifier: MIT */
/* The gate. See input.h. */
#include "replay/input.h"

#include "base/bits.h"

static void pass(struct input_gate *gate, const struct input_event *event)
{
    gate->events++;
    if (gate->observe != NULL)
        gate->observe(gate->observe_ctx, event);
}

u32 input_bytes(struct input_gate *gate, struct input_position at, u32 channel, u32 room, u8 *to)
{
    struct input_event event = {.now = at.now,
                                .count = at.count,
                                .kind = INPUT_BYTES,
                                .channel = channel};

    if (gate->source.bytes == NULL || room == 0)
        return 0;
    if (room > INPUT_BYTES_MAX)
        room = INPUT_BYTES_MAX;
    event.size = gate->source.bytes(gate->source.ctx, channel, event.bytes, room);
    if (event.size == 0)
        return 0;
    pass(gate, &event);
    memcpy(to, event.bytes, event.size);
    return event.size;
}

bool input_key(struct input_gate *gate, struct input_position at, u16 *code, bool *pressed)
{
    struct input_event event = {.now = at.now, .count = at.count, .kind = INPUT_KEY, .size = 3};

    if (gate->source.key == NULL || !gate->source.key(gate->source.ctx, code, pressed))
        return false;
    store_le(event.bytes, *code, 2);
    event.bytes[2] = *pressed;
    pass(gate, &event);
    return true;
}

i64 input_date(struct input_gate *gate, i64 otherwise)
{
    struct input_event event = {.kind = INPUT_DATE, .size = 8};
    i64 date;

    if (gate->source.date == NULL)
        return otherwise;
    date = gate->source.date(gate->source.ctx);
    store_le(event.bytes, (u64)date, 8);
    pass(gate, &event);
    return date;
}

u32 input_stop(struct input_gate *gate, struct input_position at)
{
    struct input_event event = {.now = at.now, .count = at.count, .kind = INPUT_STOP};

    if (gate->source.stop == NULL)
        return 0;
    event.channel = gate->source.stop(gate->source.ctx);
    if (event.channel != 0)
        pass(gate, &event);
    return event.channel;
}
