/* record: runs a program, and records the paths that it uses. */
#pragma once

#include "../identity/identity.h"
#include "../recording/supervisor.h"

/* 0 when `path` is a file that may be executed. */
static long can_execute(const char *path)
{
    struct statx st;
    long r = stat_at(AT_FDCWD, path, 0, &st);
    if (r)
        return r;
    if ((st.mode & S_IFMT) == S_IFDIR)
        return -EACCES;
    return sys3(SYS_faccessat, AT_FDCWD, path, X_OK);
}

static const char *find_program(const char *name, char **env)
{
    static struct buffer path;
    if (find_char(name, '/'))
        return name;
    const char *list = environment_variable(env, "PATH");
    while (list && *name) {
        const char *end = find_char(list, ':');
        size_t n = end ? (size_t)(end - list) : length(list);
        path.len = 0;
        put(&path, n ? list : ".", n ? n : 1);
        put_byte(&path, '/');
        put_text(&path, name);
        if (!can_execute(as_string(&path)))
            return path.data;
        list = end ? end + 1 : NULL;
    }
    return NULL;
}

static long open_named(const char *dir, const char *stem, int copy, const char *suffix, int flags)
{
    struct buffer path = {0};
    put_text(&path, dir);
    put_byte(&path, '/');
    put_text(&path, stem);
    if (copy > 1) {
        put_byte(&path, '.');
        put_number(&path, (u64)copy, 10);
    }
    put_text(&path, suffix);
    long fd = open_at(AT_FDCWD, as_string(&path), flags, 0644);
    release(&path);
    return fd;
}

/* Descriptors below 3 belong to the program, even those that are closed. */
static long away_from_streams(long fd)
{
    enum { F_DUPFD_CLOEXEC = 1030 };
    if (fd < 0 || fd > 2)
        return fd;
    long other = sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    close_fd(fd);
    return other;
}

static volatile u32 *map_epoch(const char *dir)
{
    long fd = away_from_streams(open_named(dir, "epoch", 0, "", O_RDWR | O_CREAT));
    struct statx st;
    if (fd < 0 || (!stat_at((int)fd, "", AT_EMPTY_PATH, &st) && st.size < 4 && sys2(SYS_ftruncate, fd, 4) < 0))
        return NULL;
    volatile u32 *epoch = map_shared(fd, 4);
    close_fd(fd);
    return epoch;
}

static void open_recording(void)
{
    long events = -EEXIST;
    int copy = 0;
    /* A probe that runs several times under one name gets a file for each: they may overlap. */
    while (events == -EEXIST && ++copy < 1000000)
        events = away_from_streams(
            open_named(recording.dir, recording.scope, copy, ".events", O_WRONLY | O_APPEND | O_CREAT | O_EXCL));
    if (events < 0)
        die("cannot create ", recording.dir, "/", recording.scope, ".events: ", error_name(events));
    long fd = away_from_streams(open_named(recording.dir, recording.scope, copy, ".state", O_RDWR | O_CREAT));
    if (fd < 0 || sys2(SYS_ftruncate, fd, sizeof(struct state)) < 0 ||
        !(recording.state = map_shared(fd, sizeof(struct state))))
        die("cannot create ", recording.dir, "/", recording.scope, ".state");
    close_fd(fd);
    recording.epoch = map_epoch(recording.dir);
    recording.live = map_shared(-1, sizeof *recording.live);
    long proc = away_from_streams(open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0));
    if (!recording.epoch || !recording.live)
        die("cannot map ", recording.dir, "/epoch");
    if (proc < 0)
        die("cannot open /proc: ", error_name(proc));
    recording.events = (int)events;
    recording.proc = (int)proc;
    memcpy(recording.state->magic, "DBLSTATE", 8);
    recording.state->version = 1;
}

/* Whether the container has a seccomp profile: unconfined, namespaces are allowed in production as well. */
static bool has_seccomp_profile(void)
{
    enum { PR_GET_SECCOMP = 21, FILTERED = 2 };
    return sys1(SYS_prctl, PR_GET_SECCOMP) == FILTERED;
}

/* Puts this process under the filter, watched by a supervisor that is not. */
static void start_supervisor(bool notify, bool ptrace)
{
    int pair[2];
    long r = sys4(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    if (r < 0)
        die("cannot make a socket pair: ", error_name(r));
    int near = (int)away_from_streams(pair[0]), far = (int)away_from_streams(pair[1]);
    recording.program = (int)sys0(SYS_getpid);
    recording.state->pid = (u32)recording.program;
    sys3(SYS_getrandom, hash_key, sizeof hash_key, 0);
    index_calls();

    /* As a child without exit signal the supervisor is not seen by the program's wait(). Where the program is not PID 1
     * it is better a sibling: an orphan would become a child of PID 1, with a signal. */
    long pid = recording.program == 1 ? -EINVAL : sys5(SYS_clone, CLONE_PARENT, 0, 0, 0, 0);
    if (pid < 0)
        pid = sys5(SYS_clone, 0, 0, 0, 0, 0);
    if (pid < 0)
        die("cannot start the supervisor: ", error_name(pid));
    if (pid == 0) {
        close_fd(near);
        supervisor(far);
    }
    close_fd(far);

    long listener = notify ? install_listener() : -EOPNOTSUPP;
    if (listener ==
        -EACCES) { /* without SYS_ADMIN a filter may be had only so, and setuid programs then lose their effect */
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        recording.state->forced_no_new_privs = 1;
        listener = install_listener();
    }
    if (listener < 0 && notify)
        recording.state->mechanism_error = (u32)-listener;
    if (listener < 0 && !ptrace)
        die("cannot have a seccomp listener: ", error_name(listener));
    int reply = -EPIPE;
    r = send_listener(near, listener);
    if (r >= 0 && sys3(SYS_read, near, &reply, sizeof reply) != sizeof reply)
        reply = -EPIPE;
    if (reply < 0 && listener >= 0)
        die("the supervisor does not answer");
    if (reply < 0)
        die("cannot trace with ptrace: ", error_name(reply));
    close_fd(near);
    if (listener >= 0) {
        close_fd(listener);
        return;
    }
    make_filter(RET_TRACE);
    r = install_filter(FILTER_SPEC_ALLOW);
    if (r == -EINVAL)
        r = install_filter(0);
    if (r == -EACCES) {
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        recording.state->forced_no_new_privs = 1;
        r = install_filter(0);
    }
    if (r < 0)
        die("cannot install a seccomp filter: ", error_name(r));
}

__attribute__((noreturn)) static void cannot_start(const char *name, const char *why, int code)
{
    say(2, "sensor: cannot start ", name, ": ", why, NULL);
    recording.state->phase = ENDED;
    recording.state->status = (u32)code << 8;
    exit_process(code);
}

static int record(int argc, char **argv, char **env)
{
    const char *user = "", *mechanism = "auto";
    char *group_add = NULL, *drop_caps = NULL;
    bool no_new_privs = false, keep_home = false;
    recording.dir = "/.debloat/trace";
    recording.scope = "main";
    int at = 0;
    for (; at < argc && !equal(argv[at], "--"); at++) {
        if (equal(argv[at], "--no-new-privs")) {
            no_new_privs = true;
            continue;
        }
        if (equal(argv[at], "--keep-home")) {
            keep_home = true;
            continue;
        }
        if (at + 1 >= argc) {
            say(2, "sensor: option without a value: ", argv[at], NULL);
            return EXIT_USAGE;
        }
        char *value = argv[at + 1];
        if (equal(argv[at], "--dir"))
            recording.dir = value;
        else if (equal(argv[at], "--scope"))
            recording.scope = value;
        else if (equal(argv[at], "--mechanism"))
            mechanism = value;
        else if (equal(argv[at], "--user"))
            user = value;
        else if (equal(argv[at], "--group-add"))
            group_add = value;
        else if (equal(argv[at], "--drop-caps"))
            drop_caps = value;
        else {
            say(2, "sensor: unknown option ", argv[at], NULL);
            return EXIT_USAGE;
        }
        at++;
    }
    if (at + 1 >= argc) {
        say(2, "sensor: nothing to run: record [OPTIONS] -- ARGV...", NULL);
        return EXIT_USAGE;
    }
    bool notify = !equal(mechanism, "ptrace"), ptrace = !equal(mechanism, "notify");
    if (find_char(recording.scope, '/') || !*recording.scope || (notify && ptrace && !equal(mechanism, "auto"))) {
        say(2, "sensor: bad --scope or --mechanism", NULL);
        return EXIT_USAGE;
    }
    argv += at + 1;

    u64 caps = 0;
    for (char *one = drop_caps, *rest; one && *one; one = rest) {
        rest = split_at(one, ',');
        int c = find_capability(one);
        if (c < 0)
            die("unknown capability ", one);
        caps |= (u64)1 << c;
    }
    static struct identity id;
    find_user(user, &id);
    if (group_add)
        add_groups(&id, group_add);
    if (engine_lists_primary_group())
        add_group(&id, id.gid);
    struct buffer home = {0}; /* a copy: looking up root's home reads the file again */
    put_text(&home, id.home);
    env = with_home(env, as_string(&home), keep_home);
    open_recording();
    forbid_namespaces = caps >> CAP_SYS_ADMIN & 1 && has_seccomp_profile();
    start_supervisor(notify, ptrace);
    become_user(&id, caps);
    if (no_new_privs)
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    const char *program = find_program(argv[0], env);
    if (!program)
        cannot_start(argv[0], "executable file not found in PATH", EXIT_NOT_FOUND);
    recording.state->phase = STARTED;
    *recording.live = 1;
    long r = sys3(SYS_execve, program, argv, env);
    cannot_start(argv[0], error_name(r), r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}
