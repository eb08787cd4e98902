/* SPDX-License-Identifier: MIT */
/*
 * What fuzz targets share. A target is one file fuzz_<name>.c with LLVMFuzzerTestOneInput() as
 * libFuzzer defines it; any broken property ends in CHECK or a sanitizer's report. Each is linked
 * twice: with replay.c, which runs the kept corpus and a fixed number of mutations of it, and, with
 * clang and NESTBOX_FUZZ, with libFuzzer, which explores.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/check.h"
#include "base/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* The bytes of an input, taken from the front. */
struct fuzz_input {
    const u8 *at, *end;
};

static inline size_t fuzz_left(const struct fuzz_input *in)
{
    return (size_t)(in->end - in->at);
}

/* A little-endian value of 1..8 bytes; zeros stand for what is missing. */
static inline u64 fuzz_take(struct fuzz_input *in, unsigned bytes)
{
    u64 value = 0;

    for (unsigned i = 0; i < bytes && in->at < in->end; i++)
        value |= (u64)*in->at++ << (8 * i);
    return value;
}

/* 0..n-1. */
static inline u32 fuzz_below(struct fuzz_input *in, u32 n)
{
    return (u32)(fuzz_take(in, n > 256 ? 4 : 1) % n);
}

/* splitmix64 (Steele, Lea, Flood 2014), for material that is too long to come from the input. */
static inline u64 fuzz_random(u64 *state)
{
    u64 z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

#endif
