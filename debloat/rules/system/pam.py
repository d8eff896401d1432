"""PAM: the modules that a kept stack names, and the files that it hands to them.

A stack in /etc/pam.d names its modules, relative to one directory or by an absolute path (pam.d(5)). Modules that no
stack of the image names are loaded by nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.selector import FILES, Selector

MODULES = "/usr/lib/*/security", "/lib/*/security", "/usr/lib/security", "/lib/security"
"""Where libpam looks: Debian's directory and the classic ones."""

HELPERS = {
    # What modules run, by paths compiled into them: pam_unix(8), pam_mkhomedir(8), pam_pwhistory(8), ...
    "pam_unix": ("/usr/sbin/unix_chkpwd", "/usr/sbin/unix_update", "/sbin/unix_chkpwd", "/sbin/unix_update"),
    "pam_mkhomedir": ("/usr/sbin/mkhomedir_helper", "/sbin/mkhomedir_helper"),
    "pam_pwhistory": ("/usr/sbin/pwhistory_helper", "/sbin/pwhistory_helper"),
    "pam_namespace": ("/usr/sbin/pam_namespace_helper", "/etc/security/namespace.init"),
    "pam_timestamp": ("/usr/sbin/pam_timestamp_check", "/sbin/pam_timestamp_check"),
}

MAX_STACK = 1 << 16
_STACK = re.compile(r"/etc/pam\.(?:d/[^/]+|conf)|(?:/usr)?/lib/pam\.d/[^/]+")
"""pam.conf(5): the administrator's stacks, and those of packages that are not to be edited."""

_RULE = re.compile(r"(?:auth|account|password|session)\s+(?:\[[^\]]*\]|\S+)\s+(\S+)", re.IGNORECASE)
_PATH = re.compile(r"(?:(?<=[\s=\[])|^)(/[^\s\]\[]+)")


class PamStack(Rule):
    """The modules of a kept stack, the programs that these run, and the files that are handed to them."""

    name = "pam.stack"
    level = Level.SAFE
    selector = Selector(FILES, names=("pam.conf",), within=("/pam.d/",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.size > MAX_STACK or not _STACK.fullmatch(entry.path):
            return
        text = world.rootfs.text(entry.path)
        for module in modules(text):
            for path in self._paths(module, world):
                yield self.want(path, entry.path, module)
        for path in files(text):
            if world.rootfs.is_file(path):
                yield self.want(path, entry.path, "handed to a module")

    @staticmethod
    def _paths(module: str, world: World) -> Iterator[str]:
        if module.startswith("/"):
            yield module
        elif "/" not in module:
            for pattern in MODULES:
                for directory in world.rootfs.glob(pattern):
                    yield f"{directory}/{module}"
        yield from HELPERS.get(module.rpartition("/")[2].removesuffix(".so"), ())


def files(text: str) -> tuple[str, ...]:
    """The paths among the arguments of a stack's modules (`file=/etc/ftpusers`, the program of pam_exec), each once."""
    paths: dict[str, None] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if match := _RULE.search(line := line.partition("#")[0]):
            paths.update((path, None) for path in _PATH.findall(line[match.end() :]))
    return tuple(paths)


def modules(text: str) -> tuple[str, ...]:
    """The modules that a stack names, each once; lines of pam.conf begin with a service, some with a dash."""
    names: dict[str, None] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if match := _RULE.search(line.partition("#")[0]):
            names[match[1]] = None
    return tuple(names)


RULES: tuple[Rule, ...] = (PamStack(),)
