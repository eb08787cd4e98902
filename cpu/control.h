/* SPDX-License-Identifier: MIT */
/* Bits of the control and debug registers and of EFER, and helpers on addresses. SDM Vol 3A 2.5. */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/vcpu.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR0_KNOWN                                                                                  \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

#define CR3_KEEP BIT(63) /* MOV to CR3 with PCIDs: keep the translations; not stored */

#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define CR4_PKS BIT(24)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)
#define EFER_FFXSR BIT(14)
#define EFER_AIBRSE BIT(21) /* AMD's automatic IBRS: nothing to do for us */

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_PKRU BIT(9)

#define FEATURE_CONTROL_LOCKED BIT(0)
#define FEATURE_CONTROL_VMX BIT(2) /* outside SMX */

#define MISC_ENABLE_MONITOR BIT(18)
#define MISC_ENABLE_LIMIT_CPUID BIT(22)
#define MISC_ENABLE_XD_DISABLE BIT(34)

#define DEBUGCTL_LBR BIT(0)
#define DEBUGCTL_BTF BIT(1)

#define DR6_TRAPS BITS(3, 0)
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR6_BT BIT(15)
#define DR6_FIXED_1 ((u64)0xffff0ff0)
#define DR7_FIXED_1 BIT(10)
#define DR7_ENABLES BITS(7, 0)
#define DR7_GD BIT(13)
#define DR7_KNOWN ((u64)0xffff23ff)

/* What a debug register becomes when a value is loaded: SDM Vol 3B 18.2. */
static ALWAYS_INLINE u64 dr6_loaded(u64 value)
{
    return (value & (DR6_TRAPS | DR6_BD | DR6_BS | DR6_BT)) | DR6_FIXED_1;
}

static ALWAYS_INLINE u64 dr7_loaded(u64 value)
{
    return (value & DR7_KNOWN) | DR7_FIXED_1;
}

/* Is va canonical for linear addresses of `bits` (48 or 57) bits? */
static ALWAYS_INLINE bool canonical_for(u64 va, unsigned bits)
{
    return (u64)((i64)(va << (64 - bits)) >> (64 - bits)) == va;
}

/* In the paging mode in use: SDM Vol 1 3.3.7.1. */
static ALWAYS_INLINE bool canonical(const struct vcpu *v, u64 va)
{
    return canonical_for(va, (v->state.cr4 & CR4_LA57) != 0 ? 57 : 48);
}

/* For values that are stored and not used now (MSRs, descriptor table bases, INVPCID): all that the
 * processor could ever address, whatever CR4.LA57 says. SDM Vol 3A 4.5.2. */
static ALWAYS_INLINE bool canonical_storable(const struct vcpu *v, u64 va)
{
    return canonical_for(va, has_feature(v, F_LA57) ? 57 : 48);
}

/* Bits that the physical-address width leaves reserved, up to bit 63. */
static ALWAYS_INLINE u64 physical_reserved(const struct vcpu *v)
{
    return ~(u64)0 << v->phys_bits;
}

/* PDPTE registers, SDM Vol 3A 4.4.1: where CR3 says that they are, and what a present one may not
 * have set. */
static ALWAYS_INLINE gpa_t pdpte_address(u64 cr3, u32 i)
{
    return (gpa_t){(cr3 & 0xffffffe0) + 8 * i};
}

static ALWAYS_INLINE u64 pdpte_reserved(const struct vcpu *v)
{
    return physical_reserved(v) | BITS(2, 1) | BITS(8, 5);
}

static ALWAYS_INLINE bool pdpte_valid(const struct vcpu *v, u64 pdpte)
{
    return (pdpte & 1) == 0 || (pdpte & pdpte_reserved(v)) == 0;
}

/* May MOV store this in a control register now? If not, it is #GP(0). */
bool cr_valid(const struct vcpu *v, u32 number, u64 value);
/* CR4 bits that this CPU model has. */
u64 cr4_known(const struct vcpu *v);
/* EFER bits that this CPU has and may set now. */
u64 efer_known(const struct vcpu *v);
/* Are all memory types of an IA32_PAT value known ones? SDM Vol 3A 12.12.2. */
bool pat_valid(u64 pat);
/* The PDPTE registers that a CR3 would load. false: one is bad, or the second stage exits. SDM Vol
 * 3A 4.4.1. */
MUST_CHECK bool pdptes_read(struct vcpu *v, u64 cr3, u64 *to);
bool pae_paging(u64 cr0, u64 cr4, u64 efer);

#endif
