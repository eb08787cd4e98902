/* SPDX-License-Identifier: MIT */
/*
 * VMX instructions, SDM Vol 3C chapter 31, by mnemonic. They load their operands themselves,
 * because in a guest they exit before any operand is looked at.
 */
#include "cpu/control.h"
#include "cpu/engine.h"
#include "cpu/isa/isa.h"
#include "cpu/mem.h"
#include "cpu/vmx/fields.h"
#include "cpu/vmx/insn.h"
#include "cpu/vmx/insn_info.h"
#include "cpu/vmx/internal.h"

/* ---- results ---- */

void vmx_succeed(struct vcpu *v)
{
    flags_write(v, FLAGS_ARITH, 0);
}

static void fail_invalid(struct vcpu *v)
{
    flags_write(v, FLAGS_ARITH, FLAG_CF);
}

/* VMfailInvalid, and what should hold. */
static void refuse(struct vcpu *v, const char *text)
{
    vmx_explain_text(v, "VMfailInvalid", text);
    fail_invalid(v);
}

void vmx_fail(struct vcpu *v, enum vm_instruction_error error)
{
    if (v->state.vmx.current == VMX_NO_POINTER) {
        fail_invalid(v);
        return;
    }
    v->state.vmx.vmcs.instruction_error = error;
    flags_write(v, FLAGS_ARITH, FLAG_ZF);
}

/* The same with a word to the user; value: what it is about, as vmx_explain_fail() says. */
static void fail(struct vcpu *v, enum vm_instruction_error error, u64 value)
{
    vmx_explain_fail(v, error, value);
    vmx_fail(v, error);
}

/* ---- what comes before everything ---- */

/* #UD where VMX instructions do not exist: real, virtual-8086 and compatibility mode. */
static bool mode_allows(struct vcpu *v)
{
    if ((v->mode & MODE_PROT) == 0 || (long_mode(v) && !mode64(v)))
        return RAISE_UD(v);
    return true;
}

/* In a guest: an exit with the operand in the instruction information. */
static bool exits(struct vcpu *v, const struct insn *in, enum exit_reason reason)
{
    struct guest_exit *x = vmx_exit_begin(v, reason);

    x->length = in->len;
    vmx_insn_info(v, in, x);
    return raise_exit(v);
}

/* All but VMXON: #UD outside VMX operation, exit in a guest, #GP(0) outside ring 0. */
static bool may_execute(struct vcpu *v, const struct insn *in, enum exit_reason reason)
{
    if (!mode_allows(v))
        return false;
    if (v->state.vmx.mode == VMX_OFF)
        return RAISE_UD(v);
    if (in_guest(v))
        return exits(v, in, reason);
    if (v->cpl != 0)
        return RAISE_GP0(v);
    return true;
}

/* ---- memory operands ---- */

static bool load_operand(struct vcpu *v, const struct insn *in, const struct operands *x, void *to,
                         u32 size)
{
    u64 la;

    return seg_linear(v, (enum seg)in->seg, x->offset, size, ACCESS_READ, &la) &&
           mem_load_bytes(v, la, to, size, segment_flag(in));
}

static bool store_operand(struct vcpu *v, const struct insn *in, const struct operands *x,
                          const void *from, u32 size)
{
    u64 la;

    return seg_linear(v, (enum seg)in->seg, x->offset, size, ACCESS_WRITE, &la) &&
           mem_store_bytes(v, la, from, size, segment_flag(in));
}

/* ---- entering and leaving VMX operation ---- */

/* What should hold for VMXON, if it does not; else NULL. */
static const char *vmxon_refused(const struct vcpu *v)
{
    const u64 enabled = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX;
    const struct cpu_state *s = &v->state;

    if (v->cpl != 0)
        return "CPL is 0.";
    if ((~s->cr0 & VMX_CR0_FIXED0) != 0)
        return "CR0 is as IA32_VMX_CR0_FIXED0 (486) gives: PE, NE and PG are 1.";
    if ((s->cr4 & ~vmx_cr4_fixed1(v)) != 0)
        return "CR4 is as IA32_VMX_CR4_FIXED1 (489) gives.";
    if (!memory_a20(v->memory))
        return "The processor is not in A20M mode.";
    if (s->in_smm != 0)
        return "The processor is not in system-management mode.";
    if ((s->feature_control & enabled) != enabled)
        return "IA32_FEATURE_CONTROL (3A) is locked (bit 0) and enables VMXON outside SMX (bit 2).";
    return NULL;
}

static bool exec_vmxon(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct vmx_state *vmx = &v->state.vmx;
    const char *refused;
    u64 pointer;

    if (!mode_allows(v))
        return false;
    if ((v->state.cr4 & CR4_VMXE) == 0)
        return RAISE_UD(v);
    if (in_guest(v))
        return exits(v, in, EXIT_VMXON);
    if (vmx->mode == VMX_ROOT) {
        if (v->cpl != 0)
            return RAISE_GP0(v);
        fail(v, ERROR_VMXON_IN_ROOT, vmx->vmxon_pointer);
        return true;
    }
    if ((refused = vmxon_refused(v)) != NULL) {
        vmx_explain_text(v, "#GP(0)", refused);
        return RAISE_GP0(v);
    }
    if (!load_operand(v, in, x, &pointer, 8))
        return false;
    if (!vmx_address_valid(v, pointer, PAGE_SIZE) || vmcs_revision(v, pointer) != VMCS_REVISION) {
        refuse(v, "The operand is the address of a page within the physical-address width that "
                  "begins with the revision identifier of IA32_VMX_BASIC (480).");
        return true;
    }
    memset(vmx, 0, sizeof(*vmx));
    vmx->vmxon_pointer = pointer;
    vmx->current = VMX_NO_POINTER;
    vmx->deadline = VMX_NO_POINTER;
    vmx->mode = VMX_ROOT;
    vmx_succeed(v);
    return true;
}

static bool exec_vmxoff(struct vcpu *v, const struct insn *in, struct operands *x)
{
    struct vmx_state *vmx = &v->state.vmx;

    (void)x;
    if (!may_execute(v, in, EXIT_VMXOFF))
        return false;
    vmcs_make_current(v, VMX_NO_POINTER);
    memset(vmx, 0, sizeof(*vmx));
    vmx_succeed(v);
    v->attention = true; /* INIT is no longer blocked */
    return true;
}

/* ---- VMCS pointers ---- */

static bool exec_vmptrld(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 pointer;
    u32 revision;

    if (!may_execute(v, in, EXIT_VMPTRLD) || !load_operand(v, in, x, &pointer, 8))
        return false;
    if (!vmx_address_valid(v, pointer, PAGE_SIZE)) {
        fail(v, ERROR_VMPTRLD_ADDRESS, pointer);
        return true;
    }
    if (pointer == v->state.vmx.vmxon_pointer) {
        fail(v, ERROR_VMPTRLD_VMXON_POINTER, pointer);
        return true;
    }
    revision = vmcs_revision(v, pointer);
    if ((revision & ~(u32)VMCS_SHADOW) != VMCS_REVISION ||
        ((revision & (u32)VMCS_SHADOW) != 0 &&
         (vmx_allowed1(v, CONTROLS_SECONDARY) & SECONDARY_VMCS_SHADOWING) == 0)) {
        fail(v, ERROR_VMPTRLD_REVISION, revision);
        return true;
    }
    vmcs_make_current(v, pointer);
    v->state.vmx.is_shadow = (revision & (u32)VMCS_SHADOW) != 0;
    vmx_succeed(v);
    return true;
}

static bool exec_vmptrst(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!may_execute(v, in, EXIT_VMPTRST) || !store_operand(v, in, x, &v->state.vmx.current, 8))
        return false;
    vmx_succeed(v);
    return true;
}

static bool exec_vmclear(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u16 clear = 0;
    u64 pointer;

    if (!may_execute(v, in, EXIT_VMCLEAR) || !load_operand(v, in, x, &pointer, 8))
        return false;
    if (!vmx_address_valid(v, pointer, PAGE_SIZE)) {
        fail(v, ERROR_VMCLEAR_ADDRESS, pointer);
        return true;
    }
    if (pointer == v->state.vmx.vmxon_pointer) {
        fail(v, ERROR_VMCLEAR_VMXON_POINTER, pointer);
        return true;
    }
    if (pointer == v->state.vmx.current)
        vmcs_make_current(v, VMX_NO_POINTER);
    memory_write(v->memory, (hpa_t){pointer + VMCS_REGION_DATA + offsetof(struct vmcs, launched)},
                 &clear, sizeof(clear));
    vmx_succeed(v);
    return true;
}

/* ---- VMREAD, VMWRITE ---- */

#define NO_CURRENT "There is a current VMCS: VMPTRLD makes one current."

/* In a guest: does the hypervisor let it at the shadow VMCS? SDM Vol 3C 25.6.15, 26.1.3. */
static bool is_shadowed(const struct vcpu *v, u64 encoding, u64 bitmap)
{
    u8 byte;

    if (!vmx_guest_has_secondary(v, SECONDARY_VMCS_SHADOWING) || encoding >> 15 != 0)
        return false;
    memory_read(v->memory, (hpa_t){bitmap + encoding / 8}, &byte, 1);
    return (byte >> encoding % 8 & 1) == 0;
}

/* What VMREAD and VMWRITE work on: the current VMCS, or in a guest the shadow VMCS, of which
 * `region` is the copy that is worked on. */
struct vmcs_access {
    u8 *base;
    const struct vmx_field *field;
    u64 shadow; /* its pointer, or VMX_NO_POINTER */
    struct vmcs region;
};

/* Checks that VMREAD and VMWRITE share. false: an event is raised. a->base NULL: failed. */
static bool begin_access(struct vcpu *v, const struct insn *in, bool write, struct vmcs_access *a)
{
    struct vmx_state *vmx = &v->state.vmx;
    const u64 encoding = reg_read(v, in->reg, mode64(v) ? 8 : 4);
    const bool shadowed =
        in_guest(v) &&
        is_shadowed(v, encoding, write ? vmx->vmcs.vmwrite_bitmap : vmx->vmcs.vmread_bitmap);

    a->base = NULL;
    a->shadow = VMX_NO_POINTER;
    if (!mode_allows(v))
        return false;
    if (!shadowed) {
        if (!may_execute(v, in, write ? EXIT_VMWRITE : EXIT_VMREAD))
            return false;
        if (vmx->current == VMX_NO_POINTER) {
            refuse(v, NO_CURRENT);
            return true;
        }
    } else {
        if (v->cpl != 0)
            return RAISE_GP0(v);
        if (vmx->vmcs.link_pointer == VMX_NO_POINTER) {
            refuse(v, "The VMCS link pointer is not all ones: it names the shadow VMCS.");
            return true;
        }
        a->shadow = vmx->vmcs.link_pointer;
        memory_read(v->memory, (hpa_t){a->shadow + VMCS_REGION_DATA}, &a->region,
                    sizeof(a->region));
    }
    a->field = vmx_field_find(v, encoding);
    a->base = shadowed ? (u8 *)&a->region : (u8 *)&vmx->vmcs;
    return true;
}

static u32 operand_width(const struct vcpu *v)
{
    return mode64(v) ? 8 : 4;
}

static bool exec_vmread(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 width = operand_width(v);
    struct vmcs_access a;
    u64 value;

    if (!begin_access(v, in, false, &a))
        return false;
    if (a.base == NULL)
        return true;
    if (a.field == NULL) {
        fail(v, ERROR_FIELD_UNSUPPORTED, reg_read(v, in->reg, width));
        return true;
    }
    value = vmx_field_read(a.base, a.field, reg_read(v, in->reg, width));
    if ((in->prefix & PREFIX_MEM) == 0)
        reg_write(v, in->rm, width, value);
    else if (!store_operand(v, in, x, &value, width))
        return false;
    vmx_succeed(v);
    return true;
}

/* All fields are writable: IA32_VMX_MISC bit 29. */
static bool exec_vmwrite(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 width = operand_width(v);
    struct vmcs_access a;
    u64 value = 0;

    if (!begin_access(v, in, true, &a))
        return false;
    if (a.base == NULL)
        return true;
    if ((in->prefix & PREFIX_MEM) == 0)
        value = reg_read(v, in->rm, width);
    else if (!load_operand(v, in, x, &value, width))
        return false;
    if (a.field == NULL) {
        fail(v, ERROR_FIELD_UNSUPPORTED, reg_read(v, in->reg, width));
        return true;
    }
    if (a.shadow == VMX_NO_POINTER)
        vmx_field_written(v, (u32)reg_read(v, in->reg, width), value);
    vmx_field_write(a.base, a.field, reg_read(v, in->reg, width), value);
    if (a.shadow != VMX_NO_POINTER)
        memory_write(v->memory, (hpa_t){a.shadow + VMCS_REGION_DATA}, &a.region, sizeof(a.region));
    vmx_succeed(v);
    return true;
}

/* ---- VMLAUNCH, VMRESUME, VMCALL, VMFUNC ---- */

static bool enter(struct vcpu *v, const struct insn *in, bool launch)
{
    const struct vmx_state *vmx = &v->state.vmx;

    if (!may_execute(v, in, launch ? EXIT_VMLAUNCH : EXIT_VMRESUME))
        return false;
    vcpu_commit_time(v);
    if (vmx->current == VMX_NO_POINTER)
        refuse(v, NO_CURRENT);
    else if (vmx->is_shadow)
        refuse(v, "The current VMCS is not a shadow VMCS.");
    else if ((v->shadow_now & SHADOW_MOV_SS) != 0)
        fail(v, ERROR_ENTRY_MOV_SS, 0);
    else if (launch && vmx->vmcs.launched != 0)
        fail(v, ERROR_VMLAUNCH_NOT_CLEAR, vmx->current);
    else if (!launch && vmx->vmcs.launched != 1)
        fail(v, ERROR_VMRESUME_NOT_LAUNCHED, vmx->current);
    else
        vmx_enter(v, launch);
    return true;
}

static bool exec_vmlaunch(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return enter(v, in, true);
}

static bool exec_vmresume(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    return enter(v, in, false);
}

/* There is no dual-monitor treatment of SMM. It has no mode check of its own in a guest. */
static bool exec_vmcall(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    if (v->state.vmx.mode == VMX_OFF)
        return RAISE_UD(v);
    if (in_guest(v))
        return exits(v, in, EXIT_VMCALL);
    if (!mode_allows(v))
        return false;
    if (v->cpl != 0)
        return RAISE_GP0(v);
    fail(v, ERROR_VMCALL_IN_ROOT, 0);
    return true;
}

/* VM functions, SDM Vol 3C 26.5.6: EPTP switching is the only one. */
static bool exec_vmfunc(struct vcpu *v, const struct insn *in, struct operands *x)
{
    enum { EPTP_SWITCHING = 0, EPTP_ENTRIES = 512 };
    struct vmcs *c = &v->state.vmx.vmcs;
    const u32 function = (u32)v->state.reg[REG_RAX];
    const u32 index = (u32)v->state.reg[REG_RCX];
    u64 eptp;

    (void)x;
    if (!vmx_guest_has_secondary(v, SECONDARY_VM_FUNCTIONS) || function > 63)
        return RAISE_UD(v);
    if (function != EPTP_SWITCHING || (c->vm_function_controls & VM_FUNCTION_EPTP_SWITCHING) == 0 ||
        index >= EPTP_ENTRIES)
        return exits(v, in, EXIT_VMFUNC);
    memory_read(v->memory, (hpa_t){c->eptp_list_address + (u64)index * 8}, &eptp, 8);
    if (!vmx_eptp_valid(v, eptp))
        return exits(v, in, EXIT_VMFUNC);
    c->eptp = eptp;
    c->eptp_index = (u16)index;
    mode_update(v);
    return true;
}

/* ---- INVEPT, INVVPID ---- */

/* Under strict coherence nothing is stale; the lazy engine hears of it. */
static void invalidate(struct vcpu *v)
{
    mmu_invalidate_second(v->mmu);
    vcpu_tlb_refresh(v);
}

static bool exec_invept(struct vcpu *v, const struct insn *in, struct operands *x)
{
    enum { SINGLE = 1, GLOBAL = 2 };
    u64 type;
    u64 descriptor[2];

    if (!may_execute(v, in, EXIT_INVEPT))
        return false;
    type = reg_read(v, in->reg, operand_width(v));
    if (type != SINGLE && type != GLOBAL) {
        fail(v, ERROR_INVALIDATION_OPERAND, type);
        return true;
    }
    if (!load_operand(v, in, x, descriptor, sizeof(descriptor)))
        return false;
    if (type == SINGLE && !vmx_eptp_valid(v, descriptor[0])) {
        fail(v, ERROR_INVALIDATION_OPERAND, descriptor[0]);
        return true;
    }
    invalidate(v);
    vmx_succeed(v);
    return true;
}

static bool exec_invvpid(struct vcpu *v, const struct insn *in, struct operands *x)
{
    enum { ADDRESS = 0, SINGLE = 1, ALL = 2, KEEP_GLOBALS = 3 };
    u64 type;
    u64 descriptor[2]; /* VPID, linear address */

    if (!may_execute(v, in, EXIT_INVVPID))
        return false;
    type = reg_read(v, in->reg, operand_width(v));
    if (type > KEEP_GLOBALS) {
        fail(v, ERROR_INVALIDATION_OPERAND, type);
        return true;
    }
    if (!load_operand(v, in, x, descriptor, sizeof(descriptor)))
        return false;
    if (descriptor[0] >> 16 != 0 || (type != ALL && descriptor[0] == 0)) {
        fail(v, ERROR_INVALIDATION_OPERAND, descriptor[0]);
        return true;
    }
    if (type == ADDRESS && !canonical(v, descriptor[1])) {
        fail(v, ERROR_INVALIDATION_OPERAND, descriptor[1]);
        return true;
    }
    invalidate(v);
    vmx_succeed(v);
    return true;
}

/* clang-format off */
#define VMX_INSN(attributes) (attributes), .flags_written = FLAGS_ARITH, .feature = F_VMX

const struct insn_def isa_vmx[] = {
    {"vmcall", "np 0f 01 c1", "", exec_vmcall, VMX_INSN(ENDS_BLOCK | IO)},
    {"vmlaunch", "np 0f 01 c2", "", exec_vmlaunch, VMX_INSN(BRANCH | ENDS_BLOCK | IO)},
    {"vmresume", "np 0f 01 c3", "", exec_vmresume, VMX_INSN(BRANCH | ENDS_BLOCK | IO)},
    {"vmxoff", "np 0f 01 c4", "", exec_vmxoff, VMX_INSN(ENDS_BLOCK | IO)},
    {"vmfunc", "np 0f 01 d4", "", exec_vmfunc, ENDS_BLOCK | IO, .feature = F_VMX},
    {"vmptrld", "np 0f c7 /6", "M", exec_vmptrld, VMX_INSN(ENDS_BLOCK)},
    {"vmclear", "66 0f c7 /6", "M", exec_vmclear, VMX_INSN(ENDS_BLOCK)},
    {"vmxon", "f3 0f c7 /6", "M", exec_vmxon, VMX_INSN(ENDS_BLOCK)},
    {"vmptrst", "np 0f c7 /7", "M", exec_vmptrst, VMX_INSN(0)},
    {"vmread", "np 0f 78 /r", "", exec_vmread, VMX_INSN(0)},
    {"vmwrite", "np 0f 79 /r", "", exec_vmwrite, VMX_INSN(0)},
    {"invept", "66 0f 38 80 /r", "Gy,M", exec_invept, VMX_INSN(FORCE64 | ENDS_BLOCK)},
    {"invvpid", "66 0f 38 81 /r", "Gy,M", exec_invvpid, VMX_INSN(FORCE64 | ENDS_BLOCK)},
    {0},
};
/* clang-format on */
