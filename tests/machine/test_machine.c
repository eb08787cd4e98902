/* SPDX-License-Identifier: MIT */
/* The run loop: the same run each time, however it is cut into pieces, and how runs end. */
#include "machine/config.h"
#include "machine/machine.h"
#include "tests/run_suite.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A boot sector: arithmetic over 4 KiB of memory, then OUT F4h, 5.
 *     xor ax,ax; mov ds,ax; mov cx,2000
 *  1: add ax,cx; rol ax,3; mov bx,ax; and bx,0xffe; xor [bx+0x1000],ax; loop 1b
 *     mov ah,al; mov al,5; out 0xf4,al; hlt */
static const u8 work_code[] = {
    0x31, 0xc0, 0x8e, 0xd8, 0xb9, 0xd0, 0x07, 0x01, 0xc8, 0xc1, 0xc0, 0x03, 0x89, 0xc3, 0x81, 0xe3,
    0xfe, 0x0f, 0x31, 0x87, 0x00, 0x10, 0xe2, 0xef, 0x88, 0xc4, 0xb0, 0x05, 0xe6, 0xf4, 0xf4,
};

/* A boot sector: the first time WRMSR 3Ah, 1 unless it is locked, and a reset by port CF9h; the
 * second time OUT F4h of its low byte. xor ax,ax; mov ds,ax; mov ecx,3ah; rdmsr; cmp byte [600h],0;
 * jne 2f inc byte [600h]; test al,1; jnz 1f; inc ax; wrmsr 1: mov dx,0cf9h; mov al,6; out dx,al;
 * hlt 2: out 0f4h,al; hlt */
static const u8 feature_control_code[] = {
    0x31, 0xc0, 0x8e, 0xd8, 0x66, 0xb9, 0x3a, 0x00, 0x00, 0x00, 0x0f, 0x32, 0x80, 0x3e,
    0x00, 0x06, 0x00, 0x75, 0x12, 0xfe, 0x06, 0x00, 0x06, 0xa8, 0x01, 0x75, 0x03, 0x40,
    0x0f, 0x30, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xe6, 0xf4, 0xf4,
};

/* Multiboot, 32 bits: copies the part behind OUT to 8000h, starts the other CPUs there by INIT and
 * SIPI, and then all take tickets (LOCK XADD [600h]) until 3000, each writing its mark into
 * [1000h + ticket]; the first CPU ends with OUT F4h, 0. */
static const u8 tickets_code[] = {
    0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4, 0x00, 0x00, 0x20,
    0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00,
    0x20, 0x00, 0xbe, 0x75, 0x00, 0x20, 0x00, 0xbf, 0x00, 0x80, 0x00, 0x00, 0xb9, 0x1c, 0x00,
    0x00, 0x00, 0xf3, 0xa4, 0xbf, 0x00, 0x00, 0xe0, 0xfe, 0xc7, 0x87, 0xf0, 0x00, 0x00, 0x00,
    0xff, 0x01, 0x00, 0x00, 0xc7, 0x87, 0x00, 0x03, 0x00, 0x00, 0x00, 0x45, 0x0c, 0x00, 0xc7,
    0x87, 0x00, 0x03, 0x00, 0x00, 0x08, 0x46, 0x0c, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x66,
    0xf0, 0x0f, 0xc1, 0x05, 0x00, 0x06, 0x00, 0x00, 0xc6, 0x80, 0x00, 0x10, 0x00, 0x00, 0x01,
    0x3d, 0xb8, 0x0b, 0x00, 0x00, 0x72, 0xe4, 0xb0, 0x00, 0xe6, 0xf4, 0xf4, 0x31, 0xc0, 0x8e,
    0xd8, 0xb8, 0x01, 0x00, 0xf0, 0x0f, 0xc1, 0x06, 0x00, 0x06, 0x89, 0xc3, 0xc6, 0x87, 0x00,
    0x10, 0x02, 0x3d, 0xb8, 0x0b, 0x72, 0xeb, 0xf4, 0xeb, 0xfd,
};

/* Multiboot, 32 bits: OUT F4h of the number of modules, and of bit 4 if what follows the blank in
 * the first one's command line is "a,b". mov esi,[ebx+24]; mov esi,[esi+8]; 1: lodsb; cmp al,' ';
 * jne 1b; lodsd; cmp eax,"a,b"; sete al; shl al,4; add al,[ebx+20]; out 0f4h,al; hlt */
static const u8 modules_code[] = {
    0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4, 0x00, 0x00, 0x20, 0x00,
    0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x20, 0x00,
    0x8b, 0x73, 0x18, 0x8b, 0x76, 0x08, 0xac, 0x3c, 0x20, 0x75, 0xfb, 0xad, 0x3d, 0x61, 0x2c, 0x62,
    0x00, 0x0f, 0x94, 0xc0, 0xc0, 0xe0, 0x04, 0x02, 0x43, 0x14, 0xe6, 0xf4, 0xf4,
};

static char folder[] = "/tmp/nestbox-machine-XXXXXX";
static char path[64];
static struct config config;
static struct error error;

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/image", folder);
}

static void teardown(void)
{
    char command[96];

    config_destroy(&config);
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* An image file of at least 512 bytes with a boot signature. */
static void write_image(const u8 *code, size_t size)
{
    u8 image[512] = {0};
    FILE *file = fopen(path, "wb");

    memcpy(image, code, size);
    image[510] = 0x55;
    image[511] = 0xaa;
    ck_assert_uint_eq(fwrite(image, 1, sizeof(image), file), sizeof(image));
    ck_assert_int_eq(fclose(file), 0);
}

/* more: NULL-terminated further options. */
static struct machine *create(const char *const *more)
{
    char *argv[32] = {"nestbox",  "-kernel", path,
                      "-display", "none",    "-m",
                      "8",        "-device", "isa-debug-exit,iobase=0xf4,iosize=4"};
    struct machine *m;
    int argc = 9;

    for (; *more != NULL; more++)
        argv[argc++] = (char *)(size_t)*more;
    ck_assert_int_eq(config_parse(&config, argc, argv, &error), CONFIG_RUN);
    m = machine_create(&config, &error);
    ck_assert_msg(m != NULL, "%s", error.text);
    return m;
}

static const char *const plain[] = {NULL};

struct outcome {
    int status;
    u64 count;
    char hash[33];
};

/* Run in steps of `step` instructions (0: at once). */
static struct outcome run(const char *const *more, u64 step, bool drop)
{
    struct machine *m = create(more);
    struct outcome out;

    while (step != 0 && machine_advance(m, machine_count(m) + step))
        if (drop)
            machine_drop_caches(m);
    if (step == 0)
        ck_assert(!machine_advance(m, ~(u64)0));
    out.status = machine_status(m);
    out.count = machine_count(m);
    machine_hash(m, out.hash);
    machine_destroy(m);
    return out;
}

START_TEST(debug_exit_sets_the_status)
{
    write_image(work_code, sizeof(work_code));
    ck_assert_int_eq(run(plain, 0, false).status, 5 << 1 | 1);
}
END_TEST

START_TEST(feature_control_is_open_after_reset_unless_firmware_locks_it)
{
    static const char *const locked[] = {"-machine", "feature-control=locked-on", NULL};

    write_image(feature_control_code, sizeof(feature_control_code));
    ck_assert_int_eq(run(plain, 0, false).status, 0 << 1 | 1);
    ck_assert_int_eq(run(locked, 0, false).status, 5 << 1 | 1);
}
END_TEST

START_TEST(two_runs_end_in_the_same_state)
{
    struct outcome a, b;

    write_image(work_code, sizeof(work_code));
    a = run(plain, 0, false);
    b = run(plain, 0, false);
    ck_assert_uint_eq(a.count, 3 + 2000 * 6 + 3);
    ck_assert_uint_eq(a.count, b.count);
    ck_assert_str_eq(a.hash, b.hash);
}
END_TEST

START_TEST(stopping_and_dropping_caches_changes_nothing)
{
    struct outcome whole, steps, dropped;

    write_image(work_code, sizeof(work_code));
    whole = run(plain, 0, false);
    steps = run(plain, 7, false);
    dropped = run(plain, 101, true);
    ck_assert_str_eq(whole.hash, steps.hash);
    ck_assert_str_eq(whole.hash, dropped.hash);
}
END_TEST

START_TEST(the_hash_sees_one_changed_instruction)
{
    u8 code[sizeof(work_code)];
    struct outcome a, b;

    memcpy(code, work_code, sizeof(code));
    write_image(code, sizeof(code));
    a = run(plain, 0, false);
    code[11] = 4; /* rol ax, 4 */
    write_image(code, sizeof(code));
    b = run(plain, 0, false);
    ck_assert_str_ne(a.hash, b.hash);
}
END_TEST

START_TEST(cpus_share_work_the_same_way_each_time)
{
    static const char *const four[] = {"-smp", "4", NULL};
    struct outcome a, b, steps;

    write_image(tickets_code, sizeof(tickets_code));
    a = run(four, 0, false);
    b = run(four, 0, false);
    steps = run(four, 333, true);
    ck_assert_int_eq(a.status, 1);
    ck_assert_str_eq(a.hash, b.hash);
    ck_assert_uint_eq(a.count, steps.count);
    ck_assert_str_eq(a.hash, steps.hash);
}
END_TEST

START_TEST(sched_seed_gives_another_interleaving_that_is_the_same_each_time)
{
    static const char *const one[] = {"-smp", "4", "--sched-seed", "1", NULL};
    static const char *const two[] = {"-smp", "4", "--sched-seed", "2", NULL};
    struct outcome a, b, c;

    write_image(tickets_code, sizeof(tickets_code));
    a = run(one, 0, false);
    b = run(two, 0, false);
    c = run(two, 0, false);
    ck_assert_str_ne(a.hash, b.hash);
    ck_assert_str_eq(b.hash, c.hash);
}
END_TEST

START_TEST(instruction_budget_ends_the_run_with_status_5)
{
    static const char *const budget[] = {"--max-insns", "1000", NULL};
    struct machine *m;

    write_image(work_code, sizeof(work_code));
    m = create(budget);
    ck_assert_int_eq(machine_run(m), STATUS_BUDGET);
    ck_assert_uint_eq(machine_count(m), 1000);
    machine_destroy(m);
}
END_TEST

START_TEST(halting_for_ever_ends_the_run)
{
    static const u8 halt[] = {0xfa, 0xf4, 0xeb, 0xfd}; /* cli; hlt; jmp to hlt */
    static const char *const quiet[] = {"-nodefaults", NULL};
    struct machine *m;

    write_image(halt, sizeof(halt));
    m = create(quiet);
    ck_assert_int_eq(machine_run(m), STATUS_ERROR);
    machine_destroy(m);
}
END_TEST

START_TEST(triple_fault_ends_with_status_3_or_0)
{
    /* lidt cs:[0x7c08] (limit 0, base 0); int3: the vector lies behind the limit, and so do those
     * of the faults that follow. */
    static const u8 fault[] = {0x2e, 0x0f, 0x01, 0x1e, 0x08, 0x7c, 0xcc, 0x90, 0, 0, 0, 0, 0, 0};
    static const char *const once[] = {"-no-reboot", NULL};
    struct machine *m;

    write_image(fault, sizeof(fault));
    m = create(plain);
    ck_assert_int_eq(machine_run(m), STATUS_SHUTDOWN);
    machine_destroy(m);
    config_destroy(&config);
    m = create(once);
    ck_assert_int_eq(machine_run(m), STATUS_OK);
    machine_destroy(m);
}
END_TEST

START_TEST(a_comma_written_twice_belongs_to_the_module)
{
    char list[160];
    const char *const more[] = {"-initrd", list, NULL};

    write_image(modules_code, sizeof(modules_code));
    (void)snprintf(list, sizeof(list), "%s a,,b,%s", path, path);
    ck_assert_int_eq(run(more, 0, false).status, 0x12 << 1 | 1);
}
END_TEST

START_TEST(missing_and_malformed_kernels_are_named)
{
    char *argv[] = {"nestbox", "-kernel", path, "-display", "none"};

    ck_assert_int_eq(config_parse(&config, 5, argv, &error), CONFIG_RUN);
    ck_assert_ptr_null(machine_create(&config, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "could not open kernel"));
    ck_assert_ptr_nonnull(strstr(error.text, path));
    write_image(work_code, sizeof(work_code));
    ck_assert_int_eq(truncate(path, 100), 0);
    ck_assert_ptr_null(machine_create(&config, &error));
    ck_assert_ptr_nonnull(strstr(error.text, "offset 0x0"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine/machine");
    TCase *tc = tcase_create("machine");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, debug_exit_sets_the_status);
    tcase_add_test(tc, feature_control_is_open_after_reset_unless_firmware_locks_it);
    tcase_add_test(tc, two_runs_end_in_the_same_state);
    tcase_add_test(tc, stopping_and_dropping_caches_changes_nothing);
    tcase_add_test(tc, the_hash_sees_one_changed_instruction);
    tcase_add_test(tc, cpus_share_work_the_same_way_each_time);
    tcase_add_test(tc, sched_seed_gives_another_interleaving_that_is_the_same_each_time);
    tcase_add_test(tc, instruction_budget_ends_the_run_with_status_5);
    tcase_add_test(tc, halting_for_ever_ends_the_run);
    tcase_add_test(tc, triple_fault_ends_with_status_3_or_0);
    tcase_add_test(tc, a_comma_written_twice_belongs_to_the_module);
    tcase_add_test(tc, missing_and_malformed_kernels_are_named);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
