"""Java: runtime images, archives and class paths, and what of them must not stay."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.closure import close
from debloat.rules.languages.java import rules as java
from debloat.rules.languages.java import source
from tests.support import chroots, trees
from tests.support.debs import deb_world
from tests.support.trees import Table


def _jar(manifest: str | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("A.class", b"\xca\xfe\xba\xbe")
        if manifest is not None:
            archive.writestr("META-INF/MANIFEST.MF", manifest)
    return out.getvalue()


HOME = "/opt/java"
RUNTIME = {
    "bin/java": True,
    "bin/keytool": True,
    "bin/javac": False,
    "conf/security/java.security": True,
    "lib/modules": True,
    "lib/libnet.so": True,
    "lib/server/libjvm.so": True,
    "lib/server/classes.jsa": False,
    "lib/security/cacerts": True,
    "lib/ct.sym": False,
    "lib/src.zip": False,
    "jmods/java.base.jmod": False,
    "include/jni.h": False,
    "man/man1/java.1": False,
    "demo/x.jar": False,
    "legal/java.base/LICENSE": True,
    "release": True,
}


@pytest.mark.parametrize("seed", ["bin/java", "lib/server/libjvm.so"])
def test_a_runtime_is_kept_less_development(seed: str) -> None:
    table: Table = {f"{HOME}/{name}": ("0755", "") for name in RUNTIME}
    kept = trees.paths(trees.closed(trees.world(table), java.RULES, f"{HOME}/{seed}"))
    assert kept == sorted(f"{HOME}/{name}" for name, stays in RUNTIME.items() if stays)


def test_java_8() -> None:
    home = "/usr/lib/jvm/java-8-openjdk-amd64"
    names = ["bin/java", "bin/javac", "lib/tools.jar", "src.zip", "jre/bin/java", "jre/lib/rt.jar", "jre/lib/ext/x.jar"]
    table: Table = {f"{home}/{name}": ("0755", "") for name in names}
    kept = trees.paths(trees.closed(trees.world(table), java.RULES, f"{home}/bin/java"))
    assert kept == [f"{home}/{n}" for n in ("bin/java", "jre/bin/java", "jre/lib/ext/x.jar", "jre/lib/rt.jar")]


def test_another_lib_modules_is_no_runtime() -> None:
    table: Table = {"/opt/x/lib/modules": "", "/opt/y/bin/java": "", "/opt/x/lib/y.so": ""}
    closure = trees.closed(trees.world(table), java.RULES, "/opt/y/bin/java")
    assert trees.paths(closure) == ["/opt/y/bin/java"]


def test_native_parts_on_the_library_path() -> None:
    table: Table = {f"{HOME}/bin/java": "", f"{HOME}/lib/modules": "", "/usr/lib/x86_64-linux-gnu/jni/libx.so": ""}
    assert "/usr/lib/x86_64-linux-gnu/jni/libx.so" in trees.closed(trees.world(table), java.RULES, f"{HOME}/bin/java")


MANIFESTS = [
    ("relative", "Class-Path: b.jar lib/c.jar\n", ["b.jar", "lib/c.jar"]),
    ("continued", "Class-Path: b.j\r\n ar li\r\n b/c.jar\r\n", ["b.jar", "lib/c.jar"]),
    ("absolute and encoded", "class-path: file:/x/a%20b.jar http://h/y.jar\n", ["/x/a b.jar"]),
    ("none", "Main-Class: A\n", []),
]


@pytest.mark.parametrize(("manifest", "expected"), [m[1:] for m in MANIFESTS], ids=[m[0] for m in MANIFESTS])
def test_class_path(manifest: str, expected: list[str]) -> None:
    assert list(source.class_path(_jar("Manifest-Version: 1.0\n" + manifest))) == expected


def test_manifests_are_followed_beside_the_archive() -> None:
    shared = "/usr/share/java"
    table: Table = {
        "/app/a.jar": _jar(f"Class-Path: {shared}/b.jar\n"),
        f"{shared}/b.jar": "-> b-1.0.jar",
        f"{shared}/b-1.0.jar": _jar("Class-Path: c.jar\n"),
        f"{shared}/c.jar": _jar(),
        f"{shared}/d.jar": _jar(),
    }
    kept = trees.paths(trees.closed(trees.world(table), java.RULES, "/app/a.jar"))
    assert kept == ["/app/a.jar", f"{shared}/b-1.0.jar", f"{shared}/b.jar", f"{shared}/c.jar"]


def test_a_packaged_program_is_a_unit_and_shared_jars_are_not() -> None:
    tool = ["/usr/share/tool/bin/boot.jar", "/usr/share/tool/bin/run.sh", "/usr/share/tool/lib/x.jar"]
    shared = ["/usr/share/java/x.jar", "/usr/share/java/y.jar"]
    table: Table = {**dict.fromkeys([*tool, *shared], ""), tool[2]: "-> ../../java/x.jar"}
    world = trees.world(table, owned={"tool": tool, "libx-java": shared})
    assert trees.paths(trees.closed(world, java.RULES, tool[0])) == [shared[0], *tool]


CONFIGS: list[tuple[str, dict[str, object], list[str]]] = [
    ("-jar", {"Cmd": ["java", "-jar", "a.jar"], "WorkingDir": "/app"}, ["/app/a.jar"]),
    ("-cp with a wildcard", {"Cmd": ["java", "-cp", "/app/a.jar:/j/*", "M"]}, ["/app/a.jar", "/j/x.jar", "/j/y.JAR"]),
    ("a shell line", {"Cmd": ["sh", "-c", "exec java -cp '/j/x.jar' M"]}, ["/j/x.jar"]),
    ("an agent", {"Entrypoint": ["java", "-javaagent:/j/x.jar=opt"]}, ["/j/x.jar"]),
    ("CLASSPATH", {"Env": ["CLASSPATH=/j/x.jar::/nowhere"]}, ["/j/x.jar"]),
    ("options in the environment", {"Env": ["JAVA_TOOL_OPTIONS=-javaagent:/j/x.jar -Xmx1m"]}, ["/j/x.jar"]),
    ("a broken line", {"Cmd": ["sh", "-c", "java -jar 'x"]}, []),
]


@pytest.mark.parametrize(("config", "expected"), [c[1:] for c in CONFIGS], ids=[c[0] for c in CONFIGS])
def test_config(config: dict[str, object], expected: list[str]) -> None:
    table: Table = {
        "/app/a.jar": _jar(),
        "/j/x.jar": _jar(),
        "/j/y.JAR": _jar(),
        "/j/z.txt": "",
        "/j/sub/w.jar": _jar(),
    }
    assert trees.paths(close(trees.world(table, config=config), java.RULES)) == expected


PACKAGES = (
    *("openjdk-17-jre-headless", "libc6", "libstdc++6", "libgcc-s1", "zlib1g", "libjpeg62-turbo", "liblcms2-2"),
    *("libfontconfig1", "libfreetype6", "libharfbuzz0b", "libpng16-16", "libbrotli1", "libglib2.0-0", "libgraphite2-3"),
    *("libexpat1", "libpcre2-8-0"),
)


@pytest.mark.network
def test_a_real_runtime_works_from_what_is_kept(tmp_path: Path) -> None:
    home = "/usr/lib/jvm/java-17-openjdk-amd64"
    world = deb_world(*PACKAGES)
    closure = chroots.kept(world, java.RULES, f"{home}/bin/java")

    def run(*argv: str) -> str:
        return chroots.run(world, closure, tmp_path, [f"{home}/bin/{argv[0]}", *argv[1:]])

    assert "OpenJDK 64-Bit Server VM" in run("java", "-version")
    assert "java.net.http" in run("java", "--list-modules")
    pair = [
        "-genkeypair",
        "-alias",
        "x",
        "-dname",
        "CN=x",
        "-keyalg",
        "EC",
        "-keystore",
        "/tmp/k",
        "-storepass",
        "secret",
    ]
    run("keytool", *pair)
    assert "PrivateKeyEntry" in run("keytool", "-list", "-keystore", "/tmp/k", "-storepass", "secret")
    assert f"{home}/lib/ct.sym" not in closure
    assert f"{home}/lib/fontconfig.bfc" not in closure


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_garbage_is_read_without_error(data: bytes) -> None:
    good = _jar("Class-Path: x.jar\n")
    assert source.class_path(data) == ()
    assert isinstance(source.class_path(good[: len(good) - len(data) % len(good)] + data), tuple)


@pytest.mark.parametrize(
    ("text", "drawn"), [("import java.awt.Graphics2D;", True), ("import java.awt.event.X;", False)]
)
def test_fonts_of_what_draws(text: str, drawn: bool) -> None:
    library = "/usr/lib/x86_64-linux-gnu/libfontconfig.so.1"
    world = trees.world({library: "x", "/srv/Chart.java": text}, owned={"libfontconfig1": [library]})
    assert (library in trees.closed(world, java.RULES, "/srv/Chart.java").evidence) is drawn
