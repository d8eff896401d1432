"""`debloat build`: docker build, then the main job."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO

from debloat.cli.engines import Engines
from debloat.cli.options import Build, Slim
from debloat.cli.plan import built_first, show
from debloat.cli.slim import plan, slim
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.signals import hold_back
from debloat.engine.base import PENDING_REPOSITORY, Engine
from debloat.engine.run_id import new_run

_GRACE = 10.0
"""Seconds that the docker CLI may take to call a build off."""


def build(options: Build, engines: Engines) -> None:
    """Build with the docker CLI (BuildKit where it has it), and slim what came out.

    The image is named after the context's directory, the result `NAME:slim`, unless `-t` says otherwise. A plan is that
    of the image as it was last built, for its configuration is not known before; UsageError where it never was.
    """
    directory = Path(options.context)
    if not directory.is_dir():
        raise UsageError(
            f"cannot build {options.context}: it is no directory", "name the directory that holds the Dockerfile"
        )
    name = repository_name(directory.resolve().name)
    original = f"{name}:latest"
    docker, words = _docker(), command_line(options, original)
    result = replace(options.result, tag=options.result.tag or f"{name}:slim")
    main_job = Slim(original, options.probes, options.policy, result, options.verbosity)
    if result.dry_run:
        show(built_first(plan(main_job, engines, directory), ("docker", *words)), result.json)
        return
    mark = f"{PENDING_REPOSITORY}:{new_run()}"
    _build([docker, *command_line(options, original, mark, *_loading(docker))])
    try:
        _must_have_been_built(engines.connect(), original, mark)
    finally:
        engines.connect().untag(mark)
    slim(main_job, engines, directory)


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


def _loading(docker: str) -> tuple[str, ...]:
    """`--load` where the build command knows it: a builder of its own keeps what it builds to itself otherwise."""
    with tempfile.TemporaryFile() as usage:
        _call([docker, "build", "--help"], subprocess.DEVNULL, usage)
        usage.seek(0)
        return ("--load",) if re.search(rb"^\s*--load\b", usage.read(), re.MULTILINE) else ()


def command_line(options: Build, name: str, mark: str = "", *more: str) -> list[str]:
    """What `docker` is called with to build an image under a name, and under another one that nothing else has."""
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


def _docker() -> str:
    path = shutil.which("docker")
    if path is None:
        raise EngineUnavailable("cannot build: there is no docker command here", "install the docker CLI (docker-cli)")
    return path


def _build(argv: list[str]) -> None:
    """Run the build; its output goes to stderr as it comes. BuildKit where the CLI carries it."""
    with tempfile.TemporaryFile() as log:
        code = _call(argv, log)
        log.seek(0)
        errors = log.read().decode("utf-8", "replace")
    if code and "BuildKit is enabled but the buildx component is missing" in errors:
        # A CLI of 23 or later without buildx: its classic builder has to be asked for.
        code, errors = _call(argv, 2, DOCKER_BUILDKIT="0"), ""
    os.write(2, errors.encode())
    if code:
        raise UsageError("docker build failed; its output is above", "does `docker build` of this directory work?")


def _call(argv: list[str], errors: IO[bytes] | int, output: IO[bytes] | int = 2, **environment: str) -> int:
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
