/* The files of a recording: events, state, epoch. */
#pragma once

#include "state.h"

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
