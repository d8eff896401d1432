/* Users and groups, out of the image's own files. */
#pragma once

#include "../library/errors.h"
#include "../library/files.h"

struct identity {
    u32 uid, gid;
    u32 groups[256];
    int count;
    const char *home; /* NULL: /etc/passwd has no such user */
};

static void add_group(struct identity *id, u32 gid)
{
    if (id->count < (int)(sizeof id->groups / sizeof *id->groups))
        id->groups[id->count++] = gid;
}

/* Fields of one line of passwd or group; the line is cut in place. */
static int split_fields(char *text, char **to, int most)
{
    int n = 0;
    while (text && n < most) {
        to[n++] = text;
        text = split_at(text, ':');
    }
    for (int i = n; i < most; i++)
        to[i] = (char *)"";
    return n;
}

static u32 parse_id(const char *s)
{
    i64 n = parse_number(s);
    return n < 0 ? 0 : (u32)n;
}

/* The gid of a group given by name or number: a number that is in no file stands for itself. -1: there is none. */
static i64 find_group(const char *spec)
{
    struct buffer file = {0};
    char *f[4];
    i64 wanted = parse_number(spec), found = -1;
    read_file(AT_FDCWD, "/etc/group", &file);
    for (char *at = file.data, *next; at && found < 0; at = next) {
        next = split_at(at, '\n');
        if (split_fields(at, f, 4) >= 3 && (wanted >= 0 ? parse_number(f[2]) == wanted : equal(f[0], spec)))
            found = parse_id(f[2]);
    }
    release(&file);
    return found < 0 ? wanted : found;
}

static void add_member_groups(struct identity *id, const char *name)
{
    struct buffer file = {0};
    char *f[4];
    read_file(AT_FDCWD, "/etc/group", &file);
    for (char *at = file.data, *next; at; at = next) {
        next = split_at(at, '\n');
        if (split_fields(at, f, 4) < 4)
            continue;
        for (char *member = f[3], *rest; member; member = rest) {
            rest = split_at(member, ',');
            if (equal(member, name)) {
                add_group(id, parse_id(f[2]));
                break;
            }
        }
    }
    release(&file);
}

/* As runc and the engines do it: a number is a uid even if a user is named so; the first line that fits counts; a
 * number in no line is fine; an explicit group means no supplementary ones of /etc/group. */
static void find_user(const char *spec, struct identity *id)
{
    struct buffer passwd = {0}; /* kept: the home points into it */
    static char copy[512];
    if (length(spec) >= sizeof copy)
        die("cannot find user: the name is too long");
    memcpy(copy, spec, length(spec) + 1);
    char *group = split_at(copy, ':');
    i64 wanted = *copy ? parse_number(copy) : 0;
    const char *name = NULL;
    *id = (struct identity){0};
    read_file(AT_FDCWD, "/etc/passwd", &passwd);
    for (char *at = passwd.data, *next; at && !name; at = next) {
        char *f[7];
        next = split_at(at, '\n');
        if (split_fields(at, f, 7) < 4 || !*f[0] || !(wanted >= 0 ? parse_number(f[2]) == wanted : equal(f[0], copy)))
            continue;
        name = f[0];
        id->uid = parse_id(f[2]);
        id->gid = parse_id(f[3]);
        id->home = f[5]; /* an empty one stays empty */
    }
    if (!name) {
        if (wanted < 0)
            die("cannot find user ", copy, ": no matching entries in passwd file");
        if (wanted > 0x7fffffff)
            die("cannot find user ", copy, ": out of range");
        id->uid = (u32)wanted;
    }
    if (group && *group) {
        i64 gid = find_group(group);
        if (gid < 0 || gid > 0x7fffffff)
            die("cannot find group ", group, ": no matching entries in group file");
        id->gid = (u32)gid;
    } else if (name) {
        add_member_groups(id, name);
    }
}

static void add_groups(struct identity *id, char *list)
{
    for (char *one = list, *rest; one && *one; one = rest) {
        rest = split_at(one, ',');
        i64 gid = find_group(one);
        if (gid < 0)
            die("cannot find group ", one, ": no matching entries in group file");
        add_group(id, (u32)gid);
    }
}
