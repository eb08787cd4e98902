/* SPDX-License-Identifier: MIT */
/* #VMEXIT: APM Vol 2 15.6, in its order. */
#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/svm/exits.h"
#include "cpu/svm/internal.h"
#include "cpu/transfer.h"

struct guest_exit *svm_exit_begin(struct vcpu *v, u32 code)
{
    memset(&v->exit, 0, sizeof(v->exit));
    v->exit.reason = code;
    return &v->exit;
}

/* Where the VMCB's page is in RAM; NULL: it is something else, which memory_write() knows. */
static u8 *vmcb_ram(const struct vcpu *v)
{
    const u64 at = v->state.svm.vmcb;
    const struct slot *slot = memory_find(v->memory, (hpa_t){at}, false);

    return slot->kind == SLOT_RAM && memory_a20(v->memory) ? slot->host + (at - slot->base) : NULL;
}

static void store(struct vcpu *v, u8 *ram, u64 offset, const void *from, u64 size)
{
    if (ram != NULL)
        memory_store(v->memory, ram + offset, from, size);
    else
        memory_write(v->memory, (hpa_t){v->state.svm.vmcb + offset}, from, size);
}

/* Some members of the control area, from first to last. */
#define STORE_CONTROL(v, ram, first, last)                                                         \
    store(v, ram, offsetof(struct vmcb_control, first), &(v)->state.svm.control.first,             \
          offsetof(struct vmcb_control, last) + sizeof((v)->state.svm.control.last) -              \
              offsetof(struct vmcb_control, first))

/* ---- what the exit reports ---- */

/* The event that was being delivered: APM Vol 2 15.7.2. INT1, INT3 and INTO are exceptions. */
static u32 exit_int_info(const struct vectoring *vectoring)
{
    const u32 type = svm_event_type(vectoring->info);

    if (type != TYPE_PRIVILEGED_EXCEPTION && type != TYPE_SOFTWARE_EXCEPTION)
        return vectoring->info;
    return (vectoring->info & ~INFO_TYPE) | (u32)SVM_TYPE_EXCEPTION << 8;
}

/* As many bytes of the instruction as the guest could fetch: APM Vol 2 15.8.4. */
static void fetch_bytes(const struct vcpu *v, struct vmcb_control *c)
{
    const u64 rip = v->state.reg[REG_RIP];
    const u64 limit = mode64(v) ? ~(u64)0 : v->state.seg[SEG_CS].limit;
    const u32 wanted = limit - rip < VMCB_BYTES ? (u32)(limit - rip) + 1 : VMCB_BYTES;
    u32 count = 0;

    while (count < wanted) {
        const u64 at = (rip + count + v->segbase[SEG_CS]) & v->la_mask;
        const u64 in_page = PAGE_SIZE - (at & PAGE_OFFSET_MASK);
        const u32 size = in_page < wanted - count ? (u32)in_page : wanted - count;
        hpa_t hpa;

        if (!mmu_probe(v->mmu, at, &hpa) || memory_peek(v->memory, hpa, size) == NULL)
            break;
        memory_read(v->memory, hpa, c->bytes + count, size);
        count += size;
    }
    c->bytes_fetched = (u8)count;
}

static void record(struct vcpu *v, u8 *ram)
{
    struct vmcb_control *c = &v->state.svm.control;
    const struct guest_exit *x = &v->exit;

    c->exit_code = x->reason == (u32)SVM_EXIT_INVALID ? ~(u64)0 : x->reason;
    c->exit_info1 = x->qualification;
    c->exit_info2 = x->physical;
    c->exit_int_info = exit_int_info(&v->vectoring);
    c->exit_int_error = (c->exit_int_info & INFO_ERROR_VALID) != 0 ? v->vectoring.error_code : 0;
    c->event_inj &= ~INFO_VALID;
    /* A virtual NMI that has not arrived masks no other: APM Vol 2 15.21.10. */
    if ((c->vintr & VINTR_NMI_ENABLE) != 0 && (c->exit_int_info & INFO_VALID) != 0 &&
        svm_event_type(c->exit_int_info) == SVM_TYPE_NMI)
        c->vintr &= ~(u32)VINTR_NMI_MASK;
    c->next_rip = 0;
    if (x->length != 0 && has_feature(v, F_NRIP_SAVE))
        c->next_rip = (v->state.reg[REG_RIP] + x->length) & v->la_mask;
    c->bytes_fetched = 0;
    memset(c->bytes, 0, sizeof(c->bytes));
    if (x->bytes && has_feature(v, F_DECODE_ASSISTS))
        fetch_bytes(v, c);
    c->interrupt_state = (v->state.shadow != 0 ? STATE_SHADOW : 0u) |
                         ((v->state.rflags & FLAG_IF) != 0 ? STATE_GUEST_IF : 0u);
    STORE_CONTROL(v, ram, vintr, vintr);
    STORE_CONTROL(v, ram, interrupt_state, interrupt_state);
    STORE_CONTROL(v, ram, exit_code, exit_int_error);
    STORE_CONTROL(v, ram, event_inj, event_inj);
    STORE_CONTROL(v, ram, next_rip, bytes);
}

/* ---- saving the guest ---- */

static void save_table(struct vmcb_segment *to, const struct table_register *table)
{
    to->limit = table->limit;
    to->base = table->base;
}

static void save_guest(struct vcpu *v, u8 *ram)
{
    const struct cpu_state *s = &v->state;
    const struct vmcb_control *c = &s->svm.control;
    struct vmcb_save save;

    if (ram != NULL)
        memcpy(&save, ram + VMCB_SAVE, sizeof(save));
    else
        memory_read(v->memory, (hpa_t){s->svm.vmcb + VMCB_SAVE}, &save, sizeof(save));
    svm_segment_save(&save.es, &s->seg[SEG_ES]);
    svm_segment_save(&save.cs, &s->seg[SEG_CS]);
    svm_segment_save(&save.ss, &s->seg[SEG_SS]);
    svm_segment_save(&save.ds, &s->seg[SEG_DS]);
    save_table(&save.gdtr, &s->gdtr);
    save_table(&save.idtr, &s->idtr);
    save.cpl = v->cpl;
    save.efer = s->efer;
    save.cr4 = s->cr4;
    save.cr3 = s->cr3;
    save.cr2 = s->cr2;
    save.cr0 = s->cr0;
    save.dr7 = s->dr[7];
    save.dr6 = s->dr[6];
    save.rflags = s->rflags;
    save.rip = s->reg[REG_RIP];
    save.rsp = s->reg[REG_RSP];
    save.rax = s->reg[REG_RAX];
    if ((c->np_control & NP_ENABLE) != 0)
        save.g_pat = s->pat;
    if ((c->virt_ext & VIRT_EXT_LBR) != 0) {
        save.debugctl = s->debugctl;
        save.branch_from = s->last_branch_from;
        save.branch_to = s->last_branch_to;
        save.int_from = s->last_int_from;
        save.int_to = s->last_int_to;
    }
    store(v, ram, VMCB_SAVE, &save, sizeof(save));
}

/* ---- reloading the host ---- */

static bool load_pdptes(struct vcpu *v)
{
    struct cpu_state *s = &v->state;

    if (!pae_paging(s->cr0, s->cr4, s->efer))
        return true;
    for (u32 i = 0; i < 4; i++) {
        s->pdpte[i] = mmu_read_physical(v->mmu, pdpte_address(s->cr3, i), 8);
        if (!pdpte_valid(v, s->pdpte[i]))
            return false;
    }
    return true;
}

static void load_host(struct vcpu *v)
{
    struct cpu_state *s = &v->state;
    const struct svm_host *host = &s->svm.host;
    const struct vmcb_control *c = &s->svm.control;

    svm_segment_load(v, SEG_ES, &host->es);
    svm_segment_load(v, SEG_CS, &host->cs);
    svm_segment_load(v, SEG_SS, &host->ss);
    svm_segment_load(v, SEG_DS, &host->ds);
    s->gdtr.base = host->gdtr_base;
    s->gdtr.limit = host->gdtr_limit;
    s->idtr.base = host->idtr_base;
    s->idtr.limit = host->idtr_limit;
    s->efer = host->efer;
    s->cr0 = host->cr0 | CR0_PE;
    s->cr3 = host->cr3;
    s->cr4 = host->cr4;
    s->dr[7] = DR7_FIXED_1;
    s->reg[REG_RIP] = host->rip;
    s->reg[REG_RSP] = host->rsp;
    s->reg[REG_RAX] = host->rax;
    rflags_set(v, host->rflags & ~(u64)(FLAG_VM | FLAG_RF));
    if ((c->np_control & NP_ENABLE) != 0)
        s->pat = host->pat;
    if ((c->virt_ext & VIRT_EXT_LBR) != 0) {
        s->debugctl = host->debugctl;
        s->last_branch_from = host->branch_from;
        s->last_branch_to = host->branch_to;
        s->last_int_from = host->int_from;
        s->last_int_to = host->int_to;
    }
}

/* The processor between guest and host: nothing is pending, the GIF is clear. */
static void leave_guest(struct vcpu *v)
{
    struct cpu_state *s = &v->state;

    s->svm.guest = 0;
    s->svm.gif_clear = 1;
    s->svm.pending = 0;
    s->activity = ACTIVITY_ACTIVE;
    s->mwait = 0;
    s->shadow = 0;
    s->monitor_address = 0;
    s->pending_debug = (s->svm.host.rflags & FLAG_TF) != 0 ? DR6_BS : 0;
    v->vectoring.info = 0;
    v->vectoring.length = 0;
    v->event.kind = EVENT_NONE;
}

void svm_exit(struct vcpu *v)
{
    u8 *ram = vmcb_ram(v);

    flags_commit(v);
    virt_pass_exit_time(v);
    LOG(LOG_INT, "CPU %u: #VMEXIT %x (%s) EXITINFO1 %llx EXITINFO2 %llx at %04x:%llx", v->index,
        v->exit.reason, svm_exit_find(v->exit.reason)->name,
        (unsigned long long)v->exit.qualification, (unsigned long long)v->exit.physical,
        v->state.seg[SEG_CS].selector, (unsigned long long)v->state.reg[REG_RIP]);
    record(v, ram);
    save_guest(v, ram);
    leave_guest(v);
    load_host(v);
    if (!load_pdptes(v))
        event_shutdown(v);
    mode_update(v);
    v->attention = true;
}

void svm_exit_invalid(struct vcpu *v)
{
    struct vmcb_control *c = &v->state.svm.control;
    u8 *ram = vmcb_ram(v);

    c->exit_code = ~(u64)0;
    c->exit_info1 = 0;
    c->exit_info2 = 0;
    c->exit_int_info = 0;
    c->exit_int_error = 0;
    STORE_CONTROL(v, ram, exit_code, exit_int_error);
    v->state.svm.gif_clear = 1;
    v->state.dr[7] = DR7_FIXED_1;
    mode_update_privilege(v);
    v->attention = true;
}
