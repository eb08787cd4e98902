/* SPDX-License-Identifier: MIT */
/*
 * APIC virtualization and virtual interrupts: SDM Vol 3C chapter 30. The virtual-APIC page is in
 * the hypervisor's memory; RVI and SVI are in the guest interrupt status of the VMCS.
 */
#include "cpu/vmx/apic.h"

#include "cpu/transfer.h"
#include "cpu/vmx/internal.h"

/* Offsets in the virtual-APIC page: those of the local APIC's registers. */
enum {
    VAPIC_ID = 0x020,
    VAPIC_VERSION = 0x030,
    VAPIC_TPR = 0x080,
    VAPIC_PPR = 0x0a0,
    VAPIC_EOI = 0x0b0,
    VAPIC_LDR = 0x0d0,
    VAPIC_DFR = 0x0e0,
    VAPIC_SVR = 0x0f0,
    VAPIC_ISR = 0x100,
    VAPIC_IRR = 0x200,
    VAPIC_ESR = 0x280,
    VAPIC_ICR = 0x300,
    VAPIC_ICR_HIGH = 0x310,
    VAPIC_LVT = 0x320,
    VAPIC_LVT_LAST = 0x370,
    VAPIC_TIMER_INITIAL = 0x380,
    VAPIC_TIMER_DIVIDE = 0x3e0,
    VAPIC_SELF_IPI = 0x3f0,
};

static struct vmcs *vmcs(struct vcpu *v)
{
    return &v->state.vmx.vmcs;
}

static u32 vapic_read(const struct vcpu *v, u32 offset)
{
    u32 value;

    memory_read(v->memory, (hpa_t){v->state.vmx.vmcs.virtual_apic_address + offset}, &value, 4);
    return value;
}

static void vapic_write(struct vcpu *v, u32 offset, u32 value)
{
    memory_write(v->memory, (hpa_t){vmcs(v)->virtual_apic_address + offset}, &value, 4);
}

/* ---- vectors in VIRR and VISR ---- */

static void vector_set(struct vcpu *v, u32 base, u32 vector, bool set)
{
    const u32 at = base + vector / 32 * 16;
    const u32 bit = 1u << vector % 32;
    const u32 old = vapic_read(v, at);

    vapic_write(v, at, set ? old | bit : old & ~bit);
}

static u32 vector_highest(struct vcpu *v, u32 base)
{
    for (u32 i = 8; i-- > 0;) {
        const u32 bits = vapic_read(v, base + 16 * i);

        if (bits != 0)
            return 32 * i + 31 - (u32)__builtin_clz(bits);
    }
    return 0;
}

static u32 rvi(const struct vmcs *c)
{
    return c->guest_interrupt_status & 0xff;
}

static u32 svi(const struct vmcs *c)
{
    return c->guest_interrupt_status >> 8;
}

static void set_status(struct vmcs *c, u32 requested, u32 in_service)
{
    c->guest_interrupt_status = (u16)(in_service << 8 | requested);
}

/* ---- virtualization of TPR, PPR, EOI: SDM Vol 3C 30.1.2 to 30.1.5, 30.2.1 ---- */

static bool delivers(const struct vcpu *v)
{
    return vmx_guest_has_secondary(v, SECONDARY_VIRTUAL_INTERRUPT);
}

static void virtualize_ppr(struct vcpu *v)
{
    const u32 tpr = vapic_read(v, VAPIC_TPR) & 0xff;
    const u32 in_service = svi(vmcs(v));

    vapic_write(v, VAPIC_PPR, tpr >> 4 >= in_service >> 4 ? tpr : in_service & 0xf0);
}

/* "Evaluation of Pending Virtual Interrupts" */
static void evaluate(struct vcpu *v)
{
    const bool recognised = (vmcs(v)->primary_controls & PRIMARY_INTERRUPT_WINDOW) == 0 &&
                            rvi(vmcs(v)) >> 4 > (vapic_read(v, VAPIC_PPR) & 0xff) >> 4;

    v->state.vmx.pending &= ~(u32)VMX_PENDING_VIRTUAL_INTR;
    if (recognised)
        v->state.vmx.pending |= VMX_PENDING_VIRTUAL_INTR;
    v->attention = true;
}

static void check_threshold(struct vcpu *v)
{
    if ((vapic_read(v, VAPIC_TPR) >> 4 & 15) < (vmcs(v)->tpr_threshold & 15)) {
        v->state.vmx.pending |= VMX_PENDING_TPR;
        v->attention = true;
    }
}

static void virtualize_tpr(struct vcpu *v)
{
    if (delivers(v)) {
        virtualize_ppr(v);
        evaluate(v);
    } else {
        check_threshold(v);
    }
}

static void virtualize_eoi(struct vcpu *v)
{
    const u32 vector = svi(vmcs(v));

    vector_set(v, VAPIC_ISR, vector, false);
    set_status(vmcs(v), rvi(vmcs(v)), vector_highest(v, VAPIC_ISR));
    virtualize_ppr(v);
    if ((vmcs(v)->eoi_exit_bitmap[vector / 64] >> vector % 64 & 1) != 0) {
        v->state.vmx.eoi_vector = (u8)vector;
        v->state.vmx.pending |= VMX_PENDING_EOI;
        v->attention = true;
    } else {
        evaluate(v);
    }
}

static void virtualize_self_ipi(struct vcpu *v, u32 vector)
{
    vector_set(v, VAPIC_IRR, vector, true);
    if (vector > rvi(vmcs(v)))
        set_status(vmcs(v), vector, svi(vmcs(v)));
    evaluate(v);
}

static void apic_write_exit(struct vcpu *v, u32 offset)
{
    v->state.vmx.apic_offset = (u16)offset;
    v->state.vmx.pending |= VMX_PENDING_APIC_WRITE;
    v->attention = true;
}

/* ---- CR8: SDM Vol 3C 30.3 ---- */

bool vmx_tpr_shadowed(const struct vcpu *v)
{
    return vmx_guest_has_primary(v, PRIMARY_TPR_SHADOW);
}

u64 vmx_cr8_read(const struct vcpu *v)
{
    return vapic_read(v, VAPIC_TPR) >> 4 & 15;
}

void vmx_cr8_write(struct vcpu *v, u64 value)
{
    vapic_write(v, VAPIC_TPR, (u32)value << 4 & 0xf0);
    virtualize_tpr(v);
}

/* ---- memory-mapped: SDM Vol 3C 30.4 ---- */

/* Registers of which reads come from the virtual-APIC page under APIC-register virtualization. */
static bool register_is_readable(u32 offset)
{
    switch (offset) {
    case VAPIC_ID:
    case VAPIC_VERSION:
    case VAPIC_TPR:
    case VAPIC_EOI:
    case VAPIC_LDR:
    case VAPIC_DFR:
    case VAPIC_SVR:
    case VAPIC_ESR:
    case VAPIC_ICR:
    case VAPIC_ICR_HIGH:
    case VAPIC_TIMER_INITIAL:
    case VAPIC_TIMER_DIVIDE: return true;
    default:
        return (offset >= VAPIC_ISR && offset < VAPIC_ESR) ||
               (offset >= VAPIC_LVT && offset <= VAPIC_LVT_LAST);
    }
}

static bool register_is_writable(u32 offset)
{
    return register_is_readable(offset) && offset != VAPIC_VERSION &&
           !(offset >= VAPIC_ISR && offset < VAPIC_ESR);
}

/* Is the access virtualized, or does it exit? */
static bool is_virtualized(const struct vcpu *v, u32 offset, u32 size, bool write)
{
    const u32 reg = offset & 0xff0;
    const bool registers = vmx_guest_has_secondary(v, SECONDARY_APIC_REGISTER);

    if (!vmx_tpr_shadowed(v) || size > 4 || (offset & 15) + size > 4)
        return false;
    if (reg == VAPIC_TPR)
        return true;
    if (!write)
        return registers && register_is_readable(reg);
    if (delivers(v) && (reg == VAPIC_EOI || reg == VAPIC_ICR))
        return true;
    return registers && register_is_writable(reg);
}

/* SDM Vol 3C table 28-6. */
bool vmx_apic_access(struct vcpu *v, u32 offset, u32 size, u32 access)
{
    enum { READ, WRITE, FETCH, DELIVERY };
    const bool write = (access & ACCESS_WRITE) != 0;
    const bool fetch = (access & ACCESS_FETCH) != 0;
    struct guest_exit *x;
    u64 type = fetch ? FETCH : write ? WRITE : READ;

    if (!fetch && is_virtualized(v, offset, size, write))
        return true;
    if ((v->vectoring.info & INFO_VALID) != 0)
        type = DELIVERY;
    x = vmx_exit_begin(v, EXIT_APIC_ACCESS);
    x->qualification = offset | type << 12;
    if (!fetch)
        x->length = vmx_access_length(v);
    return raise_exit(v);
}

static u64 page_read(void *ctx, u64 offset, u32 size)
{
    struct vcpu *v = ctx;

    return vapic_read(v, (u32)offset & 0xffc) >> (8 * (offset & 3)) & width_mask(size);
}

/* The ICR's self-IPI: shorthand self, fixed, edge, a legal vector. */
static bool is_self_ipi(u32 icr)
{
    return (icr & 0xfff4df00) == 0x00040000 && (icr >> 4 & 15) != 0;
}

/* APIC-write emulation: SDM Vol 3C 30.4.3.2. */
static void emulate_write(struct vcpu *v, u32 reg)
{
    const u32 value = vapic_read(v, reg);

    switch (reg) {
    case VAPIC_TPR:
        vapic_write(v, reg, value & 0xff);
        virtualize_tpr(v);
        break;
    case VAPIC_EOI:
        if (delivers(v)) {
            vapic_write(v, reg, 0);
            virtualize_eoi(v);
        } else {
            apic_write_exit(v, reg);
        }
        break;
    case VAPIC_ICR:
        if (delivers(v) && is_self_ipi(value))
            virtualize_self_ipi(v, value & 0xff);
        else
            apic_write_exit(v, reg);
        break;
    case VAPIC_ICR_HIGH: vapic_write(v, reg, value & 0xff000000); break;
    default: apic_write_exit(v, reg); break;
    }
}

static void page_write(void *ctx, u64 offset, u32 size, u64 value)
{
    struct vcpu *v = ctx;

    memory_write(v->memory, (hpa_t){vmcs(v)->virtual_apic_address + offset}, &value, size);
    emulate_write(v, (u32)offset & 0xff0);
}

const struct mmio_ops vmx_apic_page = {page_read, page_write};

/* ---- x2APIC MSRs: SDM Vol 3C 30.5 ---- */

enum vmx_msr vmx_x2apic_read(struct vcpu *v, u32 index, u64 *value)
{
    const u32 offset = (index & 0xff) << 4;

    if (!vmx_guest_has_secondary(v, SECONDARY_X2APIC) ||
        (offset != VAPIC_TPR && !vmx_guest_has_secondary(v, SECONDARY_APIC_REGISTER)))
        return VMX_MSR_NOT_MINE;
    memory_read(v->memory, (hpa_t){vmcs(v)->virtual_apic_address + offset}, value, 8);
    return VMX_MSR_DONE;
}

enum vmx_msr vmx_x2apic_write(struct vcpu *v, u32 index, u64 value)
{
    const u32 offset = (index & 0xff) << 4;
    const bool known =
        offset == VAPIC_TPR || ((offset == VAPIC_EOI || offset == VAPIC_SELF_IPI) && delivers(v));

    if (!vmx_guest_has_secondary(v, SECONDARY_X2APIC) || !known)
        return VMX_MSR_NOT_MINE;
    if (value >> 8 != 0 || (offset == VAPIC_EOI && value != 0))
        return VMX_MSR_FAULT;
    memory_write(v->memory, (hpa_t){vmcs(v)->virtual_apic_address + offset}, &value, 8);
    if (offset == VAPIC_TPR)
        virtualize_tpr(v);
    else if (offset == VAPIC_EOI)
        virtualize_eoi(v);
    else if ((value >> 4 & 15) != 0)
        virtualize_self_ipi(v, (u32)value);
    else
        apic_write_exit(v, offset);
    return VMX_MSR_DONE;
}

/* ---- virtual-interrupt delivery: SDM Vol 3C 30.2.2 ---- */

void vmx_virtual_interrupt(struct vcpu *v)
{
    const u32 vector = rvi(vmcs(v));

    v->state.vmx.pending &= ~(u32)VMX_PENDING_VIRTUAL_INTR;
    vector_set(v, VAPIC_ISR, vector, true);
    vapic_write(v, VAPIC_PPR, vector & 0xf0);
    vector_set(v, VAPIC_IRR, vector, false);
    set_status(vmcs(v), vector_highest(v, VAPIC_IRR), vector);
    v->state.activity = ACTIVITY_ACTIVE;
    event_deliver_interrupt(v, (u8)vector);
}

/* ---- posted interrupts: SDM Vol 3C 30.6 ---- */

/* False: the interrupt exits as any other. The vector has been acknowledged. */
bool vmx_posted_interrupt(struct vcpu *v, u8 vector)
{
    enum { NOTIFICATION = 32, OUTSTANDING = 1 }; /* byte of the control word, its bit 0 */
    const u64 at = vmcs(v)->posted_interrupt_descriptor;
    u32 requests[8];
    u32 highest = 0;
    u8 control;

    if ((vmcs(v)->pin_controls & PIN_POSTED_INTERRUPTS) == 0 ||
        vector != vmcs(v)->posted_interrupt_vector)
        return false;
    memory_read(v->memory, (hpa_t){at + NOTIFICATION}, &control, 1);
    control &= (u8)~OUTSTANDING;
    memory_write(v->memory, (hpa_t){at + NOTIFICATION}, &control, 1);
    if (v->wires.apic_eoi != NULL)
        v->wires.apic_eoi(v->wires.ctx);
    memory_read(v->memory, (hpa_t){at}, requests, sizeof(requests));
    for (u32 i = 0; i < 8; i++) {
        const u32 offset = VAPIC_IRR + 16 * i;

        if (requests[i] == 0)
            continue;
        vapic_write(v, offset, vapic_read(v, offset) | requests[i]);
        highest = 32 * i + 31 - (u32)__builtin_clz(requests[i]);
    }
    memset(requests, 0, sizeof(requests));
    memory_write(v->memory, (hpa_t){at}, requests, sizeof(requests));
    if (highest > rvi(vmcs(v)))
        set_status(vmcs(v), highest, svi(vmcs(v)));
    evaluate(v);
    return true;
}

/* ---- VM entry: SDM Vol 3C 27.3.2.5, 27.7.7 ---- */

void vmx_apic_enter(struct vcpu *v)
{
    const struct vmcs *c = vmcs(v);

    if (delivers(v)) {
        virtualize_ppr(v);
        evaluate(v);
    } else if ((c->primary_controls & PRIMARY_TPR_SHADOW) != 0 &&
               (vmx_secondary(c) & SECONDARY_APIC_ACCESSES) != 0) {
        check_threshold(v);
    }
}
