/* SPDX-License-Identifier: MIT */
/*
 * The decoder, in each mode: it reads no byte beyond those it is given, an instruction's length
 * does not depend on what follows it, and "more bytes wanted" is said exactly when they are. Input:
 * one byte of mode, one of features, then code.
 */
#include "cpu/encoding.h"
#include "cpu/engine.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 15 };

static const u32 modes[] = {
    0,
    MODE_V86 | MODE_OPEN_DS,
    MODE_PROT | MODE_CPL0,
    MODE_PROT | MODE_CODE32 | MODE_STACK32 | MODE_FLAT_CS | MODE_FLAT_DATA,
    MODE_PROT | MODE_CODE64 | MODE_STACK32 | MODE_FLAT_CS | MODE_FLAT_DATA | MODE_CPL0,
    MODE_PROT | MODE_CODE64 | MODE_ALIGN | MODE_NO_SSE | MODE_NO_MMX | MODE_NO_AVX | MODE_NO_X87,
};

static struct vcpu *cpu(u32 mode, u8 features)
{
    static struct vcpu *v;

    if (v == NULL) {
        v = aligned_alloc(64, align_up(sizeof(*v), 64));
        CHECK(v != NULL);
        memset(v, 0, sizeof(*v));
    }
    memset(v->features, features, sizeof(v->features));
    v->mode = mode;
    return v;
}

/* Decode from memory that ends behind these bytes. */
static enum decode decode_exactly(struct vcpu *v, const u8 *bytes, u32 count, struct insn *in)
{
    u8 *copy = malloc(count > 0 ? count : 1);
    enum decode result;

    CHECK(copy != NULL);
    memcpy(copy, bytes, count);
    memset(in, 0, sizeof(*in));
    result = decode(v, copy, count, in);
    free(copy);
    return result;
}

/* Returns the length, or 1 where there is no instruction. */
static u32 check_one(struct vcpu *v, const u8 *bytes, u32 available)
{
    struct insn whole;
    struct insn part;
    const enum decode result = decode_exactly(v, bytes, available, &whole);

    if (result == DECODE_TRUNCATED) {
        CHECK(available < LONGEST);
        return 1;
    }
    CHECK(whole.run != NULL && whole.def != NULL && whole.def->name != NULL);
    CHECK(whole.pos == 0);
    CHECK(result == DECODE_TOO_LONG || (whole.len >= 1 && whole.len <= available));
    (void)insn_ends_block(&whole);
    if (result != DECODE_OK)
        return 1;
    for (u32 count = 0; count < whole.len; count++)
        CHECK(decode_exactly(v, bytes, count, &part) == DECODE_TRUNCATED);
    CHECK(decode_exactly(v, bytes, whole.len, &part) == DECODE_OK);
    CHECK(part.len == whole.len && part.def == whole.def && part.run == whole.run);
    return whole.len;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    const u32 mode = modes[fuzz_below(&in, ARRAY_SIZE(modes))];
    struct vcpu *v = cpu(mode, (u8)~fuzz_take(&in, 1));

    while (fuzz_left(&in) > 0) {
        const size_t left = fuzz_left(&in);

        in.at += check_one(v, in.at, left < LONGEST ? (u32)left : LONGEST);
    }
    return 0;
}
