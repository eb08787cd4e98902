/* SPDX-License-Identifier: MIT */
/* Scalar types, address types and compiler attributes that every layer uses. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

/*
 * Address kinds. A linear address (gva) is a plain u64, because it is computed with registers all
 * the time. The physical kinds are structs, so that one is never passed for another:
 *   gpa_t  what a guest's own page tables yield
 *   hpa_t  what the last stage yields: an address in the machine's physical address space
 */
typedef struct {
    u64 v;
} gpa_t;

typedef struct {
    u64 v;
} hpa_t;

enum { PAGE_SHIFT = 12, PAGE_SIZE = 1 << PAGE_SHIFT };
#define PAGE_OFFSET_MASK ((u64)PAGE_SIZE - 1)

#define MUST_CHECK __attribute__((warn_unused_result))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((noinline, cold))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
