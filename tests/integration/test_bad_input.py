"""Bad input: one clear sentence with the fix, the right exit code, and nothing left behind (`place` looks)."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from debloat.record import session
from tests.integration.harness import LABEL, Done, Place, in_base
from tests.integration.programs import STATIC, WEB, WEB_FILES, image_archive, static, tar

pytestmark = pytest.mark.engine


def complaint(done: Done, code: int) -> str:
    """The message and the hint of a run that failed as it should; nothing on stdout, no traceback."""
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    lines = done.err.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("debloat: "))
    return "\n".join(lines[begin:])


# ------------------------------------------------------------------------------------------------------ what is named


def test_an_image_that_does_not_exist(place: Place) -> None:
    said = complaint(place.debloat(place.images.name("nowhere")), 2)
    assert f"cannot find the image {place.images.name('nowhere')}" in said
    assert "hint: check the spelling" in said


@pytest.mark.parametrize("reference", ["UPPER/Case", "a b", "x:y:z", "-", "\x1b]0;pwned\x07"])
def test_a_name_that_no_image_can_have(place: Place, reference: str) -> None:
    said = complaint(place.debloat("slim", "--", reference), 2)
    assert "\x1b" not in said


def test_what_is_no_image_but_a_directory_or_an_archive(place: Place) -> None:
    """It is said what it is, before any registry is asked for it."""
    (place.here / "app").mkdir()
    (place.here / "app" / "Dockerfile").write_text("FROM scratch\n")
    (place.here / "image.tar").write_bytes(tar({}))
    (place.here / "notes.txt").write_text("words")
    for named, what, hint in (
        (".", ". is a directory, not an image", "debloat build ."),
        ("app", "app is a directory, not an image", "debloat build app"),
        (f"{place.here}/app/", "is a directory, not an image", "debloat build"),
        ("image.tar", "image.tar is an archive, not an image of the engine", "docker-archive:image.tar names one"),
        (
            "./image.tar",
            "./image.tar is an archive, not an image of the engine",
            "docker-archive:./image.tar names one",
        ),
        ("notes.txt", "notes.txt is a file, not an image", "name an image"),
    ):
        said = complaint(place.debloat(named), 2)
        assert what in said
        assert hint in said


@pytest.mark.parametrize("given", [{}, {"DOCKER_CERT_PATH": "here"}])
def test_tls_without_certificates(place: Place, given: dict[str, str]) -> None:
    environment: dict[str, Any] = {
        "DOCKER_HOST": "tcp://127.0.0.1:9",
        "DOCKER_TLS_VERIFY": "1",
        "HOME": str(place.here),
        **given,
    }
    said = complaint(place.run("debian:bookworm-slim", **environment), 3)
    assert "cannot use TLS for tcp://127.0.0.1:9: there is no ca.pem in" in said
    assert "DOCKER_CERT_PATH" in said


def test_an_engine_behind_ssh_that_does_not_answer(place: Place) -> None:
    (place.here / "ssh").write_text("#!/bin/sh\necho 'ssh: no route to the host' >&2\nexit 255\n")
    (place.here / "ssh").chmod(0o755)
    path = f"{place.here}:{os.environ['PATH']}"
    said = complaint(place.run("debian:bookworm-slim", DOCKER_HOST="ssh://user@nowhere", PATH=path), 3)
    assert "cannot reach the container engine at ssh://user@nowhere: ssh: no route to the host" in said
    assert "DOCKER_HOST=ssh://user@nowhere docker version" in said
    (place.here / "ssh").unlink()
    said = complaint(place.run("debian:bookworm-slim", DOCKER_HOST="ssh://user@nowhere", PATH=str(place.here)), 3)
    assert "there is no ssh command here" in said


def test_an_engine_that_is_not_running(place: Place) -> None:
    said = complaint(place.run("debian:bookworm-slim", DOCKER_HOST=f"unix://{place.here}/none.sock"), 3)
    assert "cannot reach the container engine at " in said
    assert "hint: start it" in said
    done = place.run("doctor", DOCKER_HOST=f"unix://{place.here}/none.sock")
    assert done.code == 3
    assert "NO  engine" in done.out


def test_a_context_that_does_not_exist(place: Place) -> None:
    assert "nonesuch" in complaint(place.run("debian:bookworm-slim", DOCKER_CONTEXT="nonesuch"), 3)


def test_an_image_of_another_architecture(place: Place) -> None:
    here = place.client.version()["Arch"]
    other = "arm64" if here == "amd64" else "amd64"
    config = {"Entrypoint": ["/app"], "Labels": {LABEL: place.token}}
    name = place.images.name("app")
    list(place.client.load_image(image_archive(name, other, tar({b"app": (0o755, b"\x7fELF")}), config)))
    image = place.adopt(name)
    said = complaint(place.debloat(image), 2)
    assert f"linux/{other}" in said
    assert f"linux/{here}" in said
    assert "hint: " in said


def test_an_image_without_a_program(place: Place) -> None:
    image = place.imported(tar({b"data": (0o644, b"x")}))
    said = complaint(place.debloat(image), 2)
    assert "ENTRYPOINT" in said


def test_from_scratch_with_one_static_program(place: Place) -> None:
    program = static(STATIC, place.here)
    image = place.build(
        'FROM scratch\nCOPY app greeting unused /\nENTRYPOINT ["/app"]',
        {"app!": program, "greeting": "hello\n", "unused": "x" * 1000},
    )
    done = place.debloat(image, "--level", "exact", "--json", "report.json")
    assert done.code == 0, done.err
    report = json.loads((place.here / "report.json").read_text())
    assert report["after"]["files"] == 2
    assert report["packages"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("htpp = ['/']", "unknown key 'htpp'"),
        ("[run_options]\nuserr = 'x'", "unknown key 'userr'"),
        ("level = 'tiny'", "level must be exact, safe or package, not 'tiny'"),
        ("ready = -1", "ready must be"),
        ("http = '/'", "http must be a list"),
        ("http = ['no path']", "is not an HTTP probe"),
        ("keep = ['relative']", "must be absolute"),
        ("a = ", "is not TOML"),
    ],
)
def test_a_configuration_that_is_wrong(place: Place, text: str, said: str) -> None:
    place.config(text)
    assert said in complaint(place.debloat("debian:bookworm-slim"), 2)


@pytest.mark.parametrize(
    "argv",
    [
        ("--http", "no path"),
        ("--exec", "unbalanced '"),
        ("--keep", "relative"),
        ("-e", "novalue"),
        ("-c", "nonesuch.toml"),
        ("--trace", "nonesuch.trace"),
        ("--level", "tiny"),
        ("--nonesuch",),
        ("-t", "Not A Reference"),
        ("--network", "nonesuch"),
    ],
)
def test_options_that_are_wrong(place: Place, argv: tuple[str, ...]) -> None:
    done = place.debloat(place.adopt("debian:bookworm-slim"), *argv)
    assert done.code == 2, done.err
    assert done.out == ""
    assert "Traceback" not in done.err


# ------------------------------------------------------------------------------------------- programs that do not work


def test_a_container_that_ends_at_once(place: Place) -> None:
    image = place.build(in_base("EXPOSE 80", "CMD echo 'no settings here' >&2; exit 3"))
    said = complaint(place.debloat(image), 4)
    assert "ended before it was ready with exit code 3" in said
    assert "no settings here" in said
    assert "hint: does `docker run` of it work?" in said


def test_a_command_that_fails(place: Place) -> None:
    image = place.build(in_base('CMD ["false"]'))
    assert "run CMD: exit code 1" in complaint(place.debloat(image), 4)


@pytest.mark.parametrize("command", ['CMD ["/no/such/program"]', 'CMD ["/etc/passwd"]'])
def test_a_program_that_cannot_be_started(place: Place, command: str) -> None:
    said = complaint(place.debloat(place.build(in_base(command))), 4)
    assert "/no/such/program" in said or "/etc/passwd" in said


def test_a_service_that_never_listens(place: Place) -> None:
    place.config("ready = 1")
    image = place.build(in_base("EXPOSE 80", 'CMD ["sh", "-c", "echo thinking; exec sleep 600"]'))
    said = complaint(place.debloat(image), 4)
    assert "nothing listens on port 80 after 1 s" in said
    assert "thinking" in said
    assert "hint: " in said


def test_a_container_that_stays_up_with_nothing_to_ask(place: Place) -> None:
    place.config("timeout = 1")
    said = complaint(place.debloat(place.build(in_base('CMD ["sleep", "600"]'))), 4)
    assert "stays up" in said
    assert "hint: name a probe" in said


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (("--http", "/error"), "status 500"),
        (("--exec", "false"), "exec false: exit code 1"),
        (("--exec", "/no/such/program"), "/no/such/program"),
        (("--run", "echo it is broken >&2; exit 7"), "exit code 7: it is broken"),
    ],
)
def test_probes_that_the_original_fails(place: Place, probe: tuple[str, str], said: str) -> None:
    place.config("ready = 1\ntimeout = 5")
    image = place.build(in_base(WEB), WEB_FILES)
    told = complaint(place.debloat(image, *probe), 4)
    assert "the original image does not pass its own probes" in told
    assert said in told
    assert "hint: a probe must succeed on the image as it is" in told


def test_a_port_that_nobody_listens_on(place: Place) -> None:
    place.config("ready = 1\ntimeout = 5")
    image = place.build(in_base(WEB), WEB_FILES)
    told = complaint(place.debloat(image, "--http", ":81/"), 4)
    assert "http GET http://:81/: nothing listens on port 81" in told
    assert ": it listens on port 80\n" in told
    assert "hint: EXPOSE the port that it serves, name it" in told


def test_a_command_of_the_container_that_this_machine_has_not(place: Place) -> None:
    image = place.build(in_base(WEB), WEB_FILES)
    told = complaint(place.debloat(image, "--run", "nonesuch --version"), 4)
    assert "run nonesuch --version: exit code 127" in told
    assert "hint: `run` calls a program of this machine; `exec` runs one in the container" in told


def test_a_service_that_ignores_term(place: Place) -> None:
    image = place.build(in_base(WEB, 'CMD ["term", "ignore"]'), WEB_FILES)
    done = place.debloat(image, "--level", "exact")
    assert done.code == 0, done.err


def test_a_service_that_catches_term_and_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "STOP_GRACE", 1.0)
    image = place.build(in_base(WEB, 'CMD ["term", "catch"]'), WEB_FILES)
    done = place.debloat(image, "--level", "exact")
    assert done.code == 0, done.err
    assert "stop" in done.err


def test_a_service_that_floods_its_log(place: Place) -> None:
    image = place.build(in_base(WEB, 'CMD ["lines", "200000"]'), WEB_FILES)
    done = place.debloat(image, "--level", "exact")
    assert done.code == 0, done.err
    assert len(done.err) < 20_000


def test_a_command_that_floods_its_output(place: Place) -> None:
    image = place.build(in_base('CMD ["seq", "200000"]'))
    done = place.debloat(image, "--level", "exact")
    assert done.code == 0, done.err
    assert len(done.err) < 20_000


# ---------------------------------------------------------------------------------------------------------- odd names

ODD = [
    b"new\nline",
    b"tab\tand space",
    b"\x1b]0;pwned\x07",
    b"\x1b[2J\x1b[31mred",
    b"[bold]markup",
    b"\xff\xfe not UTF-8",
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}ml\u202eaut".encode(),
    b"-rf",
    b"$(touch pwned)",
    b"quote'\"",
    b"*",
    b"n" * 200,
]


def odd_image(place: Place) -> str:
    """A program that opens files with odd names, setuid so that the summary lists them; one of them is missing."""
    program = static(STATIC.replace("int main(int argc, char **argv) {", "#include <glob.h>\n" + READ_ALL), place.here)
    files = {b"app": (0o755, program), b"greeting": (0o644, b"\x1b[31mhello\n")}
    return place.imported(
        tar(files | {b"odd/" + name: (0o4755, b"x") for name in ODD}),
        *("-c", 'ENTRYPOINT ["/app"]', "-c", "LABEL evil=\x1b[31m[bold]"),
    )


READ_ALL = r"""
int main(int argc, char **argv) {
    glob_t found;
    glob("/odd/*", GLOB_PERIOD, 0, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) { FILE *f = fopen(found.gl_pathv[i], "r"); if (f) fclose(f); }
    fopen("/odd/missing \x1b]0;pwned\x07 [red]", "r");
    fputs("\x1b]0;pwned\x07 [bold]out\n", stderr);
"""


def test_odd_names_are_only_data(place: Place) -> None:
    image = odd_image(place)
    done = place.debloat(image, "--level", "exact", "--json", "report.json", "--verbose")
    assert done.code == 0, done.err
    assert not [c for c in done.err + done.out if ord(c) < 0x20 and c != "\n"]
    report = json.loads((place.here / "report.json").read_bytes())
    assert report["after"]["files"] == len(ODD) + 2
    assert "\\x1b]0;pwned\\x07" in done.err
    assert "[bold]markup" in done.err
    for path in (b"/odd/" + name for name in ODD):
        why = place.debloat("why", image, os.fsdecode(path))
        assert why.code == 0, (path, why.err)
        assert why.out.startswith("kept: ")
        assert not [c for c in why.out if ord(c) < 0x20 and c != "\n"]
    assert not list(place.here.glob("pwned"))


def test_odd_names_on_a_terminal(place: Place) -> None:
    """A terminal gets the colours of the summary, and no sequence that an image has chosen."""
    image = odd_image(place)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "debloat", image, "--level", "exact"],
        cwd=place.here,
        env={**os.environ, "TMPDIR": str(place.scratch), "TERM": "xterm", "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:  # the last writer has gone
        pass
    os.close(master)
    assert process.wait() == 0, shown
    assert process.stdout is not None
    assert process.stdout.read() == f"{image}-slim\n".encode()
    process.stdout.close()
    assert b"\x1b]" not in shown
    assert b"\x1b[2J" not in shown
    assert b"pwned\\x07" in shown


def test_a_failure_that_quotes_the_program(place: Place) -> None:
    image = place.build(in_base("EXPOSE 80", r"""CMD printf '\033]0;pwned\007 [bold]bad[/bold] \377\n' >&2; exit 3"""))
    said = complaint(place.debloat(image), 4)
    assert "[bold]bad[/bold]" in said
    assert not [c for c in said if ord(c) < 0x20 and c != "\n"]


# ---------------------------------------------------------------------------------------------------- a disk that fills


def test_a_disk_that_fills(place: Place) -> None:
    """Temporary files on a file system of one megabyte, mounted for this process alone."""
    image = place.build(in_base(WEB), WEB_FILES)
    inside = f"""
        mount -t tmpfs -o size=1m none '{place.scratch}'
        "$@"; code=$?
        find '{place.scratch}' -mindepth 1 >&2
        exit $code"""
    done = place.run(image, before=("unshare", "--mount", "sh", "-c", inside, "sh"))
    said = complaint(done, 3)
    assert "No space left on device" in said
    assert "hint: " in said
    assert str(place.scratch) not in said.partition("hint")[2].partition("\n")[2]


def test_an_output_that_cannot_be_written(place: Place) -> None:
    """Found out before anything is run where it can be; a half-written file is never left."""
    image = place.build(in_base('CMD ["true"]'))
    for option in ("--json", "--output", "--save-trace", "--lock"):
        done = place.debloat(image, "--level", "exact", option, "/proc/nonesuch/file")
        said = complaint(done, 2)
        assert "/proc/nonesuch" in said, option
