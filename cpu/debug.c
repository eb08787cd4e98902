/* SPDX-License-Identifier: MIT */
/*
 * Debug registers, breakpoints and single-stepping. SDM Vol 3A chapter 18 (17 in older editions).
 * Left out: branch records but the last one, RTM.
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/system.h"

enum { RW_EXECUTE = 0, RW_WRITE = 1, RW_IO = 2, RW_ACCESS = 3 };

static bool enabled(u64 dr7, unsigned i)
{
    return (dr7 >> (2 * i) & 3) != 0;
}

static unsigned kind(u64 dr7, unsigned i)
{
    return dr7 >> (16 + 4 * i) & 3;
}

/* LEN 00 01 11 10: 1, 2, 4, 8 bytes. */
static u64 length(u64 dr7, unsigned i)
{
    static const u8 bytes[] = {1, 2, 8, 4};

    return bytes[dr7 >> (18 + 4 * i) & 3];
}

/* Does [at, at+size) meet breakpoint i's naturally aligned range? */
static bool meets(const struct vcpu *v, unsigned i, u64 at, u64 size)
{
    const u64 span = length(v->state.dr[7], i);
    const u64 start = v->state.dr[i] & ~(span - 1) & v->la_mask;

    return at - start < span || start - at < size;
}

bool event_code_breakpoint(struct vcpu *v)
{
    const u64 dr7 = v->state.dr[7];
    const u64 la = (v->state.reg[REG_RIP] + v->segbase[SEG_CS]) & v->la_mask;
    u64 hits = 0;

    if ((dr7 & DR7_ENABLES) == 0 || (v->state.rflags & FLAG_RF) != 0 ||
        (v->state.shadow & SHADOW_MOV_SS) != 0)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        if (enabled(dr7, i) && kind(dr7, i) == RW_EXECUTE && (v->state.dr[i] & v->la_mask) == la)
            hits |= BIT(i);
    }
    if (hits == 0)
        return false;
    (void)raise_fault(v, VEC_DB);
    v->event.dr6 = hits;
    return true;
}

void event_data_access(struct vcpu *v, u64 la, u32 size, bool write)
{
    const u64 dr7 = v->state.dr[7];

    for (unsigned i = 0; i < 4; i++) {
        const unsigned k = kind(dr7, i);

        if (enabled(dr7, i) && (k == RW_ACCESS || (k == RW_WRITE && write)) &&
            meets(v, i, la, size))
            v->debug_hits |= 1u << i;
    }
}

void event_io_access(struct vcpu *v, u16 port, u32 size)
{
    const u64 dr7 = v->state.dr[7];

    if ((v->state.cr4 & CR4_DE) == 0)
        return;
    for (unsigned i = 0; i < 4; i++) {
        if (enabled(dr7, i) && kind(dr7, i) == RW_IO && meets(v, i, port, size))
            v->debug_hits |= 1u << i;
    }
}

void event_branch(struct vcpu *v, u64 from, bool is_event)
{
    struct cpu_state *s = &v->state;

    if ((s->debugctl & DEBUGCTL_LBR) == 0)
        return;
    if (is_event) {
        s->last_int_from = s->last_branch_from;
        s->last_int_to = s->last_branch_to;
    }
    s->last_branch_from = from;
    s->last_branch_to = s->reg[REG_RIP];
}

/* With IA32_DEBUGCTL.BTF only taken branches trap: SDM Vol 3B 18.4.3. A single-step trap right
 * behind MOV SS is lost, a data breakpoint there only waits. SDM Vol 3A 6.8.3. */
void event_after_step(struct vcpu *v, bool tf_at_start, bool branched)
{
    const bool steps = (v->state.debugctl & DEBUGCTL_BTF) == 0 || branched;
    u64 bits = v->debug_hits;

    if (tf_at_start && steps && !v->no_step && (v->state.shadow & SHADOW_MOV_SS) == 0)
        bits |= DR6_BS;
    v->debug_hits = 0;
    v->no_step = false;
    if (bits != 0) {
        v->state.pending_debug |= bits;
        v->attention = true;
    }
}

/* ---- MOV DR ---- */

/* The register that an index names: 4 and 5 stand for 6 and 7 unless CR4.DE is set. */
static bool resolve(struct vcpu *v, u32 *index)
{
    if (*index > 7 || ((*index == 4 || *index == 5) && (v->state.cr4 & CR4_DE) != 0))
        return RAISE_UD(v);
    if (*index == 4 || *index == 5)
        *index += 2;
    if ((v->state.dr[7] & DR7_GD) != 0) {
        (void)raise_fault(v, VEC_DB);
        v->event.dr6 = DR6_BD;
        return false;
    }
    return true;
}

bool dr_read(struct vcpu *v, u32 index, u64 *value)
{
    if (!resolve(v, &index))
        return false;
    *value = v->state.dr[index];
    return true;
}

bool dr_write(struct vcpu *v, u32 index, u64 value)
{
    if (!resolve(v, &index))
        return false;
    if (index >= 6 && value >> 32 != 0)
        return RAISE_GP0(v);
    if (index == 6)
        value = dr6_loaded(value);
    else if (index == 7)
        value = dr7_loaded(value);
    v->state.dr[index] = value;
    if (index == 7)
        mode_update_privilege(v);
    return true;
}
