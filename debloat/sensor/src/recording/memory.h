/* Reading the memory of a program. */
#pragma once

#include "stop.h"

static long read_proc_mem(int tid, u64 from, void *to, size_t n)
{
    char name[24];
    memcpy(put_digits(name, (unsigned)tid), "/mem", 5);
    long fd = open_at(recording.proc, name, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    long r = sys4(SYS_pread64, fd, to, n, from);
    close_fd(fd);
    return r == -EIO || r == 0 ? -EFAULT : r; /* EIO is what this file answers for an address that is not mapped */
}

static long read_memory(const struct stop *s, u64 from, void *to, size_t n)
{
    if (s->abi == NATIVE)
        from &= ADDRESS_MASK;
    if (!recording.no_readv) {
        struct iovec local = {to, n}, remote = {(void *)from, n};
        long r = sys6(SYS_process_vm_readv, s->tid, &local, 1, &remote, 1, 0);
        if (r != -EPERM && r != -ENOSYS)
            return r;
        recording.no_readv = r == -ENOSYS;
    }
    return read_proc_mem(s->tid, from, to, n);
}

/* True when the call cannot be observed though it will be carried out. EFAULT is the program's own: the kernel will
 * answer the same. */
static bool read_failed(const struct stop *s, long result)
{
    if (result >= 0 || result == -EFAULT)
        return false;
    if (still_waiting(s)) {
        recording.state->unread++;
        complain_once("cannot read the memory of a program", result);
    }
    return true;
}

/* A path argument; its length, or -1: there is none that the kernel would look up, or it could not be read (counted).
 */
static long read_path(const struct stop *s, u64 from, char *to)
{
    size_t have = 0;
    while (from && have < PATH_MAX) {
        size_t n = PAGE - (from + have) % PAGE; /* the next page need not be mapped */
        if (!have && n > 256)
            n = 256;
        if (n > PATH_MAX - have)
            n = PATH_MAX - have;
        long r = read_memory(s, from + have, to + have, n);
        if (read_failed(s, r) || r <= 0)
            return -1;
        for (size_t end = have + (size_t)r; have < end; have++)
            if (!to[have])
                return (long)have;
    }
    return -1;
}
