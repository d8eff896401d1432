/* What the conformance tests run under the sensor: raw system calls from a script, and programs that behave unusually.
 *
 *   payload script FILE     a call a line: `NAME ARG...`; `!NUMBER ARG...` goes through the 32-bit entry
 *   payload many DIR N K    opens N missing names, all of them K times
 *   payload MODE ...        see `modes` at the end
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* clang-format off */
static const struct { const char *name; long nr; } names[] = {
#define N(x) {#x, SYS_##x},
    N(openat) N(statx) N(faccessat) N(readlinkat) N(getdents64) N(execve) N(execveat) N(chdir) N(fchdir) N(chroot)
    N(pivot_root) N(mkdirat) N(mknodat) N(symlinkat) N(linkat) N(renameat2) N(unlinkat) N(fchmodat) N(fchownat)
    N(utimensat) N(truncate) N(statfs) N(getxattr) N(lgetxattr) N(listxattr) N(llistxattr) N(setxattr) N(lsetxattr)
    N(removexattr) N(lremovexattr) N(inotify_add_watch) N(fanotify_mark) N(bind) N(connect) N(mount) N(umount2)
    N(name_to_handle_at) N(newfstatat) N(close) N(socket) N(io_uring_setup) N(memfd_create) N(getpid)
#ifdef SYS_open
    N(open) N(stat) N(lstat) N(access) N(readlink) N(getdents) N(creat) N(mkdir) N(mknod) N(symlink) N(link) N(rename)
    N(renameat) N(unlink) N(rmdir) N(chmod) N(chown) N(lchown) N(utime) N(utimes) N(futimesat) N(uselib)
#endif
    {"faccessat2", 439}, {"openat2", 437}, {"fchmodat2", 452}, {"open_tree", 428}, {"move_mount", 429}, {"fspick", 433},
    {"mount_setattr", 442}, {"setxattrat", 463}, {"getxattrat", 464}, {"listxattrat", 465}, {"removexattrat", 466},
    {"open_tree_attr", 467}, {"file_getattr", 468}, {"file_setattr", 469},
};
/* clang-format on */

static char *low, *low_end; /* memory below 4 GB, so that the same pointers do for the 32-bit entry */

static void *keep(const void *data, size_t n)
{
    char *at = low;
    low += (n + 15) & ~(size_t)15;
    if (low > low_end)
        exit(99);
    memcpy(at, data, n);
    return at;
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, strlen(path));
    return a;
}

static long argument(const char *word)
{
    static char buffer_source[65536];
    static long buffer;
    if (!buffer)
        buffer = (long)keep(buffer_source, sizeof buffer_source);
    if (!strncmp(word, "s:", 2))
        return (long)keep(word + 2, strlen(word + 2) + 1);
    if (!strcmp(word, "cwd"))
        return AT_FDCWD;
    if (!strcmp(word, "buf"))
        return buffer;
    if (!strncmp(word, "fd:", 3))
        return open(word + 3, O_RDONLY | O_NONBLOCK);
    if (!strncmp(word, "path:", 5))
        return open(word + 5, O_PATH | O_NOFOLLOW);
    if (!strcmp(word, "socket"))
        return socket(AF_UNIX, SOCK_STREAM, 0);
    if (!strcmp(word, "pipe")) {
        int fds[2];
        return pipe(fds) ? -1 : fds[0];
    }
    if (!strncmp(word, "deleted:", 8)) {
        mkdir(word + 8, 0755);
        int fd = open(word + 8, O_RDONLY);
        rmdir(word + 8);
        return fd;
    }
    if (!strncmp(word, "un:", 3)) {
        struct sockaddr_un a = address(word + 3);
        return (long)keep(&a, sizeof a);
    }
    if (!strncmp(word, "abstract:", 9)) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        strcpy(a.sun_path + 1, word + 9);
        return (long)keep(&a, sizeof a);
    }
    if (!strncmp(word, "args:", 5)) { /* of socketcall: three words of 32 bits, socket, address, length */
        struct sockaddr_un a = address(word + 5);
        uint32_t args[3] = {(uint32_t)socket(AF_UNIX, SOCK_STREAM, 0), (uint32_t)(long)keep(&a, sizeof a), sizeof a};
        return (long)keep(args, sizeof args);
    }
    if (!strncmp(word, "how:", 4)) { /* how:FLAGS:RESOLVE */
        char *rest;
        uint64_t how[3] = {strtoull(word + 4, &rest, 0), 0, 0};
        how[2] = strtoull(rest + 1, NULL, 0);
        return (long)keep(how, sizeof how);
    }
    if (!strncmp(word, "end:", 4)) { /* a string at the very end of a mapping: the next page is not there */
        char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(two + 4096, 4096);
        size_t n = strlen(word + 4) + 1;
        return (long)memcpy(two + 4096 - n, word + 4, n);
    }
    if (!strncmp(word, "long:", 5)) { /* as many characters */
        size_t n = strtoul(word + 5, NULL, 0);
        char *s = mmap(NULL, n + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(s, '/', n);
        return (long)s;
    }
    return strtol(word, NULL, 0);
}

static long compat_call(long nr, const long *a)
{
    long result = -ENOSYS;
#ifdef __x86_64__
    register long rbp_value = a[5];
    __asm__ volatile("push %%rbp\n\tmov %[six],%%rbp\n\tint $0x80\n\tpop %%rbp"
                     : "=a"(result)
                     : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]), [six] "r"(rbp_value)
                     : "memory", "r8", "r9", "r10", "r11");
    result = (int)result;
#else
    (void)nr;
    (void)a;
#endif
    return result;
}

static int script(int argc, char **argv)
{
    static char line[1 << 16];
    (void)argc;
    FILE *in = fopen(argv[0], "r");
    if (!in)
        return 98;
    while (fgets(line, sizeof line, in)) {
        long args[6] = {0};
        char *save, *word = strtok_r(line, " \n", &save);
        if (!word)
            continue;
        char *name = word;
        for (int i = 0; i < 6 && (word = strtok_r(NULL, " \n", &save)); i++)
            args[i] = argument(word);
        long nr = -1, result;
        if (name[0] == '!') {
            result = compat_call(strtol(name + 1, NULL, 0), args);
        } else {
            for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (!strcmp(names[i].name, name))
                    nr = names[i].nr;
            if (nr < 0)
                return 99;
            result = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
            if (result < 0)
                result = -errno;
        }
        printf("%s %ld\n", name, result);
        low = low_end - (1 << 20) + 0x20000; /* the buffer stays, the strings go */
    }
    return 0;
}

static int many(int argc, char **argv)
{
    char path[4096];
    long count = atol(argv[1]), rounds = atol(argv[2]), lost = 0;
    (void)argc;
    for (long k = 0; k < rounds; k++)
        for (long i = 0; i < count; i++) {
            snprintf(path, sizeof path, "%s/many-%ld", argv[0], i);
            if (syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) < 0 && errno != ENOENT)
                lost++;
        }
    printf("other errors %ld\n", lost);
    return lost != 0;
}

static char **program;

static void *exec_in_thread(void *unused)
{
    (void)unused;
    execv(program[0], program);
    _exit(97);
}

static int exec_from_thread(int argc, char **argv)
{
    pthread_t t;
    (void)argc;
    program = argv;
    pthread_create(&t, NULL, exec_in_thread, NULL);
    while (access("/nonexistent/while-exec", F_OK))
        ;
    return 83;
}

static int status_of(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int by_vfork(int argc, char **argv)
{
    (void)argc;
    pid_t pid = vfork();
    if (pid == 0) {
        execv(argv[0], argv);
        _exit(97);
    }
    access("/nonexistent/after-vfork", F_OK);
    return status_of(pid);
}

static int by_spawn(int argc, char **argv)
{
    pid_t pid;
    (void)argc;
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
        return 97;
    return status_of(pid);
}

static int cloned(void *argv)
{
    program = argv;
    execv(program[0], program);
    return 97;
}

static int by_clone(int argc, char **argv)
{
    static char stack[65536] __attribute__((aligned(16)));
    (void)argc;
    return status_of(clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_FS | SIGCHLD, argv));
}

static int own_filter(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog f = {sizeof code / sizeof *code, code};
    (void)argc;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f))
        return 96;
    if (syscall(SYS_mkdirat, AT_FDCWD, "/tmp", 0755) != -1 || errno != EPERM)
        return 95;
    return access(argv[0], F_OK) && errno == ENOENT ? 0 : 94;
}

static int own_listener(int argc, char **argv)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog f = {1, code};
    (void)argc;
    (void)argv;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &f) < 0 ? errno : 0;
}

static int tracer(int argc, char **argv)
{
    int status;
    (void)argc;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0))
            _exit(93);
        execv(argv[0], argv);
        _exit(97);
    }
    for (int stops = 0;;) {
        if (waitpid(pid, &status, 0) < 0)
            return 92;
        if (WIFEXITED(status))
            return WEXITSTATUS(status) ? WEXITSTATUS(status) : stops ? 0 : 91;
        if (WIFSIGNALED(status))
            return 128 + WTERMSIG(status);
        stops++;
        ptrace(PTRACE_SYSCALL, pid, 0, WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status));
    }
}

static int stop_and_go(int argc, char **argv)
{
    int status;
    (void)argc;
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        access(argv[0], F_OK);
        _exit(5);
    }
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        return 90;
    /* It must stay stopped: nothing to wait for is reported. */
    struct timespec t = {0, 20000000};
    nanosleep(&t, NULL);
    if (waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED) != 0)
        return 89;
    kill(pid, SIGCONT);
    if (waitpid(pid, &status, WCONTINUED) != pid)
        return 88;
    /* On a busy machine it may have ended by now, which shows as well that it went on. */
    return WIFEXITED(status) ? WEXITSTATUS(status) : WIFCONTINUED(status) ? status_of(pid) : 88;
}

static void on_signal(int number) { (void)number; }

static int paused(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    signal(SIGALRM, on_signal);
    struct itimerval t = {{0, 0}, {0, 30000}};
    setitimer(ITIMER_REAL, &t, NULL);
    return pause() == -1 && errno == EINTR ? 4 : 87;
}

static void leave_42(int number)
{
    (void)number;
    _exit(42);
}

static int trap_term(int argc, char **argv)
{
    (void)argc;
    signal(SIGTERM, leave_42);
    close(open(argv[0], O_WRONLY | O_CREAT, 0644)); /* says: ready */
    while (pause())
        ;
    return 82;
}

static volatile sig_atomic_t asked_to_end;

static void raise_again(int number)
{
    asked_to_end = 1;
    raise(number); /* by then the default action: PID 1 does not end of it */
}

static void note_once(int number)
{
    (void)number;
    asked_to_end = 1;
}

/* A handler that is gone once it was called. `raise`: it raises its signal again, as programs do that only clean up,
 * and lives on where that does not end it; `wait`: it takes a second to end by itself; `child`: in vain a child of it
 * sends the signal, then the same. */
static int term_once(int argc, char **argv)
{
    (void)argc;
    struct sigaction action = {.sa_handler = !strcmp(argv[0], "raise") ? raise_again : note_once};
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGTERM, &action, NULL);
    close(open(argv[1], O_WRONLY | O_CREAT, 0644)); /* says: ready */
    while (!asked_to_end)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    if (!strcmp(argv[0], "raise"))
        while (pause())
            ;
    if (!strcmp(argv[0], "child")) {
        pid_t child = fork();
        if (!child)
            _exit(kill(getppid(), SIGTERM));
        waitpid(child, NULL, 0);
    }
    for (int i = 0; i < 30; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return 43;
}

/* Waits for the signal without a handler, as tini does. */
static int term_awaited(int argc, char **argv)
{
    (void)argc;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    close(open(argv[0], O_WRONLY | O_CREAT, 0644)); /* says: ready */
    while (sigtimedwait(&set, NULL, &(struct timespec){.tv_sec = 60}) != SIGTERM)
        ;
    return 44;
}

/* As PID 1: orphans come here and are reaped, and wait() ends with ECHILD although a supervisor is about. */
static int reap(int argc, char **argv)
{
    int reaped = 0;
    (void)argc;
    (void)argv;
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int k = 0; k < 3; k++)
                if (fork() == 0) {
                    struct timespec t = {0, 5000000};
                    nanosleep(&t, NULL);
                    _exit(0);
                }
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        reaped++;
    printf("reaped %d errno %d pid %d\n", reaped, errno, getpid());
    return errno == ECHILD ? 0 : 86;
}

/* Signals without SA_RESTART while files are opened: how many calls were interrupted. */
static int under_signals(int argc, char **argv)
{
    struct sigaction a = {.sa_handler = on_signal};
    struct itimerval t = {{0, atoi(argv[2])}, {0, atoi(argv[2])}};
    char path[4096];
    long interrupted = 0, other = 0, count = atol(argv[1]);
    (void)argc;
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    for (long i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/signal-%ld", argv[0], i);
        if (open(path, O_RDONLY) < 0 && errno != ENOENT)
            *(errno == EINTR ? &interrupted : &other) += 1;
    }
    printf("interrupted %ld other %ld\n", interrupted, other);
    return other ? 85 : 0;
}

static void *open_many(void *prefix)
{
    char path[4096];
    for (int i = 0; i < 500; i++) {
        snprintf(path, sizeof path, "%s-%d", (char *)prefix, i);
        close(open(path, O_RDONLY));
    }
    return NULL;
}

static int threads(int argc, char **argv)
{
    pthread_t t[8];
    char prefix[8][4096];
    (void)argc;
    for (int i = 0; i < 8; i++) {
        snprintf(prefix[i], sizeof prefix[i], "%s/thread-%d", argv[0], i);
        pthread_create(&t[i], NULL, open_many, prefix[i]);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    return 0;
}

/* Everything of its surroundings that the sensor could have changed, for comparison with a run without it. */
static int surroundings(int argc, char **argv)
{
    static const char *const wanted[] = {
        "Uid:",    "Gid:",    "Groups:", "SigBlk:", "SigIgn:",     "SigCgt:",   "CapInh:",
        "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "TracerPid:"};
    char line[4096];
    gid_t groups[64];
    (void)argc;
    (void)argv;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (!strncmp(line, wanted[i], strlen(wanted[i])))
                fputs(line, stdout);
    if (f)
        fclose(f);
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("fd %d\n", fd);
    int n = getgroups(64, groups);
    for (int i = 0; i < n; i++)
        printf("group %d\n", (int)groups[i]);
    struct stat out;
    fstat(1, &out);
    printf("stdout of %d\n", (int)out.st_uid);
    printf("pid %d sid %d dumpable %d\n", getpid() == 1, getsid(0) == 1, prctl(PR_GET_DUMPABLE));
    static long clone3_arguments[8];
    printf("clone3 %d",
           syscall(435, clone3_arguments, 8) < 0 ? errno : 0); /* too small a size: refused before it acts */
    printf(" unshare %d", unshare(CLONE_FS) ? errno : 0);
    printf(" clone %d\n",
           syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD, 0, 0, 0, 0) < 0 ? errno : 0); /* never valid */
    printf("cwd %s umask %o\n", getcwd(line, sizeof line), umask(0));
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "HOSTNAME=", 9))
            printf("env %s\n", *e);
    return 0;
}

static int touch(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        access(argv[i], F_OK);
    return 3;
}

/* Drops to another user, and looks for a file: its memory is then no longer the supervisor's uid's. */
static int as_user(int argc, char **argv)
{
    (void)argc;
    if (setgid(atoi(argv[0])) || setuid(atoi(argv[0])))
        return 84;
    access(argv[1], F_OK);
    return getuid() == 0;
}

static const struct {
    const char *name;
    int (*run)(int, char **);
    int least;
} modes[] = {
    {"script", script, 1},
    {"many", many, 3},
    {"exec-from-thread", exec_from_thread, 1},
    {"vfork", by_vfork, 1},
    {"spawn", by_spawn, 1},
    {"clone", by_clone, 1},
    {"own-filter", own_filter, 1},
    {"own-listener", own_listener, 0},
    {"tracer", tracer, 1},
    {"stop", stop_and_go, 1},
    {"pause", paused, 0},
    {"trap", trap_term, 1},
    {"term-once", term_once, 2},
    {"term-awaited", term_awaited, 1},
    {"reap", reap, 0},
    {"signals", under_signals, 3},
    {"threads", threads, 1},
    {"surroundings", surroundings, 0},
    {"touch", touch, 1},
    {"as-user", as_user, 2},
};

int main(int argc, char **argv)
{
    low = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS
#ifdef MAP_32BIT
                   | MAP_32BIT
#endif
               ,
               -1, 0);
    low_end = low + (1 << 20);
    argument("buf");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc > 1 && !strcmp(argv[1], modes[i].name) && argc - 2 >= modes[i].least)
            return modes[i].run(argc - 2, argv + 2);
    fprintf(stderr, "payload: unknown mode\n");
    return 2;
}
