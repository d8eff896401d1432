/* The process that watches the program. */
#pragma once

#include "notify.h"
#include "ptrace.h"

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
