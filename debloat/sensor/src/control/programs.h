/* What the state files and /proc say of the programs of a container. */
#pragma once

#include "../library/files.h"
#include "../recording/state.h"

struct totals {
    const char *dir;
    u64 sum[6];
};

static bool read_state(const char *dir, const char *name, struct state *to)
{
    struct buffer path = {0};
    put_text(&path, dir);
    put_byte(&path, '/');
    put_text(&path, name);
    long fd = open_at(AT_FDCWD, as_string(&path), O_RDONLY, 0);
    release(&path);
    if (fd < 0)
        return false;
    long n = sys4(SYS_pread64, fd, to, sizeof *to, 0);
    close_fd(fd);
    return n == sizeof *to && !memcmp(to->magic, "DBLSTATE", 8);
}

static bool add_state(const char *name, void *with)
{
    struct totals *t = with;
    struct state s;
    if (ends_with(name, ".state") && read_state(t->dir, name, &s)) {
        const u64 values[6] = {s.handled, s.records, s.unread, s.unresolved, s.interrupted, s.unwritten};
        for (int i = 0; i < 6; i++)
            t->sum[i] += values[i];
    }
    return true;
}

static bool has_ended(const struct state *program)
{
    return program->phase == ENDED || sys2(SYS_kill, program->pid, 0) == -ESRCH;
}

/* What the main recording says of its program; PID 1 where there is no recording. */
static struct state main_program(const char *dir, const char *scope)
{
    struct state s = {.pid = 1};
    struct buffer name = {0};
    put_text(&name, scope);
    put_text(&name, ".state");
    struct state read;
    if (read_state(dir, as_string(&name), &read) && read.pid)
        s = read;
    release(&name);
    return s;
}

struct activity {
    int self;
    bool busy;
};

static bool task_runs(const char *name, void *with)
{
    struct activity *a = with;
    static struct buffer stat;
    static struct buffer path;
    if (parse_number(name) <= 0)
        return true;
    path.len = 0;
    put_text(&path, "/proc/");
    put_text(&path, name);
    put_text(&path, "/stat");
    if (parse_number(name) == a->self || read_file(AT_FDCWD, as_string(&path), &stat) < 0 || !stat.len)
        return true;
    const char *state = NULL; /* behind the last parenthesis: the name before it may hold anything */
    for (const char *at = stat.data; *at; at++)
        if (*at == ')')
            state = at;
    if (state && state[1] && (state[2] == 'R' || state[2] == 'D'))
        a->busy = true;
    return !a->busy;
}

static bool process_runs(const char *name, void *with)
{
    struct activity *a = with;
    i64 pid = parse_number(name);
    if (pid <= 0 || pid == a->self)
        return true;
    struct buffer path = {0};
    put_text(&path, "/proc/");
    put_text(&path, name);
    put_text(&path, "/task");
    list_directory(as_string(&path), task_runs, a);
    release(&path);
    return !a->busy;
}

static u64 status_mask(const char *text, const char *name)
{
    for (const char *at = text; at; at = find_char(at, '\n')) {
        at += *at == '\n';
        if (starts_with(at, name))
            return parse_hex(at + length(name), 16);
        if (!*at)
            break;
    }
    return 0;
}

/* A signal that is blocked is one that the program waits for with sigwait or signalfd. */
static bool handles_signal(const struct state *program, i64 signal)
{
    struct buffer path = {0}, text = {0};
    if (signal == SIGKILL || signal == SIGSTOP)
        return true;
    put_text(&path, "/proc/");
    put_number(&path, program->pid, 10);
    put_text(&path, "/status");
    u64 bit = (u64)1 << (signal - 1);
    bool yes = false;
    if (read_file(AT_FDCWD, as_string(&path), &text) >= 0) {
        bool waits = (status_mask(text.data, "SigCgt:\t") | status_mask(text.data, "SigBlk:\t")) & bit;
        yes = waits || (program->pid != 1 && !(status_mask(text.data, "SigIgn:\t") & bit));
    }
    release(&path);
    release(&text);
    return yes;
}
