"""`debloat build`: the build command of the engine, then the main job."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import IO

from msgspec import Struct

from debloat.cli.engines import Engines
from debloat.cli.options import Build, Slim
from debloat.cli.plan import built_first, show
from debloat.cli.slim import must_be_possible, plan, slim
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.reference import qualified
from debloat.core.signals import hold_back
from debloat.engine.base import PENDING_REPOSITORY, Engine, EngineInfo
from debloat.engine.run_id import new_run

NOTHING: Mapping[str, str] = MappingProxyType({})
_GRACE = 10.0
"""Seconds that the docker CLI may take to call a build off."""


def build(options: Build, engines: Engines) -> None:
    """Build with the command of the engine (docker: BuildKit where it has it), and slim what came out.

    The image is named after the context's directory, the result `NAME:slim`, unless `-t` says otherwise. A plan is that
    of the image as it was last built, for its configuration is not known before; UsageError where it never was.
    """
    directory = Path(options.context)
    if not directory.is_dir():
        raise UsageError(
            f"cannot build {options.context}: it is not a directory", "name the directory that holds the Dockerfile"
        )
    name = repository_name(directory.resolve().name)
    info = engines.connect().info()
    builder, registry = builder_of(info), info.traits.registry
    original = qualified(f"{name}:latest", registry)
    result = replace(options.result, tag=options.result.tag or f"{name}:slim")
    main_job = Slim(original, options.probes, options.policy, result, options.verbosity)
    if result.dry_run:
        words = (builder.name, *builder.argv[1:], *command_line(options, original, "", *builder.options))
        show(built_first(plan(main_job, engines, directory), words), result.json)
        return
    must_be_possible(main_job, directory)
    mark = qualified(f"{PENDING_REPOSITORY}:{new_run()}", registry)
    more = (*builder.options, *(_loading(builder) if info.traits.product == "docker" else ()))
    _build(builder, command_line(options, original, mark, *more))
    try:
        _must_have_been_built(engines.connect(), original, mark)
    finally:
        engines.connect().untag(mark)
    slim(main_job, engines, directory)


class Builder(Struct, frozen=True):
    """A command that builds for an engine: its words before `build`, options that it has to have, its environment."""

    argv: tuple[str, ...]
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = NOTHING

    @property
    def name(self) -> str:
        return Path(self.argv[0]).name


def builder_of(info: EngineInfo) -> Builder:
    """The command for an engine. EngineUnavailable where there is none here.

    For Podman its own, else docker's classic builder, which Podman serves; BuildKit it does not.
    """
    docker, podman = shutil.which("docker"), shutil.which("podman")
    if info.traits.product == "podman" and podman:
        # In OCI's format the image would lose HEALTHCHECK, SHELL and ONBUILD.
        return Builder((podman, "--url", info.endpoint), ("--format", "docker"))
    if docker is None:
        command, hint = ("docker", "docker CLI (docker-cli)")
        if info.traits.product == "podman":
            command, hint = ("podman", "podman command (podman)")
        raise EngineUnavailable(f"cannot build: there is no {command} command here", f"install the {hint}")
    if info.traits.product == "podman":
        return Builder((docker,), (), {"DOCKER_HOST": info.endpoint, "DOCKER_BUILDKIT": "0"})
    return Builder((docker,))


def _must_have_been_built(engine: Engine, name: str, mark: str) -> None:
    """UsageError unless the engine has under `name` what this build called `mark`, and not what an older one left."""
    try:
        built = engine.image(mark, pull=False)
    except UsageError as error:
        raise UsageError(
            "docker build ended well, but the engine has not got the image: its builder keeps or sends it elsewhere",
            "build with the engine's own builder (`docker buildx use default`), or pass --build-option --load",
        ) from error
    if engine.image(name, pull=False).id != built.id:
        raise EngineUnavailable(
            f"{name} is another image than was just built", "something else builds it; run it again"
        )


def _loading(builder: Builder) -> tuple[str, ...]:
    """`--load` where the build command knows it: a builder of its own keeps what it builds to itself otherwise."""
    with tempfile.TemporaryFile() as usage:
        _call([*builder.argv, "build", "--help"], subprocess.DEVNULL, usage)
        usage.seek(0)
        return ("--load",) if re.search(rb"^\s*--load\b", usage.read(), re.MULTILINE) else ()


def command_line(options: Build, name: str, mark: str = "", *more: str) -> list[str]:
    """What the command is called with to build an image under a name, and under another one that nothing else has."""
    # A classic builder leaves the container of a step that failed; BuildKit takes the option and needs it not.
    argv = ["build", "--force-rm", "-t", name, *(("-t", mark) if mark else ()), *more]
    for flag, values in (
        ("-f", [options.dockerfile] if options.dockerfile else []),
        ("--build-arg", options.build_args),
    ):
        for value in values:
            argv += [flag, value]
    argv += ["--target", options.target] if options.target else []
    argv += ["--platform", options.where.platform] if options.where.platform else []
    argv += [word for option in options.build_options for word in option.split(maxsplit=1)]
    return [*argv, options.context]


def repository_name(directory: str) -> str:
    """A directory's name as a repository name: lower case letters, digits, single separators."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in directory.lower()).strip("-")
    while "--" in name:
        name = name.replace("--", "-")
    return name or "image"


def _build(builder: Builder, words: list[str]) -> None:
    """Run the build; its output goes to stderr as it comes. BuildKit where the CLI carries it."""
    with tempfile.TemporaryFile() as log:
        code = _call([*builder.argv, *words], log, environment=builder.environment)
        log.seek(0)
        errors = log.read().decode("utf-8", "replace")
    if code and "BuildKit is enabled but the buildx component is missing" in errors:
        # A CLI of 23 or later without buildx: its classic builder has to be asked for.
        code, errors = _call([*builder.argv, *words], 2, environment={"DOCKER_BUILDKIT": "0"}), ""
    os.write(2, errors.encode())
    if code:
        command = builder.name
        raise UsageError(
            f"{command} build failed; its output is above", f"does `{command} build` of this directory work?"
        )


def _call(
    argv: list[str], errors: IO[bytes] | int, output: IO[bytes] | int = 2, environment: Mapping[str, str] = NOTHING
) -> int:
    """Run a command to its end, and end it when this process is to end: a build would go on without anyone."""
    release, process = hold_back(), None
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env={**os.environ, **environment}
        )
        release()
        return process.wait()
    except BaseException:
        if process is not None:
            process.terminate()
            try:
                process.wait(_GRACE)
            finally:
                process.kill()
                process.wait()
        raise
    finally:
        release()
