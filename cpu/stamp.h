/* SPDX-License-Identifier: MIT */
/*
 * Stamped handlers: the frequent operand shapes of a row, each a small function made from the same
 * inline semantics as the row's generic exec. A stamped handler never faults and never meets a
 * device: when its memory operand is not plain RAM that may be used right now, it takes the generic
 * path.
 *
 * Semantics are `static ALWAYS_INLINE u64 sem_x(struct vcpu *v, u64 a, u64 b, unsigned w)`: a is
 * the first (destination) operand, b the second, w the width in bytes (a constant in stamped
 * handlers). Upper bits of a and b beyond w may be anything only where noted: stamped and generic
 * operands are both zero-extended to 64 bits, immediates are sign-extended and cut to w.
 *
 *   STAMP_E_G(op, sem, wb)   Ev,Gv and Eb,Gb      wb: 1 if the result is written to the destination
 *   STAMP_G_E(op, sem, wb)   Gv,Ev and Gb,Eb
 *   STAMP_E_I(op, sem, wb)   Ev,Iz  Ev,Is  Eb,Ib
 *   STAMP_A_I(op, sem, wb)   rAX,Iz  AL,Ib
 *   STAMP_E(op, sem, wb)     Ev  Eb (b is 0)
 *   STAMP_E_1(op, sem, wb), STAMP_E_CL(op, sem, wb)   shifts by 1 and by CL
 *   STAMP_Z(op, sem, wb)     Zv by the opcode's low bits (b is 0); STAMP_Z_I: with an immediate
 *   STAMP_G_EX(op, sem, sw)  Gv,Eb Gv,Ew Gv,Ed: the source is sw bytes; sem(v, 0, source, w)
 *   STAMP_G_E_I(op, sem)     Gv,Ev,Iz  Gv,Ev,Is: the result of E and the immediate goes to G
 *   STAMP_E_0(op, sem)       Eb written, never read (SETcc): sem(v, 0, 0, w)
 * wb is 2 if the destination is written and never read, so that it may be in a watched page.
 * Each defines `static insn_run stamp_<op>_<SHAPE>(const struct insn *in, u32 mode)` for the row.
 */
#ifndef CPU_STAMP_H
#define CPU_STAMP_H

#include "cpu/engine.h"

/* How a stamped handler forms the linear address. */
enum ea_kind {
    EA_FLAT, /* 64-bit mode, 64-bit addresses, no FS/GS: no base, no mask */
    EA_OPEN, /* an open segment: base and masks apply, no check can fail */
    EA_CHECKED, /* must go through seg_linear(): generic path only */
};

static inline enum ea_kind ea_kind(const struct insn *in, u32 mode)
{
    static const u32 open_bit[SEG_COUNT] = {
        [SEG_ES] = MODE_OPEN_ES, [SEG_SS] = MODE_OPEN_SS, [SEG_DS] = MODE_OPEN_DS,
        [SEG_FS] = MODE_OPEN_FS, [SEG_GS] = MODE_OPEN_GS,
    };

    if (mode & MODE_ALIGN)
        return EA_CHECKED;
    if (mode & MODE_CODE64)
        return in->addr == 8 && in->seg != SEG_FS && in->seg != SEG_GS ? EA_FLAT : EA_OPEN;
    return (mode & open_bit[in->seg]) != 0 ? EA_OPEN : EA_CHECKED;
}

static ALWAYS_INLINE u64 stamp_ea(const struct vcpu *v, const struct insn *in, enum ea_kind kind)
{
    const u64 sum = v->state.reg[in->base] + (v->state.reg[in->index] << in->scale) + (u64)in->disp;

    if (kind == EA_FLAT)
        return sum;
    return ((sum & width_mask(in->addr)) + v->segbase[in->seg]) & v->la_mask;
}

/* Index of a width in the tables below; 1, 2, 4, 8 -> 0..3. */
static inline unsigned stamp_width(const struct insn *in)
{
    return in->width == 8 ? 3 : in->width >> 1;
}

#define STAMP_FN(fn) static const struct insn *fn(struct vcpu *v, const struct insn *in)

/*
 * A soft-TLB miss in a stamped handler: enter the page and start the handler over, or, if that
 * cannot be (device, page crossing, fault, watched page), take the generic path. Out of line and
 * tail-called, so that the hit needs no stack frame.
 */
NOINLINE const struct insn *stamp_miss(struct vcpu *v, const struct insn *in, u64 la, u32 size,
                                       u32 access);

/* The same in a handler that only stores value, and has nothing else to do: to RAM the store is
 * made here, and who watches the page is told. */
NOINLINE const struct insn *stamp_store_miss(struct vcpu *v, const struct insn *in, u64 la,
                                             u32 size, u64 value);

/* Store size bytes of value at la. */
#define STAMP_STORE(la, size, value)                                                               \
    do {                                                                                           \
        const struct tlb_entry *entry_ = &v->tlb[tlb_index(la)];                                   \
        if (unlikely((la)-entry_->wtag > (u64)PAGE_SIZE - (size)))                                 \
            return stamp_store_miss(v, in, la, size, value);                                       \
        store_le((u8 *)(uintptr_t)(entry_->host + (la)), value, size);                             \
    } while (0)

/* Declare p: the host pointer for an access of size bytes at la; tag is rtag or wtag. */
#define STAMP_PTR(p, tag, la, size, access)                                                        \
    const struct tlb_entry *p##entry_ = &v->tlb[tlb_index(la)];                                    \
    if (unlikely((la)-p##entry_->tag > (u64)PAGE_SIZE - (size)))                                   \
        return stamp_miss(v, in, la, size, access);                                                \
    u8 *p = (u8 *)(uintptr_t)(p##entry_->host + (la))

/* destination register field d, source register field s */
#define STAMP_RR_(fn, sem, wb, w, d, s)                                                            \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 r_ = sem(v, reg_read(v, in->d, w), reg_read(v, in->s, w), w);                    \
        if (wb)                                                                                    \
            reg_write(v, in->d, w, r_);                                                            \
        NEXT(v, in);                                                                               \
    }
/* destination register field d, source any expression */
#define STAMP_RX_(fn, sem, wb, w, d, expr)                                                         \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 r_ = sem(v, reg_read(v, d, w), (expr)&width_mask(w), w);                         \
        if (wb)                                                                                    \
            reg_write(v, d, w, r_);                                                                \
        NEXT(v, in);                                                                               \
    }
/* destination register reg, source memory */
#define STAMP_RM_(fn, sem, wb, w, kind)                                                            \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, rtag, la_, w, ACCESS_READ);                                                  \
        const u64 r_ = sem(v, reg_read(v, in->reg, w), load_le(p_, w), w);                         \
        if (wb)                                                                                    \
            reg_write(v, in->reg, w, r_);                                                          \
        NEXT(v, in);                                                                               \
    }
/* destination memory, source any expression: written, only read (compares), only written */
#define STAMP_MX1_(fn, sem, w, kind, expr)                                                         \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        enum { width_ = w };                                                                       \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, wtag, la_, w, ACCESS_READ | ACCESS_WRITE);                                   \
        store_le(p_, sem(v, load_le(p_, w), (expr)&width_mask(w), w), w);                          \
        NEXT(v, in);                                                                               \
    }
#define STAMP_MX0_(fn, sem, w, kind, expr)                                                         \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        enum { width_ = w };                                                                       \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, rtag, la_, w, ACCESS_READ);                                                  \
        (void)sem(v, load_le(p_, w), (expr)&width_mask(w), w);                                     \
        NEXT(v, in);                                                                               \
    }
#define STAMP_MX2_(fn, sem, w, kind, expr)                                                         \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        enum { width_ = w };                                                                       \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        const u64 r_ = sem(v, 0, (expr)&width_mask(w), w);                                         \
        STAMP_STORE(la_, w, r_);                                                                   \
        NEXT(v, in);                                                                               \
    }
#define STAMP_MX_(fn, sem, wb, w, kind, expr) STAMP_MX##wb##_(fn, sem, w, kind, expr)

#define STAMP_TABLE_R(fn)                                                                          \
    {                                                                                              \
        fn##1, fn##2, fn##4, fn##8                                                                 \
    }
#define STAMP_TABLE_M(fn)                                                                          \
    {                                                                                              \
        {fn##f1, fn##f2, fn##f4, fn##f8}, {fn##o1, fn##o2, fn##o4, fn##o8},                        \
        {                                                                                          \
            NULL, NULL, NULL, NULL                                                                 \
        }                                                                                          \
    }

#define STAMP_ALL_RR_(fn, sem, wb, d, s)                                                           \
    STAMP_RR_(fn##1, sem, wb, 1, d, s)                                                             \
    STAMP_RR_(fn##2, sem, wb, 2, d, s)                                                             \
    STAMP_RR_(fn##4, sem, wb, 4, d, s)                                                             \
    STAMP_RR_(fn##8, sem, wb, 8, d, s)
#define STAMP_ALL_RX_(fn, sem, wb, d, expr)                                                        \
    STAMP_RX_(fn##1, sem, wb, 1, d, expr)                                                          \
    STAMP_RX_(fn##2, sem, wb, 2, d, expr)                                                          \
    STAMP_RX_(fn##4, sem, wb, 4, d, expr)                                                          \
    STAMP_RX_(fn##8, sem, wb, 8, d, expr)
#define STAMP_ALL_RM_(fn, sem, wb)                                                                 \
    STAMP_RM_(fn##f1, sem, wb, 1, EA_FLAT)                                                         \
    STAMP_RM_(fn##f2, sem, wb, 2, EA_FLAT)                                                         \
    STAMP_RM_(fn##f4, sem, wb, 4, EA_FLAT)                                                         \
    STAMP_RM_(fn##f8, sem, wb, 8, EA_FLAT)                                                         \
    STAMP_RM_(fn##o1, sem, wb, 1, EA_OPEN)                                                         \
    STAMP_RM_(fn##o2, sem, wb, 2, EA_OPEN)                                                         \
    STAMP_RM_(fn##o4, sem, wb, 4, EA_OPEN)                                                         \
    STAMP_RM_(fn##o8, sem, wb, 8, EA_OPEN)
#define STAMP_ALL_MX_(fn, sem, wb, expr)                                                           \
    STAMP_MX_(fn##f1, sem, wb, 1, EA_FLAT, expr)                                                   \
    STAMP_MX_(fn##f2, sem, wb, 2, EA_FLAT, expr)                                                   \
    STAMP_MX_(fn##f4, sem, wb, 4, EA_FLAT, expr)                                                   \
    STAMP_MX_(fn##f8, sem, wb, 8, EA_FLAT, expr)                                                   \
    STAMP_MX_(fn##o1, sem, wb, 1, EA_OPEN, expr)                                                   \
    STAMP_MX_(fn##o2, sem, wb, 2, EA_OPEN, expr)                                                   \
    STAMP_MX_(fn##o4, sem, wb, 4, EA_OPEN, expr)                                                   \
    STAMP_MX_(fn##o8, sem, wb, 8, EA_OPEN, expr)

/* Register or memory by ModRM, chosen from the two tables. */
#define STAMP_PICK_RM_(name, rtable, mtable)                                                       \
    static insn_run name(const struct insn *in, u32 mode)                                          \
    {                                                                                              \
        static const insn_run r_[4] = STAMP_TABLE_R(rtable);                                       \
        static const insn_run m_[3][4] = STAMP_TABLE_M(mtable);                                    \
        return (in->prefix & PREFIX_MEM) ? m_[ea_kind(in, mode)][stamp_width(in)]                  \
                                         : r_[stamp_width(in)];                                    \
    }
#define STAMP_PICK_R_(name, rtable)                                                                \
    static insn_run name(const struct insn *in, u32 mode)                                          \
    {                                                                                              \
        static const insn_run r_[4] = STAMP_TABLE_R(rtable);                                       \
        (void)mode;                                                                                \
        return r_[stamp_width(in)];                                                                \
    }

/* The source register's value inside a memory-destination handler; width_ is the handler's width.
 */
#define STAMP_SRC_REG_ reg_read(v, in->reg, width_)

#define STAMP_E_G(op, sem, wb)                                                                     \
    STAMP_ALL_RR_(run_##op##_e_g_r, sem, wb, rm, reg)                                              \
    STAMP_ALL_MX_(run_##op##_e_g_m, sem, wb, STAMP_SRC_REG_)                                       \
    STAMP_PICK_RM_(stamp_##op##_E_G, run_##op##_e_g_r, run_##op##_e_g_m)
#define STAMP_G_E(op, sem, wb)                                                                     \
    STAMP_ALL_RR_(run_##op##_g_e_r, sem, wb, reg, rm)                                              \
    STAMP_ALL_RM_(run_##op##_g_e_m, sem, wb)                                                       \
    STAMP_PICK_RM_(stamp_##op##_G_E, run_##op##_g_e_r, run_##op##_g_e_m)
#define STAMP_E_I(op, sem, wb)                                                                     \
    STAMP_ALL_RX_(run_##op##_e_i_r, sem, wb, in->rm, in->imm)                                      \
    STAMP_ALL_MX_(run_##op##_e_i_m, sem, wb, in->imm)                                              \
    STAMP_PICK_RM_(stamp_##op##_E_I, run_##op##_e_i_r, run_##op##_e_i_m)
#define STAMP_A_I(op, sem, wb)                                                                     \
    STAMP_ALL_RX_(run_##op##_a_i_r, sem, wb, REG_RAX, in->imm)                                     \
    STAMP_PICK_R_(stamp_##op##_A_I, run_##op##_a_i_r)
#define STAMP_E(op, sem, wb)                                                                       \
    STAMP_ALL_RX_(run_##op##_e_r, sem, wb, in->rm, (u64)0)                                         \
    STAMP_ALL_MX_(run_##op##_e_m, sem, wb, (u64)0)                                                 \
    STAMP_PICK_RM_(stamp_##op##_E, run_##op##_e_r, run_##op##_e_m)
#define STAMP_E_1(op, sem, wb)                                                                     \
    STAMP_ALL_RX_(run_##op##_e_1_r, sem, wb, in->rm, (u64)1)                                       \
    STAMP_ALL_MX_(run_##op##_e_1_m, sem, wb, (u64)1)                                               \
    STAMP_PICK_RM_(stamp_##op##_E_1, run_##op##_e_1_r, run_##op##_e_1_m)
#define STAMP_E_CL(op, sem, wb)                                                                    \
    STAMP_ALL_RX_(run_##op##_e_cl_r, sem, wb, in->rm, v->state.reg[REG_RCX] & 0xff)                \
    STAMP_ALL_MX_(run_##op##_e_cl_m, sem, wb, v->state.reg[REG_RCX] & 0xff)                        \
    STAMP_PICK_RM_(stamp_##op##_E_CL, run_##op##_e_cl_r, run_##op##_e_cl_m)
#define STAMP_Z(op, sem, wb)                                                                       \
    STAMP_ALL_RX_(run_##op##_z_r, sem, wb, in->rm, (u64)0)                                         \
    STAMP_PICK_R_(stamp_##op##_Z, run_##op##_z_r)
#define STAMP_Z_I(op, sem, wb)                                                                     \
    STAMP_ALL_RX_(run_##op##_z_i_r, sem, wb, in->rm, in->imm)                                      \
    STAMP_PICK_R_(stamp_##op##_Z_I, run_##op##_z_i_r)

/* Shapes whose result does not depend on the destination: reg = sem(a, b). */
#define STAMP_GR_(fn, w, sw, expr_a, expr_b, sem)                                                  \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 e_ = reg_read(v, in->rm, sw);                                                    \
        reg_write(v, in->reg, w, sem(v, expr_a, expr_b, w));                                       \
        NEXT(v, in);                                                                               \
    }
#define STAMP_GM_(fn, w, sw, kind, expr_a, expr_b, sem)                                            \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, rtag, la_, sw, ACCESS_READ);                                                 \
        const u64 e_ = load_le(p_, sw);                                                            \
        reg_write(v, in->reg, w, sem(v, expr_a, expr_b, w));                                       \
        NEXT(v, in);                                                                               \
    }
#define STAMP_PICK_RM248_(name, r, m)                                                              \
    static insn_run name(const struct insn *in, u32 mode)                                          \
    {                                                                                              \
        static const insn_run r_[4] = {NULL, r##2, r##4, r##8};                                    \
        static const insn_run m_[3][4] = {{NULL, m##f2, m##f4, m##f8},                             \
                                          {NULL, m##o2, m##o4, m##o8},                             \
                                          {NULL, NULL, NULL, NULL}};                               \
        return (in->prefix & PREFIX_MEM) ? m_[ea_kind(in, mode)][stamp_width(in)]                  \
                                         : r_[stamp_width(in)];                                    \
    }
#define STAMP_ALL_G_(r, m, sw2, sw4, sw8, a, b, sem)                                               \
    STAMP_GR_(r##2, 2, sw2, a, b, sem)                                                             \
    STAMP_GR_(r##4, 4, sw4, a, b, sem)                                                             \
    STAMP_GR_(r##8, 8, sw8, a, b, sem)                                                             \
    STAMP_GM_(m##f2, 2, sw2, EA_FLAT, a, b, sem)                                                   \
    STAMP_GM_(m##f4, 4, sw4, EA_FLAT, a, b, sem)                                                   \
    STAMP_GM_(m##f8, 8, sw8, EA_FLAT, a, b, sem)                                                   \
    STAMP_GM_(m##o2, 2, sw2, EA_OPEN, a, b, sem)                                                   \
    STAMP_GM_(m##o4, 4, sw4, EA_OPEN, a, b, sem)                                                   \
    STAMP_GM_(m##o8, 8, sw8, EA_OPEN, a, b, sem)
#define STAMP_G_EX(op, sem, sw)                                                                    \
    STAMP_ALL_G_(run_##op##_g_ex_r, run_##op##_g_ex_m, sw, sw, sw, (u64)0, e_, sem)                \
    STAMP_PICK_RM248_(stamp_##op##_G_EX, run_##op##_g_ex_r, run_##op##_g_ex_m)
#define STAMP_G_E_I(op, sem)                                                                       \
    STAMP_ALL_G_(run_##op##_g_e_i_r, run_##op##_g_e_i_m, 2, 4, 8, e_, in->imm, sem)                \
    STAMP_PICK_RM248_(stamp_##op##_G_E_I, run_##op##_g_e_i_r, run_##op##_g_e_i_m)

#define STAMP_E0M_(fn, sem, kind)                                                                  \
    STAMP_FN(fn)                                                                                   \
    {                                                                                              \
        const u64 la_ = stamp_ea(v, in, kind);                                                     \
        STAMP_PTR(p_, wtag, la_, 1, ACCESS_WRITE);                                                 \
        store_le(p_, sem(v, 0, 0, 1), 1);                                                          \
        NEXT(v, in);                                                                               \
    }
#define STAMP_E_0(op, sem)                                                                         \
    STAMP_FN(run_##op##_e_0_r)                                                                     \
    {                                                                                              \
        reg_write(v, in->rm, 1, sem(v, 0, 0, 1));                                                  \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_E0M_(run_##op##_e_0_mf, sem, EA_FLAT)                                                    \
    STAMP_E0M_(run_##op##_e_0_mo, sem, EA_OPEN)                                                    \
    static insn_run stamp_##op##_E_0(const struct insn *in, u32 mode)                              \
    {                                                                                              \
        static const insn_run m_[3] = {run_##op##_e_0_mf, run_##op##_e_0_mo, NULL};                \
        return (in->prefix & PREFIX_MEM) ? m_[ea_kind(in, mode)] : run_##op##_e_0_r;               \
    }

/*
 * The stack in stamped handlers: w is 8 in 64-bit mode, 4 on an open 32-bit stack; other stacks and
 * operand sizes (0 here) are for the generic path. RSP moved by `by` bytes, and the linear address
 * of an offset in the stack segment.
 */
#define STACK_MOVED(v, w, by) (((v)->state.reg[REG_RSP] + (u64)(i64)(by)) & width_mask(w))
#define STACK_LA(v, w, offset) ((w) == 8 ? (offset) : (u32)((offset) + (v)->segbase[SEG_SS]))

static inline unsigned stamp_stack_width(const struct insn *in, u32 mode)
{
    if (mode & MODE_ALIGN)
        return 0;
    if (mode & MODE_CODE64)
        return in->width == 8 ? 8 : 0;
    return in->width == 4 && (mode & MODE_OPEN_SS) != 0 && (mode & MODE_STACK32) != 0 ? 4 : 0;
}

/* The generic exec of the same semantics: first operand is the destination. */
#define EXEC_BINARY(op, sem)                                                                       \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        x->val[0] = sem(v, x->val[0], x->val[1] & width_mask(in->width), in->width);               \
        return true;                                                                               \
    }
#define EXEC_UNARY(op, sem)                                                                        \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        x->val[0] = sem(v, x->val[0], 0, in->width);                                               \
        return true;                                                                               \
    }

#endif
