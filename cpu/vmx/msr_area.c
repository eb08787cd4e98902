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

static bool may_load(const struct msr_entry *e)
{
    return e->index != MSR_FS_BASE && e->index != MSR_GS_BASE && !is_x2apic(e->index) &&
           e->index != MSR_SMM_MONITOR_CTL && e->index != MSR_UCODE_TRIGGER && e->reserved == 0;
}

static bool may_store(const struct msr_entry *e)
{
    return !is_x2apic(e->index) && e->index != MSR_SMBASE && e->reserved == 0;
}

u32 vmx_msrs_load(struct vcpu *v, u64 address, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct msr_entry e;

        if (i >= VMX_MSR_LIST_MAX)
            return i + 1;
        memory_read(v->memory, (hpa_t){address + i * sizeof(e)}, &e, sizeof(e));
        if (!may_load(&e) || !msr_write(v, e.index, e.value)) {
            v->event.kind = EVENT_NONE;
            return i + 1;
        }
    }
    return 0;
}

u32 vmx_msrs_store(struct vcpu *v, u64 address, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const hpa_t at = {address + i * sizeof(struct msr_entry)};
        struct msr_entry e;
        bool done;

        if (i >= VMX_MSR_LIST_MAX)
            return i + 1;
        memory_read(v->memory, at, &e, sizeof(e));
        if (e.index == MSR_TSC) { /* the host's, not the guest's */
            e.value = tsc_read(v);
            done = true;
        } else {
            done = may_store(&e) && msr_read(v, e.index, &e.value);
        }
        if (!done || e.reserved != 0) {
            v->event.kind = EVENT_NONE;
            return i + 1;
        }
        memory_write(v->memory, (hpa_t){at.v + 8}, &e.value, 8);
    }
    return 0;
}
