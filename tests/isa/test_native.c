/* SPDX-License-Identifier: MIT */
/*
 * Every row that user mode can execute, in 64- and 32-bit code, with random encodings, registers
 * and memory, on the host CPU and on ours (stamped and generic path): registers, flags but the
 * undefined ones, vectors, x87 state, memory and faults must be the same.
 */
#include "cpu/isa/fpu.h"
#include "tests/fp/vendor.h"
#include "tests/isa/comparable.h"
#include "tests/isa/instance.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { RAM = 1 << 20, TABLES = 0x1000, DATA_GPA = 0x10000, INSTANCES = 60, REPORTS = 6 };

static struct memory *memory;
static struct code_cache *code;
static struct vcpu *v;
static u64 now, next_deadline = ~(u64)0;
static u8 *data; /* our memory behind NATIVE_DATA */

struct result {
    struct native_context state;
    u8 data[NATIVE_DATA_SIZE];
};

static struct result host, ours;

/* ---- the host ---- */

static void run_host(void)
{
    native_context = instance.state;
    for (unsigned i = 0; i < 16; i++)
        memcpy(native_context.fx.rest + 16 * i, instance.state.ymm[i], 16);
    memcpy((void *)(uintptr_t)NATIVE_DATA, instance.data, NATIVE_DATA_SIZE);
    native_run(instance.bytes, instance.length, instance.wide);
    host.state = native_context;
    memcpy(host.data, (void *)(uintptr_t)NATIVE_DATA, NATIVE_DATA_SIZE);
    /* the code is data for whoever reads it */
    memcpy(data + NATIVE_DATA_SIZE, native_code, PAGE_SIZE);
}

/* ---- ours ---- */

static void load_ours(const struct native_context *s)
{
    struct cpu_state *to = &v->state;
    const unsigned top = s->fx.fsw >> 11 & 7;

    memcpy(to->reg, s->gpr, sizeof(s->gpr));
    to->reg[REG_RIP] = NATIVE_CODE;
    rflags_set(v, s->rflags);
    memcpy(to->ymm, s->ymm, sizeof(to->ymm));
    to->mxcsr = s->fx.mxcsr;
    memset(&to->fpu, 0, sizeof(to->fpu));
    to->fpu.fcw = s->fx.fcw;
    to->fpu.fsw = s->fx.fsw;
    to->fpu.ftw = s->fx.ftw;
    for (unsigned i = 0; i < 8; i++) {
        to->fpu.st[(top + i) & 7].mant = s->fx.st[i].mant;
        to->fpu.st[(top + i) & 7].se = s->fx.st[i].se;
    }
}

static void save_ours(struct native_context *s)
{
    const struct cpu_state *from = &v->state;
    const unsigned top = from->fpu.fsw >> 11 & 7;

    memset(s, 0, sizeof(*s));
    memcpy(s->gpr, from->reg, sizeof(s->gpr));
    s->rflags = rflags_get(v);
    s->rip = from->reg[REG_RIP];
    memcpy(s->ymm, from->ymm, sizeof(s->ymm));
    s->fx.mxcsr = from->mxcsr;
    s->fx.fcw = from->fpu.fcw;
    s->fx.fsw = from->fpu.fsw;
    s->fx.ftw = from->fpu.ftw;
    for (unsigned i = 0; i < 8; i++) {
        s->fx.st[i].mant = from->fpu.st[(top + i) & 7].mant;
        s->fx.st[i].se = from->fpu.st[(top + i) & 7].se;
    }
    s->vector = -1;
    if (v->event.kind == EVENT_EXCEPTION) {
        s->vector = v->event.vector;
        s->error = v->event.error_code;
        s->cr2 = v->event.cr2;
        s->fault_rip = s->rip;
    }
}

static const struct insn *run_behind(struct vcpu *cpu, const struct insn *in)
{
    cpu->state.reg[REG_RIP] += in->pos;
    return NULL;
}

static struct insn ours_record; /* what was decoded */

static void run_ours(bool generic)
{
    struct insn record[2];
    u32 saved;

    load_ours(&instance.state);
    saved = mxcsr_enter(v);
    memcpy(data, instance.data, NATIVE_DATA_SIZE);
    memset(record, 0, sizeof(record));
    (void)decode(v, instance.bytes, 15, &record[0]);
    if (generic && record[0].run != NULL && strcmp(record[0].def->name, "(bad)") != 0)
        record[0].run = run_generic;
    record[1].run = run_behind;
    record[1].pos = record[0].len;
    ours_record = record[0];
    v->event.kind = EVENT_NONE;
    for (unsigned n = 0; n < 64; n++) { /* an iteration of REP may be a step of its own */
        const struct insn *in = record;

        v->left = v->budget = 1000;
        v->alone = true;
        v->block = NULL;
        while (in != NULL)
            in = in->run(v, in);
        if (v->event.kind != EVENT_NONE || v->state.reg[REG_RIP] != NATIVE_CODE)
            break;
    }
    mxcsr_leave(v, saved);
    save_ours(&ours.state);
    memcpy(ours.data, data, NATIVE_DATA_SIZE);
}

/* ---- comparison ---- */

enum ignore {
    IGNORE_C1 = 1 << 0,
    IGNORE_CC = 1 << 1, /* C0, C1, C2, C3 */
    IGNORE_ST = 1 << 2, /* x87 values, inexactness and the invalid cases */
    IGNORE_FAULTS = 1 << 3, /* compare only where neither faults */
    IGNORE_MEMORY_ON_FAULT = 1 << 4,
    IGNORE_X87_ON_FAULT = 1 << 5,
    IGNORE_LOW_BITS = 1 << 6, /* of single-precision results: approximations */
    IGNORE_LONG_16_BIT_SHIFTS = 1 << 7,
    IGNORE_UD = 1 << 8,
    IGNORE_FLAGS_ON_INVALID = 1 << 9,
    /* Each with a function below that says what just it allows. */
    ALLOW_TOP_0_ON_FAULT = 1 << 10,
    ALLOW_ERROR_FIRST = 1 << 11,
    ALLOW_TORN_STORE = 1 << 12,
    ALLOW_HALF_EXCEPTIONS = 1 << 13,
    ALLOW_LAST_BYTE = 1 << 14,
    ALLOW_GATHER_MASK = 1 << 15,
    ALLOW_NAN_OF_DOT = 1 << 16,
    ALLOW_UNDERFLOW = 1 << 17,
    ALLOW_FLAGS_OF_ITERATION = 1 << 18,
    ALLOW_READ_OF_32_BITS = 1 << 19,
    ALLOW_LOWER_BOUND_FIRST = 1 << 20,
};

struct quirk {
    const char *name; /* one '*' at the end stands for anything */
    u32 ignore; /* enum ignore */
    const char *reason;
};

/* clang-format off */
/* Where manuals leave room or vendors differ; seen on AMD Zen 5 and Intel Emerald Rapids. */
static const struct quirk quirks[] = {
    {"fcomi*", IGNORE_C1 | IGNORE_FLAGS_ON_INVALID,
     "SDM: C1 cleared, RFLAGS kept on an unmasked invalid operation; AMD: C1 kept, RFLAGS written"},
    {"fucomi*", IGNORE_C1 | IGNORE_FLAGS_ON_INVALID, "as fcomi"},
    {"fcmov*", IGNORE_C1, "AMD leaves C1"},
    {"fprem*", IGNORE_CC, "after an invalid operation the condition codes are undefined"},
    {"f2xm1", IGNORE_ST, "transcendental: last digits and arguments out of range; see tests/fp"},
    {"fyl2xp1", IGNORE_ST, "as f2xm1"}, {"fyl2x", IGNORE_ST, "as f2xm1"},
    {"fptan", IGNORE_ST, "as f2xm1; argument reduction differs by vendor"},
    {"fpatan", IGNORE_ST, "as f2xm1"}, {"fsin", IGNORE_ST, "as fptan"},
    {"fcos", IGNORE_ST, "as fptan"}, {"fsincos", IGNORE_ST, "as fptan"},
    {"cvtps2pi", IGNORE_X87_ON_FAULT, "AMD enters MMX state before #XM"},
    {"cvtpi2ps", IGNORE_X87_ON_FAULT, "as cvtps2pi"},
    {"cvtpd2pi", IGNORE_X87_ON_FAULT, "as cvtps2pi"}, {"cvttps2pi", IGNORE_X87_ON_FAULT, "as cvtps2pi"},
    {"cvttpd2pi", IGNORE_X87_ON_FAULT, "as cvtps2pi"},
    {"enter", IGNORE_MEMORY_ON_FAULT, "AMD pushes before it probes the new frame"},
    {"maskmov*", IGNORE_FAULTS, "bytes that the mask leaves out may fault or not"},
    {"vmaskmovdqu", IGNORE_FAULTS, "as maskmov"},
    {"sha*", IGNORE_FAULTS, "AMD does not check the alignment of the memory operand"},
    {"rcp*", IGNORE_LOW_BITS, "approximation, relative error below 1.5 * 2^-12"},
    {"vrcp*", IGNORE_LOW_BITS, "as rcpps"}, {"rsqrt*", IGNORE_LOW_BITS, "as rcpps"},
    {"vrsqrt*", IGNORE_LOW_BITS, "as rcpps"},
    {"shld", IGNORE_LONG_16_BIT_SHIFTS, "undefined when the count is beyond 16 bits"},
    {"shrd", IGNORE_LONG_16_BIT_SHIFTS, "as shld"},
    {"arpl", IGNORE_FAULTS, "a page fault may be that of the read or of the write"},
    {"ldmxcsr", IGNORE_FAULTS, "AMD has bit 17, misaligned mode"},
    {"vldmxcsr", IGNORE_FAULTS, "as ldmxcsr"},
    {"prefetchw", IGNORE_UD, "with a register operand #UD on AMD, a reserved hint on Intel"},
    {"movd", ALLOW_TOP_0_ON_FAULT, "Intel clears TOP before a store faults"},
    {"movq", ALLOW_TOP_0_ON_FAULT, "as movd"}, {"movntq", ALLOW_TOP_0_ON_FAULT, "as movd"},
    {"fst*", ALLOW_ERROR_FIRST, "the order of a numeric error and a memory fault is the processor's"},
    {"fist*", ALLOW_ERROR_FIRST, "as fst"}, {"fbstp", ALLOW_ERROR_FIRST, "as fst"},
    {"fstp", ALLOW_TORN_STORE, "Intel stores in two parts; instructions with faults are repeated"},
    {"fbstp", ALLOW_TORN_STORE, "as fstp"},
    {"vcvtps2ph", ALLOW_HALF_EXCEPTIONS, "as fst; and Intel sets MXCSR flags before a store faults"},
    {"vmaskmovp*", ALLOW_LAST_BYTE, "which byte of an access CR2 names is not defined"},
    {"vpmaskmov*", ALLOW_LAST_BYTE, "as vmaskmovps"},
    {"vgather*", ALLOW_GATHER_MASK, "SDM: a fault finds the mask extended; AMD: as it was"},
    {"vpgather*", ALLOW_GATHER_MASK, "as vgather"},
    {"dpp*", ALLOW_NAN_OF_DOT, "which of several NaNs is not defined"},
    {"vdpp*", ALLOW_NAN_OF_DOT, "as dpps"},
    {"fscale", ALLOW_UNDERFLOW, "SDM: by zero ST(0) itself; AMD computes"},
    {"fprem*", ALLOW_UNDERFLOW, "SDM: by infinity ST(0) itself; AMD computes"},
    {"cmps", ALLOW_FLAGS_OF_ITERATION, "SDM: a fault finds the flags from before; AMD may not"},
    {"scas", ALLOW_FLAGS_OF_ITERATION, "as cmps"},
    {"movsxd", ALLOW_READ_OF_32_BITS, "with 66, SDM: the source has 16 bits; AMD: 32"},
    {"bound", ALLOW_LOWER_BOUND_FIRST, "when #BR meets #PF, the order is the processor's"},
};
/* clang-format on */

static u32 ignored(const char *name)
{
    u32 ignore = 0;

    for (size_t i = 0; i < ARRAY_SIZE(quirks); i++) {
        const size_t length = strlen(quirks[i].name);
        const bool open = quirks[i].name[length - 1] == '*';

        if (open ? strncmp(name, quirks[i].name, length - 1) == 0
                 : strcmp(name, quirks[i].name) == 0)
            ignore |= quirks[i].ignore;
    }
    return ignore;
}

static bool is_memory_fault(int vector)
{
    return vector == VEC_PF || vector == VEC_GP || vector == VEC_SS;
}

/* A store from an MMX register that faults: TOP is 0 already, the tags and registers are not
 * touched. */
static void allow_top_0(const struct native_context *a, struct native_context *b)
{
    const unsigned top = b->fx.fsw >> 11 & 7;
    struct native_context turned = *b;

    if (!(instance.row->def.attr & MMX) || !is_memory_fault(a->vector) ||
        (a->fx.fsw >> 11 & 7) != 0)
        return;
    turned.fx.fsw &= (u16) ~(7u << 11);
    for (unsigned i = 0; i < 8; i++)
        turned.fx.st[(top + i) & 7] = b->fx.st[i];
    *b = turned;
}

/* An x87 store with an unmasked error to memory that faults: Intel notes the error, does not store,
 * and never finds the fault; AMD and we fault. */
static void allow_error_first(const struct native_context *a, struct native_context *b)
{
    const u16 status = FSW_ES | FSW_B | FSW_C1 | FSW_SF | FP_ALL;

    if (a->vector >= 0 || !is_memory_fault(b->vector) || (a->fx.fsw & FSW_ES) == 0 ||
        (a->fx.fsw & ~a->fx.fcw & FP_ALL) == 0)
        return;
    b->vector = -1;
    b->fx.fsw = (u16)((b->fx.fsw & ~status) | (a->fx.fsw & status));
}

/* A conversion to memory that faults: the host may have set flags, and report unmasked ones. */
static void allow_half_exceptions(const struct native_context *a, struct native_context *b)
{
    const u32 flags = a->fx.mxcsr & FP_ALL;
    const u8 *source = instance.state.ymm[ours_record.reg];

    if (is_memory_fault(b->vector) && (b->fx.mxcsr & ~flags & FP_ALL) == 0) {
        if (a->vector == VEC_XM && (flags & ~(a->fx.mxcsr >> MXCSR_MASKS_SHIFT)) != 0)
            b->vector = a->vector;
        if (a->vector == b->vector)
            b->fx.mxcsr |= flags;
    }
    if (a->vector == VEC_XM && half_may_be_inexact(source, ours_record.width / 4, a->fx.mxcsr))
        b->fx.mxcsr |= a->fx.mxcsr & FP_PE;
}

/* FSTP and FBSTP of 10 bytes over a page boundary: Intel stores those of the first page before the
 * fault. */
static void allow_torn_store(const struct native_context *a, const struct native_context *b)
{
    const u64 from = insn_offset(v, &ours_record) - NATIVE_DATA;
    const bool ten_bytes = instance.row->opcode == 0xdb || instance_is("fbstp");

    if (!ten_bytes || a->vector != VEC_PF || b->vector != VEC_PF)
        return;
    for (u64 at = from; at != from + 10; at++) {
        if (at < NATIVE_DATA_SIZE)
            ours.data[at] = host.data[at];
    }
}

/* Of masked moves and gathers. */
static unsigned element_size(void)
{
    return (instance.row->accept & ACCEPT_W0) == 0 || instance_is("vmaskmovpd") ? 8 : 4;
}

/* A masked store over a page boundary: Intel's CR2 is the last byte of the last element, AMD's and
 * ours the first byte that cannot be stored. */
static void allow_last_byte(const struct native_context *a, struct native_context *b)
{
    const u8 *mask = instance.state.ymm[ours_record.vvvv];
    const u64 from = insn_offset(v, &ours_record);
    const unsigned size = element_size();
    u64 last = 0;

    for (unsigned end = size; end <= ours_record.width; end += size) {
        if (mask[end - 1] >> 7)
            last = from + end - 1;
    }
    if (a->vector == VEC_PF && b->vector == VEC_PF && a->cr2 == last &&
        (a->cr2 ^ b->cr2) < PAGE_SIZE)
        b->cr2 = last;
}

/*
 * A gather that faults, SDM Vol 2C, VPGATHERDD: at first the mask elements are extended from their
 * signs; AMD leaves them. Parts of destination and mask that have no elements are cleared then or
 * at the end; Intel may leave the mask extended there.
 */
static void allow_gather_mask(const struct native_context *a, struct native_context *b)
{
    const unsigned size = element_size();
    const unsigned widest = (instance.row->opcode & 1) != 0 ? 8 : size; /* of element and index */
    const unsigned behind = ours_record.width / widest * size;
    const u8 *before = instance.state.ymm[ours_record.vvvv];
    const u8 *mask = a->ymm[ours_record.vvvv], *to = a->ymm[ours_record.reg];

    if (!is_memory_fault(a->vector) || a->vector != b->vector)
        return;
    for (unsigned at = 0; at < 32; at += size) {
        const u64 extended = before[at + size - 1] >> 7 ? width_mask(size) : 0;
        const u64 given = load_le(mask + at, size);

        if ((given == load_le(before + at, size) || given == extended) &&
            load_le(b->ymm[ours_record.vvvv] + at, size) == (at < behind ? extended : 0))
            store_le(b->ymm[ours_record.vvvv] + at, given, size);
        if (at >= behind && load_le(to + at, size) == 0)
            store_le(b->ymm[ours_record.reg] + at, 0, size);
    }
}

/* Which NaN it may be is looked at in tests/fp; here the operand in memory is not at hand. */
static void allow_nan_of_dot(const struct native_context *a, struct native_context *b)
{
    const unsigned size = strstr(instance.row->def.name, "ps") != NULL ? 4 : 8;
    const u8 *theirs = a->ymm[ours_record.reg];
    u8 *us = b->ymm[ours_record.reg];

    for (unsigned i = 0; i < 32; i += size) {
        if (is_nan_element(load_le(theirs + i, size), size) &&
            is_nan_element(load_le(us + i, size), size))
            memcpy(us + i, theirs + i, size);
    }
}

static void allow_underflow(const struct native_context *a, struct native_context *b)
{
    const struct fx_image *before = &instance.state.fx;
    const struct f80 st0 = {.mant = before->st[0].mant, .se = before->st[0].se};
    const struct f80 st1 = {.mant = before->st[1].mant, .se = before->st[1].se};

    if (!keeping_may_underflow(instance_is("fscale"), st0, st1, before->fcw) ||
        (a->fx.fsw & FP_UE) == 0)
        return;
    b->fx.fsw = a->fx.fsw;
    b->fx.st[0] = a->fx.st[0];
}

/* A repetition that faults: ours must be from before, the host's may be from the last iteration. */
static void allow_flags_of_iteration(const struct native_context *a, struct native_context *b)
{
    if (a->vector >= 0 && ((b->rflags ^ instance.state.rflags) & FLAGS_ARITH) == 0)
        b->rflags = (b->rflags & ~(u64)FLAGS_ARITH) | (a->rflags & FLAGS_ARITH);
}

/* MOVSXD with 66 at the end of a page: the bytes behind the source are not there. */
static bool only_32_bits_fault(const struct native_context *a, const struct native_context *b)
{
    return ours_record.width == 2 && a->vector == VEC_PF && (a->cr2 & PAGE_OFFSET_MASK) == 0 &&
           b->vector < 0;
}

/* BOUND of a pair over a page boundary: below the first, Intel does not read the second. */
static bool only_upper_bound_faults(const struct native_context *a, const struct native_context *b)
{
    return a->vector == VEC_BR && b->vector == VEC_PF && (b->cr2 & PAGE_OFFSET_MASK) == 0;
}

static void allow(u32 allowed, const struct native_context *a, struct native_context *b)
{
    if (allowed & ALLOW_TOP_0_ON_FAULT)
        allow_top_0(a, b);
    if (allowed & ALLOW_ERROR_FIRST)
        allow_error_first(a, b);
    if (allowed & ALLOW_HALF_EXCEPTIONS)
        allow_half_exceptions(a, b);
    if (allowed & ALLOW_TORN_STORE)
        allow_torn_store(a, b);
    if (allowed & ALLOW_LAST_BYTE)
        allow_last_byte(a, b);
    if (allowed & ALLOW_GATHER_MASK)
        allow_gather_mask(a, b);
    if (allowed & ALLOW_NAN_OF_DOT)
        allow_nan_of_dot(a, b);
    if (allowed & ALLOW_UNDERFLOW)
        allow_underflow(a, b);
    if (allowed & ALLOW_FLAGS_OF_ITERATION)
        allow_flags_of_iteration(a, b);
}

/* Make ours like the host's where they may differ. False: the instance says nothing. */
static bool level(struct native_context *a, struct native_context *b)
{
    const u32 ignore = ignored(instance.row->def.name);
    u16 cc = 0, shift = ours_record.width == 2 ? (u16)ours_record.imm : 0;

    if ((ignore & IGNORE_FAULTS) && (a->vector >= 0 || b->vector >= 0))
        return false;
    if ((ignore & IGNORE_UD) && (a->vector == VEC_UD || b->vector == VEC_UD))
        return false;
    if (instance.row->imm[0] == IMM_NONE)
        shift = (u16)instance.state.gpr[REG_RCX];
    if ((ignore & IGNORE_LONG_16_BIT_SHIFTS) && ours_record.width == 2 && (shift & 31) > 16)
        return false;
    if ((ignore & ALLOW_READ_OF_32_BITS) && only_32_bits_fault(a, b))
        return false;
    if ((ignore & ALLOW_LOWER_BOUND_FIRST) && only_upper_bound_faults(a, b))
        return false;
    allow(ignore, a, b);
    if (ignore & IGNORE_C1)
        cc = FSW_C1;
    if (ignore & IGNORE_ST) {
        cc = 0xffff;
        b->fx.ftw = a->fx.ftw;
    }
    if (ignore & IGNORE_CC)
        cc = FSW_C1 | FSW_CC;
    b->fx.fsw = (u16)((b->fx.fsw & ~cc) | (a->fx.fsw & cc));
    if ((ignore & IGNORE_ST) || ((ignore & IGNORE_X87_ON_FAULT) && a->vector >= 0))
        memcpy(b->fx.st, a->fx.st, sizeof(a->fx.st));
    if ((ignore & IGNORE_X87_ON_FAULT) && a->vector >= 0) {
        b->fx.fsw = a->fx.fsw;
        b->fx.ftw = a->fx.ftw;
    }
    if ((ignore & IGNORE_FLAGS_ON_INVALID) && (a->fx.fsw & FSW_ES))
        b->rflags = a->rflags;
    if ((ignore & IGNORE_MEMORY_ON_FAULT) && a->vector >= 0)
        memcpy(ours.data, host.data, sizeof(host.data));
    for (unsigned i = 0; (ignore & IGNORE_LOW_BITS) && i < sizeof(a->ymm); i += 4) {
        const i64 theirs = (i32)load_le((u8 *)a->ymm + i, 4),
                  us = (i32)load_le((u8 *)b->ymm + i, 4);

        const bool tiny = (theirs & 0x7fffffff) <= 0x800000 && (us & 0x7fffffff) <= 0x800000;

        if (llabs(theirs - us) < 0x2000 || tiny)
            memcpy((u8 *)b->ymm + i, (u8 *)a->ymm + i, 4);
    }
    /* The kernel sets P for addresses that user mode may not know about. */
    if (a->vector == VEC_PF && a->cr2 >= 0x7ffffffff000)
        b->error |= 1;
    return true;
}

static char why[4096];
static size_t why_length;

static void differ(const char *what, unsigned index, const void *theirs, const void *us,
                   unsigned bytes)
{
    why_length += (size_t)snprintf(why + why_length, sizeof(why) - why_length, "    %s %u: host ",
                                   what, index);
    for (unsigned i = bytes; i-- > 0 && why_length < sizeof(why) - 8;)
        why_length += (size_t)snprintf(why + why_length, sizeof(why) - why_length, "%02x",
                                       ((const u8 *)theirs)[i]);
    why_length += (size_t)snprintf(why + why_length, sizeof(why) - why_length, " ours ");
    for (unsigned i = bytes; i-- > 0 && why_length < sizeof(why) - 8;)
        why_length += (size_t)snprintf(why + why_length, sizeof(why) - why_length, "%02x",
                                       ((const u8 *)us)[i]);
    why_length += (size_t)snprintf(why + why_length, sizeof(why) - why_length, "\n");
    if (why_length > sizeof(why) - 400)
        why_length = sizeof(why) - 400;
}

#define DIFFER(what, index, theirs, us)                                                            \
    do {                                                                                           \
        if (memcmp(&(theirs), &(us), sizeof(us)) != 0)                                             \
            differ(what, index, &(theirs), &(us), sizeof(us));                                     \
    } while (0)

/* Host and ours, but for what is not defined. False: `why` says how they differ. */
static bool compare(void)
{
    struct native_context *a = &host.state, *b = &ours.state;
    const u64 undefined = a->vector >= 0 ? 0 : instance.row->def.flags_undefined;
    const u64 mask = (FLAGS_ARITH | FLAG_DF | FLAG_IF) & ~undefined;
    u64 flags_a, flags_b;

    why_length = 0;
    why[0] = '\0';
    if (!level(a, b))
        return true;
    flags_a = a->rflags & mask;
    flags_b = b->rflags & mask;
    DIFFER("vector", 0, a->vector, b->vector);
    if (a->vector == b->vector && a->vector >= 0) {
        if (a->vector == VEC_PF || a->vector == VEC_GP || a->vector == VEC_SS)
            DIFFER("error code", 0, a->error, b->error);
        if (a->vector == VEC_PF)
            DIFFER("cr2", 0, a->cr2, b->cr2);
    }
    for (unsigned i = 0; i < (instance.wide ? 16 : 8); i++)
        DIFFER("gpr", i, a->gpr[i], b->gpr[i]);
    DIFFER("flags", 0, flags_a, flags_b);
    for (unsigned i = 0; i < 16; i++)
        DIFFER("ymm", i, a->ymm[i], b->ymm[i]);
    DIFFER("mxcsr", 0, a->fx.mxcsr, b->fx.mxcsr);
    DIFFER("fcw", 0, a->fx.fcw, b->fx.fcw);
    DIFFER("fsw", 0, a->fx.fsw, b->fx.fsw);
    DIFFER("ftw", 0, a->fx.ftw, b->fx.ftw);
    for (unsigned i = 0; i < 8; i++) {
        DIFFER("st mantissa", i, a->fx.st[i].mant, b->fx.st[i].mant);
        DIFFER("st exponent", i, a->fx.st[i].se, b->fx.st[i].se);
    }
    for (unsigned i = 0; i < NATIVE_DATA_SIZE; i += 8) {
        if (memcmp(host.data + i, ours.data + i, 8) != 0)
            differ("memory", i, host.data + i, ours.data + i, 8);
    }
    return why_length == 0;
}

static void report(const char *path)
{
    const struct native_context *s = &instance.state;

    printf("%s \"%s\" \"%s\" (%s):", instance.row->def.name, instance.row->def.encoding,
           instance.row->def.operands, path);
    for (unsigned i = 0; i < instance.length; i++)
        printf(" %02x", instance.bytes[i]);
    printf("  [rax %llx rcx %llx rflags %llx fcw %x fsw %x ftw %x mxcsr %x]\n%s",
           (unsigned long long)s->gpr[0], (unsigned long long)s->gpr[1],
           (unsigned long long)s->rflags, s->fx.fcw, s->fx.fsw, s->fx.ftw, s->fx.mxcsr, why);
}

/* ---- which rows ---- */

/* clang-format off */
static const struct native_feature features[] = {
    {F_SSE3, 1, 0, 2, 0}, {F_PCLMUL, 1, 0, 2, 1}, {F_SSSE3, 1, 0, 2, 9}, {F_FMA, 1, 0, 2, 12},
    {F_CX16, 1, 0, 2, 13}, {F_SSE41, 1, 0, 2, 19}, {F_SSE42, 1, 0, 2, 20}, {F_MOVBE, 1, 0, 2, 22},
    {F_POPCNT, 1, 0, 2, 23}, {F_AES, 1, 0, 2, 25}, {F_AVX, 1, 0, 2, 28}, {F_F16C, 1, 0, 2, 29},
    {F_BMI1, 7, 0, 1, 3}, {F_AVX2, 7, 0, 1, 5}, {F_BMI2, 7, 0, 1, 8}, {F_ADX, 7, 0, 1, 19},
    {F_SHA, 7, 0, 1, 29}, {F_GFNI, 7, 0, 2, 8}, {F_VAES, 7, 0, 2, 9}, {F_VPCLMUL, 7, 0, 2, 10},
    {F_LZCNT, 0x80000001, 0, 2, 5}, {F_CLFLUSHOPT, 7, 0, 1, 23}, {F_CLWB, 7, 0, 1, 24},
    {F_CLZERO, 0x80000008, 0, 1, 0},
};
/* clang-format on */

static bool host_has(const struct row *row)
{
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        if (features[i].feature == (u32)row->def.feature)
            return native_cpuid_bit(&features[i]);
    }
    return true;
}

/* ---- set-up ---- */

static void map_page(u64 va, u64 gpa, u64 rights)
{
    static u64 next_table = TABLES + 0x1000;
    u64 table = TABLES;

    for (unsigned level = 4; level > 1; level--) {
        const u64 at = table + 8 * (va >> (12 + 9 * (level - 1)) & 511);
        u64 entry;

        memory_read(memory, (hpa_t){at}, &entry, 8);
        if ((entry & 1) == 0) {
            entry = next_table | 7;
            next_table += 0x1000;
            memory_write(memory, (hpa_t){at}, &entry, 8);
        }
        table = entry & ~(u64)0xfff;
    }
    gpa |= rights;
    memory_write(memory, (hpa_t){table + 8 * (va >> 12 & 511)}, &gpa, 8);
}

/* User mode with everything switched on, in 64-bit or 32-bit code. */
static void enter_user_mode(bool wide)
{
    struct cpu_state *s = &v->state;
    const u32 attr = ATTR_P | ATTR_S | ATTR_DPL | ATTR_WRITABLE | ATTR_ACCESSED | ATTR_G;

    s->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
    s->cr4 = 0x40620; /* OSXSAVE OSXMMEXCPT OSFXSR PAE */
    s->cr3 = TABLES;
    s->efer = 0xd01;
    s->xcr0 = 7;
    for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
        s->seg[seg] = (struct segment){.selector = 0x2b, .limit = ~(u32)0, .attr = attr | ATTR_DB};
    s->seg[SEG_CS] = (struct segment){.selector = wide ? NATIVE_CS64 : NATIVE_CS32,
                                      .limit = ~(u32)0,
                                      .attr = attr | ATTR_CODE | (wide ? ATTR_L : ATTR_DB)};
    mode_update(v);
}

static void setup(void)
{
    const struct cpu_wires wires = {0};
    struct error error;

    memory = memory_create(40);
    ck_assert(memory_add_ram(memory, "ram", (hpa_t){0}, RAM, &error));
    code = code_cache_create(memory, 1 << 20);
    v = vcpu_create(memory, code, &wires);
    v->now = &now;
    v->next_deadline = &next_deadline;
    v->slice_end = ~(u64)0;
    memset(v->features, 0xff, sizeof(v->features));
    vcpu_reset(v, false);
    for (u64 at = 0; at < NATIVE_DATA_SIZE; at += PAGE_SIZE)
        map_page(NATIVE_DATA + at, DATA_GPA + at, 7);
    map_page(NATIVE_CODE, DATA_GPA + NATIVE_DATA_SIZE, 5);
    data = (u8 *)(uintptr_t)memory_peek(memory, (hpa_t){DATA_GPA}, NATIVE_DATA_SIZE);
}

static void teardown(void)
{
    vcpu_destroy(v);
    code_cache_destroy(code);
    memory_destroy(memory);
}

/* NATIVE_INSTANCES in the environment: that many for each row, for a long hunt. */
static unsigned test_row(const struct row *row, bool wide)
{
    const char *wanted = getenv("NATIVE_INSTANCES");
    const unsigned instances = wanted == NULL ? INSTANCES : (unsigned)atoi(wanted);
    unsigned failures = 0;

    random_state = 0x9e3779b97f4a7c15 ^ (u64)row->opcode << 32 ^ (u64)row->map << 48 ^
                   (u64)row->accept << 16 ^ row->modrm_value;
    for (unsigned n = 0; n < instances; n++) {
        make_instance(v, row, wide);
        run_host();
        for (int generic = 0; generic < 2; generic++) {
            run_ours(generic != 0);
            if (compare())
                continue;
            if (failures++ < REPORTS)
                report(generic ? "generic" : "stamped");
        }
    }
    return failures;
}

/* NATIVE_ONLY in the environment: just rows of this name. */
static void test_rows(bool wide)
{
    const struct isa *isa = isa_get();
    const char *only = getenv("NATIVE_ONLY");
    unsigned tested = 0, bad = 0;

    enter_user_mode(wide);
    for (u32 i = 0; i < isa_row_count(isa); i++) {
        const struct row *row = isa_row(isa, i);

        if (!testable(row, wide) || (only != NULL && strcmp(only, row->def.name) != 0))
            continue;
        if (!host_has(row)) {
            printf("skipped, not on this host: %s %s\n", row->def.name, row->def.encoding);
            continue;
        }
        tested++;
        bad += test_row(row, wide) != 0;
    }
    printf("%u rows compared in %s-bit code, %u differ\n", tested, wide ? "64" : "32", bad);
    fflush(stdout); /* a failed assertion ends the process */
    ck_assert_uint_eq(bad, 0);
}

START_TEST(rows_do_in_64_bit_code_what_the_host_does)
{
    if (!native_init())
        printf("skipped: this host has no AVX\n");
    else
        test_rows(true);
}
END_TEST

START_TEST(rows_do_in_32_bit_code_what_the_host_does)
{
    if (!native_init()) {
        printf("skipped: this host has no AVX\n");
        return;
    }
    memset(&native_context, 0, sizeof(native_context));
    native_context.fx.mxcsr = 0x1f80;
    native_context.gpr[REG_RSP] = NATIVE_DATA + 0x1000;
    native_run((const u8[]){0x90}, 1, false);
    if (native_context.vector >= 0)
        printf("skipped: this host has no 32-bit code segment\n");
    else
        test_rows(false);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
    /* The sanitizer's shadow is mapped where our guest has nothing: the host would not fault. */
    printf("skipped: not under AddressSanitizer\n");
    return 77;
#endif

    Suite *suite = suite_create("native");
    TCase *cases = tcase_create("native");

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_set_timeout(cases, 280);
    tcase_add_test(cases, rows_do_in_64_bit_code_what_the_host_does);
    tcase_add_test(cases, rows_do_in_32_bit_code_what_the_host_does);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
