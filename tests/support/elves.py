"""ELF files made with the compiler at hand, and a root directory to run them in with the system's own loader."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

LOADER = "/lib64/ld-linux-x86-64.so.2"
MULTIARCH = "/lib/x86_64-linux-gnu"

_LINE = re.compile(r"^\s*(?P<name>\S+)(?: => (?P<path>\S.*?))?(?: \(0x[0-9a-f]+\))?$")

needs_compiler = pytest.mark.skipif(
    shutil.which("gcc") is None or not Path(LOADER).exists(), reason="needs gcc and glibc's loader for x86_64"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs chroot(2)")


@functools.cache
def workshop() -> Path:
    """A directory for intermediate files, removed at the end of the process."""
    directory = tempfile.TemporaryDirectory(prefix="debloat-elves-")
    _KEPT.append(directory)
    return Path(directory.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _stub(name: str) -> str:
    """A library to link against, whose only property is its soname."""
    path = workshop() / f"stub-{name.replace('/', '%').replace('$', '%')}"
    if not path.exists():
        _gcc(["-shared", "-nostdlib", f"-Wl,-soname,{name}", "-o", str(path), "-xc", "/dev/null"])
    return str(path)


def _gcc(arguments: Sequence[str], compiler: str = "gcc") -> None:
    subprocess.run([compiler, "-w", *arguments], check=True, stdin=subprocess.DEVNULL)


@functools.cache
def elf(
    kind: str,
    name: str = "",
    needs: tuple[str, ...] = (),
    rpath: str = "",
    runpath: str = "",
    flags: tuple[str, ...] = (),
    source: str = "",
    compiler: str = "gcc",
) -> bytes:
    """A `program` or a `library` (with soname `name`) that needs these names; empty where there is no compiler."""
    if shutil.which(compiler) is None:
        return b""
    output = workshop() / "output"
    code = workshop() / "code.c"
    code.write_text(source + ("int main(void){return 0;}\n" if kind == "program" else "\n"))
    how = ["-shared", "-fPIC", "-nostdlib"] if kind == "library" else []
    how += [f"-Wl,-soname,{name}"] if name else []
    how += ["-Wl,--disable-new-dtags", f"-Wl,-rpath,{rpath}"] if rpath else []
    how += ["-Wl,--enable-new-dtags", f"-Wl,-rpath,{runpath}"] if runpath else []
    stubs = [_stub(need) for need in needs]
    _gcc([*how, str(code), "-Wl,--no-as-needed", *stubs, *flags, "-o", str(output)], compiler)
    return output.read_bytes()


def program(**how: Any) -> bytes:
    return elf("program", **how)


def library(name: str, **how: Any) -> bytes:
    return elf("library", name, **how)


def versioned(soname: str, *versions: str) -> bytes:
    """A library that defines these symbol versions, of functions f0, f1, ..."""
    names = [f"f{i}" for i in range(len(versions))]
    script = workshop() / f"{'-'.join(versions)}.map"
    script.write_text("".join(f"{v} {{ global: {n}; }};\n" for v, n in zip(versions, names, strict=True)))
    source = "".join(f"void {n}(void) {{}}\n" for n in names)
    return library(soname, source=source, flags=(f"-Wl,--version-script={script}",))


def make_root(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """A directory with glibc's loader and libc, and these files; a text `-> target` is a link."""
    for path in (LOADER, f"{MULTIARCH}/libc.so.6"):
        _put(root, path, Path(path).read_bytes())
    for path, content in files.items():
        _put(root, path, content)
    return root


def _put(root: Path, path: str, content: bytes | str) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str) and content.startswith("-> "):
        target.symlink_to(content[3:])
        return
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    target.chmod(0o755)


def ldconfig(root: Path, form: str = "new") -> None:
    subprocess.run(["/sbin/ldconfig", "-r", str(root), "-c", form], check=True, capture_output=True)


def loaded(root: Path, path: str, env: Mapping[str, str], cwd: str = "/", by: str = "") -> dict[str, str | None]:
    """What the system's loader in `root` loads for a program: name -> path, None where it is not found.

    An object that is loaded by a path is named by it. The program is not run (ld.so(8), LD_TRACE_LOADED_OBJECTS);
    `by` is a loader to be called with `--list` instead, as musl's must be.
    """
    # ld.so asks /proc/self/exe for a program's $ORIGIN; a link in its place spares mounting a procfs.
    proc = root / "proc"
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "self/exe").symlink_to(f"/{(root / path.lstrip('/')).resolve().relative_to(root.resolve())}")

    def enter() -> None:
        os.chroot(root)
        os.chdir(cwd)

    ran = subprocess.run(
        [by, "--list", path] if by else [path],
        env={**env, "LD_TRACE_LOADED_OBJECTS": "1"},
        preexec_fn=enter,
        capture_output=True,
        check=False,
    )
    shutil.rmtree(proc)
    found: dict[str, str | None] = {}
    for line in ran.stdout.decode().splitlines():
        match = _LINE.match(line)
        if match and "linux-vdso" not in line and "statically linked" not in line:
            target = match["path"] or match["name"]
            found[match["name"]] = None if target == "not found" else target
    return found


@functools.cache
def supported() -> frozenset[str]:
    """The hwcaps subdirectories that this machine's loader searches, legacy ones among them."""
    text = subprocess.run([LOADER, "--help"], capture_output=True, text=True, check=True).stdout
    names = (re.match(r"\s+(\S+) \((?:.*, )?(?:supported, )?searched\)", line) for line in text.splitlines())
    return frozenset(m[1] for m in names if m)
