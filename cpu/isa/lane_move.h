/* SPDX-License-Identifier: MIT */
/*
 * Moves and shuffles on one 128-bit lane, for cpu/stamp_vec.h: what the floating-point named moves,
 * blends and shuffles do. They look at no value, so NaNs and denormals pass as they are.
 */
#ifndef CPU_ISA_LANE_MOVE_H
#define CPU_ISA_LANE_MOVE_H

#include "cpu/stamp_vec.h"

#define LANE_MOVE(op, statement)                                                                   \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s)         \
    {                                                                                              \
        (void)v;                                                                                   \
        statement;                                                                                 \
        return true;                                                                               \
    }
#define LANE_MOVE_I(op, statement)                                                                 \
    static ALWAYS_INLINE bool sem_##op(struct vcpu *v, union lane *d, const union lane *s,         \
                                       u64 imm)                                                    \
    {                                                                                              \
        (void)v;                                                                                   \
        statement;                                                                                 \
        return true;                                                                               \
    }

LANE_MOVE(copy, *d = *s)
LANE_MOVE(low_dword, d->d[0] = s->d[0]) /* MOVSS between registers */
LANE_MOVE(low_qword, d->q[0] = s->q[0]) /* MOVSD between registers, MOVLPS and MOVLPD */
LANE_MOVE(low_qword_only, d->v = ((v2u64){s->q[0], 0})) /* MOVQ */
LANE_MOVE(high_from_low, d->q[1] = s->q[0]) /* MOVLHPS, MOVHPS and MOVHPD from memory */
LANE_MOVE(low_from_high, d->q[0] = s->q[1]) /* MOVHLPS */

LANE_MOVE(movddup, d->v = ((v2u64){s->q[0], s->q[0]}))
LANE_MOVE(movsldup, d->v = (v2u64)((v4u32){s->d[0], s->d[0], s->d[2], s->d[2]}))
LANE_MOVE(movshdup, d->v = (v2u64)((v4u32){s->d[1], s->d[1], s->d[3], s->d[3]}))

LANE_MOVE_I(shufps, d->v = (v2u64)((v4u32){d->d[imm & 3], d->d[imm >> 2 & 3], s->d[imm >> 4 & 3],
                                           s->d[imm >> 6 & 3]}))
LANE_MOVE_I(shufpd, d->v = ((v2u64){d->q[imm & 1], s->q[imm >> 1 & 1]}))
LANE_MOVE_I(vpermilps_i, d->v = (v2u64)((v4u32){s->d[imm & 3], s->d[imm >> 2 & 3],
                                                s->d[imm >> 4 & 3], s->d[imm >> 6 & 3]}))
LANE_MOVE_I(vpermilpd_i, d->v = ((v2u64){s->q[imm & 1], s->q[imm >> 1 & 1]}))

/* Selectors in the second source. */
LANE_MOVE(vpermilps, d->v = (v2u64)((v4u32){d->d[s->d[0] & 3], d->d[s->d[1] & 3], d->d[s->d[2] & 3],
                                            d->d[s->d[3] & 3]}))
LANE_MOVE(vpermilpd, d->v = ((v2u64){d->q[s->q[0] >> 1 & 1], d->q[s->q[1] >> 1 & 1]}))

static ALWAYS_INLINE bool sem_blendps(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = (imm >> i & 1) != 0 ? s->d[i] : d->d[i];
    return true;
}

static ALWAYS_INLINE bool sem_blendpd(struct vcpu *v, union lane *d, const union lane *s, u64 imm)
{
    (void)v;
    for (unsigned i = 0; i < 2; i++)
        d->q[i] = (imm >> i & 1) != 0 ? s->q[i] : d->q[i];
    return true;
}

/* imm: source element 7:6 (0 for memory), destination element 5:4, elements to clear 3:0. */
static ALWAYS_INLINE void lane_insertps(union lane *d, u32 value, u64 imm)
{
    d->d[imm >> 4 & 3] = value;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = (imm >> i & 1) != 0 ? 0 : d->d[i];
}

#endif
