/* One stopped call, and writing a record. */
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

static void write_record(struct buffer *line)
{
    if (recording.torn)
        write_all(recording.events, "\n", 1);
    long r = line->failed ? -ENOMEM : sys3(SYS_write, recording.events, line->data, line->len);
    if (r > 0 && (size_t)r < line->len)
        r = write_all(recording.events, line->data + r, line->len - (size_t)r);
    recording.torn = r < 0;
    if (r >= 0) {
        recording.state->records++;
        return;
    }
    recording.state->unwritten++;
    if (!recording.state->write_error)
        recording.state->write_error = (u64)-r;
    complain_once("cannot write an event", r);
}

static struct buffer line; /* the record being made; kept so that its memory is */

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
