"""A program run by an ordinary user who has a range of ids, on a machine that has neither and is not changed.

    python -m tests.support.ordinary HOME COUNT PROGRAM [ARGUMENT]...

As root, in mounts of its own: HOME becomes the user's; /etc says who that is and which COUNT ids are that user's
(passwd(5), subuid(5)); and what the program needs and only root may enter can be entered, as the checkout of a CI job,
or a Python below /root. The environment is a login's, with the caller's `PYTHONPATH` and what begins with `DEBLOAT_`.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from debloat.embedded import syscalls

ROOT = Path(__file__).resolve().parents[2]
NAME, USER = "owner", 1000
"""What the user is called, and its number, which is that of its group as well."""
FIRST, IDS = 100_000, 65_536
"""The range of further ids, as useradd(8) gives it to the first user."""
_SEARCHABLE = stat.S_IROTH | stat.S_IXOTH


def wrapper(home: Path, count: int = IDS) -> list[str]:
    """What a command line is put behind; `count` is how many further ids the user has, 0 for no range."""
    return [sys.executable, "-m", "tests.support.ordinary", str(home), str(count)]


def _closed(path: Path) -> Path | None:
    """The uppermost directory of a path that others may not enter."""
    above = (*reversed(path.parents), path)
    return next((directory for directory in above if directory.stat().st_mode & _SEARCHABLE != _SEARCHABLE), None)


def _open_up(trees: Iterable[Path]) -> None:
    """Show these trees where they are, and nothing else of what only root may enter."""
    handles = {tree: os.open(tree, os.O_PATH | os.O_DIRECTORY) for tree in trees}
    while closed := sorted({directory for tree in handles if (directory := _closed(tree))}):
        syscalls.mount("tmpfs", str(closed[0]), "tmpfs", data="mode=0755")
        for tree, handle in handles.items():
            if tree.is_relative_to(closed[0]):
                tree.mkdir(parents=True, exist_ok=True)
                syscalls.mount(f"/proc/self/fd/{handle}", str(tree), flags=syscalls.MS_BIND | syscalls.MS_REC)
    for handle in handles.values():
        os.close(handle)


def _say_who(home: Path, count: int) -> None:
    """Lay the accounts over /etc; read-only, whether there are such files or not."""
    ids = f"{NAME}:{FIRST}:{count}\n" if count else ""
    accounts = {
        "passwd": f"root:x:0:0::/root:/bin/sh\n{NAME}:x:{USER}:{USER}::{home}:/bin/sh\n",
        "group": f"root:x:0:\n{NAME}:x:{USER}:\n",
        "subuid": ids,
        "subgid": ids,
    }
    lower = home / "tmp"
    syscalls.mount("tmpfs", str(lower), "tmpfs", data="mode=0755")
    for name, text in accounts.items():
        (lower / name).write_text(text)
    syscalls.mount("overlay", "/etc", "overlay", data=f"lowerdir={lower}:/etc")
    syscalls.unmount(str(lower))


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("DEBLOAT_", "LANG", "PYTHONPATH"))}
    own = {"HOME": home, "XDG_RUNTIME_DIR": home / "run", "TMPDIR": home / "tmp"}
    for directory in own.values():
        directory.mkdir(mode=0o700, exist_ok=True)
        os.chown(directory, USER, USER)
    usual = {"PATH": "/usr/local/bin:/usr/bin:/bin", "USER": NAME, "LOGNAME": NAME}
    return kept | usual | {name: str(directory) for name, directory in own.items()}


def main(argv: Sequence[str]) -> None:
    home, count, program, here = Path(argv[0]).resolve(), int(argv[1]), list(argv[2:]), Path.cwd()
    environment = _environment(home)
    home.chmod(0o755)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    _open_up(dict.fromkeys(Path(tree).resolve() for tree in (sys.base_prefix, sys.prefix, ROOT, home)))
    _say_who(home, count)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.chdir(here)
    os.execvpe(program[0], program, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
