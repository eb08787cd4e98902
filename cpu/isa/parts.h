/* SPDX-License-Identifier: MIT */
/* Handlers that SSE and AVX rows share: parts of a vector to general registers and memory, and from
 * there with zeros above. SDM Vol 2: MOVD, MOVLPS, MOVHPS, PEXTRx. */
#ifndef CPU_ISA_PARTS_H
#define CPU_ISA_PARTS_H

#include "cpu/vcpu.h"

static inline bool exec_load_scalar(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->vec[0] = (union vec){.q = {x->val[1]}};
    return true;
}

static inline bool exec_store_low(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = x->vec[1].q[0];
    return true;
}

static inline bool exec_store_high(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    x->val[0] = x->vec[1].q[1];
    return true;
}

static inline bool exec_pextrb(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->vec[1].b[in->imm & 15];
    return true;
}

static inline bool exec_pextrw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->vec[1].w[in->imm & 7];
    return true;
}

static inline bool exec_pextrd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->vec[1].d[in->imm & 3];
    return true;
}

static inline bool exec_pextrq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    x->val[0] = x->vec[1].q[in->imm & 1];
    return true;
}

#endif
