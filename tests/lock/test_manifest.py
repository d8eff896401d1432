"""From a minimal image to its lock and back, without an engine; and what makes a layer the same on every machine."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from debloat.closure import World
from debloat.core.http import HttpProbe
from debloat.core.model import Access, Closure, Entry, Evidence, Image, ImageConfig, Kind, Level, Op, Policy, Trace
from debloat.core.recipe import Recipe, RunOptions, Scenario
from debloat.cut import Minimal, cut
from debloat.debian import dpkg
from debloat.image.reader import without_engine_made
from debloat.lock import format as locks
from debloat.lock.format import Lock
from debloat.lock.manifest import full_manifest, lock_of, reasons, recipe_digest
from debloat.lock.seeds import carry_over
from tests.support.dpkgdb import database
from tests.support.trees import Table, tree

CONFIG = ImageConfig({"Cmd": ["/srv/app"], "WorkingDir": "/srv", "ExposedPorts": {"80/tcp": {}}, "User": "app"})
IMAGE = Image("shop:1", "sha256:" + "1" * 64, "linux", "amd64", "", "2024-01-01T00:00:00Z", CONFIG)
OWNED = {
    "tool": ["/usr/share/doc/tool", "/usr/bin/tool", "/usr/share/tool/1.0/data", "/usr/share/tool/unused"],
    "idle": ["/usr/bin/idle"],
}
TABLE: Table = {
    "/srv/app": ("0755", "application"),
    "/srv/own": "data of the application",
    "/etc/passwd": "app:x:1:1::/srv:/bin/sh\n",
    "/tmp/": "",
    "/bin": "-> usr/bin",
    **{path: path for paths in OWNED.values() for path in paths if "doc" not in path},
}
TRACE = Trace(
    frozenset(
        Access(path, op, flags, "start", "/srv/app")
        for path, op, flags in (
            ("/bin/tool", Op.EXEC, ""),
            ("/usr/share/tool/1.0/data", Op.OPEN, "r"),
            ("/tmp/run-4711", Op.OPEN, "wc"),
            ("/proc/4711/stat", Op.OPEN, "r"),
        )
    ),
    frozenset({IMAGE.id}),
)


def build(directory: Path, /, **changes: str) -> tuple[World, Minimal]:
    """A build of the service; `changes` rename paths of its packages, old=new."""
    owned = {name: [changes.get(p, p) for p in paths] for name, paths in OWNED.items()}
    table = {changes.get(path, path): content for path, content in TABLE.items()}
    rootfs = tree({**database(owned), **table})
    world = World(rootfs, dpkg.read(rootfs), CONFIG, TRACE)
    directory.mkdir(exist_ok=True)
    return world, cut(world, IMAGE, (), directory)


def locked(directory: Path) -> Lock:
    world, minimal = build(directory)
    return locks.parse(locks.dump(lock_of(IMAGE, recipe_digest(Recipe()), world, minimal, ())), "x")


def again(lock: Lock, directory: Path, **changes: str) -> Lock:
    """The lock applied to a build."""
    world, _ = build(directory, **changes)
    seeds = carry_over(lock, world.rootfs, world.packages)
    applied = replace(world, trace=seeds.trace, policy=lock.policy)
    return lock_of(IMAGE, lock.recipe, applied, cut(applied, IMAGE, seeds.healed, directory), seeds.healed)


def test_a_lock_says_what_stays_and_whose_it_is(tmp_path: Path) -> None:
    lock = locked(tmp_path)
    found = {i.path: (i.package, i.reason) for i in lock.manifest}
    assert found["/usr/bin/tool"] == ("tool", "trace probe:start")
    assert found["/srv/own"][0] == ""
    assert found["/usr/share/tool"] == ("", "parent")
    assert "/usr/bin/idle" not in found
    assert [p.name for p in lock.packages] == ["tool"]
    assert "4711" not in locks.dump(lock).decode()
    assert (lock.user, lock.ports, lock.platform) == ("app", ("80/tcp",), "linux/amd64")


def test_the_same_build_gives_the_same_lock(tmp_path: Path) -> None:
    lock = locked(tmp_path / "a")
    assert locks.dump(again(lock, tmp_path / "b")) == locks.dump(lock)


def test_an_upgrade_keeps_what_moved(tmp_path: Path) -> None:
    lock = locked(tmp_path / "a")
    moved = {"/usr/share/tool/1.0/data": "/usr/share/tool/2.0/data"}
    new = again(lock, tmp_path / "b", **moved)
    old, now = ({i.path for i in value.manifest} for value in (lock, new))
    assert {p for p in now - old if "tool" in p} == {"/usr/share/tool/2.0", "/usr/share/tool/2.0/data"}
    assert {p for p in old - now if "tool" in p} == {"/usr/share/tool/1.0", "/usr/share/tool/1.0/data"}


def test_the_hash_of_a_rewritten_file_is_that_of_the_result(tmp_path: Path) -> None:
    world, minimal = build(tmp_path)
    lock = lock_of(IMAGE, recipe_digest(Recipe()), world, minimal, ())
    status = "/var/lib/dpkg/status"
    contents = {i.path: i.content for i in lock.manifest}
    originals = {i.path: i.content for i in full_manifest(world.rootfs, world.packages)}
    assert contents[status] != originals[status]
    assert contents["/usr/bin/tool"] == originals["/usr/bin/tool"]


def test_the_reason_is_the_shortest_way_to_a_root() -> None:
    closure = Closure(
        {
            "/": (Evidence("parent", "/a"),),
            "/a": (Evidence("elf.needed", "/far"), Evidence("trace", "probe:start")),
            "/b": (Evidence("elf.needed", "/far"), Evidence("shell", "/a")),
            "/far": (Evidence("shell", "/b"),),
        }
    )
    assert reasons(closure) == {"/": "parent", "/a": "trace probe:start", "/b": "shell /a", "/far": "shell /b"}


def test_digests_in_older_locks_stay_valid() -> None:
    """As the first releases wrote them: a field that recipes have since counts only where it says something."""
    assert recipe_digest(Recipe()) == "sha256:2e4d78a80a2ecc497cd47b76e2a5d1d7517f751a3f929a6cf3ed48fc67463b84"
    options = RunOptions(env={"A": "b"}, tmpfs=("/run",), no_new_privs=True)
    said = Scenario("a", ("x",), (HttpProbe("POST", "/login", 80),), ("true",), ("false",), options)
    policy = Policy(level=Level.EXACT, keep=("/etc/**",), packages=(("git", "run"),))
    before = "sha256:5825067d786dd754119cedc6f612f10a4d08a1a4a2dfdb7da77f2464112848ee"
    assert recipe_digest(Recipe((said,), policy, 30.0, 20.0)) == before
    for later in (replace(said, talk=False), replace(said, tests=("npm test",)), replace(said, masks=("x",))):
        assert recipe_digest(Recipe((later,), policy, 30.0, 20.0)) != before


def test_a_recipes_digest_follows_from_what_it_says() -> None:
    plain = Recipe((Scenario(http=(HttpProbe(path="/a"),), options=RunOptions(env={"A": "1", "B": "2"})),))
    turned = Recipe((Scenario(http=(HttpProbe(path="/a"),), options=RunOptions(env={"B": "2", "A": "1"})),))
    assert recipe_digest(plain) == recipe_digest(turned)
    assert recipe_digest(plain) != recipe_digest(replace(plain, timeout=1.0))
    assert recipe_digest(plain) != recipe_digest(Recipe())


def test_times_do_not_tell_when_and_where_an_image_was_read() -> None:
    second = 10**9

    def entries(made: int, fraction: int) -> list[Entry]:
        return [
            Entry("/", Kind.DIR, mtime=made),
            Entry("/etc", Kind.DIR, mtime=made + 1),
            Entry("/etc/app.conf", Kind.FILE, mtime=7 * second + fraction),
            Entry("/dev", Kind.DIR, mtime=made + 2),
            Entry("/usr", Kind.DIR, mtime=9 * second + fraction),
        ]

    here, there = (list(without_engine_made(entries(*given))) for given in ((111 * second, 5), (222 * second, 0)))
    assert here == there
    assert {e.path: e.mtime // second for e in here} == {"/": 9, "/etc": 7, "/etc/app.conf": 7, "/dev": 0, "/usr": 9}
