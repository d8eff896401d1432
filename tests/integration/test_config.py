"""The configuration survives byte for byte, the original is untouched, and the same input gives the same image."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import subprocess
import tarfile
import time
from typing import Any

import pytest

from debloat.engine.docker import connect
from debloat.engine.inspection import find_config
from debloat.image.carve import BASE_DIGEST, BASE_NAME
from debloat.image.reader import exported_rootfs
from tests.integration.harness import LABEL, Place, in_base, saved, until
from tests.integration.programs import WEB, WEB_FILES

pytestmark = pytest.mark.engine

EVERYTHING = r"""
RUN groupadd -g 2000 readers && useradd -m -u 1500 -G readers app
RUN mkdir -p "/data dir/empty" "/data dir/work" && chown -R app:readers "/data dir" && chmod 2750 "/data dir"
COPY app /usr/local/bin/
ENV PATH=/opt/bin:/usr/local/bin:/usr/bin EMPTY="" SPACED="two words" QUOTED="a\"b'c" DOLLAR="\$HOME"
ENV UNICODE="ünï" LINES="one\ntwo"
LABEL org.example.words="two words" org.example.empty="" org.example.odd="[bold]\"\\\\ ünï $NOT" "key with space"=1
SHELL ["/bin/sh", "-e", "-c"]
WORKDIR "/data dir/work"
VOLUME ["/var/lib/app", "/data dir/volume"]
EXPOSE 8080 53/udp 9000-9002/tcp
USER app:readers
STOPSIGNAL SIGRTMIN+3
HEALTHCHECK --interval=1m30s --timeout=2s --start-period=3s --retries=7 CMD ["app", "health check"]
ONBUILD COPY . /app
ONBUILD RUN ["make", "it"]
ENTRYPOINT ["app", "two words", ""]
CMD ["--flag=a b", "$HOME", "ünï"]
"""
APP = """#!/usr/bin/perl
use IO::Socket::INET;
exit 0 if $ARGV[0] eq 'health check';
$SIG{NUM37} = sub { exit 0 };
my $socket = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die "cannot listen: $!";
while (1) { close($socket->accept or next) }
"""

FORMS = {
    "exec entrypoint": 'ENTRYPOINT ["cat"]\nCMD ["/etc/hostname"]',
    "shell command": "CMD echo a 'b c' | cat",
    "shell entrypoint": "ENTRYPOINT exec cat /etc/passwd",
    "other shell": 'SHELL ["perl", "-e"]\nCMD print "hello\\n"',
    "no command": 'ENTRYPOINT ["true"]\nCMD []',
    "health check of a shell": "HEALTHCHECK --interval=5s CMD test -e /etc/passwd\nCMD sleep 600",
    "no health check": "HEALTHCHECK NONE\nCMD true",
    "relative": 'WORKDIR /usr/bin\nENTRYPOINT ["./true"]',
    "numeric user": "USER 1234:2345\nCMD id",
}


def config(place: Place, image: str) -> dict[str, Any]:
    found: dict[str, Any] = place.client.inspect_image(image)
    return found


def same_configuration(place: Place, original: str, minimal: str) -> None:
    before, after = config(place, original), config(place, minimal)
    wanted = copy.deepcopy(before["Config"])
    wanted["Labels"] |= {BASE_NAME: original, BASE_DIGEST: connect().image(original).identity}
    # What the classic builder notes of its own work: the container and the image of the last step. What is empty says
    # what is missing does.
    for work in (wanted, after["Config"]):
        for key in ("Image", "Hostname"):
            work.pop(key, None)
    wanted, found = ({k: v for k, v in work.items() if v} for work in (wanted, after["Config"]))
    assert json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    for key in ("Architecture", "Os", "Variant", "OsVersion", "Created"):
        assert after.get(key) == before.get(key), key
    assert len(after["RootFS"]["Layers"]) == 1


def test_every_field_survives(place: Place) -> None:
    image = place.build(in_base(EVERYTHING.strip()), {"app!": APP})
    done = place.debloat(image, "--level", "exact")
    assert done.code == 0, done.err
    assert done.out == f"{image}-slim\n"
    assert "healthcheck" in done.err
    same_configuration(place, image, f"{image}-slim")
    raw = config(place, f"{image}-slim")["Config"]
    assert raw["Healthcheck"] == {
        "Test": ["CMD", "app", "health check"],
        "Interval": 90 * 10**9,
        "Timeout": 2 * 10**9,
        "StartPeriod": 3 * 10**9,
        "Retries": 7,
    }
    assert raw["StopSignal"] == "SIGRTMIN+3"
    assert raw["OnBuild"] == ["COPY . /app", 'RUN ["make", "it"]']
    assert raw["User"] == "app:readers"
    assert raw["WorkingDir"] == "/data dir/work"
    assert set(raw["ExposedPorts"]) == {"8080/tcp", "53/udp", "9000/tcp", "9001/tcp", "9002/tcp"}
    tree = saved(f"{image}-slim")
    assert (tree["/data dir"].mode, tree["/data dir/work"].kind) == (0o2750, "dir")


def foreign(place: Place, fields: dict[str, Any]) -> str:
    """An image with fields in its configuration that this engine does not know, as another tool makes and saves it."""
    image = place.build(in_base('CMD ["true"]'))
    out = io.BytesIO()
    with tarfile.open(
        fileobj=io.BytesIO(subprocess.run(["docker", "save", image], check=True, capture_output=True).stdout)
    ) as old:
        manifest = json.loads(old.extractfile("manifest.json").read())  # type: ignore[union-attr]
        raw = json.loads(old.extractfile(manifest[0]["Config"]).read())  # type: ignore[union-attr]
        raw.pop("docker_version", None)
        raw["author"] = "A. N. Author"
        raw["config"] |= fields
        data = json.dumps(raw).encode()
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        with tarfile.open(fileobj=out, mode="w") as new:
            for member in old:
                if member.name in manifest[0]["Layers"]:
                    new.addfile(member, old.extractfile(member))
            manifest[0]["Config"] = name
            for path, content in ((name, data), ("manifest.json", json.dumps(manifest).encode())):
                info = tarfile.TarInfo(path)
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    place.client.remove_image(image)
    subprocess.run(["docker", "load", "-q"], input=out.getvalue(), check=True, capture_output=True)
    return place.adopt(image)


def test_fields_that_the_engine_does_not_know_survive(place: Place) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 10**9, "StartInterval": 5 * 10**8}
    image = foreign(place, {"Healthcheck": check, "X-Unknown": {"a": [1, None]}, "ArgsEscaped": True})
    assert place.debloat(image, "--level", "exact", "--args", "true", "-q").code == 0
    archive = subprocess.run(["docker", "save", f"{image}-slim"], check=True, capture_output=True).stdout
    found = find_config(iter([archive]), place.client.inspect_image(f"{image}-slim")["Id"])
    assert found is not None
    assert found["Healthcheck"] == check
    assert found["X-Unknown"] == {"a": [1, None]}
    assert found["ArgsEscaped"] is True
    assert place.client.inspect_image(f"{image}-slim")["Author"] == "A. N. Author"


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_command(place: Place, form: str) -> None:
    image = place.build(in_base(FORMS[form]))
    done = place.debloat(image, "--level", "exact")
    assert done.code == 0, done.err
    same_configuration(place, image, f"{image}-slim")


@pytest.fixture(scope="module")
def web(shared: Place) -> str:
    return shared.build(in_base(WEB), WEB_FILES, "web")


def test_the_original_keeps_its_id_and_its_names(shared: Place, web: str) -> None:
    other = shared.images.name("alias")
    shared.client.tag(web, *other.split(":"))
    before = config(shared, web)
    assert shared.debloat(web, "-t", shared.images.name("named")).code == 0
    after = config(shared, web)
    assert after["Id"] == before["Id"]
    assert set(after["RepoTags"]) == {web, other}
    assert config(shared, shared.images.name("named"))["RepoTags"] == [shared.images.name("named")]
    assert shared.left() == []


def test_a_result_replaces_an_older_one_of_its_name(shared: Place, web: str) -> None:
    target, older = shared.images.name("again"), shared.build("FROM scratch\nLABEL older=yes\n")
    shared.client.tag(older, *target.split(":"))
    assert shared.debloat(web, "-t", target, "--level", "exact").code == 0
    assert config(shared, target)["Id"] not in (config(shared, older)["Id"], config(shared, web)["Id"])
    assert config(shared, older)["RepoTags"] == [older]


def test_a_result_does_not_take_another_name_of_the_original(shared: Place, web: str) -> None:
    other = shared.images.name("other")
    shared.client.tag(web, *other.split(":"))
    done = shared.debloat(web, "-t", other, "--level", "exact")
    assert done.code == 2
    assert "that is the original's name, which stays its own" in done.err
    assert config(shared, other)["Id"] == config(shared, web)["Id"]


def test_the_same_input_gives_the_same_image(shared: Place, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run after run, in another process with another hash seed, time zone and locale, and read by export."""
    names = [shared.images.name(f"same{number}") for number in range(3)]
    assert shared.debloat(web, "-t", names[0]).code == 0
    done = shared.run(web, "-t", names[1], PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C")
    assert done.code == 0, done.err
    monkeypatch.setattr(
        "debloat.store.source.open_rootfs", lambda workspace, image, _: exported_rootfs(workspace, image)
    )
    assert shared.debloat(web, "-t", names[2]).code == 0
    ids = {config(shared, name)["Id"] for name in names}
    assert len(ids) == 1
    assert shared.left() == []


def another_second() -> None:
    begun = int(time.time())
    until(lambda: int(time.time()) > begun, "another second")


@pytest.mark.parametrize("volume", ["/data", "/srv/new/deep", "/var/run/of-a-link"])
def test_a_volume_that_the_image_lacks_is_not_made_part_of_it(place: Place, volume: str) -> None:
    """The engine makes its directory in each container anew, with the time of that moment."""
    image = place.build(in_base(f'VOLUME ["{volume}"]', 'CMD ["ls", "-d", "/srv"]'))
    layers = []
    for number in range(2):
        target = place.images.name(f"volume{number}")
        assert place.debloat(image, "-t", target, "--keep", "/srv", "--keep", "/run").code == 0
        layers.append(config(place, target)["RootFS"]["Layers"])
        another_second()
    assert layers[0] == layers[1]
    assert not {volume, f"/run/{volume.rpartition('/')[2]}"} & set(saved(target))


@pytest.mark.parametrize("digits", [12, 7, 64])
def test_a_short_id_names_the_result_by_it(shared: Place, web: str, digits: int) -> None:
    image_id = config(shared, web)["Id"].removeprefix("sha256:")
    done = shared.debloat(image_id[:digits], "--level", "exact")
    assert done.code == 0, done.err
    assert done.out == f"debloat:{image_id[:12]}-slim\n"


def test_a_reference_by_id_names_the_result_by_it(shared: Place, web: str) -> None:
    image_id = config(shared, web)["Id"]
    done = shared.debloat(image_id, "--level", "exact")
    assert done.code == 0, done.err
    assert done.out == f"debloat:{image_id.removeprefix('sha256:')[:12]}-slim\n"
    assert config(shared, done.out.strip())["Config"]["Labels"][LABEL] == shared.token


def test_source_date_epoch_is_the_time_of_the_result(shared: Place, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    target = shared.images.name("dated")
    assert shared.debloat(web, "-t", target, "--level", "exact").code == 0
    assert config(shared, target)["Created"].startswith("2023-11-14T22:13:20")
    row = shared.client.history(target)[0]
    assert row["Created"] == 1700000000
