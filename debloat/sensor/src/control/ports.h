/* Which ports somebody listens on. */
#pragma once

#include "../library/files.h"

enum { PORTS = 65536, TCP_ANY = 1, TCP_LOOPBACK = 2, UDP_ANY = 4, UDP_LOOPBACK = 8 };

/* One table of /proc/net: "  sl: ADDRESS:PORT REMOTE:PORT STATE ..."; addresses are words in the byte order of the
 * machine. */
static void add_listening(const char *path, u64 state, u8 any, u8 loopback, u8 *ports)
{
    static struct buffer text;
    if (read_file(AT_FDCWD, path, &text) < 0)
        return;
    for (char *row = text.data, *next; row; row = next) {
        next = split_at(row, '\n');
        char *address = split_at(row, ':');
        if (!address || *address != ' ')
            continue;
        char *port = split_at(++address, ':');
        char *remote = port ? split_at(port, ' ') : NULL;
        char *st = remote ? split_at(remote, ' ') : NULL;
        if (!st || parse_hex(st, 2) != state)
            continue;
        size_t n = length(address);
        bool v4 = n == 8, mapped = n == 32 && starts_with(address, "0000000000000000FFFF0000");
        bool local = v4 || mapped ? (parse_hex(address + n - 8, 8) & 0xff) == 127
                                  : equal(address, "00000000000000000000000001000000");
        ports[parse_hex(port, 4)] |= local ? loopback : any;
    }
}

static void listening_ports(u8 *ports, bool udp)
{
    enum { LISTEN = 0x0A, UNCONNECTED = 0x07 };
    memset(ports, 0, PORTS);
    add_listening("/proc/net/tcp", LISTEN, TCP_ANY, TCP_LOOPBACK, ports);
    add_listening("/proc/net/tcp6", LISTEN, TCP_ANY, TCP_LOOPBACK, ports);
    if (udp) {
        add_listening("/proc/net/udp", UNCONNECTED, UDP_ANY, UDP_LOOPBACK, ports);
        add_listening("/proc/net/udp6", UNCONNECTED, UDP_ANY, UDP_LOOPBACK, ports);
    }
}
