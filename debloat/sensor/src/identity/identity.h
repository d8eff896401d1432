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
