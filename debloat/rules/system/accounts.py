"""Login services: whoever lets people in starts their shells, and people run what the image has for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.accounts import Account, accounts
from debloat.core.model import Entry, Level, Want
from debloat.rules.application.build import asked_packages
from debloat.rules.commands import on_path
from debloat.rules.knowledge.families import literal
from debloat.rules.programs import BUILD_TIME, DIRECTORIES
from debloat.selector import FILES, Selector

LOGIN_SERVICES = frozenset({"sshd", "dropbear", "in.telnetd", "in.rlogind", "in.rshd", "shellinaboxd", "ttyd", "xrdp"})
"""Programs that start the login shell of an account for somebody who came from outside."""

SHELL_STARTERS = LOGIN_SERVICES | {"login", "su", "runuser", "cron", "crond", "atd", "sudo", "doas"}
"""Programs that start the shell that passwd(5) names for an account, or refuse an account without one."""

LOGINS = LOGIN_SERVICES | {"login", "su"}
"""Programs that start a login shell, which reads its start-up files first (bash(1), INVOCATION; su(1), --login)."""

NO_SHELLS = frozenset({"nologin", "false", "sync", ""})
FIRST_USER = 1000
"""The first uid of people (Debian policy 9.2.2)."""

TOOLS = ("coreutils", "findutils", "grep", "sed", "gzip", "tar", "hostname", "diffutils", "ncurses-bin")
"""Essential packages whose programs somebody at a shell takes for granted (Debian policy 3.8)."""

PROGRAMS = (
    # Of the other Essential packages; glibc's iconv would bring every encoding.
    *("getent", "locale", "su", "mesg", "logger", "script"),
    # sshd(8) runs passwd(1) for an expired password; the accounts are the service's data, and these keep them.
    *("passwd", "chage", "chpasswd", "useradd", "usermod", "userdel", "groupadd", "groupdel"),
)
"""Single programs that a login service's people and administrators take for granted."""

START_UP = ("/etc/profile", "/etc/profile.d/*", "/etc/bash.bashrc", "/etc/zsh/*", "/etc/skel/*", "/etc/skel/.*")
"""What login shells read for everybody, and what a new account gets (bash(1), zsh(1), useradd(8))."""

OWN_START_UP = (
    *(".profile", ".bash_profile", ".bash_login", ".bashrc", ".bash_logout", ".bash_aliases", ".inputrc"),
    *(".zshenv", ".zprofile", ".zshrc", ".zlogin", ".kshrc", ".hushlogin"),
    *(".ssh/authorized_keys*", ".ssh/rc", ".ssh/environment"),
)
"""What they read in the home of an account, and what sshd(8) does."""


def login_shells(passwd: str) -> Iterator[tuple[str, str]]:
    """Pairs of an account and its shell, of root and of people, from the text of a passwd(5) file."""
    return ((account.name, account.shell) for account in _people(passwd))


def _people(passwd: str) -> Iterator[Account]:
    """The accounts of root and of people who can log in."""
    for account in accounts(passwd):
        person = account.uid.isdecimal() and (int(account.uid) == 0 or int(account.uid) >= FIRST_USER)
        if person and account.shell.startswith("/") and account.shell.rpartition("/")[2] not in NO_SHELLS:
            yield account


class LoginShells(Rule):
    """The shells of the accounts that a kept program may start a shell for."""

    name = "accounts.shell"
    level = Level.SAFE
    selector = Selector(FILES, names=SHELL_STARTERS)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.executable:
            for account, shell in login_shells(world.rootfs.text("/etc/passwd")):
                yield self.want(shell, entry.path, f"shell of {account}")
            yield self.want("/etc/shells", entry.path, "valid login shells, shells(5)")


class LoginTools(Rule):
    """What somebody who logs in finds: the basic tools, and the programs of the packages the Dockerfile asked for."""

    name = "accounts.tools"
    level = Level.SAFE
    selector = Selector(FILES, names=LOGIN_SERVICES)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.executable or not self._for_people(world):
            return
        for word in PROGRAMS:
            if (program := on_path(world, word)) is not None:
                yield self.want(program, entry.path, "a program for those who log in")
        tools = {name for bare in TOOLS for name in world.packages.providers(bare)}
        for package in sorted({*tools, *asked_packages(world)}):
            for path in world.packages.files(package):
                if path.startswith(DIRECTORIES) and path.rpartition("/")[2] not in BUILD_TIME:
                    yield self.want(path, entry.path, f"a program of {package} for those who log in")

    @staticmethod
    def _for_people(world: World) -> bool:
        return any(True for _ in login_shells(world.rootfs.text("/etc/passwd")))


class LoginFiles(Rule):
    """The start-up files of login shells: they set the search path, the mask, the locale."""

    name = "accounts.profile"
    level = Level.SAFE
    selector = Selector(FILES, names=LOGINS)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.executable:
            return
        people = tuple(_people(world.rootfs.text("/etc/passwd")))
        for pattern in START_UP if people else ():
            for path in world.rootfs.glob(pattern):
                yield self.want(path, entry.path, "read by a login shell")
        for account in people:
            if account.home.startswith("/") and (real := world.rootfs.resolve(account.home).path) is not None:
                for name in OWN_START_UP:
                    for path in world.rootfs.glob(f"{literal(real)}/{name}"):
                        yield self.want(path, entry.path, f"read when {account.name} logs in")


RULES: tuple[Rule, ...] = (LoginShells(), LoginTools(), LoginFiles())
