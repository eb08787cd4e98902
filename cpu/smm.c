/* SPDX-License-Identifier: MIT */
/*
 * Entry to system-management mode and RSM. SDM Vol 3C chapter 32; the save area of CPUs with long
 * mode is AMD's (APM Vol 2 table 10-1), as firmware written for virtual machines expects, that of
 * others the 32-bit one (SDM Vol 3C table 32-1). Left out: I/O instruction restart, dual-monitor
 * treatment.
 */
#include "cpu/control.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/system.h"
#include "cpu/transfer.h"
#include "cpu/virt.h"

enum {
    AREA = 0xfe00, /* offset of the save area from SMBASE */
    AREA_SIZE = 0x200,
    REVISION = 0xfefc,
    ENTRY = 0x8000,
    /* what differs between the two layouts */
    SMBASE_64 = 0xff00,
    SMBASE_32 = 0xfef8,
    AUTO_HALT_64 = 0xfec9,
    AUTO_HALT_32 = 0xff02,
    NMI_MASK_64 = 0xfeca,
    NMI_MASK_32 = 0xff06,
};

enum { REVISION_64 = 0x20064, REVISION_32 = 0x20000 }; /* bit 17: SMBASE may be changed */

#define FIELD(member) (u16) offsetof(struct cpu_state, member)

struct field {
    u16 at; /* offset from SMBASE */
    u16 offset; /* in struct cpu_state */
    u8 size;
};

/* clang-format off */
static const struct field fields_64[] = {
    {0xfed0, FIELD(efer), 8},
    {0xff48, FIELD(cr4), 8}, {0xff50, FIELD(cr3), 8}, {0xff58, FIELD(cr0), 8},
    {0xff60, FIELD(dr[7]), 8}, {0xff68, FIELD(dr[6]), 8}, {0xff70, FIELD(rflags), 8},
    {0xff78, FIELD(reg[REG_RIP]), 8}, {0xff80, FIELD(reg[REG_R15]), 8},
    {0xff88, FIELD(reg[REG_R14]), 8}, {0xff90, FIELD(reg[REG_R13]), 8},
    {0xff98, FIELD(reg[REG_R12]), 8}, {0xffa0, FIELD(reg[REG_R11]), 8},
    {0xffa8, FIELD(reg[REG_R10]), 8}, {0xffb0, FIELD(reg[REG_R9]), 8},
    {0xffb8, FIELD(reg[REG_R8]), 8}, {0xffc0, FIELD(reg[REG_RDI]), 8},
    {0xffc8, FIELD(reg[REG_RSI]), 8}, {0xffd0, FIELD(reg[REG_RBP]), 8},
    {0xffd8, FIELD(reg[REG_RSP]), 8}, {0xffe0, FIELD(reg[REG_RBX]), 8},
    {0xffe8, FIELD(reg[REG_RDX]), 8}, {0xfff0, FIELD(reg[REG_RCX]), 8},
    {0xfff8, FIELD(reg[REG_RAX]), 8},
    {0xfe64, FIELD(gdtr.limit), 2}, {0xfe68, FIELD(gdtr.base), 8},
    {0xfe84, FIELD(idtr.limit), 2}, {0xfe88, FIELD(idtr.base), 8},
};
static const struct field fields_32[] = {
    {0xffd0, FIELD(reg[REG_RAX]), 4}, {0xffd4, FIELD(reg[REG_RCX]), 4},
    {0xffd8, FIELD(reg[REG_RDX]), 4}, {0xffdc, FIELD(reg[REG_RBX]), 4},
    {0xffe0, FIELD(reg[REG_RSP]), 4}, {0xffe4, FIELD(reg[REG_RBP]), 4},
    {0xffe8, FIELD(reg[REG_RSI]), 4}, {0xffec, FIELD(reg[REG_RDI]), 4},
    {0xfff0, FIELD(reg[REG_RIP]), 4}, {0xfff4, FIELD(rflags), 4},
    {0xfff8, FIELD(cr3), 4}, {0xfffc, FIELD(cr0), 4}, {0xff14, FIELD(cr4), 4},
    {0xffcc, FIELD(dr[6]), 4}, {0xffc8, FIELD(dr[7]), 4},
    {0xff74, FIELD(gdtr.base), 4}, {0xff70, FIELD(gdtr.limit), 2},
    {0xff58, FIELD(idtr.base), 4}, {0xff54, FIELD(idtr.limit), 2},
};

/* Where a segment register's parts are. */
struct segment_field {
    u16 selector, attr, limit, base;
};
static const struct segment_field segments_64[SEG_COUNT] = {
    [SEG_ES] = {0xfe00, 0xfe02, 0xfe04, 0xfe08}, [SEG_CS] = {0xfe10, 0xfe12, 0xfe14, 0xfe18},
    [SEG_SS] = {0xfe20, 0xfe22, 0xfe24, 0xfe28}, [SEG_DS] = {0xfe30, 0xfe32, 0xfe34, 0xfe38},
    [SEG_FS] = {0xfe40, 0xfe42, 0xfe44, 0xfe48}, [SEG_GS] = {0xfe50, 0xfe52, 0xfe54, 0xfe58},
    [SEG_LDTR] = {0xfe70, 0xfe72, 0xfe74, 0xfe78}, [SEG_TR] = {0xfe90, 0xfe92, 0xfe94, 0xfe98},
};
static const struct segment_field segments_32[SEG_COUNT] = {
    [SEG_ES] = {0xffa8, 0xff84, 0xff88, 0xff8c}, [SEG_CS] = {0xffac, 0xff90, 0xff94, 0xff98},
    [SEG_SS] = {0xffb0, 0xff9c, 0xffa0, 0xffa4}, [SEG_DS] = {0xffb4, 0xff2c, 0xff30, 0xff34},
    [SEG_FS] = {0xffb8, 0xff38, 0xff3c, 0xff40}, [SEG_GS] = {0xffbc, 0xff44, 0xff48, 0xff4c},
    [SEG_LDTR] = {0xffc0, 0xff78, 0xff7c, 0xff80}, [SEG_TR] = {0xffc4, 0xff5c, 0xff60, 0xff64},
};
/* clang-format on */

static u8 *area_at(u8 *area, u16 at)
{
    return area + (at - AREA);
}

static void save(struct vcpu *v, u8 *area, bool is_64)
{
    const struct field *fields = is_64 ? fields_64 : fields_32;
    const u32 count = is_64 ? ARRAY_SIZE(fields_64) : ARRAY_SIZE(fields_32);
    const struct segment_field *segments = is_64 ? segments_64 : segments_32;

    for (u32 i = 0; i < count; i++)
        memcpy(area_at(area, fields[i].at), (const u8 *)&v->state + fields[i].offset,
               fields[i].size);
    for (u32 i = 0; i < SEG_COUNT; i++) {
        const struct segment *s = &v->state.seg[i];

        store_le(area_at(area, segments[i].selector), s->selector, 2);
        store_le(area_at(area, segments[i].attr), segment_attr_pack(s->attr), 2);
        store_le(area_at(area, segments[i].limit), s->limit, 4);
        store_le(area_at(area, segments[i].base), s->base, is_64 ? 8 : 4);
    }
    store_le(area_at(area, REVISION), is_64 ? REVISION_64 : REVISION_32, 4);
    store_le(area_at(area, is_64 ? SMBASE_64 : SMBASE_32), v->state.smbase, 4);
    *area_at(area, is_64 ? AUTO_HALT_64 : AUTO_HALT_32) = v->state.activity == ACTIVITY_HLT ? 1 : 0;
    *area_at(area, is_64 ? NMI_MASK_64 : NMI_MASK_32) = v->state.nmi_blocked;
}

static void restore(struct vcpu *v, u8 *area, bool is_64)
{
    const struct field *fields = is_64 ? fields_64 : fields_32;
    const u32 count = is_64 ? ARRAY_SIZE(fields_64) : ARRAY_SIZE(fields_32);
    const struct segment_field *segments = is_64 ? segments_64 : segments_32;

    for (u32 i = 0; i < count; i++)
        memcpy((u8 *)&v->state + fields[i].offset, area_at(area, fields[i].at), fields[i].size);
    for (u32 i = 0; i < SEG_COUNT; i++) {
        v->state.seg[i] = (struct segment){
            .selector = (u16)load_le(area_at(area, segments[i].selector), 2),
            .attr = segment_attr_unpack(load_le(area_at(area, segments[i].attr), 2)),
            .limit = (u32)load_le(area_at(area, segments[i].limit), 4),
            .base = load_le(area_at(area, segments[i].base), is_64 ? 8 : 4),
        };
    }
    v->state.dr[6] = dr6_loaded(v->state.dr[6]);
    v->state.dr[7] = dr7_loaded(v->state.dr[7]);
    rflags_set(v, v->state.rflags & FLAGS_KNOWN);
    v->state.smbase = load_le(area_at(area, is_64 ? SMBASE_64 : SMBASE_32), 4);
    v->state.nmi_blocked = *area_at(area, is_64 ? NMI_MASK_64 : NMI_MASK_32) & 1;
}

/* SDM Vol 3C table 32-4. */
static void enter_mode(struct vcpu *v)
{
    enum { DATA = ATTR_G | ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED };
    struct cpu_state *s = &v->state;

    s->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    s->cr4 = 0;
    s->efer = 0;
    s->dr[7] = DR7_FIXED_1;
    rflags_set(v, FLAG_1);
    s->reg[REG_RIP] = ENTRY;
    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = (struct segment){.limit = ~(u32)0, .attr = DATA};
    s->seg[SEG_CS].selector = (u16)(s->smbase >> 4);
    s->seg[SEG_CS].base = s->smbase;
    s->in_smm = 1;
    s->nmi_blocked = 1;
    s->shadow = 0;
    s->pending_debug = 0;
}

void smm_enter(struct vcpu *v)
{
    const hpa_t at = {v->state.smbase + AREA};
    u8 area[AREA_SIZE];

    LOG(LOG_INT, "CPU %u: SMI", v->index);
    flags_commit(v);
    virt_smi(v);
    memory_smram_read(v->memory, at, area, sizeof(area));
    save(v, area, has_feature(v, F_LM));
    memory_smram_write(v->memory, at, area, sizeof(area));
    v->state.activity = ACTIVITY_ACTIVE;
    enter_mode(v);
    mode_update(v);
}

/* ---- what a save area must not ask for: else RSM shuts down ---- */

static bool cr0_pages_when_protected(const struct vcpu *v)
{
    return (v->state.cr0 & (CR0_PG | CR0_PE)) != CR0_PG;
}

static bool cr0_writes_through(const struct vcpu *v)
{
    return (v->state.cr0 & (CR0_NW | CR0_CD)) != CR0_NW;
}

static bool cr0_upper_clear(const struct vcpu *v)
{
    return v->state.cr0 >> 32 == 0;
}

static bool cr3_reachable(const struct vcpu *v)
{
    return (v->state.efer & EFER_LMA) == 0 || (v->state.cr3 & physical_reserved(v)) == 0;
}

static bool cr4_known_bits(const struct vcpu *v)
{
    return (v->state.cr4 & ~cr4_known(v)) == 0;
}

static bool cr4_without_vmxe(const struct vcpu *v)
{
    return (v->state.cr4 & CR4_VMXE) == 0;
}

static bool pcids_in_long_mode(const struct vcpu *v)
{
    return (v->state.cr4 & CR4_PCIDE) == 0 || (v->state.efer & EFER_LMA) != 0;
}

static bool efer_known_bits(const struct vcpu *v)
{
    return (v->state.efer & ~efer_known(v)) == 0;
}

/* Of a processor without long mode both are 0. */
static bool lma_follows(const struct vcpu *v)
{
    const bool enabled = (v->state.efer & EFER_LME) != 0 && (v->state.cr0 & CR0_PG) != 0;

    return ((v->state.efer & EFER_LMA) != 0) == enabled;
}

static bool long_mode_with_pae(const struct vcpu *v)
{
    return (v->state.efer & EFER_LMA) == 0 || (v->state.cr4 & CR4_PAE) != 0;
}

static bool cs_one_size(const struct vcpu *v)
{
    return (v->state.efer & EFER_LMA) == 0 ||
           (v->state.seg[SEG_CS].attr & (ATTR_L | ATTR_DB)) != (ATTR_L | ATTR_DB);
}

static bool rip_canonical(const struct vcpu *v)
{
    return canonical_storable(v, v->state.reg[REG_RIP]);
}

/* clang-format off */
static const struct rule {
    bool (*holds)(const struct vcpu *v);
    const char *text, *reference;
} rules[] = {
    {cr0_pages_when_protected, "CR0.PG needs CR0.PE", "SDM Vol 3C 32.3.2"},
    {cr0_writes_through, "CR0.NW needs CR0.CD", "SDM Vol 3C 32.3.2"},
    {cr0_upper_clear, "CR0 bits 63:32 are 0", "APM Vol 2 10.4"},
    {cr4_known_bits, "CR4 has no reserved bit", "SDM Vol 3C 32.3.2"},
    {cr4_without_vmxe, "CR4.VMXE is 0, and kept elsewhere", "SDM Vol 3C 32.14.2"},
    {efer_known_bits, "EFER has no reserved bit", "APM Vol 2 10.4"},
    {lma_follows, "EFER.LMA is EFER.LME and CR0.PG", "APM Vol 2 10.4"},
    {long_mode_with_pae, "long mode needs CR4.PAE", "APM Vol 2 10.4"},
    {pcids_in_long_mode, "CR4.PCIDE needs EFER.LMA", "SDM Vol 3C 32.3.2"},
    {cr3_reachable, "CR3 has no address bit beyond MAXPHYADDR in long mode", "APM Vol 2 10.4"},
    {cs_one_size, "CS.L and CS.D are not both 1 in long mode", "APM Vol 2 10.4"},
    {rip_canonical, "RIP is canonical", "APM Vol 2 10.4"},
};
/* clang-format on */

static bool area_is_valid(const struct vcpu *v)
{
    for (u32 i = 0; i < ARRAY_SIZE(rules); i++) {
        if (!rules[i].holds(v)) {
            LOG(LOG_INT, "CPU %u: RSM shuts down: %s (%s)", v->index, rules[i].text,
                rules[i].reference);
            return false;
        }
    }
    return true;
}

/* RSM refuses: what it has restored is not to be seen by anything. */
static void refuse(struct vcpu *v, const struct cpu_state *before)
{
    v->event.kind = EVENT_NONE;
    v->state = *before;
    v->state.in_smm = 0; /* as that would hold off INIT */
    flags_load(v, v->state.rflags);
    mode_update(v);
    event_shutdown(v);
}

bool smm_return(struct vcpu *v)
{
    const bool is_64 = has_feature(v, F_LM);
    const hpa_t at = {v->state.smbase + AREA};
    struct cpu_state before;
    u8 area[AREA_SIZE];
    u64 cr0;
    u64 cr4;
    u64 efer;

    if (v->state.in_smm == 0)
        return RAISE_UD(v);
    flags_commit(v);
    before = v->state;
    memory_smram_read(v->memory, at, area, sizeof(area));
    restore(v, area, is_64);
    v->state.in_smm = 0;
    v->attention = true;
    if (!area_is_valid(v)) {
        refuse(v, &before);
        return true;
    }
    v->next_rip = v->state.reg[REG_RIP];
    cr0 = v->state.cr0;
    cr4 = v->state.cr4;
    efer = v->state.efer;
    v->state.efer = efer & ~(EFER_LMA | EFER_LME); /* the checked writes rebuild what depends */
    v->state.cr0 = cr0 & ~CR0_PG;
    v->state.cr4 = 0;
    if (!cr4_write(v, cr4 & ~CR4_PCIDE) ||
        ((efer & EFER_LMA) == 0 &&
         !cr0_write(v, virt_rsm_reads_no_pdptes(v) ? cr0 & ~CR0_PG : cr0))) {
        refuse(v, &before);
        return true;
    }
    v->state.efer = efer;
    v->state.cr0 = (cr0 & CR0_KNOWN) | CR0_ET;
    v->state.cr4 = cr4;
    virt_rsm(v);
    if (*area_at(area, is_64 ? AUTO_HALT_64 : AUTO_HALT_32) != 0)
        v->state.activity = ACTIVITY_HLT;
    mode_update(v);
    return true;
}
