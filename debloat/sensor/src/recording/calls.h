/* Which system calls take a path, and in which argument. The numbers are in machine/. */
#pragma once

#include "../machine.h"

enum operation {
    OP_OPEN,
    OP_EXEC,
    OP_STAT,
    OP_ACCESS,
    OP_READLINK,
    OP_LIST,
    OP_CHDIR,
    OP_CHROOT,
    OP_MKDIR,
    OP_MKNOD,
    OP_SYMLINK,
    OP_LINK,
    OP_RENAME,
    OP_CREATE,
    OP_UNLINK,
    OP_RMDIR,
    OP_CHMOD,
    OP_CHOWN,
    OP_UTIME,
    OP_TRUNCATE,
    OP_STATFS,
    OP_GETXATTR,
    OP_SETXATTR,
    OP_WATCH,
    OP_CONNECT,
    OP_BIND,
    OP_MOUNT,
    OP_HANDLE,
    OP_NOTHING, /* no path is recorded */
};

/* As event files write them. */
static const char *const operation_name[] = {
    [OP_OPEN] = "open",         [OP_EXEC] = "exec",         [OP_STAT] = "stat",         [OP_ACCESS] = "access",
    [OP_READLINK] = "readlink", [OP_LIST] = "list",         [OP_CHDIR] = "chdir",       [OP_CHROOT] = "chroot",
    [OP_MKDIR] = "mkdir",       [OP_MKNOD] = "mknod",       [OP_SYMLINK] = "symlink",   [OP_LINK] = "link",
    [OP_RENAME] = "rename",     [OP_CREATE] = "create",     [OP_UNLINK] = "unlink",     [OP_RMDIR] = "rmdir",
    [OP_CHMOD] = "chmod",       [OP_CHOWN] = "chown",       [OP_UTIME] = "utime",       [OP_TRUNCATE] = "truncate",
    [OP_STATFS] = "statfs",     [OP_GETXATTR] = "getxattr", [OP_SETXATTR] = "setxattr", [OP_WATCH] = "watch",
    [OP_CONNECT] = "connect",   [OP_BIND] = "bind",         [OP_MOUNT] = "mount",       [OP_HANDLE] = "handle",
};

/* How the arguments are read. An empty path is looked up by no call but those that say so: elsewhere it means ENOENT or
 * the descriptor itself (AT_EMPTY_PATH), whose path was recorded when it was opened. */
enum how {
    FOLLOW,          /* follows a last link */
    NOFOLLOW,        /* never follows it */
    AT_FLAGS,        /* flags: AT_SYMLINK_NOFOLLOW */
    AT_FLAGS_FOLLOW, /* flags: follows only with AT_SYMLINK_FOLLOW */
    OPEN_FLAGS,      /* flags of open(2) */
    OPEN_HOW,        /* flags: pointer to struct open_how */
    OPEN_CREATE,     /* creat(2) */
    UNLINK_AT,       /* flags: AT_REMOVEDIR makes it rmdir */
    EXEC_AT,         /* as AT_FLAGS; an empty path is the descriptor's */
    LINK_TEXT,       /* readlinkat(2): NOFOLLOW; an empty path is the descriptor's */
    DESCRIPTOR,      /* no path is given: it is that of the descriptor `dir` */
    SOCKADDR,        /* path: address, flags: its length */
    SOCKETCALL,      /* i386: bind and connect behind one number */
    INOTIFY,         /* flags of inotify_add_watch(2) */
    FANOTIFY,        /* flags of fanotify_mark(2) */
    MOUNT_SOURCE,    /* a path only when it looks like one, or the flags say so */
    UMOUNT,          /* flags of umount2(2) */
    ROOT_MOVES,      /* as FOLLOW, and from now on processes may have a root of their own */
};

enum abi { NATIVE, COMPAT, ABIS };

struct call {
    short number[ABIS]; /* ABSENT: not a call of that ABI */
    u8 operation, how;
    u8 dir, path, flags; /* which argument, counted from 1. 0: there is none; without `dir` a path is relative to the
                          * working directory */
};

#define CALL(name) .number = {SYS_##name, COMPAT_##name}
#define RECENT_CALL(name) .number = {SYS_##name, SYS_##name}
#define NATIVE_CALL(name) .number = {SYS_##name, ABSENT}
#define COMPAT_CALL(name) .number = {ABSENT, COMPAT_##name}

/* Frequent calls first: the filter tests in this order. A call that names two paths has two adjacent rows. */
static const struct call calls[] = {
    {CALL(openat), .operation = OP_OPEN, .how = OPEN_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {CALL(newfstatat), .operation = OP_STAT, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 4},
    {CALL(stat), .operation = OP_STAT, .how = FOLLOW, .path = 1},
    {CALL(lstat), .operation = OP_STAT, .how = NOFOLLOW, .path = 1},
    {CALL(statx), .operation = OP_STAT, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {CALL(open), .operation = OP_OPEN, .how = OPEN_FLAGS, .path = 1, .flags = 2},
    {CALL(readlink), .operation = OP_READLINK, .how = NOFOLLOW, .path = 1},
    {CALL(access), .operation = OP_ACCESS, .how = FOLLOW, .path = 1},
    {CALL(getdents64), .operation = OP_LIST, .how = DESCRIPTOR, .dir = 1},
    {CALL(execve), .operation = OP_EXEC, .how = FOLLOW, .path = 1},
    {CALL(faccessat), .operation = OP_ACCESS, .how = FOLLOW, .dir = 1, .path = 2},
    {RECENT_CALL(faccessat2), .operation = OP_ACCESS, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 4},
    {CALL(readlinkat), .operation = OP_READLINK, .how = LINK_TEXT, .dir = 1, .path = 2},
    {RECENT_CALL(openat2), .operation = OP_OPEN, .how = OPEN_HOW, .dir = 1, .path = 2, .flags = 3},
    {CALL(chdir), .operation = OP_CHDIR, .how = FOLLOW, .path = 1},
    {CALL(fchdir), .operation = OP_CHDIR, .how = DESCRIPTOR, .dir = 1},
    {CALL(connect), .operation = OP_CONNECT, .how = SOCKADDR, .path = 2, .flags = 3},
    {CALL(bind), .operation = OP_BIND, .how = SOCKADDR, .path = 2, .flags = 3},
    {COMPAT_CALL(socketcall), .operation = OP_NOTHING, .how = SOCKETCALL, .path = 2},
    {COMPAT_CALL(stat64), .operation = OP_STAT, .how = FOLLOW, .path = 1},
    {COMPAT_CALL(lstat64), .operation = OP_STAT, .how = NOFOLLOW, .path = 1},
    {COMPAT_CALL(oldstat), .operation = OP_STAT, .how = FOLLOW, .path = 1},
    {COMPAT_CALL(oldlstat), .operation = OP_STAT, .how = NOFOLLOW, .path = 1},
    {CALL(getdents), .operation = OP_LIST, .how = DESCRIPTOR, .dir = 1},
    {COMPAT_CALL(readdir), .operation = OP_LIST, .how = DESCRIPTOR, .dir = 1},
    {CALL(execveat), .operation = OP_EXEC, .how = EXEC_AT, .dir = 1, .path = 2, .flags = 5},
    {NATIVE_CALL(x32_execve), .operation = OP_EXEC, .how = FOLLOW, .path = 1},
    {NATIVE_CALL(x32_execveat), .operation = OP_EXEC, .how = EXEC_AT, .dir = 1, .path = 2, .flags = 5},
    {CALL(uselib), .operation = OP_EXEC, .how = FOLLOW, .path = 1},
    {CALL(creat), .operation = OP_OPEN, .how = OPEN_CREATE, .path = 1},
    {CALL(chroot), .operation = OP_CHROOT, .how = ROOT_MOVES, .path = 1},
    {CALL(pivot_root), .operation = OP_CHROOT, .how = ROOT_MOVES, .path = 1}, /* the new root */
    {CALL(pivot_root), .operation = OP_CHROOT, .how = ROOT_MOVES, .path = 2}, /* the place of the old one */
    {CALL(setns), .operation = OP_NOTHING, .how = ROOT_MOVES},
    {CALL(mkdir), .operation = OP_MKDIR, .how = NOFOLLOW, .path = 1},
    {CALL(mkdirat), .operation = OP_MKDIR, .how = NOFOLLOW, .dir = 1, .path = 2},
    {CALL(mknod), .operation = OP_MKNOD, .how = NOFOLLOW, .path = 1},
    {CALL(mknodat), .operation = OP_MKNOD, .how = NOFOLLOW, .dir = 1, .path = 2},
    {CALL(symlink), .operation = OP_SYMLINK, .how = NOFOLLOW, .path = 2},
    {CALL(symlinkat), .operation = OP_SYMLINK, .how = NOFOLLOW, .dir = 2, .path = 3},
    {CALL(link), .operation = OP_LINK, .how = NOFOLLOW, .path = 1},
    {CALL(link), .operation = OP_CREATE, .how = NOFOLLOW, .path = 2},
    {CALL(linkat), .operation = OP_LINK, .how = AT_FLAGS_FOLLOW, .dir = 1, .path = 2, .flags = 5},
    {CALL(linkat), .operation = OP_CREATE, .how = NOFOLLOW, .dir = 3, .path = 4},
    {CALL(rename), .operation = OP_RENAME, .how = NOFOLLOW, .path = 1},
    {CALL(rename), .operation = OP_CREATE, .how = NOFOLLOW, .path = 2},
    {CALL(renameat), .operation = OP_RENAME, .how = NOFOLLOW, .dir = 1, .path = 2},
    {CALL(renameat), .operation = OP_CREATE, .how = NOFOLLOW, .dir = 3, .path = 4},
    {CALL(renameat2), .operation = OP_RENAME, .how = NOFOLLOW, .dir = 1, .path = 2},
    {CALL(renameat2), .operation = OP_CREATE, .how = NOFOLLOW, .dir = 3, .path = 4},
    {CALL(unlink), .operation = OP_UNLINK, .how = NOFOLLOW, .path = 1},
    {CALL(unlinkat), .operation = OP_UNLINK, .how = UNLINK_AT, .dir = 1, .path = 2, .flags = 3},
    {CALL(rmdir), .operation = OP_RMDIR, .how = NOFOLLOW, .path = 1},
    {CALL(chmod), .operation = OP_CHMOD, .how = FOLLOW, .path = 1},
    {CALL(fchmodat), .operation = OP_CHMOD, .how = FOLLOW, .dir = 1, .path = 2},
    {RECENT_CALL(fchmodat2), .operation = OP_CHMOD, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 4},
    {CALL(chown), .operation = OP_CHOWN, .how = FOLLOW, .path = 1},
    {COMPAT_CALL(chown32), .operation = OP_CHOWN, .how = FOLLOW, .path = 1},
    {CALL(lchown), .operation = OP_CHOWN, .how = NOFOLLOW, .path = 1},
    {COMPAT_CALL(lchown32), .operation = OP_CHOWN, .how = NOFOLLOW, .path = 1},
    {CALL(fchownat), .operation = OP_CHOWN, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 5},
    {CALL(utime), .operation = OP_UTIME, .how = FOLLOW, .path = 1},
    {CALL(utimes), .operation = OP_UTIME, .how = FOLLOW, .path = 1},
    {CALL(futimesat), .operation = OP_UTIME, .how = FOLLOW, .dir = 1, .path = 2},
    {CALL(utimensat), .operation = OP_UTIME, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 4},
    {COMPAT_CALL(utimensat_time64), .operation = OP_UTIME, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 4},
    {CALL(truncate), .operation = OP_TRUNCATE, .how = FOLLOW, .path = 1},
    {COMPAT_CALL(truncate64), .operation = OP_TRUNCATE, .how = FOLLOW, .path = 1},
    {CALL(statfs), .operation = OP_STATFS, .how = FOLLOW, .path = 1},
    {COMPAT_CALL(statfs64), .operation = OP_STATFS, .how = FOLLOW, .path = 1},
    {CALL(getxattr), .operation = OP_GETXATTR, .how = FOLLOW, .path = 1},
    {CALL(lgetxattr), .operation = OP_GETXATTR, .how = NOFOLLOW, .path = 1},
    {CALL(listxattr), .operation = OP_GETXATTR, .how = FOLLOW, .path = 1},
    {CALL(llistxattr), .operation = OP_GETXATTR, .how = NOFOLLOW, .path = 1},
    {RECENT_CALL(getxattrat), .operation = OP_GETXATTR, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {RECENT_CALL(listxattrat), .operation = OP_GETXATTR, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {RECENT_CALL(file_getattr), .operation = OP_GETXATTR, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 5},
    {CALL(setxattr), .operation = OP_SETXATTR, .how = FOLLOW, .path = 1},
    {CALL(lsetxattr), .operation = OP_SETXATTR, .how = NOFOLLOW, .path = 1},
    {CALL(removexattr), .operation = OP_SETXATTR, .how = FOLLOW, .path = 1},
    {CALL(lremovexattr), .operation = OP_SETXATTR, .how = NOFOLLOW, .path = 1},
    {RECENT_CALL(setxattrat), .operation = OP_SETXATTR, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {RECENT_CALL(removexattrat), .operation = OP_SETXATTR, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {RECENT_CALL(file_setattr), .operation = OP_SETXATTR, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 5},
    {CALL(inotify_add_watch), .operation = OP_WATCH, .how = INOTIFY, .path = 2, .flags = 3},
    {NATIVE_CALL(fanotify_mark), .operation = OP_WATCH, .how = FANOTIFY, .dir = 4, .path = 5, .flags = 2},
    {COMPAT_CALL(fanotify_mark), .operation = OP_WATCH, .how = FANOTIFY, .dir = 5, .path = 6,
     .flags = 2}, /* its 64-bit mask takes two registers */
    {CALL(mount), .operation = OP_MOUNT, .how = MOUNT_SOURCE, .path = 1, .flags = 4},
    {CALL(mount), .operation = OP_MOUNT, .how = FOLLOW, .path = 2},
    {COMPAT_CALL(umount), .operation = OP_MOUNT, .how = FOLLOW, .path = 1},
    {CALL(umount2), .operation = OP_MOUNT, .how = UMOUNT, .path = 1, .flags = 2},
    {RECENT_CALL(open_tree), .operation = OP_MOUNT, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {RECENT_CALL(open_tree_attr), .operation = OP_MOUNT, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {RECENT_CALL(move_mount), .operation = OP_MOUNT, .how = FOLLOW, .dir = 1, .path = 2},
    {RECENT_CALL(move_mount), .operation = OP_MOUNT, .how = FOLLOW, .dir = 3, .path = 4},
    {RECENT_CALL(fspick), .operation = OP_MOUNT, .how = FOLLOW, .dir = 1, .path = 2},
    {RECENT_CALL(mount_setattr), .operation = OP_MOUNT, .how = AT_FLAGS, .dir = 1, .path = 2, .flags = 3},
    {CALL(name_to_handle_at), .operation = OP_HANDLE, .how = AT_FLAGS_FOLLOW, .dir = 1, .path = 2, .flags = 5},
};

enum { CALLS = sizeof calls / sizeof *calls, NUMBERS = 640 };

/* Row of the table + 1 for each number; 0: none. */
static u8 row_of[ABIS][NUMBERS];

static void index_calls(void)
{
    for (int abi = 0; abi < ABIS; abi++)
        for (int i = CALLS - 1; i >= 0; i--)
            if (calls[i].number[abi] != ABSENT)
                row_of[abi][calls[i].number[abi]] = (u8)(i + 1);
}
