/* Errors by name, messages, and the end of the process. */
#pragma once

#include "bytes.h"

static const char *error_name(long error)
{
    switch (error < 0 ? -error : error) {
#define X(name, number) \
    case number: return #name;
        ERRORS(X)
#undef X
    }
    return "EUNKNOWN";
}

__attribute__((noreturn)) static void exit_process(int code)
{
    for (;;)
        sys1(SYS_exit_group, code);
}

static long write_all(int fd, const void *data, size_t n)
{
    const char *at = data;
    while (n) {
        long done = sys3(SYS_write, fd, at, n);
        if (done == -EINTR || done == -EAGAIN)
            continue;
        if (done <= 0)
            return done ? done : -EIO;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

/* say(fd, "a", "b", NULL): one line in one write, so that lines of several processes do not mix. */
static void say(int fd, const char *first, ...)
{
    struct buffer message = {0};
    va_list more;
    va_start(more, first);
    for (const char *part = first; part; part = va_arg(more, const char *))
        put_text(&message, part);
    va_end(more);
    put_byte(&message, '\n');
    if (!message.failed)
        write_all(fd, message.data, message.len);
    release(&message);
}

enum { EXIT_SETUP = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127, EXIT_USAGE = 2 };

#define die(...)                               \
    do {                                       \
        say(2, "sensor: ", __VA_ARGS__, NULL); \
        exit_process(EXIT_SETUP);              \
    } while (0)
