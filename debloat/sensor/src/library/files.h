/* Files, numbers in texts, time. */
#pragma once

#include "bytes.h"

static long open_at(int dir, const char *path, int flags, int mode)
{
    return sys4(SYS_openat, dir, path, flags | O_CLOEXEC, mode);
}

static void close_fd(long fd) { sys1(SYS_close, fd); }

static long stat_at(int dir, const char *path, int flags, struct statx *to)
{
    return sys5(SYS_statx, dir, path, flags, STATX_BASIC | STATX_MNT_ID, to);
}

static long read_file(int dir, const char *path, struct buffer *to)
{
    to->len = 0;
    long fd = open_at(dir, path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    long n;
    do {
        if (!reserve(to, PAGE)) {
            n = -ENOMEM;
            break;
        }
        n = sys3(SYS_read, fd, to->data + to->len, to->capacity - to->len - 1);
        if (n > 0)
            to->len += (size_t)n;
    } while (n > 0 || n == -EINTR);
    close_fd(fd);
    as_string(to);
    return n;
}

/* A decimal number that fills all of `s`; -1 when it is none. */
static i64 parse_number(const char *s)
{
    i64 n = 0;
    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > (i64)1 << 40)
            return -1;
        n = n * 10 + (*s - '0');
    }
    return n;
}

static i64 now_ms(void)
{
    struct timespec t = {0, 0};
    sys2(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.sec * 1000 + t.nsec / 1000000;
}

static void sleep_ms(i64 ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    sys2(SYS_nanosleep, &t, 0);
}

static void *map_shared(long fd, size_t n)
{
    long at = sys6(SYS_mmap, 0, n, PROT_READ | PROT_WRITE, fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    return at < 0 && at > -PAGE ? NULL : (void *)at;
}

/* The part of `s` up to `stop` or its end, cut off in place; what follows, or NULL. */
static char *split_at(char *s, char stop)
{
    for (; *s; s++)
        if (*s == stop) {
            *s = 0;
            return s + 1;
        }
    return NULL;
}
