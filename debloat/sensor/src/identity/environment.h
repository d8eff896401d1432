/* Environment variables of the program. */
#pragma once

#include "users.h"

static const char *environment_variable(char **env, const char *name)
{
    size_t n = length(name);
    for (; *env; env++)
        if (starts_with(*env, name) && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

/* Of a user whom /etc/passwd does not have. Podman, which marks its containers, adds a line for a number, with the
 * working directory as its home. */
static const char *default_home(char **env)
{
    static char directory[PATH_MAX];
    const char *container = environment_variable(env, "container");
    if (container && equal(container, "podman") &&
        sys4(SYS_readlinkat, AT_FDCWD, "/proc/self/cwd", directory, sizeof directory - 1) > 0)
        return directory;
    return "/";
}

/* HOME as the runtime would have set it for the image's USER. Where the environment of a container has none, or an
 * empty one, a runtime adds that of the user whom it starts, here root: runc and crun behind all others, Podman before
 * some of its own, so the place says nothing. `keep`: it is the container's own. */
static char **with_home(char **env, const char *home, bool keep)
{
    size_t count = 0, at = SIZE_MAX;
    for (; env[count]; count++)
        if (starts_with(env[count], "HOME="))
            at = count;
    const char *found = at == SIZE_MAX ? "" : env[at] + length("HOME=");
    struct identity root;
    find_user("0", &root);
    if (*found && (keep || !equal(found, root.home ? root.home : default_home(env))))
        return env;
    static struct buffer text, list;
    put_text(&text, "HOME=");
    put_text(&text, home ? home : default_home(env));
    as_string(&text);
    put(&list, env, count * sizeof *env);
    put(&list, (char *[2]){NULL}, 2 * sizeof *env); /* room for one more, and the end */
    if (text.failed || list.failed)
        die("cannot make the environment: ENOMEM");
    char **changed = (char **)(void *)list.data;
    changed[at == SIZE_MAX ? count : at] = text.data;
    return changed;
}
