/* SPDX-License-Identifier: MIT */
/*
 * x87 control: FNINIT, FNCLEX, the control and status words, environment and state images in their
 * four layouts (SDM Vol 1 8.1.10, figures 8-9 to 8-12), stack pointer moves, FWAIT.
 */
#include "cpu/control.h"
#include "cpu/isa/isa.h"
#include "cpu/isa/x87.h"

enum { FCW_WRITABLE = 0x1f3f, FCW_FIXED = 0x40, STATE_REGISTERS_BYTES = 80 };

static void set_control(struct vcpu *v, u16 value)
{
    v->state.fpu.fcw = (value & FCW_WRITABLE) | FCW_FIXED;
    x87_update_summary(v);
}

static bool exec_fninit(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (!x87_may_clear(v))
        return false;
    x87_init(&v->state.fpu);
    x87_update_summary(v);
    return true;
}

static bool exec_fnclex(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (!x87_may_clear(v))
        return false;
    v->state.fpu.fsw &= (u16) ~(FP_ALL | FSW_SF);
    x87_update_summary(v);
    return true;
}

/* Unmasking may make an old flag an error, masking may end one; either may move FERR#. */
static bool exec_fldcw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    if (!x87_may_clear(v))
        return false;
    set_control(v, (u16)x->val[0]);
    return true;
}

static bool exec_fnstcw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = v->state.fpu.fcw;
    return true;
}

static bool exec_fnstsw(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = v->state.fpu.fsw;
    return true;
}

/* ---- control and status words, stamped ---- */

/* No error pending before or after, and FERR# stays. */
static ALWAYS_INLINE bool quick_fldcw(struct vcpu *v, const u8 *p)
{
    const u32 value = (u32)load_le(p, 2);
    const u32 fsw = v->state.fpu.fsw;

    if (unlikely((fsw & FSW_ES) || (fsw & ~value & FP_ALL) || v->state.ferr))
        return false;
    v->state.fpu.fcw = (u16)((value & FCW_WRITABLE) | FCW_FIXED);
    return true;
}

static ALWAYS_INLINE bool quick_word(u8 *p, u16 word)
{
    store_le(p, word, 2);
    return true;
}

static ALWAYS_INLINE bool quick_fnstsw_ax(struct vcpu *v)
{
    reg_write(v, REG_RAX, 2, v->state.fpu.fsw);
    return true;
}

static ALWAYS_INLINE bool quick_fwait(const struct vcpu *v)
{
    return !(v->state.fpu.fsw & FSW_ES) && (v->state.cr0 & (CR0_MP | CR0_TS)) != (CR0_MP | CR0_TS);
}

X87_STAMP_LOAD(fldcw, 2, quick_fldcw(v, m.p))
X87_STAMP_STORE(fnstcw, 2, quick_word(m.p, v->state.fpu.fcw))
X87_STAMP_STORE(fnstsw, 2, quick_word(m.p, v->state.fpu.fsw))
X87_STAMP(fnstsw_ax, quick_fnstsw_ax(v))
X87_STAMP(fwait, quick_fwait(v))

/* ---- the environment ---- */

/* The image in memory: seven fields of 2 or 4 bytes. */
struct image {
    u8 bytes[28 + STATE_REGISTERS_BYTES];
    u32 env_bytes;
};

static void put_fields(struct image *image, bool wide, const u32 fields[7])
{
    const u32 width = wide ? 4 : 2;

    for (u32 i = 0; i < 7; i++)
        store_le(image->bytes + i * width, fields[i], width);
    image->env_bytes = 7 * width;
}

/* Reserved upper halves read as ones. */
static void env_to_image(const struct vcpu *v, bool wide, struct image *image)
{
    const struct fpu_state *fpu = &v->state.fpu;
    u32 fields[7] = {fpu->fcw | 0xffff0000, fpu->fsw | 0xffff0000, x87_tag_word(fpu) | 0xffff0000};

    if (protected_mode(v)) {
        fields[3] = (u32)fpu->fip;
        fields[4] = fpu->fcs | (wide ? (u32)fpu->fop << 16 : 0);
        fields[5] = (u32)fpu->fdp;
        fields[6] = fpu->fds | 0xffff0000;
    } else {
        const u32 ip = (u32)fpu->fip + ((u32)fpu->fcs << 4);
        const u32 dp = (u32)fpu->fdp + ((u32)fpu->fds << 4);

        fields[3] = (ip & 0xffff) | 0xffff0000;
        fields[4] = (wide ? (ip & 0xffff0000) >> 4 : (ip >> 16 & 0xf) << 12) | fpu->fop;
        fields[5] = (dp & 0xffff) | 0xffff0000;
        fields[6] = wide ? (dp & 0xffff0000) >> 4 : (dp >> 16 & 0xf) << 12;
    }
    put_fields(image, wide, fields);
}

static void env_from_image(struct vcpu *v, bool wide, const struct image *image)
{
    struct fpu_state *fpu = &v->state.fpu;
    const u32 width = wide ? 4 : 2;
    u32 fields[7];

    for (u32 i = 0; i < 7; i++)
        fields[i] = (u32)load_le(image->bytes + i * width, width);
    fpu->fsw = (u16)fields[1];
    fpu->ftw = x87_abridge((u16)fields[2]);
    if (protected_mode(v)) {
        fpu->fip = fields[3];
        fpu->fcs = (u16)fields[4];
        if (wide)
            fpu->fop = fields[4] >> 16 & 0x7ff;
        fpu->fdp = fields[5];
        fpu->fds = (u16)fields[6];
    } else {
        fpu->fip = (fields[3] & 0xffff) | (fields[4] & 0x0ffff000) << 4;
        fpu->fop = fields[4] & 0x7ff;
        fpu->fdp = (fields[5] & 0xffff) | (fields[6] & 0x0ffff000) << 4;
        fpu->fcs = 0;
        fpu->fds = 0;
    }
    set_control(v, (u16)fields[0]);
}

static bool image_address(struct vcpu *v, const struct insn *in, const struct operands *x,
                          u32 bytes, u32 access, u64 *la)
{
    return seg_linear(v, in->seg, x->offset, bytes, access, la);
}

/* FNSTENV and FNSAVE; the caller masks or initialises afterwards. */
static bool store_image(struct vcpu *v, const struct insn *in, const struct operands *x,
                        bool registers)
{
    const u32 flags = in->seg == SEG_SS ? ACCESS_STACK : 0;
    struct image image;
    u32 bytes;
    u64 la;

    env_to_image(v, in->width != 2, &image);
    bytes = image.env_bytes;
    for (u32 i = 0; registers && i < 8; i++, bytes += 10) {
        const struct f80 value = x87_get(v, i);

        memcpy(image.bytes + bytes, &value, 10);
    }
    if (!image_address(v, in, x, bytes, ACCESS_WRITE, &la) || !mem_probe_write(v, la, bytes, flags))
        return false;
    for (u32 at = 0; at < bytes;) {
        const u32 piece = bytes - at < 64 ? bytes - at : 64;

        if (!mem_store_bytes(v, (la + at) & v->la_mask, image.bytes + at, piece, flags))
            return false;
        at += piece;
    }
    return true;
}

static bool load_image(struct vcpu *v, const struct insn *in, const struct operands *x,
                       bool registers, struct image *image)
{
    const u32 flags = in->seg == SEG_SS ? ACCESS_STACK : 0;
    const u32 env_bytes = in->width != 2 ? 28 : 14;
    const u32 bytes = env_bytes + (registers ? STATE_REGISTERS_BYTES : 0);
    u64 la;

    image->env_bytes = env_bytes;
    if (!image_address(v, in, x, bytes, ACCESS_READ, &la))
        return false;
    for (u32 at = 0; at < bytes;) {
        const u32 piece = bytes - at < 64 ? bytes - at : 64;

        if (!mem_load_bytes(v, (la + at) & v->la_mask, image->bytes + at, piece, flags))
            return false;
        at += piece;
    }
    return true;
}

static bool exec_fnstenv(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!x87_may_clear(v) || !store_image(v, in, x, false))
        return false;
    set_control(v, v->state.fpu.fcw | FP_ALL);
    return true;
}

static bool exec_fldenv(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct image image;

    if (!x87_may_clear(v) || !load_image(v, in, x, false, &image))
        return false;
    env_from_image(v, in->width != 2, &image);
    return true;
}

static bool exec_fnsave(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!x87_may_clear(v) || !store_image(v, in, x, true))
        return false;
    x87_init(&v->state.fpu);
    x87_update_summary(v);
    return true;
}

static bool exec_frstor(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct image image;

    if (!x87_may_clear(v) || !load_image(v, in, x, true, &image))
        return false;
    env_from_image(v, in->width != 2, &image);
    for (u32 i = 0; i < 8; i++) {
        struct f80 value = {0};

        memcpy(&value, image.bytes + image.env_bytes + 10 * i, 10);
        v->state.fpu.st[x87_physical(v, i)] = value;
    }
    return true;
}

/* ---- the stack ---- */

static bool exec_ffree(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!x87_commit(v, in, x, (struct x87_outcome){0, true}))
        return false;
    x87_free(v, in->rm & 7);
    return true;
}

static bool exec_ffreep(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!exec_ffree(v, in, x))
        return false;
    x87_pop(v);
    return true;
}

static bool exec_fincstp(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!x87_commit(v, in, x, (struct x87_outcome){0, true}))
        return false;
    x87_rotate(v, 1);
    return true;
}

static bool exec_fdecstp(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!x87_commit(v, in, x, (struct x87_outcome){0, true}))
        return false;
    x87_rotate(v, 7);
    return true;
}

static bool exec_fnop(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return x87_commit(v, in, x, (struct x87_outcome){v->state.fpu.fsw & FSW_C1, true});
}

/* FNENI, FNDISI, FNSETPM: 8087 and 80287 leftovers without effect. */
static bool exec_ignored(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)v;
    (void)in;
    (void)x;
    return true;
}

/* WAIT is the one that looks at CR0.MP: SDM Vol 3A 2.5. */
static bool exec_fwait(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if ((v->state.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        return raise_fault(v, VEC_NM);
    return x87_wait(v);
}

/* clang-format off */
const struct insn_def isa_x87_control[] = {
    {"fninit", "db e3", "", exec_fninit, X87, .feature = F_FPU},
    {"fnclex", "db e2", "", exec_fnclex, X87, .feature = F_FPU},
    {"fneni", "db e0", "", exec_ignored, X87, .feature = F_FPU},
    {"fndisi", "db e1", "", exec_ignored, X87, .feature = F_FPU},
    {"fnsetpm", "db e4", "", exec_ignored, X87, .feature = F_FPU},
    {"fldcw", "d9 /5", "Mw", exec_fldcw, X87 | X87_WAIT, .feature = F_FPU, .stamp = stamp_fldcw},
    {"fnstcw", "d9 /7", "=Mw", exec_fnstcw, X87, .feature = F_FPU, .stamp = stamp_fnstcw},
    {"fnstsw", "dd /7", "=Mw", exec_fnstsw, X87, .feature = F_FPU, .stamp = stamp_fnstsw},
    {"fnstsw", "df e0", "=AX", exec_fnstsw, X87, .feature = F_FPU, .stamp = stamp_fnstsw_ax},
    {"fnstenv", "d9 /6", "M", exec_fnstenv, X87, .feature = F_FPU},
    {"fldenv", "d9 /4", "M", exec_fldenv, X87 | X87_WAIT, .feature = F_FPU},
    {"fnsave", "dd /6", "M", exec_fnsave, X87, .feature = F_FPU},
    {"frstor", "dd /4", "M", exec_frstor, X87 | X87_WAIT, .feature = F_FPU},
    {"ffree", "dd c0+i", "F", exec_ffree, X87 | X87_WAIT, .feature = F_FPU},
    {"ffreep", "df c0+i", "F", exec_ffreep, X87 | X87_WAIT, .feature = F_FPU},
    {"fincstp", "d9 f7", "", exec_fincstp, X87 | X87_WAIT, .feature = F_FPU},
    {"fdecstp", "d9 f6", "", exec_fdecstp, X87 | X87_WAIT, .feature = F_FPU},
    {"fnop", "d9 d0", "", exec_fnop, X87 | X87_WAIT, .feature = F_FPU},
    {"fwait", "9b", "", exec_fwait, 0, .feature = F_FPU, .stamp = stamp_fwait},
    {0},
};
/* clang-format on */
