"""Programs that run the command in their arguments: `env`, `nice`, `xargs`, `sudo`, `setpriv` and their kind."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")


def names(*lines: str) -> frozenset[str]:
    """The words of some lines, as a set: for tables."""
    return frozenset(word for line in lines for word in line.split())


class Wrapper(Struct, frozen=True):
    """A program that runs the command in its arguments: options that take a value, operands before the command."""

    valued: frozenset[str] = frozenset()
    operands: int = 0


def _wrapper(valued: str = "", operands: int = 0) -> Wrapper:
    return Wrapper(names(valued), operands)


WRAPPERS = {
    # Each from its own manual page.
    "builtin": _wrapper(),
    # A subcommand stands before the command: `bundle exec`, `poetry run`.
    "bundle": _wrapper("", 1),
    "busybox": _wrapper(),
    "catatonit": _wrapper(),
    "catchsegv": _wrapper(),
    "chpst": _wrapper("-u -U -e -/ -n -l -L -m -d -o -p -f -c -r -t -b -C"),
    "chroot": _wrapper("", 1),
    "chrt": _wrapper("-T -P -D", 1),
    "command": _wrapper(),
    "dbus-run-session": _wrapper("--config-file"),
    "ddtrace-run": _wrapper(),
    "doas": _wrapper("-u -C -a"),
    "dockerize": _wrapper("-wait -timeout -wait-retry-interval -template -stdout -stderr -wait-http-header -delims"),
    "dumb-init": _wrapper("-r --rewrite"),
    "env": _wrapper("-u -C --unset --chdir"),
    "envdir": _wrapper("", 1),
    "exec": _wrapper("-a"),
    "fakeroot": _wrapper("-l -s -i -b"),
    "flock": _wrapper("-w -E --timeout --wait --conflict-exit-code", 1),
    "gosu": _wrapper("", 1),
    "hash": _wrapper(),
    "ionice": _wrapper("-c -n -p --class --classdata"),
    "linux32": _wrapper(),
    "linux64": _wrapper(),
    "nice": _wrapper("-n --adjustment"),
    "nocache": _wrapper("-n"),
    "nohup": _wrapper(),
    "npx": _wrapper("-p --package"),
    "nsenter": _wrapper("-t -S -G --target --setuid --setgid"),
    "opentelemetry-instrument": _wrapper(),
    "pipenv": _wrapper("", 1),
    "poetry": _wrapper("", 1),
    "numactl": _wrapper("-i -N -m -C -p -P"),
    "runuser": _wrapper("-u -g -G -s -c --user --group --supp-group --shell --command"),
    "s6-setuidgid": _wrapper("", 1),
    "setarch": _wrapper("", 1),
    "setpriv": _wrapper(
        "--reuid --regid --ruid --euid --rgid --egid --groups --inh-caps --ambient-caps --bounding-set --securebits "
        "--pdeathsig --selinux-label --apparmor-profile"
    ),
    "setsid": _wrapper(),
    "setuidgid": _wrapper("", 1),
    "stdbuf": _wrapper("-i -o -e"),
    "strace": _wrapper("-o -e -p -s -u -E -I -O -P -S -X -a -b"),
    "su-exec": _wrapper("", 1),
    "sudo": _wrapper("-u -g -C -D -h -p -R -r -t -T -U --user --group --chdir --prompt --host"),
    "systemd-run": _wrapper("-p -u -E --unit --property --setenv"),
    "taskset": _wrapper("", 1),
    "time": _wrapper("-f -o --format --output"),
    "timeout": _wrapper("-k -s --kill-after --signal", 1),
    "tini": _wrapper("-p -e"),
    "docker-init": _wrapper("-p -e"),
    "type": _wrapper(),
    "unbuffer": _wrapper(),
    "unshare": _wrapper("-S -G -R -w --setuid --setgid --root --wd --map-user --map-group"),
    "watch": _wrapper("-n --interval"),
    "which": _wrapper(),
    "xargs": _wrapper("-a -d -E -I -L -n -P -s --arg-file --delimiter --max-lines --max-args --max-procs --max-chars"),
    "xvfb-run": _wrapper("-e -f -n -p -s -w --auth-file --error-file --server-num --server-args"),
}


def unwrap(wrapper: Wrapper, args: Iterable[str]) -> list[str]:
    """The command within a wrapper's arguments, with its own arguments."""
    rest = list(args)
    operands = wrapper.operands
    while rest:
        arg = rest[0]
        if arg == "--":
            rest.pop(0)
            if operands == 0:
                break
        elif arg.startswith("-") and len(arg) > 1:
            rest = rest[2:] if arg in wrapper.valued else rest[1:]
        elif ASSIGNMENT.match(arg):
            rest.pop(0)
        elif operands:
            operands -= 1
            rest.pop(0)
        else:
            break
    return rest
