"""Login services: whoever lets people in starts their shells, and people run what the image has for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.model import Entry, Level, Want
from debloat.rules.dockerfile import installed_packages

LOGIN_SERVICES = frozenset({"sshd", "dropbear", "in.telnetd", "in.rlogind", "in.rshd", "shellinaboxd", "ttyd", "xrdp"})
"""Programs that start the login shell of an account for somebody who came from outside."""

SHELL_STARTERS = LOGIN_SERVICES | {"login", "su", "runuser", "cron", "crond", "atd", "sudo", "doas"}
"""Programs that start the shell that passwd(5) names for an account, or refuse an account without one."""

NO_SHELLS = frozenset({"nologin", "false", "sync", ""})
FIRST_USER = 1000
"""The first uid of people (Debian policy 9.2.2)."""

TOOLS = ("coreutils", "findutils", "grep", "sed", "gzip", "tar", "hostname")
"""Essential packages whose programs somebody at a shell takes for granted (Debian policy 3.8)."""

PROGRAM_DIRECTORIES = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")


def login_shells(passwd: str) -> Iterator[tuple[str, str]]:
    """Pairs of an account and its shell, of root and of people, from the text of a passwd(5) file."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdecimal() and (int(fields[2]) == 0 or int(fields[2]) >= FIRST_USER):
            shell = fields[6]
            if shell.startswith("/") and shell.rpartition("/")[2] not in NO_SHELLS:
                yield fields[0], shell


class LoginShells(Rule):
    """The shells of the accounts that a kept program may start a shell for."""

    name = "accounts.shell"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.name in SHELL_STARTERS and entry.executable:
            for account, shell in login_shells(world.rootfs.text("/etc/passwd")):
                yield self.want(shell, entry.path, f"shell of {account}")
            yield self.want("/etc/shells", entry.path, "valid login shells, shells(5)")


class LoginTools(Rule):
    """What somebody who logs in finds: the basic tools, and the programs of the packages the Dockerfile asked for."""

    name = "accounts.tools"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.name not in LOGIN_SERVICES or not entry.executable or not self._for_people(world):
            return
        for bare in (*TOOLS, *sorted(installed_packages(world.history))):
            for package in world.packages.providers(bare):
                for path in world.packages.files(package):
                    if path.startswith(PROGRAM_DIRECTORIES):
                        yield self.want(path, entry.path, f"a program of {bare} for those who log in")

    @staticmethod
    def _for_people(world: World) -> bool:
        return any(True for _ in login_shells(world.rootfs.text("/etc/passwd")))


RULES: tuple[Rule, ...] = (LoginShells(), LoginTools())
