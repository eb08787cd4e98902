/* SPDX-License-Identifier: MIT */
/* The MSR areas of VM entries and exits: SDM Vol 3C 27.4, 28.4, 28.6. */
#include "cpu/system.h"
#include "cpu/vmx/internal.h"

struct msr_entry {
    u32 index, reserved;
    u64 value;
};

_Static_assert(sizeof(struct msr_entry) == 16, "SDM Vol 3C table 25-15");

enum { MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff, MSR_UCODE_TRIGGER = 0x79 };
enum { MSR_SMM_MONITOR_CTL = 0x9b, MSR_SMBASE = 0x9e, MSR_TSC = 0x10 };
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

static bool is_x2apic(u32 index)
{
    return index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST;
}

/* What should hold for this entry, if it does not; else NULL. */
static const char *load_refused(const struct msr_entry *e)
{
    if (e->reserved != 0)
        return "Bits 63:32 of an entry are 0.";
    if (e->index == MSR_FS_BASE || e->index == MSR_GS_BASE)
        return "IA32_FS_BASE and IA32_GS_BASE are not in the area: they have fields.";
    if (is_x2apic(e->index))
        return "MSRs of the local APIC (800 to 8FF) are not in the area.";
    if (e->index == MSR_SMM_MONITOR_CTL || e->index == MSR_UCODE_TRIGGER)
        return "IA32_SMM_MONITOR_CTL and IA32_BIOS_UPDT_TRIG are not in the area.";
    return NULL;
}

static const char *store_refused(const struct msr_entry *e)
{
    if (e->reserved != 0)
        return "Bits 63:32 of an entry are 0.";
    if (is_x2apic(e->index))
        return "MSRs of the local APIC (800 to 8FF) are not in the area.";
    if (e->index == MSR_SMBASE)
        return "IA32_SMBASE is not in the area.";
    return NULL;
}

/* false: the entry is refused, and the user has been told why. */
static bool load_one(struct vcpu *v, enum vmx_msr_area area, u32 number, const struct msr_entry *e)
{
    const char *refused = load_refused(e);

    if (refused == NULL && !msr_write(v, e->index, e->value))
        refused = "WRMSR of this value to this MSR at CPL 0 does not fault.";
    if (refused == NULL)
        return true;
    v->event.kind = EVENT_NONE;
    vmx_explain_msr(v, &(struct vmx_msr_refusal){area, number, e->index, e->value, refused});
    return false;
}

/* The TSC is the host's, not the guest's. */
static bool store_one(struct vcpu *v, enum vmx_msr_area area, u32 number, struct msr_entry *e)
{
    const char *refused = store_refused(e);

    if (refused == NULL && e->index == MSR_TSC)
        e->value = tsc_read(v);
    else if (refused == NULL && !msr_read(v, e->index, &e->value))
        refused = "RDMSR of this MSR at CPL 0 does not fault.";
    if (refused == NULL)
        return true;
    v->event.kind = EVENT_NONE;
    vmx_explain_msr(v, &(struct vmx_msr_refusal){area, number, e->index, e->value, refused});
    return false;
}

static bool too_many(struct vcpu *v, enum vmx_msr_area area, u32 i)
{
    if (i < VMX_MSR_LIST_MAX)
        return false;
    vmx_explain_msr(
        v, &(struct vmx_msr_refusal){area, i + 1, 0, 0,
                                     "There are at most 512 entries (IA32_VMX_MISC, 485)."});
    return true;
}

u32 vmx_msrs_load(struct vcpu *v, enum vmx_msr_area area, u64 address, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct msr_entry e;

        if (too_many(v, area, i))
            return i + 1;
        memory_read(v->memory, (hpa_t){address + i * sizeof(e)}, &e, sizeof(e));
        if (!load_one(v, area, i + 1, &e))
            return i + 1;
    }
    return 0;
}

u32 vmx_msrs_store(struct vcpu *v, enum vmx_msr_area area, u64 address, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const hpa_t at = {address + i * sizeof(struct msr_entry)};
        struct msr_entry e;

        if (too_many(v, area, i))
            return i + 1;
        memory_read(v->memory, at, &e, sizeof(e));
        if (!store_one(v, area, i + 1, &e))
            return i + 1;
        memory_write(v->memory, (hpa_t){at.v + 8}, &e.value, 8);
    }
    return 0;
}
