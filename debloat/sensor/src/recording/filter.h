/* The seccomp filter, made from the table of calls. */
#pragma once

#include "noted.h"

static struct bpf filter_code[ABIS * (2 * CALLS + 2 * UNSEEN + 5 * SIGNAL_CALLS + 16) + 8];
static struct bpf_program filter;

/* What Docker's default profile forbids a program without SYS_ADMIN, and allowed this container because SYS_ADMIN was
 * added for the sensor. The calls that need the capability itself fail anyway; a user namespace does not need it. */
static const struct {
    int unshare, clone;
} namespace_calls[ABIS] = {
    [NATIVE] = {SYS_unshare, SYS_clone},
    [COMPAT] = {COMPAT_unshare, COMPAT_clone},
};
enum { NAMESPACE_FLAGS = 0x7E020000 };
static bool forbid_namespaces;

static void emit(u16 code, u8 yes, u8 no, u32 k) { filter_code[filter.len++] = (struct bpf){code, yes, no, k}; }

static void filter_paths(int abi, u32 action)
{
    for (int i = 0; i < CALLS; i++) {
        int nr = calls[i].number[abi];
        if (nr == ABSENT || (i && calls[i - 1].number[abi] == nr))
            continue;
        emit(BPF_JUMP_EQUAL, 0, 1, (u32)nr);
        emit(BPF_RETURN, 0, 0, action);
    }
    for (int i = 0; recording.stop_signal && i < SIGNAL_CALLS; i++) {
        emit(BPF_JUMP_EQUAL, 0, 4, (u32)signal_calls[i].number[abi]);
        emit(BPF_LOAD_WORD, 0, 0, DATA_ARGS + 8u * (signal_calls[i].signal - 1u));
        emit(BPF_JUMP_EQUAL, 0, 1, recording.stop_signal);
        emit(BPF_RETURN, 0, 0, action);
        emit(BPF_RETURN, 0, 0, RET_ALLOW);
    }
}

static void filter_unseen(void)
{
    for (int i = 0; i < noting.unseen_count; i++) {
        emit(BPF_JUMP_EQUAL, 0, 1, (u32)noting.unseen[i]);
        emit(BPF_RETURN, 0, 0, RET_ALLOW);
    }
}

static void filter_abi(int abi, u32 action)
{
    emit(BPF_LOAD_WORD, 0, 0, DATA_NR);
    if (abi == NATIVE && SECOND_ABI_BIT != 0)
        emit(BPF_AND, 0, 0, ~SECOND_ABI_BIT);
    if (!noting.on)
        filter_paths(abi, action);
    else if (abi == NATIVE)
        filter_unseen();
    emit(BPF_JUMP_EQUAL, 0, 1, SYS_io_uring_setup); /* what goes through a ring is seen by no tracer */
    emit(BPF_RETURN, 0, 0, RET_ERRNO | ENOSYS);
    if (forbid_namespaces) {
        emit(BPF_JUMP_EQUAL, 0, 1, (u32)namespace_calls[abi].unshare);
        emit(BPF_RETURN, 0, 0, RET_ERRNO | EPERM);
        emit(BPF_JUMP_EQUAL, 0, 1, SYS_clone3); /* its flags are out of reach: libraries turn to clone */
        emit(BPF_RETURN, 0, 0, RET_ERRNO | ENOSYS);
        emit(BPF_JUMP_EQUAL, 0, 3, (u32)namespace_calls[abi].clone);
        emit(BPF_LOAD_WORD, 0, 0, DATA_ARGS);
        emit(BPF_JUMP_SET, 0, 1, NAMESPACE_FLAGS);
        emit(BPF_RETURN, 0, 0, RET_ERRNO | EPERM);
    }
    emit(BPF_RETURN, 0, 0, noting.on ? action : RET_ALLOW);
}

/* The data of the action says which ABI the call is of, for tracers on kernels that cannot tell. */
static void make_filter(u32 action)
{
    filter.code = filter_code;
    filter.len = 0;
    emit(BPF_LOAD_WORD, 0, 0, DATA_ARCH);
    emit(BPF_JUMP_EQUAL, 1, 0, AUDIT_NATIVE);
    u16 jump = filter.len;
    emit(BPF_JUMP, 0, 0, 0);
    filter_abi(NATIVE, action == RET_TRACE ? action | NATIVE : action);
    filter_code[jump].k = (u32)(filter.len - jump - 1);
    emit(BPF_JUMP_EQUAL, 1, 0, AUDIT_COMPAT);
    emit(BPF_RETURN, 0, 0, RET_ALLOW);
    filter_abi(COMPAT, action == RET_TRACE ? action | COMPAT : action);
}

static long install_filter(u32 flags) { return sys3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter); }

/* The answer "go on" came with Linux 5.5; before, and on kernels that only claim to be an old Linux, a listener may
 * exist that cannot be told so. */
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
