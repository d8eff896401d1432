"""What strace(1) wrote: calls of many processes, interleaved, some of them in two halves.

Understood is the text of `strace -f`, with `-o` or from standard error, with times (`-t`, `-r`), descriptors (`-y`) or
escapes (`-x`) or without; and the files of `-ff`, one a process. Paths stand in it as programs gave them. What they are
relative to follows from the calls: chdir, the directories that were opened, and what a child takes from its parent.
Where it does not, the path is counted as unresolved and not guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from debloat.core.model import Access, Op
from debloat.record.imports.calls import CALLS, Call, open_letters
from debloat.record.imports.run import Run

MAX_PATH = 4096
"""PATH_MAX: the kernel takes no longer path; a working directory that would be longer is not followed further."""

_LINE = re.compile(
    rb"\s*(?:\[pid\s+(\d+)(?:<[^>]*>)?\]\s*|(\d+)(?:<[^>]*>)?\s+)?"  # the process: from standard error, with -o
    rb"(?:(?:\d\d:\d\d:\d\d(?:\.\d+)?|\d+\.\d+)\s+)?(?:\(\+\s*\d+\.\d+\)\s+)?"  # -t, -ttt, -r
    rb"(?:\[[0-9a-f ?]+\]\s+){0,2}"  # -n, -i
    rb"(?:(\w+)\(|<\.\.\. (\w+) resumed>)"
)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"(?:\.\.\.)?|<(?=/)[^>]*>|[()\[\]{},]')
_RESULT = re.compile(rb"\)\s*= (-?\d+|\?)([^\n]*)\Z")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_NAMED = re.compile(rb"(AT_FDCWD|-?\d+)(?:<(/[^>]*)>)?")
_OUTER_PID = re.compile(rb"/\* (\d+) in strace's PID NS \*/")
_SUN_PATH = re.compile(rb'\bsun_path="((?:[^"\\]|\\.)*)"')
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"f": b"\f", b"v": b"\v", b"a": b"\a", b"b": b"\b"}
_ATTACHED = re.compile(rb"strace: Process (\d+) attached\n")
"""On standard error, in the middle of what it interrupts."""
_BRACKETED = re.compile(rb"^\[pid\s+(\d+)[\]<]", re.MULTILINE)
_UNFINISHED = b"<unfinished ...>"

_MAKING = frozenset({"clone", "clone2", "clone3", "fork", "vfork"})
_KNOWN = frozenset(CALLS) | _MAKING | {"close", "dup", "dup2", "dup3", "fcntl", "fcntl64", "getcwd"}


class _Place(Struct):
    """Where a process is, shared by threads: working directory and root; None where it is not known."""

    cwd: str | None
    root: str = ""


class _Task(Struct):
    """A process or thread as far as its calls show."""

    place: _Place
    files: dict[int, str] = {}
    program: str = ""


class _Record(Struct):
    """A call, both halves joined. `text` begins after its opening parenthesis."""

    pid: int
    name: str
    text: bytes


def looks_like(head: bytes) -> bool:
    """Whether the beginning of a file is strace's: most of its lines are calls or news of processes."""
    lines = [line for line in head.split(b"\n")[:60] if line.strip()]
    calls = sum(_LINE.match(line) is not None for line in lines)
    news = sum(b" +++ " in line or b" --- " in line or line.startswith((b"strace: ", b"+++ ")) for line in lines)
    return calls > 0 and 2 * (calls + news) > len(lines)


def parse(files: Mapping[str, bytes], context: str, workdir: str) -> Run:
    """The run that files of strace tell of: one, or those of `-ff`, whose names end in the number of the process.

    `workdir` is where a program starts that strace itself has started (its first call is an execve).
    """
    accesses: set[Access] = set()
    reader = _Reader(context, workdir, accesses)
    parts = {name: list(_records(data, _pid_of(name) if len(files) > 1 else 0)) for name, data in files.items()}
    for name in _parents_first(parts):
        for record in parts[name]:
            reader.read(record)
    return Run(context, (), frozenset(accesses), unresolved=len(reader.unresolved))


def _pid_of(name: str) -> int:
    suffix = name.rpartition(".")[2]
    return int(suffix) if suffix.isascii() and suffix.isdigit() and len(suffix) < 10 else 0


def _parents_first(parts: Mapping[str, list[_Record]]) -> list[str]:
    """The files in an order in which each process comes after the one that made it, as far as that can be."""
    of_pid = {records[0].pid: name for name, records in sorted(parts.items()) if records}
    children = {
        name: [of_pid[p] for r in records if r.name in _MAKING and (p := _child(r)) in of_pid]
        for name, records in parts.items()
    }
    made = {child for several in children.values() for child in several}
    waiting = sorted(parts, key=lambda name: (name in made, name))
    order: dict[str, None] = {}
    for root in waiting:
        queue = [root]
        for name in queue:
            if name not in order:
                order[name] = None
                queue += children[name]
    return list(order)


def _records(data: bytes, own: int) -> Iterator[_Record]:
    """The calls of interest where they began, with both halves of those that others interrupted."""
    records: list[_Record] = []
    halves: dict[tuple[int, str], _Record] = {}
    # On standard error a process is not named as long as it is the only one: the first that none has made.
    made = set(_ATTACHED.findall(data))
    own = own or next((int(pid) for pid in _BRACKETED.findall(data) if pid not in made), 0)
    for line in _ATTACHED.sub(b"", data).splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        pid, name = int(found[1] or found[2] or own), (found[3] or found[4]).decode("ascii", "replace")
        if name not in _KNOWN and not (found[4] and (pid, "execve") in halves):
            continue
        if found[4]:
            # an execve may come back under the name `exec`, or `execveat`
            key = (pid, name) if (pid, name) in halves else (pid, "execve")
            if first := halves.pop(key, None):
                first.text += line[found.end() :].rstrip()
            continue
        text = line[found.end() :].rstrip()
        record = _Record(pid, name, text)
        if text.endswith(_UNFINISHED):
            record.text = text[: -len(_UNFINISHED)]
            halves[pid, name] = record
        records.append(record)
    return iter(records)


def _child(record: _Record) -> int:
    """The process that a call made, as strace numbers it; 0 for none."""
    result = _RESULT.search(record.text)
    if result is None or not result[1].isdigit():
        return 0
    outer = _OUTER_PID.search(result[2])
    return int(outer[1] if outer else result[1])


class _Reader:
    """Reads calls in their order, and keeps what each process's paths are relative to."""

    def __init__(self, context: str, workdir: str, accesses: set[Access]) -> None:
        self._context = context
        self._workdir = workdir
        self._accesses = accesses
        self._tasks: dict[int, _Task] = {}
        self.unresolved: set[str] = set()

    def read(self, record: _Record) -> None:
        task = self._tasks.get(record.pid)
        if task is None:
            started_here = record.name == "execve" and not self._tasks
            task = self._tasks[record.pid] = _Task(_Place(self._workdir if started_here else None))
        args, result = _split(record.text)
        if record.name in _MAKING:
            self._fork(task, record, args)
            return
        if record.name in CALLS:
            self._calls(task, record.name, args, result)
        elif result is not None:
            _manage(task, record.name, args, result)

    def _fork(self, task: _Task, record: _Record, args: list[bytes]) -> None:
        if child := _child(record):
            flags = b" ".join(args)
            self._tasks[child] = _Task(
                task.place if b"CLONE_FS" in flags else _Place(task.place.cwd, task.place.root),
                task.files if b"CLONE_FILES" in flags else dict(task.files),
                task.program,
            )

    def _calls(self, task: _Task, name: str, args: list[bytes], result: int | None) -> None:
        for call in CALLS[name]:
            path = self._path(task, call, args)
            if path is None:
                continue
            op, flags = call.op, _flags(call, args)
            if call.how == "unlink" and b"AT_REMOVEDIR" in _argument(args, call.flags):
                op = Op.RMDIR
            self._accesses.add(Access(path, op, flags, self._context, task.program))
            if op is Op.EXEC and result == 0:
                task.program = path
            if result is None or result < 0:
                continue
            if op is Op.OPEN:
                task.files[result] = path
            elif op is Op.CHDIR:
                task.place.cwd = path if len(path) <= MAX_PATH else None
            elif op is Op.CHROOT and name == "chroot":
                task.place.root = path.rstrip("/")

    def _path(self, task: _Task, call: Call, args: list[bytes]) -> str | None:
        """The path that a call takes, absolute; None where it takes none or what it is relative to is not known."""
        if call.how == "descriptor":
            base = self._base(task, _argument(args, call.dir))
            return base if base else self._lost(call, args)
        given = _argument(args, call.path)
        if call.how == "socket":
            found = _SUN_PATH.search(given)
            given = b'"' + found[1] + b'"' if found else b""
        if not given.startswith(b'"'):
            return None  # NULL, or what strace could not read
        if given.endswith(b"..."):
            return self._lost(call, args)
        text = _text(given)
        if not text:
            return self._base(task, _argument(args, call.dir)) if call.how in ("exec", "link-text") else None
        if "\0" in text:
            return None
        if text.startswith("/"):
            return task.place.root + text
        base = self._base(task, _argument(args, call.dir) if call.dir >= 0 else b"AT_FDCWD")
        return self._lost(call, args) if base is None else f"{base.rstrip('/')}/{text}"

    def _lost(self, call: Call, args: list[bytes]) -> str | None:
        """None, once it is noted that a path is not known; a descriptor that names itself is no directory."""
        named = _argument(args, call.dir if call.how == "descriptor" else call.path)
        if call.how != "descriptor" or named.isdigit():
            self.unresolved.add(f"{call.op} {os.fsdecode(named)}")
        return None

    def _base(self, task: _Task, descriptor: bytes) -> str | None:
        """The directory that a descriptor stands for; None where it is not known, or is none of the file system."""
        found = _NAMED.match(descriptor)
        if found is None:
            return None
        shown = _unescaped(found[2]).removesuffix(" (deleted)") if found[2] else None
        if found[1] != b"AT_FDCWD":
            return shown or (task.files.get(int(found[1])) if len(found[1]) < 10 else None)
        if shown:
            task.place.cwd = shown
        return task.place.cwd


def _manage(task: _Task, name: str, args: list[bytes], result: int) -> None:
    """What a call without a path does to descriptors and the working directory."""
    if result < 0:
        return
    if name == "getcwd":
        if args and args[0].startswith(b'"/') and not args[0].endswith(b"..."):
            task.place.cwd = task.place.root + _text(args[0])
        return
    found = _NAMED.match(_argument(args, 0))
    if found is None or found[1] == b"AT_FDCWD" or len(found[1]) > 9:
        return
    number = int(found[1])
    if name == "close":
        task.files.pop(number, None)
    elif number in task.files and (name.startswith("dup") or b"F_DUPFD" in _argument(args, 1)):
        task.files[result] = task.files[number]


def _flags(call: Call, args: list[bytes]) -> str:
    given = _argument(args, call.flags)
    if call.how == "open":
        text = given.decode("ascii", "replace")
        return open_letters(text.removeprefix("{flags=").partition(",")[0].rstrip("}"))
    nofollow = {
        "nofollow": True,
        "link-text": True,
        "unlink": True,
        "at": b"AT_SYMLINK_NOFOLLOW" in given,
        "exec": b"AT_SYMLINK_NOFOLLOW" in given,
        "at-follow": b"AT_SYMLINK_FOLLOW" not in given,
    }
    return "l" if nofollow.get(call.how) else "wct" if call.how == "creat" else ""


def _argument(args: list[bytes], index: int) -> bytes:
    return args[index] if 0 <= index < len(args) else b""


def _split(text: bytes) -> tuple[list[bytes], int | None]:
    """The arguments of a call as they are written, and its result; None where it has none (yet)."""
    args, depth, start = list[bytes](), 0, 0
    for token in _TOKEN.finditer(text):
        char = token[0]
        if char in (b"(", b"[", b"{"):
            depth += 1
        elif char in (b")", b"]", b"}"):
            if depth == 0:
                args.append(text[start : token.start()].strip())
                break
            depth -= 1
        elif char == b"," and depth == 0:
            args.append(text[start : token.start()].strip())
            start = token.end()
    else:
        args.append(text[start:].strip())
    result = _RESULT.search(text)
    return args, int(result[1]) if result and result[1] != b"?" and len(result[1]) < 20 else None


def _text(quoted: bytes) -> str:
    return _unescaped(quoted.removesuffix(b"...")[1:-1])


def _unescaped(text: bytes) -> str:
    """A string as C has it, without its escapes."""

    def one(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes((int(match[1], 8) & 0xFF,))
        if match[2]:
            return bytes((int(match[2], 16),))
        return _LETTERS.get(match[3], match[3])

    return os.fsdecode(_ESCAPE.sub(one, text))
