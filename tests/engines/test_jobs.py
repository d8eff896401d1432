"""Jobs as GitLab and GitHub run them: in a container of its own, by the files that this project publishes for them.

GitLab's docker executor gives a job a service, `docker:dind`, in the job's network under that name, and for TLS a
volume with the certificates that the service makes. GitHub gives a job's container the socket of the runner's engine.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from debloat.cli.main import main
from debloat.engine.docker import connect
from debloat.sensor import binary, source_hash
from tests.engines.setups import HERE, SCRIPTS, started
from tests.gate.test_hooks import component, yaml
from tests.support import distributions, fixtures
from tests.support.engines import BASE, LABEL

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

FIXTURE = "nginx"
PYTHON = "3.11"
"""Of the image that jobs run in, which is Debian 12's."""
PACKAGES = "ca-certificates python3-venv"

RUNNER = f"FROM {BASE}\nRUN apt-get update && apt-get install -y --no-install-recommends {PACKAGES}\n"

UNUSED = ("./usr/share/doc", "./usr/share/locale", "./usr/share/man", "./var/cache", "./var/lib/apt", "./proc", "./sys")
"""Of the root that the service's image is made of."""

SERVICE = r"""
mkdir -p /etc/docker /certs
echo '{"features": {"containerd-snapshotter": true}}' >/etc/docker/daemon.json
if [ -n "$DOCKER_TLS_CERTDIR" ]; then
    # As its entrypoint does: an authority, the service under its names, a client.
    cd "$DOCKER_TLS_CERTDIR"
    mkdir -p server client
    openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=ca -keyout ca.key -out server/ca.pem
    printf 'subjectAltName=DNS:docker,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >server/ext
    printf 'extendedKeyUsage=clientAuth\n' >client/ext
    for end in server client; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$end" -keyout $end/key.pem -out $end/csr
        openssl x509 -req -days 3 -in $end/csr -extfile $end/ext -CA server/ca.pem -CAkey ca.key -out $end/cert.pem
    done
    cp server/ca.pem client/ca.pem
    set -- --host tcp://0.0.0.0:2376 --tlsverify
    set -- "$@" --tlscacert server/ca.pem --tlscert server/cert.pem --tlskey server/key.pem
else
    set -- --host tcp://0.0.0.0:2375 --tls=false
fi
exec dockerd --host unix:///var/run/docker.sock --iptables=false --ip6tables=false "$@"
"""


DAEMON = (
    *(f"--cap-add={name}" for name in ("DAC_READ_SEARCH", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE")),
    *(f"--security-opt={name}=unconfined" for name in ("apparmor", "seccomp", "systempaths")),
    *("--device-cgroup-rule=a *:* rwm", "--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup"),
)
"""What a daemon needs of `--privileged`, which is refused where the machine itself lacks one of the capabilities."""


def docker(*words: str, **more: object) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=600, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"docker {' '.join(words[:6])}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's tree as a release has it, with the sensor, for there is no compiler in a job's image."""
    directory = tmp_path_factory.mktemp("source")
    architecture = connect().info().architecture
    copied = distributions.copy(directory, binary(architecture), architecture)
    copied.with_suffix(".hash").write_text(source_hash())
    return directory


@pytest.fixture(scope="module")
def wheels(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an index of packages gives to a job's pip: debloat and all that it needs."""
    directory = tmp_path_factory.mktemp("wheels")
    argv = [sys.executable, "-m", "pip", "download", "-q", "-d", str(directory)]
    argv += ["--only-binary", ":all:", "--python-version", PYTHON, *distributions.requirements()]
    subprocess.run(argv, check=True, capture_output=True, timeout=300)
    shutil.copy(distributions.built(source, "wheel"), directory)
    return directory


@pytest.fixture(scope="module")
def runner() -> Iterator[str]:
    """The image that a job runs in."""
    image = "debloat-matrix/runner:1"
    docker("build", "-q", "--network", "host", "-t", image, "-", input=RUNNER)
    yield image
    docker("rmi", image)


@pytest.fixture(scope="module")
def dind() -> Iterator[str]:
    """An image as `docker:dind`, of Debian's packages."""
    image = "debloat-matrix/dind:1"
    root = subprocess.run([SCRIPTS / "docker.sh", "root", "trixie"], capture_output=True, text=True, check=True).stdout
    left_out = [f"--exclude={path}/*" for path in UNUSED]
    tar = subprocess.Popen(["tar", "-C", root.strip(), *left_out, "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "-", image], stdin=tar.stdout, check=True, capture_output=True)
    assert tar.wait() == 0
    yield image
    docker("rmi", image)


@contextmanager
def services(image: str, certificates: str) -> Iterator[list[str]]:
    """The words that put a container into a job's network, in which the service is; `certificates` as in GitLab's."""
    name = f"debloat-job-{secrets.token_hex(3)}"
    docker("network", "create", "--label", LABEL, name)
    try:
        docker("volume", "create", "--label", LABEL, name)
        words = [*DAEMON, "--network", name, "--network-alias", "docker", "--label", LABEL, "--name", name]
        words += ["-v", f"{name}:/certs/client", "-v", "/var/lib/docker", "-e", f"DOCKER_TLS_CERTDIR={certificates}"]
        docker("run", "-d", *words, image, "sh", "-euc", SERVICE)
        wait = "for try in $(seq 600); do docker version && exit; sleep 0.2; done; exit 1"
        docker("exec", name, "sh", "-c", wait)
        save = subprocess.Popen(["docker", "save", fixtures.build(FIXTURE)], stdout=subprocess.PIPE)
        subprocess.run(["docker", "exec", "-i", name, "docker", "load", "-q"], stdin=save.stdout, check=True)
        assert save.wait() == 0
        yield ["--network", name, "-v", f"{name}:/certs/client:ro"]
        left = docker("exec", name, "docker", "ps", "--all", "--quiet")
        assert left == ""
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], capture_output=True)
        subprocess.run(["docker", "volume", "rm", name], capture_output=True)
        subprocess.run(["docker", "network", "rm", name], capture_output=True)


def job(image: str, words: list[str], environment: Mapping[str, str], script: str) -> subprocess.CompletedProcess[str]:
    """Run a job's script in a container, which is gone after it."""
    argv = ["docker", "run", "--rm", "-i", "--label", LABEL, *words]
    argv += [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    argv += [image, "bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=900)


NAME = "debloat-matrix-shop"
"""Of the checkout's directory, and so of what is built of it."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The checkout of a service."""
    path = tmp_path / NAME
    path.mkdir()
    (path / "Dockerfile").write_text(f"FROM {fixtures.tag(FIXTURE)}\nCOPY page /var/www/html/page\n")
    (path / "page").write_text("hello\n")
    shutil.copy(fixtures.FIXTURES / FIXTURE / "debloat.toml", path)
    return path


PIP = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""The wheels in place of an index, which a test's container cannot reach."""

VERBS = f"""
debloat doctor >&2
debloat lock {fixtures.tag(FIXTURE)} -q -t {NAME}:locked
debloat build . -q --build-option "--network none"
debloat check -q --probe
debloat apply {fixtures.tag(FIXTURE)} -q -t {NAME}:applied
debloat why {fixtures.tag(FIXTURE)} /usr/sbin/nginx
docker rmi {NAME}:latest {NAME}:slim {NAME}:locked {NAME}:applied >&2
"""
"""What a job may do beside checking, by the names that it has for all of it."""

BREAK = """
touch passed
printf '\n[budget]\nmax_size = "1MB"\n' >>debloat.toml
"""
"""From here on the check must fail."""


def mounted(wheels: Path, project: Path, at: str) -> list[str]:
    """The words for what every job's container has: its checkout, the wheels, the docker command."""
    places = {"/usr/local/bin/docker:ro": shutil.which("docker"), "/wheels:ro": wheels, at: project}
    return [*(word for to, place in places.items() for word in ("-v", f"{place}:{to}")), "-w", at]


def identical_here(project: Path) -> None:
    """The lock that the job wrote is that of the image on this machine's engine, too."""
    (project / "debloat.toml").unlink()
    target, report = "debloat-matrix/job:applied", project / "applied.json"
    argv = ["apply", fixtures.tag(FIXTURE), "-q", "--lock", str(project / "debloat.lock"), "-t", target]
    assert main([*argv, "--json", str(report)]) == 0
    docker("rmi", target)
    assert json.loads(report.read_bytes())["identical"]


@pytest.mark.parametrize("certificates", ["/certs", ""])
def test_a_job_of_gitlab(certificates: str, dind: str, runner: str, wheels: Path, project: Path) -> None:
    """By the component of this project, with TLS and without; the result is what it is here."""
    (pipeline,) = component(image=fixtures.tag(FIXTURE), **{"tls-certdir": certificates}).values()
    assert isinstance(pipeline, dict)
    *setup, check = pipeline["script"]
    script = "\n".join([*setup, "export PATH=/tmp/debloat/bin:$PATH", VERBS, check, BREAK, check])
    with services(dind, pipeline["variables"]["DOCKER_TLS_CERTDIR"]) as words:
        at = f"/builds/{NAME}"
        words += mounted(wheels, project, at)
        done = job(runner, words, {**pipeline["variables"], "CI_PROJECT_DIR": at, **PIP}, script)
    assert (project / "passed").exists(), done.stdout + done.stderr
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads((project / pipeline["artifacts"]["reports"]["codequality"]).read_text())
    assert {row["check_name"] for row in found} == {"debloat-budget-max-size"}
    identical_here(project)


def test_a_job_of_github(runner: str, wheels: Path, source: Path, project: Path) -> None:
    """By the action of this project, in a container that has the socket of the runner's engine and no port of it."""
    (action,) = yaml(distributions.PROJECT / "action.yml")
    assert isinstance(action, dict)
    install, check = (step["run"] for step in action["runs"]["steps"])
    given = {"image": fixtures.tag(FIXTURE), "probe": "true"}
    values = {name: given.get(name, settings["default"]) for name, settings in action["inputs"].items()}
    inputs = {
        k: v.removeprefix("${{ inputs.").removesuffix(" }}") for k, v in action["runs"]["steps"][1]["env"].items()
    }
    at = f"/__w/{NAME}"
    environment = {
        "RUNNER_TEMP": "/tmp/runner",
        "GITHUB_ACTION_PATH": "/__w/_actions/debloat",
        **{name: f"{at}/{name}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")},
        **{name: values[value] for name, value in inputs.items()},
        **PIP,
    }
    path = "mkdir /tmp/runner\nexport PATH=/tmp/runner/debloat/bin:$PATH"
    script = "\n".join([path, install, VERBS, f"({check}\n)", BREAK, check])
    with started(HERE) as endpoint:
        words = ["-v", f"{endpoint.removeprefix('unix://')}:/var/run/docker.sock", *mounted(wheels, project, at)]
        words += ["-v", f"{source}:/__w/_actions/debloat"]
        done = job(runner, words, environment, script)
    assert (project / "passed").exists(), done.stdout + done.stderr
    assert done.returncode == 1, done.stdout + done.stderr
    assert "::error " in done.stdout
    assert "budget-max-size" in (project / "GITHUB_STEP_SUMMARY").read_text()
    assert json.loads((project / "debloat.sarif").read_text())["runs"][0]["results"]
    identical_here(project)
