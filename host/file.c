/* SPDX-License-Identifier: MIT */
/* Reading whole files, and buffered output. See file.h. */
#include "host/file.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const u64 largest_file = (u64)1 << 31;

static bool read_all(int fd, u8 *to, u64 size)
{
    while (size > 0) {
        const ssize_t n = read(fd, to, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        size -= (u64)n;
    }
    return true;
}

static bool read_open_file(const char *what, const char *path, int fd, u8 **bytes, u64 *size,
                           struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return error_set(error, "could not open %s file '%s': not a regular file", what, path);
    if ((u64)status.st_size > largest_file)
        return error_set(error, "could not load %s '%s': %lld bytes, the limit is 2 GiB", what,
                         path, (long long)status.st_size);
    *size = (u64)status.st_size;
    *bytes = malloc(*size + 1);
    CHECK(*bytes != NULL);
    errno = 0;
    if (read_all(fd, *bytes, *size))
        return true;
    free(*bytes);
    *bytes = NULL;
    return error_set(error, "could not load %s '%s': %s", what, path,
                     errno != 0 ? strerror(errno) : "the file became shorter while it was read");
}

bool host_read_file(const char *what, const char *path, u8 **bytes, u64 *size, struct error *error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool done;

    if (fd < 0)
        return error_set(error, "could not open %s file '%s': %s", what, path, strerror(errno));
    done = read_open_file(what, path, fd, bytes, size, error);
    (void)close(fd);
    return done;
}

void host_output_flush(struct host_output *out)
{
    u32 done = 0;

    while (done < out->used && out->fd >= 0 && out->failure == 0) {
        const ssize_t n = write(out->fd, out->buffer + done, out->used - done);

        if (n > 0) {
            done += (u32)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = out->fd, .events = POLLOUT};

            (void)poll(&room, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            out->failure = errno;
        }
    }
    out->used = 0;
}

void host_output_put(struct host_output *out, u8 byte)
{
    out->buffer[out->used++] = byte;
    if (out->used == sizeof(out->buffer))
        host_output_flush(out);
}

bool host_output_create(struct host_output *out, const char *path, struct error *error)
{
    out->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    out->name = path;
    return out->fd >= 0 || error_set(error, "cannot write '%s': %s", path, strerror(errno));
}

bool host_write_pid(const char *path, struct error *error)
{
    FILE *file = fopen(path, "w");
    bool done;

    if (file == NULL)
        return error_set(error, "cannot write '%s': %s", path, strerror(errno));
    done = fprintf(file, "%ld\n", (long)getpid()) > 0;
    done = fclose(file) == 0 && done;
    return done || error_set(error, "cannot write '%s': %s", path, strerror(errno));
}
