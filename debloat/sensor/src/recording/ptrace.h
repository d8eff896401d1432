/* Supervising by ptrace. */
#pragma once

#include "observe.h"

static long ptrace_request(long request, int tid, u64 address, u64 data)
{
    return sys4(SYS_ptrace, request, tid, address, data);
}

/* Number and arguments from the registers, for kernels before 5.3 and gVisor. */
static bool read_registers(struct stop *s, u32 *arch)
{
    u64 abi = NATIVE;
    ptrace_request(PTRACE_GETEVENTMSG, s->tid, 0, (u64)&abi);
    *arch = abi == COMPAT ? AUDIT_COMPAT : AUDIT_NATIVE;
    u64 regs[64];
    memset(regs, 0, sizeof regs);
    struct iovec v = {regs, sizeof regs};
    if (ptrace_request(PTRACE_GETREGSET, s->tid, NT_PRSTATUS, (u64)&v) < 0)
        return false;
    const u32 *narrow = (const u32 *)(const void *)regs;
    bool half = v.len < 100; /* the registers of a 32-bit program */
    const u8 *at = half ? registers_compat : abi == COMPAT ? registers_crossed : registers_native;
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
        long r = ptrace_request(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, (u64)&info);
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
        recording.state->unread++;
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
            if (tid == recording.program) {
                recording.state->status = (u32)status;
                recording.state->phase = ENDED;
            }
            continue;
        }
        int signal = status >> 8 & 0xff, event_number = status >> 16;
        long request = PTRACE_CONT;
        if (event_number == EVENT_SECCOMP)
            observe_tracee((int)tid);
        else if (event_number == EVENT_STOP && signal != SIGTRAP)
            request = PTRACE_LISTEN; /* a group stop: stays stopped, and hears of SIGCONT */
        ptrace_request(request, (int)tid, 0, event_number ? 0 : (u64)signal);
    }
}
