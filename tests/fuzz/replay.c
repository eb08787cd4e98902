/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzing engine: every file of the corpus, then mutations of them
 * that depend on nothing but the corpus, the seed and their number.
 *
 *     fuzz_TARGET [-n MUTATIONS] [-s SEED] FOLDER|FILE...
 *
 * An input that breaks the target or takes longer than INPUT_SECONDS is kept as failed-<target> in
 * the working folder, to be run again by naming it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_SECONDS = 20, FILES_MAX = 1024, INPUT_MAX = 16 << 10 };

struct corpus_file {
    char *path;
    u8 *bytes;
    size_t size;
};

static struct corpus_file corpus[FILES_MAX];
static u32 files;

/* The input that runs now, for the handler. */
static const u8 *current;
static size_t current_size;
static char keep_name[64];

#if defined(__SANITIZE_ADDRESS__)
/* Their reports end in SIGABRT, so that the handler keeps the input. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}
#endif

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void on_failure(int number)
{
    const int fd = open(keep_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd >= 0 && write(fd, current, current_size) == (ssize_t)current_size) {
        say(number == SIGALRM ? "fuzz: out of time; " : "fuzz: ");
        say("the input is in ");
        say(keep_name);
        say("\n");
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number == SIGALRM ? SIGKILL : number);
}

static void run(const u8 *bytes, size_t size)
{
    /* Exactly as long as the input, so that a read past its end is seen. */
    u8 *copy = malloc(size > 0 ? size : 1);

    CHECK(copy != NULL);
    memcpy(copy, bytes, size);
    current = copy;
    current_size = size;
    (void)alarm(INPUT_SECONDS);
    (void)LLVMFuzzerTestOneInput(copy, size);
    (void)alarm(0);
    free(copy);
}

/* ---- the corpus ---- */

static void add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    u8 *bytes = malloc(INPUT_MAX);

    if (file == NULL || bytes == NULL || files == FILES_MAX) {
        fprintf(stderr, "fuzz: cannot read %s\n", path);
        exit(1);
    }
    corpus[files].path = strdup(path);
    corpus[files].bytes = bytes;
    corpus[files].size = fread(bytes, 1, INPUT_MAX, file);
    files++;
    (void)fclose(file);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct corpus_file *)a)->path, ((const struct corpus_file *)b)->path);
}

static void add_path(const char *path)
{
    struct stat info;
    struct dirent *entry;
    char name[4096];
    DIR *folder;

    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        add_file(path);
        return;
    }
    folder = opendir(path);
    if (folder == NULL) {
        fprintf(stderr, "fuzz: cannot open %s\n", path);
        exit(1);
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        add_file(name);
    }
    (void)closedir(folder);
    qsort(corpus, files, sizeof(corpus[0]), compare);
}

/* ---- mutations ---- */

static u64 random_state;

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(fuzz_random(&random_state) % n);
}

static void change_bytes(u8 *bytes, size_t size)
{
    static const u64 limits[] = {0,          1,          0x7f,       0x80,       0xff,
                                 0x7fff,     0x8000,     0xffff,     0x10000,    0x7fffffff,
                                 0x80000000, 0xffffffff, 0xfffffff0, 1ull << 32, ~0ull};
    const size_t at = below(size);
    const size_t width = (size_t)1 << below(4);
    const u64 value = below(2) ? limits[below(ARRAY_SIZE(limits))] : fuzz_random(&random_state);

    if (below(3) == 0)
        bytes[at] ^= (u8)(1 << below(8));
    else if (at + width <= size)
        memcpy(bytes + at, &value, width);
}

/* Move a part of any file over, before or in the place of a part of this one. */
static size_t insert_part(u8 *bytes, size_t size)
{
    const struct corpus_file *other = &corpus[below(files)];
    const size_t from = below(other->size);
    const size_t length = 1 + below(other->size - from > 64 ? 64 : other->size - from);
    const size_t at = below(size + 1);

    if (from + length > other->size)
        return size;
    if (below(2) && size + length <= INPUT_MAX) {
        memmove(bytes + at + length, bytes + at, size - at);
        size += length;
    }
    if (at + length <= size)
        memcpy(bytes + at, other->bytes + from, length);
    return size;
}

static size_t cut(u8 *bytes, size_t size)
{
    const size_t at = below(size);
    const size_t length = 1 + below(size - at);

    if (size == 0)
        return 0;
    if (below(2))
        return at;
    memmove(bytes + at, bytes + at + length, size - at - length);
    return size - length;
}

static size_t mutate(u8 *bytes, size_t size)
{
    for (size_t n = 1 + below(8); n > 0; n--) {
        switch (below(8)) {
        case 0: size = cut(bytes, size); break;
        case 1:
        case 2: size = insert_part(bytes, size); break;
        default:
            if (size > 0)
                change_bytes(bytes, size);
        }
    }
    return size;
}

static void run_mutations(u32 count)
{
    static u8 bytes[INPUT_MAX];

    for (u32 i = 0; i < count; i++) {
        const struct corpus_file *base = &corpus[below(files)];

        memcpy(bytes, base->bytes, base->size);
        run(bytes, mutate(bytes, base->size));
    }
}

int main(int argc, char **argv)
{
    static const int failures[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    const char *slash = strrchr(argv[0], '/');
    unsigned long mutations = 0;
    int option;

    while ((option = getopt(argc, argv, "n:s:")) != -1) {
        if (option == 'n')
            mutations = strtoul(optarg, NULL, 0);
        else if (option == 's')
            random_state = strtoul(optarg, NULL, 0);
        else
            return 1;
    }
    (void)snprintf(keep_name, sizeof(keep_name), "failed-%.40s", slash ? slash + 1 : argv[0]);
    for (u32 i = 0; i < ARRAY_SIZE(failures); i++)
        (void)signal(failures[i], on_failure);
    for (int i = optind; i < argc; i++)
        add_path(argv[i]);
    if (files == 0) {
        fprintf(stderr, "fuzz: no corpus\n");
        return 1;
    }
    for (u32 i = 0; i < files; i++)
        run(corpus[i].bytes, corpus[i].size);
    run_mutations((u32)mutations);
    /* Not through stdout, which a target may have silenced. */
    (void)dprintf(STDOUT_FILENO, "fuzz: %u files and %lu mutations\n", files, mutations);
    for (u32 i = 0; i < files; i++) {
        free(corpus[i].path);
        free(corpus[i].bytes);
    }
    return 0;
}
