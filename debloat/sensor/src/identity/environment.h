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
    as_string(&text);
    char *entry = text.data;
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
