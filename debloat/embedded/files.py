"""The files of this machine that a container gets in /etc, as Docker writes them."""

from __future__ import annotations

from pathlib import Path

_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_NO_RESOLVER = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def write(directory: Path, name: str, addresses: tuple[str, ...], *, shared: bool) -> None:
    """Write hosts, hostname and resolv.conf; `shared` for a container in this machine's own network."""
    directory.mkdir(mode=0o755)
    hosts = _text("/etc/hosts") if shared else _HOSTS + "".join(f"{address}\t{name}\n" for address in addresses)
    resolvers = _text("/etc/resolv.conf")
    for file, text in (
        ("hosts", hosts),
        ("hostname", f"{name}\n"),
        ("resolv.conf", resolvers if shared else _beyond_loopback(resolvers)),
    ):
        path = directory / file
        path.write_text(text, "utf-8", "surrogateescape")
        path.chmod(0o644)


def _beyond_loopback(text: str) -> str:
    """Without resolvers of this machine's loopback, which is not the container's."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not _is_local(line.split())]
    if any(line.split()[:1] == ["nameserver"] for line in kept):
        return "".join(kept)
    return "".join(kept) + _NO_RESOLVER


def _is_local(words: list[str]) -> bool:
    return len(words) > 1 and words[0] == "nameserver" and (words[1].startswith("127.") or words[1] == "::1")


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
