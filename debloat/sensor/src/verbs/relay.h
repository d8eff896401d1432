/* relay: one TCP connection, or datagrams, joined to standard input and output. */
#pragma once

#include "../library/errors.h"
#include "../library/files.h"

struct internet_address {
    u16 family;
    u8 port[2], address[4], zero[8];
};

/* "10.0.0.2" as four bytes. */
static bool parse_address(char *text, u8 *to)
{
    for (int i = 0; i < 4; i++) {
        char *next = split_at(text, '.');
        i64 n = parse_number(text);
        if (n < 0 || n > 255 || !next != (i == 3))
            return false;
        to[i] = (u8)n;
        text = next;
    }
    return true;
}

/* Copies until the end of `from`. */
static void copy_all(int from, int to)
{
    static char block[16 * PAGE];
    for (;;) {
        long n = sys3(SYS_read, from, block, sizeof block);
        if (n == -EINTR)
            continue;
        if (n <= 0 || write_all(to, block, (size_t)n) < 0)
            return;
    }
}

/* Reads `n` bytes to the end, or false. */
static bool read_all(int from, u8 *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        long got = sys3(SYS_read, from, to + done, n - done);
        if (got == -EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Datagrams, each with its length before it in two bytes, the higher first: from standard input to a socket if
   `outward`, else back. One that the other side does not want, or a port that nobody has bound, ends nothing. */
static void copy_datagrams(int socket, bool outward)
{
    static u8 block[2 + 65536];
    for (;;) {
        if (outward) {
            if (!read_all(0, block, 2))
                return;
            size_t size = (size_t)block[0] << 8 | block[1];
            if (!read_all(0, block + 2, size))
                return;
            sys3(SYS_write, socket, block + 2, size);
            continue;
        }
        long n = sys3(SYS_read, socket, block + 2, 65535);
        if (n == -EINTR || n == -ECONNREFUSED)
            continue;
        block[0] = (u8)(n >> 8), block[1] = (u8)n;
        if (n < 0 || write_all(1, block, (size_t)n + 2) < 0)
            return;
    }
}

/* One connection to a TCP port, joined to standard input and output, until the other side ends it. The first address
   that answers is taken: a service may listen on the container's own, on the loopback device, or on all. PORT may end
   in /udp: then it is datagrams, until standard input ends. */
static int relay(char *addresses, char *port)
{
    char *protocol = split_at(port, '/');
    bool datagrams = protocol && equal(protocol, "udp");
    i64 n = protocol && !datagrams ? -1 : parse_number(port);
    long connected = -EINVAL;
    long to = -1;
    for (char *next; addresses && connected < 0; addresses = next) {
        next = split_at(addresses, ',');
        struct internet_address address = {.family = AF_INET, .port = {(u8)(n >> 8), (u8)n}};
        if (n < 1 || n > 65535 || !parse_address(addresses, address.address)) {
            say(2, "sensor: relay takes ADDRESS[,ADDRESS...] and PORT[/udp]", NULL);
            return EXIT_USAGE;
        }
        to = sys3(SYS_socket, AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        connected = to < 0 ? to : sys3(SYS_connect, to, &address, sizeof address);
        if (connected < 0 && to >= 0)
            close_fd(to);
    }
    if (connected < 0)
        die("cannot connect to port ", port, ": ", error_name(connected));
    long sender = sys5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (sender < 0)
        die("cannot start a process: ", error_name(sender));
    if (datagrams) {
        /* The one that started is that which hears of the end of standard input. */
        if (sender == 0) {
            copy_datagrams((int)to, false);
            exit_process(0);
        }
        copy_datagrams((int)to, true);
    } else if (sender == 0) {
        copy_all(0, (int)to);
        sys2(SYS_shutdown, to, SHUT_WR);
        exit_process(0);
    } else {
        copy_all((int)to, 1);
    }
    sys2(SYS_kill, sender, SIGKILL);
    int status;
    while (sys4(SYS_wait4, sender, &status, WALL, 0) == -EINTR)
        ;
    return 0;
}
