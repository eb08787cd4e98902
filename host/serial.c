/* SPDX-License-Identifier: MIT */
/* Serial ports on the host. See serial.h. */
#define _GNU_SOURCE /* posix_openpt and friends */
#include "host/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* The terminal to restore; set once by terminal_raw(). */
static struct termios saved;
static volatile sig_atomic_t is_raw;

void host_terminal_restore(void)
{
    if (is_raw) {
        is_raw = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    }
}

/* A crash must leave the terminal usable too. */
static void on_crash(int number)
{
    host_terminal_restore();
    (void)raise(number); /* SA_RESETHAND: now with the default action */
}

static void catch_crashes(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT};
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    (void)sigemptyset(&action.sa_mask);
    action.sa_handler = on_crash;
    action.sa_flags = (int)SA_RESETHAND;
    for (u32 i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sigaction(numbers[i], &action, NULL);
}

/* No echo, no lines; with_signals: Ctrl-C still makes SIGINT. Output processing stays, so that our
 * own messages look right; guests send CR LF themselves. */
static void terminal_raw(bool with_signals)
{
    struct termios raw;

    if (is_raw || tcgetattr(STDIN_FILENO, &saved) != 0)
        return;
    raw = saved;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!with_signals)
        raw.c_lflag &= ~(tcflag_t)ISIG;
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* the shell would inherit raw mode */
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
        return;
    is_raw = 1;
    (void)atexit(host_terminal_restore);
    catch_crashes();
}

/* Regular files and /dev/null give the same bytes at the same time in each run; others wait. */
static bool is_live(int fd)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return false;
    return isatty(fd) || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode);
}

static void open_stdio(struct host_serial *s)
{
    struct stat status;

    s->in = fstat(STDIN_FILENO, &status) == 0 ? STDIN_FILENO : -1;
    s->waits = s->in >= 0 && is_live(s->in);
    s->typing = s->kind == SERIAL_MUX && s->in >= 0 && isatty(s->in);
    s->out.fd = STDOUT_FILENO;
    s->out.name = "standard output";
    if (s->in >= 0 && isatty(s->in))
        terminal_raw(s->kind == SERIAL_STDIO);
}

static bool open_pty(struct host_serial *s, const char *label, struct error *error)
{
    const int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name = fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 ? ptsname(fd) : NULL;
    struct termios raw;

    if (name == NULL)
        return error_set(error, "cannot open a pseudo terminal: %s", strerror(errno));
    if (tcgetattr(fd, &raw) == 0) {
        cfmakeraw(&raw);
        (void)tcsetattr(fd, TCSANOW, &raw);
    }
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)fprintf(stderr, "warning: char device redirected to %s (label %s)\n", name, label);
    s->in = fd;
    s->waits = true;
    s->out.fd = fd;
    s->out.name = "pseudo terminal";
    return true;
}

bool host_serial_open(struct host_serial *serial, enum serial_kind kind, const char *path,
                      u8 escape, const char *label, struct error *error)
{
    memset(serial, 0, sizeof(*serial));
    serial->kind = kind;
    serial->in = -1;
    serial->out.fd = -1;
    switch (kind) {
    case SERIAL_NONE:
    case SERIAL_NULL: return true;
    case SERIAL_FILE: return host_output_create(&serial->out, path, error);
    case SERIAL_PTY: return open_pty(serial, label, error);
    case SERIAL_MUX:
        serial->escape = escape;
        open_stdio(serial);
        return true;
    case SERIAL_STDIO: open_stdio(serial); return true;
    }
    return true;
}

void host_serial_close(struct host_serial *serial)
{
    host_output_flush(&serial->out);
    if (serial->kind == SERIAL_FILE || serial->kind == SERIAL_PTY) {
        if (serial->out.fd >= 0 && close(serial->out.fd) != 0 && serial->out.failure == 0)
            serial->out.failure = errno;
    }
    serial->out.fd = -1;
    serial->in = -1;
    host_terminal_restore();
}

static void say(struct host_serial *s, const char *text)
{
    host_output_flush(&s->out);
    (void)fputs(text, stderr);
}

/* The key after the escape key. Returns whether it goes to the guest. */
static bool escape_command(struct host_serial *s, u8 key)
{
    if (key == s->escape)
        return true;
    switch (key) {
    case 'x': s->quit = true; return false;
    case 'h':
    case '?':
        say(s, "\r\nC-a h    print this help\r\nC-a x    exit\r\nC-a C-a  send C-a\r\n");
        return false;
    case 'c': say(s, "\r\nnestbox: the monitor belongs to a later release\r\n"); return false;
    default: return false;
    }
}

static u32 filter_escape(struct host_serial *s, u8 *bytes, u32 count)
{
    u32 kept = 0;

    for (u32 i = 0; i < count; i++) {
        const u8 key = bytes[i];

        if (s->escaped) {
            s->escaped = false;
            if (escape_command(s, key))
                bytes[kept++] = key;
        } else if (s->escape != 0 && key == s->escape) {
            s->escaped = true;
        } else {
            bytes[kept++] = key;
        }
    }
    return kept;
}

/* What is there now: at most room bytes. */
static u32 read_now(struct host_serial *serial, u8 *to, u32 room)
{
    struct pollfd input = {.fd = serial->in, .events = POLLIN};
    ssize_t n;

    if (serial->in < 0 || room == 0 || (serial->waits && poll(&input, 1, 0) <= 0))
        return 0;
    n = read(serial->in, to, room);
    if (n > 0)
        return (u32)n;
    /* A pty that nobody has open gives EIO, and may be opened later. */
    if (n == 0 || (errno != EAGAIN && errno != EINTR && errno != EIO))
        serial->in = -1;
    return 0;
}

/* A pipe whose writer is gone and whose bytes are read is over, whether the guest reads or not. */
static void note_end(struct host_serial *serial)
{
    struct pollfd input = {.fd = serial->in, .events = POLLIN};

    if (serial->in >= 0 && serial->waits && serial->kind != SERIAL_PTY && poll(&input, 1, 0) > 0 &&
        !(input.revents & POLLIN))
        serial->in = -1;
}

void host_serial_poll(struct host_serial *serial)
{
    u8 bytes[SERIAL_TYPED];
    u32 count;

    if (!serial->typing) {
        note_end(serial);
        return;
    }
    count = filter_escape(serial, bytes, read_now(serial, bytes, sizeof(bytes)));
    for (u32 i = 0; i < count && serial->typed_count < SERIAL_TYPED; i++)
        serial->typed[serial->typed_count++] = bytes[i];
}

u32 host_serial_read(struct host_serial *serial, u8 *to, u32 room)
{
    const u32 count = serial->typed_count < room ? serial->typed_count : room;

    if (!serial->typing)
        return filter_escape(serial, to, read_now(serial, to, room));
    memcpy(to, serial->typed, count);
    memmove(serial->typed, serial->typed + count, serial->typed_count - count);
    serial->typed_count -= count;
    return count;
}
