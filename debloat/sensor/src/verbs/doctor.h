/* doctor: which mechanisms and privileges there are. */
#pragma once

#include "../identity/capabilities.h"
#include "../library/time.h"
#include "../recording/supervisor.h"

static void print_result(const char *name, long result)
{
    say(1, name, " ", result >= 0 ? "yes" : error_name(result), NULL);
}

/* Runs `test` in a child, because filters and tracing cannot be undone; its result, or how it died. */
static long run_in_child(long (*test)(void))
{
    long *result = map_shared(-1, sizeof *result);
    if (!result)
        return -ENOMEM;
    *result = -EIO;
    long pid = sys5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        *result = test();
        exit_process(0);
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

static long seize(int pid) { return ptrace_request(PTRACE_SEIZE, pid, 0, TRACE_SECCOMP); }

static long syscall_info(int pid)
{
    struct syscall_info info;
    long r = seize(pid);
    if (r < 0)
        return r;
    enum { PTRACE_INTERRUPT = 0x4207 };
    ptrace_request(PTRACE_INTERRUPT, pid, 0, 0);
    int status;
    r = sys4(SYS_wait4, pid, &status, WALL, 0);
    return r < 0 ? r : ptrace_request(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, (u64)&info);
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
    recording.proc = (int)open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
    return recording.proc < 0 ? recording.proc : read_proc_mem(pid, (u64)hash_key, key, sizeof key);
}

static long proc_links(int pid)
{
    static struct place place;
    struct stop s = {.tid = pid};
    recording.proc = (int)open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
    return recording.proc < 0 ? recording.proc : read_link(&s, "exe", &place) == FOUND ? 0 : -EACCES;
}

static long try_seize(void) { return with_child(seize); }
static long try_syscall_info(void) { return with_child(syscall_info); }
static long try_readv(void) { return with_child(readv); }
static long try_proc_mem(void) { return with_child(proc_mem); }
static long try_proc_links(void) { return with_child(proc_links); }

static int doctor(void)
{
    static const struct {
        const char *name;
        long (*test)(void);
    } tests[] = {
        {"notify", try_notify},
        {"notify_unprivileged", try_notify_unprivileged},
        {"notify_killable", try_killable},
        {"notify_sync_wake_up", try_sync_wake_up},
        {"seccomp_filter", try_filter},
        {"ptrace", try_seize},
        {"ptrace_syscall_info", try_syscall_info},
        {"process_vm_readv", try_readv},
        {"proc_mem", try_proc_mem},
        {"proc_links", try_proc_links},
    };
    static const int wanted[] = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SETPCAP, CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT};
    char names[6][65];
    memset(names, 0, sizeof names);
    sys1(SYS_uname, names);
    say(1, "arch " ARCH_NAME, NULL);
    say(1, "kernel ", names[2], NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        print_result(tests[i].name, run_in_child(tests[i].test));
    u64 has = effective_capabilities();
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        say(1, "cap_", capability_names[wanted[i]], has >> wanted[i] & 1 ? " yes" : " no", NULL);
    say(1, "no_new_privs ", sys5(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "yes" : "no", NULL);
    return 0;
}
