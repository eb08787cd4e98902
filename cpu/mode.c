/* SPDX-License-Identifier: MIT */
/*
 * What the control registers and segment registers mean, computed where they change: the mode word
 * that keys code blocks, the CPL, the MMU's role. Nobody below looks at a control register. SDM Vol
 * 3A 2.2 (modes), 4.1.1 (paging modes), 5.5 (CPL).
 */
#include "cpu/control.h"
#include "cpu/mem.h"
#include "cpu/virt.h"

/* Segments whose accesses can fail no check: writable, upwards, the whole 4 GiB. */
static bool is_open(const struct segment *seg)
{
    enum { WANTED = ATTR_P | ATTR_S | ATTR_WRITABLE };
    enum { UNWANTED = ATTR_CODE | ATTR_EXPAND_DOWN | ATTR_UNUSABLE };

    return (seg->attr & (WANTED | UNWANTED)) == WANTED && seg->limit == ~(u32)0;
}

static u32 mode_units(const struct vcpu *v, bool avx_possible)
{
    const struct cpu_state *s = &v->state;
    const bool lazy = (s->cr0 & (CR0_EM | CR0_TS)) != 0;
    const bool avx = avx_possible && (s->cr0 & CR0_TS) == 0 && (s->cr4 & CR4_OSXSAVE) != 0 &&
                     (s->xcr0 & (XCR0_SSE | XCR0_AVX)) == (XCR0_SSE | XCR0_AVX);

    return (lazy ? MODE_NO_X87 | MODE_NO_MMX : 0u) |
           (lazy || (s->cr4 & CR4_OSFXSR) == 0 ? MODE_NO_SSE : 0u) | (avx ? 0u : MODE_NO_AVX);
}

static u32 mode_64(const struct vcpu *v)
{
    return MODE_CODE64 | MODE_PROT | MODE_FLAT_CS | MODE_FLAT_DATA | MODE_OPEN_ES | MODE_OPEN_SS |
           MODE_OPEN_DS | MODE_OPEN_FS | MODE_OPEN_GS | mode_units(v, true);
}

static u32 mode_segmented(const struct vcpu *v)
{
    static const u32 open[SEG_COUNT] = {
        [SEG_ES] = MODE_OPEN_ES, [SEG_SS] = MODE_OPEN_SS, [SEG_DS] = MODE_OPEN_DS,
        [SEG_FS] = MODE_OPEN_FS, [SEG_GS] = MODE_OPEN_GS,
    };
    enum { DATA = MODE_OPEN_ES | MODE_OPEN_SS | MODE_OPEN_DS };
    const struct cpu_state *s = &v->state;
    const struct segment *cs = &s->seg[SEG_CS];
    const bool v86 = (s->rflags & FLAG_VM) != 0;
    const bool protected = (s->cr0 & CR0_PE) != 0 && !v86;
    u32 mode = mode_units(v, protected);

    mode |= protected ? MODE_PROT : v86 ? MODE_V86 : 0u;
    mode |= (cs->attr & ATTR_DB) != 0 ? MODE_CODE32 : 0u;
    mode |= (s->seg[SEG_SS].attr & ATTR_DB) != 0 ? MODE_STACK32 : 0u;
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        mode |= is_open(&s->seg[seg]) ? open[seg] : 0u;
    if (cs->base == 0 && cs->limit == ~(u32)0)
        mode |= MODE_FLAT_CS;
    if ((mode & DATA) == DATA &&
        (s->seg[SEG_ES].base | s->seg[SEG_SS].base | s->seg[SEG_DS].base) == 0)
        mode |= MODE_FLAT_DATA;
    return mode;
}

static void update_bases(struct vcpu *v)
{
    const bool is_64 = mode64(v);

    for (enum seg seg = SEG_ES; seg <= SEG_DS; seg++)
        v->segbase[seg] = is_64 ? 0 : v->state.seg[seg].base;
    v->segbase[SEG_FS] = v->state.seg[SEG_FS].base;
    v->segbase[SEG_GS] = v->state.seg[SEG_GS].base;
    v->segbase[SEG_LDTR] = v->state.seg[SEG_LDTR].base;
    v->segbase[SEG_TR] = v->state.seg[SEG_TR].base;
}

/* With data breakpoints each instruction runs alone too, so that the trap comes right behind it. */
static void update_debug(struct vcpu *v)
{
    const u64 dr7 = v->state.dr[7];

    v->watching = false;
    v->stepping =
        (v->state.rflags & FLAG_TF) != 0 || (v->state.debugctl & DEBUGCTL_LBR) != 0 || vmx_steps(v);
    if (likely((dr7 & DR7_ENABLES) == 0))
        return;
    v->stepping = true;
    for (unsigned i = 0; i < 4; i++) {
        if ((dr7 >> (2 * i) & 3) != 0 && (dr7 >> (16 + 4 * i) & 3) != 0)
            v->watching = true;
    }
}

void mode_update_privilege(struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const bool ac = (s->rflags & FLAG_AC) != 0;
    u32 mode = v->mode & ~(u32)(MODE_CPL0 | MODE_ALIGN | MODE_GUEST);
    u8 cpl = (u8)(s->seg[SEG_SS].attr >> ATTR_DPL_SHIFT & 3);

    if ((s->cr0 & CR0_PE) == 0)
        cpl = 0;
    else if ((s->rflags & FLAG_VM) != 0)
        cpl = 3;
    update_debug(v);
    if (in_guest(v))
        mode |= MODE_GUEST;
    if (cpl == 0)
        mode |= MODE_CPL0;
    if (v->watching || (cpl == 3 && ac && (s->cr0 & CR0_AM) != 0))
        mode |= MODE_ALIGN;
    v->cpl = cpl;
    v->mode = mode;
    mmu_set_privilege(v->mmu, cpl == 3, ac);
    vcpu_tlb_refresh(v);
}

void mode_update_segments(struct vcpu *v)
{
    if ((v->state.efer & EFER_LMA) != 0 && (v->state.seg[SEG_CS].attr & ATTR_L) != 0) {
        v->mode = mode_64(v);
        v->la_mask = ~(u64)0;
    } else {
        v->mode = mode_segmented(v);
        v->la_mask = 0xffffffff;
    }
    update_bases(v);
    mode_update_privilege(v);
}

void mode_update_code(struct vcpu *v)
{
    if (mode64(v) && (v->state.seg[SEG_CS].attr & ATTR_L) != 0)
        mode_update_privilege(v);
    else
        mode_update_segments(v);
}

/* The registers that choose a paging mode. */
struct paging_registers {
    u64 cr0, cr4, efer;
};

static enum paging_format paging_format(const struct paging_registers *r)
{
    if ((r->cr0 & CR0_PG) == 0)
        return PAGING_NONE;
    if ((r->cr4 & CR4_PAE) == 0)
        return PAGING_32BIT;
    if ((r->efer & EFER_LMA) == 0)
        return PAGING_PAE;
    return (r->cr4 & CR4_LA57) != 0 ? PAGING_5LEVEL : PAGING_4LEVEL;
}

/* The only place that makes a role: mmu/role.h. */
static union mmu_role role_of(const struct vcpu *v, const struct paging_registers *r)
{
    static const u8 level[] = {[PAGING_NONE] = 0,
                               [PAGING_32BIT] = 2,
                               [PAGING_PAE] = 3,
                               [PAGING_4LEVEL] = 4,
                               [PAGING_5LEVEL] = 5};
    const enum paging_format format = paging_format(r);
    const bool is_long = (r->efer & EFER_LMA) != 0;
    union mmu_role role = {0};

    role.format = format;
    role.level = level[format] & 7u;
    if (format == PAGING_NONE)
        return role;
    role.has_4_byte_gpte = format == PAGING_32BIT;
    role.pse = format == PAGING_32BIT && (r->cr4 & CR4_PSE) != 0;
    role.wp = (r->cr0 & CR0_WP) != 0;
    role.nx = format != PAGING_32BIT && (r->efer & EFER_NXE) != 0;
    role.smep = (r->cr4 & CR4_SMEP) != 0;
    role.smap = (r->cr4 & CR4_SMAP) != 0;
    role.pke = (r->cr4 & CR4_PKE) != 0 && is_long;
    role.pks = (r->cr4 & CR4_PKS) != 0 && is_long;
    role.gbpages = has_feature(v, F_GBPAGES);
    role.bit8_reserved = v->amd && format >= PAGING_4LEVEL;
    return role;
}

static union mmu_role paging_role(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    union mmu_role role = role_of(v, &(struct paging_registers){s->cr0, s->cr4, s->efer});

    role.smm = s->in_smm != 0;
    role.guest_mode = in_guest(v);
    role.apic_access = vmx_guest_has_secondary(v, SECONDARY_APIC_ACCESSES);
    role.pdpt = role.format == PAGING_PAE && svm_nested_paging(v);
    return role;
}

union mmu_role mode_host_role(const struct vcpu *v)
{
    const struct svm_host *host = &v->state.svm.host;

    return role_of(v, &(struct paging_registers){host->cr0, host->cr4, host->efer});
}

static void update_paging(struct vcpu *v)
{
    const union mmu_role role = paging_role(v);
    const u64 cr3 = v->state.cr3 & ~physical_reserved(v);
    gpa_t root = {0};

    switch (role.format) {
    case PAGING_NONE: break;
    case PAGING_32BIT: root.v = cr3 & 0xfffff000; break;
    case PAGING_PAE: root.v = cr3 & 0xffffffe0; break;
    default: root.v = cr3 & ~PAGE_OFFSET_MASK; break;
    }
    virt_refresh(v);
    mmu_set_context(v->mmu, role, root,
                    role.format == PAGING_PAE && !role.pdpt ? v->state.pdpte : NULL);
    mmu_set_keys(v->mmu, v->state.pkru, (u32)v->state.pkrs);
}

void mode_update(struct vcpu *v)
{
    update_paging(v);
    mode_update_segments(v);
}
