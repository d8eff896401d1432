/* Supervising by seccomp user notification. */
#pragma once

#include "filter.h"
#include "observe.h"

/* Whether a notification waits; false when all tasks under the filter are gone. */
static bool more_notifications(bool wait)
{
    for (;;) {
        const struct timespec now = {0, 0};
        struct pollfd p = {recording.listener, POLLIN, 0};
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
    /* RECV never returned on older kernels once all tasks were gone. Since Linux 6.12 it does, which saves the poll. */
    bool poll_first = WITHOUT_RECV_END || kernel_is_before(6, 12);
    sys3(SYS_ioctl, recording.listener, NOTIF_SET_FLAGS, NOTIF_SYNC_WAKE_UP); /* Linux 6.6; only makes it faster */
    for (;;) {
        if (poll_first && !more_notifications(true))
            return;
        struct notification n;
        memset(&n, 0, sizeof n);
        long r = sys3(SYS_ioctl, recording.listener, NOTIF_RECV, &n);
        if (r == -ENOENT) {
            if (!more_notifications(false))
                return;
            recording.state->interrupted++;
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
        r = sys3(SYS_ioctl, recording.listener, NOTIF_SEND, &answer);
        if (r == -ENOENT)
            recording.state->interrupted++;
        else if (r < 0 && r != -EINTR)
            complain_once("cannot answer a notification", r);
    }
}
