/* serve: the index of the root file system, and contents of its files. */
#pragma once

#include "../library/errors.h"
#include "../library/files.h"
#include "../library/input.h"

static struct buffer out;

static void flush(size_t when)
{
    if (out.failed)
        die("cannot keep the answer: ENOMEM");
    if (out.len < when)
        return;
    long r = write_all(1, out.data, out.len);
    if (r < 0)
        die("cannot write the answer: ", error_name(r));
    out.len = 0;
}

/* The root without its sub-mounts, and this process inside it. False: seen as it is, mount points and all. */
static bool enter_pristine_root(void)
{
    const char *view = "/.debloat/root";
    sys3(SYS_mkdirat, AT_FDCWD, view, 0755); /* there already, as a rule; else the mount says what is wrong */
    if (sys5(SYS_mount, "/", view, 0, MS_BIND, 0) < 0)
        return false;
    return sys1(SYS_chroot, view) >= 0 && sys1(SYS_chdir, "/") >= 0;
}

/* Layers of an image over each other at `view`, an empty directory, in mounts that are this process's alone. The layers
 * are named by descriptors: all names have to go into one page (mount(2)). The lowest is `view` itself, as overlayfs
 * takes no single one. */
static void lay_over(const char *view, char **layers)
{
    const char *refused = "cannot lay the image's layers over each other: ";
    struct buffer data = {0};
    long r = sys1(SYS_unshare, CLONE_NEWNS);
    if (r >= 0)
        r = sys5(SYS_mount, "", "/", 0, MS_REC | MS_PRIVATE, 0);
    if (r < 0)
        die(refused, error_name(r));
    /* Opened only now: overlayfs takes directories of its own namespace's mounts alone. */
    put_text(&data, "lowerdir=");
    for (char **layer = layers;; layer++) {
        const char *name = *layer ? *layer : view;
        long fd = open_at(AT_FDCWD, name, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
            die("cannot open the layer ", name, ": ", error_name(fd));
        put_text(&data, "/proc/self/fd/");
        put_number(&data, (u64)fd, 10);
        if (!*layer)
            break;
        put_byte(&data, ':');
    }
    as_string(&data);
    r = data.failed        ? -ENOMEM
        : data.len >= PAGE ? -E2BIG
                           : sys5(SYS_mount, "overlay", view, "overlay", MS_RDONLY, data.data);
    if (r < 0)
        die(refused, error_name(r));
    release(&data);
}

struct walk {
    struct buffer path;  /* of the entry at hand, from the root */
    struct buffer names; /* names of the directories being walked, one behind the other */
    u64 mount;           /* of the root */
    u32 major, minor;
    bool has_mounts; /* the kernel tells mounts */
};

static char kind_of(u16 mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFCHR: return 'c';
    case S_IFBLK: return 'b';
    default: return 's';
    }
}

/* Extended attributes of `name` in the working directory, as NAME NUL HEX NUL. Their number. */
static u64 put_xattrs(const char *name, struct buffer *to)
{
    static char list[65536], value[65536];
    u64 count = 0;
    long n = sys3(SYS_llistxattr, name, list, sizeof list);
    if (n < 0 && n != -EOPNOTSUPP && n != -ENODATA && n != -ENOSYS && n != -EPERM)
        die("cannot list the extended attributes of ", name, ": ", error_name(n));
    for (long at = 0; at < n; at += (long)length(list + at) + 1) {
        long size = sys4(SYS_lgetxattr, name, list + at, value, sizeof value);
        if (size < 0)
            continue; /* listed, and not for us to read: trusted ones without the privilege */
        put(to, list + at, length(list + at) + 1);
        for (long i = 0; i < size; i++) {
            put_byte(to, "0123456789abcdef"[(u8)value[i] >> 4]);
            put_byte(to, "0123456789abcdef"[value[i] & 15]);
        }
        put_byte(to, 0);
        count++;
    }
    return count;
}

/* One record of the index. True when it is a directory that is to be walked. */
static bool put_entry(struct walk *w, const char *name)
{
    static char target[PATH_MAX + 1];
    static struct buffer xattrs;
    struct statx st;
    long r = stat_at(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, &st);
    if (r < 0)
        die("cannot stat ", as_string(&w->path), ": ", error_name(r));
    bool covered = w->has_mounts && st.mask & STATX_MNT_ID ? st.mnt_id != w->mount
                                                           : st.dev_major != w->major || st.dev_minor != w->minor;
    char kind = covered ? 'm' : kind_of(st.mode);
    long link = 0;
    if (kind == 'l' && ((link = sys4(SYS_readlinkat, AT_FDCWD, name, target, PATH_MAX)) < 0))
        die("cannot read the link ", as_string(&w->path), ": ", error_name(link));
    xattrs.len = 0;
    u64 xattr_count = covered ? 0 : put_xattrs(name, &xattrs);
    u64 device = (st.dev_minor & 0xff) | (u64)st.dev_major << 8 | (u64)(st.dev_minor & ~0xffu) << 12;
    i64 mtime = st.mtime.sec * 1000000000 + st.mtime.nsec;
    put_byte(&out, kind);
    put_byte(&out, ' ');
    put_number(&out, st.mode & 07777, 8);
    const u64 before[] = {st.uid, st.gid, st.size};
    const u64 after[] = {st.nlink, device, st.ino, st.rdev_major, st.rdev_minor, xattr_count};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        put_byte(&out, ' ');
        put_number(&out, before[i], 10);
    }
    put_byte(&out, ' ');
    put_signed(&out, mtime);
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        put_byte(&out, ' ');
        put_number(&out, after[i], 10);
    }
    put_byte(&out, 0);
    put(&out, w->path.len ? w->path.data : "/", w->path.len ? w->path.len : 1);
    put_byte(&out, 0);
    put(&out, target, (size_t)link);
    put_byte(&out, 0);
    put(&out, xattrs.data, xattrs.len);
    flush(64 * PAGE);
    return kind == 'd';
}

/* Walks the working directory. A whole directory is read before its first entry is taken, so that only one descriptor
 * for each level is open; `names` shrinks again when the level is done. */
static void walk_directory(struct walk *w)
{
    static _Alignas(8) char buffer[65536];
    size_t first = w->names.len, here = w->path.len;
    long n, fd = open_at(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
    while (fd >= 0 && (n = sys3(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < n;) {
            struct dirent64 *d = (struct dirent64 *)(void *)(buffer + at);
            at += d->reclen;
            if (!equal(d->name, ".") && !equal(d->name, "..") && (here || !equal(d->name, ".debloat")))
                put(&w->names, d->name, length(d->name) + 1);
        }
    if (fd < 0 || n < 0 || w->names.failed)
        die("cannot list ", as_string(&w->path), "/: ", error_name(fd < 0 ? fd : n));
    size_t last = w->names.len;
    for (size_t at = first; at < last; at += length(w->names.data + at) + 1) {
        const char *name = w->names.data + at;
        w->path.len = here;
        put_byte(&w->path, '/');
        put_text(&w->path, name);
        if (!put_entry(w, name))
            continue;
        long r = sys1(SYS_chdir, name);
        if (r < 0)
            die("cannot enter ", as_string(&w->path), ": ", error_name(r));
        walk_directory(w);
        sys1(SYS_fchdir, fd);
    }
    close_fd(fd);
    w->names.len = first;
    w->path.len = here;
}

static void serve_index(void)
{
    struct walk w = {0};
    struct statx st;
    const u64 most[2] = {1048576, 1048576};
    u64 limit[2] = {0, 0};
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, limit);
    limit[0] = limit[1]; /* deep trees need a descriptor for each level */
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, limit, 0);
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, most, 0);
    if (sys1(SYS_chdir, "/") < 0 || stat_at(AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, &st) < 0)
        die("cannot stat /");
    w.mount = st.mnt_id;
    w.has_mounts = st.mask & STATX_MNT_ID;
    w.major = st.dev_major;
    w.minor = st.dev_minor;
    as_string(&w.path);
    if (put_entry(&w, "/"))
        walk_directory(&w);
    put_byte(&out, 0);
    flush(0);
    release(&w.path);
    release(&w.names);
}

/* The first `most` bytes of a file. The root of this process is the root of the image, so no name leads out of it. */
static void serve_file(const char *path, u64 most)
{
    struct statx st;
    long r = stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st);
    if (r >= 0 && (st.mode & S_IFMT) != S_IFREG)
        r = (st.mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
    long fd = r < 0 ? r : open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0)
        r = stat_at((int)fd, "", AT_EMPTY_PATH, &st);
    u64 size = fd < 0 || r < 0 ? 0 : st.size < most ? st.size : most;
    put_byte(&out, (char)(fd < 0 ? -fd : -r));
    put(&out, &size, sizeof size); /* both machines are little-endian */
    for (u64 left = size; left;) {
        flush(64 * PAGE);
        size_t piece = left < 64 * PAGE ? left : 64 * PAGE;
        if (!reserve(&out, piece))
            die("cannot read ", path, ": ENOMEM");
        long n = sys3(SYS_read, fd, out.data + out.len, piece);
        if (n == -EINTR)
            continue;
        if (n <= 0) /* the size is out already: better no answer than one of the wrong length */
            die("cannot read ", path, ": ", error_name(n ? n : -EIO));
        out.len += (size_t)n;
        left -= (u64)n;
    }
    if (fd >= 0)
        close_fd(fd);
    flush(64 * PAGE);
}

/* `root`: where the image is mounted, or NULL for the root of this process. Where `layers` follow it (uppermost first,
 * ended by NULL) they are mounted there first. */
static int serve(const char *root, char **layers)
{
    struct input in = {0};
    struct buffer paths = {0};
    if (root && *layers)
        lay_over(root, layers);
    if (!root)
        enter_pristine_root();
    else if (sys1(SYS_chroot, root) < 0 || sys1(SYS_chdir, "/") < 0)
        die("cannot enter ", root);
    for (char *request; (request = next_text(&in, '\n'));) {
        char *argument = split_at(request, ' ');
        char *limit = argument ? split_at(argument, ' ') : 0;
        if (equal(request, "quit"))
            return 0;
        if (equal(request, "index") && !argument) {
            serve_index();
        } else if (equal(request, "read") && argument && parse_number(argument) >= 0 &&
                   (!limit || parse_number(limit) >= 0)) {
            /* All of the names first: the other side may write them all before it reads. */
            i64 count = parse_number(argument);
            u64 most = limit ? (u64)parse_number(limit) : ~(u64)0;
            paths.len = 0;
            for (i64 i = 0; i < count; i++) {
                const char *path = next_text(&in, 0);
                if (!path)
                    die("the request ends early");
                put(&paths, path, length(path) + 1);
            }
            if (paths.failed)
                die("cannot keep the request: ENOMEM");
            for (size_t at = 0; at < paths.len; at += length(paths.data + at) + 1)
                serve_file(paths.data + at, most);
            flush(0);
        } else {
            die("unknown request ", request);
        }
    }
    return 0;
}
