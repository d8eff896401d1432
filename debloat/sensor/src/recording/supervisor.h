/* The process that watches the program. */
#pragma once

#include "files.h"
#include "notify.h"
#include "ptrace.h"

/* The listener goes through a socket: it is made in the process that becomes the program, after the supervisor was
 * started, because the supervisor must not be under the filter. No descriptor with the byte means: trace with
 * ptrace. */
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
    put_text(&line, recording.mechanism == NOTIFY ? "notify" : "ptrace");
    put_text(&line, "\t" ARCH_NAME "\t");
    put_escaped(&line, recording.scope, length(recording.scope));
    put_text(&line, "\n");
    write_record(&line);
    recording.state->records = 0; /* the header is no record */
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
    long r = receive_listener(channel, &recording.listener);
    if (r < 0)
        exit_process(1);
    recording.mechanism = recording.listener >= 0 ? NOTIFY : PTRACE;
    if (recording.mechanism == PTRACE)
        r = ptrace_request(PTRACE_SEIZE, recording.program, 0,
                           TRACE_FORK | TRACE_VFORK | TRACE_CLONE | TRACE_EXEC | TRACE_SECCOMP);
    recording.state->mechanism = (u32)recording.mechanism;
    if (r >= 0)
        write_header();
    int reply = (int)r;
    sys3(SYS_write, channel, &reply, sizeof reply);
    close_fd(channel);
    if (r < 0)
        exit_process(1);
    if (recording.mechanism == NOTIFY)
        supervise_notify();
    else
        supervise_ptrace();
    recording.state->phase = ENDED;
    exit_process(0);
}

/* A process that the program, which this one is to become, does not see: 0 in it. As a child without exit signal it is
 * not seen by wait(). Where the program is not PID 1 it is better a sibling: an orphan would become a child of PID 1,
 * with a signal. */
static long fork_hidden(int program)
{
    long pid = program == 1 ? -EINVAL : sys5(SYS_clone, CLONE_PARENT, 0, 0, 0, 0);
    return pid < 0 ? sys5(SYS_clone, 0, 0, 0, 0, 0) : pid;
}

/* Leaves `channel` in this process, which is to become the program. */
static int fork_supervisor(void)
{
    int pair[2];
    long r = sys4(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    if (r < 0)
        die("cannot make a socket pair: ", error_name(r));
    int near = (int)away_from_streams(pair[0]), far = (int)away_from_streams(pair[1]);
    long pid = fork_hidden(recording.program);
    if (pid < 0)
        die("cannot start the supervisor: ", error_name(pid));
    if (pid == 0) {
        close_fd(near);
        supervisor(far);
    }
    close_fd(far);
    return near;
}

/* Without SYS_ADMIN a filter may be had only so, and setuid programs then lose their effect. */
static void force_no_new_privs(void)
{
    sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    recording.state->forced_no_new_privs = 1;
}

/* Puts this process under the filter, watched by a supervisor that is not. */
static void start_supervisor(bool notify, bool ptrace)
{
    recording.program = (int)sys0(SYS_getpid);
    recording.state->pid = (u32)recording.program;
    if (recording.program != 1)
        recording.stop_signal = 0; /* what others raise ends them */
    sys3(SYS_getrandom, hash_key, sizeof hash_key, 0);
    index_calls();
    int channel = fork_supervisor();

    long listener = notify ? install_listener() : -EOPNOTSUPP;
    if (listener == -EACCES) {
        force_no_new_privs();
        listener = install_listener();
    }
    if (listener < 0 && notify)
        recording.state->mechanism_error = (u32)-listener;
    if (listener < 0 && !ptrace)
        die("cannot have a seccomp listener: ", error_name(listener));
    int reply = -EPIPE;
    long r = send_listener(channel, listener);
    if (r >= 0 && sys3(SYS_read, channel, &reply, sizeof reply) != sizeof reply)
        reply = -EPIPE;
    if (reply < 0 && listener >= 0)
        die("the supervisor does not answer");
    if (reply < 0)
        die("cannot trace with ptrace: ", error_name(reply));
    close_fd(channel);
    if (listener >= 0) {
        close_fd(listener);
        return;
    }
    make_filter(RET_TRACE);
    r = install_filter(FILTER_SPEC_ALLOW);
    if (r == -EINVAL)
        r = install_filter(0);
    if (r == -EACCES) {
        force_no_new_privs();
        r = install_filter(0);
    }
    if (r < 0)
        die("cannot install a seccomp filter: ", error_name(r));
}
