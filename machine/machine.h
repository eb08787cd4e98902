/* SPDX-License-Identifier: MIT */
/*
 * The machine: board, image, serial ports and the run loop. Virtual time is one nanosecond per
 * instruction that any CPU retires, and a few per exit from a hypervisor's guest. With several
 * CPUs, they take turns: one runs for a quantum of virtual time, then the next; so time never goes
 * backwards for anybody, and the interleaving is a function of the machine and --sched-seed alone.
 * When all CPUs wait, time jumps to the next timer.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "base/error.h"
#include "machine/config.h"

struct machine;

/* Exit statuses besides those that the guest chooses through isa-debug-exit. */
enum {
    STATUS_OK = 0, /* the guest switched off */
    STATUS_ERROR = 1,
    STATUS_SHUTDOWN = 3, /* triple fault */
    STATUS_BUDGET = 5, /* --max-insns */
};

/* NULL: a file is missing or malformed, or the host has no memory; error says which. */
struct machine *machine_create(const struct config *config, struct error *error);
/* Run to the end; returns the process's exit status. Prints what a user must know on stderr. */
int machine_run(struct machine *machine);
void machine_destroy(struct machine *machine);

/* For tests: run until `insns` instructions are retired in all or the run ends; false: it ended. */
MUST_CHECK bool machine_advance(struct machine *machine, u64 insns);
/* 32 hex digits and a zero. */
void machine_hash(struct machine *machine, char text[33]);
u64 machine_count(const struct machine *machine);
/* Drop every cache of every CPU. The run does not change. */
void machine_drop_caches(struct machine *machine);
int machine_status(const struct machine *machine);

#endif
