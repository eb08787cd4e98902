/* SPDX-License-Identifier: MIT */
/*
 * The board's devices under any sequence of port, window and APIC register accesses, interrupt
 * acknowledges, host input and jumps of time. Nothing may crash or run for ever, the same sequence
 * leaves the same state on a second board, and re-arming from the state blocks changes nothing.
 * Input: operations.
 */
#include "devices/i8042.h"
#include "devices/uart.h"
#include "machine/board.h"
#include "machine/state_hash.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

enum { OPERATIONS = 600, RESETS = 8, TIMER_STEPS = 200 };

/* First port and count of what the board has, and of nothing. */
static const struct {
    u16 first, count;
} port_ranges[] = {
    {0x20, 2},    {0xa0, 2},    {0x40, 4},   {0x61, 1},    {0x60, 5},   {0x70, 2},    {0x80, 16},
    {0x92, 1},    {0xe0, 8},    {0xe9, 1},   {0xf0, 2},    {0xf4, 4},   {0x2f8, 8},   {0x3f8, 8},
    {0x4d0, 2},   {0x510, 12},  {0x600, 64}, {0x2000, 24}, {0x8900, 1}, {0xb2, 2},    {0xcf8, 8},
    {0xafe0, 16}, {0xc000, 64}, {0x1234, 1}, {0, 0xffff},  {0xfff8, 8}, {0xb000, 64},
};

static const u64 windows[] = {0xfec00000, 0xfed00000, 0xfee00000, 0xff000000, 0xc0000000,
                              0xfebf0000, 0xa0000,    0xfffe0000, 0,          0xe0000};

struct bench {
    struct board *board;
    u32 resets;
    bool wants_reset;
};

static void on_request(void *ctx, enum machine_request request, u32 value)
{
    struct bench *bench = ctx;

    if (request == MACHINE_RESET || request == MACHINE_WAKE)
        bench->wants_reset = true;
    if (request == MACHINE_A20)
        memory_set_a20(bench->board->memory, value != 0);
}

static void put_byte(void *ctx, u8 byte)
{
    (void)ctx;
    (void)byte;
}

static void create(struct bench *bench)
{
    static struct cpu_config cpu;
    struct board_config config = {
        .ram = 4 << 20,
        .cpus = 2,
        .cpu = &cpu,
        .date = 1767225600,
        .pit = true,
        .hpet = true,
        .acpi = true,
        .com = {true, true},
        .serial = {{put_byte, NULL}, {put_byte, NULL}},
        .debug_console = {put_byte, NULL},
        .pc_testdev = true,
        .pci_testdev = true,
        .debug_exit_port = 0xf4,
        .debug_exit_size = 4,
        .machine = {on_request, bench},
    };
    struct error error;

    if (cpu.model == NULL)
        CHECK(cpu_config_parse(&cpu, "max", NULL, &error));
    memset(bench, 0, sizeof(*bench));
    bench->board = board_create(&config, &error);
    CHECK(bench->board != NULL);
    board_reset(bench->board);
    board_firmware(bench->board);
}

/* ---- operations ---- */

static void access_port(struct bench *bench, struct fuzz_input *in, bool write)
{
    const u32 range = fuzz_below(in, ARRAY_SIZE(port_ranges));
    const u32 count = port_ranges[range].count;
    const u16 port = (u16)(port_ranges[range].first + fuzz_take(in, count > 256 ? 2 : 1) % count);
    const u32 size = 1u << fuzz_below(in, 3);

    if (write)
        bus_write(bench->board->bus, port, size, (u32)fuzz_take(in, size));
    else
        (void)bus_read(bench->board->bus, port, size);
}

/* The local APIC's window is each CPU's own and is not in physical memory. */
static void access_window(struct bench *bench, struct fuzz_input *in, bool write)
{
    const u64 base = windows[fuzz_below(in, ARRAY_SIZE(windows))];
    const u32 form = (u32)fuzz_take(in, 1);
    const u32 size = 1u << (form & 3);
    const u64 offset = (fuzz_take(in, 2) & 0xffff) & ~(u64)(form & 4 ? 0xf : size - 1);
    u64 value = write ? fuzz_take(in, size) : 0;

    if (base == 0xfee00000) {
        struct lapic *lapic = bench->board->cpu[form >> 3 & 1].lapic;

        if (write)
            lapic_mmio_write(lapic, offset & 0xfff & ~(u64)(size - 1), size, value);
        else
            (void)lapic_mmio_read(lapic, offset & 0xfff & ~(u64)(size - 1), size);
    } else if (write) {
        memory_write(bench->board->memory, (hpa_t){base + offset}, &value, size);
    } else {
        memory_read(bench->board->memory, (hpa_t){base + offset}, &value, size);
    }
}

/* As the machine does when all CPUs wait, then a jump over any number of deadlines. */
static void pass_time(struct bench *bench, struct fuzz_input *in)
{
    struct clock *clock = &bench->board->clock;
    const u64 ticks = fuzz_take(in, 2);
    const u64 end = clock->now + (ticks << fuzz_below(in, 30));

    for (u32 i = 0; i < TIMER_STEPS && clock->next_deadline <= end; i++) {
        const u64 to = clock->next_deadline > clock->now ? clock->next_deadline : clock->now;

        clock_run(clock, to);
    }
    clock_run(clock, end);
}

static void apic_register(struct bench *bench, struct fuzz_input *in)
{
    static const u32 indices[] = {0x1b, 0x6e0, 0x808, 0x80b, 0x80f, 0x830, 0x838, 0x83f};
    struct lapic *lapic = bench->board->cpu[fuzz_take(in, 1) & 1].lapic;
    const u32 which = (u32)fuzz_take(in, 1);
    const u32 index =
        which & 0x80 ? 0x800 + (which & 0x7f) : indices[(which & 0x7f) % ARRAY_SIZE(indices)];
    u64 value;

    if (fuzz_take(in, 1) & 1)
        (void)!lapic_msr_read(lapic, index, &value);
    else
        (void)!lapic_msr_write(lapic, index, fuzz_take(in, 8));
}

static void acknowledge(struct bench *bench, struct fuzz_input *in)
{
    struct lapic *lapic = bench->board->cpu[fuzz_take(in, 1) & 1].lapic;

    if (lapic_has_interrupt(lapic))
        (void)lapic_ack(lapic);
    lapic_tpr_write(lapic, fuzz_take(in, 1) & 0xf);
    CHECK(lapic_tpr_read(lapic) <= 0xf);
}

static void host_input(struct bench *bench, struct fuzz_input *in)
{
    const u32 kind = (u32)fuzz_take(in, 1);
    u8 bytes[16];
    u32 room;

    if (kind & 1) {
        const u16 code = (u16)fuzz_take(in, 2);

        (void)i8042_key(bench->board->keyboard, code, kind & 2);
        return;
    }
    for (u32 i = 0; i < sizeof(bytes); i++)
        bytes[i] = (u8)fuzz_take(in, 1);
    room = uart_receive_room(bench->board->uart[kind >> 1 & 1]);
    CHECK(uart_receive(bench->board->uart[kind >> 1 & 1], bytes, sizeof(bytes)) <= sizeof(bytes));
    CHECK(uart_receive_room(bench->board->uart[kind >> 1 & 1]) <= room);
}

/* What a restored snapshot does. */
static void load_again(struct bench *bench)
{
    static u8 before[BOARD_DEVICES][1 << 17];
    const struct board *board = bench->board;

    for (u32 i = 0; i < board->devices; i++) {
        CHECK(board->device[i].state_size <= sizeof(before[i]));
        memcpy(before[i], board->device[i].state, board->device[i].state_size);
    }
    for (u32 i = 0; i < board->devices; i++)
        if (board->device[i].ops->post_load != NULL)
            board->device[i].ops->post_load(board->device[i].self);
    for (u32 i = 0; i < board->devices; i++) {
        /* Pins 16 to 23 of the I/O APIC are driven by the HPET and by the test device, each as if
         * it were alone. */
        if (strcmp(board->device[i].ops->name, "ioapic") == 0 ||
            memcmp(before[i], board->device[i].state, board->device[i].state_size) == 0)
            continue;
        (void)fprintf(stderr, "fuzz: post_load changes the state of %s\n",
                      board->device[i].ops->name);
        CHECK(false);
    }
}

static void operate(struct bench *bench, struct fuzz_input *in)
{
    switch (fuzz_below(in, 12)) {
    case 0:
    case 1:
    case 2: access_port(bench, in, true); break;
    case 3: access_port(bench, in, false); break;
    case 4:
    case 5: access_window(bench, in, true); break;
    case 6: access_window(bench, in, false); break;
    case 7: pass_time(bench, in); break;
    case 8: apic_register(bench, in); break;
    case 9: acknowledge(bench, in); break;
    case 10: host_input(bench, in); break;
    default:
        if (fuzz_below(in, 8) == 0)
            load_again(bench);
        break;
    }
    if (bench->wants_reset && bench->resets < RESETS) {
        bench->resets++;
        board_reset(bench->board);
        board_firmware(bench->board);
    }
    bench->wants_reset = false;
}

static void run(const u8 *data, size_t size, char text[STATE_HASH_TEXT])
{
    struct fuzz_input in = {data, data + size};
    struct bench bench;

    create(&bench);
    for (u32 i = 0; i < OPERATIONS && fuzz_left(&in) > 0; i++)
        operate(&bench, &in);
    load_again(&bench);
    state_hash(bench.board, &bench.resets, sizeof(bench.resets), text);
    board_destroy(bench.board);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char first[STATE_HASH_TEXT];
    char second[STATE_HASH_TEXT];

    run(data, size, first);
    run(data, size, second);
    CHECK(strcmp(first, second) == 0);
    return 0;
}
