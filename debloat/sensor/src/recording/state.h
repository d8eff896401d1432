/* What all parts of one recording share. */
#pragma once

#include "../library/errors.h"
#include "../library/files.h"

/* NAME.state: mapped, and updated as events happen. */
struct state {
    char magic[8];
    u32 version, mechanism;
    u64 handled, records, unread, unresolved, interrupted, unwritten, write_error;
    u32 pid, phase;
    u32 status, mechanism_error;
    u32 forced_no_new_privs;
    u32 raised;
    u8 reserved[32];
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
    int mechanism; /* NOTIFY or PTRACE */
    int events;    /* the event file */
    int proc;      /* /proc, held so that a mount over it does no harm */
    int listener;
    int program;     /* its pid */
    u32 stop_signal; /* 0: whether it raises that itself is not looked at */
    struct state *state;
    volatile u32 *epoch;
    /* Shared with the process that becomes the program: 0 while the calls are still the sensor's own. */
    volatile u32 *live;
    bool roots_differ; /* chroot, pivot_root or setns was seen: absolute paths need the root of the process */
    bool beside;       /* PID 1 is another container's: what lies in its root is told apart */
    bool no_readv;     /* process_vm_readv is refused here */
    bool torn;         /* the last record was cut short by an error */
    bool complained;
} recording = {.listener = -1, .no_readv = WITHOUT_READV};

/* The supervisor keeps no standard descriptors, so that nobody waits for them to close; what must be said goes to where
 * the program's own stderr goes. */
static void complain(const char *what, long error)
{
    struct buffer path = {0};
    put_number(&path, (u64)recording.program, 10);
    put_text(&path, "/fd/2");
    long fd = open_at(recording.proc, as_string(&path), O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK, 0);
    if (fd >= 0) {
        say((int)fd, "sensor: ", what, ": ", error_name(error), NULL);
        close_fd(fd);
    }
    release(&path);
}

static void complain_once(const char *what, long error)
{
    if (!recording.complained)
        complain(what, error);
    recording.complained = true;
}
