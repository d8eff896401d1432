/* What a call names, and how that is recorded. */
#pragma once

#include "events.h"
#include "memory.h"
#include "noted.h"

/* `path` as the kernel will look it up, from the root of the image. */
static void record_path(struct stop *s, enum operation op, unsigned flags, int dir, bool in_root, const char *path,
                        size_t len)
{
    static struct place base;
    static char full[2 * PATH_MAX + 2];
    char name[16];
    size_t n = 0;
    if (path[0] == '/' && !in_root && !recording.roots_differ) {
        record_event(s, 'e', op, flags, path, len);
        return;
    }
    enum base found;
    if (path[0] == '/' && !in_root)
        found = read_link(s, "root", &base);
    else if (dir == AT_FDCWD)
        found = read_link(s, "cwd", &base);
    else
        found = dir < 0 ? NOWHERE : read_link(s, descriptor_link(name, dir), &base);
    if (found != FOUND) {
        record_unresolved(s, found, op, flags, path, len);
        return;
    }
    if (base.len > 1) {
        memcpy(full, base.text, base.len);
        n = base.len;
    }
    if (path[0] != '/')
        full[n++] = '/';
    memcpy(full + n, path, len);
    record_event(s, 'e', op, flags, full, n + len);
}

static void record_descriptor(struct stop *s, enum operation op, unsigned flags, int fd)
{
    static struct place base;
    char name[16] = "fd/-";
    if (fd >= 0)
        descriptor_link(name, fd);
    base.len = 0;
    enum base found = fd == AT_FDCWD ? read_link(s, "cwd", &base) : fd < 0 ? NOWHERE : read_link(s, name, &base);
    if (found == FOUND)
        record_event(s, 'e', op, flags, base.text, base.len);
    else if (base.len)
        record_unresolved(s, found, op, flags, base.text, base.len);
    else
        record_unresolved(s, found, op, flags, name, length(name));
}

static unsigned open_flags(u64 flags)
{
    unsigned f = 0;
    if (flags & O_PATH)
        f |= F_PATH;
    else {
        f |= (flags & O_ACCMODE) != O_WRONLY ? F_READ : 0;
        f |= (flags & O_ACCMODE) != O_RDONLY ? F_WRITE : 0;
        f |= flags & O_CREAT ? F_CREATE : 0;
        f |= flags & O_CREAT && flags & O_EXCL ? F_EXCLUSIVE : 0;
        f |= flags & O_TRUNC ? F_TRUNCATE : 0;
    }
    f |= flags & O_DIRECTORY ? F_DIRECTORY : 0;
    f |= flags & O_NOFOLLOW ? F_NOFOLLOW : 0;
    return f;
}

static void record_socket(struct stop *s, enum operation op, u64 address, u64 size)
{
    struct {
        u16 family;
        char path[108];
    } a;
    if (size > sizeof a)
        size = sizeof a;
    if (size <= sizeof a.family)
        return;
    memset(&a, 0, sizeof a);
    long r = read_memory(s, address, &a, size);
    if (read_failed(s, r) || r < 3 || a.family != AF_UNIX || !a.path[0])
        return;
    size_t len = 0;
    while (len < size - sizeof a.family && a.path[len])
        len++;
    record_path(s, op, 0, AT_FDCWD, false, a.path, len);
}

static void record_socketcall(struct stop *s)
{
    enum { SYS_BIND = 2, SYS_CONNECT = 3 };
    u32 args[3];
    if (s->args[0] != SYS_BIND && s->args[0] != SYS_CONNECT)
        return;
    long r = read_memory(s, s->args[1], args, sizeof args);
    if (!read_failed(s, r) && r == sizeof args)
        record_socket(s, s->args[0] == SYS_BIND ? OP_BIND : OP_CONNECT, args[1], args[2]);
}

static void record_call(struct stop *s, const struct call *c)
{
    enum { RESOLVE_IN_ROOT = 0x10, IN_ONLYDIR = 0x01000000, IN_DONT_FOLLOW = 0x02000000 };
    enum { FAN_MARK_DONT_FOLLOW = 4, FAN_MARK_ONLYDIR = 8, UMOUNT_NOFOLLOW = 8 };
    static char path[PATH_MAX + 1];
    u64 given = c->flags ? s->args[c->flags - 1] : 0;
    int dir = c->dir ? (int)s->args[c->dir - 1] : AT_FDCWD;
    enum operation op = c->operation;
    unsigned flags = 0;
    bool in_root = false, empty_is_descriptor = false;

    switch ((enum how)c->how) {
    case DESCRIPTOR: record_descriptor(s, op, 0, dir); return;
    case SOCKADDR: record_socket(s, op, s->args[c->path - 1], given & 0xffffffff); return;
    case SOCKETCALL: record_socketcall(s); return;
    case ROOT_MOVES: recording.roots_differ = true; break;
    case FOLLOW:
    case MOUNT_SOURCE: break;
    case NOFOLLOW: flags = F_NOFOLLOW; break;
    case AT_FLAGS: flags = given & AT_SYMLINK_NOFOLLOW ? F_NOFOLLOW : 0; break;
    case AT_FLAGS_FOLLOW: flags = given & AT_SYMLINK_FOLLOW ? 0 : F_NOFOLLOW; break;
    case OPEN_FLAGS: flags = open_flags(given); break;
    case OPEN_CREATE: flags = F_WRITE | F_CREATE | F_TRUNCATE; break;
    case OPEN_HOW: {
        struct {
            u64 flags, mode, resolve;
        } how;
        long r = read_memory(s, given, &how, sizeof how);
        if (read_failed(s, r) || r != sizeof how)
            return;
        flags = open_flags(how.flags);
        in_root = how.resolve & RESOLVE_IN_ROOT;
        break;
    }
    case UNLINK_AT:
        flags = F_NOFOLLOW;
        op = given & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK;
        break;
    case EXEC_AT:
        flags = given & AT_SYMLINK_NOFOLLOW ? F_NOFOLLOW : 0;
        empty_is_descriptor = given & AT_EMPTY_PATH;
        break;
    case LINK_TEXT:
        flags = F_NOFOLLOW;
        empty_is_descriptor = true;
        break;
    case INOTIFY: flags = (given & IN_DONT_FOLLOW ? F_NOFOLLOW : 0) | (given & IN_ONLYDIR ? F_DIRECTORY : 0); break;
    case FANOTIFY:
        flags = (given & FAN_MARK_DONT_FOLLOW ? F_NOFOLLOW : 0) | (given & FAN_MARK_ONLYDIR ? F_DIRECTORY : 0);
        break;
    case UMOUNT: flags = given & UMOUNT_NOFOLLOW ? F_NOFOLLOW : 0; break;
    }
    if (op == OP_NOTHING)
        return;
    long len = read_path(s, s->args[c->path - 1], path);
    if (len == 0 && empty_is_descriptor)
        record_descriptor(s, op, flags, dir);
    if (len <= 0 || (c->how == MOUNT_SOURCE && !find_char(path, '/') && !(given & (MS_BIND | MS_MOVE))))
        return;
    record_path(s, op, flags, dir, in_root, path, (size_t)len);
}

/* Notes that PID 1 sends itself its stop signal. Programs that clean up in a handler end so, by the default action of
 * the signal; the kernel spares PID 1 that, and it lives on as one that nothing but SIGKILL ends. */
static void observe_signal(const struct stop *s)
{
    char thread[32] = "1/task/";
    *put_digits(thread + length(thread), (unsigned)s->tid) = 0;
    bool own = (int)s->args[0] == 1 && sys3(SYS_faccessat, recording.proc, thread, 0) == 0;
    if (own && still_waiting(s))
        recording.state->raised = recording.stop_signal;
}

static void note_call(const struct stop *s)
{
    if (s->nr >= NUMBERS || noting.noted[s->abi][s->nr] || !still_waiting(s))
        return;
    noting.noted[s->abi][s->nr] = true;
    line.len = 0;
    put_text(&line, s->abi == NATIVE ? "c\tnative\t" : "c\tcompat\t");
    put_number(&line, s->nr, 10);
    put_byte(&line, '\n');
    write_record(&line);
}

static void observe(struct stop *s, u32 arch)
{
    recording.state->handled++;
    if (WITHOUT_OBSERVING || !*recording.live)
        return;
    s->abi = arch == AUDIT_NATIVE ? NATIVE : COMPAT;
    if (s->abi == NATIVE)
        s->nr &= ~SECOND_ABI_BIT;
    else
        for (int i = 0; i < 6; i++)
            s->args[i] &= 0xffffffff;
    for (int i = 0; i < SIGNAL_CALLS; i++)
        if (signal_calls[i].number[s->abi] == (short)s->nr)
            observe_signal(s);
    if (noting.on) {
        note_call(s);
        return;
    }
    if (s->nr >= NUMBERS || !row_of[s->abi][s->nr])
        return;
    const struct call *c = &calls[row_of[s->abi][s->nr] - 1];
    bool exec = c->operation == OP_EXEC;
    do
        record_call(s, c);
    while (++c < calls + CALLS && c->number[s->abi] == (short)s->nr);
    if (exec)
        expect_exec(s);
}
