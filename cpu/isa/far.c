/* SPDX-License-Identifier: MIT */
/*
 * Segment registers, far transfers, software interrupts, system calls, and the flags that belong to
 * the system: SDM Vol 2, by mnemonic; APM Vol 2 6.1 for AMD's SYSCALL.
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"
#include "cpu/transfer.h"

/* ---- segment registers ---- */

/* After MOV SS and POP SS nothing may come between them and the next instruction. SDM Vol 3A 6.8.3.
 */
static bool load_segment(struct vcpu *v, enum seg seg, u16 selector)
{
    if (!segment_load(v, seg, selector))
        return false;
    if (seg == SEG_SS)
        v->state.shadow |= SHADOW_MOV_SS;
    return true;
}

static bool exec_mov_from_seg(struct vcpu *v, const struct insn *in, struct operands *x)
{
    x->val[0] = v->state.seg[in->reg].selector;
    return true;
}

static bool exec_mov_to_seg(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return load_segment(v, (enum seg)in->reg, (u16)x->val[1]);
}

static bool push_segment(struct vcpu *v, const struct insn *in, enum seg seg)
{
    return stack_push(v, v->state.seg[seg].selector, in->width);
}

/* RSP moves only when the load has worked; POP SS counts in the old stack's size. */
static bool pop_segment(struct vcpu *v, const struct insn *in, enum seg seg)
{
    u64 old = v->state.reg[REG_RSP];
    u64 moved;
    u64 value;

    if (!stack_pop(v, &value, in->width))
        return false;
    moved = v->state.reg[REG_RSP];
    v->state.reg[REG_RSP] = old;
    if (!load_segment(v, seg, (u16)value))
        return false;
    v->state.reg[REG_RSP] = moved;
    return true;
}

#define SEGMENT_EXECS(name, seg)                                                                   \
    static bool exec_push_##name(struct vcpu *v, const struct insn *in, struct operands *x)        \
    {                                                                                              \
        (void)x;                                                                                   \
        return push_segment(v, in, seg);                                                           \
    }                                                                                              \
    static bool exec_pop_##name(struct vcpu *v, const struct insn *in, struct operands *x)         \
    {                                                                                              \
        (void)x;                                                                                   \
        return pop_segment(v, in, seg);                                                            \
    }                                                                                              \
    static bool exec_l##name(struct vcpu *v, const struct insn *in, struct operands *x)            \
    {                                                                                              \
        (void)in;                                                                                  \
        if (!segment_load(v, seg, x->sel))                                                         \
            return false;                                                                          \
        x->val[0] = x->val[1];                                                                     \
        return true;                                                                               \
    }
SEGMENT_EXECS(es, SEG_ES)
SEGMENT_EXECS(ss, SEG_SS)
SEGMENT_EXECS(ds, SEG_DS)
SEGMENT_EXECS(fs, SEG_FS)
SEGMENT_EXECS(gs, SEG_GS)

static bool exec_push_cs(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return push_segment(v, in, SEG_CS);
}

/* ---- far transfers ---- */

static bool exec_jmp_far(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return far_jump(v, x->sel, x->val[0], in->width);
}

static bool exec_call_far(struct vcpu *v, const struct insn *in, struct operands *x)
{
    return far_call(v, x->sel, x->val[0], in->width);
}

static bool exec_ret_far(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return far_return(v, in->width, (u16)in->imm);
}

static bool exec_iret(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return interrupt_return(v, in->width);
}

/* ---- software interrupts ---- */

static bool exec_int(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return event_software(v, (u8)in->imm, SOURCE_SOFT_INT);
}

static bool exec_int3(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return event_software(v, VEC_BP, SOURCE_INT3_INTO);
}

static bool exec_int1(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return event_software(v, VEC_DB, SOURCE_INT1);
}

static bool exec_into(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    return !flag_of(v) || event_software(v, VEC_OF, SOURCE_INT3_INTO);
}

static bool exec_bound(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const i64 index = (i64)sign_extend(x->val[0], in->width);

    if (index < (i64)x->vec[1].q[0] || index > (i64)x->vec[1].q[1])
        return raise_fault(v, VEC_BR);
    return true;
}

/* ---- system calls ---- */

/* Of a system call or its return: CS is flat, needs no descriptor, and has the privilege of SS. */
static void put_segments(struct vcpu *v, u16 cs, struct segment ss, bool is_64)
{
    const unsigned cpl = attr_dpl(ss.attr);

    v->state.seg[SEG_CS] = segment_flat_code((u16)((cs & 0xfffcu) | cpl), cpl, is_64);
    v->state.seg[SEG_SS] = ss;
    mode_update_code(v);
}

/* The stack of a system call. Its selector is taken as it is, although CPL is 0. */
static struct segment kernel_stack(u16 cs)
{
    return segment_flat_data((u16)(cs + 8), 0);
}

/* Intel: RPL 3 and a flat segment. AMD: of SS only the selector changes, and is taken as it is (APM
 * Vol 3 "SYSRET"); but in its DPL is the CPL. */
static struct segment sysret_stack(const struct vcpu *v, u16 selector)
{
    struct segment ss = v->state.seg[SEG_SS];

    if (!v->amd)
        return segment_flat_data(selector | 3u, 3);
    ss.selector = selector;
    ss.attr |= ATTR_DPL;
    return ss;
}

/* TF counts at the end of SYSCALL and SYSRET, not at their start. */
static void step_by_new_flags(struct vcpu *v)
{
    v->no_step = v->alone;
    if ((v->state.rflags & FLAG_TF) != 0) {
        v->state.pending_debug |= DR6_BS;
        v->attention = true;
    }
}

/* Long mode: the target is LSTAR, from compatibility mode (AMD) CSTAR. */
static void syscall_long(struct vcpu *v)
{
    const u64 rflags = rflags_get(v);
    const u64 target = mode64(v) ? v->state.lstar : v->state.cstar;
    const u16 cs = (u16)(v->state.star >> 32);

    v->state.reg[REG_RCX] = v->next_rip;
    v->state.reg[REG_R11] = rflags & ~(u64)FLAG_RF;
    rflags_set(v, rflags & ~(v->state.sfmask | FLAG_RF));
    put_segments(v, cs, kernel_stack(cs), true);
    v->next_rip = target;
}

static bool exec_syscall(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u16 cs = (u16)(v->state.star >> 32);

    (void)in;
    (void)x;
    if ((v->state.efer & EFER_SCE) == 0 || !protected_mode(v) || (!v->amd && !mode64(v)))
        return RAISE_UD(v);
    if (long_mode(v)) {
        syscall_long(v);
    } else {
        v->state.reg[REG_RCX] = v->next_rip;
        rflags_set(v, rflags_get(v) & ~(u64)(FLAG_VM | FLAG_IF | FLAG_RF));
        put_segments(v, cs, kernel_stack(cs), false);
        v->next_rip = v->state.star & 0xffffffff;
    }
    if ((v->state.rflags & FLAG_TF) == 0)
        v->no_step = v->alone;
    return true;
}

static bool exec_sysret(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u16 base = (u16)(v->state.star >> 48);
    const bool wide = in->width == 8;
    const u64 keep = FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_AC |
                     FLAG_VIF | FLAG_VIP | FLAG_ID;

    (void)x;
    if ((v->state.efer & EFER_SCE) == 0 || (!v->amd && !mode64(v)))
        return RAISE_UD(v);
    if (!protected_mode(v) || v->cpl != 0 ||
        (wide && !v->amd && !canonical(v, v->state.reg[REG_RCX])))
        return RAISE_GP0(v);
    if (mode64(v))
        rflags_set(v, v->state.reg[REG_R11] & keep);
    else
        rflags_set(v, rflags_get(v) | FLAG_IF);
    put_segments(v, (u16)(base + (wide ? 16 : 0)), sysret_stack(v, (u16)(base + 8)), wide);
    v->next_rip = wide ? v->state.reg[REG_RCX] : v->state.reg[REG_RCX] & 0xffffffff;
    step_by_new_flags(v);
    return true;
}

/* AMD has SYSENTER and SYSEXIT in legacy mode only: APM Vol 3 "SYSENTER". */
static bool exec_sysenter(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u16 cs = (u16)(v->state.sysenter_cs & 0xfffc);
    const bool wide = long_mode(v);

    (void)in;
    (void)x;
    if (v->amd && wide)
        return RAISE_UD(v);
    if ((v->state.cr0 & CR0_PE) == 0 || cs == 0)
        return RAISE_GP0(v);
    rflags_set(v, rflags_get(v) & ~(u64)(FLAG_VM | FLAG_IF | FLAG_RF));
    put_segments(v, cs, kernel_stack(cs), wide);
    v->state.reg[REG_RSP] = v->state.sysenter_esp & v->la_mask;
    v->next_rip = v->state.sysenter_eip & v->la_mask;
    return true;
}

static bool exec_sysexit(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u16 cs = (u16)(v->state.sysenter_cs & 0xfffc);
    const bool wide = in->width == 8;

    (void)x;
    if (v->amd && long_mode(v))
        return RAISE_UD(v);
    if ((v->state.cr0 & CR0_PE) == 0 || cs == 0 || v->cpl != 0 ||
        (wide && (!canonical(v, v->state.reg[REG_RCX]) || !canonical(v, v->state.reg[REG_RDX]))))
        return RAISE_GP0(v);
    put_segments(v, (u16)(cs + (wide ? 32 : 16)),
                 segment_flat_data((u16)(cs + (wide ? 40 : 24)) | 3u, 3), wide);
    v->state.reg[REG_RSP] = v->state.reg[REG_RCX] & v->la_mask;
    v->next_rip = v->state.reg[REG_RDX] & v->la_mask;
    return true;
}

/* ---- PUSHF, POPF, STI, CLI ---- */

static unsigned iopl(const struct vcpu *v)
{
    return (unsigned)(v->state.rflags & FLAG_IOPL) >> 12;
}

static bool in_v86(const struct vcpu *v)
{
    return (v->mode & MODE_V86) != 0;
}

static bool exec_pushf(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 image = rflags_get(v) & ~(u64)(FLAG_VM | FLAG_RF);

    (void)x;
    if (in_v86(v) && iopl(v) < 3) {
        if ((v->state.cr4 & CR4_VME) == 0 || in->width != 2)
            return RAISE_GP0(v);
        image = (image & ~(u64)FLAG_IF) | FLAG_IOPL; /* IF is VIF: SDM Vol 3A 21.3.3 */
        image |= (image & FLAG_VIF) != 0 ? FLAG_IF : 0u;
    }
    return stack_push(v, image, in->width);
}

/* The bits of RFLAGS that POPF may change here. */
static u64 popf_mask(const struct vcpu *v, u32 width)
{
    u64 mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

    if (width >= 4)
        mask |= FLAG_AC | FLAG_ID;
    if (v->cpl <= iopl(v))
        mask |= FLAG_IF;
    if (v->cpl == 0)
        mask |= FLAG_IOPL;
    return mask;
}

/* VME at IOPL < 3: IF goes to VIF. False: #GP. */
static bool popf_vme(const struct vcpu *v, u32 width, u64 *image, u64 *mask)
{
    if ((v->state.cr4 & CR4_VME) == 0 || width != 2 || (*image & FLAG_TF) != 0 ||
        ((*image & FLAG_IF) != 0 && (v->state.rflags & FLAG_VIP) != 0))
        return false;
    *mask |= FLAG_VIF;
    *image &= ~(u64)FLAG_VIF;
    *image |= (*image & FLAG_IF) != 0 ? FLAG_VIF : 0u;
    return true;
}

static bool exec_popf(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 mask = popf_mask(v, in->width);
    u64 image;

    (void)x;
    if (in_v86(v) && iopl(v) < 3 && ((v->state.cr4 & CR4_VME) == 0 || in->width != 2))
        return RAISE_GP0(v);
    if (!stack_peek(v, 0, in->width, &image))
        return false;
    if (in_v86(v) && iopl(v) < 3 && !popf_vme(v, in->width, &image, &mask))
        return RAISE_GP0(v);
    stack_adjust(v, in->width);
    rflags_set(v, (rflags_get(v) & ~mask & ~(u64)FLAG_RF) | (image & mask));
    mode_update_privilege(v);
    return true;
}

/* Whose interrupt flag STI and CLI work on here; 0: #GP. SDM Vol 2 "STI", table 4-19. */
static u64 interrupt_flag(const struct vcpu *v)
{
    if (v->cpl <= iopl(v) || (v->mode & (MODE_PROT | MODE_V86)) == 0)
        return FLAG_IF;
    if ((in_v86(v) && (v->state.cr4 & CR4_VME) != 0) ||
        (!in_v86(v) && v->cpl == 3 && (v->state.cr4 & CR4_PVI) != 0))
        return FLAG_VIF;
    return 0;
}

static bool exec_cli(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 flag = interrupt_flag(v);

    (void)in;
    (void)x;
    if (flag == 0)
        return RAISE_GP0(v);
    v->state.rflags &= ~flag;
    return true;
}

static bool exec_sti(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u64 flag = interrupt_flag(v);

    (void)in;
    (void)x;
    if (flag == 0 || (flag == FLAG_VIF && (v->state.rflags & FLAG_VIP) != 0))
        return RAISE_GP0(v);
    if (flag == FLAG_IF && (v->state.rflags & FLAG_IF) == 0) {
        v->state.shadow |= SHADOW_STI;
        v->attention = true;
    }
    v->state.rflags |= flag;
    return true;
}

STAMP_FN(run_cli)
{
    v->state.rflags &= ~(u64)FLAG_IF;
    NEXT(v, in);
}

static insn_run stamp_cli(const struct insn *in, u32 mode)
{
    (void)in;
    return (mode & MODE_CPL0) != 0 ? run_cli : NULL;
}

/* clang-format off */
#define FAR (BRANCH | ENDS_BLOCK | IO)
#define LOADS ENDS_BLOCK
#define LOADS_SS (ENDS_BLOCK | IO)

const struct insn_def isa_far[] = {
    {"mov", "8c /r", "=Ev,S", exec_mov_from_seg, WRITE_ALWAYS_16M},
    {"mov", "8e /r", "=S,Ew", exec_mov_to_seg, LOADS_SS},
    {"push", "06", "", exec_push_es, STACKOP | NO64},
    {"push", "0e", "", exec_push_cs, STACKOP | NO64},
    {"push", "16", "", exec_push_ss, STACKOP | NO64},
    {"push", "1e", "", exec_push_ds, STACKOP | NO64},
    {"push", "0f a0", "", exec_push_fs, STACKOP | DEF64},
    {"push", "0f a8", "", exec_push_gs, STACKOP | DEF64},
    {"pop", "07", "", exec_pop_es, STACKOP | NO64 | LOADS},
    {"pop", "17", "", exec_pop_ss, STACKOP | NO64 | LOADS_SS},
    {"pop", "1f", "", exec_pop_ds, STACKOP | NO64 | LOADS},
    {"pop", "0f a1", "", exec_pop_fs, STACKOP | DEF64 | LOADS},
    {"pop", "0f a9", "", exec_pop_gs, STACKOP | DEF64 | LOADS},
    {"les", "c4 /r", "=Gv,Mp", exec_les, NO64 | LOADS},
    {"lds", "c5 /r", "=Gv,Mp", exec_lds, NO64 | LOADS},
    {"lss", "0f b2 /r", "=Gv,Mp", exec_lss, LOADS | FAR_POINTER},
    {"lfs", "0f b4 /r", "=Gv,Mp", exec_lfs, LOADS | FAR_POINTER},
    {"lgs", "0f b5 /r", "=Gv,Mp", exec_lgs, LOADS | FAR_POINTER},
    {"ljmp", "ea", "Ap", exec_jmp_far, FAR | NO64},
    {"ljmp", "ff /5", "Mp", exec_jmp_far, FAR | FAR_POINTER},
    {"lcall", "9a", "Ap", exec_call_far, FAR | NO64 | STACKOP},
    {"lcall", "ff /3", "Mp", exec_call_far, FAR | STACKOP | FAR_POINTER},
    {"retf", "ca", "Iw", exec_ret_far, FAR | STACKOP},
    {"retf", "cb", "", exec_ret_far, FAR | STACKOP},
    {"iret", "cf", "", exec_iret, FAR | STACKOP, .flags_written = 0x7fd5, .intercept = INTERCEPT_IRET},
    {"int", "cd", "Ib", exec_int, FAR | STACKOP, .intercept = INTERCEPT_INT},
    {"int3", "cc", "", exec_int3, FAR | STACKOP},
    {"int1", "f1", "", exec_int1, FAR | STACKOP},
    {"into", "ce", "", exec_into, FAR | STACKOP | NO64, .flags_read = FLAG_OF},
    {"bound", "62 /r", "Gv,Ma", exec_bound, NO64},
    {"syscall", "0f 05", "", exec_syscall, BRANCH, .feature = F_SYSCALL},
    {"sysret", "0f 07", "", exec_sysret, FAR, .feature = F_SYSCALL, .flags_written = 0x7fd5},
    {"sysenter", "0f 34", "", exec_sysenter, BRANCH, .feature = F_SEP},
    {"sysexit", "0f 35", "", exec_sysexit, FAR, .feature = F_SEP},
    {"pushf", "9c", "", exec_pushf, STACKOP | DEF64, .flags_read = 0x7fd5, .intercept = INTERCEPT_PUSHF},
    {"popf", "9d", "", exec_popf, STACKOP | DEF64 | ENDS_BLOCK | IO, .flags_written = 0x7fd5, .intercept = INTERCEPT_POPF},
    {"cli", "fa", "", exec_cli, 0, .flags_written = FLAG_IF, .stamp = stamp_cli},
    {"sti", "fb", "", exec_sti, ENDS_BLOCK | IO, .flags_written = FLAG_IF},
    {0},
};
/* clang-format on */
