/* SPDX-License-Identifier: MIT */
/*
 * The physical address space: slots, their flattened views, A20, and reads. Stores and frame
 * records are in mmu/frame.c.
 *
 * Bytes, frame records and table records are three reservations of host address space made at start
 * and opened as slots are added, so that RAM which nobody touches costs nothing and nothing moves.
 */
#include "base/bits.h"
#include "base/check.h"
#include "mmu/memory_impl.h"
#include "mmu/shadow/shadow.h"
#include "mmu/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Address space to ask for, in frames: 256 GiB of RAM, or less where the host limits us. */
static const u64 capacity_most = BIT(38) >> PAGE_SHIFT;
static const u64 capacity_least = BIT(26) >> PAGE_SHIFT;
/* Large slots begin at a large host page, so that the kernel may map them with such. */
static const u64 huge_bytes = BIT(21);
/* No less than the page size of any host. */
static const u64 host_page = BIT(16);

static const struct slot hole = {.size = ~(u64)0, .kind = SLOT_HOLE, .name = "hole"};

/* Address space of at least size bytes that begins at a large host page. */
static void *reserve(u64 size)
{
    const u64 whole = align_up(size, huge_bytes) + huge_bytes;
    u8 *at = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    u64 head;

    if (at == MAP_FAILED)
        return NULL;
    head = align_up((u64)(uintptr_t)at, huge_bytes) - (u64)(uintptr_t)at;
    if (head > 0)
        munmap(at, head);
    munmap(at + whole - huge_bytes + head, huge_bytes - head);
    return at + head;
}

static void release(void *at, u64 size)
{
    if (at != NULL)
        munmap(at, align_up(size, huge_bytes));
}

static void release_all(struct memory *memory)
{
    release(memory->bytes, memory->capacity * PAGE_SIZE);
    release(memory->frames, memory->capacity * sizeof(struct frame));
    release(memory->tables, (memory->capacity + 1) * sizeof(struct table));
}

static bool reserve_all(struct memory *memory, u64 capacity)
{
    memory->capacity = capacity;
    memory->bytes = reserve(capacity * PAGE_SIZE);
    memory->frames = reserve(capacity * sizeof(struct frame));
    memory->tables = reserve((capacity + 1) * sizeof(struct table));
    if (memory->bytes != NULL && memory->frames != NULL && memory->tables != NULL)
        return true;
    release_all(memory);
    return false;
}

/* Make bytes from..to of a reservation usable (whole host pages). */
static bool open_reserved(void *area, u64 from, u64 to)
{
    const u64 first = align_down(from, host_page);

    return mprotect((u8 *)area + first, align_up(to, host_page) - first, PROT_READ | PROT_WRITE) ==
           0;
}

/* Room for size bytes of RAM or ROM with their records. NULL if there is none. */
static u8 *bytes_allocate(struct memory *memory, u64 size, u64 *first_frame)
{
    const u64 grain = size >= huge_bytes ? huge_bytes >> PAGE_SHIFT : 1;
    const u64 first = align_up(memory->frame_count, grain);
    const u64 count = size >> PAGE_SHIFT;
    u8 *host = memory->bytes + first * PAGE_SIZE;

    if (count > memory->capacity || first > memory->capacity - count)
        return NULL;
    if (!open_reserved(memory->bytes, first * PAGE_SIZE, (first + count) * PAGE_SIZE) ||
        !open_reserved(memory->frames, memory->frame_count * sizeof(struct frame),
                       (first + count) * sizeof(struct frame)) ||
        !open_reserved(memory->tables, memory->frame_count * sizeof(struct table),
                       (first + count + 1) * sizeof(struct table)))
        return NULL;
    if (grain > 1) /* a hint: failure changes nothing */
        (void)madvise(host, size, MADV_HUGEPAGE);
    memory->frame_count = first + count;
    *first_frame = first;
    return host;
}

/* ---- flattening ---- */

static int compare_borders(const void *a, const void *b)
{
    const u64 x = *(const u64 *)a, y = *(const u64 *)b;

    return x < y ? -1 : x > y;
}

static const struct slot *slot_on_top(const struct memory *memory, u64 at, bool smm)
{
    const struct slot *found = &hole;

    for (u32 i = 0; i < memory->slots; i++) {
        const struct slot *slot = &memory->slot[i];

        if (memory->info[i].hidden || memory->info[i].smram || at - slot->base >= slot->size)
            continue;
        found = slot;
    }
    for (u32 i = 0; smm && i < memory->slots; i++) {
        if (memory->info[i].smram && at - memory->slot[i].base < memory->slot[i].size)
            found = &memory->slot[i];
    }
    return found;
}

static void view_build(struct memory *memory, struct view *view, bool smm)
{
    u64 border[MEMORY_RANGES];
    u32 borders = 0;

    border[borders++] = 0;
    for (u32 i = 0; i < memory->slots; i++) {
        border[borders++] = memory->slot[i].base;
        border[borders++] = memory->slot[i].base + memory->slot[i].size;
    }
    qsort(border, borders, sizeof(border[0]), compare_borders);

    view->count = 0;
    view->hot = 0;
    for (u32 i = 0; i < borders; i++) {
        const struct slot *slot = slot_on_top(memory, border[i], smm);
        struct range *before = view->count > 0 ? &view->range[view->count - 1] : NULL;

        if (i > 0 && border[i] == border[i - 1])
            continue;
        if (before != NULL && before->slot == slot)
            continue;
        if (before != NULL)
            before->last = border[i] - 1;
        view->range[view->count++] = (struct range){border[i], ~(u64)0, slot};
    }
}

static void slots_changed(struct memory *memory)
{
    view_build(memory, &memory->plain, false);
    view_build(memory, &memory->smm, true);
    memory_revoke_all(memory);
}

const struct slot *view_search(struct view *view, u64 at)
{
    u32 low = 0, high = view->count - 1;

    while (low < high) {
        const u32 middle = (low + high + 1) / 2;

        if (view->range[middle].base <= at)
            low = middle;
        else
            high = middle - 1;
    }
    view->hot = low;
    return view->range[low].slot;
}

/* ---- life and slots ---- */

struct memory *memory_create(u32 phys_bits)
{
    struct memory *memory = calloc(1, sizeof(*memory));
    u64 capacity = capacity_most;

    CHECK(memory != NULL);
    CHECK(phys_bits >= 32 && phys_bits <= 52);
    while (!reserve_all(memory, capacity)) {
        capacity /= 2;
        CHECK(capacity >= capacity_least);
    }
    memory->phys_bits = phys_bits;
    memory->a20_mask = ~(u64)0;
    memory->epoch = 1;
    memory->write_epoch = 1;
    slots_changed(memory);
    return memory;
}

struct shadow *memory_shadow(const struct memory *memory)
{
    return memory->shadow;
}

void memory_destroy(struct memory *memory)
{
    if (memory == NULL)
        return;
    shadow_destroy(memory->shadow);
    release_all(memory);
    free(memory);
}

static struct slot *slot_new(struct memory *memory, const char *name, u64 base, u64 size,
                             struct error *error)
{
    const u64 space = BIT(memory->phys_bits);

    if (((base | size) & PAGE_OFFSET_MASK) != 0 || size == 0) {
        error_set(error, "memory slot %s: base and size must be multiples of 4096", name);
        return NULL;
    }
    if (base >= space || size > space - base) {
        error_set(error, "memory slot %s: does not fit into %u physical address bits", name,
                  memory->phys_bits);
        return NULL;
    }
    if (memory->slots == MEMORY_SLOTS) {
        error_set(error, "memory slot %s: there are already %d slots", name, MEMORY_SLOTS);
        return NULL;
    }
    memory->info[memory->slots] = (struct slot_info){0};
    memory->slot[memory->slots] = (struct slot){.base = base, .size = size, .name = name};
    return &memory->slot[memory->slots];
}

static bool add_bytes(struct memory *memory, const char *name, hpa_t base, u64 size,
                      enum slot_kind kind, bool smram, struct error *error)
{
    struct slot *slot = slot_new(memory, name, base.v, size, error);

    if (slot == NULL)
        return false;
    slot->kind = kind;
    slot->host = bytes_allocate(memory, size, &slot->first_frame);
    if (slot->host == NULL)
        return error_set(error, "memory slot %s: no room for %llu bytes on this host", name,
                         (unsigned long long)size);
    memory->info[memory->slots++].smram = smram;
    slots_changed(memory);
    return true;
}

bool memory_add_ram(struct memory *memory, const char *name, hpa_t base, u64 size,
                    struct error *error)
{
    return add_bytes(memory, name, base, size, SLOT_RAM, false, error);
}

bool memory_add_rom(struct memory *memory, const char *name, hpa_t base, u64 size,
                    struct error *error)
{
    return add_bytes(memory, name, base, size, SLOT_ROM, false, error);
}

bool memory_add_smram(struct memory *memory, hpa_t base, u64 size, struct error *error)
{
    return add_bytes(memory, "smram", base, size, SLOT_RAM, true, error);
}

bool memory_add_alias(struct memory *memory, const char *name, hpa_t base, u64 size, hpa_t of,
                      struct error *error)
{
    struct slot *slot = slot_new(memory, name, base.v, size, error);

    if (slot == NULL)
        return false;
    for (u32 i = memory->slots; i-- > 0;) {
        const struct slot *target = &memory->slot[i];
        const u64 offset = of.v - target->base;

        if (!slot_has_bytes(target) || memory->info[i].smram || offset >= target->size ||
            size > target->size - offset || (offset & PAGE_OFFSET_MASK) != 0)
            continue;
        slot->kind = target->kind;
        slot->host = target->host + offset;
        slot->first_frame = target->first_frame + (offset >> PAGE_SHIFT);
        memory->info[memory->slots++].alias = true;
        slots_changed(memory);
        return true;
    }
    return error_set(error, "memory slot %s: no RAM or ROM slot holds all it is an alias of", name);
}

bool memory_add_mmio(struct memory *memory, const char *name, hpa_t base, u64 size,
                     const struct mmio_ops *ops, void *ctx, struct error *error)
{
    struct slot *slot = slot_new(memory, name, base.v, size, error);

    if (slot == NULL)
        return false;
    slot->kind = SLOT_MMIO;
    slot->ops = ops;
    slot->ctx = ctx;
    memory->slots++;
    slots_changed(memory);
    return true;
}

bool memory_move(struct memory *memory, const char *name, hpa_t base, bool shown,
                 struct error *error)
{
    for (u32 i = 0; i < memory->slots; i++) {
        struct slot *slot = &memory->slot[i];

        if (strcmp(slot->name, name) != 0)
            continue;
        if ((base.v & PAGE_OFFSET_MASK) != 0 || base.v > ~(u64)0 - slot->size)
            return error_set(error, "memory slot %s: cannot be moved to %llx", name,
                             (unsigned long long)base.v);
        slot->base = base.v;
        memory->info[i].hidden = !shown;
        slots_changed(memory);
        return true;
    }
    return error_set(error, "memory slot %s: there is none", name);
}

const struct slot *memory_find(struct memory *memory, hpa_t at, bool smm)
{
    return memory_slot(memory, at.v & memory->a20_mask, smm);
}

void memory_set_a20(struct memory *memory, bool enabled)
{
    const u64 mask = enabled ? ~(u64)0 : ~BIT(20);

    if (mask == memory->a20_mask)
        return;
    memory->a20_mask = mask;
    memory_revoke_all(memory);
}

bool memory_a20(const struct memory *memory)
{
    return memory->a20_mask == ~(u64)0;
}

u64 memory_ram_size(const struct memory *memory)
{
    u64 size = 0;

    for (u32 i = 0; i < memory->slots; i++) {
        if (memory->slot[i].kind == SLOT_RAM && !memory->info[i].alias && !memory->info[i].smram)
            size += memory->slot[i].size;
    }
    return size;
}

const struct slot *memory_ram_slot(const struct memory *memory, u32 index)
{
    for (u32 i = 0; i < memory->slots; i++) {
        if (memory->slot[i].kind != SLOT_RAM || memory->info[i].alias)
            continue;
        if (index-- == 0)
            return &memory->slot[i];
    }
    return NULL;
}

/* ---- whom to tell ---- */

u32 memory_attach_mmu(struct memory *memory, struct mmu_state *state)
{
    u32 index = 0;

    while (index < MEMORY_CPUS && memory->mmu[index] != NULL)
        index++;
    CHECK(index < MEMORY_CPUS);
    memory->mmu[index] = state;
    if (memory->mmus <= index)
        memory->mmus = index + 1;
    return index;
}

void memory_detach_mmu(struct memory *memory, u32 index)
{
    memory->mmu[index] = NULL;
    memory_revoke_all(memory);
}
