/* control: the line protocol of a container at work. */
#pragma once

#include "../control/ports.h"
#include "../library/input.h"
#include "record.h"

/* Calls `each` for the entries of a directory until it answers false. */
static long list_directory(const char *path, bool (*each)(const char *name, void *with), void *with)
{
    _Alignas(8) char buffer[8192];
    long n, fd = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    bool on = true;
    while (on && (n = sys3(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; on && at < n;) {
            struct dirent64 *d = (struct dirent64 *)(void *)(buffer + at);
            at += d->reclen;
            on = each(d->name, with);
        }
    close_fd(fd);
    return 0;
}

struct totals {
    const char *dir;
    u64 sum[6];
};

static bool ends_with(const char *s, const char *with)
{
    size_t n = length(s), m = length(with);
    return n >= m && !memcmp(s + n - m, with, m);
}

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

static void control_counters(const char *dir, struct buffer *answer)
{
    static const char *const names[6] = {"handled", "records", "unread", "unresolved", "interrupted", "unwritten"};
    struct totals t = {.dir = dir};
    list_directory(dir, add_state, &t);
    put_text(answer, "counters");
    for (int i = 0; i < 6; i++) {
        put_byte(answer, ' ');
        put_text(answer, names[i]);
        put_byte(answer, '=');
        put_number(answer, t.sum[i], 10);
    }
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

static void control_await(const char *dir, const char *scope, char *arguments, struct buffer *answer)
{
    char *time = arguments ? split_at(arguments, ' ') : NULL;
    i64 ms = time ? parse_number(time) : -1;
    if (ms < 0) {
        put_text(answer, "error usage");
        return;
    }
    struct buffer list = {0};
    for (i64 end = now_ms() + ms, pause = 2;; pause = pause * 2 > 50 ? 50 : pause * 2) {
        listening_ports(ports, false);
        list.len = 0;
        put_text(&list, arguments);
        as_string(&list);
        for (char *one = list.data, *rest; one; one = rest) {
            rest = split_at(one, ',');
            size_t n = length(one);
            bool loopback = n && one[n - 1] == '!'; /* who asks from inside may be content with it */
            if (loopback)
                one[n - 1] = 0;
            i64 port = parse_number(one);
            if (port < 0 || port >= PORTS || !(ports[port] & (loopback ? TCP_ANY | TCP_LOOPBACK : TCP_ANY)))
                continue;
            put_text(answer, "ready ");
            put_text(answer, one);
            release(&list);
            return;
        }
        struct state program = main_program(dir, scope);
        i64 left = end - now_ms();
        if (has_ended(&program) || left <= 0) {
            put_text(answer, has_ended(&program) ? "gone" : "timeout");
            release(&list);
            return;
        }
        sleep_ms(pause < left ? pause : left);
    }
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

static void control_settle(const char *dir, char *arguments, struct buffer *answer)
{
    enum { QUIET = 50, STEP = 5 };
    i64 ms = arguments ? parse_number(arguments) : -1;
    if (ms < 0) {
        put_text(answer, "error usage");
        return;
    }
    i64 end = now_ms() + ms, quiet_since = now_ms();
    u64 handled = 0;
    for (;;) {
        struct activity a = {(int)sys0(SYS_getpid), false};
        struct totals t = {.dir = dir};
        list_directory("/proc", process_runs, &a);
        list_directory(dir, add_state, &t);
        i64 now = now_ms();
        if (a.busy || t.sum[0] != handled)
            quiet_since = now;
        handled = t.sum[0];
        if (now - quiet_since >= QUIET || now >= end) {
            put_text(answer, now - quiet_since >= QUIET ? "settled" : "timeout");
            return;
        }
        sleep_ms(STEP);
    }
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

/* The mark is in the list before it is in force: an event never has an epoch without a name. */
static void control_mark(const char *dir, const char *name, volatile u32 *epoch, struct buffer *answer)
{
    struct buffer mark = {0};
    u32 next = *epoch + 1;
    put_number(&mark, next, 10);
    put_byte(&mark, '\t');
    for (; *name; name++)
        if ((u8)*name < 0x20 || *name == 0x7f)
            put_escaped(&mark, name, 1);
        else
            put_byte(&mark, *name);
    put_byte(&mark, '\n');
    long fd = open_named(dir, "marks", 0, "", O_WRONLY | O_APPEND | O_CREAT);
    long r = fd < 0 ? fd : mark.failed ? -ENOMEM : write_all((int)fd, mark.data, mark.len);
    if (fd >= 0)
        close_fd(fd);
    release(&mark);
    if (r < 0) {
        put_text(answer, "error ");
        put_text(answer, error_name(r));
        return;
    }
    *epoch = next;
    put_text(answer, "ok ");
    put_number(answer, next, 10);
}

static int control(int argc, char **argv)
{
    const char *dir = "/.debloat/trace", *scope = "main";
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 < argc && equal(argv[i], "--dir"))
            dir = argv[i + 1];
        else if (i + 1 < argc && equal(argv[i], "--scope"))
            scope = argv[i + 1];
        else {
            say(2, "sensor: control takes --dir DIR and --scope NAME", NULL);
            return EXIT_USAGE;
        }
    }
    volatile u32 *epoch = map_epoch(dir);
    if (!epoch)
        die("cannot map ", dir, "/epoch");
    struct input in = {0};
    struct buffer answer = {0};
    for (char *command; (command = next_text(&in, '\n'));) {
        char *arguments = split_at(command, ' ');
        answer.len = 0;
        if (equal(command, "quit"))
            break;
        if (equal(command, "mark") && arguments)
            control_mark(dir, arguments, epoch, &answer);
        else if (equal(command, "listen"))
            control_listen(&answer);
        else if (equal(command, "await"))
            control_await(dir, scope, arguments, &answer);
        else if (equal(command, "settle"))
            control_settle(dir, arguments, &answer);
        else if (equal(command, "catches")) {
            i64 signal = arguments ? parse_number(arguments) : -1;
            struct state program = main_program(dir, scope);
            put_text(&answer, signal < 1 || signal > 64          ? "error usage"
                              : handles_signal(&program, signal) ? "yes"
                                                                 : "no");
        } else if (equal(command, "counters"))
            control_counters(dir, &answer);
        else
            put_text(&answer, "error unknown");
        put_byte(&answer, '\n');
        if (answer.failed || write_all(1, answer.data, answer.len) < 0)
            return 1;
    }
    return 0;
}
