/* Records: which program did what, each written once. */
#pragma once

#include "hash.h"
#include "tasks.h"

static void write_record(struct buffer *record)
{
    if (recording.torn)
        write_all(recording.events, "\n", 1);
    long r = record->failed ? -ENOMEM : sys3(SYS_write, recording.events, record->data, record->len);
    if (r > 0 && (size_t)r < record->len)
        r = write_all(recording.events, record->data + r, record->len - (size_t)r);
    recording.torn = r < 0;
    if (r >= 0) {
        recording.state->records++;
        return;
    }
    recording.state->unwritten++;
    if (!recording.state->write_error)
        recording.state->write_error = (u64)-r;
    complain_once("cannot write an event", r);
}

/* The record being made; kept so that its memory is. */
static struct buffer line;

static u32 new_program(const struct stop *s, const char *exe, size_t len)
{
    static u32 last;
    struct slot *slot = find_or_add(&known_programs, hash_of(0, 0, exe, len));
    if (slot && slot->value)
        return (u32)slot->value;
    if (!still_waiting(s))
        return 0;
    last++;
    if (slot)
        slot->value = last;
    line.len = 0;
    put_text(&line, "p\t");
    put_number(&line, last, 10);
    put_text(&line, "\t");
    put_escaped(&line, exe, len);
    put_text(&line, "\n");
    write_record(&line);
    return last;
}

/* The ID of the program that runs in the task; 0 when it could not be read. A task keeps its program until it makes an
 * exec call, and makes no other call before that one has ended. */
static bool programs_change_unseen;

static u32 current_program(struct stop *s)
{
    static struct place exe;
    struct task *t = find_task(s->tid);
    if (t && t->program_known && !programs_change_unseen && (s->task_is_current || is_alive(t)))
        return t->program;
    if (read_link(s, "exe", &exe) == UNREADABLE)
        return 0;
    u32 program = new_program(s, exe.text, exe.len);
    if ((t = find_task(s->tid)) && program) {
        t->program = program;
        t->program_known = true;
    }
    return program;
}

/* An exec by another thread than the first ends with that thread under the first one's number, at a time that is not
 * seen: from then on nothing is remembered. */
static void expect_exec(const struct stop *s)
{
    struct task *t = find_task(s->tid);
    if (t)
        t->program_known = false;
    long fd = WITHOUT_PIDFD ? -ENOSYS : sys2(SYS_pidfd_open, s->tid, 0);
    if (fd >= 0)
        close_fd(fd);
    else
        programs_change_unseen = true;
}

static const char flag_letters[] = "rwcxtdpl";
enum {
    F_READ = 1,
    F_WRITE = 2,
    F_CREATE = 4,
    F_EXCLUSIVE = 8,
    F_TRUNCATE = 16,
    F_DIRECTORY = 32,
    F_PATH = 64,
    F_NOFOLLOW = 128
};

/* kind: 'e' for a path from the root, 'u' for one whose base is unknown. */
static void record_event(struct stop *s, char kind, enum operation op, unsigned flags, const char *path, size_t len)
{
    u32 epoch = *recording.epoch, program = current_program(s);
    struct hash key = hash_of((u64)epoch << 32 | program, (u64)kind << 16 | (u64)op << 8 | flags, path, len);
    struct slot *slot = find_or_add(&known_events, key);
    if (slot && slot->value)
        return;
    if (!still_waiting(s))
        return; /* the slot stays without a value: the next one is written */
    if (slot)
        slot->value = 1;
    line.len = 0;
    put_byte(&line, kind);
    put_byte(&line, '\t');
    put_number(&line, epoch, 10);
    put_byte(&line, '\t');
    put_text(&line, operation_name[op]);
    put_byte(&line, '\t');
    for (unsigned i = 0; i < 8; i++)
        if (flags >> i & 1)
            put_byte(&line, flag_letters[i]);
    if (!flags)
        put_byte(&line, '-');
    put_byte(&line, '\t');
    put_number(&line, program, 10);
    put_byte(&line, '\t');
    put_escaped(&line, path, len);
    put_byte(&line, '\n');
    write_record(&line);
}

static void record_unresolved(struct stop *s, enum base why, enum operation op, unsigned flags, const char *raw,
                              size_t len)
{
    if (why == UNREADABLE) {
        if (!still_waiting(s))
            return;
        recording.state->unresolved++;
    }
    record_event(s, 'u', op, flags, raw, len);
}
