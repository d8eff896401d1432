/* canary: runs a program, and notes which of an image's tombstones it met.
 *
 * A tombstone is a link at the name of a path that was cut. It leads to a link on a volume, and that one nowhere: a
 * lookup fails as it does without both. But whoever follows a link sets its access time, so nothing is asked of the
 * program's calls, and all that a lookup costs is a link. A watcher looks at the times once a second. */
#pragma once

#include "../library/time.h"
#include "record.h"

enum { UTIME_OMIT = 0x3ffffffe };

struct canary {
    struct buffer list; /* its first line is what a note begins with, then a JSON string a line: the paths */
    struct buffer notes, links, line;
    u32 count;
    int directory, out; /* of the links; where notes go */
    bool stderr_only, torn;
};

static void path_of(struct buffer *to, const char *directory, const char *name)
{
    to->len = 0;
    put_text(to, directory);
    put_byte(to, '/');
    put_text(to, name);
    as_string(to);
}

/* A directory that this user owns, made where there is none. */
static long own_directory(const char *path)
{
    struct statx st;
    long made = sys3(SYS_mkdirat, AT_FDCWD, path, 0700);
    long r = stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st);
    if (made < 0 && made != -EEXIST)
        return made;
    if (r < 0)
        return r;
    if ((st.mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    if (st.uid != (u32)sys0(SYS_geteuid))
        return -EPERM;
    return sys3(SYS_fchmodat, AT_FDCWD, path, 0755); /* whatever the umask is */
}

static const struct timespec never[2] = {{0, 0}, {0, UTIME_OMIT}};

/* Whether the file system of a directory keeps when a link was followed: not so with `noatime`. */
static bool keeps_access_times(const char *directory)
{
    struct buffer path = {0};
    struct statx st;
    path_of(&path, directory, "followed");
    sys3(SYS_unlinkat, AT_FDCWD, path.data, 0);
    bool kept = !sys3(SYS_symlinkat, "nowhere", AT_FDCWD, path.data) &&
                !sys4(SYS_utimensat, AT_FDCWD, path.data, never, AT_SYMLINK_NOFOLLOW) &&
                stat_at(AT_FDCWD, path.data, 0, &st) == -ENOENT &&
                !stat_at(AT_FDCWD, path.data, AT_SYMLINK_NOFOLLOW, &st) && st.atime.sec;
    sys3(SYS_unlinkat, AT_FDCWD, path.data, 0);
    release(&path);
    return kept;
}

/* A directory in shared memory, which every container has: four thousand links are made there in 15 ms, and on a disk
 * in 400. Its name is that of the notes, because a pod's memory outlives its containers. */
static long directory_in_memory(struct buffer *path, const char *notes)
{
    const char *name = notes;
    for (const char *slash; (slash = find_char(name, '/'));)
        name = slash + 1;
    path->len = 0;
    put_text(path, "/dev/shm/.debloat-canary-");
    put_text(path, name);
    long r = own_directory(as_string(path));
    return r < 0 ? r : keeps_access_times(path->data) ? 0 : -EOPNOTSUPP;
}

/* Where there is no such memory the links lie on the volume itself. */
static long place_links(const char *notes, const char *links)
{
    struct statx st;
    sys3(SYS_unlinkat, AT_FDCWD, links, 0); /* a link to memory that may be gone */
    if (!stat_at(AT_FDCWD, links, AT_SYMLINK_NOFOLLOW, &st))
        return own_directory(links);
    struct buffer memory = {0};
    long r = directory_in_memory(&memory, notes);
    if (r >= 0)
        r = sys3(SYS_symlinkat, memory.data, AT_FDCWD, links);
    release(&memory);
    if (r < 0)
        r = keeps_access_times(notes) ? own_directory(links) : -EOPNOTSUPP;
    return r;
}

static void number_as_name(struct buffer *to, u32 number)
{
    to->len = 0;
    put_number(to, number, 10);
    as_string(to);
}

/* The links that tombstones lead to. What is there already is of an earlier start, and stays with its times. A program
 * that creates a file at a tombstone makes it in `made`. */
static long make_links(struct canary *c)
{
    struct buffer made = {0}, target = {0}, name = {0};
    path_of(&made, c->notes.data, "made");
    long r = own_directory(made.data);
    for (u32 i = 0; i < c->count && r >= 0; i++) {
        number_as_name(&name, i);
        path_of(&target, made.data, name.data);
        r = sys3(SYS_symlinkat, target.data, c->directory, name.data);
        if (!r)
            r = sys4(SYS_utimensat, c->directory, name.data, never, AT_SYMLINK_NOFOLLOW);
        if (r == -EEXIST)
            r = 0;
    }
    release(&made);
    release(&target);
    release(&name);
    return r;
}

static long open_links(struct canary *c)
{
    long r = own_directory(c->notes.data);
    path_of(&c->links, c->notes.data, "links");
    if (r < 0)
        return r;
    r = place_links(c->notes.data, c->links.data);
    if (r >= 0)
        r = away_from_streams(open_at(AT_FDCWD, c->links.data, O_RDONLY | O_DIRECTORY, 0));
    if (r < 0)
        return r;
    c->directory = (int)r;
    return make_links(c);
}

static long open_canary(struct canary *c, const char *list, const char *notes)
{
    long r = read_file(AT_FDCWD, list, &c->list);
    if (r < 0)
        return r;
    u32 lines = 0;
    for (size_t i = 0; i < c->list.len; i++)
        lines += c->list.data[i] == '\n';
    c->count = lines ? lines - 1 : 0;
    put_text(&c->notes, notes);
    as_string(&c->notes);
    r = open_links(c);
    c->out = 2;
    if (r < 0 || c->stderr_only)
        return r;
    struct buffer file = {0};
    path_of(&file, notes, "canary.jsonl");
    r = away_from_streams(open_at(AT_FDCWD, file.data, O_WRONLY | O_APPEND | O_CREAT, 0644));
    release(&file);
    c->out = (int)r;
    return r;
}

/* One write for a line, so that it stays whole between lines of the program. False: it is not written, and is tried
 * again; of a full disk a torn line may remain, which the next one must not continue. */
static bool write_note(struct canary *c, const char *head, size_t head_length, const char *path, size_t n)
{
    c->line.len = 0;
    if (c->torn)
        put_byte(&c->line, '\n');
    put(&c->line, head, head_length);
    put(&c->line, path, n);
    put_text(&c->line, "}\n");
    if (c->line.failed)
        return false;
    long done = sys3(SYS_write, c->out, c->line.data, c->line.len);
    if (done == (long)c->line.len) {
        c->torn = false;
        return true;
    }
    c->torn = c->torn || done > 0;
    return false;
}

/* Notes the links that were followed, each once: of one that is noted the time of change is set to 0. */
static void note_followed(struct canary *c)
{
    static struct buffer name;
    static const struct timespec noted[2] = {{0, UTIME_OMIT}, {0, 0}};
    const char *head = c->list.data, *end = c->list.data + c->list.len;
    const char *at = find_char(head, '\n');
    size_t head_length = (size_t)(at - head);
    for (u32 i = 0; i < c->count && ++at < end; i++) {
        const char *path = at;
        struct statx st;
        at = find_char(at, '\n');
        number_as_name(&name, i);
        if (stat_at(c->directory, name.data, AT_SYMLINK_NOFOLLOW, &st) || (st.mode & S_IFMT) != S_IFLNK ||
            !st.atime.sec || !st.mtime.sec)
            continue;
        if (!write_note(c, head, head_length, path, (size_t)(at - path)))
            return;
        sys4(SYS_utimensat, c->directory, name.data, noted, AT_SYMLINK_NOFOLLOW);
    }
}

/* Waits for a second, or for the end of the program. As PID 1 it takes the watcher with it; before Linux 5.3 there is
 * no descriptor of a process, and the container's end is the watcher's. */
static bool program_ended(long program)
{
    struct pollfd p = {(int)program, POLLIN, 0};
    if (program == -ESRCH)
        return true;
    if (program >= 0) {
        struct timespec second = {1, 0};
        return sys5(SYS_ppoll, &p, 1, &second, 0, 8) > 0;
    }
    sleep_ms(1000);
    return false;
}

__attribute__((noreturn)) static void canary_watcher(struct canary *c, int program)
{
    u64 all = ~(u64)0;
    sys4(SYS_rt_sigprocmask, 0, &all, 0, sizeof all);
    sys0(SYS_setsid);
    sys1(SYS_chdir, "/");
    for (int fd = 0; fd < 3; fd++)
        if (fd != c->out)
            close_fd(fd);
    long end = sys2(SYS_pidfd_open, program, 0);
    do
        note_followed(c);
    while (!program_ended(end));
    note_followed(c);
    exit_process(0);
}

static void start_watcher(struct canary *c)
{
    int program = (int)sys0(SYS_getpid);
    long pid = fork_hidden(program);
    if (pid == 0)
        canary_watcher(c, program);
    if (pid < 0)
        say(2, "sensor: cannot start the watcher: ", error_name(pid), NULL);
    close_fd(c->directory);
    if (c->out > 2)
        close_fd(c->out);
}

/* canary LIST NOTES -- ARGV...: whatever keeps it from noting, the program is started. */
static int canary(int argc, char **argv, char **env)
{
    static struct canary c;
    if (argc < 4 || !equal(argv[2], "--")) {
        say(2, "sensor: nothing to run: canary LIST NOTES -- ARGV...", NULL);
        return EXIT_USAGE;
    }
    const char *to = environment_variable(env, "DEBLOAT_CANARY");
    if (!to || !equal(to, "off")) {
        c.stderr_only = to && equal(to, "stderr");
        long r = open_canary(&c, argv[0], argv[1]);
        if (r < 0)
            say(2, "sensor: cannot note lookups in ", argv[1], ": ", error_name(r), NULL);
        else
            start_watcher(&c);
    }
    const char *name = argv[3], *path = find_program(name, env);
    long r = path ? sys3(SYS_execve, path, argv + 3, env) : -ENOENT;
    say(2, "sensor: cannot start ", name, ": ", path ? error_name(r) : "executable file not found in PATH", NULL);
    return r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
