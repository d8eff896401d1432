"""Attack surface: what of an image is code, and which tools and rights it offers to whoever got in.

Beside the footprint, which is made of names and modes alone, for some of it takes a look into files. Gadgets are not
counted: the libraries that do (ROPgadget, ropper) disassemble all code, and their number follows the executable bytes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from debloat.core.capabilities import XATTR
from debloat.core.model import Entry
from debloat.core.shells import SHELLS
from debloat.core.surfaces import Surface
from debloat.elf.executable import HEAD, executable_bytes
from debloat.footprint import is_program
from debloat.image.rootfs import Rootfs
from debloat.rules import languages

NETWORK_TOOLS = frozenset(
    {
        *("aria2c", "axel", "curl", "ftp", "lftp", "sftp", "scp", "tftp", "wget", "wget2", "rsync"),
        *(
            "nc",
            "nc.openbsd",
            "nc.traditional",
            "ncat",
            "netcat",
            "socat",
            "ssh",
            "telnet",
            "telnet-ssl",
            "inetutils-telnet",
        ),
        *(
            "arp",
            "ifconfig",
            "ip",
            "netstat",
            "route",
            "ss",
            "ping",
            "tracepath",
            "traceroute",
            "nmap",
            "tcpdump",
            "tshark",
        ),
        *("dig", "host", "nslookup", "delv", "openssl", "gnutls-cli", "smbclient", "lynx", "w3m", "links", "elinks"),
    }
)
"""Programs that reach, scan or listen to a network, by the names that Debian gives them."""

_LIBRARY = re.compile(r"\.so(?:\.|$)")


@functools.cache
def _interpreter() -> re.Pattern[str]:
    """Names of interpreters, with a version or without; shells are counted by the footprint."""
    names = "|".join(language.interpreters for language in languages.known() if language.interpreters)
    return re.compile(rf"(?:{names}|busybox)[\d.]*" if names else r"busybox")


def surface(entries: Iterable[Entry], rootfs: Rootfs) -> Surface:
    """The attack surface of some entries of a root file system, in the order they come."""
    files, telling, capable = list[Entry](), list[Entry](), list[str]()
    for entry in entries:
        if entry.is_file and (entry.mode & 0o111 or (".so" in entry.path and _LIBRARY.search(entry.name))):
            files.append(entry)
        # Names are matched where programs lie alone: an application has tens of thousands elsewhere.
        if "bin/" in entry.path and _telling(entry.name):
            telling.append(entry)
        if entry.xattrs and any(name == XATTR for name, _ in entry.xattrs):
            capable.append(entry.path)
    rootfs.fetch((e.path for e in files), HEAD)
    elf = code = 0
    linked, executable = set[int](), set[str]()
    for entry in files:
        if entry.executable:
            executable.add(entry.path)
        if entry.hardlink and entry.hardlink in linked:
            continue
        linked.add(entry.hardlink)
        mapped = executable_bytes(rootfs.read(entry.path, HEAD))
        if mapped is not None:
            elf += 1
            code += mapped
    programs = [e for e in telling if is_program(e, rootfs, executable)]
    return Surface(
        elf=elf,
        executable_bytes=code,
        capabilities=tuple(capable),
        interpreters=tuple(e.path for e in programs if e.name not in SHELLS and _interpreter().fullmatch(e.name)),
        network_tools=tuple(e.path for e in programs if e.name in NETWORK_TOOLS),
    )


def _telling(name: str) -> bool:
    return name in NETWORK_TOOLS or _interpreter().fullmatch(name) is not None
