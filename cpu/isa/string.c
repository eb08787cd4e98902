/* SPDX-License-Identifier: MIT */
/*
 * MOVS, STOS, LODS, SCAS, CMPS with and without REP: SDM Vol 2, by mnemonic, and Vol 1 7.3.9. INS
 * and OUTS are in io.c.
 *
 * Each iteration retires as an instruction of its own. A REP form goes on in one call as far as the
 * budget (v->left) reaches, page by page in bulk, and is left by an RIP that stays at the
 * instruction itself. What it has done so far is architecturally committed, also when a later
 * iteration faults: the exception to the rule that a fault changes nothing. The flags of
 * SCAS and CMPS are written when the repetition ends: a fault, a trap or an interrupt before that
 * finds those from before the instruction (SDM Vol 2B, REP, about faults; Intel processors, about
 * all).
 */
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"

/*
 * One kind of string instruction. element: one iteration by the generic accesses; false: an event,
 * nothing changed. bulk: up to max iterations inside the present pages; how many it did, 0 if it
 * could not; *stop: the comparison says that the repetition ends.
 */
struct string_op {
    bool (*element)(struct vcpu *v, const struct insn *in);
    u64 (*bulk)(struct vcpu *v, const struct insn *in, u64 max, bool *stop);
    bool compares;
};

enum string_result {
    STRING_DONE,
    STRING_AGAIN, /* iterations are left: RIP stays */
    STRING_EVENT,
};

static bool goes_down(const struct vcpu *v)
{
    return (v->state.rflags & FLAG_DF) != 0;
}

/* Move rSI or rDI by so many elements. Nothing is written for none, so upper halves stay. */
static void advance(struct vcpu *v, const struct insn *in, u8 reg, u64 elements)
{
    const u64 bytes = elements * in->width;

    reg_write(v, reg, in->addr, v->state.reg[reg] + (goes_down(v) ? 0 - bytes : bytes));
}

/* ---- one element ---- */

static bool element_la(struct vcpu *v, const struct insn *in, u8 reg, u32 access, u64 *la)
{
    const enum seg seg = reg == REG_RSI ? (enum seg)in->seg : SEG_ES;

    return seg_linear(v, seg, reg_read(v, reg, in->addr), in->width, access, la);
}

/* Both ends are probed first, because the load may be of a device, whose read cannot be undone. */
static bool element_movs(struct vcpu *v, const struct insn *in)
{
    u64 from, to, value;

    if (!element_la(v, in, REG_RSI, ACCESS_READ, &from) ||
        !element_la(v, in, REG_RDI, ACCESS_WRITE, &to) || !mem_probe_read(v, from, in->width, 0) ||
        !mem_probe_write(v, to, in->width, 0) || !mem_load(v, from, in->width, 0, &value) ||
        !mem_store(v, to, in->width, 0, value))
        return false;
    advance(v, in, REG_RSI, 1);
    advance(v, in, REG_RDI, 1);
    return true;
}

static bool element_stos(struct vcpu *v, const struct insn *in)
{
    u64 to;

    if (!element_la(v, in, REG_RDI, ACCESS_WRITE, &to) ||
        !mem_store(v, to, in->width, 0, v->state.reg[REG_RAX]))
        return false;
    advance(v, in, REG_RDI, 1);
    return true;
}

static bool element_lods(struct vcpu *v, const struct insn *in)
{
    u64 from, value;

    if (!element_la(v, in, REG_RSI, ACCESS_READ, &from) || !mem_load(v, from, in->width, 0, &value))
        return false;
    reg_write(v, REG_RAX, in->width, value);
    advance(v, in, REG_RSI, 1);
    return true;
}

static bool element_scas(struct vcpu *v, const struct insn *in)
{
    const u64 a = reg_read(v, REG_RAX, in->width);
    u64 la, b;

    if (!element_la(v, in, REG_RDI, ACCESS_READ, &la) || !mem_load(v, la, in->width, 0, &b))
        return false;
    flags_sub(v, a, b, a - b, in->width);
    advance(v, in, REG_RDI, 1);
    return true;
}

static bool element_cmps(struct vcpu *v, const struct insn *in)
{
    u64 la_a, la_b, a, b;

    if (!element_la(v, in, REG_RSI, ACCESS_READ, &la_a) ||
        !element_la(v, in, REG_RDI, ACCESS_READ, &la_b) || !mem_probe_read(v, la_b, in->width, 0) ||
        !mem_load(v, la_a, in->width, 0, &a) || !mem_load(v, la_b, in->width, 0, &b))
        return false;
    flags_sub(v, a, b, a - b, in->width);
    advance(v, in, REG_RSI, 1);
    advance(v, in, REG_RDI, 1);
    return true;
}

/* ---- in bulk ---- */

/* How many elements from rSI or rDI on lie in one page, before the index register wraps. */
static u64 span(const struct vcpu *v, const struct insn *in, u8 reg)
{
    const u8 seg = reg == REG_RSI ? in->seg : SEG_ES;
    const u64 offset = reg_read(v, reg, in->addr);
    const u64 in_page = (offset + v->segbase[seg]) & PAGE_OFFSET_MASK;
    u64 by_page, by_wrap;

    if (!goes_down(v)) {
        by_page = (PAGE_SIZE - in_page) / in->width;
        by_wrap = (width_mask(in->addr) - offset) / in->width;
    } else {
        by_page = in_page + in->width > PAGE_SIZE ? 0 : in_page / in->width + 1;
        by_wrap = offset / in->width + 1;
    }
    return by_page < by_wrap ? by_page : by_wrap;
}

/* Host address of the lowest of n elements from rSI or rDI on; NULL: element by element, please. */
static u8 *bulk_ptr(struct vcpu *v, const struct insn *in, u8 reg, u64 n, u32 access)
{
    const enum seg seg = reg == REG_RSI ? (enum seg)in->seg : SEG_ES;
    const u32 size = (u32)n * in->width;
    const u64 offset =
        reg_read(v, reg, in->addr) - (goes_down(v) ? (u64)(size - in->width) : (u64)0);
    u64 la;

    if (!seg_linear(v, seg, offset, size, access, &la)) {
        v->event.kind = EVENT_NONE; /* the iteration that is really beyond the limit raises it */
        return NULL;
    }
    return access == ACCESS_WRITE ? mem_write_ptr(v, la, size) : mem_read_ptr(v, la, size);
}

static u64 min_u64(u64 a, u64 b)
{
    return a < b ? a : b;
}

/*
 * Copy as element after element in ascending order does: where the destination begins inside the
 * source, the bytes between the two repeat. Copying a multiple of that period at a time, which
 * grows, gives the same.
 */
static void copy_up(u8 *to, const u8 *from, u64 bytes, unsigned w)
{
    const u64 ahead = (u64)(to - from);

    if (ahead == 0)
        return;
    if (ahead >= bytes) { /* also if to lies below from */
        memmove(to, from, bytes);
        return;
    }
    if (ahead < w) {
        for (u64 i = 0; i < bytes; i += w)
            store_le(to + i, load_le(from + i, w), w);
        return;
    }
    for (u64 done = 0; done < bytes;) {
        const u64 n = min_u64(done + ahead - (done + ahead) % ahead, bytes - done);

        memcpy(to + done, from, n);
        done += n;
    }
}

static void copy_down(u8 *to, const u8 *from, u64 bytes, unsigned w)
{
    if (to >= from || (u64)(from - to) >= bytes) {
        memmove(to, from, bytes);
        return;
    }
    for (u64 i = bytes; i != 0; i -= w)
        store_le(to + i - w, load_le(from + i - w, w), w);
}

static u64 bulk_movs(struct vcpu *v, const struct insn *in, u64 max, bool *stop)
{
    const u64 n = min_u64(max, min_u64(span(v, in, REG_RSI), span(v, in, REG_RDI)));
    const u8 *from;
    u8 *to;

    (void)stop;
    if (n == 0)
        return 0;
    from = bulk_ptr(v, in, REG_RSI, n, ACCESS_READ);
    to = from == NULL ? NULL : bulk_ptr(v, in, REG_RDI, n, ACCESS_WRITE);
    if (to == NULL)
        return 0;
    (goes_down(v) ? copy_down : copy_up)(to, from, n * in->width, in->width);
    advance(v, in, REG_RSI, n);
    advance(v, in, REG_RDI, n);
    return n;
}

static void fill(u8 *to, u64 value, u64 n, unsigned w)
{
    if (w == 1 || value == 0) {
        memset(to, (int)value, n * w);
        return;
    }
    value *= w == 2 ? 0x0001000100010001 : w == 4 ? 0x0000000100000001 : 1;
    for (n *= w; n >= 8; n -= 8, to += 8)
        store_le(to, value, 8);
    memcpy(to, &value, n);
}

/* How many of n elements are already what they would be made: a table or a piece of code that is
 * cleared to be used anew is mostly zero, and nobody who watches it can tell. */
static u64 stos_unchanged(struct vcpu *v, const struct insn *in, u64 n)
{
    const u64 value = reg_read(v, REG_RAX, in->width);
    const u64 offset = reg_read(v, REG_RDI, in->addr);
    const u8 *at;
    u64 la;

    if (goes_down(v) || !seg_linear(v, SEG_ES, offset, (u32)n * in->width, ACCESS_WRITE, &la)) {
        v->event.kind = EVENT_NONE;
        return 0;
    }
    at = mem_watched_ptr(v, la, (u32)n * in->width);
    for (u64 i = 0; i < n; i++) {
        if (at == NULL || load_le(at + i * in->width, in->width) != value)
            return i;
    }
    return n;
}

static u64 bulk_stos(struct vcpu *v, const struct insn *in, u64 max, bool *stop)
{
    u64 n = min_u64(max, span(v, in, REG_RDI));
    u8 *to = n == 0 ? NULL : bulk_ptr(v, in, REG_RDI, n, ACCESS_WRITE);

    (void)stop;
    if (to == NULL) {
        n = n == 0 ? 0 : stos_unchanged(v, in, n);
        advance(v, in, REG_RDI, n);
        return n;
    }
    fill(to, reg_read(v, REG_RAX, in->width), n, in->width);
    advance(v, in, REG_RDI, n);
    return n;
}

/* Only the last element stays in rAX. */
static u64 bulk_lods(struct vcpu *v, const struct insn *in, u64 max, bool *stop)
{
    const u64 n = min_u64(max, span(v, in, REG_RSI));
    const u8 *from = n == 0 ? NULL : bulk_ptr(v, in, REG_RSI, n, ACCESS_READ);

    (void)stop;
    if (from == NULL)
        return 0;
    if (!goes_down(v))
        from += (n - 1) * in->width;
    reg_write(v, REG_RAX, in->width, load_le(from, in->width));
    advance(v, in, REG_RSI, n);
    return n;
}

/* Two rows of elements, one standing still if it has no step. */
struct rows {
    const u8 *a, *b;
    i64 step_a, step_b;
    bool while_equal; /* REPE, not REPNE */
};

/*
 * Compare n elements. How many were compared up to and including the first that ends the
 * repetition, which is then in *stop.
 */
static ALWAYS_INLINE u64 compare_width(struct vcpu *v, const struct rows *r, u64 n, bool *stop,
                                       unsigned w)
{
    u64 x = 0, y = 0, i = 0;

    *stop = false;
    while (i < n && !*stop) {
        x = load_le(r->a + (i64)i * r->step_a, w);
        y = load_le(r->b + (i64)i * r->step_b, w);
        *stop = (x == y) != r->while_equal;
        i++;
    }
    flags_sub(v, x, y, x - y, w);
    return i;
}

static u64 compare(struct vcpu *v, const struct insn *in, const u8 *a, bool a_moves, const u8 *b,
                   u64 n, bool *stop)
{
    const i64 step = goes_down(v) ? -(i64)in->width : (i64)in->width;
    struct rows r = {a, b, a_moves ? step : 0, step, (in->prefix & PREFIX_REP) != 0};

    if (goes_down(v)) { /* bulk_ptr() gives the lowest element */
        r.a += a_moves ? (n - 1) * in->width : 0;
        r.b += (n - 1) * in->width;
    }
    switch (in->width) {
    case 1: return compare_width(v, &r, n, stop, 1);
    case 2: return compare_width(v, &r, n, stop, 2);
    case 4: return compare_width(v, &r, n, stop, 4);
    default: return compare_width(v, &r, n, stop, 8);
    }
}

static u64 bulk_scas(struct vcpu *v, const struct insn *in, u64 max, bool *stop)
{
    const u64 n = min_u64(max, span(v, in, REG_RDI));
    const u8 *b = n == 0 ? NULL : bulk_ptr(v, in, REG_RDI, n, ACCESS_READ);
    u8 a[8];
    u64 done;

    if (b == NULL)
        return 0;
    store_le(a, v->state.reg[REG_RAX], 8);
    done = compare(v, in, a, false, b, n, stop);
    advance(v, in, REG_RDI, done);
    return done;
}

static u64 bulk_cmps(struct vcpu *v, const struct insn *in, u64 max, bool *stop)
{
    const u64 n = min_u64(max, min_u64(span(v, in, REG_RSI), span(v, in, REG_RDI)));
    const u8 *a, *b;
    u64 done;

    if (n == 0)
        return 0;
    a = bulk_ptr(v, in, REG_RSI, n, ACCESS_READ);
    b = a == NULL ? NULL : bulk_ptr(v, in, REG_RDI, n, ACCESS_READ);
    if (b == NULL)
        return 0;
    done = compare(v, in, a, true, b, n, stop);
    advance(v, in, REG_RSI, done);
    advance(v, in, REG_RDI, done);
    return done;
}

/* ---- REP ---- */

/* An iteration raised an event after `done` others. */
static enum string_result interrupted(struct vcpu *v, u64 done)
{
    if (done == 0)
        return STRING_EVENT;
    if (v->event.kind == EVENT_REDO) { /* what cannot be done here begins the next entry */
        v->event.kind = EVENT_NONE;
        v->left -= (i64)done - 1;
        return STRING_AGAIN;
    }
    v->left -= (i64)done; /* the engine gives back the instruction's own count */
    return STRING_EVENT;
}

/*
 * Iterations up to the budget. Alone, or with a data breakpoint armed, it is one at a time: TF
 * traps after each, and devices must see the exact time.
 */
static enum string_result repeat(struct vcpu *v, const struct insn *in, const struct string_op *op)
{
    const bool single = v->alone || v->watching;
    const u64 count = reg_read(v, REG_RCX, in->addr);
    const u64 budget = single || v->left < 0 ? 1 : (u64)v->left + 1;
    const u64 max = min_u64(count, budget);
    const bool bulk = !single && (v->mode & MODE_ALIGN) == 0;
    const struct lazy_flags before = v->lazy;
    enum string_result result = STRING_DONE;
    bool stop = false;
    u64 done = 0;

    if (count == 0)
        return STRING_DONE;
    while (done < max && !stop) {
        u64 n = bulk ? op->bulk(v, in, max - done, &stop) : 0;

        if (n == 0) {
            if (!op->element(v, in)) {
                result = interrupted(v, done);
                break;
            }
            n = 1;
            stop = op->compares && flag_zf(v) != ((in->prefix & PREFIX_REP) != 0);
        }
        done += n;
    }
    if (done != 0)
        reg_write(v, REG_RCX, in->addr, count - done);
    if (result == STRING_DONE) {
        v->left -= (i64)done - 1;
        if (done == count || stop)
            return STRING_DONE;
        result = STRING_AGAIN;
    }
    v->lazy = before;
    return result;
}

static bool is_repeated(const struct insn *in)
{
    return (in->prefix & (PREFIX_REP | PREFIX_REPNE)) != 0;
}

static bool string_exec(struct vcpu *v, const struct insn *in, const struct string_op *op)
{
    enum string_result result;

    if (!is_repeated(in))
        return op->element(v, in);
    result = repeat(v, in, op);
    if (result == STRING_AGAIN)
        v->next_rip = v->insn_rip;
    return result != STRING_EVENT;
}

/* A REP form that is not done: RIP stays, or the event leaves. */
static const struct insn *string_leave(struct vcpu *v, const struct insn *in,
                                       enum string_result result)
{
    if (result == STRING_EVENT)
        return leave_event(v, in);
    v->state.reg[REG_RIP] = insn_rip(v, in) & v->la_mask;
    if (v->block == NULL)
        return leave_boundary(v);
    return enter_at_rip(v);
}

/* The stamped REP forms only spare the generic path's overhead. They end their block. */
#define STRING_OP(op, compares)                                                                    \
    static const struct string_op op##_op = {element_##op, bulk_##op, compares};                   \
    static bool exec_##op(struct vcpu *v, const struct insn *in, struct operands *x)               \
    {                                                                                              \
        (void)x;                                                                                   \
        return string_exec(v, in, &op##_op);                                                       \
    }                                                                                              \
    STAMP_FN(run_rep_##op)                                                                         \
    {                                                                                              \
        const enum string_result result = repeat(v, in, &op##_op);                                 \
        if (unlikely(result != STRING_DONE))                                                       \
            return string_leave(v, in, result);                                                    \
        NEXT(v, in);                                                                               \
    }
STRING_OP(movs, false)
STRING_OP(stos, false)
STRING_OP(lods, false)
STRING_OP(scas, true)
STRING_OP(cmps, true)

/* ---- stamped single forms: flat data segments, a is the mode's own address size ---- */

#define STRING_STEP(v, w) ((u64)(i64)(goes_down(v) ? -(w) : (w)))

#define STRING_STAMP_(w, a)                                                                        \
    STAMP_FN(run_lods_##w##_##a)                                                                   \
    {                                                                                              \
        const u64 from = v->state.reg[REG_RSI] & width_mask(a);                                    \
        STAMP_PTR(p, rtag, from, w, ACCESS_READ);                                                  \
        reg_write(v, REG_RAX, w, load_le(p, w));                                                   \
        v->state.reg[REG_RSI] = (from + STRING_STEP(v, w)) & width_mask(a);                        \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_stos_##w##_##a)                                                                   \
    {                                                                                              \
        const u64 to = v->state.reg[REG_RDI] & width_mask(a);                                      \
        STAMP_PTR(p, wtag, to, w, ACCESS_WRITE);                                                   \
        store_le(p, v->state.reg[REG_RAX], w);                                                     \
        v->state.reg[REG_RDI] = (to + STRING_STEP(v, w)) & width_mask(a);                          \
        NEXT(v, in);                                                                               \
    }                                                                                              \
    STAMP_FN(run_movs_##w##_##a)                                                                   \
    {                                                                                              \
        const u64 from = v->state.reg[REG_RSI] & width_mask(a);                                    \
        const u64 to = v->state.reg[REG_RDI] & width_mask(a);                                      \
        STAMP_PTR(p, rtag, from, w, ACCESS_READ);                                                  \
        u8 *q = mem_write_ptr(v, to, w); /* a miss must not evict p and start over */              \
        if (unlikely(q == NULL))                                                                   \
            GENERIC(v, in);                                                                        \
        store_le(q, load_le(p, w), w);                                                             \
        v->state.reg[REG_RSI] = (from + STRING_STEP(v, w)) & width_mask(a);                        \
        v->state.reg[REG_RDI] = (to + STRING_STEP(v, w)) & width_mask(a);                          \
        NEXT(v, in);                                                                               \
    }
#define STRING_STAMP(w) STRING_STAMP_(w, 4) STRING_STAMP_(w, 8)
STRING_STAMP(1)
STRING_STAMP(2)
STRING_STAMP(4)
STRING_STAMP(8)

static bool stampable(const struct insn *in, u32 mode)
{
    if ((mode & MODE_ALIGN) != 0 || in->seg == SEG_FS || in->seg == SEG_GS)
        return false;
    if ((mode & MODE_CODE64) != 0)
        return in->addr == 8;
    return in->addr == 4 && (mode & MODE_FLAT_DATA) != 0 && in->seg != SEG_CS;
}

#define STRING_PICK(op)                                                                            \
    static insn_run stamp_##op(const struct insn *in, u32 mode)                                    \
    {                                                                                              \
        static const insn_run table[2][4] = {{run_##op##_1_4, run_##op##_2_4, run_##op##_4_4,      \
                                              run_##op##_8_4},                                     \
                                             {run_##op##_1_8, run_##op##_2_8, run_##op##_4_8,      \
                                              run_##op##_8_8}};                                    \
        if (is_repeated(in))                                                                       \
            return run_rep_##op;                                                                   \
        return stampable(in, mode) ? table[in->addr == 8][stamp_width(in)] : NULL;                 \
    }
STRING_PICK(movs)
STRING_PICK(stos)
STRING_PICK(lods)

static insn_run stamp_scas(const struct insn *in, u32 mode)
{
    (void)mode;
    return is_repeated(in) ? run_rep_scas : NULL;
}

static insn_run stamp_cmps(const struct insn *in, u32 mode)
{
    (void)mode;
    return is_repeated(in) ? run_rep_cmps : NULL;
}

/* clang-format off */
#define MOVES .flags_read = FLAG_DF
#define COMPARES .flags_read = FLAG_DF, .flags_written = FLAGS_ARITH

const struct insn_def isa_string[] = {
    {"movs", "a4", "Yb,Xb", exec_movs, STRING, MOVES, .stamp = stamp_movs},
    {"movs", "a5", "Yv,Xv", exec_movs, STRING, MOVES, .stamp = stamp_movs},
    {"cmps", "a6", "Xb,Yb", exec_cmps, STRING, COMPARES, .stamp = stamp_cmps},
    {"cmps", "a7", "Xv,Yv", exec_cmps, STRING, COMPARES, .stamp = stamp_cmps},
    {"stos", "aa", "Yb,AL", exec_stos, STRING, MOVES, .stamp = stamp_stos},
    {"stos", "ab", "Yv,rAX", exec_stos, STRING, MOVES, .stamp = stamp_stos},
    {"lods", "ac", "AL,Xb", exec_lods, STRING, MOVES, .stamp = stamp_lods},
    {"lods", "ad", "rAX,Xv", exec_lods, STRING, MOVES, .stamp = stamp_lods},
    {"scas", "ae", "AL,Yb", exec_scas, STRING, COMPARES, .stamp = stamp_scas},
    {"scas", "af", "rAX,Yv", exec_scas, STRING, COMPARES, .stamp = stamp_scas},
    {0},
};
/* clang-format on */
