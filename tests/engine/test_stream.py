"""Framed streams: any split of the bytes gives the same words, and an end is an end."""

from __future__ import annotations

import fcntl
import resource
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.engine.base import ChannelClosed
from debloat.engine.stream import SocketChannel


def frame(stream: int, body: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=6),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
)
def test_frames_come_apart_however_they_are_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    channel = SocketChannel(ours)
    data = b"".join(frame(stream, body) for stream, body in frames)
    at = 0
    for cut in cuts:
        theirs.sendall(data[at : at + cut])
        at += cut
    theirs.sendall(data[at:])
    theirs.close()
    out, err = channel.drain(5)
    assert out == b"".join(body for stream, body in frames if stream == 1)
    assert err == b"".join(body for stream, body in frames if stream == 2)
    channel.close()


def test_lines_and_exact_reads() -> None:
    ours, theirs = socket.socketpair()
    channel = SocketChannel(ours)
    theirs.sendall(frame(1, b"ready 8") + frame(2, b"noise") + frame(1, b"0\nabc"))
    assert channel.line(5) == "ready 80"
    assert channel.read(3, 5) == b"abc"
    assert channel.errors() == b"noise"
    with pytest.raises(TimeoutError):
        channel.some(0.01)
    theirs.close()
    with pytest.raises(ChannelClosed):
        channel.some(5)
    channel.close()


def test_what_is_sent_arrives_unframed() -> None:
    ours, theirs = socket.socketpair()
    channel = SocketChannel(ours)
    channel.send(b"index\n")
    assert theirs.recv(100) == b"index\n"
    theirs.close()
    channel.close()


def test_a_descriptor_beyond_those_that_select_takes() -> None:
    """A program that embeds the tool, or a long test run, may have more than 1,024 files open."""
    ours, theirs = socket.socketpair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        high = socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD, 2000))
        channel = SocketChannel(high)
        theirs.sendall(frame(1, b"ready\n"))
        assert channel.line(5) == "ready"
        with pytest.raises(TimeoutError):
            channel.some(0.01)
        channel.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
