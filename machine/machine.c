/* SPDX-License-Identifier: MIT */
/* Creation, loading and the run loop. See machine.h. */
#include "machine/machine.h"

#include "base/check.h"
#include "cpu/event.h"
#include "cpu/flags.h"
#include "firmware/acpi.h"
#include "host/signals.h"
#include "machine/machine_impl.h"
#include "machine/state_hash.h"
#include "machine/stats.h"

#include <stdio.h>
#include <string.h>

/* Host input and signals are looked at this often, in virtual time (a few ms of host time). */
static const u64 poll_ns = 1000000;
/* A CPU's turn; --sched-seed varies it between half and one and a half of this. */
static const u64 quantum_ns = 5000;

/* ---- turns ---- */

/* splitmix64 (Steele, Lea, Flood 2014): the next number of the scheduling sequence. */
static u64 next_random(u64 *state)
{
    u64 z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static u64 next_quantum(struct machine *m)
{
    if (m->config->sched_seed == 0)
        return quantum_ns;
    return quantum_ns / 2 + next_random(&m->state.schedule) % quantum_ns;
}

/* Could this CPU do something now? A halted one only after one of its inputs changed, or if it
 * watches a line of memory. */
static bool is_runnable(const struct board_cpu *cpu)
{
    return cpu->v->state.activity == ACTIVITY_ACTIVE ||
           ((cpu->signalled || cpu->v->state.mwait != 0) && event_pending(cpu->v));
}

/* The CPU whose turn it is, or NULL if all wait. A new turn begins when the last one is over. */
static struct board_cpu *choose_cpu(struct machine *m)
{
    struct board *board = m->board;
    struct board_cpu *cpu = &board->cpu[m->state.turn];

    if (is_runnable(cpu) && (board->cpus == 1 || board->clock.now < m->state.turn_end))
        return cpu;
    for (u32 i = 1; i <= board->cpus; i++) {
        const u32 turn = (m->state.turn + i) % board->cpus;

        if (is_runnable(&board->cpu[turn])) {
            m->state.turn = turn;
            m->state.turn_end = board->clock.now + next_quantum(m);
            return &board->cpu[turn];
        }
    }
    return NULL;
}

static void run_cpu(struct machine *m, struct board_cpu *cpu, u64 limit)
{
    struct board *board = m->board;
    struct vcpu *v = cpu->v;
    const u64 before = v->state.count;

    v->slice_end = m->next_poll;
    if (board->cpus > 1 && m->state.turn_end < v->slice_end)
        v->slice_end = m->state.turn_end;
    cpu->signalled = false;
    m->running = v;
    (void)vcpu_run(v, limit - m->state.count);
    m->running = NULL;
    v->stop = false;
    m->state.count += v->state.count - before;
    m->state.idle_since = board->clock.now;
    if (board->clock.now >= board->clock.next_deadline)
        clock_run(&board->clock, board->clock.now);
}

/* ---- what devices and CPUs ask of the machine ---- */

void machine_request_hook(void *ctx, enum machine_request request, u32 value)
{
    struct machine *m = ctx;

    m->requested |= 1u << request;
    m->request_value[request] = value;
    if (m->running != NULL)
        m->running->stop = true;
}

void machine_shutdown_hook(void *ctx, u32 cpu)
{
    struct machine *m = ctx;

    m->shut_down |= 1u << cpu;
    if (m->running != NULL)
        m->running->stop = true;
}

void machine_end(struct machine *m, int status)
{
    if (!m->ended)
        m->status = status;
    m->ended = true;
}

static void fail(struct machine *m, const char *text)
{
    machine_flush(m);
    (void)fprintf(stderr, "nestbox: %s\n", text);
    machine_end(m, STATUS_ERROR);
}

static void reset(struct machine *m)
{
    struct error error;

    if (m->config->no_reboot) {
        machine_end(m, STATUS_OK);
        return;
    }
    board_reset(m->board);
    m->state.asleep = 0;
    if (!machine_boot(m, &error))
        fail(m, error.text);
}

static void wake(struct machine *m)
{
    struct boot_state state;

    if (!m->state.asleep)
        return;
    m->state.asleep = 0;
    board_reset_cpus(m->board);
    board_set_cpus(m->board);
    if (acpi_resume(m->board->memory, m->board->facs, &state))
        board_start(m->board, &state);
    else
        reset(m);
}

static void power_off(struct machine *m)
{
    if (!m->config->no_shutdown) {
        machine_end(m, STATUS_OK);
        return;
    }
    machine_flush(m);
    while (!m->ended) {
        (void)host_wait(NULL, 0, ~(u64)0);
        machine_poll(m);
    }
}

static void smi(struct machine *m)
{
    for (u32 i = 0; i < m->board->cpus; i++) {
        m->board->cpu[i].signalled = true;
        event_signal_smi(m->board->cpu[i].v);
    }
}

static void handle_shutdown(struct machine *m)
{
    const u32 cpu = (u32)__builtin_ctz(m->shut_down);

    m->shut_down = 0;
    if (m->config->reboot_on_shutdown && !m->config->no_reboot) {
        reset(m);
        return;
    }
    machine_flush(m);
    machine_print_shutdown(m, cpu);
    machine_end(m, m->config->no_reboot ? STATUS_OK : STATUS_SHUTDOWN);
}

static void handle_request(struct machine *m, enum machine_request request, u32 value)
{
    switch (request) {
    case MACHINE_RESET: reset(m); break;
    case MACHINE_POWER_OFF: power_off(m); break;
    case MACHINE_SLEEP: m->state.asleep = 1; break;
    case MACHINE_WAKE: wake(m); break;
    case MACHINE_EXIT: machine_end(m, (int)value); break;
    case MACHINE_A20: memory_set_a20(m->board->memory, value != 0); break;
    case MACHINE_SMI: smi(m); break;
    }
}

/* The order is that of importance; what comes after the end of the run is dropped. */
static void handle_requests(struct machine *m)
{
    static const enum machine_request order[] = {
        MACHINE_A20,   MACHINE_EXIT, MACHINE_POWER_OFF, MACHINE_RESET,
        MACHINE_SLEEP, MACHINE_WAKE, MACHINE_SMI,
    };
    const u32 requested = m->requested;

    m->requested = 0;
    for (u32 i = 0; i < ARRAY_SIZE(order) && !m->ended; i++)
        if (requested & 1u << order[i])
            handle_request(m, order[i], m->request_value[order[i]]);
    if (m->shut_down != 0 && !m->ended)
        handle_shutdown(m);
}

/* ---- nothing to run ---- */

/* Only an NMI, an SMI, an INIT or a reset could start any CPU again. */
static bool all_deaf(const struct machine *m)
{
    for (u32 i = 0; i < m->board->cpus; i++) {
        const struct cpu_state *s = &m->board->cpu[i].v->state;

        if (s->activity == ACTIVITY_HLT && ((s->rflags & FLAG_IF) || s->mwait == 2))
            return false;
    }
    return !m->state.asleep;
}

/* Time that CPUs may wait before the run counts as over: nobody will come. */
static u64 patience_ns(const struct machine *m)
{
    return (all_deaf(m) ? 10 : 86400) * NS_PER_SECOND;
}

/* Let time pass until the next timer, or until the host has input. */
static void idle(struct machine *m)
{
    struct clock *clock = &m->board->clock;
    const bool live = machine_input_live(m);
    u64 to = clock->next_deadline;

    if (clock->now - m->state.idle_since > patience_ns(m) ||
        (to == CLOCK_NEVER && (all_deaf(m) || !live))) {
        fail(m, m->state.asleep ? "the guest sleeps (S3) and nothing can wake it"
                                : "all CPUs are halted and nothing can wake them");
        return;
    }
    machine_flush(m);
    if (live && !machine_input_waits(m)) {
        /* A file: its next bytes are offered at the next poll. */
        if (to > m->next_poll)
            to = m->next_poll;
    } else if (live && (to == CLOCK_NEVER || to - clock->now >= poll_ns)) {
        const bool input = machine_wait(m, to == CLOCK_NEVER ? to : to - clock->now);

        machine_poll(m);
        if (input || to == CLOCK_NEVER)
            return;
    }
    clock_run(clock, to);
}

/* ---- the loop ---- */

static void print_hash(struct machine *m)
{
    char text[STATE_HASH_TEXT];

    machine_hash(m, text);
    machine_flush(m);
    (void)printf("state-hash %llu %s\n", (unsigned long long)m->state.count, text);
}

bool machine_advance(struct machine *m, u64 insns)
{
    struct board *board = m->board;

    while (!m->ended && m->state.count < insns) {
        struct board_cpu *cpu;

        if (board->clock.now >= m->next_poll) {
            m->next_poll = board->clock.now - board->clock.now % poll_ns + poll_ns;
            machine_poll(m);
        }
        cpu = m->state.asleep ? NULL : choose_cpu(m);
        if (cpu != NULL)
            run_cpu(m, cpu, insns);
        else if (!m->ended)
            idle(m);
        if (m->requested != 0 || m->shut_down != 0)
            handle_requests(m);
    }
    return !m->ended;
}

/* As machine_advance, in random pieces with all caches dropped between them: nothing may change. */
static bool advance_dropping(struct machine *m, u64 insns)
{
    u64 random = m->config->drop_caches ^ m->state.count;

    while (m->state.count < insns) {
        u64 next = m->state.count + 1 + next_random(&random) % 20000;

        if (!machine_advance(m, next < insns ? next : insns))
            return false;
        machine_drop_caches(m);
    }
    return true;
}

/* As machine_advance, with the shadow pages checked every so many instructions. */
static bool advance_audited(struct machine *m, u64 insns)
{
    const struct config *c = m->config;

    while (m->state.count < insns) {
        const u64 next = m->state.count + c->audit_every;
        const u64 stop = next < insns ? next : insns;
        char report[256];
        bool consistent;

        if (!(c->drop_caches != 0 ? advance_dropping(m, stop) : machine_advance(m, stop)))
            return false;
        consistent = shadow_audit(memory_shadow(m->board->memory), report, sizeof(report));
        if (consistent)
            continue;
        machine_flush(m);
        (void)fprintf(stderr, "nestbox: --audit: %s, after %llu instructions\n", report,
                      (unsigned long long)m->state.count);
        CHECK(consistent);
    }
    return true;
}

static bool advance(struct machine *m, u64 insns)
{
    if (m->config->audit_every != 0 && memory_shadow(m->board->memory) != NULL)
        return advance_audited(m, insns);
    return m->config->drop_caches != 0 ? advance_dropping(m, insns) : machine_advance(m, insns);
}

int machine_run(struct machine *m)
{
    const struct config *c = m->config;

    while (!m->ended) {
        u64 next = c->hash_every != 0 ? m->state.count + c->hash_every : c->max_insns;
        if (next > c->max_insns)
            next = c->max_insns;
        if (!advance(m, next))
            break;
        if (next == c->max_insns) {
            machine_flush(m);
            (void)fprintf(stderr, "nestbox: instruction budget of %llu used up\n",
                          (unsigned long long)c->max_insns);
            machine_end(m, STATUS_BUDGET);
        } else {
            print_hash(m);
        }
    }
    machine_flush(m);
    if (c->state_hash)
        print_hash(m);
    if (c->shadow_dump)
        stats_dump_shadow(m->board);
    if (c->stats)
        stats_print(m->board, m->state.count, c->stats_json);
    machine_check_output(m);
    return m->status;
}

void machine_hash(struct machine *m, char text[STATE_HASH_TEXT])
{
    state_hash(m->board, &m->state, sizeof(m->state), text);
}

u64 machine_count(const struct machine *m)
{
    return m->state.count;
}

int machine_status(const struct machine *m)
{
    return m->status;
}

void machine_drop_caches(struct machine *m)
{
    for (u32 i = 0; i < m->board->cpus; i++)
        vcpu_drop_caches(m->board->cpu[i].v);
}
