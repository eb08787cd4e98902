/* SPDX-License-Identifier: MIT */
/*
 * FXSAVE, FXRSTOR and the XSAVE family: SDM Vol 1 10.5 and chapter 13. XSAVEOPT and XSAVES make the
 * init optimisation but not the modified one (13.6: both are optional, and the init one can be
 * told).
 */
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/isa/fpu.h"
#include "cpu/isa/isa.h"
#include "cpu/mem.h"
#include "cpu/xstate.h"

/* Offsets in the legacy region: SDM Vol 1 table 13-1. */
enum {
    AREA_MXCSR = 24,
    AREA_ST = 32,
    AREA_XMM = 160,
    AREA_END = 416, /* of what is used */
    AREA_XSTATE_BV = 512,
    AREA_XCOMP_BV = 520,
    AREA_RESERVED = 528,
};

enum { FCW_WRITABLE = 0x1f3f, FCW_FIXED = 0x40, FOP_VALID = 0x7ff, CHUNK = 64 };
#define LEGACY_COMPONENTS (BIT(XSTATE_X87) | BIT(XSTATE_SSE))

/* XMM8 to XMM15 are out of reach, and untouched, outside 64-bit mode. */
static unsigned xmm_count(const struct vcpu *v)
{
    return mode64(v) ? 16 : 8;
}

/* ---- the area in memory ---- */

/* Linear address of the operand, of which size bytes are used, after the checks of the segment. */
static bool area_address(struct vcpu *v, const struct insn *in, const struct operands *x, u32 size,
                         u32 alignment, u32 access, u64 *la)
{
    if (!seg_linear(v, (enum seg)in->seg, x->offset, size, access, la))
        return false;
    return (*la & (alignment - 1)) == 0 || RAISE_GP0(v);
}

static bool area_load(struct vcpu *v, const struct insn *in, u64 la, void *to, u32 size)
{
    for (u32 done = 0; done < size; done += CHUNK) {
        const u32 part = size - done < CHUNK ? size - done : CHUNK;

        if (!mem_load_bytes(v, la + done, (u8 *)to + done, part, segment_flag(in)))
            return false;
    }
    return true;
}

/* Everything has been probed: this fails only if that was wrong. */
static bool area_store(struct vcpu *v, const struct insn *in, u64 la, const void *from, u32 size)
{
    for (u32 done = 0; done < size; done += CHUNK) {
        const u32 part = size - done < CHUNK ? size - done : CHUNK;

        if (!mem_store_bytes(v, la + done, (const u8 *)from + done, part, segment_flag(in)))
            return false;
    }
    return true;
}

/* ---- x87, MXCSR and XMM in the legacy region ---- */

/* Bytes 0..23 and 32..159. wide: the 64-bit format of the pointers (REX.W). */
static void x87_to_image(const struct vcpu *v, u8 *image, bool wide)
{
    const struct fpu_state *fpu = &v->state.fpu;
    const unsigned top = fpu->fsw >> FSW_TOP_SHIFT & 7;

    memset(image, 0, AREA_MXCSR);
    store_le(image, fpu->fcw, 2);
    store_le(image + 2, fpu->fsw, 2);
    image[4] = fpu->ftw;
    store_le(image + 6, fpu->fop, 2);
    store_le(image + 8, fpu->fip, wide ? 8 : 4);
    store_le(image + 16, fpu->fdp, wide ? 8 : 4);
    if (!wide) {
        store_le(image + 12, fpu->fcs, 2);
        store_le(image + 20, fpu->fds, 2);
    }
    for (unsigned i = 0; i < 8; i++) {
        const struct f80 *st = &fpu->st[(top + i) & 7];

        store_le(image + AREA_ST + 16 * i, st->mant, 8);
        store_le(image + AREA_ST + 16 * i + 8, st->se, 8);
    }
}

/* The tags are by physical register, so TOP in the status word says where ST(0) goes. */
static void x87_from_image(struct vcpu *v, const u8 *image, bool wide)
{
    struct fpu_state *fpu = &v->state.fpu;
    unsigned top;

    fpu->fcw = (u16)((load_le(image, 2) & FCW_WRITABLE) | FCW_FIXED);
    fpu->fsw = (u16)load_le(image + 2, 2);
    fpu->ftw = image[4];
    fpu->fop = (u16)(load_le(image + 6, 2) & FOP_VALID);
    fpu->fip = load_le(image + 8, wide ? 8 : 4);
    fpu->fdp = load_le(image + 16, wide ? 8 : 4);
    fpu->fcs = wide ? 0 : (u16)load_le(image + 12, 2);
    fpu->fds = wide ? 0 : (u16)load_le(image + 20, 2);
    top = fpu->fsw >> FSW_TOP_SHIFT & 7;
    for (unsigned i = 0; i < 8; i++) {
        struct f80 *st = &fpu->st[(top + i) & 7];

        st->mant = load_le(image + AREA_ST + 16 * i, 8);
        st->se = (u16)load_le(image + AREA_ST + 16 * i + 8, 2);
    }
    x87_update_summary(v);
}

static void x87_to_init(struct vcpu *v)
{
    v->state.fpu = (struct fpu_state){.fcw = 0x37f};
    x87_update_summary(v);
}

static bool x87_in_init(const struct vcpu *v)
{
    static const struct fpu_state init = {.fcw = 0x37f};

    return memcmp(&v->state.fpu, &init, sizeof(init)) == 0;
}

static void mxcsr_to_image(struct vcpu *v, u8 *image)
{
    store_le(image + AREA_MXCSR, mxcsr_read(v), 4);
    store_le(image + AREA_MXCSR + 4, MXCSR_VALID, 4);
}

static bool mxcsr_valid(const u8 *image)
{
    return (load_le(image + AREA_MXCSR, 4) & ~(u64)MXCSR_VALID) == 0;
}

static void mxcsr_from_image(struct vcpu *v, const u8 *image)
{
    mxcsr_write(v, (u32)load_le(image + AREA_MXCSR, 4));
}

static void xmm_to_image(const struct vcpu *v, u8 *image)
{
    for (unsigned i = 0; i < xmm_count(v); i++)
        memcpy(image + AREA_XMM + 16 * i, v->state.ymm[i].b, 16);
}

static void xmm_from_image(struct vcpu *v, const u8 *image)
{
    for (unsigned i = 0; i < xmm_count(v); i++)
        memcpy(v->state.ymm[i].b, image + AREA_XMM + 16 * i, 16);
}

/* ---- FXSAVE, FXRSTOR ---- */

static bool fx_allowed(struct vcpu *v)
{
    if (v->state.cr0 & CR0_EM)
        return RAISE_UD(v);
    return (v->state.cr0 & CR0_TS) == 0 || raise_fault(v, VEC_NM);
}

/* XMM registers take part: not under AMD's fast mode (APM Vol 2 3.1.7), nor before the OS says it
 * knows of them (SDM Vol 3A 2.5, CR4.OSFXSR). */
static bool fx_with_xmm(const struct vcpu *v)
{
    if ((v->state.efer & EFER_FFXSR) && v->cpl == 0 && mode64(v))
        return false;
    return (v->state.cr4 & CR4_OSFXSR) != 0;
}

static bool exec_fxsave(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 end = fx_with_xmm(v) ? AREA_XMM + 16 * xmm_count(v) : AREA_XMM;
    u8 image[AREA_END];
    u64 la;

    if (!fx_allowed(v) || !area_address(v, in, x, XSTATE_LEGACY_BYTES, 16, ACCESS_WRITE, &la) ||
        !mem_probe_write(v, la, XSTATE_LEGACY_BYTES, segment_flag(in)))
        return false;
    x87_to_image(v, image, (in->prefix & PREFIX_W) != 0);
    mxcsr_to_image(v, image);
    xmm_to_image(v, image);
    return area_store(v, in, la, image, end);
}

static bool exec_fxrstor(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u8 image[AREA_END];
    u64 la;

    if (!fx_allowed(v) || !area_address(v, in, x, XSTATE_LEGACY_BYTES, 16, ACCESS_READ, &la) ||
        !mem_probe_read(v, la, XSTATE_LEGACY_BYTES, segment_flag(in)) ||
        !area_load(v, in, la, image, AREA_END))
        return false;
    if ((v->state.cr4 & CR4_OSFXSR) && !mxcsr_valid(image))
        return RAISE_GP0(v);
    if (!x87_may_clear(v))
        return false;
    x87_from_image(v, image, (in->prefix & PREFIX_W) != 0);
    if (v->state.cr4 & CR4_OSFXSR)
        mxcsr_from_image(v, image);
    if (fx_with_xmm(v))
        xmm_from_image(v, image);
    return true;
}

/* ---- components beyond the legacy region ---- */

static bool any_set(const struct vcpu *v, unsigned first_qword)
{
    u64 bits = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(v->state.ymm); i++)
        bits |= v->state.ymm[i].q[first_qword] | v->state.ymm[i].q[first_qword + 1];
    return bits != 0;
}

u64 xstate_in_use(const struct vcpu *v)
{
    return (x87_in_init(v) ? 0 : BIT(XSTATE_X87)) | (any_set(v, 0) ? BIT(XSTATE_SSE) : 0) |
           (any_set(v, 2) ? BIT(XSTATE_AVX) : 0) | (v->state.pkru != 0 ? BIT(XSTATE_PKRU) : 0);
}

enum { COMPONENT_MAX = 256 };

/* Bytes of component 2 or above, as they stand in the area. */
static void component_to_image(const struct vcpu *v, unsigned number, u8 *image)
{
    memset(image, 0, COMPONENT_MAX);
    if (number == XSTATE_AVX) {
        for (unsigned i = 0; i < xmm_count(v); i++)
            memcpy(image + 16 * i, v->state.ymm[i].b + 16, 16);
    } else {
        store_le(image, v->state.pkru, 4);
    }
}

/* Outside 64-bit mode the upper eight registers' half of AVX state is neither saved nor loaded. */
static u32 component_bytes(const struct vcpu *v, unsigned number)
{
    return number == XSTATE_AVX ? 16 * xmm_count(v) : xstate_component(number).size;
}

static void component_from_image(struct vcpu *v, unsigned number, const u8 *image)
{
    if (number == XSTATE_AVX) {
        for (unsigned i = 0; i < xmm_count(v); i++)
            memcpy(v->state.ymm[i].b + 16, image + 16 * i, 16);
    } else {
        v->state.pkru = (u32)load_le(image, 4);
        mmu_set_keys(v->mmu, v->state.pkru, (u32)v->state.pkrs);
        vcpu_tlb_refresh(v);
    }
}

/* ---- the XSAVE family ---- */

enum { XSAVE_OPTIMISED = 1 << 0, XSAVE_COMPACT = 1 << 1, XSAVE_SUPERVISOR = 1 << 2 };

static bool xsave_allowed(struct vcpu *v, u32 how)
{
    if ((v->state.cr4 & CR4_OSXSAVE) == 0)
        return RAISE_UD(v);
    if (v->state.cr0 & CR0_TS)
        return raise_fault(v, VEC_NM);
    return (how & XSAVE_SUPERVISOR) == 0 || v->cpl == 0 || RAISE_GP0(v);
}

static u64 enabled_components(const struct vcpu *v, u32 how)
{
    return v->state.xcr0 | ((how & XSAVE_SUPERVISOR) ? v->state.xss : 0);
}

/* Requested-feature bitmap: SDM Vol 1 13.7. */
static u64 requested(const struct vcpu *v, u32 how)
{
    const u64 mask = (v->state.reg[REG_RDX] << 32) | (u32)v->state.reg[REG_RAX];

    return enabled_components(v, how) & mask;
}

struct save {
    u64 la;
    u64 requested;
    u64 written; /* components whose bytes go to memory */
    u64 xstate_bv;
    u64 xcomp_bv; /* 0: standard format */
    bool mxcsr; /* goes to memory */
};

/* Which components are saved, and what the header says of them: SDM Vol 1 13.7, 13.9 to 13.11. */
static void plan_save(struct vcpu *v, u32 how, struct save *s)
{
    const u64 avx_or_sse = BIT(XSTATE_SSE) | BIT(XSTATE_AVX);
    u64 in_use = xstate_in_use(v);

    s->requested = requested(v, how);
    s->xcomp_bv = 0;
    s->mxcsr = (s->requested & avx_or_sse) != 0;
    if (how & XSAVE_COMPACT) {
        if (mxcsr_read(v) != MXCSR_DEFAULT)
            in_use |= BIT(XSTATE_SSE);
        s->xcomp_bv = s->requested | XSTATE_COMPACTED;
        s->mxcsr = (s->requested & in_use & BIT(XSTATE_SSE)) != 0;
    }
    s->xstate_bv = s->requested & in_use;
    s->written = (how & XSAVE_OPTIMISED) ? s->xstate_bv : s->requested;
}

static bool probe_save(struct vcpu *v, const struct insn *in, const struct save *s)
{
    if (!mem_probe_write(v, s->la, XSTATE_EXTENDED, segment_flag(in)))
        return false;
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++) {
        if ((s->written >> i & 1) != 0 && !mem_probe_write(v, s->la + xstate_offset(i, s->xcomp_bv),
                                                           component_bytes(v, i), segment_flag(in)))
            return false;
    }
    return true;
}

static bool store_legacy(struct vcpu *v, const struct insn *in, const struct save *s)
{
    u8 image[AREA_END];

    x87_to_image(v, image, (in->prefix & PREFIX_W) != 0);
    mxcsr_to_image(v, image);
    xmm_to_image(v, image);
    if ((s->written & BIT(XSTATE_X87)) != 0 &&
        (!area_store(v, in, s->la, image, AREA_MXCSR) ||
         !area_store(v, in, s->la + AREA_ST, image + AREA_ST, AREA_XMM - AREA_ST)))
        return false;
    if (s->mxcsr && !area_store(v, in, s->la + AREA_MXCSR, image + AREA_MXCSR, 8))
        return false;
    return (s->written & BIT(XSTATE_SSE)) == 0 ||
           area_store(v, in, s->la + AREA_XMM, image + AREA_XMM, 16 * xmm_count(v));
}

static bool store_components(struct vcpu *v, const struct insn *in, const struct save *s)
{
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++) {
        u8 image[COMPONENT_MAX];

        if ((s->written >> i & 1) == 0)
            continue;
        component_to_image(v, i, image);
        if (!area_store(v, in, s->la + xstate_offset(i, s->xcomp_bv), image, component_bytes(v, i)))
            return false;
    }
    return true;
}

static bool save(struct vcpu *v, const struct insn *in, const struct operands *x, u32 how)
{
    struct save s;
    u64 header[2];
    u32 header_bytes = 8;

    if (!xsave_allowed(v, how))
        return false;
    plan_save(v, how, &s);
    if (!area_address(v, in, x, xstate_area_bytes(s.requested, (how & XSAVE_COMPACT) != 0), 64,
                      ACCESS_WRITE, &s.la) ||
        !probe_save(v, in, &s) || !area_load(v, in, s.la + AREA_XSTATE_BV, header, 8))
        return false;
    if (how & XSAVE_COMPACT) {
        header[0] = s.xstate_bv;
        header[1] = s.xcomp_bv;
        header_bytes = 16;
    } else {
        header[0] = (header[0] & ~s.requested) | s.xstate_bv;
    }
    return store_legacy(v, in, &s) && store_components(v, in, &s) &&
           area_store(v, in, s.la + AREA_XSTATE_BV, header, header_bytes);
}

/* The header of an area to restore from: SDM Vol 1 13.8, 13.12. */
static bool header_valid(const struct vcpu *v, const u8 *area, u32 how)
{
    const u64 xstate_bv = load_le(area + AREA_XSTATE_BV, 8);
    const u64 xcomp_bv = load_le(area + AREA_XCOMP_BV, 8);
    const bool compacted = (xcomp_bv & XSTATE_COMPACTED) != 0;
    const u64 enabled = enabled_components(v, how);
    u64 reserved = 0;

    for (u32 at = AREA_RESERVED; at < (compacted ? XSTATE_EXTENDED : AREA_RESERVED + 8); at += 8)
        reserved |= load_le(area + at, 8);
    if (reserved != 0)
        return false;
    if (!compacted)
        return (how & XSAVE_SUPERVISOR) == 0 && xcomp_bv == 0 && (xstate_bv & ~enabled) == 0;
    return (has_feature(v, F_XSAVEC) || has_feature(v, F_XSAVES)) &&
           (xcomp_bv & ~enabled & ~XSTATE_COMPACTED) == 0 && (xstate_bv & ~xcomp_bv) == 0;
}

struct restore {
    u64 requested;
    u64 present; /* XSTATE_BV: the others go to their initial configuration */
    u64 xcomp_bv;
    u8 legacy[XSTATE_EXTENDED];
    u8 component[XSTATE_COMPONENTS][COMPONENT_MAX];
};

static bool load_components(struct vcpu *v, const struct insn *in, u64 la, struct restore *r)
{
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++) {
        if ((r->requested >> i & 1) == 0)
            continue;
        memset(r->component[i], 0, COMPONENT_MAX);
        if ((r->present >> i & 1) != 0 && !area_load(v, in, la + xstate_offset(i, r->xcomp_bv),
                                                     r->component[i], component_bytes(v, i)))
            return false;
    }
    return true;
}

/* MXCSR: in the standard format loaded whenever SSE or AVX is asked for, whatever XSTATE_BV says;
 * in the compacted one a part of SSE state. */
static bool restores_mxcsr(const struct restore *r)
{
    if (r->xcomp_bv & XSTATE_COMPACTED)
        return (r->requested & r->present & BIT(XSTATE_SSE)) != 0;
    return (r->requested & (BIT(XSTATE_SSE) | BIT(XSTATE_AVX))) != 0;
}

static void commit_restore(struct vcpu *v, const struct restore *r, bool wide)
{
    static const u8 zeros[AREA_END];

    if (r->requested & BIT(XSTATE_X87)) {
        if (r->present & BIT(XSTATE_X87))
            x87_from_image(v, r->legacy, wide);
        else
            x87_to_init(v);
    }
    if (restores_mxcsr(r))
        mxcsr_from_image(v, r->legacy);
    else if (r->requested & BIT(XSTATE_SSE))
        mxcsr_write(v, MXCSR_DEFAULT);
    if (r->requested & BIT(XSTATE_SSE))
        xmm_from_image(v, (r->present & BIT(XSTATE_SSE)) ? r->legacy : zeros);
    for (unsigned i = 2; i < XSTATE_COMPONENTS; i++) {
        if (r->requested >> i & 1)
            component_from_image(v, i, r->component[i]);
    }
}

static bool restore(struct vcpu *v, const struct insn *in, const struct operands *x, u32 how)
{
    struct restore r;
    u64 la;

    if (!xsave_allowed(v, how) || !area_address(v, in, x, XSTATE_EXTENDED, 64, ACCESS_READ, &la) ||
        !area_load(v, in, la, r.legacy, XSTATE_EXTENDED))
        return false;
    if (!header_valid(v, r.legacy, how))
        return RAISE_GP0(v);
    r.requested = requested(v, how);
    r.present = load_le(r.legacy + AREA_XSTATE_BV, 8);
    r.xcomp_bv = load_le(r.legacy + AREA_XCOMP_BV, 8);
    if (!area_address(v, in, x,
                      xstate_area_bytes(r.xcomp_bv ? r.xcomp_bv & ~XSTATE_COMPACTED : r.requested,
                                        r.xcomp_bv != 0),
                      64, ACCESS_READ, &la) ||
        !load_components(v, in, la, &r))
        return false;
    if (restores_mxcsr(&r) && !mxcsr_valid(r.legacy))
        return RAISE_GP0(v);
    if ((r.requested & BIT(XSTATE_X87)) && !x87_may_clear(v))
        return false;
    commit_restore(v, &r, (in->prefix & PREFIX_W) != 0);
    return true;
}

static bool exec_xsave(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return save(v, in, x, 0);
}

static bool exec_xsaveopt(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return save(v, in, x, XSAVE_OPTIMISED);
}

static bool exec_xsavec(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return save(v, in, x, XSAVE_OPTIMISED | XSAVE_COMPACT);
}

static bool exec_xsaves(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return save(v, in, x, XSAVE_OPTIMISED | XSAVE_COMPACT | XSAVE_SUPERVISOR);
}

static bool exec_xrstor(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return restore(v, in, x, 0);
}

static bool exec_xrstors(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return restore(v, in, x, XSAVE_SUPERVISOR);
}

/* clang-format off */
#define BOTH(op, opcode_digit, ...) \
    {#op, "np w0 " opcode_digit, "M", exec_##op, 0, .feature = __VA_ARGS__}, \
    {#op "64", "np rexw " opcode_digit, "M", exec_##op, 0, .feature = __VA_ARGS__}

const struct insn_def isa_state[] = {
    BOTH(fxsave,   "0f ae /0", F_FXSR),
    BOTH(fxrstor,  "0f ae /1", F_FXSR),
    BOTH(xsave,    "0f ae /4", F_XSAVE),
    BOTH(xrstor,   "0f ae /5", F_XSAVE),
    BOTH(xsaveopt, "0f ae /6", F_XSAVEOPT),
    BOTH(xrstors,  "0f c7 /3", F_XSAVES, .intercept = INTERCEPT_XRSTORS),
    BOTH(xsavec,   "0f c7 /4", F_XSAVEC),
    BOTH(xsaves,   "0f c7 /5", F_XSAVES, .intercept = INTERCEPT_XSAVES),
    {0},
};
/* clang-format on */
