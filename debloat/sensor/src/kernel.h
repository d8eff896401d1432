/* The kernel's interface: own copies of constants and structures, so that no kernel headers are needed to build. */
#pragma once

#include "machine.h"

/* clang-format off */
#define ERRORS(X) \
    X(EPERM, 1) X(ENOENT, 2) X(ESRCH, 3) X(EINTR, 4) X(EIO, 5) X(ENXIO, 6) X(E2BIG, 7) X(ENOEXEC, 8) X(EBADF, 9) \
    X(ECHILD, 10) X(EAGAIN, 11) X(ENOMEM, 12) X(EACCES, 13) X(EFAULT, 14) X(EBUSY, 16) X(EEXIST, 17) X(EXDEV, 18) \
    X(ENODEV, 19) X(ENOTDIR, 20) X(EISDIR, 21) X(EINVAL, 22) X(ENFILE, 23) X(EMFILE, 24) X(ENOTTY, 25) \
    X(ETXTBSY, 26) X(EFBIG, 27) X(ENOSPC, 28) X(EROFS, 30) X(EPIPE, 32) X(ERANGE, 34) X(ENAMETOOLONG, 36) \
    X(ENOSYS, 38) X(ELOOP, 40) X(ENODATA, 61) X(EOPNOTSUPP, 95) X(ENETUNREACH, 101) X(ECONNRESET, 104) \
    X(ETIMEDOUT, 110) X(ECONNREFUSED, 111) X(EHOSTUNREACH, 113) X(EDQUOT, 122)
/* clang-format on */

#define X(name, number) name = number,
enum { ERRORS(X) };
#undef X

enum {
    O_RDONLY = 0,
    O_WRONLY = 1,
    O_RDWR = 2,
    O_ACCMODE = 3,
    O_CREAT = 0100,
    O_EXCL = 0200,
    O_NOCTTY = 0400,
    O_TRUNC = 01000,
    O_APPEND = 02000,
    O_NONBLOCK = 04000,
    O_CLOEXEC = 02000000,
    O_PATH = 010000000
};
enum { AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_SYMLINK_FOLLOW = 0x400 };
enum { AT_EMPTY_PATH = 0x1000 };
enum { X_OK = 1 };
enum { S_IFMT = 0170000, S_IFSOCK = 0140000, S_IFLNK = 0120000, S_IFREG = 0100000, S_IFBLK = 0060000 };
enum { S_IFDIR = 0040000, S_IFCHR = 0020000, S_IFIFO = 0010000 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MREMAP_MAYMOVE = 1 };
enum { PATH_MAX = 4096, PAGE = 4096 };
enum { SIGTRAP = 5, SIGKILL = 9, SIGCHLD = 17, SIGSTOP = 19, LAST_SIGNAL = 64 };
enum { POLLIN = 1, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32 };
enum { CLONE_PARENT = 0x8000 };
enum { WALL = 0x40000000 };
enum { MS_RDONLY = 1, MS_BIND = 4096, MS_MOVE = 8192, MS_REC = 16384, MS_PRIVATE = 1 << 18 };
enum { CLONE_NEWNS = 0x20000 };
enum { RLIMIT_NOFILE = 7 };
enum { SHUT_WR = 1 };
enum { AF_UNIX = 1, AF_INET = 2, SOL_SOCKET = 1, SCM_RIGHTS = 1 };
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_CLOEXEC = 02000000 };
enum { CLOCK_MONOTONIC = 1 };

enum {
    PR_GET_NO_NEW_PRIVS = 39,
    PR_SET_NO_NEW_PRIVS = 38,
    PR_CAPBSET_READ = 23,
    PR_CAPBSET_DROP = 24,
    PR_CAP_AMBIENT = 47,
    PR_CAP_AMBIENT_LOWER = 3
};
#define CAPABILITY_VERSION_3 0x20080522u

struct capability_header {
    u32 version;
    int pid;
};
struct capability_data {
    u32 effective, permitted, inheritable;
};

struct statx_time {
    i64 sec;
    u32 nsec;
    int pad;
};
struct statx {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad1;
    u64 ino, size, blocks, attributes_mask;
    struct statx_time atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mnt_id;
    u64 spare[13];
};
enum { STATX_BASIC = 0x7ff, STATX_MNT_ID = 0x1000 };

struct dirent64 {
    u64 ino;
    i64 off;
    u16 reclen;
    u8 type;
    char name[];
};
struct timespec {
    i64 sec, nsec;
};
struct iovec {
    void *base;
    u64 len;
};
struct pollfd {
    int fd;
    short events, revents;
};
struct msghdr {
    void *name;
    u32 namelen;
    struct iovec *iov;
    u64 iovlen;
    void *control;
    u64 controllen;
    int flags;
};
struct cmsghdr_fd {
    u64 len;
    int level, type;
    int fd;
    int pad;
};

/* seccomp(2) */
enum { SECCOMP_SET_MODE_FILTER = 1 };
enum { FILTER_SPEC_ALLOW = 4, FILTER_NEW_LISTENER = 8, FILTER_WAIT_KILLABLE_RECV = 32 };
#define RET_ALLOW 0x7fff0000u
#define RET_TRACE 0x7ff00000u
#define RET_NOTIFY 0x7fc00000u
#define RET_ERRNO 0x00050000u
struct bpf {
    u16 code;
    u8 yes, no;
    u32 k;
};
struct bpf_program {
    u16 len;
    struct bpf *code;
};
enum {
    BPF_LOAD_WORD = 0x20,
    BPF_JUMP = 0x05,
    BPF_JUMP_EQUAL = 0x15,
    BPF_JUMP_SET = 0x45,
    BPF_AND = 0x54,
    BPF_RETURN = 0x06
};
enum { DATA_NR = 0, DATA_ARCH = 4, DATA_ARGS = 16 };
struct seccomp_data {
    int nr;
    u32 arch;
    u64 ip;
    u64 args[6];
};
struct notification {
    u64 id;
    u32 pid, flags;
    struct seccomp_data data;
};
struct response {
    u64 id;
    i64 value;
    int error;
    u32 flags;
};
enum { RESPONSE_CONTINUE = 1 };
#define NOTIF_RECV 0xC0502100u
#define NOTIF_SEND 0xC0182101u
#define NOTIF_ID_VALID 0x40082102u
#define NOTIF_ID_VALID_OLD 0x80082102u /* Linux before 5.8 had the direction of the argument the wrong way round */
#define NOTIF_SET_FLAGS 0x40082104u
enum { NOTIF_SYNC_WAKE_UP = 1 };

/* ptrace(2) */
enum {
    PTRACE_CONT = 7,
    PTRACE_GETEVENTMSG = 0x4201,
    PTRACE_GETREGSET = 0x4204,
    PTRACE_SEIZE = 0x4206,
    PTRACE_LISTEN = 0x4208,
    PTRACE_GET_SYSCALL_INFO = 0x420e
};
enum { TRACE_FORK = 2, TRACE_VFORK = 4, TRACE_CLONE = 8, TRACE_EXEC = 16, TRACE_SECCOMP = 0x80 };
enum { EVENT_SECCOMP = 7, EVENT_STOP = 128, INFO_SECCOMP = 3, NT_PRSTATUS = 1 };
struct syscall_info {
    u8 op, pad[3];
    u32 arch;
    u64 ip, sp;
    u64 nr, args[6];
    u32 data, pad2;
};
