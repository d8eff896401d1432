/* Becoming the image's USER, as the runtime would have set it up. */
#pragma once

#include "capabilities.h"
#include "users.h"

/* Newer engines (since CVE-2022-36109) list the primary group among the supplementary ones. The sensor's own list, made
 * by the engine for 0:0, tells which kind this one is. */
static bool engine_lists_primary_group(void)
{
    u32 own[256];
    long n = sys2(SYS_getgroups, sizeof own / sizeof *own, own);
    for (long i = 0; i < n; i++)
        if (own[i] == 0)
            return true;
    return false;
}

/* runc gives the standard streams to the user, so that /dev/stdout can be opened again. */
static void give_streams(u32 uid)
{
    enum { NULL_MAJOR = 1, NULL_MINOR = 3 };
    for (int fd = 0; fd < 3; fd++) {
        struct statx st;
        if (stat_at(fd, "", AT_EMPTY_PATH, &st) || st.uid == uid)
            continue;
        if ((st.mode & S_IFMT) == S_IFCHR && st.rdev_major == NULL_MAJOR && st.rdev_minor == NULL_MINOR)
            continue;
        sys3(SYS_fchown, fd, uid, -1);
    }
}

static void drop_from_bounds(u64 caps)
{
    for (int i = 0; i < CAPABILITIES; i++) {
        if (!(caps >> i & 1))
            continue;
        long r = sys2(SYS_prctl, PR_CAPBSET_READ, i) == 1 ? sys2(SYS_prctl, PR_CAPBSET_DROP, i) : 0;
        if (r < 0)
            die("cannot drop capability ", capability_names[i], " from the bounding set: ", error_name(r));
        sys5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, i, 0, 0);
    }
}

static void drop_from_sets(u64 caps)
{
    struct capability_header h = {CAPABILITY_VERSION_3, 0};
    struct capability_data d[2];
    long r = sys2(SYS_capget, &h, d);
    for (int i = 0; i < 2; i++) {
        u32 keep = ~(u32)(caps >> 32 * i);
        d[i].effective &= keep;
        d[i].permitted &= keep;
        d[i].inheritable &= keep;
    }
    if (r >= 0)
        r = sys2(SYS_capset, &h, d);
    if (r < 0)
        die("cannot drop capabilities: ", error_name(r));
}

static void become_user(const struct identity *id, u64 caps)
{
    long r;
    give_streams(id->uid);
    drop_from_bounds(caps);
    if ((r = sys2(SYS_setgroups, id->count, id->groups)) < 0)
        die("cannot set the supplementary groups: ", error_name(r));
    if ((r = sys1(SYS_setgid, id->gid)) < 0)
        die("cannot set the group: ", error_name(r));
    if ((r = sys1(SYS_setuid, id->uid)) < 0)
        die("cannot set the user: ", error_name(r));
    drop_from_sets(caps);
}

static const char *environment_variable(char **env, const char *name)
{
    size_t n = length(name);
    for (; *env; env++)
        if (starts_with(*env, name) && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

/* HOME as the runtime would have set it for the image's user. Started as uid 0 the sensor finds root's there unless the
 * container's environment has one: the runtime appends its own at the end. */
static char **with_home(char **env, const char *home, bool keep)
{
    int count = 0, at = -1;
    for (; env[count]; count++)
        if (starts_with(env[count], "HOME="))
            at = count;
    if (at >= 0 && env[at][5] && (keep || at != count - 1))
        return env;
    if (at >= 0 && env[at][5]) {
        struct identity root;
        struct buffer roots = {0};
        find_user("0", &root);
        put_text(&roots, "HOME=");
        put_text(&roots, root.home);
        bool by_runtime = equal(env[at], as_string(&roots));
        release(&roots);
        if (!by_runtime)
            return env;
    }
    static struct buffer text, list;
    put_text(&text, "HOME=");
    put_text(&text, home);
    char *entry = (char *)as_string(&text);
    put(&list, env, (size_t)count * sizeof *env);
    if (at < 0)
        put(&list, &entry, sizeof entry);
    else
        memcpy(list.data + (size_t)at * sizeof entry, &entry, sizeof entry);
    entry = NULL;
    put(&list, &entry, sizeof entry);
    if (text.failed || list.failed)
        die("cannot make the environment: ENOMEM");
    return (char **)(void *)list.data;
}
