/* Files, directories and shared memory. */
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

static void *map_shared(long fd, size_t n)
{
    long at = sys6(SYS_mmap, 0, n, PROT_READ | PROT_WRITE, fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    return at < 0 && at > -PAGE ? NULL : (void *)at;
}

/* Calls `each` for the entries of a directory until it answers false. */
static long list_directory(const char *path, bool (*each)(const char *name, void *with), void *with)
{
    _Alignas(8) char buffer[8192];
    long n, fd = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    bool on = true;
    while (on && (n = sys3(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; on && at < n;) {
            struct dirent64 *d = (struct dirent64 *)(void *)(buffer + at);
            at += d->reclen;
            on = each(d->name, with);
        }
    close_fd(fd);
    return 0;
}
