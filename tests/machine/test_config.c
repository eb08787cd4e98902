/* SPDX-License-Identifier: MIT */
/* The command line, as table of what scripts pass and what comes of it. */
#include "machine/config.h"
#include "machine/config_values.h"
#include "machine/options.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config config;
static struct error error;

/* Parse words separated by single spaces. */
static enum config_result parse(const char *line)
{
    static char text[1024];
    char *argv[64] = {"nestbox"};
    int argc = 1;

    strcpy(text, line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    config_destroy(&config);
    error.text[0] = '\0';
    return config_parse(&config, argc, argv, &error);
}

START_TEST(command_of_kvm_unit_tests_is_taken)
{
    ck_assert_int_eq(
        parse("--no-reboot -nodefaults -global kvm-pit.lost_tick_policy=discard -device pc-testdev "
              "-device isa-debug-exit,iobase=0xf4,iosize=0x4 -display none -serial stdio -device "
              "pci-testdev -machine accel=tcg -kernel x.flat -smp 3 -append a -m 2048 -cpu max "
              "-initrd env"),
        CONFIG_RUN);
    ck_assert(config.no_reboot && config.pc_testdev && config.pci_testdev && config.debug_exit);
    ck_assert_uint_eq(config.debug_exit_port, 0xf4);
    ck_assert_uint_eq(config.debug_exit_size, 4);
    ck_assert_uint_eq(config.serials, 1);
    ck_assert_int_eq(config.serial[0].kind, SERIAL_STDIO);
    ck_assert_uint_eq(config.cpus, 3);
    ck_assert_uint_eq(config.ram, (u64)2 << 30);
    ck_assert_str_eq(config.kernel, "x.flat");
    ck_assert_str_eq(config.initrd, "env");
}
END_TEST

START_TEST(number_of_cpus_is_limited_with_the_limit_as_last_word)
{
    ck_assert_int_eq(parse("-kernel x -smp 9"), CONFIG_ERROR);
    ck_assert_ptr_nonnull(strstr(error.text, "SMP CPUs"));
    ck_assert_str_eq(strrchr(error.text, ' '), " 8");
    ck_assert_int_eq(parse("-kernel x -smp 2,sockets=1,cores=2,threads=1"), CONFIG_RUN);
    ck_assert_uint_eq(config.cpus, 2);
    ck_assert_int_eq(parse("-kernel x -smp cpus=4,maxcpus=4"), CONFIG_RUN);
    ck_assert_uint_eq(config.cpus, 4);
}
END_TEST

START_TEST(memory_sizes_have_suffixes)
{
    static const struct {
        const char *line;
        u64 bytes; /* 0: refused */
    } rows[] = {
        {"-kernel x", (u64)128 << 20},
        {"-kernel x -m 64", (u64)64 << 20},
        {"-kernel x -m 4g", (u64)4 << 30},
        {"-kernel x -m 1.5G", (u64)3 << 29},
        {"-kernel x -m 2048K", (u64)2 << 20},
        {"-kernel x -m size=1G,slots=2", (u64)1 << 30},
        {"-kernel x -m 1", 0},
        {"-kernel x -m x", 0},
        {"-kernel x -m -5", 0},
        {"-kernel x -m 99999999999999999999", 0},
        {"-kernel x -m 18446744073709551615G", 0},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_int_eq(parse(rows[i].line), rows[i].bytes != 0 ? CONFIG_RUN : CONFIG_ERROR);
        if (rows[i].bytes != 0)
            ck_assert_uint_eq(config.ram, rows[i].bytes);
    }
}
END_TEST

START_TEST(options_of_later_releases_are_refused_by_name)
{
    static const char *const lines[] = {
        "-drive file=x",
        "-s",
        "-S",
        "-gdb tcp::1",
        "-qmp stdio",
        "--record r",
        "-bios b",
        "-monitor stdio",
        "-device virtio-blk-pci",
    };

    for (u32 i = 0; i < ARRAY_SIZE(lines); i++) {
        ck_assert_int_eq(parse(lines[i]), CONFIG_ERROR);
        ck_assert_msg(strstr(error.text, "later release") != NULL, "%s: %s", lines[i], error.text);
    }
}
END_TEST

START_TEST(unknown_words_are_refused)
{
    static const char *const lines[] = {
        "-frobnicate",
        "-device intel-iommu",
        "disk.img",
        "-kernel",
        "-display sdl -kernel x",
        "-machine xyz -kernel x",
        "-kernel x -serial tcp:1",
        "-kernel x -rtc base=never",
        "",
        "-kernel x -device isa-debug-exit,iobase=0xfffff",
        "-kernel x --state-hash=often:1",
        "-kernel x --mmu=ept",
        "-kernel x --mmu=walk --sync=lazy",
        "-kernel x --mmu=shadow --sync=never",
        "-kernel x --shadow-quota=some",
        "-kernel x --mmu=shadow --shadow-roles=some",
        "-kernel x --mmu=walk --shadow-dump",
        "-kernel x --stats=xml",
        "-kernel x -machine feature-control=on",
    };

    for (u32 i = 0; i < ARRAY_SIZE(lines); i++) {
        ck_assert_int_eq(parse(lines[i]), CONFIG_ERROR);
        ck_assert_str_ne(error.text, "");
    }
}
END_TEST

START_TEST(serial_port_defaults_to_stdio_with_the_escape_key)
{
    ck_assert_int_eq(parse("-kernel x"), CONFIG_RUN);
    ck_assert_int_eq(config.serial[0].kind, SERIAL_MUX);
    ck_assert_int_eq(parse("-kernel x -display none"), CONFIG_RUN);
    ck_assert_int_eq(config.serial[0].kind, SERIAL_NULL);
    ck_assert_int_eq(parse("-kernel x -display none -nographic"), CONFIG_RUN);
    ck_assert_int_eq(config.serial[0].kind, SERIAL_MUX);
    ck_assert_int_eq(parse("-kernel x -nodefaults"), CONFIG_RUN);
    ck_assert_uint_eq(config.serials, 0);
    ck_assert_int_eq(parse("-kernel x -serial null -serial file:out"), CONFIG_RUN);
    ck_assert_str_eq(config.serial[1].path, "out");
    ck_assert_int_eq(parse("-kernel x -serial stdio -serial mon:stdio"), CONFIG_ERROR);
    ck_assert_int_eq(parse("-kernel x -chardev stdio,id=c,mux=on -serial chardev:c"), CONFIG_RUN);
    ck_assert_int_eq(config.serial[0].kind, SERIAL_MUX);
    ck_assert_int_eq(parse("-kernel x -serial chardev:none"), CONFIG_ERROR);
}
END_TEST

START_TEST(date_is_fixed_unless_the_host_is_asked)
{
    ck_assert_int_eq(parse("-kernel x"), CONFIG_RUN);
    ck_assert_int_eq(config.date_source, DATE_FIXED);
    ck_assert_int_eq(config.date, 1767225600);
    ck_assert_int_eq(parse("-kernel x -rtc base=2000-02-29T12:34:56,clock=vm"), CONFIG_RUN);
    ck_assert_int_eq(config.date, 951827696);
    ck_assert_int_eq(parse("-kernel x -rtc base=1970-01-01"), CONFIG_RUN);
    ck_assert_int_eq(config.date, 0);
    ck_assert_int_eq(parse("-kernel x -rtc base=utc"), CONFIG_RUN);
    ck_assert_int_eq(config.date_source, DATE_HOST_UTC);
}
END_TEST

START_TEST(actions_choose_what_a_reset_does)
{
    ck_assert_int_eq(parse("-kernel x -action reboot=shutdown,shutdown=pause"), CONFIG_RUN);
    ck_assert(config.no_reboot && config.no_shutdown);
    ck_assert_int_eq(parse("-kernel x -action reboot=reset"), CONFIG_RUN);
    ck_assert(!config.no_reboot && config.reboot_on_shutdown);
    ck_assert_int_eq(parse("-kernel x -action reboot=explode"), CONFIG_ERROR);
}
END_TEST

START_TEST(run_options_are_numbers)
{
    ck_assert_int_eq(parse("run -kernel x --seed 7 --sched-seed=0x10 --max-insns 1000 "
                           "--state-hash=every:100 --mmu=walk --engine interp"),
                     CONFIG_RUN);
    ck_assert_uint_eq(config.seed, 7);
    ck_assert_uint_eq(config.sched_seed, 16);
    ck_assert_uint_eq(config.max_insns, 1000);
    ck_assert(config.state_hash);
    ck_assert_uint_eq(config.hash_every, 100);
    ck_assert_int_eq(parse("-kernel x --seed many"), CONFIG_ERROR);
}
END_TEST

START_TEST(feature_control_is_open_unless_it_is_locked_on)
{
    ck_assert_int_eq(parse("-kernel x"), CONFIG_RUN);
    ck_assert(!config.feature_control_locked);
    ck_assert_int_eq(parse("-kernel x -machine pc,feature-control=locked-on"), CONFIG_RUN);
    ck_assert(config.feature_control_locked);
    ck_assert_int_eq(parse("-kernel x -M pc,feature-control=open"), CONFIG_RUN);
    ck_assert(!config.feature_control_locked);
}
END_TEST

START_TEST(explain_is_a_log_category)
{
    log_mask = 0;
    ck_assert_int_eq(parse("-kernel x --explain"), CONFIG_RUN);
    ck_assert_uint_eq(log_mask, 1u << LOG_EXPLAIN);
}
END_TEST

START_TEST(option_table_has_no_name_twice)
{
    for (const struct option *o = options; o->name != NULL; o++) {
        ck_assert_ptr_eq(option_find(o->name, strlen(o->name)), o);
        ck_assert((o->class == OPTION_DO) == (o->apply != NULL));
        ck_assert_ptr_nonnull(o->text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine/config");
    TCase *tc = tcase_create("config");

    tcase_add_test(tc, command_of_kvm_unit_tests_is_taken);
    tcase_add_test(tc, number_of_cpus_is_limited_with_the_limit_as_last_word);
    tcase_add_test(tc, memory_sizes_have_suffixes);
    tcase_add_test(tc, options_of_later_releases_are_refused_by_name);
    tcase_add_test(tc, unknown_words_are_refused);
    tcase_add_test(tc, serial_port_defaults_to_stdio_with_the_escape_key);
    tcase_add_test(tc, date_is_fixed_unless_the_host_is_asked);
    tcase_add_test(tc, actions_choose_what_a_reset_does);
    tcase_add_test(tc, run_options_are_numbers);
    tcase_add_test(tc, feature_control_is_open_unless_it_is_locked_on);
    tcase_add_test(tc, explain_is_a_log_category);
    tcase_add_test(tc, option_table_has_no_name_twice);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
