/* SPDX-License-Identifier: MIT */
/*
 * The code cache: blocks decoded from guest memory, found by host address and mode, thrown away
 * when their bytes change. One arena; when it is full everything goes. Nothing here is visible to a
 * guest.
 */
#include "cpu/block.h"

#include "base/check.h"
#include "cpu/jit/jit.h"

#include <stdlib.h>
#include <sys/mman.h>

static void *map_zero(u64 bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    CHECK(p != MAP_FAILED);
    return p;
}

/* A stale block is entered only through an old link: look again. */
static const struct insn *run_stale(struct vcpu *v, const struct insn *in)
{
    (void)in;
    v->left += v->block->count;
    return enter_at_rip(v);
}

static void unhash(struct code_cache *code, struct block *block)
{
    struct block **at = &code->hash[code_hash(block->host, block->mode)];

    while (*at != NULL && *at != block)
        at = &(*at)->chain;
    if (*at != NULL)
        *at = block->chain;
}

/* The memory's hook: bytes of this frame are about to change. */
static void code_written(void *ctx, u64 frame, u32 mask)
{
    struct code_cache *code = ctx;
    struct block **at = &code->frame_blocks[frame];
    u32 kept = 0;

    while (*at != NULL) {
        struct block *block = *at;
        const u32 first = (u32)((uintptr_t)block->host & PAGE_OFFSET_MASK);
        const u32 parts = (u32)BITS((first + block->length - 1u) >> 7, first >> 7);

        if ((parts & mask) == 0) {
            kept |= parts;
            at = &block->page_next;
            continue;
        }
        *at = block->page_next;
        unhash(code, block);
        block->stale = true;
        block->insns[0].run = run_stale;
        if (code->jit != NULL)
            jit_forget(code->jit, block);
    }
    memory_code_clear(code->memory, frame, ~kept);
}

struct code_cache *code_cache_create(struct memory *memory, u64 arena_bytes)
{
    struct code_cache *code = calloc(1, sizeof(*code));

    CHECK(code != NULL);
    code->memory = memory;
    code->arena_size = arena_bytes;
    code->room_size = arena_bytes / 2;
    code->arena = map_zero(arena_bytes + code->room_size);
    code->room = code->arena + arena_bytes;
    code->hash = map_zero(CODE_HASH_SIZE * sizeof(*code->hash));
    code->frame_count = memory_frame_count(memory);
    code->frame_blocks =
        map_zero(align_up(code->frame_count * sizeof(*code->frame_blocks) + 1, PAGE_SIZE));
    memory_set_code_hook(memory, code_written, code);
    return code;
}

bool code_cache_translate(struct code_cache *code, u8 heat)
{
    if (code->jit != NULL)
        return true;
    if (!jit_possible() ||
        mprotect(code->room, code->room_size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        return false;
    code->jit = jit_create(code, code->room, code->room_size, heat);
    return true;
}

void code_cache_destroy(struct code_cache *code)
{
    if (code == NULL)
        return;
    jit_destroy(code->jit);
    munmap(code->arena, code->arena_size + code->room_size);
    munmap(code->hash, CODE_HASH_SIZE * sizeof(*code->hash));
    munmap(code->frame_blocks,
           align_up(code->frame_count * sizeof(*code->frame_blocks) + 1, PAGE_SIZE));
    free(code);
}

void code_cache_flush(struct code_cache *code)
{
    for (u64 frame = 0; frame < code->frame_count; frame++) {
        if (code->frame_blocks[frame] != NULL) {
            code->frame_blocks[frame] = NULL;
            memory_code_clear(code->memory, frame, ~(u32)0);
        }
    }
    memset(code->hash, 0, CODE_HASH_SIZE * sizeof(*code->hash));
    code->arena_used = 0;
    code->flushes++;
    if (code->jit != NULL)
        jit_reset(code->jit);
}

struct block *block_find(struct code_cache *code, const u8 *host, u32 mode)
{
    struct block **slot = &code->hash[code_hash(host, mode)];

    for (struct block **at = slot; *at != NULL; at = &(*at)->chain) {
        struct block *block = *at;

        if (block->host == host && block->mode == mode) {
            *at = block->chain; /* to the front */
            block->chain = *slot;
            *slot = block;
            return block;
        }
    }
    return NULL;
}

struct block *block_reserve(struct code_cache *code)
{
    const u64 most = sizeof(struct block) + (BLOCK_MAX + 1) * sizeof(struct insn);

    if (code->arena_used + most > code->arena_size)
        code_cache_flush(code);
    return (struct block *)(void *)(code->arena + code->arena_used);
}

void block_publish(struct code_cache *code, struct block *block)
{
    const u64 bytes = sizeof(*block) + (block->count + 1u) * sizeof(struct insn);
    struct block **slot = &code->hash[code_hash(block->host, block->mode)];

    code->arena_used = align_up(code->arena_used + bytes, 16);
    block->first = block->insns;
    if (code->jit != NULL)
        jit_watch(code->jit, block);
    block->frame = memory_frame_of(code->memory, block->host);
    CHECK(block->frame < code->frame_count);
    block->chain = *slot;
    *slot = block;
    block->page_next = code->frame_blocks[block->frame];
    code->frame_blocks[block->frame] = block;
    memory_code_mark(code->memory, block->host, block->length);
}
