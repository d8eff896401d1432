"""Where an image's Pythons look for modules: interpreters, standard libraries, site directories, virtual environments.

After site(3), Modules/getpath.py of CPython, PEP 405 (pyvenv.cfg) and the Debian Python policy: Debian's
interpreters read /usr/lib/python3/dist-packages and /usr/local/lib/python3.X/dist-packages, all others
lib/python3.X/site-packages under their prefix.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from debloat.closure import World, derived, derived_by
from debloat.image.rootfs import Rootfs

MAX_PTH = 64 * 1024
"""Bytes read of a .pth or pyvenv.cfg file: site.py reads them line by line; real ones are far shorter."""

_STDLIB = re.compile(r"(?P<prefix>.*)/lib(?:64)?/(?:python|pypy)(?P<version>\d\.\d+)")
_SITE = re.compile(r".*/lib(?:64)?/python(?P<version>\d(?:\.\d+)?)/(?:site|dist)-packages")
_EXTENSION = re.compile(r"\.(?:py|pyc|abi3\.so|so|(?:cpython|pypy)[\w-]*\.so)$")
_HOOK = re.compile(r"\b(?:import[ \t]+|__import__\(['\"])([A-Za-z_]\w*)")


class Environment(Struct, frozen=True):
    """One way to start a Python: a prefix, or a virtual environment, with its directories in search order.

    All are real paths. `sites` are the directories of third-party modules, `extra` what PYTHONPATH and .pth
    files add; `config` is the pyvenv.cfg of a virtual environment.
    """

    prefix: str
    version: str
    stdlib: str
    sites: tuple[str, ...]
    extra: tuple[str, ...] = ()
    config: str = ""

    @property
    def path(self) -> tuple[str, ...]:
        """sys.path of a program in this environment, without the directory of the program."""
        return (*self.extra, self.stdlib, f"{self.stdlib}/lib-dynload", *self.sites)


class Layout(Struct, frozen=True):
    """The Pythons of an image. `hooks` are the top-level modules that .pth files import at every start."""

    environments: tuple[Environment, ...]
    live: tuple[Environment, ...]
    stdlibs: tuple[str, ...]
    sites: tuple[str, ...]
    hooks: frozenset[str]

    def site_of(self, path: str) -> str | None:
        """The site directory that holds `path`."""
        return next((site for site in self.sites if path.startswith(site + "/")), None)

    def stdlib_of(self, path: str) -> str | None:
        """The standard library that holds `path`; a site directory inside it does not count."""
        if self.site_of(path) is not None:
            return None
        return next((lib for lib in self.stdlibs if path.startswith(lib + "/")), None)

    def of(self, path: str) -> tuple[Environment, ...]:
        """The environments in which the module at `path` runs: those that hold it, or all that are in use."""
        site, lib = self.site_of(path), self.stdlib_of(path)
        mine = tuple(e for e in self.environments if site in e.sites or (lib is not None and lib == e.stdlib))
        return mine or self.live


@derived
def layout(world: World) -> Layout:
    """The layout of an image's Pythons."""
    rootfs = world.rootfs
    stdlibs = tuple(sorted(_stdlibs(rootfs)))
    homes = rootfs.named("pyvenv.cfg")
    rootfs.fetch(homes)
    bases = [_base(world, lib) for lib in stdlibs]
    venvs = [venv for config in homes for venv in _venvs(rootfs, config, bases)]
    plain = [*bases, *venvs]
    pth = {site: _pth_files(rootfs, site) for env in plain for site in env.sites}
    rootfs.fetch(path for files in pth.values() for path in files)
    environments = tuple(_with_pth(rootfs, env, pth) for env in plain)
    sites = tuple(sorted({site for env in environments for site in env.sites}, key=lambda s: (-len(s), s)))
    hooks = frozenset(hook for files in pth.values() for path in files for hook in _hooks(rootfs, path))
    return Layout(environments, _live(world, environments), stdlibs, sites, hooks)


def _stdlibs(rootfs: Rootfs) -> Iterator[str]:
    """Directories with the landmark that getpath looks for."""
    for path in rootfs.named("os.py", "os.pyc"):
        directory = path.rpartition("/")[0]
        if _STDLIB.fullmatch(directory):
            yield directory


def _base(world: World, stdlib: str) -> Environment:
    match = _STDLIB.fullmatch(stdlib)
    assert match is not None
    rootfs, prefix, version = world.rootfs, match["prefix"], match["version"]
    candidates = [f"{stdlib}/site-packages"]
    if prefix == "/usr":
        candidates += [
            f"/usr/local/lib/python{version}/dist-packages",
            "/usr/lib/python3/dist-packages",
            f"{stdlib}/dist-packages",
        ]
    candidates += [site for site in _user_sites(rootfs) if site.endswith(f"/python{version}/site-packages")]
    directories = [world.config.env.get("PYTHONPATH", "")]
    extra = [posixpath.join(world.config.workdir, d) for text in directories for d in text.split(":") if d]
    return Environment(prefix, version, stdlib, _real(rootfs, candidates), _real(rootfs, extra))


def _user_sites(rootfs: Rootfs) -> Iterator[str]:
    for home in ("/root", *(f"/home/{name}" for name in rootfs.names("/home"))):
        yield from rootfs.glob(f"{home}/.local/lib/python3*/site-packages")


def _real(rootfs: Rootfs, paths: list[str]) -> tuple[str, ...]:
    """The real paths of those that exist, in order, each once."""
    resolved = (rootfs.resolve(path).path for path in paths)
    return tuple(dict.fromkeys(path for path in resolved if path is not None))


def _venvs(rootfs: Rootfs, config: str, bases: list[Environment]) -> Iterator[Environment]:
    """The environments of a pyvenv.cfg: one for each version that it has a library directory for."""
    prefix = config.rpartition("/")[0]
    keys = pyvenv(_lines(rootfs, config))
    home = posixpath.dirname(keys.get("home", "").rstrip("/"))
    shared = keys.get("include-system-site-packages", "false").lower() == "true"
    for site in rootfs.glob(f"{prefix}/lib/python3*/site-packages"):
        match = _SITE.fullmatch(site)
        if match is None:
            continue
        same = [base for base in bases if base.version == match["version"]]
        for base in [b for b in same if b.prefix == home][:1] or same[:1]:
            sites = (site, *base.sites) if shared else (site,)
            yield Environment(prefix, base.version, base.stdlib, sites, base.extra, config)


def pyvenv(lines: list[str]) -> dict[str, str]:
    """The keys of a pyvenv.cfg, lower case (PEP 405); lines without `=` say nothing."""
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _pth_files(rootfs: Rootfs, site: str) -> tuple[str, ...]:
    return tuple(f"{site}/{name}" for name in rootfs.names(site) if name.endswith(".pth"))


def _lines(rootfs: Rootfs, path: str) -> list[str]:
    if not rootfs.is_file(path):
        return []
    return rootfs.read(path, MAX_PTH).decode("utf-8", "replace").splitlines()


def _hooks(rootfs: Rootfs, pth: str) -> Iterator[str]:
    """What the `import` lines of a .pth file import."""
    for line in _lines(rootfs, pth):
        if line.startswith(("import ", "import\t")):
            yield from _HOOK.findall(line)


def _with_pth(rootfs: Rootfs, env: Environment, pth: dict[str, tuple[str, ...]]) -> Environment:
    """The environment with the directories and archives that its .pth files add (site: one path a line)."""
    added = list(env.extra)
    for site in env.sites:
        for path in pth[site]:
            for line in _lines(rootfs, path):
                if line.strip() and not line.startswith(("#", "import ", "import\t")):
                    added.append(posixpath.join(site, line.strip()))
    return Environment(env.prefix, env.version, env.stdlib, env.sites, _real(rootfs, added), env.config)


def _live(world: World, environments: tuple[Environment, ...]) -> tuple[Environment, ...]:
    """The environments that the trace used; all of them where it used none."""
    used = {access.path for access in world.trace.accesses}
    marks = {e: (e.config or f"{e.stdlib}/", e.sites if e.config else ()) for e in environments}
    live = [e for e, (mark, sites) in marks.items() if any(_touches(path, mark, sites) for path in used)]
    return tuple(live) or environments


def _touches(path: str, mark: str, sites: tuple[str, ...]) -> bool:
    return path.startswith(mark) or any(path.startswith(site + "/") for site in sites)


def find(world: World, directories: Sequence[str], dotted: str, names: Iterable[str] = ()) -> tuple[str, ...]:
    """The files that `import dotted`, or `from dotted import names`, runs when sys.path is `directories`.

    Each package's `__init__` on the way and the module itself, up to the last part that is a module: `a.b.attribute`
    gives `a` and `a.b`. () where its top level does not exist.
    """
    paths: list[str] = []
    below = list(directories)
    for part in filter(None, dotted.split(".")):
        files, below = _step(world, below, part)
        paths += files
        if not below:
            break
    for name in names:
        if below and name.isidentifier():
            paths += _step(world, below, name)[0]
    return tuple(dict.fromkeys(paths))


@derived_by
def _stems(world: World, directory: str) -> Mapping[str, tuple[str, ...]]:
    """Module name -> the files of a real directory that define it."""
    by_stem: dict[str, list[str]] = {}
    for name in world.rootfs.names(directory):
        match = _EXTENSION.search(name)
        if match:
            by_stem.setdefault(name[: match.start()], []).append(f"{directory}/{name}")
    return {stem: tuple(files) for stem, files in by_stem.items()}


def _step(world: World, directories: list[str], part: str) -> tuple[list[str], list[str]]:
    """Files of the first package or module called `part`, and where its submodules are; namespace portions add up."""
    rootfs = world.rootfs
    portions: list[str] = []
    for directory in directories:
        real = rootfs.resolve(f"{directory}/{part}").path
        entry = rootfs.get(real) if real is not None else None
        if entry is not None and entry.is_dir:
            init = _stems(world, entry.path).get("__init__", ())
            portions.append(entry.path)
            if init:
                return list(init), [entry.path, *(p for p in _others(rootfs, directories, part) if p != entry.path)]
        files = _stems(world, directory).get(part, ())
        if files:
            return list(files), []
    return [], portions


def _others(rootfs: Rootfs, directories: list[str], part: str) -> Iterator[str]:
    """The same package elsewhere on the path: pkgutil and pkg_resources namespaces extend into it."""
    for directory in directories:
        real = rootfs.resolve(f"{directory}/{part}").path
        if real is not None and rootfs.is_dir(real):
            yield real
