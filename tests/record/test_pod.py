"""The manifest that records in Kubernetes: by the published schema, and on an engine as a kubelet would start it."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from debloat import sensor
from debloat.core.errors import UsageError
from debloat.core.model import Image, ImageConfig
from debloat.engine import docker
from debloat.engine.base import ContainerSpec
from debloat.engine.workspace import Workspace
from debloat.image.reader import sensor_tar
from debloat.record.imports import read
from debloat.record.pod import collect, manifest
from debloat.record.session import Recorder

CONFIG = {
    "Entrypoint": ["/usr/bin/shop", "$(PORT)"],
    "Cmd": ["serve"],
    "User": "www-data",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
}


def image(config: dict[str, Any]) -> Image:
    return Image("registry.example/shop:1", "sha256:1", "linux", "amd64", "", "", ImageConfig(config))


def pod_of(objects: dict[str, Any]) -> dict[str, Any]:
    (pod,) = (item for item in objects["items"] if item["kind"] == "Pod")
    return dict(pod)


@pytest.mark.parametrize("args", [None, (), ("migrate", "--now")])
@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_kubernetes_takes_it(args: tuple[str, ...] | None, user: str) -> None:
    objects = manifest(image(CONFIG), "shop-1", args, user, Recorder(b"\x7fELF"))
    for item in objects["items"]:
        kubernetes_validate.validate(item, "1.30", strict=True)
    command = pod_of(objects)["spec"]["containers"][0]["command"]
    assert command[command.index("--") + 1 :] == ["/usr/bin/shop", "$$(PORT)", *(("serve",) if args is None else args)]
    assert command[command.index("--user") + 1] == (user or "www-data")


def test_no_more_is_asked_for_than_here() -> None:
    (container,) = pod_of(manifest(image(CONFIG), "shop", None, "", Recorder(b"")))["spec"]["containers"]
    security = container["securityContext"]
    assert security["capabilities"] == {"add": ["SYS_PTRACE", "SYS_ADMIN"]}
    assert "privileged" not in security
    assert "sys_ptrace,sys_admin" in container["command"]


def test_a_pod_has_a_name_that_it_can_have() -> None:
    for name in ("", "Shop", "-shop", "a" * 64, "a.b", "a\n"):
        with pytest.raises(UsageError, match="not a name for a pod"):
            manifest(image(CONFIG), name, None, "", Recorder(b""))
    with pytest.raises(UsageError, match="nothing to run"):
        manifest(image({}), "shop", None, "", Recorder(b""))


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    engine = docker.connect()
    with Workspace(engine) as found:
        yield found
    engine.close()


@pytest.mark.engine
@pytest.mark.slow
def test_what_it_records_is_imported(workspace: Workspace, tmp_path: Path) -> None:
    """The container as the pod says, started by an engine; then the line that collects, by `docker exec`."""
    config = {"Cmd": ["/bin/sh", "-c", "cat /etc/debian_version; sleep 60"], "User": "daemon"}
    binary = sensor.binary(workspace.engine.info().architecture)
    objects = manifest(image(config), "shop", None, "", Recorder(binary))
    (container,) = pod_of(objects)["spec"]["containers"]
    assert base64.b64decode(objects["items"][0]["binaryData"]["sensor"]) == binary
    spec = ContainerSpec(
        image="debian:bookworm-slim",
        run=workspace.run,
        entrypoint=tuple(container["command"]),
        user="0:0",
        anonymous=("/.debloat",),
        cap_add=tuple(container["securityContext"]["capabilities"]["add"]),
    )
    with workspace.container(spec) as started:
        workspace.engine.put(started, "/.debloat", sensor_tar(binary))
        workspace.engine.start(started)
        said = b""
        while not said:
            said, _ = workspace.engine.logs(started)
        line = collect("shop").replace("kubectl exec -i shop -c shop --", f"docker exec -i {started}")
        subprocess.run(line, shell=True, check=True, cwd=tmp_path, timeout=60)
    found = read.read({"shop.recorded": (tmp_path / "shop.recorded").read_bytes()}, "/")
    assert "/etc/debian_version" in {access.path for access in found.runs[0].accesses}
    assert found.mechanisms <= {"notify", "ptrace"}
