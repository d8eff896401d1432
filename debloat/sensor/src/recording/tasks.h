/* Where the links below /proc lead for the task that made a call. */
#pragma once

#include "stop.h"

/* What is known of a task, held by a descriptor of /proc/TID: names below it fail once that task is gone, even if its
 * number was given to another, so whatever was learned through it is about the task that is meant. */
struct task {
    int tid, dir, pidfd;
    u32 program;
    bool program_known;
};
enum { TASKS = 64 };
static struct task tasks[TASKS];

static void forget_task(struct task *t)
{
    if (t->tid)
        close_fd(t->dir);
    if (t->pidfd > 0)
        close_fd(t->pidfd);
    *t = (struct task){0};
}

/* Whether the entry is still about the task of its number. Signal 0 to a pidfd asks for a quarter of what a path below
 * /proc costs. It is had by number, so what it stands for is known only once the directory has confirmed it. */
static bool is_alive(struct task *t)
{
    enum { PIDFD_THREAD = 0200 };
    if (t->pidfd > 0) {
        long r = sys4(SYS_pidfd_send_signal, t->pidfd, 0, 0, 0);
        return r == 0 || r == -EPERM;
    }
    if (t->pidfd == 0 && !WITHOUT_PIDFD) {
        long fd = sys2(SYS_pidfd_open, t->tid, PIDFD_THREAD); /* Linux 6.9; before, only for the first thread */
        t->pidfd = (int)(fd == -EINVAL ? sys2(SYS_pidfd_open, t->tid, 0) : fd);
    }
    return sys3(SYS_faccessat, t->dir, "exe", 0) == 0;
}

/* NULL when it has no /proc/TID, or no descriptor can be had. */
static struct task *find_task(int tid)
{
    char name[16];
    struct task *t = &tasks[tid % TASKS];
    if (t->tid == tid)
        return t;
    forget_task(t);
    *put_digits(name, (unsigned)tid) = 0;
    long dir = open_at(recording.proc, name, O_PATH | O_DIRECTORY, 0);
    if (dir == -EMFILE || dir == -ENFILE) {
        for (int i = 0; i < TASKS; i++)
            forget_task(&tasks[i]);
        dir = open_at(recording.proc, name, O_PATH | O_DIRECTORY, 0);
    }
    if (dir < 0)
        return NULL;
    *t = (struct task){.tid = tid, .dir = (int)dir};
    return t;
}

/* The text of a link below /proc/TID, of the task that lives now. */
static long read_task_link(const struct stop *s, const char *name, char *to, size_t capacity)
{
    struct task *t = find_task(s->tid);
    long n = t ? sys4(SYS_readlinkat, t->dir, name, to, capacity) : -ESRCH;
    if (n >= 0 || !t)
        return n;
    forget_task(t);
    t = find_task(s->tid);
    return t ? sys4(SYS_readlinkat, t->dir, name, to, capacity) : -ESRCH;
}

/* Where a link of /proc/TID points. UNREADABLE: the sensor could not find out. NOWHERE: there is nothing to find out: a
 * descriptor that is closed or no file, a directory that was removed; a lookup from there finds nothing in the
 * image. */
enum base { FOUND, NOWHERE, UNREADABLE };
struct place {
    size_t len;
    char text[PATH_MAX + 1];
};

/* Whether a link of a task and a path lead to the same file. */
static bool leads_to(const struct task *t, const char *name, const char *path)
{
    struct statx is, named;
    return t && !stat_at(t->dir, name, 0, &is) && !stat_at(AT_FDCWD, path, 0, &named) && is.ino == named.ino &&
           is.dev_major == named.dev_major && is.dev_minor == named.dev_minor;
}

/* The kernel tells a place by its path in the mount namespace that it is in. One in the root of PID 1, which is another
 * container's, gets the path by which it is reached from here. */
static void place_beside(const struct stop *s, const char *name, struct place *to)
{
    static const char root[] = "/proc/1/root";
    enum { ROOT = sizeof root - 1 };
    static char there[ROOT + PATH_MAX + 1];
    struct task *t = find_task(s->tid);
    size_t n = to->len > 1 ? to->len : 0;
    if (leads_to(t, name, to->text) || ROOT + n > PATH_MAX)
        return;
    memcpy(there, root, ROOT);
    memcpy(there + ROOT, to->text, n);
    there[ROOT + n] = 0;
    if (!leads_to(t, name, there))
        return;
    memcpy(to->text, there, ROOT + n + 1);
    to->len = ROOT + n;
}

static enum base read_link(struct stop *s, const char *name, struct place *to)
{
    static const char suffix[] = " (deleted)";
    enum { SUFFIX = sizeof suffix - 1 };
    to->len = 0;
    long n = read_task_link(s, name, to->text, PATH_MAX);
    if (n <= 0 || n >= PATH_MAX)
        return n == -ENOENT && name[0] == 'f' ? NOWHERE : UNREADABLE;
    s->task_is_current = true;
    to->len = (size_t)n;
    to->text[n] = 0;
    if (to->text[0] != '/')
        return NOWHERE;
    if (n > SUFFIX && !memcmp(to->text + n - SUFFIX, suffix, SUFFIX)) {
        /* A name may really end so: then the name leads to the same file as the link does. */
        if (!leads_to(find_task(s->tid), name, to->text))
            return NOWHERE;
    }
    if (recording.beside)
        place_beside(s, name, to);
    return FOUND;
}
