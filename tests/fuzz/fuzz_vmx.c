/* SPDX-License-Identifier: MIT */
/*
 * A hostile hypervisor. A processor in 64-bit mode executes VMX instructions with operands from the
 * input, which also writes into VMCS regions, EPT tables, bitmaps and MSR areas, and gives the
 * nested guest its code. What must hold:
 *  - what a VM entry does (VMfail 7 or 8, exit 33, success) is what the tables of rules say of the
 *    VMCS as it was, all of them evaluated anew;
 *  - VMfail changes flags, RIP and the VM-instruction error, nothing else;
 *  - the shadow's audit;
 *  - what is explained of all that (--explain) can be printed;
 *  - a second run by guest walks, with caches dropped between operations, ends in equal state.
 * Input: settings, then operations (enum op).
 */
#include "base/log.h"
#include "cpu/vmx/fields.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/vmx_world.h"

#include <stdio.h>
#include <stdlib.h>

enum { OPERATIONS = 96, GUEST_MAX = 250 /* instructions after a VM entry */ };

enum op {
    OP_FIELD, /* VMWRITE of a field that there is */
    OP_RANDOM_FIELD,
    OP_READ_FIELD,
    OP_POINTER, /* VMXON, VMCLEAR, VMPTRLD, VMPTRST */
    OP_PLAIN, /* VMXOFF, VMCALL, VMFUNC */
    OP_INVALIDATE,
    OP_LAUNCH,
    OP_RESUME,
    OP_STORE, /* to memory */
    OP_EPT, /* an entry of a table */
    OP_CODE, /* of the nested guest */
    OP_REGION, /* spoil a VMCS in memory */
    OP_VALID, /* a good VMCS again */
    OP_MSR_AREA,
    OP_EVENT,
    OP_TIME,
    OP_REPAIR, /* the registers of L1 */
    OP_RAW, /* L1 runs bytes of the input */
    OP_GO_ON, /* run whatever runs */
    OP_CHANGED, /* an entry with one field changed, and back */
    OPS,
};

/* ---- values ---- */

static u64 place_of(struct fuzz_input *in)
{
    /* clang-format off */
    static const u64 places[] = {
        VMXON_REGION, VMCS_REGION, VMCS_REGION + 0x1000, VMCS_REGION + 0x2000, SHADOW_VMCS, EPT,
        EPT + 0x1000, EPT + 0x2000, EPT + 0x3000, EPTP_LIST, BITMAPS, BITMAPS + 0x2000,
        BITMAPS + 0x3000, MSR_AREAS, MSR_AREAS + 0x1000, VAPIC, APIC_ACCESS, PML_LOG, VE_INFO,
        POSTED, OPERAND, L1_CODE, L2_CODE, L2_STACK - 0x1000, PML4, PML4 + 0x2000, GDT, IDT, TSS,
        MMIO, MMIO + 0x7000, ROM, RAM - 0x1000, RAM, 0xfee00000, (u64)1 << 39,
        ((u64)1 << 46) - 0x1000, (u64)1 << 46, ~(u64)0xfff, 0,
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

/* Controls keep what is required, and mostly what is not offered out. */
static u64 control_value(const struct world *w, struct fuzz_input *in, u32 encoding, u64 value)
{
    static const u16 encodings[CONTROLS_COUNT] = {0x4000, 0x4002, 0x401e, 0x400c, 0x4012};

    for (u32 i = 0; i < CONTROLS_COUNT; i++) {
        const enum vmx_controls word = (enum vmx_controls)i;

        if (encodings[i] == encoding && (fuzz_take(in, 1) & 15) != 0)
            return (value & vmx_allowed1(w->v, word)) | vmx_required(word);
    }
    return value;
}

/* ---- the oracle ---- */

struct expectation {
    const struct vmx_rule *controls, *host, *guest;
};

static const struct vmx_rule *first_broken(const struct vcpu *v, const struct vmx_rule *rules,
                                           u32 count)
{
    for (u32 i = 0; i < count; i++) {
        if (vmx_breach(v, &rules[i]) != VMX_RULE_HOLDS)
            return &rules[i];
    }
    return NULL;
}

static struct expectation expect(const struct vcpu *v)
{
    struct expectation e = {0};

    e.controls = first_broken(v, vmx_control_rules, vmx_control_rules_count);
    if (e.controls == NULL)
        e.host = first_broken(v, vmx_host_rules, vmx_host_rules_count);
    if (e.controls == NULL && e.host == NULL)
        e.guest = first_broken(v, vmx_guest_rules, vmx_guest_rules_count);
    return e;
}

static void check_entry(const struct vcpu *v, const struct expectation *e, bool failed)
{
    const struct vmcs *c = &v->state.vmx.vmcs;

    if (v->state.vmx.mode == VMX_GUEST) {
        CHECK(e->controls == NULL && e->host == NULL && e->guest == NULL);
    } else if (failed) {
        CHECK(c->instruction_error != ERROR_ENTRY_CONTROLS || e->controls != NULL);
        CHECK(c->instruction_error != ERROR_ENTRY_HOST_STATE || e->host != NULL);
    } else if (c->exit_reason == (EXIT_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE)) {
        CHECK(e->guest != NULL && c->exit_qualification == e->guest->qualification);
    }
}

/* VMfail was the result of the instruction: nothing else happened. */
static void check_fail(const struct vcpu *v, struct cpu_state *before)
{
    static struct cpu_state after;

    after = v->state;
    before->reg[REG_RIP] = after.reg[REG_RIP];
    before->rflags = after.rflags;
    before->count = after.count;
    before->shadow = after.shadow;
    before->vmx.vmcs.instruction_error = after.vmx.vmcs.instruction_error;
    CHECK(memcmp(before, &after, sizeof(after)) == 0);
}

/* States that nothing may lead to. */
static void check_state(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const struct vmx_state *vmx = &s->vmx;
    const bool lma = (s->efer & EFER_LMA) != 0;
    const bool paging = (s->cr0 & CR0_PG) != 0;

    CHECK(s->reg[REG_NONE] == 0);
    CHECK((s->rflags & FLAG_1) != 0 && (s->rflags & ~(u64)0x3f7fd7) == 0);
    CHECK(!paging || (s->cr0 & CR0_PE) != 0);
    CHECK(lma == (paging && (s->efer & EFER_LME) != 0));
    CHECK(!lma || (s->cr4 & CR4_PAE) != 0);
    CHECK(s->activity <= ACTIVITY_WAIT_SIPI && v->cpl <= 3);
    CHECK(vmx->mode <= VMX_GUEST);
    CHECK(vmx->mode == VMX_OFF || ((s->cr4 & CR4_VMXE) != 0 && (s->cr0 & CR0_NE) != 0));
    CHECK(vmx->mode != VMX_GUEST || (vmx->current != VMX_NO_POINTER && vmx->is_shadow == 0));
    CHECK(vmx->mode == VMX_GUEST || vmx->pending == 0 || s->in_smm != 0);
}

/* ---- L1 ---- */

/* Its registers as they were at first, but for VMX. After a shutdown: all of them. */
static void repair(struct world *w)
{
    struct cpu_state *s = &w->v->state;
    const struct vmx_state vmx = s->vmx;
    const u64 count = s->count;
    const bool all = s->activity >= ACTIVITY_SHUTDOWN || s->in_smm != 0 || vmx.mode == VMX_GUEST;

    *s = w->base;
    s->count = count;
    if (!all)
        s->vmx = vmx;
    vcpu_drop_caches(w->v);
}

/* Out of the guest, as a hypervisor does that has another processor: INIT. */
static void leave_guest(struct world *w)
{
    if (w->v->state.vmx.mode == VMX_GUEST) {
        event_signal_init(w->v);
        (void)vcpu_run(w->v, 1);
    }
    if (w->v->state.vmx.mode == VMX_GUEST || w->v->state.in_smm != 0 ||
        w->v->state.activity != ACTIVITY_ACTIVE)
        repair(w);
}

enum { VMX_ENTRY = 1 };

/* One VMX instruction. */
static void execute(struct world *w, const char *bytes, u32 length, u32 flags)
{
    static struct cpu_state before;
    struct vcpu *v = w->v;
    struct cpu_state *s = &v->state;
    struct expectation e = {0};
    bool failed;

    put(w, L1_CODE, bytes, length);
    s->reg[REG_RIP] = L1_CODE;
    if (flags == VMX_ENTRY) {
        s->vmx.vmcs.exit_reason = 0;
        e = expect(v);
    }
    before = *s;
    (void)vcpu_run(v, 1);
    failed = before.vmx.mode == VMX_ROOT && s->vmx.mode == VMX_ROOT &&
             s->reg[REG_RIP] == L1_CODE + (u64)length && (s->rflags & (FLAG_CF | FLAG_ZF)) != 0 &&
             s->vmx.vmcs.exit_reason == before.vmx.vmcs.exit_reason;
    if (flags == VMX_ENTRY)
        check_entry(v, &e, failed);
    if (failed)
        check_fail(v, &before);
}

#define EXECUTE(w, bytes, flags) execute(w, bytes, sizeof(bytes) - 1, flags)

/* RAX: the address of an operand that holds this value; seldom another address. */
static void set_operand(struct world *w, struct fuzz_input *in, u64 value)
{
    u64 at = OPERAND;

    if ((fuzz_take(in, 1) & 7) == 0)
        at = value_of(in, OPERAND);
    put_value(w, OPERAND, value, 8);
    w->v->state.reg[REG_RAX] = at;
}

static void do_field(struct world *w, struct fuzz_input *in, bool random)
{
    const u8 *base = (const u8 *)&w->v->state.vmx.vmcs;
    u64 encoding = vmx_fields[fuzz_below(in, vmx_fields_count)].encoding;
    const struct vmx_field *field;
    u64 value;

    if (random)
        encoding = value_of(in, encoding);
    field = vmx_field_find(w->v, encoding);
    value = value_of(in, field != NULL ? vmx_field_read(base, field, encoding) : 0);
    value = control_value(w, in, (u32)encoding, value);
    w->v->state.reg[REG_RCX] = encoding;
    w->v->state.reg[REG_RDX] = value;
    if ((encoding & 6) != 0 || random) {
        EXECUTE(w, "\x0f\x79\xca", 0); /* vmwrite rcx, rdx */
        return;
    }
    set_operand(w, in, value);
    EXECUTE(w, "\x0f\x79\x08", 0); /* vmwrite rcx, [rax] */
}

static void do_read(struct world *w, struct fuzz_input *in)
{
    const u64 encoding = vmx_fields[fuzz_below(in, vmx_fields_count)].encoding;

    w->v->state.reg[REG_RCX] = value_of(in, encoding);
    set_operand(w, in, 0);
    if ((fuzz_take(in, 1) & 1) != 0)
        EXECUTE(w, "\x0f\x78\x08", 0);
    else
        EXECUTE(w, "\x0f\x78\xca", 0);
}

static void do_pointer(struct world *w, struct fuzz_input *in)
{
    const u32 which = (u32)fuzz_take(in, 1);

    set_operand(w, in, value_of(in, VMCS_REGION));
    switch (which % 8) {
    case 0: EXECUTE(w, "\xf3\x0f\xc7\x30", 0); break; /* vmxon */
    case 1:
    case 2:
    case 3: EXECUTE(w, "\x66\x0f\xc7\x30", 0); break; /* vmclear */
    case 4: EXECUTE(w, "\x0f\xc7\x38", 0); break; /* vmptrst */
    default: EXECUTE(w, "\x0f\xc7\x30", 0); break; /* vmptrld */
    }
}

static void do_plain(struct world *w, struct fuzz_input *in)
{
    switch (fuzz_take(in, 1) % 4) {
    case 0: EXECUTE(w, "\x0f\x01\xc4", 0); break; /* vmxoff */
    case 1: EXECUTE(w, "\x0f\x01\xc1", 0); break; /* vmcall */
    default: EXECUTE(w, "\x0f\x01\xd4", 0); break; /* vmfunc */
    }
}

static void do_invalidate(struct world *w, struct fuzz_input *in)
{
    const u32 type = (u32)fuzz_take(in, 1);

    w->v->state.reg[REG_RCX] = type % 5;
    put_value(w, OPERAND + 8, value_of(in, 0), 8);
    set_operand(w, in, value_of(in, (u64)EPT | 0x1e));
    if (type >= 128)
        EXECUTE(w, "\x66\x0f\x38\x80\x08", 0);
    else
        EXECUTE(w, "\x66\x0f\x38\x81\x08", 0);
}

static void do_entry(struct world *w, struct fuzz_input *in, bool launch)
{
    if (launch)
        EXECUTE(w, "\x0f\x01\xc2", VMX_ENTRY);
    else
        EXECUTE(w, "\x0f\x01\xc3", VMX_ENTRY);
    (void)vcpu_run(w->v, fuzz_take(in, 1) % GUEST_MAX);
}

static void write_field(struct world *w, u32 encoding, u64 value)
{
    w->v->state.reg[REG_RCX] = encoding;
    w->v->state.reg[REG_RDX] = value;
    EXECUTE(w, "\x0f\x79\xca", 0); /* vmwrite rcx, rdx */
}

/* Mostly part of a segment register, or what the rules on them depend on. */
static u32 changed_field(struct fuzz_input *in)
{
    static const u16 segments[] = {0x0800, 0x4800, 0x4814, 0x6806};
    static const u16 others[] = {0x6820, 0x400c, 0x4012, 0x401e, 0x6800};
    const u32 which = (u32)fuzz_take(in, 1);
    const u32 index = which / 6;

    switch (which % 6) {
    case 4: return others[index % ARRAY_SIZE(others)];
    case 5: return vmx_fields[fuzz_below(in, vmx_fields_count)].encoding;
    default: return segments[which % 6] + 2 * (index % SEG_COUNT);
    }
}

/* Between entries that succeed: what they have found valid is not looked at again. */
static void do_changed(struct world *w, struct fuzz_input *in)
{
    const u32 encoding = changed_field(in);
    const struct vmx_field *field = vmx_field_find(w->v, encoding);
    const struct vmx_state *vmx = &w->v->state.vmx;
    const u64 old = field == NULL ? 0 : vmx_field_read((const u8 *)&vmx->vmcs, field, encoding);

    write_field(w, encoding, control_value(w, in, encoding, value_of(in, old)));
    do_entry(w, in, vmx->vmcs.launched == 0);
    leave_guest(w);
    write_field(w, encoding, old);
}

/* VMXON and a current VMCS that is good, of the wanted kind. */
static void do_valid(struct world *w, struct fuzz_input *in)
{
    const u32 variant = (u32)fuzz_take(in, 1);
    const u64 region =
        (variant & 0x30) == 0x30 ? MMIO + 0x1000 : VMCS_REGION + (u64)0x1000 * (variant >> 6 & 1);
    const u32 controls = (u32)fuzz_take(in, 2);
    const u32 guest = (u32)fuzz_take(in, 2);

    repair(w);
    put_value(w, OPERAND, VMXON_REGION, 8);
    w->v->state.reg[REG_RAX] = OPERAND;
    put_value(w, VMXON_REGION, VMCS_REVISION, 4);
    put_value(w, region, VMCS_REVISION, 4);
    if (w->v->state.vmx.mode == VMX_OFF)
        EXECUTE(w, "\xf3\x0f\xc7\x30", 0);
    put_value(w, OPERAND, region, 8);
    EXECUTE(w, "\x66\x0f\xc7\x30", 0);
    write_valid(w, region, variant, controls, guest);
    EXECUTE(w, "\x0f\xc7\x30", 0);
}

/* ---- memory ---- */

static void do_ept(struct world *w, struct fuzz_input *in)
{
    const u32 index = (u32)fuzz_take(in, 1);
    const u64 at = EPT + (u64)0x1000 * (index >> 6) + (u64)8 * (index & 63);
    u64 old = 0;

    memory_read(w->memory, (hpa_t){at}, &old, 8);
    put_value(w, at, value_of(in, old), 8);
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

/* Instructions that concern a hypervisor, between bytes of the input. */
static void do_code(struct world *w, struct fuzz_input *in)
{
    /* clang-format off */
    static const struct {
        u8 length;
        char bytes[12];
    } parts[] = {
        {2, "\x0f\xa2"}, {3, "\x0f\x01\xc1"}, {3, "\x0f\x01\xd4"}, {3, "\x0f\x20\xd8"},
        {3, "\x0f\x22\xd8"}, {3, "\x0f\x22\xc0"}, {3, "\x0f\x22\xe0"}, {2, "\x0f\x30"},
        {2, "\x0f\x32"}, {1, "\xec"}, {1, "\xef"}, {2, "\xf3\x6e"}, {2, "\xf3\x6d"},
        {2, "\xf3\xa4"}, {1, "\xf4"}, {2, "\xf3\x90"}, {2, "\x0f\x31"}, {3, "\x0f\x01\xf9"},
        {3, "\x0f\x78\xca"}, {3, "\x0f\x79\xca"}, {3, "\x0f\xc7\x30"}, {3, "\x0f\x01\xc2"},
        {5, "\x66\x0f\x38\x80\x08"}, {3, "\x0f\x01\x38"}, {3, "\x0f\x01\x10"},
        {3, "\x0f\x00\xd8"}, {4, "\x44\x0f\x22\xc0"}, {2, "\x89\x08"}, {2, "\x8b\x08"},
        {2, "\xcd\x80"}, {1, "\xcc"}, {1, "\xfb"}, {2, "\x0f\x0b"}, {2, "\x48\xcf"},
        {3, "\x0f\x01\xd1"}, {3, "\x0f\xc7\xf0"}, {2, "\xff\xe0"}, {3, "\x0f\x21\xf8"},
        {3, "\x0f\x23\xf8"}, {2, "\x0f\x09"}, {1, "\x9d"}, {1, "\x9c"}, {2, "\x8e\xd0"},
        {2, "\x0f\x06"}, {3, "\x0f\x01\xf0"}, {3, "\x0f\x01\xc8"}, {3, "\x0f\x01\xc9"},
        {2, "\xeb\xfe"}, {7, "\xea\0\0\0\0\x30"}, {7, "\x9a\0\0\0\0\x38"}, {2, "\xcd\x81"},
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
        } else if (choice < 0xd0) { /* mov eax, imm: a place, every 16 bytes (APIC registers) */
            const u64 place = place_of(in);

            code[size] = 0xb8;
            store_le(code + size + 1, place + 16 * fuzz_take(in, 1), 4);
            size += 5;
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

/* Of a region in memory: one byte, or all of it. */
static void do_region(struct world *w, struct fuzz_input *in)
{
    const u64 region = VMCS_REGION + (u64)0x1000 * (fuzz_take(in, 1) % 4);
    const u32 kind = (u32)fuzz_take(in, 1);
    u64 seed = fuzz_take(in, 2);

    if (kind % 4 != 0) {
        put_value(w, region + seed % sizeof(struct vmcs_region), value_of(in, 0), 1 + kind % 8);
        return;
    }
    for (u64 at = VMCS_REGION_DATA; at < sizeof(struct vmcs_region); at += 8) {
        const u64 value = fuzz_random(&seed);

        if ((value >> 60) <= kind >> 4)
            put_value(w, region + at, fuzz_random(&seed) >> (value & 63), 8);
    }
}

static void do_msr_area(struct world *w, struct fuzz_input *in)
{
    static const u32 msrs[] = {0x10,       0x1b,       0x3a,       0x79,       0x9b,  0x9e,
                               0x174,      0x175,      0x1d9,      0x277,      0x480, 0x6e0,
                               0x808,      0xc0000080, 0xc0000081, 0xc0000100, 0xda0, 0xc0000102,
                               0xc0000103, 0x48,       0x1a0,      0x2ff,      0x3b,  0xe1};
    const u32 which = (u32)fuzz_take(in, 1);
    const u64 at = MSR_AREAS + (u64)0x1000 * (which % 3) + (u64)16 * (which / 64);

    put_value(w, at, msrs[fuzz_below(in, ARRAY_SIZE(msrs))], 4);
    put_value(w, at + 4, (which & 0x30) == 0x30 ? 1 : 0, 4);
    put_value(w, at + 8, value_of(in, w->base.efer), 8);
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

static void do_raw(struct world *w, struct fuzz_input *in)
{
    u8 code[8];

    store_le(code, fuzz_take(in, 8), 8);
    put(w, L1_CODE, code, sizeof(code));
    w->v->state.reg[REG_RIP] = L1_CODE;
    (void)vcpu_run(w->v, 4);
}

/* ---- running ---- */

static bool is_of_l1(enum op op)
{
    return op <= OP_RESUME || op == OP_VALID || op == OP_RAW || op == OP_REPAIR || op == OP_CHANGED;
}

static void step(struct world *w, struct fuzz_input *in, enum op op)
{
    if (is_of_l1(op))
        leave_guest(w);
    switch (op) {
    case OP_FIELD:
    case OP_RANDOM_FIELD: do_field(w, in, op == OP_RANDOM_FIELD); break;
    case OP_READ_FIELD: do_read(w, in); break;
    case OP_POINTER: do_pointer(w, in); break;
    case OP_PLAIN: do_plain(w, in); break;
    case OP_INVALIDATE: do_invalidate(w, in); break;
    case OP_LAUNCH:
    case OP_RESUME: do_entry(w, in, op == OP_LAUNCH); break;
    case OP_STORE: do_store(w, in); break;
    case OP_EPT: do_ept(w, in); break;
    case OP_CODE: do_code(w, in); break;
    case OP_REGION: do_region(w, in); break;
    case OP_VALID: do_valid(w, in); break;
    case OP_MSR_AREA: do_msr_area(w, in); break;
    case OP_EVENT: do_event(w, in); break;
    case OP_TIME: w->now += fuzz_take(in, 2); break;
    case OP_REPAIR: repair(w); break;
    case OP_RAW: do_raw(w, in); break;
    case OP_CHANGED: do_changed(w, in); break;
    case OP_GO_ON:
    case OPS: (void)vcpu_run(w->v, fuzz_take(in, 1) % GUEST_MAX); break;
    }
}

static void run(struct world *w, struct fuzz_input in)
{
    const struct vmx_state *vmx = &w->v->state.vmx;
    const bool verbose = getenv("FUZZ_VERBOSE") != NULL;

    for (u32 i = 0; i < OPERATIONS && fuzz_left(&in) > 0; i++) {
        const enum op op = (enum op)fuzz_below(&in, OPS);

        step(w, &in, op);
        if (verbose)
            (void)fprintf(stderr, "op %u: mode %u rip %llx error %u exit %x\n", op, vmx->mode,
                          (unsigned long long)w->v->state.reg[REG_RIP], vmx->vmcs.instruction_error,
                          vmx->vmcs.exit_reason);
        check_state(w->v);
        if (w->drop)
            vcpu_drop_caches(w->v);
    }
    audit(w);
}

/* Explanations are written, and thrown away. */
static void explain(void)
{
    const char *bad;
    const bool ok = log_enable("explain", &bad) && log_open("/dev/null");

    CHECK(ok);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static bool explains;
    static const struct shadow_options engines[] = {
        {.sync = SYNC_STRICT},
        {.sync = SYNC_STRICT, .combined = true},
        {.sync = SYNC_STRICT, .unsync_after = 1, .combined = true, .quota = 1},
    };
    static const char *const cpus[] = {"max", "intel-v3", "intel-v1", "max"};
    static struct world first, second;
    struct fuzz_input in = {data, data + size};
    const u32 engine = fuzz_below(&in, ARRAY_SIZE(engines) + 1);
    const u32 choice = (u32)fuzz_take(&in, 1);
    const char *cpu = cpus[choice % ARRAY_SIZE(cpus)];
    const bool legacy = (choice & 0x80) != 0;

    if (!explains)
        explain();
    explains = true;
    create(&first, cpu, legacy, engine == 0 ? NULL : &engines[engine - 1]);
    run(&first, in);
    create(&second, cpu, legacy, NULL);
    second.drop = true;
    run(&second, in);
    compare(&first, &second);
    destroy(&first);
    destroy(&second);
    return 0;
}
