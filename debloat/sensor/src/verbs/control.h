/* control: the line protocol of a container at work. */
#pragma once

#include "../control/ports.h"
#include "../control/programs.h"
#include "../library/input.h"
#include "../library/time.h"
#include "../recording/files.h"

static u8 ports[PORTS];

static void control_listen(struct buffer *answer)
{
    static const struct {
        u8 any, loopback;
        const char *name;
    } kinds[] = {{TCP_ANY, TCP_LOOPBACK, "/tcp"}, {UDP_ANY, UDP_LOOPBACK, "/udp"}};
    listening_ports(ports, true);
    put_text(answer, "listen");
    for (int kind = 0; kind < 2; kind++)
        for (int port = 0; port < PORTS; port++) {
            if (!(ports[port] & (kinds[kind].any | kinds[kind].loopback)))
                continue;
            put_byte(answer, ' ');
            put_number(answer, (u64)port, 10);
            put_text(answer, kinds[kind].name);
            if (!(ports[port] & kinds[kind].any))
                put_byte(answer, '!');
        }
}

static void control_counters(const char *dir, struct buffer *answer)
{
    static const char *const names[6] = {"handled", "records", "unread", "unresolved", "interrupted", "unwritten"};
    struct totals t = {.dir = dir};
    list_directory(dir, add_state, &t);
    put_text(answer, "counters");
    for (int i = 0; i < 6; i++) {
        put_byte(answer, ' ');
        put_text(answer, names[i]);
        put_byte(answer, '=');
        put_number(answer, t.sum[i], 10);
    }
}

static void control_await(const char *dir, const char *scope, char *arguments, struct buffer *answer)
{
    char *time = arguments ? split_at(arguments, ' ') : NULL;
    i64 ms = time ? parse_number(time) : -1;
    if (ms < 0) {
        put_text(answer, "error usage");
        return;
    }
    struct buffer list = {0};
    for (i64 end = now_ms() + ms, pause = 2;; pause = pause * 2 > 50 ? 50 : pause * 2) {
        listening_ports(ports, false);
        list.len = 0;
        put_text(&list, arguments);
        as_string(&list);
        for (char *one = list.data, *rest; one; one = rest) {
            rest = split_at(one, ',');
            size_t n = length(one);
            bool loopback = n && one[n - 1] == '!'; /* who asks from inside may be content with it */
            if (loopback)
                one[n - 1] = 0;
            i64 port = parse_number(one);
            if (port < 0 || port >= PORTS || !(ports[port] & (loopback ? TCP_ANY | TCP_LOOPBACK : TCP_ANY)))
                continue;
            put_text(answer, "ready ");
            put_text(answer, one);
            release(&list);
            return;
        }
        struct state program = main_program(dir, scope);
        i64 left = end - now_ms();
        if (has_ended(&program) || left <= 0) {
            put_text(answer, has_ended(&program) ? "gone" : "timeout");
            release(&list);
            return;
        }
        sleep_ms(pause < left ? pause : left);
    }
}

static void control_settle(const char *dir, char *arguments, struct buffer *answer)
{
    enum { QUIET = 50, STEP = 5 };
    i64 ms = arguments ? parse_number(arguments) : -1;
    if (ms < 0) {
        put_text(answer, "error usage");
        return;
    }
    i64 end = now_ms() + ms, quiet_since = now_ms();
    u64 handled = 0;
    for (;;) {
        struct activity a = {(int)sys0(SYS_getpid), false};
        struct totals t = {.dir = dir};
        list_directory("/proc", process_runs, &a);
        list_directory(dir, add_state, &t);
        i64 now = now_ms();
        if (a.busy || t.sum[0] != handled)
            quiet_since = now;
        handled = t.sum[0];
        if (now - quiet_since >= QUIET || now >= end) {
            put_text(answer, now - quiet_since >= QUIET ? "settled" : "timeout");
            return;
        }
        sleep_ms(STEP);
    }
}

/* The mark is in the list before it is in force: an event never has an epoch without a name. */
static void control_mark(const char *dir, const char *name, volatile u32 *epoch, struct buffer *answer)
{
    struct buffer mark = {0};
    u32 next = *epoch + 1;
    put_number(&mark, next, 10);
    put_byte(&mark, '\t');
    for (; *name; name++)
        if ((u8)*name < 0x20 || *name == 0x7f)
            put_escaped(&mark, name, 1);
        else
            put_byte(&mark, *name);
    put_byte(&mark, '\n');
    long fd = open_named(dir, "marks", 0, "", O_WRONLY | O_APPEND | O_CREAT);
    long r = fd < 0 ? fd : mark.failed ? -ENOMEM : write_all((int)fd, mark.data, mark.len);
    if (fd >= 0)
        close_fd(fd);
    release(&mark);
    if (r < 0) {
        put_text(answer, "error ");
        put_text(answer, error_name(r));
        return;
    }
    *epoch = next;
    put_text(answer, "ok ");
    put_number(answer, next, 10);
}

static int control(int argc, char **argv)
{
    const char *dir = "/.debloat/trace", *scope = "main";
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 < argc && equal(argv[i], "--dir"))
            dir = argv[i + 1];
        else if (i + 1 < argc && equal(argv[i], "--scope"))
            scope = argv[i + 1];
        else {
            say(2, "sensor: control takes --dir DIR and --scope NAME", NULL);
            return EXIT_USAGE;
        }
    }
    volatile u32 *epoch = map_epoch(dir);
    if (!epoch)
        die("cannot map ", dir, "/epoch");
    struct input in = {0};
    struct buffer answer = {0};
    for (char *command; (command = next_text(&in, '\n'));) {
        char *arguments = split_at(command, ' ');
        answer.len = 0;
        if (equal(command, "quit"))
            break;
        if (equal(command, "mark") && arguments)
            control_mark(dir, arguments, epoch, &answer);
        else if (equal(command, "listen"))
            control_listen(&answer);
        else if (equal(command, "await"))
            control_await(dir, scope, arguments, &answer);
        else if (equal(command, "settle"))
            control_settle(dir, arguments, &answer);
        else if (equal(command, "catches")) {
            i64 signal = arguments ? parse_number(arguments) : -1;
            struct state program = main_program(dir, scope);
            put_text(&answer, signal < 1 || signal > 64          ? "error usage"
                              : handles_signal(&program, signal) ? "yes"
                                                                 : "no");
        } else if (equal(command, "counters"))
            control_counters(dir, &answer);
        else
            put_text(&answer, "error unknown");
        put_byte(&answer, '\n');
        if (answer.failed || write_all(1, answer.data, answer.len) < 0)
            return 1;
    }
    return 0;
}
