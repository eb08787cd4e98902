/* SPDX-License-Identifier: MIT */
/*
 * A hostile hypervisor with SVM, in 64-bit mode with 4 or 5 levels of tables, with PAE or with
 * 32-bit paging. It writes VMCBs, nested page tables and permission maps from the input, executes
 * SVM instructions with any RAX, and gives the nested guest its code. What must hold:
 *  - VMRUN enters a guest only if the table of rules finds nothing, and ends with
 *    #VMEXIT(INVALID) only if it finds something, and then changes nothing but what it reports;
 *  - the shadow's audit;
 *  - a second run by guest walks, with caches dropped between operations, ends in equal state.
 * Input: settings, then operations (enum op).
 */
#include "cpu/svm/internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    VMCB = 0x40000, /* two of them */
    NPT = 0x50000, /* PML4, PDPT, PD, PT of the lowest 2 MiB; PD of 4-byte entries; PAE's PDPT */
    NPT_PD32 = NPT + 0x4000,
    NPT_PDPT = NPT + 0x5000,
    NPT_PML5 = NPT + 0x6000,
    IOPM = 0x60000,
    MSRPM = 0x64000,
    HSAVE = 0x68000,
    OPERATIONS = 96,
    GUEST_MAX = 250, /* instructions after a VMRUN */
};

enum op {
    OP_FIELD, /* a field of the VMCB that there is */
    OP_BYTES, /* anything in the VMCB */
    OP_VMRUN,
    OP_VMRUN_ANYWHERE,
    OP_VMLOAD,
    OP_VMSAVE,
    OP_GIF,
    OP_INVLPGA,
    OP_MSR,
    OP_VALID, /* a good VMCB again */
    OP_RAW, /* L1 runs bytes of the input */
    OP_REPAIR, /* the registers of L1 */
    OP_LAST_OF_L1 = OP_REPAIR,
    OP_STORE, /* to memory */
    OP_NPT, /* an entry of a table */
    OP_MAP, /* of the permission maps */
    OP_CODE, /* of the nested guest */
    OP_EVENT,
    OP_TIME,
    OP_GO_ON, /* run whatever runs */
    OPS,
};

/* ---- values ---- */

static u64 place_of(struct fuzz_input *in)
{
    /* clang-format off */
    static const u64 places[] = {
        VMCB, VMCB + 0x1000, NPT, NPT + 0x1000, NPT + 0x2000, NPT + 0x3000, NPT_PD32, NPT_PDPT,
        NPT_PML5, PML5, IOPM, IOPM + 0x2000, MSRPM, HSAVE, OPERAND, L1_CODE, L2_CODE, L2_STACK - 0x1000, PML4,
        PML4 + 0x2000, PDPT32, PD32, GDT, IDT, TSS, MMIO, MMIO + 0x7000, ROM, RAM - 0x1000, RAM,
        0xfee00000, (u64)1 << 32, (u64)1 << 39, ((u64)1 << 40) - 0x1000, (u64)1 << 40,
        ~(u64)0xfff, 0,
    };
    /* clang-format on */

    return places[fuzz_below(in, ARRAY_SIZE(places))];
}

static u64 value_of(struct fuzz_input *in, u64 old)
{
    const u32 choice = (u32)fuzz_take(in, 1);

    switch (choice % 10) {
    case 0: return old ^ (u64)1 << choice / 10 * 2;
    case 1: return old ^ (u64)1 << fuzz_take(in, 1) % 64;
    case 2: return place_of(in);
    case 3: old = place_of(in); return old | fuzz_take(in, 1);
    case 4: old = place_of(in); return old + fuzz_take(in, 2);
    case 5: return fuzz_take(in, 1);
    case 6: return fuzz_take(in, 4);
    case 7: return fuzz_take(in, 8);
    case 8: return ~(u64)0 << fuzz_take(in, 1) % 64;
    default: return (u64)1 << fuzz_take(in, 1) % 64;
    }
}

/* ---- the world ---- */

static void write_npt(struct world *w)
{
    put_value(w, NPT_PML5, NPT | 7, 8);
    put_value(w, NPT, (NPT + 0x1000) | 7, 8);
    for (u64 i = 0; i < 4; i++) {
        put_value(w, NPT + 0x1000 + 8 * i, (NPT + 0x2000) | 7, 8);
        put_value(w, NPT_PDPT + 8 * i, (NPT + 0x2000) | 1, 8);
    }
    for (u64 i = 0; i < 512; i++) {
        put_value(w, NPT + 0x2000 + 8 * i, i == 0 ? (NPT + 0x3000) | 7 : i << 21 | 0x87, 8);
        put_value(w, NPT + 0x3000 + 8 * i, i << 12 | 7, 8);
    }
    for (u64 i = 0; i < 1024; i++)
        put_value(w, NPT_PD32 + 4 * i, i << 22 | 0x87, 4);
}

/* Nested tables in the format of L1's own. */
static u64 ncr3_of(const struct cpu_state *l1)
{
    if ((l1->efer & EFER_LMA) != 0)
        return (l1->cr4 & CR4_LA57) != 0 ? NPT_PML5 : NPT;
    return (l1->cr4 & CR4_PAE) != 0 ? NPT_PDPT : NPT_PD32;
}

/* A VMCB that describes a guest which runs, by bits of the input. */
static void write_valid(struct world *w, u64 at, u32 bits)
{
    enum { CODE32 = 0xc9b, DPL3 = 0x60 };
    const struct cpu_state *base = &w->base;
    static struct vmcb_control c;
    static struct vmcb_save save;

    memset(&c, 0, sizeof(c));
    memset(&save, 0, sizeof(save));
    c.intercept[4] = 3; /* VMRUN, VMMCALL */
    c.intercept[3] = (bits & 1) != 0 ? ~(u32)0 : (u32)1 << 31;
    c.intercept[2] = (bits & 2) != 0 ? ~(u32)0 : 0;
    c.iopm_base = IOPM;
    c.msrpm_base = MSRPM;
    c.asid = 1 + (bits >> 2 & 1);
    c.np_control = ((bits & 8) != 0 ? NP_ENABLE : 0) | ((bits & 0x2000) != 0 ? NP_GMET : 0);
    c.ncr3 = ncr3_of(base);
    c.vintr = (bits & 0x10) != 0 ? VINTR_MASKING | VINTR_IRQ | 1u << VINTR_PRIO_SHIFT : 0;
    c.vintr_vector = 0x41;
    if ((bits & 0x4000) != 0) {
        c.vintr |= VINTR_GIF_ENABLE | VINTR_GIF | VINTR_NMI_ENABLE | VINTR_NMI_PENDING;
        c.intercept[3] |= 1u << (SVM_EXIT_NMI & 31);
    }
    c.virt_ext = bits >> 5 & 3;
    if ((bits & 0x80) != 0)
        c.event_inj = INFO_VALID | SVM_TYPE_EXCEPTION << 8 | VEC_UD;
    if ((bits & 0x8000) != 0)
        c.event_inj = INFO_VALID | SVM_TYPE_EXCEPTION << 8 | ((bits & 0x80) != 0 ? VEC_BP : VEC_GP);
    c.next_rip = L2_CODE;
    svm_segment_save(&save.es, &base->seg[SEG_ES]);
    svm_segment_save(&save.cs, &base->seg[SEG_CS]);
    svm_segment_save(&save.ss, &base->seg[SEG_SS]);
    svm_segment_save(&save.ds, &base->seg[SEG_DS]);
    save.gdtr = (struct vmcb_segment){.limit = 0xff, .base = GDT};
    save.idtr = (struct vmcb_segment){.limit = base->idtr.limit, .base = base->idtr.base};
    save.efer = base->efer;
    save.cr0 = base->cr0;
    save.cr3 = base->cr3;
    save.cr4 = base->cr4;
    save.dr6 = DR6_FIXED_1;
    save.dr7 = DR7_FIXED_1;
    save.rflags =
        FLAG_1 | ((bits & 0x100) != 0 ? FLAG_IF : 0) | ((bits & 0x200) != 0 ? FLAG_TF : 0);
    save.rip = L2_CODE;
    save.rsp = L2_STACK;
    save.g_pat = base->pat;
    if ((bits & 0xc00) == 0x400) { /* 32-bit paging below any L1 */
        save.efer &= ~(EFER_LME | EFER_LMA);
        save.cr4 = (save.cr4 & ~CR4_PAE) | CR4_PSE;
        save.cr3 = PD32;
        save.cs.attr = CODE32;
    }
    if ((bits & 0xc00) == 0x800) { /* PAE */
        save.efer &= ~(EFER_LME | EFER_LMA);
        save.cr4 |= CR4_PAE;
        save.cr3 = PDPT32;
        save.cs.attr = CODE32;
    }
    if ((bits & 0xc00) == 0xc00) { /* paged real mode */
        save.efer &= ~(EFER_LME | EFER_LMA);
        save.cr0 &= ~CR0_PE;
        save.cr4 = (save.cr4 & ~CR4_PAE) | CR4_PSE;
        save.cr3 = PD32;
    }
    if ((bits & 0x1000) != 0)
        save.cpl = 3;
    put(w, at, &c, sizeof(c));
    put(w, at + VMCB_SAVE, &save, sizeof(save));
}

static void create(struct world *w, const char *cpu, enum paging paging,
                   const struct shadow_options *engine)
{
    create_world(w, cpu, paging, engine);
    write_npt(w);
    w->v->state.efer |= EFER_SVME;
    w->v->state.svm.hsave_pa = HSAVE;
    begin(w);
    for (u32 i = 0; i < 2; i++)
        write_valid(w, VMCB + 0x1000 * (u64)i, 8);
}

/* ---- the oracle ---- */

static void check_vmrun(const struct vcpu *v, const struct cpu_state *before,
                        const struct vmcb_save *save)
{
    static struct cpu_state after;
    const struct svm_rule *broken = svm_check(v, save);

    if (in_svm_guest(v)) {
        CHECK(broken == NULL);
        return;
    }
    if (v->state.svm.control.exit_code != ~(u64)0)
        return; /* a guest has run and exited already */
    CHECK(broken != NULL && broken == v->vmrun_rule);
    after = v->state;
    after.svm = before->svm;
    after.reg[REG_RIP] = before->reg[REG_RIP];
    after.count = before->count;
    after.shadow = before->shadow;
    after.rflags = before->rflags;
    after.dr[7] = before->dr[7]; /* an exit disables breakpoints */
    CHECK(memcmp(before, &after, sizeof(after)) == 0);
}

/* States that nothing may lead to. */
static void check_state(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const bool lma = (s->efer & EFER_LMA) != 0;
    const bool paging = (s->cr0 & CR0_PG) != 0;

    CHECK(s->reg[REG_NONE] == 0);
    CHECK((s->rflags & FLAG_1) != 0 && (s->rflags & ~(u64)0x3f7fd7) == 0);
    CHECK(lma == (paging && (s->efer & EFER_LME) != 0));
    CHECK(!lma || ((s->cr4 & CR4_PAE) != 0 && (s->cr0 & CR0_PE) != 0));
    CHECK(s->activity <= ACTIVITY_WAIT_SIPI && v->cpl <= 3);
    CHECK(s->vmx.mode == VMX_OFF);
    CHECK(s->svm.guest == 0 || (s->svm.control.intercept[4] & 1) != 0);
    CHECK(s->svm.guest != 0 || s->in_smm != 0 || s->svm.pending == 0);
}

/* ---- L1 ---- */

/* Its registers as they were at first, but for SVM's. */
static void repair(struct world *w)
{
    struct cpu_state *s = &w->v->state;
    const u64 count = s->count;

    *s = w->base;
    s->count = count;
    vcpu_drop_caches(w->v);
}

static void leave_guest(struct world *w)
{
    if (in_svm_guest(w->v) || w->v->state.in_smm != 0 || w->v->state.activity != ACTIVITY_ACTIVE)
        repair(w);
}

static void execute(struct world *w, const char *bytes, u32 length)
{
    put(w, L1_CODE, bytes, length);
    w->v->state.reg[REG_RIP] = L1_CODE;
    (void)vcpu_run(w->v, 1);
}

#define EXECUTE(w, bytes) execute(w, bytes, sizeof(bytes) - 1)

static void do_vmrun(struct world *w, struct fuzz_input *in, bool anywhere)
{
    static struct cpu_state before;
    static struct vmcb_save save;
    struct vcpu *v = w->v;
    u64 vmcb = VMCB + 0x1000 * (fuzz_take(in, 1) & 1);

    if (anywhere)
        vmcb = value_of(in, vmcb);
    memory_read(w->memory, (hpa_t){vmcb + VMCB_SAVE}, &save, sizeof(save));
    v->state.reg[REG_RAX] = vmcb;
    v->state.svm.vmcb = 1; /* which no VMRUN leaves */
    v->state.svm.control.exit_code = 0;
    put(w, L1_CODE, "\x0f\x01\xd8", 3);
    v->state.reg[REG_RIP] = L1_CODE;
    before = v->state;
    (void)vcpu_run(v, 1);
    if (v->state.svm.vmcb != 1 && !anywhere) /* elsewhere L1 itself may be under the VMCB */
        check_vmrun(v, &before, &save);
    (void)vcpu_run(v, fuzz_take(in, 1) % GUEST_MAX);
}

static void do_field(struct world *w, struct fuzz_input *in)
{
    const struct vmcb_field *field = &vmcb_fields[fuzz_below(in, vmcb_fields_count)];
    const u64 at = VMCB + 0x1000 * (fuzz_take(in, 1) & 1) + field->offset;
    u64 old = 0;

    memory_read(w->memory, (hpa_t){at}, &old, field->size < 8 ? field->size : 8);
    put_value(w, at, value_of(in, old), field->size < 8 ? field->size : 8);
}

static void do_bytes(struct world *w, struct fuzz_input *in)
{
    const u64 at = VMCB + 0x1000 * (fuzz_take(in, 1) & 1);
    const u32 kind = (u32)fuzz_take(in, 1);
    u64 seed = fuzz_take(in, 2);

    for (u64 i = 0; i < 0x700; i += 8) {
        const u64 value = fuzz_random(&seed);

        if (value >> 60 <= kind >> 4)
            put_value(w, at + i, fuzz_random(&seed) >> (value & 63), 8);
    }
}

static void do_msr(struct world *w, struct fuzz_input *in)
{
    static const u32 msrs[] = {0xc0000104, 0xc0010114, 0xc0010115, 0xc0010116,
                               0xc0010117, 0xc0010118, 0xc0000080, 0x1d9,
                               0x277,      0x10,       0xc0010015};
    const u32 index = msrs[fuzz_below(in, ARRAY_SIZE(msrs))];
    const u64 value = value_of(in, index == 0xc0000080 ? w->v->state.efer : 0);

    w->v->state.reg[REG_RCX] = index;
    w->v->state.reg[REG_RAX] = value & 0xffffffff;
    w->v->state.reg[REG_RDX] = value >> 32;
    EXECUTE(w, "\x0f\x30");
}

static void do_valid(struct world *w, struct fuzz_input *in)
{
    const u64 at = VMCB + 0x1000 * (fuzz_take(in, 1) & 1);

    write_valid(w, at, (u32)fuzz_take(in, 2));
}

static void do_raw(struct world *w, struct fuzz_input *in)
{
    u8 code[8];

    store_le(code, fuzz_take(in, 8), 8);
    put(w, L1_CODE, code, sizeof(code));
    w->v->state.reg[REG_RIP] = L1_CODE;
    (void)vcpu_run(w->v, 4);
}

static void step_l1(struct world *w, struct fuzz_input *in, enum op op)
{
    leave_guest(w);
    switch (op) {
    case OP_FIELD: do_field(w, in); break;
    case OP_BYTES: do_bytes(w, in); break;
    case OP_VMRUN:
    case OP_VMRUN_ANYWHERE: do_vmrun(w, in, op == OP_VMRUN_ANYWHERE); break;
    case OP_VMLOAD:
    case OP_VMSAVE:
        w->v->state.reg[REG_RAX] = value_of(in, VMCB);
        execute(w, op == OP_VMLOAD ? "\x0f\x01\xda" : "\x0f\x01\xdb", 3);
        break;
    case OP_GIF:
        execute(w, (fuzz_take(in, 1) & 1) != 0 ? "\x0f\x01\xdc" : "\x0f\x01\xdd", 3);
        break;
    case OP_INVLPGA:
        w->v->state.reg[REG_RAX] = value_of(in, L2_CODE);
        w->v->state.reg[REG_RCX] = fuzz_take(in, 1) & 3;
        EXECUTE(w, "\x0f\x01\xdf");
        break;
    case OP_MSR: do_msr(w, in); break;
    case OP_VALID: do_valid(w, in); break;
    case OP_RAW: do_raw(w, in); break;
    default: repair(w); break;
    }
}

/* ---- memory ---- */

static void do_npt(struct world *w, struct fuzz_input *in)
{
    const u32 index = (u32)fuzz_take(in, 1);
    const u32 size = index >= 0xc0 ? 4 : 8;
    const u64 at = size == 4 ? NPT_PD32 + (u64)4 * (index & 63)
                             : NPT + (u64)0x1000 * (index >> 5) + (u64)8 * (index & 31);
    u64 old = 0;

    memory_read(w->memory, (hpa_t){at}, &old, size);
    put_value(w, at, value_of(in, old), size);
}

static void do_store(struct world *w, struct fuzz_input *in)
{
    const u64 place = place_of(in);
    const u64 at = place + fuzz_take(in, 2) % PAGE_SIZE;
    const u32 size = 1u << fuzz_take(in, 1) % 4;
    u64 old = 0;

    memory_read(w->memory, (hpa_t){at}, &old, 8);
    put_value(w, at, value_of(in, old), size);
}

static void do_map(struct world *w, struct fuzz_input *in)
{
    const u64 at = IOPM + fuzz_take(in, 2) % 0x6000;

    put_value(w, at, fuzz_take(in, 1), 1);
}

/* Instructions that concern a hypervisor, between bytes of the input. */
static void do_code(struct world *w, struct fuzz_input *in)
{
    /* clang-format off */
    static const struct {
        u8 length;
        char bytes[12];
    } parts[] = {
        {2, "\x0f\xa2"}, {3, "\x0f\x01\xd8"}, {3, "\x0f\x01\xd9"}, {3, "\x0f\x01\xda"},
        {3, "\x0f\x01\xdb"}, {3, "\x0f\x01\xdc"}, {3, "\x0f\x01\xdd"}, {3, "\x0f\x01\xde"},
        {3, "\x0f\x01\xdf"}, {3, "\x0f\x20\xd8"}, {3, "\x0f\x22\xd8"}, {3, "\x0f\x22\xc0"},
        {3, "\x0f\x22\xe0"}, {2, "\x0f\x30"}, {2, "\x0f\x32"}, {1, "\xec"}, {1, "\xef"},
        {2, "\xf3\x6e"}, {2, "\xf3\x6d"}, {2, "\xf3\xa4"}, {1, "\xf4"}, {2, "\xf3\x90"},
        {2, "\x0f\x31"}, {3, "\x0f\x01\xf9"}, {3, "\x0f\x01\x38"}, {3, "\x0f\x01\x10"},
        {3, "\x0f\x00\xd8"}, {4, "\x44\x0f\x22\xc0"}, {2, "\x89\x08"}, {2, "\x8b\x08"},
        {2, "\xcd\x80"}, {1, "\xcc"}, {1, "\xf1"}, {1, "\xfb"}, {2, "\x0f\x0b"}, {2, "\x48\xcf"},
        {3, "\x0f\x01\xd1"}, {3, "\x0f\x01\xfd"}, {2, "\xff\xe0"}, {3, "\x0f\x21\xf8"},
        {3, "\x0f\x23\xf8"}, {2, "\x0f\x09"}, {1, "\x9d"}, {1, "\x9c"}, {2, "\x8e\xd0"},
        {2, "\x0f\x06"}, {3, "\x0f\x01\xf0"}, {3, "\x0f\x01\xc8"}, {3, "\x0f\x01\xc9"},
        {2, "\x0f\xaa"}, {2, "\xeb\xfe"},
    };
    /* clang-format on */
    u8 code[64];
    u32 size = 0;

    for (u32 n = (u32)fuzz_take(in, 1) % 8; n > 0 && size < 40; n--) {
        const u32 choice = (u32)fuzz_take(in, 1);

        if (choice < 0xc0) {
            const u32 part = choice % ARRAY_SIZE(parts);

            memcpy(code + size, parts[part].bytes, parts[part].length);
            size += parts[part].length;
        } else if (choice < 0xe8) { /* mov rax, rcx or rdx, imm */
            code[size] = 0x48;
            code[size + 1] = 0xb8 + choice % 3;
            store_le(code + size + 2, value_of(in, choice), 8);
            size += 10;
        } else {
            store_le(code + size, fuzz_take(in, 4), 4);
            size += 4;
        }
    }
    code[size++] = 0xeb;
    code[size] = (u8)(0xff - size);
    put(w, L2_CODE, code, size + 1);
}

static void do_event(struct world *w, struct fuzz_input *in)
{
    const u32 which = (u32)fuzz_take(in, 1);

    w->vector = (u8)fuzz_take(in, 1);
    switch (which % 8) {
    case 0: event_signal_nmi(w->v); break;
    case 1: event_signal_smi(w->v); break;
    case 2: event_signal_init(w->v); break;
    case 3: event_signal_sipi(w->v, w->vector); break;
    default: event_signal_intr(w->v, which < 0xc0); break;
    }
}

/* ---- running ---- */

static void step(struct world *w, struct fuzz_input *in, enum op op)
{
    if (op <= OP_LAST_OF_L1) {
        step_l1(w, in, op);
        return;
    }
    switch (op) {
    case OP_STORE: do_store(w, in); break;
    case OP_NPT: do_npt(w, in); break;
    case OP_MAP: do_map(w, in); break;
    case OP_CODE: do_code(w, in); break;
    case OP_EVENT: do_event(w, in); break;
    case OP_TIME: w->now += fuzz_take(in, 2); break;
    default: (void)vcpu_run(w->v, fuzz_take(in, 1) % GUEST_MAX); break;
    }
}

static void run(struct world *w, struct fuzz_input in)
{
    const struct svm_state *svm = &w->v->state.svm;
    const bool verbose = getenv("FUZZ_VERBOSE") != NULL;

    for (u32 i = 0; i < OPERATIONS && fuzz_left(&in) > 0; i++) {
        const enum op op = (enum op)fuzz_below(&in, OPS);

        step(w, &in, op);
        if (verbose)
            (void)fprintf(stderr, "op %u: guest %u rip %llx exit %llx\n", op, svm->guest,
                          (unsigned long long)w->v->state.reg[REG_RIP],
                          (unsigned long long)svm->control.exit_code);
        check_state(w->v);
        if (w->drop)
            vcpu_drop_caches(w->v);
    }
    audit(w);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const struct shadow_options engines[] = {
        {.sync = SYNC_STRICT},
        {.sync = SYNC_STRICT, .combined = true},
        {.sync = SYNC_STRICT, .unsync_after = 1, .combined = true, .quota = 1},
    };
    static const struct {
        const char *name;
        u32 pagings; /* that it has, the first of enum paging */
    } cpus[] = {{"amd-max", 4}, {"amd-v3", 3}, {"amd-v2", 3}, {"amd-max,-npt", 4}};
    static struct world first, second;
    struct fuzz_input in = {data, data + size};
    const u32 engine = fuzz_below(&in, ARRAY_SIZE(engines) + 1);
    const u32 choice = (u32)fuzz_take(&in, 1);
    const u32 which = choice % ARRAY_SIZE(cpus);
    const char *cpu = cpus[which].name;
    const enum paging paging = (enum paging)(choice / 4 % cpus[which].pagings);

    create(&first, cpu, paging, engine == 0 ? NULL : &engines[engine - 1]);
    run(&first, in);
    create(&second, cpu, paging, NULL);
    second.drop = true;
    run(&second, in);
    compare(&first, &second);
    destroy(&first);
    destroy(&second);
    return 0;
}
