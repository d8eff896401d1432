"""Registries: Debian's, with and without a login, skopeo beside it; and servers that lie, redirect and stall."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import requests

from debloat.core.errors import DebloatError, UsageError
from debloat.core.platform import wanted
from debloat.image.carve import image_id
from debloat.image.oci import INDEX, MANIFEST, Referrer, Written, digest_of
from debloat.image.rootfs import Rootfs
from debloat.store import client
from debloat.store.base import StoredImage, StoreError
from debloat.store.layers import open_layers
from debloat.store.location import image_location, output_location
from debloat.store.opened import open_store
from debloat.store.write import must_accept, write
from tests.store.conftest import CONTENT
from tests.support.registry import registry, skopeo
from tests.support.stores import LayoutMaker, layer, put_layout

NAME, PASSWORD = "someone", "secret word"
HTPASSWD = "someone:$2y$05$abcdefghijklmnopqrstuu1C7yeI3ZG3Jm.nHdnKkGJg1xTYKP9Oy\n"
"""Of `htpasswd -B`: the only kind that the registry takes."""


def pulled(said: str, directory: Path, platform: str = "") -> tuple[StoredImage, Rootfs]:
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    with open_store(image_location(said)) as store:
        image = store.image(wanted(platform) if platform else None)
        return image, open_layers(store, image, scratch, said).rootfs


# ------------------------------------------------------------------------------------------ the real one


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from tests.support import network

    network.require("docker-registry")
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.mark.network
def test_what_is_pushed_is_pulled(served: str, written: Written, tmp_path: Path) -> None:
    said = f"docker://{served}/team/app:slim"
    digest = write(written, "ignored:1", output_location(said))
    assert write(written, "ignored:1", output_location(said)) == digest
    image, rootfs = pulled(said, tmp_path)
    assert (image.image.id, image.manifest.digest) == (image_id(written.config), digest)
    assert image.image.reference == f"{served}/team/app:slim"
    assert rootfs.read("/f") == CONTENT
    by_digest, _ = pulled(f"docker://{served}/team/app@{digest}", tmp_path)
    assert by_digest.config == written.config
    with pytest.raises(UsageError, match=r"cannot find .*team/app:none in its registry"):
        pulled(f"docker://{served}/team/app:none", tmp_path)
    with pytest.raises(UsageError, match="a digest is no name"):
        write(written, "", output_location(f"docker://{served}/team/app@{digest}"))


@pytest.mark.network
def test_it_is_known_early_that_a_registry_takes_it(written: Written, tmp_path: Path) -> None:
    """Of the upload that is begun there is what the registry has of any, and removes by its age."""
    for place in ("open", "closed"):
        (tmp_path / place).mkdir()
    with registry(tmp_path / "open") as host:
        must_accept(output_location(f"docker://{host}/early/app:1"))
    begun = {path.name for path in (tmp_path / "open" / "data").rglob("*") if path.is_file()}
    assert begun == {"startedat", "data", "0"}
    with registry(tmp_path / "closed", HTPASSWD) as host, pytest.raises(UsageError, match="wants a login"):
        must_accept(output_location(f"docker://{host}/early/app:1"))


@pytest.mark.network
def test_large_blobs_go_in_chunks(
    served: str, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers refuse a blob in one piece; this one takes both, and is asked for the other."""
    from debloat.store import registry as pushing

    monkeypatch.setattr(pushing, "_CHUNK", 1 << 16)

    def once(self: pushing.RegistrySink, digest: str, size: int, content: Any) -> None:
        self._push_chunks(digest, size, content)

    monkeypatch.setattr(pushing.RegistrySink, "_push", once)
    noise = hashlib.shake_256(b"noise").digest(300_000)
    written.layers[0].file.write_bytes(noise)
    write(written, "", output_location(f"docker://{served}/chunks:1"))
    with open_store(image_location(f"docker://{served}/chunks:1")) as store:
        (stored,) = store.image().layers
        raw = store.open(stored.blob)
        assert len(raw.read()) == stored.blob.size > 4 << 16


@pytest.mark.network
def test_what_refers_to_an_image_is_found_by_its_digest(served: str, written: Written) -> None:
    """Debian's registry has no list of referrers: a tag stands in for it."""
    from debloat.store.client import Client
    from debloat.store.mirrors import endpoints

    place = output_location(f"docker://{served}/referred:1")
    for word in (b"first", b"second", b"first"):
        note = Referrer("application/x.note", "text/plain", word, MappingProxyType({"said": word.decode()}))
        digest = write(written, "", place, [note])
    (endpoint,) = endpoints(served, "referred")
    connection = Client(endpoint)
    accept = {"Accept": f"{INDEX}, {MANIFEST}"}
    with connection.ask("GET", f"manifests/{digest.replace(':', '-')}", headers=accept) as answer:
        rows = json.loads(answer.body())["manifests"]
    assert sorted(row["annotations"]["said"] for row in rows) == ["first", "second"]
    with connection.ask("GET", f"manifests/{rows[0]['digest']}", headers=accept) as answer:
        assert json.loads(answer.body())["subject"]["digest"] == digest
    connection.close()


@pytest.mark.network
def test_skopeo_reads_what_is_written(served: str, written: Written, tmp_path: Path) -> None:
    for number, form in enumerate(("docker-archive", "oci-archive", "oci")):
        said = f"{form}:{tmp_path / f'out{number}'}"
        write(written, "app:slim", output_location(said))
        named = said if form == "docker-archive" else f"{said}:app:slim"
        raw = skopeo("inspect", "--config", "--raw", named)
        assert raw.strip().encode() == written.config
    said = f"docker://{served}/for-skopeo:1"
    digest = write(written, "", output_location(said))
    assert json.loads(skopeo("inspect", "--tls-verify=false", said))["Digest"] == digest
    skopeo("copy", "--src-tls-verify=false", said, f"dir:{tmp_path / 'copied'}")


@pytest.mark.network
@pytest.mark.parametrize("options", [[], ["--dest-compress-format", "zstd"], ["--dest-compress-format", "gzip"]])
def test_what_skopeo_writes_is_read(served: str, tmp_path: Path, options: list[str]) -> None:
    layers = [layer({"a": b"1", "b": b"2"}), layer({".wh.a": b"", "c": b"3" * 3000})]
    source = f"oci:{put_layout(tmp_path / 'source', layers, {'Entrypoint': ['/a']}, name='1')}:1"
    places = {
        "docker-archive": f"docker-archive:{tmp_path / 'd.tar'}:app:1",
        "oci-archive": f"oci-archive:{tmp_path / 'o.tar'}:app",
        "oci": f"oci:{tmp_path / 'oci'}:app",
        "docker": f"docker://{served}/by-skopeo:{len(options)}{options[-1:]}".replace("['", "-")
        .replace("']", "")
        .replace("[]", ""),
    }
    for form, place in places.items():
        if form == "docker-archive" and options:
            continue
        skopeo("copy", "--dest-tls-verify=false", *options, source, place)
        image, rootfs = pulled(place, tmp_path)
        assert image.image.config.entrypoint == ("/a",)
        assert rootfs.read("/c") == b"3" * 3000
        assert "/a" not in rootfs


@pytest.mark.network
def test_a_login_is_taken_from_files_and_helpers(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(tmp_path, HTPASSWD) as host:
        said = f"docker://{host}/private/app:1"
        with pytest.raises(UsageError, match="wants a login") as error:
            write(written, "", output_location(said))
        assert host in error.value.hint
        auth = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
        docker = tmp_path / "home/docker_config"
        docker.mkdir()
        (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        digest = write(written, "", output_location(said))
        assert pulled(said, tmp_path)[0].manifest.digest == digest
        # A wrong one, for the repository alone, goes before the right one for the server.
        wrong = base64.b64encode(b"someone:else").decode()
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {f"{host}/private": {"auth": wrong}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        with pytest.raises(UsageError, match="does not take the login"):
            pulled(said, tmp_path)
        helper = tmp_path / "bin" / "docker-credential-tests"
        helper.parent.mkdir()
        answer = json.dumps({"ServerURL": host, "Username": NAME, "Secret": PASSWORD})
        helper.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(helper.parent), prepend=":")
        (tmp_path / "auth.json").write_text(json.dumps({"credHelpers": {host: "tests"}}))
        assert pulled(said, tmp_path)[0].manifest.digest == digest
        helper.write_text("#!/bin/sh\ncat >/dev/null\necho secret word\nexit 1\n")
        with pytest.raises(UsageError, match="its credential helper failed") as failed:
            pulled(said, tmp_path)
        assert "secret" not in failed.value.message


@pytest.mark.network
def test_a_mirror_is_asked_first(served: str, written: Written, tmp_path: Path) -> None:
    digest = write(written, "", output_location(f"docker://{served}/mirrored/team/app:1"))
    (tmp_path / "home/registries.conf").write_text(
        '[[registry]]\nprefix = "registry.invalid/team"\nlocation = "localhost:1/team"\n'
        f'[[registry.mirror]]\nlocation = "localhost:1/nothing"\n'
        f'[[registry.mirror]]\nlocation = "{served}/mirrored/team"\n'
    )
    image, _ = pulled("docker://registry.invalid/team/app:1", tmp_path)
    assert (image.manifest.digest, image.image.reference) == (digest, "registry.invalid/team/app:1")


# ------------------------------------------------------------------------------------------ servers that lie


class Server(ThreadingHTTPServer):
    """Answers by a table of paths; what is not in it is 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Callable[[Any], tuple[int, dict[str, str], bytes]]] = {}
        self.asked: list[tuple[str, str, str]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def gives(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> None:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers[path] = lambda _: (status, named, body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path, self.headers.get("Authorization", "")))
        if length := int(self.headers.get("Content-Length") or 0):
            self.rfile.read(length)
        missing: Callable[[Any], tuple[int, dict[str, str], bytes]] = lambda _: (404, {}, b"")  # noqa: E731
        status, headers, body = self.server.answers.get(path, missing)(self)
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[Server]:
    with Server() as server:
        server.gives("/v2/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def put(liar: Server, directory: Path) -> dict[str, bytes]:
    """An image on the server; its blobs by digest, the manifest last."""
    put_layout(directory / "layout", [layer({"a": b"1" * 5000})], {})
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in (directory / "layout/blobs/sha256").iterdir()}
    manifest = json.loads((directory / "layout/index.json").read_text())["manifests"][0]["digest"]
    for digest, data in blobs.items():
        liar.gives(f"/v2/app/blobs/{digest}", data)
    for reference in ("latest", manifest):
        liar.gives(f"/v2/app/manifests/{reference}", blobs[manifest])
    return {**{d: b for d, b in blobs.items() if d != manifest}, manifest: blobs[manifest]}


def refused(liar: Server, directory: Path, name: str = "app") -> str:
    with pytest.raises(DebloatError) as error:
        pulled(f"docker://{liar.host}/{name}", directory)
    assert isinstance(error.value, StoreError | UsageError)
    assert "\n" not in error.value.message
    return error.value.message


def test_a_server_that_tells_the_truth(liar: Server, tmp_path: Path) -> None:
    put(liar, tmp_path)
    assert pulled(f"docker://{liar.host}/app", tmp_path)[1].read("/a") == b"1" * 5000


def test_a_manifest_that_is_not_what_was_asked_for(liar: Server, tmp_path: Path) -> None:
    *_, manifest = put(liar, tmp_path)
    liar.gives(f"/v2/app/manifests/{manifest}", b'{"schemaVersion": 2, "manifests": []}')
    assert "another digest than it is asked for by" in refused(liar, tmp_path, f"app@{manifest}")
    liar.gives("/v2/app/manifests/latest", b"{}", Docker_Content_Digest=manifest)
    assert "another digest" in refused(liar, tmp_path)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"x" + data[1:]])
def test_a_blob_that_is_another(liar: Server, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    blobs = put(liar, tmp_path)
    largest = max(blobs, key=lambda digest: len(blobs[digest]))
    liar.gives(f"/v2/app/blobs/{largest}", change(blobs[largest]))
    assert "is not what its descriptor says" in refused(liar, tmp_path)


def test_an_upload_in_chunks_that_is_refused(liar: Server, written: Written) -> None:
    """The registry takes no blob in one piece, and then has no room for its chunks."""
    answers = iter([(202, {"Location": "/v2/app/blobs/uploads/1"}, b""), (507, {}, b"no room")])
    liar.gives("/v2/")
    liar.answers["/v2/app/blobs/uploads/"] = lambda _: next(answers)
    liar.gives("/v2/app/blobs/uploads/1", status=413)
    with pytest.raises(StoreError, match=r"cannot push to .*/app:1: the registry .* answers 507 no room"):
        write(written, "", output_location(f"docker://{liar.host}/app:1"))


@pytest.mark.parametrize(("status", "said"), [(401, "does not take the login"), (403, "does not allow it")])
def test_it_is_known_early_that_nobody_may_push(
    liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    auth = base64.b64encode(b"someone:secret").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {liar.host: {"auth": auth}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    liar.gives("/v2/app/blobs/uploads/", status=status, WWW_Authenticate='Basic realm="x"')
    with pytest.raises(UsageError, match=rf"cannot push to .*/app:1: the registry .* {said}"):
        must_accept(output_location(f"docker://{liar.host}/app:1"))


def test_answers_that_are_too_large(liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar.gives("/v2/app/manifests/latest", bytes((4 << 20) + 1))
    assert "answers with more than" in refused(liar, tmp_path)


def test_redirects_are_followed_a_few_times_and_take_no_login_along(
    liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = put(liar, tmp_path)
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        for digest, data in blobs.items():
            other.gives(f"/elsewhere/{digest}", data)
            liar.gives(f"/v2/app/blobs/{digest}", status=307, Location=f"http://{other.host}/elsewhere/{digest}")
        auth = base64.b64encode(b"someone:secret").decode()
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {liar.host: {"auth": auth}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        liar.answers["/v2/"] = lambda request: (
            (200, {}, b"")
            if "Authorization" in request.headers
            else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
        )
        pulled(f"docker://{liar.host}/app", tmp_path)
        other.shutdown()
        thread.join()
        assert {authorization for _, _, authorization in other.asked} == {""}
        assert other.asked
    assert f"Basic {auth}" in {authorization for _, _, authorization in liar.asked}


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("/v2/app/manifests/latest", "redirects more than 5 times"),
        ("file:///etc/passwd", "which is no address"),
        ("http://user@127.0.0.1/", "which is no address"),
        ("", "redirects more than 5 times"),
    ],
)
def test_redirects_that_lead_nowhere(liar: Server, tmp_path: Path, to: str, why: str) -> None:
    liar.gives("/v2/app/manifests/latest", status=302, Location=to)
    assert why in refused(liar, tmp_path)
    assert len(liar.asked) < 10


def test_a_server_that_says_nothing(liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ", 0.2)
    let_go = threading.Event()
    put(liar, tmp_path)

    def stall(request: Any) -> tuple[int, dict[str, str], bytes]:
        let_go.wait(30)
        return 200, {}, b""

    liar.answers["/v2/app/manifests/latest"] = stall
    try:
        assert "cannot reach the registry" in refused(liar, tmp_path)
    finally:
        let_go.set()


def test_a_server_that_sends_drop_by_drop(liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop comes in time, all of them do not: the deadline is over before the first."""
    put(liar, tmp_path)
    monkeypatch.setattr(client, "READ", -1000.0)
    monkeypatch.setattr(requests.Session, "request", _without_timeout(requests.Session.request))
    assert "it sends too slowly" in refused(liar, tmp_path)


def _without_timeout(request: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *words, **named: request(self, *words, **{**named, "timeout": 30})


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot reach the registry localhost:1"):
        pulled("docker://localhost:1/app", tmp_path)


# ------------------------------------------------------------------------------------------ tokens


def test_a_token_is_asked_for_as_the_challenge_says(
    liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(liar, tmp_path)
    asked = []

    def token(request: Any) -> tuple[int, dict[str, str], bytes]:
        asked.append((request.path, request.headers.get("Authorization", "")))
        return 200, {}, b'{"token": "abc.def"}'

    def closed(
        answer: Callable[[Any], tuple[int, dict[str, str], bytes]],
    ) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
        challenge = f'Bearer realm="http://{liar.host}/token",service="tests"'
        return lambda request: (
            answer(request)
            if request.headers.get("Authorization") == "Bearer abc.def"
            else (401, {"WWW-Authenticate": challenge}, b"")
        )

    liar.answers = {path: closed(answer) for path, answer in liar.answers.items()}
    liar.answers["/token"] = token
    pulled(f"docker://{liar.host}/app", tmp_path)
    assert asked == [("/token?service=tests&scope=repository%3Aapp%3Apull", "")]
    auth = base64.b64encode(b"someone:secret").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {liar.host: {"auth": auth}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    pulled(f"docker://{liar.host}/app", tmp_path)
    assert asked[1][1] == f"Basic {auth}"
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {liar.host: {"identitytoken": "refresh"}}}))
    pulled(f"docker://{liar.host}/app", tmp_path)
    assert liar.asked[-5][0] == "POST" or ("POST", "/token", "") in liar.asked


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\nb"}', b"[" * 99_999])
def test_tokens_that_are_none(liar: Server, tmp_path: Path, body: bytes) -> None:
    liar.gives("/v2/", status=401, WWW_Authenticate=f'Bearer realm="http://{liar.host}/token"')
    liar.gives("/token", body)
    assert "gives no token" in refused(liar, tmp_path)


@pytest.mark.parametrize("challenge", ["", "Basic", "Bearer", 'Bearer realm="file:///x"', "Digest x", '""'])
def test_challenges_that_are_none(liar: Server, tmp_path: Path, challenge: str) -> None:
    liar.gives("/v2/", status=401, WWW_Authenticate=challenge)
    refused(liar, tmp_path)


def test_credentials_that_are_damaged(liar: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar.gives("/v2/", status=401, WWW_Authenticate='Basic realm="x"')
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    for auths in ({liar.host: {"auth": "secret!"}}, 5, {"a": 1}):
        (tmp_path / "auth.json").write_text(json.dumps({"auths": auths}))
        assert "cannot use the credentials" in refused(liar, tmp_path)
    assert "secret" not in refused(liar, tmp_path)


def test_an_index_of_a_registry(liar: Server, tmp_path: Path) -> None:
    maker = LayoutMaker(tmp_path / "layout")
    arm = maker.manifest([layer({"a": b"1"})], {}, architecture="arm64")
    amd = maker.manifest([layer({"b": b"1"})], {})
    index = maker.index(
        [
            {**found, "platform": {"os": "linux", "architecture": name}}
            for found, name in ((arm, "arm64"), (amd, "amd64"))
        ]
    )
    for path in (tmp_path / "layout/blobs/sha256").iterdir():
        liar.gives(f"/v2/app/blobs/sha256:{path.name}", path.read_bytes())
        liar.gives(f"/v2/app/manifests/sha256:{path.name}", path.read_bytes())
    body = (tmp_path / "layout/blobs" / index["digest"].replace(":", "/")).read_bytes()
    liar.gives("/v2/app/manifests/latest", body, Docker_Content_Digest=digest_of(body))
    said = f"docker://{liar.host}/app"
    assert "/a" in pulled(said, tmp_path, "arm64")[1]
    assert "/b" in pulled(said, tmp_path, "amd64")[1]
