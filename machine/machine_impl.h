/* SPDX-License-Identifier: MIT */
/* Inside of struct machine, shared by machine.c, console.c and load.c. */
#ifndef MACHINE_MACHINE_IMPL_H
#define MACHINE_MACHINE_IMPL_H

#include "firmware/boot.h"
#include "host/serial.h"
#include "machine/board.h"
#include "machine/machine.h"
#include "replay/input.h"

enum { MACHINE_REQUESTS = MACHINE_SMI + 1 };

/* State of the machine that is in no device: plain bytes, part of the hash. */
struct machine_state {
    u64 count; /* instructions retired by all CPUs */
    u64 schedule; /* generator of the quanta */
    u64 turn_end; /* virtual ns */
    u64 idle_since; /* when a CPU last ran */
    u32 turn; /* CPU */
    u32 asleep; /* S3 */
};

struct machine {
    const struct config *config;
    struct board *board;
    struct machine_state state;
    u64 next_poll; /* always the next multiple of the poll interval */
    struct vcpu *running; /* inside vcpu_run() */
    u32 requested; /* bit per enum machine_request */
    u32 request_value[MACHINE_REQUESTS];
    u32 shut_down; /* bit per CPU */
    bool ended;
    int status;

    struct input_gate gate;
    struct host_serial serial[BOARD_SERIALS];
    struct host_serial debug_console;
    bool line_open; /* the guest's last byte on stdout was not a newline */

    /* Files, kept for resets. */
    struct boot_input input;
    struct boot_module module[BOOT_MODULES];
    u8 *file[BOOT_MODULES + 1];
    u32 files;
    char *module_text; /* -initrd, cut into its parts */
};

void machine_request_hook(void *ctx, enum machine_request request, u32 value);
void machine_shutdown_hook(void *ctx, u32 cpu);
void machine_end(struct machine *machine, int status);

/* ---- load.c ---- */
/* Read kernel and modules into host memory. */
MUST_CHECK bool machine_read_files(struct machine *machine, struct error *error);
/* Firmware, image and start state; after board_reset(). */
MUST_CHECK bool machine_boot(struct machine *machine, struct error *error);

/* ---- console.c ---- */
MUST_CHECK bool machine_open_serials(struct machine *machine, struct error *error);
struct byte_port machine_serial_port(struct machine *machine, u32 index);
struct byte_port machine_debug_port(struct machine *machine);
/* Offer host input to the guest, and look for a wish to stop or failed output. */
void machine_poll(struct machine *machine);
/* Some serial input may still come; it comes when it comes (a terminal, a pipe). */
bool machine_input_live(const struct machine *machine);
bool machine_input_waits(const struct machine *machine);
/* Wait for it. Returns whether some may be there. */
bool machine_wait(struct machine *machine, u64 ns);
void machine_flush(struct machine *machine);
/* Say so if output was lost, and make the status an error. */
void machine_check_output(struct machine *machine);
void machine_close_serials(struct machine *machine);
void machine_print_shutdown(const struct machine *machine, u32 cpu);

#endif
