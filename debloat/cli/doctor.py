"""`debloat doctor`: what works on this machine, and how to fix what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
from msgspec import Struct
from msgspec.structs import asdict

from debloat import sensor
from debloat.cli.engines import Engines
from debloat.cli.options import Doctor
from debloat.core.errors import DebloatError, EngineUnavailable
from debloat.engine.base import ContainerSpec, Engine
from debloat.engine.workspace import Workspace
from debloat.image.reader import SENSOR, SENSOR_HOME, sensor_tar

_DETAILS = {
    "notify_killable": "a signal cannot interrupt a recorded call (kernel 5.19)",
    "process_vm_readv": "paths are read in one call; else through /proc/PID/mem",
    "cap_sys_admin": "the program keeps setuid programs and capabilities; else it runs with no_new_privs",
}
"""What makes a recording better but not possible, by the sensor's name for it."""


STORES = {
    "classic": "classic image store: an image's id is its configuration's digest",
    "containerd": "containerd image store: an image's id is a manifest's or an index's digest",
    "containers": "Podman's image store: an image's id is its configuration's digest",
}
"""What `EngineTraits.store` means for who reads ids."""
ROOTLESS = ", rootless: no device nodes, no ports below 1024"
WITHOUT = "apply, check, inspect, diff and sbom work on oci:DIR, docker-archive:FILE and docker://NAME"
"""What needs no container: these verbs look at layers alone."""


class Diagnosis(Struct, frozen=True):
    """One thing that was looked at: whether it works, what was seen, and what to do where it does not."""

    subject: str
    ok: bool
    seen: str
    remedy: str = ""


def doctor(options: Doctor, engines: Engines) -> None:
    """Print the findings; exit code 3 when something that every run needs does not work."""
    findings = list(examine(engines))
    if options.json:
        click.echo(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.ok else 'NO '} {finding.subject:<18} {finding.seen}")
            if not finding.ok and finding.remedy:
                click.echo(f"    {finding.remedy}")
    if not all(f.ok for f in findings if f.subject in ("engine", "sensor", "recording")):
        raise EngineUnavailable("something that every run needs does not work here", "do what stands below each NO")


def examine(engines: Engines) -> Iterator[Diagnosis]:
    """Look at everything a run depends on, in order."""
    yield _libmagic()
    try:
        engine = engines.connect()
        info = engine.info()
    except DebloatError as error:
        yield Diagnosis("engine", False, error.message, error.hint)
        yield Diagnosis("without an engine", True, WITHOUT)
        return
    api = f", API {info.api}" if info.api else ""
    yield Diagnosis(
        "engine",
        True,
        f"{info.name} {info.version}{api}, {info.os}/{info.architecture}{ROOTLESS * info.traits.rootless}",
    )
    yield Diagnosis("kernel", True, info.kernel)
    yield Diagnosis("storage", True, f"{info.storage}, {STORES[info.traits.store]}")
    where = "" if info.local else ", another machine: its ports are reached through the sensor"
    yield Diagnosis("endpoint", True, info.endpoint + where)
    if info.traits.own:
        from debloat.embedded.examine import facts

        for fact in facts(user=info.traits.rootless):
            yield Diagnosis(fact.subject, fact.ok, fact.seen, fact.remedy)
    yield from _recording(engine, info.architecture)


def _libmagic() -> Diagnosis:
    try:
        import magic

        magic.from_buffer(b"#!/bin/sh\n")
        return Diagnosis("libmagic", True, "reads kinds of files")
    except (ImportError, NotImplementedError, OSError) as error:
        return Diagnosis("libmagic", False, str(error), "apt-get install libmagic1; only kinds in reports need it")


def _recording(engine: Engine, architecture: str) -> Iterator[Diagnosis]:
    """Start the sensor's own examination in a container made of nothing but the sensor."""
    try:
        binary = sensor.binary(architecture)
    except DebloatError as error:
        yield Diagnosis("sensor", False, error.message, error.hint)
        return
    yield Diagnosis("sensor", True, f"{len(binary):,} bytes for {architecture}")
    try:
        with Workspace(engine) as workspace:
            empty = workspace.load(lambda name: _empty_image(name, architecture))
            spec = ContainerSpec(
                image=empty,
                run=workspace.run,
                entrypoint=(SENSOR, "doctor"),
                anonymous=(SENSOR_HOME,),
                cap_add=("SYS_PTRACE", "SYS_ADMIN"),
                user="0:0",
                network="none",
            )
            with workspace.container(spec) as container:
                engine.put(container, SENSOR_HOME, sensor_tar(binary))
                engine.start(container)
                engine.wait(container, 20)
                out, err = engine.logs(container)
    except DebloatError as error:
        yield Diagnosis("recording", False, error.message, error.hint)
        return
    answers = dict(line.partition(" ")[::2] for line in out.decode("utf-8", "replace").splitlines())
    works = [m for m in ("notify", "ptrace") if answers.get(m) == "yes"]
    yield Diagnosis(
        "recording",
        bool(works),
        f"by {works[0]}" + (f", else {works[1]}" if works[1:] else "")
        if works
        else err.decode("utf-8", "replace")[-300:],
        "the engine's runtime forbids seccomp notification and ptrace: record elsewhere, and pass --trace FILE",
    )
    for key, meaning in _DETAILS.items():
        yield Diagnosis(key, answers.get(key) == "yes", meaning)


def _empty_image(name: str, architecture: str) -> Iterator[bytes]:
    """The archive of an image with nothing in it."""
    import io
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from debloat.core.model import Entry, Image, ImageConfig, Kind
    from debloat.image import carve
    from debloat.image.archive import archive
    from debloat.image.oci import LayerFile, Written
    from debloat.image.rootfs import MemoryContents, Rootfs

    rootfs = Rootfs([Entry("/", Kind.DIR, 0o755)], MemoryContents({}))
    out = io.BytesIO()
    layer = carve.write_layer(rootfs, [carve.Kept(Entry("/", Kind.DIR, 0o755))], out)
    image = Image("scratch", "", "linux", architecture, "", "1970-01-01T00:00:00Z", ImageConfig({}))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "layer.tar"
        path.write_bytes(out.getvalue())
        config = carve.image_config(image, [layer], "debloat")
        yield from archive(Written(config, (LayerFile(layer, path),)), [name])
