"""Which platforms' programs this machine runs: asked of its kernel."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from debloat.core.platform import PLATFORMS, Platform, of_image

HANDLERS = Path("/proc/sys/fs/binfmt_misc")
"""What the kernel starts for programs of other machines (Documentation/admin-guide/binfmt-misc.rst)."""

OTHER_WORD_SIZE = MappingProxyType({"amd64": "386", "arm64": "arm"})
"""Architectures by OCI's names, and those whose programs their kernels run beside (containerd, `platformVector`)."""

_EXIT = {"386": "b801000000 31db cd80", "arm": "0000a0e3 0170a0e3 000000ef"}
"""Machine code of `exit(0)`: `mov eax, 1; xor ebx, ebx; int 0x80` and `mov r0, #0; mov r7, #1; svc 0`."""
_EABI = 0x05000000
_ADDRESS = 0x400000


def runs(machine: str, architecture: str) -> bool:
    """Whether a kernel for one architecture may run programs for another by itself; both by OCI's names."""
    return architecture in (machine, OTHER_WORD_SIZE.get(machine, machine))


def cannot_run(machine: str, architecture: str, variant: str = "", *, here: bool = True) -> str:
    """Why images for an architecture cannot be run, and so recorded, where an engine has the architecture `machine`.

    Empty where they can. `here` says that the engine's kernel is this one, which then is asked: a kernel for amd64 may
    be built without 32-bit programs, and many a processor for arm64 has none (AArch32 at EL0). Under an emulator
    every call is the emulator's: no access would know its program, and those of its own would stand among them.
    """
    platform = of_image(architecture, variant)
    if architecture != machine and here and (emulator := emulator_of(platform)):
        return f"only an emulator runs it here ({emulator}), and what is recorded would be the emulator's"
    if architecture == machine or (runs(machine, architecture) and (not here or executes(platform))):
        return ""
    return "this machine does not run it"


def header(platform: Platform, code: bytes = b"") -> bytes:
    """A program of a platform as elf(5) has it, with its code; of 64 bits its header alone."""
    order = "<" if platform.little_endian else ">"
    size = len(code) + 84
    flags = _EABI if platform.oci == "arm" else 0
    start = struct.pack(
        f"{order}4s5B7x2HI", b"\x7fELF", platform.bits // 32, 2 - platform.little_endian, 1, 0, 0, 2, platform.elf, 1
    )
    if platform.bits == 64:
        return start + struct.pack(f"{order}3QI6H", _ADDRESS, 64, 0, flags, 64, 56, 0, 0, 0, 0)
    header = struct.pack(f"{order}4I6H", _ADDRESS + 84, 52, 0, flags, 52, 32, 1, 0, 0, 0)
    return start + header + struct.pack(f"{order}8I", 1, 0, _ADDRESS, _ADDRESS, size, size, 5, 4096) + code


def executes(platform: Platform) -> bool:
    """Whether this kernel runs a 32-bit program of a platform: by starting one that does nothing but end."""
    code = _EXIT.get(platform.oci)
    if code is None:
        return False
    descriptor = os.memfd_create("debloat-runs")
    try:
        os.write(descriptor, header(platform, bytes.fromhex(code)))
        process = os.posix_spawn(f"/proc/self/fd/{descriptor}", ["runs"], {})
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    except OSError:
        return False
    finally:
        os.close(descriptor)


class Handler(Struct, frozen=True):
    """A row of binfmt_misc: what is started for files whose bytes from `offset` on are `magic` where `mask` is set."""

    interpreter: str
    offset: int
    magic: bytes
    mask: bytes

    def takes(self, data: bytes) -> bool:
        """Whether a file that begins with these bytes is its."""
        part = data[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        return len(part) == len(self.magic) and all(
            (p ^ m) & k == 0 for p, m, k in zip(part, self.magic, mask, strict=False)
        )


def handler(text: str) -> Handler | None:
    """What the file of a handler says; None for one that is disabled, or goes by the names of files."""
    words = [line.partition(" ") for line in text.splitlines()]
    said = {key.rstrip(":"): value.strip() for key, _, value in words}
    if "enabled" not in said or not {"interpreter", "magic"} <= said.keys():
        return None
    try:
        return Handler(
            said["interpreter"],
            int(said.get("offset", "0")),
            bytes.fromhex(said["magic"]),
            bytes.fromhex(said.get("mask", "")),
        )
    except ValueError:
        return None


def handlers(directory: Path = HANDLERS) -> Iterator[Handler]:
    """Those that are registered, sorted by name; none where binfmt_misc is not mounted."""
    with contextlib.suppress(OSError):
        for path in sorted(directory.iterdir()):
            if path.name in ("register", "status"):
                continue
            with contextlib.suppress(OSError):
                found = handler(path.read_text(errors="replace"))
                if found is not None:
                    yield found


def emulator_of(platform: Platform, directory: Path = HANDLERS) -> str:
    """The program that the kernel starts for those of a platform, by its file's name; empty where there is none."""
    if platform not in PLATFORMS:
        return ""
    data = header(platform, bytes(64))
    return next((Path(h.interpreter).name for h in handlers(directory) if h.takes(data)), "")
