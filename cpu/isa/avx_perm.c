/* SPDX-License-Identifier: MIT */
/*
 * VEX instructions without an SSE ancestor: broadcasts, permutations across lanes, insertion and
 * extraction of lanes, masked moves, gathers. SDM Vol 2C, by mnemonic.
 */
#include "cpu/isa/isa.h"
#include "cpu/isa/lane_int.h"
#include "cpu/isa/lane_move.h"
#include "cpu/isa/masked.h"

/* ---- broadcasts: from the low element of a register, or from memory ---- */

#define EXEC_BROADCAST(op, f)                                                                      \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        const __typeof__(x->vec[1].f[0]) element = x->vec[1].f[0];                                 \
        (void)v;                                                                                   \
        for (unsigned i = 0; i < vec_bytes(in) / sizeof(element); i++)                             \
            x->vec[0].f[i] = element;                                                              \
        return true;                                                                               \
    }
EXEC_BROADCAST(broadcastb, b)
EXEC_BROADCAST(broadcastw, w)
EXEC_BROADCAST(broadcastd, d)
EXEC_BROADCAST(broadcastq, q)

static bool exec_broadcastss_memory(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->vec[1].d[0] = (u32)x->val[1];
    return exec_broadcastd(v, in, x);
}

static bool exec_broadcastsd_memory(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->vec[1].q[0] = x->val[1];
    return exec_broadcastq(v, in, x);
}

static bool exec_broadcast128(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const union lane lane = lane_get(&x->vec[1], 0);

    (void)v;
    (void)in;
    lane_put(&x->vec[0], 0, &lane);
    lane_put(&x->vec[0], 1, &lane);
    return true;
}

/* ---- 128-bit lanes ---- */

/* Each half of imm: lane 1:0 of the four sources, or zeros (3). */
static bool exec_vperm2f128(struct vcpu *v, const struct insn *in, struct operands *x)
{
    union vec result;

    (void)v;
    for (unsigned i = 0; i < 2; i++) {
        const unsigned select = (unsigned)(in->imm >> 4 * i);
        union lane lane = lane_get(&x->vec[1 + (select >> 1 & 1)], select & 1);

        if ((select & 8) != 0)
            lane = lane_zero();
        lane_put(&result, i, &lane);
    }
    x->vec[0] = result;
    return true;
}

static bool exec_vinsert128(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const union lane lane = lane_get(&x->vec[2], 0);

    (void)v;
    x->vec[0] = x->vec[1];
    lane_put(&x->vec[0], in->imm & 1, &lane);
    return true;
}

static bool exec_vextract128(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const union lane lane = lane_get(&x->vec[1], in->imm & 1);

    (void)v;
    x->vec[0] = (union vec){.q = {0}};
    lane_put(&x->vec[0], 0, &lane);
    return true;
}

/* ---- permutations ---- */

EXEC_V_H_W(vpermilps, sem_vpermilps)
EXEC_V_H_W(vpermilpd, sem_vpermilpd)
EXEC_VEX_V_W_I(vpermilps_i, sem_vpermilps_i)
EXEC_VEX_(exec_vpermilpd_i, lane_zero(), lane_get(&x->vec[1], i_),
          sem_vpermilpd_i(v, &d_, &s_, in->imm >> 2 * i_))

static bool exec_vpermd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    for (unsigned i = 0; i < 8; i++)
        x->vec[0].d[i] = x->vec[2].d[x->vec[1].d[i] & 7];
    return true;
}

static bool exec_vpermq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    for (unsigned i = 0; i < 4; i++)
        x->vec[0].q[i] = x->vec[1].q[in->imm >> 2 * i & 3];
    return true;
}

/* ---- masked moves: the top bit of each mask element ---- */

static u32 mask_of(const union vec *mask, const struct insn *in, u32 size)
{
    return size == 4 ? mask_dwords(mask, vec_bytes(in)) : mask_qwords(mask, vec_bytes(in));
}

static bool load_masked(struct vcpu *v, const struct insn *in, struct operands *x, u32 size)
{
    return masked_load(v, in, insn_offset(v, in), x->vec[0].b, vec_bytes(in) / size, size,
                       mask_of(&x->vec[1], in, size));
}

static bool store_masked(struct vcpu *v, const struct insn *in, struct operands *x, u32 size)
{
    return masked_store(v, in, insn_offset(v, in), x->vec[2].b, vec_bytes(in) / size, size,
                        mask_of(&x->vec[1], in, size));
}

static bool exec_load_masked4(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return load_masked(v, in, x, 4);
}

static bool exec_load_masked8(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return load_masked(v, in, x, 8);
}

static bool exec_store_masked4(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return store_masked(v, in, x, 4);
}

static bool exec_store_masked8(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return store_masked(v, in, x, 8);
}

/* ---- gathers ---- */

/* Offset of element i: base and displacement, and a signed index from a vector register. */
static u64 gather_offset(const struct vcpu *v, const struct insn *in, u32 index_size, u32 i)
{
    const union vec *const from = &v->state.ymm[in->index];
    const u64 index = index_size == 4 ? sign_extend(from->d[i], 4) : from->q[i];

    return v->state.reg[in->base] + (index << in->scale) + (u64)in->disp;
}

/* The sign of each mask element in all its bits; zero behind the elements. */
static union vec gather_mask(u32 select, u32 count, u32 size)
{
    union vec mask = {.q = {0}};

    for (u32 i = 0; i < count; i++)
        memset(mask.b + i * size, select >> i & 1 ? 0xff : 0, size);
    return mask;
}

/* An exception: what is complete stays, its mask elements clear, the others extended (SDM Vol 2C,
 * VPGATHERDD, Operation). */
static void gather_interrupted(struct vcpu *v, const struct insn *in, const struct operands *x)
{
    if (v->event.kind != EVENT_EXCEPTION)
        return;
    v->state.ymm[in->reg] = x->vec[0];
    v->state.ymm[in->vvvv] = x->vec[2];
}

/*
 * +V,M,+H: elements of size bytes whose mask bit is set are loaded, in order, each clearing its
 * mask element. The rest of both registers is cleared at the end.
 */
static bool gather(struct vcpu *v, const struct insn *in, struct operands *x, u32 size,
                   u32 index_size)
{
    const u32 widest = size > index_size ? size : index_size;
    const u32 count = vec_bytes(in) / widest;
    const u32 select = mask_of(&x->vec[2], in, size);

    if (in->reg == in->vvvv || in->reg == in->index || in->vvvv == in->index)
        return RAISE_UD(v);
    x->vec[2] = gather_mask(select, count, size);
    for (u32 i = 0; i < count; i++) {
        u64 la;

        if ((select >> i & 1) != 0 &&
            (!masked_address(v, in, gather_offset(v, in, index_size, i), 0, size, ACCESS_READ,
                             &la) ||
             !mem_load_bytes(v, la, x->vec[0].b + i * size, size, segment_flag(in)))) {
            gather_interrupted(v, in, x);
            return false;
        }
        memset(x->vec[2].b + i * size, 0, size);
    }
    memset(x->vec[0].b + count * size, 0, sizeof(x->vec[0]) - count * size);
    x->vec[2] = (union vec){.q = {0}};
    return true;
}

static bool exec_gather_dd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return gather(v, in, x, 4, 4);
}

static bool exec_gather_dq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return gather(v, in, x, 8, 4);
}

static bool exec_gather_qd(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return gather(v, in, x, 4, 8);
}

static bool exec_gather_qq(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return gather(v, in, x, 8, 8);
}

/* clang-format off */
#define ROW(name, length, map_w_opcode, operands, op, needs) \
    {name, "vex." length ".66." map_w_opcode " /r", operands, exec_##op, AVX, .feature = needs}
#define BOTH(name, map_w_opcode, operands, op, needs) \
    ROW(name, "128", map_w_opcode, operands, op, needs), \
    ROW(name, "256", map_w_opcode, operands, op, needs)
#define GATHER(name, w_opcode, op) \
    {name, "vex.128.66.0f38." w_opcode " /r /vsib", "+Vx,M,+Hx", exec_##op, AVX, .feature = F_AVX2}, \
    {name, "vex.256.66.0f38." w_opcode " /r /vsib", "+Vx,M,+Hx", exec_##op, AVX, .feature = F_AVX2}

const struct insn_def isa_avx_perm[] = {
    BOTH("vbroadcastss", "0f38.w0 18", "=Vx,Md", broadcastss_memory, F_AVX),
    BOTH("vbroadcastss", "0f38.w0 18", "=Vx,Udq", broadcastd, F_AVX2),
    ROW("vbroadcastsd", "256", "0f38.w0 19", "=Vqq,Mq", broadcastsd_memory, F_AVX),
    ROW("vbroadcastsd", "256", "0f38.w0 19", "=Vqq,Udq", broadcastq, F_AVX2),
    ROW("vbroadcastf128", "256", "0f38.w0 1a", "=Vqq,Mdq", broadcast128, F_AVX),
    ROW("vbroadcasti128", "256", "0f38.w0 5a", "=Vqq,Mdq", broadcast128, F_AVX2),
    BOTH("vpbroadcastb", "0f38.w0 78", "=Vx,Wb", broadcastb, F_AVX2),
    BOTH("vpbroadcastw", "0f38.w0 79", "=Vx,Ww", broadcastw, F_AVX2),
    BOTH("vpbroadcastd", "0f38.w0 58", "=Vx,Wd", broadcastd, F_AVX2),
    BOTH("vpbroadcastq", "0f38.w0 59", "=Vx,Wq", broadcastq, F_AVX2),

    ROW("vperm2f128", "256", "0f3a.w0 06", "=Vqq,Hqq,Wqq,Ib", vperm2f128, F_AVX),
    ROW("vperm2i128", "256", "0f3a.w0 46", "=Vqq,Hqq,Wqq,Ib", vperm2f128, F_AVX2),
    ROW("vinsertf128", "256", "0f3a.w0 18", "=Vqq,Hqq,Wdq,Ib", vinsert128, F_AVX),
    ROW("vinserti128", "256", "0f3a.w0 38", "=Vqq,Hqq,Wdq,Ib", vinsert128, F_AVX2),
    ROW("vextractf128", "256", "0f3a.w0 19", "=Wdq,Vqq,Ib", vextract128, F_AVX),
    ROW("vextracti128", "256", "0f3a.w0 39", "=Wdq,Vqq,Ib", vextract128, F_AVX2),
    BOTH("vpermilps", "0f38.w0 0c", "=Vx,Hx,Wx", vpermilps, F_AVX),
    BOTH("vpermilpd", "0f38.w0 0d", "=Vx,Hx,Wx", vpermilpd, F_AVX),
    BOTH("vpermilps", "0f3a.w0 04", "=Vx,Wx,Ib", vpermilps_i, F_AVX),
    BOTH("vpermilpd", "0f3a.w0 05", "=Vx,Wx,Ib", vpermilpd_i, F_AVX),
    ROW("vpermps", "256", "0f38.w0 16", "=Vqq,Hqq,Wqq", vpermd, F_AVX2),
    ROW("vpermd", "256", "0f38.w0 36", "=Vqq,Hqq,Wqq", vpermd, F_AVX2),
    ROW("vpermq", "256", "0f3a.w1 00", "=Vqq,Wqq,Ib", vpermq, F_AVX2),
    ROW("vpermpd", "256", "0f3a.w1 01", "=Vqq,Wqq,Ib", vpermq, F_AVX2),

    BOTH("vmaskmovps", "0f38.w0 2c", "=Vx,Hx,M", load_masked4, F_AVX),
    BOTH("vmaskmovpd", "0f38.w0 2d", "=Vx,Hx,M", load_masked8, F_AVX),
    BOTH("vmaskmovps", "0f38.w0 2e", "M,Hx,Vx", store_masked4, F_AVX),
    BOTH("vmaskmovpd", "0f38.w0 2f", "M,Hx,Vx", store_masked8, F_AVX),
    BOTH("vpmaskmovd", "0f38.w0 8c", "=Vx,Hx,M", load_masked4, F_AVX2),
    BOTH("vpmaskmovq", "0f38.w1 8c", "=Vx,Hx,M", load_masked8, F_AVX2),
    BOTH("vpmaskmovd", "0f38.w0 8e", "M,Hx,Vx", store_masked4, F_AVX2),
    BOTH("vpmaskmovq", "0f38.w1 8e", "M,Hx,Vx", store_masked8, F_AVX2),

    GATHER("vpgatherdd", "w0 90", gather_dd),
    GATHER("vpgatherdq", "w1 90", gather_dq),
    GATHER("vpgatherqd", "w0 91", gather_qd),
    GATHER("vpgatherqq", "w1 91", gather_qq),
    GATHER("vgatherdps", "w0 92", gather_dd),
    GATHER("vgatherdpd", "w1 92", gather_dq),
    GATHER("vgatherqps", "w0 93", gather_qd),
    GATHER("vgatherqpd", "w1 93", gather_qq),
    {0},
};
/* clang-format on */
