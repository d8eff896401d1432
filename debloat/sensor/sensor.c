/*
 * sensor: records which paths the programs of a container use, and serves what else must be known from inside.
 *
 * One file without a C library, because it is put into images that have none. docs/sensor.md is the contract: command
 * line, event files, state files, the line protocol of `control` and the framed one of `serve`.
 *
 *   1  machine            system call instruction, numbers of the calls that the sensor itself makes
 *   2  kernel interface   constants and structures, own copies so that no kernel headers are needed to build
 *   3  library            memory, text, files
 *   4  table              which system calls take a path, and where
 *   5  recording          hash set, event file, resolving and writing what one call names
 *   6  filter             the seccomp program made from the table
 *   7  supervisors        seccomp user notification, ptrace
 *   8  identity           USER, capabilities, environment: what the runtime would have set up
 *   9  record, control, serve, doctor
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

/* ---------------------------------------------------------------------------------------------- 1 machine */

#if defined(__x86_64__)

#define ARCH_NAME "x86_64"
enum {
    SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_mmap = 9, SYS_munmap = 11, SYS_rt_sigprocmask = 14, SYS_ioctl = 16,
    SYS_pread64 = 17, SYS_mremap = 25, SYS_nanosleep = 35, SYS_getpid = 39,
    SYS_socket = 41, SYS_connect = 42, SYS_sendmsg = 46, SYS_recvmsg = 47, SYS_shutdown = 48,
    SYS_socketpair = 53, SYS_clone = 56, SYS_execve = 59, SYS_wait4 = 61, SYS_kill = 62, SYS_uname = 63,
    SYS_fcntl = 72, SYS_ftruncate = 77, SYS_chdir = 80, SYS_fchdir = 81, SYS_fchown = 93, SYS_ptrace = 101,
    SYS_setuid = 105, SYS_setgid = 106, SYS_setsid = 112, SYS_getgroups = 115, SYS_setgroups = 116, SYS_capget = 125, SYS_capset = 126,
    SYS_prctl = 157, SYS_chroot = 161, SYS_mount = 165, SYS_lgetxattr = 192, SYS_llistxattr = 195, SYS_getdents64 = 217,
    SYS_clock_gettime = 228, SYS_exit_group = 231, SYS_openat = 257, SYS_mkdirat = 258, SYS_readlinkat = 267,
    SYS_faccessat = 269, SYS_ppoll = 271, SYS_prlimit64 = 302, SYS_process_vm_readv = 310, SYS_seccomp = 317,
    SYS_getrandom = 318, SYS_statx = 332
};
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };
#define AUDIT_NATIVE 0xC000003Eu
#define AUDIT_COMPAT 0x40000003u

static long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

__asm__(".text\n.globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall start\n\thlt\n");

#elif defined(__aarch64__)

#define ARCH_NAME "aarch64"
enum {
    SYS_lgetxattr = 9, SYS_llistxattr = 12, SYS_fcntl = 25, SYS_ioctl = 29, SYS_mkdirat = 34, SYS_mount = 40, SYS_ftruncate = 46,
    SYS_faccessat = 48, SYS_chdir = 49, SYS_fchdir = 50, SYS_chroot = 51, SYS_fchown = 55, SYS_openat = 56,
    SYS_close = 57, SYS_getdents64 = 61, SYS_read = 63, SYS_write = 64, SYS_pread64 = 67, SYS_ppoll = 73,
    SYS_readlinkat = 78, SYS_capget = 90, SYS_capset = 91, SYS_exit_group = 94, SYS_nanosleep = 101,
    SYS_clock_gettime = 113, SYS_ptrace = 117, SYS_kill = 129, SYS_rt_sigprocmask = 135, SYS_setgid = 144,
    SYS_setuid = 146, SYS_setsid = 157, SYS_getgroups = 158, SYS_setgroups = 159, SYS_uname = 160, SYS_prctl = 167,
    SYS_getpid = 172, SYS_socket = 198, SYS_socketpair = 199, SYS_connect = 203, SYS_shutdown = 210, SYS_sendmsg = 211, SYS_recvmsg = 212, SYS_munmap = 215, SYS_mremap = 216,
    SYS_clone = 220, SYS_execve = 221, SYS_mmap = 222, SYS_wait4 = 260, SYS_prlimit64 = 261,
    SYS_process_vm_readv = 270, SYS_seccomp = 277, SYS_getrandom = 278, SYS_statx = 291
};
enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };
#define AUDIT_NATIVE 0xC00000B7u
#define AUDIT_COMPAT 0x40000028u

static long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

__asm__(".text\n.globl _start\n_start:\n\tmov x29,#0\n\tmov x30,#0\n\tmov x0,sp\n\tbl start\n\tbrk #1\n");

#else
#error "the sensor knows x86_64 and aarch64"
#endif

/* The same number on every machine. */
enum { SYS_pidfd_send_signal = 424, SYS_io_uring_setup = 425, SYS_pidfd_open = 434 };

#define ARG(x) ((long)(x))
#define sys0(n) syscall6(n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) syscall6(n, ARG(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) syscall6(n, ARG(a), ARG(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) syscall6(n, ARG(a), ARG(b), ARG(c), 0, 0, 0)
#define sys4(n, a, b, c, d) syscall6(n, ARG(a), ARG(b), ARG(c), ARG(d), 0, 0)
#define sys5(n, a, b, c, d, e) syscall6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), 0)
#define sys6(n, a, b, c, d, e, f) syscall6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f))

/* ------------------------------------------------------------------------------------- 2 kernel interface */

#define ERRORS(X)                                                                                                   \
    X(EPERM, 1) X(ENOENT, 2) X(ESRCH, 3) X(EINTR, 4) X(EIO, 5) X(ENXIO, 6) X(E2BIG, 7) X(ENOEXEC, 8) X(EBADF, 9)    \
    X(ECHILD, 10) X(EAGAIN, 11) X(ENOMEM, 12) X(EACCES, 13) X(EFAULT, 14) X(EBUSY, 16) X(EEXIST, 17) X(EXDEV, 18)   \
    X(ENODEV, 19) X(ENOTDIR, 20) X(EISDIR, 21) X(EINVAL, 22) X(ENFILE, 23) X(EMFILE, 24) X(ENOTTY, 25)              \
    X(ETXTBSY, 26) X(EFBIG, 27) X(ENOSPC, 28) X(EROFS, 30) X(EPIPE, 32) X(ERANGE, 34) X(ENAMETOOLONG, 36)           \
    X(ENOSYS, 38) X(ELOOP, 40) X(ENODATA, 61) X(EOPNOTSUPP, 95) X(ENETUNREACH, 101) X(ECONNRESET, 104)              \
    X(ETIMEDOUT, 110) X(ECONNREFUSED, 111) X(EHOSTUNREACH, 113) X(EDQUOT, 122)

#define X(name, number) name = number,
enum { ERRORS(X) };
#undef X

enum {
    O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_ACCMODE = 3, O_CREAT = 0100, O_EXCL = 0200, O_NOCTTY = 0400,
    O_TRUNC = 01000, O_APPEND = 02000, O_NONBLOCK = 04000, O_CLOEXEC = 02000000, O_PATH = 010000000
};
enum { AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_SYMLINK_FOLLOW = 0x400 };
enum { AT_EMPTY_PATH = 0x1000 };
enum { X_OK = 1 };
enum { S_IFMT = 0170000, S_IFSOCK = 0140000, S_IFLNK = 0120000, S_IFREG = 0100000, S_IFBLK = 0060000 };
enum { S_IFDIR = 0040000, S_IFCHR = 0020000, S_IFIFO = 0010000 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MREMAP_MAYMOVE = 1 };
enum { PATH_MAX = 4096, PAGE = 4096 };
enum { SIGKILL = 9, SIGCHLD = 17, SIGSTOP = 19, SIGTRAP = 5 };
enum { POLLIN = 1, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32 };
enum { CLONE_PARENT = 0x8000 };
enum { WALL = 0x40000000 };
enum { MS_BIND = 4096, MS_MOVE = 8192 };
enum { RLIMIT_NOFILE = 7 };
enum { SHUT_WR = 1 };
enum { AF_UNIX = 1, AF_INET = 2, SOCK_STREAM = 1, SOCK_CLOEXEC = 02000000, SOL_SOCKET = 1, SCM_RIGHTS = 1 };
enum { CLOCK_MONOTONIC = 1 };

enum {
    PR_GET_NO_NEW_PRIVS = 39, PR_SET_NO_NEW_PRIVS = 38, PR_CAPBSET_READ = 23, PR_CAPBSET_DROP = 24,
    PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_LOWER = 3
};
#define CAPABILITY_VERSION_3 0x20080522u

struct capability_header { u32 version; int pid; };
struct capability_data { u32 effective, permitted, inheritable; };

struct statx_time { i64 sec; u32 nsec; int pad; };
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

struct dirent64 { u64 ino; i64 off; u16 reclen; u8 type; char name[]; };
struct timespec { i64 sec, nsec; };
struct iovec { void *base; u64 len; };
struct pollfd { int fd; short events, revents; };
struct msghdr {
    void *name; u32 namelen; struct iovec *iov; u64 iovlen; void *control; u64 controllen; int flags;
};
struct cmsghdr_fd { u64 len; int level, type; int fd; int pad; };

/* seccomp(2) */
enum { SECCOMP_SET_MODE_FILTER = 1 };
enum { FILTER_SPEC_ALLOW = 4, FILTER_NEW_LISTENER = 8, FILTER_WAIT_KILLABLE_RECV = 32 };
#define RET_ALLOW 0x7fff0000u
#define RET_TRACE 0x7ff00000u
#define RET_NOTIFY 0x7fc00000u
#define RET_ERRNO 0x00050000u
struct bpf { u16 code; u8 yes, no; u32 k; };
struct bpf_program { u16 len; struct bpf *code; };
enum { BPF_LOAD_WORD = 0x20, BPF_JUMP = 0x05, BPF_JUMP_EQUAL = 0x15, BPF_JUMP_SET = 0x45, BPF_AND = 0x54, BPF_RETURN = 0x06 };
enum { DATA_NR = 0, DATA_ARCH = 4, DATA_ARGS = 16 };
struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6]; };
struct notification { u64 id; u32 pid, flags; struct seccomp_data data; };
struct response { u64 id; i64 value; int error; u32 flags; };
enum { RESPONSE_CONTINUE = 1 };
#define NOTIF_RECV 0xC0502100u
#define NOTIF_SEND 0xC0182101u
#define NOTIF_ID_VALID 0x40082102u
#define NOTIF_ID_VALID_OLD 0x80082102u /* Linux before 5.8 had the direction of the argument the wrong way round */
#define NOTIF_SET_FLAGS 0x40082104u
enum { NOTIF_SYNC_WAKE_UP = 1 };

/* ptrace(2) */
enum {
    PTRACE_CONT = 7, PTRACE_GETEVENTMSG = 0x4201, PTRACE_GETREGSET = 0x4204, PTRACE_SEIZE = 0x4206,
    PTRACE_LISTEN = 0x4208, PTRACE_GET_SYSCALL_INFO = 0x420e
};
enum { TRACE_FORK = 2, TRACE_VFORK = 4, TRACE_CLONE = 8, TRACE_EXEC = 16, TRACE_SECCOMP = 0x80 };
enum { EVENT_SECCOMP = 7, EVENT_STOP = 128, INFO_SECCOMP = 3, NT_PRSTATUS = 1 };
struct syscall_info { u8 op, pad[3]; u32 arch; u64 ip, sp; u64 nr, args[6]; u32 data, pad2; };

/* ---------------------------------------------------------------------------------------------- 3 library */

/* The compiler may call these four whatever it is told. The empty asm keeps it from turning a loop into a call of itself;
 * words, because short strings are what is copied, and repeated string instructions start slowly. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    u8 *t = to;
    const u8 *f = from;
    for (; n >= 8; n -= 8, t += 8, f += 8) { __builtin_memcpy(t, f, 8); __asm__ volatile("" ::: "memory"); }
    for (; n; n--, t++, f++) { *t = *f; __asm__ volatile("" ::: "memory"); }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    u8 *t = to;
    const u64 word = (u8)value * 0x0101010101010101u;
    for (; n >= 8; n -= 8, t += 8) { __builtin_memcpy(t, &word, 8); __asm__ volatile("" ::: "memory"); }
    for (; n; n--, t++) { *t = (u8)value; __asm__ volatile("" ::: "memory"); }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    u8 *t = to;
    const u8 *f = from;
    if (t <= f || t >= f + n)
        return memcpy(to, from, n);
    while (n--) { t[n] = f[n]; __asm__ volatile("" ::: "memory"); }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n; n--, x++, y++) {
        __asm__ volatile("" ::: "memory");
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n]) { n++; __asm__ volatile("" ::: "memory"); }
    return n;
}

static bool same(const char *a, const char *b) { size_t n = length(a); return n == length(b) && !memcmp(a, b, n); }
static bool starts(const char *s, const char *with) { size_t n = length(with); return length(s) >= n && !memcmp(s, with, n); }

static const char *find_char(const char *s, char c)
{
    for (; *s; s++)
        if (*s == c)
            return s;
    return NULL;
}

static const char *error_name(long error)
{
    switch (error < 0 ? -error : error) {
#define X(name, number) case number: return #name;
    ERRORS(X)
#undef X
    }
    return "EUNKNOWN";
}

__attribute__((noreturn)) static void leave(int code)
{
    for (;;)
        sys1(SYS_exit_group, code);
}

/* Text and bytes of unknown length: grows by whole pages; `failed` instead of a pointer to check at each call. */
struct bytes { char *data; size_t len, room; bool failed; };

static bool reserve(struct bytes *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->len + more <= b->room)
        return true;
    size_t room = b->room ? b->room : 16 * PAGE;
    while (room < b->len + more)
        room *= 2;
    long at = b->data ? sys4(SYS_mremap, b->data, b->room, room, MREMAP_MAYMOVE)
                      : sys6(SYS_mmap, 0, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -PAGE) {
        b->failed = true;
        return false;
    }
    b->data = (char *)at;
    b->room = room;
    return true;
}

static void release(struct bytes *b)
{
    if (b->data)
        sys2(SYS_munmap, b->data, b->room);
    *b = (struct bytes){0};
}

static void put(struct bytes *b, const void *data, size_t n)
{
    if (reserve(b, n)) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
}

static void put_byte(struct bytes *b, char c)
{
    if (reserve(b, 1))
        b->data[b->len++] = c;
}

static void put_text(struct bytes *b, const char *s) { put(b, s, length(s)); }

static void put_number(struct bytes *b, u64 n, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[n % base];
    while (n /= base);
    put(b, digits + at, sizeof digits - at);
}

static void put_signed(struct bytes *b, i64 n)
{
    if (n < 0)
        put_byte(b, '-');
    put_number(b, n < 0 ? 0 - (u64)n : (u64)n, 10);
}

/* Names are data of an untrusted image: nothing in them may end a field or a record. */
static void put_escaped(struct bytes *b, const char *s, size_t n)
{
    if (!reserve(b, 4 * n))
        return;
    char *to = b->data + b->len;
    for (size_t i = 0; i < n; i++) {
        u8 c = (u8)s[i];
        if (c < 0x21 || c == 0x7f || c == '\\') {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = "0123456789abcdef"[c >> 4];
            *to++ = "0123456789abcdef"[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    b->len = (size_t)(to - b->data);
}

static const char *terminated(struct bytes *b)
{
    put_byte(b, 0);
    if (b->failed)
        return "";
    b->len--;
    return b->data;
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
    struct bytes line = {0};
    va_list more;
    va_start(more, first);
    for (const char *part = first; part; part = va_arg(more, const char *))
        put_text(&line, part);
    va_end(more);
    put_byte(&line, '\n');
    if (!line.failed)
        write_all(fd, line.data, line.len);
    release(&line);
}

enum { EXIT_SETUP = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127, EXIT_USAGE = 2 };

#define die(...) do { say(2, "sensor: ", __VA_ARGS__, NULL); leave(EXIT_SETUP); } while (0)

static long open_at(int dir, const char *path, int flags, int mode)
{
    return sys4(SYS_openat, dir, path, flags | O_CLOEXEC, mode);
}

static void close_fd(long fd) { sys1(SYS_close, fd); }

static long stat_at(int dir, const char *path, int flags, struct statx *to)
{
    return sys5(SYS_statx, dir, path, flags, STATX_BASIC | STATX_MNT_ID, to);
}

static long slurp(int dir, const char *path, struct bytes *to)
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
        n = sys3(SYS_read, fd, to->data + to->len, to->room - to->len - 1);
        if (n > 0)
            to->len += (size_t)n;
    } while (n > 0 || n == -EINTR);
    close_fd(fd);
    terminated(to);
    return n;
}

/* A decimal number that fills all of `s`; -1 when it is none. */
static i64 number(const char *s)
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
static char *split(char *s, char stop)
{
    for (; *s; s++)
        if (*s == stop) {
            *s = 0;
            return s + 1;
        }
    return NULL;
}

/* ------------------------------------------------------------------------------------------------ 4 table */

#define OPERATIONS(X)                                                                                            \
    X(OPEN, "open") X(EXEC, "exec") X(STAT, "stat") X(ACCESS, "access") X(READLINK, "readlink") X(LIST, "list")   \
    X(CHDIR, "chdir") X(CHROOT, "chroot") X(MKDIR, "mkdir") X(MKNOD, "mknod") X(SYMLINK, "symlink")               \
    X(LINK, "link") X(RENAME, "rename") X(CREATE, "create") X(UNLINK, "unlink") X(RMDIR, "rmdir")                 \
    X(CHMOD, "chmod") X(CHOWN, "chown") X(UTIME, "utime") X(TRUNCATE, "truncate") X(STATFS, "statfs")             \
    X(GETXATTR, "getxattr") X(SETXATTR, "setxattr") X(WATCH, "watch") X(CONNECT, "connect") X(BIND, "bind")       \
    X(MOUNT, "mount") X(HANDLE, "handle") X(NOTHING, "")

#define X(name, text) OP_##name,
enum operation { OPERATIONS(X) };
#undef X
#define X(name, text) text,
static const char *const operation_name[] = {OPERATIONS(X)};
#undef X

/* How a row is read. An empty path is looked up by no call but those marked so: elsewhere it means ENOENT or the
 * descriptor itself (AT_EMPTY_PATH), whose path was recorded when it was opened. */
enum rule {
    PLAIN,       /* follows a last link */
    NOFOLLOW,    /* never follows it */
    AT,          /* flags: AT_SYMLINK_NOFOLLOW */
    AT_FOLLOW,   /* flags: follows only with AT_SYMLINK_FOLLOW */
    OPEN_FLAGS,  /* flags of open(2) */
    OPEN_HOW,    /* flags: pointer to struct open_how */
    OPEN_CREATE, /* creat(2) */
    UNLINK_AT,   /* flags: AT_REMOVEDIR makes it rmdir */
    EXEC_AT,     /* as AT; an empty path is the descriptor's */
    LINK_TEXT,   /* readlinkat(2): NOFOLLOW; an empty path is the descriptor's */
    DESCRIPTOR,  /* the path of descriptor `dir` */
    SOCKADDR,    /* path: address, flags: its length */
    SOCKETCALL,  /* i386: bind and connect behind one number */
    INOTIFY, FANOTIFY,
    MOUNT_SOURCE, /* a path only when it looks like one */
    UMOUNT,
    ROOT_MOVES    /* PLAIN, and from now on processes may have a root of their own */
};

enum { X86_64, I386, AARCH64, ARM, MACHINES };
enum { CWD = -1, NO = -1 };

struct call {
    short nr[MACHINES];
    u8 op, rule;
    signed char dir, path, flags; /* which argument; CWD: relative to the working directory */
};

/* Frequent calls first: the filter tests in this order. A call that names two paths has two adjacent rows. Two numbers
 * of one machine for one form need two rows as well. Numbers 520 and 545 of x86_64 are those of the x32 ABI. */
static const struct call calls[] = {
    /* x86_64 i386 aarch64 arm */
    {{257, 295, 56, 322}, OP_OPEN, OPEN_FLAGS, 0, 1, 2},          /* openat */
    {{262, 300, 79, 327}, OP_STAT, AT, 0, 1, 3},                  /* newfstatat, fstatat64 */
    {{4, 106, NO, 106}, OP_STAT, PLAIN, CWD, 0, NO},              /* stat */
    {{6, 107, NO, 107}, OP_STAT, NOFOLLOW, CWD, 0, NO},           /* lstat */
    {{332, 383, 291, 397}, OP_STAT, AT, 0, 1, 2},                 /* statx */
    {{2, 5, NO, 5}, OP_OPEN, OPEN_FLAGS, CWD, 0, 1},              /* open */
    {{89, 85, NO, 85}, OP_READLINK, NOFOLLOW, CWD, 0, NO},        /* readlink */
    {{21, 33, NO, 33}, OP_ACCESS, PLAIN, CWD, 0, NO},             /* access */
    {{217, 220, 61, 217}, OP_LIST, DESCRIPTOR, 0, NO, NO},        /* getdents64 */
    {{59, 11, 221, 11}, OP_EXEC, PLAIN, CWD, 0, NO},              /* execve */
    {{269, 307, 48, 334}, OP_ACCESS, PLAIN, 0, 1, NO},            /* faccessat */
    {{439, 439, 439, 439}, OP_ACCESS, AT, 0, 1, 3},               /* faccessat2 */
    {{267, 305, 78, 332}, OP_READLINK, LINK_TEXT, 0, 1, NO},      /* readlinkat */
    {{437, 437, 437, 437}, OP_OPEN, OPEN_HOW, 0, 1, 2},           /* openat2 */
    {{80, 12, 49, 12}, OP_CHDIR, PLAIN, CWD, 0, NO},              /* chdir */
    {{81, 133, 50, 133}, OP_CHDIR, DESCRIPTOR, 0, NO, NO},        /* fchdir */
    {{42, 362, 203, 283}, OP_CONNECT, SOCKADDR, CWD, 1, 2},       /* connect */
    {{49, 361, 200, 282}, OP_BIND, SOCKADDR, CWD, 1, 2},          /* bind */
    {{NO, 102, NO, NO}, OP_NOTHING, SOCKETCALL, CWD, 1, NO},      /* socketcall */
    {{NO, 195, NO, 195}, OP_STAT, PLAIN, CWD, 0, NO},             /* stat64 */
    {{NO, 196, NO, 196}, OP_STAT, NOFOLLOW, CWD, 0, NO},          /* lstat64 */
    {{NO, 18, NO, NO}, OP_STAT, PLAIN, CWD, 0, NO},               /* oldstat */
    {{NO, 84, NO, NO}, OP_STAT, NOFOLLOW, CWD, 0, NO},            /* oldlstat */
    {{78, 141, NO, 141}, OP_LIST, DESCRIPTOR, 0, NO, NO},         /* getdents */
    {{NO, 89, NO, NO}, OP_LIST, DESCRIPTOR, 0, NO, NO},           /* readdir */
    {{322, 358, 281, 387}, OP_EXEC, EXEC_AT, 0, 1, 4},            /* execveat */
    {{520, NO, NO, NO}, OP_EXEC, PLAIN, CWD, 0, NO},              /* execve of x32 */
    {{545, NO, NO, NO}, OP_EXEC, EXEC_AT, 0, 1, 4},               /* execveat of x32 */
    {{134, 86, NO, 86}, OP_EXEC, PLAIN, CWD, 0, NO},              /* uselib */
    {{85, 8, NO, 8}, OP_OPEN, OPEN_CREATE, CWD, 0, NO},           /* creat */
    {{161, 61, 51, 61}, OP_CHROOT, ROOT_MOVES, CWD, 0, NO},       /* chroot */
    {{155, 217, 41, 218}, OP_CHROOT, ROOT_MOVES, CWD, 0, NO},     /* pivot_root, new root */
    {{155, 217, 41, 218}, OP_CHROOT, ROOT_MOVES, CWD, 1, NO},     /* pivot_root, place of the old one */
    {{308, 346, 268, 375}, OP_NOTHING, ROOT_MOVES, CWD, NO, NO},  /* setns */
    {{83, 39, NO, 39}, OP_MKDIR, NOFOLLOW, CWD, 0, NO},           /* mkdir */
    {{258, 296, 34, 323}, OP_MKDIR, NOFOLLOW, 0, 1, NO},          /* mkdirat */
    {{133, 14, NO, 14}, OP_MKNOD, NOFOLLOW, CWD, 0, NO},          /* mknod */
    {{259, 297, 33, 324}, OP_MKNOD, NOFOLLOW, 0, 1, NO},          /* mknodat */
    {{88, 83, NO, 83}, OP_SYMLINK, NOFOLLOW, CWD, 1, NO},         /* symlink */
    {{266, 304, 36, 331}, OP_SYMLINK, NOFOLLOW, 1, 2, NO},        /* symlinkat */
    {{86, 9, NO, 9}, OP_LINK, NOFOLLOW, CWD, 0, NO},              /* link */
    {{86, 9, NO, 9}, OP_CREATE, NOFOLLOW, CWD, 1, NO},
    {{265, 303, 37, 330}, OP_LINK, AT_FOLLOW, 0, 1, 4},           /* linkat */
    {{265, 303, 37, 330}, OP_CREATE, NOFOLLOW, 2, 3, NO},
    {{82, 38, NO, 38}, OP_RENAME, NOFOLLOW, CWD, 0, NO},          /* rename */
    {{82, 38, NO, 38}, OP_CREATE, NOFOLLOW, CWD, 1, NO},
    {{264, 302, 38, 329}, OP_RENAME, NOFOLLOW, 0, 1, NO},         /* renameat */
    {{264, 302, 38, 329}, OP_CREATE, NOFOLLOW, 2, 3, NO},
    {{316, 353, 276, 382}, OP_RENAME, NOFOLLOW, 0, 1, NO},        /* renameat2 */
    {{316, 353, 276, 382}, OP_CREATE, NOFOLLOW, 2, 3, NO},
    {{87, 10, NO, 10}, OP_UNLINK, NOFOLLOW, CWD, 0, NO},          /* unlink */
    {{263, 301, 35, 328}, OP_UNLINK, UNLINK_AT, 0, 1, 2},         /* unlinkat */
    {{84, 40, NO, 40}, OP_RMDIR, NOFOLLOW, CWD, 0, NO},           /* rmdir */
    {{90, 15, NO, 15}, OP_CHMOD, PLAIN, CWD, 0, NO},              /* chmod */
    {{268, 306, 53, 333}, OP_CHMOD, PLAIN, 0, 1, NO},             /* fchmodat */
    {{452, 452, 452, 452}, OP_CHMOD, AT, 0, 1, 3},                /* fchmodat2 */
    {{92, 182, NO, 182}, OP_CHOWN, PLAIN, CWD, 0, NO},            /* chown */
    {{NO, 212, NO, 212}, OP_CHOWN, PLAIN, CWD, 0, NO},            /* chown32 */
    {{94, 16, NO, 16}, OP_CHOWN, NOFOLLOW, CWD, 0, NO},           /* lchown */
    {{NO, 198, NO, 198}, OP_CHOWN, NOFOLLOW, CWD, 0, NO},         /* lchown32 */
    {{260, 298, 54, 325}, OP_CHOWN, AT, 0, 1, 4},                 /* fchownat */
    {{132, 30, NO, NO}, OP_UTIME, PLAIN, CWD, 0, NO},             /* utime */
    {{235, 271, NO, 269}, OP_UTIME, PLAIN, CWD, 0, NO},           /* utimes */
    {{261, 299, NO, 326}, OP_UTIME, PLAIN, 0, 1, NO},             /* futimesat */
    {{280, 320, 88, 348}, OP_UTIME, AT, 0, 1, 3},                 /* utimensat */
    {{NO, 412, NO, 412}, OP_UTIME, AT, 0, 1, 3},                  /* utimensat_time64 */
    {{76, 92, 45, 92}, OP_TRUNCATE, PLAIN, CWD, 0, NO},           /* truncate */
    {{NO, 193, NO, 193}, OP_TRUNCATE, PLAIN, CWD, 0, NO},         /* truncate64 */
    {{137, 99, 43, 99}, OP_STATFS, PLAIN, CWD, 0, NO},            /* statfs */
    {{NO, 268, NO, 266}, OP_STATFS, PLAIN, CWD, 0, NO},           /* statfs64 */
    {{191, 229, 8, 229}, OP_GETXATTR, PLAIN, CWD, 0, NO},         /* getxattr */
    {{192, 230, 9, 230}, OP_GETXATTR, NOFOLLOW, CWD, 0, NO},      /* lgetxattr */
    {{194, 232, 11, 232}, OP_GETXATTR, PLAIN, CWD, 0, NO},        /* listxattr */
    {{195, 233, 12, 233}, OP_GETXATTR, NOFOLLOW, CWD, 0, NO},     /* llistxattr */
    {{464, 464, 464, 464}, OP_GETXATTR, AT, 0, 1, 2},             /* getxattrat */
    {{465, 465, 465, 465}, OP_GETXATTR, AT, 0, 1, 2},             /* listxattrat */
    {{468, 468, 468, 468}, OP_GETXATTR, AT, 0, 1, 4},             /* file_getattr */
    {{188, 226, 5, 226}, OP_SETXATTR, PLAIN, CWD, 0, NO},         /* setxattr */
    {{189, 227, 6, 227}, OP_SETXATTR, NOFOLLOW, CWD, 0, NO},      /* lsetxattr */
    {{197, 235, 14, 235}, OP_SETXATTR, PLAIN, CWD, 0, NO},        /* removexattr */
    {{198, 236, 15, 236}, OP_SETXATTR, NOFOLLOW, CWD, 0, NO},     /* lremovexattr */
    {{463, 463, 463, 463}, OP_SETXATTR, AT, 0, 1, 2},             /* setxattrat */
    {{466, 466, 466, 466}, OP_SETXATTR, AT, 0, 1, 2},             /* removexattrat */
    {{469, 469, 469, 469}, OP_SETXATTR, AT, 0, 1, 4},             /* file_setattr */
    {{254, 292, 27, 317}, OP_WATCH, INOTIFY, CWD, 1, 2},          /* inotify_add_watch */
    {{301, NO, 263, NO}, OP_WATCH, FANOTIFY, 3, 4, 1},            /* fanotify_mark */
    {{NO, 339, NO, 368}, OP_WATCH, FANOTIFY, 4, 5, 1},            /* fanotify_mark, its 64-bit mask in two registers */
    {{165, 21, 40, 21}, OP_MOUNT, MOUNT_SOURCE, CWD, 0, 3},       /* mount */
    {{165, 21, 40, 21}, OP_MOUNT, PLAIN, CWD, 1, NO},
    {{NO, 22, NO, NO}, OP_MOUNT, PLAIN, CWD, 0, NO},              /* umount */
    {{166, 52, 39, 52}, OP_MOUNT, UMOUNT, CWD, 0, 1},             /* umount2 */
    {{428, 428, 428, 428}, OP_MOUNT, AT, 0, 1, 2},                /* open_tree */
    {{467, 467, 467, 467}, OP_MOUNT, AT, 0, 1, 2},                /* open_tree_attr */
    {{429, 429, 429, 429}, OP_MOUNT, PLAIN, 0, 1, NO},            /* move_mount */
    {{429, 429, 429, 429}, OP_MOUNT, PLAIN, 2, 3, NO},
    {{433, 433, 433, 433}, OP_MOUNT, PLAIN, 0, 1, NO},            /* fspick */
    {{442, 442, 442, 442}, OP_MOUNT, AT, 0, 1, 2},                /* mount_setattr */
    {{303, 341, 264, 370}, OP_HANDLE, AT_FOLLOW, 0, 1, 4},        /* name_to_handle_at */
};

enum { CALLS = sizeof calls / sizeof *calls, NUMBERS = 640 };
enum abi { NATIVE, COMPAT, ABIS };
#if defined(__x86_64__)
static const int machine_of[ABIS] = {X86_64, I386};
#else
static const int machine_of[ABIS] = {AARCH64, ARM};
#endif
#define X32_BIT 0x40000000u

/* Row of the table + 1 for each number; 0: none. */
static u8 row_of[ABIS][NUMBERS];

static void index_calls(void)
{
    for (int abi = 0; abi < ABIS; abi++)
        for (int i = CALLS - 1; i >= 0; i--)
            if (calls[i].nr[machine_of[abi]] >= 0)
                row_of[abi][calls[i].nr[machine_of[abi]]] = (u8)(i + 1);
}

/* -------------------------------------------------------------------------------------------- 5 recording */

struct state {
    char magic[8];
    u32 version, mechanism;
    u64 handled, records, unread, unresolved, interrupted, unwritten, write_error;
    u32 pid, phase;
    u32 status, mechanism_error;
    u32 forced_no_new_privs;
    u8 reserved[36];
};
_Static_assert(sizeof(struct state) == 128, "docs/sensor.md gives the offsets");
enum { NOTIFY = 1, PTRACE = 2 };
enum { STARTED = 1, ENDED = 2 };

/* The tests build the sensor for kernels and profiles that have less than theirs. */
#ifndef WITHOUT_READV
#define WITHOUT_READV false
#endif
#ifndef WITHOUT_SYSCALL_INFO
#define WITHOUT_SYSCALL_INFO false
#endif
#ifndef WITHOUT_RECV_END
#define WITHOUT_RECV_END false
#endif
#ifndef WITHOUT_PIDFD
#define WITHOUT_PIDFD false
#endif
/* The benchmark builds it so to measure the floor: the kernel stopping a call and letting it go on. */
#ifndef WITHOUT_OBSERVING
#define WITHOUT_OBSERVING false
#endif

static struct {
    const char *dir, *scope;
    int mechanism;      /* NOTIFY or PTRACE */
    int events;         /* the event file */
    int proc;           /* /proc, held so that a mount over it does no harm */
    int listener;
    int program;        /* pid */
    struct state *state;
    volatile u32 *epoch;
    volatile u32 *live; /* shared with the process that becomes the program: 0 while the sensor's own calls are passing */
    bool roots_differ;  /* chroot, pivot_root or setns was seen: absolute paths need the root of the process */
    bool no_readv;      /* process_vm_readv is refused here */
    bool torn;          /* the last record was cut short by an error */
    bool complained;
} rec = {.listener = -1, .no_readv = WITHOUT_READV};

/* The supervisor keeps no standard descriptors, so that nobody waits for them to close; what must be said goes to where
 * the program's own stderr goes. */
static void complain(const char *what, long error)
{
    struct bytes path = {0};
    put_number(&path, (u64)rec.program, 10);
    put_text(&path, "/fd/2");
    long fd = open_at(rec.proc, terminated(&path), O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK, 0);
    if (fd >= 0) {
        say((int)fd, "sensor: ", what, ": ", error_name(error), NULL);
        close_fd(fd);
    }
    release(&path);
}

static void complain_once(const char *what, long error)
{
    if (!rec.complained)
        complain(what, error);
    rec.complained = true;
}

/* SipHash-2-4 with 128 bits of result: a collision would drop an event, and names come from an untrusted image. */
struct hash { u64 a, b; };
static u64 hash_key[2];

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define SIP_ROUND                                                                                                     \
    do {                                                                                                              \
        v0 += v1; v1 = ROTATE(v1, 13); v1 ^= v0; v0 = ROTATE(v0, 32);                                                 \
        v2 += v3; v3 = ROTATE(v3, 16); v3 ^= v2;                                                                      \
        v0 += v3; v3 = ROTATE(v3, 21); v3 ^= v0;                                                                      \
        v2 += v1; v1 = ROTATE(v1, 17); v1 ^= v2; v2 = ROTATE(v2, 32);                                                 \
    } while (0)

static struct hash hash_of(u64 first, u64 second, const char *s, size_t n)
{
    u64 v0 = hash_key[0] ^ 0x736f6d6570736575u, v1 = hash_key[1] ^ 0x646f72616e646f6du ^ 0xee;
    u64 v2 = hash_key[0] ^ 0x6c7967656e657261u, v3 = hash_key[1] ^ 0x7465646279746573u;
    const u64 head[2] = {first, second};
    for (size_t i = 0; i < 2 + n / 8; i++) {
        u64 word;
        if (i < 2)
            word = head[i];
        else
            __builtin_memcpy(&word, s + 8 * (i - 2), 8);
        v3 ^= word; SIP_ROUND; SIP_ROUND; v0 ^= word;
    }
    u64 last = (u64)n << 56;
    for (size_t i = 0; i < n % 8; i++)
        last |= (u64)(u8)s[n - n % 8 + i] << 8 * i;
    v3 ^= last; SIP_ROUND; SIP_ROUND; v0 ^= last;
    v2 ^= 0xee; SIP_ROUND; SIP_ROUND; SIP_ROUND; SIP_ROUND;
    struct hash h;
    h.a = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd; SIP_ROUND; SIP_ROUND; SIP_ROUND; SIP_ROUND;
    h.b = v0 ^ v1 ^ v2 ^ v3;
    h.b += !(h.a | h.b); /* all zero marks a free slot */
    return h;
}

struct slot { struct hash key; u64 value; };
struct table { struct slot *slots; size_t used, room; /* a power of two */ };

static struct slot *slot_of(struct table *t, struct hash key)
{
    size_t at = key.a & (t->room - 1);
    while ((t->slots[at].key.a | t->slots[at].key.b) && (t->slots[at].key.a != key.a || t->slots[at].key.b != key.b))
        at = (at + 1) & (t->room - 1);
    return &t->slots[at];
}

/* The slot of `key`, made with value 0 when it was not there; NULL when memory ran out, and then nothing is forgotten:
 * the caller goes on as if the key were new. */
static struct slot *lookup(struct table *t, struct hash key)
{
    if (t->used * 4 >= t->room * 3) {
        struct table bigger = {NULL, t->used, t->room ? t->room * 2 : 4096};
        long at = sys6(SYS_mmap, 0, bigger.room * sizeof(struct slot), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at < 0 && at > -PAGE) {
            if (!t->room || t->used + 1 >= t->room)
                return NULL;
        } else {
            bigger.slots = (struct slot *)at;
            for (size_t i = 0; i < t->room; i++)
                if (t->slots[i].key.a | t->slots[i].key.b)
                    *slot_of(&bigger, t->slots[i].key) = t->slots[i];
            if (t->room)
                sys2(SYS_munmap, t->slots, t->room * sizeof(struct slot));
            *t = bigger;
        }
    }
    struct slot *s = slot_of(t, key);
    if (!(s->key.a | s->key.b)) {
        s->key = key;
        t->used++;
    }
    return s;
}

static struct table seen, programs;

/* One system call of one task, stopped at its entry. */
struct stop {
    int tid;
    enum abi abi;
    unsigned nr;
    u64 args[6];
    u64 id;               /* of the notification; unused under ptrace */
    bool task_is_current; /* its entry in `tasks` was just seen to be about this task */
};

/* Whether what was read about the task is about the task that made the call: it may have been killed meanwhile and its
 * number given to another. Under ptrace the stopped task cannot go away unseen. */
static bool still_waiting(const struct stop *s)
{
    if (rec.mechanism == PTRACE)
        return true;
    u64 id = s->id;
    long r = sys3(SYS_ioctl, rec.listener, NOTIF_ID_VALID, &id);
    if (r == -EINVAL || r == -ENOTTY)
        r = sys3(SYS_ioctl, rec.listener, NOTIF_ID_VALID_OLD, &id);
    return r == 0;
}

static void write_record(struct bytes *line)
{
    if (rec.torn)
        write_all(rec.events, "\n", 1);
    long r = line->failed ? -ENOMEM : sys3(SYS_write, rec.events, line->data, line->len);
    if (r > 0 && (size_t)r < line->len)
        r = write_all(rec.events, line->data + r, line->len - (size_t)r);
    rec.torn = r < 0;
    if (r >= 0) {
        rec.state->records++;
        return;
    }
    rec.state->unwritten++;
    if (!rec.state->write_error)
        rec.state->write_error = (u64)-r;
    complain_once("cannot write an event", r);
}

static struct bytes line; /* the record being made; kept so that its memory is */

static char *put_digits(char *to, unsigned n)
{
    char digits[12];
    int count = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while (n /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

static const char *descriptor_name(char *to, int fd)
{
    memcpy(to, "fd/", 3);
    *put_digits(to + 3, (unsigned)fd) = 0;
    return to;
}

/* What is known of a task, held by a descriptor of /proc/TID: names below it fail once that task is gone, even if its number
 * was given to another, so whatever was learned through it is about the task that is meant. */
struct task { int tid, dir, pidfd; u32 program; bool program_known; };
enum { TASKS = 64 };
static struct task tasks[TASKS];

static void forget(struct task *t)
{
    if (t->tid)
        close_fd(t->dir);
    if (t->pidfd > 0)
        close_fd(t->pidfd);
    *t = (struct task){0};
}

/* Whether the entry is still about the task of its number. Signal 0 to a pidfd asks for a quarter of what a path below
 * /proc costs. It is had by number, so what it stands for is known only once the directory has confirmed it. */
static bool lives(struct task *t)
{
    enum { PIDFD_THREAD = 0200 };
    if (t->pidfd > 0) {
        long r = sys4(SYS_pidfd_send_signal, t->pidfd, 0, 0, 0);
        return r == 0 || r == -EPERM;
    }
    if (t->pidfd == 0 && !WITHOUT_PIDFD) {
        long fd = sys2(SYS_pidfd_open, t->tid, PIDFD_THREAD); /* Linux 6.9; before, only for the first thread */
        t->pidfd = (int)(fd == -EINVAL ? sys2(SYS_pidfd_open, t->tid, 0) : fd);
    }
    return sys3(SYS_faccessat, t->dir, "exe", 0) == 0;
}

/* NULL when it has no /proc/TID, or no descriptor can be had. */
static struct task *task_of(int tid)
{
    char name[16];
    struct task *t = &tasks[tid % TASKS];
    if (t->tid == tid)
        return t;
    forget(t);
    *put_digits(name, (unsigned)tid) = 0;
    long dir = open_at(rec.proc, name, O_PATH | O_DIRECTORY, 0);
    if (dir == -EMFILE || dir == -ENFILE) {
        for (int i = 0; i < TASKS; i++)
            forget(&tasks[i]);
        dir = open_at(rec.proc, name, O_PATH | O_DIRECTORY, 0);
    }
    if (dir < 0)
        return NULL;
    *t = (struct task){.tid = tid, .dir = (int)dir};
    return t;
}

/* The text of a link below /proc/TID, of the task that lives now. */
static long read_task_link(const struct stop *s, const char *name, char *to, size_t room)
{
    struct task *t = task_of(s->tid);
    long n = t ? sys4(SYS_readlinkat, t->dir, name, to, room) : -ESRCH;
    if (n >= 0 || !t)
        return n;
    forget(t);
    t = task_of(s->tid);
    return t ? sys4(SYS_readlinkat, t->dir, name, to, room) : -ESRCH;
}

/* Where a link of /proc/TID points. LOST: the sensor could not find out. NOWHERE: there is nothing to find out: a
 * descriptor that is closed or no file, a directory that was removed; a lookup from there finds nothing in the image. */
enum base { FOUND, NOWHERE, LOST };
struct place { size_t len; char text[PATH_MAX + 1]; };

static enum base read_link(struct stop *s, const char *name, struct place *to)
{
    static const char suffix[] = " (deleted)";
    enum { SUFFIX = sizeof suffix - 1 };
    to->len = 0;
    long n = read_task_link(s, name, to->text, PATH_MAX);
    if (n <= 0 || n >= PATH_MAX)
        return n == -ENOENT && name[0] == 'f' ? NOWHERE : LOST;
    s->task_is_current = true;
    to->len = (size_t)n;
    to->text[n] = 0;
    if (to->text[0] != '/')
        return NOWHERE;
    if (n > SUFFIX && !memcmp(to->text + n - SUFFIX, suffix, SUFFIX)) {
        /* A name may really end so: then the name leads to the same file as the link does. */
        struct statx is, named;
        struct task *t = task_of(s->tid);
        if (!t || stat_at(t->dir, name, 0, &is) || stat_at(AT_FDCWD, to->text, 0, &named) || is.ino != named.ino ||
            is.dev_major != named.dev_major || is.dev_minor != named.dev_minor)
            return NOWHERE;
    }
    return FOUND;
}

static u32 new_program(const struct stop *s, const char *exe, size_t len)
{
    static u32 last;
    struct slot *slot = lookup(&programs, hash_of(0, 0, exe, len));
    if (slot && slot->value)
        return (u32)slot->value;
    if (!still_waiting(s))
        return 0;
    last++;
    if (slot)
        slot->value = last;
    line.len = 0;
    put_text(&line, "p\t");
    put_number(&line, last, 10);
    put_text(&line, "\t");
    put_escaped(&line, exe, len);
    put_text(&line, "\n");
    write_record(&line);
    return last;
}

/* The ID of the program that runs in the task; 0 when it could not be read. A task keeps its program until it makes an
 * exec call, and makes no other call before that one has ended. */
static bool programs_change_unseen;

static u32 program_of(struct stop *s)
{
    static struct place exe;
    struct task *t = task_of(s->tid);
    if (t && t->program_known && !programs_change_unseen && (s->task_is_current || lives(t)))
        return t->program;
    if (read_link(s, "exe", &exe) == LOST)
        return 0;
    u32 program = new_program(s, exe.text, exe.len);
    if ((t = task_of(s->tid)) && program) {
        t->program = program;
        t->program_known = true;
    }
    return program;
}

/* An exec by another thread than the first ends with that thread under the first one's number, at a time that is not seen:
 * from then on nothing is remembered. */
static void expect_exec(const struct stop *s)
{
    struct task *t = task_of(s->tid);
    if (t)
        t->program_known = false;
    long fd = WITHOUT_PIDFD ? -ENOSYS : sys2(SYS_pidfd_open, s->tid, 0);
    if (fd >= 0)
        close_fd(fd);
    else
        programs_change_unseen = true;
}

static const char flag_letters[] = "rwcxtdpl";
enum { F_READ = 1, F_WRITE = 2, F_CREATE = 4, F_EXCLUSIVE = 8, F_TRUNCATE = 16, F_DIRECTORY = 32, F_PATH = 64, F_NOFOLLOW = 128 };

/* kind: 'e' for a path from the root, 'u' for one whose base is unknown. */
static void event(struct stop *s, char kind, enum operation op, unsigned flags, const char *path, size_t len)
{
    u32 epoch = *rec.epoch, program = program_of(s);
    struct hash key = hash_of((u64)epoch << 32 | program, (u64)kind << 16 | (u64)op << 8 | flags, path, len);
    struct slot *slot = lookup(&seen, key);
    if (slot && slot->value)
        return;
    if (!still_waiting(s))
        return; /* the slot stays without a value: the next one is written */
    if (slot)
        slot->value = 1;
    line.len = 0;
    put_byte(&line, kind);
    put_byte(&line, '\t');
    put_number(&line, epoch, 10);
    put_byte(&line, '\t');
    put_text(&line, operation_name[op]);
    put_byte(&line, '\t');
    for (unsigned i = 0; i < 8; i++)
        if (flags >> i & 1)
            put_byte(&line, flag_letters[i]);
    if (!flags)
        put_byte(&line, '-');
    put_byte(&line, '\t');
    put_number(&line, program, 10);
    put_byte(&line, '\t');
    put_escaped(&line, path, len);
    put_byte(&line, '\n');
    write_record(&line);
}

static void unresolved(struct stop *s, enum base why, enum operation op, unsigned flags, const char *raw, size_t len)
{
    if (why == LOST) {
        if (!still_waiting(s))
            return;
        rec.state->unresolved++;
    }
    event(s, 'u', op, flags, raw, len);
}

/* ------------------------------------------------------------------------------ memory of the program */

static long read_through_proc(int tid, u64 from, void *to, size_t n)
{
    char name[24];
    memcpy(put_digits(name, (unsigned)tid), "/mem", 5);
    long fd = open_at(rec.proc, name, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    long r = sys4(SYS_pread64, fd, to, n, from);
    close_fd(fd);
    return r == -EIO || r == 0 ? -EFAULT : r; /* EIO is what this file answers for an address that is not mapped */
}

static long read_memory(const struct stop *s, u64 from, void *to, size_t n)
{
#if defined(__aarch64__)
    if (s->abi == NATIVE)
        from &= ((u64)1 << 56) - 1; /* the kernel ignores the top byte of a pointer in a system call */
#endif
    if (!rec.no_readv) {
        struct iovec local = {to, n}, remote = {(void *)from, n};
        long r = sys6(SYS_process_vm_readv, s->tid, &local, 1, &remote, 1, 0);
        if (r != -EPERM && r != -ENOSYS)
            return r;
        rec.no_readv = r == -ENOSYS;
    }
    return read_through_proc(s->tid, from, to, n);
}

/* True when the call cannot be observed though it will be carried out. EFAULT is the program's own: the kernel will
 * answer the same. */
static bool read_failed(const struct stop *s, long result)
{
    if (result >= 0 || result == -EFAULT)
        return false;
    if (still_waiting(s)) {
        rec.state->unread++;
        complain_once("cannot read the memory of a program", result);
    }
    return true;
}

/* A path argument; its length, or -1: there is none that the kernel would look up, or it could not be read (counted). */
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

/* ------------------------------------------------------------------------------------ what a call names */

/* `path` as the kernel will look it up, from the root of the image. */
static void named(struct stop *s, enum operation op, unsigned flags, int dir, bool in_root, const char *path, size_t len)
{
    static struct place base;
    static char full[2 * PATH_MAX + 2];
    char name[16];
    size_t n = 0;
    if (path[0] == '/' && !in_root && !rec.roots_differ) {
        event(s, 'e', op, flags, path, len);
        return;
    }
    enum base found;
    if (path[0] == '/' && !in_root)
        found = read_link(s, "root", &base);
    else if (dir == AT_FDCWD)
        found = read_link(s, "cwd", &base);
    else
        found = dir < 0 ? NOWHERE : read_link(s, descriptor_name(name, dir), &base);
    if (found != FOUND) {
        unresolved(s, found, op, flags, path, len);
        return;
    }
    if (base.len > 1) {
        memcpy(full, base.text, base.len);
        n = base.len;
    }
    if (path[0] != '/')
        full[n++] = '/';
    memcpy(full + n, path, len);
    event(s, 'e', op, flags, full, n + len);
}

static void descriptor(struct stop *s, enum operation op, unsigned flags, int fd)
{
    static struct place base;
    char name[16] = "fd/-";
    if (fd >= 0)
        descriptor_name(name, fd);
    base.len = 0;
    enum base found = fd == AT_FDCWD ? read_link(s, "cwd", &base) : fd < 0 ? NOWHERE : read_link(s, name, &base);
    if (found == FOUND)
        event(s, 'e', op, flags, base.text, base.len);
    else if (base.len)
        unresolved(s, found, op, flags, base.text, base.len);
    else
        unresolved(s, found, op, flags, name, length(name));
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

static void socket_address(struct stop *s, enum operation op, u64 address, u64 size)
{
    struct { u16 family; char path[108]; } a;
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
    named(s, op, 0, AT_FDCWD, false, a.path, len);
}

static void socket_call(struct stop *s)
{
    enum { SYS_BIND = 2, SYS_CONNECT = 3 };
    u32 args[3];
    if (s->args[0] != SYS_BIND && s->args[0] != SYS_CONNECT)
        return;
    long r = read_memory(s, s->args[1], args, sizeof args);
    if (!read_failed(s, r) && r == sizeof args)
        socket_address(s, s->args[0] == SYS_BIND ? OP_BIND : OP_CONNECT, args[1], args[2]);
}

static void observe_row(struct stop *s, const struct call *c)
{
    enum { RESOLVE_IN_ROOT = 0x10, IN_ONLYDIR = 0x01000000, IN_DONT_FOLLOW = 0x02000000 };
    enum { FAN_MARK_DONT_FOLLOW = 4, FAN_MARK_ONLYDIR = 8, UMOUNT_NOFOLLOW = 8 };
    static char path[PATH_MAX + 1];
    u64 given = c->flags >= 0 ? s->args[(int)c->flags] : 0;
    int dir = c->dir >= 0 ? (int)s->args[(int)c->dir] : AT_FDCWD;
    enum operation op = c->op;
    unsigned flags = 0;
    bool in_root = false, empty_is_descriptor = false;

    switch ((enum rule)c->rule) {
    case DESCRIPTOR: descriptor(s, op, 0, dir); return;
    case SOCKADDR: socket_address(s, op, s->args[(int)c->path], given & 0xffffffff); return;
    case SOCKETCALL: socket_call(s); return;
    case ROOT_MOVES: rec.roots_differ = true; break;
    case PLAIN: case MOUNT_SOURCE: break;
    case NOFOLLOW: flags = F_NOFOLLOW; break;
    case AT: flags = given & AT_SYMLINK_NOFOLLOW ? F_NOFOLLOW : 0; break;
    case AT_FOLLOW: flags = given & AT_SYMLINK_FOLLOW ? 0 : F_NOFOLLOW; break;
    case OPEN_FLAGS: flags = open_flags(given); break;
    case OPEN_CREATE: flags = F_WRITE | F_CREATE | F_TRUNCATE; break;
    case OPEN_HOW: {
        struct { u64 flags, mode, resolve; } how;
        long r = read_memory(s, given, &how, sizeof how);
        if (read_failed(s, r) || r != sizeof how)
            return;
        flags = open_flags(how.flags);
        in_root = how.resolve & RESOLVE_IN_ROOT;
        break;
    }
    case UNLINK_AT: flags = F_NOFOLLOW; op = given & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK; break;
    case EXEC_AT:
        flags = given & AT_SYMLINK_NOFOLLOW ? F_NOFOLLOW : 0;
        empty_is_descriptor = given & AT_EMPTY_PATH;
        break;
    case LINK_TEXT: flags = F_NOFOLLOW; empty_is_descriptor = true; break;
    case INOTIFY: flags = (given & IN_DONT_FOLLOW ? F_NOFOLLOW : 0) | (given & IN_ONLYDIR ? F_DIRECTORY : 0); break;
    case FANOTIFY:
        flags = (given & FAN_MARK_DONT_FOLLOW ? F_NOFOLLOW : 0) | (given & FAN_MARK_ONLYDIR ? F_DIRECTORY : 0);
        break;
    case UMOUNT: flags = given & UMOUNT_NOFOLLOW ? F_NOFOLLOW : 0; break;
    }
    if (op == OP_NOTHING)
        return;
    long len = read_path(s, s->args[(int)c->path], path);
    if (len == 0 && empty_is_descriptor)
        descriptor(s, op, flags, dir);
    if (len <= 0 || (c->rule == MOUNT_SOURCE && !find_char(path, '/') && !(given & (MS_BIND | MS_MOVE))))
        return;
    named(s, op, flags, dir, in_root, path, (size_t)len);
}

static void observe(struct stop *s, u32 arch)
{
    rec.state->handled++;
    if (WITHOUT_OBSERVING || !*rec.live)
        return;
    s->abi = arch == AUDIT_NATIVE ? NATIVE : COMPAT;
    if (s->abi == NATIVE)
        s->nr &= ~X32_BIT;
    else
        for (int i = 0; i < 6; i++)
            s->args[i] &= 0xffffffff;
    if (s->nr >= NUMBERS || !row_of[s->abi][s->nr])
        return;
    int machine = machine_of[s->abi];
    const struct call *c = &calls[row_of[s->abi][s->nr] - 1];
    bool exec = c->op == OP_EXEC;
    do
        observe_row(s, c);
    while (++c < calls + CALLS && c->nr[machine] == (short)s->nr);
    if (exec)
        expect_exec(s);
}

/* ----------------------------------------------------------------------------------------------- 6 filter */

static struct bpf filter_code[2 * (2 * CALLS + 16) + 8];
static struct bpf_program filter;

/* What Docker's default profile forbids a program without SYS_ADMIN, and allowed this container because SYS_ADMIN was added
 * for the sensor. The calls that need the capability itself fail anyway; a user namespace does not need it. */
static const struct { short unshare, clone, clone3; } namespaces[MACHINES] = {
    [X86_64] = {272, 56, 435}, [I386] = {310, 120, 435}, [AARCH64] = {97, 220, 435}, [ARM] = {337, 120, 435},
};
enum { NAMESPACE_FLAGS = 0x7E020000 };
static bool forbid_namespaces;

static void instruct(u16 code, u8 yes, u8 no, u32 k) { filter_code[filter.len++] = (struct bpf){code, yes, no, k}; }

static void filter_abi(int abi, u32 action)
{
    int machine = machine_of[abi];
    instruct(BPF_LOAD_WORD, 0, 0, DATA_NR);
    if (machine == X86_64)
        instruct(BPF_AND, 0, 0, ~X32_BIT);
    for (int i = 0; i < CALLS; i++) {
        int nr = calls[i].nr[machine];
        if (nr < 0 || (i && calls[i - 1].nr[machine] == nr))
            continue;
        instruct(BPF_JUMP_EQUAL, 0, 1, (u32)nr);
        instruct(BPF_RETURN, 0, 0, action);
    }
    instruct(BPF_JUMP_EQUAL, 0, 1, SYS_io_uring_setup); /* what goes through a ring is seen by no tracer */
    instruct(BPF_RETURN, 0, 0, RET_ERRNO | ENOSYS);
    if (forbid_namespaces) {
        instruct(BPF_JUMP_EQUAL, 0, 1, (u32)namespaces[machine].unshare);
        instruct(BPF_RETURN, 0, 0, RET_ERRNO | EPERM);
        instruct(BPF_JUMP_EQUAL, 0, 1, (u32)namespaces[machine].clone3); /* its flags are out of reach: libraries turn to clone */
        instruct(BPF_RETURN, 0, 0, RET_ERRNO | ENOSYS);
        instruct(BPF_JUMP_EQUAL, 0, 3, (u32)namespaces[machine].clone);
        instruct(BPF_LOAD_WORD, 0, 0, DATA_ARGS);
        instruct(BPF_JUMP_SET, 0, 1, NAMESPACE_FLAGS);
        instruct(BPF_RETURN, 0, 0, RET_ERRNO | EPERM);
    }
    instruct(BPF_RETURN, 0, 0, RET_ALLOW);
}

/* The data of the action says which ABI the call is of, for tracers on kernels that cannot tell. */
static void make_filter(u32 action)
{
    filter.code = filter_code;
    filter.len = 0;
    instruct(BPF_LOAD_WORD, 0, 0, DATA_ARCH);
    instruct(BPF_JUMP_EQUAL, 1, 0, AUDIT_NATIVE);
    u16 jump = filter.len;
    instruct(BPF_JUMP, 0, 0, 0);
    filter_abi(NATIVE, action == RET_TRACE ? action | NATIVE : action);
    filter_code[jump].k = (u32)(filter.len - jump - 1);
    instruct(BPF_JUMP_EQUAL, 1, 0, AUDIT_COMPAT);
    instruct(BPF_RETURN, 0, 0, RET_ALLOW);
    filter_abi(COMPAT, action == RET_TRACE ? action | COMPAT : action);
}

static long install_filter(u32 flags) { return sys3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter); }

/* The answer "go on" came with Linux 5.5; before, and on kernels that only claim to be an old Linux, a listener may exist
 * that cannot be told so. */
static bool kernel_is_before(int major, int minor)
{
    char names[6][65];
    memset(names, 0, sizeof names);
    sys1(SYS_uname, names);
    int version[2] = {0, 0}, part = 0;
    for (const char *p = names[2]; part < 2; p++) {
        if (*p >= '0' && *p <= '9')
            version[part] = version[part] * 10 + (*p - '0');
        else if (*p != '.' || ++part == 2)
            break;
    }
    return version[0] < major || (version[0] == major && version[1] < minor);
}

/* A descriptor, or -errno. */
static long install_listener(void)
{
    if (kernel_is_before(5, 5))
        return -ENOSYS;
    make_filter(RET_NOTIFY);
    long fd = install_filter(FILTER_NEW_LISTENER | FILTER_SPEC_ALLOW | FILTER_WAIT_KILLABLE_RECV);
    if (fd == -EINVAL)
        fd = install_filter(FILTER_NEW_LISTENER | FILTER_SPEC_ALLOW);
    return fd;
}

/* ------------------------------------------------------------------------------------------ 7 supervisors */

/* Whether a notification waits; false when all tasks under the filter are gone. */
static bool more_notifications(bool wait)
{
    for (;;) {
        const struct timespec now = {0, 0};
        struct pollfd p = {rec.listener, POLLIN, 0};
        long r = sys5(SYS_ppoll, &p, 1, wait ? NULL : &now, 0, 8);
        if (r < 0 && r != -EINTR && r != -EAGAIN) {
            complain("cannot wait for notifications", r);
            return false;
        }
        if (r > 0 && !(p.revents & POLLIN) && p.revents & (POLLHUP | POLLERR | POLLNVAL))
            return false;
        if (r > 0 || (r == 0 && !wait))
            return true;
    }
}

static void supervise_notify(void)
{
    /* RECV never returned on older kernels once all tasks were gone; from Linux 6.11 on it does, which saves the poll. */
    bool poll_first = WITHOUT_RECV_END || kernel_is_before(6, 12);
    sys3(SYS_ioctl, rec.listener, NOTIF_SET_FLAGS, NOTIF_SYNC_WAKE_UP); /* Linux 6.6; only makes it faster */
    for (;;) {
        if (poll_first && !more_notifications(true))
            return;
        struct notification n;
        memset(&n, 0, sizeof n);
        long r = sys3(SYS_ioctl, rec.listener, NOTIF_RECV, &n);
        if (r == -ENOENT) {
            if (!more_notifications(false))
                return;
            rec.state->interrupted++;
        }
        if (r == -ENOENT || r == -EINTR)
            continue;
        if (r < 0) {
            complain("cannot receive a notification", r);
            return;
        }
        struct stop s = {.tid = (int)n.pid, .nr = (unsigned)n.data.nr, .id = n.id};
        for (int i = 0; i < 6; i++)
            s.args[i] = n.data.args[i];
        observe(&s, n.data.arch);
        struct response answer = {n.id, 0, 0, RESPONSE_CONTINUE};
        r = sys3(SYS_ioctl, rec.listener, NOTIF_SEND, &answer);
        if (r == -ENOENT)
            rec.state->interrupted++;
        else if (r < 0 && r != -EINTR)
            complain_once("cannot answer a notification", r);
    }
}

static long trace(long request, int tid, u64 address, u64 data) { return sys4(SYS_ptrace, request, tid, address, data); }

/* Number and arguments from the registers, for kernels before 5.3 and gVisor. */
static bool read_registers(struct stop *s, u32 *arch)
{
    u64 abi = NATIVE;
    trace(PTRACE_GETEVENTMSG, s->tid, 0, (u64)&abi);
    *arch = abi == COMPAT ? AUDIT_COMPAT : AUDIT_NATIVE;
    u64 regs[64];
    memset(regs, 0, sizeof regs);
    struct iovec v = {regs, sizeof regs};
    if (trace(PTRACE_GETREGSET, s->tid, NT_PRSTATUS, (u64)&v) < 0)
        return false;
    const u32 *narrow = (const u32 *)(const void *)regs;
#if defined(__x86_64__)
    static const u8 wide[7] = {15, 14, 13, 12, 7, 9, 8};    /* orig_rax rdi rsi rdx r10 r8 r9 */
    static const u8 crossed[7] = {15, 5, 11, 12, 13, 14, 4}; /* int 0x80 in 64-bit code: orig_rax rbx rcx rdx rsi rdi rbp */
    static const u8 old[7] = {11, 0, 1, 2, 3, 4, 5};        /* orig_eax ebx ecx edx esi edi ebp */
    const u8 *at = v.len < 100 ? old : abi == COMPAT ? crossed : wide;
    bool half = v.len < 100;
#else
    static const u8 wide[7] = {8, 0, 1, 2, 3, 4, 5}, old[7] = {7, 0, 1, 2, 3, 4, 5};
    bool half = v.len < 100;
    const u8 *at = half ? old : wide;
#endif
    s->nr = half ? narrow[at[0]] : (u32)regs[at[0]];
    for (int i = 0; i < 6; i++)
        s->args[i] = half ? narrow[at[i + 1]] : regs[at[i + 1]];
    return true;
}

static void observe_tracee(int tid)
{
    static bool no_info = WITHOUT_SYSCALL_INFO;
    struct syscall_info info;
    struct stop s = {.tid = tid};
    u32 arch = AUDIT_NATIVE;
    memset(&info, 0, sizeof info);
    if (!no_info) {
        long r = trace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, (u64)&info);
        no_info = r == -EIO || r == -EINVAL;
        if (r == -ESRCH)
            return;
    }
    if (info.op == INFO_SECCOMP) {
        arch = info.arch;
        s.nr = (unsigned)info.nr;
        for (int i = 0; i < 6; i++)
            s.args[i] = info.args[i];
    } else if (!read_registers(&s, &arch)) {
        rec.state->unread++;
        return;
    }
    observe(&s, arch);
}

static void supervise_ptrace(void)
{
    for (;;) {
        int status = 0;
        long tid = sys4(SYS_wait4, -1, &status, WALL, 0);
        if (tid == -EINTR)
            continue;
        if (tid < 0) {
            if (tid != -ECHILD)
                complain("cannot wait for the program", tid);
            return;
        }
        if ((status & 0xff) != 0x7f) { /* exited or killed */
            if (tid == rec.program) {
                rec.state->status = (u32)status;
                rec.state->phase = ENDED;
            }
            continue;
        }
        int signal = status >> 8 & 0xff, event_number = status >> 16;
        long request = PTRACE_CONT;
        if (event_number == EVENT_SECCOMP)
            observe_tracee((int)tid);
        else if (event_number == EVENT_STOP && signal != SIGTRAP)
            request = PTRACE_LISTEN; /* a group stop: stays stopped, and hears of SIGCONT */
        trace(request, (int)tid, 0, event_number ? 0 : (u64)signal);
    }
}

/* The listener goes through a socket: it is made in the process that becomes the program, after the supervisor was
 * started, because the supervisor must not be under the filter. No descriptor with the byte means: trace with ptrace. */
static long send_listener(int to, long listener)
{
    char byte = 'L';
    struct iovec v = {&byte, 1};
    struct cmsghdr_fd c = {20, SOL_SOCKET, SCM_RIGHTS, (int)listener, 0};
    struct msghdr m = {0};
    m.iov = &v;
    m.iovlen = 1;
    if (listener >= 0) {
        m.control = &c;
        m.controllen = sizeof c;
    }
    return sys3(SYS_sendmsg, to, &m, 0);
}

static long receive_listener(int from, int *listener)
{
    char byte;
    struct iovec v = {&byte, 1};
    struct cmsghdr_fd c;
    struct msghdr m = {0};
    memset(&c, 0, sizeof c);
    m.iov = &v;
    m.iovlen = 1;
    m.control = &c;
    m.controllen = sizeof c;
    *listener = -1;
    enum { MSG_CMSG_CLOEXEC = 0x40000000 };
    long r = sys3(SYS_recvmsg, from, &m, MSG_CMSG_CLOEXEC);
    if (r == 1 && c.len >= 20 && c.type == SCM_RIGHTS)
        *listener = c.fd;
    return r == 1 ? 0 : r < 0 ? r : -EPIPE;
}

static void write_header(void)
{
    line.len = 0;
    put_text(&line, "debloat-events\t1\t");
    put_text(&line, rec.mechanism == NOTIFY ? "notify" : "ptrace");
    put_text(&line, "\t" ARCH_NAME "\t");
    put_escaped(&line, rec.scope, length(rec.scope));
    put_text(&line, "\n");
    write_record(&line);
    rec.state->records = 0; /* the header is no record */
}

__attribute__((noreturn)) static void supervisor(int channel)
{
    /* Nothing that is meant for the program or its group may reach the supervisor. */
    u64 all = ~(u64)0;
    sys4(SYS_rt_sigprocmask, 0, &all, 0, sizeof all);
    sys0(SYS_setsid);
    sys1(SYS_chdir, "/");
    for (int fd = 0; fd < 3; fd++)
        close_fd(fd);
    long r = receive_listener(channel, &rec.listener);
    if (r < 0)
        leave(1);
    rec.mechanism = rec.listener >= 0 ? NOTIFY : PTRACE;
    if (rec.mechanism == PTRACE)
        r = trace(PTRACE_SEIZE, rec.program, 0, TRACE_FORK | TRACE_VFORK | TRACE_CLONE | TRACE_EXEC | TRACE_SECCOMP);
    rec.state->mechanism = (u32)rec.mechanism;
    if (r >= 0)
        write_header();
    int reply = (int)r;
    sys3(SYS_write, channel, &reply, sizeof reply);
    close_fd(channel);
    if (r < 0)
        leave(1);
    if (rec.mechanism == NOTIFY)
        supervise_notify();
    else
        supervise_ptrace();
    rec.state->phase = ENDED;
    leave(0);
}

/* -------------------------------------------------------------------------------------------- 8 identity */

static const char *const capability_names[] = {
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
};
enum { CAPABILITIES = sizeof capability_names / sizeof *capability_names };
enum { CAP_SETGID = 6, CAP_SETUID = 7, CAP_SETPCAP = 8, CAP_SYS_CHROOT = 18, CAP_SYS_PTRACE = 19, CAP_SYS_ADMIN = 21 };

static int capability(const char *name)
{
    if (starts(name, "cap_") || starts(name, "CAP_"))
        name += 4;
    for (int i = 0; i < CAPABILITIES; i++) {
        const char *known = capability_names[i];
        size_t n = 0;
        while (known[n] && (name[n] | 0x20) == (known[n] | 0x20))
            n++;
        if (!known[n] && !name[n])
            return i;
    }
    return -1;
}

static u64 effective_capabilities(void)
{
    struct capability_header h = {CAPABILITY_VERSION_3, 0};
    struct capability_data d[2] = {{0, 0, 0}, {0, 0, 0}};
    sys2(SYS_capget, &h, d);
    return (u64)d[1].effective << 32 | d[0].effective;
}

struct identity {
    u32 uid, gid;
    u32 groups[256];
    int count;
    const char *home;
};

static void add_group(struct identity *id, u32 gid)
{
    if (id->count < (int)(sizeof id->groups / sizeof *id->groups))
        id->groups[id->count++] = gid;
}

/* Fields of one line of passwd or group; the line is cut in place. */
static int fields(char *text, char **to, int most)
{
    int n = 0;
    while (text && n < most) {
        to[n++] = text;
        text = split(text, ':');
    }
    for (int i = n; i < most; i++)
        to[i] = (char *)"";
    return n;
}

static u32 id_field(const char *s) { i64 n = number(s); return n < 0 ? 0 : (u32)n; }

/* The gid of a group given by name or number: a number that is in no file stands for itself. -1: there is none. */
static i64 group_of(const char *spec)
{
    struct bytes file = {0};
    char *f[4];
    i64 wanted = number(spec), found = -1;
    slurp(AT_FDCWD, "/etc/group", &file);
    for (char *at = file.data, *next; at && found < 0; at = next) {
        next = split(at, '\n');
        if (fields(at, f, 4) >= 3 && (wanted >= 0 ? number(f[2]) == wanted : same(f[0], spec)))
            found = id_field(f[2]);
    }
    release(&file);
    return found < 0 ? wanted : found;
}

static void member_groups(struct identity *id, const char *name)
{
    struct bytes file = {0};
    char *f[4];
    slurp(AT_FDCWD, "/etc/group", &file);
    for (char *at = file.data, *next; at; at = next) {
        next = split(at, '\n');
        if (fields(at, f, 4) < 4)
            continue;
        for (char *member = f[3], *rest; member; member = rest) {
            rest = split(member, ',');
            if (same(member, name)) {
                add_group(id, id_field(f[2]));
                break;
            }
        }
    }
    release(&file);
}

/* As runc and the engines do it: a number is a uid even if a user is named so; the first line that fits counts; a number
 * in no line is fine; an explicit group means no supplementary ones of /etc/group. */
static void find_user(const char *spec, struct identity *id)
{
    static struct bytes passwd; /* home and name point into it */
    static char copy[512];
    if (length(spec) >= sizeof copy)
        die("cannot find user: the name is too long");
    memcpy(copy, spec, length(spec) + 1);
    char *group = split(copy, ':');
    i64 wanted = *copy ? number(copy) : 0;
    const char *name = NULL;
    *id = (struct identity){.home = "/"};
    slurp(AT_FDCWD, "/etc/passwd", &passwd);
    for (char *at = passwd.data, *next; at && !name; at = next) {
        char *f[7];
        next = split(at, '\n');
        if (fields(at, f, 7) < 4 || !*f[0] || !(wanted >= 0 ? number(f[2]) == wanted : same(f[0], copy)))
            continue;
        name = f[0];
        id->uid = id_field(f[2]);
        id->gid = id_field(f[3]);
        id->home = f[5]; /* an empty one stays empty */
    }
    if (!name) {
        if (wanted < 0)
            die("cannot find user ", copy, ": no matching entries in passwd file");
        if (wanted > 0x7fffffff)
            die("cannot find user ", copy, ": out of range");
        id->uid = (u32)wanted;
    }
    if (group && *group) {
        i64 gid = group_of(group);
        if (gid < 0 || gid > 0x7fffffff)
            die("cannot find group ", group, ": no matching entries in group file");
        id->gid = (u32)gid;
    } else if (name) {
        member_groups(id, name);
    }
}

static void add_groups(struct identity *id, char *list)
{
    for (char *one = list, *rest; one && *one; one = rest) {
        rest = split(one, ',');
        i64 gid = group_of(one);
        if (gid < 0)
            die("cannot find group ", one, ": no matching entries in group file");
        add_group(id, (u32)gid);
    }
}

/* Newer engines (since CVE-2022-36109) list the primary group among the supplementary ones. The sensor's own list, made by
 * the engine for 0:0, tells which kind this one is. */
static bool engine_lists_primary_group(void)
{
    u32 own[256];
    long n = sys2(SYS_getgroups, sizeof own / sizeof *own, own);
    for (long i = 0; i < n; i++)
        if (own[i] == 0)
            return true;
    return false;
}

/* runc gives the standard streams to the user, so that /dev/stdout can be opened again. */
static void give_streams(u32 uid)
{
    enum { NULL_MAJOR = 1, NULL_MINOR = 3 };
    for (int fd = 0; fd < 3; fd++) {
        struct statx st;
        if (stat_at(fd, "", AT_EMPTY_PATH, &st) || st.uid == uid)
            continue;
        if ((st.mode & S_IFMT) == S_IFCHR && st.rdev_major == NULL_MAJOR && st.rdev_minor == NULL_MINOR)
            continue;
        sys3(SYS_fchown, fd, uid, -1);
    }
}

static void drop_from_bounds(u64 caps)
{
    for (int i = 0; i < CAPABILITIES; i++) {
        if (!(caps >> i & 1))
            continue;
        long r = sys2(SYS_prctl, PR_CAPBSET_READ, i) == 1 ? sys2(SYS_prctl, PR_CAPBSET_DROP, i) : 0;
        if (r < 0)
            die("cannot drop capability ", capability_names[i], " from the bounding set: ", error_name(r));
        sys5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, i, 0, 0);
    }
}

static void drop_from_sets(u64 caps)
{
    struct capability_header h = {CAPABILITY_VERSION_3, 0};
    struct capability_data d[2];
    long r = sys2(SYS_capget, &h, d);
    for (int i = 0; i < 2; i++) {
        u32 keep = ~(u32)(caps >> 32 * i);
        d[i].effective &= keep;
        d[i].permitted &= keep;
        d[i].inheritable &= keep;
    }
    if (r >= 0)
        r = sys2(SYS_capset, &h, d);
    if (r < 0)
        die("cannot drop capabilities: ", error_name(r));
}

static void become(const struct identity *id, u64 caps)
{
    long r;
    give_streams(id->uid);
    drop_from_bounds(caps);
    if ((r = sys2(SYS_setgroups, id->count, id->groups)) < 0)
        die("cannot set the supplementary groups: ", error_name(r));
    if ((r = sys1(SYS_setgid, id->gid)) < 0)
        die("cannot set the group: ", error_name(r));
    if ((r = sys1(SYS_setuid, id->uid)) < 0)
        die("cannot set the user: ", error_name(r));
    drop_from_sets(caps);
}

static const char *variable(char **env, const char *name)
{
    size_t n = length(name);
    for (; *env; env++)
        if (starts(*env, name) && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

/* HOME as the runtime would have set it for the image's user. Started as uid 0 the sensor finds root's there unless the
 * container's environment has one: the runtime appends its own at the end. */
static char **home_in(char **env, const char *home, bool keep)
{
    int count = 0, at = -1;
    for (; env[count]; count++)
        if (starts(env[count], "HOME="))
            at = count;
    if (at >= 0 && env[at][5] && (keep || at != count - 1))
        return env;
    if (at >= 0 && env[at][5]) {
        struct identity root;
        struct bytes roots = {0};
        find_user("0", &root);
        put_text(&roots, "HOME=");
        put_text(&roots, root.home);
        bool by_runtime = same(env[at], terminated(&roots));
        release(&roots);
        if (!by_runtime)
            return env;
    }
    static struct bytes text, list;
    put_text(&text, "HOME=");
    put_text(&text, home);
    char *entry = (char *)terminated(&text);
    put(&list, env, (size_t)count * sizeof *env);
    if (at < 0)
        put(&list, &entry, sizeof entry);
    else
        memcpy(list.data + (size_t)at * sizeof entry, &entry, sizeof entry);
    entry = NULL;
    put(&list, &entry, sizeof entry);
    if (text.failed || list.failed)
        die("cannot make the environment: ENOMEM");
    return (char **)(void *)list.data;
}

/* ------------------------------------------------------------------------------------------------ 9 record */

/* 0 when `path` is a file that may be executed. */
static long executable(const char *path)
{
    struct statx st;
    long r = stat_at(AT_FDCWD, path, 0, &st);
    if (r)
        return r;
    if ((st.mode & S_IFMT) == S_IFDIR)
        return -EACCES;
    return sys3(SYS_faccessat, AT_FDCWD, path, X_OK);
}

static const char *find_program(const char *name, char **env)
{
    static struct bytes path;
    if (find_char(name, '/'))
        return name;
    const char *list = variable(env, "PATH");
    while (list && *name) {
        const char *end = find_char(list, ':');
        size_t n = end ? (size_t)(end - list) : length(list);
        path.len = 0;
        put(&path, n ? list : ".", n ? n : 1);
        put_byte(&path, '/');
        put_text(&path, name);
        if (!executable(terminated(&path)))
            return path.data;
        list = end ? end + 1 : NULL;
    }
    return NULL;
}

static long open_in(const char *dir, const char *stem, int copy, const char *suffix, int flags)
{
    struct bytes path = {0};
    put_text(&path, dir);
    put_byte(&path, '/');
    put_text(&path, stem);
    if (copy > 1) {
        put_byte(&path, '.');
        put_number(&path, (u64)copy, 10);
    }
    put_text(&path, suffix);
    long fd = open_at(AT_FDCWD, terminated(&path), flags, 0644);
    release(&path);
    return fd;
}

/* Descriptors below 3 belong to the program, even those that are closed. */
static long above_streams(long fd)
{
    enum { F_DUPFD_CLOEXEC = 1030 };
    if (fd < 0 || fd > 2)
        return fd;
    long other = sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    close_fd(fd);
    return other;
}

static volatile u32 *map_epoch(const char *dir)
{
    long fd = above_streams(open_in(dir, "epoch", 0, "", O_RDWR | O_CREAT));
    struct statx st;
    if (fd < 0 || (!stat_at((int)fd, "", AT_EMPTY_PATH, &st) && st.size < 4 && sys2(SYS_ftruncate, fd, 4) < 0))
        return NULL;
    volatile u32 *epoch = map_shared(fd, 4);
    close_fd(fd);
    return epoch;
}

static void open_recording(void)
{
    long events = -EEXIST;
    int copy = 0;
    /* A probe that runs several times under one name gets a file for each: they may overlap. */
    while (events == -EEXIST && ++copy < 1000000)
        events = above_streams(open_in(rec.dir, rec.scope, copy, ".events", O_WRONLY | O_APPEND | O_CREAT | O_EXCL));
    if (events < 0)
        die("cannot create ", rec.dir, "/", rec.scope, ".events: ", error_name(events));
    long fd = above_streams(open_in(rec.dir, rec.scope, copy, ".state", O_RDWR | O_CREAT));
    if (fd < 0 || sys2(SYS_ftruncate, fd, sizeof(struct state)) < 0 || !(rec.state = map_shared(fd, sizeof(struct state))))
        die("cannot create ", rec.dir, "/", rec.scope, ".state");
    close_fd(fd);
    rec.epoch = map_epoch(rec.dir);
    rec.live = map_shared(-1, sizeof *rec.live);
    long proc = above_streams(open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0));
    if (!rec.epoch || !rec.live)
        die("cannot map ", rec.dir, "/epoch");
    if (proc < 0)
        die("cannot open /proc: ", error_name(proc));
    rec.events = (int)events;
    rec.proc = (int)proc;
    memcpy(rec.state->magic, "DBLSTATE", 8);
    rec.state->version = 1;
}

/* Whether the container has a seccomp profile: unconfined, namespaces are allowed in production as well. */
static bool under_profile(void)
{
    enum { PR_GET_SECCOMP = 21, FILTERED = 2 };
    return sys1(SYS_prctl, PR_GET_SECCOMP) == FILTERED;
}

/* Puts this process under the filter, watched by a supervisor that is not. */
static void start_supervisor(bool notify, bool ptrace)
{
    int pair[2];
    long r = sys4(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    if (r < 0)
        die("cannot make a socket pair: ", error_name(r));
    int near = (int)above_streams(pair[0]), far = (int)above_streams(pair[1]);
    rec.program = (int)sys0(SYS_getpid);
    rec.state->pid = (u32)rec.program;
    sys3(SYS_getrandom, hash_key, sizeof hash_key, 0);
    index_calls();

    /* As a child without exit signal the supervisor is not seen by the program's wait(). Where the program is not PID 1 it
     * is better a sibling: an orphan would become a child of PID 1, with a signal. */
    long pid = rec.program == 1 ? -EINVAL : sys5(SYS_clone, CLONE_PARENT, 0, 0, 0, 0);
    if (pid < 0)
        pid = sys5(SYS_clone, 0, 0, 0, 0, 0);
    if (pid < 0)
        die("cannot start the supervisor: ", error_name(pid));
    if (pid == 0) {
        close_fd(near);
        supervisor(far);
    }
    close_fd(far);

    long listener = notify ? install_listener() : -EOPNOTSUPP;
    if (listener == -EACCES) { /* without SYS_ADMIN a filter may be had only so, and setuid programs then lose their effect */
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        rec.state->forced_no_new_privs = 1;
        listener = install_listener();
    }
    if (listener < 0 && notify)
        rec.state->mechanism_error = (u32)-listener;
    if (listener < 0 && !ptrace)
        die("cannot have a seccomp listener: ", error_name(listener));
    int reply = -EPIPE;
    r = send_listener(near, listener);
    if (r >= 0 && sys3(SYS_read, near, &reply, sizeof reply) != sizeof reply)
        reply = -EPIPE;
    if (reply < 0 && listener >= 0)
        die("the supervisor does not answer");
    if (reply < 0)
        die("cannot trace with ptrace: ", error_name(reply));
    close_fd(near);
    if (listener >= 0) {
        close_fd(listener);
        return;
    }
    make_filter(RET_TRACE);
    r = install_filter(FILTER_SPEC_ALLOW);
    if (r == -EINVAL)
        r = install_filter(0);
    if (r == -EACCES) {
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        rec.state->forced_no_new_privs = 1;
        r = install_filter(0);
    }
    if (r < 0)
        die("cannot install a seccomp filter: ", error_name(r));
}

__attribute__((noreturn)) static void cannot_start(const char *name, const char *why, int code)
{
    say(2, "sensor: cannot start ", name, ": ", why, NULL);
    rec.state->phase = ENDED;
    rec.state->status = (u32)code << 8;
    leave(code);
}

static int record(int argc, char **argv, char **env)
{
    const char *user = "", *mechanism = "auto";
    char *group_add = NULL, *drop_caps = NULL;
    bool no_new_privs = false, keep_home = false;
    rec.dir = "/.debloat/trace";
    rec.scope = "main";
    int at = 0;
    for (; at < argc && !same(argv[at], "--"); at++) {
        if (same(argv[at], "--no-new-privs")) {
            no_new_privs = true;
            continue;
        }
        if (same(argv[at], "--keep-home")) {
            keep_home = true;
            continue;
        }
        if (at + 1 >= argc) {
            say(2, "sensor: option without a value: ", argv[at], NULL);
            return EXIT_USAGE;
        }
        char *value = argv[at + 1];
        if (same(argv[at], "--dir"))
            rec.dir = value;
        else if (same(argv[at], "--scope"))
            rec.scope = value;
        else if (same(argv[at], "--mechanism"))
            mechanism = value;
        else if (same(argv[at], "--user"))
            user = value;
        else if (same(argv[at], "--group-add"))
            group_add = value;
        else if (same(argv[at], "--drop-caps"))
            drop_caps = value;
        else {
            say(2, "sensor: unknown option ", argv[at], NULL);
            return EXIT_USAGE;
        }
        at++;
    }
    if (at + 1 >= argc) {
        say(2, "sensor: nothing to run: record [OPTIONS] -- ARGV...", NULL);
        return EXIT_USAGE;
    }
    bool notify = !same(mechanism, "ptrace"), ptrace = !same(mechanism, "notify");
    if (find_char(rec.scope, '/') || !*rec.scope || (notify && ptrace && !same(mechanism, "auto"))) {
        say(2, "sensor: bad --scope or --mechanism", NULL);
        return EXIT_USAGE;
    }
    argv += at + 1;

    u64 caps = 0;
    for (char *one = drop_caps, *rest; one && *one; one = rest) {
        rest = split(one, ',');
        int c = capability(one);
        if (c < 0)
            die("unknown capability ", one);
        caps |= (u64)1 << c;
    }
    static struct identity id;
    find_user(user, &id);
    if (group_add)
        add_groups(&id, group_add);
    if (engine_lists_primary_group())
        add_group(&id, id.gid);
    struct bytes home = {0}; /* a copy: looking up root's home reads the file again */
    put_text(&home, id.home);
    env = home_in(env, terminated(&home), keep_home);
    open_recording();
    forbid_namespaces = caps >> CAP_SYS_ADMIN & 1 && under_profile();
    start_supervisor(notify, ptrace);
    become(&id, caps);
    if (no_new_privs)
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    const char *program = find_program(argv[0], env);
    if (!program)
        cannot_start(argv[0], "executable file not found in PATH", EXIT_NOT_FOUND);
    rec.state->phase = STARTED;
    *rec.live = 1;
    long r = sys3(SYS_execve, program, argv, env);
    cannot_start(argv[0], error_name(r), r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* ------------------------------------------------------------------------------------------------ control */

/* Standard input by lines. */
struct input { struct bytes buffer; size_t at; bool ended; };

static bool more_input(struct input *in)
{
    if (in->at) {
        memmove(in->buffer.data, in->buffer.data + in->at, in->buffer.len - in->at);
        in->buffer.len -= in->at;
        in->at = 0;
    }
    if (in->ended || !reserve(&in->buffer, 16 * PAGE))
        return false;
    long n;
    do
        n = sys3(SYS_read, 0, in->buffer.data + in->buffer.len, 16 * PAGE);
    while (n == -EINTR);
    if (n <= 0)
        in->ended = true;
    else
        in->buffer.len += (size_t)n;
    return n > 0;
}

/* The next text up to `end`, terminated in place and valid until the next call; NULL at the end of the input. */
static char *next_text(struct input *in, char end)
{
    size_t seen = 0;
    for (;;) {
        for (size_t i = in->at + seen; i < in->buffer.len; i++)
            if (in->buffer.data[i] == end) {
                char *text = in->buffer.data + in->at;
                in->buffer.data[i] = 0;
                in->at = i + 1;
                return text;
            }
        seen = in->buffer.len - in->at;
        if (!more_input(in))
            return NULL;
    }
}

enum { PORTS = 65536, TCP_ANY = 1, TCP_LOOPBACK = 2, UDP_ANY = 4, UDP_LOOPBACK = 8 };

static u64 hex(const char *s, int digits)
{
    u64 n = 0;
    for (int i = 0; i < digits && s[i]; i++) {
        unsigned c = (u8)s[i];
        n = n << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return n;
}

/* One table of /proc/net: "  sl: ADDRESS:PORT REMOTE:PORT STATE ..."; addresses are words in the byte order of the machine. */
static void listening_in(const char *path, u64 state, u8 any, u8 loopback, u8 *ports)
{
    static struct bytes text;
    if (slurp(AT_FDCWD, path, &text) < 0)
        return;
    for (char *row = text.data, *next; row; row = next) {
        next = split(row, '\n');
        char *address = split(row, ':');
        if (!address || *address != ' ')
            continue;
        char *port = split(++address, ':');
        char *remote = port ? split(port, ' ') : NULL;
        char *st = remote ? split(remote, ' ') : NULL;
        if (!st || hex(st, 2) != state)
            continue;
        size_t n = length(address);
        bool v4 = n == 8, mapped = n == 32 && starts(address, "0000000000000000FFFF0000");
        bool local = v4 || mapped ? (hex(address + n - 8, 8) & 0xff) == 127 : same(address, "00000000000000000000000001000000");
        ports[hex(port, 4)] |= local ? loopback : any;
    }
}

static void listening_ports(u8 *ports, bool udp)
{
    enum { LISTEN = 0x0A, UNCONNECTED = 0x07 };
    memset(ports, 0, PORTS);
    listening_in("/proc/net/tcp", LISTEN, TCP_ANY, TCP_LOOPBACK, ports);
    listening_in("/proc/net/tcp6", LISTEN, TCP_ANY, TCP_LOOPBACK, ports);
    if (udp) {
        listening_in("/proc/net/udp", UNCONNECTED, UDP_ANY, UDP_LOOPBACK, ports);
        listening_in("/proc/net/udp6", UNCONNECTED, UDP_ANY, UDP_LOOPBACK, ports);
    }
}

static u8 ports[PORTS];

static void control_listen(struct bytes *answer)
{
    static const struct { u8 any, loopback; const char *name; } kinds[] = {{TCP_ANY, TCP_LOOPBACK, "/tcp"},
                                                                          {UDP_ANY, UDP_LOOPBACK, "/udp"}};
    listening_ports(ports, true);
    put_text(answer, "listen");
    for (int kind = 0; kind < 2; kind++)
        for (int port = 0; port < PORTS; port++) {
            if (!(ports[port] & (kinds[kind].any | kinds[kind].loopback)))
                continue;
            put_byte(answer, ' ');
            put_number(answer, (u64)port, 10);
            put_text(answer, kinds[kind].name);
            if (!(ports[port] & kinds[kind].any))
                put_byte(answer, '!');
        }
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

struct totals { const char *dir; u64 sum[6]; };

static bool ends(const char *s, const char *with)
{
    size_t n = length(s), m = length(with);
    return n >= m && !memcmp(s + n - m, with, m);
}

static bool read_state(const char *dir, const char *name, struct state *to)
{
    struct bytes path = {0};
    put_text(&path, dir);
    put_byte(&path, '/');
    put_text(&path, name);
    long fd = open_at(AT_FDCWD, terminated(&path), O_RDONLY, 0);
    release(&path);
    if (fd < 0)
        return false;
    long n = sys4(SYS_pread64, fd, to, sizeof *to, 0);
    close_fd(fd);
    return n == sizeof *to && !memcmp(to->magic, "DBLSTATE", 8);
}

static bool add_state(const char *name, void *with)
{
    struct totals *t = with;
    struct state s;
    if (ends(name, ".state") && read_state(t->dir, name, &s)) {
        const u64 values[6] = {s.handled, s.records, s.unread, s.unresolved, s.interrupted, s.unwritten};
        for (int i = 0; i < 6; i++)
            t->sum[i] += values[i];
    }
    return true;
}

static void control_counters(const char *dir, struct bytes *answer)
{
    static const char *const names[6] = {"handled", "records", "unread", "unresolved", "interrupted", "unwritten"};
    struct totals t = {.dir = dir};
    list_directory(dir, add_state, &t);
    put_text(answer, "counters");
    for (int i = 0; i < 6; i++) {
        put_byte(answer, ' ');
        put_text(answer, names[i]);
        put_byte(answer, '=');
        put_number(answer, t.sum[i], 10);
    }
}

static bool has_ended(const struct state *program)
{
    return program->phase == ENDED || sys2(SYS_kill, program->pid, 0) == -ESRCH;
}

/* What the main recording says of its program; PID 1 where there is no recording. */
static struct state main_program(const char *dir, const char *scope)
{
    struct state s = {.pid = 1};
    struct bytes name = {0};
    put_text(&name, scope);
    put_text(&name, ".state");
    struct state read;
    if (read_state(dir, terminated(&name), &read) && read.pid)
        s = read;
    release(&name);
    return s;
}

static void control_await(const char *dir, const char *scope, char *arguments, struct bytes *answer)
{
    char *time = arguments ? split(arguments, ' ') : NULL;
    i64 ms = time ? number(time) : -1;
    if (ms < 0) {
        put_text(answer, "error usage");
        return;
    }
    struct bytes list = {0};
    for (i64 end = now_ms() + ms, pause = 2;; pause = pause * 2 > 50 ? 50 : pause * 2) {
        listening_ports(ports, false);
        list.len = 0;
        put_text(&list, arguments);
        terminated(&list);
        for (char *one = list.data, *rest; one; one = rest) {
            rest = split(one, ',');
            size_t n = length(one);
            bool loopback = n && one[n - 1] == '!'; /* who asks from inside may be content with it */
            if (loopback)
                one[n - 1] = 0;
            i64 port = number(one);
            if (port < 0 || port >= PORTS || !(ports[port] & (loopback ? TCP_ANY | TCP_LOOPBACK : TCP_ANY)))
                continue;
            put_text(answer, "ready ");
            put_text(answer, one);
            release(&list);
            return;
        }
        struct state program = main_program(dir, scope);
        i64 left = end - now_ms();
        if (has_ended(&program) || left <= 0) {
            put_text(answer, has_ended(&program) ? "gone" : "timeout");
            release(&list);
            return;
        }
        sleep_ms(pause < left ? pause : left);
    }
}

struct activity { int self; bool busy; };

static bool task_runs(const char *name, void *with)
{
    struct activity *a = with;
    static struct bytes stat;
    static struct bytes path;
    if (number(name) <= 0)
        return true;
    path.len = 0;
    put_text(&path, "/proc/");
    put_text(&path, name);
    put_text(&path, "/stat");
    if (number(name) == a->self || slurp(AT_FDCWD, terminated(&path), &stat) < 0 || !stat.len)
        return true;
    const char *state = NULL; /* behind the last parenthesis: the name before it may hold anything */
    for (const char *at = stat.data; *at; at++)
        if (*at == ')')
            state = at;
    if (state && state[1] && (state[2] == 'R' || state[2] == 'D'))
        a->busy = true;
    return !a->busy;
}

static bool process_runs(const char *name, void *with)
{
    struct activity *a = with;
    i64 pid = number(name);
    if (pid <= 0 || pid == a->self)
        return true;
    struct bytes path = {0};
    put_text(&path, "/proc/");
    put_text(&path, name);
    put_text(&path, "/task");
    list_directory(terminated(&path), task_runs, a);
    release(&path);
    return !a->busy;
}

static void control_settle(const char *dir, char *arguments, struct bytes *answer)
{
    enum { QUIET = 50, STEP = 5 };
    i64 ms = arguments ? number(arguments) : -1;
    if (ms < 0) {
        put_text(answer, "error usage");
        return;
    }
    i64 end = now_ms() + ms, quiet_since = now_ms();
    u64 handled = 0;
    for (;;) {
        struct activity a = {(int)sys0(SYS_getpid), false};
        struct totals t = {.dir = dir};
        list_directory("/proc", process_runs, &a);
        list_directory(dir, add_state, &t);
        i64 now = now_ms();
        if (a.busy || t.sum[0] != handled)
            quiet_since = now;
        handled = t.sum[0];
        if (now - quiet_since >= QUIET || now >= end) {
            put_text(answer, now - quiet_since >= QUIET ? "settled" : "timeout");
            return;
        }
        sleep_ms(STEP);
    }
}

static u64 status_mask(const char *text, const char *name)
{
    for (const char *at = text; at; at = find_char(at, '\n')) {
        at += *at == '\n';
        if (starts(at, name))
            return hex(at + length(name), 16);
        if (!*at)
            break;
    }
    return 0;
}

/* A signal that is blocked is one that the program waits for with sigwait or signalfd. */
static bool catches(const struct state *program, i64 signal)
{
    struct bytes path = {0}, text = {0};
    if (signal == SIGKILL || signal == SIGSTOP)
        return true;
    put_text(&path, "/proc/");
    put_number(&path, program->pid, 10);
    put_text(&path, "/status");
    u64 bit = (u64)1 << (signal - 1);
    bool yes = false;
    if (slurp(AT_FDCWD, terminated(&path), &text) >= 0) {
        bool waits = (status_mask(text.data, "SigCgt:\t") | status_mask(text.data, "SigBlk:\t")) & bit;
        yes = waits || (program->pid != 1 && !(status_mask(text.data, "SigIgn:\t") & bit));
    }
    release(&path);
    release(&text);
    return yes;
}

/* The mark is in the list before it is in force: an event never has an epoch without a name. */
static void control_mark(const char *dir, const char *name, volatile u32 *epoch, struct bytes *answer)
{
    struct bytes mark = {0};
    u32 next = *epoch + 1;
    put_number(&mark, next, 10);
    put_byte(&mark, '\t');
    for (; *name; name++)
        if ((u8)*name < 0x20 || *name == 0x7f)
            put_escaped(&mark, name, 1);
        else
            put_byte(&mark, *name);
    put_byte(&mark, '\n');
    long fd = open_in(dir, "marks", 0, "", O_WRONLY | O_APPEND | O_CREAT);
    long r = fd < 0 ? fd : mark.failed ? -ENOMEM : write_all((int)fd, mark.data, mark.len);
    if (fd >= 0)
        close_fd(fd);
    release(&mark);
    if (r < 0) {
        put_text(answer, "error ");
        put_text(answer, error_name(r));
        return;
    }
    *epoch = next;
    put_text(answer, "ok ");
    put_number(answer, next, 10);
}

static int control(int argc, char **argv)
{
    const char *dir = "/.debloat/trace", *scope = "main";
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 < argc && same(argv[i], "--dir"))
            dir = argv[i + 1];
        else if (i + 1 < argc && same(argv[i], "--scope"))
            scope = argv[i + 1];
        else {
            say(2, "sensor: control takes --dir DIR and --scope NAME", NULL);
            return EXIT_USAGE;
        }
    }
    volatile u32 *epoch = map_epoch(dir);
    if (!epoch)
        die("cannot map ", dir, "/epoch");
    struct input in = {0};
    struct bytes answer = {0};
    for (char *command; (command = next_text(&in, '\n'));) {
        char *arguments = split(command, ' ');
        answer.len = 0;
        if (same(command, "quit"))
            break;
        if (same(command, "mark") && arguments)
            control_mark(dir, arguments, epoch, &answer);
        else if (same(command, "listen"))
            control_listen(&answer);
        else if (same(command, "await"))
            control_await(dir, scope, arguments, &answer);
        else if (same(command, "settle"))
            control_settle(dir, arguments, &answer);
        else if (same(command, "catches")) {
            i64 signal = arguments ? number(arguments) : -1;
            struct state program = main_program(dir, scope);
            put_text(&answer, signal < 1 || signal > 64 ? "error usage" : catches(&program, signal) ? "yes" : "no");
        } else if (same(command, "counters"))
            control_counters(dir, &answer);
        else
            put_text(&answer, "error unknown");
        put_byte(&answer, '\n');
        if (answer.failed || write_all(1, answer.data, answer.len) < 0)
            return 1;
    }
    return 0;
}

/* -------------------------------------------------------------------------------------------------- relay */

struct internet_address { u16 family; u8 port[2], address[4], zero[8]; };

/* "10.0.0.2" as four bytes. */
static bool internet_address(char *text, u8 *to)
{
    for (int i = 0; i < 4; i++) {
        char *next = split(text, '.');
        i64 n = number(text);
        if (n < 0 || n > 255 || !next != (i == 3))
            return false;
        to[i] = (u8)n;
        text = next;
    }
    return true;
}

/* Copies until the end of `from`. */
static void copy(int from, int to)
{
    static char block[16 * PAGE];
    for (;;) {
        long n = sys3(SYS_read, from, block, sizeof block);
        if (n == -EINTR)
            continue;
        if (n <= 0 || write_all(to, block, (size_t)n) < 0)
            return;
    }
}

/* One connection to a TCP port, joined to standard input and output, until the other side ends it. The first address
   that answers is taken: a service may listen on the container's own, on the loopback device, or on all. */
static int relay(char *addresses, const char *port)
{
    i64 n = number(port);
    long connected = -EINVAL;
    long to = -1;
    for (char *next; addresses && connected < 0; addresses = next) {
        next = split(addresses, ',');
        struct internet_address address = {.family = AF_INET, .port = {(u8)(n >> 8), (u8)n}};
        if (n < 1 || n > 65535 || !internet_address(addresses, address.address)) {
            say(2, "sensor: relay takes ADDRESS[,ADDRESS...] and PORT", NULL);
            return EXIT_USAGE;
        }
        to = sys3(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        connected = to < 0 ? to : sys3(SYS_connect, to, &address, sizeof address);
        if (connected < 0 && to >= 0)
            close_fd(to);
    }
    if (connected < 0)
        die("cannot connect to port ", port, ": ", error_name(connected));
    long sender = sys5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (sender < 0)
        die("cannot start a process: ", error_name(sender));
    if (sender == 0) {
        copy(0, (int)to);
        sys2(SYS_shutdown, to, SHUT_WR);
        leave(0);
    }
    copy((int)to, 1);
    sys2(SYS_kill, sender, SIGKILL);
    int status;
    while (sys4(SYS_wait4, sender, &status, WALL, 0) == -EINTR)
        ;
    return 0;
}

/* -------------------------------------------------------------------------------------------------- serve */

static struct bytes out;

static void flush(size_t when)
{
    if (out.failed)
        die("cannot keep the answer: ENOMEM");
    if (out.len < when)
        return;
    long r = write_all(1, out.data, out.len);
    if (r < 0)
        die("cannot write the answer: ", error_name(r));
    out.len = 0;
}

/* The root without its sub-mounts, and this process inside it. False: seen as it is, mount points and all. */
static bool enter_pristine_root(void)
{
    const char *view = "/.debloat/root";
    sys3(SYS_mkdirat, AT_FDCWD, view, 0755); /* there already, as a rule; else the mount says what is wrong */
    if (sys5(SYS_mount, "/", view, 0, MS_BIND, 0) < 0)
        return false;
    return sys1(SYS_chroot, view) >= 0 && sys1(SYS_chdir, "/") >= 0;
}

struct walk {
    struct bytes path;  /* of the entry at hand, from the root */
    struct bytes names; /* names of the directories being walked, one behind the other */
    u64 mount;          /* of the root */
    u32 major, minor;
    bool has_mounts;    /* the kernel tells mounts */
};

static char kind_of(u16 mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFCHR: return 'c';
    case S_IFBLK: return 'b';
    default: return 's';
    }
}

/* Extended attributes of `name` in the working directory, as NAME NUL HEX NUL. Their number. */
static u64 put_xattrs(const char *name, struct bytes *to)
{
    static char list[65536], value[65536];
    u64 count = 0;
    long n = sys3(SYS_llistxattr, name, list, sizeof list);
    if (n < 0 && n != -EOPNOTSUPP && n != -ENODATA && n != -ENOSYS && n != -EPERM)
        die("cannot list the extended attributes of ", name, ": ", error_name(n));
    for (long at = 0; at < n; at += (long)length(list + at) + 1) {
        long size = sys4(SYS_lgetxattr, name, list + at, value, sizeof value);
        if (size < 0)
            continue; /* listed, and not for us to read: trusted ones without the privilege */
        put(to, list + at, length(list + at) + 1);
        for (long i = 0; i < size; i++) {
            put_byte(to, "0123456789abcdef"[(u8)value[i] >> 4]);
            put_byte(to, "0123456789abcdef"[value[i] & 15]);
        }
        put_byte(to, 0);
        count++;
    }
    return count;
}

/* One record of the index. True when it is a directory that is to be walked. */
static bool put_entry(struct walk *w, const char *name)
{
    static char target[PATH_MAX + 1];
    static struct bytes xattrs;
    struct statx st;
    long r = stat_at(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, &st);
    if (r < 0)
        die("cannot stat ", terminated(&w->path), ": ", error_name(r));
    bool covered = w->has_mounts && st.mask & STATX_MNT_ID ? st.mnt_id != w->mount
                                                           : st.dev_major != w->major || st.dev_minor != w->minor;
    char kind = covered ? 'm' : kind_of(st.mode);
    long link = 0;
    if (kind == 'l' && ((link = sys4(SYS_readlinkat, AT_FDCWD, name, target, PATH_MAX)) < 0))
        die("cannot read the link ", terminated(&w->path), ": ", error_name(link));
    xattrs.len = 0;
    u64 xattr_count = covered ? 0 : put_xattrs(name, &xattrs);
    u64 device = (st.dev_minor & 0xff) | (u64)st.dev_major << 8 | (u64)(st.dev_minor & ~0xffu) << 12;
    i64 mtime = st.mtime.sec * 1000000000 + st.mtime.nsec;
    put_byte(&out, kind);
    put_byte(&out, ' ');
    put_number(&out, st.mode & 07777, 8);
    const u64 before[] = {st.uid, st.gid, st.size};
    const u64 after[] = {st.nlink, device, st.ino, st.rdev_major, st.rdev_minor, xattr_count};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        put_byte(&out, ' ');
        put_number(&out, before[i], 10);
    }
    put_byte(&out, ' ');
    put_signed(&out, mtime);
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        put_byte(&out, ' ');
        put_number(&out, after[i], 10);
    }
    put_byte(&out, 0);
    put(&out, w->path.len ? w->path.data : "/", w->path.len ? w->path.len : 1);
    put_byte(&out, 0);
    put(&out, target, (size_t)link);
    put_byte(&out, 0);
    put(&out, xattrs.data, xattrs.len);
    flush(64 * PAGE);
    return kind == 'd';
}

/* Walks the working directory. A whole directory is read before its first entry is taken, so that only one descriptor for
 * each level is open; `names` shrinks again when the level is done. */
static void walk_directory(struct walk *w)
{
    static _Alignas(8) char buffer[65536];
    size_t first = w->names.len, here = w->path.len;
    long n, fd = open_at(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
    while (fd >= 0 && (n = sys3(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < n;) {
            struct dirent64 *d = (struct dirent64 *)(void *)(buffer + at);
            at += d->reclen;
            if (!same(d->name, ".") && !same(d->name, "..") && (here || !same(d->name, ".debloat")))
                put(&w->names, d->name, length(d->name) + 1);
        }
    if (fd < 0 || n < 0 || w->names.failed)
        die("cannot list ", terminated(&w->path), "/: ", error_name(fd < 0 ? fd : n));
    size_t last = w->names.len;
    for (size_t at = first; at < last; at += length(w->names.data + at) + 1) {
        const char *name = w->names.data + at;
        w->path.len = here;
        put_byte(&w->path, '/');
        put_text(&w->path, name);
        if (!put_entry(w, name))
            continue;
        long r = sys1(SYS_chdir, name);
        if (r < 0)
            die("cannot enter ", terminated(&w->path), ": ", error_name(r));
        walk_directory(w);
        sys1(SYS_fchdir, fd);
    }
    close_fd(fd);
    w->names.len = first;
    w->path.len = here;
}

static void serve_index(void)
{
    struct walk w = {0};
    struct statx st;
    const u64 most[2] = {1048576, 1048576};
    u64 limit[2] = {0, 0};
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, limit);
    limit[0] = limit[1]; /* deep trees need a descriptor for each level */
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, limit, 0);
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, most, 0);
    if (sys1(SYS_chdir, "/") < 0 || stat_at(AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, &st) < 0)
        die("cannot stat /");
    w.mount = st.mnt_id;
    w.has_mounts = st.mask & STATX_MNT_ID;
    w.major = st.dev_major;
    w.minor = st.dev_minor;
    terminated(&w.path);
    if (put_entry(&w, "/"))
        walk_directory(&w);
    put_byte(&out, 0);
    flush(0);
    release(&w.path);
    release(&w.names);
}

/* The root of this process is the root of the image, so no name leads out of it. */
static void serve_file(const char *path)
{
    struct statx st;
    long r = stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st);
    if (r >= 0 && (st.mode & S_IFMT) != S_IFREG)
        r = (st.mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
    long fd = r < 0 ? r : open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0)
        r = stat_at((int)fd, "", AT_EMPTY_PATH, &st);
    u64 size = fd < 0 || r < 0 ? 0 : st.size;
    put_byte(&out, (char)(fd < 0 ? -fd : -r));
    put(&out, &size, sizeof size); /* both machines are little-endian */
    for (u64 left = size; left;) {
        flush(64 * PAGE);
        size_t piece = left < 64 * PAGE ? left : 64 * PAGE;
        if (!reserve(&out, piece))
            die("cannot read ", path, ": ENOMEM");
        long n = sys3(SYS_read, fd, out.data + out.len, piece);
        if (n == -EINTR)
            continue;
        if (n <= 0) /* the size is out already: better no answer than one of the wrong length */
            die("cannot read ", path, ": ", error_name(n ? n : -EIO));
        out.len += (size_t)n;
        left -= (u64)n;
    }
    if (fd >= 0)
        close_fd(fd);
    flush(64 * PAGE);
}

static int serve(void)
{
    struct input in = {0};
    struct bytes paths = {0};
    enter_pristine_root();
    for (char *request; (request = next_text(&in, '\n'));) {
        char *argument = split(request, ' ');
        if (same(request, "quit"))
            return 0;
        if (same(request, "index") && !argument) {
            serve_index();
        } else if (same(request, "read") && argument && number(argument) >= 0) {
            /* All of the names first: the other side may write them all before it reads. */
            i64 count = number(argument);
            paths.len = 0;
            for (i64 i = 0; i < count; i++) {
                const char *path = next_text(&in, 0);
                if (!path)
                    die("the request ends early");
                put(&paths, path, length(path) + 1);
            }
            if (paths.failed)
                die("cannot keep the request: ENOMEM");
            for (size_t at = 0; at < paths.len; at += length(paths.data + at) + 1)
                serve_file(paths.data + at);
            flush(0);
        } else {
            die("unknown request ", request);
        }
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------- doctor */

static void finding(const char *name, long result)
{
    say(1, name, " ", result >= 0 ? "yes" : error_name(result), NULL);
}

/* Runs `test` in a child, because filters and tracing cannot be undone; its result, or how it died. */
static long tried(long (*test)(void))
{
    long *result = map_shared(-1, sizeof *result);
    if (!result)
        return -ENOMEM;
    *result = -EIO;
    long pid = sys5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        *result = test();
        leave(0);
    }
    int status = 0;
    while (pid > 0 && sys4(SYS_wait4, pid, &status, 0, 0) == -EINTR)
        ;
    return pid < 0 ? pid : *result;
}

static long notify_with(u32 flags, bool no_new_privs)
{
    static struct bpf allow = {BPF_RETURN, 0, 0, RET_ALLOW};
    filter = (struct bpf_program){1, &allow};
    if (kernel_is_before(5, 5))
        return -ENOSYS;
    if (no_new_privs)
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return install_filter(flags);
}

static long try_notify(void) { return notify_with(FILTER_NEW_LISTENER, false); }
static long try_notify_unprivileged(void) { return notify_with(FILTER_NEW_LISTENER, true); }
static long try_killable(void) { return notify_with(FILTER_NEW_LISTENER | FILTER_WAIT_KILLABLE_RECV, true); }
static long try_filter(void) { return notify_with(0, false); }

static long try_sync_wake_up(void)
{
    long fd = notify_with(FILTER_NEW_LISTENER, true);
    return fd < 0 ? fd : sys3(SYS_ioctl, fd, NOTIF_SET_FLAGS, NOTIF_SYNC_WAKE_UP);
}

/* Calls `test` with a child that sleeps. */
static long with_child(long (*test)(int pid))
{
    long pid = sys5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        for (;;)
            sleep_ms(1000);
    if (pid < 0)
        return pid;
    long r = test((int)pid);
    int status;
    sys2(SYS_kill, pid, SIGKILL);
    while (sys4(SYS_wait4, pid, &status, WALL, 0) == -EINTR)
        ;
    return r;
}

static long seize(int pid) { return trace(PTRACE_SEIZE, pid, 0, TRACE_SECCOMP); }

static long syscall_info(int pid)
{
    struct syscall_info info;
    long r = seize(pid);
    if (r < 0)
        return r;
    enum { PTRACE_INTERRUPT = 0x4207 };
    trace(PTRACE_INTERRUPT, pid, 0, 0);
    int status;
    r = sys4(SYS_wait4, pid, &status, WALL, 0);
    return r < 0 ? r : trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, (u64)&info);
}

static long readv(int pid)
{
    u64 key[2];
    struct iovec local = {key, sizeof key}, remote = {hash_key, sizeof hash_key};
    return sys6(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0);
}

static long proc_mem(int pid)
{
    u64 key[2];
    rec.proc = (int)open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
    return rec.proc < 0 ? rec.proc : read_through_proc(pid, (u64)hash_key, key, sizeof key);
}

static long proc_links(int pid)
{
    static struct place place;
    struct stop s = {.tid = pid};
    rec.proc = (int)open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
    return rec.proc < 0 ? rec.proc : read_link(&s, "exe", &place) == FOUND ? 0 : -EACCES;
}

static long try_seize(void) { return with_child(seize); }
static long try_syscall_info(void) { return with_child(syscall_info); }
static long try_readv(void) { return with_child(readv); }
static long try_proc_mem(void) { return with_child(proc_mem); }
static long try_proc_links(void) { return with_child(proc_links); }

static int doctor(void)
{
    static const struct { const char *name; long (*test)(void); } tests[] = {
        {"notify", try_notify}, {"notify_unprivileged", try_notify_unprivileged}, {"notify_killable", try_killable},
        {"notify_sync_wake_up", try_sync_wake_up}, {"seccomp_filter", try_filter}, {"ptrace", try_seize},
        {"ptrace_syscall_info", try_syscall_info}, {"process_vm_readv", try_readv}, {"proc_mem", try_proc_mem},
        {"proc_links", try_proc_links},
    };
    static const int wanted[] = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SETPCAP, CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT};
    char names[6][65];
    memset(names, 0, sizeof names);
    sys1(SYS_uname, names);
    say(1, "arch " ARCH_NAME, NULL);
    say(1, "kernel ", names[2], NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        finding(tests[i].name, tried(tests[i].test));
    u64 has = effective_capabilities();
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        say(1, "cap_", capability_names[wanted[i]], has >> wanted[i] & 1 ? " yes" : " no", NULL);
    say(1, "no_new_privs ", sys5(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "yes" : "no", NULL);
    return 0;
}

/* -------------------------------------------------------------------------------------------------- start */

__attribute__((noreturn, used)) void start(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(void *)(stack + 1), **env = argv + argc + 1;
    int code = EXIT_USAGE;
    if (argc >= 2 && same(argv[1], "record"))
        code = record(argc - 2, argv + 2, env);
    else if (argc >= 2 && same(argv[1], "control"))
        code = control(argc - 2, argv + 2);
    else if (argc == 4 && same(argv[1], "relay"))
        code = relay(argv[2], argv[3]);
    else if (argc == 2 && same(argv[1], "serve"))
        code = serve();
    else if (argc == 2 && same(argv[1], "doctor"))
        code = doctor();
    else
        say(2, "usage: sensor record [OPTIONS] -- ARGV... | control --dir DIR | relay ADDRESSES PORT | serve | doctor", NULL);
    leave(code);
}
