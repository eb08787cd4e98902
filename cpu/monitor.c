/* SPDX-License-Identifier: MIT */
/*
 * MONITOR and MWAIT, SDM Vol 3A 9.10. The armed line is remembered by a hash of its bytes: a store
 * that changes it ends the wait, whoever made it. A store of the same bytes does not, which the
 * architecture allows no software to tell from a late store.
 */
#include "cpu/control.h"
#include "cpu/mem.h"
#include "cpu/system.h"

enum { LINE = 64 };

static u64 line_hash(const struct vcpu *v, u64 at)
{
    const u8 *line = memory_peek(v->memory, (hpa_t){at}, LINE);
    u64 hash = 0xcbf29ce484222325; /* FNV-1a over words */

    if (line == NULL)
        return 0;
    for (unsigned i = 0; i < LINE; i += 8)
        hash = (hash ^ load_le(line + i, 8)) * 0x100000001b3;
    return hash;
}

bool monitor_arm(struct vcpu *v, u64 la)
{
    hpa_t at;
    u64 byte;

    if (!mem_load(v, la, 1, 0, &byte))
        return false;
    if (!mmu_probe(v->mmu, la & v->la_mask, &at))
        at.v = 0;
    v->state.monitor_address = at.v & ~(u64)(LINE - 1);
    v->state.monitor_line = line_hash(v, v->state.monitor_address);
    return true;
}

bool monitor_hit(const struct vcpu *v)
{
    return v->state.monitor_address == 0 ||
           line_hash(v, v->state.monitor_address) != v->state.monitor_line;
}

void monitor_wait(struct vcpu *v, bool interrupts_break)
{
    if (monitor_hit(v)) {
        v->state.monitor_address = 0;
        return;
    }
    v->state.activity = ACTIVITY_HLT;
    v->state.mwait = interrupts_break ? 2 : 1;
    v->attention = true;
}
