/* record: runs a program, and records the paths that it uses. */
#pragma once

#include "../identity/environment.h"
#include "../identity/identity.h"
#include "../recording/files.h"
#include "../recording/supervisor.h"

/* Whether the container has a seccomp profile: unconfined, namespaces are allowed in production as well. */
static bool has_seccomp_profile(void)
{
    enum { PR_GET_SECCOMP = 21, FILTERED = 2 };
    return sys1(SYS_prctl, PR_GET_SECCOMP) == FILTERED;
}

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

__attribute__((noreturn)) static void cannot_start(const char *name, const char *why, int code)
{
    say(2, "sensor: cannot start ", name, ": ", why, NULL);
    recording.state->phase = ENDED;
    recording.state->status = (u32)code << 8;
    exit_process(code);
}

struct options {
    const char *user;
    char *group_add;
    u64 drop_caps;
    bool notify, ptrace; /* mechanisms that may be used */
    bool no_new_privs, keep_home;
    char **program;
};

static u64 parse_capabilities(char *list)
{
    u64 caps = 0;
    for (char *one = list, *rest; one && *one; one = rest) {
        rest = split_at(one, ',');
        int c = find_capability(one);
        if (c < 0)
            die("unknown capability ", one);
        caps |= (u64)1 << c;
    }
    return caps;
}

/* False: there is no such option. */
static bool set_option(struct options *o, const char *name, char *value)
{
    if (equal(name, "--dir"))
        recording.dir = value;
    else if (equal(name, "--scope"))
        recording.scope = value;
    else if (equal(name, "--mechanism")) {
        o->notify = equal(value, "auto") || equal(value, "notify");
        o->ptrace = equal(value, "auto") || equal(value, "ptrace");
    } else if (equal(name, "--user"))
        o->user = value;
    else if (equal(name, "--group-add"))
        o->group_add = value;
    else if (equal(name, "--stop-signal"))
        recording.stop_signal = (u32)parse_number(value);
    else if (equal(name, "--drop-caps"))
        o->drop_caps = parse_capabilities(value);
    else if (equal(name, "--calls"))
        return parse_unseen(value);
    else
        return false;
    return true;
}

/* False: they make no sense, and why has been said. */
static bool parse_options(int argc, char **argv, struct options *o)
{
    int at = 0;
    recording.dir = "/.debloat/trace";
    recording.scope = "main";
    *o = (struct options){.user = "", .notify = true, .ptrace = true};
    for (; at < argc && !equal(argv[at], "--"); at++) {
        if (equal(argv[at], "--no-new-privs"))
            o->no_new_privs = true;
        else if (equal(argv[at], "--keep-home"))
            o->keep_home = true;
        else if (equal(argv[at], "--beside"))
            recording.beside = true;
        else if (at + 1 >= argc || !set_option(o, argv[at], argv[at + 1])) {
            say(2, "sensor: unknown option, or one without a value: ", argv[at], NULL);
            return false;
        } else
            at++;
    }
    o->program = argv + at + 1;
    if (at + 1 >= argc)
        say(2, "sensor: nothing to run: record [OPTIONS] -- ARGV...", NULL);
    else if (recording.stop_signal > LAST_SIGNAL)
        say(2, "sensor: bad --stop-signal", NULL);
    else if (find_char(recording.scope, '/') || !*recording.scope || !(o->notify || o->ptrace))
        say(2, "sensor: bad --scope or --mechanism", NULL);
    else
        return true;
    return false;
}

static void find_identity(const struct options *o, struct identity *id)
{
    find_user(o->user, id);
    if (o->group_add)
        add_groups(id, o->group_add);
    if (engine_lists_primary_group())
        add_group(id, id->gid);
}

static int record(int argc, char **argv, char **env)
{
    static struct options options;
    static struct identity id;
    if (!parse_options(argc, argv, &options))
        return EXIT_USAGE;
    find_identity(&options, &id);
    env = with_home(env, id.home, options.keep_home);
    open_recording();
    forbid_namespaces = options.drop_caps >> CAP_SYS_ADMIN & 1 && has_seccomp_profile();
    start_supervisor(options.notify, options.ptrace);
    become_user(&id, options.drop_caps);
    if (options.no_new_privs)
        sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    const char *name = options.program[0], *path = find_program(name, env);
    if (!path)
        cannot_start(name, "executable file not found in PATH", EXIT_NOT_FOUND);
    recording.state->phase = STARTED;
    *recording.live = 1;
    long r = sys3(SYS_execve, path, options.program, env);
    cannot_start(name, error_name(r), r == -ENOENT || r == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}
