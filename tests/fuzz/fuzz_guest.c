/* SPDX-License-Identifier: MIT */
/*
 * A whole machine that runs nonsense, in real, 32-bit and 64-bit mode, with handlers that skip what
 * faults. It must come to its end, its state must be one a CPU can be in, and dropping every cache
 * at some boundaries on the way, and translating what runs often, must change nothing.
 * Input: settings, then code: raw bytes mixed with what random bytes would hardly ever make (see
 * `templates`). Known places: 01000h page tables, 06000h descriptors, 09000h handlers, 10000h code.
 */
#define _GNU_SOURCE /* memfd_create */
#include "base/bits.h"
#include "cpu/event.h"
#include "machine/machine_impl.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    BUDGET = 6000,
    DROPS = 12,
    CODE_MAX = 4096,
    RAM = 2 << 20,
    PML4 = 0x1000, /* then PDPT, PD of the lowest GiB, PD of the highest below 4 GiB */
    PD32 = 0x5000,
    GDT = 0x6000,
    TSS32 = 0x6400,
    TSS64 = 0x6600,
    IDT32 = 0x7000,
    IDT64 = 0x8000,
    HANDLER = 0x9000, /* by 16: real, 32, 32 with error code, 64, 64 with error code */
    CODE = 0x10000,
    STACK = 0x1f0000,
};

enum mode { REAL, FLAT32, LONG64, MODES };

struct guest {
    u8 code[CODE_MAX];
    u32 size;
    u8 mode; /* enum mode */
    u8 cpus;
    u64 seed;
    u64 drop_at[DROPS]; /* ascending counts */
};

/* ---- memory that the code finds ---- */

static void poke(struct machine *m, u64 at, const void *bytes, u64 size)
{
    const bool ok = memory_load(m->board->memory, (hpa_t){at}, bytes, size);

    CHECK(ok);
}

static void poke_value(struct machine *m, u64 at, u64 value, u32 size)
{
    u8 bytes[8];

    store_le(bytes, value, size);
    poke(m, at, bytes, size);
}

static void write_tables(struct machine *m)
{
    const u64 rwu = 7;
    const u64 large = 0x80;

    poke_value(m, PML4, (PML4 + 0x1000) | rwu, 8);
    poke_value(m, PML4 + 0xff8, (PML4 + 0x1000) | rwu, 8);
    poke_value(m, PML4 + 0x1000, (PML4 + 0x2000) | rwu, 8);
    poke_value(m, PML4 + 0x1018, (PML4 + 0x3000) | rwu, 8);
    for (u64 i = 0; i < 512; i++) {
        poke_value(m, PML4 + 0x2000 + 8 * i, i << 21 | rwu | large, 8);
        poke_value(m, PML4 + 0x3000 + 8 * i, (i << 21) | 0xc0000000 | rwu | large, 8);
    }
    for (u64 i = 0; i < 1024; i++)
        poke_value(m, PD32 + 4 * i, i << 22 | rwu | large, 4);
}

static void write_descriptors(struct machine *m)
{
    /* code and data: 32-bit, 64-bit, 16-bit, for CPL 3; TSSs, LDT, call gate, task gate */
    static const u64 gdt[] = {
        0,
        0x00cf9b000000ffff, /* 08 */
        0x00cf93000000ffff, /* 10 */
        0x00af9b000000ffff, /* 18 */
        0x00009b000000ffff, /* 20 */
        0x000093000000ffff, /* 28 */
        0x00cffb000000ffff, /* 30 */
        0x00cff3000000ffff, /* 38 */
        0x00affb000000ffff, /* 40 */
        0x0000890064000067, /* 48: TSS32 */
        0x0000890066000067, /* 50: TSS64, two slots */
        0,
        0x000082006000ffff, /* 60: LDT, the GDT again */
        0x0001ec0000080000, /* 68: call gate to CODE */
        0x0000e50000480000, /* 70: task gate */
        0x00cf97000000ffff, /* 78: expand-down data */
    };
    static const u8 handlers[][16] = {
        {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf}, /* inc word [sp]; iret */
        {0xff, 0x04, 0x24, 0xcf}, /* inc dword [esp]; iret */
        {0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf},
        {0x48, 0xff, 0x04, 0x24, 0x48, 0xcf}, /* inc qword [rsp]; iretq */
        {0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf},
    };

    poke(m, GDT, gdt, sizeof(gdt));
    poke(m, HANDLER, handlers, sizeof(handlers));
    poke_value(m, TSS32 + 4, STACK, 4);
    poke_value(m, TSS32 + 8, 0x10, 4);
    poke_value(m, TSS64 + 4, STACK - 0x4000, 8);
    poke_value(m, TSS64 + 0x24, STACK - 0x8000, 8); /* IST1 */
    for (u64 vector = 0; vector < 256; vector++) {
        const bool code = vector < 32 && (0x27d00 >> vector & 1);
        const u64 at32 = HANDLER + (code ? 0x20 : 0x10);
        const u64 at64 = HANDLER + (code ? 0x40 : 0x30);

        poke_value(m, 4 * vector, (u64)HANDLER << 12, 4);
        poke_value(m, IDT32 + 8 * vector, at32 | 0x0000ee0000080000, 8);
        poke_value(m, IDT64 + 16 * vector, at64 | 0x0000ee0100180000, 8);
    }
}

static void start(struct machine *m, const struct guest *g)
{
    static const u32 bits[] = {16, 32, 64};
    static const u16 code[] = {CODE >> 4, 0x08, 0x18};
    static const u16 data[] = {0, 0x10, 0x10};
    u64 seed = g->seed;
    struct cpu_state *s = &m->board->cpu[0].v->state;
    const struct boot_state state = {
        .bits = bits[g->mode],
        .cs = code[g->mode],
        .data = data[g->mode],
        .gdt_base = GDT,
        .gdt_limit = 0x7f,
        .cr3 = PML4,
        .rip = g->mode == REAL ? 0 : CODE,
        .rflags = 0x202,
        .rax = fuzz_random(&seed),
        .rbx = CODE + fuzz_random(&seed) % CODE_MAX,
        .rcx = fuzz_random(&seed) & 0xffff,
        .rdx = fuzz_random(&seed) & 0xffff,
        .rsi = fuzz_random(&seed) % RAM,
        .rdi = 0x20000 + fuzz_random(&seed) % 0x10000,
        .rbp = fuzz_random(&seed) % RAM,
        .rsp = g->mode == REAL ? 0xf000 : STACK,
    };

    board_start(m->board, &state);
    s->idtr.base = g->mode == REAL ? 0 : g->mode == FLAT32 ? IDT32 : IDT64;
    s->idtr.limit = g->mode == REAL ? 0x3ff : g->mode == FLAT32 ? 0x7ff : 0xfff;
    if (g->mode != REAL)
        s->seg[SEG_TR] = (struct segment){.selector = g->mode == FLAT32 ? 0x48 : 0x50,
                                          .base = g->mode == FLAT32 ? TSS32 : TSS64,
                                          .limit = 0x67,
                                          .attr = ATTR_P | 0xb};
    s->cr4 |= BIT(9) | BIT(10) | BIT(18); /* OSFXSR, OSXMMEXCPT, OSXSAVE */
    s->xcr0 = 7;
    mode_update(m->board->cpu[0].v);
    if (g->cpus > 1) { /* the other one runs the same bytes in real mode */
        event_signal_sipi(m->board->cpu[1].v, CODE >> PAGE_SHIFT);
        m->board->cpu[1].signalled = true;
    }
}

/* ---- code ---- */

/* Bytes to emit; then so many from the input, or a value from a list. */
enum fill { NOTHING, INPUT1, INPUT2, INPUT4, MSR, PORT, PLACE, SELECTOR };

static const struct {
    u8 bytes[6];
    u8 length;
    u8 fill; /* enum fill */
    u8 after[4];
    u8 after_length;
} templates[] = {
    {{0xb8}, 1, INPUT4, {0}, 0}, /* mov eax */
    {{0xba}, 1, INPUT4, {0}, 0}, /* mov edx */
    {{0xbb}, 1, PLACE, {0}, 0}, /* mov ebx */
    {{0xb9}, 1, MSR, {0x0f, 0x30}, 2}, /* wrmsr */
    {{0xb9}, 1, MSR, {0x0f, 0x32}, 2}, /* rdmsr */
    {{0xba}, 1, PORT, {0xee}, 1}, /* out */
    {{0xba}, 1, PORT, {0xef}, 1},
    {{0xba}, 1, PORT, {0xed}, 1}, /* in */
    {{0xb9, 4, 0, 0, 0, 0xba}, 6, PORT, {0xf3, 0x6e}, 2}, /* rep outsb */
    {{0xb9, 4, 0, 0, 0, 0xba}, 6, PORT, {0xf3, 0x6d}, 2}, /* rep insd */
    {{0xa3}, 1, PLACE, {0, 0, 0, 0}, 4}, /* mov [place], eax; 64-bit: eight bytes of address */
    {{0xa1}, 1, PLACE, {0, 0, 0, 0}, 4},
    {{0xbf}, 1, PLACE, {0xf3, 0xab}, 2}, /* rep stosd */
    {{0xbe}, 1, PLACE, {0xf3, 0xa4}, 2}, /* rep movsb */
    {{0xc6, 0x04, 0x25}, 3, PLACE, {0x90}, 1}, /* mov byte [place], 90h */
    {{0x0f, 0x22}, 2, INPUT1, {0}, 0}, /* mov cr, reg */
    {{0x0f, 0x20}, 2, INPUT1, {0}, 0},
    {{0x0f, 0x23}, 2, INPUT1, {0}, 0}, /* mov dr, reg */
    {{0x0f, 0x01}, 2, INPUT1, {0}, 0},
    {{0x0f, 0x00}, 2, INPUT1, {0}, 0},
    {{0x0f, 0xae}, 2, INPUT1, {0}, 0},
    {{0x0f, 0xc7}, 2, INPUT1, {0}, 0},
    {{0xcd}, 1, INPUT1, {0}, 0}, /* int */
    {{0x68}, 1, INPUT4, {0x9d}, 1}, /* push imm; popf */
    {{0x68}, 1, SELECTOR, {0x07}, 1}, /* push imm; pop es */
    {{0x66, 0xb8}, 2, SELECTOR, {0x8e, 0xd0}, 2}, /* mov ss, ax */
    {{0x66, 0xb8}, 2, SELECTOR, {0x0f, 0x00, 0xd8}, 3}, /* ltr ax */
    {{0xea}, 1, PLACE, {0}, 0}, /* jmp far: the selector is what follows */
    {{0x9a, 0, 0, 1, 0}, 5, SELECTOR, {0}, 0}, /* call far */
    {{0x68}, 1, SELECTOR, {0x68, 0, 0, 1}, 4},
    {{0xcb}, 1, NOTHING, {0}, 0},
    {{0xcf}, 1, NOTHING, {0}, 0},
    {{0xfb, 0xf4}, 2, NOTHING, {0}, 0}, /* sti; hlt */
    {{0xeb}, 1, INPUT1, {0}, 0}, /* jmp short */
    {{0xe8, 0, 0, 0, 0}, 5, NOTHING, {0}, 0},
    {{0xc5}, 1, INPUT4, {0}, 0},
    {{0xc4}, 1, INPUT4, {0}, 0},
    {{0x66, 0x0f, 0x38}, 3, INPUT2, {0}, 0},
    {{0x66, 0x0f, 0x3a}, 3, INPUT4, {0}, 0},
    {{0x0f}, 1, INPUT4, {0}, 0},
    {{0xdd}, 1, INPUT1, {0}, 0},
    {{0xdb}, 1, INPUT1, {0}, 0},
};

static u64 msr_of(struct fuzz_input *in)
{
    static const u32 bases[] = {0,          0x10,       0x170,      0x1a0,      0x200,
                                0x250,      0x270,      0x2f0,      0x400,      0x480,
                                0x6e0,      0x800,      0x830,      0xd90,      0xc0000080,
                                0xc0000100, 0xc0010000, 0xc0010110, 0x40000000, 0xc0011020,
                                0x34,       0x8b,       0xfe,       0xe1};
    const u32 base = bases[fuzz_below(in, ARRAY_SIZE(bases))];

    return base + (u32)fuzz_take(in, 1) % 32;
}

static u64 place_of(struct fuzz_input *in)
{
    static const u32 places[] = {CODE,       CODE,       PML4,       PML4 + 0x2000, PD32,
                                 GDT,        TSS32,      TSS64,      IDT32,         IDT64,
                                 HANDLER,    STACK - 64, 0xfee00000, 0xfee00300,    0xfec00000,
                                 0xfed00000, 0xff000000, 0xfffffffc, 0xa0000,       0xfffff,
                                 RAM - 8,    0xfebf0000, 0x20ffe,    0x7c00};
    const u32 place = places[fuzz_below(in, ARRAY_SIZE(places))];

    return place + (u32)fuzz_take(in, 1);
}

static u64 port_of(struct fuzz_input *in)
{
    static const u16 ports[] = {0x20,  0x21,  0xa0,  0xa1,  0x40,   0x42,  0x43,  0x60,
                                0x61,  0x64,  0x70,  0x71,  0x92,   0x80,  0xe0,  0xf0,
                                0x3f8, 0x510, 0x511, 0x514, 0x600,  0x604, 0x608, 0xcf8,
                                0xcf9, 0xcfc, 0xb2,  0xb3,  0x2000, 0x4d0};
    const u32 choice = (u32)fuzz_take(in, 1);

    return choice & 0x80 ? fuzz_take(in, 2) : (u64)ports[choice % ARRAY_SIZE(ports)] + (choice & 3);
}

static void emit(struct guest *g, const void *bytes, size_t size)
{
    if (g->size + size > CODE_MAX - 2)
        return;
    memcpy(g->code + g->size, bytes, size);
    g->size += (u32)size;
}

static void emit_template(struct guest *g, struct fuzz_input *in, u32 which)
{
    u64 value = 0;
    u32 size = 4;
    u8 bytes[8];

    emit(g, templates[which].bytes, templates[which].length);
    switch ((enum fill)templates[which].fill) {
    case NOTHING: size = 0; break;
    case INPUT1: value = fuzz_take(in, size = 1); break;
    case INPUT2: value = fuzz_take(in, size = 2); break;
    case INPUT4: value = fuzz_take(in, 4); break;
    case MSR: value = msr_of(in); break;
    case PORT: value = port_of(in); break;
    case PLACE: value = place_of(in); break;
    case SELECTOR:
        value = fuzz_take(in, 1);
        size = templates[which].bytes[0] == 0x68 ? 4 : 2;
        break;
    }
    store_le(bytes, value, 8);
    emit(g, bytes, size);
    emit(g, templates[which].after, templates[which].after_length);
}

static void read_guest(struct guest *g, const u8 *data, size_t size)
{
    static const u8 loop[] = {0xeb, 0xfe};
    struct fuzz_input in = {data, data + size};
    u64 at = 0;

    memset(g, 0, sizeof(*g));
    g->mode = (u8)fuzz_below(&in, MODES);
    g->cpus = fuzz_take(&in, 1) & 1 ? 2 : 1;
    g->seed = fuzz_take(&in, 2);
    for (u32 i = 0; i < DROPS; i++)
        g->drop_at[i] = at += 1 + fuzz_take(&in, 1) * (i & 1 ? 7 : 1);
    while (fuzz_left(&in) > 0 && g->size < CODE_MAX - 16) {
        const u32 choice = (u32)fuzz_take(&in, 1);
        const u32 raw = choice & 7;

        if (choice < 0x80) {
            emit_template(g, &in, choice % ARRAY_SIZE(templates));
        } else {
            const size_t count = raw + 1 < fuzz_left(&in) ? raw + 1 : fuzz_left(&in);

            emit(g, in.at, count);
            in.at += count;
        }
    }
    memcpy(g->code + g->size, loop, sizeof(loop));
    g->size += sizeof(loop);
}

/* ---- running ---- */

/* The machine's kernel: a boot sector that goes to the code, as after a reset. */
static const char *kernel_path(void)
{
    static const u8 jump[] = {0xea, 0x00, 0x00, 0x00, 0x10};
    static char path[32];
    u8 sector[512] = {[510] = 0x55, [511] = 0xaa};

    if (path[0] == '\0') {
        const int fd = memfd_create("kernel", 0);

        memcpy(sector, jump, sizeof(jump));
        CHECK(fd >= 0 && write(fd, sector, sizeof(sector)) == sizeof(sector));
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    return path;
}

static struct machine *create(struct config *config, const struct guest *g, enum engine engine)
{
    struct error error;
    struct machine *m;

    memset(config, 0, sizeof(*config));
    config->kernel = kernel_path();
    config->ram = RAM;
    config->cpus = g->cpus;
    config->pit = config->hpet = config->acpi = true;
    config->pc_testdev = config->pci_testdev = true;
    config->max_insns = ~(u64)0;
    config->seed = g->seed;
    config->engine = engine;
    config->reboot_on_shutdown = g->seed & 1;
    CHECK(cpu_config_parse(&config->cpu, g->seed & 2 ? "amd-v3" : "max", NULL, &error));
    m = machine_create(config, &error);
    CHECK(m != NULL);
    write_tables(m);
    write_descriptors(m);
    poke(m, CODE, g->code, g->size);
    start(m, g);
    return m;
}

/* States that no sequence of instructions can reach. */
static void check_cpu(const struct vcpu *v)
{
    const struct cpu_state *s = &v->state;
    const bool lma = s->efer >> 10 & 1;
    const bool paging = s->cr0 >> 31 & 1;

    CHECK(s->reg[REG_NONE] == 0);
    CHECK((s->rflags & BIT(1)) && !(s->rflags & ~(u64)0x3f7fd7));
    CHECK(!paging || (s->cr0 & 1));
    CHECK(lma == (paging && (s->efer >> 8 & 1)));
    CHECK(!lma || (s->cr4 & BIT(5)));
    CHECK(!(s->cr0 & BIT(29)) || (s->cr0 & BIT(30))); /* NW needs CD */
    CHECK(s->activity <= ACTIVITY_WAIT_SIPI);
    CHECK(v->cpl <= 3);
    CHECK(mode64(v) || s->reg[REG_RIP] <= 0xffffffff);
    CHECK((s->xcr0 & 1) && s->mxcsr <= 0x2ffff);
}

static void run(const struct guest *g, bool drop, enum engine engine, char text[33])
{
    struct config config;
    struct machine *m = create(&config, g, engine);

    for (u32 i = 0; drop && i < DROPS; i++) {
        if (g->drop_at[i] >= BUDGET || !machine_advance(m, g->drop_at[i]))
            break;
        machine_drop_caches(m);
    }
    (void)!machine_advance(m, BUDGET);
    machine_hash(m, text);
    for (u32 i = 0; i < g->cpus; i++)
        check_cpu(m->board->cpu[i].v);
    machine_destroy(m);
}

/* What the machine says about its end is not of interest; sanitizers use the descriptor itself. */
static void be_silent(void)
{
    static bool done;

    if (!done && getenv("FUZZ_VERBOSE") == NULL) {
        stderr = fopen("/dev/null", "w");
        CHECK(stderr != NULL);
    }
    done = true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct guest guest;
    char plain[33];
    char dropped[33];

    be_silent();
    read_guest(&guest, data, size);
    run(&guest, false, ENGINE_INTERP, plain);
    run(&guest, true, ENGINE_AUTO, dropped);
    CHECK(strcmp(plain, dropped) == 0);
    return 0;
}
