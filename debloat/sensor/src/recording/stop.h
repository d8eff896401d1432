/* A system call that was stopped at its entry. */
#pragma once

#include "calls.h"
#include "state.h"

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
    if (recording.mechanism == PTRACE)
        return true;
    u64 id = s->id;
    long r = sys3(SYS_ioctl, recording.listener, NOTIF_ID_VALID, &id);
    if (r == -EINVAL || r == -ENOTTY)
        r = sys3(SYS_ioctl, recording.listener, NOTIF_ID_VALID_OLD, &id);
    return r == 0;
}

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

static const char *descriptor_link(char *to, int fd)
{
    memcpy(to, "fd/", 3);
    *put_digits(to + 3, (unsigned)fd) = 0;
    return to;
}
