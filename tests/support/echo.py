"""A program for containers of the base that tells clients how it sees them, over TCP and in datagrams."""

from __future__ import annotations

import contextlib

from debloat.engine.base import Engine

ECHO = r"""
use IO::Socket::INET;
if (!fork) {
    my $socket = IO::Socket::INET->new(LocalPort => 53, Proto => 'udp') or die;
    open(my $ready, '>', '/ready-udp');
    while (1) { $socket->recv(my $data, 999); $socket->send(uc($data) . $socket->peerhost . "\n") }
}
my $listener = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die;
open(my $ready, '>', '/ready-tcp');
while (my $client = $listener->accept) { print $client uc(<$client>), $client->peerhost, "\n" }
"""
"""For `perl -e`: port 80, and port 53 of UDP."""

ECHO_READY = ("timeout", "30", "sh", "-c", "until [ -e /ready-tcp ] && [ -e /ready-udp ]; do sleep 0.05; done")


def echoed(engine: Engine, container: str, addresses: tuple[str, ...]) -> tuple[str, str]:
    """The addresses that this client has for the program, over TCP and in datagrams, by connections of the engine's."""
    stream, datagrams = (
        engine.dial(container, addresses, 80),
        engine.dial(container, addresses, 53, datagrams=True),
    )
    assert stream is not None
    assert datagrams is not None
    with contextlib.closing(stream), contextlib.closing(datagrams):
        stream.send(b"word\n")
        assert stream.line(20) == "WORD"
        datagrams.send(b"\0\5word\n")
        datagrams.read(2, 20)
        assert datagrams.line(20) == "WORD"
        return stream.line(20), datagrams.line(20)
