/* SPDX-License-Identifier: MIT */
/* Creation, reset and event raising of a virtual CPU. SDM Vol 3A table 9-1 (reset state). */
#include "cpu/vcpu.h"

#include "base/check.h"
#include "cpu/engine.h"
#include "cpu/event.h"
#include "cpu/svm/svm.h"
#include "cpu/system.h"

#include <stdlib.h>

void event_fault(struct vcpu *v, enum vector vector)
{
    v->event = (struct event){.kind = EVENT_EXCEPTION, .vector = (u8)vector};
}

void event_error(struct vcpu *v, enum vector vector, u32 error)
{
    v->event = (struct event){.kind = EVENT_EXCEPTION,
                              .vector = (u8)vector,
                              .has_error = 1,
                              .error_code = error};
}

void event_page_fault(struct vcpu *v, u64 va, u32 error)
{
    v->event = (struct event){
        .kind = EVENT_EXCEPTION, .vector = VEC_PF, .has_error = 1, .error_code = error, .cr2 = va};
}

struct vcpu *vcpu_create(struct memory *memory, struct code_cache *code,
                         const struct cpu_wires *wires)
{
    const size_t size = align_up(sizeof(struct vcpu), PAGE_SIZE);
    struct vcpu *v = aligned_alloc(PAGE_SIZE, size);

    CHECK(v != NULL);
    memset(v, 0, size);
    v->code = code;
    v->wires = *wires;
    v->scratch = calloc(1, sizeof(struct block) + (BLOCK_MAX + 1) * sizeof(struct insn));
    CHECK(v->scratch != NULL);
    v->memory = memory;
    vcpu_set_phys_bits(v, 40);
    return v;
}

void vcpu_set_phys_bits(struct vcpu *v, u32 bits)
{
    if (v->mmu != NULL)
        mmu_destroy(v->mmu);
    v->phys_bits = bits;
    v->mmu = mmu_create(v->memory, bits);
    CHECK(v->mmu != NULL);
    vcpu_tlb_refresh(v);
}

void vcpu_destroy(struct vcpu *v)
{
    if (v == NULL)
        return;
    mmu_destroy(v->mmu);
    free(v->scratch);
    free(v);
}

static void reset_segment(struct segment *seg, u16 selector, u64 base, u32 attr)
{
    *seg = (struct segment){.selector = selector, .base = base, .limit = 0xffff, .attr = attr};
}

/* What INIT leaves alone: SDM Vol 3A table 9-1 and its notes. */
static void keep_over_init(struct cpu_state *to, const struct cpu_state *from)
{
    memcpy(to->ymm, from->ymm, sizeof(to->ymm));
    to->fpu = from->fpu;
    to->mxcsr = from->mxcsr;
    to->xcr0 = from->xcr0;
    to->xss = from->xss;
    to->cr0 |= from->cr0 & (BIT(29) | BIT(30)); /* NW, CD */
    to->tsc_offset = from->tsc_offset;
    to->tsc_adjust = from->tsc_adjust;
    to->pat = from->pat;
    to->misc_enable = from->misc_enable;
    to->feature_control = from->feature_control;
    to->smbase = from->smbase;
    memcpy(to->amd, from->amd, sizeof(to->amd));
    to->svm.vm_cr = from->svm.vm_cr;
    if ((to->svm.vm_cr & VM_CR_LOCK) == 0) /* APM Vol 2 15.30.1 */
        to->svm.vm_cr &= ~VM_CR_SVMDIS;
    to->svm.key = from->svm.key;
    to->svm.ignne = from->svm.ignne;
    to->svm.hsave_pa = from->svm.hsave_pa;
    to->svm.tsc_ratio = from->svm.tsc_ratio;
    to->tsc_aux = from->tsc_aux;
    to->mtrr_def_type = from->mtrr_def_type;
    memcpy(to->mtrr_fixed, from->mtrr_fixed, sizeof(to->mtrr_fixed));
    memcpy(to->mtrr_base, from->mtrr_base, sizeof(to->mtrr_base));
    memcpy(to->mtrr_mask, from->mtrr_mask, sizeof(to->mtrr_mask));
    to->mcg_status = from->mcg_status;
    to->mcg_ctl = from->mcg_ctl;
    memcpy(to->mc_ctl, from->mc_ctl, sizeof(to->mc_ctl));
    memcpy(to->mc_status, from->mc_status, sizeof(to->mc_status));
    memcpy(to->mc_addr, from->mc_addr, sizeof(to->mc_addr));
    memcpy(to->mc_misc, from->mc_misc, sizeof(to->mc_misc));
}

void vcpu_reset(struct vcpu *v, bool init)
{
    const struct cpu_state old = v->state;
    struct cpu_state *s = &v->state;

    memset(s, 0, sizeof(*s));
    s->reg[REG_RIP] = 0xfff0;
    s->reg[REG_RDX] = v->signature;
    s->rflags = FLAG_1;
    s->count = old.count;
    s->intr = old.intr;
    memcpy(s->random, old.random, sizeof(s->random));
    s->ucode_rev = old.ucode_rev;
    s->cr0 = BIT(4) | (init ? 0 : BIT(29) | BIT(30));
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        reset_segment(&s->seg[seg], 0, 0, ATTR_P | ATTR_S | ATTR_WRITABLE | ATTR_ACCESSED);
    reset_segment(&s->seg[SEG_CS], 0xf000, 0xffff0000,
                  ATTR_P | ATTR_S | ATTR_CODE | ATTR_WRITABLE | ATTR_ACCESSED);
    reset_segment(&s->seg[SEG_LDTR], 0, 0, ATTR_P | 2);
    reset_segment(&s->seg[SEG_TR], 0, 0, ATTR_P | 11);
    s->gdtr.limit = 0xffff;
    s->idtr.limit = 0xffff;
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->xcr0 = 1;
    s->fpu.fcw = 0x40;
    s->fpu.ftw = 0xff; /* reset: all valid, zero; SDM Vol 3A table 9-1 gives FTW 5555H */
    s->mxcsr = 0x1f80;
    s->pat = 0x0007040600070406;
    s->misc_enable = 1;
    s->smbase = 0x30000;
    s->feature_control = v->feature_control_at_reset;
    msr_reset(v);
    if (v->index != 0)
        s->activity = ACTIVITY_WAIT_SIPI;
    v->vmx_valid = 0;
    if (init)
        keep_over_init(s, &old);
    flags_load(v, s->rflags);
    mode_update(v);
}

void vcpu_drop_caches(struct vcpu *v)
{
    mmu_drop(v->mmu);
    code_cache_flush(v->code);
    flags_commit(v);
    flags_load(v, v->state.rflags);
    v->mode = ~0u;
    v->vmx_valid = 0;
    mode_update(v);
}
