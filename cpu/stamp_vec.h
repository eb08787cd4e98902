/* SPDX-License-Identifier: MIT */
/*
 * Vectors: lanes of 128 bits, and stamped handlers for XMM and YMM operands (see cpu/stamp.h for
 * what a stamped handler may and may not do).
 *
 * Nearly every vector instruction works on 128-bit lanes, each by itself, so semantics are written
 * for one lane: `static ALWAYS_INLINE bool sem(struct vcpu *v, union lane *d, const union lane
 * *s)`. On entry *d is the first source (the old destination of a destructive form, VEX.vvvv of a
 * VEX form), *s the second source (register or memory, zero beyond the memory operand's size); *d
 * becomes the result. false: "do it on the generic path" (for instance because an exception is
 * unmasked); whatever sem did to *d is dropped, and it must not have changed anything else. With
 * _I, sem has a fourth parameter: u64 imm.
 *
 * size: bytes of the memory operand, 4, 8 or 16; align: 1 if memory must be aligned to 16 (32).
 *
 *   legacy SSE: bits 255:128 of the destination stay
 *   STAMP_V_W(op, sem, size, align)     V,W   (packed: 16, 1; scalar: 4 or 8, 0)
 *   STAMP_V_W_I(op, sem, size, align)   V,W,Ib
 *   STAMP_V_W_2(op, sem_r, sem_m, size, align)  V,W with another meaning for a memory source
 *   STAMP_W_V(op, size, align)          stores: W,V; the register form only if size is 16
 *   STAMP_U_I(op, sem)                  U,Ib  (destination by rm; *s is zero)
 *
 *   VEX: the rest of the destination clears
 *   STAMP_V_H_W(op, sem), STAMP_V_H_W_I(op, sem)    Vx,Hx,Wx of 16 or 32 bytes by VEX.L
 *   STAMP_V_H_W_IL(op, sem, bits)       as _I; each lane has its own `bits` bits of the immediate
 *   STAMP_V_H_WS(op, sem, size)         one lane only, scalar memory operand of size bytes
 *   STAMP_VEX_V_W(op, sem, align), STAMP_VEX_V_W_I(op, sem, align)  no first source: *d is zero
 *   STAMP_VEX_W_V(op, align)            stores of 16 or 32 bytes
 *
 * Each defines stamp_<op>_<SHAPE>, as `stamp_addpd_V_W`, `stamp_addpd_V_H_W`, for the row.
 */
#ifndef CPU_STAMP_VEC_H
#define CPU_STAMP_VEC_H

#include "cpu/stamp.h"

typedef u8 v16u8 __attribute__((vector_size(16)));
typedef i8 v16i8 __attribute__((vector_size(16)));
typedef u16 v8u16 __attribute__((vector_size(16)));
typedef i16 v8i16 __attribute__((vector_size(16)));
typedef u32 v4u32 __attribute__((vector_size(16)));
typedef i32 v4i32 __attribute__((vector_size(16)));
typedef u64 v2u64 __attribute__((vector_size(16)));
typedef i64 v2i64 __attribute__((vector_size(16)));

/* 128 bits; element 0 is the least significant. */
union lane {
    v2u64 v; /* as a whole; cast it to the vector type that the operation wants */
    u8 b[16];
    i8 sb[16];
    u16 w[8];
    i16 sw[8];
    u32 d[4];
    i32 sd[4];
    u64 q[2];
    i64 sq[2];
};

static ALWAYS_INLINE union lane lane_get(const union vec *reg, unsigned index)
{
    union lane lane;

    memcpy(&lane, reg->b + 16 * index, 16);
    return lane;
}

static ALWAYS_INLINE void lane_put(union vec *reg, unsigned index, const union lane *lane)
{
    memcpy(reg->b + 16 * index, lane, 16);
}

static ALWAYS_INLINE union lane lane_zero(void)
{
    return (union lane){.v = {0, 0}};
}

/* size bytes of memory (4, 8, 16; also 1, 2), zero-extended. */
static ALWAYS_INLINE union lane lane_load(const u8 *from, unsigned size)
{
    union lane lane;

    if (size == 16)
        memcpy(&lane, from, 16);
    else
        lane.v = (v2u64){load_le(from, size), 0};
    return lane;
}

static ALWAYS_INLINE void lane_store(u8 *to, const union lane *lane, unsigned size)
{
    if (size == 16)
        memcpy(to, lane, 16);
    else
        store_le(to, lane->v[0], size);
}

static inline unsigned vec_bytes(const struct insn *in)
{
    return in->vex_l ? 32 : 16;
}

/* ---- legacy shapes ---- */

/* d_: the destination by register field dst; s_: any lane expression */
#define STAMP_LANE_R_(fn, dst, src, call)                                                          \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        union lane d_ = lane_get(&v->state.ymm[in->dst], 0);                                       \
        const union lane s_ = src;                                                                 \
        if (unlikely(!(call)))                                                                     \
            GENERIC(v, in);                                                                        \
        lane_put(&v->state.ymm[in->dst], 0, &d_);                                                  \
        NEXT(v, in);                                                                               \
    }
#define STAMP_LANE_M_(fn, size, align, kind, call)                                                 \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, rtag, la_, size, ACCESS_READ);                                               \
        union lane d_ = lane_get(&v->state.ymm[in->reg], 0);                                       \
        const union lane s_ = lane_load(p_, size);                                                 \
        if (((align) && unlikely((la_ & 15) != 0)) || unlikely(!(call)))                           \
            GENERIC(v, in);                                                                        \
        lane_put(&v->state.ymm[in->reg], 0, &d_);                                                  \
        NEXT(v, in);                                                                               \
    }
#define STAMP_LANE_STORE_(fn, size, align, kind)                                                   \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, wtag, la_, size, ACCESS_WRITE);                                              \
        const union lane s_ = lane_get(&v->state.ymm[in->reg], 0);                                 \
        if ((align) && unlikely((la_ & 15) != 0))                                                  \
            GENERIC(v, in);                                                                        \
        lane_store(p_, &s_, size);                                                                 \
        NEXT(v, in);                                                                               \
    }
#define STAMP_LANE_PICK_(name, fr, ff, fo)                                                         \
    static insn_run name(const struct insn *in, u32 mode)                                          \
    {                                                                                              \
        static const insn_run m_[3] = {ff, fo, NULL};                                              \
        return (in->prefix & PREFIX_MEM) ? m_[ea_kind(in, mode)] : fr;                             \
    }

#define STAMP_LANE_V_W_(name, fn, size, align, call_r, call_m)                                     \
    STAMP_LANE_R_(fn##r, reg, lane_get(&v->state.ymm[in->rm], 0), call_r)                          \
    STAMP_LANE_M_(fn##f, size, align, EA_FLAT, call_m)                                             \
    STAMP_LANE_M_(fn##o, size, align, EA_OPEN, call_m)                                             \
    STAMP_LANE_PICK_(name, fn##r, fn##f, fn##o)

#define STAMP_V_W_2(op, sem_r, sem_m, size, align)                                                 \
    STAMP_LANE_V_W_(stamp_##op##_V_W, run_##op##_v_w_, size, align, sem_r(v, &d_, &s_),            \
                    sem_m(v, &d_, &s_))
#define STAMP_V_W(op, sem, size, align) STAMP_V_W_2(op, sem, sem, size, align)
#define STAMP_V_W_I(op, sem, size, align)                                                          \
    STAMP_LANE_V_W_(stamp_##op##_V_W_I, run_##op##_v_w_i_, size, align, sem(v, &d_, &s_, in->imm), \
                    sem(v, &d_, &s_, in->imm))
#define STAMP_W_V(op, size, align)                                                                 \
    STAMP_LANE_R_(run_##op##_w_v_r, rm, lane_get(&v->state.ymm[in->reg], 0), (d_ = s_, true))      \
    STAMP_LANE_STORE_(run_##op##_w_v_f, size, align, EA_FLAT)                                      \
    STAMP_LANE_STORE_(run_##op##_w_v_o, size, align, EA_OPEN)                                      \
    STAMP_LANE_PICK_(stamp_##op##_W_V, (size) == 16 ? run_##op##_w_v_r : NULL, run_##op##_w_v_f,   \
                     run_##op##_w_v_o)
#define STAMP_U_I(op, sem)                                                                         \
    STAMP_LANE_R_(run_##op##_u_i_r, rm, lane_zero(), sem(v, &d_, &s_, in->imm))                    \
    static insn_run stamp_##op##_U_I(const struct insn *in, u32 mode)                              \
    {                                                                                              \
        (void)in;                                                                                  \
        (void)mode;                                                                                \
        return run_##op##_u_i_r;                                                                   \
    }

/* ---- VEX shapes: n lanes (1 or 2), first source lane `first`(i), results kept until all are done
 * ---- */

#define STAMP_FIRST_H_(i) lane_get(&v->state.ymm[in->vvvv], i)
#define STAMP_FIRST_ZERO_(i) lane_zero()

#define STAMP_VEX_LANES_(n, first, source, call)                                                   \
    union vec out_ = {.q = {0}};                                                                   \
    for (unsigned i_ = 0; i_ < (n); i_++) {                                                        \
        union lane d_ = first(i_);                                                                 \
        const union lane s_ = source;                                                              \
        if (unlikely(!(call)))                                                                     \
            GENERIC(v, in);                                                                        \
        lane_put(&out_, i_, &d_);                                                                  \
    }                                                                                              \
    v->state.ymm[in->reg] = out_
#define STAMP_VEX_R_(fn, n, first, call)                                                           \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        STAMP_VEX_LANES_(n, first, lane_get(&v->state.ymm[in->rm], i_), call);                     \
        NEXT(v, in);                                                                               \
    }
#define STAMP_VEX_M_(fn, n, size, align, kind, first, call)                                        \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, rtag, la_, (n) * (size), ACCESS_READ);                                       \
        if ((align) && unlikely((la_ & ((n) * (size)-1)) != 0))                                    \
            GENERIC(v, in);                                                                        \
        STAMP_VEX_LANES_(n, first, lane_load(p_ + 16 * i_, size), call);                           \
        NEXT(v, in);                                                                               \
    }
#define STAMP_VEX_STORE_(fn, n, align, kind)                                                       \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, wtag, la_, 16 * (n), ACCESS_WRITE);                                          \
        if ((align) && unlikely((la_ & (16 * (n)-1)) != 0))                                        \
            GENERIC(v, in);                                                                        \
        memcpy(p_, &v->state.ymm[in->reg], 16 * (n));                                              \
        NEXT(v, in);                                                                               \
    }

/* Register and memory, 128 and 256 bits. */
#define STAMP_VEX_SHAPE_(name, fn, align, first, call)                                             \
    STAMP_VEX_R_(fn##r1, 1, first, call)                                                           \
    STAMP_VEX_R_(fn##r2, 2, first, call)                                                           \
    STAMP_VEX_M_(fn##f1, 1, 16, align, EA_FLAT, first, call)                                       \
    STAMP_VEX_M_(fn##f2, 2, 16, align, EA_FLAT, first, call)                                       \
    STAMP_VEX_M_(fn##o1, 1, 16, align, EA_OPEN, first, call)                                       \
    STAMP_VEX_M_(fn##o2, 2, 16, align, EA_OPEN, first, call)                                       \
    static insn_run name(const struct insn *in, u32 mode)                                          \
    {                                                                                              \
        static const insn_run r_[2] = {fn##r1, fn##r2};                                            \
        static const insn_run m_[3][2] = {{fn##f1, fn##f2}, {fn##o1, fn##o2}, {NULL, NULL}};       \
        return (in->prefix & PREFIX_MEM) ? m_[ea_kind(in, mode)][in->vex_l] : r_[in->vex_l];       \
    }

#define STAMP_V_H_W(op, sem)                                                                       \
    STAMP_VEX_SHAPE_(stamp_##op##_V_H_W, run_##op##_v_h_w_, 0, STAMP_FIRST_H_, sem(v, &d_, &s_))
#define STAMP_V_H_W_I(op, sem)                                                                     \
    STAMP_VEX_SHAPE_(stamp_##op##_V_H_W_I, run_##op##_v_h_w_i_, 0, STAMP_FIRST_H_,                 \
                     sem(v, &d_, &s_, in->imm))
#define STAMP_V_H_W_IL(op, sem, bits)                                                              \
    STAMP_VEX_SHAPE_(stamp_##op##_V_H_W_I, run_##op##_v_h_w_i_, 0, STAMP_FIRST_H_,                 \
                     sem(v, &d_, &s_, in->imm >> (bits)*i_))
#define STAMP_VEX_V_W(op, sem, align)                                                              \
    STAMP_VEX_SHAPE_(stamp_##op##_VEX_V_W, run_##op##_vex_v_w_, align, STAMP_FIRST_ZERO_,          \
                     sem(v, &d_, &s_))
#define STAMP_VEX_V_W_I(op, sem, align)                                                            \
    STAMP_VEX_SHAPE_(stamp_##op##_VEX_V_W_I, run_##op##_vex_v_w_i_, align, STAMP_FIRST_ZERO_,      \
                     sem(v, &d_, &s_, in->imm))

#define STAMP_V_H_WS(op, sem, size)                                                                \
    STAMP_VEX_R_(run_##op##_v_h_ws_r, 1, STAMP_FIRST_H_, sem(v, &d_, &s_))                         \
    STAMP_VEX_M_(run_##op##_v_h_ws_f, 1, size, 0, EA_FLAT, STAMP_FIRST_H_, sem(v, &d_, &s_))       \
    STAMP_VEX_M_(run_##op##_v_h_ws_o, 1, size, 0, EA_OPEN, STAMP_FIRST_H_, sem(v, &d_, &s_))       \
    STAMP_LANE_PICK_(stamp_##op##_V_H_WS, run_##op##_v_h_ws_r, run_##op##_v_h_ws_f,                \
                     run_##op##_v_h_ws_o)

/* The register form of a store is a rare encoding of a move: generic. */
#define STAMP_VEX_W_V(op, align)                                                                   \
    STAMP_VEX_STORE_(run_##op##_vex_w_v_f1, 1, align, EA_FLAT)                                     \
    STAMP_VEX_STORE_(run_##op##_vex_w_v_f2, 2, align, EA_FLAT)                                     \
    STAMP_VEX_STORE_(run_##op##_vex_w_v_o1, 1, align, EA_OPEN)                                     \
    STAMP_VEX_STORE_(run_##op##_vex_w_v_o2, 2, align, EA_OPEN)                                     \
    static insn_run stamp_##op##_VEX_W_V(const struct insn *in, u32 mode)                          \
    {                                                                                              \
        static const insn_run m_[3][2] = {{run_##op##_vex_w_v_f1, run_##op##_vex_w_v_f2},          \
                                          {run_##op##_vex_w_v_o1, run_##op##_vex_w_v_o2},          \
                                          {NULL, NULL}};                                           \
        return (in->prefix & PREFIX_MEM) ? m_[ea_kind(in, mode)][in->vex_l] : NULL;                \
    }

/* ---- generic execs of the same lane semantics ---- */

/* Destructive: vec[0] with vec[1] (and imm); one lane. */
#define EXEC_LANE(op, sem)                                                                         \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        union lane d_ = lane_get(&x->vec[0], 0);                                                   \
        const union lane s_ = lane_get(&x->vec[1], 0);                                             \
        (void)in;                                                                                  \
        if (!sem(v, &d_, &s_))                                                                     \
            return false;                                                                          \
        lane_put(&x->vec[0], 0, &d_);                                                              \
        return true;                                                                               \
    }
#define EXEC_LANE_I(op, sem)                                                                       \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        union lane d_ = lane_get(&x->vec[0], 0);                                                   \
        const union lane s_ = lane_get(&x->vec[1], 0);                                             \
        if (!sem(v, &d_, &s_, in->imm))                                                            \
            return false;                                                                          \
        lane_put(&x->vec[0], 0, &d_);                                                              \
        return true;                                                                               \
    }
/* Vx,Hx,Wx: vec[1] with vec[2]; as many lanes as VEX.L says. */
#define EXEC_VEX_(name, first, second, call)                                                       \
    static bool name(struct vcpu *v, const struct insn *in, struct operands *x)                    \
    {                                                                                              \
        union vec out_ = {.q = {0}};                                                               \
        for (unsigned i_ = 0; i_ < vec_bytes(in) / 16; i_++) {                                     \
            union lane d_ = first;                                                                 \
            const union lane s_ = second;                                                          \
            if (!(call))                                                                           \
                return false;                                                                      \
            lane_put(&out_, i_, &d_);                                                              \
        }                                                                                          \
        x->vec[0] = out_;                                                                          \
        return true;                                                                               \
    }
#define EXEC_V_H_W(op, sem)                                                                        \
    EXEC_VEX_(exec_##op, lane_get(&x->vec[1], i_), lane_get(&x->vec[2], i_), sem(v, &d_, &s_))
#define EXEC_V_H_W_I(op, sem)                                                                      \
    EXEC_VEX_(exec_##op, lane_get(&x->vec[1], i_), lane_get(&x->vec[2], i_),                       \
              sem(v, &d_, &s_, in->imm))
#define EXEC_V_H_W_IL(op, sem, bits)                                                               \
    EXEC_VEX_(exec_##op, lane_get(&x->vec[1], i_), lane_get(&x->vec[2], i_),                       \
              sem(v, &d_, &s_, in->imm >> (bits)*i_))
/* Vx,Wx */
#define EXEC_VEX_V_W(op, sem)                                                                      \
    EXEC_VEX_(exec_##op, lane_zero(), lane_get(&x->vec[1], i_), sem(v, &d_, &s_))
#define EXEC_VEX_V_W_I(op, sem)                                                                    \
    EXEC_VEX_(exec_##op, lane_zero(), lane_get(&x->vec[1], i_), sem(v, &d_, &s_, in->imm))

#endif
